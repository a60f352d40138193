//! Sending: messages wait in turn, chunks are cut when the connection can take them (RFC 4975 §7.1.1).

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use cpm_base::{CloseReason, FlowId, LimitExceeded, Now};
use memchr::memmem;

use super::connection::TransactionKind;
use super::{Endpoint, Timer, TransactionKey};
use crate::event::{
    Body, Event, LostReason, Outgoing, SendError, SendFailure, SendRefusal, SessionId, TransferId,
};
use crate::head::is_media_type;
use crate::values::{ByteRange, ContinuationFlag, FailureReport, Status, is_ident};
use crate::write::{self, SendFields};

/// Chunks longer than this have to be ready to be interrupted, and none is interrupted earlier (RFC 4975 §7.1.1).
const UNINTERRUPTED: u64 = 2048;

/// A message going out.
pub(super) struct Transfer {
    session: SessionId,
    message_id: String,
    outgoing: Outgoing,
    /// Octets in finished chunks.
    position: u64,
    /// Octets answered with 200, or written where no answer is wanted.
    acknowledged: u64,
    /// Octets in finished chunks whose answers are awaited.
    in_flight: u64,
    /// Requests whose answers are awaited.
    open: BTreeSet<TransactionKey>,
}

impl Transfer {
    pub(super) fn message_id(&self) -> &str {
        &self.message_id
    }

    fn length(&self) -> u64 {
        wide(self.outgoing.body.len())
    }

    fn remaining(&self) -> u64 {
        self.length().saturating_sub(self.position)
    }

    fn fields(&self, range: ByteRange) -> SendFields<'_> {
        SendFields {
            message_id: &self.message_id,
            success_report: self.outgoing.success_report,
            failure_report: self.outgoing.failure_report,
            range,
        }
    }
}

/// What has been begun on a connection.
pub(super) enum Writing {
    Control(Bytes),
    Chunk(Box<ChunkWriter>),
}

