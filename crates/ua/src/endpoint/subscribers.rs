//! The subscriber's side of event notification (RFC 6665 §4.1), of SUBSCRIBE and of the subscription that a REFER makes
//! (RFC 3515 §2.4.4): one request, forks of it, and a subscription for each notifier that answers.

use super::Endpoint;
use super::client::User;
use super::dialogs::{Dialog, Origin};
use super::lease::{UsageFailure, retry_after};
use super::records::ReadSubscription;
use super::usages::{Effect as Reach, Usage, effect};
use super::via::Head;
use crate::error::{Refusal, Refused};
use crate::event::{
    Body, Destination, DialogEnd, DialogId, Event, RequestId, SubscribeId, SubscriptionId, TransactionFailure,
};
use crate::usages::UsageKey;
use crate::usages::subscriber::{self, Effect, State};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{FlowId, Instant, LimitExceeded, Now};
use cpm_sip::{
    CSeq, CallId, Event as Package, Expires, From, HeaderName, Headers, Method, MinExpires, NameAddr,
    ReferSub, Request, Response, RetryAfter, StatusCode, SubscriptionState, To, Uri,
};

/// How often one SUBSCRIBE is tried again with the Min-Expires of a 423.
const MAX_BRIEF: u8 = 2;
/// How long the subscription of a REFER lives when its NOTIFY does not say.
const REFER_LIFETIME: u32 = 3600;
/// The least wait before a refresh that failed is tried again.
const LEAST_WAIT: Duration = Duration::from_secs(5);

/// What is subscribed to.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// The resource: Request-URI and To.
    pub resource: Uri,
    /// Who subscribes: From.
    pub from: NameAddr,
    /// The event package.
    pub package: Package,
    /// The lifetime that is asked for, in seconds. 0 fetches the state once (RFC 6665 §4.4.3).
    pub expires: u32,
    /// More header fields of each SUBSCRIBE (Accept, Contact, Accept-Contact ...). A missing Contact is made of the first
    /// configured sent-by.
    pub headers: Headers,
    /// A filter; in the first SUBSCRIBE alone.
    pub body: Option<Body>,
    /// The way of the first SUBSCRIBE.
    pub destination: Destination,
}

/// What happened to a SUBSCRIBE or REFER and what it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriberEvent {
    /// A 2xx came.
    Accepted {
        /// The response.
        response: Box<Response>,
        /// The subscription with the notifier that sent it; absent when a REFER made none.
        subscription: Option<SubscriptionId>,
    },
    /// A NOTIFY came; it awaits its response like every request.
    Notified {
        /// The subscription; with the first NOTIFY of a notifier it may be a new one.
        subscription: SubscriptionId,
        /// The NOTIFY, to be answered with [`respond`](Endpoint::respond).
        id: RequestId,
        /// Where the subscription stands.
        state: SubscriptionState,
        /// The request.
        notify: Box<Request>,
    },
    /// A subscription is over.
    Ended {
        /// The subscription.
        subscription: SubscriptionId,
        /// Why.
        why: SubscriptionEnd,
        /// Whether another one makes sense.
        again: Resubscribe,
    },
    /// The request came to nothing; no subscription was made.
    Failed {
        /// Why; with a 2xx that no NOTIFY followed, that is a timeout.
        why: UsageFailure,
    },
}

/// Why a subscription is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// The notifier said so, for this reason.
    Terminated(Option<String>),
    /// We unsubscribed.
    Unsubscribed,
    /// It was not refreshed in time, or the notifier granted no time.
    Expired,
    /// No NOTIFY followed a SUBSCRIBE (Timer N).
    NoNotify,
    /// The answer to a SUBSCRIBE ended it.
    Rejected(Box<Response>),
    /// Its dialog is gone.
    DialogLost,
}

/// What RFC 6665 §4.1.3 says about subscribing again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resubscribe {
    /// At once, or whenever wished.
    Now,
    /// Not before this many seconds.
    After(u32),
    /// Not at all.
    Never,
}

