//! Flows between nodes: datagrams, and connections as two queues of segments.

use super::{Due, NodeId, World};
use crate::ladder::Kind;
use crate::network::Link;
use crate::summary::{self, StreamSummary, Summary};
use crate::trace::What;
use bytes::Bytes;
use cpm_base::{
    CloseReason, FlowId, FlowInfo, Instant, OpenError, OpenId, Protocol, Target, Transport, Trust,
};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The world's name for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnectionId(u64);

/// One of the two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Who opened it.
    Client,
    /// Who accepted it.
    Server,
}

impl Side {
    const fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// What a node's flow is.
#[derive(Debug, Clone, Copy)]
pub(super) enum FlowEnd {
    Datagrams { local: SocketAddr, peer: SocketAddr },
    Stream { connection: ConnectionId, side: Side },
}

impl FlowEnd {
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self, FlowEnd::Stream { .. })
    }
}

/// What travels on a connection, in order.
#[derive(Debug)]
enum Segment {
    /// To the server: somebody wants to connect.
    Connect,
    /// To the client: accepted.
    Accepted,
    /// To the client: nobody takes connections there.
    Refused,
    Octets(Bytes),
    Closed(CloseReason),
}

/// One end: where it is, and what is on its way to it.
#[derive(Debug)]
struct End {
    node: NodeId,
    address: SocketAddr,
    /// Absent before it is open and after it closed.
    flow: Option<FlowId>,
    incoming: VecDeque<Segment>,
    /// When the last of `incoming` is due: order is kept.
    last_due: Instant,
    /// Octets in `incoming`.
    under_way: usize,
    /// What this end wrote.
    written: StreamSummary,
    /// Since when the head of `incoming` waits behind a partition.
    blocked_since: Option<Instant>,
    /// How many segments have come and are not read, because the machine does not want to.
    held: usize,
}

#[derive(Debug)]
pub(super) struct Connection {
    protocol: Protocol,
    /// The client's wish; taken when it is answered.
    open: Option<OpenId>,
    client: End,
    server: End,
}

impl Connection {
    const fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    const fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// How often a stream looks whether a partition is over.
const RETRY: Duration = Duration::from_millis(250);

impl<E: fmt::Debug + 'static> World<E> {
    fn info(
        &self,
        node: NodeId,
        protocol: Protocol,
        transport: Transport,
        ends: (SocketAddr, SocketAddr),
    ) -> FlowInfo {
        let (local, peer) = ends;
        let far = self.by_address.get(&peer.ip()).copied();
        let by_place = || far.is_some_and(|far| self.slot(far).place.core_element);
        let trust = match far.and_then(|far| self.trust.get(&(node, far))) {
            Some(trust) => *trust,
            None if by_place() => Trust::Core,
            None => Trust::Outside,
        };
        FlowInfo { protocol, transport, local, peer, secure_identity: None, trust }
    }

    pub(super) fn open(&mut self, node: NodeId, open: OpenId, target: Target) {
        let place = &self.slot(node).place;
        let local =
            place.addresses.iter().find(|address| address.is_ipv4() == target.remote.is_ipv4()).copied();
        match (local, target.transport) {
            (Some(local), Transport::Udp) if target.protocol == Protocol::Sip => {
                let local = SocketAddr::new(local, place.sip_port);
                let flow = self.datagram_flow(node, local, target.remote);
                let info = self.info(node, Protocol::Sip, Transport::Udp, (local, target.remote));
                let now = self.now;
                // Not `with`: this runs inside of `follow`, which goes on with what comes of it.
                if let Some(machine) = self.slot_mut(node).machine.as_mut() {
                    machine.handle_opened(now, open, Ok((flow, info)));
                }
            }
            (Some(local), Transport::Tcp) => self.connect(node, open, target, local),
            _ => self.refuse(node, open, OpenError::Unavailable),
        }
    }

    fn refuse(&mut self, node: NodeId, open: OpenId, why: OpenError) {
        self.note(What::Flow, node, node, format!("not opened: {why}"), Kind::Failure);
        let now = self.now;
        if let Some(machine) = self.slot_mut(node).machine.as_mut() {
            machine.handle_opened(now, open, Err(why));
        }
    }

