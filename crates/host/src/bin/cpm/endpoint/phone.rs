//! The function behind `cpm endpoint`: a plain SIP user agent that takes what comes and does one thing after another.

use super::steps::Step;
use bytes::Bytes;
use cpm_base::{Instant, Now};
use cpm_core::{Function, Input, Ports};
use cpm_sip::{
    Contact, Event as Package, From, HeaderName, HeaderText, Headers, Method, NameAddr, Request, Require,
    Response, RetryAfter, StatusCode, Supported, Uri,
};
use cpm_ua::{
    Acceptance, Body, Destination, DialogId, Event, InviteFailure, InviteId, NewRefer, NewRegistration,
    NewSubscription, NotifierEvent, ReferAcceptance, Reference, RegistrationEvent, RegistrationId, RequestId,
    SubscriberEvent, SubscriptionId, TransactionId, UsageFailure,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How the phone answers.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    /// Refuse calls and messages with this.
    pub(crate) refuse: Option<StatusCode>,
    /// Answer so many requests 503 before taking one.
    pub(crate) busy_first: u32,
    /// How long to ring.
    pub(crate) ring: Duration,
    /// Whether provisional responses are sent reliably to whoever can take that.
    pub(crate) reliable: bool,
}

/// What it tells the command.
#[derive(Debug)]
pub(crate) enum Told {
    /// Something happened.
    Line(String),
    /// A request was taken and answered for good.
    Served,
    /// The step is done, or failed.
    Done(Result<(), String>),
}

/// What the step under way waits for.
#[derive(Debug, PartialEq, Eq)]
enum Awaits {
    Nothing,
    Transaction(TransactionId),
    Invite(InviteId),
    /// The end of the call, whoever ends it.
    CallOver,
    /// A call that comes in and is confirmed.
    Call,
    Registration,
    Notify,
    Unsubscribed,
    ReferDone,
    Message,
    Time(Instant),
}

pub(crate) struct Phone {
    manners: Manners,
    identity: Uri,
    contact: Uri,
    sip: SocketAddr,
    registration: Option<NewRegistration>,
    registered: Option<RegistrationId>,
    call: Option<DialogId>,
    subscription: Option<SubscriptionId>,
    ringing: BTreeMap<RequestId, (Instant, Request)>,
    awaits: Awaits,
}

type Port<'a, 'p> = &'a mut Ports<'p, Told>;

impl Phone {
    pub(crate) fn new(
        manners: Manners,
        identity: Uri,
        contact: Uri,
        sip: SocketAddr,
        registration: Option<NewRegistration>,
    ) -> Self {
        Phone {
            manners,
            identity,
            contact,
            sip,
            registration,
            registered: None,
            call: None,
            subscription: None,
            ringing: BTreeMap::new(),
            awaits: Awaits::Nothing,
        }
    }

    /// Begins a step; its end is told as [`Told::Done`].
    pub(crate) fn begin(&mut self, now: Now, ports: Port<'_, '_>, step: &Step) {
        match self.try_begin(now, ports, step) {
            Ok(Awaits::Nothing) => ports.host.event(Told::Done(Ok(()))),
            Ok(awaits) => self.awaits = awaits,
            Err(why) => ports.host.event(Told::Done(Err(why))),
        }
    }

