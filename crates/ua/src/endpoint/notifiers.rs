//! The notifier's side of event notification (RFC 6665 §4.2): a SUBSCRIBE is the function's to decide; what was accepted is
//! held, notified one NOTIFY at a time, and ended in its time whatever the subscriber does.

mod notify;

use super::Endpoint;
use super::dialogs::Dialog;
use super::records::ReadNotifier;
use super::usages::Usage;
use crate::error::{Refusal, Refused};
use crate::event::{Body, DialogId, Event, NotifierId, RequestId};
use crate::usages::notifier::{self, State};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::time::Duration;
use cpm_base::{FlowId, Instant, LimitExceeded, Now};
use cpm_sip::{
    AllowEvents, Event as Package, Expires, From, HeaderName, Headers, Method, MinExpires, PAssertedIdentity,
    Request, Response, RetryAfter, StatusCode, SubscriptionState,
};

/// The lifetime of a SUBSCRIBE that does not say (RFC 6665 leaves it to the event package).
const DEFAULT_EXPIRES: u32 = 3600;

/// How a subscription is accepted.
#[derive(Debug, Clone, Default)]
pub struct Acceptance {
    /// Whether the subscriber may have the state. If not, the subscription is pending: it is notified without body until
    /// [`authorise`](Endpoint::authorise).
    pub authorised: bool,
    /// A shorter lifetime than was asked for, in seconds.
    pub expires: Option<u32>,
    /// The least time between two NOTIFYs; the newest state of the time between is sent when it is over. What ends the
    /// subscription does not wait.
    pub min_interval: Duration,
    /// Header fields of the 2xx and of each NOTIFY (Contact).
    pub headers: Headers,
    /// The state, for the NOTIFY that follows at once. Of a pending subscription it is refused.
    pub body: Option<Body>,
}

/// Why a subscription is ended (RFC 6665 §4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    /// Subscribe again at once: it is to be served elsewhere.
    Deactivated,
    /// Subscribe again later; after so many seconds, where they are said.
    Probation(Option<u32>),
    /// The subscriber is not authorised.
    Rejected,
    /// It expired.
    Timeout,
    /// Nobody decided in time; try after so many seconds, where they are said.
    GiveUp(Option<u32>),
    /// What was subscribed to is gone; a referred request is done.
    NoResource,
    /// The state will not change.
    Invariant,
}

/// What happened to a subscription that the function accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifierEvent {
    /// The subscriber did not take a NOTIFY; the subscription stands.
    NotTaken {
        /// Its answer.
        response: Box<Response>,
    },
    /// It is over.
    Ended(NotifierEnd),
}

/// Why a subscription that the function accepted is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifierEnd {
    /// The function ended it.
    Terminated,
    /// The subscriber ended it.
    Unsubscribed,
    /// It was not refreshed.
    Expired,
    /// The subscriber does not know it any more, or does not answer.
    Gone,
}

/// A subscription that the function accepted, kept as plain data.
#[derive(Debug, Clone)]
pub(super) struct Notifier {
    pub(super) dialog: DialogId,
    pub(super) package: Package,
    /// Who subscribed, for the limit of each.
    pub(super) subscriber: String,
    pub(super) state: State,
    pub(super) expires_at: Instant,
    pub(super) min_interval: Duration,
    pub(super) headers: Headers,
    /// The NOTIFY that is under way.
    outstanding: Option<Box<Notice>>,
    /// The next NOTIFY: newest state alone.
    next: Option<Box<Notice>>,
    /// When the next one may be sent.
    not_before: Option<Instant>,
    /// Until when the subscriber wants none (Retry-After), and how often in a row it said so.
    put_off_until: Option<Instant>,
    put_off: u8,
    end: NotifierEnd,
}

/// A NOTIFY to be.
#[derive(Debug, Clone)]
struct Notice {
    headers: Headers,
    body: Option<Body>,
    last: Option<Termination>,
}

impl Termination {
    fn field(self) -> SubscriptionState {
        let (reason, after) = match self {
            Termination::Deactivated => ("deactivated", None),
            Termination::Probation(after) => ("probation", after),
            Termination::Rejected => ("rejected", None),
            Termination::Timeout => ("timeout", None),
            Termination::GiveUp(after) => ("giveup", after),
            Termination::NoResource => ("noresource", None),
            Termination::Invariant => ("invariant", None),
        };
        let state = SubscriptionState::terminated(reason);
        match after {
            Some(seconds) => state.with_retry_after(seconds),
            None => state,
        }
    }
}

