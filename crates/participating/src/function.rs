//! [`ParticipatingFunction`]: the way of every input to the procedure that handles it.

use crate::registrations::Registrations;
use crate::service::{feature_of, has_authenticated_originator};
use crate::third_party::ThirdParty;
use cpm_base::{FlowId, Instant, Metrics, Now, Seed, Trust};
use cpm_core::release::Release;
use cpm_core::warning::{Reason, refusal};
use cpm_core::{Function, Input, Node, NodeConfig, NodeConfigError, Ports};
use cpm_sip::{Allow, Method, PServedUser, Request, Response, SipUri, StatusCode, To, Uri};
use cpm_ua::{Branch, Event, ProxyId, ProxyOptions, Refusal, RequestId};
use std::collections::BTreeMap;

/// Who a Participating Function is.
#[derive(Debug, Clone)]
pub struct ParticipatingConfig {
    /// Its own SIP URI: how the core routes to it, and what it puts into Record-Route.
    pub address: SipUri,
    /// Limits.
    pub limits: Limits,
    /// Its own product token behind `CPM-serv/OMA2.1`; may be empty.
    pub product: String,
}

impl ParticipatingConfig {
    /// Default limits, no product.
    #[must_use]
    pub fn new(address: SipUri) -> Self {
        ParticipatingConfig { address, limits: Limits::default(), product: String::new() }
    }
}

/// What peers can make a Participating Function hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Users with devices. Default 100,000; a third-party REGISTER of one more is answered 503.
    pub max_users: usize,
    /// Devices of one user. Default 12, the branches that a request forks to.
    pub max_devices: usize,
    /// Identities of one user. Default 16; more are left out.
    pub max_identities: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_users: 100_000, max_devices: 12, max_identities: 16 }
    }
}

/// In which role a request was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServedRole {
    /// For the user who sends (TS 8.2).
    Originating,
    /// For the user who receives (TS 8.3).
    Terminating,
}

/// What a Participating Function tells its host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParticipatingEvent {
    /// The core said which devices a user has.
    Registration {
        /// The user.
        user: Uri,
        /// How many devices there are now.
        devices: usize,
    },
    /// A request was passed on, or answered here, and has its final response.
    Handled {
        /// In which role.
        role: ServedRole,
        /// MESSAGE or INVITE.
        method: Method,
        /// The final response.
        status: StatusCode,
    },
    /// A request was passed on and nothing final came in time, or nothing that its sender could be told any more: the
    /// sender of a MESSAGE heard nothing (RFC 4320 §4.2), that of an INVITE 500.
    Unanswered {
        /// In which role.
        role: ServedRole,
        /// MESSAGE or INVITE.
        method: Method,
    },
}

/// A request that is being served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) id: RequestId,
    pub(crate) request: &'a Request,
    pub(crate) role: ServedRole,
}

/// A request that was passed on.
#[derive(Debug)]
struct Relayed {
    role: ServedRole,
    method: Method,
}

/// A CPM Participating Function (TS section 8): plain logic that a [`Node`] drives.
#[derive(Debug)]
pub struct ParticipatingFunction {
    pub(crate) config: ParticipatingConfig,
    pub(crate) registrations: Registrations,
    /// Requests that were passed on and have no final response yet; each leaves with its
    /// [`ProxyEnded`](Event::ProxyEnded) at the latest.
    relayed: BTreeMap<ProxyId, Relayed>,
    pub(crate) metrics: Metrics,
}

impl ParticipatingFunction {
    /// A function that knows nobody yet.
    #[must_use]
    pub fn new(config: ParticipatingConfig) -> Self {
        ParticipatingFunction {
            config,
            registrations: Registrations::default(),
            relayed: BTreeMap::new(),
            metrics: Metrics::default(),
        }
    }

    /// The function in a node of its own.
    ///
    /// # Errors
    /// `max_devices` is zero: the endpoint takes as many branches of a request.
    // req: D.3-p1
    pub fn node(
        config: ParticipatingConfig,
        seed: Seed,
    ) -> Result<Node<ParticipatingFunction>, NodeConfigError> {
        let product = Release::SERVER_2_1.with_product(&config.product);
        let mut node = NodeConfig::proxy(seed, &product);
        node.sip.own_names = vec![(config.address.host().clone(), config.address.port())];
        node.sip.limits.max_branches = config.limits.max_devices;
        Node::new(ParticipatingFunction::new(config), node)
    }

