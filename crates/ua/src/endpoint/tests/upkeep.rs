//! Flows that last: keep-alives, aliases, idle ones.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{
    CloseReason, DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Target, Transport, Trust,
};
use cpm_sip::{Method, Response, StatusCode};

fn at(millis: u64) -> Now {
    Now::new(Instant::from_micros(millis * 1000), DateTime::UNIX_EPOCH)
}

const FLOW: FlowId = FlowId(1);

fn info(transport: Transport, peer: &str, identity: Option<&str>, trust: Trust) -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Sip,
        transport,
        local: "10.0.0.2:5061".parse().unwrap(),
        peer: peer.parse().unwrap(),
        secure_identity: identity.map(String::from),
        trust,
    }
}

fn drained(ua: &mut Endpoint) -> Vec<Action> {
    core::iter::from_fn(|| ua.poll_action()).collect()
}

fn written(ua: &mut Endpoint) -> Vec<u8> {
    let mut out = Vec::new();
    while ua.poll_transmit(at(0), FLOW, 100, &mut out) > 0 {}
    out
}

fn closed(actions: &[Action]) -> Option<CloseReason> {
    actions.iter().find_map(|action| if let Action::Close(_, why) = action { Some(*why) } else { None })
}

// ---- keep-alives --------------------------------------------------------------------------------------------------

/// RFC 5626 §4.4.1: a ping after 80 % to 100 % of the interval, again and again while pongs come; 10 s without one, and
/// the flow has failed. Threat B15: the pong may come in pieces, and is never taken for a message.
#[test]
fn a_flow_is_kept_alive_until_it_does_not_answer() {
    let mut ua = Endpoint::new(config(2)).unwrap();
    ua.handle_accepted(at(0), FLOW, info(Transport::Tcp, "10.0.0.1:40000", None, Trust::Core));
    ua.keep_alive(at(0), FLOW, Some(Duration::from_secs(100))).unwrap();
    // The deadline of the first message comes first; a message meets it.
    let message = "MESSAGE sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n\
         To: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    ua.handle_stream(at(1), FLOW, Bytes::from(message));
    let Some(Action::Event(Event::Request { id, request, .. })) = drained(&mut ua).pop() else { panic!() };
    ua.respond(at(2), id, Response::for_request(&request, StatusCode::OK)).unwrap();
    // A lone CRLF, so that pongs are the second halves of pairs.
    ua.handle_stream(at(2), FLOW, Bytes::from_static(b"\r\n"));
    written(&mut ua);
    let mut last = 0;
    let mut gaps = Vec::new();
    for _ in 0..20 {
        let due = ua.next_timeout().unwrap();
        let now = Now::new(due, DateTime::UNIX_EPOCH);
        ua.handle_timeout(now);
        assert_eq!(written(&mut ua), b"\r\n\r\n");
        gaps.push(due.as_micros() / 1000 - last);
        last = due.as_micros() / 1000;
        for half in [&b"\r"[..], b"\n"] {
            ua.handle_stream(now, FLOW, Bytes::from_static(half));
        }
        assert_eq!(closed(&drained(&mut ua)), None);
    }
    assert!(gaps.iter().all(|gap| (80_000..=100_000).contains(gap)), "{gaps:?}");
    gaps.dedup();
    assert!(gaps.len() > 15, "at random");
    // No pong: 10 s, then it has failed.
    let ping = ua.next_timeout().unwrap();
    ua.handle_timeout(Now::new(ping, DateTime::UNIX_EPOCH));
    let failed = ua.next_timeout().unwrap();
    assert_eq!(failed.since(ping), Duration::from_secs(10));
    drained(&mut ua);
    ua.handle_timeout(Now::new(failed, DateTime::UNIX_EPOCH));
    assert_eq!(closed(&drained(&mut ua)), Some(CloseReason::Failed));
    assert!(ua.is_idle() && ua.next_timeout().is_none());
    assert_eq!(ua.keep_alive(at(0), FLOW, None), Err(Refusal::UnknownFlow));
}

