//! The endpoint: its inputs, its outputs, its clock. What it does with them is in the files beside this one.

mod actions;
mod bridge;
mod calls;
mod changes;
mod client;
mod descriptions;
mod dialogs;
mod done;
mod fingerprint;
mod incoming;
mod lease;
mod logins;
mod notifiers;
mod onward;
mod outcomes;
mod outgoing;
mod overlap;
mod proxy;
mod proxy_responses;
mod publications;
mod records;
mod refers;
mod refresh;
mod registrations;
mod reliable;
mod replaces;
mod routing;
mod server;
mod subscribers;
#[cfg(test)]
mod tests;
mod uac;
mod uas;
mod upkeep;
mod usage_table;
mod usages;
mod via;
mod work;

use crate::config::{Config, ConfigError};
use crate::correlation::Correlation;
use crate::event::{Action, DialogId, Event, Fault, InviteId, ProxyId, RequestId, ResolveId, TransactionId};
use crate::flows::{Flow, Flows, OutQueue};
use crate::table::Table;
use crate::timers::{TimerKey, Timers};
use actions::Actions;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use client::{Client, Known};
use core::net::{IpAddr, SocketAddr};
use cpm_base::{
    CloseReason, FlowId, FlowInfo, Instant, Metrics, Now, OpenError, OpenId, Random, Target, Transport, Trust,
};
use cpm_sip::{Frame, Message, RequestPolicy};
use dialogs::{Dialog, DialogKey};
use done::{AllDone, Found};
use fingerprint::{Fingerprint, Index};
pub use lease::UsageFailure;
pub use logins::Login;
pub use notifiers::{Acceptance, NotifierEnd, NotifierEvent, Termination};
use outgoing::Resolving;
pub(crate) use outgoing::Stateless;
use proxy::Proxy;
pub use proxy::{Branch, ProxyOptions};
pub use publications::{NewPublication, PublicationEvent};
pub use records::{RestoreError, Restored};
pub use refers::{NewRefer, ReferAcceptance, Reference};
pub use registrations::{Binding, Bindings, NewRegistration, RegistrationEvent};
use server::{PeerLoad, Server};
pub use subscribers::{NewSubscription, Resubscribe, SubscriberEvent, SubscriptionEnd};
use uac::Invite;
pub use work::Holdings;

/// A SIP endpoint: user agent and proxy core over flows that the host owns.
///
/// Inputs are the `handle_*` methods, outputs [`poll_action`](Endpoint::poll_action) and
/// [`poll_transmit`](Endpoint::poll_transmit); everything else is a command of the function that uses it.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    policy: RequestPolicy,
    random: Random,
    /// Key of the hashes in branches (loop detection) and in the tags of stateless answers.
    hash_key: u64,
    metrics: Metrics,
    actions: Actions,
    timers: Timers,
    last_id: u64,
    flows: Flows,
    /// What the host says of the node as a whole.
    load: u32,
    /// Whether no new work is taken; then, whether it was said that none is left.
    draining: Option<bool>,
    /// Flows to be closed as soon as the current input is done with.
    doomed: Vec<(FlowId, CloseReason)>,
    resolving: BTreeMap<ResolveId, Resolving>,
    clients: Table<TransactionId, Box<Client>>,
    /// Client transactions by branch and method: CANCEL shares the branch of its INVITE.
    by_branch: Index<Known>,
    /// Those that wait for copies alone, in the order in which they end.
    absorbing: VecDeque<(Instant, Fingerprint)>,
    servers: Table<RequestId, Box<Server>>,
    done: AllDone,
    by_key: Index<Found>,
    merges: Index<()>,
    peers: BTreeMap<IpAddr, PeerLoad>,
    unanswered: usize,
    /// Transactions that have their final response, oldest first, and what each costs.
    completed: BTreeMap<RequestId, usize>,
    completed_octets: usize,
    invites: BTreeMap<InviteId, Invite>,
    dialogs: BTreeMap<DialogId, Dialog>,
    dialog_keys: BTreeMap<DialogKey, DialogId>,
    proxies: Table<ProxyId, Proxy>,
    usages: usage_table::Usages,
    bridging: bridge::Bridging,
}

