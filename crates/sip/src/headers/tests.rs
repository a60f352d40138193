#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use crate::grammar::split_list;
use crate::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use proptest::prelude::*;

fn parsed(fields: &str) -> Message {
    let octets = format!("SIP/2.0 200 OK\r\n{fields}\r\n");
    parse_datagram(Bytes::from(octets), &Limits::default()).unwrap()
}

fn lines(message: &Message) -> String {
    let octets = message.to_bytes();
    let text = core::str::from_utf8(&octets).unwrap();
    text.strip_prefix("SIP/2.0 200 OK\r\n").unwrap().strip_suffix("\r\n").unwrap().into()
}

#[test]
fn known_names_in_every_spelling() {
    for name in HeaderName::KNOWN {
        for spelling in [name.as_str().to_ascii_lowercase(), name.as_str().to_ascii_uppercase()] {
            assert_eq!(&HeaderName::parse(&spelling).unwrap(), name);
        }
        if let Some(compact) = name.compact() {
            assert_eq!(&HeaderName::parse(&format!("{compact}")).unwrap(), name);
            assert_eq!(&HeaderName::parse(&format!("{}", compact.to_ascii_uppercase())).unwrap(), name);
        }
    }
    let mut compacts: Vec<char> = HeaderName::KNOWN.iter().filter_map(HeaderName::compact).collect();
    let count = compacts.len();
    compacts.sort_unstable();
    compacts.dedup();
    assert_eq!(compacts.len(), count);
    assert_eq!(HeaderName::parse("X-a").unwrap(), HeaderName::parse("x-A").unwrap());
    assert_eq!(
        HeaderName::parse("X-a").unwrap().cmp(&HeaderName::parse("x-A").unwrap()),
        core::cmp::Ordering::Equal
    );
    assert_ne!(HeaderName::parse("z").unwrap(), HeaderName::parse("zz").unwrap());
    assert!(
        HeaderName::parse("").is_err()
            && HeaderName::parse("a b").is_err()
            && HeaderName::parse("a:").is_err()
    );
}

/// A value put where none was stays on the line of its name, whether the line was plain or folded.
#[test]
fn an_empty_value_is_replaced_on_its_line() {
    for (field, edited) in [
        ("Supported:\r\n", "Supported: path\r\n"),
        ("Supported: \t \r\n", "Supported: path\r\n"),
        ("Supported:\r\n \r\n", "Supported: path\r\n"),
        ("Supported: a\r\n", "Supported: path\r\n"),
    ] {
        let mut message = parsed(field);
        let value = HeaderText::new("path").unwrap();
        assert!(message.headers_mut().replace_first_value(&HeaderName::Supported, &value));
        assert_eq!(lines(&message), edited);
    }
}

#[test]
fn edits_leave_the_neighbours_alone() {
    let odd =
        "v : SIP/2.0/UDP  a\r\nX-Odd\t:\r\n  folded \r\nVIA:SIP/2.0/UDP b , SIP/2.0/UDP c\r\nf:<sip:a@b>\r\n";
    let mut message = parsed(odd);
    assert_eq!(lines(&message), odd);
    let _ = message.headers_mut();
    assert_eq!(lines(&message), odd);
    message.headers_mut().prepend_typed(&Via::new("TCP", Host::parse("new").unwrap(), None));
    message.headers_mut().push_typed(&MaxForwards(70));
    assert_eq!(lines(&message), format!("Via: SIP/2.0/TCP new\r\n{odd}Max-Forwards: 70\r\n"));
    let vias = message.typed_list::<Via>().unwrap();
    assert_eq!(vias.iter().map(|v| format!("{}", v.host())).collect::<Vec<_>>(), ["new", "a", "b", "c"]);
    message.headers_mut().set_typed(&MaxForwards(69));
    assert_eq!(message.headers_mut().remove(&HeaderName::From), 1);
    assert!(message.headers_mut().pop_first_value(&HeaderName::Via));
    assert!(message.headers_mut().pop_first_value(&HeaderName::Via));
    let rest = "X-Odd\t:\r\n  folded \r\nVIA:SIP/2.0/UDP b , SIP/2.0/UDP c\r\nMax-Forwards: 69\r\n";
    assert_eq!(lines(&message), rest);
    let received = Via::new("UDP", Host::parse("b").unwrap(), None).with_rport();
    assert!(message.headers_mut().replace_first_typed(&received));
    assert_eq!(lines(&message), rest.replace("UDP b", "UDP b;rport"));
    assert!(message.headers_mut().pop_first_value(&HeaderName::Via));
    assert_eq!(lines(&message), "X-Odd\t:\r\n  folded \r\nVIA:SIP/2.0/UDP c\r\nMax-Forwards: 69\r\n");
    assert!(message.headers_mut().replace_first_typed(&received));
    assert_eq!(message.headers().get(&HeaderName::Via).unwrap().as_str(), Some("SIP/2.0/UDP b;rport"));
    assert!(message.headers_mut().pop_first_value(&HeaderName::Via));
    assert!(!message.headers_mut().pop_first_value(&HeaderName::Via));
    assert!(!message.headers_mut().replace_first_typed(&received));
    assert_eq!(message.headers().count(&HeaderName::Via), 0);
}

