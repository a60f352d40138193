//! The grammar that header field values share (RFC 3261 §25.1), over unfolded text.

use crate::error::{HeaderError, UriError};
use crate::limits::Limits;
use crate::steps;
use crate::text::{Class, class, is_in, is_token_octet};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use cpm_base::LimitExceeded;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::char as character;
use nom::error::ErrorKind;
use nom::{IResult, Parser};

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Syntax(&'static str),
    Limit(LimitExceeded),
}

impl<'a> nom::error::ParseError<&'a str> for Fault {
    fn from_error_kind(_: &'a str, _: ErrorKind) -> Self {
        Fault::Syntax("unexpected character or end")
    }
    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl From<LimitExceeded> for Fault {
    fn from(exceeded: LimitExceeded) -> Self {
        Fault::Limit(exceeded)
    }
}

impl From<UriError> for Fault {
    fn from(error: UriError) -> Self {
        match error {
            UriError::Limit(exceeded) => Fault::Limit(exceeded),
            _ => Fault::Syntax("bad URI"),
        }
    }
}

pub(crate) type Parsed<'a, T> = IResult<&'a str, T, Fault>;

pub(crate) fn syntax<T>(what: &'static str) -> Parsed<'static, T> {
    Err(failure(Fault::Syntax(what)))
}

pub(crate) fn failure(fault: impl Into<Fault>) -> nom::Err<Fault> {
    nom::Err::Failure(fault.into())
}

/// The end of a value: what was read, when nothing but white space follows.
pub(crate) fn complete<T>(header: &'static str, parsed: Parsed<'_, T>) -> Result<T, HeaderError> {
    match parsed {
        Ok((rest, value)) if spaces(rest).is_empty() => Ok(value),
        Ok(_) => Err(HeaderError::Malformed { header, what: "something follows the value" }),
        Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => Err(match fault {
            Fault::Syntax(what) => HeaderError::Malformed { header, what },
            Fault::Limit(exceeded) => HeaderError::Limit { header, exceeded },
        }),
        Err(nom::Err::Incomplete(_)) => Err(HeaderError::Malformed { header, what: "incomplete" }),
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// What follows leading white space.
pub(crate) fn spaces(input: &str) -> &str {
    input.trim_start_matches(is_space)
}

/// A separator with white space around it.
pub(crate) fn separator(separator: char) -> impl FnMut(&str) -> Parsed<'_, ()> {
    move |input| {
        let (rest, _) = character(separator).parse(spaces(input))?;
        Ok((spaces(rest), ()))
    }
}

/// `token`.
pub(crate) fn token(input: &str) -> Parsed<'_, &str> {
    some_octets(input, is_token_octet)
}

/// The octets at the beginning that belong to a class of ASCII, at least one.
fn some_octets(input: &str, belongs: impl Fn(u8) -> bool) -> Parsed<'_, &str> {
    let length = input.bytes().position(|octet| !belongs(octet)).unwrap_or(input.len());
    match input.split_at_checked(length) {
        Some((taken, rest)) if length > 0 => Ok((rest, taken)),
        _ => Err(nom::Err::Error(Fault::Syntax("unexpected character or end"))),
    }
}

/// `token`, at most as long as tokens may be.
pub(crate) fn bounded_token<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, &'a str> {
    let (rest, text) = token(input)?;
    limits.max_token(text.len()).map_err(failure)?;
    Ok((rest, text))
}

/// A character of `word`: what Call-IDs and CPM's identifiers are made of.
pub(crate) fn is_word_character(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_word_octet)
}

/// The same of an octet.
#[inline]
pub(crate) const fn is_word_octet(octet: u8) -> bool {
    is_in(&WORD, octet)
}

static WORD: Class = class!(octet => is_token_octet(octet)
    || matches!(octet, b'(' | b')' | b'<' | b'>' | b':' | b'\\' | b'"' | b'/' | b'[' | b']' | b'?' | b'{' | b'}'));

/// One to ten digits that fit 32 bits.
pub(crate) fn number(input: &str) -> Parsed<'_, u32> {
    let (rest, digits) = take_while1(|c: char| c.is_ascii_digit()).parse(input)?;
    match parse_u32(digits.as_bytes()) {
        Some(value) => Ok((rest, value)),
        None => syntax("the number is too great"),
    }
}

