//! Dialogs and registrations that outlive their node.

use super::events::{accept, new_subscription, serving, state, watching};
use super::net::*;
use super::registrations::quiet_config;
use super::scripts::*;
use crate::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::record::{RecordError, RecordWriter};
use cpm_base::{Instant, Now, Transport};
use cpm_sip::{
    Contact, ContactAddr, HeaderName, HeaderText, Headers, Method, NameAddr, Response, Route, StatusCode,
    TypedHeader,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Everything that a call can do: UPDATE, session timers of this interval.
fn calling(n: u8, expires: u32) -> Config {
    let mut config = config(n);
    config.allow.extend([Method::Update, Method::Info]);
    config.session_timer = Some(SessionTimer { expires, ..SessionTimer::default() });
    config
}

fn dialog_of(net: &Net, peer: usize) -> DialogId {
    *net.peers[peer].ua.dialogs.keys().next().unwrap()
}

/// A call that is up and at rest.
fn up(expires: u32) -> Net {
    let mut net = Net::new([calling(1, expires), calling(2, expires)]);
    net.script(0, polite());
    net.script(1, polite());
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(SECOND);
    net
}

/// What a peer does in the call.
#[derive(Debug, Clone, Copy)]
enum Act {
    Message,
    Reinvite,
    Update,
    /// Nothing, for so many seconds.
    Wait(u16),
}

fn act(net: &mut Net, peer: usize, act: Act) {
    let Some(dialog) = net.peers[peer].ua.dialogs.keys().next().copied() else { return };
    let body = || {
        let content_type = HeaderText::new("application/sdp").unwrap();
        Some(Body { content_type, octets: "v=0\r\n".into() })
    };
    match act {
        Act::Message => {
            net.with(peer, |ua, now| ua.send_in_dialog(now, dialog, Method::Message, Headers::new(), None))
                .unwrap();
        }
        Act::Reinvite => {
            net.with(peer, |ua, now| ua.reinvite(now, dialog, Headers::new(), body())).unwrap();
        }
        Act::Update => {
            net.with(peer, |ua, now| ua.update(now, dialog, Headers::new(), None)).unwrap();
        }
        Act::Wait(seconds) => net.run(Duration::from_secs(seconds.into())),
    }
    // Long enough for everything to be answered.
    net.run(2 * SECOND);
}

/// An endpoint like that of a peer, on another node: what it draws by lot is something else.
fn like(net: &Net, peer: usize) -> Endpoint {
    let config = net.peers[peer].ua.config().clone();
    Endpoint::new(Config { seed: cpm_base::Seed::new([99; 32]), ..config }).unwrap()
}

/// What crossed the network from here on, without what no two endpoints do alike: branches, and the tags of REGISTERs.
fn wire(net: &Net, from: usize) -> Vec<(Instant, String)> {
    let plain = |packet: &Packet| {
        let text = String::from_utf8_lossy(&packet.bytes).into_owned();
        let register = text.contains(" REGISTER\r\n");
        let lines = text.lines().filter(|line| !line.starts_with("Via: "));
        let lines = lines.map(|line| if register { line.split(";tag=").next().unwrap() } else { line });
        (packet.at, format!("{} to {}: {}", packet.from, packet.to, lines.collect::<Vec<_>>().join("\n")))
    };
    net.wire[from..].iter().map(plain).collect()
}

/// Runs a call; one of the peers may be taken up by a fresh endpoint at some point. Gives what crossed the network from
/// there on.
fn run(acts: &[(usize, Act)], at: usize, taken_up: Option<usize>, ends: usize) -> Vec<(Instant, String)> {
    let mut net = up(300);
    let mut from = net.wire.len();
    for (n, (peer, next)) in acts.iter().enumerate() {
        if n == at {
            from = net.wire.len();
            if let Some(taken_up) = taken_up {
                take_up(&mut net, taken_up);
            }
        }
        act(&mut net, *peer, *next);
    }
    let dialog = net.peers[ends].ua.dialogs.keys().next().copied();
    if let Some(dialog) = dialog {
        net.with(ends, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    }
    net.run_to_quiet();
    wire(&net, from)
}

/// The node of a peer is gone; another one goes on with its dialog.
fn take_up(net: &mut Net, peer: usize) {
    let (dialog, now) = (dialog_of(net, peer), net.now);
    let record = net.peers[peer].ua.export_dialog(now, dialog).unwrap();
    let mut fresh = like(net, peer);
    let restored = fresh.restore_dialog(now, &record).unwrap().dialog;
    assert_eq!(fresh.export_dialog(now, restored).unwrap(), record, "a record is what was read from it");
    net.replace(peer, fresh);
}

fn acts() -> impl Strategy<Value = Vec<(usize, Act)>> {
    let act = prop_oneof![
        Just(Act::Message),
        Just(Act::Reinvite),
        Just(Act::Update),
        // Session timers of 300 s: refreshes, by whoever refreshes.
        (1u16..400).prop_map(Act::Wait),
    ];
    proptest::collection::vec((0usize..2, act), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// restore(export), then the rest of the run: the same messages at the same times as without.
    #[test]
    fn a_call_goes_on_as_if_nothing_had_happened(
        acts in acts(),
        at in any::<prop::sample::Index>(),
        peer in 0usize..2,
        ends in 0usize..2,
    ) {
        let at = at.index(acts.len());
        let without = run(&acts, at, None, ends);
        let with = run(&acts, at, Some(peer), ends);
        prop_assert_eq!(with, without);
    }
}

/// A session whose time ran out while nobody held it is ended at once; clocks that ran backwards do no harm.
#[test]
fn time_goes_on_while_a_record_lies_around() {
    for (days, lives) in [(-1i32, true), (0, true), (1, false)] {
        let net = &mut up(300);
        let record = net.peers[1].ua.export_dialog(net.now, dialog_of(net, 1)).unwrap();
        let day = Duration::from_secs(86_400);
        let wall = match days {
            -1 => cpm_base::DateTime::from_unix_micros(-86_400_000_000).unwrap(),
            _ => net.now.wall.plus(day * u32::try_from(days).unwrap()),
        };
        // Another node: its monotonic clock is another.
        let now = Now::new(Instant::from_micros(77), wall);
        let mut fresh = Endpoint::new(calling(2, 300)).unwrap();
        fresh.restore_dialog(now, &record).unwrap();
        let due = fresh.next_timeout().unwrap();
        assert_eq!(due > now.mono, lives, "{days}");
        if !lives {
            fresh.handle_timeout(now);
            let ended = core::iter::from_fn(|| fresh.poll_action()).any(|a| {
                matches!(a, Action::Event(Event::DialogEnded { why: DialogEnd::SessionExpired, .. }))
            });
            assert!(ended);
        }
    }
}

/// What is not at rest is not written.
#[test]
fn only_what_is_at_rest_is_exported() {
    let mut net = Net::new([calling(1, 300), calling(2, 300)]);
    net.script(1, ringing());
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(SECOND);
    for peer in 0..2 {
        let dialog = dialog_of(&net, peer);
        assert_eq!(net.peers[peer].ua.export_dialog(net.now, dialog), Err(Refusal::Early));
    }

    let mut net = Net::new([calling(1, 300), calling(2, 300)]);
    net.script(1, polite());
    net.with(0, |ua, now| ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed)).unwrap();
    net.run(SECOND);
    for peer in 0..2 {
        let dialog = dialog_of(&net, peer);
        assert_eq!(net.peers[peer].ua.export_dialog(net.now, dialog), Err(Refusal::Busy), "no ACK yet");
    }
    let dialog = dialog_of(&net, 0);
    net.with(0, |ua, now| ua.confirm(now, dialog, None)).unwrap();
    net.run(SECOND);
    assert!(net.peers[0].ua.export_dialog(net.now, dialog).is_ok());
    net.with(0, |ua, now| ua.update(now, dialog, Headers::new(), None)).unwrap();
    assert_eq!(net.peers[0].ua.export_dialog(net.now, dialog), Err(Refusal::Busy), "an UPDATE");
    net.run(SECOND);
    net.with(0, |ua, now| ua.bye(now, dialog, Headers::new())).unwrap();
    assert_eq!(net.peers[0].ua.export_dialog(net.now, dialog), Err(Refusal::Busy), "a BYE");
    net.run_to_quiet();
    assert_eq!(net.peers[0].ua.export_dialog(net.now, dialog), Err(Refusal::Gone));
}

fn record_of_a_dialog() -> (Vec<u8>, Now) {
    let net = up(300);
    (net.peers[1].ua.export_dialog(net.now, dialog_of(&net, 1)).unwrap(), net.now)
}

#[test]
fn a_record_that_is_not_whole_is_refused() {
    let (record, now) = record_of_a_dialog();
    let mut ua = Endpoint::new(calling(2, 300)).unwrap();
    for n in 0..record.len() {
        let error = ua.restore_dialog(now, &record[..n]).unwrap_err();
        assert!(matches!(error, RestoreError::Record(RecordError::Truncated)), "{n}: {error:?}");
        // One octet is another: whatever it was, it is seen.
        let mut damaged = record.clone();
        damaged[n] ^= 1 << (n % 8);
        assert!(matches!(ua.restore_dialog(now, &damaged), Err(RestoreError::Record(_))), "{n}");
    }
    assert!(ua.is_idle());
    let newer = RecordWriter::new(*b"DIAL", 2).finish();
    let expected = RestoreError::Record(RecordError::Newer { version: 2, known: 1 });
    assert_eq!(ua.restore_dialog(now, &newer), Err(expected));
    let other = Err(RestoreError::Record(RecordError::OtherKind(*b"DIAL")));
    assert_eq!(ua.restore_registration(now, &record), other);
    let mut longer = record.clone();
    longer.push(0);
    assert!(ua.restore_dialog(now, &longer).is_err());
    // It is here already.
    ua.restore_dialog(now, &record).unwrap();
    assert_eq!(ua.restore_dialog(now, &record), Err(RestoreError::Known));
}

#[test]
fn limits_and_a_drain_bind_records_too() {
    let (record, now) = record_of_a_dialog();
    let mut config = calling(2, 300);
    config.limits.max_record = record.len() - 1;
    let mut ua = Endpoint::new(config.clone()).unwrap();
    let too_long = RecordError::TooLong { len: record.len(), max: record.len() - 1 };
    assert_eq!(ua.restore_dialog(now, &record), Err(RestoreError::Record(too_long)));
    let mut net = up(300);
    net.peers[1].ua.config.limits.max_record = record.len() - 1;
    let refused = net.peers[1].ua.export_dialog(net.now, dialog_of(&net, 1));
    assert!(matches!(refused, Err(Refusal::Limit(limit)) if limit.limit == "snapshot.max"));
    config.limits.max_record = 1024;
    config.limits.max_dialogs = 1;
    let mut ua = Endpoint::new(config).unwrap();
    ua.restore_dialog(now, &record).unwrap();
    let mut second = up(300);
    let record = second.with(0, |ua, now| ua.export_dialog(now, *ua.dialogs.keys().next().unwrap())).unwrap();
    let error = ua.restore_dialog(now, &record).unwrap_err();
    assert!(matches!(error, RestoreError::Limit(limit) if limit.limit == "dialog.max"), "{error}");
    let mut ua = Endpoint::new(calling(2, 300)).unwrap();
    ua.drain(now);
    assert_eq!(ua.restore_dialog(now, &record), Err(RestoreError::Draining));
}

/// What both sides of a subscription write of it.
fn records_of_a_subscription() -> (Vec<u8>, Vec<u8>) {
    let mut net = Net::new([quiet_config(1), quiet_config(2)]);
    net.script(0, watching(StatusCode::OK));
    net.script(1, serving(accept("one")));
    net.with(0, |ua, now| ua.subscribe(now, new_subscription(300)).unwrap());
    net.run(SECOND);
    let of = |peer: usize| net.peers[peer].ua.export_dialog(net.now, dialog_of(&net, peer)).unwrap();
    (of(0), of(1))
}

/// A subscription of a proxy rests as a record, wakes up for a NOTIFY, and for its refresh.
#[test]
fn a_subscription_may_rest_as_a_record() {
    let mut proxy = quiet_config(1);
    proxy.role = cpm_sip::Role::Proxy;
    let mut net = Net::new([proxy, quiet_config(2)]);
    net.script(0, watching(StatusCode::OK));
    net.script(1, serving(accept("one")));
    net.with(0, |ua, now| ua.subscribe(now, new_subscription(300)).unwrap());
    net.run(Duration::from_secs(60));
    let notifier = *net.peers[1].ua.usages.notifiers.keys().next().unwrap();
    let rest = |net: &mut Net| {
        let subscription = *net.peers[0].ua.usages.subscriptions.keys().next().unwrap();
        let at = net.peers[0].ua.subscription_alarm(subscription).unwrap();
        let dialog = net.peers[0].ua.subscription_dialog(subscription).unwrap();
        assert!(net.peers[0].ua.is_resting() && !net.peers[0].ua.is_idle());
        let record = net.peers[0].ua.export_dialog(net.now, dialog).unwrap();
        assert!(net.peers[0].ua.forget_subscription(subscription));
        assert!(net.peers[0].ua.is_idle(), "nothing is left of it");
        (record, at)
    };
    let (record, at) = rest(&mut net);
    assert!(at > net.now.mono);
    net.script(0, move |ua, now, event| match event {
        Event::Request { id, request, in_dialog: None, .. } => {
            assert_eq!(*request.method(), Method::Notify);
            assert_eq!(ua.hand_to_dialog(now, *id), Err(Refusal::Gone), "it is not there yet");
            ua.restore_dialog(now, &record).unwrap();
            ua.hand_to_dialog(now, *id).unwrap();
        }
        Event::Subscriber { event: SubscriberEvent::Notified { id, notify, .. }, .. } => {
            assert_eq!(notify.body().as_ref(), b"two");
            ua.respond(now, *id, Response::for_request(notify, StatusCode::OK)).unwrap();
            assert_eq!(ua.hand_to_dialog(now, *id), Err(Refusal::Gone), "it is answered");
        }
        _ => {}
    });
    net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state("two"))).unwrap());
    net.run(Duration::from_secs(40));
    assert!(net.peers[1].ua.is_resting(), "the NOTIFY is answered");
    let (record, again) = rest(&mut net);
    assert_eq!(again, at, "as if it had never rested");
    net.script(0, watching(StatusCode::OK));
    let left = at.since(net.now.mono);
    net.run(left);
    net.with(0, |ua, now| ua.restore_dialog(now, &record).map(drop).unwrap());
    let from = net.wire.len();
    net.run(Duration::from_secs(10));
    let labels: Vec<String> = net.wire[from..].iter().map(Packet::label).collect();
    assert_eq!(labels.first().map(String::as_str), Some("SUBSCRIBE"), "{labels:?}");
    net.run(Duration::from_secs(40));
    assert!(net.peers[0].ua.is_resting() && net.peers[1].ua.is_resting());
}

