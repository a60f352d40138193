//! The SDP examples of the RFCs, read as `expectations.tsv` of the corpus says. They are not part of this repository:
//! where they are missing, that is printed and nothing is tested.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::path::PathBuf;

use cpm_sdp::{
    Direction, Host, Limits, MsrpMedia, MsrpTransport, RemoteOffer, Role, SessionDescription, SessionIds,
    Setup,
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
