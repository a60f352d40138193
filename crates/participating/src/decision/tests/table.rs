use super::world::*;
use crate::decision::*;
use crate::*;
use cpm_core::feature::{CpmFeature, CpmService};
use cpm_core::release::Release;
use cpm_core::warning::Reason;
use cpm_xml::access_policy::Wish::{self, *};
use cpm_xml::ruleset::Identity;

const GETS: Verdict = Verdict::Selected { references: false };
const BY_REFERENCE: Verdict = Verdict::Selected { references: true };
const UNASKED: Verdict = Verdict::NotAsked;

/// What is expected: outcome, why, interworking, whether it is recorded, what of the two devices.
type Expected = (Outcome, Why, Option<Interworking>, bool, [Verdict; 2]);

#[track_caller]
fn check(case: &str, world: World, expected: Expected) {
    let Decision { outcome, why, interworking, record, devices } = world.decide();
    let devices: [Verdict; 2] = devices.try_into().unwrap();
    assert_eq!((outcome, why, interworking, record, devices), expected, "{case}");
}

fn refused(reason: Option<Reason>, why: Why) -> Expected {
    (Outcome::Refuse(reason), why, None, false, [UNASKED; 2])
}

fn deferred(reason: Deferral, why: Why) -> Expected {
    (Outcome::Defer(reason), why, None, false, [UNASKED; 2])
}

fn delivered(devices: [Verdict; 2]) -> Expected {
    (Outcome::Deliver, Why::Suitable, None, false, devices)
}

fn nobody(devices: [Verdict; 2]) -> Expected {
    (Outcome::Undelivered, Why::NobodySuitable, None, false, devices)
}

fn release(major: u16, minor: u16) -> Option<Release> {
    Some(Release { major, minor, ..Release::CLIENT_2_1 })
}

/// Threat E1: what is asserted alone counts; nothing else of a request is asked for its sender.
// req: 8.3.1.1-1, 8.3.1.1-2, 8.3.1.1-3, 8.3.1.1-12.c
#[test]
fn what_is_refused_at_once() {
    let of_2_1 = |world: &mut World| world.policy.releases = Some(vec![(2, 1)]);
    let version = || refused(Some(Reason::Version), Why::Version);
    check("1: named, and taken", World::new().set(of_2_1), delivered([GETS; 2]));
    check("1: older", World::new().set(of_2_1).set(|w| w.request.release = release(2, 0)), version());
    check("1: none", World::new().set(of_2_1).set(|w| w.request.release = None), version());
    check("1: none, not asked for", World::new().set(|w| w.request.release = None), delivered([GETS; 2]));

    let anonymous = |w: &mut World| w.request.anonymous = true;
    let not_allowed = |w: &mut World| w.policy.anonymity_terminating = false;
    let expected = refused(Some(Reason::Anonymity), Why::Anonymity);
    check("2: not allowed", World::new().set(anonymous).set(not_allowed), expected);
    check("2: allowed", World::new().set(anonymous), delivered([GETS; 2]));
    check("2: not asked for", World::new().set(not_allowed), delivered([GETS; 2]));

    let black = |key: &'static str| {
        move |w: &mut World| w.preferences.as_mut().unwrap().blacklist = [key.to_owned()].into()
    };
    let blacklisted = || refused(Some(Reason::NotAllowed), Why::Blacklist);
    check("3: by SIP URI", World::new().set(black("sip:alice@home.test")), blacklisted());
    check("3: by telephone number", World::new().set(black("tel:+15550001")), blacklisted());
    check("3: somebody else", World::new().set(black("sip:mallory@home.test")), delivered([GETS; 2]));
    check(
        "3: who hides is known to us",
        World::new().set(black("sip:alice@home.test")).set(anonymous),
        blacklisted(),
    );
    check(
        "3: notifications as well",
        World::new().set(black("sip:alice@home.test")).set(|w| w.request.content = Content::Disposition),
        blacklisted(),
    );
    let unasked = |w: &mut World| w.policy.blacklist = false;
    check("3: policy", World::new().set(black("sip:alice@home.test")).set(unasked), delivered([GETS; 2]));

    let strict = |w: &mut World| w.policy.unknown_service = UnknownService::Refuse;
    let other = |w: &mut World| w.request.service = AssertedService::Other;
    let session = |w: &mut World| {
        w.request.service = AssertedService::Cpm(CpmService::single(CpmFeature::Session));
    };
    let no_service = || refused(None, Why::Service);
    check("12.c: another's service", World::new().set(strict).set(other), no_service());
    check("12.c: another service of CPM", World::new().set(strict).set(session), no_service());
    check("12.c: it may pass", World::new().set(other), delivered([GETS; 2]));
    check("12.c: the expected one", World::new().set(strict), delivered([GETS; 2]));
    check(
        "12.c: a notification has the service of what it is about",
        World::new().set(strict).set(session).set(|w| w.request.content = Content::Disposition),
        (Outcome::Deliver, Why::Disposition, None, false, [GETS; 2]),
    );
}

