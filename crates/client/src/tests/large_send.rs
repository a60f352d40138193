//! TS 7.2.1.2: large messages on their way out, and what can go wrong.

use super::harness::*;
use crate::{ClientEvent, Failure, NewMessage, SendRefusal, SentMessage};
use cpm_base::{CloseReason, FlowId, OpenError, Transport};
use cpm_core::Reply;
use cpm_sip::{Method, Request};

const BOB: &str = "sip:bob@198.51.100.1";

fn long(octets: usize) -> NewMessage {
    NewMessage::text(uri(BOB), &"x".repeat(octets))
}

fn invited(rig: &mut Rig, message: NewMessage) -> (SentMessage, Request) {
    let sent = rig.send(message);
    assert!(sent.large);
    (sent, rig.next_request(Method::Invite))
}

/// The far side takes the INVITE with this answer; the client acknowledges.
fn accepted(rig: &mut Rig, invite: &Request, answer: &str) -> Request {
    let extra = "Contact: <sip:bob@198.51.100.1:5060>\r\nContent-Type: application/sdp\r\n";
    rig.answer(invite, "200 OK", extra, answer);
    let ack = rig.next_request(Method::Ack);
    assert_eq!(value(ack.headers(), "CSeq"), "1 ACK");
    assert!(ack.body().is_empty());
    ack
}

fn answer(setup: &str, extra: &str) -> String {
    sdp("recvonly", setup, extra)
}

/// Everything up to the first chunk: the connection is up and bound.
fn sending(message: NewMessage, answer: &str) -> (Rig, SentMessage, FlowId) {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, message);
    accepted(&mut rig, &invite, answer);
    let (flow, _) = rig.connect();
    let first = rig.one_frame(flow);
    rig.stream(flow, first.response("200 OK"));
    (rig, sent, flow)
}

/// Answers all chunks until there are no more; gives them.
fn answer_all(rig: &mut Rig, flow: FlowId) -> Vec<Frame> {
    let mut all = Vec::new();
    loop {
        let frames = rig.frames(flow);
        if frames.is_empty() {
            return all;
        }
        for frame in frames {
            rig.stream(flow, frame.response("200 OK"));
            all.push(frame);
        }
    }
}

/// The BYE, and its 200; afterwards nothing is left.
fn bye(rig: &mut Rig, reason: &str) {
    let bye = rig.next_request(Method::Bye);
    assert_eq!(value(bye.headers(), "Reason"), reason);
    assert_eq!(value(bye.headers(), "CSeq"), "2 BYE");
    assert_eq!(bye.uri().as_str(), "sip:bob@198.51.100.1:5060");
    rig.answer(&bye, "200 OK", "", "");
}

const COMPLETED: &str = "SIP;cause=200;text=\"Call completed\"";
const FAILED: &str = "SIP;cause=480;text=\"Transmission Failed\"";

#[track_caller]
fn failed(rig: &mut Rig, sent: &SentMessage, why: Failure) {
    assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent.id, why });
}

// req: 7.2.1.2-p1, 7.2.1.2-1, 7.2.1.2-2, 7.2.1.2-3, 7.2.1.2-3.a, 7.2.1.2-4, 7.2.1.2-6, 7.2.1.2-9, 7.2.1.2-9.a
// req: 7.2.1.2-12, 7.2.1.2-13, 7.2.1.2-14, 7.2.1.2-15, 7.2.1.2-16, 7.2.1.2-19, 7-b2, H.2-p2, H.2-p3, H.2-p4, 6.1.1-p2
// req: C.1.1-p2.1, C.1.2-p2.1, 5.3-p4.1
#[test]
fn the_invite() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    let headers = invite.headers();
    assert_eq!(invite.uri().as_str(), BOB);
    assert_eq!(value(headers, "To"), format!("<{BOB}>"));
    assert!(value(headers, "From").starts_with("<sip:alice@example.com>;tag="));
    assert_eq!(value(headers, "Accept-Contact"), format!("*;+g.3gpp.icsi-ref=\"{LARGE}\""));
    assert_eq!(
        value(headers, "Contact"),
        format!("<sip:alice@192.0.2.1:5060>;+g.3gpp.icsi-ref=\"{LARGE}\";+sip.instance=\"<{INSTANCE}>\"")
    );
    assert_eq!(value(headers, "P-Preferred-Service"), "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg");
    assert_eq!(value(headers, "P-Preferred-Identity"), "<sip:alice@example.com>");
    assert_eq!(value(headers, "User-Agent"), "CPM-client/OMA2.1 acme/1.0");
    assert_eq!(value(headers, "Supported"), "timer");
    assert_eq!(value(headers, "Conversation-ID"), sent.conversation.as_str());
    assert_eq!(value(headers, "Contribution-ID"), sent.contribution.as_str());
    assert_eq!(value(headers, "Content-Type"), "application/sdp");
    for absent in [
        "Session-Expires",
        "Min-SE",
        "Privacy",
        "Message-Expires",
        "Expires",
        "Reply-To",
        "InReplyTo-Contribution-ID",
    ] {
        assert!(values(headers, absent).is_empty(), "{absent}");
    }
}

