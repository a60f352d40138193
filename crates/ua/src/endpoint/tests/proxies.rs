//! A stateful proxy between user agents: forking, best response, CANCEL, dialogs that run through it.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{Now, Transport};
use cpm_sip::{HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode, Uri};

/// Caller 0, proxy 1 (10.0.0.2), called sides 2 and 3 (10.0.0.3, 10.0.0.4).
fn net() -> Net {
    let mut net = Net::new([config(1), proxy_config(2), config(3), config(4)]);
    net.script(0, polite());
    net
}

fn to_branch(request: &Request, n: u8) -> Branch {
    let mut request = request.clone();
    request.set_uri(uri(&alloc::format!("sip:user@{}", address(n))));
    Branch { request, destination: Destination::Routed }
}

/// Forks what is in no dialog to the peers of these numbers, and routes on what is.
fn forking(to: &'static [u8], options: ProxyOptions) -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            if request.headers().contains(&HeaderName::Route) {
                ua.route_onward(now, *id).unwrap();
            } else {
                let branches = to.iter().map(|n| to_branch(request, *n)).collect();
                ua.proxy(now, *id, branches, options.clone()).unwrap();
            }
        }
    }
}

fn staying() -> ProxyOptions {
    ProxyOptions { record_route: Some(Uri::parse("sip:10.0.0.2:5060").unwrap()), ..ProxyOptions::default() }
}

fn ends(net: &Net, peer: usize) -> Vec<String> {
    let ends = net.peers[peer].events.iter().filter_map(|event| match event {
        Event::Response { response, .. } => Some(alloc::format!("{}", response.status())),
        Event::TransactionFailed { why, .. } => Some(alloc::format!("{why:?}")),
        Event::InviteAccepted { response, .. } => Some(alloc::format!("accepted {}", response.status())),
        Event::InviteFailed { response, why, .. } => Some(alloc::format!(
            "{why:?} {}",
            response.as_ref().map_or("-".into(), |r| r.status().to_string())
        )),
        Event::DialogEnded { why, .. } => Some(alloc::format!("ended {why:?}")),
        _ => None,
    });
    ends.collect()
}

fn labels_to(net: &Net, n: u8) -> Vec<String> {
    net.wire.iter().filter(|packet| packet.to == address(n)).map(Packet::label).collect()
}

fn call(net: &mut Net) -> InviteId {
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap()
}

fn text(net: &Net, n: usize) -> String {
    String::from_utf8(net.wire[n].bytes.to_vec()).unwrap()
}

#[test]
fn a_message_passes_with_via_max_forwards_and_record_route() {
    let mut net = net();
    net.script(1, forking(&[3], staying()));
    net.script(2, polite());
    let extra = message(1, 2).with_header(HeaderName::Subject, HeaderText::new("kept  as   it is").unwrap());
    net.with(0, |ua, now| ua.send_request(now, extra, Destination::Routed)).unwrap();
    net.run(Duration::from_secs(1));
    assert_eq!(net.labels(), ["MESSAGE", "MESSAGE", "200 MESSAGE", "200 MESSAGE"]);
    let (there, on, back) = (text(&net, 0), text(&net, 1), text(&net, 3));
    assert!(there.contains("Max-Forwards: 70\r\n") && on.contains("Max-Forwards: 69\r\n"));
    assert!(
        on.contains("Record-Route: <sip:10.0.0.2:5060;lr>\r\n")
            && on.contains("Subject: kept  as   it is\r\n")
    );
    assert_eq!((there.matches("Via:").count(), on.matches("Via:").count()), (1, 2));
    assert!(on.find("10.0.0.2:5060;branch").unwrap() < on.find("10.0.0.1:5060;branch").unwrap());
    assert_eq!(back.matches("Via:").count(), 1);
    assert_eq!(ends(&net, 0), ["200"]);
    net.run_to_quiet();
}

#[test]
fn every_single_packet_of_a_proxied_message_may_be_lost() {
    for victim in 0..10 {
        let mut net = net();
        net.script(1, forking(&[3], staying()));
        net.script(2, polite());
        net.rule = Box::new(move |n, _| if n == victim { Fate::Lost } else { Fate::Arrives });
        net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
        net.run_to_quiet();
        assert_eq!(ends(&net, 0), ["200"], "{victim}");
        let requests = net.peers[2].events.iter().filter(|e| matches!(e, Event::Request { .. })).count();
        assert_eq!(requests, 1);
    }
}

