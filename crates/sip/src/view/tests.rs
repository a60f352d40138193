#![allow(clippy::arithmetic_side_effects)]

use crate::*;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use proptest::prelude::*;

fn message(fields: &str) -> Option<Message> {
    parse_datagram(Bytes::from(format!("SIP/2.0 200 OK\r\n{fields}\r\n\r\n")), &Limits::default()).ok()
}

const GOOD: &str = "v: SIP / 2.0 / UDP [2001:db8::9:1] : 5070 ;rport;BRANCH=z9hG4bK77ef;received=::1 , SIP/2.0/TCP x\r\n\
    f: \"Alice; tag=no\" <sip:alice@example.com;x=y>;tag=\"a\\\"b\"\r\n\
    Route: <sip:c.example;lr>;tag=1 , \"A\" <sip:d>\r\nRoute:<sip:e;lr>\r\n\
    To:\r\n <tel:+1-555>\r\n ;tag\r\n\t= 8h3k\r\n\
    Call-ID: f81d4fae@[::1]\r\n\
    CSeq: 4711 \r\n INVITE\r\n\
    m: Bob <sips:bob@[2001:db8::1]:5061;ob>;q=0.5;+sip.instance=\"<urn:uuid:f81d,4fae>\", <sip:other>\r\n\
    Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.session\";require\r\n\
    Route: <sip:pf.example.com;lr>,\r\n \"b, c\" <sips:u@[::1]:5061;lr;odi=4>;x=1\r\nRoute:<sip:192.0.2.1>";

