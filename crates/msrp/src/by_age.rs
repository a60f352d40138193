//! What has a number of ours, by its number: the newest has the highest.

use alloc::collections::VecDeque;

/// A map whose keys ascend as they are inserted. What was inserted first is mostly removed first: then nothing is moved.
#[derive(Debug)]
pub(crate) struct ByAge<K, V> {
    keys: VecDeque<K>,
    /// One for each key; `None` where it was removed and older ones are there yet.
    values: VecDeque<Option<V>>,
    /// How many are there.
    length: usize,
}

/// Up to this many rooms are kept when it is empty.
const KEPT: usize = 16;

impl<K: Ord + Copy, V> ByAge<K, V> {
    pub(crate) const fn new() -> Self {
        ByAge { keys: VecDeque::new(), values: VecDeque::new(), length: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds what is newer than all the others, or replaces what is there.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.keys.back().is_none_or(|last| *last < key) {
            self.keys.push_back(key);
            self.values.push_back(Some(value));
            self.length = self.length.saturating_add(1);
            return;
        }
        let at = match self.keys.binary_search(&key) {
            Ok(at) => at,
            Err(at) => {
                self.keys.insert(at, key);
                self.values.insert(at, None);
                at
            }
        };
        if let Some(place) = self.values.get_mut(at)
            && place.replace(value).is_none()
        {
            self.length = self.length.saturating_add(1);
        }
    }

    fn place(&self, key: K) -> Option<usize> {
        if self.keys.front() == Some(&key) {
            return Some(0);
        }
        if self.keys.back() == Some(&key) {
            return self.keys.len().checked_sub(1);
        }
        self.keys.binary_search(&key).ok()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(self.place(*key)?)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.place(*key)?;
        self.values.get_mut(at)?.as_mut()
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.place(*key)?;
        let value = self.values.get_mut(at)?.take()?;
        self.length = self.length.saturating_sub(1);
        self.tidy();
        Some(value)
    }

    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&K, &V) -> bool) {
        for (key, place) in self.keys.iter().zip(&mut self.values) {
            if place.as_ref().is_some_and(|value| !stays(key, value)) {
                *place = None;
                self.length = self.length.saturating_sub(1);
            }
        }
        self.tidy();
    }

    /// The keys, oldest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.keys.iter().zip(&self.values).filter_map(|(key, value)| value.is_some().then_some(*key))
    }

    /// Drops rooms that are not needed, so that they are never more than twice what is there and a few.
    fn tidy(&mut self) {
        if self.length == 0 && self.keys.capacity() > KEPT {
            (self.keys, self.values) = (VecDeque::new(), VecDeque::new());
            return;
        }
        while let Some(None) = self.values.front() {
            self.values.pop_front();
            self.keys.pop_front();
        }
        if self.keys.len() > self.length.saturating_mul(2).saturating_add(KEPT) {
            let mut values = self.values.iter();
            self.keys.retain(|_| values.next().is_some_and(Option::is_some));
            self.values.retain(Option::is_some);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        /// It is a map, and its memory follows what is in it, whatever stays longest.
        #[test]
        fn is_a_map(steps in proptest::collection::vec((0u8..6, 0u64..300), 0..400)) {
            let (mut ours, mut model, mut next) = (ByAge::new(), BTreeMap::new(), 0u64);
            for (step, n) in steps {
                match step {
                    0 => {
                        ours.insert(n, next);
                        model.insert(n, next);
                    }
                    1..=3 => {
                        next += 1 + n % 3;
                        ours.insert(next, n);
                        model.insert(next, n);
                    }
                    4 => prop_assert_eq!(ours.remove(&n), model.remove(&n)),
                    _ => {
                        ours.retain(|key, _| key % 7 != n % 7);
                        model.retain(|key, _| key % 7 != n % 7);
                    }
                }
                prop_assert_eq!(ours.len(), model.len());
                prop_assert_eq!(ours.is_empty(), model.is_empty());
                prop_assert_eq!(ours.get(&n), model.get(&n));
                prop_assert_eq!(ours.get_mut(&next), model.get_mut(&next));
                prop_assert_eq!(ours.contains_key(&n), model.contains_key(&n));
                prop_assert!(ours.keys().eq(model.keys().copied()));
                prop_assert!(ours.keys.len() == ours.values.len() && ours.keys.len() <= 2 * model.len() + KEPT);
            }
        }
    }

    #[test]
    fn one_that_stays_keeps_no_rooms_of_those_that_go() {
        let mut map = ByAge::new();
        map.insert(0u64, ());
        for key in 1..10_000 {
            map.insert(key, ());
            assert_eq!(map.remove(&key), Some(()));
        }
        assert!(map.keys.capacity() <= 4 * KEPT && map.keys().collect::<Vec<_>>() == [0]);
    }
}
