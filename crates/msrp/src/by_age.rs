//! What has a number of ours, by its number: the newest has the highest.

use alloc::collections::{BTreeMap, VecDeque};

/// A store that numbers what is put into it. What was put in first is mostly taken out first: then nothing is moved and
/// nothing is looked for.
#[derive(Debug)]
pub(crate) struct ByAge<V> {
    /// The number of the first of `young`.
    first: u64,
    /// One for each number; `None` where it was removed and older ones are there yet.
    young: VecDeque<Option<V>>,
    /// Those that stayed when most others had gone.
    old: BTreeMap<u64, V>,
    /// How many are there.
    length: usize,
}

/// Up to this many rooms are kept when it is empty.
const KEPT: usize = 16;

/// How many rooms more: few are doubled, many grow by half, or a burst would cost twice its memory.
fn growth(rooms: usize) -> usize {
    if rooms < 32 { rooms.max(4) } else { rooms / 2 }
}

impl<V> ByAge<V> {
    pub(crate) const fn new() -> Self {
        ByAge { first: 1, young: VecDeque::new(), old: BTreeMap::new(), length: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The number that the next one gets.
    pub(crate) fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.young.len()).unwrap_or(u64::MAX))
    }

    /// Adds one, and gives its number.
    pub(crate) fn add(&mut self, value: V) -> u64 {
        let number = self.next();
        if self.young.len() == self.young.capacity() {
            self.young.reserve_exact(growth(self.young.len()));
        }
        self.young.push_back(Some(value));
        self.length = self.length.saturating_add(1);
        self.tidy();
        number
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&V> {
        match self.place(number) {
            Some(at) => self.young.get(at)?.as_ref(),
            None => self.old.get(&number),
        }
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut V> {
        match self.place(number) {
            Some(at) => self.young.get_mut(at)?.as_mut(),
            None => self.old.get_mut(&number),
        }
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.get(number).is_some()
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<V> {
        let value = match self.place(number) {
            Some(at) => self.young.get_mut(at)?.take()?,
            None => self.old.remove(&number)?,
        };
        self.length = self.length.saturating_sub(1);
        self.tidy();
        Some(value)
    }

    /// Removes one where it lies.
    pub(crate) fn discard(&mut self, number: u64) {
        let gone = match self.place(number) {
            Some(at) => match self.young.get_mut(at) {
                Some(place) if place.is_some() => {
                    *place = None;
                    true
                }
                _ => false,
            },
            None => self.old.remove(&number).is_some(),
        };
        if gone {
            self.length = self.length.saturating_sub(1);
            self.tidy();
        }
    }

    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&V) -> bool) {
        for place in &mut self.young {
            if place.as_ref().is_some_and(|value| !stays(value)) {
                *place = None;
                self.length = self.length.saturating_sub(1);
            }
        }
        let before = self.old.len();
        self.old.retain(|_, value| stays(value));
        self.length = self.length.saturating_sub(before.saturating_sub(self.old.len()));
        self.tidy();
    }

    /// Rooms are never more than twice what is there and a few.
    fn tidy(&mut self) {
        while let Some(first) = self.young.front_mut() {
            if first.is_some() && self.young.len() <= self.length.saturating_mul(2).saturating_add(KEPT) {
                return;
            }
            if let Some(Some(value)) = self.young.pop_front() {
                self.old.insert(self.first, value);
            }
            self.first = self.first.saturating_add(1);
        }
        if self.young.capacity() > KEPT {
            self.young = VecDeque::new();
        }
    }
}

/// What waits, oldest first.
#[derive(Debug)]
pub(crate) struct Waiting<T>(VecDeque<T>);

impl<T> Waiting<T> {
    pub(crate) const fn new() -> Self {
        Waiting(VecDeque::new())
    }

    pub(crate) fn push_back(&mut self, value: T) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(growth(self.0.len()));
        }
        self.0.push_back(value);
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.0.pop_front()
    }
}

/// Numbers in the order in which they were put in: the newest has the highest, and the oldest mostly goes first.
#[derive(Debug)]
pub(crate) struct Ascending<K>(VecDeque<K>);

impl<K: Ord + Copy> Ascending<K> {
    pub(crate) const fn new() -> Self {
        Ascending(VecDeque::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one that is higher than all the others.
    pub(crate) fn push(&mut self, key: K) {
        self.0.push_back(key);
    }

    pub(crate) fn remove(&mut self, key: K) {
        if self.0.front() == Some(&key) {
            self.0.pop_front();
        } else if let Ok(at) = self.0.binary_search(&key) {
            self.0.remove(at);
        }
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = VecDeque::new();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = K> {
        self.0.iter().copied()
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
            let (mut ours, mut model, mut keys) = (ByAge::new(), BTreeMap::new(), Ascending::new());
            for (step, n) in steps {
                match step {
                    0..=3 => {
                        let number = ours.next();
                        prop_assert_eq!(ours.add(n), number);
                        prop_assert!(model.insert(number, n).is_none());
                        keys.push(number);
                    }
                    4 => {
                        if n % 2 == 0 {
                            prop_assert_eq!(ours.remove(n), model.remove(&n));
                        } else {
                            ours.discard(n);
                            model.remove(&n);
                        }
                        keys.remove(n);
                    }
                    _ => {
                        ours.retain(|value| value % 7 != n % 7);
                        model.retain(|_, value| *value % 7 != n % 7);
                        let gone: Vec<u64> = keys.iter().filter(|key| !model.contains_key(key)).collect();
                        gone.into_iter().for_each(|key| keys.remove(key));
                    }
                }
                prop_assert_eq!((ours.len(), keys.len()), (model.len(), model.len()));
                prop_assert_eq!((ours.is_empty(), keys.is_empty()), (model.is_empty(), model.is_empty()));
                prop_assert_eq!(ours.get(n), model.get(&n));
                prop_assert_eq!(ours.get_mut(n), model.get_mut(&n));
                prop_assert_eq!(ours.contains(n), model.contains_key(&n));
                prop_assert!(keys.iter().eq(model.keys().copied()));
                prop_assert!(ours.young.len() <= 2 * model.len() + KEPT);
            }
        }
    }

    #[test]
    fn one_that_stays_keeps_no_rooms_of_those_that_go() {
        let mut map = ByAge::new();
        let stays = map.add(());
        for _ in 1..10_000 {
            let number = map.add(());
            assert_eq!(map.remove(number), Some(()));
        }
        assert!(map.young.capacity() <= 4 * KEPT && map.contains(stays));
        assert_eq!(map.len(), 1);
    }
}
