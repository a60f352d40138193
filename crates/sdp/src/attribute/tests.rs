#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

/// Values as they stand behind `a=`, written back as they are: at least one of every name.
const ALL: &[&str] = &[
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "msrp-cema",
    "rtcp-mux",
    "setup:active",
    "setup:passive",
    "setup:actpass",
    "setup:holdconn",
    "connection:new",
    "connection:existing",
    "path:msrp://relay.example.com:9000/a;tcp msrps://[2001:db8::1]:7394/2s93i93idj;tcp",
    "accept-types:message/cpim text/* *",
    "accept-wrapped-types:text/plain;charset=utf-8",
    "max-size:20000",
    "max-chunk-size:1024",
    "file-selector",
    "file-selector:name:\"My cool picture.jpg\" type:image/jpeg size:32349 hash:sha-1:72:24:5F:E8",
    "file-selector:name:\"a%22b%25c%2Fd\" type:text/plain;charset=\"utf 8\" hash:sha-256:00 hash:sha-1:FF",
    "file-transfer-id:vBnG916bdberum2fFEABR1FR3ExZMUrd",
    "file-disposition:attachment",
    "file-date:creation:\"Mon, 15 May 2006 15:01:31 +0300\" read:\"Tue, 16 May 2006 15:01:31 +0300\"",
    "file-date:modification:\"x\"",
    "file-icon:cid:id2@alicepc.example.com",
    "file-range:1-32349",
    "file-range:5-*",
    "chatroom",
    "chatroom:nickname private-messages org.openmobilealliance.groupchat.closed",
    "rtpmap:96 AMR-WB/16000/1",
    "rtpmap:0 PCMU/8000",
    "fmtp:96 mode-change-capability=2; max-red=220",
    "ptime:20",
    "maxptime:0.5",
    "framerate:29.97",
    "rtcp:53020",
    "rtcp:53020 IN IP4 198.51.100.23",
    "rtcp:53020 IN IP6 2001:db8::1",
    "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVe|2^20|1:4 UNENCRYPTED_SRTP",
    "fingerprint:sha-256 12:DF:3E",
    "mid:1",
    "group:LS 1 2",
    "group:FID",
    "label:main-1",
    "content:slides,alt",
    "cat:foo.bar",
    "keywds:a b",
    "tool:cpm 1.0",
    "orient:landscape",
    "type:H332",
    "charset:UTF-8",
    "sdplang:de",
    "lang:de-AT",
    "quality:10",
];

fn read(text: &str) -> Result<Option<TypedAttribute>, AttributeError> {
    crate::description::Attribute::read(text.as_bytes()).unwrap().typed()
}

#[test]
fn every_name_is_read_and_written_as_it_was() {
    for text in ALL {
        let attribute = read(text).unwrap_or_else(|e| panic!("{text}: {e}")).unwrap();
        assert_eq!(format!("{attribute}"), *text);
    }
    for name in TypedAttribute::NAMES {
        let here = |text: &&&str| text.split(':').next() == Some(name);
        assert!(ALL.iter().any(|text| here(&text)), "no example of {name}");
    }
    assert_eq!(read("x-unknown:1"), Ok(None));
    assert_eq!(read("Setup:active"), Ok(None), "names are case-sensitive");
}

#[test]
fn what_an_attribute_cannot_be() {
    for text in [
        "sendrecv:x",
        "setup",
        "setup:both",
        "connection:old",
        "path",
        "path:",
        "path:sip:x",
        "path:msrp://a/b;tcp",
        "accept-types:",
        "accept-types:cpim",
        "max-size:-1",
        "max-size:18446744073709551616",
        "max-chunk-size:1 2",
        "file-selector:size:x",
        "file-selector:size:1 size:1",
        "file-selector:name:a",
        "file-selector:name:\"\"",
        "file-selector:name:\"a",
        "file-selector:nonsense",
        "file-selector:hash:sha-1:zz",
        "file-selector:hash:sha-1:",
        "file-selector:type:jpeg",
        "file-transfer-id:a b",
        "file-date:",
        "file-date:creation:x",
        "file-date:creation:\"x\" creation:\"y\"",
        "file-icon:http://x",
        "file-icon:cid:",
        "file-range:0-5",
        "file-range:5-3",
        "file-range:*",
        "chatroom:",
        "chatroom:a a",
        "rtpmap:128 X/8000",
        "rtpmap:4294967296 X/8000",
        "rtpmap:0 X",
        "fmtp:0",
        "fmtp:0 ",
        "ptime:1.",
        "ptime:x",
        "rtcp:65536",
        "rtcp:1 IN IP4",
        "crypto:1 X",
        "crypto:9999999999 X inline:a",
        "fingerprint:sha-1 1",
        "fingerprint:sha-1 +1",
        "mid:a b",
        "group:",
        "label:",
        "content:a,,b",
        "tool:",
        "quality:x",
    ] {
        let error = read(text).map(|_| text).unwrap_err();
        assert_eq!(error.name, text.split(':').next().unwrap());
    }
}

