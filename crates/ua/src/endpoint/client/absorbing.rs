//! Client transactions other than INVITE that have their final response over UDP (state Completed of RFC 3261 Figure 6): what
//! they are found by alone, until Timer K. They all wait equally long, so they end in the order in which they came here.

use crate::endpoint::Endpoint;
use crate::endpoint::fingerprint::Fingerprint;
use crate::event::TransactionId;
use crate::timers::TimerKey;
use cpm_base::{Instant, Now};

/// The client transaction of a branch and method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoint) enum Known {
    /// It is at work.
    Live(TransactionId),
    /// It has its final response: copies of that are absorbed.
    Absorbing,
}

impl Endpoint {
    pub(super) fn absorb(&mut self, key: Fingerprint, until: Instant) {
        self.by_branch.insert(key, Known::Absorbing);
        self.absorbing.push_back((until, key));
        self.schedule_absorbing();
    }

    fn schedule_absorbing(&mut self) {
        self.timers.set(TimerKey::Absorbing, self.absorbing.front().map(|(until, _)| *until));
    }

    /// Timer K.
    pub(in crate::endpoint) fn absorbing_timeout(&mut self, now: Now) {
        while let Some((_, key)) = self.absorbing.front().filter(|(until, _)| *until <= now.mono) {
            self.by_branch.remove(key);
            self.absorbing.pop_front();
        }
        let (len, room) = (self.absorbing.len(), self.absorbing.capacity());
        if let Some(room) = crate::table::less_room(len, room) {
            self.absorbing.shrink_to(room);
        }
        self.schedule_absorbing();
    }

    /// How many client transactions there are.
    pub(in crate::endpoint) fn client_transactions(&self) -> usize {
        self.clients.len().saturating_add(self.absorbing.len())
    }
}
