//! Non-INVITE transactions end to end: MESSAGE.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::Transport;
use cpm_sip::{CSeq, CallId, From, HeaderName, Method, Request, Response, Rport, StatusCode, To, Uri, Via};

fn requests(net: &Net, peer: usize) -> usize {
    net.peers[peer].events.iter().filter(|event| matches!(event, Event::Request { .. })).count()
}

fn outcome(net: &Net, peer: usize) -> Vec<String> {
    let outcomes = net.peers[peer].events.iter().filter_map(|event| match event {
        Event::Response { response, .. } => Some(alloc::format!("{}", response.status())),
        Event::TransactionFailed { why, .. } => Some(alloc::format!("{why:?}")),
        _ => None,
    });
    outcomes.collect()
}

#[test]
fn a_message_is_delivered_and_answered() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, polite());
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels(), ["MESSAGE", "200 MESSAGE"]);
    assert_eq!((requests(&net, 1), outcome(&net, 0)), (1, ["200".into()].into()));
    let Some(Event::Request { request, in_dialog: None, .. }) =
        net.peers[1].events.iter().find(|event| matches!(event, Event::Request { .. }))
    else {
        panic!()
    };
    // RFC 3261 §8.1.1: what every request has; RFC 3581: the topmost Via as completed by the server.
    assert!(request.typed::<From>().unwrap().unwrap().tag().is_some_and(|tag| tag.len() >= 13));
    assert!(request.typed::<To>().unwrap().unwrap().tag().is_none());
    assert!(request.typed::<CallId>().unwrap().unwrap().as_str().len() >= 26);
    assert_eq!(request.typed::<CSeq>().unwrap().unwrap(), CSeq::new(1, Method::Message));
    let via = request.typed::<Via>().unwrap().unwrap();
    assert_eq!(via.rport(), Rport::Port(5060));
    assert_eq!(via.received(), Some(address(1).ip()));
    // C18: the magic cookie and at least 64 random bits.
    assert!(via.rfc3261_branch().is_some_and(|branch| branch.len() >= 7 + 13));
    assert_eq!(&request.body()[..], b"Hello");
    let response = String::from_utf8_lossy(&net.wire[1].bytes).into_owned();
    assert!(response.contains("Server: test\r\n") && response.contains(";tag="), "{response}");
    net.run_to_quiet();
}

/// Whatever single packet is lost, doubled or late: one delivery, one outcome, nothing left.
#[test]
fn a_message_survives_the_loss_and_doubling_of_every_single_packet() {
    for fate in [Fate::Lost, Fate::Twice, Fate::Late(Duration::from_millis(1700))] {
        for victim in 0..6 {
            let mut net = Net::new([config(1), config(2)]);
            net.script(1, polite());
            net.rule = Box::new(move |n, _| if n == victim { fate } else { Fate::Arrives });
            net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
            net.run_to_quiet();
            assert_eq!(
                (requests(&net, 1), outcome(&net, 0)),
                (1, ["200".into()].into()),
                "{fate:?} {victim}"
            );
        }
    }
}

#[test]
fn silence_ends_in_a_timeout_after_eleven_transmissions() {
    let mut net = Net::new([config(1), config(2)]);
    net.rule = Box::new(|_, _| Fate::Lost);
    let start = net.now.mono;
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(31_999));
    assert_eq!(outcome(&net, 0), Vec::<String>::new());
    net.run(Duration::from_millis(1));
    assert_eq!(outcome(&net, 0), ["Timeout"]);
    assert_eq!(net.now.mono.since(start), Duration::from_secs(32));
    assert_eq!(net.wire.len(), 11);
    let identical = net.wire.iter().all(|packet| packet.bytes == net.wire[0].bytes);
    assert!(identical, "a retransmission is the same octets");
    net.run_to_quiet();
}

