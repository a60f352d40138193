//! Octets go to the legs as they take them; the slowest holds the sender back.

use alloc::vec::Vec;
use cpm_base::Now;

use super::log::{Cursor, Log};
use super::{HeadState, LegId, LegRun, LegState, Splice, skip, wide};
use crate::endpoint::Endpoint;
use crate::event::{SendFailure, SupplyRefusal, TransferId};

/// Those that stand rearmost among the legs that are waited for: only when the last of them goes on has what depends on
/// the slowest changed.
#[derive(Default)]
pub(super) struct Rear {
    at: u64,
    legs: usize,
}

impl Rear {
    fn of<'a>(cursors: impl Iterator<Item = &'a Cursor>) -> (Rear, Option<Cursor>) {
        let (mut rear, mut rearmost) = (Rear { at: u64::MAX, legs: 0 }, None);
        for cursor in cursors {
            if cursor.at < rear.at {
                rear = Rear { at: cursor.at, legs: 1 };
                rearmost = Some(*cursor);
            } else if cursor.at == rear.at {
                rear.legs = rear.legs.saturating_add(1);
            }
        }
        (rear, rearmost)
    }

    /// A leg has gone on from this position; says whether the rear has moved.
    fn left(&mut self, at: u64) -> bool {
        if at > self.at {
            return false;
        }
        self.legs = self.legs.saturating_sub(1);
        self.legs == 0 || at < self.at
    }
}

impl Splice {
    /// Supplies the legs, drops what nobody needs, and lets the sender wait or go on.
    pub(super) fn pump(&mut self, now: Now, endpoint: &mut Endpoint) {
        let end = self.log_end();
        let mut failed: Vec<(LegId, TransferId)> = Vec::new();
        for (id, run) in &mut self.legs {
            let LegState::Open(transfer) = run.state else { continue };
            if !goes_on(now, endpoint, &self.log, run, transfer, end) {
                failed.push((*id, transfer));
            }
        }
        for (id, transfer) in failed {
            endpoint.abort(now, transfer);
            self.leg_failed(now, endpoint, id, None, SendFailure::Aborted);
        }
        self.tidy(now, endpoint);
    }

    /// One leg asked for octets. Among a hundred legs that each ask, none is a reason to look at all the others.
    pub(super) fn pump_leg(&mut self, now: Now, endpoint: &mut Endpoint, id: LegId, wanted: u64) {
        let end = self.log_end();
        let Some(run) = self.legs.get_mut(&id) else { return };
        run.wanted = wanted;
        let LegState::Open(transfer) = run.state else { return };
        let before = run.cursor.at;
        if !goes_on(now, endpoint, &self.log, run, transfer, end) {
            endpoint.abort(now, transfer);
            self.leg_failed(now, endpoint, id, None, SendFailure::Aborted);
            return self.tidy(now, endpoint);
        }
        if run.cursor.at == before {
            return;
        }
        // What only a leg has that is not waited for goes with the next octets that come.
        let awaited = run.leg.lag.is_none() || self.whole.is_some();
        if awaited && self.rear.left(before) {
            self.tidy(now, endpoint);
        }
    }

    /// Where the message ends in the log, once all of it is here.
    fn log_end(&self) -> Option<u64> {
        self.whole.filter(|_| self.early.is_empty()).map(|_| self.log.end())
    }

    fn tidy(&mut self, now: Now, endpoint: &mut Endpoint) {
        self.trim();
        self.hold_back(now, endpoint);
    }

    fn trim(&mut self) {
        let open = self.legs.values().filter(|run| matches!(run.state, LegState::Open(_)));
        let rearmost = open.map(|run| run.cursor.at).min();
        let kept = self.options.keep > 0
            && self.log.is_complete()
            && self.log.waiting(&self.log.start()) <= wide(self.options.keep);
        if kept || self.legs.is_empty() || !matches!(self.head_state, HeadState::Set) {
            return;
        }
        self.log.drop_before(rearmost.unwrap_or(self.log.end()));
    }

    fn hold_back(&mut self, now: Now, endpoint: &mut Endpoint) {
        let awaited = self.legs.values().filter(|run| self.is_waited_for(run));
        let (rear, rearmost) = Rear::of(awaited.map(|run| &run.cursor));
        self.rear = rear;
        let slowest = rearmost.map(|cursor| self.log.waiting(&cursor));
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

/// Supplies a leg; false when its message cannot go on, or it lags too far behind.
fn goes_on(
    now: Now,
    endpoint: &mut Endpoint,
    log: &Log,
    run: &mut LegRun,
    transfer: TransferId,
    end: Option<u64>,
) -> bool {
    let fits = supply(now, endpoint, log, run, transfer, end);
    fits && run.leg.lag.is_none_or(|most| log.waiting(&run.cursor) <= wide(most))
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
        let octets = if run.supplied >= wide(run.head.len()) {
            log.next(&mut run.cursor, room)
        } else {
            let head_left = skip(run.head.clone(), run.supplied);
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
