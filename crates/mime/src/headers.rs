//! The header fields of a MIME part: ordered, every octet kept.

use crate::{Limits, MimeError};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::LimitExceeded;

/// One header field as it stands on the wire, with its folding and line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MimeHeader {
    /// From the first octet of the name up to and including the CRLF. Checked: UTF-8.
    raw: Bytes,
    /// Where the colon is.
    colon: usize,
}

impl MimeHeader {
    /// A header field to write.
    ///
    /// # Errors
    /// [`MimeError::NotWritable`]: the name is empty or not of RFC 5322 §3.6.8, or the value holds a control character
    /// (CR, LF and NUL among them) or blanks at an end.
    pub fn new(name: &str, value: &str) -> Result<Self, MimeError> {
        let name_fits = is_name(name.as_bytes());
        let value_fits = !value.chars().any(|c| c.is_ascii_control() && c != '\t') && value.trim() == value;
        if !name_fits || !value_fits {
            return Err(MimeError::NotWritable);
        }
        Ok(MimeHeader { raw: Bytes::from(alloc::format!("{name}: {value}\r\n")), colon: name.len() })
    }

    /// Checks one field, `raw` ending with its CRLF.
    fn read(raw: Bytes) -> Result<Self, MimeError> {
        let text = core::str::from_utf8(&raw).map_err(|_| MimeError::HeaderNotUtf8)?;
        if text.bytes().any(|octet| octet.is_ascii_control() && !matches!(octet, b'\t' | b'\r' | b'\n')) {
            return Err(MimeError::ControlCharacter);
        }
        let colon = memchr::memchr(b':', &raw).ok_or(MimeError::BadHeaderName)?;
        if !raw.get(..colon).is_some_and(is_name) {
            return Err(MimeError::BadHeaderName);
        }
        Ok(MimeHeader { raw, colon })
    }

    /// The name, as written.
    #[must_use]
    pub fn name(&self) -> &str {
        self.raw.get(..self.colon).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Whether the field has this name, whatever the case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.raw.get(..self.colon).is_some_and(|own| own.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The value: unfolded (RFC 5322 §2.2.3), without blanks at its ends.
    #[must_use]
    pub fn value(&self) -> Cow<'_, str> {
        let after = self.raw.get(self.colon.saturating_add(1)..).unwrap_or_default();
        let value = core::str::from_utf8(after).unwrap_or_default().trim_matches([' ', '\t', '\r', '\n']);
        if memchr::memchr(b'\r', value.as_bytes()).is_some() {
            Cow::Owned(value.replace("\r\n", ""))
        } else {
            Cow::Borrowed(value)
        }
    }

    /// The field as it stands on the wire, with its line end.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}

/// `1*ftext` of RFC 5322 §3.6.8: printable ASCII without colon. No blank before the colon.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| b.is_ascii_graphic() && b != b':')
}

/// Header fields in their order. Names are compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MimeHeaders {
    fields: Vec<MimeHeader>,
}

/// What a header block was followed by.
pub(crate) struct Block {
    pub(crate) headers: MimeHeaders,
    /// Where the body starts.
    pub(crate) end: usize,
    /// Whether a blank line ended the block, or the end of input did.
    pub(crate) blank_line: bool,
}

impl MimeHeaders {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads up to and including the blank line, or to the end of input behind a whole line.
    pub(crate) fn read(input: &Bytes, limits: &Limits) -> Result<Block, MimeError> {
        let mut fields = Vec::new();
        let mut at = 0_usize;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if rest.is_empty() || rest.starts_with(b"\r\n") {
                let end = at.saturating_add(if rest.is_empty() { 0 } else { 2 });
                return Ok(Block { headers: MimeHeaders { fields }, end, blank_line: !rest.is_empty() });
            }
            LimitExceeded::check("mime.max_headers", fields.len().saturating_add(1), limits.max_headers)?;
            let length = field_length(rest, limits.max_header_bytes.saturating_sub(at))
                .map_err(|fault| fault.named(limits.max_header_bytes))?;
            let end = at.saturating_add(length);
            fields.push(MimeHeader::read(input.slice(at..end))?);
            at = end;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All in order.
    pub fn iter(&self) -> core::slice::Iter<'_, MimeHeader> {
        self.fields.iter()
    }

