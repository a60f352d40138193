use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<ResourceLists, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

#[test]
fn a_document_is_known_both_ways() {
    let entry = Entry {
        display_name: Some(DisplayName {
            text: String::from("Bill & Co"),
            language: Some(String::from("en")),
        }),
        anonymize: true,
        count: Some(2),
        ..Entry::new("sip:bill@example.com").with_copy_control(CopyControl::To)
    };
    let inner = List {
        name: Some(String::from("in")),
        items: vec![Item::EntryRef(String::from("a/b"))],
        ..List::default()
    };
    let value = ResourceLists {
        lists: vec![
            List {
                items: vec![Item::Entry(entry), Item::List(inner), Item::External(None)],
                ..List::default()
            },
            List::default(),
        ],
    };
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
        <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\" xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\">\
        <list><entry uri=\"sip:bill@example.com\" cp:copyControl=\"to\" cp:anonymize=\"true\" cp:count=\"2\">\
        <display-name xml:lang=\"en\">Bill &amp; Co</display-name></entry>\
        <list name=\"in\"><entry-ref ref=\"a/b\"/></list><external/></list><list/></resource-lists>";
    assert_eq!(write(&value), text);
    assert_eq!(read(text), Ok(value));
}

#[test]
fn entries_of_inner_lists_are_found_in_their_order() {
    let text = "<resource-lists xmlns='urn:ietf:params:xml:ns:resource-lists'><list><entry uri='sip:a@x'/>\
        <list><list><entry uri='sip:b@x'/></list><external anchor='y'/></list><entry uri='sip:c@x'/></list>\
        <list><entry uri='sip:d@x'/></list></resource-lists>";
    let lists = read(text).unwrap();
    let uris: Vec<_> = lists.entries().map(|entry| entry.uri.as_str()).collect();
    assert_eq!(uris, ["sip:a@x", "sip:b@x", "sip:c@x", "sip:d@x"]);
    assert!(lists.contains("sip:b@x"));
    assert!(!lists.contains("sip:b@y"));
}

#[test]
fn what_is_to_be_done_stands_in_the_uri() {
    let entry = Entry::with_action("sip:store@example.com;id=7", CpmAction::Deliver);
    assert_eq!(entry.uri, "sip:store@example.com;id=7?cpm_action=deliver");
    assert_eq!(entry.action(), Ok(Some(CpmAction::Deliver)));
    assert_eq!(entry.bare_uri(), "sip:store@example.com;id=7");
    let entry = Entry::with_action("sip:x@example.com?method=INVITE", CpmAction::Store);
    assert_eq!((entry.method(), entry.action()), (Some("INVITE"), Ok(Some(CpmAction::Store))));
    for action in CpmAction::ALL {
        assert_eq!(Entry::with_action("sip:x@y", action).action(), Ok(Some(action)));
    }
    assert_eq!(Entry::new("sip:x@y?cpm_action=burn").action(), Err("burn"));
    assert_eq!(Entry::new("sip:x@y").action(), Ok(None));
}

#[test]
fn copy_control_is_read_as_the_rfcs_write_it() {
    for namespace in ["urn:ietf:params:xml:ns:copycontrol", "urn:ietf:params:xml:ns:copyControl"] {
        let text = format!(
            "<resource-lists xmlns='urn:ietf:params:xml:ns:resource-lists' xmlns:z='{namespace}'>\
             <list><entry uri='sip:a@x' z:copyControl='cc' z:anonymize='1'/></list></resource-lists>"
        );
        let lists = read(&text).unwrap();
        let entry = lists.entries().next().unwrap();
        assert_eq!((entry.copy_control, entry.anonymize), (Some(CopyControl::Cc), true));
    }
}

#[test]
fn faults_are_named() {
    let entry = |attributes: &str| {
        read(&format!(
            "<resource-lists xmlns='{NAMESPACE}' xmlns:cp='{COPY_CONTROL_NAMESPACE}'><list><entry {attributes}/></list></resource-lists>"
        ))
    };
    assert_eq!(entry(""), Err(XmlError::Missing("uri")));
    assert_eq!(entry("uri=' '"), Err(XmlError::Missing("uri")));
    assert_eq!(entry("uri='sip:a@x' cp:copyControl='both'"), Err(XmlError::Value("copyControl")));
    assert_eq!(entry("uri='sip:a@x' cp:anonymize='maybe'"), Err(XmlError::Value("anonymize")));
    assert_eq!(entry("uri='sip:a@x' cp:count='-1'"), Err(XmlError::Value("count")));
    assert_eq!(
        read("<resource-list xmlns='urn:ietf:params:xml:ns:resource-lists'/>"),
        Err(XmlError::WrongRoot)
    );
}

fn entries() -> impl Strategy<Value = Entry> {
    let control = prop_oneof![
        Just(None),
        Just(Some(CopyControl::To)),
        Just(Some(CopyControl::Cc)),
        Just(Some(CopyControl::Bcc))
    ];
    let name = proptest::option::of(("[ -~é]{0,12}", proptest::option::of("[a-z]{2}")));
    ("[!-~]{1,20}", control, any::<bool>(), proptest::option::of(any::<u32>()), name).prop_map(
        |(uri, copy_control, anonymize, count, name)| Entry {
            uri,
            display_name: name.map(|(text, language)| DisplayName { text, language }),
            copy_control,
            anonymize,
            count,
        },
    )
}

fn lists() -> impl Strategy<Value = List> {
    let name = proptest::option::of("[ -~]{0,8}");
    let leaf = (name, proptest::collection::vec(entries().prop_map(Item::Entry), 0..4))
        .prop_map(|(name, items)| List { name, display_name: None, items });
    leaf.prop_recursive(3, 12, 3, |inner| {
        proptest::collection::vec(
            prop_oneof![
                inner.prop_map(Item::List),
                entries().prop_map(Item::Entry),
                "[!-~]{1,9}".prop_map(Item::EntryRef),
                Just(Item::External(None)),
            ],
            0..4,
        )
        .prop_map(|items| List { items, ..List::default() })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(lists in proptest::collection::vec(lists(), 0..3)) {
        let value = ResourceLists { lists };
        prop_assert_eq!(read(&write(&value)), Ok(value));
    }
}
