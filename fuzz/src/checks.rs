//! What has to hold for any octets: the bodies of all fuzz targets. `tests/tests/fuzz_seeds.rs` runs the same over
//! `fuzz/seeds`, so that plain `cargo test` replays what was found.

use bytes::Bytes;
use std::fmt::Debug;

/// Cuts `data` into pieces of 1 to 9 octets, now and then more; where, is derived from the octets themselves.
fn cut(data: &[u8]) -> Vec<&[u8]> {
    let mut state = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut pieces = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wish = if state >> 60 == 0 { 200 } else { (state >> 33) as usize % 9 + 1 };
        let (piece, more) = rest.split_at(wish.min(rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces
}

/// The three ways in which a stream reader gets the same octets.
fn partitions(data: &[u8]) -> [Vec<&[u8]>; 3] {
    [vec![data], data.chunks(1).collect(), cut(data)]
}

// ---- SIP ----------------------------------------------------------------------------------------------------------------

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
    if let Ok(text) = std::str::from_utf8(data) {
        sip_uri(text);
        header_injection(text, &limits);
    }
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
    sip_uri(request.uri().as_str());
    for policy in [cpm_sip::RequestPolicy::user_agent(), cpm_sip::RequestPolicy::proxy()] {
        if let Err(finding) = cpm_sip::validate_request(request, &policy) {
            let reply = finding.reply(request);
            assert!(reply.status().is_final() && !reply.status().is_success());
            response(&reply.to_bytes(), limits);
        }
    }
    response(&cpm_sip::Response::for_request(request, cpm_sip::StatusCode::OK).to_bytes(), limits);
}

/// Every typed value is written and read again, as the same value.
fn typed_values(headers: &cpm_sip::Headers) {
    macro_rules! each {
        ($($type:ident)*) => {
            $(
                let _ = headers.typed::<cpm_sip::$type>();
                // Control characters, which a quoted string may hold behind a backslash, are written as spaces.
                let plain = |octet: &u8| *octet == b'\t' || !octet.is_ascii_control();
                let exact = headers.get_all(&<cpm_sip::$type as cpm_sip::TypedHeader>::NAME).all(|value| value.unfolded().iter().all(plain));
                for value in headers.typed_list::<cpm_sip::$type>().unwrap_or_default() {
                    same_again(&value, exact);
                }
            )*
        };
    }
    each! {
        Accept AcceptContact Allow CSeq CallId Contact ContentDisposition ContentLength ContentType ContributionId
        ConversationId Date Expires From InReplyToContributionId MaxForwards MessageExpires MessageUid MinExpires
        PAssertedIdentity PAssertedService PAssociatedUri PPreferredIdentity PPreferredService PServedUser Path Privacy
        ProxyRequire ReasonHeader RecordRoute RejectContact ReplyTo RequestDisposition Require RetryAfter Route Server
        ServiceRoute Subject Supported Timestamp To Unsupported UserAgent Via Warning
    }
    for (name, value) in headers.iter() {
        let _ = (name.as_str(), value.to_text(), value.as_str());
    }
}

fn same_again<H: cpm_sip::TypedHeader + PartialEq + Debug>(value: &H, exact: bool) {
    let text = value.to_text();
    match H::parse(text.as_str().as_bytes()) {
        Ok(again) => {
            assert!(again == *value || !exact, "{value:?} is written as {text:?}, read as {again:?}")
        }
        Err(error) => panic!("{value:?} is written as {text:?}, which is not read: {error}"),
    }
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

fn sip_uri(text: &str) {
    let Ok(uri) = cpm_sip::Uri::parse(text) else { return };
    assert_eq!(uri.as_str(), text);
    assert_eq!(uri.to_string(), text);
    assert!(uri.equivalent(&uri), "a URI is equivalent to itself");
    let _ = (uri.scheme(), uri.address_key());
    let again = cpm_sip::Uri::parse(text).expect("read twice");
    assert_eq!(uri.key(), again.key());
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

// ---- CPIM, IMDN ---------------------------------------------------------------------------------------------------------

/// message/cpim: octets survive, leniency changes nothing for what is well-formed, getters give values or errors.
pub fn cpim(data: &[u8]) {
    use cpm_cpim::{CpimMessage, Leniency, Limits};
    let limits = Limits::default();
    let octets = Bytes::copy_from_slice(data);
    let strict = CpimMessage::parse(octets.clone(), &limits, &Leniency::default());
    let lenient = CpimMessage::parse(octets.clone(), &limits, &Leniency::field());
    if let Ok((message, tolerated)) = &strict {
        assert!(tolerated.is_empty());
        assert_eq!(message.to_bytes(), octets);
        match &lenient {
            Ok((other, tolerated)) => assert!(tolerated.is_empty() && other == message),
            // A lenient reader sees messages inside where a strict one sees content of no form.
            Err(cpm_cpim::CpimError::Limit(exceeded)) if exceeded.limit == "cpim.depth" => {}
            Err(error) => panic!("what is strict is lenient: {error}"),
        }
        cpim_edits(message);
    }
    let Ok((message, tolerated)) = lenient else { return };
    assert_eq!(tolerated.is_empty(), strict.is_ok(), "a deviation is reported, and only then");
    let wire = message.to_bytes();
    assert_eq!(wire, octets);
    cpim_getters(&message);
}

fn cpim_getters(message: &cpm_cpim::CpimMessage) {
    for address in
        [message.to(), message.cc(), message.route(), message.record_route()].into_iter().flatten().flatten()
    {
        let again = cpm_cpim::Address::parse(&address.to_string()).expect("an address is read again");
        assert_eq!(again, address);
    }
    let _ = (message.from(), message.original_to(), message.date_time(), message.date_time_text());
    let _ = (message.subjects(), message.subject(), message.namespaces(), message.require());
    let _ = (message.imdn_message_id(), message.disposition_notification(), message.message_direction());
    let content = message.content();
    let _ = (message.is_imdn(), content.content_id(), content.content_disposition());
    let limits = cpm_mime::Limits::default();
    let _ = content.decoded();
    if let Ok(kind) = content.content_type()
        && let Ok(multipart) = cpm_mime::Multipart::parse(&kind, content.body.clone(), &limits)
        && let Ok(wire) = multipart.to_bytes()
    {
        let again = cpm_mime::Multipart::parse(&kind, wire, &limits).expect("a multipart is read again");
        assert_eq!(again.parts(), multipart.parts());
    }
}

/// What an intermediary edits can be read, and is what it wrote.
fn cpim_edits(message: &cpm_cpim::CpimMessage) {
    use cpm_cpim::{Address, CpimMessage, Leniency, Limits};
    let mut edited = message.clone();
    let hop = Address::new("sip:hop@example.com").with_display_name("A \"hop\" \\ of <ours>");
    if edited.push_record_route(&hop).is_err() || edited.set_from(&hop).is_err() {
        return;
    }
    let generous = Limits { max_headers: 1000, ..Limits::default() };
    match CpimMessage::parse(edited.to_bytes(), &generous, &Leniency::default()) {
        Ok((again, _)) => {
            assert_eq!(again.from().ok().flatten(), Some(hop));
            assert_eq!(again.content(), message.content());
        }
        Err(error) => panic!("an edited message is not read: {error} in {:?}", edited.to_bytes()),
    }
}

/// message/imdn+xml: what is read is written and read again as the same.
pub fn imdn(data: &[u8]) {
    use cpm_xml::imdn::{Leniency, parse, parse_with, write};
    let limits = cpm_xml::Limits::default();
    let lenient = parse(data, &limits);
    if let Ok((strict, tolerated)) = parse_with(data, &limits, Leniency::default()) {
        assert!(tolerated.is_empty());
        assert_eq!(lenient.as_ref().ok(), Some(&strict));
    }
    let Ok(document) = lenient else { return };
    let _ = (document.date_time(), document.notifications().count());
    let text = write(&document);
    let generous = cpm_xml::Limits { max_bytes: 1 << 22, ..limits };
    match parse(text.as_bytes(), &generous) {
        Ok(again) => assert_eq!(again, document, "written as {text}"),
        Err(error) => panic!("{document:?} is written as {text}, which is not read: {error}"),
    }
}

// ---- SDP ----------------------------------------------------------------------------------------------------------------

/// SDP: octets survive; an offer is answered or refused, and the answer is one that the offerer can read.
pub fn sdp(data: &[u8]) {
    use cpm_sdp::{Direction, Limits, RemoteOffer, SessionDescription, SessionIds, Setup, offer};
    let limits = Limits::default();
    let Ok(description) = SessionDescription::parse(data, &limits) else { return };
    assert_eq!(description.to_bytes(), data);
    let _ = (description.origin(), description.connection(), description.attributes().count());
    for media in description.media() {
        let _ = (media.media(), media.port(), media.proto(), media.formats(), media.connection());
        for attribute in media.attributes() {
            let _ = (attribute.name, attribute.text());
        }
    }
    let ids = SessionIds { id: 7, version: 1 };
    for setup in [Setup::Active, Setup::Passive] {
        let Ok(remote) = RemoteOffer::read(&description) else { break };
        let _ = (remote.accepts("message/cpim"), remote.accepts_wrapped("text/plain"), remote.file_size());
        let ours = our_medium(setup, Direction::SendRecv, remote.transport());
        if let Ok((answer, negotiated)) = remote.answer(&ids, &ours) {
            let read = SessionDescription::parse(&answer.to_bytes(), &limits).expect("our answer is SDP");
            assert_eq!(read.media().len(), description.media().len());
            assert_eq!(read.media().iter().filter(|media| media.port() != Some(0)).count(), 1);
            assert!(!negotiated.remote_path.is_empty());
        }
    }
    for transport in [cpm_sdp::MsrpTransport::Tcp, cpm_sdp::MsrpTransport::Tls] {
        let media = our_medium(Setup::ActPass, Direction::SendOnly, transport);
        let (ours, pending) = offer(&ids, &media).expect("our offer");
        SessionDescription::parse(&ours.to_bytes(), &limits).expect("our offer is SDP");
        if let Ok(negotiated) = pending.answered(&description) {
            assert_eq!(negotiated.transport, transport);
            assert!(
                matches!(negotiated.direction, Direction::SendOnly | Direction::Inactive),
                "more than was offered"
            );
        }
    }
}

fn our_medium(
    setup: cpm_sdp::Setup,
    direction: cpm_sdp::Direction,
    transport: cpm_sdp::MsrpTransport,
) -> cpm_sdp::MsrpMedia {
    let scheme = if transport == cpm_sdp::MsrpTransport::Tls { "msrps" } else { "msrp" };
    cpm_sdp::MsrpMedia {
        transport,
        address: [192, 0, 2, 7].into(),
        port: 2855,
        path: format!("{scheme}://192.0.2.7:2855/our1session2nobody3guesses;tcp"),
        accept_types: vec!["message/cpim".into()],
        accept_wrapped_types: vec!["*".into()],
        setup,
        cema: true,
        direction,
        file_selector_size: None,
        max_size: Some(100_000),
        max_chunk_size_kb: None,
    }
}

// ---- MSRP ---------------------------------------------------------------------------------------------------------------

/// An MSRP stream: the frames are the same however it is cut, apart from where bodies are cut into pieces.
pub fn msrp_stream(data: &[u8]) {
    let small = cpm_msrp::Limits {
        max_header: 200,
        max_lines: 6,
        max_nonsend_body: 16,
        piece: 64,
        ..cpm_msrp::Limits::default()
    };
    for limits in [cpm_msrp::Limits::default(), small] {
        let [whole, bytewise, pieces] = partitions(data).map(|parts| msrp_frames(&parts, &limits));
        assert_eq!(whole, bytewise, "octet by octet");
        assert_eq!(whole, pieces, "in pieces");
    }
    for parts in [vec![data], cut(data)] {
        msrp_endpoint(&parts, data);
    }
}

/// An endpoint with one session that waits for its peer, and a message for it: what it writes is MSRP, what it hands on
/// came in, and it comes to rest.
fn msrp_endpoint(parts: &[&[u8]], data: &[u8]) {
    use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
    use cpm_msrp::{
        Action, Config, Endpoint, Event, FailureReport, Limits, Matching, MsrpUri, Outgoing, Role, Status,
    };
    let config = Config { limits: Limits::default(), seed: Seed::new([7; 32]) };
    let mut endpoint = Endpoint::new(config).expect("default limits");
    let mut now = Now::new(Instant::ZERO, DateTime::UNIX_EPOCH);
    let uri = |text| MsrpUri::parse(text).expect("a URI");
    let session = cpm_msrp::SessionConfig {
        local_path: uri("msrp://127.0.0.1:2855/fuzzedsession1234;tcp"),
        remote_path: vec![uri("msrp://192.0.2.10:40010/a9s8d7f6g5h4j3k2;tcp")],
        role: Role::Passive,
        matching: Matching::Rfc4975,
        max_chunk: None,
        max_message: 4096,
    };
    let session = endpoint.open_session(now, session).expect("a session");
    let outgoing = Outgoing {
        message_id: Some("ours".into()),
        content_type: "message/cpim".into(),
        body: Bytes::from_static(&[b'x'; 3000]).into(),
        success_report: true,
        failure_report: FailureReport::Yes,
    };
    endpoint.send(now, session, outgoing).expect("a message");
    let flow = FlowId(1);
    let info = FlowInfo {
        protocol: Protocol::Msrp,
        transport: Transport::Tcp,
        local: ([127, 0, 0, 1], 2855).into(),
        peer: ([192, 0, 2, 10], 40010).into(),
        secure_identity: None,
        trust: Trust::Outside,
    };
    endpoint.handle_accepted(now, flow, info);
    let (mut written, mut received, mut closed) = (Vec::new(), 0, false);
    let mut drain = |endpoint: &mut Endpoint, now: Now| {
        while let Some(action) = endpoint.poll_action() {
            match action {
                Action::Close(..) => closed = true,
                Action::Event(Event::Data { bytes, .. }) => received += bytes.len(),
                Action::Event(Event::ChunkEnd { chunk, .. }) => {
                    let refuse = chunk.0 % 5 == 4;
                    endpoint.respond(
                        now,
                        chunk,
                        if refuse { Status::new(413).expect("a status") } else { Status::OK },
                    );
                }
                _ => {}
            }
        }
        let before = written.len();
        let count = endpoint.poll_transmit(now, flow, 700, &mut written);
        assert_eq!(written.len(), before + count);
        assert!(count <= 700 && !(closed && count > 0), "writes to a closed flow");
    };
    for (number, part) in parts.iter().enumerate() {
        endpoint.handle_stream(now, flow, Bytes::copy_from_slice(part));
        drain(&mut endpoint, now);
        if number % 16 == 15 {
            now = now.plus(std::time::Duration::from_secs(1));
            endpoint.handle_timeout(now);
        }
    }
    for _ in 0..200 {
        drain(&mut endpoint, now);
        let Some(next) = endpoint.next_timeout() else { break };
        now.mono = now.mono.max(next);
        endpoint.handle_timeout(now);
    }
    assert!(endpoint.next_timeout().is_none(), "an endpoint that nobody talks to comes to rest");
    assert!(received <= data.len(), "{received} octets out of {}", data.len());
    written_msrp(&written, data);
}

/// What an endpoint wrote can be read, and it answered no more than it was asked.
fn written_msrp(written: &[u8], data: &[u8]) {
    let mut parser = cpm_msrp::StreamParser::new(&cpm_msrp::Limits::default());
    parser.push(Bytes::copy_from_slice(written));
    let mut answers = 0;
    while let Some(frame) = parser.next() {
        match frame {
            cpm_msrp::Frame::Head(head) => {
                answers += usize::from(matches!(head.start(), cpm_msrp::StartLine::Response { .. }));
            }
            cpm_msrp::Frame::BadHead(_) | cpm_msrp::Frame::Lost(_) => panic!("it wrote {frame:?}"),
            _ => {}
        }
    }
    let asked = data.windows(5).filter(|window| window == b"MSRP ").count();
    assert!(answers <= asked, "{answers} answers to {asked} messages");
}

fn msrp_frames(parts: &[&[u8]], limits: &cpm_msrp::Limits) -> Vec<String> {
    let mut parser = cpm_msrp::StreamParser::new(limits);
    let mut frames = Vec::new();
    let mut body: Vec<u8> = Vec::new();
    for part in parts {
        parser.push(Bytes::copy_from_slice(part));
        while let Some(frame) = parser.next() {
            let frame = match frame {
                cpm_msrp::Frame::Body(piece) => {
                    assert!(
                        !piece.is_empty() && piece.len() <= limits.piece,
                        "a piece of {} octets",
                        piece.len()
                    );
                    body.extend_from_slice(&piece);
                    continue;
                }
                cpm_msrp::Frame::Head(head) => {
                    let _ = (head.to_path(), head.from_path(), head.byte_range(), head.report_status());
                    let _ = (head.content_type(), head.fields().count());
                    format!("head {:?}", head.to_bytes())
                }
                cpm_msrp::Frame::BadHead(bad) => format!("bad head {bad:?}"),
                cpm_msrp::Frame::End(flag) => format!("end {flag:?}"),
                cpm_msrp::Frame::Lost(cpm_msrp::FramingError::Limit(exceeded)) => {
                    // How much of the body came out before depends on the cut.
                    body.clear();
                    format!("lost {}", exceeded.limit)
                }
                cpm_msrp::Frame::Lost(error) => format!("lost {error:?}"),
            };
            frames.push(format!("body {:?}", Bytes::from(std::mem::take(&mut body))));
            frames.push(frame);
        }
    }
    frames.push(format!("body {:?}", Bytes::from(body)));
    frames
}
