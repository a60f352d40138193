//! Subscriptions between two endpoints, and against raw messages (RFC 6665).

use super::net::*;
use super::registrations::quiet_config;
use crate::*;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::Now;
use cpm_sip::{Event as Package, HeaderName, HeaderText, Headers, NameAddr, Response, StatusCode};

pub(super) fn state(text: &str) -> Body {
    Body {
        content_type: HeaderText::new("text/plain").unwrap(),
        octets: Bytes::copy_from_slice(text.as_bytes()),
    }
}

pub(super) fn new_subscription(expires: u32) -> NewSubscription {
    NewSubscription {
        resource: uri("sip:user2@10.0.0.2:5060"),
        from: NameAddr::new(uri("sip:user1@example.com")),
        package: Package::new("presence").unwrap(),
        expires,
        headers: Headers::new(),
        body: None,
        destination: Destination::Routed,
    }
}

pub(super) fn accept(text: &str) -> Acceptance {
    Acceptance { authorised: true, body: Some(state(text)), ..Acceptance::default() }
}

/// Answers NOTIFYs with this status.
pub(super) fn watching(status: StatusCode) -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| {
        if let Event::Subscriber { event: SubscriberEvent::Notified { id, notify, .. }, .. } = event {
            ua.respond(now, *id, Response::for_request(notify, status)).unwrap();
        }
    }
}

/// Accepts every SUBSCRIBE like this.
pub(super) fn serving(acceptance: Acceptance) -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| {
        if let Event::Subscribe { id, .. } = event {
            ua.accept_subscription(now, *id, acceptance.clone()).unwrap();
        }
    }
}

pub(super) struct Rig {
    pub(super) net: Net,
}

impl Rig {
    fn new(acceptance: Acceptance) -> Rig {
        Rig::with(acceptance, |_| {})
    }

    fn with(acceptance: Acceptance, change: impl FnOnce(&mut Config)) -> Rig {
        let mut notifier = quiet_config(2);
        change(&mut notifier);
        let mut net = Net::new([quiet_config(1), notifier]);
        net.script(0, watching(StatusCode::OK));
        net.script(1, serving(acceptance));
        Rig { net }
    }

    fn subscribe(&mut self, expires: u32) -> SubscribeId {
        self.net.with(0, |ua, now| ua.subscribe(now, new_subscription(expires)).unwrap())
    }

    pub(super) fn run(&mut self, seconds: u64) {
        self.net.run(Duration::from_secs(seconds));
    }

    /// The subscriptions of peer 0 and the notifiers of peer 1.
    fn held(&self) -> (Vec<SubscriptionId>, Vec<NotifierId>) {
        let usages = [&self.net.peers[0].ua.usages, &self.net.peers[1].ua.usages];
        (usages[0].subscriptions.keys().copied().collect(), usages[1].notifiers.keys().copied().collect())
    }

    fn one(&self) -> (SubscriptionId, NotifierId) {
        let (subscriptions, notifiers) = self.held();
        assert_eq!((subscriptions.len(), notifiers.len()), (1, 1));
        (subscriptions[0], notifiers[0])
    }

    /// What both were told, in words.
    pub(super) fn story(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        for peer in &mut self.net.peers {
            for event in core::mem::take(&mut peer.events) {
                words.extend(word(&event));
            }
        }
        words
    }
}

pub(super) fn word(event: &Event) -> Option<String> {
    Some(match event {
        Event::Subscriber { event, .. } => match event {
            SubscriberEvent::Accepted { response, subscription } => {
                format!(
                    "{}{}",
                    response.status().as_u16(),
                    if subscription.is_some() { "" } else { " without" }
                )
            }
            SubscriberEvent::Notified { state, notify, .. } => {
                let text = core::str::from_utf8(notify.body()).unwrap().trim_end();
                format!("{} [{text}]", state.as_str())
            }
            SubscriberEvent::Ended { why, again, .. } => {
                let why = match why {
                    SubscriptionEnd::Rejected(response) => response.status().as_u16().to_string(),
                    SubscriptionEnd::Terminated(reason) => reason.clone().unwrap_or_default(),
                    other => format!("{other:?}"),
                };
                format!("ended {why} {again:?}")
            }
            SubscriberEvent::Failed { why } => match why.response() {
                Some(response) => format!("failed {}", response.status().as_u16()),
                None => "failed".into(),
            },
        },
        Event::Subscribe { expires, refreshes, .. } => {
            format!("asked {expires}{}", if refreshes.is_some() { " again" } else { "" })
        }
        Event::Notifier { event: NotifierEvent::NotTaken { response }, .. } => {
            format!("not taken {}", response.status().as_u16())
        }
        Event::Notifier { event: NotifierEvent::Ended(why), .. } => format!("served {why:?}"),
        _ => return None,
    })
}