impl Notifier {
    /// One that was kept elsewhere.
    pub(super) fn restored(dialog: DialogId, read: ReadNotifier) -> Notifier {
        Notifier {
            dialog,
            package: read.package,
            subscriber: read.subscriber,
            state: read.state,
            expires_at: read.expires_at,
            min_interval: read.min_interval,
            headers: read.headers,
            outstanding: None,
            next: None,
            not_before: read.not_before,
            put_off_until: None,
            put_off: 0,
            end: NotifierEnd::Gone,
        }
    }

    /// Whether nothing about it is under way, and no NOTIFY waits.
    pub(super) fn is_resting(&self) -> bool {
        let stands = matches!(self.state, State::Pending | State::Active);
        stands && self.outstanding.is_none() && self.next.is_none()
    }

    pub(super) const fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    pub(super) fn next_alarm(&self) -> Option<Instant> {
        let rate = match (&self.next, &self.outstanding) {
            (Some(_), None) => self.not_before.max(self.put_off_until),
            _ => None,
        };
        let end = (self.state != State::Ending).then_some(self.expires_at);
        [rate, end].into_iter().flatten().min()
    }
}

/// What a SUBSCRIBE that was accepted is to be held as.
struct Granted {
    package: Package,
    /// Seconds that the 2xx says.
    expires: u32,
    /// Of this subscription, when there is one.
    known: Option<NotifierId>,
    request: Box<Request>,
    in_dialog: Option<DialogId>,
    subscriber: String,
}

impl Endpoint {
    /// A SUBSCRIBE came: what is no business of the function is answered, the rest is handed up; nothing is held for it.
    // Threats D2, D6.
    pub(super) fn subscribe_received(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        dialog: Option<DialogId>,
        request: &Request,
    ) {
        match self.judge_subscribe(flow, dialog, request) {
            Err(response) => self.refuse(now, flow, id, *response),
            Ok((package, expires, known)) => {
                self.hold_dialog(dialog, id);
                self.event(Event::Subscribe {
                    id,
                    flow,
                    request: request.clone(),
                    package,
                    expires,
                    refreshes: known,
                    in_dialog: dialog,
                });
            }
        }
    }