/// A chunk on its way: head, body, end-line.
pub(super) struct ChunkWriter {
    transfer: TransferId,
    key: TransactionKey,
    /// Seven hyphens and the transaction id: what the body must not hold.
    forbidden: String,
    head: Bytes,
    body: Bytes,
    start: u64,
    position: u64,
    /// Where the chunk ends at the latest.
    limit: u64,
    interruptible: bool,
    /// The end-line, once the body is done.
    tail: Option<Bytes>,
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn narrow(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl Endpoint {
    /// Takes a message to be sent. It goes out when the session has its connection; [`Event::Sent`] or
    /// [`Event::SendFailed`] ends it.
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
        let id = TransferId(self.next_id());
        let message_id = outgoing.message_id.clone().unwrap_or_else(|| self.random.public_token(26));
        let transfer = Transfer {
            session,
            message_id,
            outgoing,
            position: 0,
            acknowledged: 0,
            in_flight: 0,
            open: BTreeSet::new(),
        };
        self.transfers.insert(id, transfer);
        self.metrics.count("msrp.messages_out");
        let Some(known) = self.sessions.get_mut(&session) else { return Ok(id) };
        known.transfers.insert(id);
        if let Some(flow) = known.flow() {
            if let Some(connection) = self.connections.get_mut(&flow) {
                connection.ready.push_back(id);
            }
            self.wants_write(flow);
        }
        Ok(id)
    }

    fn check_outgoing(&self, session: SessionId, outgoing: &Outgoing) -> Result<(), SendRefusal> {
        let session = self.sessions.get(&session).ok_or(SendRefusal::NoSession)?;
        let count = session.transfers.len().saturating_add(1);
        LimitExceeded::check("msrp.max_queued", count, self.limits.max_queued).map_err(SendRefusal::Limit)?;
        if let Some(id) = &outgoing.message_id {
            let used = |t: &TransferId| self.transfers.get(t).is_some_and(|t| t.message_id == *id);
            if !is_ident(id.as_bytes()) || session.transfers.iter().any(used) {
                return Err(SendRefusal::MessageId);
            }
        }
        // Our heads have one line per field, and stay within what peers take (1,024 octets are plenty for a type).
        let one_line = !outgoing.content_type.contains(['\r', '\n']) && outgoing.content_type.len() <= 1024;
        if one_line && is_media_type(&outgoing.content_type) { Ok(()) } else { Err(SendRefusal::ContentType) }
    }

    /// The Message-ID of a message on its way.
    #[must_use]
    pub fn message_id(&self, transfer: TransferId) -> Option<&str> {
        self.transfers.get(&transfer).map(|transfer| transfer.message_id.as_str())
    }

    /// Gives a message up: a chunk on its way ends with `#`. [`Event::SendFailed`] follows. Unknown ones are no error.
    pub fn abort(&mut self, now: Now, id: TransferId) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        let session = self.sessions.get(&transfer.session);
        let flow = session.and_then(super::Session::flow);
        let flows = flow.into_iter().chain(session.and_then(|s| s.own));
        let writing = flows.filter_map(|flow| self.connections.get(&flow)).any(|c| c.is_writing(id));
        if let (Some(flow), false, true) = (flow, writing, transfer.position > 0 && transfer.remaining() > 0)
        {
            let session = transfer.session;
            let range = ByteRange { start: 1, end: Some(0), total: Some(transfer.length()) };
            let fields = SendFields {
                failure_report: FailureReport::No,
                success_report: false,
                ..transfer.fields(range)
            };
            let transaction = self.random.public_token(16);
            if let Some(config) = self.sessions.get(&session).map(|s| &s.config) {
                let (to, from) = (&config.remote_path, &config.local_path);
                let octets = write::bodiless_send(&transaction, to, from, &fields, ContinuationFlag::Abort);
                self.control(now, flow, octets);
            }
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
        let Some(transfer) = self.transfers.remove(&id) else { return false };
        for key in transfer.open {
            self.unregister(key);
        }
        let Some(session) = self.sessions.get_mut(&transfer.session) else { return true };
        session.transfers.remove(&id);
        if let Some(connection) = session.flow().and_then(|flow| self.connections.get_mut(&flow)) {
            connection.ready.retain(|ready| *ready != id);
            connection.blocked.remove(&id);
        }
        true
    }

    /// Messages go on another connection than before, or on their first. A chunk that is being written is finished where
    /// it was begun.
    pub(super) fn move_transfers(
        &mut self,
        from: Option<FlowId>,
        to: FlowId,
        mut transfers: Vec<TransferId>,
    ) {
        if let Some(connection) = from.and_then(|flow| self.connections.get_mut(&flow)) {
            connection.ready.retain(|id| !transfers.contains(id));
            connection.blocked.retain(|id| !transfers.contains(id));
            transfers.retain(|id| !connection.is_writing(*id));
        }
        if let Some(connection) = self.connections.get_mut(&to) {
            connection.ready.extend(transfers);
        }
    }

    /// The response to a chunk (RFC 4975 §7.1.1, §10).
    pub(super) fn chunk_answered(&mut self, now: Now, flow: FlowId, key: TransactionKey, status: Status) {
        let Some(transaction) = self.transactions.get_mut(&key) else { return };
        let TransactionKind::Chunk(id, octets) = transaction.kind else { return };
        let session = self.transfers.get(&id).map(|t| t.session);
        if status.is_success() {
            if let Some(session) = session {
                self.confirm(session, flow);
            }
            if self.connections.get(&flow).is_some_and(|c| c.is_writing_request(key)) {
                // It waits until the chunk is written.
                if let Some(transaction) = self.transactions.get_mut(&key) {
                    transaction.answered = true;
                }
                return;
            }
            self.unregister(key);
            return self.acknowledged(id, key, octets);
        }
        self.unregister(key);
        let why = if status == Status::TIMEOUT { SendFailure::Timeout } else { SendFailure::Refused };
        if self.transfers.contains_key(&id) {
            self.fail_transfer(id, Some(status), why);
        } else {
            // Written and counted as sent, since only bad answers were wanted: here is one.
            self.event(Event::SendFailed { transfer: id, status: Some(status), why });
        }
        if let (Some(session), Status::NO_SESSION | Status::SESSION_IN_USE) = (session, status) {
            self.lose_session(now, session, LostReason::Refused(status));
        }
    }

    fn acknowledged(&mut self, id: TransferId, key: TransactionKey, octets: u64) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        transfer.open.remove(&key);
        transfer.in_flight = transfer.in_flight.saturating_sub(octets);
        if transfer.outgoing.failure_report == FailureReport::Yes {
            self.progress(id, octets);
        }
    }

