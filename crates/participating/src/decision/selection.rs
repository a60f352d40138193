//! Which devices get a MESSAGE (TS 8.3.1.1-8, -9, 6.6).

use super::{Decision, Interworking, Known, Outcome, Why};
use crate::policy::{DeviceRule, DevicesOf};
use crate::{Connectivity, Content, Device, checks};
use cpm_xml::access_policy::Wish;

/// What of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It gets the message.
    Selected {
        /// With references in the place of media (TS 8.3.1.4).
        references: bool,
    },
    /// It was not come to that.
    NotAsked,
    /// Its active profile rejects it (8.3.1.1-8.a).
    Profile,
    /// It did not register the feature (8.3.1.1-8.b.i).
    Capability,
    /// It cannot be reached (8.3.1.1-8.b).
    Connectivity,
    /// Its release is none that is taken (6.6).
    Release,
    /// The provider does not want it to get it (8.3.1.1-8.b.ii).
    Policy,
}

impl Known<'_> {
    /// Selects the devices. What is for the interworking function alone never comes here.
    // req: 8.3.1.1-7, 8.3.1.1-8, 8.3.1.1-9.i, 8.3.1.1-9.ii, 8.3.1.1-9.iii, 8.3.1.1-6, 6.6-p3
    pub(super) fn select(
        &self,
        interworking: Option<Interworking>,
        devices: &[Device],
        connectivity: &Connectivity,
    ) -> Decision {
        let verdicts: Vec<Verdict> =
            devices.iter().map(|device| self.verdict(device, connectivity)).collect();
        let selected = |verdict: &Verdict| matches!(verdict, Verdict::Selected { .. });
        let anybody = verdicts.iter().any(selected);
        let primary = devices.iter().zip(&verdicts).any(|(device, v)| device.primary && selected(v));
        let content = self.request.content;
        let for_primary = content == Content::Message
            && self.policy.primary_by_interworking
            && !primary
            && self.can_interwork();
        let interworking = interworking.or(for_primary.then_some(Interworking::PrimaryDevice));
        let (outcome, why) = match (anybody, interworking, content) {
            (true, _, Content::Disposition) => (Outcome::Deliver, Why::Disposition),
            (true, _, Content::Message) => (Outcome::Deliver, Why::Suitable),
            (false, Some(Interworking::PrimaryDevice), _) => (Outcome::Deliver, Why::PrimaryDevice),
            (false, Some(_), _) => (Outcome::Deliver, Why::Interwork),
            (false, None, _) => (Outcome::Undelivered, Why::NobodySuitable),
        };
        Decision { interworking, devices: verdicts, ..Decision::new(outcome, why) }
    }

    /// Whether a device is suitable.
    // req: 8.3.1.1-8.a, 8.3.1.1-8.a.1, 8.3.1.1-8.a.2, 8.3.1.1-8.a.3, 8.3.1.1-8.a.4, 8.3.1.1-8.a.5, 8.3.1.1-8.b
    // req: 8.3.1.1-8.b.i, 8.3.1.1-8.b.ii, 8.4.1-2, 6.6-b1, 6.6-b2, 6.6-b3, 6.6-b4, 6.6-b5
    fn verdict(&self, device: &Device, connectivity: &Connectivity) -> Verdict {
        let Some(feature) = self.request.feature else { return Verdict::Capability };
        let wishes = self.device_wishes(device);
        if wishes.reject {
            return Verdict::Profile;
        }
        if !device.features.contains(&feature) {
            return Verdict::Capability;
        }
        if !connectivity.permits(device) {
            return Verdict::Connectivity;
        }
        if !checks::takes_release(self.policy, device.release) {
            return Verdict::Release;
        }
        if self.policy.exclusions.iter().any(|rule| self.is_excluded(rule, device)) {
            return Verdict::Policy;
        }
        Verdict::Selected { references: wishes.references }
    }

    /// What the user wants of this device: by the profile that is active on it. Notifications go to all that are suitable
    /// (readings F11, G5).
    // req: 8.3.1.4-p1, 8.3.1.4-1, 8.3.1.4-2
    fn device_wishes(&self, device: &Device) -> DeviceWishes {
        let mut wishes = DeviceWishes::default();
        if self.request.content == Content::Disposition || self.rules().is_none() {
            return wishes;
        }
        let profiles = self.preferences.and_then(|preferences| preferences.profiles.as_ref());
        let name = device.instance.as_deref().unwrap_or(device.contact.as_str());
        let profile = profiles.and_then(|profiles| profiles.of_device(name));
        for rule in self.holding(profile) {
            wishes.reject |= rule.conditions.profiles.is_some() && rule.wishes(Wish::RejectInvite);
            wishes.references |= rule.wishes(Wish::DeliverReferenceMedia);
        }
        wishes.references &= self.policy.references && !self.skips(|skipped| skipped.storage);
        wishes
    }

    fn is_excluded(&self, rule: &DeviceRule, device: &Device) -> bool {
        rule.content.is_none_or(|content| content == self.request.content)
            && rule.feature.is_none_or(|feature| Some(feature) == self.request.feature)
            && match &rule.devices {
                DevicesOf::Instance(instance) => device.instance.as_ref() == Some(instance),
                DevicesOf::Primary => device.primary,
                DevicesOf::Secondary => !device.primary,
                DevicesOf::NoRelease => device.release.is_none(),
            }
    }
}

#[derive(Default)]
struct DeviceWishes {
    reject: bool,
    references: bool,
}
