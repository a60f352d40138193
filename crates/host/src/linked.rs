//! Two nodes in one: what they say to one another never leaves the process, nor even the task.
//!
//! The first node has the listening sockets. An address of the other that one of them opens a SIP flow to becomes a link: a
//! flow inside, over which each trusts the other (`Trust::Core`), with the transport that was asked for. On a stream
//! messages go over as they are, as soon as there are some, and mean what their octets would ([`Node::handle_message`]); of a
//! datagram nothing gets lost. Whatever else they open is the host's to open;
//! the second node gets connections alone there, since UDP flows belong to the sockets of the first.

use bytes::Bytes;
use cpm_base::{
    CloseReason, FlowId, FlowInfo, Instant, Metrics, Now, OpenError, OpenId, Protocol, Target, Transport,
    Trust,
};
use cpm_core::{Action, Driven, Function, Machine, Node, QueryId, Reply};
use cpm_sip::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

/// Names of links have this bit; those of the host, which counts from 1, do not.
const LINK: u64 = 1 << 63;
/// What one input may move between the nodes before the host is given its turn.
const MAX_TURNS: usize = 10_000;
/// Octets of a stream that go over in one piece at most.
const PIECE: usize = 65_536;

/// What a pair of nodes tells its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkedEvent<A, B> {
    /// From the first.
    First(A),
    /// From the second.
    Second(B),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    First,
    Second,
}

impl Side {
    const fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }

    /// Ids of the first are even, those of the second odd.
    const fn outer(self, id: u64) -> u64 {
        match self {
            Side::First => id.wrapping_mul(2),
            Side::Second => id.wrapping_mul(2).wrapping_add(1),
        }
    }

    const fn inner(id: u64) -> (Side, u64) {
        (if id.is_multiple_of(2) { Side::First } else { Side::Second }, id / 2)
    }
}

/// One end of a link.
#[derive(Debug, Clone, Copy)]
struct End {
    side: Side,
    other: FlowId,
}

/// Something on its way to a node.
#[derive(Debug)]
enum Crossing {
    Accepted(FlowId, FlowInfo),
    Opened(OpenId, Result<(FlowId, FlowInfo), OpenError>),
    Datagram(FlowId, Bytes),
    Message(FlowId, Box<Message>),
    Octets(FlowId, Bytes),
    Closed(FlowId, CloseReason),
}

/// Two nodes, driven as one.
pub struct Linked<A: Function, B: Function> {
    first: Node<A>,
    second: Node<B>,
    /// Where the first is for the second, and the second for the first.
    addresses: [Vec<SocketAddr>; 2],
    ends: BTreeMap<FlowId, End>,
    /// The links that are used like UDP, by who opened them and to where.
    datagram_links: BTreeMap<(Side, SocketAddr), FlowId>,
    last_link: u64,
    /// Messages are written out and read again, as between two processes.
    #[cfg(test)]
    in_octets: bool,
    /// Flows of the host that the second opened.
    of_second: BTreeSet<FlowId>,
    crossings: VecDeque<(Side, Crossing)>,
    out: VecDeque<Action<LinkedEvent<A::Event, B::Event>>>,
    /// When an input moved too much: there is work left, due at once.
    unsettled: Option<Instant>,
}

impl<A: Function, B: Function> Linked<A, B> {
    /// Links two nodes. `first_at` are the addresses by which the second reaches the first, `second_at` those by which the
    /// first reaches the second; the first of each is what the other sees.
    pub fn new(
        first: Node<A>,
        first_at: impl IntoIterator<Item = SocketAddr>,
        second: Node<B>,
        second_at: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        Linked {
            first,
            second,
            addresses: [first_at.into_iter().collect(), second_at.into_iter().collect()],
            ends: BTreeMap::new(),
            datagram_links: BTreeMap::new(),
            last_link: 0,
            #[cfg(test)]
            in_octets: false,
            of_second: BTreeSet::new(),
            crossings: VecDeque::new(),
            out: VecDeque::new(),
            unsettled: None,
        }
    }

    /// Runs something in the first node.
    pub fn first<R>(&mut self, now: Now, job: impl FnOnce(&mut Node<A>) -> R) -> R {
        let result = job(&mut self.first);
        self.settle(now);
        result
    }

    /// Runs something in the second node.
    pub fn second<R>(&mut self, now: Now, job: impl FnOnce(&mut Node<B>) -> R) -> R {
        let result = job(&mut self.second);
        self.settle(now);
        result
    }

    /// Whose flow of the host this is.
    fn owner(&self, flow: FlowId) -> Side {
        if self.of_second.contains(&flow) { Side::Second } else { Side::First }
    }

