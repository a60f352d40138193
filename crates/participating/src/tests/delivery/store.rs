//! Step 4.d, step 5 and references: what the message store is asked, and what hangs on its word.

use super::host::*;
use crate::Recording;
use cpm_core::outside::{BodyPart, BodyStructure, Direction, FetchError, Folder, ObjectKind, StoredObject};
use cpm_core::{Query, Reply, StoreError};
use cpm_sip::HeaderName;
use cpm_xml::access_policy::Wish;
use std::time::Duration;

fn storing(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::Store])
}

fn recording(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::OfflineStorage])
}

fn referring(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::DeliverReferenceMedia])
}

fn object(query: Query) -> StoredObject {
    let Query::StoreObject(object) = query else { panic!("{query:?}") };
    *object
}

/// Threat G6: 200 is said when the store has it, not before, whatever it takes.
// req: 8.3.1.1-4.d.i, 8.3.1.1-4.d.ii
#[test]
fn a_message_for_the_store_is_answered_when_the_store_has_it() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = storing;
    let octets = cpim("1", "", "Content-Type: text/plain\r\n\r\nhello");
    bench.datagram(octets.clone());
    bench.wait(Duration::from_millis(4900));
    bench.nothing_sent();
    let (id, query) = bench.asked();
    let object = object(query);
    assert_eq!(object.user.to_string(), "sip:bob@home.test");
    assert_eq!((object.direction, object.kind), (Direction::Received, ObjectKind::StandaloneMessage));
    assert_eq!(object.message_id.as_deref(), Some("id-1"));
    assert_eq!(object.folder, Folder::Peer("sip:alice@home.test".into()));
    bench.reply(id, kept(7));
    assert_eq!(bench.said(), (200, None));
    assert_eq!(bench.events, [handled(200)]);
    bench.reply(id, Reply::ObjectStored(Err(StoreError::Failed)));
    bench.datagram(octets);
    assert_eq!(bench.labels(), ["200 MESSAGE"], "the same answer to the copy");
    bench.rest();
    assert!(bench.queries.is_empty());
}

/// Threat G6: what the store does not have was not taken.
// req: 8.3.1.1-4.d.ii
#[test]
fn a_message_that_the_store_does_not_have_is_480() {
    for reply in [
        Some(Reply::ObjectStored(Err(StoreError::Full))),
        Some(Reply::ObjectStored(Err(StoreError::Failed))),
        Some(Reply::Stored(Ok(()))),
        None,
    ] {
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.answer = storing;
        bench.datagram(pager("1", "term", WISH));
        let (id, _) = bench.asked();
        match reply.clone() {
            Some(reply) => bench.reply(id, reply),
            None => bench.wait(Duration::from_secs(5)),
        }
        assert_eq!(bench.said(), (480, None), "{reply:?}");
        bench.reply(id, kept(7));
        bench.nothing_sent();
        assert_eq!(bench.events, [handled(480)]);
        bench.rest();
    }
}

/// A node that began anew asks the store again, which knows the message by its Message-ID.
// req: 8.3.1.1-4.d.i
#[test]
fn after_a_restart_the_store_is_asked_again() {
    let octets = cpim("1", "", "Content-Type: text/plain\r\n\r\nhello");
    let mut objects = Vec::new();
    for _ in 0..2 {
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.answer = storing;
        bench.datagram(octets.clone());
        bench.nothing_sent();
        objects.push(object(bench.asked().1));
    }
    assert_eq!(objects[0], objects[1]);
}

// req: 8.3.1.1-5, 8.3.1.1-14, 8.5.1-uid-1.a, 8.5.1-B
#[test]
fn a_recorded_message_names_its_place_in_the_store() {
    let mut bench = bob_with(&[PHONE, TABLET], |_| ());
    bench.answer = recording;
    // The number of another store is not ours.
    bench.datagram(cpim("1", "Message-UID: 99\n", "Content-Type: text/plain\r\n\r\nhello"));
    bench.nothing_sent();
    let (id, query) = bench.asked();
    assert_eq!(object(query).message_id.as_deref(), Some("id-1"));
    bench.reply(id, kept(4711));
    let requests = bench.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| uid(request) == ["4711"]));
    bench.datagram(answer(&requests[0], "200 OK", "b", "", ""));
    assert_eq!(bench.said(), (200, None));
    bench.rest();
    assert!(bench.queries.is_empty());
}

/// A failed recording never costs a message that can be delivered.
// req: 8.3.1.1-5, 8.3.1.1-14
#[test]
fn a_message_that_cannot_be_recorded_is_delivered() {
    for reply in [Some(Reply::ObjectStored(Err(StoreError::Full))), Some(Reply::Stored(Ok(()))), None] {
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.answer = recording;
        bench.datagram(pager("1", "term", &format!("{WISH}Message-UID: 99\n")));
        let (id, _) = bench.asked();
        match reply {
            Some(reply) => bench.reply(id, reply),
            None => bench.wait(Duration::from_secs(5)),
        }
        let request = bench.requests().remove(0);
        assert_eq!(uid(&request), [""; 0]);
        bench.reply(id, kept(7));
        bench.nothing_sent();
        bench.datagram(answer(&request, "200 OK", "b", "", ""));
        assert_eq!(bench.said(), (200, None));
        // It is tried once more when all is over.
        let (again, _) = bench.asked();
        bench.reply(again, kept(7));
        bench.rest();
    }
}

