use super::*;
use bytes::Bytes;
use cpm_cpim::Leniency;
use cpm_sip::{HeaderText, Method, Request};

/// How a request or a CPIM message names its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Own,
    Alias,
    Anonymous,
    Foreign,
    Lookalike,
    Broken,
}

const NAMES: [Name; 6] =
    [Name::Own, Name::Alias, Name::Anonymous, Name::Foreign, Name::Lookalike, Name::Broken];
const ASSERTED: [&str; 3] =
    ["<sip:alice@home.test>", "<tel:+1-555-0001>", "<sip:alice@home.test>, <tel:+15550001>"];
const PRIVACY: [&str; 6] = ["", "none", "id", "user;critical", "header", "session"];

fn text_of(name: Name, asserted: &str) -> &'static str {
    let tel_alone = asserted.starts_with("<tel");
    match name {
        Name::Own if tel_alone => "tel:+15550001",
        Name::Own => "sip:alice@home.test",
        // One user in other forms.
        Name::Alias if asserted.contains("tel") => "sip:+1(555)0001@elsewhere.test;user=phone",
        Name::Alias => "sip:%61lice@HOME.test;transport=tcp",
        Name::Anonymous => "sip:anonymous@anonymous.invalid",
        Name::Foreign => "sip:mallory@home.test",
        Name::Lookalike => "sip:alice@home.test.evil.test",
        Name::Broken => "im:alice@home.test",
    }
}

fn request(asserted: &str, from: &str, privacy: &str) -> Request {
    let text = |value: &str| HeaderText::new(value).unwrap();
    let mut request = Request::new(Method::Message, Uri::parse("sip:bob@home.test").unwrap())
        .with_header(HeaderName::From, text(&format!("<{from}>;tag=t1")))
        .with_header(HeaderName::PAssertedIdentity, text(asserted))
        .with_header(HeaderName::PPreferredIdentity, text("<sip:canary@home.test>"))
        .with_header(HeaderName::UserAgent, text("CPM-client/OMA2.1 canary-phone"))
        .with_header(HeaderName::ReplyTo, text("<sip:canary@home.test>"))
        .with_header(HeaderName::ReferredBy, text("<sip:canary@home.test>"))
        .with_header(HeaderName::Subject, text("what I write"));
    if !privacy.is_empty() {
        request.headers_mut().push(HeaderName::Privacy, text(privacy));
    }
    request
}

fn sender_of(request: &mut Request, hidden: bool) -> Option<Sender> {
    let asserted = request.typed_list::<PAssertedIdentity>().unwrap_or_default();
    Sender::of(request.headers_mut(), &asserted, hidden)
}

fn cpim(from: &str) -> CpimMessage {
    let octets =
        format!("From: <{from}>\r\nTo: <sip:bob@home.test>\r\n\r\nContent-Type: text/plain\r\n\r\nhi");
    CpimMessage::parse(Bytes::from(octets), &cpm_cpim::Limits::default(), &Leniency::default()).unwrap().0
}

/// Whether a request wants its sender to be hidden, as [`crate::facts::Facts`] reads it.
fn wants_to_hide(privacy: &str, from: Name) -> bool {
    ["id", "user", "header"].iter().any(|value| privacy.contains(value)) || from == Name::Anonymous
}

/// What goes on says who the core says, or nobody.
fn is_sound(uri: &str, asserted: &str, hidden: bool) -> bool {
    if uri == ANONYMOUS {
        return true;
    }
    let own = ["sip:alice@home.test", "sip:%61lice@HOME.test;transport=tcp"].contains(&uri)
        && asserted.contains("sip:")
        || ["tel:+1-555-0001", "tel:+15550001", "sip:+1(555)0001@elsewhere.test;user=phone"].contains(&uri)
            && asserted.contains("tel:");
    own && !hidden
}

/// Threat E2: every combination of asserted identities, From, From of the CPIM message and Privacy.
#[test]
fn nobody_but_the_asserted_sender_or_nobody_at_all() {
    for asserted in ASSERTED {
        for privacy in PRIVACY {
            for (from, inner) in NAMES.into_iter().flat_map(|from| NAMES.map(|inner| (from, inner))) {
                for policy in [ForeignSender::Rewrite, ForeignSender::Refuse] {
                    one(asserted, privacy, from, inner, policy);
                }
            }
        }
    }
}

