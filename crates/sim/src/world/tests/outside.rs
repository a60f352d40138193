use super::*;
use cpm_core::StateRecord;
use cpm_core::outside::{
    Direction, FetchError, FetchedObject, Folder, ObjectKind, ObjectUid, Preferences, StoredObject,
};
use cpm_sip::Uri;
use std::num::NonZeroU32;
use std::sync::Arc;

fn bob() -> Uri {
    Uri::parse("sip:bob@home.test").unwrap()
}

fn ask(world: &mut World<String>, node: NodeId, query: Query) -> Option<Reply> {
    let before = peer(world, node).replies.len();
    act(world, node, Action::Query(QueryId(9), query));
    world.run_for(Duration::from_millis(5)).unwrap();
    peer(world, node).replies.get(before).cloned()
}

fn object(message_id: &str, direction: Direction, body: &str) -> StoredObject {
    let request = format!(
        "MESSAGE sip:bob@home.test SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:bob@home.test>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Type: message/cpim\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    StoredObject {
        user: bob(),
        folder: Folder::Peer("sip:a@b".to_owned()),
        direction,
        kind: ObjectKind::StandaloneMessage,
        message_id: Some(message_id.to_owned()),
        conversation: None,
        contribution: None,
        message_context: None,
        message_correlator: None,
        replaces: None,
        object: Bytes::from(request),
    }
}

fn store(message_id: &str, direction: Direction) -> Query {
    Query::StoreObject(Box::new(object(message_id, direction, "")))
}

fn uid(number: u32) -> ObjectUid {
    ObjectUid(NonZeroU32::new(number).unwrap())
}

#[test]
fn preferences_are_of_a_user_of_a_node() {
    let (mut world, a, b) = pair(1, Link::perfect());
    let wished = Preferences { blacklist: ["sip:eve@home.test".to_owned()].into(), ..Preferences::default() };
    world.set_preferences(a, &bob(), wished.clone());
    let same = Uri::parse("sip:bob@HOME.test;transport=tcp").unwrap();
    assert_eq!(ask(&mut world, a, Query::Preferences(same)), Some(Reply::Preferences(Ok(Arc::new(wished)))));
    assert_eq!(ask(&mut world, b, Query::Preferences(bob())), Some(Reply::Preferences(Ok(Arc::default()))));
}

