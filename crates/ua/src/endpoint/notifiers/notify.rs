//! NOTIFY as the notifier sends it (RFC 6665 §4.2.2): one at a time, the newest state next, and the last of all.

use super::super::Endpoint;
use super::super::client::User;
use super::super::lease::retry_after;
use super::super::usages::{Effect as Reach, Usage, effect};
use super::{Notice, Notifier, NotifierEnd, NotifierEvent, Termination};
use crate::error::{Refusal, Refused};
use crate::event::{Body, DialogEnd, Event, NotifierId};
use crate::usages::UsageKey;
use crate::usages::notifier::{self, Effect, State};
use alloc::boxed::Box;
use core::time::Duration;
use cpm_base::Now;
use cpm_sip::{HeaderName, Headers, Method, Response, StatusCode, SubscriptionState};

/// How often in a row a subscriber may put a NOTIFY off ...
const MAX_PUT_OFF: u8 = 5;
/// ... and for how many seconds at most.
const MAX_PUT_OFF_SECONDS: u32 = 300;

impl Endpoint {
    /// Authorises the subscriber of a pending subscription, and notifies it of the state.
    ///
    /// # Errors
    /// The subscription is over or being ended; the body comes back.
    pub fn authorise(
        &mut self,
        now: Now,
        id: NotifierId,
        body: Option<Body>,
    ) -> Result<(), Refused<Option<Body>>> {
        let notice = Notice { headers: Headers::new(), body, last: None };
        self.command_notifier(now, id, notifier::Event::Authorise, notice)
            .map_err(|refused| Refused::new(refused.why, refused.given.body))
    }

    /// Notifies the subscriber of new state; `headers` are added to the NOTIFY. While one is under way, or the time between
    /// two is not over, the newest waits and those before it are not sent.
    ///
    /// # Errors
    /// The subscription is over or being ended; a body for a pending one ([`Refusal::Unauthorised`]); headers and body come
    /// back.
    pub fn notify(
        &mut self,
        now: Now,
        id: NotifierId,
        headers: Headers,
        body: Option<Body>,
    ) -> Result<(), Refused<(Headers, Option<Body>)>> {
        let notice = Notice { headers, body, last: None };
        self.command_notifier(now, id, notifier::Event::Notify, notice)
            .map_err(|refused| Refused::new(refused.why, (refused.given.headers, refused.given.body)))
    }

    /// Whether a NOTIFY of a subscription is under way or waits: then the next one may take the place of one that waits.
    #[must_use]
    pub fn is_notifying(&self, id: NotifierId) -> bool {
        self.usages.notifiers.get(&id).is_some_and(|notifier| !notifier.is_resting())
    }

    /// Ends a subscription with a final NOTIFY; it is over when that is answered.
    ///
    /// # Errors
    /// The subscription is over or being ended; a body for a pending one ([`Refusal::Unauthorised`]); it comes back.
    pub fn terminate_subscription(
        &mut self,
        now: Now,
        id: NotifierId,
        reason: Termination,
        body: Option<Body>,
    ) -> Result<(), Refused<Option<Body>>> {
        let notice = Notice { headers: Headers::new(), body, last: Some(reason) };
        self.command_notifier(now, id, notifier::Event::Terminate, notice)
            .map_err(|refused| Refused::new(refused.why, refused.given.body))
    }

    pub(super) fn command_notifier(
        &mut self,
        now: Now,
        id: NotifierId,
        event: notifier::Event,
        notice: Notice,
    ) -> Result<(), Refused<Notice>> {
        let pending = match self.usages.notifiers.get(&id) {
            None => return Err(Refused::new(Refusal::Gone, notice)),
            Some(notifier) => notifier.state == State::Pending,
        };
        if pending && notice.body.is_some() && event != notifier::Event::Authorise {
            return Err(Refused::new(Refusal::Unauthorised, notice));
        }
        let result = self.notifier_moves(now, id, event, Some(Box::new(notice)), false);
        self.settle(now);
        let empty = || Box::new(Notice::empty());
        result.map_err(|notice| Refused { why: Refusal::Gone, given: notice.unwrap_or_else(empty) })
    }

