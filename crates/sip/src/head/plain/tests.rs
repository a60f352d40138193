//! The plain reading beside the tolerant one, and both beside a reading so simple that nothing can be wrong with it.

#![allow(clippy::arithmetic_side_effects)]

use crate::headers::Fields;
use crate::*;
use alloc::string::ToString;
use alloc::vec::Vec;
use alloc::{format, vec};
use bytes::Bytes;
use proptest::prelude::*;

const START: &str = "OPTIONS sip:a@b SIP/2.0\r\n";

/// The name and value of each field, and the body.
type Reading = (Vec<(HeaderName, Vec<u8>)>, Vec<u8>);

/// Header fields and body behind a start-line, octet by octet.
fn simply(octets: &[u8]) -> Option<Reading> {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n")? + 2;
    let (mut block, mut fields, mut length) = (&octets[START.len()..end], Vec::new(), None);
    let body = &octets[end + 2..];
    while !block.is_empty() {
        let continued = |i: usize| matches!(block.get(i + 1), Some(b' ' | b'\t'));
        let line_end = (0..block.len()).find(|i| block[*i] == b'\n' && !continued(*i))? + 1;
        let (line, rest) = block.split_at(line_end);
        block = rest;
        simple_octets(line)?;
        let colon = line.iter().position(|o| *o == b':')?;
        let blank = |o: &u8| matches!(o, b' ' | b'\t' | b'\r' | b'\n');
        let name_end = (0..colon).rev().find(|i| !matches!(line[*i], b' ' | b'\t'))? + 1;
        let name = core::str::from_utf8(&line[..name_end]).ok()?;
        let known = HeaderName::KNOWN.iter().find(|known| {
            name.eq_ignore_ascii_case(known.as_str())
                || known.compact().is_some_and(|letter| name.eq_ignore_ascii_case(&letter.to_string()))
        });
        let name = known.cloned().map_or_else(|| HeaderName::parse(name).ok(), Some)?;
        let value: Vec<u8> = line[colon + 1..].iter().copied().skip_while(blank).collect();
        let value = value[..value.iter().rposition(|o| !blank(o)).map_or(0, |i| i + 1)].to_vec();
        if name == HeaderName::ContentLength {
            let digits = (1..=10).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
            let number = core::str::from_utf8(&value).ok().filter(|_| digits)?.parse::<u32>().ok()?;
            if length.replace(number as usize).is_some() {
                return None;
            }
        }
        fields.push((name, value));
    }
    Some((fields, body.get(..length.unwrap_or(body.len()))?.to_vec()))
}

/// CR before LF and nowhere else; other control characters but tabs behind a backslash that is not escaped itself.
fn simple_octets(line: &[u8]) -> Option<()> {
    for (i, octet) in line.iter().enumerate() {
        let fine = match octet {
            b'\r' => line.get(i + 1) == Some(&b'\n'),
            b'\n' => i > 0 && line[i - 1] == b'\r',
            b'\t' => true,
            0..=31 | 127 => line[..i].iter().rev().take_while(|o| **o == b'\\').count() % 2 == 1,
            _ => true,
        };
        if !fine {
            return None;
        }
    }
    Some(())
}

/// Whether the octets were plain; what was read of them is what the tolerant reading finds, to the last span.
fn plain_is_tolerant(octets: &Bytes, start: usize, limits: &Limits) -> bool {
    let mut received = Fields::received(octets.clone(), *limits);
    let Some(plain) = super::cut(octets, start, limits, &mut received) else { return false };
    assert_eq!(crate::head::find_end(octets, start), Some(plain.end), "{octets:?}");
    let tolerant = crate::head::read(octets, start, plain.end, limits);
    assert_eq!(tolerant.fault, None, "{octets:?}");
    assert_eq!((start, plain.start_line_end), tolerant.start_line, "{octets:?}");
    assert!(octets[..plain.start_line_end].ends_with(b"\r\n"), "{octets:?}");
    assert_eq!(plain.content_length, tolerant.content_length, "{octets:?}");
    let fields = |headers: &Headers| -> Vec<_> {
        headers.iter().map(|(name, value)| (name.clone(), value.as_bytes().as_ptr_range())).collect()
    };
    let headers = Headers::from(received);
    assert_eq!(fields(&headers), fields(&tolerant.fields.into()), "{octets:?}");
    let mut lines = Vec::new();
    headers.write(&mut lines);
    assert_eq!(lines, octets[plain.start_line_end..plain.end - 2]);
    true
}

/// Reads a message that begins with [`START`] in all ways. Gives whether it was plain, and whether it was right.
fn check(octets: &[u8]) -> (bool, bool) {
    let octets = Bytes::copy_from_slice(octets);
    let plain = plain_is_tolerant(&octets, 0, &Limits::DEFAULT);
    let wanted = simply(&octets);
    let read = parse_datagram(octets.clone(), &Limits::DEFAULT).ok().map(|message| {
        let fields = message.headers().iter().map(|(name, value)| (name.clone(), value.as_bytes().to_vec()));
        (fields.collect(), message.body().to_vec())
    });
    assert_eq!(read, wanted, "{octets:?}");
    (plain, wanted.is_some())
}