// req: 8.3.1.1-4, 8.3.1.1-4.a, 8.4.1-1
#[test]
fn what_a_rule_stops() {
    let rejected = || refused(Some(Reason::NotAllowed), Why::RejectInvite);
    let disturbed = || deferred(Deferral::DoNotDisturb, Why::DoNotDisturb);
    check("4.a", World::new().rule(&[RejectInvite]), rejected());
    check("4.a before all", World::new().isf().rule(&Wish::ALL), rejected());
    check("4.b", World::new().rule(&[DoNotDisturb]), disturbed());
    let rest = [DoNotDisturb, Interwork, DeliverAndInterwork, Store, Forward, Defer, OfflineStorage];
    check("4.b before the rest", World::new().isf().rule(&rest), disturbed());
    check("4.f", World::new().rule(&[Defer]), deferred(Deferral::Wish, Why::Defer));
    check(
        "4: two rules add up, the first step counts",
        World::new().rule(&[Defer]).rule(&[RejectInvite]),
        rejected(),
    );
    let mut no_media = cpm_rule(&[RejectInvite]);
    check("4: a rule that names no medium", World::new().with_rule(no_media.clone()), delivered([GETS; 2]));
    no_media.conditions.media = Some(vec!["chat".into()]);
    check("4: a rule about another medium", World::new().with_rule(no_media), delivered([GETS; 2]));
    let mut other = standalone(&[RejectInvite]);
    other.conditions.services = Some(vec!["PoC".into()]);
    check("4: a rule about another enabler", World::new().with_rule(other.clone()), delivered([GETS; 2]));
    other.conditions.services = None;
    check("4: a rule that names no enabler", World::new().with_rule(other), delivered([GETS; 2]));
    let mut false_one = standalone(&[]).with_action("allow-reject-invite", "false");
    check("4: an action that is false", World::new().with_rule(false_one.clone()), delivered([GETS; 2]));
    false_one.conditions.unknown.push("weather".into());
    let unknown = World::new().with_rule(false_one.with_wish(RejectInvite));
    check("4: a condition that nobody knows", unknown, delivered([GETS; 2]));
}

// req: 8.3.1.1-4
#[test]
fn rules_are_about_who_sends() {
    let about = |who: &str| {
        let mut rule = standalone(&[RejectInvite]);
        rule.conditions.identity = Some(vec![Identity::One(who.into())]);
        World::new().with_rule(rule)
    };
    let rejected = || refused(Some(Reason::NotAllowed), Why::RejectInvite);
    check("by SIP URI", about("sip:alice@home.test"), rejected());
    check("by telephone number", about("tel:+15550001"), rejected());
    check("another", about("sip:mallory@home.test"), delivered([GETS; 2]));
    let spelt = about("sip:alice@home.test")
        .set(|w| w.request.originators = vec![uri("sip:alice@HOME.test;user=phone")]);
    check("however it is spelt", spelt, rejected());
    let hidden = about("sip:alice@home.test").set(|w| w.request.anonymous = true);
    check("who hides is nobody to a rule", hidden, delivered([GETS; 2]));
    let mut anonymous = standalone(&[RejectInvite]);
    anonymous.conditions.anonymous_request = true;
    let world = World::new().with_rule(anonymous);
    check("a rule about the anonymous", world.clone().set(|w| w.request.anonymous = true), rejected());
    check("who is not one of them", world, delivered([GETS; 2]));
}

