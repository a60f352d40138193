//! Every kind of work, disturbed at every moment: streams break, the endpoints drain, hours pass at once.

use super::events::{accept, new_subscription};
use super::net::*;
use super::registrations::quiet_config;
use super::scripts::sdp;
use super::scripts::with_body;
use crate::*;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{Now, Transport};
use cpm_sip::{
    Contact, ContactAddr, Expires, HeaderName, Headers, Method, NameAddr, Request, Response, StatusCode, Uri,
};

/// What the peer in the middle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Middle {
    Agent,
    Proxy { hold: bool },
    Bridge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Call(Middle),
    Subscription,
    SubscriptionInCall,
    Refer,
    Registration,
}

const WORKS: [Work; 8] = [
    Work::Call(Middle::Agent),
    Work::Call(Middle::Proxy { hold: false }),
    Work::Call(Middle::Proxy { hold: true }),
    Work::Call(Middle::Bridge),
    Work::Subscription,
    Work::SubscriptionInCall,
    Work::Refer,
    Work::Registration,
];

fn everything(n: u8, role: Role) -> Config {
    let mut config = quiet_config(n);
    config.role = role;
    config.allow.extend([Method::Update, Method::Prack, Method::Info]);
    config.supported.extend(["100rel".into(), "timer".into(), "replaces".into(), "norefersub".into()]);
    config.session_timer = Some(SessionTimer::default());
    config
}

fn onward(request: &Request, n: u8, transport: Transport) -> Branch {
    let mut request = request.clone();
    let suffix = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
    request.set_uri(uri(&format!("sip:user{n}@{}{suffix}", address(n))));
    Branch { request, destination: Destination::Routed }
}

fn granted(request: &Request) -> Response {
    let mut response = Response::for_request(request, StatusCode::OK);
    let expires = request.typed::<Expires>().unwrap().unwrap().0;
    for contact in request.typed_list::<Contact>().unwrap_or_default() {
        if let Some(contact) = contact.as_addr().filter(|_| expires > 0) {
            response.headers_mut().push_typed(&Contact::Addr(contact.clone().with_expires(expires)));
        }
    }
    response
}

