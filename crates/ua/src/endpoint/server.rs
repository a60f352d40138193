//! Server transactions: matching (RFC 3261 §17.2.3), one cached response, what is too much. Who may answer what is in
//! `server/answering.rs`.

mod answering;
mod load;

pub(super) use load::PeerLoad;

use super::Endpoint;
use super::done::Found;
use super::fingerprint::Fingerprint;
use super::proxy::Passing;
use super::reliable::Reliable;
use super::replaces::Replacing;
use super::via::{Head, ReplyTo};
use crate::correlation::Correlation;
use crate::error::Refusal;
use crate::event::{DialogEnd, DialogId, Fault, ProxyId, RequestId};
use crate::flows::{Flow, Parcel};
use crate::timers::TimerKey;
use crate::transaction::invite_server::{self, InviteServer};
use crate::transaction::non_invite_server::{self, NonInviteServer};
use crate::transaction::{Alarms, Effects};
use alloc::boxed::Box;
use alloc::string::String;
use bytes::Bytes;
use core::net::IpAddr;
use core::time::Duration;
use cpm_base::{FlowId, Instant, Now};
use cpm_sip::{CallIdRef, HeaderName, Headers, Method, Request, Response, Role, StatusCode};

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The function, with `respond` or `accept`.
    Function,
    /// The branches of a proxied request.
    Proxy(ProxyId),
    /// The endpoint itself: refused requests, CANCEL.
    Endpoint,
}

/// The transaction machine.
#[derive(Debug, Clone, Copy)]
enum Machine {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
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
            Machine::Invite(machine) => machine.state() == invite_server::State::Terminated,
            Machine::NonInvite(machine) => machine.state() == non_invite_server::State::Terminated,
        }
    }
}

/// A server transaction.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) correlation: Correlation,
    key: Fingerprint,
    merge: Option<Fingerprint>,
    machine: Machine,
    pub(super) method: Method,
    pub(super) owner: Owner,
    /// The request, until it is finally answered: an INVITE, or one inside of a dialog, or one that came over a link.
    pub(super) request: Option<Box<Request>>,
    /// The octets of any other, until then.
    octets: Option<Bytes>,
    /// What it says of its way, at a proxy until it has gone on.
    pub(super) passing: Option<Passing>,
    pub(super) in_dialog: Option<DialogId>,
    /// The early dialog that a provisional response made.
    pub(super) early: Option<DialogId>,
    pub(super) reply: ReplyTo,
    /// The tag that our responses put into To, once one did.
    local_tag: Option<String>,
    /// The flow that the request came on.
    pub(super) came_on: Option<FlowId>,
    peer: Option<IpAddr>,
    pub(super) cancelled: bool,
    /// Its reliable provisional responses.
    pub(super) reliable: Option<Box<Reliable>>,
    /// The dialog whose place it wants to take.
    pub(super) replacing: Option<Replacing>,
    /// The function took its offer.
    pub(super) offer_taken: bool,
    /// The one response that is sent again for copies of the request.
    pub(super) response: Option<Parcel>,
    /// When a request without response gets its 100.
    trying_at: Option<Instant>,
    /// When the function has to have answered.
    give_up_at: Option<Instant>,
    /// How much longer branches may take for an INVITE than Timer C: they are cancelled then, and answer that.
    grace: Duration,
}

impl Server {
    pub(super) fn is_invite(&self) -> bool {
        matches!(self.machine, Machine::Invite(_))
    }

    pub(super) fn answered(&self) -> bool {
        self.request.is_none() && self.octets.is_none()
    }

    /// The request, until it is finally answered.
    pub(super) fn whole_request(&self) -> Option<Box<Request>> {
        if self.request.is_some() {
            return self.request.clone();
        }
        // They were a request within the limits when they came, and are what has become of it.
        let most = usize::MAX;
        let limits = cpm_sip::Limits {
            max_datagram: most,
            max_body: most,
            max_header_bytes: most,
            max_header_line: most,
            max_headers: most,
            max_folds: most,
            max_uri: most,
            max_via: most,
            max_routes: most,
            max_params: most,
            max_list_values: most,
            max_token: most,
            max_leading_crlf: most,
            ..cpm_sip::Limits::DEFAULT
        };
        match cpm_sip::parse_datagram(self.octets.clone()?, &limits) {
            Ok(cpm_sip::Message::Request(request)) => Some(Box::new(request)),
            _ => None,
        }
    }

