#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use crate::{
    FileIcon, FileRange, FileSelector, Limits, MsrpTransport, RemoteOffer, Role, SessionDescription,
    SessionIds, Token, offer,
};
use alloc::format;
use alloc::vec;

const IDS: SessionIds = SessionIds { id: 1, version: 1 };

fn rules(entity: Entity) -> CpmRules {
    CpmRules {
        entity,
        consumed: vec!["text/plain".into(), "image/*".into()],
        notifications: true,
        composing: true,
        events: vec!["application/vnd.oma.cpm-event-imap+xml".into()],
        group_data: true,
        chunks: ChunkSizes::new(vec![1024, 200], false),
        legacy: false,
        legacy_ahead: false,
    }
}

fn place(host: u8) -> MsrpMedia {
    MsrpMedia::new(
        MsrpTransport::Tcp,
        [192, 0, 2, host].into(),
        2855,
        format!("msrp://192.0.2.{host}:2855/s{host};tcp"),
    )
}

fn offered(rules: &CpmRules, purpose: &Purpose) -> String {
    let media = rules.offered(purpose, place(1)).unwrap();
    let (description, _) = offer(&IDS, &media).unwrap();
    String::from_utf8(description.to_bytes().to_vec()).unwrap()
}

fn attributes(text: &str) -> Vec<&str> {
    text.split("\r\n").filter_map(|line| line.strip_prefix("a=")).collect()
}

fn answered(
    rules: &CpmRules,
    offer: &str,
    file: Option<&FileDescription>,
) -> Result<(Vec<String>, crate::Negotiated), Refusal> {
    let offer = SessionDescription::parse(offer.as_bytes(), &Limits::default()).unwrap();
    let offer = RemoteOffer::read(&offer).unwrap();
    let media = rules.answered(&offer, file, place(2))?;
    let (answer, negotiated) = offer.answer(&IDS, &media).unwrap();
    let text = String::from_utf8(answer.to_bytes().to_vec()).unwrap();
    Ok((attributes(&text).into_iter().map(String::from).collect(), negotiated))
}

fn photo() -> FileDescription {
    FileDescription {
        selector: FileSelector {
            name: Some("a b.jpg".into()),
            size: Some(4092),
            media_type: Some("image/jpeg".into()),
            hashes: vec![],
        },
        transfer_id: Token::new("t1"),
        disposition: Token::new("attachment"),
        icon: FileIcon::new("icon@a"),
        range: FileRange::new(1, Some(4092)),
        ..FileDescription::default()
    }
}

// req: 5.2.1.1-b1
// req: 5.2.1.1-p4
// req: 5.2.1.1-p5
// req: 5.2.1.1-p6
// req: 5.2.1.1-p7
// req: 7.3.1.2-13
// interop: 6
#[test]
fn a_chat_is_offered() {
    let text = offered(&rules(Entity::Client), &Purpose::Chat { closed_group: true });
    assert_eq!(
        attributes(&text),
        [
            "accept-types:message/cpim application/im-iscomposing+xml application/vnd.oma.cpm-groupdata+xml",
            "accept-wrapped-types:text/plain image/* application/vnd.oma.cpm-event-imap+xml message/imdn+xml",
            "sendrecv",
            "setup:actpass",
            "path:msrp://192.0.2.1:2855/s1;tcp",
            "msrp-cema",
            "chatroom:org.openmobilealliance.groupchat.closed",
            "max-chunk-size:1024",
        ]
    );
    let plain = CpmRules {
        notifications: false,
        composing: false,
        events: vec![],
        group_data: false,
        chunks: None,
        ..rules(Entity::Client)
    };
    let text = offered(&plain, &Purpose::Chat { closed_group: false });
    let said = attributes(&text);
    assert_eq!(said[..2], ["accept-types:message/cpim", "accept-wrapped-types:text/plain image/*"]);
    assert!(!said.iter().any(|a| a.starts_with("chatroom") || a.starts_with("max-chunk-size")));
}

