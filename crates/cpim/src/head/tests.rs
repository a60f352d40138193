#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::*;
use crate::{Address, BuildError, CPIM_NAMESPACE, CpimMessage};
use alloc::format;
use alloc::string::String;
use cpm_base::{DateTime, LimitExceeded};
use proptest::prelude::*;

const HEAD: &str = "From: A \\\\ B <im:a@x>\r\nX-Odd:;a=\"b;\" \\u0041\r\nNS: i <urn:ietf:params:imdn>\r\nDateTime: 2000-12-13T13:40:00-08:00\r\n\
    To: <im:list@x>\r\ni.Message-ID: 1\r\n\r\n";
const CONTENT: &str = "Content-type: text/plain;\r\n  charset=utf-8\r\n\r\nFrom: me\r\n\r\nyou";

fn strict() -> HeadReader {
    HeadReader::new(Limits::default(), Leniency::default())
}

fn edit(head: &mut CpimHead) {
    let headers = head.headers_mut();
    headers.set_date_time(DateTime::parse("2026-11-21T10:00:00Z").unwrap()).unwrap();
    headers.push_record_route(&Address::new("sip:focus@x")).unwrap();
    headers.set_original_to(&Address::new("im:list@x")).unwrap();
}

/// The three edits of relays are in their places, and no other octet differs; the same for every cut.
#[test]
fn relays_edit_the_head_wherever_it_is_cut() {
    let message = format!("{HEAD}{CONTENT}");
    let expected = HEAD.replace("2000-12-13T13:40:00-08:00", "2026-11-21T10:00:00Z").replace(
        "ID: 1\r\n",
        "ID: 1\r\ni.IMDN-Record-Route: <sip:focus@x>\r\ni.Original-To: <im:list@x>\r\n",
    );
    for cut in 0..=message.len() {
        let mut reader = strict();
        let mut out: Vec<u8> = Vec::new();
        let mut done = false;
        for piece in [&message.as_bytes()[..cut], &message.as_bytes()[cut..]] {
            if done {
                out.extend_from_slice(piece);
            } else if let Some(mut head) = reader.push(piece).unwrap() {
                assert_eq!(head.source(), HEAD);
                assert_eq!((head.to_bytes(), head.growth()), (Bytes::from(HEAD), 0), "cut at {cut}");
                edit(&mut head);
                assert_eq!(
                    head.growth(),
                    i64::try_from(expected.len()).unwrap() - i64::try_from(HEAD.len()).unwrap()
                );
                assert!(head.tolerated().is_empty());
                out.extend_from_slice(&head.to_bytes());
                out.extend_from_slice(head.rest());
                done = true;
            }
        }
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}{CONTENT}"), "cut at {cut}");
        assert_eq!(reader.buffered(), 0);
    }
}

/// Threat A14: one octet at a time gives the same, and the head ends at its last octet, not later.
#[test]
fn octet_by_octet_the_head_ends_where_it_ends() {
    let mut reader = strict();
    // Two messages: the reader is ready for the next.
    for _ in 0..2 {
        for octet in &HEAD.as_bytes()[..HEAD.len() - 1] {
            assert!(reader.push(&[*octet]).unwrap().is_none());
        }
        let head = reader.push(b"\n").unwrap().unwrap();
        assert_eq!((head.to_bytes(), head.rest().len()), (Bytes::from(HEAD), 0));
        assert_eq!(head.headers().imdn_message_id().unwrap().as_deref(), Some("1"));
        assert_eq!(head.headers().to().unwrap(), [Address::new("im:list@x")]);
    }
}

#[test]
fn deviations_are_admitted_reported_and_gone_after_an_edit() {
    let cases = [
        (
            "Content-Type: message/cpim\r\nContent-Length: 9\r\n\r\nFrom: <im:a@x>\r\n\r\n",
            Tolerated::RepeatedMimeBlock,
            "From: <im:b@x>\r\n\r\n",
        ),
        (
            "From: <im:a@x>\r\n\r\nTo: <im:t@x>\r\n\r\n",
            Tolerated::BlankLineBetweenHeaders,
            "From: <im:b@x>\r\nTo: <im:t@x>\r\n\r\n",
        ),
        ("From: <im:a@x>\r\n", Tolerated::SingleBlock, "From: <im:b@x>\r\n\r\n"),
        ("From:<im:a@x>\r\n\r\n", Tolerated::LooseWhitespace, "From: <im:b@x>\r\n\r\n"),
        ("From: <im:a@x>\r\nq.X: y\r\n\r\n", Tolerated::UndeclaredPrefix, "From: <im:b@x>\r\nq.X: y\r\n\r\n"),
    ];
    for (head, deviation, edited) in cases {
        let message = format!("{head}{CONTENT}");
        for size in [1, 7, 4096] {
            let mut reader = HeadReader::new(Limits::default(), Leniency::field());
            let mut pieces = message.as_bytes().chunks(size);
            let mut read = pieces.by_ref().find_map(|piece| reader.push(piece).unwrap()).unwrap();
            assert_eq!((read.source().as_ref(), read.tolerated()), (head.as_bytes(), &[deviation][..]));
            assert_eq!(read.to_bytes(), head, "not edited: as it was");
            read.headers_mut().set_from(&Address::new("im:b@x")).unwrap();
            assert_eq!(read.to_bytes(), edited);
            let left: Vec<u8> = pieces.flatten().copied().collect();
            assert_eq!([read.rest().as_ref(), &left].concat(), CONTENT.as_bytes());
        }
    }
    // A piece that ends in the middle of the line that decides.
    let mut reader = HeadReader::new(Limits::default(), Leniency::field());
    assert!(reader.push(b"From: <im:a@x>\r\n\r\nTo: <im:t@x>\r\n\r\nc").unwrap().is_none());
    let head = reader.push(b"c: <im:c@x>\r\n\r\nContent-Type: a/b\r\n").unwrap().unwrap();
    assert_eq!((head.headers().len(), head.rest().as_ref()), (3, &b"Content-Type: a/b\r\n"[..]));
    // Nothing behind the blank line that could decide: the end of the message does.
    let mut reader = HeadReader::new(Limits::default(), Leniency::field());
    assert!(reader.push(b"From: <im:a@x>\r\n\r\n").unwrap().is_none());
    assert_eq!(reader.finish().unwrap().to_bytes(), "From: <im:a@x>\r\n\r\n");
    assert_eq!(reader.finish().map(drop), Err(CpimError::HeadersNotEnded));
}

