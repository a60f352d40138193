//! Forking beyond the simple case: groups in turn, reasons, challenges, breadth, loops and spirals, two transports.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{Now, Transport};
use cpm_sip::{
    HeaderName, HeaderText, Headers, MaxBreadth, MaxForwards, Method, Request, Response, Route, StatusCode,
};

const SECOND: Duration = Duration::from_secs(1);

/// Caller 0, proxy 1 (10.0.0.2), called sides 2 to 4 (10.0.0.3 to 10.0.0.5).
fn net() -> Net {
    let mut net = Net::new([config(1), proxy_config(2), config(3), config(4), config(5)]);
    net.script(0, polite());
    net
}

fn to_branch(request: &Request, n: u8) -> Branch {
    let mut request = request.clone();
    request.set_uri(uri(&alloc::format!("sip:user@{}", address(n))));
    Branch { request, destination: Destination::Routed }
}

fn in_turn(
    groups: &'static [&'static [u8]],
    options: ProxyOptions,
) -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| match event {
        Event::Request { id, request, .. } if request.headers().contains(&HeaderName::Route) => {
            ua.route_onward(now, *id).unwrap();
        }
        Event::Request { id, request, .. } => {
            let of = |group: &&[u8]| group.iter().map(|n| to_branch(request, *n)).collect();
            ua.proxy_in_turn(now, *id, groups.iter().map(of).collect(), options.clone()).unwrap();
        }
        Event::ProxyFinal { proxy, response, .. } => drop(ua.release(now, *proxy, response.clone())),
        _ => {}
    }
}

fn call(net: &mut Net) -> InviteId {
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap()
}

fn outcome(net: &Net) -> Vec<String> {
    let ends = net.peers[0].events.iter().filter_map(|event| match event {
        Event::Response { response, .. } => Some(response.status().to_string()),
        Event::InviteAccepted { response, .. } => Some(response.status().to_string()),
        Event::InviteFailed { response, .. } => {
            Some(response.as_ref().map_or("-".into(), |r| r.status().to_string()))
        }
        Event::TransactionFailed { .. } => Some("-".into()),
        _ => None,
    });
    ends.collect()
}

/// What the proxy said of how its requests ended.
fn ended(net: &Net) -> Vec<Option<u16>> {
    let ends = net.peers[1].events.iter().filter_map(|event| match event {
        Event::ProxyEnded { answer, .. } => Some(answer.map(StatusCode::as_u16)),
        _ => None,
    });
    ends.collect()
}

fn text(packet: &Packet) -> String {
    String::from_utf8_lossy(&packet.bytes).into_owned()
}

/// The peers that an INVITE went to from the proxy, in order.
fn invited(net: &Net) -> Vec<u8> {
    let to = |packet: &Packet| (3..6).find(|n| packet.to == address(*n));
    let mut invited: Vec<u8> =
        net.wire.iter().filter(|p| p.label() == "INVITE" && p.from == address(2)).filter_map(to).collect();
    invited.dedup();
    invited
}

/// The Reason of the CANCEL that went to a peer.
fn reason_to(net: &Net, n: u8) -> Option<String> {
    let cancel = net.wire.iter().find(|p| p.to == address(n) && p.label() == "CANCEL").map(text)?;
    cancel.lines().find_map(|line| line.strip_prefix("Reason: ")).map(String::from)
}