impl Endpoint {
    /// An endpoint at rest.
    ///
    /// # Errors
    /// A timer or limit is out of range ([`Config::validate`]).
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut random = Random::new(config.seed.clone());
        let hash_key = random.public_u64();
        Ok(Endpoint {
            policy: incoming::policy(&config),
            config,
            random,
            hash_key,
            metrics: Metrics::default(),
            actions: Actions::default(),
            timers: Timers::default(),
            last_id: 0,
            flows: Flows::default(),
            load: 0,
            draining: None,
            doomed: Vec::new(),
            resolving: BTreeMap::new(),
            clients: Table::default(),
            by_branch: Index::default(),
            absorbing: VecDeque::new(),
            servers: Table::default(),
            done: AllDone::default(),
            by_key: Index::default(),
            merges: Index::default(),
            peers: BTreeMap::new(),
            unanswered: 0,
            completed: BTreeMap::new(),
            completed_octets: 0,
            invites: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            dialog_keys: BTreeMap::new(),
            proxies: Table::default(),
            usages: usage_table::Usages::default(),
            bridging: bridge::Bridging::default(),
        })
    }

    /// The configuration in use.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the host said of a flow; `None` when it is not open.
    #[must_use]
    pub fn flow_info(&self, flow: FlowId) -> Option<&FlowInfo> {
        self.flows.get(flow).map(|f| &f.info)
    }

    /// The next thing to do. Only takes from a queue: may be called at any time.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().map(|(action, _)| action)
    }

    /// The same with the call or message that it belongs to, where it belongs to one: for logs.
    pub fn poll_correlated(&mut self) -> Option<(Action, Option<Correlation>)> {
        self.actions.pop_front()
    }

    /// When [`handle_timeout`](Endpoint::handle_timeout) wants to be called; `None` when nothing waits.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Counters by name, all of them `ua.…`.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether nothing is under way: no transaction, dialog, proxied request, name look-up or opening. Flows may be
    /// open, registrations and publications may stand.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.nothing_moves()
            && self.dialogs.is_empty()
            && self.dialog_keys.is_empty()
            && self.usages.is_idle()
            && self.timers.len_but_flows() == self.usages.resting_alarms()
    }

    /// As [`is_idle`](Endpoint::is_idle); besides, subscriptions of both sides may stand, each with its dialog.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        let alarms = self.usages.resting_alarms().saturating_add(self.usages.subscription_alarms());
        self.nothing_moves()
            && self.dialogs.values().all(|dialog| dialog.call.is_none() && !dialog.usages.is_empty())
            && self.usages.is_resting(|id| self.servers.contains_key(id))
            && self.timers.len_but_flows() == alarms
    }

    fn nothing_moves(&self) -> bool {
        self.clients.is_empty()
            && self.by_branch.is_empty()
            && self.absorbing.is_empty()
            && self.servers.is_empty()
            && self.done.is_empty()
            && self.by_key.is_empty()
            && self.merges.is_empty()
            && self.peers.is_empty()
            && self.unanswered == 0
            && self.completed.is_empty()
            && self.completed_octets == 0
            && self.invites.is_empty()
            && self.proxies.is_empty()
            && self.bridging.is_empty()
            && self.resolving.is_empty()
            && self.flows.opening.is_empty()
    }

    /// A datagram came on a flow.
    pub fn handle_datagram(&mut self, now: Now, flow: FlowId, octets: bytes::Bytes) {
        self.actions.about(None);
        if self.flows.get(flow).is_none_or(Flow::reliable) {
            self.fault("ua.unknown_flow", Fault::UnknownFlow { flow });
            return;
        }
        match cpm_sip::parse_datagram(octets, &self.config.limits.sip) {
            Ok(message) => self.receive(now, flow, message),
            Err(failure) => self.malformed(now, flow, &failure),
        }
        self.settle(now);
    }

    /// Octets came on a stream flow.
    pub fn handle_stream(&mut self, now: Now, flow: FlowId, octets: bytes::Bytes) {
        self.actions.about(None);
        let Some(stream) = self.stream(flow) else {
            self.fault("ua.unknown_flow", Fault::UnknownFlow { flow });
            return;
        };
        stream.keep_alives_of_now(now.mono);
        stream.framer.push(octets);
        stream.used = true;
        self.alive(flow);
        while let Some(frame) = self.stream(flow).and_then(|stream| stream.framer.next()) {
            self.receive_frame(now, flow, frame);
            self.settle(now);
            self.actions.about(None);
        }
    }

    /// A message came on a stream flow from an endpoint of this process, as [`poll_message`](Endpoint::poll_message) of that one
    /// gave it: as if its octets had come, which it costs nothing to read. One of which that is not sure
    /// ([`Message::reads_back`]) goes the way of octets indeed, as do all that come amid one.
    pub fn handle_message(&mut self, now: Now, flow: FlowId, message: Box<Message>) {
        self.actions.about(None);
        let reads_back = message.reads_back(&self.config.limits.sip);
        let Some(stream) = self.stream(flow) else {
            return self.fault("ua.unknown_flow", Fault::UnknownFlow { flow });
        };
        if !reads_back || !stream.framer.pass_message() {
            return self.handle_stream(now, flow, message.to_bytes());
        }
        stream.keep_alives_of_now(now.mono);
        stream.used = true;
        self.alive(flow);
        self.receive_frame(now, flow, Frame::Message(message));
        self.settle(now);
        self.actions.about(None);
    }

    fn receive_frame(&mut self, now: Now, flow: FlowId, frame: Frame) {
        match frame {
            Frame::Message(message) => {
                let faults = self.heard(flow);
                self.receive(now, flow, *message);
                if let Some(stream) = self.stream(flow).filter(|stream| Some(stream.faults) == faults) {
                    stream.faults_in_a_row = 0;
                }
            }
            Frame::KeepAlivePing => self.line_end(flow, true),
            Frame::Pong => self.line_end(flow, false),
            Frame::Broken(failure) => {
                self.malformed(now, flow, &failure);
                self.count_against(flow);
            }
            Frame::Lost(failure) => {
                self.malformed(now, flow, &failure);
                self.doom(flow, CloseReason::ProtocolError);
            }
        }
    }

    /// The flow that the host is about to announce under this name leads to an endpoint of this process: what is sent on it
    /// waits for [`poll_message`](Endpoint::poll_message) in messages, which need not be written and read again. Counts for
    /// stream flows; else nothing about them changes, and [`poll_transmit`](Endpoint::poll_transmit) gives octets all the same.
    pub fn declare_link(&mut self, flow: FlowId) {
        self.flows.links.insert(flow);
    }

    /// A peer connected, or its first datagram came: a flow that the endpoint did not ask for.
    pub fn handle_accepted(&mut self, now: Now, flow: FlowId, info: FlowInfo) {
        self.flow_opened(now, flow, info, None);
        self.settle(now);
    }

    /// The answer to [`Action::Open`]. For a datagram target, the flow may be one that the endpoint knows already.
    pub fn handle_opened(&mut self, now: Now, open: OpenId, result: Result<(FlowId, FlowInfo), OpenError>) {
        self.actions.about(None);
        self.timers.set(TimerKey::Open(open), None);
        let opening = self.flows.end_opening(open);
        let target = opening.as_ref().map(|opening| opening.target);
        let waiting = opening.map(|opening| opening.waiting).unwrap_or_default();
        let flow = match result {
            Ok((flow, info)) => {
                self.flow_opened(now, flow, info, target);
                Some(flow)
            }
            Err(_) => {
                self.metrics.count("ua.open_failed");
                None
            }
        };
        for departure in waiting {
            match flow {
                Some(flow) => self.board(now, departure, flow),
                None => self.stranded(now, departure),
            }
        }
        self.settle(now);
    }

    fn flow_opened(&mut self, now: Now, flow: FlowId, info: FlowInfo, asked: Option<Target>) {
        let known = self.flows.get(flow).is_some();
        if !known && self.flows.by_id.len() >= self.config.limits.max_flows {
            let limit = cpm_base::LimitExceeded {
                limit: "conn.max_flows",
                value: u64::try_from(self.flows.by_id.len()).unwrap_or(u64::MAX).saturating_add(1),
                max: u64::try_from(self.config.limits.max_flows).unwrap_or(u64::MAX),
            };
            self.flows.links.remove(&flow);
            self.actions.push_back(Action::Close(flow, CloseReason::Idle));
            return self.fault("ua.overload", Fault::Overload { flow, limit });
        }
        if known {
            return self.flows.reach(flow, asked);
        }
        self.flows.insert(flow, Flow::new(info.clone(), &self.config.limits.sip), asked);
        self.begin_upkeep(now, flow, asked.is_none());
        self.event(Event::FlowOpened { flow, info });
    }

    /// A flow ended, whoever ended it; harmless for one that the endpoint closed itself.
    pub fn handle_closed(&mut self, now: Now, flow: FlowId, why: CloseReason) {
        self.actions.about(None);
        self.flows.closing.remove(&flow);
        self.flows.links.remove(&flow);
        self.flow_gone(now, flow, why);
        self.settle(now);
    }

    /// The answer to [`Action::Resolve`]: addresses in the order in which they shall be tried; none when there are none.
    pub fn handle_resolved(&mut self, now: Now, resolve: ResolveId, targets: Vec<(Transport, SocketAddr)>) {
        self.resolved(now, resolve, &targets);
        self.settle(now);
    }

    /// The deadline of [`next_timeout`](Endpoint::next_timeout) may have passed. Harmless when early, late or spurious.
    pub fn handle_timeout(&mut self, now: Now) {
        for key in self.timers.take_due(now.mono) {
            let about = self.correlation_of(key);
            self.actions.about(about);
            match key {
                TimerKey::Client(id) => self.client_timeout(now, id),
                TimerKey::Done => self.done_timeout(now),
                TimerKey::Absorbing => self.absorbing_timeout(now),
                TimerKey::Server(id) => self.server_timeout(now, id),
                TimerKey::Dialog(id) => self.dialog_timeout(now, id),
                TimerKey::Proxy(id) => self.proxy_timeout(now, id),
                TimerKey::Open(id) => self.open_timeout(now, id),
                TimerKey::Resolve(id) => self.resolve_timeout(now, id),
                TimerKey::Flow(id) => self.flow_timeout(now, id),
                TimerKey::Usage(usage) => self.usage_timeout(now, usage),
            }
            self.settle(now);
        }
    }

    /// Appends at most `max` octets that are due on a stream flow to `out`; returns how many. 0 means that nothing is due
    /// until the next [`Action::WantsWrite`] for this flow.
    pub fn poll_transmit(&mut self, _now: Now, flow: FlowId, max: usize, out: &mut Vec<u8>) -> usize {
        match self.stream(flow) {
            Some(stream) => stream.out.pull(max, out),
            None => self.flows.closing.get_mut(&flow).map_or(0, |queue| queue.pull(max, out)),
        }
    }

    /// Takes the next message that is due on a link ([`declare_link`](Endpoint::declare_link)). `None` says that none is due
    /// or that octets are first, which [`poll_transmit`](Endpoint::poll_transmit) gives.
    pub fn poll_message(&mut self, flow: FlowId) -> Option<Box<Message>> {
        match self.stream(flow) {
            Some(stream) => stream.out.take_message(),
            None => self.flows.closing.get_mut(&flow).and_then(OutQueue::take_message),
        }
    }

    // ---- shared by the files beside this one -------------------------------------------------------------------

    fn stream(&mut self, flow: FlowId) -> Option<&mut crate::flows::Stream> {
        self.flows.by_id.get_mut(&flow)?.stream.as_mut()
    }

    /// Whether a flow leads into the trust domain; one that is gone does not.
    fn trust_of(&self, flow: Option<FlowId>) -> Trust {
        flow.and_then(|flow| self.flows.get(flow)).map_or(Trust::Outside, |flow| flow.info.trust)
    }

    /// What leaves on a flow says no more than its far side may know, where that is the endpoint's business.
    fn reveal_on(&self, flow: Option<FlowId>, headers: &mut cpm_sip::Headers) {
        if self.config.identity.enforce {
            crate::identity::reveal(headers, self.trust_of(flow), &self.config.identity);
        }
    }

    /// What a deadline belongs to.
    fn correlation_of(&self, key: TimerKey) -> Option<Correlation> {
        match key {
            TimerKey::Client(id) => self.clients.get(&id).and_then(|client| client.correlation),
            TimerKey::Server(id) => self.servers.get(&id).map(|server| server.correlation),
            TimerKey::Dialog(id) => self.dialogs.get(&id).map(|dialog| Correlation::of(&dialog.key.0)),
            _ => None,
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    fn event(&mut self, event: Event) {
        if let Some(event) = self.bridging.take(event) {
            self.actions.push_back(Action::Event(event));
        }
    }

    fn fault(&mut self, counter: &'static str, fault: Fault) {
        self.metrics.count(counter);
        self.event(Event::Fault(fault));
    }

    /// A message came on a stream; says how many faults came before it.
    fn heard(&mut self, flow: FlowId) -> Option<usize> {
        let stream = self.stream(flow)?;
        let faults = stream.faults;
        if stream.first_by.take().is_some() {
            self.schedule_flow(flow);
        }
        Some(faults)
    }

    /// A fault on a stream: when there are too many, the flow is closed.
    fn count_against(&mut self, flow: FlowId) {
        let limits = (self.config.limits.error_budget, self.config.limits.consecutive_errors);
        let Some(stream) = self.stream(flow) else { return };
        stream.faults = stream.faults.saturating_add(1);
        stream.faults_in_a_row = stream.faults_in_a_row.saturating_add(1);
        if stream.faults > limits.0 || stream.faults_in_a_row > limits.1 {
            self.metrics.count("ua.error_budget_spent");
            self.doom(flow, CloseReason::ProtocolError);
        }
    }

    /// The flow will be closed when the current input is done with.
    fn doom(&mut self, flow: FlowId, why: CloseReason) {
        self.doomed.push((flow, why));
    }

    /// Does what an input left for its end.
    fn settle(&mut self, now: Now) {
        loop {
            self.settle_bridges(now);
            let Some((flow, why)) = self.doomed.pop() else { break };
            if self.flows.get(flow).is_some() {
                self.actions.push_back(Action::Close(flow, why));
                self.flow_gone(now, flow, why);
            }
        }
        self.watch_drain();
    }
}
