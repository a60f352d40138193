use super::*;
use proptest::prelude::*;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n";

fn read(text: &str) -> Result<MessageInfo, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

fn text(text: &str) -> Option<String> {
    Some(String::from(text))
}

// req: J-6, J.1.1-root, J.1.1-message-list-1, J.1.1-message-list-2, J.1.1-message-1, J.1.1-message-2, J.1.1-message-3
// req: J.1.1-message-4, J.1.1-message-5, J.1.1-message-6, J.1.1-message-7, J.1.1-message-7.a, J.1.1-message-7.b.i
// req: J.1.1-message-7.b.ii, J.1.1-message-7.c, J.1.1-p4, J.1.1-recipient-list-1, J.1.1-recipient-list-2
#[test]
fn a_list_is_known_both_ways() {
    let whole = DeferredMessage {
        date_time: text("2026-11-21T10:00:00Z"),
        reference: text("sip:store@example.com;id=1"),
        size: Some(512),
        expiry: text("2026-11-22T10:00:00Z"),
        subject: text("Hi <you>"),
        profiles: text("work home"),
        info: Some(Info {
            from: String::from("\"Al\" <sip:al@example.com>"),
            recipients: Some(Recipients::One(String::from("<sip:bo@example.com>"))),
            authenticated: text("tel:+1"),
        }),
    };
    let grouped = DeferredMessage {
        info: Some(Info {
            from: String::from("sip:al@example.com"),
            recipients: Some(Recipients::List {
                group: text("sip:g@example.com"),
                group_display_name: text("G"),
                entries: vec![Recipient { uri: String::from("tel:+2"), display_name: text("Two") }],
            }),
            authenticated: None,
        }),
        ..DeferredMessage::default()
    };
    let list = MessageInfo::List(MessageList { number: Some(2), messages: vec![whole, grouped] });
    let expected = format!(
        "{DECLARATION}<message-list xmlns=\"urn:ietf:params:xml:ns:msginfo\" number=\"2\">\
         <message date-time=\"2026-11-21T10:00:00Z\" message-reference=\"sip:store@example.com;id=1\"><size>512</size>\
         <expiry>2026-11-22T10:00:00Z</expiry><subject>Hi &lt;you&gt;</subject><UPP-ID-list>work home</UPP-ID-list>\
         <info><from>&quot;Al&quot; &lt;sip:al@example.com&gt;</from><to>&lt;sip:bo@example.com&gt;</to>\
         <auth-id>tel:+1</auth-id></info></message>\
         <message><info><from>sip:al@example.com</from><recipient-list group-uri=\"sip:g@example.com\" \
         group-display-name=\"G\"><entry uri=\"tel:+2\"><display-name>Two</display-name></entry></recipient-list>\
         </info></message></message-list>"
    );
    assert_eq!(write(&list), expected);
    assert_eq!(read(&expected), Ok(list));
}

// req: K-root, K-1, K-2
#[test]
fn an_expiry_is_known_both_ways() {
    let expired = |uid: Option<&str>| {
        MessageInfo::Expired(MessageExpired {
            reference: String::from("sip:s@x;id=1"),
            uid: uid.map(String::from),
        })
    };
    let stored = format!("{DECLARATION}<message-expired message-reference=\"sip:s@x;id=1\" UID=\"42\"/>");
    let gone = format!("{DECLARATION}<message-expired message-reference=\"sip:s@x;id=1\"/>");
    assert_eq!(write(&expired(Some("42"))), stored);
    assert_eq!(write(&expired(None)), gone);
    assert_eq!(read(&stored), Ok(expired(Some("42"))));
    assert_eq!(read(&gone), Ok(expired(None)));
    let within = "<message-expired xmlns='urn:ietf:params:xml:ns:msginfo' message-reference='sip:s@x;id=1'/>";
    assert_eq!(read(within), Ok(expired(None)));
}

#[test]
fn faults_are_named() {
    let list =
        |attributes: &str, inside: &str| read(&format!("<message-list {attributes}>{inside}</message-list>"));
    assert_eq!(list("", ""), Ok(MessageInfo::List(MessageList::default())));
    assert_eq!(list("number='-1'", ""), Err(XmlError::Value("number")));
    assert_eq!(list("", "<message><size>big</size></message>"), Err(XmlError::Value("size")));
    assert_eq!(list("", "<message><info/></message>"), Err(XmlError::Missing("from")));
    let info = |inside: &str| list("", &format!("<message><info><from>x</from>{inside}</info></message>"));
    assert_eq!(info("<recipient-list/>"), Err(XmlError::Missing("entry")));
    assert_eq!(info("<recipient-list><entry/></recipient-list>"), Err(XmlError::Missing("uri")));
    assert_eq!(
        info("<to>a</to><recipient-list><entry uri='u'/></recipient-list>"),
        Err(XmlError::Repeated("to"))
    );
    assert_eq!(read("<message-expired/>"), Err(XmlError::Missing("message-reference")));
    assert_eq!(read("<message-list xmlns='urn:x'/>"), Err(XmlError::WrongRoot));
    assert_eq!(read("<messages/>"), Err(XmlError::WrongRoot));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        number in proptest::option::of(any::<u32>()),
        size in proptest::option::of(any::<u64>()),
        subject in proptest::option::of("\\PC{0,20}"),
        from in "[!-~]([ -~]{0,20}[!-~])?",
    ) {
        let info = Some(Info { from, recipients: None, authenticated: None });
        let message = DeferredMessage { size, subject, info, ..DeferredMessage::default() };
        let value = MessageInfo::List(MessageList { number, messages: vec![message] });
        prop_assert_eq!(read(&write(&value)), Ok(value));
    }
}
