//! Attacks that readers of MIME bodies fell to: each test names its rows of the threat table.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects
)]

use allocation_counter::measure;
use bytes::Bytes;
use cpm_base::LimitExceeded;
use cpm_mime::*;

const HEAD: &str = "Content-Type: text/plain\r\nContent-ID: <1@a>\r\n\r\n";

fn part(octets: impl Into<Bytes>, limits: &Limits) -> Result<Part, MimeError> {
    Part::parse(octets.into(), limits)
}

fn multipart(body: impl Into<Bytes>, limits: &Limits) -> Result<Multipart, MimeError> {
    Multipart::parse(&ContentType::parse("multipart/mixed;boundary=b").unwrap(), body.into(), limits)
}

fn nested(depth: usize) -> Part {
    (0..depth).fold(Part::new(&ContentType::text_plain(), Bytes::from("leaf")), |inside, _| {
        let around = Multipart::new("mixed", vec![inside]).unwrap();
        Part::new(&around.content_type(), around.to_bytes().unwrap())
    })
}

/// threat: A5, A6, A7, A11. Each limit holds at its value and not above. A limit that is not in here does not compile.
#[test]
fn every_limit_holds() {
    let small = Limits {
        max_headers: 5,
        max_header_bytes: 200,
        max_params: 6,
        max_comment_depth: 3,
        max_parts: 4,
        max_depth: 2,
    };
    small.validate().unwrap();
    let Limits { max_headers, max_header_bytes, max_params, max_comment_depth, max_parts, max_depth } =
        small.clone();
    type Made<'a> = &'a dyn Fn(usize) -> Result<(), MimeError>;
    let kind = |text: &str| ContentType::parse_with(text, &small).map(drop);
    let cases: [(&str, usize, Made<'_>); 6] = [
        ("mime.max_headers", max_headers, &|n| {
            part(format!("{}\r\n", "A: b\r\n".repeat(n)), &small).map(drop)
        }),
        ("mime.max_header_bytes", max_header_bytes, &|n| {
            part(format!("A: {}\r\n\r\n", "b".repeat(n - 5)), &small).map(drop)
        }),
        ("mime.max_params", max_params, &|n| {
            kind(&(0..n).fold("a/b".to_owned(), |text, i| format!("{text};p{i}=1")))
        }),
        ("mime.comment_depth", max_comment_depth, &|n| {
            kind(&format!("a/b {}{}", "(".repeat(n), ")".repeat(n)))
        }),
        ("mime.max_parts", max_parts, &|n| {
            multipart(format!("{}--b--\r\n", "--b\r\n\r\nx\r\n".repeat(n)), &small).map(drop)
        }),
        ("mime.max_depth", max_depth, &|n| nested(n).walk(&small).map(drop)),
    ];
    for (name, limit, read) in cases {
        assert_eq!((read(limit - 1), read(limit)), (Ok(()), Ok(())), "{name}");
        let over = LimitExceeded::check(name, limit + 1, limit).unwrap_err();
        assert_eq!(read(limit + 1), Err(MimeError::Limit(over)));
    }
    // Parts of all levels together.
    let wide = |n: usize| {
        let inside = Multipart::new("mixed", vec![nested(0); n]).unwrap();
        let inside = Part::new(&inside.content_type(), inside.to_bytes().unwrap());
        let around = Multipart::new("mixed", vec![inside, nested(0)]).unwrap();
        Part::new(&around.content_type(), around.to_bytes().unwrap())
            .leaves(&small)
            .map(|leaves| leaves.len())
    };
    assert_eq!((wide(2), wide(3)), (Ok(3), Ok(4)));
    let over = LimitExceeded { limit: "mime.max_parts", value: 5, max: 4 };
    assert_eq!(wide(4), Err(MimeError::Limit(over)));
    // RFC 2046 §5.1.1: a boundary has 1 to 70 characters.
    let bounded = |n: usize| {
        let boundary = "x".repeat(n);
        let kind = ContentType::parse(&format!("multipart/mixed;boundary=\"{boundary}\"")).unwrap();
        Multipart::parse(&kind, Bytes::from(format!("--{boundary}\r\n\r\n1\r\n--{boundary}--")), &small)
            .map(drop)
    };
    assert_eq!((bounded(1), bounded(69), bounded(70)), (Ok(()), Ok(()), Ok(())));
    assert_eq!((bounded(0), bounded(71)), (Err(MimeError::BoundaryInvalid), Err(MimeError::BoundaryInvalid)));
}

/// threat: A4, A9. Nothing may stand between a name and its colon, and no control character anywhere in a header block;
/// what was removed is found by nobody.
#[test]
fn names_mean_one_thing() {
    let limits = Limits::default();
    let colon = HEAD.find(':').unwrap();
    for octet in 0..=255u8 {
        let mut octets = HEAD.as_bytes().to_vec();
        octets.insert(colon, octet);
        let found = part(octets, &limits).is_ok_and(|part| !part.headers.get_all("Content-Type").is_empty());
        assert_eq!(found, octet == b':', "{octet}");
    }
    for at in 0..HEAD.len() - 4 {
        for control in (0..=8u8).chain([10, 11, 12, 13]).chain(14..=31).chain([127]) {
            let mut octets = HEAD.as_bytes().to_vec();
            octets.insert(at, control);
            assert!(part(octets, &limits).is_err(), "{control} at {at}");
        }
    }
    for spelling in ["content-type: a/b", "CONTENT-TYPE:a/b\r\n c", "Content-type: a/b\r\ncontent-Type: c/d"]
    {
        let mut read = part(format!("{spelling}\r\nX: y\r\n\r\nbody"), &limits).unwrap();
        read.headers.remove("Content-Type");
        let again = part(read.to_bytes(), &limits).unwrap();
        assert!(again.headers.get_all("Content-Type").is_empty() && again.body == "body");
        assert_eq!(again.headers.get_all("X"), ["y"]);
    }
}

/// threat: A16. Octets that are no UTF-8: refused in a header block wherever they stand, kept as they are in a body.
#[test]
fn octets_that_are_not_utf_8() {
    for bad in [
        &b"\xff"[..],
        b"\xc3",
        b"\xc0\xaf",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98",
        b"\xf5\x80\x80\x80",
    ] {
        for at in 0..HEAD.len() - 2 {
            let octets = [&HEAD.as_bytes()[..at], bad, &HEAD.as_bytes()[at..]].concat();
            assert!(part(octets.clone(), &Limits::default()).is_err(), "{bad:?} at {at}");
            let body = [&b"--b\r\n"[..], &octets, b"\r\n--b--"].concat();
            assert!(multipart(body, &Limits::default()).is_err(), "{bad:?} at {at}");
        }
        let octets = [HEAD.as_bytes(), b"x", bad, b"y"].concat();
        let read = part(octets.clone(), &Limits::default()).unwrap();
        assert_eq!((&read.body[1..=bad.len()], read.to_bytes()), (bad, Bytes::from(octets)));
    }
}

/// threat: A6, A14, A15. What is read costs memory in proportion to it, whatever it is made of.
#[test]
fn memory_grows_with_the_input() {
    let most = 1 << 30;
    let raised = Limits {
        max_headers: most,
        max_header_bytes: most,
        max_params: most,
        max_comment_depth: most,
        max_parts: most,
        max_depth: most,
    };
    type Family = (&'static str, fn(usize) -> String);
    let families: [Family; 8] = [
        ("parts", |n| "--b\r\n\r\n\r\n".repeat(n / 9)),
        ("delimiter lines that are none", |n| "--bx\r\n".repeat(n / 6)),
        ("dashes", |n| "-".repeat(n)),
        ("blanks behind delimiters", |n| format!("--b{}x\r\n", " ".repeat(n))),
        ("header fields", |n| format!("--b\r\n{}\r\n", "A: b\r\n".repeat(n / 6))),
        ("folds", |n| format!("--b\r\nA: b{}\r\n\r\n", "\r\n c".repeat(n / 4))),
        ("comments", |n| format!("--b\r\nContent-Type: a/b {}\r\n\r\n", "(".repeat(n))),
        ("line ends", |n| "\r\n".repeat(n / 2)),
    ];
    for (name, made) in families {
        let cost = |power: u32| {
            let body = Bytes::from(format!("--b\r\n\r\n{}\r\n--b--", made(1 << power)));
            measure(|| {
                if let Ok(read) = multipart(body.clone(), &raised) {
                    for part in read.parts() {
                        let _ = part.content_type();
                    }
                    let _ = read.to_bytes();
                }
            })
            .bytes_total
        };
        let costs: Vec<u64> = (10..=18).map(cost).collect();
        for pair in costs.windows(2) {
            assert!(pair[1] <= pair[0] * 22 / 10 + 2_048, "{name}: {costs:?}");
        }
    }
}
