//! The way of a request through the core: originating side, terminating side, delivery, and what is inside dialogs.

use super::digest::Sender;
use super::features::{Wanted, is_cpm};
use super::registrar::{Binding, makes_dialog};
use super::{CorePorts, SipIpCore};
use cpm_base::{FlowId, Now, Transport};
use cpm_sip::{
    From, HeaderError, HeaderName, HeaderText, Headers, PAssertedIdentity, PCalledPartyId,
    PPreferredIdentity, PServedUser, Privacy, Request, Route, RouteRef, SipUri, StatusCode, ToRef, Uri,
};
use cpm_ua::{Branch, Destination, ProxyOptions, Refusal, RequestId};

/// Header fields that nobody outside of the core may bring (RFC 3325 §5, RFC 5502 §7, RFC 6050 §5, RFC 7315 §4.2).
const ASSERTED: [HeaderName; 4] = [
    HeaderName::PAssertedIdentity,
    HeaderName::PAssertedService,
    HeaderName::PServedUser,
    HeaderName::PCalledPartyId,
];

/// The session case of P-Served-User (RFC 5502 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionCase {
    Orig,
    Term,
}

impl SessionCase {
    const fn token(self) -> &'static str {
        match self {
            SessionCase::Orig => "orig",
            SessionCase::Term => "term",
        }
    }
}

/// Where a request goes from here, written into it as far as that is said there; copies of it that go elsewhere besides. Or
/// how it ends.
type Way = Result<(Vec<Branch>, Destination), StatusCode>;

/// Whom a request is for, looked up once.
struct Target {
    /// The key of the Request-URI.
    key: String,
    /// The user whose address that is.
    user: Option<usize>,
}

fn bad_request(_: HeaderError) -> StatusCode {
    StatusCode::BAD_REQUEST
}

impl SipIpCore {
    /// Any request but REGISTER.
    pub(super) fn route(
        &mut self,
        now: Now,
        id: RequestId,
        flow: FlowId,
        mut request: Request,
        ports: &mut CorePorts<'_>,
    ) {
        let own = match first_route(&request) {
            Ok(first) => first,
            Err(_) => return Self::refuse(now, id, &request, StatusCode::BAD_REQUEST, ports),
        };
        let own = own.filter(|uri| ports.sip.is_own(uri));
        let own = own.as_ref().and_then(Uri::as_sip);
        let trusted = self.is_trusted(flow);
        let tagged = is_in_dialog(&request);
        let in_dialog = matches!(tagged, Ok(true));
        if !in_dialog && self.subscribed(now, id, trusted, &request, ports) {
            return;
        }
        let sender = match trusted {
            true => None,
            false => match self.identify(now, id, flow, &request, ports) {
                Sender::Is(sender) => sender,
                Sender::Answered => return,
            },
        };
        let way = match tagged {
            Err(error) => Err(bad_request(error)),
            Ok(_) => self.way(trusted, in_dialog, sender, &mut request, own),
        };
        match way {
            Err(status) => Self::refuse(now, id, &request, status, ports),
            Ok((mut branches, destination)) => {
                let stay = makes_dialog(request.method()) && !in_dialog;
                let record_route = stay.then(|| self.own_route("dialog", None));
                let options = ProxyOptions { record_route, hold_final: false, ..ProxyOptions::default() };
                branches.push(Branch { request, destination });
                // What a response has of the request is in each of its copies.
                if let Err(refused) = ports.sip.proxy(now, id, branches, options)
                    && let Some(Branch { request, .. }) = refused.given.first()
                {
                    Self::not_proxied(now, id, request, &refused.why, ports);
                }
            }
        }
    }

    fn not_proxied(now: Now, id: RequestId, request: &Request, why: &Refusal, ports: &mut CorePorts<'_>) {
        let status = match why {
            // Answered or cancelled meanwhile; a cancelled INVITE still gets its 487.
            Refusal::Gone => return,
            Refusal::Cancelled => StatusCode::REQUEST_TERMINATED,
            Refusal::Loop => StatusCode::LOOP_DETECTED,
            Refusal::TooManyHops => StatusCode::TOO_MANY_HOPS,
            Refusal::Header(_) | Refusal::Missing(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVER_INTERNAL_ERROR,
        };
        Self::refuse(now, id, request, status, ports);
    }

    fn way(
        &self,
        trusted: bool,
        in_dialog: bool,
        sender: Option<usize>,
        request: &mut Request,
        own: Option<&SipUri>,
    ) -> Way {
        if let Some(guard) = self.guard.as_ref().filter(|_| !trusted) {
            for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
                guard.take_credentials_out(request.headers_mut(), &name);
            }
        }
        if in_dialog {
            return self.in_dialog(request, own, trusted, sender);
        }
        if own.is_some() {
            request.headers_mut().pop_first_value(&HeaderName::Route);
        }
        if !trusted {
            let sender = sender.ok_or(StatusCode::FORBIDDEN)?;
            return self.originating(request, sender);
        }
        request.headers_mut().remove(&HeaderName::PServedUser);
        let target = self.target(request);
        match own.and_then(|own| own.param("after")) {
            Some("term") if !is_forwarded(&target, own) => self.deliver(request, &target),
            _ => self.terminating(request, &target),
        }
    }

