//! A multipart body written piece by piece, for parts that are too large to be held.

use crate::multipart::is_boundary;
use crate::{ContentType, MimeError, MimeHeaders};
use alloc::string::String;
use alloc::vec::Vec;
use memchr::memmem;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first part.
    Start,
    /// In the body of a part.
    Part,
    /// Behind the closing delimiter line.
    End,
    /// The boundary was met in a part: what was written so far is no multipart.
    Spoilt,
}

/// Writes a multipart body into buffers as it goes: `part`, `body` as often as there is something, the next `part` …,
/// `end`. It keeps fewer octets than the boundary has.
///
/// What was written cannot be taken back, so the boundary has to be one that no part holds: make it of 128 random bits.
/// It is looked for all the same, across pieces too.
///
/// ```
/// use cpm_mime::{ContentType, MimeHeaders, MultipartWriter};
///
/// let kind = ContentType::parse("multipart/mixed;boundary=5f0c7e0d")?;
/// let mut headers = MimeHeaders::new();
/// headers.push("Content-Type", "text/plain")?;
/// let (mut writer, mut out) = (MultipartWriter::new(&kind)?, Vec::new());
/// writer.part(&headers, &mut out)?;
/// writer.body(b"Hel", &mut out)?;
/// writer.body(b"lo", &mut out)?;
/// writer.end(&mut out)?;
/// assert_eq!(out, b"--5f0c7e0d\r\nContent-Type: text/plain\r\n\r\nHello\r\n--5f0c7e0d--\r\n");
/// # Ok::<(), cpm_mime::MimeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MultipartWriter {
    /// Two dashes and the boundary.
    delimiter: String,
    state: State,
    /// The last octets of the part, fewer than the delimiter has.
    tail: Vec<u8>,
}

impl MultipartWriter {
    /// A writer for a body of that type, whose boundary it takes.
    ///
    /// # Errors
    /// [`MimeError::NotMultipart`], [`MimeError::BoundaryMissing`], [`MimeError::BoundaryInvalid`].
    pub fn new(content_type: &ContentType) -> Result<Self, MimeError> {
        if !content_type.is_multipart() {
            return Err(MimeError::NotMultipart);
        }
        let boundary = content_type.param("boundary").ok_or(MimeError::BoundaryMissing)?;
        if !is_boundary(boundary) {
            return Err(MimeError::BoundaryInvalid);
        }
        let delimiter = alloc::format!("--{boundary}");
        Ok(MultipartWriter { delimiter, state: State::Start, tail: Vec::new() })
    }

    /// Ends the part before, if there is one, and begins the next with these header fields.
    ///
    /// # Errors
    /// [`MimeError::WriterOrder`] behind the end; [`MimeError::BoundaryInPart`]: a header field holds the boundary.
    pub fn part(&mut self, headers: &MimeHeaders, out: &mut Vec<u8>) -> Result<(), MimeError> {
        match self.state {
            State::Start => {}
            State::Part => out.extend_from_slice(b"\r\n"),
            State::End | State::Spoilt => return Err(MimeError::WriterOrder),
        }
        out.extend_from_slice(self.delimiter.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.state = State::Part;
        self.tail.clear();
        let start = out.len();
        headers.write_to(out);
        out.extend_from_slice(b"\r\n");
        let written = out.get(start..).unwrap_or_default();
        if memmem::find(written, self.delimiter.as_bytes()).is_some() {
            out.truncate(start);
            self.state = State::Spoilt;
            return Err(MimeError::BoundaryInPart);
        }
        Ok(())
    }

    /// Appends octets of the body of the part, as they are to stand on the wire.
    ///
    /// # Errors
    /// [`MimeError::WriterOrder`] outside of a part; [`MimeError::BoundaryInPart`]: these octets, or these with those
    /// before, hold the boundary. Nothing of them is written then, and nothing more can be.
    pub fn body(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), MimeError> {
        if self.state != State::Part {
            return Err(MimeError::WriterOrder);
        }
        let keep = self.delimiter.len().saturating_sub(1);
        // Where the pieces meet: the tail and as much of the new octets as an occurrence could reach into.
        self.tail.extend_from_slice(octets.get(..keep).unwrap_or(octets));
        let delimiter = self.delimiter.as_bytes();
        if memmem::find(&self.tail, delimiter).is_some() || memmem::find(octets, delimiter).is_some() {
            self.state = State::Spoilt;
            return Err(MimeError::BoundaryInPart);
        }
        if octets.len() >= keep {
            self.tail.clear();
            self.tail.extend_from_slice(octets.get(octets.len().saturating_sub(keep)..).unwrap_or_default());
        } else {
            let surplus = self.tail.len().saturating_sub(keep);
            self.tail.drain(..surplus);
        }
        out.extend_from_slice(octets);
        Ok(())
    }

    /// Ends the last part and the body.
    ///
    /// # Errors
    /// [`MimeError::NoParts`]; [`MimeError::WriterOrder`] behind the end.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), MimeError> {
        match self.state {
            State::Start => return Err(MimeError::NoParts),
            State::Part => {}
            State::End | State::Spoilt => return Err(MimeError::WriterOrder),
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.delimiter.as_bytes());
        out.extend_from_slice(b"--\r\n");
        self.state = State::End;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
