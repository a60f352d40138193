//! Sending: messages wait in turn, chunks are cut when the connection can take them (RFC 4975 §7.1.1).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, LimitExceeded, Now};

use super::connection::{Connection, RequestKey};
use super::transactions::TransactionKind;
use super::{Endpoint, Timer};
use crate::event::{
    Event, LostReason, Outgoing, SendError, SendFailure, SendRefusal, SessionId, SupplyError, SupplyRefusal,
    TransferId,
};
use crate::head::is_media_type;
use crate::source::{Misfit, Next, Source};
use crate::values::{ByteRange, ContinuationFlag, FailureReport, Status, Tid, Word, is_ident};
use crate::write::{self, SendFields};

/// Chunks longer than this have to be ready to be interrupted, and none is interrupted earlier (RFC 4975 §7.1.1).
const UNINTERRUPTED: u64 = 2048;

/// A message going out.
pub(super) struct Transfer {
    session: SessionId,
    message_id: Word,
    content_type: Cow<'static, str>,
    success_report: bool,
    failure_report: FailureReport,
    source: Source,
    /// Octets answered with 200, or written where no answer is wanted.
    acknowledged: u64,
    /// Octets in finished chunks whose answers are awaited.
    in_flight: u64,
    /// Requests whose answers are awaited.
    open: Open,
    /// It waits for its turn on its session's connection.
    queued: bool,
    /// All is written, the last end-line included.
    finished: bool,
}

/// Requests whose answers are awaited: of a short message there is one.
#[derive(Default)]
struct Open {
    first: Option<RequestKey>,
    others: Vec<RequestKey>,
}

impl Open {
    fn push(&mut self, key: RequestKey) {
        match self.first {
            Some(_) => self.others.push(key),
            None => self.first = Some(key),
        }
    }

    fn remove(&mut self, key: RequestKey) {
        if self.first == Some(key) {
            self.first = None;
        } else if let Some(at) = self.others.iter().position(|open| *open == key) {
            // Answers mostly come in the order of their requests.
            self.others.remove(at);
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }
}

impl Transfer {
    pub(super) fn message_id(&self) -> &str {
        self.message_id.as_str()
    }

    pub(super) fn is_of(&self, session: SessionId) -> bool {
        self.session == session
    }

    fn is_short(&self) -> bool {
        self.source.remaining().is_some_and(|remaining| remaining <= UNINTERRUPTED)
    }

    fn fields(&self, range: ByteRange) -> SendFields<'_> {
        SendFields {
            message_id: self.message_id.as_bytes(),
            success_report: self.success_report,
            failure_report: self.failure_report,
            range,
        }
    }

    fn is_acknowledged(&self) -> bool {
        self.finished && (self.failure_report != FailureReport::Yes || self.open.is_empty())
    }
}