/// RFC 3326 §3.1: who loses hears why; a 6xx, and why the caller cancelled, is passed on as well.
#[test]
fn losers_hear_the_reason() {
    let groups: &[&[u8]] = &[&[3, 4]];
    let accepting = |ua: &mut Endpoint, now: Now, event: &Event| {
        if let Event::Request { id, request, .. } = event {
            ua.accept(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
    };
    let mut net = self::net();
    net.script(1, in_turn(groups, ProxyOptions::default()));
    net.script(2, ringing());
    net.script(3, accepting);
    call(&mut net);
    net.run(SECOND);
    assert_eq!(reason_to(&net, 3).unwrap(), "SIP;cause=200;text=\"Call completed elsewhere\"");
    assert_eq!((outcome(&net), ended(&net)), (["200".into()].into(), [Some(200)].into()));

    // Unless the caller wants them to go on ringing.
    let mut net = self::net();
    net.script(1, in_turn(groups, ProxyOptions { keep_losers: true, ..ProxyOptions::default() }));
    net.script(2, ringing());
    net.script(3, accepting);
    call(&mut net);
    net.run(SECOND);
    assert!(!net.labels().contains(&"CANCEL".into()));

    let mut net = self::net();
    net.script(1, in_turn(groups, ProxyOptions::default()));
    net.script(2, ringing());
    net.script(3, answering(StatusCode::DECLINE));
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(reason_to(&net, 3).unwrap(), "SIP;cause=603;text=\"Decline\"");
    assert_eq!((outcome(&net), ended(&net)), (["603".into()].into(), [Some(603)].into()));

    let mut net = self::net();
    net.script(1, in_turn(groups, ProxyOptions::default()));
    net.script(2, ringing());
    net.script(3, ringing());
    let id = call(&mut net);
    net.run(SECOND);
    let mut why = Headers::new();
    why.push(HeaderName::Reason, HeaderText::new("SIP;cause=600;text=\"not now\"").unwrap());
    net.with(0, |ua, now| ua.cancel_with(now, id, &why)).unwrap();
    net.run_to_quiet();
    for n in [3, 4] {
        assert_eq!(reason_to(&net, n).unwrap(), "SIP;cause=600;text=\"not now\"");
    }
    assert_eq!((outcome(&net), ended(&net)), (["487".into()].into(), [Some(487)].into()));
}

#[test]
fn groups_have_their_turn_one_after_the_other() {
    let refusing = || answering(StatusCode::BUSY_HERE);
    // All refuse: the best of all groups is the answer.
    let mut net = self::net();
    net.script(1, in_turn(&[&[3, 4], &[], &[5]], ProxyOptions::default()));
    net.script(2, refusing());
    net.script(3, refusing());
    net.script(4, answering(StatusCode::ADDRESS_INCOMPLETE));
    call(&mut net);
    net.run_to_quiet();
    assert_eq!(invited(&net), [3, 4, 5]);
    assert_eq!((outcome(&net), ended(&net)), (["484".into()].into(), [Some(484)].into()));

    // A 2xx, a 6xx end it.
    for (script, status) in [(answering(StatusCode::OK), 200), (answering(StatusCode::BUSY_EVERYWHERE), 600)]
    {
        let mut net = self::net();
        net.script(1, in_turn(&[&[3], &[4], &[5]], ProxyOptions::default()));
        net.script(2, refusing());
        net.script(3, script);
        call(&mut net);
        net.run(SECOND);
        assert_eq!((invited(&net), ended(&net)), ([3, 4].into(), [Some(status)].into()));
    }

    // One that only rings is cancelled after its time, without a reason, and the next has its turn.
    let options =
        ProxyOptions { ring_for: Some(Duration::from_secs(20)), hold_final: true, ..ProxyOptions::default() };
    let mut net = self::net();
    net.script(1, in_turn(&[&[3], &[4]], options.clone()));
    net.script(2, ringing());
    net.script(3, polite());
    net.script(0, caller_that_hangs_up());
    call(&mut net);
    net.run_to_quiet();
    let of =
        |label: &str, to: u8| net.wire.iter().find(|p| p.label() == label && p.to == address(to)).unwrap();
    assert_eq!(of("CANCEL", 3).at.since(of("INVITE", 3).at).as_secs(), 20);
    assert!(of("INVITE", 4).at > of("CANCEL", 3).at && reason_to(&net, 3).is_none());
    assert_eq!(ended(&net), [Some(200)]);

    // The caller gives up: nobody else is tried.
    let mut net = self::net();
    net.script(1, in_turn(&[&[3], &[4]], options));
    net.script(2, ringing());
    let id = call(&mut net);
    net.run(SECOND);
    net.with(0, |ua, now| ua.cancel(now, id)).unwrap();
    net.run_to_quiet();
    assert_eq!(
        (invited(&net), outcome(&net), ended(&net)),
        ([3].into(), ["487".into()].into(), [Some(487)].into())
    );
}

/// A silent group takes as long as its transaction is tried; the INVITE itself waits on for the next.
#[test]
fn late_groups_get_all_the_time_there_is() {
    let mut net = self::net();
    net.script(1, in_turn(&[&[3], &[4], &[5]], ProxyOptions::default()));
    for (peer, timer_c) in [(0, 2000), (2, 1000), (3, 1000)] {
        net.peers[peer].ua.config.timers.timer_c = Duration::from_secs(timer_c);
    }
    net.script(2, ringing());
    net.script(3, ringing());
    net.script(4, polite());
    call(&mut net);
    net.run(Duration::from_secs(400));
    assert_eq!((invited(&net), ended(&net)), ([3, 4, 5].into(), [Some(200)].into()));
}

/// RFC 3261 §16.7 step 7: the challenges of all branches go upstream, each once.
#[test]
fn challenges_are_collected() {
    let mut net = self::net();
    net.script(1, in_turn(&[&[3, 4, 5]], ProxyOptions::default()));
    for (peer, status, name) in [
        (2, StatusCode::UNAUTHORIZED, HeaderName::WwwAuthenticate),
        (3, StatusCode::PROXY_AUTHENTICATION_REQUIRED, HeaderName::ProxyAuthenticate),
        (4, StatusCode::BUSY_HERE, HeaderName::WwwAuthenticate),
    ] {
        net.script(peer, move |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                let mut response = Response::for_request(request, status);
                let value = alloc::format!("Digest realm=\"{peer}\", nonce=\"n\"");
                response.headers_mut().push(name.clone(), HeaderText::new(&value).unwrap());
                ua.respond(now, *id, response).unwrap();
            }
        });
    }
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
    net.run_to_quiet();
    let answer = text(net.wire.iter().find(|p| p.to == address(1)).unwrap());
    assert!(answer.starts_with("SIP/2.0 401 "), "{answer}");
    assert!(answer.contains("WWW-Authenticate: Digest realm=\"2\""), "{answer}");
    assert!(answer.contains("Proxy-Authenticate: Digest realm=\"3\""), "{answer}");
    assert_eq!(answer.matches("Digest realm").count(), 2, "not that of the 486");
}

