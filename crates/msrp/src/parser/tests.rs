#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use crate::head::HeadError;
use crate::values::Status;
use crate::{Method, StartLine};
use alloc::string::String;
use alloc::{format, vec};
use proptest::prelude::*;

const PATHS: &str =
    "To-Path: msrp://b.example:1/bbbbbbbb;tcp\r\nFrom-Path: msrp://a.example:2/aaaaaaaa;tcp\r\n";

fn send(tid: &str, body: &[u8], flag: char) -> Vec<u8> {
    let head = format!("MSRP {tid} SEND\r\n{PATHS}Message-ID: mid{tid}\r\nContent-Type: text/plain\r\n\r\n");
    [head.as_bytes(), body, format!("\r\n-------{tid}{flag}\r\n").as_bytes()].concat()
}

/// What came out, with the pieces of each body joined.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Head(String),
    Bad(HeadError),
    Body(Vec<u8>),
    End(ContinuationFlag),
    Lost(FramingError),
}

fn drain(parser: &mut StreamParser, seen: &mut Vec<Seen>) {
    while let Some(frame) = parser.next() {
        match frame {
            Frame::Head(head) => seen.push(Seen::Head(head.transaction_id().into())),
            Frame::BadHead(bad) => seen.push(Seen::Bad(bad.error)),
            Frame::Body(piece) => match seen.last_mut() {
                Some(Seen::Body(body)) => body.extend_from_slice(&piece),
                _ => seen.push(Seen::Body(piece.to_vec())),
            },
            Frame::End(flag) => seen.push(Seen::End(flag)),
            Frame::Lost(error) => seen.push(Seen::Lost(error)),
        }
    }
}

fn read_cut(limits: &Limits, pieces: &[&[u8]]) -> Vec<Seen> {
    let (mut parser, mut seen) = (StreamParser::new(limits), Vec::new());
    for piece in pieces {
        parser.push(Bytes::copy_from_slice(piece));
        drain(&mut parser, &mut seen);
    }
    seen
}

fn read(octets: &[u8]) -> Vec<Seen> {
    read_cut(&Limits::default(), &[octets])
}

/// Bodies that look like ends of all kinds.
fn nasty_bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        "\r\n",
        "\r",
        "\n",
        "\r\n\r\n",
        "x",
        "-------",
        "\r\n-------",
        "\r\n-------abcd",
        "\r\n-------abcd12",
        "\r\n-------abcd12$",
        "\r\n-------abcd12$\r",
        "\r\n-------abcd12$\n",
        "\n-------abcd123$\r\n",
        "\n-------abcd123$\n",
        "\r-------abcd123$\r\n",
        "\r\n------abcd123$\r\n",
        "\r\n--------abcd123$\r\n",
        "\r\n-------abcd123?\r\n",
        "\r\n-------abcd123$x",
        "\r\n-------abcd123$x\n",
        "\r\n-------abcd123$\n\n",
        "-------abcd124$\r\n",
        "-------abcd123?\r\n",
        "-------abcd123$x\n",
        "-------abcd12$\r\n\r\n-------abcd12",
        "\r\n-------abcd123$\r\r\n",
        "\r\n-------abcd1234$\r\n",
        "\r\n-------ABCD123$\r\n",
        "\r\n-------abcd124$\r\n",
        "\r\n-------abce123$\r\n",
        "\r\n-------xbcd123$\r\n",
        "\r\n-------other999$\r\nMSRP other999 SEND\r\n",
        "\r\n\r\n-------\r\n-------abcd\r\n-------abcd123\r\n",
        "\u{20ac}\u{1f600}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.push((0..=255).cycle().take(700).collect());
    bodies.push(vec![b'-'; 40]);
    bodies.push(b"\r\n-------abcd123".repeat(20));
    bodies.push(b"\r\n".repeat(60));
    bodies
}

