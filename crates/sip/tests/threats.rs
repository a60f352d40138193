//! Attacks that other stacks fell to: each test names its row of the threat table (A: memory and CPU, B: framing).
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods
)]

mod corpus;

use allocation_counter::measure;
use cpm_sip::*;

const LINES: [&str; 8] = [
    "Via: SIP/2.0/TCP pc33.example.com;branch=z9hG4bK776",
    "From: \"A \\\" B\" <sip:alice@example.com>;tag=1928",
    "To: <sip:bob@example.com>",
    "Call-ID: a84b4c76e66710@pc33",
    "CSeq: 314159 MESSAGE",
    "Max-Forwards: 70",
    "Content-Type: text/plain",
    "Content-Length: 5",
];

fn message(lines: &[&str], body: &str) -> String {
    format!("MESSAGE sip:bob@example.com SIP/2.0\r\n{}\r\n\r\n{body}", lines.join("\r\n"))
}

fn good() -> String {
    message(&LINES, "hello")
}

fn with(line: &str) -> String {
    message(&[&LINES[..], &[line]].concat(), "hello")
}

fn parse(octets: impl Into<bytes::Bytes>) -> Result<Message, ParseFailure> {
    parse_datagram(octets.into(), &Limits::default())
}

fn limit_of(error: ParseError) -> &'static str {
    match error {
        ParseError::Limit(exceeded) => exceeded.limit,
        other => panic!("{other}"),
    }
}

fn frames(octets: &str) -> Vec<Frame> {
    let mut framer = StreamFramer::new(Limits::default());
    framer.push(octets.to_owned().into());
    std::iter::from_fn(|| framer.next()).collect()
}

/// threat: A1. A body that is announced too great is refused while not one octet of it is there.
#[test]
fn announced_bodies_cost_nothing() {
    for length in [
        "262145",
        "4294967295",
        "4294967296",
        "9999999999",
        "18446744073709551621",
        "99999999999999999999999",
    ] {
        let head = good().replace("Length: 5\r\n\r\nhello", &format!("Length: {length}\r\n\r\n"));
        let mut framer = StreamFramer::new(Limits::default());
        framer.push(head.into());
        let Some(Frame::Lost(failure)) = framer.next() else { panic!("{length}") };
        let status = if length.len() <= 10 && length.parse::<u32>().is_ok() { 413 } else { 400 };
        assert_eq!(failure.reply().unwrap().status().as_u16(), status, "{length}");
        framer.push(vec![b'x'; 1 << 20].into());
        assert_eq!((framer.buffered(), framer.next().is_none()), (0, true));
    }
}

/// threat: A1. What is announced is not what is reserved: neither on a stream that waits for it nor in a datagram.
#[test]
fn announced_bodies_reserve_nothing() {
    for length in ["262144", "4294967295"] {
        let head = bytes::Bytes::from(
            good().replace("Length: 5\r\n\r\nhello", &format!("Length: {length}\r\n\r\n")),
        );
        let limits = Limits { max_body: usize::MAX, max_stream_message: usize::MAX, ..Limits::DEFAULT };
        let stream = measure(|| {
            let mut framer = StreamFramer::new(limits);
            framer.push(head.clone());
            assert!(framer.next().is_none());
        });
        assert!(stream.bytes_max < 1_024, "{length}: {stream:?}");
        let datagram = measure(|| assert!(parse_datagram(head.clone(), &limits).is_err()));
        assert!(datagram.bytes_total < 4_096, "{length}: {datagram:?}");
    }
}

/// threat: A5. A text that is too long for a URI is not even copied.
#[test]
fn long_uris_cost_nothing() {
    let text = format!("sip:{}@b", "a".repeat(1 << 20));
    let mut read = Uri::parse("sip:a@b");
    let cost = measure(|| read = Uri::parse(&text));
    assert!(matches!(read, Err(UriError::Limit(exceeded)) if exceeded.limit == "sip.max_uri"));
    assert!(cost.bytes_total < 1_024, "{cost:?}");
}

