//! The endpoint: connections, sessions, what goes out and what comes in (RFC 4975 §5.4, §7; RFC 6135; RFC 6714).
//!
//! A session goes through these states (RFC 4975 §5.4):
//!
//! ```text
//! Passive:  Waiting ──first request──▶ Bound
//! Active:   Opening ──connected──▶ Connected (first request sent) ──200, or a request of the peer──▶ Bound
//!           Opening, Connected ──the peer connects too and is first──▶ Bound to the peer's connection
//! any ──connection lost, framing lost, 481, 506, 30 s without binding──▶ gone
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use cpm_base::{
    CloseReason, FlowId, FlowInfo, LimitExceeded, Metrics, Now, OpenError, OpenId, Protocol, Random, Seed,
    Target,
};

use crate::by_age::{Ascending, ByAge, Waiting};
use crate::event::{
    AbortReason, Action, AskedId, Event, Fault, FaultKind, IncomingId, LostReason, Matching, RelayId,
    RelayLoss, RequestId, Role, SendFailure, SessionConfig, SessionError, SessionId, SessionOptions,
    TransferId,
};
use crate::hyphens::Hyphens;
use crate::limits::Limits;
use crate::timers::Timers;
use crate::uri::MsrpUri;
use crate::values::{ByteRange, ContinuationFlag, FailureReport, Tid, Word};
use crate::write::{self, SendFields};

mod connection;
mod incoming;
mod receive;
mod relay;
mod request;
#[cfg(test)]
mod tests;
mod transactions;
mod transmit;

use connection::{Connection, RequestKey};
use incoming::{Answer, Incoming};
use receive::Reply;
use relay::Relay;
pub use relay::RelayConfig;
use request::Requester;
use transactions::{Transaction, TransactionKind};
use transmit::Transfer;

/// What an endpoint needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// How much of everything.
    pub limits: Limits,
    /// Entropy: session-ids come from its secret stream, transaction ids from the public one.
    pub seed: Seed,
}

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A session has to be bound.
    Bind(SessionId),
    /// An accepted connection has to bring a request for a known session.
    FirstRequest(FlowId),
    /// Requests on a connection have to be answered.
    Responses(FlowId),
    /// A head that has begun has to go on.
    Head(FlowId),
    /// What relays gave is about to expire.
    Relay(RelayId),
    /// A message coming in has to go on.
    Idle(IncomingId),
    /// A connection that nobody needs has to be empty.
    Drain(FlowId),
}

/// Where a session is on its way; see the head of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    Waiting,
    Opening(OpenId),
    Connected(FlowId),
    Bound(FlowId),
}

/// A connection that the host was asked for.
struct Opening {
    target: Target,
    /// Whether further sessions may use it (RFC 6714 §6.3: not where middleboxes tell sessions by connection).
    shared: bool,
    waiting: BTreeSet<SessionId>,
    relays: BTreeSet<RelayId>,
}

struct Session {
    config: SessionConfig,
    binding: Binding,
    /// The connection that we opened, when the peer's was bound first: what comes in on it counts too (threats I5).
    own: Option<FlowId>,
    transfers: Ascending<TransferId>,
    /// Unfinished messages coming in.
    incoming: Vec<IncomingId>,
    /// All messages coming in, those included that wait for answers only.
    messages: Ascending<IncomingId>,
    /// The first request of an active side, until it is answered.
    first_request: Option<RequestKey>,
    options: SessionOptions,
    /// To-Path and From-Path of its requests, as written.
    paths: String,
    /// Messages that were sent and wait for their success reports, oldest first.
    unreported: VecDeque<(Word, TransferId)>,
}

impl Session {
    /// The connection that we send on.
    fn flow(&self) -> Option<FlowId> {
        match self.binding {
            Binding::Connected(flow) | Binding::Bound(flow) => Some(flow),
            Binding::Waiting | Binding::Opening(_) => None,
        }
    }

    /// RFC 4975 §7.3.2: enough is kept to know the message of a report, of the last `max` messages.
    fn await_report(&mut self, message_id: Word, transfer: TransferId, max: usize) {
        if self.unreported.len() >= max {
            self.unreported.pop_front();
        }
        self.unreported.push_back((message_id, transfer));
    }

