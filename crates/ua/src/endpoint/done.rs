//! Server transactions other than INVITE that have their final response over UDP (state Completed of RFC 3261 Figure 8):
//! key and response alone, until Timer J. They all wait equally long, so they end in the order in which they came here.

use super::Endpoint;
use super::fingerprint::Fingerprint;
use super::via::ReplyTo;
use crate::event::RequestId;
use crate::timers::TimerKey;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use bytes::Bytes;
use cpm_base::{Instant, Now};

/// What is left of such a transaction.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) key: Fingerprint,
    pub(super) merge: Option<Fingerprint>,
    pub(super) response: Bytes,
    pub(super) reply: ReplyTo,
}

impl Done {
    /// Octets that it costs: itself and its response; its entries in three maps (whose nodes are little more than half full
    /// when they are filled in order) and in the queue.
    fn cost(&self) -> usize {
        const ENTRIES: usize = 2 * (16 + 24 + 24 + 16);
        size_of::<Done>().saturating_add(ENTRIES).saturating_add(self.response.len())
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct AllDone {
    by_id: BTreeMap<RequestId, Box<Done>>,
    /// When each ends, in order. What was forgotten before its time may still stand here.
    ends: VecDeque<(Instant, RequestId)>,
    octets: usize,
}

impl AllDone {
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.ends.is_empty() && self.octets == 0
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// The one that is the first to end.
    pub(super) fn oldest(&self) -> Option<RequestId> {
        self.ends.front().map(|(_, id)| *id)
    }
}

impl Endpoint {
    pub(super) fn keep_done(&mut self, now: Now, id: RequestId, done: Done) {
        self.by_key.insert(done.key, id);
        if let Some(merge) = done.merge {
            self.merges.insert(merge, id);
        }
        self.done.octets = self.done.octets.saturating_add(done.cost());
        self.done.by_id.insert(id, Box::new(done));
        self.done.ends.push_back((now.mono.plus(self.config.timers.patience()), id));
        self.schedule_done();
    }

    fn schedule_done(&mut self) {
        self.timers.set(TimerKey::Done, self.done.ends.front().map(|(at, _)| *at));
    }

    /// Timer J.
    pub(super) fn done_timeout(&mut self, now: Now) {
        while self.done.ends.front().is_some_and(|(at, _)| *at <= now.mono) {
            self.forget_oldest_done();
        }
        self.schedule_done();
    }

    /// Forgets the oldest, in time or before.
    pub(super) fn forget_oldest_done(&mut self) {
        let Some((_, id)) = self.done.ends.pop_front() else { return };
        let Some(done) = self.done.by_id.remove(&id) else { return };
        self.done.octets = self.done.octets.saturating_sub(done.cost());
        self.by_key.remove(&done.key);
        if let Some(merge) = done.merge {
            self.merges.remove(&merge);
        }
        self.schedule_done();
    }

    /// The request came again: its response goes out again. `false` when it is none of these.
    pub(super) fn done_again(&mut self, now: Now, id: RequestId) -> bool {
        let Some(done) = self.done.by_id.get(&id) else { return false };
        let (octets, reply) = (done.response.clone(), done.reply.clone());
        self.metrics.count("ua.responses_sent");
        match reply.flow.filter(|flow| self.flows.get(*flow).is_some()) {
            Some(flow) => drop(self.transmit(flow, octets)),
            None => self.send_elsewhere(now, id, reply.target, octets),
        }
        true
    }
}
