//! The head of a message/cpim without its content, for those who pass a message on while it comes: DateTime by the
//! originating Participating Function (TS 8.2), IMDN-Record-Route and Original-To by whoever makes several messages of one
//! (RFC 5438 §8).

use crate::header::{Header, LineRules};
use crate::reader::{declared_prefix, is_known, is_mime_field, read_head};
use crate::{CpimError, Headers, Leniency, Limits, Tolerated};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// Finds the head of a message in octets that come in pieces, and holds no more than that head and the piece it ends in.
///
/// ```
/// use cpm_cpim::{Address, HeadReader, Leniency, Limits};
///
/// let mut reader = HeadReader::new(Limits::default(), Leniency::default());
/// assert!(reader.push(b"From: <im:a@x>\r\nNS: i <urn:ietf:params:imdn>\r\n")?.is_none());
/// let mut head = reader.push(b"\r\nContent-Type: text/plain\r\n\r\nHel")?.expect("the blank line ends it");
/// assert_eq!(head.rest(), "Content-Type: text/plain\r\n\r\nHel");
///
/// head.headers_mut().push_record_route(&Address::new("im:focus@x"))?;
/// assert_eq!(
///     head.to_bytes(),
///     "From: <im:a@x>\r\nNS: i <urn:ietf:params:imdn>\r\ni.IMDN-Record-Route: <im:focus@x>\r\n\r\n"
/// );
/// assert_eq!(head.growth(), 35);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct HeadReader {
    limits: Limits,
    leniency: Leniency,
    buffer: Vec<u8>,
    /// Where the first line starts that is not finished.
    line_start: usize,
    /// Octets that have been looked at for line ends.
    scanned: usize,
    /// The line before that one is blank.
    behind_blank: bool,
    /// All lines so far are MIME header fields: those of the enclosing body once more, perhaps.
    only_mime: bool,
    /// The prefixes declared so far; kept where they decide whether a line belongs to the head.
    declared: BTreeSet<String>,
}

impl HeadReader {
    /// Waits for the first octet of a message.
    #[must_use]
    pub fn new(limits: Limits, leniency: Leniency) -> Self {
        HeadReader {
            limits,
            leniency,
            buffer: Vec::new(),
            line_start: 0,
            scanned: 0,
            behind_blank: false,
            only_mime: true,
            declared: BTreeSet::new(),
        }
    }

    /// Takes the next octets. The head once it is complete, with what was given of the content behind it; then the reader
    /// waits for the next message.
    ///
    /// Octets are looked at for the end of the head once, however they are cut, and then read once or twice.
    ///
    /// # Errors
    /// The first fault. The reader waits for the next message.
    pub fn push(&mut self, octets: &[u8]) -> Result<Option<CpimHead>, CpimError> {
        self.buffer.extend_from_slice(octets);
        while let Some(may_end) = self.next_line() {
            if may_end && let Some(head) = self.attempt(self.line_start)? {
                return Ok(Some(head));
            }
        }
        // The MIME header fields of the enclosing body may stand before the head itself.
        if self.buffer.len() > self.limits.max_header_bytes.saturating_mul(2) {
            self.attempt(self.buffer.len())
        } else {
            Ok(None)
        }
    }

    /// The message ends here.
    ///
    /// # Errors
    /// There is no whole head, or a fault in it.
    pub fn finish(&mut self) -> Result<CpimHead, CpimError> {
        self.attempt(self.buffer.len())?.ok_or_else(|| {
            self.reset();
            CpimError::HeadersNotEnded
        })
    }