    /// Carries over what the nodes have for one another until both are quiet.
    fn settle(&mut self, now: Now) {
        for _ in 0..MAX_TURNS {
            while let Some(action) = self.first.poll_action() {
                let action = self.take(now, Side::First, action);
                self.out.extend(action.map(|action| action.map(LinkedEvent::First)));
            }
            while let Some(action) = self.second.poll_action() {
                let action = self.take(now, Side::Second, action);
                self.out.extend(action.map(|action| action.map(LinkedEvent::Second)));
            }
            let Some((side, crossing)) = self.crossings.pop_front() else {
                self.unsettled = None;
                return;
            };
            match side {
                Side::First => cross(&mut self.first, now, crossing),
                Side::Second => cross(&mut self.second, now, crossing),
            }
        }
        self.unsettled = Some(now.mono);
    }

    /// What a node wants: done here when it is about a link, else the host's.
    fn take<E>(&mut self, now: Now, side: Side, action: Action<E>) -> Option<Action<E>> {
        match action {
            Action::Datagram(flow, bytes) => match self.ends.get(&flow) {
                Some(end) => {
                    self.crossings.push_back((side.other(), Crossing::Datagram(end.other, bytes)));
                    None
                }
                None => Some(Action::Datagram(flow, bytes)),
            },
            Action::WantsWrite(flow) => match self.ends.get(&flow).copied() {
                Some(end) => {
                    self.carry(now, flow, end);
                    None
                }
                None => Some(Action::WantsWrite(flow)),
            },
            Action::Open(open, target) => self.open(side, open, target),
            Action::Close(flow, why) => match self.ends.get(&flow).copied() {
                Some(end) => {
                    self.carry(now, flow, end);
                    self.unlink(flow, end, why);
                    None
                }
                None => Some(Action::Close(flow, why)),
            },
            Action::Query(id, query) => Some(Action::Query(QueryId(side.outer(id.0)), query)),
            event => Some(event),
        }
    }

    /// What waits on a stream goes over.
    fn carry(&mut self, now: Now, flow: FlowId, end: End) {
        loop {
            let message = match end.side {
                Side::First => self.first.poll_message(flow),
                Side::Second => self.second.poll_message(flow),
            };
            if let Some(message) = message {
                let crossing = self.crossing(end.other, message);
                self.crossings.push_back((end.side.other(), crossing));
                continue;
            }
            let mut octets = Vec::new();
            let count = match end.side {
                Side::First => self.first.poll_transmit(now, flow, PIECE, &mut octets),
                Side::Second => self.second.poll_transmit(now, flow, PIECE, &mut octets),
            };
            if count == 0 {
                return;
            }
            self.crossings.push_back((end.side.other(), Crossing::Octets(end.other, octets.into())));
        }
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "a test lets octets go over"))]
    fn crossing(&self, flow: FlowId, message: Box<Message>) -> Crossing {
        #[cfg(test)]
        if self.in_octets {
            return Crossing::Octets(flow, message.to_bytes());
        }
        Crossing::Message(flow, message)
    }

    fn open<E>(&mut self, side: Side, open: OpenId, target: Target) -> Option<Action<E>> {
        let [first, second] = &self.addresses;
        let (own, others) = match side {
            Side::First => (first, second),
            Side::Second => (second, first),
        };
        let inside = target.protocol == Protocol::Sip && others.contains(&target.remote);
        let refused = match target.transport {
            Transport::Tls => inside,
            Transport::Udp => !inside && side == Side::Second,
            Transport::Tcp => false,
        };
        if refused {
            let no = Err(OpenError::Unavailable);
            self.crossings.push_back((side, Crossing::Opened(open, no)));
            return None;
        }
        if !inside {
            return Some(Action::Open(OpenId(side.outer(open.0)), target));
        }
        let local = own.first().copied().unwrap_or(target.remote);
        let info = |local, peer| FlowInfo {
            protocol: Protocol::Sip,
            transport: target.transport,
            local,
            peer,
            secure_identity: None,
            trust: Trust::Core,
        };
        let datagrams = target.transport == Transport::Udp;
        let known = self.datagram_links.get(&(side, target.remote)).copied().filter(|_| datagrams);
        let here = known.unwrap_or_else(|| {
            let [here, there] = [self.name_link(), self.name_link()];
            let (first, second) = match side {
                Side::First => (here, there),
                Side::Second => (there, here),
            };
            self.first.declare_link(first);
            self.second.declare_link(second);
            self.ends.insert(here, End { side, other: there });
            self.ends.insert(there, End { side: side.other(), other: here });
            if datagrams {
                self.datagram_links.insert((side, target.remote), here);
            }
            let accepted = Crossing::Accepted(there, info(target.remote, local));
            self.crossings.push_back((side.other(), accepted));
            here
        });
        let opened = Crossing::Opened(open, Ok((here, info(local, target.remote))));
        self.crossings.push_back((side, opened));
        None
    }

    fn name_link(&mut self) -> FlowId {
        self.last_link = self.last_link.wrapping_add(1);
        FlowId(LINK | self.last_link)
    }

    fn unlink(&mut self, flow: FlowId, end: End, why: CloseReason) {
        self.ends.remove(&flow);
        self.ends.remove(&end.other);
        self.datagram_links.retain(|_, link| *link != flow && *link != end.other);
        self.crossings.push_back((end.side, Crossing::Closed(flow, why)));
        self.crossings.push_back((end.side.other(), Crossing::Closed(end.other, CloseReason::PeerClosed)));
    }
}

