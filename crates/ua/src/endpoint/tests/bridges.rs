//! A bridge between a caller and several called sides.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::cell::RefCell;
use core::time::Duration;
use cpm_base::{Now, Transport};
use cpm_sip::{HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode};

const SECOND: Duration = Duration::from_secs(1);

/// Caller 0, bridge 1 (10.0.0.2), called sides 2 and 3 (10.0.0.3, 10.0.0.4).
fn net() -> Net {
    let mut net = Net::new([config(1), config(2), config(3), config(4)]);
    net.script(0, polite());
    net.script(2, polite());
    net.script(3, polite());
    net
}

fn leg_invite(to: u8, body: &Bytes) -> Request {
    let mut leg = invite(2, to, Transport::Udp);
    leg.set_body(body.clone());
    leg
}

fn body_of(octets: &Bytes) -> Option<Body> {
    let content_type = HeaderText::new("application/sdp").unwrap();
    (!octets.is_empty()).then(|| Body { content_type, octets: octets.clone() })
}

/// What a bridging function remembers; shared with the test.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) bridge: Option<BridgeId>,
    invite: Option<Request>,
    legs: Vec<LegId>,
    failed: usize,
    owed: Vec<LegId>,
    pub(super) log: Vec<String>,
}

impl Memory {
    fn leg(&self, leg: LegId) -> usize {
        self.legs.iter().position(|known| *known == leg).unwrap()
    }
}

pub(super) type Shared = Rc<RefCell<Memory>>;

fn response(memory: &Memory, status: StatusCode, body: &Bytes) -> Response {
    let mut response = Response::for_request(memory.invite.as_ref().unwrap(), status);
    if let Some(body) = body_of(body) {
        response.headers_mut().push(HeaderName::ContentType, body.content_type);
        response.set_body(body.octets);
    }
    response
}

/// Rings all these numbers, takes the first that answers upstream and everybody who answers, ends it all with the caller,
/// or when nobody is left.
pub(super) fn bridging(to: &'static [u8]) -> (Shared, impl FnMut(&mut Endpoint, Now, &Event)) {
    let shared = Shared::default();
    let memory = shared.clone();
    let script = move |ua: &mut Endpoint, now: Now, event: &Event| {
        let m = &mut *memory.borrow_mut();
        match event {
            Event::Request { id, request, .. } if *request.method() == Method::Invite => {
                let bridge = ua.bridge(*id).unwrap();
                m.bridge = Some(bridge);
                m.invite = Some(request.clone());
                for n in to {
                    let leg = leg_invite(*n, request.body());
                    m.legs.push(ua.add_leg(now, bridge, leg, Destination::Routed).unwrap());
                }
            }
            Event::Request { id, request, .. } => {
                ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
            }
            Event::Bridged { bridge, event } => {
                assert_eq!(Some(*bridge), m.bridge);
                bridge_event(m, ua, now, event);
            }
            _ => {}
        }
    };
    (shared, script)
}

fn bridge_event(m: &mut Memory, ua: &mut Endpoint, now: Now, event: &BridgeEvent) {
    let bridge = m.bridge.unwrap();
    let nothing = Headers::new();
    match event {
        BridgeEvent::LegProgress { leg, response: r, .. } => {
            m.log.push(format!("{} {}", m.leg(*leg), r.status()));
            let _ = ua.answer_upstream(now, bridge, response(m, r.status(), &Bytes::new()));
        }
        BridgeEvent::LegAnswered { leg, response: r, .. } => {
            m.log.push(format!("{} answered", m.leg(*leg)));
            let late = m.invite.as_ref().unwrap().body().is_empty() && !r.body().is_empty();
            if late {
                m.owed.push(*leg);
                let refused = ua.accept_leg(now, *leg, None).unwrap_err();
                assert!(matches!(refused.why, Refusal::Missing(_)));
            } else {
                ua.accept_leg(now, *leg, None).unwrap();
            }
            let _ = ua.answer_upstream(now, bridge, response(m, StatusCode::OK, r.body()));
        }
        BridgeEvent::LegFailed { leg, why, .. } => {
            m.log.push(format!("{} {why:?}", m.leg(*leg)));
            m.failed += 1;
            if m.failed == m.legs.len() {
                let _ = ua.answer_upstream(now, bridge, response(m, StatusCode::BUSY_HERE, &Bytes::new()));
                let _ = ua.end_bridge(now, bridge, &nothing);
            }
        }
        BridgeEvent::LegEnded { leg, why } => {
            m.log.push(format!("{} ended {why:?}", m.leg(*leg)));
            if ua.legs_of(bridge).count() == 0 {
                let _ = ua.end_bridge(now, bridge, &nothing);
            }
        }
        BridgeEvent::Acknowledged { side, ack } => {
            m.log.push(format!("acknowledged {side:?}").replace("LegId", "leg "));
            for leg in m.owed.drain(..) {
                // One that left while its ACK was held is over.
                let _ = ua.accept_leg(now, leg, body_of(ack.body()));
            }
        }
        BridgeEvent::Cancelled => m.log.push("cancelled".into()),
        BridgeEvent::UpstreamEnded { why } => {
            m.log.push(format!("upstream ended {why:?}"));
            let mut reason = Headers::new();
            reason.push(HeaderName::Reason, HeaderText::new("SIP;cause=200;text=\"gone\"").unwrap());
            let _ = ua.end_bridge(now, bridge, &reason);
        }
        BridgeEvent::Over => m.log.push("over".into()),
    }
}