    fn try_begin(&mut self, now: Now, ports: Port<'_, '_>, step: &Step) -> Result<Awaits, String> {
        let sip = &mut *ports.sip;
        match step {
            Step::Wait(time) => Ok(Awaits::Time(now.mono.plus(*time))),
            Step::AwaitCall => Ok(if self.call.is_some() { Awaits::Nothing } else { Awaits::Call }),
            Step::AwaitBye => Ok(if self.call.is_some() { Awaits::CallOver } else { Awaits::Nothing }),
            Step::AwaitMessage => Ok(Awaits::Message),
            Step::Register => {
                let new = self.registration.clone().ok_or("no --registrar is given")?;
                self.registered = Some(sip.register(now, new).map_err(|refused| refused.to_string())?);
                Ok(Awaits::Registration)
            }
            Step::Deregister => {
                let id = self.registered.ok_or("nothing is registered")?;
                sip.deregister(now, id).map_err(|why| why.to_string())?;
                Ok(Awaits::Registration)
            }
            Step::Message(to, text) => {
                let mut request = self.request(Method::Message, to);
                put_body(&mut request, &text_body(text));
                let sent = sip.send_request(now, request, Destination::Routed);
                sent.map(Awaits::Transaction).map_err(|refused| refused.to_string())
            }
            Step::Options(to) => {
                let sent = sip.send_request(now, self.request(Method::Options, to), Destination::Routed);
                sent.map(Awaits::Transaction).map_err(|refused| refused.to_string())
            }
            Step::Invite(to) => {
                let mut request = self.request(Method::Invite, to).with_typed(&self.contact());
                put_body(&mut request, &description_body(&offer(self.sip, 1)));
                let sent = sip.invite(now, request, Destination::Routed);
                sent.map(Awaits::Invite).map_err(|refused| refused.to_string())
            }
            Step::Reinvite => {
                let body = description_body(&offer(self.sip, 2));
                let sent = sip.reinvite(now, self.in_call()?, Headers::new(), Some(body));
                sent.map(Awaits::Invite).map_err(|refused| refused.to_string())
            }
            Step::Update => {
                let body = description_body(&offer(self.sip, 3));
                let sent = sip.update(now, self.in_call()?, Headers::new(), Some(body));
                sent.map(Awaits::Transaction).map_err(|refused| refused.to_string())
            }
            Step::Bye => {
                let sent = sip.bye(now, self.in_call()?, Headers::new());
                sent.map(|_| Awaits::CallOver).map_err(|refused| refused.to_string())
            }
            Step::Subscribe(to, package, expires) => self.subscribe(now, ports, to, package, *expires),
            Step::Unsubscribe => {
                let id = self.subscription.ok_or("nothing is subscribed to")?;
                sip.unsubscribe(now, id).map_err(|why| why.to_string())?;
                Ok(Awaits::Unsubscribed)
            }
            Step::Refer(target) => {
                let new = NewRefer {
                    target: self.contact.clone(),
                    from: NameAddr::new(self.identity.clone()),
                    reference: Reference::One(NameAddr::new(target.clone())),
                    subscribe: true,
                    target_dialog: None,
                    headers: self.contact_field(),
                    destination: Destination::Routed,
                };
                let sent = sip.refer_in_dialog(now, self.in_call()?, new);
                sent.map(|_| Awaits::ReferDone).map_err(|refused| refused.to_string())
            }
        }
    }

    fn subscribe(
        &mut self,
        now: Now,
        ports: Port<'_, '_>,
        to: &Uri,
        package: &str,
        expires: u32,
    ) -> Result<Awaits, String> {
        let new = NewSubscription {
            resource: to.clone(),
            from: NameAddr::new(self.identity.clone()),
            package: Package::new(package).map_err(|error| error.to_string())?,
            expires,
            headers: self.contact_field(),
            body: None,
            destination: Destination::Routed,
        };
        ports.sip.subscribe(now, new).map_err(|refused| refused.to_string())?;
        Ok(Awaits::Notify)
    }

    fn in_call(&self) -> Result<DialogId, String> {
        self.call.ok_or_else(|| "there is no call".to_owned())
    }

    fn request(&self, method: Method, to: &Uri) -> Request {
        Request::new(method, to.clone()).with_typed(&From::new(self.identity.clone()))
    }

    fn contact(&self) -> Contact {
        Contact::new(self.contact.clone())
    }

    fn contact_field(&self) -> Headers {
        let mut headers = Headers::new();
        headers.push_typed(&self.contact());
        headers
    }

    fn done(&mut self, ports: Port<'_, '_>, result: Result<(), String>) {
        self.awaits = Awaits::Nothing;
        ports.host.event(Told::Done(result));
    }