/// INVITE, ACK and BYE through a proxy that stays in the path, whatever single packet is lost or doubled.
#[test]
fn a_call_runs_through_the_proxy() {
    for fate in [Fate::Lost, Fate::Twice] {
        for victim in 0..30 {
            let mut net = net();
            net.script(0, caller_that_hangs_up());
            net.script(1, forking(&[3], staying()));
            net.script(2, polite());
            net.rule = Box::new(move |n, _| if n == victim { fate } else { Fate::Arrives });
            call(&mut net);
            net.run_to_quiet();
            assert_eq!(ends(&net, 0), ["accepted 200", "200", "ended LocalBye"], "{fate:?} {victim}");
            assert_eq!(ends(&net, 2), ["ended RemoteBye"], "{fate:?} {victim}");
            assert!(!net.labels().contains(&"481 BYE".into()));
            // ACK and BYE went through the proxy, never past it.
            assert!(!net.wire.iter().any(|p| p.from == address(1) && p.to == address(3)));
        }
    }
}

#[test]
fn forked_to_two_one_accepts_and_the_other_refuses() {
    let mut net = net();
    net.script(1, forking(&[3, 4], staying()));
    net.script(2, polite());
    net.script(3, answering(StatusCode::BUSY_HERE));
    call(&mut net);
    net.run(Duration::from_secs(1));
    assert_eq!(ends(&net, 0), ["accepted 200"]);
    assert_eq!(labels_to(&net, 1), ["180 INVITE", "200 INVITE"], "the 486 stays with the proxy");
    assert_eq!(labels_to(&net, 4), ["INVITE", "ACK"]);
}

#[test]
fn the_branch_that_only_rings_is_cancelled() {
    let mut net = net();
    net.script(1, forking(&[3, 4], staying()));
    net.script(2, ringing());
    net.script(3, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            ua.accept(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
    });
    call(&mut net);
    net.run(Duration::from_secs(1));
    assert_eq!(ends(&net, 0), ["accepted 200"]);
    assert_eq!(labels_to(&net, 3), ["INVITE", "CANCEL", "ACK"]);
    assert!(net.peers[2].events.iter().any(|event| matches!(event, Event::Cancelled { .. })));
}

/// Both accept at once: both 2xx go upstream, and the caller ends the second.
#[test]
fn both_accept() {
    let mut net = net();
    net.script(1, forking(&[3, 4], staying()));
    net.script(2, polite());
    net.script(3, polite());
    call(&mut net);
    net.run(Duration::from_secs(40));
    assert_eq!(ends(&net, 0), ["accepted 200"]);
    assert_eq!(labels_to(&net, 1).iter().filter(|label| *label == "200 INVITE").count(), 2);
    let (first, second) = (ends(&net, 2), ends(&net, 3));
    assert_eq!((first, second), (Vec::new(), ["ended RemoteBye".into()].into()));
    assert_eq!(net.peers[0].ua.dialogs.len(), 1);
    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
}

#[test]
fn the_best_of_the_refusals_goes_upstream() {
    for (left, right, best) in [
        (486, 404, 486),
        (500, 404, 404),
        (302, 404, 302),
        (404, 401, 401),
        (486, 603, 603),
        (503, 503, 500),
        (503, 480, 480),
    ] {
        for (left, right) in [(left, right), (right, left)] {
            let mut net = net();
            net.script(1, forking(&[3, 4], staying()));
            net.script(2, answering(StatusCode::new(left).unwrap()));
            net.script(3, answering(StatusCode::new(right).unwrap()));
            call(&mut net);
            net.run_to_quiet();
            let best = if left == 404 && right == 486 { 404 } else { best };
            assert_eq!(ends(&net, 0), [alloc::format!("Rejected {best}")], "{left} {right}");
            assert_eq!(net.labels().iter().filter(|label| *label == "ACK").count(), 3);
        }
    }
}

/// RFC 3261 §16.7 step 5: a 6xx ends the other branches.
#[test]
fn a_6xx_cancels_the_others() {
    let mut net = net();
    net.script(1, forking(&[3, 4], staying()));
    net.script(2, ringing());
    net.script(3, answering(StatusCode::DECLINE));
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(ends(&net, 0), ["Rejected 603"]);
    assert_eq!(labels_to(&net, 3), ["INVITE", "CANCEL", "ACK"]);
}