fn call(net: &mut Net) -> InviteId {
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap()
}

fn dialog_of(net: &Net, peer: usize) -> DialogId {
    *net.peers[peer].ua.dialogs.keys().next().unwrap()
}

fn text(packet: &Packet) -> String {
    String::from_utf8_lossy(&packet.bytes).into_owned()
}

fn labels_to(net: &Net, n: u8) -> Vec<String> {
    net.wire.iter().filter(|packet| packet.to == address(n)).map(Packet::label).collect()
}

/// Both devices answer, both are up, the caller ends it: one dialog for each leg, and a BYE with its reason for each.
#[test]
fn two_devices_answer_and_both_stay() {
    let mut net = net();
    let (memory, script) = bridging(&[3, 4]);
    net.script(1, script);
    call(&mut net);
    net.run(SECOND);
    let bridge = memory.borrow().bridge.unwrap();
    assert_eq!(net.peers[1].ua.legs_of(bridge).count(), 2);
    assert_eq!(net.peers[1].ua.dialogs.len(), 3);
    let sides: Vec<_> =
        net.peers[1].ua.dialogs.keys().map(|dialog| net.peers[1].ua.side_of(*dialog)).collect();
    assert!(sides.contains(&Some((bridge, Side::Upstream))) && !sides.contains(&None));
    let dialog = dialog_of(&net, 0);
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
    let log = memory.borrow().log.clone();
    assert_eq!(
        log,
        [
            "0 180",
            "0 answered",
            "1 180",
            "1 answered",
            "acknowledged Upstream",
            "upstream ended RemoteBye",
            "0 ended LocalBye",
            "1 ended LocalBye",
            "over"
        ]
    );
    for n in [3, 4] {
        assert_eq!(labels_to(&net, n), ["INVITE", "ACK", "BYE"]);
        let bye = net.wire.iter().find(|p| p.to == address(n) && p.label() == "BYE").unwrap();
        assert!(text(bye).contains("\r\nReason: SIP;cause=200;text=\"gone\"\r\n"));
    }
}

/// Whatever single packet is lost or doubled, every leg ends once, and nothing stays.
#[test]
fn every_single_packet_may_be_lost() {
    for fate in [Fate::Lost, Fate::Twice] {
        for victim in 0..34 {
            let mut net = net();
            net.rule = Box::new(move |n, _| if n == victim { fate } else { Fate::Arrives });
            let (memory, script) = bridging(&[3, 4]);
            net.script(1, script);
            net.script(0, caller_that_hangs_up());
            call(&mut net);
            net.run_to_quiet();
            let log = memory.borrow().log.clone();
            let ends = ["ended", "Cancelled", "Rejected"];
            for who in ["0 ", "1 ", "upstream ", "over"] {
                let end = |line: &&String| line.starts_with(who) && ends.iter().any(|end| line.contains(end));
                let count = log.iter().filter(|line| *line == who || end(line)).count();
                assert_eq!(count, 1, "{fate:?} {victim} {who}: {log:?}");
            }
        }
    }
}