/// A SUBSCRIBE or REFER whose notifiers may still show up, kept as plain data.
#[derive(Debug, Clone)]
pub(super) struct Subscribe {
    pub(super) wanted: NewSubscription,
    /// Outside of dialogs: what the dialogs it makes have in common.
    pub(super) origin: Option<Origin>,
    /// The dialog that it is in.
    pub(super) dialog: Option<DialogId>,
    /// It is a REFER, and whether a subscription was asked for.
    pub(super) refer: Option<bool>,
    pub(super) asked: u32,
    pub(super) brief: u8,
    /// CSeq of the request: the id of a REFER's subscription (RFC 3515 §2.4.6).
    pub(super) cseq: u32,
    /// Timer N.
    pub(super) until: Instant,
    /// The remote tags of the notifiers that showed up: each makes one subscription.
    pub(super) notifiers: BTreeSet<String>,
}

/// A subscription, kept as plain data.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) subscribe: SubscribeId,
    pub(super) dialog: DialogId,
    pub(super) package: Package,
    /// CSeq of the REFER that made it.
    pub(super) refer: Option<u32>,
    /// Header fields of each SUBSCRIBE.
    pub(super) headers: Headers,
    pub(super) state: State,
    /// The lifetime to ask for; 0: it is not refreshed by itself.
    pub(super) wish: u32,
    pub(super) asked: u32,
    brief: u8,
    /// A SUBSCRIBE is under way.
    busy: bool,
    pub(super) expires_at: Option<Instant>,
    pub(super) refresh_at: Option<Instant>,
    pub(super) timer_n: Option<Instant>,
    /// NOTIFYs that the function has not answered, and what they say.
    unanswered: Vec<(RequestId, SubscriptionState)>,
}

impl Subscribe {
    /// Whether a NOTIFY with this Event belongs to it (RFC 6665 §8.2.1, RFC 3515 §2.4.6).
    fn is_about(&self, package: &Package) -> bool {
        if self.refer.is_some() {
            return is_refer(package, self.cseq);
        }
        self.wanted.package.is_same(package)
    }
}

impl Subscription {
    /// One that was kept elsewhere.
    pub(super) fn restored(subscribe: SubscribeId, dialog: DialogId, read: ReadSubscription) -> Subscription {
        Subscription {
            subscribe,
            dialog,
            package: read.package,
            refer: read.refer,
            headers: read.headers,
            state: read.state,
            wish: read.wish,
            asked: read.asked,
            brief: 0,
            busy: false,
            expires_at: read.expires_at,
            refresh_at: read.refresh_at,
            timer_n: read.timer_n,
            unanswered: Vec::new(),
        }
    }

    /// Whether nothing about it is under way; a NOTIFY among those that are `open` is.
    pub(super) fn is_resting(&self, open: impl Fn(&RequestId) -> bool) -> bool {
        let stands = matches!(self.state, State::NotifyWait | State::Pending | State::Active);
        stands && !self.busy && !self.unanswered.iter().any(|(id, _)| open(id))
    }

    fn next_alarm(&self) -> Option<Instant> {
        let idle = !self.busy;
        let alarms = [self.expires_at, self.refresh_at.filter(|_| idle), self.timer_n.filter(|_| idle)];
        alarms.into_iter().flatten().min()
    }
}

impl Endpoint {
    /// Subscribes, outside of dialogs. Each notifier that answers (there are several when the request forks) makes a
    /// subscription; each is refreshed by itself until it ends. What happens comes as [`Event::Subscriber`].
    ///
    /// # Errors
    /// No Contact can be made, no way to the resource, too many subscriptions or transactions.
    pub fn subscribe(
        &mut self,
        now: Now,
        new: NewSubscription,
    ) -> Result<SubscribeId, Refused<NewSubscription>> {
        self.begin_subscribe(now, new, None, None)
    }

    /// Subscribes inside of a dialog (RFC 6665 §4.5.2). Resource, From and destination are those of the dialog.
    ///
    /// # Errors
    /// The dialog is over; like [`subscribe`](Endpoint::subscribe).
    pub fn subscribe_in_dialog(
        &mut self,
        now: Now,
        dialog: DialogId,
        new: NewSubscription,
    ) -> Result<SubscribeId, Refused<NewSubscription>> {
        self.begin_subscribe(now, new, Some(dialog), None)
    }