// req: 7.2.1.2-18, 7.2.1.2-18.a, 7.2.1.2-18.b, 7.2.1.2-18.c, 7.2.1.2-18.d, 7.2.1.2-18.e, 7.2.1.2-18.f, 7.2.1.2-18.g
// req: 7.2.1.2-18.g-n1, 5.2.1.1-p6
#[test]
fn the_offer() {
    let mut rig = Rig::new();
    let mut message = long(2000);
    message.content_type = cpm_mime::ContentType::parse("Image/JPEG; name=x").unwrap();
    let (_, invite) = invited(&mut rig, message);
    let sdp = String::from_utf8(invite.body().to_vec()).unwrap();
    let lines: Vec<&str> = sdp.split_terminator("\r\n").collect();
    let of = |prefix: &str| {
        let all: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(prefix)).collect();
        assert_eq!(all.len(), 1, "{prefix} {sdp}");
        all[0].to_owned()
    };
    assert_eq!(lines[0], "v=0");
    assert!(of("o=").starts_with("- ") && of("o=").ends_with(" IN IP4 192.0.2.1"));
    assert_eq!(of("c="), "IN IP4 192.0.2.1");
    assert_eq!(of("m="), "message 2855 TCP/MSRP *");
    assert_eq!(of("a=accept-types:"), "message/cpim");
    assert_eq!(of("a=accept-wrapped-types:"), "image/jpeg");
    let path = of("a=path:");
    let session =
        path.strip_prefix("msrp://192.0.2.1:2855/").and_then(|rest| rest.strip_suffix(";tcp")).unwrap();
    assert!(session.len() >= 26, "{session}");
    assert_eq!(of("a=setup:"), "actpass");
    assert!(lines.contains(&"a=sendonly") && lines.contains(&"a=msrp-cema"));
    // The size is that of what travels: the CPIM message.
    let size: usize = of("a=file-selector:size:").parse().unwrap();
    accepted(&mut rig, &invite, &answer("passive", ""));
    let (flow, _) = rig.connect();
    let first = rig.one_frame(flow);
    assert_eq!(first.header("From-Path"), path);
    rig.stream(flow, first.response("200 OK"));
    let frames = answer_all(&mut rig, flow);
    assert_eq!(frames.iter().map(|frame| frame.body.as_ref().unwrap().len()).sum::<usize>(), size);
}