/// TS 7.2.1.2-18, readings H8.
// req: 7.2.1.2-18
// req: 7.2.1.2-18.a
// req: 7.2.1.2-18.b
// req: 7.2.1.2-18.d
// req: 7.2.1.2-18.e
// req: 7.2.1.2-18.f
// req: 7.2.1.2-18.g
// req: 7.2.1.2-18.g-n1
#[test]
fn a_large_message_is_offered() {
    let purpose = Purpose::LargeMessage { octets: 5000, content: vec!["video/mp4".into()] };
    assert_eq!(
        attributes(&offered(&rules(Entity::Client), &purpose)),
        [
            "accept-types:message/cpim",
            "accept-wrapped-types:video/mp4 message/imdn+xml",
            "sendonly",
            "setup:actpass",
            "path:msrp://192.0.2.1:2855/s1;tcp",
            "msrp-cema",
            "file-selector:size:5000",
            "max-chunk-size:1024",
        ]
    );
}

// req: 7.4.1-1.e.i
// req: 7.4.1-1.e.ii
#[test]
fn files_are_offered_and_asked_for() {
    let rules = rules(Entity::Client);
    let push = offered(&rules, &Purpose::Push(photo()));
    for line in [
        "sendonly",
        "file-selector:name:\"a b.jpg\" type:image/jpeg size:4092",
        "file-transfer-id:t1",
        "file-disposition:attachment",
        "file-icon:cid:icon@a",
        "file-range:1-4092",
    ] {
        assert!(attributes(&push).contains(&line), "{line} in {push}");
    }
    // RFC 5547 §8.3.1: the answer repeats selector, id and range and nothing else of the file.
    let (answer, negotiated) = answered(&rules, &push, None).unwrap();
    let file: Vec<&String> = answer.iter().filter(|a| a.starts_with("file-")).collect();
    assert_eq!(
        file,
        [
            "file-selector:name:\"a b.jpg\" type:image/jpeg size:4092",
            "file-transfer-id:t1",
            "file-range:1-4092"
        ]
    );
    assert!(answer.contains(&"recvonly".to_string()));
    assert_eq!(negotiated.remote_file, Some(photo()));

    let asked =
        FileDescription { selector: FileSelector { media_type: None, ..photo().selector }, ..photo() };
    let pull = offered(&rules, &Purpose::Pull(asked));
    assert!(
        attributes(&pull).contains(&"recvonly")
            && !pull.contains("file-icon")
            && !pull.contains("file-disposition")
    );
    let (answer, _) = answered(&rules, &pull, Some(&photo())).unwrap();
    assert!(answer.contains(&"sendonly".to_string()));
    assert!(answer.contains(&"file-selector:name:\"a b.jpg\" type:image/jpeg size:4092".to_string()));
    let other = FileDescription { selector: FileSelector { size: Some(1), ..photo().selector }, ..photo() };
    assert_eq!(answered(&rules, &pull, Some(&other)).unwrap_err(), Refusal::NoSuchFile);
    assert_eq!(answered(&rules, &pull, None).unwrap_err(), Refusal::NoSuchFile);

    for (purpose, error) in [
        (Purpose::Push(FileDescription { transfer_id: None, ..photo() }), PurposeError::FileTransferId),
        (
            Purpose::Push(FileDescription {
                selector: FileSelector { name: None, ..photo().selector },
                ..photo()
            }),
            PurposeError::FileSelector,
        ),
        (
            Purpose::Push(FileDescription {
                selector: FileSelector { size: None, ..photo().selector },
                ..photo()
            }),
            PurposeError::FileSelector,
        ),
        (
            Purpose::Push(FileDescription {
                selector: FileSelector { media_type: None, ..photo().selector },
                ..photo()
            }),
            PurposeError::FileSelector,
        ),
        (
            Purpose::Pull(FileDescription { selector: FileSelector::default(), ..photo() }),
            PurposeError::NoSelector,
        ),
        (Purpose::Pull(FileDescription { transfer_id: None, ..photo() }), PurposeError::FileTransferId),
    ] {
        assert_eq!(rules.offered(&purpose, place(1)), Err(error));
    }
}