    fn target(&self, request: &Request) -> Target {
        let key = request.uri().address_key();
        let user = self.by_identity.get(&key).copied();
        Target { key, user }
    }

    /// A registered device asks: say who it is, then its user's services, then the other side.
    fn originating(&self, request: &mut Request, user: usize) -> Way {
        let asserted = self.assert_identity(request, user).map_err(bad_request)?;
        let Some(state) = self.users.get(user) else { return Err(StatusCode::FORBIDDEN) };
        match &state.ways {
            Some(_) if is_cpm(request).map_err(bad_request)? => {
                self.to_service(request, user, SessionCase::Orig, asserted)
            }
            // Who has to prove who he is speaks in nobody else's name, where no service looks after that.
            _ if self.guard.is_some() && self.is_of_another(request, user).map_err(bad_request)? => {
                Err(StatusCode::FORBIDDEN)
            }
            _ => {
                let target = self.target(request);
                self.terminating(request, &target)
            }
        }
    }

    /// Whether From names another user of this core.
    fn is_of_another(&self, request: &Request, user: usize) -> Result<bool, HeaderError> {
        let named = request.typed::<From>()?.and_then(|from| self.user(from.uri()));
        Ok(named.is_some_and(|named| named != user))
    }

    /// RFC 3325 §5: what the device asserts itself goes; what it prefers counts when it is its user's. What is asserted now.
    fn assert_identity(&self, request: &mut Request, user: usize) -> Result<Option<Uri>, HeaderError> {
        let preferred = request.typed_list::<PPreferredIdentity>()?;
        for name in &ASSERTED {
            request.headers_mut().remove(name);
        }
        request.headers_mut().remove(&HeaderName::PPreferredIdentity);
        let own = |identity: &&PPreferredIdentity| self.user(identity.uri()) == Some(user);
        let wished = preferred.iter().find(own).map(|identity| identity.uri().clone());
        let default = || self.users.get(user).and_then(|state| state.user.identities.first().cloned());
        let asserted = wished.or_else(default);
        if let Some(identity) = &asserted {
            request.headers_mut().push_typed(&PAssertedIdentity::new(identity.clone()));
        }
        Ok(asserted)
    }

    /// The other side: its user's services, then its devices.
    fn terminating(&self, request: &mut Request, target: &Target) -> Way {
        let user = target.user.ok_or(StatusCode::NOT_FOUND)?;
        let served = self.users.get(user).is_some_and(|state| state.ways.is_some());
        if served && is_cpm(request).map_err(bad_request)? {
            let served = request.uri().clone();
            return self.to_service(request, user, SessionCase::Term, Some(served));
        }
        self.deliver(request, target)
    }

    /// To the Participating Function of a user, who is served under this identity.
    fn to_service(&self, request: &mut Request, user: usize, case: SessionCase, served: Option<Uri>) -> Way {
        let Some(state) = self.users.get(user) else { return Err(StatusCode::NOT_FOUND) };
        let Some(ways) = &state.ways else { return Err(StatusCode::NOT_FOUND) };
        let way = match case {
            SessionCase::Orig => &ways.originating,
            SessionCase::Term => &ways.terminating,
        };
        request.headers_mut().replace(HeaderName::Route, way.clone());
        let registered = if state.bindings.is_empty() { "unreg" } else { "reg" };
        if let Some(served) = served {
            let mut served = PServedUser::new(served);
            // Both are tokens.
            let _ = served.params_mut().set("sescase", Some(case.token()));
            let _ = served.params_mut().set("regstate", Some(registered));
            request.headers_mut().set_typed(&served);
        }
        Ok((Vec::new(), Destination::Routed))
    }