/// A chunk on its way, between its head and its end-line.
pub(super) struct ChunkWriter {
    pub(super) transfer: TransferId,
    pub(super) id: Tid,
    start: u64,
    position: u64,
    /// Where the chunk ends at the latest.
    limit: u64,
    interruptible: bool,
    /// Its source has nothing at the moment.
    pub(super) starving: bool,
    /// Its end-line, once that waits to be written.
    end: Option<ContinuationFlag>,
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Endpoint {
    /// Takes a message to be sent. It goes out when the session has its connection; [`Event::Sent`] or
    /// [`Event::SendFailed`] ends it. Octets of a [`Body::Source`](crate::Body::Source) are asked for by
    /// [`Event::Wants`] when the message's turn comes.
    ///
    /// # Errors
    /// See [`SendRefusal`]; the message is given back.
    pub fn send(
        &mut self,
        _now: Now,
        session: SessionId,
        outgoing: Outgoing,
    ) -> Result<TransferId, SendError> {
        if let Err(why) = self.check_outgoing(session, &outgoing) {
            return Err(SendError { why, outgoing: Box::new(outgoing) });
        }
        let message_id = match &outgoing.message_id {
            Some(id) => Word::new(id),
            None => self.new_message_id(),
        };
        let transfer = Transfer {
            session,
            message_id,
            content_type: outgoing.content_type,
            success_report: outgoing.success_report,
            failure_report: outgoing.failure_report,
            source: Source::new(outgoing.body),
            acknowledged: 0,
            in_flight: 0,
            open: Open::default(),
            queued: false,
            finished: false,
        };
        let id = TransferId(self.transfers.add(transfer));
        self.metrics.count("msrp.messages_out");
        if let Some(known) = self.sessions.get_mut(&session) {
            known.transfers.push(id);
        }
        self.queue(id);
        Ok(id)
    }

    fn check_outgoing(&self, session: SessionId, outgoing: &Outgoing) -> Result<(), SendRefusal> {
        let session = self.sessions.get(&session).ok_or(SendRefusal::NoSession)?;
        let count = session.transfers.len().saturating_add(1);
        LimitExceeded::check("msrp.max_queued", count, self.limits.max_queued).map_err(SendRefusal::Limit)?;
        if let Some(id) = &outgoing.message_id {
            let used = |t: TransferId| self.transfers.get(t.0).is_some_and(|t| t.message_id.as_str() == id);
            if !is_ident(id.as_bytes()) || session.transfers.iter().any(used) {
                return Err(SendRefusal::MessageId);
            }
        }
        // Our heads have one line per field, and stay within what peers take (1,024 octets are plenty for a type).
        let one_line = !outgoing.content_type.contains(['\r', '\n']) && outgoing.content_type.len() <= 1024;
        if one_line && is_media_type(&outgoing.content_type) { Ok(()) } else { Err(SendRefusal::ContentType) }
    }

    /// Octets of a message, as [`Event::Wants`] asked for them: they follow one another, in as many pieces as you like.
    /// `last` ends a message of unknown length; with a known one it is allowed with the last octet.
    ///
    /// # Errors
    /// See [`SupplyRefusal`]; the octets are given back and nothing has changed.
    pub fn supply(
        &mut self,
        _now: Now,
        transfer: TransferId,
        octets: Bytes,
        last: bool,
    ) -> Result<(), SupplyError> {
        let refused = |why, octets| Err(SupplyError { why, octets });
        let Some(sending) = self.transfers.get_mut(transfer.0) else {
            return refused(SupplyRefusal::NoTransfer, octets);
        };
        match sending.source.supply(octets, last) {
            Err((Misfit::NotAsked, octets)) => return refused(SupplyRefusal::NotAsked, octets),
            Err((Misfit::Length, octets)) => return refused(SupplyRefusal::Length, octets),
            Ok(()) => {}
        }
        let session = self.sessions.get(&sending.session);
        let (flow, own) = (session.and_then(|s| s.flow()), session.and_then(|s| s.own));
        for flow in flow.into_iter().chain(own) {
            if let Some(connection) = self.connections.get_mut(&flow)
                && let Some(chunk) = connection.chunk.as_mut().filter(|chunk| chunk.transfer == transfer)
            {
                chunk.starving = false;
                self.wants_write(flow);
                return Ok(());
            }
        }
        self.queue(transfer);
        Ok(())
    }

    /// Puts a message in turn on the connection of its session, if it has one and the message is not there yet.
    pub(super) fn queue(&mut self, id: TransferId) {
        let Some(transfer) = self.transfers.get_mut(id.0) else { return };
        let Some(session) = self.sessions.get(&transfer.session) else { return };
        let Some(flow) = session.flow() else { return };
        // Its chunk may be on the connection that its session was on before: it goes on behind that.
        let is_writing = |flow: FlowId| self.connections.get(&flow).is_some_and(|c| c.is_writing(id));
        if transfer.queued || transfer.finished || is_writing(flow) || session.own.is_some_and(is_writing) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        transfer.queued = true;
        let [short, long] = &mut connection.ready;
        if transfer.is_short() {
            short.push_back(id)
        } else {
            long.push_back(id)
        }
        self.wants_write(flow);
    }

    /// The Message-ID of a message on its way.
    #[must_use]
    pub fn message_id(&self, transfer: TransferId) -> Option<&str> {
        self.transfers.get(transfer.0).map(Transfer::message_id)
    }

    /// Gives a message up: a chunk on its way ends with `#`. [`Event::SendFailed`] follows. Unknown ones are no error.
    pub fn abort(&mut self, now: Now, id: TransferId) {
        let Some(transfer) = self.transfers.get(id.0) else { return };
        let session = self.sessions.get(&transfer.session);
        let flow = session.and_then(|s| s.flow());
        let flows = flow.into_iter().chain(session.and_then(|s| s.own));
        let writing = flows.filter_map(|flow| self.connections.get(&flow)).any(|c| c.is_writing(id));
        let begun = transfer.source.taken() > 0 && !transfer.finished;
        if let (Some(flow), Some(session), false, true) = (flow, session, writing, begun) {
            let range = ByteRange { start: 1, end: Some(0), total: transfer.source.length() };
            let fields = SendFields {
                failure_report: FailureReport::No,
                success_report: false,
                ..transfer.fields(range)
            };
            let tid = Tid::new(self.random.public_u64(), Tid::NOWHERE);
            let mut octets = Vec::new();
            write::bodiless_send(
                &mut octets,
                tid.as_bytes(),
                &session.paths,
                &fields,
                ContinuationFlag::Abort,
            );
            self.control(now, flow, |out| out.extend_from_slice(&octets));
        }
        self.fail_transfer(id, None, SendFailure::Aborted);
    }

    /// Ends a message on its way. A chunk that is being written notices that its message is gone and ends with `#`.
    pub(super) fn fail_transfer(&mut self, id: TransferId, status: Option<Status>, why: SendFailure) {
        if self.remove_transfer(id) {
            self.metrics.count("msrp.messages_failed");
            self.event(Event::SendFailed { transfer: id, status, why });
        }
    }

    fn remove_transfer(&mut self, id: TransferId) -> bool {
        let Some(transfer) = self.transfers.get_mut(id.0) else { return false };
        let (open, session, queued) =
            (core::mem::take(&mut transfer.open), transfer.session, transfer.queued);
        self.transfers.discard(id.0);
        for (flow, tid) in open.first.into_iter().chain(open.others) {
            self.unregister(flow, &tid);
        }
        let Some(session) = self.sessions.get_mut(&session) else { return true };
        session.transfers.remove(id);
        // It is passed over where it waits for its turn. A chunk of it has to be ended, also on the other connection.
        for flow in session.flow().into_iter().chain(session.own) {
            let Some(connection) = self.connections.get_mut(&flow) else { continue };
            if queued {
                connection.ready.iter_mut().for_each(|ready| ready.retain(|ready| *ready != id));
            }
            connection.crowded.retain(|crowded| *crowded != id);
            if let Some(chunk) = connection.chunk.as_mut().filter(|chunk| chunk.transfer == id) {
                chunk.starving = false;
                self.wants_write(flow);
            }
        }
        true
    }

    /// Messages go on another connection than before, or on their first. A chunk that is being written is finished where
    /// it was begun.
    pub(super) fn move_transfers(&mut self, from: Option<FlowId>, transfers: Vec<TransferId>) {
        let old = from.and_then(|flow| self.connections.get_mut(&flow));
        let mut writing = None;
        if let Some(connection) = old {
            connection.ready.iter_mut().for_each(|ready| ready.retain(|id| !transfers.contains(id)));
            connection.crowded.retain(|id| !transfers.contains(id));
            writing = connection.chunk.as_ref().map(|chunk| chunk.transfer);
        }
        for id in transfers {
            if let Some(transfer) = self.transfers.get_mut(id.0).filter(|_| writing != Some(id)) {
                transfer.queued = false;
                self.queue(id);
            }
        }
    }

    /// The response to a chunk (RFC 4975 §7.1.1, §10).
    pub(super) fn chunk_answered(&mut self, now: Now, flow: FlowId, tid: Tid, status: Status) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        let Some(transaction) = connection.transactions.get_mut(&tid) else { return };
        let TransactionKind::Chunk(id, octets) = transaction.kind else { return };
        let session = self.transfers.get(id.0).map(|t| t.session);
        if status.is_success() {
            // It waits until the chunk is written.
            let writing = connection.chunk.as_ref().is_some_and(|chunk| chunk.id == tid);
            transaction.answered |= writing;
            if let Some(session) = session {
                self.confirm(session, flow);
            }
            if !writing {
                self.unregister(flow, &tid);
                self.acknowledged(id, (flow, tid), octets);
            }
            return;
        }
        self.unregister(flow, &tid);
        let why = if status == Status::TIMEOUT { SendFailure::Timeout } else { SendFailure::Refused };
        if self.transfers.contains(id.0) {
            self.fail_transfer(id, Some(status), why);
        } else {
            // Written and counted as sent, since only bad answers were wanted: here is one. It is told once.
            let connection = self.connections.get(&flow);
            let of_it = |t: &super::Transaction| matches!(t.kind, TransactionKind::Chunk(of, _) if of == id);
            let others =
                connection.map(|c| c.transactions.iter().filter(|(_, t)| of_it(t)).map(|(tid, _)| *tid));
            for other in others.into_iter().flatten().collect::<Vec<Tid>>() {
                self.unregister(flow, &other);
            }
            self.event(Event::SendFailed { transfer: id, status: Some(status), why });
        }
        if let (Some(session), Status::NO_SESSION | Status::SESSION_IN_USE) = (session, status) {
            self.lose_session(now, session, LostReason::Refused(status));
        }
    }