#[test]
fn subscribed_refreshed_notified_and_left() {
    let mut rig = Rig::new(accept("one"));
    rig.subscribe(3600);
    rig.run(1);
    let (subscription, notifier) = rig.one();
    assert_eq!(rig.story(), ["200", "active [one]", "asked 3600"]);
    rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state("two"))).unwrap());
    rig.run(3001);
    assert_eq!(rig.story(), ["active [two]", "active [one]", "asked 3600 again"]);
    rig.net.with(0, |ua, now| ua.refresh_subscription(now, subscription).unwrap());
    assert_eq!(rig.net.with(0, |ua, now| ua.refresh_subscription(now, subscription)), Err(Refusal::Busy));
    rig.run(1);
    assert_eq!(rig.story(), ["active [one]", "asked 3600 again"]);
    rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
    assert_eq!(rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription)), Err(Refusal::Gone));
    rig.run(1);
    assert_eq!(
        rig.story(),
        ["terminated [one]", "ended Unsubscribed Now", "asked 0 again", "served Unsubscribed"]
    );
    assert_eq!(rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription)), Err(Refusal::Gone));
    let refused = rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), None).unwrap_err());
    assert_eq!(refused.why, Refusal::Gone);
    rig.net.run_to_quiet();
}

/// Threat D1: `Expires: 0` is a final NOTIFY and nothing after it.
#[test]
fn a_fetch_gets_the_state_once() {
    let mut rig = Rig::new(accept("now"));
    rig.subscribe(0);
    rig.run(1);
    let story = rig.story();
    assert_eq!(story, ["200", "terminated [now]", "ended timeout Now", "asked 0", "served Unsubscribed"]);
    rig.net.run_to_quiet();
}

/// Threat D2: nothing of the state before the function has authorised the subscriber.
#[test]
fn a_pending_subscriber_gets_no_state() {
    let mut rig = Rig::new(Acceptance::default());
    rig.subscribe(3600);
    rig.run(1);
    let (_, notifier) = rig.one();
    assert_eq!(rig.story(), ["200", "pending []", "asked 3600"]);
    let refused = rig
        .net
        .with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state("secret"))).unwrap_err());
    assert_eq!((refused.why, refused.given.1), (Refusal::Unauthorised, Some(state("secret"))));
    let refused = rig.net.with(1, |ua, now| {
        ua.terminate_subscription(now, notifier, Termination::Rejected, Some(state("secret"))).unwrap_err()
    });
    assert_eq!(refused.why, Refusal::Unauthorised);
    rig.net.with(1, |ua, now| ua.authorise(now, notifier, Some(state("open"))).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["active [open]"]);
    rig.net.with(1, |ua, now| {
        ua.terminate_subscription(now, notifier, Termination::Rejected, None).unwrap();
    });
    rig.run(1);
    assert_eq!(rig.story(), ["terminated []", "ended rejected Never", "served Terminated"]);
    rig.net.run_to_quiet();
    // Not even in the acceptance.
    let mut rig = Rig::new(Acceptance::default());
    rig.net.script(1, |ua, now, event| {
        if let Event::Subscribe { id, request, .. } = event {
            let both = Acceptance { authorised: false, ..accept("secret") };
            let refused = ua.accept_subscription(now, *id, both).unwrap_err();
            assert_eq!((refused.why, refused.given.body), (Refusal::Unauthorised, Some(state("secret"))));
            let plain = Response::for_request(request, StatusCode::OK);
            assert_eq!(ua.respond(now, *id, plain).unwrap_err().why, Refusal::Status);
            ua.respond(now, *id, Response::for_request(request, StatusCode::FORBIDDEN)).unwrap();
            assert_eq!(ua.accept_subscription(now, *id, accept("x")).unwrap_err().why, Refusal::Gone);
        }
    });
    rig.subscribe(3600);
    rig.run(1);
    assert_eq!(rig.story(), ["failed 403", "asked 3600"]);
    assert!(rig.net.wire.iter().all(|packet| !String::from_utf8_lossy(&packet.bytes).contains("secret")));
    rig.net.run_to_quiet();
}

#[test]
fn reasons_say_whether_to_come_back() {
    let cases = [
        (Termination::Deactivated, "ended deactivated Now"),
        (Termination::Probation(Some(7)), "ended probation After(7)"),
        (Termination::Probation(None), "ended probation Now"),
        (Termination::Rejected, "ended rejected Never"),
        (Termination::Timeout, "ended timeout Now"),
        (Termination::GiveUp(Some(9)), "ended giveup After(9)"),
        (Termination::NoResource, "ended noresource Never"),
        (Termination::Invariant, "ended invariant Never"),
    ];
    for (reason, expected) in cases {
        let mut rig = Rig::new(accept("x"));
        rig.subscribe(3600);
        rig.run(1);
        let (_, notifier) = rig.one();
        rig.net.with(1, |ua, now| ua.terminate_subscription(now, notifier, reason, None).unwrap());
        rig.run(1);
        assert_eq!(rig.story()[3], expected);
        rig.net.run_to_quiet();
    }
}

/// Threat D6: a subscription whose end nobody hears of ends all the same, on both sides.
#[test]
fn expiry_is_the_owners() {
    let mut rig = Rig::new(accept("x"));
    rig.subscribe(600);
    rig.run(1);
    rig.net.rule = Box::new(|_, _| Fate::Lost);
    rig.run(700);
    let (subscriptions, notifiers) = rig.held();
    assert_eq!((subscriptions.len(), notifiers.len()), (0, 0));
    let story = rig.story();
    assert!(story.contains(&"ended Expired Now".to_string()), "{story:?}");
    assert!(story.contains(&"served Expired".to_string()), "{story:?}");
    rig.net.run_to_quiet();
}

