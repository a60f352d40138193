//! TS 7.2.2.2: large messages on their way in, and what can go wrong.

use super::harness::*;
use crate::ClientEvent;
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, OpenError, Transport};
use cpm_core::{Reply, StoreError};
use cpm_sip::{Method, Response};

/// An INVITE was answered.
struct Answered {
    rig: Rig,
    invite: Incoming,
    ok: Response,
    path: String,
}

fn path_of(ok: &Response) -> String {
    let sdp = String::from_utf8(ok.body().to_vec()).unwrap();
    sdp.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap().to_owned()
}

impl Answered {
    fn of(mut rig: Rig, invite: Incoming) -> Answered {
        rig.deliver(invite.bytes());
        let ok = rig.next_response(200);
        let path = path_of(&ok);
        Answered { rig, invite, ok, path }
    }

    fn new() -> Answered {
        Answered::of(Rig::new(), Incoming::invite(1, &offer("actpass", "a=msrp-cema\r\n")))
    }

    fn ack(&mut self) {
        let ack = self.invite.follow_up("ACK", 1, &self.ok, "");
        self.rig.deliver(ack);
    }

    fn bye(&mut self, extra: &str) {
        let bye = self.invite.follow_up("BYE", 2, &self.ok, extra);
        self.rig.deliver(bye);
        self.rig.next_response(200);
    }

    /// ACK, connection, binding.
    fn bound(mut self) -> (Answered, FlowId) {
        self.ack();
        let (flow, remote) = self.rig.connect();
        assert_eq!(remote, addr(PEER_MSRP));
        let first = self.rig.one_frame(flow);
        assert_eq!((first.start.as_str(), &first.body), ("SEND", &None));
        self.rig.stream(flow, first.response("200 OK"));
        (self, flow)
    }

    /// A SEND of the far side.
    fn chunk(&self, id: &str, message: &str, range: &str, octets: &[u8], flag: char) -> Vec<u8> {
        self.typed_chunk(id, message, range, "message/cpim", octets, flag)
    }

    fn typed_chunk(
        &self,
        id: &str,
        message: &str,
        range: &str,
        content: &str,
        octets: &[u8],
        flag: char,
    ) -> Vec<u8> {
        let mut out = format!(
            "MSRP {id} SEND\r\nTo-Path: {}\r\nFrom-Path: {PEER_PATH}\r\nMessage-ID: {message}\r\n\
             Byte-Range: {range}\r\nContent-Type: {content}\r\n\r\n",
            self.path
        )
        .into_bytes();
        out.extend(octets);
        out.extend(format!("\r\n-------{id}{flag}\r\n").bytes());
        out
    }

    /// A whole message in one chunk.
    fn whole(&self, id: &str, message: &str, octets: &[u8]) -> Vec<u8> {
        self.chunk(id, message, &format!("1-{}/{}", octets.len(), octets.len()), octets, '$')
    }

    /// The answers that the client gave on a connection: transaction and status.
    #[track_caller]
    fn answers(&mut self, flow: FlowId, expected: &[(&str, &str)]) {
        let frames = self.rig.frames(flow);
        let got: Vec<(String, String)> = frames
            .iter()
            .map(|frame| (frame.id.clone(), frame.start.split(' ').next().unwrap().to_owned()))
            .collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect();
        assert_eq!(got, expected);
    }

    /// The client ends it with this reason.
    #[track_caller]
    fn ended(&mut self, reason: &str) {
        let bye = self.rig.next_request(Method::Bye);
        assert_eq!(value(bye.headers(), "Reason"), reason);
        self.rig.answer(&bye, "200 OK", "", "");
    }
}

const FAILED: &str = "SIP;cause=480;text=\"Transmission Failed\"";
const COMPLETED: &str = "SIP;cause=200;text=\"Call completed\"";

fn big(text: &str) -> String {
    cpim("m1", "", &text.repeat(500))
}

