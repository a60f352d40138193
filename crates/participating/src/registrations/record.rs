//! A user as a record that outlives the node: who it is, and what is registered. Times are those of the wall clock. The
//! subscription is not in it: a node that takes the user up subscribes anew.

use super::{Binding, Gruu, User};
use core::time::Duration;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{DateTime, Instant, Now};
use cpm_core::release::{ProductKind, Release};
use cpm_sip::Uri;

const KIND: [u8; 4] = *b"PFUS";
const VERSION: u16 = 1;

/// `user.max_record`: octets of the record of a user; a longer one is not read.
const MAX_RECORD: usize = 256 * 1024;

/// What the names of the records of users begin with.
pub(crate) const PREFIX: &str = "pf/user/";

/// The name of a user's record; `None` for an address that is too long for a name.
pub(crate) fn key(address: &str) -> Option<String> {
    let key = format!("{PREFIX}{}", Uri::parse(address).ok()?.address_key());
    (key.len() <= 512).then_some(key)
}

impl User {
    /// The record.
    pub(crate) fn to_record(&self, now: Now) -> Vec<u8> {
        let mut record = RecordWriter::new(KIND, VERSION);
        record.text(&self.address);
        write_time(&mut record, now, self.until);
        record.count(self.identities.len());
        for identity in &self.identities {
            record.text(identity);
        }
        record.count(self.bindings.len());
        for binding in &self.bindings {
            write_binding(&mut record, now, &self.address, binding);
        }
        record.finish()
    }
}

/// What was kept of a user.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) address: Uri,
    pub(crate) until: Instant,
    pub(crate) identities: Vec<String>,
    pub(crate) bindings: Vec<Binding>,
}

/// Reads the record of a user.
pub(crate) fn read(now: Now, octets: &[u8]) -> Result<Kept, RecordError> {
    let mut record = RecordReader::open(octets, KIND, VERSION, MAX_RECORD)?;
    let address = Uri::parse(record.text()?).map_err(|_| RecordError::Value("address"))?;
    let until = read_time(&mut record, now)?;
    let mut identities = Vec::new();
    for _ in 0..record.count()? {
        identities.push(record.text()?.to_owned());
    }
    let mut bindings = Vec::new();
    for _ in 0..record.count()? {
        bindings.push(read_binding(&mut record, now, address.as_str())?);
    }
    record.finish()?;
    Ok(Kept { address, until, identities, bindings })
}

fn write_binding(record: &mut RecordWriter, now: Now, address: &str, binding: &Binding) {
    let instance = binding.instance.as_deref();
    record.text(&binding.contact).option(binding.gruu.text(address, instance).as_deref()).option(instance);
    record.count(binding.capabilities.len());
    for (name, value) in &binding.capabilities {
        record.text(name).text(value);
    }
    record.u8(binding.features).u8(binding.marks).flag(binding.primary);
    record.flag(binding.release.is_some());
    if let Some(release) = binding.release {
        record.flag(release.kind == ProductKind::Server).u16(release.major).u16(release.minor);
    }
    write_time(record, now, binding.until);
}

fn read_binding(record: &mut RecordReader<'_>, now: Now, address: &str) -> Result<Binding, RecordError> {
    let contact = record.text()?;
    Uri::parse(contact).map_err(|_| RecordError::Value("contact"))?;
    let (gruu, instance) = (record.option()?, record.option()?);
    let mut capabilities = Vec::new();
    for _ in 0..record.count()? {
        capabilities.push((record.text()?.into(), record.text()?.into()));
    }
    let (features, marks, primary) = (record.u8()?, record.u8()?, record.flag()?);
    let release = match record.flag()? {
        false => None,
        true => {
            let kind = if record.flag()? { ProductKind::Server } else { ProductKind::Client };
            Some(Release { kind, major: record.u16()?, minor: record.u16()? })
        }
    };
    Ok(Binding {
        contact: contact.into(),
        gruu: Gruu::of(gruu, address, instance),
        instance: instance.map(Into::into),
        capabilities: capabilities.into(),
        features,
        marks,
        release,
        primary,
        until: read_time(record, now)?,
    })
}

/// When the wall clock will show the time of an instant.
fn write_time(record: &mut RecordWriter, now: Now, at: Instant) {
    let at = now.wall.plus(at.since(now.mono));
    record.u64(u64::from_be_bytes(at.unix_micros().to_be_bytes()));
}

fn read_time(record: &mut RecordReader<'_>, now: Now) -> Result<Instant, RecordError> {
    let at = i64::from_be_bytes(record.u64()?.to_be_bytes());
    let at = DateTime::from_unix_micros(at).map_err(|_| RecordError::Value("time"))?;
    let left = at.unix_micros().saturating_sub(now.wall.unix_micros());
    let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
    // A clock that ran backwards makes nothing last longer than it may.
    Ok(super::until(now.mono, left.as_secs()).min(now.mono.plus(left)).max(now.mono))
}
