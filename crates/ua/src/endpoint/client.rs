//! Client transactions: sending, matching responses (RFC 3261 §17.1.3), CANCEL (§9.1). What becomes of an attempt that came to
//! nothing is in `client/elsewhere.rs`.

mod absorbing;
mod elsewhere;

pub(super) use absorbing::Known;

use super::Endpoint;
use super::fingerprint::{Fingerprint, fingerprint};
use super::outgoing::Hop;
use super::via::{new_branch, own_via};
use crate::correlation::Correlation;
use crate::event::{DialogId, InviteId, ProxyId, TransactionFailure, TransactionId};
use crate::flows::{Departure, Flow, Parcel};
use crate::timers::TimerKey;
use crate::transaction::invite_client::{self, InviteClient};
use crate::transaction::non_invite_client::{self, NonInviteClient};
use crate::transaction::{Alarms, Effects, Failure};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use bytes::Bytes;
use cpm_base::{FlowId, Instant, Now, Target};
use cpm_sip::{CSeq, CSeqRef, HeaderName, Headers, MaxForwards, Method, Request, Response, StatusCode};

/// Whom a client transaction works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// `send_request`.
    Function,
    /// `send_in_dialog`.
    Dialog(DialogId),
    /// `update`, and the refresh of a session.
    Update(DialogId),
    /// PRACK.
    Prack(DialogId),
    /// `bye`.
    Bye(DialogId),
    /// `invite`.
    Invite(InviteId),
    /// A branch of a proxied request.
    Branch(ProxyId, usize),
    /// A registration, a publication, a subscription.
    Usage(crate::usages::UsageKey),
    /// Nobody: CANCEL, and the BYE that the endpoint sends for itself.
    Nobody,
}

/// The transaction machine.
#[derive(Debug, Clone, Copy)]
enum Machine {
    Invite(InviteClient),
    NonInvite(NonInviteClient),
}

impl Machine {
    fn alarms(&self) -> Alarms {
        match self {
            Machine::Invite(machine) => machine.alarms(),
            Machine::NonInvite(machine) => machine.alarms(),
        }
    }

    fn terminated(&self) -> bool {
        match self {
            Machine::Invite(machine) => machine.state() == invite_client::State::Terminated,
            Machine::NonInvite(machine) => machine.state() == non_invite_client::State::Terminated,
        }
    }
}

/// One try on one flow; a next target gets a new one with a new branch.
#[derive(Debug)]
struct Attempt {
    flow: FlowId,
    branch: String,
    /// What it is found by.
    key: Fingerprint,
    machine: Machine,
    /// The request as it was sent, for retransmission: on datagram flows alone.
    copy: Option<Bytes>,
    /// The ACK for a final response other than 2xx.
    ack: Option<Bytes>,
}

/// Whether an INVITE shall be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancel {
    No,
    /// As soon as a provisional response comes (RFC 3261 §9.1).
    Wanted,
    Sent,
}

/// A client transaction.
#[derive(Debug)]
pub(super) struct Client {
    user: User,
    pub(super) correlation: Option<Correlation>,
    method: Method,
    /// The request; with our Via on top once an attempt runs. Gone once nothing is made of it any more.
    request: Option<Request>,
    /// The final response is still to come.
    waits: bool,
    pub(super) targets: VecDeque<Target>,
    /// Where it waits for something else to end first (a BYE for the ACK).
    held: Option<Hop>,
    attempt: Option<Attempt>,
    cancel: Cancel,
    /// What its CANCEL says beyond what every CANCEL has (Reason).
    cancel_headers: Option<Box<Headers>>,
    /// Until when a flow has to be there, or a cancelled INVITE has to be answered.
    wait_until: Option<Instant>,
    timer_c: Option<Instant>,
    provisional: bool,
    /// A provisional response other than 100 was handed up: what comes next on this way is the function's to judge.
    told: bool,
    /// Challenges that were answered.
    attempts: Option<Box<cpm_auth::Attempts>>,
}

impl Client {
    /// The request, until it is sent for the last time or answered.
    pub(super) fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Whether another target may be tried after this one refused service (RFC 3263 §4.3).
    fn may_go_elsewhere(&self) -> bool {
        self.waits() && !self.told && self.cancel == Cancel::No && !self.targets.is_empty()
    }

    /// The flow that the request was sent on last.
    pub(super) fn flow(&self) -> Option<FlowId> {
        self.attempt.as_ref().map(|attempt| attempt.flow)
    }