/// Each proxied request ends exactly once, whatever becomes of it.
#[test]
fn every_end_is_told_once() {
    // Silence: a MESSAGE that nobody answers, one whose held answer is never let go, an INVITE likewise.
    let silent = |hold_final: bool, method: Method| {
        let mut net = self::net();
        net.script(1, move |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                let options = ProxyOptions { hold_final, ..ProxyOptions::default() };
                ua.proxy(now, *id, [to_branch(request, if hold_final { 3 } else { 9 })].into(), options)
                    .unwrap();
            }
        });
        net.script(2, answering(StatusCode::BUSY_HERE));
        if method == Method::Invite {
            call(&mut net);
        } else {
            net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
        }
        net.run_to_quiet();
        (ended(&net), outcome(&net))
    };
    assert_eq!(silent(false, Method::Message), ([None].into(), ["-".into()].into()));
    assert_eq!(silent(true, Method::Message), ([None].into(), ["-".into()].into()));
    assert_eq!(silent(false, Method::Invite), ([Some(408)].into(), ["408".into()].into()));
    // Timer C of the caller and of the proxy run out at about the same time: the caller may give up before the 500.
    assert_eq!(silent(true, Method::Invite).0, [Some(500)]);
}

/// RFC 5393 §5.3.3: what is not there is added, what is too much is cut, branches share what is there.
#[test]
fn max_breadth_is_shared_by_the_branches() {
    type Row = (Option<u32>, Vec<Vec<u8>>, Vec<u32>);
    let table: [Row; 8] = [
        (None, vec![vec![3, 4, 5]], vec![20, 20, 20]),
        (Some(7), vec![vec![3, 4, 5]], vec![3, 2, 2]),
        (Some(3), vec![vec![3, 4, 5]], vec![1, 1, 1]),
        (Some(90), vec![vec![3]], vec![60]),
        (Some(1), vec![vec![3]], vec![1]),
        (Some(2), vec![vec![3, 4], vec![5]], vec![1, 1, 2]),
        (Some(2), vec![vec![3, 4, 5]], vec![]),
        (Some(0), vec![vec![3]], vec![]),
    ];
    for (given, groups, shares) in table {
        let mut net = self::net();
        net.script(1, move |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                let of = |group: &Vec<u8>| group.iter().map(|n| to_branch(request, *n)).collect();
                let groups: Vec<Vec<Branch>> = groups.iter().map(of).collect();
                if let Err(refused) = ua.proxy_in_turn(now, *id, groups.clone(), ProxyOptions::default()) {
                    assert_eq!((&refused.why, *refused.given), (&Refusal::MaxBreadth, groups));
                    let status = StatusCode::MAX_BREADTH_EXCEEDED;
                    ua.respond(now, *id, Response::for_request(request, status)).unwrap();
                }
            }
        });
        for peer in 2..5 {
            net.script(peer, answering(StatusCode::BUSY_HERE));
        }
        let mut request = message(1, 2);
        if let Some(given) = given {
            request.headers_mut().push_typed(&MaxBreadth(given));
        }
        net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
        net.run_to_quiet();
        let sent = net.wire.iter().filter(|p| p.from == address(2) && p.label() == "MESSAGE").map(text);
        let found: Vec<u32> = sent
            .filter_map(|t| t.lines().find_map(|l| l.strip_prefix("Max-Breadth: ")?.parse().ok()))
            .collect();
        assert_eq!(found, shares, "{given:?}");
        assert_eq!(outcome(&net), [if shares.is_empty() { "440" } else { "486" }]);
    }
}