// req: 8.3.1.1-5
#[test]
fn what_is_recorded_is_policy() {
    for (when, wished, asked) in [
        (Recording::Never, true, 0),
        (Recording::Wish, true, 1),
        (Recording::Wish, false, 0),
        (Recording::Always, false, 1),
    ] {
        let mut bench = bob_with(&[PHONE], |policy| policy.recording = when);
        bench.answer = if wished { recording } else { no_preferences };
        bench.datagram(pager("1", "term", WISH));
        assert_eq!(bench.queries.len(), asked, "{when:?} {wished}");
    }
}

/// Step 5 comes before step 8: what nobody can get is recorded, and is not delivered.
// req: 8.3.1.1-5, 8.3.1.1-p2
#[test]
fn what_nobody_can_get_is_recorded_all_the_same() {
    let mut bench = with_policy(|_| ());
    bench.answer = recording;
    bench.datagram(pager("1", "term", WISH));
    assert_eq!(bench.said(), (480, None));
    let (id, _) = bench.asked();
    bench.reply(id, kept(7));
    bench.nothing_sent();
    bench.rest();
}

/// Notifications are kept when they were delivered, where the message is that they are about, and have no number (readings
/// G3).
// req: 8.3.1.1-5, 8.3.1.1-6, 8.3.5-p4.2, 8.3.5-p5
#[test]
fn a_notification_is_recorded_without_a_number() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = recording;
    bench.datagram(notification("1"));
    let request = bench.request();
    assert_eq!(uid(&request), [""; 0]);
    assert!(bench.queries.is_empty(), "not before it is delivered");
    bench.datagram(answer(&request, "200 OK", "x", "", ""));
    assert_eq!(bench.labels(), ["200 MESSAGE"]);
    let (_, query) = bench.asked();
    let object = object(query);
    assert_eq!((object.kind, object.folder), (ObjectKind::Disposition, Folder::OfMessage("about-1".into())));
}

// req: 8.3.5-p4.2
#[test]
fn a_notification_that_nobody_took_is_not_recorded() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = recording;
    bench.datagram(notification("1"));
    let request = bench.request();
    bench.datagram(answer(&request, "480 Temporarily Unavailable", "x", "", ""));
    assert_eq!((bench.labels(), bench.queries.len()), (vec!["480 MESSAGE".to_owned()], 0));
}

/// A message with a picture.
fn picture(branch: &str) -> String {
    let content = "Content-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nlook\r\n\
                   --b\r\nContent-Type: image/png\r\n\r\nPNGPNGPNG\r\n--b--\r\n";
    cpim(branch, "", content)
}

fn structure() -> Reply {
    let part = |section: &str, content_type: &str, octets| BodyPart {
        section: section.into(),
        content_type: content_type.into(),
        octets,
    };
    Reply::BodyStructure(Ok(BodyStructure {
        url: "imap://bob@store.home.test/alice;UIDVALIDITY=1/;UID=7".into(),
        parts: vec![part("1.1", "text/plain", 4), part("1.2", "image/png", 9)],
    }))
}

// req: 8.3.1.1-11, 8.3.1.4-p1, 8.3.1.4-found-1, 8.3.1.4-found-2, 8.3.1.4-found-3, 8.3.1.4-refs-1, 8.3.1.4-refs-2
#[test]
fn media_is_replaced_by_references_to_the_store() {
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = referring;
    bench.datagram(picture("1"));
    let (id, query) = bench.asked();
    assert_eq!(object(query).message_id.as_deref(), Some("id-1"));
    bench.nothing_sent();
    bench.reply(id, kept(7));
    let (id, query) = bench.asked();
    assert!(matches!(&query, Query::BodyStructure { uid, .. } if uid.0.get() == 7), "{query:?}");
    bench.nothing_sent();
    bench.reply(id, structure());
    let request = bench.request();
    let body = String::from_utf8(request.body().to_vec()).unwrap();
    assert!(body.contains("message/external-body") && body.contains("UID=7/;SECTION=1.2"), "{body}");
    assert!(body.contains("look") && !body.contains("PNGPNG"), "{body}");
    assert_eq!(uid(&request), ["7"]);
    assert_eq!(header(request.headers(), &HeaderName::ContentType), "message/cpim");
    bench.datagram(answer(&request, "200 OK", "b", "", ""));
    assert_eq!(bench.said(), (200, None));
    bench.rest();
}

/// Whatever fails on the way to references, the message goes out whole.
// req: 8.3.1.1-11
#[test]
fn a_message_without_references_is_delivered_whole() {
    let whole = |bench: &mut Bench, why: &str| {
        let requests = bench.requests();
        let body = String::from_utf8(requests[0].body().to_vec()).unwrap();
        assert!(body.contains("PNGPNGPNG"), "{why}: {body}");
    };
    let start = || {
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.answer = referring;
        bench.datagram(picture("1"));
        bench
    };
    let mut bench = start();
    let (id, _) = bench.asked();
    bench.reply(id, Reply::ObjectStored(Err(StoreError::Full)));
    whole(&mut bench, "not kept");
    for reply in [Some(Reply::BodyStructure(Err(FetchError::Failed))), Some(kept(1)), None] {
        let mut bench = start();
        let (id, _) = bench.asked();
        bench.reply(id, kept(7));
        let (id, _) = bench.asked();
        match reply.clone() {
            Some(reply) => bench.reply(id, reply),
            None => bench.wait(Duration::from_secs(5)),
        }
        whole(&mut bench, &format!("{reply:?}"));
        assert_eq!(bench.counted("pf.no_references"), 1);
        bench.rest();
    }
    // Of a message without media nobody asks the store.
    let mut bench = bob_with(&[PHONE], |_| ());
    bench.answer = referring;
    bench.datagram(cpim("1", "", "Content-Type: text/plain\r\n\r\nhello"));
    assert_eq!(bench.labels(), ["MESSAGE"]);
    assert!(bench.queries.is_empty());
}
