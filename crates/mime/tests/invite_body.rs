//! The body of an INVITE that carries a session description, the list of those invited, a CPIM message and a thumbnail,
//! which the message points at.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::Bytes;
use cpm_mime::{ContentId, ContentType, ExternalBody, Limits, MimeHeaders, Multipart, MultipartWriter, Part};

const CONTENT_TYPE: &str = "multipart/mixed;boundary=\"outer 1\"";

const BODY: &str = "This is a message in several parts.\r\n\
--outer 1\r\n\
Content-Type: application/sdp\r\n\
\r\n\
v=0\r\no=alice 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
m=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\na=path:msrp://192.0.2.1:2855/s1;tcp\r\n\
\r\n\
--outer 1\r\n\
content-type: application/resource-lists+xml\r\n\
Content-Disposition:  recipient-list; handling=\r\n\toptional\r\n\
\r\n\
<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
<entry uri=\"sip:bob@example.com\"/></list></resource-lists>\r\n\
--outer 1  \r\n\
Content-Type: multipart/related;boundary=inner;type=\"message/cpim\";start=\"<message@example.com>\"\r\n\
\r\n\
--inner\r\n\
Content-Type: IMAGE/PNG\r\n\
Content-Transfer-Encoding: base64\r\n\
Content-ID: <thumb%1@example.com>\r\n\
Content-Disposition: icon\r\n\
\r\n\
iVBORw0KGgo=\r\n\
\r\n\
--inner\r\n\
Content-Type: message/cpim\r\n\
Content-ID: <message@example.com>\r\n\
\r\n\
From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\r\nContent-Type: text/plain\r\n\r\nHello\r\n\
--inner--\r\n\
--outer 1\r\n\
Content-Type: message/sipfrag\r\n\
\r\n\
SIP/2.0 100 Trying\r\n\
--outer 1\r\n\
Content-Type: message/sip\r\n\
\r\n\
BYE sip:a SIP/2.0\r\nContent-Type: multipart/mixed;boundary=x\r\n\r\n--x\r\n\r\n1\r\n--x--\r\n\
--outer 1\r\n\
Content-Type: message/external-body;access-type=URL;URL=\"https://example.com/1\";size=9\r\n\
\r\n\
Content-Type: video/mp4\r\n\
\r\n\
\r\n\
--outer 1--\r\n\
and nothing more";

fn body() -> (Part, Limits) {
    let content_type = ContentType::parse(CONTENT_TYPE).unwrap();
    (Part::new(&content_type, Bytes::from_static(BODY.as_bytes())), Limits::default())
}

#[test]
fn it_is_read() {
    let (body, limits) = body();
    let shape: Vec<_> =
        body.walk(&limits).unwrap().iter().map(|(d, p)| (*d, p.content_type().unwrap().essence())).collect();
    let expected = [
        (0, "multipart/mixed"),
        (1, "application/sdp"),
        (1, "application/resource-lists+xml"),
        (1, "multipart/related"),
        (2, "image/png"),
        (2, "message/cpim"),
        (1, "message/sipfrag"),
        (1, "message/sip"),
        (1, "message/external-body"),
    ];
    assert_eq!(shape, expected.map(|(depth, essence)| (depth, essence.to_owned())));
    let outer = body.multipart(&limits).unwrap().unwrap();
    let [sdp, list, related, _, sip, external] = outer.parts() else { panic!() };
    assert!(sdp.body.starts_with(b"v=0\r\n") && sdp.body.ends_with(b";tcp\r\n"));
    let disposition = list.content_disposition().unwrap().unwrap();
    assert!(disposition.is("recipient-list"));
    assert_eq!(disposition.param("handling"), Some("optional"));
    // The root of the related part is the one that it names, not the first.
    let related = related.multipart(&limits).unwrap().unwrap();
    assert!(related.root().unwrap().content_type().unwrap().is("message/cpim"));
    // The picture is found by the URL that the message would have.
    let picture =
        body.find(&ContentId::from_url("cid:thumb%251@example.com").unwrap(), &limits).unwrap().unwrap();
    assert_eq!(picture.decoded().unwrap(), &b"\x89PNG\r\n\x1a\n"[..]);
    // A message inside is opaque: its own multipart is not looked into.
    assert!(sip.body.ends_with(b"--x--"));
    let external = ExternalBody::read(external, &limits).unwrap().unwrap();
    assert_eq!((&*external.url, external.size), ("https://example.com/1", Some(9)));
    assert!(external.content.content_type().unwrap().is("video/mp4"));
}

