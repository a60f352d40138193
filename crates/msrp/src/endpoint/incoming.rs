//! Messages coming in: chunks in any order, limits on their sum, answers released by the user (RFC 4975 §7.3.1).

use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, Instant, LimitExceeded, Now};

use super::receive::{Inbound, Reply};
use super::{Endpoint, Timer};
use crate::event::{
    AbortReason, Answering, ChunkId, Event, FaultKind, IncomingId, LostReason, Overlap, SessionId,
};
use crate::head::{Head, Paths};
use crate::ranges::Ranges;
use crate::values::{ByteRange, ContinuationFlag, Status, Word};

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
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
    /// Where its last chunk came.
    pub(super) flow: Option<FlowId>,
    /// The connections that are not read until its taker can take more.
    pub(super) held: Vec<FlowId>,
    message_id: Word,
    /// The length that its chunks declare.
    total: Option<u64>,
    /// The length that its last chunk (`$`) defines (RFC 4975 §7.3.1).
    ended: Option<u64>,
    ranges: Ranges,
    last_activity: Instant,
    /// The paths of its first chunk, when a success report is wanted.
    report_to: Option<Arc<Paths>>,
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

    pub(super) fn is_whole(&self) -> bool {
        self.state == IncomingState::Complete
    }
}

impl Endpoint {
    /// The head of a chunk (RFC 4975 §7.3.1).
    pub(super) fn on_chunk(
        &mut self,
        now: Now,
        flow: FlowId,
        session: SessionId,
        head: Head,
        reply: Reply,
    ) -> Inbound {
        let range = head.byte_range().unwrap_or_default();
        let message_id = head.message_id_octets().unwrap_or_default();
        let Some(incoming) = self.open_message(session, message_id) else {
            return self.on_first_chunk(now, flow, session, head, reply);
        };
        let Some(message) = self.incoming.get_mut(incoming.0) else { return Inbound::Skip };
        message.last_activity = now.mono;
        message.flow = Some(flow);
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

    /// The unfinished message with this Message-ID.
    fn open_message(&self, session: SessionId, message_id: &[u8]) -> Option<IncomingId> {
        let has =
            |id: &IncomingId| self.incoming.get(id.0).is_some_and(|m| m.message_id.as_bytes() == message_id);
        self.sessions.get(&session)?.incoming.iter().copied().find(has)
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
        let content_type = head.content_type().unwrap_or_default();
        if !session.options.takes(content_type) {
            self.fault(flow, FaultKind::MediaType);
            self.answer(now, flow, &reply, Status::UNSUPPORTED_MEDIA);
            return Inbound::Skip;
        }
        let message = Incoming {
            session: id,
            flow: Some(flow),
            held: Vec::new(),
            message_id: Word::new(head.message_id().unwrap_or_default()),
            total: range.total,
            ended: None,
            ranges: Ranges::default(),
            last_activity: now.mono,
            report_to: head.success_report().then(|| head.paths().clone()),
            unanswered: 0,
            state: IncomingState::Open,
        };
        let incoming = IncomingId(self.incoming.add(message));
        if let Some(session) = self.sessions.get_mut(&id) {
            session.incoming.push(incoming);
            session.messages.push(incoming);
        }
        self.fresh.push(incoming);
        self.metrics.count("msrp.messages_in");
        self.event(Event::Incoming { session: id, transfer: incoming, total: range.total, head });
        Inbound::Chunk { incoming, reply, start: range.start.saturating_sub(1), received: 0 }
    }

    pub(super) fn on_body(&mut self, now: Now, flow: FlowId, octets: Bytes) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        let Some(Inbound::Chunk { incoming, start, received, .. }) = &mut connection.inbound else { return };
        let (transfer, offset) = (*incoming, start.saturating_add(*received));
        *received = received.saturating_add(wide(octets.len()));
        let end = offset.saturating_add(wide(octets.len()));
        connection.empty_chunks = 0;
        let max_gaps = self.limits.max_gaps;
        let verdict = match self.incoming.get_mut(transfer.0) {
            None => Verdict::Forgotten,
            Some(message) => {
                message.last_activity = now.mono;
                let session = self.sessions.get(&message.session);
                let first_stands = session.is_some_and(|s| s.options.overlap == Overlap::FirstStands);
                let verdict = message.takes(end, session.map_or(0, |s| s.config.max_message));
                if matches!(verdict, Verdict::Good) && first_stands {
                    return self.deliver_new(now, flow, transfer, offset, octets);
                }
                match (verdict, message.ranges.insert(offset, end, max_gaps)) {
                    (Verdict::Good, Err(limit)) => Verdict::Limit(limit),
                    (verdict, _) => verdict,
                }
            }
        };
        if matches!(verdict, Verdict::Good) {
            return self.event(Event::Data { transfer, offset, bytes: octets });
        }
        self.stop_chunk(now, flow, transfer, verdict);
    }

