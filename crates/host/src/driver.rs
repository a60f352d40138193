//! The task of one node: gives it what its sockets read, does what it wants done.
//!
//! Tasks beside it wait on streams and listeners and talk to it through one bounded channel, so that sockets are read no
//! faster than the node takes octets in. It reads and writes streams itself, as long as that goes at once: what a stream's
//! socket does not take waits with that stream's task, one block at a time. UDP sockets it waits for, reads and writes
//! itself; datagrams that a socket does not take at once go to a bounded queue.

mod datagrams;
mod queries;
mod streams;

use crate::stream::Stream;
use crate::tap::{Path, What};
use crate::tasks::{accept, connect_to, write_datagrams};
use crate::udp::UdpFlows;
use crate::udp_socket::{UdpEnds, UdpReader};
use crate::{HostConfig, Machine, Sockets};
use bytes::{Bytes, BytesMut};
use cpm_base::{CloseReason, FlowId, FlowInfo, Metrics, Now, OpenError, OpenId, Protocol, Target, Transport};
use cpm_core::{Action, QueryId, Reply};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use streams::StreamEntry;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

/// Something to be run in the node's task.
pub(crate) type Job<M> = Box<dyn FnOnce(&mut M, Now) + Send>;

/// What the embedding program orders.
pub(crate) enum Order<M> {
    /// Run this in the node's task.
    Run(Job<M>),
    /// Say all counters.
    Count(oneshot::Sender<Metrics>),
    /// End.
    Stop,
}

/// What the tasks beside the node's task tell it.
pub(crate) enum Wire {
    /// The operating system would not send to this peer.
    Undeliverable { socket: usize, peer: SocketAddr },
    /// A peer connected.
    Accepted { protocol: Protocol, stream: TcpStream },
    /// The end of an attempt to connect.
    Connected { open: OpenId, target: Target, result: Result<(TcpStream, OwnedSemaphorePermit), OpenError> },
    /// A stream can be read.
    Readable { flow: FlowId },
    /// A block was written out; here it is again, empty.
    Written { flow: FlowId, block: Vec<u8> },
    /// A stream can be read or written no more.
    Over { flow: FlowId, why: CloseReason },
    /// The answer to a query.
    Replied { query: QueryId, reply: Reply },
}

/// What came in that is taken before the node's task looks at anything else.
const AT_ONCE: usize = 16;
/// Turns of reading and writing after which the runtime looks at its sockets and other tasks run.
const TURNS_AT_ONCE: usize = 8;
/// How often flows are looked through for idle ones.
const SWEEP: Duration = Duration::from_secs(5);

struct UdpPort {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    reader: UdpReader,
    queue: mpsc::Sender<(Path, Bytes)>,
}

pub(crate) struct Driver<M: Machine> {
    node: M,
    config: HostConfig,
    udp_ports: Vec<UdpPort>,
    udp: UdpFlows,
    streams: BTreeMap<FlowId, StreamEntry>,
    /// Streams that the node does not want to read at the moment.
    held: BTreeSet<FlowId>,
    /// Streams that had their turn of writing and can take more.
    unfinished: BTreeSet<FlowId>,
    /// Streams that had their turn of reading and may have more: their tasks wait until all is read.
    unread: BTreeSet<FlowId>,
    /// What streams are read into.
    block: BytesMut,
    /// What datagrams are read into: the greatest fits.
    datagram: Vec<u8>,
    /// Until when UDP sockets are left alone, after one could not be read.
    udp_rests: Option<tokio::time::Instant>,
    /// Empty blocks to fill.
    spare: Vec<Vec<u8>>,
    last_flow: u64,
    wire: mpsc::Sender<Wire>,
    wire_queue: mpsc::Receiver<Wire>,
    /// Events that the embedding program has not taken yet.
    events: VecDeque<M::Event>,
    /// Listeners: ended when the node stops.
    inward: JoinSet<()>,
    /// Streams and writers of UDP sockets: may finish when the node stops.
    outward: JoinSet<()>,
    /// Connection attempts, look-ups, storing.
    errands: JoinSet<()>,
    stream_permits: Arc<Semaphore>,
    connect_permits: Arc<Semaphore>,
    lookup_permits: Arc<Semaphore>,
    metrics: Metrics,
}

