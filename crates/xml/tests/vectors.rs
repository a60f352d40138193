//! The XML examples of the RFCs. The corpus lives outside the repository; where it is missing this says so and checks
//! nothing.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::panic)]

use cpm_xml::imdn::{DeliveryStatus, Leniency, Notification, parse_with, write};
use cpm_xml::{Limits, XmlError, conference_info, is_composing, reginfo, resource_lists};
use std::fmt::Debug;
use std::path::PathBuf;

/// The value of a document; what is written of it is read as the same value.
fn there_and_back<T: Debug + PartialEq>(
    name: &str,
    document: &[u8],
    parse: impl Fn(&[u8], &Limits) -> Result<T, XmlError>,
    write: impl Fn(&T) -> String,
) -> T {
    let limits = Limits::default();
    let value = parse(document, &limits).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(parse(write(&value).as_bytes(), &limits).as_ref(), Ok(&value), "{name}");
    value
}

/// What an example of one of our documents says, in a word; `None` where it is another document.
fn said(name: &str, document: &[u8]) -> Option<String> {
    let said = match name.split('-').next()? {
        "rfc3994" => {
            let read = there_and_back(name, document, is_composing::parse, is_composing::write);
            format!("{:?} {:?} {:?}", read.state, read.refresh, read.content_type.as_deref())
        }
        "rfc3680" | "rfc5628" => {
            let read = there_and_back(name, document, reginfo::parse, reginfo::write);
            let contacts = read.registrations.iter().flat_map(|registration| &registration.contacts);
            let gruus = contacts.clone().filter(|contact| contact.pub_gruu.is_some()).count();
            format!(
                "{} registrations, {} contacts, {gruus} GRUUs",
                read.registrations.len(),
                contacts.count()
            )
        }
        "rfc4575" => {
            let read = there_and_back(name, document, conference_info::parse, conference_info::write);
            let users = read.users.unwrap_or_default().users;
            let endpoints: usize = users.iter().map(|user| user.endpoints.len()).sum();
            format!("{:?} {:?}, {} users, {endpoints} endpoints", read.state, read.version, users.len())
        }
        // Of these, those that are lists of addresses.
        "rfc4826" | "rfc5364" | "rfc5366" | "rfc5367" | "rfc5368" => {
            if resource_lists::parse(document, &Limits::default()) == Err(XmlError::WrongRoot) {
                return None;
            }
            let read = there_and_back(name, document, resource_lists::parse, resource_lists::write);
            let controlled = read.entries().filter(|entry| entry.copy_control.is_some()).count();
            format!("{} entries, {controlled} controlled", read.entries().count())
        }
        _ => return None,
    };
    Some(said)
}

#[test]
fn the_examples_of_our_documents_say_what_they_say() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/rfc-examples");
    let Ok(table) = std::fs::read_to_string(folder.join("expectations.tsv")) else {
        println!("not run: no corpus at {}", folder.display());
        return;
    };
    let mut found = Vec::new();
    for row in table.lines().map(|line| line.split('\t').collect::<Vec<_>>()) {
        let [name, "xml", "valid", ..] = row[..] else { continue };
        let document = std::fs::read(folder.join(name)).unwrap();
        if let Some(said) = said(name, &document) {
            found.push(format!("{name}: {said}"));
        }
    }
    assert_eq!(found, EXAMPLES);
}

const EXAMPLES: [&str; 13] = [
    "rfc3680-sec5.3-1.xml: 1 registrations, 2 contacts, 0 GRUUs",
    "rfc3994-sec5-1.xml: Active Some(90) Some(\"text/plain\")",
    "rfc3994-sec5-2.xml: Idle None Some(\"audio\")",
    "rfc4575-sec7.1-1.xml: Full Some(1), 2 users, 2 endpoints",
    "rfc4575-sec7.2-1.xml: Partial Some(5), 1 users, 1 endpoints",
    "rfc4826-sec3.3-1.xml: 3 entries, 0 controlled",
    "rfc5364-sec6-1.xml: 7 entries, 7 controlled",
    "rfc5364-sec6-2.xml: 4 entries, 4 controlled",
    "rfc5366-sec4-1.xml: 3 entries, 3 controlled",
    "rfc5367-sec4-1.xml: 3 entries, 0 controlled",
    "rfc5367-sec7-1.xml: 3 entries, 0 controlled",
    "rfc5368-sec6-1.xml: 3 entries, 3 controlled",
    "rfc5628-sec7-1.xml: 1 registrations, 1 contacts, 1 GRUUs",
];

#[test]
fn the_examples_read_as_expected() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/rfc-examples");
    let Ok(table) = std::fs::read_to_string(folder.join("expectations.tsv")) else {
        println!("not run: no corpus at {}", folder.display());
        return;
    };
    let mut notifications = 0;
    let mut others = 0;
    for row in table.lines().map(|line| line.split('\t').collect::<Vec<_>>()) {
        let [name, "xml", expectation, ..] = row[..] else { continue };
        let document = std::fs::read(folder.join(name)).unwrap();
        let read = parse_with(&document, &Limits::default(), Leniency::default());
        if !name.starts_with("rfc5438") {
            // Well-formed or not, none of these is a notification.
            others += 1;
            assert!(read.is_err(), "{name}");
            assert!(expectation != "valid" || read == Err(XmlError::WrongRoot), "{name}: {read:?}");
            continue;
        }
        assert_eq!(expectation, "valid", "{name}");
        notifications += 1;
        let (imdn, tolerated) = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(tolerated.is_empty(), "{name}");
        assert_eq!(imdn.message_id, "34jk324j");
        assert_eq!(imdn.datetime.as_deref(), Some("2008-04-04T12:16:49-05:00"));
        assert!(imdn.date_time().is_some());
        assert_eq!(imdn.recipient_uri.as_deref(), Some("im:bob@example.com"));
        assert_eq!(imdn.original_recipient_uri.as_deref(), Some("im:bob@example.com"));
        assert!(matches!(
            imdn.notification,
            Notification::Delivery(DeliveryStatus::Delivered) | Notification::Display(_)
        ));
        let again = parse_with(write(&imdn).as_bytes(), &Limits::default(), Leniency::default());
        assert_eq!(again, Ok((imdn, vec![])), "{name}");
    }
    assert!(notifications >= 1 && others >= 45, "the corpus has shrunk: {notifications}, {others}");
}