/// A late offer: no ACK goes to the leg before the one of the caller is in, and it brings the caller's answer.
#[test]
fn the_ack_of_a_late_offer_waits_for_the_answer() {
    let mut net = Net::new([config(1), config(2), config(3)]);
    let (memory, script) = bridging(&[3]);
    net.script(1, script);
    net.script(2, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let mut response = Response::for_request(request, StatusCode::OK);
            if *request.method() == Method::Invite {
                response
                    .headers_mut()
                    .push(HeaderName::ContentType, HeaderText::new("application/sdp").unwrap());
                response.set_body(Bytes::from_static(b"v=0 offer\r\n"));
                ua.accept(now, *id, response).unwrap();
            } else {
                ua.respond(now, *id, response).unwrap();
            }
        }
    });
    // The caller takes its time to answer.
    net.script(0, |_, _, _| {});
    let mut request = invite(1, 2, Transport::Udp);
    request.headers_mut().remove(&HeaderName::ContentType);
    request.set_body(Bytes::new());
    net.with(0, |ua, now| ua.invite(now, request, Destination::Routed)).unwrap();
    net.run(5 * SECOND);
    assert!(!net.labels().contains(&"ACK".into()));
    let accepted = net.peers[0].events.iter().find_map(|event| match event {
        Event::InviteAccepted { dialog, response, .. } => Some((*dialog, response.body().clone())),
        _ => None,
    });
    let (dialog, offer) = accepted.unwrap();
    assert_eq!(offer, "v=0 offer\r\n");
    let answer = body_of(&Bytes::from_static(b"v=0 answer\r\n"));
    net.with(0, |ua, now| ua.confirm(now, dialog, answer)).unwrap();
    net.run(SECOND);
    let acks: Vec<&Packet> = net.wire.iter().filter(|packet| packet.label() == "ACK").collect();
    assert_eq!(acks.iter().map(|ack| ack.to).collect::<Vec<_>>(), [address(2), address(3)]);
    assert!(acks.iter().all(|ack| text(ack).ends_with("\r\n\r\nv=0 answer\r\n")));
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
    assert_eq!(memory.borrow().log.last().unwrap(), "over");
}

/// The caller never acknowledges, so the answer never comes: the leg is ended, not left hanging.
#[test]
fn an_answer_that_never_comes_ends_the_leg() {
    let mut net = net();
    let (memory, script) = bridging(&[3]);
    net.script(1, script);
    net.script(0, |_, _, _| {});
    net.rule =
        Box::new(|_, p| if p.label() == "ACK" && p.to == address(2) { Fate::Lost } else { Fate::Arrives });
    call(&mut net);
    net.run_to_quiet();
    let log = memory.borrow().log.clone();
    assert!(log.contains(&"upstream ended NotAcknowledged".into()), "{log:?}");
    assert_eq!(log.last().unwrap(), "over");
}

/// The caller cancels, with a reason: 487 to it, CANCEL with the reason to all legs.
#[test]
fn cancel_reaches_all_legs() {
    for after in [Duration::ZERO, Duration::from_millis(15), Duration::from_millis(200)] {
        let mut net = net();
        let (memory, script) = bridging(&[3, 4]);
        net.script(1, script);
        net.script(2, ringing());
        net.script(3, ringing());
        let id = call(&mut net);
        net.run(after);
        let mut reason = Headers::new();
        reason.push(HeaderName::Reason, HeaderText::new("SIP;cause=600;text=\"no\"").unwrap());
        net.with(0, |ua, now| ua.cancel_with(now, id, &reason)).unwrap();
        net.run_to_quiet();
        let log = memory.borrow().log.clone();
        let count = |word: &str| log.iter().filter(|line| line.contains(word)).count();
        assert_eq!((count("cancelled"), count("Cancelled"), count("over")), (1, 2, 1), "{after:?} {log:?}");
        for n in [3, 4] {
            let cancel = net.wire.iter().find(|p| p.to == address(n) && p.label() == "CANCEL").unwrap();
            assert!(text(cancel).contains("\r\nReason: SIP;cause=600;text=\"no\"\r\n"));
        }
        let last = net.peers[0].events.iter().rev().find(|event| matches!(event, Event::InviteFailed { .. }));
        let Some(Event::InviteFailed { response: Some(response), .. }) = last else { panic!() };
        assert_eq!(response.status(), StatusCode::REQUEST_TERMINATED);
    }
}

