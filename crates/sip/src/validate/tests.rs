use super::*;
use crate::*;
use alloc::format;
use bytes::Bytes;

const LINES: [&str; 7] = [
    "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
    "From: <sip:a@b>;tag=1",
    "To: <sip:c@d>",
    "Call-ID: x",
    "CSeq: 7 MESSAGE",
    "Max-Forwards: 70",
    "Content-Type: text/plain",
];

fn request_of(start: &str, lines: &[&str], body: &str) -> Request {
    let octets = format!("{start} SIP/2.0\r\n{}\r\n\r\n{body}", lines.join("\r\n"));
    match parse_datagram(Bytes::from(octets), &Limits::default()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!(),
    }
}

fn with(more: &[&str]) -> Request {
    request_of("MESSAGE sip:c@d", &[&LINES[..], more].concat(), "hi")
}

fn finding(request: &Request, policy: &RequestPolicy) -> Finding {
    validate_request(request, policy).unwrap_err()
}

fn status(request: &Request) -> u16 {
    validate_request(request, &RequestPolicy::user_agent()).map_or_else(|f| f.status.as_u16(), |()| 0)
}

#[test]
fn a_good_request_passes_both() {
    assert_eq!(validate_request(&with(&[]), &RequestPolicy::user_agent()), Ok(()));
    assert_eq!(validate_request(&with(&[]), &RequestPolicy::proxy()), Ok(()));
}

#[test]
fn missing_fields_are_named() {
    for missing in &LINES[..5] {
        let lines: Vec<&str> = LINES.iter().filter(|l| l != &missing).copied().collect();
        let request = request_of("MESSAGE sip:c@d", &lines, "");
        let name = missing.split(':').next().unwrap();
        for policy in [RequestPolicy::user_agent(), RequestPolicy::proxy()] {
            let finding = finding(&request, &policy);
            assert_eq!(
                (finding.status, finding.text.clone()),
                (StatusCode::BAD_REQUEST, format!("{name} is missing"))
            );
            assert_eq!(finding.reply(&request).reason(), format!("{name} is missing"));
        }
    }
    assert_eq!(status(&request_of("MESSAGE sip:c@d", &LINES[..6], "body without a type")), 400);
}

/// Every Via value is held to its grammar, not the topmost alone, in whatever way they are written.
#[test]
fn each_via_value_counts() {
    let vias = |vias: &[&str]| status(&request_of("MESSAGE sip:c@d", &[vias, &LINES[1..]].concat(), "hi"));
    assert_eq!(vias(&[LINES[0], "v: SIP/2.0/UDP h2"]), 0);
    assert_eq!(vias(&["Via: SIP/2.0/UDP h, SIP/2.0/UDP h2"]), 0);
    assert_eq!(vias(&[LINES[0], "v: SIP/2.0/UDP a_b"]), 400);
    assert_eq!(vias(&["Via: SIP/2.0/UDP h, SIP/2.0/UDP a_b"]), 400);
    assert_eq!(vias(&["Via: SIP/2.0/UDP h;ttl=256"]), 400);
    assert_eq!(vias(&["Via: SIP/2.0/UDP h;rport=x"]), 400);
}

/// threat: A3. A second field of any that may stand once, in any spelling, is refused by everyone.
#[test]
fn single_fields_that_stand_twice() {
    let singles = HeaderName::KNOWN.iter().filter(|name| name.occurrence() == Occurrence::Single);
    for name in singles.filter(|name| **name != HeaderName::ContentLength) {
        let value = LINES.iter().find_map(|l| l.strip_prefix(name.as_str())).unwrap_or(": 1");
        let mut spellings = alloc::vec![
            name.as_str().to_string(),
            name.as_str().to_ascii_lowercase(),
            name.as_str().to_ascii_uppercase(),
            format!("{name} \t"),
        ];
        if let Some(compact) = name.compact() {
            spellings.extend([compact.to_string(), compact.to_ascii_uppercase().to_string()]);
        }
        for spelling in spellings {
            let first = format!("{name}{value}");
            let second = format!("{spelling}{value}");
            let present = LINES.iter().any(|l| l.starts_with(&format!("{name}:")));
            let request = if present { with(&[&second]) } else { with(&[&first, &second]) };
            for policy in [RequestPolicy::user_agent(), RequestPolicy::proxy()] {
                let finding = finding(&request, &policy);
                assert_eq!(finding.text, format!("{name} stands more than once"), "{spelling}");
                assert_eq!(finding.status, StatusCode::BAD_REQUEST);
            }
        }
    }
}

