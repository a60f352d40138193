//! Messages out of a stream (RFC 3261 §18.3, RFC 5626 §3.5.1 for keep-alives).
//!
//! ```text
//!            CRLF: Pong, CRLF CRLF: Pong, Ping            the empty line        Content-Length octets
//!            +------+                                    (head is complete)         (body is complete)
//!            v      |   first octet of a token                   |                        |
//!          Between -+------------------------------> Head -------+----> Body -------------+--> Between
//!            |                                         |                |
//!            +---- anything that is no SIP ------------+----------------+--------> Lost
//! ```

use crate::error::{ParseError, ParseFailure};
use crate::grammar::parse_u32;
use crate::head;
use crate::limits::Limits;
use crate::message::Message;
use crate::name::HeaderName;
use crate::parse::parse_frame;
use crate::steps;
use crate::text::is_token_octet;
use alloc::boxed::Box;
use bytes::{Buf, Bytes, BytesMut};
use core::mem;

/// What a stream holds next.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A message.
    Message(Box<Message>),
    /// The second CRLF of two in a row: a keep-alive that asks for a CRLF in return (RFC 5626 §4.4.1).
    KeepAlivePing,
    /// A CRLF between messages. The answer to a ping, for who sent one; the first half of a ping or nothing for others.
    Pong,
    /// A message whose end is known but which cannot be read. [`ParseFailure::reply`] is the answer; the next message works.
    Broken(ParseFailure),
    /// Where the next message begins is not known any more: answer if there is an answer, then close. Nothing follows.
    Lost(ParseFailure),
}

/// Cuts a stream into messages. Resumable at every octet: how the octets are pushed changes neither the frames nor the cost.
///
/// Holds at most one message within the limits, and what was pushed and not yet taken by [`StreamFramer::next`].
///
/// ```
/// use cpm_sip::{Frame, Limits, StreamFramer};
/// let mut framer = StreamFramer::new(Limits::default());
/// framer.push(b"SIP/2.0 200 OK\r\nl: 2\r"[..].into());
/// assert!(framer.next().is_none());
/// framer.push(b"\n\r\nhi\r\n"[..].into());
/// assert!(matches!(framer.next(), Some(Frame::Message(m)) if m.body() == "hi"));
/// assert!(matches!(framer.next(), Some(Frame::Pong)));
/// assert!(framer.next().is_none());
/// ```
#[derive(Debug)]
pub struct StreamFramer {
    limits: Limits,
    buffer: BytesMut,
    state: State,
    /// CRLFs in a row since the last message, or since [`StreamFramer::reset_keep_alives`].
    line_ends: usize,
    /// Octets that were looked at, for the proof that a stream cut in pieces costs no more.
    #[cfg(test)]
    pub(crate) steps: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Head { scanned: usize, first_line: bool },
    Body { head: usize, total: usize },
    Lost,
}