    /// So many octets more have been taken; perhaps the message is done.
    fn progress(&mut self, id: TransferId, octets: u64) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        transfer.acknowledged = transfer.acknowledged.saturating_add(octets);
        let acknowledged = transfer.acknowledged;
        let yes = transfer.outgoing.failure_report == FailureReport::Yes;
        let done = transfer.remaining() == 0 && (!yes || transfer.open.is_empty());
        self.event(Event::Progress { transfer: id, acknowledged });
        if done {
            // Where only bad answers were wanted, those that may come are still waited for.
            if let (false, Some(transfer)) = (yes, self.transfers.get_mut(&id)) {
                transfer.open.clear();
            }
            self.remove_transfer(id);
            self.metrics.count("msrp.messages_sent");
            self.event(Event::Sent { transfer: id });
        }
    }

    /// RFC 4975 §7.1.1: no answer within 30 seconds from the last octet.
    pub(super) fn response_overdue(&mut self, key: TransactionKey) {
        let Some(transaction) = self.unregister(key) else { return };
        let TransactionKind::Chunk(id, _) = transaction.kind else { return };
        let awaited = |t: &Transfer| t.outgoing.failure_report == FailureReport::Yes;
        if self.transfers.get(&id).is_some_and(awaited) {
            self.metrics.count("msrp.response_timeouts");
            self.fail_transfer(id, None, SendFailure::Timeout);
        } else if let Some(transfer) = self.transfers.get_mut(&id) {
            transfer.open.remove(&key);
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
        match connection.writing.take() {
            Some(Writing::Control(mut octets)) => {
                put(&mut octets, space, out);
                if !octets.is_empty() {
                    connection.writing = Some(Writing::Control(octets));
                }
                true
            }
            Some(Writing::Chunk(chunk)) => {
                self.write_chunk(now, flow, chunk, space, out);
                true
            }
            None => {
                if let Some(octets) = connection.pop_control() {
                    connection.writing = Some(Writing::Control(octets));
                    return true;
                }
                let Some(next) = connection.ready.pop_front() else { return false };
                self.begin_chunk(flow, next);
                true
            }
        }
    }

    /// Cuts the next chunk of a message, or lets the message wait for answers.
    fn begin_chunk(&mut self, flow: FlowId, id: TransferId) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        let Some(session) = self.sessions.get(&transfer.session) else { return };
        let longest = session.config.max_chunk.unwrap_or(u64::MAX).min(self.limits.max_chunk);
        let room = self.limits.window.saturating_sub(transfer.in_flight);
        let remaining = transfer.remaining();
        let least = remaining.min(longest).min(UNINTERRUPTED);
        let outstanding = self.connections.get(&flow).map_or(0, |c| c.transactions.len());
        if room < least || outstanding >= self.limits.max_outstanding {
            if let Some(connection) = self.connections.get_mut(&flow) {
                connection.blocked.insert(id);
            }
            return;
        }
        let (start, size) = (transfer.position, remaining.min(longest).min(room));
        let limit = start.saturating_add(size);
        let interruptible = size > UNINTERRUPTED;
        let range = ByteRange {
            start: if transfer.length() == 0 { 1 } else { start.saturating_add(1) },
            end: (!interruptible).then_some(limit),
            total: Some(transfer.length()),
        };
        let Body::Octets(body) = transfer.outgoing.body.clone();
        let transaction = self.transaction_id_not_in(&body, start, limit);
        let (Some(transfer), Some(session)) =
            (self.transfers.get(&id), self.transfers.get(&id).and_then(|t| self.sessions.get(&t.session)))
        else {
            return;
        };
        let (to, from) = (&session.config.remote_path, &session.config.local_path);
        let head = write::send_head(
            &transaction,
            to,
            from,
            &transfer.fields(range),
            &transfer.outgoing.content_type,
        );
        let forbidden = format!("-------{transaction}");
        let key = self.register(flow, transaction, TransactionKind::Chunk(id, 0));
        if let Some(transfer) = self.transfers.get_mut(&id) {
            transfer.open.insert(key);
        }
        let chunk = ChunkWriter {
            transfer: id,
            key,
            forbidden,
            head: Bytes::from(head),
            body,
            start,
            position: start,
            limit,
            interruptible,
            tail: None,
        };
        self.metrics.count("msrp.chunks_out");
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.writing = Some(Writing::Chunk(Box::new(chunk)));
        }
    }

    /// RFC 4975 §7.1: the end-line must not be in the body. What can be interrupted is looked at as it is written, and
    /// here as far as it is written for sure.
    fn transaction_id_not_in(&mut self, body: &[u8], start: u64, limit: u64) -> String {
        let to = limit.min(start.saturating_add(UNINTERRUPTED).saturating_add(64));
        let sure = body.get(narrow(start)..narrow(to)).unwrap_or_default();
        loop {
            let id = self.new_transaction_id();
            if memmem::find(sure, format!("-------{id}").as_bytes()).is_none() {
                return id;
            }
            self.metrics.count("msrp.end_lines_avoided");
        }
    }

    fn write_chunk(
        &mut self,
        now: Now,
        flow: FlowId,
        mut chunk: Box<ChunkWriter>,
        space: usize,
        out: &mut Vec<u8>,
    ) {
        if !chunk.head.is_empty() {
            put(&mut chunk.head, space, out);
        } else if let Some(tail) = &mut chunk.tail {
            put(tail, space, out);
            if tail.is_empty() {
                return self.chunk_written(now, flow, &chunk);
            }
        } else {
            let wanted = self.transfers.contains_key(&chunk.transfer);
            let turn = if wanted { self.turn(flow) } else { 0 };
            if chunk.write_body(turn, space, out) {
                let flag = match wanted {
                    false => ContinuationFlag::Abort,
                    true if chunk.position >= wide(chunk.body.len()) => ContinuationFlag::End,
                    true => ContinuationFlag::More,
                };
                let transaction = chunk.forbidden.strip_prefix("-------").unwrap_or_default();
                chunk.tail = Some(Bytes::from(write::end_line(transaction, flag)));
            }
        }
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.writing = Some(Writing::Chunk(chunk));
        }
    }

    /// How many octets a chunk may have before what waits on this connection gets its turn.
    fn turn(&self, flow: FlowId) -> u64 {
        let Some(connection) = self.connections.get(&flow) else { return u64::MAX };
        let short = |id: &TransferId| self.transfers.get(id).is_some_and(|t| t.remaining() <= UNINTERRUPTED);
        if !connection.control.is_empty() || connection.ready.iter().any(short) {
            UNINTERRUPTED
        } else if connection.ready.is_empty() {
            u64::MAX
        } else {
            self.limits.turn
        }
    }

    /// The end-line of a chunk is written.
    fn chunk_written(&mut self, now: Now, flow: FlowId, chunk: &ChunkWriter) {
        let octets = chunk.position.saturating_sub(chunk.start);
        let Some(transfer) = self.transfers.get_mut(&chunk.transfer) else { return };
        transfer.position = chunk.position;
        let (more, wants, session) =
            (transfer.remaining() > 0, transfer.outgoing.failure_report, transfer.session);
        if wants == FailureReport::Yes {
            transfer.in_flight = transfer.in_flight.saturating_add(octets);
        }
        if more {
            let next = self.sessions.get(&session).and_then(super::Session::flow).unwrap_or(flow);
            if let Some(connection) = self.connections.get_mut(&next) {
                connection.ready.push_back(chunk.transfer);
            }
            self.wants_write(next);
        }
        let mut answered = false;
        if let Some(transaction) = self.transactions.get_mut(&chunk.key) {
            transaction.kind = TransactionKind::Chunk(chunk.transfer, octets);
            answered = transaction.answered;
        }
        match wants {
            FailureReport::Yes if answered => {
                self.unregister(chunk.key);
                self.acknowledged(chunk.transfer, chunk.key, octets);
            }
            FailureReport::Yes => self.await_response(now, chunk.key),
            FailureReport::Partial => {
                self.await_response(now, chunk.key);
                self.progress(chunk.transfer, octets);
            }
            FailureReport::No => {
                self.unregister(chunk.key);
                if let Some(transfer) = self.transfers.get_mut(&chunk.transfer) {
                    transfer.open.remove(&chunk.key);
                }
                self.progress(chunk.transfer, octets);
            }
        }
    }

    fn await_response(&mut self, now: Now, key: TransactionKey) {
        self.timers.set(Timer::Response(key), now.mono.plus(self.limits.response_timeout));
    }
}

