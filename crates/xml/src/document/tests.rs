#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::imdn::{DeliveryStatus, Notification};
use crate::reader::is_xml_char;
use crate::tree::Tree;
use proptest::prelude::*;

fn read(text: &str) -> Result<Option<Document>, XmlError> {
    Document::parse(text.as_bytes(), &Limits::default())
}

/// What each module writes is known for what it is.
#[test]
fn every_kind_is_known_by_its_root() {
    let imdn = Imdn::new("1", "2026-11-21T10:00:00Z", Notification::Delivery(DeliveryStatus::Delivered));
    assert_eq!(read(&imdn::write(&imdn)), Ok(Some(Document::Imdn(imdn))));
    let typing = IsComposing::active(None, None);
    assert_eq!(read(&is_composing::write(&typing)), Ok(Some(Document::IsComposing(typing))));
    let lists = ResourceLists::flat([resource_lists::Entry::new("sip:b@x")]);
    assert_eq!(read(&resource_lists::write(&lists)), Ok(Some(Document::ResourceLists(lists))));
    let group = ConferenceInfo { entity: "sip:g@x".into(), ..ConferenceInfo::default() };
    assert!(
        matches!(read(&conference_info::write(&group)), Ok(Some(Document::ConferenceInfo(read))) if read.entity == group.entity)
    );
    let registered = RegInfo { version: 0, partial: false, registrations: Vec::new() };
    assert_eq!(read(&reginfo::write(&registered)), Ok(Some(Document::RegInfo(registered))));
    for info in [
        MessageInfo::List(msginfo::MessageList { number: Some(0), messages: Vec::new() }),
        MessageInfo::Expired(msginfo::MessageExpired { reference: "r".into(), uid: None }),
    ] {
        assert_eq!(read(&msginfo::write(&info)), Ok(Some(Document::MessageInfo(info))));
    }
    let activity = evfw::Activity { id: "1".into(), kind: evfw::ActivityKind::Request };
    let ready = evfw::Interworking::ReadyForSms { user: "tel:+1".into() };
    for event in [Event::Activity(activity), Event::Interworking(ready)] {
        let text = evfw::write(&event).unwrap();
        assert_eq!(read(&text), Ok(Some(Document::Event(Some(event)))));
    }
    assert_eq!(read("<cpm-evfw/>"), Ok(Some(Document::Event(None))));
    let answer = GroupManagement { id: "1".into(), data: None };
    assert_eq!(read(&group_data::write(&answer)), Ok(Some(Document::GroupManagement(answer))));
    let policy = Ruleset::default();
    assert_eq!(read(&access_policy::write(&policy)), Ok(Some(Document::AccessPolicy(policy))));
    let active = Directory { active: Vec::new() };
    assert_eq!(read(&profiles::write(&active)), Ok(Some(Document::Profiles(active))));
    let state = GroupState {
        timestamp: "2026-11-21T10:00:00Z".into(),
        session_identity: "sip:f@x".into(),
        group_type: None,
        iw_number: None,
        removed: false,
        subject: None,
        icon: None,
        participants: Vec::new(),
    };
    assert_eq!(read(&group_state::write(&state)), Ok(Some(Document::GroupState(state))));
    let group = "<group xmlns='urn:oma:xml:poc:list-service'><list-service uri='sip:g@x'/></group>";
    assert!(matches!(read(group), Ok(Some(Document::Group(_)))));
}

#[test]
fn what_is_none_of_them_is_none_and_what_is_broken_is_broken() {
    assert_eq!(read("<svg/>"), Ok(None));
    assert_eq!(read("<group xmlns='urn:other'/>"), Ok(None));
    assert_eq!(read("<svg>"), Err(XmlError::Unfinished));
    assert_eq!(read(""), Err(XmlError::Unfinished));
    assert_eq!(read("<!DOCTYPE imdn><imdn/>"), Err(XmlError::DocumentType));
    assert!(read("<imdn xmlns='urn:ietf:params:xml:ns:imdn'/>").is_err());
}

/// Elements and attributes of a document: what text must not be able to change.
fn shape(text: &str) -> (usize, usize) {
    let mut reader = DocumentReader::new(text.as_bytes(), &Limits::DEFAULT).unwrap();
    let (mut elements, mut attributes) = (0, 0);
    while let Some(node) = reader.next().unwrap() {
        if let Node::Start(element) = node {
            elements += 1;
            attributes += element.attributes.len();
        }
    }
    (elements, attributes)
}

/// Documents with this text wherever a user's words go.
fn with_words(words: &str) -> Vec<String> {
    let word = || Some(String::from(words));
    let conference = ConferenceInfo {
        entity: String::from(words),
        description: Some(conference_info::Description {
            subject: word(),
            free_text: word(),
            ..Default::default()
        }),
        users: Some(conference_info::Users {
            users: vec![conference_info::User {
                entity: "u".into(),
                display_text: word(),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..ConferenceInfo::default()
    };
    let named = resource_lists::DisplayName { text: String::from(words), language: word() };
    let entry = resource_lists::Entry { display_name: Some(named), ..resource_lists::Entry::new(words) };
    let state = GroupState {
        timestamp: String::from(words),
        session_identity: String::from(words),
        group_type: word(),
        iw_number: None,
        removed: false,
        subject: word(),
        icon: Some(group_data::Icon::Uri(String::from(words))),
        participants: vec![group_state::Participant { address: String::from(words), name: word() }],
    };
    let subject = group_data::GroupData::Request(group_data::Request::SetSubject(String::from(words)));
    let imdn = Imdn::new(words, words, Notification::Delivery(DeliveryStatus::Delivered))
        .with_recipient_uri(words)
        .with_subject(words, Some(words));
    vec![
        conference_info::write(&conference),
        resource_lists::write(&ResourceLists::flat([entry])),
        group_state::write(&state),
        group_data::write(&GroupManagement { id: String::from(words), data: Some(subject) }),
        imdn::write(&imdn),
        is_composing::write(&IsComposing::active(Some(words), None)),
    ]
}

proptest! {
    /// Threats E4, F6: whatever a user's words are, a document has the elements and attributes that it has with plain words,
    /// and the words come back as they were, but for characters that XML does not have.
    #[test]
    fn words_stay_words(words in prop_oneof![any::<String>(), "([<>&;'\"]|]]>|<!--|&#|\r|\n|\t|</?user>|xmlns){0,9}"]) {
        let expected: String =
            words.chars().map(|c| if is_xml_char(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
        for (hostile, plain) in with_words(&words).iter().zip(with_words("w")) {
            prop_assert_eq!(shape(hostile), shape(&plain), "{}", hostile);
        }
        let conference = with_words(&words).remove(0);
        let tree = Tree::read(conference.as_bytes(), &Limits::DEFAULT).unwrap();
        prop_assert_eq!(tree.root().unwrap().attribute("entity"), Some(expected.as_str()));
        let description = tree.root().unwrap().required("conference-description").unwrap();
        prop_assert_eq!(description.child_text("subject").unwrap(), Some(expected));
    }
}
