#![allow(clippy::arithmetic_side_effects)]

use crate::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use proptest::prelude::*;

const REQUEST: &str = "MESSAGE sip:bob@example.com SIP/2.0\r\n\
    v: SIP/2.0/UDP pc33.example.com;branch=z9hG4bK776\r\n\
    f: <sip:alice@example.com>;tag=1\r\n\
    To: <sip:bob@example.com>\r\n\
    i: a84b4c76e66710\r\n\
    CSeq: 1 MESSAGE\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 5\r\n\r\nhello";

fn read(octets: impl AsRef<[u8]>) -> Result<Message, ParseFailure> {
    parse_datagram(Bytes::copy_from_slice(octets.as_ref()), &Limits::default())
}

fn error(octets: impl AsRef<[u8]>) -> ParseError {
    match read(octets.as_ref()) {
        Err(failure) => failure.error,
        Ok(message) => panic!("{message:?}"),
    }
}

fn answer(octets: impl AsRef<[u8]>) -> Option<Response> {
    read(octets).unwrap_err().reply()
}

#[test]
fn a_request_and_its_parts() {
    let message = read(REQUEST).unwrap();
    let request = message.as_request().unwrap();
    assert_eq!((request.method(), request.uri().as_str()), (&Method::Message, "sip:bob@example.com"));
    assert_eq!(&request.body()[..], b"hello");
    assert_eq!(request.headers().len(), 7);
    assert_eq!(request.typed::<CSeq>().unwrap().unwrap().number, 1);
    assert_eq!(message.to_bytes(), REQUEST);
    assert_eq!(
        read(REQUEST.replace("SIP/2.0\r\n", "sip/2.0\r\n")).unwrap().as_request().unwrap().method(),
        &Method::Message
    );
    let lower = read(REQUEST.replace("MESSAGE", "message")).unwrap();
    assert_eq!(lower.as_request().unwrap().method().as_str(), "message");
    assert!(!lower.as_request().unwrap().method().is_known());
}

#[test]
fn edited_start_lines_and_bodies() {
    let Message::Request(mut request) = read(REQUEST).unwrap() else { panic!() };
    request.set_uri(Uri::parse("sip:new@h").unwrap());
    request.set_body("hi".into());
    let wanted =
        REQUEST.replace("sip:bob@example.com SIP", "sip:new@h SIP").replace("Length: 5", "Length: 2");
    assert_eq!(request.to_bytes(), wanted.replace("hello", "hi"));
    let Message::Response(mut response) = read("SIP/2.0 200 \r\nl:0\r\n\r\n").unwrap() else { panic!() };
    assert_eq!((response.status(), response.reason()), (StatusCode::OK, ""));
    response.set_status(StatusCode::RINGING);
    assert_eq!(response.to_bytes(), "SIP/2.0 180 Ringing\r\nl:0\r\n\r\n");
}

#[test]
fn the_body_of_a_datagram() {
    // Threats B2: a tail is ignored and never forwarded, a body that is short is refused.
    let longer = read(format!("\r\n\r\n{REQUEST}{REQUEST}")).unwrap();
    assert_eq!(longer.to_bytes(), REQUEST);
    let folded = REQUEST.replace("To: ", "To:\r\n ");
    assert_eq!(read(format!("\r\n{folded}{REQUEST}")).unwrap().to_bytes(), folded);
    let short = answer(REQUEST.replace("hello", "hell")).unwrap();
    assert_eq!(short.status(), StatusCode::BAD_REQUEST);
    assert_eq!(error(REQUEST.replace("hello", "")), ParseError::BodyShort { announced: 5, present: 0 });
    let without = REQUEST.replace("Content-Length: 5\r\n", "");
    assert_eq!(read(without.clone() + "\r\n!").unwrap().body(), "hello\r\n!");
    let Message::Request(mut request) = read(&without).unwrap() else { panic!() };
    assert_eq!(request.to_bytes(), without);
    request.ensure_content_length();
    assert!(request.to_bytes().ends_with(b"plain\r\nContent-Length: 5\r\n\r\nhello"));
    for length in
        ["-5", "+5", "5 5", "5,5", "0x5", "", "5x", "4294967296", "00000000005", "99999999999999999999"]
    {
        let bad = REQUEST.replace("Length: 5", &format!("Length: {length}"));
        assert_eq!(error(&bad), ParseError::ContentLength, "{length}");
        assert_eq!(answer(&bad).unwrap().status(), StatusCode::BAD_REQUEST);
    }
    for twice in ["l: 5\r\n", "L : 5\r\n", "content-length: 5\r\n", "Content-Length: 6\r\n"] {
        let bad = REQUEST.replace("Content-Type: text/plain\r\n", twice);
        assert_eq!(error(bad), ParseError::ContentLengthRepeated);
    }
    // Threats A1: nothing is reserved for what is announced.
    let huge = answer(REQUEST.replace("Length: 5", "Length: 4294967295")).unwrap();
    assert_eq!(huge.status(), StatusCode::REQUEST_ENTITY_TOO_LARGE);
}

