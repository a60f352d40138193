//! The SDP examples of the RFCs, read as `expectations.tsv` of the corpus says. They are not part of this repository:
//! where they are missing, that is printed and nothing is tested.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::path::PathBuf;

use cpm_sdp::{
    Agreed, Change, Direction, Host, Limits, MediaSession, MsrpMedia, MsrpTransport, OriginLeniency,
    OtherMedia, RemoteOffer, Role, SessionDescription, SessionIds, SessionSettings, Setup, TypedAttribute,
};

fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/rfc-examples");
    if folder.join("expectations.tsv").is_file() {
        return Some(folder);
    }
    println!("not run: {} is not there", folder.display());
    None
}

/// Examples that their RFC prints outside the grammar, and what is wrong with them.
const ODD: [(&str, &str); 0] = [];

#[test]
fn examples_of_the_rfcs() {
    let Some(folder) = corpus() else { return };
    let table = std::fs::read_to_string(folder.join("expectations.tsv")).unwrap();
    let (mut valid, mut wrong) = (0, Vec::new());
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        if (columns[1], columns[2]) != ("sdp", "valid") {
            continue;
        }
        let octets = std::fs::read(folder.join(columns[0])).unwrap();
        let odd = ODD.iter().find(|(file, _)| *file == columns[0]);
        match (SessionDescription::parse(&octets, &Limits::default()), odd) {
            (Ok(description), None) => {
                assert_eq!(description.to_bytes(), octets, "{}", columns[0]);
                valid += 1;
            }
            (Err(error), Some((_, fault))) => assert_eq!(error.to_string(), *fault, "{}", columns[0]),
            (outcome, _) => wrong.push(format!("{}: {:?}", columns[0], outcome.err())),
        }
    }
    println!("{valid} examples read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(valid >= 50);
}

/// RFC 5547 §9.1: Alice wants to get a file from Bob, who answers.
#[test]
fn the_offers_of_rfc_4975_and_5547_are_answered() {
    let Some(folder) = corpus() else { return };
    for (file, direction, size) in [
        ("rfc4975-sec8.7-1.sdp", Direction::SendRecv, None),
        ("rfc5547-sec9.1-1.sdp", Direction::RecvOnly, Some(4092)),
    ] {
        let octets = std::fs::read(folder.join(file)).unwrap();
        let description = SessionDescription::parse(&octets, &Limits::default()).unwrap();
        let offer = RemoteOffer::read(&description).unwrap();
        assert_eq!((offer.direction(), offer.file_size(), offer.setup()), (direction, size, None), "{file}");
        assert!(offer.accepts("message/cpim"));
        let ours = MsrpMedia {
            accept_wrapped_types: vec!["*".into()],
            setup: Setup::Active,
            cema: false,
            ..MsrpMedia::new(
                MsrpTransport::Tcp,
                [192, 0, 2, 1].into(),
                2855,
                "msrp://192.0.2.1:2855/abcdefghijklmnop;tcp".into(),
            )
        };
        let (_, negotiated) = offer.answer(&SessionIds { id: 1, version: 1 }, &ours).unwrap();
        // Without a=setup the offerer connects, whatever we wished (RFC 4975 §5.4).
        assert_eq!((negotiated.role, negotiated.direction), (Role::Passive, direction.mirrored()));
        assert!(matches!(negotiated.remote.host, Host::Name(_)));
    }
}

/// Every line of the examples is of a known kind and by its grammar, but for what their RFCs print otherwise.
#[test]
fn lines_of_the_examples_are_typed_and_written_again() {
    let Some(folder) = corpus() else { return };
    let table = std::fs::read_to_string(folder.join("expectations.tsv")).unwrap();
    let mut odd = Vec::new();
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        if (columns[1], columns[2]) != ("sdp", "valid") {
            continue;
        }
        let octets = std::fs::read(folder.join(columns[0])).unwrap();
        let description = SessionDescription::parse(&octets, &Limits::default()).unwrap();
        odd.extend(description.findings().into_iter().map(|finding| format!("{}: {finding}", columns[0])));
        for attribute in description.media().iter().flat_map(|media| media.attributes()) {
            let Ok(Some(typed)) = attribute.typed() else { continue };
            let again = TypedAttribute::read(typed.name(), typed.value().as_deref().map(str::as_bytes));
            assert_eq!(again, Ok(Some(typed)));
        }
    }
    assert_eq!(odd, ODD_LINES);
}