/// The same values under a checksum that fits.
fn sealed(kind: [u8; 4], values: &[u8]) -> Vec<u8> {
    let mut record = RecordWriter::new(kind, 1);
    for octet in values {
        record.u8(*octet);
    }
    record.finish()
}

fn contact(text: &str) -> ContactAddr {
    Contact::parse(text.as_bytes()).unwrap().as_addr().unwrap().clone()
}

/// A client at 0 that registers with every kind of field, and a registrar at 1 that tells it all there is to tell.
fn registered() -> (Net, RegistrationId) {
    let mut client = config(1);
    client.refresh.jitter_percent = 0;
    client.refresh.retry_jitter_percent = 0;
    let mut net = Net::new([client, proxy_config(2)]);
    net.script(1, |ua, now, event| {
        let Event::Request { id, request, .. } = event else { return };
        let mut response = Response::for_request(request, StatusCode::OK);
        let headers = response.headers_mut();
        for contact in request.typed_list::<Contact>().unwrap() {
            let addr = contact.as_addr().unwrap().clone();
            let expires = addr.expires().unwrap_or(600);
            if expires > 0 {
                headers.push_typed(&Contact::Addr(addr.with_expires(expires)));
            }
        }
        for (name, value) in [
            ("Contact", "<sip:other@192.0.2.9>;expires=77"),
            ("Path", "<sip:edge.example;lr;ob>"),
            ("Service-Route", "<sip:orig@core.example;lr>"),
            ("P-Associated-URI", "<sip:alice@example.com>, <tel:+491234>"),
            ("Require", "outbound"),
            ("Flow-Timer", "120"),
        ] {
            headers.push(HeaderName::parse(name).unwrap(), HeaderText::new(value).unwrap());
        }
        ua.respond(now, *id, response).unwrap();
    });
    let mut headers = Headers::new();
    headers.push(HeaderName::Supported, HeaderText::new("path, outbound").unwrap());
    let new = NewRegistration {
        registrar: uri("sip:example.com"),
        address: NameAddr::parse("\"Alice\" <sip:alice@example.com>").unwrap(),
        contacts: [
            contact("<sip:alice@10.0.0.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1"),
            contact("<sip:b@10.0.0.1>"),
        ]
        .into(),
        expires: 600,
        headers,
        routes: [Route::new(uri("sip:10.0.0.2;lr"))].into(),
        destination: Destination::Routed,
    };
    let id = net.with(0, |ua, now| ua.register(now, new)).unwrap();
    net.run(SECOND);
    (net, id)
}