#[test]
fn it_is_written_back_octet_for_octet() {
    let (body, limits) = body();
    let mut outer = body.multipart(&limits).unwrap().unwrap();
    assert_eq!(outer.to_bytes().unwrap(), BODY);
    assert_eq!(outer.content_type().to_string(), CONTENT_TYPE);
    // Written anew, part by part, nothing but the blanks behind a delimiter differs.
    let _ = outer.parts_mut();
    assert_eq!(outer.to_bytes().unwrap(), BODY.replace("--outer 1  \r\n", "--outer 1\r\n").as_str());
    // Without what stands around it, the streaming writer makes the same.
    let mut writer = MultipartWriter::new(&outer.content_type()).unwrap();
    let mut out = Vec::new();
    for part in outer.parts() {
        writer.part(&part.headers, &mut out).unwrap();
        part.body.chunks(7).for_each(|piece| writer.body(piece, &mut out).unwrap());
    }
    writer.end(&mut out).unwrap();
    let bare = BODY.replace("--outer 1  \r\n", "--outer 1\r\n");
    let bare = bare.strip_prefix("This is a message in several parts.\r\n").unwrap();
    assert_eq!(Bytes::from(out), bare.strip_suffix("and nothing more").unwrap());
}

#[test]
fn it_is_built() {
    let kind = |text: &str| ContentType::parse(text).unwrap();
    let cpim = Part::new(
        &kind("message/cpim"),
        Bytes::from_static(b"From: <im:a@x>\r\n\r\nContent-Type: text/plain\r\n\r\nHi"),
    )
    .with_header("Content-ID", "<message@example.com>")
    .unwrap();
    let thumbnail = Part::base64(&kind("image/png"), &[0x89; 500])
        .with_header("Content-ID", "<thumb@example.com>")
        .unwrap();
    let related = Multipart::related(cpim, vec![thumbnail]).unwrap();
    let related = Part::new(&related.content_type(), related.to_bytes().unwrap());
    let sdp = Part::new(&kind("application/sdp"), Bytes::from_static(b"v=0\r\n"));
    let whole = Multipart::new("mixed", vec![sdp, related]).unwrap();
    let limits = Limits::default();
    let read = Part::new(&whole.content_type(), whole.to_bytes().unwrap());
    let leaves = read.leaves(&limits).unwrap();
    assert_eq!(leaves.len(), 3);
    let found = read.find(&ContentId::from_url("cid:thumb@example.com").unwrap(), &limits).unwrap().unwrap();
    assert_eq!(found.decoded().unwrap(), vec![0x89; 500]);
    assert_eq!(found, leaves[2]);
}

#[test]
fn no_cut_and_no_changed_octet_makes_it_panic() {
    let content_type = ContentType::parse(CONTENT_TYPE).unwrap();
    let limits = Limits::default();
    let close = BODY.find("--outer 1--").unwrap();
    for at in 0..BODY.len() {
        let cut = Part::new(&content_type, Bytes::from_static(&BODY.as_bytes()[..at]));
        let read = cut.walk(&limits);
        // Without its end the body is refused; behind it nothing is missing, if that line is not cut inside its CRLF.
        let end = close + "--outer 1--".len();
        assert_eq!(read.is_ok(), at == end || at >= end + 2, "{at}");
        let mut changed = BODY.as_bytes().to_vec();
        changed[at] ^= 0x80;
        let changed = Part::new(&content_type, Bytes::from(changed));
        let _ = changed
            .walk(&limits)
            .map(|parts| parts.iter().map(|(_, part)| part.decoded()).collect::<Vec<_>>());
        let _ = changed.find(&ContentId::new("message@example.com").unwrap(), &limits);
    }
    let mut headers = MimeHeaders::new();
    assert!(headers.push("Content-ID", "<a>\r\nX: y").is_err());
}
