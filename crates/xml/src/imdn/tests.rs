#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use crate::{Limits, XmlError};
use cpm_base::LimitExceeded;
use proptest::prelude::*;

fn limits() -> Limits {
    Limits::default()
}

fn strict(document: &str) -> Result<Imdn, XmlError> {
    parse_with(document.as_bytes(), &limits(), Leniency::default()).map(|(imdn, _)| imdn)
}

fn field(document: &str) -> Result<(Imdn, Vec<Tolerated>), XmlError> {
    parse_with(document.as_bytes(), &limits(), Leniency::field())
}

/// A strict document around what comes behind `<datetime>`.
fn document(rest: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<imdn xmlns=\"{NAMESPACE}\"><message-id>34jk324j</message-id>\
         <datetime>2008-04-04T12:16:49-05:00</datetime>{rest}</imdn>"
    )
}

const DELIVERED: &str = "<delivery-notification><status><delivered/></status></delivery-notification>";

#[test]
fn the_written_form_is_pinned() {
    let imdn = Imdn::new("a&b", "2026-11-21T10:00:00Z", Notification::Display(DisplayStatus::Displayed))
        .with_recipient_uri("sip:bob@example.com")
        .with_original_recipient_uri("sip:list@example.com")
        .with_subject("<hi>", Some("en"));
    assert_eq!(
        write(&imdn),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\
         <message-id>a&amp;b</message-id><datetime>2026-11-21T10:00:00Z</datetime>\
         <recipient-uri>sip:bob@example.com</recipient-uri>\
         <original-recipient-uri>sip:list@example.com</original-recipient-uri>\
         <subject xml:lang=\"en\">&lt;hi&gt;</subject>\
         <display-notification><status><displayed/></status></display-notification></imdn>"
    );
    assert_eq!(strict(&write(&imdn)), Ok(imdn));
}

#[test]
fn every_status_of_the_schema_is_known() {
    let cases = [
        ("delivery", "delivered", Notification::Delivery(DeliveryStatus::Delivered)),
        ("delivery", "failed", Notification::Delivery(DeliveryStatus::Failed)),
        ("delivery", "forbidden", Notification::Delivery(DeliveryStatus::Forbidden)),
        ("delivery", "error", Notification::Delivery(DeliveryStatus::Error)),
        ("display", "displayed", Notification::Display(DisplayStatus::Displayed)),
        ("display", "forbidden", Notification::Display(DisplayStatus::Forbidden)),
        ("display", "error", Notification::Display(DisplayStatus::Error)),
        ("processing", "processed", Notification::Processing(ProcessingStatus::Processed)),
        ("processing", "stored", Notification::Processing(ProcessingStatus::Stored)),
        ("processing", "Stored", Notification::Processing(ProcessingStatus::Other("Stored".into()))),
        ("interworking", "legacy-sms", Notification::Interworking(InterworkingStatus::LegacySms)),
        ("interworking", "legacy-mms", Notification::Interworking(InterworkingStatus::LegacyMms)),
        ("interworking", "error", Notification::Interworking(InterworkingStatus::Error)),
    ];
    for (kind, status, expected) in cases {
        let text =
            document(&format!("<{kind}-notification><status><{status}/></status></{kind}-notification>"));
        assert_eq!(strict(&text).unwrap().notification, expected, "{kind} {status}");
    }
}

#[test]
fn prefixes_and_strangers_do_not_matter() {
    let text = format!(
        "<!-- c --><i:imdn xmlns:i='{NAMESPACE}' xmlns:x='urn:x'><x:a><i:message-id>no</i:message-id></x:a>\
         <i:datetime>d</i:datetime><i:message-id><![CDATA[<&]]>&#x41;&lt;</i:message-id>\
         <i:delivery-notification><i:status><x:why/><i:failed/></i:status></i:delivery-notification></i:imdn> "
    );
    let imdn = strict(&text).unwrap();
    assert_eq!(imdn.message_id, "<&A<");
    assert_eq!(imdn.notification, Notification::Delivery(DeliveryStatus::Failed));
    let alone =
        document("<delivery-notification><status><p:odd xmlns:p='urn:p'/></status></delivery-notification>");
    assert_eq!(
        strict(&alone).unwrap().notification,
        Notification::Delivery(DeliveryStatus::Other("odd".into()))
    );
}