    /// How many users have a device.
    #[must_use]
    pub fn users(&self) -> usize {
        self.registrations.len()
    }

    /// How many requests are being passed on and have no final response yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.relayed.len()
    }

    /// Counters of the function itself.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A request that no dialog of ours owns.
    fn request(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        flow: FlowId,
        request: &Request,
    ) {
        // Only the core speaks to a Participating Function: everything it acts on is asserted.
        let trusted = ports.sip.flow_info(flow).is_some_and(|info| info.trust == Trust::Core);
        if !trusted {
            return self.refuse(now, ports, id, request, StatusCode::FORBIDDEN, None);
        }
        let in_dialog = request.typed::<To>().ok().flatten().is_some_and(|to| to.tag().is_some());
        match request.method() {
            _ if in_dialog => self.onward(now, ports, id, request),
            Method::Register => self.third_party(now, ports, id, request),
            Method::Message | Method::Invite => self.initial(now, ports, id, request),
            _ => self.method_not_allowed(now, ports, id, request),
        }
    }

    /// TS 8.1.1.
    // req: 8.1.1-1, 8.1.1-2
    fn third_party(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
    ) {
        let ThirdParty { user, identities, devices } =
            match ThirdParty::read(now.mono, request, &self.config.limits) {
                Ok(read) => read,
                Err(why) => return self.refuse(now, ports, id, request, StatusCode::BAD_REQUEST, Some(&why)),
            };
        let count = devices.len();
        if !self.registrations.replace(&user, &identities, devices, self.config.limits.max_users) {
            return self.refuse(now, ports, id, request, StatusCode::SERVICE_UNAVAILABLE, None);
        }
        self.answer(now, ports, id, Response::for_request(request, StatusCode::OK));
        ports.host.event(ParticipatingEvent::Registration { user, devices: count });
    }

    /// RFC 3261 §21.4.6.
    fn method_not_allowed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
    ) {
        let mut response = Response::for_request(request, StatusCode::METHOD_NOT_ALLOWED);
        let methods =
            [Method::Register, Method::Message, Method::Invite, Method::Ack, Method::Cancel, Method::Bye];
        response.headers_mut().set_typed_list(&methods.map(Allow));
        self.metrics.count("pf.refused");
        self.answer(now, ports, id, response);
    }

    /// An initial MESSAGE or INVITE: the core says for whom, in which role (RFC 5502 §4.3), and who sent it.
    // req: 6.1-p4.1, 6.1-p4.2
    fn initial(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
    ) {
        let (served, role) = match served_by(request) {
            Ok(served) => served,
            Err((status, why)) => return self.refuse(now, ports, id, request, status, Some(&why)),
        };
        let received = Received { id, request, role };
        if !has_authenticated_originator(request) {
            let why = Reason::NotAllowed.about("no authenticated originator");
            return self.refuse_served(now, ports, received, StatusCode::FORBIDDEN, Some(&why));
        }
        let feature = match feature_of(request) {
            Ok(feature) => feature,
            Err(error) => {
                let why = error.to_string();
                return self.refuse_served(now, ports, received, StatusCode::BAD_REQUEST, Some(&why));
            }
        };
        match role {
            ServedRole::Originating => self.originating(now, ports, received, feature),
            ServedRole::Terminating => self.terminating(now, ports, received, feature, served.uri()),
        }
    }

    /// Within a dialog that runs through here: on to the next Route.
    fn onward(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
    ) {
        if let Err(refused) = ports.sip.route_onward(now, id) {
            self.refuse(now, ports, id, request, status_of(&refused.why), None);
        }
    }

    /// Passes an initial request on; its final response comes back through [`Self::far_side_answered`]. What is not
    /// edited stays as it came, octet for octet, the conversation headers (TS 5.3) among it.
    // req: 5.3-p3
    pub(crate) fn pass_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        received: Received<'_>,
        branches: Vec<Branch>,
    ) {
        let Received { id, request, role } = received;
        // A MESSAGE is over with its answer; in the dialog of an INVITE this function stays.
        let stay = (*request.method() == Method::Invite).then(|| Uri::Sip(self.config.address.clone()));
        match ports.sip.proxy(
            now,
            id,
            branches,
            ProxyOptions { record_route: stay, hold_final: true, ..ProxyOptions::default() },
        ) {
            Ok(proxy) => {
                self.relayed.insert(proxy, Relayed { role, method: request.method().clone() });
            }
            Err(refused) => self.refuse_served(now, ports, received, status_of(&refused.why), None),
        }
    }

    /// The far side's final response is this function's (TS 8.2.1.1-8.A.iv); terminating, the first 2xx.
    // req: 8.2.1.1-8.A.iv, 8.2.1.1-9.ii, 8.3.1.1-p3
    fn far_side_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        proxy: ProxyId,
        response: Response,
    ) {
        let status = response.status();
        let released = ports.sip.release(now, proxy, response).is_ok();
        if !released {
            self.metrics.count("pf.response_too_late");
        }
        // Further 2xx to an INVITE pass in silence.
        let Some(Relayed { role, method }) = self.relayed.remove(&proxy) else { return };
        let silent = method != Method::Invite && status == StatusCode::REQUEST_TIMEOUT;
        ports.host.event(match released && !silent {
            true => ParticipatingEvent::Handled { role, method, status },
            false => ParticipatingEvent::Unanswered { role, method },
        });
    }

    /// A request is over; when the far side's answer was not let go before, its sender had none from there.
    fn ended(&mut self, ports: &mut Ports<'_, ParticipatingEvent>, proxy: ProxyId) {
        if let Some(Relayed { role, method }) = self.relayed.remove(&proxy) {
            ports.host.event(ParticipatingEvent::Unanswered { role, method });
        }
    }

    /// Refuses a request of a served user, and tells the host.
    pub(crate) fn refuse_served(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        received: Received<'_>,
        status: StatusCode,
        why: Option<&str>,
    ) {
        let Received { id, request, role } = received;
        self.refuse(now, ports, id, request, status, why);
        let method = request.method().clone();
        ports.host.event(ParticipatingEvent::Handled { role, method, status });
    }

    /// Refuses a request; the reason goes into a Warning (TS 6.4.1).
    // req: 6.4.1-p2
    fn refuse(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
        status: StatusCode,
        why: Option<&str>,
    ) {
        self.metrics.count("pf.refused");
        self.answer(now, ports, id, refusal(request, status, why));
    }

    fn answer(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        response: Response,
    ) {
        if ports.sip.respond(now, id, response).is_err() {
            self.metrics.count("pf.response_too_late");
        }
    }
}

