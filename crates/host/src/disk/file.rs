//! The file of a store: used behind a fence, and opened again after the system failed.

use super::lock;
use redb::Database;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a file that the system failed on is left alone before it is opened again.
const PAUSE: Duration = Duration::from_secs(1);

type Opener = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// What the library says.
    Error(redb::Error),
    /// The library asserts what it believes of its file, and that was not so; here is what it said. Nothing is to be tried any
    /// more.
    Panic(String),
}

enum State {
    Open(Database),
    /// The system failed; the library wants it opened anew.
    Closed {
        since: Instant,
    },
    /// Whatever the library left behind, nobody looks at it again.
    Broken(String),
}

/// A file with its opener.
pub(super) struct File {
    opener: Opener,
    state: Mutex<State>,
}

impl File {
    /// Opens it.
    pub(super) fn open(opener: Opener) -> Result<File, Fault> {
        let database = fenced(&opener)?;
        Ok(File { opener, state: Mutex::new(State::Open(database)) })
    }

    /// Does something with it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, Fault> {
        let mut state = lock(&self.state);
        if let State::Closed { since } = &*state {
            if since.elapsed() < PAUSE {
                return Err(Fault::Error(redb::Error::PreviousIo));
            }
            *state = match fenced(&self.opener) {
                Ok(database) => State::Open(database),
                Err(Fault::Error(error)) => {
                    *state = State::Closed { since: Instant::now() };
                    return Err(Fault::Error(error));
                }
                Err(Fault::Panic(why)) => State::Broken(why),
            };
        }
        let database = match &*state {
            State::Open(database) => database,
            State::Broken(why) => return Err(Fault::Panic(why.clone())),
            State::Closed { .. } => return Err(Fault::Error(redb::Error::PreviousIo)),
        };
        let done = fenced(|| work(database));
        match &done {
            // No space, no device: that may pass.
            Err(Fault::Error(redb::Error::Io(_) | redb::Error::PreviousIo)) => {
                let failed = std::mem::replace(&mut *state, State::Closed { since: Instant::now() });
                let _ = fenced(|| {
                    drop(failed);
                    Ok(())
                });
            }
            Err(Fault::Panic(why)) => {
                let failed = std::mem::replace(&mut *state, State::Broken(why.clone()));
                // Closing it would look at the same octets again.
                std::mem::forget(failed);
            }
            _ => {}
        }
        done
    }
}

fn fenced<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(Fault::Error),
        Err(why) => {
            let text =
                why.downcast_ref::<&str>().copied().or(why.downcast_ref::<String>().map(String::as_str));
            Err(Fault::Panic(text.unwrap_or("it does not hold what it says").to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::FileBackend;
    use redb::{ReadableDatabase, StorageBackend, TableDefinition};
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("t");

    /// A file on a disk that may be full.
    #[derive(Debug)]
    struct Disk(FileBackend, Arc<AtomicBool>);

    impl Disk {
        fn room(&self) -> io::Result<()> {
            match self.1.load(Ordering::SeqCst) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.room().and_then(|()| self.0.set_len(len))
        }
        fn sync_data(&self) -> io::Result<()> {
            self.room().and_then(|()| self.0.sync_data())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.room().and_then(|()| self.0.write(offset, data))
        }
        fn close(&self) -> io::Result<()> {
            self.0.close()
        }
    }

    fn put(file: &File, key: u64) -> Result<(), Fault> {
        file.with(|database| {
            let transaction = database.begin_write()?;
            transaction.open_table(TABLE)?.insert(key, key)?;
            transaction.commit()?;
            Ok(())
        })
    }

    fn has(file: &File, key: u64) -> bool {
        let found = file.with(|database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            Ok(redb::ReadableTable::get(&table, key)?.is_some())
        });
        found.unwrap()
    }

    #[test]
    fn a_disk_that_has_room_again_is_used_again() {
        let path = std::env::temp_dir().join(format!("cpm-file-{}.redb", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let full = Arc::new(AtomicBool::new(false));
        let (at, on) = (path.clone(), Arc::clone(&full));
        let opener: Opener = Box::new(move || {
            let mut options = std::fs::OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(&at)?;
            let backend = FileBackend::new(file)?;
            Ok(Database::builder().create_with_backend(Disk(backend, Arc::clone(&on)))?)
        });
        let file = File::open(opener).unwrap();
        put(&file, 1).unwrap();
        full.store(true, Ordering::SeqCst);
        assert!(matches!(put(&file, 2), Err(Fault::Error(_))));
        assert!(matches!(put(&file, 3), Err(Fault::Error(_))));
        full.store(false, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
        put(&file, 4).unwrap();
        assert_eq!([1, 2, 3, 4].map(|key| has(&file, key)), [true, false, false, true]);
        drop(file);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_panicked_once_is_left_alone() {
        let opener: Opener =
            Box::new(|| Ok(Database::builder().create_with_backend(redb::backends::InMemoryBackend::new())?));
        let file = File::open(opener).unwrap();
        put(&file, 1).unwrap();
        let why = file.with::<()>(|_| panic!("no such page"));
        assert!(matches!(why, Err(Fault::Panic(why)) if why == "no such page"));
        assert!(matches!(put(&file, 2), Err(Fault::Panic(why)) if why == "no such page"));
    }
}
