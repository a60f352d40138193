//! Too much work, no more work; what belongs together.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::Transport;
use cpm_sip::{CallId, Headers, Method, StatusCode};

fn count(net: &Net, peer: usize, of: impl Fn(&Event) -> bool) -> usize {
    net.peers[peer].events.iter().filter(|event| of(event)).count()
}

fn call(net: &mut Net) {
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
}

fn dialog(net: &Net, peer: usize) -> DialogId {
    *net.peers[peer].ua.dialogs.keys().next().unwrap()
}

/// From the configured load on, what begins something gets 503 with Retry-After; what has begun goes on.
#[test]
fn too_much_load_turns_new_requests_away() {
    let overloaded = Config { overload_at: Some(80), retry_after: 17, ..config(2) };
    let mut net = Net::new([config(1), overloaded]);
    net.script(0, polite());
    net.script(1, polite());
    call(&mut net);
    net.peers[1].ua.set_load(80);
    net.wire.clear();
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let refusals: Vec<String> = net
        .wire
        .iter()
        .filter(|packet| packet.label().starts_with("503"))
        .map(|packet| String::from_utf8_lossy(&packet.bytes).into_owned())
        .collect();
    assert_eq!(refusals.len(), 2);
    assert!(refusals.iter().all(|text| text.contains("\r\nRetry-After: 17\r\n")));
    assert_eq!(net.peers[1].ua.metrics().get("ua.turned_away"), 2);
    let of = dialog(&net, 0);
    net.with(0, |ua, now| ua.send_in_dialog(now, of, Method::Info, Headers::new(), None)).unwrap();
    net.with(0, |ua, now| ua.bye(now, of, Headers::new())).unwrap();
    net.peers[1].ua.set_load(79);
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(count(&net, 1, |event| matches!(event, Event::Request { .. })), 3, "INVITE, BYE, MESSAGE");
    net.run_to_quiet();
}

/// Draining: new work is refused both ways, what has begun is ended properly, and then, once, that is said.
#[test]
fn a_drained_endpoint_ends_what_has_begun() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, polite());
    net.script(1, polite());
    call(&mut net);
    net.with(1, Endpoint::drain);
    net.with(1, Endpoint::drain);
    assert!(net.peers[1].ua.is_draining());
    let refused =
        net.with(1, |ua, now| ua.send_request(now, message(2, 1), Destination::Routed)).unwrap_err();
    assert_eq!((refused.why, *refused.given), (Refusal::Draining, message(2, 1)));
    let refused = net.with(1, |ua, now| ua.invite(now, invite(2, 1, Transport::Udp), Destination::Routed));
    assert_eq!(refused.unwrap_err().why, Refusal::Draining);
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(100));
    let answer = |event: &Event| match event {
        Event::Response { response, .. } => response.status() == StatusCode::SERVICE_UNAVAILABLE,
        _ => false,
    };
    assert_eq!(count(&net, 0, answer), 1);
    let drained = |event: &Event| *event == Event::Drained;
    assert_eq!(count(&net, 1, drained), 0, "the call goes on");
    assert_eq!(net.peers[1].ua.holdings().dialogs, 1);
    let of = dialog(&net, 0);
    net.with(0, |ua, now| ua.bye(now, of, Headers::new())).unwrap();
    net.run_to_quiet();
    assert_eq!(count(&net, 1, drained), 1);
    let left = net.peers[1].ua.holdings();
    assert_eq!(left, Holdings { flows: left.flows, ..Holdings::default() });
}

/// An endpoint at rest is drained at once.
#[test]
fn nothing_to_drain() {
    let mut net = Net::new([config(1)]);
    net.with(0, Endpoint::drain);
    assert_eq!(net.peers[0].events, [Event::Drained]);
}

/// Everything that a call causes at both ends bears the same id, whatever causes it: messages, commands or time.
#[test]
fn a_correlation_id_follows_a_message() {
    let mut net = Net::new([config(1), config(2)]);
    let id = |n: usize| CallId::new(&alloc::format!("call-{n}")).unwrap();
    let seen = |net: &mut Net, peer: usize, expected: Correlation| {
        let mut kinds = Vec::new();
        while let Some((action, of)) = net.peers[peer].ua.poll_correlated() {
            let kind = match action {
                Action::Event(Event::FlowOpened { .. }) | Action::Open(..) => continue,
                Action::Event(Event::Request { .. }) => "request",
                Action::Event(Event::TransactionFailed { .. }) => "failed",
                Action::Event(Event::Fault(_)) => "fault",
                Action::Datagram(..) => "datagram",
                _ => "other",
            };
            assert_eq!(of, Some(expected), "{kind}");
            kinds.push(kind);
        }
        kinds.dedup();
        kinds
    };
    let octets = message(1, 2).with_typed(&id(0));
    let flow = cpm_base::FlowId(1);
    let info = |local: u8, peer: u8| cpm_base::FlowInfo {
        protocol: cpm_base::Protocol::Sip,
        transport: Transport::Udp,
        local: address(local),
        peer: address(peer),
        secure_identity: None,
        trust: cpm_base::Trust::Outside,
    };
    let now = net.now;
    net.peers[0].ua.handle_accepted(now, flow, info(1, 2));
    net.peers[0].ua.send_request(now, octets, Destination::Flow(flow)).unwrap();
    let expected = Correlation::of("call-0");
    let Some((Action::Event(Event::FlowOpened { .. }), None)) = net.peers[0].ua.poll_correlated() else {
        panic!()
    };
    let Some((Action::Datagram(_, bytes), Some(of))) = net.peers[0].ua.poll_correlated() else { panic!() };
    assert_eq!(of, expected);
    net.peers[1].ua.handle_accepted(now, flow, info(2, 1));
    net.peers[1].ua.handle_datagram(now, flow, bytes);
    assert_eq!(seen(&mut net, 1, expected), ["request"]);
    // Time: the 100, the deadline that passes, and on the other side retransmissions and the timeout.
    while let Some(next) = net.peers[1].ua.next_timeout() {
        net.peers[1].ua.handle_timeout(now.plus(next.since(now.mono)));
    }
    assert_eq!(seen(&mut net, 1, expected), ["datagram", "fault"]);
    while let Some(next) = net.peers[0].ua.next_timeout() {
        net.peers[0].ua.handle_timeout(now.plus(next.since(now.mono)));
    }
    assert_eq!(seen(&mut net, 0, expected), ["datagram", "failed"]);
    assert_eq!(alloc::format!("{}", Correlation::of("")), "cbf29ce484222325");
}
