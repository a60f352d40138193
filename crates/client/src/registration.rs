//! Registering at the SIP/IP core (TS 7.1).

use crate::{Client, ClientEvent, Failure};
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_core::Ports;
use cpm_core::feature::{ICSI_REF, encode_list};
use cpm_sip::{
    CSeq, Contact, ContactAddr, Expires, HeaderName, HeaderText, Method, MinExpires, NameAddr,
    PAssociatedUri, Params, Request, Response, ServiceRoute, SipUri, StatusCode, TypedHeader, Uri,
};
use cpm_ua::{Destination, TransactionFailure, TransactionId};

/// How often a REGISTER is tried again with the Min-Expires of a 423 (RFC 3261 §10.2.8).
const MAX_BRIEF: u8 = 2;
/// First wait before a failed refresh is tried again; doubled up to [`MAX_WAIT`] (RFC 5626 §4.5).
const FIRST_WAIT: Duration = Duration::from_secs(30);
const MAX_WAIT: Duration = Duration::from_secs(1800);

/// What a client knows of its registration.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    /// The user wishes to be registered.
    wanted: bool,
    /// Call-ID of all REGISTERs of this client, CSeq of the last (RFC 3261 §10.2.4).
    call_id: Option<String>,
    cseq: u32,
    /// The REGISTER under way.
    pending: Option<Pending>,
    /// When to register again.
    refresh: Option<Instant>,
    /// The wait before the next try after a failure.
    wait: Option<Duration>,
    /// Route values for initial requests (RFC 3608 §6.1), as they came.
    service_route: Vec<String>,
    associated: Vec<Uri>,
    gruus: Gruus,
}

/// The GRUUs that the registrar gave (RFC 5627 §4.2).
#[derive(Debug, Default)]
struct Gruus {
    public: Option<SipUri>,
    temporary: Option<SipUri>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    transaction: TransactionId,
    /// Lifetime asked for; 0 de-registers.
    expires: u32,
    /// 423 answers so far.
    brief: u8,
}

/// Why a registration command was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// [`crate::ClientConfig::registrar`] is not set.
    NoRegistrar,
    /// A REGISTER is under way; its outcome comes as an event.
    Pending,
    /// The SIP endpoint refused; the text says why.
    Endpoint(String),
}

impl core::fmt::Display for RegisterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            RegisterError::NoRegistrar => f.write_str("no registrar is configured"),
            RegisterError::Pending => f.write_str("a registration is under way"),
            RegisterError::Endpoint(why) => write!(f, "the request cannot be sent: {why}"),
        }
    }
}

impl core::error::Error for RegisterError {}

impl Registration {
    pub(crate) fn service_route(&self) -> &[String] {
        &self.service_route
    }

    /// The addresses that the core knows the user by; empty before the first registration.
    pub(crate) fn associated(&self) -> &[Uri] {
        &self.associated
    }

    /// The GRUU for a request, where the registrar gave one: a temporary one says nothing of the user.
    pub(crate) fn gruu(&self, anonymous: bool) -> Option<&SipUri> {
        if anonymous { self.gruus.temporary.as_ref() } else { self.gruus.public.as_ref() }
    }

    pub(crate) const fn next_timeout(&self) -> Option<Instant> {
        self.refresh
    }

    pub(crate) fn is_pending(&self, transaction: TransactionId) -> bool {
        self.pending.is_some_and(|pending| pending.transaction == transaction)
    }
}

impl Client {
    /// Registers, and keeps the registration alive until [`Client::deregister`].
    ///
    /// # Errors
    /// No registrar is configured, a REGISTER is under way, or the endpoint refuses.
    pub fn register(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) -> Result<(), RegisterError> {
        self.send_register(now, ports, self.config.expires, 0)?;
        self.registration.wanted = true;
        Ok(())
    }

