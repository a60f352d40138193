#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::status::StatusCode;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;

const HEAD: &str =
    "Via: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\n";

fn message(uri: &str, extra: &str, body: &str) -> String {
    format!("MESSAGE {uri} SIP/2.0\r\n{HEAD}CSeq: 1 MESSAGE\r\n{extra}l: {}\r\n\r\n{body}", body.len())
}

/// What a frame is, in short.
fn short(frame: &Frame) -> String {
    match frame {
        Frame::Message(message) => format!("message {}", String::from_utf8_lossy(&message.to_bytes())),
        Frame::KeepAlivePing => "ping".into(),
        Frame::Pong => "pong".into(),
        Frame::Broken(failure) => {
            format!("broken {:?} {:?}", failure.error, failure.reply().map(|r| r.to_bytes()))
        }
        Frame::Lost(failure) => {
            format!("lost {:?} {:?}", failure.error, failure.reply().map(|r| r.to_bytes()))
        }
    }
}

fn frames_of<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: Limits) -> (Vec<String>, usize) {
    let mut framer = StreamFramer::new(limits);
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = framer.next() {
            frames.push(short(&frame));
        }
    }
    (frames, framer.steps)
}

fn frames(stream: &[u8]) -> Vec<String> {
    frames_of(core::iter::once(stream), Limits::default()).0
}

fn mixed_stream() -> Vec<u8> {
    let mut stream = String::from("\r\n\r\n");
    stream.push_str(&message("sip:a@b", "", "hello\r\n\r\nSIP/2.0 200 OK\r\nl: 0\r\n\r\n"));
    stream.push_str(&message("sip:a@b;;", "", "broken"));
    stream.push_str("\r\n");
    stream.push_str("SIP/2.0 200 OK\r\nContent-Length : 0\r\n\r\n\r\n\r\n\r\n");
    stream.push_str(&message("tel:+1", "X:\r\n folded\r\n\tmore\r\n", ""));
    stream.push_str(&message("sip:z", "Content-Length: 0\r\n", ""));
    stream.push_str(&message("sip:a@b", "", "never seen"));
    stream.into_bytes()
}

#[test]
fn messages_keep_alives_and_faults_in_one_stream() {
    let kinds: Vec<String> =
        frames(&mixed_stream()).iter().map(|f| f.split(' ').next().unwrap().into()).collect();
    assert_eq!(
        kinds,
        ["pong", "ping", "message", "broken", "pong", "message", "pong", "ping", "pong", "message", "lost"]
    );
}

#[test]
fn every_cut_in_two_and_octet_for_octet_gives_the_same() {
    let stream = mixed_stream();
    let whole = frames(&stream);
    for cut in 0..=stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(frames_of([a, b].into_iter(), Limits::default()).0, whole, "cut at {cut}");
    }
    assert_eq!(frames_of(stream.chunks(1), Limits::default()).0, whole);
}

/// Threats A14: fed octet for octet a stream costs at most a few octets more each.
#[test]
fn octet_for_octet_costs_the_same() {
    for size in [1_000, 4_000, 30_000] {
        let stream = message(
            "sip:a@b",
            &format!("X: {}\r\n", "x".repeat(size.min(8_000))).repeat(size / 8_000 + 1),
            "",
        );
        let (_, once) = frames_of(core::iter::once(stream.as_bytes()), Limits::default());
        let (_, octets) = frames_of(stream.as_bytes().chunks(1), Limits::default());
        assert!(once <= stream.len() && octets <= 5 * stream.len(), "{once} {octets} {}", stream.len());
    }
}

#[test]
fn a_broken_message_is_answered_and_the_next_one_works() {
    for (bad, status) in [
        (message("sip:a@b;;", "", "x"), 400),
        (message("<sip:a@b>", "", ""), 400),
        (message("sip:a@b ", "", "x"), 400),
        (message(&format!("sip:{}", "a".repeat(1100)), "", "x"), 414),
        (message("sip:a@b", "no colon\r\n", "xy"), 400),
        (message("sip:a@b", "in valid: x\r\n", "xy"), 400),
        (message("sip:a@b", &format!("X: {}\r\n", "x".repeat(9000)), "xy"), 400),
        (message("sip:a@b", "", "x").replace("SIP/2.0\r\n", "SIP/3.0\r\n"), 505),
    ] {
        let mut framer = StreamFramer::new(Limits::default());
        framer.push((bad.clone() + &message("sip:a@b", "", "next")).into());
        let Some(Frame::Broken(failure)) = framer.next() else { panic!("{bad}") };
        assert_eq!(failure.reply().unwrap().status().as_u16(), status, "{bad}");
        assert!(matches!(framer.next(), Some(Frame::Message(m)) if m.body() == "next"), "{bad}");
        assert!(framer.next().is_none() && !framer.is_inside_message() && framer.buffered() == 0);
    }
}