// req: O-p1, O-p2, O-p3, O.2-schema
#[test]
fn interworking_is_written_as_appendix_o_wants() {
    for (status, element) in [
        (InterworkingStatus::LegacySms, "legacy-sms"),
        (InterworkingStatus::LegacyMms, "legacy-mms"),
        (InterworkingStatus::Error, "error"),
        (InterworkingStatus::Forbidden, "forbidden"),
    ] {
        let imdn = Imdn::new("1", "x", Notification::Interworking(status));
        let expected = format!(
            "<interworking-notification xmlns=\"urn:oma:xml:cpm:imdn-extensions:1.0\"><status><{element}/></status>\
             </interworking-notification></imdn>"
        );
        assert!(write(&imdn).ends_with(&expected), "{element}");
        assert_eq!(strict(&write(&imdn)), Ok(imdn));
    }
}

#[test]
fn interworking_is_read_wherever_the_specification_puts_it() {
    let sms = Notification::Interworking(InterworkingStatus::LegacySms);
    for ns in
        ["urn:oma:xml:cpm:imdn-extensions:1.0", "urn:oma:xml:cpm:imdn:1.0", " urn:oma:xml:cpm:imdn:1.0 ", ""]
    {
        let beside = document(&format!(
            "{DELIVERED}<interworking-notification xmlns='{ns}'><status><legacy-sms/></status></interworking-notification>"
        ));
        let inside = document(&format!(
            "<delivery-notification><status><delivered/><interworking-notification xmlns='{ns}'><legacy-sms/>\
             </interworking-notification></status></delivery-notification>"
        ));
        for text in [beside, inside] {
            let imdn = strict(&text).unwrap();
            assert_eq!(imdn.notification, Notification::Delivery(DeliveryStatus::Delivered), "{text}");
            assert_eq!(imdn.further, std::slice::from_ref(&sms), "{text}");
        }
        let only = document(&format!(
            "<delivery-notification><status><interworking-notification xmlns='{ns}'><status><legacy-sms/></status>\
             </interworking-notification></status></delivery-notification>"
        ));
        let imdn = strict(&only).unwrap();
        assert_eq!((imdn.notification, imdn.further), (sms.clone(), vec![]), "{only}");
    }
    let foreign = document(
        "<interworking-notification xmlns='urn:x'><status><legacy-sms/></status></interworking-notification>",
    );
    assert_eq!(strict(&foreign), Err(XmlError::Missing("delivery-notification")));
}

// interop: in-the-wild IMDN oddities
#[test]
fn oddities_of_the_field_are_read_and_named() {
    let as_text = document("<display-notification><status> displayed </status></display-notification>");
    assert_eq!(strict(&as_text), Err(XmlError::UnexpectedText));
    let (imdn, tolerated) = field(&as_text).unwrap();
    assert_eq!(imdn.notification, Notification::Display(DisplayStatus::Displayed));
    assert_eq!(tolerated, [Tolerated::StatusAsText]);

    let short = format!(
        "<imdn xmlns='{NAMESPACE}'><message-id>1</message-id>\
         <delivery-notification><status><failed/></status></delivery-notification></imdn>"
    );
    assert_eq!(strict(&short), Err(XmlError::Missing("datetime")));
    let (imdn, tolerated) = field(&short).unwrap();
    assert_eq!((imdn.datetime, tolerated), (None, vec![Tolerated::MissingDatetime]));

    let unqualified = document(DELIVERED).replace(&format!(" xmlns=\"{NAMESPACE}\""), "");
    assert_eq!(strict(&unqualified), Err(XmlError::WrongRoot));
    let (imdn, tolerated) = field(&unqualified).unwrap();
    assert_eq!(imdn.notification, Notification::Delivery(DeliveryStatus::Delivered));
    assert_eq!(tolerated, [Tolerated::NoNamespace]);
    assert_eq!(parse(unqualified.as_bytes(), &limits()), Ok(imdn));

    // A blank before the id is allowed by its type, so nobody has to be lenient.
    let padded = document(DELIVERED).replace(">34jk324j", "> 34jk324j\r\n");
    assert_eq!(strict(&padded).unwrap().message_id, "34jk324j");
}

