//! Reliable provisional responses, on both sides.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{Now, Transport};
use cpm_sip::{HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode};

fn respond_reliably(ua: &mut Endpoint, now: Now, id: RequestId, request: &Request, body: Option<&Body>) {
    let response = Response::for_request(request, StatusCode::SESSION_PROGRESS);
    let response = body.map_or(response.clone(), |body| with_body(response, body));
    ua.respond_reliably(now, id, response).unwrap();
}

fn bare() -> Request {
    let mut request = invite(1, 2, Transport::Udp).with_body(Bytes::new());
    request.headers_mut().remove(&HeaderName::ContentType);
    request
}

fn headers_of(net: &Net, label: &str) -> String {
    let packet = net.wire.iter().find(|packet| packet.label() == label).unwrap();
    String::from_utf8(packet.bytes.to_vec()).unwrap()
}

/// RFC 3262: 183 with the answer, its PRACK, then the 2xx without one; RFC 6337 pattern 3.
#[test]
fn an_answer_in_a_reliable_response() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(0, answering_offers());
    net.script(1, |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            respond_reliably(ua, now, *id, request, Some(&sdp("early answer")));
            // Another one has to wait for the PRACK, and comes back.
            let next = Response::for_request(request, StatusCode::RINGING);
            let refused = ua.respond_reliably(now, *id, next.clone()).unwrap_err();
            assert_eq!((refused.why, *refused.given), (Refusal::AwaitsPrack, next));
        }
        Event::ProvisionalAcknowledged { request, .. } => {
            let invite = ua.servers.get(request).and_then(|server| server.request.clone()).unwrap();
            ua.accept(now, *request, Response::for_request(&invite, StatusCode::OK)).unwrap();
        }
        _ => {}
    });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(2));
    assert_eq!(net.labels(), ["INVITE", "183 INVITE", "PRACK", "200 PRACK", "200 INVITE", "ACK"]);
    assert_eq!(told(&net, 0), ["183 early", "answer: early answer", "accepted 200"]);
    assert_eq!(told(&net, 1), ["INVITE", "pracked", "acknowledged"]);
    let (progress, prack) = (headers_of(&net, "183 INVITE"), headers_of(&net, "PRACK"));
    let number = progress.lines().find_map(|line| line.strip_prefix("RSeq: ")).unwrap();
    assert!((1..=0x7fff_ffff).contains(&number.parse::<u32>().unwrap()));
    assert!(progress.contains("Require: 100rel\r\n"));
    assert!(prack.contains(&alloc::format!("RAck: {number} 1 INVITE\r\n")), "{prack}");
    assert!(prack.contains("CSeq: 2 PRACK\r\n"), "{prack}");
}

/// An INVITE without an offer: the 183 makes it, the PRACK answers; RFC 6337 pattern 4.
#[test]
fn an_offer_in_a_reliable_response_is_answered_in_the_prack() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(0, answering_offers());
    net.script(1, |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            // The first reliable response to such an INVITE has to make the offer (RFC 3262 §5).
            let response = Response::for_request(request, StatusCode::RINGING);
            let refused = ua.respond_reliably(now, *id, response).unwrap_err();
            assert_eq!(refused.why, Refusal::Description(Misplaced::OfferMissing));
            respond_reliably(ua, now, *id, request, Some(&sdp("early offer")));
        }
        Event::ProvisionalAcknowledged { request, .. } => {
            let invite = ua.servers.get(request).and_then(|server| server.request.clone()).unwrap();
            ua.accept(now, *request, Response::for_request(&invite, StatusCode::OK)).unwrap();
        }
        _ => {}
    });
    net.with(0, |ua, now| ua.invite(now, bare(), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(2));
    assert_eq!(told(&net, 0), ["183 early", "offer: early offer", "accepted 200"]);
    assert_eq!(told(&net, 1), ["INVITE", "pracked", "answer: early answer", "acknowledged"]);
}

