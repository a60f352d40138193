//! [`Node`]: a function over a SIP endpoint, an MSRP endpoint and the host's queries, as one machine.

use crate::{Query, QueryId, Reply};
use bytes::Bytes;
use cpm_base::{
    CloseReason, FlowId, FlowInfo, Instant, LimitExceeded, Metrics, Now, OpenError, OpenId, Protocol, Random,
    Seed, Target,
};
use cpm_ua::ResolveId;
use std::collections::{BTreeMap, VecDeque};

mod machine;

pub use machine::{Driven, Machine};

/// The logic of a CPM function over what a [`Node`] owns.
pub trait Function {
    /// What it tells its user.
    type Event;

    /// Something happened in an endpoint, or the host replied to a query.
    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Self::Event>);

    /// The deadline may have passed. Harmless when early.
    fn handle_timeout(&mut self, now: Now, ports: &mut Ports<'_, Self::Event>);

    /// When [`Function::handle_timeout`] wants to be called; `None` when nothing waits.
    fn next_timeout(&self) -> Option<Instant>;

    /// Counters of its own; default: none.
    fn metrics(&self) -> Option<&Metrics> {
        None
    }
}

/// What a [`Node`] hands to its function.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "handed over once and never stored")]
pub enum Input {
    /// From the SIP endpoint.
    Sip(cpm_ua::Event),
    /// From the MSRP endpoint.
    Msrp(cpm_msrp::Event),
    /// The host's reply to a query of the function. The node keeps no list of those: a reply that the host gives twice,
    /// or to a question that was never asked, comes here as well.
    Reply(QueryId, Reply),
}

/// What a function works with: its endpoints and the way to its host.
#[derive(Debug)]
pub struct Ports<'a, E> {
    /// SIP.
    pub sip: &'a mut cpm_ua::Endpoint,
    /// MSRP.
    pub msrp: &'a mut cpm_msrp::Endpoint,
    /// Queries and events.
    pub host: &'a mut HostQueue<E>,
}

/// What the host is to do.
#[derive(Debug)]
pub enum Action<E> {
    /// Send a datagram on a flow.
    Datagram(FlowId, Bytes),
    /// Open a flow and answer with [`Node::handle_opened`].
    Open(OpenId, Target),
    /// Close a flow, after what was handed out for it has been sent.
    Close(FlowId, CloseReason),
    /// A stream flow has octets to send: call [`Node::poll_transmit`] when its socket can take some.
    WantsWrite(FlowId),
    /// Find an answer and give it to [`Node::handle_reply`].
    Query(QueryId, Query),
    /// Tell the user.
    Event(E),
}

impl<E> Action<E> {
    /// The same with another event in it.
    pub fn map<T>(self, event: impl FnOnce(E) -> T) -> Action<T> {
        match self {
            Action::Datagram(flow, bytes) => Action::Datagram(flow, bytes),
            Action::Open(open, target) => Action::Open(open, target),
            Action::Close(flow, why) => Action::Close(flow, why),
            Action::WantsWrite(flow) => Action::WantsWrite(flow),
            Action::Query(id, query) => Action::Query(id, query),
            Action::Event(told) => Action::Event(event(told)),
        }
    }
}

/// The way from a function to its host: queries and events, in order with everything else the node wants done.
#[derive(Debug)]
pub struct HostQueue<E> {
    actions: VecDeque<Action<E>>,
    last_query: u64,
}

impl<E> HostQueue<E> {
    /// Asks the host; the reply comes as [`Input::Reply`] under the same id.
    pub fn query(&mut self, query: Query) -> QueryId {
        self.last_query = self.last_query.wrapping_add(1);
        let id = QueryId(self.last_query);
        self.actions.push_back(Action::Query(id, query));
        id
    }

    /// Tells the user.
    pub fn event(&mut self, event: E) {
        self.actions.push_back(Action::Event(event));
    }
}