// req: 8.3.1.1-4.c, 8.3.1.1-4.d.i, 8.3.1.1-4.e, 8.3.1.1-5
#[test]
fn where_a_rule_sends_it() {
    let deliver = |why, interworking, devices| (Outcome::Deliver, why, Some(interworking), false, devices);
    let (instead, beside) = (Interworking::Instead, Interworking::Beside);
    let alone = || deliver(Why::Interwork, instead, [UNASKED; 2]);
    check("4.c: alone", World::new().isf().rule(&[Interwork]), alone());
    check("4.c: alone, also of nobody's devices", World::new().isf().rule(&[Interwork, Defer]), alone());
    let both = || deliver(Why::Suitable, beside, [GETS; 2]);
    check("4.c: beside", World::new().isf().rule(&[DeliverAndInterwork]), both());
    check("4.c: both", World::new().isf().rule(&[Interwork, DeliverAndInterwork]), both());
    check(
        "4.c: beside, and deferred when neither gets it",
        World::new().isf().rule(&[DeliverAndInterwork, Defer]),
        both(),
    );
    check(
        "4.c: beside nobody",
        World::new().isf().rule(&[DeliverAndInterwork]).set(|w| {
            w.devices.iter_mut().for_each(|device| device.features.clear());
        }),
        deliver(Why::Interwork, beside, [Verdict::Capability; 2]),
    );
    let nowhere = (Outcome::Undelivered, Why::NoInterworking, None, false, [UNASKED; 2]);
    check("4.c: alone, and there is none", World::new().rule(&[Interwork]), nowhere);
    check("4.c: beside, and there is none", World::new().rule(&[DeliverAndInterwork]), delivered([GETS; 2]));
    let deferred = deferred(Deferral::Wish, Why::Defer);
    check("4.c: alone, there is none, and it may wait", World::new().rule(&[Interwork, Defer]), deferred);

    let stored = |interworking| (Outcome::Store, Why::Store, interworking, false, [UNASKED; 2]);
    check("4.d", World::new().rule(&[Store]), stored(None));
    check("4.d before 4.f", World::new().rule(&[Store, Defer, OfflineStorage]), stored(None));
    check("4.c and 4.d", World::new().isf().rule(&[Store, Interwork]), stored(Some(instead)));

    let carol = || Outcome::Forward(uri("sip:carol@home.test"));
    let to_carol = forward_to("sip:carol@home.test");
    check(
        "4.e",
        World::new().with_rule(to_carol.clone()),
        (carol(), Why::Forward, None, false, [UNASKED; 2]),
    );
    check(
        "4.c and 4.e: recorded for the interworking's sake",
        World::new()
            .isf()
            .with_rule(to_carol.clone().with_wish(DeliverAndInterwork).with_wish(OfflineStorage)),
        (carol(), Why::Forward, Some(beside), true, [UNASKED; 2]),
    );
    check("4.d before 4.e", World::new().with_rule(to_carol.with_wish(Store)), stored(None));
    for nowhere in ["", "over there", "sip:bob@home.test", "sip:bob@HOME.test;x"] {
        check("4.e: to nobody else", World::new().with_rule(forward_to(nowhere)), delivered([GETS; 2]));
    }
}

/// Readings F11: notifications skip step 4, and are never forwarded.
// req: 8.3.1.1-4.e, 8.3.1.1-6
#[test]
fn notifications_go_straight_to_the_devices() {
    let notification = |w: &mut World| w.request.content = Content::Disposition;
    let expected = |devices| (Outcome::Deliver, Why::Disposition, None, false, devices);
    for wish in Wish::ALL {
        let world = World::new().isf().rule(&[wish]).set(notification);
        let (outcome, why, interworking, _, devices) = expected([GETS; 2]);
        check("6", world, (outcome, why, interworking, wish == OfflineStorage, devices));
    }
    let forwarding = World::new().with_rule(forward_to("sip:carol@home.test")).set(notification);
    check("6: not forwarded", forwarding, expected([GETS; 2]));
    let rejecting = World::new()
        .profile("a", "night")
        .with_rule(of_profile("night", &[RejectInvite, DeliverReferenceMedia]))
        .set(notification);
    check("6: no profile counts", rejecting, expected([GETS; 2]));
    let primary = World::new().isf().set(notification).set(|w| w.policy.primary_by_interworking = true);
    check("6: not interworked", primary, expected([GETS; 2]));
    let other = World::new().set(notification).set(|w| w.devices[0].features = vec![CpmFeature::Session]);
    check("6: to those that can do it", other, expected([Verdict::Capability, GETS]));
}

