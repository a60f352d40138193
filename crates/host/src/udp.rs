//! UDP flows: which pair of own and remote address bears which name, until it was quiet too long.

use crate::Limits;
use cpm_base::{FlowId, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// How exactly the time of the last use is known: a busy flow is not sorted anew for every datagram.
const GRAIN: Duration = Duration::from_secs(1);

/// The table of UDP flows of one node. Bounded; the quietest flow makes room.
#[derive(Debug, Default)]
pub(crate) struct UdpFlows {
    by_peer: BTreeMap<(usize, SocketAddr), FlowId>,
    flows: BTreeMap<FlowId, UdpFlow>,
    by_age: BTreeSet<(Instant, FlowId)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UdpFlow {
    /// Index of the socket.
    pub(crate) socket: usize,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    last_used: Instant,
}

impl UdpFlows {
    /// The flow of a pair, if it has a name already; it counts as used now.
    pub(crate) fn find(
        &mut self,
        now: Instant,
        socket: usize,
        peer: SocketAddr,
    ) -> Option<(FlowId, UdpFlow)> {
        let flow = *self.by_peer.get(&(socket, peer))?;
        Some((flow, self.touch(now, flow)?))
    }

    /// A flow by name; it counts as used now.
    pub(crate) fn touch(&mut self, now: Instant, flow: FlowId) -> Option<UdpFlow> {
        let entry = self.flows.get_mut(&flow)?;
        if now.since(entry.last_used) < GRAIN {
            return Some(*entry);
        }
        self.by_age.remove(&(entry.last_used, flow));
        entry.last_used = now;
        self.by_age.insert((now, flow));
        Some(*entry)
    }

    /// Names a pair that has no name yet. When the table is full, the flow that has to make room must be removed
    /// first: see [`UdpFlows::room`].
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        flow: FlowId,
        socket: usize,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> UdpFlow {
        let entry = UdpFlow { socket, local, peer, last_used: now };
        self.by_peer.insert((socket, peer), flow);
        self.flows.insert(flow, entry);
        self.by_age.insert((now, flow));
        entry
    }

    /// Whether there is room for one more flow.
    pub(crate) fn room(&self, now: Instant, limits: &Limits) -> Room {
        if self.flows.len() < limits.max_udp_flows {
            return Room::Free;
        }
        match self.by_age.first() {
            Some((used, flow)) if now.since(*used) >= limits.udp_evict_after => Room::After(*flow),
            _ => Room::Full,
        }
    }

    /// A flow that was quiet too long, if there is one.
    pub(crate) fn idle(&self, now: Instant, limits: &Limits) -> Option<FlowId> {
        self.by_age.first().filter(|(used, _)| now.since(*used) >= limits.udp_idle).map(|(_, flow)| *flow)
    }

    /// Forgets a flow; `false` when there is none of this name.
    pub(crate) fn remove(&mut self, flow: FlowId) -> bool {
        let Some(entry) = self.flows.remove(&flow) else { return false };
        self.by_peer.remove(&(entry.socket, entry.peer));
        self.by_age.remove(&(entry.last_used, flow));
        true
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        assert_eq!((self.by_peer.len(), self.by_age.len()), (self.flows.len(), self.flows.len()));
        self.flows.len()
    }
}

/// What [`UdpFlows::room`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is.
    Free,
    /// After this flow, the quietest one, was removed.
    After(FlowId),
    /// There is none: every flow was used a short while ago.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn the_quietest_makes_room_and_the_idle_go() {
        let limits = Limits {
            max_udp_flows: 2,
            udp_evict_after: Duration::from_secs(32),
            udp_idle: Duration::from_secs(100),
            ..Limits::default()
        };
        let mut flows = UdpFlows::default();
        flows.insert(at(0), FlowId(1), 0, peer(1), peer(11));
        assert_eq!(flows.room(at(0), &limits), Room::Free);
        flows.insert(at(1), FlowId(2), 0, peer(1), peer(12));
        assert_eq!(flows.room(at(31), &limits), Room::Full);
        // Use of flow 1 makes flow 2 the quietest.
        assert_eq!(flows.find(at(20), 0, peer(11)).unwrap().0, FlowId(1));
        assert_eq!(flows.room(at(32), &limits), Room::Full);
        assert_eq!(flows.room(at(33), &limits), Room::After(FlowId(2)));
        assert!(flows.remove(FlowId(2)));
        assert!(!flows.remove(FlowId(2)));
        assert_eq!(flows.len(), 1);
        assert_eq!(flows.idle(at(119), &limits), None);
        assert_eq!(flows.idle(at(120), &limits), Some(FlowId(1)));
        // The same peer at another socket is another flow.
        assert_eq!(flows.find(at(120), 1, peer(11)), None);
    }
}
