//! Whether a message is well-formed and valid, what would be refused for other reasons, and the answers deserved.

use super::bodies;
use super::fields::{self, written};
use super::report::{Answer, Decoded, Finding, FindingKind, Kind, Pairs, StartLine, Verdict};
use cpm_sip::{
    Accept, Finding as Found, HeaderName, Headers, Message, Method, ParseError, ParseFailure, Request,
    RequestPolicy, Response, Role, StatusCode, Weight, inspect_request, inspect_response,
};

/// Option tags that a user agent of CPM has.
const OPTION_TAGS: [&str; 17] = [
    "100rel",
    "eventlist",
    "from-change",
    "gruu",
    "histinfo",
    "multiple-refer",
    "norefersub",
    "outbound",
    "path",
    "pref",
    "privacy",
    "recipient-list-invite",
    "recipient-list-message",
    "recipient-list-subscribe",
    "replaces",
    "tdialog",
    "timer",
];

/// Bodies that a user agent of CPM takes.
const MEDIA_TYPES: [&str; 8] = [
    "text/*",
    "multipart/*",
    "message/*",
    "application/sdp",
    "application/resource-lists+xml",
    "application/im-iscomposing+xml",
    "application/conference-info+xml",
    "application/reginfo+xml",
];

fn policy(role: Role) -> RequestPolicy {
    RequestPolicy {
        role,
        option_tags: OPTION_TAGS.map(String::from).to_vec(),
        content_types: MEDIA_TYPES.iter().filter_map(|range| Accept::new(range).ok()).collect(),
        ..RequestPolicy::user_agent()
    }
}

/// A message that parsed. `length` are the octets that it came with; on a datagram, some behind its body may be none of it.
pub(super) fn message(offset: usize, length: usize, message: &Message) -> Decoded {
    let octets = message.to_bytes().len().min(length);
    let kind = match message {
        Message::Request(_) => Kind::Request,
        Message::Response(_) => Kind::Response,
    };
    let mut decoded = Decoded::new(offset, octets, kind);
    decoded.ignored_octets = length.saturating_sub(octets);
    decoded.headers = fields::all(message.headers());
    let (bodies, faults) = bodies::of(message.headers(), message.body().clone());
    decoded.bodies = bodies;
    let mut findings = match message {
        Message::Request(request) => {
            decoded.start_line = Some(request_line(request));
            of_request(request)
        }
        Message::Response(response) => {
            decoded.start_line = Some(status_line(response));
            inspect_response(response).iter().map(|found| finding(FindingKind::Fault, found, None)).collect()
        }
    };
    let request = match message {
        Message::Request(request) => Some(request),
        Message::Response(_) => None,
    };
    findings.extend(
        faults.into_iter().map(|fault| Finding {
            kind: if fault.optional { FindingKind::Lapse } else { FindingKind::Fault },
            place: fault.place,
            octet: None,
            answer: request
                .filter(|_| !fault.optional)
                .and_then(|request| answer(request, fault.status, &fault.text)),
            text: fault.text,
        }),
    );
    decoded.verdict = Verdict::new(findings);
    decoded
}

/// What is wrong with a request, and what a user agent and a proxy would not do with it.
fn of_request(request: &Request) -> Vec<Finding> {
    let found = inspect_request(request, &policy(Role::UserAgent));
    let mut findings: Vec<Finding> =
        found.iter().map(|found| finding(FindingKind::UserAgentRefuses, found, Some(request))).collect();
    if let Some(refused) = no_answer_is_accepted(request) {
        findings.push(refused);
    }
    let refused_too = |found: &Found| found.weight == Weight::Unsupported && !is_among(found, &findings);
    let by_proxies: Vec<Found> =
        inspect_request(request, &policy(Role::Proxy)).into_iter().filter(refused_too).collect();
    findings.extend(by_proxies.iter().map(|found| finding(FindingKind::ProxyRefuses, found, Some(request))));
    findings
}

fn is_among(found: &Found, findings: &[Finding]) -> bool {
    let status = found.status.as_u16();
    findings.iter().any(|finding| finding.answer.as_ref().is_some_and(|answer| answer.status == status))
}

/// An INVITE is answered with a session description: one that accepts none is answered 406 (RFC 4475 §3.3.15).
fn no_answer_is_accepted(request: &Request) -> Option<Finding> {
    if *request.method() != Method::Invite || !request.headers().contains(&HeaderName::Accept) {
        return None;
    }
    let accepted = request.headers().typed_list::<Accept>().ok()?;
    if accepted.iter().any(|range| range.allows("application/sdp") && range.q() > 0) {
        return None;
    }
    let text = "Accept has no room for an answer of type application/sdp";
    let status = StatusCode::new(406)?;
    Some(Finding {
        kind: FindingKind::UserAgentRefuses,
        place: "Accept[0]".to_owned(),
        octet: None,
        text: text.to_owned(),
        answer: answer(request, status.as_u16(), text),
    })
}