#[test]
fn popping_keeps_the_octets_of_the_other_values() {
    for (before, after) in [
        ("Route: <sip:a>,<sip:b>\r\n", "Route: <sip:b>\r\n"),
        (
            "Route:\t<sip:a;x=\",\">;y=\"<,\" \t,\r\n  <sip:b,c> ,\t<sip:d>  \r\n",
            "Route:\t<sip:b,c> ,\t<sip:d>  \r\n",
        ),
        ("Route: <sip:a>\r\nRoute: <sip:b>\r\n", "Route: <sip:b>\r\n"),
        ("route: <sip:a>,\r\n", "route: \r\n"),
    ] {
        let mut message = parsed(before);
        assert!(message.headers_mut().pop_first_value(&HeaderName::Route));
        assert_eq!(lines(&message), after, "{before}");
        assert!(parse_datagram(message.to_bytes(), &Limits::default()).is_ok());
    }
    // A comma of a field that is no list is part of its value.
    let mut message = parsed("Subject: a, b\r\nX: c, d\r\n");
    assert!(message.headers_mut().pop_first_value(&HeaderName::Subject));
    assert!(message.headers_mut().pop_first_value(&HeaderName::parse("x").unwrap()));
    assert_eq!(lines(&message), "");
}

#[test]
fn typed_values_over_lines_and_commas() {
    let message = parsed("k: a, b\r\nSupported:\r\nSUPPORTED:c ,\r\n d\r\nExpires: 5\r\ne: x\r\n");
    let tags: Vec<String> =
        message.typed_list::<Supported>().unwrap().iter().map(|s| s.as_str().into()).collect();
    assert_eq!(tags, ["a", "b", "c", "d"]);
    assert_eq!(message.typed::<Supported>().unwrap().unwrap().as_str(), "a");
    assert_eq!(message.typed::<Expires>(), Ok(Some(Expires(5))));
    assert_eq!(message.typed::<MinExpires>(), Ok(None));
    assert!(parsed("Supported: a,,b\r\n").typed_list::<Supported>().is_err());
    assert_eq!(parsed("Supported:\r\n").typed::<Supported>(), Ok(None));
    assert_eq!(parsed("Supported:\r\nk: x\r\n").typed::<Supported>().unwrap().unwrap().as_str(), "x");
    assert!(parsed("Require:\r\n").typed_list::<Require>().is_err());
    let repeated = parsed("To: <sip:a>\r\nt: <sip:b>\r\n").typed::<To>();
    assert_eq!(repeated, Err(HeaderError::Repeated { header: "To" }));
}

#[test]
fn lists_are_written_and_replaced_as_one() {
    let mut message = parsed("X: 1\r\nAllow: A\r\nY: 2\r\nAllow: B\r\n");
    message.headers_mut().set_typed_list(&[Allow(Method::Invite), Allow(Method::parse("NEW").unwrap())]);
    assert_eq!(lines(&message), "X: 1\r\nAllow: INVITE, NEW\r\nY: 2\r\n");
    message.headers_mut().set_typed_list::<Allow>(&[]);
    message.headers_mut().set_typed_list(&[Supported::new("path").unwrap()]);
    assert_eq!(lines(&message), "X: 1\r\nY: 2\r\nSupported: path\r\n");
}

