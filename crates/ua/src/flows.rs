//! The flows that the host announced, and the ones it was asked for.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::net::SocketAddr;
use core::time::Duration;
use cpm_base::{FlowId, FlowInfo, Instant, LimitExceeded, OpenId, Target, Transport, Trust};
use cpm_sip::{Host, Message, StreamFramer, Via};

/// What is given to a flow at once.
#[derive(Debug, Clone)]
pub(crate) enum Parcel {
    Octets(Bytes),
    /// On a link: the message as it is.
    Message(Box<Message>),
}

impl Parcel {
    /// In octets.
    pub(crate) fn len(&self) -> usize {
        match self {
            Parcel::Octets(octets) => octets.len(),
            Parcel::Message(message) => message.written_length(),
        }
    }

    pub(crate) fn into_octets(self) -> Bytes {
        match self {
            Parcel::Octets(octets) => octets,
            Parcel::Message(message) => message.to_bytes(),
        }
    }
}

impl From<Bytes> for Parcel {
    fn from(octets: Bytes) -> Self {
        Parcel::Octets(octets)
    }
}

/// What waits for the host to take it.
#[derive(Debug, Default)]
pub(crate) struct OutQueue {
    /// Each with its length in octets.
    parts: VecDeque<(Parcel, usize)>,
    octets: usize,
}

impl OutQueue {
    /// Queues something of this many octets; says whether the queue was empty before. One message fits into an empty queue,
    /// whatever its size.
    pub(crate) fn push(&mut self, part: Parcel, length: usize, max: usize) -> Result<bool, LimitExceeded> {
        let was_empty = self.parts.is_empty();
        let sum = self.octets.saturating_add(length);
        if !was_empty {
            LimitExceeded::check("conn.out_queue", sum, max)?;
        }
        if length > 0 {
            self.octets = sum;
            self.parts.push_back((part, length));
        }
        Ok(was_empty)
    }

    /// Moves up to `max` octets to `out`; says how many.
    pub(crate) fn pull(&mut self, max: usize, out: &mut Vec<u8>) -> usize {
        let mut written = 0usize;
        while written < max {
            let Some((part, length)) = self.parts.pop_front() else { break };
            let mut octets = part.into_octets();
            let n = octets.len().min(max.saturating_sub(written));
            out.extend_from_slice(octets.get(..n).unwrap_or_default());
            octets.advance(n);
            written = written.saturating_add(n);
            self.octets = self.octets.saturating_sub(length);
            if !octets.is_empty() {
                self.octets = self.octets.saturating_add(octets.len());
                let rest = octets.len();
                self.parts.push_front((Parcel::Octets(octets), rest));
            }
        }
        written
    }

    /// Takes the message that is next, if it is a whole one.
    pub(crate) fn take_message(&mut self) -> Option<Box<Message>> {
        let (part, length) = self.parts.pop_front()?;
        match part {
            Parcel::Message(message) => {
                self.octets = self.octets.saturating_sub(length);
                Some(message)
            }
            octets => {
                self.parts.push_front((octets, length));
                None
            }
        }
    }
}

/// What a stream flow keeps beyond its description.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) framer: StreamFramer,
    pub(crate) out: OutQueue,
    /// What goes out goes as messages: the far side is in this process.
    pub(crate) link: bool,
    pub(crate) faults: usize,
    pub(crate) faults_in_a_row: usize,
    /// The peer opened it.
    pub(crate) accepted: bool,
    /// Until when the first message has to come.
    pub(crate) first_by: Option<Instant>,
    /// How often the far side is asked whether it is there, and when next.
    pub(crate) ping_every: Option<Duration>,
    pub(crate) ping_at: Option<Instant>,
    /// Pings are due to the Flow-Timer of a registration alone, and end with it.
    pub(crate) for_registration: bool,
    /// A ping is not answered: the next CRLF is its pong, and not the first half of a ping.
    pub(crate) awaits_pong: bool,
    /// Until when the far side has to show that it lives.
    pub(crate) pong_by: Option<Instant>,
    /// When it is closed, unless something came or went since it was looked at last.
    pub(crate) idle_at: Option<Instant>,
    pub(crate) used: bool,
    /// Since when keep-alives are counted against the limit.
    counting_since: Instant,
}