/// Digits only, one to ten of them, that fit 32 bits; no sign, no space.
pub(crate) fn parse_u32(digits: &[u8]) -> Option<u32> {
    if !matches!(digits.len(), 1..=10) {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        value.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

/// `quoted-string`: what stands between the quotes, escapes resolved.
pub(crate) fn quoted(input: &str) -> Parsed<'_, Cow<'_, str>> {
    let (rest, _) = tag("\"").parse(input)?;
    let Some(end) = closing_quote(rest) else { return syntax("the quoted text has no end") };
    let Some((inside, after)) = rest.split_at_checked(end) else {
        return syntax("the quoted text has no end");
    };
    let after = after.strip_prefix('"').unwrap_or(after);
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Ok((after, Cow::Borrowed(inside)));
    }
    let mut text = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some(escaped) if escaped.is_ascii() => text.push(escaped),
                _ => return syntax("bad escape in quoted text"),
            },
            c => text.push(c),
        }
    }
    Ok((after, Cow::Owned(text)))
}

/// Where the quote stands that ends the quoted text.
fn closing_quote(text: &str) -> Option<usize> {
    let octets = text.as_bytes();
    let mut at = 0usize;
    loop {
        at = at.saturating_add(memchr::memchr2(b'"', b'\\', octets.get(at..)?)?);
        if octets.get(at) == Some(&b'"') {
            return Some(at);
        }
        // What is escaped ends nothing.
        at = at.saturating_add(2);
    }
}

/// `comment`: skipped, nested ones too.
pub(crate) fn comment<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, &'a str> {
    let (mut depth, mut escaped) = (0usize, false);
    for (i, octet) in input.bytes().enumerate() {
        steps::visit(1);
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => {
                depth = depth.saturating_add(1);
                limits.comment_depth(depth).map_err(failure)?;
            }
            b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let end = i.saturating_add(1);
                    let Some((comment, rest)) = input.split_at_checked(end) else { break };
                    return Ok((rest, comment));
                }
            }
            _ if depth == 0 => break,
            _ => {}
        }
    }
    syntax("the comment has no end")
}

/// What may stand unquoted as the value of a parameter: a token or a host. An IPv6 address may lack its brackets, as
/// `received` of RFC 3261 §25.1 writes it.
pub(crate) fn plain_value(input: &str) -> Parsed<'_, &str> {
    some_octets(input, is_plain_octet)
}

pub(crate) const fn is_plain_octet(octet: u8) -> bool {
    is_in(&PLAIN, octet)
}

static PLAIN: Class = class!(octet => is_token_octet(octet) || matches!(octet, b'[' | b']' | b':'));

/// Characters up to one that ends an addr-spec outside of angle brackets.
pub(crate) fn bare_uri(input: &str) -> Parsed<'_, &str> {
    take_while(|c: char| !matches!(c, ';' | ',' | '?' | '<' | '>' | '"') && !is_space(c)).parse(input)
}

/// Values between commas, with commas inside quotes and angle brackets left alone. White space around is dropped.
pub(crate) fn split_list(text: &str) -> ListSplit<'_> {
    ListSplit { text, start: 0, done: false }
}

/// Iterates over the byte ranges of a list's values.
pub(crate) struct ListSplit<'a> {
    text: &'a str,
    start: usize,
    done: bool,
}

impl Iterator for ListSplit<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        if self.done {
            return None;
        }
        let start = self.start;
        let octets = self.text.as_bytes();
        let (mut at, mut quoted, mut angle) = (start, false, false);
        loop {
            // Only octets that mean something where they stand are looked at.
            let rest = octets.get(at..).unwrap_or_default();
            let found = match (quoted, angle) {
                (true, _) => memchr::memchr2(b'"', b'\\', rest),
                (false, true) => memchr::memchr2(b'"', b'>', rest),
                (false, false) => memchr::memchr3(b',', b'"', b'<', rest),
            };
            let Some(found) = found else { break };
            at = at.saturating_add(found);
            match octets.get(at) {
                // What is escaped means nothing.
                Some(b'\\') => at = at.saturating_add(1),
                Some(b'"') => quoted = !quoted,
                Some(b'<') => angle = true,
                Some(b'>') => angle = false,
                _ => {
                    steps::visit(at.saturating_sub(start));
                    self.start = at.saturating_add(1);
                    return Some((start, at));
                }
            }
            at = at.saturating_add(1);
        }
        self.done = true;
        steps::visit(self.text.len().saturating_sub(start));
        Some((start, self.text.len()))
    }
}

/// Text without folds: each line end before white space is gone (RFC 3261 §7.3.1).
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    steps::visit(value.len());
    if memchr::memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let plain: Vec<u8> = value.iter().copied().filter(|o| !matches!(o, b'\r' | b'\n')).collect();
    Cow::Owned(plain)
}
