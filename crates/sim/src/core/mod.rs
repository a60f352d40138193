//! A small SIP/IP core: registrar, asserted identities, service routing. It stands in for an IMS core in tests and in
//! the demonstration.
//!
//! By default it authenticates nobody: whoever registers as a known user is that user. With
//! [`CoreConfig::authentication`] users prove themselves by digest. One core serves any number of users, each with the
//! Participating Function (PF) that provisioning names, or with none.
//!
//! # The way of a request
//!
//! `C` is the core's own URI (`sip:core.home.test`), `PF-A` and `PF-B` those of the users' Participating Functions.
//!
//! | leg | Route as it arrives there | what stands in it besides |
//! |---|---|---|
//! | client A → core | `<C;lr;orig>`: the Service-Route of A's registration | P-Preferred-Identity, P-Preferred-Service |
//! | core → PF-A | `<PF-A;lr>, <C;lr;after=orig>` | P-Asserted-Identity; P-Served-User of A with `sescase=orig;regstate=reg` |
//! | PF-A → core | `<C;lr;after=orig>` | P-Asserted-Service in place of P-Preferred-Service |
//! | core → PF-B | `<PF-B;lr>, <C;lr;after=term;of=1>` | P-Served-User of B with `sescase=term;regstate=reg` or `unreg` |
//! | PF-B → core | `<C;lr;after=term;of=1>` | one request for each device: see below |
//! | core → client B | none (or B's Path) | Request-URI is the registered contact, P-Called-Party-ID what it was before |
//!
//! ## What a Participating Function does with it
//!
//! * **Which role it plays, and for whom**, is said by P-Served-User (RFC 5502): `sescase=orig` or `sescase=term`, and
//!   the served user. There is no other marker; the parameters of the core's own Route URI are the core's business.
//! * It takes its **own Route value off** the top (RFC 3261 §16.4) and sends on to the **next Route value**, which is
//!   the core's. It copies that value octet for octet, never makes one.
//! * As an originating function it leaves the Request-URI alone. As a terminating function it makes one request for
//!   each device of the served user and says which device in one of two ways:
//!   1. Request-URI: the address-of-record; and an Accept-Contact of its own with nothing but
//!      `+sip.instance="<urn:...>";explicit;require` (TS 6.1.2), beside the Accept-Contact with the ICSI; or
//!   2. Request-URI: the contact address of the device as registered.
//!
//!   The core delivers it on the flow from which that device registered. A device that is not there (any more), or
//!   that did not register the ICSI asked for, gives 480. With an address-of-record and no `+sip.instance` the core
//!   forks to every device that registered the ICSI, itself.
//!   With another user's address as Request-URI the request is forwarded: that user's function is asked next.
//! * For an INVITE it proxies with Record-Route to stay in the dialog. What comes inside the dialog carries Route values of
//!   the dialog alone (no `after`, no P-Served-User): the PF takes off its own and passes on to the next.
//! * A request that a PF makes by itself (a notification on behalf of its user) goes to the core with
//!   `Route: <C;lr>`, P-Asserted-Identity set by the PF, and is routed to the terminating side of its Request-URI.
//! * It is a trusted element: what it asserts is believed. P-Served-User is taken off by the core.
//! * PF-B is asked for **unregistered users** too (`regstate=unreg`): it answers 480, or defers.
//!
//! ## How a Participating Function knows the devices: third-party registration (3GPP TS 24.229 §5.4.1.7)
//!
//! After each REGISTER that changed or refreshed something the core sends one to the user's PF:
//!
//! ```text
//! REGISTER sip:pf-b.home.test SIP/2.0
//! To: <sip:bob@home.test>              the user's default identity
//! From: <sip:core.home.test>;tag=...
//! Contact: <sip:core.home.test>
//! Expires: 600                         the longest that is left of any of the user's bindings; 0: none is left
//! Content-Type: multipart/mixed;boundary=...
//!
//!    part 1: message/sip, the REGISTER as it came from the client (its User-Agent...)
//!    part 2: message/sip, the 200 that the client got
//! ```
//!
//! Part 2 holds **all bindings of the user**, one Contact value each with what that device registered
//! (`+sip.instance`, `+g.3gpp.icsi-ref`, display name, ...) and `expires` in seconds from now, and P-Associated-URI with
//! all the identities of the user. It replaces whatever the PF knew of the user: no list has to be merged. The PF lets a binding
//! go by itself when its `expires` is over. When the last binding has run out or was taken out, Expires is 0; when that was not by a
//! REGISTER there is no body. Call-ID is the same for all third-party REGISTERs about one user, CSeq rises, and a
//! new one is sent only when the last was answered. PFs answer 200.
//!
//! ## Everything else
//!
//! * An element that is trusted may subscribe to the `reg` event package of a user (RFC 3680): the Request-URI is an
//!   identity of the user. Each change of the bindings is told.
//! * A request from outside (a flow without trust) that no registered client sent gets 403. A client is known by the
//!   flow on which it registered; on another flow by its source IP address and the user that its P-Preferred-Identity
//!   or From names. The Service-Route has `transport=tcp` when the client registered over TCP.
//! * P-Asserted-Identity, P-Asserted-Service, P-Served-User and P-Called-Party-ID from outside are taken out, further Route values too
//!   (nobody goes past the services); then P-Asserted-Identity is set: the P-Preferred-Identity when it is one of the
//!   user's identities, else the default one.
//! * Services are asked for requests whose Accept-Contact, P-Asserted-Service or P-Preferred-Service names a
//!   CPM feature, when the user has a PF. Others go straight to the next step.
//! * With `Privacy: id`, P-Asserted-Identity does not go out to the client.
//! * 404: nobody here has this address. 480: the user has no device that fits.
//! * In a dialog requests follow the Record-Route values that the core put in (it does so for INVITE, on each pass).

