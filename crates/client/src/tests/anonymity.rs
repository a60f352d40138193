//! Who is not to be known, is not: nothing that the far side may see names the user or the device (TS 6.1, 6.3, RFC 3323,
//! RFC 3325).

use super::harness::*;
use crate::{ClientConfig, ClientEvent, MAX_PAGER, NewMessage, Recipients, SendRefusal, contact_uri};
use cpm_sip::{Method, Request, Uri};

const BOB: &str = "sip:bob@198.51.100.1";
/// Whatever says who the user is has this in it.
const CANARY: &str = "canary";

fn named(config: &mut ClientConfig) {
    config.address = uri("sip:canary-user@home.example.com");
    config.user_name = Some("Canary Bird".to_owned());
    config.display_name = Some("canary's phone".to_owned());
    config.instance = "urn:uuid:ca4a47c0-7dec-11d0-a765-00a0c91e6bf6".to_owned();
    config.product = "canary-messenger/9.1".to_owned();
    config.contact = match uri("sip:canary-user@canary-phone.lan:5060") {
        Uri::Sip(uri) => uri,
        _ => panic!("no SIP URI"),
    };
    config.languages = vec!["yi".to_owned()];
    config.controlling_function = Some(uri("sip:list@198.51.100.1"));
}

/// With GRUUs.
fn rig() -> Rig {
    let mut rig = Rig::with(named);
    rig.command(|client, now, ports| client.register(now, ports)).unwrap();
    let request = rig.next_request(Method::Register);
    let extra = "Contact: <sip:canary-user@canary-phone.lan:5060>;expires=3600;\
        +sip.instance=\"<urn:uuid:ca4a47c0-7dec-11d0-a765-00a0c91e6bf6>\";\
        pub-gruu=\"sip:canary-user@home.example.com;gr=urn:uuid:ca4a47c0-7dec-11d0-a765-00a0c91e6bf6\";\
        temp-gruu=\"sip:tgruu.7hs==jd7v@home.example.com;gr\"\r\n\
        P-Associated-URI: <sip:canary-user@home.example.com>\r\n";
    rig.answer(&request, "200 OK", extra, "");
    rig.next_event();
    rig.sent.clear();
    rig.log.clear();
    rig
}

/// What of all that was sent in SIP comes to the far side: without what the core takes away (RFC 3325 §9.2).
fn seen_in_sip(rig: &Rig) -> String {
    let all: String = rig.log.iter().map(|octets| String::from_utf8_lossy(octets)).collect();
    all.split_inclusive("\r\n").filter(|line| !line.starts_with("P-Preferred-Identity:")).collect()
}

