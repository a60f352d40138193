//! Flows: streams cut anywhere and broken at any time, symmetric routing, limits of connections.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;
use cpm_base::{CloseReason, DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_sip::{Method, Request, Response, StatusCode};

fn stream_message() -> Request {
    request(Method::Message, 1, 2, Transport::Tcp)
        .with_header(cpm_sip::HeaderName::ContentType, cpm_sip::HeaderText::new("text/plain").unwrap())
        .with_body(Bytes::from_static(b"over a stream\r\n\r\n"))
}

fn outcome(net: &Net) -> Vec<String> {
    let outcomes = net.peers[0].events.iter().filter_map(|event| match event {
        Event::Response { response, .. } => Some(alloc::format!("{}", response.status())),
        Event::TransactionFailed { why, .. } => Some(alloc::format!("{why:?}")),
        _ => None,
    });
    outcomes.collect()
}

#[test]
fn streams_may_be_cut_anywhere() {
    for piece in [1, 2, 3, 7, 50, 333] {
        let mut net = Net::new([config(1), config(2)]);
        net.piece = piece;
        net.script(0, caller_that_hangs_up());
        net.script(1, polite());
        net.with(0, |ua, now| {
            ua.send_request(now, stream_message(), Destination::Routed).unwrap();
            ua.send_request(now, stream_message(), Destination::Routed).unwrap();
            ua.invite(now, invite(1, 2, Transport::Tcp), Destination::Routed).unwrap();
        });
        net.run(Duration::from_secs(5));
        // The last 200 is that of the BYE. One connection carries it all, and nothing is sent twice.
        assert_eq!(outcome(&net), ["200", "200", "200"], "{piece}");
        assert!(net.peers.iter().all(|peer| peer.ua.metrics().get("ua.retransmissions_sent") == 0));
        let opened = |event: &&Event| matches!(event, Event::FlowOpened { .. });
        assert_eq!(net.peers[0].events.iter().filter(opened).count(), 1);
        net.run_to_quiet();
    }
}

#[test]
fn a_connection_that_is_refused_fails_the_request() {
    let mut net = Net::new([config(1), config(2)]);
    net.refusing.push(address(2));
    net.with(0, |ua, now| ua.send_request(now, stream_message(), Destination::Routed)).unwrap();
    assert_eq!(outcome(&net), ["Transport"]);
    net.run_to_quiet();
}

/// C17: the connection breaks at any time of a message or a call: one outcome, nothing left.
#[test]
fn a_connection_may_break_at_any_time() {
    for steps in 0..12 {
        for call in [false, true] {
            let mut net = Net::new([config(1), config(2)]);
            net.script(0, caller_that_hangs_up());
            net.script(1, polite());
            net.with(0, |ua, now| {
                if call {
                    ua.invite(now, invite(1, 2, Transport::Tcp), Destination::Routed).map(drop).unwrap();
                } else {
                    ua.send_request(now, stream_message(), Destination::Routed).map(drop).unwrap();
                }
            });
            net.run(Duration::from_millis(5 * steps));
            net.break_streams();
            net.run(Duration::from_secs(100));
            let ends = net.peers[0].events.iter().filter(|event| {
                matches!(
                    event,
                    Event::Response { .. } | Event::TransactionFailed { .. } | Event::InviteFailed { .. }
                )
            });
            // A BYE that was lost with the connection has its own failure; the called side knows nothing of it.
            assert_eq!(ends.count(), 1, "{steps} {call}");
            for dialog in net.peers[1].ua.dialogs.keys().copied().collect::<Vec<_>>() {
                net.with(1, |ua, now| ua.bye(now, dialog, cpm_sip::Headers::new())).unwrap();
            }
            net.run_to_quiet();
        }
    }
}

/// RFC 3261 §18.2.2: when the connection of the request is gone, the response goes to the address in `received` at the
/// port of sent-by.
#[test]
fn a_response_finds_another_way_when_its_connection_is_gone() {
    let mut net = Net::new([config(1), config(2)]);
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Tcp), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(100));
    let Some(Event::Request { id, request, .. }) = net.peers[1].events.last().cloned() else { panic!() };
    net.break_streams();
    net.wire.clear();
    net.with(1, |ua, now| ua.respond(now, id, Response::for_request(&request, StatusCode::BUSY_HERE)))
        .unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!((net.labels(), net.wire[0].to), (["486 INVITE".into()].into(), address(1)));
    // The far side does not listen any more: that is a fault, and the end of it.
    let mut net = Net::new([config(1), config(2)]);
    net.with(0, |ua, now| ua.send_request(now, stream_message(), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(100));
    let Some(Event::Request { id, request, .. }) = net.peers[1].events.last().cloned() else { panic!() };
    net.break_streams();
    net.refusing.push(address(1));
    net.with(1, |ua, now| ua.respond(now, id, Response::for_request(&request, StatusCode::OK))).unwrap();
    assert_eq!(net.faults(1), [&Fault::Undeliverable { request: Some(id) }]);
    net.run_to_quiet();
}