#[test]
fn start_lines() {
    let start = |line: &str| REQUEST.replace("MESSAGE sip:bob@example.com SIP/2.0", line);
    for (line, status) in [
        ("MESSAGE sip:bob@example.com SIP/3.0", Some(505)),
        ("MESSAGE sip:bob@example.com SIP/2.1", Some(505)),
        ("MESSAGE sip:bob@example.com SIP/7", Some(400)),
        ("MESSAGE sip:bob@example.com SIP/2.0 ", Some(400)),
        ("MESSAGE  sip:bob@example.com SIP/2.0", Some(400)),
        ("MESSAGE sip:bob@example.com  SIP/2.0", Some(400)),
        ("MESSAGE SIP/2.0", Some(400)),
        ("MESSAGE  SIP/2.0", Some(400)),
        ("MESSAGE <sip:bob@example.com> SIP/2.0", Some(400)),
        ("MESSAGE sip:bob@2001:db8::1 SIP/2.0", Some(400)),
        ("MESSAGE sip:bob SIP/2.0 SIP/2.0", Some(400)),
        ("MESSAGE bob SIP/2.0", Some(400)),
        ("MESS\u{e9}GE sip:bob SIP/2.0", None),
        ("MESSAGE sip:bob HTTP/1.1", None),
        ("MESSAGE", None),
        ("", None),
        (" MESSAGE sip:bob SIP/2.0", None),
        ("SIP/2.0", None),
        ("SIP/2.0 20 OK", None),
        ("SIP/2.0 200", None),
        ("SIP/2.0  200 OK", None),
        ("SIP/2.0 099 OK", None),
        ("SIP/2.0 700 OK", None),
        ("SIP/2.0 4294967301 OK", None),
        ("SIP/3.0 200 OK", None),
    ] {
        assert_eq!(answer(start(line)).map(|r| r.status().as_u16()), status, "{line}");
    }
    for line in [
        "MESSAGE x-y:opaque/%20 SIP/2.0",
        "NEW tel:+1 SIP/2.0",
        "A.!%*_+`'~z urn:service:sos SIP/2.0",
        "SIP/2.0 699 \u{fc}",
    ] {
        assert_eq!(read(start(line)).unwrap().to_bytes(), start(line));
    }
}

/// threat: A9, A16. No control character in a start-line, not even in a reason phrase, and no octets that are not UTF-8.
#[test]
fn octets_of_start_lines() {
    let with = |start: &[u8]| [start, b"\r\nVia: SIP/2.0/UDP h\r\nl: 0\r\n\r\n"].concat();
    assert!(read(with(b"SIP/2.0 200 O\tK")).is_ok() && read(with("SIP/2.0 200 \u{e9}".as_bytes())).is_ok());
    for octet in (0..=8).chain(10..=31).chain([127]) {
        for at in "SIP/2.0 200 ".len().."SIP/2.0 200 OK".len() {
            let mut line = b"SIP/2.0 200 OK".to_vec();
            line.insert(at, octet);
            assert_eq!(error(with(&line)), ParseError::Control, "{octet} at {at}");
        }
    }
    for bad in [&b"\xff"[..], b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98"] {
        let reason = error(with(&[b"SIP/2.0 200 O", bad, b"K"].concat()));
        assert!(matches!(reason, ParseError::StatusLine(_)), "{reason}");
        let uri = error(with(&[b"OPTIONS sip:a", bad, b"@b SIP/2.0"].concat()));
        assert_eq!(uri, ParseError::RequestUri(UriError::Character));
        assert_eq!(error(with(&[b"OPT", bad, b" sip:a@b SIP/2.0"].concat())), ParseError::NotSip);
    }
}

