#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::method::Method;
use crate::uri::{Host, Uri};
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use core::fmt::Debug;
use core::net::IpAddr;
use proptest::prelude::*;

fn read<H: TypedHeader>(text: &str) -> H {
    H::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn refused<H: TypedHeader + Debug>(texts: &[&str]) {
    for text in texts {
        assert!(H::parse(text.as_bytes()).is_err(), "{text} reads as {:?}", H::parse(text.as_bytes()));
    }
}

/// Read, written in the usual form, read again: the same value.
fn writes<H: TypedHeader + Debug + PartialEq>(text: &str, written: &str) {
    let value = read::<H>(text);
    assert_eq!(value.to_text().as_str(), written);
    assert_eq!(read::<H>(written), value);
}

#[test]
fn via() {
    let via: Via = read(
        "SIP / 2.0 / UDP\r\n  first.example.com : 4000 ;ttl=16 ;maddr=224.2.0.1;branch=z9hG4bKa7c6a8dlze.1; RPORT",
    );
    assert_eq!((via.transport(), via.port(), via.branch()), ("UDP", Some(4000), Some("z9hG4bKa7c6a8dlze.1")));
    assert_eq!(via.rfc3261_branch(), via.branch());
    assert_eq!(via.maddr(), Host::parse("224.2.0.1").ok());
    assert_eq!((via.rport(), via.received()), (Rport::Requested, None));
    for received in ["2001:db8::9:255", "[2001:db8::9:255]"] {
        let via: Via = read(&format!("SIP/2.0/TCP [2001:db8::9:1];received={received};rport=99"));
        assert_eq!(via.received(), "2001:db8::9:255".parse::<IpAddr>().ok());
        assert_eq!(via.rport(), Rport::Port(99));
    }
    let mut via = Via::new("UDP", Host::parse("h").unwrap(), Some(5060)).with_branch("z9hG4bKx").with_rport();
    assert_eq!(via.to_text().as_str(), "SIP/2.0/UDP h:5060;branch=z9hG4bKx;rport");
    via.set_received("192.0.2.1".parse().unwrap());
    via.set_rport(7);
    assert_eq!(via.to_text().as_str(), "SIP/2.0/UDP h:5060;branch=z9hG4bKx;rport=7;received=192.0.2.1");
    assert_eq!(via.sent_by_key(), read::<Via>("sip/2.0/udp H:5060").sent_by_key());
    assert_eq!(read::<Via>("SIP/2.0/UDP h;branch=z9hG4bK").rfc3261_branch(), None);
    refused::<Via>(&[
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDPh",
        "SIP/3.0/UDP h",
        "HTTP/2.0/UDP h",
        "SIP/2.0/UDP h;",
        "SIP/2.0/UDP h;;a",
        "SIP/2.0/UDP h:",
        "SIP/2.0/UDP h:65536",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h;rport=x",
        "SIP/2.0/UDP h;received=x",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP h;branch=",
        "SIP/2.0/UDP h;branch=\"",
        "SIP/2.0/UDP h x",
        "SIP/2.0/UDP ::1",
    ]);
}

#[test]
fn addresses() {
    let from: From = read("\"A. \\\"Al\\\" \\\\ G.\" <sip:a@b;x=y?z=1> ; Tag=88sja8x;q=1");
    assert_eq!(from.display_name(), Some("A. \"Al\" \\ G."));
    assert_eq!((from.uri().to_string().as_str(), from.tag()), ("sip:a@b;x=y?z=1", Some("88sja8x")));
    writes::<From>(
        "Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8",
        "\"Anonymous\" <sip:c8oqz84zk7z@privacy.org>;tag=hyh8",
    );
    writes::<To>(
        "sip:+12125551212@server.phone2net.com;tag=287447",
        "<sip:+12125551212@server.phone2net.com>;tag=287447",
    );
    let bare: To = read("sip:a@b;user=phone");
    assert_eq!((bare.uri().to_string().as_str(), bare.params().get("user")), ("sip:a@b", Some("phone")));
    assert_eq!(read::<To>("A B\tC<sip:a@b>").display_name(), Some("A B\tC"));
    assert_eq!(read::<To>("\"\" <sip:a@b>").display_name(), Some(""));
    refused::<To>(&[
        "",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        "\"Mr. J. User <sip:j.user@example.com>",
        "\"x\\",
        "\"x\\\"",
        "Bell, Alexander <sip:a@b>",
        "\"x\" sip:a@b",
        "<sip:a@b> x",
        "< sip:a@b>",
        "<sip:a@b >",
        "sip:a@b?x=y",
        "/",
        "A <sip:a@b>;",
        "<sip:a@b>;;x",
        "<sip:a@b>;x=\"",
        "<sip:a@b>;tag=1;TAG=2",
        "Ä <sip:a@b>",
        "*",
    ]);
    // Where a route goes must not be mistaken for a parameter: angle brackets are needed.
    refused::<Route>(&["sip:a@b;lr", ""]);
    writes::<Route>("<sip:a@b;lr>;x", "<sip:a@b;lr>;x");
    let tagged = To::new(Uri::parse("tel:+1").unwrap()).with_tag("a;evil=1\r\nX:");
    assert_eq!(tagged.to_text().as_str(), "<tel:+1>;tag=a-evil-1--X-");
    assert_eq!(tagged.without_tag().tag(), None);
    let name = NameAddr::new(Uri::parse("sip:a@b").unwrap());
    assert!(name.clone().with_display_name("a\r\nb").is_err());
    let quoted = To::new(name.with_display_name("a\"b\\").unwrap());
    assert_eq!(quoted.to_text().as_str(), "\"a\\\"b\\\\\" <sip:a@b>");
    assert_eq!(read::<To>(quoted.to_text().as_str()), quoted);
}

#[test]
fn contact() {
    assert_eq!(read::<Contact>("*"), Contact::Star);
    let text = "<sip:a@b>;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3Aa,urn%3Ab\";q=0.7;expires=3600;isfocus";
    writes::<Contact>(text, text);
    let contact: Contact = read(text);
    let addr = contact.as_addr().unwrap();
    assert_eq!((addr.q(), addr.expires()), (Some(700), Some(3600)));
    assert_eq!(addr.params().get("+G.3GPP.icsi-ref"), Some("urn%3Aurn-7%3Aa,urn%3Ab"));
    assert!(addr.params().contains("isfocus"));
    for (q, value) in [("0", 0), ("1", 1000), ("1.000", 1000), ("0.001", 1), ("0.", 0)] {
        assert_eq!(read::<Contact>(&format!("<sip:a>;q={q}")).as_addr().unwrap().q(), Some(value));
    }
    refused::<Contact>(&[
        "",
        "**",
        "* ;x",
        "<sip:a@b>;q=1.1",
        "<sip:a@b>;q=2",
        "<sip:a@b>;q=0.1234",
        "<sip:a@b>;expires=-1",
    ]);
}

#[test]
fn numbers() {
    assert_eq!(read::<MaxForwards>("0068"), MaxForwards(68));
    refused::<MaxForwards>(&["", "-1", "+1", "256", "1 2", "1x", "0x1"]);
    assert_eq!(read::<Expires>("4294967295"), Expires(u32::MAX));
    refused::<Expires>(&["4294967296", "42949672960", "00000000000"]);
    let cseq: CSeq = read("0009 \t INVITE");
    assert_eq!(cseq, CSeq::new(9, Method::Invite));
    assert_eq!(read::<CSeq>("2147483647 NEWMETHOD").to_text().as_str(), "2147483647 NEWMETHOD");
    refused::<CSeq>(&[
        "2147483648 INVITE",
        "1",
        "1INVITE",
        "INVITE",
        "1 IN VITE",
        "1 INVITE,",
        "36893488147419103232 X",
    ]);
    assert_eq!(read::<MessageUid>("4392").to_text().as_str(), "4392");
    refused::<MessageUid>(&["0", "x", ""]);
    let retry: RetryAfter = read("18000 (I'm (in) a meeting) ;duration=3600");
    assert_eq!((retry.seconds, retry.duration), (18000, Some(3600)));
    refused::<RetryAfter>(&["5 (x", "5 x", "5;duration=x", "5 (\\)"]);
}

/// Digits and nothing else, whatever stands where (threats A2): every text of up to three octets.
#[test]
fn numbers_are_digits_alone() {
    let octets = b"0123456789+- xX.\t,;\0\xff";
    let mut texts: Vec<Vec<u8>> = alloc::vec![alloc::vec![]];
    for length in 1..=3 {
        let longer: Vec<Vec<u8>> = texts.iter().filter(|t| t.len() == length - 1).cloned().collect();
        for text in longer {
            texts.extend(octets.iter().map(|o| [&text[..], &[*o]].concat()));
        }
    }
    for text in texts {
        let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let value = crate::grammar::parse_u32(&text);
        assert_eq!(value.is_some(), digits, "{text:?}");
        assert_eq!(value, core::str::from_utf8(&text).ok().filter(|_| digits).and_then(|t| t.parse().ok()));
    }
}

#[test]
fn identifiers() {
    writes::<CallId>(
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@foo.bar.com",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@foo.bar.com",
    );
    assert!(CallId::new("[&\"").is_err() && CallId::new("(<>:\\\"/[]?{}").is_ok());
    refused::<CallId>(&["", "@", "a@", "a b", "a@b@c", "a,b"]);
    writes::<ConversationId>("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    assert!(ContributionId::new("a\r\nb").is_err());
    refused::<ContributionId>(&["", "a b"]);
    let service = "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg";
    assert!(read::<PAssertedService>(service).is("URN:URN-7:3gpp-service.ims.icsi.oma.cpm.msg"));
    refused::<PPreferredService>(&["sip:a@b", "", "urn:x"]);
}

#[test]
fn texts_and_the_rest() {
    assert_eq!(read::<Subject>("Tüv  x").as_str(), "Tüv  x");
    assert!(Subject::new("a\nb").is_err() && Server::new("a\0b").is_err());
    writes::<Warning>("370  devnull \"Choose \\\"x\\\"\"", "370 devnull \"Choose \\\"x\\\"\"");
    assert_eq!(read::<Warning>("301 isi.edu:5060 \"a, b\"").text(), "a, b");
    refused::<Warning>(&["37 a \"x\"", "3700 a \"x\"", "370 \"x\"", "370 a x", "370 a \"x"]);
    assert!(Warning::new(399, "a b", "x").is_err() && Warning::new(99, "a", "x").is_err());
    let reason = ReasonHeader::new("SIP", 200, Some("Call completed elsewhere")).unwrap();
    assert_eq!(reason.to_text().as_str(), "SIP;cause=200;text=\"Call completed elsewhere\"");
    assert_eq!((reason.cause(), reason.text()), (Some(200), Some("Call completed elsewhere")));
    writes::<Privacy>("id ; critical", "id;critical");
    assert!(read::<Privacy>("header;ID").contains("id"));
    refused::<Privacy>(&["", "id;;x", "id,x"]);
    let accept: AcceptContact = read("*;+g.oma.sip-im;language=\"en,de\";explicit;require");
    assert!(accept.explicit() && accept.require());
    assert_eq!(accept.features().collect::<Vec<_>>(), [("+g.oma.sip-im", None), ("language", Some("en,de"))]);
    refused::<AcceptContact>(&["", ";x", "<sip:a@b>;x"]);
    let kind: ContentType = read("Multipart/Mixed ; Boundary=\"x y\"");
    assert!(kind.is("multipart/mixed") && kind.params().get("boundary") == Some("x y"));
    refused::<ContentType>(&["", "text", "text/", "/x", "text/plain;", "text plain"]);
    assert!(ContentType::new("text/plain\r\nX: y").is_err());
    assert!(Accept::new("text/*").unwrap().allows("TEXT/html") && Accept::new("*/*").unwrap().allows("a/b"));
    assert!(!Accept::new("text/*").unwrap().allows("image/png"));
    assert_eq!(read::<Accept>("a/b;q=0.5").q(), 500);
    assert!(read::<ContentDisposition>("session;handling=optional").is_optional());
    writes::<Timestamp>("54.2 .5", "54.2 .5");
    refused::<Timestamp>(&["", ".", "1 2 3", "x", "-1", ".5", "1 ."]);
    writes::<Date>("Sat, 13 Nov 2010 23:29:00 GMT", "Sat, 13 Nov 2010 23:29:00 GMT");
    refused::<Date>(&[
        "Fri, 01 Jan 2010 16:00:00 EST",
        "Xxx, 01 Jan 2010 16:00:00 GMT",
        "Fri, 32 Jan 2010 16:00:00 GMT",
        "",
    ]);
    assert_eq!(
        Date(cpm_base::DateTime::parse("2026-11-21T01:00:00.5+02:00").unwrap()).to_text().as_str(),
        "Fri, 20 Nov 2026 23:00:00 GMT"
    );
    writes::<Supported>("100rel", "100rel");
    refused::<Require>(&["", "a b", "a;b"]);
}

#[test]
fn limits_of_values() {
    let limit = |error: HeaderError| match error {
        HeaderError::Limit { exceeded, .. } => exceeded.limit,
        other => panic!("{other}"),
    };
    let params = |n: usize| format!("<sip:a@b>{}", (0..n).map(|i| format!(";p{i}=1")).collect::<String>());
    assert!(From::parse(params(63).as_bytes()).is_ok() && From::parse(params(64).as_bytes()).is_ok());
    assert_eq!(limit(From::parse(params(65).as_bytes()).unwrap_err()), "sip.max_params");
    let long = |n: usize| "a".repeat(n);
    let tag = |n: usize| format!("<sip:a@b>;tag={}", long(n));
    let branch = |n: usize| format!("SIP/2.0/UDP h;branch={}", long(n));
    let method = |n: usize| format!("1 {}", long(n));
    for n in [255, 256] {
        assert!(To::parse(tag(n).as_bytes()).is_ok() && Via::parse(branch(n).as_bytes()).is_ok());
        assert!(CallId::parse(long(n).as_bytes()).is_ok() && CSeq::parse(method(n).as_bytes()).is_ok());
        assert!(Supported::parse(long(n).as_bytes()).is_ok());
    }
    assert_eq!(limit(To::parse(tag(257).as_bytes()).unwrap_err()), "sip.max_token");
    assert_eq!(limit(Via::parse(branch(257).as_bytes()).unwrap_err()), "sip.max_token");
    assert_eq!(limit(CallId::parse(long(257).as_bytes()).unwrap_err()), "sip.max_token");
    assert_eq!(limit(CSeq::parse(method(257).as_bytes()).unwrap_err()), "sip.max_token");
    assert_eq!(limit(Supported::parse(long(257).as_bytes()).unwrap_err()), "sip.max_token");
    let nested = |n: usize| format!("5 {}{}", "(".repeat(n), ")".repeat(n));
    assert!(
        RetryAfter::parse(nested(7).as_bytes()).is_ok() && RetryAfter::parse(nested(8).as_bytes()).is_ok()
    );
    assert_eq!(limit(RetryAfter::parse(nested(9).as_bytes()).unwrap_err()), "sip.comment_depth");
    assert!(RetryAfter::parse(format!("5 {}", "(".repeat(1 << 20)).as_bytes()).is_err());
    let privacy = |n: usize| alloc::vec!["id"; n].join(";");
    assert!(Privacy::parse(privacy(64).as_bytes()).is_ok());
    assert_eq!(limit(Privacy::parse(privacy(65).as_bytes()).unwrap_err()), "sip.max_params");
}

/// Octets that are not UTF-8 are an error of the field, wherever they stand.
#[test]
fn octets_that_are_not_utf_8() {
    for bad in [&b"\xff"[..], b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98"] {
        for at in 0.."\"A\" <sip:a@b>;tag=x".len() {
            let mut octets = b"\"A\" <sip:a@b>;tag=x".to_vec();
            octets.splice(at..at, bad.iter().copied());
            assert!(From::parse(&octets).is_err());
            assert!(Subject::parse(&octets).is_err());
        }
    }
}

fn holds<H: TypedHeader + PartialEq + Debug>(octets: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = H::parse(octets) {
        let written = value.to_text();
        prop_assert!(!written.as_str().bytes().any(|o| matches!(o, b'\r' | b'\n' | 0)));
        // Quoted control characters are the one thing that is read and not written.
        if !octets.iter().any(|o| crate::text::is_forbidden_control(*o)) {
            prop_assert_eq!(H::parse(written.as_str().as_bytes()), Ok(value));
        }
    }
    Ok(())
}

fn all_hold(octets: &[u8]) -> Result<(), TestCaseError> {
    holds::<Via>(octets)?;
    holds::<From>(octets)?;
    holds::<Contact>(octets)?;
    holds::<Route>(octets)?;
    holds::<CSeq>(octets)?;
    holds::<CallId>(octets)?;
    holds::<Warning>(octets)?;
    holds::<ReasonHeader>(octets)?;
    holds::<RetryAfter>(octets)?;
    holds::<Timestamp>(octets)?;
    holds::<Date>(octets)?;
    holds::<Privacy>(octets)?;
    holds::<AcceptContact>(octets)?;
    holds::<ContentType>(octets)?;
    holds::<Accept>(octets)?;
    holds::<ContentDisposition>(octets)?;
    holds::<Expires>(octets)?;
    holds::<PAssertedService>(octets)?;
    holds::<Subject>(octets)?;
    holds::<Allow>(octets)
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..64)) {
        all_hold(&octets)?;
    }

    #[test]
    fn no_text_of_the_alphabet_panics(text in "(SIP/2.0/UDP |\\*|[0-9]{1,4} )?[a-zé<>\"\\\\;=,:@/()\\[\\].%* \t\u{1}-]{0,40}") {
        all_hold(text.as_bytes())?;
    }

    #[test]
    fn every_display_name_survives(name in "\\PC{1,30}") {
        let to = To::new(NameAddr::new(Uri::parse("sip:a@b").unwrap()).with_display_name(&name).unwrap());
        let again = read::<To>(to.to_text().as_str());
        prop_assert_eq!(again.display_name(), Some(name.as_str()));
    }

    #[test]
    fn every_parameter_survives(value in "\\PC{0,30}") {
        let mut to = To::new(Uri::parse("sip:a@b").unwrap());
        to.params_mut().set("x", Some(&value)).unwrap();
        to.params_mut().set("last", None).unwrap();
        let again = read::<To>(to.to_text().as_str());
        prop_assert_eq!(again.params().get("x"), Some(value.as_str()));
        prop_assert_eq!(again.params().len(), 2);
    }
}