/// What these RFCs print outside the grammar: `c=` behind `t=`, a fold in `a=fingerprint`, decimals in `b=`, `a=rtpmap`
/// without a clock rate.
const ODD_LINES: [&str; 26] = [
    "rfc3264-sec9-1.sdp: line 5, c=, is out of order",
    "rfc5939-sec3.6.2.1-3.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.2-1.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.2-2.sdp: line 5, a=fingerprint, does not follow its grammar",
    "rfc5939-sec4.2-2.sdp: line 6, t=, is out of order",
    "rfc5939-sec4.2-2.sdp: line 7, c=, is out of order",
    "rfc5939-sec4.2-3.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.2-3.sdp: line 7, a=fingerprint, does not follow its grammar",
    "rfc5939-sec4.2-4.sdp: line 5, a=fingerprint, does not follow its grammar",
    "rfc5939-sec4.2-4.sdp: line 6, t=, is out of order",
    "rfc5939-sec4.2-4.sdp: line 7, c=, is out of order",
    "rfc5939-sec4.2-5.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.2-6.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.3-2.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.3-3.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.3-4.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.3-5.sdp: line 5, c=, is out of order",
    "rfc5939-sec4.4-2.sdp: line 5, c=, is out of order",
    "rfc6050-sec6-1.sdp: line 7, b=, does not follow its grammar",
    "rfc6050-sec6-1.sdp: line 13, a=rtpmap, does not follow its grammar",
    "rfc6050-sec6-2.sdp: line 7, b=, does not follow its grammar",
    "rfc6050-sec6-2.sdp: line 13, a=rtpmap, does not follow its grammar",
    "rfc6050-sec6-3.sdp: line 7, b=, does not follow its grammar",
    "rfc6050-sec6-3.sdp: line 13, a=rtpmap, does not follow its grammar",
    "rfc6050-sec6-4.sdp: line 7, b=, does not follow its grammar",
    "rfc6050-sec6-4.sdp: line 13, a=rtpmap, does not follow its grammar",
];

/// RFC 3264 §10.1, as Bob: he takes audio and one of two videos, then adds a stream of tones.
#[test]
fn the_exchange_of_rfc_3264() {
    let Some(folder) = corpus() else { return };
    let read = |name: &str| {
        let octets = std::fs::read(folder.join(name)).unwrap();
        SessionDescription::parse(&octets, &Limits::default()).unwrap()
    };
    let lines = |description: &SessionDescription| -> Vec<String> {
        description
            .media()
            .iter()
            .map(|m| format!("{} {:?} {} {}", m.media(), m.port(), m.proto(), m.formats()))
            .collect()
    };
    let medium = |media: &str, port, format: &str, direction| OtherMedia {
        media: media.into(),
        port,
        proto: "RTP/AVP".into(),
        formats: vec![format.into()],
        address: None,
        direction,
        lines: vec![],
    };
    let mut bob = MediaSession::new(SessionSettings {
        ids: SessionIds { id: 2890844730, version: 2890844730 },
        address: [192, 0, 2, 2].into(),
        limits: Limits::default(),
        leniency: OriginLeniency::default(),
    });
    let offer = bob.receive_offer(&read("rfc3264-sec10.1-1.sdp")).unwrap();
    let both = Direction::SendRecv;
    let answers = vec![
        Some(medium("audio", 49920, "0", both).into()),
        None,
        Some(medium("video", 53000, "32", both).into()),
    ];
    let (answer, _) = bob.answer(offer, answers).unwrap();
    assert_eq!(lines(&answer), lines(&read("rfc3264-sec10.1-2.sdp")));
    assert_eq!(answer.origin().version, "2890844730");

    let mut plan = bob.plan();
    plan.replace(0, medium("audio", 65422, "0", both));
    // The place that is off would be taken first: Bob leaves it alone, as in the example.
    let held = plan.add(medium("video", 1, "31", both));
    assert_eq!((held, plan.add(medium("audio", 51434, "110", Direction::RecvOnly))), (1, 3));
    plan.disable(held);
    let (offer, token) = bob.offer(&plan).unwrap();
    assert_eq!(lines(&offer), lines(&read("rfc3264-sec10.1-3.sdp")));
    assert_eq!(offer.origin().version, "2890844731");
    let outcome = bob.answered(token, &read("rfc3264-sec10.1-4.sdp")).unwrap();
    let changes: Vec<Change> = outcome.media.iter().map(|medium| medium.change).collect();
    assert_eq!(changes, [Change::Modified, Change::Off, Change::Kept, Change::Added]);
    assert!(outcome.findings.is_empty());
    let Agreed::Other(tones) = &outcome.media[3].agreed else { panic!() };
    assert_eq!((tones.direction, tones.remote.port), (Direction::RecvOnly, 53122));
}