/// Threat D6: less than a minute is too brief, more than a day is a day.
#[test]
fn lifetimes_have_bounds() {
    for (asked, seen) in [(1, 60), (59, 60), (60, 60), (86_400, 86_400), (u32::MAX, 86_400)] {
        let mut rig = Rig::new(accept("x"));
        rig.subscribe(asked);
        rig.run(1);
        assert_eq!(rig.story(), ["200".into(), "active [x]".into(), format!("asked {seen}")], "{asked}");
    }
    // The function may shorten, never lengthen.
    for (granted, refresh) in [(100, 50), (7200, 3000)] {
        let mut rig = Rig::new(Acceptance { expires: Some(granted), ..accept("x") });
        rig.subscribe(3600);
        rig.run(1);
        rig.story();
        rig.run(refresh - 2);
        assert_eq!(rig.story(), [""; 0]);
        rig.run(3);
        assert_eq!(rig.story().len(), 2);
    }
}

/// Threat D2: so many subscriptions, and so many of each.
#[test]
fn subscriptions_are_bounded() {
    let mut rig = Rig::with(accept("x"), |config| {
        config.limits.max_subscriptions = 3;
        config.limits.max_subscriptions_per_identity = 2;
    });
    for _ in 0..3 {
        rig.subscribe(3600);
        rig.run(1);
    }
    assert_eq!(
        rig.story().iter().filter(|word| word.starts_with("failed")).collect::<Vec<_>>(),
        ["failed 403"]
    );
    let mut others = new_subscription(3600);
    others.from = NameAddr::new(uri("sip:somebody@example.org"));
    for _ in 0..2 {
        let others = others.clone();
        rig.net.with(0, |ua, now| ua.subscribe(now, others).unwrap());
        rig.run(1);
    }
    assert_eq!(
        rig.story().iter().filter(|word| word.starts_with("failed")).collect::<Vec<_>>(),
        ["failed 503"]
    );
    let (subscriptions, notifiers) = rig.held();
    assert_eq!((subscriptions.len(), notifiers.len()), (3, 3));
    for subscription in subscriptions {
        rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
    }
    rig.run(1);
    rig.net.run_to_quiet();
}

#[test]
fn packages_that_are_not_served() {
    let mut rig = Rig::with(accept("x"), |config| config.event_packages = vec!["conference".into()]);
    rig.subscribe(3600);
    rig.run(1);
    assert_eq!(rig.story(), ["failed 489"]);
    let allowed = String::from_utf8_lossy(&rig.net.wire[1].bytes).contains("Allow-Events: conference");
    assert!(allowed);
    // Nobody subscribes to a REFER.
    let mut refer = new_subscription(3600);
    refer.package = Package::new("refer").unwrap();
    let mut rig = Rig::new(accept("x"));
    rig.net.with(0, |ua, now| ua.subscribe(now, refer).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["failed 403"]);
    rig.net.run_to_quiet();
}

/// Threat D3: one NOTIFY at a time, and of what changes meanwhile the newest.
#[test]
fn one_outstanding_notify_and_the_newest_state_next() {
    let mut rig = Rig::new(accept("0"));
    rig.subscribe(3600);
    rig.run(1);
    rig.story();
    let (_, notifier) = rig.one();
    for n in 1..100 {
        let body = Some(state(&n.to_string()));
        rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), body).unwrap());
    }
    rig.run(1);
    assert_eq!(rig.story(), ["active [1]", "active [99]"]);
    // With a rate: the first at once, then one in each interval; the end does not wait.
    let mut rig = Rig::new(Acceptance { min_interval: Duration::from_secs(10), ..accept("0") });
    rig.subscribe(3600);
    rig.run(1);
    let (_, notifier) = rig.one();
    for n in 1..30 {
        let body = Some(state(&n.to_string()));
        rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), body).unwrap());
        rig.run(1);
    }
    rig.net.with(1, |ua, now| {
        ua.terminate_subscription(now, notifier, Termination::NoResource, Some(state("end"))).unwrap();
    });
    rig.run(1);
    assert_eq!(
        rig.story(),
        [
            "200",
            "active [0]",
            "active [10]",
            "active [20]",
            "terminated [end]",
            "ended noresource Never",
            "asked 3600",
            "served Terminated"
        ]
    );
    rig.net.run_to_quiet();
}

/// Answers so many NOTIFYs with 503 and this Retry-After, the others with 200.
fn busy(mut times: usize, seconds: u32) -> impl FnMut(&mut Endpoint, Now, &Event) {
    move |ua, now, event| {
        if let Event::Subscriber { event: SubscriberEvent::Notified { id, notify, .. }, .. } = event {
            let mut response = Response::for_request(notify, StatusCode::OK);
            if times > 0 {
                times -= 1;
                response = Response::for_request(notify, StatusCode::SERVICE_UNAVAILABLE);
                response.headers_mut().push_typed(&cpm_sip::RetryAfter { seconds, duration: None });
            }
            ua.respond(now, *id, response).unwrap();
        }
    }
}