// req: 7.2.1.2-5, 7.2.1.2-7, 7.2.1.2-8, 7.2.1.2-9.b, 7.2.1.2-15, 7.2.1.2-17, 6.1-p3, C.1.3-p2, C.1.5-p2
#[test]
fn reply_address_lifetime_anonymity_and_reply() {
    let mut rig = Rig::new();
    rig.deliver(
        Incoming::message(1, cpim("m1", "", "Hi")).with("Reply-To", "<sip:desk@198.51.100.1>").bytes(),
    );
    rig.next_response(200);
    let original = rig.next_received();
    let mut message = NewMessage::reply(&original, &"x".repeat(2000)).unwrap();
    message.reply_to = Some(uri("sip:office@example.com"));
    message.expires = Some(3600);
    let (_, invite) = invited(&mut rig, message.clone());
    let headers = invite.headers();
    assert_eq!(invite.uri().as_str(), "sip:desk@198.51.100.1");
    assert_eq!(value(headers, "Reply-To"), "<sip:office@example.com>");
    assert_eq!(value(headers, "Message-Expires"), "3600");
    assert!(values(headers, "Expires").is_empty());
    assert_eq!(value(headers, "Conversation-ID"), CONVERSATION);
    assert_eq!(value(headers, "InReplyTo-Contribution-ID"), CONTRIBUTION);
    assert_ne!(value(headers, "Contribution-ID"), CONTRIBUTION);

    let mut rig = Rig::new();
    message.anonymous = true;
    message.reply_to = None;
    let (_, invite) = invited(&mut rig, message);
    assert_eq!(value(invite.headers(), "Privacy"), "id");
    assert!(
        value(invite.headers(), "From").starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=")
    );
    let octets = String::from_utf8_lossy(&rig.log[0]).into_owned();
    assert_eq!(octets.matches("alice").count(), 1, "{octets}");
    assert!(!octets.contains(INSTANCE));
    accepted(&mut rig, &invite, &answer("passive", ""));
    let (flow, _) = rig.connect();
    let first = rig.one_frame(flow);
    rig.stream(flow, first.response("200 OK"));
    let body = rig.one_frame(flow).body.unwrap();
    assert!(!String::from_utf8_lossy(&body).contains("alice"));
}

// req: 7.2.1.2-9.c
#[test]
fn a_reply_without_reply_to_goes_to_the_originator() {
    let mut rig = Rig::new();
    rig.deliver(Incoming::message(1, cpim("m1", "", "Hi")).bytes());
    rig.next_response(200);
    let original = rig.next_received();
    let (_, invite) = invited(&mut rig, NewMessage::reply(&original, &"x".repeat(2000)).unwrap());
    assert_eq!(invite.uri().as_str(), "sip:bob@example.org");
}

// req: 7.2.1.2-on200-B, 7.2.1.2-on200-C, 7.2.1.2-on200-D, 7.2.1.2-on200-E, 7.2.1.2-on200-F, 7.2.1.2-on200-G
// req: 7.2.1.2-on200-H, 7.2.1.2-on200-H.1, 7.2.1.2-on200-H.2, 7.2.1.2-on200-H.3, 7.2.1.2-on200-I
// req: 7.2.1.2-onDone-1, 7.2.1.2-onDone-2, 7.2.1.2-onDone-3, 5.2.1.1-B.ii
#[test]
fn the_whole_way() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000).with_reports());
    rig.answer(&invite, "180 Ringing", "", "");
    let ack = accepted(&mut rig, &invite, &answer("passive", "a=msrp-cema\r\n"));
    assert_eq!(ack.uri().as_str(), "sip:bob@198.51.100.1:5060");
    assert_eq!(value(ack.headers(), "Call-ID"), value(invite.headers(), "Call-ID"));
    let (flow, remote) = rig.connect();
    assert_eq!(remote, addr(PEER_MSRP));
    // The connection is bound by a SEND without body, before anything else.
    let first = rig.one_frame(flow);
    assert_eq!((first.start.as_str(), first.body.as_ref(), first.flag), ("SEND", None, '$'));
    assert_eq!(first.header("To-Path"), PEER_PATH);
    rig.stream(flow, first.response("200 OK"));

    let chunk = rig.one_frame(flow);
    assert_eq!((chunk.start.as_str(), chunk.flag), ("SEND", '$'));
    assert_eq!(chunk.header("To-Path"), PEER_PATH);
    assert_eq!(chunk.header("Content-Type"), "message/cpim");
    let body = bytes::Bytes::from(chunk.body.clone().unwrap());
    // Over 2,048 octets a chunk has to be interruptible: its end is open (RFC 4975 §7.1.1).
    assert_eq!(chunk.header("Byte-Range"), format!("1-*/{}", body.len()));
    let cpim = parse_cpim(&body);
    assert_eq!(cpim.imdn_message_id().unwrap().as_deref(), Some(sent.message_id.as_str()));
    assert_eq!(cpim.content().body, "x".repeat(2000));
    assert!(cpim.disposition_notification().unwrap().display);
    rig.quiet();
    rig.stream(flow, chunk.response("200 OK"));

    let bye = rig.next_request(Method::Bye);
    assert_eq!(value(bye.headers(), "Reason"), COMPLETED);
    rig.quiet();
    // The media lives until the BYE has its answer.
    assert!(rig.closed.is_empty());
    rig.answer(&bye, "200 OK", "Message-UID: 99\r\n", "");
    assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: Some("99".to_owned()) });
    assert_eq!(rig.closed, [(flow, CloseReason::Done)]);
    rig.at_rest();
    rig.quiet();
}