    /// One event for the machine, and what follows from it. `at_once`: this NOTIFY does not wait for the time between two.
    pub(super) fn notifier_moves(
        &mut self,
        now: Now,
        id: NotifierId,
        event: notifier::Event,
        notice: Option<Box<Notice>>,
        at_once: bool,
    ) -> Result<(), Option<Box<Notice>>> {
        let Some(notifier) = self.usages.notifiers.get_mut(&id) else { return Err(notice) };
        let (state, effect) = notifier::step(notifier.state, event);
        let entered = state != notifier.state;
        notifier.state = state;
        match effect {
            Effect::Refused => return Err(notice),
            Effect::Queue | Effect::QueueBare | Effect::QueueFinal => {
                if effect == Effect::QueueFinal && event == notifier::Event::Terminate {
                    notifier.end = NotifierEnd::Terminated;
                }
                notifier.next = notice;
                if at_once || entered {
                    notifier.not_before = None;
                }
                if at_once {
                    // Its SUBSCRIBE shows that the subscriber is there again; and what expires does not wait.
                    notifier.put_off_until = None;
                }
                self.flush_notifier(now, id);
            }
            Effect::Flush => self.flush_notifier(now, id),
            Effect::End => self.notifier_ends(id),
            Effect::Nothing => {}
        }
        self.schedule_notifier(id);
        Ok(())
    }

    /// Sends the NOTIFY that waits, when nothing holds it.
    // Threat D3: at most one outstanding NOTIFY, and the newest state next.
    pub(super) fn flush_notifier(&mut self, now: Now, id: NotifierId) {
        let Some(notifier) = self.usages.notifiers.get_mut(&id) else { return };
        let held = notifier.not_before.max(notifier.put_off_until).is_some_and(|at| at > now.mono);
        if notifier.outstanding.is_some() || held {
            return;
        }
        let Some(notice) = notifier.next.take() else { return };
        let left = notifier.expires_at.since(now.mono).as_secs();
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let field = match (notice.last, notifier.state) {
            (Some(reason), _) => reason.field(),
            (None, State::Pending) => SubscriptionState::pending(left),
            (None, _) => SubscriptionState::active(left),
        };
        notifier.outstanding = Some(notice.clone());
        notifier.not_before = Some(now.mono.plus(notifier.min_interval));
        notifier.put_off_until = None;
        let mut headers = notice.headers;
        for (name, _) in notifier.headers.iter() {
            if !headers.contains(name) {
                headers.copy_from(&notifier.headers, name);
            }
        }
        headers.set_typed(&notifier.package);
        headers.set_typed(&field);
        let dialog = notifier.dialog;
        if !headers.contains(&HeaderName::Contact)
            && let Some(contact) = self.dialogs.get(&dialog).and_then(|dialog| dialog.contact.clone())
        {
            headers.push(HeaderName::Contact, contact);
        }
        self.metrics.count("ua.notifies_sent");
        match self.build_in_dialog(dialog, Method::Notify, &headers, notice.body.as_ref()) {
            Ok((request, hop)) => {
                self.begin_client(now, User::Usage(UsageKey::Notifier(id)), request, hop);
            }
            Err(_) => self.notify_unanswered(now, id),
        }
    }

    /// The answer to a NOTIFY (RFC 6665 §4.2.2, RFC 5057 §5.1).
    pub(in crate::endpoint) fn notify_answered(&mut self, now: Now, id: NotifierId, response: Response) {
        let Some(notifier) = self.usages.notifiers.get_mut(&id) else { return };
        let sent = notifier.outstanding.take();
        let (last, dialog) = (sent.as_ref().is_some_and(|sent| sent.last.is_some()), notifier.dialog);
        let status = response.status();
        if let Some(sent) = sent
            && notifier.is_put_off(now, sent, &response)
        {
            self.metrics.count("ua.notifies_put_off");
            return self.schedule_notifier(id);
        }
        let reach = if status.is_success() { Reach::Transaction } else { effect(status) };
        let event = match reach {
            Reach::Transaction if last => notifier::Event::FinalAnswered,
            Reach::Transaction => notifier::Event::Delivered,
            Reach::Usage | Reach::Dialog => notifier::Event::Gone,
        };
        if event == notifier::Event::Delivered && !status.is_success() {
            let event = NotifierEvent::NotTaken { response: response.into() };
            self.event(Event::Notifier { notifier: id, event });
        }
        let _ = self.notifier_moves(now, id, event, None, false);
        if reach == Reach::Dialog {
            self.end_whole_dialog(now, dialog, DialogEnd::Gone);
        }
    }

