//! Third-party REGISTER (TS 8.1.1, 3GPP TS 24.229 §5.4.1.7): what the core says of a user and of the user's devices.

use crate::Limits;
use crate::registrations::{Binding, Interest, until};
use cpm_base::Instant;
use cpm_core::release::Release;
use cpm_mime::{ContentType, Part};
use cpm_sip::{
    Contact, Expires, HeaderName, Message, Method, PAssociatedUri, Request, Response, To, Uri, parse_datagram,
};

/// How long a registration lasts of which nobody says it, in seconds (RFC 3261 §10.2.1.1).
const DEFAULT_EXPIRES: u32 = 3600;

/// What a third-party REGISTER says.
#[derive(Debug)]
pub(crate) struct ThirdParty {
    /// Who is registered.
    pub(crate) user: Uri,
    /// Until when; `None`: the user is not registered any more.
    pub(crate) until: Option<Instant>,
    /// What the response to the client's REGISTER says, where it was included.
    pub(crate) registered: Option<Registered>,
    /// What the client's REGISTER says of the device, where it was included.
    pub(crate) client: Option<RegisteringClient>,
}

/// All bindings of the user, and all identities.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) bindings: Vec<Binding>,
    pub(crate) identities: Vec<String>,
}

/// Who registered: which contacts, and which release (TS 6.6).
#[derive(Debug)]
pub(crate) struct RegisteringClient {
    pub(crate) release: Option<Release>,
    /// Instance, without angle brackets, and contact address of each of its Contact values.
    pub(crate) contacts: Vec<(Option<String>, String)>,
}

/// What message/sip bodies hold.
#[derive(Debug, Default)]
struct Included {
    register: Option<Request>,
    response: Option<Response>,
}

impl ThirdParty {
    /// Reads one; the error is for the Warning of the 400.
    // req: 8.1.1-p1, 8.1.1-3, 8.1.1-4
    pub(crate) fn read(
        now: Instant,
        request: &Request,
        limits: &Limits,
        interest: Interest<'_>,
    ) -> Result<ThirdParty, String> {
        let to = request.typed::<To>().map_err(|error| error.to_string())?.ok_or("To is missing")?;
        let expires = request.typed::<Expires>().map_err(|error| error.to_string())?.map(|expires| expires.0);
        let user = to.uri().clone();
        if expires == Some(0) {
            return Ok(ThirdParty { user, until: None, registered: None, client: None });
        }
        let included = included(request)?;
        let seconds = expires.unwrap_or(DEFAULT_EXPIRES);
        let registered = match &included.response {
            Some(response) => Some(Registered::read(now, response, seconds, limits, interest)?),
            None => None,
        };
        Ok(ThirdParty {
            user,
            until: Some(until(now, seconds.into())),
            registered,
            client: included.register.as_ref().map(RegisteringClient::read),
        })
    }
}

impl Registered {
    fn read(
        now: Instant,
        answer: &Response,
        expires: u32,
        limits: &Limits,
        interest: Interest<'_>,
    ) -> Result<Registered, String> {
        let contacts = answer.typed_list::<Contact>().map_err(|error| error.to_string())?;
        let of_contact = |contact| Binding::of_contact(now, contact, expires, interest);
        let bindings = contacts.iter().filter_map(Contact::as_addr).filter_map(of_contact).collect();
        let associated = answer.typed_list::<PAssociatedUri>().map_err(|error| error.to_string())?;
        let identities = associated.iter().take(limits.max_identities);
        Ok(Registered { bindings, identities: identities.map(|uri| uri.uri().address_key()).collect() })
    }
}

impl RegisteringClient {
    /// A field that cannot be read says nothing: it was the registrar's to judge.
    fn read(register: &Request) -> RegisteringClient {
        let agent = register.headers().get(&HeaderName::UserAgent).and_then(|value| value.to_text());
        let contacts = register.typed_list::<Contact>().unwrap_or_default();
        let contacts = contacts.iter().filter_map(Contact::as_addr).map(|contact| {
            let instance = contact.params().get("+sip.instance");
            let instance =
                instance.map(|value| value.trim_start_matches('<').trim_end_matches('>').to_owned());
            (instance, contact.uri().as_str().to_owned())
        });
        let contacts = contacts.collect();
        RegisteringClient { release: agent.and_then(|agent| Release::find(&agent)), contacts }
    }
}

/// The client's REGISTER and the 2xx to it, each in a message/sip body or part (3GPP TS 24.229 §5.7.1.1). Bodies of other
/// types (the service information of application/3gpp-ims+xml) are of no use here and passed over, as is a REGISTER that
/// cannot be read.
fn included(request: &Request) -> Result<Included, String> {
    let mut included = Included::default();
    let Some(value) = request.headers().get(&HeaderName::ContentType) else { return Ok(included) };
    let text = value.to_text().ok_or("Content-Type is not UTF-8")?;
    let content_type = ContentType::parse(&text).map_err(|error| error.to_string())?;
    let whole = Part::new(&content_type, request.body().clone());
    let parts = whole.leaves(&cpm_mime::Limits::default()).map_err(|error| error.to_string())?;
    for part in parts {
        if !part.content_type().is_ok_and(|content_type| content_type.is("message/sip")) {
            continue;
        }
        let octets = part.decoded().map_err(|error| error.to_string())?;
        let is_response = octets.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/2.0 "));
        match parse_datagram(octets, &cpm_sip::Limits::default()) {
            Ok(Message::Response(response)) if response.status().is_success() => {
                included.response = Some(response);
            }
            Ok(Message::Request(register)) if *register.method() == Method::Register => {
                included.register = Some(register);
            }
            Ok(_) => {}
            Err(failure) if is_response => return Err(failure.error.to_string()),
            Err(_) => {}
        }
    }
    Ok(included)
}
