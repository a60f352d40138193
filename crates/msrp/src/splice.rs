//! One message in, the same message out on many legs, as it comes.
//!
//! A [`Splice`] is fed the [events](crate::Event) of its endpoint by the function that relays and drives the legs'
//! messages: new paths, Message-IDs and chunks are the endpoint's, per leg. Memory is the octets between the slowest leg
//! and what has come: at most [`SpliceOptions::buffer`], or the bound of a leg that is not waited for. When that is full,
//! the connection that the message comes on is [paused](crate::Endpoint::pause). A leg that never drains fails alone, by a
//! timer: [`Splice::next_timeout`], [`Splice::handle_timeout`].

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::{Instant, LimitExceeded, Now};

use crate::endpoint::Endpoint;
use crate::event::{
    AbortReason, Body, ChunkId, Event, IncomingId, Outgoing, SendError, SendFailure, SessionId,
    SupplyRefusal, TransferId,
};
use crate::head::Head;
use crate::piece::{cost, parts};
use crate::uri::MsrpUri;
use crate::values::{ByteRange, FailureReport, Status};

mod log;
#[cfg(test)]
mod tests;
mod types;

use log::Log;
pub use types::{Leg, LegError, LegId, Mapping, SpliceEvent, SpliceOptions};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LegState {
    /// Its head is not known yet.
    Waiting,
    Open(TransferId),
    Sent(TransferId),
    Failed(Option<Status>),
}

struct LegRun {
    leg: Leg,
    state: LegState,
    head: Bytes,
    /// How much of its message was supplied, and asked for.
    supplied: u64,
    wanted: u64,
    /// Where it stands in the log.
    cursor: log::Cursor,
    /// How long its message is, where that was said.
    length: Option<u64>,
    ended: bool,
    reported: bool,
}

/// The head of the body, on its way to be rewritten.
enum HeadState {
    /// So much of it has come.
    Coming(Vec<u8>),
    /// The function was asked.
    Asked,
    Set,
}

/// A message that goes from one incoming leg to many outgoing ones. The session that it comes on should have
/// [`Overlap::FirstStands`](crate::Overlap) and [`Answering::ReleasedWithoutReports`](crate::Answering).
pub struct Splice {
    options: SpliceOptions,
    incoming: IncomingId,
    session: SessionId,
    message_id: String,
    content_type: String,
    report_to: Vec<MsrpUri>,
    success_report: bool,
    failure_report: FailureReport,
    total: Option<u64>,
    head_state: HeadState,
    /// How long the head was as it came, and what goes out instead.
    old_head: u64,
    new_head: Bytes,
    log: Log,
    /// Octets that have come without a gap, and those beyond the first gap.
    received: u64,
    early: BTreeMap<u64, Bytes>,
    /// What it costs to keep `early`.
    early_cost: u64,
    /// The length of the message, once all of it is here.
    whole: Option<u64>,
    /// The chunk that is answered when it is known what became of the message.
    last_chunk: Option<ChunkId>,
    refused: Option<Status>,
    over: bool,
    paused: bool,
    /// Since when legs have not taken what they are waited for.
    held_since: Option<Instant>,
    legs: BTreeMap<LegId, LegRun>,
    by_transfer: BTreeMap<TransferId, LegId>,
    last_leg: u64,
    events: VecDeque<SpliceEvent>,
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl core::fmt::Debug for Splice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Splice")
            .field("incoming", &self.incoming)
            .field("received", &self.received)
            .field("whole", &self.whole)
            .field("legs", &self.legs.len())
            .finish_non_exhaustive()
    }
}

impl Splice {
    /// A splice of the message that [`Event::Incoming`] told of.
    ///
    /// # Errors
    /// An option is outside its range.
    pub fn new(
        session: SessionId,
        incoming: IncomingId,
        head: &Head,
        options: SpliceOptions,
    ) -> Result<Splice, LimitExceeded> {
        options.validate()?;
        let through = options.head_lines == 0;
        Ok(Splice {
            options,
            incoming,
            session,
            message_id: head.message_id().unwrap_or_default().into(),
            content_type: head.content_type().unwrap_or_default().into(),
            report_to: head.from_path().to_vec(),
            success_report: head.success_report(),
            failure_report: head.failure_report(),
            total: head.byte_range().and_then(|range| range.total),
            head_state: if through { HeadState::Set } else { HeadState::Coming(Vec::new()) },
            old_head: 0,
            new_head: Bytes::new(),
            log: Log::default(),
            received: 0,
            early: BTreeMap::new(),
            early_cost: 0,
            whole: None,
            last_chunk: None,
            refused: None,
            over: false,
            paused: false,
            held_since: None,
            legs: BTreeMap::new(),
            by_transfer: BTreeMap::new(),
            last_leg: 0,
            events: VecDeque::new(),
        })
    }

