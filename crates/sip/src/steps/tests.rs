//! Cost grows with the input and no faster: threat rows about long lines, many fields, nesting and folds.

#![allow(clippy::arithmetic_side_effects)]

use super::counted;
use crate::*;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use bytes::Bytes;

/// Limits that let a megabyte of anything be read.
fn raised() -> Limits {
    let most = 8 << 20;
    Limits {
        max_datagram: most,
        max_stream_message: most,
        max_body: most,
        max_header_bytes: most,
        max_header_line: most,
        max_headers: most,
        max_folds: most,
        max_via: most,
        max_list_values: most,
        max_params: most,
        ..Limits::DEFAULT
    }
}

type Family = (&'static str, fn(usize) -> String);

/// Heads of about so many octets.
const FAMILIES: &[Family] = &[
    ("one long line", |n| format!("Subject: {}\r\n", "x".repeat(n))),
    ("many fields", |n| "X: 1\r\n".repeat(n / 6)),
    ("many fields of a known name", |n| "Supported: a\r\n".repeat(n / 14)),
    ("names without an end", |n| "x".repeat(n)),
    ("open parentheses", |n| format!("User-Agent: {}\r\n", "(".repeat(n))),
    ("commas", |n| format!("Contact: {}\r\n", ",".repeat(n))),
    ("folded lines", |n| format!("Subject: a{}\r\n", "\r\n b".repeat(n / 4))),
    ("folded empty lines", |n| format!("Subject: a{}\r\n", "\r\n ".repeat(n / 3))),
    ("parameters", |n| format!("From: <sip:a@b>{}\r\n", ";p=1".repeat(n / 4))),
    ("Via values", |n| format!("Via: SIP/2.0/UDP a{}\r\n", ",SIP/2.0/UDP a".repeat(n / 14))),
    ("quotes", |n| format!("From: {}\r\n", "\"\\\"".repeat(n / 3))),
    ("colons and line ends", |n| ":\r\n".repeat(n / 3)),
    ("bare line feeds", |n| "a:b\n".repeat(n / 4)),
    ("names alike", |n| alike(n / 40).iter().map(|name| format!("X{name}: 1\r\n")).collect()),
    ("parameters alike", |n| {
        let params: String = alike(n / 40).iter().map(|name| format!(";{name}=1")).collect();
        format!("Contact: <sip:a@b>{params}\r\n")
    }),
    ("different parameters", |n| {
        let params: String = (0..n / 10).map(|i| format!(";{i:08x}")).collect();
        format!("From: <sip:a@b>{params}\r\n")
    }),
    ("angle brackets", |n| format!("Contact: {}\r\n", "<".repeat(n))),
    ("escapes", |n| format!("To: \"{}\r\n", "\\\\".repeat(n / 2))),
    ("semicolons", |n| format!("Contact: <sip:a@b>{}\r\n", ";".repeat(n))),
    ("products", |n| format!("User-Agent: {}\r\n", "a/1 ".repeat(n / 4))),
    ("comments", |n| format!("User-Agent: {}\r\n", "(a) ".repeat(n / 4))),
    ("privacy", |n| format!("Privacy: {}id\r\n", "id;".repeat(n / 3))),
    ("feature values", |n| format!("Accept-Contact: *;methods=\"{}\"\r\n", "A,".repeat(n / 2))),
    ("challenges", |n| {
        let params: String = (0..n / 13).map(|i| format!(",a{i:08x}=1")).collect();
        format!("Authorization: Digest a=1{params}\r\n")
    }),
    ("second fields of one that may stand once", |n| "Subject: a\r\n".repeat(n / 12)),
    ("the same field, malformed", |n| "Warning: x\r\n".repeat(n / 12)),
];

/// Names of one length, one sum and one beginning, which tables of hashes have put into one place: AaAa, AaBB, BBAa….
fn alike(n: usize) -> Vec<String> {
    let pair = |i: usize, at: usize| if (i >> at) & 1 == 0 { "Aa" } else { "BB" };
    (0..n).map(|i| (0..15).rev().map(|at| pair(i, at)).collect()).collect()
}

fn datagram(head: &str) -> Bytes {
    Bytes::from(format!("OPTIONS sip:a@b SIP/2.0\r\n{head}Call-ID: a\r\n\r\n"))
}

/// Everything that reads fields, whatever comes of it.
fn read_all(octets: &Bytes, limits: &Limits) {
    let Ok(message) = parse_datagram(octets.clone(), limits) else { return };
    let _ = message.typed_list::<Via>();
    let _ = message.typed_list::<Contact>();
    let _ = message.typed_list::<Supported>();
    let _ = message.typed::<From>();
    let _ = message.typed::<UserAgent>();
    let _ = message.typed::<Subject>();
    let _ = message.headers().view::<ViaRef<'_>>();
    let _ = message.headers().view::<FromRef<'_>>();
    let _ = message.headers().view::<ContactRef<'_>>();
    if let Message::Request(request) = &message {
        let _ = inspect_request(request, &RequestPolicy::user_agent());
    }
}

fn steps_of(head: fn(usize) -> String, power: u32, limits: &Limits) -> usize {
    counted(|| read_all(&datagram(&head(1 << power)), limits)).1
}

/// threat: A7, A14, A19. Nothing that a peer sends costs more than in proportion: not by folds, nor by names that many
/// tables would put into one place (there is no hash to collide: names are sorted or kept in trees).
#[test]
fn steps_at_most_double_when_the_input_doubles() {
    for (name, head) in FAMILIES {
        let steps: Vec<usize> = (10..=20).map(|power| steps_of(*head, power, &raised())).collect();
        for (i, pair) in steps.windows(2).enumerate() {
            assert!(pair[1] * 10 <= pair[0] * 22, "{name}, 2^{}: {steps:?}", i + 11);
        }
        assert!(steps[10] <= 12 << 20, "{name}: {steps:?}");
    }
}

/// Where a limit is passed the reading changes from plain to tolerant: a step, but a bounded one.
#[test]
fn steps_for_each_octet_are_bounded_within_the_default_limits() {
    for (name, head) in FAMILIES {
        for power in 10..=20 {
            let steps = steps_of(*head, power, &Limits::DEFAULT);
            assert!(steps <= 12 << power, "{name}, 2^{power}: {steps}");
        }
    }
}

#[test]
fn steps_are_counted() {
    let (_, steps) = counted(|| read_all(&datagram("Via: SIP/2.0/UDP a\r\n"), &Limits::DEFAULT));
    assert!((100..1000).contains(&steps), "{steps}");
}

/// threat: A14
#[test]
fn a_stream_octet_by_octet_costs_at_most_twice_as_much() {
    for (name, head) in FAMILIES {
        let message = format!("OPTIONS sip:a@b SIP/2.0\r\n{}l: 2\r\n\r\nhi", head(1 << 14));
        let mut streams = vec![message.clone().into_bytes()];
        streams.push(message.repeat(3).into_bytes());
        for stream in streams {
            let feed = |piece: usize| {
                counted(|| {
                    let mut framer = StreamFramer::new(raised());
                    let mut frames = 0;
                    for piece in stream.chunks(piece) {
                        framer.push(Bytes::copy_from_slice(piece));
                        frames += core::iter::from_fn(|| framer.next()).count();
                    }
                    frames
                })
            };
            let (whole, cut) = (feed(stream.len()), feed(1));
            assert_eq!(whole.0, cut.0, "{name}");
            assert!(cut.1 <= whole.1 * 2, "{name}: {} octet by octet, {} at once", cut.1, whole.1);
        }
    }
}
