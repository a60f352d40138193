use super::*;
use crate::{CallId, From, To, parse_datagram};
use alloc::string::ToString;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Fragment, ParseError> {
    Fragment::parse(Bytes::from(text.to_string()), &Limits::default())
}

/// RFC 3420 §2.1: any subset of a message, each written back as it was.
#[test]
fn any_part_of_a_message() {
    for (text, status, request, fields, body) in [
        ("SIP/2.0 100 Trying\r\n", Some(100), None, 0, ""),
        ("SIP/2.0 100 Trying", Some(100), None, 0, ""),
        ("SIP/2.0 200 \r\nCall-ID: a\r\n", Some(200), None, 1, ""),
        ("sip/2.0 603 Declined: busy\r\n", Some(603), None, 0, ""),
        ("INVITE sip:a@b SIP/2.0\r\nFrom: <sip:c@d>;tag=1\r\n\r\nv=0", None, Some("INVITE"), 1, "v=0"),
        ("INVITE tel:+1 SIP/2.0", None, Some("INVITE"), 0, ""),
        ("Via: SIP/2.0/UDP h SIP/2.0\r\nTo: <sip:a@b>\r\n", None, None, 2, ""),
        ("Subject :x SIP/2.0\r\n", None, None, 1, ""),
        ("To:\r\n <sip:a@b>", None, None, 1, ""),
        ("\r\nv=0\r\n\r\n", None, None, 0, "v=0\r\n\r\n"),
        // The length of the message that this was a part of.
        ("Content-Length: 4711\r\nCall-ID: a\r\n", None, None, 2, ""),
    ] {
        let fragment = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(fragment.status().map(|status| status.as_u16()), status, "{text:?}");
        let method = match fragment.start() {
            Some(FragmentStart::Request(method, _)) => Some(method.as_str()),
            _ => None,
        };
        assert_eq!((method, fragment.headers().len()), (request, fields), "{text:?}");
        assert_eq!((fragment.body(), fragment.to_bytes()), (&Bytes::from(body), Bytes::from(text)));
    }
}

#[test]
fn what_is_no_fragment() {
    for text in [
        "",
        "hello",
        "SIP/3.0 200 OK\r\n",
        "SIP/2.0 200OK\r\n",
        "INVITE sip:a@ SIP/2.0\r\n",
        "INVITE  SIP/2.0\r\n",
        "no colon\r\n",
        "A: b\nC: d\r\n",
        "A: b\0\r\n",
        "A : b\r\n[: c\r\n",
        "Call-ID: a\r",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
    let small = Limits { max_headers: 2, max_body: 40, max_header_bytes: 30, ..Limits::DEFAULT };
    let within =
        |text: &str| Fragment::parse(Bytes::from(text.to_string()), &small).map(|f| f.headers().len());
    let limit = |read: Result<usize, ParseError>| match read {
        Err(ParseError::Limit(exceeded)) => exceeded.limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(within("A: b\r\nA: b\r\n"), Ok(2));
    assert_eq!(limit(within("A: b\r\nA: b\r\nA: b\r\n")), "sip.max_headers");
    assert_eq!(within(&alloc::format!("A: {}\r\n", "b".repeat(25))), Ok(1));
    assert_eq!(limit(within(&alloc::format!("A: {}\r\n", "b".repeat(26)))), "sip.max_header_bytes");
    assert_eq!(within(&alloc::format!("\r\n{}", "b".repeat(38))), Ok(0));
    assert_eq!(limit(within(&alloc::format!("\r\n{}", "b".repeat(39)))), "sip.max_body");
}

#[test]
fn made_of_a_message() {
    let wire = "INVITE sip:a@b SIP/2.0\r\nf :  <sip:c@d>\r\n ;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nl: 2\r\n\r\nhi";
    let invite = parse_datagram(wire.into(), &Limits::default()).unwrap();
    let part = Fragment::of(&invite, &[HeaderName::From, HeaderName::CallId]);
    assert_eq!(part.to_bytes(), "INVITE sip:a@b SIP/2.0\r\nf :  <sip:c@d>\r\n ;tag=1\r\nCall-ID: x\r\n");
    let again = Fragment::parse(part.to_bytes(), &Limits::default()).unwrap();
    assert_eq!((again.start(), again.headers().len()), (part.start(), 2));
    assert_eq!(again.typed::<From>().unwrap().unwrap().tag(), Some("1"));
    assert_eq!(again.typed::<CallId>(), part.typed::<CallId>());
    assert_eq!(again.typed::<To>(), Ok(None));
    let response =
        parse_datagram("SIP/2.0 480 Gone, away\r\nl: 0\r\n\r\n".into(), &Limits::default()).unwrap();
    assert_eq!(Fragment::of(&response, &[]).to_bytes(), "SIP/2.0 480 Gone, away\r\n");
    for code in [100, 180, 200, 299, 487, 699] {
        let status = StatusCode::new(code).unwrap();
        let made = Fragment::of_status(status);
        assert_eq!(Fragment::parse(made.to_bytes(), &Limits::default()).unwrap().status(), Some(status));
    }
}

proptest! {
    #[test]
    fn no_octets_panic_and_what_is_read_is_written(
        octets in prop::collection::vec(any::<u8>(), 0..40),
        text in "(SIP/2.0 [0-9]{3} ?|INVITE sip:a@b SIP/2.0|v:|To ?: ?|[a :/\r\n])((\r\n)?[A: b\r\n]{0,5}){0,5}",
    ) {
        for octets in [Bytes::from(octets), Bytes::from(text)] {
            if let Ok(fragment) = Fragment::parse(octets.clone(), &Limits::default()) {
                prop_assert_eq!(fragment.to_bytes(), octets);
                let copy = Fragment::parse(fragment.to_bytes(), &Limits::default()).unwrap();
                prop_assert_eq!(copy.start(), fragment.start());
            }
        }
    }
}
