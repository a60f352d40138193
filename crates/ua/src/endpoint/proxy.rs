//! Proxying (RFC 3261 §16): from a received request to its branches. What comes back is in `proxy_responses.rs`.

use super::Endpoint;
use super::client::User;
use super::outgoing::{Hop, Stateless, StatelessKind};
use super::server::Owner;
use crate::error::{ProxyRefused, Refusal, Refused};
use crate::event::{Destination, Fault, ProxyId, RequestId, TransactionId};
use crate::flows::Departure;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use cpm_base::{FlowId, LimitExceeded, Now};
use cpm_sip::{HeaderName, MaxForwards, Method, RecordRoute, Request, Response, Route, Uri, Via};

/// One way on for a proxied request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// An edited copy of the received request: its Via values untouched, Request-URI and Route as they shall be. The
    /// endpoint takes its own Route off, counts Max-Forwards down and adds Record-Route and Via.
    pub request: Request,
    /// Where it goes.
    pub destination: Destination,
}

/// How a request is proxied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    /// Stay on the way of the dialog: this URI (with `lr`, which is added when it is missing) becomes the topmost
    /// Record-Route.
    pub record_route: Option<Uri>,
    /// Final responses wait for [`release`](Endpoint::release).
    pub hold_final: bool,
}

/// A proxied request.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) request: RequestId,
    pub(super) invite: bool,
    pub(super) hold: bool,
    pub(super) branches: Vec<BranchState>,
    /// What the branches' branch parameters end in: the same when the same request comes round again.
    pub(super) loop_mark: String,
    /// The upstream side cancelled it.
    pub(super) cancelled: bool,
    /// A final response went upstream, or is held.
    pub(super) decided: bool,
    /// Held responses that the function has not released.
    pub(super) held: usize,
    /// The INVITE got a 2xx: every further one counts as well.
    pub(super) success: bool,
    /// What the function made of each 2xx to INVITE, by To tag, for its copies; `None` while it is held.
    pub(super) released: BTreeMap<String, Option<Response>>,
}

/// One branch.
#[derive(Debug)]
pub(super) struct BranchState {
    pub(super) transaction: Option<TransactionId>,
    /// Its final response, unless it was a 2xx that went upstream.
    pub(super) response: Option<Response>,
    pub(super) done: bool,
}

impl Endpoint {
    /// Passes a received request on to one or more branches at once (RFC 3261 §16.6). From here on the responses of the
    /// branches answer it: provisional ones and every 2xx to INVITE at once, else the best when all have answered; a
    /// CANCEL from upstream is answered and passed on to all branches.
    ///
    /// # Errors
    /// The request is over or answered, was here before ([`Refusal::Loop`]: answer 482), has no hop left
    /// ([`Refusal::TooManyHops`]: answer 483), was cancelled; a branch has no way; too many branches. Nothing was sent.
    pub fn proxy(
        &mut self,
        now: Now,
        id: RequestId,
        branches: Vec<Branch>,
        options: ProxyOptions,
    ) -> Result<ProxyId, ProxyRefused> {
        match self.prepare(id, &branches, &options) {
            Err(why) => Err(Refused::new(why, branches)),
            Ok((mark, ready)) => {
                let proxy = self.fork(now, id, mark, ready, options.hold_final);
                self.settle(now);
                Ok(proxy)
            }
        }
    }

    /// Passes a request on within a dialog that runs through this proxy: own Route off, then to the next Route or the
    /// Request-URI.
    ///
    /// # Errors
    /// Like [`proxy`](Endpoint::proxy).
    pub fn route_onward(&mut self, now: Now, id: RequestId) -> Result<ProxyId, ProxyRefused> {
        let Some(request) = self.servers.get(&id).and_then(|server| server.request.clone()) else {
            return Err(Refused::new(Refusal::Gone, Vec::new()));
        };
        let branch = Branch { request: *request, destination: Destination::Routed };
        self.proxy(now, id, Vec::from([branch]), ProxyOptions::default())
    }