impl<M: Machine> Driver<M> {
    pub(crate) fn new(node: M, sockets: Sockets, config: HostConfig) -> Self {
        let limits = &config.limits;
        let (wire, wire_queue) = mpsc::channel(limits.input_queue);
        let permits = |count| Arc::new(Semaphore::new(count));
        let (streams, connects, lookups) =
            (permits(limits.max_streams), permits(limits.max_connects), permits(limits.max_lookups));
        let mut driver = Driver {
            node,
            config,
            udp_ports: Vec::new(),
            udp: UdpFlows::default(),
            streams: BTreeMap::new(),
            held: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            unread: BTreeSet::new(),
            block: BytesMut::new(),
            datagram: vec![0; 65_536],
            udp_rests: None,
            spare: Vec::new(),
            last_flow: 0,
            wire,
            wire_queue,
            events: VecDeque::new(),
            inward: JoinSet::new(),
            outward: JoinSet::new(),
            errands: JoinSet::new(),
            stream_permits: streams,
            connect_permits: connects,
            lookup_permits: lookups,
            metrics: Metrics::default(),
        };
        driver.attach(sockets);
        driver
    }

    /// Starts the tasks that wait on the listening sockets.
    fn attach(&mut self, sockets: Sockets) {
        for (index, (ends, address)) in sockets.sip_udp.into_iter().enumerate() {
            let UdpEnds { socket, reader } = ends;
            let (queue, datagrams) = mpsc::channel(self.config.limits.datagram_queue);
            self.udp_ports.push(UdpPort { address, socket: Arc::clone(&socket), reader, queue });
            self.outward.spawn(write_datagrams(
                index,
                socket,
                datagrams,
                self.config.tap.clone(),
                self.wire.clone(),
            ));
        }
        for (protocol, listeners) in [(Protocol::Sip, sockets.sip_tcp), (Protocol::Msrp, sockets.msrp)] {
            for (listener, _) in listeners {
                self.inward.spawn(accept(protocol, listener, self.wire.clone()));
            }
        }
    }

