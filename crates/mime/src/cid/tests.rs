use super::*;
use crate::{ContentType, Multipart};
use alloc::string::ToString;
use alloc::vec;
use bytes::Bytes;
use proptest::prelude::*;

fn part(id: &str, body: &'static str) -> Part {
    let part = Part::new(&ContentType::text_plain(), Bytes::from_static(body.as_bytes()));
    part.with_header("Content-ID", &alloc::format!("<{id}>")).unwrap()
}

#[test]
fn urls_and_ids() {
    // The pair of RFC 2392 §2.
    let id = ContentId::from_url("cid:foo4%25foo1@bar.net").unwrap();
    assert_eq!(id, ContentId::parse("<foo4%foo1@bar.net>").unwrap());
    assert_eq!(id.to_url(), "cid:foo4%25foo1@bar.net");
    assert_eq!(id.to_string(), "<foo4%foo1@bar.net>");
    assert_eq!(ContentId::from_url("CID:a%40b").unwrap().as_str(), "a@b");
    for bad in [
        "",
        "cid",
        "cid:",
        "mid:a@b",
        "a@b",
        "cid:%",
        "cid:%4",
        "cid:%zz",
        "cid:%ff",
        "cid:a%0d%0ab",
        "cid:a%20b",
        "cid:%3ca",
    ] {
        assert_eq!(ContentId::from_url(bad), Err(MimeError::CidSyntax), "{bad}");
    }
    for bad in ["", "<>", "a@b", "<a@b", "a@b>", "<a b>", "<<a>>", "<a\u{a0}b>", "<a\0>"] {
        assert_eq!(ContentId::parse(bad), Err(MimeError::ContentIdSyntax), "{bad}");
    }
}

#[test]
fn a_part_is_found_at_any_depth() {
    let limits = Limits::default();
    let inner = Multipart::new("mixed", vec![part("two@x", "2"), part("three@x", "3")]).unwrap();
    let inner = Part::new(&inner.content_type(), inner.to_bytes().unwrap())
        .with_header("Content-ID", "<in@x>")
        .unwrap();
    let outer = |last: Part| {
        let outer = Multipart::new("related", vec![part("one@x", "1"), inner.clone(), last]).unwrap();
        Part::new(&outer.content_type(), outer.to_bytes().unwrap())
    };
    let body = outer(part("four@x", "4"));
    let find = |body: &Part, url: &str| body.find(&ContentId::from_url(url).unwrap(), &limits);
    assert_eq!(find(&body, "cid:three@x").unwrap().unwrap().body, "3");
    assert_eq!(find(&body, "cid:in@x").unwrap().unwrap(), inner);
    assert_eq!(find(&body, "cid:Three@x"), Ok(None));
    assert_eq!(find(&part("me@x", "5"), "cid:me@x").unwrap().unwrap().body, "5");
    // Twice the same: two readers would take different ones.
    let twice = outer(part("two@x", "another"));
    assert_eq!(find(&twice, "cid:two@x"), Err(MimeError::ContentIdRepeated));
}

proptest! {
    #[test]
    fn every_id_survives_its_url(id in "[^\\s\\pC<>]{1,20}") {
        let id = ContentId::new(&id).unwrap();
        let url = id.to_url();
        prop_assert!(url.bytes().all(|b| b.is_ascii_graphic()));
        prop_assert_eq!(ContentId::from_url(&url), Ok(id.clone()));
        prop_assert_eq!(ContentId::parse(&id.to_string()), Ok(id));
    }

    #[test]
    fn no_text_panics(text in ".{0,20}", near in "cid:[%a0-9f@]{0,10}") {
        let _ = (ContentId::from_url(&text), ContentId::from_url(&near), ContentId::parse(&text));
    }
}
