#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::{Request, Response};
use alloc::string::ToString;
use core::net::IpAddr;
use proptest::prelude::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn sip(text: &str) -> SipUri {
    uri(text).as_sip().unwrap().clone()
}

#[test]
fn parts_of_a_sip_uri() {
    let uri = sip(
        "sips:alice;day=tuesday:se%20cret@[2001:db8::1]:5061;Transport=tls;lr;maddr=1.2.3.4?Subject=Hi&to=x",
    );
    assert!(uri.is_secure() && uri.is_loose_router() && uri.has_headers());
    assert_eq!((uri.user(), uri.password()), (Some("alice;day=tuesday"), Some("se%20cret")));
    assert_eq!(uri.host().ip(), Some("2001:db8::1".parse::<IpAddr>().unwrap()));
    assert_eq!(uri.port(), Some(5061));
    assert_eq!((uri.param("transport"), uri.param("LR"), uri.param("ttl")), (Some("tls"), Some(""), None));
    assert_eq!(uri.headers().collect::<alloc::vec::Vec<_>>(), [("Subject", Some("Hi")), ("to", Some("x"))]);
    assert_eq!(sip("sip:%61%20b@h").user_unescaped().unwrap(), "a b");
}

#[test]
fn well_formed_uris_print_as_they_were() {
    for text in [
        "sip:alice@example.com",
        "SIPS:bob@[::ffff:192.0.2.1]",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:1212@gateway.com.",
        "sip:example.com;method=REGISTER?to=alice%40example.com",
        "sip:[2001:db8::10:5070]",
        "sip:[2001:db8:::192.0.2.1]",
        "sip:a:@b",
        "tel:+1-201-555-0123",
        "tel:7042;phone-context=example.com",
        "tel:*21#;phone-context=+1914555;ext=22",
        "urn:service:sos",
        "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg",
        "soap.beep://192.0.2.103:3002",
        "nobodyKnowsThisScheme:totallyopaquecontent",
        "mailto:a@b",
    ] {
        assert_eq!(uri(text).to_string(), text);
    }
}

#[test]
fn malformed_uris_are_named() {
    for (text, error) in [
        ("", UriError::Scheme),
        ("alice@example.com", UriError::Scheme),
        ("1sip:x", UriError::Scheme),
        ("sip:", UriError::Host),
        ("sip:@example.com", UriError::User),
        ("sip:a@b@c", UriError::Host),
        ("sip:a@", UriError::Host),
        ("sip:2001:db8::10", UriError::Port),
        ("sip:[2001:db8::10", UriError::Host),
        ("sip:a@10.0.0.300", UriError::Host),
        ("sip:a@-x.com", UriError::Host),
        ("sip:a@x..com", UriError::Host),
        ("sip:a@h:65536", UriError::Port),
        ("sip:a@h:", UriError::Port),
        ("sip:a@h:+5", UriError::Port),
        ("sip:a@h;", UriError::Parameter),
        ("sip:a@h;;lr", UriError::Parameter),
        ("sip:a@h;x=", UriError::Parameter),
        ("sip:a@h;x=1;y;X=2", UriError::Parameter),
        ("sip:a@h?x", UriError::Header),
        ("sip:%4@h", UriError::Escape),
        ("sip:%zz@h", UriError::Escape),
        ("sip:a b@h", UriError::Character),
        ("<sip:a@h>", UriError::Character),
        ("sip:ä@h", UriError::Character),
        ("sip:a\r\n@h", UriError::Character),
        ("tel:", UriError::Number),
        ("tel:+", UriError::Number),
        ("tel:+abc", UriError::Number),
        ("tel:7042", UriError::Number),
        ("tel:+1;=x", UriError::Parameter),
        ("urn:x", UriError::Urn),
        ("urn:isbn:", UriError::Urn),
    ] {
        assert_eq!(Uri::parse(text), Err(error), "{text}");
    }
}