    /// The count of answered challenges.
    pub(super) fn attempts_mut(&mut self) -> &mut cpm_auth::Attempts {
        self.attempts.get_or_insert_default()
    }

    pub(super) fn is_on(&self, flow: FlowId) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.flow == flow)
    }

    /// What is left of a transaction whose user went elsewhere: the machine that absorbs (and acknowledges) copies.
    fn remainder(method: Method, attempt: Attempt) -> Client {
        Client {
            user: User::Nobody,
            correlation: None,
            method,
            request: None,
            waits: false,
            targets: VecDeque::new(),
            held: None,
            attempt: Some(Attempt { copy: None, ..attempt }),
            cancel: Cancel::No,
            cancel_headers: None,
            wait_until: None,
            timer_c: None,
            provisional: true,
            told: false,
            attempts: None,
        }
    }

    fn is_invite(&self) -> bool {
        self.method == Method::Invite
    }

    /// Whether the final response is still to come.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// The request as it is sent on a link. It is given away when nothing else will be made of it: no ACK and no CANCEL, no
    /// answer to a challenge, and no other target to try.
    fn hand_over(&mut self) -> Option<Request> {
        let last = matches!(self.user, User::Branch(..)) && !self.is_invite() && self.targets.is_empty();
        if last { self.request.take() } else { self.request.clone() }
    }

    fn next_alarm(&self) -> Option<Instant> {
        let machine = self.attempt.as_ref().and_then(|attempt| attempt.machine.alarms().next());
        [machine, self.wait_until, self.timer_c].into_iter().flatten().min()
    }
}

impl Endpoint {
    /// Begins a client transaction: from here on it ends in exactly one final response or failure.
    pub(super) fn begin_client(&mut self, now: Now, user: User, request: Request, hop: Hop) -> TransactionId {
        let id = self.insert_client(now, user, request);
        self.send_off(now, Departure::Client(id), hop);
        // Set at once for most; the deadline of what waits for a flow is set here.
        self.schedule_client(id);
        id
    }

    /// The client transaction of an INVITE, before it is sent off: what happens to it then is its INVITE's business.
    pub(super) fn begin_invite_client(
        &mut self,
        now: Now,
        invite: InviteId,
        request: Request,
    ) -> TransactionId {
        let id = self.insert_client(now, User::Invite(invite), request);
        self.schedule_client(id);
        id
    }

    /// The same for a request that waits for [`release_held`](Endpoint::release_held).
    pub(super) fn begin_held(&mut self, now: Now, user: User, request: Request, hop: Hop) -> TransactionId {
        let id = self.insert_client(now, user, request);
        if let Some(client) = self.clients.get_mut(&id) {
            client.held = Some(hop);
            client.wait_until = None;
        }
        self.schedule_client(id);
        id
    }

    /// Sends what was held.
    pub(super) fn release_held(&mut self, now: Now, id: TransactionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        if let Some(hop) = client.held.take() {
            client.wait_until = Some(now.mono.plus(self.config.timers.patience()));
            self.schedule_client(id);
            self.send_off(now, Departure::Client(id), hop);
        }
    }

    /// Holds a new transaction; its deadline is left to the caller.
    fn insert_client(&mut self, now: Now, user: User, mut request: Request) -> TransactionId {
        if !matches!(user, User::Branch(..) | User::Nobody) {
            self.sign_ahead(&mut request);
        }
        let correlation = Correlation::of_message(request.headers());
        self.actions.about(correlation);
        let id = TransactionId(self.next_id());
        let client = Client {
            user,
            correlation,
            method: request.method().clone(),
            request: Some(request),
            waits: true,
            targets: VecDeque::new(),
            held: None,
            attempt: None,
            cancel: Cancel::No,
            cancel_headers: None,
            wait_until: Some(now.mono.plus(self.config.timers.patience())),
            timer_c: None,
            provisional: false,
            told: false,
            attempts: None,
        };
        self.clients.insert(id, Box::new(client));
        id
    }

    /// A flow is there: the request goes out with a Via of its own.
    pub(super) fn start_attempt(&mut self, now: Now, id: TransactionId, flow: FlowId) {
        match self.dress(id, flow) {
            Some(branch) => self.launch(now, id, flow, branch),
            None => self.stranded(now, Departure::Client(id)),
        }
    }

