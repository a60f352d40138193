//! Registrations (RFC 3261 §10.2, RFC 5626, RFC 5627, RFC 3327, RFC 3608): several bindings of one address at one
//! registrar, kept alive.

use super::Endpoint;
use super::lease::{Lease, UsageFailure};
use crate::error::{Refusal, Refused};
use crate::event::{Destination, Event, RegistrationId, TransactionFailure};
use crate::usages::UsageKey;
use crate::usages::soft_state::{self, Effect, State};
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{FlowId, Instant, Now};
use cpm_sip::{
    CSeq, CallId, Contact, ContactAddr, Expires, FlowTimer, From, Headers, Method, NameAddr, PAssociatedUri,
    Path, Request, Require, Response, Route, ServiceRoute, To, Uri,
};

/// What is to be registered, and where.
#[derive(Debug, Clone)]
pub struct NewRegistration {
    /// The registrar: the Request-URI.
    pub registrar: Uri,
    /// The address-of-record: To and From.
    pub address: NameAddr,
    /// The bindings, with what they say of the device (`+sip.instance`, `reg-id`, feature tags, `q`). At least one.
    pub contacts: Vec<ContactAddr>,
    /// The lifetime that is asked for, in seconds; at least 1.
    pub expires: u32,
    /// More header fields of each REGISTER (Supported, P-Access-Network-Info, Security-Client ...).
    pub headers: Headers,
    /// Route of each REGISTER: the edge proxies (RFC 5626 §4.2), the P-CSCF.
    pub routes: Vec<Route>,
    /// The way of each REGISTER.
    pub destination: Destination,
}

/// One of our own bindings as the registrar has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The Contact of the response.
    pub contact: ContactAddr,
    /// Seconds that it lives from now.
    pub expires: u32,
    /// Its public GRUU (RFC 5627 §4.2).
    pub pub_gruu: Option<Uri>,
    /// Its newest temporary GRUU.
    pub temp_gruu: Option<Uri>,
}

/// What the 2xx to a REGISTER says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bindings {
    /// Seconds from the response on: the least of our own bindings.
    pub expires: u32,
    /// Our own bindings.
    pub own: Vec<Binding>,
    /// The bindings of other devices.
    pub others: Vec<ContactAddr>,
    /// Path as the registrar stored it (RFC 3327 §5.3).
    pub path: Vec<Path>,
    /// Route of initial requests (RFC 3608 §6.1).
    pub service_route: Vec<ServiceRoute>,
    /// The addresses that the network knows the user by (RFC 7315 §4.1); the first is the default.
    pub associated: Vec<PAssociatedUri>,
    /// The registrar does RFC 5626.
    pub outbound: bool,
    /// Seconds in which the edge proxy wants to hear of us (RFC 5626 §10): a stream flow is kept alive as
    /// [`Endpoint::keep_alive`] does, as long as the registration stands on it. Datagrams need STUN, the host's work.
    pub flow_timer: Option<u32>,
}

/// What happened to a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationEvent {
    /// It stands, from its first REGISTER or a refresh.
    Registered(Bindings),
    /// A REGISTER failed. With a time, it is tried again by itself then; without, it rests until
    /// [`renew_registration`](Endpoint::renew_registration).
    Failed {
        /// Why.
        why: UsageFailure,
        /// The wait until the next try.
        retry_in: Option<Duration>,
    },
    /// De-registered. The handle can register again.
    Ended,
}

/// A registration, kept as plain data.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) wanted: NewRegistration,
    /// Bindings that the next REGISTER removes.
    pub(super) leaving: Vec<ContactAddr>,
    /// Those of them that the REGISTER under way removes.
    removing: Vec<ContactAddr>,
    /// The same for all REGISTERs (RFC 3261 §10.2.4).
    pub(super) call_id: CallId,
    pub(super) cseq: u32,
    pub(super) lease: Lease,
    pub(super) bindings: Option<Bindings>,
    /// The flow that the last good REGISTER went on.
    pub(super) flow: Option<FlowId>,
}