/// A registration that is taken up elsewhere is refreshed at the same times, with the next numbers, and can be ended.
#[test]
fn a_registration_goes_on_as_if_nothing_had_happened() {
    for wait in [1u64, 200, 299, 301, 599, 700] {
        let run = |taken_up: bool| {
            let (mut net, mut id) = registered();
            net.run(Duration::from_secs(wait));
            let from = net.wire.len();
            if taken_up {
                let before = net.peers[0].ua.bindings(id).cloned();
                let record = net.peers[0].ua.export_registration(net.now, id).unwrap();
                let mut fresh = like(&net, 0);
                id = fresh.restore_registration(net.now, &record).unwrap();
                assert_eq!(fresh.bindings(id).cloned(), before);
                assert_eq!(fresh.export_registration(net.now, id).unwrap(), record);
                assert_eq!(fresh.restore_registration(net.now, &record), Err(RestoreError::Known));
                net.replace(0, fresh);
            }
            net.run(Duration::from_secs(1000));
            net.with(0, |ua, now| ua.deregister(now, id)).unwrap();
            net.run(SECOND);
            wire(&net, from)
        };
        let (with, without) = (run(true), run(false));
        assert!(without.len() >= 6);
        assert_eq!(with, without, "{wait}");
    }
}

/// A REGISTER that was under way is sent again with a number that was not used; one that removes is not handed over.
#[test]
fn a_register_under_way_is_sent_again() {
    let (mut net, id) = registered();
    net.rule = alloc::boxed::Box::new(|_, _| Fate::Lost);
    net.with(0, |ua, now| ua.renew_registration(now, id)).unwrap();
    let record = net.peers[0].ua.export_registration(net.now, id).unwrap();
    let mut fresh = like(&net, 0);
    fresh.restore_registration(net.now, &record).unwrap();
    net.replace(0, fresh);
    net.rule = alloc::boxed::Box::new(|_, _| Fate::Arrives);
    net.run(SECOND);
    let sent = net
        .wire
        .iter()
        .filter(|p| p.label() == "REGISTER")
        .map(|p| String::from_utf8_lossy(&p.bytes).into_owned());
    let numbers: Vec<String> = sent
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("CSeq: ").map(String::from)))
        .collect();
    assert_eq!(numbers, ["1 REGISTER", "2 REGISTER", "3 REGISTER"]);

    let (mut net, id) = registered();
    net.with(0, |ua, now| ua.deregister(now, id)).unwrap();
    assert_eq!(net.peers[0].ua.export_registration(net.now, id), Err(Refusal::Busy));
    net.run(SECOND);
    net.peers[0].ua.forget_registration(id);
    assert_eq!(net.peers[0].ua.export_registration(net.now, id), Err(Refusal::Gone));
}