    /// One pair of local and remote address is one flow.
    fn datagram_flow(&mut self, node: NodeId, local: SocketAddr, peer: SocketAddr) -> FlowId {
        if let Some(flow) = self.slot(node).datagram_flows.get(&(local, peer)) {
            return *flow;
        }
        let flow = FlowId(self.number());
        let slot = self.slot_mut(node);
        slot.datagram_flows.insert((local, peer), flow);
        slot.flows.insert(flow, FlowEnd::Datagrams { local, peer });
        flow
    }

    pub(super) fn send(&mut self, node: NodeId, flow: FlowId, bytes: Bytes) {
        let Some(FlowEnd::Datagrams { local, peer }) = self.slot(node).flows.get(&flow).copied() else {
            self.note(
                What::Flow,
                node,
                node,
                "a datagram for a flow that is closed".to_owned(),
                Kind::Failure,
            );
            return;
        };
        let far = self.by_address.get(&peer.ip()).copied();
        let to = far.unwrap_or(NodeId(usize::MAX));
        let link = self.network.link(node, to).clone();
        // Drawn whatever becomes of it.
        let (lost, twice) = (self.dice.happens(link.loss), self.dice.happens(link.duplication));
        let delays = [self.datagram_delay(&link), self.datagram_delay(&link)];
        let lost = lost || far.is_none() || self.network.is_blocked(node, to);
        let what = match (lost, twice) {
            (true, _) => What::Lost,
            (false, true) => What::Duplicated,
            (false, false) => What::Datagram,
        };
        self.record(what, node, to, summary::datagram(&bytes), Some(bytes.clone()));
        let copies = if lost { 0 } else { 1 + usize::from(twice) };
        for delay in delays.into_iter().take(copies) {
            let at = self.now.mono.plus(delay);
            self.schedule(at, Due::Datagram { from: local, to: peer, bytes: bytes.clone() });
        }
    }

    fn datagram_delay(&mut self, link: &Link) -> Duration {
        let delay = self.dice.delay(link.min_delay, link.max_delay);
        let held = self.dice.delay(Duration::ZERO, link.max_delay.saturating_mul(3));
        if self.dice.happens(link.reordering) { delay + held } else { delay }
    }

    pub(super) fn arrive(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let Some(node) = self.by_address.get(&to.ip()).copied() else { return };
        let slot = self.slot(node);
        if slot.machine.is_none() || slot.place.sip_port != to.port() {
            return;
        }
        let now = self.now;
        if !slot.datagram_flows.contains_key(&(to, from)) {
            let flow = self.datagram_flow(node, to, from);
            let info = self.info(node, Protocol::Sip, Transport::Udp, (to, from));
            self.with(node, |machine| machine.handle_accepted(now, flow, info));
        }
        if let Some(flow) = self.slot(node).datagram_flows.get(&(to, from)).copied() {
            self.with(node, |machine| machine.handle_datagram(now, flow, bytes));
        }
    }

    fn connect(&mut self, node: NodeId, open: OpenId, target: Target, local: std::net::IpAddr) {
        let Some(far) = self.by_address.get(&target.remote.ip()).copied() else {
            return self.refuse(node, open, OpenError::Unreachable);
        };
        let now = self.now.mono;
        let id = ConnectionId(self.number());
        let slot = self.slot_mut(node);
        let port = slot.next_port;
        slot.next_port = port.checked_add(1).unwrap_or(49_152);
        let end = |node, address| End {
            node,
            address,
            flow: None,
            incoming: VecDeque::new(),
            last_due: now,
            under_way: 0,
            written: StreamSummary::new(target.protocol),
            blocked_since: None,
            held: 0,
        };
        let connection = Connection {
            protocol: target.protocol,
            open: Some(open),
            client: end(node, SocketAddr::new(local, port)),
            server: end(far, target.remote),
        };
        self.connections.insert(id, connection);
        self.note(What::Flow, node, far, format!("connecting to {}", target.remote), Kind::Flow);
        self.push_segment(id, Side::Server, Segment::Connect);
    }

    /// Sends a segment to one side.
    fn push_segment(&mut self, id: ConnectionId, to: Side, segment: Segment) {
        let Some(connection) = self.connections.get(&id) else { return };
        let link = self.network.link(connection.end(to.other()).node, connection.end(to).node).clone();
        let mut delay = self.dice.delay(link.min_delay, link.max_delay);
        if self.dice.happens(link.loss) {
            delay += Link::RETRANSMISSION;
        }
        let now = self.now.mono;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = connection.end_mut(to);
        let at = now.plus(delay).max(end.last_due);
        end.last_due = at;
        if let Segment::Octets(octets) = &segment {
            end.under_way += octets.len();
        }
        end.incoming.push_back(segment);
        self.schedule(at, Due::Segment { connection: id, to });
    }

