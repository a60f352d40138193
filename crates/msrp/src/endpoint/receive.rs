//! Receiving: requests find their session, chunks become events, answers go out when the user releases them
//! (RFC 4975 §7.2, §7.3).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, Instant, LimitExceeded, Now};

use super::connection::TransactionKind;
use super::{Binding, Endpoint, Timer};
use crate::event::{
    AbortReason, ChunkId, Event, FaultKind, IncomingId, LostReason, Matching, SendFailure, SessionId,
    TransferId,
};
use crate::head::{BadHead, Head, Method, StartLine};
use crate::parser::{Frame, FramingError};
use crate::ranges::Ranges;
use crate::uri::MsrpUri;
use crate::values::{ByteRange, ContinuationFlag, FailureReport, Status};
use crate::write;

/// What is needed to answer a request.
#[derive(Clone)]
pub(super) struct Reply {
    id: String,
    to: MsrpUri,
    from: MsrpUri,
    failure_report: FailureReport,
    /// REPORTs are never answered (RFC 4975 §7.1.2).
    report: bool,
}

/// A chunk that waits for our user's answer.
pub(super) struct Answer {
    pub(super) flow: FlowId,
    incoming: IncomingId,
    reply: Reply,
}

/// A message coming in.
pub(super) struct Incoming {
    pub(super) session: SessionId,
    message_id: String,
    /// The length that its chunks declare.
    total: Option<u64>,
    /// The length that its last chunk (`$`) defines (RFC 4975 §7.3.1).
    ended: Option<u64>,
    ranges: Ranges,
    last_activity: Instant,
    /// From-Path of its first chunk, when a success report is wanted.
    report_to: Option<Vec<MsrpUri>>,
    /// Chunks that wait for our user's answer.
    unanswered: usize,
    state: IncomingState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IncomingState {
    Open,
    /// All octets have come; it stays until its chunks are answered.
    Complete,
    /// No more of it is wanted: what still comes gets the same answer.
    Refused(Status),
}

impl Incoming {
    pub(super) fn is_open(&self) -> bool {
        self.state == IncomingState::Open
    }
}

/// What is being received on a connection.
pub(super) enum Inbound {
    /// Whatever it is, it has been dealt with.
    Skip,
    Response(String, Status),
    /// A SEND without body.
    Bodiless(SessionId, Option<String>, Reply),
    /// A SEND with a body: the position of its first octet, and how many have come.
    Chunk {
        incoming: IncomingId,
        reply: Reply,
        start: u64,
        received: u64,
    },
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Reply {
    fn to(head: &Head) -> Option<Reply> {
        Some(Reply {
            id: head.transaction_id().to_string(),
            to: head.from_path().first()?.clone(),
            from: head.to_path().last()?.clone(),
            failure_report: head.failure_report(),
            report: *head.start() == StartLine::Request(Method::Report),
        })
    }
}

impl Endpoint {
    /// Octets came on a flow. Octets of a flow that is not ours (any more) are dropped.
    pub fn handle_stream(&mut self, now: Now, flow: FlowId, octets: Bytes) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        self.metrics.add("msrp.octets_in", wide(octets.len()));
        connection.parser.push(octets);
        while let Some(frame) = self.connections.get_mut(&flow).and_then(|c| c.parser.next()) {
            match frame {
                Frame::Head(head) => self.on_head(now, flow, head),
                Frame::BadHead(bad) => self.on_bad_head(now, flow, *bad),
                Frame::Body(octets) => self.on_body(now, flow, octets),
                Frame::End(flag) => self.on_end(now, flow, flag),
                Frame::Lost(error) => self.on_framing_lost(now, flow, error),
            }
        }
    }

    /// Threats B1, B5: nothing on this connection can be understood any more.
    fn on_framing_lost(&mut self, now: Now, flow: FlowId, error: FramingError) {
        self.fault(flow, FaultKind::Framing(error));
        self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Framing(error));
    }

    fn on_bad_head(&mut self, now: Now, flow: FlowId, bad: BadHead) {
        let reply = bad.answer.map(|(to, from)| Reply {
            id: bad.transaction_id,
            to,
            from,
            failure_report: FailureReport::Yes,
            report: false,
        });
        let inbound = self.refuse(now, flow, reply.as_ref(), Status::BAD_REQUEST, FaultKind::Head(bad.error));
        self.set_inbound(flow, inbound);
    }