    /// Ends the registration at the SIP/IP core.
    ///
    /// # Errors
    /// No registrar is configured, a REGISTER is under way, or the endpoint refuses.
    // req: 7.1-p4.2
    pub fn deregister(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) -> Result<(), RegisterError> {
        self.send_register(now, ports, 0, 0)?;
        self.registration.wanted = false;
        self.registration.refresh = None;
        Ok(())
    }

    fn send_register(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        expires: u32,
        brief: u8,
    ) -> Result<(), RegisterError> {
        let registrar = self.config.registrar.clone().ok_or(RegisterError::NoRegistrar)?;
        if self.registration.pending.is_some() {
            return Err(RegisterError::Pending);
        }
        let request = self.register_request(registrar, expires);
        let transaction = ports
            .sip
            .send_request(now, request, Destination::Routed)
            .map_err(|refused| RegisterError::Endpoint(refused.why.to_string()))?;
        self.registration.pending = Some(Pending { transaction, expires, brief });
        Ok(())
    }

    // req: 7.1-1, 7.1-9, 7.1-p1, 7.1-p3
    fn register_request(&mut self, registrar: Uri, expires: u32) -> Request {
        let call_id = match &self.registration.call_id {
            Some(call_id) => call_id.clone(),
            None => self.random.public_token(26),
        };
        self.registration.cseq = self.registration.cseq.saturating_add(1);
        let own = format!("<{}>", self.config.address.as_str());
        let mut request = Request::new(Method::Register, registrar)
            .with_header(HeaderName::From, HeaderText::sanitized(&own))
            .with_header(HeaderName::To, HeaderText::sanitized(&own))
            .with_header(HeaderName::CallId, HeaderText::sanitized(&call_id))
            .with_typed(&CSeq::new(self.registration.cseq, Method::Register))
            .with_typed(&self.registered_contact())
            .with_typed(&Expires(expires));
        // req: 7.1-7
        request.headers_mut().push(HeaderName::Supported, HeaderText::sanitized("path, gruu"));
        self.registration.call_id = Some(call_id);
        request
    }

    /// The Contact of TS 7.1: feature tags, instance, capabilities, the user's name for the client.
    // req: 7.1-2, 7.1-3, 7.1-4, 7.1-6, H.2-p1
    fn registered_contact(&self) -> Contact {
        let mut params = Params::new();
        let set = params
            .set_quoted("+sip.instance", &format!("<{}>", self.config.instance))
            .and_then(|()| params.set_quoted(ICSI_REF, &encode_list(&self.config.features)))
            .and_then(|()| params.set_quoted("methods", "INVITE,ACK,CANCEL,BYE,MESSAGE"));
        debug_assert!(set.is_ok(), "the configuration was validated");
        let plain = NameAddr::new(Uri::Sip(self.config.contact.clone()));
        let named =
            self.config.display_name.as_deref().and_then(|name| plain.clone().with_display_name(name).ok());
        Contact::Addr(ContactAddr::new(named.unwrap_or(plain)).with_params(params))
    }

    /// The final response to the REGISTER under way.
    pub(crate) fn registered(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, response: &Response) {
        let Some(pending) = self.registration.pending.take() else { return };
        if response.status().is_success() {
            return self.registration_stands(now, ports, pending, response);
        }
        let min = response.typed::<MinExpires>().ok().flatten().map(|min| min.0);
        if let (StatusCode::INTERVAL_TOO_BRIEF, Some(min), true) =
            (response.status(), min, pending.expires > 0)
        {
            let again = min > pending.expires && pending.brief < MAX_BRIEF;
            if again && self.send_register(now, ports, min, pending.brief.saturating_add(1)).is_ok() {
                return;
            }
        }
        // What is refused for good is not asked again; what the server could not do now is.
        let retry = matches!(response.status().as_u16(), 408 | 500..=599);
        self.registration_failed(now, ports, pending, Failure::rejected(response), retry);
    }

    /// No final response to the REGISTER under way.
    pub(crate) fn register_lost(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        why: TransactionFailure,
    ) {
        let Some(pending) = self.registration.pending.take() else { return };
        self.registration_failed(now, ports, pending, why.into(), true);
    }

