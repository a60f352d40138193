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
        "SIP/2.0/UDP h;ttl=256",
        "SIP/2.0/UDP h;ttl",
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

/// Digits and nothing else, whatever stands where (threat: A2): every text of up to three octets.
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
    let content_id = |n: usize| format!("<{}@h>", long(n - 4));
    let call_id = |n: usize| format!("{};to-tag=1;from-tag=2", long(n));
    let tags = |name: &str, n: usize| {
        "a;to-tag=1;from-tag=1".replace(&format!("{name}=1"), &format!("{name}={}", long(n)))
    };
    let charging =
        |n: usize| format!("icid-value=a{}", (1..n).map(|i| format!(";p{i}=1")).collect::<String>());
    let challenge =
        |n: usize| format!("Digest p0=1{}", (1..n).map(|i| format!(",p{i}=1")).collect::<String>());
    for n in [255, 256] {
        assert!(
            ContentId::parse(content_id(n).as_bytes()).is_ok() && Join::parse(call_id(n).as_bytes()).is_ok()
        );
        assert!(Replaces::parse(tags("to-tag", n).as_bytes()).is_ok());
        assert!(Replaces::parse(tags("from-tag", n).as_bytes()).is_ok());
    }
    assert_eq!(limit(ContentId::parse(content_id(257).as_bytes()).unwrap_err()), "sip.max_token");
    assert_eq!(limit(Join::parse(call_id(257).as_bytes()).unwrap_err()), "sip.max_token");
    for name in ["to-tag", "from-tag"] {
        assert_eq!(limit(Replaces::parse(tags(name, 257).as_bytes()).unwrap_err()), "sip.max_token");
    }
    for n in [63, 64] {
        assert!(PChargingVector::parse(charging(n).as_bytes()).is_ok());
        assert!(WwwAuthenticate::parse(challenge(n).as_bytes()).is_ok());
    }
    assert_eq!(limit(PChargingVector::parse(charging(65).as_bytes()).unwrap_err()), "sip.max_params");
    assert_eq!(limit(WwwAuthenticate::parse(challenge(65).as_bytes()).unwrap_err()), "sip.max_params");
    let products = |n: usize| UserAgent::parse("a/1 (b) ".repeat(n / 2).as_bytes()).unwrap().products();
    assert_eq!((products(126).unwrap().len(), products(128).unwrap().len()), (126, 128));
    assert_eq!(limit(products(130).unwrap_err()), "sip.max_list_values");
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

fn contact_of(text: &str) -> ContactAddr {
    read::<Contact>(text).as_addr().unwrap().clone()
}

#[test]
fn contact_parameters() {
    let contact = contact_of(
        "<sip:a@b;gr=urn:uuid:f8;ob>;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";reg-id=1;isfocus\
         ;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg, urn%3aurn-7%3Ax\";+g.3gpp.iari-ref=\"a%FFb,,\"\
         ;pub-gruu=\"sip:a@b;gr=urn:uuid:f8\";temp-gruu=\"sip:tgruu.7hs==jd7@b;gr\"",
    );
    assert_eq!(contact.instance(), Some("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"));
    assert_eq!(contact.icsi_refs(), ["urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg", "urn:urn-7:x"]);
    assert_eq!(contact.iari_refs(), ["a%FFb"], "what is no UTF-8 stays as it was written");
    assert!(contact.is_focus());
    assert_eq!(contact.reg_id(), Some(1));
    assert_eq!(contact.pub_gruu().unwrap().as_sip().unwrap().gr(), Some("urn:uuid:f8"));
    assert_eq!(contact.temp_gruu().unwrap().as_sip().unwrap().gr(), Some(""));
    let uri = contact.uri().as_sip().unwrap();
    assert!(uri.is_outbound() && uri.gr() == Some("urn:uuid:f8"));
    let plain = contact_of("<sip:a@b>;reg-id=0;+sip.instance=\"urn:x\";pub-gruu=\"x\"");
    assert_eq!(
        (plain.instance(), plain.reg_id(), plain.pub_gruu(), plain.is_focus()),
        (None, None, None, false)
    );
    assert!(plain.icsi_refs().is_empty());
}