/// RFC 5393 §4.2: a request that comes round changed is a spiral and passes; one that comes round as it was is a loop.
#[test]
fn a_spiral_is_no_loop() {
    for (change, outcome_is) in [(true, "200"), (false, "482")] {
        let mut net = self::net();
        net.script(1, move |ua, now, event| {
            let Event::Request { id, request, .. } = event else { return };
            let vias = request.typed_list::<cpm_sip::Via>().unwrap().len();
            let branch = if vias > 2 {
                to_branch(request, 3)
            } else {
                let mut onward = request.clone();
                if change {
                    onward.set_uri(uri(&alloc::format!("sip:step{vias}@{}", address(2))));
                }
                Branch { request: onward, destination: Destination::To(Transport::Udp, address(2)) }
            };
            if let Err(refused) = ua.proxy(now, *id, [branch].into(), ProxyOptions::default()) {
                assert_eq!(refused.why, Refusal::Loop);
                ua.respond(now, *id, Response::for_request(request, StatusCode::LOOP_DETECTED)).unwrap();
            }
        });
        net.script(2, polite());
        net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
        net.run_to_quiet();
        assert_eq!(outcome(&net), [outcome_is]);
        let requests = net.wire.iter().filter(|p| p.label() == "MESSAGE").count();
        assert_eq!(requests, if change { 4 } else { 2 });
    }
}

/// Two proxies, each of which forks every request to two addresses at the other (RFC 5393 §3); the Request-URI is never
/// the same twice, so that no loop is seen. Says how many messages crossed the network, and the hops of the longest way.
fn two_proxies(max_breadth: usize) -> (usize, usize) {
    let mut configs = [config(1), proxy_config(2), proxy_config(3)];
    for config in &mut configs {
        config.limits.max_breadth = max_breadth;
        // All by datagram, so that each message is a packet.
        config.max_udp_request = 65_507;
    }
    let mut net = Net::new(configs);
    for (peer, other) in [(1, 3), (2, 2)] {
        let mut count = 0;
        net.script(peer, move |ua, now, event| {
            let Event::Request { id, request, .. } = event else { return };
            count += 1;
            let to = |user: &str| {
                let mut request = request.clone();
                request.set_uri(uri(&alloc::format!("sip:{user}{count}@{}", address(other))));
                Branch { request, destination: Destination::Routed }
            };
            let Err(refused) = ua.proxy(now, *id, [to("a"), to("b")].into(), ProxyOptions::default()) else {
                return;
            };
            let status = match refused.why {
                Refusal::MaxBreadth => StatusCode::MAX_BREADTH_EXCEEDED,
                Refusal::TooManyHops => StatusCode::TOO_MANY_HOPS,
                why => panic!("{why}"),
            };
            ua.respond(now, *id, Response::for_request(request, status)).unwrap();
        });
    }
    let mut request = message(1, 2);
    request.headers_mut().push_typed(&MaxForwards(10));
    net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
    net.run_to_quiet();
    let hops = |p: &Packet| text(p).matches("\r\nVia: ").count();
    (net.wire.len(), net.wire.iter().map(hops).max().unwrap())
}

/// Threat C4: what two proxies that fork to one another can make of one request stays below 2 * Max-Breadth * hops;
/// without Max-Breadth it doubles with every hop.
#[test]
fn amplification_is_bounded_by_max_breadth() {
    let (messages, hops) = two_proxies(60);
    assert!(messages <= 2 * 60 * hops && hops <= 8, "{messages} messages, {hops} hops");
    let (unbounded, hops) = two_proxies(1 << 20);
    assert!(unbounded > 2 * 60 * hops && hops == 11, "{unbounded} messages, {hops} hops");
}

/// Threat C4: with the Request-URIs of the RFC (two users at each proxy), loops are seen as well.
#[test]
fn loops_among_two_proxies_are_seen() {
    let mut net = Net::new([config(1), proxy_config(2), proxy_config(3)]);
    for (peer, other) in [(1, 3), (2, 2)] {
        net.script(peer, move |ua, now, event| {
            let Event::Request { id, request, .. } = event else { return };
            let to = |user: &str| {
                let mut request = request.clone();
                request.set_uri(uri(&alloc::format!("sip:{user}@{}", address(other))));
                Branch { request, destination: Destination::Routed }
            };
            if let Err(refused) = ua.proxy(now, *id, [to("a"), to("b")].into(), ProxyOptions::default()) {
                assert_eq!(refused.why, Refusal::Loop);
                ua.respond(now, *id, Response::for_request(request, StatusCode::LOOP_DETECTED)).unwrap();
            }
        });
    }
    let mut request = message(1, 2);
    request.set_uri(uri(&alloc::format!("sip:a@{}", address(2))));
    net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
    net.run_to_quiet();
    assert_eq!(outcome(&net), ["482"]);
    let requests = net.wire.iter().filter(|p| p.label() == "MESSAGE").count();
    // One way through each of four Request-URIs, each at most once: 1 + 2 + 2 + 2 + 2*... and no more.
    assert!(requests <= 20, "{requests}");
}