    /// RFC 4320: what a request other than INVITE is never answered with.
    fn refuses(&self, now: Now, status: StatusCode) -> Option<Refusal> {
        match status {
            StatusCode::REQUEST_TIMEOUT => Some(Refusal::Status),
            StatusCode::TRYING => {
                let early = self.trying_at.is_some_and(|at| now.mono < at);
                (early && !self.reply.target.transport.is_stream()).then_some(Refusal::TooSoon)
            }
            status if status.is_provisional() => Some(Refusal::Status),
            _ => None,
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        let reliable = self.reliable.as_ref().and_then(|reliable| reliable.next_alarm());
        [self.machine.alarms().next(), self.trying_at, self.give_up_at, reliable].into_iter().flatten().min()
    }
}

impl Endpoint {
    /// Sends a response without a transaction; its tag is the same for every copy of the request (RFC 3261 §8.2.7).
    pub(super) fn answer_statelessly(&mut self, now: Now, flow: FlowId, head: &Head, mut response: Response) {
        let call_id = response.headers().view::<CallIdRef<'_>>().ok().flatten();
        let call_id = call_id.map_or("", |call_id| call_id.as_str());
        let branch = super::via::top_branch(response.headers());
        let tag = super::via::hash_text(self.hash_key, &[call_id, &branch]);
        super::via::add_to_tag(response.headers_mut(), &tag);
        self.add_product(response.headers_mut(), HeaderName::Server);
        let reply = head.reply.clone();
        self.send_stateless(now, flow, &reply, response.to_bytes());
    }

    /// Holds a new request.
    pub(super) fn begin_server(
        &mut self,
        now: Now,
        flow: FlowId,
        head: &Head,
        request: &Request,
        owner: Owner,
    ) -> RequestId {
        let id = RequestId(self.next_id());
        let values = self.config.timers;
        let known = self.flows.get(flow);
        let reliable = known.is_some_and(Flow::reliable);
        let peer = known.map(|known| known.info.peer.ip());
        let proxy = self.config.role == Role::Proxy;
        let invite = *request.method() == Method::Invite;
        let (patience, trying_after) = if invite {
            (values.timer_c, values.trying_after)
        } else {
            (values.patience(), values.trying_after_non_invite())
        };
        let machine = if invite {
            Machine::Invite(InviteServer::start(&values, reliable))
        } else {
            Machine::NonInvite(NonInviteServer::start(reliable))
        };
        // What came as a message is shared; of octets, octets take less room.
        let shared = proxy && known.is_some_and(Flow::is_link);
        let whole = invite || head.dialog.is_some() || shared;
        let server = Server {
            correlation: head.correlation,
            key: head.server_key,
            merge: None,
            machine,
            method: request.method().clone(),
            owner,
            octets: (!whole).then(|| request.to_bytes()),
            request: whole.then(|| Box::new(request.clone())),
            passing: proxy.then(|| self.passing(request, head.dialog.is_some())),
            in_dialog: None,
            early: None,
            reply: head.reply.clone(),
            local_tag: None,
            came_on: Some(flow),
            peer,
            cancelled: false,
            reliable: None,
            replacing: None,
            offer_taken: false,
            response: None,
            trying_at: Some(now.mono.plus(trying_after)),
            give_up_at: Some(now.mono.plus(patience)),
            grace: Duration::ZERO,
        };
        self.unanswered = self.unanswered.saturating_add(1);
        if let Some(peer) = peer {
            let load = self.peers.entry(peer).or_default();
            load.unanswered = load.unanswered.saturating_add(1);
        }
        self.by_key.insert(server.key, Found::Live(id));
        self.servers.insert(id, Box::new(server));
        self.schedule_server(id);
        self.metrics.count("ua.requests_received");
        id
    }

