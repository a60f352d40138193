//! What a client remembers of the messages it sent, so that reports find them (TS 5.4.3, 5.4.4).

use crate::{Disposition, SentId};
use std::collections::{BTreeMap, VecDeque};

/// Sent messages by IMDN Message-ID, at most `max`; the oldest is forgotten first.
#[derive(Debug)]
pub(crate) struct SentLog {
    max: usize,
    states: BTreeMap<String, (SentId, Option<Disposition>)>,
    order: VecDeque<String>,
}

/// What a report means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// News of this message.
    First(SentId),
    /// Another copy, or one that says less than what is known.
    Repeated,
    /// No message of ours, or one forgotten.
    Unknown,
}

impl SentLog {
    pub(crate) const fn new(max: usize) -> Self {
        SentLog { max, states: BTreeMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn remember(&mut self, message_id: &str, id: SentId) {
        if self.order.len() >= self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.states.remove(&oldest);
        }
        self.order.push_back(message_id.to_owned());
        self.states.insert(message_id.to_owned(), (id, None));
    }

    /// Takes a report. The state of a message only moves on: failed, delivered, displayed (a displayed message was
    /// delivered, and one device's failure does not undo another's delivery); what does not move it is a repetition.
    // req: 5.4.3-p2, 5.4.4-p2
    pub(crate) fn report(&mut self, message_id: &str, disposition: Disposition) -> Outcome {
        let Some((id, state)) = self.states.get_mut(message_id) else { return Outcome::Unknown };
        if state.is_some_and(|known| rank(known) >= rank(disposition)) {
            return Outcome::Repeated;
        }
        *state = Some(disposition);
        Outcome::First(*id)
    }
}

const fn rank(disposition: Disposition) -> u8 {
    match disposition {
        Disposition::DeliveryFailed => 0,
        Disposition::Delivered => 1,
        Disposition::Displayed => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: 5.4.3-p2, 5.4.4-p2
    #[test]
    fn the_first_copy_counts() {
        let mut log = SentLog::new(8);
        log.remember("m1", SentId(1));
        assert_eq!(log.report("m1", Disposition::Delivered), Outcome::First(SentId(1)));
        assert_eq!(log.report("m1", Disposition::Delivered), Outcome::Repeated);
        assert_eq!(log.report("m1", Disposition::Displayed), Outcome::First(SentId(1)));
        assert_eq!(log.report("m1", Disposition::Displayed), Outcome::Repeated);
    }

    #[test]
    fn the_state_never_moves_back() {
        let mut log = SentLog::new(8);
        log.remember("m1", SentId(1));
        assert_eq!(log.report("m1", Disposition::DeliveryFailed), Outcome::First(SentId(1)));
        assert_eq!(log.report("m1", Disposition::Displayed), Outcome::First(SentId(1)));
        assert_eq!(log.report("m1", Disposition::Delivered), Outcome::Repeated);
        assert_eq!(log.report("m1", Disposition::DeliveryFailed), Outcome::Repeated);
        assert_eq!(log.report("m2", Disposition::Delivered), Outcome::Unknown);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut log = SentLog::new(2);
        for (n, id) in ["m1", "m2", "m3"].into_iter().enumerate() {
            log.remember(id, SentId(n as u64));
        }
        assert_eq!(log.report("m1", Disposition::Delivered), Outcome::Unknown);
        assert_eq!(log.report("m2", Disposition::Delivered), Outcome::First(SentId(1)));
        assert_eq!((log.states.len(), log.order.len()), (2, 2));
    }
}
