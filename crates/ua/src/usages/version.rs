//! Numbered state documents (RFC 4575 §5.8, RFC 3680 §5.1, RFC 4235 §4.1): which one counts.

/// The versions of the documents that one subscription gives. A partial document counts when it is the next of what is
/// held; a full one when it is newer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VersionGate {
    last: Option<u32>,
}

/// What a document is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioned {
    /// The next: apply it.
    Next,
    /// Seen, or older than what is held: ignore it.
    Stale,
    /// Something in between is missing: a full document is needed
    /// ([`refresh_subscription`](crate::Endpoint::refresh_subscription)); nothing partial counts until it comes.
    Gap,
}

impl VersionGate {
    /// Nothing is held.
    #[must_use]
    pub const fn new() -> VersionGate {
        VersionGate { last: None }
    }

    /// Judges a document by its version and whether it is full; what is to be applied becomes what is held.
    pub const fn judge(&mut self, version: u32, full: bool) -> Versioned {
        match self.last {
            Some(last) if version <= last => return Versioned::Stale,
            Some(last) if !full && version.saturating_sub(last) > 1 => return Versioned::Gap,
            None if !full => return Versioned::Gap,
            _ => {}
        }
        self.last = Some(version);
        Versioned::Next
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

        /// Threat D4: whatever is dropped, doubled or swapped, the state is that of some moment of the notifier, never older
        /// than it was, and with full state on every gap it ends as the notifier's.
        #[test]
        fn partial_state_is_never_wrong(
            fates in prop::collection::vec((0u8..4, 0usize..6), 1..40),
        ) {
            // The notifier's state after n changes is the set 0..n; change n tells `n`.
            let mut arrivals: Vec<(usize, u32)> = Vec::new();
            for (n, (copies, delay)) in (1u32..).zip(&fates) {
                for copy in 0..*copies {
                    arrivals.push((n as usize + delay * copy as usize, n));
                }
            }
            arrivals.sort_by_key(|(at, _)| *at);
            let newest = fates.len() as u32;
            let mut gate = VersionGate::new();
            let mut held: Vec<u32> = Vec::new();
            prop_assert_eq!(gate.judge(0, true), Versioned::Next);
            for (_, n) in arrivals {
                let before = held.len();
                match gate.judge(n, false) {
                    Versioned::Next => held.push(n),
                    Versioned::Stale => prop_assert!(held.contains(&n)),
                    Versioned::Gap => {
                        prop_assert_eq!(gate.judge(n, true), Versioned::Next);
                        held = (1..=n).collect();
                    }
                }
                prop_assert!(held.len() >= before);
                prop_assert!(held.iter().copied().eq(1..=held.len() as u32));
            }
            let full = gate.judge(newest, true);
            prop_assert!(full == Versioned::Next || held.len() as u32 == newest);
        }
    }

    #[test]
    fn the_last_number_has_no_successor() {
        let mut gate = VersionGate::new();
        assert_eq!(gate.judge(5, false), Versioned::Gap);
        assert_eq!(gate.judge(u32::MAX, true), Versioned::Next);
        assert_eq!(gate.judge(u32::MAX, true), Versioned::Stale);
        assert_eq!(gate.judge(0, false), Versioned::Stale);
    }
}