/// RFC 6223: who would keep a flow alive says so, and does when the next hop wants it, as often as that says.
#[test]
fn keep_alives_are_agreed_in_via() {
    let run = |client: Option<u64>, server: Option<u64>| {
        let every = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        let mut net = Net::new([
            Config { keep_alive: every(client), ..config(1) },
            Config { keep_alive: every(server), ..config(2) },
        ]);
        net.script(1, polite());
        let message = request(Method::Message, 1, 2, Transport::Tcp);
        net.with(0, |ua, now| ua.send_request(now, message, Destination::Routed)).unwrap();
        net.run(Duration::from_secs(1000));
        let text = String::from_utf8_lossy(&net.wire[1].bytes).into_owned();
        let via = text.lines().find(|line| line.starts_with("Via:")).unwrap();
        let keep = via.split(';').find(|param| param.starts_with("keep")).map(String::from);
        let counted = |peer: usize, name| net.peers[peer].ua.metrics().get(name);
        assert_eq!(counted(0, "ua.keepalive_unanswered"), 0);
        assert_eq!(counted(0, "ua.keepalive_pings_sent"), counted(1, "ua.keepalive_pings"));
        (keep, counted(0, "ua.keepalive_pings_sent"))
    };
    assert_eq!(run(None, Some(30)), (None, 0));
    assert_eq!(run(Some(100), None), (Some("keep".into()), 0));
    let (keep, pings) = run(Some(100), Some(50));
    assert_eq!(keep.as_deref(), Some("keep=50"));
    assert!((19..=26).contains(&pings), "{pings}");
    assert!((9..=13).contains(&run(Some(100), Some(500)).1));
}

// ---- aliases ------------------------------------------------------------------------------------------------------

