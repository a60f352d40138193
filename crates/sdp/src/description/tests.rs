#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

const SESSION: &str =
    "v=0\r\no=alice 1 2 IN IP4 alice.example.com\r\ns=-\r\nc=IN IP4 alice.example.com\r\nt=0 0\r\n";
const MEDIA: &str =
    "m=message 7394 TCP/MSRP *\r\na=accept-types:text/plain\r\na=path:msrp://a:7394/x;tcp\r\n";

fn parse(text: &str) -> Result<SessionDescription, SdpError> {
    SessionDescription::parse(text.as_bytes(), &Limits::default())
}

#[test]
fn what_nobody_knows_is_kept_and_what_is_known_is_read() {
    let text = format!(
        "{SESSION}x=unknown\r\na=tool:\u{e4}\r\na=\r\nm=audio 49170/2 RTP/AVP 0 8\r\nb=AS:1\r\nc=IN IP6 ::1\r\n\
         c=IN IP4 192.0.2.9/127\r\na=fmtp:0 a=b:c\nm=message 0 TCP/TLS/MSRP *\r\na=msrp-cema\r\na=path :x"
    );
    let sdp = parse(&text).unwrap();
    assert_eq!(sdp.to_bytes(), text.as_bytes());
    assert_eq!((sdp.origin().username.as_str(), sdp.origin().session_id.as_str()), ("alice", "1"));
    assert_eq!(
        (sdp.origin().version.as_str(), sdp.origin().address.as_str()),
        ("2", "IN IP4 alice.example.com")
    );
    assert_eq!(sdp.connection(), Some(Host::Name("alice.example.com".into())));
    assert_eq!(sdp.attribute("tool").unwrap().text(), Some("\u{e4}"));
    let [audio, message] = sdp.media() else { panic!() };
    assert_eq!(
        (audio.media(), audio.port(), audio.proto(), audio.formats()),
        ("audio", Some(49170), "RTP/AVP", "0 8")
    );
    // interop: 4: of two c= lines the first counts.
    assert_eq!(audio.connection(), Some(Host::Ip("::1".parse().unwrap())));
    assert_eq!(audio.attribute("fmtp").unwrap().value, Some(b"0 a=b:c".as_slice()));
    assert_eq!(message.attribute("msrp-cema").unwrap().value, None);
    assert_eq!(message.attribute("path").unwrap().text(), Some("x"), "blanks before the colon");
    assert_eq!((message.connection(), message.attributes().count()), (None, 2));
}

#[test]
fn lf_ends_lines_too_and_empty_lines_may_stand_at_the_end() {
    for text in [
        SESSION.replace("\r\n", "\n"),
        format!("{SESSION}\r\n"),
        format!("{SESSION}\n\n"),
        SESSION.trim_end().into(),
    ] {
        assert_eq!(parse(&text).unwrap().to_bytes(), text.as_bytes());
    }
    assert_eq!(parse(&SESSION.replace("s=-", "\r\ns=-")), Err(SdpError::NotALine(3)));
}

#[test]
fn what_is_no_description_is_told() {
    use SdpError::{BadLine, Missing, NotALine, Repeated, Version};
    for (text, error) in [
        (String::new(), Version),
        ("\r\n".into(), NotALine(1)),
        ("v=1\r\n".into(), Version),
        ("o=- 1 1 IN IP4 a\r\nv=0\r\n".into(), Version),
        (SESSION.replace("o=alice 1 2 IN IP4 alice.example.com\r\n", ""), Missing('o')),
        (SESSION.replace("s=-\r\n", ""), Missing('s')),
        (SESSION.replace("t=0 0\r\n", ""), Missing('t')),
        (format!("{SESSION}v=0\r\n"), Repeated('v')),
        (format!("{SESSION}o=- 1 1 IN IP4 a\r\n"), Repeated('o')),
        (format!("{SESSION}s=-\r\n"), Repeated('s')),
        (SESSION.replace("o=alice 1 2", "o=alice 1 x"), BadLine(2, 'o')),
        (SESSION.replace("o=alice 1 2", "o=alice -1 2"), BadLine(2, 'o')),
        (SESSION.replace("IN IP4 alice.example.com\r\ns", "IN IP4\r\ns"), BadLine(2, 'o')),
        (format!("{SESSION}m=message 1 TCP/MSRP\r\n"), BadLine(6, 'm')),
        (format!("{SESSION}m=message 1 TCP/MSRP \r\n"), BadLine(6, 'm')),
        (format!("{SESSION}m=message  1 TCP/MSRP *\r\n"), BadLine(6, 'm')),
        (format!("{SESSION}nonsense\r\n"), NotALine(6)),
        (format!("{SESSION}=x\r\n"), NotALine(6)),
        (format!("{SESSION}1=x\r\n"), NotALine(6)),
    ] {
        assert_eq!(parse(&text).map(|_| ()), Err(error.clone()), "{text:?}");
        assert_eq!(error.status(), 400);
    }
}

