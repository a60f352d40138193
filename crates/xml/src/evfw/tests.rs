use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<Option<Event>, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

fn framed(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<cpm-evfw xmlns=\"urn:oma:xml:cpm:evfw\">{inside}</cpm-evfw>"
    )
}

// req: 6.7.5.1-b1, 6.7.5.1-p3, 6.7.5.1-b2, 6.7.5.1-b3, 6.7.5.1-p5, 6.7.5.1-b4, 6.7.5.1-b5
#[test]
fn flags_of_messages_are_known_both_ways() {
    let stored = Object {
        uid: Some(String::from("58175")),
        folder_path: Some(String::from("Default/conversation/contribution/")),
        message_id: Some(String::from("7Qsgk")),
        ..Object::default()
    };
    let fresh = Object {
        conversation_id: Some(String::from("c-1")),
        contribution_id: Some(String::from("c-2")),
        other_party: Some(String::from("tel:+15145554321")),
        message_id: Some(String::from("8Rthl")),
        ..Object::default()
    };
    let event = Event::Imap(vec![
        Operation { flag: Flag::Seen, objects: vec![stored, fresh] },
        Operation {
            flag: Flag::Deleted,
            objects: vec![Object { uid: Some(String::from("1")), ..Object::default() }],
        },
    ]);
    let text = framed(
        "<event-cpm-imap type=\"flags\"><operation name=\"add\" flag=\"\\Seen\">\
         <object uid=\"58175\" folder-path=\"Default/conversation/contribution/\"><message-id>7Qsgk</message-id></object>\
         <object><conversation-id>c-1</conversation-id><contribution-id>c-2</contribution-id>\
         <other-party>tel:+15145554321</other-party><message-id>8Rthl</message-id></object></operation>\
         <operation name=\"add\" flag=\"\\Deleted\"><object uid=\"1\"/></operation></event-cpm-imap>",
    );
    assert_eq!(write(&event).as_deref(), Some(text.as_str()));
    assert_eq!(read(&text), Ok(Some(event.clone())));
    assert_eq!(event.media_type(), Some("application/vnd.oma.cpm-event-imap+xml"));
}

#[test]
fn the_example_with_blanks_and_extensions_is_read() {
    let text = "<cpm-evfw xmlns=\"urn:oma:xml:cpm:evfw\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
        <event-cpm-imap  type=\"flags\"> <operation name=\"add \" flags=\"\\Seen\"> <!-- x --> <object uid=\" 5\">\
        <message-id> id </message-id><more><deep/></more></object></operation><extension/></event-cpm-imap ></cpm-evfw>";
    let Ok(Some(Event::Imap(operations))) = read(text) else { panic!("not read") };
    let object = operations.first().unwrap().objects.first().unwrap();
    assert_eq!((object.uid.as_deref(), object.message_id.as_deref()), (Some("5"), Some("id")));
}

// req: 6.7.5.2.1-p1, 6.7.5.2.1-1, 6.7.5.2.1-1.a, 6.7.5.2.1-1.b, 6.7.5.2.1-2, 6.7.5.2.1-2.a
#[test]
fn interworking_events_are_known_both_ways() {
    let user = String::from("tel:+1");
    let cases = [
        (
            Interworking::Failed { user: user.clone(), message_id: String::from("m") },
            "<failed-iw><cpm-user-address>tel:+1</cpm-user-address><message-id>m</message-id></failed-iw>",
        ),
        (
            Interworking::ReadyForSms { user },
            "<ready-for-sms><cpm-user-address>tel:+1</cpm-user-address></ready-for-sms>",
        ),
        (
            Interworking::Successful(vec![(String::from("message-id"), String::from("m"))]),
            "<successful-iw-data><message-id>m</message-id></successful-iw-data>",
        ),
    ];
    for (event, inside) in cases {
        let text = framed(&format!("<cpm-event-iw>{inside}</cpm-event-iw>"));
        let event = Event::Interworking(event);
        assert_eq!(write(&event).as_deref(), Some(text.as_str()));
        assert_eq!(read(&text), Ok(Some(event)));
    }
    let strange = Interworking::Successful(vec![(String::from("a b"), String::new())]);
    assert_eq!(write(&Event::Interworking(strange)), None);
}

// req: 6.7.5.3-elem-A, 6.7.5.3-elem-A.i, 6.7.5.3-elem-A.ii, 6.7.5.3-elem-A.iii, 6.7.5.3-elem-C, 6.7.5.3-elem-C.i
#[test]
fn activity_is_known_both_ways() {
    let cases = [
        (ActivityKind::Request, "type=\"request\" id=\"7\"><global/>"),
        (ActivityKind::Result(12), "type=\"result\" id=\"7\"><global time=\"12\"/>"),
        (ActivityKind::Push(0), "type=\"push\" id=\"7\"><global time=\"0\"/>"),
    ];
    for (kind, inside) in cases {
        let text = framed(&format!("<event-cpm-activity {inside}</event-cpm-activity>"));
        let event = Event::Activity(Activity { id: String::from("7"), kind });
        assert_eq!(write(&event).as_deref(), Some(text.as_str()));
        assert_eq!(read(&text), Ok(Some(event)));
    }
}

