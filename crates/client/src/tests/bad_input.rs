//! What peers may send at their worst: nothing makes the client panic, hold more and more, or miss the next message. And
//! two clients without anything between them, over a net that loses, with every octet the same on a second run.

use super::harness::*;
use crate::{Client, ClientConfig, ClientEvent, NewMessage, SendRefusal, contact_uri};
use bytes::Bytes;
use cpm_base::{
    CloseReason, DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Random, Seed, Transport, Trust,
};
use cpm_core::{Action, Node, Query, Reply};
use cpm_sip::Method;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

#[test]
fn a_field_that_cannot_be_read_gets_a_400_that_says_why() {
    let good = Incoming::message(1, cpim("m1", "", "Hi"));
    for bad in [
        good.clone().with("Conversation-ID", "a b"),
        good.clone().with("Contribution-ID", ""),
        good.clone().with("InReplyTo-Contribution-ID", &"a".repeat(300)),
        good.clone().with("Accept-Contact", "*;+g.3gpp.icsi-ref=\"unterminated"),
        good.clone().with("P-Asserted-Identity", "<sip:"),
        good.clone().with("Reply-To", "<<>>"),
        good.clone().with("Content-Type", "/"),
        good.clone().with("Message-UID", "a\u{7f}b c"),
    ] {
        let mut rig = Rig::new();
        rig.deliver(bad.bytes());
        let response = rig.next_response(400);
        // What RFC 3261 has to be readable is refused before the client sees it.
        let by_client =
            !matches!(bad.lines.last(), Some((name, _)) if name == "Content-Type" || name == "Message-UID");
        let why = values(response.headers(), "Warning");
        assert!(!by_client || why[0].starts_with("399 cpm \""), "{:?}", bad.lines);
        rig.quiet();
        assert!(rig.stores.is_empty());
        // The next one is taken.
        rig.deliver(Incoming::message(2, cpim("m1", "", "Hi")).bytes());
        rig.next_response(200);
        rig.next_received();
        rig.at_rest();
    }
    let mut twice = good.clone();
    twice.lines.push(("Conversation-ID".to_owned(), CONVERSATION.to_owned()));
    let mut rig = Rig::new();
    rig.deliver(twice.bytes());
    rig.next_response(400);
}

#[test]
fn only_cpim_is_taken() {
    let multipart = "--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n";
    for (content_type, body) in
        [("text/plain", "hello"), ("application/sdp", "v=0"), ("multipart/mixed;boundary=x", multipart)]
    {
        let mut rig = Rig::new();
        rig.deliver(Incoming::message(1, body).with("Content-Type", content_type).bytes());
        let response = rig.next_response(415);
        assert_eq!(value(response.headers(), "Accept"), "message/cpim, multipart/mixed");
        rig.quiet();
    }
    let mut rig = Rig::new();
    rig.deliver(Incoming::message(1, "").without("Content-Type").bytes());
    rig.next_response(415);
    rig.quiet();
}

#[test]
fn a_cpim_message_that_is_none() {
    let good = cpim("m1", "display", "Hi");
    for bad in [
        String::new(),
        "Hi".to_owned(),
        good.replace("imdn.Disposition-Notification: display", "imdn.Disposition-Notification: ,,"),
        good.replace("imdn.Message-ID: m1", "imdn.Message-ID: m1\r\nimdn.Message-ID: m2"),
        good.replace(
            "Content-Type: text/plain",
            "Content-Transfer-Encoding: base64\r\nContent-Type: text/plain",
        )
        .replace("Hi", "!!!!"),
    ] {
        let mut rig = Rig::new();
        rig.deliver(Incoming::message(1, bad.clone()).bytes());
        let response = rig.next_response(400);
        assert!(value(response.headers(), "Warning").starts_with("399 cpm \""), "{bad}");
        rig.quiet();
        assert!(rig.stores.is_empty());
    }
}

