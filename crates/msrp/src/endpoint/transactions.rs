//! Requests of ours that wait for their responses. A transaction id says where it is kept, so that a response finds it.

use alloc::vec::Vec;
use cpm_base::Instant;

use crate::event::{RequestId, SessionId, TransferId};
use crate::values::Tid;

/// A request of ours that waits for its response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction {
    pub(super) kind: TransactionKind,
    /// Answered with 200 before it was written to its end.
    pub(super) answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionKind {
    /// The first request of an active side.
    Bind(SessionId),
    /// A chunk of so many octets.
    Chunk(TransferId, u64),
    /// Something that our user asked for.
    Request(RequestId),
}

/// The transactions of a connection.
#[derive(Default)]
pub(super) struct Transactions {
    places: Vec<Place>,
    /// A place that is free, and so on from there.
    free: Option<u32>,
    count: usize,
    /// Those that have a deadline, by their places: the oldest and the newest. Each knows its neighbours.
    oldest: Option<u32>,
    newest: Option<u32>,
}

enum Place {
    /// The next free one.
    Free(Option<u32>),
    Taken(Entry),
}

struct Entry {
    tid: Tid,
    transaction: Transaction,
    /// When its response is overdue.
    due: Option<Instant>,
    older: Option<u32>,
    newer: Option<u32>,
}

/// Up to this many places are kept when there is no transaction.
const KEPT: usize = 4;

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

impl Transactions {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    #[cfg(test)]
    pub(in crate::endpoint) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Where the next one will be kept: for its id.
    pub(super) fn next_place(&self) -> u32 {
        self.free.unwrap_or(u32::try_from(self.places.len()).unwrap_or(u32::MAX))
    }

    /// Adds one whose id names [`Transactions::next_place`].
    pub(super) fn insert(&mut self, tid: Tid, kind: TransactionKind) {
        let transaction = Transaction { kind, answered: false };
        let entry = Entry { tid, transaction, due: None, older: None, newer: None };
        match self.free.and_then(|free| self.places.get_mut(index(free))) {
            Some(place) => {
                self.free = if let Place::Free(next) = place { *next } else { None };
                *place = Place::Taken(entry);
            }
            None => self.places.push(Place::Taken(entry)),
        }
        self.count = self.count.saturating_add(1);
    }

    fn entry(&self, tid: &Tid) -> Option<&Entry> {
        match self.places.get(tid.place()?)? {
            Place::Taken(entry) if entry.tid == *tid => Some(entry),
            _ => None,
        }
    }

    fn entry_mut(&mut self, tid: &Tid) -> Option<&mut Entry> {
        match self.places.get_mut(tid.place()?)? {
            Place::Taken(entry) if entry.tid == *tid => Some(entry),
            _ => None,
        }
    }

    fn at(&mut self, place: Option<u32>) -> Option<&mut Entry> {
        match self.places.get_mut(index(place?))? {
            Place::Taken(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }

    pub(super) fn get(&self, tid: &Tid) -> Option<&Transaction> {
        self.entry(tid).map(|entry| &entry.transaction)
    }

    pub(super) fn get_mut(&mut self, tid: &Tid) -> Option<&mut Transaction> {
        self.entry_mut(tid).map(|entry| &mut entry.transaction)
    }

    pub(super) fn remove(&mut self, tid: &Tid) -> Option<Transaction> {
        let entry = self.entry(tid)?;
        let (transaction, due, older, newer) = (entry.transaction, entry.due, entry.older, entry.newer);
        if due.is_some() {
            match self.at(older) {
                Some(older) => older.newer = newer,
                None => self.oldest = newer,
            }
            match self.at(newer) {
                Some(newer) => newer.older = older,
                None => self.newest = older,
            }
        }
        let place = tid.place()?;
        *self.places.get_mut(place)? = Place::Free(self.free);
        self.free = u32::try_from(place).ok();
        self.count = self.count.saturating_sub(1);
        if self.count == 0 && self.places.capacity() > KEPT {
            (self.places, self.free) = (Vec::new(), None);
        }
        Some(transaction)
    }

    /// Its response is overdue then: not before those of all that were told so earlier.
    pub(super) fn set_due(&mut self, tid: &Tid, due: Instant) {
        let newest = self.newest;
        let Some(entry) = self.entry_mut(tid).filter(|entry| entry.due.is_none()) else { return };
        (entry.due, entry.older) = (Some(due), newest);
        let place = tid.place().and_then(|place| u32::try_from(place).ok());
        match self.at(newest) {
            Some(older) => older.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }

    /// The one that has waited longest, and until when.
    pub(super) fn oldest(&self) -> Option<(Tid, Instant)> {
        match self.places.get(index(self.oldest?))? {
            Place::Taken(entry) => Some((entry.tid, entry.due?)),
            Place::Free(_) => None,
        }
    }

    /// Whether one has a deadline.
    pub(super) fn has_due(&self) -> bool {
        self.oldest.is_some()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Tid, &Transaction)> {
        self.places.iter().filter_map(|place| match place {
            Place::Taken(entry) => Some((&entry.tid, &entry.transaction)),
            Place::Free(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        /// It is a map by transaction id, and a queue of deadlines; ids of those that are gone find nothing.
        #[test]
        fn is_a_map_and_a_queue(steps in proptest::collection::vec((0u8..4, any::<prop::sample::Index>()), 0..200)) {
            let (mut ours, mut model, mut due) = (Transactions::default(), Vec::<(Tid, u64)>::new(), Vec::<Tid>::new());
            let mut gone = Vec::new();
            for (number, (step, which)) in steps.iter().enumerate() {
                let number = number as u64;
                match step {
                    0 | 1 => {
                        let tid = Tid::new(number, ours.next_place());
                        ours.insert(tid, TransactionKind::Request(RequestId(number)));
                        model.push((tid, number));
                    }
                    2 if !model.is_empty() => {
                        let (tid, number) = model.remove(which.index(model.len()));
                        due.retain(|known| *known != tid);
                        let kind = ours.remove(&tid).map(|transaction| transaction.kind);
                        prop_assert_eq!(kind, Some(TransactionKind::Request(RequestId(number))));
                        gone.push(tid);
                    }
                    3 if !model.is_empty() => {
                        let tid = model[which.index(model.len())].0;
                        ours.set_due(&tid, Instant::from_micros(number));
                        if !due.contains(&tid) {
                            due.push(tid);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!((ours.len(), ours.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(ours.oldest().map(|(tid, _)| tid), due.first().copied());
                prop_assert_eq!(ours.has_due(), !due.is_empty());
                prop_assert!(model.iter().all(|(tid, _)| ours.get(tid).is_some()));
                prop_assert!(gone.iter().all(|tid| ours.get(tid).is_none() && !model.iter().any(|(t, _)| t == tid)));
                let mut all: Vec<&Tid> = ours.iter().map(|(tid, _)| tid).collect();
                all.sort_unstable_by_key(|tid| tid.as_bytes().to_vec());
                let mut known: Vec<&Tid> = model.iter().map(|(tid, _)| tid).collect();
                known.sort_unstable_by_key(|tid| tid.as_bytes().to_vec());
                prop_assert_eq!(all, known);
                prop_assert!(ours.places.len() <= 4 + steps.len());
            }
        }
    }
}