proptest! {
    /// Octets that are under a checksum that fits, but are not what was written: no panic, and either refused or a record
    /// that stays what it is.
    #[test]
    fn forged_values_do_no_harm(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        shorter in any::<bool>(),
    ) {
        let (dialog, now) = record_of_a_dialog();
        let (net, id) = registered();
        let registration = net.peers[0].ua.export_registration(now, id).unwrap();
        let (subscription, notifier) = records_of_a_subscription();
        let dialogs = [dialog, subscription, notifier].map(|record| (*b"DIAL", record));
        for (kind, record) in dialogs.into_iter().chain([(*b"REGI", registration)]) {
            let mut values = record[14..record.len() - 4].to_vec();
            for (at, octet) in &edits {
                let at = at.index(values.len());
                values[at] = *octet;
            }
            if shorter {
                values.truncate(cut.index(values.len()));
            }
            let mut ua = Endpoint::new(calling(2, 300)).unwrap();
            let forged = sealed(kind, &values);
            let again = match &kind {
                b"DIAL" => ua.restore_dialog(now, &forged).ok().map(|r| ua.export_dialog(now, r.dialog).unwrap()),
                _ => ua.restore_registration(now, &forged).ok().map(|id| ua.export_registration(now, id).unwrap()),
            };
            if let Some(again) = again {
                let mut other = Endpoint::new(calling(2, 300)).unwrap();
                let third = match &kind {
                    b"DIAL" => other.restore_dialog(now, &again).map(|r| other.export_dialog(now, r.dialog).unwrap()),
                    _ => other.restore_registration(now, &again).map(|id| other.export_registration(now, id).unwrap()),
                };
                prop_assert_eq!(third.unwrap(), again);
            }
        }
    }
}