#[track_caller]
fn assert_unknown(seen: &str) {
    let seen = seen.to_ascii_lowercase();
    for secret in [CANARY, "ca4a47c0", "alice", "accept-language", "acme"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}

fn messages() -> [NewMessage; 4] {
    let plain = NewMessage::text(uri(BOB), "who am I?");
    let mut group = plain.clone();
    group.to = Recipients::AdHoc(vec![uri(BOB), uri("sip:carol@198.51.100.1")]);
    let mut replied = plain.clone().with_reports();
    replied.reply_to = Some(uri("sip:somewhere@elsewhere.example.org"));
    let stored = crate::StoredData {
        url: "imap://store.example.net/x;UIDVALIDITY=1/;UID=2".to_owned(),
        content_type: cpm_mime::ContentType::text_plain(),
        size: None,
    };
    [plain.clone(), group, replied, plain.with_stored(stored)]
}

/// Threat E8: no octet of the identity is in what the far side may see; the core alone is told it.
// req: 6.1-p3, 7.2.1.1-6, 6.3-p3.2, 6.3-p8
#[test]
fn a_pager_message_tells_nothing_of_its_sender() {
    for message in messages() {
        let mut rig = rig();
        rig.send(message.anonymous(None));
        let request = rig.next_request(Method::Message);
        let headers = request.headers();
        assert_eq!(value(headers, "Privacy"), "id");
        assert!(value(headers, "From").starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="));
        assert_eq!(value(headers, "P-Preferred-Identity"), "<sip:canary-user@home.example.com>");
        assert_eq!(value(headers, "User-Agent"), "CPM-client/OMA2.1");
        assert_unknown(&seen_in_sip(&rig));
    }
    // The canaries sing where nobody hides.
    let mut rig = rig();
    rig.send(NewMessage::text(uri(BOB), "it is me"));
    let seen = seen_in_sip(&rig).to_ascii_lowercase();
    for told in ["canary-user", "canary bird", "canary-messenger", "accept-language: yi"] {
        assert!(seen.contains(told), "{told}");
    }
}

/// Threat E8: from the INVITE to the BYE, and in the media.
// req: 6.1-p3, 7.2.1.2-7
#[test]
fn nor_does_a_large_message() {
    let mut rig = rig();
    rig.send(NewMessage::text(uri(BOB), &"x".repeat(MAX_PAGER)).anonymous(None));
    let invite = rig.next_request(Method::Invite);
    assert_eq!(value(invite.headers(), "Privacy"), "id");
    assert!(value(invite.headers(), "Contact").starts_with("<sip:tgruu.7hs==jd7v@home.example.com;gr>;"));
    let extra = "Contact: <sip:bob@198.51.100.1:5060>\r\nContent-Type: application/sdp\r\n";
    rig.answer(&invite, "200 OK", extra, &sdp("recvonly", "passive", ""));
    rig.next_request(Method::Ack);
    let (flow, _) = rig.connect();
    let mut media = String::new();
    for _ in 0..5 {
        for frame in rig.frames(flow) {
            media.push_str(&format!(
                "{frame:?}{}",
                String::from_utf8_lossy(frame.body.as_deref().unwrap_or_default())
            ));
            rig.stream(flow, frame.response("200 OK"));
        }
    }
    assert!(media.contains("sip:anonymous@anonymous.invalid"));
    assert_unknown(&media);
    let bye = rig.next_request(Method::Bye);
    rig.answer(&bye, "200 OK", "", "");
    assert!(matches!(rig.next_event(), ClientEvent::Sent { .. }));
    assert_unknown(&seen_in_sip(&rig));

    // What the far side asks in the dialog, and its end of it, tell it no more.
    let mut rig = self::rig();
    rig.send(NewMessage::text(uri(BOB), &"x".repeat(MAX_PAGER)).anonymous(None));
    let invite = rig.next_request(Method::Invite);
    rig.answer(&invite, "200 OK", extra, &sdp("recvonly", "passive", ""));
    rig.next_request(Method::Ack);
    let ask = |method: &str, n: u32| {
        format!(
            "{method} sip:x@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch=z9hG4bKfar{n}\r\n\
             Max-Forwards: 60\r\nFrom: <{BOB}>;tag=far\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {n} {method}\r\n\
             Content-Length: 0\r\n\r\n",
            value(invite.headers(), "From"),
            value(invite.headers(), "Call-ID")
        )
    };
    for (n, (method, status)) in
        [("OPTIONS", 200), ("INFO", 405), ("MESSAGE", 403), ("BYE", 200)].into_iter().enumerate()
    {
        rig.deliver(ask(method, n as u32 + 1));
        assert_eq!(value(rig.next_response(status).headers(), "Server"), "CPM-client/OMA2.1");
    }
    assert_unknown(&seen_in_sip(&rig));

    // Without GRUUs the device is where its media are.
    let mut rig = Rig::with(|config| {
        named(config);
        config.contact = match uri("sips:canary:pw@canary-phone.lan:5061;transport=tcp;canary=1;ob") {
            Uri::Sip(uri) => uri,
            _ => panic!("no SIP URI"),
        };
    });
    rig.send(NewMessage::text(uri(BOB), &"x".repeat(MAX_PAGER)).anonymous(None));
    let invite = rig.next_request(Method::Invite);
    assert!(value(invite.headers(), "Contact").starts_with("<sips:192.0.2.1:5061;transport=tcp;ob>;"));
    assert_unknown(&seen_in_sip(&rig));

    // What is stopped half way tells no more.
    let mut rig = self::rig();
    let sent = rig.send(NewMessage::text(uri(BOB), &"x".repeat(MAX_PAGER)).anonymous(None));
    let invite = rig.next_request(Method::Invite);
    rig.answer(&invite, "180 Ringing", "", "");
    assert!(rig.command(|client, now, ports| client.cancel_message(now, ports, sent.id)));
    rig.next_request(Method::Cancel);
    rig.answer(&invite, "487 Request Terminated", "", "");
    rig.next_request(Method::Ack);
    assert_unknown(&seen_in_sip(&rig));
}

/// A name that one gives oneself goes where the name would go (TS 6.3), and the real one nowhere.
// req: 6.1-p3, 6.3-p3.1, 6.3-p6
#[test]
fn a_pseudonym_takes_the_place_of_the_name() {
    let mut rig = rig();
    rig.send(NewMessage::text(uri(BOB), "who am I?").anonymous(Some("Z\"orro")));
    let request = rig.next_request(Method::Message);
    let headers = request.headers();
    assert!(value(headers, "From").starts_with("\"Z\\\"orro\" <sip:anonymous@anonymous.invalid>;tag="));
    assert_eq!(value(headers, "P-Preferred-Identity"), "\"Z\\\"orro\" <sip:canary-user@home.example.com>");
    let from = parse_cpim(request.body()).from().unwrap().unwrap();
    assert_eq!(
        (from.display_name.as_deref(), from.uri.as_str()),
        (Some("Z\"orro"), "sip:anonymous@anonymous.invalid")
    );
    assert_unknown(&seen_in_sip(&rig));
}

/// Who does not hide is named, by the core too (TS 6.3).
// req: 6.3-p2, 6.3-p3.1
#[test]
fn the_name_of_the_user() {
    let mut rig = Rig::with(|config| config.user_name = Some("Alice \"A\" \\ Adams".to_owned()));
    rig.send(NewMessage::text(uri(BOB), "it is me"));
    let request = rig.next_request(Method::Message);
    let quoted = "\"Alice \\\"A\\\" \\\\ Adams\" <sip:alice@example.com>";
    assert_eq!(value(request.headers(), "P-Preferred-Identity"), quoted);
    assert!(value(request.headers(), "From").starts_with(&format!("{quoted};tag=")));
    let from = parse_cpim(request.body()).from().unwrap().unwrap();
    assert_eq!(from.display_name.as_deref(), Some("Alice \"A\" \\ Adams"));
}

// req: 6.4.1-p4
#[test]
fn the_languages_of_the_user() {
    for (languages, said) in [
        (&["de"][..], "de"),
        (&["gsw-CH", "de", "en"], "gsw-CH, de;q=0.9, en;q=0.8"),
        (
            &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
            "a, b;q=0.9, c;q=0.8, d;q=0.7, e;q=0.6, f;q=0.5, g;q=0.4, h;q=0.3, i;q=0.2",
        ),
    ] {
        let set = |config: &mut ClientConfig| {
            config.languages = languages.iter().map(|tag| (*tag).to_owned()).collect()
        };
        let mut rig = Rig::with(set);
        rig.send(NewMessage::text(uri(BOB), "x"));
        assert_eq!(value(rig.next_request(Method::Message).headers(), "Accept-Language"), said);
        rig.send(NewMessage::text(uri(BOB), &"x".repeat(MAX_PAGER)));
        assert_eq!(value(rig.next_request(Method::Invite).headers(), "Accept-Language"), said);
    }
    let mut rig = Rig::new();
    rig.send(NewMessage::text(uri(BOB), "x"));
    assert!(values(rig.next_request(Method::Message).headers(), "Accept-Language").is_empty());
}

/// A reply address that names the user would undo it.
#[test]
fn an_own_address_for_replies_is_refused() {
    let mut rig = rig();
    let mut message = NewMessage::text(uri(BOB), "x").anonymous(None);
    message.reply_to = Some(uri("sip:canary-user@HOME.example.com;transport=tcp"));
    let refused = rig.command(|client, now, ports| client.send_message(now, ports, message));
    assert_eq!(refused.unwrap_err().why, SendRefusal::NotAnonymous);
    rig.quiet();
}

fn field_count(request: &Request) -> usize {
    request.headers().iter().count()
}

proptest::proptest! {
    /// Threat E4: whatever stands in a subject, a pseudonym or a name is that, or is refused: no field more, no field less.
    #[test]
    fn no_text_makes_structure(text in "[\\PC\r\n\t\0\"\\\\<>:;%{}]{0,40}") {
        let base = |change: &dyn Fn(&mut NewMessage)| {
            let mut message = NewMessage::text(uri(BOB), "x").anonymous(Some("name"));
            message.subject = Some("subject".to_owned());
            change(&mut message);
            let mut rig = Rig::new();
            let sent = rig.command(|client, now, ports| client.send_message(now, ports, message));
            sent.map(|_| rig.next_request(Method::Message))
        };
        let plain = base(&|_| {}).unwrap();
        let cpim_fields = |request: &Request| parse_cpim(request.body()).headers().iter().count();
        if let Ok(request) = base(&|message| message.subject = Some(text.clone())) {
            assert_eq!((field_count(&request), cpim_fields(&request)), (field_count(&plain), cpim_fields(&plain)));
            let subject = parse_cpim(request.body()).subject().unwrap();
            // Blanks around a value are no part of it (RFC 3862 §2.1).
            assert_eq!(subject.trim_matches(' '), text.trim_matches(' '));
        }
        match base(&|message| message.pseudonym = Some(text.clone())) {
            Ok(request) => {
                assert!(!text.chars().any(char::is_control));
                assert_eq!((field_count(&request), cpim_fields(&request)), (field_count(&plain), cpim_fields(&plain)));
                let name = parse_cpim(request.body()).from().unwrap().unwrap().display_name;
                assert_eq!(name.unwrap_or_default().trim(), text.trim());
            }
            Err(refused) => assert!(matches!(refused.why, SendRefusal::Content(_))),
        }
        let mut config = ClientConfig::new(uri("sip:alice@example.com"), contact_uri("alice", addr(ALICE_SIP)), addr(ALICE_MSRP), INSTANCE);
        config.user_name = Some(text.clone());
        let bad = text.chars().any(char::is_control);
        assert_eq!(config.validate().is_err(), bad);
        config.user_name = None;
        config.languages = vec![text.clone()];
        let fits = config.validate().is_ok();
        assert!(!fits || text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    }
}