impl Stream {
    fn new(limits: &cpm_sip::Limits) -> Self {
        Stream {
            framer: StreamFramer::new(*limits),
            out: OutQueue::default(),
            link: false,
            faults: 0,
            faults_in_a_row: 0,
            accepted: false,
            first_by: None,
            ping_every: None,
            ping_at: None,
            for_registration: false,
            awaits_pong: false,
            pong_by: None,
            idle_at: None,
            used: false,
            counting_since: Instant::ZERO,
        }
    }
}

impl Stream {
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        [self.first_by, self.ping_at, self.pong_by, self.idle_at].into_iter().flatten().min()
    }

    /// Keep-alives are limited per 10 seconds: over the life of a connection they may be many.
    pub(crate) fn keep_alives_of_now(&mut self, now: Instant) {
        if now.since(self.counting_since) >= Duration::from_secs(10) {
            self.counting_since = now;
            self.framer.reset_keep_alives();
        }
    }
}

/// One flow.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) info: FlowInfo,
    /// `None` for datagrams.
    pub(crate) stream: Option<Stream>,
    /// The targets that requests may reach through it.
    reaches: Vec<Target>,
    /// Its peer named the address that it listens at.
    aliased: bool,
}

impl Flow {
    pub(crate) fn new(info: FlowInfo, limits: &cpm_sip::Limits) -> Self {
        let stream = info.transport.is_stream().then(|| Stream::new(limits));
        Flow { info, stream, reaches: Vec::new(), aliased: false }
    }

    pub(crate) fn reliable(&self) -> bool {
        self.info.transport.is_stream()
    }

    /// Whether requests to the sent-by of this Via may go back on the flow (RFC 5923 §8.1, §9): the far side is the core, or
    /// its certificate is for the name in sent-by (with an address there, for any name: the connection comes from it).
    /// Once per flow.
    pub(crate) fn may_alias(&self, via: &Via) -> bool {
        let accepted = self.stream.as_ref().is_some_and(|stream| stream.accepted);
        let authenticated = self.info.transport == Transport::Tls
            && self.info.secure_identity.as_ref().is_some_and(|name| match via.host().ip() {
                Some(ip) => ip == self.info.peer.ip(),
                None => Host::parse(name).is_ok_and(|name| name.equivalent(via.host())),
            });
        accepted && !self.aliased && (authenticated || self.trusted())
    }

    /// Whether what leaves on it leaves as messages.
    pub(crate) fn is_link(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.link)
    }

    pub(crate) fn trusted(&self) -> bool {
        self.info.trust == Trust::Core
    }
}

/// A flow that the host was asked for.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) target: Target,
    pub(crate) waiting: Vec<Departure>,
}

/// What waits for a flow.
#[derive(Debug)]
pub(crate) enum Departure {
    /// The request of a client transaction.
    Client(crate::TransactionId),
    /// An ACK for a 2xx, or a response that cannot go back on the flow of its request.
    Stateless(alloc::boxed::Box<crate::endpoint::Stateless>),
}

/// All flows.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    pub(crate) by_id: BTreeMap<FlowId, Flow>,
    by_target: BTreeMap<Target, FlowId>,
    /// How many flows have this local address.
    locals: BTreeMap<SocketAddr, usize>,
    pub(crate) opening: BTreeMap<OpenId, Opening>,
    by_opening: BTreeMap<Target, OpenId>,
    /// What was queued on flows that the endpoint closed: the host may still fetch it until it says that they are gone.
    pub(crate) closing: BTreeMap<FlowId, OutQueue>,
    /// Flows that will be links when the host announces them.
    pub(crate) links: BTreeSet<FlowId>,
}

impl Flows {
    pub(crate) fn get(&self, id: FlowId) -> Option<&Flow> {
        self.by_id.get(&id)
    }

