//! Session timers in calls.

use super::changes::hang_up;
use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::Transport;
use cpm_sip::{
    HeaderName, HeaderText, Headers, Method, MinSe, Refresher, Response, SessionExpires, StatusCode,
};

fn timed(n: u8, expires: u32, min_se: u32) -> Config {
    let timer = SessionTimer { expires, min_se, refresh: false };
    Config { session_timer: Some(timer), ..full_config(n) }
}

fn called(net: &mut Net) {
    net.script(0, answering_offers());
    net.script(1, answering_offers());
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
}

fn line(net: &Net, label: &str, name: &str) -> Option<String> {
    let packet = net.wire.iter().rev().find(|packet| packet.label() == label)?;
    let text = String::from_utf8(packet.bytes.to_vec()).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(|value| value.trim_start_matches(": ").to_string())
}

fn times(net: &Net, label: &str) -> Vec<u64> {
    let begin = net.wire[0].at;
    let of = net.wire.iter().filter(|packet| packet.label() == label);
    of.map(|packet| packet.at.since(begin).as_secs()).collect()
}

/// Refreshed by UPDATE at half of the interval, for as long as the call lives (RFC 4028 §7.4, §10).
#[test]
fn a_session_is_refreshed_by_update() {
    let mut net = Net::new([timed(1, 600, 90), timed(2, 1800, 90)]);
    called(&mut net);
    assert_eq!(line(&net, "INVITE", "Session-Expires").unwrap(), "600");
    assert_eq!(line(&net, "200 INVITE", "Session-Expires").unwrap(), "600;refresher=uac");
    assert_eq!(line(&net, "200 INVITE", "Require").unwrap(), "timer");
    net.run(Duration::from_secs(1000));
    assert_eq!(times(&net, "UPDATE"), [300, 600, 900]);
    assert_eq!(line(&net, "200 UPDATE", "Session-Expires").unwrap(), "600;refresher=uac");
    assert!(line(&net, "UPDATE", "Content-Type").is_none());
    assert_eq!(told(&net, 0), ["accepted 200", "answer: answer"], "nothing of it is the function's");
    assert_eq!(told(&net, 1), ["INVITE", "acknowledged"]);
    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
    hang_up(&mut net, 0, dialog);
}

/// The called side refreshes when the caller knows nothing of session timers; a peer without UPDATE gets a re-INVITE with
/// the description that is in force.
#[test]
fn a_session_is_refreshed_by_reinvite() {
    let mut net = Net::new([config(1), timed(2, 300, 90)]);
    called(&mut net);
    assert_eq!(line(&net, "200 INVITE", "Session-Expires").unwrap(), "300;refresher=uas");
    net.run(Duration::from_secs(200));
    assert_eq!(times(&net, "INVITE"), [0, 150]);
    assert_eq!(net.labels()[3..], ["INVITE", "200 INVITE", "ACK"]);
    let text = String::from_utf8(net.wire[3].bytes.to_vec()).unwrap();
    assert!(text.ends_with("\r\n\r\nanswer"), "{text}");
    // The peer says nothing of the interval: from here on there is none (RFC 4028 §7.2).
    assert_eq!(told(&net, 1), ["INVITE", "acknowledged"]);
    assert_eq!(net.peers[1].ua.dialogs.len(), 1);
    let dialog = *net.peers[1].ua.dialogs.keys().next().unwrap();
    net.run(Duration::from_secs(1000));
    hang_up(&mut net, 1, dialog);
}

/// Nobody refreshes: BYE a third of the interval, at most 32 s, before it is over, with a Reason; each side for itself.
#[test]
fn a_session_that_nobody_refreshes_is_ended() {
    for (expires, at, sides) in [(90, 60, [0, 1].as_slice()), (600, 568, &[0])] {
        for broken in sides.iter().copied() {
            let mut net = Net::new([timed(1, expires, 90), timed(2, expires, 90)]);
            called(&mut net);
            let from = net.peers[broken].address;
            net.rule =
                Box::new(move |_, packet| if packet.from == from { Fate::Lost } else { Fate::Arrives });
            net.run(Duration::from_secs(700));
            let ends: Vec<_> = [0, 1].iter().map(|peer| told(&net, *peer).last().unwrap().clone()).collect();
            assert!(ends.contains(&"ended SessionExpired".to_string()), "{broken} {ends:?}");
            let bye = times(&net, "BYE");
            assert!(bye.contains(&at), "{expires} {bye:?}");
            assert!(line(&net, "BYE", "Reason").unwrap().starts_with("SIP;cause=408") || broken == 0);
            net.run_to_quiet();
        }
    }
}

