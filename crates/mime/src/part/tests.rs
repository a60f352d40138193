#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::MimeHeader;
use alloc::format;
use alloc::vec;
use base64::Engine;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Part, MimeError> {
    Part::parse(Bytes::from(String::from(text)), &Limits::default())
}

#[test]
fn reads_and_keeps_every_octet() {
    let text =
        "Content-type:  text/plain;\r\n\tcharset=utf-8 \r\nX-Odd:\r\nCONTENT-ID: <1@a>\r\n\r\nbody\r\n\n\r";
    let part = parse(text).unwrap();
    assert_eq!(part.to_bytes(), text);
    assert_eq!(part.wire_len(), text.len());
    assert_eq!(part.body, "body\r\n\n\r");
    assert_eq!(part.content_type().unwrap().param("charset"), Some("utf-8"));
    assert_eq!(part.headers.get("content-TYPE").unwrap(), "text/plain;\tcharset=utf-8");
    assert_eq!(part.headers.get("x-odd").unwrap(), "");
    assert_eq!(part.content_id().unwrap().unwrap(), "1@a");
    assert_eq!(
        part.headers.iter().map(MimeHeader::name).collect::<Vec<_>>(),
        ["Content-type", "X-Odd", "CONTENT-ID"]
    );
    assert_eq!(
        part.headers.iter().next().unwrap().raw(),
        "Content-type:  text/plain;\r\n\tcharset=utf-8 \r\n"
    );
    let bare = parse("\r\nbody").unwrap();
    assert!(bare.headers.is_empty() && bare.content_type().unwrap().is("text/plain"));
    assert_eq!((bare.content_disposition(), bare.content_id()), (Ok(None), Ok(None)));
    assert!(!format!("{bare:?}").contains("body\""));
}

