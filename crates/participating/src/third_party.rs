//! Third-party REGISTER (TS 8.1.1, 3GPP TS 24.229 §5.4.1.7): what the core says of a user's devices.

use crate::registrations::until;
use crate::{Device, Limits};
use cpm_base::Instant;
use cpm_core::feature::{ICSI_REF, decode_list};
use cpm_mime::{ContentType, Part};
use cpm_sip::{
    Contact, ContactAddr, Expires, HeaderName, Message, PAssociatedUri, Request, Response, To, Uri,
    parse_datagram,
};

/// What a third-party REGISTER says.
#[derive(Debug)]
pub(crate) struct ThirdParty {
    pub(crate) user: Uri,
    pub(crate) identities: Vec<Uri>,
    pub(crate) devices: Vec<Device>,
}

impl ThirdParty {
    /// Reads one; the error is for the Warning of the 400.
    // req: 8.1.1-3, 8.1.1-4
    pub(crate) fn read(now: Instant, request: &Request, limits: &Limits) -> Result<ThirdParty, String> {
        let to = request.typed::<To>().map_err(|error| error.to_string())?.ok_or("To is missing")?;
        let expires =
            request.typed::<Expires>().map_err(|error| error.to_string())?.map_or(0, |expires| expires.0);
        let user = to.uri().clone();
        if expires == 0 {
            return Ok(ThirdParty { user, identities: Vec::new(), devices: Vec::new() });
        }
        let Some(answer) = registration_answer(request)? else {
            return Err("no response to a REGISTER in the body".to_owned());
        };
        let contacts = answer.typed_list::<Contact>().map_err(|error| error.to_string())?;
        let listed = contacts.iter().filter_map(Contact::as_addr);
        let devices: Vec<Device> = listed.filter_map(|contact| device(now, contact, expires)).collect();
        if devices.len() > limits.max_devices {
            return Err(format!("more than {} devices", limits.max_devices));
        }
        let associated = answer.typed_list::<PAssociatedUri>().map_err(|error| error.to_string())?;
        let identities = associated.iter().take(limits.max_identities).map(|uri| uri.uri().clone()).collect();
        Ok(ThirdParty { user, identities, devices })
    }
}

/// The 200 to the client's REGISTER, in a message/sip body or part.
fn registration_answer(request: &Request) -> Result<Option<Response>, String> {
    let Some(value) = request.headers().get(&HeaderName::ContentType) else { return Ok(None) };
    let text = value.to_text().ok_or("Content-Type is not UTF-8")?;
    let content_type = ContentType::parse(&text).map_err(|error| error.to_string())?;
    let whole = Part::new(&content_type, request.body().clone());
    let parts = whole.leaves(&cpm_mime::Limits::default()).map_err(|error| error.to_string())?;
    for part in parts {
        if !part.content_type().is_ok_and(|content_type| content_type.is("message/sip")) {
            continue;
        }
        let message = parse_datagram(part.body.clone(), &cpm_sip::Limits::default());
        if let Message::Response(response) = message.map_err(|failure| failure.error.to_string())? {
            return Ok(Some(response));
        }
    }
    Ok(None)
}

/// One binding; one that is over is none.
fn device(now: Instant, contact: &ContactAddr, expires: u32) -> Option<Device> {
    let seconds = contact.expires().unwrap_or(expires);
    let instance = contact.params().get("+sip.instance");
    let instance = instance.map(|value| value.trim_start_matches('<').trim_end_matches('>').to_owned());
    (seconds > 0).then(|| Device {
        contact: contact.uri().clone(),
        instance,
        features: contact.params().get(ICSI_REF).map(decode_list).unwrap_or_default(),
        until: until(now, seconds),
    })
}
