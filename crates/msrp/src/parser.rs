//! The stream scanner: octets in any cut become heads, pieces of bodies and ends (RFC 4975 §7.1, §7.3.1).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::fmt;
use cpm_base::LimitExceeded;
use memchr::memchr;

use crate::head::{BadHead, Head, HeadCache};
use crate::hyphens::Hyphens;
use crate::limits::Limits;
use crate::values::{ContinuationFlag, is_ident};

/// What a stream consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A head; pieces of the body follow when it has one, then the end.
    Head(Head),
    /// A head that cannot be understood; what follows it is framed as ever and has to be dropped.
    BadHead(Box<BadHead>),
    /// A piece of a body, at most [`Limits::piece`] octets, never empty.
    Body(Bytes),
    /// The end-line.
    End(ContinuationFlag),
    /// Framing is lost: nothing more is read from this stream, ever. Close it.
    Lost(FramingError),
}

/// Why framing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingError {
    /// What should be a start line is none of MSRP: somebody speaks another protocol, or a length was lied about.
    NotMsrp,
    /// The transaction id is none.
    TransactionId,
    /// A head or the body of something that is no SEND is too long.
    Limit(LimitExceeded),
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FramingError::NotMsrp => f.write_str("what should be a start line is none of MSRP"),
            FramingError::TransactionId => f.write_str("the transaction id is none"),
            FramingError::Limit(limit) => write!(f, "{limit}"),
        }
    }
}

impl core::error::Error for FramingError {}

enum State {
    Head,
    Body,
    Lost,
}

/// A resumable scanner for one direction of one connection.
///
/// Octets go in as they come ([`push`](StreamParser::push)), frames come out ([`next`](StreamParser::next)); however the
/// octets are cut, the frames are the same except for where bodies are cut into pieces. No octet is looked at again from
/// the start. Heads and bodies are handed on as slices of what was pushed; kept are at most one unfinished head, how the last ones were
/// written, and the part of an end-line that may have begun.
///
/// ```
/// use cpm_msrp::{ContinuationFlag, Frame, Limits, StreamParser};
///
/// let mut parser = StreamParser::new(&Limits::default());
/// parser.push("MSRP d93kswow SEND\r\nTo-Path: msrp://b:1/x;tcp\r\nFrom-Path: msrp://a:1/y;tcp\r\n".into());
/// assert!(parser.next().is_none());
/// parser.push("Message-ID: 12\r\nContent-Type: text/plain\r\n\r\n-------d93kswov$\r\n\r\n-------d93kswow$\r\n".into());
/// assert!(matches!(parser.next(), Some(Frame::Head(head)) if head.message_id() == Some("12")));
/// assert_eq!(parser.next(), Some(Frame::Body("-------d93kswov$\r\n".into()))); // somebody else's end-line
/// assert_eq!(parser.next(), Some(Frame::End(ContinuationFlag::End)));
/// ```
pub struct StreamParser {
    max_header: usize,
    max_lines: usize,
    max_nonsend_body: usize,
    piece: usize,
    input: VecDeque<Bytes>,
    state: State,
    /// Octets of the head that is being read.
    head: Vec<u8>,
    /// Where its last, unfinished line begins.
    line_start: usize,
    lines: usize,
    /// CRLF, seven hyphens and the transaction id: what an end-line begins with.
    delimiter: Vec<u8>,
    /// The end that was found behind the last piece of a body or behind a head.
    end: Option<ContinuationFlag>,
    /// Octets behind what was handed on that may be the beginning of an end-line.
    held: Vec<u8>,
    /// How many octets at the front of `held` belong to the empty line before the body.
    not_body: usize,
    /// Whether the start line is that of a SEND, whose body may be of any length.
    is_send: bool,
    /// For anything but a SEND: how much longer its body may get.
    body_left: Option<usize>,
    cache: HeadCache,
    /// Looks for CRLF and seven hyphens.
    marker: Hyphens,
}

/// What a search for the end-line finds.
enum Found {
    /// At this offset, whole.
    End(usize, ContinuationFlag),
    /// At this offset something begins that may become an end-line.
    Maybe(usize),
    Nothing,
}

