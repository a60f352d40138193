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
    Body, ChunkId, Event, IncomingId, Outgoing, SendError, SendFailure, SessionId, TransferId,
};
use crate::head::Head;
use crate::uri::MsrpUri;
use crate::values::{FailureReport, Status};

mod incoming;
mod log;
mod outcome;
mod supply;
#[cfg(test)]
mod tests;
mod types;

use log::Log;
use supply::Rear;
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
    /// The rearmost of the legs that are waited for.
    rear: Rear,
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
            rear: Rear::default(),
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
        // Legs that were taken off meanwhile stay off.
        let waiting = self.legs.iter().filter(|(_, run)| run.state == LegState::Waiting);
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            // One that cannot be opened may have ended the message for all.
            if self.legs.get(&id).is_none_or(|run| run.state != LegState::Waiting) {
                continue;
            }
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
                self.pump_leg(now, endpoint, id, offset.saturating_add(*max));
            }
            Event::Progress { transfer, .. } => return leg(transfer).is_some(),
            Event::Sent { transfer } => {
                let Some(id) = leg(transfer) else { return false };
                // It may have been taken off, or failed, while this was on its way to us.
                let Some(run) = self.legs.get_mut(&id).filter(|run| run.state == LegState::Open(*transfer))
                else {
                    return true;
                };
                run.state = LegState::Sent(*transfer);
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
}

/// Without its first octets.
fn skip(octets: Bytes, count: u64) -> Bytes {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(octets.len());
    octets.slice(count..)
}
