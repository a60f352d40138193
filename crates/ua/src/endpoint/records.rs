//! What outlives this node: dialogs (with their calls and subscriptions) and registrations as records that another endpoint takes up, to refresh, change and
//! end them. Records have a version, a checksum and a limit ([`cpm_base::record`]). Flows are not in them: they belong to
//! a host. Times are what is left of them, and when that was said.
//!
//! An endpoint that takes something up has a seed of its own: with that of the first it would draw the same branches
//! again, and its requests would be taken for copies of those.

mod dialogs;
mod registrations;
mod subscriptions;

use super::Endpoint;
use crate::error::Refusal;
use crate::event::{DialogId, NotifierId, SubscriptionId};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{DateTime, Instant, LimitExceeded, Now};
use cpm_sip::{HeaderName, HeaderText, Headers, TypedHeader};
pub(super) use subscriptions::{ReadNotifier, ReadSubscription};

/// Why a record is not taken up. Nothing of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// It cannot be read.
    Record(RecordError),
    /// What it describes is here already.
    Known,
    /// A limit is reached.
    Limit(LimitExceeded),
    /// The endpoint takes no new work.
    Draining,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Record(error) => error.fmt(f),
            RestoreError::Known => f.write_str("it is here already"),
            RestoreError::Limit(exceeded) => exceeded.fmt(f),
            RestoreError::Draining => f.write_str("the endpoint takes no new work"),
        }
    }
}

impl core::error::Error for RestoreError {}

impl From<RecordError> for RestoreError {
    fn from(error: RecordError) -> Self {
        RestoreError::Record(error)
    }
}

/// What a record of a dialog made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The dialog.
    pub dialog: DialogId,
    /// Its subscriptions of ours, in the order in which they were made.
    pub subscriptions: Vec<SubscriptionId>,
    /// Its subscriptions that the function accepted.
    pub notifiers: Vec<NotifierId>,
}

/// Begins a record: everything in it is as of now.
fn begin(kind: [u8; 4], version: u16, now: Now) -> RecordWriter {
    let mut record = RecordWriter::new(kind, version);
    record.u64(u64::from_be_bytes(now.wall.unix_micros().to_be_bytes()));
    record
}

/// How long ago a record was written; clocks that disagree say: just now.
struct Age(Duration);

impl Age {
    fn read(record: &mut RecordReader<'_>, now: Now) -> Result<Age, RecordError> {
        let written = i64::from_be_bytes(record.u64()?.to_be_bytes());
        let written = DateTime::from_unix_micros(written).map_err(|_| RecordError::Value("time"))?;
        let micros = now.wall.unix_micros().saturating_sub(written.unix_micros());
        Ok(Age(Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
    }

    /// The instant that was still this far away; no further than `most`.
    fn instant(
        &self,
        record: &mut RecordReader<'_>,
        now: Now,
        most: Duration,
    ) -> Result<Instant, RecordError> {
        let left = Duration::from_micros(record.u64()?).min(most);
        Ok(now.mono.plus(left.saturating_sub(self.0)))
    }
}

/// How far an instant is away.
fn write_instant(record: &mut RecordWriter, at: Instant, now: Now) {
    record.u64(u64::try_from(at.since(now.mono).as_micros()).unwrap_or(u64::MAX));
}

fn write_instant_option(record: &mut RecordWriter, at: Option<Instant>, now: Now) {
    record.flag(at.is_some());
    if let Some(at) = at {
        write_instant(record, at, now);
    }
}

fn read_instant_option(
    record: &mut RecordReader<'_>,
    age: &Age,
    now: Now,
    most: Duration,
) -> Result<Option<Instant>, RecordError> {
    Ok(if record.flag()? { Some(age.instant(record, now, most)?) } else { None })
}

/// Header fields; what is no text is left out.
fn write_headers(record: &mut RecordWriter, headers: &Headers) {
    let fields: Vec<_> = headers.iter().filter_map(|(n, v)| v.to_text().map(|v| (n, v))).collect();
    record.count(fields.len());
    for (name, value) in fields {
        record.text(name.as_str()).text(&value);
    }
}

fn read_headers(record: &mut RecordReader<'_>) -> Result<Headers, RecordError> {
    let mut headers = Headers::new();
    for _ in 0..record.count()? {
        let name = HeaderName::parse(record.text()?).map_err(|_| RecordError::Value("header field"))?;
        let value = HeaderText::new(record.text()?).map_err(|_| RecordError::Value("header field"))?;
        headers.push(name, value);
    }
    Ok(headers)
}

fn write_value<H: TypedHeader>(record: &mut RecordWriter, value: &H) {
    record.text(value.to_text().as_str());
}

fn read_value<H: TypedHeader>(record: &mut RecordReader<'_>, what: &'static str) -> Result<H, RecordError> {
    // What a message may not hold is in no value either.
    let text = HeaderText::new(record.text()?).map_err(|_| RecordError::Value(what))?;
    H::parse(text.as_str().as_bytes()).map_err(|_| RecordError::Value(what))
}

fn write_list<H: TypedHeader>(record: &mut RecordWriter, values: &[H]) {
    record.count(values.len());
    for value in values {
        write_value(record, value);
    }
}

fn read_list<H: TypedHeader>(
    record: &mut RecordReader<'_>,
    what: &'static str,
) -> Result<Vec<H>, RecordError> {
    let count = record.count()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(read_value(record, what)?);
    }
    Ok(values)
}

fn write_bytes_option(record: &mut RecordWriter, value: Option<&bytes::Bytes>) {
    record.flag(value.is_some());
    if let Some(value) = value {
        record.bytes(value);
    }
}

fn read_bytes_option(record: &mut RecordReader<'_>) -> Result<Option<bytes::Bytes>, RecordError> {
    Ok(if record.flag()? { Some(bytes::Bytes::copy_from_slice(record.bytes()?)) } else { None })
}

impl Endpoint {
    /// Closes a record that is written; one that nobody would read is not given out.
    fn within_limit(&self, record: RecordWriter) -> Result<Vec<u8>, Refusal> {
        let octets = record.finish();
        LimitExceeded::check("snapshot.max", octets.len(), self.config.limits.max_record)
            .map_err(Refusal::Limit)?;
        Ok(octets)
    }

    fn may_restore(&self) -> Result<(), RestoreError> {
        self.may_begin().map_err(|_| RestoreError::Draining)
    }
}