/// Threats B1, B5: where readers could differ on the end of a message, nothing after it is read.
#[test]
fn after_framing_is_lost_nothing_is_parsed() {
    let good = message("sip:a@b", "", "");
    for (bad, status) in [
        (message("sip:a@b", "Content-Length: 0\r\n", ""), Some(400)),
        (message("sip:a@b", "L: 0\r\n", ""), Some(400)),
        (good.replace("l: 0", "l: +0"), Some(400)),
        (good.replace("l: 0", "l: 0, 0"), Some(400)),
        (good.replace("l: 0", "l: 0x0"), Some(400)),
        (good.replace("l: 0", "l: -1"), Some(400)),
        (good.replace("l: 0", "l:"), Some(400)),
        (good.replace("l: 0", "l: 4294967296"), Some(400)),
        (good.replace("l: 0", "l: 18446744073709551616"), Some(400)),
        (good.replace("l: 0", "l: 4294967295"), Some(413)),
        (good.replace("l: 0", "l: 262145"), Some(413)),
        (good.replace("l: 0", "X: 0"), Some(400)),
        (good.replace("l: 0", "l\u{1}: 0"), Some(400)),
        (message("sip:a@b", "X\u{1}: 0\r\n", ""), Some(400)),
        (message("sip:a@b", "X: a\nl: 5\r\n", ""), Some(400)),
        (message("sip:a@b", "X: a\rb\r\n", ""), Some(400)),
        (message("sip:a@b", "X: a\0b\r\n", ""), Some(400)),
        (good.replace(" SIP/2.0\r\n", " HTTP/1.1\r\n"), None),
        (good.replace("MESSAGE sip", "MESS(AGE sip"), None),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(), None),
        ("EHLO x\r\n".into(), None),
        ("MSRP d93kswow SEND\r\n".into(), None),
        ("\u{16}\u{3}\u{1}".into(), None),
        ("\n".into(), None),
        ("\rX".into(), None),
        (" MESSAGE".into(), None),
        ("MESSAGE sip:a@b SIP/2.0\nX: y\n\n".into(), None),
    ] {
        let mut framer = StreamFramer::new(Limits::default());
        framer.push(bad.clone().into());
        let Some(Frame::Lost(failure)) = framer.next() else { panic!("{bad:?}") };
        assert_eq!(failure.reply().map(|r| r.status().as_u16()), status, "{bad:?}");
        framer.push(good.clone().into());
        assert!(framer.next().is_none() && framer.buffered() == 0, "{bad:?}");
    }
}

/// An ACK and a response are never answered, however broken.
#[test]
fn no_answer_to_ack_and_responses() {
    let ack = message("sip:a@b;;", "", "").replace("MESSAGE", "ACK");
    let response = message("sip:a@b", "X\r\n", "").replace("MESSAGE sip:a@b SIP/2.0", "SIP/2.0 200 OK");
    for bad in [ack, response] {
        let mut framer = StreamFramer::new(Limits::default());
        framer.push(bad.into());
        assert!(matches!(framer.next(), Some(Frame::Broken(failure)) if failure.reply().is_none()));
    }
}

fn lost_to(stream: &str, limits: Limits) -> Option<(&'static str, Option<StatusCode>)> {
    let mut framer = StreamFramer::new(limits);
    framer.push(stream.as_bytes().to_vec().into());
    loop {
        match framer.next()? {
            Frame::Lost(failure) => match failure.error {
                ParseError::Limit(exceeded) => return Some((exceeded.limit, failure.error.status())),
                other => panic!("{other}"),
            },
            Frame::Broken(failure) => panic!("{failure}"),
            _ => {}
        }
    }
}