/// RFC 3862 §3.5: what a sender insists on and this client does not know, is not shown.
#[test]
fn a_required_feature_that_is_not_known() {
    let good = cpim("m1", "", "Hi");
    let with = |lines: &str| good.replace("imdn.Message-ID", &format!("{lines}\r\nimdn.Message-ID"));
    for unknown in [
        "Require: VitalHeader",
        "NS: my <urn:example:vital>\r\nRequire: my.VitalHeader",
        "Require: imdn.Message-ID,imdn.Vital",
        "Require: Subject\r\nRequire: from",
        "Require: nobody.Declared",
    ] {
        let mut rig = Rig::new();
        rig.deliver(Incoming::message(1, with(unknown)).bytes());
        rig.next_response(400);
        rig.quiet();
        assert!(rig.stores.is_empty(), "{unknown}");
    }
    let mut rig = Rig::new();
    rig.deliver(Incoming::message(1, with("Require: imdn.Message-ID,Subject,DateTime")).bytes());
    rig.next_response(200);
    assert_eq!(rig.next_received().subject.as_deref(), Some("Lunch"));
}

/// An error text never carries what a peer wrote into another header field.
#[test]
fn no_warning_makes_a_header_field() {
    let mut rig = Rig::new();
    let mut incoming = Incoming::message(1, cpim("m1", "", "Hi"));
    incoming = incoming.with("Conversation-ID", "\"\\x\u{1}y");
    rig.deliver(incoming.bytes());
    for octets in &rig.log {
        let text = String::from_utf8_lossy(octets);
        assert!(text.split("\r\n").all(|line| !line.starts_with('y') && !line.contains('\u{1}')), "{text}");
    }
}

#[test]
fn requests_that_a_client_does_not_serve() {
    for (method, status) in
        [("REFER", 405), ("SUBSCRIBE", 405), ("PUBLISH", 405), ("BYE", 481), ("WHATEVER", 501)]
    {
        let mut rig = Rig::new();
        rig.deliver(Incoming::new(method, 1, MSG, "text/plain", Vec::new()).without("Content-Type").bytes());
        rig.next_response(status);
        rig.quiet();
        rig.at_rest();
    }
    let mut rig = Rig::new();
    rig.deliver(Incoming::new("OPTIONS", 1, MSG, "text/plain", Vec::new()).without("Content-Type").bytes());
    let response = rig.next_response(200);
    let allowed = values(response.headers(), "Allow").join(",");
    for method in ["INVITE", "ACK", "BYE", "CANCEL", "MESSAGE", "OPTIONS"] {
        assert!(allowed.contains(method), "{allowed}");
    }
    assert_eq!(value(response.headers(), "Accept"), "message/cpim, application/sdp");
}

#[test]
fn replies_and_events_that_nobody_asked_for() {
    let mut rig = Rig::new();
    for id in 0..5 {
        rig.node.handle_reply(rig.now, cpm_core::QueryId(id), Reply::Stored(Ok(())));
        rig.node.handle_reply(rig.now, cpm_core::QueryId(id), Reply::Resolved(Vec::new()));
    }
    rig.pump();
    rig.node.handle_timeout(rig.now);
    rig.quiet();
    rig.at_rest();
}

/// What a peer fills, stays within the limits.
#[test]
fn memory_is_bounded() {
    let mut rig = Rig::with(|config| {
        config.limits.max_received = 8;
        config.limits.max_sent = 8;
        config.limits.max_unanswered = 50;
        config.limits.max_storing = 8;
        config.limits.max_sessions = 4;
    });
    for n in 0..200 {
        rig.deliver(Incoming::message(n, cpim(&format!("m{n}"), "display", "Hi")).bytes());
        rig.deliver(Incoming::invite(1000 + n, &offer("actpass", "")).bytes());
        let message = NewMessage::text(uri(&format!("sip:bob{n}@198.51.100.1")), "Hi").with_reports();
        let sent = rig.command(|client, now, ports| client.send_message(now, ports, message));
        assert_eq!(sent.map_err(|refused| refused.why).err(), (n >= 50).then_some(SendRefusal::Busy));
    }
    let state = format!("{:?}", rig.node.function());
    assert!(state.matches("Receipt {").count() <= 8);
    assert!(state.matches("LargeIn {").count() <= 4);
    assert!(state.matches("\\nf81d4fae").count() <= 16, "{}", state.matches("\\nf81d4fae").count());
    assert!(state.matches("Outgoing {").count() <= 50);
    assert!(state.matches("SentMessage {").count() <= 50 + 50);
    rig.sent.clear();
    rig.events.clear();
    rig.advance(secs(100));
    assert!(rig.node.function().sent_messages().count() <= 8);
    rig.at_rest();
}

