//! Where requests go: large ones by stream (RFC 3261 §18.1.1), the next target (RFC 3263 §4.3), IPv6; and when answers
//! to requests other than INVITE come (RFC 4320).

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::Transport;
use cpm_sip::{HeaderText, Method, Request, Response, StatusCode, Uri};

fn large(octets: usize) -> Request {
    message(1, 2).with_body(Bytes::from("x".repeat(octets)))
}

fn statuses(net: &Net, peer: usize) -> Vec<String> {
    let ends = net.peers[peer].events.iter().filter_map(|event| match event {
        Event::Response { response, .. } => Some(alloc::format!("{}", response.status())),
        Event::TransactionFailed { why, .. } => Some(alloc::format!("{why:?}")),
        Event::InviteProvisional { response, .. } => Some(alloc::format!("{}", response.status())),
        Event::InviteAccepted { .. } => Some("accepted".into()),
        Event::InviteFailed { why, response, .. } => {
            Some(alloc::format!("{why:?} {:?}", response.as_ref().map(|r| r.status().as_u16())))
        }
        _ => None,
    });
    ends.collect()
}

fn text(packet: &Packet) -> String {
    String::from_utf8_lossy(&packet.bytes).into_owned()
}

fn top_via(packet: &Packet) -> String {
    let text = text(packet);
    text.lines().find(|line| line.starts_with("Via: ")).unwrap().into()
}

// ---- 18.1.1 -------------------------------------------------------------------------------------------------------

/// The whole request, our Via included, decides; what is on the wire by UDP is never larger than the threshold.
#[test]
fn a_large_request_goes_by_stream() {
    let by = |octets: usize, most: usize| {
        let mut net = Net::new([Config { max_udp_request: most, ..config(1) }, config(2)]);
        net.script(1, polite());
        net.with(0, |ua, now| ua.send_request(now, large(octets), Destination::Routed)).unwrap();
        net.run(Duration::from_secs(1));
        assert_eq!(statuses(&net, 0), ["200"], "{octets}");
        let (via, length) = (top_via(&net.wire[0]), net.wire[0].bytes.len());
        assert_eq!(net.labels(), ["MESSAGE", "200 MESSAGE"]);
        net.run_to_quiet();
        (via.starts_with("Via: SIP/2.0/TCP "), length)
    };
    for octets in (0..1400).step_by(7) {
        let (stream, length) = by(octets, 1_300);
        assert!(stream || length <= 1_300, "{octets} {length}");
        assert!(!stream || length > 1_200, "{octets} {length}");
    }
    assert!(!by(1400, 10_000).0, "the threshold is configured");
    assert!(by(0, 100).0);
}

