//! The endpoint's one alarm clock: at most one deadline per object.

use crate::event::{DialogId, ProxyId, RequestId, ResolveId, TransactionId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use cpm_base::{FlowId, Instant, OpenId};

/// Whose deadline it is. At the same instant they are met in this order: a request that was passed on is let go before
/// its branches say that they timed out, which nobody could act upon any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    Server(RequestId),
    Client(TransactionId),
    /// Server transactions that are done, all together.
    Done,
    Dialog(DialogId),
    Proxy(ProxyId),
    Open(OpenId),
    Resolve(ResolveId),
    Flow(FlowId),
    Usage(crate::usages::UsageKey),
}

/// Deadlines by time and by owner.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, TimerKey)>,
    by_key: BTreeMap<TimerKey, Instant>,
}

impl Timers {
    /// Sets, moves or (with `None`) removes the deadline of one object.
    pub(crate) fn set(&mut self, key: TimerKey, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes all that are due, earliest first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<TimerKey> {
        let mut due = Vec::new();
        while let Some((at, key)) = self.by_time.first().copied() {
            if at > now {
                break;
            }
            self.by_time.remove(&(at, key));
            self.by_key.remove(&key);
            due.push(key);
        }
        due
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// How many wait, apart from those of flows, which may stay open.
    pub(crate) fn len_but_flows(&self) -> usize {
        self.by_key.keys().filter(|key| !matches!(key, TimerKey::Flow(_))).count()
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
}