/// A subscription between peer 0 and the notifier at peer 1; one of them may be taken up by a fresh endpoint after a time.
/// Gives what crossed the network from there on.
fn subscribed(wait: u64, taken_up: Option<usize>, leaves: bool) -> Vec<(Instant, String)> {
    let mut net = Net::new([quiet_config(1), quiet_config(2)]);
    net.script(0, watching(StatusCode::OK));
    net.script(1, serving(Acceptance { min_interval: 5 * SECOND, ..accept("one") }));
    net.with(0, |ua, now| ua.subscribe(now, new_subscription(300)).unwrap());
    net.run(Duration::from_secs(wait));
    let from = net.wire.len();
    if let Some(peer) = taken_up {
        let ua = &net.peers[peer].ua;
        let dialog = match peer {
            0 => ua.subscription_dialog(*ua.usages.subscriptions.keys().next().unwrap()),
            _ => ua.notifier_dialog(*ua.usages.notifiers.keys().next().unwrap()),
        };
        let record = ua.export_dialog(net.now, dialog.unwrap()).unwrap();
        let mut fresh = like(&net, peer);
        let restored = fresh.restore_dialog(net.now, &record).unwrap();
        assert_eq!((restored.subscriptions.len(), restored.notifiers.len()), (1 - peer, peer));
        assert_eq!(fresh.export_dialog(net.now, restored.dialog).unwrap(), record);
        net.replace(peer, fresh);
    }
    for text in ["two", "three"] {
        net.with(1, |ua, now| {
            let notifier = *ua.usages.notifiers.keys().next().unwrap();
            ua.notify(now, notifier, Headers::new(), Some(state(text))).unwrap();
        });
    }
    // Refreshed twice.
    net.run(Duration::from_secs(400));
    if leaves {
        net.with(0, |ua, now| ua.unsubscribe(now, *ua.usages.subscriptions.keys().next().unwrap())).unwrap();
    } else {
        net.with(1, |ua, now| {
            let notifier = *ua.usages.notifiers.keys().next().unwrap();
            ua.terminate_subscription(now, notifier, Termination::NoResource, None).unwrap();
        });
    }
    net.run_to_quiet();
    wire(&net, from)
}