/// A function that does everything, and takes every refusal as it comes.
fn willing(middle: Middle, transport: Transport) -> impl FnMut(&mut Endpoint, Now, &Event) {
    let mut invites: Vec<(RequestId, Request)> = Vec::new();
    let mut bridged: Option<Request> = None;
    move |ua, now, event| match event {
        Event::Request { id, request, in_dialog, .. } => {
            let invite = *request.method() == Method::Invite;
            if invite {
                invites.push((*id, request.clone()));
            }
            match middle {
                Middle::Proxy { .. } if request.headers().contains(&HeaderName::Route) => {
                    drop(ua.route_onward(now, *id));
                }
                Middle::Proxy { hold } if in_dialog.is_none() => {
                    let options = ProxyOptions {
                        record_route: Some(Uri::parse("sip:10.0.0.2:5060").unwrap()),
                        hold_final: hold,
                        ..ProxyOptions::default()
                    };
                    let branches = vec![onward(request, 3, transport), onward(request, 4, transport)];
                    if ua.proxy(now, *id, branches, options).is_err() {
                        let _ = ua.respond(now, *id, Response::for_request(request, StatusCode::BUSY_HERE));
                    }
                }
                Middle::Bridge if invite && in_dialog.is_none() => {
                    let Ok(bridge) = ua.bridge(*id) else { return };
                    bridged = Some(request.clone());
                    for n in [3, 4] {
                        let mut leg = super::net::invite(2, n, transport);
                        leg.set_body(request.body().clone());
                        let _ = ua.add_leg(now, bridge, leg, Destination::Routed);
                    }
                    if ua.legs_of(bridge).count() == 0 {
                        let _ = ua.end_bridge(now, bridge, &Headers::new());
                    }
                }
                _ if *request.method() == Method::Register => drop(ua.respond(now, *id, granted(request))),
                _ if invite && in_dialog.is_none() => {
                    let progress = Response::for_request(request, StatusCode::SESSION_PROGRESS);
                    if ua.respond_reliably(now, *id, with_body(progress, &sdp("answer"))).is_err() {
                        let ok = Response::for_request(request, StatusCode::OK);
                        let _ = ua.accept(now, *id, with_body(ok, &sdp("answer")));
                    }
                }
                _ => match ua.take_offer(OfferOf::Request(*id)) {
                    Some(offer) => drop(ua.answer_offer(now, offer, Headers::new(), sdp("answer"))),
                    None if invite => {
                        let ok = Response::for_request(request, StatusCode::OK);
                        let _ = ua.accept(now, *id, with_body(ok, &sdp("offer")));
                    }
                    None => drop(ua.respond(now, *id, Response::for_request(request, StatusCode::OK))),
                },
            }
        }
        Event::ProvisionalAcknowledged { request, .. } => {
            let Some((_, invite)) = invites.iter().find(|(id, _)| id == request) else { return };
            let _ = ua.accept(now, *request, Response::for_request(invite, StatusCode::OK));
        }
        Event::InviteAccepted { dialog, .. } => match ua.take_offer(OfferOf::Success(*dialog)) {
            Some(offer) => drop(ua.answer_offer(now, offer, Headers::new(), sdp("answer"))),
            None => drop(ua.confirm(now, *dialog, None)),
        },
        Event::Cancelled { id } => {
            let Some((_, invite)) = invites.iter().find(|(known, _)| known == id) else { return };
            let _ = ua.respond(now, *id, Response::for_request(invite, StatusCode::REQUEST_TERMINATED));
        }
        Event::ProxyFinal { proxy, response, .. } => drop(ua.release(now, *proxy, response.clone())),
        Event::Subscribe { id, .. } => drop(ua.accept_subscription(now, *id, accept("state"))),
        Event::Subscriber { event: SubscriberEvent::Notified { id, notify, .. }, .. } => {
            let _ = ua.respond(now, *id, Response::for_request(notify, StatusCode::OK));
        }
        Event::Refer { id, .. } => {
            let acceptance = ReferAcceptance { subscribe: true, expires: 60, headers: Headers::new() };
            if let Ok(Some(notifier)) = ua.accept_refer(now, *id, acceptance) {
                let _ = ua.report_refer(now, notifier, StatusCode::OK);
            }
        }
        Event::Bridged { bridge, event } => {
            let Some(invite) = &bridged else { return };
            match event {
                BridgeEvent::LegProgress { .. } => {
                    let ringing = Response::for_request(invite, StatusCode::RINGING);
                    let _ = ua.answer_upstream(now, *bridge, ringing);
                }
                BridgeEvent::LegAnswered { leg, .. } => {
                    let _ = ua.accept_leg(now, *leg, None);
                    let ok = Response::for_request(invite, StatusCode::OK);
                    let _ = ua.answer_upstream(now, *bridge, with_body(ok, &sdp("answer")));
                }
                BridgeEvent::LegFailed { .. } | BridgeEvent::LegEnded { .. }
                    if ua.legs_of(*bridge).count() == 0 =>
                {
                    let _ = ua.end_bridge(now, *bridge, &Headers::new());
                }
                BridgeEvent::UpstreamEnded { .. } => {
                    let _ = ua.end_bridge(now, *bridge, &Headers::new());
                }
                _ => {}
            }
        }
        _ => {}
    }
}

fn call(net: &Net) -> Option<DialogId> {
    let ua = &net.peers[0].ua;
    ua.dialogs.iter().find(|(_, dialog)| dialog.call.is_some()).map(|(id, _)| *id)
}

fn begin_call(net: &mut Net, transport: Transport) {
    net.with(0, |ua, now| drop(ua.invite(now, invite(1, 2, transport), Destination::Routed)));
}

fn hang_up(net: &mut Net) {
    if let Some(dialog) = call(net) {
        net.with(0, |ua, now| drop(ua.bye(now, dialog, Headers::new())));
    }
}

fn resource(transport: Transport) -> Uri {
    uri(if transport == Transport::Tcp { "sip:10.0.0.2:5060;transport=tcp" } else { "sip:10.0.0.2:5060" })
}