// req: 6.7.3.3-9.a
// req: 6.7.3.3-9.b
// req: 6.7.3.3-9.d
// req: 6.7.3.3-9.e
// req: 6.7.3.3-9.f
// req: 6.7.3.4-2
// req: 6.7.3.4-5.d
#[test]
fn events_are_offered_and_taken_or_refused() {
    let sender = rules(Entity::Client);
    let text = offered(&sender, &Purpose::Events);
    let said = attributes(&text);
    for line in [
        "accept-wrapped-types:application/vnd.oma.cpm-event-imap+xml message/imdn+xml",
        "sendrecv",
        "setup:actpass",
        "msrp-cema",
        "max-chunk-size:1024",
    ] {
        assert!(said.contains(&line), "{line}");
    }
    let (answer, _) = answered(&rules(Entity::Server), &text, None).unwrap();
    assert!(
        answer.iter().any(|a| a.starts_with("accept-wrapped-types:") && a.contains("cpm-event-imap+xml"))
    );
    assert!(answer.contains(&"sendrecv".to_string()) && answer.contains(&"msrp-cema".to_string()));
    let deaf = CpmRules { events: vec![], ..rules(Entity::Server) };
    assert_eq!(answered(&deaf, &text, None).unwrap_err(), Refusal::NoCommonType);
    assert_eq!(deaf.offered(&Purpose::Events, place(1)), Err(PurposeError::NoEvents));
    for (kind, event) in [
        ("application/vnd.oma.cpm-event-iw+xml", true),
        ("Application/VND.oma.cpm-event-activity+XML; x=y", true),
        ("application/vnd.oma.cpm-groupdata+xml", false),
        ("application/vnd.oma.cpm-+xml", false),
        ("text/plain", false),
    ] {
        assert_eq!(is_event_type(kind), event, "{kind}");
    }
}

/// TS 5.2.1.4: a client connects, everybody else listens; `msrp-cema` as the offer has it.
// req: 5.2.1.4-b4
// req: 5.2.1.4-b5
// req: 5.2.1.3-b1
// req: 5.2.1.3-1
#[test]
fn who_answers_how() {
    let offer = offered(&rules(Entity::Client), &Purpose::Chat { closed_group: false });
    let without = offer.replace("a=msrp-cema\r\n", "");
    for (entity, role, setup, cema_without) in [
        (Entity::Client, Role::Active, "setup:active", true),
        (Entity::Server, Role::Passive, "setup:passive", false),
    ] {
        let (answer, negotiated) = answered(&rules(entity), &offer, None).unwrap();
        assert!(answer.contains(&setup.to_string()) && answer.contains(&"msrp-cema".to_string()));
        assert_eq!(negotiated.role, role);
        assert!(answer.contains(&"accept-wrapped-types:text/plain image/* application/vnd.oma.cpm-event-imap+xml message/imdn+xml".to_string()));
        let (answer, _) = answered(&rules(entity), &without, None).unwrap();
        assert_eq!(answer.contains(&"msrp-cema".to_string()), cema_without);
        // Events are answered where they were offered alone.
        let eventless = offer.replace(" application/vnd.oma.cpm-event-imap+xml", "");
        let (answer, _) = answered(&rules(entity), &eventless, None).unwrap();
        assert!(answer.contains(&"accept-wrapped-types:text/plain image/* message/imdn+xml".to_string()));
    }
}

