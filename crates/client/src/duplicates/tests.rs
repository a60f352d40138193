use super::*;
use crate::SentId;
use cpm_sip::Uri;

fn conversation(n: u8) -> ConversationId {
    ConversationId::parse(&format!("f81d4fae-7dec-11d0-a765-00a0c91e6b{n:02x}")).unwrap()
}

fn contribution(n: u8) -> ContributionId {
    ContributionId::parse(&format!("abcdef12-7dec-11d0-a765-00a0c91e6b{n:02x}")).unwrap()
}

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

fn sent(to: impl Into<Recipients>) -> SentMessage {
    SentMessage {
        id: SentId(1),
        to: to.into(),
        conversation: conversation(1),
        contribution: contribution(1),
        in_reply_to: Some(contribution(9)),
        message_id: "m1".to_owned(),
        large: false,
    }
}

/// Every row of Table 2 by itself, and the folder.
// req: 7.2.1.1-18, 7.2.1.1-18.a, 7.2.1.1-18.b, 7.2.1.1-T2-1, 7.2.1.1-T2-2, 7.2.1.1-T2-3, 7.2.1.1-T2-4
// req: 7.2.1.2-onDone-4, 7.2.1.2-onDone-4.a, 7.2.1.2-onDone-4.b
#[test]
fn all_rows_of_the_table_count() {
    for large in [false, true] {
        rows_of_the_table(&MessageKeys::of_sent(
            &SentMessage { large, ..sent(uri("sip:bob@example.com")) },
            None,
        ));
    }
}

fn rows_of_the_table(sip: &MessageKeys) {
    let object = MessageKeys { message_uid: Some("7".to_owned()), ..sip.clone() };
    assert!(sip.is_copy(&object));
    let upper = ConversationId::parse(&conversation(1).as_str().to_ascii_uppercase()).unwrap();
    assert!(sip.is_copy(&MessageKeys { conversation: Some(upper), ..object.clone() }));
    for other in [
        MessageKeys { folder: Folder::Peer("sip:carol@example.com".to_owned()), ..object.clone() },
        MessageKeys { conversation: Some(conversation(2)), ..object.clone() },
        MessageKeys { conversation: None, ..object.clone() },
        MessageKeys { contribution: Some(contribution(2)), ..object.clone() },
        MessageKeys { contribution: None, ..object.clone() },
        MessageKeys { in_reply_to: Some(contribution(8)), ..object.clone() },
        MessageKeys { in_reply_to: None, ..object.clone() },
        MessageKeys { message_id: Some("m2".to_owned()), ..object.clone() },
        MessageKeys { message_id: None, ..object.clone() },
    ] {
        assert!(!sip.is_copy(&other), "{other:?}");
    }
    // What the message does not have does not count.
    let plain = MessageKeys { in_reply_to: None, message_id: None, ..sip.clone() };
    assert!(plain.is_copy(&object));
}

/// Where the network named the UID, it decides alone.
// req: 7.2.1.1-17
#[test]
fn the_uid_decides_where_both_have_one() {
    let sip = MessageKeys::of_sent(&sent(uri("sip:bob@example.com")), Some("7"));
    let object = |uid: &str| MessageKeys { message_uid: Some(uid.to_owned()), ..sip.clone() };
    assert!(sip.is_copy(&object("7")));
    assert!(!sip.is_copy(&object("8")));
    assert!(sip.is_copy(&MessageKeys { conversation: None, ..object("7") }));
    // A UID means nothing in another folder.
    assert!(!sip.is_copy(&MessageKeys { folder: Folder::anonymous(), ..object("7") }));
}

// req: 7.2.1.1-18.a
#[test]
fn the_folder_is_the_other_or_the_conversation() {
    let peer = |text: &str| Folder::Peer(text.to_owned());
    for (to, folder) in [
        (Recipients::One(uri("sip:Bob@Example.COM;transport=tcp")), peer("sip:bob@example.com")),
        (Recipients::One(uri("sip:+1-555-0001@example.com;user=phone")), peer("tel:+15550001")),
        (Recipients::AdHoc(vec![uri("sip:bob@example.com")]), Folder::Group(conversation(1))),
        (Recipients::Group(uri("sip:team@example.com")), Folder::Group(conversation(1))),
    ] {
        assert_eq!(MessageKeys::of_sent(&sent(to), None).folder, folder);
    }
}

#[test]
fn nothing_known_is_no_copy() {
    let nothing = MessageKeys::new(Folder::anonymous());
    assert!(!nothing.is_copy(&nothing));
    assert!(nothing.clone().with_message_uid("1").is_copy(&nothing.clone().with_message_uid("1")));
}