/// RFC 3262 §3: the 2xx waits while the PRACK for a response with a description is awaited; a CANCEL still gets through.
#[test]
fn a_2xx_waits_for_the_prack_of_a_description() {
    for cancelled in [false, true] {
        let mut net = Net::new([full_config(1), full_config(2)]);
        net.script(0, answering_offers());
        net.script(1, |ua, now, event| match event {
            Event::Request { id, request, .. } if *request.method() == Method::Invite => {
                respond_reliably(ua, now, *id, request, Some(&sdp("early answer")));
                let ok = Response::for_request(request, StatusCode::OK);
                ua.accept(now, *id, ok.clone()).unwrap();
                // It is accepted: nothing more may be said.
                assert_eq!(ua.accept(now, *id, ok).unwrap_err().why, Refusal::Gone);
                let ringing = Response::for_request(request, StatusCode::RINGING);
                assert_eq!(ua.respond(now, *id, ringing).unwrap_err().why, Refusal::Gone);
            }
            Event::Cancelled { id } => {
                let invite = ua.servers.get(id).and_then(|server| server.request.clone()).unwrap();
                let response = Response::for_request(&invite, StatusCode::REQUEST_TERMINATED);
                ua.respond(now, *id, response).unwrap();
            }
            Event::Request { id, request, .. } => {
                ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
            }
            _ => {}
        });
        // The first two PRACKs are lost.
        let mut pracks = 0;
        net.rule = Box::new(move |_, packet| {
            pracks += usize::from(packet.label() == "PRACK");
            if packet.label() == "PRACK" && pracks <= 2 { Fate::Lost } else { Fate::Arrives }
        });
        let call =
            net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
        net.run(Duration::from_millis(600));
        assert!(!net.labels().contains(&"200 INVITE".into()));
        if cancelled {
            net.with(0, |ua, now| ua.cancel(now, call)).unwrap();
        }
        net.run(Duration::from_secs(5));
        let labels = net.labels();
        let answer = if cancelled { "487 INVITE" } else { "200 INVITE" };
        assert_eq!(labels.iter().filter(|label| *label == answer).count(), 1, "{labels:?}");
        assert!(labels.iter().filter(|label| *label == "183 INVITE").count() >= 2, "sent again: {labels:?}");
        let end = if cancelled { "Cancelled 487" } else { "accepted 200" };
        assert_eq!(told(&net, 0), ["183 early", "answer: early answer", end]);
        for dialog in net.peers[0].ua.dialogs.keys().copied().collect::<Vec<_>>() {
            net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
        }
        net.run_to_quiet();
    }
}

/// Threat C7: without a PRACK the response is repeated for 64*T1, doubling each time, and then the INVITE gets 504.
#[test]
fn without_prack_the_invite_is_refused() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            respond_reliably(ua, now, *id, request, None);
        }
    });
    net.rule = Box::new(|_, packet| if packet.label() == "PRACK" { Fate::Lost } else { Fate::Arrives });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(60));
    let begin = net.wire[0].at;
    let sent = net.wire.iter().filter(|packet| packet.label() == "183 INVITE");
    let sent: Vec<f64> = sent.map(|packet| (packet.at.since(begin) - LATENCY).as_secs_f64()).collect();
    assert_eq!(sent, [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]);
    assert_eq!(told(&net, 0), ["183 early", "Rejected 504"]);
    assert!(net.faults(1).iter().any(|fault| matches!(fault, Fault::NotPracked { .. })));
    net.run_to_quiet();
}

/// An INVITE that requires 100rel gets reliable responses whatever the command; one that does not know it gets none.
#[test]
fn what_the_peer_wants_of_reliability() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(0, answering_offers());
    net.script(1, |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            ua.respond(now, *id, Response::for_request(request, StatusCode::RINGING)).unwrap();
            let response = Response::for_request(request, StatusCode::OK);
            ua.accept(now, *id, with_body(response, &sdp("answer"))).unwrap();
        }
        event => polite()(ua, now, event),
    });
    let require =
        invite(1, 2, Transport::Udp).with_header(HeaderName::Require, HeaderText::new("100rel").unwrap());
    net.with(0, |ua, now| ua.invite(now, require, Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert!(headers_of(&net, "180 INVITE").contains("RSeq: "));
    assert!(net.labels().contains(&"200 PRACK".into()), "a PRACK after the final response is answered");

    let mut net = Net::new([config(1), full_config(2)]);
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let response = Response::for_request(request, StatusCode::RINGING);
            let refused = ua.respond_reliably(now, *id, response.clone()).unwrap_err();
            assert_eq!((refused.why, *refused.given), (Refusal::NotReliable, response));
            ua.respond(now, *id, Response::for_request(request, StatusCode::BUSY_HERE)).unwrap();
        }
    });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run_to_quiet();
}

fn provisional(net: &Net, number: u32, tag: &str) -> String {
    let invite = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
    let keep = |name: &str| invite.lines().find(|line| line.starts_with(name)).unwrap().to_string();
    alloc::format!(
        "SIP/2.0 183 Session Progress\r\n{}\r\n{}\r\n{};tag={tag}\r\n{}\r\n{}\r\nContact: <sip:{tag}@10.0.0.2>\r\n\
         Require: 100rel\r\nRSeq: {number}\r\nContent-Length: 0\r\n\r\n",
        keep("Via: "),
        keep("From: "),
        keep("To: "),
        keep("Call-ID: "),
        keep("CSeq: ")
    )
}