#[test]
fn answers_copy_what_a_response_must_carry() {
    let bad = REQUEST.replace("CSeq", "Timestamp: 54\r\nv: SIP/2.0/UDP second\r\nBad Name: x\r\nCSeq");
    assert_eq!(
        answer(bad).unwrap().to_bytes(),
        "SIP/2.0 400 header field: the name is not a token\r\n\
         v: SIP/2.0/UDP pc33.example.com;branch=z9hG4bK776\r\nv: SIP/2.0/UDP second\r\n\
         f: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\ni: a84b4c76e66710\r\n\
         CSeq: 1 MESSAGE\r\nTimestamp: 54\r\nContent-Length: 0\r\n\r\n"
    );
    assert!(answer(REQUEST.replace("v: SIP", "x: SIP").replace("i:", "i")).is_none(), "nowhere to answer to");
    assert!(answer(REQUEST.replace("MESSAGE", "ACK").replace("i:", "i")).is_none());
    assert!(answer("\r\n\r\n").is_none());
    assert_eq!(error("\r\n\r\n"), ParseError::Empty);
    assert_eq!(error(""), ParseError::Empty);
}

/// Threats A4, A9: which octets may stand between a name and its colon, and anywhere else in the head.
#[test]
fn control_characters_and_names() {
    for octet in 0..=255u8 {
        let mut octets = REQUEST.replace("hello", "").replace("Length: 5", "Length: 0").into_bytes();
        let at = octets.windows(2).position(|w| w == b"i:").unwrap() + 1;
        octets.insert(at, octet);
        let read = read(&octets).map(|m| m.headers().contains(&HeaderName::CallId));
        let is_call_id = matches!(read, Ok(true));
        assert_eq!(is_call_id, matches!(octet, b' ' | b'\t' | b':'), "{octet}");
        if octet < 0x20 && octet != b'\t' || octet == 0x7f || octet >= 0x80 {
            assert!(read.is_err(), "{octet}");
        }
    }
    let head_end = REQUEST.find("\r\n\r\n").unwrap() + 2;
    for at in 0..head_end {
        for octet in [0, 1, 8, b'\n', 11, b'\r', 27, 0x7f] {
            let mut octets = REQUEST.as_bytes().to_vec();
            octets.insert(at, octet);
            assert!(read(&octets).is_err(), "{octet} at {at}");
        }
    }
    // In a body every octet may stand; in a quoted-pair every ASCII character but CR and LF.
    assert!(read(REQUEST.replace("hello", "h\0\r\nl")).is_ok());
    let quoted = REQUEST.replace("To: ", "To: \"NUL:\\\0 DEL:\\\u{7f}\"");
    assert_eq!(
        read(&quoted).unwrap().typed::<To>().unwrap().unwrap().display_name(),
        Some("NUL:\0 DEL:\u{7f}")
    );
    assert!(read(REQUEST.replace("To: ", "To: \"\\\\\0\"")).is_err());
    assert!(read(REQUEST.replace("To: ", "To: \"\\\n\"")).is_err());
}

#[test]
fn broken_header_blocks() {
    let insert = |line: &str| REQUEST.replace("Content-Type", &format!("{line}\r\nContent-Type"));
    for line in ["no colon", ": no name", "a b: c", "a\u{e9}: c", "(x): y", "a\"b: c"] {
        assert!(matches!(error(insert(line)), ParseError::HeaderLine(_)), "{line}");
        assert_eq!(answer(insert(line)).unwrap().status(), StatusCode::BAD_REQUEST);
    }
    for line in ["X\r\n : y", "X \r\n\t: y", "Call-ID\r\n : y"] {
        assert!(matches!(error(insert(line)), ParseError::HeaderLine(_)), "{line}");
    }
    let folded_start = REQUEST.replace(" SIP/2.0\r\nv", " SIP/2.0\r\n X: y\r\nv");
    assert!(matches!(error(folded_start), ParseError::HeaderLine(_)));
    for cut in 0..REQUEST.len() {
        // Cut anywhere it is refused, and answered once its Via is there whole.
        let failure = read(&REQUEST.as_bytes()[..cut]).unwrap_err();
        let via_end = REQUEST.find("f: ").unwrap();
        assert_eq!(failure.reply().is_some(), cut >= via_end, "cut at {cut}");
    }
    assert_eq!(error(REQUEST.split("\r\n\r\n").next().unwrap()), ParseError::Truncated);
    assert_eq!(answer(REQUEST.split("\r\n\r\n").next().unwrap()).unwrap().status(), StatusCode::BAD_REQUEST);
    assert!(read(REQUEST.replace("\r\n", "\n")).is_err());
}

