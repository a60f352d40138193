//! How many notifications go to one peer in a minute (threat E7): who sends many messages does not learn when this device is
//! awake by what comes back, nor empties its battery.

use core::time::Duration;
use cpm_base::Instant;
use std::collections::{BTreeMap, VecDeque};

const MINUTE: Duration = Duration::from_secs(60);

/// The notifications of the last minute.
#[derive(Debug)]
pub(crate) struct ReportRate {
    per_minute: usize,
    sent: VecDeque<(Instant, String)>,
    counts: BTreeMap<String, usize>,
}

impl ReportRate {
    pub(crate) const fn new(per_minute: usize) -> Self {
        ReportRate { per_minute, sent: VecDeque::new(), counts: BTreeMap::new() }
    }

    /// Forgets what is older than a minute.
    pub(crate) fn pass(&mut self, now: Instant) {
        while self.sent.front().is_some_and(|(at, _)| at.plus(MINUTE) <= now) {
            let Some((_, peer)) = self.sent.pop_front() else { return };
            match self.counts.get_mut(&peer) {
                Some(count) if *count > 1 => *count = count.saturating_sub(1),
                _ => drop(self.counts.remove(&peer)),
            }
        }
    }

    /// Whether one more may go to this peer.
    pub(crate) fn allows(&self, peer: &str) -> bool {
        self.counts.get(peer).copied().unwrap_or_default() < self.per_minute
    }

    /// One goes to this peer.
    pub(crate) fn count(&mut self, now: Instant, peer: &str) {
        self.sent.push_back((now, peer.to_owned()));
        let count = self.counts.entry(peer.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    /// When more may go to somebody.
    pub(crate) fn next_release(&self) -> Option<Instant> {
        self.sent.front().map(|(at, _)| at.plus(MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_any_minute_and_each_peer_for_itself() {
        let at = |seconds| Instant::ZERO.plus(Duration::from_secs(seconds));
        let mut rate = ReportRate::new(2);
        for second in [0, 30] {
            assert!(rate.allows("a"));
            rate.count(at(second), "a");
        }
        assert!(!rate.allows("a") && rate.allows("b"));
        assert_eq!(rate.next_release(), Some(at(60)));
        rate.pass(at(59));
        assert!(!rate.allows("a"));
        rate.pass(at(60));
        assert!(rate.allows("a"));
        rate.count(at(60), "a");
        assert!(!rate.allows("a"));
        rate.pass(at(120));
        assert!(rate.counts.is_empty() && rate.next_release().is_none());
    }
}
