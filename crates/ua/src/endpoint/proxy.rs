//! Proxying (RFC 3261 §16): from a received request to its branches. What comes back is in `proxy_responses.rs`.

use super::Endpoint;
use super::client::User;
use super::fingerprint::Hash;
use super::onward::{DOUBLE, Onward};
use super::outgoing::{Hop, Stateless, StatelessKind};
use super::server::Owner;
use crate::config::SentBy;
use crate::error::{ProxyRefused, Refusal, Refused};
use crate::event::{Destination, Fault, ProxyId, RequestId, TransactionId};
use crate::flows::Departure;
use crate::timers::TimerKey;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{FlowId, LimitExceeded, Now, Transport};
use cpm_sip::{
    HeaderError, HeaderName, Headers, MaxBreadth, Method, RecordRoute, Request, Response, Route, SipUri, Uri,
    Via,
};

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
    /// Record-Route. Where the request leaves over another transport than it came on, there are two of them, one for
    /// each side (RFC 5658 §3): the same URI with `transport`, and `r2=on`, by which both are known again.
    pub record_route: Option<Uri>,
    /// Final responses wait for [`release`](Endpoint::release).
    pub hold_final: bool,
    /// Of groups that are tried in turn: how long one may ring before it is cancelled and the next has its turn. `None`:
    /// until Timer C.
    pub ring_for: Option<Duration>,
    /// The branches that lose against a 2xx are not cancelled (RFC 3841 §9.1, `no-cancel`).
    pub keep_losers: bool,
}

/// What a received request says of its way, for whoever passes it on.
#[derive(Debug, Clone)]
pub(super) struct Passing {
    mark: LoopMark,
    /// It was here before.
    was_here: bool,
    in_dialog: bool,
    /// Max-Breadth.
    breadth: Result<Option<MaxBreadth>, HeaderError>,
}

/// RFC 3261 §16.6 step 8 and RFC 5393 §4.2.1: half of a keyed hash of what a request is routed by, in hexadecimal digits
/// where it is written.
pub(super) type LoopMark = u64;

/// A request that may go on: its loop mark, and what becomes of it on each of its branches, those of all groups in order.
struct Ready {
    mark: LoopMark,
    ways: Vec<Onward>,
}

/// One way on, ready to be gone.
type Leg = (Request, Hop);

/// A proxied request.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) request: RequestId,
    pub(super) invite: bool,
    pub(super) hold: bool,
    pub(super) keep_losers: bool,
    pub(super) ring_for: Option<Duration>,
    pub(super) branches: Vec<BranchState>,
    /// The groups that have not had their turn.
    pub(super) waiting: VecDeque<Vec<Leg>>,
    /// What stays on the way of the dialog, and how the request came.
    pub(super) record_route: Option<Uri>,
    pub(super) came_over: Option<Transport>,
    /// What the branches' branch parameters end in: the same when the same request comes round again.
    pub(super) loop_mark: LoopMark,
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
    /// The function knows what its sender was told.
    pub(super) told: bool,
}

impl Proxy {
    /// Stays on the way of the dialog, where that is wanted: Record-Route for a branch that leaves over this transport, in place
    /// of what an attempt before has put there.
    pub(super) fn record_path(
        &mut self,
        branch: usize,
        headers: &mut Headers,
        leaves_over: Transport,
        sent_by: &[SentBy],
    ) {
        if self.record_route.is_none() {
            return;
        }
        let path = path_of(self, leaves_over, sent_by);
        let Some(branch) = self.branches.get_mut(branch) else { return };
        for _ in 0..core::mem::replace(&mut branch.recorded, path.len()) {
            headers.pop_first_value(&HeaderName::RecordRoute);
        }
        for uri in path.into_iter().rev() {
            headers.prepend_typed(&RecordRoute::new(Uri::Sip(uri)));
        }
    }

    /// What its branches say changes nothing any more, and the function wants to know it.
    pub(super) fn is_answered_and_tells(&self) -> bool {
        self.decided && self.hold && !self.invite
    }
}

/// One branch.
#[derive(Debug, Default)]
pub(super) struct BranchState {
    pub(super) transaction: Option<TransactionId>,
    /// Its final response, unless it was a 2xx that went upstream.
    pub(super) response: Option<Box<Response>>,
    pub(super) done: bool,
    /// How many Record-Route values of ours its request has.
    pub(super) recorded: usize,
}

