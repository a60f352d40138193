//! The registrar (RFC 3261 §10.3): bindings of a user, told apart by +sip.instance.

use super::digest::Sender;
use super::features::instance;
use super::{CorePorts, SipIpCore, UserState};
use cpm_base::{FlowId, Instant, Now, Transport};
use cpm_sip::{
    CSeq, CallId, Contact, ContactAddr, Expires, From, HeaderError, HeaderName, Method, MinExpires,
    PAssociatedUri, PPreferredIdentity, Path, Request, Require, Response, Route, ServiceRoute, StatusCode,
    To, Unsupported, Uri,
};
use cpm_ua::RequestId;
use std::net::SocketAddr;
use std::time::Duration;

/// One device of a user.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    /// As it was registered, without `expires`.
    pub(super) contact: ContactAddr,
    /// What tells it from the others: the instance, without one the address.
    key: String,
    call_id: CallId,
    cseq: u32,
    pub(super) expires_at: Instant,
    pub(super) path: Vec<Path>,
    /// Where it registered from, as long as that flow is there.
    pub(super) flow: Option<FlowId>,
    /// The far side of that flow: by its address it is known on another flow, where nobody has to prove anything.
    pub(super) peer: Option<(Transport, SocketAddr)>,
}

/// A REGISTER that did something.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) id: RequestId,
    pub(super) request: Request,
    pub(super) response: Response,
    /// The binding that came of it is on this flow.
    flow: FlowId,
    /// The bindings before it.
    pub(super) before: Vec<Binding>,
}

/// Why a REGISTER does nothing.
enum Refused {
    /// With this status.
    Status(StatusCode),
    /// 420 with these option tags.
    Extensions(Vec<Unsupported>),
    /// 423.
    TooBrief,
}

impl std::convert::From<HeaderError> for Refused {
    fn from(_: HeaderError) -> Self {
        Refused::Status(StatusCode::BAD_REQUEST)
    }
}

/// What a REGISTER asks for, read and checked.
struct Wish {
    user: usize,
    call_id: CallId,
    cseq: u32,
    contacts: Contacts,
    path: Vec<Path>,
    peer: Option<(Transport, SocketAddr)>,
    flow: FlowId,
}

enum Contacts {
    /// No Contact: only to be told.
    None,
    /// `*`.
    RemoveAll,
    /// Each with how long it shall stay; zero: it shall go.
    Each(Vec<(ContactAddr, Duration)>),
}

impl SipIpCore {
    pub(super) fn register(
        &mut self,
        now: Now,
        id: RequestId,
        flow: FlowId,
        request: &Request,
        ports: &mut CorePorts<'_>,
    ) {
        let proven = match self.registering(now, id, request, ports) {
            Sender::Is(proven) => proven,
            Sender::Answered => return,
        };
        let wish = self.wish(flow, request).and_then(|wish| match proven {
            Some(user) if user != wish.user => Err(Refused::Status(StatusCode::FORBIDDEN)),
            _ => Ok(wish),
        });
        match wish.and_then(|wish| self.grant(now, wish)) {
            Ok((user, before)) => {
                let tag = self.random.public_token(13);
                let Some(state) = self.users.get(user) else { return };
                let response = self.accepted(now, state, Some(flow), request, &tag);
                let mut request = request.clone();
                // Credentials are for the registrar alone.
                if let Some(guard) = &self.guard {
                    guard.take_credentials_out(request.headers_mut(), &HeaderName::Authorization);
                }
                let Some(before) = before else { return Self::respond(now, id, response, ports) };
                let accepted = Accepted { id, request, response, flow, before };
                match self.config.keep_bindings {
                    true => self.keep(now, user, accepted, ports),
                    false => self.confirm(now, user, accepted, ports),
                }
            }
            Err(Refused::Status(status)) => Self::refuse(now, id, request, status, ports),
            Err(Refused::Extensions(tags)) => {
                let mut response = Response::for_request(request, StatusCode::BAD_EXTENSION);
                response.headers_mut().set_typed_list(&tags);
                Self::respond(now, id, response, ports);
            }
            Err(Refused::TooBrief) => {
                let min = u32::try_from(self.config.min_expires.as_secs()).unwrap_or(u32::MAX);
                let response = Response::for_request(request, StatusCode::INTERVAL_TOO_BRIEF);
                Self::respond(now, id, response.with_typed(&MinExpires(min)), ports);
            }
        }
    }