// req: 7.2.2.2-2, 7.2.2.2-2.a, 7.2.2.2-2.c, 7.2.2.2-2.c.i, 7.2.2.2-2.c.ii, 7.2.2.2-2.c.iii, 7.2.2.2-2.c.iv
// req: 7.2.2.2-2.c.v, 7.2.2.2-2.c.vi, 7.2.2.2-2.c.vii, 7.2.2.2-2.d, 7.2.2.2-3, 7-b11, 5.2.1.4-b4, 5.2.1.4-p7
// req: 6.1.1-p2, H.2-p2
#[test]
fn the_answer() {
    // What the offerer sends is its own to say; the answer says what this client takes.
    let wrapped = "a=accept-wrapped-types:text/plain image/*\r\n";
    let offered = offer("actpass", "a=msrp-cema\r\n").replace("a=accept-wrapped-types:*\r\n", wrapped);
    let answered =
        Answered::of(Rig::new(), Incoming::invite(1, &offered).with("InReplyTo-Contribution-ID", "abc"));
    let headers = answered.ok.headers();
    assert_eq!(value(headers, "Server"), "CPM-client/OMA2.1 acme/1.0");
    assert_eq!(
        value(headers, "Contact"),
        format!("<sip:alice@192.0.2.1:5060>;+g.3gpp.icsi-ref=\"{LARGE}\";+sip.instance=\"<{INSTANCE}>\"")
    );
    assert_eq!(value(headers, "Conversation-ID"), CONVERSATION);
    assert_eq!(value(headers, "Contribution-ID"), CONTRIBUTION);
    assert_eq!(value(headers, "InReplyTo-Contribution-ID"), "abc");
    assert_eq!(value(headers, "Content-Type"), "application/sdp");
    let sdp = String::from_utf8(answered.ok.body().to_vec()).unwrap();
    for line in [
        "c=IN IP4 192.0.2.1",
        "m=message 2855 TCP/MSRP *",
        "a=accept-types:message/cpim",
        "a=accept-wrapped-types:*",
        "a=recvonly",
        "a=setup:active",
        "a=msrp-cema",
    ] {
        assert_eq!(sdp.split("\r\n").filter(|l| *l == line).count(), 1, "{line}\n{sdp}");
    }
    let session = answered.path.strip_prefix("msrp://192.0.2.1:2855/").and_then(|p| p.strip_suffix(";tcp"));
    assert!(session.unwrap().len() >= 26);
}

#[test]
fn the_answer_names_what_the_client_takes() {
    for (takes, wished, named) in [
        (&["text/plain"][..], "*", "text/plain message/imdn+xml"),
        (&["text/plain", "image/*"][..], "image/png text/html", "text/plain image/*"),
    ] {
        let rig = Rig::with(|config| config.accept = takes.iter().map(|entry| (*entry).to_owned()).collect());
        let offered = offer("actpass", "").replace("wrapped-types:*", &format!("wrapped-types:{wished}"));
        let answered = Answered::of(rig, Incoming::invite(1, &offered));
        let sdp = String::from_utf8(answered.ok.body().to_vec()).unwrap();
        assert!(sdp.contains(&format!("a=accept-wrapped-types:{named}\r\n")), "{sdp}");
        assert!(sdp.contains("a=accept-types:message/cpim\r\n"), "{sdp}");
    }
}