    /// The common beginning of SUBSCRIBE and REFER.
    pub(super) fn begin_subscribe(
        &mut self,
        now: Now,
        mut new: NewSubscription,
        dialog: Option<DialogId>,
        refer: Option<bool>,
    ) -> Result<SubscribeId, Refused<NewSubscription>> {
        if let Err(why) = self.prepare_subscribe(&mut new, dialog) {
            return Err(Refused::new(why, new));
        }
        let call_id = CallId::new(&self.random.public_token(26));
        let tag = self.random.public_token(16);
        let origin = match (dialog, call_id) {
            (Some(_), _) | (None, Err(_)) => None,
            (None, Ok(call_id)) => Some(Origin {
                from: From::new(new.from.clone()).with_tag(&tag),
                call_id,
                cseq: 0,
                uri: new.resource.clone(),
                contact: super::dialogs::contact_of(&new.headers),
                flow: if let Destination::Flow(flow) = new.destination { Some(flow) } else { None },
            }),
        };
        let id = SubscribeId(self.next_id());
        if let Some(origin) = &origin {
            self.usages.subscribe_keys.insert((origin.call_id.as_str().to_string(), tag), id);
        }
        let asked = new.expires;
        let record = Subscribe {
            wanted: new,
            origin,
            dialog,
            refer,
            asked,
            brief: 0,
            cseq: 0,
            until: now.mono,
            notifiers: BTreeSet::new(),
        };
        self.usages.subscribes.insert(id, record);
        if let Some(dialog) = dialog {
            // The dialog stays for what this may make of it (RFC 5057 §4.1).
            self.add_usage(dialog, Usage::Subscription(id.0));
        }
        match self.send_subscribe(now, id) {
            Ok(()) => {
                self.settle(now);
                Ok(id)
            }
            Err(why) => match self.remove_subscribe(id) {
                Some(record) => Err(Refused::new(why, record.wanted)),
                // It is there: what failed was not sent.
                None => Ok(id),
            },
        }
    }

    fn prepare_subscribe(
        &mut self,
        new: &mut NewSubscription,
        dialog: Option<DialogId>,
    ) -> Result<(), Refusal> {
        self.may_begin()?;
        let held = self.usages.subscribes.len().saturating_add(self.usages.subscriptions.len());
        Endpoint::room("sub.max", held, self.config.limits.max_subscriptions)?;
        self.room_for_client().map_err(Refusal::Limit)?;
        if let Some(dialog) = dialog {
            self.dialogs.get(&dialog).ok_or(Refusal::Gone)?;
        } else {
            self.room_for_dialog().map_err(Refusal::Limit)?;
        }
        if !new.headers.contains(&HeaderName::Contact) {
            let contact = self.own_contact(None).ok_or(Refusal::Missing("Contact"))?;
            new.headers.push_typed(&contact);
        }
        Ok(())
    }

    /// Sends the first request, or its next try.
    fn send_subscribe(&mut self, now: Now, id: SubscribeId) -> Result<(), Refusal> {
        let until = now.mono.plus(self.config.timers.patience());
        let Some(record) = self.usages.subscribes.get_mut(&id) else { return Ok(()) };
        record.until = until;
        let mut headers = record.wanted.headers.clone();
        let method = if record.refer.is_some() { Method::Refer } else { Method::Subscribe };
        if record.refer.is_none() {
            headers.set_typed(&record.wanted.package);
            headers.set_typed(&Expires(record.asked));
        }
        let body = record.wanted.body.clone();
        let usage = UsageKey::Subscribe(id);
        self.timers.set(crate::timers::TimerKey::Usage(usage), Some(until));
        if let Some(dialog) = record.dialog {
            let (request, hop) = self.build_in_dialog(dialog, method, &headers, body.as_ref())?;
            if let Some(record) = self.usages.subscribes.get_mut(&id) {
                record.cseq = cseq_of(&request);
            }
            self.begin_client(now, User::Usage(usage), request, hop);
            return Ok(());
        }
        let Some(origin) = record.origin.as_mut() else { return Err(Refusal::Missing("Call-ID")) };
        origin.cseq = origin.cseq.saturating_add(1).min(CSeq::MAX);
        record.cseq = origin.cseq;
        let mut request = Request::new(method.clone(), record.wanted.resource.clone());
        let fields = request.headers_mut();
        fields.push_typed(&origin.from);
        fields.push_typed(&To::new(record.wanted.resource.clone()));
        fields.push_typed(&origin.call_id);
        fields.push_typed(&CSeq::new(origin.cseq, method));
        let destination = record.wanted.destination.clone();
        super::dialogs::add_fields(&mut request, &headers, body.as_ref());
        self.send_for_usage(now, usage, request, &destination)
    }