#[test]
fn contact_parameters_are_written_escaped() {
    let services = ["urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg", "a,b\"%\r\n\u{e9}"];
    let contact = contact_of("<sip:a@b>").with_icsi_refs(&services).with_instance("urn:uuid:1").unwrap();
    let text = Contact::Addr(contact.clone()).to_text();
    assert_eq!(
        text.as_str(),
        "<sip:a@b>;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg,a%2Cb%22%25%0D%0A%C3%A9\"\
         ;+sip.instance=\"<urn:uuid:1>\""
    );
    assert_eq!(contact_of(text.as_str()).icsi_refs(), services);
    assert_eq!(contact.clone().with_icsi_refs(&[]).with_iari_refs(&["x"]).iari_refs(), ["x"]);
    assert!(!contact.clone().with_icsi_refs(&[]).params().contains("+g.3gpp.icsi-ref"));
    assert!(contact.with_instance("a>;b=\"<c").is_err());
}

/// The example of RFC 3841 §7.2.5.
#[test]
fn preferences_of_a_caller() {
    let reject: [RejectContact; 1] = [read("*;actor=\"msg-taker\";video")];
    let accept: [AcceptContact; 3] = [
        read("*;audio;require"),
        read("*;video;explicit"),
        read("*;methods=\"BYE\";class=\"business\";q=1.0"),
    ];
    for (contact, expected) in [
        ("sip:u1@h;audio;video;methods=\"INVITE,BYE\";q=0.2", Preference::Score(833)),
        ("sip:u2@h;audio=\"FALSE\";methods=\"INVITE\";actor=\"msg-taker\";q=0.2", Preference::Rejected),
        ("sip:u3@h;audio;actor=\"msg-taker\";methods=\"INVITE\";video;q=0.3", Preference::Rejected),
        ("sip:u4@h;audio;methods=\"INVITE,OPTIONS\";q=0.2", Preference::Score(500)),
        ("sip:u5@h;q=0.5", Preference::Immune),
    ] {
        assert_eq!(caller_preference(&contact_of(contact), &accept, &reject), expected, "{contact}");
    }
    let explicit: [AcceptContact; 1] = [read("*;video;explicit;require")];
    assert_eq!(caller_preference(&contact_of("sip:a@b;audio"), &explicit, &[]), Preference::Rejected);
    assert_eq!(caller_preference(&contact_of("sip:a@b;audio"), &[], &[]), Preference::Score(1000));
    let unmet: [AcceptContact; 1] = [read("*;audio=\"FALSE\"")];
    assert_eq!(caller_preference(&contact_of("sip:a@b;audio"), &unmet, &[]), Preference::Score(0));
    assert_eq!(Preference::Rejected.score(), None);
}

#[test]
fn feature_values_overlap() {
    for (a, b, expected) in [
        ("audio", "audio=\"TRUE\"", true),
        ("audio", "audio=\"FALSE\"", false),
        ("audio", "video", true),
        ("methods=\"INVITE,BYE\"", "methods=\"MESSAGE,bye\"", true),
        ("methods=\"INVITE,BYE\"", "methods=\"MESSAGE\"", false),
        ("methods=\"!INVITE\"", "methods=\"INVITE\"", false),
        ("methods=\"!INVITE\"", "methods=\"BYE\"", true),
        ("methods=\"!INVITE\"", "methods=\"!BYE\"", true),
        ("description=\"<PC>\"", "description=\"<pc>\"", false),
        ("description=\"<PC>\"", "description=\"<PC>\"", true),
        ("+x=\"#>=4\"", "+x=\"#=4.0\"", true),
        ("+x=\"#>=4\"", "+x=\"#<=3.9\"", false),
        ("+x=\"#-4:+5.125\"", "+x=\"#=-4\"", true),
        ("+x=\"#-4:+5.125\"", "+x=\"#5.2:6\"", false),
        ("+x=\"!#1:2\"", "+x=\"#1:2\"", false),
        ("+x=\"!#1:2\"", "+x=\"#1:3\"", true),
        ("+x=\"#5:1\"", "+x=\"#1:5\"", false),
        ("+x=\"#\"", "+x=\"#=1\"", false),
        ("+x=\"4\"", "+x=\"#=4\"", false),
        ("+sip.video", "video=\"FALSE\"", false),
        ("+G.OMA.SIP-IM", "+g.oma.sip-im", true),
        ("q=0.1", "q=0.2", true),
    ] {
        let set = |param: &str| FeatureSet::of_contact(&contact_of(&format!("<sip:a@b>;{param}")));
        assert_eq!((set(a).matches(&set(b)), set(b).matches(&set(a))), (expected, expected), "{a} {b}");
    }
    let set = FeatureSet::of_contact(&contact_of("<sip:a@b>;x=1;+a!b'c;language=\"en\";automata;expires=3"));
    assert_eq!(set.tags().collect::<Vec<_>>(), ["a:b/c", "language", "sip.automata"]);
}