impl StreamParser {
    /// A scanner at the beginning of a stream.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        StreamParser {
            max_header: limits.max_header,
            max_lines: limits.max_lines,
            max_nonsend_body: limits.max_nonsend_body,
            piece: limits.piece.max(1),
            input: VecDeque::new(),
            state: State::Head,
            head: Vec::new(),
            line_start: 0,
            lines: 0,
            delimiter: Vec::new(),
            end: None,
            held: Vec::new(),
            not_body: 0,
            is_send: false,
            body_left: None,
            cache: HeadCache::default(),
            marker: Hyphens::new(b"\r\n-------"),
        }
    }

    /// More octets. After [`Frame::Lost`] they are dropped.
    pub fn push(&mut self, octets: Bytes) {
        if !matches!(self.state, State::Lost) && !octets.is_empty() {
            self.input.push_back(octets);
        }
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn in_head(&self) -> bool {
        !self.head.is_empty()
    }

    /// How many octets have been pushed and not been looked at.
    pub(crate) fn unread(&self) -> usize {
        self.input.iter().fold(0, |sum, octets| sum.saturating_add(octets.len()))
    }

    /// The next frame; `None` until more octets come.
    #[allow(clippy::should_implement_trait)] // not an iterator: it goes on after `None`
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(flag) = self.end.take() {
                self.state = State::Head;
                return Some(Frame::End(flag));
            }
            let frame = match self.state {
                State::Lost => return None,
                State::Head => self.read_head(),
                State::Body => self.read_body(),
            };
            match frame {
                Ok(Some(frame)) => return Some(frame),
                // An end without a piece before it, or nothing to read.
                Ok(None) if self.end.is_some() => {}
                Ok(None) => return None,
                Err(error) => {
                    self.state = State::Lost;
                    self.end = None;
                    self.input = VecDeque::new();
                    self.head = Vec::new();
                    self.held = Vec::new();
                    return Some(Frame::Lost(error));
                }
            }
        }
    }

    /// Takes lines from the input until the head is whole.
    fn read_head(&mut self) -> Result<Option<Frame>, FramingError> {
        if self.head.is_empty()
            && let Some(frame) = self.read_head_at_once()?
        {
            return Ok(Some(frame));
        }
        while let Some(chunk) = self.input.front_mut() {
            let take = memchr(b'\n', chunk).map_or(chunk.len(), |at| at.saturating_add(1));
            let length = self.head.len().saturating_add(take);
            if length > self.max_header {
                // What does not begin like MSRP is told from what is too long.
                begins_like_msrp(&self.head, chunk)?;
                let exceeded = LimitExceeded::check("msrp.max_header", length, self.max_header);
                return exceeded.map(|()| None).map_err(FramingError::Limit);
            }
            self.head.extend_from_slice(chunk.get(..take).unwrap_or_default());
            chunk.advance(take);
            if chunk.is_empty() {
                self.input.pop_front();
            }
            begins_like_msrp(&self.head, &[])?;
            if self.head.ends_with(b"\r\n")
                && let Some(frame) = self.line()?
            {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// A head that is there from its start to its end is read where it stands.
    fn read_head_at_once(&mut self) -> Result<Option<Frame>, FramingError> {
        let Some(chunk) = self.input.front() else { return Ok(None) };
        let fits = |length: usize| length <= self.max_header;
        if let Some((head, flag, taken)) =
            self.cache.same_response(chunk).filter(|(.., length)| fits(*length))
        {
            self.advance(taken);
            self.end = Some(flag);
            return Ok(Some(Frame::Head(head)));
        }
        if let Some((head, taken)) = self.cache.same_request(chunk).filter(|(_, length)| fits(*length)) {
            self.advance(taken);
            self.transaction_is(head.transaction());
            self.is_send = true;
            self.body_begins();
            return Ok(Some(Frame::Head(head)));
        }
        let seen = chunk.get(..self.max_header.min(chunk.len())).unwrap_or_default();
        let Some(at) = memchr(b'\n', seen) else { return Ok(None) };
        let first = seen.get(..at).and_then(|line| line.strip_suffix(b"\r"));
        // What is not as usual is left to the other way.
        let Some((first, transaction)) = first.and_then(|line| Some((line, transaction_id(line).ok()?)))
        else {
            return Ok(None);
        };
        let is_send = first.ends_with(b" SEND");
        let (mut start, mut lines) = (at.saturating_add(1), 1usize);
        let (length, end, taken) = loop {
            let rest = seen.get(start..).unwrap_or_default();
            let Some(at) = memchr(b'\n', rest) else { return Ok(None) };
            let next = start.saturating_add(at).saturating_add(1);
            lines = lines.saturating_add(1);
            if lines > self.max_lines {
                return Ok(None);
            }
            match rest.get(..at).unwrap_or_default() {
                // A lone LF ends no line.
                line if !line.ends_with(b"\r") => return Ok(None),
                b"\r" => break (start, None, next),
                [b'-', ..] => {
                    let line = rest.get(..at).and_then(|line| line.strip_suffix(b"\r")).unwrap_or_default();
                    let id = line.strip_prefix(b"-------").and_then(|line| line.strip_prefix(transaction));
                    if let Some([flag]) = id
                        && let Some(flag) = ContinuationFlag::read(*flag)
                    {
                        break (start, Some(flag), next);
                    }
                }
                _ => {}
            }
            start = next;
        };
        self.delimiter.clear();
        self.delimiter.extend_from_slice(b"\r\n-------");
        self.delimiter.extend_from_slice(transaction);
        self.is_send = is_send;
        let text = chunk.slice(..length.min(chunk.len()));
        self.advance(taken);
        Ok(Some(self.head_is(text, end)))
    }

    fn advance(&mut self, count: usize) {
        if let Some(chunk) = self.input.front_mut() {
            chunk.advance(count.min(chunk.len()));
            if chunk.is_empty() {
                self.input.pop_front();
            }
        }
    }

    /// A line of the head is whole.
    fn line(&mut self) -> Result<Option<Frame>, FramingError> {
        self.lines = self.lines.saturating_add(1);
        LimitExceeded::check("msrp.max_lines", self.lines, self.max_lines).map_err(FramingError::Limit)?;
        let start = self.line_start;
        self.line_start = self.head.len();
        let line = self.head.get(start..self.head.len().saturating_sub(2)).unwrap_or_default();
        if self.lines == 1 {
            let transaction = transaction_id(line)?;
            self.delimiter.clear();
            self.delimiter.extend_from_slice(b"\r\n-------");
            self.delimiter.extend_from_slice(transaction);
            self.is_send = line.ends_with(b" SEND");
            return Ok(None);
        }
        if line.is_empty() {
            return Ok(Some(self.head_ends(start, None)));
        }
        let flag = line.strip_prefix(self.delimiter.get(2..).unwrap_or_default());
        match flag {
            Some([flag]) => Ok(ContinuationFlag::read(*flag).map(|flag| self.head_ends(start, Some(flag)))),
            _ => Ok(None),
        }
    }

    fn head_ends(&mut self, length: usize, end: Option<ContinuationFlag>) -> Frame {
        let text = Bytes::copy_from_slice(self.head.get(..length).unwrap_or_default());
        self.head = Vec::new();
        self.line_start = 0;
        self.lines = 0;
        self.head_is(text, end)
    }

    fn head_is(&mut self, text: Bytes, end: Option<ContinuationFlag>) -> Frame {
        self.end = end;
        let head = Head::parse_with(text, end.is_none(), &mut self.cache);
        if end.is_none() {
            self.body_begins();
        }
        head.map_or_else(Frame::BadHead, Frame::Head)
    }

    fn transaction_is(&mut self, transaction: &[u8]) {
        self.delimiter.clear();
        self.delimiter.extend_from_slice(b"\r\n-------");
        self.delimiter.extend_from_slice(transaction);
    }

    fn body_begins(&mut self) {
        self.body_left = (!self.is_send).then_some(self.max_nonsend_body);
        self.state = State::Body;
        // The empty line's CRLF may be the one before the end-line: then the body is empty.
        self.held.clear();
        self.held.extend_from_slice(b"\r\n");
        self.not_body = 2;
    }

    fn read_body(&mut self) -> Result<Option<Frame>, FramingError> {
        while self.end.is_none() {
            let Some(piece) = self.body_step() else { return Ok(None) };
            if !piece.is_empty() {
                if let Some(left) = &mut self.body_left {
                    let limit = self.max_nonsend_body;
                    let so_far = limit.saturating_sub(*left).saturating_add(piece.len());
                    LimitExceeded::check("msrp.max_nonsend_body", so_far, limit)
                        .map_err(FramingError::Limit)?;
                    *left = left.saturating_sub(piece.len());
                }
                return Ok(Some(Frame::Body(piece)));
            }
        }
        Ok(None)
    }

    /// One step through the body: a piece of it, perhaps an empty one; `None` when the input is used up.
    fn body_step(&mut self) -> Option<Bytes> {
        if !self.held.is_empty() {
            return self.held_step();
        }
        let overlap = self.delimiter.len().saturating_add(3);
        let window = self.piece.saturating_add(overlap);
        let chunk = self.input.front_mut()?;
        let seen = chunk.get(..window.min(chunk.len())).unwrap_or_default();
        let all = seen.len() == chunk.len();
        let piece = match find_end(seen, &self.marker, &self.delimiter) {
            Found::End(at, flag) if at <= self.piece => {
                let piece = chunk.split_to(at);
                chunk.advance(overlap.min(chunk.len()));
                self.end = Some(flag);
                piece
            }
            Found::Maybe(at) if all && at <= self.piece => {
                let piece = chunk.split_to(at);
                self.held.extend_from_slice(chunk);
                chunk.clear();
                piece
            }
            _ => chunk.split_to(self.piece.min(chunk.len())),
        };
        if chunk.is_empty() {
            self.input.pop_front();
        }
        Some(piece)
    }

    /// What was held back, with what follows it: is it an end-line?
    fn held_step(&mut self) -> Option<Bytes> {
        let overlap = self.delimiter.len().saturating_add(3);
        let chunk = self.input.front_mut()?;
        // The empty line before a body that does not begin like an end-line is not of the body, and that is all.
        if self.not_body == 2 && self.held.len() == 2 && chunk.first().is_some_and(|first| *first != b'-') {
            self.not_body = 0;
            self.held.clear();
            return self.body_step();
        }
        let held = self.held.len();
        let more = overlap.min(chunk.len());
        self.held.extend_from_slice(chunk.get(..more).unwrap_or_default());
        let (body, keep) = match find_end(&self.held, &self.marker, &self.delimiter) {
            Found::End(at, flag) if at < held => {
                chunk.advance(at.saturating_add(overlap).saturating_sub(held).min(chunk.len()));
                self.end = Some(flag);
                (at, at)
            }
            Found::Maybe(at) if at < held => {
                // Everything there is was not enough to tell.
                chunk.advance(more);
                (at, self.held.len())
            }
            _ => (held, held),
        };
        if chunk.is_empty() {
            self.input.pop_front();
        }
        let skip = self.not_body.min(body);
        self.not_body = self.not_body.saturating_sub(skip);
        let piece = Bytes::copy_from_slice(self.held.get(skip..body).unwrap_or_default());
        self.held.truncate(keep);
        self.held.drain(..body.min(keep));
        Some(piece)
    }
}

impl fmt::Debug for StreamParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamParser").finish_non_exhaustive()
    }
}