    fn judge_subscribe(
        &self,
        flow: FlowId,
        dialog: Option<DialogId>,
        request: &Request,
    ) -> Result<(Package, u32, Option<NotifierId>), Box<Response>> {
        let refusal = |status| Box::new(Response::for_request(request, status));
        let packages = &self.config.event_packages;
        let package = match request.typed::<Package>() {
            Ok(Some(package)) => package,
            _ => return Err(refusal(StatusCode::BAD_EVENT)),
        };
        let known = dialog.and_then(|dialog| self.notifier_of(dialog, &package));
        let served = packages.is_empty() || packages.iter().any(|served| *served == package.as_str());
        if known.is_none() && !served {
            let mut response = refusal(StatusCode::BAD_EVENT);
            for served in packages.iter().filter_map(|served| AllowEvents::new(served).ok()) {
                response.headers_mut().push_typed(&served);
            }
            return Err(response);
        }
        if known.is_none() && package.package() == "refer" {
            // RFC 3515 §2.4.4: REFER alone makes these.
            return Err(refusal(StatusCode::FORBIDDEN));
        }
        let Ok(expires) = request.typed::<Expires>() else { return Err(refusal(StatusCode::BAD_REQUEST)) };
        let expires = expires.map_or(DEFAULT_EXPIRES, |field| field.0);
        let least = self.config.limits.min_subscription;
        if expires > 0 && expires < least {
            let mut response = refusal(StatusCode::INTERVAL_TOO_BRIEF);
            response.headers_mut().push_typed(&MinExpires(least));
            return Err(response);
        }
        if known.is_none() {
            match self.room_for_notifier(&self.subscriber_of(Some(flow), request)) {
                Err(limit) if limit.limit == "sub.max" => {
                    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE);
                    response.headers_mut().push_typed(&RetryAfter { seconds: 60, duration: None });
                    return Err(response);
                }
                Err(_) => return Err(refusal(StatusCode::FORBIDDEN)),
                Ok(()) => {}
            }
        }
        Ok((package, expires.min(self.config.limits.max_subscription), known))
    }

    fn room_for_notifier(&self, subscriber: &str) -> Result<(), LimitExceeded> {
        let limits = &self.config.limits;
        let all = self.usages.notifiers.len().saturating_add(1);
        LimitExceeded::check("sub.max", all, limits.max_subscriptions)?;
        let own = self.usages.subscribers.get(subscriber).copied().unwrap_or(0).saturating_add(1);
        LimitExceeded::check("sub.max_per_identity", own, limits.max_subscriptions_per_identity)
    }

    /// Who a request is from, for the limit of each: the asserted identity where it is believed, else From.
    fn subscriber_of(&self, flow: Option<FlowId>, request: &Request) -> String {
        let trusted = flow.and_then(|flow| self.flows.get(flow)).is_some_and(crate::flows::Flow::trusted);
        let asserted = request.typed_list::<PAssertedIdentity>().unwrap_or_default();
        match (asserted.first(), request.typed::<From>()) {
            (Some(asserted), _) if trusted => asserted.uri().address_key(),
            (_, Ok(Some(from))) => from.uri().address_key(),
            _ => String::new(),
        }
    }

    fn notifier_of(&self, dialog: DialogId, package: &Package) -> Option<NotifierId> {
        let mut of_dialog = self.usages.notifiers.iter().filter(|(_, notifier)| notifier.dialog == dialog);
        of_dialog.find(|(_, notifier)| notifier.package.is_same(package)).map(|(id, _)| *id)
    }

    /// Accepts a SUBSCRIBE: sends the 2xx and the NOTIFY that follows at once (RFC 6665 §4.2.1.2). It may be a new
    /// subscription, a refresh (the same handle comes back), the end of one, or a fetch (`Expires: 0`: the handle is over
    /// with its NOTIFY). To refuse one, [`respond`](Endpoint::respond).
    ///
    /// # Errors
    /// The request is no SUBSCRIBE that awaits its answer, or is not acceptable (its Event or Expires, limits, no Contact);
    /// a body although the subscriber is not authorised ([`Refusal::Unauthorised`]); too many dialogs or transactions.
    pub fn accept_subscription(
        &mut self,
        now: Now,
        request: RequestId,
        acceptance: Acceptance,
    ) -> Result<NotifierId, Refused<Acceptance>> {
        let granted = match self.judge_acceptance(request, &acceptance) {
            Ok(granted) => granted,
            Err(why) => return Err(Refused::new(why, acceptance)),
        };
        let expires = acceptance.expires.map_or(granted.expires, |most| granted.expires.min(most));
        let mut headers = acceptance.headers.clone();
        headers.set_typed(&Expires(expires));
        let dialog = match self.answer_and_share(
            now,
            request,
            &granted.request,
            granted.in_dialog,
            &headers,
            StatusCode::OK,
        ) {
            Ok(dialog) => dialog,
            Err(why) => return Err(Refused::new(why, acceptance)),
        };
        let until = now.mono.plus(Duration::from_secs(u64::from(expires)));
        let id = match granted.known {
            Some(known) => known,
            None => self.make_notifier(dialog, granted.package, granted.subscriber, until, &acceptance),
        };
        let event = match (expires, granted.known) {
            (0, _) => notifier::Event::Unsubscribed,
            (_, Some(_)) if acceptance.authorised => notifier::Event::Authorise,
            (_, Some(_)) => notifier::Event::Refreshed,
            (_, None) if acceptance.authorised => notifier::Event::Authorise,
            (_, None) => notifier::Event::Refreshed,
        };
        if let Some(notifier) = self.usages.notifiers.get_mut(&id) {
            if expires > 0 {
                notifier.expires_at = until;
            } else {
                notifier.end = NotifierEnd::Unsubscribed;
            }
        }
        let last = (expires == 0).then_some(Termination::Timeout);
        let notice = Box::new(Notice { headers: Headers::new(), body: acceptance.body, last });
        self.end_usage(dialog, Usage::Subscription(request.0));
        // The machine takes all of these where it took the SUBSCRIBE.
        let _ = self.notifier_moves(now, id, event, Some(notice), true);
        self.settle(now);
        Ok(id)
    }

    fn judge_acceptance(&mut self, id: RequestId, acceptance: &Acceptance) -> Result<Granted, Refusal> {
        let server = self.servers.get(&id).filter(|server| !server.answered()).ok_or(Refusal::Gone)?;
        if server.method != Method::Subscribe {
            return Err(Refusal::Method(server.method.clone()));
        }
        if server.owner != super::server::Owner::Function {
            return Err(Refusal::Proxied);
        }
        let (request, in_dialog, flow) =
            (server.whole_request().ok_or(Refusal::Gone)?, server.in_dialog, server.came_on);
        if acceptance.body.is_some() && !acceptance.authorised {
            return Err(Refusal::Unauthorised);
        }
        self.room_for_client().map_err(Refusal::Limit)?;
        let (package, expires, known) = match flow {
            Some(flow) => self
                .judge_subscribe(flow, in_dialog, &request)
                .map_err(|response| Refusal::NotAcceptable(response.status()))?,
            None => return Err(Refusal::UnknownFlow),
        };
        let ending = known
            .and_then(|known| self.usages.notifiers.get(&known))
            .is_some_and(|notifier| matches!(notifier.state, State::Ending | State::Terminated));
        if ending {
            return Err(Refusal::Gone);
        }
        let subscriber = self.subscriber_of(flow, &request);
        Ok(Granted { package, expires, known, request, in_dialog, subscriber })
    }

    /// A SUBSCRIBE or REFER came in a dialog, which stays for what may come of it (RFC 5057 §4.1).
    pub(super) fn hold_dialog(&mut self, dialog: Option<DialogId>, id: RequestId) {
        if let Some(dialog) = dialog {
            self.add_usage(dialog, Usage::Subscription(id.0));
        }
    }

    /// Answers a SUBSCRIBE or REFER with a 2xx that makes a dialog, or in its dialog; says which dialog. What is made of it
    /// takes the place of [`hold_dialog`](Endpoint::hold_dialog).
    pub(super) fn answer_and_share(
        &mut self,
        now: Now,
        id: RequestId,
        request: &Request,
        in_dialog: Option<DialogId>,
        headers: &Headers,
        status: StatusCode,
    ) -> Result<DialogId, Refusal> {
        let mut response = Response::for_request(request, status);
        for (name, _) in headers.iter() {
            if !response.headers().contains(name) {
                response.headers_mut().copy_from(headers, name);
            }
        }
        self.complete_usage_response(id, request, &mut response)?;
        let dialog = match in_dialog {
            Some(dialog) if self.dialogs.contains_key(&dialog) => dialog,
            Some(_) => return Err(Refusal::Gone),
            None => {
                self.room_for_dialog().map_err(Refusal::Limit)?;
                let dialog = Dialog::as_server(request, &response)?;
                self.insert_dialog(dialog)
            }
        };
        if let Some(server) = self.servers.get_mut(&id) {
            server.in_dialog = None;
        }
        if let Err(refused) = self.answer(now, id, response) {
            self.end_usage(dialog, Usage::Subscription(id.0));
            return Err(refused.why);
        }
        if in_dialog.is_some() {
            self.refresh_dialog(dialog, Some(request));
        }
        Ok(dialog)
    }

    /// What a response that makes a subscription has: tag, Record-Route, Contact.
    fn complete_usage_response(
        &mut self,
        id: RequestId,
        request: &Request,
        response: &mut Response,
    ) -> Result<(), Refusal> {
        let came_on = self.servers.get(&id).ok_or(Refusal::Gone)?.came_on;
        self.add_own_tag(id, response.headers_mut());
        response.headers_mut().copy_from(request.headers(), &HeaderName::RecordRoute);
        if !response.headers().contains(&HeaderName::Contact) {
            let contact = self.own_contact(came_on).ok_or(Refusal::Missing("Contact"))?;
            response.headers_mut().push_typed(&contact);
        }
        response.set_body(bytes::Bytes::new());
        Ok(())
    }

    fn make_notifier(
        &mut self,
        dialog: DialogId,
        package: Package,
        subscriber: String,
        expires_at: Instant,
        acceptance: &Acceptance,
    ) -> NotifierId {
        let id = NotifierId(self.next_id());
        let held = self.usages.subscribers.entry(subscriber.clone()).or_default();
        *held = held.saturating_add(1);
        let notifier = Notifier {
            dialog,
            package,
            subscriber,
            state: State::Pending,
            expires_at,
            min_interval: acceptance.min_interval,
            headers: acceptance.headers.clone(),
            outstanding: None,
            next: None,
            not_before: None,
            put_off_until: None,
            put_off: 0,
            end: NotifierEnd::Gone,
        };
        self.usages.notifiers.insert(id, notifier);
        self.add_usage(dialog, Usage::Subscription(id.0));
        id
    }

    /// The notifier of a REFER that was accepted, its first NOTIFY under way.
    pub(super) fn notify_of_refer(
        &mut self,
        now: Now,
        dialog: DialogId,
        package: Package,
        request: &Request,
        expires: u32,
        acceptance: Acceptance,
    ) -> NotifierId {
        let until = now.mono.plus(Duration::from_secs(u64::from(expires)));
        let subscriber = self.subscriber_of(None, request);
        let id = self.make_notifier(dialog, package, subscriber, until, &acceptance);
        let notice = Box::new(Notice { headers: Headers::new(), body: acceptance.body, last: None });
        let _ = self.notifier_moves(now, id, notifier::Event::Authorise, Some(notice), true);
        id
    }

    pub(super) fn room_for_refer(&self, request: &Request) -> Result<(), Refusal> {
        self.room_for_notifier(&self.subscriber_of(None, request)).map_err(Refusal::Limit)
    }
}

/// The id of the subscription that a REFER makes (RFC 3515 §2.4.6).
pub(super) fn refer_package(cseq: u32) -> Option<Package> {
    let mut package = Package::new("refer").ok()?;
    package.params_mut().set("id", Some(&cseq.to_string())).ok()?;
    Some(package)
}