// req: 7.2.2.2-onACK-1, 7.2.2.2-onACK-2, 7.2.2.2-onACK-3, 7.2.2.2-onACK-4, 7.2.2.2-onACK-5, 7.2.2.2-p5.1
// req: 7.2.2.2-p6.1, 7.2.2.2-p8, 7.2.2.3-3, 5.4.1-1
#[test]
fn the_whole_way() {
    let mut answered = Answered::new();
    answered.rig.quiet(); // Not before the ACK.
    answered.ack();
    let (flow, remote) = answered.rig.connect();
    assert_eq!(remote, addr(PEER_MSRP));
    let first = answered.rig.one_frame(flow);
    assert_eq!((first.start.as_str(), &first.body, first.flag), ("SEND", &None, '$'));
    assert_eq!((first.header("To-Path"), first.header("From-Path")), (PEER_PATH, answered.path.as_str()));
    answered.rig.stream(flow, first.response("200 OK"));
    answered.rig.auto_store = None;
    let body = cpim("m1", "positive-delivery, display", &"Hi ".repeat(500));
    let chunk = answered.whole("tid00001", "msg1", body.as_bytes());
    answered.rig.stream(flow, chunk);
    // Nothing is answered or shown before the store has it.
    answered.answers(flow, &[]);
    answered.rig.quiet();
    assert_eq!(answered.rig.stores[0].1.cpim, body.as_bytes());
    answered.rig.reply_store(Ok(()));
    answered.answers(flow, &[("tid00001", "200")]);
    let report = answered.rig.next_request(Method::Message);
    assert_eq!(value(report.headers(), "Accept-Contact"), format!("*;+g.3gpp.icsi-ref=\"{LARGE}\""));
    assert_eq!(
        value(report.headers(), "P-Preferred-Service"),
        "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg"
    );
    assert_eq!(value(report.headers(), "Contribution-ID"), CONTRIBUTION);
    answered.rig.answer(&report, "200 OK", "", "");
    let message = answered.rig.next_received();
    assert!(message.large && message.display_requested);
    assert_eq!(message.content, "Hi ".repeat(500));
    assert_eq!(message.from, Some(uri("sip:bob@example.org")));
    answered.rig.quiet();
    answered.bye("Reason: SIP;cause=200;text=\"Call completed\"\r\n");
    assert_eq!(answered.rig.closed, [(flow, CloseReason::Done)]);
    answered.rig.at_rest();
    answered.rig.quiet();
}

/// A large message is found among the objects of the user's store as a short one is, and says until when it is of use.
// req: 7.2.2.2-noUID-a, 7.2.2.2-noUID-b, C.1.5-p1
#[test]
fn what_a_large_message_is_known_by() {
    let invite = Incoming::invite(1, &offer("actpass", "a=msrp-cema\r\n")).with("Message-Expires", "60");
    let (mut answered, flow) = Answered::of(Rig::new(), invite).bound();
    let chunk = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    let message = answered.rig.next_received();
    assert_eq!(message.expires, Some(cpm_base::DateTime::parse("2026-11-21T10:01:00Z").unwrap()));
    let bob = cpm_core::outside::Folder::Peer("sip:bob@example.org".to_owned());
    let object = crate::MessageKeys {
        conversation: message.conversation.clone(),
        contribution: message.contribution.clone(),
        message_uid: Some("9".to_owned()),
        message_id: message.message_id.clone(),
        ..crate::MessageKeys::new(bob)
    };
    let client = answered.rig.node.function();
    assert_eq!(client.match_received(&object), Some(message.id));
    assert_eq!(client.match_received(&object.clone().with_message_id("other")), None);
    let carol = cpm_core::outside::Folder::Peer("sip:carol@example.org".to_owned());
    assert_eq!(client.match_received(&crate::MessageKeys { folder: carol, ..object }), None);
}

// req: 7.2.2.2-p6.2
#[test]
fn the_bye_names_the_message_in_the_store() {
    let (mut answered, flow) = Answered::new().bound();
    let chunk = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    let id = answered.rig.next_received().id;
    answered.bye("Message-UID: 4711\r\n");
    assert_eq!(
        answered.rig.next_event(),
        ClientEvent::StoredByNetwork { id, message_uid: "4711".to_owned() }
    );
    answered.rig.at_rest();

    // The BYE comes while our own store still thinks.
    let (mut answered, flow) = Answered::new().bound();
    answered.rig.auto_store = None;
    let chunk = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    answered.bye("Message-UID: 4711\r\n");
    answered.rig.quiet();
    answered.rig.reply_store(Ok(()));
    assert_eq!(answered.rig.next_received().message_uid.as_deref(), Some("4711"));
    answered.rig.quiet();
    answered.rig.at_rest();
    // It is kept: the message is found by it in the next life.
    let rig = answered.rig.restart(|_| {});
    let object = crate::MessageKeys::new(cpm_core::outside::Folder::Peer("sip:bob@example.org".to_owned()));
    assert_eq!(rig.node.function().match_received(&object.with_message_uid("4711")), Some(id));
}