mod digest;
mod features;
mod kept;
mod places;
mod reg_event;
mod registrar;
mod routing;
mod third_party;

use cpm_auth::LimitsError;
use cpm_base::{FlowId, FlowInfo, Instant, Now, Random, Seed, Transport, Trust};
use cpm_core::{Function, Input, NodeConfig, Ports, QueryId};
use cpm_sip::{ContactAddr, HeaderName, Method, Request, Response, SipUri, StatusCode, To, Uri};
use cpm_ua::{IdentityPolicy, NotifierEvent, NotifierId, RequestId, TransactionId};
use digest::Guard;
use places::Places;
use reg_event::Watcher;
use registrar::{Accepted, Binding};
use routing::Ways;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use third_party::ThirdParty;

pub use digest::Authentication;

/// A user of the core.
#[derive(Debug, Clone)]
pub struct User {
    /// The public identities, all registered at once. The first is the default one, asserted for what the user sends
    /// without preference. A user without any is never found.
    pub identities: Vec<Uri>,
    /// The Participating Function that serves the user's CPM requests; `None`: nobody does.
    pub participating: Option<SipUri>,
}

/// What a [`SipIpCore`] is made with.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// The core's own URI, without parameters.
    pub uri: SipUri,
    /// The core's own URI as Participating Functions are to use it, where that is another one (it may have parameters).
    /// Default: none.
    pub service_uri: Option<SipUri>,
    /// How users prove who they are. Default: nobody has to.
    pub authentication: Option<Authentication>,
    /// Whether bindings are kept by the host (queries of the kind `Store`), for [`SipIpCore::restored`]. Default: no.
    pub keep_bindings: bool,
    /// Everybody it serves.
    pub users: Vec<User>,
    /// The shortest registration; briefer wishes get 423. Default 60 s.
    pub min_expires: Duration,
    /// The longest registration; longer wishes are cut. Default 1 h.
    pub max_expires: Duration,
    /// The registration of those who wish for nothing. Default 10 min.
    pub default_expires: Duration,
    /// Devices of one user at most; one more gets 403. Default 10.
    pub max_bindings: usize,
}

impl CoreConfig {
    /// Default times and limits.
    #[must_use]
    pub fn new(uri: SipUri, users: Vec<User>) -> Self {
        CoreConfig {
            uri,
            service_uri: None,
            authentication: None,
            keep_bindings: false,
            users,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3600),
            default_expires: Duration::from_secs(600),
            max_bindings: 10,
        }
    }

    /// The configuration of a node for this core: a proxy that knows its own name.
    #[must_use]
    pub fn node(&self, seed: Seed) -> NodeConfig {
        let mut config = NodeConfig::proxy(seed, "cpm-sim-core");
        // Devices are outside: they say nothing in the core's name, and hear nothing of where others are, nor of charging,
        // in requests and responses. Which service it is they have to know (3GPP TS 24.229 §4.4.10).
        config.sip.identity = IdentityPolicy {
            enforce: true,
            also_outside: vec![HeaderName::PAssertedService],
            ..IdentityPolicy::default()
        };
        for uri in [Some(&self.uri), self.service_uri.as_ref()].into_iter().flatten() {
            config.sip.own_names.push((uri.host().clone(), uri.port()));
        }
        config
    }
}

