//! Where the parts of the endpoint meet: usages that share a dialog, a drain in the middle of everything, what overtakes
//! what, and peers that take more than they should.

use super::events::{accept, new_subscription, serving, state, watching, word};
use super::net::*;
use super::registrations::quiet_config;
use super::scripts::*;
use crate::*;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{Now, Transport};
use cpm_sip::{Headers, Method, Response, StatusCode};

const SECOND: Duration = Duration::from_secs(1);

fn words(net: &Net, peer: usize) -> Vec<String> {
    net.peers[peer].events.iter().filter_map(word).collect()
}

fn count(net: &Net, peer: usize, fits: impl Fn(&Event) -> bool) -> usize {
    net.peers[peer].events.iter().filter(|event| fits(event)).count()
}

/// Answers NOTIFYs and calls, or serves subscriptions and calls.
fn both(
    mut one: impl FnMut(&mut Endpoint, Now, &Event) + 'static,
    mut other: impl FnMut(&mut Endpoint, Now, &Event) + 'static,
) -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| {
        one(ua, now, event);
        other(ua, now, event);
    }
}

/// A call between 0 and 1; its dialog at both.
fn with_call(net: &mut Net) -> (DialogId, DialogId) {
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(SECOND);
    let only = |net: &Net, peer: usize| *net.peers[peer].ua.dialogs.keys().next().unwrap();
    (only(net, 0), only(net, 1))
}

/// A fetch whose NOTIFY, which is the last, overtakes the 2xx: it is over with that, once.
#[test]
fn a_final_notify_may_overtake_the_2xx() {
    for inside in [false, true] {
        let mut net = Net::new([quiet_config(1), quiet_config(2)]);
        net.script(0, both(watching(StatusCode::OK), polite()));
        net.script(1, both(serving(accept("state")), polite()));
        let call = inside.then(|| with_call(&mut net));
        net.rule = Box::new(|_, packet| match packet.label().as_str() {
            "200 SUBSCRIBE" => Fate::Late(Duration::from_millis(400)),
            _ => Fate::Arrives,
        });
        let dialog = call.map(|(dialog, _)| dialog);
        net.with(0, |ua, now| match dialog {
            Some(dialog) => ua.subscribe_in_dialog(now, dialog, new_subscription(0)).unwrap(),
            None => ua.subscribe(now, new_subscription(0)).unwrap(),
        });
        net.run(Duration::from_secs(100));
        let story = words(&net, 0);
        assert_eq!(story.iter().filter(|word| word.starts_with("ended")).count(), 1, "{inside} {story:?}");
        assert_eq!(story.last().map(String::as_str), Some("200 without"), "{inside} {story:?}");
        if let Some(dialog) = dialog {
            net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
        }
        net.run_to_quiet();
    }
}

/// A call ends while a SUBSCRIBE in its dialog is under way: the dialog stays for the subscription (RFC 5057 §4.1).
#[test]
fn a_call_may_end_while_a_subscribe_is_under_way() {
    let mut net = Net::new([quiet_config(1), quiet_config(2)]);
    net.script(0, both(watching(StatusCode::OK), polite()));
    let mut hello = polite();
    // Decides later.
    net.script(1, move |ua, now, event| {
        if !matches!(event, Event::Subscribe { .. }) {
            hello(ua, now, event);
        }
    });
    let (dialog, _) = with_call(&mut net);
    net.with(0, |ua, now| ua.subscribe_in_dialog(now, dialog, new_subscription(600)).unwrap());
    net.run(SECOND);
    let export = net.with(0, |ua, now| ua.export_dialog(now, dialog));
    assert_eq!(export.unwrap_err(), Refusal::Busy);
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run(SECOND);
    let asked = net.peers[1].events.iter().find_map(|event| match event {
        Event::Subscribe { id, .. } => Some(*id),
        _ => None,
    });
    let notifier =
        net.with(1, |ua, now| ua.accept_subscription(now, asked.unwrap(), accept("later")).unwrap());
    net.run(SECOND);
    assert!(words(&net, 0).contains(&"active [later]".to_string()), "{:?}", words(&net, 0));
    // One dialog at each side, with numbers that go on.
    assert_eq!(net.peers[0].ua.dialogs.len(), 1);
    assert_eq!(net.peers[1].ua.dialogs.len(), 1);
    net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state("more"))).unwrap());
    net.run(SECOND);
    assert!(words(&net, 0).contains(&"active [more]".to_string()), "{:?}", words(&net, 0));
    net.with(1, |ua, now| {
        ua.terminate_subscription(now, notifier, Termination::NoResource, None).unwrap();
    });
    net.run_to_quiet();
    assert_eq!(
        net.labels().iter().filter(|label| label.starts_with("500") || label.starts_with("481")).count(),
        0
    );
}

