//! [`ParticipatingFunction`]: the way of every input to the procedure that handles it.

use crate::registrations::Registrations;
use crate::third_party::ThirdParty;
use cpm_base::{FlowId, Instant, Metrics, Now, Seed, Trust};
use cpm_core::feature::{CpmFeature, ICSI_REF, decode_list};
use cpm_core::release::Release;
use cpm_core::{Function, Input, Node, NodeConfig, NodeConfigError, Ports};
use cpm_sip::{AcceptContact, Method, PServedUser, Request, Response, SipUri, StatusCode, To, Uri, Warning};
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
}

/// A CPM Participating Function (TS section 8): plain logic that a [`Node`] drives.
#[derive(Debug)]
pub struct ParticipatingFunction {
    pub(crate) config: ParticipatingConfig,
    pub(crate) registrations: Registrations,
    /// Requests that are being passed on.
    pub(crate) relayed: BTreeMap<ProxyId, (ServedRole, Method)>,
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
    /// The endpoints refuse their configuration.
    // req: D-p2
    pub fn node(
        config: ParticipatingConfig,
        seed: Seed,
    ) -> Result<Node<ParticipatingFunction>, NodeConfigError> {
        let product = Release::SERVER_2_1.with_product(&config.product);
        let mut node = NodeConfig::proxy(seed, &product);
        node.sip.own_names = vec![(config.address.host().clone(), config.address.port())];
        Node::new(ParticipatingFunction::new(config), node)
    }

    /// How many users have a device.
    #[must_use]
    pub fn users(&self) -> usize {
        self.registrations.len()
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
            _ => self.refuse(now, ports, id, request, StatusCode::METHOD_NOT_ALLOWED, None),
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

    /// An initial MESSAGE or INVITE: the core says for whom, in which role (RFC 5502 §4.3).
    fn initial(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
    ) {
        let served = match request.typed::<PServedUser>() {
            Ok(Some(served)) => served,
            Ok(None) => {
                let why = Some("no P-Served-User: whom to serve is not known");
                return self.refuse(now, ports, id, request, StatusCode::FORBIDDEN, why);
            }
            Err(error) => {
                let why = error.to_string();
                return self.refuse(now, ports, id, request, StatusCode::BAD_REQUEST, Some(&why));
            }
        };
        let case = served.params().get("sescase").unwrap_or("");
        if case.eq_ignore_ascii_case("orig") {
            self.originating(now, ports, id, request);
        } else if case.eq_ignore_ascii_case("term") {
            self.terminating(now, ports, id, request, served.uri());
        } else {
            let why = Some("P-Served-User says no session case");
            self.refuse(now, ports, id, request, StatusCode::BAD_REQUEST, why);
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

    /// Passes an initial request on; its final response comes back through [`Self::far_side_answered`].
    pub(crate) fn pass_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
        role: ServedRole,
        branches: Vec<Branch>,
    ) {
        // A MESSAGE is over with its answer; in the dialog of an INVITE this function stays.
        let stay = (*request.method() == Method::Invite).then(|| Uri::Sip(self.config.address.clone()));
        match ports.sip.proxy(now, id, branches, ProxyOptions { record_route: stay, hold_final: true }) {
            Ok(proxy) => {
                self.relayed.insert(proxy, (role, request.method().clone()));
            }
            Err(refused) => {
                let status = status_of(&refused.why);
                self.refuse(now, ports, id, request, status, None);
                self.handled(ports, role, request.method().clone(), status);
            }
        }
    }

    /// The far side's final response is this function's (TS 8.2.1.1-8.A.iv).
    // req: 8.2.1.1-8.A.iv
    fn far_side_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        proxy: ProxyId,
        response: Response,
    ) {
        let status = response.status();
        if ports.sip.release(now, proxy, response).is_err() {
            self.metrics.count("pf.response_too_late");
        }
        if let Some((role, method)) = self.relayed.remove(&proxy) {
            self.handled(ports, role, method, status);
        }
    }

    pub(crate) fn handled(
        &self,
        ports: &mut Ports<'_, ParticipatingEvent>,
        role: ServedRole,
        method: Method,
        status: StatusCode,
    ) {
        ports.host.event(ParticipatingEvent::Handled { role, method, status });
    }

    pub(crate) fn refuse(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
        status: StatusCode,
        why: Option<&str>,
    ) {
        let mut response = Response::for_request(request, status);
        let printable =
            |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        if let Some(warning) = why.and_then(|text| Warning::new(399, "cpm", &printable(text)).ok()) {
            response.headers_mut().push_typed(&warning);
        }
        self.metrics.count("pf.refused");
        self.answer(now, ports, id, response);
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

/// The CPM feature that a request asks for: the first in its Accept-Contact (TS 8.2, 8.3).
pub(crate) fn feature_of(request: &Request) -> Option<CpmFeature> {
    let wishes = request.typed_list::<AcceptContact>().ok()?;
    wishes
        .iter()
        .filter_map(|wish| wish.params().get(ICSI_REF))
        .find_map(|value| decode_list(value).first().copied())
}

impl Function for ParticipatingFunction {
    type Event = ParticipatingEvent;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, ParticipatingEvent>) {
        let Input::Sip(event) = input else { return };
        match event {
            Event::Request { id, flow, request, .. } => self.request(now, ports, id, flow, &request),
            Event::ProxyFinal { proxy, response, .. } => self.far_side_answered(now, ports, proxy, response),
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