#[test]
fn dates_of_the_field_are_dates() {
    let dated =
        |text: &str| Imdn::new("1", text, Notification::Delivery(DeliveryStatus::Delivered)).date_time();
    let date = |text: &str| Some(DateTime::parse(text).unwrap());
    assert_eq!(dated("2008-04-04T12:16:49-05:00"), date("2008-04-04T12:16:49-05:00"));
    assert_eq!(dated("2008-04-04T12:16:49"), date("2008-04-04T12:16:49Z"));
    assert_eq!(dated(" 2008-04-04T12:16:49.1234567Z"), date("2008-04-04T12:16:49.1234567Z"));
    assert_eq!(dated("yesterday"), None);
}

#[test]
fn what_is_missing_or_twice_is_refused() {
    let missing = |document: &str, what| {
        assert_eq!(field(document).map(drop), Err(XmlError::Missing(what)), "{document}")
    };
    missing(&document(""), "delivery-notification");
    missing(&document("<delivery-notification/>"), "status");
    missing(&document("<delivery-notification><status> </status></delivery-notification>"), "status");
    missing(&document(DELIVERED).replace("34jk324j", " "), "message-id");
    missing(&document(DELIVERED).replace("message-id", "message-ID"), "message-id");
    let twice = |rest: &str, what| {
        assert_eq!(field(&document(rest)).map(drop), Err(XmlError::Repeated(what)), "{rest}")
    };
    twice("<message-id>2</message-id>", "message-id");
    twice("<datetime/>", "datetime");
    twice(&format!("{DELIVERED}{DELIVERED}"), "delivery-notification");
    twice("<delivery-notification><status><delivered/><failed/></status></delivery-notification>", "status");
    let mixed = "<delivery-notification><status><delivered/>failed</status></delivery-notification>";
    assert_eq!(field(&document(mixed)).map(drop), Err(XmlError::UnexpectedText));
    assert_eq!(field(&document("text")).map(drop), Err(XmlError::UnexpectedText));
    let inside = document(DELIVERED).replace("34jk324j", "34<b/>jk");
    assert_eq!(field(&inside).map(drop), Err(XmlError::Malformed("an element inside plain text")));
    let root = document(DELIVERED).replace("imdn>", "imdm>").replace("<imdn ", "<imdm ");
    assert_eq!(field(&root).map(drop), Err(XmlError::WrongRoot));
}

