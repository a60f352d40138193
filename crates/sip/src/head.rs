//! The head of a message: start-line and header fields, cut into pieces (RFC 3261 §7.1 to §7.3.1).
//!
//! A fault does not end the reading: the lines that can be understood are kept, so that a broken request can be answered.

pub(crate) mod plain;
mod sweep;

use crate::error::{ParseError, ParseFailure, ReplyContext, UriError};
use crate::grammar::parse_u32;
use crate::headers::{Fields, Headers};
use crate::limits::Limits;
use crate::message::COPIED;
use crate::method::Method;
use crate::name::HeaderName;
use crate::status::StatusCode;
use crate::steps;
use crate::text::{ByteStr, is_forbidden_control};
use crate::uri::Uri;
use bytes::Bytes;
use cpm_base::LimitExceeded;
use memchr::memchr;

type Span = (usize, usize);

/// What was found of a head.
pub(crate) struct Head {
    pub(crate) start: Result<StartLine, ParseError>,
    /// With its line end.
    pub(crate) start_line: Span,
    /// The method, even of a Request-Line with a fault.
    method: Option<Method>,
    pub(crate) fields: Fields,
    pub(crate) content_length: Option<usize>,
    /// The first fault after the start-line.
    pub(crate) fault: Option<ParseError>,
}

pub(crate) enum StartLine {
    Request(Method, Uri),
    Status(StatusCode, ByteStr),
}

impl Head {
    /// The failure to parse, with what can be said of the request.
    pub(crate) fn failure(self, error: ParseError) -> ParseFailure {
        let headers = Headers::from(self.fields).subset(COPIED);
        let context = self.method.map(|method| ReplyContext::new(method, headers));
        ParseFailure { error, context }
    }

    fn note(&mut self, fault: ParseError) {
        self.fault.get_or_insert(fault);
    }
}

/// Where the head ends: after the empty line. `from` is where to look, at or after the first octet of the start-line.
pub(crate) fn find_end(octets: &[u8], from: usize) -> Option<usize> {
    let at = memchr::memmem::find(octets.get(from..)?, b"\r\n\r\n");
    let seen = at.map_or(octets.len().saturating_sub(from), |at| at.saturating_add(4));
    steps::visit(seen);
    let at = at?;
    Some(from.saturating_add(at).saturating_add(4))
}

/// Reads the head that begins at `start` and ends before `end`, whatever is wrong with it.
pub(crate) fn read(source: &Bytes, start: usize, end: usize, limits: &Limits) -> Head {
    let (readable, too_long) = readable(start, end, limits);
    let octets = source.get(..readable).unwrap_or_default();
    let first_end = line_end(octets, start);
    let line = octets.get(start..first_end).unwrap_or_default();
    let text = line.strip_suffix(b"\r\n");
    let (start_value, method) = match text {
        Some(text) if !text.iter().copied().any(is_forbidden_control) => {
            start_line(source, (start, start.saturating_add(text.len())), limits)
        }
        Some(_) => (Err(ParseError::Control), None),
        None if line.ends_with(b"\n") => (Err(ParseError::Control), None),
        None => (Err(ParseError::NotSip), None),
    };
    let mut head = Head {
        start: start_value,
        start_line: (start, first_end),
        method,
        fields: Fields::received(source.clone(), *limits),
        content_length: None,
        fault: too_long.map(ParseError::Limit),
    };
    read_fields(source, (first_end, readable), limits, &mut head);
    head
}

/// Reads header fields that no start-line stands before, as far as an empty line or the end.
pub(crate) fn read_fields_alone(source: &Bytes, limits: &Limits) -> Head {
    let (readable, too_long) = readable(0, source.len(), limits);
    let mut head = Head {
        start: Err(ParseError::NotSip),
        start_line: (0, 0),
        method: None,
        fields: Fields::received(source.clone(), *limits),
        content_length: None,
        fault: too_long.map(ParseError::Limit),
    };
    read_fields(source, (0, readable), limits, &mut head);
    head
}

/// How far the head between `start` and `end` is read, and what it exceeds by its length: the limit, or what a field can
/// say of its place.
pub(crate) fn readable(start: usize, end: usize, limits: &Limits) -> (usize, Option<LimitExceeded>) {
    let max = limits.max_header_bytes.min(Fields::MAX_SOURCE.saturating_sub(start));
    let exceeded = LimitExceeded::check("sip.max_header_bytes", end.saturating_sub(start), max).err();
    (end.min(start.saturating_add(max)), exceeded)
}

