//! What the host may ask of an endpoint as a whole: to take no new work when there is too much of it, or for good.

use super::Endpoint;
use super::via::Head;
use crate::error::Refusal;
use crate::event::{Event, Fault};
use cpm_base::{FlowId, Now};
use cpm_sip::{Request, Response, RetryAfter, StatusCode};

/// How much there is of what an endpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Holdings {
    /// Flows that are open.
    pub flows: usize,
    /// Client transactions.
    pub client_transactions: usize,
    /// Server transactions without a final response.
    pub unanswered: usize,
    /// Server transactions with a final response, kept for its copies.
    pub completed: usize,
    /// Dialogs.
    pub dialogs: usize,
    /// Requests that are being proxied.
    pub proxied: usize,
    /// Registrations and publications, standing or not.
    pub leases: usize,
    /// Subscriptions of ours.
    pub subscriptions: usize,
    /// Subscriptions that the function accepted.
    pub notifiers: usize,
}

impl Endpoint {
    /// The host's measure of how busy the whole node is, 0 to 100 or beyond. From
    /// [`Config::overload_at`](crate::Config::overload_at) on, requests that begin something are answered 503 with
    /// Retry-After; what has begun goes on.
    pub fn set_load(&mut self, percent: u32) {
        self.load = percent;
    }

    /// Takes no new work from now on: requests that begin something are answered 503, commands that would are refused
    /// ([`Refusal::Draining`]). What has begun goes on; [`Event::Drained`] says, once, that nothing of it is left.
    pub fn drain(&mut self, now: Now) {
        self.draining = self.draining.or(Some(false));
        self.settle(now);
    }

    /// Whether [`drain`](Endpoint::drain) was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// What is held at this moment.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        Holdings {
            flows: self.flows.by_id.len(),
            client_transactions: self.client_transactions(),
            unanswered: self.unanswered,
            completed: self.servers.len().saturating_sub(self.unanswered).saturating_add(self.done.len()),
            dialogs: self.dialogs.len(),
            proxied: self.proxies.len(),
            leases: self.usages.registrations.len().saturating_add(self.usages.publications.len()),
            subscriptions: self.usages.subscriptions.len(),
            notifiers: self.usages.notifiers.len(),
        }
    }

    /// Whether a command may begin something.
    pub(super) fn may_begin(&self) -> Result<(), Refusal> {
        if self.draining.is_some() { Err(Refusal::Draining) } else { Ok(()) }
    }

    /// Tells, once, that everything that had begun when the drain did is over.
    pub(super) fn watch_drain(&mut self) {
        if self.draining == Some(false) && self.is_idle() {
            self.draining = Some(true);
            self.event(Event::Drained);
        }
    }

    /// Answers a request that would begin something when there shall be no more of that; `true` when it did.
    pub(super) fn turn_away(&mut self, now: Now, flow: FlowId, head: &Head, request: &Request) -> bool {
        let overloaded = self.config.overload_at.is_some_and(|most| self.load >= most);
        if head.dialog.is_some() || !(overloaded || self.draining.is_some()) {
            return false;
        }
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut response = Response::for_request(request, status);
        response.headers_mut().push_typed(&RetryAfter { seconds: self.config.retry_after, duration: None });
        self.answer_statelessly(now, flow, head, response);
        self.fault("ua.turned_away", Fault::Refused { flow, status });
        true
    }
}