#[test]
fn cancel_goes_to_all_branches() {
    for (fate, victim) in
        [(Fate::Arrives, 0)].into_iter().chain((0..14).flat_map(|n| [(Fate::Lost, n), (Fate::Twice, n)]))
    {
        let mut net = net();
        net.script(1, forking(&[3, 4], staying()));
        net.script(2, ringing());
        net.script(3, ringing());
        net.rule = Box::new(move |n, _| if n == victim { fate } else { Fate::Arrives });
        let id = call(&mut net);
        net.run(Duration::from_millis(100));
        net.with(0, |ua, now| ua.cancel(now, id)).unwrap();
        net.run_to_quiet();
        assert_eq!(ends(&net, 0), ["Cancelled 487"], "{fate:?} {victim}");
        let told =
            |peer: usize| net.peers[peer].events.iter().any(|event| matches!(event, Event::Cancelled { .. }));
        assert!(told(2) && told(3) && !told(1), "{fate:?} {victim}");
    }
}

/// RFC 4320: a branch that is silent gives no 408 to a MESSAGE; RFC 3261 §16.8: it gives one to an INVITE.
#[test]
fn silent_branches() {
    let mut net = net();
    net.script(1, forking(&[9], staying()));
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run_to_quiet();
    assert_eq!(ends(&net, 0), ["Timeout"]);
    assert_eq!(labels_to(&net, 1), ["100 MESSAGE"; 8], "the 100 that Timer E asks for, and its copies");

    let mut net = self::net();
    net.script(1, forking(&[9], staying()));
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(ends(&net, 0), ["Rejected 408"]);
    assert!(net.faults(1).is_empty());
}

/// Timer C (RFC 3261 §16.8): a branch that rings for ever is cancelled.
#[test]
fn timer_c_ends_a_branch_that_only_rings() {
    let mut net = net();
    net.script(1, forking(&[3], staying()));
    net.script(2, ringing());
    // Both ends are more patient than the proxy.
    net.peers[0].ua.config.timers.timer_c = Duration::from_secs(1000);
    net.peers[2].ua.config.timers.timer_c = Duration::from_secs(1000);
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(ends(&net, 0), ["Rejected 487"]);
    let cancelled = net.wire.iter().find(|packet| packet.label() == "CANCEL").unwrap();
    assert_eq!((cancelled.from, cancelled.to), (address(2), address(3)));
    assert_eq!(cancelled.at.since(net.wire[0].at).as_secs(), 181);
}

#[test]
fn held_responses_are_edited_and_released_by_the_function() {
    for method in [Method::Message, Method::Invite] {
        let mut net = net();
        let mut fork = forking(&[3], ProxyOptions { hold_final: true, ..staying() });
        net.script(1, move |ua, now, event| {
            if let Event::ProxyFinal { proxy, response, .. } = event {
                let mut edited = response.clone();
                edited.headers_mut().push(HeaderName::Subject, HeaderText::new("seen").unwrap());
                let mut worse = edited.clone();
                worse.set_status(StatusCode::RINGING);
                assert_eq!(ua.release(now, *proxy, worse).unwrap_err().why, Refusal::Status);
                ua.release(now, *proxy, edited.clone()).unwrap();
                let again = ua.release(now, *proxy, edited).unwrap_err().why;
                assert!(matches!(again, Refusal::NothingHeld | Refusal::Gone), "{again:?}");
            } else {
                fork(ua, now, event);
            }
        });
        net.script(2, polite());
        // The first final response from the proxy is lost: its copy is edited too.
        let mut lost = false;
        net.rule = Box::new(move |_, packet| {
            let first = !lost && packet.to == address(1) && packet.label().starts_with("200");
            lost |= first;
            if first { Fate::Lost } else { Fate::Arrives }
        });
        if method == Method::Invite {
            net.script(0, caller_that_hangs_up());
            call(&mut net);
        } else {
            net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
        }
        net.run(Duration::from_secs(20));
        let answers: Vec<_> = net
            .wire
            .iter()
            .filter(|p| p.to == address(1) && p.label() == alloc::format!("200 {method}"))
            .collect();
        assert!(answers.len() >= 2);
        assert!(answers.iter().all(|p| String::from_utf8_lossy(&p.bytes).contains("Subject: seen\r\n")));
        let held = net.peers[1].events.iter().filter(|e| matches!(e, Event::ProxyFinal { .. })).count();
        assert_eq!(held, 1);
        net.run_to_quiet();
    }
}

