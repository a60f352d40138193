use super::*;
use bytes::Bytes;
use cpm_cpim::Leniency;

const HEAD: &str = "From: <sip:alice@home.test>
To: <sip:bob@home.test>
NS: imdn <urn:ietf:params:imdn>
imdn.Message-ID: m1
X-Odd: kept  as it is

";

/// A text, a picture, a visiting card, a report of the protocol and an attachment, in two levels.
const MIXED: &str = "Content-Type: multipart/mixed; boundary=\"B 1\"
Content-Language: en

before
--B 1
Content-Type: text/plain; charset=utf-8

Look at this
--B 1
Content-Type: multipart/related; boundary=B2

--B2
Content-Type: text/html

<img src=\"cid:p@x\"/>
--B2
Content-Type:  IMAGE/jpeg;name=\"a b.jpg\"
Content-ID: <p@x>
Content-Transfer-Encoding: base64

/9j/4AAQ
--B2--
--B 1
Content-Type: text/vcard

BEGIN:VCARD
--B 1
Content-Type: message/imdn+xml
Content-Disposition: notification

<imdn/>
--B 1
Content-Type: text/plain
Content-Disposition: attachment; filename=x.txt

notes
--B 1--
after";

fn message(content: &str) -> CpimMessage {
    let octets = Bytes::from(format!("{HEAD}{content}").replace('\n', "\r\n"));
    CpimMessage::parse(octets, &cpm_cpim::Limits::default(), &Leniency::default()).unwrap().0
}

fn kept(parts: &[(&str, &str, u64)]) -> BodyStructure {
    let part = |(section, content_type, octets): &(&str, &str, u64)| BodyPart {
        section: (*section).to_owned(),
        content_type: (*content_type).to_owned(),
        octets: *octets,
    };
    let url = "imap://bob@store.test/tel%3a+1555;UIDVALIDITY=3/;UID=7".to_owned();
    BodyStructure { url, parts: parts.iter().map(part).collect() }
}

fn until() -> DateTime {
    DateTime::parse("2026-12-21T10:00:00Z").unwrap()
}

fn wire(message: &CpimMessage) -> String {
    String::from_utf8(message.to_bytes().to_vec()).unwrap()
}

fn expected_reference(section: &str, octets: u64, content: &str) -> String {
    format!(
        "Content-Type: message/external-body;access-type=URL;\
         URL=\"imap://bob@store.test/tel%3a+1555;UIDVALIDITY=3/;UID=7/;SECTION={section}\";\
         expiration=\"Mon, 21 Dec 2026 10:00:00 GMT\";size={octets}\n\n{content}\n"
    )
}

// req: 8.3.1.4-p1, 8.3.1.4-found-3, 8.3.1.4-refs-1, 8.3.1.4-refs-2
#[test]
fn media_become_references_and_nothing_else_changes() {
    let kept = kept(&[
        ("1", "text/plain", 12),
        ("2.1", "text/html", 20),
        ("2.2", "image/JPEG; name=\"a b.jpg\"", 8),
        ("3", "text/vcard", 11),
        ("4", "message/imdn+xml", 7),
        ("5", "text/plain", 5),
    ]);
    let read = message(MIXED);
    let sent = with_references(&read, &kept, until(), &Limits::DEFAULT).unwrap().unwrap();
    let picture =
        "Content-Type:  IMAGE/jpeg;name=\"a b.jpg\"\nContent-ID: <p@x>\nContent-Transfer-Encoding: base64\n";
    let card = "Content-Type: text/vcard\n";
    let notes = "Content-Type: text/plain\nContent-Disposition: attachment; filename=x.txt\n";
    let render = "Content-Disposition: render\n";
    let expected = format!("{HEAD}{MIXED}")
        .replace(
            &format!("{picture}\n/9j/4AAQ"),
            &expected_reference("2.2", 8, &format!("{picture}{render}")),
        )
        .replace(&format!("{card}\nBEGIN:VCARD"), &expected_reference("3", 11, &format!("{card}{render}")))
        .replace(&format!("{notes}\nnotes"), &expected_reference("5", 5, notes));
    assert_eq!(wire(&sent), expected.replace('\n', "\r\n"));
}

