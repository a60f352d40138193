use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use cpm_sip::{HeaderText, Method, Request};

fn request(fields: &[(&str, &str)]) -> Request {
    let mut request = Request::new(Method::Message, Uri::parse("sip:bob@example.com").unwrap());
    for (name, value) in fields {
        let name = HeaderName::parse(name).unwrap();
        request.headers_mut().push(name, HeaderText::new(value).unwrap());
    }
    request
}

fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).unwrap()
}

fn fields(request: &Request) -> Vec<(String, String)> {
    let text = |value: cpm_sip::HeaderValue<'_>| value.to_text().unwrap().into_owned();
    request.headers().iter().map(|(name, value)| (name.as_str().into(), text(value))).collect()
}

/// Threat E1: whatever an outsider writes, and however it spells it, nothing of it is believed, and nothing stays.
#[test]
fn nothing_is_believed_from_outside() {
    let claims = [
        "P-Asserted-Identity",
        "p-asserted-IDENTITY",
        "P-Asserted-Service",
        "P-Served-User",
        "P-Charging-Vector",
        "P-Charging-Function-Addresses",
        "P-Visited-Network-ID",
        "P-Called-Party-ID",
        "P-Associated-URI",
        "History-Info",
        "diversion",
        "P-User-Database",
        "P-Profile-Key",
    ];
    for claim in claims {
        for value in ["<sip:ceo@example.com>", "urn:urn-7:x", "\"broken", "icid-value=1", ""] {
            let mut forged =
                request(&[("Subject", "stays"), (claim, value), ("P-Preferred-Identity", "<sip:a@x>")]);
            assert_eq!(believe(forged.headers_mut(), Trust::Outside), None);
            let left: Vec<String> = fields(&forged).into_iter().map(|(name, _)| name).collect();
            assert_eq!(left, ["Subject", "P-Preferred-Identity"], "{claim}: {value}");
        }
    }
    let mut access = request(&[("P-Access-Network-Info", "IEEE-802.11, 3GPP-GERAN;network-provided")]);
    believe(access.headers_mut(), Trust::Outside);
    assert!(fields(&access).is_empty());
    let mut access = request(&[("P-Access-Network-Info", "IEEE-802.11;i-wlan-node-id=1")]);
    believe(access.headers_mut(), Trust::Outside);
    assert_eq!(fields(&access).len(), 1, "what a device says of itself");
}

/// RFC 5876 §4.5: what stands once too often, or is of another kind, is neither believed nor passed on.
#[test]
fn what_the_core_says_is_believed_as_far_as_it_may_say_it() {
    let cases: [(&str, &[&str]); 8] = [
        ("<sip:a@x>", &["sip:a@x"]),
        ("<tel:+4912>, \"A\"  <sip:a@x>", &["tel:+4912", "sip:a@x"]),
        ("<sip:a@x>, <sip:b@x>", &["sip:a@x"]),
        ("<sip:a@x>, <sips:a@x>, <tel:+1>, <tel:+2>", &["sip:a@x", "tel:+1"]),
        ("<sips:a@x>, <sip:a@x>", &["sips:a@x"]),
        ("<urn:service:sos>, <tel:+1>", &["tel:+1"]),
        ("<mailto:a@x>", &[]),
        ("<sip:a@x>, \"broken", &[]),
    ];
    for (value, expected) in cases {
        let mut said = request(&[("P-Asserted-Identity", value)]);
        let believed = believe(said.headers_mut(), Trust::Core);
        let identities = believed.iter().flat_map(|asserted| asserted.identities());
        let found: Vec<String> = identities.map(|identity| identity.uri().as_str().into()).collect();
        assert_eq!(found, expected, "{value}");
        let onward = said.typed_list::<PAssertedIdentity>().unwrap();
        assert_eq!(onward.iter().map(|i| i.uri().as_str()).collect::<Vec<_>>(), expected, "{value}");
    }
    // What is fine stays as it was written.
    let mut said = request(&[("P-Asserted-Identity", "\"A\"   <sip:a@x> ,<tel:+1>")]);
    believe(said.headers_mut(), Trust::Core);
    assert_eq!(fields(&said)[0].1, "\"A\"   <sip:a@x> ,<tel:+1>");
    assert_eq!(believe(request(&[]).headers_mut(), Trust::Core), None);
}