#[test]
fn the_values_of_a_message() {
    let message = message(GOOD).unwrap();
    let headers = message.headers();
    let via = headers.view::<ViaRef<'_>>().unwrap().unwrap();
    assert_eq!((via.transport(), via.host(), via.port()), ("UDP", "[2001:db8::9:1]", Some(5070)));
    assert_eq!(via.branch().as_deref(), Some("z9hG4bK77ef"));
    assert_eq!((via.params().get("rport").as_deref(), via.params().get("ttl")), (Some(""), None));
    let from = headers.view::<FromRef<'_>>().unwrap().unwrap();
    assert_eq!(from.tag().as_deref(), Some("a\"b"));
    assert_eq!(from.uri().host(), Ok(Some("example.com")));
    let to = headers.view::<ToRef<'_>>().unwrap().unwrap();
    assert_eq!((to.uri().as_str(), to.uri().host()), ("tel:+1-555", Ok(None)));
    assert_eq!(to.tag().as_deref(), Some("8h3k"));
    assert_eq!(headers.view::<CallIdRef<'_>>().unwrap().unwrap().as_str(), "f81d4fae@[::1]");
    let cseq = headers.view::<CSeqRef<'_>>().unwrap().unwrap();
    assert!(cseq.number() == 4711 && cseq.is(&Method::Invite) && !cseq.is(&Method::Bye));
    let contact = headers.view::<ContactRef<'_>>().unwrap().unwrap();
    assert_eq!(contact.uri().unwrap().host(), Ok(Some("[2001:db8::1]")));
    assert_eq!(contact.params().get("+SIP.instance").as_deref(), Some("<urn:uuid:f81d,4fae>"));
    let accept = headers.view::<AcceptContactRef<'_>>().unwrap().unwrap();
    assert!(accept.require() && !accept.explicit());
    assert!(accept.params().get("+g.3gpp.icsi-ref").unwrap().ends_with("cpm.session"));
}

#[test]
fn malformed_fields_are_errors() {
    for (field, what) in [
        ("Via: SIP/2.0/UDP", "no space before sent-by"),
        ("Via: SIP/3.0/UDP a", "not SIP/2.0"),
        ("Via: SIP/2.0/UDP a_b", "sent-by is no host"),
        ("Via: SIP/2.0/UDP a;branch=1;Branch=2", "a parameter stands twice"),
        ("Via: SIP/2.0/UDP a;a;b;c;d;e;f;g;h;i;A", "a parameter stands twice"),
        ("Via: SIP/2.0/UDP a;a;b;c;d;e;f;g;h;i;I", "a parameter stands twice"),
        ("Via: SIP/2.0/UDP a;rport=x", "received is no address, rport no port, or ttl no number up to 255"),
        ("Via: SIP/2.0/UDP a;ttl=256", "received is no address, rport no port, or ttl no number up to 255"),
        ("Via: SIP/2.0/UDP a:65536", "bad port"),
    ] {
        let message = message(field).unwrap();
        let error = message.headers().view::<ViaRef<'_>>().unwrap_err();
        assert_eq!(error, HeaderError::Malformed { header: "Via", what }, "{field}");
        assert!(message.typed::<Via>().is_err());
    }
    for field in
        ["From: a@b\r\nf: c@d", "From: <sip:a", "From: \"a", "From: sip:a?b", "From: <sip:a>, <sip:b>"]
    {
        assert!(message(field).unwrap().headers().view::<FromRef<'_>>().is_err(), "{field}");
    }
    for field in ["CSeq: 2147483648 X", "CSeq: 1", "CSeq: 1 A B", "CSeq: -1 A"] {
        assert!(message(field).unwrap().headers().view::<CSeqRef<'_>>().is_err(), "{field}");
    }
    let long = format!("Via: SIP/2.0/UDP a;branch={}", "b".repeat(257));
    let error = message(&long).unwrap().headers().view::<ViaRef<'_>>().unwrap_err();
    assert!(matches!(error, HeaderError::Limit { exceeded, .. } if exceeded.limit == "sip.max_token"));
}

/// What each view says of the first field of its name; `None` is no fault.
fn faults(fields: &str) -> Vec<HeaderError> {
    fn fault<T>(read: Result<T, HeaderError>) -> Option<HeaderError> {
        read.err()
    }
    let message = message(fields).unwrap();
    let headers = message.headers();
    let views = [
        fault(headers.view::<ViaRef<'_>>()),
        fault(headers.view::<FromRef<'_>>()),
        fault(headers.view::<ToRef<'_>>()),
        fault(headers.view::<RouteRef<'_>>()),
        fault(headers.view::<ContactRef<'_>>()),
        fault(headers.view::<CSeqRef<'_>>()),
        fault(headers.view::<CallIdRef<'_>>()),
        fault(headers.view::<AcceptContactRef<'_>>()),
    ];
    views.into_iter().flatten().collect()
}

/// threat: A5, A7. Each limit of a value holds for its view, at the limit and not above.
#[test]
fn limits_of_views() {
    let Limits { max_token, max_params, .. } = Limits::DEFAULT;
    type Made = fn(usize) -> String;
    let tokens: [Made; 10] = [
        |n| format!("Via: SIP/2.0/UDP a;branch={}", "b".repeat(n)),
        |n| format!("Via: SIP/2.0/{} a", "T".repeat(n)),
        |n| format!("Via: SIP/2.0/UDP a;{}=1", "n".repeat(n)),
        |n| format!("From: <sip:a@b>;tag={}", "t".repeat(n)),
        |n| format!("To: <sip:a@b>;tag={}", "t".repeat(n)),
        |n| format!("Contact: <sip:a@b>;{}", "n".repeat(n)),
        |n| format!("Route: <sip:a@b>;tag={}", "t".repeat(n)),
        |n| format!("CSeq: 1 {}", "M".repeat(n)),
        |n| format!("Call-ID: {}", "i".repeat(n)),
        |n| format!("Accept-Contact: *;{}", "n".repeat(n)),
    ];
    let params: [Made; 4] = [
        |n| (0..n).fold("Via: SIP/2.0/UDP a".into(), |text, i| format!("{text};p{i}")),
        |n| (0..n).fold("From: <sip:a@b>".into(), |text, i| format!("{text};p{i}")),
        |n| (0..n).fold("Contact: <sip:a@b>".into(), |text, i| format!("{text};p{i}")),
        |n| (0..n).fold("Accept-Contact: *".into(), |text, i| format!("{text};p{i}")),
    ];
    let tokens = tokens.map(|made| ("sip.max_token", max_token, made));
    for (name, limit, made) in
        tokens.into_iter().chain(params.map(|made| ("sip.max_params", max_params, made)))
    {
        assert_eq!(faults(&made(limit - 1)), []);
        assert_eq!(faults(&made(limit)), []);
        let above = faults(&made(limit + 1));
        assert!(
            matches!(&above[..], [HeaderError::Limit { exceeded, .. }] if exceeded.limit == name),
            "{} {above:?}",
            made(limit + 1)
        );
    }
}

/// threat: A7. A parameter that stands twice, in whatever case and however many stand before and between.
#[test]
fn parameters_that_stand_twice_in_a_view() {
    for count in [2, 3, 8, 9, 10, 17, 30] {
        for second in 1..count {
            for first in 0..second {
                let names =
                    (0..count).map(|i| if i == second { format!("P{first}") } else { format!("p{i}") });
                let params: String = names.map(|name| format!(";{name}=1")).collect();
                for front in
                    ["Via: SIP/2.0/UDP a", "To: <sip:a@b>", "Contact: <sip:a@b>", "Accept-Contact: *"]
                {
                    let field = format!("{front}{params}");
                    assert_eq!(faults(&field).len(), 1, "{field}");
                }
            }
        }
    }
}

fn text(value: Option<&str>) -> Option<String> {
    value.map(ToString::to_string)
}

/// Views and typed values agree on what is well-formed and on what it says.
fn agree(fields: &str) -> Result<(), TestCaseError> {
    let Some(message) = message(fields) else { return Ok(()) };
    let headers = message.headers();
    let (view, typed) = (headers.view::<ViaRef<'_>>(), message.typed::<Via>());
    prop_assert_eq!(view.is_ok(), typed.is_ok(), "{:?} {:?}", view, typed);
    if let (Ok(Some(view)), Ok(Some(typed))) = (view, typed) {
        prop_assert_eq!(view.branch().map(String::from), text(typed.branch()));
        prop_assert_eq!((view.transport(), view.port()), (typed.transport(), typed.port()));
        prop_assert_eq!(&Host::parse(view.host()).unwrap(), typed.host());
    }
    let (view, typed) = (headers.view::<FromRef<'_>>(), message.typed::<From>());
    let sound = view.is_ok_and(|view| view.is_none_or(|view| view.uri().to_uri().is_ok()));
    prop_assert_eq!(sound, typed.is_ok(), "{:?} {:?}", view, typed);
    if let (Ok(Some(view)), Ok(Some(typed))) = (view, typed) {
        prop_assert_eq!(view.tag().map(String::from), text(typed.tag()));
        prop_assert_eq!(&view.uri().to_uri().unwrap(), typed.uri());
        if let Some(uri) = typed.uri().as_sip() {
            prop_assert_eq!(&Host::parse(view.uri().host().unwrap().unwrap()).unwrap(), uri.host());
        }
        let seen: Vec<_> =
            view.params().iter().map(|(n, v)| (n.to_string(), v.map(|v| v.text().into_owned()))).collect();
        let owned: Vec<_> = typed.params().iter().map(|(n, v)| (n.to_string(), text(v))).collect();
        prop_assert_eq!(seen, owned);
    }
    let (view, typed) = (headers.view::<RouteRef<'_>>(), message.typed::<Route>());
    let sound = view.is_ok_and(|view| view.is_none_or(|view| view.uri().to_uri().is_ok()));
    prop_assert_eq!(sound, typed.is_ok(), "{:?} {:?}", view, typed);
    let (view, typed) = (headers.view::<ContactRef<'_>>(), message.typed::<Contact>());
    let sound =
        view.is_ok_and(|view| view.and_then(|view| view.uri()).is_none_or(|uri| uri.to_uri().is_ok()));
    prop_assert_eq!(sound, typed.is_ok(), "{:?} {:?}", view, typed);
    let (view, typed) = (headers.view::<CSeqRef<'_>>(), message.typed::<CSeq>());
    prop_assert_eq!(view.is_ok(), typed.is_ok(), "{:?} {:?}", view, typed);
    let (view, typed) = (headers.view::<CallIdRef<'_>>(), message.typed::<CallId>());
    prop_assert_eq!(view.is_ok(), typed.is_ok(), "{:?} {:?}", view, typed);
    let (view, typed) = (headers.view::<AcceptContactRef<'_>>(), message.typed::<AcceptContact>());
    prop_assert_eq!(view.is_ok(), typed.is_ok(), "{:?} {:?}", view, typed);
    lists_and_parties_agree(headers)
}

/// What is sound where it stands is read as a typed value too, as often. Of SIP URIs the other way round too.
fn lists_and_parties_agree(headers: &Headers) -> Result<(), TestCaseError> {
    let (vias, routes) = (headers.typed_list::<Via>(), headers.typed_list::<Route>());
    prop_assert_eq!(headers.sound_list(&HeaderName::Via), vias.ok().map(|list| list.len()));
    let sip = |routes: &Vec<Route>| routes.iter().all(|route| route.uri().as_sip().is_some());
    let routes = routes.ok().filter(sip).map(|list| list.len());
    prop_assert_eq!(headers.sound_list(&HeaderName::Route), routes);
    let from = headers.typed::<From>().ok().flatten().is_some_and(|from| from.uri().as_sip().is_some());
    prop_assert_eq!(headers.is_sound_party(&HeaderName::From), from);
    let to = headers.typed::<To>().ok().flatten().is_some_and(|to| to.uri().as_sip().is_some());
    prop_assert_eq!(headers.is_sound_party(&HeaderName::To), to);
    Ok(())
}

proptest! {
    #[test]
    fn views_agree_with_typed_values(
        name in "Via|From|To|Route|Contact|CSeq|Call-ID|Accept-Contact",
        value in "(SIP/2.0/UDP |<|<sip:|\"|\\*|1 )?[ab1.:@;=,<>\"\\\\ \\[\\]*?-]{0,24}",
    ) {
        agree(&format!("{name}: {value}"))?;
    }

    /// One octet of a good message replaced, dropped or doubled, or a fold put in.
    #[test]
    fn views_agree_on_mutants(at in 0..GOOD.len(), with in "[;,=\"<> *\\\\é:@a]|\r\n |") {
        let mut fields = GOOD.as_bytes().to_vec();
        fields.splice(at..=at, with.bytes());
        if let Ok(fields) = core::str::from_utf8(&fields) {
            agree(fields)?;
        }
        fields.splice(at..at, with.bytes());
        if let Ok(fields) = core::str::from_utf8(&fields) {
            agree(fields)?;
        }
    }
}