#[test]
fn an_object_has_one_uid_and_outlives_a_crash() {
    let (mut world, a, b) = pair(1, Link::perfect());
    let stored = |number| Some(Reply::ObjectStored(Ok(uid(number))));
    assert_eq!(ask(&mut world, a, store("m1", Direction::Received)), stored(1));
    assert_eq!(ask(&mut world, a, store("m2", Direction::Received)), stored(2));
    assert_eq!(ask(&mut world, a, store("m1", Direction::Sent)), stored(3), "another way, another object");
    world.crash(a);
    world.restart_machine(a, Box::new(Peer::default()));
    assert_eq!(ask(&mut world, a, store("m1", Direction::Received)), stored(1), "the same object");
    assert_eq!((world.objects(a).len(), world.objects(b).len()), (3, 0));
    // Another with its name leaves it as it is; one that says so takes its place.
    let other = object("m1", Direction::Received, "other");
    assert_eq!(ask(&mut world, a, Query::StoreObject(Box::new(other.clone()))), stored(1));
    assert_ne!(world.objects(a)[0].object.object, other.object);
    let other = StoredObject { replaces: Some(uid(1)), ..other };
    assert_eq!(ask(&mut world, a, Query::StoreObject(Box::new(other.clone()))), stored(1));
    assert_eq!((world.objects(a).len(), &world.objects(a)[0].object.object), (3, &other.object));

    let seen = |message_id: &str| Query::MarkSeen { user: bob(), message_id: message_id.to_owned() };
    assert_eq!(ask(&mut world, a, seen("m2")), Some(Reply::Stored(Ok(()))));
    assert_eq!(ask(&mut world, a, seen("nobody's")), Some(Reply::Stored(Ok(()))));
    assert_eq!(world.objects(a).iter().map(|kept| kept.seen).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn the_parts_of_an_object_are_known() {
    let (mut world, a, _) = pair(1, Link::perfect());
    let cpim = "From: <sip:a@b>\r\nTo: <sip:bob@home.test>\r\n\r\n";
    let plain = format!("{cpim}Content-Type: text/plain\r\n\r\nhello");
    let mixed = format!(
        "{cpim}Content-Type: multipart/mixed;boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
         --x\r\nContent-Type: image/png\r\n\r\npicture\r\n--x--\r\n"
    );
    for (number, (body, parts)) in [
        (plain, vec![("1", "text/plain", 5)]),
        (mixed, vec![("1.1", "text/plain", 5), ("1.2", "image/png", 7)]),
    ]
    .into_iter()
    .enumerate()
    {
        let object = object(&number.to_string(), Direction::Received, &body);
        let Some(Reply::ObjectStored(Ok(uid))) = ask(&mut world, a, Query::StoreObject(Box::new(object)))
        else {
            panic!("it is kept")
        };
        let reply = ask(&mut world, a, Query::BodyStructure { user: bob(), uid });
        let Some(Reply::BodyStructure(Ok(structure))) = reply else { panic!("{reply:?}") };
        let of = |part: &cpm_core::outside::BodyPart| {
            (part.section.clone(), part.content_type.clone(), part.octets)
        };
        let expected: Vec<_> = parts
            .into_iter()
            .map(|(section, kind, octets)| (section.to_owned(), kind.to_owned(), octets))
            .collect();
        assert_eq!(structure.parts.iter().map(of).collect::<Vec<_>>(), expected);
        assert_eq!(structure.url, format!("imap://bob@store.test/messages;UIDVALIDITY=1/;UID={}", uid.0));
    }
    let nothing = ask(&mut world, a, Query::BodyStructure { user: bob(), uid: uid(77) });
    assert_eq!(nothing, Some(Reply::BodyStructure(Err(FetchError::NotFound))));
}

#[test]
fn what_lies_behind_a_url_is_fetched_for_its_user() {
    let (mut world, a, _) = pair(1, Link::perfect());
    let octets = FetchedObject { content_type: "image/png".to_owned(), octets: Bytes::from_static(b"png") };
    world.set_behind_url(a, &bob(), "imap://store/1", octets.clone());
    let fetch =
        |user: &str| Query::Fetch { user: Uri::parse(user).unwrap(), url: "imap://store/1".to_owned() };
    assert_eq!(ask(&mut world, a, fetch("sip:bob@home.test")), Some(Reply::Fetched(Ok(octets))));
    let other = ask(&mut world, a, fetch("sip:eve@home.test"));
    assert_eq!(other, Some(Reply::Fetched(Err(FetchError::NotFound))));
}

#[test]
fn each_kind_of_query_fails_as_it_is_told() {
    let (mut world, a, _) = pair(1, Link::perfect());
    world.fail_queries(
        a,
        QueryKind::StoreObject,
        &[
            QueryFault::Store(StoreError::Full),
            QueryFault::Lost,
            QueryFault::ReplyLost,
            QueryFault::ReplyDoubled,
        ],
    );
    world.fail_queries(a, QueryKind::Preferences, &[QueryFault::Fetch(FetchError::Failed)]);
    let m = |n: &str| store(n, Direction::Received);
    assert_eq!(ask(&mut world, a, m("1")), Some(Reply::ObjectStored(Err(StoreError::Full))));
    assert_eq!((ask(&mut world, a, m("2")), world.objects(a).len()), (None, 0));
    assert_eq!((ask(&mut world, a, m("3")), world.objects(a).len()), (None, 1));
    let before = peer(&world, a).replies.len();
    ask(&mut world, a, m("4"));
    assert_eq!(
        peer(&world, a).replies[before..],
        [Reply::ObjectStored(Ok(uid(2))), Reply::ObjectStored(Ok(uid(2)))]
    );
    world.fail_queries(a, QueryKind::StoreObject, &[QueryFault::Lost]);
    world.end_query_trouble();
    assert!(ask(&mut world, a, m("5")).is_some());
    world.fail_queries(a, QueryKind::Preferences, &[QueryFault::Fetch(FetchError::Failed)]);
    let failed = ask(&mut world, a, Query::Preferences(bob()));
    assert_eq!(failed, Some(Reply::Preferences(Err(FetchError::Failed))));
    assert!(matches!(ask(&mut world, a, Query::Preferences(bob())), Some(Reply::Preferences(Ok(_)))));
}

#[test]
fn queries_go_wrong_by_chance_as_often_as_is_said() {
    let (mut world, a, _) = pair(1, Link::perfect());
    world.set_query_trouble(QueryTrouble { failed: 0.25, lost: 0.25, reply_lost: 0.0, reply_doubled: 0.0 });
    for n in 0..400 {
        act(&mut world, a, Action::Query(QueryId(n), store(&n.to_string(), Direction::Received)));
    }
    world.run_for(Duration::from_secs(1)).unwrap();
    let failed = |reply: &&Reply| matches!(reply, Reply::ObjectStored(Err(_)));
    let (failed, kept) = (peer(&world, a).replies.iter().filter(failed).count(), world.objects(a).len());
    assert_eq!(failed + kept, peer(&world, a).replies.len(), "of what is lost nothing is heard");
    assert!((60..140).contains(&failed) && (180..270).contains(&kept), "{failed} {kept}");
}

/// A store may finish what it is asked at the same time in any order: the one that it finished last stands.
#[test]
fn a_node_starts_again_with_what_stands_in_its_store() {
    let (mut world, a, _) = pair(1, Link::perfect());
    let put = |key: &str, value: &'static [u8]| Query::Store(Record::State(StateRecord::put(key, value)));
    world.set_query_delay_of(QueryKind::Store, Duration::from_secs(2)..Duration::from_secs(2));
    act(&mut world, a, Action::Query(QueryId(1), put("k", b"first")));
    world.set_query_delay_of(QueryKind::Store, Duration::from_secs(1)..Duration::from_secs(1));
    act(&mut world, a, Action::Query(QueryId(2), put("k", b"second")));
    act(&mut world, a, Action::Query(QueryId(3), put("gone", b"x")));
    act(&mut world, a, Action::Query(QueryId(4), Query::Store(Record::State(StateRecord::remove("gone")))));
    act(&mut world, a, Action::Query(QueryId(5), Query::Store(record(1))));
    world.run_for(Duration::from_secs(3)).unwrap();
    let given = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = std::rc::Rc::clone(&given);
    world.set_machine_builder(a, move |_, records| {
        *seen.borrow_mut() = records;
        Box::new(Peer::default())
    });
    world.crash(a);
    assert!(world.is_down(a));
    world.restart_from_store(a);
    assert!(!world.is_down(a) && peer(&world, a).replies.is_empty());
    assert_eq!(*given.borrow(), [record(1), Record::State(StateRecord::put("k", &b"first"[..]))]);
}

/// What a life had asked its store for comes before the records of the next life, or never: never behind them.
#[test]
fn a_store_is_not_written_by_two_lives_at_once() {
    let (mut world, a, _) = pair(1, Link::perfect());
    world.set_machine_builder(a, |_, _| Box::new(Peer::default()));
    world.set_query_delay(Duration::from_secs(1)..Duration::from_secs(1));
    for n in 0..100 {
        let put = Record::State(StateRecord::put(format!("{n}"), &b"x"[..]));
        act(&mut world, a, Action::Query(QueryId(n), Query::Store(put)));
    }
    world.restart_from_store(a);
    let kept = world.stored(a).len();
    assert!((20..80).contains(&kept), "{kept}");
    world.run_for(Duration::from_secs(3)).unwrap();
    assert_eq!(world.stored(a).len(), kept);
    assert!(peer(&world, a).replies.is_empty());
}