/// What the core tells its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreEvent {
    /// The devices of a user changed; how many there are now.
    Registered {
        /// The default identity.
        user: String,
        /// Devices.
        bindings: usize,
    },
    /// A Participating Function did not take a third-party registration; it is told again with the next REGISTER.
    NotTold {
        /// The default identity.
        user: String,
    },
    /// Somebody was asked to prove who he is.
    Challenged {
        /// The method.
        method: Method,
    },
    /// A request was refused.
    Refused {
        /// The method.
        method: Method,
        /// With what.
        status: StatusCode,
    },
}

/// A user with what is known at the moment.
#[derive(Debug)]
struct UserState {
    user: User,
    /// The ways to the user's Participating Function, if there is one.
    ways: Option<Ways>,
    bindings: Vec<Binding>,
    third_party: ThirdParty,
}

impl UserState {
    fn name(&self) -> String {
        self.user.identities.first().map(Uri::to_string).unwrap_or_default()
    }
}

/// The core: see the module's description.
#[derive(Debug)]
pub struct SipIpCore {
    config: CoreConfig,
    random: Random,
    users: Vec<UserState>,
    by_identity: BTreeMap<String, usize>,
    places: Places,
    flows: BTreeMap<FlowId, FlowInfo>,
    /// Third-party registrations that are not answered: whose they are.
    telling: BTreeMap<TransactionId, usize>,
    /// Who watches whose registration.
    watchers: BTreeMap<NotifierId, Watcher>,
    guard: Option<Guard>,
    /// Flows whose user is known, while the guard asks others for proof.
    proven: BTreeMap<FlowId, usize>,
    /// From where registered devices will be heard of again that have no flow.
    awaited: BTreeMap<(Transport, SocketAddr), usize>,
    /// Registrations that the host keeps before they are confirmed.
    keeping: BTreeMap<QueryId, (usize, Accepted)>,
    /// Registrations that were taken up after a restart and not told of yet, each with the last REGISTER; since when.
    retell: Vec<(usize, Option<Request>)>,
    retell_at: Instant,
    /// No new work from outside.
    draining: bool,
}

type CorePorts<'a> = Ports<'a, CoreEvent>;

impl SipIpCore {
    /// A core at which nobody is registered.
    #[must_use]
    pub fn new(config: CoreConfig, seed: Seed) -> Self {
        let mut random = Random::new(seed);
        let mut by_identity = BTreeMap::new();
        let mut users = Vec::new();
        for (index, user) in config.users.iter().enumerate() {
            for identity in &user.identities {
                by_identity.insert(identity.address_key(), index);
            }
            let third_party = ThirdParty::new(&mut random);
            let back = config.service_uri.as_ref().unwrap_or(&config.uri);
            let ways = user.participating.as_ref().and_then(|there| Ways::new(there, back, index));
            users.push(UserState { user: user.clone(), ways, bindings: Vec::new(), third_party });
        }
        SipIpCore {
            config,
            random,
            users,
            by_identity,
            places: Places::default(),
            flows: BTreeMap::new(),
            telling: BTreeMap::new(),
            watchers: BTreeMap::new(),
            guard: None,
            proven: BTreeMap::new(),
            awaited: BTreeMap::new(),
            keeping: BTreeMap::new(),
            retell: Vec::new(),
            retell_at: Instant::ZERO,
            draining: false,
        }
    }

    /// From now on what begins something is answered 503 when it comes from outside; what is under way goes on, with all
    /// that Participating Functions send for it.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Puts [`CoreConfig::authentication`] into force; without it this changes nothing.
    ///
    /// # Errors
    /// A limit of its nonces is out of range.
    pub fn guarded(mut self) -> Result<Self, LimitsError> {
        if let Some(authentication) = self.config.authentication.take() {
            let user = |identity: &Uri| self.by_identity.get(&identity.address_key()).copied();
            self.guard = Some(Guard::new(&authentication, &mut self.random, user)?);
        }
        Ok(self)
    }

    /// The registered contacts of a user, oldest first, as they were registered.
    #[must_use]
    pub fn contacts(&self, identity: &Uri) -> Vec<&ContactAddr> {
        let user = self.user(identity).and_then(|index| self.users.get(index));
        user.map(|user| user.bindings.iter().map(|binding| &binding.contact).collect()).unwrap_or_default()
    }

    /// Whose identity this is.
    fn user(&self, identity: &Uri) -> Option<usize> {
        self.by_identity.get(&identity.address_key()).copied()
    }

    /// The core's own URI for Participating Functions.
    fn service_uri(&self) -> &SipUri {
        self.config.service_uri.as_ref().unwrap_or(&self.config.uri)
    }

