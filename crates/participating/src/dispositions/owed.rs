//! Notifications that are owed: sent until they are answered 2xx or refused for good, also by the node that comes after
//! this one.

use core::time::Duration;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{DateTime, Instant, Now};
use cpm_sip::{Message, Request, StatusCode, parse_datagram};
use cpm_ua::TransactionId;
use std::collections::{BTreeMap, BTreeSet};

const KIND: [u8; 4] = *b"PFOW";
/// 2: with the time of the next try.
const VERSION: u16 = 2;
const MAX_RECORD: usize = 256 * 1024;
/// The wait before the second try; it doubles with each try, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// What names of records of notifications on behalf of users begin with.
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

    /// The record of one that is to be sent in so long, and is owed for so long.
    pub(crate) fn to_record(now: Now, request: &Request, wait: Duration, life: Duration) -> Vec<u8> {
        let mut record = RecordWriter::new(KIND, VERSION);
        let at = |after: Duration| u64::from_be_bytes(now.wall.plus(after).unix_micros().to_be_bytes());
        record.u64(at(life)).bytes(&request.to_bytes()).u64(at(wait));
        record.finish()
    }

    /// Takes up one that another node owed; `false`: it is over. A clock that ran backwards makes nothing owed longer than for
    /// its life.
    pub(crate) fn restore(
        &mut self,
        now: Now,
        life: Duration,
        key: &str,
        octets: &[u8],
    ) -> Result<bool, RecordError> {
        let mut record = RecordReader::open(octets, KIND, VERSION, MAX_RECORD)?;
        let left = left_until(now, record.u64()?)?.min(life);
        let message = parse_datagram(record.bytes()?.to_vec().into(), &cpm_sip::Limits::default());
        let wait = if record.version() < 2 { Duration::ZERO } else { left_until(now, record.u64()?)? };
        record.finish()?;
        let Ok(Message::Request(request)) = message else { return Err(RecordError::Value("MESSAGE")) };
        if left.is_zero() {
            return Ok(false);
        }
        self.owe(key.to_owned(), request, now.mono.plus(wait.min(left)), now.mono.plus(left));
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

/// How long it is until a time of the wall clock; nothing when that is over.
fn left_until(now: Now, micros: u64) -> Result<Duration, RecordError> {
    let until = DateTime::from_unix_micros(i64::from_be_bytes(micros.to_be_bytes()));
    let until = until.map_err(|_| RecordError::Value("time"))?;
    let left = until.unix_micros().saturating_sub(now.wall.unix_micros());
    Ok(Duration::from_micros(u64::try_from(left).unwrap_or(0)))
}

/// An answer after which it is not sent again: it was taken, or never will be. 482 is about a copy of the request (RFC 3261
/// §8.2.2.2): of the first one it says nothing.
fn is_final(status: StatusCode) -> bool {
    let passing = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TEMPORARILY_UNAVAILABLE,
        StatusCode::LOOP_DETECTED,
        StatusCode::BUSY_HERE,
        StatusCode::BUSY_EVERYWHERE,
    ];
    !(500..600).contains(&status.as_u16()) && !passing.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_sip::{Method, Uri};

    /// Records of before there was a time of the next try in them are due at once; those of now when it says.
    #[test]
    fn older_records_are_read() {
        let now = Now::new(Instant::from_micros(1_000_000), DateTime::UNIX_EPOCH);
        let request = Request::new(Method::Message, Uri::parse("sip:a@home.test").unwrap());
        let mut first = RecordWriter::new(KIND, 1);
        first.u64(60_000_000).bytes(&request.to_bytes());
        let wait = Duration::from_secs(7);
        let second = OwedNotifications::to_record(now, &request, wait, Duration::from_secs(60));
        for (octets, due) in [(first.finish(), now.mono), (second, now.mono.plus(wait))] {
            let mut owed = OwedNotifications::default();
            assert_eq!(owed.restore(now, LIFE, "a", &octets), Ok(true));
            assert_eq!(owed.next_timeout(), Some(due));
            let over = now.plus(Duration::from_secs(60));
            assert_eq!(OwedNotifications::default().restore(over, LIFE, "a", &octets), Ok(false));
        }
    }

    const LIFE: Duration = Duration::from_secs(60);

    /// Threat G2: a wall clock that jumps between two lives makes nothing owed for longer, nor wait for longer, than it may;
    /// what is over is over, at once.
    #[test]
    fn a_clock_that_jumps_makes_nothing_last() {
        let years = |count: u64| Duration::from_secs(count * 31_557_600);
        let request = Request::new(Method::Message, Uri::parse("sip:a@home.test").unwrap());
        let wall = DateTime::UNIX_EPOCH.plus(years(50));
        let wait = Duration::from_secs(50);
        let octets = OwedNotifications::to_record(Now::new(Instant::ZERO, wall), &request, wait, LIFE);
        let mono = Instant::from_micros(7);
        let restored = |wall| {
            let mut owed = OwedNotifications::default();
            let stands = owed.restore(Now::new(mono, wall), LIFE, "a", &octets).unwrap();
            (stands, owed)
        };
        for jump in [0, 1, 10] {
            let (stands, mut owed) = restored(DateTime::UNIX_EPOCH.plus(years(50 - jump)));
            assert!(stands);
            let due = owed.next_timeout().unwrap();
            assert!(due <= mono.plus(LIFE), "{jump}");
            // It is tried, and then no more.
            assert!(owed.due(due).is_some());
            assert!(owed.tried(due, "a", None) || owed.next_timeout().unwrap() < mono.plus(LIFE));
        }
        let (stands, owed) = restored(wall.plus(years(10)));
        assert_eq!((stands, owed.len()), (false, 0));
        for extreme in [u64::MAX, u64::from_be_bytes(i64::MIN.to_be_bytes()), i64::MAX.unsigned_abs()] {
            let mut record = RecordWriter::new(KIND, VERSION);
            record.u64(extreme).bytes(&request.to_bytes()).u64(extreme);
            let mut owed = OwedNotifications::default();
            let read = owed.restore(Now::new(mono, wall), LIFE, "a", &record.finish());
            assert!(matches!(read, Ok(false) | Err(_)), "{extreme}: {read:?}");
        }
    }
}