impl ChunkWriter {
    pub(super) fn transfer(&self) -> TransferId {
        self.transfer
    }

    pub(super) fn key(&self) -> TransactionKey {
        self.key
    }

    /// Writes octets of the body; true when it is done: at its limit, or interrupted after `turn` octets (0: the message
    /// is not wanted any more).
    fn write_body(&mut self, turn: u64, space: usize, out: &mut Vec<u8>) -> bool {
        let written = self.position.saturating_sub(self.start);
        let turn_left = if self.interruptible { turn.saturating_sub(written) } else { u64::MAX };
        let wanted = self.limit.saturating_sub(self.position).min(turn_left).min(wide(space));
        let from = narrow(self.position);
        if self.interruptible && wanted > 0 {
            // An end-line that begins within what is to be written: the chunk ends before it.
            let ahead = wanted.saturating_add(wide(self.forbidden.len())).saturating_sub(1);
            let to = narrow(self.limit.min(self.position.saturating_add(ahead)));
            let seen = self.body.get(from..to).unwrap_or_default();
            if let Some(at) = memmem::find(seen, self.forbidden.as_bytes()) {
                self.limit = self.position.saturating_add(wide(at));
            }
        }
        let wanted = wanted.min(self.limit.saturating_sub(self.position));
        let piece = self.body.get(from..from.saturating_add(narrow(wanted))).unwrap_or_default();
        out.extend_from_slice(piece);
        self.position = self.position.saturating_add(wide(piece.len()));
        self.position >= self.limit
            || (self.interruptible && self.position.saturating_sub(self.start) >= turn)
    }
}

/// Moves as many octets as there is space for.
fn put(octets: &mut Bytes, space: usize, out: &mut Vec<u8>) {
    let count = space.min(octets.len());
    out.extend_from_slice(octets.get(..count).unwrap_or_default());
    octets.advance(count);
}
