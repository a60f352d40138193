use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<RegInfo, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

#[test]
fn a_document_is_known_both_ways() {
    let contact = Contact {
        expires: Some(7_200),
        q: Some(String::from("0.8")),
        call_id: Some(String::from("c@x")),
        cseq: Some(9),
        display_name: Some(DisplayName { text: String::from("Phone"), language: None }),
        params: vec![(String::from("+sip.instance"), String::from("\"<urn:uuid:1>\""))],
        pub_gruu: Some(String::from("sip:a@x;gr=1")),
        temp_gruu: Some((String::from("sip:t@x;gr"), 7)),
        ..Contact::new("76", "sip:a@192.0.2.1", ContactEvent::Registered)
    };
    let registration = Registration {
        aor: String::from("sip:a@x"),
        id: String::from("as9"),
        state: RegistrationState::Active,
        contacts: vec![contact],
    };
    let value = RegInfo { version: 3, partial: true, registrations: vec![registration] };
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" \
        xmlns:gr=\"urn:ietf:params:xml:ns:gruuinfo\" version=\"3\" state=\"partial\">\
        <registration aor=\"sip:a@x\" id=\"as9\" state=\"active\"><contact id=\"76\" state=\"active\" \
        event=\"registered\" expires=\"7200\" q=\"0.8\" callid=\"c@x\" cseq=\"9\"><uri>sip:a@192.0.2.1</uri>\
        <display-name>Phone</display-name>\
        <unknown-param name=\"+sip.instance\">&quot;&lt;urn:uuid:1&gt;&quot;</unknown-param>\
        <gr:pub-gruu uri=\"sip:a@x;gr=1\"/><gr:temp-gruu uri=\"sip:t@x;gr\" first-cseq=\"7\"/></contact>\
        </registration></reginfo>";
    assert_eq!(write(&value), text);
    assert_eq!(read(text).as_ref(), Ok(&value));
    let contact = value.registrations.first().and_then(|known| known.contacts.first()).unwrap();
    assert_eq!(contact.instance(), Some("urn:uuid:1"));
    assert_eq!(contact.param("+SIP.INSTANCE"), Some("\"<urn:uuid:1>\""));
}

#[test]
fn faults_are_named() {
    let root = |attributes: &str| read(&format!("<reginfo xmlns='{NAMESPACE}' {attributes}/>"));
    assert_eq!(root("state='full'"), Err(XmlError::Missing("version")));
    assert_eq!(root("version='0'"), Err(XmlError::Missing("state")));
    assert_eq!(root("version='-1' state='full'"), Err(XmlError::Value("version")));
    assert_eq!(root("version='0' state='deleted'"), Err(XmlError::Value("state")));
    let contact = |text: &str| {
        read(&format!(
            "<reginfo xmlns='{NAMESPACE}' xmlns:gr='{GRUU_NAMESPACE}' version='0' state='full'>\
             <registration aor='a' id='i' state='active'>{text}</registration></reginfo>"
        ))
    };
    assert_eq!(
        contact("<contact state='active' event='created'><uri>u</uri></contact>"),
        Err(XmlError::Missing("id"))
    );
    assert_eq!(contact("<contact id='1' state='gone' event='created'/>"), Err(XmlError::Value("state")));
    assert_eq!(contact("<contact id='1' state='active' event='created'/>"), Err(XmlError::Missing("uri")));
    assert_eq!(
        contact("<contact id='1' state='active' event='created' expires='soon'><uri>u</uri></contact>"),
        Err(XmlError::Value("expires"))
    );
    assert_eq!(
        contact(
            "<contact id='1' state='active' event='created'><uri>u</uri><gr:temp-gruu uri='t'/></contact>"
        ),
        Err(XmlError::Missing("first-cseq"))
    );
    assert_eq!(read("<reginfo version='0' state='full'/>"), Err(XmlError::WrongRoot));
}