#[test]
fn malformed_fields_that_are_needed() {
    for bad in ["Contact: <sip:a", "Route: sip:a", "Record-Route: x", "Expires: -1", "Path: x", "Via: x"] {
        assert_eq!(status(&with(&[bad])), 400, "{bad}");
    }
    for passed_over in ["Date: x", "X: \u{e9}", "P-Asserted-Identity: x", "Warning: x", "Subject: "] {
        assert_eq!(status(&with(&[passed_over])), 0, "{passed_over}");
    }
    // A proxy passes on what it does not act on.
    let request = with(&["Contact: <sip:a", "Expires: -1"]);
    assert_eq!(validate_request(&request, &RequestPolicy::proxy()), Ok(()));
    for (i, bad) in [
        (0, "Via: SIP/2.0 h"),
        (1, "From: x"),
        (2, "To: <"),
        (3, "Call-ID: a b"),
        (4, "CSeq: x"),
        (5, "Max-Forwards: 300"),
    ] {
        let mut lines = LINES;
        lines[i] = bad;
        assert_eq!(status(&request_of("MESSAGE sip:c@d", &lines, "")), 400, "{bad}");
    }
    assert_eq!(status(&request_of("INVITE sip:c@d", &LINES, "")), 400, "the method of CSeq");
    assert_eq!(status(&request_of("MESSAGE sip:c@d?Route=x", &LINES, "")), 400, "headers in the Request-URI");
}

#[test]
fn methods_schemes_and_hops() {
    let new_method = |method: &str| {
        let mut lines = LINES;
        let cseq = format!("CSeq: 7 {method}");
        lines[4] = &cseq;
        request_of(&format!("{method} sip:c@d"), &lines, "")
    };
    assert_eq!(status(&new_method("NEWMETHOD")), 501);
    let policy =
        RequestPolicy { methods: alloc::vec![Method::Message, Method::Ack], ..RequestPolicy::user_agent() };
    let publish = new_method("PUBLISH");
    let refused = finding(&publish, &policy);
    assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
    let reply = refused.reply(&publish);
    assert_eq!(reply.reason(), "Method Not Allowed");
    assert_eq!(reply.headers().get(&HeaderName::Allow).unwrap().as_str(), Some("MESSAGE, ACK"));
    assert_eq!(validate_request(&new_method("NEWMETHOD"), &RequestPolicy::proxy()), Ok(()));
    for policy in [RequestPolicy::user_agent(), RequestPolicy::proxy()] {
        let request = request_of("MESSAGE nobody:x", &LINES, "");
        assert_eq!(finding(&request, &policy).status, StatusCode::UNSUPPORTED_URI_SCHEME);
        let any = RequestPolicy { uri_schemes: Vec::new(), ..policy.clone() };
        assert_eq!(validate_request(&request, &any), Ok(()));
        assert_eq!(validate_request(&request_of("MESSAGE TEL:+1", &LINES, ""), &policy), Ok(()));
    }
    let mut lines = LINES;
    lines[5] = "Max-Forwards: 0";
    let last_hop = request_of("MESSAGE sip:c@d", &lines, "");
    assert_eq!(status(&last_hop), 0);
    assert_eq!(finding(&last_hop, &RequestPolicy::proxy()).status, StatusCode::TOO_MANY_HOPS);
}

#[test]
fn extensions() {
    let request = with(&["Require: timer, A", "Require: b", "Proxy-Require: c"]);
    let policy =
        RequestPolicy { option_tags: alloc::vec!["TIMER".to_string()], ..RequestPolicy::user_agent() };
    let refused = finding(&request, &policy);
    assert_eq!(refused.status, StatusCode::BAD_EXTENSION);
    let reply = refused.reply(&request);
    assert_eq!(reply.headers().get(&HeaderName::Unsupported).unwrap().as_str(), Some("A, b"));
    let proxy = RequestPolicy { role: Role::Proxy, ..policy };
    let reply = finding(&request, &proxy).reply(&request);
    assert_eq!(reply.headers().get(&HeaderName::Unsupported).unwrap().as_str(), Some("c"));
    for method in ["ACK", "CANCEL"] {
        let mut lines = LINES.to_vec();
        let cseq = format!("CSeq: 7 {method}");
        lines[4] = &cseq;
        lines.push("Require: unknown");
        assert_eq!(status(&request_of(&format!("{method} sip:c@d"), &lines, "")), 0);
    }
}