    /// A request outside of a call, or in one.
    fn requested(
        &mut self,
        now: Now,
        ports: Port<'_, '_>,
        id: RequestId,
        request: Request,
        in_dialog: Option<DialogId>,
    ) {
        let method = request.method().clone();
        let inside = if in_dialog.is_some() { " in the call" } else { "" };
        ports.host.event(Told::Line(format!("{method} came{inside}")));
        if in_dialog.is_none() && matches!(method, Method::Invite | Method::Message) {
            if self.manners.busy_first > 0 {
                self.manners.busy_first -= 1;
                let busy = Response::for_request(&request, StatusCode::SERVICE_UNAVAILABLE);
                return self.answer(
                    now,
                    ports,
                    id,
                    busy.with_typed(&RetryAfter { seconds: 1, duration: None }),
                );
            }
            if let Some(status) = self.manners.refuse {
                return self.answer(now, ports, id, Response::for_request(&request, status));
            }
        }
        match method {
            Method::Invite if in_dialog.is_some() => self.accept(now, ports, id, &request),
            Method::Invite => self.ring(now, ports, id, request),
            Method::Message => {
                let text = String::from_utf8_lossy(request.body()).into_owned();
                ports.host.event(Told::Line(format!("message: {}", text.trim_end())));
                self.answer(now, ports, id, Response::for_request(&request, StatusCode::OK));
                if self.awaits == Awaits::Message {
                    self.done(ports, Ok(()));
                }
            }
            Method::Update => {
                let mut response = Response::for_request(&request, StatusCode::OK);
                if !request.body().is_empty() {
                    put_answer(&mut response, &request, self.sip);
                }
                self.answer(now, ports, id, response);
            }
            _ => self.answer(now, ports, id, Response::for_request(&request, StatusCode::OK)),
        }
    }

    fn ring(&mut self, now: Now, ports: Port<'_, '_>, id: RequestId, request: Request) {
        if self.manners.ring.is_zero() {
            return self.accept(now, ports, id, &request);
        }
        let ringing = Response::for_request(&request, StatusCode::RINGING);
        let rung = if self.manners.reliable && wants_reliable(&request) {
            ports.sip.respond_reliably(now, id, ringing).map(|_| ())
        } else {
            ports.sip.respond(now, id, ringing).map(|_| ())
        };
        if let Err(refused) = rung {
            ports.host.event(Told::Line(format!("180 was not sent: {refused}")));
        }
        self.ringing.insert(id, (now.mono.plus(self.manners.ring), request));
    }

    fn accept(&mut self, now: Now, ports: Port<'_, '_>, id: RequestId, request: &Request) {
        let mut response = Response::for_request(request, StatusCode::OK);
        if request.body().is_empty() {
            put_body(&mut response, &description_body(&offer(self.sip, 1)));
        } else {
            put_answer(&mut response, request, self.sip);
        }
        match ports.sip.accept(now, id, response) {
            Ok(dialog) => self.call = Some(dialog),
            Err(refused) => ports.host.event(Told::Line(format!("the call was not accepted: {refused}"))),
        }
    }

    fn answer(&mut self, now: Now, ports: Port<'_, '_>, id: RequestId, response: Response) {
        let status = response.status();
        match ports.sip.respond(now, id, response) {
            Ok(_) => {
                ports.host.event(Told::Line(format!("answered {status}")));
                ports.host.event(Told::Served);
            }
            Err(refused) => ports.host.event(Told::Line(format!("not answered: {refused}"))),
        }
    }

    fn invited(&mut self, now: Now, ports: Port<'_, '_>, invite: InviteId, dialog: DialogId) {
        let confirmed = ports.sip.confirm(now, dialog, None);
        self.call = Some(dialog);
        ports.host.event(Told::Line("the call is answered".to_owned()));
        if self.awaits == Awaits::Invite(invite) {
            self.done(ports, confirmed.map_err(|refused| refused.to_string()));
        }
    }

    fn sip(&mut self, now: Now, ports: Port<'_, '_>, event: Event) {
        match event {
            Event::Request { id, request, in_dialog, .. } => {
                self.requested(now, ports, id, request, in_dialog)
            }
            Event::Cancelled { id } => self.cancelled_by_peer(now, ports, id),
            Event::Acknowledged { .. } => {
                ports.host.event(Told::Line("the call is confirmed".to_owned()));
                ports.host.event(Told::Served);
                if self.awaits == Awaits::Call {
                    self.done(ports, Ok(()));
                }
            }
            Event::InviteAccepted { invite, dialog, .. } => self.invited(now, ports, invite, dialog),
            Event::InviteProvisional { response, .. } => {
                ports.host.event(Told::Line(format!("{} came", response.status())));
            }
            Event::InviteFailed { invite, response, why } if self.awaits == Awaits::Invite(invite) => {
                self.done(ports, Err(failure(response.as_ref(), why)));
            }
            Event::Response { transaction, response } => self.responded(ports, transaction, &response),
            Event::TransactionFailed { transaction, why }
                if self.awaits == Awaits::Transaction(transaction) =>
            {
                self.done(ports, Err(format!("no answer: {why:?}")));
            }
            Event::DialogEnded { dialog, .. } if self.call == Some(dialog) => {
                self.call = None;
                ports.host.event(Told::Line("the call is over".to_owned()));
                if self.awaits == Awaits::CallOver {
                    self.done(ports, Ok(()));
                }
            }
            Event::Registration { event, .. } => self.registration(ports, event),
            Event::Subscribe { id, .. } => self.subscribed(now, ports, id),
            Event::Notifier { event: NotifierEvent::Ended(why), .. } => {
                ports.host.event(Told::Line(format!("a subscription of the peer ended: {why:?}")));
            }
            Event::Subscriber { event, .. } => self.notified(now, ports, event),
            Event::Refer { id, refer_to, .. } => self.referred(now, ports, id, &refer_to),
            _ => {}
        }
    }

