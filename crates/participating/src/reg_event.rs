//! The subscription to the `reg` event package of a user (TS 8.1.1 second part, 8.1.2, 8.1.3; RFC 3680, RFC 6665).
//!
//! ```text
//!   None ──► Queued ──► Asked ──2xx or NOTIFY──► Awake ──at rest──► Asleep
//!              ▲           │                     │   ▲                │
//!              │           ▼ failed              │   └─ NOTIFY, time ─┘
//!              └─time─── Again ◄────── ended ────┘      to refresh
//!                        Refused (until the core registers the user again)
//! ```
//!
//! Between two NOTIFYs nothing happens to a subscription for hours, so its dialog rests as a record of a few hundred octets.
//! SUBSCRIBEs are paced: a node that takes up its users after a restart does not ask for all of them at once.

use crate::registrations::{UserId, until};
use crate::{ParticipatingEvent, ParticipatingFunction};
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_core::Ports;
use cpm_core::warning::refusal;
use cpm_sip::{
    Accept, Contact, ContentType, Event as Package, From, Headers, NameAddr, PAssertedIdentity, Request,
    Response, StatusCode, Uri,
};
use cpm_ua::{
    Destination, NewSubscription, Refusal, RequestId, Resubscribe, SubscribeId, SubscriberEvent,
    SubscriptionEnd, SubscriptionId, UsageFailure, Versioned,
};
use cpm_xml::reginfo;
use std::collections::{BTreeMap, VecDeque};

/// When it is tried again to let a subscription rest.
const DOZE: Duration = Duration::from_secs(64);

/// How long before a subscription has to be refreshed it is taken up again.
const EARLY: Duration = Duration::from_secs(1);

/// Where the subscription to a user's registration stands.
#[derive(Debug, Default)]
pub(crate) enum Watch {
    /// There is none, and none is wanted.
    #[default]
    None,
    /// It waits for its turn.
    Queued,
    /// It is tried at this time.
    Again(Instant),
    /// A SUBSCRIBE is under way.
    Asked(SubscribeId),
    /// It stands; when it is tried to let it rest.
    Awake(SubscriptionId, Instant),
    /// It stands and rests, until it has to be refreshed.
    Asleep(Box<[u8]>, Instant),
    /// The notifier does not want it.
    Refused,
}

impl Watch {
    /// When something is due.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        match self {
            Watch::Again(at) | Watch::Awake(_, at) | Watch::Asleep(_, at) => Some(*at),
            Watch::None | Watch::Queued | Watch::Asked(_) | Watch::Refused => None,
        }
    }
}

/// What is under way for subscriptions.
#[derive(Debug, Default)]
pub(crate) struct RegEvents {
    /// SUBSCRIBEs that no 2xx has answered.
    subscribes: BTreeMap<SubscribeId, UserId>,
    /// Subscriptions that are awake.
    subscriptions: BTreeMap<SubscriptionId, UserId>,
    /// Who waits for a SUBSCRIBE.
    queue: VecDeque<UserId>,
    /// Since when SUBSCRIBEs are counted, and how many there were.
    since: Instant,
    sent: u32,
}

impl RegEvents {
    /// When the next SUBSCRIBE may be sent.
    pub(crate) fn next_timeout(&self, per_second: u32) -> Option<Instant> {
        let next = if self.sent < per_second { self.since } else { self.since.plus(SECOND) };
        (!self.queue.is_empty()).then_some(next)
    }
}

const SECOND: Duration = Duration::from_secs(1);

type PfPorts<'a> = Ports<'a, ParticipatingEvent>;

impl ParticipatingFunction {
    /// A user is registered: the registration is watched from now on, if it is not already.
    pub(crate) fn watch(&mut self, now: Now, ports: &mut PfPorts<'_>, user: UserId) {
        let starts = self.registrations.change(user, |user| {
            let starts = matches!(user.watch, Watch::None | Watch::Again(_) | Watch::Refused);
            if starts {
                user.watch = Watch::Queued;
            }
            starts
        });
        if starts == Some(true) {
            self.reg_events.queue.push_back(user);
            self.subscribe_queued(now, ports);
        }
    }