// threats: A10
#[test]
fn ports_are_ports_or_nothing() {
    for (port, expected) in [
        ("0", Some(0)),
        ("65535", Some(65535)),
        ("65536", None),
        ("4294967296", None),
        ("-1", None),
        ("+5", None),
        ("0x10", None),
        ("5/", None),
        ("5/2", Some(5)),
        ("5/2/3", None),
    ] {
        let sdp = parse(&format!("{SESSION}m=audio {port} RTP/AVP 0\r\n")).unwrap();
        assert_eq!(sdp.media()[0].port(), expected, "{port}");
    }
}

// threats: A9
#[test]
fn no_nul_and_no_stray_carriage_return_at_any_place() {
    let text = format!("{SESSION}{MEDIA}").into_bytes();
    for at in 0..=text.len() {
        for octet in [0, b'\r'] {
            let mut broken = text.clone();
            broken.insert(at, octet);
            let outcome = SessionDescription::parse(&broken, &Limits::default());
            assert!(outcome.is_err(), "{at} {octet}: {}", broken.escape_ascii());
        }
    }
}

// threats: I7, I8 and the limits sdp.*
#[test]
fn limits_hold_to_the_one() {
    let limits = Limits {
        max_bytes: 4096,
        max_media: 3,
        max_attrs: 4,
        max_formats: 5,
        max_path: 2,
        max_path_uri: 40,
        max_types: 3,
        max_type: 12,
    };
    let uri = |n: usize| format!("msrp://a:1/{};tcp", "x".repeat(n - 15));
    let name = |n: usize| format!("text/{}", "y".repeat(n - 5));
    let case = |limit: &'static str, make: &dyn Fn(usize) -> String, max: usize| {
        let read = |n| SessionDescription::parse(make(n).as_bytes(), &limits).map(|_| ());
        assert_eq!(read(max), Ok(()), "{limit}");
        let exceeded = LimitExceeded { limit, value: max as u64 + 1, max: max as u64 };
        assert_eq!(read(max + 1), Err(SdpError::Limit(exceeded)), "{limit}");
        assert_eq!(SdpError::Limit(exceeded).status(), 413);
    };
    case("sdp.max_bytes", &|n| format!("{SESSION}i={}", "z".repeat(n - SESSION.len() - 2)), 4096);
    case("sdp.max_media", &|n| format!("{SESSION}{}", "m=audio 1 RTP/AVP 0\r\n".repeat(n)), 3);
    case("sdp.max_attrs", &|n| format!("{SESSION}{}", "a=x\r\n".repeat(n)), 4);
    case("sdp.max_attrs", &|n| format!("{SESSION}a=s\r\nm=audio 1 RTP/AVP 0\r\n{}", "a=x\r\n".repeat(n)), 4);
    case("sdp.max_formats", &|n| format!("{SESSION}m=audio 1 RTP/AVP{}\r\n", " 0".repeat(n)), 5);
    case("sdp.max_path", &|n| format!("{SESSION}{MEDIA}a=path:{}\r\n", vec![uri(20); n].join(" ")), 2);
    case("sdp.max_path_uri", &|n| format!("{SESSION}{MEDIA}a=path:{}\r\n", uri(n)), 40);
    case(
        "sdp.max_types",
        &|n| format!("{SESSION}m=x 1 y z\r\na=accept-types:{}\r\n", vec!["a/b"; n].join(" ")),
        3,
    );
    case("sdp.max_type", &|n| format!("{SESSION}m=x 1 y z\r\na=accept-wrapped-types:{}\r\n", name(n)), 12);
    assert_eq!(limits.validate(), Ok(()));
    assert!(Limits { max_path: 0, ..limits }.validate().is_err());
    assert!(Limits { max_path: 65, ..limits }.validate().is_err());
    assert_eq!(Limits::default().validate(), Ok(()));
}