// req: 5.2.1.1-B.i, 7.2.1.2-on200-E
#[test]
fn an_active_far_side_connects_to_us() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    accepted(&mut rig, &invite, &answer("active", ""));
    rig.quiet();
    let own = String::from_utf8_lossy(invite.body()).into_owned();
    let path = own.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    let flow = rig.accept();
    rig.stream(
        flow,
        format!(
            "MSRP abcd1234 SEND\r\nTo-Path: {path}\r\nFrom-Path: {PEER_PATH}\r\nMessage-ID: bind1\r\n\
             Byte-Range: 1-0/0\r\n-------abcd1234$\r\n"
        ),
    );
    let frames = rig.frames(flow);
    assert_eq!(frames.len(), 2);
    assert_eq!((frames[0].start.as_str(), frames[0].id.as_str()), ("200 OK", "abcd1234"));
    rig.stream(flow, frames[1].response("200 OK"));
    bye(&mut rig, COMPLETED);
    assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: None });
    rig.at_rest();
}

// req: 7.2.1.2-on200-E, 5.2.1.1-B.ii
#[test]
fn where_the_client_connects() {
    let (end, relay) =
        ("msrp://203.0.113.5:9999/jshA7weztas8sdkj;tcp", "msrp://203.0.113.8:7654/relayrelayrelay1;tcp");
    // RFC 6714 §4.2: the address of c= and m= in general, ...
    let cases = [
        (end.to_owned(), "a=msrp-cema\r\n", "203.0.113.8:7654"),
        (end.to_owned(), "", "203.0.113.8:7654"),
        // ... the topmost URI of the path with a relay.
        (format!("{relay} {end}"), "", "203.0.113.8:7654"),
        (format!("{relay} {end}"), "a=msrp-cema\r\n", "203.0.113.8:7654"),
    ];
    for (path, cema, expected) in cases {
        let mut rig = Rig::new();
        let (_, invite) = invited(&mut rig, long(2000));
        // Without a=setup the far side is passive.
        let sdp = answer("", cema)
            .replace(PEER_PATH, &path)
            .replace("c=IN IP4 203.0.113.5", "c=IN IP4 203.0.113.8");
        accepted(&mut rig, &invite, &sdp);
        let (flow, remote) = rig.connect();
        assert_eq!(remote, addr(expected));
        assert_eq!(rig.one_frame(flow).header("To-Path"), path);
    }
}

#[test]
fn a_name_in_the_answer_is_asked_for() {
    let named = answer("passive", "")
        .replace("msrp://203.0.113.5:7654", "msrp://relay.example.org:7654")
        .replace("c=IN IP4 203.0.113.5", "c=IN IP4 relay.example.org");
    let mut rig = Rig::new();
    let (_, invite) = invited(&mut rig, long(2000));
    accepted(&mut rig, &invite, &named);
    let (id, query) = rig.resolves.pop_front().unwrap();
    assert_eq!((query.host.as_str(), query.port, query.secure), ("relay.example.org", Some(7654), false));
    rig.node.handle_reply(rig.now, id, Reply::Resolved(vec![(Transport::Tcp, addr("203.0.113.77:7654"))]));
    rig.pump();
    assert_eq!(rig.connect().1, addr("203.0.113.77:7654"));

    // Nobody knows the name, or says nothing.
    for silent in [false, true] {
        let mut rig = Rig::new();
        let (sent, invite) = invited(&mut rig, long(2000));
        accepted(&mut rig, &invite, &named);
        let (id, _) = rig.resolves.pop_front().unwrap();
        if silent {
            rig.advance(secs(60));
        } else {
            rig.node.handle_reply(rig.now, id, Reply::Resolved(Vec::new()));
            rig.pump();
        }
        rig.sent.truncate(1);
        bye(&mut rig, FAILED);
        failed(&mut rig, &sent, if silent { Failure::Timeout } else { Failure::Media(None) });
        rig.node.handle_reply(rig.now, id, Reply::Resolved(vec![(Transport::Tcp, addr(PEER_MSRP))]));
        rig.pump();
        rig.at_rest();
        rig.quiet();
    }
}

