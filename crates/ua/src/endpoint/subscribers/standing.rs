//! One subscription of a subscriber (RFC 6665 §4.1): it begins, is refreshed, and ends.

use super::super::Endpoint;
use super::super::client::User;
use super::super::lease::retry_after;
use super::super::usages::{Effect as Reach, Usage, effect};
use super::{MAX_BRIEF, Resubscribe, SubscriberEvent, Subscription, SubscriptionEnd};
use crate::error::Refusal;
use crate::event::{DialogEnd, DialogId, Event, SubscribeId, SubscriptionId};
use crate::usages::UsageKey;
use crate::usages::subscriber::{self, Effect, State};
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_sip::{Event as Package, Expires, HeaderName, Headers, Method, MinExpires, Response, StatusCode};

/// How long the subscription of a REFER lives when its NOTIFY does not say.
const REFER_LIFETIME: u32 = 3600;
/// The least wait before a refresh that failed is tried again.
const LEAST_WAIT: Duration = Duration::from_secs(5);

impl Endpoint {
    /// A notifier showed up: by its 2xx, or by its NOTIFY with this Event.
    pub(super) fn make_subscription(
        &mut self,
        now: Now,
        id: SubscribeId,
        dialog: DialogId,
        package: Option<&Package>,
    ) -> Option<SubscriptionId> {
        let subscription = SubscriptionId(self.next_id());
        let record = self.usages.subscribes.get_mut(&id)?;
        let tag = self.dialogs.get(&dialog).map(|dialog| dialog.key.2.clone());
        record.notifiers.insert(tag.unwrap_or_default());
        let refer = record.refer.is_some();
        let known = Subscription {
            subscribe: id,
            dialog,
            package: package.unwrap_or(&record.wanted.package).clone(),
            refer: record.refer.map(|_| record.cseq),
            headers: record.wanted.headers.clone(),
            state: State::NotifyWait,
            wish: if refer { 0 } else { record.wanted.expires },
            asked: if refer { REFER_LIFETIME } else { record.asked },
            brief: 0,
            busy: false,
            expires_at: None,
            refresh_at: None,
            timer_n: Some(record.until.max(now.mono)),
            unanswered: Vec::new(),
        };
        self.usages.subscriptions.insert(subscription, known);
        self.add_usage(dialog, Usage::Subscription(subscription.0));
        Some(subscription)
    }

    /// The time that a 2xx grants.
    pub(super) fn subscription_granted(&mut self, now: Now, id: SubscriptionId, granted: Option<u32>) {
        let Some(known) = self.usages.subscriptions.get(&id) else { return };
        let expires = granted.unwrap_or(known.asked).min(self.max_lifetime());
        // A fetch, or a notifier that grants nothing: its NOTIFY says the rest.
        if expires > 0 {
            self.live(now, id, expires);
        }
    }

    /// Sets the end of a subscription, and when it is refreshed.
    pub(super) fn live(&mut self, now: Now, id: SubscriptionId, expires: u32) {
        let refresh = self.refresh_after(expires);
        let Some(known) = self.usages.subscriptions.get_mut(&id) else { return };
        known.expires_at = Some(now.mono.plus(Duration::from_secs(u64::from(expires))));
        let refreshed = known.wish > 0 && known.state != State::Leaving;
        known.refresh_at = refreshed.then(|| now.mono.plus(refresh));
    }

    /// `time.max_delta`: no time of a peer counts as more than this.
    pub(super) fn max_lifetime(&self) -> u32 {
        30 * 24 * 3600
    }

    /// Refreshes a subscription now: its notifier sends its full state.
    ///
    /// # Errors
    /// It is over or being ended; [`Refusal::Busy`]: a SUBSCRIBE is under way; no way, too many transactions.
    pub fn refresh_subscription(&mut self, now: Now, id: SubscriptionId) -> Result<(), Refusal> {
        self.command_subscription(now, id, subscriber::Event::Refresh)
    }

    /// Ends a subscription; it is over with the final NOTIFY ([`SubscriberEvent::Ended`]).
    ///
    /// # Errors
    /// As [`refresh_subscription`](Endpoint::refresh_subscription).
    pub fn unsubscribe(&mut self, now: Now, id: SubscriptionId) -> Result<(), Refusal> {
        self.command_subscription(now, id, subscriber::Event::Leave)
    }

    /// When the endpoint does something about a subscription by itself: refreshes it, or gives it up.
    #[must_use]
    pub fn subscription_alarm(&self, id: SubscriptionId) -> Option<Instant> {
        self.usages.subscriptions.get(&id).and_then(Subscription::next_alarm)
    }

    /// Lets go of a subscription without a word to anybody: the next NOTIFY is answered 481. `false` when there is none.
    pub fn forget_subscription(&mut self, id: SubscriptionId) -> bool {
        let known = self.remove_subscription(id).is_some();
        self.watch_drain();
        known
    }

