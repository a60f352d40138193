//! Parameter values of RFC 8187: `UTF-8''J%C3%A4s`, as `username*` has them.

use crate::AuthError;
use crate::params::is_text;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// What a value means.
pub(crate) fn decode(text: &str) -> Result<String, AuthError> {
    const BAD: AuthError = AuthError::BadValue("username*");
    let (charset, rest) = text.split_once('\'').ok_or(BAD)?;
    let (_language, value) = rest.split_once('\'').ok_or(BAD)?;
    if !charset.eq_ignore_ascii_case("UTF-8") {
        return Err(BAD);
    }
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { return Err(BAD) };
                octets.push(u8::try_from(high.saturating_mul(16).saturating_add(low)).map_err(|_| BAD)?);
            }
            _ if is_plain(octet) => octets.push(octet),
            _ => return Err(BAD),
        }
    }
    let name = String::from_utf8(octets).map_err(|_| BAD)?;
    if name.chars().all(is_text) { Ok(name) } else { Err(BAD) }
}

/// How a value is written.
pub(crate) fn encode(name: &str) -> String {
    let mut text = String::from("UTF-8''");
    for octet in name.bytes() {
        if is_plain(octet) {
            text.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{octet:02X}");
        }
    }
    text
}

/// `attr-char` of RFC 8187 §3.2.1 as far as it may stand in a SIP token, which has no `#`, `$`, `&`, `^` and `|`.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!+-._`~".contains(&octet)
}
