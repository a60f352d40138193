//! What a client remembers of the messages that arrived: copies are recognised, read reports find their message.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Keys of messages that were shown, at most `max`; the oldest is forgotten first.
///
/// The key is what TS 7.2.1.1, Table 2 matches copies by: sender, conversation and IMDN Message-ID.
#[derive(Debug)]
pub(crate) struct SeenLog {
    max: usize,
    keys: BTreeSet<String>,
    order: VecDeque<String>,
}

impl SeenLog {
    pub(crate) const fn new(max: usize) -> Self {
        SeenLog { max, keys: BTreeSet::new(), order: VecDeque::new() }
    }

    pub(crate) fn key(sender: &str, conversation: &str, message_id: &str) -> String {
        // The parts cannot hold a line feed, so that no two triples share a key.
        format!("{}\n{}\n{message_id}", sender.to_ascii_lowercase(), conversation.to_ascii_lowercase())
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    pub(crate) fn remember(&mut self, key: String) {
        if self.order.len() >= self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        if self.keys.insert(key.clone()) {
            self.order.push_back(key);
        }
    }
}

/// A map of at most `max` entries by growing id; the oldest is forgotten first.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    max: usize,
    entries: BTreeMap<K, V>,
}

impl<K: Ord + Copy, V> Recent<K, V> {
    pub(crate) const fn new(max: usize) -> Self {
        Recent { max, entries: BTreeMap::new() }
    }

    /// What is known already stays as it is.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.entries.contains_key(&key) {
            return;
        }
        if self.entries.len() >= self.max {
            self.entries.pop_first();
        }
        self.entries.insert(key, value);
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.entries.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.entries.get_mut(&key)
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.entries.iter().map(|(key, value)| (*key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_recognised_until_forgotten() {
        let mut log = SeenLog::new(2);
        let key = |n: &str| SeenLog::key("sip:A@x", "C", n);
        log.remember(key("1"));
        log.remember(key("1"));
        assert!(log.contains(&SeenLog::key("SIP:a@x", "c", "1")));
        assert!(!log.contains(&SeenLog::key("sip:b@x", "c", "1")));
        log.remember(key("2"));
        assert!(log.contains(&key("1")));
        log.remember(key("3"));
        assert!(!log.contains(&key("1")) && log.contains(&key("2")) && log.contains(&key("3")));
    }

    #[test]
    fn the_oldest_entry_goes_first() {
        let mut recent = Recent::new(2);
        for n in 0..3 {
            recent.insert(n, n);
        }
        assert_eq!(recent.iter().collect::<Vec<_>>(), [(1, &1), (2, &2)]);
        recent.insert(2, 7);
        assert_eq!((recent.get(0), recent.get(2)), (None, Some(&2)));
    }
}