// req: 8.3.1.1-5
#[test]
fn what_is_recorded() {
    let with = |record| (Outcome::Deliver, Why::Suitable, None, record, [GETS; 2]);
    check("5: wished", World::new().rule(&[OfflineStorage]), with(true));
    check(
        "5: wished by a rule that names no medium",
        World::new().with_rule(cpm_rule(&[OfflineStorage])),
        with(true),
    );
    check("5: not wished", World::new(), with(false));
    let never = |w: &mut World| w.policy.recording = Recording::Never;
    let always = |w: &mut World| w.policy.recording = Recording::Always;
    check("5: never", World::new().rule(&[OfflineStorage]).set(never), with(false));
    check("5: always", World::new().set(always), with(true));
    check(
        "5: always, without preferences",
        World::new().set(always).set(|w| w.preferences = None),
        with(true),
    );
    for (interworking, wish) in
        [(Interworking::Beside, DeliverAndInterwork), (Interworking::Instead, Interwork)]
    {
        let decision = World::new().isf().rule(&[wish, OfflineStorage]).decide();
        assert_eq!((decision.interworking, decision.record), (Some(interworking), true));
    }
    for wish in [RejectInvite, DoNotDisturb, Store, Defer] {
        assert!(!World::new().rule(&[wish]).set(always).decide().record, "{wish:?}: another rule matched");
    }
    assert!(!World::new().with_rule(forward_to("sip:c@x.test")).set(always).decide().record);
    let nobody = World::new().set(always).set(|w| w.devices.clear()).decide();
    assert_eq!((nobody.outcome, nobody.record), (Outcome::Undelivered, true), "step 5 comes before step 8");
}

// req: 8.3.1.1-8, 8.3.1.1-8.a, 8.3.1.1-8.a.1, 8.3.1.1-8.a.2, 8.3.1.1-8.a.3, 8.3.1.1-8.a.4, 8.3.1.1-8.a.5, 8.4.1-2
// req: 6.6-b4
#[test]
fn profiles_reject_for_their_devices() {
    let night = || World::new().profile("a", "night").profile("b", "day");
    let rule = of_profile("night", &[RejectInvite]);
    check("8.a", night().with_rule(rule.clone()), delivered([Verdict::Profile, GETS]));
    check("8.a: no active profile", World::new().with_rule(rule.clone()), delivered([GETS; 2]));
    check("8.a: another wish", night().with_rule(of_profile("night", &[Store])), delivered([GETS; 2]));
    let mut two = rule.clone();
    two.conditions.profiles = Some(vec!["day".into(), "night".into()]);
    check("8.a: all", night().with_rule(two), nobody([Verdict::Profile; 2]));
    let mut other = rule.clone();
    other.conditions.services = Some(vec!["PoC".into()]);
    check("8.a.1: another enabler", night().with_rule(other), delivered([GETS; 2]));
    let mut other = rule.clone();
    other.conditions.media = Some(vec!["chat".into()]);
    check("8.a.3: another medium", night().with_rule(other), delivered([GETS; 2]));
    let mut other = rule.clone();
    other.conditions.identity = Some(vec![Identity::One("sip:mallory@home.test".into())]);
    check("8.a.3: another sender", night().with_rule(other), delivered([GETS; 2]));
    let shared = night().with_rule(rule).set(|w| {
        let active = &mut w.preferences.as_mut().unwrap().profiles.as_mut().unwrap().active;
        active.remove(1);
        active[0].device = None;
    });
    check("8.a: a profile of every device", shared, nobody([Verdict::Profile; 2]));
}

