//! Multipart bodies (RFC 2046 §5.1).

use crate::{ContentType, Limits, MimeError, Part};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use cpm_base::LimitExceeded;
use memchr::memmem;

/// Deviations that a reader may let pass. The default admits none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// A multipart that ends without its closing delimiter line: the end of input closes the last part.
    pub missing_close_delimiter: bool,
}

/// A deviation that was let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tolerated {
    /// See [`Leniency::missing_close_delimiter`].
    MissingCloseDelimiter,
}

/// The parts of a multipart body.
///
/// A delimiter line is the whole line: two dashes, the boundary, blanks. A line that only begins so belongs to the part
/// around it. `Debug` does not show bodies.
#[derive(Clone, PartialEq, Eq)]
pub struct Multipart {
    subtype: String,
    boundary: String,
    /// The media type with all its parameters; the boundary in it may be an old one.
    declared: ContentType,
    parts: Vec<Part>,
    preamble: Bytes,
    epilogue: Bytes,
    /// What was read, as long as nothing was edited.
    source: Option<Bytes>,
}

impl Multipart {
    /// A multipart to write. The boundary is chosen so that it occurs in no part.
    ///
    /// # Errors
    /// [`MimeError::NoParts`]; [`MimeError::NotWritable`] where the subtype is no token.
    pub fn new(subtype: &str, parts: Vec<Part>) -> Result<Self, MimeError> {
        Self::declared(ContentType::new("multipart", subtype)?, parts)
    }

    /// A multipart to write, with parameters besides the boundary.
    pub(crate) fn declared(declared: ContentType, parts: Vec<Part>) -> Result<Self, MimeError> {
        if parts.is_empty() {
            return Err(MimeError::NoParts);
        }
        let boundary = free_boundary(&parts);
        let (preamble, epilogue) = (Bytes::new(), Bytes::new());
        let subtype = String::from(declared.subtype());
        Ok(Multipart { subtype, boundary, declared, parts, preamble, epilogue, source: None })
    }

    /// Reads a multipart body, one level: what the parts hold stays as it is.
    ///
    /// # Errors
    /// Not a multipart type, no legal boundary, no parts, no closing delimiter line, more parts than `mime.max_parts`, or
    /// a fault in the header block of a part.
    pub fn parse(content_type: &ContentType, body: Bytes, limits: &Limits) -> Result<Self, MimeError> {
        Self::parse_with(content_type, body, limits, Leniency::default()).map(|(multipart, _)| multipart)
    }

    /// [`parse`](Multipart::parse) with some deviations let pass; says which of them were met.
    ///
    /// # Errors
    /// As `parse`, without what is let pass.
    pub fn parse_with(
        content_type: &ContentType,
        body: Bytes,
        limits: &Limits,
        leniency: Leniency,
    ) -> Result<(Self, Vec<Tolerated>), MimeError> {
        if !content_type.is_multipart() {
            return Err(MimeError::NotMultipart);
        }
        let boundary = content_type.param("boundary").ok_or(MimeError::BoundaryMissing)?;
        if !is_boundary(boundary) {
            return Err(MimeError::BoundaryInvalid);
        }
        let split = split(&body, boundary, limits, leniency)?;
        let parts =
            split.parts.into_iter().map(|(from, to)| Part::parse_body_part(body.slice(from..to), limits));
        let multipart = Multipart {
            subtype: String::from(content_type.subtype()),
            boundary: String::from(boundary),
            declared: content_type.clone(),
            parts: parts.collect::<Result<_, _>>()?,
            preamble: body.slice(..split.preamble_end),
            epilogue: body.slice(split.epilogue_start..),
            source: Some(body),
        };
        Ok((multipart, split.tolerated))
    }

    /// `mixed`, `related` …, as written.
    #[must_use]
    pub fn subtype(&self) -> &str {
        &self.subtype
    }

    /// The boundary, without the dashes before it.
    #[must_use]
    pub fn boundary(&self) -> &str {
        &self.boundary
    }