    /// Answers a REGISTER that did something, and tells of it.
    pub(super) fn confirm(&mut self, now: Now, user: usize, accepted: Accepted, ports: &mut CorePorts<'_>) {
        let Accepted { id, request, response, flow, .. } = accepted;
        let here = self.users.get(user).is_some_and(|state| state.is_on(flow));
        match here && self.guard.is_some() {
            true => drop(self.proven.insert(flow, user)),
            false => drop(self.proven.remove(&flow)),
        }
        Self::respond(now, id, response.clone(), ports);
        self.bindings_changed(now, user, ports);
        self.tell(now, user, Some((request, response)), ports);
    }

    /// RFC 3261 §10.3 steps 2 to 6.
    fn wish(&self, flow: FlowId, request: &Request) -> Result<Wish, Refused> {
        let missing = Refused::Status(StatusCode::BAD_REQUEST);
        let unknown = |tag: &Require| !tag.as_str().eq_ignore_ascii_case("path");
        let unsupported: Vec<Unsupported> = request
            .typed_list::<Require>()?
            .iter()
            .filter(|tag| unknown(tag))
            .filter_map(|tag| Unsupported::new(tag.as_str()).ok())
            .collect();
        if !unsupported.is_empty() {
            return Err(Refused::Extensions(unsupported));
        }
        let (Some(to), Some(from)) = (request.typed::<To>()?, request.typed::<From>()?) else {
            return Err(missing);
        };
        let user = self.user(to.uri()).ok_or(Refused::Status(StatusCode::NOT_FOUND))?;
        if self.user(from.uri()) != Some(user) {
            return Err(Refused::Status(StatusCode::FORBIDDEN));
        }
        let (Some(call_id), Some(cseq)) = (request.typed::<CallId>()?, request.typed::<CSeq>()?) else {
            return Err(missing);
        };
        Ok(Wish {
            user,
            call_id,
            cseq: cseq.number,
            contacts: self.contacts_of(request)?,
            path: request.typed_list::<Path>()?,
            peer: self.flows.get(&flow).map(|info| (info.transport, info.peer)),
            flow,
        })
    }

    fn contacts_of(&self, request: &Request) -> Result<Contacts, Refused> {
        let expires = request.typed::<Expires>()?.map(|expires| expires.0);
        let contacts = request.typed_list::<Contact>()?;
        if contacts.contains(&Contact::Star) {
            let alone = contacts.len() == 1 && expires == Some(0);
            return if alone {
                Ok(Contacts::RemoveAll)
            } else {
                Err(Refused::Status(StatusCode::BAD_REQUEST))
            };
        }
        if contacts.is_empty() {
            return Ok(Contacts::None);
        }
        let mut each = Vec::new();
        for contact in contacts {
            let Contact::Addr(mut contact) = contact else { continue };
            let wished = contact.expires().or(expires).map(|seconds| Duration::from_secs(u64::from(seconds)));
            let time = wished.unwrap_or(self.config.default_expires).min(self.config.max_expires);
            if !time.is_zero() && time < self.config.min_expires {
                return Err(Refused::TooBrief);
            }
            contact.params_mut().remove("expires");
            each.push((contact, time));
        }
        Ok(Contacts::Each(each))
    }