fn mutate(octets: &mut Vec<u8>, edits: &[(u16, u8, u8)]) {
    for (at, kind, value) in edits {
        if octets.is_empty() {
            return;
        }
        let at = usize::from(*at) % octets.len();
        match kind % 5 {
            0 => octets[at] = *value,
            1 => octets.insert(at, *value),
            2 => {
                octets.remove(at);
            }
            3 => octets.truncate(at.max(octets.len() / 2)),
            _ => {
                let copy = octets[at..(at + usize::from(*value)).min(octets.len())].to_vec();
                octets.splice(at..at, copy);
            }
        }
    }
}

/// Whatever came before, the client takes the next message and comes to rest.
fn still_works(mut rig: Rig) {
    rig.sent.clear();
    rig.events.clear();
    rig.deliver(Incoming::message(900, cpim("last", "", "still there?")).bytes());
    let ok = rig.sent.iter().filter_map(|message| message.as_response());
    assert!(ok.filter(|response| response.status().as_u16() == 200).count() >= 1);
    assert!(
        rig.events.iter().any(
            |event| matches!(event, ClientEvent::Received(message) if message.content == "still there?")
        )
    );
    rig.opens.clear();
    // Five tries of an unanswered report take their time.
    rig.advance(secs(400));
    assert!(rig.node.function().is_idle(), "{:?}", rig.node.function().metrics());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn mutated_messages(edits in prop::collection::vec(any::<(u16, u8, u8)>(), 1..6), which in 0..4) {
        let incoming = match which {
            0 => Incoming::message(1, cpim("m1", "positive-delivery, display", "Hi")),
            1 => Incoming::message(1, cpim_imdn("i1", &imdn("m1", "<delivery-notification><status><delivered/></status></delivery-notification>"))),
            2 => Incoming::invite(1, &offer("actpass", "a=msrp-cema\r\na=file-selector:size:5\r\n")),
            _ => Incoming::new("OPTIONS", 1, MSG, "text/plain", Vec::new()),
        };
        let mut octets = incoming.bytes();
        mutate(&mut octets, &edits);
        let mut rig = Rig::new();
        rig.deliver(octets);
        still_works(rig);
    }

    #[test]
    fn mutated_answers(edits in prop::collection::vec(any::<(u16, u8, u8)>(), 1..6), large in any::<bool>()) {
        let mut rig = Rig::new();
        let text = if large { "x".repeat(2000) } else { "x".to_owned() };
        rig.send(NewMessage::text(uri("sip:bob@198.51.100.1"), &text));
        let request = rig.next_request(if large { Method::Invite } else { Method::Message });
        let extra = "Contact: <sip:bob@198.51.100.1:5060>\r\nMessage-UID: 4\r\nContent-Type: application/sdp\r\n";
        let mut octets = response_to(&request, "200 OK", extra, &sdp("recvonly", "passive", ""));
        mutate(&mut octets, &edits);
        rig.deliver(octets);
        still_works(rig);
    }

    #[test]
    fn mutated_registrations(edits in prop::collection::vec(any::<(u16, u8, u8)>(), 1..6)) {
        let mut rig = Rig::new();
        rig.command(|client, now, ports| client.register(now, ports)).unwrap();
        let request = rig.next_request(Method::Register);
        let extra = format!(
            "Contact: <sip:alice@192.0.2.1:5060>;expires=600;pub-gruu=\"sip:alice@example.com;gr=1\";+sip.instance=\"<{INSTANCE}>\"\r\n\
             Service-Route: <sip:orig@198.51.100.1;lr>\r\nP-Associated-URI: <sip:alice@example.com>\r\n"
        );
        let mut octets = response_to(&request, "200 OK", &extra, "");
        mutate(&mut octets, &edits);
        rig.deliver(octets);
        // A route that leads nowhere is the caller's error, not a fault of the client.
        let message = NewMessage::text(uri("sip:bob@198.51.100.1"), "x");
        let _ = rig.command(|client, now, ports| client.send_message(now, ports, message));
        rig.advance(secs(40));
        rig.events.clear();
        // No lifetime makes the client register at the speed of the net.
        let registers = rig.sent.iter().filter_map(|m| m.as_request()).filter(|r| *r.method() == Method::Register).count();
        prop_assert!(registers <= 12, "{registers}");
    }

    #[test]
    fn mutated_streams(edits in prop::collection::vec(any::<(u16, u8, u8)>(), 1..6), cut in 1..200_usize) {
        let mut rig = Rig::new();
        let invite = Incoming::invite(1, &offer("actpass", ""));
        rig.deliver(invite.bytes());
        let ok = rig.next_response(200);
        let sdp = String::from_utf8(ok.body().to_vec()).unwrap();
        let path = sdp.split("a=path:").nth(1).unwrap().split("\r\n").next().unwrap();
        rig.deliver(invite.follow_up("ACK", 1, &ok, ""));
        let (flow, _) = rig.connect();
        let first = rig.one_frame(flow);
        let mut octets = first.response("200 OK").into_bytes();
        let (head, tail) = ("From: <sip:a@b>\r\nTo: <sip:c@d>\r\n", "\r\nContent-Type: text/plain\r\n\r\nHi");
        for (id, range, body, flag) in [("tid00001", "1-35/*", head, '+'), ("tid00002", "36-*/*", tail, '$')] {
            octets.extend(format!(
                "MSRP {id} SEND\r\nTo-Path: {path}\r\nFrom-Path: {PEER_PATH}\r\nMessage-ID: msg1\r\nByte-Range: {range}\r\n\
                 Content-Type: message/cpim\r\n\r\n{body}\r\n-------{id}{flag}\r\n"
            ).bytes());
        }
        mutate(&mut octets, &edits);
        for piece in octets.chunks(cut) {
            rig.stream(flow, piece.to_vec());
        }
        rig.advance(secs(200));
        still_works(rig);
    }

    /// Any inputs at all, twice: the same octets come out.
    #[test]
    fn the_same_inputs_give_the_same_octets(steps in prop::collection::vec((0..8_u8, any::<u16>(), any::<u8>()), 1..40)) {
        let run = || {
            let mut rig = Rig::new();
            for (n, (what, at, value)) in steps.iter().enumerate() {
                let n = n as u32;
                match what {
                    0 => { rig.send(NewMessage::text(uri("sip:bob@198.51.100.1"), "Hi").with_reports()); }
                    1 => { rig.send(NewMessage::text(uri("sip:bob@198.51.100.1"), &"x".repeat(2000))); }
                    2 => rig.deliver(Incoming::message(n, cpim(&format!("m{value}"), "positive-delivery", "Hi")).bytes()),
                    3 => rig.deliver(Incoming::invite(n, &offer("actpass", "")).bytes()),
                    4 => rig.advance(secs(u64::from(*value))),
                    5 => { let _ = rig.command(|client, now, ports| client.register(now, ports)); }
                    6 => {
                        let mut octets = Incoming::message(n, cpim("m", "", "Hi")).bytes();
                        mutate(&mut octets, &[(*at, *value, *value)]);
                        rig.deliver(octets);
                    }
                    _ => if !rig.opens.is_empty() { rig.connect(); },
                }
            }
            rig.advance(secs(300));
            (rig.log, rig.written, format!("{:?}", rig.events))
        };
        prop_assert_eq!(run(), run());
    }
}

