//! MSRP streams: each chunk with its header fields; the body of a message when its last chunk is in.

use super::report::{Decoded, Field, FileReport, Finding, FindingKind, Kind, Pairs, StartLine, Verdict};
use super::{bodies, fields};
use bytes::Bytes;
use cpm_mime::{ContentType, Part};
use cpm_msrp::{BadHead, ContinuationFlag, Frame, Head, Limits, StreamParser};
use std::collections::BTreeMap;

/// What a start line begins with.
pub(super) const START: &[u8] = b"MSRP ";

/// The octets of a message that are in, by From-Path and Message-ID.
type Messages = BTreeMap<(String, String), Vec<u8>>;

/// A chunk whose end-line has not come yet.
struct Open {
    decoded: Decoded,
    head: Option<Head>,
    body: Vec<u8>,
    tid: usize,
}

/// A file with what one side of a connection sends.
pub(super) fn stream(file: String, octets: Bytes) -> FileReport {
    let total = octets.len();
    let mut parser = StreamParser::new(&Limits::default());
    parser.push(octets.clone());
    let (mut found, mut messages, mut at) = (Vec::new(), Messages::new(), 0_usize);
    let mut open: Option<Open> = None;
    while let Some(frame) = parser.next() {
        match frame {
            Frame::Head(head) => open = Some(begin(at, head)),
            Frame::BadHead(head) => open = Some(begin_bad(at, octets.get(at..).unwrap_or_default(), &head)),
            Frame::Body(piece) => {
                if let Some(open) = &mut open {
                    open.body.extend_from_slice(&piece);
                }
            }
            Frame::End(flag) => {
                let Some(mut chunk) = open.take() else { continue };
                let end = end_of(octets.get(at..).unwrap_or_default(), &chunk);
                chunk.decoded.octets = end;
                at = at.saturating_add(end);
                found.push(finish(chunk, flag, &mut messages));
            }
            Frame::Lost(error) => {
                found.push(lost(at, octets.get(at..).unwrap_or_default(), &error));
                return FileReport::new(file, total, found);
            }
        }
    }
    if at < total {
        found.push(lost(at, octets.get(at..).unwrap_or_default(), &"the stream ends inside a chunk"));
    }
    FileReport::new(file, total, found)
}

fn begin(at: usize, head: Head) -> Open {
    let mut decoded = Decoded::new(at, 0, Kind::Msrp);
    let text = head.to_bytes();
    decoded.start_line = Some(StartLine { text: first_line(&text), reading: Pairs::default() });
    let field = |(name, value): (&str, &str)| Field {
        name: name.to_owned(),
        known: false,
        value: value.to_owned(),
        readings: Vec::new(),
    };
    decoded.headers = head.fields().map(field).collect();
    let tid = head.transaction_id().len();
    Open { decoded, head: Some(head), body: Vec::new(), tid }
}

fn begin_bad(at: usize, octets: &[u8], head: &BadHead) -> Open {
    let mut decoded = Decoded::new(at, 0, Kind::Unreadable);
    decoded.start_line = Some(StartLine { text: first_line(octets), reading: Pairs::default() });
    decoded.verdict = Verdict::new(vec![fault("header fields", &head.error)]);
    Open { decoded, head: None, body: Vec::new(), tid: head.transaction_id.len() }
}

/// Octets from the start of a chunk to behind its end-line, which is the first that can be its own behind the body.
fn end_of(octets: &[u8], chunk: &Open) -> usize {
    let head = chunk.head.as_ref().map_or(0, |head| head.to_bytes().len());
    let mut from = head.saturating_add(chunk.body.len());
    let length = chunk.tid.saturating_add(10);
    // Blank lines around the body, and heads that were not understood, have no length of their own.
    while let Some(rest) = octets.get(from..) {
        if rest.starts_with(b"-------") {
            let end = from.saturating_add(length);
            if octets.get(end.saturating_sub(2)..end) == Some(b"\r\n") {
                return end;
            }
        }
        from = from.saturating_add(1);
    }
    octets.len()
}

fn finish(chunk: Open, flag: ContinuationFlag, messages: &mut Messages) -> Decoded {
    let Open { mut decoded, head, body, .. } = chunk;
    let Some(head) = head.filter(Head::has_body) else { return decoded };
    let content_type = head.content_type().unwrap_or("unknown type").to_owned();
    let shown = bodies::opaque("body", &content_type, &Bytes::from(body.clone()));
    let Some(whole) = join(&head, body, flag, messages).and_then(|whole| part(&content_type, whole)) else {
        // A piece, or a type that cannot be read.
        decoded.bodies.push(shown);
        return decoded;
    };
    let (all, faults) = bodies::of_part(whole);
    decoded.bodies = all;
    let weigh = |optional| if optional { FindingKind::Lapse } else { FindingKind::Fault };
    let findings = faults
        .into_iter()
        .map(|found| Finding { kind: weigh(found.optional), ..fault(&found.place, &found.text) });
    decoded.verdict = Verdict::new(findings.collect());
    decoded
}

/// The whole message when this chunk is the last one of it and all before it came in order.
fn join(head: &Head, body: Vec<u8>, flag: ContinuationFlag, messages: &mut Messages) -> Option<Bytes> {
    let from = head.from_path().last().map(ToString::to_string).unwrap_or_default();
    let key = (from, head.message_id().unwrap_or_default().to_owned());
    let mut all = messages.remove(&key).unwrap_or_default();
    let place = head.byte_range().map_or(1, |range| range.start);
    if !u64::try_from(all.len()).is_ok_and(|length| place == length.saturating_add(1)) {
        return None;
    }
    all.extend_from_slice(&body);
    if flag == ContinuationFlag::More {
        messages.insert(key, all);
        return None;
    }
    (flag == ContinuationFlag::End).then(|| Bytes::from(all))
}

/// A body of that type; `None` where the type cannot be read.
pub(super) fn part(content_type: &str, body: Bytes) -> Option<Part> {
    let mut part = Part::new(&ContentType::parse(content_type).ok()?, body);
    // As it was written, not as it is written here.
    part.headers.set("Content-Type", content_type).ok()?;
    Some(part)
}

fn lost(at: usize, octets: &[u8], why: &impl ToString) -> Decoded {
    let mut decoded = Decoded::new(at, octets.len(), Kind::Unreadable);
    decoded.start_line = Some(StartLine { text: first_line(octets), reading: Pairs::default() });
    decoded.verdict = Verdict::new(vec![fault("stream", why)]);
    decoded
}

fn fault(place: &str, text: &impl ToString) -> Finding {
    Finding {
        kind: FindingKind::Fault,
        place: place.to_owned(),
        octet: None,
        text: text.to_string(),
        answer: None,
    }
}

fn first_line(octets: &[u8]) -> String {
    let line = octets.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    fields::written(line)
}