// req: 7.2.2.2-p5.2
#[test]
fn chunks_of_odd_sizes_in_odd_order() {
    let body = big("0123456789");
    let total = body.len();
    for (sizes, reversed, bytewise) in
        [(1_usize, false, false), (7, true, false), (333, false, true), (4096, true, true)]
    {
        let (mut answered, flow) = Answered::new().bound();
        // 1-octet chunks for the first 40 octets, one for the rest.
        let mut cuts: Vec<usize> = (0..total).step_by(sizes).collect();
        cuts.truncate(40);
        let mut chunks: Vec<(usize, usize)> =
            cuts.iter().zip(cuts.iter().skip(1)).map(|(a, b)| (*a, *b)).collect();
        chunks.push((*cuts.last().unwrap(), total));
        if reversed {
            chunks.reverse();
        }
        let mut octets = Vec::new();
        for (n, (from, to)) in chunks.iter().enumerate() {
            let flag = if *to == total { '$' } else { '+' };
            let range =
                format!("{}-{}/{}", from + 1, if n % 2 == 0 { to.to_string() } else { "*".into() }, total);
            octets.extend(answered.chunk(
                &format!("tid{n:05}"),
                "msg1",
                &range,
                &body.as_bytes()[*from..*to],
                flag,
            ));
        }
        if bytewise {
            octets.iter().for_each(|octet| answered.rig.stream(flow, Bytes::copy_from_slice(&[*octet])));
        } else {
            answered.rig.stream(flow, octets);
        }
        let ids: Vec<String> = (0..chunks.len()).map(|n| format!("tid{n:05}")).collect();
        let expected: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "200")).collect();
        answered.answers(flow, &expected);
        assert_eq!(answered.rig.next_received().content, "0123456789".repeat(500));
        answered.rig.quiet();
        answered.bye("");
        answered.rig.at_rest();
    }
}

// req: 7.2.2.2-1
#[test]
fn what_the_client_cannot_take_is_refused_with_488() {
    let good = offer("actpass", "");
    for (offered, status) in [
        (good.replace("a=accept-types:message/cpim", "a=accept-types:text/plain"), 488),
        (good.replace("a=accept-types:message/cpim", "a=accept-types:text/plain message/CPIM"), 200),
        (good.replace("a=accept-types:message/cpim", "a=accept-types:*"), 200),
        (good.replace("accept-wrapped-types:*", "accept-wrapped-types:image/png"), 488),
        (good.replace("accept-wrapped-types:*", "accept-wrapped-types:image/png Text/Plain"), 200),
        (good.replace("a=accept-wrapped-types:*\r\n", ""), 200),
        (good.replace("TCP/MSRP", "TCP/TLS/MSRP"), 488),
        (good.replace("m=message", "m=audio"), 488),
        (good.replace("m=message 7654", "m=message 0"), 488),
        (good.replace("a=sendonly", "a=recvonly"), 488),
        (good.replace("a=sendonly", "a=inactive"), 488),
        (good.replace("a=sendonly", "a=sendrecv"), 200),
        (good.replace("a=setup:actpass\r\n", ""), 200),
        (good.replace("v=0", "v=1"), 400),
        ("nonsense".to_owned(), 400),
        (String::new(), 400),
    ] {
        let mut rig = Rig::with(|config| config.accept = vec!["text/*".to_owned()]);
        rig.deliver(Incoming::invite(1, &offered).bytes());
        let response = rig.next_response(status);
        if status == 200 {
            continue;
        }
        assert!(value(response.headers(), "Warning").starts_with("399 cpm \""), "{offered}");
        let ack = Incoming::invite(1, "").follow_up_of_refusal(&response);
        rig.deliver(ack);
        rig.quiet();
        rig.at_rest();
    }
    // A late offer, and a body that is something else.
    for invite in [
        Incoming::invite(1, "").without("Content-Type"),
        Incoming::invite(1, "x").with("Content-Type", "text/plain"),
    ] {
        let mut rig = Rig::new();
        rig.deliver(invite.bytes());
        rig.next_response(488);
        rig.quiet();
    }
}

// req: 7-b11
#[test]
fn features() {
    let with = |feature: &str, service: &str| {
        Incoming::invite(1, &offer("actpass", ""))
            .with("Accept-Contact", &format!("*;+g.3gpp.icsi-ref=\"{}\"", LARGE.replace("largemsg", feature)))
            .with("P-Asserted-Service", &format!("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.{service}"))
    };
    for (feature, service, status) in [
        ("largemsg", "largemsg", 200),
        ("largemsg", "largemsg.group", 200),
        ("deferred", "deferred", 200),
        ("deferred", "session", 488),
        ("session", "session", 488),
        ("filetransfer", "filetransfer", 488),
        ("msg", "msg", 488),
    ] {
        let mut rig = Rig::new();
        rig.deliver(with(feature, service).bytes());
        rig.next_response(status);
    }
    let mut rig = Rig::new();
    rig.deliver(with("largemsg", "largemsg").without("Accept-Contact").bytes());
    rig.next_response(488);
}

