//! What a host does for a node: its actions, its queries, its timeout.

use super::{Happened, NodeId, World};
use crate::ladder::Kind;
use crate::trace::What;
use cpm_base::{Instant, Transport};
use cpm_core::{Action, Record};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A record that a node's store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Since when.
    pub at: Instant,
    /// The record.
    pub record: Record,
}

impl<E: fmt::Debug + 'static> World<E> {
    /// Does what a node wants until it wants nothing more, and notes when it wants to be woken.
    pub(super) fn follow(&mut self, node: NodeId) {
        loop {
            while let Some(action) = self.slot_mut(node).machine.as_mut().and_then(|machine| machine.poll()) {
                self.act(node, action);
            }
            match self.slot_mut(node).writable.pop_first() {
                Some(flow) => self.write(node, flow),
                None => break,
            }
        }
        self.read_on(node);
        let now = self.now.mono;
        let slot = self.slot_mut(node);
        let timeout = slot.machine.as_ref().and_then(|machine| machine.next_timeout()).map(|at| at.max(now));
        let former = std::mem::replace(&mut slot.timeout, timeout);
        if let Some(former) = former {
            self.timeouts.remove(&(former, node));
        }
        if let Some(timeout) = timeout {
            self.timeouts.insert((timeout, node));
        }
    }

    fn act(&mut self, node: NodeId, action: Action<E>) {
        match action {
            Action::Datagram(flow, bytes) => self.send(node, flow, bytes),
            Action::Open(open, target) => self.open(node, open, target),
            Action::Close(flow, why) => self.close(node, flow, why),
            Action::WantsWrite(flow) => {
                self.slot_mut(node).writable.insert(flow);
            }
            Action::Query(id, query) => self.ask(node, id, query),
            Action::Event(event) => {
                let label = (self.event_label)(&event);
                self.note(What::Event, node, node, label, Kind::Note);
                self.events.push(Happened { at: self.now.mono, node, event });
            }
        }
    }

    pub(super) fn resolve(&self, name: &cpm_ua::NameQuery) -> Vec<(Transport, SocketAddr)> {
        if name.secure || name.transport == Some(Transport::Tls) {
            return Vec::new();
        }
        let transports = match name.transport {
            Some(transport) => vec![transport],
            None => vec![Transport::Udp, Transport::Tcp],
        };
        let literal: Option<IpAddr> = name.host.trim_matches(['[', ']']).parse().ok();
        let addresses = match literal {
            Some(address) => vec![address],
            None => self.names.get(&name.host.to_ascii_lowercase()).cloned().unwrap_or_default(),
        };
        let port = name.port.unwrap_or(5060);
        let of = |address: IpAddr| {
            transports.iter().map(move |transport| (*transport, SocketAddr::new(address, port)))
        };
        addresses.into_iter().flat_map(of).collect()
    }
}