/// Threat C14: an interval that is too short is refused with 422 before anything is made for it, and one that is too long is
/// cut to a day.
#[test]
fn intervals_have_bounds() {
    for (asked, expected) in [(1, None), (89, None), (90, Some(90)), (u32::MAX, Some(86_400))] {
        let mut net = Net::new([full_config(1), timed(2, 86_400, 90)]);
        net.script(0, answering_offers());
        net.script(1, answering_offers());
        let request = invite(1, 2, Transport::Udp)
            .with_typed(&SessionExpires::new(asked, Some(Refresher::Uas)))
            .with_header(HeaderName::Supported, HeaderText::new("timer").unwrap());
        net.with(0, |ua, now| ua.invite(now, request, Destination::Routed)).unwrap();
        net.run(Duration::from_millis(15));
        match expected {
            None => {
                assert_eq!(told(&net, 1), Vec::<String>::new(), "the function never hears of it");
                assert_eq!(net.peers[1].ua.dialogs.len(), 0);
                net.run(Duration::from_secs(1));
                assert_eq!(told(&net, 0), ["Rejected 422"]);
                assert_eq!(line(&net, "422 INVITE", "Min-SE").unwrap(), "90");
                net.run_to_quiet();
            }
            Some(seconds) => {
                net.run(Duration::from_secs(1));
                let agreed = line(&net, "200 INVITE", "Session-Expires").unwrap();
                assert_eq!(agreed, alloc::format!("{seconds};refresher=uas"));
            }
        }
    }
}

/// Threat C14: a peer's 2xx with a tiny interval is no reason for a storm of refreshes.
#[test]
fn a_tiny_interval_in_a_2xx_counts_as_the_least() {
    let mut net = Net::new([timed(1, 600, 90), full_config(2)]);
    net.script(0, answering_offers());
    net.script(1, |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            let response = with_body(Response::for_request(request, StatusCode::OK), &sdp("answer"));
            let response = response.with_typed(&SessionExpires::new(1, Some(Refresher::Uac)));
            ua.accept(now, *id, response).unwrap();
        }
        Event::Request { id, request, .. } => {
            let response = Response::for_request(request, StatusCode::OK);
            let response = response.with_typed(&SessionExpires::new(0, Some(Refresher::Uac)));
            ua.respond(now, *id, response).unwrap();
        }
        _ => {}
    });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(200));
    assert_eq!(times(&net, "UPDATE"), [45, 90, 135, 180]);
}

/// RFC 4028 §7.3: tried again with what the 422 asks for, unseen by the function.
#[test]
fn a_422_is_followed_as_long_as_the_interval_grows() {
    let mut net = Net::new([timed(1, 100, 90), timed(2, 1800, 600)]);
    called(&mut net);
    assert_eq!(net.labels(), ["INVITE", "422 INVITE", "ACK", "INVITE", "200 INVITE", "ACK"]);
    assert_eq!(line(&net, "INVITE", "Session-Expires").unwrap(), "600");
    assert_eq!(line(&net, "INVITE", "Min-SE").unwrap(), "600");
    assert_eq!(told(&net, 0), ["accepted 200", "answer: answer"]);
    let text = String::from_utf8(net.wire[3].bytes.to_vec()).unwrap();
    assert!(text.contains("CSeq: 2 INVITE\r\n"));

    // A peer that asks for more each time is followed four times; one that asks for the same, once.
    for (step, tries) in [(100, 5), (0, 2)] {
        let mut net = Net::new([timed(1, 100, 90), full_config(2)]);
        let mut least = 200;
        net.script(1, move |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                least += step;
                let status = StatusCode::SESSION_INTERVAL_TOO_SMALL;
                let response = Response::for_request(request, status).with_typed(&MinSe::new(least));
                ua.respond(now, *id, response).unwrap();
            }
        });
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
        net.run(Duration::from_secs(5));
        assert_eq!(net.labels().iter().filter(|label| *label == "INVITE").count(), tries);
        assert_eq!(told(&net, 0), ["Rejected 422"]);
        net.run_to_quiet();
    }
}