    /// The final response to the first request.
    pub(super) fn subscribe_answered(&mut self, now: Now, id: SubscribeId, response: Response) {
        let Some(record) = self.usages.subscribes.get_mut(&id) else { return };
        if response.status().is_success() {
            return self.subscribe_accepted(now, id, response);
        }
        let min = response.typed::<MinExpires>().ok().flatten().map_or(0, |min| min.0);
        let brief = response.status() == StatusCode::INTERVAL_TOO_BRIEF && record.refer.is_none();
        if brief && min > record.asked && record.asked > 0 && record.brief < MAX_BRIEF {
            record.asked = min;
            record.brief = record.brief.saturating_add(1);
            if let Err(why) = self.send_subscribe(now, id) {
                self.subscribe_failed(id, UsageFailure::Refused(why));
            }
            return;
        }
        let (dialog, status) = (record.dialog, response.status());
        self.subscribe_failed(id, UsageFailure::Rejected(response.into()));
        if let Some(dialog) = dialog.filter(|_| effect(status) == Reach::Dialog) {
            self.end_whole_dialog(now, dialog, DialogEnd::Gone);
        }
    }

    fn subscribe_accepted(&mut self, now: Now, id: SubscribeId, response: Response) {
        let Some(record) = self.usages.subscribes.get(&id) else { return };
        let without = record.refer == Some(false)
            && matches!(response.typed::<ReferSub>(), Ok(Some(sub)) if !sub.wanted());
        if without {
            self.remove_subscribe(id);
            let event = SubscriberEvent::Accepted { response: response.into(), subscription: None };
            return self.tell_subscriber(id, event);
        }
        let granted = response.typed::<Expires>().ok().flatten().map(|field| field.0);
        let subscription = match self.subscription_of_answer(id, &response) {
            Some(known) => Some(known),
            None => self.subscription_from_answer(now, id, &response),
        };
        let event = SubscriberEvent::Accepted { response: response.into(), subscription };
        self.tell_subscriber(id, event);
        if self.usages.subscribes.get(&id).is_some_and(|record| record.dialog.is_some()) {
            // Inside of a dialog nothing forks: nobody else will show up.
            self.remove_subscribe(id);
        }
        if let Some(subscription) = subscription {
            self.subscription_granted(now, subscription, granted);
            self.schedule_subscription(subscription);
        }
    }

    /// The subscription that a NOTIFY made before the 2xx of its notifier came.
    fn subscription_of_answer(&self, id: SubscribeId, response: &Response) -> Option<SubscriptionId> {
        let record = self.usages.subscribes.get(&id)?;
        let tag = super::via::to_tag(response.headers())?;
        self.usages.subscriptions.iter().find_map(|(subscription, known)| {
            let same = known.subscribe == id
                && self.dialogs.get(&known.dialog).is_some_and(|dialog| dialog.key.2 == tag);
            (same || (record.dialog.is_some() && known.subscribe == id)).then_some(*subscription)
        })
    }

