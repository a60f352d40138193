//! What peers do wrong, what is too much, and what the endpoint answers by itself.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_sip::{Method, ParseError, Response, StatusCode};

const GOOD: &str = "MESSAGE sip:user2@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKgood;rport\r\n\
    From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: call-1\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n\
    Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";

/// Sends one datagram, then a good one: the answer to the first, and whether the second still works.
fn answer_to(configuration: Config, bytes: &[u8]) -> Vec<String> {
    let mut net = Net::new([config(1), configuration]);
    net.script(1, polite());
    net.inject(1, address(1), bytes.to_vec());
    net.run(Duration::from_secs(1));
    net.inject(1, address(1), GOOD.replace("z9hG4bKgood", "z9hG4bKnext").replace("call-1", "call-2"));
    net.run(Duration::from_secs(1));
    let mut answers: Vec<String> =
        net.wire.iter().map(|p| String::from_utf8(p.bytes.to_vec()).unwrap()).collect();
    assert!(answers.pop().unwrap().starts_with("SIP/2.0 200 OK\r\n"), "the next message works");
    net.run_to_quiet();
    answers
}

fn edited(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from));
    GOOD.replace(from, to)
}

#[test]
fn bad_requests_get_the_answer_that_they_deserve() {
    for (bytes, status, header) in [
        (edited("From: <sip:a@example.com>;tag=1\r\n", ""), 400, ""),
        (edited("CSeq: 1 MESSAGE", "CSeq: 1 INVITE"), 400, ""),
        (edited("CSeq: 1 MESSAGE", "CSeq: x MESSAGE"), 400, ""),
        (edited("Call-ID: call-1\r\n", "Call-ID: call-1\r\ni: other\r\n"), 400, ""),
        (edited("Content-Length: 2", "Content-Length: 3"), 400, ""),
        (edited("Content-Length: 2", "Content-Length: +2"), 400, ""),
        (edited("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), 505, ""),
        (edited("sip:user2@10.0.0.2", "soap.beep://example.com"), 416, ""),
        (edited("MESSAGE", "PUBLISH"), 405, "\r\nAllow: INVITE, ACK, BYE, CANCEL, MESSAGE, OPTIONS\r\n"),
        (edited("MESSAGE", "NONSENSE"), 501, ""),
        (
            edited("Max-Forwards", "Require: 100rel, foo\r\nMax-Forwards"),
            420,
            "\r\nUnsupported: 100rel, foo\r\n",
        ),
        (edited("Max-Forwards: 70", "Max-Forwards: 700"), 400, ""),
        (edited("To: <sip:b@example.com>", "To: <sip:b@example.com>;tag=2"), 481, ""),
    ] {
        let answers = answer_to(config(2), bytes.as_bytes());
        assert_eq!(answers.len(), 1, "{bytes}");
        let answer = &answers[0];
        assert!(
            answer.starts_with(&format!("SIP/2.0 {status} ")) && answer.contains(header),
            "{bytes}\n{answer}"
        );
        assert!(answer.contains(";branch=z9hG4bKgood;rport=5060"), "{answer}");
        assert!(answer.contains("\r\nServer: test\r\n"));
        let to = answer.lines().find(|line| line.starts_with("To: ")).unwrap();
        assert!(to.contains(";tag="), "{answer}");
    }
}

#[test]
fn schemes_are_as_configured() {
    for (schemes, status) in [(&[][..], "200"), (&["mailto"][..], "200"), (&["sip"][..], "416")] {
        let uri_schemes = schemes.iter().copied().map(String::from).collect();
        let mut net = Net::new([config(1), Config { uri_schemes, ..config(2) }]);
        net.script(1, polite());
        net.inject(1, address(1), edited("sip:user2@10.0.0.2", "mailto:user2@example.com"));
        net.run(Duration::from_secs(1));
        let answer = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{schemes:?}: {answer}");
        net.run_to_quiet();
    }
}

#[test]
fn a_body_of_a_type_that_is_not_accepted_gets_415() {
    let mut net = Net::new([
        config(1),
        Config { accept: ["message/cpim".into(), "text/*".into()].into(), ..config(2) },
    ]);
    net.script(1, polite());
    net.inject(1, address(1), edited("text/plain", "image/png"));
    net.inject(1, address(1), edited("z9hG4bKgood", "z9hG4bKother").replace("call-1", "call-2"));
    net.run(Duration::from_secs(1));
    let answers: Vec<String> =
        net.wire.iter().map(|p| String::from_utf8(p.bytes.to_vec()).unwrap()).collect();
    assert!(
        answers[0].starts_with("SIP/2.0 415 ") && answers[0].contains("\r\nAccept: message/cpim, text/*\r\n")
    );
    assert!(answers[1].starts_with("SIP/2.0 200 "));
    net.run_to_quiet();
}

/// C16: nothing is ever said to a response, to an ACK, or to what is no SIP at all.
#[test]
fn some_faults_are_met_with_silence() {
    for bytes in [
        edited("MESSAGE", "ACK"),
        edited("MESSAGE", "ACK").replace("Content-Length: 2", "Content-Length: 3"),
        edited("MESSAGE", "ACK").replace("CSeq: 1 ACK", "CSeq: 1 INVITE"),
        edited("MESSAGE sip:user2@10.0.0.2 SIP/2.0", "SIP/2.0 200 OK"),
        edited("MESSAGE sip:user2@10.0.0.2 SIP/2.0", "SIP/2.0 200 OK")
            .replace("Content-Length: 2", "Content-Length: x"),
        edited("Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKgood;rport\r\n", ""),
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(),
        "\r\n\r\n".into(),
        "\0".into(),
        String::new(),
    ] {
        assert_eq!(answer_to(config(2), bytes.as_bytes()), Vec::<String>::new(), "{bytes}");
    }
}

#[test]
fn every_fault_is_told_and_counted() {
    let mut net = Net::new([config(1), config(2)]);
    net.inject(1, address(1), edited("Content-Length: 2", "Content-Length: 9"));
    net.inject(1, address(1), edited("MESSAGE", "ACK"));
    net.inject(1, address(1), edited("MESSAGE sip:user2@10.0.0.2 SIP/2.0", "SIP/2.0 200 OK"));
    net.inject(1, address(1), edited("MESSAGE", "CANCEL"));
    net.inject(1, address(1), edited("MESSAGE", "WHAT"));
    net.run(Duration::from_secs(1));
    let error = ParseError::BodyShort { announced: 9, present: 2 };
    assert!(matches!(
        net.faults(1)[..],
        [
            Fault::Malformed { error: e, answered: Some(StatusCode::BAD_REQUEST), .. },
            Fault::StrayAck { .. },
            Fault::StrayResponse { .. },
            Fault::Refused { status: StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST, .. },
            Fault::Refused { status: StatusCode::NOT_IMPLEMENTED, .. },
        ] if *e == error
    ));
    assert_eq!(net.labels(), ["400 MESSAGE", "481 CANCEL", "501 WHAT"]);
    let counted: Vec<_> =
        net.peers[1].ua.metrics().iter().filter(|(name, _)| name.contains("stray")).collect();
    assert_eq!(counted, [("ua.stray_ack", 1), ("ua.stray_cancel", 1), ("ua.stray_responses", 1)]);
    net.run_to_quiet();
}

#[test]
fn an_invite_needs_a_contact() {
    let mut net = Net::new([config(1), config(2)]);
    net.inject(1, address(1), edited("MESSAGE", "INVITE"));
    net.run(Duration::from_millis(100));
    assert_eq!(net.labels(), ["400 INVITE"]);
    net.run_to_quiet();
}

// ---- limits -----------------------------------------------------------------------------------------------------

fn at(millis: u64) -> Now {
    Now::new(Instant::from_micros(millis * 1000), DateTime::UNIX_EPOCH)
}

/// A peer of its own address on flow `n`.
fn peer(ua: &mut Endpoint, n: u8, trust: Trust) -> FlowId {
    let flow = FlowId(u64::from(n));
    let peer = SocketAddr::new([192, 0, 2, n].into(), 5060);
    let protocol = Protocol::Sip;
    let info = FlowInfo {
        protocol,
        transport: Transport::Udp,
        local: address(2),
        peer,
        secure_identity: None,
        trust,
    };
    ua.handle_accepted(at(0), flow, info);
    while ua.poll_action().is_some() {}
    flow
}

fn flood(
    ua: &mut Endpoint,
    flow: FlowId,
    numbers: core::ops::Range<u32>,
    method: &str,
) -> (usize, usize, usize) {
    let (mut requests, mut refusals, mut faults) = (0, 0, 0);
    for n in numbers {
        let contact = "CSeq: 1 MESSAGE\r\nContact: <sip:a@192.0.2.1>";
        let text = GOOD.replace("CSeq: 1 MESSAGE", contact).replace("MESSAGE", method);
        let text =
            text.replace("z9hG4bKgood", &format!("z9hG4bK{n}")).replace("call-1", &format!("call-{n}"));
        ua.handle_datagram(at(1), flow, text.into_bytes().into());
        while let Some(action) = ua.poll_action() {
            match action {
                Action::Event(Event::Request { .. }) => requests += 1,
                Action::Event(Event::Fault(Fault::Overload { .. })) => faults += 1,
                Action::Datagram(_, bytes) if bytes.starts_with(b"SIP/2.0 503 ") => {
                    assert!(String::from_utf8_lossy(&bytes).contains("\r\nRetry-After: 5\r\n"));
                    refusals += 1;
                }
                _ => {}
            }
        }
    }
    (requests, refusals, faults)
}

fn limited() -> Endpoint {
    let limits = Limits {
        max_unanswered: 30,
        max_unanswered_per_peer: 10,
        max_cancelled_per_peer: 2,
        ..Limits::default()
    };
    Endpoint::new(Config { limits, ..Config::user_agent(Seed::new([5; 32]), "") }).unwrap()
}

/// C1: what is not answered is bounded per peer and in all; a peer that goes on is told once, then met with silence.
#[test]
fn unanswered_requests_are_bounded() {
    let mut ua = limited();
    let flow = peer(&mut ua, 1, Trust::Outside);
    assert_eq!(flood(&mut ua, flow, 0..50, "MESSAGE"), (10, 1, 40));
    // Others are not affected, until all together are too many; the core may have more than anybody.
    let flow = peer(&mut ua, 2, Trust::Core);
    assert_eq!(flood(&mut ua, flow, 100..115, "MESSAGE"), (15, 0, 0));
    let flow = peer(&mut ua, 3, Trust::Outside);
    assert_eq!(flood(&mut ua, flow, 200..220, "MESSAGE"), (5, 1, 15));
    assert_eq!(ua.servers.len(), 30);
    assert_eq!(ua.metrics().get("ua.overload"), 55);
    // At their deadlines all are let go.
    while let Some(next) = ua.next_timeout() {
        ua.handle_timeout(Now::new(next, DateTime::UNIX_EPOCH));
    }
    assert!(ua.is_idle());
    assert_eq!(flood(&mut ua, flow, 300..311, "MESSAGE"), (10, 1, 1), "and the peer is told anew");
}

/// C20: INVITE and CANCEL as fast as possible: what the function has not answered yet is bounded.
#[test]
fn cancelled_invites_that_wait_are_bounded() {
    let mut ua = limited();
    let flow = peer(&mut ua, 1, Trust::Outside);
    assert_eq!(flood(&mut ua, flow, 0..2, "INVITE"), (2, 0, 0));
    flood(&mut ua, flow, 0..2, "CANCEL");
    assert_eq!(flood(&mut ua, flow, 2..9, "INVITE"), (0, 1, 7));
    assert_eq!(flood(&mut ua, flow, 9..10, "MESSAGE"), (1, 0, 0), "INVITE alone is affected");
    let mut cancelled: Vec<RequestId> = ua.servers.iter().map(|(id, _)| *id).collect();
    cancelled.sort();
    let request = ua.servers.get(&cancelled[0]).unwrap().request.clone().unwrap();
    ua.respond(at(2), cancelled[0], Response::for_request(&request, StatusCode::REQUEST_TERMINATED)).unwrap();
    assert_eq!(flood(&mut ua, flow, 20..22, "INVITE").0, 2, "an answer makes room");
}

/// C1: completed transactions are bounded by the octets that all of them costs, not just their responses: the oldest
/// are forgotten.
#[test]
fn completed_transactions_are_bounded() {
    let limits = Limits { max_completed_bytes: 8_000, ..Limits::default() };
    let mut ua = Endpoint::new(Config { limits, ..Config::user_agent(Seed::new([5; 32]), "") }).unwrap();
    let flow = peer(&mut ua, 1, Trust::Outside);
    for n in 0..100 {
        assert_eq!(flood(&mut ua, flow, n..n + 1, "MESSAGE").0, 1);
        let id = *ua.servers.iter().map(|(id, _)| id).max().unwrap();
        let request = ua.servers.get(&id).unwrap().whole_request().unwrap();
        ua.respond(at(2), id, Response::for_request(&request, StatusCode::OK)).unwrap();
        assert!(ua.done.octets() <= 8_000 && ua.servers.is_empty());
        // Keys and entries cost as much as the response of 200 octets.
        assert!((1..=20).contains(&ua.done.len()), "{}", ua.done.len());
    }
    assert!(ua.metrics().get("ua.completed_forgotten") > 80);
    while let Some(next) = ua.next_timeout() {
        ua.handle_timeout(Now::new(next, DateTime::UNIX_EPOCH));
    }
    assert!(ua.is_idle());
}

/// C1: the same for INVITEs that were accepted, once their calls are over.
#[test]
fn accepted_calls_are_forgotten_in_time() {
    let limits = Limits { max_completed_bytes: 20_000, ..Limits::default() };
    let mut net = Net::new([config(1), Config { limits, ..config(2) }]);
    net.script(0, caller_that_hangs_up());
    net.script(1, polite());
    for _ in 0..100 {
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
        net.run(Duration::from_millis(100));
        assert_eq!(net.peers[1].ua.dialogs.len(), 0);
    }
    let held = net.peers[1].ua.holdings();
    assert!((1..=30).contains(&held.completed), "{held:?}");
    net.run_to_quiet();
}

/// Threat C21: what is required of us and not known is refused by name, whatever the method and the case; what is
/// required of proxies counts for proxies; what is supported is let in. Nothing goes on in silence.
#[test]
fn what_is_required_is_known_or_refused() {
    let known = |role| Config { supported: ["100rel".into(), "Replaces".into()].into(), role, ..config(2) };
    for (role, fields, unsupported) in [
        (Role::UserAgent, "Require: foo\r\n", Some("foo")),
        (Role::UserAgent, "Require: 100REL, replaces\r\n", None),
        (Role::UserAgent, "Require: 100rel, foo\r\nRequire: bar\r\n", Some("foo, bar")),
        (Role::UserAgent, "Require: sec-agree\r\nProxy-Require: sec-agree\r\n", Some("sec-agree")),
        (Role::UserAgent, "Proxy-Require: foo\r\n", None),
        (Role::UserAgent, "Supported: foo\r\n", None),
        (Role::Proxy, "Proxy-Require: foo\r\n", Some("foo")),
        (Role::Proxy, "Proxy-Require: 100rel, bar\r\n", Some("bar")),
        (Role::Proxy, "Require: foo\r\n", None),
    ] {
        for method in ["MESSAGE", "OPTIONS", "INVITE"] {
            let request = GOOD.replace("MESSAGE", method);
            let request = request
                .replace("Max-Forwards", &format!("Contact: <sip:a@10.0.0.1>\r\n{fields}Max-Forwards"));
            let mut net = Net::new([config(1), known(role)]);
            net.script(1, answering(StatusCode::FORBIDDEN));
            net.inject(1, address(1), request);
            net.run(Duration::from_millis(100));
            let answer = String::from_utf8(net.wire[0].bytes.to_vec()).unwrap();
            let handed_up = net.peers[1].events.iter().any(|event| matches!(event, Event::Request { .. }));
            let (status, handed) = if unsupported.is_some() { ("420", false) } else { ("403", true) };
            assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{fields} {method} {answer}");
            assert_eq!(handed_up, handed, "{fields} {method}");
            if let Some(tags) = unsupported {
                assert!(answer.contains(&format!("\r\nUnsupported: {tags}\r\n")), "{fields} {answer}");
            }
            net.run_to_quiet();
        }
    }
}

/// Threat C19: who asks for a call by half of its name learns as much as who asks for one that never was: the same
/// octets at the same times.
#[test]
fn what_is_there_looks_like_what_is_not() {
    let mut config = full_config(2);
    config.allow.extend([Method::Notify, Method::Info, Method::Refer, Method::Subscribe]);
    let mut net = Net::new([full_config(1), config]);
    net.script(0, answering_offers());
    net.script(1, answering_offers());
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    let dialog = *net.peers[1].ua.dialogs.keys().next().unwrap();
    let (call_id, local, remote) = net.peers[1].ua.dialog_ids(dialog).unwrap();
    let (call_id, local, remote) = (String::from(call_id), String::from(local), String::from(remote));
    let mut asked = 0;
    let mut ask = |net: &mut Net, method: &str, field: &str, call_id: &str, to: &str, from: &str| {
        asked += 1;
        net.run(Duration::from_secs(60));
        net.wire.clear();
        let begin = net.now.mono;
        let request = format!(
            "{method} sip:user2@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKask{asked:03};rport\r\n\
             From: <sip:a@example.com>;tag={from}\r\nTo: <sip:b@example.com>{to}\r\nCall-ID: {call_id}\r\n\
             CSeq: 77 {method}\r\nMax-Forwards: 70\r\nContact: <sip:a@10.0.0.1>\r\n{field}Content-Length: 0\r\n\r\n"
        );
        for _ in 0..2 {
            net.inject(1, address(1), request.clone());
            net.run(Duration::from_secs(2));
        }
        let plain = |text: String| {
            let text = text.replace(&format!("ask{asked:03}"), "ask").replace(call_id, "Call-ID");
            let lines = text.lines().filter(|line| !line.starts_with("To:") && !line.starts_with("From:"));
            lines.map(String::from).collect::<Vec<_>>()
        };
        let said = |p: &Packet| (p.at.since(begin), plain(String::from_utf8(p.bytes.to_vec()).unwrap()));
        let told = net.wire.iter().map(said).collect::<Vec<_>>();
        assert!(!told.is_empty(), "{request}");
        told
    };
    for method in ["INVITE", "BYE", "UPDATE", "PRACK", "INFO", "CANCEL", "NOTIFY", "REFER"] {
        let field = match method {
            "PRACK" => "RAck: 1 1 INVITE\r\n",
            "REFER" => "Refer-To: <sip:c@example.com>\r\n",
            "NOTIFY" => "Event: presence\r\nSubscription-State: active\r\n",
            _ => "",
        };
        let nobody = ask(&mut net, method, field, "nothing-of-this", ";tag=one", "two");
        for (to, from) in
            [(local.as_str(), "two"), ("one", remote.as_str()), (remote.as_str(), local.as_str())]
        {
            let half = ask(&mut net, method, field, &call_id, &format!(";tag={to}"), from);
            assert_eq!(half, nobody, "{method}");
        }
    }
    for (to, from) in [(local.as_str(), "two"), ("one", remote.as_str())] {
        let replaces = |call_id: &str, to: &str, from: &str| {
            format!("Supported: replaces\r\nReplaces: {call_id};to-tag={to};from-tag={from}\r\n")
        };
        let nobody = ask(&mut net, "INVITE", &replaces("nothing-of-this", "a", "b"), "other-1", "", "x");
        let half = ask(&mut net, "INVITE", &replaces(&call_id, to, from), "other-2", "", "x");
        assert_eq!(half, nobody);
    }
    net.with(1, |ua, now| ua.bye(now, dialog, cpm_sip::Headers::new())).unwrap();
    net.run_to_quiet();
}

/// Values at their edges and beyond: one answer at most, nothing kept, and the next message works.
#[test]
fn hostile_values() {
    let many = |field: &str, count: usize| field.repeat(count);
    let invite = GOOD
        .replace("MESSAGE", "INVITE")
        .replace("Max-Forwards", "Contact: <sip:a@10.0.0.1>\r\nMax-Forwards");
    let subscribe = GOOD
        .replace("MESSAGE", "SUBSCRIBE")
        .replace("Max-Forwards", "Contact: <sip:a@10.0.0.1>\r\nEvent: presence\r\nMax-Forwards");
    let with = |base: &str, field: &str| base.replace("Max-Forwards", &format!("{field}Max-Forwards"));
    let mut config = full_config(2);
    config.session_timer = Some(SessionTimer::default());
    config.allow.extend([Method::Subscribe, Method::Refer]);
    let mut wrong = Vec::new();
    for (request, status) in [
        (edited("To: <sip:b@example.com>", "To: <sip:b@example.com>;tag=1;tag=2"), "400"),
        (edited("To: <sip:b@example.com>", "To: <sip:b@example.com>, <sip:c@example.com>"), "400"),
        (edited("CSeq: 1", "CSeq: 2147483647"), "486"),
        (edited("CSeq: 1", "CSeq: 2147483648"), "400"),
        (edited("CSeq: 1", "CSeq: 4294967296"), "400"),
        (edited("CSeq: 1", "CSeq: -1"), "400"),
        (edited("Max-Forwards: 70", "Max-Forwards: 256"), "400"),
        (edited("Max-Forwards: 70", "Max-Forwards: -1"), "400"),
        (edited("sip:user2@10.0.0.2", "sip:user2@"), "400"),
        // RFC 2543 knew callers without a tag.
        (edited("From: <sip:a@example.com>;tag=1", "From: <sip:a@example.com>"), "486"),
        (edited("From: <sip:a@example.com>;tag=1", "From: <sip:a@example.com>;tag="), "400"),
        (edited("Call-ID: call-1", "Call-ID: "), "400"),
        (with(GOOD, &many("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKv\r\n", 1000)), "513"),
        (with(GOOD, &many("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKv\r\n", 71)), "400"),
        (with(&invite, &many("Record-Route: <sip:192.0.2.1;lr>\r\n", 100)), "400"),
        // Who does not know session timers cannot be told 422 (RFC 4028 §9).
        (with(&invite, "Session-Expires: 1\r\n"), "486"),
        (with(&invite, "Session-Expires: 0\r\nSupported: timer\r\n"), "422"),
        (with(&invite, "Session-Expires: 89;refresher=uac\r\nSupported: timer\r\n"), "422"),
        (invite.replace("<sip:a@10.0.0.1>", "*"), "400"),
        (invite.replace("<sip:a@10.0.0.1>", "<sip:>"), "400"),
        (with(&invite, "Replaces: x\r\n"), "400"),
        (with(&subscribe, "Expires: 4294967296\r\n"), "400"),
        (with(&subscribe, "Expires: -1\r\n"), "400"),
        (with(&subscribe, "Expires: 59\r\n"), "423"),
        (subscribe.replace("Event: presence\r\n", ""), "489"),
        (subscribe.replace("Event: presence\r\n", "Event: presence\r\nEvent: dialog\r\n"), "400"),
    ] {
        let mut net = Net::new([super::net::config(1), config.clone()]);
        net.script(1, answering(StatusCode::BUSY_HERE));
        net.inject(1, address(1), request.clone());
        net.run(Duration::from_millis(300));
        net.inject(1, address(1), GOOD.replace("z9hG4bKgood", "z9hG4bKnext").replace("call-1", "call-2"));
        net.run(Duration::from_millis(100));
        let answers: Vec<String> =
            net.wire.iter().map(|p| String::from_utf8_lossy(&p.bytes).into_owned()).collect();
        let (next, answers): (Vec<&String>, Vec<&String>) =
            answers.iter().partition(|answer| answer.contains("z9hG4bKnext"));
        assert!(next.len() == 1 && next[0].starts_with("SIP/2.0 486 "), "{request}\n{next:?}");
        net.run_to_quiet();
        let told: Vec<&str> = answers.iter().map(|answer| &answer[8..11]).collect();
        if told != [status] {
            wrong.push(format!("{status} expected, {told:?} told: {}", &request[..request.len().min(500)]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn dialogs_and_client_transactions_are_bounded() {
    let limits = Limits { max_dialogs: 1, max_client: 2, ..Limits::default() };
    let mut net = Net::new([Config { limits: limits.clone(), ..config(1) }, Config { limits, ..config(2) }]);
    net.script(0, polite());
    let call = |net: &mut Net| {
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed))
    };
    call(&mut net).unwrap();
    call(&mut net).unwrap();
    let refused =
        net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap_err();
    assert!(matches!(refused.why, Refusal::Limit(limit) if (limit.limit, limit.max) == ("tx.max_client", 2)));
    net.run(Duration::from_millis(50));
    let requests: Vec<_> = net.peers[1]
        .events
        .iter()
        .filter_map(|e| {
            if let Event::Request { id, request, .. } = e { Some((*id, request.clone())) } else { None }
        })
        .collect();
    let ok = |n: usize| Response::for_request(&requests[n].1, StatusCode::OK);
    let dialog = net.with(1, |ua, now| ua.accept(now, requests[0].0, ok(0))).unwrap();
    let refused = net.with(1, |ua, now| ua.accept(now, requests[1].0, ok(1))).unwrap_err();
    assert!(matches!(refused.why, Refusal::Limit(limit) if (limit.limit, limit.max) == ("dialog.max", 1)));
    let busy = Response::for_request(&requests[1].1, StatusCode::BUSY_HERE);
    net.with(1, |ua, now| ua.respond(now, requests[1].0, busy)).unwrap();
    net.run(Duration::from_secs(1));
    net.with(1, |ua, now| ua.bye(now, dialog, cpm_sip::Headers::new())).unwrap();
    net.run_to_quiet();
}

/// C18: what others could guess is random: no identifier comes twice.
#[test]
fn identifiers_do_not_repeat() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, polite());
    let mut seen = BTreeSet::new();
    for _ in 0..300 {
        net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
        net.run(Duration::from_millis(30));
    }
    for packet in &net.wire {
        let text = String::from_utf8(packet.bytes.to_vec()).unwrap();
        let branch = text.split("branch=z9hG4bK").nth(1).unwrap().split([';', '\r']).next().unwrap();
        let call_id = text.split("Call-ID: ").nth(1).unwrap().split('\r').next().unwrap();
        let tags: Vec<&str> = text.split(";tag=").skip(1).map(|t| t.split('\r').next().unwrap()).collect();
        if text.starts_with("MESSAGE") {
            assert!(branch.len() >= 13 && call_id.len() >= 13 && tags[0].len() >= 13);
            assert!(
                seen.insert(String::from(branch))
                    && seen.insert(call_id.into())
                    && seen.insert(tags[0].into())
            );
        } else {
            assert!(tags[1].len() >= 13 && seen.insert(tags[1].into()));
        }
    }
    assert_eq!(seen.len(), 1200);
    net.run_to_quiet();
}

/// RFC 3261 §17.2.3: requests of RFC 2543 peers, without the magic cookie, are matched by their other fields.
#[test]
fn old_branches_are_matched_too() {
    let mut net = Net::new([config(1), config(2)]);
    net.script(1, answering(StatusCode::BUSY_HERE));
    let contact = "CSeq: 1 INVITE\r\nContact: <sip:a@10.0.0.1>";
    let invite = GOOD
        .replace("CSeq: 1 MESSAGE", contact)
        .replace("MESSAGE", "INVITE")
        .replace(";branch=z9hG4bKgood", "");
    net.inject(1, address(1), invite.clone());
    net.inject(1, address(1), invite.clone());
    net.run(Duration::from_millis(100));
    assert_eq!(net.labels(), ["486 INVITE", "486 INVITE"]);
    let ack = invite.replace("INVITE", "ACK").replace("<sip:b@example.com>", "<sip:b@example.com>;tag=x");
    net.inject(1, address(1), ack);
    net.run(Duration::from_secs(10));
    assert_eq!(net.labels().len(), 2, "the ACK ends the retransmissions");
    net.run_to_quiet();
    assert_eq!(net.peers[1].events.iter().filter(|e| matches!(e, Event::Request { .. })).count(), 1);
}

#[test]
fn a_configuration_out_of_range_is_named() {
    let fine = config(1);
    assert_eq!(fine.validate(), Ok(()));
    let mut bad = fine.clone();
    bad.limits.max_branches = 0;
    assert_eq!(bad.validate(), Err(ConfigError("limits.max_branches")));
    assert_eq!(Endpoint::new(bad).err(), Some(ConfigError("limits.max_branches")));
    let mut bad = fine.clone();
    bad.timers.t2 = Duration::from_millis(1);
    assert_eq!(bad.validate(), Err(ConfigError("timers.t2")));
    let mut bad = fine;
    bad.limits.sip.max_headers = 0;
    assert_eq!(bad.validate(), Err(ConfigError("limits.sip")));
    assert!(Method::KNOWN.len() > 6);
}
