//! What a chat keeps from one time to the next (`--store`): the records of its client, which device it is, what was said.

use super::talk::Said;
use cpm_base::DateTime;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_client::SentId;
use cpm_core::{Record, StateRecord};
use cpm_host::{DiskLimits, DiskStore, Store};
use cpm_sip::Uri;
use sha2::{Digest, Sha256};
use std::path::Path;

const DEVICE: &str = "chat/device";
const SAID: &str = "chat/said/";
const KIND: [u8; 4] = *b"SAID";
/// 2: with more of the text, and when it was said.
const VERSION: u16 = 2;
/// Octets of a record of something that was said.
const MAX_RECORD: usize = 16_384;

/// The store of a chat, and what was in it at the start.
pub(crate) struct Kept {
    pub(crate) store: DiskStore,
    /// What is the client's.
    pub(crate) records: Vec<Record>,
    /// The instance of the device, where there was one.
    device: Option<String>,
    /// What was said, oldest first.
    pub(crate) said: Vec<(SentId, Said)>,
}

impl Kept {
    /// Opens the store of a user in a directory, which is made when it is not there.
    pub(crate) fn open(directory: &Path, identity: &Uri) -> Result<Kept, String> {
        std::fs::create_dir_all(directory)
            .map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
        let path = directory.join(file_name(identity));
        let store = DiskStore::open(&path, "chat.invalid", DiskLimits::default());
        let store = store.map_err(|error| error.to_string())?;
        let mut kept = Kept { records: Vec::new(), device: None, said: Vec::new(), store };
        for record in kept.store.records().map_err(|error| error.to_string())? {
            kept.take(record);
        }
        Ok(kept)
    }

    fn take(&mut self, record: Record) {
        match &record {
            Record::State(StateRecord { key, value: Some(value) }) if key == DEVICE => {
                self.device = String::from_utf8(value.to_vec()).ok();
            }
            // The number in its key puts them in order; one that cannot be read is not missed.
            Record::State(StateRecord { key, value: Some(value) }) if key.starts_with(SAID) => {
                self.said.extend(read_said(value).ok());
            }
            _ => self.records.push(record),
        }
    }

    /// The instance of this device: that of before, else this one from now on.
    pub(crate) async fn device(&mut self, new: String) -> Result<String, String> {
        if let Some(device) = &self.device {
            return Ok(device.clone());
        }
        keep(&mut self.store, DEVICE, new.clone().into_bytes()).await?;
        Ok(new)
    }
}

/// Keeps what was said; `forgotten` is not known any more.
pub(crate) async fn keep_said(
    store: &mut DiskStore,
    id: SentId,
    said: &Said,
    forgotten: Option<SentId>,
) -> Result<(), String> {
    if let Some(forgotten) = forgotten {
        let gone = StateRecord::remove(said_key(forgotten));
        store.store(Record::State(gone)).await.map_err(|error| format!("not kept: {error}"))?;
    }
    let mut record = RecordWriter::new(KIND, VERSION);
    record.u64(id.0).u64(said.number).text(&said.message_id).text(&said.to).text(&said.text);
    record.u64(u64::from_be_bytes(said.at.unix_micros().to_be_bytes()));
    keep(store, &said_key(id), record.finish()).await
}

async fn keep(store: &mut DiskStore, key: &str, value: Vec<u8>) -> Result<(), String> {
    let record = Record::State(StateRecord::put(key, value));
    store.store(record).await.map_err(|error| format!("not kept: {error}"))
}

fn said_key(id: SentId) -> String {
    format!("{SAID}{:020}", id.0)
}

fn read_said(octets: &[u8]) -> Result<(SentId, Said), RecordError> {
    let mut record = RecordReader::open(octets, KIND, VERSION, MAX_RECORD)?;
    let (id, number) = (SentId(record.u64()?), record.u64()?);
    let [message_id, to, text] = [record.text()?, record.text()?, record.text()?].map(str::to_owned);
    let at = match record.version() {
        ..2 => DateTime::UNIX_EPOCH,
        _ => DateTime::from_unix_micros(i64::from_be_bytes(record.u64()?.to_be_bytes()))
            .map_err(|_| RecordError::Value("time"))?,
    };
    record.finish()?;
    Ok((id, Said { number, message_id, to, text, at }))
}