/// RFC 3325 §5: a user is called what it may be called.
#[test]
fn the_preferred_identity_counts_when_it_is_one_of_the_users() {
    let own = [address("\"Alice\" <sip:alice@example.com>"), address("<tel:+49-12-34>")];
    for (preferred, asserted) in [
        (None, 0),
        (Some("<sip:alice@EXAMPLE.com;x=y>"), 0),
        (Some("<tel:+491234>"), 1),
        (Some("<sip:+491234@example.com;user=phone>"), 1),
        (Some("<sip:ceo@example.com>"), 0),
        (Some("<sip:ceo@example.com>, <tel:+491234>"), 1),
        (Some("broken\""), 0),
    ] {
        let mut wish = request(&[("P-Asserted-Identity", "<sip:forged@example.com>")]);
        if let Some(preferred) = preferred {
            wish.headers_mut().push(HeaderName::PPreferredIdentity, HeaderText::new(preferred).unwrap());
        }
        let believed = assert_identity(wish.headers_mut(), &own).unwrap();
        assert_eq!(believed.identities(), &own[asserted..=asserted], "{preferred:?}");
        assert_eq!(fields(&wish).len(), 1);
        assert_eq!(*wish.typed::<PAssertedIdentity>().unwrap().unwrap().address(), own[asserted]);
    }
    let mut nobody = request(&[("P-Asserted-Identity", "<sip:x@y>"), ("P-Preferred-Identity", "<sip:x@y>")]);
    assert_eq!(assert_identity(nobody.headers_mut(), &[]), None);
    assert!(fields(&nobody).is_empty());
}

/// Threat E2: a telephone number and the SIP URI that stands for it are one identity; what names nobody is known as such.
#[test]
fn an_asserted_identity_covers_its_aliases() {
    let mut said = request(&[("P-Asserted-Identity", "<sip:alice@example.com>, <tel:+491234>")]);
    let believed = believe(said.headers_mut(), Trust::Core).unwrap();
    for (uri, covered) in [
        ("sip:alice@example.com", true),
        ("sip:alice@example.com;transport=tcp", true),
        ("tel:+49-12-34", true),
        ("sip:+491234@other.example;user=phone", true),
        ("sip:+491234@other.example", false),
        ("sip:Alice@example.com", false),
        ("sip:alice@example.org", false),
        ("sip:anonymous@anonymous.invalid", false),
    ] {
        assert_eq!(believed.covers(&Uri::parse(uri).unwrap()), covered, "{uri}");
    }
    for (uri, nobody) in [
        ("sip:anonymous@Anonymous.INVALID", true),
        ("sip:x@anonymous.invalid", true),
        ("sip:anonymous@x", false),
    ] {
        assert_eq!(is_anonymous(&Uri::parse(uri).unwrap()), nobody, "{uri}");
    }
}

/// RFC 3323 §4.2, RFC 3325 §7: `id` hides, `none` forbids to hide, the rest is for the rules of the domain.
#[test]
fn privacy_decides_at_the_border() {
    for (privacy, by_default, stays) in [
        (None, false, true),
        (None, true, false),
        (Some("id"), false, false),
        (Some("header; ID"), false, false),
        (Some("none"), true, true),
        (Some("user"), false, true),
        (Some("user"), true, false),
        (Some("id; "), false, false),
    ] {
        let policy = IdentityPolicy { withhold_by_default: by_default, ..IdentityPolicy::default() };
        for trust in [Trust::Outside, Trust::Core] {
            let mut leaving = request(&[("P-Asserted-Identity", "<sip:a@x>")]);
            if let Some(privacy) = privacy {
                leaving.headers_mut().push(HeaderName::Privacy, HeaderText::new(privacy).unwrap());
            }
            reveal(leaving.headers_mut(), trust, &policy);
            let there = leaving.headers().contains(&HeaderName::PAssertedIdentity);
            assert_eq!(there, stays || trust == Trust::Core, "{privacy:?} {by_default} {trust:?}");
        }
    }
}

/// Threat E8: what leaves the trust domain holds none of what only the core may know; names that nobody listed stay
/// inside, unless the policy lists them.
#[test]
fn no_canary_leaves_the_trust_domain() {
    let secrets = [
        "P-Access-Network-Info",
        "P-Asserted-Service",
        "P-Charging-Function-Addresses",
        "P-Charging-Vector",
        "P-Preferred-Identity",
        "P-Preferred-Service",
        "P-Served-User",
        "P-Visited-Network-ID",
        "History-Info",
        "Geolocation",
        "Diversion",
        "P-Something-New",
        "X-Trace",
        "P-Asserted-Identity",
    ];
    let mut leaving = request(&[("Privacy", "id"), ("Subject", "hello")]);
    for (n, name) in secrets.iter().enumerate() {
        let value = HeaderText::new(&format!("<sip:canary{n}@core.invalid>;x")).unwrap();
        leaving.headers_mut().push(HeaderName::parse(name).unwrap(), value);
    }
    let mut traced = leaving.clone();
    reveal(leaving.headers_mut(), Trust::Outside, &IdentityPolicy::default());
    let octets = String::from_utf8(leaving.to_bytes().to_vec()).unwrap();
    assert!(!octets.contains("canary") && octets.contains("Subject: hello"), "{octets}");
    let also_outside = vec![HeaderName::parse("x-trace").unwrap()];
    reveal(
        traced.headers_mut(),
        Trust::Outside,
        &IdentityPolicy { also_outside, ..IdentityPolicy::default() },
    );
    let octets = String::from_utf8(traced.to_bytes().to_vec()).unwrap();
    assert_eq!((octets.matches("canary").count(), octets.contains("X-Trace: ")), (1, true), "{octets}");
}

