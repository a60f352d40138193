//! Octets to messages.

use crate::error::{ParseError, ParseFailure};
use crate::head::{self, Head, StartLine};
use crate::headers::Fields;
use crate::limits::Limits;
use crate::message::{Message, Received, Request, Response};
use bytes::Bytes;

/// Reads the message of a datagram (RFC 3261 §18.3).
///
/// CRLFs before the start-line are skipped (§7.5). What follows the body that Content-Length announces is ignored; without a
/// Content-Length the body reaches to the end. Errors that affect one header field alone do not fail the parse: the typed
/// getter for that field returns them, and [`validate_request`](crate::validate_request) looks for them.
///
/// # Errors
/// The octets are no message; [`ParseFailure::reply`] is the answer they deserve. A datagram of CRLFs alone is a
/// keep-alive: [`ParseError::Empty`].
pub fn parse_datagram(bytes: Bytes, limits: &Limits) -> Result<Message, ParseFailure> {
    let alone = |error| ParseFailure { error, context: None };
    let start = leading_line_ends(&bytes);
    if start == bytes.len() {
        return Err(alone(ParseError::Empty));
    }
    limits.max_leading_crlf(start / 2).map_err(|exceeded| alone(exceeded.into()))?;
    if let Err(exceeded) = limits.max_datagram(bytes.len()) {
        let end = head::find_end(&bytes, start).unwrap_or(bytes.len());
        return Err(head::read(&bytes, start, end, limits).failure(exceeded.into()));
    }
    let bytes = match plain(bytes, start, limits) {
        Ok(message) => return Ok(message),
        Err(bytes) => bytes,
    };
    let end = head::find_end(&bytes, start);
    let head = head::read(&bytes, start, end.unwrap_or(bytes.len()), limits);
    let truncated = end.is_none();
    let end = end.unwrap_or(bytes.len());
    finish(bytes, head, start, end, truncated, limits)
}

/// Reads a message that is exactly the octets from one end to the other, as the framer of a stream cuts it.
pub(crate) fn parse_frame(bytes: Bytes, head_end: usize, limits: &Limits) -> Result<Message, ParseFailure> {
    let bytes = match plain(bytes, 0, limits) {
        Ok(message) => return Ok(message),
        Err(bytes) => bytes,
    };
    let head = head::read(&bytes, 0, head_end, limits);
    finish(bytes, head, 0, head_end, false, limits)
}

/// Reads a message with nothing unusual about it; gives the octets back when there is something.
#[inline]
fn plain(bytes: Bytes, start: usize, limits: &Limits) -> Result<Message, Bytes> {
    if bytes.len() > Fields::MAX_SOURCE {
        return Err(bytes);
    }
    let mut fields = Fields::received(bytes.clone(), *limits);
    let Some(cut) = head::plain::cut(&bytes, start, limits, &mut fields) else { return Err(bytes) };
    let present = bytes.len().saturating_sub(cut.end);
    let length = cut.content_length.unwrap_or(present);
    if length > present || length > limits.max_body {
        return Err(bytes);
    }
    let (begin, _) = head::start_line(&bytes, (start, cut.start_line_end.saturating_sub(2)), limits);
    let Ok(begin) = begin else { return Err(bytes) };
    let body_end = cut.end.saturating_add(length);
    let (body, start_line) = (bytes.slice(cut.end..body_end), cut.start_line_end.saturating_sub(start));
    let whole = start == 0 && body_end == bytes.len();
    let wire = if whole { bytes } else { bytes.slice(start..body_end) };
    Ok(message(begin, Received { body, start_line, wire, headers: fields.into() }))
}

#[inline]
fn message(begin: StartLine, received: Received) -> Message {
    match begin {
        StartLine::Request(method, uri) => Message::Request(Request::received(method, uri, received)),
        StartLine::Status(status, reason) => Message::Response(Response::received(status, reason, received)),
    }
}

fn leading_line_ends(bytes: &[u8]) -> usize {
    let pairs = bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count();
    pairs.saturating_mul(2)
}

fn finish(
    bytes: Bytes,
    mut head: Head,
    start: usize,
    head_end: usize,
    truncated: bool,
    limits: &Limits,
) -> Result<Message, ParseFailure> {
    let start_value = core::mem::replace(&mut head.start, Err(ParseError::NotSip));
    let (start_value, body_end) =
        match start_value.and_then(|s| Ok((s, check(&head, &bytes, head_end, truncated, limits)?))) {
            Ok(good) => good,
            Err(error) => return Err(head.failure(error)),
        };
    let received = Received {
        body: bytes.slice(head_end..body_end),
        start_line: head.start_line.1.saturating_sub(start),
        wire: bytes.slice(start..body_end),
        headers: head.fields.into(),
    };
    Ok(message(start_value, received))
}

/// Where the body ends, when nothing in the head is at fault.
fn check(
    head: &Head,
    bytes: &Bytes,
    head_end: usize,
    truncated: bool,
    limits: &Limits,
) -> Result<usize, ParseError> {
    if let Some(fault) = head.fault {
        return Err(fault);
    }
    if truncated {
        return Err(ParseError::Truncated);
    }
    let present = bytes.len().saturating_sub(head_end);
    let length = head.content_length.unwrap_or(present);
    limits.max_body(length)?;
    if length > present {
        return Err(ParseError::BodyShort { announced: length, present });
    }
    Ok(head_end.saturating_add(length))
}

#[cfg(test)]
mod tests;