/// Subscriptions are part of their dialog: refreshed, notified and ended by whoever took them up.
#[test]
fn a_subscription_goes_on_as_if_nothing_had_happened() {
    for wait in [2, 40, 200] {
        for leaves in [true, false] {
            let without = subscribed(wait, None, leaves);
            let of = |label: &str| {
                without.iter().filter(|(_, text)| text.contains(&format!(": {label} sip"))).count()
            };
            assert!(of("SUBSCRIBE") >= 2 && of("NOTIFY") >= 4, "{without:?}");
            for peer in 0..2 {
                assert_eq!(subscribed(wait, Some(peer), leaves), without, "{wait} {peer} {leaves}");
            }
        }
    }
}

/// A subscription about which something is under way is not written, and the limits bind what is taken up.
#[test]
fn subscriptions_are_exported_at_rest_and_bounded() {
    let mut net = Net::new([quiet_config(1), quiet_config(2)]);
    net.script(0, watching(StatusCode::OK));
    net.script(1, serving(accept("one")));
    net.with(0, |ua, now| ua.subscribe(now, new_subscription(300)).unwrap());
    net.run(SECOND);
    let dialog = dialog_of(&net, 0);
    let record = net.peers[0].ua.export_dialog(net.now, dialog).unwrap();
    net.with(0, |ua, now| ua.refresh_subscription(now, *ua.usages.subscriptions.keys().next().unwrap()))
        .unwrap();
    assert_eq!(net.peers[0].ua.export_dialog(net.now, dialog), Err(Refusal::Busy), "a SUBSCRIBE");
    let mut config = quiet_config(3);
    config.limits.max_subscriptions = 1;
    let mut ua = Endpoint::new(config).unwrap();
    ua.subscribe(net.now, new_subscription(300)).unwrap();
    ua.restore_dialog(net.now, &record).unwrap();
    let mut second = Net::new([quiet_config(4), quiet_config(2)]);
    second.script(0, watching(StatusCode::OK));
    second.script(1, serving(accept("one")));
    second.with(0, |ua, now| ua.subscribe(now, new_subscription(300)).unwrap());
    second.run(SECOND);
    let record = second.peers[0].ua.export_dialog(second.now, dialog_of(&second, 0)).unwrap();
    let error = ua.restore_dialog(second.now, &record).unwrap_err();
    assert!(matches!(error, RestoreError::Limit(limit) if limit.limit == "sub.max"), "{error}");
    assert_eq!(ua.dialogs.len(), 1, "nothing of it is there");
}