    /// Sends the SUBSCRIBEs whose turn it is.
    pub(crate) fn subscribe_queued(&mut self, now: Now, ports: &mut PfPorts<'_>) {
        let per_second = self.config.limits.max_subscribes_per_second;
        if now.mono >= self.reg_events.since.plus(SECOND) {
            (self.reg_events.since, self.reg_events.sent) = (now.mono, 0);
        }
        while self.reg_events.sent < per_second {
            let Some(id) = self.reg_events.queue.pop_front() else { return };
            let Some(user) = self.registrations.get(id) else { continue };
            if !matches!(user.watch, Watch::Queued) {
                continue;
            }
            self.reg_events.sent = self.reg_events.sent.saturating_add(1);
            let asked = match self.reg_subscription(&user.address) {
                Some(new) => ports.sip.subscribe(now, new).ok(),
                None => None,
            };
            let again = now.mono.plus(self.config.policy.subscribe_retry);
            self.registrations.change(id, |user| {
                user.versions = cpm_ua::VersionGate::new();
                user.watch = asked.map_or(Watch::Again(again), Watch::Asked);
            });
            match asked {
                Some(asked) => drop(self.reg_events.subscribes.insert(asked, id)),
                None => self.metrics.count("pf.not_subscribed"),
            }
        }
    }

    /// The SUBSCRIBE for a user's registration.
    // req: 8.1.1-sub-1, 8.1.1-sub-2, 8.1.1-sub-3, 8.1.1-sub-4
    fn reg_subscription(&self, address: &str) -> Option<NewSubscription> {
        let own = Uri::Sip(self.config.address.clone());
        let mut headers = Headers::new();
        headers.push_typed(&Accept::new(reginfo::MEDIA_TYPE).ok()?);
        headers.push_typed(&Contact::new(own.clone()));
        headers.push_typed(&PAssertedIdentity::new(own.clone()));
        Some(NewSubscription {
            resource: Uri::parse(address).ok()?,
            from: NameAddr::new(own),
            package: Package::new("reg").ok()?,
            expires: self.config.policy.reg_expires,
            headers,
            body: None,
            destination: Destination::Routed,
        })
    }

    /// News of a subscription (RFC 6665 §4.1).
    // req: 8.1.1-p4
    pub(crate) fn subscriber_event(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        subscribe: SubscribeId,
        event: SubscriberEvent,
    ) {
        match event {
            SubscriberEvent::Accepted { subscription, .. } => {
                let user = self.reg_events.subscribes.remove(&subscribe);
                let (Some(user), Some(subscription)) = (user, subscription) else { return };
                // Its NOTIFY may have come before.
                let notified = self.reg_events.subscriptions.contains_key(&subscription);
                if self.take_subscription(now, ports, user, subscription) && notified {
                    self.let_rest(now, ports, user);
                }
            }
            SubscriberEvent::Notified { subscription, id, notify, .. } => {
                self.notified(now, ports, subscribe, subscription, id, &notify);
            }
            SubscriberEvent::Ended { subscription, why, again } => {
                self.subscription_ended(now, ports, subscription, &why, again);
            }
            SubscriberEvent::Failed { why } => self.subscribe_failed(now, subscribe, &why),
        }
    }

    /// A notifier showed up. A second one, of a SUBSCRIBE that forked, is not wanted; nor is one for a user who is gone.
    /// Returns whether this is the subscription of the user.
    fn take_subscription(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        user: UserId,
        subscription: SubscriptionId,
    ) -> bool {
        let doze = now.mono.plus(DOZE);
        let wanted = self.registrations.change(user, |user| match user.watch {
            Watch::Awake(known, _) => known == subscription,
            Watch::Asked(_) => {
                user.watch = Watch::Awake(subscription, doze);
                true
            }
            _ => false,
        });
        let wanted = wanted.unwrap_or(false);
        match wanted {
            true => drop(self.reg_events.subscriptions.insert(subscription, user)),
            false => leave(now, ports, subscription),
        }
        wanted
    }

    /// A NOTIFY (TS 8.1.2).
    // req: 8.1.2-1, 8.1.2-2
    fn notified(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        subscribe: SubscribeId,
        subscription: SubscriptionId,
        id: RequestId,
        notify: &Request,
    ) {
        let known = self.reg_events.subscriptions.get(&subscription).copied();
        let user = known.or_else(|| {
            let user = self.reg_events.subscribes.get(&subscribe).copied()?;
            self.take_subscription(now, ports, user, subscription).then_some(user)
        });
        let user = user.filter(|user| self.registrations.get(*user).is_some());
        let response = match (user, information(notify)) {
            (_, Err(response)) => {
                self.metrics.count("pf.reginfo_unreadable");
                *response
            }
            (Some(user), Ok(Some(information))) => {
                self.judge_information(now, ports, user, subscription, information);
                Response::for_request(notify, StatusCode::OK)
            }
            _ => Response::for_request(notify, StatusCode::OK),
        };
        self.answer(now, ports, id, response);
        match user {
            Some(user) => self.let_rest(now, ports, user),
            None => leave(now, ports, subscription),
        }
    }