impl StreamFramer {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> StreamFramer {
        StreamFramer {
            limits,
            buffer: BytesMut::new(),
            state: State::Between,
            line_ends: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Takes what was received. After [`Frame::Lost`] it is thrown away.
    pub fn push(&mut self, bytes: Bytes) {
        if self.state != State::Lost {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// Octets that wait for more.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the stream is in the middle of a message.
    #[must_use]
    pub fn is_inside_message(&self) -> bool {
        matches!(self.state, State::Head { .. } | State::Body { .. })
    }

    /// A whole message came beside the octets, in their order: whether it stands between two messages of the stream, and not
    /// amid one or amid the octets of a CRLF. What was counted between messages begins anew, as after every message.
    pub fn pass_message(&mut self) -> bool {
        let between = self.state == State::Between && self.buffer.is_empty();
        if between {
            self.line_ends = 0;
        }
        between
    }

    /// Forgets the CRLFs counted so far. The owner of a long-lived connection calls this as time passes, so that keep-alives
    /// of hours do not add up to `Limits::max_leading_crlf`.
    pub fn reset_keep_alives(&mut self) {
        // The half of a ping stays.
        self.line_ends = self.line_ends.checked_rem(2).unwrap_or(0);
    }

    /// What comes next, when it is complete. Not an iterator: `None` means "not yet".
    #[expect(clippy::should_implement_trait, reason = "None is not the end")]
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let step = match self.state {
                State::Lost => return None,
                State::Between => self.between(),
                State::Head { scanned, first_line } => self.head(scanned, first_line),
                State::Body { head, total } => self.body(head, total),
            };
            match step {
                Step::Frame(frame) => return Some(frame),
                Step::Enter(state) => self.state = state,
                Step::Wait => return None,
            }
        }
    }

    fn between(&mut self) -> Step {
        match (self.buffer.first(), self.buffer.get(1)) {
            (None, _) | (Some(b'\r'), None) => Step::Wait,
            (Some(b'\r'), Some(b'\n')) => {
                self.line_ends = self.line_ends.saturating_add(1);
                if let Err(exceeded) = self.limits.max_leading_crlf(self.line_ends) {
                    return self.lost(ParseFailure { error: exceeded.into(), context: None });
                }
                self.buffer.advance(2);
                let ping = self.line_ends.checked_rem(2) == Some(0);
                Step::Frame(if ping { Frame::KeepAlivePing } else { Frame::Pong })
            }
            (Some(octet), _) if is_token_octet(*octet) => {
                self.line_ends = 0;
                Step::Enter(State::Head { scanned: 0, first_line: false })
            }
            _ => self.lost(ParseFailure { error: ParseError::NotSip, context: None }),
        }
    }

    fn head(&mut self, scanned: usize, first_line: bool) -> Step {
        // A head that is too long is found to be so at the same octet however it came: nothing beyond is looked at.
        let most = self.buffer.len().min(self.limits.max_header_bytes);
        let seen = self.buffer.get(..most).unwrap_or_default();
        // Only what is new is looked at, and three octets before it that may begin the empty line.
        let from = scanned.saturating_sub(3);
        #[cfg(test)]
        {
            self.steps = self.steps.saturating_add(most.saturating_sub(from));
        }
        let line_end = memchr::memchr(b'\n', seen.get(scanned..).unwrap_or_default());
        if let (false, Some(end)) = (first_line, line_end)
            && !looks_like_sip(seen.get(..scanned.saturating_add(end)).unwrap_or_default())
        {
            return self.lost(ParseFailure { error: ParseError::NotSip, context: None });
        }
        let Some(end) = head::find_end(seen, from) else {
            if self.buffer.len() > most {
                let value = most.saturating_add(1);
                return match self.limits.max_header_bytes(value) {
                    Err(exceeded) => self.lost_in_head(value, exceeded.into()),
                    Ok(()) => Step::Wait,
                };
            }
            self.state = State::Head { scanned: most, first_line: first_line || line_end.is_some() };
            return Step::Wait;
        };
        match self.announced(end) {
            Ok(total) => Step::Enter(State::Body { head: end, total }),
            Err(error) => self.lost_in_head(end, error),
        }
    }

    /// Octets of the whole message, as its head announces them.
    fn announced(&self, head_end: usize) -> Result<usize, ParseError> {
        let length = content_length(self.buffer.get(..head_end).unwrap_or_default())?;
        self.limits.max_body(length)?;
        let total = head_end.saturating_add(length);
        self.limits.max_stream_message(total)?;
        Ok(total)
    }

    fn body(&mut self, head_end: usize, total: usize) -> Step {
        if self.buffer.len() < total {
            return Step::Wait;
        }
        let octets = self.buffer.split_to(total).freeze();
        self.state = State::Between;
        match parse_frame(octets, head_end, &self.limits) {
            Ok(message) => Step::Frame(Frame::Message(Box::new(message))),
            Err(failure) if keeps_framing(&failure.error) => Step::Frame(Frame::Broken(failure)),
            Err(failure) => self.lost(failure),
        }
    }

    /// Lost in a head of which `end` octets are there: what they say of a request is kept for the answer.
    fn lost_in_head(&mut self, end: usize, error: ParseError) -> Step {
        let octets = mem::take(&mut self.buffer).freeze();
        let failure = head::read(&octets, 0, end.min(octets.len()), &self.limits).failure(error);
        self.lost(failure)
    }

    fn lost(&mut self, failure: ParseFailure) -> Step {
        self.state = State::Lost;
        self.buffer = BytesMut::new();
        Step::Frame(Frame::Lost(failure))
    }
}

enum Step {
    Frame(Frame),
    Enter(State),
    Wait,
}

/// Whether a line may begin a message: a port that speaks SIP answers nothing else, and does not wait for more of it.
fn looks_like_sip(line: &[u8]) -> bool {
    let Some(line) = line.strip_suffix(b"\r") else { return false };
    let sip = |text: &[u8]| text.get(..4).is_some_and(|t| t.eq_ignore_ascii_case(b"SIP/"));
    sip(line) || line.trim_ascii_end().rsplit(|o| *o == b' ').next().is_some_and(sip)
}

/// The one Content-Length of a head; the same cutting of fields as everywhere, without keeping them.
fn content_length(head: &[u8]) -> Result<usize, ParseError> {
    steps::visit(head.len());
    let mut length = None;
    for at in memchr::memchr_iter(b'\n', head).map(|end| end.saturating_add(1)) {
        let rest = head.get(at..).unwrap_or_default();
        if rest.starts_with(b"\r\n") {
            break;
        }
        // No other line is worth a look.
        if !may_be_content_length(rest) {
            continue;
        }
        let (end, _) = head::logical_line(head, at);
        let line = head.get(at..end).unwrap_or_default();
        let Ok((name, value)) = head::field(line, 0) else { continue };
        if !HeaderName::ContentLength.is(line.get(name.0..name.1).unwrap_or_default()) {
            continue;
        }
        if length.is_some() {
            return Err(ParseError::ContentLengthRepeated);
        }
        let digits = line.get(value.0..value.1).unwrap_or_default();
        let number = parse_u32(digits).and_then(|n| usize::try_from(n).ok());
        length = Some(number.ok_or(ParseError::ContentLength)?);
    }
    length.ok_or(ParseError::ContentLengthMissing)
}

/// Whether a line begins as Content-Length does, in its long form or its compact one.
fn may_be_content_length(line: &[u8]) -> bool {
    let long = HeaderName::ContentLength.as_str();
    match line {
        [b'l' | b'L', ..] => true,
        [b'c' | b'C', ..] => {
            line.get(..long.len()).is_some_and(|name| name.eq_ignore_ascii_case(long.as_bytes()))
        }
        _ => false,
    }
}

/// Whether every reader agrees where a message with this fault ends: the fault is in one line that cannot be taken for
/// another, and the one Content-Length was read.
fn keeps_framing(error: &ParseError) -> bool {
    match error {
        ParseError::RequestLine(_)
        | ParseError::RequestUri(_)
        | ParseError::StatusLine(_)
        | ParseError::Version
        | ParseError::HeaderLine(_)
        | ParseError::Limit(_) => true,
        ParseError::Empty
        | ParseError::NotSip
        | ParseError::Control
        | ParseError::Truncated
        | ParseError::BodyShort { .. }
        | ParseError::ContentLength
        | ParseError::ContentLengthRepeated
        | ParseError::ContentLengthMissing => false,
    }
}

#[cfg(test)]
mod tests;