    /// Adds the tag of a transaction's responses to a To without one. It is drawn when the first response needs it: at a proxy,
    /// few do.
    pub(super) fn add_own_tag(&mut self, id: RequestId, headers: &mut Headers) {
        let Some(server) = self.servers.get_mut(&id).filter(|_| super::via::lacks_to_tag(headers)) else {
            return;
        };
        let tag = server.local_tag.get_or_insert_with(|| self.random.public_token(16));
        super::via::append_to_tag(headers, tag);
    }

    /// Remembers what merged copies of this request will look like; `false` when it is such a copy itself.
    pub(super) fn is_first_way(&mut self, id: RequestId, merge: Fingerprint) -> bool {
        if self.merges.get(&merge).is_some() {
            return false;
        }
        if let Some(server) = self.servers.get_mut(&id) {
            self.merges.insert(merge, ());
            server.merge = Some(merge);
        }
        true
    }

    /// The transaction that a received request belongs to.
    pub(super) fn find_server(&self, key: Fingerprint) -> Option<RequestId> {
        match self.by_key.get(&key)? {
            Found::Live(id) => Some(*id),
            Found::Done(_) => None,
        }
    }

    /// Whether a request came before; then its response goes out again.
    pub(super) fn is_copy(&mut self, now: Now, key: Fingerprint) -> bool {
        let Some(found) = self.by_key.get(&key).copied() else { return false };
        self.metrics.count("ua.retransmissions_absorbed");
        let (invite, other) = (invite_server::Event::InviteAgain, non_invite_server::Event::RequestAgain);
        match found {
            Found::Live(id) => drop(self.step_server(now, id, invite, other)),
            Found::Done(number) => self.done_again(now, number),
        }
        true
    }

    /// An ACK came that matches an INVITE transaction. `true` when it acknowledges a 2xx and is to be passed up.
    pub(super) fn ack_for_server(&mut self, now: Now, id: RequestId) -> bool {
        if !self.servers.get(&id).is_some_and(|server| server.is_invite()) {
            return false;
        }
        let again = non_invite_server::Event::RequestAgain;
        self.step_server(now, id, invite_server::Event::Ack, again).deliver
    }

    fn step_server(
        &mut self,
        now: Now,
        id: RequestId,
        invite: invite_server::Event,
        other: non_invite_server::Event,
    ) -> Effects {
        let effects = self.advance_server(now, id, invite, other);
        self.schedule_server(id);
        effects
    }

    /// The same; the deadline is left to the caller.
    fn advance_server(
        &mut self,
        now: Now,
        id: RequestId,
        invite: invite_server::Event,
        other: non_invite_server::Event,
    ) -> Effects {
        let values = self.config.timers;
        let Some(server) = self.servers.get_mut(&id) else { return Effects::REFUSED };
        let effects = match &mut server.machine {
            Machine::Invite(machine) => machine.step(now.mono, &values, invite),
            Machine::NonInvite(machine) => machine.step(now.mono, &values, other),
        };
        if effects.transmit {
            self.transmit_response(now, id);
        }
        if effects.failed.is_some() {
            self.fault("ua.unacknowledged", Fault::Unacknowledged { request: id });
        }
        if self.servers.get(&id).is_some_and(|server| server.machine.terminated()) {
            self.end_server(now, id);
        }
        effects
    }

    /// Sends the cached response the way that RFC 3261 §18.2.2 says.
    pub(super) fn transmit_response(&mut self, now: Now, id: RequestId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        // Nobody asks for it again when the transaction ends with it.
        let last = server.machine.terminated();
        let response = if last { server.response.take() } else { server.response.clone() };
        if let Some(response) = response {
            self.transmit_to_peer(now, id, response);
        }
    }

    /// Sends something the way of the responses of a transaction.
    pub(super) fn transmit_to_peer(&mut self, now: Now, id: RequestId, part: Parcel) {
        let Some(server) = self.servers.get(&id) else { return };
        let (flow, target) = (server.reply.flow, server.reply.target);
        self.metrics.count("ua.responses_sent");
        match flow.filter(|flow| self.flows.get(*flow).is_some()) {
            Some(flow) => drop(self.transmit(flow, part)),
            None => self.send_elsewhere(now, id, target, part.into_octets()),
        }
    }