impl Endpoint {
    /// Registers, and keeps the registration alive: refreshes it in time, tries again what failed for now, and when its
    /// flow is lost. What happens comes as [`Event::Registration`].
    ///
    /// # Errors
    /// No contact, no lifetime, no way to the registrar, too many registrations or transactions; the endpoint is draining.
    pub fn register(
        &mut self,
        now: Now,
        new: NewRegistration,
    ) -> Result<RegistrationId, Refused<NewRegistration>> {
        let (held, max) = (self.usages.registrations.len(), self.config.limits.max_registrations);
        let refusal = match self.may_begin().and_then(|()| Endpoint::room("reg.max", held, max)) {
            Err(why) => Some(why),
            Ok(()) if new.contacts.is_empty() => Some(Refusal::Missing("Contact")),
            Ok(()) if new.expires == 0 => Some(Refusal::Missing("Expires")),
            Ok(()) => None,
        };
        let call_id = CallId::new(&self.random.public_token(26));
        let (None, Ok(call_id)) = (&refusal, call_id) else {
            return Err(Refused::new(refusal.unwrap_or(Refusal::Missing("Call-ID")), new));
        };
        let id = RegistrationId(self.next_id());
        let lease = Lease::new(new.expires);
        let (leaving, removing) = (Vec::new(), Vec::new());
        let registration = Registration {
            wanted: new,
            leaving,
            removing,
            call_id,
            cseq: 0,
            lease,
            bindings: None,
            flow: None,
        };
        self.usages.registrations.insert(id, registration);
        match self.command_registration(now, id, soft_state::Event::Put) {
            Ok(()) => Ok(id),
            Err(why) => match self.usages.registrations.remove(&id) {
                Some(registration) => Err(Refused::new(why, registration.wanted)),
                // It is there: nothing in between takes it.
                None => Ok(id),
            },
        }
    }

    /// Sends a REGISTER now: a refresh, another try, or after the end.
    ///
    /// # Errors
    /// [`Refusal::Busy`]: one is under way. There is no way to the registrar, too many transactions.
    pub fn renew_registration(&mut self, now: Now, id: RegistrationId) -> Result<(), Refusal> {
        self.command_registration(now, id, soft_state::Event::Put)
    }

    /// Registers these contacts in place of the ones before: after a change of address or abilities. Contacts that are
    /// not among them, by instance and flow or by URI, are removed in the same REGISTER. While a REGISTER is under way,
    /// the next follows its answer.
    ///
    /// # Errors
    /// No contact; the registration is over or being ended; like [`register`](Endpoint::register).
    pub fn rebind(
        &mut self,
        now: Now,
        id: RegistrationId,
        contacts: Vec<ContactAddr>,
    ) -> Result<(), Refused<Vec<ContactAddr>>> {
        let Some(registration) = self.usages.registrations.get_mut(&id) else {
            return Err(Refused::new(Refusal::Gone, contacts));
        };
        if contacts.is_empty() {
            return Err(Refused::new(Refusal::Missing("Contact"), contacts));
        }
        if registration.lease.state == State::Removing {
            return Err(Refused::new(Refusal::Busy, contacts));
        }
        let before = core::mem::replace(&mut registration.wanted.contacts, contacts);
        let kept = &registration.wanted.contacts;
        registration.leaving.retain(|old| !kept.iter().any(|new| same_binding(old, new)));
        registration
            .leaving
            .extend(before.iter().filter(|old| !kept.iter().any(|new| same_binding(old, new))).cloned());
        if registration.lease.is_busy() {
            registration.lease.dirty = true;
            return Ok(());
        }
        self.command_registration(now, id, soft_state::Event::Put).map_err(|why| {
            let held = self.usages.registrations.get_mut(&id);
            let given = held.map(|held| {
                held.leaving.retain(|leaving| !before.iter().any(|old| same_binding(old, leaving)));
                core::mem::replace(&mut held.wanted.contacts, before)
            });
            Refused::new(why, given.unwrap_or_default())
        })
    }