/// RFC 5658 §3: over UDP in, over TCP out, one Record-Route for each side; requests of both sides pass through both.
#[test]
fn two_transports_make_two_record_routes() {
    for lost in 0..20 {
        let mut net = self::net();
        net.script(0, |_, _, _| {});
        let stay = uri("sip:10.0.0.2:5060");
        net.script(1, move |ua, now, event| {
            let Event::Request { id, request, .. } = event else { return };
            if request.headers().contains(&HeaderName::Route) {
                ua.route_onward(now, *id).unwrap();
            } else {
                let mut branch = to_branch(request, 3);
                branch.destination = Destination::To(Transport::Tcp, address(3));
                let record_route = Some(stay.clone());
                let options = ProxyOptions { record_route, ..ProxyOptions::default() };
                ua.proxy(now, *id, [branch].into(), options).unwrap();
            }
        });
        // The called side's Contact says TCP.
        net.script(2, |ua, now, event| {
            if let Event::Request { id, request, .. } = event {
                let response = Response::for_request(request, StatusCode::OK);
                if *request.method() == Method::Invite {
                    let contact = HeaderText::new("<sip:10.0.0.3:5060;transport=tcp>").unwrap();
                    ua.accept(now, *id, response.with_header(HeaderName::Contact, contact)).unwrap();
                } else {
                    ua.respond(now, *id, response).unwrap();
                }
            }
        });
        net.script(0, polite());
        net.rule = alloc::boxed::Box::new(move |n, _| if n == lost { Fate::Lost } else { Fate::Arrives });
        call(&mut net);
        net.run(Duration::from_secs(4));
        let invite = text(net.wire.iter().find(|p| p.to == address(3) && p.label() == "INVITE").unwrap());
        let recorded: Vec<&str> = invite.lines().filter_map(|l| l.strip_prefix("Record-Route: ")).collect();
        let path = "<sip:10.0.0.2:5060;lr;transport=tcp;r2=on>, <sip:10.0.0.2:5060;lr;transport=udp;r2=on>";
        assert_eq!(recorded.join(", "), path, "{invite}");
        for (peer, other) in [(0usize, 3u8), (2, 1)] {
            let dialog = *net.peers[peer].ua.dialogs.keys().next().unwrap();
            let before = net.wire.len();
            net.with(peer, |ua, now| ua.send_in_dialog(now, dialog, Method::Message, Headers::new(), None))
                .unwrap();
            net.run(Duration::from_secs(4));
            let to: Vec<_> = net.wire[before..].iter().filter(|p| p.label() == "MESSAGE").collect();
            assert!(to.iter().all(|p| p.to == address(2) || p.to == address(other)), "never past the proxy");
            let last = text(to.iter().find(|p| p.to == address(other)).unwrap());
            assert!(!last.contains("\r\nRoute: "), "both Routes are taken off: {last}");
        }
        let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
        net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
        net.run_to_quiet();
    }
}

/// Two visits that are wanted stay two: only a pair that was written as one is taken off as one.
#[test]
fn two_own_routes_that_are_no_pair_are_two() {
    for (params, taken) in [("", 1), (";r2=on", 2)] {
        let mut net = self::net();
        net.script(1, |ua, now, event| {
            if let Event::Request { id, .. } = event {
                ua.route_onward(now, *id).unwrap();
            }
        });
        net.script(2, polite());
        let mut request = message(1, 2);
        request.set_uri(uri("sip:u@10.0.0.3"));
        let route = Route::new(uri(&alloc::format!("sip:10.0.0.2;lr{params}")));
        request.headers_mut().set_typed_list(&[route.clone(), route]);
        net.with(0, |ua, now| ua.send_request(now, request, Destination::To(Transport::Udp, address(2))))
            .unwrap();
        net.run_to_quiet();
        let passes = net.wire.iter().filter(|p| p.label() == "MESSAGE" && p.to == address(2)).count();
        assert_eq!((outcome(&net), passes), (["200".into()].into(), 3 - taken));
    }
}