fn with(block: &str, body: &str) -> Vec<u8> {
    format!("{START}{block}\r\n{body}").into_bytes()
}

/// Header fields over more than three blocks of 64 octets: quoted pairs, octets that are not ASCII, an unknown name of 17
/// octets, a backslash before a line end, a compact form.
const BLOCK: &str = "Via: SIP/2.0/UDP host.example;branch=z9hG4bK1\r\n\
    f: \"\\\\a\\b\\\" \u{e9}\u{1f600}\" <sip:alice@example.com>;tag=1\r\n\
    Supported: 100rel, timer\r\n\
    X-Name-Of-17-char: :a:b, c\r\nSubject: \\\r\nl: 3\r\nContent-Type:text/plain;x=\"\\\"\" \r\n";

/// threat: A4, A9, B1. Any octet put in, or in the place of another, at every place of a head.
#[test]
fn every_octet_at_every_place() {
    let good = with(BLOCK, "abc");
    assert!(BLOCK.len() > 128 + 64 && check(&good).1);
    let end = good.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let telling = [0, b'\t', b'\n', b'\r', b' ', b'0', b':', b'L', b'\\', b'l', 127, 128, 255];
    let (mut plain, mut right) = (0, 0);
    let mut count = |octets: &[u8]| {
        let (is_plain, is_right) = check(octets);
        plain += usize::from(is_plain);
        right += usize::from(is_right);
    };
    for at in START.len()..end {
        let mut octets = good.clone();
        for octet in telling {
            octets[at] = octet;
            count(&octets);
        }
        octets[at] = good[at];
        octets.insert(at, 0);
        for octet in 0..=255u8 {
            octets[at] = octet;
            count(&octets);
        }
    }
    assert!(plain > 30_000 && right > plain, "{plain} plain, {right} right");
}

/// In a start-line no control character may stand, wherever it stands in a block of 64 octets.
#[test]
fn every_octet_in_a_start_line() {
    let line = format!("OPTIONS sip:{}@example.com SIP/2.0", "a".repeat(130));
    for at in 0..=line.len() {
        for octet in (0..=31).chain([127]) {
            let mut octets = format!("{line}\r\nl: 0\r\n\r\n").into_bytes();
            octets.insert(at, octet);
            let octets = Bytes::from(octets);
            if plain_is_tolerant(&octets, 0, &Limits::DEFAULT) {
                panic!("{octet} at {at}");
            }
            // CRs and LFs in front are line ends between messages, or a broken one.
            assert!(parse_datagram(octets, &Limits::DEFAULT).is_err(), "{octet} at {at}");
        }
    }
}

/// Whatever may end a line, at every place of a block of 64 octets, and across its border: of a first line and of a
/// later one, with fields, with nothing or with a body behind it.
#[test]
fn line_ends_at_every_place_of_a_block() {
    let ends = [
        "\r\n",
        "\n",
        "\r",
        "\r\r\n",
        "\n\r\n",
        "\r\n\n",
        "\r\n b\r\n",
        "\r\n\tb\r\n",
        "\r\n \r\n",
        "\r\n\r\n",
        "\n\r",
        "",
        "\\\r\n",
        "\0\r\n",
        "\\\0\r\n",
        "\u{7f}\r\n",
        "\u{80}\r\n",
        "\u{ff}\r\n",
        "\t\r\n",
        " \r\n",
        "\r\n: x\r\n",
        "\r\nX\r\n",
        "\r\nX :\r\n",
        "\r\nX:  \r\n",
        "\r\nX:\t\r\n",
        "\r\n\u{e9}: x\r\n",
    ];
    let (mut plain, mut right) = (0, 0);
    for pad in 0..135 {
        for end in ends {
            for behind in ["", "l: 2\r\n", "Supported: a\r\nL:1\r\n"] {
                for body in ["", "ab", "\r\n", "\r\n\r\n", "\n\0"] {
                    let octets = with(&format!("X:{}{end}{behind}", "y".repeat(pad)), body);
                    let (is_plain, is_right) = check(&octets);
                    plain += usize::from(is_plain);
                    right += usize::from(is_right);
                }
            }
        }
    }
    assert!(plain > 135 * 20 && right > plain, "{plain} plain, {right} right");
}

/// A plain head is found to be plain wherever its lines end; without that the tolerant reading would do all the work and
/// no other test would tell.
#[test]
fn plain_heads_are_plain() {
    for pad in 1..200 {
        for line in [
            "Subject",
            "s",
            "X-Other",
            "A-Name-Of-16-oct",
            "A-Name-Of-17-octs",
            "A-Name-Of-32-octets-of-many-more",
            "A-Name-Of-33-octets-of-many-mores",
        ] {
            let block = format!(
                "Via: SIP/2.0/TCP h\r\n{line}: {}\u{e9}\r\nl: 2\r\nTo: <sip:b@c>\r\n",
                "y".repeat(pad)
            );
            assert_eq!(check(&with(&block, "ab")), (true, true), "{block}");
        }
    }
}