/// What XML allows and nobody needs, and what only looks like XML. threats: A11 to A13, A16
#[test]
fn dangerous_documents_are_refused() {
    let base = document(DELIVERED);
    let before_root = |text: &str| base.replace("<imdn", &format!("{text}<imdn"));
    let in_root = |text: &str| document(&format!("{DELIVERED}{text}"));
    let root_attrs = |text: &str| base.replace("<imdn ", &format!("<imdn {text} "));
    let cases = [
        (before_root("<!DOCTYPE imdn>"), XmlError::DocumentType),
        (before_root("<!DOCTYPE imdn [<!ENTITY a 'b'>]>"), XmlError::DocumentType),
        (before_root("<?php x?>"), XmlError::ProcessingInstruction),
        (in_root("<?x y?>"), XmlError::ProcessingInstruction),
        (format!(" {base}"), XmlError::ProcessingInstruction),
        (before_root("x"), XmlError::TextOutsideRoot),
        (before_root("<![CDATA[ ]]>"), XmlError::TextOutsideRoot),
        (before_root("&#32;"), XmlError::TextOutsideRoot),
        (format!("{base}x"), XmlError::TextOutsideRoot),
        (format!("{base}<imdn/>"), XmlError::SecondRoot),
        (base.replace("34jk324j", "&nbsp;"), XmlError::Entity),
        (base.replace("34jk324j", "&#0;"), XmlError::Character),
        (base.replace("34jk324j", "&#x1;"), XmlError::Character),
        (base.replace("34jk324j", "\0"), XmlError::Character),
        (base.replace("34jk324j", "\u{fffe}"), XmlError::Character),
        (base.replace("34jk324j", "]]>"), XmlError::Malformed("]]> in text")),
        (in_root("<x:y/>"), XmlError::Namespace),
        (root_attrs("x:a='b'"), XmlError::Namespace),
        (root_attrs("xmlns:x=''"), XmlError::Namespace),
        (root_attrs("xmlns:xml='urn:x'"), XmlError::Namespace),
        (root_attrs("xmlns:xmlns='urn:x'"), XmlError::Namespace),
        (root_attrs("xmlns:x='urn&#58;x'"), XmlError::Namespace),
        (root_attrs("a='1' a='2'"), XmlError::Attribute),
        (root_attrs("xmlns:p='urn:x' xmlns:q='urn:x' p:a='1' q:a='2'"), XmlError::Attribute),
        (root_attrs("xmlns:p='urn:x' xmlns:p='urn:y'"), XmlError::Attribute),
        (root_attrs("a='1'b='2'"), XmlError::Attribute),
        (root_attrs("a=1"), XmlError::Attribute),
        (root_attrs("a"), XmlError::Attribute),
        (root_attrs("a='<'"), XmlError::Attribute),
        (root_attrs("1a='x'"), XmlError::Attribute),
        (root_attrs("a='&b;'"), XmlError::Entity),
        (root_attrs("a='&#1;'"), XmlError::Character),
        (in_root("<1/>"), XmlError::Name),
        (in_root("<a:b:c/>"), XmlError::Name),
        (in_root("<:c/>"), XmlError::Name),
        (base.replace("1.0", "1.1"), XmlError::Version),
        (base.replace("UTF-8", "UTF-16"), XmlError::NotUtf8),
        (String::new(), XmlError::Unfinished),
        (String::from("<?xml version=\"1.0\"?>"), XmlError::Unfinished),
        (base.replace("</imdn>", ""), XmlError::Unfinished),
    ];
    assert!(field(&base).is_ok());
    for (document, error) in cases {
        assert_eq!(field(&document).map(drop), Err(error), "{document}");
    }
    for malformed in
        ["</a>", "<a></b>", "<a", "<!-- -- -->", "<!--", "<![CDATA[", "<", "<!x>", "&", "&amp", "<a b='"]
    {
        assert!(field(&in_root(malformed)).is_err(), "{malformed}");
    }
    let mut bytes = base.clone().into_bytes();
    bytes[60] = 0xff;
    assert_eq!(parse(&bytes, &limits()), Err(XmlError::NotUtf8));
    let with_mark = format!("\u{feff}{base}");
    assert!(field(&with_mark).is_ok());
}

/// Threats A5, A11, A13: one more than each limit is refused, the limit itself is not.
#[test]
fn every_limit_holds_to_the_one() {
    let nested = |n: usize| document(&format!("{DELIVERED}{}{}", "<x>".repeat(n), "</x>".repeat(n)));
    let attrs = |n: usize| {
        let all: String = (0..n).map(|i| format!(" a{i}=''")).collect();
        document(&format!("{DELIVERED}<x{all}/>"))
    };
    let spaces = |n: usize| {
        let all: String = (0..n).map(|i| format!(" xmlns:a{i}='urn:{i}'")).collect();
        document(&format!("{DELIVERED}<x{all}/>"))
    };
    let limit = |limit, value, max| Err(XmlError::Limit(LimitExceeded { limit, value, max }));
    assert!(field(&nested(31)).is_ok());
    assert_eq!(field(&nested(32)), limit("xml.max_depth", 33, 32));
    assert!(field(&attrs(64)).is_ok());
    assert_eq!(field(&attrs(65)), limit("xml.max_attrs", 65, 64));
    assert!(field(&spaces(31)).is_ok());
    assert_eq!(field(&spaces(32)), limit("xml.max_ns", 33, 32));
    let base = document(DELIVERED);
    let exact = Limits { max_bytes: base.len(), ..limits() };
    assert!(parse(base.as_bytes(), &exact).is_ok());
    let short = Limits { max_bytes: base.len() - 1, ..limits() };
    assert!(matches!(parse(base.as_bytes(), &short), Err(XmlError::Limit(l)) if l.limit == "xml.max_bytes"));
    assert!(limits().validate().is_ok());
    for (broken, name) in [
        (Limits { max_bytes: 0, ..limits() }, "xml.max_bytes"),
        (Limits { max_depth: 0, ..limits() }, "xml.max_depth"),
        (Limits { max_attrs: 0, ..limits() }, "xml.max_attrs"),
        (Limits { max_ns: 0, ..limits() }, "xml.max_ns"),
    ] {
        assert_eq!(broken.validate().unwrap_err().0, name);
    }
}