// req: 6.1.2-p2
#[test]
fn for_another_device() {
    let other = format!("*;+g.3gpp.icsi-ref=\"{LARGE}\", *;+sip.instance=\"<urn:uuid:1>\";explicit;require");
    let mut rig = Rig::new();
    rig.deliver(Incoming::invite(1, &offer("actpass", "")).with("Accept-Contact", &other).bytes());
    rig.next_response(486);
    rig.quiet();
}

#[test]
fn too_large_is_refused_before_it_comes() {
    let mut rig = Rig::with(|config| config.limits.max_message = 5000);
    for (n, size, status) in [(1, 5000, 200), (2, 5001, 403)] {
        let offered = offer("actpass", &format!("a=file-selector:size:{size}\r\n"));
        rig.deliver(Incoming::invite(n, &offered).bytes());
        let response = rig.next_response(status);
        if status == 403 {
            assert_eq!(value(response.headers(), "Warning"), "399 cpm \"133 Size exceeded\"");
        }
    }
}

// req: 7.2.2.2-p1
#[test]
fn too_many_at_once() {
    let mut rig = Rig::with(|config| config.limits.max_sessions = 1);
    rig.deliver(Incoming::invite(1, &offer("actpass", "")).bytes());
    let ok = rig.next_response(200);
    rig.deliver(Incoming::invite(2, &offer("actpass", "")).bytes());
    rig.next_response(480);
    // The first ends: there is room again.
    let first = Incoming::invite(1, "");
    rig.deliver(first.follow_up("ACK", 1, &ok, ""));
    rig.deliver(first.follow_up("BYE", 2, &ok, ""));
    rig.next_response(200);
    rig.opens.clear();
    rig.deliver(Incoming::invite(3, &offer("actpass", "")).bytes());
    rig.next_response(200);
}

// req: 7.2.2.2-p3
#[test]
fn a_cancel_after_the_200_changes_nothing() {
    let mut answered = Answered::new();
    let cancel = String::from_utf8(answered.invite.bytes()).unwrap();
    let head = cancel.split("\r\n\r\n").next().unwrap().replace("INVITE", "CANCEL");
    let lines: Vec<&str> = head.split("\r\n").filter(|l| !l.starts_with("Content-")).collect();
    answered.rig.deliver(format!("{}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n")).into_bytes());
    answered.rig.next_response(200);
    let (answered, _) = answered.bound();
    assert!(answered.rig.closed.is_empty());
}

#[test]
fn the_ack_never_comes() {
    let mut answered = Answered::new();
    answered.rig.advance(secs(31));
    let copies = answered.rig.sent.drain(..).filter(|message| message.as_response().is_some()).count();
    assert!(copies >= 9, "{copies}");
    answered.rig.advance(secs(2));
    answered.rig.sent.retain(|message| message.as_request().is_some());
    answered.rig.sent.truncate(1);
    answered.ended(FAILED);
    answered.rig.quiet();
    answered.rig.at_rest();
    answered.rig.quiet();
}

#[test]
fn an_active_far_side_connects_to_us() {
    let mut answered = Answered::of(Rig::new(), Incoming::invite(1, &offer("active", "")));
    assert!(String::from_utf8_lossy(answered.ok.body()).contains("a=setup:passive"));
    answered.ack();
    answered.rig.quiet();
    let flow = answered.rig.accept();
    let chunk = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    answered.answers(flow, &[("tid00001", "200")]);
    answered.rig.next_received();
    answered.bye("");
    answered.rig.at_rest();
}

#[test]
fn an_active_far_side_that_never_connects() {
    let mut answered = Answered::of(Rig::new(), Incoming::invite(1, &offer("active", "")));
    answered.ack();
    answered.rig.advance(secs(31));
    answered.rig.sent.truncate(1);
    answered.ended(FAILED);
    answered.rig.at_rest();
}