/// The branches answer later, or never: what was said once stands.
#[test]
fn a_proxied_message_may_be_answered_before_its_branches_do() {
    for (branches, hold) in [(&[3u8, 9][..], true), (&[3], true), (&[9], false)] {
        let mut net = net();
        net.script(1, move |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                let ways = branches.iter().map(|n| to_branch(request, *n)).collect();
                let options = ProxyOptions { hold_final: hold, ..ProxyOptions::default() };
                let proxy = ua.proxy(now, *id, ways, options).unwrap();
                let say = |status| Response::for_request(request, status);
                for wrong in [StatusCode::TRYING, StatusCode::REQUEST_TIMEOUT] {
                    let refused = ua.answer_proxied(now, proxy, say(wrong)).unwrap_err();
                    assert_eq!((refused.why, refused.given.status()), (Refusal::Status, wrong));
                }
                ua.answer_proxied(now, proxy, say(StatusCode::ACCEPTED)).unwrap();
                let again = ua.answer_proxied(now, proxy, say(StatusCode::OK)).unwrap_err().why;
                assert_eq!(again, Refusal::Gone);
            }
        });
        net.script(2, polite());
        net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
        net.run_to_quiet();
        assert_eq!(ends(&net, 0), ["202"]);
        assert_eq!(labels_to(&net, 1), ["202 MESSAGE"]);
        let held = net.peers[1].events.iter().filter(|e| matches!(e, Event::ProxyFinal { .. })).count();
        assert_eq!(held, 0);
        assert!(net.faults(1).is_empty());
        // What they say then is told to whom it was held for: each branch once.
        let late: Vec<Option<u16>> = late(&net);
        let expected: &[Option<u16>] = match (branches, hold) {
            ([3, 9], true) => &[Some(200), None],
            (_, true) => &[Some(200)],
            (_, false) => &[],
        };
        assert_eq!(late, expected, "{branches:?}");
    }
}

/// What the branches of a proxied request said when it was answered.
fn late(net: &Net) -> Vec<Option<u16>> {
    let statuses = net.peers[1].events.iter().filter_map(|event| match event {
        Event::ProxyLate { response, .. } => Some(response.as_ref().map(|r| r.status().as_u16())),
        _ => None,
    });
    statuses.collect()
}

/// The first 2xx is the answer; a branch that answers while it is held, or after it was let go, is told of too.
#[test]
fn who_took_a_message_after_the_first_is_told() {
    for release_at_once in [true, false] {
        let mut net = net();
        net.script(1, move |ua, now, event| match event {
            Event::Request { id, request, .. } => {
                let ways = [3u8, 4].map(|n| to_branch(request, n)).into();
                let options = ProxyOptions { hold_final: true, ..ProxyOptions::default() };
                let proxy = ua.proxy(now, *id, ways, options).unwrap();
                assert!(ua.has_open_branches(proxy));
            }
            Event::ProxyFinal { proxy, response, .. } if release_at_once => {
                assert!(ua.has_open_branches(*proxy));
                ua.release(now, *proxy, response.clone()).unwrap();
            }
            Event::ProxyLate { proxy, .. } => assert!(!ua.has_open_branches(*proxy)),
            _ => {}
        });
        net.script(2, polite());
        net.script(3, polite());
        net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
        net.run(Duration::from_secs(20));
        assert_eq!(late(&net), [Some(200)], "{release_at_once}");
    }
}

#[test]
fn an_invite_is_not_answered_before_its_branches() {
    let mut net = net();
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event
            && *request.method() == Method::Invite
        {
            let proxy = ua.proxy(now, *id, [to_branch(request, 3)].into(), staying()).unwrap();
            let busy = Response::for_request(request, StatusCode::BUSY_HERE);
            assert_eq!(ua.answer_proxied(now, proxy, busy).unwrap_err().why, Refusal::Proxied);
        }
    });
    net.script(2, answering(StatusCode::DECLINE));
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(ends(&net, 0), ["Rejected 603"]);
}

/// C7: a held response that is never released: the caller is not left waiting, and nothing stays.
#[test]
fn a_held_response_that_is_never_released_is_given_up() {
    let mut net = net();
    net.script(1, forking(&[3], ProxyOptions { hold_final: true, ..staying() }));
    net.script(2, answering(StatusCode::BUSY_HERE));
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(ends(&net, 0).len(), 1);
    assert!(matches!(net.faults(1)[0], Fault::Unanswered { .. }));
}

