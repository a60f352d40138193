//! Samples of every field of the table: what is read, what is written, what is refused.

use super::table::with_typed_fields;
use super::*;
use crate::name::HeaderName;
use alloc::string::ToString;

/// A name, then values with the form in which this crate writes them (`=` where that is the same).
type Sample = (HeaderName, &'static [(&'static str, &'static str)]);

#[rustfmt::skip]
const SAMPLES: &[Sample] = &[
    (HeaderName::Via, &[("SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1;received=2001:db8::2;rport=9;ttl=16", "="),
        ("SIP / 2.0 / TCP  h : 1 ; a", "SIP/2.0/TCP h:1;a")]),
    (HeaderName::From, &[("Alice <tel:+1-201-555-0123>;tag=1", "\"Alice\" <tel:+1-201-555-0123>;tag=1")]),
    (HeaderName::To, &[("\"\u{65e5}\u{672c} \\\"x\\\\\" <im:bob@example.com>", "=")]),
    (HeaderName::CallId, &[("f81d4fae@[2001:db8::1]", "=")]),
    (HeaderName::CSeq, &[("4711  MESSAGE", "4711 MESSAGE")]),
    (HeaderName::MaxForwards, &[("70", "="), ("0", "=")]),
    (HeaderName::Contact, &[("*", "="), ("sip:a@b;q=0.5", "<sip:a@b>;q=0.5")]),
    (HeaderName::Route, &[("<sip:p1.example.com;lr>", "=")]),
    (HeaderName::RecordRoute, &[("<sip:p1.example.com;lr>;x=\"y z\"", "=")]),
    (HeaderName::ContentLength, &[("349", "=")]),
    (HeaderName::ContentType, &[("multipart/mixed;boundary=\"a b\"", "=")]),
    (HeaderName::ContentDisposition, &[("session ;handling=optional", "session;handling=optional")]),
    (HeaderName::ContentEncoding, &[("gzip", "=")]),
    (HeaderName::ContentLanguage, &[("pt-BR", "="), ("es-419", "=")]),
    (HeaderName::ContentId, &[("<target123@atlanta.example.com>", "="), ("<a@[192.0.2.1]>", "=")]),
    (HeaderName::Accept, &[("text/*;q=0.3", "=")]),
    (HeaderName::AcceptEncoding, &[("gzip;q=1.0", "="), ("*", "=")]),
    (HeaderName::AcceptLanguage, &[("en-gb;q=0.8", "="), ("*", "=")]),
    (HeaderName::AcceptContact, &[("*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\";require", "=")]),
    (HeaderName::RejectContact, &[("*; actor=\"msg-taker\"", "*;actor=\"msg-taker\"")]),
    (HeaderName::RequestDisposition, &[("no-fork", "=")]),
    (HeaderName::AlertInfo, &[("<http://www.example.com/sounds/moo.wav>;appearance=1", "=")]),
    (HeaderName::Allow, &[("MESSAGE", "="), ("X-NEW", "=")]),
    (HeaderName::AllowEvents, &[("presence.winfo", "=")]),
    (HeaderName::AuthenticationInfo, &[("nextnonce=\"47364c23432d2e131a5fb210812c\",qop=auth, nc=00000001",
        "nextnonce=\"47364c23432d2e131a5fb210812c\", qop=auth, nc=00000001")]),
    (HeaderName::Authorization, &[("Digest username=\"bob\", realm=\"a, \\\"b\\\"\" ,uri=\"sip:b@c\", response=\"\"",
        "Digest username=\"bob\", realm=\"a, \\\"b\\\"\", uri=\"sip:b@c\", response=\"\""), ("Bearer abc.d_e-f==", "=")]),
    (HeaderName::ProxyAuthorization, &[("NoOneKnowsThisScheme opaque-data=here", "=")]),
    (HeaderName::WwwAuthenticate, &[("Digest realm=\"atlanta.com\", qop=\"auth,auth-int\", algorithm=SHA-512-256, stale=FALSE", "=")]),
    (HeaderName::ProxyAuthenticate, &[("Digest realm=\"x\", nonce=\"y\"", "=")]),
    (HeaderName::CallInfo, &[("<http://www.example.com/alice/photo.jpg> ;purpose=icon", "<http://www.example.com/alice/photo.jpg>;purpose=icon")]),
    (HeaderName::ContributionId, &[("dfb4e64f-2c98-46a1-8e14-98eb5736a268", "=")]),
    (HeaderName::ConversationId, &[("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "=")]),
    (HeaderName::Date, &[("Sat, 13 Nov 2010 23:29:00 GMT", "=")]),
    (HeaderName::ErrorInfo, &[("<sip:not-in-service-recording@atlanta.com>", "=")]),
    (HeaderName::Event, &[("conference", "="), ("foo.bar.baz;id=1234", "=")]),
    (HeaderName::Expires, &[("4294967295", "=")]),
    (HeaderName::FeatureCaps, &[("*;+g.3gpp.x=\"<Text>\";+3gpp.y", "="), ("*", "=")]),
    (HeaderName::FlowTimer, &[("126", "=")]),
    (HeaderName::Geolocation, &[("<cid:target123@atlanta.example.com>", "="), ("<pres:a@b>;x=1", "=")]),
    (HeaderName::HistoryInfo, &[("<sip:bob@example.com?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1", "=")]),
    (HeaderName::Identity, &[("eyJhbGci.eyJkZXN0.rq3pjT1h+/==;info=<https://biloxi.example.org/biloxi.cer>;alg=ES256;ppt=shaken", "="),
        ("\"ZYNBbHC00VMZr2kZt6VmCvPonWJMGvQTBDqghoWeLxJ=\"", "="), ("..x;ppt=\"div\"", "=")]),
    (HeaderName::InReplyTo, &[("70710@saturn.bell-tel.com", "=")]),
    (HeaderName::InReplyToContributionId, &[("01234567-89ab-cdef-0123-456789abcdef", "=")]),
    (HeaderName::InfoPackage, &[("foo;x=y", "=")]),
    (HeaderName::IwNumber, &[("tel:+15145550001", "=")]),
    (HeaderName::Join, &[("12adf2f34456gs5;to-tag=12345;from-tag=54321", "=")]),
    (HeaderName::MaxBreadth, &[("60", "=")]),
    (HeaderName::MessageContext, &[("pager-message", "="), ("multimedia-message", "=")]),
    (HeaderName::MessageCorrelator, &[("\"mm: 1\"; x", "=")]),
    (HeaderName::MessageExpires, &[("259200", "=")]),
    (HeaderName::MessageUid, &[("4392", "=")]),
    (HeaderName::MimeVersion, &[("1.0", "=")]),
    (HeaderName::MinExpires, &[("60", "=")]),
    (HeaderName::MinSe, &[("90;x", "=")]),
    (HeaderName::Organization, &[("Boxes by Bob", "="), ("", "=")]),
    (HeaderName::PAccessNetworkInfo, &[("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=\"234151D0FCE11\";network-provided", "=")]),
    (HeaderName::PAssertedIdentity, &[("tel:+14085264000", "<tel:+14085264000>")]),
    (HeaderName::PAssertedService, &[("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.session", "=")]),
    (HeaderName::PAssociatedUri, &[("<sip:user@example.com>", "=")]),
    (HeaderName::PCalledPartyId, &[("<sip:user1-business@example.com>", "=")]),
    (HeaderName::PChargingFunctionAddresses, &[("ccf=\"aaa://example.com\";ecf=[5555::b99:c88:d77:e66]", "=")]),
    (HeaderName::PChargingVector, &[("icid-value=\"AyretyU0dm+6O2IrT5tAFrbHLso=023551024\" ;icid-generated-at=192.0.6.8;orig-ioi=home1.net;transit-ioi=\"a.1,void\"",
        "icid-value=\"AyretyU0dm+6O2IrT5tAFrbHLso=023551024\";icid-generated-at=192.0.6.8;orig-ioi=home1.net;transit-ioi=\"a.1,void\"")]),
    (HeaderName::PPreferredIdentity, &[("\"Cullen Jennings\" <sip:fluffy@cisco.com>", "=")]),
    (HeaderName::PPreferredService, &[("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.filetransfer", "=")]),
    (HeaderName::PServedUser, &[("<sip:user@example.com>;sescase=orig;regstate=reg", "=")]),
    (HeaderName::PVisitedNetworkId, &[("other.net;x", "\"other.net\";x"), ("\"Visited network number 1\"", "=")]),
    (HeaderName::Path, &[("<sip:P1.EXAMPLEVISITED.COM;lr;ob>", "=")]),
    (HeaderName::Priority, &[("non-urgent", "=")]),
    (HeaderName::Privacy, &[("id; critical", "id;critical")]),
    (HeaderName::ProxyRequire, &[("sec-agree", "=")]),
    (HeaderName::RAck, &[("776656 1 INVITE", "=")]),
    (HeaderName::RSeq, &[("988789", "=")]),
    (HeaderName::Reason, &[("SIP ;cause=200 ;text=\"Call completed elsewhere\"", "SIP;cause=200;text=\"Call completed elsewhere\"")]),
    (HeaderName::RecvInfo, &[("foo", "=")]),
    (HeaderName::ReferSub, &[("FALSE", "false"), ("true;x", "=")]),
    (HeaderName::ReferTo, &[("<sip:carol@cleveland.example.org;method=SUBSCRIBE?Call-ID=1>", "=")]),
    (HeaderName::ReferredBy, &[("<sip:charlie@tele.com>; add-refs=\"tel:+123456789\"", "<sip:charlie@tele.com>;add-refs=\"tel:+123456789\"")]),
    (HeaderName::Replaces, &[("98732@sip.example.com ;from-tag=r33th4x0r;to-tag=ff87ff;early-only",
        "98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff;early-only")]),
    (HeaderName::ReplyTo, &[("Bob <sip:bob@biloxi.com>", "\"Bob\" <sip:bob@biloxi.com>")]),
    (HeaderName::Require, &[("100rel", "=")]),
    (HeaderName::ResourcePriority, &[("dsn.flash-override", "=")]),
    (HeaderName::RetryAfter, &[("120 (I'm \\(in\\) a (long) meeting);duration=60", "120;duration=60")]),
    (HeaderName::SecurityClient, &[("ipsec-3gpp;alg=hmac-sha-1-96;spi-c=23456789;q=0.1", "=")]),
    (HeaderName::SecurityServer, &[("tls;q=0.2", "=")]),
    (HeaderName::SecurityVerify, &[("digest;d-alg=MD5;d-qop=auth;d-ver=\"0123456789abcdef0123456789abcdef\"", "=")]),
    (HeaderName::Server, &[("CPM-serv/OMA2.1", "=")]),
    (HeaderName::ServiceRoute, &[("<sip:P2.HOME.EXAMPLE.COM;lr>", "=")]),
    (HeaderName::SessionExpires, &[("1800 ;refresher=uas", "1800;refresher=uas")]),
    (HeaderName::SessionReplaces, &[("abcdef-1234-5678-90ab-cdef01234567", "=")]),
    (HeaderName::SipETag, &[("dx200xyz", "=")]),
    (HeaderName::SipIfMatch, &[("dx200xyz", "=")]),
    (HeaderName::Subject, &[("T\u{fc}r: (offen)", "="), ("", "=")]),
    (HeaderName::SubscriptionState, &[("active;expires=600", "="), ("terminated;reason=noresource;retry-after=10", "=")]),
    (HeaderName::Supported, &[("timer", "=")]),
    (HeaderName::TargetDialog, &[("fa77as7dad8-sd98ajzz@host.example.com;local-tag=kkaz-;remote-tag=6544", "=")]),
    (HeaderName::Timestamp, &[("54.21 0.5", "=")]),
    (HeaderName::Unsupported, &[("foo", "=")]),
    (HeaderName::UserAgent, &[("CPM-client/OMA2.1 Arena/v1.01 (a (nested) \\) comment)", "=")]),
    (HeaderName::Warning, &[("370 devnull \"Choose a \\\"bigger\\\" pipe\"", "=")]),
];

/// Names that are known and have no typed value, on purpose: none.
const UNTYPED: &[HeaderName] = &[];

macro_rules! round_trips {
    ($($field:ident $type:ident)*) => {
        /// Read, written, read again: the same value and the expected text.
        fn round_trip(name: &HeaderName, text: &str, written: &str) {
            match name {
                $(HeaderName::$field => {
                    assert_eq!($type::NAME, *name);
                    let value = $type::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
                    assert_eq!(value.to_text().as_str(), written);
                    assert_eq!($type::parse(written.as_bytes()), Ok(value), "{text}");
                })*
                HeaderName::Other(_) => panic!("{name} has no row"),
            }
        }

        /// How many fields the table types.
        const TYPED: &[HeaderName] = &[$(HeaderName::$field,)*];
    };
}
with_typed_fields!(round_trips);

#[test]
fn every_known_name_has_samples_that_survive() {
    for name in HeaderName::KNOWN {
        let samples: Vec<_> = SAMPLES.iter().filter(|(of, _)| of == name).collect();
        assert_eq!(samples.len(), usize::from(!UNTYPED.contains(name)), "{name}");
        assert_eq!(TYPED.contains(name), !UNTYPED.contains(name), "{name}");
        for (text, written) in samples.iter().flat_map(|(_, values)| values.iter()) {
            let written = if *written == "=" { text } else { written };
            round_trip(name, text, written);
            // White space and folds around and between are no part of the value.
            let folded = alloc::format!(" \t{}\r\n ", text.replace(" ;", "\r\n\t;"));
            round_trip(name, folded.trim_end(), written);
        }
    }
}

/// threat: A7, A8. Cut anywhere, or with any octet replaced, a sample is read or refused; what is read survives being written.
#[test]
fn damaged_samples_never_panic() {
    for (name, text) in
        SAMPLES.iter().flat_map(|(name, values)| values.iter().map(move |(text, _)| (name, *text)))
    {
        for at in 0..text.len() {
            let mut damaged: Vec<Vec<u8>> = alloc::vec![text.as_bytes()[..at].to_vec()];
            for octet in [b'"', b'\\', b'<', b'>', b';', b',', b'=', b'(', b')', b' ', b'%', 0, 0xff] {
                let mut octets = text.as_bytes().to_vec();
                octets[at] = octet;
                damaged.push(octets);
            }
            for octets in damaged {
                let Some(Ok(written)) = normal_form(name, &octets) else { continue };
                let again = normal_form(name, written.as_str().as_bytes()).map(|r| r.map(|t| t.to_string()));
                // A control character in a quoted pair is the one thing that is read and not written.
                if !octets.contains(&0) {
                    assert_eq!(again, Some(Ok(written.to_string())), "{name}: {octets:?}");
                }
            }
        }
    }
}

/// threat: A16. Octets that are no UTF-8 are a fault of the field, wherever in it they stand.
#[test]
fn samples_with_octets_that_are_not_utf_8() {
    for (name, text) in
        SAMPLES.iter().flat_map(|(name, values)| values.iter().map(move |(text, _)| (name, *text)))
    {
        for bad in [
            &b"\xff"[..],
            b"\xc3",
            b"\xc0\xaf",
            b"\xe2\x82",
            b"\xed\xa0\x80",
            b"\xf0\x9f\x98",
            b"\xf5\x80\x80\x80",
        ] {
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let octets = [&text.as_bytes()[..at], bad, &text.as_bytes()[at..]].concat();
                assert!(normal_form(name, &octets).unwrap().is_err(), "{name}: {octets:?}");
            }
        }
    }
}

/// Malformed values of each field that asks for more than text.
#[rustfmt::skip]
const REFUSED: &[(HeaderName, &[&str])] = &[
    (HeaderName::AcceptEncoding, &["", "gzip;q=2", "a b"]),
    (HeaderName::AcceptLanguage, &["", "en;q=x", "en_gb", "-en", "toolongtag"]),
    (HeaderName::AlertInfo, &["http://a", "<http://a", "<a b>", "<>", "\"x\" <http://a>"]),
    (HeaderName::AllowEvents, &["", "presence;id=1", "a..b", ".a", "a."]),
    (HeaderName::AuthenticationInfo, &["", "nextnonce", "a=1,,b=2", "a=1,a=2", "a=1;b=2"]),
    (HeaderName::Authorization, &["", "Digest", "Digest ", "Digest realm=\"x", "Digest a=1 b=2", "Digest a=1,", "Digest a=\"1\",b", "Bearer a b"]),
    (HeaderName::CallInfo, &["<sip:a@b> purpose=icon", "sip:a@b"]),
    (HeaderName::ContentEncoding, &["", "a/b"]),
    (HeaderName::ContentId, &["a@b", "<a>", "<@b>", "<a@>", "<a@b", "<a b@c>", "<a..b@c>", "<a@b> x"]),
    (HeaderName::ContentLanguage, &["", "e_n", "123", "*"]),
    (HeaderName::ErrorInfo, &["x", "<sip:>"]),
    (HeaderName::Event, &["", "a..b", "a b", ";id=1", "presence;id=1;id=2"]),
    (HeaderName::FeatureCaps, &["", "+a", "*;a", "*;+a=\"", "*x"]),
    (HeaderName::FlowTimer, &["", "-1", "1;x", "4294967296"]),
    (HeaderName::Geolocation, &["cid:a@b", "<cid>"]),
    (HeaderName::HistoryInfo, &["sip:a@b;index=1", "<sip:a@b>;index=1.", "<sip:a@b>;index=a", "<sip:a@b>;rc=.1"]),
    (HeaderName::Identity, &["", "\"abc", "abc;info=<x", "ab c", "a;info=<b c>", "!"]),
    (HeaderName::InReplyTo, &["", "a b", "@"]),
    (HeaderName::InfoPackage, &["", "a b"]),
    (HeaderName::IwNumber, &["", "sip:a@b", "+1514", "tel:1", "<tel:+1>"]),
    (HeaderName::Join, &["a;to-tag=1", "a;from-tag=1", ";to-tag=1;from-tag=2", "a;to-tag=1;to-tag=2;from-tag=3"]),
    (HeaderName::MaxBreadth, &["", "x", "1.5"]),
    (HeaderName::MessageContext, &["", "a b"]),
    (HeaderName::MimeVersion, &["", "1", "1.", ".0", "1.0.0", "-1.0"]),
    (HeaderName::MinSe, &["", "x", "90;;x"]),
    (HeaderName::PAccessNetworkInfo, &["", "\"x\"", "a b"]),
    (HeaderName::PChargingFunctionAddresses, &["", ";ccf=a", "ccf=a;ccf=b", "ccf=\"a"]),
    (HeaderName::PChargingVector, &["", "orig-ioi=a", "icid-value", ";icid-value=1", "icid-value=1;icid-value=2"]),
    (HeaderName::PVisitedNetworkId, &["", "\"x", "a b", "a\"b\""]),
    (HeaderName::Priority, &["", "a b"]),
    (HeaderName::ProxyAuthenticate, &["Digest realm", "realm=\"x\""]),
    (HeaderName::ProxyAuthorization, &["x"]),
    (HeaderName::RAck, &["", "1", "1 2", "0 1 INVITE", "1 2147483648 INVITE", "1 2INVITE", "1 2 IN VITE", "1 2 3,"]),
    (HeaderName::RSeq, &["", "0", "-1", "4294967296", "1 2"]),
    (HeaderName::RecvInfo, &["", "a b"]),
    (HeaderName::ReferSub, &["", "maybe", "true false"]),
    (HeaderName::Replaces, &["a", "a;to-tag=;from-tag=1", "a;to-tag=\"\";from-tag=1", "a b;to-tag=1;from-tag=2", "a;to-tag;from-tag=1"]),
    (HeaderName::ResourcePriority, &["", "dsn", "dsn.", ".flash", "dsn.a.b"]),
    (HeaderName::SecurityClient, &["", "tls;q=1.1", "a b"]),
    (HeaderName::SecurityServer, &["tls;q="]),
    (HeaderName::SecurityVerify, &["digest;d-ver=\"0"]),
    (HeaderName::SessionExpires, &["", "x", "1800;refresher=me", "1800;refresher", "-1"]),
    (HeaderName::SipETag, &["", "a b", "a;b"]),
    (HeaderName::SipIfMatch, &["", "a,b"]),
    (HeaderName::SubscriptionState, &["", "active;expires=x", "active;expires=4294967296", "terminated;retry-after=-1"]),
    (HeaderName::TargetDialog, &["a;local-tag=1", "a;remote-tag=1", "a"]),
    (HeaderName::WwwAuthenticate, &["Digest realm=\"a\" nonce=\"b\"", "Digest ,"]),
];

#[test]
fn malformed_values_are_refused() {
    for (name, texts) in REFUSED {
        for text in *texts {
            let read = normal_form(name, text.as_bytes()).unwrap();
            let read = read.map(|text| text.to_string());
            assert!(read.is_err(), "{name}: {text} reads as {read:?}");
        }
    }
}