    fn set_inbound(&mut self, flow: FlowId, inbound: Inbound) {
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.inbound = Some(inbound);
        }
    }

    fn on_head(&mut self, now: Now, flow: FlowId, head: Head) {
        let inbound = match head.start() {
            StartLine::Response(status) => Inbound::Response(head.transaction_id().to_string(), *status),
            StartLine::Request(method) => self.on_request(now, flow, method.clone(), head),
        };
        self.set_inbound(flow, inbound);
    }

    /// RFC 4975 §7.3: first the session, then the method.
    fn on_request(&mut self, now: Now, flow: FlowId, method: Method, head: Head) -> Inbound {
        self.metrics.count("msrp.requests_in");
        let Some(reply) = Reply::to(&head) else { return Inbound::Skip };
        let session = match self.session_for(flow, &head) {
            Ok(session) => session,
            Err((status, fault)) => return self.refuse(now, flow, Some(&reply), status, fault),
        };
        match method {
            Method::Send if head.has_body() => self.on_chunk(now, flow, session, head, reply),
            Method::Send => Inbound::Bodiless(session, head.message_id().map(ToString::to_string), reply),
            Method::Report => {
                self.on_report(session, &head);
                Inbound::Skip
            }
            Method::Other(name) => {
                self.refuse(now, flow, Some(&reply), Status::UNKNOWN_METHOD, FaultKind::UnknownMethod(name))
            }
        }
    }

    /// Answers no, and closes the connection when that happens too often without a good request in between.
    fn refuse(
        &mut self,
        now: Now,
        flow: FlowId,
        reply: Option<&Reply>,
        status: Status,
        fault: FaultKind,
    ) -> Inbound {
        self.fault(flow, fault);
        if let Some(reply) = reply {
            self.answer(now, flow, reply, status);
        }
        let max = self.limits.max_faults;
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.faults = connection.faults.saturating_add(1);
            if let Err(limit) = LimitExceeded::check("msrp.max_faults", connection.faults, max) {
                self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Limit(limit));
            }
        }
        Inbound::Skip
    }

    /// Which session a request is for; binds it to the connection when it is the first (RFC 4975 §5.4, §7.3).
    fn session_for(&mut self, flow: FlowId, head: &Head) -> Result<SessionId, (Status, FaultKind)> {
        let unknown = || (Status::NO_SESSION, FaultKind::UnknownSession);
        let [to] = head.to_path() else { return Err(unknown()) };
        let (id, session) = self.session_by_id(to).ok_or_else(unknown)?;
        let matches = match session.config.matching {
            Matching::Rfc4975 | Matching::Cema => session.config.local_path.same_as(to),
            Matching::SessionId => true,
        };
        if !matches {
            return Err(unknown());
        }
        let bound_elsewhere = matches!(session.binding, Binding::Bound(_)) && !session.uses(flow);
        if bound_elsewhere {
            return Err((Status::SESSION_IN_USE, FaultKind::SessionInUse));
        }
        // An offer that was forked reaches several who know our URI; only the one whose answer was taken may bind. Its
        // session-id says who it is, whatever form of address it writes.
        let negotiated = session.config.remote_path.last();
        let is_peer =
            negotiated.zip(head.from_path().last()).is_some_and(|(peer, from)| peer.same_session_id(from));
        if !is_peer {
            return Err(match session.binding {
                Binding::Bound(_) => (Status::FORBIDDEN, FaultKind::OtherPeer),
                _ => (Status::NO_SESSION, FaultKind::OtherPeer),
            });
        }
        self.bind(flow, id);
        Ok(id)
    }

    /// A good request for this session came on this connection.
    fn bind(&mut self, flow: FlowId, id: SessionId) {
        self.timers.cancel(Timer::FirstRequest(flow));
        self.timers.cancel(Timer::Drain(flow));
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.faults = 0;
            connection.closing = false;
            connection.sessions.insert(id);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if matches!(session.binding, Binding::Bound(_)) {
            return;
        }
        match session.binding {
            // Both sides connect (threats I5): the first that is bound stays; ours stays open beside it.
            Binding::Connected(own) if own != flow => session.own = Some(own),
            Binding::Opening(open) => {
                if let Some(opening) = self.opening.get_mut(&open) {
                    opening.waiting.remove(&id);
                }
            }
            _ => {}
        }
        self.bound(flow, id);
    }

    /// The session has its connection: messages that waited, or were on another, go on here.
    pub(super) fn bound(&mut self, flow: FlowId, id: SessionId) {
        self.timers.cancel(Timer::Bind(id));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.flow();
        session.binding = Binding::Bound(flow);
        if before != Some(flow) {
            let transfers: Vec<TransferId> = session.transfers.iter().copied().collect();
            self.move_transfers(before, flow, transfers);
        }
        self.metrics.count("msrp.sessions_bound");
        self.event(Event::Bound { session: id });
        self.wants_write(flow);
    }

    /// RFC 4975 §7.3.2. It is never answered.
    fn on_report(&mut self, session: SessionId, head: &Head) {
        let Some(message_id) = head.message_id() else { return };
        let sending = |transfer: &&TransferId| {
            self.transfers.get(transfer).is_some_and(|sending| sending.message_id() == message_id)
        };
        let transfer = self.sessions.get(&session).and_then(|s| s.transfers.iter().find(sending)).copied();
        let status = head.report_status();
        let (message_id, range) = (message_id.to_string(), head.byte_range());
        self.event(Event::Report { session, transfer, message_id, range, status });
        if let (Some(transfer), Some(status)) = (transfer, status.filter(|status| !status.is_success())) {
            self.fail_transfer(transfer, Some(status), SendFailure::Reported);
        }
    }

    /// The head of a chunk (RFC 4975 §7.3.1).
    fn on_chunk(&mut self, now: Now, flow: FlowId, session: SessionId, head: Head, reply: Reply) -> Inbound {
        let range = head.byte_range().unwrap_or_default();
        let message_id = head.message_id().unwrap_or_default();
        let known = self.sessions.get(&session).and_then(|s| s.incoming.get(message_id)).copied();
        let Some(incoming) = known else { return self.on_first_chunk(now, flow, session, head, reply) };
        let Some(message) = self.incoming.get_mut(&incoming) else { return Inbound::Skip };
        message.last_activity = now.mono;
        if let IncomingState::Refused(status) = message.state {
            self.answer(now, flow, &reply, status);
            return Inbound::Skip;
        }
        if let (Some(before), Some(total)) = (message.total, range.total)
            && before != total
        {
            self.contradiction(now, flow, incoming, &reply);
            return Inbound::Skip;
        }
        message.total = message.total.or(range.total);
        Inbound::Chunk { incoming, reply, start: range.start.saturating_sub(1), received: 0 }
    }

    fn on_first_chunk(&mut self, now: Now, flow: FlowId, id: SessionId, head: Head, reply: Reply) -> Inbound {
        let range = head.byte_range().unwrap_or_default();
        let Some(session) = self.sessions.get(&id) else { return Inbound::Skip };
        let max = session.config.max_message;
        let (open, most) = (session.incoming.len().saturating_add(1), self.limits.max_open_messages);
        let limit = match range.total.filter(|total| *total > max) {
            Some(value) => Err(LimitExceeded { limit: "msrp.max_message", value, max }),
            None => LimitExceeded::check("msrp.max_open_messages", open, most),
        };
        if let Err(limit) = limit {
            self.fault(flow, FaultKind::Limit(limit));
            self.answer(now, flow, &reply, Status::STOP);
            return Inbound::Skip;
        }
        let incoming = IncomingId(self.next_id());
        let message_id = head.message_id().unwrap_or_default().to_string();
        if let Some(session) = self.sessions.get_mut(&id) {
            session.incoming.insert(message_id.clone(), incoming);
            session.messages.insert(incoming);
        }
        let message = Incoming {
            session: id,
            message_id: message_id.clone(),
            total: range.total,
            ended: None,
            ranges: Ranges::default(),
            last_activity: now.mono,
            report_to: head.success_report().then(|| head.from_path().to_vec()),
            unanswered: 0,
            state: IncomingState::Open,
        };
        self.incoming.insert(incoming, message);
        self.timers.set(Timer::Idle(incoming), now.mono.plus(self.limits.chunk_idle));
        self.metrics.count("msrp.messages_in");
        self.event(Event::Incoming {
            session: id,
            transfer: incoming,
            message_id,
            content_type: head.content_type().unwrap_or_default().to_string(),
            total: range.total,
            head: Box::new(head),
        });
        Inbound::Chunk { incoming, reply, start: range.start.saturating_sub(1), received: 0 }
    }

    fn on_body(&mut self, now: Now, flow: FlowId, octets: Bytes) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        let Some(Inbound::Chunk { incoming, start, received, .. }) = &mut connection.inbound else { return };
        let (transfer, offset) = (*incoming, start.saturating_add(*received));
        *received = received.saturating_add(wide(octets.len()));
        let end = offset.saturating_add(wide(octets.len()));
        connection.empty_chunks = 0;
        let verdict = match self.incoming.get_mut(&transfer) {
            None => Verdict::Forgotten,
            Some(message) => {
                message.last_activity = now.mono;
                let max = self.sessions.get(&message.session).map_or(0, |s| s.config.max_message);
                message.takes(end, max)
            }
        };
        if matches!(verdict, Verdict::Good) {
            return self.event(Event::Data { transfer, offset, bytes: octets });
        }
        let Some(Inbound::Chunk { reply, .. }) = connection.inbound.replace(Inbound::Skip) else { return };
        match verdict {
            Verdict::Good | Verdict::Forgotten => {}
            Verdict::Refused(status) => self.answer(now, flow, &reply, status),
            Verdict::Contradiction => self.contradiction(now, flow, transfer, &reply),
            Verdict::Limit(limit) => self.too_much(now, flow, transfer, &reply, limit),
        }
    }

    /// A message whose chunks do not agree on its length is dropped (threats B6).
    fn contradiction(&mut self, now: Now, flow: FlowId, incoming: IncomingId, reply: &Reply) {
        self.fault(flow, FaultKind::Contradiction);
        self.answer(now, flow, reply, Status::BAD_REQUEST);
        self.refuse_message(incoming, Status::BAD_REQUEST, Some(AbortReason::Contradiction));
    }

    fn too_much(
        &mut self,
        now: Now,
        flow: FlowId,
        incoming: IncomingId,
        reply: &Reply,
        limit: LimitExceeded,
    ) {
        self.fault(flow, FaultKind::Limit(limit));
        self.answer(now, flow, reply, Status::STOP);
        self.refuse_message(incoming, Status::STOP, Some(AbortReason::Limit(limit)));
    }

    /// No more of this message: its further chunks are answered likewise, until it stands still.
    fn refuse_message(&mut self, incoming: IncomingId, status: Status, why: Option<AbortReason>) {
        let Some(message) = self.incoming.get_mut(&incoming) else { return };
        if !message.is_open() {
            return;
        }
        message.state = IncomingState::Refused(status);
        message.ranges = Ranges::default();
        if let Some(why) = why {
            self.event(Event::Aborted { transfer: incoming, why });
        }
    }

    fn on_end(&mut self, now: Now, flow: FlowId, flag: ContinuationFlag) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        match connection.inbound.take() {
            None | Some(Inbound::Skip) => {}
            Some(Inbound::Response(id, status)) => self.on_response(now, flow, &id, status),
            Some(Inbound::Bodiless(session, message_id, reply)) => {
                if flag == ContinuationFlag::Abort {
                    self.aborted_by_peer(session, message_id.as_deref());
                }
                self.answer(now, flow, &reply, Status::OK);
            }
            Some(Inbound::Chunk { incoming, reply, start, received }) => {
                let range = (start, start.saturating_add(received));
                self.on_chunk_end(now, flow, incoming, reply, range, flag);
            }
        }
    }

    fn aborted_by_peer(&mut self, session: SessionId, message_id: Option<&str>) {
        let known =
            self.sessions.get(&session).zip(message_id).and_then(|(s, id)| s.incoming.get(id)).copied();
        let Some(incoming) = known else { return };
        if self.forget_incoming(incoming).is_some_and(|message| message.is_open()) {
            self.event(Event::Aborted { transfer: incoming, why: AbortReason::ByPeer });
        }
    }

    fn on_chunk_end(
        &mut self,
        now: Now,
        flow: FlowId,
        incoming: IncomingId,
        reply: Reply,
        range: (u64, u64),
        last: ContinuationFlag,
    ) {
        if last == ContinuationFlag::More && range.0 == range.1 && self.too_many_empty(now, flow) {
            return;
        }
        let max_gaps = self.limits.max_gaps;
        let Some(message) = self.incoming.get_mut(&incoming) else { return };
        if let IncomingState::Refused(status) = message.state {
            return self.answer(now, flow, &reply, status);
        }
        if last == ContinuationFlag::Abort {
            let (session, message_id) = (message.session, message.message_id.clone());
            self.answer(now, flow, &reply, Status::OK);
            return self.aborted_by_peer(session, Some(&message_id));
        }
        match message.chunk(range, last, max_gaps) {
            Err(Verdict::Limit(limit)) => return self.too_much(now, flow, incoming, &reply, limit),
            Err(_) => return self.contradiction(now, flow, incoming, &reply),
            Ok(mismatch) if mismatch => self.metrics.count("msrp.total_mismatch"),
            Ok(_) => {}
        }
        self.hand_over_chunk(now, flow, incoming, reply, range, last);
    }

    /// Threats B9.
    fn too_many_empty(&mut self, now: Now, flow: FlowId) -> bool {
        let max = self.limits.max_empty;
        let Some(connection) = self.connections.get_mut(&flow) else { return true };
        connection.empty_chunks = connection.empty_chunks.saturating_add(1);
        let Err(limit) = LimitExceeded::check("msrp.max_empty", connection.empty_chunks, max) else {
            return false;
        };
        self.fault(flow, FaultKind::Limit(limit));
        self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Limit(limit));
        true
    }

    /// The chunk is good: our user says what is answered.
    fn hand_over_chunk(
        &mut self,
        now: Now,
        flow: FlowId,
        incoming: IncomingId,
        reply: Reply,
        range: (u64, u64),
        last: ContinuationFlag,
    ) {
        let (waiting, max) =
            (self.connections.get(&flow).map_or(0, |c| c.answers.len()), self.limits.max_outstanding);
        if let Err(limit) = LimitExceeded::check("msrp.max_outstanding", waiting.saturating_add(1), max) {
            return self.too_much(now, flow, incoming, &reply, limit);
        }
        let chunk = ChunkId(self.next_id());
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.answers.insert(chunk);
        }
        self.answers.insert(chunk, Answer { flow, incoming, reply });
        let Some(message) = self.incoming.get_mut(&incoming) else { return };
        message.unanswered = message.unanswered.saturating_add(1);
        message.last_activity = now.mono;
        let complete = message.ended.filter(|end| message.ranges.covers(*end));
        if complete.is_some() {
            message.state = IncomingState::Complete;
            // From here on its Message-ID may begin another message.
            if let Some(session) = self.sessions.get_mut(&message.session) {
                session.incoming.remove(&message.message_id);
            }
            self.timers.cancel(Timer::Idle(incoming));
        }
        self.metrics.count("msrp.chunks_in");
        self.event(Event::ChunkEnd { transfer: incoming, chunk, range, last, complete });
    }

    /// Answers a chunk. Nothing is sent where the sender wants no such answer (Failure-Report), or where the connection
    /// is gone. 200 to all chunks of a whole message sends the success report too, where that was asked for; anything
    /// else refuses the message, and its further chunks get the same answer.
    pub fn respond(&mut self, now: Now, chunk: ChunkId, status: Status) {
        let Some(answer) = self.answers.remove(&chunk) else { return };
        if let Some(connection) = self.connections.get_mut(&answer.flow) {
            connection.answers.remove(&chunk);
        }
        self.answer(now, answer.flow, &answer.reply, status);
        let Some(message) = self.incoming.get_mut(&answer.incoming) else { return };
        message.unanswered = message.unanswered.saturating_sub(1);
        if !status.is_success() {
            message.report_to = None;
            self.refuse_message(answer.incoming, status, None);
        }
        let done = |m: &Incoming| m.state == IncomingState::Complete && m.unanswered == 0;
        if self.incoming.get(&answer.incoming).is_some_and(done)
            && let Some(message) = self.forget_incoming(answer.incoming)
        {
            self.success_report(now, &message);
        }
    }

    /// RFC 4975 §7.1.3: one report for the whole message.
    fn success_report(&mut self, now: Now, message: &Incoming) {
        let (Some(to), Some(total)) = (&message.report_to, message.ended) else { return };
        let id = self.new_transaction_id();
        let Some(session) = self.sessions.get(&message.session) else { return };
        let Some(flow) = session.flow() else { return };
        let range = ByteRange { start: 1, end: Some(total), total: Some(total) };
        let from = &session.config.local_path;
        let octets = write::report(&id, to, from, &message.message_id, range, Status::OK);
        self.metrics.count("msrp.reports_out");
        self.control(now, flow, octets);
    }

    /// Sends a response, where one is wanted (RFC 4975 §7.1.4, §7.2).
    fn answer(&mut self, now: Now, flow: FlowId, reply: &Reply, status: Status) {
        if reply.report || !reply.failure_report.wants(status) {
            return;
        }
        self.metrics.count("msrp.responses_out");
        self.control(now, flow, write::response(&reply.id, status, &reply.to, &reply.from));
    }

    /// Queues a response or report. A peer that reads none of them is not waited for (threats B11).
    pub(super) fn control(&mut self, now: Now, flow: FlowId, octets: Vec<u8>) {
        let max = self.limits.max_output;
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        connection.push_control(Bytes::from(octets));
        match LimitExceeded::check("msrp.max_output", connection.control_octets, max) {
            Ok(()) => self.wants_write(flow),
            Err(limit) => {
                self.fault(flow, FaultKind::Limit(limit));
                self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Limit(limit));
            }
        }
    }

    /// Threats B9: an unfinished message that stands still is dropped.
    pub(super) fn incoming_idle(&mut self, now: Now, incoming: IncomingId) {
        let Some(message) = self.incoming.get(&incoming) else { return };
        let due = message.last_activity.plus(self.limits.chunk_idle);
        if due > now.mono {
            return self.timers.set(Timer::Idle(incoming), due);
        }
        self.metrics.count("msrp.messages_idle");
        if self.forget_incoming(incoming).is_some_and(|message| message.is_open()) {
            self.event(Event::Aborted { transfer: incoming, why: AbortReason::Idle });
        }
    }

    pub(super) fn forget_incoming(&mut self, incoming: IncomingId) -> Option<Incoming> {
        let message = self.incoming.remove(&incoming)?;
        self.timers.cancel(Timer::Idle(incoming));
        if let Some(session) = self.sessions.get_mut(&message.session) {
            session.messages.remove(&incoming);
            if session.incoming.get(&message.message_id) == Some(&incoming) {
                session.incoming.remove(&message.message_id);
            }
        }
        Some(message)
    }

    fn on_response(&mut self, now: Now, flow: FlowId, id: &str, status: Status) {
        self.metrics.count("msrp.responses_in");
        let key = self.connections.get(&flow).and_then(|c| c.transactions.get(id)).copied();
        let Some((key, kind)) = key.and_then(|key| Some((key, self.transactions.get(&key)?.kind))) else {
            return self.fault(flow, FaultKind::UnexpectedResponse);
        };
        match kind {
            TransactionKind::Chunk(..) => self.chunk_answered(now, flow, key, status),
            TransactionKind::Bind(session) => {
                self.unregister(key);
                if status.is_success() {
                    self.confirm(session, flow);
                } else if self.sessions.get(&session).is_some_and(|s| s.flow() == Some(flow)) {
                    self.lose_session(now, session, LostReason::Refused(status));
                }
            }
        }
    }

    /// The far side took a request of ours: an active session is bound.
    pub(super) fn confirm(&mut self, session: SessionId, flow: FlowId) {
        if self.sessions.get(&session).is_some_and(|s| s.binding == Binding::Connected(flow)) {
            self.bound(flow, session);
        }
    }
}