// req: 8.3.1.1-8.b, 8.3.1.1-8.b.i, 8.3.1.1-8.b.ii, 6.6-p3, 6.6-b1, 6.6-b2, 6.6-b3, 6.6-b5, 8.3.1.1-p2
#[test]
fn who_is_suitable() {
    let no_feature = |w: &mut World| w.devices[0].features = vec![CpmFeature::LargeMessage];
    check("8.b.i", World::new().set(no_feature), delivered([Verdict::Capability, GETS]));
    check(
        "8.b.i: none asked for",
        World::new().set(|w| w.request.feature = None),
        nobody([Verdict::Capability; 2]),
    );
    check(
        "8.b",
        World::new().set(|w| w.connectivity.set("a", false)),
        delivered([Verdict::Connectivity, GETS]),
    );
    let again = |w: &mut World| {
        w.connectivity.set("a", false);
        w.connectivity.set("a", true);
    };
    check("8.b: it came back", World::new().set(again), delivered([GETS; 2]));
    let unnamed = |w: &mut World| {
        w.devices[0].instance = None;
        w.connectivity.set("sip:bob@a.test", false);
    };
    check("8.b: by its contact", World::new().set(unnamed), delivered([Verdict::Connectivity, GETS]));
    let old = |w: &mut World| {
        w.policy.releases = Some(vec![(2, 1)]);
        w.devices[0].release = release(1, 0);
        w.devices[1].release = None;
    };
    check("6.6-b5", World::new().set(old), nobody([Verdict::Release; 2]));
    let exclude = |content, feature, devices| {
        World::new().set(|w| {
            w.devices[1].primary = true;
            w.devices[1].release = None;
            w.policy.exclusions.push(DeviceRule { content, feature, devices });
        })
    };
    let (first, second) = (delivered([Verdict::Policy, GETS]), delivered([GETS, Verdict::Policy]));
    check("8.b.ii: one", exclude(None, None, DevicesOf::Instance("a".into())), first.clone());
    check("8.b.ii: all but the primary", exclude(None, None, DevicesOf::Secondary), first.clone());
    check("8.b.ii: the primary", exclude(None, None, DevicesOf::Primary), second.clone());
    check("8.b.ii: no release", exclude(None, None, DevicesOf::NoRelease), second);
    let message = Some(Content::Message);
    check("8.b.ii: for messages", exclude(message, None, DevicesOf::Secondary), first.clone());
    let notification = Some(Content::Disposition);
    check("8.b.ii: for others", exclude(notification, None, DevicesOf::Secondary), delivered([GETS; 2]));
    let pager = Some(CpmFeature::PagerMessage);
    check("8.b.ii: for a feature", exclude(None, pager, DevicesOf::Secondary), first);
    let chat = Some(CpmFeature::Session);
    check("8.b.ii: for another", exclude(None, chat, DevicesOf::Secondary), delivered([GETS; 2]));
    assert_eq!(World::new().set(|w| w.devices.clear()).decide().outcome, Outcome::Undelivered);
}

// req: 8.3.1.1-8.b.iii, 8.3.1.1-9, 8.3.1.1-9.i, 8.3.1.1-9.ii, 8.3.1.1-9.iii, 6.6-p1.2
#[test]
fn the_primary_device_by_interworking() {
    let at_once = |w: &mut World| w.policy.primary_by_interworking = true;
    let also = |devices| (Outcome::Deliver, Why::Suitable, Some(Interworking::PrimaryDevice), false, devices);
    let primary = |w: &mut World| w.devices[0].primary = true;
    check("9.ii", World::new().isf().set(at_once), also([GETS; 2]));
    check("9.ii: it gets it", World::new().isf().set(at_once).set(primary), delivered([GETS; 2]));
    let off = |w: &mut World| w.connectivity.set("a", false);
    let world = World::new().isf().set(at_once).set(primary).set(off);
    check("9.ii: it is off", world, also([Verdict::Connectivity, GETS]));
    check("9.ii: no interworking", World::new().set(at_once), delivered([GETS; 2]));
    check("9.iii: policy", World::new().isf(), delivered([GETS; 2]));
    let twice = World::new().isf().set(at_once).rule(&[DeliverAndInterwork]);
    let once = (Outcome::Deliver, Why::Suitable, Some(Interworking::Beside), false, [GETS; 2]);
    check("9.iii: not after 4.c", twice, once);
    let alone = World::new().isf().set(at_once).set(|w| {
        w.connectivity.set("a", false);
        w.connectivity.set("b", false);
    });
    let expected = (
        Outcome::Deliver,
        Why::PrimaryDevice,
        Some(Interworking::PrimaryDevice),
        false,
        [Verdict::Connectivity; 2],
    );
    check("9.ii: nobody else", alone, expected);
}