    /// The head of what is on its way to `to` arrives. There is one due entry for each segment.
    pub(super) fn deliver(&mut self, id: ConnectionId, to: Side) {
        let now = self.now.mono;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (sender, receiver) = (connection.end(to.other()).node, connection.end(to).node);
        if self.network.is_blocked(sender, receiver) {
            let end = connection.end_mut(to);
            let since = *end.blocked_since.get_or_insert(now);
            if now.since(since) >= self.stream_patience {
                return self.break_connection(id);
            }
            return self.schedule(now.plus(RETRY), Due::Segment { connection: id, to });
        }
        let end = connection.end_mut(to);
        end.blocked_since = None;
        if let Some(flow) = end.flow
            && self.slot(receiver).machine.as_ref().is_some_and(|machine| !machine.wants_read(flow))
        {
            return self.hold(id, to, receiver, flow);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = connection.end_mut(to);
        let Some(segment) = end.incoming.pop_front() else { return };
        match segment {
            Segment::Connect => self.accept(id),
            Segment::Accepted => self.opened(id),
            Segment::Refused => self.refused(id),
            Segment::Octets(octets) => self.octets(id, to, octets),
            Segment::Closed(why) => self.closed(id, to, why),
        }
    }

    /// A segment has come and is not read: it stays where it is, and counts for the window of the link.
    fn hold(&mut self, id: ConnectionId, to: Side, receiver: NodeId, flow: FlowId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.end_mut(to).held += 1;
            self.slot_mut(receiver).held.insert(flow, (id, to));
        }
    }

    /// What was held and is wanted now is due now.
    pub(super) fn read_on(&mut self, node: NodeId) {
        let slot = self.slot(node);
        let wanted = |flow: &FlowId| slot.machine.as_ref().is_none_or(|machine| machine.wants_read(*flow));
        let again: Vec<FlowId> = slot.held.keys().copied().filter(wanted).collect();
        for flow in again {
            let Some((id, to)) = self.slot_mut(node).held.remove(&flow) else { continue };
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let count = std::mem::take(&mut connection.end_mut(to).held);
            for _ in 0..count {
                self.schedule(self.now.mono, Due::Segment { connection: id, to });
            }
        }
    }

    fn accept(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (protocol, node) = (connection.protocol, connection.server.node);
        let ends = (connection.server.address, connection.client.address);
        let slot = self.slot(node);
        let port = match protocol {
            Protocol::Sip => slot.place.sip_streams.then_some(slot.place.sip_port),
            Protocol::Msrp => Some(slot.place.msrp_port),
        };
        if slot.machine.is_none() || port != Some(ends.0.port()) {
            return self.push_segment(id, Side::Client, Segment::Refused);
        }
        let flow = self.attach(id, Side::Server);
        self.push_segment(id, Side::Client, Segment::Accepted);
        let info = self.info(node, protocol, Transport::Tcp, ends);
        let now = self.now;
        self.with(node, |machine| machine.handle_accepted(now, flow, info));
    }

    fn opened(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(open) = connection.open.take() else { return };
        let (protocol, node) = (connection.protocol, connection.client.node);
        let ends = (connection.client.address, connection.server.address);
        let flow = self.attach(id, Side::Client);
        let info = self.info(node, protocol, Transport::Tcp, ends);
        let now = self.now;
        self.with(node, |machine| machine.handle_opened(now, open, Ok((flow, info))));
    }

    fn refused(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(open) = connection.open {
            self.refuse(connection.client.node, open, OpenError::Refused);
            self.follow(connection.client.node);
        }
    }

    /// Gives an end its flow.
    fn attach(&mut self, id: ConnectionId, side: Side) -> FlowId {
        let flow = FlowId(self.number());
        if let Some(connection) = self.connections.get_mut(&id) {
            let end = connection.end_mut(side);
            end.flow = Some(flow);
            let node = end.node;
            self.slot_mut(node).flows.insert(flow, FlowEnd::Stream { connection: id, side });
        }
        flow
    }

