//! SIP: datagrams and streams.

use super::partitions;
use super::sip_header::typed_values;
use super::sip_uri::one_uri;
use bytes::Bytes;

/// A datagram: octets survive, edits stay where they are made, every typed getter has a value or an error, and what is
/// refused is answered by something that can be read.
pub fn sip_message(data: &[u8]) {
    let limits = cpm_sip::Limits::default();
    match cpm_sip::parse_datagram(Bytes::copy_from_slice(data), &limits) {
        Ok(message) => sip_accepted(data, &message, &limits),
        Err(failure) => {
            let Some(reply) = failure.reply() else { return };
            assert_eq!(Some(reply.status()), failure.error.status());
            let answer = response(&reply.to_bytes(), &limits);
            assert_eq!(answer.status(), reply.status());
        }
    }
    fragment(data, &limits);
    if let Ok(text) = std::str::from_utf8(data) {
        one_uri(text);
        header_injection(text, &limits);
    }
}

/// A fragment keeps its octets; cut out of what it is a fragment of, its fields are the same.
fn fragment(data: &[u8], limits: &cpm_sip::Limits) {
    let Ok(fragment) = cpm_sip::Fragment::parse(Bytes::copy_from_slice(data), limits) else { return };
    assert_eq!(fragment.to_bytes(), data);
    let Ok(message) = cpm_sip::parse_datagram(Bytes::copy_from_slice(data), limits) else { return };
    // CRLFs before a message are no part of it; a fragment that begins with one has no head.
    if data.starts_with(b"\r\n") {
        return;
    }
    let names: Vec<_> = message.headers().iter().map(|(name, _)| name.clone()).collect();
    assert!(fragment.headers().iter().map(|(name, _)| name).eq(&names));
    let cut = cpm_sip::Fragment::of(&message, &names);
    let again = cpm_sip::Fragment::parse(cut.to_bytes(), limits).expect("a part of a message");
    assert_eq!(again.start(), fragment.start());
    assert!(again.headers().iter().map(|(name, _)| name).eq(&names));
}

fn response(octets: &Bytes, limits: &cpm_sip::Limits) -> cpm_sip::Response {
    match cpm_sip::parse_datagram(octets.clone(), limits) {
        Ok(cpm_sip::Message::Response(response)) => response,
        other => panic!("our own answer cannot be read: {other:?} for {octets:?}"),
    }
}

fn sip_accepted(data: &[u8], message: &cpm_sip::Message, limits: &cpm_sip::Limits) {
    let wire = message.to_bytes();
    let start = data.chunks(2).take_while(|pair| *pair == b"\r\n").count() * 2;
    assert!(data[start..].starts_with(&wire), "not the octets that came");
    let again = cpm_sip::parse_datagram(wire.clone(), limits).expect("what was read is read again");
    assert_eq!(again.to_bytes(), wire);

    // Opening a message for edits, and making none, changes nothing.
    let mut edited = message.clone();
    edited.headers_mut();
    assert_eq!(edited.to_bytes(), wire, "an edit that changes nothing");

    typed_values(message.headers());
    removed_fields(message, limits);
    match message {
        cpm_sip::Message::Request(request) => sip_request(request, limits),
        cpm_sip::Message::Response(response) => {
            let _ = cpm_sip::validate_response(response);
        }
    }
}

fn sip_request(request: &cpm_sip::Request, limits: &cpm_sip::Limits) {
    one_uri(request.uri().as_str());
    for policy in [cpm_sip::RequestPolicy::user_agent(), cpm_sip::RequestPolicy::proxy()] {
        if let Err(finding) = cpm_sip::validate_request(request, &policy) {
            let reply = finding.reply(request);
            assert!(reply.status().is_final() && !reply.status().is_success());
            response(&reply.to_bytes(), limits);
        }
    }
    response(&cpm_sip::Response::for_request(request, cpm_sip::StatusCode::OK).to_bytes(), limits);
}