#[test]
fn products() {
    let agent: UserAgent = read("CPM-client/OMA2.1 Arena-Messaging1000/v1.01 (x (y) \\() z");
    let product = |name, version| ProductPart::product(name, version).unwrap();
    let own = [
        product("CPM-client", Some("OMA2.1")),
        product("Arena-Messaging1000", Some("v1.01")),
        ProductPart::Comment("(x (y) \\()".into()),
        product("z", None),
    ];
    assert_eq!(agent.products().unwrap(), own);
    let cpm = CpmProduct { side: CpmSide::Client, major: 2, minor: 1 };
    assert_eq!(agent.cpm(), Some(cpm));
    assert_eq!(UserAgent::of(Some(cpm), &own[1..]).as_str(), agent.as_str());
    assert_eq!(read::<Server>("cpm-SERV/oma1.0").cpm().unwrap().to_string(), "CPM-serv/OMA1.0");
    for none in
        ["", "x CPM-client/OMA2.1", "CPM-client", "CPM-client/2.1", "CPM-client/OMA2", "CPM-other/OMA2.1"]
    {
        assert_eq!(read::<Server>(none).cpm(), None, "{none}");
    }
    for bad in ["", "a/", "(", "a(b)", "a/b/c", "\u{fc}", "((((((((()))))))))"] {
        assert!(read::<Server>(bad).products().is_err(), "{bad}");
    }
    let evil = Server::of(None, &[ProductPart::Comment("(\r\nX: y)".into())]);
    assert_eq!(evil.to_text().as_str(), "(  X: y)");
    assert!(ProductPart::product("a b", None).is_err() && ProductPart::product("a", Some("")).is_err());
}

/// Reading C12: one value with `add-refs` is written; lists, repeated fields and any parameters are read.
#[test]
fn referred_by_names_both_addresses() {
    let tel = Uri::parse("tel:+123456789").unwrap();
    let one = ReferredBy::new(Uri::parse("sip:charlie@tele.com").unwrap()).with_add_refs(&tel);
    assert_eq!(one.to_text().as_str(), "<sip:charlie@tele.com>;add-refs=\"tel:+123456789\"");
    assert_eq!(one.add_refs().unwrap().uri(), &tel);
    let other: ReferredBy = read("sip:a@b;x;add-refs=\"<tel:+1>\";cid=\"20398823.2UWQFN309shb3@b\"");
    assert_eq!(other.add_refs().unwrap().uri().as_str(), "tel:+1");
    assert_eq!(other.cid(), Some("20398823.2UWQFN309shb3@b"));
    assert_eq!(read::<ReferredBy>("<sip:a@b>;add-refs=\"x\"").add_refs(), None);
    let mut headers = crate::headers::Headers::new();
    for text in ["<sip:a@b>, <tel:+1>", "<sip:c@d>"] {
        headers.push(crate::name::HeaderName::ReferredBy, HeaderText::new(text).unwrap());
    }
    assert_eq!(headers.typed_list::<ReferredBy>().unwrap().len(), 3);
    headers.push_typed(&one);
    let all = ReferredBy::all(&headers).unwrap();
    let all: Vec<&str> = all.iter().map(|address| address.uri().as_str()).collect();
    assert_eq!(all, ["sip:a@b", "tel:+1", "sip:c@d", "sip:charlie@tele.com", "tel:+123456789"]);
}

#[test]
fn contact_parameters_both_ways() {
    let gruu = |text: &str| Uri::parse(text).unwrap();
    let uri =
        Uri::from(gruu("sip:a@b").as_sip().unwrap().clone().with_gr(Some("urn:uuid:f8")).with_outbound());
    let made = ContactAddr::new(uri)
        .with_instance("urn:uuid:f8")
        .unwrap()
        .with_reg_id(core::num::NonZeroU32::MAX)
        .with_pub_gruu(&gruu("sip:a@b;gr=urn:uuid:f8"))
        .with_temp_gruu(&gruu("sip:t==x@b;gr"))
        .with_focus(true)
        .with_q(50);
    let text = Contact::Addr(made.clone()).to_text();
    assert_eq!(
        text.as_str(),
        "<sip:a@b;gr=urn:uuid:f8;ob>;+sip.instance=\"<urn:uuid:f8>\";reg-id=4294967295\
         ;pub-gruu=\"sip:a@b;gr=urn:uuid:f8\";temp-gruu=\"sip:t==x@b;gr\";isfocus;q=0.050"
    );
    let again = contact_of(text.as_str());
    assert_eq!(again, made);
    assert_eq!((again.reg_id(), again.q(), again.is_focus()), (Some(u32::MAX), Some(50), true));
    assert_eq!(again.temp_gruu().unwrap().as_sip().unwrap().gr(), Some(""));
    assert_eq!(again.pub_gruu().unwrap().as_sip().unwrap().gr(), Some("urn:uuid:f8"));
    assert!(!made.clone().with_focus(false).is_focus());
    assert_eq!((made.clone().with_q(1_000).q(), made.with_q(u16::MAX).q()), (Some(1_000), Some(1_000)));
}

