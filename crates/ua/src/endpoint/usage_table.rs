//! Usages: the store, the way of answers, failures and alarms to the usage that they belong to.

use super::Endpoint;
use super::lease::Lease;
use super::logins::KeptLogin;
use super::notifiers::Notifier;
use super::publications::Publication;
use super::registrations::Registration;
use super::subscribers::{Subscribe, Subscription};
use super::via::Head;
use crate::error::Refusal;
use crate::event::{
    Destination, DialogId, LoginId, NotifierId, PublicationId, RegistrationId, RequestId, SubscribeId,
    SubscriptionId, TransactionFailure,
};
use crate::timers::TimerKey;
use crate::usages::UsageKey;
use alloc::collections::BTreeMap;
use alloc::string::String;
use cpm_base::{FlowId, Instant, LimitExceeded, Now};
use cpm_sip::{Method, Request, Response};

/// All usages of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Usages {
    pub(super) logins: BTreeMap<LoginId, KeptLogin>,
    pub(super) registrations: BTreeMap<RegistrationId, Registration>,
    pub(super) publications: BTreeMap<PublicationId, Publication>,
    pub(super) subscribes: BTreeMap<SubscribeId, Subscribe>,
    /// SUBSCRIBEs and REFERs outside of dialogs by Call-ID and From tag.
    pub(super) subscribe_keys: BTreeMap<(String, String), SubscribeId>,
    pub(super) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    pub(super) notifiers: BTreeMap<NotifierId, Notifier>,
    /// Notifiers of each subscriber.
    pub(super) subscribers: BTreeMap<String, usize>,
}

impl Usages {
    /// Whether no request about anything is under way. What stands, and what waits for its next try, rests.
    pub(super) fn is_idle(&self) -> bool {
        !self.leases().any(Lease::is_busy)
            && self.subscribes.is_empty()
            && self.subscribe_keys.is_empty()
            && self.subscriptions.is_empty()
            && self.notifiers.is_empty()
            && self.subscribers.is_empty()
    }

    /// Alarms of what rests.
    pub(super) fn resting_alarms(&self) -> usize {
        self.leases().filter(|lease| lease.next().is_some()).count()
    }

    /// As [`is_idle`](Usages::is_idle); besides, subscriptions of both sides may stand. NOTIFYs that are `open` do not.
    pub(super) fn is_resting(&self, open: impl Fn(&RequestId) -> bool) -> bool {
        !self.leases().any(Lease::is_busy)
            && self.subscribes.is_empty()
            && self.subscribe_keys.is_empty()
            && self.subscriptions.values().all(|known| known.is_resting(&open))
            && self.notifiers.values().all(Notifier::is_resting)
    }

    /// Alarms of subscriptions of both sides.
    pub(super) fn subscription_alarms(&self) -> usize {
        let ours = self.subscriptions.values().filter(|known| known.next_alarm().is_some());
        let theirs = self.notifiers.values().filter(|known| known.next_alarm().is_some());
        ours.count().saturating_add(theirs.count())
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
            UsageKey::Subscribe(id) => self.subscribe_answered(now, id, response),
            UsageKey::Subscription(id) => self.refresh_answered(now, id, response),
            UsageKey::Notifier(id) => self.notify_answered(now, id, response),
        }
    }

    /// A request of a usage gets no answer.
    pub(super) fn usage_failed(&mut self, now: Now, usage: UsageKey, why: TransactionFailure) {
        match usage {
            UsageKey::Registration(id) => self.registration_unanswered(now, id, why),
            UsageKey::Publication(id) => self.publication_unanswered(now, id, why),
            UsageKey::Subscribe(id) => self.subscribe_unanswered(id, why),
            UsageKey::Subscription(id) => self.refresh_unanswered(now, id),
            UsageKey::Notifier(id) => self.notify_unanswered(now, id),
        }
    }

    pub(super) fn usage_timeout(&mut self, now: Now, usage: UsageKey) {
        match usage {
            UsageKey::Registration(id) => self.registration_due(now, id),
            UsageKey::Publication(id) => self.publication_due(now, id),
            UsageKey::Subscribe(id) => self.subscribe_due(id),
            UsageKey::Subscription(id) => self.subscription_due(now, id),
            UsageKey::Notifier(id) => self.notifier_due(now, id),
        }
    }

    /// The CSeq number of a request that goes out again because it was challenged: this one, unless it is in a dialog.
    pub(super) fn usage_cseq(&mut self, usage: UsageKey, next: u32) -> Option<u32> {
        let usages = &mut self.usages;
        let dialog = match usage {
            UsageKey::Registration(id) => {
                usages.registrations.get_mut(&id)?.cseq = next;
                return Some(next);
            }
            UsageKey::Publication(_) => return Some(next),
            UsageKey::Subscribe(id) => {
                let record = usages.subscribes.get_mut(&id)?;
                match (&mut record.origin, record.dialog) {
                    (Some(origin), _) => {
                        (origin.cseq, record.cseq) = (next, next);
                        return Some(next);
                    }
                    (None, dialog) => dialog?,
                }
            }
            UsageKey::Subscription(id) => usages.subscriptions.get(&id)?.dialog,
            UsageKey::Notifier(id) => usages.notifiers.get(&id)?.dialog,
        };
        let number = self.dialogs.get_mut(&dialog)?.take_cseq();
        if let UsageKey::Subscribe(id) = usage
            && let Some(record) = self.usages.subscribes.get_mut(&id)
        {
            record.cseq = number;
        }
        Some(number)
    }

    /// A NOTIFY, SUBSCRIBE or REFER in a dialog; `false` when it is the function's alone.
    pub(super) fn usage_request_inside(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        dialog: DialogId,
        request: &Request,
    ) -> bool {
        match request.method() {
            Method::Notify => self.notify_inside(now, flow, id, dialog, request),
            Method::Subscribe => self.subscribe_received(now, flow, id, Some(dialog), request),
            Method::Refer => self.refer_received(now, flow, id, Some(dialog), request),
            _ => return false,
        }
        true
    }

    /// The same outside of dialogs, for a user agent.
    pub(super) fn usage_request_outside(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        head: &Head,
        request: &Request,
    ) -> bool {
        match (request.method(), &head.dialog) {
            (Method::Notify, Some(_)) => return self.notify_outside(now, flow, id, head, request),
            (Method::Subscribe, None) => self.subscribe_received(now, flow, id, None, request),
            (Method::Refer, None) => self.refer_received(now, flow, id, None, request),
            _ => return false,
        }
        true
    }

    pub(super) fn set_usage_alarm(&mut self, usage: UsageKey, at: Option<Instant>) {
        self.timers.set(TimerKey::Usage(usage), at);
    }

    /// Whether one more of something can be held.
    pub(super) fn room(name: &'static str, held: usize, max: usize) -> Result<(), Refusal> {
        LimitExceeded::check(name, held.saturating_add(1), max).map_err(Refusal::Limit)
    }
}
