//! Where records go that a node wants kept before it tells the peer that a message was taken.

use bytes::Bytes;
use cpm_core::{Record, StateRecord, StoreError};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// What a store gives back: done when the record is kept, or not.
pub type Storing = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// The embedding program's store. Records are handed over in order; a future that is not ready at once runs side by
/// side with others, so that answers may come in another order.
///
/// A closure that decides at once is a store as well:
///
/// ```
/// use cpm_core::{Record, StoreError};
/// let mut kept = 0;
/// let store = move |_record: Record| {
///     kept += 1;
///     if kept > 1_000 { Err(StoreError::Full) } else { Ok(()) }
/// };
/// let _store: Box<dyn cpm_host::Store> = Box::new(store);
/// ```
pub trait Store: Send + 'static {
    /// Keeps a record. The peer is told only after the future said `Ok`.
    fn store(&mut self, record: Record) -> Storing;
}

impl<F> Store for F
where
    F: FnMut(Record) -> Result<(), StoreError> + Send + 'static,
{
    fn store(&mut self, record: Record) -> Storing {
        Box::pin(std::future::ready(self(record)))
    }
}

/// Keeps records in memory, up to a number of them and of octets, and then says [`StoreError::Full`] until some are
/// taken out. Of state, what stands is kept: the last value of each name. Nothing survives the process. Copies are the same
/// store.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
    max_records: usize,
    max_octets: usize,
}

#[derive(Debug, Default)]
struct Kept {
    records: Vec<Record>,
    /// State by name.
    state: BTreeMap<String, Bytes>,
    octets: usize,
}

impl Kept {
    /// Keeps a record if there is room for it; the end of a name always fits.
    fn keep(&mut self, record: Record, max_records: usize, max_octets: usize) -> Result<(), StoreError> {
        let before = match &record {
            Record::State(state) => {
                self.state.get(&state.key).map_or(0, |value| state.key.len().saturating_add(value.len()))
            }
            _ => 0,
        };
        let octets = self.octets.saturating_sub(before).saturating_add(size(&record));
        let more = match &record {
            Record::State(state) if state.value.is_none() => {
                self.state.remove(&state.key);
                self.octets = octets;
                return Ok(());
            }
            Record::State(state) => usize::from(!self.state.contains_key(&state.key)),
            _ => 1,
        };
        let count = self.records.len().saturating_add(self.state.len()).saturating_add(more);
        if count > max_records || octets > max_octets {
            return Err(StoreError::Full);
        }
        self.octets = octets;
        match record {
            Record::State(StateRecord { key, value: Some(value) }) => drop(self.state.insert(key, value)),
            other => self.records.push(other),
        }
        Ok(())
    }
}

impl Default for MemoryStore {
    /// 10,000 records, 64 MiB.
    fn default() -> Self {
        MemoryStore::new(10_000, 64 << 20)
    }
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new(max_records: usize, max_octets: usize) -> Self {
        MemoryStore { kept: Arc::default(), max_records, max_octets }
    }

    /// Takes all records out: what was received, oldest first, then the state by name.
    #[must_use]
    pub fn take(&self) -> Vec<Record> {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        let state = kept.state.into_iter();
        let state = state.map(|(key, value)| Record::State(StateRecord { key, value: Some(value) }));
        kept.records.into_iter().chain(state).collect()
    }
}

impl Store for MemoryStore {
    fn store(&mut self, record: Record) -> Storing {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(std::future::ready(kept.keep(record, self.max_records, self.max_octets)))
    }
}

/// The octets that count for a record.
fn size(record: &Record) -> usize {
    match record {
        Record::Received(received) => {
            received.cpim.len().saturating_add(received.state.len()).saturating_add(received.sender.len())
        }
        Record::State(state) => {
            state.value.as_ref().map_or(0, |value| state.key.len().saturating_add(value.len()))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_core::ReceivedRecord;

    fn record(octets: usize) -> Record {
        Record::Received(ReceivedRecord { cpim: Bytes::from(vec![b'x'; octets]), ..Default::default() })
    }

    #[tokio::test]
    async fn full_by_octets_or_number_until_taken() {
        let reader = MemoryStore::new(3, 10);
        let mut store = reader.clone();
        assert_eq!(store.store(record(8)).await, Ok(()));
        assert_eq!(store.store(record(3)).await, Err(StoreError::Full));
        assert_eq!(store.store(record(1)).await, Ok(()));
        assert_eq!(store.store(record(1)).await, Ok(()));
        assert_eq!(store.store(record(0)).await, Err(StoreError::Full));
        assert_eq!(reader.take().len(), 3);
        assert_eq!(store.store(record(10)).await, Ok(()));
    }

    #[tokio::test]
    async fn of_state_what_stands_is_kept() {
        let put = |key: &str, octets| Record::State(StateRecord::put(key, vec![b'x'; octets]));
        let reader = MemoryStore::new(2, 20);
        let mut store = reader.clone();
        for _ in 0..10 {
            assert_eq!(store.store(put("a", 9)).await, Ok(()));
        }
        assert_eq!(store.store(put("b", 10)).await, Err(StoreError::Full));
        assert_eq!(store.store(put("b", 9)).await, Ok(()));
        assert_eq!(store.store(put("c", 0)).await, Err(StoreError::Full));
        assert_eq!(store.store(Record::State(StateRecord::remove("a"))).await, Ok(()));
        assert_eq!(store.store(Record::State(StateRecord::remove("a"))).await, Ok(()));
        assert_eq!(store.store(put("c", 9)).await, Ok(()));
        assert_eq!(reader.take(), [put("b", 9), put("c", 9)]);
        assert_eq!(store.store(put("d", 19)).await, Ok(()));
    }
}
