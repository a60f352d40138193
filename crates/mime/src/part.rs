//! One MIME part: header fields and a body.

use crate::{
    Base64Encoder, ContentDisposition, ContentId, ContentType, Limits, MediaType, MimeError, MimeHeaders,
    Multipart, TransferEncoding,
};
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use cpm_base::LimitExceeded;

/// Header fields and a body (an "entity" of RFC 2045 §2.4).
///
/// `Debug` shows the header fields and the length of the body, never its octets.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The header fields in order.
    pub headers: MimeHeaders,
    /// The body as it stands on the wire; [`decoded`](Part::decoded) undoes the transfer encoding.
    pub body: Bytes,
    /// Whether a blank line stood behind the header fields; inside a multipart it may be left out where there is no body.
    blank_line: bool,
}

impl Part {
    /// A part of that type.
    #[must_use]
    pub fn new(content_type: &ContentType, body: Bytes) -> Self {
        let mut headers = MimeHeaders::new();
        // A ContentType holds nothing that a header field could not hold, so this never fails.
        let _ = headers.push("Content-Type", &content_type.to_string());
        Part { headers, body, blank_line: true }
    }

    /// A part of that type whose body is written in base64: for octets that a gateway might change on their way.
    #[must_use]
    pub fn base64(content_type: &ContentType, octets: &[u8]) -> Self {
        let lines = octets.len().div_ceil(3).saturating_mul(4).saturating_add(octets.len() / 28);
        let mut body = Vec::with_capacity(lines);
        let mut encoder = Base64Encoder::new();
        encoder.push(octets, &mut body);
        encoder.finish(&mut body);
        let mut part = Part::new(content_type, Bytes::from(body));
        // A name of ours, so this never fails.
        let _ = part.headers.push("Content-Transfer-Encoding", TransferEncoding::Base64.name());
        part
    }

    /// The same with one more header field.
    ///
    /// # Errors
    /// [`MimeError::NotWritable`]: see [`MimeHeader::new`](crate::MimeHeader::new).
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, MimeError> {
        self.headers.push(name, value)?;
        Ok(self)
    }

    /// Reads header fields, a blank line and a body that reaches to the end of input.
    ///
    /// # Errors
    /// Any fault of the header block; [`MimeError::NoBlankLine`] where nothing but whole header fields came.
    pub fn parse(input: Bytes, limits: &Limits) -> Result<Self, MimeError> {
        let part = Self::parse_body_part(input, limits)?;
        if part.blank_line { Ok(part) } else { Err(MimeError::NoBlankLine) }
    }

    /// Reads a part of a multipart, where the blank line may be missing when there is no body (RFC 2046 §5.1.1).
    pub(crate) fn parse_body_part(input: Bytes, limits: &Limits) -> Result<Self, MimeError> {
        let block = MimeHeaders::read(&input, limits)?;
        Ok(Part { headers: block.headers, body: input.slice(block.end..), blank_line: block.blank_line })
    }

    /// What the body is; `text/plain; charset=us-ascii` where nothing is said.
    ///
    /// # Errors
    /// The field stands twice or is no media type.
    pub fn content_type(&self) -> Result<ContentType, MimeError> {
        match self.headers.single("Content-Type")? {
            Some(text) => ContentType::parse(&text),
            None => Ok(ContentType::text_plain()),
        }
    }