    /// The message that comes in.
    #[must_use]
    pub fn incoming(&self) -> IncomingId {
        self.incoming
    }

    /// What there is to tell, oldest first.
    pub fn poll_event(&mut self) -> Option<SpliceEvent> {
        self.events.pop_front()
    }

    /// Whether a leg that joins now gets the whole message.
    #[must_use]
    pub fn takes_legs(&self) -> bool {
        self.log.is_complete() && self.refused.is_none() && !self.over
    }

    /// Whether the sender knows what became of the message and no leg is on its way. Reports may still come: keep the
    /// splice as long as they are waited for.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let open = |leg: &LegRun| matches!(leg.state, LegState::Waiting | LegState::Open(_));
        self.over && !self.legs.values().any(open)
    }

    /// Whether the message was refused, or ended before it was whole: nobody gets it any more.
    fn is_given_up(&self) -> bool {
        self.refused.is_some() || (self.over && self.whole.is_none())
    }

    /// Adds a leg, from the beginning of the message.
    ///
    /// # Errors
    /// See [`LegError`].
    pub fn add_leg(&mut self, now: Now, endpoint: &mut Endpoint, leg: Leg) -> Result<LegId, LegError> {
        if !self.log.is_complete() || self.is_given_up() {
            return Err(LegError::TooLate);
        }
        let mut run = LegRun {
            leg,
            state: LegState::Waiting,
            head: Bytes::new(),
            supplied: 0,
            wanted: 0,
            cursor: self.log.start(),
            length: None,
            ended: false,
            reported: false,
        };
        if matches!(self.head_state, HeadState::Set) {
            self.open_leg(now, endpoint, &mut run).map_err(|error| LegError::Send(Box::new(error)))?;
        }
        self.last_leg = self.last_leg.saturating_add(1);
        let id = LegId(self.last_leg);
        if let LegState::Open(transfer) = run.state {
            self.by_transfer.insert(transfer, id);
        }
        self.legs.insert(id, run);
        Ok(id)
    }

    /// The message of a leg is handed to the endpoint: its length shifts with its head.
    fn open_leg(&self, now: Now, endpoint: &mut Endpoint, run: &mut LegRun) -> Result<(), SendError> {
        run.head = run.leg.head.clone().unwrap_or_else(|| self.new_head.clone());
        let body = self.whole.or(self.total).map(|total| total.saturating_sub(self.old_head));
        run.length = body.map(|body| body.saturating_add(wide(run.head.len())));
        let outgoing = Outgoing {
            message_id: run.leg.message_id.clone(),
            content_type: self.content_type.clone().into(),
            body: Body::Source { total: run.length },
            success_report: self.success_report,
            failure_report: FailureReport::Yes,
        };
        let transfer = endpoint.send(now, run.leg.session, outgoing)?;
        run.ended = run.length == Some(0);
        run.state = LegState::Open(transfer);
        Ok(())
    }

    /// What goes out instead of the head that [`SpliceEvent::Head`] told of, on all legs without one of their own.
    pub fn set_head(&mut self, now: Now, endpoint: &mut Endpoint, head: Bytes) {
        if !matches!(self.head_state, HeadState::Asked) {
            return;
        }
        self.head_state = HeadState::Set;
        self.new_head = head;
        for id in self.legs.keys().copied().collect::<Vec<_>>() {
            let Some(mut run) = self.legs.remove(&id) else { continue };
            let opened = self.open_leg(now, endpoint, &mut run);
            if let LegState::Open(transfer) = run.state {
                self.by_transfer.insert(transfer, id);
            }
            self.legs.insert(id, run);
            if opened.is_err() {
                self.leg_failed(now, endpoint, id, None, SendFailure::SessionLost);
            }
        }
        self.pump(now, endpoint);
    }

    /// Takes a leg off: its message is given up. Unknown ones are no error.
    pub fn remove_leg(&mut self, now: Now, endpoint: &mut Endpoint, leg: LegId) {
        let Some(run) = self.legs.get(&leg) else { return };
        match run.state {
            LegState::Open(transfer) => endpoint.abort(now, transfer),
            LegState::Waiting => {}
            LegState::Sent(_) | LegState::Failed(_) => return,
        }
        self.leg_failed(now, endpoint, leg, None, SendFailure::Aborted);
        self.pump(now, endpoint);
    }

    /// When [`Splice::handle_timeout`] wants to be called; `None` while every leg takes its octets.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.held_since.map(|since| since.plus(self.options.stall))
    }

    /// Time has passed: legs that held the message back all the time fail, each alone. Harmless when nothing is due.
    pub fn handle_timeout(&mut self, now: Now, endpoint: &mut Endpoint) {
        if self.next_timeout().is_none_or(|due| due > now.mono) {
            return;
        }
        self.held_since = None;
        let most = if self.whole.is_some() { 0 } else { wide(self.options.buffer / 2) };
        let stalled = |run: &LegRun| self.is_waited_for(run) && self.log.waiting(&run.cursor) > most;
        let legs: Vec<LegId> = self.legs.iter().filter(|(_, run)| stalled(run)).map(|(id, _)| *id).collect();
        for id in legs {
            if let Some(LegState::Open(transfer)) = self.legs.get(&id).map(|run| run.state) {
                endpoint.abort(now, transfer);
                self.leg_failed(now, endpoint, id, None, SendFailure::Timeout);
            }
        }
        self.pump(now, endpoint);
    }

    /// While octets come, legs without a bound of their own; when all are here, every leg on its way.
    fn is_waited_for(&self, run: &LegRun) -> bool {
        matches!(run.state, LegState::Open(_)) && (run.leg.lag.is_none() || self.whole.is_some())
    }

    /// An event of the endpoint; says whether it was one of this splice.
    pub fn handle(&mut self, now: Now, endpoint: &mut Endpoint, event: &Event) -> bool {
        let leg = |transfer: &TransferId| self.by_transfer.get(transfer).copied();
        match event {
            Event::Data { transfer, offset, bytes } if *transfer == self.incoming => {
                self.data(now, endpoint, *offset, bytes);
            }
            Event::ChunkEnd { transfer, chunk, complete, .. } if *transfer == self.incoming => {
                self.chunk_end(now, endpoint, *chunk, *complete);
            }
            Event::Aborted { transfer, why } if *transfer == self.incoming => {
                self.aborted(now, endpoint, *why);
            }
            Event::Wants { transfer, offset, max } => {
                let Some(id) = leg(transfer) else { return false };
                if let Some(run) = self.legs.get_mut(&id) {
                    run.wanted = offset.saturating_add(*max);
                }
                self.pump(now, endpoint);
            }
            Event::Progress { transfer, .. } => return leg(transfer).is_some(),
            Event::Sent { transfer } => {
                let Some(id) = leg(transfer) else { return false };
                if let Some(run) = self.legs.get_mut(&id) {
                    run.state = LegState::Sent(*transfer);
                }
                self.events.push_back(SpliceEvent::LegSent(id));
                self.settle(now, endpoint);
            }
            Event::SendFailed { transfer, status, why } => {
                let Some(id) = leg(transfer) else { return false };
                self.leg_failed(now, endpoint, id, *status, *why);
                self.pump(now, endpoint);
            }
            Event::Report { transfer: Some(transfer), range, status, .. } => {
                let Some(id) = leg(transfer) else { return false };
                self.reported(now, endpoint, id, *range, *status);
            }
            _ => return false,
        }
        true
    }

    /// Octets of the message: put in order, then to the head or to the log.
    fn data(&mut self, now: Now, endpoint: &mut Endpoint, offset: u64, octets: &Bytes) {
        let mut at = offset;
        for part in parts(octets) {
            if self.refused.is_some() || self.over {
                return;
            }
            let end = at.saturating_add(wide(part.len()));
            self.part(now, endpoint, at, part);
            at = end;
        }
        self.pump(now, endpoint);
    }

    fn part(&mut self, now: Now, endpoint: &mut Endpoint, offset: u64, octets: Bytes) {
        let end = offset.saturating_add(wide(octets.len()));
        if offset > self.received {
            let early = self.early_cost.saturating_add(cost(&octets));
            if early > wide(self.options.reorder) {
                return self.refuse(now, endpoint, Status::STOP);
            }
            if self.early.get(&offset).is_none_or(|known| known.len() < octets.len()) {
                let before = self.early.insert(offset, octets);
                self.early_cost = early.saturating_sub(before.map_or(0, |before| cost(&before)));
            }
            return;
        }
        if end > self.received {
            self.accept(skip(octets, self.received.saturating_sub(offset)));
        }
        while let Some(first) = self.early.first_entry().filter(|first| *first.key() <= self.received) {
            let (offset, octets) = first.remove_entry();
            self.early_cost = self.early_cost.saturating_sub(cost(&octets));
            let known = self.received.saturating_sub(offset);
            if known < wide(octets.len()) {
                self.accept(skip(octets, known));
            }
        }
    }

    fn accept(&mut self, octets: Bytes) {
        if self.options.tap {
            self.events.push_back(SpliceEvent::Tapped { offset: self.received, octets: octets.clone() });
        }
        self.received = self.received.saturating_add(wide(octets.len()));
        let HeadState::Coming(head) = &mut self.head_state else { return self.log.push(octets) };
        let before = head.len();
        let full = before.saturating_add(octets.len()) >= self.options.max_head;
        head.extend_from_slice(octets.get(..self.options.max_head.min(octets.len())).unwrap_or_default());
        match head_end(head, self.options.head_lines).filter(|end| *end <= self.options.max_head) {
            Some(end) => {
                head.truncate(end);
                let head = Bytes::from(core::mem::take(head));
                self.log.push(skip(octets, wide(end.saturating_sub(before))));
                self.ask_head(head);
            }
            None if full => {
                head.truncate(before);
                let begun = Bytes::from(core::mem::take(head));
                self.log.push(begun);
                self.log.push(octets);
                self.ask_head(Bytes::new());
            }
            None => {}
        }
    }

    fn ask_head(&mut self, head: Bytes) {
        self.old_head = wide(head.len());
        self.head_state = HeadState::Asked;
        self.events.push_back(SpliceEvent::Head(head));
    }

    /// Chunks before the last are answered at once: what matters hangs on the last answer alone, and a sender that waits
    /// for an answer before it goes on would never end the chunk that the legs wait in.
    fn chunk_end(&mut self, now: Now, endpoint: &mut Endpoint, chunk: ChunkId, complete: Option<u64>) {
        if let Some(status) = self.refused {
            return endpoint.respond(now, chunk, status);
        }
        let Some(total) = complete else { return endpoint.respond(now, chunk, Status::OK) };
        self.whole = Some(total);
        self.held_since = None;
        self.last_chunk = Some(chunk);
        if let HeadState::Coming(head) = &mut self.head_state {
            // The message ends before its head does: it has none.
            let begun = Bytes::from(core::mem::take(head));
            self.log.push(begun);
            self.ask_head(Bytes::new());
        }
        self.events.push_back(SpliceEvent::Whole(total));
        self.pump(now, endpoint);
        self.settle(now, endpoint);
    }

    fn aborted(&mut self, now: Now, endpoint: &mut Endpoint, why: AbortReason) {
        self.over = true;
        self.give_up(now, endpoint);
        self.events.push_back(SpliceEvent::Aborted(why));
    }

    /// Nothing more goes out.
    fn give_up(&mut self, now: Now, endpoint: &mut Endpoint) {
        for run in self.legs.values() {
            if let LegState::Open(transfer) = run.state {
                endpoint.abort(now, transfer);
            }
        }
        self.log = Log::default();
        self.early.clear();
        self.early_cost = 0;
        self.held_since = None;
        self.head_state = HeadState::Set;
        let waiting = self.legs.iter().filter(|(_, run)| run.state == LegState::Waiting);
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.leg_failed(now, endpoint, id, None, SendFailure::Aborted);
        }
    }

    /// The message is refused: at once where its last chunk waits, else with its next one.
    fn refuse(&mut self, now: Now, endpoint: &mut Endpoint, status: Status) {
        if self.refused.is_some() || self.over {
            return;
        }
        self.refused = Some(status);
        self.over = true;
        self.give_up(now, endpoint);
        self.events.push_back(SpliceEvent::Refused(status));
        if let Some(chunk) = self.last_chunk.take() {
            endpoint.respond(now, chunk, status);
        }
        self.let_go(now, endpoint);
    }

    fn let_go(&mut self, now: Now, endpoint: &mut Endpoint) {
        if core::mem::take(&mut self.paused) {
            endpoint.resume(now, self.incoming);
        }
    }

    fn leg_failed(
        &mut self,
        now: Now,
        endpoint: &mut Endpoint,
        id: LegId,
        status: Option<Status>,
        why: SendFailure,
    ) {
        let Some(run) = self.legs.get_mut(&id) else { return };
        if matches!(run.state, LegState::Failed(_)) {
            return;
        }
        run.state = LegState::Failed(status);
        self.events.push_back(SpliceEvent::LegFailed { leg: id, status, why });
        if self.options.mapping == Mapping::Each && !self.is_given_up() {
            let status = status.unwrap_or(Status::TIMEOUT);
            self.report(now, endpoint, None, status);
        }
        self.settle(now, endpoint);
    }

    /// Is it known what became of the message? Then its sender is told.
    fn settle(&mut self, now: Now, endpoint: &mut Endpoint) {
        if self.over || self.refused.is_some() {
            return;
        }
        let failed = self.legs.values().find_map(|run| match run.state {
            LegState::Failed(status) => Some(status.unwrap_or(Status::TIMEOUT)),
            _ => None,
        });
        let all_failed = self.legs.values().all(|run| matches!(run.state, LegState::Failed(_)));
        let sent = self.legs.values().filter(|run| matches!(run.state, LegState::Sent(_))).count();
        let refused = match self.options.mapping {
            Mapping::All => failed,
            Mapping::First => failed.filter(|_| all_failed),
            Mapping::Each => None,
        };
        if let Some(status) = refused {
            return self.refuse(now, endpoint, status);
        }
        let enough = match self.options.mapping {
            Mapping::First => sent > 0,
            Mapping::All => sent > 0 && sent == self.legs.len(),
            Mapping::Each => true,
        };
        if let (true, Some(chunk)) = (enough, self.last_chunk) {
            self.last_chunk = None;
            self.over = true;
            endpoint.respond(now, chunk, Status::OK);
        }
    }

    /// A report of a leg is passed back as the mapping says.
    fn reported(
        &mut self,
        now: Now,
        endpoint: &mut Endpoint,
        id: LegId,
        range: Option<ByteRange>,
        status: Option<Status>,
    ) {
        let Some(run) = self.legs.get_mut(&id) else { return };
        let range = range.map(|range| shifted(range, wide(run.head.len()), self.old_head));
        self.events.push_back(SpliceEvent::LegReport { leg: id, range, status });
        let Some(status) = status else { return };
        if !status.is_success() {
            if !matches!(run.state, LegState::Sent(_)) {
                // It has no answer yet and needs none any more.
                self.leg_failed(now, endpoint, id, Some(status), SendFailure::Reported);
                return self.pump(now, endpoint);
            }
            run.state = LegState::Failed(Some(status));
            let failed = self.legs.values().filter(|run| matches!(run.state, LegState::Failed(_))).count();
            let matters = match self.options.mapping {
                Mapping::First => failed == self.legs.len(),
                Mapping::All => failed == 1,
                Mapping::Each => true,
            };
            if matters {
                self.report(now, endpoint, range, status);
            }
            return;
        }
        // Of the whole message, or the last octets of it: that is told once (threats B10).
        let whole =
            self.whole.is_some() && range.is_none_or(|range| range.end == self.whole) && !run.reported;
        run.reported |= whole;
        let all = self.legs.values().all(|run| run.reported);
        let first = self.legs.values().filter(|run| run.reported).count() == 1;
        match self.options.mapping {
            Mapping::Each => self.report(now, endpoint, range, status),
            Mapping::First if whole && first => self.report(now, endpoint, None, status),
            Mapping::All if whole && all => self.report(now, endpoint, None, status),
            _ => {}
        }
    }

    /// A report to the sender, if it wants such a one; `None`: of all that came.
    fn report(&self, now: Now, endpoint: &mut Endpoint, range: Option<ByteRange>, status: Status) {
        let wanted = match status.is_success() {
            true => self.success_report,
            false => self.failure_report != FailureReport::No,
        };
        let all = ByteRange { start: 1, end: Some(self.whole.unwrap_or(self.received)), total: self.whole };
        if wanted {
            // A sender whose session is gone is told nothing.
            let _ = endpoint.report(
                now,
                self.session,
                &self.report_to,
                &self.message_id,
                range.unwrap_or(all),
                status,
            );
        }
    }

    /// Supplies the legs, drops what nobody needs, and lets the sender wait or go on.
    fn pump(&mut self, now: Now, endpoint: &mut Endpoint) {
        let end = self.whole.filter(|_| self.early.is_empty()).map(|_| self.log.end());
        let ids: Vec<LegId> = self.legs.keys().copied().collect();
        for id in ids {
            let Some(run) = self.legs.get_mut(&id) else { continue };
            let LegState::Open(transfer) = run.state else { continue };
            let fits = supply(now, endpoint, &self.log, run, transfer, end);
            let lag = self.log.waiting(&run.cursor);
            let left_behind = run.leg.lag.is_some_and(|most| lag > wide(most));
            if left_behind || !fits {
                endpoint.abort(now, transfer);
                self.leg_failed(now, endpoint, id, None, SendFailure::Aborted);
            }
        }
        self.trim();
        self.hold_back(now, endpoint);
    }

    fn trim(&mut self) {
        let kept = self.options.keep > 0
            && self.log.is_complete()
            && self.log.waiting(&self.log.start()) <= wide(self.options.keep);
        if kept || self.legs.is_empty() || !matches!(self.head_state, HeadState::Set) {
            return;
        }
        let open = self.legs.values().filter(|run| matches!(run.state, LegState::Open(_)));
        self.log.drop_before(open.map(|run| run.cursor.at).min().unwrap_or(self.log.end()));
    }

    fn hold_back(&mut self, now: Now, endpoint: &mut Endpoint) {
        let waited_for = self.legs.values().filter(|run| self.is_waited_for(run));
        let slowest = waited_for.map(|run| self.log.waiting(&run.cursor)).max();
        let unheard = self.legs.is_empty() || !matches!(self.head_state, HeadState::Set);
        let (waiting, buffer) = match slowest {
            _ if unheard => (self.log.waiting(&self.log.start()), self.options.buffer.max(self.options.keep)),
            slowest => (slowest.unwrap_or(0), self.options.buffer),
        };
        if !self.paused && waiting >= wide(buffer) && self.whole.is_none() {
            self.paused = true;
            endpoint.pause(now, self.incoming);
        } else if waiting <= wide(buffer / 2) {
            self.let_go(now, endpoint);
        }
        let holds = self.paused || self.whole.is_some();
        self.held_since = match slowest {
            Some(waiting) if holds && waiting > 0 => self.held_since.or(Some(now.mono)),
            _ => None,
        };
    }
}