fn document(version: u64, partial: bool, contacts: &[(&str, bool)]) -> RegInfo {
    let contacts = contacts.iter().map(|(id, active)| Contact {
        active: *active,
        ..Contact::new(id, &format!("sip:{id}@x"), ContactEvent::Registered)
    });
    let state = RegistrationState::Active;
    let registration = Registration {
        aor: String::from("sip:a@x"),
        id: String::from("r"),
        state,
        contacts: contacts.collect(),
    };
    RegInfo { version, partial, registrations: vec![registration] }
}

fn ids(merged: &Merged) -> Vec<&str> {
    merged.registrations().flat_map(|known| &known.contacts).map(|contact| contact.id.as_str()).collect()
}

/// Threat D4: what is old changes nothing, and a gap is told.
#[test]
fn documents_amount_to_the_contacts_that_are_bound() {
    let mut merged = Merged::new(StateLimits::default());
    assert_eq!(merged.apply(document(0, true, &[("z", true)])), Ok(Applied::Gap));
    assert_eq!(merged.apply(document(0, false, &[("a", true), ("b", true)])), Ok(Applied::Changed));
    assert_eq!(merged.apply(document(1, true, &[("a", false), ("c", true)])), Ok(Applied::Changed));
    assert_eq!(ids(&merged), ["b", "c"]);
    assert_eq!(merged.apply(document(1, true, &[("d", true)])), Ok(Applied::Ignored));
    assert_eq!(merged.apply(document(0, false, &[("d", true)])), Ok(Applied::Ignored));
    assert_eq!((ids(&merged), merged.version()), (vec!["b", "c"], Some(1)));
    assert_eq!(merged.apply(document(3, true, &[("d", true)])), Ok(Applied::Gap));
    assert_eq!((ids(&merged), merged.version()), (vec!["b", "c", "d"], Some(3)));
    assert_eq!(merged.apply(document(9, false, &[("e", true), ("f", false)])), Ok(Applied::Changed));
    assert_eq!(ids(&merged), ["e"]);
    let mut over = document(10, true, &[]);
    over.registrations.iter_mut().for_each(|known| known.state = RegistrationState::Terminated);
    assert_eq!(merged.apply(over), Ok(Applied::Changed));
    assert_eq!(merged.registrations().count(), 0);
}

#[test]
fn the_state_is_bounded_and_stays_as_it_was() {
    let mut merged = Merged::new(StateLimits { max_registrations: 1, max_contacts: 2 });
    merged.apply(document(0, false, &[("a", true)])).unwrap();
    let refused = merged.apply(document(1, true, &[("b", true), ("c", true)])).unwrap_err();
    assert_eq!(refused.limit, "reginfo.max_contacts");
    let mut two = document(1, true, &[]);
    two.registrations
        .push(Registration { id: String::from("s"), ..two.registrations.first().unwrap().clone() });
    assert_eq!(merged.apply(two).unwrap_err().limit, "reginfo.max_registrations");
    assert_eq!((ids(&merged), merged.version()), (vec!["a"], Some(0)));
    merged.apply(document(1, true, &[("b", true)])).unwrap();
    assert_eq!(ids(&merged), ["a", "b"]);
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        version: u64,
        partial: bool,
        uri in "[!-~]{1,20}",
        name in "[!-~]{1,9}",
        value in "([!-~]([ -~]{0,9}[!-~])?)?",
        expires in proptest::option::of(any::<u64>()),
        gruu in proptest::option::of(("[!-~]{1,9}", any::<u64>())),
    ) {
        let contact = Contact {
            expires,
            params: vec![(name, value)],
            temp_gruu: gruu,
            ..Contact::new("1", &uri, ContactEvent::Other(String::from("moved")))
        };
        let mut info = document(version, partial, &[]);
        info.registrations.iter_mut().for_each(|known| known.contacts.push(contact.clone()));
        prop_assert_eq!(read(&write(&info)), Ok(info));
    }
}