/// The equal and unequal pairs of RFC 3261 §19.1.4, and those of the other schemes.
#[test]
fn equality_follows_the_scheme() {
    for (a, b) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::1]", "sip:a@[2001:0DB8:0::1]"),
        ("tel:+1-201-555-0123", "tel:+1(201)5550123"),
        ("tel:7042;phone-context=+1-914;ext=1", "tel:7042;ext=1;phone-context=+1914"),
        ("urn:URN-7:3gpp", "URN:urn-7:3gpp"),
    ] {
        assert!(uri(a).equivalent(&uri(b)) && uri(b).equivalent(&uri(a)), "{a} {b}");
        assert_eq!(uri(a).key(), uri(b).key());
    }
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:bob@h", "sips:bob@h"),
        ("sip:bob@h;user=phone", "sip:bob@h"),
        ("sip:a%3bb@h", "sip:a;b@h"),
        ("tel:+12015550123", "tel:+12015550124"),
        ("tel:+1;ext=5", "tel:+1"),
        ("urn:a1:X", "urn:a1:x"),
        ("x:a", "x:A"),
        ("sip:1@h", "tel:+1"),
    ] {
        assert!(!uri(a).equivalent(&uri(b)) && !uri(b).equivalent(&uri(a)), "{a} {b}");
    }
}

/// Equality is not transitive: a parameter that one side lacks is passed over, one that both have counts.
#[test]
fn equality_is_not_transitive() {
    let plain = uri("sip:carol@chicago.com");
    let (on, off) = (uri("sip:carol@chicago.com;security=on"), uri("sip:carol@chicago.com;security=off"));
    assert!(plain.equivalent(&on) && plain.equivalent(&off) && !on.equivalent(&off));
    assert_eq!((plain.key(), plain.key()), (on.key(), off.key()));
}

/// What RFC 3261 §19.1.4 says in words: which parts a URI must have when the other has them.
#[test]
fn parts_that_only_one_has() {
    for (a, b, same) in [
        ("sip:a@h;ttl=1", "sip:a@h", false),
        ("sip:a@h;method=INVITE", "sip:a@h", false),
        ("sip:a@h;user=ip", "sip:a@h", false),
        ("sip:a@h;maddr=192.0.2.1", "sip:a@h", false),
        ("sip:a@h;lr", "sip:a@h", true),
        ("sip:a@h;x=1;y=2", "sip:a@h;y=2;z", true),
        ("sip:a@h;x=1", "sip:a@h;x=2", false),
        ("sip:a@h;x=ONE", "sip:a@h;X=one", true),
        ("sip:h", "sip:a@h", false),
        ("sip:a:p@h", "sip:a@h", false),
        ("sip:a:p@h", "sip:a:P@h", false),
        ("sip:a@h?x=1&x=2", "sip:a@h?x=1", false),
        ("sip:a@h?x=%31", "sip:a@h?X=1", true),
        ("sip:a@h.", "sip:a@H", true),
        ("sip:%2b1@h", "sip:+1@h", false),
        ("sip:a%2Db@h", "sip:a-b@h", true),
    ] {
        let (a, b) = (uri(a), uri(b));
        assert_eq!((a.equivalent(&b), b.equivalent(&a)), (same, same), "{a} {b}");
    }
}

