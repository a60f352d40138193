//! The MSRP examples of the RFCs, read as `expectations.tsv` of the corpus says. They are not part of this repository:
//! where they are missing, that is printed and nothing is tested.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used)]

use std::path::PathBuf;

use bytes::Bytes;
use cpm_msrp::{ContinuationFlag, Frame, Limits, StreamParser};

fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/rfc-examples");
    if folder.join("expectations.tsv").is_file() {
        return Some(folder);
    }
    println!("not run: {} is not there", folder.display());
    None
}

type Read = (Vec<Bytes>, Vec<u8>, Vec<ContinuationFlag>);

/// Frames of a text: heads, octets of body, ends; the text of the first thing that was wrong.
fn read(octets: &[u8], step: usize) -> Result<Read, String> {
    let (mut heads, mut body, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    let mut parser = StreamParser::new(&Limits::default());
    for piece in octets.chunks(step) {
        parser.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = parser.next() {
            match frame {
                Frame::Head(head) => heads.push(head.to_bytes()),
                Frame::BadHead(bad) => return Err(bad.error.to_string()),
                Frame::Body(piece) => body.extend_from_slice(&piece),
                Frame::End(flag) => ends.push(flag),
                Frame::Lost(error) => return Err(error.to_string()),
            }
        }
    }
    Ok((heads, body, ends))
}

/// Examples that their RFC prints outside the grammar of RFC 4975 §9, and what is wrong with them.
const ODD: [(&str, &str); 5] = [
    ("rfc4975-sec5.1-1.msrp", "To-Path is missing"),
    ("rfc4975-sec5.1-2.msrp", "To-Path is missing"),
    // A line is folded and the backslash forgotten.
    ("rfc4976-sec5.1-3.msrp", "a line of the head is no field"),
    ("rfc4976-sec5.1-9.msrp", "a line of the head is no field"),
    ("rfc4976-sec5.1-10.msrp", "a line of the head is no field"),
];

/// Lines that are too long for a page are printed with a backslash at their end: that is the page, not the protocol.
fn unfolded(octets: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(octets).unwrap();
    let mut parts = text.split("\\\r\n");
    let mut whole = parts.next().unwrap_or_default().to_string();
    for part in parts {
        whole = whole.trim_end().to_string() + " " + part.trim_start();
    }
    whole.into_bytes()
}

#[test]
fn examples_of_the_rfcs() {
    let Some(folder) = corpus() else { return };
    let table = std::fs::read_to_string(folder.join("expectations.tsv")).unwrap();
    let (mut valid, mut wrong) = (0, Vec::new());
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (file, kind, expected) = (columns[0], columns[1], columns[2]);
        if kind != "msrp" {
            continue;
        }
        let octets = unfolded(std::fs::read(folder.join(file)).unwrap());
        let outcome = read(&octets, octets.len());
        // However it is cut, it is the same.
        assert_eq!(outcome, read(&octets, 1), "{file}");
        if expected != "valid" {
            continue;
        }
        if let Some((_, fault)) = ODD.iter().find(|(odd, _)| *odd == file) {
            assert_eq!(outcome, Err((*fault).to_string()), "{file}");
            continue;
        }
        match outcome {
            // Octet for octet: head, empty line and body, end-line.
            Ok((heads, body, ends)) if heads.len() == 1 && ends.len() == 1 => {
                let head = &heads[0];
                assert!(octets.starts_with(head), "{file}");
                let rest = &octets[head.len()..];
                if rest.starts_with(b"\r\n") {
                    assert!(
                        rest[2..].starts_with(&body) && rest[2 + body.len()..].starts_with(b"\r\n-------"),
                        "{file}"
                    );
                } else {
                    assert!(rest.starts_with(b"-------") && body.is_empty(), "{file}");
                }
                valid += 1;
            }
            other => wrong.push(format!("{file}: {other:?}")),
        }
    }
    println!("{valid} examples read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(valid >= 70);
}