    fn acknowledged(&mut self, id: TransferId, key: RequestKey, octets: u64) {
        let Some(transfer) = self.transfers.get_mut(id.0) else { return };
        transfer.open.remove(key);
        transfer.in_flight = transfer.in_flight.saturating_sub(octets);
        if transfer.failure_report == FailureReport::Yes {
            self.progress(id, octets);
        }
    }

    /// So many octets more have been taken; perhaps the message is done. If not, there is room in its window again.
    fn progress(&mut self, id: TransferId, octets: u64) {
        let Some(transfer) = self.transfers.get_mut(id.0) else { return };
        transfer.acknowledged = transfer.acknowledged.saturating_add(octets);
        let acknowledged = transfer.acknowledged;
        let done = transfer.is_acknowledged();
        self.actions.push_back(crate::Action::Event(Event::Progress { transfer: id, acknowledged }));
        if !done {
            return self.queue(id);
        }
        // Where only bad answers were wanted, those that may come are still waited for.
        transfer.open = Open::default();
        if transfer.success_report
            && let Some(session) = self.sessions.get_mut(&transfer.session)
        {
            session.await_report(transfer.message_id.clone(), id, self.limits.max_queued);
        }
        self.remove_transfer(id);
        self.metrics.count("msrp.messages_sent");
        self.event(Event::Sent { transfer: id });
    }