    /// What depends on the flow goes into the request, and out of it; our Via goes on top. Says its branch; `None` when the flow
    /// is not open.
    fn dress(&mut self, id: TransactionId, flow: FlowId) -> Option<String> {
        let known = self.flows.get(flow)?;
        let client = self.clients.get_mut(&id)?;
        let request = client.request.as_mut()?;
        if self.config.identity.enforce {
            crate::identity::reveal(request.headers_mut(), known.info.trust, &self.config.identity);
        }
        let mut mark = None;
        if let User::Branch(proxy, index) = client.user
            && let Some(proxy) = self.proxies.get_mut(&proxy)
        {
            mark = Some(proxy.loop_mark);
            proxy.record_path(index, request.headers_mut(), known.info.transport, &self.config.sent_by);
        }
        let branch = new_branch(&mut self.random, mark);
        let via = own_via(&self.config, known, &branch);
        request.headers_mut().prepend_text(HeaderName::Via, &via).ok()?;
        Some(branch)
    }

    /// Sends the request, Via and all, and starts the machine.
    fn launch(&mut self, now: Now, id: TransactionId, flow: FlowId, branch: String) {
        let values = self.config.timers;
        let known = self.flows.get(flow);
        let (reliable, link) = (known.is_some_and(Flow::reliable), known.is_some_and(Flow::is_link));
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Some(request) = client.request.as_mut() else { return };
        if reliable {
            request.ensure_content_length();
            // The connection is there: the same host over UDP was for want of one.
            let remote = known.map(|known| known.info.peer);
            let spare = |next: &Target| !next.transport.is_stream() && Some(next.remote) == remote;
            if client.targets.front().is_some_and(spare) {
                client.targets.pop_front();
            }
        }
        let sent = if link {
            let Some(request) = client.hand_over() else { return };
            Parcel::Message(Box::new(request.into()))
        } else {
            Parcel::Octets(request.to_bytes())
        };
        let invite = client.method == Method::Invite;
        let machine = if invite {
            Machine::Invite(InviteClient::start(now.mono, &values, reliable))
        } else {
            Machine::NonInvite(NonInviteClient::start(now.mono, &values, reliable))
        };
        client.wait_until = None;
        client.timer_c = invite.then(|| now.mono.plus(values.timer_c));
        let copy = match &sent {
            Parcel::Octets(octets) if !reliable => Some(octets.clone()),
            _ => None,
        };
        let key = branch_key(self.hash_key, &branch, client.method.as_str());
        client.attempt = Some(Attempt { flow, branch, key, machine, copy, ack: None });
        self.timers.set(TimerKey::Client(id), client.next_alarm());
        self.by_branch.insert(key, Known::Live(id));
        self.metrics.count("ua.requests_sent");
        if !self.transmit(flow, sent) {
            self.client_flow_gone(now, id);
        }
    }

    /// The request of a transaction that may be sent again in other words, without our Via, and whom it works for.
    pub(super) fn challengeable(&self, id: TransactionId) -> Option<(User, Request)> {
        let client = self.clients.get(&id)?;
        if matches!(client.user, User::Branch(..) | User::Nobody) || client.cancel != Cancel::No {
            return None;
        }
        let mut request = client.request.clone()?;
        request.headers_mut().pop_first_value(&HeaderName::Via);
        Some((client.user, request))
    }

    /// Sends a request in place of the one that has just got its final response, on the same flow. For its user it is the
    /// same transaction; what is left of the first absorbs copies of the response.
    pub(super) fn again(&mut self, now: Now, id: TransactionId, request: Request) {
        let patience = self.config.timers.patience();
        let flow = self.shed_attempt(id);
        let Some(client) = self.clients.get_mut(&id) else { return };
        (client.request, client.waits) = (Some(request), true);
        (client.provisional, client.told) = (false, false);
        client.timer_c = None;
        client.wait_until = Some(now.mono.plus(patience));
        self.schedule_client(id);
        match flow {
            Some(flow) => self.start_attempt(now, id, flow),
            None => self.stranded(now, Departure::Client(id)),
        }
    }

    /// The client transaction that a response belongs to.
    pub(super) fn find_client(&self, branch: &str, cseq: CSeqRef<'_>) -> Option<Known> {
        self.by_branch.get(&branch_key(self.hash_key, branch, cseq.method())).copied()
    }

