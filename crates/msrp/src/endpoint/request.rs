//! Requests that are no messages (NICKNAME of RFC 7701 §7, AUTH of RFC 4976 §5.1), and reports sent by our user.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use cpm_base::{FlowId, LimitExceeded, Now};

use super::transactions::{Transaction, TransactionKind};
use super::{Endpoint, Timer};
use crate::event::{AskedId, Event, RequestError, RequestId, SessionId};
use crate::head::Head;
use crate::uri::MsrpUri;
use crate::values::{ByteRange, Status, Tid};
use crate::write;

/// Where a request of ours is.
pub(super) struct Requester {
    pub(super) flow: FlowId,
    /// Whose it is; `None`: a relay registration's.
    session: Option<SessionId>,
}

impl Endpoint {
    /// Sends a request without body to the far side of a session: NICKNAME with its `Use-Nickname` field (RFC 7701 §7),
    /// say. [`Event::Answered`] brings the response, or says that none came in time.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn request(
        &mut self,
        now: Now,
        session: SessionId,
        method: &str,
        fields: &[(String, String)],
    ) -> Result<RequestId, RequestError> {
        let known = self.sessions.get(&session).ok_or(RequestError::NotBound)?;
        let flow = known.flow().ok_or(RequestError::NotBound)?;
        let paths = known.paths.clone();
        let id = self.request_on(now, flow, method, &paths, fields)?;
        if let Some(requester) = self.requests.get_mut(&id) {
            requester.session = Some(session);
        }
        Ok(id)
    }

    /// A session is lost: its requests get no response any more, also where others go on using the connection.
    pub(super) fn end_requests(&mut self, session: SessionId) {
        // Mostly there are none: many sessions may end at once.
        let known = self.sessions.get(&session);
        let mut used = known.into_iter().flat_map(|session| session.flow().into_iter().chain(session.own));
        if !used.any(|flow| self.connections.get(&flow).is_some_and(|connection| connection.requests > 0)) {
            return;
        }
        let of_it = |requester: &Requester| requester.session == Some(session);
        let ids = self.requests.iter().filter(|(_, requester)| of_it(requester));
        let ids: Vec<(RequestId, FlowId)> = ids.map(|(id, requester)| (*id, requester.flow)).collect();
        for (id, flow) in ids {
            let known = |(_, t): &(&Tid, &Transaction)| t.kind == TransactionKind::Request(id);
            let connection = self.connections.get(&flow);
            let tid = connection.and_then(|c| c.transactions.iter().find(known)).map(|(tid, _)| *tid);
            if let Some(tid) = tid {
                self.unregister(flow, &tid);
            }
            self.request_over(id, None);
        }
    }

    pub(super) fn request_on(
        &mut self,
        now: Now,
        flow: FlowId,
        method: &str,
        paths: &str,
        fields: &[(String, String)],
    ) -> Result<RequestId, RequestError> {
        let token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let one_line = |text: &str| !text.chars().any(char::is_control) && text.len() <= 2048;
        let sound = fields.iter().all(|(name, value)| token(name) && one_line(value));
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) || !sound {
            return Err(RequestError::Syntax);
        }
        let tid = self.new_transaction_id(Some(flow));
        let max = self.limits.max_outstanding;
        let connection = self.connections.get_mut(&flow).ok_or(RequestError::NotBound)?;
        let count = connection.transactions.len().saturating_add(1);
        LimitExceeded::check("msrp.max_outstanding", count, max).map_err(RequestError::Limit)?;
        connection.requests = connection.requests.saturating_add(1);
        let id = RequestId(self.next_id());
        self.requests.insert(id, Requester { flow, session: None });
        self.register(flow, tid, TransactionKind::Request(id));
        self.await_response(now, flow, tid);
        self.metrics.count("msrp.requests_out");
        self.control(now, flow, |out| write::request(out, tid.as_bytes(), method, paths, fields));
        Ok(id)
    }

    /// The same, of a relay too.
    pub(super) fn request_answered(&mut self, now: Now, id: RequestId, head: Option<Box<Head>>) {
        let Some(relay) = self.relay_requests.remove(&id) else { return self.request_over(id, head) };
        if let Some(requester) = self.requests.remove(&id)
            && let Some(connection) = self.connections.get_mut(&requester.flow)
        {
            connection.requests = connection.requests.saturating_sub(1);
        }
        self.relay_answered(now, relay, head);
    }

    /// A request of ours has its response, or gets none any more.
    pub(super) fn request_over(&mut self, id: RequestId, head: Option<Box<Head>>) {
        let Some(requester) = self.requests.remove(&id) else { return };
        if let Some(connection) = self.connections.get_mut(&requester.flow) {
            connection.requests = connection.requests.saturating_sub(1);
        }
        let status = head.as_ref().and_then(|head| head.status());
        self.event(Event::Answered { request: id, status, head });
    }

    /// Answers a request that [`Event::Asked`] told of: 200, 403, 404, 423, 424, 425 or 428 as RFC 7701 §7.2 says.
    pub fn reply(&mut self, now: Now, asked: AskedId, status: Status) {
        if let Some((flow, reply)) = self.asked.remove(&asked) {
            self.answer(now, flow, &reply, status);
        }
    }

    /// Sends a REPORT about octets of a message that came in (RFC 4975 §7.1.2 to §7.1.4). `to`: From-Path of the
    /// message, where it is not the far side's path ([`Head::from_path`]). Messages that wanted no such report get none:
    /// that is for the caller to look after. It is never answered.
    ///
    /// # Errors
    /// The session has no connection.
    pub fn report(
        &mut self,
        now: Now,
        session: SessionId,
        to: &[MsrpUri],
        message_id: &str,
        range: ByteRange,
        status: Status,
    ) -> Result<(), RequestError> {
        let tid = self.new_transaction_id(None);
        let known = self.sessions.get(&session).ok_or(RequestError::NotBound)?;
        let flow = known.flow().ok_or(RequestError::NotBound)?;
        if message_id.is_empty() || message_id.contains(|c: char| c.is_control() || c == ' ') {
            return Err(RequestError::Syntax);
        }
        let to = if to.is_empty() { &known.config.remote_path } else { to };
        let paths = write::paths(to.iter(), core::iter::once(&known.config.local_path));
        self.metrics.count("msrp.reports_out");
        self.control(now, flow, |out| write::report(out, tid.as_bytes(), &paths, message_id, range, status));
        Ok(())
    }

    /// Stops reading a connection: a message that comes in on it cannot be taken on at the moment. What the host brings
    /// all the same is kept, up to [`Limits::max_unread`](crate::Limits::max_unread); it should ask
    /// [`wants_read`](Endpoint::wants_read) before it reads. Events that wait in the queue already are told all the same:
    /// [`Event::Data`] may follow a pause, as far as octets were read before it, but no more is read. Unknown messages are
    /// no error.
    pub fn pause(&mut self, _now: Now, incoming: crate::IncomingId) {
        let Some(message) = self.incoming.get_mut(incoming.0) else { return };
        let Some(session) = self.sessions.get(&message.session) else { return };
        // Where both sides connected, its chunks may come on either connection.
        message.held = session.flow().into_iter().chain(session.own).collect();
        for flow in message.held.clone() {
            self.stop_reading(flow, incoming);
        }
    }

    fn stop_reading(&mut self, flow: FlowId, incoming: crate::IncomingId) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        if !connection.paused.insert(incoming) || connection.paused.len() > 1 {
            return;
        }
        // Answers to what goes out there are not read either: windows do not hold meanwhile.
        let sessions = connection.sessions.clone();
        let transfers =
            sessions.iter().filter_map(|id| self.sessions.get(id)).flat_map(|s| s.transfers.iter());
        for transfer in transfers.collect::<alloc::vec::Vec<_>>() {
            self.queue(transfer);
        }
    }

    /// Reads on. Events of what was kept meanwhile follow.
    pub fn resume(&mut self, now: Now, incoming: crate::IncomingId) {
        let Some(message) = self.incoming.get_mut(incoming.0) else { return };
        for flow in core::mem::take(&mut message.held) {
            if self.let_read(flow, incoming) {
                self.read(now, flow);
            }
        }
    }

    /// This message does not hold the connection up any more; says whether none does now.
    pub(super) fn let_read(&mut self, flow: FlowId, incoming: crate::IncomingId) -> bool {
        let Some(connection) = self.connections.get_mut(&flow) else { return false };
        connection.paused.remove(&incoming) && connection.paused.is_empty()
    }

    /// Reads on where messages that held their connection up are gone.
    pub(super) fn read_on(&mut self, now: Now) {
        while let Some(flow) = self.unread.pop() {
            self.read(now, flow);
        }
    }

    /// Whether the host should read from this connection. When it says no, ask again after any input or command.
    #[must_use]
    pub fn wants_read(&self, flow: FlowId) -> bool {
        self.connections.get(&flow).is_none_or(|connection| connection.paused.is_empty())
    }

    /// A head that has begun has to go on, a message too.
    pub(super) fn set_read_deadlines(&mut self, now: Now, flow: FlowId) {
        let due = now.mono.plus(self.limits.chunk_idle);
        while let Some(incoming) = self.fresh.pop() {
            if self.incoming.get(incoming.0).is_some_and(|message| !message.is_whole()) {
                self.timers.set(Timer::Idle(incoming), due);
            }
        }
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        let begun = connection.parser.in_head() && connection.paused.is_empty();
        if begun != connection.head_begun {
            connection.head_begun = begun;
            if begun {
                self.timers.set(Timer::Head(flow), due);
            } else {
                self.timers.cancel(Timer::Head(flow));
            }
        }
    }
}