/// A finding of the codec's; `refused` is what one that is no fault and no lapse counts as.
fn finding(refused: FindingKind, found: &Found, request: Option<&Request>) -> Finding {
    let kind = match found.weight {
        Weight::Fault => FindingKind::Fault,
        Weight::Unsupported => refused,
        Weight::Lapse => FindingKind::Lapse,
    };
    let place = found.place.as_ref();
    let deserved = request.filter(|request| kind != FindingKind::Lapse && *request.method() != Method::Ack);
    Finding {
        kind,
        place: place.map_or("start line".to_owned(), |place| format!("{}[{}]", place.header, place.index)),
        octet: place.and_then(|place| place.offset),
        text: found.text.clone(),
        answer: deserved.map(|request| {
            let reply = found.reply(request);
            let pair = |(name, value): &(HeaderName, cpm_sip::HeaderText)| {
                (name.as_str().to_owned(), value.as_str().to_owned())
            };
            Answer {
                status: reply.status().as_u16(),
                reason: reply.reason().to_owned(),
                headers: found.headers.iter().map(pair).collect(),
            }
        }),
    }
}

/// The answer with that status. A 400 says what is wrong (RFC 3261 §21.4.1).
fn answer(request: &Request, status: u16, text: &str) -> Option<Answer> {
    if *request.method() == Method::Ack {
        return None;
    }
    let status = StatusCode::new(status)?;
    let mut reply = Response::for_request(request, status);
    if status == StatusCode::BAD_REQUEST {
        reply.set_reason(text);
    }
    Some(Answer { status: status.as_u16(), reason: reply.reason().to_owned(), headers: Vec::new() })
}

/// Octets that did not parse, with what could be read of them.
pub(super) fn failure(offset: usize, octets: &[u8], failure: &ParseFailure) -> Decoded {
    let mut decoded = Decoded::new(offset, octets.len(), Kind::Unreadable);
    decoded.start_line = Some(StartLine { text: first_line(octets), reading: Pairs::default() });
    let none = Headers::new();
    let headers = failure.context.as_ref().map_or(&none, |context| context.headers());
    decoded.headers = fields::all(headers);
    let reply = failure.reply();
    decoded.verdict = Verdict::new(vec![Finding {
        kind: FindingKind::Fault,
        place: place(&failure.error).to_owned(),
        octet: None,
        text: failure.to_string(),
        answer: reply.map(|reply| Answer {
            status: reply.status().as_u16(),
            reason: reply.reason().to_owned(),
            headers: Vec::new(),
        }),
    }]);
    decoded
}

/// A stream that ends too early.
pub(super) fn cut(offset: usize, octets: &[u8]) -> Decoded {
    let mut decoded = Decoded::new(offset, octets.len(), Kind::Unreadable);
    decoded.start_line = Some(StartLine { text: first_line(octets), reading: Pairs::default() });
    decoded.verdict = Verdict::new(vec![Finding {
        kind: FindingKind::Fault,
        place: "end of file".to_owned(),
        octet: Some(octets.len()),
        text: "the stream ends inside of a message".to_owned(),
        answer: None,
    }]);
    decoded
}

fn place(error: &ParseError) -> &'static str {
    match error {
        ParseError::NotSip
        | ParseError::RequestLine(_)
        | ParseError::RequestUri(_)
        | ParseError::StatusLine(_)
        | ParseError::Version => "start line",
        ParseError::ContentLength
        | ParseError::ContentLengthRepeated
        | ParseError::ContentLengthMissing
        | ParseError::BodyShort { .. } => "Content-Length",
        ParseError::HeaderLine(_) => "a header field",
        ParseError::Control | ParseError::Truncated => "the head",
        _ => "the message",
    }
}

fn request_line(request: &Request) -> StartLine {
    let uri = request.uri();
    let mut reading = Pairs::default().with("method", request.method().as_str());
    reading.0.extend(fields::uri(uri).0);
    StartLine { text: first_line(&request.to_bytes()), reading }
}

fn status_line(response: &Response) -> StartLine {
    let reading = Pairs::default()
        .with("status", response.status().as_u16().to_string())
        .with("reason", response.reason())
        .with("meaning", response.status().reason());
    StartLine { text: first_line(&response.to_bytes()), reading }
}

/// Octets of a start line that are shown.
const MAX_START_LINE: usize = 4096;

/// The first line that is not empty.
fn first_line(octets: &[u8]) -> String {
    let line = octets.split(|octet| *octet == b'\n').find(|line| !line.trim_ascii().is_empty());
    let line = line.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).unwrap_or_default();
    written(line.get(..MAX_START_LINE).unwrap_or(line))
}