/// Threat B3, interop 13: near misses are body.
#[test]
fn only_the_whole_end_line_of_the_own_transaction_ends_a_body() {
    for body in nasty_bodies() {
        for flag in ['$', '+', '#'] {
            let stream = [send("abcd123", &body, flag), send("next4567", b"after", '$')].concat();
            let flag = ContinuationFlag::read(u8::try_from(flag).unwrap()).unwrap();
            let mut expected = vec![Seen::Head("abcd123".into()), Seen::Body(body.clone()), Seen::End(flag)];
            expected.retain(|seen| *seen != Seen::Body(Vec::new()));
            expected.extend([
                Seen::Head("next4567".into()),
                Seen::Body(b"after".to_vec()),
                Seen::End(ContinuationFlag::End),
            ]);
            assert_eq!(read(&stream), expected, "{}", body.escape_ascii());
            // Cut at every octet, and octet by octet.
            for cut in 1..stream.len() {
                let (a, b) = stream.split_at(cut);
                assert_eq!(
                    read_cut(&Limits::default(), &[a, b]),
                    expected,
                    "{} at {cut}",
                    body.escape_ascii()
                );
            }
            let octets: Vec<&[u8]> = stream.chunks(1).collect();
            assert_eq!(read_cut(&Limits::default(), &octets), expected, "{}", body.escape_ascii());
        }
    }
}

#[test]
fn pieces_are_bounded_and_cuts_inside_long_bodies_do_not_matter() {
    let limits = Limits { piece: 100, ..Limits::default() };
    let body = b"\r\n-------abcd12 and so on".repeat(60);
    let stream = send("abcd123", &body, '$');
    for step in [1, 2, 7, 99, 100, 101, 113, 1000, stream.len()] {
        let mut parser = StreamParser::new(&limits);
        let mut got = Vec::new();
        for piece in stream.chunks(step) {
            parser.push(Bytes::copy_from_slice(piece));
            while let Some(frame) = parser.next() {
                if let Frame::Body(piece) = frame {
                    assert!(!piece.is_empty() && piece.len() <= 100);
                    got.extend_from_slice(&piece);
                }
            }
        }
        assert_eq!(got, body, "{step}");
    }
}

#[test]
fn the_empty_line_may_be_the_one_before_the_end_line() {
    let stream = format!(
        "MSRP abcd123 SEND\r\n{PATHS}Message-ID: m1234\r\nContent-Type: text/plain\r\n\r\n-------abcd123$\r\n"
    );
    let expected = [Seen::Head("abcd123".into()), Seen::End(ContinuationFlag::End)];
    assert_eq!(read(stream.as_bytes()), expected);
    let octets: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
    assert_eq!(read_cut(&Limits::default(), &octets), expected);
}

/// Threats B13, B5: told at the first octet that differs; nothing is found again later.
#[test]
fn other_protocols_are_told_by_their_first_octets_and_nothing_more_is_read() {
    for text in [
        "GET / HTTP/1.1\r\n",
        "\x16\x03\x01",
        "INVITE sip:a SIP/2.0\r\n",
        "msrp abcd123 SEND\r\n",
        "\r\n",
        "MSRPx",
    ] {
        let mut parser = StreamParser::new(&Limits::default());
        let mut seen = Vec::new();
        parser.push(Bytes::copy_from_slice(text.as_bytes()));
        parser.push(Bytes::from(send("abcd123", b"x", '$')));
        drain(&mut parser, &mut seen);
        parser.push(Bytes::from(send("abcd123", b"x", '$')));
        drain(&mut parser, &mut seen);
        assert_eq!(seen, [Seen::Lost(FramingError::NotMsrp)], "{text:?}");
    }
    // It is told before the line ends.
    assert_eq!(read(b"G"), [Seen::Lost(FramingError::NotMsrp)]);
    for text in ["MSRP abc SEND\r\n", "MSRP  SEND\r\n", "MSRP -abc SEND\r\n", "MSRP ab/cd SEND\r\n"] {
        assert_eq!(read(text.as_bytes()), [Seen::Lost(FramingError::TransactionId)], "{text:?}");
    }
    let long = format!("MSRP {} SEND\r\n", "a".repeat(33));
    assert_eq!(read(long.as_bytes()), [Seen::Lost(FramingError::TransactionId)]);
}

fn lost_to(limit: &str, seen: &[Seen]) -> bool {
    matches!(seen.last(), Some(Seen::Lost(FramingError::Limit(exceeded))) if exceeded.limit == limit)
}

