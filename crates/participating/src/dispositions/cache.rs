//! Which disposition notifications went through already (TS 8.3.4, 8.2.4): with several devices, several of one kind arrive
//! for one message of one recipient, and the sender is told each thing once.
//!
//! The key is whom it is for, whom it is from, and the message (readings G6: in a group one recipient's notification must not
//! swallow another's).

use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{DateTime, Instant, Now};
use cpm_xml::imdn::{DeliveryStatus, Notification};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::work::WorkId;

const KIND: [u8; 4] = *b"PFDC";
const VERSION: u16 = 1;
/// `imdn.max_key`: octets of a key; a notification with a longer one is not remembered.
const MAX_KEY: usize = 2_048;

/// What a notification tells (RFC 5438 §6.2): what is asked for apart is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Disposition {
    /// It was delivered.
    Delivered = 1,
    /// It was not.
    Failed = 2,
    /// It was read, or cannot be told to have been.
    Display = 4,
    /// An intermediary took it.
    Processing = 8,
    /// It went another way (TS Appendix O).
    Interworking = 16,
}

impl Disposition {
    pub(crate) const fn of(notification: &Notification) -> Disposition {
        match notification {
            Notification::Delivery(DeliveryStatus::Delivered) => Disposition::Delivered,
            Notification::Delivery(_) => Disposition::Failed,
            Notification::Display(_) => Disposition::Display,
            Notification::Processing(_) => Disposition::Processing,
            Notification::Interworking(_) => Disposition::Interworking,
        }
    }

    const fn bit(self) -> u8 {
        self as u8
    }

    /// What makes it old news: itself; for a delivery, an interworking; for an interworking, a display.
    // req: 8.3.4-2.a.i, 8.3.4-2.a.ii.1, 8.3.4-2.a.iii.1
    const fn covered_by(self) -> u8 {
        match self {
            Disposition::Delivered | Disposition::Failed => self.bit() | Disposition::Interworking.bit(),
            Disposition::Interworking => self.bit() | Disposition::Display.bit(),
            Disposition::Display | Disposition::Processing => self.bit(),
        }
    }
}

/// One thing that a MESSAGE tells: of which message of whom, and what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) disposition: Disposition,
}

/// What is to be done with a MESSAGE full of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It tells something new: it goes on.
    Forward,
    /// All of it was told: it does not.
    Told,
    /// What it tells is being told by this one: how that ends decides.
    Wait(WorkId),
}

#[derive(Debug)]
struct Entry {
    /// What was told.
    told: u8,
    /// What is being told.
    under_way: Vec<(Disposition, WorkId)>,
    until: Instant,
}

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: BTreeMap<String, Entry>,
    /// Entries in the order in which they are forgotten.
    order: BTreeSet<(Instant, String)>,
}

impl Cache {
    /// Judges a MESSAGE; one that goes on is under way from now.
    // req: 8.3.4-2, 8.3.4-2.a, 8.3.4-2.a.iv, 8.3.4-2.b, 8.3.4-3
    pub(crate) fn judge(&mut self, now: Instant, work: WorkId, items: &[Item]) -> Judgement {
        let mut fresh = items.is_empty();
        let mut leader = None;
        for Item { key, disposition } in items {
            let Some(entry) = self.entries.get(key).filter(|entry| entry.until > now) else {
                fresh = true;
                continue;
            };
            if entry.told & disposition.covered_by() != 0 {
                continue;
            }
            match entry.under_way.iter().find(|(known, _)| known.bit() & disposition.covered_by() != 0) {
                Some((_, of)) => leader = leader.or(Some(*of)),
                None => fresh = true,
            }
        }
        match (fresh, leader) {
            (true, _) => {
                self.begin(now, work, items);
                Judgement::Forward
            }
            (false, Some(leader)) => Judgement::Wait(leader),
            (false, None) => Judgement::Told,
        }
    }

    fn begin(&mut self, now: Instant, work: WorkId, items: &[Item]) {
        for Item { key, disposition } in items {
            let entry = self.entries.entry(key.clone()).or_insert(Entry {
                told: 0,
                under_way: Vec::new(),
                until: now,
            });
            self.order.remove(&(entry.until, key.clone()));
            if entry.until <= now {
                // It is over, though not swept away yet.
                entry.told = 0;
            }
            // What is under way keeps it.
            entry.until = Instant::from_micros(u64::MAX);
            entry.under_way.push((*disposition, work));
        }
    }

    /// A MESSAGE was answered: what it told was told, or was not. The keys of what is remembered from now on.
    pub(crate) fn end(
        &mut self,
        now: Instant,
        life: Duration,
        work: WorkId,
        items: &[Item],
        told: bool,
    ) -> Vec<String> {
        let mut keys = Vec::new();
        for Item { key, disposition } in items {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            let before = entry.under_way.len();
            entry.under_way.retain(|(known, of)| !(known == disposition && *of == work));
            if entry.under_way.len() == before {
                continue;
            }
            if told {
                entry.told |= disposition.bit();
                keys.push(key.clone());
            }
            if !entry.under_way.is_empty() {
                continue;
            }
            if entry.told == 0 {
                self.entries.remove(key);
            } else {
                entry.until = now.plus(life);
                self.order.insert((entry.until, key.clone()));
            }
        }
        keys
    }

    /// What would be remembered of a key if the MESSAGE under way were answered now, as a record.
    pub(crate) fn to_record(&self, now: Now, life: Duration, key: &str, work: WorkId) -> Option<Vec<u8>> {
        let entry = self.entries.get(key)?;
        let own = entry.under_way.iter().filter(|(_, of)| *of == work);
        let told = own.fold(entry.told, |told, (disposition, _)| told | disposition.bit());
        let mut record = RecordWriter::new(KIND, VERSION);
        let until = now.wall.plus(life).unix_micros();
        record.text(key).u8(told).u64(u64::from_be_bytes(until.to_be_bytes()));
        Some(record.finish())
    }

    /// Takes up what another node remembered; `false`: it is over. A clock that ran backwards makes nothing last longer than
    /// its life.
    pub(crate) fn restore(&mut self, now: Now, life: Duration, octets: &[u8]) -> Result<bool, RecordError> {
        let mut record = RecordReader::open(octets, KIND, VERSION, MAX_KEY.saturating_add(64))?;
        let (key, told) = (record.text()?.to_owned(), record.u8()?);
        let until = i64::from_be_bytes(record.u64()?.to_be_bytes());
        record.finish()?;
        let until = DateTime::from_unix_micros(until).map_err(|_| RecordError::Value("time"))?;
        let left = until.unix_micros().saturating_sub(now.wall.unix_micros());
        let Ok(left) = u64::try_from(left) else { return Ok(false) };
        let until = now.mono.plus(Duration::from_micros(left).min(life));
        if self.entries.insert(key.clone(), Entry { told, under_way: Vec::new(), until }).is_none() {
            self.order.insert((until, key));
        }
        Ok(true)
    }

    /// Forgets the next one that is over, or one too many; its key.
    pub(crate) fn forget(&mut self, now: Instant, most: usize) -> Option<String> {
        let (until, _) = self.order.first()?;
        if *until > now && self.entries.len() <= most {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key);
        Some(key)
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> [usize; 2] {
        [self.entries.len(), self.order.len()]
    }
}

/// A key of these parts; `None` when it is too long to be remembered.
pub(crate) fn key(parts: &[&str]) -> Option<String> {
    let key = parts.join("\n");
    (key.len() <= MAX_KEY).then_some(key)
}

#[cfg(test)]
mod tests;
