//! What holds of every decision.

use super::world::*;
use crate::decision::*;
use crate::*;
use cpm_core::feature::CpmFeature;
use cpm_xml::access_policy::Wish;
use cpm_xml::ruleset::Identity;
use proptest::prelude::*;

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    proptest::collection::vec(proptest::sample::select(&Wish::ALL[..]), 0..3)
}

/// A rule with conditions that may hold or not.
fn rule() -> impl Strategy<Value = cpm_xml::ruleset::Rule> {
    let identity = proptest::option::of(prop_oneof![Just("sip:alice@home.test"), Just("sip:else@x.test")]);
    let profile = proptest::option::of(prop_oneof![Just("night"), Just("day")]);
    (wishes(), any::<[bool; 3]>(), identity, profile).prop_map(
        |(wishes, [cpm, media, forward], identity, profile)| {
            let mut rule = if media { standalone(&wishes) } else { cpm_rule(&wishes) };
            if !cpm {
                rule.conditions.services = None;
            }
            rule.conditions.identity = identity.map(|who| vec![Identity::One(who.into())]);
            rule.conditions.profiles = profile.map(|profile| vec![profile.into()]);
            if forward { rule.with_action("forward-to", "sip:carol@home.test") } else { rule }
        },
    )
}

fn devices() -> impl Strategy<Value = Vec<Device>> {
    proptest::collection::vec((0..6usize, any::<[bool; 3]>()), 0..5).prop_map(|all| {
        let with = |(n, [able, primary, named]): (usize, [bool; 3])| {
            let mut device = device(["a", "b", "c", "d", "e", "f"][n]);
            device.features.extend(able.then_some(CpmFeature::LargeMessage));
            if n == 0 {
                device.features.clear();
            }
            device.primary = primary;
            if !named {
                device.instance = None;
                device.release = None;
            }
            device
        };
        all.into_iter().map(with).collect()
    })
}

prop_compose! {
    fn world()(
        rules in proptest::collection::vec(rule(), 0..4),
        devices in devices(),
        flags in any::<[bool; 16]>(),
        profiles in proptest::collection::vec((0..4usize, any::<bool>()), 0..4),
        off in 0..6usize,
    ) -> World {
        let mut world = World::new();
        world.devices = devices;
        for rule in rules {
            world = world.with_rule(rule);
        }
        for (n, night) in profiles {
            world = world.profile(["a", "b", "c", "d"][n], if night { "night" } else { "day" });
        }
        let [
            disposition, anonymous, extra, isf, primary, no_feature, no_preferences, releases,
            black, skip_a, skip_b, skip_c, exclude, no_anonymity, always, references,
        ] = flags;
        if isf {
            world = world.isf();
        }
        if disposition {
            world.request.content = Content::Disposition;
        }
        if no_feature {
            world.request.feature = None;
        }
        world.request.anonymous = anonymous;
        world.request.extra_strings = extra;
        world.policy.primary_by_interworking = primary;
        world.policy.releases = releases.then(|| vec![(2, 1)]);
        world.policy.anonymity_terminating = !no_anonymity;
        world.policy.references = references;
        world.policy.skipped = Skipped {
            interworking: skip_a,
            deferral: skip_b,
            storage: skip_c,
            ..Skipped::default()
        };
        if always {
            world.policy.recording = Recording::Always;
        }
        if exclude {
            world.policy.exclusions.push(DeviceRule {
                content: None,
                feature: None,
                devices: DevicesOf::Secondary,
            });
        }
        world.connectivity.set(["a", "b", "c", "d", "e", "f"][off], false);
        if black && let Some(preferences) = &mut world.preferences {
            preferences.blacklist = ["tel:+15550001".to_owned()].into();
        }
        if no_preferences {
            world.preferences = None;
        }
        world
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whoever is selected can do it, can be reached, and nobody excluded it.
    // req: 6.6-p3, 6.6-b1, 6.6-b2, 6.6-b3, 6.6-b5, 8.3.1.1-8.b, 8.3.1.1-8.b.i, 8.3.1.1-8.b.ii
    #[test]
    fn no_device_that_is_excluded_gets_it(world in world()) {
        let decision = world.decide();
        prop_assert_eq!(decision.devices.len(), world.devices.len());
        for (device, verdict) in world.devices.iter().zip(&decision.devices) {
            if let Verdict::Selected { references } = verdict {
                let feature = world.request.feature.unwrap();
                prop_assert!(device.features.contains(&feature));
                prop_assert!(world.connectivity.permits(device));
                prop_assert!(world.policy.exclusions.is_empty() || device.primary);
                prop_assert!(world.policy.releases.is_none() || device.release.is_some());
                prop_assert!(!references || world.policy.references);
                prop_assert_eq!(&decision.outcome, &Outcome::Deliver);
            }
        }
    }

    /// Threat E2, G: a notification is never forwarded, interworked, deferred by a rule or kept from a suitable device.
    // req: 8.3.1.1-4.e, 8.3.1.1-6
    #[test]
    fn a_notification_goes_to_devices_or_nowhere(mut world in world()) {
        world.request.content = Content::Disposition;
        let decision = world.decide();
        prop_assert!(matches!(decision.outcome, Outcome::Deliver | Outcome::Undelivered | Outcome::Refuse(_)));
        prop_assert_eq!(decision.interworking, None);
        prop_assert!(!decision.devices.iter().any(|verdict| matches!(verdict, Verdict::Profile)));
    }

    /// Delivered to somebody, or not at all; interworked only where there is an interworking function, and it is not
    /// skipped; nothing is done for what is refused.
    #[test]
    fn an_outcome_means_what_it_says(world in world()) {
        let decision = world.decide();
        let interworks = decision.interworking.is_some();
        prop_assert_eq!(
            decision.outcome == Outcome::Deliver,
            decision.reaches_devices() || (interworks && !matches!(decision.outcome, Outcome::Store | Outcome::Forward(_)))
        );
        if interworks {
            prop_assert!(world.policy.isf.is_some());
            prop_assert!(!(world.request.extra_strings && world.policy.skipped.interworking));
        }
        if matches!(decision.outcome, Outcome::Refuse(_)) {
            prop_assert!(!interworks && !decision.record);
        }
        if world.request.extra_strings && world.policy.skipped.storage {
            prop_assert!(!decision.record && decision.outcome != Outcome::Store);
        }
    }

    /// The same again, whatever became of it before.
    #[test]
    fn a_decision_depends_on_what_is_handed_in_alone(world in world()) {
        prop_assert_eq!(world.decide(), world.decide());
        let mut plain = world.clone();
        plain.preferences = None;
        let mut empty = world;
        empty.preferences = Some(Default::default());
        prop_assert_eq!(plain.decide(), empty.decide(), "no preferences are empty ones");
    }
}