#[test]
fn heads_are_bounded() {
    let limits = Limits { max_header: 400, max_lines: 6, ..Limits::default() };
    let with = |length: usize| {
        let start = format!("MSRP abcd123 SEND\r\n{PATHS}X: ");
        let pad = "p".repeat(length - start.len() - 2);
        format!("{start}{pad}\r\n")
    };
    let end = "-------abcd123$\r\n";
    let fits = with(400 - end.len()) + end;
    assert_eq!(fits.len(), 400);
    assert_eq!(
        read_cut(&limits, &[fits.as_bytes()]),
        [Seen::Head("abcd123".into()), Seen::End(ContinuationFlag::End)]
    );
    let over = with(401 - end.len()) + end;
    assert!(lost_to("msrp.max_header", &read_cut(&limits, &[over.as_bytes()])));
    // A line that never ends is not collected beyond the limit, however it comes.
    let endless = format!("MSRP abcd123 SEND\r\n{PATHS}X: {}", "p".repeat(10_000));
    let octets: Vec<&[u8]> = endless.as_bytes().chunks(1).collect();
    assert!(lost_to("msrp.max_header", &read_cut(&limits, &octets)));
    // Six lines: start line, paths, two more and the end-line.
    let lines = |n: usize| format!("MSRP abcd123 SEND\r\n{PATHS}{}{end}", "X: y\r\n".repeat(n));
    assert_eq!(read_cut(&limits, &[lines(2).as_bytes()]).len(), 2);
    assert!(lost_to("msrp.max_lines", &read_cut(&limits, &[lines(3).as_bytes()])));
}

#[test]
fn bodies_of_other_than_send_are_bounded() {
    let limits = Limits { max_nonsend_body: 50, ..Limits::default() };
    let report = |length: usize| {
        let head = format!(
            "MSRP abcd123 REPORT\r\n{PATHS}Message-ID: m123\r\nStatus: 000 200\r\nContent-Type: a/b\r\n\r\n"
        );
        format!("{head}{}\r\n-------abcd123$\r\n", "b".repeat(length))
    };
    assert_eq!(read_cut(&limits, &[report(50).as_bytes()]).len(), 3);
    assert!(lost_to("msrp.max_nonsend_body", &read_cut(&limits, &[report(51).as_bytes()])));
    // It may all be there at once, end-line included: nothing follows what is lost.
    let mut parser = StreamParser::new(&limits);
    parser.push(report(51).into());
    assert!(matches!(parser.next(), Some(Frame::Head(_))));
    assert!(matches!(parser.next(), Some(Frame::Lost(_))));
    assert_eq!(parser.next(), None);
    // A SEND that cannot be understood may be long all the same: only it is refused.
    let bad =
        format!("MSRP abcd123 SEND\r\nContent-Type: a/b\r\n\r\n{}\r\n-------abcd123$\r\n", "b".repeat(500));
    let seen = read_cut(&limits, &[bad.as_bytes(), &send("next4567", b"x", '$')]);
    assert_eq!(seen[0], Seen::Bad(HeadError::Missing("To-Path")));
    assert_eq!(seen.len(), 6);
}

