//! Content-ID and the `cid` URLs that point at it (RFC 2392).

use crate::{Limits, MimeError, Part};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// The id of a part, without its angle brackets. Compared octet for octet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(String);

impl ContentId {
    /// An id: `thumbnail@example.com`.
    ///
    /// # Errors
    /// [`MimeError::ContentIdSyntax`]: it is empty, or holds an angle bracket, white space or a control character.
    pub fn new(id: &str) -> Result<Self, MimeError> {
        let bad = |c: char| matches!(c, '<' | '>') || c.is_whitespace() || c.is_control();
        if id.is_empty() || id.contains(bad) {
            return Err(MimeError::ContentIdSyntax);
        }
        Ok(ContentId(String::from(id)))
    }

    /// Reads the value of a Content-ID header field: the id in angle brackets.
    ///
    /// # Errors
    /// [`MimeError::ContentIdSyntax`].
    pub fn parse(text: &str) -> Result<Self, MimeError> {
        let id = text.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
        ContentId::new(id.ok_or(MimeError::ContentIdSyntax)?)
    }

    /// Reads a `cid` URL. Percent-escapes are undone.
    ///
    /// # Errors
    /// [`MimeError::CidSyntax`]: another scheme, a broken escape, or an id that is none.
    pub fn from_url(url: &str) -> Result<Self, MimeError> {
        const BAD: MimeError = MimeError::CidSyntax;
        let (scheme, escaped) = url.split_once(':').ok_or(BAD)?;
        if !scheme.eq_ignore_ascii_case("cid") {
            return Err(BAD);
        }
        let mut octets = Vec::with_capacity(escaped.len());
        let mut rest = escaped.bytes();
        while let Some(octet) = rest.next() {
            if octet != b'%' {
                octets.push(octet);
                continue;
            }
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else { return Err(BAD) };
            octets.push(u8::try_from(high.saturating_mul(16).saturating_add(low)).map_err(|_| BAD)?);
        }
        let id = String::from_utf8(octets).map_err(|_| BAD)?;
        ContentId::new(&id).map_err(|_| BAD)
    }

    /// The `cid` URL that points at this id.
    #[must_use]
    pub fn to_url(&self) -> String {
        let mut url = String::from("cid:");
        for octet in self.0.bytes() {
            // pchar of RFC 3986 §3.3 without the percent sign.
            if octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&octet) {
                url.push(char::from(octet));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(url, "%{octet:02X}");
            }
        }
        url
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As the header field has it, in angle brackets.
impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

impl Part {
    /// The part with that id: this one, or one inside at whatever depth, multiparts included.
    ///
    /// # Errors
    /// Those of [`walk`](Part::walk); [`MimeError::ContentIdRepeated`] where two parts have it.
    pub fn find(&self, id: &ContentId, limits: &Limits) -> Result<Option<Part>, MimeError> {
        let mut found = None;
        for (_, part) in self.walk(limits)? {
            if part.content_id()?.as_deref() != Some(id.as_str()) {
                continue;
            }
            if found.replace(part).is_some() {
                return Err(MimeError::ContentIdRepeated);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