/// What a [`Node`] is made with.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The SIP endpoint.
    pub sip: cpm_ua::Config,
    /// The MSRP endpoint.
    pub msrp: cpm_msrp::Config,
    /// How many endpoint events one input may cause before the node yields to its host (it goes on at the next input
    /// or timeout, which is then due at once). At least 1; default 10,000.
    pub max_turns: usize,
}

impl NodeConfig {
    /// Endpoints with default limits, their randomness split from one seed; `product` is the User-Agent and Server
    /// value.
    #[must_use]
    pub fn user_agent(seed: Seed, product: &str) -> Self {
        let mut random = Random::new(seed);
        let sip = cpm_ua::Config::user_agent(random.fork(), product);
        NodeConfig { sip, msrp: msrp(random.fork()), max_turns: 10_000 }
    }

    /// The same for a function that passes on what it need not understand.
    #[must_use]
    pub fn proxy(seed: Seed, product: &str) -> Self {
        let mut random = Random::new(seed);
        let sip = cpm_ua::Config::proxy(random.fork(), product);
        NodeConfig { sip, msrp: msrp(random.fork()), max_turns: 10_000 }
    }
}

fn msrp(seed: Seed) -> cpm_msrp::Config {
    cpm_msrp::Config { seed, limits: cpm_msrp::Limits::default() }
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeConfigError {
    /// A value of the SIP endpoint.
    Sip(cpm_ua::ConfigError),
    /// A limit of the MSRP endpoint.
    Msrp(LimitExceeded),
    /// `max_turns` is zero.
    MaxTurns,
    /// The function's own configuration.
    Function(String),
}

impl core::fmt::Display for NodeConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            NodeConfigError::Sip(error) => write!(f, "SIP: {error}"),
            NodeConfigError::Msrp(error) => write!(f, "MSRP: {error}"),
            NodeConfigError::MaxTurns => f.write_str("max_turns is zero"),
            NodeConfigError::Function(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for NodeConfigError {}

/// A name look-up that the SIP endpoint waits for.
#[derive(Debug)]
struct Asked {
    resolve: ResolveId,
    /// When the endpoint goes on without it.
    until: Instant,
}

/// A function with its endpoints, driven by a host.
///
/// Every input is followed until nothing inside moves any more; then [`Node::poll_action`] hands out what is to be done.
#[derive(Debug)]
pub struct Node<F: Function> {
    function: F,
    sip: cpm_ua::Endpoint,
    msrp: cpm_msrp::Endpoint,
    host: HostQueue<F::Event>,
    flows: BTreeMap<FlowId, Protocol>,
    opening: BTreeMap<OpenId, (Protocol, OpenId)>,
    last_open: u64,
    resolving: BTreeMap<QueryId, Asked>,
    max_turns: usize,
    /// When an input moved more than `max_turns`: there is work left, due at once.
    unsettled: Option<Instant>,
    metrics: Metrics,
}

impl<F: Function> Node<F> {
    /// A node at rest.
    ///
    /// # Errors
    /// A limit or timer of the configuration is out of range.
    pub fn new(function: F, config: NodeConfig) -> Result<Self, NodeConfigError> {
        if config.max_turns == 0 {
            return Err(NodeConfigError::MaxTurns);
        }
        Ok(Node {
            function,
            sip: cpm_ua::Endpoint::new(config.sip).map_err(NodeConfigError::Sip)?,
            msrp: cpm_msrp::Endpoint::new(config.msrp).map_err(NodeConfigError::Msrp)?,
            host: HostQueue { actions: VecDeque::new(), last_query: 0 },
            flows: BTreeMap::new(),
            opening: BTreeMap::new(),
            last_open: 0,
            resolving: BTreeMap::new(),
            max_turns: config.max_turns,
            unsettled: None,
            metrics: Metrics::default(),
        })
    }

    /// The function, to read what it knows.
    pub const fn function(&self) -> &F {
        &self.function
    }

    /// A datagram arrived.
    pub fn handle_datagram(&mut self, now: Now, flow: FlowId, bytes: Bytes) {
        match self.flows.get(&flow) {
            Some(Protocol::Sip) => self.sip.handle_datagram(now, flow, bytes),
            Some(Protocol::Msrp) => self.metrics.count("node.datagram_on_msrp"),
            None => self.metrics.count("node.unknown_flow"),
        }
        self.settle(now);
    }

    /// Octets arrived on a stream.
    pub fn handle_stream(&mut self, now: Now, flow: FlowId, bytes: Bytes) {
        match self.flows.get(&flow) {
            Some(Protocol::Sip) => self.sip.handle_stream(now, flow, bytes),
            Some(Protocol::Msrp) => self.msrp.handle_stream(now, flow, bytes),
            None => self.metrics.count("node.unknown_flow"),
        }
        self.settle(now);
    }

    /// A message came on a SIP stream flow from a node of this process: see [`cpm_ua::Endpoint::handle_message`].
    pub fn handle_message(&mut self, now: Now, flow: FlowId, message: Box<cpm_sip::Message>) {
        match self.flows.get(&flow) {
            Some(Protocol::Sip) => self.sip.handle_message(now, flow, message),
            Some(Protocol::Msrp) => self.metrics.count("node.message_on_msrp"),
            None => self.metrics.count("node.unknown_flow"),
        }
        self.settle(now);
    }

    /// The flow of this name, which is about to be announced, leads to a node of this process: see
    /// [`cpm_ua::Endpoint::declare_link`].
    pub fn declare_link(&mut self, flow: FlowId) {
        self.sip.declare_link(flow);
    }

    /// A peer connected, or its first datagram came: a flow that the node did not ask for.
    pub fn handle_accepted(&mut self, now: Now, flow: FlowId, info: FlowInfo) {
        self.flows.insert(flow, info.protocol);
        match info.protocol {
            Protocol::Sip => self.sip.handle_accepted(now, flow, info),
            Protocol::Msrp => self.msrp.handle_accepted(now, flow, info),
        }
        self.settle(now);
    }

    /// The answer to [`Action::Open`].
    pub fn handle_opened(&mut self, now: Now, open: OpenId, result: Result<(FlowId, FlowInfo), OpenError>) {
        match self.opening.remove(&open) {
            None => {
                self.metrics.count("node.unknown_open");
                // A flow that is in use stays: this may be the second answer to one wish.
                if let Ok((flow, _)) = result
                    && !self.flows.contains_key(&flow)
                {
                    self.host.actions.push_back(Action::Close(flow, CloseReason::Done));
                }
            }
            Some((protocol, inner)) => {
                if let Ok((flow, _)) = &result {
                    self.flows.insert(*flow, protocol);
                }
                match protocol {
                    Protocol::Sip => self.sip.handle_opened(now, inner, result),
                    Protocol::Msrp => self.msrp.handle_opened(now, inner, result),
                }
            }
        }
        self.settle(now);
    }

    /// A flow ended, whoever ended it. Hosts call it for flows closed by [`Action::Close`] too.
    pub fn handle_closed(&mut self, now: Now, flow: FlowId, why: CloseReason) {
        match self.flows.remove(&flow) {
            Some(Protocol::Sip) => self.sip.handle_closed(now, flow, why),
            Some(Protocol::Msrp) => self.msrp.handle_closed(now, flow, why),
            None => self.metrics.count("node.unknown_flow"),
        }
        self.settle(now);
    }

    /// The answer to [`Action::Query`].
    pub fn handle_reply(&mut self, now: Now, id: QueryId, reply: Reply) {
        match (self.resolving.remove(&id), reply) {
            (Some(asked), Reply::Resolved(targets)) => {
                self.sip.handle_resolved(now, asked.resolve, targets);
            }
            (Some(asked), _) => {
                self.metrics.count("node.wrong_reply");
                self.sip.handle_resolved(now, asked.resolve, Vec::new());
            }
            (None, reply) => self.turn(now, Input::Reply(id, reply)),
        }
        self.settle(now);
    }

    /// The deadline of [`Node::next_timeout`] may have passed. Harmless when early, late or spurious.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.sip.next_timeout().is_some_and(|due| due <= now.mono) {
            self.sip.handle_timeout(now);
        }
        if self.msrp.next_timeout().is_some_and(|due| due <= now.mono) {
            self.msrp.handle_timeout(now);
        }
        self.forget_unresolved(now);
        // What the endpoints have to say is older than the function's own deadline.
        self.settle(now);
        if self.unsettled.is_some() {
            return;
        }
        if self.function.next_timeout().is_some_and(|due| due <= now.mono) {
            let mut ports = Ports { sip: &mut self.sip, msrp: &mut self.msrp, host: &mut self.host };
            self.function.handle_timeout(now, &mut ports);
        }
        self.settle(now);
    }

    /// Calls one of the function's own commands: a method that takes the time and the ports.
    ///
    /// ```
    /// # use cpm_base::{DateTime, Instant, Now, Seed};
    /// # use cpm_core::{Function, Input, Node, NodeConfig, Ports};
    /// struct Teller;
    /// impl Teller {
    ///     fn tell(&mut self, _now: Now, ports: &mut Ports<'_, String>, what: &str) -> usize {
    ///         ports.host.event(what.to_owned());
    ///         what.len()
    ///     }
    /// }
    /// # impl Function for Teller {
    /// #     type Event = String;
    /// #     fn handle(&mut self, _now: Now, _input: Input, _ports: &mut Ports<'_, String>) {}
    /// #     fn handle_timeout(&mut self, _now: Now, _ports: &mut Ports<'_, String>) {}
    /// #     fn next_timeout(&self) -> Option<Instant> { None }
    /// # }
    /// # let mut node = Node::new(Teller, NodeConfig::user_agent(Seed::new([1; 32]), "example"))?;
    /// # let now = Now::new(Instant::ZERO, DateTime::UNIX_EPOCH);
    /// let told = node.command(now, |teller, ports| teller.tell(now, ports, "hello"));
    /// assert_eq!(told, 5);
    /// # Ok::<(), cpm_core::NodeConfigError>(())
    /// ```
    pub fn command<R>(&mut self, now: Now, command: impl FnOnce(&mut F, &mut Ports<'_, F::Event>) -> R) -> R {
        let mut ports = Ports { sip: &mut self.sip, msrp: &mut self.msrp, host: &mut self.host };
        let result = command(&mut self.function, &mut ports);
        self.settle(now);
        result
    }

    /// The next thing for the host to do; only takes from a queue.
    pub fn poll_action(&mut self) -> Option<Action<F::Event>> {
        self.host.actions.pop_front()
    }

    /// Appends at most `max` octets that are due on a stream flow to `out`; returns how many. 0 means that nothing is
    /// due until the next [`Action::WantsWrite`] for this flow.
    pub fn poll_transmit(&mut self, now: Now, flow: FlowId, max: usize, out: &mut Vec<u8>) -> usize {
        let written = match self.flows.get(&flow) {
            Some(Protocol::Sip) => self.sip.poll_transmit(now, flow, max, out),
            Some(Protocol::Msrp) => self.msrp.poll_transmit(now, flow, max, out),
            None => 0,
        };
        self.settle(now);
        written
    }

    /// Takes the next message that is due on a link. `None`: none is due, or octets are first, which
    /// [`Node::poll_transmit`] gives.
    pub fn poll_message(&mut self, flow: FlowId) -> Option<Box<cpm_sip::Message>> {
        match self.flows.get(&flow) {
            Some(Protocol::Sip) => self.sip.poll_message(flow),
            Some(Protocol::Msrp) | None => None,
        }
    }

    /// Whether the host should read from this flow. While it says no, what comes there is not read, so that the far side
    /// is held back; ask again after any input or command. What the host had read already it may still hand in.
    #[must_use]
    pub fn wants_read(&self, flow: FlowId) -> bool {
        match self.flows.get(&flow) {
            Some(Protocol::Msrp) => self.msrp.wants_read(flow),
            Some(Protocol::Sip) | None => true,
        }
    }

    /// When [`Node::handle_timeout`] wants to be called; `None` when nothing waits.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if let Some(since) = self.unsettled {
            return Some(since);
        }
        let unresolved = self.resolving.first_key_value().map(|(_, asked)| asked.until);
        [self.sip.next_timeout(), self.msrp.next_timeout(), unresolved, self.function.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Counters of the node, its endpoints and its function.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut all = self.metrics.clone();
        all.merge(self.sip.metrics());
        all.merge(self.msrp.metrics());
        if let Some(function) = self.function.metrics() {
            all.merge(function);
        }
        all
    }

    /// Whether the endpoints hold nothing and no query of theirs is open: what a test asks at the end.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.sip.is_idle()
            && self.msrp.is_idle()
            && self.resolving.is_empty()
            && self.opening.is_empty()
            && self.unsettled.is_none()
    }

    /// As [`is_idle`](Node::is_idle); besides, SIP subscriptions of both sides may stand.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.sip.is_resting()
            && self.msrp.is_idle()
            && self.resolving.is_empty()
            && self.opening.is_empty()
            && self.unsettled.is_none()
    }

    fn turn(&mut self, now: Now, input: Input) {
        let mut ports = Ports { sip: &mut self.sip, msrp: &mut self.msrp, host: &mut self.host };
        self.function.handle(now, input, &mut ports);
    }

    /// Moves what the endpoints put out to the function and to the host until both are quiet, at most `max_turns`
    /// steps.
    fn settle(&mut self, now: Now) {
        for _ in 0..self.max_turns {
            if let Some(action) = self.sip.poll_action() {
                self.take_sip(now, action);
            } else if let Some(action) = self.msrp.poll_action() {
                self.take_msrp(now, action);
            } else {
                self.unsettled = None;
                return;
            }
        }
        self.unsettled = Some(now.mono);
        self.metrics.count("node.turns_exhausted");
    }

    /// The host need not reply: what the endpoint has given up is no longer waited for. Ids and deadlines rise together.
    fn forget_unresolved(&mut self, now: Now) {
        while let Some(first) = self.resolving.first_entry() {
            if first.get().until > now.mono {
                break;
            }
            first.remove();
            self.metrics.count("node.never_resolved");
        }
    }

    fn take_sip(&mut self, now: Now, action: cpm_ua::Action) {
        let action = match action {
            cpm_ua::Action::Event(event) => return self.turn(now, Input::Sip(event)),
            cpm_ua::Action::Datagram(flow, bytes) => Action::Datagram(flow, bytes),
            cpm_ua::Action::Open(open, target) => self.open(Protocol::Sip, open, target),
            cpm_ua::Action::Close(flow, why) => Action::Close(flow, why),
            cpm_ua::Action::WantsWrite(flow) => Action::WantsWrite(flow),
            cpm_ua::Action::Resolve(resolve, name) => {
                let id = self.host.query(Query::Resolve(name));
                let until = now.mono.plus(self.sip.config().timers.patience());
                self.resolving.insert(id, Asked { resolve, until });
                return;
            }
        };
        self.host.actions.push_back(action);
    }

    fn take_msrp(&mut self, now: Now, action: cpm_msrp::Action) {
        let action = match action {
            cpm_msrp::Action::Event(event) => return self.turn(now, Input::Msrp(event)),
            cpm_msrp::Action::Open(open, target) => self.open(Protocol::Msrp, open, target),
            cpm_msrp::Action::Close(flow, why) => Action::Close(flow, why),
            cpm_msrp::Action::WantsWrite(flow) => Action::WantsWrite(flow),
        };
        self.host.actions.push_back(action);
    }

    fn open(&mut self, protocol: Protocol, inner: OpenId, target: Target) -> Action<F::Event> {
        self.last_open = self.last_open.wrapping_add(1);
        let open = OpenId(self.last_open);
        self.opening.insert(open, (protocol, inner));
        Action::Open(open, target)
    }
}

#[cfg(test)]
mod tests;