#[test]
fn the_most_values_of_a_list() {
    let of = |name: &str, value: &str, n: usize| {
        parsed(&format!("{name}: {}\r\n", alloc::vec![value; n].join(",")))
    };
    let limit = |error: HeaderError| match error {
        HeaderError::Limit { exceeded, .. } => (exceeded.limit, exceeded.value, exceeded.max),
        other => panic!("{other}"),
    };
    assert_eq!(of("Supported", "a", 127).typed_list::<Supported>().unwrap().len(), 127);
    assert_eq!(of("Supported", "a", 128).typed_list::<Supported>().unwrap().len(), 128);
    assert_eq!(
        limit(of("k", "a", 129).typed_list::<Supported>().unwrap_err()),
        ("sip.max_list_values", 129, 128)
    );
    let via = "SIP/2.0/UDP h";
    assert!(of("v", via, 69).typed_list::<Via>().is_ok() && of("v", via, 70).typed_list::<Via>().is_ok());
    assert_eq!(limit(of("v", via, 71).typed_list::<Via>().unwrap_err()), ("sip.max_via", 71, 70));
    let route = "<sip:a;lr>";
    assert!(
        of("Route", route, 63).typed_list::<Route>().is_ok()
            && of("Route", route, 64).typed_list::<Route>().is_ok()
    );
    assert_eq!(limit(of("Route", route, 65).typed_list::<Route>().unwrap_err()), ("sip.max_routes", 65, 64));
    assert_eq!(limit(of("Path", route, 65).typed_list::<Path>().unwrap_err()).0, "sip.max_routes");
}

#[test]
fn folded_and_foreign_octets() {
    let message = parsed("Subject: a\r\n b\r\n\tc\r\nX: \u{e9}\r\n");
    let value = message.headers().get(&HeaderName::Subject).unwrap();
    assert_eq!((value.as_bytes(), value.as_str()), (&b"a\r\n b\r\n\tc"[..], None));
    assert_eq!(value.to_text().unwrap(), "a b\tc");
    assert_eq!(message.typed::<Subject>().unwrap().unwrap().as_str(), "a b\tc");
    let mut octets = b"SIP/2.0 200 OK\r\nSubject: \xff\r\nCall-ID: a\r\n\r\n".to_vec();
    let message = parse_datagram(octets.clone().into(), &Limits::default()).unwrap();
    assert!(message.typed::<Subject>().is_err() && message.typed::<CallId>().is_ok());
    assert_eq!(&message.to_bytes()[..], &octets[..]);
    octets.truncate(octets.len() - 2);
    octets.extend_from_slice(b"Via: \xff,b\r\n\r\n");
    let mut message = parse_datagram(octets.into(), &Limits::default()).unwrap();
    assert!(message.headers_mut().pop_first_value(&HeaderName::Via));
    assert!(!message.headers().contains(&HeaderName::Via));
}

#[test]
fn header_text_refuses_every_control_character_but_tab() {
    for octet in 0u8..=0x7f {
        let text = format!("a{}b", char::from(octet));
        let fine = octet == b'\t' || !octet.is_ascii_control();
        assert_eq!(HeaderText::new(&text).is_ok(), fine, "{octet}");
        assert_eq!(Subject::new(&text).is_ok(), fine);
        assert_eq!(Params::new().set("a", Some(&text)).is_ok(), fine);
        assert!(!HeaderText::sanitized(&text).as_str().bytes().any(|o| o.is_ascii_control()));
    }
    for text in ["\r", "a\n", "\0", "a\r\nb"] {
        assert!(HeaderText::new(text).is_err());
    }
}

