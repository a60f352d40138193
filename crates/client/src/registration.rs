//! Registering at the SIP/IP core (TS 7.1): what a CPM Client says and learns there. The registration itself is kept by the
//! endpoint.

use crate::{Client, ClientEvent, Failure};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_core::feature::{ICSI_REF, encode_list};
use cpm_sip::{
    ContactAddr, HeaderName, HeaderText, Headers, NameAddr, Params, ServiceRoute, SipUri, TypedHeader, Uri,
};
use cpm_ua::{
    Bindings, Destination, NewRegistration, Refusal, RegistrationEvent, RegistrationId, UsageFailure,
};

/// What a client knows of its registration.
#[derive(Debug, Default)]
pub(crate) struct Registration {
    /// The endpoint's name for it, from the first REGISTER on.
    id: Option<RegistrationId>,
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

/// Why a registration command was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// [`crate::ClientConfig::registrar`] is not set.
    NoRegistrar,
    /// A REGISTER is under way; its outcome comes as an event.
    Pending,
    /// There is nothing to be ended: the client never registered.
    NotRegistered,
    /// The SIP endpoint refused; the text says why.
    Endpoint(String),
}

impl core::fmt::Display for RegisterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            RegisterError::NoRegistrar => f.write_str("no registrar is configured"),
            RegisterError::Pending => f.write_str("a registration is under way"),
            RegisterError::NotRegistered => f.write_str("the client never registered"),
            RegisterError::Endpoint(why) => write!(f, "the request cannot be sent: {why}"),
        }
    }
}

impl core::error::Error for RegisterError {}

impl From<Refusal> for RegisterError {
    fn from(why: Refusal) -> RegisterError {
        match why {
            Refusal::Busy => RegisterError::Pending,
            other => RegisterError::Endpoint(other.to_string()),
        }
    }
}

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

    fn forget(&mut self) {
        *self = Registration { id: self.id, ..Registration::default() };
    }
}

impl Client {
    /// Registers, and keeps the registration alive until [`Client::deregister`].
    ///
    /// # Errors
    /// No registrar is configured, a REGISTER is under way, or the endpoint refuses.
    pub fn register(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) -> Result<(), RegisterError> {
        let registrar = self.config.registrar.clone().ok_or(RegisterError::NoRegistrar)?;
        if let Some(id) = self.registration.id {
            return Ok(ports.sip.renew_registration(now, id)?);
        }
        let new = self.new_registration(registrar);
        let id = ports.sip.register(now, new).map_err(|refused| RegisterError::from(refused.why))?;
        self.registration.id = Some(id);
        Ok(())
    }

    /// Ends the registration at the SIP/IP core.
    ///
    /// # Errors
    /// No registrar is configured, the client never registered, a REGISTER is under way, or the endpoint refuses.
    // req: 7.1-p4.2
    pub fn deregister(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) -> Result<(), RegisterError> {
        if self.config.registrar.is_none() {
            return Err(RegisterError::NoRegistrar);
        }
        let id = self.registration.id.ok_or(RegisterError::NotRegistered)?;
        Ok(ports.sip.deregister(now, id)?)
    }

    // req: 7.1-1, 7.1-9, 7.1-p1, 7.1-p3
    fn new_registration(&self, registrar: Uri) -> NewRegistration {
        let mut headers = Headers::new();
        // req: 7.1-7
        headers.push(HeaderName::Supported, HeaderText::sanitized("path, gruu"));
        NewRegistration {
            registrar,
            address: NameAddr::new(self.config.address.clone()),
            contacts: vec![self.registered_contact()],
            expires: self.config.expires,
            headers,
            routes: Vec::new(),
            destination: Destination::Routed,
        }
    }

    /// The Contact of TS 7.1: feature tags, instance, capabilities, the user's name for the client.
    // req: 7.1-2, 7.1-3, 7.1-4, 7.1-6, H.2-p1
    fn registered_contact(&self) -> ContactAddr {
        let mut params = Params::new();
        let set = params
            .set_quoted("+sip.instance", &format!("<{}>", self.config.instance))
            .and_then(|()| params.set_quoted(ICSI_REF, &encode_list(&self.config.features)))
            .and_then(|()| params.set_quoted("methods", "INVITE,ACK,CANCEL,BYE,MESSAGE"));
        debug_assert!(set.is_ok(), "the configuration was validated");
        let plain = NameAddr::new(Uri::Sip(self.config.contact.clone()));
        let named =
            self.config.display_name.as_deref().and_then(|name| plain.clone().with_display_name(name).ok());
        ContactAddr::new(named.unwrap_or(plain)).with_params(params)
    }

    /// What the endpoint says of a registration.
    // req: 7.1-p3
    pub(crate) fn registration_changed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        event: RegistrationEvent,
    ) {
        match event {
            RegistrationEvent::Registered(bindings) => self.registered(now, ports, bindings),
            RegistrationEvent::Ended => {
                self.registration.forget();
                ports.host.event(ClientEvent::Deregistered);
            }
            RegistrationEvent::Failed { why, .. } => {
                let why = match why {
                    UsageFailure::Rejected(response) => Failure::rejected(&response),
                    UsageFailure::NoAnswer(why) => why.into(),
                    UsageFailure::GrantedNothing(_) => {
                        Failure::BadAnswer("the registrar granted no time".to_owned())
                    }
                    UsageFailure::Refused(_) => Failure::Transport,
                };
                ports.host.event(ClientEvent::RegistrationFailed(why));
            }
        }
    }

    // req: 6.1.1-p1.1
    fn registered(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, bindings: Bindings) {
        let own = bindings.own.first();
        let sip = |uri: Option<&Uri>| uri.and_then(Uri::as_sip).cloned();
        self.registration.gruus = Gruus {
            public: sip(own.and_then(|own| own.pub_gruu.as_ref())),
            temporary: sip(own.and_then(|own| own.temp_gruu.as_ref())),
        };
        self.registration.service_route = bindings.service_route.iter().map(route_text).collect();
        self.registration.associated =
            bindings.associated.iter().map(|associated| associated.uri().clone()).collect();
        let associated = self.registration.associated.clone();
        ports.host.event(ClientEvent::Registered { expires: bindings.expires, associated });
        self.launch_waiting(now, ports);
    }
}

/// A route as it goes into requests.
fn route_text(route: &ServiceRoute) -> String {
    let mut octets = Vec::new();
    route.write(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}
