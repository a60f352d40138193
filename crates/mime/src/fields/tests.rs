#![allow(clippy::arithmetic_side_effects)]

use super::*;
use alloc::format;
use alloc::string::ToString;
use proptest::prelude::*;

fn parse(text: &str) -> Result<ContentType, MimeError> {
    ContentType::parse(text)
}

#[test]
fn reads_what_rfc_2045_shows() {
    let plain = parse("text/plain; charset=us-ascii (Plain text)").unwrap();
    assert_eq!(plain, parse("text/plain; charset=\"us-ascii\"").unwrap());
    assert_eq!(plain, ContentType::text_plain());
    let odd = parse(" Multipart / Mixed ;Boundary = \"a;\\\"b\\\\ c\" (x (y) \\) z) ; n=1 ").unwrap();
    assert!(odd.is("multipart/mixed") && odd.is_multipart());
    assert_eq!(odd.essence(), "multipart/mixed");
    assert_eq!((odd.type_(), odd.subtype()), ("Multipart", "Mixed"));
    assert_eq!(odd.param("BOUNDARY"), Some("a;\"b\\ c"));
    assert_eq!(odd.params().map(|(name, _)| name).collect::<Vec<_>>(), ["Boundary", "n"]);
    assert_eq!(odd.to_string(), "Multipart/Mixed;Boundary=\"a;\\\"b\\\\ c\";n=1");
    assert!(!odd.is("multipart") && !odd.is("multipart/mixed/") && !odd.is("text/plain"));
}

/// threat: A7, A8. Quotes, escapes and comments without an end among them.
#[test]
fn refuses_what_is_no_media_type() {
    for text in [
        "",
        "text",
        "text/",
        "/plain",
        "text/plain;",
        "text/plain; x",
        "text/plain; x=",
        "text/plain x=1",
        "te xt/plain",
        "text/plain; x=\"a",
        "text/plain; x=\"a\\",
        "text/plain (x",
        "text/plain; x=1; X=2",
        "text/plain;; x=1",
        "text/pläin",
        "text/plain; x=\"a\r\nb\"",
        "text/plain; x=a\0",
        "text/plain; x=\"\\\0\"",
        "text/plain)",
    ] {
        assert_eq!(parse(text), Err(MimeError::ContentTypeSyntax), "{text:?}");
    }
}

#[test]
fn limits_hold_to_the_one() {
    let params = |n: usize| (0..n).map(|i| format!(";a{i}=1")).collect::<String>();
    let comment = |n: usize| format!("text/plain {}{}", "(".repeat(n), ")".repeat(n));
    let limit = |limit, value, max| Err(MimeError::Limit(cpm_base::LimitExceeded { limit, value, max }));
    assert!(parse(&format!("a/b{}", params(64))).is_ok());
    assert_eq!(parse(&format!("a/b{}", params(65))), limit("mime.max_params", 65, 64));
    assert!(parse(&comment(8)).is_ok());
    assert_eq!(parse(&comment(9)), limit("mime.comment_depth", 9, 8));
}

#[test]
fn dispositions() {
    let file = ContentDisposition::parse("Attachment; filename=\"a b.txt\"; size=3").unwrap();
    assert!(file.is("attachment"));
    assert_eq!((file.disposition(), file.param("FileName")), ("Attachment", Some("a b.txt")));
    assert_eq!(file.to_string(), "Attachment;filename=\"a b.txt\";size=3");
    assert_eq!(
        ContentDisposition::parse("notification").unwrap(),
        ContentDisposition::new("notification").unwrap()
    );
    assert_eq!(ContentDisposition::parse("; filename=x"), Err(MimeError::DispositionSyntax));
    assert_eq!(ContentDisposition::new("a b"), Err(MimeError::NotWritable));
    assert_eq!(file.with_param("filename", "c\r\n"), Err(MimeError::NotWritable));
}

#[test]
fn nothing_that_breaks_a_header_field_gets_in() {
    assert_eq!(ContentType::new("te xt", "plain"), Err(MimeError::NotWritable));
    let plain = ContentType::text_plain();
    assert_eq!(plain.clone().with_param("na me", "x"), Err(MimeError::NotWritable));
    assert_eq!(plain.clone().with_param("name", "x\r\nEvil: yes"), Err(MimeError::NotWritable));
    assert_eq!(plain.clone().with_param("name", "\0"), Err(MimeError::NotWritable));
    assert_eq!(plain.with_param("CHARSET", "utf-8").unwrap().to_string(), "text/plain;charset=utf-8");
}

proptest! {
    #[test]
    fn what_is_written_is_read(name in "[a-z]{1,5}", value in "[^\\x00-\\x1f\\x7f]{0,20}") {
        let made = ContentType::new("a", "b").unwrap().with_param(&name, &value).unwrap();
        prop_assert_eq!(parse(&made.to_string()), Ok(made));
        let made = ContentDisposition::new("a").unwrap().with_param(&name, &value).unwrap();
        prop_assert_eq!(ContentDisposition::parse(&made.to_string()), Ok(made));
    }

    #[test]
    fn no_text_panics(text in ".{0,60}", near in "[a/;=\"\\\\() ]{0,30}") {
        let _ = (parse(&text), parse(&near), ContentDisposition::parse(&near));
    }
}