/// RFC 3841 §7.2.2: a method and an event package are wishes too, where no others are told.
#[test]
fn what_a_request_implies() {
    let request = |more: &str| {
        let octets = format!("SUBSCRIBE sip:a@b SIP/2.0\r\n{more}\r\n");
        let Ok(crate::Message::Request(request)) = crate::parse_datagram(octets.into(), &Limits::default())
        else {
            panic!()
        };
        crate::implied_preference(&request)
    };
    let text = |wish: Option<AcceptContact>| wish.unwrap().to_text().as_str().to_string();
    assert_eq!(text(request("")), "*;methods=\"SUBSCRIBE\";require");
    let wish = request("o: presence;id=1\r\n").unwrap();
    assert_eq!(wish.to_text().as_str(), "*;methods=\"SUBSCRIBE\";events=\"presence\";require");
    for (contact, expected) in [
        ("sip:a@b;methods=\"INVITE,SUBSCRIBE\";events=\"reg,presence\"", Preference::Score(1000)),
        ("sip:a@b;methods=\"INVITE,SUBSCRIBE\"", Preference::Score(500)),
        ("sip:a@b;methods=\"INVITE\"", Preference::Rejected),
        ("sip:a@b;events=\"reg\"", Preference::Rejected),
        ("sip:a@b", Preference::Immune),
    ] {
        let found = caller_preference(&contact_of(contact), core::slice::from_ref(&wish), &[]);
        assert_eq!(found, expected, "{contact}");
    }
    assert_eq!(request("a: *;audio\r\n"), None);
    assert_eq!(request("Reject-Contact: *;audio\r\n"), None);
}

#[test]
fn events_and_sessions() {
    let event: Event = read("presence.winfo.x;id=4");
    assert_eq!((event.package(), event.id()), ("presence", Some("4")));
    assert_eq!(event.templates().collect::<Vec<_>>(), ["winfo", "x"]);
    assert!(event.is_same(&read("presence.winfo.x;a=b;id=4")));
    assert!(!event.is_same(&read("presence.winfo.x")) && !event.is_same(&read("Presence.winfo.x;id=4")));
    assert!(Event::new("a..b").is_err() && Event::new("a b").is_err() && Event::new("a.b").is_ok());
    let state = SubscriptionState::terminated("no resource\r\n").with_retry_after(7);
    assert_eq!(state.to_text().as_str(), "terminated;reason=no-resource--;retry-after=7");
    assert!(state.is_terminated() && state.retry_after() == Some(7) && !state.is_active());
    assert_eq!(SubscriptionState::pending(9).expires(), Some(9));
    assert!(read::<SubscriptionState>("Active;expires=1").is_active());
    let timer = SessionExpires::new(1800, Some(Refresher::Uac));
    assert_eq!(timer.to_text().as_str(), "1800;refresher=uac");
    assert_eq!(read::<SessionExpires>("90;refresher=UAS").refresher(), Some(Refresher::Uas));
    assert_eq!((MinSe::new(90).to_text().as_str(), read::<MinSe>("90").seconds()), ("90", 90));
    let call_id = CallId::new("a@b").unwrap();
    let replaces = Replaces::new(&call_id, "x", "y").unwrap();
    assert_eq!(replaces.to_text().as_str(), "a@b;to-tag=x;from-tag=y");
    assert_eq!((replaces.call_id(), replaces.to_tag(), replaces.from_tag()), ("a@b", "x", "y"));
    assert!(Replaces::new(&call_id, "", "y").is_err() && Join::new(&call_id, "x;y", "z").is_err());
    assert!(!replaces.early_only() && read::<Replaces>("a;to-tag=1;from-tag=2;EARLY-only").early_only());
    let target: TargetDialog = read("a;remote-tag=r;local-tag=l");
    assert_eq!((target.local_tag(), target.remote_tag()), ("l", "r"));
    let rack: RAck = read("7 1 INVITE");
    assert_eq!((rack.response.0.get(), rack.cseq, rack.method), (7, 1, Method::Invite));
}

