//! Which octets are there: a set of ranges of positions.

use alloc::collections::BTreeMap;
use cpm_base::LimitExceeded;

/// Ranges of 0-based positions that do not touch one another: from (inclusive) to (exclusive).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// Everything before this is there: mostly that is all there is to say.
    front: u64,
    /// What stands behind a gap.
    others: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds `from..to`. When that would leave more than `max_gaps` gaps, nothing is added.
    pub(crate) fn insert(&mut self, from: u64, to: u64, max_gaps: usize) -> Result<(), LimitExceeded> {
        if from >= to {
            return Ok(());
        }
        if self.others.is_empty() && from <= self.front {
            self.front = self.front.max(to);
            return Ok(());
        }
        let (mut start, mut end) = (from, to);
        let mut swallowed = alloc::vec::Vec::new();
        for (known_from, known_to) in self.others.range(..=to).rev() {
            if *known_to < from {
                break;
            }
            start = start.min(*known_from);
            end = end.max(*known_to);
            swallowed.push(*known_from);
        }
        let at_front = start <= self.front;
        let beside = usize::from(!at_front && self.front > 0);
        let after = self.others.len().saturating_sub(swallowed.len()).saturating_add(beside);
        LimitExceeded::check("msrp.max_gaps", after, max_gaps)?;
        for known in swallowed {
            self.others.remove(&known);
        }
        if at_front {
            self.front = self.front.max(end);
        } else {
            self.others.insert(start, end);
        }
        Ok(())
    }

    /// The parts of `from..to` that are not there.
    pub(crate) fn missing(&self, from: u64, to: u64) -> alloc::vec::Vec<(u64, u64)> {
        let mut missing = alloc::vec::Vec::new();
        let before = self.others.range(..=from).next_back().map_or(from, |(_, end)| (*end).max(from));
        let mut at = before.max(self.front);
        for (known_from, known_to) in self.others.range(from..to) {
            if at < *known_from {
                missing.push((at, *known_from));
            }
            at = at.max(*known_to);
        }
        if at < to {
            missing.push((at, to));
        }
        missing
    }

    /// Whether every position below `total` is there.
    pub(crate) fn covers(&self, total: u64) -> bool {
        self.front >= total
    }

    /// The position behind the last one.
    pub(crate) fn end(&self) -> u64 {
        self.others.last_key_value().map_or(self.front, |(_, to)| *to)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn gaps_are_bounded_and_refused_ranges_change_nothing() {
        let mut ranges = Ranges::default();
        for i in 0..=3u64 {
            ranges.insert(i * 2, i * 2 + 1, 3).unwrap();
        }
        let before = ranges.clone();
        assert_eq!(ranges.insert(8, 9, 3).unwrap_err().limit, "msrp.max_gaps");
        assert_eq!(ranges, before);
        ranges.insert(0, 7, 3).unwrap();
        assert!(ranges.covers(7) && !ranges.covers(8));
        assert_eq!(ranges.end(), 7);
    }

    proptest! {
        #[test]
        fn is_a_set_of_positions(inserts in proptest::collection::vec((0u64..60, 0u64..12), 0..30)) {
            let (mut ranges, mut model) = (Ranges::default(), vec![false; 80]);
            for (from, length) in inserts {
                ranges.insert(from, from + length, 100).unwrap();
                model[from as usize..(from + length) as usize].fill(true);
            }
            let whole = model.iter().take_while(|there| **there).count() as u64;
            for (from, length) in [(0u64, 79u64), (5, 20), (33, 1), (40, 0)] {
                let mut gone = [false; 80];
                for (a, b) in ranges.missing(from, from + length) {
                    prop_assert!(a < b);
                    gone[a as usize..b as usize].fill(true);
                }
                for at in 0..80 {
                    let inside = (from as usize..(from + length) as usize).contains(&at);
                    prop_assert_eq!(gone[at], inside && !model[at]);
                }
            }
            for total in 0..80 {
                prop_assert_eq!(ranges.covers(total), total <= whole);
            }
            let front = (ranges.front > 0).then_some((0, ranges.front));
            let listed: Vec<_> = front.into_iter().chain(ranges.others.iter().map(|(a, b)| (*a, *b))).collect();
            prop_assert!(listed.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