    /// To the device whose contact address this is, else to all devices of the user that are what the request asks for.
    fn deliver(&self, request: &mut Request, target: &Target) -> Way {
        let wanted = Wanted::of(request).map_err(bad_request)?;
        let devices: Vec<&Binding> = match self.device_at(&target.key, request.uri()) {
            Some(device) => vec![device],
            None => {
                let user = target.user.ok_or(StatusCode::NOT_FOUND)?;
                self.users.get(user).map(|user| user.bindings.iter().collect()).unwrap_or_default()
            }
        };
        let mut fitting = devices.into_iter().filter(|device| wanted.fits(&device.contact));
        let last = fitting.next_back().ok_or(StatusCode::TEMPORARILY_UNAVAILABLE)?;
        let copies = fitting.map(|device| {
            let mut request = request.clone();
            let destination = self.to_device(&mut request, target, device)?;
            Ok(Branch { request, destination })
        });
        let copies = copies.collect::<Result<_, StatusCode>>()?;
        Ok((copies, self.to_device(request, target, last)?))
    }

    fn to_device(
        &self,
        request: &mut Request,
        target: &Target,
        device: &Binding,
    ) -> Result<Destination, StatusCode> {
        if target.user.is_some() {
            let called = PCalledPartyId::new(request.uri().clone());
            request.headers_mut().set_typed(&called);
        }
        request.set_uri(device.contact.uri().clone());
        request.headers_mut().set_typed_list(&device.route());
        let trusted = device.flow.is_some_and(|flow| self.is_trusted(flow));
        let hide =
            request.typed::<Privacy>().map_err(bad_request)?.is_some_and(|privacy| privacy.contains("id"));
        if hide && !trusted {
            request.headers_mut().remove(&HeaderName::PAssertedIdentity);
        }
        Ok(Self::destination(device))
    }

    /// The flow on which it registered; where that is gone and was over UDP, what is between its ends still holds; a
    /// device behind a Path, or whose connection is gone, by its addresses.
    fn destination(device: &Binding) -> Destination {
        match (device.flow, device.peer) {
            _ if !device.path.is_empty() => Destination::Routed,
            (Some(flow), _) => Destination::Flow(flow),
            (None, Some((Transport::Udp, peer))) => Destination::To(Transport::Udp, peer),
            (None, _) => Destination::Routed,
        }
    }

    /// Inside a dialog that the core recorded itself into: on to the next hop.
    fn in_dialog(
        &self,
        request: &mut Request,
        own: Option<&SipUri>,
        trusted: bool,
        sender: Option<usize>,
    ) -> Way {
        if !own.is_some_and(|own| own.has_param("dialog")) {
            return Err(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        }
        if !trusted {
            for name in &ASSERTED {
                request.headers_mut().remove(name);
            }
            if let Some(user) = sender {
                self.assert_identity(request, user).map_err(bad_request)?;
            }
        }
        request.headers_mut().pop_first_value(&HeaderName::Route);
        let last = !request.headers().contains(&HeaderName::Route);
        let device = if last { self.device_at(&request.uri().address_key(), request.uri()) } else { None };
        Ok((Vec::new(), device.map_or(Destination::Routed, Self::destination)))
    }
}

/// Whether the Participating Function of a user gave the request another user's address: that user's services come
/// next (3GPP TS 24.229 §5.4.3.3).
fn is_forwarded(target: &Target, own: Option<&SipUri>) -> bool {
    let of = own.and_then(|own| own.param("of")).and_then(|of| of.parse::<usize>().ok());
    of.is_some() && target.user.is_some() && of != target.user
}

fn is_in_dialog(request: &Request) -> Result<bool, HeaderError> {
    Ok(request.headers().view::<ToRef<'_>>()?.is_some_and(|to| to.tag().is_some()))
}

fn first_route(request: &Request) -> Result<Option<Uri>, StatusCode> {
    let first = request.headers().view::<RouteRef<'_>>().map_err(bad_request)?;
    first.map(|route| route.uri().to_uri()).transpose().map_err(|_| StatusCode::BAD_REQUEST)
}

/// The Route values by which a user's requests go to the Participating Function and back to the core.
#[derive(Debug)]
pub(super) struct Ways {
    originating: HeaderText,
    terminating: HeaderText,
}

impl Ways {
    /// `back` is the core's own URI; from the terminating function it says whose that was.
    pub(super) fn new(participating: &SipUri, back: &SipUri, user: usize) -> Option<Ways> {
        let there = participating.clone().with_param("lr", None);
        let back =
            |case: SessionCase| back.clone().with_param("lr", None).with_param("after", Some(case.token()));
        let text = |back: SipUri| {
            let mut headers = Headers::new();
            headers.set_typed_list(&[there.clone(), back].map(|uri| Route::new(Uri::Sip(uri))));
            HeaderText::new(headers.get(&HeaderName::Route)?.as_str()?).ok()
        };
        Some(Ways {
            originating: text(back(SessionCase::Orig))?,
            terminating: text(back(SessionCase::Term).with_param("of", Some(&user.to_string())))?,
        })
    }
}