    /// Removes the bindings from the registrar. The handle stays, for [`renew_registration`](Endpoint::renew_registration)
    /// or [`forget_registration`](Endpoint::forget_registration).
    ///
    /// # Errors
    /// [`Refusal::Busy`]: a REGISTER is under way. There is no way to the registrar, too many transactions.
    pub fn deregister(&mut self, now: Now, id: RegistrationId) -> Result<(), Refusal> {
        self.command_registration(now, id, soft_state::Event::Remove)
    }

    /// Lets go of a registration without a word to the registrar. `false` when there is none.
    pub fn forget_registration(&mut self, id: RegistrationId) -> bool {
        self.set_usage_alarm(UsageKey::Registration(id), None);
        let known = self.usages.registrations.remove(&id);
        if let Some(flow) = known.as_ref().and_then(|known| known.flow) {
            self.keep_no_more(flow);
        }
        self.watch_drain();
        known.is_some()
    }

    /// Whether a REGISTER has no answer yet: what the registrar said last is about to change.
    #[must_use]
    pub fn is_registering(&self, id: RegistrationId) -> bool {
        self.usages.registrations.get(&id).is_some_and(|registration| registration.lease.is_busy())
    }

    /// What the registrar said last; `None` when nothing is registered.
    #[must_use]
    pub fn bindings(&self, id: RegistrationId) -> Option<&Bindings> {
        self.usages.registrations.get(&id)?.bindings.as_ref()
    }

    fn command_registration(
        &mut self,
        now: Now,
        id: RegistrationId,
        event: soft_state::Event,
    ) -> Result<(), Refusal> {
        let Some(registration) = self.usages.registrations.get_mut(&id) else { return Err(Refusal::Gone) };
        let before = registration.lease.clone();
        let (state, effect) = soft_state::step(before.state, event);
        if effect == Effect::Busy {
            return Err(Refusal::Busy);
        }
        registration.lease.state = state;
        let result = self.send_register(now, id, effect);
        if result.is_err()
            && let Some(registration) = self.usages.registrations.get_mut(&id)
        {
            registration.lease = before;
        }
        self.schedule_registration(id);
        self.settle(now);
        result
    }

    /// Sends a REGISTER as an effect says.
    fn send_register(&mut self, now: Now, id: RegistrationId, effect: Effect) -> Result<(), Refusal> {
        let Some(registration) = self.usages.registrations.get_mut(&id) else { return Ok(()) };
        if effect != Effect::SendLonger {
            registration.lease.begins(effect == Effect::SendRemoval);
        }
        registration.cseq = registration.cseq.saturating_add(1).min(CSeq::MAX);
        registration.removing.clone_from(&registration.leaving);
        let request = registration.request();
        let destination = registration.wanted.destination.clone();
        self.schedule_registration(id);
        self.send_for_usage(now, UsageKey::Registration(id), request, &destination)
    }

    pub(super) fn registration_answered(
        &mut self,
        now: Now,
        id: RegistrationId,
        flow: Option<FlowId>,
        response: Response,
    ) {
        let Some(registration) = self.usages.registrations.get_mut(&id) else { return };
        let bindings = registration.read(&response);
        let event = registration.lease.verdict(&response, bindings.expires);
        let why = match event {
            soft_state::Event::Granted => {
                let (before, every) = (registration.flow, bindings.flow_timer);
                registration.flow = flow;
                registration.bindings = Some(bindings);
                let removed = core::mem::take(&mut registration.removing);
                registration.leaving.retain(|contact| !removed.contains(contact));
                if let Some(before) = before.filter(|before| Some(*before) != flow) {
                    self.keep_no_more(before);
                }
                if let Some(flow) = flow {
                    self.keep_for_registration(now, flow, every);
                }
                None
            }
            soft_state::Event::GrantedNothing => Some(UsageFailure::GrantedNothing(response.into())),
            _ => Some(UsageFailure::Rejected(response.into())),
        };
        self.registration_moves(now, id, event, why);
    }

    pub(super) fn registration_unanswered(&mut self, now: Now, id: RegistrationId, why: TransactionFailure) {
        let why = UsageFailure::NoAnswer(why);
        self.registration_moves(now, id, soft_state::Event::FailedForNow, Some(why));
    }