    /// Everything that can be refused, before anything is done.
    fn prepare(
        &self,
        id: RequestId,
        branches: &[Branch],
        options: &ProxyOptions,
    ) -> Result<(String, Vec<(Request, Hop)>), Refusal> {
        let server = self.servers.get(&id).ok_or(Refusal::Gone)?;
        let received = server.request.as_ref().ok_or(Refusal::Gone)?;
        match server.owner {
            Owner::Function => {}
            Owner::Proxy(_) => return Err(Refusal::Proxied),
            Owner::Endpoint => return Err(Refusal::Gone),
        }
        if server.cancelled {
            return Err(Refusal::Cancelled);
        }
        if branches.is_empty() {
            return Err(Refusal::NoBranch);
        }
        LimitExceeded::check("fork.max_branches", branches.len(), self.config.limits.max_branches)
            .map_err(Refusal::Limit)?;
        let mark = self.loop_mark(received);
        if self.was_here(received, &mark)? {
            return Err(Refusal::Loop);
        }
        // The configured hop is for what begins; inside of a dialog the Route and the target say it all.
        let in_dialog = super::via::to_tag(received.headers()).is_some();
        let outbound = self.config.outbound.as_ref().filter(|_| !in_dialog);
        let mut ready = Vec::with_capacity(branches.len());
        for branch in branches {
            let mut request = branch.request.clone();
            self.make_onward(&mut request, options.record_route.as_ref())?;
            let hop = self.hop(&mut request, &branch.destination, outbound)?;
            ready.push((request, hop));
        }
        Ok((mark, ready))
    }

    /// RFC 3261 §16.4 and §16.6 steps 3, 4 and 6: what every request gets on its way through.
    fn make_onward(&self, request: &mut Request, record_route: Option<&Uri>) -> Result<(), Refusal> {
        self.take_off_own_route(request)?;
        let hops = match request.typed::<MaxForwards>()? {
            Some(hops) if hops.0 == 0 => return Err(Refusal::TooManyHops),
            Some(hops) => hops.0.saturating_sub(1),
            None => 70,
        };
        request.headers_mut().set_typed(&MaxForwards(hops));
        if let Some(uri) = record_route {
            let uri = match uri {
                Uri::Sip(uri) if !uri.is_loose_router() => Uri::Sip(uri.clone().with_param("lr", None)),
                other => other.clone(),
            };
            request.headers_mut().prepend_typed(&RecordRoute::new(uri));
        }
        Ok(())
    }

    /// RFC 3261 §16.4: a strict router upstream put our Record-Route into the Request-URI; a loose one left it topmost.
    fn take_off_own_route(&self, request: &mut Request) -> Result<(), Refusal> {
        let routes = request.typed_list::<Route>()?;
        let by_strict_router =
            matches!(request.uri(), Uri::Sip(uri) if uri.is_loose_router()) && self.is_own(request.uri());
        if let Some((last, others)) = routes.split_last()
            && by_strict_router
        {
            request.set_uri(last.uri().clone());
            request.headers_mut().set_typed_list(others);
        } else if routes.first().is_some_and(|route| self.is_own(route.uri())) {
            request.headers_mut().pop_first_value(&HeaderName::Route);
        }
        Ok(())
    }

    /// Whether a URI names this endpoint: by a configured sent-by or name, or by the local address of a flow.
    #[must_use]
    pub fn is_own(&self, uri: &Uri) -> bool {
        let Uri::Sip(uri) = uri else { return false };
        let fits = |port: Option<u16>, default: u16| uri.port().unwrap_or(default) == port.unwrap_or(default);
        let secure = if uri.is_secure() { 5061 } else { 5060 };
        self.config.sent_by.iter().any(|own| {
            own.host.equivalent(uri.host()) && fits(own.port, super::outgoing::default_port(own.transport))
        }) || self
            .config
            .own_names
            .iter()
            .any(|(host, port)| host.equivalent(uri.host()) && (port.is_none() || fits(*port, secure)))
            || uri.host().ip().is_some_and(|ip| {
                self.flows.is_local(core::net::SocketAddr::new(ip, uri.port().unwrap_or(secure)))
            })
    }