    /// The same read where it stands, for those who ask for type and subtype alone.
    ///
    /// # Errors
    /// As [`content_type`](Part::content_type).
    pub fn media_type(&self) -> Result<MediaType<'_>, MimeError> {
        let text = self.headers.single("Content-Type")?;
        MediaType::of(text.unwrap_or(Cow::Borrowed("text/plain; charset=us-ascii")))
    }

    /// What the body is for, where that is said.
    ///
    /// # Errors
    /// The field stands twice or is no disposition.
    pub fn content_disposition(&self) -> Result<Option<ContentDisposition>, MimeError> {
        self.headers.single("Content-Disposition")?.map(|text| ContentDisposition::parse(&text)).transpose()
    }

    /// The Content-ID without its angle brackets, where there is one.
    ///
    /// # Errors
    /// The field stands twice or is no id in angle brackets.
    pub fn content_id(&self) -> Result<Option<String>, MimeError> {
        let Some(text) = self.headers.single("Content-ID")? else { return Ok(None) };
        ContentId::parse(&text).map(|id| Some(String::from(id.as_str())))
    }

    /// How the body is encoded; 7bit where nothing is said.
    ///
    /// # Errors
    /// The field stands twice or names an encoding that is not known.
    pub fn transfer_encoding(&self) -> Result<TransferEncoding, MimeError> {
        let text = self.headers.single("Content-Transfer-Encoding")?;
        text.map_or(Ok(TransferEncoding::SevenBit), |text| TransferEncoding::parse(&text))
    }

    /// The octets that the body stands for.
    ///
    /// # Errors
    /// Those of [`transfer_encoding`](Part::transfer_encoding), and a body that does not keep to its encoding.
    pub fn decoded(&self) -> Result<Bytes, MimeError> {
        self.transfer_encoding()?.decode(&self.body)
    }

    /// The parts inside, one level down; `None` where this is no multipart.
    ///
    /// # Errors
    /// Those of [`Multipart::parse`].
    pub fn multipart(&self, limits: &Limits) -> Result<Option<Multipart>, MimeError> {
        let content_type = self.content_type()?;
        if !content_type.is_multipart() {
            return Ok(None);
        }
        // RFC 2045 §6.4: a multipart may be 7bit, 8bit or binary, so there is nothing to undo.
        match self.transfer_encoding()? {
            TransferEncoding::SevenBit | TransferEncoding::EightBit | TransferEncoding::Binary => {}
            other => {
                return Err(MimeError::UnknownTransferEncoding(alloc::format!("{other:?} of a multipart")));
            }
        }
        Multipart::parse(&content_type, self.body.clone(), limits).map(Some)
    }

    /// All parts that are no multiparts themselves, in order, whatever the nesting; the part itself where it is none. What
    /// a message/sip, message/sipfrag or message/cpim holds stays in it.
    ///
    /// # Errors
    /// Those of [`walk`](Part::walk).
    pub fn leaves(&self, limits: &Limits) -> Result<Vec<Part>, MimeError> {
        let mut leaves = Vec::new();
        for (_, part) in self.walk(limits)? {
            if !part.content_type()?.is_multipart() {
                leaves.push(part);
            }
        }
        Ok(leaves)
    }

    /// This part and all inside it, each multipart before what it holds, with how deep it lies (0 for this one).
    ///
    /// # Errors
    /// Those of [`Multipart::parse`] for any level; [`MimeError::Limit`] beyond `mime.max_depth` levels or
    /// `mime.max_parts` leaves over all levels.
    pub fn walk(&self, limits: &Limits) -> Result<Vec<(usize, Part)>, MimeError> {
        let mut seen = Vec::new();
        let mut count = 1_usize;
        let mut to_do = alloc::vec![(0_usize, self.clone())];
        while let Some((depth, part)) = to_do.pop() {
            if !part.content_type()?.is_multipart() {
                seen.push((depth, part));
                continue;
            }
            let deeper = depth.saturating_add(1);
            LimitExceeded::check("mime.max_depth", deeper, limits.max_depth)?;
            let Some(inside) = part.multipart(limits)? else { continue };
            count = count.saturating_sub(1).saturating_add(inside.parts().len());
            LimitExceeded::check("mime.max_parts", count, limits.max_parts)?;
            seen.push((depth, part));
            to_do.extend(inside.into_parts().into_iter().rev().map(|part| (deeper, part)));
        }
        Ok(seen)
    }

    /// Appends header fields, blank line and body.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.wire_len());
        self.headers.write_to(out);
        if self.has_blank_line() {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(&self.body);
    }

    /// Header fields, blank line and body. A part that was read and not edited gives the octets back that were read.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.write_to(&mut out);
        Bytes::from(out)
    }

    /// Octets that [`to_bytes`](Part::to_bytes) will have.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        let blank_line = if self.has_blank_line() { 2 } else { 0 };
        self.headers.wire_len().saturating_add(blank_line).saturating_add(self.body.len())
    }

    fn has_blank_line(&self) -> bool {
        self.blank_line || !self.body.is_empty()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("headers", &self.headers).field("body_octets", &self.body.len()).finish()
    }
}

#[cfg(test)]
mod tests;