/// RFC 4320: a function that never answers costs its peer a timeout, and no 408 is made up.
#[test]
fn an_unanswered_request_is_let_go_at_its_deadline() {
    let mut net = Net::new([config(1), config(2)]);
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let Some(Event::Request { id, request, .. }) = net.peers[1].events.last().cloned() else { panic!() };
    let deadline = net.peers[1].ua.deadline(id).unwrap();
    assert_eq!(deadline.since(net.wire[0].at), Duration::from_millis(32_010));
    net.run_to_quiet();
    let others: Vec<String> = net.labels().into_iter().filter(|label| label != "MESSAGE").collect();
    assert!(others.iter().all(|label| label == "100 MESSAGE"), "{others:?}");
    assert_eq!(net.faults(1), [&Fault::Unanswered { request: id }]);
    let late = Response::for_request(&request, StatusCode::OK);
    let refused = net.with(1, |ua, now| ua.respond(now, id, late.clone())).unwrap_err();
    assert_eq!((refused.why, *refused.given), (Refusal::Gone, late));
    assert_eq!(net.peers[1].ua.deadline(id), None);
}

/// C2: while the function thinks, copies are swallowed; afterwards each gets the one cached response.
#[test]
fn retransmissions_never_reach_the_function_twice() {
    let mut net = Net::new([config(1), config(2)]);
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(3));
    assert_eq!(requests(&net, 1), 1);
    let Some(Event::Request { id, request, .. }) = net.peers[1].events.last().cloned() else { panic!() };
    net.with(1, |ua, now| ua.respond(now, id, Response::for_request(&request, StatusCode::ACCEPTED)))
        .unwrap();
    let copy = net.wire[0].bytes.clone();
    net.inject(1, address(1), copy.clone());
    net.inject(1, address(1), copy);
    net.run(Duration::from_secs(1));
    let answers: Vec<_> = net.wire.iter().filter(|packet| packet.from == address(2)).collect();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|packet| packet.bytes == answers[0].bytes));
    let again = net.with(1, |ua, now| ua.respond(now, id, Response::for_request(&request, StatusCode::OK)));
    assert_eq!(again.unwrap_err().why, Refusal::Gone);
    net.run_to_quiet();
}

/// C5: copies that came on different ways are merged requests.
#[test]
fn merged_requests_get_482() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, polite());
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(100));
    let other_way =
        String::from_utf8(net.wire[0].bytes.to_vec()).unwrap().replace("branch=z9hG4bK", "branch=z9hG4bKx");
    for _ in 0..3 {
        net.inject(1, address(1), other_way.clone());
    }
    net.run(Duration::from_millis(100));
    assert_eq!(requests(&net, 1), 1);
    assert_eq!(net.labels()[2..], ["482 MESSAGE", "482 MESSAGE", "482 MESSAGE"]);
    net.run_to_quiet();
}

#[test]
fn names_are_resolved_and_targets_tried_in_order() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, polite());
    net.names.insert(
        "host.example".into(),
        [(Transport::Tcp, address(9)), (Transport::Udp, address(8)), (Transport::Udp, address(2))].into(),
    );
    let mut request = message(1, 2);
    request.set_uri(Uri::parse("sip:user2@host.example").unwrap());
    net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
    net.run_to_quiet();
    // The first cannot be opened, the second is silent for 64*T1, the third answers; each attempt has its own branch.
    assert_eq!(outcome(&net, 0), ["200"]);
    let to = |n| net.wire.iter().filter(move |packet| packet.to == address(n)).collect::<Vec<_>>();
    assert_eq!((to(8).len(), to(2).len()), (11, 1));
    let branch = |packet: &Packet| {
        let text = String::from_utf8(packet.bytes.to_vec()).unwrap();
        text.split("branch=").nth(1).unwrap().split([';', '\r']).next().map(String::from).unwrap()
    };
    assert_ne!(branch(to(8)[0]), branch(to(2)[0]));
    let vias = String::from_utf8(to(2)[0].bytes.to_vec()).unwrap().matches("Via:").count();
    assert_eq!(vias, 1);
}

