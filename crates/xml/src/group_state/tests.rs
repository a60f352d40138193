use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<GroupState, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

#[test]
fn a_document_is_known_both_ways() {
    let state = GroupState {
        timestamp: String::from("2026-11-21T10:00:00Z"),
        session_identity: String::from("sip:g@example.com;gr=1"),
        group_type: Some(String::from("Closed")),
        iw_number: Some(String::from("+15551234")),
        removed: true,
        subject: Some(String::from("Tea")),
        icon: Some(Icon::Uri(String::from("http://example.com/i.png"))),
        participants: vec![
            Participant { address: String::from("tel:+1"), name: Some(String::from("Al & Bo")) },
            Participant { address: String::from("tel:+2"), name: None },
        ],
    };
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<groupstate timestamp=\"2026-11-21T10:00:00Z\" \
        lastfocussessionid=\"sip:g@example.com;gr=1\" group-type=\"Closed\" iw-number=\"+15551234\">\
        <status>removed</status><subject>Tea</subject><icon><icon-uri>http://example.com/i.png</icon-uri></icon>\
        <participant name=\"Al &amp; Bo\" comm-addr=\"tel:+1\"/><participant comm-addr=\"tel:+2\"/></groupstate>";
    assert_eq!(write(&state), text);
    assert_eq!(read(text), Ok(state));
}

#[test]
fn other_forms_are_read() {
    let text = "<groupstate xmlns='urn:x' timestamp='t' lastfocussessionid='s'><iw-number>7</iw-number>\
                <status><removed/></status></groupstate>";
    let state = read(text).unwrap();
    assert_eq!((state.iw_number.as_deref(), state.removed), (Some("7"), true));
    let kept = read("<groupstate timestamp='t' lastfocussessionid='s'><status>active</status></groupstate>")
        .unwrap();
    assert!(!kept.removed);
}

#[test]
fn faults_are_named() {
    assert_eq!(read("<groupstate lastfocussessionid='s'/>"), Err(XmlError::Missing("timestamp")));
    assert_eq!(read("<groupstate timestamp='t'/>"), Err(XmlError::Missing("lastfocussessionid")));
    let nameless = "<groupstate timestamp='t' lastfocussessionid='s'><participant/></groupstate>";
    assert_eq!(read(nameless), Err(XmlError::Missing("comm-addr")));
    assert_eq!(read("<group/>"), Err(XmlError::WrongRoot));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        timestamp in "[!-~]{1,20}",
        subject in proptest::option::of("\\PC{0,20}"),
        removed: bool,
        participants in proptest::collection::vec(("[!-~]{1,12}", proptest::option::of("\\PC{0,12}")), 0..4),
    ) {
        let participants = participants.into_iter().map(|(address, name)| Participant { address, name }).collect();
        let session_identity = String::from("sip:g@x");
        let state = GroupState { timestamp, session_identity, subject, removed, participants, ..GroupState::default() };
        prop_assert_eq!(read(&write(&state)), Ok(state));
    }
}
