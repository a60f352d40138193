//! A client transaction whose attempt came to nothing: the next target (RFC 3263 §4.3), or its end.

use super::{Cancel, Client, Known};
use crate::endpoint::Endpoint;
use crate::event::{TransactionFailure, TransactionId};
use crate::flows::Departure;
use crate::transaction::{invite_client, non_invite_client};
use alloc::boxed::Box;
use cpm_base::{FlowId, Now};
use cpm_sip::HeaderName;

impl Endpoint {
    /// The flow of an attempt is gone.
    pub(in crate::endpoint) fn client_flow_gone(&mut self, now: Now, id: TransactionId) {
        let (invite, other) =
            (invite_client::Event::TransportError, non_invite_client::Event::TransportError);
        if self.step_client(now, id, invite, other).failed.is_some() {
            self.attempt_failed(now, id, TransactionFailure::Transport);
        } else {
            self.tidy_client(id);
        }
    }

    /// No flow could be had, and no target is left.
    pub(in crate::endpoint) fn client_unsendable(&mut self, now: Now, id: TransactionId) {
        self.client_failed(now, id, TransactionFailure::Transport);
    }

    /// One attempt came to nothing: the next target is tried when the far side never said anything (RFC 3263 §4.3).
    pub(super) fn attempt_failed(&mut self, now: Now, id: TransactionId, why: TransactionFailure) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if client.provisional || client.cancel != Cancel::No || client.targets.is_empty() {
            return self.client_failed(now, id, why);
        }
        if let Some(attempt) = client.attempt.take() {
            self.by_branch.remove(&attempt.key);
        }
        self.go_elsewhere(now, id);
    }

    /// The target answered 503: its transaction ends by itself, with nobody to tell, while the next target is tried
    /// (RFC 3263 §4.3).
    pub(super) fn leave_target(&mut self, now: Now, id: TransactionId) {
        self.shed_attempt(id);
        self.go_elsewhere(now, id);
    }

    /// The attempt of a transaction becomes one of its own that absorbs copies of its final response; says its flow.
    pub(super) fn shed_attempt(&mut self, id: TransactionId) -> Option<FlowId> {
        let rest = TransactionId(self.next_id());
        let client = self.clients.get_mut(&id)?;
        let (attempt, method) = (client.attempt.take()?, client.method.clone());
        let flow = attempt.flow;
        self.by_branch.insert(attempt.key, Known::Live(rest));
        self.clients.insert(rest, Box::new(Client::remainder(method, attempt)));
        self.schedule_client(rest);
        self.tidy_client(rest);
        Some(flow)
    }

    /// Tries the next target as a new transaction with a branch of its own.
    fn go_elsewhere(&mut self, now: Now, id: TransactionId) {
        let patience = self.config.timers.patience();
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Some(request) = client.request.as_mut() {
            request.headers_mut().pop_first_value(&HeaderName::Via);
        }
        client.provisional = false;
        client.timer_c = None;
        client.wait_until = Some(now.mono.plus(patience));
        self.schedule_client(id);
        self.metrics.count("ua.next_target");
        self.next_target(now, Departure::Client(id));
    }

    /// The transaction ends without a final response.
    pub(in crate::endpoint) fn client_failed(
        &mut self,
        now: Now,
        id: TransactionId,
        why: TransactionFailure,
    ) {
        let Some(client) = self.clients.get(&id) else { return };
        let user = client.user;
        if client.waits() {
            self.metrics.count("ua.transactions_failed");
            self.deliver_failure(now, id, user, why);
        }
        self.end_client(id);
    }
}