/// threats: A11, P1
#[test]
#[allow(clippy::disallowed_methods)]
fn a_small_stack_is_enough_for_deep_documents() {
    let work = || {
        let open = Limits { max_bytes: 1 << 20, max_depth: usize::MAX, ..limits() };
        let deep = document(&format!("{DELIVERED}{}{}", "<a>".repeat(60_000), "</a>".repeat(60_000)));
        assert!(parse(deep.as_bytes(), &open).is_ok());
        let unclosed = document(&"<a>".repeat(300_000));
        let countable =
            Err(XmlError::Limit(LimitExceeded { limit: "xml.max_depth", value: 65_536, max: 65_535 }));
        assert_eq!(parse(unclosed.as_bytes(), &open), countable);
        assert!(parse(unclosed.as_bytes(), &limits()).is_err());
    };
    std::thread::Builder::new().stack_size(64 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn no_prefix_of_a_document_is_one() {
    let whole = document(DELIVERED);
    for end in 0..whole.len() {
        assert!(parse(&whole.as_bytes()[..end], &limits()).is_err(), "{end}");
    }
}

fn a_text() -> impl Strategy<Value = String> {
    "[ -~\u{e4}\u{1f600}]{0,12}".prop_map(|text| text.trim().to_string())
}

fn a_notification() -> impl Strategy<Value = Notification> {
    let status = prop_oneof![
        Just("delivered".to_string()),
        Just("displayed".to_string()),
        Just("legacy-mms".to_string()),
        Just("error".to_string()),
        "[a-z][a-z0-9-]{0,8}",
        "[!-~]{1,8}",
    ];
    (0..4_usize, status).prop_map(|(kind, status)| Kind::ALL[kind].notification(&status))
}

prop_compose! {
    fn an_imdn()(
        message_id in "[!-~]{1,40}",
        datetime in proptest::option::of("[!-~]{1,30}"),
        recipient_uri in proptest::option::of(a_text()),
        original_recipient_uri in proptest::option::of(a_text()),
        subject in proptest::option::of(("[ -~\\t\\r\\n]{0,20}", proptest::option::of("[a-z\\t&\"]{0,5}"))),
        notification in a_notification(),
    ) -> Imdn {
        let subject = subject.map(|(text, language)| Subject { text, language });
        Imdn { message_id, datetime, recipient_uri, original_recipient_uri, subject, notification, further: vec![] }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(imdn in an_imdn()) {
        prop_assert_eq!(parse(write(&imdn).as_bytes(), &limits()), Ok(imdn));
    }

    #[test]
    fn whatever_the_values_the_document_is_well_formed(id in ".{1,20}", subject in ".*", status in ".{1,9}") {
        let imdn = Imdn::new(&format!("x{id}"), "d", Notification::Delivery(DeliveryStatus::Other(format!("s{status}"))))
            .with_subject(&subject, Some(&id));
        prop_assert!(parse(write(&imdn).as_bytes(), &limits()).is_ok());
    }

    #[test]
    fn no_octets_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &limits());
    }

    #[test]
    fn no_edit_of_a_document_panics(at in 0..400_usize, with in "[<>&;!?/'\"= a:x#\\[\\]-]{0,6}") {
        let mut text = document(DELIVERED);
        text.insert_str(at.min(text.len()), &with);
        let _ = field(&text);
    }
}