    fn octets(&mut self, id: ConnectionId, to: Side, octets: Bytes) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = connection.end_mut(to);
        end.under_way = end.under_way.saturating_sub(octets.len());
        let (node, flow) = (end.node, end.flow);
        let far = connection.end(to.other());
        let (writer, writing) = (far.node, far.flow);
        let now = self.now;
        if let Some(flow) = flow {
            self.with(node, |machine| machine.handle_stream(now, flow, octets));
        }
        // There is room for more.
        if let Some(writing) = writing {
            self.slot_mut(writer).writable.insert(writing);
            self.follow(writer);
        }
    }

    /// Takes what a node has to write on a stream, as far as the link's window goes.
    pub(super) fn write(&mut self, node: NodeId, flow: FlowId) {
        let Some(FlowEnd::Stream { connection: id, side }) = self.slot(node).flows.get(&flow).copied() else {
            return;
        };
        let Some(connection) = self.connections.get(&id) else { return };
        let far = connection.end(side.other());
        let (to, under_way) = (far.node, far.under_way);
        let link = self.network.link(node, to).clone();
        let room = link.window.max(1).saturating_sub(under_way);
        if room == 0 {
            // The next delivery makes it writable again.
            return;
        }
        let mut octets = Vec::new();
        let now = self.now;
        let Some(machine) = self.slot_mut(node).machine.as_mut() else { return };
        let count = machine.poll_transmit(now, flow, room, &mut octets);
        debug_assert!(count == octets.len() && count <= room, "poll_transmit keeps to its word");
        if octets.is_empty() {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for Summary { label, kind } in connection.end_mut(side).written.push(&octets) {
            self.note(What::Stream, node, to, label, kind);
        }
        let mut rest = Bytes::from(octets);
        while !rest.is_empty() {
            let single = self.dice.happens(link.cuts.single);
            let most = u64::try_from(link.cuts.max.max(1)).unwrap_or(u64::MAX);
            let size = usize::try_from(self.dice.between(1, most)).unwrap_or(usize::MAX);
            let piece = rest.split_to(if single { 1 } else { size.min(rest.len()) });
            self.push_segment(id, side.other(), Segment::Octets(piece));
        }
        self.slot_mut(node).writable.insert(flow);
    }

    pub(super) fn close(&mut self, node: NodeId, flow: FlowId, why: CloseReason) {
        match self.slot(node).flows.get(&flow).copied() {
            None => return,
            Some(FlowEnd::Datagrams { local, peer }) => {
                self.slot_mut(node).datagram_flows.remove(&(local, peer));
            }
            Some(FlowEnd::Stream { connection, side }) => {
                self.note(What::Flow, node, node, format!("closes: {why:?}"), Kind::Flow);
                self.push_segment(connection, side.other(), Segment::Closed(CloseReason::PeerClosed));
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.end_mut(side).flow = None;
                }
            }
        }
        self.slot_mut(node).flows.remove(&flow);
        let now = self.now;
        if let Some(machine) = self.slot_mut(node).machine.as_mut() {
            machine.handle_closed(now, flow, why);
        }
    }

    fn closed(&mut self, id: ConnectionId, to: Side, why: CloseReason) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = connection.end_mut(to);
        let (node, flow) = (end.node, end.flow.take());
        let over = connection.end(to.other()).flow.is_none() && connection.open.is_none();
        if over {
            self.connections.remove(&id);
        }
        if let Some(flow) = flow {
            self.slot_mut(node).flows.remove(&flow);
            let now = self.now;
            self.with(node, |machine| machine.handle_closed(now, flow, why));
        }
    }

    /// Breaks the connections between nodes that `which` names.
    pub(super) fn break_streams(&mut self, which: impl Fn(NodeId, NodeId) -> bool) {
        let hit = |connection: &Connection| which(connection.client.node, connection.server.node);
        let ids: Vec<_> =
            self.connections.iter().filter(|(_, connection)| hit(connection)).map(|(id, _)| *id).collect();
        for id in ids {
            self.break_connection(id);
        }
    }

    /// Both sides see the connection fail, at once; what was on its way is lost.
    fn break_connection(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.note(
            What::Flow,
            connection.client.node,
            connection.server.node,
            "breaks".to_owned(),
            Kind::Failure,
        );
        let now = self.now;
        for end in [&connection.client, &connection.server] {
            if let Some(flow) = end.flow {
                self.slot_mut(end.node).flows.remove(&flow);
                self.with(end.node, |machine| machine.handle_closed(now, flow, CloseReason::Failed));
            }
        }
        if let Some(open) = connection.open {
            self.refuse(connection.client.node, open, OpenError::Unreachable);
            self.follow(connection.client.node);
        }
    }
}