    /// Threat D4: a numbered document counts when it is the next one; behind a gap the full state is asked for.
    fn judge_information(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        user: UserId,
        subscription: SubscriptionId,
        information: reginfo::RegInfo,
    ) {
        let version = u32::try_from(information.version).unwrap_or(u32::MAX);
        let judged =
            self.registrations.change(user, |user| user.versions.judge(version, !information.partial));
        match judged {
            Some(Versioned::Next) => self.registration_information(now, ports, user, information),
            Some(Versioned::Gap) => {
                self.metrics.count("pf.reginfo_gap");
                // Where one is under way already, its NOTIFY brings the full state too.
                let _ = ports.sip.refresh_subscription(now, subscription);
            }
            Some(Versioned::Stale) => self.metrics.count("pf.reginfo_stale"),
            None => {}
        }
    }

    /// A subscription is over (RFC 6665 §4.1.3).
    fn subscription_ended(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        subscription: SubscriptionId,
        why: &SubscriptionEnd,
        again: Resubscribe,
    ) {
        let Some(user) = self.reg_events.subscriptions.remove(&subscription) else { return };
        if *why == SubscriptionEnd::Unsubscribed {
            return;
        }
        self.metrics.count("pf.subscription_ended");
        let retry = self.config.policy.subscribe_retry;
        let at = match again {
            // The notifier moved: once at once. One that ends every subscription is not asked again and again.
            Resubscribe::Now => Some(now.mono.plus(retry)),
            Resubscribe::After(seconds) => Some(until(now.mono, seconds.into()).max(now.mono.plus(retry))),
            Resubscribe::Never => None,
        };
        self.registrations.change(user, |user| {
            if matches!(user.watch, Watch::Awake(known, _) if known == subscription) {
                user.watch = at.map_or(Watch::Refused, Watch::Again);
            }
        });
        self.look_after(now, ports, user);
    }

    /// A SUBSCRIBE came to nothing.
    fn subscribe_failed(&mut self, now: Now, subscribe: SubscribeId, why: &UsageFailure) {
        let Some(user) = self.reg_events.subscribes.remove(&subscribe) else { return };
        self.metrics.count("pf.not_subscribed");
        let retry = now.mono.plus(self.config.policy.subscribe_retry);
        let watch = match why.response() {
            Some(response) if is_final(response.status()) => Watch::Refused,
            Some(response) => {
                let after = response.typed::<cpm_sip::RetryAfter>().ok().flatten();
                let after = after.map_or(retry, |after| until(now.mono, after.seconds.into()));
                Watch::Again(after.max(retry))
            }
            None => Watch::Again(retry),
        };
        self.registrations.change(user, |user| {
            if matches!(user.watch, Watch::Asked(known) if known == subscribe) {
                user.watch = watch;
            }
        });
    }

    /// Lets a subscription rest as a record, when nothing is under way about it; else it is tried later.
    pub(crate) fn let_rest(&mut self, now: Now, ports: &mut PfPorts<'_>, id: UserId) {
        let Some(Watch::Awake(subscription, _)) = self.registrations.get(id).map(|user| &user.watch) else {
            return;
        };
        let subscription = *subscription;
        let asked = self.reg_events.subscribes.values().any(|user| *user == id);
        let dialog = ports.sip.subscription_dialog(subscription);
        let record = dialog.filter(|_| !asked).and_then(|dialog| ports.sip.export_dialog(now, dialog).ok());
        let alarm = ports.sip.subscription_alarm(subscription);
        let left = alarm.map_or(Duration::ZERO, |at| at.since(now.mono)).saturating_sub(EARLY);
        let watch = match record {
            Some(record) if !left.is_zero() => {
                ports.sip.forget_subscription(subscription);
                self.reg_events.subscriptions.remove(&subscription);
                Watch::Asleep(record.into_boxed_slice(), now.mono.plus(left))
            }
            _ => Watch::Awake(subscription, now.mono.plus(DOZE)),
        };
        self.registrations.change(id, |user| user.watch = watch);
    }