/// Gives a leg what it asked for and is there; false when the message cannot go on there.
fn supply(
    now: Now,
    endpoint: &mut Endpoint,
    log: &Log,
    run: &mut LegRun,
    transfer: TransferId,
    end: Option<u64>,
) -> bool {
    while !run.ended {
        let room = usize::try_from(run.wanted.saturating_sub(run.supplied)).unwrap_or(usize::MAX);
        let head_left = skip(run.head.clone(), run.supplied);
        let octets = if head_left.is_empty() {
            log.next(&mut run.cursor, room)
        } else {
            head_left.slice(..room.min(head_left.len()))
        };
        run.supplied = run.supplied.saturating_add(wide(octets.len()));
        let last = end == Some(run.cursor.at) && run.supplied >= wide(run.head.len());
        if octets.is_empty() && !(last && run.wanted > 0) {
            return true;
        }
        run.ended = last || run.length == Some(run.supplied);
        match endpoint.supply(now, transfer, octets, last) {
            Ok(()) => {}
            // Its failure is on its way to us.
            Err(error) if error.why == SupplyRefusal::NoTransfer => return true,
            Err(_) => return false,
        }
    }
    true
}

/// Without its first octets.
fn skip(octets: Bytes, count: u64) -> Bytes {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(octets.len());
    octets.slice(count..)
}

/// Where a head with so many blank lines ends.
fn head_end(text: &[u8], blank_lines: u8) -> Option<usize> {
    let mut from = 0usize;
    for _ in 0..blank_lines {
        let at = memchr::memmem::find(text.get(from..)?, b"\r\n\r\n")?;
        from = from.saturating_add(at).saturating_add(4);
    }
    Some(from)
}

/// Positions of a leg's message in those of the message as it came (both from 1).
fn shifted(range: ByteRange, new_head: u64, old_head: u64) -> ByteRange {
    let shift = |position: u64| {
        if position <= new_head {
            position.min(old_head)
        } else {
            position.saturating_sub(new_head).saturating_add(old_head)
        }
    };
    ByteRange { start: shift(range.start).max(1), end: range.end.map(shift), total: range.total.map(shift) }
}