fn read_fields(source: &Bytes, (mut at, end): Span, limits: &Limits, head: &mut Head) {
    let octets = source.get(..end).unwrap_or_default();
    let mut lengths = 0usize;
    while at < end && !octets.get(at..).unwrap_or_default().starts_with(b"\r\n") {
        let (field_end, folds) = logical_line(octets, at);
        let line = octets.get(at..field_end).unwrap_or_default();
        let span = (at, field_end);
        at = field_end;
        if !line.ends_with(b"\n") {
            // A field that was cut says nothing, not even where to answer to.
            head.note(ParseError::Truncated);
            return;
        }
        if let Err(exceeded) = limits
            .max_header_line(line.len())
            .and_then(|()| limits.max_folds(folds))
            .and_then(|()| limits.max_headers(head.fields.len().saturating_add(1)))
        {
            head.note(exceeded.into());
            if exceeded.limit == "sip.max_headers" {
                return;
            }
            continue;
        }
        match field(line, span.0) {
            Ok((name_span, value)) => {
                let name = octets.get(name_span.0..name_span.1).unwrap_or_default();
                let Some(known) = HeaderName::known(name) else {
                    match HeaderName::other(source.slice(name_span.0..name_span.1)) {
                        Some(name) => head.fields.push_other(name, span, value),
                        None => head.note(ParseError::HeaderLine("the name is not a token")),
                    }
                    continue;
                };
                if matches!(known, HeaderName::ContentLength) {
                    lengths = lengths.saturating_add(1);
                    note_content_length(octets.get(value.0..value.1), lengths, head);
                }
                head.fields.push_received(known.place(), span, value);
            }
            Err(fault) => head.note(fault),
        }
    }
}

fn note_content_length(value: Option<&[u8]>, lengths: usize, head: &mut Head) {
    if lengths > 1 {
        head.note(ParseError::ContentLengthRepeated);
        return;
    }
    match value.and_then(parse_u32).and_then(|n| usize::try_from(n).ok()) {
        Some(length) => head.content_length = Some(length),
        None => head.note(ParseError::ContentLength),
    }
}

/// Where the line that begins at `at` ends, its LF included.
pub(crate) fn line_end(octets: &[u8], at: usize) -> usize {
    let rest = octets.get(at..).unwrap_or_default();
    let end = memchr(b'\n', rest).map_or(octets.len(), |i| at.saturating_add(i).saturating_add(1));
    steps::visit(end.saturating_sub(at));
    end
}

/// Where the field that begins at `at` ends, continuation lines included, and how many those are.
pub(crate) fn logical_line(octets: &[u8], at: usize) -> (usize, usize) {
    let (mut end, mut folds) = (line_end(octets, at), 0usize);
    while end < octets.len() && matches!(octets.get(end), Some(b' ' | b'\t')) {
        end = line_end(octets, end);
        folds = folds.saturating_add(1);
    }
    (end, folds)
}

/// Cuts a field into name and value, as spans of the source in which the line begins at `start`. Between the name and
/// the colon only spaces and tabs may stand.
pub(crate) fn field(line: &[u8], start: usize) -> Result<(Span, Span), ParseError> {
    steps::visit(line.len());
    check_controls(line)?;
    let colon = memchr(b':', line).ok_or(ParseError::HeaderLine("no colon"))?;
    let (name, rest) = line.split_at_checked(colon).ok_or(ParseError::HeaderLine("no colon"))?;
    let blanks = name.iter().rev().take_while(|o| matches!(o, b' ' | b'\t')).count();
    let name_end = start.saturating_add(colon).saturating_sub(blanks);
    let before = trim_end(rest.get(1..).unwrap_or_default());
    let value = trim_start(before);
    let end = start.saturating_add(colon).saturating_add(1).saturating_add(before.len());
    Ok(((start, name_end), (end.saturating_sub(value.len()), end)))
}

const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

fn trim_start(octets: &[u8]) -> &[u8] {
    let at = octets.iter().position(|o| !is_space(*o)).unwrap_or(octets.len());
    octets.get(at..).unwrap_or_default()
}

fn trim_end(octets: &[u8]) -> &[u8] {
    let end = octets.iter().rposition(|o| !is_space(*o)).map_or(0, |i| i.saturating_add(1));
    octets.get(..end).unwrap_or_default()
}

/// Line ends are CRLF and nothing else; other control characters stand after a backslash only (`quoted-pair`).
fn check_controls(line: &[u8]) -> Result<(), ParseError> {
    if sweep::LineEnds::new(line, 0).next() == Some(line.len()) {
        return Ok(());
    }
    let (mut escaped, mut after_cr) = (false, false);
    for octet in line {
        let fine = match octet {
            b'\n' => after_cr,
            _ if after_cr => false,
            b'\r' => true,
            octet => escaped || !is_forbidden_control(*octet),
        };
        if !fine {
            return Err(ParseError::Control);
        }
        after_cr = *octet == b'\r';
        escaped = *octet == b'\\' && !escaped;
    }
    if after_cr { Err(ParseError::Control) } else { Ok(()) }
}