/// Another protocol is told by its first octets (threats B13).
fn begins_like_msrp(head: &[u8], more: &[u8]) -> Result<(), FramingError> {
    let same = head.iter().chain(more).zip(b"MSRP ").all(|(a, b)| a == b);
    if same { Ok(()) } else { Err(FramingError::NotMsrp) }
}

/// The second word of a start line.
fn transaction_id(line: &[u8]) -> Result<&[u8], FramingError> {
    let rest = line.strip_prefix(b"MSRP ").ok_or(FramingError::NotMsrp)?;
    let word = rest.split(|b| *b == b' ').next().unwrap_or_default();
    if is_ident(word) { Ok(word) } else { Err(FramingError::TransactionId) }
}

/// CRLF and seven hyphens.
const MARKER: usize = 9;

/// Looks for CRLF, hyphens, transaction id, flag, CRLF: the whole of it (threats B3).
fn find_end(text: &[u8], marker: &Hyphens, delimiter: &[u8]) -> Found {
    let mut from = 0usize;
    while let Some(at) = marker.find(text.get(from..).unwrap_or_default()) {
        let at = from.saturating_add(at);
        let id = delimiter.get(MARKER..).unwrap_or_default();
        let behind = text.get(at.saturating_add(MARKER)..).unwrap_or_default();
        if !behind.starts_with(id) {
            if id.starts_with(behind) {
                return Found::Maybe(at);
            }
            from = at.saturating_add(2);
            continue;
        }
        let after = text.get(at.saturating_add(delimiter.len())..).unwrap_or_default();
        match after {
            [flag, b'\r', b'\n', ..] => {
                if let Some(flag) = ContinuationFlag::read(*flag) {
                    return Found::End(at, flag);
                }
            }
            [] => return Found::Maybe(at),
            [flag] | [flag, b'\r'] if ContinuationFlag::read(*flag).is_some() => return Found::Maybe(at),
            _ => {}
        }
        // An end-line begins with CRLF: the next one cannot begin before the end of this one's hyphens.
        from = at.saturating_add(2);
    }
    // What stands at the end may be its beginning.
    let tail_from = text.len().saturating_sub(delimiter.len().saturating_sub(1)).max(from);
    let tail = text.get(tail_from..).unwrap_or_default();
    let begun = |at: &usize| tail.get(*at..).is_some_and(|rest| delimiter.starts_with(rest));
    match (0..tail.len()).find(begun) {
        Some(at) => Found::Maybe(tail_from.saturating_add(at)),
        None => Found::Nothing,
    }
}

#[cfg(test)]
mod tests;