fn subscription(transport: Transport) -> NewSubscription {
    NewSubscription { resource: resource(transport), ..new_subscription(600) }
}

fn registration(transport: Transport) -> NewRegistration {
    NewRegistration {
        registrar: resource(transport),
        address: NameAddr::new(uri("sip:alice@example.com")),
        contacts: vec![ContactAddr::new(NameAddr::new(uri("sip:alice@10.0.0.1:5060")))],
        expires: 3600,
        headers: Headers::new(),
        routes: Vec::new(),
        destination: Destination::Routed,
    }
}

fn refer(transport: Transport) -> NewRefer {
    NewRefer {
        target: resource(transport),
        from: NameAddr::new(uri("sip:user1@example.com")),
        reference: Reference::One(NameAddr::new(uri("sip:carol@example.com"))),
        subscribe: true,
        target_dialog: None,
        headers: Headers::new(),
        destination: Destination::Routed,
    }
}

/// One thing that is done at one time.
type Deed = fn(&mut Net, Transport);

/// What is done when, in milliseconds.
fn deeds(work: Work) -> Vec<(u64, Deed)> {
    let change: Deed = |net, _| {
        if let Some(dialog) = call(net) {
            net.with(0, |ua, now| drop(ua.reinvite(now, dialog, Headers::new(), Some(sdp("again")))));
        }
    };
    let ask: Deed = |net, transport| {
        if let Some(dialog) = call(net) {
            let new = subscription(transport);
            net.with(0, |ua, now| drop(ua.subscribe_in_dialog(now, dialog, new)));
        }
    };
    let leave: Deed = |net, _| {
        let ids: Vec<SubscriptionId> = net.peers[0].ua.usages.subscriptions.keys().copied().collect();
        for id in ids {
            net.with(0, |ua, now| drop(ua.unsubscribe(now, id)));
        }
    };
    let hang_up: Deed = |net, _| hang_up(net);
    match work {
        Work::Call(_) => vec![(0, begin_call), (230, change), (330, hang_up)],
        Work::Subscription => vec![
            (0, |net, transport| {
                net.with(0, |ua, now| drop(ua.subscribe(now, subscription(transport))));
            }),
            (100, leave),
        ],
        Work::SubscriptionInCall => vec![(0, begin_call), (100, ask), (115, hang_up), (200, leave)],
        Work::Refer => vec![
            (0, begin_call),
            (100, |net, transport| {
                if let Some(dialog) = call(net) {
                    let new = refer(transport);
                    net.with(0, |ua, now| drop(ua.refer_in_dialog(now, dialog, new)));
                }
                net.with(0, |ua, now| drop(ua.refer(now, refer(transport))));
            }),
            (130, hang_up),
        ],
        Work::Registration => vec![
            (0, |net, transport| {
                net.with(0, |ua, now| drop(ua.register(now, registration(transport))));
            }),
            (60, |net, _| {
                let ids: Vec<RegistrationId> = net.peers[0].ua.usages.registrations.keys().copied().collect();
                for id in ids {
                    net.with(0, |ua, now| drop(ua.deregister(now, id)));
                }
            }),
        ],
    }
}

/// The functions let go of what is left.
fn wind_up(net: &mut Net) {
    for peer in 0..net.peers.len() {
        net.with(peer, |ua, now| {
            let bridges: Vec<BridgeId> = ua
                .dialogs
                .keys()
                .filter_map(|dialog| ua.side_of(*dialog))
                .map(|(bridge, _)| bridge)
                .collect();
            for bridge in bridges {
                let _ = ua.end_bridge(now, bridge, &Headers::new());
            }
            for dialog in ua.dialogs.keys().copied().collect::<Vec<_>>() {
                let _ = ua.bye(now, dialog, Headers::new());
            }
            for id in ua.usages.subscriptions.keys().copied().collect::<Vec<_>>() {
                ua.forget_subscription(id);
            }
            for id in ua.usages.notifiers.keys().copied().collect::<Vec<_>>() {
                let _ = ua.terminate_subscription(now, id, Termination::Deactivated, None);
            }
            for id in ua.usages.registrations.keys().copied().collect::<Vec<_>>() {
                ua.forget_registration(id);
            }
        });
    }
}

