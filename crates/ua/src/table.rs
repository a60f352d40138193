//! What is found by a name of our own: the id of an object, the fingerprint of a text.

use core::hash::{BuildHasherDefault, Hash, Hasher};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// Objects by name. Names are numbers that this endpoint counts up or keyed hashes, and flows those of the host: no peer can
/// choose them, so that a cheap hash does. In no order.
#[derive(Debug)]
pub(crate) struct Table<K, V>(HashMap<K, V, BuildHasherDefault<OfName>>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table(HashMap::default())
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &K) -> Option<&V> {
        self.0.get(name)
    }

    pub(crate) fn get_mut(&mut self, name: &K) -> Option<&mut V> {
        self.0.get_mut(name)
    }

    pub(crate) fn contains_key(&self, name: &K) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn insert(&mut self, name: K, value: V) -> Option<V> {
        self.0.insert(name, value)
    }

    /// Where something of this name stands, or would.
    pub(crate) fn entry(&mut self, name: K) -> Entry<'_, K, V, BuildHasherDefault<OfName>> {
        self.0.entry(name)
    }

    /// Removes one; after a rush, its room is given back.
    pub(crate) fn remove(&mut self, name: &K) -> Option<V> {
        let value = self.0.remove(name);
        if let Some(room) = less_room(self.0.len(), self.0.capacity()) {
            self.0.shrink_to(room);
        }
        value
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

/// After a rush, the room that it took is given back: how much is enough for so many, when there is far too much.
pub(crate) fn less_room(len: usize, room: usize) -> Option<usize> {
    /// Room that is always kept.
    const ROOM: usize = 1024;
    (room > ROOM && len.saturating_mul(8) < room).then(|| len.saturating_mul(2))
}

/// The hash of a name: a product with an odd number, whose upper bits, in which all of the name is, are turned down to where a
/// table looks first. Of a fingerprint, which is a hash, one half.
#[derive(Debug, Default)]
pub(crate) struct OfName(u64);

impl Hasher for OfName {
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }

    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.write_u64(u64::from(*octet)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    // Which variant of an enumeration it is.
    fn write_isize(&mut self, variant: isize) {
        self.write_u64(u64::try_from(variant).unwrap_or(u64::MAX));
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 ^= u64::try_from(fingerprint & u128::from(u64::MAX)).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that follow one another, and those of every fourth object, spread over the places of a table.
    #[test]
    fn names_spread() {
        let place = |number: u64| {
            let mut hash = OfName::default();
            hash.write_u64(number);
            hash.finish() & 0xfff
        };
        for step in [1u64, 2, 3, 4, 5, 7, 16, 64, 1 << 20, 1 << 32] {
            let places: alloc::collections::BTreeSet<u64> = (0..4096).map(|n| place(n * step)).collect();
            assert!(places.len() > 2500, "{step}: {}", places.len());
        }
    }

    /// After a rush, a table gives its room back.
    #[test]
    fn room_is_given_back() {
        let mut table = Table::default();
        (0..100_000u64).for_each(|n| assert!(table.insert(n, n).is_none()));
        assert!((0..100_000).all(|n| table.get(&n) == Some(&n)));
        assert!((0..100_000).all(|n| table.remove(&n) == Some(n)));
        assert!(table.is_empty() && table.capacity() <= 2048);
    }
}