    fn cancelled_by_peer(&mut self, now: Now, ports: Port<'_, '_>, id: RequestId) {
        if let Some((_, request)) = self.ringing.remove(&id) {
            let response = Response::for_request(&request, StatusCode::REQUEST_TERMINATED);
            self.answer(now, ports, id, response);
        }
    }

    fn responded(&mut self, ports: Port<'_, '_>, transaction: TransactionId, response: &Response) {
        let status = response.status();
        ports.host.event(Told::Line(format!("{status} came")));
        if self.awaits == Awaits::Transaction(transaction) {
            let result = if status.is_success() { Ok(()) } else { Err(format!("refused: {status}")) };
            self.done(ports, result);
        }
    }

    fn registration(&mut self, ports: Port<'_, '_>, event: RegistrationEvent) {
        let result = match event {
            RegistrationEvent::Registered(bindings) => {
                ports.host.event(Told::Line(format!("registered for {} s", bindings.expires)));
                Ok(())
            }
            RegistrationEvent::Failed { why, retry_in: Some(time) } => {
                let line =
                    format!("not registered, again in {} ms: {}", time.as_millis(), usage_failure(&why));
                return ports.host.event(Told::Line(line));
            }
            RegistrationEvent::Failed { why, .. } => Err(format!("not registered: {}", usage_failure(&why))),
            RegistrationEvent::Ended => {
                self.registered = None;
                ports.host.event(Told::Line("registered no more".to_owned()));
                Ok(())
            }
        };
        if self.awaits == Awaits::Registration {
            self.done(ports, result);
        }
    }

    fn subscribed(&mut self, now: Now, ports: Port<'_, '_>, id: RequestId) {
        let acceptance = Acceptance {
            authorised: true,
            expires: None,
            min_interval: Duration::ZERO,
            headers: Headers::new(),
            body: Some(text_body("state")),
        };
        match ports.sip.accept_subscription(now, id, acceptance) {
            Ok(_) => {
                ports.host.event(Told::Line("SUBSCRIBE came and is accepted".to_owned()));
                ports.host.event(Told::Served);
            }
            Err(refused) => ports.host.event(Told::Line(format!("not accepted: {}", refused.why))),
        }
    }

    fn notified(&mut self, now: Now, ports: Port<'_, '_>, event: SubscriberEvent) {
        match event {
            SubscriberEvent::Accepted { subscription, .. } => {
                self.subscription = subscription.or(self.subscription)
            }
            SubscriberEvent::Notified { subscription, id, state, notify } => {
                self.subscription = Some(subscription);
                let text = String::from_utf8_lossy(notify.body()).trim_end().to_owned();
                ports.host.event(Told::Line(format!("NOTIFY came: {}, {text}", state.as_str())));
                self.answer(now, ports, id, Response::for_request(&notify, StatusCode::OK));
                if self.awaits == Awaits::Notify {
                    self.done(ports, Ok(()));
                }
            }
            SubscriberEvent::Ended { why, .. } => {
                self.subscription = None;
                ports.host.event(Told::Line(format!("the subscription is over: {why:?}")));
                if matches!(self.awaits, Awaits::Unsubscribed | Awaits::ReferDone) {
                    self.done(ports, Ok(()));
                }
            }
            SubscriberEvent::Failed { why, .. } => {
                if matches!(self.awaits, Awaits::Notify | Awaits::Unsubscribed | Awaits::ReferDone) {
                    self.done(ports, Err(usage_failure(&why)));
                }
            }
        }
    }