// req: 7.2.1.2-on200-H
#[test]
fn exactly_as_many_chunks_as_the_far_side_allows() {
    // 1 kB chunks: 200 of them exactly, then one octet more.
    for (more, chunks) in [(0, 200), (1, 201)] {
        let mut rig = Rig::new();
        let (_, invite) = invited(&mut rig, long(2000));
        let size = |invite: &Request| {
            let sdp = String::from_utf8_lossy(invite.body()).into_owned();
            let size = sdp.split("file-selector:size:").nth(1).unwrap().split("\r\n").next().unwrap();
            size.parse::<usize>().unwrap()
        };
        let wrapper = size(&invite) - 2000;
        let text = 200 * 1024 - wrapper + more;
        let (mut rig, sent, flow) = sending(long(text), &answer("passive", "a=max-chunk-size:1\r\n"));
        let frames = answer_all(&mut rig, flow);
        assert_eq!(frames.len(), chunks);
        let total = 200 * 1024 + more;
        for (n, frame) in frames.iter().enumerate() {
            let last = n + 1 == chunks;
            assert_eq!(frame.flag, if last { '$' } else { '+' });
            let (first, end) = (n * 1024 + 1, if last { total } else { (n + 1) * 1024 });
            let range = frame.header("Byte-Range");
            assert!(
                range == format!("{first}-{end}/{total}") || range == format!("{first}-*/{total}"),
                "{range}"
            );
            assert_eq!(frame.body.as_ref().unwrap().len(), end - first + 1);
            assert_eq!(frame.header("Message-ID"), frames[0].header("Message-ID"));
            assert_eq!(frame.header("Content-Type"), "message/cpim");
        }
        let whole: Vec<u8> = frames.into_iter().flat_map(|frame| frame.body.unwrap()).collect();
        assert_eq!(parse_cpim(&whole.into()).content().body.len(), text);
        bye(&mut rig, COMPLETED);
        assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: None });
        rig.at_rest();
    }
}

// req: 7.2.1.2-p4
#[test]
fn a_refused_invite() {
    for (status, code) in [
        ("488 Not Acceptable Here", 488),
        ("486 Busy Here", 486),
        ("603 Decline", 603),
        ("404 Not Found", 404),
    ] {
        let mut rig = Rig::new();
        let (sent, invite) = invited(&mut rig, long(2000));
        rig.answer(&invite, status, "Warning: 399 x \"132 Version not supported\"\r\n", "");
        let ack = rig.next_request(Method::Ack);
        assert_eq!(value(ack.headers(), "Via"), value(invite.headers(), "Via"));
        match rig.next_event() {
            ClientEvent::SendFailed { id, why: Failure::Rejected { status, warnings, .. } } => {
                assert_eq!((id, status.as_u16()), (sent.id, code));
                assert_eq!(warnings, ["132 Version not supported"]);
            }
            other => panic!("{other:?}"),
        }
        rig.at_rest();
        rig.quiet();
    }
}

#[test]
fn nobody_answers_the_invite() {
    let mut rig = Rig::new();
    let (sent, _) = invited(&mut rig, long(2000));
    rig.advance(secs(33));
    failed(&mut rig, &sent, Failure::Timeout);
    rig.sent.clear();
    rig.at_rest();
    rig.quiet();
}