/// What a limit is called, when it is passed.
fn limit(octets: &str, limits: Limits) -> Option<(&'static str, u64, u16)> {
    match parse_datagram(octets.as_bytes().to_vec().into(), &limits) {
        Ok(_) => None,
        Err(failure) => match failure.error {
            ParseError::Limit(e) => Some((e.limit, e.value, failure.reply().unwrap().status().as_u16())),
            other => panic!("{other}"),
        },
    }
}

#[test]
fn limits_of_a_datagram() {
    let base = Limits { max_header_bytes: 60_000, max_header_line: 60_000, ..Limits::default() };
    let insert = |text: &str| REQUEST.replace("Content-Type", &format!("{text}Content-Type"));
    let padded = |n: usize| insert(&format!("X: {}\r\n", "x".repeat(n - REQUEST.len() - 5)));
    let small = Limits { max_datagram: 1000, ..base };
    assert_eq!((limit(&padded(999), small), limit(&padded(1000), small)), (None, None));
    assert_eq!(limit(&padded(1001), small), Some(("sip.max_datagram", 1001, 513)));
    let small = Limits { max_header_bytes: 995, ..base };
    assert_eq!((limit(&padded(999), small), limit(&padded(1000), small)), (None, None));
    assert_eq!(limit(&padded(1001), small), Some(("sip.max_header_bytes", 996, 513)));
    let line = |n: usize| insert(&format!("X: {}\r\n", "x".repeat(n - 5)));
    let default = Limits::default();
    assert_eq!((limit(&line(8191), default), limit(&line(8192), default)), (None, None));
    assert_eq!(limit(&line(8193), default), Some(("sip.max_header_line", 8193, 400)));
    let fields = |n: usize| insert(&"X: y\r\n".repeat(n - 7));
    assert_eq!((limit(&fields(127), default), limit(&fields(128), default)), (None, None));
    assert_eq!(limit(&fields(129), default), Some(("sip.max_headers", 129, 400)));
    let folds = |n: usize| insert(&format!("X: y\r\n{}", " z\r\n".repeat(n)));
    assert_eq!((limit(&folds(15), default), limit(&folds(16), default)), (None, None));
    assert_eq!(limit(&folds(17), default), Some(("sip.max_folds", 17, 400)));
    let uri =
        |n: usize| REQUEST.replace("sip:bob@example.com SIP", &format!("sip:{} SIP", "a".repeat(n - 4)));
    let long_host = Limits { max_uri: 100, ..default };
    let uri = |n: usize| uri(n).replace("aaaaaaaaaa", "aaaaaaaaa.");
    assert_eq!((limit(&uri(99), long_host), limit(&uri(100), long_host)), (None, None));
    assert_eq!(limit(&uri(101), long_host), Some(("sip.max_uri", 101, 414)));
    let body =
        |n: usize| REQUEST.replace("Length: 5", &format!("Length: {n}")).replace("hello", &"x".repeat(n));
    let small = Limits { max_body: 100, ..default };
    assert_eq!((limit(&body(99), small), limit(&body(100), small)), (None, None));
    assert_eq!(limit(&body(101), small), Some(("sip.max_body", 101, 413)));
    let method = |n: usize| REQUEST.replace("MESSAGE", &"M".repeat(n));
    assert_eq!((limit(&method(255), default), limit(&method(256), default)), (None, None));
    assert_eq!(limit(&method(257), default), Some(("sip.max_token", 257, 400)));
    let crlfs = |n: usize| "\r\n".repeat(n) + REQUEST;
    assert!(read(crlfs(63)).is_ok() && read(crlfs(64)).is_ok());
    assert!(
        matches!(error(crlfs(65)), ParseError::Limit(e) if e.limit == "sip.max_leading_crlf" && e.value == 65)
    );
}