/// What a request that cannot be passed on deserves.
fn status_of(why: &Refusal) -> StatusCode {
    match why {
        Refusal::Loop => StatusCode::LOOP_DETECTED,
        Refusal::TooManyHops => StatusCode::TOO_MANY_HOPS,
        Refusal::Header(_) | Refusal::Missing(_) => StatusCode::BAD_REQUEST,
        Refusal::Cancelled => StatusCode::REQUEST_TERMINATED,
        Refusal::NoRoute => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whom a request is served for, and in which role (RFC 5502 §4.3).
fn served_by(request: &Request) -> Result<(PServedUser, ServedRole), (StatusCode, String)> {
    let served = match request.typed::<PServedUser>() {
        Ok(Some(served)) => served,
        Ok(None) => {
            let why = Reason::NotAllowed.about("no P-Served-User says whom to serve");
            return Err((StatusCode::FORBIDDEN, why));
        }
        Err(error) => return Err((StatusCode::BAD_REQUEST, error.to_string())),
    };
    let role = match served.params().get("sescase") {
        Some(case) if case.eq_ignore_ascii_case("orig") => ServedRole::Originating,
        Some(case) if case.eq_ignore_ascii_case("term") => ServedRole::Terminating,
        _ => return Err((StatusCode::BAD_REQUEST, "P-Served-User says no session case".to_owned())),
    };
    Ok((served, role))
}

impl Function for ParticipatingFunction {
    type Event = ParticipatingEvent;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, ParticipatingEvent>) {
        let Input::Sip(event) = input else { return };
        match event {
            Event::Request { id, flow, request, .. } => self.request(now, ports, id, flow, &request),
            Event::ProxyFinal { proxy, response, .. } => self.far_side_answered(now, ports, proxy, response),
            Event::ProxyEnded { proxy, .. } => self.ended(ports, proxy),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, _ports: &mut Ports<'_, ParticipatingEvent>) {
        self.registrations.expire(now.mono);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.registrations.next_expiry()
    }
}
