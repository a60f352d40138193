//! The delivery decision (TS 8.3.1.1-1 to -9, 6.6): what is done with a MESSAGE for a served user, and why. It asks nobody
//! and does nothing: everything that it depends on is handed in.

mod remedy;
mod selection;

pub use remedy::{Tried, remedy};
pub use selection::Verdict;

use crate::facts::AssertedService;
use crate::policy::{Policy, Recording};
use crate::{Connectivity, Content, Device, checks};
use cpm_base::DateTime;
use cpm_core::feature::CpmFeature;
use cpm_core::outside::Preferences;
use cpm_core::release::Release;
use cpm_core::warning::Reason;
use cpm_sip::Uri;
use cpm_xml::access_policy::{ENABLER, Wish};
use cpm_xml::ruleset::{Context, Rule, Ruleset};

/// What `<media-list>` calls pager and large messages (TS 8.3.1.1-4).
pub(crate) const STANDALONE_MESSAGE: &str = "standalone-message";

/// What of a MESSAGE its delivery depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRequest {
    /// For whom it is.
    pub served: Uri,
    /// Who sent it: the asserted identities.
    pub originators: Vec<Uri>,
    /// Whether its sender asked to be anonymous.
    pub anonymous: bool,
    /// What its User-Agent says.
    pub release: Option<Release>,
    /// What it carries.
    pub content: Content,
    /// The CPM feature that it asks for.
    pub feature: Option<CpmFeature>,
    /// What its P-Asserted-Service says.
    pub service: AssertedService,
    /// Whether its Accept-Contact has more in it than CPM and a device.
    pub extra_strings: bool,
    /// Now.
    pub at: DateTime,
}

/// What is done with a MESSAGE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub outcome: Outcome,
    /// Why that, and nothing that comes later.
    pub why: Why,
    /// It also goes, or goes alone, to the interworking function, for this reason.
    pub interworking: Option<Interworking>,
    /// It is recorded in the message store of the user (TS 8.3.1.1-5).
    pub record: bool,
    /// What of each device, in the order in which they were given. Nothing but [`Outcome::Deliver`] selects one.
    pub devices: Vec<Verdict>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 403 with this Warning, or without one.
    Refuse(Option<Reason>),
    /// It is kept and delivered later.
    Defer(Deferral),
    /// It goes into the message store; 200 once it is there.
    Store,
    /// It goes to this address instead.
    Forward(Uri),
    /// It goes to the devices that are selected, and to the interworking function where that is said.
    Deliver,
    /// There is nobody whom it could go to: [`remedy`] says what then.
    Undelivered,
}

/// Why something is deferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deferral {
    /// The user does not want to be disturbed (TS 8.3.1.1-4.b).
    DoNotDisturb,
    /// The user wants it so (TS 8.3.1.1-4.f).
    Wish,
    /// It could not be delivered (TS 8.3.6-1).
    Undelivered,
}

/// Why something goes to the interworking function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interworking {
    /// `<allow-interwork>`: instead of to devices (TS 8.3.1.1-4.c).
    Instead,
    /// `<allow-deliver-and-interwork>`: beside the devices (TS 8.3.1.1-4.c).
    Beside,
    /// No selected device is the Primary Device (TS 8.3.1.1-9.ii, -9.iii).
    PrimaryDevice,
}