/// RFC 3261 §16.3: no hops left; a request that comes round again; RFC 3261 §16.4: a strict router before us.
#[test]
fn loops_and_hops() {
    let mut net = net();
    // The proxy sends everything to itself.
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let branch =
                Branch { request: request.clone(), destination: Destination::To(Transport::Udp, address(2)) };
            if let Err(refused) = ua.proxy(now, *id, [branch.clone()].into(), ProxyOptions::default()) {
                assert_eq!((&refused.why, &refused.given[..]), (&Refusal::Loop, &[branch][..]));
                ua.respond(now, *id, Response::for_request(request, StatusCode::LOOP_DETECTED)).unwrap();
            }
        }
    });
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run_to_quiet();
    assert_eq!(net.labels(), ["MESSAGE", "MESSAGE", "482 MESSAGE", "482 MESSAGE"]);

    let mut net = self::net();
    net.script(1, forking(&[3], staying()));
    for hops in [1, 0] {
        let mut last = message(1, 2);
        last.headers_mut().set_typed(&cpm_sip::MaxForwards(hops));
        net.with(0, |ua, now| ua.send_request(now, last, Destination::Routed)).unwrap();
    }
    net.script(2, polite());
    net.run_to_quiet();
    assert_eq!(ends(&net, 0), ["483", "200"]);
}

#[test]
fn own_routes_are_taken_off() {
    for (target, route, on_target, on_route) in [
        ("sip:u@10.0.0.3", "<sip:10.0.0.2;lr>", "sip:u@10.0.0.3", None),
        (
            "sip:u@10.0.0.9",
            "<sip:10.0.0.2:5060;lr>, <sip:10.0.0.3;lr>",
            "sip:u@10.0.0.9",
            Some("<sip:10.0.0.3;lr>"),
        ),
        (
            "sip:u@10.0.0.9",
            "<sip:pf.example;lr>, <sip:10.0.0.3;lr>",
            "sip:u@10.0.0.9",
            Some("<sip:10.0.0.3;lr>"),
        ),
        ("sip:u@10.0.0.9", "<sip:10.0.0.3;lr>", "sip:u@10.0.0.9", Some("<sip:10.0.0.3;lr>")),
        // A strict router put us into the Request-URI.
        ("sip:10.0.0.2;lr", "<sip:u@10.0.0.3>", "sip:u@10.0.0.3", None),
    ] {
        let mut proxy = proxy_config(2);
        proxy.own_names.push((cpm_sip::Host::parse("PF.example").unwrap(), None));
        let mut net = Net::new([config(1), proxy, config(3)]);
        net.script(1, |ua, now, event| {
            if let Event::Request { id, .. } = event {
                ua.route_onward(now, *id).unwrap();
            }
        });
        net.script(2, polite());
        let mut request = message(1, 2);
        request.set_uri(uri(target));
        request.headers_mut().push(HeaderName::Route, HeaderText::new(route).unwrap());
        net.with(0, |ua, now| ua.send_request(now, request, Destination::To(Transport::Udp, address(2))))
            .unwrap();
        net.run_to_quiet();
        assert_eq!(ends(&net, 0), ["200"], "{target} {route}");
        let on = text(&net, 1);
        assert!(on.starts_with(&alloc::format!("MESSAGE {on_target} SIP/2.0\r\n")), "{on}");
        let line = on.lines().find_map(|line| line.strip_prefix("Route: "));
        assert_eq!(line, on_route, "{on}");
    }
}

#[test]
fn what_cannot_be_proxied_comes_back() {
    let mut net = net();
    net.script(1, |ua, now, event| {
        let Event::Request { id, request, .. } = event else { return };
        let mut refused = |branches: Vec<Branch>| {
            let refused = ua.proxy(now, *id, branches.clone(), ProxyOptions::default()).unwrap_err();
            assert_eq!(*refused.given, branches);
            refused.why
        };
        assert_eq!(refused(Vec::new()), Refusal::NoBranch);
        let many = (0..13).map(|_| to_branch(request, 3)).collect();
        assert!(matches!(refused(many), Refusal::Limit(limit) if (limit.value, limit.max) == (13, 12)));
        let mut nowhere = to_branch(request, 3);
        nowhere.request.set_uri(uri("tel:+49123"));
        assert_eq!(refused([to_branch(request, 3), nowhere].into()), Refusal::NoRoute);
        ua.proxy(now, *id, [to_branch(request, 3)].into(), ProxyOptions::default()).unwrap();
        let twice = ua.proxy(now, *id, [to_branch(request, 3)].into(), ProxyOptions::default());
        assert_eq!(twice.unwrap_err().why, Refusal::Proxied);
        let ok = Response::for_request(request, StatusCode::OK);
        assert_eq!(ua.respond(now, *id, ok).unwrap_err().why, Refusal::Proxied);
    });
    net.script(2, polite());
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run_to_quiet();
    assert_eq!(ends(&net, 0), ["200"]);
    assert_eq!(labels_to(&net, 3), ["MESSAGE"]);
}