/// RFC 3261 §21.5.4: what is put off comes after its time and not before; newer state takes its place.
#[test]
fn a_notify_that_is_put_off_comes_later() {
    let mut rig = Rig::new(accept("0"));
    rig.subscribe(3600);
    rig.run(1);
    let (_, notifier) = rig.one();
    rig.story();
    let tell = |rig: &mut Rig, text: &str| {
        rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state(text))).unwrap());
    };
    rig.net.script(0, busy(1, 60));
    tell(&mut rig, "1");
    rig.run(58);
    assert_eq!(rig.story(), ["active [1]"]);
    rig.run(3);
    assert_eq!(rig.story(), ["active [1]"], "the same again");
    rig.net.script(0, busy(1, 60));
    tell(&mut rig, "2");
    rig.run(5);
    tell(&mut rig, "3");
    tell(&mut rig, "4");
    rig.run(50);
    assert_eq!(rig.story(), ["active [2]"]);
    rig.run(10);
    assert_eq!(rig.story(), ["active [4]"]);
    assert_eq!(rig.net.peers[1].ua.metrics().get("ua.notifies_put_off"), 2);
    // The last one as well; it ends the subscription when it was taken.
    rig.net.script(0, busy(2, 60));
    rig.net.with(1, |ua, now| {
        ua.terminate_subscription(now, notifier, Termination::NoResource, Some(state("end"))).unwrap();
    });
    rig.run(90);
    assert_eq!(rig.story(), ["terminated [end]", "terminated [end]"]);
    rig.run(60);
    assert_eq!(rig.story(), ["terminated [end]", "ended noresource Never", "served Terminated"]);
    rig.net.run_to_quiet();
}

/// Threat D3: nobody makes a notifier send one NOTIFY for ever, or hold it for days.
#[test]
fn a_notify_is_not_put_off_for_ever() {
    for (times, seconds, expected) in [(100, 1, 6), (1, 301, 1)] {
        let mut rig = Rig::new(accept("0"));
        rig.subscribe(3600);
        rig.run(1);
        let (_, notifier) = rig.one();
        rig.story();
        rig.net.script(0, busy(times, seconds));
        rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state("1"))).unwrap());
        rig.run(1000);
        let mut words = rig.story();
        assert_eq!(words.pop().as_deref(), Some("not taken 503"));
        assert_eq!(words, vec!["active [1]"; expected]);
        assert_eq!(rig.held().1.len(), 1);
    }
}

#[test]
fn a_subscriber_that_is_gone_is_let_go() {
    for (status, over) in [(481, true), (404, true), (489, true), (500, false), (403, false)] {
        let mut rig = Rig::new(accept("0"));
        rig.subscribe(3600);
        rig.run(1);
        rig.story();
        let (_, notifier) = rig.one();
        rig.net.script(0, watching(StatusCode::new(status).unwrap()));
        rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state("1"))).unwrap());
        rig.run(1);
        let expected = if over { "served Gone".to_string() } else { format!("not taken {status}") };
        assert_eq!(rig.story().last(), Some(&expected));
        assert_eq!(rig.held().1.is_empty(), over);
    }
    // Silence is an answer, too.
    let mut rig = Rig::new(accept("0"));
    rig.subscribe(3600);
    rig.run(1);
    let (_, notifier) = rig.one();
    rig.net.rule = Box::new(|_, _| Fate::Lost);
    rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), None).unwrap());
    rig.run(33);
    assert_eq!(rig.story().last().unwrap(), "served Gone");
}

/// Forgotten subscriptions are answered 481: the notifier lets go.
#[test]
fn a_forgotten_subscription_is_unknown() {
    let mut rig = Rig::new(accept("0"));
    rig.subscribe(3600);
    rig.run(1);
    rig.story();
    let (subscription, notifier) = rig.one();
    rig.net.with(0, |ua, _| assert!(ua.forget_subscription(subscription)));
    rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), None).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["served Gone"]);
    rig.net.run_to_quiet();
}

#[test]
fn a_refresh_that_is_refused() {
    for (status, word) in
        [(481, Some("ended 481 Now")), (404, Some("ended 404 Now")), (500, None), (503, None)]
    {
        let mut rig = Rig::new(accept("0"));
        rig.subscribe(3600);
        rig.run(1);
        rig.net.script(1, move |ua, now, event| {
            if let Event::Subscribe { id, request, .. } = event {
                let response = Response::for_request(request, StatusCode::new(status).unwrap());
                ua.respond(now, *id, response).unwrap();
            }
        });
        rig.story();
        rig.run(3001);
        let story = rig.story();
        match word {
            Some(word) => assert_eq!(story[0], word),
            None => {
                // It stands until it expires, and is tried again before.
                assert_eq!(rig.held().0.len(), 1);
                rig.run(700);
                let story = rig.story();
                assert!(story.iter().filter(|word| *word == "asked 3600 again").count() >= 2, "{story:?}");
                assert!(story.contains(&"ended timeout Now".to_string()), "{story:?}");
            }
        }
    }
}

#[test]
fn nobody_answers() {
    let mut rig = Rig::new(accept("0"));
    rig.net.rule = Box::new(|_, _| Fate::Lost);
    rig.subscribe(3600);
    rig.run(33);
    assert_eq!(rig.story(), ["failed"]);
    rig.net.run_to_quiet();
}

/// Timer N: a 2xx that no NOTIFY follows makes a subscription that ends.
#[test]
fn no_notify_follows() {
    let mut rig = Rig::new(accept("0"));
    rig.net.rule = Box::new(|_, packet| if packet.label() == "NOTIFY" { Fate::Lost } else { Fate::Arrives });
    rig.subscribe(3600);
    rig.run(34);
    assert_eq!(rig.story()[..2], ["200".to_string(), "ended NoNotify Now".to_string()]);
    rig.net.run_to_quiet();
    // The same after a refresh.
    let mut rig = Rig::new(accept("0"));
    rig.subscribe(3600);
    rig.run(1);
    rig.story();
    rig.net.rule = Box::new(|_, packet| if packet.label() == "NOTIFY" { Fate::Lost } else { Fate::Arrives });
    rig.run(3034);
    assert_eq!(rig.story()[0], "ended NoNotify Now");
    rig.net.run_to_quiet();
}