/// RFC 3966 §4: both local or both global, digits without separators, context and all parameters in any order and case.
#[test]
fn telephone_numbers_compare_by_digits_and_parameters() {
    for (a, b, same) in [
        ("tel:+1-201-555-0123;ext=22", "TEL:+12015550123;EXT=22", true),
        ("tel:863-1234;phone-context=+1-914-555", "tel:8631234;phone-context=+1914555", true),
        ("tel:7042;phone-context=Example.COM", "tel:7042;phone-context=example.com", true),
        ("tel:7042;phone-context=example.com", "tel:7042;phone-context=example.net", false),
        ("tel:2a;phone-context=x", "tel:2A;phone-context=x", true),
        ("tel:+1;a=1;b=2", "tel:+1;b=2;a=1", true),
        ("tel:+1;a=1", "tel:+1;a=1;b", false),
        ("tel:1;phone-context=+4", "tel:+1;phone-context=+4", false),
        ("tel:+1;isub=%31", "tel:+1;isub=1", true),
        ("tel:+1;x=%5b%3A%26%2F", "tel:+1;x=[:&/", true),
        ("tel:7;phone-context=%2B1-9", "tel:7;phone-context=+19", true),
        ("tel:+1;x=%3b", "tel:+1;x=%3B", true),
        ("tel:+1;x=%3B", "tel:+1;x=3B", false),
        ("tel:+1;x=%23", "tel:+1;x=%25", false),
    ] {
        assert_eq!((uri(a).equivalent(&uri(b)), uri(a).key() == uri(b).key()), (same, same), "{a} {b}");
    }
    assert_eq!(Uri::parse("tel:+1;ext=1;EXT=2"), Err(UriError::Parameter));
}

/// RFC 3261 §19.1.6, both ways.
#[test]
fn telephone_numbers_as_sip_uris() {
    let at = |number: &str| match uri(number) {
        Uri::Tel(number) => number.to_sip(Host::parse("foo.com").unwrap()),
        _ => panic!(),
    };
    for (number, expected) in [
        ("tel:+358-555-1234567;postd=pp22", "sip:+358-555-1234567;postd=pp22@foo.com;user=phone"),
        ("tel:+358-555-1234567;POSTD=PP22", "sip:+358-555-1234567;postd=pp22@foo.com;user=phone"),
        (
            "tel:+358-555-1234567;tsp=a.b;phone-context=5",
            "sip:+358-555-1234567;phone-context=5;tsp=a.b@foo.com;user=phone",
        ),
        ("tel:+1;x=1;postd=2;isub=3", "sip:+1;isub=3;postd=2;x=1@foo.com;user=phone"),
        ("tel:*21#;phone-context=[x]:%25", "sip:*21%23;phone-context=%5Bx%5D%3A%25@foo.com;user=phone"),
    ] {
        let made = at(number);
        assert_eq!(made.as_str(), expected);
        assert!(uri(expected).telephone().unwrap().equivalent(uri(number).as_tel().unwrap()), "{number}");
        assert_eq!(made.with_secure(true).to_tel().map(|t| t.key()), Some(uri(number).key()));
    }
    // Whatever stands escaped in a number, it is the same after the way through a SIP URI, and so is its SIP URI.
    for (number, same) in [
        ("tel:+1;x=%5B%5d", "tel:+1;x=[]"),
        ("tel:+1;x=%26", "tel:+1;x=&"),
        ("tel:*21#;phone-context=%61.example", "tel:*21#;phone-context=a.example"),
        ("tel:+1;x=%23;y=%3B%40", "tel:+1;y=%3b%40;x=%23"),
    ] {
        assert!(at(number).equivalent(&at(same)), "{} {}", at(number), at(same));
        assert_eq!(at(number).to_tel().map(|t| t.key()), Some(uri(same).key()), "{number}");
    }
    // A hash sign stands in the digits alone: in a parameter its escape stays one.
    let hashes = sip("sip:*21%23;phone-context=a;x=%23@h;user=phone").to_tel().unwrap();
    assert_eq!(hashes.as_str(), "tel:*21#;phone-context=a;x=%23");
    for none in
        ["sip:+1@h", "sip:+1@h;user=ip", "sip:alice@h;user=phone", "sip:h;user=phone", "urn:a1:b", "im:a@b"]
    {
        assert_eq!(uri(none).telephone(), None, "{none}");
    }
}