    pub(super) fn registration_due(&mut self, now: Now, id: RegistrationId) {
        self.registration_moves(now, id, soft_state::Event::Due, None);
    }

    /// The flow is gone (RFC 5626 §4.5): what stands on it is registered anew at once; when it did not stand for a while,
    /// after a wait, as a server that closes what it accepted would be asked at the speed of the net.
    pub(super) fn registrations_lost_flow(&mut self, now: Now, flow: FlowId) {
        let patience = self.config.refresh.retry_base;
        let on_it = self.usages.registrations.iter_mut().filter(|(_, r)| r.flow == Some(flow));
        let mut hit = Vec::new();
        for (id, registration) in on_it {
            registration.flow = None;
            if registration.lease.state == State::Standing {
                let since = registration.lease.granted_at.unwrap_or(Instant::ZERO);
                hit.push((*id, now.mono.since(since) >= patience));
            }
        }
        for (id, stood) in hit {
            self.metrics.count("ua.registrations_lost_flow");
            if stood {
                self.registration_moves(now, id, soft_state::Event::FlowLost, None);
            } else if let Some(registration) = self.usages.registrations.get_mut(&id) {
                registration.lease.state = State::Waiting;
                let why = UsageFailure::NoAnswer(TransactionFailure::Transport);
                self.registration_fails(now, id, why, true);
            }
        }
    }

    /// One event for the machine, and what follows from it.
    fn registration_moves(
        &mut self,
        now: Now,
        id: RegistrationId,
        event: soft_state::Event,
        why: Option<UsageFailure>,
    ) {
        let Some(registration) = self.usages.registrations.get_mut(&id) else { return };
        let (state, effect) = soft_state::step(registration.lease.state, event);
        registration.lease.state = state;
        match effect {
            Effect::Send | Effect::SendLonger | Effect::SendAnew | Effect::SendRemoval => {
                if let Err(why) = self.send_register(now, id, effect) {
                    let why = Some(UsageFailure::Refused(why));
                    self.registration_moves(now, id, soft_state::Event::FailedForNow, why);
                }
            }
            Effect::Stands => self.registration_stands(now, id),
            Effect::FailsForNow | Effect::FailsForGood => {
                let why = why.unwrap_or(UsageFailure::NoAnswer(TransactionFailure::Transport));
                self.registration_fails(now, id, why, effect == Effect::FailsForNow);
            }
            Effect::Over => {
                registration.lease.is_over();
                registration.bindings = None;
                if let Some(flow) = registration.flow.take() {
                    self.keep_no_more(flow);
                }
                self.tell_registration(id, RegistrationEvent::Ended);
            }
            Effect::Nothing | Effect::Busy => {}
        }
        self.schedule_registration(id);
    }

    fn registration_stands(&mut self, now: Now, id: RegistrationId) {
        let Some(registration) = self.usages.registrations.get(&id) else { return };
        let bindings = registration.bindings.clone().unwrap_or_default();
        let refresh = self.refresh_after(bindings.expires);
        let Some(registration) = self.usages.registrations.get_mut(&id) else { return };
        registration.lease.stands(now, bindings.expires, refresh);
        let dirty = registration.lease.dirty;
        self.tell_registration(id, RegistrationEvent::Registered(bindings));
        if dirty {
            self.registration_moves(now, id, soft_state::Event::Put, None);
        }
    }

    fn registration_fails(&mut self, now: Now, id: RegistrationId, why: UsageFailure, again: bool) {
        let Some(registration) = self.usages.registrations.get_mut(&id) else { return };
        let retry_in = if again {
            let failures = registration.lease.fails();
            let others = self.others_stand(id);
            Some(self.retry_wait(failures, others, &why))
        } else {
            None
        };
        let Some(registration) = self.usages.registrations.get_mut(&id) else { return };
        match retry_in {
            Some(wait) => registration.lease.wait(now, wait),
            None => {
                registration.lease.is_over();
                registration.bindings = None;
                if let Some(flow) = registration.flow.take() {
                    self.keep_no_more(flow);
                }
            }
        }
        self.schedule_registration(id);
        self.tell_registration(id, RegistrationEvent::Failed { why, retry_in });
    }