// req: 8.3.1.4-refs-2
#[test]
fn what_was_put_in_is_read_as_rfc_4483_says() {
    let read = message("Content-Type: image/png\nContent-ID: <i@x>\n\nPNG");
    let kept = kept(&[("1 b", "image/png", 3)]);
    let sent = with_references(&read, &kept, until(), &Limits::DEFAULT).unwrap().unwrap();
    let external = ExternalBody::read(sent.content(), &Limits::DEFAULT).unwrap().unwrap();
    assert_eq!(external.url, "imap://bob@store.test/tel%3a+1555;UIDVALIDITY=3/;UID=7/;SECTION=1%20b");
    assert_eq!((external.size, external.expires()), (Some(3), Some(until())));
    assert!(external.content.content_type().unwrap().is("image/png"));
    assert_eq!(external.content.content_id().unwrap().as_deref(), Some("i@x"));
    assert!(!wire(&sent).contains("PNG"));
    assert_eq!(sent.imdn_message_id().unwrap().as_deref(), Some("m1"));
}

#[test]
fn a_message_without_media_stays() {
    for content in [
        "Content-Type: text/plain\n\nhello",
        "Content-Type: message/imdn+xml\nContent-Disposition: notification\n\n<imdn/>",
        "Content-Type: message/external-body; access-type=URL; URL=\"imap://x/y\"\n\nContent-Type: image/png\n\n",
        "Content-Type: application/resource-lists+xml\nContent-Disposition: recipient-list-history\n\n<x/>",
        "Content-Type: application/vnd.oma.cpm-event-iw+xml\n\n<x/>",
        "Content-Type: multipart/signed; boundary=b\n\n--b\nContent-Type: image/png\n\nPNG\n--b--\n",
    ] {
        let read = message(content);
        assert!(!has_media_objects(&read, &Limits::DEFAULT), "{content}");
        assert_eq!(with_references(&read, &kept(&[]), until(), &Limits::DEFAULT), Ok(None), "{content}");
    }
    assert!(has_media_objects(&message(MIXED), &Limits::DEFAULT));
    assert!(has_media_objects(&message("Content-Type: application/pdf\n\nx"), &Limits::DEFAULT));
}

/// What the store does not have, nobody may take out of the message.
#[test]
fn nothing_is_taken_out_that_is_not_kept() {
    let two = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png\n\n1\n--b\nContent-Type: image/png\n\n2\n--b--\n";
    for parts in [&[][..], &[("1", "image/png", 1)], &[("1", "image/png", 1), ("2", "image/gif", 1)]] {
        let fault = with_references(&message(two), &kept(parts), until(), &Limits::DEFAULT);
        let content_type = "image/png".to_owned();
        assert_eq!(fault, Err(ReferenceFault::NotKept { content_type }), "{parts:?}");
    }
    // Parts that the message does not have are passed over, parts of one type keep their order.
    let parts = [("1", "text/plain", 9), ("2", "image/png", 1), ("3", "text/x", 1), ("4", "image/png", 2)];
    let sent = with_references(&message(two), &kept(&parts), until(), &Limits::DEFAULT).unwrap().unwrap();
    let text = wire(&sent);
    assert!(text.find(";SECTION=2\"").unwrap() < text.find(";SECTION=4\"").unwrap());
}

/// Threat E4: nothing that the store says ends the header field that it is put into.
#[test]
fn a_url_with_a_line_end_is_refused() {
    let mut kept = kept(&[("1\r\nX: y", "image/png", 1)]);
    let read = message("Content-Type: image/png\n\nPNG");
    let sent = with_references(&read, &kept, until(), &Limits::DEFAULT).unwrap().unwrap();
    assert!(wire(&sent).contains("SECTION=1%0D%0AX:%20y"));
    kept.url = "imap://x\r\nX: y".to_owned();
    assert!(matches!(
        with_references(&read, &kept, until(), &Limits::DEFAULT),
        Err(ReferenceFault::Content(MimeError::ExternalBody("URL")))
    ));
}
