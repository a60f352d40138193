//! Counters by name.

use alloc::collections::BTreeMap;

/// Counters by stable name (`"ua.retransmissions_absorbed"`). Names are compile-time strings: a peer cannot make new ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    counters: BTreeMap<&'static str, u64>,
}

impl Metrics {
    /// Counts one more of `name`; saturates.
    pub fn count(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// Adds `n` to `name`; saturates.
    pub fn add(&mut self, name: &'static str, n: u64) {
        let counter = self.counters.entry(name).or_default();
        *counter = counter.saturating_add(n);
    }

    /// The value of one counter; 0 when it never counted.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// All counters that ever counted, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.counters.iter().map(|(name, value)| (*name, *value))
    }

    /// Adds all of `other`'s counters to these.
    pub fn merge(&mut self, other: &Metrics) {
        for (name, value) in other.iter() {
            self.add(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_merge_and_saturate() {
        let mut a = Metrics::default();
        a.count("x");
        a.add("y", u64::MAX);
        a.count("y");
        let mut b = a.clone();
        b.merge(&a);
        assert_eq!((b.get("x"), b.get("y"), b.get("z")), (2, u64::MAX, 0));
    }
}
