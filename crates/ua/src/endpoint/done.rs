//! Server transactions other than INVITE that have their final response over UDP (state Completed of RFC 3261 Figure 8):
//! key and response alone, until Timer J. They all wait equally long, so they end in the order in which they came here.

use super::Endpoint;
use super::fingerprint::Fingerprint;
use super::via::ReplyTo;
use crate::event::RequestId;
use crate::table::less_room;
use crate::timers::TimerKey;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use bytes::Bytes;
use cpm_base::{Instant, Now};

/// What is left of such a transaction.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) id: RequestId,
    pub(super) key: Fingerprint,
    pub(super) merge: Option<Fingerprint>,
    pub(super) response: Box<[u8]>,
    pub(super) reply: ReplyTo,
    /// When it ends.
    pub(super) until: Instant,
}

impl Done {
    /// Octets that it costs: its response, itself in a queue and its entries in two tables, which may be half empty.
    fn cost(&self) -> usize {
        const ENTRIES: usize = 2 * (size_of::<Done>() + 33 + 17);
        self.response.len().saturating_add(ENTRIES)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct AllDone {
    /// In the order in which they end.
    kept: VecDeque<Done>,
    /// How many were forgotten: the number of the oldest.
    first: u64,
    octets: usize,
}

impl AllDone {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.octets == 0
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    /// The one that is the first to end.
    pub(super) fn oldest(&self) -> Option<RequestId> {
        self.kept.front().map(|done| done.id)
    }

    fn get(&self, number: u64) -> Option<&Done> {
        self.kept.get(usize::try_from(number.wrapping_sub(self.first)).ok()?)
    }

    /// Takes one more; says its number.
    fn push(&mut self, done: Done) -> u64 {
        let number = self.first.wrapping_add(u64::try_from(self.kept.len()).unwrap_or(u64::MAX));
        self.octets = self.octets.saturating_add(done.cost());
        self.kept.push_back(done);
        number
    }

    /// Forgets the oldest; after a rush, its room is given back.
    fn pop(&mut self) -> Option<Done> {
        let done = self.kept.pop_front()?;
        self.first = self.first.wrapping_add(1);
        self.octets = self.octets.saturating_sub(done.cost());
        if let Some(room) = less_room(self.kept.len(), self.kept.capacity()) {
            self.kept.shrink_to(room);
        }
        Some(done)
    }
}

/// The server transaction of a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    /// It is at work.
    Live(RequestId),
    /// It has its final response: its number among those.
    Done(u64),
}

impl Endpoint {
    pub(super) fn keep_done(&mut self, done: Done) {
        let (key, merge) = (done.key, done.merge);
        let number = self.done.push(done);
        self.by_key.insert(key, Found::Done(number));
        if let Some(merge) = merge {
            self.merges.insert(merge, ());
        }
        self.schedule_done();
    }

    fn schedule_done(&mut self) {
        self.timers.set(TimerKey::Done, self.done.kept.front().map(|done| done.until));
    }

    /// Timer J.
    pub(super) fn done_timeout(&mut self, now: Now) {
        while self.done.kept.front().is_some_and(|done| done.until <= now.mono) {
            self.forget_done();
        }
        self.schedule_done();
    }

    /// Forgets the oldest before its time.
    pub(super) fn forget_oldest_done(&mut self) {
        self.forget_done();
        self.schedule_done();
    }

    fn forget_done(&mut self) {
        let Some(done) = self.done.pop() else { return };
        self.by_key.remove(&done.key);
        if let Some(merge) = done.merge {
            self.merges.remove(&merge);
        }
    }

    /// The request came again: its response goes out again.
    pub(super) fn done_again(&mut self, now: Now, number: u64) {
        let Some(done) = self.done.get(number) else { return };
        let (id, octets, reply) = (done.id, Bytes::copy_from_slice(&done.response), done.reply.clone());
        self.metrics.count("ua.responses_sent");
        match reply.flow.filter(|flow| self.flows.get(*flow).is_some()) {
            Some(flow) => drop(self.transmit(flow, octets)),
            None => self.send_elsewhere(now, id, reply.target, octets),
        }
    }
}