    /// RFC 4975 §7.1.1: no answer within 30 seconds from the last octet.
    pub(super) fn responses_overdue(&mut self, now: Now, flow: FlowId) {
        while let Some(connection) = self.connections.get_mut(&flow) {
            let Some((tid, due)) = connection.transactions.oldest() else { return };
            let paused = !connection.paused.is_empty();
            if due > now.mono || paused {
                // Where nothing is read, no answer can come: that is not the far side's fault.
                let at = if paused { now.mono.plus(self.limits.response_timeout) } else { due };
                return self.timers.set(Timer::Responses(flow), at.max(due));
            }
            self.response_overdue(now, flow, tid);
        }
    }

    fn response_overdue(&mut self, now: Now, flow: FlowId, tid: Tid) {
        let Some(transaction) = self.unregister(flow, &tid) else { return };
        match transaction.kind {
            TransactionKind::Chunk(id, _) => {
                let awaited = |t: &Transfer| t.failure_report == FailureReport::Yes;
                if self.transfers.get(id.0).is_some_and(awaited) {
                    self.metrics.count("msrp.response_timeouts");
                    self.fail_transfer(id, None, SendFailure::Timeout);
                } else if let Some(transfer) = self.transfers.get_mut(id.0) {
                    transfer.open.remove((flow, tid));
                }
            }
            TransactionKind::Request(request) => self.request_answered(now, request, None),
            TransactionKind::Bind(_) => {}
        }
    }

