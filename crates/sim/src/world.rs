//! The world: nodes, virtual time, and the loop that moves both.

mod flows;
mod hosting;
mod outside;
mod run;

pub use hosting::Stored;
pub use outside::{KeptObject, QueryFault, QueryKind, QueryTrouble};
pub use run::{Outcome, Violation};

use crate::network::{Dice, Link, Network};
use crate::node::SimNode;
use crate::trace::{Trace, TraceEntry, What};
use crate::{Kind, summary::Summary};
use bytes::Bytes;
use cpm_base::{DateTime, FlowId, Instant, Metrics, Now, Random, Seed, Trust};
use cpm_core::{Function, Node, Ports};
use flows::{Connection, ConnectionId, FlowEnd, Side};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

/// The world's name for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

/// A node of which the world knows the function: what [`World::add`] gives.
pub struct Handle<F> {
    id: NodeId,
    function: PhantomData<fn() -> F>,
}

impl<F> Handle<F> {
    /// The node.
    #[must_use]
    pub fn id(self) -> NodeId {
        self.id
    }
}

impl<F> Clone for Handle<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Handle<F> {}

impl<F> From<Handle<F>> for NodeId {
    fn from(handle: Handle<F>) -> NodeId {
        handle.id
    }
}

impl<F> fmt::Debug for Handle<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.id.0)
    }
}

/// Where a node is and what it is to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name in traces.
    pub name: String,
    /// Its addresses; datagrams leave from the first one of the target's family.
    pub addresses: Vec<IpAddr>,
    /// Whether it is an element of the SIP/IP core: others then trust what it asserts.
    pub core_element: bool,
    /// Where it takes SIP, by datagrams and streams. Default 5060.
    pub sip_port: u16,
    /// Whether it takes SIP on streams too. Default: yes.
    pub sip_streams: bool,
    /// Where it takes MSRP. Default 2855.
    pub msrp_port: u16,
}

impl Place {
    /// A node outside of the core, at one address, on the default ports.
    #[must_use]
    pub fn new(name: &str, address: IpAddr) -> Self {
        Place {
            name: name.to_owned(),
            addresses: vec![address],
            core_element: false,
            sip_port: 5060,
            sip_streams: true,
            msrp_port: 2855,
        }
    }

    /// An element of the core.
    #[must_use]
    pub fn core_element(mut self) -> Self {
        self.core_element = true;
        self
    }

    /// With one more address.
    #[must_use]
    pub fn and_address(mut self, address: IpAddr) -> Self {
        self.addresses.push(address);
        self
    }
}

/// Something a node told its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened<E> {
    /// When.
    pub at: Instant,
    /// Which node.
    pub node: NodeId,
    /// What.
    pub event: E,
}

/// One node in its place. `machine` is absent while it is down.
struct Slot<E> {
    place: Place,
    machine: Option<Box<dyn SimNode<E>>>,
    /// Counts crashes: replies and openings of a former life are not for this one.
    life: u64,
    flows: BTreeMap<FlowId, FlowEnd>,
    datagram_flows: BTreeMap<(SocketAddr, SocketAddr), FlowId>,
    /// Written to as soon as the node was followed.
    writable: BTreeSet<FlowId>,
    /// Streams with octets that came and that the machine does not want read yet.
    held: BTreeMap<FlowId, (ConnectionId, Side)>,
    next_port: u16,
    timeout: Option<Instant>,
    stored: Vec<Stored>,
    outside: outside::Outside<E>,
}

/// Characters of an event's `Debug` text in a trace.
const EVENT_LABEL: usize = 100;

/// What is due at some time.
enum Due {
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
    /// The head of what is on its way to this side of a connection.
    Segment {
        connection: ConnectionId,
        to: Side,
    },
    Reply {
        node: NodeId,
        life: u64,
        answer: outside::Answer,
    },
}

/// What an event is in a trace.
type EventLabel<E> = Box<dyn Fn(&E) -> String>;

type Invariant<E> = (String, Box<dyn FnMut(&World<E>) -> Result<(), String>>);