#[test]
fn a_fault_is_told_and_the_next_message_is_read() {
    let mut reader = strict();
    assert_eq!(reader.push(b"From <im:a@x>\r\n\r\n").map(drop), Err(CpimError::HeaderSyntax { line: 1 }));
    assert_eq!(
        reader.push(b"Content-Type: message/cpim\r\n\r\n").map(drop),
        Err(CpimError::RepeatedMimeBlock)
    );
    assert!(reader.push(b"From: <im:a@x>\r\n\n\n").unwrap().is_none());
    assert_eq!(reader.finish().map(drop), Err(CpimError::BareLineEnd { line: 2 }));
    assert!(reader.push(HEAD.as_bytes()).unwrap().is_some());
}

/// Threat A5, A14: an endless head ends at the limit, and no more than twice the limit is ever held.
#[test]
fn a_head_without_end_is_refused_at_the_limit() {
    for line in ["x", "X: y\r\n", "Content-Type: a/b\r\n"] {
        let mut reader = strict();
        let fault = (0..100_000).find_map(|_| {
            assert!(reader.buffered() <= 2 * 8192 + line.len());
            reader.push(line.as_bytes()).err()
        });
        let known = ["cpim.max_headers", "cpim.max_header_bytes"];
        assert!(
            matches!(fault, Some(CpimError::Limit(l)) if known.contains(&l.limit)),
            "{line:?}: {fault:?}"
        );
        assert_eq!(reader.buffered(), 0);
    }
    let fits = format!("X: {}\r\n\r\n", "y".repeat(8192 - 7));
    assert!(strict().push(fits.as_bytes()).unwrap().is_some());
    let over = format!("X: {}\r\n\r\n", "y".repeat(8192 - 6));
    let limit = LimitExceeded { limit: "cpim.max_header_bytes", value: 8193, max: 8192 };
    assert_eq!(strict().push(over.as_bytes()).map(drop), Err(CpimError::Limit(limit)));
}

/// Threat E4: nothing that an edit puts in makes a field of its own; what cannot be written is refused and changes nothing.
#[test]
fn an_edit_cannot_inject() {
    let mut head = strict().push(HEAD.as_bytes()).unwrap().unwrap();
    let fields = head.headers().len();
    for bad in
        ["im:a@x>\r\nFrom: <im:evil@x", "im:a@x\r\n\r\nContent-Type: x/y", "im:a@x> <im:b@x", "a@x", ""]
    {
        assert_eq!(
            head.headers_mut().push_record_route(&Address::new(bad)),
            Err(BuildError::Uri { header: "IMDN-Record-Route" })
        );
    }
    assert_eq!(head.to_bytes(), HEAD);
    let name = "\r\nFrom: <im:evil@x>\r\n\r\n\"<\\\0";
    let named = Address::new("im:b@x").with_display_name(name);
    head.headers_mut().set_from(&named).unwrap();
    let again = strict().push(&head.to_bytes()).unwrap().unwrap();
    assert_eq!(again.headers().len(), fields);
    assert_eq!(again.headers().from().unwrap(), Some(named));
    assert_eq!(head.headers_mut().remove(CPIM_NAMESPACE, "Subject"), 0);
}

proptest! {
    /// However octets are cut, the head is the same, or the fault; and a strict message has the head that its reader sees.
    #[test]
    fn cuts_do_not_matter(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("From: <im:a@x>"), Just("To: <im:b@x>"), Just(""), Just("NS: i <urn:ietf:params:imdn>"), Just("i.X: y"),
                Just("q.X: y"), Just("Content-Type: message/cpim"), Just("Content-Length: 4"), Just("X:y"), Just(" x"),
            ], 0..9),
        size in 1usize..40,
        lenient in any::<bool>(),
    ) {
        let octets: String = lines.iter().flat_map(|line| [*line, "\r\n"]).collect();
        let leniency = if lenient { Leniency::field() } else { Leniency::default() };
        let whole = CpimHead::parse(Bytes::from(octets.clone()), &Limits::default(), &leniency);
        let mut reader = HeadReader::new(Limits::default(), leniency);
        let mut found = None;
        for piece in octets.as_bytes().chunks(size) {
            match reader.push(piece) {
                Ok(None) => {}
                done => {
                    found = Some(done.map(Option::unwrap));
                    break;
                }
            }
        }
        let pieces = found.unwrap_or_else(|| reader.finish());
        prop_assert_eq!(pieces.as_ref().map(|h| h.source()), whole.as_ref().map(|h| h.source()));
        if let Ok(head) = &whole {
            prop_assert_eq!(pieces.as_ref().unwrap().tolerated(), head.tolerated());
            let message = CpimMessage::parse(Bytes::from(octets), &Limits::default(), &Leniency::default());
            if let (false, Ok((message, _))) = (lenient, message) {
                prop_assert_eq!(message.headers(), head.headers());
            }
        }
    }
}