    /// A response for this transaction came.
    pub(super) fn client_response(&mut self, now: Now, id: TransactionId, response: Response) {
        let status = response.status();
        let (invite, other) = if status.is_provisional() {
            (invite_client::Event::Provisional, non_invite_client::Event::Provisional)
        } else if status.is_success() {
            (invite_client::Event::Success, non_invite_client::Event::Final)
        } else {
            (invite_client::Event::Failure, non_invite_client::Event::Final)
        };
        if let Some(client) = self.clients.get_mut(&id)
            && client.is_invite()
            && client.attempt.as_ref().is_some_and(|attempt| attempt.ack.is_none())
            && status.is_final()
            && !status.is_success()
        {
            let ack = client.request.as_ref().map(|request| acknowledge(request, &response).to_bytes());
            if let Some(attempt) = client.attempt.as_mut() {
                attempt.ack = ack;
            }
        }
        let effects = self.step_client(now, id, invite, other);
        if !effects.deliver {
            self.metrics.count("ua.retransmissions_absorbed");
            return self.tidy_client(id);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE
            && self.clients.get(&id).is_some_and(|client| client.may_go_elsewhere())
        {
            return self.leave_target(now, id);
        }
        if response.status().is_final() && self.challenged(now, id, &response) {
            return;
        }
        self.note_response(now, id, &response);
        let Some(user) = self.clients.get(&id).map(|client| client.user) else { return };
        self.deliver(now, id, user, response);
        self.tidy_client(id);
    }

    /// What a response that counts changes about the transaction itself.
    fn note_response(&mut self, now: Now, id: TransactionId, response: &Response) {
        let status = response.status();
        let Some(client) = self.clients.get_mut(&id) else { return };
        if status.is_final() {
            (client.request, client.waits) = (None, false);
            client.timer_c = None;
            client.wait_until = None;
            if let Some(attempt) = client.attempt.as_mut() {
                attempt.copy = None;
            }
            return self.schedule_client(id);
        }
        client.provisional = true;
        client.told |= status.as_u16() > 100;
        if status.as_u16() > 100 && client.timer_c.is_some() {
            client.timer_c = Some(now.mono.plus(self.config.timers.timer_c));
        }
        let cancel = client.cancel == Cancel::Wanted;
        self.schedule_client(id);
        if cancel {
            self.send_cancel(now, id);
        }
    }

    fn step_client(
        &mut self,
        now: Now,
        id: TransactionId,
        invite: invite_client::Event,
        other: non_invite_client::Event,
    ) -> Effects {
        let values = self.config.timers;
        let Some(client) = self.clients.get_mut(&id) else { return Effects::NONE };
        let Some(attempt) = client.attempt.as_mut() else { return Effects::NONE };
        let effects = match &mut attempt.machine {
            Machine::Invite(machine) => machine.step(now.mono, &values, invite),
            Machine::NonInvite(machine) => machine.step(now.mono, &values, other),
        };
        let flow = attempt.flow;
        let octets = if effects.transmit { attempt.copy.clone() } else { None };
        let ack = if effects.ack { attempt.ack.clone() } else { None };
        self.schedule_client(id);
        if let Some(octets) = octets {
            self.metrics.count("ua.retransmissions_sent");
            if !self.transmit(flow, octets) {
                return Effects::TRANSPORT;
            }
        }
        if let Some(ack) = ack {
            self.transmit(flow, ack);
        }
        effects
    }

    /// Forgets the transaction when its machine is done; when that only absorbs copies, all but what they are known by.
    fn tidy_client(&mut self, id: TransactionId) {
        let attempt = self.clients.get(&id).and_then(|client| client.attempt.as_ref());
        let Some(Attempt { machine, key, .. }) = attempt else { return };
        let key = *key;
        match machine {
            Machine::NonInvite(machine) if machine.state() == non_invite_client::State::Completed => {
                let until = machine.alarms().end;
                self.end_client(id);
                if let Some(until) = until {
                    self.absorb(key, until);
                }
            }
            machine if machine.terminated() => self.end_client(id),
            _ => {}
        }
    }

    pub(super) fn end_client(&mut self, id: TransactionId) {
        self.timers.set(TimerKey::Client(id), None);
        let Some(client) = self.clients.remove(&id) else { return };
        if let Some(attempt) = client.attempt {
            self.by_branch.remove(&attempt.key);
        }
        match client.user {
            User::Invite(invite) => self.invite_over(invite, id),
            User::Branch(proxy, _) => self.proxy_branch_over(proxy),
            _ => {}
        }
    }

    fn schedule_client(&mut self, id: TransactionId) {
        // One that is over has no deadline any more.
        let Some(client) = self.clients.get(&id) else { return };
        self.timers.set(TimerKey::Client(id), client.next_alarm());
    }

    pub(super) fn client_timeout(&mut self, now: Now, id: TransactionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.mono);
        if due(client.wait_until) {
            client.wait_until = None;
            return self.client_failed(now, id, TransactionFailure::Timeout);
        }
        if due(client.timer_c) {
            client.timer_c = None;
            self.metrics.count("ua.timer_c");
            // Without a provisional response the CANCEL waits; then Timer A or B may be due as well.
            self.cancel_client(now, id);
        }
        let Some(client) = self.clients.get(&id) else { return };
        let Some(attempt) = client.attempt.as_ref() else { return self.schedule_client(id) };
        let effects = match attempt.machine {
            Machine::Invite(machine) => match machine.due(now.mono) {
                Some(event) => self.step_client(now, id, event, non_invite_client::Event::TimerK),
                None => Effects::NONE,
            },
            Machine::NonInvite(machine) => match machine.due(now.mono) {
                Some(event) => self.step_client(now, id, invite_client::Event::TimerD, event),
                None => Effects::NONE,
            },
        };
        match effects.failed {
            Some(Failure::Timeout) => self.attempt_failed(now, id, TransactionFailure::Timeout),
            Some(Failure::Transport) => self.attempt_failed(now, id, TransactionFailure::Transport),
            None => {
                self.schedule_client(id);
                self.tidy_client(id);
            }
        }
    }