#[test]
fn bad_heads_are_told_and_framing_goes_on() {
    use HeadError::{Line, Missing, Repeated, StartLine as Start, Value};
    let next = send("next4567", b"after", '$');
    for (fields, error) in [
        ("", Missing("To-Path")),
        ("To-Path: msrp://b:1/x;tcp\r\n", Missing("From-Path")),
        ("To-Path: http://b:1/x\r\nFrom-Path: msrp://a:1/y;tcp\r\n", Value("To-Path")),
        ("PATHSno colon\r\n", Line),
        ("PATHSX Y: z\r\n", Line),
        ("PATHS: z\r\n", Line),
        ("PATHS folded\r\n", Line),
        ("PATHSX: a\nb\r\n", Line),
        ("PATHSX: a\rb\r\n", Line),
        ("PATHSX: a\0b\r\n", Line),
        ("PATHSByte-Range: 0-1/2\r\n", Value("Byte-Range")),
        ("PATHSByte-Range: 5-3/9\r\n", Value("Byte-Range")),
        ("PATHSByte-Range: 1-9/8\r\n", Value("Byte-Range")),
        ("PATHSByte-Range: 1-18446744073709551616/*\r\n", Value("Byte-Range")),
        ("PATHSByte-Range: 1-/3\r\n", Value("Byte-Range")),
        ("PATHSFailure-Report: maybe\r\n", Value("Failure-Report")),
        ("PATHSSuccess-Report: partial\r\n", Value("Success-Report")),
        ("PATHSMessage-ID: a1234\r\nmessage-id: b1234\r\n", Repeated("Message-ID")),
        ("PATHSTo-Path: msrp://b:1/x;tcp\r\n", Repeated("To-Path")),
        ("PATHSMessage-ID: a b c\r\n", Value("Message-ID")),
    ] {
        let fields = fields.replace("PATHS", PATHS);
        let stream = [format!("MSRP abcd123 SEND\r\n{fields}-------abcd123$\r\n").as_bytes(), &next].concat();
        let seen = read(&stream);
        assert_eq!(seen[0], Seen::Bad(error), "{fields:?}");
        assert_eq!((&seen[1], &seen[2]), (&Seen::End(ContinuationFlag::End), &Seen::Head("next4567".into())));
    }
    for start in [
        "MSRP abcd123",
        "MSRP abcd123 send",
        "MSRP abcd123 20 OK",
        "MSRP abcd123 SEND now",
        "MSRP abcd123 099",
    ] {
        let seen = read(format!("{start}\r\n{PATHS}-------abcd123$\r\n").as_bytes());
        assert_eq!(seen[0], Seen::Bad(Start), "{start:?}");
    }
    let body = format!("MSRP abcd123 SEND\r\n{PATHS}Message-ID: a1234\r\n\r\nx\r\n-------abcd123$\r\n");
    assert_eq!(read(body.as_bytes())[0], Seen::Bad(Missing("Content-Type")));
    let body =
        format!("MSRP abcd123 SEND\r\n{PATHS}Content-Type: text/plain\r\n\r\nx\r\n-------abcd123$\r\n");
    assert_eq!(read(body.as_bytes())[0], Seen::Bad(Missing("Message-ID")));
}

#[test]
fn heads_keep_what_they_do_not_know() {
    let text = format!(
        "MSRP abcd123 SEND\r\nX-First:1\r\n{PATHS}mEssage-iD:  m123 \r\nByte-Range: 1-*/*\r\nFailure-Report: PARTIAL\r\n\
         Success-Report: yes\r\nContent-Disposition: attachment;\r\n\tfilename=x\r\nContent-Type: a/b;c=d\r\n"
    );
    let head = Head::parse(Bytes::from(text.clone()), true).unwrap();
    assert_eq!(head.to_bytes(), text.as_bytes());
    assert_eq!(*head.start(), StartLine::Request(Method::Send));
    assert_eq!(head.message_id(), Some("m123"));
    assert_eq!(head.field("x-first"), Some("1"));
    assert_eq!(head.field("content-disposition"), Some("attachment;\r\n\tfilename=x"));
    assert_eq!(head.content_type(), Some("a/b;c=d"));
    assert!(head.success_report() && head.failure_report() == crate::FailureReport::Partial);
    assert_eq!(head.byte_range(), Some(crate::ByteRange::default()));
    assert_eq!(head.fields().count(), 9);
    let response = Head::parse(Bytes::from(format!("MSRP abcd123 200 All well\r\n{PATHS}")), false).unwrap();
    assert_eq!(*response.start(), StartLine::Response(Status::OK));
}