#[test]
fn limits_that_do_not_fit_together() {
    assert_eq!(Limits::default().validate(), Ok(()));
    let zero = Limits { max_folds: 0, ..Limits::default() };
    assert_eq!(zero.validate(), Err(LimitsError::Zero("sip.max_folds")));
    let above = Limits { max_uri: 9000, ..Limits::default() };
    assert_eq!(above.validate(), Err(LimitsError::Above("sip.max_uri", "sip.max_header_line")));
}

#[test]
fn debug_output_holds_no_body() {
    assert!(!format!("{:?}", read(REQUEST)).contains("hello"));
}

/// A message out of parts that are sometimes odd and sometimes wrong.
fn some_message() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        Just("MESSAGE sip:bob@example.com SIP/2.0"),
        Just("SIP/2.0 200 OK"),
        Just("INVITE tel:+1 sip/2.0"),
        Just("X y:z SIP/2.0"),
        Just("X y SIP/2.0"),
    ];
    let line = prop_oneof![
        "(Via|v|To|t|From|X|Call-ID|CSeq|Route|Contact)[ \t]{0,2}:[ -~é]{0,30}(\r\n [ -~]{0,5}){0,2}",
        "[A-Za-z -]{0,5}:?[ -~\u{1}]{0,10}",
    ];
    (start, prop::collection::vec(line, 0..8), "[ -~\r\n\u{0}]{0,30}", any::<bool>()).prop_map(
        |(start, lines, body, length)| {
            let mut text = format!("{start}\r\n");
            for line in lines {
                text.push_str(&line);
                text.push_str("\r\n");
            }
            if length {
                text.push_str(&format!("l: {}\r\n", body.len()));
            }
            (text + "\r\n" + &body).into_bytes()
        },
    )
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(failure) = read(&octets) {
            let _ = failure.reply();
        }
    }

    #[test]
    fn what_is_read_is_written_octet_for_octet(octets in some_message()) {
        match read(&octets) {
            Ok(message) => {
                prop_assert_eq!(&message.to_bytes()[..], &octets[..]);
                let mut rebuilt = message.clone();
                let _ = rebuilt.headers_mut();
                prop_assert_eq!(&rebuilt.to_bytes()[..], &octets[..]);
                prop_assert_eq!(read(&octets).unwrap(), message);
            }
            Err(failure) => {
                if let Some(reply) = failure.reply() {
                    prop_assert!(read(reply.to_bytes()).is_ok());
                }
            }
        }
    }

    #[test]
    fn mutated_requests_never_panic(at in 0..REQUEST.len(), octet in any::<u8>(), remove in 0usize..4) {
        let mut octets = REQUEST.as_bytes().to_vec();
        octets.splice(at..(at + remove).min(octets.len()), [octet]);
        match read(&octets) {
            Ok(message) => {
                if let Some(request) = message.as_request()
                    && let Err(finding) = validate_request(request, &RequestPolicy::user_agent())
                {
                    prop_assert!(read(finding.reply(request).to_bytes()).is_ok());
                }
            }
            Err(failure) => drop(failure.reply()),
        }
    }

    #[test]
    fn built_messages_are_read_as_they_were_built(subject in "\\PC{0,20}", body in prop::collection::vec(any::<u8>(), 0..50)) {
        let mut request = Request::new(Method::Message, Uri::parse("sip:a@b").unwrap())
            .with_typed(&Subject::new(&subject).unwrap());
        request.set_body(body.into());
        let octets = request.to_bytes();
        let again = read(&octets).unwrap();
        prop_assert_eq!(again.body(), request.body());
        let text: String = again.typed::<Subject>().unwrap().unwrap().as_str().into();
        prop_assert_eq!(text, subject.trim_matches([' ', '\t']));
    }
}

/// Whatever the limits say, no field is read that a span could not say the place of.
#[test]
fn heads_end_where_spans_end() {
    let limits = Limits { max_header_bytes: usize::MAX, ..Limits::default() };
    let most = usize::try_from(u32::MAX).unwrap();
    assert_eq!(crate::head::readable(2, most, &limits), (most, None));
    let (end, exceeded) = crate::head::readable(2, most + 1, &limits);
    let exceeded = exceeded.unwrap();
    assert_eq!(
        (end, exceeded.limit, exceeded.value, exceeded.max),
        (most, "sip.max_header_bytes", 4_294_967_294, 4_294_967_293)
    );
}