#[test]
fn the_connection_cannot_be_made() {
    let mut answered = Answered::new();
    answered.ack();
    let (open, _) = answered.rig.opens.pop_front().unwrap();
    answered.rig.node.handle_opened(answered.rig.now, open, Err(OpenError::NotAllowed));
    answered.rig.pump();
    answered.ended(FAILED);
    answered.rig.at_rest();
    answered.rig.quiet();
}

#[test]
fn a_name_in_the_offer_is_asked_for() {
    let named = offer("passive", "")
        .replace("msrp://203.0.113.5:7654", "msrp://relay.example.org:7654")
        .replace("c=IN IP4 203.0.113.5", "c=IN IP4 relay.example.org");
    for found in [true, false] {
        let mut answered = Answered::of(Rig::new(), Incoming::invite(1, &named));
        answered.ack();
        let (id, query) = answered.rig.resolves.pop_front().unwrap();
        assert_eq!((query.host.as_str(), query.port), ("relay.example.org", Some(7654)));
        let targets = if found { vec![(Transport::Tcp, addr(PEER_MSRP))] } else { Vec::new() };
        answered.rig.node.handle_reply(answered.rig.now, id, Reply::Resolved(targets));
        answered.rig.pump();
        if found {
            assert_eq!(answered.rig.connect().1, addr(PEER_MSRP));
        } else {
            answered.ended(FAILED);
            answered.rig.at_rest();
        }
    }
    // A host that says nothing.
    let mut answered = Answered::of(Rig::new(), Incoming::invite(1, &named));
    answered.ack();
    answered.rig.advance(secs(41));
    answered.rig.sent.truncate(1);
    answered.ended(FAILED);
    answered.rig.at_rest();
}

#[test]
fn one_session_carries_one_message() {
    let (mut answered, flow) = Answered::new().bound();
    let first = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    let second = answered.whole("tid00002", "msg2", cpim("m2", "", "again").as_bytes());
    answered.rig.stream(flow, first);
    answered.rig.stream(flow, second);
    answered.answers(flow, &[("tid00001", "200"), ("tid00002", "403")]);
    answered.rig.next_received();
    answered.rig.quiet();
    // Also with the same Message-ID, and between the chunks of the first.
    let third = answered.whole("tid00003", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, third);
    answered.answers(flow, &[("tid00003", "403")]);
    answered.rig.quiet();
    assert_eq!(answered.rig.stores.len(), 1);

    let (mut answered, flow) = Answered::new().bound();
    let body = big("Hi ");
    let (head, tail) = body.as_bytes().split_at(100);
    let total = body.len();
    let begin = answered.chunk("tid00001", "msg1", &format!("1-100/{total}"), head, '+');
    let other = answered.chunk("tid00002", "msg2", "1-5/10", b"other", '+');
    let more = answered.chunk("tid00003", "msg2", "6-10/10", b"other", '$');
    let end = answered.chunk("tid00004", "msg1", &format!("101-{total}/{total}"), tail, '$');
    answered.rig.stream(flow, [begin, other, more, end].concat());
    answered
        .answers(flow, &[("tid00001", "200"), ("tid00002", "403"), ("tid00003", "403"), ("tid00004", "200")]);
    assert_eq!(answered.rig.next_received().content, "Hi ".repeat(500));
    answered.rig.quiet();
    answered.bye("");
    answered.rig.at_rest();
}

#[test]
fn something_else_than_cpim_is_refused() {
    let (mut answered, flow) = Answered::new().bound();
    let plain = answered.typed_chunk("tid00001", "msg1", "1-2/2", "text/plain", b"Hi", '$');
    answered.rig.stream(flow, plain);
    answered.answers(flow, &[("tid00001", "415")]);
    answered.rig.quiet();
    // The right one may still come.
    let good =
        answered.typed_chunk("tid00002", "msg2", "1-*/*", "Message/CPIM; x=y", big("Hi ").as_bytes(), '$');
    answered.rig.stream(flow, good);
    answered.answers(flow, &[("tid00002", "200")]);
    answered.rig.next_received();
}