    pub(super) fn command_subscription(
        &mut self,
        now: Now,
        id: SubscriptionId,
        event: subscriber::Event,
    ) -> Result<(), Refusal> {
        let Some(known) = self.usages.subscriptions.get_mut(&id) else { return Err(Refusal::Gone) };
        let (state, effect) = subscriber::step(known.state, event);
        if effect == Effect::Refused {
            return Err(Refusal::Gone);
        }
        if known.busy {
            return Err(Refusal::Busy);
        }
        let before = core::mem::replace(&mut known.state, state);
        let result =
            self.room_for_client().map_err(Refusal::Limit).and_then(|()| self.send_refresh(now, id, effect));
        if result.is_err()
            && let Some(known) = self.usages.subscriptions.get_mut(&id)
        {
            (known.state, known.busy) = (before, false);
        }
        self.schedule_subscription(id);
        self.settle(now);
        result
    }

    /// A SUBSCRIBE in the dialog of a subscription.
    pub(super) fn send_refresh(
        &mut self,
        now: Now,
        id: SubscriptionId,
        effect: Effect,
    ) -> Result<(), Refusal> {
        let Some(known) = self.usages.subscriptions.get_mut(&id) else { return Ok(()) };
        match effect {
            Effect::SendLeave => (known.asked, known.brief) = (0, 0),
            Effect::SendRefresh => {
                known.asked = if known.wish > 0 { known.wish } else { REFER_LIFETIME };
                known.brief = 0;
            }
            _ => {}
        }
        known.busy = true;
        known.refresh_at = None;
        known.timer_n = Some(now.mono.plus(self.config.timers.patience()));
        let (dialog, mut headers) = (known.dialog, refresh_fields(&known.headers));
        headers.set_typed(&known.package);
        headers.set_typed(&Expires(known.asked));
        let (request, hop) = self.build_in_dialog(dialog, Method::Subscribe, &headers, None)?;
        self.begin_client(now, User::Usage(UsageKey::Subscription(id)), request, hop);
        Ok(())
    }

    /// The answer to a SUBSCRIBE of a subscription.
    pub(in crate::endpoint) fn refresh_answered(&mut self, now: Now, id: SubscriptionId, response: Response) {
        let Some(known) = self.usages.subscriptions.get_mut(&id) else { return };
        known.busy = false;
        let status = response.status();
        if status.is_success() {
            let granted = response.typed::<Expires>().ok().flatten().map_or(known.asked, |field| field.0);
            let event = match granted {
                0 if known.asked > 0 => subscriber::Event::Expired,
                _ => subscriber::Event::Accepted,
            };
            // A NOTIFY may have come before the 2xx.
            let patience = self.config.timers.patience();
            known.timer_n = known.timer_n.map(|_| now.mono.plus(patience));
            self.subscription_moves(now, id, event, Some(response));
            return;
        }
        let min = response.typed::<MinExpires>().ok().flatten().map_or(0, |min| min.0);
        let brief = status == StatusCode::INTERVAL_TOO_BRIEF && min > known.asked && known.brief < MAX_BRIEF;
        if brief && known.asked > 0 {
            (known.asked, known.brief) = (min, known.brief.saturating_add(1));
            return self.subscription_moves(now, id, subscriber::Event::TooBrief, None);
        }
        let dialog = known.dialog;
        match effect(status) {
            Reach::Transaction => {
                self.subscription_moves(now, id, subscriber::Event::FailedForNow, Some(response));
            }
            Reach::Usage if status == StatusCode::REQUEST_TIMEOUT => {
                self.subscription_moves(now, id, subscriber::Event::FailedForNow, Some(response));
            }
            Reach::Usage => self.subscription_moves(now, id, subscriber::Event::Gone, Some(response)),
            Reach::Dialog => {
                self.subscription_moves(now, id, subscriber::Event::Gone, Some(response));
                self.end_whole_dialog(now, dialog, DialogEnd::Gone);
            }
        }
    }

    /// No answer to a SUBSCRIBE of a subscription: it stands until it expires (RFC 6665 §4.1.2.2).
    pub(in crate::endpoint) fn refresh_unanswered(&mut self, now: Now, id: SubscriptionId) {
        if let Some(known) = self.usages.subscriptions.get_mut(&id) {
            known.busy = false;
        }
        self.subscription_moves(now, id, subscriber::Event::FailedForNow, None);
    }