#[test]
fn an_answer_that_cannot_be_used() {
    let good = answer("passive", "");
    for bad in [
        String::new(),
        "v=0\r\n".to_owned(),
        good.replace("m=message 7654", "m=message 0"),
        good.replace("m=message", "m=audio"),
        good.replace("TCP/MSRP", "TCP/TLS/MSRP"),
        good.replace("a=accept-types:message/cpim", "a=accept-types:text/plain"),
        good.replace("a=recvonly", "a=sendonly"),
        good.replace("a=recvonly", "a=inactive"),
        good.replace(&format!("a=path:{PEER_PATH}\r\n"), ""),
        good.replace(PEER_PATH, "http://x"),
    ] {
        let mut rig = Rig::new();
        let (sent, invite) = invited(&mut rig, long(2000));
        accepted(&mut rig, &invite, &bad);
        assert!(rig.opens.is_empty(), "{bad}");
        let request = rig.next_request(Method::Bye);
        assert_eq!(value(request.headers(), "Reason"), "SIP;cause=488;text=\"Not Acceptable Here\"", "{bad}");
        rig.answer(&request, "200 OK", "", "");
        match rig.next_event() {
            ClientEvent::SendFailed { id, why: Failure::BadAnswer(_) } => assert_eq!(id, sent.id),
            other => panic!("{bad}: {other:?}"),
        }
        rig.at_rest();
        rig.quiet();
    }
}

/// A 2xx of which no dialog can be made.
#[test]
fn a_2xx_that_makes_no_dialog() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    rig.answer(
        &invite,
        "200 OK",
        "Contact: <sip:\r\nContent-Type: application/sdp\r\n",
        &answer("passive", ""),
    );
    match rig.next_event() {
        ClientEvent::SendFailed { id, why: Failure::BadAnswer(_) } => assert_eq!(id, sent.id),
        other => panic!("{other:?}"),
    }
    rig.at_rest();
}

#[test]
fn the_connection_is_refused() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    accepted(&mut rig, &invite, &answer("passive", ""));
    let (open, _) = rig.opens.pop_front().unwrap();
    rig.node.handle_opened(rig.now, open, Err(OpenError::Refused));
    rig.pump();
    bye(&mut rig, FAILED);
    failed(&mut rig, &sent, Failure::Media(None));
    rig.at_rest();
    rig.quiet();
}

#[test]
fn the_binding_is_refused_or_not_answered() {
    for response in [Some("481 No such session"), None] {
        let mut rig = Rig::new();
        let (sent, invite) = invited(&mut rig, long(2000));
        accepted(&mut rig, &invite, &answer("passive", ""));
        let (flow, _) = rig.connect();
        let first = rig.one_frame(flow);
        match response {
            Some(response) => rig.stream(flow, first.response(response)),
            None => rig.advance(secs(31)),
        }
        rig.sent.truncate(1);
        bye(&mut rig, FAILED);
        failed(&mut rig, &sent, Failure::Media(None));
        assert_eq!(rig.closed.len(), 1);
        rig.at_rest();
        rig.quiet();
    }
}

#[test]
fn a_passive_client_waits_only_so_long() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    accepted(&mut rig, &invite, &answer("active", ""));
    rig.advance(secs(31));
    rig.sent.truncate(1);
    bye(&mut rig, FAILED);
    failed(&mut rig, &sent, Failure::Media(None));
    rig.at_rest();
}

// req: 7.2.1.2-onNon200-1, 7.2.1.2-onNon200-2, 7.2.1.2-onNon200-3, 7.2.1.2-onNon200-4
#[test]
fn refused_in_the_middle() {
    for status in ["413 Stop", "415 What", "403 No", "400 Bad", "408 Late", "501 Eh"] {
        let message = long(3_000_000);
        let (mut rig, sent, flow) = sending(message, &answer("passive", "a=max-chunk-size:100\r\n"));
        let frames = rig.frames(flow);
        assert!(frames.len() > 2 && frames.last().unwrap().flag == '+');
        let octets =
            |frames: &[Frame]| frames.iter().filter_map(|f| f.body.as_ref()).map(Vec::len).sum::<usize>();
        rig.stream(flow, frames[0].response("200 OK"));
        rig.frames(flow);
        rig.stream(flow, frames[1].response(status));
        // No further chunk; what was begun is given up.
        let rest = rig.frames(flow);
        assert_eq!(octets(&rest), 0, "{status}");
        assert!(rest.iter().all(|frame| frame.flag == '#'));
        bye(&mut rig, FAILED);
        failed(&mut rig, &sent, Failure::Media(Some(status[..3].parse().unwrap())));
        assert_eq!(rig.closed.len(), 1);
        rig.at_rest();
        rig.quiet();
    }
}