// req: 8.3.1.1-11, 8.3.1.4-p1, 8.3.1.4-1, 8.3.1.4-2
#[test]
fn references_in_the_place_of_media() {
    let rule = cpm_rule(&[DeliverReferenceMedia]);
    check("8.3.1.4", World::new().with_rule(rule.clone()), delivered([BY_REFERENCE; 2]));
    let off = |w: &mut World| w.policy.references = false;
    check("8.3.1.4: policy", World::new().with_rule(rule.clone()).set(off), delivered([GETS; 2]));
    let mut other = rule.clone();
    other.conditions.services = None;
    check("8.3.1.4-1: no enabler", World::new().with_rule(other), delivered([GETS; 2]));
    let roaming =
        World::new().profile("b", "roaming").with_rule(of_profile("roaming", &[DeliverReferenceMedia]));
    check("8.3.1.4: by profile", roaming, delivered([GETS, BY_REFERENCE]));
}

// req: 8.3-b1
#[test]
fn services_that_requests_of_applications_do_not_get() {
    let skipping = |skip: fn(&mut Skipped), world: World| {
        world.set(|w| {
            skip(&mut w.policy.skipped);
            w.request.extra_strings = true;
        })
    };
    let black = |w: &mut World| {
        w.preferences.as_mut().unwrap().blacklist = ["sip:alice@home.test".to_owned()].into();
    };
    let blacklisted = World::new().set(black);
    check("blacklist", skipping(|s| s.blacklist = true, blacklisted.clone()), delivered([GETS; 2]));
    let still = refused(Some(Reason::NotAllowed), Why::Blacklist);
    check("not by others", blacklisted.set(|w| w.policy.skipped.blacklist = true), still);
    let rejecting = World::new().rule(&[RejectInvite]);
    check("preferences", skipping(|s| s.preferences = true, rejecting), delivered([GETS; 2]));
    let storing = World::new().rule(&[Store, OfflineStorage, DeliverReferenceMedia]);
    check("storage", skipping(|s| s.storage = true, storing), delivered([GETS; 2]));
    let interworking =
        World::new().isf().rule(&[DeliverAndInterwork]).set(|w| w.policy.primary_by_interworking = true);
    check("interworking", skipping(|s| s.interworking = true, interworking), delivered([GETS; 2]));
    let deferring = World::new().rule(&[Defer]);
    check("deferral", skipping(|s| s.deferral = true, deferring), delivered([GETS; 2]));
    let disturbing = skipping(|s| s.deferral = true, World::new().rule(&[DoNotDisturb]));
    let expected = (Outcome::Undelivered, Why::DoNotDisturb, None, false, [UNASKED; 2]);
    check("deferral: nobody is disturbed all the same", disturbing, expected);
}

// req: 8.3.6-p1, 8.3.6-2.a, 8.3.6-3
#[test]
fn remedies_have_their_turn_in_the_order_of_the_policy() {
    use Remedy::*;
    let order = |world: &World, interworked: bool| {
        let mut tried = Tried { interworking: interworked, ..Tried::default() };
        let mut order = Vec::new();
        loop {
            let (next, now) = remedy(&world.request, &world.policy, tried);
            tried = now;
            order.push(next);
            if order.len() > 4 || matches!(next, Error | Defer) {
                return order;
            }
            tried.interworking = true;
        }
    };
    let with =
        |undelivered: &[Remedy]| World::new().isf().set(|w| w.policy.undelivered = undelivered.to_vec());
    assert_eq!(order(&World::new(), false), [Error]);
    assert_eq!(order(&with(&[Defer, Interwork, Error]), false), [Defer]);
    assert_eq!(order(&with(&[Interwork, Defer]), false), [Interwork, Defer]);
    assert_eq!(order(&with(&[Interwork, Interwork]), false), [Interwork, Error]);
    assert_eq!(order(&with(&[Interwork, Defer]), true), [Defer], "it was interworked already");
    assert_eq!(order(&with(&[]), false), [Error]);
    let no_isf = with(&[Interwork, Defer]).set(|w| w.policy.isf = None);
    assert_eq!(order(&no_isf, false), [Defer]);
    let notification = with(&[Interwork, Defer]).set(|w| w.request.content = Content::Disposition);
    assert_eq!(order(&notification, false), [Defer]);
    let skipping = with(&[Interwork, Defer]).set(|w| {
        w.request.extra_strings = true;
        w.policy.skipped.interworking = true;
    });
    assert_eq!(order(&skipping, false), [Defer]);
    let neither = skipping.set(|w| w.policy.skipped.deferral = true);
    assert_eq!(order(&neither, false), [Error]);
}
