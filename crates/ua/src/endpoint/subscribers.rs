//! The subscriber's side of event notification (RFC 6665 §4.1), of SUBSCRIBE and of the subscription that a REFER makes
//! (RFC 3515 §2.4.4): one request, forks of it, and a subscription for each notifier that answers.

mod notify;
mod standing;

use super::Endpoint;
use super::client::User;
use super::dialogs::{Dialog, Origin};
use super::lease::UsageFailure;
use super::records::ReadSubscription;
use super::usages::{Effect as Reach, Usage, effect};
use crate::error::{Refusal, Refused};
use crate::event::{
    Body, Destination, DialogEnd, DialogId, RequestId, SubscribeId, SubscriptionId, TransactionFailure,
};
use crate::usages::UsageKey;
use crate::usages::subscriber::State;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use cpm_base::{Instant, Now};
use cpm_sip::{
    CSeq, CallId, Event as Package, Expires, From, HeaderName, Headers, Method, MinExpires, NameAddr,
    ReferSub, Request, Response, StatusCode, SubscriptionState, To, Uri,
};

/// How often one SUBSCRIBE is tried again with the Min-Expires of a 423.
const MAX_BRIEF: u8 = 2;

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

    pub(super) fn next_alarm(&self) -> Option<Instant> {
        let idle = !self.busy;
        let alarms = [self.expires_at, self.refresh_at.filter(|_| idle), self.timer_n.filter(|_| idle)];
        alarms.into_iter().flatten().min()
    }
}

impl Endpoint {
    /// Subscribes, outside of dialogs. Each notifier that answers (there are several when the request forks) makes a
    /// subscription; each is refreshed by itself until it ends. What happens comes as [`Event::Subscriber`](crate::Event::Subscriber).
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
}

/// Whether a NOTIFY with this Event may tell of the REFER with this CSeq.
fn is_refer(package: &Package, cseq: u32) -> bool {
    package.package() == "refer" && package.id().is_none_or(|id| id == cseq.to_string())
}

fn cseq_of(request: &Request) -> u32 {
    request.typed::<CSeq>().ok().flatten().map_or(1, |cseq| cseq.number)
}
