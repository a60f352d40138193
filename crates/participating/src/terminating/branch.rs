//! The request for a device, for a forwarding address, and what both have in common (TS 8.3.1.1-10 to -14, 6.1.2).

use crate::Device;
use crate::service::assert_service;
use cpm_core::feature::{CpmFeature, ICSI_REF, features_in};
use cpm_core::outside::ObjectUid;
use cpm_sip::{AcceptContact, HeaderName, Headers, MessageUid, Params, Request, Uri};

/// The media feature tag of a device's instance (RFC 5626 §4.1).
const INSTANCE: &str = "+sip.instance";

/// What the requests for all devices have in common.
// req: 6.1.2-p3, 8.3.1.1-10
pub(crate) fn for_devices(request: &Request, wishes: &[AcceptContact], feature: CpmFeature) -> Request {
    let mut copy = request.clone();
    assert_service(&mut copy);
    drop_instances(copy.headers_mut(), wishes);
    // Readings C9: one that names the service and insists on it.
    if !wishes.iter().filter(|wish| !names_instance(wish)).any(|wish| insists_on(wish, feature))
        && let Some(wish) = insisting(ICSI_REF, &feature.encoded())
    {
        copy.headers_mut().push_typed(&wish);
    }
    copy
}

/// Aims it at one device: its public GRUU as Request-URI, where the registrar gave it one (TS 8.3.1.1-13); else its
/// instance in an Accept-Contact of its own (TS 6.1.2); without an instance, its contact as Request-URI.
// req: 6.1.2-a, 6.1.2-p1, 8.3.1.1-13
pub(crate) fn for_device(common: Request, device: &Device) -> Request {
    let mut copy = common;
    let instance = device.instance.as_ref().and_then(|urn| insisting(INSTANCE, &["<", urn, ">"].concat()));
    match (&device.gruu, instance) {
        (Some(gruu), _) => copy.set_uri(gruu.clone()),
        (None, Some(wish)) => copy.headers_mut().push_typed(&wish),
        (None, None) => copy.set_uri(device.contact.clone()),
    }
    copy
}

/// The request for the address that the user has it forwarded to (TS 8.3.1.1-4.e): served for nobody yet, and aimed at no
/// device.
// req: 8.3.1.1-4.e
pub(super) fn forwarded(request: &Request, wishes: &[AcceptContact], to: &Uri) -> Request {
    let mut copy = request.clone();
    assert_service(&mut copy);
    drop_instances(copy.headers_mut(), wishes);
    copy.headers_mut().remove(&HeaderName::PServedUser);
    copy.headers_mut().remove(&HeaderName::MessageUid);
    copy.set_uri(to.clone());
    copy
}

/// Where the message is in the message store of the user (TS 8.3.1.1-14, C.1.6). A number that came with it is that of
/// another store.
// req: 8.3.1.1-14, 8.5.1-uid-1.a
pub(super) fn set_uid(request: &mut Request, uid: Option<ObjectUid>) {
    request.headers_mut().remove(&HeaderName::MessageUid);
    if let Some(ObjectUid(uid)) = uid {
        request.headers_mut().push_typed(&MessageUid(uid));
    }
}

/// A device that the sender's side named is none of ours to aim at (readings C8). Nothing is written anew when there is
/// none.
fn drop_instances(headers: &mut Headers, wishes: &[AcceptContact]) {
    if wishes.iter().any(names_instance) {
        let others: Vec<AcceptContact> =
            wishes.iter().filter(|wish| !names_instance(wish)).cloned().collect();
        headers.set_typed_list(&others);
    }
}

fn names_instance(wish: &AcceptContact) -> bool {
    wish.params().contains(INSTANCE)
}

fn insists_on(wish: &AcceptContact, feature: CpmFeature) -> bool {
    let named =
        || wish.params().get(ICSI_REF).is_some_and(|value| features_in(value).any(|named| named == feature));
    wish.require() && wish.explicit() && named()
}

/// `*;name="value";require;explicit` (RFC 3841 §9.2).
fn insisting(name: &str, value: &str) -> Option<AcceptContact> {
    let mut params = Params::new();
    params.set_quoted(name, value).ok()?;
    params.set("require", None).ok()?;
    params.set("explicit", None).ok()?;
    Some(AcceptContact::new(params))
}