/// threat: A6. A list costs in proportion to its values, and no more than the limit of values is ever read.
#[test]
fn lists_cost_in_proportion() {
    let read = |n: usize| {
        let line = format!("Accept: {}", vec!["a/b"; n].join(","));
        let Ok(Message::Request(request)) = parse(with(&line)) else { panic!("{n}") };
        let mut values = Ok(Vec::new());
        let cost = measure(|| values = request.typed_list::<Accept>());
        (values.map(|values| values.len()), cost.count_total, cost.bytes_total)
    };
    let (_, one, _) = read(1);
    for n in 1..=1_000 {
        let (values, allocations, octets) = read(n);
        let many = u64::try_from(n.min(128)).unwrap();
        assert_eq!(values.as_ref().ok(), (n <= 128).then_some(&n), "{n}: {values:?}");
        // Growing a list doubles it: a few allocations more, and twice the room.
        assert!(allocations <= one * many + 10, "{n}: {allocations} allocations, {one} for one");
        assert!(octets <= 8_192 + 1_024 * many, "{n}: {octets} octets");
    }
}

/// threat: A4. Between a name and its colon only space and tab may stand; what was removed is found by nobody.
#[test]
fn names_mean_one_thing() {
    let name = HeaderName::parse("P-Secret").unwrap();
    for octet in 0..=255u8 {
        let mut octets = with("P-Secret: 1").into_bytes();
        let at = octets.windows(9).position(|w| w == b"P-Secret:").unwrap() + 8;
        octets.insert(at, octet);
        let found = matches!(&parse(octets), Ok(message) if message.headers().contains(&name));
        assert_eq!(found, matches!(octet, b' ' | b'\t' | b':'), "{octet}");
    }
    for spelling in ["p-secret", "P-SECRET \t", "P-Secret\t"] {
        let mut message = parse(with(&format!("{spelling}: 1\r\n more\r\nP-secret:2"))).unwrap();
        assert_eq!(message.headers_mut().remove(&name), 2);
        let again = parse(message.to_bytes()).unwrap();
        assert!(!again.headers().contains(&name));
        assert_eq!(again.to_bytes(), good());
    }
}