// req: 6.7.4.1-p1, 6.7.4.1-1, 6.7.4.1-1.a.i, 6.7.4.1-1.a.ii.1, 6.7.4.1-1.a.ii.2
#[test]
fn a_bare_event_and_a_foreign_one_are_told_apart() {
    let bare = "<event-cpm-activity type='request' id='1'><global/></event-cpm-activity>";
    assert!(matches!(read(bare), Ok(Some(Event::Activity(_)))));
    assert_eq!(read(&framed("")), Ok(None));
    let foreign = Event::Foreign { namespace: Some(String::from("urn:x")), name: String::from("it") };
    assert_eq!(read(&framed("<it xmlns='urn:x'/>")), Ok(Some(foreign.clone())));
    assert_eq!(write(&foreign), None);
    assert_eq!(read("<it/>"), Err(XmlError::WrongRoot));
    assert_eq!(read("<cpm-evfw xmlns='urn:x'/>"), Err(XmlError::WrongRoot));
}

#[test]
fn faults_are_named() {
    let inside = |text: &str| read(&framed(text));
    let imap = |text: &str| inside(&format!("<event-cpm-imap type='flags'>{text}</event-cpm-imap>"));
    let iw = |text: &str| inside(&format!("<cpm-event-iw>{text}</cpm-event-iw>"));
    let user = "<cpm-user-address>tel:+1</cpm-user-address>";
    assert_eq!(inside("<a/><b/>"), Err(XmlError::Repeated("event")));
    assert_eq!(inside("<event-cpm-imap type='mail'/>"), Err(XmlError::Value("type")));
    assert_eq!(imap(""), Err(XmlError::Missing("operation")));
    assert_eq!(imap("<operation name='del'/>"), Err(XmlError::Value("name")));
    assert_eq!(imap("<operation name='add' flag='\\Seen'/>"), Err(XmlError::Missing("object")));
    assert_eq!(
        imap("<operation name='add' flag='\\Recent'><object uid='1'/></operation>"),
        Err(XmlError::Value("flag"))
    );
    assert_eq!(
        imap("<operation name='add' flag='\\Seen'><object/></operation>"),
        Err(XmlError::Missing("message-id"))
    );
    assert_eq!(iw(""), Err(XmlError::Missing("failed-iw")));
    assert_eq!(iw(&format!("<failed-iw>{user}</failed-iw>")), Err(XmlError::Missing("message-id")));
    assert_eq!(iw("<ready-for-sms/>"), Err(XmlError::Missing("cpm-user-address")));
    assert_eq!(
        iw(&format!("<ready-for-sms>{user}</ready-for-sms><failed-iw/>")),
        Err(XmlError::Repeated("event"))
    );
    let activity = |text: &str| inside(&format!("<event-cpm-activity {text}</event-cpm-activity>"));
    assert_eq!(activity("type='request'><global/>"), Err(XmlError::Missing("id")));
    assert_eq!(activity("type='request' id='1'>"), Err(XmlError::Missing("global")));
    assert_eq!(activity("type='result' id='1'><global/>"), Err(XmlError::Missing("time")));
    assert_eq!(activity("type='push' id='1'><global time='-1'/>"), Err(XmlError::Value("time")));
    assert_eq!(activity("type='x' id='1'><global/>"), Err(XmlError::Value("type")));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        uid in proptest::option::of("[!-~]{1,8}"),
        folder_path in proptest::option::of("[!-~]([ -~é]{0,12}[!-~])?"),
        other_party in proptest::option::of("[!-~]{1,12}"),
        message_id in "[!-~]{1,20}",
        deleted: bool,
    ) {
        let object = Object { uid, folder_path, other_party, message_id: Some(message_id), ..Object::default() };
        let flag = if deleted { Flag::Deleted } else { Flag::Seen };
        let event = Event::Imap(vec![Operation { flag, objects: vec![object] }]);
        prop_assert_eq!(read(&write(&event).unwrap()), Ok(Some(event)));
    }

    #[test]
    fn no_edit_panics(at in 0usize..400, with in any::<u8>()) {
        let object = Object { message_id: Some(String::from("m")), ..Object::default() };
        let text = write(&Event::Imap(vec![Operation { flag: Flag::Seen, objects: vec![object] }])).unwrap();
        let mut octets = text.into_bytes();
        let length = octets.len();
        if let Some(octet) = octets.get_mut(at.checked_rem(length).unwrap_or(0)) {
            *octet = with;
        }
        let _ = parse(&octets, &Limits::DEFAULT);
    }
}