    /// Threats B6: positions that were delivered are not delivered again.
    fn deliver_new(&mut self, now: Now, flow: FlowId, transfer: IncomingId, offset: u64, octets: Bytes) {
        let end = offset.saturating_add(wide(octets.len()));
        let Some(message) = self.incoming.get_mut(transfer.0) else { return };
        let missing = message.ranges.missing(offset, end);
        if let Err(limit) = message.ranges.insert(offset, end, self.limits.max_gaps) {
            return self.stop_chunk(now, flow, transfer, Verdict::Limit(limit));
        }
        for (from, to) in missing {
            let at = |position: u64| usize::try_from(position.saturating_sub(offset)).unwrap_or(usize::MAX);
            let bytes = octets.slice(at(from).min(octets.len())..at(to).min(octets.len()));
            self.event(Event::Data { transfer, offset: from, bytes });
        }
    }

    /// No more of the chunk that is coming in.
    fn stop_chunk(&mut self, now: Now, flow: FlowId, transfer: IncomingId, verdict: Verdict) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
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
        let Some(message) = self.incoming.get_mut(incoming.0) else { return };
        if !message.is_open() {
            return;
        }
        message.state = IncomingState::Refused(status);
        message.ranges = Ranges::default();
        if let Some(why) = why {
            self.event(Event::Aborted { transfer: incoming, why });
        }
    }

    pub(super) fn aborted_by_peer(&mut self, session: SessionId, message_id: Option<&str>) {
        let known = message_id.and_then(|message_id| self.open_message(session, message_id.as_bytes()));
        let Some(incoming) = known else { return };
        if self.forget_incoming(incoming) {
            self.event(Event::Aborted { transfer: incoming, why: AbortReason::ByPeer });
        }
    }

    pub(super) fn on_chunk_end(
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
        let Some(message) = self.incoming.get_mut(incoming.0) else { return };
        if let IncomingState::Refused(status) = message.state {
            return self.answer(now, flow, &reply, status);
        }
        if last == ContinuationFlag::Abort {
            let (session, message_id) = (message.session, message.message_id.clone());
            self.answer(now, flow, &reply, Status::OK);
            return self.aborted_by_peer(session, Some(message_id.as_str()));
        }
        match message.chunk(range, last) {
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
            (self.connections.get(&flow).map_or(0, |c| c.answers), self.limits.max_outstanding);
        if let Err(limit) = LimitExceeded::check("msrp.max_outstanding", waiting.saturating_add(1), max) {
            return self.too_much(now, flow, incoming, &reply, limit);
        }
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.answers = connection.answers.saturating_add(1);
        }
        let chunk = ChunkId(self.answers.add(Answer { flow, incoming, reply }));
        let Some(message) = self.incoming.get_mut(incoming.0) else { return };
        message.unanswered = message.unanswered.saturating_add(1);
        message.last_activity = now.mono;
        let complete = message.ended.filter(|end| message.ranges.covers(*end));
        if complete.is_some() {
            message.state = IncomingState::Complete;
            // From here on its Message-ID may begin another message.
            if let Some(session) = self.sessions.get_mut(&message.session) {
                session.incoming.retain(|open| *open != incoming);
            }
            if !self.fresh.contains(&incoming) {
                self.timers.cancel(Timer::Idle(incoming));
            }
        }
        let at_once = self.sessions.get(&message.session).map(|s| s.options.answering);
        self.metrics.count("msrp.chunks_in");
        self.event(Event::ChunkEnd { transfer: incoming, chunk, range, last, complete });
        if at_once == Some(Answering::AtOnce) {
            self.answer_chunk(now, chunk, Status::OK);
        }
    }

    /// Answers a chunk. Nothing is sent where the sender wants no such answer (Failure-Report), or where the connection
    /// is gone. 200 to all chunks of a whole message sends the success report too, where that was asked for; anything
    /// else refuses the message, and its further chunks get the same answer.
    pub fn respond(&mut self, now: Now, chunk: ChunkId, status: Status) {
        self.answer_chunk(now, chunk, status);
        self.read_on(now);
    }

    fn answer_chunk(&mut self, now: Now, chunk: ChunkId, status: Status) {
        let Some(answer) = self.answers.remove(chunk.0) else { return };
        if let Some(connection) = self.connections.get_mut(&answer.flow) {
            connection.answers = connection.answers.saturating_sub(1);
        }
        self.answer(now, answer.flow, &answer.reply, status);
        let Some(message) = self.incoming.get_mut(answer.incoming.0) else { return };
        message.unanswered = message.unanswered.saturating_sub(1);
        if !status.is_success() {
            message.report_to = None;
            self.refuse_message(answer.incoming, status, None);
        }
        let done = |m: &Incoming| m.state == IncomingState::Complete && m.unanswered == 0;
        if let Some(message) = self.incoming.get(answer.incoming.0).filter(|message| done(message)) {
            let report = message.report_to.clone().zip(message.ended);
            let report = report.map(|(to, total)| (message.session, to, message.message_id.clone(), total));
            self.forget_incoming(answer.incoming);
            if let Some((session, to, message_id, total)) = report {
                self.success_report(now, session, &to, &message_id, total);
            }
        }
    }

    /// RFC 4975 §7.1.3: one report for the whole message.
    fn success_report(&mut self, now: Now, session: SessionId, to: &Paths, message_id: &Word, total: u64) {
        let answering = self.sessions.get(&session).map(|s| s.options.answering);
        if answering.is_none_or(|how| how == Answering::ReleasedWithoutReports) {
            return;
        }
        let range = ByteRange { start: 1, end: Some(total), total: Some(total) };
        // Without a connection there is nobody to tell.
        let _ = self.report(now, session, &to.from, message_id.as_str(), range, Status::OK);
    }

    /// Threats B9: an unfinished message that stands still is dropped.
    pub(super) fn incoming_idle(&mut self, now: Now, incoming: IncomingId) {
        let Some(message) = self.incoming.get(incoming.0) else { return };
        let mut due = message.last_activity.plus(self.limits.chunk_idle);
        let flow = message.flow.and_then(|flow| self.connections.get(&flow));
        if flow.is_some_and(|connection| !connection.paused.is_empty()) {
            // It is we who do not read.
            due = now.mono.plus(self.limits.chunk_idle);
        }
        if due > now.mono {
            return self.timers.set(Timer::Idle(incoming), due);
        }
        self.metrics.count("msrp.messages_idle");
        if self.forget_incoming(incoming) {
            self.event(Event::Aborted { transfer: incoming, why: AbortReason::Idle });
        }
    }

    /// Says whether the message was there and open.
    pub(super) fn forget_incoming(&mut self, incoming: IncomingId) -> bool {
        let Some(message) = self.incoming.get_mut(incoming.0) else { return false };
        let (open, whole, session) = (message.is_open(), message.is_whole(), message.session);
        let held = core::mem::take(&mut message.held);
        self.incoming.discard(incoming.0);
        if !whole {
            self.timers.cancel(Timer::Idle(incoming));
        }
        for flow in held {
            if self.let_read(flow, incoming) {
                self.unread.push(flow);
            }
        }
        if let Some(session) = self.sessions.get_mut(&session) {
            session.messages.remove(incoming);
            if !whole {
                session.incoming.retain(|open| *open != incoming);
            }
        }
        open
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
    fn chunk(&mut self, range: (u64, u64), last: ContinuationFlag) -> Result<bool, Verdict> {
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