/// A NOTIFY that overtakes its 2xx, or comes without one, makes the subscription (RFC 6665 §4.1.2.4).
#[test]
fn the_notify_may_come_first() {
    let mut rig = Rig::new(accept("0"));
    rig.net.rule = Box::new(|_, packet| match packet.label().as_str() {
        "200 SUBSCRIBE" => Fate::Late(Duration::from_millis(400)),
        _ => Fate::Arrives,
    });
    rig.subscribe(3600);
    rig.run(1);
    assert_eq!(rig.story(), ["active [0]", "200", "asked 3600"]);
    rig.one();
    let mut rig = Rig::new(accept("0"));
    rig.net.rule = Box::new(|_, packet| match packet.label().as_str() {
        "200 SUBSCRIBE" => Fate::Lost,
        _ => Fate::Arrives,
    });
    rig.subscribe(3600);
    rig.run(40);
    assert_eq!(rig.story(), ["active [0]", "asked 3600"]);
    rig.one();
}

/// The SUBSCRIBE forks: each notifier makes a subscription of its own, the one whose 2xx was not chosen too.
#[test]
fn a_forked_subscribe_makes_several_subscriptions() {
    let mut net = Net::new([quiet_config(1), proxy_config(2), quiet_config(3), quiet_config(4)]);
    net.script(0, watching(StatusCode::OK));
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let branch = |n: u8| {
                let mut request = request.clone();
                request.set_uri(uri(&format!("sip:user{n}@{}", address(n))));
                Branch { request, destination: Destination::Routed }
            };
            ua.proxy(now, *id, vec![branch(3), branch(4)], ProxyOptions::default()).unwrap();
        }
    });
    net.script(2, serving(accept("three")));
    net.script(3, serving(accept("four")));
    net.with(0, |ua, now| ua.subscribe(now, new_subscription(3600)).unwrap());
    net.run(Duration::from_secs(60));
    let mut rig = Rig { net };
    let story = rig.story();
    let of_first = |word: &str| story.iter().filter(|told| *told == word).count();
    assert_eq!(
        (of_first("200"), of_first("active [three]"), of_first("active [four]")),
        (1, 1, 1),
        "{story:?}"
    );
    let subscriptions: Vec<SubscriptionId> =
        rig.net.peers[0].ua.usages.subscriptions.keys().copied().collect();
    assert_eq!(subscriptions.len(), 2);
    // They are refreshed and ended apart.
    rig.run(3001);
    assert_eq!(rig.story().iter().filter(|word| *word == "asked 3600 again").count(), 2);
    rig.net.with(0, |ua, now| ua.unsubscribe(now, subscriptions[0]).unwrap());
    rig.run(1);
    assert_eq!(rig.net.peers[0].ua.usages.subscriptions.len(), 1);
    rig.net.with(0, |ua, now| ua.unsubscribe(now, subscriptions[1]).unwrap());
    rig.net.run_to_quiet();
}

/// Threat D3: what a subscriber holds of NOTIFYs is bounded, and so is each of them.
#[test]
fn a_flood_of_notifies_is_turned_away() {
    let mut rig = Rig::new(accept("0"));
    rig.subscribe(3600);
    rig.run(1);
    // From now on nobody answers NOTIFYs.
    rig.net.script(0, |_, _, _| {});
    let first = rig.net.wire.iter().find(|packet| packet.label() == "NOTIFY").unwrap().clone();
    let text = String::from_utf8(first.bytes.to_vec()).unwrap();
    let notify = |n: usize, body: &str| {
        let branch = text.split("branch=").nth(1).unwrap().split([';', '\r']).next().unwrap();
        let text = text.replace(branch, &format!("z9hG4bKflood{n}"));
        let text = text.replace("CSeq: 1 NOTIFY", &format!("CSeq: {} NOTIFY", n + 100));
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let head: Vec<&str> = head.lines().filter(|line| !line.starts_with("Content-Length")).collect();
        format!("{}\r\nContent-Length: {}\r\n\r\n{body}", head.join("\r\n"), body.len())
    };
    for n in 0..40 {
        rig.net.inject(0, address(2), notify(n, "x"));
        rig.run(0);
    }
    rig.run(1);
    let labels = rig.net.labels();
    assert_eq!(labels.iter().filter(|label| *label == "503 NOTIFY").count(), 40 - 32);
    let mut rig = Rig::new(accept("0"));
    rig.subscribe(3600);
    rig.run(1);
    let first = rig.net.wire.iter().find(|packet| packet.label() == "NOTIFY").unwrap().clone();
    assert!(first.bytes.len() < 2000);
    let (subscription, notifier) = rig.one();
    rig.net.peers[0].ua.config.limits.max_notify_body = 10;
    for (body, word) in [("0123456789", "active [0123456789]"), ("0123456789A", "not taken 413")] {
        rig.story();
        rig.net.with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state(body))).unwrap());
        rig.run(1);
        assert_eq!(rig.story(), [word]);
    }
    rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
    rig.run(1);
    rig.net.run_to_quiet();
}

