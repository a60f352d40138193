//! What a case begins with.

use crate::decision::*;
use crate::*;
use cpm_base::{DateTime, Instant};
use cpm_core::feature::{CpmFeature, CpmService};
use cpm_core::outside::Preferences;
use cpm_core::release::Release;
use cpm_sip::Uri;
use cpm_xml::access_policy::Wish;
use cpm_xml::profiles::{ActiveProfile, Directory};
use cpm_xml::ruleset::{Rule, Ruleset};

pub(super) fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

/// What a decision depends on.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) request: DeliveryRequest,
    pub(super) preferences: Option<Preferences>,
    pub(super) policy: Policy,
    pub(super) devices: Vec<Device>,
    pub(super) connectivity: Connectivity,
}

impl World {
    /// A pager-mode message of Alice to Bob, who has two devices and no wishes; the provider has no wishes either.
    pub(super) fn new() -> World {
        World {
            request: DeliveryRequest {
                served: uri("sip:bob@home.test"),
                originators: vec![uri("sip:alice@home.test"), uri("tel:+15550001")],
                anonymous: false,
                release: Some(Release::CLIENT_2_1),
                content: Content::Message,
                feature: Some(CpmFeature::PagerMessage),
                service: AssertedService::Cpm(CpmService::single(CpmFeature::PagerMessage)),
                extra_strings: false,
                at: DateTime::UNIX_EPOCH,
            },
            preferences: Some(Preferences::default()),
            policy: Policy::default(),
            devices: vec![device("a"), device("b")],
            connectivity: Connectivity::default(),
        }
    }

    pub(super) fn decide(&self) -> Decision {
        decide(&self.request, self.preferences.as_ref(), &self.policy, &self.devices, &self.connectivity)
    }

    /// A rule that CPM's standalone messages are asked about, with these wishes.
    pub(super) fn rule(self, wishes: &[Wish]) -> World {
        self.with_rule(standalone(wishes))
    }

    pub(super) fn with_rule(mut self, rule: Rule) -> World {
        let preferences = self.preferences.get_or_insert_default();
        preferences.access_policy.get_or_insert(Ruleset::default()).rules.push(rule);
        self
    }

    /// A profile is active on a device.
    pub(super) fn profile(mut self, device: &str, profile: &str) -> World {
        let preferences = self.preferences.get_or_insert_default();
        let directory = preferences.profiles.get_or_insert(Directory::default());
        directory.active.push(ActiveProfile { device: Some(device.into()), profile: profile.into() });
        self
    }

    pub(super) fn isf(mut self) -> World {
        let Uri::Sip(isf) = uri("sip:isf.home.test") else { panic!("a SIP URI") };
        self.policy.isf = Some(isf);
        self
    }

    pub(super) fn set(mut self, change: impl FnOnce(&mut World)) -> World {
        change(&mut self);
        self
    }
}

pub(super) fn device(instance: &str) -> Device {
    Device {
        contact: uri(&format!("sip:bob@{instance}.test")),
        gruu: None,
        instance: Some(instance.into()),
        features: vec![CpmFeature::PagerMessage],
        release: Some(Release::CLIENT_2_1),
        primary: false,
        capabilities: Vec::new(),
        until: Instant::from_micros(u64::MAX),
    }
}

/// A rule about CPM, whatever the medium.
pub(super) fn cpm_rule(wishes: &[Wish]) -> Rule {
    let mut rule = Rule { id: "r".into(), ..Rule::default() };
    rule.conditions.services = Some(vec!["CPM".into()]);
    wishes.iter().fold(rule, |rule, wish| rule.with_wish(*wish))
}

/// A rule about CPM's standalone messages.
pub(super) fn standalone(wishes: &[Wish]) -> Rule {
    let mut rule = cpm_rule(wishes);
    rule.conditions.media = Some(vec!["standalone-message".into()]);
    rule
}

pub(super) fn forward_to(address: &str) -> Rule {
    standalone(&[Wish::Forward]).with_action("forward-to", address)
}

/// A rule about CPM on devices with this profile.
pub(super) fn of_profile(profile: &str, wishes: &[Wish]) -> Rule {
    let mut rule = cpm_rule(wishes);
    rule.conditions.profiles = Some(vec![profile.into()]);
    rule
}