    /// A NOTIFY gets no answer: nobody is there.
    pub(in crate::endpoint) fn notify_unanswered(&mut self, now: Now, id: NotifierId) {
        if let Some(notifier) = self.usages.notifiers.get_mut(&id) {
            notifier.outstanding = None;
        }
        let _ = self.notifier_moves(now, id, notifier::Event::Gone, None, false);
    }

    pub(in crate::endpoint) fn notifier_due(&mut self, now: Now, id: NotifierId) {
        let Some(notifier) = self.usages.notifiers.get_mut(&id) else { return };
        if notifier.expires_at <= now.mono && notifier.state != State::Ending {
            notifier.end = NotifierEnd::Expired;
            let notice = Box::new(Notice { last: Some(Termination::Timeout), ..Notice::empty() });
            let _ = self.notifier_moves(now, id, notifier::Event::Expired, Some(notice), true);
        } else {
            self.flush_notifier(now, id);
            self.schedule_notifier(id);
        }
    }

    /// The dialog of a notifier is gone.
    pub(in crate::endpoint) fn notifier_lost(&mut self, now: Now, id: NotifierId) {
        let _ = self.notifier_moves(now, id, notifier::Event::DialogLost, None, false);
    }

    pub(super) fn notifier_ends(&mut self, id: NotifierId) {
        self.set_usage_alarm(UsageKey::Notifier(id), None);
        let Some(notifier) = self.usages.notifiers.remove(&id) else { return };
        if let Some(held) = self.usages.subscribers.get_mut(&notifier.subscriber) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.usages.subscribers.remove(&notifier.subscriber);
            }
        }
        self.end_usage(notifier.dialog, Usage::Subscription(id.0));
        self.event(Event::Notifier { notifier: id, event: NotifierEvent::Ended(notifier.end) });
    }

    pub(in crate::endpoint) fn take_up_notifier(&mut self, id: NotifierId, notifier: Notifier) {
        let held = self.usages.subscribers.entry(notifier.subscriber.clone()).or_default();
        *held = held.saturating_add(1);
        self.add_usage(notifier.dialog, Usage::Subscription(id.0));
        self.usages.notifiers.insert(id, notifier);
        self.schedule_notifier(id);
    }

    pub(super) fn schedule_notifier(&mut self, id: NotifierId) {
        let at = self.usages.notifiers.get(&id).and_then(Notifier::next_alarm);
        self.set_usage_alarm(UsageKey::Notifier(id), at);
    }
}

impl Notifier {
    /// Whether the subscriber wants a NOTIFY later (503 with Retry-After, RFC 3261 §21.5.4): it waits so long, or, where
    /// newer state waits already, that does. Who puts it off for too long, or again and again, does not get it.
    fn is_put_off(&mut self, now: Now, sent: Box<Notice>, response: &Response) -> bool {
        let seconds = match (response.status(), retry_after(response)) {
            (StatusCode::SERVICE_UNAVAILABLE, Some(seconds)) => seconds,
            _ => {
                self.put_off = 0;
                return false;
            }
        };
        if seconds > MAX_PUT_OFF_SECONDS || self.put_off >= MAX_PUT_OFF {
            self.put_off = 0;
            return false;
        }
        self.put_off = self.put_off.saturating_add(1);
        self.put_off_until = Some(now.mono.plus(Duration::from_secs(u64::from(seconds.max(1)))));
        self.next = self.next.take().or(Some(sent));
        true
    }
}

impl Notice {
    fn empty() -> Notice {
        Notice { headers: Headers::new(), body: None, last: None }
    }
}