fn cross<F: Function>(node: &mut Node<F>, now: Now, crossing: Crossing) {
    match crossing {
        Crossing::Accepted(flow, info) => node.handle_accepted(now, flow, info),
        Crossing::Opened(open, result) => node.handle_opened(now, open, result),
        Crossing::Datagram(flow, bytes) => node.handle_datagram(now, flow, bytes),
        Crossing::Message(flow, message) => node.handle_message(now, flow, message),
        Crossing::Octets(flow, bytes) => node.handle_stream(now, flow, bytes),
        Crossing::Closed(flow, why) => node.handle_closed(now, flow, why),
    }
}

impl<A: Function, B: Function> Driven for Linked<A, B> {
    fn handle_datagram(&mut self, now: Now, flow: FlowId, bytes: Bytes) {
        self.first.handle_datagram(now, flow, bytes);
        self.settle(now);
    }

    fn handle_stream(&mut self, now: Now, flow: FlowId, bytes: Bytes) {
        match self.owner(flow) {
            Side::First => self.first.handle_stream(now, flow, bytes),
            Side::Second => self.second.handle_stream(now, flow, bytes),
        }
        self.settle(now);
    }

    fn handle_accepted(&mut self, now: Now, flow: FlowId, info: FlowInfo) {
        self.first.handle_accepted(now, flow, info);
        self.settle(now);
    }

    fn handle_opened(&mut self, now: Now, open: OpenId, result: Result<(FlowId, FlowInfo), OpenError>) {
        let (side, id) = Side::inner(open.0);
        match side {
            Side::First => self.first.handle_opened(now, OpenId(id), result),
            Side::Second => {
                if let Ok((flow, _)) = &result {
                    self.of_second.insert(*flow);
                }
                self.second.handle_opened(now, OpenId(id), result);
            }
        }
        self.settle(now);
    }

    fn handle_closed(&mut self, now: Now, flow: FlowId, why: CloseReason) {
        match self.owner(flow) {
            Side::First => self.first.handle_closed(now, flow, why),
            Side::Second => {
                self.of_second.remove(&flow);
                self.second.handle_closed(now, flow, why);
            }
        }
        self.settle(now);
    }

    fn handle_reply(&mut self, now: Now, id: QueryId, reply: Reply) {
        let (side, id) = Side::inner(id.0);
        match side {
            Side::First => self.first.handle_reply(now, QueryId(id), reply),
            Side::Second => self.second.handle_reply(now, QueryId(id), reply),
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.first.handle_timeout(now);
        self.second.handle_timeout(now);
        self.settle(now);
    }

    fn poll_transmit(&mut self, now: Now, flow: FlowId, max: usize, out: &mut Vec<u8>) -> usize {
        let count = match self.owner(flow) {
            Side::First => self.first.poll_transmit(now, flow, max, out),
            Side::Second => self.second.poll_transmit(now, flow, max, out),
        };
        self.settle(now);
        count
    }

    fn wants_read(&self, flow: FlowId) -> bool {
        match self.owner(flow) {
            Side::First => self.first.wants_read(flow),
            Side::Second => self.second.wants_read(flow),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        [self.unsettled, self.first.next_timeout(), self.second.next_timeout()].into_iter().flatten().min()
    }

    fn metrics(&self) -> Metrics {
        let mut all = self.first.metrics();
        all.merge(&self.second.metrics());
        all
    }

    fn is_resting(&self) -> bool {
        self.unsettled.is_none() && self.first.is_resting() && self.second.is_resting()
    }
}

impl<A: Function, B: Function> Machine for Linked<A, B> {
    type Event = LinkedEvent<A::Event, B::Event>;

    fn poll_action(&mut self) -> Option<Action<Self::Event>> {
        self.out.pop_front()
    }
}

#[cfg(test)]
mod tests;