/// Which step decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// 8.3.1.1-1: the User-Agent names no release that is taken.
    Version,
    /// 8.3.1.1-2: anonymous, which is not allowed.
    Anonymity,
    /// 8.3.1.1-12.c: an asserted service that is not taken.
    Service,
    /// 8.3.1.1-3: the sender is on the blacklist.
    Blacklist,
    /// 8.4.1: what the user wants cannot be had, and nothing is delivered without.
    NoPreferences,
    /// 8.3.1.1-4.a: `<allow-reject-invite>`.
    RejectInvite,
    /// 8.3.1.1-4.b: `<allow-do-not-disturb>`.
    DoNotDisturb,
    /// 8.3.1.1-4.c: `<allow-interwork>` alone.
    Interwork,
    /// 8.3.1.1-4.c: `<allow-interwork>` alone, and there is no interworking.
    NoInterworking,
    /// 8.3.1.1-4.d: `<allow-store>`.
    Store,
    /// 8.3.1.1-4.e: `<allow-forward>`.
    Forward,
    /// 8.3.1.1-4.f: `<allow-defer>`.
    Defer,
    /// 8.3.1.1-6: a disposition notification goes to the devices.
    Disposition,
    /// 8.3.1.1-8, 6.6: these devices are suitable.
    Suitable,
    /// 8.3.1.1-9.ii, -9.iii: no device is suitable, but the Primary Device is reached by interworking.
    PrimaryDevice,
    /// 8.3.1.3: no device is suitable.
    NobodySuitable,
}

impl Why {
    /// The counter of decisions that were made for this reason.
    #[must_use]
    pub const fn counter(self) -> &'static str {
        match self {
            Why::Version => "pf.decided.version",
            Why::Anonymity => "pf.decided.anonymity",
            Why::Service => "pf.decided.service",
            Why::Blacklist => "pf.decided.blacklist",
            Why::NoPreferences => "pf.decided.no_preferences",
            Why::RejectInvite => "pf.decided.reject_invite",
            Why::DoNotDisturb => "pf.decided.do_not_disturb",
            Why::Interwork => "pf.decided.interwork",
            Why::NoInterworking => "pf.decided.no_interworking",
            Why::Store => "pf.decided.store",
            Why::Forward => "pf.decided.forward",
            Why::Defer => "pf.decided.defer",
            Why::Disposition => "pf.decided.disposition",
            Why::Suitable => "pf.decided.suitable",
            Why::PrimaryDevice => "pf.decided.primary_device",
            Why::NobodySuitable => "pf.decided.nobody_suitable",
        }
    }
}

/// Decides what is done with a MESSAGE for a served user. `preferences`: `None` where they are not asked for, or could not
/// be had and the policy delivers without them.
#[must_use]
pub fn decide(
    request: &DeliveryRequest,
    preferences: Option<&Preferences>,
    policy: &Policy,
    devices: &[Device],
    connectivity: &Connectivity,
) -> Decision {
    if let Some(refused) = refused_at_once(request, policy) {
        return refused.with_devices(devices);
    }
    let known = Known { request, preferences, policy };
    if known.is_blacklisted() {
        return Decision::new(Outcome::Refuse(Some(Reason::NotAllowed)), Why::Blacklist)
            .with_devices(devices);
    }
    let wishes = Wishes::of(&known);
    let mut decision = match wishes.decide(&known) {
        Some(decision) => decision.with_devices(devices),
        None => known.select(wishes.interworking(&known), devices, connectivity),
    };
    decision.record = wishes.are_recorded(&decision) && known.is_recorded();
    decision
}

/// TS 8.3.1.1-1, -2 and -12.c: what is refused whatever the user wants. Asked before the user's preferences are.
// req: 8.3.1.1-1, 8.3.1.1-2, 8.3.1.1-12.c
pub(crate) fn refused_at_once(request: &DeliveryRequest, policy: &Policy) -> Option<Decision> {
    let refuse = |reason, why| Some(Decision::new(Outcome::Refuse(reason), why));
    if let Err(reason) = checks::version(policy, request.release) {
        return refuse(Some(reason), Why::Version);
    }
    if let Err(reason) = checks::anonymity(policy.anonymity_terminating, request.anonymous) {
        return refuse(Some(reason), Why::Anonymity);
    }
    // A notification carries the service of what it is about.
    if request.content == Content::Message && !checks::service(policy, request.service) {
        return refuse(None, Why::Service);
    }
    None
}