    /// Whether the same address is registered over another flow (RFC 5626 §4.5).
    fn others_stand(&self, id: RegistrationId) -> bool {
        let Some(own) = self.usages.registrations.get(&id) else { return false };
        self.usages.registrations.iter().any(|(other, registration)| {
            *other != id
                && matches!(registration.lease.state, State::Standing | State::Refreshing)
                && registration.wanted.address.uri().equivalent(own.wanted.address.uri())
        })
    }

    fn tell_registration(&mut self, registration: RegistrationId, event: RegistrationEvent) {
        self.event(Event::Registration { registration, event });
    }

    pub(super) fn schedule_registration(&mut self, id: RegistrationId) {
        let at = self.usages.registrations.get(&id).and_then(|registration| registration.lease.next());
        self.set_usage_alarm(UsageKey::Registration(id), at);
    }
}

impl Registration {
    /// One that was kept elsewhere, on no flow yet.
    pub(super) fn restored(
        wanted: NewRegistration,
        leaving: Vec<ContactAddr>,
        call_id: CallId,
        cseq: u32,
        lease: Lease,
        bindings: Option<Bindings>,
    ) -> Registration {
        Registration { wanted, leaving, removing: Vec::new(), call_id, cseq, lease, bindings, flow: None }
    }

    fn request(&self) -> Request {
        let wanted = &self.wanted;
        let mut request = Request::new(Method::Register, wanted.registrar.clone());
        let headers = request.headers_mut();
        headers.set_typed_list(&wanted.routes);
        headers.push_typed(&From::new(wanted.address.clone()));
        headers.push_typed(&To::new(wanted.address.clone()));
        headers.push_typed(&self.call_id);
        headers.push_typed(&CSeq::new(self.cseq, Method::Register));
        for contact in &wanted.contacts {
            headers.push_typed(&Contact::Addr(contact.clone()));
        }
        for contact in &self.leaving {
            headers.push_typed(&Contact::Addr(contact.clone().with_expires(0)));
        }
        headers.push_typed(&Expires(self.lease.asked));
        super::dialogs::add_fields(&mut request, &wanted.headers, None);
        request
    }

    /// What a 2xx says of the bindings.
    fn read(&self, response: &Response) -> Bindings {
        if !response.status().is_success() {
            return Bindings::default();
        }
        let general = response.typed::<Expires>().ok().flatten().map_or(self.lease.asked, |field| field.0);
        let contacts = response.typed_list::<Contact>().unwrap_or_default();
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for contact in contacts.into_iter().filter_map(|contact| contact.as_addr().cloned()) {
            if self.wanted.contacts.iter().any(|wanted| same_binding(wanted, &contact)) {
                own.push(Binding {
                    expires: contact.expires().unwrap_or(general),
                    pub_gruu: contact.pub_gruu(),
                    temp_gruu: contact.temp_gruu(),
                    contact,
                });
            } else {
                others.push(contact);
            }
        }
        let requires = response.typed_list::<Require>().unwrap_or_default();
        Bindings {
            expires: own.iter().map(|binding| binding.expires).min().unwrap_or(general),
            own,
            others,
            path: response.typed_list().unwrap_or_default(),
            service_route: response.typed_list().unwrap_or_default(),
            associated: response.typed_list().unwrap_or_default(),
            outbound: requires.iter().any(|tag| tag.as_str().eq_ignore_ascii_case("outbound")),
            flow_timer: response.typed::<FlowTimer>().ok().flatten().map(|timer| timer.0),
        }
    }
}

/// Whether a registrar takes both for one binding: the same flow of the same device (RFC 5626 §6), else, where one of them
/// names no device, the same URI.
fn same_binding(a: &ContactAddr, b: &ContactAddr) -> bool {
    match (a.params().get("+sip.instance"), b.params().get("+sip.instance")) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other) && a.reg_id() == b.reg_id(),
        _ => a.uri().equivalent(b.uri()),
    }
}