#[test]
fn uris_of_other_schemes_stay_as_they_are() {
    for text in
        ["im:Alice@Example.com", "pres:a@b?x=y", "http://a/b?c#d", "cid:a@b", "x-y.z+1:", "mailto:a@b"]
    {
        assert_eq!(uri(text).as_str(), text);
    }
    let address = |text: &str| match uri(text) {
        Uri::Opaque(uri) => uri.address().map(|(user, host)| (user.to_string(), host.to_string())),
        _ => panic!(),
    };
    assert_eq!(address("IM:fred%40x@Example.com?a=b"), Some(("fred%40x".into(), "Example.com".into())));
    assert_eq!((address("im:x"), address("pres:@x"), address("mailto:a@b")), (None, None, None));
    assert!(uri("IM:a@EXAMPLE.com").equivalent(&uri("im:%61@example.COM")));
    assert!(!uri("im:A@example.com").equivalent(&uri("im:a@example.com")));
    assert!(!uri("im:a@b").equivalent(&uri("pres:a@b")));
    assert!(
        uri("HTTP://a/B").equivalent(&uri("http://a/B")) && !uri("http://a/B").equivalent(&uri("http://a/b"))
    );
}

#[test]
fn edits_escape_and_leave_the_rest() {
    let host = Host::parse("example.com").unwrap();
    let edited = SipUri::new(host)
        .with_user("al ice@<evil>\r\n")
        .with_port(Some(5070))
        .with_param("lr", None)
        .with_param("x", Some("a;b\"c"))
        .with_param("lr", None);
    assert_eq!(edited.as_str(), "sip:al%20ice%40%3Cevil%3E%0D%0A@example.com:5070;lr;x=a%3Bb%22c");
    assert_eq!(edited.user_unescaped().unwrap(), "al ice@<evil>\r\n");
    let edited = sip("SIP:%61@Example.com:1;a=%20;b?x=y").without_param("A").with_secure(true);
    assert_eq!(edited.as_str(), "sips:%61@Example.com:1;b?x=y");
    assert_eq!(edited.without_headers().without_params().with_port(None).as_str(), "sips:%61@Example.com");
    let moved = sip("sip:a@b;lr").with_host(Host::parse("[::1]").unwrap(), Some(9));
    assert_eq!((moved.as_str(), moved.port()), ("sip:a@[::1]:9;lr", Some(9)));
    assert_eq!(sip("sip:a:p@b").with_user("").as_str(), "sip:b");
}

#[test]
fn the_longest_uri_and_the_most_parameters() {
    let of_length = |n: usize| alloc::format!("sip:{}@h", "a".repeat(n - 6));
    assert!(Uri::parse(&of_length(1023)).is_ok());
    assert!(Uri::parse(&of_length(1024)).is_ok());
    let error = Uri::parse(&of_length(1025)).unwrap_err();
    assert!(
        matches!(error, UriError::Limit(e) if e.limit == "sip.max_uri" && e.value == 1025 && e.max == 1024)
    );
    let with_params =
        |n: usize| alloc::format!("sip:h{}", (0..n).map(|i| alloc::format!(";p{i}=1")).collect::<String>());
    assert!(Uri::parse(&with_params(64)).is_ok());
    assert!(matches!(Uri::parse(&with_params(65)), Err(UriError::Limit(e)) if e.limit == "sip.max_params"));
    let tel =
        |n: usize| alloc::format!("tel:+1{}", (0..n).map(|i| alloc::format!(";p{i}=1")).collect::<String>());
    assert!(Uri::parse(&tel(63)).is_ok() && Uri::parse(&tel(64)).is_ok());
    assert!(matches!(Uri::parse(&tel(65)), Err(UriError::Limit(e)) if e.limit == "sip.max_params"));
    let with_headers = |n: usize| alloc::format!("sip:h?p=1{}", "&p=1".repeat(n - 1));
    assert!(Uri::parse(&with_headers(64)).is_ok());
    assert!(matches!(Uri::parse(&with_headers(65)), Err(UriError::Limit(e)) if e.limit == "sip.max_params"));
}