    /// Octets that are held.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Goes behind the next whole line; says whether the head may end there.
    fn next_line(&mut self) -> Option<bool> {
        loop {
            let ahead = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(found) = memchr::memchr(b'\n', ahead) else {
                self.scanned = self.buffer.len();
                return None;
            };
            let behind = self.scanned.saturating_add(found).saturating_add(1);
            self.scanned = behind;
            let line = self.buffer.get(self.line_start..behind).unwrap_or_default();
            // An LF alone is no line end: the attempt that comes later says so.
            let Some(line) = line.strip_suffix(b"\r\n") else { continue };
            let blank = line.is_empty();
            let behind_blank = core::mem::replace(&mut self.behind_blank, blank);
            let mime = is_mime_field(line);
            let single_block = self.leniency.single_block && mime && !self.only_mime;
            self.only_mime &= mime;
            self.line_start = behind;
            if !self.leniency.blank_line_between_headers {
                return Some(blank || single_block);
            }
            // Where blank lines may stand between fields, the line behind one decides.
            let ends = behind_blank && !is_known(line, |prefix| self.declared.contains(prefix));
            let rules = LineRules { loose_whitespace: true };
            if let Ok((header, _)) = Header::read(Bytes::copy_from_slice(line), 0, &rules)
                && let Some(prefix) = declared_prefix(&header)
            {
                self.declared.insert(String::from(prefix));
            }
            return Some(ends || single_block);
        }
    }

    /// The head, if it is complete in the lines before `end`: an unfinished line decides nothing.
    fn attempt(&mut self, end: usize) -> Result<Option<CpimHead>, CpimError> {
        let octets = Bytes::copy_from_slice(&self.buffer);
        match CpimHead::parse(octets.slice(..end), &self.limits, &self.leniency) {
            Err(CpimError::HeadersNotEnded) => Ok(None),
            done => {
                self.reset();
                done.map(|head| Some(CpimHead { rest: octets.slice(head.source.len()..), ..head }))
            }
        }
    }

    fn reset(&mut self) {
        self.buffer = Vec::new();
        (self.line_start, self.scanned) = (0, 0);
        (self.behind_blank, self.only_mime) = (false, true);
        self.declared = BTreeSet::new();
    }
}

/// The message header fields of a message/cpim, up to and with the blank line behind them.
#[derive(Debug, Clone)]
pub struct CpimHead {
    headers: Headers,
    /// The header fields as they were read.
    before: Headers,
    /// The octets as they were read.
    source: Bytes,
    rest: Bytes,
    tolerated: Vec<Tolerated>,
}

impl CpimHead {
    /// Reads the head at the front of octets that hold all of it. With deviations admitted, lines behind a blank one that
    /// look like message header fields belong to the head: content whose own header fields look so needs the whole
    /// message ([`CpimMessage::parse`](crate::CpimMessage::parse)) to be told apart.
    ///
    /// # Errors
    /// The first fault; [`CpimError::HeadersNotEnded`] where it is not all there.
    pub fn parse(octets: Bytes, limits: &Limits, leniency: &Leniency) -> Result<Self, CpimError> {
        let read = read_head(&octets, limits, leniency)?;
        let (source, rest) = (octets.slice(..read.end), octets.slice(read.end..));
        Ok(CpimHead {
            before: read.headers.clone(),
            headers: read.headers,
            source,
            rest,
            tolerated: read.tolerated,
        })
    }

    /// The message header fields, as edited.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The same, to edit. No other octet of the message is touched, but the deviations that were let pass: an edited head
    /// is written without them.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// What was given behind the head: the start of the content.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }

    /// The deviations that were let pass.
    #[must_use]
    pub fn tolerated(&self) -> &[Tolerated] {
        &self.tolerated
    }

    /// The octets that the head had when it was read.
    #[must_use]
    pub fn source(&self) -> &Bytes {
        &self.source
    }

    /// The octets of the head, the blank line included: as they were read, where no field was edited.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.headers == self.before {
            return self.source.clone();
        }
        let mut out = Vec::with_capacity(self.headers.wire_len().saturating_add(2));
        self.headers.write_to(&mut out);
        out.extend_from_slice(b"\r\n");
        Bytes::from(out)
    }

    /// By how many octets the message is longer than it was; less than 0 where it is shorter.
    #[must_use]
    pub fn growth(&self) -> i64 {
        let length = |octets: usize| i64::try_from(octets).unwrap_or(i64::MAX);
        let now = if self.headers == self.before {
            self.source.len()
        } else {
            self.headers.wire_len().saturating_add(2)
        };
        length(now).saturating_sub(length(self.source.len()))
    }
}

#[cfg(test)]
mod tests;
