#![allow(clippy::arithmetic_side_effects)]

extern crate std;

use super::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

fn typed(boundary: &str) -> ContentType {
    ContentType::new("multipart", "mixed").unwrap().with_param("boundary", boundary).unwrap()
}

fn parse(boundary: &str, body: &str) -> Result<Multipart, MimeError> {
    Multipart::parse(&typed(boundary), Bytes::from(String::from(body)), &Limits::default())
}

fn text(body: &str) -> Part {
    Part::new(&ContentType::text_plain(), Bytes::from(String::from(body)))
}

#[test]
fn reads_and_keeps_every_octet() {
    let body = "before\r\n--x\r\nnot\r\n--a b \t\r\nContent-Type: a/b\r\n\r\none\r\n--a bc\r\n\r\n--a b\r\n\r\ntwo\r\n\
                --a b\r\nX: y\r\n\r\n--a b--  \r\nafter\r\n--a b--";
    let read = parse("a b", body).unwrap();
    assert_eq!(read.to_bytes().unwrap(), body);
    assert_eq!(
        (read.preamble().as_ref(), read.epilogue().as_ref()),
        (&b"before\r\n--x\r\nnot"[..], &b"after\r\n--a b--"[..])
    );
    let bodies: Vec<_> = read.parts().iter().map(|part| part.body.clone()).collect();
    assert_eq!(bodies, ["one\r\n--a bc\r\n", "two", ""]);
    assert_eq!(read.parts()[2].headers.get("x").unwrap(), "y");
    assert_eq!((read.subtype(), read.boundary()), ("mixed", "a b"));
    assert_eq!(read.content_type().to_string(), "multipart/mixed;boundary=\"a b\"");
    assert_eq!(parse("x", "--x\r\n\r\n\r\n--x--").unwrap().parts()[0].body, "");
    assert!(!format!("{read:?}").contains("two"));
}

/// threats: A15
#[test]
fn refuses_what_is_no_multipart() {
    let missing = ContentType::new("multipart", "mixed").unwrap();
    let parsed = |content_type: &ContentType| {
        Multipart::parse(content_type, Bytes::new(), &Limits::default()).map(drop)
    };
    assert_eq!(parsed(&missing), Err(MimeError::BoundaryMissing));
    assert_eq!(parsed(&ContentType::text_plain()), Err(MimeError::NotMultipart));
    for boundary in ["", "a ", "a\"b", "ä", "a\tb", &"x".repeat(71)] {
        assert_eq!(parse(boundary, "").map(drop), Err(MimeError::BoundaryInvalid), "{boundary:?}");
    }
    let longest = "x".repeat(70);
    assert!(parse(&longest, &format!("--{longest}\r\n\r\n1\r\n--{longest}--")).is_ok());
    let cases = [
        ("", MimeError::NoCloseDelimiter),
        ("--b", MimeError::NoCloseDelimiter),
        ("--b\r\n", MimeError::NoCloseDelimiter),
        ("--b\r\n\r\n1", MimeError::NoCloseDelimiter),
        ("--b\r\n\r\n1\r\n--b", MimeError::NoCloseDelimiter),
        ("--b\n\n1\n--b--\n", MimeError::NoCloseDelimiter),
        ("--b\r\n\r\n1\n--b--", MimeError::NoCloseDelimiter),
        ("--b\r\n\r\n1\r\n--b--x", MimeError::NoCloseDelimiter),
        ("--b--", MimeError::NoParts),
        ("x\r\n--b--\r\n", MimeError::NoParts),
        ("--b\r\n--b--", MimeError::EmptyPart),
        ("--b\r\n\r\n1\r\n--b\r\n--b--", MimeError::EmptyPart),
        ("--b\r\nA: b\r\n--b--", MimeError::Truncated),
        ("--b\r\nno header\r\n\r\n\r\n--b--", MimeError::BadHeaderName),
    ];
    for (body, error) in cases {
        assert_eq!(parse("b", body).map(drop), Err(error), "{body:?}");
    }
    assert_eq!(Multipart::new("mixed", vec![]).map(drop), Err(MimeError::NoParts));
    assert_eq!(Multipart::new("mi xed", vec![text("")]).map(drop), Err(MimeError::NotWritable));
}

