//! The CPIM examples of RFC 3862 and RFC 5438, and the IMDN documents inside them, read as the corpus expects. The corpus
//! lives outside the repository; where it is missing this says so and checks nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use bytes::Bytes;
use cpm_cpim::{CpimError, CpimMessage, Leniency, Limits, Tolerated};
use cpm_mime::Part;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/rfc-examples");
    if !folder.join("expectations.tsv").is_file() {
        println!("not run: no corpus at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// Name, and what is expected of it.
fn expectations(folder: &std::path::Path) -> BTreeMap<String, String> {
    let table = std::fs::read_to_string(folder.join("expectations.tsv")).unwrap();
    let rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let cpim = rows.filter(|row| row.len() >= 3 && row[1] == "cpim");
    cpim.map(|row| (row[0].to_string(), row[2].to_string())).collect()
}

fn read(bytes: &Bytes, leniency: Leniency) -> Result<(CpimMessage, Vec<Tolerated>), CpimError> {
    CpimMessage::parse(bytes.clone(), &Limits::default(), &leniency)
}

/// Examples that the RFC prints with the MIME header fields of the enclosing body: what stands behind those.
fn without_envelope(bytes: Bytes) -> Bytes {
    if bytes.len() < 13 || !bytes[..13].eq_ignore_ascii_case(b"Content-type:") {
        return bytes;
    }
    let envelope = Part::parse(bytes, &cpm_mime::Limits::default()).unwrap();
    assert!(envelope.content_type().unwrap().is("message/cpim"));
    envelope.body
}

#[test]
fn the_examples_read_as_expected() {
    let Some(folder) = corpus() else { return };
    let expected = expectations(&folder);
    assert!(expected.len() >= 14, "the corpus has shrunk to {}", expected.len());
    for (name, expectation) in &expected {
        let bytes = without_envelope(Bytes::from(std::fs::read(folder.join(name)).unwrap()));
        let strict = read(&bytes, Leniency::default());
        match (expectation.as_str(), name.as_str()) {
            // A diagram of a message, with names of its parts in place of the parts: an entity of type message/cpim, as
            // the corpus says, with nothing in it that could be read.
            ("valid", "rfc3862-sec2-1.cpim") => assert_eq!(strict, Err(CpimError::HeaderSyntax { line: 1 })),
            ("valid", _) => {
                let (message, tolerated) = strict.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(tolerated.is_empty(), "{name}");
                assert_eq!(message.to_bytes(), bytes, "{name}");
                assert!(message.from().unwrap().is_some() && !message.to().unwrap().is_empty(), "{name}");
            }
            // Header fields without an end.
            ("unknown", _) => assert_eq!(strict, Err(CpimError::HeadersNotEnded), "{name}"),
            // One NS field with the full stop of the sentence it stands in, and the sentences behind it.
            ("invalid", "rfc5438-sec6.1-1.cpim") => {
                assert_eq!(strict, Err(CpimError::NamespaceSyntax { line: 1 }));
                assert!(read(&bytes, Leniency::field()).is_err());
            }
            // Erratum 3013: one block.
            ("invalid", _) => {
                assert!(strict.is_err(), "{name}");
                let (message, tolerated) =
                    read(&bytes, Leniency::field()).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(tolerated, [Tolerated::SingleBlock], "{name}");
                assert_eq!(message.to_bytes(), bytes, "{name}");
                assert!(message.from().unwrap().is_some(), "{name}");
            }
            other => panic!("no such expectation: {other:?}"),
        }
    }
}

#[test]
fn what_the_examples_say() {
    let Some(folder) = corpus() else { return };
    let load = |name: &str| without_envelope(Bytes::from(std::fs::read(folder.join(name)).unwrap()));

    let (message, _) = read(&load("rfc3862-sec5.1-1.cpim"), Leniency::default()).unwrap();
    let from = message.from().unwrap().unwrap();
    assert_eq!(
        (from.display_name.as_deref(), from.uri.as_str()),
        (Some("MR SANDERS"), "im:piglet@100akerwood.com")
    );
    assert_eq!(message.subjects()[1].language.as_deref(), Some("fr"));
    assert_eq!(message.subjects()[1].text, "beau temps prevu pour aujourd'hui");
    let vital = ("mid:MessageFeatures@id.foo.com".to_string(), "VitalMessageOption".to_string());
    assert_eq!(message.require().unwrap().as_slice(), std::slice::from_ref(&vital));
    assert_eq!(message.headers().get_all(&vital.0, &vital.1)[0].value(), "Confirmation-requested");
    assert_eq!(message.content().content_id().unwrap().unwrap(), "1234567890@foo.com");

    let request = read(&load("rfc5438-sec7.1.1.3-1.fixed.cpim"), Leniency::default()).unwrap().0;
    let printed = read(&load("rfc5438-sec7.1.1.3-1.cpim"), Leniency::field()).unwrap().0;
    for message in [&request, &printed] {
        assert_eq!(message.imdn_message_id().unwrap().unwrap(), "34jk324j");
        let wanted = message.disposition_notification().unwrap();
        assert!(wanted.positive_delivery && wanted.negative_delivery && !wanted.display);
        assert_eq!(message.content().body, "Hello World\r\n");
        assert!(!message.is_imdn());
    }
    // What is printed as one block is written as two once it is edited.
    let mut mended = printed;
    mended.set_date_time(request.date_time().unwrap().unwrap()).unwrap();
    assert!(read(&mended.to_bytes(), Leniency::default()).is_ok());

    for name in
        ["rfc5438-sec7.2.1.1-1.fixed.cpim", "rfc5438-sec7.2.1.2-1.fixed.cpim", "rfc5438-sec8.3-1.fixed.cpim"]
    {
        assert!(read(&load(name), Leniency::default()).unwrap().0.is_imdn(), "{name}");
    }
    // Printed with its MIME envelope: the reader finds the message behind it by itself.
    let processing = Bytes::from(std::fs::read(folder.join("rfc5438-sec8.1-1.cpim")).unwrap());
    let (message, tolerated) = read(&processing, Leniency::field()).unwrap();
    assert_eq!(tolerated, [Tolerated::SingleBlock, Tolerated::RepeatedMimeBlock]);
    assert!(message.is_imdn());
}