#[test]
fn chunks_that_nobody_answers() {
    let (mut rig, sent, _) = sending(long(2000), &answer("passive", ""));
    rig.advance(secs(31));
    rig.sent.truncate(1);
    bye(&mut rig, FAILED);
    assert!(
        matches!(rig.next_event(), ClientEvent::SendFailed { id, why: Failure::Media(_) } if id == sent.id)
    );
    rig.at_rest();
    rig.quiet();
}

/// A far side that does not read: the socket never takes anything.
#[test]
fn a_far_side_that_never_reads() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    accepted(&mut rig, &invite, &answer("passive", ""));
    let (flow, _) = rig.connect();
    let first = rig.one_frame(flow);
    rig.writable = false;
    rig.stream(flow, first.response("200 OK"));
    rig.advance(secs(125));
    rig.sent.truncate(1);
    bye(&mut rig, FAILED);
    failed(&mut rig, &sent, Failure::Timeout);
    rig.at_rest();
    rig.quiet();
}

/// Slow is not stuck: progress keeps the transfer alive.
#[test]
fn a_slow_far_side_is_waited_for() {
    let (mut rig, sent, flow) = sending(long(10_000_000), &answer("passive", "a=max-chunk-size:1024\r\n"));
    let begin = rig.now.mono;
    loop {
        let frames = rig.frames(flow);
        if frames.is_empty() {
            break;
        }
        for frame in frames {
            rig.advance(secs(14));
            rig.stream(flow, frame.response("200 OK"));
        }
    }
    assert!(rig.now.mono.since(begin) > secs(130));
    bye(&mut rig, COMPLETED);
    assert!(matches!(rig.next_event(), ClientEvent::Sent { id, .. } if id == sent.id));
}

#[test]
fn the_connection_breaks() {
    let (mut rig, sent, flow) = sending(long(2000), &answer("passive", ""));
    rig.node.handle_closed(rig.now, flow, CloseReason::Failed);
    rig.pump();
    bye(&mut rig, FAILED);
    failed(&mut rig, &sent, Failure::Media(None));
    rig.at_rest();
    rig.quiet();
}

fn bye_of_peer(invite: &Request) -> Vec<u8> {
    let from = value(invite.headers(), "From");
    format!(
        "BYE sip:alice@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch=z9hG4bKbye\r\nMax-Forwards: 60\r\n\
         From: <{BOB}>;tag=far\r\nTo: {from}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        value(invite.headers(), "Call-ID")
    )
    .into_bytes()
}

#[test]
fn the_far_side_ends_it_early() {
    // Before the connection, before the binding, in the middle of the octets.
    for stage in 0..3 {
        let mut rig = Rig::new();
        let (sent, invite) = invited(&mut rig, long(2000));
        accepted(&mut rig, &invite, &answer("passive", ""));
        if stage > 0 {
            let (flow, _) = rig.connect();
            let first = rig.one_frame(flow);
            if stage > 1 {
                rig.stream(flow, first.response("200 OK"));
            }
        }
        rig.deliver(bye_of_peer(&invite));
        rig.next_response(200);
        failed(&mut rig, &sent, Failure::EndedByPeer);
        if stage == 0 {
            // The host's answer comes too late: nobody needs the connection any more.
            rig.connect();
        }
        rig.quiet();
        assert_eq!(rig.closed.len(), 1);
        rig.at_rest();
        rig.quiet();
    }
}

#[test]
fn the_bye_crosses_the_far_sides() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    accepted(&mut rig, &invite, &answer("passive", ""));
    let (flow, _) = rig.connect();
    let first = rig.one_frame(flow);
    rig.stream(flow, first.response("200 OK"));
    answer_all(&mut rig, flow);
    let own = rig.next_request(Method::Bye);
    rig.deliver(bye_of_peer(&invite));
    rig.next_response(200);
    rig.quiet();
    rig.answer(&own, "481 Gone", "", "");
    assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: None });
    rig.at_rest();
    rig.quiet();
}

#[test]
fn nobody_answers_the_bye() {
    let (mut rig, sent, flow) = sending(long(2000), &answer("passive", ""));
    answer_all(&mut rig, flow);
    rig.next_request(Method::Bye);
    rig.quiet();
    rig.advance(secs(33));
    // Every octet was acknowledged: it is sent, whatever becomes of the session.
    assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: None });
    rig.sent.clear();
    assert_eq!(rig.closed.len(), 1);
    rig.at_rest();
}