/// A leg that is not wanted any more, in every state: CANCEL, CANCEL that meets a 2xx, ACK and BYE, BYE.
#[test]
fn a_leg_is_dropped_in_any_state() {
    for after in (0..100).step_by(5) {
        for accepts in [true, false] {
            let mut net = net();
            let shared = Shared::default();
            let memory = shared.clone();
            net.script(1, move |ua, now, event| {
                let m = &mut *memory.borrow_mut();
                match event {
                    Event::Request { id, request, .. } if *request.method() == Method::Invite => {
                        let bridge = ua.bridge(*id).unwrap();
                        m.bridge = Some(bridge);
                        let leg = leg_invite(3, request.body());
                        m.legs.push(ua.add_leg(now, bridge, leg, Destination::Routed).unwrap());
                    }
                    Event::Bridged { event: BridgeEvent::LegAnswered { leg, .. }, .. } if accepts => {
                        ua.accept_leg(now, *leg, None).unwrap();
                    }
                    Event::Bridged { event: BridgeEvent::LegFailed { .. }, .. } => {
                        m.log.push("failed".into())
                    }
                    Event::Bridged { event: BridgeEvent::LegEnded { .. }, .. } => m.log.push("ended".into()),
                    _ => {}
                }
            });
            call(&mut net);
            net.run(Duration::from_millis(after));
            let (bridge, leg) = (shared.borrow().bridge, shared.borrow().legs.first().copied());
            let Some(leg) = leg else { continue };
            net.with(1, |ua, now| ua.drop_leg(now, leg, &Headers::new())).unwrap();
            assert_eq!(net.with(1, |ua, now| ua.drop_leg(now, leg, &Headers::new())), Err(Refusal::Gone));
            net.run(40 * SECOND);
            assert_eq!(shared.borrow().log.len(), 1, "{after} {:?}", shared.borrow().log);
            assert!(net.peers[2].ua.dialogs.is_empty(), "{after}");
            // The bridge goes on without it: here is a late one.
            let bridge = bridge.unwrap();
            assert_eq!(net.peers[1].ua.legs_of(bridge).count(), 0);
            let late = leg_invite(4, &Bytes::from_static(b"v=0\r\n"));
            net.with(1, |ua, now| ua.add_leg(now, bridge, late, Destination::Routed)).unwrap();
            net.run(SECOND);
            net.with(1, |ua, now| ua.end_bridge(now, bridge, &Headers::new())).unwrap();
            net.run_to_quiet();
            let last =
                net.peers[0].events.iter().rev().find(|event| matches!(event, Event::InviteFailed { .. }));
            let Some(Event::InviteFailed { response: Some(response), .. }) = last else { panic!() };
            assert_eq!(response.status(), StatusCode::TEMPORARILY_UNAVAILABLE);
        }
    }
}

/// BYE from both sides at once, and from two legs at once.
#[test]
fn byes_may_meet() {
    for (first, second, gap) in
        [(0, 2, 0), (2, 0, 0), (2, 3, 0), (0, 2, 5), (2, 0, 5), (2, 3, 5), (0, 2, 12), (2, 0, 12)]
    {
        let mut net = net();
        let (memory, script) = bridging(&[3, 4]);
        net.script(1, script);
        call(&mut net);
        net.run(SECOND);
        for peer in [first, second] {
            let dialog = dialog_of(&net, peer);
            // The other side's BYE may have been faster.
            let _ = net.with(peer, |ua, now| ua.bye(now, dialog, Headers::new()));
            net.run(Duration::from_millis(gap));
        }
        net.run(SECOND);
        let bridge = memory.borrow().bridge.unwrap();
        let _ = net.with(1, |ua, now| ua.end_bridge(now, bridge, &Headers::new()));
        net.run_to_quiet();
        let log = memory.borrow().log.clone();
        let count = |word: &str| log.iter().filter(|line| line.contains(word)).count();
        assert_eq!((count(" ended "), count("over")), (3, 1), "{first} {second} {gap}: {log:?}");
    }
}

/// All refuse: so does the bridge. The caller is told what the function says, once.
#[test]
fn nobody_answers() {
    let mut net = net();
    let (memory, script) = bridging(&[3, 4]);
    net.script(1, script);
    net.script(2, answering(StatusCode::BUSY_HERE));
    net.script(3, answering(StatusCode::DECLINE));
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(memory.borrow().log, ["0 Rejected", "1 Rejected", "over"]);
    assert_eq!(labels_to(&net, 1), ["486 INVITE"]);
}

