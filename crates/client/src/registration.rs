//! Registering at the SIP/IP core (TS 7.1): what a CPM Client says and learns there. The registration itself is kept by the
//! endpoint.

use crate::{Client, ClientEvent, Failure};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_core::feature::{CpmFeature, ICSI_REF, encode_list};
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
    /// What it is to have at the registrar.
    contact: Option<ContactAddr>,
    /// Whether it is to stand: between [`Client::register`] and [`Client::deregister`].
    active: bool,
    /// Whether the CPM service is no part of it (TS 7.1-p4).
    without_service: bool,
    /// What of that the registrar has confirmed.
    service_stands: bool,
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
    /// There is nothing to be ended: the client is not registered.
    NotRegistered,
    /// The name holds control characters.
    DisplayName,
    /// The SIP endpoint refused; the text says why.
    Endpoint(String),
}

impl core::fmt::Display for RegisterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            RegisterError::NoRegistrar => f.write_str("no registrar is configured"),
            RegisterError::Pending => f.write_str("a registration is under way"),
            RegisterError::NotRegistered => f.write_str("the client is not registered"),
            RegisterError::DisplayName => f.write_str("the name holds control characters"),
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
        let (id, contact) = (self.id, self.contact.take());
        *self = Registration { id, contact, ..Registration::default() };
    }
}

impl Client {
    /// Registers for the CPM service, and keeps the registration alive until [`Client::deregister`]. Registered already: once
    /// more, now.
    ///
    /// # Errors
    /// No registrar is configured, a REGISTER is under way, or the endpoint refuses.
    pub fn register(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) -> Result<(), RegisterError> {
        let registrar = self.config.registrar.clone().ok_or(RegisterError::NoRegistrar)?;
        let contact = self.registered_contact(true);
        match self.registration.id {
            Some(id) if self.registration.contact.as_ref() == Some(&contact) => {
                ports.sip.renew_registration(now, id)?;
            }
            Some(id) => rebind(now, ports, id, &contact)?,
            None => {
                let new = self.new_registration(registrar, contact.clone());
                let id = ports.sip.register(now, new).map_err(|refused| RegisterError::from(refused.why))?;
                self.registration.id = Some(id);
            }
        }
        self.registration.contact = Some(contact);
        (self.registration.active, self.registration.without_service) = (true, false);
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
        ports.sip.deregister(now, id)?;
        self.registration.active = false;
        Ok(())
    }

    /// Ends the CPM service and stays registered at the SIP/IP core: its feature tags are taken out of the Contact.
    /// [`ClientEvent::Registered`] without `service` confirms it; [`Client::register`] takes the service up again.
    ///
    /// # Errors
    /// The client is not registered, its registration is being ended, or the endpoint refuses.
    // req: 7.1-p4.1
    pub fn end_service(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) -> Result<(), RegisterError> {
        let id = self.registration.id.filter(|_| self.registration.active);
        let id = id.ok_or(RegisterError::NotRegistered)?;
        let contact = self.registered_contact(false);
        rebind(now, ports, id, &contact)?;
        self.registration.contact = Some(contact);
        self.registration.without_service = true;
        Ok(())
    }

    /// What this client can do changes; a registration that stands says so at once.
    ///
    /// # Errors
    /// The registration is being ended, or the endpoint refuses; nothing changes.
    // req: 7.1-2
    pub fn set_features(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        features: Vec<CpmFeature>,
    ) -> Result<(), RegisterError> {
        let before = core::mem::replace(&mut self.config.features, features);
        self.contact_changed(now, ports).inspect_err(|_| self.config.features = before)
    }

    /// The name that the user gives this client changes; a registration that stands says so at once.
    ///
    /// # Errors
    /// The name holds control characters, the registration is being ended, or the endpoint refuses; nothing changes.
    // req: 7.1-6
    pub fn set_display_name(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        name: Option<&str>,
    ) -> Result<(), RegisterError> {
        if name.is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(RegisterError::DisplayName);
        }
        let before = core::mem::replace(&mut self.config.display_name, name.map(str::to_owned));
        self.contact_changed(now, ports).inspect_err(|_| self.config.display_name = before)
    }

    fn contact_changed(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) -> Result<(), RegisterError> {
        let Some(id) = self.registration.id.filter(|_| self.registration.active) else { return Ok(()) };
        let contact = self.registered_contact(!self.registration.without_service);
        rebind(now, ports, id, &contact)?;
        self.registration.contact = Some(contact);
        Ok(())
    }

    // req: 7.1-1, 7.1-9, 7.1-p1, 7.1-p3
    fn new_registration(&self, registrar: Uri, contact: ContactAddr) -> NewRegistration {
        let mut headers = Headers::new();
        // req: 7.1-7
        headers.push(HeaderName::Supported, HeaderText::sanitized("path, gruu"));
        // req: 7.1-8
        if self.config.require_gruu {
            headers.push(HeaderName::Require, HeaderText::sanitized("gruu"));
        }
        NewRegistration {
            registrar,
            address: NameAddr::new(self.config.address.clone()),
            contacts: vec![contact],
            expires: self.config.expires,
            headers,
            routes: Vec::new(),
            destination: Destination::Routed,
        }
    }

    /// The Contact of TS 7.1: feature tags of the service, instance, capabilities, the user's name for the client.
    // req: 7.1-2, 7.1-3, 7.1-4, 7.1-6, H.2-p1
    fn registered_contact(&self, with_service: bool) -> ContactAddr {
        let mut params = Params::new();
        let tags = with_service.then(|| encode_list(&self.config.features)).filter(|tags| !tags.is_empty());
        let set = params
            .set_quoted("+sip.instance", &format!("<{}>", self.config.instance))
            .and_then(|()| tags.map_or(Ok(()), |tags| params.set_quoted(ICSI_REF, &tags)))
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
        // A change that was wished for meanwhile is in the REGISTER that follows.
        if self.registration.id.is_some_and(|id| !ports.sip.is_registering(id)) {
            self.registration.service_stands = !self.registration.without_service;
        }
        let service = self.registration.service_stands;
        ports.host.event(ClientEvent::Registered { expires: bindings.expires, associated, service });
        self.release_held(now, ports);
    }
}

fn rebind(
    now: Now,
    ports: &mut Ports<'_, ClientEvent>,
    id: RegistrationId,
    contact: &ContactAddr,
) -> Result<(), RegisterError> {
    ports.sip.rebind(now, id, vec![contact.clone()]).map_err(|refused| refused.why.into())
}

/// A route as it goes into requests.
fn route_text(route: &ServiceRoute) -> String {
    let mut octets = Vec::new();
    route.write(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}