    /// Takes the dialog of a subscription that rests up again; the subscription.
    pub(crate) fn wake_up(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        id: UserId,
    ) -> Option<SubscriptionId> {
        let Some(Watch::Asleep(record, _)) = self.registrations.get(id).map(|user| &user.watch) else {
            return None;
        };
        let restored = ports.sip.restore_dialog(now, record).ok();
        let subscription = restored.and_then(|restored| restored.subscriptions.first().copied());
        let retry = now.mono.plus(self.config.policy.subscribe_retry);
        let doze = now.mono.plus(DOZE);
        self.registrations.change(id, |user| {
            user.watch = subscription.map_or(Watch::Again(retry), |woken| Watch::Awake(woken, doze));
        });
        match subscription {
            Some(subscription) => drop(self.reg_events.subscriptions.insert(subscription, id)),
            None => self.metrics.count("pf.subscription_lost"),
        }
        subscription
    }

    /// A NOTIFY of a dialog that the endpoint does not know: it may be of one that rests. `false`: it is none of ours, and
    /// goes on its way.
    pub(crate) fn notify_for_a_sleeper(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        id: RequestId,
        request: &Request,
    ) -> bool {
        let package = request.typed::<Package>().ok().flatten();
        if package.is_none_or(|package| package.package() != "reg") || !ports.sip.is_own(request.uri()) {
            return false;
        }
        // Its From is whom we subscribed to.
        let from = request.typed::<From>().ok().flatten();
        let user = from.and_then(|from| self.registrations.find(from.uri()));
        let woken = user.and_then(|user| self.wake_up(now, ports, user));
        let handed = woken.is_some() && ports.sip.hand_to_dialog(now, id).is_ok();
        if !handed {
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            self.answer(now, ports, id, Response::for_request(request, status));
            if let Some(user) = user.filter(|_| woken.is_some()) {
                self.let_rest(now, ports, user);
            }
        }
        true
    }

    /// Ends the subscription of a user who is forgotten (TS 8.1.3).
    // req: 8.1.3-p1
    pub(crate) fn end_watch(&mut self, now: Now, ports: &mut PfPorts<'_>, watch: &Watch) {
        let subscription = match watch {
            Watch::Awake(subscription, _) => Some(*subscription),
            Watch::Asleep(record, _) => {
                let restored = ports.sip.restore_dialog(now, record).ok();
                restored.and_then(|restored| restored.subscriptions.first().copied())
            }
            _ => None,
        };
        if let Some(subscription) = subscription {
            self.reg_events.subscriptions.remove(&subscription);
            leave(now, ports, subscription);
        }
    }
}

/// Ends a subscription that nobody wants; what comes of it until it is over is answered.
fn leave(now: Now, ports: &mut PfPorts<'_>, subscription: SubscriptionId) {
    match ports.sip.unsubscribe(now, subscription) {
        // It is being ended already.
        Ok(()) | Err(Refusal::Gone) => {}
        Err(_) => drop(ports.sip.forget_subscription(subscription)),
    }
}

/// A status that a SUBSCRIBE gets again whenever it is sent again.
fn is_final(status: StatusCode) -> bool {
    let passing = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TEMPORARILY_UNAVAILABLE,
        StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST,
        StatusCode::INTERVAL_TOO_BRIEF,
    ];
    (400..500).contains(&status.as_u16()) && !passing.contains(&status)
}

/// The registration information in a NOTIFY; none in one without a body, or the answer that it deserves.
fn information(notify: &Request) -> Result<Option<reginfo::RegInfo>, Box<Response>> {
    if notify.body().is_empty() {
        return Ok(None);
    }
    let content_type = notify.typed::<ContentType>().ok().flatten();
    if !content_type.is_some_and(|content_type| content_type.is(reginfo::MEDIA_TYPE)) {
        let mut response = Response::for_request(notify, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        if let Ok(accept) = Accept::new(reginfo::MEDIA_TYPE) {
            response.headers_mut().push_typed(&accept);
        }
        return Err(Box::new(response));
    }
    reginfo::parse(notify.body(), &cpm_xml::Limits::default())
        .map(Some)
        .map_err(|error| Box::new(refusal(notify, StatusCode::BAD_REQUEST, Some(&error.to_string()))))
}