/// C7: a bridge whose INVITE the function never answers is over with the endpoint's 500, legs and all.
#[test]
fn an_unanswered_bridge_is_given_up() {
    let mut net = net();
    let shared = Shared::default();
    let memory = shared.clone();
    net.script(1, move |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            let bridge = ua.bridge(*id).unwrap();
            ua.add_leg(now, bridge, leg_invite(3, request.body()), Destination::Routed).unwrap();
        }
        Event::Bridged { event: BridgeEvent::LegAnswered { leg, .. }, .. } => {
            ua.accept_leg(now, *leg, None).unwrap();
        }
        Event::Bridged { event, .. } => {
            let name = format!("{event:?}");
            memory.borrow_mut().log.push(name.split([' ', '{']).next().unwrap().to_string());
        }
        _ => {}
    });
    net.peers[0].ua.config.timers.timer_c = Duration::from_secs(1000);
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(labels_to(&net, 1), ["100 INVITE", "500 INVITE"]);
    assert_eq!(shared.borrow().log, ["LegProgress", "Cancelled", "LegEnded", "Over"]);
    assert!(matches!(net.faults(1)[..], [Fault::Unanswered { .. }]));
}

/// Commands in the wrong order are refused with a reason, and change nothing.
#[test]
fn commands_in_the_wrong_order_are_refused() {
    let mut net = net();
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    call(&mut net);
    net.run(Duration::from_millis(50));
    let requests: Vec<(RequestId, Request)> = net.peers[1].events.iter().filter_map(request_of).collect();
    let [(page, _), (id, invite)] = &requests[..] else { panic!() };
    let (id, of) = (*id, |status| Response::for_request(invite, status));
    net.with(1, |ua, now| {
        assert_eq!(ua.bridge(*page), Err(Refusal::Method(Method::Message)));
        let bridge = ua.bridge(id).unwrap();
        assert_eq!(ua.bridge(id), Err(Refusal::Bridged));
        assert_eq!(ua.respond(now, id, of(StatusCode::RINGING)).unwrap_err().why, Refusal::Bridged);
        assert_eq!(ua.accept(now, id, of(StatusCode::OK)).unwrap_err().why, Refusal::Bridged);
        let branch = Branch { request: invite.clone(), destination: Destination::Routed };
        let proxied = ua.proxy(now, id, [branch].into(), ProxyOptions::default());
        assert_eq!(proxied.unwrap_err().why, Refusal::Bridged);
        // A request that cannot be sent comes back, and is no leg.
        let nowhere = Request::new(Method::Invite, uri("tel:+4912"));
        let refused = ua.add_leg(now, bridge, nowhere.clone(), Destination::Routed).unwrap_err();
        assert_eq!((&refused.why, *refused.given), (&Refusal::Missing("From"), nowhere));
        assert_eq!(ua.legs_of(bridge).count(), 0);
        // A leg that fails at once is a leg that failed.
        let unknown = Destination::Flow(cpm_base::FlowId(99));
        assert_eq!(
            ua.add_leg(now, bridge, leg_invite(3, invite.body()), unknown).unwrap_err().why,
            Refusal::UnknownFlow
        );
        let leg = ua.add_leg(now, bridge, leg_invite(3, invite.body()), Destination::Routed).unwrap();
        assert_eq!(ua.accept_leg(now, leg, None).unwrap_err().why, Refusal::Gone);
        let dialog = ua.answer_upstream(now, bridge, of(StatusCode::OK)).unwrap();
        assert!(dialog.is_some());
        for status in [StatusCode::RINGING, StatusCode::OK, StatusCode::BUSY_HERE] {
            assert_eq!(ua.answer_upstream(now, bridge, of(status)).unwrap_err().why, Refusal::Gone);
        }
        ua.end_bridge(now, bridge, &Headers::new()).unwrap();
        assert_eq!(ua.end_bridge(now, bridge, &Headers::new()), Err(Refusal::Gone));
        let late = ua.add_leg(now, bridge, leg_invite(4, invite.body()), Destination::Routed);
        assert_eq!(late.unwrap_err().why, Refusal::Gone);
        assert_eq!(ua.bridge(id), Err(Refusal::Gone));
        ua.respond(now, *page, Response::for_request(&requests[0].1, StatusCode::OK)).unwrap();
    });
    net.run_to_quiet();
    let over = |event: &&Event| matches!(event, Event::Bridged { event: BridgeEvent::Over, .. });
    assert_eq!(net.peers[1].events.iter().filter(over).count(), 1);
}