/// A refresh that is refused is tried again while there is time; one that gets 481 ends the session.
#[test]
fn a_refresh_that_fails() {
    for (status, expected) in [(500, [150, 209, 239, 254].as_slice()), (481, &[150])] {
        let mut net = Net::new([timed(1, 300, 90), timed(2, 300, 90)]);
        called(&mut net);
        // Taken off the wire, answered by hand.
        net.rule = Box::new(|_, packet| if packet.label() == "UPDATE" { Fate::Lost } else { Fate::Arrives });
        let mut answered = 0;
        for _ in 0..300 {
            net.run(Duration::from_secs(1));
            let update = net.wire.iter().rev().find(|packet| packet.label() == "UPDATE").cloned();
            if let Some(update) = update.filter(|update| update.at.as_micros() > answered) {
                answered = update.at.as_micros();
                let request = cpm_sip::parse_datagram(update.bytes, &cpm_sip::Limits::default());
                let Ok(cpm_sip::Message::Request(request)) = request else { panic!() };
                let response = Response::for_request(&request, StatusCode::new(status).unwrap());
                net.inject(0, address(2), response.to_bytes());
            }
        }
        let sent = times(&net, "UPDATE");
        // At half of what is left each time, less what the answer took. Copies are not counted.
        let mut seen: Vec<u64> = sent.iter().copied().filter(|at| *at < 260).collect();
        seen.dedup();
        assert_eq!(seen, expected, "{status}");
        let ends = [0, 1].map(|peer| told(&net, peer).last().unwrap().clone());
        let end = if status == 481 { "ended Gone" } else { "ended SessionExpired" };
        assert!(ends.contains(&end.to_string()), "{status} {ends:?}");
        net.run_to_quiet();
    }
}

/// Who has no session timer configured sees nothing of any of it.
#[test]
fn without_configuration_nothing_happens() {
    let mut net = Net::new([timed(1, 600, 90), config(2)]);
    net.script(0, answering_offers());
    net.script(1, answering_offers());
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1000));
    assert_eq!(net.labels(), ["INVITE", "200 INVITE", "ACK"]);
    assert!(line(&net, "200 INVITE", "Session-Expires").is_none());
    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
    hang_up(&mut net, 0, dialog);
}

/// Both sides change the session at the moment of a refresh: the session goes on.
#[test]
fn a_refresh_may_meet_a_change() {
    for seed in 0..10u8 {
        let mut configs = [timed(1, 90, 90), timed(2, 90, 90)];
        configs[0].seed = cpm_base::Seed::new([seed; 32]);
        let mut net = Net::new(configs);
        called(&mut net);
        let there = *net.peers[1].ua.dialogs.keys().next().unwrap();
        net.run(Duration::from_millis(43_990 + u64::from(seed) * 10));
        net.with(1, |ua, now| ua.reinvite(now, there, Headers::new(), Some(sdp("new")))).unwrap();
        net.run(Duration::from_secs(300));
        assert_eq!(net.peers[0].ua.dialogs.len(), 1, "{:?}", told(&net, 0));
        assert!(told(&net, 1).contains(&"accepted 200".to_string()));
        hang_up(&mut net, 1, there);
    }
}

#[test]
fn a_configuration_out_of_range_is_refused() {
    for (expires, min_se) in [(89, 89), (86_401, 90), (100, 101), (100, 89)] {
        let refused = Endpoint::new(timed(1, expires, min_se)).unwrap_err();
        assert_eq!(refused, ConfigError("session_timer"));
    }
}
