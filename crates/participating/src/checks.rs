//! The steps that both roles share: what a request has to have before anything is done for it.

use crate::facts::{AssertedService, Facts};
use crate::policy::{Policy, UnknownService};
use core::time::Duration;
use cpm_base::DateTime;
use cpm_core::feature::CpmFeature;
use cpm_core::release::Release;
use cpm_core::warning::Reason;
use cpm_sip::{Date, Request, Uri};

/// A release that the policy takes (TS 8.2.1.1-2, 8.3.1.1-1, 6.6).
pub(crate) fn takes_release(policy: &Policy, release: Option<Release>) -> bool {
    let Some(taken) = &policy.releases else { return true };
    release.is_some_and(|release| taken.contains(&(release.major, release.minor)))
}

/// What is wrong with the version, if anything.
// req: 8.2.1.1-2, 8.3.1.1-1
pub(crate) fn version(policy: &Policy, release: Option<Release>) -> Result<(), Reason> {
    if takes_release(policy, release) { Ok(()) } else { Err(Reason::Version) }
}

/// What is wrong with a request for anonymity, if anything.
// req: 8.2.1.1-3, 8.3.1.1-2
pub(crate) fn anonymity(allowed: bool, anonymous: bool) -> Result<(), Reason> {
    if anonymous && !allowed { Err(Reason::Anonymity) } else { Ok(()) }
}

/// Whether the policy lets P-Asserted-Service pass: in a MESSAGE it is that of pager messages, of one or of a group
/// (readings C6).
pub(crate) fn service(policy: &Policy, asserted: AssertedService) -> bool {
    match asserted {
        AssertedService::None => true,
        AssertedService::Cpm(service) if service.feature == CpmFeature::PagerMessage => true,
        AssertedService::Cpm(_) | AssertedService::Other => policy.unknown_service == UnknownService::Pass,
    }
}

/// The same for who sends: a MESSAGE of the sender's may belong to any service that has a group form (TS 8.2.1.1-7.i.2).
// req: 8.2.1.1-7.i.2
pub(crate) fn service_of_sender(policy: &Policy, asserted: AssertedService) -> bool {
    match asserted {
        AssertedService::None => true,
        AssertedService::Cpm(service) if service.feature.has_group_form() => true,
        AssertedService::Cpm(_) | AssertedService::Other => policy.unknown_service == UnknownService::Pass,
    }
}

/// Whether the user who is served, under this name or any asserted one, may not send messages (TS 8.2.1.1-1). A number is
/// the same as tel and as sip URI.
// req: 8.2.1.1-1
pub(crate) fn is_barred(policy: &Policy, facts: &Facts) -> bool {
    let listed = |uri: &Uri| {
        policy.barred.contains(&uri.address_key())
            || uri.telephone().is_some_and(|number| policy.barred.contains(&number.key()))
    };
    !policy.barred.is_empty() && (listed(&facts.served) || facts.originators.iter().any(listed))
}

/// When a MESSAGE is of no use any more: so many seconds after its Date, without one after it came (RFC 3428 §7).
// req: 8.2.1.1-4
pub(crate) fn expires_at(request: &Request, facts: &Facts, now: DateTime) -> Option<DateTime> {
    let seconds = facts.expires?;
    let from = request.typed::<Date>().ok().flatten().map_or(now, |Date(date)| date);
    Some(from.plus(Duration::from_secs(u64::from(seconds))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_core::feature::CpmService;

    fn release(major: u16, minor: u16) -> Option<Release> {
        Some(Release { major, minor, ..Release::CLIENT_2_1 })
    }

    // req: 8.2.1.1-2, 8.3.1.1-1
    #[test]
    fn a_release_has_to_be_one_of_the_list() {
        let any = Policy::default();
        let two = Policy { releases: Some(vec![(2, 0), (2, 1)]), ..Policy::default() };
        for (policy, release, expected) in [
            (&any, None, Ok(())),
            (&any, release(1, 0), Ok(())),
            (&two, release(2, 1), Ok(())),
            (&two, release(2, 0), Ok(())),
            (&two, release(1, 0), Err(Reason::Version)),
            (&two, release(2, 2), Err(Reason::Version)),
            (&two, None, Err(Reason::Version)),
        ] {
            assert_eq!(version(policy, release), expected, "{release:?}");
        }
    }

    // req: 8.2.1.1-3, 8.3.1.1-2
    #[test]
    fn anonymity_has_to_be_allowed() {
        assert_eq!(anonymity(true, true), Ok(()));
        assert_eq!(anonymity(true, false), Ok(()));
        assert_eq!(anonymity(false, false), Ok(()));
        assert_eq!(anonymity(false, true), Err(Reason::Anonymity));
    }

    // req: 8.2.1.1-7.i.2
    #[test]
    fn who_sends_may_name_every_service_with_a_group_form() {
        let (pass, refuse) =
            (Policy::default(), Policy { unknown_service: UnknownService::Refuse, ..Policy::default() });
        for feature in [
            CpmFeature::PagerMessage,
            CpmFeature::LargeMessage,
            CpmFeature::Session,
            CpmFeature::FileTransfer,
        ] {
            for group in [false, true] {
                assert!(service_of_sender(&refuse, AssertedService::Cpm(CpmService { feature, group })));
            }
        }
        assert!(service_of_sender(&refuse, AssertedService::None));
        for feature in [CpmFeature::Deferred, CpmFeature::SystemMessage] {
            let asserted = AssertedService::Cpm(CpmService { feature, group: false });
            assert_eq!(
                (service_of_sender(&pass, asserted), service_of_sender(&refuse, asserted)),
                (true, false)
            );
        }
        assert!(!service_of_sender(&refuse, AssertedService::Other));
    }

    #[test]
    fn a_service_that_is_not_expected_is_policy() {
        let (pass, refuse) =
            (Policy::default(), Policy { unknown_service: UnknownService::Refuse, ..Policy::default() });
        let of = |feature, group| AssertedService::Cpm(CpmService { feature, group });
        for (asserted, known) in [
            (AssertedService::None, true),
            (of(CpmFeature::PagerMessage, false), true),
            (of(CpmFeature::PagerMessage, true), true),
            (of(CpmFeature::Session, false), false),
            (AssertedService::Other, false),
        ] {
            assert!(service(&pass, asserted));
            assert_eq!(service(&refuse, asserted), known, "{asserted:?}");
        }
    }
}