fn request_of(event: &Event) -> Option<(RequestId, Request)> {
    match event {
        Event::Request { id, request, .. } => Some((*id, request.clone())),
        _ => None,
    }
}

/// Requests inside of the dialogs come with their dialog, and cross as the function says.
#[test]
fn requests_cross_from_leg_to_leg() {
    let mut net = net();
    let (_, mut script) = bridging(&[3]);
    net.script(1, move |ua, now, event| {
        if let Event::Request { request, in_dialog: Some(dialog), .. } = event
            && *request.method() == Method::Message
        {
            let (bridge, side) = ua.side_of(*dialog).unwrap();
            let other = ua.dialogs.keys().copied().find(|other| other != dialog).unwrap();
            assert!(ua.side_of(other).is_some_and(|(same, there)| same == bridge && there != side));
            let body = body_of(request.body());
            ua.send_in_dialog(now, other, Method::Message, Headers::new(), body).unwrap();
        }
        script(ua, now, event);
    });
    call(&mut net);
    net.run(SECOND);
    for (peer, other) in [(0, 3u8), (2, 1)] {
        let dialog = dialog_of(&net, peer);
        let body = body_of(&Bytes::from(format!("from {peer}")));
        net.with(peer, |ua, now| ua.send_in_dialog(now, dialog, Method::Message, Headers::new(), body))
            .unwrap();
        net.run(SECOND);
        let last = net.wire.iter().rev().find(|p| p.label() == "MESSAGE").unwrap();
        assert_eq!(last.to, address(other));
        assert!(text(last).ends_with(&format!("from {peer}")));
    }
    let dialog = dialog_of(&net, 0);
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
}

/// C7: the PRACK for a reliable response never comes: the bridge is over with the endpoint's 504, before the function
/// accepted and after.
#[test]
fn a_reliable_response_that_nobody_acknowledges_ends_the_bridge() {
    for accepts in [false, true] {
        let reliable = |n| {
            let mut config = config(n);
            config.supported.push("100rel".into());
            config.allow.push(Method::Prack);
            config
        };
        let mut net = Net::new([reliable(1), reliable(2), config(3)]);
        net.script(2, ringing());
        net.rule = Box::new(|_, p| if p.label() == "PRACK" { Fate::Lost } else { Fate::Arrives });
        let log = Rc::new(RefCell::new(Vec::new()));
        let told = log.clone();
        net.script(1, move |ua, now, event| match event {
            Event::Request { id, request, .. } if *request.method() == Method::Invite => {
                let bridge = ua.bridge(*id).unwrap();
                ua.add_leg(now, bridge, leg_invite(3, request.body()), Destination::Routed).unwrap();
                let describe = |status| {
                    let mut response = Response::for_request(request, status);
                    let body = body_of(request.body()).unwrap();
                    response.headers_mut().push(HeaderName::ContentType, body.content_type);
                    response.set_body(body.octets);
                    response
                };
                let early = ua.respond_reliably(now, *id, describe(StatusCode::SESSION_PROGRESS)).unwrap();
                assert_eq!(ua.side_of(early.unwrap()), Some((bridge, Side::Upstream)));
                if accepts {
                    let ok = Response::for_request(request, StatusCode::OK);
                    assert_eq!(ua.answer_upstream(now, bridge, ok).unwrap(), early);
                }
            }
            Event::Bridged { event, .. } => {
                let name = format!("{event:?}");
                told.borrow_mut().push(name.split([' ', '{']).next().unwrap().to_string());
            }
            _ => {}
        });
        call(&mut net);
        net.run_to_quiet();
        assert_eq!(log.borrow()[..], ["LegProgress", "Cancelled", "LegFailed", "Over"], "{accepts}");
        assert!(labels_to(&net, 1).contains(&"504 INVITE".into()));
    }
}

