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

/// How long a registration lasts of which nobody says it, in seconds (RFC 3261 §10.2.1.1).
const DEFAULT_EXPIRES: u32 = 3600;

/// What a third-party REGISTER says.
#[derive(Debug)]
pub(crate) struct ThirdParty {
    pub(crate) user: Uri,
    pub(crate) identities: Vec<Uri>,
    pub(crate) devices: Vec<Device>,
}

impl ThirdParty {
    /// Reads one; the error is for the Warning of the 400.
    // req: 8.1.1-p1, 8.1.1-4
    pub(crate) fn read(now: Instant, request: &Request, limits: &Limits) -> Result<ThirdParty, String> {
        let to = request.typed::<To>().map_err(|error| error.to_string())?.ok_or("To is missing")?;
        let expires = request.typed::<Expires>().map_err(|error| error.to_string())?.map(|expires| expires.0);
        let user = to.uri().clone();
        if expires == Some(0) {
            return Ok(ThirdParty { user, identities: Vec::new(), devices: Vec::new() });
        }
        let Some(answer) = registration_answer(request)? else {
            return Err("no response to a REGISTER in the body".to_owned());
        };
        let contacts = answer.typed_list::<Contact>().map_err(|error| error.to_string())?;
        let expires = expires.unwrap_or(DEFAULT_EXPIRES);
        let mut devices = Vec::new();
        for contact in contacts.iter().filter_map(Contact::as_addr) {
            if let Some(device) = device(now, contact, expires) {
                add(&mut devices, device);
            }
        }
        if devices.len() > limits.max_devices {
            return Err(format!("more than {} devices", limits.max_devices));
        }
        let associated = answer.typed_list::<PAssociatedUri>().map_err(|error| error.to_string())?;
        let identities = associated.iter().take(limits.max_identities).map(|uri| uri.uri().clone()).collect();
        Ok(ThirdParty { user, identities, devices })
    }
}

/// The 2xx to the client's REGISTER, in a message/sip body or part. The REGISTER itself tells nothing that is needed here.
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
        let octets = part.decoded().map_err(|error| error.to_string())?;
        if !octets.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/2.0 ")) {
            continue;
        }
        let message = parse_datagram(octets, &cpm_sip::Limits::default());
        match message.map_err(|failure| failure.error.to_string())? {
            Message::Response(response) if response.status().is_success() => return Ok(Some(response)),
            _ => {}
        }
    }
    Ok(None)
}

/// Takes a device in. Several bindings of one instance (RFC 5626: one for each of its flows) are one device, which is there
/// as long as the last of them.
fn add(devices: &mut Vec<Device>, device: Device) {
    let same = devices.iter_mut().find(|known| known.instance.is_some() && known.instance == device.instance);
    match same {
        Some(known) if known.until >= device.until => {}
        Some(known) => *known = device,
        None => devices.push(device),
    }
}

/// One binding; one that is over is none.
fn device(now: Instant, contact: &ContactAddr, expires: u32) -> Option<Device> {
    let seconds = contact.expires().unwrap_or(expires);
    let instance = contact.params().get("+sip.instance");
    let instance = instance.map(|value| value.trim_start_matches('<').trim_end_matches('>').to_owned());
    let gruu = contact.params().get("pub-gruu").and_then(|text| Uri::parse(text).ok());
    let gruu = gruu.filter(|gruu| gruu.as_sip().is_some());
    (seconds > 0).then(|| Device {
        contact: contact.uri().clone(),
        gruu,
        instance,
        features: contact.params().get(ICSI_REF).map(decode_list).unwrap_or_default(),
        release: None,
        primary: false,
        until: until(now, seconds),
    })
}