/// A world of nodes whose events become `E`.
///
/// Everything in it follows from the seed and from what is done to it: the same seed and the same calls give the same
/// [`Trace`], octet for octet.
pub struct World<E> {
    now: Now,
    dice: Dice,
    nodes: Vec<Slot<E>>,
    by_address: BTreeMap<IpAddr, NodeId>,
    names: BTreeMap<String, Vec<IpAddr>>,
    network: Network,
    trust: BTreeMap<(NodeId, NodeId), Trust>,
    due: BTreeMap<(Instant, u64), Due>,
    timeouts: BTreeSet<(Instant, NodeId)>,
    connections: BTreeMap<ConnectionId, Connection>,
    last_number: u64,
    query_delay: Range<Duration>,
    query_delays: BTreeMap<QueryKind, Range<Duration>>,
    query_trouble: QueryTrouble,
    stream_patience: Duration,
    trace: Trace,
    events: Vec<Happened<E>>,
    event_label: EventLabel<E>,
    invariants: Vec<Invariant<E>>,
}

impl<E: fmt::Debug + 'static> World<E> {
    /// An empty world at 2026-01-01T00:00:00Z on a perfect network.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&seed.to_be_bytes());
        let wall = DateTime::parse("2026-01-01T00:00:00Z").unwrap_or(DateTime::UNIX_EPOCH);
        World {
            now: Now::new(Instant::ZERO, wall),
            dice: Dice(Random::new(Seed::new(octets))),
            nodes: Vec::new(),
            by_address: BTreeMap::new(),
            names: BTreeMap::new(),
            network: Network::default(),
            trust: BTreeMap::new(),
            due: BTreeMap::new(),
            timeouts: BTreeSet::new(),
            connections: BTreeMap::new(),
            last_number: 0,
            query_delay: Duration::from_millis(1)..Duration::from_millis(1),
            query_delays: BTreeMap::new(),
            query_trouble: QueryTrouble::default(),
            stream_patience: Duration::from_secs(20),
            trace: Trace::default(),
            events: Vec::new(),
            event_label: Box::new(|event| format!("{event:?}").chars().take(EVENT_LABEL).collect()),
            invariants: Vec::new(),
        }
    }

    /// A seed for a node, from the world's own randomness.
    pub fn fork_seed(&mut self) -> Seed {
        self.dice.0.fork()
    }

    /// Puts a node into the world.
    ///
    /// # Panics
    /// One of the addresses is taken.
    pub fn add<F>(&mut self, place: Place, node: Node<F>) -> Handle<F>
    where
        F: Function + 'static,
        F::Event: Into<E>,
    {
        Handle { id: self.add_machine(place, Box::new(node)), function: PhantomData }
    }

    /// Puts a machine of the caller's own into the world.
    ///
    /// # Panics
    /// One of the addresses is taken.
    pub fn add_machine(&mut self, place: Place, machine: Box<dyn SimNode<E>>) -> NodeId {
        let id = NodeId(self.nodes.len());
        for address in &place.addresses {
            let taken = self.by_address.insert(*address, id);
            assert!(taken.is_none(), "{address} is taken");
        }
        self.nodes.push(Slot {
            place,
            machine: Some(machine),
            life: 0,
            flows: BTreeMap::new(),
            datagram_flows: BTreeMap::new(),
            writable: BTreeSet::new(),
            held: BTreeMap::new(),
            next_port: 49_152,
            timeout: None,
            stored: Vec::new(),
            outside: outside::Outside::default(),
        });
        self.follow(id);
        id
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        self.now
    }

    /// Lets a host name mean these addresses.
    pub fn name(&mut self, host: &str, addresses: &[IpAddr]) {
        self.names.insert(host.to_ascii_lowercase(), addresses.to_vec());
    }

    /// What every link does that has no setting of its own.
    pub fn set_default_link(&mut self, link: Link) {
        self.network.default = link;
    }

    /// What the links between two nodes do, in both directions.
    pub fn set_link(&mut self, a: impl Into<NodeId>, b: impl Into<NodeId>, link: Link) {
        let (a, b) = (a.into(), b.into());
        self.network.links.insert((a, b), link.clone());
        self.network.links.insert((b, a), link);
    }

    /// Cuts every node of one group off from every node of the other. What is on its way between them is lost; streams wait, and break
    /// after [`World::set_stream_patience`].
    pub fn partition(&mut self, one: &[NodeId], other: &[NodeId]) {
        for a in one {
            for b in other {
                self.network.blocked.insert((*a, *b));
                self.network.blocked.insert((*b, *a));
            }
        }
        let names = |ids: &[NodeId]| ids.iter().map(|id| self.name_of(*id)).collect::<Vec<_>>().join(", ");
        let label = format!("cut off: {} | {}", names(one), names(other));
        self.note(What::World, NodeId(usize::MAX), NodeId(usize::MAX), label, Kind::Note);
    }

    /// Everybody reaches everybody again.
    pub fn heal(&mut self) {
        self.network.blocked.clear();
        self.note(What::World, NodeId(usize::MAX), NodeId(usize::MAX), "healed".to_owned(), Kind::Note);
    }

    /// Whether `viewer` takes flows to and from `peer` as flows of the SIP/IP core; by default it does when `peer` is
    /// placed as a core element.
    pub fn set_trust(&mut self, viewer: impl Into<NodeId>, peer: impl Into<NodeId>, trust: Trust) {
        self.trust.insert((viewer.into(), peer.into()), trust);
    }

    /// How long a stream waits for its other side behind a partition before it breaks. Default: 20 s.
    pub fn set_stream_patience(&mut self, patience: Duration) {
        self.stream_patience = patience;
    }

    /// What a node's store holds, oldest first. It outlives crashes.
    #[must_use]
    pub fn stored(&self, node: impl Into<NodeId>) -> &[Stored] {
        &self.slot(node.into()).stored
    }

    /// How events are written in the trace, in a few words. Default: their `Debug` text, cut to 100 characters.
    pub fn set_event_label(&mut self, label: impl Fn(&E) -> String + 'static) {
        self.event_label = Box::new(label);
    }

    /// Checked after each step; the first `Err` ends the run as a [`Violation`].
    pub fn add_invariant(
        &mut self,
        name: &str,
        check: impl FnMut(&World<E>) -> Result<(), String> + 'static,
    ) {
        self.invariants.push((name.to_owned(), Box::new(check)));
    }

    /// Calls a command of a node's function.
    ///
    /// # Panics
    /// The node is down, or another function has taken its place.
    pub fn command<F, R>(
        &mut self,
        node: Handle<F>,
        command: impl FnOnce(&mut F, &mut Ports<'_, F::Event>, Now) -> R,
    ) -> R
    where
        F: Function + 'static,
    {
        self.drive::<Node<F>, R>(node.id, |machine, now| {
            machine.command(now, |function, ports| command(function, ports, now))
        })
    }

    /// Gives an input of the caller's to a machine that [`World::add_machine`] put here, and does what it then wants.
    ///
    /// # Panics
    /// The node is down, or its machine is of another type.
    pub fn drive<M: Any, R>(&mut self, node: NodeId, input: impl FnOnce(&mut M, Now) -> R) -> R {
        let now = self.now;
        let machine = self.slot_mut(node).machine.as_mut().expect("the node is down");
        let machine: &mut dyn Any = machine.as_mut();
        let machine = machine.downcast_mut::<M>().expect("the machine is of this type");
        let result = input(machine, now);
        self.follow(node);
        result
    }

    /// A machine that [`World::add_machine`] put here, to read what it knows; `None` while it is down.
    #[must_use]
    pub fn machine<M: Any>(&self, node: NodeId) -> Option<&M> {
        let machine: &dyn Any = self.slot(node).machine.as_deref()?;
        machine.downcast_ref::<M>()
    }

    /// A node's function, to read what it knows; `None` while the node is down.
    #[must_use]
    pub fn function<F: Function + 'static>(&self, node: Handle<F>) -> Option<&F> {
        self.machine::<Node<F>>(node.id).map(Node::function)
    }

    /// Everything that nodes told their users, oldest first.
    #[must_use]
    pub fn events(&self) -> &[Happened<E>] {
        &self.events
    }

    /// What one node told its user, oldest first.
    pub fn events_of(&self, node: impl Into<NodeId>) -> impl Iterator<Item = &E> {
        let node = node.into();
        self.events.iter().filter(move |happened| happened.node == node).map(|happened| &happened.event)
    }

    /// What happened.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// A node's counters; empty while it is down.
    #[must_use]
    pub fn metrics(&self, node: impl Into<NodeId>) -> Metrics {
        self.slot(node.into()).machine.as_ref().map(|machine| machine.metrics()).unwrap_or_default()
    }

    /// The nodes that hold something: transactions, sessions, open queries. What stands by itself (registrations,
    /// subscriptions) does not count.
    #[must_use]
    pub fn busy(&self) -> Vec<&str> {
        let is_busy = |slot: &&Slot<E>| slot.machine.as_ref().is_some_and(|machine| !machine.is_resting());
        self.nodes.iter().filter(is_busy).map(|slot| slot.place.name.as_str()).collect()
    }

    /// A node stops in the middle of everything: its machine is gone, its streams break at the far side and what
    /// they had on their way is lost. Datagrams that it sent still arrive; what its store holds stays.
    pub fn crash(&mut self, node: impl Into<NodeId>) {
        let node = node.into();
        self.note(What::World, node, node, "crashed".to_owned(), Kind::Note);
        let slot = self.slot_mut(node);
        slot.machine = None;
        slot.life += 1;
        slot.flows.clear();
        slot.datagram_flows.clear();
        slot.writable.clear();
        slot.held.clear();
        if let Some(timeout) = slot.timeout.take() {
            self.timeouts.remove(&(timeout, node));
        }
        self.break_streams(|a, b| a == node || b == node);
    }

    /// A node in the place of one that crashed (a running one crashes first).
    pub fn restart<F>(&mut self, handle: Handle<F>, node: Node<F>)
    where
        F: Function + 'static,
        F::Event: Into<E>,
    {
        self.restart_machine(handle.id, Box::new(node));
    }

    /// The same with a machine of the caller's own.
    pub fn restart_machine(&mut self, node: NodeId, machine: Box<dyn SimNode<E>>) {
        if self.slot(node).machine.is_some() {
            self.crash(node);
        }
        self.slot_mut(node).machine = Some(machine);
        self.note(What::World, node, node, "started again".to_owned(), Kind::Note);
        self.follow(node);
    }

    /// Breaks every stream between two nodes; both sides see it fail.
    pub fn reset_streams(&mut self, a: impl Into<NodeId>, b: impl Into<NodeId>) {
        let (a, b) = (a.into(), b.into());
        self.break_streams(|x, y| (x, y) == (a, b) || (x, y) == (b, a));
    }

    fn slot(&self, id: NodeId) -> &Slot<E> {
        &self.nodes[id.0]
    }

    fn slot_mut(&mut self, id: NodeId) -> &mut Slot<E> {
        &mut self.nodes[id.0]
    }

    /// The name of a node in traces; "?" for one that is not there.
    #[must_use]
    pub fn name_of(&self, id: NodeId) -> String {
        self.nodes.get(id.0).map_or_else(|| "?".to_owned(), |slot| slot.place.name.clone())
    }

    /// A number that was not used before: flow names, order of what is due at the same time.
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn schedule(&mut self, at: Instant, due: Due) {
        let number = self.number();
        self.due.insert((at, number), due);
    }

    fn note(&mut self, what: What, from: NodeId, to: NodeId, label: String, kind: Kind) {
        self.record(what, from, to, Summary { label, kind }, None);
    }

    fn record(&mut self, what: What, from: NodeId, to: NodeId, summary: Summary, bytes: Option<Bytes>) {
        let name = |id: NodeId| self.nodes.get(id.0).map(|slot| slot.place.name.clone());
        let to = if from == to { None } else { name(to) };
        let (from, to) = (name(from).unwrap_or_default(), to.unwrap_or_default());
        let Summary { label, kind } = summary;
        self.trace.push(TraceEntry { at: self.now.mono, from, to, what, label, kind, bytes });
    }
}

#[cfg(test)]
mod tests;
