//! Notifications on behalf of users that are owed: sent until they are answered 2xx or refused for good, also by the node
//! that comes after this one.

use core::time::Duration;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{DateTime, Instant, Now};
use cpm_sip::{Message, Request, StatusCode, parse_datagram};
use cpm_ua::TransactionId;
use std::collections::{BTreeMap, BTreeSet};

const KIND: [u8; 4] = *b"PFOW";
const VERSION: u16 = 1;
const MAX_RECORD: usize = 256 * 1024;
/// The wait before the second try; it doubles with each try, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// What names of records of these begin with.
pub(crate) const PREFIX: &str = "pf/owed/";

/// A notification that is owed.
#[derive(Debug)]
struct Owed {
    request: Request,
    tries: u32,
    next: Option<Instant>,
    until: Instant,
}

/// All of them, by the names of their records.
#[derive(Debug, Default)]
pub(crate) struct OwedNotifications {
    owed: BTreeMap<String, Owed>,
    next: BTreeSet<(Instant, String)>,
    sent: BTreeMap<TransactionId, String>,
}

impl OwedNotifications {
    pub(crate) fn len(&self) -> usize {
        self.owed.len()
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.owed.contains_key(key)
    }

    /// One more is owed: it waits until it is [due](Self::due) at this time.
    pub(crate) fn owe(&mut self, key: String, request: Request, at: Instant, until: Instant) {
        self.next.insert((at, key.clone()));
        self.owed.insert(key, Owed { request, tries: 0, next: Some(at), until });
    }

    /// The record of one.
    pub(crate) fn to_record(now: Now, request: &Request, life: Duration) -> Vec<u8> {
        let mut record = RecordWriter::new(KIND, VERSION);
        let until = now.wall.plus(life).unix_micros();
        record.u64(u64::from_be_bytes(until.to_be_bytes())).bytes(&request.to_bytes());
        record.finish()
    }

    /// Takes up one that another node owed; `false`: it is over.
    pub(crate) fn restore(&mut self, now: Now, key: &str, octets: &[u8]) -> Result<bool, RecordError> {
        let mut record = RecordReader::open(octets, KIND, VERSION, MAX_RECORD)?;
        let until = i64::from_be_bytes(record.u64()?.to_be_bytes());
        let until = DateTime::from_unix_micros(until).map_err(|_| RecordError::Value("time"))?;
        let message = parse_datagram(record.bytes()?.to_vec().into(), &cpm_sip::Limits::default());
        record.finish()?;
        let Ok(Message::Request(request)) = message else { return Err(RecordError::Value("MESSAGE")) };
        let left = until.unix_micros().saturating_sub(now.wall.unix_micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        if left.is_zero() {
            return Ok(false);
        }
        self.owe(key.to_owned(), request, now.mono, now.mono.plus(left));
        Ok(true)
    }

    /// One whose turn it is.
    pub(crate) fn due(&mut self, now: Instant) -> Option<(String, Request)> {
        let (_, key) = self.next.first().filter(|(at, _)| *at <= now)?.clone();
        self.next.pop_first();
        let owed = self.owed.get_mut(&key)?;
        (owed.next, owed.tries) = (None, owed.tries.saturating_add(1));
        Some((key, owed.request.clone()))
    }

    pub(crate) fn sent(&mut self, transaction: TransactionId, key: String) {
        self.sent.insert(transaction, key);
    }

    /// The answer to one, or that there is none. `None`: it is none of these; else its name, and whether it is over.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        transaction: TransactionId,
        status: Option<StatusCode>,
    ) -> Option<(String, bool)> {
        let key = self.sent.remove(&transaction)?;
        let over = self.tried(now, &key, status);
        Some((key, over))
    }

    /// What became of a try; whether nothing is owed any more.
    pub(crate) fn tried(&mut self, now: Instant, key: &str, status: Option<StatusCode>) -> bool {
        let Some(owed) = self.owed.get_mut(key) else { return true };
        let doubled = 1u32.checked_shl(owed.tries.saturating_sub(1)).unwrap_or(u32::MAX);
        let at = now.plus(FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT));
        if status.is_some_and(is_final) || at >= owed.until {
            self.owed.remove(key);
            return true;
        }
        owed.next = Some(at);
        self.next.insert((at, key.to_owned()));
        false
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next.first().map(|(at, _)| *at)
    }
}

/// An answer after which it is not sent again: it was taken, or never will be.
fn is_final(status: StatusCode) -> bool {
    let passing = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TEMPORARILY_UNAVAILABLE,
        StatusCode::BUSY_HERE,
        StatusCode::BUSY_EVERYWHERE,
    ];
    !(500..600).contains(&status.as_u16()) && !passing.contains(&status)
}
