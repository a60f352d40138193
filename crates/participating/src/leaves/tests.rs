use super::*;
use bytes::Bytes;
use cpm_mime::ContentType;
use proptest::prelude::*;

fn part(text: &str) -> Part {
    Part::parse(Bytes::from(text.replace('\n', "\r\n")), &Limits::DEFAULT).unwrap()
}

fn text(body: &str) -> Part {
    Part::new(&ContentType::parse("text/plain").unwrap(), Bytes::from(body.to_owned()))
}

/// Upper case in the place of what is called `a…`.
fn shout(content: &Part) -> Result<Option<Part>, MimeError> {
    replace_leaves(content, &Limits::DEFAULT, |leaf| {
        let body = String::from_utf8(leaf.body.to_vec()).unwrap();
        Ok(body.starts_with('a').then(|| text(&body.to_uppercase())))
    })
}

const NESTED: &str = "Content-Type: multipart/mixed; boundary=\"out er\"
X-Kept:   as it is

preamble
--out er
Content-Type: text/plain

a1
--out er
content-type:  multipart/alternative;boundary=in

--in

b
--in
Content-Type: text/plain

a2
--in--
--out er
Content-Type: multipart/signed; boundary=in

--in

a3
--in--

--out er--
epilogue";

#[test]
fn what_is_not_replaced_stays_octet_for_octet() {
    let content = part(NESTED);
    let shouted = shout(&content).unwrap().unwrap();
    let expected = NESTED.replace("a1", "A1").replace("a2", "A2").replace('\n', "\r\n");
    assert_eq!(String::from_utf8(shouted.to_bytes().to_vec()).unwrap(), expected);
    assert_eq!(shout(&part(&NESTED.replace("a1", "b1").replace("a2", "b2"))), Ok(None));
}

#[test]
fn a_content_that_is_no_multipart_is_its_own_leaf() {
    assert_eq!(shout(&text("abc")), Ok(Some(text("ABC"))));
    assert_eq!(shout(&text("xyz")), Ok(None));
}

/// The boundary is in what is put in: another one is taken, and announced.
#[test]
fn a_boundary_gives_way_to_what_is_put_in() {
    let content = part("Content-Type: multipart/mixed; boundary=B1\n\n--B1\n\na\n--B1--\n");
    let new =
        replace_leaves(&content, &Limits::DEFAULT, |_| Ok::<_, MimeError>(Some(text("x\r\n--B1--\r\ny"))));
    let new = new.unwrap().unwrap();
    let inside = new.multipart(&Limits::DEFAULT).unwrap().unwrap();
    assert_ne!(inside.boundary(), "B1");
    assert_eq!(inside.parts().len(), 1);
    assert_eq!(inside.parts()[0].body, "x\r\n--B1--\r\ny");
}

#[test]
fn limits_hold() {
    let deep = (0..5).rev().fold("Content-Type: text/plain\n\na".to_owned(), |inner, n| {
        format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n{inner}\n--b{n}--\n")
    });
    assert!(matches!(shout(&part(&deep)), Err(MimeError::Limit(limit)) if limit.limit == "mime.max_depth"));
    let inner = format!("{}--i--\n", "--i\n\na\n".repeat(20));
    let wide = format!("--o\nContent-Type: multipart/mixed; boundary=i\n\n{inner}").repeat(2);
    let wide = format!("Content-Type: multipart/mixed; boundary=o\n\n{wide}--o--\n");
    assert!(matches!(shout(&part(&wide)), Err(MimeError::Limit(limit)) if limit.limit == "mime.max_parts"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_content_panics(octets in prop::collection::vec(any::<u8>(), 0..200), kind in 0..3_u8) {
        let kind = ["multipart/mixed;boundary=b", "multipart/alternative;boundary=\"-\"", "text/plain"][usize::from(kind)];
        let content = Part::new(&ContentType::parse(kind).unwrap(), Bytes::from(octets));
        let _ = replace_leaves(&content, &Limits::DEFAULT, |_| Ok::<_, MimeError>(Some(text("--b"))));
    }

    /// What was put in is read again.
    #[test]
    fn what_is_written_is_read(bodies in prop::collection::vec("[a-c\\-\r\n]{0,12}", 1..5)) {
        let parts = bodies.iter().map(|body| text(body)).collect();
        let whole = Multipart::new("mixed", parts).unwrap();
        let content = Part::new(&whole.content_type(), whole.to_bytes().unwrap());
        let shouted = shout(&content).unwrap().unwrap_or(content);
        let read = shouted.multipart(&Limits::DEFAULT).unwrap().unwrap();
        let expected = |body: &String| if body.starts_with('a') { body.to_uppercase() } else { body.clone() };
        let expected: Vec<Bytes> = bodies.iter().map(|body| Bytes::from(expected(body))).collect();
        prop_assert_eq!(read.parts().iter().map(|part| part.body.clone()).collect::<Vec<_>>(), expected);
    }
}
