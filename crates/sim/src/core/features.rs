//! What a request asks of a device, and what a device registered (RFC 3841, as far as CPM needs it).

use cpm_core::feature::{self, CpmFeature, CpmService};
use cpm_sip::{
    AcceptContact, ContactAddr, HeaderError, PAssertedService, PPreferredService, Params, RejectContact,
    Request,
};

/// The media feature tag that tells devices apart (RFC 5626 §4.1).
const INSTANCE: &str = "+sip.instance";

/// What a request asks of the device that gets it.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// For each Accept-Contact value with CPM features: one of them. Unlike RFC 3841 has it, also without `require`.
    features: Vec<Vec<CpmFeature>>,
    /// Accept-Contact values with an instance: this very device.
    instances: Vec<String>,
    /// Reject-Contact values with an instance: not this device.
    rejected: Vec<String>,
}

impl Wanted {
    pub(super) fn of(request: &Request) -> Result<Wanted, HeaderError> {
        let mut wanted = Wanted::default();
        for accept in request.typed_list::<AcceptContact>()? {
            let features: Vec<CpmFeature> = features(accept.params()).collect();
            if !features.is_empty() {
                wanted.features.push(features);
            }
            wanted.instances.extend(instance(accept.params()));
        }
        let rejects = request.typed_list::<RejectContact>()?;
        wanted.rejected = rejects.iter().filter_map(|reject| instance(reject.params())).collect();
        Ok(wanted)
    }

    /// Whether a device that registered so is one that is asked for.
    pub(super) fn fits(&self, contact: &ContactAddr) -> bool {
        let has: Vec<CpmFeature> = features(contact.params()).collect();
        let device = instance(contact.params());
        let is = |wanted: &String| device.as_ref().is_some_and(|device| device.eq_ignore_ascii_case(wanted));
        self.features.iter().all(|any_of| any_of.iter().any(|feature| has.contains(feature)))
            && self.instances.iter().all(is)
            && !self.rejected.iter().any(is)
    }
}

/// The instance-id of a device, without quotes.
pub(super) fn instance(params: &Params) -> Option<String> {
    params.get(INSTANCE).map(|value| value.trim_matches('"').to_owned()).filter(|value| !value.is_empty())
}

fn features(params: &Params) -> impl Iterator<Item = CpmFeature> {
    params.get(feature::ICSI_REF).into_iter().flat_map(feature::features_in)
}

/// Whether a request names a CPM service, so that its user's Participating Function is to see it.
pub(super) fn is_cpm(request: &Request) -> Result<bool, HeaderError> {
    let names_one = |accept: &AcceptContact| features(accept.params()).next().is_some();
    let accepted = request.typed_list::<AcceptContact>()?.iter().any(names_one);
    let is_cpm = |urn: &str| CpmService::from_icsi(urn).is_some();
    let asserted = request.typed_list::<PAssertedService>()?.iter().any(|service| is_cpm(service.as_str()));
    let preferred = request.typed_list::<PPreferredService>()?.iter().any(|service| is_cpm(service.as_str()));
    Ok(accepted || asserted || preferred)
}