/// RFC 3581: with rport the response goes to where the request came from, through the NAT.
#[test]
fn responses_follow_rport_through_a_nat() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, polite());
    let outside: SocketAddr = "192.0.2.7:61000".parse().unwrap();
    net.peers[0].seen_as = outside;
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!((net.wire[1].to, outcome(&net)), (outside, ["200".into()].into()));
    let via = String::from_utf8(net.wire[1].bytes.to_vec()).unwrap();
    assert!(via.contains(";rport=61000") && via.contains(";received=192.0.2.7"), "{via}");
    net.run_to_quiet();
}

/// Without rport it goes to the port of sent-by (RFC 3261 §18.2.2), the default one when there is none.
#[test]
fn responses_without_rport_go_to_the_port_of_sent_by() {
    for (sent_by, port) in [("10.0.0.1:5070", 5070), ("host.example", 5060), ("10.0.0.1", 5060)] {
        let mut net = Net::new([config(1), config(2)]);
        net.script(1, polite());
        let text = alloc::format!(
            "MESSAGE sip:user2@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK1\r\n\
             From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        net.inject(1, "192.0.2.7:61000".parse().unwrap(), text);
        net.run(Duration::from_secs(1));
        let to = SocketAddr::new("192.0.2.7".parse().unwrap(), port);
        assert_eq!((net.labels(), net.wire[0].to), (["200 MESSAGE".into()].into(), to), "{sent_by}");
        let via = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
        assert!(via.contains(";received=192.0.2.7\r\n"), "{via}");
        net.run_to_quiet();
    }
}

// ---- one endpoint, driven by hand -------------------------------------------------------------------------------

const FLOW: FlowId = FlowId(1);

fn at(millis: u64) -> Now {
    Now::new(Instant::from_micros(millis * 1000), DateTime::UNIX_EPOCH)
}

fn with_stream(limits: Limits) -> Endpoint {
    let mut ua = Endpoint::new(Config { limits, ..Config::user_agent(Seed::new([9; 32]), "") }).unwrap();
    ua.handle_accepted(at(0), FLOW, stream_info(Trust::Outside));
    ua
}

fn stream_info(trust: Trust) -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Sip,
        transport: Transport::Tcp,
        local: address(2),
        peer: "10.0.0.1:40000".parse().unwrap(),
        secure_identity: None,
        trust,
    }
}

fn actions(ua: &mut Endpoint) -> Vec<Action> {
    core::iter::from_fn(|| ua.poll_action()).collect()
}

fn written(ua: &mut Endpoint) -> String {
    let mut out = Vec::new();
    while ua.poll_transmit(at(0), FLOW, 10, &mut out) > 0 {}
    String::from_utf8(out).unwrap()
}

#[test]
fn a_ping_is_answered_with_a_pong() {
    let mut ua = with_stream(Limits::default());
    actions(&mut ua);
    for octet in b"\r\n\r\n" {
        ua.handle_stream(at(0), FLOW, Bytes::copy_from_slice(&[*octet]));
    }
    assert_eq!(actions(&mut ua), [Action::WantsWrite(FLOW)]);
    assert_eq!(written(&mut ua), "\r\n");
    assert_eq!(ua.poll_transmit(at(0), FLOW, 10, &mut Vec::new()), 0);
}

/// B1, B5: framing that is lost closes the flow, with an answer first where there is one; nothing is read after it.
#[test]
fn lost_framing_is_answered_and_closes_the_flow() {
    let mut ua = with_stream(Limits::default());
    actions(&mut ua);
    let no_length = "MESSAGE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKq\r\nFrom: <sip:a@x>;tag=1\r\n\
                     To: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n\r\n";
    let twice = [no_length, no_length].concat();
    ua.handle_stream(at(0), FLOW, Bytes::from(twice));
    let done = actions(&mut ua);
    assert!(matches!(done[0], Action::WantsWrite(FLOW)), "{done:?}");
    assert!(matches!(
        &done[1],
        Action::Event(Event::Fault(Fault::Malformed { answered: Some(StatusCode::BAD_REQUEST), .. }))
    ));
    assert_eq!(done[2], Action::Close(FLOW, CloseReason::ProtocolError));
    assert_eq!(done[3], Action::Event(Event::FlowClosed { flow: FLOW, why: CloseReason::ProtocolError }));
    assert_eq!(done.len(), 4);
    let answer = written(&mut ua);
    assert!(answer.starts_with("SIP/2.0 400 ") && answer.matches("SIP/2.0 400 ").count() == 1, "{answer}");
    ua.handle_closed(at(1), FLOW, CloseReason::ProtocolError);
    assert_eq!(actions(&mut ua), []);
    assert!(ua.is_idle());
}

