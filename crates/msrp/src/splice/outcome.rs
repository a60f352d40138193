//! What became of the message on its legs, told to its sender.

use alloc::vec::Vec;
use cpm_base::Now;

use super::log::Log;
use super::{HeadState, LegId, LegState, Mapping, Splice, SpliceEvent, wide};
use crate::endpoint::Endpoint;
use crate::event::{AbortReason, SendFailure};
use crate::values::{ByteRange, FailureReport, Status};

impl Splice {
    pub(super) fn aborted(&mut self, now: Now, endpoint: &mut Endpoint, why: AbortReason) {
        self.over = true;
        self.give_up(now, endpoint);
        self.events.push_back(SpliceEvent::Aborted(why));
    }

    /// Nothing more goes out.
    pub(super) fn give_up(&mut self, now: Now, endpoint: &mut Endpoint) {
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

    /// Refuses the message, where nobody is left to take it, say: at once where its last chunk waits, else with its next
    /// one. Its legs give it up. Once its sender knows what became of it, nothing happens.
    pub fn refuse(&mut self, now: Now, endpoint: &mut Endpoint, status: Status) {
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

    pub(super) fn let_go(&mut self, now: Now, endpoint: &mut Endpoint) {
        if core::mem::take(&mut self.paused) {
            endpoint.resume(now, self.incoming);
        }
    }

    pub(super) fn leg_failed(
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
    pub(super) fn settle(&mut self, now: Now, endpoint: &mut Endpoint) {
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
    pub(super) fn reported(
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