    /// RFC 3261 §16.6 step 8 and RFC 5393 §4.2.1: a keyed hash of what a request is routed by. Not of the method, so that
    /// CANCEL and ACK go the way of their INVITE.
    fn loop_mark(&self, request: &Request) -> String {
        let mut parts = Vec::from([String::from(request.uri().as_str())]);
        for name in [
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::Route,
            HeaderName::ProxyRequire,
            HeaderName::PServedUser,
        ] {
            for value in request.headers().get_all(&name) {
                parts.push(String::from_utf8_lossy(value.as_bytes()).into_owned());
            }
            parts.push(String::new());
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        super::via::hash_text(self.hash_key, &parts)
    }

    fn was_here(&self, request: &Request, mark: &str) -> Result<bool, Refusal> {
        let vias = request.typed_list::<Via>()?;
        Ok(vias.iter().any(|via| {
            via.branch().is_some_and(|branch| branch.rsplit_once('.').is_some_and(|(_, end)| end == mark))
        }))
    }

    /// The loop mark for the branch of a client transaction; `None` unless it works for a proxied request.
    pub(super) fn loop_mark_of(&self, id: TransactionId) -> Option<&str> {
        match self.clients.get(&id)?.user() {
            User::Branch(proxy, _) => self.proxies.get(&proxy).map(|proxy| proxy.loop_mark.as_str()),
            _ => None,
        }
    }

    fn fork(
        &mut self,
        now: Now,
        request: RequestId,
        loop_mark: String,
        ready: Vec<(Request, Hop)>,
        hold: bool,
    ) -> ProxyId {
        let id = ProxyId(self.next_id());
        let invite = self.servers.get(&request).is_some_and(|server| server.is_invite());
        self.hand_to_branches(request, id);
        let branches = ready.iter().map(|_| BranchState { transaction: None, response: None, done: false });
        let proxy = Proxy {
            request,
            invite,
            hold,
            branches: branches.collect(),
            loop_mark,
            cancelled: false,
            decided: false,
            held: 0,
            success: false,
            released: BTreeMap::new(),
        };
        self.proxies.insert(id, proxy);
        self.metrics.count("ua.requests_proxied");
        for (index, (request, hop)) in ready.into_iter().enumerate() {
            let transaction = self.begin_client(now, User::Branch(id, index), request, hop);
            if let Some(branch) = self.proxies.get_mut(&id).and_then(|proxy| proxy.branches.get_mut(index)) {
                branch.transaction = Some(transaction);
            }
        }
        id
    }

    /// An ACK for a 2xx on its way through: own Route off and on, without state (RFC 3261 §16.11). `false` when it is not
    /// ours to pass on.
    pub(super) fn route_ack(&mut self, now: Now, flow: FlowId, ack: &Request, via_branch: &str) -> bool {
        debug_assert!(*ack.method() == Method::Ack);
        let routes = ack.typed_list::<Route>().unwrap_or_default();
        let through_us = routes.first().is_some_and(|route| self.is_own(route.uri()))
            || (!routes.is_empty() && self.is_own(ack.uri()));
        if !through_us {
            return false;
        }
        let mut request = ack.clone();
        let hop = self
            .make_onward(&mut request, None)
            .and_then(|()| self.hop(&mut request, &Destination::Routed, None));
        let Ok(hop) = hop else {
            self.fault("ua.stray_ack", Fault::StrayAck { flow });
            return true;
        };
        // The branch is a function of what came (RFC 3261 §16.11), and nobody can tell which.
        let mark = super::via::hash_text(self.hash_key, &["ack", via_branch]);
        let branch = alloc::format!("{}{mark}", super::via::MAGIC_COOKIE);
        let what = StatelessKind::Ack { request, branch };
        self.metrics.count("ua.acks_passed_on");
        self.send_off(now, Departure::Stateless(Box::new(Stateless { what, targets: VecDeque::new() })), hop);
        true
    }
}