/// Threat D3: a NOTIFY for a dialog or a package that nobody subscribed to.
#[test]
fn strange_notifies_are_refused() {
    let mut rig = Rig::new(accept("0"));
    rig.subscribe(3600);
    rig.run(1);
    let first = rig.net.wire.iter().find(|packet| packet.label() == "NOTIFY").unwrap().clone();
    let text = String::from_utf8(first.bytes.to_vec()).unwrap();
    let call_id = text.split("Call-ID: ").nth(1).unwrap().split("\r\n").next().unwrap().to_string();
    let cases = [
        ("Event: presence", "Event: dialog", "481 NOTIFY"),
        ("Event: presence", "Event: presence;id=7", "481 NOTIFY"),
        ("Event: presence", "X: y", "489 NOTIFY"),
        (call_id.as_str(), "elsewhere", "481 NOTIFY"),
        ("Subscription-State: active", "X: y", "400 NOTIFY"),
        ("Subscription-State: active;expires=", "Subscription-State: active;expires=x", "400 NOTIFY"),
    ];
    for (n, (from, to, answer)) in cases.iter().enumerate() {
        assert!(text.contains(from), "{from} in {text}");
        let branch = text.split("branch=").nth(1).unwrap().split([';', '\r']).next().unwrap();
        let strange = text.replace(from, to).replace(branch, &format!("z9hG4bKstrange{n}"));
        let strange = strange.replace("CSeq: 1 NOTIFY", &format!("CSeq: {} NOTIFY", n + 10));
        rig.net.wire.clear();
        rig.net.inject(0, address(2), strange);
        rig.run(1);
        assert_eq!(rig.net.labels(), [*answer], "{to}");
    }
    let (subscription, _) = rig.one();
    rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
    rig.net.run_to_quiet();
}

/// A subscription in the dialog of a call: the dialog lives as long as either (RFC 5057, RFC 6665 §4.5.2).
#[test]
fn a_call_and_a_subscription_share_a_dialog() {
    for call_first in [true, false] {
        let mut net = Net::new([quiet_config(1), quiet_config(2)]);
        let mut polite = super::scripts::polite();
        let mut serve = serving(accept("in"));
        net.script(1, move |ua, now, event| {
            serve(ua, now, event);
            polite(ua, now, event);
        });
        let mut watch = watching(StatusCode::OK);
        let mut polite = super::scripts::polite();
        net.script(0, move |ua, now, event| {
            watch(ua, now, event);
            polite(ua, now, event);
        });
        let to_call = invite(1, 2, cpm_base::Transport::Udp);
        net.with(0, |ua, now| ua.invite(now, to_call, Destination::Routed).unwrap());
        net.run(Duration::from_secs(1));
        let dialog = net.peers[0].events.iter().find_map(|event| match event {
            Event::InviteAccepted { dialog, .. } => Some(*dialog),
            _ => None,
        });
        let dialog = dialog.unwrap();
        net.with(0, |ua, now| ua.subscribe_in_dialog(now, dialog, new_subscription(600)).unwrap());
        net.run(Duration::from_secs(1));
        let mut rig = Rig { net };
        let (subscription, notifier) = rig.one();
        assert!(rig.story().contains(&"active [in]".to_string()));
        let bye = |rig: &mut Rig| rig.net.with(0, |ua, now| ua.bye(now, dialog, Headers::new()).map(|_| ()));
        if call_first {
            bye(&mut rig).unwrap();
            rig.run(1);
            rig.net
                .with(1, |ua, now| ua.notify(now, notifier, Headers::new(), Some(state("after"))).unwrap());
            rig.run(1);
            assert!(rig.story().contains(&"active [after]".to_string()));
            rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
        } else {
            rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
            rig.run(1);
            bye(&mut rig).unwrap();
        }
        rig.net.run_to_quiet();
    }
}

#[test]
fn subscriptions_survive_loss_duplication_and_disorder() {
    for seed in 0..30 {
        let mut rig = Rig::new(accept("0"));
        rig.net.rule = super::properties::fates(seed, 10);
        rig.subscribe(600);
        rig.run(60);
        let notifier = rig.held().1.first().copied();
        if let Some(notifier) = notifier {
            for n in 1..20 {
                let body = Some(state(&n.to_string()));
                rig.net.with(1, |ua, now| drop(ua.notify(now, notifier, Headers::new(), body)));
                rig.run(1);
            }
        }
        rig.run(40);
        let (subscriptions, notifiers) = rig.held();
        let story = rig.story();
        if subscriptions.len() == 1 && notifiers.len() == 1 {
            let last = story.iter().rev().find(|word| word.starts_with("active"));
            assert_eq!(last.unwrap(), "active [19]", "{seed}: {story:?}");
            // State never goes back, and nothing comes twice.
            let told: Vec<u32> = story
                .iter()
                .filter_map(|word| word.strip_prefix("active [")?.strip_suffix(']')?.parse().ok())
                .collect();
            assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{seed}: {told:?}");
            rig.net.with(0, |ua, now| drop(ua.unsubscribe(now, subscriptions[0])));
        }
        rig.run(2000);
        rig.net.rule = Box::new(|_, _| Fate::Arrives);
        let (subscriptions, _) = rig.held();
        for subscription in subscriptions {
            rig.net.with(0, |ua, now| drop(ua.unsubscribe(now, subscription)));
        }
        rig.run(3600);
        rig.net.run_to_quiet();
    }
}

