//! NOTIFY as the subscriber gets it (RFC 6665 §4.1.3, §4.4.1): which subscription it is of, and what it says.

use super::super::Endpoint;
use super::super::dialogs::Dialog;
use super::super::via::Head;
use super::{Resubscribe, SubscriberEvent, Subscription, SubscriptionEnd, is_refer};
use crate::error::Refusal;
use crate::event::{DialogId, RequestId, SubscriptionId};
use crate::usages::subscriber::{self, Effect, State};
use alloc::boxed::Box;
use alloc::string::ToString;
use core::time::Duration;
use cpm_base::{FlowId, LimitExceeded, Now};
use cpm_sip::{Event as Package, Request, Response, RetryAfter, StatusCode, SubscriptionState, To};

impl Endpoint {
    /// A NOTIFY outside of all dialogs may be the first of a notifier (RFC 6665 §4.4.1). `false`: it belongs to no SUBSCRIBE.
    pub(in crate::endpoint) fn notify_outside(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        head: &Head,
        request: &Request,
    ) -> bool {
        let Some((call_id, tag, from_tag)) = &head.dialog else { return false };
        let key = (call_id.clone(), tag.clone());
        let Some(subscribe) = self.usages.subscribe_keys.get(&key).copied() else { return false };
        let Some(record) = self.usages.subscribes.get(&subscribe) else { return false };
        let package = request.typed::<Package>().ok().flatten();
        let Some(package) = package.filter(|package| record.is_about(package)) else { return false };
        if record.notifiers.contains(from_tag) {
            // Its subscription is over.
            return false;
        }
        let most = self.config.limits.max_early_per_invite;
        if record.notifiers.len() >= most || self.room_for_dialog().is_err() {
            self.metrics.count("ua.forked_subscriptions_refused");
            return false;
        }
        let cseq = record.origin.as_ref().map_or(1, |origin| origin.cseq);
        let on = record.origin.as_ref().and_then(|origin| origin.flow);
        let contact = record.origin.as_ref().and_then(|origin| origin.contact.clone());
        let dialog = match request.typed::<To>() {
            Ok(Some(to)) => Dialog::from_request(request, to),
            _ => Err(Refusal::Missing("To")),
        };
        let Ok(mut dialog) = dialog else {
            let response = Response::for_request(request, StatusCode::BAD_REQUEST);
            self.refuse(now, flow, id, response);
            return true;
        };
        (dialog.local_cseq, dialog.flow, dialog.contact) = (cseq, on, contact);
        let dialog = self.insert_dialog(dialog);
        if let Some(subscription) = self.make_subscription(now, subscribe, dialog, Some(&package)) {
            if let Some(server) = self.servers.get_mut(&id) {
                server.in_dialog = Some(dialog);
            }
            self.notified(now, flow, id, subscription, request);
        }
        self.drop_unused(dialog);
        true
    }

    /// A NOTIFY in a dialog: of a subscription in it, or the first of a SUBSCRIBE or REFER in it, else 481.
    pub(in crate::endpoint) fn notify_inside(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        dialog: DialogId,
        request: &Request,
    ) {
        let Ok(Some(package)) = request.typed::<Package>() else {
            return self.refuse(now, flow, id, Response::for_request(request, StatusCode::BAD_EVENT));
        };
        let known = self
            .usages
            .subscriptions
            .iter()
            .find(|(_, known)| known.dialog == dialog && known.is_about(&package));
        let subscription = match known.map(|(id, _)| *id) {
            Some(known) => Some(known),
            None => {
                let waiting = self.usages.subscribes.iter().find(|(_, record)| {
                    record.dialog == Some(dialog) && record.notifiers.is_empty() && record.is_about(&package)
                });
                let waiting = waiting.map(|(id, _)| *id);
                waiting.and_then(|id| self.make_subscription(now, id, dialog, Some(&package)))
            }
        };
        match subscription {
            Some(subscription) => self.notified(now, flow, id, subscription, request),
            None => {
                let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
                self.refuse(now, flow, id, Response::for_request(request, status));
            }
        }
    }

    /// A NOTIFY for a subscription (RFC 6665 §4.1.3).
    // Threat D3.
    pub(super) fn notified(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        subscription: SubscriptionId,
        request: &Request,
    ) {
        let state = match self.notify_refusal(subscription, request) {
            Ok(state) => state,
            Err(response) => {
                self.refuse(now, flow, id, *response);
                return self.schedule_subscription(subscription);
            }
        };
        let Some(known) = self.usages.subscriptions.get_mut(&subscription) else { return };
        if let Ok(Some(package)) = request.typed::<Package>() {
            known.package = package;
        }
        known.unanswered.push((id, state.clone()));
        let subscribe = known.subscribe;
        self.metrics.count("ua.notifications");
        let notify = Box::new(request.clone());
        self.tell_subscriber(subscribe, SubscriberEvent::Notified { subscription, id, state, notify });
        self.schedule_subscription(subscription);
    }