/// threats: A4, A9, A16, B3
#[test]
fn refuses_broken_header_blocks() {
    let cases = [
        ("", MimeError::NoBlankLine),
        ("A: b\r\n", MimeError::NoBlankLine),
        ("A: b", MimeError::Truncated),
        ("A: b\r", MimeError::Truncated),
        ("A: b\n\n", MimeError::BareLineEnd),
        ("A: b\nB: c\r\n\r\n", MimeError::BareLineEnd),
        ("A: b\rB: c\r\n\r\n", MimeError::BareLineEnd),
        ("\nA: b\r\n\r\n", MimeError::BareLineEnd),
        ("A: b\r\n\r", MimeError::Truncated),
        ("A: b\0\r\n\r\n", MimeError::ControlCharacter),
        ("A: b\x7f\r\n\r\n", MimeError::ControlCharacter),
        ("A b\r\n\r\n", MimeError::BadHeaderName),
        (": b\r\n\r\n", MimeError::BadHeaderName),
        ("A : b\r\n\r\n", MimeError::BadHeaderName),
        (" A: b\r\n\r\n", MimeError::BadHeaderName),
        ("Ä: b\r\n\r\n", MimeError::BadHeaderName),
        ("A: b\r\n \t\r\n\r\n", MimeError::BlankContinuation),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
    let latin = Bytes::from_static(b"A: \xe4\r\n\r\n");
    assert_eq!(Part::parse(latin, &Limits::default()), Err(MimeError::HeaderNotUtf8));
}

#[test]
fn every_limit_holds_to_the_one() {
    let limit = |limit, value, max| Err(MimeError::Limit(LimitExceeded { limit, value, max }));
    assert!(parse(&format!("{}\r\n", "A: b\r\n".repeat(64))).is_ok());
    assert_eq!(parse(&format!("{}\r\n", "A: b\r\n".repeat(65))), limit("mime.max_headers", 65, 64));
    let sized = |n: usize| format!("A: {}\r\n\r\n", "b".repeat(n - 5));
    assert!(parse(&sized(8192)).is_ok());
    assert_eq!(parse(&sized(8193)), limit("mime.max_header_bytes", 8193, 8192));
    assert_eq!(parse(&sized(8194)), limit("mime.max_header_bytes", 8193, 8192));
    assert_eq!(parse(&sized(80_000)), limit("mime.max_header_bytes", 8193, 8192));
    let two = |n: usize| format!("A: b\r\nB: {}\r\n\r\n", "b".repeat(n - 11));
    assert!(parse(&two(8192)).is_ok());
    assert_eq!(parse(&two(8193)), limit("mime.max_header_bytes", 8193, 8192));
    assert!(Limits::default().validate().is_ok());
    for (broken, name) in [
        (Limits { max_headers: 0, ..Limits::DEFAULT }, "mime.max_headers"),
        (Limits { max_header_bytes: 0, ..Limits::DEFAULT }, "mime.max_header_bytes"),
        (Limits { max_params: 0, ..Limits::DEFAULT }, "mime.max_params"),
        (Limits { max_parts: 0, ..Limits::DEFAULT }, "mime.max_parts"),
        (Limits { max_depth: 0, ..Limits::DEFAULT }, "mime.max_depth"),
    ] {
        assert_eq!(broken.validate().unwrap_err().0, name);
    }
}

/// threats: A3
#[test]
fn fields_that_stand_twice_are_refused_where_they_are_read() {
    let part = parse("Content-Type: a/b\r\ncontent-type: c/d\r\n\r\n").unwrap();
    assert_eq!(part.content_type(), Err(MimeError::Repeated("Content-Type")));
    assert_eq!(part.headers.get_all("Content-Type"), ["a/b", "c/d"]);
    let part = parse("Content-Disposition: a\r\nContent-Disposition: a\r\n\r\n").unwrap();
    assert_eq!(part.content_disposition(), Err(MimeError::Repeated("Content-Disposition")));
    let part = parse("Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: 7bit\r\n\r\n").unwrap();
    assert_eq!(part.decoded(), Err(MimeError::Repeated("Content-Transfer-Encoding")));
    for id in ["", "1@a", "<>", "<a b>", "<a><b>"] {
        let part = parse(&format!("Content-ID: {id}\r\n\r\n")).unwrap();
        assert_eq!(part.content_id(), Err(MimeError::ContentIdSyntax), "{id}");
    }
}

#[test]
fn editing_touches_nothing_else() {
    let mut part = parse("A:  1\r\nB: 2\r\na: 3\r\nC:\t4\r\n\r\nx").unwrap();
    part.headers.set("A", "9").unwrap();
    part.headers.set("D", "5").unwrap();
    assert_eq!(part.headers.remove("b"), 1);
    assert_eq!(part.to_bytes(), "A: 9\r\nC:\t4\r\nD: 5\r\n\r\nx");
    for (name, value) in
        [("", "x"), ("a b", "x"), ("a:", "x"), ("a", "x\r\ny: z"), ("a", "x\n"), ("a", "\0"), ("a", " x")]
    {
        assert_eq!(part.headers.push(name, value), Err(MimeError::NotWritable), "{name:?} {value:?}");
        assert_eq!(part.headers.set(name, value), Err(MimeError::NotWritable), "{name:?} {value:?}");
    }
    assert_eq!(part.headers.len(), 3);
}

fn decoded(encoding: &str, body: &str) -> Result<Bytes, MimeError> {
    parse(&format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{body}")).unwrap().decoded()
}

#[test]
fn transfer_encodings() {
    for same in ["7bit", "8BIT", "Binary"] {
        assert_eq!(decoded(same, "a=41 \r\n").unwrap(), "a=41 \r\n");
    }
    assert_eq!(decoded("BASE64", "SGVs\r\n bG8=\r\n").unwrap(), "Hello");
    for bad in ["SGVsbG8", "SGVs!bG8=", "SGVsbG9=", "====", "S"] {
        assert_eq!(decoded("base64", bad), Err(MimeError::Base64), "{bad}");
    }
    let quoted = "If you believe that truth=3Dbeauty, =\r\nthen=  \r\n=e4 \t\r\nend=";
    assert_eq!(
        decoded("quoted-printable", quoted).unwrap().as_ref(),
        b"If you believe that truth=beauty, then\xe4\r\nend"
    );
    assert_eq!(decoded("quoted-printable", "a\nb").unwrap(), "a\nb");
    for bad in ["=4", "=", "=4G", "=\r", "a=4\r\n1", "\x01", "ä"] {
        let wrong = decoded("quoted-printable", bad);
        let joined_only = bad == "=" || bad == "=\r";
        assert_eq!(wrong.is_err(), !joined_only, "{bad:?}");
    }
    assert_eq!(decoded("x-uue", ""), Err(MimeError::UnknownTransferEncoding("x-uue".into())));
}

/// The dullest encoder that keeps to RFC 2045 §6.7: everything but letters escaped, a soft line break every 24 octets.
fn quoted_printable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'a'..=b'z' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("={byte:02X}")),
        }
        if at % 24 == 23 {
            out.push_str("=\r\n");
        }
    }
    out
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let coded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        prop_assert_eq!(decoded("base64", &coded).unwrap(), bytes.clone());
        prop_assert_eq!(decoded("quoted-printable", &quoted_printable(&bytes)).unwrap(), bytes);
    }

    #[test]
    fn no_octets_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), near in "[A:\\r\\n =a<>]{0,40}") {
        for input in [Bytes::from(bytes), Bytes::from(near)] {
            for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
                if let Ok(out) = encoding.decode(&input) {
                    prop_assert!(out.len() <= input.len());
                }
            }
            if let Ok(part) = Part::parse(input.clone(), &Limits::default()) {
                prop_assert_eq!(part.to_bytes(), input);
                let _ = (part.content_type(), part.content_id(), part.leaves(&Limits::default()));
            }
        }
    }

    #[test]
    fn what_is_built_is_read(name in "[!-9;-~]{1,10}", value in "[^\\x00-\\x1f\\x7f]{0,20}", body in ".*") {
        let value = value.trim();
        let part = Part::new(&ContentType::text_plain(), Bytes::from(body)).with_header(&name, value).unwrap();
        let read = Part::parse(part.to_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(read.headers.get_all(&name).pop().unwrap(), value);
        prop_assert_eq!(read, part);
    }
}

#[test]
fn every_prefix_of_the_header_block_is_refused() {
    let text = "Content-Type: text/plain;\r\n charset=utf-8\r\nA: b\r\n\r\nbody";
    let blank = text.len() - "body".len();
    for end in 0..text.len() {
        let read =
            Part::parse(Bytes::copy_from_slice(text.get(..end).unwrap().as_bytes()), &Limits::default());
        assert_eq!(read.is_ok(), end >= blank, "{end}");
    }
    assert_eq!(vec![parse(text).unwrap().body], ["body"]);
}
