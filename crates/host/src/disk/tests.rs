use super::*;
use crate::disk::tables::Tables;
use bytes::Bytes;
use cpm_core::outside::{Direction, Folder, ObjectKind, ObjectUid, StoredObject};
use cpm_core::{ReceivedRecord, StateRecord};
use cpm_sip::Uri;

/// A directory that goes with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("cpm-disk-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("store.redb")
    }

    fn open(&self) -> DiskStore {
        DiskStore::open(&self.file(), "store.test", DiskLimits::default()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn state(key: &str, value: &'static [u8]) -> Record {
    Record::State(StateRecord::put(key, value))
}

fn received(id: &str) -> Record {
    Record::Received(ReceivedRecord {
        sender: "sip:alice@home.test".to_owned(),
        message_id: Some(id.to_owned()),
        cpim: Bytes::from_static(b"\0octets\r\n"),
        ..ReceivedRecord::default()
    })
}

fn bob() -> Uri {
    Uri::parse("sip:bob@home.test").unwrap()
}

const REQUEST: &str = "MESSAGE sip:bob@home.test SIP/2.0\r\n\
Via: SIP/2.0/UDP a.test;branch=z9hG4bKa\r\nFrom: <sip:alice@home.test>;tag=1\r\nTo: <sip:bob@home.test>\r\n\
Call-ID: c\r\nCSeq: 1 MESSAGE\r\nContent-Type: message/cpim\r\n\r\n\
From: <sip:alice@home.test>\r\nTo: <sip:bob@home.test>\r\n\r\n\
Content-Type: multipart/mixed;boundary=b\r\n\r\n\
--b\r\nContent-Type: text/plain\r\n\r\nlook\r\n\
--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n--b--\r\n";

fn object(direction: Direction, id: Option<&str>, octets: &'static str) -> StoredObject {
    StoredObject {
        user: bob(),
        folder: Folder::Peer("tel:+1 555".to_owned()),
        direction,
        kind: ObjectKind::StandaloneMessage,
        message_id: id.map(str::to_owned),
        conversation: None,
        contribution: None,
        message_context: None,
        message_correlator: None,
        replaces: None,
        object: Bytes::from_static(octets.as_bytes()),
    }
}

async fn keep(store: &mut DiskStore, object: StoredObject) -> u32 {
    match store.ask(Query::StoreObject(Box::new(object))).await {
        Reply::ObjectStored(Ok(uid)) => uid.0.get(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_kept_stands_after_a_restart() {
    let scratch = Scratch::new("stands");
    let mut store = scratch.open();
    for record in [
        state("b", b"1"),
        received("m1"),
        state("a", b"2"),
        state("b", b"3"),
        received("m2"),
        state("c", b"4"),
        Record::State(StateRecord::remove("c")),
        Record::State(StateRecord::remove("never")),
    ] {
        assert_eq!(store.store(record).await, Ok(()));
    }
    let stands = vec![received("m1"), received("m2"), state("a", b"2"), state("b", b"3")];
    assert_eq!(store.records().unwrap(), stands);
    store.close();
    assert_eq!(store.store(state("a", b"late")).await, Err(StoreError::Failed));
    drop(store);
    assert_eq!(scratch.open().records().unwrap(), stands);
}

/// The file as it was on disk in the middle of everything is what a killed process leaves.
#[tokio::test]
async fn what_was_confirmed_is_there_after_a_crash() {
    let scratch = Scratch::new("crash");
    let mut store = scratch.open();
    for round in 0..20_u8 {
        assert_eq!(store.store(state(&format!("key {round}"), b"value")).await, Ok(()));
        assert_eq!(keep(&mut store, object(Direction::Received, None, REQUEST)).await, u32::from(round) + 1);
        let copy = scratch.0.join(format!("copy-{round}"));
        std::fs::copy(scratch.file(), &copy).unwrap();
        let after = DiskStore::open(&copy, "store.test", DiskLimits::default()).unwrap();
        assert_eq!(after.records().unwrap().len(), usize::from(round) + 1);
        assert_eq!(after.objects(&bob()).unwrap(), u64::from(round) + 1);
        after.close();
    }
}

#[tokio::test]
async fn many_at_once_share_transactions() {
    let scratch = Scratch::new("many");
    let store = scratch.open();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let mut store = store.clone();
        tasks.spawn(async move {
            let waiting: Vec<Storing> = (0..100)
                .map(|index| {
                    store.store(state(Box::leak(format!("{task}/{index:03}").into_boxed_str()), b"x"))
                })
                .collect();
            for one in waiting {
                assert_eq!(one.await, Ok(()));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(store.records().unwrap().len(), 800);
    let [(_, commits), (_, works), (_, failed), (_, refused), _] = store.counters();
    assert_eq!((works, failed, refused), (800, 0, 0));
    assert!(commits < 400, "{commits} transactions");
    store.close();
}

#[tokio::test]
async fn an_object_is_kept_once_and_named_by_its_uid() {
    let scratch = Scratch::new("objects");
    let mut store = scratch.open();
    assert_eq!(keep(&mut store, object(Direction::Received, Some("m1"), REQUEST)).await, 1);
    assert_eq!(keep(&mut store, object(Direction::Sent, Some("m1"), REQUEST)).await, 2);
    assert_eq!(keep(&mut store, object(Direction::Received, Some("m1"), "something else")).await, 1);
    assert_eq!(keep(&mut store, object(Direction::Received, None, REQUEST)).await, 3);
    // What it holds is what came first, whatever comes under its name, unless that takes its place.
    let whole = async |url: &str| {
        let query = Query::Fetch { user: bob(), url: url.to_owned() };
        match store.clone().ask(query).await {
            Reply::Fetched(Ok(object)) => object.octets,
            other => panic!("{other:?}"),
        }
    };
    let uid = ObjectUid(1.try_into().unwrap());
    let url = match store.clone().ask(Query::BodyStructure { user: bob(), uid }).await {
        Reply::BodyStructure(Ok(structure)) => structure.url,
        other => panic!("{other:?}"),
    };
    assert_eq!(whole(&url).await, REQUEST.as_bytes());
    let marked =
        StoredObject { replaces: Some(uid), ..object(Direction::Received, Some("m1"), "something else") };
    assert_eq!(keep(&mut store.clone(), marked).await, 1);
    assert_eq!(whole(&url).await, "something else");
    // Nobody has this one: it is an object like others.
    let uid = ObjectUid(77.try_into().unwrap());
    let lost = StoredObject { replaces: Some(uid), ..object(Direction::Received, Some("m1"), REQUEST) };
    assert_eq!(keep(&mut store.clone(), lost).await, 1);
    let other = StoredObject {
        user: Uri::parse("tel:+15550001").unwrap(),
        ..object(Direction::Received, Some("m1"), REQUEST)
    };
    assert_eq!(keep(&mut store, other).await, 1);
    assert_eq!(store.objects(&bob()).unwrap(), 3);
    store.close();
    drop(store);
    // Also after a restart.
    let mut store = scratch.open();
    assert_eq!(keep(&mut store, object(Direction::Received, Some("m1"), REQUEST)).await, 1);
    assert_eq!(keep(&mut store, object(Direction::Received, Some("m2"), REQUEST)).await, 4);
}

#[tokio::test]
async fn parts_are_told_and_fetched() {
    let scratch = Scratch::new("parts");
    let mut store = scratch.open();
    let uid = keep(&mut store, object(Direction::Received, Some("m1"), REQUEST)).await;
    let uid = ObjectUid(uid.try_into().unwrap());
    let structure = match store.ask(Query::BodyStructure { user: bob(), uid }).await {
        Reply::BodyStructure(Ok(structure)) => structure,
        other => panic!("{other:?}"),
    };
    assert!(structure.url.starts_with("imap://bob@store.test/tel%3A%2B1%20555;UIDVALIDITY="));
    assert!(structure.url.ends_with("/;UID=1"), "{}", structure.url);
    let parts: Vec<(&str, &str, u64)> = structure
        .parts
        .iter()
        .map(|part| (part.section.as_str(), part.content_type.as_str(), part.octets))
        .collect();
    assert_eq!(parts, [("1", "text/plain", 4), ("2", "image/png", 8)]);

    let mut fetch = async |user: Uri, url: String| match store.ask(Query::Fetch { user, url }).await {
        Reply::Fetched(fetched) => fetched.map(|object| (object.content_type, object.octets)),
        other => panic!("{other:?}"),
    };
    let url = structure.url;
    let png = ("image/png".to_owned(), Bytes::from_static(b"\x89PNG"));
    assert_eq!(fetch(bob(), format!("{url}/;SECTION=2")).await, Ok(png));
    let whole = fetch(bob(), url.clone()).await.unwrap();
    assert_eq!(whole.1, REQUEST.as_bytes());
    use cpm_core::outside::FetchError;
    assert_eq!(fetch(bob(), format!("{url}/;SECTION=3")).await, Err(FetchError::NotFound));
    assert_eq!(fetch(bob(), url.replace("UID=1", "UID=9")).await, Err(FetchError::NotFound));
    assert_eq!(fetch(bob(), url.replace("store.test", "other.test")).await, Err(FetchError::NotFound));
    assert_eq!(fetch(bob(), "http://store.test/".to_owned()).await, Err(FetchError::NotFound));
    let alice = Uri::parse("sip:alice@home.test").unwrap();
    assert_eq!(fetch(alice, url).await, Err(FetchError::Forbidden));
}

#[tokio::test]
async fn what_was_received_is_marked_seen() {
    let scratch = Scratch::new("seen");
    let mut store = scratch.open();
    keep(&mut store, object(Direction::Sent, Some("m1"), REQUEST)).await;
    keep(&mut store, object(Direction::Received, Some("m1"), REQUEST)).await;
    for id in ["m1", "m1", "unknown"] {
        let seen = Query::MarkSeen { user: bob(), message_id: id.to_owned() };
        assert_eq!(store.ask(seen).await, Reply::Stored(Ok(())));
    }
    let checked = store.file.with(|database| {
        let transaction = database.begin_write()?;
        let tables = Tables::open(&transaction)?;
        let key = bob().address_key();
        assert!(tables.is_seen(&key, 2) && !tables.is_seen(&key, 1));
        assert_eq!(tables.received(), 0);
        Ok(())
    });
    assert!(checked.is_ok());
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let scratch = Scratch::new("bad");
    let open = |limits| DiskStore::open(&scratch.file(), "store.test", limits).map(|_| ());
    let text = |result: Result<(), DiskError>| result.unwrap_err().to_string();
    std::fs::write(scratch.file(), b"This is no store at all, but some text of a user.".repeat(100)).unwrap();
    let error = text(open(DiskLimits::default()));
    assert!(error.contains("it is damaged, or no store of this program"), "{error}");
    assert!(error.contains("store.redb"), "{error}");
    std::fs::remove_file(scratch.file()).unwrap();

    let store = scratch.open();
    let error = text(open(DiskLimits::default()));
    assert!(error.ends_with("another program uses it"), "{error}");
    store.close();
    drop(store);
    assert!(open(DiskLimits::default()).is_ok());
    let error = text(open(DiskLimits { max_waiting: 0, ..DiskLimits::default() }));
    assert!(error.ends_with("disk.max_waiting may not be zero"), "{error}");
    let nowhere = scratch.0.join("no/such/directory/store");
    let error = DiskStore::open(&nowhere, "store.test", DiskLimits::default()).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

/// A damaged file is found out, whatever was damaged, or the damage touched nothing that stands; never a panic.
#[test]
fn damage_is_found_out() {
    let scratch = Scratch::new("damage");
    let mut store = scratch.open();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for index in 0..50 {
            store.store(received(&format!("m{index}"))).await.unwrap();
        }
    });
    store.close();
    drop(store);
    let whole = std::fs::read(scratch.file()).unwrap();
    let copy = scratch.0.join("copy");
    let mut refused = 0;
    for step in 0..40 {
        let mut octets = whole.clone();
        let at = octets.len() * step / 40;
        for octet in &mut octets[at..][..64] {
            *octet ^= 0x5a;
        }
        std::fs::write(&copy, &octets).unwrap();
        match DiskStore::open(&copy, "store.test", DiskLimits::default()) {
            Ok(store) => {
                drop(store.records().map(|records| assert!(records.len() <= 50)));
                store.close();
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("it is damaged") || error.contains("its format"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    std::fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
    let cut = DiskStore::open(&copy, "store.test", DiskLimits::default());
    assert!(cut.is_err() || cut.unwrap().records().is_err());
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_refused() {
    let scratch = Scratch::new("limits");
    let limits = DiskLimits { max_record: 100, max_file: 1, ..DiskLimits::default() };
    let mut store = DiskStore::open(&scratch.file(), "store.test", limits).unwrap();
    assert_eq!(store.store(state("a", b"1")).await, Err(StoreError::Full));
    // What takes out is still done.
    assert_eq!(store.store(Record::State(StateRecord::remove("a"))).await, Ok(()));
    store.close();
    drop(store);
    let limits = DiskLimits { max_record: 4, ..DiskLimits::default() };
    let mut store = DiskStore::open(&scratch.file(), "store.test", limits).unwrap();
    assert_eq!(store.store(state("a", b"1234")).await, Ok(()));
    assert_eq!(store.store(state("b", b"12345")).await, Err(StoreError::Full));
    assert_eq!(store.records().unwrap().len(), 1);
}

/// Damage that shows only when something is written: the library panics then. Whoever waits hears that it failed, and so does
/// all that comes later; nothing hangs, also not the end.
#[test]
fn damage_that_shows_late_ends_nothing_else() {
    let scratch = Scratch::new("late");
    let mut store = scratch.open();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let soon = std::time::Duration::from_secs(20);
    runtime.block_on(async {
        let many: Vec<Storing> = (0..400).map(|n| store.store(received(&format!("m{n}")))).collect();
        for one in many {
            one.await.unwrap();
        }
        store.store(state("a", b"value")).await.unwrap();
    });
    store.close();
    drop(store);
    let whole = std::fs::read(scratch.file()).unwrap();
    let copy = scratch.0.join("copy");
    let mut broken = 0;
    // The places of a page that say what is in it.
    for at in (4_096..whole.len()).step_by(4_096).flat_map(|page| [page + 32, page + 256, page + 1_024]) {
        let mut octets = whole.clone();
        for octet in &mut octets[at..][..16] {
            *octet ^= 0x5a;
        }
        std::fs::write(&copy, &octets).unwrap();
        let limits = DiskLimits { cache: 1, ..DiskLimits::default() };
        let Ok(mut store) = DiskStore::open(&copy, "store.test", limits) else { continue };
        for record in [received("more"), state("a", b"other"), state("b", b"more")] {
            let was_broken = store.is_broken();
            let stored = runtime.block_on(async { tokio::time::timeout(soon, store.store(record)).await });
            let stored = stored.expect("it is answered");
            assert!(!was_broken || stored == Err(StoreError::Failed));
        }
        if store.is_broken() {
            broken += 1;
            assert_eq!(store.counters()[4], ("store.broken", 1));
            drop(store.records());
        }
        store.close();
    }
    assert!(broken > 0, "no damage showed late");
}