// Two clients

/// Two clients over a net of our own: datagrams are lost by chance, streams are cut into odd pieces.
struct Pair {
    nodes: [Node<Client>; 2],
    now: Now,
    random: Random,
    /// One datagram in so many is lost; 0: none.
    loss: u64,
    events: [Vec<ClientEvent>; 2],
    wire: Vec<Bytes>,
    /// Flow of one side and its peer's.
    streams: BTreeMap<(usize, FlowId), FlowId>,
    last_flow: u64,
}

fn place(side: usize, port: u16) -> core::net::SocketAddr {
    addr(&format!("192.0.2.{}:{port}", side + 1))
}

fn address(side: usize) -> String {
    format!("sip:{}@192.0.2.{}:5060", ["alice", "bob"][side], side + 1)
}

impl Pair {
    fn new(seed: u8, loss: u64) -> Pair {
        let node = |side: usize| {
            let at = place(side, 5060);
            let contact = contact_uri(["alice", "bob"][side], at);
            let instance = format!("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6b0{side}");
            let mut config = ClientConfig::new(uri(&address(side)), contact, place(side, 2855), &instance);
            config.settings.strangers = crate::Strangers::Report;
            config.settings.unasserted_senders = true;
            Client::node(config, Seed::new([seed + side as u8; 32])).unwrap()
        };
        let mut pair = Pair {
            nodes: [node(0), node(1)],
            now: Now::new(Instant::ZERO, DateTime::parse("2026-11-21T10:00:00Z").unwrap()),
            random: Random::new(Seed::new([seed; 32])),
            loss,
            events: [Vec::new(), Vec::new()],
            wire: Vec::new(),
            streams: BTreeMap::new(),
            last_flow: 1,
        };
        for side in 0..2 {
            let info = pair.info(side, Protocol::Sip);
            pair.nodes[side].handle_accepted(pair.now, SIP, info);
        }
        pair
    }

