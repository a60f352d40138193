//! What lies where in the file.

use bytes::Bytes;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_core::outside::{Direction, Folder, ObjectKind, ObjectUid, StoredObject};
use cpm_core::{ContributionId, ConversationId, Record, StateRecord};
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use std::num::NonZeroU32;
use std::time::{SystemTime, UNIX_EPOCH};

/// The layout below.
const FORMAT: u64 = 1;

/// `format`, and `validity`: the UIDVALIDITY of all folders.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
/// State of nodes by name.
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
/// Received messages in their order.
const RECEIVED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("received");
/// Objects by user and UID.
const OBJECTS: TableDefinition<'_, (&str, u32), &[u8]> = TableDefinition::new("objects");
/// UIDs by user, direction and Message-ID.
const OBJECT_IDS: TableDefinition<'_, (&str, u8, &str), u32> = TableDefinition::new("object_ids");
/// The last UID of each user.
const LAST_UIDS: TableDefinition<'_, &str, u32> = TableDefinition::new("last_uids");
/// Objects with the \Seen flag.
const SEEN: TableDefinition<'_, (&str, u32), ()> = TableDefinition::new("seen");

const OBJECT_KIND: [u8; 4] = *b"OBJT";
const VERSION: u16 = 1;

pub(super) enum Prepared {
    Ready {
        validity: u32,
    },
    /// Written by something else.
    Format(u64),
}

/// Makes the tables of a new file; looks whether those of another one can be read.
pub(super) fn prepare(database: &Database) -> Result<Prepared, redb::Error> {
    let transaction = database.begin_write()?;
    let validity = {
        let mut about = transaction.open_table(ABOUT)?;
        let format = about.get("format")?.map(|format| format.value());
        match format {
            Some(FORMAT) => {}
            Some(format) => return Ok(Prepared::Format(format)),
            None => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
                about.insert("format", FORMAT)?;
                about.insert("validity", now & u64::from(u32::MAX))?;
            }
        }
        about.get("validity")?.map_or(1, |validity| validity.value())
    };
    Tables::open(&transaction)?;
    transaction.commit()?;
    Ok(Prepared::Ready { validity: u32::try_from(validity).unwrap_or(1).max(1) })
}

/// What stands.
pub(super) fn records(database: &Database) -> Result<Vec<Record>, redb::Error> {
    let transaction = database.begin_read()?;
    let mut all = Vec::new();
    for entry in transaction.open_table(RECEIVED)?.iter()? {
        let (_, value) = entry?;
        // The file's own checksums hold; what was written so cannot be read otherwise only by a newer program.
        if let Ok(record) = Record::from_octets(value.value(), usize::MAX) {
            all.push(record);
        }
    }
    for entry in transaction.open_table(STATE)?.iter()? {
        let (key, value) = entry?;
        let value = Bytes::copy_from_slice(value.value());
        all.push(Record::State(StateRecord::put(key.value(), value)));
    }
    Ok(all)
}

/// How many objects a user has.
pub(super) fn objects_of(database: &Database, user: &str) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    let objects = transaction.open_table(OBJECTS)?;
    let mut count = 0;
    for entry in objects.range((user, 0)..=(user, u32::MAX))? {
        entry?;
        count += 1;
    }
    Ok(count)
}