proptest! {
    /// Threats B1, A14: the cut of a stream changes nothing.
    #[test]
    fn partition_invariance(
        bodies in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![Just(b"\r\n-------abcd123".to_vec()), Just(b"\r\n".to_vec()),
                Just(b"$\r\n".to_vec()), proptest::collection::vec(any::<u8>(), 0..40)], 0..8), 1..4),
        cuts in proptest::collection::vec(1usize..60, 1..40),
    ) {
        let mut stream = Vec::new();
        for (i, body) in bodies.iter().enumerate() {
            stream.extend(send(&format!("tr{i}abcd"), &body.concat(), '$'));
        }
        let whole = read(&stream);
        let (mut parser, mut seen, mut rest) = (StreamParser::new(&Limits::default()), Vec::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            parser.push(Bytes::copy_from_slice(now));
            drain(&mut parser, &mut seen);
            rest = later;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(&seen, &whole);
        let got: Vec<_> = whole.iter().filter(|seen| matches!(seen, Seen::End(_))).collect();
        prop_assert_eq!(got.len(), bodies.len());
    }

    #[test]
    fn no_octets_panic_and_memory_is_bounded(octets in proptest::collection::vec(any::<u8>(), 0..300), step in 1usize..50) {
        let begun = [b"MSRP abcd123 SEND\r\n".as_slice(), PATHS.as_bytes(), &octets].concat();
        for stream in [&octets, &begun] {
            let mut parser = StreamParser::new(&Limits::default());
            for piece in stream.chunks(step) {
                parser.push(Bytes::copy_from_slice(piece));
                while parser.next().is_some() {}
                prop_assert!(parser.input.is_empty());
                prop_assert!(parser.head.len() <= 4096 && parser.held.len() <= 64);
            }
        }
    }

    #[test]
    fn byte_ranges_agree_with_a_model(start in any::<u64>(), end in proptest::option::of(any::<u64>()), total in proptest::option::of(any::<u64>())) {
        let range = crate::ByteRange { start, end, total };
        let wide = |n: u64| i128::from(n);
        let last = end.map_or(wide(start) - 1, wide);
        let sound = start >= 1 && last >= wide(start) - 1 && total.is_none_or(|t| last <= wide(t));
        let text = format!("{range}");
        prop_assert_eq!(crate::ByteRange::parse(&text), sound.then_some(range));
    }
}

/// Threats B1, B3: a lone LF ends no line, whether a head is read where it stands or put together.
#[test]
fn a_lone_lf_ends_no_line_of_a_head_however_it_is_cut() {
    for text in [
        "MSRP abcd123 SEND\r\nX: y\n\r\nContent-Type: a/b\r\n\r\nbody\r\n-------abcd123$\r\n",
        "MSRP abcd123 SEND\r\nX: y\n-------abcd123$\r\nZ: a\r\n-------abcd123+\r\n",
        "MSRP abcd123 SEND\nX: y\r\n-------abcd123$\r\n",
        "MSRP abcd123 SEND\r\nX: y\r\n-------abcd123$\n-------abcd123#\r\n",
    ] {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        let bytewise = read_cut(&Limits::default(), &pieces);
        assert_eq!(read(text.as_bytes()), bytewise, "{text:?}");
    }
}

/// Threat B3: a response that is like the one before but for its transaction is read as any other, wherever it is cut
/// and whatever is wrong with it.
#[test]
fn responses_that_resemble_the_one_before_are_read_as_any_other() {
    let response = |id: &str, end: &str| {
        format!(
            "MSRP {id} 200 OK\r\nTo-Path: msrp://a:1/x;tcp\r\nFrom-Path: msrp://b:1/y;tcp\r\n-------{end}\r\n"
        )
    };
    let cases = [
        response("abcdefgh", "abcdefgh$"),
        response("abcd fgh", "abcd fgh$"),
        response("abcd:fgh", "abcd:fgh$"),
        response("bcdefghi", "bcdefghi#"),
        response("bcdefghi", "bcdefghi?"),
        response("bcdefghi", "abcdefgh$"),
        response("bcdefgh", "bcdefgh$"),
        response("bcdefghi", "bcdefghi+"),
        response("bcdefghi", "bcdefghi$").replace(" OK", " Ok"),
        response("bcdefghi", "bcdefghi$").replace("From-", "\r\nFr-"),
        response("bcdefghi", "bcdefghi$x\n-------bcdefghi$"),
        response("bcdefghi", "abcdefgh$\r\n-------bcdefghi$"),
    ];
    let frames = |parts: &[&[u8]]| {
        let mut parser = StreamParser::new(&Limits::default());
        let mut frames = Vec::new();
        for part in parts {
            parser.push(Bytes::copy_from_slice(part));
            frames.extend(core::iter::from_fn(|| parser.next()));
        }
        frames
    };
    for case in &cases {
        let before = response("aaaabbbb", "aaaabbbb$");
        let rest = format!("{case}{}", response("zzzzzzzz", "zzzzzzzz$"));
        let at_once = frames(&[before.as_bytes(), rest.as_bytes()]);
        // Without its last octet at hand, no response is read at once.
        let (most, last) = rest.as_bytes().split_at(case.len() - 1);
        assert_eq!(at_once, frames(&[before.as_bytes(), most, last]), "{case}");
        // A parser that has read nothing before.
        assert_eq!(at_once[2..], frames(&[rest.as_bytes()]), "{case}");
    }
    let heads = |case: &str| matches!(&frames(&[case.as_bytes()])[..], [Frame::Head(_), Frame::End(_)]);
    assert!(
        heads(&cases[0]) && heads(&cases[3]) && heads(&cases[6]) && heads(&cases[8]) && !heads(&cases[1])
    );
}