#[test]
fn what_cannot_be_sent_fails_or_comes_back() {
    let mut net = Net::new([config(1)]);
    let mut unknown = message(1, 2);
    unknown.set_uri(Uri::parse("sip:user2@nowhere.example").unwrap());
    net.with(0, |ua, now| ua.send_request(now, unknown, Destination::Routed)).unwrap();
    assert_eq!(outcome(&net, 0), ["Transport"]);

    let refused = |net: &mut Net, request: Request, destination| {
        let refused = net.with(0, |ua, now| ua.send_request(now, request.clone(), destination)).unwrap_err();
        assert_eq!(*refused.given, request);
        refused.why
    };
    let mut tel = message(1, 2);
    tel.set_uri(Uri::parse("tel:+491234").unwrap());
    assert_eq!(refused(&mut net, tel, Destination::Routed), Refusal::NoRoute);
    assert_eq!(
        refused(&mut net, message(1, 2), Destination::Flow(cpm_base::FlowId(77))),
        Refusal::UnknownFlow
    );
    let bye = request(Method::Bye, 1, 2, Transport::Udp);
    assert_eq!(refused(&mut net, bye, Destination::Routed), Refusal::Method(Method::Bye));
    let mut nobody = message(1, 2);
    nobody.headers_mut().remove(&HeaderName::From);
    assert_eq!(refused(&mut net, nobody, Destination::Routed), Refusal::Missing("From"));
    net.run_to_quiet();
}

/// RFC 3261 §8.1.2, §12.2.1.1: topmost Route before outbound hop before Request-URI.
#[test]
fn the_next_hop_is_route_then_outbound_then_request_uri() {
    let sent_to = |outbound: bool, route: Option<&str>| {
        let mut configuration = config(1);
        configuration.outbound = outbound.then_some(NextHop::Address(Transport::Udp, address(7)));
        let mut net = Net::new([configuration]);
        let mut request = message(1, 2);
        if let Some(route) = route {
            let text = cpm_sip::HeaderText::new(route).unwrap();
            request.headers_mut().push(HeaderName::Route, text);
        }
        net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
        let text = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
        (net.wire[0].to, text)
    };
    assert_eq!(sent_to(false, None).0, address(2));
    assert_eq!(sent_to(true, None).0, address(7));
    assert_eq!(sent_to(true, Some("<sip:10.0.0.6;lr>, <sip:10.0.0.5;lr>")).0, address(6));
    // A strict router finds itself in the Request-URI, and the Request-URI at the end of the Route.
    let (to, text) = sent_to(true, Some("<sip:10.0.0.6>, <sip:10.0.0.5;lr>"));
    assert_eq!(to, address(6));
    assert!(text.starts_with("MESSAGE sip:10.0.0.6 SIP/2.0\r\n"), "{text}");
    assert!(text.contains("Route: <sip:10.0.0.5;lr>, <sip:user2@10.0.0.2:5060>\r\n"), "{text}");
}

/// RFC 3261 §17.1.2.2: copies of a final response are absorbed until Timer K, whatever is left of the transaction; then, and with
/// another method, a response is a stray one.
#[test]
fn copies_of_a_final_response_are_absorbed_until_timer_k() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, polite());
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let held = net.peers[0].ua.holdings();
    assert_eq!((held.client_transactions, net.peers[0].ua.is_idle()), (1, false));
    let copy = net.wire[1].bytes.clone();
    let other = String::from_utf8_lossy(&copy).replace("MESSAGE", "OPTIONS");
    let strays = |net: &Net| {
        let stray = |event: &&Event| matches!(event, Event::StrayResponse { .. });
        net.peers[0].events.iter().filter(stray).count()
    };
    net.inject(0, address(2), copy.clone());
    net.run(Duration::from_secs(3));
    assert_eq!((outcome(&net, 0).len(), strays(&net)), (1, 0));
    net.inject(0, address(2), other.into_bytes());
    net.run(Duration::from_millis(10));
    assert_eq!((outcome(&net, 0).len(), strays(&net)), (1, 1));
    net.run(Duration::from_secs(2));
    assert_eq!(net.peers[0].ua.holdings().client_transactions, 0);
    net.inject(0, address(2), copy);
    net.run_to_quiet();
    assert_eq!((outcome(&net, 0).len(), strays(&net)), (1, 2));
}