impl Decision {
    fn new(outcome: Outcome, why: Why) -> Decision {
        Decision { outcome, why, interworking: None, record: false, devices: Vec::new() }
    }

    /// What the policy says where the wishes of the user cannot be had ([`WithoutPreferences::Refuse`]).
    ///
    /// [`WithoutPreferences::Refuse`]: crate::WithoutPreferences::Refuse
    pub(crate) fn without_preferences() -> Decision {
        Decision::new(Outcome::Undelivered, Why::NoPreferences)
    }

    /// No device is selected.
    fn with_devices(mut self, devices: &[Device]) -> Decision {
        self.devices = vec![Verdict::NotAsked; devices.len()];
        self
    }

    /// Whether a device gets it.
    #[must_use]
    pub fn reaches_devices(&self) -> bool {
        self.devices.iter().any(|verdict| matches!(verdict, Verdict::Selected { .. }))
    }
}

/// What a decision is made of.
#[derive(Clone, Copy)]
struct Known<'a> {
    request: &'a DeliveryRequest,
    preferences: Option<&'a Preferences>,
    policy: &'a Policy,
}

impl<'a> Known<'a> {
    /// Whether a service is skipped for this request (TS 8.3).
    // req: 8.3-b1
    fn skips(&self, service: impl Fn(&crate::Skipped) -> bool) -> bool {
        self.request.extra_strings && service(&self.policy.skipped)
    }

    /// TS 8.3.1.1-3: also of somebody who wants to be anonymous.
    // req: 8.3.1.1-3
    fn is_blacklisted(&self) -> bool {
        let Some(preferences) = self.preferences else { return false };
        self.policy.blacklist
            && !self.skips(|skipped| skipped.blacklist)
            && !preferences.blacklist.is_empty()
            && self.request.originators.iter().any(|uri| preferences.blacklist.contains(&uri.address_key()))
    }

    /// The rules of the user that count for this request.
    fn rules(&self) -> Option<&'a Ruleset> {
        let rules = self.preferences.and_then(|preferences| preferences.access_policy.as_ref());
        rules.filter(|rules| !rules.rules.is_empty() && !self.skips(|skipped| skipped.preferences))
    }

    fn can_interwork(&self) -> bool {
        self.policy.isf.is_some() && !self.skips(|skipped| skipped.interworking)
    }

    /// The rules that hold for this request on a device with this profile, and on none where there is none; they name CPM.
    fn holding(&self, profile: Option<&str>) -> Vec<&'a Rule> {
        let Some(rules) = self.rules() else { return Vec::new() };
        // RFC 4745 §7.1.3: nobody is known who does not want to be.
        let named = if self.request.anonymous { &[][..] } else { &self.request.originators[..] };
        let texts: Vec<String> =
            named.iter().flat_map(|uri| [uri.as_str().to_owned(), uri.address_key()]).collect();
        let identities: Vec<&str> = texts.iter().map(String::as_str).collect();
        let context = Context {
            enabler: ENABLER,
            media: &[STANDALONE_MESSAGE],
            identities: &identities,
            profile,
            now: self.request.at,
            member: false,
        };
        let holding = rules.matching(&context).into_iter();
        holding.filter(|rule| rule.conditions.services.is_some()).collect()
    }

    /// TS 8.3.1.1-5: whether what is delivered is recorded.
    // req: 8.3.1.1-5, 8.4.1-1
    fn is_recorded(&self) -> bool {
        if self.skips(|skipped| skipped.storage) {
            return false;
        }
        match self.policy.recording {
            Recording::Never => false,
            Recording::Always => true,
            Recording::Wish => self.holding(None).iter().any(|rule| rule.wishes(Wish::OfflineStorage)),
        }
    }
}

/// What the rules of step 4 say that hold: their actions add up (RFC 4745 §10).
#[derive(Default)]
struct Wishes {
    reject: bool,
    do_not_disturb: bool,
    interwork: bool,
    deliver_and_interwork: bool,
    store: bool,
    forward: Option<Uri>,
    defer: bool,
}