/// Threat B3: a line of a head that is another transaction's end-line, as long as the own one, ends nothing, however the
/// stream is cut.
#[test]
fn another_end_line_ends_no_head() {
    for miss in ["abcd124$", "bbcd123+", "ABCD123#", "abcd123?", "abcd12$", "abcd123$x"] {
        let head = format!("MSRP abcd123 SEND\r\n{PATHS}-------{miss}\r\n-------abcd123+\r\n");
        let stream = [head.as_bytes(), &send("next4567", b"after", '$')].concat();
        let expected = [
            Seen::Bad(HeadError::Line),
            Seen::End(ContinuationFlag::More),
            Seen::Head("next4567".into()),
            Seen::Body(b"after".to_vec()),
            Seen::End(ContinuationFlag::End),
        ];
        assert_eq!(read(&stream), expected, "{miss}");
        let octets: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read_cut(&Limits::default(), &octets), expected, "{miss}");
    }
}

/// Threat A1: a head that is like the one before but longer than allowed is refused as any other, however it is cut.
#[test]
fn heads_that_resemble_the_one_before_are_bounded_too() {
    let pad = "p".repeat(300);
    let request = |id: &str, message_id: &str| {
        format!(
            "MSRP {id} SEND\r\n{PATHS}X: {pad}\r\nMessage-ID: {message_id}\r\nContent-Type: a/b\r\n\r\nx\r\n-------{id}$\r\n"
        )
    };
    let response = |id: &str| format!("MSRP {id} 200 OK\r\n{PATHS}X: {pad}\r\n-------{id}$\r\n");
    let long = "abcdefghijklmnopqrstuvwxyz012345";
    for (is_request, behind) in [(true, "x\r\n-------abcd123$\r\n".len()), (false, 0)] {
        let make = |id: &str, message_id: &str| match is_request {
            true => request(id, message_id),
            false => response(id),
        };
        let first = make("abcd123", "m1234");
        let limits = Limits { max_header: first.len() - behind, ..Limits::default() };
        for (id, message_id, fits) in
            [("zyxw987", "n5678", true), (long, "m1234", false), ("zyxw987", long, false)]
        {
            let next = make(id, message_id);
            let fits = fits || next.len() == first.len();
            let both = [first.as_bytes(), next.as_bytes()].concat();
            let octets: Vec<&[u8]> = both.chunks(1).collect();
            for pieces in [vec![&both[..]], vec![first.as_bytes(), next.as_bytes()], octets] {
                let seen = read_cut(&limits, &pieces);
                assert_eq!(lost_to("msrp.max_header", &seen), !fits, "{id} {message_id} {}", pieces.len());
            }
        }
    }
}

/// Threat I7: a path is eight URIs at most.
#[test]
fn paths_are_bounded() {
    for (count, expected) in
        [(8, None), (9, Some(HeadError::Value("From-Path"))), (40, Some(HeadError::Value("From-Path")))]
    {
        let path = vec!["msrp://a.example:2/aaaaaaaa;tcp"; count].join(" ");
        let text = format!("MSRP abcd123 SEND\r\nTo-Path: msrp://b:1/b;tcp\r\nFrom-Path: {path}\r\n");
        let head = Head::parse(Bytes::from(text), false);
        assert_eq!(head.as_ref().err().map(|bad| bad.error), expected, "{count}");
        assert!(head.is_ok_and(|head| head.from_path().len() == count) == expected.is_none());
    }
}