fn one(asserted: &str, privacy: &str, from: Name, inner: Name, policy: ForeignSender) {
    let case = format!("{asserted} {privacy} {from:?} {inner:?} {policy:?}");
    let hidden = wants_to_hide(privacy, from);
    let (from_text, inner_text) = (text_of(from, asserted), text_of(inner, asserted));
    let mut request = request(asserted, from_text, privacy);
    let mut message = cpim(inner_text);
    let sender = sender_of(&mut request, hidden).expect("somebody is asserted");
    let changed = sender.settle(request.headers_mut(), policy);
    let inside = sender.settle_cpim(&mut message, policy);
    let foreign = |name| matches!(name, Name::Foreign | Name::Lookalike | Name::Broken);
    if policy == ForeignSender::Refuse {
        assert_eq!((changed.is_err(), inside.is_err()), (foreign(from), foreign(inner)), "{case}");
        if changed.is_err() || inside.is_err() {
            return;
        }
    }
    let sent: From = request.typed().unwrap().unwrap();
    let inner_sent = message.from().unwrap().unwrap().uri;
    assert!(is_sound(sent.uri().as_str(), asserted, hidden), "{case}: {}", sent.uri());
    assert!(is_sound(&inner_sent, asserted, hidden), "{case}: {inner_sent}");
    assert_eq!(sent.tag(), Some("t1"), "{case}");
    assert_eq!(changed.unwrap(), sent.uri().as_str() != from_text, "{case}");
    // What was right stays as it was.
    if !hidden && !foreign(from) {
        assert_eq!(sent.uri().as_str(), from_text, "{case}");
    }
    if inner == Name::Anonymous || (!hidden && !foreign(inner)) {
        assert_eq!(message.to_bytes(), cpim(inner_text).to_bytes(), "{case}");
    }
    let asserted_sent = request.headers().get(&HeaderName::PAssertedIdentity).unwrap().to_text().unwrap();
    assert_eq!(asserted_sent, asserted, "{case}");
    assert!(!request.headers().contains(&HeaderName::PPreferredIdentity), "{case}");
    hides(&request, privacy, hidden, &case);
}

/// Threat E8: but for what is asserted to the core, which has to keep it, nothing names who wants to be nobody.
fn hides(request: &Request, privacy: &str, hidden: bool, case: &str) {
    let text = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    if !hidden {
        assert!(text.contains("User-Agent: CPM-client/OMA2.1 canary-phone\r\n"), "{case}");
        return;
    }
    if privacy == "none" {
        return;
    }
    assert!(!text.contains("canary"), "{case}: {text}");
    assert!(text.contains("User-Agent: CPM-client/OMA2.1\r\n"), "{case}: {text}");
    assert!(text.contains("Subject: what I write\r\n"), "{case}: {text}");
    let privacy: Privacy = request.typed().unwrap().unwrap();
    assert!(privacy.contains("id"), "{case}");
    let others = text.lines().filter(|line| !line.starts_with("P-Asserted-Identity:"));
    for line in others {
        assert!(!line.contains("alice") && !line.contains("555"), "{case}: {line}");
    }
}

#[test]
fn a_pseudonym_stays_and_a_number_is_not_asserted_twice() {
    let mut anonymous = request(ASSERTED[0], ANONYMOUS, "id");
    anonymous
        .headers_mut()
        .replace(HeaderName::From, HeaderText::new("Zorro  <sip:x@anonymous.invalid>;tag=1").unwrap());
    let sender = sender_of(&mut anonymous, true).unwrap();
    assert_eq!(sender.settle(anonymous.headers_mut(), ForeignSender::Refuse), Ok(false));
    let from = anonymous.headers().get(&HeaderName::From).unwrap().to_text().unwrap();
    assert_eq!(from, "Zorro  <sip:x@anonymous.invalid>;tag=1");
    // RFC 5876 §4.5.
    let mut three = request("<sip:alice@home.test>, <sip:second@home.test>", "sip:second@home.test", "");
    let sender = sender_of(&mut three, false).unwrap();
    assert_eq!(sender.settle(three.headers_mut(), ForeignSender::Rewrite), Ok(true));
    assert!(!String::from_utf8_lossy(&three.to_bytes()).contains("second"));
    assert!(sender_of(&mut request("<urn:service:sos>", ANONYMOUS, ""), false).is_none());
}

/// A CPIM message whose From nobody can read, and one without.
#[test]
fn an_unreadable_from_is_somebody_elses() {
    let sender = sender_of(&mut request(ASSERTED[0], ANONYMOUS, ""), false).unwrap();
    for broken in
        ["From: nonsense", "From: <sip:alice@home.test>\r\nFrom: <sip:mallory@home.test>", "From: <::>"]
    {
        let octets = format!("{broken}\r\nTo: <sip:b@x>\r\n\r\nContent-Type: text/plain\r\n\r\nhi");
        let message =
            CpimMessage::parse(Bytes::from(octets), &cpm_cpim::Limits::default(), &Leniency::field());
        let Ok((mut message, _)) = message else { continue };
        assert_eq!(sender.settle_cpim(&mut message.clone(), ForeignSender::Refuse), Err(Foreign), "{broken}");
        assert_eq!(sender.settle_cpim(&mut message, ForeignSender::Rewrite), Ok(()));
        assert_eq!(message.from().unwrap().unwrap().uri, "sip:alice@home.test", "{broken}");
    }
    let octets = "To: <sip:b@x>\r\n\r\nContent-Type: text/plain\r\n\r\nhi";
    let read = CpimMessage::parse(Bytes::from(octets), &cpm_cpim::Limits::default(), &Leniency::field());
    let (mut message, _) = read.unwrap();
    assert_eq!(sender.settle_cpim(&mut message, ForeignSender::Refuse), Ok(()));
    assert_eq!(message.to_bytes(), octets);
}