#[test]
fn a_large_request_falls_back_to_udp_when_there_is_no_connection() {
    let mut net = Net::new([config(1), config(2)]);
    net.refusing.push(address(2));
    net.script(1, polite());
    net.with(0, |ua, now| ua.send_request(now, large(1400), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(statuses(&net, 0), ["200"]);
    assert!(top_via(&net.wire[0]).starts_with("Via: SIP/2.0/UDP "));
    assert_eq!(text(&net.wire[0]).matches("Via:").count(), 1);
    assert_eq!(net.peers[0].ua.metrics().get("ua.open_failed"), 1);
    net.run_to_quiet();
}

/// The connection was there and broke: the same host is not tried again over UDP, the message may have arrived.
#[test]
fn a_connection_that_breaks_is_no_reason_for_udp() {
    let mut net = Net::new([config(1), config(2)]);
    net.with(0, |ua, now| ua.send_request(now, large(1400), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(5));
    net.break_streams();
    assert_eq!(statuses(&net, 0), ["Transport"]);
    assert!(net.wire.iter().all(|packet| top_via(packet).contains("/TCP ")));
    net.run(Duration::from_secs(100));
}

/// The path MTU of the loopback is known: RFC 3261 §18.1.1 asks for nothing there.
#[test]
fn a_large_request_to_the_loopback_stays_a_datagram() {
    let mut net = Net::new([config(1)]);
    let mut request = large(2000);
    request.set_uri(Uri::parse("sip:user2@127.0.0.1").unwrap());
    net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
    assert!(top_via(&net.wire[0]).contains("/UDP "));
}

/// On a flow of the function's choice it stays on that flow, whatever its size.
#[test]
fn a_chosen_flow_is_kept() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, polite());
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let Some(Event::FlowOpened { flow, .. }) = net.peers[0].events.first().cloned() else { panic!() };
    net.with(0, |ua, now| ua.send_request(now, large(2000), Destination::Flow(flow))).unwrap();
    net.run(Duration::from_secs(1));
    assert!(net.wire.iter().all(|packet| top_via(packet).contains("/UDP ")));
    assert_eq!(statuses(&net, 0), ["200", "200"]);
    net.run_to_quiet();
}

/// An ACK is a request too: the one for a 2xx may carry a description.
#[test]
fn a_large_ack_goes_by_stream() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(0, |ua, now, event| {
        if let Event::InviteAccepted { dialog, .. } = event {
            let octets = Bytes::from("v".repeat(1400));
            let body = Body { content_type: HeaderText::new("text/plain").unwrap(), octets };
            ua.confirm(now, *dialog, Some(body)).unwrap();
        }
    });
    net.script(1, answering(StatusCode::OK));
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let ack = net.wire.iter().find(|packet| packet.label() == "ACK").unwrap();
    assert!(top_via(ack).contains("/TCP "));
    assert!(net.peers[1].events.iter().any(|event| matches!(event, Event::Acknowledged { .. })));
}

// ---- next target --------------------------------------------------------------------------------------------------

fn by_name(request: Request) -> Request {
    let mut request = request;
    request.set_uri(Uri::parse("sip:user@service.example").unwrap());
    request
}

fn targets(net: &mut Net, list: &[u8]) {
    let list = list.iter().map(|n| (Transport::Udp, address(*n))).collect();
    net.names.insert("service.example".into(), list);
}

/// A 503 sends the request to the next target as a new transaction; the function sees the last result alone.
#[test]
fn a_503_is_followed_by_the_next_target() {
    for call in [false, true] {
        let mut net = Net::new([config(1), config(2), config(3), config(4)]);
        net.script(1, answering(StatusCode::SERVICE_UNAVAILABLE));
        net.script(2, answering(StatusCode::SERVICE_UNAVAILABLE));
        net.script(3, polite());
        net.script(0, caller_that_hangs_up());
        targets(&mut net, &[2, 3, 4]);
        if call {
            let request = by_name(invite(1, 2, Transport::Udp));
            net.with(0, |ua, now| ua.invite(now, request, Destination::Routed)).unwrap();
        } else {
            net.with(0, |ua, now| ua.send_request(now, by_name(message(1, 2)), Destination::Routed)).unwrap();
        }
        net.run(Duration::from_secs(5));
        let expected: &[&str] = if call { &["180", "accepted", "200"] } else { &["200"] };
        assert_eq!(statuses(&net, 0), expected);
        let method = if call { "INVITE" } else { "MESSAGE" };
        let sent: Vec<&Packet> = net.wire.iter().filter(|p| p.label() == method).collect();
        assert_eq!(sent.iter().map(|p| p.to).collect::<Vec<_>>(), [address(2), address(3), address(4)]);
        let mut vias: Vec<String> = sent.iter().map(|p| top_via(p)).collect();
        vias.dedup();
        assert_eq!(vias.len(), 3, "each has a branch of its own");
        assert!(sent.iter().all(|packet| text(packet).matches("Via:").count() == 1));
        let acks = net.wire.iter().filter(|p| p.label() == "ACK").count();
        assert_eq!(acks, if call { 3 } else { 0 }, "each refusal of an INVITE is acknowledged");
        net.run_to_quiet();
    }
}