/// Each name in every spelling, long and compact, at the beginning and at the very end of the octets, where no whole word
/// can be read any more.
#[test]
fn names_near_the_end() {
    for name in HeaderName::KNOWN {
        let long = name.as_str().to_string();
        let compact = name.compact().map(|letter| letter.to_string());
        for name in [Some(long), compact].into_iter().flatten() {
            for spelling in [
                name.to_ascii_lowercase(),
                name.to_ascii_uppercase(),
                name.clone(),
                name.clone() + "x",
                name + " ",
            ] {
                for value in ["", "0", " 0", "a:b"] {
                    check(&with(&format!("{spelling}:{value}\r\n"), ""));
                    check(&with(&format!("{spelling}:{value}\r\nX: {}\r\n", "y".repeat(64)), ""));
                }
            }
        }
    }
}

/// A head that was cut, with a CR or anything else at the very end, is not whole.
#[test]
fn cut_at_every_octet() {
    let good = with(BLOCK, "abc");
    for cut in START.len()..good.len() {
        for behind in ["", "\r", "\n", "\0", "\r\r", ":", " "] {
            let octets = [&good[..cut], behind.as_bytes()].concat();
            let (_, right) = check(&octets);
            assert!(!right || cut + behind.len() >= good.len(), "{cut} {behind:?}");
        }
    }
}

/// Line ends before the message move where blocks of 64 octets begin, and nothing else.
#[test]
fn behind_leading_line_ends() {
    for count in 0..40 {
        let octets = Bytes::from([&b"\r\n".repeat(count)[..], &with(BLOCK, "abcdef")].concat());
        let message = parse_datagram(octets.clone(), &Limits::DEFAULT).unwrap();
        assert_eq!(message.to_bytes(), with(BLOCK, "abc"));
        assert!(plain_is_tolerant(&octets, 2 * count, &Limits::DEFAULT));
    }
}

/// What a stream holds is what a datagram holds, wherever line ends stand.
#[test]
fn streams_at_every_place_of_a_block() {
    for pad in 0..135 {
        for (end, whole) in
            [("\r\n", true), ("\r\n z\r\n", true), ("\n", false), ("\r", false), ("\0\r\n", false)]
        {
            let octets =
                Bytes::from(with(&format!("l: 2\r\nX:{}{end}To: <sip:b@c>\r\n", "y".repeat(pad)), "\r\n"));
            let mut framer = StreamFramer::new(Limits::DEFAULT);
            framer.push([&octets[..], &octets[..]].concat().into());
            let frames = vec![framer.next(), framer.next()];
            for frame in frames {
                match frame {
                    Some(Frame::Message(message)) => {
                        assert!(whole && message.to_bytes() == octets, "{octets:?}")
                    }
                    other => assert!(!whole && !matches!(other, Some(Frame::Broken(_))), "{other:?}"),
                }
            }
        }
    }
}

/// As many control characters as line ends would be, but not the same: a tab makes up for a CR that is not there.
#[test]
fn what_is_not_plain_is_not_taken_for_it() {
    for octets in [
        "OPTIONS sip:a@b SIP/2.0x\nSubject: a\tb\r\n\r\n",
        "OPTIONS sip:a@b SIP/2.0\r\nSubject: a\tb\n\r\n",
        "OPTIONS sip:a@b SIP/2.0\r\nSubject: a\rb\n\r\n",
        "OPTIONS sip:a@b SIP/2.0\r\nSubject: \u{7f}b\n\r\n",
    ] {
        let failure = parse_datagram(octets.into(), &Limits::default()).unwrap_err();
        assert_eq!(failure.error, ParseError::Control, "{octets:?}");
    }
}

proptest! {
    /// The plain reading finds what the tolerant one finds, or nothing.
    #[test]
    fn plain_and_tolerant_readings_agree(
        lines in proptest::collection::vec(
            "(Via|v|X-Other|Content-Length|l|Subject|SUBJECT|ss)[ \t]?:[ \t]?[a\t\"\\\\:é0-9\u{7f}]{0,9}[ \t]?(\r\n|\r\n|\r\n|\n|\r|\r\n )",
            0..6,
        ),
        start in "(INVITE|x|SIP/2\\.0 200) (sip:a@b|tel:1|a) SIP/2\\.0[x\t]?(\r\n|\r\n|\n)",
    ) {
        let octets = Bytes::from(format!("{start}{}\r\n", lines.concat()));
        plain_is_tolerant(&octets, 0, &Limits { max_headers: 4, max_header_line: 24, ..Limits::DEFAULT });
    }
}