    fn subscription_from_answer(
        &mut self,
        now: Now,
        id: SubscribeId,
        response: &Response,
    ) -> Option<SubscriptionId> {
        let record = self.usages.subscribes.get(&id)?;
        let dialog = match (record.dialog, &record.origin) {
            // Its last NOTIFY may have overtaken the 2xx: that subscription is over.
            (Some(_), _) if !record.notifiers.is_empty() => return None,
            (Some(dialog), _) => dialog,
            (None, Some(origin)) => {
                let dialog = Dialog::as_client(origin, response).ok()?;
                if record.notifiers.contains(&dialog.key.2) {
                    return None;
                }
                self.room_for_dialog().ok()?;
                self.insert_dialog(dialog)
            }
            (None, None) => return None,
        };
        self.make_subscription(now, id, dialog, None)
    }

    /// A notifier showed up: by its 2xx, or by its NOTIFY with this Event.
    fn make_subscription(
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
    fn subscription_granted(&mut self, now: Now, id: SubscriptionId, granted: Option<u32>) {
        let Some(known) = self.usages.subscriptions.get(&id) else { return };
        let expires = granted.unwrap_or(known.asked).min(self.max_lifetime());
        // A fetch, or a notifier that grants nothing: its NOTIFY says the rest.
        if expires > 0 {
            self.live(now, id, expires);
        }
    }

    /// Sets the end of a subscription, and when it is refreshed.
    fn live(&mut self, now: Now, id: SubscriptionId, expires: u32) {
        let refresh = self.refresh_after(expires);
        let Some(known) = self.usages.subscriptions.get_mut(&id) else { return };
        known.expires_at = Some(now.mono.plus(Duration::from_secs(u64::from(expires))));
        let refreshed = known.wish > 0 && known.state != State::Leaving;
        known.refresh_at = refreshed.then(|| now.mono.plus(refresh));
    }

    /// `time.max_delta`: no time of a peer counts as more than this.
    fn max_lifetime(&self) -> u32 {
        30 * 24 * 3600
    }

    /// The first request gets no answer.
    pub(super) fn subscribe_unanswered(&mut self, id: SubscribeId, why: TransactionFailure) {
        self.subscribe_failed(id, UsageFailure::NoAnswer(why));
    }

    /// The dialog of a request is gone.
    pub(super) fn subscribe_lost(&mut self, id: SubscribeId) {
        self.subscribe_failed(id, UsageFailure::NoAnswer(TransactionFailure::Transport));
    }

    /// The request is over; its failure is told when no notifier showed up.
    fn subscribe_failed(&mut self, id: SubscribeId, why: UsageFailure) {
        let Some(record) = self.remove_subscribe(id) else { return };
        if record.notifiers.is_empty() {
            self.tell_subscriber(id, SubscriberEvent::Failed { why });
        }
    }

    /// Timer N of the first request: nobody else will show up.
    pub(super) fn subscribe_due(&mut self, id: SubscribeId) {
        self.subscribe_failed(id, UsageFailure::NoAnswer(TransactionFailure::Timeout));
    }

    fn remove_subscribe(&mut self, id: SubscribeId) -> Option<Subscribe> {
        self.set_usage_alarm(UsageKey::Subscribe(id), None);
        let record = self.usages.subscribes.remove(&id)?;
        if let Some(origin) = &record.origin {
            let tag = origin.from.tag().unwrap_or_default().to_string();
            self.usages.subscribe_keys.remove(&(origin.call_id.as_str().to_string(), tag));
        }
        if let Some(dialog) = record.dialog {
            self.end_usage(dialog, Usage::Subscription(id.0));
        }
        Some(record)
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

    /// Lets go of a subscription without a word to anybody: the next NOTIFY is answered 481. `false` when there is none.
    pub fn forget_subscription(&mut self, id: SubscriptionId) -> bool {
        let known = self.remove_subscription(id).is_some();
        self.watch_drain();
        known
    }

    fn command_subscription(
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
    fn send_refresh(&mut self, now: Now, id: SubscriptionId, effect: Effect) -> Result<(), Refusal> {
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
    pub(super) fn refresh_answered(&mut self, now: Now, id: SubscriptionId, response: Response) {
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
    pub(super) fn refresh_unanswered(&mut self, now: Now, id: SubscriptionId) {
        if let Some(known) = self.usages.subscriptions.get_mut(&id) {
            known.busy = false;
        }
        self.subscription_moves(now, id, subscriber::Event::FailedForNow, None);
    }

    pub(super) fn subscription_due(&mut self, now: Now, id: SubscriptionId) {
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
    pub(super) fn subscription_lost(&mut self, now: Now, id: SubscriptionId) {
        self.subscription_moves(now, id, subscriber::Event::DialogLost, None);
    }

    /// One event other than a NOTIFY for the machine, and what follows from it.
    fn subscription_moves(
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
    fn refresh_later(&mut self, now: Now, id: SubscriptionId, asked: u32) {
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

    pub(super) fn take_up_subscription(&mut self, id: SubscriptionId, known: Subscription) {
        self.add_usage(known.dialog, Usage::Subscription(id.0));
        self.usages.subscriptions.insert(id, known);
        self.schedule_subscription(id);
    }

    fn schedule_subscription(&mut self, id: SubscriptionId) {
        let at = self.usages.subscriptions.get(&id).and_then(Subscription::next_alarm);
        self.set_usage_alarm(UsageKey::Subscription(id), at);
    }

    fn remove_subscription(&mut self, id: SubscriptionId) -> Option<Subscription> {
        self.set_usage_alarm(UsageKey::Subscription(id), None);
        let known = self.usages.subscriptions.remove(&id)?;
        self.end_usage(known.dialog, Usage::Subscription(id.0));
        Some(known)
    }

    fn subscription_ends(&mut self, id: SubscriptionId, why: SubscriptionEnd, again: Resubscribe) {
        let Some(known) = self.remove_subscription(id) else { return };
        let event = SubscriberEvent::Ended { subscription: id, why, again };
        self.tell_subscriber(known.subscribe, event);
    }

    fn tell_subscriber(&mut self, subscribe: SubscribeId, event: SubscriberEvent) {
        self.event(Event::Subscriber { subscribe, event });
    }

    // ---- NOTIFY ------------------------------------------------------------------------------------------------

    /// A NOTIFY outside of all dialogs may be the first of a notifier (RFC 6665 §4.4.1). `false`: it belongs to no SUBSCRIBE.
    pub(super) fn notify_outside(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        head: &Head,
        request: &Request,
    ) -> bool {
        let Some(tag) = head.to_tag.clone() else { return false };
        let key = (head.call_id.clone(), tag);
        let Some(subscribe) = self.usages.subscribe_keys.get(&key).copied() else { return false };
        let Some(record) = self.usages.subscribes.get(&subscribe) else { return false };
        let package = request.typed::<Package>().ok().flatten();
        let Some(package) = package.filter(|package| record.is_about(package)) else { return false };
        if record.notifiers.contains(&head.from_tag) {
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
    pub(super) fn notify_inside(
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
    fn notified(
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
    pub(super) fn notify_replied(&mut self, now: Now, id: RequestId, taken: bool) {
        let held = self.usages.subscriptions.iter_mut().find_map(|(subscription, known)| {
            let at = known.unanswered.iter().position(|(notify, _)| *notify == id)?;
            Some((*subscription, known.unanswered.remove(at).1))
        });
        if let Some((subscription, state)) = held.filter(|_| taken) {
            self.notify_counts(now, subscription, &state);
            self.schedule_subscription(subscription);
        }
    }

    fn notify_counts(&mut self, now: Now, subscription: SubscriptionId, state: &SubscriptionState) {
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
    fn notify_refusal(
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
    fn take_lifetime(&mut self, now: Now, id: SubscriptionId, expires: Option<u32>) {
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

/// Whether a NOTIFY with this Event may tell of the REFER with this CSeq.
fn is_refer(package: &Package, cseq: u32) -> bool {
    package.package() == "refer" && package.id().is_none_or(|id| id == cseq.to_string())
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

fn cseq_of(request: &Request) -> u32 {
    request.typed::<CSeq>().ok().flatten().map_or(1, |cseq| cseq.number)
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