/// A 503 that comes again, because its ACK was lost, is acknowledged again and starts nothing more.
#[test]
fn copies_of_a_503_start_nothing() {
    let mut net = Net::new([config(1), config(2), config(3)]);
    net.script(1, answering(StatusCode::SERVICE_UNAVAILABLE));
    net.script(2, polite());
    net.script(0, caller_that_hangs_up());
    targets(&mut net, &[2, 3]);
    net.rule =
        Box::new(|n, packet| if n < 6 && packet.label() == "ACK" { Fate::Lost } else { Fate::Arrives });
    net.with(0, |ua, now| ua.invite(now, by_name(invite(1, 2, Transport::Udp)), Destination::Routed))
        .unwrap();
    net.run(Duration::from_secs(5));
    let to =
        |n: u8, label: &str| net.wire.iter().filter(|p| p.to == address(n) && p.label() == label).count();
    assert_eq!((to(2, "INVITE"), to(3, "INVITE")), (1, 1));
    assert!(to(2, "ACK") >= 2);
    assert_eq!(statuses(&net, 0), ["180", "accepted", "200"]);
    net.run_to_quiet();
}

/// The last target's 503 is the result; and what was heard of an early dialog is not taken back by another target.
#[test]
fn the_last_503_is_the_result() {
    let mut net = Net::new([config(1), config(2), config(3)]);
    net.script(1, answering(StatusCode::SERVICE_UNAVAILABLE));
    net.script(2, answering(StatusCode::SERVICE_UNAVAILABLE));
    targets(&mut net, &[2, 3]);
    net.with(0, |ua, now| ua.send_request(now, by_name(message(1, 2)), Destination::Routed)).unwrap();
    net.run_to_quiet();
    assert_eq!(statuses(&net, 0), ["503"]);

    let mut net = Net::new([config(1), config(2), config(3)]);
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            ua.respond(now, *id, Response::for_request(request, StatusCode::RINGING)).unwrap();
            ua.respond(now, *id, Response::for_request(request, StatusCode::SERVICE_UNAVAILABLE)).unwrap();
        }
    });
    targets(&mut net, &[2, 3]);
    net.with(0, |ua, now| ua.invite(now, by_name(invite(1, 2, Transport::Udp)), Destination::Routed))
        .unwrap();
    net.run_to_quiet();
    assert_eq!(statuses(&net, 0), ["180", "Rejected Some(503)"]);
}

