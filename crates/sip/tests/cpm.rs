//! What CPM needs of a SIP parser, and many lack: telephone numbers everywhere, feature parameters, compact names, unknown
//! methods, IPv6, and numbers that are digits and nothing else.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

use cpm_sip::*;

const INVITE: &str = "INVITE tel:+15145550001;x=y SIP/2.0\r\n\
    v: SIP/2.0/TLS [2001:db8::9:1]:5061;branch=z9hG4bK77;received=2001:db8::9:255;rport=7\r\n\
    V : SIP/2.0/TCP [::ffff:192.0.2.1];branch=z9hG4bK78;received=[2001:db8::1]\r\n\
    f: \"Alice\" <tel:+1-514-555-0002>;tag=1928301774\r\n\
    T: tel:7042;phone-context=example.com;tag=x\r\n\
    i: a84b4c76e66710@[2001:db8::1]\r\n\
    CSEQ: 314159 INVITE\r\n\
    Max-Forwards: 70\r\n\
    P-Asserted-Identity: <sip:alice@example.com>, tel:+15145550002\r\n\
    m: <sip:alice@[2001:db8::1]:5060;transport=tcp;ob>;+sip.instance=\"<urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6>\"\
    ;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.session\";isfocus\r\n\
    a: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.session\";require;explicit\r\n\
    k: timer, 100rel\r\n\
    x: 1800;refresher=uac\r\n\
    d: no-fork\r\n\
    j: *;actor=\"msg-taker\"\r\n\
    b: <sip:carol@example.com>;add-refs=\"tel:+15145550003\"\r\n\
    u: conference\r\n\
    s: T\u{e9}l\u{e9}phone: oui\r\n\
    Conversation-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6\r\n\
    Contribution-ID: dfb4e64f-2c98-46a1-8e14-98eb5736a268\r\n\
    P-Charging-Vector: icid-value=\"a:b:c\";icid-generated-at=[2001:db8::4];orig-ioi=home1.net\r\n\
    User-Agent: CPM-client/OMA2.1 Acme/1.0\r\n\
    e: identity\r\n\
    c: application/sdp\r\n\
    l: 3\r\n\r\nv=0";