/// TS 5.2.1.4-1, -2 and 5.2.1.4.1: a far side that does not know `msrp-cema` is met by its session-id.
// req: 5.2.1.4-1.b
// req: 5.2.1.4-1.c
// req: 5.2.1.4-2
#[test]
fn legs_of_the_legacy_kind() {
    use crate::SessionMatching::{Cema, Legacy, Rfc4975};
    let interop = CpmRules { legacy: true, ..rules(Entity::Server) };
    let ahead = CpmRules { legacy_ahead: true, ..interop.clone() };
    assert!(!offered(&ahead, &Purpose::Chat { closed_group: false }).contains("msrp-cema"));
    assert!(offered(&interop, &Purpose::Chat { closed_group: false }).contains("msrp-cema"));

    // An offer whose address something on the way has changed.
    let offer = offered(&rules(Entity::Client), &Purpose::Chat { closed_group: false });
    let moved = offer.replace("a=msrp-cema\r\n", "").replace("c=IN IP4 192.0.2.1", "c=IN IP4 203.0.113.1");
    let (answer, negotiated) = answered(&interop, &moved, None).unwrap();
    assert!(!answer.contains(&"msrp-cema".to_string()) && answer.contains(&"setup:passive".to_string()));
    assert_eq!(
        (negotiated.matching(), format!("{}", negotiated.remote.host)),
        (Legacy, "203.0.113.1".into())
    );
    let (_, negotiated) = answered(&interop, &offer, None).unwrap();
    assert_eq!(negotiated.matching(), Cema);
    let plain = offer.replace("a=msrp-cema\r\n", "");
    assert_eq!(answered(&rules(Entity::Server), &plain, None).unwrap().1.matching(), Rfc4975);

    let answer = "v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\nm=message 9000 TCP/MSRP *\r\n\
        a=accept-types:*\r\na=setup:active\r\na=path:msrp://192.0.2.9:2855/y;tcp\r\n";
    let answer = SessionDescription::parse(answer.as_bytes(), &Limits::default()).unwrap();
    let outcome = |rules: &CpmRules| {
        let media = rules.offered(&Purpose::Chat { closed_group: false }, place(1)).unwrap();
        offer_of(&media).answered(&answer)
    };
    assert_eq!(outcome(&interop).unwrap().matching(), Legacy);
    assert_eq!(outcome(&ahead).unwrap().matching(), Legacy);
    assert_eq!(outcome(&rules(Entity::Server)).unwrap_err(), crate::AnswerError::FallBack);
}

fn offer_of(media: &MsrpMedia) -> crate::PendingOffer {
    offer(&IDS, media).unwrap().1
}

/// TS 5.2.1.3-p4, -b4, C.1.8.
// req: 5.2.1.3-p4
// req: 5.2.1.3-b4
// req: 6.7.3.4-5.g
// req: C.1.8-p1
#[test]
fn sizes_of_chunks() {
    assert_eq!(ChunkSizes::new(vec![], true), None);
    assert_eq!(ChunkSizes::new(vec![99], true), None);
    let listed = ChunkSizes::new(vec![1024, 200, 500, 200], false).unwrap();
    let up_to = ChunkSizes::new(vec![200, 1024], true).unwrap();
    for (proposed, by_list, up_to_it) in [
        (Some(1024), Some(1024), Some(1024)),
        (Some(2000), Some(1024), Some(1024)),
        (Some(700), Some(500), Some(700)),
        (Some(500), Some(500), Some(500)),
        (Some(150), Some(1024), Some(150)),
        (None, None, None),
    ] {
        assert_eq!(listed.answered(proposed), by_list, "{proposed:?}");
        assert_eq!(up_to.answered(proposed), up_to_it, "{proposed:?}");
    }
    // A size below all of ours stands: chunks are never longer than the far side takes.
    let offer = offered(&rules(Entity::Client), &Purpose::Chat { closed_group: false });
    for (theirs, said, octets) in [(1024, 1024, 1024), (700, 200, 200), (150, 150, 150)] {
        let offer = offer.replace("max-chunk-size:1024", &format!("max-chunk-size:{theirs}"));
        let (answer, negotiated) = answered(&rules(Entity::Client), &offer, None).unwrap();
        assert!(answer.contains(&format!("max-chunk-size:{said}")), "{theirs}: {answer:?}");
        assert_eq!(negotiated.max_chunk_size_octets, Some(octets * 1024));
    }
}

// req: 5.2.1.2-a
// req: 5.2.1.2-a.1
// req: 5.2.1.2-a.2
#[test]
fn sizes_by_peering_and_access() {
    let sizes = |kb| ChunkSizes::new(vec![kb], true).unwrap();
    let table = ChunkTable {
        peers: vec![("other.example.com".into(), sizes(100))],
        accesses: vec![("IEEE-802.11".into(), sizes(2000)), ("3GPP-GERAN".into(), sizes(150))],
        other: Some(sizes(500)),
    };
    let chosen = |peer, access| table.choose(peer, access).map(ChunkSizes::proposed);
    assert_eq!(chosen(Some("OTHER.example.com"), Some("IEEE-802.11")), Some(100));
    assert_eq!(chosen(Some("home.example.com"), Some("ieee-802.11")), Some(2000));
    assert_eq!(chosen(None, Some("3GPP-GERAN")), Some(150));
    assert_eq!(chosen(None, None), Some(500));
    assert_eq!(ChunkTable::default().choose(None, None), None);
}
