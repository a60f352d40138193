//! Percent-escapes (RFC 3261 §19.1.2, RFC 2396 §2.4.1).

use crate::text::{Class, class, is_in};
use alloc::string::String;
use alloc::vec::Vec;

/// `unreserved` of RFC 3261 §25.1.
#[inline]
pub(crate) const fn is_unreserved(octet: u8) -> bool {
    is_in(&UNRESERVED, octet)
}

static UNRESERVED: Class = class!(octet => octet.is_ascii_alphanumeric()
    || matches!(octet, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'));

/// `user`: unreserved and `user-unreserved`.
#[inline]
pub(crate) const fn is_user(octet: u8) -> bool {
    is_in(&USER, octet)
}

static USER: Class = class!(octet => is_unreserved(octet) || matches!(octet, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/'));

/// `password`.
#[inline]
pub(crate) const fn is_password(octet: u8) -> bool {
    is_in(&PASSWORD, octet)
}

static PASSWORD: Class =
    class!(octet => is_unreserved(octet) || matches!(octet, b'&' | b'=' | b'+' | b'$' | b','));

/// `paramchar`.
#[inline]
pub(crate) const fn is_param(octet: u8) -> bool {
    is_in(&PARAM, octet)
}

static PARAM: Class =
    class!(octet => is_unreserved(octet) || matches!(octet, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$'));

/// `hname` and `hvalue`.
#[inline]
pub(crate) const fn is_header(octet: u8) -> bool {
    is_in(&HEADER, octet)
}

static HEADER: Class =
    class!(octet => is_unreserved(octet) || matches!(octet, b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$'));

/// Whether each character is allowed or part of a complete escape.
#[inline]
pub(crate) fn is_made_of(text: &[u8], allowed: impl Fn(u8) -> bool) -> bool {
    let mut octets = text.iter().copied();
    while let Some(octet) = octets.next() {
        if octet == b'%' {
            let (a, b) = (octets.next(), octets.next());
            if !a.is_some_and(|o| o.is_ascii_hexdigit()) || !b.is_some_and(|o| o.is_ascii_hexdigit()) {
                return false;
            }
        } else if !allowed(octet) {
            return false;
        }
    }
    true
}

/// Escapes whatever is not allowed; a percent sign is always escaped.
pub(crate) fn escape(text: &str, allowed: fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for octet in text.bytes() {
        if allowed(octet) {
            escaped.push(char::from(octet));
        } else {
            push_escape(octet, &mut escaped);
        }
    }
    escaped
}

fn push_escape(octet: u8, out: &mut String) {
    out.push('%');
    for nibble in [octet >> 4, octet & 15] {
        out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
    }
}

/// The octets with all escapes resolved.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    walk(text, |octet, _| octets.push(octet));
    octets
}

/// One spelling for all that are equal: characters outside of the reserved set are equal to their escapes (§19.1.4).
pub(crate) fn normal(text: &str) -> String {
    normal_where(text, is_unreserved)
}

/// One spelling where each of these characters is equal to its escape.
pub(crate) fn normal_where(text: &str, equal: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    push_normal(text, equal, &mut out);
    out
}

/// Appends that spelling.
pub(crate) fn push_normal(text: &str, equal: impl Fn(u8) -> bool, out: &mut String) {
    if memchr::memchr(b'%', text.as_bytes()).is_none() && text.is_ascii() {
        return out.push_str(text);
    }
    walk(
        text,
        |octet, escaped| {
            if escaped && !equal(octet) { push_escape(octet, out) } else { out.push(char::from(octet)) }
        },
    );
}

fn walk(text: &str, mut each: impl FnMut(u8, bool)) {
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let mut ahead = octets.clone();
        let digits = (octet == b'%').then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?))).flatten();
        match digits {
            Some((high, low)) => {
                each((high << 4) | low, true);
                octets = ahead;
            }
            None => each(octet, false),
        }
    }
}

fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|d| u8::try_from(d).ok())
}