    /// Runs the node until it is told to stop or nobody can tell it anything any more.
    pub(crate) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order<M>>,
        events: mpsc::Sender<M::Event>,
    ) -> Metrics {
        let sweep_every = SWEEP.min(self.config.limits.udp_idle / 2).min(self.config.limits.stream_idle / 2);
        let mut sweep = tokio::time::interval(sweep_every.max(Duration::from_millis(1)));
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // One timer, set anew only when the node's deadline moves.
        let mut alarm = pin!(sleep_until(tokio::time::Instant::now()));
        let mut set_for = None;
        let mut turns = 0usize;
        loop {
            self.obey();
            self.resume();
            self.write_on();
            let reading = self.events.len() < self.config.limits.event_backlog;
            if reading {
                self.read_on();
            }
            let due = self.node.next_timeout().and_then(|at| self.config.clock.runtime_instant(at));
            let due = [due, self.udp_rests].into_iter().flatten().min();
            // A deadline that has moved away is met early and looked at again: nothing is done then.
            if let Some(at) = due.filter(|at| set_for.is_none_or(|set| *at < set)) {
                alarm.as_mut().reset(at);
                set_for = Some(at);
            }
            let goes_on = !self.unfinished.is_empty() || (reading && !self.unread.is_empty());
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Run(job)) => job(&mut self.node, self.config.clock.now()),
                    // Whoever asked may have gone.
                    Some(Order::Count(answer)) => drop(answer.send(self.metrics())),
                    Some(Order::Stop) | None => break,
                },
                room = events.reserve(), if !self.events.is_empty() => match room {
                    Ok(room) => {
                        if let Some(event) = self.events.pop_front() {
                            room.send(event);
                        }
                    }
                    // Nobody listens.
                    Err(_) => self.events.clear(),
                },
                Some(wire) = self.wire_queue.recv(), if reading => self.take_some(wire),
                () = datagrams::waits(&self.udp_ports), if reading && self.udp_rests.is_none() => self.read_datagrams(),
                () = alarm.as_mut(), if due.is_some() => {
                    self.node.handle_timeout(self.config.clock.now());
                    // It has rung: it is to be set even for the same time again.
                    set_for = None;
                    self.udp_rests = self.udp_rests.filter(|until| *until > tokio::time::Instant::now());
                }
                _ = sweep.tick() => self.sweep(),
                () = next_turn(&mut turns), if goes_on => {}
            }
        }
        self.stop().await;
        self.metrics()
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.node.metrics();
        metrics.merge(&self.metrics);
        metrics
    }

    /// Sends what is due and ends all streams, as long as the limit allows.
    async fn stop(&mut self) {
        self.inward.abort_all();
        self.errands.abort_all();
        let flows: Vec<FlowId> = self.streams.keys().copied().collect();
        for flow in flows {
            self.close(flow, CloseReason::Done);
        }
        self.obey();
        // Writers of UDP sockets end when their queues are closed and empty.
        self.udp_ports.clear();
        let limit = self.config.limits.stop_timeout;
        let finish = async {
            while !self.outward.is_empty() {
                tokio::select! {
                    _ = self.outward.join_next() => {}
                    Some(wire) = self.wire_queue.recv() => {
                        self.take(wire);
                        self.obey();
                    }
                    () = tokio::task::yield_now(), if !self.unfinished.is_empty() => self.write_on(),
                }
            }
        };
        if timeout(limit, finish).await.is_err() {
            self.metrics.count("host.stop_timeouts");
        }
    }

    /// What a task brought, and what others have brought meanwhile.
    fn take_some(&mut self, first: Wire) {
        let mut next = Some(first);
        for _ in 0..AT_ONCE {
            let Some(wire) = next else { return };
            self.take(wire);
            self.obey();
            let room = self.events.len() < self.config.limits.event_backlog;
            next = if room { self.wire_queue.try_recv().ok() } else { None };
        }
        if let Some(wire) = next {
            self.take(wire);
        }
    }

    /// Gives the node what a task brought.
    fn take(&mut self, wire: Wire) {
        let now = self.config.clock.now();
        match wire {
            Wire::Undeliverable { socket, peer } => {
                self.metrics.count("host.datagrams_undeliverable");
                if let Some((flow, _)) = self.udp.find(now.mono, socket, peer) {
                    self.forget(now, flow, CloseReason::Failed);
                }
            }
            Wire::Accepted { protocol, stream } => self.accepted(now, protocol, stream),
            Wire::Connected { open, target, result } => self.connected(now, open, target, result),
            Wire::Readable { flow } => self.read(now, flow),
            Wire::Written { flow, block } => {
                self.put_back(block);
                if let Some(entry) = self.streams.get_mut(&flow) {
                    entry.last_used = now.mono;
                    entry.writing = false;
                    if entry.reader_waits {
                        entry.read_on();
                    }
                    self.pump(flow);
                }
            }
            Wire::Over { flow, why } => {
                if self.streams.contains_key(&flow) {
                    self.forget(now, flow, why);
                }
            }
            Wire::Replied { query, reply } => self.node.handle_reply(now, query, reply),
        }
    }

    /// Does what the node wants done.
    fn obey(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Datagram(flow, bytes) => self.send_datagram(flow, bytes),
                Action::Open(open, target) => self.open(open, target),
                Action::Close(flow, why) => self.close(flow, why),
                Action::WantsWrite(flow) => {
                    if let Some(entry) = self.streams.get_mut(&flow) {
                        entry.wanted = true;
                        self.pump(flow);
                    }
                }
                Action::Query(query, question) => self.query(query, question),
                Action::Event(event) => self.events.push_back(event),
            }
        }
        while self.outward.try_join_next().is_some() {}
        while self.errands.try_join_next().is_some() {}
    }

    fn accepted(&mut self, now: Now, protocol: Protocol, stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.stream_permits).try_acquire_owned() else {
            return self.metrics.count("host.streams_refused");
        };
        if self.is_crowded(&stream) {
            return self.metrics.count("host.streams_refused");
        }
        // An error here means that the connection has broken already.
        if let Ok((flow, info)) = self.adopt(now, protocol, stream, permit, What::Accepted) {
            self.node.handle_accepted(now, flow, info);
        }
    }

    /// Whether the far side has all the connections that it may have.
    fn is_crowded(&self, stream: &TcpStream) -> bool {
        let (Some(most), Ok(peer)) = (self.config.limits.max_streams_per_address, stream.peer_addr()) else {
            return false;
        };
        let of_peer = |entry: &&StreamEntry| entry.path.peer.ip() == peer.ip();
        self.streams.values().filter(of_peer).take(most).count() >= most
    }

    fn connected(
        &mut self,
        now: Now,
        open: OpenId,
        target: Target,
        result: Result<(TcpStream, OwnedSemaphorePermit), OpenError>,
    ) {
        let opened = result.and_then(|(stream, permit)| {
            self.adopt(now, target.protocol, stream, permit, What::Connected)
                .map_err(|_| OpenError::Unreachable)
        });
        self.node.handle_opened(now, open, opened);
    }

    /// Names a connection and starts its task.
    fn adopt(
        &mut self,
        now: Now,
        protocol: Protocol,
        socket: TcpStream,
        permit: OwnedSemaphorePermit,
        what: What<'_>,
    ) -> io::Result<(FlowId, FlowInfo)> {
        let (local, peer) = (socket.local_addr()?, socket.peer_addr()?);
        // Small messages go out at once; where this cannot be had they go out later.
        let _ = socket.set_nodelay(true);
        let path = Path { protocol, transport: Transport::Tcp, local, peer };
        let flow = self.name_flow();
        self.config.tap.happened(path, what);
        let socket = Arc::new(socket);
        let (blocks, block_queue) = mpsc::channel(1);
        let (dealt_with, reader) = watch::channel(true);
        let stream = Stream {
            flow,
            path,
            tap: self.config.tap.clone(),
            limits: self.config.limits.clone(),
            wire: self.wire.clone(),
            dealt_with: reader,
            _permit: permit,
        };
        self.outward.spawn(stream.run(Arc::clone(&socket), block_queue));
        let entry = StreamEntry {
            socket,
            path,
            blocks,
            writing: false,
            wanted: false,
            closing: None,
            reader_waits: false,
            held: false,
            dealt_with,
            last_used: now.mono,
        };
        self.streams.insert(flow, entry);
        let trust = self.config.trusted.trust(local, peer);
        let info =
            FlowInfo { protocol, transport: Transport::Tcp, local, peer, secure_identity: None, trust };
        Ok((flow, info))
    }

    fn name_flow(&mut self) -> FlowId {
        self.last_flow = self.last_flow.wrapping_add(1);
        FlowId(self.last_flow)
    }

    fn open(&mut self, open: OpenId, target: Target) {
        let now = self.config.clock.now();
        if self.config.open_policy.check(&target).is_err() {
            self.metrics.count("host.opens_denied");
            return self.node.handle_opened(now, open, Err(OpenError::NotAllowed));
        }
        match target.transport {
            Transport::Udp => {
                let opened = self.open_udp(now, target);
                self.node.handle_opened(now, open, opened);
            }
            Transport::Tcp => {
                let permits = (
                    Arc::clone(&self.stream_permits).try_acquire_owned(),
                    Arc::clone(&self.connect_permits).try_acquire_owned(),
                );
                let (Ok(stream), Ok(connect)) = permits else {
                    self.metrics.count("host.opens_refused");
                    return self.node.handle_opened(now, open, Err(OpenError::Unavailable));
                };
                self.errands.spawn(connect_to(
                    open,
                    target,
                    stream,
                    connect,
                    self.config.limits.connect_timeout,
                    self.wire.clone(),
                ));
            }
            Transport::Tls => self.node.handle_opened(now, open, Err(OpenError::Unavailable)),
        }
    }

    /// Closes a flow after what the node has for it was sent.
    fn close(&mut self, flow: FlowId, why: CloseReason) {
        match self.streams.get_mut(&flow) {
            Some(entry) => {
                entry.closing.get_or_insert(why);
                entry.wanted = true;
                self.pump(flow);
            }
            None => self.forget(self.config.clock.now(), flow, why),
        }
    }

    /// Forgets a flow and tells the node that it is closed. A stream's task ends when it has written its block.
    fn forget(&mut self, now: Now, flow: FlowId, why: CloseReason) {
        if self.streams.remove(&flow).is_some() || self.udp.remove(flow) {
            self.node.handle_closed(now, flow, why);
        }
    }

    fn sweep(&mut self) {
        let now = self.config.clock.now();
        while let Some(flow) = self.udp.idle(now.mono, &self.config.limits) {
            self.metrics.count("host.flows_idle");
            self.forget(now, flow, CloseReason::Idle);
        }
        let idle = |entry: &StreamEntry| now.mono.since(entry.last_used) >= self.config.limits.stream_idle;
        let quiet: Vec<FlowId> =
            self.streams.iter().filter(|(_, entry)| idle(entry)).map(|(flow, _)| *flow).collect();
        for flow in quiet {
            self.metrics.count("host.flows_idle");
            self.close(flow, CloseReason::Idle);
        }
    }
}

/// Another turn of reading and writing, mostly at once.
async fn next_turn(turns: &mut usize) {
    *turns = turns.wrapping_add(1);
    if turns.is_multiple_of(TURNS_AT_ONCE) {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests;
