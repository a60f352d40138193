use super::*;
use crate::Limits;
use alloc::vec;
use bytes::Bytes;

fn part(kind: &str, id: Option<&str>) -> Part {
    let part = Part::new(&ContentType::parse(kind).unwrap(), Bytes::from_static(b"x"));
    match id {
        Some(id) => part.with_header("Content-ID", id).unwrap(),
        None => part,
    }
}

fn again(multipart: &Multipart) -> Multipart {
    Multipart::parse(&multipart.content_type(), multipart.to_bytes().unwrap(), &Limits::default()).unwrap()
}

#[test]
fn related_says_where_it_starts() {
    let picture = part("image/png", Some("<p@x>"));
    let written = Multipart::related(part("text/HTML", Some("<root@x>")), vec![picture.clone()]).unwrap();
    let kind = written.content_type();
    assert!(kind.is("multipart/related"));
    assert_eq!((kind.param("type"), kind.param("start")), (Some("text/html"), Some("<root@x>")));
    let read = again(&written);
    // What was announced stays announced, also behind an edit.
    assert_eq!(read.content_type(), kind);
    assert_eq!(read.root().unwrap().content_id().unwrap().as_deref(), Some("root@x"));
    let mut edited = read;
    edited.parts_mut().rotate_left(1);
    edited.choose_boundary();
    let edited = again(&edited);
    assert_eq!(edited.root().unwrap(), &edited.parts()[1]);
    // Without an id it is the first.
    let plain = Multipart::related(part("text/html", None), vec![picture]).unwrap();
    assert_eq!(plain.content_type().param("start"), None);
    assert_eq!(again(&plain).root().unwrap(), &plain.parts()[0]);
}

#[test]
fn a_start_that_leads_nowhere_is_refused() {
    let twice = Multipart::related(part("a/b", Some("<i>")), vec![part("c/d", Some("<i>"))]);
    assert_eq!(twice, Err(MimeError::ContentIdRepeated));
    let read = |start: &str| {
        let kind =
            ContentType::parse("multipart/related;boundary=b").unwrap().with_param("start", start).unwrap();
        let body = Bytes::from_static(b"--b\r\nContent-ID: <i>\r\n\r\n1\r\n--b--\r\n");
        let read = Multipart::parse(&kind, body, &Limits::default()).unwrap();
        read.root().map(|part| part.body.clone())
    };
    assert_eq!(read("<i>").unwrap(), "1");
    assert_eq!(read("<j>"), Err(MimeError::StartMissing));
    assert_eq!(read("i"), Err(MimeError::ContentIdSyntax));
}

#[test]
fn the_last_alternative_that_is_understood() {
    let both =
        Multipart::alternative(vec![part("text/plain", None), part("text/html", None), part("x/y", None)]);
    let read = again(&both.unwrap());
    assert!(read.content_type().is("multipart/alternative"));
    let chosen = |types: &[&str]| {
        let found = read.preferred(|kind| types.iter().any(|known| kind.is(known))).unwrap();
        found.map(|part| part.content_type().unwrap().essence())
    };
    assert_eq!(chosen(&["text/plain", "text/html"]).as_deref(), Some("text/html"));
    assert_eq!(chosen(&["text/plain"]).as_deref(), Some("text/plain"));
    assert_eq!(chosen(&["image/png"]), None);
}