    /// The flow to a target, if one may be used for it.
    pub(crate) fn to(&self, target: &Target) -> Option<FlowId> {
        self.by_target.get(target).copied()
    }

    /// Takes a flow in. `asked` is the target that the host was asked for; an accepted flow has none.
    ///
    /// A stream that the peer opened is used for requests to the very address it comes from, under TLS from the core
    /// alone: others have to name the address at which they listen ([`Flow::may_alias`]).
    pub(crate) fn insert(&mut self, id: FlowId, mut flow: Flow, asked: Option<Target>) {
        if self.links.remove(&id)
            && let Some(stream) = &mut flow.stream
        {
            stream.link = true;
        }
        let info = &flow.info;
        let own = Target { protocol: info.protocol, transport: info.transport, remote: info.peer };
        flow.reaches.extend(asked);
        if asked.is_some() || info.transport != Transport::Tls || info.trust == Trust::Core {
            flow.reaches.push(own);
        }
        for target in &flow.reaches {
            self.by_target.insert(*target, id);
        }
        let count = self.locals.entry(flow.info.local).or_default();
        *count = count.saturating_add(1);
        self.by_id.insert(id, flow);
    }

    /// Whether a flow has this local address.
    pub(crate) fn is_local(&self, address: SocketAddr) -> bool {
        self.locals.contains_key(&address)
    }

    /// Keeps what a closed flow had still to write.
    pub(crate) fn keep_queue(&mut self, id: FlowId, queue: OutQueue) {
        if !queue.parts.is_empty() {
            self.closing.insert(id, queue);
        }
    }

    /// A known flow also reaches this target.
    pub(crate) fn reach(&mut self, id: FlowId, asked: Option<Target>) {
        if let (Some(flow), Some(asked)) = (self.by_id.get_mut(&id), asked)
            && !flow.reaches.contains(&asked)
        {
            flow.reaches.push(asked);
            self.by_target.insert(asked, id);
        }
    }

    /// The peer of an accepted flow listens at this address too.
    pub(crate) fn alias(&mut self, id: FlowId, target: Target) {
        self.reach(id, Some(target));
        if let Some(flow) = self.by_id.get_mut(&id) {
            flow.aliased = true;
        }
    }

    pub(crate) fn remove(&mut self, id: FlowId) -> Option<Flow> {
        let flow = self.by_id.remove(&id)?;
        if let Some(count) = self.locals.get_mut(&flow.info.local) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.locals.remove(&flow.info.local);
            }
        }
        for target in &flow.reaches {
            if self.by_target.get(target) == Some(&id) {
                self.by_target.remove(target);
            }
        }
        Some(flow)
    }

    /// The wish for this target that is under way.
    pub(crate) fn opening_to(&mut self, target: &Target) -> Option<&mut Opening> {
        let id = self.by_opening.get(target)?;
        self.opening.get_mut(id)
    }

    pub(crate) fn begin_opening(&mut self, id: OpenId, target: Target, first: Departure) {
        self.by_opening.insert(target, id);
        self.opening.insert(id, Opening { target, waiting: alloc::vec![first] });
    }

    pub(crate) fn end_opening(&mut self, id: OpenId) -> Option<Opening> {
        let opening = self.opening.remove(&id)?;
        self.by_opening.remove(&opening.target);
        Some(opening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_out_queue_is_bounded_and_cut_anywhere() {
        let push = |queue: &mut OutQueue, text: &'static str, max| {
            queue.push(Bytes::from_static(text.as_bytes()).into(), text.len(), max)
        };
        let mut queue = OutQueue::default();
        assert_eq!(push(&mut queue, "hello ", 11), Ok(true));
        assert_eq!(push(&mut queue, "world", 11), Ok(false));
        let over = LimitExceeded { limit: "conn.out_queue", value: 12, max: 11 };
        assert_eq!(push(&mut queue, "!", 11), Err(over));
        let mut out = Vec::new();
        while queue.pull(4, &mut out) > 0 {}
        assert_eq!(out, b"hello world");
        assert_eq!(push(&mut queue, "more", 11), Ok(true));
    }
}
