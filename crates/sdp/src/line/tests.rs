#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use alloc::format;
use proptest::prelude::*;

fn read(text: &str) -> Option<Line> {
    let (kind, value) = text.as_bytes().split_first().unwrap();
    Line::read(*kind, value.strip_prefix(b"=").unwrap())
}

#[test]
fn every_kind_is_read_and_written_as_it_was() {
    let all = [
        "v=0",
        "o=- 18446744073709551616 2 IN IP4 198.51.100.1",
        "s=",
        "s= -",
        "i=\u{e4}",
        "u=http://www.example.com/a.pdf",
        "e=j.doe@example.com (Jane Doe)",
        "p=+1 617 555-6011",
        "c=IN IP4 198.51.100.7",
        "c=IN IP4 233.252.0.1/127",
        "c=IN IP4 233.252.0.1/127/3",
        "c=IN IP6 ff15::101/3",
        "c=IN IP6 alice.example.com",
        "b=X-YZ:128",
        "t=0 0",
        "t=3724394400 3724398000",
        "r=604800 3600 0 90000",
        "z=3730928400 -3600 3749680800 0",
        "k=clear:secret",
        "k=prompt",
        "a=recvonly",
        "a=fmtp:0 a=b:c",
        "m=video 49170/2 RTP/AVP 31",
        "m=message 7394 TCP/TLS/MSRP *",
    ];
    for text in all {
        let line = read(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(format!("{line}"), text);
        assert_eq!(text.chars().next(), Some(line.kind()));
    }
    let kinds: alloc::collections::BTreeSet<char> = all.iter().filter_map(|t| t.chars().next()).collect();
    assert_eq!(kinds.into_iter().collect::<String>(), "abceikmoprstuvz", "every kind of RFC 4566");
}

#[test]
fn units_of_time_are_seconds_when_read() {
    assert_eq!(read("r=7d 1h 0 25h"), read("r=604800 3600 0 90000"));
    assert_eq!(read("r=1m 1s 0"), read("r=60 1 0"));
    assert_eq!(read("z=1 -1h 2 0"), Some(Line::Zones(Vec::from([(1, -3600), (2, 0)]))));
    assert_eq!(
        read("c=IN IP6 ff15::101/3")
            .map(|l| matches!(l, Line::Connection(Connection { ttl: None, count: Some(3), .. }))),
        Some(true)
    );
    assert!(!format!("{:?}", read("k=clear:secret")).contains("secret"));
}

#[test]
fn what_is_no_such_line_is_nothing() {
    for text in [
        "v=1",
        "o=- 1 1 IN IP4",
        "i=",
        "u=a b",
        "c=IN IP4 ::1",
        "c=IN IP4 1.2.3.4/256",
        "c=IN IP4 1.2.3.4/1/0",
        "c=IN IP4 1.2.3.4/1/2/3",
        "c=IN IP6 ::1/1/2",
        "c=ATM X y",
        "b=AS",
        "b=AS:-1",
        "b=A S:1",
        "t=0",
        "t=0 x",
        "t=0 18446744073709551616",
        "r=0 1 0",
        "r=1 1",
        "r=1x 1 0",
        "r=213503982334602d 1 0",
        "z=1",
        "z=1 --1",
        "k=",
        "k=clear:",
        "a=",
        "a=x:",
        "a= x",
        "m=audio 65536 RTP/AVP 0",
        "m=audio 1/0 RTP/AVP 0",
        "m=audio 4294967296 RTP/AVP 0",
        "m=a 1 RTP",
        "m=a 1  RTP/AVP 0",
        "x=1",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(Line::read(b's', b"a\0b"), None);
    assert_eq!(Line::read(b's', b"\xff"), None);
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_as_the_same(kind in "[a-z]", value in "[ -~]{0,30}", shaped in "(IN IP[46] [0-9a-f.:/]{1,12}|[a-z]{1,3} [0-9/]{1,6} [A-Z/]{1,5} [0-9 *]{1,5}|-?[0-9dhms: ]{1,20})") {
        for value in [value, shaped] {
            if let Some(line) = read(&format!("{kind}={value}")) {
                prop_assert_eq!(read(&format!("{line}")), Some(line));
            }
        }
    }
}