/// Glare, leg by leg: both ends change their session at once, and each leg settles it by itself (RFC 3261 §14.1).
#[test]
fn changes_may_meet_on_a_leg() {
    let mut net = net();
    let (memory, mut script) = bridging(&[3, 4]);
    net.script(1, move |ua, now, event| match event {
        Event::Request { id, request, in_dialog: Some(_), .. } if *request.method() == Method::Invite => {
            ua.accept(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
        Event::InviteAccepted { dialog, .. } => ua.confirm(now, *dialog, None).unwrap(),
        _ => script(ua, now, event),
    });
    call(&mut net);
    net.run(SECOND);
    let body = || body_of(&Bytes::from_static(b"v=0 changed\r\n"));
    // The bridge changes every leg, and every peer its own.
    for peer in 0..4 {
        let dialogs: Vec<DialogId> = net.peers[peer].ua.dialogs.keys().copied().collect();
        for dialog in dialogs {
            net.with(peer, |ua, now| ua.reinvite(now, dialog, Headers::new(), body())).unwrap();
        }
    }
    net.run(Duration::from_secs(20));
    assert!(labels_to(&net, 2).contains(&"491 INVITE".into()), "they met");
    let accepted = |peer: usize| {
        let accepted = |event: &&Event| matches!(event, Event::InviteAccepted { .. });
        net.peers[peer].events.iter().filter(accepted).count()
    };
    assert_eq!([accepted(1), accepted(2), accepted(3)], [3, 1, 1], "each change was made in the end");
    let dialog = dialog_of(&net, 0);
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
    assert_eq!(memory.borrow().log.last().unwrap(), "over");
}

/// Session timers, leg by leg: each is refreshed at its own time, and the leg whose peer is gone ends alone.
#[test]
fn each_leg_has_its_own_session_timer() {
    let timed = |n, expires| {
        let mut config = config(n);
        config.allow.push(Method::Update);
        config.session_timer = Some(SessionTimer { expires, ..SessionTimer::default() });
        config
    };
    let mut net = Net::new([timed(1, 1200), timed(2, 1800), timed(3, 300), timed(4, 600)]);
    for peer in [0, 2, 3] {
        net.script(peer, polite());
    }
    let (memory, script) = bridging(&[3, 4]);
    net.script(1, script);
    call(&mut net);
    net.run(Duration::from_secs(3600));
    let updates = |n: u8| {
        let of = |p: &&Packet| p.label() == "UPDATE" && (p.to == address(n) || p.from == address(n));
        net.wire.iter().filter(of).count()
    };
    let (caller, short, long) = (updates(1), updates(3), updates(4));
    assert!(short >= 20 && (10..16).contains(&long) && (3..8).contains(&caller), "{caller} {short} {long}");
    // A device is gone without a word.
    net.rule = Box::new(|_, p| if [p.from, p.to].contains(&address(3)) { Fate::Lost } else { Fate::Arrives });
    net.run(Duration::from_secs(700));
    let log = memory.borrow().log.clone();
    let ended: Vec<&String> = log.iter().filter(|line| line.contains("ended")).collect();
    assert!(matches!(ended[..], [line] if line.starts_with("0 ended")), "{log:?}");
    assert_eq!(net.peers[1].ua.legs_of(memory.borrow().bridge.unwrap()).count(), 1);
    let dialog = dialog_of(&net, 0);
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
}

/// An event that follows another one about a leg comes behind it, although it is not about the bridge.
#[test]
fn what_follows_comes_behind() {
    let mut net = net();
    let (_, script) = bridging(&[3]);
    net.script(1, script);
    net.script(2, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let mut response = Response::for_request(request, StatusCode::OK);
            if *request.method() == Method::Invite {
                let body = body_of(&Bytes::from_static(b"v=0 answer\r\n")).unwrap();
                response.headers_mut().push(HeaderName::ContentType, body.content_type);
                response.set_body(body.octets);
                ua.accept(now, *id, response).unwrap();
            } else {
                ua.respond(now, *id, response).unwrap();
            }
        }
    });
    call(&mut net);
    net.run(SECOND);
    let place = |wanted: fn(&Event) -> bool| net.peers[1].events.iter().position(wanted).unwrap();
    let answered =
        place(|event| matches!(event, Event::Bridged { event: BridgeEvent::LegAnswered { .. }, .. }));
    let answer = place(|event| matches!(event, Event::Answer { .. }));
    assert_eq!(answer, answered + 1);
    let dialog = dialog_of(&net, 0);
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
}