/// RFC 3262 §4: in order, each once; forks count for themselves.
#[test]
fn reliable_responses_are_taken_in_order_and_once() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(1, |_, _, _| {});
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    for (number, tag, taken) in [
        (7, "a", true),
        (7, "a", false),
        (9, "a", false),
        (8, "a", true),
        (6, "a", false),
        (100, "b", true),
        (9, "a", true),
        (u32::MAX, "c", true),
        (1, "c", false),
    ] {
        let before = net.labels().iter().filter(|label| *label == "PRACK").count();
        let events = told(&net, 0).len();
        net.inject(0, address(2), provisional(&net, number, tag));
        net.run(Duration::from_millis(1));
        let now = net.labels().iter().filter(|label| *label == "PRACK").count();
        assert_eq!(
            (now - before, told(&net, 0).len() - events),
            (usize::from(taken), usize::from(taken)),
            "{number} {tag}"
        );
    }
}

/// A PRACK that names no response of ours acknowledges nothing; neither does a second one.
#[test]
fn a_prack_has_to_name_the_response() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            respond_reliably(ua, now, *id, request, None);
        }
    });
    net.rule = Box::new(|_, packet| if packet.label() == "PRACK" { Fate::Lost } else { Fate::Arrives });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(100));
    let prack = headers_of(&net, "PRACK");
    let rack = prack.lines().find(|line| line.starts_with("RAck: ")).unwrap();
    let number = rack.split(' ').nth(1).unwrap();
    let mut cseq = 10;
    for (with, expected) in [
        ("RAck: 1 1 INVITE".to_string(), "481 PRACK"),
        (alloc::format!("RAck: {number} 2 INVITE"), "481 PRACK"),
        (alloc::format!("RAck: {number} 1 UPDATE"), "481 PRACK"),
        ("RAck: x".to_string(), "400 PRACK"),
        (rack.to_string(), "200 PRACK"),
        (rack.to_string(), "481 PRACK"),
    ] {
        cseq += 1;
        let text = prack
            .replace(rack, &with)
            .replace("CSeq: 2 ", &alloc::format!("CSeq: {cseq} "))
            .replace("z9hG4bK", &alloc::format!("z9hG4bK{cseq}"));
        net.inject(1, address(1), text);
        net.run(Duration::from_millis(1));
        assert_eq!(net.labels().last().unwrap(), expected, "{with}");
    }
    assert_eq!(told(&net, 1), ["INVITE", "pracked"]);
}

/// Early sessions change by UPDATE (RFC 3311): once the first exchange is complete, on either side.
#[test]
fn an_early_session_is_changed_by_update() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    let mut answers = answering_offers();
    net.script(0, move |ua, now, event| {
        answers(ua, now, event);
        if let Event::Answer { dialog, description } = event
            && description == "early answer"
        {
            ua.update(now, *dialog, Headers::new(), Some(sdp("changed"))).unwrap();
        }
    });
    let mut answers = answering_offers();
    net.script(1, move |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            respond_reliably(ua, now, *id, request, Some(&sdp("early answer")));
        }
        event => answers(ua, now, event),
    });
    let call =
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(told(&net, 0), ["183 early", "answer: early answer", "200", "answer: answer"]);
    assert_eq!(told(&net, 1), ["INVITE", "pracked", "UPDATE in dialog", "offer: changed"]);
    net.with(0, |ua, now| ua.cancel(now, call)).unwrap();
}

/// A bad network: whatever happens to single packets, the call comes about, and everything is told once.
#[test]
fn reliable_calls_survive_a_bad_network() {
    for seed in 0..60u64 {
        let mut net = Net::new([full_config(1), full_config(2)]);
        net.script(0, answering_offers());
        net.script(1, |ua, now, event| match event {
            Event::Request { id, request, .. } if *request.method() == Method::Invite => {
                respond_reliably(ua, now, *id, request, Some(&sdp("early answer")));
                ua.accept(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
            }
            Event::Request { id, request, .. } => {
                ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
            }
            _ => {}
        });
        let mut state = seed;
        net.rule = Box::new(move |_, _| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (state >> 33) % 100 {
                0..12 => Fate::Lost,
                12..24 => Fate::Twice,
                24..36 => Fate::Late(Duration::from_millis((state >> 40) % 1500)),
                _ => Fate::Arrives,
            }
        });
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
        net.run(Duration::from_secs(60));
        let words = told(&net, 0);
        assert_eq!(words.iter().filter(|word| *word == "accepted 200").count(), 1, "seed {seed} {words:?}");
        assert!(words.iter().filter(|word| *word == "answer: early answer").count() <= 1, "seed {seed}");
        net.rule = Box::new(|_, _| Fate::Arrives);
        for dialog in net.peers[0].ua.dialogs.keys().copied().collect::<Vec<_>>() {
            net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
        }
        net.run_to_quiet();
    }
}