    /// The value of the first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.fields.iter().find(|field| field.is(name)).map(MimeHeader::value)
    }

    /// The values of all fields of that name.
    #[must_use]
    pub fn get_all(&self, name: &str) -> Vec<Cow<'_, str>> {
        self.fields.iter().filter(|field| field.is(name)).map(MimeHeader::value).collect()
    }

    /// The value of a field that may stand once.
    pub(crate) fn single(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, MimeError> {
        let mut all = self.fields.iter().filter(|field| field.is(name));
        let first = all.next().map(MimeHeader::value);
        if all.next().is_some() { Err(MimeError::Repeated(name)) } else { Ok(first) }
    }

    /// Adds a field at the end.
    ///
    /// # Errors
    /// As [`MimeHeader::new`].
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), MimeError> {
        self.fields.push(MimeHeader::new(name, value)?);
        Ok(())
    }

    /// Puts one field in the place of the first of that name, drops the others of that name; adds it at the end where
    /// there was none.
    ///
    /// # Errors
    /// As [`MimeHeader::new`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), MimeError> {
        let mut new = Some(MimeHeader::new(name, value)?);
        self.fields.retain_mut(|field| {
            if !field.is(name) {
                return true;
            }
            new.take().map(|new| *field = new).is_some()
        });
        self.fields.extend(new);
        Ok(())
    }

    /// Drops all fields of that name; says how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.fields.len();
        self.fields.retain(|field| !field.is(name));
        before.saturating_sub(self.fields.len())
    }

    /// Appends the fields as they stand on the wire, without the blank line.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        for field in &self.fields {
            out.extend_from_slice(&field.raw);
        }
    }

    /// Octets that [`write_to`](MimeHeaders::write_to) will append.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.fields.iter().fold(0, |sum, field| sum.saturating_add(field.raw.len()))
    }
}

impl<'a> IntoIterator for &'a MimeHeaders {
    type Item = &'a MimeHeader;
    type IntoIter = core::slice::Iter<'a, MimeHeader>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

enum FieldFault {
    TooLong,
    Other(MimeError),
}

impl FieldFault {
    fn named(self, max: usize) -> MimeError {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        match self {
            FieldFault::TooLong => MimeError::Limit(LimitExceeded {
                limit: "mime.max_header_bytes",
                value: wide(max).saturating_add(1),
                max: wide(max),
            }),
            FieldFault::Other(error) => error,
        }
    }
}

/// The length of the field at the front, continuation lines and line end included; it must fit into `room` octets.
fn field_length(input: &[u8], room: usize) -> Result<usize, FieldFault> {
    let window = input.get(..room).unwrap_or(input);
    let mut at = 0_usize;
    loop {
        let Some(line_end) = memchr::memchr2(b'\r', b'\n', window.get(at..).unwrap_or_default()) else {
            let cut = window.len() < input.len();
            return Err(if cut { FieldFault::TooLong } else { FieldFault::Other(MimeError::Truncated) });
        };
        let line_end = at.saturating_add(line_end);
        let after = line_end.saturating_add(2);
        match input.get(line_end..after) {
            Some(b"\r\n") => {}
            None if input.get(line_end) == Some(&b'\r') => {
                return Err(FieldFault::Other(MimeError::Truncated));
            }
            _ => return Err(FieldFault::Other(MimeError::BareLineEnd)),
        }
        if after > room {
            return Err(FieldFault::TooLong);
        }
        let line = input.get(at..line_end).unwrap_or_default();
        if at > 0 && line.iter().all(|&b| matches!(b, b' ' | b'\t')) {
            return Err(FieldFault::Other(MimeError::BlankContinuation));
        }
        if !matches!(input.get(after), Some(b' ' | b'\t')) {
            return Ok(after);
        }
        at = after;
    }
}
