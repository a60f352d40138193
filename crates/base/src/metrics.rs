//! Counters by name.

use alloc::vec::Vec;
use core::fmt;

/// Counters by stable name (`"ua.retransmissions_absorbed"`). Names are compile-time strings: a peer cannot make new ones.
#[derive(Clone, Default)]
pub struct Metrics {
    /// In the order in which they first counted.
    counters: Vec<(&'static str, u64)>,
    /// Where a name was found last, by where its text stands: counting happens for every message.
    places: Vec<u8>,
}

/// Rooms in [`Metrics::places`]; a power of two.
const PLACES: usize = 256;

/// A room for a name.
fn place(name: &'static str) -> usize {
    let at = name.as_ptr().addr();
    (at ^ (at >> 8) ^ name.len()) & (PLACES - 1)
}

impl Metrics {
    /// Counts one more of `name`; saturates.
    pub fn count(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// Adds `n` to `name`; saturates.
    pub fn add(&mut self, name: &'static str, n: u64) {
        let known = self.places.get(place(name)).and_then(|at| self.counters.get_mut(usize::from(*at)));
        if let Some((known, counter)) = known
            && core::ptr::eq(*known, name)
        {
            *counter = counter.saturating_add(n);
            return;
        }
        self.add_elsewhere(name, n);
    }

    /// A name that is not where it was last: found by its letters, or new.
    fn add_elsewhere(&mut self, name: &'static str, n: u64) {
        let at = self.counters.iter().position(|(known, _)| *known == name).unwrap_or(self.counters.len());
        match self.counters.get_mut(at) {
            Some((_, counter)) => *counter = counter.saturating_add(n),
            None => self.counters.push((name, n)),
        }
        self.places.resize(PLACES, 0);
        if let (Some(room), Ok(at)) = (self.places.get_mut(place(name)), u8::try_from(at)) {
            *room = at;
        }
    }

    /// The value of one counter; 0 when it never counted.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.counters.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| *value)
    }

    /// All counters that ever counted, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let mut sorted = self.counters.clone();
        sorted.sort_unstable();
        sorted.into_iter()
    }

    /// Adds all of `other`'s counters to these.
    pub fn merge(&mut self, other: &Metrics) {
        for (name, value) in &other.counters {
            self.add(name, *value);
        }
    }
}

impl PartialEq for Metrics {
    fn eq(&self, other: &Metrics) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Metrics {}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
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

    /// A name is its letters, wherever they stand, and more names than there are rooms are told apart.
    #[test]
    fn names_are_told_apart_by_their_letters() {
        let text: &'static str = alloc::boxed::Box::leak("abcdefghijklmnopqrst".repeat(2).into_boxed_str());
        let names: Vec<&'static str> =
            (0..40).flat_map(|from| (from + 1..=40).filter_map(move |to| text.get(from..to))).collect();
        let (mut metrics, mut model) = (Metrics::default(), alloc::collections::BTreeMap::new());
        for (n, name) in names.iter().chain(names.iter().rev()).enumerate() {
            metrics.add(name, n as u64);
            *model.entry(*name).or_insert(0) += n as u64;
        }
        assert!(model.len() > PLACES && metrics.iter().eq(model.iter().map(|(name, n)| (*name, *n))));
        let mut other_order = Metrics::default();
        model.iter().rev().for_each(|(name, n)| other_order.add(name, *n));
        assert_eq!(metrics, other_order);
    }
}