// interop: 20 (RFC 5438, erratum 3850)
#[test]
fn a_missing_close_is_let_pass_where_wished() {
    let wished = Leniency { missing_close_delimiter: true };
    let read = |body: &'static str| {
        Multipart::parse_with(&typed("b"), Bytes::from_static(body.as_bytes()), &Limits::default(), wished)
    };
    let (as_printed, tolerated) = read("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b\r\n").unwrap();
    assert_eq!(as_printed.parts().iter().map(|p| p.body.clone()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(tolerated, [Tolerated::MissingCloseDelimiter]);
    let (cut, tolerated) = read("--b\r\n\r\n1\r\n--b\r\n\r\n2").unwrap();
    assert_eq!((cut.parts().len(), tolerated.len()), (2, 1));
    assert_eq!(read("--b\r\n\r\n1\r\n--b--").unwrap().1, []);
    assert_eq!(read("no").map(drop), Err(MimeError::NoCloseDelimiter));
    // The part that nothing closes is one of those that are counted.
    let open = |n: usize| {
        let limits = Limits { max_parts: 2, ..Limits::DEFAULT };
        let body = Bytes::from("--b\r\n\r\nx\r\n".repeat(n));
        Multipart::parse_with(&typed("b"), body, &limits, wished).map(|(read, _)| read.parts().len())
    };
    assert_eq!((open(1), open(2)), (Ok(1), Ok(2)));
    let exceeded = LimitExceeded { limit: "mime.max_parts", value: 3, max: 2 };
    assert_eq!(open(3), Err(MimeError::Limit(exceeded)));
}

#[test]
fn the_boundary_is_in_no_part() {
    let first = Multipart::new("mixed", vec![text("x")]).unwrap();
    assert_eq!(first.boundary(), "cpm-0000000000000000");
    let inner = first.to_bytes().unwrap();
    let around = Multipart::new("mixed", vec![Part::new(&first.content_type(), inner)]).unwrap();
    assert_eq!(around.boundary(), "cpm-0000000000000001");
    let gap = Multipart::new(
        "mixed",
        vec![text("cpm-0000000000000001"), text("cpm-0000000000000000cpm-0000000000000003")],
    );
    assert_eq!(gap.unwrap().boundary(), "cpm-0000000000000002");

    let mut edited = parse("b", "pre\r\n--b\r\n\r\n1\r\n--b--\r\npost").unwrap();
    edited.parts_mut().push(text("two"));
    assert_eq!(
        edited.to_bytes().unwrap(),
        "pre\r\n--b\r\n\r\n1\r\n--b\r\nContent-Type: text/plain;charset=us-ascii\r\n\r\ntwo\r\n--b--\r\npost"
    );
    edited.parts_mut()[1] = text("x--b");
    assert_eq!(edited.to_bytes(), Err(MimeError::BoundaryInPart));
    edited.choose_boundary();
    let again =
        Multipart::parse(&edited.content_type(), edited.to_bytes().unwrap(), &Limits::default()).unwrap();
    assert_eq!(again.parts(), edited.parts());
    edited.parts_mut().clear();
    assert_eq!(edited.to_bytes(), Err(MimeError::NoParts));
}

fn nested(depth: usize) -> Part {
    let mut part = text("leaf");
    for _ in 0..depth {
        let around = Multipart::new("mixed", vec![part]).unwrap();
        part = Part::new(&around.content_type(), around.to_bytes().unwrap());
    }
    part
}

#[test]
fn leaves_are_found_within_limits() {
    let limits = Limits::default();
    let limit = |limit, value, max| Some(MimeError::Limit(LimitExceeded { limit, value, max }));
    let two = Multipart::new("mixed", vec![text("1"), nested(2), text("3")]).unwrap();
    let two = Part::new(&two.content_type(), two.to_bytes().unwrap());
    let bodies: Vec<_> = two.leaves(&limits).unwrap().into_iter().map(|part| part.body).collect();
    assert_eq!(bodies, ["1", "leaf", "3"]);
    assert_eq!(nested(4).leaves(&limits).unwrap().len(), 1);
    assert_eq!(nested(5).leaves(&limits).err(), limit("mime.max_depth", 5, 4));
    assert_eq!(text("").multipart(&limits), Ok(None));

    let many = |n: usize| Multipart::new("mixed", vec![text("x"); n]).unwrap();
    let read =
        |n: usize| Multipart::parse(&many(n).content_type(), many(n).to_bytes().unwrap(), &limits).map(drop);
    assert_eq!(read(32), Ok(()));
    assert_eq!(read(33).err(), limit("mime.max_parts", 33, 32));
    let part = |inside: Multipart| Part::new(&inside.content_type(), inside.to_bytes().unwrap());
    let split = |n: usize| part(Multipart::new("mixed", vec![part(many(17)), part(many(n))]).unwrap());
    assert_eq!(split(15).leaves(&limits).unwrap().len(), 32);
    assert_eq!(split(16).leaves(&limits).err(), limit("mime.max_parts", 33, 32));

    let coded = nested(1).with_header("Content-Transfer-Encoding", "base64").unwrap();
    assert!(matches!(coded.leaves(&limits), Err(MimeError::UnknownTransferEncoding(_))));
}

/// threats: A11, P1
#[test]
#[allow(clippy::disallowed_methods)]
fn a_small_stack_is_enough_for_deep_nesting() {
    let work = || {
        let open = Limits { max_depth: usize::MAX, max_parts: usize::MAX, ..Limits::DEFAULT };
        // Each level has a boundary of its own and nothing else: 1 MiB of them.
        let depth = 12_000;
        let mut body = String::new();
        for level in 0..depth {
            body.push_str(&format!(
                "--{level}\r\nContent-Type: multipart/mixed;boundary={}\r\n\r\n",
                level + 1
            ));
        }
        body.push_str(&format!("--{depth}\r\n\r\nleaf"));
        for level in (0..=depth).rev() {
            body.push_str(&format!("\r\n--{level}--"));
        }
        let part = Part::new(&typed("0"), Bytes::from(body));
        assert!(
            matches!(part.leaves(&Limits::default()), Err(MimeError::Limit(l)) if l.limit == "mime.max_depth")
        );
        // Each level is scanned once for its own delimiter; 200 of them are enough to show that nothing recurses.
        let some = Limits { max_depth: 200, ..open };
        assert!(matches!(part.leaves(&some), Err(MimeError::Limit(l)) if l.value == 201));
        let comment = format!("text/plain {}", "(".repeat(1 << 20));
        let wide = Limits { max_comment_depth: usize::MAX, ..Limits::DEFAULT };
        assert_eq!(ContentType::parse_with(&comment, &wide), Err(MimeError::ContentTypeSyntax));
    };
    std::thread::Builder::new().stack_size(64 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn every_cut_is_refused() {
    let whole = "--b\r\nA: b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--";
    for end in 0..whole.len() {
        assert!(parse("b", whole.get(..end).unwrap()).is_err(), "{end}");
    }
    assert!(parse("b", whole).is_ok());
}

/// A body that holds every candidate from the first on costs one pass, not one pass per candidate.
#[test]
fn a_hostile_part_does_not_make_choosing_slow() {
    let hostile: String = (0..10_000).map(|n| format!("--cpm-{n:016x}\r\n")).collect();
    let made = Multipart::new("mixed", vec![text(&hostile)]).unwrap();
    assert_eq!(made.boundary(), format!("cpm-{:016x}", 10_000));
    assert!(made.to_bytes().is_ok());
}

proptest! {
    #[test]
    fn what_is_built_is_read(bodies in proptest::collection::vec("[-\\r\\nab]{0,20}|--cpm-000000000000000[0-3]|.{0,20}", 1..6)) {
        let parts: Vec<Part> = bodies.iter().map(|body| text(body)).collect();
        let made = Multipart::new("mixed", parts.clone()).unwrap();
        let read = Multipart::parse(&made.content_type(), made.to_bytes().unwrap(), &Limits::default()).unwrap();
        prop_assert_eq!(read.parts(), &parts[..]);
    }

    #[test]
    fn no_octets_panic(near in "(--b|--|\\r\\n|\\r|\\n| |A: b|x){0,16}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        for body in [Bytes::from(near), Bytes::from(bytes)] {
            let leniency = Leniency { missing_close_delimiter: true };
            if let Ok((read, _)) = Multipart::parse_with(&typed("b"), body.clone(), &Limits::default(), leniency) {
                prop_assert_eq!(read.to_bytes().unwrap(), body);
            }
        }
    }
}