#[test]
fn wrong_calls_are_refused_and_give_back() {
    let mut config = quiet_config(1);
    config.sent_by.clear();
    let mut net = Net::new([config, quiet_config(2)]);
    let refused = net.with(0, |ua, now| ua.subscribe(now, new_subscription(60)).unwrap_err());
    assert_eq!((refused.why, refused.given.expires), (Refusal::Missing("Contact"), 60));
    let refused =
        net.with(1, |ua, now| ua.subscribe_in_dialog(now, DialogId(99), new_subscription(60)).unwrap_err());
    assert_eq!(refused.why, Refusal::Gone);
    let refused = net.with(1, |ua, now| {
        ua.subscribe(now, NewSubscription { resource: uri("tel:+1"), ..new_subscription(60) }).unwrap_err()
    });
    assert_eq!(refused.why, Refusal::NoRoute);
    net.script(1, |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            let refused = ua.accept_subscription(now, *id, Acceptance::default()).unwrap_err();
            assert!(matches!(refused.why, Refusal::Method(_)));
            ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
    });
    net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed).unwrap());
    let gone = net.with(0, |ua, now| ua.refresh_subscription(now, SubscriptionId(5)));
    assert_eq!(gone, Err(Refusal::Gone));
    net.run_to_quiet();
}

/// Challenges to SUBSCRIBE and NOTIFY, the first and those in the dialog, are answered without anybody noticing.
#[test]
fn challenges_are_answered_on_the_way() {
    let login = || Login {
        account: cpm_auth::Account::new("u", "example.com", cpm_auth::Secret::password("pw")).unwrap(),
        policy: cpm_auth::AnswerPolicy::default(),
        address: None,
        hosts: Vec::new(),
        proxies: true,
    };
    let mut rig = Rig::new(accept("x"));
    for peer in 0..2 {
        rig.net.with(peer, |ua, _| ua.add_login(login()).unwrap());
    }
    let challenged = |request: &cpm_sip::Request| {
        if request.headers().contains(&HeaderName::ProxyAuthorization) {
            return None;
        }
        let value = HeaderText::new("Digest realm=\"example.com\", nonce=\"1\", qop=\"auth\"").unwrap();
        let response = Response::for_request(request, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        Some(response.with_header(HeaderName::ProxyAuthenticate, value))
    };
    rig.net.script(0, move |ua, now, event| {
        if let Event::Subscriber { event: SubscriberEvent::Notified { id, notify, .. }, .. } = event {
            let fine = Response::for_request(notify, StatusCode::OK);
            ua.respond(now, *id, challenged(notify).unwrap_or(fine)).unwrap();
        }
    });
    rig.net.script(1, move |ua, now, event| {
        if let Event::Subscribe { id, request, .. } = event {
            match challenged(request) {
                Some(response) => drop(ua.respond(now, *id, response).unwrap()),
                None => drop(ua.accept_subscription(now, *id, accept("x")).unwrap()),
            }
        }
    });
    rig.subscribe(600);
    rig.run(301);
    let (subscription, _) = rig.one();
    rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
    rig.run(1);
    let story = rig.story();
    assert_eq!(story.last().unwrap(), "served Unsubscribed");
    assert!(story.contains(&"ended Unsubscribed Now".to_string()), "{story:?}");
    // Each request met one challenge: the first SUBSCRIBE, its refresh, its end, and the NOTIFY of each: the last ends nothing before
    // it was taken.
    let labels = rig.net.labels();
    let count = |label: &str| labels.iter().filter(|l| *l == label).count();
    assert_eq!((count("407 SUBSCRIBE"), count("200 SUBSCRIBE")), (3, 3), "{labels:?}");
    assert_eq!((count("407 NOTIFY"), count("200 NOTIFY")), (3, 3), "{labels:?}");
    rig.net.run_to_quiet();
}

/// A function that also proxies decides request by request what it serves itself.
#[test]
fn a_proxy_may_be_a_notifier_and_a_subscriber() {
    let mut config = quiet_config(2);
    config.role = Role::Proxy;
    let mut net = Net::new([quiet_config(1), config]);
    net.script(0, |ua, now, event| {
        watching(StatusCode::OK)(ua, now, event);
        serving(accept("from the agent"))(ua, now, event);
    });
    net.script(1, |ua, now, event| {
        watching(StatusCode::OK)(ua, now, event);
        if let Event::Request { id, .. } = event {
            ua.accept_subscription(now, *id, accept("from the proxy")).unwrap();
        }
    });
    let mut rig = Rig { net };
    rig.subscribe(600);
    let other = NewSubscription { resource: uri("sip:user1@10.0.0.1:5060"), ..new_subscription(0) };
    rig.net.with(1, |ua, now| ua.subscribe(now, other).unwrap());
    rig.run(1);
    let story = rig.story();
    assert!(story.contains(&"active [from the proxy]".to_string()), "{story:?}");
    assert!(story.contains(&"terminated [from the agent]".to_string()), "{story:?}");
}

#[test]
fn what_drains_begins_nothing_and_holdings_say_what_is_left() {
    let mut rig = Rig::new(accept("x"));
    rig.subscribe(600);
    rig.run(40);
    let holdings = |rig: &Rig, peer: usize| rig.net.peers[peer].ua.holdings();
    assert_eq!((holdings(&rig, 0).subscriptions, holdings(&rig, 1).notifiers), (1, 1));
    rig.net.with(0, |ua, now| ua.drain(now));
    let refused = rig.net.with(0, |ua, now| ua.subscribe(now, new_subscription(600)).unwrap_err());
    assert_eq!(refused.why, Refusal::Draining);
    // What has begun goes on.
    rig.run(300);
    let (subscription, _) = rig.one();
    rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
    rig.run(60);
    assert!(rig.net.peers[0].events.contains(&Event::Drained));
}

/// One step of a program for two endpoints; numbers choose among what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    Subscribe(u32),
    Refresh(usize),
    Leave(usize),
    Forget(usize),
    Notify(usize),
    Authorise(usize),
    Terminate(usize),
    Refer,
    Wait(u64),
    Weather(u64),
    /// Whether SUBSCRIBEs are accepted, as pending, or refused.
    Mood(u8),
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let step = prop_oneof![
        prop_oneof![Just(0u32), Just(60), Just(600), any::<u32>()].prop_map(Step::Subscribe),
        (0usize..4).prop_map(Step::Refresh),
        (0usize..4).prop_map(Step::Leave),
        (0usize..4).prop_map(Step::Forget),
        (0usize..4).prop_map(Step::Notify),
        (0usize..4).prop_map(Step::Authorise),
        (0usize..4).prop_map(Step::Terminate),
        Just(Step::Refer),
        prop_oneof![Just(0u64), 1u64..100, 100u64..5000].prop_map(Step::Wait),
        (0u64..1000).prop_map(Step::Weather),
        (0u8..3).prop_map(Step::Mood),
    ];
    proptest::collection::vec(step, 1..25)
}