/// Whoever removes a field, in whatever spelling, leaves none of that name to the next reader (threats A4).
fn removed_fields(message: &cpm_sip::Message, limits: &cpm_sip::Limits) {
    let names: Vec<_> = message.headers().iter().map(|(name, _)| name.clone()).take(8).collect();
    for name in names {
        let mut without = message.clone();
        let count = without.headers().count(&name);
        assert_eq!(without.headers_mut().remove(&name), count);
        let Ok(again) = cpm_sip::parse_datagram(without.to_bytes(), limits) else { continue };
        assert!(!again.headers().contains(&name), "{name:?} is still there");
        assert_eq!(again.headers().len() + count, message.headers().len());
    }
}

/// A text that may stand in a header field adds one field, whatever it says.
fn header_injection(text: &str, limits: &cpm_sip::Limits) {
    let Ok(value) = cpm_sip::HeaderText::new(text) else { return };
    let uri = cpm_sip::Uri::parse("sip:bob@example.com").expect("a URI");
    let request = cpm_sip::Request::new(cpm_sip::Method::Message, uri)
        .with_header(cpm_sip::HeaderName::Subject, value)
        .with_body(Bytes::from_static(b"x"));
    let Ok(again) = cpm_sip::parse_datagram(request.to_bytes(), limits) else { return };
    assert_eq!(again.headers().len(), 2, "Subject and Content-Length");
    assert_eq!(again.body(), "x");
}

/// A stream: the frames are the same however it is cut.
pub fn sip_stream(data: &[u8]) {
    let small = cpm_sip::Limits {
        max_header_bytes: 256,
        max_header_line: 128,
        max_body: 64,
        max_stream_message: 300,
        max_headers: 6,
        max_leading_crlf: 4,
        max_uri: 32,
        ..cpm_sip::Limits::default()
    };
    for limits in [cpm_sip::Limits::default(), small] {
        let [whole, bytewise, pieces] = partitions(data).map(|parts| sip_frames(&parts, limits));
        assert_eq!(whole, bytewise, "octet by octet");
        assert_eq!(whole, pieces, "in pieces");
    }
}

fn sip_frames(parts: &[&[u8]], limits: cpm_sip::Limits) -> Vec<String> {
    let mut framer = cpm_sip::StreamFramer::new(limits);
    let mut frames = Vec::new();
    for part in parts {
        framer.push(Bytes::copy_from_slice(part));
        while let Some(frame) = framer.next() {
            frames.push(match frame {
                cpm_sip::Frame::Message(message) => {
                    let wire = message.to_bytes();
                    assert!(wire.len() <= limits.max_stream_message);
                    let alone = cpm_sip::parse_datagram(wire.clone(), &limits).expect("a message alone");
                    assert_eq!(alone, *message, "a datagram says the same as a stream");
                    format!("message {wire:?}")
                }
                cpm_sip::Frame::KeepAlivePing => "ping".into(),
                cpm_sip::Frame::Pong => "pong".into(),
                cpm_sip::Frame::Broken(failure) => format!("broken {}", sip_fault(&failure, &limits)),
                cpm_sip::Frame::Lost(failure) => format!("lost {}", sip_fault(&failure, &limits)),
            });
        }
        let bound = limits.max_header_bytes + limits.max_stream_message + part.len();
        assert!(framer.buffered() <= bound, "{} octets kept", framer.buffered());
    }
    if frames.last().is_some_and(|last| last.starts_with("lost")) {
        framer.push(Bytes::from_static(b"MESSAGE sip:a@b SIP/2.0\r\nl:0\r\n\r\n"));
        assert!(framer.next().is_none(), "nothing follows a lost frame");
    }
    frames
}

/// A fault without the figures that depend on how much of a too long thing had come.
fn sip_fault(failure: &cpm_sip::ParseFailure, limits: &cpm_sip::Limits) -> String {
    if let Some(reply) = failure.reply() {
        let default = cpm_sip::Limits::default();
        response(&reply.to_bytes(), if limits.max_headers < 100 { &default } else { limits });
    }
    match failure.error {
        cpm_sip::ParseError::Limit(exceeded) => exceeded.limit.into(),
        error => format!("{error:?}"),
    }
}