    fn info(&self, side: usize, protocol: Protocol) -> FlowInfo {
        let (transport, port) = match protocol {
            Protocol::Sip => (Transport::Udp, 5060),
            Protocol::Msrp => (Transport::Tcp, 2855),
        };
        let (local, peer) = (place(side, port), place(1 - side, port));
        FlowInfo { protocol, transport, local, peer, secure_identity: None, trust: Trust::Outside }
    }

    /// Until nothing moves at this moment.
    fn settle(&mut self) {
        let mut datagrams: VecDeque<(usize, Bytes)> = VecDeque::new();
        loop {
            let mut moved = false;
            for side in 0..2 {
                while let Some(action) = self.nodes[side].poll_action() {
                    moved = true;
                    match action {
                        Action::Datagram(_, octets) => {
                            self.wire.push(octets.clone());
                            let lost = self.loss > 0 && self.random.public_u64().is_multiple_of(self.loss);
                            if !lost {
                                datagrams.push_back((1 - side, octets));
                            }
                        }
                        Action::Open(open, target) => {
                            assert_eq!(target.remote, place(1 - side, 2855));
                            self.last_flow += 2;
                            let (own, theirs) = (FlowId(self.last_flow), FlowId(self.last_flow + 1));
                            self.streams.insert((side, own), theirs);
                            self.streams.insert((1 - side, theirs), own);
                            let (ours, peers) =
                                (self.info(side, Protocol::Msrp), self.info(1 - side, Protocol::Msrp));
                            self.nodes[1 - side].handle_accepted(self.now, theirs, peers);
                            self.nodes[side].handle_opened(self.now, open, Ok((own, ours)));
                        }
                        Action::Close(flow, why) => {
                            self.nodes[side].handle_closed(self.now, flow, why);
                            if let Some(theirs) = self.streams.remove(&(side, flow)) {
                                self.streams.remove(&(1 - side, theirs));
                                self.nodes[1 - side].handle_closed(self.now, theirs, CloseReason::PeerClosed);
                            }
                        }
                        Action::WantsWrite(flow) => self.carry(side, flow),
                        Action::Query(id, Query::Store(_)) => {
                            self.nodes[side].handle_reply(self.now, id, Reply::Stored(Ok(())));
                        }
                        Action::Query(_, other) => panic!("{other:?}"),
                        Action::Event(event) => self.events[side].push(event),
                    }
                }
            }
            if let Some((side, octets)) = datagrams.pop_front() {
                self.nodes[side].handle_datagram(self.now, SIP, octets);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn carry(&mut self, side: usize, flow: FlowId) {
        loop {
            let mut out = Vec::new();
            let most = 1 + (self.random.public_u64() % 5000) as usize;
            if self.nodes[side].poll_transmit(self.now, flow, most, &mut out) == 0 {
                return;
            }
            self.wire.push(out.clone().into());
            if let Some(theirs) = self.streams.get(&(side, flow)).copied() {
                self.nodes[1 - side].handle_stream(self.now, theirs, out.into());
            }
        }
    }

    /// Until nothing waits any more.
    fn finish(&mut self) {
        self.settle();
        for _ in 0..100_000 {
            let due = self.nodes.iter().filter_map(Node::next_timeout).min();
            let Some(due) = due else {
                for node in &self.nodes {
                    assert!(node.is_idle() && node.function().is_idle(), "{:?}", node.metrics());
                }
                return;
            };
            self.now = self.now.plus(due.since(self.now.mono));
            for side in 0..2 {
                self.nodes[side].handle_timeout(self.now);
            }
            self.settle();
        }
        panic!("never at rest");
    }

    fn send(&mut self, side: usize, text: &str) {
        let message = NewMessage::text(uri(&address(1 - side)), text).with_reports();
        let now = self.now;
        self.nodes[side].command(now, |client, ports| client.send_message(now, ports, message)).unwrap();
        self.settle();
    }

    fn received(&self, side: usize) -> Vec<Bytes> {
        let texts = self.events[side].iter().filter_map(|event| match event {
            ClientEvent::Received(message) => Some(message.content.clone()),
            _ => None,
        });
        texts.collect()
    }
}

#[test]
fn two_clients_alone() {
    let large = "0123456789".repeat(50_000);
    let mut pair = Pair::new(1, 0);
    pair.send(0, "Hi Bob");
    pair.send(1, &large);
    pair.finish();
    assert_eq!(pair.received(1), [Bytes::from("Hi Bob")]);
    assert_eq!(pair.received(0), [Bytes::from(large)]);
    for side in 0..2 {
        assert_eq!(pair.events[side].len(), 3, "{:?}", pair.events[side]);
        let sent = |event: &ClientEvent| matches!(event, ClientEvent::Sent { .. });
        let delivered = |event: &ClientEvent| matches!(event, ClientEvent::Disposition { .. });
        assert!(pair.events[side].iter().any(sent) && pair.events[side].iter().any(delivered));
    }
}

/// Whatever gets lost: a message is shown at most once; one that was sent was shown; all ends at rest.
#[test]
fn over_a_net_that_loses() {
    for seed in 0..25 {
        let run = || {
            let mut pair = Pair::new(seed * 3, 3);
            for n in 0..4 {
                pair.send(0, &format!("short {n}"));
                pair.send(1, &format!("{n}").repeat(3000));
            }
            pair.finish();
            pair
        };
        let pair = run();
        for side in 0..2 {
            let sent = |event: &&ClientEvent| matches!(event, ClientEvent::Sent { .. });
            let sent = pair.events[side].iter().filter(sent).count();
            let mut shown = pair.received(1 - side);
            let count = shown.len();
            shown.sort();
            shown.dedup();
            assert_eq!(shown.len(), count);
            assert!(count >= sent && count <= 4, "{sent} sent, {count} shown");
        }
        let again = run();
        assert_eq!(pair.wire, again.wire);
        assert_eq!(format!("{:?}", pair.events), format!("{:?}", again.events));
    }
}