#[test]
fn bodies() {
    let cpim = RequestPolicy {
        content_types: alloc::vec![Accept::new("message/cpim").unwrap(), Accept::new("multipart/*").unwrap()],
        ..RequestPolicy::user_agent()
    };
    let request = with(&[]);
    let refused = finding(&request, &cpim);
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let reply = refused.reply(&request);
    assert_eq!(reply.headers().get(&HeaderName::Accept).unwrap().as_str(), Some("message/cpim, multipart/*"));
    assert!(reply.to_bytes().ends_with(b"Content-Length: 0\r\n\r\n"));
    assert_eq!(validate_request(&with(&["Content-Disposition: x;handling=optional"]), &cpim), Ok(()));
    assert_eq!(validate_request(&request_of("MESSAGE sip:c@d", &LINES, ""), &cpim), Ok(()));
    let mut lines = LINES;
    lines[6] = "c: Message/CPIM;charset=utf-8";
    assert_eq!(validate_request(&request_of("MESSAGE sip:c@d", &lines, "x"), &cpim), Ok(()));
    let request = with(&["e: identity, gzip"]);
    let reply = finding(&request, &RequestPolicy::user_agent()).reply(&request);
    assert_eq!(reply.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(reply.headers().get(&HeaderName::AcceptEncoding).unwrap().as_str(), Some("identity"));
    assert_eq!(status(&with(&["Content-Encoding: identity"])), 0);
}

#[test]
fn responses() {
    let response = |lines: &[&str]| {
        let octets = format!("SIP/2.0 200 OK\r\n{}\r\n\r\n", lines.join("\r\n"));
        match parse_datagram(Bytes::from(octets), &Limits::default()).unwrap() {
            Message::Response(response) => {
                let found = validate_response(&response);
                let read =
                    read_response(&response).map(|(via, cseq)| (via.host().to_string(), cseq.number()));
                assert_eq!(read.is_some(), found.is_ok(), "{lines:?}");
                if let Some((host, number)) = read {
                    assert_eq!(response.typed::<Via>().unwrap().unwrap().host().to_string(), host);
                    assert_eq!(response.typed::<CSeq>().unwrap().unwrap().number, number);
                }
                found
            }
            Message::Request(_) => panic!(),
        }
    };
    assert_eq!(response(&LINES), Ok(()));
    // RFC 3428 §10 prints a doubled semicolon in a Via and in a From that nobody needs to match the response.
    assert_eq!(response(&[&LINES[..], &["Via: SIP/2.0/TCP h;;branch=z9hG4bK776sgdkse"]].concat()), Ok(()));
    for missing in &LINES[..5] {
        let lines: Vec<&str> = LINES.iter().filter(|l| l != &missing).copied().collect();
        assert!(matches!(response(&lines), Err(HeaderError::Missing { .. })), "{missing}");
    }
    assert!(matches!(
        response(&[&LINES[..], &["i: y"]].concat()),
        Err(HeaderError::Repeated { header: "Call-ID" })
    ));
}

/// What is found in a request of this method with these lines more, in short: weight, status, place.
fn found(method: &str, more: &[&str]) -> Vec<String> {
    let cseq = format!("CSeq: 7 {method}");
    let mut lines = LINES[..6].to_vec();
    (lines[2], lines[4]) = ("To: <sip:c@d>;tag=2", &cseq);
    lines.extend(more);
    let uri = if method == "REGISTER" { "sip:d" } else { "sip:c@d" };
    let request = request_of(&format!("{method} {uri}"), &lines, "");
    let findings = inspect_request(&request, &RequestPolicy::user_agent());
    let place =
        |f: &Finding| f.place.as_ref().map_or("-".to_string(), |p| format!("{}[{}]", p.header, p.index));
    findings.iter().map(|f| format!("{:?} {} {}", f.weight, f.status, place(f))).collect()
}

#[test]
fn rules_of_methods() {
    let contact = "Contact: <sip:a@h>";
    let nothing: [&str; 0] = [];
    for (method, lines, expected) in [
        ("INVITE", &[contact][..], &nothing[..]),
        ("INVITE", &[], &["Lapse 400 Contact[0]"]),
        ("INVITE", &["Contact: <sip:a@h>, <sip:b@h>"], &["Fault 400 Contact[0]"]),
        ("INVITE", &["Contact: *"], &["Fault 400 Contact[0]"]),
        ("MESSAGE", &[], &[]),
        ("MESSAGE", &[contact], &["Lapse 400 Contact[0]"]),
        ("SUBSCRIBE", &["Event: presence", contact], &[]),
        ("SUBSCRIBE", &[contact], &["Fault 489 Event[0]"]),
        ("PUBLISH", &[], &["Fault 489 Event[0]"]),
        ("NOTIFY", &["o: presence", "Subscription-State: active", contact], &[]),
        ("NOTIFY", &["o: presence", contact], &["Fault 400 Subscription-State[0]"]),
        ("NOTIFY", &["Subscription-State: active", contact], &["Fault 489 Event[0]"]),
        ("NOTIFY", &[contact], &["Fault 489 Event[0]", "Fault 400 Subscription-State[0]"]),
        ("NOTIFY", &["o: presence", "Subscription-State: active"], &["Lapse 400 Contact[0]"]),
        ("SUBSCRIBE", &["Event: presence", contact, contact], &["Fault 400 Contact[0]"]),
        ("UPDATE", &["Contact: *"], &["Fault 400 Contact[0]"]),
        ("UPDATE", &[contact], &[]),
        ("REFER", &["r: <sip:x@y>"], &["Lapse 400 Contact[0]"]),
        ("REFER", &["r: <sip:x@y>", contact], &[]),
        ("REFER", &[contact], &["Fault 400 Refer-To[0]"]),
        ("REFER", &["r: <sip:x@y>", "Refer-To: <sip:z@y>", contact], &["Fault 400 Refer-To[1]"]),
        ("PRACK", &["RAck: 1 1 INVITE"], &[]),
        ("PRACK", &[], &["Fault 400 RAck[0]"]),
        ("REGISTER", &["Contact: *", "Expires: 0"], &[]),
        ("REGISTER", &["Contact: *"], &["Fault 400 Contact[0]"]),
        ("REGISTER", &["Contact: *, <sip:a@h>", "Expires: 0"], &["Fault 400 Contact[0]"]),
        ("REGISTER", &["Contact: *", "Expires: 1"], &["Fault 400 Contact[0]"]),
        ("ACK", &["Proxy-Require: x"], &["Lapse 400 Proxy-Require[0]"]),
        ("CANCEL", &["Require: x"], &["Lapse 400 Require[0]"]),
        ("BYE", &[], &[]),
        ("INVITE", &["Replaces: a;to-tag=1;from-tag=2", contact], &[]),
        ("INVITE", &["Join: a;to-tag=1;from-tag=2", contact], &[]),
        ("REFER", &["r: <sip:x@y>", "Replaces: a;to-tag=1;from-tag=2", contact], &["Fault 400 Replaces[0]"]),
        ("OPTIONS", &["Join: a;to-tag=1;from-tag=2"], &["Fault 400 Join[0]"]),
        (
            "INVITE",
            &["Join: a;to-tag=1;from-tag=2", "Replaces: a;to-tag=1;from-tag=2", contact],
            &["Fault 400 Join[0]"],
        ),
        ("OPTIONS", &["Require: x"], &["Unsupported 420 Require[0]"]),
        // What this side does not do is said only of a request that is without fault.
        ("OPTIONS", &["Require: x", "Date: x"], &["Fault 400 Date[0]"]),
    ] {
        assert_eq!(found(method, lines), expected, "{method} {lines:?}");
    }
    // Requests of a dialog have a tag in To, a REGISTER names a domain.
    let found = |start: &str, to: &str| {
        let cseq = format!("CSeq: 7 {}", start.split(' ').next().unwrap());
        let lines = [LINES[0], LINES[1], to, LINES[3], &cseq, LINES[5]];
        let findings = inspect_request(&request_of(start, &lines, ""), &RequestPolicy::user_agent());
        findings.iter().map(|f| format!("{:?} {}", f.weight, f.text)).collect::<Vec<_>>()
    };
    let lapse = ["Lapse the request belongs to a dialog, To has no tag"];
    for method in ["BYE", "INFO"] {
        assert_eq!(found(&format!("{method} sip:c@d"), "To: <sip:c@d>"), lapse);
        assert_eq!(found(&format!("{method} sip:c@d"), "To: <sip:c@d>;tag=2"), nothing);
    }
    let user = ["Lapse the Request-URI of REGISTER has no user"];
    assert_eq!(found("REGISTER sip:c@d", "To: <sip:c@d>"), user);
    assert_eq!(found("REGISTER sip:d", "To: <sip:c@d>"), nothing);
}

#[test]
fn rules_of_responses() {
    let found = |status: u16, method: &str, more: &[&str], body: &str| {
        let cseq = format!("CSeq: 7 {method}");
        let lines = [LINES[0], LINES[1], "To: <sip:c@d>;tag=2", LINES[3], &cseq];
        let lines = [&lines[..], more].concat();
        let octets = format!("SIP/2.0 {status} x\r\n{}\r\n\r\n{body}", lines.join("\r\n"));
        let Ok(Message::Response(response)) = parse_datagram(octets.into(), &Limits::default()) else {
            panic!()
        };
        let findings = inspect_response(&response);
        assert!(findings.iter().all(|finding| finding.weight == Weight::Lapse), "{findings:?}");
        findings.into_iter().map(|finding| finding.text).collect::<Vec<_>>()
    };
    let nothing: [&str; 0] = [];
    for (status, method, field) in [
        (200, "INVITE", "Contact: <sip:c@h>"),
        (202, "REFER", "Contact: <sip:c@h>"),
        (200, "UPDATE", "Contact: <sip:c@h>"),
        (401, "REGISTER", "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\""),
        (405, "MESSAGE", "Allow: INVITE"),
        (407, "INVITE", "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\""),
        (420, "INVITE", "Unsupported: x"),
        (421, "INVITE", "Require: timer"),
        (422, "INVITE", "Min-SE: 90"),
        (423, "REGISTER", "Min-Expires: 60"),
        (469, "INFO", "Recv-Info: x"),
        (489, "SUBSCRIBE", "Allow-Events: presence"),
        (494, "REGISTER", "Security-Server: tls"),
    ] {
        let name = field.split(':').next().unwrap();
        assert_eq!(found(status, method, &[], ""), [format!("{name} is missing")], "{status} {method}");
        assert_eq!(found(status, method, &[field], ""), nothing, "{status} {method}");
    }
    assert_eq!(found(200, "SUBSCRIBE", &[], ""), ["Contact is missing", "Expires is missing"]);
    assert_eq!(found(200, "PUBLISH", &["SIP-ETag: x"], ""), ["Expires is missing"]);
    assert_eq!(found(200, "MESSAGE", &[], "x"), ["Content-Type is missing"]);
    assert_eq!(found(183, "INVITE", &["Require: 100rel"], ""), ["RSeq is missing"]);
    assert_eq!(found(183, "INVITE", &["Require: 100rel", "RSeq: 1"], ""), nothing);
    assert_eq!((found(486, "INVITE", &[], ""), found(100, "INVITE", &[], "")), (Vec::new(), Vec::new()));
}

#[test]
fn findings_have_a_place() {
    let lines = ["Supported: a, b", "Supported: c d", "k: e", "Warning: x", "X-Unknown: \u{1f600}"];
    let request = with(&lines);
    let octets = request.to_bytes();
    let findings = inspect_request(&request, &RequestPolicy::user_agent());
    let places: Vec<Place> = findings.iter().filter_map(|finding| finding.place.clone()).collect();
    let at = |text: &[u8]| octets.windows(text.len()).position(|w| w == text);
    assert_eq!(
        places,
        [
            Place { header: HeaderName::Supported, index: 1, offset: at(b"c d") },
            Place { header: HeaderName::Warning, index: 0, offset: at(b"x\r\nX-Unknown") },
        ]
    );
    assert_eq!(places[0].to_string(), format!("Supported[1] at octet {}", at(b"c d").unwrap()));
    // A proxy passes on what it does not act on, and says so.
    let weights = |policy| inspect_request(&request, &policy).iter().map(|f| f.weight).collect::<Vec<_>>();
    assert_eq!(weights(RequestPolicy::user_agent()), [Weight::Fault, Weight::Fault]);
    assert_eq!(weights(RequestPolicy::proxy()), [Weight::Lapse, Weight::Lapse]);
    // What was edited stands nowhere in the octets that were received.
    let mut edited = request.clone();
    edited.headers_mut().push(HeaderName::Date, HeaderText::new("x").unwrap());
    let findings = inspect_request(&edited, &RequestPolicy::user_agent());
    assert!(
        findings.iter().all(|finding| finding.place.as_ref().is_some_and(|place| place.offset.is_none()))
    );
    let finding = finding(&with(&["i: y"]), &RequestPolicy::user_agent());
    assert_eq!(finding.place.map(|place| (place.header, place.index)), Some((HeaderName::CallId, 1)));
}

#[test]
fn all_findings_of_a_response() {
    let octets = format!("SIP/2.0 200 OK\r\n{}\r\nWarning: 1 x\r\n\r\n", LINES[1..].join("\r\n"));
    let Message::Response(response) = parse_datagram(Bytes::from(octets), &Limits::default()).unwrap() else {
        panic!()
    };
    let texts: Vec<String> = inspect_response(&response).iter().map(|finding| finding.text.clone()).collect();
    assert_eq!(texts, ["Via is missing", "Warning: the code has not three digits", "To has no tag"]);
}