/// What is let go of in a drain without a word on the wire may be the last of it.
#[test]
fn what_is_forgotten_may_be_the_last_to_drain() {
    let mut net = Net::new([quiet_config(1), quiet_config(2)]);
    net.script(0, watching(StatusCode::OK));
    net.script(1, serving(accept("x")));
    net.with(0, |ua, now| ua.subscribe(now, new_subscription(3600)).unwrap());
    net.run(Duration::from_secs(60));
    net.with(0, Endpoint::drain);
    let subscription = *net.peers[0].ua.usages.subscriptions.keys().next().unwrap();
    assert_eq!(count(&net, 0, |event| *event == Event::Drained), 0);
    net.with(0, |ua, _| assert!(ua.forget_subscription(subscription)));
    assert_eq!(count(&net, 0, |event| *event == Event::Drained), 1);
}

/// The first response to an INVITE that is answered by ever new called sides.
fn answer(net: &Net, tag: usize, status: &str) -> String {
    let sent = net.wire.iter().find(|packet| packet.label() == "INVITE").unwrap();
    let text = String::from_utf8(sent.bytes.to_vec()).unwrap();
    let head: Vec<&str> = text.split("\r\n").skip(1).collect();
    let kept = |name: &str| head.iter().find(|line| line.starts_with(name)).unwrap().to_string();
    format!(
        "SIP/2.0 {status}\r\n{}\r\n{}\r\n{};tag=t{tag}\r\n{}\r\n{}\r\nContact: <sip:x@10.0.0.2>\r\nContent-Length: 0\r\n\r\n",
        kept("Via:"),
        kept("From:"),
        kept("To:"),
        kept("Call-ID:"),
        kept("CSeq:"),
    )
}

/// Threat C6: whoever answers one INVITE with thousands of 2xx gets no thousands of dialogs, ACKs and BYEs.
#[test]
fn a_flood_of_2xx_is_bounded() {
    let mut net = Net::new([config(1)]);
    net.script(0, polite());
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    for tag in 0..2_000 {
        let response = answer(&net, tag, "200 OK");
        net.inject(0, address(2), response);
    }
    net.run(Duration::from_millis(1));
    let held = net.peers[0].ua.holdings();
    let most = net.peers[0].ua.config().limits.max_forks_per_invite;
    assert!(held.client_transactions <= most + 1 && held.dialogs <= most, "{held:?}");
    assert!(net.peers[0].ua.metrics().get("ua.forks_refused") > 0);
    assert_eq!(count(&net, 0, |event| matches!(event, Event::InviteAccepted { .. })), 1);
    net.run(Duration::from_secs(100));
    let dialog = *net.peers[0].ua.dialogs.keys().next().unwrap();
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    net.run_to_quiet();
}

/// The same at a proxy that holds final responses.
#[test]
fn a_flood_of_held_2xx_is_bounded() {
    let mut net = Net::new([config(1), proxy_config(2)]);
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let mut request = request.clone();
            request.set_uri(uri("sip:user3@10.0.0.3:5060"));
            let branch = Branch { request, destination: Destination::Routed };
            let options = ProxyOptions { hold_final: true, ..ProxyOptions::default() };
            ua.proxy(now, *id, vec![branch], options).unwrap();
        }
    });
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(Duration::from_millis(100));
    let onward = net.wire.iter().find(|packet| packet.to == address(3)).unwrap().clone();
    let text = String::from_utf8(onward.bytes.to_vec()).unwrap();
    let lines: Vec<&str> = text.split("\r\n").skip(1).collect();
    for tag in 0..500 {
        let mut response = String::from("SIP/2.0 200 OK\r\n");
        for line in lines
            .iter()
            .filter(|line| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)))
        {
            response.push_str(line);
            response.push_str("\r\n");
        }
        let to = lines.iter().find(|line| line.starts_with("To:")).unwrap();
        response
            .push_str(&format!("{to};tag=t{tag}\r\nContact: <sip:x@10.0.0.3>\r\nContent-Length: 0\r\n\r\n"));
        net.inject(1, address(3), response);
    }
    net.run(Duration::from_millis(1));
    let most = net.peers[1].ua.config().limits.max_forks_per_invite;
    assert_eq!(count(&net, 1, |event| matches!(event, Event::ProxyFinal { .. })), most);
    net.run_to_quiet();
}