impl Endpoint {
    /// Passes a received request on to one or more branches at once (RFC 3261 §16.6). From here on the responses of the
    /// branches answer it: provisional ones and every 2xx to INVITE at once, else the best when all have answered; a
    /// CANCEL from upstream is answered and passed on to all branches. Ends in exactly one
    /// [`Event::ProxyEnded`](crate::Event::ProxyEnded).
    ///
    /// # Errors
    /// The request is over or answered, was here before ([`Refusal::Loop`]: answer 482), has no hop left
    /// ([`Refusal::TooManyHops`]: answer 483), may not be forked so often ([`Refusal::MaxBreadth`]: answer 440, or try
    /// the branches [in turn](Endpoint::proxy_in_turn)), was cancelled; a branch has no way; too many branches. Nothing
    /// was sent.
    pub fn proxy(
        &mut self,
        now: Now,
        id: RequestId,
        branches: Vec<Branch>,
        options: ProxyOptions,
    ) -> Result<ProxyId, ProxyRefused> {
        match self.prepare(id, &[&branches], &options) {
            Err(why) => Err(Refused::new(why, branches)),
            Ok(ready) => Ok(self.fork(now, id, ready, [branches], options)),
        }
    }

    /// Passes a received request on to groups of branches, one group after the other (RFC 3261 §16.6, §16.7 step 5): the
    /// next has its turn when all branches of the one before have refused, are silent or were cancelled after
    /// [`ProxyOptions::ring_for`]; a 2xx, a 6xx and a CANCEL from upstream are the end of it. Else like
    /// [`proxy`](Endpoint::proxy).
    ///
    /// # Errors
    /// Like [`proxy`](Endpoint::proxy); `fork.max_branches` counts all groups together, Max-Breadth the largest.
    pub fn proxy_in_turn(
        &mut self,
        now: Now,
        id: RequestId,
        groups: Vec<Vec<Branch>>,
        options: ProxyOptions,
    ) -> Result<ProxyId, Refused<Vec<Vec<Branch>>>> {
        let slices: Vec<&[Branch]> = groups.iter().map(Vec::as_slice).collect();
        match self.prepare(id, &slices, &options) {
            Err(why) => Err(Refused::new(why, groups)),
            Ok(ready) => Ok(self.fork(now, id, ready, groups, options)),
        }
    }

    /// Passes a request on within a dialog that runs through this proxy: own Route off, then to the next Route or the
    /// Request-URI.
    ///
    /// # Errors
    /// Like [`proxy`](Endpoint::proxy).
    pub fn route_onward(&mut self, now: Now, id: RequestId) -> Result<ProxyId, ProxyRefused> {
        let Some(request) = self.servers.get(&id).and_then(|server| server.whole_request()) else {
            return Err(Refused::new(Refusal::Gone, Vec::new()));
        };
        let branch = Branch { request: *request, destination: Destination::Routed };
        self.proxy(now, id, Vec::from([branch]), ProxyOptions::default())
    }

    /// Everything that can be refused, before anything is done.
    fn prepare(&self, id: RequestId, groups: &[&[Branch]], options: &ProxyOptions) -> Result<Ready, Refusal> {
        let server = self.servers.get(&id).ok_or(Refusal::Gone)?;
        if server.answered() {
            return Err(Refusal::Gone);
        }
        match server.owner {
            Owner::Function => {}
            Owner::Proxy(_) => return Err(Refusal::Proxied),
            Owner::Endpoint => return Err(Refusal::Gone),
        }
        if self.bridging.owns_request(id) {
            return Err(Refusal::Bridged);
        }
        if server.cancelled {
            return Err(Refusal::Cancelled);
        }
        if groups.iter().all(|group| group.is_empty()) {
            return Err(Refusal::NoBranch);
        }
        let count = groups.iter().map(|group| group.len()).fold(0, usize::saturating_add);
        LimitExceeded::check("fork.max_branches", count, self.config.limits.max_branches)
            .map_err(Refusal::Limit)?;
        let passing = match &server.passing {
            Some(passing) => passing.clone(),
            None => {
                let request = server.whole_request().ok_or(Refusal::Gone)?;
                self.passing(&request, super::via::is_tagged(request.headers()))
            }
        };
        if passing.was_here {
            return Err(Refusal::Loop);
        }
        // The configured hop is for what begins; inside of a dialog the Route and the target say it all.
        let outbound = self.config.outbound.as_ref().filter(|_| !passing.in_dialog);
        let breadth = self.most_breadth(passing.breadth?);
        let mut ways = Vec::with_capacity(count);
        for group in groups.iter().filter(|group| !group.is_empty()) {
            for (branch, share) in group.iter().zip(shares(breadth, group.len())?) {
                ways.push(self.onward(&branch.request, share, &branch.destination, outbound)?);
            }
        }
        if let Some(uri) = &options.record_route
            && !matches!(uri, Uri::Sip(_))
        {
            return Err(Refusal::NoRoute);
        }
        Ok(Ready { mark: passing.mark, ways })
    }

