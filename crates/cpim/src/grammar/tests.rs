#![allow(clippy::arithmetic_side_effects)]

use super::*;
use alloc::vec;
use proptest::prelude::*;

#[test]
fn escapes_of_rfc_3862() {
    let cases = [
        ("plain \u{e4}", "plain \u{e4}"),
        (r"\\\b\t\n\r", "\\\u{8}\t\n\r"),
        (r#"\"\'"#, "\"'"),
        (r"\u0041\u00e4\u20AC", "A\u{e4}\u{20ac}"),
        // Two UCS-2 units are one character; one half alone is none.
        (r"\ud83d\ude00!", "\u{1f600}!"),
        (r"\ud83dx\ude00", "\u{fffd}x\u{fffd}"),
        // Unknown escapes are the character, a backslash at the end is nothing.
        (r"\q\u00\u00g1\", "qu00u00g1"),
        (r"\u+041", "u+041"),
        (r"\u00e", "u00e"),
    ];
    for (written, meant) in cases {
        assert_eq!(unescape(written), meant, "{written}");
    }
    assert_eq!(
        escape("a\\b\"c\u{8}\t\n\r\0\u{1f}\u{7f}'\u{e4}", true),
        r#"a\\b\"c\b\t\n\r\u0000\u001f\u007f'ä"#
    );
    assert_eq!(escape("\"", false), "\"");
}

/// Threat A8: quotes and escapes without an end are refused.
#[test]
fn addresses() {
    let read = |text| address(text);
    let named = |name: &str, uri| Some((Some(String::from(name)), uri));
    assert_eq!(read("<im:a@b>"), Some((None, "im:a@b")));
    assert_eq!(read("Winnie the Pooh <im:pooh@a>"), named("Winnie the Pooh", "im:pooh@a"));
    assert_eq!(read("Zo\u{eb} O'Neil J. <im:z>"), named("Zo\u{eb} O'Neil J.", "im:z"));
    assert_eq!(read("\"A, \\\"B\\\" \\\\ <x>\" <im:a>"), named("A, \"B\" \\ <x>", "im:a"));
    assert_eq!(read("\"A\"<tel:+49;x=y>"), named("A", "tel:+49;x=y"));
    assert_eq!(read("\"\" <im:a>"), named("", "im:a"));
    for text in [
        "",
        "im:a@b",
        "<>",
        "<a>",
        "<:a>",
        "<1a:b>",
        "<im:>",
        "<im:a b>",
        "<im:a><im:b>",
        "<im:a> ",
        " <im:a>",
        "A<im:a>",
        "A, B <im:a>",
        "\"A <im:a>",
        "\"A\\\" <im:a>",
        "A  <im:a>",
        "<im:\u{e4}>",
        "<im:a",
        "im:a>",
        "<im:a\\>",
        "\"A\"  <im:a>",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn namespaces_dispositions_and_names() {
    assert_eq!(namespace("imdn <urn:ietf:params:imdn>"), Some((Some("imdn"), "urn:ietf:params:imdn")));
    assert_eq!(namespace("imdn<urn:x>"), Some((Some("imdn"), "urn:x")));
    assert_eq!(namespace("<urn:x>"), Some((None, "urn:x")));
    for text in ["imdn", "imdn urn:x", "im.dn <urn:x>", "imdn <urn:x>.", "imdn <x>", "a b <urn:x>"] {
        assert_eq!(namespace(text), None, "{text}");
    }
    assert_eq!(dispositions(""), Some(vec![]));
    assert_eq!(dispositions("display"), Some(vec!["display"]));
    assert_eq!(dispositions("a ,b,  c ; x=1;y=\"\\\",\" ,d"), Some(vec!["a", "b", "c", "d"]));
    for text in [",", "a,", ",a", "a,,b", "a b", "a;", "a;x", "a; x=", " a", "a "] {
        assert_eq!(dispositions(text), None, "{text}");
    }
    assert_eq!(required_names("A.B, C"), Some(vec![(Some("A"), "B"), (None, "C")]));
    for text in ["", "A.", ".B", "A.B.C", "A B", "A,"] {
        assert_eq!(required_names(text), None, "{text}");
    }
    assert_eq!(parameters(";lang=fr;x=\"a b\" rest"), (" rest", vec![("lang", "fr"), ("x", "a b")]));
    assert_eq!(parameters(";lang fr"), (";lang fr", vec![]));
}

proptest! {
    #[test]
    fn what_is_escaped_is_meant(text in any::<String>()) {
        for in_quotes in [true, false] {
            let escaped = escape(&text, in_quotes);
            prop_assert!(!escaped.chars().any(|c| c.is_ascii_control()));
            prop_assert_eq!(unescape(&escaped), text.clone());
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>(), near in "[a.<>:;,=\" \\\\u0d8]{0,20}") {
        for text in [text, near] {
            let _ = (unescape(&text), address(&text), namespace(&text), dispositions(&text), required_names(&text));
            let _ = parameters(&text);
        }
    }
}