/// A branch over a stream that cannot be opened counts as 503, which goes upstream as 500.
#[test]
fn an_unreachable_branch_is_a_503() {
    let mut net = net();
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let mut branch = to_branch(request, 3);
            branch.destination = Destination::To(Transport::Tcp, address(9));
            ua.proxy(now, *id, [branch].into(), ProxyOptions::default()).unwrap();
        }
    });
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(ends(&net, 0), ["500", "Rejected 500"]);
}

/// C10, RFC 3261 §16: an ACK is passed on when it came through us as a hop of its dialog, and in no other case.
#[test]
fn a_proxy_relays_only_the_acks_of_its_own_path() {
    for (route, role, relayed) in [
        ("Route: <sip:10.0.0.2;lr>\r\n", Role::Proxy, true),
        ("Route: <sip:10.0.0.2;lr>\r\n", Role::UserAgent, false),
        ("Route: <sip:10.0.0.9;lr>\r\n", Role::Proxy, false),
        ("Route: <sip:10.0.0.2;lr>, <tel:+4912>\r\n", Role::Proxy, false),
        ("", Role::Proxy, false),
    ] {
        let mut net = Net::new([config(1), Config { role, ..config(2) }, config(3)]);
        for hops in [70, 0] {
            let ack = alloc::format!(
                "ACK sip:u@10.0.0.3 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKack\r\n{route}\
                 From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\nMax-Forwards: {hops}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            net.inject(1, address(1), ack);
        }
        net.run_to_quiet();
        let expected: Vec<String> = if relayed { ["ACK".into()].into() } else { Vec::new() };
        assert_eq!(net.labels(), expected, "{route}");
        if relayed {
            let on = text(&net, 0);
            assert!(
                on.contains("Max-Forwards: 69\r\n")
                    && !on.contains("Route:")
                    && on.matches("Via:").count() == 2,
                "{on}"
            );
        }
        let strays = net.faults(1).iter().filter(|fault| matches!(fault, Fault::StrayAck { .. })).count();
        assert_eq!(strays, if relayed { 1 } else { 2 });
    }
}

/// The configured hop is for what begins a dialog; inside of one, Route and target say it all.
#[test]
fn requests_inside_a_dialog_do_not_go_to_the_outbound_hop() {
    for (tag, to) in [("", address(4)), (";tag=2", address(3))] {
        let mut proxy = proxy_config(2);
        proxy.outbound = Some(NextHop::Address(Transport::Udp, address(4)));
        let mut net = Net::new([config(1), proxy, config(3), config(4)]);
        net.script(1, |ua, now, event| {
            if let Event::Request { id, .. } = event {
                ua.route_onward(now, *id).unwrap();
            }
        });
        let mut request = message(1, 2);
        request.set_uri(uri("sip:u@10.0.0.3"));
        let to_field = HeaderText::new(&alloc::format!("<sip:b@x>{tag}")).unwrap();
        request.headers_mut().replace(HeaderName::To, to_field);
        net.with(0, |ua, now| ua.send_request(now, request, Destination::To(Transport::Udp, address(2))))
            .unwrap();
        net.run(Duration::from_millis(100));
        assert_eq!(net.wire[1].to, to);
    }
}

/// The deadline of a request that was passed on at once and the timeout of its branch fall together: nobody is blamed.
#[test]
fn nobody_is_blamed_for_a_silent_branch() {
    let mut net = net();
    net.script(1, forking(&[9], ProxyOptions { hold_final: true, ..staying() }));
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run_to_quiet();
    assert_eq!((ends(&net, 0), net.faults(1)), (["Timeout".into()].into(), [].into()));
}