#[test]
fn limits_of_a_stream() {
    let base = Limits { max_header_line: 10_000, ..Limits::default() };
    let head = message("sip:a@b", "", "").len();
    let of_head = |n: usize| message("sip:a@b", &format!("X: {}\r\n", "x".repeat(n - head - 5)), "");
    let limits = Limits { max_header_bytes: 1000, ..base };
    assert_eq!((lost_to(&of_head(999), limits), lost_to(&of_head(1000), limits)), (None, None));
    assert_eq!(
        lost_to(&of_head(1001), limits),
        Some(("sip.max_header_bytes", Some(StatusCode::MESSAGE_TOO_LARGE)))
    );
    // A head that never ends is not waited for.
    let endless = of_head(5000).replace("\r\n\r\n", "");
    assert_eq!(lost_to(&endless, limits).unwrap().0, "sip.max_header_bytes");
    assert_eq!(lost_to(&"M".repeat(1001), limits).unwrap().0, "sip.max_header_bytes");
    let limits = Limits { max_body: 100, ..base };
    let of_body = |n: usize| message("sip:a@b", "", &"x".repeat(n));
    assert_eq!((lost_to(&of_body(99), limits), lost_to(&of_body(100), limits)), (None, None));
    assert_eq!(
        lost_to(&of_body(101), limits),
        Some(("sip.max_body", Some(StatusCode::REQUEST_ENTITY_TOO_LARGE)))
    );
    let total = of_body(100).len();
    let limits = Limits { max_stream_message: total, ..base };
    assert_eq!((lost_to(&of_body(99), limits), lost_to(&of_body(100), limits)), (None, None));
    assert_eq!(
        lost_to(&of_body(101), limits),
        Some(("sip.max_stream_message", Some(StatusCode::MESSAGE_TOO_LARGE)))
    );
    let crlfs = |n: usize| "\r\n".repeat(n);
    assert_eq!((lost_to(&crlfs(63), base), lost_to(&crlfs(64), base)), (None, None));
    assert_eq!(lost_to(&crlfs(65), base), Some(("sip.max_leading_crlf", Some(StatusCode::BAD_REQUEST))));
    assert_eq!(lost_to(&(crlfs(64) + &message("sip:a@b", "", "") + &crlfs(64)), base), None);
}

/// Keep-alives over hours are no flood, when the owner says that time passed.
#[test]
fn keep_alives_add_up_only_without_time_between() {
    let mut framer = StreamFramer::new(Limits::default());
    for _ in 0..1000 {
        framer.push(b"\r\n\r\n"[..].into());
        assert!(matches!(framer.next(), Some(Frame::Pong)));
        assert!(matches!(framer.next(), Some(Frame::KeepAlivePing)));
        framer.reset_keep_alives();
    }
    framer.push(b"\r\n"[..].into());
    assert!(matches!(framer.next(), Some(Frame::Pong)));
    framer.reset_keep_alives();
    framer.push(b"\r\n"[..].into());
    assert!(matches!(framer.next(), Some(Frame::KeepAlivePing)));
}

proptest! {
    #[test]
    fn any_cuts_of_any_octets_give_the_same_frames(
        pieces in prop::collection::vec(
            prop_oneof![
                Just(Vec::from("\r\n")),
                Just(message("sip:a@b", "", "body").into_bytes()),
                Just(message("sip:a@b;;", "", "body").into_bytes()),
                Just(b"SIP/2.0 200 OK\r\nl:0\r\n\r\n".to_vec()),
                Just(b"SIP/2.0 200 OK\r\n".to_vec()),
                Just(b"Content-Length: 3\r\n\r\n".to_vec()),
                prop::collection::vec(any::<u8>(), 0..8),
            ],
            0..6,
        ),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let stream = pieces.concat();
        let mut cut = Vec::new();
        let mut rest = &stream[..];
        let mut sizes = cuts.iter().cycle();
        while !rest.is_empty() {
            let (a, b) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            cut.push(a);
            rest = b;
        }
        prop_assert_eq!(frames_of(cut.clone().into_iter(), Limits::default()).0, frames(&stream));
        let small = Limits { max_header_bytes: 60, max_header_line: 60, max_body: 3, ..Limits::default() };
        let whole = frames_of(core::iter::once(&stream[..]), small).0;
        prop_assert_eq!(frames_of(cut.into_iter(), small).0, whole);
    }
}
