//! For the user who receives (TS 8.3.1.1; 8.3.1.2 as a proxy).

use crate::function::feature_of;
use crate::{Device, ParticipatingEvent, ParticipatingFunction, ServedRole};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_core::feature::{CpmFeature, ICSI_REF};
use cpm_sip::{AcceptContact, Params, Request, StatusCode, Uri};
use cpm_ua::{Branch, Destination, RequestId};

impl ParticipatingFunction {
    // req: 8.1.4-p2
    pub(crate) fn terminating(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
        served: &Uri,
    ) {
        let feature = feature_of(request);
        let devices =
            feature.map(|feature| self.registrations.devices(now.mono, served, feature)).unwrap_or_default();
        let branches: Vec<Branch> = devices
            .iter()
            .filter_map(|device| {
                let request = for_device(request, feature?, device);
                Some(Branch { request, destination: Destination::Routed })
            })
            .collect();
        if branches.is_empty() {
            let status = StatusCode::TEMPORARILY_UNAVAILABLE;
            self.refuse(now, ports, id, request, status, None);
            return self.handled(ports, ServedRole::Terminating, request.method().clone(), status);
        }
        self.pass_on(now, ports, id, request, ServedRole::Terminating, branches);
    }
}

/// The request for one device (TS 6.1.2): its instance in an Accept-Contact of its own with `require` and `explicit`;
/// without an instance, its contact as Request-URI.
// req: 6.1.2-p1, 6.1.2-p3
fn for_device(request: &Request, feature: CpmFeature, device: &Device) -> Request {
    let mut copy = request.clone();
    // A device that the sender's side named is none of ours to aim at (readings C8).
    let mut wishes: Vec<AcceptContact> = copy.typed_list::<AcceptContact>().unwrap_or_default();
    wishes.retain(|wish| !wish.params().contains("+sip.instance"));
    // Readings C9: one that names the service alone and insists on it.
    let encoded = feature.encoded();
    if !wishes.iter().any(|wish| wish.require() && wish.explicit() && wish.params().contains(ICSI_REF)) {
        wishes.extend(insisting(ICSI_REF, &encoded));
    }
    match &device.instance {
        Some(instance) => wishes.extend(insisting("+sip.instance", &format!("<{instance}>"))),
        None => copy.set_uri(device.contact.clone()),
    }
    copy.headers_mut().set_typed_list(&wishes);
    copy
}

/// `*;name="value";require;explicit` (RFC 3841 §9.2).
fn insisting(name: &str, value: &str) -> Option<AcceptContact> {
    let mut params = Params::new();
    params.set_quoted(name, value).ok()?;
    params.set("require", None).ok()?;
    params.set("explicit", None).ok()?;
    Some(AcceptContact::new(params))
}
