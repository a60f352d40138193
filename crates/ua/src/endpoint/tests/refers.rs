//! REFER between two endpoints (RFC 3515, RFC 4488, RFC 4538, RFC 5368).

use super::events::{Rig, watching};
use super::net::*;
use super::registrations::quiet_config;
use crate::*;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_sip::{ContentId, HeaderText, Headers, NameAddr, Response, StatusCode};

fn new_refer(subscribe: bool) -> NewRefer {
    NewRefer {
        target: uri("sip:user2@10.0.0.2:5060"),
        from: NameAddr::new(uri("sip:user1@example.com")),
        reference: Reference::One(NameAddr::new(uri("sip:carol@example.com;method=INVITE"))),
        subscribe,
        target_dialog: None,
        headers: Headers::new(),
        destination: Destination::Routed,
    }
}

/// Two peers; the second accepts every REFER like this.
fn rig(subscribe: bool, change: impl FnOnce(&mut Config)) -> Rig {
    let mut second = quiet_config(2);
    second.supported.extend(["norefersub".into(), "multiple-refer".into()]);
    change(&mut second);
    let mut net = Net::new([quiet_config(1), second]);
    net.script(0, watching(StatusCode::OK));
    net.script(1, move |ua, now, event| match event {
        Event::Refer { id, .. } => {
            let acceptance = ReferAcceptance { subscribe, expires: 600, headers: Headers::new() };
            ua.accept_refer(now, *id, acceptance).unwrap();
        }
        Event::Subscribe { id, .. } => {
            ua.accept_subscription(now, *id, Acceptance::default()).unwrap();
        }
        _ => {}
    });
    Rig { net }
}

fn notifier(rig: &Rig) -> NotifierId {
    *rig.net.peers[1].ua.usages.notifiers.keys().last().unwrap()
}

fn told(rig: &Rig) -> (String, bool, Option<DialogId>, Option<DialogId>) {
    let told = rig.net.peers[1].events.iter().rev().find_map(|event| match event {
        Event::Refer { refer_to, wants_subscription, target_dialog, in_dialog, .. } => {
            Some((refer_to.uri().as_str().to_string(), *wants_subscription, *target_dialog, *in_dialog))
        }
        _ => None,
    });
    told.unwrap()
}

#[test]
fn the_implicit_subscription_tells_how_it_went() {
    let mut rig = rig(true, |_| {});
    rig.net.with(0, |ua, now| ua.refer(now, new_refer(true)).unwrap());
    rig.run(1);
    assert_eq!(told(&rig), ("sip:carol@example.com;method=INVITE".into(), true, None, None));
    assert_eq!(rig.story(), ["200", "active [SIP/2.0 100 Trying]"]);
    let id = notifier(&rig);
    rig.net.with(1, |ua, now| ua.report_refer(now, id, StatusCode::RINGING).unwrap());
    rig.run(1);
    rig.net.with(1, |ua, now| ua.report_refer(now, id, StatusCode::OK).unwrap());
    assert_eq!(rig.net.with(1, |ua, now| ua.report_refer(now, id, StatusCode::OK)), Err(Refusal::Gone));
    rig.run(1);
    assert_eq!(
        rig.story(),
        [
            "active [SIP/2.0 180 Ringing]",
            "terminated [SIP/2.0 200 OK]",
            "ended noresource Never",
            "served Terminated"
        ]
    );
    rig.net.run_to_quiet();
}

#[test]
fn without_subscription_where_none_is_wanted() {
    let mut rig = rig(false, |_| {});
    rig.net.with(0, |ua, now| ua.refer(now, new_refer(false)).unwrap());
    rig.run(1);
    assert!(!told(&rig).1);
    assert_eq!(rig.story(), ["200 without"]);
    let text = |n: usize| String::from_utf8_lossy(&rig.net.wire[n].bytes).into_owned();
    assert!(text(0).contains("Refer-Sub: false\r\n") && text(0).contains("Supported: norefersub\r\n"));
    assert!(text(1).contains("Refer-Sub: false\r\n"));
    assert_eq!(rig.net.wire.len(), 2);
    rig.net.run_to_quiet();
}

#[test]
fn a_subscription_is_made_although_none_is_wanted() {
    let mut rig = rig(true, |_| {});
    rig.net.with(0, |ua, now| ua.refer(now, new_refer(false)).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["200", "active [SIP/2.0 100 Trying]"]);
    assert!(String::from_utf8_lossy(&rig.net.wire[1].bytes).contains("Refer-Sub: true\r\n"));
    // Its sender leaves it.
    let subscription = *rig.net.peers[0].ua.usages.subscriptions.keys().next().unwrap();
    rig.net.with(0, |ua, now| ua.unsubscribe(now, subscription).unwrap());
    rig.run(1);
    assert_eq!(
        rig.story(),
        ["terminated []", "ended Unsubscribed Now", "asked 0 again", "served Unsubscribed"]
    );
    rig.net.run_to_quiet();
}