proptest! {
    /// Threats E4: what is written as one field is read as one field with the same value.
    #[test]
    fn header_injection_is_impossible(name in "\\PC{0,12}|[A-Za-z-]{1,12}", value in any::<String>()) {
        let mut request = Request::new(Method::Options, Uri::parse("sip:a").unwrap());
        if let (Ok(name), Ok(value)) = (HeaderName::parse(&name), HeaderText::new(&value)) {
            prop_assume!(name != HeaderName::ContentLength);
            request.headers_mut().push(name.clone(), value.clone());
            let again = parse_datagram(request.to_bytes(), &Limits::default()).unwrap();
            prop_assert_eq!(again.headers().len(), 2);
            let read = again.headers().get(&name).unwrap();
            prop_assert_eq!(read.to_text().unwrap(), value.as_str());
        }
        let mut response = Response::new(StatusCode::OK);
        response.set_reason(&value);
        response.headers_mut().push(HeaderName::Subject, HeaderText::sanitized(&value));
        let again = parse_datagram(response.to_bytes(), &Limits::default()).unwrap();
        prop_assert_eq!(again.headers().len(), 2);
    }

    /// Threats A4: after a field is removed no reader finds it in the octets.
    #[test]
    fn what_is_removed_is_gone(
        names in prop::collection::vec("(v|Via|VIA|via ?|V\t|f|From|X-Via|Vi)", 0..8),
        octet in any::<u8>(),
    ) {
        let mut octets = b"SIP/2.0 200 OK\r\n".to_vec();
        for (i, name) in names.iter().enumerate() {
            octets.extend_from_slice(name.as_bytes());
            if i == 3 {
                octets.push(octet);
            }
            octets.extend_from_slice(b": x, y\r\n");
        }
        octets.extend_from_slice(b"\r\n");
        if let Ok(mut message) = parse_datagram(octets.into(), &Limits::default()) {
            message.headers_mut().remove(&HeaderName::Via);
            let again = parse_datagram(message.to_bytes(), &Limits::default()).unwrap();
            prop_assert!(!again.headers().contains(&HeaderName::Via));
            prop_assert_eq!(again.headers().len(), message.headers().len());
        }
    }
}

/// An empty value is replaced in its line: what takes its place never begins a line of its own.
#[test]
fn an_empty_value_is_replaced_in_its_line() {
    for empty in ["Subject:", "Subject: ", "s :\t", "Subject:\r\n ", "Subject: \r\n\t "] {
        let wire = alloc::format!("OPTIONS sip:a@b SIP/2.0\r\n{empty}\r\nCall-ID: 1\r\n\r\n");
        let mut message = crate::parse_datagram(Bytes::from(wire), &Limits::DEFAULT).unwrap();
        let value = HeaderText::new("Evil: 1").unwrap();
        assert!(message.headers_mut().replace_first_value(&HeaderName::Subject, &value));
        let again = crate::parse_datagram(message.to_bytes(), &Limits::DEFAULT).unwrap();
        assert_eq!(again.headers().len(), 2, "{empty:?}");
        assert_eq!(again.headers().get(&HeaderName::Subject).and_then(HeaderValue::as_str), Some("Evil: 1"));
    }
}

#[test]
fn the_written_length_is_that_of_the_octets() {
    let mut request = Request::new(Method::Message, Uri::parse("sip:bob@example.com").unwrap());
    for length in [0, 9, 10, 99, 100, 12_345] {
        request.set_body(alloc::vec![b'x'; length].into());
        assert_eq!(request.written_length(), request.to_bytes().len());
        request.headers_mut().remove(&HeaderName::ContentLength);
        assert_eq!(request.written_length(), request.to_bytes().len());
        let response = Response::for_request(&request, StatusCode::OK);
        assert_eq!(response.written_length(), response.to_bytes().len());
    }
    let Ok(Message::Request(mut received)) = parse_datagram(request.to_bytes(), &Limits::default()) else {
        panic!()
    };
    assert_eq!(received.written_length(), request.to_bytes().len());
    received.headers_mut().remove(&HeaderName::ContentLength);
    assert_eq!(received.written_length(), received.to_bytes().len());
}

/// What can be done to a message between two hops.
fn edited(message: &mut Message, other: &Message, (kind, number): (u8, u8)) {
    let names = [
        HeaderName::Via,
        HeaderName::Route,
        HeaderName::RecordRoute,
        HeaderName::From,
        HeaderName::To,
        HeaderName::MaxForwards,
        HeaderName::ContentLength,
        HeaderName::CSeq,
        HeaderName::parse("X-Other").unwrap(),
    ];
    let texts = [
        "SIP/2.0/TCP 192.0.0.8:5060;branch=z9hG4bKabc;rport",
        "<sip:192.0.0.8:5062;lr;transport=tcp>",
        "<sip:a@example.com>;tag=1, <sip:b@example.com;lr>",
        "69",
        "2",
        " 2",
        "2 ",
        "",
        "<sip:",
        "SIP/2.0/UDP host;received=nonsense",
    ];
    let (name, of_text) = (&names[usize::from(number) % names.len()], usize::from(number) / names.len());
    let text = HeaderText::new(texts[of_text % texts.len()]).unwrap();
    match kind % 10 {
        0 => message.headers_mut().push(name.clone(), text),
        1 => message.headers_mut().prepend(name.clone(), text),
        2 => message.headers_mut().replace(name.clone(), text),
        3 => drop(message.headers_mut().pop_first_value(name)),
        4 => drop(message.headers_mut().replace_first_value(name, &text)),
        5 => drop(message.headers_mut().remove_value(name, of_text)),
        6 => message.headers_mut().copy_from(other.headers(), name),
        7 => drop(message.headers_mut().remove(name)),
        8 => message.set_body(Bytes::from(alloc::vec![b'x'; usize::from(number)])),
        _ => (0..number).for_each(|_| message.headers_mut().prepend(name.clone(), text.clone())),
    }
}

