//! A store on disk: records of nodes, and the message stores of users, in one file (redb: copy-on-write trees with
//! checksums, one writer, a commit is on disk when it returns).
//!
//! One thread writes. What waits for it when it comes round goes into one transaction, so that a busy node pays for one
//! `fsync` per round and not per record. Nothing is said to be kept before the transaction is on disk.

mod file;
mod objects;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use crate::{Asking, Outside, Store, Storing};
use cpm_core::{Query, Record, Reply, StoreError};
use file::{Fault, File};
use redb::Database;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use writer::{Job, Work, Writer};

/// Bounds of a [`DiskStore`]. None may be zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskLimits {
    /// Octets of the file from which on nothing more is taken in but what replaces or takes out. Default 8 GiB.
    pub max_file: u64,
    /// Octets of one record or object at most. Default 16 MiB.
    pub max_record: usize,
    /// What waits for the writer at most; more of it is refused. Default 4,096.
    pub max_waiting: usize,
    /// Octets of the file that are kept in memory. Default 16 MiB.
    pub cache: usize,
}

impl Default for DiskLimits {
    fn default() -> Self {
        DiskLimits { max_file: 8 << 30, max_record: 16 << 20, max_waiting: 4_096, cache: 16 << 20 }
    }
}

/// Why a store cannot be used.
#[derive(Debug)]
pub struct DiskError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    /// Another process has it open.
    InUse,
    /// It is no store, or damaged: what the library says.
    Damaged(String),
    /// It was written by something newer, or older than can be read.
    Format(u64),
    /// The system says no.
    System(io::Error),
    /// A limit is zero.
    Limit(&'static str),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store {}: ", self.path.display())?;
        match &self.why {
            Why::InUse => f.write_str("another program uses it"),
            Why::Damaged(what) => write!(f, "it is damaged, or no store of this program ({what})"),
            Why::Format(format) => write!(f, "its format {format} is not known to this program"),
            Why::System(error) => write!(f, "{error}"),
            Why::Limit(limit) => write!(f, "{limit} may not be zero"),
        }
    }
}

impl std::error::Error for DiskError {}

impl DiskError {
    fn of(path: &Path, fault: Fault) -> Self {
        let error = match fault {
            Fault::Error(error) => error,
            // What it says is for who knows its insides.
            Fault::Panic(_) => {
                let what = "it does not hold what it says".to_owned();
                return DiskError { path: path.to_owned(), why: Why::Damaged(what) };
            }
        };
        let why = match error {
            redb::Error::DatabaseAlreadyOpen => Why::InUse,
            redb::Error::UpgradeRequired(format) => Why::Format(u64::from(format)),
            redb::Error::Io(error)
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Why::Damaged(error.to_string())
            }
            redb::Error::Io(error) => Why::System(error),
            other => Why::Damaged(other.to_string()),
        };
        DiskError { path: path.to_owned(), why }
    }
}

/// What a store did.
#[derive(Debug, Default)]
struct Counts {
    commits: AtomicU64,
    works: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    /// 1 from when the library found its file damaged while it wrote.
    broken: AtomicU64,
    /// 1 while the last transaction failed.
    failing: AtomicU64,
}

/// A store on disk. Copies are the same store; the file is closed when [`DiskStore::close`] returns, or some time after
/// the last copy is gone.
#[derive(Clone)]
pub struct DiskStore {
    path: PathBuf,
    file: Arc<File>,
    queue: SyncSender<Job>,
    writer: Arc<Mutex<Option<JoinHandle<()>>>>,
    counts: Arc<Counts>,
}

impl fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskStore({})", self.path.display())
    }
}

