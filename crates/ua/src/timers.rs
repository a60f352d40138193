//! The endpoint's one alarm clock: at most one deadline per object.

use crate::event::{DialogId, ProxyId, RequestId, ResolveId, TransactionId};
use crate::table::{Table, less_room};
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use cpm_base::{FlowId, Instant, OpenId};
use hashbrown::hash_map::Entry;

/// Whose deadline it is. At the same instant they are met in this order: a request that was passed on is let go before
/// its branches say that they timed out, which nobody could act upon any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TimerKey {
    Server(RequestId),
    Client(TransactionId),
    /// Server transactions that are done, all together.
    Done,
    /// The same of client transactions.
    Absorbing,
    Dialog(DialogId),
    Proxy(ProxyId),
    Open(OpenId),
    Resolve(ResolveId),
    Flow(FlowId),
    Usage(crate::usages::UsageKey),
}

/// Deadlines by time and by owner. Most are moved or removed long before they are due, so that what stands in `by_time` is not
/// looked for then: an entry whose number its owner does not have any more counts for nothing.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// The earliest first, which is never one that counts for nothing.
    by_time: BinaryHeap<Reverse<(Instant, TimerKey, u64)>>,
    /// Each with the number of its entry.
    by_key: Table<TimerKey, (Instant, u64)>,
    last_number: u64,
}

impl Timers {
    /// Sets, moves or (with `None`) removes the deadline of one object.
    pub(crate) fn set(&mut self, key: TimerKey, at: Option<Instant>) {
        match at {
            Some(at) => {
                let next = self.last_number.wrapping_add(1);
                let moved = match self.by_key.entry(key) {
                    Entry::Occupied(known) if known.get().0 == at => return,
                    Entry::Occupied(mut known) => {
                        known.insert((at, next));
                        true
                    }
                    Entry::Vacant(new) => {
                        new.insert((at, next));
                        false
                    }
                };
                self.last_number = next;
                self.by_time.push(Reverse((at, key, next)));
                if !moved {
                    return;
                }
            }
            None => {
                if self.by_key.remove(&key).is_none() {
                    return;
                }
            }
        }
        self.tidy();
    }

    /// Drops what counts for nothing: from the top always, elsewhere when it is more than half of all.
    fn tidy(&mut self) {
        /// Room that is always kept.
        const ROOM: usize = 64;
        let by_key = &self.by_key;
        let counts = |Reverse((_, key, number)): &Reverse<(Instant, TimerKey, u64)>| {
            by_key.get(key).is_some_and(|(_, last)| last == number)
        };
        if self.by_time.len() > by_key.len().saturating_mul(2).saturating_add(ROOM) {
            self.by_time.retain(counts);
        }
        while self.by_time.peek().is_some_and(|top| !counts(top)) {
            self.by_time.pop();
        }
        if let Some(room) = less_room(self.by_time.len(), self.by_time.capacity()) {
            self.by_time.shrink_to(room);
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes all that are due, earliest first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<TimerKey> {
        let mut due = Vec::new();
        while let Some(Reverse((at, key, _))) = self.by_time.peek().copied() {
            if at > now {
                break;
            }
            self.by_key.remove(&key);
            self.tidy();
            due.push(key);
        }
        due
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// How many wait, apart from those of flows, which may stay open.
    pub(crate) fn len_but_flows(&self) -> usize {
        self.by_key.iter().filter(|(key, _)| !matches!(key, TimerKey::Flow(_))).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn one_deadline_per_object_taken_in_order() {
        let at = Instant::from_micros;
        let (a, b) = (TimerKey::Open(OpenId(1)), TimerKey::Flow(FlowId(2)));
        let mut timers = Timers::default();
        timers.set(a, Some(at(10)));
        timers.set(b, Some(at(5)));
        timers.set(a, Some(at(3)));
        assert_eq!((timers.next(), timers.len()), (Some(at(3)), 2));
        assert_eq!(timers.take_due(at(2)), vec![]);
        timers.set(b, Some(at(5)));
        assert_eq!(timers.take_due(at(20)), vec![a, b]);
        timers.set(a, Some(at(1)));
        timers.set(a, None);
        assert_eq!((timers.next(), timers.len()), (None, 0));
    }

    /// Deadlines that are set, moved to and fro and removed are met like those of a plain list, at equal times by owner; what is
    /// dead takes no more room than what lives.
    #[test]
    fn moved_ones_are_met_once_in_order() {
        let mut timers = Timers::default();
        let mut plain: alloc::collections::BTreeMap<TimerKey, Instant> = alloc::collections::BTreeMap::new();
        let mut state = 7u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) % below
        };
        for now in 0..20_000u64 {
            let key = match next(3) {
                0 => TimerKey::Open(OpenId(next(40))),
                _ => TimerKey::Flow(FlowId(next(40))),
            };
            let at = (next(4) > 0).then(|| Instant::from_micros(now + next(50)));
            timers.set(key, at);
            let _ = match at {
                Some(at) => plain.insert(key, at),
                None => plain.remove(&key),
            };
            assert_eq!((timers.len(), timers.next()), (plain.len(), plain.values().min().copied()));
            assert!(timers.by_time.len() <= 2 * plain.len() + 64);
            if next(20) == 0 {
                let now = Instant::from_micros(now);
                let mut due: Vec<(Instant, TimerKey)> =
                    plain.iter().filter(|(_, at)| **at <= now).map(|(key, at)| (*at, *key)).collect();
                due.sort_unstable();
                plain.retain(|_, at| *at > now);
                assert_eq!(timers.take_due(now), due.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
            }
        }
    }
}