fn cancel(rig: &mut Rig, sent: &SentMessage) -> bool {
    let id = sent.id;
    rig.command(|client, now, ports| client.cancel_message(now, ports, id))
}

// req: 7.2.1.2-p2
#[test]
fn cancelled() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    assert!(cancel(&mut rig, &sent));
    rig.quiet(); // RFC 3261 §9.1: not before a provisional response.
    rig.answer(&invite, "180 Ringing", "", "");
    let request = rig.next_request(Method::Cancel);
    assert_eq!(value(request.headers(), "Via"), value(invite.headers(), "Via"));
    rig.answer(&request, "200 OK", "", "");
    rig.quiet();
    rig.answer(&invite, "487 Request Terminated", "", "");
    rig.next_request(Method::Ack);
    failed(&mut rig, &sent, Failure::Cancelled);
    assert!(!cancel(&mut rig, &sent));
    rig.at_rest();
    rig.quiet();
}

#[test]
fn the_cancel_crosses_the_200() {
    let mut rig = Rig::new();
    let (sent, invite) = invited(&mut rig, long(2000));
    rig.answer(&invite, "180 Ringing", "", "");
    assert!(cancel(&mut rig, &sent));
    rig.next_request(Method::Cancel);
    accepted(&mut rig, &invite, &answer("passive", ""));
    let request = rig.next_request(Method::Bye);
    rig.answer(&request, "200 OK", "", "");
    failed(&mut rig, &sent, Failure::Cancelled);
    rig.quiet();
    rig.at_rest();
}

#[test]
fn what_is_answered_is_not_cancelled() {
    let (mut rig, sent, _) = sending(long(2000), &answer("passive", ""));
    assert!(!cancel(&mut rig, &sent));
    rig.quiet();
}

#[test]
fn too_large_or_too_many() {
    let mut rig = Rig::with(|config| {
        config.limits.max_message = 5000;
        config.limits.max_sessions = 2;
    });
    let too_large =
        rig.command(|client, now, ports| client.send_message(now, ports, long(5000))).unwrap_err();
    assert_eq!(too_large.why, SendRefusal::TooLarge);
    assert_eq!(*too_large.message, long(5000));
    invited(&mut rig, long(2000));
    let (_, second) = invited(&mut rig, long(2000));
    let busy = rig.command(|client, now, ports| client.send_message(now, ports, long(2000))).unwrap_err();
    assert_eq!(busy.why, SendRefusal::Busy);
    rig.quiet();
    // A pager message does not count.
    assert!(!rig.send(NewMessage::text(uri(BOB), "x")).large);
    rig.next_request(Method::Message);
    rig.answer(&second, "486 Busy Here", "", "");
    rig.next_request(Method::Ack);
    invited(&mut rig, long(2000));
}

/// The session of a message is never changed.
#[test]
fn a_re_invite_is_refused() {
    let mut rig = Rig::new();
    let (_, invite) = invited(&mut rig, long(2000));
    accepted(&mut rig, &invite, &answer("passive", ""));
    rig.opens.clear();
    let again = String::from_utf8(bye_of_peer(&invite)).unwrap();
    let again = again.replace("BYE", "INVITE").replace("Max-Forwards", "Contact: <sip:x@y>\r\nMax-Forwards");
    rig.deliver(again.into_bytes());
    rig.next_response(488);
    rig.quiet();
}

/// Where middleboxes tell sessions by their connection (RFC 6714 §6.3), each has its own; else one connection is enough.
#[test]
fn connections_are_shared_where_that_is_allowed() {
    for (cema, connections) in [("a=msrp-cema\r\n", 2), ("", 1)] {
        let mut rig = Rig::new();
        let (_, first) = invited(&mut rig, long(2000));
        accepted(&mut rig, &first, &answer("passive", cema));
        let (_, second) = invited(&mut rig, long(2000));
        accepted(&mut rig, &second, &answer("passive", cema).replace("jshA7weztas8sdkj", "9di4eae923wzd000"));
        assert_eq!(rig.opens.len(), connections);
    }
}