/// Whether a request to `10.0.0.1:5061` goes back on the connection on which a request with this Via came.
fn reused(via: &str, info: FlowInfo) -> bool {
    let transport = info.transport;
    let mut ua = Endpoint::new(Config::user_agent(Seed::new([4; 32]), "")).unwrap();
    ua.handle_accepted(at(0), FLOW, info);
    let text = alloc::format!(
        "OPTIONS sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/TLS {via};branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n\
         To: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    ua.handle_stream(at(1), FLOW, Bytes::from(text));
    drained(&mut ua);
    let destination = Destination::To(transport, "10.0.0.1:5061".parse().unwrap());
    ua.send_request(at(2), message(1, 2), destination).unwrap();
    let actions = drained(&mut ua);
    let opened = Target { protocol: Protocol::Sip, transport, remote: "10.0.0.1:5061".parse().unwrap() };
    let open = actions.iter().any(|action| matches!(action, Action::Open(_, target) if *target == opened));
    assert_ne!(open, actions.contains(&Action::WantsWrite(FLOW)));
    !open
}

/// RFC 5923 §8.1: a connection is reused for what its peer says it is, once the peer has shown who it is.
#[test]
fn only_authenticated_peers_have_aliases() {
    let tls = |identity, trust| info(Transport::Tls, "10.0.0.1:40000", identity, trust);
    let (name, address) = ("proxy.example;alias", "10.0.0.1:5061;alias");
    assert!(reused(name, tls(Some("Proxy.Example"), Trust::Outside)));
    assert!(reused(address, tls(Some("proxy.example"), Trust::Outside)));
    assert!(reused(address, tls(None, Trust::Core)));
    // No alias, no certificate, one of somebody else, an address of somebody else, no TLS.
    assert!(!reused("proxy.example", tls(Some("proxy.example"), Trust::Outside)));
    assert!(!reused(name, tls(None, Trust::Outside)));
    assert!(!reused(name, tls(Some("mallory.example"), Trust::Outside)));
    assert!(!reused("10.0.0.9:5061;alias", tls(Some("proxy.example"), Trust::Outside)));
    assert!(!reused(address, info(Transport::Tcp, "10.0.0.1:40000", Some("proxy.example"), Trust::Outside)));
    // Another port: a name for another address.
    assert!(!reused("proxy.example:5070;alias", tls(Some("proxy.example"), Trust::Outside)));
}

/// A connection has one alias: what comes later neither moves it nor makes more.
#[test]
fn a_connection_has_one_alias() {
    let mut ua = Endpoint::new(Config::user_agent(Seed::new([4; 32]), "")).unwrap();
    ua.handle_accepted(
        at(0),
        FLOW,
        info(Transport::Tls, "10.0.0.1:40000", Some("a.example"), Trust::Outside),
    );
    for n in 1..50 {
        let text = alloc::format!(
            "OPTIONS sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/TLS a.example:{n};alias;branch=z9hG4bK{n}\r\n\
             From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: {n}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\
             Content-Length: 0\r\n\r\n"
        );
        ua.handle_stream(at(1), FLOW, Bytes::from(text));
    }
    assert_eq!(ua.metrics().get("ua.aliases"), 1);
}

#[test]
fn a_via_asks_for_reuse_when_configured() {
    let via = |reuse_connections| {
        let mut ua = Endpoint::new(Config { reuse_connections, ..config(1) }).unwrap();
        let remote = "10.0.0.2:5061".parse().unwrap();
        ua.send_request(at(0), message(1, 2), Destination::To(Transport::Tls, remote)).unwrap();
        let Some(Action::Open(open, _)) = ua.poll_action() else { panic!() };
        let info = info(Transport::Tls, "10.0.0.2:5061", Some("b.example"), Trust::Outside);
        ua.handle_opened(at(0), open, Ok((FLOW, info)));
        let text = String::from_utf8(written(&mut ua)).unwrap();
        text.lines().find(|line| line.starts_with("Via:")).unwrap().contains(";alias")
    };
    assert!(via(true) && !via(false));
}

// ---- idle ---------------------------------------------------------------------------------------------------------

/// A flow that nobody uses is closed, one in use is not; the next request opens another.
#[test]
fn idle_flows_are_closed() {
    let idle = Duration::from_secs(200);
    let mut net = Net::new([Config { flow_idle: Some(idle), ..config(1) }, config(2)]);
    net.script(1, polite());
    let send = |net: &mut Net| {
        let message = request(Method::Message, 1, 2, Transport::Tcp);
        net.with(0, |ua, now| ua.send_request(now, message, Destination::Routed)).unwrap();
    };
    for _ in 0..6 {
        send(&mut net);
        net.run(Duration::from_secs(150));
    }
    assert_eq!(net.peers[0].ua.metrics().get("ua.idle_flows_closed"), 0);
    net.run(Duration::from_secs(400));
    assert_eq!(net.peers[0].ua.metrics().get("ua.idle_flows_closed"), 1);
    assert_eq!(net.peers[0].ua.next_timeout(), None);
    send(&mut net);
    net.run(Duration::from_secs(1));
    let opened = net.peers[0].events.iter().filter(|event| matches!(event, Event::FlowOpened { .. })).count();
    assert_eq!(opened, 2);
    net.run_to_quiet();
    assert!(Config { flow_idle: Some(Duration::from_secs(181)), ..config(1) }.validate().is_err());
}

#[test]
fn a_flow_is_closed_at_wish() {
    let mut net = Net::new([config(1), config(2)]);
    let message = request(Method::Message, 1, 2, Transport::Tcp);
    net.with(0, |ua, now| ua.send_request(now, message, Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let Some(Event::FlowOpened { flow, .. }) = net.peers[0].events.first().cloned() else { panic!() };
    net.with(0, |ua, now| ua.close_flow(now, flow)).unwrap();
    let failed =
        |event: &Event| matches!(event, Event::TransactionFailed { why: TransactionFailure::Transport, .. });
    assert!(net.peers[0].events.iter().any(failed));
    assert_eq!(net.with(0, |ua, now| ua.close_flow(now, flow)), Err(Refusal::UnknownFlow));
    net.run_to_quiet();
}