    fn uses(&self, flow: FlowId) -> bool {
        self.flow() == Some(flow) || self.own == Some(flow)
    }
}

/// An MSRP endpoint: a machine without sockets and clocks. See the crate's front page for how it is driven.
pub struct Endpoint {
    limits: Limits,
    random: Random,
    /// Makes the order of sessions in the lookup unknown to peers.
    lookup_key: u64,
    metrics: Metrics,
    /// In boxes: the rooms that a map keeps free are small then.
    sessions: BTreeMap<SessionId, Box<Session>>,
    lookup: BTreeSet<(u64, SessionId)>,
    connections: BTreeMap<FlowId, Box<Connection>>,
    /// Connections that we opened and that further sessions may use.
    routes: BTreeMap<Target, FlowId>,
    opening: BTreeMap<OpenId, Opening>,
    transfers: ByAge<Transfer>,
    incoming: ByAge<Incoming>,
    /// Messages that began to come in and have no deadline yet: most are whole before they need one.
    fresh: Vec<IncomingId>,
    /// Connections that were paused by messages that are gone.
    unread: Vec<FlowId>,
    requests: BTreeMap<RequestId, Requester>,
    asked: BTreeMap<AskedId, (FlowId, Reply)>,
    relays: BTreeMap<RelayId, Relay>,
    relay_requests: BTreeMap<RequestId, RelayId>,
    /// Looks for what end-lines begin with.
    dashes: Hyphens,
    answers: ByAge<Answer>,
    timers: Timers<Timer>,
    actions: Waiting<Action>,
    last_id: u64,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("sessions", &self.sessions.len())
            .field("connections", &self.connections.len())
            .field("transfers", &self.transfers.len())
            .field("incoming", &self.incoming.len())
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint without connections and sessions.
    ///
    /// # Errors
    /// A limit is outside its range.
    pub fn new(config: Config) -> Result<Endpoint, LimitExceeded> {
        config.limits.validate()?;
        let mut random = Random::new(config.seed);
        let lookup_key = random.secret_token(16).bytes().fold(0, mix);
        Ok(Endpoint {
            limits: config.limits,
            random,
            lookup_key,
            metrics: Metrics::default(),
            sessions: BTreeMap::new(),
            lookup: BTreeSet::new(),
            connections: BTreeMap::new(),
            routes: BTreeMap::new(),
            opening: BTreeMap::new(),
            transfers: ByAge::new(),
            incoming: ByAge::new(),
            fresh: Vec::new(),
            unread: Vec::new(),
            requests: BTreeMap::new(),
            asked: BTreeMap::new(),
            relays: BTreeMap::new(),
            relay_requests: BTreeMap::new(),
            dashes: Hyphens::new(b"-------"),
            answers: ByAge::new(),
            timers: Timers::new(),
            actions: Waiting::new(),
            last_id: 0,
        })
    }

    /// A URI for a new session of ours, with a session-id of 130 secret bits (RFC 4975 §14.1 asks for 80). `host` is an
    /// address or a name, `port` the one that the host listens on (9 where we only connect).
    pub fn new_local_uri(&mut self, host: &str, port: u16, secure: bool) -> MsrpUri {
        let session_id = self.random.secret_token(26);
        MsrpUri::make(host, port, secure, &session_id)
    }