    /// Writes what a flow can take now: appends at most `max` octets to `out` and says how many. 0 means that there is
    /// nothing; [`Action::WantsWrite`](crate::Action::WantsWrite) comes when there is something again. Chunks are cut
    /// here: what waits gets its turn, whatever was planned before.
    pub fn poll_transmit(&mut self, now: Now, flow: FlowId, max: usize, out: &mut Vec<u8>) -> usize {
        let before = out.len();
        loop {
            let written = out.len().saturating_sub(before);
            let space = max.saturating_sub(written);
            if space == 0 || !self.transmit_step(now, flow, space, out) {
                break;
            }
        }
        let written = out.len().saturating_sub(before);
        self.metrics.add("msrp.octets_out", wide(written));
        if let Some(connection) = self.connections.get_mut(&flow)
            && !connection.has_output()
        {
            connection.announced = false;
            if connection.closing {
                self.close(flow, CloseReason::Done);
            }
        }
        written
    }

    /// One step; false when there is nothing to write.
    fn transmit_step(&mut self, now: Now, flow: FlowId, space: usize, out: &mut Vec<u8>) -> bool {
        let Some(connection) = self.connections.get_mut(&flow) else { return false };
        if !connection.begun.is_empty() {
            connection.begun.put(space, out);
            if let (true, Some(chunk)) = (connection.begun.is_empty(), &connection.chunk)
                && chunk.end.is_some()
            {
                self.chunk_written(now, flow);
            }
            return true;
        }
        if connection.chunk.is_some() {
            return self.write_chunk(flow, space, out);
        }
        if !connection.control.is_empty() {
            core::mem::swap(&mut connection.begun, &mut connection.control);
            return true;
        }
        let Some(next) = connection.next_ready() else { return false };
        self.begin_chunk(flow, next);
        true
    }

    /// Cuts the next chunk of a message, or lets the message wait: for answers, for room, for its source.
    fn begin_chunk(&mut self, flow: FlowId, id: TransferId) {
        let window = self.limits.source;
        let Some(transfer) = self.transfers.get_mut(id.0) else { return };
        let Some(session) = self.sessions.get(&transfer.session) else { return };
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        transfer.queued = false;
        let source = &mut transfer.source;
        let longest = session.config.max_chunk.unwrap_or(u64::MAX).min(self.limits.max_chunk);
        let remaining = source.remaining().unwrap_or(u64::MAX);
        let least = remaining.min(longest).min(UNINTERRUPTED);
        if source.available() < least && !source.has_all() {
            if let Some((offset, max)) = source.wants(window) {
                self.event(Event::Wants { transfer: id, offset, max });
            }
            return;
        }
        // Where nothing is read the answers cannot come that would open the window: the connection holds back.
        let in_flight = if connection.paused.is_empty() { transfer.in_flight } else { 0 };
        let room = self.limits.window.saturating_sub(in_flight);
        if room < least {
            return; // until an answer comes
        }
        if connection.transactions.len() >= self.limits.max_outstanding {
            return connection.crowded.push_back(id);
        }
        let (start, size) = (source.taken(), remaining.min(longest).min(room));
        let limit = start.saturating_add(size);
        let interruptible = size > UNINTERRUPTED;
        let range = ByteRange {
            start: if source.length() == Some(0) { 1 } else { start.saturating_add(1) },
            end: (!interruptible).then_some(limit),
            total: source.length(),
        };
        // RFC 4975 §7.1: the end-line must not be in the body. What can be interrupted is looked at as it is written,
        // and here as far as it is written for sure.
        let tid = loop {
            let tid = Tid::new(self.random.public_u64(), connection.transactions.next_place());
            if !source.holds(size.min(UNINTERRUPTED), &self.dashes, &tid) {
                break tid;
            }
            self.metrics.count("msrp.end_lines_avoided");
        };
        write::send_head(
            connection.begun.end(),
            tid.as_bytes(),
            &session.paths,
            &transfer.fields(range),
            &transfer.content_type,
        );
        transfer.open.push((flow, tid));
        connection.chunk = Some(ChunkWriter {
            transfer: id,
            id: tid,
            start,
            position: start,
            limit,
            interruptible,
            starving: false,
            end: None,
        });
        self.metrics.count("msrp.chunks_out");
        self.register(flow, tid, TransactionKind::Chunk(id, 0));
    }