    /// Cancels an INVITE. `false` when there is nothing to be cancelled any more.
    pub(super) fn cancel_client(&mut self, now: Now, id: TransactionId) -> bool {
        self.cancel_client_with(now, id, &Headers::new())
    }

    /// The same with header fields for the CANCEL (Reason).
    pub(super) fn cancel_client_with(&mut self, now: Now, id: TransactionId, headers: &Headers) -> bool {
        let Some(client) = self.clients.get_mut(&id) else { return false };
        if client.cancel != Cancel::No || !client.waits() {
            return false;
        }
        client.cancel_headers = (!headers.is_empty()).then(|| Box::new(headers.clone()));
        if client.attempt.is_none() {
            self.client_failed(now, id, TransactionFailure::Timeout);
        } else if client.provisional {
            self.send_cancel(now, id);
        } else {
            client.cancel = Cancel::Wanted;
        }
        true
    }

    fn send_cancel(&mut self, now: Now, id: TransactionId) {
        let patience = self.config.timers.patience();
        let Some(client) = self.clients.get_mut(&id) else { return };
        let (Some(request), Some(attempt)) = (&client.request, &client.attempt) else { return };
        let mut cancel = sibling(request, Method::Cancel, None);
        if let Some(headers) = &client.cancel_headers {
            super::dialogs::add_fields(&mut cancel, headers, None);
        }
        let (flow, branch) = (attempt.flow, attempt.branch.clone());
        client.cancel = Cancel::Sent;
        // RFC 3261 §9.1: without a final response within 64*T1 the INVITE counts as cancelled.
        client.wait_until = Some(now.mono.plus(patience));
        client.timer_c = None;
        self.schedule_client(id);
        let cancel = self.insert_client(now, User::Nobody, cancel);
        self.launch(now, cancel, flow, branch);
    }
}

/// What a client transaction is found by (RFC 3261 §17.1.3).
fn branch_key(key: u64, branch: &str, method: &str) -> Fingerprint {
    fingerprint(key, &[branch.as_bytes(), method.as_bytes()])
}

/// A CANCEL or ACK that travels like an INVITE: same Request-URI, topmost Via, From, Call-ID, CSeq number and Route; To as
/// in the response that is acknowledged (RFC 3261 §9.1, §17.1.1.3).
fn sibling(invite: &Request, method: Method, response: Option<&Response>) -> Request {
    let mut request = Request::new(method.clone(), invite.uri().clone());
    let headers = request.headers_mut();
    if let Ok(Some(via)) = invite.typed::<cpm_sip::Via>() {
        headers.push_typed(&via);
    }
    headers.copy_from(invite.headers(), &HeaderName::Route);
    headers.push_typed(&MaxForwards(70));
    headers.copy_from(invite.headers(), &HeaderName::From);
    headers.copy_from(response.map_or(invite.headers(), Response::headers), &HeaderName::To);
    headers.copy_from(invite.headers(), &HeaderName::CallId);
    if let Ok(Some(cseq)) = invite.typed::<CSeq>() {
        headers.push_typed(&CSeq::new(cseq.number, method));
    }
    request.set_body(Bytes::new());
    request
}

fn acknowledge(invite: &Request, response: &Response) -> Request {
    sibling(invite, Method::Ack, Some(response))
}
