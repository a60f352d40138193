//! Usages: the store, the way of answers, failures and alarms to the usage that they belong to.

use super::Endpoint;
use super::lease::Lease;
use super::logins::KeptLogin;
use super::publications::Publication;
use super::registrations::Registration;
use crate::error::Refusal;
use crate::event::{Destination, LoginId, PublicationId, RegistrationId, TransactionFailure};
use crate::timers::TimerKey;
use crate::usages::UsageKey;
use alloc::collections::BTreeMap;
use cpm_base::{FlowId, Instant, LimitExceeded, Now};
use cpm_sip::{Request, Response};

/// All usages of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Usages {
    pub(super) logins: BTreeMap<LoginId, KeptLogin>,
    pub(super) registrations: BTreeMap<RegistrationId, Registration>,
    pub(super) publications: BTreeMap<PublicationId, Publication>,
}

impl Usages {
    /// Whether no request about anything is under way. What stands, and what waits for its next try, rests.
    pub(super) fn is_idle(&self) -> bool {
        !self.leases().any(Lease::is_busy)
    }

    /// Alarms of what rests.
    pub(super) fn resting_alarms(&self) -> usize {
        self.leases().filter(|lease| lease.next().is_some()).count()
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        let registrations = self.registrations.values().map(|registration| &registration.lease);
        registrations.chain(self.publications.values().map(|publication| &publication.lease))
    }
}

impl Endpoint {
    /// Sends a request outside of dialogs for a usage. The answer, or that there is none, comes to
    /// [`usage_response`](Endpoint::usage_response) or [`usage_failed`](Endpoint::usage_failed), maybe before this returns.
    pub(super) fn send_for_usage(
        &mut self,
        now: Now,
        usage: UsageKey,
        mut request: Request,
        destination: &Destination,
    ) -> Result<(), Refusal> {
        self.complete_request(&mut request)?;
        let outbound = self.config.outbound.clone();
        let hop = self.hop(&mut request, destination, outbound.as_ref())?;
        self.begin_client(now, super::client::User::Usage(usage), request, hop);
        Ok(())
    }

    /// The answer to a request of a usage. `flow` is the one that it was sent on.
    pub(super) fn usage_response(
        &mut self,
        now: Now,
        usage: UsageKey,
        flow: Option<FlowId>,
        response: Response,
    ) {
        if response.status().is_provisional() {
            return;
        }
        match usage {
            UsageKey::Registration(id) => self.registration_answered(now, id, flow, response),
            UsageKey::Publication(id) => self.publication_answered(now, id, response),
        }
    }

    /// A request of a usage gets no answer.
    pub(super) fn usage_failed(&mut self, now: Now, usage: UsageKey, why: TransactionFailure) {
        match usage {
            UsageKey::Registration(id) => self.registration_unanswered(now, id, why),
            UsageKey::Publication(id) => self.publication_unanswered(now, id, why),
        }
    }

    pub(super) fn usage_timeout(&mut self, now: Now, usage: UsageKey) {
        match usage {
            UsageKey::Registration(id) => self.registration_due(now, id),
            UsageKey::Publication(id) => self.publication_due(now, id),
        }
    }

    /// A request of a usage went out again with this CSeq number, because it was challenged.
    pub(super) fn usage_renumbered(&mut self, usage: UsageKey, cseq: u32) {
        match usage {
            UsageKey::Registration(id) => {
                if let Some(registration) = self.usages.registrations.get_mut(&id) {
                    registration.cseq = cseq;
                }
            }
            UsageKey::Publication(_) => {}
        }
    }

    pub(super) fn set_usage_alarm(&mut self, usage: UsageKey, at: Option<Instant>) {
        self.timers.set(TimerKey::Usage(usage), at);
    }

    /// Whether one more of something can be held.
    pub(super) fn room(name: &'static str, held: usize, max: usize) -> Result<(), Refusal> {
        LimitExceeded::check(name, held.saturating_add(1), max).map_err(Refusal::Limit)
    }
}
