//! The grammar of RFC 3862 §3.6, with names and literals taken exactly as written (erratum 3625), and the escapes of
//! §2.3.

use alloc::string::String;
use alloc::vec::Vec;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{anychar, char, none_of};
use nom::combinator::{all_consuming, opt, recognize, verify};
use nom::multi::{many0_count, many1_count, separated_list0, separated_list1};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// NAMECHAR: no control character, no separator, no full stop.
pub(crate) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '!' | '#'..='\'' | '*' | '+' | '-' | '^'..='`' | '|' | '~')
}

/// TOKENCHAR.
pub(crate) fn is_token_char(c: char) -> bool {
    is_name_char(c) || c == '.' || !c.is_ascii()
}

/// Whether the whole text is a Name.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| is_name_char(char::from(octet)))
}

/// Whether the whole text is a Token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

/// Whether the whole text is an absolute URI as far as a header field must care: a scheme, a colon and something behind
/// it, of printable ASCII without blank, quote, backslash and angle bracket.
pub(crate) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = split_at_octet(text, b':') else { return false };
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|o| o.is_ascii_alphanumeric() || matches!(o, b'+' | b'-' | b'.'));
    scheme_fits && !rest.is_empty() && rest.bytes().all(|octet| is_uri_char(char::from(octet)))
}

/// What stands before the first such octet, which is ASCII, and after it.
fn split_at_octet(text: &str, octet: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(octet, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

fn is_uri_char(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\\')
}

fn name(input: &str) -> IResult<&str, &str> {
    take_while1(is_name_char).parse(input)
}

fn token(input: &str) -> IResult<&str, &str> {
    take_while1(is_token_char).parse(input)
}

/// `DQUOTE *( Str-char / Escape ) DQUOTE`: what stands between the quotes.
fn string(input: &str) -> IResult<&str, &str> {
    let plain = recognize(none_of("\"\\"));
    let escape = recognize((char('\\'), anychar));
    delimited(char('"'), recognize(many0_count(alt((plain, escape)))), char('"')).parse(input)
}

fn uri_in_brackets(input: &str) -> IResult<&str, &str> {
    verify(delimited(char('<'), take_while1(is_uri_char), char('>')), |uri: &str| is_uri(uri)).parse(input)
}

/// `[ Formal-name ] "<" URI ">"`. A space between a quoted name and the URI, which everybody writes and the grammar
/// forgot, is read too.
pub(crate) fn address(input: &str) -> Option<(Option<String>, &str)> {
    let quoted = terminated(string, opt(char(' '))).map(unescape);
    let tokens = recognize(many1_count(terminated(token, char(' '))))
        .map(|name: &str| String::from(name.trim_end_matches(' ')));
    all_consuming((opt(alt((quoted, tokens))), uri_in_brackets)).parse(input).ok().map(|(_, address)| address)
}

/// `[ Name-prefix ] "<" URI ">"`; the examples of the RFC have a space in between.
pub(crate) fn namespace(input: &str) -> Option<(Option<&str>, &str)> {
    let (prefix, rest) = split_at_octet(input, b'<')?;
    let uri = rest.strip_suffix('>').filter(|uri| is_uri(uri))?;
    if prefix.is_empty() {
        return Some((None, uri));
    }
    let prefix = prefix.strip_suffix(' ').unwrap_or(prefix);
    is_name(prefix).then_some((Some(prefix), uri))
}

/// `Param-name "=" ( Token / Number / String )`: name and value, a string without its quotes and still escaped.
fn parameter(input: &str) -> IResult<&str, (&str, &str)> {
    (name, preceded(char('='), alt((token, string)))).parse(input)
}

/// `*( ";" Parameter )` at the front of a header field behind the colon: the parameters, and what follows.
pub(crate) fn parameters(input: &str) -> (&str, Vec<(&str, &str)>) {
    let mut params = Vec::new();
    let mut rest = input;
    if !input.starts_with(';') {
        return (input, params);
    }
    while let Ok((after, param)) = preceded(char(';'), parameter).parse(rest) {
        params.push(param);
        rest = after;
    }
    (rest, params)
}

fn separator<'a>(
    mark: &'static str,
) -> impl Parser<&'a str, Output = &'a str, Error = nom::error::Error<&'a str>> {
    let spaces = || take_while(|c| c == ' ');
    delimited(spaces(), tag(mark), spaces())
}

/// `[ notify-req *( COMMA notify-req ) ]` of RFC 5438 §10: the dispositions, their parameters left out.
pub(crate) fn dispositions(input: &str) -> Option<Vec<&str>> {
    let request = terminated(token, many0_count(preceded(separator(";"), parameter)));
    all_consuming(separated_list0(separator(","), request)).parse(input).ok().map(|(_, list)| list)
}

/// `Header-name *( "," Header-name )`, as (prefix, name).
pub(crate) fn required_names(input: &str) -> Option<Vec<(Option<&str>, &str)>> {
    let qualified = (opt(terminated(name, char('.'))), name);
    all_consuming(separated_list1(separator(","), qualified)).parse(input).ok().map(|(_, list)| list)
}

/// Undoes the escapes of RFC 3862 §2.3. An unknown escape is the character itself, a backslash at the end is nothing.
pub(crate) fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return String::from(text);
    }
    let mut units: Vec<u16> = Vec::new();
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let meant = if c == '\\' {
            chars.next().map(|mark| escaped(mark, &mut chars))
        } else {
            Some(Escaped::Char(c))
        };
        match meant {
            // UCS-2 units are collected: two of them may be one character.
            Some(Escaped::Unit(unit)) => units.push(unit),
            Some(Escaped::Char(c)) => {
                flush(&mut units, &mut out);
                out.push(c);
            }
            None => {}
        }
    }
    flush(&mut units, &mut out);
    out
}

enum Escaped {
    Char(char),
    Unit(u16),
}

fn escaped(mark: char, chars: &mut core::str::Chars<'_>) -> Escaped {
    match mark {
        'b' => Escaped::Char('\u{8}'),
        't' => Escaped::Char('\t'),
        'n' => Escaped::Char('\n'),
        'r' => Escaped::Char('\r'),
        'u' => {
            let digits =
                chars.as_str().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let Some(unit) = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) else {
                return Escaped::Char('u');
            };
            chars.nth(3);
            Escaped::Unit(unit)
        }
        other => Escaped::Char(other),
    }
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Escapes what RFC 3862 §2.3.1 wants escaped, and nothing else.
pub(crate) fn escape(text: &str, in_quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' if in_quotes => out.push_str("\\\""),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_ascii_control() => out.push_str(&alloc::format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