    /// RFC 3261 §10.3 step 7: all or nothing. Whose bindings, and what they were before where any was touched.
    fn grant(&mut self, now: Now, wish: Wish) -> Result<(usize, Option<Vec<Binding>>), Refused> {
        let max_bindings = self.config.max_bindings;
        let not_found = Refused::Status(StatusCode::NOT_FOUND);
        let Some(state) = self.users.get_mut(wish.user) else { return Err(not_found) };
        let late = |binding: &Binding| binding.call_id == wish.call_id && wish.cseq <= binding.cseq;
        let mut bindings = state.bindings.clone();
        match wish.contacts {
            Contacts::None => return Ok((wish.user, None)),
            Contacts::RemoveAll => {
                if bindings.iter().any(late) {
                    return Err(Refused::Status(StatusCode::SERVER_INTERNAL_ERROR));
                }
                bindings.clear();
            }
            Contacts::Each(each) => {
                for (contact, time) in each {
                    let key = key(&contact);
                    let place = bindings.iter().position(|binding| binding.key == key);
                    if place.and_then(|place| bindings.get(place)).is_some_and(late) {
                        return Err(Refused::Status(StatusCode::SERVER_INTERNAL_ERROR));
                    }
                    let binding = Binding {
                        contact,
                        key,
                        call_id: wish.call_id.clone(),
                        cseq: wish.cseq,
                        expires_at: now.mono.plus(time),
                        path: wish.path.clone(),
                        flow: Some(wish.flow),
                        peer: wish.peer,
                    };
                    match (place, time.is_zero()) {
                        (Some(place), true) => {
                            bindings.remove(place);
                        }
                        (None, true) => {}
                        (Some(place), false) => bindings[place] = binding,
                        (None, false) => bindings.push(binding),
                    }
                }
            }
        }
        if bindings.len() > max_bindings {
            return Err(Refused::Status(StatusCode::FORBIDDEN));
        }
        for peer in state.bindings.iter().filter_map(|binding| binding.peer) {
            if !bindings.iter().any(|binding| binding.peer == Some(peer) && binding.flow.is_none()) {
                self.awaited.remove(&peer);
            }
        }
        let before = std::mem::replace(&mut state.bindings, bindings);
        self.replaced(wish.user);
        Ok((wish.user, Some(before)))
    }

    /// RFC 3261 §10.3 step 8, RFC 3608 §5, RFC 7315 §4.1.
    pub(super) fn accepted(
        &self,
        now: Now,
        state: &UserState,
        flow: Option<FlowId>,
        request: &Request,
        tag: &str,
    ) -> Response {
        let mut response = Response::for_request(request, StatusCode::OK);
        if let Ok(Some(to)) = request.typed::<To>() {
            response.headers_mut().set_typed(&to.with_tag(tag));
        }
        let headers = response.headers_mut();
        headers.set_typed_list(&state.current_contacts(now));
        headers.set_typed_list(&request.typed_list::<Path>().unwrap_or_default());
        headers.push_typed(&ServiceRoute::new(self.service_route(flow)));
        let identities = state.user.identities.iter().cloned();
        headers.set_typed_list(&identities.map(PAssociatedUri::new).collect::<Vec<_>>());
        response
    }

    /// The way for requests of a device: with the transport on which it registered, where that is a stream.
    fn service_route(&self, flow: Option<FlowId>) -> Uri {
        let transport = flow.and_then(|flow| self.flows.get(&flow)).map(|info| info.transport);
        match (self.own_route("orig", None), transport) {
            (Uri::Sip(uri), Some(Transport::Tcp)) => Uri::Sip(uri.with_param("transport", Some("tcp"))),
            (uri, _) => uri,
        }
    }

    /// The core's own URI as a Route value with one parameter.
    pub(super) fn own_route(&self, name: &str, value: Option<&str>) -> Uri {
        Uri::Sip(self.config.uri.clone().with_param("lr", None).with_param(name, value))
    }

    /// Takes bindings out whose time is over.
    pub(super) fn let_expire(&mut self, now: Now, ports: &mut CorePorts<'_>) {
        for user in self.places.due(now.mono) {
            let Some(state) = self.users.get_mut(user) else { continue };
            let before = state.bindings.len();
            let (proven, awaited) = (&mut self.proven, &mut self.awaited);
            state.bindings.retain(|binding| {
                let lives = binding.expires_at > now.mono;
                if !lives {
                    binding.flow.map(|flow| proven.remove(&flow));
                    binding.peer.map(|peer| awaited.remove(&peer));
                }
                lives
            });
            let after = state.bindings.len();
            self.replaced(user);
            if after < before {
                self.bindings_changed(now, user, ports);
            }
            // Each binding's own end is known to the Participating Function from the list that it has.
            if after == 0 && before > 0 {
                self.tell(now, user, None, ports);
            }
        }
    }