    /// Sends a response of a transaction: the one place where responses go out.
    pub(super) fn send_response(
        &mut self,
        now: Now,
        id: RequestId,
        response: &Response,
    ) -> Result<(), Refusal> {
        let status = response.status();
        let Some(server) = self.servers.get(&id) else { return Err(Refusal::Gone) };
        self.actions.about(Some(server.correlation));
        let more_success = status.is_success() && server.is_invite();
        if server.answered() && !more_success {
            return Err(Refusal::Gone);
        }
        let (stream, came_on) = (server.reply.target.transport.is_stream(), server.came_on);
        let link = server.reply.flow.is_some_and(|flow| self.is_link(flow));
        let complete = !stream || response.headers().contains(&HeaderName::ContentLength);
        let sent = if link || !complete || self.config.identity.enforce {
            let mut response = response.clone();
            self.reveal_on(came_on, response.headers_mut());
            if stream {
                response.ensure_content_length();
            }
            match link {
                true => Parcel::Message(Box::new(response.into())),
                false => Parcel::Octets(response.to_bytes()),
            }
        } else {
            Parcel::Octets(response.to_bytes())
        };
        let Some(server) = self.servers.get_mut(&id) else { return Err(Refusal::Gone) };
        let before = server.response.replace(sent);
        let (invite, other) = events_for(status);
        server.trying_at = None;
        let of = server.in_dialog.map(|dialog| (dialog, server.method.clone()));
        if status.is_provisional()
            && server.is_invite()
            && status != StatusCode::TRYING
            && server.in_dialog.is_none()
        {
            server.give_up_at = Some(now.mono.plus(self.config.timers.timer_c).plus(server.grace));
        }
        if status.is_final() {
            server.give_up_at = None;
        }
        // The machine decides whether it may go out, and may end the transaction with it.
        let effects = self.advance_server(now, id, invite, other);
        if effects.refused {
            if let Some(server) = self.servers.get_mut(&id) {
                server.response = before;
            }
            self.schedule_server(id);
            return Err(Refusal::Gone);
        }
        if status.is_final() {
            if let Some(reliable) = self.servers.get_mut(&id).and_then(|server| server.reliable.as_mut()) {
                reliable.stop();
            }
            self.completed(now, id);
            if let Some((dialog, method)) = of {
                self.served(dialog, id, &method, status.is_success());
            }
        }
        self.schedule_server(id);
        Ok(())
    }

    /// The branches of a proxied request answer it from now on.
    pub(super) fn hand_to_branches(&mut self, id: RequestId, proxy: ProxyId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.owner = Owner::Proxy(proxy);
        server.passing = None;
        if server.is_invite() {
            server.grace = self.config.timers.patience().saturating_mul(2);
            server.give_up_at = server.give_up_at.map(|at| at.plus(server.grace));
            self.schedule_server(id);
        }
    }

    /// One more group of branches has its turn: the INVITE may wait as long again.
    pub(super) fn more_patience(&mut self, now: Now, id: RequestId) {
        let timer_c = self.config.timers.timer_c;
        if let Some(server) = self.servers.get_mut(&id).filter(|server| server.is_invite()) {
            server.give_up_at = Some(now.mono.plus(timer_c).plus(server.grace));
            self.schedule_server(id);
        }
    }

    /// Lets a request go without a final response.
    pub(super) fn forget_server(&mut self, now: Now, id: RequestId) {
        self.end_server(now, id);
    }

