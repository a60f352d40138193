//! Datagrams of a driver: the flows that they come and go on.

use super::{Driver, UdpPort, Wire};
use crate::Machine;
use crate::tap::{Path, What};
use crate::tasks::local_towards;
use crate::udp::{Room, UdpFlow};
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, FlowInfo, Now, OpenError, Protocol, Target, Transport};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

/// What is read of one socket before another one, and everything else, has its turn.
const READS_AT_ONCE: usize = 16;
/// How long sockets are left alone when one of them cannot be read.
const REST: Duration = Duration::from_millis(1);

/// Until a datagram may wait at one of these sockets.
pub(super) async fn waits(ports: &[UdpPort]) {
    poll_fn(|context| {
        // Every one is asked, so that every one wakes the task.
        let ready = ports.iter().filter(|port| port.reader.is_ready(context)).count();
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

impl<M: Machine> Driver<M> {
    /// Reads the sockets, no faster than what comes of it is taken.
    pub(super) fn read_datagrams(&mut self) {
        for socket in 0..self.udp_ports.len() {
            for _ in 0..READS_AT_ONCE {
                if self.events.len() >= self.config.limits.event_backlog {
                    return;
                }
                let Some(port) = self.udp_ports.get(socket) else { return };
                let (count, peer) = match port.reader.try_recv_from(&mut self.datagram) {
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An earlier datagram's failure, told late; nothing was read. The other sockets have their turn.
                    Err(_) => {
                        self.metrics.count("host.datagrams_unreadable");
                        self.udp_rests = Some(tokio::time::Instant::now() + REST);
                        break;
                    }
                };
                let bytes = Bytes::copy_from_slice(self.datagram.get(..count).unwrap_or_default());
                self.datagram(self.config.clock.now(), socket, peer, bytes);
                self.obey();
            }
        }
    }

    pub(super) fn datagram(&mut self, now: Now, socket: usize, peer: SocketAddr, bytes: Bytes) {
        let (flow, entry) = match self.udp.find(now.mono, socket, peer) {
            Some(known) => known,
            None => {
                let Some((flow, entry)) = self.new_udp_flow(now, socket, peer) else {
                    return self.metrics.count("host.datagrams_without_flow");
                };
                let info = self.udp_info(&entry);
                self.node.handle_accepted(now, flow, info);
                (flow, entry)
            }
        };
        let path = Path { protocol: Protocol::Sip, transport: Transport::Udp, local: entry.local, peer };
        self.config.tap.happened(path, What::Received(&bytes));
        self.node.handle_datagram(now, flow, bytes);
    }

    fn new_udp_flow(&mut self, now: Now, socket: usize, peer: SocketAddr) -> Option<(FlowId, UdpFlow)> {
        match self.udp.room(now.mono, &self.config.limits) {
            Room::Free => {}
            Room::After(quietest) => {
                self.metrics.count("host.udp_flows_evicted");
                self.forget(now, quietest, CloseReason::Idle);
            }
            Room::Full => return None,
        }
        let local = local_towards(self.udp_ports.get(socket)?.address, peer);
        let flow = self.name_flow();
        Some((flow, self.udp.insert(now.mono, flow, socket, local, peer)))
    }

    fn udp_info(&self, entry: &UdpFlow) -> FlowInfo {
        let trust = self.config.trusted.trust(entry.local, entry.peer);
        FlowInfo {
            protocol: Protocol::Sip,
            transport: Transport::Udp,
            local: entry.local,
            peer: entry.peer,
            secure_identity: None,
            trust,
        }
    }

    pub(super) fn send_datagram(&mut self, flow: FlowId, bytes: Bytes) {
        let now = self.config.clock.now();
        let Some(entry) = self.udp.touch(now.mono, flow) else {
            return self.metrics.count("host.datagrams_without_flow");
        };
        let path =
            Path { protocol: Protocol::Sip, transport: Transport::Udp, local: entry.local, peer: entry.peer };
        let Some(port) = self.udp_ports.get(entry.socket) else {
            return self.metrics.count("host.datagrams_dropped");
        };
        // The system mostly takes it at once; what it does not take waits in the queue.
        match self.config.tap.sending(path, &bytes, || port.socket.send_to(&bytes, path.peer)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if port.queue.try_send((path, bytes)).is_err() {
                    self.metrics.count("host.datagrams_dropped");
                }
            }
            Err(_) => {
                let lost = Wire::Undeliverable { socket: entry.socket, peer: path.peer };
                // When there is no room, the node learns of it with the next one.
                let _ = self.wire.try_send(lost);
            }
        }
    }

    /// A UDP flow to a target: from the first socket of its address family.
    pub(super) fn open_udp(&mut self, now: Now, target: Target) -> Result<(FlowId, FlowInfo), OpenError> {
        let same_family = |port: &UdpPort| port.address.is_ipv4() == target.remote.is_ipv4();
        let socket = self.udp_ports.iter().position(same_family).ok_or(OpenError::Unavailable)?;
        let (flow, entry) = match self.udp.find(now.mono, socket, target.remote) {
            Some(known) => known,
            None => self.new_udp_flow(now, socket, target.remote).ok_or(OpenError::Unavailable)?,
        };
        Ok((flow, self.udp_info(&entry)))
    }
}