/// threat: A5, A6, A7. Each limit holds at its value and not above. A limit that is not in here does not compile.
#[test]
fn every_limit_holds() {
    let Limits {
        max_datagram: _,
        max_stream_message: _,
        max_body: _,
        max_header_bytes: _,
        max_header_line: _,
        max_headers: _,
        max_folds: _,
        max_uri: _,
        max_via: _,
        max_routes: _,
        max_params: _,
        max_list_values: _,
        max_token: _,
        comment_depth: _,
        max_leading_crlf: _,
        // Of what is written: see `what_is_written_is_bounded`.
        max_out: _,
    } = Limits::default();
    let small = Limits {
        max_datagram: 2_000,
        max_header_bytes: 1_000,
        max_header_line: 300,
        max_uri: 100,
        max_headers: 20,
        max_folds: 3,
        max_via: 5,
        max_routes: 4,
        max_params: 6,
        max_list_values: 7,
        max_token: 80,
        comment_depth: 2,
        max_leading_crlf: 2,
        max_body: 500,
        ..Limits::DEFAULT
    };
    small.validate().unwrap();
    let line = |n: usize| with(&format!("X: {}", "x".repeat(n - 5)));
    let many = |line: &str, n: usize| with(&vec![line; n].join("\r\n"));
    let padded = |n: usize| {
        let pad = n - (message(&LINES[..7], "").len() + "X: \r\n".len() * 3);
        let lines: Vec<String> =
            [pad / 3, pad / 3, pad - 2 * (pad / 3)].map(|n| format!("X: {}", "x".repeat(n))).to_vec();
        message(&[&LINES[..7], &[&lines[0], &lines[1], &lines[2]]].concat(), "")
    };
    let body = |n: usize| message(&LINES[..7], &"b".repeat(n));
    let datagram = |n: usize| good() + &"t".repeat(n - good().len());
    type Made<'a> = &'a dyn Fn(usize) -> String;
    let heads: [(&str, usize, Made<'_>); 8] = [
        ("sip.max_datagram", small.max_datagram, &datagram),
        ("sip.max_header_bytes", small.max_header_bytes, &padded),
        ("sip.max_header_line", small.max_header_line, &line),
        ("sip.max_headers", small.max_headers, &|n| many("X: y", n - LINES.len())),
        ("sip.max_folds", small.max_folds, &|n| with(&format!("X: y{}", "\r\n y".repeat(n)))),
        ("sip.max_uri", small.max_uri, &|n| {
            good().replace("sip:bob@example.com SIP", &format!("sip:{}@h SIP", "b".repeat(n - 6)))
        }),
        ("sip.max_body", small.max_body, &body),
        ("sip.max_leading_crlf", small.max_leading_crlf, &|n| "\r\n".repeat(n) + &good()),
    ];
    for (name, limit, made) in heads {
        for n in [limit - 1, limit] {
            let read = parse_datagram(made(n).into(), &small);
            let over = matches!(&read, Err(failure) if matches!(failure.error, ParseError::Limit(_)));
            assert!(!over, "{name} {n}: {read:?}");
        }
        let failure = parse_datagram(made(limit + 1).into(), &small).unwrap_err();
        assert_eq!(limit_of(failure.error), name);
    }
    let values: [(&str, usize, HeaderName, Made<'_>); 7] = [
        ("sip.max_via", small.max_via, HeaderName::Via, &|n| vec!["SIP/2.0/UDP h"; n].join(",")),
        ("sip.max_routes", small.max_routes, HeaderName::Route, &|n| vec!["<sip:h;lr>"; n].join(",")),
        ("sip.max_list_values", small.max_list_values, HeaderName::Accept, &|n| vec!["a/b"; n].join(",")),
        ("sip.max_params", small.max_params, HeaderName::Contact, &|n| {
            (0..n).fold("<sip:h>".to_owned(), |text, i| format!("{text};p{i}"))
        }),
        ("sip.max_token", small.max_token, HeaderName::Event, &|n| "e".repeat(n)),
        ("sip.max_token", small.max_token, HeaderName::InReplyTo, &|n| "i".repeat(n)),
        ("sip.comment_depth", small.comment_depth, HeaderName::RetryAfter, &|n| {
            format!("5 {}{}", "(".repeat(n), ")".repeat(n))
        }),
    ];
    for (name, limit, field, made) in values {
        for n in [limit - 1, limit, limit + 1] {
            let text = if field == HeaderName::Via { message(&LINES[1..], "hello") } else { good() };
            let text = text.replace("Max-Forwards: 70", &format!("Max-Forwards: 70\r\n{field}: {}", made(n)));
            let Ok(Message::Request(request)) = parse_datagram(text.into(), &small) else { panic!("{name}") };
            let findings = inspect_request(&request, &RequestPolicy::user_agent());
            let finding = findings
                .iter()
                .find(|f| f.place.as_ref().is_some_and(|p| p.header == field) && f.text.contains(name));
            assert_eq!(finding.is_some(), n > limit, "{name} {n}: {findings:?}");
        }
    }
    // Of a stream, head and body together.
    let limits = Limits {
        max_stream_message: 3_000,
        max_header_bytes: 2_000,
        max_body: 2_900,
        max_header_line: 500,
        max_uri: 400,
        ..Limits::DEFAULT
    };
    limits.validate().unwrap();
    let head = good().replace("Length: 5\r\n\r\nhello", "Length: 0000\r\n\r\n");
    for total in [2_999, 3_000, 3_001] {
        let body = total - head.len();
        let mut framer = StreamFramer::new(limits);
        framer.push((head.replace("0000", &format!("{body:04}")) + &"b".repeat(body)).into());
        match framer.next() {
            Some(Frame::Message(_)) => assert!(total <= 3_000),
            Some(Frame::Lost(failure)) => {
                assert_eq!((limit_of(failure.error), total), ("sip.max_stream_message", 3_001));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// threat: A8. Escapes and quotes without an end, a URI that is none, a From without a tag.
#[test]
fn text_without_an_end() {
    for bad in
        ["\"", "\"a", "\"a\\", "\"a\\\"", "\"a\\\"<sip:a@b>", "\\", "<", "<sip:a@b", "/", "</>", "\"\\\u{0}"]
    {
        for name in ["From", "To", "Contact", "Reply-To", "Refer-To", "Via", "Warning", "Authorization"] {
            let read = normal_form(&HeaderName::parse(name).unwrap(), bad.as_bytes()).unwrap();
            assert!(read.is_err(), "{name}: {bad}");
        }
    }
    let untagged = good().replace(";tag=1928", "");
    let Ok(Message::Request(request)) = parse(untagged) else { panic!() };
    assert_eq!(request.typed::<From>().unwrap().unwrap().tag(), None);
}

/// threat: A9. A control character at any place of the head of any valid message: refused, or in a quoted pair.
#[test]
fn control_characters() {
    let insert_everywhere = |octets: &[u8], controls: &[u8]| {
        let head = octets.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        for at in 0..head {
            for control in controls {
                let mut damaged = octets.to_vec();
                damaged.insert(at, *control);
                let escaped = at > 0 && octets[at - 1] == b'\\';
                assert!(escaped || parse(damaged).is_err(), "{control} at {at}");
            }
        }
    };
    // All of them but CR and LF, which are line ends where they stand together, and HTAB.
    let all: Vec<u8> = (0..=8).chain([11, 12]).chain(14..=31).chain([127]).collect();
    insert_everywhere(good().as_bytes(), &all);
    let corpora = ["rfc4475", "rfc5118"].into_iter().flat_map(corpus::all);
    for octets in corpora.filter(|octets| parse(octets.clone()).is_ok()) {
        insert_everywhere(&octets, &[0, 11, 127]);
    }
    for control in ["\n", "\r"] {
        for at in 0..good().find("\r\n\r\n").unwrap() {
            let mut damaged = good();
            damaged.insert_str(at, control);
            // Before a CRLF they make a lone line end as well.
            assert!(parse(damaged).is_err(), "{control:?} at {at}");
        }
    }
}

/// threat: A11. A megabyte of brackets needs no more stack than anything else.
#[test]
fn nothing_is_parsed_by_recursion() {
    let deep = || {
        let limits = Limits {
            max_datagram: 1 << 22,
            max_stream_message: 1 << 22,
            max_header_bytes: 1 << 22,
            max_header_line: 1 << 22,
            comment_depth: 1 << 22,
            max_params: 1 << 22,
            max_list_values: 1 << 22,
            ..Limits::DEFAULT
        };
        let n = 1 << 20;
        for (name, value) in [
            ("Retry-After", format!("5 {}", "(".repeat(n))),
            ("Retry-After", format!("5 {}{}", "(".repeat(n), ")".repeat(n))),
            ("From", format!("\"{}", "\\\"".repeat(n / 2))),
            ("To", "<".repeat(n)),
            ("Subject", "(".repeat(n)),
        ] {
            let Ok(message) = parse_datagram(with(&format!("{name}: {value}")).into(), &limits) else {
                continue;
            };
            let Message::Request(request) = &message else { panic!() };
            let _ = inspect_request(request, &RequestPolicy::user_agent());
        }
    };
    let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(deep).unwrap();
    thread.join().unwrap();
}

/// threat: A17. Overlong, repeated, negative and formatted values in each field: an answer of 4xx or 5xx, or no fault at all.
#[test]
fn anomalies_in_each_field() {
    let repeated = [
        "a", ";", ",", "=", ":", "/", "%s", "%n", "<", ">", "\"", "\\", "(", "()", "-1", "0", "9", ".", "@",
        " ", "\t", "\u{fc}", "\r\n ", ";a", ",a", "a,",
    ];
    for index in 0..LINES.len() {
        let name = LINES[index].split(':').next().unwrap();
        for part in repeated {
            for count in [0, 1, 2, 17, 129, 257, 4_096, 70_000] {
                let line = format!("{name}: {}", part.repeat(count));
                let mut lines = LINES;
                lines[index] = &line;
                match parse(message(&lines, "hello")) {
                    Err(failure) => {
                        if let Some(reply) = failure.reply() {
                            assert!((400..600).contains(&reply.status().as_u16()));
                            assert!(reply.to_bytes().len() < 100_000);
                        }
                    }
                    Ok(Message::Request(request)) => {
                        assert_eq!(request.to_bytes(), message(&lines, "hello")[..request.to_bytes().len()]);
                        if let Err(finding) = validate_request(&request, &RequestPolicy::user_agent()) {
                            assert!((400..600).contains(&finding.status.as_u16()));
                            assert!(
                                matches!(parse(finding.reply(&request).to_bytes()), Ok(Message::Response(_))),
                                "{line}"
                            );
                        }
                    }
                    Ok(Message::Response(_)) => panic!(),
                }
            }
        }
    }
}

/// threat: A18. What is written has the length that it says, whatever strings it was built from, and no field too many.
#[test]
fn building_from_hostile_strings() {
    let hostile = [
        "",
        "a",
        "\r\nX-Evil: 1",
        "\n",
        "\0",
        "\"",
        "\\",
        "a\"b\\",
        ">;x=<",
        "\r\n\r\n",
        "\u{fc}\u{1f600}",
        ";,;",
        "%0d%0aX: y",
    ];
    for text in hostile {
        for body in [0usize, 1, 70_000] {
            let uri = Uri::from(
                SipUri::new(Host::parse("h.example").unwrap()).with_user(text).with_param("p", Some(text)),
            );
            let mut request = Request::new(Method::Message, uri.clone());
            let mut fields = 0;
            let headers = request.headers_mut();
            headers.push_typed(&Via::new(text, Host::parse("h").unwrap(), None).with_branch(text));
            headers.push_typed(&From::new(uri.clone()).with_tag(text));
            headers.push_typed(&SubscriptionState::terminated(text));
            headers.push_typed(&ReferredBy::new(uri.clone()).with_add_refs(&uri));
            headers.push_typed(&Contact::Addr(ContactAddr::new(uri.clone()).with_icsi_refs(&[text])));
            headers.push_typed(&Server::of(None, &[ProductPart::Comment(text.into())]));
            headers.push(HeaderName::Subject, HeaderText::sanitized(text));
            fields += 7;
            if let Ok(name) = NameAddr::new(uri.clone()).with_display_name(text) {
                headers.push_typed(&To::new(name));
                fields += 1;
            }
            if let Ok(reason) = ReasonHeader::new(text, 200, Some(text)) {
                headers.push_typed(&reason);
                fields += 1;
            }
            if let Ok(vector) = PChargingVector::new(text) {
                headers.push_typed(&vector);
                fields += 1;
            }
            let body = "b".repeat(body);
            request.set_body(body.clone().into());
            let octets = request.to_bytes();
            let read =
                parse_datagram(octets.clone(), &Limits { max_datagram: 1 << 20, ..Limits::DEFAULT }).unwrap();
            assert_eq!((read.headers().len(), read.body().len()), (fields + 1, body.len()), "{text:?}");
            assert_eq!(read.to_bytes(), octets);
            assert!(octets.len() - body.len() < 2_000);
        }
    }
}

/// threat: A18. A message that became too long is refused before an octet of it is written; room is made once.
#[test]
fn what_is_written_is_bounded() {
    let limits = Limits { max_out: 300_000, ..Limits::DEFAULT };
    limits.validate().unwrap();
    let built = |length: usize| {
        let mut request = Request::new(Method::Message, Uri::parse("sip:bob@example.com").unwrap());
        request.headers_mut().push(HeaderName::Subject, HeaderText::new("x").unwrap());
        let head = request.to_bytes().len() + "100000".len() - "0".len();
        request.with_body("b".repeat(length - head).into())
    };
    let edited = |length: usize| {
        let Ok(Message::Request(mut request)) = parse(good()) else { panic!() };
        let line = "Subject: \r\n".len();
        let text = "s".repeat(length - good().len() - line);
        request.headers_mut().push(HeaderName::Subject, HeaderText::new(&text).unwrap());
        request
    };
    let untouched = |length: usize| {
        let big = Limits { max_datagram: 400_000, max_body: 400_000, ..Limits::DEFAULT };
        let head = good().replace("Length: 5\r\n\r\nhello", "Length: 299000\r\n\r\n");
        let body = length - head.len();
        let octets = head.replace("299000", &body.to_string()) + &"b".repeat(body);
        let Ok(Message::Request(request)) = parse_datagram(octets.into(), &big) else { panic!() };
        request
    };
    let makers: [&dyn Fn(usize) -> Request; 3] = [&built, &edited, &untouched];
    for made in makers {
        for length in [299_999, 300_000, 300_001] {
            let request = made(length);
            let mut out = b"before".to_vec();
            let mut written = Ok(());
            let cost = measure(|| written = request.write_within(&limits, &mut out));
            match written {
                Ok(()) => {
                    assert!(length <= 300_000 && out.len() == length + 6);
                    assert_eq!(&out[6..], request.to_bytes());
                    assert!(cost.bytes_total <= 600_100 && cost.count_total <= 4, "{cost:?}");
                }
                Err(exceeded) => {
                    assert_eq!(
                        (exceeded.limit, exceeded.value, exceeded.max),
                        ("sip.max_out", 300_001, 300_000)
                    );
                    assert_eq!((length, &out[..]), (300_001, &b"before"[..]));
                    assert!(cost.bytes_total < 1_000, "{cost:?}");
                }
            }
        }
    }
    // What was read within the limits can be written with what a proxy puts on top of it.
    for (great, name) in [
        (Limits { max_stream_message: 300_001, ..limits }, "sip.max_stream_message"),
        (Limits { max_datagram: 300_001, ..limits }, "sip.max_datagram"),
    ] {
        assert_eq!(great.validate(), Err(LimitsError::Above(name, "sip.max_out")));
    }
}

/// threat: A20. Seconds fit 32 bits or are refused; dates are four digits of year in GMT.
#[test]
fn times_of_peers() {
    for (name, prefix) in [
        ("Expires", ""),
        ("Min-Expires", ""),
        ("Session-Expires", ""),
        ("Min-SE", ""),
        ("Flow-Timer", ""),
        ("Retry-After", ""),
        ("Message-Expires", ""),
        ("Contact", "<sip:a@b>;expires="),
        ("Subscription-State", "active;expires="),
        ("Subscription-State", "terminated;retry-after="),
        ("Retry-After", "1;duration="),
    ] {
        let name = HeaderName::parse(name).unwrap();
        for (text, good) in [
            ("0", true),
            ("4294967295", true),
            ("4294967296", false),
            ("99999999999", false),
            ("-1", false),
            ("+1", false),
            ("1.5", false),
        ] {
            let read = normal_form(&name, format!("{prefix}{text}").as_bytes()).unwrap();
            assert_eq!(read.is_ok(), good, "{name}: {prefix}{text}");
        }
    }
    for (date, good) in [
        ("Fri, 31 Dec 9999 23:59:59 GMT", true),
        ("Thu, 01 Jan 1970 00:00:00 GMT", true),
        ("Fri, 01 Jan 10000 00:00:00 GMT", false),
        ("Fri, 01 Jan -001 00:00:00 GMT", false),
        ("Fri, 01 Jan 2010 24:00:00 GMT", false),
        ("Fri, 30 Feb 2010 00:00:00 GMT", false),
    ] {
        assert_eq!(normal_form(&HeaderName::Date, date.as_bytes()).unwrap().is_ok(), good, "{date}");
    }
}

/// threat: B1. On a stream the end of a message is known from one Content-Length, or nothing is read any more.
#[test]
fn one_end_of_a_message() {
    for bad in [
        "X: 5",
        "l: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nL: 6",
        "Content-Length: 5, 5",
        "Content-Length : +5",
    ] {
        let stream = good().replace("Content-Length: 5", bad) + &good();
        let frames = frames(&stream);
        assert!(
            matches!(&frames[..], [Frame::Lost(failure)] if failure.reply().is_some_and(|r| r.status().as_u16() == 400)),
            "{bad}"
        );
    }
    assert_eq!(frames(&(good() + &good())).len(), 2);
}

/// threat: B2. A datagram that is longer than it says loses its tail, one that is shorter is refused.
#[test]
fn ends_of_datagrams() {
    assert_eq!(parse(good() + "MESSAGE sip:evil SIP/2.0\r\n\r\n").unwrap().to_bytes(), good());
    let failure = parse(good().replace("hello", "hell")).unwrap_err();
    assert_eq!(failure.error, ParseError::BodyShort { announced: 5, present: 4 });
    assert_eq!(failure.reply().unwrap().status(), StatusCode::BAD_REQUEST);
}

/// threat: B13. What begins like another protocol is not SIP: no answer, and nothing after it is read.
#[test]
fn other_protocols() {
    for other in [
        "GET / HTTP/1.1\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n\r\n",
        "POST /sip:bob@example.com HTTP/1.0\r\n\r\n",
        "MSRP a786hjs2 SEND\r\nTo-Path: msrp://x:1/y;tcp\r\n\r\n",
        "EHLO example.com\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n",
    ] {
        let failure = parse(other).unwrap_err();
        assert!(failure.reply().is_none(), "{other}");
        let frames = frames(&format!("{other}{}", good()));
        assert!(matches!(&frames[..], [Frame::Lost(failure)] if failure.reply().is_none()), "{other}");
    }
}

/// threat: B15. Line ends between messages are keep-alives however they are cut, and not without end.
#[test]
fn keep_alives() {
    let stream = format!("\r\n\r\n{}\r\n\r\n", good());
    for cut in 0..stream.len() {
        let mut framer = StreamFramer::new(Limits::default());
        let mut kinds = String::new();
        for piece in [&stream[..cut], &stream[cut..]] {
            framer.push(piece.to_owned().into());
            while let Some(frame) = framer.next() {
                kinds.push(match frame {
                    Frame::Message(_) => 'm',
                    Frame::Pong => 'o',
                    Frame::KeepAlivePing => 'i',
                    Frame::Broken(_) | Frame::Lost(_) => 'x',
                });
            }
        }
        assert_eq!(kinds, "oimoi", "{cut}");
    }
    let lost = |n: usize| matches!(frames(&"\r\n".repeat(n)).last(), Some(Frame::Lost(_)));
    assert!(!lost(64) && lost(65));
}