    /// The transaction is over: nothing of it stays.
    fn end_server(&mut self, now: Now, id: RequestId) {
        let Some(server) = self.servers.remove(&id) else { return };
        self.timers.set(TimerKey::Server(id), None);
        self.by_key.remove(&server.key);
        if let Some(merge) = server.merge {
            self.merges.remove(&merge);
        }
        if let Some(early) = server.early {
            self.forget_call(early);
        }
        if let Some(dialog) = server.in_dialog
            && matches!(server.method, Method::Subscribe | Method::Refer)
        {
            self.end_usage(dialog, super::usages::Usage::Subscription(id.0));
        }
        if !server.answered() {
            self.less_load(server.peer, server.cancelled);
            if let Some(dialog) = server.in_dialog {
                self.served(dialog, id, &server.method, false);
            }
        } else if let Some(cost) = self.completed.remove(&id) {
            self.completed_octets = self.completed_octets.saturating_sub(cost);
        }
        if let Owner::Proxy(proxy) = server.owner {
            self.proxy_server_ended(now, proxy);
        }
    }

    /// When a request has to be answered.
    pub(super) fn limit_server(&mut self, id: RequestId, until: Instant) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.give_up_at = Some(until);
        }
        self.schedule_server(id);
    }

    pub(super) fn schedule_server(&mut self, id: RequestId) {
        // One that is over has no deadline any more.
        let Some(server) = self.servers.get(&id) else { return };
        self.timers.set(TimerKey::Server(id), server.next_alarm());
    }

    pub(super) fn server_timeout(&mut self, now: Now, id: RequestId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.mono);
        if due(server.reliable.as_ref().and_then(|reliable| reliable.next_alarm())) {
            self.reliable_timeout(now, id);
        }
        let Some(server) = self.servers.get_mut(&id) else { return };
        if due(server.give_up_at) {
            server.give_up_at = None;
            return self.unanswered(now, id);
        }
        if due(server.trying_at) {
            server.trying_at = None;
            if let Some(request) = server.whole_request() {
                let trying = Response::for_request(&request, StatusCode::TRYING);
                // A machine that has a response already refuses nothing here: 100 is only due without one.
                let _ = self.send_response(now, id, &trying);
            }
        }
        let Some(server) = self.servers.get(&id) else { return };
        match server.machine {
            Machine::Invite(machine) => {
                if let Some(event) = machine.due(now.mono) {
                    self.step_server(now, id, event, non_invite_server::Event::TimerJ);
                }
            }
            Machine::NonInvite(machine) => {
                if let Some(event) = machine.due(now.mono) {
                    self.step_server(now, id, invite_server::Event::TimerL, event);
                }
            }
        }
        self.schedule_server(id);
    }

    /// The function let the deadline pass. An INVITE is answered 500 so that its peer does not wait on; another request
    /// is let go in silence: its peer has given up, and a 408 would only hurt (RFC 4320 §4.2).
    fn unanswered(&mut self, now: Now, id: RequestId) {
        let by_function = match self.servers.get(&id).map(|server| server.owner) {
            Some(Owner::Proxy(proxy)) => self.proxies.get(&proxy).is_some_and(|proxy| proxy.held > 0),
            _ => true,
        };
        if by_function {
            self.fault("ua.unanswered", Fault::Unanswered { request: id });
        }
        let invite = self.servers.get(&id).filter(|server| server.is_invite());
        match invite.and_then(|server| server.request.clone()) {
            Some(request) => {
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                let proxy = self.servers.get(&id).map(|server| server.owner);
                let _ = self.answer(now, id, Response::for_request(&request, status));
                if let Some(Owner::Proxy(proxy)) = proxy {
                    self.proxy_given_up(now, proxy, Some(status));
                }
            }
            None => {
                let bye = self.servers.get(&id).filter(|server| server.method == Method::Bye);
                let dialog = bye.and_then(|server| server.in_dialog);
                self.end_server(now, id);
                if let Some(dialog) = dialog {
                    self.end_call(now, dialog, DialogEnd::RemoteBye);
                }
            }
        }
    }
}

fn events_for(status: StatusCode) -> (invite_server::Event, non_invite_server::Event) {
    let invite = if status.is_provisional() {
        invite_server::Event::SendProvisional
    } else if status.is_success() {
        invite_server::Event::SendSuccess
    } else {
        invite_server::Event::SendFailure
    };
    let other = if status.is_provisional() {
        non_invite_server::Event::SendProvisional
    } else {
        non_invite_server::Event::SendFinal
    };
    (invite, other)
}