/// Every known name crosses outward or not by decision, and what speaks for the core never comes in.
#[test]
fn the_table_of_the_border() {
    let outward = |name: &&HeaderName| !passes(name, Crossing::Outward);
    let stay: Vec<&str> = HeaderName::KNOWN.iter().filter(outward).map(HeaderName::as_str).collect();
    assert_eq!(
        stay,
        [
            "Geolocation",
            "History-Info",
            "P-Access-Network-Info",
            "P-Asserted-Service",
            "P-Charging-Function-Addresses",
            "P-Charging-Vector",
            "P-Preferred-Identity",
            "P-Preferred-Service",
            "P-Served-User",
            "P-Visited-Network-ID",
        ]
    );
    let inward = |name: &&HeaderName| !passes(name, Crossing::Inward);
    let out: Vec<&str> = HeaderName::KNOWN.iter().filter(inward).map(HeaderName::as_str).collect();
    assert_eq!(
        out,
        [
            "History-Info",
            "P-Asserted-Identity",
            "P-Asserted-Service",
            "P-Associated-URI",
            "P-Called-Party-ID",
            "P-Charging-Function-Addresses",
            "P-Charging-Vector",
            "P-Served-User",
            "P-Visited-Network-ID",
        ]
    );
}

/// Threat E8: a back-to-back user agent leaves no trace of who asked for privacy.
#[test]
fn who_asks_for_privacy_is_anonymous() {
    for (privacy, hidden) in
        [(Some("id"), true), (Some("user;header"), true), (Some("none"), false), (None, false)]
    {
        let mut leg = request(&[
            ("From", "\"canary\" <sip:canary@x>;tag=t1"),
            ("Contact", "<sip:canary@192.0.2.1>"),
            ("P-Asserted-Identity", "<sip:canary@x>"),
            ("Reply-To", "<sip:canary@x>"),
            ("User-Agent", "canary/1"),
            ("Organization", "canary"),
            ("Referred-By", "<sip:canary@x>"),
            ("Conversation-ID", "c1"),
        ]);
        if let Some(privacy) = privacy {
            leg.headers_mut().push(HeaderName::Privacy, HeaderText::new(privacy).unwrap());
        }
        assert_eq!(anonymize(leg.headers_mut()), hidden);
        let octets = String::from_utf8(leg.to_bytes().to_vec()).unwrap();
        assert_eq!(octets.contains("canary"), !hidden, "{octets}");
        if hidden {
            let from = "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=t1\r\n";
            assert!(octets.contains(from) && octets.contains("Conversation-ID: c1"), "{octets}");
        }
    }
}

/// What is only passed on is changed just as where the identities are wanted, the first time and when it comes again.
#[test]
fn who_passes_on_changes_the_same() {
    let values: &[&[&str]] = &[
        &[],
        &["<sip:a@example.com>"],
        &["\"A\" <sips:a@example.com;user=phone>;x=y"],
        &["sip:a@example.com"],
        &["<tel:+1555>"],
        &["<sip:a@example.com>, <tel:+1555>"],
        &["<sip:a@example.com>", "<tel:+1555>"],
        &["<sip:a@example.com>, <sip:b@example.com>"],
        &["<sip:a@example.com>", "<sip:b@example.com>"],
        &["<urn:service:sos>"],
        &["<sip:a@>"],
        &["<sip:a@example.com"],
        &["broken"],
        &[""],
    ];
    for trust in [Trust::Core, Trust::Outside] {
        for values in values {
            let all: Vec<(&str, &str)> = values.iter().map(|value| ("P-Asserted-Identity", *value)).collect();
            let (mut believed, mut screened) = (request(&all), request(&all));
            believe(believed.headers_mut(), trust);
            screen(screened.headers_mut(), trust);
            assert_eq!(fields(&screened), fields(&believed), "{values:?}");
            screen(screened.headers_mut(), trust);
            assert_eq!(fields(&screened), fields(&believed), "{values:?}");
        }
    }
}
