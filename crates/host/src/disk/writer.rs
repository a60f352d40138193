//! The thread that writes: takes what waits, does it in one transaction, and says so when that is on disk.

use super::file::{Fault, File};
use super::objects::Place;
use super::tables::Tables;
use super::{Counts, DiskLimits};
use cpm_core::outside::{FetchError, FetchedObject, ObjectUid, StoredObject};
use cpm_core::{Record, Reply, StoreError};
use cpm_sip::Uri;
use redb::Database;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use tokio::sync::oneshot;

/// What goes into one transaction at most.
const AT_ONCE: usize = 1_024;

/// Something to be done.
pub(super) enum Work {
    Keep(Record),
    KeepObject(Box<StoredObject>),
    MarkSeen {
        user: Uri,
        message_id: String,
    },
    BodyStructure {
        user: Uri,
        uid: ObjectUid,
    },
    Fetch {
        user: Uri,
        url: String,
    },
    /// Nothing more comes.
    End,
}

impl Work {
    /// What is said when it could not be done.
    fn failed(&self, error: StoreError) -> Reply {
        match self {
            Work::Keep(_) | Work::MarkSeen { .. } | Work::End => Reply::Stored(Err(error)),
            Work::KeepObject(_) => Reply::ObjectStored(Err(error)),
            Work::BodyStructure { .. } => Reply::BodyStructure(Err(FetchError::Failed)),
            Work::Fetch { .. } => Reply::Fetched(Err(FetchError::Failed)),
        }
    }

    /// Octets that it would add.
    fn adds(&self) -> usize {
        match self {
            Work::Keep(Record::Received(received)) => received.cpim.len(),
            Work::Keep(Record::State(state)) => state.value.as_ref().map_or(0, |value| value.len()),
            Work::KeepObject(object) => object.object.len(),
            _ => 0,
        }
    }
}

pub(super) struct Job {
    pub(super) work: Work,
    pub(super) done: Option<oneshot::Sender<Reply>>,
}

pub(super) struct Writer {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) place: Place,
    pub(super) limits: DiskLimits,
    pub(super) counts: Arc<Counts>,
}

impl Writer {
    /// Works until it is told to end or nobody can tell it anything any more.
    pub(super) fn run(self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut batch = vec![first];
            while batch.len() < AT_ONCE
                && let Ok(next) = jobs.try_recv()
            {
                batch.push(next);
            }
            let ends = batch.iter().any(|job| matches!(job.work, Work::End));
            self.batch(batch);
            if ends {
                return;
            }
        }
    }

    fn batch(&self, batch: Vec<Job>) {
        let replies = self.attempt(&batch).unwrap_or_else(|| {
            count(&self.counts.failed, batch.len());
            batch.iter().map(|job| job.work.failed(StoreError::Failed)).collect()
        });
        count(&self.counts.works, batch.len());
        for (job, reply) in batch.into_iter().zip(replies) {
            if let Some(done) = job.done {
                // Whoever asked may have gone; it is kept all the same.
                let _ = done.send(reply);
            }
        }
    }

    /// All of a batch, or nothing. What is wrong is logged when it begins and when it ends.
    fn attempt(&self, batch: &[Job]) -> Option<Vec<Reply>> {
        let full = std::fs::metadata(&self.path).is_ok_and(|file| file.len() >= self.limits.max_file);
        let done = self.file.with(|database| self.transaction(database, batch, full));
        let store = self.path.display();
        match done {
            Ok(replies) => {
                if self.counts.failing.swap(0, Ordering::Relaxed) > 0 {
                    tracing::warn!(%store, "the store works again");
                }
                Some(replies)
            }
            Err(Fault::Error(error)) => {
                if self.counts.failing.swap(1, Ordering::Relaxed) == 0 {
                    tracing::error!(%store, %error, "the store failed: nothing is kept until it works again");
                }
                None
            }
            Err(Fault::Panic(why)) => {
                if self.counts.broken.swap(1, Ordering::Relaxed) == 0 {
                    let what =
                        "the store is damaged: nothing more is kept or fetched; begin with another file";
                    tracing::error!(%store, why, what);
                }
                None
            }
        }
    }

    /// All of a batch, or nothing.
    fn transaction(&self, database: &Database, batch: &[Job], full: bool) -> Result<Vec<Reply>, redb::Error> {
        let transaction = database.begin_write()?;
        let mut changed = false;
        let replies = {
            let mut tables = Tables::open(&transaction)?;
            let mut replies = Vec::with_capacity(batch.len());
            for job in batch {
                let adds = job.work.adds();
                let reply = if adds > self.limits.max_record || (full && adds > 0) {
                    job.work.failed(StoreError::Full)
                } else {
                    let (reply, did) = self.work(&mut tables, &job.work)?;
                    changed |= did;
                    reply
                };
                replies.push(reply);
            }
            replies
        };
        if changed {
            transaction.commit()?;
            count(&self.counts.commits, 1);
        } else {
            transaction.abort()?;
        }
        Ok(replies)
    }

    /// Does one thing, and says whether that changed something.
    fn work(&self, tables: &mut Tables<'_>, work: &Work) -> Result<(Reply, bool), redb::Error> {
        Ok(match work {
            Work::Keep(record) => {
                tables.keep(record)?;
                (Reply::Stored(Ok(())), true)
            }
            Work::KeepObject(object) => {
                let (uid, new) = tables.keep_object(object)?;
                (Reply::ObjectStored(uid.ok_or(StoreError::Full)), new)
            }
            Work::MarkSeen { user, message_id } => {
                let new = tables.mark_seen(&user.address_key(), message_id)?;
                (Reply::Stored(Ok(())), new)
            }
            Work::BodyStructure { user, uid } => {
                let object = tables.object(&user.address_key(), uid.0.get())?;
                let found = object.ok_or(FetchError::NotFound);
                (
                    Reply::BodyStructure(found.and_then(|object| self.place.structure(user, *uid, &object))),
                    false,
                )
            }
            Work::Fetch { user, url } => (Reply::Fetched(self.fetch(tables, user, url)?), false),
            Work::End => (Reply::Stored(Ok(())), false),
        })
    }

    fn fetch(
        &self,
        tables: &Tables<'_>,
        user: &Uri,
        url: &str,
    ) -> Result<Result<FetchedObject, FetchError>, redb::Error> {
        let asked = match self.place.read_url(user, url) {
            Ok(asked) => asked,
            Err(error) => return Ok(Err(error)),
        };
        let Some(object) = tables.object(&user.address_key(), asked.uid)? else {
            return Ok(Err(FetchError::NotFound));
        };
        Ok(asked.of(&object))
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}