proptest! {
    #[test]
    fn no_text_panics_and_what_reads_prints_the_same(text in "(sip:|sips:|tel:|urn:|x:)?[ -~é\r\n]{0,60}") {
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert_eq!(uri.to_string(), text);
            prop_assert!(uri.equivalent(&uri));
            prop_assert_eq!(uri.key(), uri.clone().key());
        }
    }

    #[test]
    fn every_user_survives(user in "\\PC{1,20}", name in "[a-z]{1,5}", value in "\\PC{1,20}") {
        let made = SipUri::new(Host::parse("h.example").unwrap()).with_user(&user).with_param(&name, Some(&value));
        let read = sip(made.as_str());
        prop_assert_eq!(read.user_unescaped().unwrap(), user);
        prop_assert_eq!(escape::unescape(read.param(&name).unwrap()), value.into_bytes());
    }

    #[test]
    fn the_order_of_octets_and_equality_agree(a in "sip:[ab%0-9]{1,4}@h(;[abmtu]=[12])?", b in "sip:[ab%0-9]{1,4}@h(;[abmtu]=[12])?") {
        if let (Ok(a), Ok(b)) = (Uri::parse(&a), Uri::parse(&b)) {
            prop_assert_eq!(a.equivalent(&b), b.equivalent(&a));
            if a.equivalent(&b) {
                prop_assert_eq!(a.key(), b.key());
            }
        }
    }
}

/// The forms of `IPv6address` (RFC 3986 §3.2.2, which RFC 5954 §4.1 puts in place of the one of RFC 3261).
#[test]
fn ipv6_addresses() {
    for good in [
        "[::]",
        "[::1]",
        "[1::]",
        "[1:2:3:4:5:6:7:8]",
        "[1:2:3:4:5:6:7::]",
        "[::2:3:4:5:6:7:8]",
        "[1:2:3:4:5:6:192.0.2.1]",
        "[::192.0.2.1]",
        "[2001:DB8::ffff:192.0.2.1]",
    ] {
        let host = Host::parse(good).unwrap();
        assert!(matches!(host, Host::V6(_)), "{good}");
        assert_eq!(Host::parse(&host.to_string()), Ok(host.clone()), "{good}");
        assert_eq!(sip(&alloc::format!("sip:a@{good}:5060")).host(), &host);
    }
    for bad in [
        "[]",
        "[:]",
        "::1",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1::2::3]",
        "[12345::]",
        "[::g]",
        "[::192.0.2]",
        "[::192.0.2.256]",
        "[::1%eth0]",
        "[::1",
        "::1]",
        "[[::1]]",
        "[::::1]",
        "[:::1:::2]",
    ] {
        assert_eq!(Host::parse(bad), Err(UriError::Host), "{bad}");
    }
    // Three colons, which the grammar of RFC 3261 made by mistake, are read and never written (RFC 5118 §4.10).
    let three = Host::parse("[2001:db8:::192.0.2.1]").unwrap();
    assert_eq!(three.to_string(), Host::parse("[2001:db8::192.0.2.1]").unwrap().to_string());
}

proptest! {
    /// An IPv4 address is what the standard library takes for one.
    #[test]
    fn addresses_are_those_of_the_standard_library(
        text in "[0-9]{1,3}(\\.[0-9]{0,3}){2,4}|[0-2]?[0-9]{1,2}(\\.[0-2]?[0-9]{1,2}){3}|[0-9.x]{0,15}"
    ) {
        prop_assert_eq!(parse_v4(&text), text.parse().ok());
    }
}

/// A URI is moved and cloned with every request: no more than one and a half lines of the cache.
#[test]
fn uris_and_messages_are_small() {
    assert!(size_of::<Uri>() <= 96 && size_of::<Host>() <= 32, "{} {}", size_of::<Uri>(), size_of::<Host>());
    assert!(size_of::<Request>() <= 224 && size_of::<Response>() <= 128);
}