    /// Reads what a received request says of its way.
    pub(super) fn passing(&self, request: &Request, in_dialog: bool) -> Passing {
        let mark = self.loop_mark(request);
        Passing { mark, was_here: was_here(request, mark), in_dialog, breadth: request.typed() }
    }

    /// RFC 5393 §5.3.3: how many branches of a request may be open at once.
    fn most_breadth(&self, asked: Option<MaxBreadth>) -> u32 {
        let most = u32::try_from(self.config.limits.max_breadth).unwrap_or(u32::MAX);
        asked.map_or(most, |breadth| breadth.0.min(most))
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

    /// The mark of a request. Not of the method, so that CANCEL and ACK go the way of their INVITE.
    fn loop_mark(&self, request: &Request) -> LoopMark {
        const NAMES: [HeaderName; 6] = [
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
            HeaderName::Route,
            HeaderName::ProxyRequire,
            HeaderName::PServedUser,
        ];
        let mut hash = Hash::new(self.hash_key);
        hash.text(b"loop");
        hash.text(request.uri().as_str().as_bytes());
        for name in &NAMES {
            for value in request.headers().get_all(name) {
                hash.text(value.as_bytes());
            }
            hash.text(b"");
        }
        let hash = hash.finish();
        u64::try_from(hash & u128::from(u64::MAX)).unwrap_or(0)
    }

    fn fork(
        &mut self,
        now: Now,
        request: RequestId,
        ready: Ready,
        groups: impl IntoIterator<Item = Vec<Branch>>,
        options: ProxyOptions,
    ) -> ProxyId {
        let id = ProxyId(self.next_id());
        let server = self.servers.get(&request);
        let invite = server.is_some_and(|server| server.is_invite());
        let came_over = server.map(|server| server.reply.target.transport);
        self.hand_to_branches(request, id);
        let leg = |(Branch { mut request, .. }, way): (Branch, Onward)| {
            let hop = way.apply(&mut request);
            (request, hop)
        };
        let mut groups = groups.into_iter().filter(|group| !group.is_empty());
        let first = groups.next().unwrap_or_default();
        let mut ways = ready.ways;
        let mut later = ways.split_off(first.len().min(ways.len())).into_iter();
        let proxy = Proxy {
            request,
            invite,
            hold: options.hold_final,
            keep_losers: options.keep_losers,
            ring_for: options.ring_for,
            branches: Vec::new(),
            waiting: groups.map(|group| group.into_iter().zip(&mut later).map(leg).collect()).collect(),
            record_route: options.record_route,
            came_over,
            loop_mark: ready.mark,
            cancelled: false,
            decided: false,
            held: 0,
            success: false,
            released: BTreeMap::new(),
            told: false,
        };
        self.proxies.insert(id, proxy);
        self.metrics.count("ua.requests_proxied");
        self.begin_branches(now, id, first.into_iter().zip(ways).map(leg));
        self.settle(now);
        id
    }

    /// Sends the request to the next group; `false` when there is none.
    pub(super) fn next_group(&mut self, now: Now, id: ProxyId) -> bool {
        let Some(proxy) = self.proxies.get_mut(&id) else { return false };
        let Some(group) = proxy.waiting.pop_front() else { return false };
        let request = proxy.request;
        self.more_patience(now, request);
        self.begin_branches(now, id, group.into_iter());
        true
    }

    fn begin_branches(&mut self, now: Now, id: ProxyId, group: impl ExactSizeIterator<Item = Leg>) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        let first = proxy.branches.len();
        proxy.branches.reserve_exact(group.len());
        proxy.branches.extend((0..group.len()).map(|_| BranchState::default()));
        if let Some(time) = proxy.ring_for {
            let until = (!proxy.waiting.is_empty()).then(|| now.mono.plus(time));
            self.timers.set(TimerKey::Proxy(id), until);
        }
        for ((request, hop), index) in group.zip(first..) {
            let transaction = self.begin_client(now, User::Branch(id, index), request, hop);
            if let Some(branch) = self.proxies.get_mut(&id).and_then(|proxy| proxy.branches.get_mut(index)) {
                branch.transaction = Some(transaction);
            }
        }
    }