impl DiskStore {
    /// Opens a store, or makes one where there is no file. `host` is the name of the message store in URLs of objects.
    ///
    /// A file that was not closed, since its process was killed, is put in order: it is as after the last transaction.
    ///
    /// # Errors
    /// The file is in use, damaged, of another format, or the system does not let us.
    pub fn open(path: &Path, host: &str, limits: DiskLimits) -> Result<DiskStore, DiskError> {
        let fault = |why| DiskError { path: path.to_owned(), why };
        for (limit, value) in [
            ("disk.max_record", limits.max_record),
            ("disk.max_waiting", limits.max_waiting),
            ("disk.cache", limits.cache),
            ("disk.max_file", usize::try_from(limits.max_file).unwrap_or(usize::MAX)),
        ] {
            if value == 0 {
                return Err(fault(Why::Limit(limit)));
            }
        }
        let (at, cache) = (path.to_owned(), limits.cache);
        let opened =
            File::open(Box::new(move || Ok(Database::builder().set_cache_size(cache).create(&at)?)));
        let opened = opened.and_then(|file| Ok((file.with(tables::prepare)?, file)));
        let (prepared, file) = opened.map_err(|why| DiskError::of(path, why))?;
        let validity = match prepared {
            tables::Prepared::Ready { validity } => validity,
            tables::Prepared::Format(format) => return Err(fault(Why::Format(format))),
        };
        let file = Arc::new(file);
        let counts = Arc::new(Counts::default());
        let (queue, jobs) = sync_channel(limits.max_waiting);
        let writer = Writer {
            file: Arc::clone(&file),
            path: path.to_owned(),
            place: objects::Place { host: host.to_owned(), validity },
            limits,
            counts: Arc::clone(&counts),
        };
        let thread = std::thread::Builder::new()
            .name("cpm-store".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(|error| fault(Why::System(error)))?;
        let writer = Arc::new(Mutex::new(Some(thread)));
        Ok(DiskStore { path: path.to_owned(), file, queue, writer, counts })
    }

    /// What stands: received messages in their order, then the state of nodes by name, as [`cpm_core::standing`] gives it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, DiskError> {
        self.read(tables::records)
    }

    /// Objects in the message store of a user.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn objects(&self, user: &cpm_sip::Uri) -> Result<u64, DiskError> {
        self.read(|database| tables::objects_of(database, &user.address_key()))
    }

    fn read<T>(&self, read: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, DiskError> {
        self.file.with(read).map_err(|why| DiskError::of(&self.path, why))
    }

    /// Whether the file turned out to be damaged while the store was used. All that is asked of it fails from then on; what
    /// was confirmed before is in the file, as far as that can be read.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.counts.broken.load(Ordering::Relaxed) > 0
    }

    /// Whether the last thing that was to be kept was not, since the system failed: no space, no device. The file is tried
    /// again, at most once a second.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.counts.failing.load(Ordering::Relaxed) > 0
    }

    /// Counters by name: transactions, what was done in them, what failed, what was refused because too much waited,
    /// whether it [is broken](Self::is_broken).
    #[must_use]
    pub fn counters(&self) -> [(&'static str, u64); 5] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("store.commits", of(&self.counts.commits)),
            ("store.works", of(&self.counts.works)),
            ("store.failed", of(&self.counts.failed)),
            ("store.refused", of(&self.counts.refused)),
            ("store.broken", of(&self.counts.broken)),
        ]
    }

    /// Ends the writer after what it was given, and waits for it. What comes later fails.
    pub fn close(&self) {
        let thread = lock(&self.writer).take();
        if let Some(thread) = thread {
            // A writer that has ended needs not be told.
            let _ = self.queue.send(Job { work: Work::End, done: None });
            let _ = thread.join();
        }
    }

    /// Hands work to the writer; `Err`: too much waits, or it has ended.
    fn hand_over(&self, work: Work) -> Result<oneshot::Receiver<Reply>, StoreError> {
        let (done, answer) = oneshot::channel();
        match self.queue.try_send(Job { work, done: Some(done) }) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                Err(StoreError::Full)
            }
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Failed),
        }
    }
}

/// What a thread that panicked left is as good as before: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for DiskStore {
    fn store(&mut self, record: Record) -> Storing {
        let waiting = self.hand_over(Work::Keep(record));
        Box::pin(async move {
            match waiting?.await {
                Ok(Reply::Stored(result)) => result,
                _ => Err(StoreError::Failed),
            }
        })
    }
}

/// The store is the message store of all users; what is no question to one stays unanswered.
impl Outside for DiskStore {
    fn ask(&mut self, query: Query) -> Asking {
        let otherwise = query.unanswered();
        let work = match query {
            Query::StoreObject(object) => Work::KeepObject(object),
            Query::MarkSeen { user, message_id } => Work::MarkSeen { user, message_id },
            Query::BodyStructure { user, uid } => Work::BodyStructure { user, uid },
            Query::Fetch { user, url } => Work::Fetch { user, url },
            _ => return Box::pin(std::future::ready(otherwise)),
        };
        let waiting = self.hand_over(work);
        Box::pin(async move {
            match waiting {
                Ok(waiting) => waiting.await.unwrap_or(otherwise),
                Err(error) => match otherwise {
                    Reply::Stored(_) => Reply::Stored(Err(error)),
                    Reply::ObjectStored(_) => Reply::ObjectStored(Err(error)),
                    other => other,
                },
            }
        })
    }
}