/// B12: a connection on which nothing is said is closed after 32 s; one that spoke stays.
#[test]
fn an_accepted_stream_has_to_say_something() {
    let mut ua = with_stream(Limits::default());
    actions(&mut ua);
    assert_eq!(ua.next_timeout(), Some(Instant::from_micros(32_000_000)));
    ua.handle_timeout(at(31_999));
    assert_eq!(actions(&mut ua), []);
    ua.handle_timeout(at(32_000));
    assert_eq!(actions(&mut ua)[0], Action::Close(FLOW, CloseReason::Idle));

    let mut ua = with_stream(Limits::default());
    let ack = "ACK sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKq\r\nFrom: <sip:a@x>;tag=1\r\n\
               To: <sip:b@x>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n";
    ua.handle_stream(at(5), FLOW, Bytes::from(ack));
    assert_eq!(ua.next_timeout(), None);
}

/// C20: faults without end close the connection; the budget counts anew after a good message.
#[test]
fn a_stream_of_faults_is_closed() {
    let bad =
        "MESSAGE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKq\r\nContent-Length: 0\r\n\r\n";
    let mut ua = with_stream(Limits { consecutive_errors: 3, ..Limits::default() });
    for n in 0..4 {
        assert!(!actions(&mut ua).iter().any(|action| matches!(action, Action::Close(..))), "{n}");
        ua.handle_stream(at(0), FLOW, Bytes::from(bad));
    }
    assert!(actions(&mut ua).contains(&Action::Close(FLOW, CloseReason::ProtocolError)));
    ua.handle_stream(at(0), FLOW, Bytes::from(bad));
    assert_eq!(actions(&mut ua), [Action::Event(Event::Fault(Fault::UnknownFlow { flow: FLOW }))]);
}

/// B11: what a peer does not read is not kept without end.
#[test]
fn a_stalled_reader_is_cut_off() {
    let mut ua = with_stream(Limits { out_queue: 600, ..Limits::default() });
    let ping = || Bytes::from_static(b"\r\n\r\n");
    for n in 0..300 {
        ua.handle_stream(at(n * 10_000), FLOW, ping());
    }
    assert!(!actions(&mut ua).iter().any(|action| matches!(action, Action::Close(..))));
    ua.handle_stream(at(3_000_000), FLOW, ping());
    let done = actions(&mut ua);
    assert!(
        matches!(&done[0], Action::Event(Event::Fault(Fault::Overload { limit, .. })) if limit.limit == "conn.out_queue")
    );
    assert_eq!(done[1], Action::Close(FLOW, CloseReason::Failed));
}

/// A18: what became longer than may be written is not sent; the flow lives on.
#[test]
fn a_message_that_is_too_long_is_not_sent() {
    let sip = |max_out| cpm_sip::Limits {
        max_datagram: 500,
        max_stream_message: 500,
        max_body: 100,
        max_header_bytes: 500,
        max_header_line: 300,
        max_uri: 100,
        max_out,
        ..cpm_sip::Limits::DEFAULT
    };
    // The answer is the longer one: it says what is wrong, and has a tag.
    let bad = alloc::format!(
        "MESSAGE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKq;x={}\r\nTo: <sip:b@x>\r\n\
         From: <sip:a@x>;tag=1;x={}\r\nCSeq: 1 OPTIONS\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n",
        "v".repeat(165),
        "f".repeat(165)
    );
    assert!((480..=500).contains(&bad.len()), "{}", bad.len());
    let done = |max_out| {
        let limits = Limits { sip: sip(max_out), ..Limits::default() };
        limits.sip.validate().unwrap();
        let mut ua = with_stream(limits);
        actions(&mut ua);
        ua.handle_stream(at(0), FLOW, Bytes::from(bad.clone()));
        (actions(&mut ua), ua.flow_info(FLOW).is_some())
    };
    assert!(done(1_000).0.contains(&Action::WantsWrite(FLOW)));
    let (refused, alive) = done(500);
    assert!(!refused.contains(&Action::WantsWrite(FLOW)) && alive);
    assert!(refused.iter().any(|action| matches!(action,
        Action::Event(Event::Fault(Fault::Overload { limit, .. })) if limit.limit == "sip.max_out")));
}

#[test]
fn flows_are_bounded() {
    let mut ua = with_stream(Limits { max_flows: 1, ..Limits::default() });
    actions(&mut ua);
    ua.handle_accepted(at(0), FlowId(2), stream_info(Trust::Outside));
    let done = actions(&mut ua);
    assert!(matches!(done[0], Action::Close(FlowId(2), _)) && done.len() == 2, "{done:?}");
    assert!(ua.flow_info(FlowId(2)).is_none() && ua.flow_info(FLOW).is_some());
}