proptest! {
    #[test]
    fn no_octets_panic_and_what_is_read_is_kept(octets in proptest::collection::vec(any::<u8>(), 0..200), lines in "([a-z]=[ -~]{0,20}\r?\n){0,10}") {
        let lines = format!("{SESSION}{MEDIA}{lines}");
        let mixed = [lines.as_bytes(), &octets].concat();
        for text in [octets.as_slice(), lines.as_bytes(), &mixed] {
            if let Ok(sdp) = SessionDescription::parse(text, &Limits::default()) {
                prop_assert_eq!(sdp.to_bytes(), text);
                let counted = sdp.attributes().count() + sdp.media().iter().map(|m| m.attributes().count()).sum::<usize>();
                prop_assert!(counted <= 64 * 17);
                let _ = crate::RemoteOffer::read(&sdp);
            }
        }
    }
}

/// The time description, the bandwidths and the plain lines of a session.
#[test]
fn lines_of_the_session_by_name() {
    let text = "v=0\r\no=- 1 1 IN IP4 a\r\ns=A\r\ni=B\r\nb=AS:5\r\nt=1 2\r\nr=1 1 0\r\nr=2 2 0\r\nt=3 4\r\n\
        m=audio 1 RTP/AVP 0\r\nb=TIAS:7\r\n";
    let sdp = parse(text).unwrap();
    assert_eq!((sdp.value('s'), sdp.value('i'), sdp.value('u')), (Some(&b"A"[..]), Some(&b"B"[..]), None));
    let times = sdp.times();
    assert_eq!(times.iter().map(|t| (t.timing.start, t.repeats.len())).collect::<Vec<_>>(), [(1, 2), (3, 0)]);
    assert_eq!(sdp.bandwidths().map(|b| (b.kind, b.value)).collect::<Vec<_>>(), [("AS".into(), 5)]);
    assert_eq!(sdp.media()[0].bandwidths().map(|b| b.value).collect::<Vec<_>>(), [7]);
    assert_eq!(sdp.media()[0].lines().map(|l| l.kind).collect::<Vec<_>>(), *b"mb");
    assert_eq!(sdp.media()[0].to_bytes(), "m=audio 1 RTP/AVP 0\r\nb=TIAS:7\r\n".as_bytes());
}

/// Cost grows with the input and no faster: every octet is looked at so many times, whatever the lines are.
#[test]
fn cost_is_linear() {
    let limits = Limits { max_bytes: 1 << 20, max_media: 256, max_attrs: 1024, ..Limits::default() };
    for line in ["a=x\r\n", "m=audio 1 RTP/AVP 0\r\n", "i=\r\n", "b=AS:1\r\n", "\r\n"] {
        let steps = |count: usize| {
            let text = format!("{SESSION}{}", line.repeat(count));
            let (read, steps) = crate::steps::counted(|| SessionDescription::parse(text.as_bytes(), &limits));
            assert!(read.is_ok());
            (steps, text.len())
        };
        let ((few, _), (many, length)) = (steps(25), steps(250));
        assert!(many <= length && many <= 10 * few, "{line:?}: {few} {many}");
    }
    // So does reading an offer out of it: so many looks for so many attributes that are known.
    for line in ["a=x\r\n", "a=path:msrp://a:1/x;tcp\r\n", "a=file-range:1-*\r\n"] {
        let steps = |count: usize| {
            let text = format!("{SESSION}{MEDIA}{}", line.repeat(count));
            let sdp = SessionDescription::parse(text.as_bytes(), &limits).unwrap();
            let (offer, steps) = crate::steps::counted(|| crate::RemoteOffer::read(&sdp));
            assert!(offer.is_ok());
            (steps, text.len())
        };
        let ((few, _), (many, length)) = (steps(25), steps(250));
        assert!(many <= 20 * length && many <= 10 * few, "{line:?}: {few} {many}");
    }
}
