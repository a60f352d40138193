//! The contract of a [`Node`] as traits: for hosts that drive whatever keeps it.

use crate::node::{Action, Function, Node};
use crate::{QueryId, Reply};
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, FlowInfo, Instant, Metrics, Now, OpenError, OpenId};

/// What goes into a machine, and when it wants to be woken (`docs/architecture.md`): all that does not depend on what it
/// tells its user, so that machines of several kinds can be driven alike. Each method is that of [`Node`].
pub trait Driven {
    /// See [`Node::handle_datagram`].
    fn handle_datagram(&mut self, now: Now, flow: FlowId, bytes: Bytes);
    /// See [`Node::handle_stream`].
    fn handle_stream(&mut self, now: Now, flow: FlowId, bytes: Bytes);
    /// See [`Node::handle_accepted`].
    fn handle_accepted(&mut self, now: Now, flow: FlowId, info: FlowInfo);
    /// See [`Node::handle_opened`].
    fn handle_opened(&mut self, now: Now, open: OpenId, result: Result<(FlowId, FlowInfo), OpenError>);
    /// See [`Node::handle_closed`].
    fn handle_closed(&mut self, now: Now, flow: FlowId, why: CloseReason);
    /// See [`Node::handle_reply`].
    fn handle_reply(&mut self, now: Now, id: QueryId, reply: Reply);
    /// See [`Node::handle_timeout`].
    fn handle_timeout(&mut self, now: Now);
    /// See [`Node::poll_transmit`].
    fn poll_transmit(&mut self, now: Now, flow: FlowId, max: usize, out: &mut Vec<u8>) -> usize;
    /// See [`Node::wants_read`].
    fn wants_read(&self, flow: FlowId) -> bool;
    /// See [`Node::next_timeout`].
    fn next_timeout(&self) -> Option<Instant>;
    /// See [`Node::metrics`].
    fn metrics(&self) -> Metrics;
    /// See [`Node::is_resting`].
    fn is_resting(&self) -> bool;
}

/// A machine whole: with what comes out of it.
pub trait Machine: Driven {
    /// What it tells its user.
    type Event;
    /// See [`Node::poll_action`].
    fn poll_action(&mut self) -> Option<Action<Self::Event>>;
}

impl<F: Function> Driven for Node<F> {
    fn handle_datagram(&mut self, now: Now, flow: FlowId, bytes: Bytes) {
        Node::handle_datagram(self, now, flow, bytes);
    }

    fn handle_stream(&mut self, now: Now, flow: FlowId, bytes: Bytes) {
        Node::handle_stream(self, now, flow, bytes);
    }

    fn handle_accepted(&mut self, now: Now, flow: FlowId, info: FlowInfo) {
        Node::handle_accepted(self, now, flow, info);
    }

    fn handle_opened(&mut self, now: Now, open: OpenId, result: Result<(FlowId, FlowInfo), OpenError>) {
        Node::handle_opened(self, now, open, result);
    }

    fn handle_closed(&mut self, now: Now, flow: FlowId, why: CloseReason) {
        Node::handle_closed(self, now, flow, why);
    }

    fn handle_reply(&mut self, now: Now, id: QueryId, reply: Reply) {
        Node::handle_reply(self, now, id, reply);
    }

    fn handle_timeout(&mut self, now: Now) {
        Node::handle_timeout(self, now);
    }

    fn poll_transmit(&mut self, now: Now, flow: FlowId, max: usize, out: &mut Vec<u8>) -> usize {
        Node::poll_transmit(self, now, flow, max, out)
    }

    fn wants_read(&self, flow: FlowId) -> bool {
        Node::wants_read(self, flow)
    }

    fn next_timeout(&self) -> Option<Instant> {
        Node::next_timeout(self)
    }

    fn metrics(&self) -> Metrics {
        Node::metrics(self)
    }

    fn is_resting(&self) -> bool {
        Node::is_resting(self)
    }
}

impl<F: Function> Machine for Node<F> {
    type Event = F::Event;

    fn poll_action(&mut self) -> Option<Action<F::Event>> {
        Node::poll_action(self)
    }
}
