//! For the user who receives a pager-mode message (TS 8.3.1.1).

use crate::facts::Facts;
use crate::service::assert_service;
use crate::work::{Happening, Work};
use crate::{Device, ParticipatingEvent, ParticipatingFunction};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_core::feature::{CpmFeature, ICSI_REF, decode_list};
use cpm_sip::{AcceptContact, Headers, Params, Request, StatusCode};
use cpm_ua::{Branch, Destination, RequestId};

/// The media feature tag of a device's instance (RFC 5626 §4.1).
const INSTANCE: &str = "+sip.instance";

/// How far a message has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// It was passed on.
    PassedOn,
}

impl ParticipatingFunction {
    // req: 8.1.4-p2, 8.3.1.1-8, 8.3.1.1-8.b.i, 8.3.1.1-9, 8.3.1.1-9.i, 8.3.1.1-15
    pub(crate) fn terminating(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: Request,
        facts: Facts,
    ) {
        let work =
            Box::new(Work { id, request, facts, stage: crate::work::Stage::Terminating(Stage::PassedOn) });
        let mut branches = Vec::new();
        if let Some(feature) = work.facts.feature {
            for device in self.registrations.devices(now.mono, &work.facts.served, feature) {
                let request = for_device(&work.request, feature, &device);
                branches.push(Branch { request, destination: Destination::Routed });
            }
        }
        if branches.is_empty() {
            return self.refuse_work(now, ports, &work, StatusCode::TEMPORARILY_UNAVAILABLE, None);
        }
        match self.pass_on(now, ports, id, branches) {
            Ok(_) => self.works.put(work),
            Err(status) => self.refuse_work(now, ports, &work, status, None),
        }
    }

    /// The first 2xx, or the best response, is this function's.
    // req: 8.3.1.1-p3
    pub(crate) fn terminating_goes_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        happening: Happening,
    ) {
        match happening {
            Happening::Answered(proxy, response) => self.release(now, ports, &work, proxy, response),
            Happening::TooLate => self.tell_handled(ports, &work, None),
            _ => self.works.put(work),
        }
    }
}
/// The request for one device. Its public GRUU as Request-URI, where the registrar gave it one (TS 8.3.1.1-13); else its
/// instance in an Accept-Contact of its own (TS 6.1.2); without an instance, its contact as Request-URI.
// req: 6.1.2-p1, 6.1.2-p3, 8.3.1.1-10, 8.3.1.1-13
pub(crate) fn for_device(request: &Request, feature: CpmFeature, device: &Device) -> Request {
    let mut copy = request.clone();
    assert_service(&mut copy);
    drop_instances(copy.headers_mut());
    // Readings C9: one that names the service and insists on it.
    let wishes = copy.typed_list::<AcceptContact>().unwrap_or_default();
    if !wishes.iter().any(|wish| insists_on(wish, feature))
        && let Some(wish) = insisting(ICSI_REF, &feature.encoded())
    {
        copy.headers_mut().push_typed(&wish);
    }
    let instance = device.instance.as_ref().and_then(|urn| insisting(INSTANCE, &format!("<{urn}>")));
    match (&device.gruu, instance) {
        (Some(gruu), _) => copy.set_uri(gruu.clone()),
        (None, Some(wish)) => copy.headers_mut().push_typed(&wish),
        (None, None) => copy.set_uri(device.contact.clone()),
    }
    copy
}

/// A device that the sender's side named is none of ours to aim at (readings C8). Nothing is written anew when there is
/// none.
fn drop_instances(headers: &mut Headers) {
    let wishes = headers.typed_list::<AcceptContact>().unwrap_or_default();
    let names_instance = |wish: &AcceptContact| wish.params().contains(INSTANCE);
    if wishes.iter().any(names_instance) {
        let others: Vec<AcceptContact> = wishes.into_iter().filter(|wish| !names_instance(wish)).collect();
        headers.set_typed_list(&others);
    }
}

fn insists_on(wish: &AcceptContact, feature: CpmFeature) -> bool {
    let named = wish.params().get(ICSI_REF).map(decode_list).unwrap_or_default();
    wish.require() && wish.explicit() && named.contains(&feature)
}

/// `*;name="value";require;explicit` (RFC 3841 §9.2).
fn insisting(name: &str, value: &str) -> Option<AcceptContact> {
    let mut params = Params::new();
    params.set_quoted(name, value).ok()?;
    params.set("require", None).ok()?;
    params.set("explicit", None).ok()?;
    Some(AcceptContact::new(params))
}
