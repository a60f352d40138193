//! Where records go that a node wants kept before it tells the peer that a message was taken.

use cpm_core::{Record, StoreError};
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
/// taken out. Nothing survives the process. Copies are the same store.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
    max_records: usize,
    max_octets: usize,
}

#[derive(Debug, Default)]
struct Kept {
    records: Vec<Record>,
    octets: usize,
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

    /// Takes all records out, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<Record> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.octets = 0;
        std::mem::take(&mut kept.records)
    }
}

impl Store for MemoryStore {
    fn store(&mut self, record: Record) -> Storing {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let octets = kept.octets.saturating_add(size(&record));
        let fits = kept.records.len() < self.max_records && octets <= self.max_octets;
        if fits {
            kept.octets = octets;
            kept.records.push(record);
        }
        Box::pin(std::future::ready(if fits { Ok(()) } else { Err(StoreError::Full) }))
    }
}

/// The octets that count for a record.
fn size(record: &Record) -> usize {
    match record {
        Record::Received(received) => {
            received.cpim.len().saturating_add(received.state.len()).saturating_add(received.sender.len())
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
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
}
