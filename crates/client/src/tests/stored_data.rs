//! Stored data that are passed on without being fetched (TS 7.2.1.4).

use super::harness::*;
use crate::{MAX_PAGER, NewMessage, SendRefusal, StoredData};
use cpm_mime::{ContentType, ExternalBody, Part};
use cpm_sip::Method;

const BOB: &str = "sip:bob@198.51.100.1";
const URL: &str = "imap://alice@store.example.com/photos;UIDVALIDITY=385759045/;UID=20/;section=1.2";

fn photo(url: &str) -> StoredData {
    let content_type = ContentType::parse("image/jpeg").unwrap();
    StoredData { url: url.to_owned(), content_type, size: Some(48_213) }
}

fn content(message: NewMessage) -> Part {
    let mut rig = Rig::new();
    rig.send(message);
    parse_cpim(rig.next_request(Method::Message).body()).content().clone()
}

// req: 7.2.1.4-1, 7.2.1.4-2
#[test]
fn a_reference_stands_for_the_data() {
    // The URL comes from the Message Storage Client as it is, or with what makes it fetched already.
    for url in [URL.to_owned(), format!("{URL}?action=fetch")] {
        let mut rig = Rig::new();
        rig.send(NewMessage::forward(uri(BOB), photo(&url)));
        let request = rig.next_request(Method::Message);
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let (_, content) = body.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            content,
            format!(
                "Content-Type: message/external-body;access-type=URL;URL=\"{URL}?action=fetch\";size=48213\r\n\r\n\
                 Content-Type: image/jpeg\r\n\r\n"
            )
        );
    }
}

// req: 7.2.1.4-2-n1
#[test]
fn text_and_references_are_parts() {
    let message =
        NewMessage::text(uri(BOB), "Look:").with_stored(photo(URL)).with_stored(photo("imap://s/a/;UID=1"));
    let content = content(message);
    assert!(content.content_type().unwrap().is("multipart/mixed"));
    let limits = cpm_mime::Limits::DEFAULT;
    let multipart = content.multipart(&limits).unwrap().unwrap();
    let [text, first, second] = multipart.parts() else { panic!() };
    assert_eq!(text.content_type().unwrap().to_string(), "text/plain;charset=UTF-8");
    assert_eq!(&text.decoded().unwrap()[..], b"Look:");
    for (part, url) in [(first, URL), (second, "imap://s/a/;UID=1")] {
        let external = ExternalBody::read(part, &limits).unwrap().unwrap();
        assert_eq!(external.url, format!("{url}?action=fetch"));
        assert_eq!(external.size, Some(48_213));
        assert!(external.content.content_type().unwrap().is("image/jpeg"));
    }
}

/// What counts is what is sent, not what it stands for.
// req: 7.2.1.4-3
#[test]
fn many_references_make_a_large_message() {
    let mut rig = Rig::new();
    let one = NewMessage::forward(uri(BOB), photo(URL));
    assert!(!rig.send(one.clone()).large);
    assert!(rig.next_request(Method::Message).body().len() <= MAX_PAGER);
    let many = (0..8).fold(one, |message, _| message.with_stored(photo(URL)));
    assert!(rig.send(many).large);
    rig.next_request(Method::Invite);
}

/// Threat E4: what is no URL of stored data is not sent.
#[test]
fn urls_that_are_none() {
    for url in [
        "",
        "imap://s/a/;UID=1?SUBJECT x",
        "imap://s/a?x=y",
        "imap://s/ a",
        "imap://s/\r\nTo: x",
        "imap://s/\u{1}",
    ] {
        let mut rig = Rig::new();
        let message = NewMessage::forward(uri(BOB), photo(url));
        let refused = rig.command(|client, now, ports| client.send_message(now, ports, message));
        assert!(matches!(refused.unwrap_err().why, SendRefusal::Content(_)), "{url}");
        rig.quiet();
    }
}