    /// Whose registered device sent a request: by its flow; on another flow by its source address and the user it names.
    pub(super) fn sender(&mut self, flow: FlowId, request: &Request) -> Result<Option<usize>, HeaderError> {
        if let Some(user) = self.places.on_flow(flow).first() {
            return Ok(Some(*user));
        }
        let preferred = request.typed_list::<PPreferredIdentity>()?;
        let from = request.typed::<From>()?;
        let named = preferred.iter().map(PPreferredIdentity::uri).chain(from.iter().map(From::uri));
        let Some(user) = named.into_iter().find_map(|identity| self.user(identity)) else { return Ok(None) };
        Ok(self.reached_on(flow, user).then_some(user))
    }

    /// Whether a user has a device at the source address of this flow. The only one there, whose former flow is gone, is
    /// to be reached on this one.
    fn reached_on(&mut self, flow: FlowId, user: usize) -> bool {
        let Some(info) = self.flows.get(&flow) else { return false };
        let (here, source) = ((info.transport, info.peer), info.peer.ip());
        let Some(state) = self.users.get_mut(user) else { return false };
        let at = |binding: &&mut Binding| binding.peer.is_some_and(|(_, peer)| peer.ip() == source);
        let mut devices = state.bindings.iter_mut().filter(at);
        let (first, second) = (devices.next(), devices.next());
        let Some(device) = first else { return false };
        if second.is_none() && device.flow.is_none() {
            (device.flow, device.peer) = (Some(flow), Some(here));
            self.replaced(user);
        }
        true
    }

    /// A user proved on a flow who he is: what comes on it is his while he has a device at all.
    pub(super) fn adopt(&mut self, flow: FlowId, user: usize) {
        self.reached_on(flow, user);
        if self.users.get(user).is_some_and(|state| state.is_on(flow)) {
            self.proven.insert(flow, user);
        }
    }
}

impl UserState {
    /// Whether a device is reached on this flow.
    fn is_on(&self, flow: FlowId) -> bool {
        self.bindings.iter().any(|binding| binding.flow == Some(flow))
    }

    /// All bindings with what is left of their time, as a 200 lists them.
    pub(super) fn current_contacts(&self, now: Now) -> Vec<Contact> {
        let left = |binding: &Binding| {
            let seconds = binding.expires_at.since(now.mono).as_secs();
            u32::try_from(seconds).unwrap_or(u32::MAX)
        };
        self.bindings
            .iter()
            .map(|binding| Contact::Addr(binding.contact.clone().with_expires(left(binding))))
            .collect()
    }
}

impl Binding {
    /// A message that says all of it but the time and the flow.
    pub(super) fn to_request(&self) -> Request {
        let mut request = Request::new(Method::Register, self.contact.uri().clone())
            .with_typed(&Contact::Addr(self.contact.clone()))
            .with_typed(&self.call_id)
            .with_typed(&CSeq::new(self.cseq, Method::Register));
        request.headers_mut().set_typed_list(&self.path);
        request
    }

    /// Reads one.
    pub(super) fn of_request(
        request: &Request,
        expires_at: Instant,
        peer: Option<(Transport, SocketAddr)>,
    ) -> Option<Binding> {
        let contact = request.typed_list::<Contact>().ok()?.first()?.as_addr()?.clone();
        Some(Binding {
            key: key(&contact),
            contact,
            call_id: request.typed::<CallId>().ok()??,
            cseq: request.typed::<CSeq>().ok()??.number,
            expires_at,
            path: request.typed_list::<Path>().ok()?,
            flow: None,
            peer,
        })
    }

    /// The Route values of a request to this device.
    pub(super) fn route(&self) -> Vec<Route> {
        self.path.iter().cloned().map(Route::from).collect()
    }
}

/// What tells a device from the others of its user.
fn key(contact: &ContactAddr) -> String {
    instance(contact.params()).unwrap_or_else(|| contact.uri().key()).to_ascii_lowercase()
}

/// Methods that make dialogs: the core stays on the way.
pub(super) const fn makes_dialog(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Subscribe)
}