    fn referred(&mut self, now: Now, ports: Port<'_, '_>, id: RequestId, refer_to: &cpm_sip::ReferTo) {
        ports.host.event(Told::Line(format!("REFER came: {}", refer_to.uri())));
        let acceptance = ReferAcceptance { subscribe: true, expires: 60, headers: Headers::new() };
        match ports.sip.accept_refer(now, id, acceptance) {
            Ok(Some(notifier)) => {
                // It is not followed: what is to be seen is that its end is told.
                let told = ports.sip.report_refer(now, notifier, StatusCode::OK);
                ports.host.event(Told::Line(format!("told how it ended: {}", told.is_ok())));
            }
            Ok(None) => {}
            Err(refused) => ports.host.event(Told::Line(format!("not accepted: {}", refused.why))),
        }
        ports.host.event(Told::Served);
    }
}

impl Function for Phone {
    type Event = Told;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Told>) {
        if let Input::Sip(event) = input {
            self.sip(now, ports, event);
        }
    }

    fn handle_timeout(&mut self, now: Now, ports: &mut Ports<'_, Told>) {
        let due: Vec<RequestId> =
            self.ringing.iter().filter(|(_, (at, _))| *at <= now.mono).map(|(id, _)| *id).collect();
        for id in due {
            if let Some((_, request)) = self.ringing.remove(&id) {
                self.accept(now, ports, id, &request);
            }
        }
        if matches!(self.awaits, Awaits::Time(at) if at <= now.mono) {
            self.done(ports, Ok(()));
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let rings = self.ringing.values().map(|(at, _)| *at).min();
        let waits = if let Awaits::Time(at) = self.awaits { Some(at) } else { None };
        rings.into_iter().chain(waits).min()
    }
}

fn failure(response: Option<&Response>, why: InviteFailure) -> String {
    match response {
        Some(response) => format!("refused: {}", response.status()),
        None => format!("no answer: {why:?}"),
    }
}

fn usage_failure(why: &UsageFailure) -> String {
    match why {
        UsageFailure::Rejected(response) => format!("refused: {}", response.status()),
        other => format!("{other:?}"),
    }
}

fn wants_reliable(request: &Request) -> bool {
    let supported = request.typed_list::<Supported>().unwrap_or_default();
    let required = request.typed_list::<Require>().unwrap_or_default();
    supported.iter().any(|tag| tag.as_str() == "100rel")
        || required.iter().any(|tag| tag.as_str() == "100rel")
}

fn text_body(text: &str) -> Body {
    Body { content_type: HeaderText::sanitized("text/plain"), octets: Bytes::from(text.to_owned()) }
}

fn description_body(description: &str) -> Body {
    let octets = Bytes::from(description.to_owned());
    Body { content_type: HeaderText::sanitized("application/sdp"), octets }
}

/// One audio stream to nowhere (the discard port): calls are made here, not sound.
fn offer(at: SocketAddr, version: u32) -> String {
    format!("{}m=audio 9 RTP/AVP 0\r\n", session(at, version))
}

fn session(at: SocketAddr, version: u32) -> String {
    let kind = if at.is_ipv4() { "IP4" } else { "IP6" };
    let ip = at.ip();
    format!("v=0\r\no=- 1 {version} IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\n")
}

/// Every stream of the offer with its formats, to nowhere.
fn answer_to(offer: &[u8], at: SocketAddr) -> String {
    let mut answer = session(at, 1);
    for line in String::from_utf8_lossy(offer).lines().filter_map(|line| line.strip_prefix("m=")) {
        let mut words = line.split(' ');
        let (media, rest) = (words.next().unwrap_or("audio"), words.skip(1).collect::<Vec<_>>().join(" "));
        answer.push_str(&format!("m={media} 9 {rest}\r\n"));
    }
    answer
}

fn put_answer(response: &mut Response, request: &Request, at: SocketAddr) {
    put_body(response, &description_body(&answer_to(request.body(), at)));
}

/// What has header fields and a body.
trait Carries {
    fn put(&mut self, content_type: HeaderText, octets: Bytes);
}

impl Carries for Request {
    fn put(&mut self, content_type: HeaderText, octets: Bytes) {
        self.headers_mut().push(HeaderName::ContentType, content_type);
        self.set_body(octets);
    }
}

impl Carries for Response {
    fn put(&mut self, content_type: HeaderText, octets: Bytes) {
        self.headers_mut().push(HeaderName::ContentType, content_type);
        self.set_body(octets);
    }
}

fn put_body(message: &mut impl Carries, body: &Body) {
    message.put(body.content_type.clone(), body.octets.clone());
}