    /// An ACK for a 2xx on its way through: own Route off and on, without state (RFC 3261 §16.11). `false` when it is not
    /// ours to pass on.
    pub(super) fn route_ack(&mut self, now: Now, flow: FlowId, ack: &Request) -> bool {
        debug_assert!(*ack.method() == Method::Ack);
        let routes = ack.typed_list::<Route>().unwrap_or_default();
        let through_us = routes.first().is_some_and(|route| self.is_own(route.uri()))
            || (!routes.is_empty() && self.is_own(ack.uri()));
        if !through_us {
            return false;
        }
        let way = ack
            .typed::<MaxBreadth>()
            .map_err(Refusal::Header)
            .and_then(|breadth| self.onward(ack, self.most_breadth(breadth), &Destination::Routed, None));
        let Ok(way) = way else {
            self.fault("ua.stray_ack", Fault::StrayAck { flow });
            return true;
        };
        let mut request = ack.clone();
        let hop = way.apply(&mut request);
        // The branch is a function of what came (RFC 3261 §16.11), and nobody can tell which.
        let mark = super::via::hash_text(self.hash_key, &["ack", &super::via::top_branch(ack.headers())]);
        let branch = alloc::format!("{}{mark}", super::via::MAGIC_COOKIE);
        let what = StatelessKind::Ack { request, branch };
        self.metrics.count("ua.acks_passed_on");
        self.send_off(now, Departure::Stateless(Box::new(Stateless { what, targets: VecDeque::new() })), hop);
        true
    }
}

/// Whether a Via of the request bears this mark.
fn was_here(request: &Request, mark: LoopMark) -> bool {
    let mark = super::via::hexadecimal(mark);
    // Nearly always there is no such text at all.
    let follows = |rest: &[u8]| rest.starts_with(&mark);
    let holds = |value: &[u8]| {
        memchr::memchr_iter(b'.', value).any(|dot| value.get(dot.saturating_add(1)..).is_some_and(follows))
    };
    if !request.headers().get_all(&HeaderName::Via).any(|value| holds(value.as_bytes())) {
        return false;
    }
    let bears = |branch: &str| branch.rsplit_once('.').is_some_and(|(_, end)| end.as_bytes() == mark);
    let vias = request.typed_list::<Via>();
    vias.is_ok_and(|vias| vias.iter().any(|via| via.branch().is_some_and(bears)))
}

/// The Record-Route values for a branch that leaves over this transport, topmost first (RFC 5658 §3): one when it leaves
/// as it came, else that of the side it leaves on, then that of the side it came on.
fn path_of(proxy: &Proxy, leaves_over: Transport, sent_by: &[SentBy]) -> Vec<SipUri> {
    let Some(Uri::Sip(uri)) = &proxy.record_route else { return Vec::new() };
    let uri = if uri.is_loose_router() { uri.clone() } else { uri.clone().with_param("lr", None) };
    match proxy.came_over.filter(|came_over| *came_over != leaves_over) {
        None => Vec::from([uri]),
        Some(came_over) => [leaves_over, came_over].map(|side| facing(&uri, side, sent_by)).into(),
    }
}

/// The URI for one side: its transport, and the port where it listens for that when this is known.
fn facing(uri: &SipUri, transport: Transport, sent_by: &[SentBy]) -> SipUri {
    let own = sent_by.iter().find(|own| own.transport == transport && own.host.equivalent(uri.host()));
    let port = own.map_or(uri.port(), |own| own.port);
    let name = match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    };
    uri.clone().with_port(port).with_param("transport", Some(name)).with_param(DOUBLE, Some("on"))
}

/// RFC 5393 §5.3.3: a breadth divided among branches that are open at once, the remainder to the first of them.
fn shares(breadth: u32, branches: usize) -> Result<impl Iterator<Item = u32>, Refusal> {
    let count = u32::try_from(branches).unwrap_or(u32::MAX);
    let (share, more) = match (breadth.checked_div(count), breadth.checked_rem(count)) {
        (Some(share), Some(more)) if share > 0 => (share, more),
        _ => return Err(Refusal::MaxBreadth),
    };
    Ok((0..count).map(move |index| share.saturating_add(u32::from(index < more))))
}