    fn registration_stands(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        pending: Pending,
        response: &Response,
    ) {
        if pending.expires == 0 {
            self.registration.wait = None;
            self.registration.service_route.clear();
            self.registration.associated.clear();
            self.registration.gruus = Gruus::default();
            return ports.host.event(ClientEvent::Deregistered);
        }
        let own = self.own_contact(response);
        let expires = granted(own.as_ref(), response).unwrap_or(pending.expires);
        if expires == 0 {
            // To ask again at once would be a loop at the speed of the net.
            let why = Failure::BadAnswer("the registrar granted no time".to_owned());
            return self.registration_failed(now, ports, pending, why, true);
        }
        self.registration.wait = None;
        // TS 24.229 §5.1.1.4: 600 s before the end of a long registration, half-way through a short one.
        let margin = if expires > 1200 { 600 } else { expires / 2 };
        let refresh = Duration::from_secs(u64::from(expires.saturating_sub(margin)));
        self.registration.refresh = self.registration.wanted.then(|| now.mono.plus(refresh));
        let routes = response.typed_list::<ServiceRoute>().unwrap_or_default();
        self.registration.service_route = routes.iter().map(route_text).collect();
        self.registration.gruus = own.as_ref().map(gruus).unwrap_or_default();
        let associated = response.typed_list::<PAssociatedUri>().unwrap_or_default();
        self.registration.associated = associated.iter().map(|uri| uri.uri().clone()).collect();
        ports
            .host
            .event(ClientEvent::Registered { expires, associated: self.registration.associated.clone() });
    }

    /// This client among the registered Contacts: by its instance, else by its URI.
    fn own_contact(&self, response: &Response) -> Option<ContactAddr> {
        let instance = format!("<{}>", self.config.instance);
        let contacts = response.typed_list::<Contact>().unwrap_or_default();
        let mut contacts = contacts.iter().filter_map(Contact::as_addr);
        let own = contacts.find(|contact| match contact.params().get("+sip.instance") {
            Some(value) => value.eq_ignore_ascii_case(&instance),
            None => contact.uri().equivalent(&Uri::Sip(self.config.contact.clone())),
        });
        own.cloned()
    }

    fn registration_failed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        pending: Pending,
        why: Failure,
        retry: bool,
    ) {
        self.registration.refresh = None;
        if retry && self.registration.wanted && pending.expires > 0 {
            let wait = self.registration.wait.unwrap_or(FIRST_WAIT);
            self.registration.wait = Some(wait.saturating_mul(2).min(MAX_WAIT));
            self.registration.refresh = Some(now.mono.plus(wait));
        }
        ports.host.event(ClientEvent::RegistrationFailed(why));
    }

    // req: 7.1-p3
    pub(crate) fn registration_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        if self.registration.refresh.is_none_or(|due| due > now.mono) {
            return;
        }
        self.registration.refresh = None;
        let expires = self.config.expires;
        if self.registration.wanted && self.send_register(now, ports, expires, 0).is_err() {
            self.registration.refresh = Some(now.mono.plus(FIRST_WAIT));
        }
    }
}

/// The lifetime that the registrar granted to a Contact: its own, else Expires.
fn granted(own: Option<&ContactAddr>, response: &Response) -> Option<u32> {
    let header = response.typed::<Expires>().ok().flatten().map(|expires| expires.0);
    own.and_then(ContactAddr::expires).or(header)
}

// req: 6.1.1-p1.1
fn gruus(contact: &ContactAddr) -> Gruus {
    let gruu = |name: &str| match Uri::parse(contact.params().get(name)?) {
        Ok(Uri::Sip(uri)) => Some(uri),
        _ => None,
    };
    Gruus { public: gruu("pub-gruu"), temporary: gruu("temp-gruu") }
}

/// A route as it goes into requests.
fn route_text(route: &ServiceRoute) -> String {
    let mut octets = Vec::new();
    route.write(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}