/// Does the work, with one disturbance at one moment; in the end nothing is left anywhere, and each INVITE ended once.
fn disturbed(work: Work, transport: Transport, at: u64, disturb: impl FnOnce(&mut Net)) -> Net {
    let middle = if let Work::Call(middle) = work { middle } else { Middle::Agent };
    let role = if matches!(middle, Middle::Proxy { .. }) { Role::Proxy } else { Role::UserAgent };
    let agent = |n| everything(n, Role::UserAgent);
    let mut net = Net::new([agent(1), everything(2, role), agent(3), agent(4)]);
    for peer in 0..4 {
        net.script(peer, willing(if peer == 1 { middle } else { Middle::Agent }, transport));
    }
    let mut disturb = Some(disturb);
    let mut clock = 0;
    for (when, deed) in deeds(work).into_iter().map(|(when, deed)| (when, Some(deed))).chain([(1_000, None)])
    {
        if at < when
            && let Some(disturb) = disturb.take()
        {
            net.run(Duration::from_millis(at.saturating_sub(clock)));
            clock = clock.max(at);
            disturb(&mut net);
        }
        net.run(Duration::from_millis(when - clock));
        clock = when;
        if let Some(deed) = deed {
            deed(&mut net, transport);
        }
    }
    net.run(Duration::from_secs(100));
    wind_up(&mut net);
    net.run_to_quiet();
    let ends = |event: &&Event| matches!(event, Event::InviteAccepted { .. } | Event::InviteFailed { .. });
    let mut ended: Vec<InviteId> = Vec::new();
    for event in net.peers[0].events.iter().filter(ends) {
        if let Event::InviteAccepted { invite, .. } | Event::InviteFailed { invite, .. } = event {
            assert!(!ended.contains(invite), "{work:?} {at}: an INVITE ended twice");
            ended.push(*invite);
        }
    }
    net
}

/// Without a disturbance everything is done: else the others would disturb nothing.
#[test]
fn undisturbed() {
    for work in WORKS {
        for transport in [Transport::Udp, Transport::Tcp] {
            let net = disturbed(work, transport, 999, |_| {});
            let accepted =
                net.peers[0].events.iter().filter(|e| matches!(e, Event::InviteAccepted { .. })).count();
            let expected = match work {
                Work::Call(_) => 2,
                Work::SubscriptionInCall | Work::Refer => 1,
                _ => 0,
            };
            assert_eq!(accepted, expected, "{work:?} {transport:?} {:?}", net.labels());
        }
    }
}

/// The moments of a disturbance, in milliseconds: each 20th, or each `CPM_MOMENTS`th.
fn moments() -> impl Iterator<Item = u64> {
    #[expect(clippy::disallowed_methods, reason = "how long the test runs")]
    let step = std::env::var("CPM_MOMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    (0..420).step_by(step)
}

/// Threat C17: all connections break at each moment of everything.
#[test]
fn connections_may_break_at_any_time() {
    for work in WORKS {
        for at in moments() {
            disturbed(work, Transport::Tcp, at, Net::break_streams);
        }
    }
}

/// A drain at each moment of everything: what has begun ends, and that is said once.
#[test]
fn a_drain_may_come_at_any_time() {
    for work in WORKS {
        for at in moments() {
            let net = disturbed(work, Transport::Udp, at, |net| {
                for peer in 0..4 {
                    net.with(peer, Endpoint::drain);
                }
            });
            for (n, peer) in net.peers.iter().enumerate() {
                let drained = peer.events.iter().filter(|event| **event == Event::Drained).count();
                assert_eq!(drained, 1, "{work:?} {at} {n}");
            }
        }
    }
}

/// Hours pass between two looks at the clock.
#[test]
fn time_may_jump_at_any_time() {
    for work in WORKS {
        for at in moments() {
            for hours in [1, 50] {
                disturbed(work, Transport::Udp, at, |net| {
                    net.now = net.now.plus(Duration::from_secs(hours * 3600))
                });
            }
        }
    }
}