/// A bridge has answered upstream, but the 2xx still waits for a PRACK: the CANCEL counts.
#[test]
fn a_bridge_is_cancelled_while_its_2xx_waits() {
    let reliable = |n| {
        let mut config = config(n);
        config.supported.push("100rel".into());
        config.allow.push(Method::Prack);
        config
    };
    let mut net = Net::new([reliable(1), reliable(2), config(3)]);
    net.script(2, ringing());
    net.rule = Box::new(|_, p| if p.label() == "PRACK" { Fate::Lost } else { Fate::Arrives });
    net.script(1, move |ua, now, event| {
        if let Event::Request { id, request, .. } = event
            && *request.method() == Method::Invite
        {
            let bridge = ua.bridge(*id).unwrap();
            let mut leg = invite(2, 3, Transport::Udp);
            leg.set_body(request.body().clone());
            ua.add_leg(now, bridge, leg, Destination::Routed).unwrap();
            let progress = Response::for_request(request, StatusCode::SESSION_PROGRESS);
            ua.respond_reliably(now, *id, with_body(progress, &sdp("answer"))).unwrap();
            ua.answer_upstream(now, bridge, Response::for_request(request, StatusCode::OK)).unwrap();
        }
    });
    let call =
        net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(SECOND);
    net.with(0, |ua, now| ua.cancel(now, call)).unwrap();
    net.run(SECOND);
    assert_eq!(told(&net, 0).last().map(String::as_str), Some("Cancelled 487"));
    assert_eq!(told(&net, 2).last().map(String::as_str), Some("cancelled"));
    net.run_to_quiet();
}

/// A PRACK that makes a new offer releases a 2xx that repeats the answer of before: the 2xx goes out all the same.
#[test]
fn a_held_2xx_with_a_description_meets_a_new_offer() {
    let mut net = Net::new([full_config(1), full_config(2)]);
    let mut answers = answering_offers();
    net.script(1, move |ua, now, event| match event {
        Event::Request { id, request, .. } if *request.method() == Method::Invite => {
            let progress = Response::for_request(request, StatusCode::SESSION_PROGRESS);
            ua.respond_reliably(now, *id, with_body(progress, &sdp("answer"))).unwrap();
            let ok = Response::for_request(request, StatusCode::OK);
            ua.accept(now, *id, with_body(ok, &sdp("answer"))).unwrap();
        }
        event => answers(ua, now, event),
    });
    // A caller of its own kind: raw.
    let invite = "INVITE sip:user2@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKi;rport\r\n\
        From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\n\
        Max-Forwards: 70\r\nSupported: 100rel\r\nContact: <sip:a@10.0.0.1>\r\n\
        Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\noffer";
    net.inject(1, address(1), invite);
    net.run(Duration::from_millis(100));
    let progress = net.wire.iter().find(|packet| packet.label() == "183 INVITE").unwrap();
    let text = String::from_utf8(progress.bytes.to_vec()).unwrap();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_string();
    let prack = format!(
        "PRACK sip:user2@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKp;rport\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo:{}\r\nCall-ID: call-1\r\nCSeq: 2 PRACK\r\nRAck:{} 1 INVITE\r\n\
         Max-Forwards: 70\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nagain",
        field("To:"),
        field("RSeq:"),
    );
    net.inject(1, address(1), prack);
    net.run(Duration::from_millis(100));
    let labels = net.labels();
    assert!(labels.contains(&"200 PRACK".into()) && labels.contains(&"200 INVITE".into()), "{labels:?}");
}

/// Works that come to nothing by the thousand leave nothing behind, while the connections stay: calls that are cancelled
/// and refused, subscriptions that are refused, registrations that fail and are let go of.
#[test]
fn thousands_that_come_to_nothing_leave_nothing() {
    let mut net = Net::new([quiet_config(1), quiet_config(2)]);
    let mut ring = ringing();
    net.script(1, move |ua, now, event| match event {
        Event::Subscribe { id, request, .. } => {
            ua.respond(now, *id, Response::for_request(request, StatusCode::FORBIDDEN)).unwrap();
        }
        event => ring(ua, now, event),
    });
    let registration = || NewRegistration {
        registrar: uri("sip:10.0.0.2:5060"),
        address: cpm_sip::NameAddr::new(uri("sip:alice@example.com")),
        contacts: alloc::vec![cpm_sip::ContactAddr::new(cpm_sip::NameAddr::new(uri(
            "sip:alice@10.0.0.1:5060"
        )))],
        expires: 3600,
        headers: Headers::new(),
        routes: Vec::new(),
        destination: Destination::Routed,
    };
    let mut most = 0;
    for _ in 0..1_000 {
        let call =
            net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
        net.with(0, |ua, now| ua.subscribe(now, new_subscription(600)).unwrap());
        let id = net.with(0, |ua, now| ua.register(now, registration()).unwrap());
        net.run(Duration::from_millis(250));
        net.with(0, |ua, now| ua.cancel(now, call)).unwrap();
        net.with(0, |ua, _| assert!(ua.forget_registration(id)));
        net.run(Duration::from_millis(250));
        let peer = &mut net.peers[0];
        peer.events.clear();
        most = most.max(peer.ua.holdings().client_transactions);
        net.peers[1].events.clear();
        net.wire.clear();
    }
    // Those of the last 32 seconds.
    assert!(most < 400, "{most}");
    net.run_to_quiet();
    for peer in &net.peers {
        let held = peer.ua.holdings();
        assert_eq!(held, Holdings { flows: held.flows, ..Holdings::default() });
    }
}