    /// The function answered a NOTIFY: what it says counts when it was taken. One that was refused, or challenged, may come
    /// from anybody.
    pub(in crate::endpoint) fn notify_replied(&mut self, now: Now, id: RequestId, taken: bool) {
        let held = self.usages.subscriptions.iter_mut().find_map(|(subscription, known)| {
            let at = known.unanswered.iter().position(|(notify, _)| *notify == id)?;
            Some((*subscription, known.unanswered.remove(at).1))
        });
        if let Some((subscription, state)) = held.filter(|_| taken) {
            self.notify_counts(now, subscription, &state);
            self.schedule_subscription(subscription);
        }
    }

    pub(super) fn notify_counts(
        &mut self,
        now: Now,
        subscription: SubscriptionId,
        state: &SubscriptionState,
    ) {
        let Some(known) = self.usages.subscriptions.get_mut(&subscription) else { return };
        known.timer_n = None;
        let event = if state.is_terminated() {
            subscriber::Event::NotifyTerminated
        } else if state.is_pending() {
            subscriber::Event::NotifyPending
        } else {
            subscriber::Event::NotifyActive
        };
        let before = known.state;
        let (next, effect) = subscriber::step(before, event);
        known.state = next;
        if effect == Effect::Tell {
            self.take_lifetime(now, subscription, state.expires());
        }
        if effect == Effect::TellAndEnd {
            let reason = state.reason().map(ToString::to_string);
            let again = resubscribe(reason.as_deref(), state.retry_after());
            let why = match before {
                State::Leaving => SubscriptionEnd::Unsubscribed,
                _ => SubscriptionEnd::Terminated(reason),
            };
            self.subscription_ends(subscription, why, again);
        }
    }

    /// What is wrong with a NOTIFY, or too much about it.
    pub(super) fn notify_refusal(
        &mut self,
        subscription: SubscriptionId,
        request: &Request,
    ) -> Result<SubscriptionState, Box<Response>> {
        let limits = &self.config.limits;
        let refusal = |status| Box::new(Response::for_request(request, status));
        if request.body().len() > limits.max_notify_body {
            self.metrics.count("ua.notify_too_large");
            return Err(refusal(StatusCode::REQUEST_ENTITY_TOO_LARGE));
        }
        let Ok(Some(state)) = request.typed::<SubscriptionState>() else {
            let mut response = refusal(StatusCode::BAD_REQUEST);
            response.set_reason("Subscription-State is missing or malformed");
            return Err(response);
        };
        let servers = &self.servers;
        let Some(known) = self.usages.subscriptions.get_mut(&subscription) else {
            return Err(refusal(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST));
        };
        known.unanswered.retain(|(id, _)| servers.get(id).is_some_and(|server| !server.answered()));
        let queue = known.unanswered.len().saturating_add(1);
        if LimitExceeded::check("sub.queue", queue, limits.max_unanswered_notifies).is_err() {
            self.metrics.count("ua.notify_queue_full");
            let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE);
            response.headers_mut().push_typed(&RetryAfter { seconds: 1, duration: None });
            return Err(response);
        }
        Ok(state)
    }

    /// The time that a NOTIFY says is left: it begins the subscription's, or shortens it (RFC 6665 §4.1.3, §4.2.2).
    pub(super) fn take_lifetime(&mut self, now: Now, id: SubscriptionId, expires: Option<u32>) {
        /// What a NOTIFY may say less than a 2xx because it was under way.
        const SLACK: Duration = Duration::from_secs(2);
        let most = self.max_lifetime();
        let Some(known) = self.usages.subscriptions.get(&id) else { return };
        let left = match (expires, known.expires_at) {
            (None, Some(_)) => return,
            (None, None) => known.asked.min(most),
            (Some(expires), _) => expires.min(most),
        };
        let until = now.mono.plus(Duration::from_secs(u64::from(left)));
        if known.expires_at.is_none_or(|at| until.plus(SLACK) < at) {
            self.live(now, id, left);
        }
    }
}

impl Subscription {
    /// Whether a NOTIFY with this Event belongs to it. That of a REFER takes its id, or none, from the first NOTIFY
    /// (RFC 3515 §2.4.6).
    fn is_about(&self, package: &Package) -> bool {
        let first = match self.refer {
            Some(cseq) if self.state == State::NotifyWait => is_refer(package, cseq),
            _ => false,
        };
        first || self.package.is_same(package)
    }
}

/// RFC 6665 §4.1.3: what each reason means for another subscription.
fn resubscribe(reason: Option<&str>, retry_after: Option<u32>) -> Resubscribe {
    let is = |word: &str| reason.is_some_and(|reason| reason.eq_ignore_ascii_case(word));
    if is("rejected") || is("noresource") || is("invariant") {
        Resubscribe::Never
    } else if is("deactivated") || is("timeout") {
        Resubscribe::Now
    } else {
        // probation, giveup, none, unknown.
        retry_after.filter(|seconds| *seconds > 0).map_or(Resubscribe::Now, Resubscribe::After)
    }
}