/// RFC 5547 §6: quotes hold blanks, percent-encoding what a name may not hold.
#[test]
fn selectors_of_files() {
    let selector = |text: &str| match read(text).unwrap().unwrap() {
        TypedAttribute::FileSelector(selector) => selector,
        other => panic!("{other}"),
    };
    // As RFC 5547 §9.1 prints it: a blank before the hash.
    let read = selector(
        "file-selector:name:\"a size:5 b%20%E4%bd%a0.jpg\" type:image/jpeg SIZE:4092 hash:sha-1: 72:24",
    );
    assert_eq!(read.name.as_deref(), Some("a size:5 b \u{4f60}.jpg"));
    assert_eq!((read.size, read.media_type.as_deref()), (Some(4092), Some("image/jpeg")));
    assert_eq!(read.hashes, [Hash { algorithm: "sha-1".into(), octets: vec![0x72, 0x24] }]);
    let odd = selector("file-selector:name:\"100% %zz %4\" newer:thing");
    assert_eq!(odd.name.as_deref(), Some("100% %zz %4"));
    let bad = crate::description::Attribute::read(b"file-selector:name:\"\xff%FE\"").unwrap().typed();
    let Ok(Some(TypedAttribute::FileSelector(bad))) = bad else { panic!() };
    assert_eq!(bad.name.as_deref(), Some("\u{fffd}\u{fffd}"));
    let evil = selector("file-selector:name:\"..%2F..%2Fetc%2Fpasswd%00\"");
    assert_eq!((evil.name.as_deref(), evil.safe_name().as_str()), (Some("../../etc/passwd\0"), "passwd"));
}

/// Threat H5: what a file is said to be and what it is called are two things; neither is made of the other.
#[test]
fn type_and_name_of_a_file_are_apart() {
    let read = crate::description::Attribute::read(b"file-selector:name:\"photo.jpg.exe\" type:image/jpeg");
    let Ok(Some(TypedAttribute::FileSelector(file))) = read.unwrap().typed() else { panic!() };
    assert_eq!(
        (file.media_type.as_deref(), file.safe_name().as_str()),
        (Some("image/jpeg"), "photo.jpg.exe")
    );
    let nameless = FileSelector { name: None, ..file.clone() };
    assert_eq!(nameless.safe_name().as_str(), "file", "no extension is made up");
    let typeless = FileSelector { media_type: None, ..file.clone() };
    assert!(typeless.media_type.is_none() && typeless.agrees_with(&file));
}

/// RFC 5547 §8.3.2: what both say has to be the same; what one does not say does not count.
#[test]
fn selectors_agree_where_both_speak() {
    let full = FileSelector {
        name: Some("a".into()),
        size: Some(1),
        media_type: Some("Text/plain".into()),
        hashes: vec![Hash { algorithm: "sha-1".into(), octets: vec![1] }],
    };
    let none = FileSelector::default();
    assert!(full.agrees_with(&full) && full.agrees_with(&none) && none.agrees_with(&full));
    for other in [
        FileSelector { name: Some("b".into()), ..none.clone() },
        FileSelector { size: Some(2), ..none.clone() },
        FileSelector { media_type: Some("text/html".into()), ..none.clone() },
        FileSelector { hashes: vec![Hash { algorithm: "SHA-1".into(), octets: vec![2] }], ..none.clone() },
    ] {
        assert!(!full.agrees_with(&other) && !other.agrees_with(&full), "{other:?}");
    }
    let newer = Hash { algorithm: "sha-256".into(), octets: vec![2] };
    assert!(full.agrees_with(&FileSelector { hashes: vec![newer], ..none.clone() }));
    assert!(full.agrees_with(&FileSelector { media_type: Some("text/PLAIN".into()), ..none }));
}

#[test]
fn nothing_secret_is_shown() {
    for text in ["crypto:1 X inline:topsecret", "path:msrp://a:1/topsecret;tcp"] {
        assert!(!format!("{:?}", read(text)).contains("topsecret"));
    }
}

// req: 7.3.1.2-13
#[test]
fn a_closed_group_is_told() {
    let closed = TypedAttribute::Chatroom(Chatroom::closed_group());
    assert_eq!(format!("a={closed}"), "a=chatroom:org.openmobilealliance.groupchat.closed");
    let Ok(Some(TypedAttribute::Chatroom(read))) =
        read("chatroom:nickname ORG.openmobilealliance.groupchat.closed")
    else {
        panic!()
    };
    assert!(read.is_closed_group() && read.has("nickname") && !Chatroom::default().is_closed_group());
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_as_the_same(index in 0..ALL.len(), at in any::<prop::sample::Index>(), new in "[ -~]{0,3}", free in "[ -~]{0,40}") {
        let text = ALL[index];
        let at = at.index(text.len() + 1);
        let mutated = format!("{}{new}{}", &text[..at], &text[at..]);
        let name = text.split(':').next().unwrap_or_default();
        for text in [mutated, format!("{name}:{free}")] {
            if let Ok(Some(attribute)) = read(&text) {
                prop_assert_eq!(read(&format!("{}", attribute)), Ok(Some(attribute)));
            }
        }
    }

    /// Any name that can be said is heard as it was said.
    #[test]
    fn names_of_files_arrive(name in "\\PC{1,40}") {
        let selector = FileSelector { name: Some(name.clone()), ..FileSelector::default() };
        let written = format!("{}", TypedAttribute::FileSelector(selector.clone()));
        prop_assert!(!written.contains(['/', '\\', '\n']), "{}", written);
        prop_assert_eq!(read(&written), Ok(Some(TypedAttribute::FileSelector(selector))));
    }
}