/// The file of a user: his address as far as it can be in a name, and what tells it from others.
fn file_name(identity: &Uri) -> String {
    let key = identity.address_key();
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "@.-+".contains(letter) { letter } else { '_' };
    let readable: String = key.chars().map(plain).take(64).collect();
    let hash = Sha256::digest(key.as_bytes());
    let hash: String = hash.iter().take(4).map(|octet| format!("{octet:02x}")).collect();
    format!("{readable}-{hash}.redb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_file() {
        let name = |text| file_name(&Uri::parse(text).unwrap());
        assert!(name("sip:alice@example.com").starts_with("sip_alice@example.com-"));
        assert_eq!(name("sip:alice@EXAMPLE.com"), name("sip:alice@example.com"));
        assert_ne!(name("sip:a%2Fb@example.com"), name("sip:a_b@example.com"));
        let long = name(&format!("sip:{}@example.com", "x".repeat(500)));
        assert!(long.len() < 100 && !long.contains('/'));
    }

    #[tokio::test]
    async fn what_was_said_is_there_again() {
        let directory = std::env::temp_dir().join(format!("cpm-chat-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let alice = Uri::parse("sip:alice@example.com").unwrap();
        let said = |number, text: &str| Said {
            number,
            message_id: format!("m{number}"),
            to: "sip:bob@example.com".to_owned(),
            text: text.to_owned(),
            at: DateTime::from_unix_micros(1_700_000_000_000_000).unwrap(),
        };
        let mut kept = Kept::open(&directory, &alice).unwrap();
        assert_eq!(kept.device("urn:uuid:1".to_owned()).await.as_deref(), Ok("urn:uuid:1"));
        let store = &mut kept.store;
        keep_said(store, SentId(9), &said(1, "one"), None).await.unwrap();
        keep_said(store, SentId(10), &said(2, "two"), None).await.unwrap();
        keep_said(store, SentId(1_000), &said(3, "three"), Some(SentId(9))).await.unwrap();
        assert!(
            Kept::open(&directory, &alice).err().is_some_and(|why| why.contains("another program uses it"))
        );
        kept.store.close();
        drop(kept);
        let mut kept = Kept::open(&directory, &alice).unwrap();
        assert_eq!(kept.said, [(SentId(10), said(2, "two")), (SentId(1_000), said(3, "three"))]);
        assert_eq!(kept.device("urn:uuid:2".to_owned()).await.as_deref(), Ok("urn:uuid:1"));
        assert_eq!(kept.records.len(), 0);
        kept.store.close();
        let _ = std::fs::remove_dir_all(&directory);
    }

    /// Records of before there was a time in them are read; the longest text that is kept fits into one.
    #[test]
    fn older_and_long_records_are_read() {
        let mut record = RecordWriter::new(KIND, 1);
        record.u64(9).u64(1).text("m1").text("sip:bob@example.com").text("one");
        let (to, text, at) = ("sip:bob@example.com".to_owned(), "one".to_owned(), DateTime::UNIX_EPOCH);
        let said = Said { number: 1, message_id: "m1".to_owned(), to, text, at };
        assert_eq!(read_said(&record.finish()), Ok((SentId(9), said)));
        let mut record = RecordWriter::new(KIND, VERSION);
        let longest = "\u{1f600}".repeat(2_001);
        record.u64(9).u64(1).text(&"m".repeat(256)).text(&"s".repeat(1_024)).text(&longest).u64(1);
        assert_eq!(read_said(&record.finish()).unwrap().1.text, longest);
    }

    /// What is cut, too long, or of another version than it says is left out.
    #[test]
    fn records_that_cannot_be_read_are_left_out() {
        let record = |version, micros: u64, text: &str| {
            let mut record = RecordWriter::new(KIND, version);
            record.u64(9).u64(1).text("m1").text("sip:bob@example.com").text(text).u64(micros);
            record.finish()
        };
        let whole = record(VERSION, 1, "one");
        assert!(read_said(&whole).is_ok());
        for end in 0..whole.len() {
            assert!(read_said(&whole[..end]).is_err(), "{end}");
        }
        assert!(read_said(&[&whole[..], b"\0"].concat()).is_err());
        assert!(read_said(&record(VERSION + 1, 1, "one")).is_err());
        assert!(read_said(&record(1, 1, "one")).is_err(), "the first version had no time");
        assert!(read_said(&record(VERSION, u64::from_be_bytes(i64::MAX.to_be_bytes()), "one")).is_err());
        assert!(read_said(&record(VERSION, 1, &"x".repeat(MAX_RECORD))).is_err());
    }
}