impl Wishes {
    /// The rules of TS 8.3.1.1-4: they name CPM and standalone messages. Notifications have none (readings F11).
    // req: 8.3.1.1-4, 8.4.1-1
    fn of(known: &Known<'_>) -> Wishes {
        let mut wishes = Wishes::default();
        if known.request.content == Content::Disposition {
            return wishes;
        }
        for rule in known.holding(None).into_iter().filter(|rule| rule.conditions.media.is_some()) {
            wishes.reject |= rule.wishes(Wish::RejectInvite);
            wishes.do_not_disturb |= rule.wishes(Wish::DoNotDisturb);
            wishes.interwork |= rule.wishes(Wish::Interwork);
            wishes.deliver_and_interwork |= rule.wishes(Wish::DeliverAndInterwork);
            wishes.store |= rule.wishes(Wish::Store) && !known.skips(|skipped| skipped.storage);
            wishes.defer |= rule.wishes(Wish::Defer) && !known.skips(|skipped| skipped.deferral);
            if rule.wishes(Wish::Forward) && wishes.forward.is_none() {
                let to = rule.forward_to().and_then(|to| Uri::parse(to).ok());
                // To the user himself it goes anyway.
                let served = known.request.served.address_key();
                wishes.forward = to.filter(|to| to.address_key() != served);
            }
        }
        wishes
    }

    /// TS 8.3.1.1-4.c: where it also goes.
    // req: 8.3.1.1-4.c
    fn interworking(&self, known: &Known<'_>) -> Option<Interworking> {
        let wanted = match (self.deliver_and_interwork, self.interwork) {
            (true, _) => Some(Interworking::Beside),
            (false, true) => Some(Interworking::Instead),
            (false, false) => None,
        };
        wanted.filter(|_| known.can_interwork())
    }

    /// TS 8.3.1.1-4.a to -4.f; `None`: go on.
    // req: 8.3.1.1-4.a, 8.3.1.1-4.d.i, 8.3.1.1-4.e
    fn decide(&self, known: &Known<'_>) -> Option<Decision> {
        if self.reject {
            return Some(Decision::new(Outcome::Refuse(Some(Reason::NotAllowed)), Why::RejectInvite));
        }
        if self.do_not_disturb {
            // Where nothing is deferred, the user is not disturbed all the same.
            let deferred = !known.skips(|skipped| skipped.deferral);
            let outcome =
                if deferred { Outcome::Defer(Deferral::DoNotDisturb) } else { Outcome::Undelivered };
            return Some(Decision::new(outcome, Why::DoNotDisturb));
        }
        let interworking = self.interworking(known);
        let decision = |outcome, why| Some(Decision { interworking, ..Decision::new(outcome, why) });
        if self.store {
            return decision(Outcome::Store, Why::Store);
        }
        if let Some(to) = &self.forward {
            return decision(Outcome::Forward(to.clone()), Why::Forward);
        }
        if self.defer && interworking.is_none() {
            return decision(Outcome::Defer(Deferral::Wish), Why::Defer);
        }
        match interworking {
            Some(Interworking::Instead) => decision(Outcome::Deliver, Why::Interwork),
            None if self.interwork && !self.deliver_and_interwork => {
                decision(Outcome::Undelivered, Why::NoInterworking)
            }
            _ => None,
        }
    }

    /// TS 8.3.1.1-5: what no rule stopped, and what is interworked; whether somebody can get it comes later.
    fn are_recorded(&self, decision: &Decision) -> bool {
        match decision.outcome {
            Outcome::Deliver => true,
            Outcome::Undelivered => decision.why != Why::DoNotDisturb,
            Outcome::Forward(_) => decision.interworking.is_some(),
            Outcome::Refuse(_) | Outcome::Defer(_) | Outcome::Store => false,
        }
    }
}

#[cfg(test)]
mod tests;