#[test]
fn networks_and_credentials() {
    assert_eq!(read::<PVisitedNetworkId>("\"a \\\"b\\\"\"").network(), "a \"b\"");
    assert!(PVisitedNetworkId::new("a\r\nb").is_err());
    assert_eq!(PChargingVector::new("a=b c").unwrap().to_text().as_str(), "icid-value=\"a=b c\"");
    assert_eq!(read::<PChargingVector>("ICID-value=1;orig-ioi=x").icid(), "1");
    let addresses = PChargingFunctionAddresses::new("ccf", "[5555::b9]").unwrap();
    assert_eq!(addresses.to_text().as_str(), "ccf=[5555::b9]");
    assert!(read::<PAccessNetworkInfo>("ADSL2+;network-provided").is_network_provided());
    assert_eq!(read::<SecurityServer>("tls;q=0.2").q(), Some(200));
    assert_eq!((read::<AcceptLanguage>("de").q(), read::<AcceptEncoding>("gzip;q=0").q()), (1000, 0));
    let priority: ResourcePriority = read("wps.0");
    assert_eq!((priority.namespace(), priority.priority()), ("wps", "0"));
    assert!(ResourcePriority::new("a.b", "c").is_err());
    let challenge: WwwAuthenticate = read("digest realm=\"a, b\", qop=\"auth,auth-int\"");
    assert!(challenge.is("Digest") && challenge.params().get("Realm") == Some("a, b"));
    assert_eq!(read::<Authorization>("Bearer a.b-c==").token(), Some("a.b-c=="));
    let mut own = Authorization::new("Digest").unwrap();
    own.params_mut().set_quoted("username", "a\"b").unwrap();
    own.params_mut().set("nc", Some("00000001")).unwrap();
    assert_eq!(own.to_text().as_str(), "Digest username=\"a\\\"b\", nc=00000001");
    assert!(Authorization::new("a b").is_err());
    let identity: Identity = read("a.b.c;INFO = <https://x/y;z,w> ;ppt=x");
    assert_eq!(identity.info().unwrap().as_str(), "https://x/y;z,w");
    assert_eq!((identity.token(), identity.params().get("ppt")), ("a.b.c", Some("x")));
    assert!(Identity::new("a\r\n", Uri::parse("x:y").unwrap()).is_err());
    assert_eq!(read::<IwNumber>("tel:+1514").number().digits(), "+1514");
    assert_eq!(read::<CallInfo>("<http://a>;purpose=card").purpose(), Some("card"));
    let entry: HistoryInfo = read("<sip:a@b>;index=1.2;mp=1");
    assert_eq!((entry.index(), entry.target()), (Some("1.2"), Some(("mp", "1"))));
    assert_eq!(ContentId::new("a@b").unwrap().to_text().as_str(), "<a@b>");
    assert!(ContentId::new("a@b>\r\nX: <c@d").is_err());
    assert_eq!(read::<Via>("SIP/2.0/UDP h;ttl=16").ttl(), Some(16));
}

/// A name that stands twice is found among few and among many, first or last.
#[test]
fn parameters_stand_once() {
    for count in [1, 2, 15, 16, 17, 18, 40, 63] {
        let names: Vec<String> = (0..count).map(|i| format!("p{i}")).collect();
        let text = format!("<sip:a@b>;{}", names.join(";"));
        assert_eq!(contact_of(&text).params().len(), count);
        for twice in [&names[0], &names[count - 1]] {
            refused::<Contact>(&[
                &format!("{text};{}", twice.to_ascii_uppercase()),
                &format!("{text};{twice}=1"),
            ]);
            let uri = |more: &str| Uri::parse(&format!("sip:b;{}{more}", names.join(";")));
            assert!(uri("").is_ok() && uri(&format!(";{twice}=1")).is_err());
            let tel = |more: &str| Uri::parse(&format!("tel:+1;{}{more}", names.join(";")));
            assert!(tel("").is_ok() && tel(&format!(";{}", twice.to_ascii_uppercase())).is_err());
        }
    }
}

/// Where the limit is raised: a hundred thousand, which would take minutes were each compared with each.
#[test]
fn many_parameters_cost_in_proportion() {
    let limits =
        Limits { max_params: 1 << 20, max_header_line: 1 << 23, max_uri: 1 << 23, ..Limits::DEFAULT };
    let params: String = (0..100_000).map(|i| format!(";p{i}")).collect();
    assert_eq!(
        Contact::read(&format!("<sip:a>{params}"), &limits).unwrap().as_addr().unwrap().params().len(),
        100_000
    );
    assert!(Uri::parse_within(&format!("sip:a{params}"), &limits).is_ok());
    assert!(Uri::parse_within(&format!("tel:+1{params}"), &limits).is_ok());
}