    /// The next thing for the host to do, oldest first.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When `handle_timeout` has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<cpm_base::Instant> {
        self.timers.next()
    }

    /// Whether there is no session, and nothing of one that was: no message, transaction, connection or timer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
            && self.connections.is_empty()
            && self.opening.is_empty()
            && self.transfers.is_empty()
            && self.requests.is_empty()
            && self.asked.is_empty()
            && self.relays.is_empty()
            && self.incoming.is_empty()
            && self.answers.is_empty()
            && self.timers.next().is_none()
    }

    /// Counters: `msrp.requests_in`, `msrp.responses_in`, `msrp.faults`…
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Opens a session. An active one connects (or joins a connection that leads there) and sends its first request at
    /// once; a passive one waits. [`Event::Bound`] or [`Event::BindFailed`] says how it went, within
    /// [`Limits::bind_timeout`]. Messages may be sent before that; they go out behind the first request.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn open_session(&mut self, now: Now, config: SessionConfig) -> Result<SessionId, SessionError> {
        if config.remote_path.is_empty() {
            return Err(SessionError::RemotePath);
        }
        self.begin_session(now, config)
    }

    /// Opens a passive session for whoever knows its URI, without any negotiation: the far side is not known, the first
    /// request with this To-Path binds the session, and its From-Path is the remote path from then on (RFC 4975 §5.4 asks
    /// no more). Where paths are negotiated, [`Endpoint::open_session`] is the one to take: it holds the far side to its
    /// own.
    ///
    /// # Errors
    /// As [`Endpoint::open_session`]; [`SessionError::RemotePath`] when a remote path is given or the role is active.
    pub fn await_session(&mut self, now: Now, config: SessionConfig) -> Result<SessionId, SessionError> {
        if !config.remote_path.is_empty() || config.role != Role::Passive {
            return Err(SessionError::RemotePath);
        }
        self.begin_session(now, config)
    }

    fn begin_session(&mut self, now: Now, config: SessionConfig) -> Result<SessionId, SessionError> {
        LimitExceeded::check(
            "msrp.max_sessions",
            self.sessions.len().saturating_add(1),
            self.limits.max_sessions,
        )
        .map_err(SessionError::Limit)?;
        if config.local_path.session_id().len() < 16 || self.session_by_id(&config.local_path).is_some() {
            return Err(SessionError::LocalPath);
        }
        let datagrams = matches!(config.role, Role::Active(_, transport) if !transport.is_stream());
        if config.max_chunk == Some(0) || datagrams {
            return Err(SessionError::Config);
        }
        if let Role::Active(remote, _) = config.role
            && (remote.port() == 0 || remote.ip().is_unspecified())
        {
            return Err(SessionError::Target);
        }
        let id = SessionId(self.next_id());
        let paths = write::paths(config.remote_path.iter(), core::iter::once(&config.local_path));
        self.lookup.insert((self.lookup_key(&config.local_path), id));
        self.timers.set(Timer::Bind(id), now.mono.plus(self.limits.bind_timeout));
        let (role, shared) = (config.role, config.matching != Matching::Cema);
        let session = Box::new(Session {
            config,
            binding: Binding::Waiting,
            own: None,
            transfers: Ascending::new(),
            incoming: Vec::new(),
            messages: Ascending::new(),
            first_request: None,
            options: SessionOptions::default(),
            paths,
            unreported: VecDeque::new(),
        });
        self.sessions.insert(id, session);
        if let Role::Active(remote, transport) = role {
            self.connect(id, Target { protocol: Protocol::Msrp, transport, remote }, shared);
        }
        Ok(id)
    }

    /// RFC 4975 §5.4: a connection that leads there is used again.
    fn connect(&mut self, id: SessionId, target: Target, shared: bool) {
        let usable = |flow: &&FlowId| shared && self.connections.get(flow).is_some_and(|c| !c.closing);
        if let Some(flow) = self.routes.get(&target).filter(usable).copied() {
            return self.connected(id, flow);
        }
        let asked = self.opening.iter_mut().find(|(_, o)| shared && o.shared && o.target == target);
        let open = match asked {
            Some((open, opening)) => {
                opening.waiting.insert(id);
                *open
            }
            None => {
                let open = OpenId(self.next_id());
                self.opening.insert(
                    open,
                    Opening { target, shared, waiting: BTreeSet::from([id]), relays: BTreeSet::new() },
                );
                self.actions.push_back(Action::Open(open, target));
                open
            }
        };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.binding = Binding::Opening(open);
        }
    }

    /// RFC 4975 §5.4, RFC 6135 §4.2.2: the active side sends a request at once, here one without body.
    fn connected(&mut self, id: SessionId, flow: FlowId) {
        let (message_id, tid) = (self.new_message_id(), self.new_transaction_id(Some(flow)));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.binding = Binding::Connected(flow);
        session.first_request = Some((flow, tid));
        let fields = SendFields {
            message_id: message_id.as_bytes(),
            success_report: false,
            failure_report: FailureReport::Yes,
            range: ByteRange { start: 1, end: Some(0), total: Some(0) },
        };
        let waiting: Vec<TransferId> = session.transfers.iter().collect();
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.sessions.insert(id);
            connection.closing = false;
            let out = connection.control.end();
            write::bodiless_send(out, tid.as_bytes(), &session.paths, &fields, ContinuationFlag::End);
        }
        self.timers.cancel(Timer::Drain(flow));
        self.register(flow, tid, TransactionKind::Bind(id));
        self.move_transfers(None, waiting);
        self.wants_write(flow);
    }

    /// How a session is run from now on. Unknown sessions are no error.
    pub fn set_options(&mut self, id: SessionId, options: SessionOptions) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.options = options;
        }
    }

    /// Ends a session: messages on their way fail, requests get no response any more, what came in unfinished is forgotten,
    /// answers that were released are still written. The connection is closed when no session uses it. Unknown sessions are no error.
    pub fn close_session(&mut self, now: Now, id: SessionId) {
        self.end_requests(id);
        let Some(flows) = self.end_session(id, false) else { return };
        for flow in flows {
            self.leave(now, flow, id);
        }
        self.read_on(now);
    }

    /// Takes a session and all that hangs on it out, but for its place on its connections; gives those.
    fn end_session(&mut self, id: SessionId, tell: bool) -> Option<Vec<FlowId>> {
        for transfer in self.sessions.get(&id)?.transfers.iter().collect::<Vec<_>>() {
            self.fail_transfer(transfer, None, SendFailure::SessionLost);
        }
        let session = self.sessions.remove(&id)?;
        self.lookup.remove(&(self.lookup_key(&session.config.local_path), id));
        self.timers.cancel(Timer::Bind(id));
        if let Binding::Opening(open) = session.binding
            && let Some(opening) = self.opening.get_mut(&open)
        {
            opening.waiting.remove(&id);
        }
        for incoming in session.messages.iter() {
            let open = self.forget_incoming(incoming);
            if tell && open {
                self.event(Event::Aborted { transfer: incoming, why: AbortReason::SessionLost });
            }
        }
        if let Some((flow, tid)) = session.first_request {
            self.unregister(flow, &tid);
        }
        let mut flows: Vec<FlowId> = Vec::new();
        if let Binding::Connected(flow) | Binding::Bound(flow) = session.binding {
            flows.push(flow);
        }
        flows.extend(session.own);
        Some(flows)
    }

    /// A session ends through no wish of ours.
    fn lose_session(&mut self, now: Now, id: SessionId, why: LostReason) {
        let was_bound = self.sessions.get(&id).is_some_and(|s| matches!(s.binding, Binding::Bound(_)));
        self.end_requests(id);
        let Some(flows) = self.end_session(id, true) else { return };
        self.metrics.count(if was_bound { "msrp.sessions_lost" } else { "msrp.binds_failed" });
        self.event(match was_bound {
            true => Event::Lost { session: id, why },
            false => Event::BindFailed { session: id, why },
        });
        for flow in flows {
            self.leave(now, flow, id);
        }
    }

    /// A session does not use this connection any more.
    fn leave(&mut self, now: Now, flow: FlowId, id: SessionId) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        connection.sessions.remove(&id);
        connection.last_request = None;
        self.release(now, flow);
    }

    /// Closes a connection that nobody needs, when all is written.
    fn release(&mut self, now: Now, flow: FlowId) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        if connection.is_needed() || connection.closing {
            return;
        }
        connection.closing = true;
        if connection.has_output() {
            self.timers.set(Timer::Drain(flow), now.mono.plus(self.limits.close_timeout));
            self.wants_write(flow);
        } else {
            self.close(flow, CloseReason::Done);
        }
    }

    /// Closes a connection that no session needs.
    fn close(&mut self, flow: FlowId, why: CloseReason) {
        if self.drop_connection(flow).is_some() {
            self.actions.push_back(Action::Close(flow, why));
        }
    }

    /// Closes a connection through a peer's fault: its sessions are lost.
    fn close_in_fault(&mut self, now: Now, flow: FlowId, reason: CloseReason, why: LostReason) {
        let Some(connection) = self.drop_connection(flow) else { return };
        self.actions.push_back(Action::Close(flow, reason));
        self.lose_sessions(now, flow, &connection, why);
    }

    fn lose_sessions(&mut self, now: Now, flow: FlowId, connection: &Connection, why: LostReason) {
        let on_it = self.relays.iter().filter(|(_, relay)| relay.flow == Some(flow));
        for id in on_it.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.relay_lost(now, id, RelayLoss::Connection);
        }
        for id in connection.sessions.iter().copied() {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if session.own == Some(flow) && session.flow() != Some(flow) {
                session.own = None;
                // What was sent there gets no answer any more, and a chunk that was begun there no end.
                for (_, transaction) in connection.transactions.iter() {
                    if let TransactionKind::Chunk(transfer, _) = transaction.kind
                        && self.transfers.get(transfer.0).is_some_and(|sending| sending.is_of(id))
                    {
                        self.fail_transfer(transfer, None, SendFailure::SessionLost);
                    }
                }
            } else {
                self.lose_session(now, id, why);
            }
        }
    }

    fn drop_connection(&mut self, flow: FlowId) -> Option<Box<Connection>> {
        let connection = self.connections.remove(&flow)?;
        self.timers.cancel(Timer::FirstRequest(flow));
        self.timers.cancel(Timer::Drain(flow));
        self.timers.cancel(Timer::Responses(flow));
        self.timers.cancel(Timer::Head(flow));
        if connection.answers > 0 {
            self.answers.retain(|answer| answer.flow != flow);
        }
        self.asked.retain(|_, (asked_on, _)| *asked_on != flow);
        for (_, transaction) in connection.transactions.iter() {
            let TransactionKind::Request(request) = transaction.kind else { continue };
            if self.relay_requests.remove(&request).is_some() {
                self.requests.remove(&request);
            } else {
                self.request_over(request, None);
            }
        }
        if let Some(target) = connection.target.filter(|target| self.routes.get(target) == Some(&flow)) {
            self.routes.remove(&target);
        }
        Some(connection)
    }

    /// A peer connected. The host calls this for flows of [`Protocol::Msrp`] that it accepted.
    pub fn handle_accepted(&mut self, now: Now, flow: FlowId, _info: FlowInfo) {
        if self.admit(flow, None) {
            self.timers.set(Timer::FirstRequest(flow), now.mono.plus(self.limits.bind_timeout));
        }
    }

    fn admit(&mut self, flow: FlowId, target: Option<Target>) -> bool {
        let count = self.connections.len().saturating_add(1);
        if let Err(limit) = LimitExceeded::check("msrp.max_connections", count, self.limits.max_connections) {
            self.actions.push_back(Action::Close(flow, CloseReason::ProtocolError));
            self.fault(flow, FaultKind::Limit(limit));
            return false;
        }
        self.connections.insert(flow, Box::new(Connection::new(&self.limits, target)));
        self.metrics.count("msrp.connections");
        true
    }

    /// How the opening of a flow went.
    pub fn handle_opened(&mut self, now: Now, open: OpenId, flow: Result<(FlowId, FlowInfo), OpenError>) {
        let Some(Opening { target, shared, waiting, relays }) = self.opening.remove(&open) else {
            if let Ok((flow, _)) = flow {
                self.actions.push_back(Action::Close(flow, CloseReason::Done));
            }
            return;
        };
        let flow = match flow {
            Ok((flow, _)) => flow,
            Err(error) => {
                for id in waiting {
                    self.lose_session(now, id, LostReason::Open(error));
                }
                for id in relays {
                    self.relay_lost(now, id, RelayLoss::Connection);
                }
                return;
            }
        };
        if waiting.is_empty() && relays.is_empty() {
            self.actions.push_back(Action::Close(flow, CloseReason::Done));
        } else if self.admit(flow, Some(target)) {
            if shared {
                self.routes.insert(target, flow);
            }
            for id in waiting {
                self.connected(id, flow);
            }
            for id in relays {
                self.relay_connected(now, id, flow);
            }
        } else {
            let why = LostReason::Open(OpenError::Unavailable);
            waiting.into_iter().for_each(|id| self.lose_session(now, id, why));
            relays.into_iter().for_each(|id| self.relay_lost(now, id, RelayLoss::Connection));
        }
    }

    /// A flow ended, through the peer or the net.
    pub fn handle_closed(&mut self, now: Now, flow: FlowId, why: CloseReason) {
        if let Some(connection) = self.drop_connection(flow) {
            self.lose_sessions(now, flow, &connection, LostReason::Closed(why));
        }
        self.read_on(now);
    }

    /// Time has passed. Harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(timer) = self.timers.take_due(now.mono) {
            match timer {
                Timer::Bind(id) => self.lose_session(now, id, LostReason::Timeout),
                Timer::FirstRequest(flow) => {
                    self.fault(flow, FaultKind::NeverBound);
                    self.close_in_fault(now, flow, CloseReason::Idle, LostReason::Timeout);
                }
                Timer::Relay(id) => self.renew_relay(now, id),
                Timer::Responses(flow) => self.responses_overdue(now, flow),
                Timer::Head(flow) => {
                    // Threats B9: whoever begins a head ends it.
                    self.metrics.count("msrp.heads_idle");
                    self.close_in_fault(now, flow, CloseReason::Idle, LostReason::Timeout);
                }
                Timer::Idle(incoming) => self.incoming_idle(now, incoming),
                Timer::Drain(flow) => self.close(flow, CloseReason::Done),
            }
        }
        self.read_on(now);
    }

    fn event(&mut self, event: Event) {
        self.actions.push_back(Action::Event(event));
    }

    fn fault(&mut self, flow: FlowId, kind: FaultKind) {
        self.metrics.count("msrp.faults");
        self.event(Event::Fault(Fault { flow, kind }));
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    /// For a request that will wait for its response on this connection, or for one that gets none.
    fn new_transaction_id(&mut self, flow: Option<FlowId>) -> Tid {
        let connection = flow.and_then(|flow| self.connections.get(&flow));
        let place = connection.map_or(Tid::NOWHERE, |c| c.transactions.next_place());
        Tid::new(self.random.public_u64(), place)
    }

    /// 160 bits that nobody has had before.
    fn new_message_id(&mut self) -> Word {
        Word::random([self.random.public_u64(), self.random.public_u64(), self.random.public_u64()])
    }

    /// Says once that there is something to write.
    fn wants_write(&mut self, flow: FlowId) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        if !connection.announced && connection.has_output() {
            connection.announced = true;
            self.actions.push_back(Action::WantsWrite(flow));
        }
    }

    /// Remembers a request of ours, to know its response.
    fn register(&mut self, flow: FlowId, tid: Tid, kind: TransactionKind) {
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.transactions.insert(tid, kind);
        }
    }

    /// Forgets a request of ours.
    fn unregister(&mut self, flow: FlowId, tid: &Tid) -> Option<Transaction> {
        let connection = self.connections.get_mut(&flow)?;
        let timed = connection.transactions.has_due();
        let transaction = connection.transactions.remove(tid)?;
        if timed && !connection.transactions.has_due() {
            self.timers.cancel(Timer::Responses(flow));
        }
        // There is room again for one that waited for it.
        if let Some(next) = connection.crowded.pop_front() {
            self.queue(next);
        }
        Some(transaction)
    }

    /// The key of a URI's session-id in the lookup.
    fn lookup_key(&self, uri: &MsrpUri) -> u64 {
        uri.session_id().bytes().fold(self.lookup_key, mix)
    }

    /// The session with this session-id.
    fn session_by_id(&self, uri: &MsrpUri) -> Option<(SessionId, &Session)> {
        let key = self.lookup_key(uri);
        let candidates = self.lookup.range((key, SessionId(0))..=(key, SessionId(u64::MAX)));
        let found = candidates.filter_map(|(_, id)| Some((*id, &**self.sessions.get(id)?)));
        let mut found = found.filter(|(_, session)| session.config.local_path.same_session_id(uri));
        found.next()
    }
}

/// FNV-1a, from a secret beginning: peers cannot see an order in it.
fn mix(hash: u64, octet: u8) -> u64 {
    (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17)
}