/// Whether octets of a message can be taken.
enum Verdict {
    Good,
    Forgotten,
    Refused(Status),
    Contradiction,
    Limit(LimitExceeded),
}

impl Incoming {
    /// Threats B6, B8: limits hold for the sum, whatever the chunks say.
    fn takes(&self, end: u64, max: u64) -> Verdict {
        if let IncomingState::Refused(status) = self.state {
            return Verdict::Refused(status);
        }
        if end > max {
            return Verdict::Limit(LimitExceeded { limit: "msrp.max_message", value: end, max });
        }
        let beyond = |limit: Option<u64>| limit.is_some_and(|limit| end > limit);
        if beyond(self.total) || beyond(self.ended) { Verdict::Contradiction } else { Verdict::Good }
    }

    /// A chunk is in; says whether it ends the message elsewhere than was declared. The last chunk defines the length
    /// (RFC 4975 §7.3.1); that nothing may stand behind it is checked.
    fn chunk(&mut self, range: (u64, u64), last: ContinuationFlag, max_gaps: usize) -> Result<bool, Verdict> {
        self.ranges.insert(range.0, range.1, max_gaps).map_err(Verdict::Limit)?;
        if last != ContinuationFlag::End {
            return Ok(false);
        }
        if self.ranges.end() > range.1 || self.ended.is_some_and(|ended| ended != range.1) {
            return Err(Verdict::Contradiction);
        }
        self.ended = Some(range.1);
        Ok(self.total.is_some_and(|total| total != range.1))
    }
}