fn run_step(rig: &mut Rig, mood: &alloc::rc::Rc<core::cell::Cell<u8>>, step: Step) {
    let (subscriptions, notifiers) = rig.held();
    let subscription = |n: usize| subscriptions.get(n).copied().unwrap_or(SubscriptionId(u64::MAX));
    let notifier = |n: usize| notifiers.get(n).copied().unwrap_or(NotifierId(u64::MAX));
    match step {
        Step::Subscribe(expires) => {
            rig.net.with(0, |ua, now| drop(ua.subscribe(now, new_subscription(expires))));
        }
        Step::Refresh(n) => {
            rig.net.with(0, |ua, now| drop(ua.refresh_subscription(now, subscription(n))));
        }
        Step::Leave(n) => rig.net.with(0, |ua, now| drop(ua.unsubscribe(now, subscription(n)))),
        Step::Forget(n) => rig.net.with(0, |ua, _| _ = ua.forget_subscription(subscription(n))),
        Step::Notify(n) => {
            rig.net.with(1, |ua, now| drop(ua.notify(now, notifier(n), Headers::new(), Some(state("s")))));
        }
        Step::Authorise(n) => rig.net.with(1, |ua, now| drop(ua.authorise(now, notifier(n), None))),
        Step::Terminate(n) => rig.net.with(1, |ua, now| {
            drop(ua.terminate_subscription(now, notifier(n), Termination::Probation(Some(3)), None));
        }),
        Step::Refer => {
            let refer = NewRefer {
                target: uri("sip:user2@10.0.0.2:5060"),
                from: NameAddr::new(uri("sip:user1@example.com")),
                reference: Reference::One(NameAddr::new(uri("sip:carol@example.com"))),
                subscribe: true,
                target_dialog: None,
                headers: Headers::new(),
                destination: Destination::Routed,
            };
            rig.net.with(0, |ua, now| drop(ua.refer(now, refer)));
        }
        Step::Wait(seconds) => rig.run(seconds),
        Step::Weather(seed) => rig.net.rule = super::properties::fates(seed, seed % 30),
        Step::Mood(n) => mood.set(n),
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, ..Default::default() })]

    /// Threats D1, D6: whatever is done in whatever order over whatever net, when the time is over nothing is left.
    #[test]
    fn any_program_ends_empty(program in steps()) {
        let mut net = Net::new([quiet_config(1), quiet_config(2)]);
        let mood = alloc::rc::Rc::new(core::cell::Cell::new(0));
        net.script(0, watching(StatusCode::OK));
        let of_script = alloc::rc::Rc::clone(&mood);
        net.script(1, move |ua, now, event| match event {
            Event::Subscribe { id, request, .. } => match of_script.get() {
                0 => drop(ua.accept_subscription(now, *id, accept("x"))),
                1 => drop(ua.accept_subscription(now, *id, Acceptance::default())),
                _ => drop(ua.respond(now, *id, Response::for_request(request, StatusCode::FORBIDDEN))),
            },
            Event::Refer { id, .. } => {
                let acceptance = ReferAcceptance { subscribe: true, expires: 60, headers: Headers::new() };
                drop(ua.accept_refer(now, *id, acceptance));
            }
            _ => {}
        });
        let mut rig = Rig { net };
        for step in program {
            run_step(&mut rig, &mood, step);
        }
        rig.net.rule = Box::new(|_, _| Fate::Arrives);
        // Nobody refreshes any more; a day is the longest that anything is granted.
        mood.set(2);
        rig.run(90_000);
        rig.net.run_to_quiet();
    }
}