    pub(in crate::endpoint) fn subscription_due(&mut self, now: Now, id: SubscriptionId) {
        let Some(known) = self.usages.subscriptions.get_mut(&id) else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.mono);
        let event = if due(known.timer_n) && !known.busy {
            subscriber::Event::TimerN
        } else if due(known.expires_at) {
            subscriber::Event::Expired
        } else if due(known.refresh_at) {
            known.refresh_at = None;
            subscriber::Event::Due
        } else {
            return self.schedule_subscription(id);
        };
        self.subscription_moves(now, id, event, None);
    }

    /// The dialog of a subscription is gone.
    pub(in crate::endpoint) fn subscription_lost(&mut self, now: Now, id: SubscriptionId) {
        self.subscription_moves(now, id, subscriber::Event::DialogLost, None);
    }

    /// One event other than a NOTIFY for the machine, and what follows from it.
    pub(super) fn subscription_moves(
        &mut self,
        now: Now,
        id: SubscriptionId,
        event: subscriber::Event,
        response: Option<Response>,
    ) {
        let Some(known) = self.usages.subscriptions.get_mut(&id) else { return };
        let before = known.state;
        let (state, effect) = subscriber::step(before, event);
        known.state = state;
        match effect {
            Effect::SendRefresh | Effect::SendLonger | Effect::SendLeave => {
                if self.send_refresh(now, id, effect).is_err() {
                    self.refresh_unanswered(now, id);
                }
            }
            Effect::Extend => {
                let granted = response.and_then(|r| r.typed::<Expires>().ok().flatten());
                self.subscription_granted(now, id, granted.map(|field| field.0));
            }
            Effect::Later => {
                let asked = response.as_ref().and_then(retry_after).unwrap_or(0);
                self.refresh_later(now, id, asked);
            }
            Effect::End => {
                let rejected = response.map(|r| SubscriptionEnd::Rejected(r.into()));
                let why = match event {
                    _ if before == State::Leaving => SubscriptionEnd::Unsubscribed,
                    subscriber::Event::Expired => SubscriptionEnd::Expired,
                    subscriber::Event::TimerN => SubscriptionEnd::NoNotify,
                    subscriber::Event::DialogLost => SubscriptionEnd::DialogLost,
                    _ => rejected.unwrap_or(SubscriptionEnd::Expired),
                };
                self.subscription_ends(id, why, Resubscribe::Now);
            }
            Effect::Nothing | Effect::Refused | Effect::Tell | Effect::TellAndEnd => {}
        }
        self.schedule_subscription(id);
    }

    /// A refresh failed: half of what is left of the time is waited before the next one.
    pub(super) fn refresh_later(&mut self, now: Now, id: SubscriptionId, asked: u32) {
        let Some(known) = self.usages.subscriptions.get_mut(&id) else { return };
        known.timer_n = known.timer_n.filter(|_| known.state == State::NotifyWait);
        if known.wish == 0 {
            return;
        }
        let left = known.expires_at.map_or(Duration::ZERO, |at| at.since(now.mono));
        let wait = left
            .checked_div(2)
            .unwrap_or_default()
            .max(LEAST_WAIT)
            .max(Duration::from_secs(u64::from(asked)));
        known.refresh_at = Some(now.mono.plus(wait));
    }

    pub(in crate::endpoint) fn take_up_subscription(&mut self, id: SubscriptionId, known: Subscription) {
        self.add_usage(known.dialog, Usage::Subscription(id.0));
        self.usages.subscriptions.insert(id, known);
        self.schedule_subscription(id);
    }

    pub(super) fn schedule_subscription(&mut self, id: SubscriptionId) {
        let at = self.usages.subscriptions.get(&id).and_then(Subscription::next_alarm);
        self.set_usage_alarm(UsageKey::Subscription(id), at);
    }

    pub(super) fn remove_subscription(&mut self, id: SubscriptionId) -> Option<Subscription> {
        self.set_usage_alarm(UsageKey::Subscription(id), None);
        let known = self.usages.subscriptions.remove(&id)?;
        self.end_usage(known.dialog, Usage::Subscription(id.0));
        Some(known)
    }

    pub(super) fn subscription_ends(&mut self, id: SubscriptionId, why: SubscriptionEnd, again: Resubscribe) {
        let Some(known) = self.remove_subscription(id) else { return };
        let event = SubscriberEvent::Ended { subscription: id, why, again };
        self.tell_subscriber(known.subscribe, event);
    }

    pub(super) fn tell_subscriber(&mut self, subscribe: SubscribeId, event: SubscriberEvent) {
        self.event(Event::Subscriber { subscribe, event });
    }
}

/// Fields of the first request that refreshes have as well: not what was for a REFER alone.
fn refresh_fields(headers: &Headers) -> Headers {
    let mut kept = Headers::new();
    let once = [HeaderName::ReferTo, HeaderName::ReferSub, HeaderName::ReferredBy, HeaderName::TargetDialog];
    let once_too = [HeaderName::ContentId, HeaderName::ContentDisposition, HeaderName::Require];
    for (name, _) in headers.iter() {
        if !once.contains(name) && !once_too.contains(name) && !kept.contains(name) {
            kept.copy_from(headers, name);
        }
    }
    kept
}