/// What a name server makes of a name is bounded.
#[test]
fn targets_are_bounded() {
    let limits = Limits { max_targets: 3, ..Limits::default() };
    let mut net = Net::new([Config { limits, ..config(1) }]);
    targets(&mut net, &[10, 11, 12, 13, 14]);
    net.with(0, |ua, now| ua.send_request(now, by_name(message(1, 2)), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(300));
    let mut asked: Vec<_> = net.wire.iter().map(|packet| packet.to).collect();
    asked.dedup();
    assert_eq!(asked, [address(10), address(11), address(12)]);
    assert_eq!(statuses(&net, 0), ["Timeout"]);
}

#[test]
fn ipv6_is_spoken() {
    let v6 = |n: u16| core::net::SocketAddr::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into(), 5060);
    let mut configs = [config(1), config(2)];
    for (configuration, n) in configs.iter_mut().zip(1u16..) {
        configuration.sent_by.iter_mut().for_each(|own| own.host = v6(n).ip().into());
    }
    let mut net = Net::new(configs);
    for (peer, n) in net.peers.iter_mut().zip(1u16..) {
        (peer.address, peer.seen_as) = (v6(n), v6(n));
    }
    net.script(1, polite());
    net.script(0, caller_that_hangs_up());
    for suffix in ["", ";transport=tcp"] {
        let mut request = message(1, 2);
        request.set_uri(Uri::parse(&alloc::format!("sip:user2@[2001:db8::2]{suffix}")).unwrap());
        net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
    }
    let mut call = invite(1, 2, Transport::Udp);
    call.set_uri(Uri::parse("sip:user2@[2001:db8::2]:5060").unwrap());
    let contact = HeaderText::new("<sip:user1@[2001:db8::1]>").unwrap();
    call.headers_mut().replace(cpm_sip::HeaderName::Contact, contact);
    net.with(0, |ua, now| ua.invite(now, call, Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(statuses(&net, 0).iter().filter(|s| *s == "200").count(), 3, "two messages and the BYE");
    assert!(net.wire.iter().all(|packet| packet.to.is_ipv6()));
    assert!(top_via(&net.wire[0]).starts_with("Via: SIP/2.0/UDP [2001:db8::1]:5060;branch="));
    net.run_to_quiet();
}

// ---- RFC 4320 -----------------------------------------------------------------------------------------------------

/// No 100 to MESSAGE before the peer's Timer E has reached T2; then one, and only then, on every transport.
#[test]
fn a_100_to_a_message_waits_until_timer_e_reaches_t2() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut net = Net::new([config(1), config(2)]);
        let request = request(Method::Message, 1, 2, transport);
        net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
        net.run(Duration::from_millis(3_509));
        assert!(net.labels().iter().all(|label| label == "MESSAGE"));
        net.run(Duration::from_millis(2));
        assert_eq!(net.labels().last().unwrap(), "100 MESSAGE");
        net.run(Duration::from_secs(26));
        // From then on the peer sends it every T2; each copy gets the 100 again. The late 200 counts.
        let sent = net.labels().iter().filter(|label| *label == "MESSAGE").count();
        assert_eq!(sent, if transport == Transport::Udp { 10 } else { 1 });
        let Some((id, request)) = net.peers[1].events.iter().find_map(|event| match event {
            Event::Request { id, request, .. } => Some((*id, request.clone())),
            _ => None,
        }) else {
            panic!()
        };
        let ok = Response::for_request(&request, StatusCode::OK);
        net.with(1, |ua, now| ua.respond(now, id, ok)).unwrap();
        net.run(Duration::from_secs(1));
        assert_eq!(statuses(&net, 0), ["200"]);
        net.run_to_quiet();
    }
}

#[test]
fn what_a_message_is_never_answered_is_refused() {
    let mut net = Net::new([config(1), config(2)]);
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(100));
    let Some(Event::Request { id, request, .. }) = net.peers[1].events.last().cloned() else { panic!() };
    let answer = |net: &mut Net, status| {
        let response = Response::for_request(&request, status);
        net.with(1, |ua, now| ua.respond(now, id, response)).map_err(|refused| refused.why)
    };
    assert_eq!(answer(&mut net, StatusCode::TRYING), Err(Refusal::TooSoon));
    assert_eq!(answer(&mut net, StatusCode::RINGING), Err(Refusal::Status));
    assert_eq!(answer(&mut net, StatusCode::REQUEST_TIMEOUT), Err(Refusal::Status));
    net.run(Duration::from_secs(4));
    assert_eq!(answer(&mut net, StatusCode::TRYING), Ok(None));
    assert_eq!(answer(&mut net, StatusCode::OK), Ok(None));
    net.run_to_quiet();
}

/// RFC 6026 §7.2: a response that belongs to nothing goes no further than to the function.
#[test]
fn stray_responses_are_handed_up() {
    let mut net = Net::new([config(1), config(2)]);
    let stray = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKnobody\r\nFrom: <sip:a@x>;tag=1\r\n\
                 To: <sip:b@x>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n";
    net.inject(1, address(1), stray);
    net.run(Duration::from_secs(1));
    let strays: Vec<_> = net.peers[1]
        .events
        .iter()
        .filter_map(|e| {
            if let Event::StrayResponse { response, .. } = e { Some(response.to_bytes()) } else { None }
        })
        .collect();
    assert_eq!(strays, [stray]);
    assert_eq!(net.wire.len(), 0);
}