pub(crate) type Start = (Result<StartLine, ParseError>, Option<Method>);

/// Reads the start-line in `span`, its line end not included. Also gives the method of a faulty Request-Line.
#[inline]
pub(crate) fn start_line(source: &Bytes, span: Span, limits: &Limits) -> Start {
    let line = source.get(span.0..span.1).unwrap_or_default();
    if line.get(..4).is_some_and(|l| l.eq_ignore_ascii_case(b"SIP/")) {
        return (status_line(source, span), None);
    }
    let usual = line.strip_suffix(b" SIP/2.0").map(<[u8]>::len);
    let (Some(first), Some(last)) = (memchr(b' ', line), usual.or_else(|| memchr::memrchr(b' ', line)))
    else {
        return (Err(ParseError::NotSip), None);
    };
    let version = line.get(last.saturating_add(1)..).unwrap_or_default();
    let method_end = span.0.saturating_add(first);
    let known = line.get(..first).and_then(Method::known);
    let Some(method) = known.or_else(|| Method::other(source.slice(span.0..method_end))) else {
        return (Err(ParseError::NotSip), None);
    };
    let sip = |v: &[u8]| v.get(..4).is_some_and(|l| l.eq_ignore_ascii_case(b"SIP/"));
    // Spaces after the version are a fault of a line that is SIP all the same.
    let padded = version.is_empty() && trim_end(line).rsplit(|o| *o == b' ').next().is_some_and(sip);
    if !padded && !sip(version) {
        return (Err(ParseError::NotSip), None);
    }
    if let Err(exceeded) = limits.max_token(first) {
        return (Err(exceeded.into()), Some(method));
    }
    if let Err(error) = check_version(version) {
        return (Err(error), Some(method));
    }
    let uri_span = (method_end.saturating_add(1), span.0.saturating_add(last));
    let uri = request_uri(source, uri_span, limits);
    (uri.map(|uri| StartLine::Request(method.clone(), uri)), Some(method))
}

#[inline]
fn request_uri(source: &Bytes, span: Span, limits: &Limits) -> Result<Uri, ParseError> {
    let octets =
        source.get(span.0..span.1).filter(|o| !o.is_empty()).ok_or(ParseError::RequestLine("no URI"))?;
    if memchr(b' ', octets).is_some() {
        return Err(ParseError::RequestLine("more than one space, or a space in the URI"));
    }
    let text = core::str::from_utf8(octets).map_err(|_| ParseError::RequestUri(UriError::Character))?;
    Uri::parse_within(text, limits).map_err(|error| match error {
        UriError::Limit(exceeded) => ParseError::Limit(exceeded),
        error => ParseError::RequestUri(error),
    })
}

/// `SIP/2.0` in any case. Another pair of numbers is another version; anything else is no version at all.
fn check_version(version: &[u8]) -> Result<(), ParseError> {
    if version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = version.get(4..).unwrap_or_default().split(|o| *o == b'.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(major), Some(minor), None) if digits(major) && digits(minor) => Err(ParseError::Version),
        _ => Err(ParseError::RequestLine("the version is malformed, or spaces follow it")),
    }
}

fn status_line(source: &Bytes, span: Span) -> Result<StartLine, ParseError> {
    let line = source.get(span.0..span.1).unwrap_or_default();
    let space = memchr(b' ', line).ok_or(ParseError::StatusLine("no status code"))?;
    let (version, rest) = line.split_at_checked(space).unwrap_or_default();
    check_version(version).map_err(|error| match error {
        ParseError::Version => ParseError::Version,
        _ => ParseError::StatusLine("the version is malformed"),
    })?;
    let [b' ', code @ .., b' '] = rest.get(..5).unwrap_or_default() else {
        return Err(ParseError::StatusLine("no three digits and a space"));
    };
    let status = parse_u32(code)
        .and_then(|code| u16::try_from(code).ok())
        .and_then(StatusCode::new)
        .ok_or(ParseError::StatusLine("not a status code"))?;
    let reason_start = span.0.saturating_add(space).saturating_add(5);
    let reason = ByteStr::from_utf8(source.slice(reason_start..span.1));
    Ok(StartLine::Status(status, reason.ok_or(ParseError::StatusLine("the reason phrase is not UTF-8"))?))
}