/// The tables in a transaction.
pub(super) struct Tables<'t> {
    state: Table<'t, &'static str, &'static [u8]>,
    received: Table<'t, u64, &'static [u8]>,
    objects: Table<'t, (&'static str, u32), &'static [u8]>,
    object_ids: Table<'t, (&'static str, u8, &'static str), u32>,
    last_uids: Table<'t, &'static str, u32>,
    seen: Table<'t, (&'static str, u32), ()>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Tables<'t>, redb::Error> {
        Ok(Tables {
            state: transaction.open_table(STATE)?,
            received: transaction.open_table(RECEIVED)?,
            objects: transaction.open_table(OBJECTS)?,
            object_ids: transaction.open_table(OBJECT_IDS)?,
            last_uids: transaction.open_table(LAST_UIDS)?,
            seen: transaction.open_table(SEEN)?,
        })
    }

    pub(super) fn keep(&mut self, record: &Record) -> Result<(), redb::Error> {
        match record {
            Record::State(StateRecord { key, value: Some(value) }) => {
                self.state.insert(key.as_str(), value.as_ref())?;
            }
            Record::State(StateRecord { key, value: None }) => {
                self.state.remove(key.as_str())?;
            }
            received => {
                let next = self.received.last()?.map_or(0, |(last, _)| last.value().saturating_add(1));
                self.received.insert(next, received.to_octets().as_slice())?;
            }
        }
        Ok(())
    }

    /// The UID of an object, and whether it is new. `None`: the user has used up all of them.
    pub(super) fn keep_object(
        &mut self,
        object: &StoredObject,
    ) -> Result<(Option<ObjectUid>, bool), redb::Error> {
        let user = object.user.address_key();
        let way = way(object.direction);
        if let Some(replaced) = object.replaces
            && self.objects.get((user.as_str(), replaced.0.get()))?.is_some()
        {
            self.objects.insert((user.as_str(), replaced.0.get()), write_object(object).as_slice())?;
            return Ok((Some(replaced), true));
        }
        if let Some(id) = &object.message_id {
            let known = self.object_ids.get((user.as_str(), way, id.as_str()))?.map(|uid| uid.value());
            if let Some(uid) = known.and_then(NonZeroU32::new) {
                return Ok((Some(ObjectUid(uid)), false));
            }
        }
        let last = self.last_uids.get(user.as_str())?.map_or(0, |last| last.value());
        let Some(uid) = last.checked_add(1).and_then(NonZeroU32::new) else { return Ok((None, false)) };
        self.last_uids.insert(user.as_str(), uid.get())?;
        self.objects.insert((user.as_str(), uid.get()), write_object(object).as_slice())?;
        if let Some(id) = &object.message_id {
            self.object_ids.insert((user.as_str(), way, id.as_str()), uid.get())?;
        }
        Ok((Some(ObjectUid(uid)), true))
    }

    /// Sets the \Seen flag of what a user received; whether it was not set before.
    pub(super) fn mark_seen(&mut self, user: &str, message_id: &str) -> Result<bool, redb::Error> {
        let uid = self.object_ids.get((user, way(Direction::Received), message_id))?.map(|uid| uid.value());
        match uid {
            Some(uid) => Ok(self.seen.insert((user, uid), ())?.is_none()),
            None => Ok(false),
        }
    }

    /// An object of a user.
    pub(super) fn object(&self, user: &str, uid: u32) -> Result<Option<Kept>, redb::Error> {
        let Some(value) = self.objects.get((user, uid))? else { return Ok(None) };
        Ok(read_object(value.value()).ok())
    }

    #[cfg(test)]
    pub(super) fn is_seen(&self, user: &str, uid: u32) -> bool {
        self.seen.get((user, uid)).unwrap().is_some()
    }

    #[cfg(test)]
    pub(super) fn received(&self) -> u64 {
        redb::ReadableTableMetadata::len(&self.received).unwrap()
    }
}

const fn way(direction: Direction) -> u8 {
    match direction {
        Direction::Sent => 0,
        Direction::Received => 1,
    }
}

/// An object as it is kept: what a URL and a list of parts are made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) folder: String,
    /// The request.
    pub(super) object: Bytes,
}

fn write_object(object: &StoredObject) -> Vec<u8> {
    let mut record = RecordWriter::new(OBJECT_KIND, VERSION);
    let (kind, folder) = match &object.folder {
        Folder::Peer(peer) => (0, peer.as_str()),
        Folder::Group(conversation) => (1, conversation.as_str()),
        Folder::OfMessage(id) => (2, id.as_str()),
    };
    let what = match object.kind {
        ObjectKind::StandaloneMessage => 0,
        ObjectKind::Disposition => 1,
        _ => u8::MAX,
    };
    record
        .u8(kind)
        .text(folder)
        .u8(way(object.direction))
        .u8(what)
        .option(object.message_id.as_deref())
        .option(object.conversation.as_ref().map(ConversationId::as_str))
        .option(object.contribution.as_ref().map(ContributionId::as_str))
        .option(object.message_context.as_deref())
        .option(object.message_correlator.as_deref())
        .bytes(&object.object);
    record.finish()
}

fn read_object(octets: &[u8]) -> Result<Kept, RecordError> {
    let mut record = RecordReader::open(octets, OBJECT_KIND, VERSION, usize::MAX)?;
    let kind = record.u8()?;
    let folder = record.text()?;
    let folder = match kind {
        0 => folder.to_owned(),
        1 => format!("group/{folder}"),
        _ => format!("message/{folder}"),
    };
    record.u8()?;
    record.u8()?;
    for _ in 0..5 {
        record.option()?;
    }
    let object = Bytes::copy_from_slice(record.bytes()?);
    record.finish()?;
    Ok(Kept { folder, object })
}