    fn is_trusted(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(|info| info.trust == Trust::Core)
    }

    /// Whether this would begin something that nobody would end.
    fn is_too_late(&self, flow: FlowId, request: &Request) -> bool {
        let inside = || request.typed::<To>().is_ok_and(|to| to.is_some_and(|to| to.tag().is_some()));
        self.draining && !self.is_trusted(flow) && !inside()
    }

    /// Answers a request; a request that is over by now has no use for it.
    fn respond(now: Now, id: RequestId, response: Response, ports: &mut CorePorts<'_>) {
        let _ = ports.sip.respond(now, id, response);
    }

    fn refuse(now: Now, id: RequestId, request: &Request, status: StatusCode, ports: &mut CorePorts<'_>) {
        ports.host.event(CoreEvent::Refused { method: request.method().clone(), status });
        Self::respond(now, id, Response::for_request(request, status), ports);
    }

    fn bindings_changed(&mut self, now: Now, user: usize, ports: &mut CorePorts<'_>) {
        if let Some(state) = self.users.get(user) {
            ports.host.event(CoreEvent::Registered { user: state.name(), bindings: state.bindings.len() });
        }
        self.tell_watchers(now, user, ports);
    }

    /// A flow is there: that of a device that was away for a while, perhaps.
    fn flow_opened(&mut self, flow: FlowId, info: FlowInfo) {
        let user = self.awaited.remove(&(info.transport, info.peer));
        if let Some(state) = user.and_then(|user| self.users.get_mut(user)) {
            let peer = Some((info.transport, info.peer));
            let device = |binding: &&mut Binding| binding.flow.is_none() && binding.peer == peer;
            if let Some(binding) = state.bindings.iter_mut().find(device) {
                binding.flow = Some(flow);
                self.proven.extend(user.map(|user| (flow, user)));
            }
        }
        if let Some(user) = user {
            self.replaced(user);
        }
        self.flows.insert(flow, info);
    }

    fn flow_closed(&mut self, flow: FlowId) {
        self.flows.remove(&flow);
        self.proven.remove(&flow);
        for user in self.places.on_flow(flow) {
            let Some(state) = self.users.get_mut(user) else { continue };
            for binding in state.bindings.iter_mut().filter(|binding| binding.flow == Some(flow)) {
                binding.flow = None;
                // Whoever has the address of a closed connection next is somebody else.
                if let Some(peer) = binding.peer.filter(|(transport, _)| *transport == Transport::Udp) {
                    self.awaited.insert(peer, user);
                }
            }
            self.replaced(user);
        }
    }
}

impl Function for SipIpCore {
    type Event = CoreEvent;

    fn handle(&mut self, now: Now, input: Input, ports: &mut CorePorts<'_>) {
        let event = match input {
            Input::Sip(event) => event,
            Input::Reply(query, reply) => return self.kept(now, query, &reply, ports),
            // It has no media.
            Input::Msrp(_) => return,
        };
        match event {
            cpm_ua::Event::Request { id, flow, request, in_dialog: None, .. }
                if self.is_too_late(flow, &request) =>
            {
                Self::refuse(now, id, &request, StatusCode::SERVICE_UNAVAILABLE, ports);
            }
            cpm_ua::Event::Request { id, flow, request, .. } if *request.method() == Method::Register => {
                self.register(now, id, flow, &request, ports);
            }
            cpm_ua::Event::Request { id, flow, request, .. } => self.route(now, id, flow, request, ports),
            cpm_ua::Event::Subscribe { id, request, refreshes, .. } => {
                self.watcher_refreshed(now, id, refreshes, &request, ports);
            }
            cpm_ua::Event::Notifier { notifier, event: NotifierEvent::Ended(_) } => {
                self.watcher_ended(notifier);
            }
            cpm_ua::Event::Response { transaction, response } => {
                self.told(now, transaction, response.status().is_success(), ports);
            }
            cpm_ua::Event::TransactionFailed { transaction, .. } => self.told(now, transaction, false, ports),
            cpm_ua::Event::FlowOpened { flow, info } => {
                self.flow_opened(flow, info);
            }
            cpm_ua::Event::FlowClosed { flow, .. } => self.flow_closed(flow),
            // Proxied requests take care of themselves; faults are counted below.
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Now, ports: &mut CorePorts<'_>) {
        self.let_expire(now, ports);
        self.retell(now, ports);
    }

    fn next_timeout(&self) -> Option<Instant> {
        let told = (!self.retell.is_empty()).then_some(self.retell_at);
        told.into_iter().chain(self.places.next_expiry()).min()
    }
}

#[cfg(test)]
mod tests;