#[test]
fn more_octets_than_allowed() {
    // Announced, or not.
    for range in ["1-*/20000", "1-*/*"] {
        let rig = Rig::with(|config| config.limits.max_message = 5000);
        let (mut answered, flow) = Answered::of(rig, Incoming::invite(1, &offer("actpass", ""))).bound();
        let chunk = answered.chunk("tid00001", "msg1", range, &[b'x'; 20_000], '$');
        answered.rig.stream(flow, chunk);
        answered.answers(flow, &[("tid00001", "413")]);
        assert!(answered.rig.events.is_empty() && answered.rig.stores.is_empty());
        answered.rig.advance(secs(130));
        answered.rig.sent.truncate(1);
        answered.ended(FAILED);
        answered.rig.at_rest();
    }
}

#[test]
fn a_message_that_is_none() {
    for (bad, reason) in [
        (b"no cpim at all".to_vec(), "400"),
        (
            cpim("m1", "", "x")
                .replace("imdn.Message-ID: m1", "imdn.Message-ID: m1\r\nimdn.Message-ID: m2")
                .into_bytes(),
            "400",
        ),
        (cpim_imdn("m1", "<imdn").into_bytes(), "400"),
        (vec![0xff; 100], "400"),
        (Vec::new(), "400"),
    ] {
        let (mut answered, flow) = Answered::new().bound();
        let octets = match bad.len() {
            0 => answered.chunk("tid00001", "msg1", "1-0/0", b"", '$'),
            _ => answered.whole("tid00001", "msg1", &bad),
        };
        answered.rig.stream(flow, octets);
        answered.answers(flow, &[("tid00001", reason)]);
        answered.rig.quiet();
        // The far side forgets its BYE.
        answered.rig.advance(secs(41));
        answered.rig.sent.truncate(1);
        answered.ended(FAILED);
        answered.rig.at_rest();
        answered.rig.quiet();
        assert!(answered.rig.stores.is_empty());
    }
}

#[test]
fn what_the_store_does_not_take_is_answered_413() {
    for silent in [false, true] {
        let (mut answered, flow) = Answered::new().bound();
        answered.rig.auto_store = None;
        let chunk =
            answered.whole("tid00001", "msg1", cpim("m1", "positive-delivery", &"x".repeat(2000)).as_bytes());
        answered.rig.stream(flow, chunk);
        if silent {
            answered.rig.advance(secs(41));
            answered.rig.sent.truncate(1);
            answered.ended(FAILED);
        } else {
            answered.rig.reply_store(Err(StoreError::Full));
            answered.answers(flow, &[("tid00001", "413")]);
            answered.rig.quiet();
            answered.bye("Reason: SIP;cause=480\r\n");
        }
        answered.rig.at_rest();
        answered.rig.quiet();
        // A copy in a new session is a new message.
        answered.rig.auto_store = Some(Ok(()));
        let again = Incoming::invite(2, &offer("actpass", ""));
        let (mut answered, flow) = Answered::of(answered.rig, again).bound();
        let chunk = answered.whole("tid00001", "msg1", cpim("m1", "", &"x".repeat(2000)).as_bytes());
        answered.rig.stream(flow, chunk);
        answered.answers(flow, &[("tid00001", "200")]);
        answered.rig.next_received();
    }
}

#[test]
fn no_room_to_wait_for_the_store() {
    let mut rig = Rig::with(|config| config.limits.max_storing = 1);
    rig.auto_store = None;
    rig.deliver(Incoming::message(9, cpim("m9", "", "Hi")).bytes());
    let (mut answered, flow) = Answered::of(rig, Incoming::invite(1, &offer("actpass", ""))).bound();
    let chunk = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    answered.answers(flow, &[("tid00001", "413")]);
}

