//! The XML examples of the RFCs. The corpus lives outside the repository; where it is missing this says so and checks
//! nothing.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use cpm_xml::imdn::{DeliveryStatus, Leniency, Notification, parse_with, write};
use cpm_xml::{Limits, XmlError};
use std::path::PathBuf;

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