/// RFC 5368: a list in the body, for a receiver that knows such lists.
#[test]
fn several_at_once_in_a_list() {
    let list = Body {
        content_type: HeaderText::new("application/resource-lists+xml").unwrap(),
        octets: Bytes::from_static(b"<resource-lists/>"),
    };
    let content_id = ContentId::new("list@example.com").unwrap();
    let several = || NewRefer {
        reference: Reference::List { content_id: content_id.clone(), list: list.clone() },
        ..new_refer(true)
    };
    let mut rig = rig(false, |_| {});
    rig.net.with(0, |ua, now| ua.refer(now, several()).unwrap());
    rig.run(1);
    assert_eq!(told(&rig), ("cid:list@example.com".into(), false, None, None));
    assert_eq!(rig.story(), ["200 without"]);
    let text = String::from_utf8_lossy(&rig.net.wire[0].bytes).into_owned();
    for line in [
        "Require: multiple-refer",
        "norefersub",
        "Content-ID: <list@example.com>",
        "Content-Disposition: recipient-list",
        "<resource-lists/>",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    rig.net.run_to_quiet();
    // Who does not know them says so.
    let mut rig = self::rig(false, |config| config.supported.clear());
    rig.net.with(0, |ua, now| ua.refer(now, several()).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["failed 420"]);
    rig.net.run_to_quiet();
}

/// In the dialog of a call, as CPM asks; and outside of it with Target-Dialog.
#[test]
fn about_a_call_inside_and_outside_of_its_dialog() {
    let mut rig = rig(true, |_| {});
    let refer = |ua: &mut Endpoint, now: cpm_base::Now, event: &Event| match event {
        Event::Request { id, request, .. } if request.method() == &cpm_sip::Method::Invite => {
            ua.accept(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
        Event::Request { id, request, .. } => {
            ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
        Event::Refer { id, .. } => {
            let acceptance = ReferAcceptance { subscribe: true, expires: 600, headers: Headers::new() };
            ua.accept_refer(now, *id, acceptance).unwrap();
        }
        _ => {}
    };
    rig.net.script(1, move |ua, now, event| refer(ua, now, event));
    let call = invite(1, 2, cpm_base::Transport::Udp);
    rig.net.with(0, |ua, now| ua.invite(now, call, Destination::Routed).unwrap());
    rig.net.run(Duration::from_millis(100));
    let dialog = *rig.net.peers[0].ua.dialogs.keys().next().unwrap();
    let theirs = *rig.net.peers[1].ua.dialogs.keys().next().unwrap();
    rig.net.with(0, |ua, now| ua.confirm(now, dialog, None).unwrap());
    assert!(!rig.net.peers[0].ua.remote_is_gruu(dialog));
    // Two of them in one dialog are told apart (RFC 3515 §2.4.6).
    for _ in 0..2 {
        rig.net.with(0, |ua, now| ua.refer_in_dialog(now, dialog, new_refer(true)).unwrap());
        rig.run(1);
        assert_eq!(told(&rig).3, Some(theirs));
        assert_eq!(rig.story(), ["200", "active [SIP/2.0 100 Trying]"]);
    }
    assert_eq!((rig.net.peers[0].ua.dialogs.len(), rig.net.peers[1].ua.dialogs.len()), (1, 1));
    let ids: Vec<NotifierId> = rig.net.peers[1].ua.usages.notifiers.keys().copied().collect();
    let subscriptions: Vec<SubscriptionId> =
        rig.net.peers[0].ua.usages.subscriptions.keys().copied().collect();
    for (id, subscription) in ids.iter().zip(subscriptions) {
        rig.net.with(1, |ua, now| ua.report_refer(now, *id, StatusCode::OK).unwrap());
        rig.run(1);
        let ended = rig.net.peers[0].events.iter().any(|event| {
            matches!(event, Event::Subscriber { event: SubscriberEvent::Ended { subscription: s, .. }, .. }
                if *s == subscription)
        });
        assert!(ended);
        rig.story();
    }
    let outside = NewRefer { target_dialog: Some(dialog), ..new_refer(true) };
    rig.net.with(0, |ua, now| ua.refer(now, outside).unwrap());
    rig.run(1);
    assert_eq!((told(&rig).2, told(&rig).3), (Some(theirs), None));
    let id = notifier(&rig);
    rig.net.with(1, |ua, now| ua.report_refer(now, id, StatusCode::DECLINE).unwrap());
    rig.run(1);
    rig.net.with(0, |ua, now| ua.bye(now, dialog, Headers::new()).unwrap());
    rig.net.run_to_quiet();
    let gone = NewRefer { target_dialog: Some(dialog), ..new_refer(true) };
    let refused = rig.net.with(0, |ua, now| ua.refer(now, gone).unwrap_err());
    assert_eq!((refused.why, refused.given.target), (Refusal::Gone, new_refer(true).target));
}

#[test]
fn what_is_no_refer_is_refused() {
    for (from, to) in [
        ("Refer-To: <sip:carol@example.com;method=INVITE>\r\n", ""),
        ("Refer-To: ", "Refer-To: <sip:x@y>\r\nRefer-To: "),
        ("Refer-To: <sip:carol@", "Refer-To: <sip:carol@ "),
    ] {
        let mut rig = rig(true, |_| {});
        rig.net.with(0, |ua, now| ua.refer(now, new_refer(true)).unwrap());
        let sent = String::from_utf8(rig.net.wire[0].bytes.to_vec()).unwrap();
        assert!(sent.contains(from), "{sent}");
        let mut other = self::rig(true, |_| {});
        other.net.inject(1, address(1), sent.replacen(from, to, 1));
        other.run(1);
        assert_eq!(other.net.labels(), ["400 REFER"], "{to}");
    }
}

#[test]
fn wrong_calls_are_refused_and_give_back() {
    let mut rig = rig(true, |_| {});
    rig.net.script(1, |ua, now, event| {
        if let Event::Refer { id, request, .. } = event {
            let without = ReferAcceptance { subscribe: false, expires: 600, headers: Headers::new() };
            let refused = ua.accept_refer(now, *id, without).unwrap_err();
            assert_eq!((refused.why, refused.given.expires), (Refusal::SubscriptionDue, 600));
            let plain = Response::for_request(request, StatusCode::ACCEPTED);
            assert_eq!(ua.respond(now, *id, plain).unwrap_err().why, Refusal::Status);
            let refused = ua.accept_subscription(now, *id, Acceptance::default()).unwrap_err();
            assert!(matches!(refused.why, Refusal::Method(_)));
            ua.respond(now, *id, Response::for_request(request, StatusCode::FORBIDDEN)).unwrap();
            let with = ReferAcceptance { subscribe: true, expires: 600, headers: Headers::new() };
            assert_eq!(ua.accept_refer(now, *id, with).unwrap_err().why, Refusal::Gone);
        }
    });
    rig.net.with(0, |ua, now| ua.refer(now, new_refer(true)).unwrap());
    rig.run(1);
    assert_eq!(rig.story(), ["failed 403"]);
    let refused =
        rig.net.with(0, |ua, now| ua.refer_in_dialog(now, DialogId(77), new_refer(true)).unwrap_err());
    assert_eq!(refused.why, Refusal::Gone);
    assert_eq!(
        rig.net.with(0, |ua, now| ua.report_refer(now, NotifierId(5), StatusCode::OK)),
        Err(Refusal::Gone)
    );
    rig.net.run_to_quiet();
}

#[test]
fn refers_survive_loss_duplication_and_disorder() {
    for seed in 0..20 {
        let mut rig = rig(true, |_| {});
        rig.net.rule = super::properties::fates(seed, 10);
        rig.net.with(0, |ua, now| ua.refer(now, new_refer(true)).unwrap());
        rig.run(70);
        let ids: Vec<NotifierId> = rig.net.peers[1].ua.usages.notifiers.keys().copied().collect();
        assert!(ids.len() <= 1, "{seed}");
        for id in ids {
            rig.net.with(1, |ua, now| drop(ua.report_refer(now, id, StatusCode::OK)));
        }
        rig.run(70);
        let story = rig.story();
        let once = |word: &str| story.iter().filter(|told| told.starts_with(word)).count();
        assert!(once("terminated [SIP/2.0 200 OK]") <= 1 && once("ended") <= 1, "{seed}: {story:?}");
        rig.run(4000);
        rig.net.run_to_quiet();
    }
}

/// Threat D6: a subscription that nobody refreshes ends by the clock of each side.
#[test]
fn a_referrer_does_not_wait_for_ever() {
    let mut rig = rig(true, |_| {});
    rig.net.with(0, |ua, now| ua.refer(now, new_refer(true)).unwrap());
    rig.run(1);
    rig.story();
    rig.net.rule = alloc::boxed::Box::new(|_, _| Fate::Lost);
    rig.run(598);
    assert_eq!(rig.story(), [""; 0]);
    rig.run(3);
    assert_eq!(rig.story(), ["ended Expired Now"]);
    rig.net.run_to_quiet();
}
