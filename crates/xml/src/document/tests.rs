use super::*;
use crate::imdn::{DeliveryStatus, Notification};

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
