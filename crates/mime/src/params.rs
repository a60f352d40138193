//! The grammar below Content-Type and Content-Disposition: tokens, quoted strings, comments, parameters
//! (RFC 2045 §5.1, RFC 822 §3.3).

use crate::Limits;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use cpm_base::LimitExceeded;

/// A parameter of a header field. The value is what the quoted string means, without quotes and backslashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The same where it stands.
pub(crate) type ParamRef<'a> = (&'a str, Cow<'a, str>);

/// Why a value did not parse.
pub(crate) enum Fault {
    Syntax,
    Limit(LimitExceeded),
}

/// A character of an RFC 2045 token.
pub(crate) fn is_token_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_token_octet)
}

const fn is_token_octet(octet: u8) -> bool {
    octet.is_ascii_graphic()
        && !matches!(
            octet,
            b'(' | b')'
                | b'<'
                | b'>'
                | b'@'
                | b','
                | b';'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'='
        )
}

/// Whether the whole text is a token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

/// A token at the front, and what follows.
pub(crate) fn token(text: &str) -> Result<(&str, &str), Fault> {
    let end = text.bytes().position(|octet| !is_token_octet(octet)).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((token, rest)) if !token.is_empty() => Ok((token, rest)),
        _ => Err(Fault::Syntax),
    }
}

/// What follows white space and comments. Comments nest; their depth is counted, not stacked.
pub(crate) fn skip_blanks<'a>(text: &'a str, limits: &Limits) -> Result<&'a str, Fault> {
    let mut depth = 0_usize;
    let mut chars = text.chars();
    loop {
        let here = chars.as_str();
        match chars.next() {
            Some(' ' | '\t') => {}
            Some('(') => {
                depth = depth.saturating_add(1);
                LimitExceeded::check("mime.comment_depth", depth, limits.max_comment_depth)
                    .map_err(Fault::Limit)?;
            }
            Some(')') if depth > 0 => depth = depth.saturating_sub(1),
            Some('\\') if depth > 0 => {
                chars.next();
            }
            Some(_) if depth > 0 => {}
            None if depth > 0 => return Err(Fault::Syntax),
            _ => return Ok(here),
        }
    }
}

/// The rest of a quoted string behind its opening quote: what it means, and what follows it.
fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), Fault> {
    let end = memchr::memchr2(b'"', b'\\', text.as_bytes()).ok_or(Fault::Syntax)?;
    if let (Some(inside), Some(rest)) =
        (text.get(..end), text.get(end..).and_then(|rest| rest.strip_prefix('"')))
    {
        let fits = !inside.bytes().any(|octet| octet.is_ascii_control() && octet != b'\t');
        return if fits { Ok((Cow::Borrowed(inside), rest)) } else { Err(Fault::Syntax) };
    }
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        let c = match chars.next() {
            Some('"') => return Ok((Cow::Owned(value), chars.as_str())),
            Some('\\') => chars.next(),
            other => other,
        };
        match c {
            Some(c) if c == '\t' || !c.is_ascii_control() => value.push(c),
            _ => return Err(Fault::Syntax),
        }
    }
}

/// `*(";" attribute "=" value)` up to the end of the text. A name that stands twice is refused: two readers could pick
/// different ones.
pub(crate) fn parameters<'a>(text: &'a str, limits: &Limits) -> Result<Vec<ParamRef<'a>>, Fault> {
    let mut params: Vec<ParamRef<'a>> = Vec::new();
    let mut rest = skip_blanks(text, limits)?;
    while !rest.is_empty() {
        check_count(params.len(), limits)?;
        let (param, after) = parameter(rest, limits)?;
        if params.iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(param.0)) {
            return Err(Fault::Syntax);
        }
        params.push(param);
        rest = after;
    }
    Ok(params)
}

/// Whether [`parameters`] reads a text. Nothing is allocated for one parameter or none, which is what nearly all have.
pub(crate) fn check_parameters(text: &str, limits: &Limits) -> Result<(), Fault> {
    let rest = skip_blanks(text, limits)?;
    if rest.is_empty() {
        return Ok(());
    }
    check_count(0, limits)?;
    let (_, after) = parameter(rest, limits)?;
    if after.is_empty() { Ok(()) } else { parameters(text, limits).map(drop) }
}

fn check_count(present: usize, limits: &Limits) -> Result<(), Fault> {
    LimitExceeded::check("mime.max_params", present.saturating_add(1), limits.max_params)
        .map_err(Fault::Limit)
}

/// `";" attribute "=" value`, and what follows it and blanks.
fn parameter<'a>(text: &'a str, limits: &Limits) -> Result<(ParamRef<'a>, &'a str), Fault> {
    let rest = skip_blanks(text.strip_prefix(';').ok_or(Fault::Syntax)?, limits)?;
    let (name, after) = token(rest)?;
    let after = skip_blanks(after, limits)?.strip_prefix('=').ok_or(Fault::Syntax)?;
    let after = skip_blanks(after, limits)?;
    let (value, after) = match after.strip_prefix('"') {
        Some(inside) => quoted(inside)?,
        None => token(after).map(|(value, after)| (Cow::Borrowed(value), after))?,
    };
    Ok(((name, value), skip_blanks(after, limits)?))
}

/// Values to keep.
pub(crate) fn kept(params: Vec<ParamRef<'_>>) -> Vec<Param> {
    let own = |(name, value): ParamRef<'_>| Param { name: String::from(name), value: value.into_owned() };
    params.into_iter().map(own).collect()
}

/// The value of a parameter; names are compared without regard to case.
pub(crate) fn get<'a>(params: &'a [Param], name: &str) -> Option<&'a str> {
    params.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| p.value.as_str())
}

/// Whether a name and value can be written as a parameter.
pub(crate) fn is_writable(name: &str, value: &str) -> bool {
    is_token(name) && !value.chars().any(|c| c.is_ascii_control() && c != '\t')
}

/// Sets a parameter, in the place of one with that name where there is one.
pub(crate) fn set(params: &mut Vec<Param>, name: &str, value: &str) {
    match params.iter_mut().find(|p| p.name.eq_ignore_ascii_case(name)) {
        Some(param) => param.value = String::from(value),
        None => params.push(Param { name: String::from(name), value: String::from(value) }),
    }
}

/// `;name=value` for each, quoted where the value is no token.
pub(crate) fn write(params: &[Param], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for Param { name, value } in params {
        write!(f, ";{name}=")?;
        if is_token(value) {
            f.write_str(value)?;
            continue;
        }
        f.write_str("\"")?;
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")?;
    }
    Ok(())
}