fn request(fields: &str) -> Message {
    let octets = format!("MESSAGE sip:b@example.com SIP/2.0\r\n{fields}l: 2\r\n\r\nhi");
    parse_datagram(Bytes::from(octets), &Limits::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A message that reads back is what a reader of its octets gets; and whatever was validated before, and however it was
    /// edited since, validation finds what it finds in the octets.
    #[test]
    fn what_was_checked_once_is_found_the_same_when_it_is_checked_again(
        edits in proptest::collection::vec(any::<(u8, u8)>(), 0..12),
    ) {
        let mut message = request(
            "Via: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b;branch=z9hG4bK2\r\n\
             v: SIP/2.0/UDP [2001:db8::1]:5070\r\nRoute: <sip:r1;lr>,\r\n <sip:r2;lr>\r\n\
             f: <sip:a@example.com>;tag=1\r\nTo: \"B, b\" <sip:b@example.com>\r\ni: c\r\nCSeq: 1 MESSAGE\r\n\
             Max-Forwards: 70\r\nRecord-Route: <sip:rr;lr>\r\nX-Other : a\r\n",
        );
        let other = request("Via: SIP/2.0/UDP o\r\nRoute: <nonsense\r\nFrom: o\r\nTo: <sip:o@o>\r\nCSeq: 2 INFO\r\n");
        let _ = validate_request(other.as_request().unwrap(), &RequestPolicy::proxy());
        for edit in edits {
            edited(&mut message, &other, edit);
            let mut framer = StreamFramer::new(Limits::default());
            framer.push(message.to_bytes());
            let read = match framer.next() {
                Some(Frame::Message(read)) if framer.next().is_none() && framer.buffered() == 0 => Some(read),
                _ => None,
            };
            if message.reads_back(&Limits::default()) {
                let read = read.clone().expect("it reads back");
                prop_assert_eq!(read.body(), message.body());
                let fields = |m: &Message| m.headers().iter().map(|(n, v)| (n.clone(), v.as_bytes().to_vec())).collect::<Vec<_>>();
                prop_assert_eq!(fields(&read), fields(&message));
            }
            let Some(read) = read.filter(|read| read.headers().len() == message.headers().len()) else { continue };
            for policy in [RequestPolicy::proxy(), RequestPolicy::user_agent()] {
                // Where it stands is known of octets alone.
                let found = |m: &Message| {
                    let found = validate_request(m.as_request().unwrap(), &policy);
                    found.map_err(|finding| (finding.status, finding.headers, finding.text))
                };
                let (again, anew) = (found(&message), found(&read));
                prop_assert_eq!(again.is_ok(), anew.is_ok());
                if message.reads_back(&Limits::default()) {
                    prop_assert_eq!(again, anew);
                }
            }
        }
    }
}

/// The limit of a list counts all its fields, those that were found sound before too.
#[test]
fn sound_values_count_against_the_limit() {
    let via = |n: usize| format!("Via: SIP/2.0/UDP h{n};branch=z9hG4bK{n}\r\n");
    let vias: String = (0..Limits::DEFAULT.max_via).map(via).collect();
    let mut message = request(&format!(
        "{vias}From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\n"
    ));
    let policy = RequestPolicy::proxy();
    assert_eq!(validate_request(message.as_request().unwrap(), &policy), Ok(()));
    message.headers_mut().prepend(HeaderName::Via, HeaderText::new("SIP/2.0/UDP one.more").unwrap());
    let found = validate_request(message.as_request().unwrap(), &policy).unwrap_err();
    assert!(found.text.contains("sip.max_via"), "{}", found.text);
}

/// What a reader of the octets would refuse, or see otherwise, is not said to read back: names and parameters that are too
/// many or too long, and line ends that an edit left at the front of a value.
#[test]
fn what_a_reader_would_refuse_does_not_read_back() {
    let limits = Limits::default();
    let built = |method: &str, uri: &str| {
        let mut request = Request::new(Method::parse(method).unwrap(), Uri::parse(uri).unwrap());
        request.ensure_content_length();
        Message::from(request)
    };
    let reads = |message: &Message| {
        let mut framer = StreamFramer::new(limits);
        framer.push(message.to_bytes());
        matches!(framer.next(), Some(Frame::Message(_)))
    };
    for length in [limits.max_token, limits.max_token + 1] {
        let message = built(&"X".repeat(length), "sip:b@example.com");
        assert_eq!(message.reads_back(&limits), length <= limits.max_token);
        assert_eq!(reads(&message), length <= limits.max_token);
    }
    for count in [limits.max_params, limits.max_params + 1] {
        let Ok(Uri::Sip(uri)) = Uri::parse("sip:b@example.com") else { panic!("it is one") };
        let uri = (0..count).fold(uri, |uri, n| uri.with_param(&format!("p{n}"), None));
        let mut request = Request::new(Method::Message, Uri::Sip(uri));
        request.ensure_content_length();
        let message = Message::from(request);
        assert_eq!(message.reads_back(&limits), count <= limits.max_params);
        assert_eq!(reads(&message), count <= limits.max_params);
    }
    let mut message = request("Route: <sip:a;lr>\r\n ,<sip:b;lr>\r\n");
    assert!(message.reads_back(&limits));
    assert!(message.headers_mut().replace_value(&HeaderName::Route, 0, &HeaderText::new("").unwrap()));
    assert!(!message.reads_back(&limits));
}

/// The list as octets say it, one after the other.
fn cut_slowly(text: &str) -> Vec<(usize, usize)> {
    let (mut cuts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for (i, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => angle = true,
            b'>' if !quoted => angle = false,
            b',' if !quoted && !angle => {
                cuts.push((start, i));
                (start, quoted, escaped, angle) = (i + 1, false, false, false);
            }
            _ => {}
        }
    }
    cuts.push((start, text.len()));
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Lists are cut where an octet after octet reading cuts them; the first value that goes or is replaced is the first of
    /// these, and those behind it stay.
    #[test]
    fn first_values_are_those_of_the_list(
        pieces in proptest::collection::vec(
            prop::sample::select(alloc::vec![
                ",", ",", "\"", "\\", "<", ">", "\\\"", "(", ")", " ", "\t", "\r\n ", "é", "a", "sip:b", ";c=d", "\",\"",
            ]),
            0..14,
        ),
    ) {
        let text = pieces.concat();
        prop_assert_eq!(split_list(&text).collect::<Vec<_>>(), cut_slowly(&text));
        let trimmed = |values: &[&str]| {
            values.iter().map(|v| String::from(v.trim_matches([' ', '\t', '\r', '\n']))).collect::<Vec<_>>()
        };
        let value_of = |message: &Message| {
            let value = message.headers().get(&HeaderName::Route)?;
            Some(String::from(core::str::from_utf8(value.as_bytes()).unwrap()))
        };
        let whole = parsed(&format!("Route: {text}\r\nSubject: s\r\n"));
        let value = value_of(&whole).unwrap();
        let values: Vec<&str> = cut_slowly(&value).into_iter().map(|(from, to)| &value[from..to]).collect();
        let values = trimmed(&values);
        let now_of = |message: &Message| {
            value_of(message).map(|v| trimmed(&cut_slowly(&v).into_iter().map(|(a, b)| &v[a..b]).collect::<Vec<_>>()))
        };

        let mut popped = whole.clone();
        prop_assert!(popped.headers_mut().pop_first_value(&HeaderName::Route));
        prop_assert_eq!(now_of(&popped), (values.len() > 1).then(|| values[1..].to_vec()));

        let mut replaced = whole.clone();
        prop_assert!(replaced.headers_mut().replace_first_value(&HeaderName::Route, &HeaderText::new("<sip:x,y>").unwrap()));
        let expected: Vec<String> = [String::from("<sip:x,y>")].into_iter().chain(values[1..].to_vec()).collect();
        prop_assert_eq!(now_of(&replaced), Some(expected));

        for message in [popped, replaced] {
            let again = parse_datagram(message.to_bytes(), &Limits::default()).unwrap();
            prop_assert_eq!(value_of(&again), value_of(&message));
            prop_assert_eq!(again.headers().get(&HeaderName::Subject).unwrap().as_bytes(), b"s");
            prop_assert_eq!(again.headers().len(), message.headers().len());
        }
    }
}

/// A clone shares what it was made of; what is edited in one of both is not seen in the other.
#[test]
fn clones_share_until_they_are_edited() {
    let message = parsed("Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\nSubject: x\r\nX-Own: y\r\n");
    let allocated = allocation_counter::measure(|| drop(message.headers().clone())).count_total;
    assert_eq!(allocated, 0);
    let text = || HeaderText::new("z").unwrap();
    type Edit = fn(&mut Headers, HeaderText) -> bool;
    let edits: [Edit; 9] = [
        |h, text| (h.push(HeaderName::Subject, text), true).1,
        |h, text| (h.prepend(HeaderName::Subject, text), true).1,
        |h, text| (h.replace(HeaderName::Subject, text), true).1,
        |h, _| h.remove(&HeaderName::Subject) == 1,
        |h, _| h.pop_first_value(&HeaderName::Via),
        |h, text| h.replace_first_value(&HeaderName::Via, &text),
        |h, text| h.replace_value(&HeaderName::Via, 1, &text),
        |h, _| h.remove_value(&HeaderName::Via, 1),
        |h, _| (h.copy_from(&h.clone(), &HeaderName::Subject), true).1,
    ];
    let written = |headers: &Headers| {
        let mut lines = Vec::new();
        headers.write(&mut lines);
        lines
    };
    let before = written(message.headers());
    for edit in edits {
        let mut clone = message.headers().clone();
        assert!(edit(&mut clone, text()));
        assert_ne!(written(&clone), before);
        assert_eq!(written(message.headers()), before);
    }
}

#[test]
fn a_text_goes_above_the_first_of_its_name_unless_it_breaks_the_line() {
    let mut headers = Headers::new();
    headers.push(HeaderName::Subject, HeaderText::new("s").unwrap());
    headers.push(HeaderName::Via, HeaderText::new("b").unwrap());
    assert_eq!(headers.prepend_text(HeaderName::Via, " a "), Ok(()));
    assert!(headers.prepend_text(HeaderName::Via, "x\r\nTo: y").is_err());
    let all: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    assert_eq!(all, [("Subject", "s"), ("Via", "a"), ("Via", "b")]);
}

proptest! {
    /// What is known of names without a walk over the fields is what a walk finds, whatever was edited.
    #[test]
    fn names_are_known_after_every_edit(edits in prop::collection::vec((0..7u8, 0..4usize), 0..24)) {
        let name = |at: usize| match at {
            0 => HeaderName::Via,
            1 => HeaderName::Subject,
            2 => HeaderName::MaxForwards,
            _ => HeaderName::parse("X-Own").unwrap(),
        };
        let message = parsed("Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\nSubject: x\r\nX-Own: y\r\nVia: SIP/2.0/UDP c\r\n");
        let mut headers = message.headers().clone();
        for (edit, at) in edits {
            let (name_of, text) = (name(at), HeaderText::new("1").unwrap());
            match edit {
                0 => headers.push(name_of, text),
                1 => headers.prepend(name_of, text),
                2 => headers.replace(name_of, text),
                3 => drop(headers.remove(&name_of)),
                4 => drop(headers.pop_first_value(&name_of)),
                5 => headers.copy_from(message.headers(), &name_of),
                _ => headers = headers.subset(&[name_of, HeaderName::Via]),
            }
            for at in 0..4 {
                let name = name(at);
                let found = headers.iter().filter(|(other, _)| **other == name).count();
                prop_assert_eq!(headers.count(&name), found);
                prop_assert_eq!(headers.get_all(&name).count(), found);
                prop_assert_eq!((headers.contains(&name), headers.get(&name).is_some()), (found > 0, found > 0));
            }
            let repeated = [HeaderName::Subject, HeaderName::MaxForwards].iter().any(|name| headers.count(name) > 1);
            prop_assert_eq!(headers.repeats_single(), repeated);
        }
    }
}
