//! [`StateWriter`]: state records on their way to the store, in order per name.

use crate::{HostQueue, Query, QueryId, Record, StateRecord, StoreError};
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{Instant, Now};
use std::collections::BTreeMap;

/// Writes the state records of a node. A host may finish two writes in any order, so that there is one under way at a time
/// for each name; of those that wait behind it the last alone is written. A store that says nothing in time has failed.
///
/// What waits is bounded by the number of names that the function uses.
#[derive(Debug)]
pub struct StateWriter {
    patience: Duration,
    under_way: BTreeMap<QueryId, (String, Instant)>,
    /// Names that are being written, each with what is to be written next.
    names: BTreeMap<String, Option<StateRecord>>,
}

/// A write came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The name.
    pub key: String,
    /// Whether it is kept; a store that was silent failed.
    pub result: Result<(), StoreError>,
    /// The store was silent: it may be kept all the same.
    pub silent: bool,
    /// Whether something newer is being written under the name.
    pub goes_on: bool,
}

impl StateWriter {
    /// Nothing is under way; a write is given up after `patience`.
    #[must_use]
    pub const fn new(patience: Duration) -> Self {
        StateWriter { patience, under_way: BTreeMap::new(), names: BTreeMap::new() }
    }

    /// Writes a record under its name, now or behind the write of that name that is under way.
    pub fn put<E>(&mut self, now: Now, host: &mut HostQueue<E>, record: StateRecord) {
        if let Some(next) = self.names.get_mut(&record.key) {
            *next = Some(record);
            return;
        }
        self.names.insert(record.key.clone(), None);
        self.write(now, host, record);
    }

    /// A piece of state.
    pub fn keep<E>(&mut self, now: Now, host: &mut HostQueue<E>, key: &str, value: impl Into<Bytes>) {
        self.put(now, host, StateRecord::put(key, value));
    }

    /// The end of one.
    pub fn remove<E>(&mut self, now: Now, host: &mut HostQueue<E>, key: &str) {
        self.put(now, host, StateRecord::remove(key));
    }

    fn write<E>(&mut self, now: Now, host: &mut HostQueue<E>, record: StateRecord) {
        let key = record.key.clone();
        let query = host.query(Query::Store(Record::State(record)));
        self.under_way.insert(query, (key, now.mono.plus(self.patience)));
    }

    /// The host's [`crate::Reply::Stored`]; `None` when the query is none of these, or was given up.
    pub fn replied<E>(
        &mut self,
        now: Now,
        host: &mut HostQueue<E>,
        query: QueryId,
        result: Result<(), StoreError>,
    ) -> Option<Written> {
        self.over(now, host, query, result, false)
    }

    fn over<E>(
        &mut self,
        now: Now,
        host: &mut HostQueue<E>,
        query: QueryId,
        result: Result<(), StoreError>,
        silent: bool,
    ) -> Option<Written> {
        let (key, _) = self.under_way.remove(&query)?;
        let next = self.names.get_mut(&key).and_then(Option::take);
        let goes_on = next.is_some();
        match next {
            Some(record) => self.write(now, host, record),
            None => drop(self.names.remove(&key)),
        }
        Some(Written { key, result, silent, goes_on })
    }

    /// One of the writes that the store has been silent about for too long; to be called until there is none.
    pub fn given_up<E>(&mut self, now: Now, host: &mut HostQueue<E>) -> Option<Written> {
        let query =
            self.under_way.iter().find(|(_, (_, deadline))| *deadline <= now.mono).map(|(id, _)| *id)?;
        self.over(now, host, query, Err(StoreError::Failed), true)
    }

    /// When [`StateWriter::given_up`] has something to say.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.under_way.values().map(|(_, deadline)| *deadline).min()
    }

    /// Whether something is being written under a name.
    #[must_use]
    pub fn is_writing(&self, key: &str) -> bool {
        self.names.contains_key(key)
    }

    /// Whether nothing is being written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests;