/// A request goes back over a connection to the very address that it comes from; under TLS, where a certificate says who
/// is there, over one that was accepted from the core alone.
#[test]
fn an_accepted_stream_is_reused_for_its_own_address() {
    for (transport, trust, reused) in [
        (Transport::Tcp, Trust::Outside, true),
        (Transport::Tls, Trust::Outside, false),
        (Transport::Tls, Trust::Core, true),
    ] {
        let mut ua = Endpoint::new(Config::user_agent(Seed::new([9; 32]), "")).unwrap();
        let info = FlowInfo { transport, peer: address(1), ..stream_info(trust) };
        ua.handle_accepted(at(0), FLOW, info);
        actions(&mut ua);
        ua.send_request(at(0), message(2, 1), Destination::To(transport, address(1))).unwrap();
        let opens = actions(&mut ua).iter().any(|action| matches!(action, Action::Open(..)));
        assert_eq!(opens, !reused);
    }
}

/// The host never answers an Open or a Resolve: the request fails in time, and nothing is left.
#[test]
fn a_host_that_does_not_answer_costs_a_timeout() {
    for target in ["sip:b@10.0.0.9;transport=tcp", "sip:b@host.example"] {
        let mut ua = Endpoint::new(Config::user_agent(Seed::new([9; 32]), "")).unwrap();
        let mut request = message(1, 2);
        request.set_uri(cpm_sip::Uri::parse(target).unwrap());
        ua.send_request(at(0), request, Destination::Routed).unwrap();
        assert_eq!(actions(&mut ua).len(), 1);
        while let Some(next) = ua.next_timeout() {
            ua.handle_timeout(Now::new(next, DateTime::UNIX_EPOCH));
        }
        let failures = actions(&mut ua);
        assert!(matches!(failures[..], [Action::Event(Event::TransactionFailed { .. })]), "{failures:?}");
        assert!(ua.is_idle());
    }
}

/// The destination that names a flow is used for the dialog too, as long as the flow is there.
#[test]
fn a_dialog_over_a_given_flow_stays_on_it() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, polite());
    net.script(1, polite());
    // The called side has connected to the caller; its Contact cannot be reached in any other way.
    net.with(1, |ua, now| {
        let mut hello = stream_message();
        hello.set_uri(cpm_sip::Uri::parse("sip:user1@10.0.0.1:5060;transport=tcp").unwrap());
        ua.send_request(now, hello, Destination::Routed).unwrap();
    });
    net.run(Duration::from_secs(1));
    let Some(Event::Request { flow, .. }) =
        net.peers[0].events.iter().find(|e| matches!(e, Event::Request { .. }))
    else {
        panic!()
    };
    let flow = *flow;
    net.refusing.push(address(2));
    let mut request = invite(1, 2, Transport::Tcp);
    request.set_uri(cpm_sip::Uri::parse("sip:user2@unreachable.invalid;transport=tcp").unwrap());
    net.with(0, |ua, now| ua.invite(now, request, Destination::Flow(flow))).unwrap();
    net.run(Duration::from_secs(1));
    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
    net.with(0, |ua, now| ua.bye(now, dialog, cpm_sip::Headers::new())).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels()[2..], ["INVITE", "180 INVITE", "ACK", "BYE", "200 BYE"]);
    net.run_to_quiet();
}

#[test]
fn a_message_moves_the_first_usable_resolved_address() {
    // `sips` goes over TLS alone, whatever the resolver offers.
    let mut ua = Endpoint::new(Config::user_agent(Seed::new([9; 32]), "")).unwrap();
    let mut request = message(1, 2);
    request.set_uri(cpm_sip::Uri::parse("sips:b@host.example").unwrap());
    ua.send_request(at(0), request, Destination::Routed).unwrap();
    let [Action::Resolve(id, query)] = &actions(&mut ua)[..] else { panic!() };
    assert!(query.secure && query.transport == Some(Transport::Tls));
    ua.handle_resolved(at(1), *id, [(Transport::Udp, address(2)), (Transport::Tls, address(3))].into());
    let opened = actions(&mut ua);
    let [Action::Open(_, target)] = opened[..] else { panic!("{opened:?}") };
    assert_eq!((target.transport, target.remote), (Transport::Tls, address(3)));
}

#[test]
fn rules_of_loss_apply_to_datagrams_alone() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, polite());
    net.rule = Box::new(|_, _| Fate::Lost);
    net.with(0, |ua, now| ua.send_request(now, stream_message(), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(outcome(&net), ["200"]);
    net.run_to_quiet();
}