    /// The media type to announce this body with: parameters that were read or set (`type`, `start`) and the boundary.
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        // The boundary was checked when it came in, so the fallback is never taken.
        let announced = self.declared.clone().with_param("boundary", &self.boundary);
        announced.unwrap_or_else(|_| self.declared.clone())
    }

    /// The parts in order; one at least, as long as nobody took it out.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts, to edit. Afterwards the body is written anew; see [`choose_boundary`](Multipart::choose_boundary).
    pub fn parts_mut(&mut self) -> &mut Vec<Part> {
        self.source = None;
        &mut self.parts
    }

    /// The parts, taken out.
    #[must_use]
    pub fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    /// What stands before the first delimiter line; not part of the message.
    #[must_use]
    pub fn preamble(&self) -> &Bytes {
        &self.preamble
    }

    /// What stands behind the closing delimiter line; not part of the message.
    #[must_use]
    pub fn epilogue(&self) -> &Bytes {
        &self.epilogue
    }

    /// Takes a boundary that occurs in no part, drops preamble and epilogue. The Content-Type changes with it.
    pub fn choose_boundary(&mut self) {
        self.boundary = free_boundary(&self.parts);
        self.preamble = Bytes::new();
        self.epilogue = Bytes::new();
        self.source = None;
    }

    /// The body. A multipart that was read and not edited gives the octets back that were read.
    ///
    /// # Errors
    /// After an edit: [`MimeError::NoParts`], or [`MimeError::BoundaryInPart`] where a part holds the boundary.
    pub fn to_bytes(&self) -> Result<Bytes, MimeError> {
        if let Some(source) = &self.source {
            return Ok(source.clone());
        }
        if self.parts.is_empty() {
            return Err(MimeError::NoParts);
        }
        let delimiter = alloc::format!("--{}", self.boundary);
        let line = delimiter.len().saturating_add(4);
        let length = self
            .parts
            .iter()
            .fold(line, |sum, part| sum.saturating_add(line).saturating_add(part.wire_len()));
        let mut out = Vec::with_capacity(
            length.saturating_add(self.preamble.len()).saturating_add(self.epilogue.len()),
        );
        out.extend_from_slice(&self.preamble);
        if !self.preamble.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
        for part in &self.parts {
            out.extend_from_slice(delimiter.as_bytes());
            out.extend_from_slice(b"\r\n");
            let start = out.len();
            part.write_to(&mut out);
            if memmem::find(out.get(start..).unwrap_or_default(), delimiter.as_bytes()).is_some() {
                return Err(MimeError::BoundaryInPart);
            }
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(delimiter.as_bytes());
        out.extend_from_slice(b"--\r\n");
        out.extend_from_slice(&self.epilogue);
        Ok(Bytes::from(out))
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart")
            .field("subtype", &self.subtype)
            .field("boundary", &self.boundary)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// RFC 2046 §5.1.1: 1 to 70 of these characters, no blank at the end.
pub(crate) fn is_boundary(boundary: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    (1..=70).contains(&boundary.len()) && boundary.bytes().all(legal) && !boundary.ends_with(' ')
}

/// What chosen boundaries begin with; 16 hexadecimal digits follow, so that none is the beginning of another.
const BOUNDARY_PREFIX: &str = "cpm-";

/// The first boundary that occurs in none of the parts: one pass collects those that occur, the least free number is
/// taken. No trial and error, so no body makes this slow.
fn free_boundary(parts: &[Part]) -> String {
    let mut taken = BTreeSet::new();
    for part in parts {
        let wire = part.to_bytes();
        for at in memmem::find_iter(&wire, BOUNDARY_PREFIX.as_bytes()) {
            let from = at.saturating_add(BOUNDARY_PREFIX.len());
            let digits =
                wire.get(from..from.saturating_add(16)).and_then(|digits| core::str::from_utf8(digits).ok());
            taken.extend(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
    }
    let free = (0..=u64::MAX).zip(&taken).find(|(n, taken)| n != *taken).map(|(n, _)| n);
    let free = free.unwrap_or_else(|| u64::try_from(taken.len()).unwrap_or(u64::MAX));
    alloc::format!("{BOUNDARY_PREFIX}{free:016x}")
}

/// Where the pieces of a multipart body are.
struct Split {
    preamble_end: usize,
    parts: Vec<(usize, usize)>,
    epilogue_start: usize,
    tolerated: Vec<Tolerated>,
}

/// Finds the delimiter lines in one pass. The CRLF before such a line belongs to it.
fn split(body: &[u8], boundary: &str, limits: &Limits, leniency: Leniency) -> Result<Split, MimeError> {
    let delimiter = alloc::format!("--{boundary}");
    let mut parts: Vec<(usize, usize)> = Vec::new();
    let mut preamble_end = 0_usize;
    let mut open: Option<usize> = None;
    for at in memmem::find_iter(body, delimiter.as_bytes()) {
        let Some(line) = delimiter_line(body, at, delimiter.len()) else { continue };
        let before = at.saturating_sub(2);
        match open {
            None => preamble_end = before,
            Some(start) if start > before => return Err(MimeError::EmptyPart),
            Some(start) => {
                LimitExceeded::check("mime.max_parts", parts.len().saturating_add(1), limits.max_parts)?;
                parts.push((start, before));
            }
        }
        if line.closes {
            let tolerated = Vec::new();
            return if parts.is_empty() {
                Err(MimeError::NoParts)
            } else {
                Ok(Split { preamble_end, parts, epilogue_start: line.end, tolerated })
            };
        }
        open = Some(line.end);
    }
    match open {
        Some(start) if leniency.missing_close_delimiter => {
            // A last delimiter line without its dashes (RFC 5438 as printed) opens nothing.
            let nothing_follows = start == body.len() && !parts.is_empty();
            if !nothing_follows {
                LimitExceeded::check("mime.max_parts", parts.len().saturating_add(1), limits.max_parts)?;
                parts.push((start, body.len()));
            }
            let tolerated = alloc::vec![Tolerated::MissingCloseDelimiter];
            Ok(Split { preamble_end, parts, epilogue_start: body.len(), tolerated })
        }
        _ => Err(MimeError::NoCloseDelimiter),
    }
}

struct DelimiterLine {
    /// Behind the line end.
    end: usize,
    closes: bool,
}

/// The delimiter line at `at`, where the two dashes and the boundary were found, if that is one: at the start of a
/// line, and nothing but the closing dashes and blanks up to the line end (or, when it closes, up to the end of input).
fn delimiter_line(body: &[u8], at: usize, length: usize) -> Option<DelimiterLine> {
    let line_start = at == 0 || body.get(..at).is_some_and(|before| before.ends_with(b"\r\n"));
    if !line_start {
        return None;
    }
    let mut end = at.saturating_add(length);
    let closes = body.get(end..).is_some_and(|rest| rest.starts_with(b"--"));
    if closes {
        end = end.saturating_add(2);
    }
    while matches!(body.get(end), Some(b' ' | b'\t')) {
        end = end.saturating_add(1);
    }
    match body.get(end..) {
        Some(rest) if rest.starts_with(b"\r\n") => Some(DelimiterLine { end: end.saturating_add(2), closes }),
        Some([]) if closes => Some(DelimiterLine { end, closes }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