    /// Octets of the body, or the end of the chunk; false when the source has nothing at the moment.
    fn write_chunk(&mut self, flow: FlowId, space: usize, out: &mut Vec<u8>) -> bool {
        let turn = self.turn(flow);
        let Some(connection) = self.connections.get_mut(&flow) else { return false };
        let others_wait = connection.others_wait();
        let Some(chunk) = &mut connection.chunk else { return false };
        let Some(transfer) = self.transfers.get_mut(chunk.transfer.0) else {
            return end_chunk(connection, ContinuationFlag::Abort);
        };
        let source = &mut transfer.source;
        let written = chunk.position.saturating_sub(chunk.start);
        let turn_left = if chunk.interruptible { turn.saturating_sub(written) } else { u64::MAX };
        let left = chunk.limit.saturating_sub(chunk.position);
        let max = space.min(usize::try_from(turn_left).unwrap_or(usize::MAX));
        let mut over = turn_left == 0 || left == 0 || source.remaining() == Some(0);
        if !over {
            let count = match source.next(max, left, &self.dashes, &chunk.id) {
                Next::Octets(count) => count,
                Next::EndLine(at) => {
                    over = at == 0;
                    chunk.limit = chunk.position.saturating_add(wide(at));
                    at
                }
            };
            source.take(count, out);
            chunk.position = chunk.position.saturating_add(wide(count));
            chunk.starving = count == 0 && !over;
            // Nothing there to go on with: whoever waits does not wait for the source too.
            over |= chunk.starving && others_wait;
            if let Some((offset, max)) = source.wants(self.limits.source) {
                self.actions.push_back(crate::Action::Event(Event::Wants {
                    transfer: chunk.transfer,
                    offset,
                    max,
                }));
            }
        }
        if over {
            let whole = source.remaining() == Some(0);
            return end_chunk(connection, if whole { ContinuationFlag::End } else { ContinuationFlag::More });
        }
        !chunk.starving
    }

    /// How many octets a chunk may have before what waits on this connection gets its turn.
    fn turn(&self, flow: FlowId) -> u64 {
        let Some(connection) = self.connections.get(&flow) else { return u64::MAX };
        let [short, long] = &connection.ready;
        if !connection.control.is_empty() || !short.is_empty() {
            UNINTERRUPTED
        } else if long.is_empty() {
            u64::MAX
        } else {
            self.limits.turn
        }
    }

    /// The end-line of a chunk is written.
    fn chunk_written(&mut self, now: Now, flow: FlowId) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        let Some(chunk) = connection.chunk.take() else { return };
        let (id, tid, octets) = (chunk.transfer, chunk.id, chunk.position.saturating_sub(chunk.start));
        let Some(transfer) = self.transfers.get_mut(id.0) else { return };
        transfer.finished = chunk.end == Some(ContinuationFlag::End);
        let wants = transfer.failure_report;
        if wants == FailureReport::Yes {
            transfer.in_flight = transfer.in_flight.saturating_add(octets);
        }
        let mut answered = false;
        if let Some(transaction) = connection.transactions.get_mut(&tid) {
            transaction.kind = TransactionKind::Chunk(id, octets);
            answered = transaction.answered;
        }
        match wants {
            FailureReport::Yes if answered => {
                self.unregister(flow, &tid);
                self.acknowledged(id, (flow, tid), octets);
            }
            FailureReport::Yes => {
                self.await_response(now, flow, tid);
                self.queue(id);
            }
            FailureReport::Partial => {
                self.await_response(now, flow, tid);
                self.progress(id, octets);
            }
            FailureReport::No => {
                self.unregister(flow, &tid);
                self.acknowledged(id, (flow, tid), octets);
                self.progress(id, octets);
            }
        }
    }

    pub(super) fn await_response(&mut self, now: Now, flow: FlowId, tid: Tid) {
        let due = now.mono.plus(self.limits.response_timeout);
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        if !connection.transactions.has_due() {
            self.timers.set(Timer::Responses(flow), due);
        }
        connection.transactions.set_due(&tid, due);
    }
}

/// The end-line of the chunk waits to be written.
fn end_chunk(connection: &mut Connection, flag: ContinuationFlag) -> bool {
    let Some(chunk) = &mut connection.chunk else { return false };
    chunk.end = Some(flag);
    chunk.starving = false;
    let out = connection.begun.end();
    out.extend_from_slice(b"\r\n");
    write::end(out, chunk.id.as_bytes(), flag);
    true
}