fn request(octets: &str) -> Request {
    match parse_datagram(octets.to_owned().into(), &Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn telephone_numbers_stand_wherever_uris_do() {
    let invite = request(INVITE);
    assert_eq!(invite.uri().as_tel().unwrap().digits(), "+15145550001");
    let from: From = invite.typed().unwrap().unwrap();
    assert_eq!(
        (from.uri().as_tel().unwrap().digits().as_str(), from.tag()),
        ("+15145550002", Some("1928301774"))
    );
    // Outside of angle brackets parameters belong to the field (RFC 3261 §20), so that this local number lacks its context.
    assert!(invite.typed::<To>().is_err());
    let to = INVITE.replace(
        "T: tel:7042;phone-context=example.com;tag=x",
        "T: <tel:7042;phone-context=example.com>;tag=x",
    );
    let to: To = request(&to).typed().unwrap().unwrap();
    assert_eq!((to.uri().as_tel().unwrap().phone_context(), to.tag()), (Some("example.com"), Some("x")));
    let asserted: Vec<PAssertedIdentity> = invite.typed_list().unwrap();
    assert_eq!(asserted.iter().map(|a| a.uri().scheme()).collect::<Vec<_>>(), ["sip", "tel"]);
    let referred: ReferredBy = invite.typed().unwrap().unwrap();
    assert_eq!(referred.add_refs().unwrap().uri().as_tel().unwrap().digits(), "+15145550003");
}

#[test]
fn a_cpm_invite_is_read_whole() {
    let octets = INVITE.replace("T: tel:7042;phone-context=example.com;tag=x", "T: tel:+15145550001");
    let invite = request(&octets);
    assert_eq!(inspect_request(&invite, &RequestPolicy::user_agent()), []);
    assert_eq!(invite.to_bytes(), octets);
    let contact: Contact = invite.typed().unwrap().unwrap();
    let contact = contact.as_addr().unwrap();
    assert_eq!(contact.instance(), Some("urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"));
    assert_eq!(contact.icsi_refs(), ["urn:urn-7:3gpp-service.ims.icsi.oma.cpm.session"]);
    assert!(contact.is_focus() && contact.uri().as_sip().unwrap().is_outbound());
    let wish: AcceptContact = invite.typed().unwrap().unwrap();
    assert_eq!(caller_preference(contact, &[wish], &[]), Preference::Score(1000));
    let agent: UserAgent = invite.typed().unwrap().unwrap();
    assert_eq!(agent.cpm().map(|cpm| (cpm.side, cpm.major, cpm.minor)), Some((CpmSide::Client, 2, 1)));
    let vector: PChargingVector = invite.typed().unwrap().unwrap();
    assert_eq!((vector.icid(), vector.params().get("icid-generated-at")), ("a:b:c", Some("[2001:db8::4]")));
    assert_eq!(invite.typed::<SessionExpires>().unwrap().unwrap().refresher(), Some(Refresher::Uac));
    assert_eq!(invite.typed::<Subject>().unwrap().unwrap().as_str(), "T\u{e9}l\u{e9}phone: oui");
    assert_eq!(invite.typed::<AllowEvents>().unwrap().unwrap().as_str(), "conference");
}

/// Each compact name of the table, in both cases, is typed like the long one.
#[test]
fn compact_names_are_typed_like_long_ones() {
    let invite = request(INVITE);
    for name in HeaderName::KNOWN {
        let Some(letter) = name.compact() else { continue };
        for spelling in
            [letter.to_string(), letter.to_ascii_uppercase().to_string(), name.as_str().to_ascii_lowercase()]
        {
            assert_eq!(HeaderName::parse(&spelling).unwrap(), *name);
            if let Some(value) = invite.headers().get(name) {
                let value = value.to_text().unwrap();
                let both = |name: &str| normal_form(&HeaderName::parse(name).unwrap(), value.as_bytes());
                assert_eq!(both(&spelling), both(name.as_str()));
            }
        }
    }
    assert_eq!(invite.headers().count(&HeaderName::Via), 2);
}

#[test]
fn ipv6_in_via_stays_whole() {
    let vias: Vec<Via> = request(INVITE).typed_list().unwrap();
    assert_eq!(vias[0].host().to_string(), "[2001:db8::9:1]");
    assert_eq!((vias[0].port(), vias[0].rport()), (Some(5061), Rport::Port(7)));
    assert_eq!(vias[0].received().unwrap().to_string(), "2001:db8::9:255");
    assert_eq!(
        vias[0].to_text().as_str(),
        "SIP/2.0/TLS [2001:db8::9:1]:5061;branch=z9hG4bK77;received=2001:db8::9:255;rport=7"
    );
    assert_eq!(vias[1].host().ip().unwrap().to_string(), "::ffff:192.0.2.1");
    assert_eq!(vias[1].received().unwrap().to_string(), "2001:db8::1");
}

#[test]
fn methods_nobody_knows_are_read() {
    let octets = INVITE.replace("INVITE", "X-3gpp.*new");
    let unknown = request(&octets);
    assert_eq!((unknown.method().as_str(), unknown.method().is_known()), ("X-3gpp.*new", false));
    assert_eq!(unknown.typed::<CSeq>().unwrap().unwrap().method, *unknown.method());
    assert_eq!(unknown.to_bytes(), octets);
}

/// threat: A1, A2
#[test]
fn content_length_is_digits_alone() {
    for bad in [
        "-1",
        "0x10",
        "+5",
        "18446744073709551616",
        "4294967296",
        "5 5",
        "5,5",
        "5;x",
        "3.",
        "",
        "\u{b2}",
        "1e1",
        "00000000003",
    ] {
        let octets = INVITE.replace("l: 3\r\n", &format!("l: {bad}\r\n"));
        let failure = parse_datagram(octets.clone().into(), &Limits::default()).unwrap_err();
        assert_eq!(failure.error, ParseError::ContentLength, "{bad}");
        assert_eq!(failure.reply().unwrap().status(), StatusCode::BAD_REQUEST);
        let mut framer = StreamFramer::new(Limits::default());
        framer.push(octets.into());
        assert!(matches!(framer.next(), Some(Frame::Lost(_))), "{bad}");
    }
}