#[test]
fn a_copy_is_acknowledged_and_not_shown() {
    let (mut answered, flow) = Answered::new().bound();
    let chunk = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    answered.rig.next_received();
    answered.bye("");
    let (mut answered, flow) = Answered::of(answered.rig, Incoming::invite(2, &offer("actpass", ""))).bound();
    let chunk = answered.whole("tid00009", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    answered.answers(flow, &[("tid00009", "200")]);
    answered.rig.quiet();
    answered.bye("");
    answered.rig.at_rest();
}

#[test]
fn the_sender_gives_up() {
    let (mut answered, flow) = Answered::new().bound();
    let chunk = answered.chunk("tid00001", "msg1", "1-*/5000", b"begin", '#');
    answered.rig.stream(flow, chunk);
    answered.ended(FAILED);
    assert_eq!(answered.rig.closed.len(), 1);
    answered.rig.at_rest();
    answered.rig.quiet();
    assert!(answered.rig.stores.is_empty());
}

#[test]
fn the_sender_vanishes() {
    // In the middle of a message, between binding and message, with a broken connection.
    for stage in 0..3 {
        let (mut answered, flow) = Answered::new().bound();
        if stage > 0 {
            let chunk = answered.chunk("tid00001", "msg1", "1-*/5000", b"begin", '+');
            answered.rig.stream(flow, chunk);
        }
        match stage {
            2 => {
                answered.rig.node.handle_closed(answered.rig.now, flow, CloseReason::PeerClosed);
                answered.rig.pump();
            }
            _ => answered.rig.advance(secs(125)),
        }
        answered.rig.sent.truncate(1);
        answered.ended(FAILED);
        answered.rig.at_rest();
        answered.rig.quiet();
        assert!(answered.rig.stores.is_empty());
    }
}

#[test]
fn the_bye_comes_before_the_end() {
    for stage in 0..3 {
        let mut answered = Answered::new();
        let mut flow = None;
        if stage > 0 {
            let (bound, at) = answered.bound();
            (answered, flow) = (bound, Some(at));
        }
        if let (Some(flow), 2) = (flow, stage) {
            let chunk = answered.chunk("tid00001", "msg1", "1-*/5000", b"begin", '+');
            answered.rig.stream(flow, chunk);
        }
        if stage == 0 {
            answered.ack();
            answered.bye("");
            answered.rig.connect();
        } else {
            answered.bye("");
        }
        assert_eq!(answered.rig.closed.len(), 1, "{stage}");
        answered.rig.quiet();
        answered.rig.at_rest();
        answered.rig.quiet();
        assert!(answered.rig.stores.is_empty());
    }
}

#[test]
fn the_bye_comes_before_the_ack() {
    let mut answered = Answered::new();
    answered.bye("");
    answered.rig.quiet();
    answered.ack();
    answered.rig.at_rest();
    answered.rig.quiet();
}

/// All came, and the far side forgot its BYE.
#[test]
fn the_client_ends_what_the_far_side_does_not() {
    let (mut answered, flow) = Answered::new().bound();
    let chunk = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    answered.rig.next_received();
    answered.rig.advance(secs(39));
    answered.rig.quiet();
    answered.rig.advance(secs(1));
    answered.ended(COMPLETED);
    answered.rig.at_rest();
    answered.rig.quiet();
}

/// The connection closes after the last octet: the message counts.
#[test]
fn the_connection_ends_before_the_bye() {
    let (mut answered, flow) = Answered::new().bound();
    answered.rig.auto_store = None;
    let chunk = answered.whole("tid00001", "msg1", big("Hi ").as_bytes());
    answered.rig.stream(flow, chunk);
    answered.rig.node.handle_closed(answered.rig.now, flow, CloseReason::PeerClosed);
    answered.rig.pump();
    answered.rig.quiet();
    answered.rig.reply_store(Ok(()));
    answered.rig.next_received();
    answered.bye("");
    answered.rig.at_rest();
    answered.rig.quiet();
}

#[test]
fn nothing_else_travels_in_the_dialog() {
    let mut answered = Answered::new();
    answered.ack();
    answered.rig.opens.clear();
    let (invite, ok) = (answered.invite.clone(), answered.ok.clone());
    let contact = "Contact: <sip:198.51.100.1:5060>\r\n";
    for (n, (method, status)) in
        [("INVITE", 488), ("OPTIONS", 200), ("MESSAGE", 403), ("UPDATE", 405)].into_iter().enumerate()
    {
        answered.rig.deliver(invite.follow_up(method, n as u32 + 2, &ok, contact));
        answered.rig.next_response(status);
        if method == "INVITE" {
            answered.rig.deliver(invite.follow_up("ACK", 2, &ok, ""));
        }
        answered.rig.quiet();
    }
}
