#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use crate::grammar::Host;
use crate::media::MediumFault;
use crate::media::wrapped_types;
use crate::negotiate::{Remote, Role};
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

const IDS: SessionIds = SessionIds { id: 77, version: 3 };

fn media(setup: Setup) -> MsrpMedia {
    MsrpMedia {
        accept_wrapped_types: wrapped_types(&["text/plain"], true),
        setup,
        ..MsrpMedia::new(
            MsrpTransport::Tcp,
            [192, 0, 2, 1].into(),
            2855,
            "msrp://192.0.2.1:2855/abcdefghijklmnop;tcp".into(),
        )
    }
}

fn read(text: &str) -> SessionDescription {
    SessionDescription::parse(text.as_bytes(), &Limits::default()).unwrap()
}

/// What the far side says: one MSRP medium, with these lines more.
fn remote(more: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=message 9000 TCP/MSRP *\r\n\
         a=accept-types:message/cpim\r\na=path:msrp://198.51.100.7:9000/qwertzuiop;tcp\r\n{more}"
    )
}

fn answer_to(offer: &str, ours: &MsrpMedia) -> Result<(String, Negotiated), Refusal> {
    let offer = RemoteOffer::read(&read(offer)).map_err(|refused| refused.reason)?;
    let (description, negotiated) = offer.answer(&IDS, ours).map_err(|refused| refused.reason)?;
    Ok((text(&description), negotiated))
}

fn text(description: &SessionDescription) -> String {
    String::from_utf8(description.to_bytes().to_vec()).unwrap()
}

fn answered(ours: &MsrpMedia, answer: &str) -> Result<Negotiated, AnswerError> {
    offer(&IDS, ours).unwrap().1.answered(&read(answer))
}

#[test]
fn the_offer_of_a_large_message() {
    let ours = MsrpMedia {
        direction: Direction::SendOnly,
        file: Some(FileDescription::of_size(102_400)),
        max_chunk_size_kb: Some(100),
        ..media(Setup::ActPass)
    };
    let (description, _) = offer(&IDS, &ours).unwrap();
    let expected = "v=0\r\no=- 77 3 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\n\
        a=accept-wrapped-types:text/plain message/imdn+xml\r\na=sendonly\r\na=setup:actpass\r\n\
        a=path:msrp://192.0.2.1:2855/abcdefghijklmnop;tcp\r\na=msrp-cema\r\na=file-selector:size:102400\r\n\
        a=max-chunk-size:100\r\n";
    assert_eq!(text(&description), expected);
}

// interop: 6
#[test]
fn wrapped_types_hold_what_is_consumed_once_and_notifications() {
    assert_eq!(wrapped_types(&[], true), ["message/imdn+xml"]);
    assert_eq!(
        wrapped_types(&["text/plain", "Message/IMDN+xml", "TEXT/plain"], true),
        ["text/plain", "Message/IMDN+xml"]
    );
    assert!(wrapped_types(&[], false).is_empty());
}

#[test]
fn types_match_by_name_family_and_star() {
    let list = |entries: &[&str]| -> Vec<String> { entries.iter().map(ToString::to_string).collect() };
    assert!(accepts(&list(&["text/plain", "Message/CPIM"]), "message/cpim"));
    assert!(accepts(&list(&["message/cpim;x=y"]), "MESSAGE/CPIM; a=b"));
    assert!(accepts(&list(&["text/*"]), "text/html") && accepts(&list(&["image/png", "*"]), "a/b"));
    assert!(!accepts(&list(&["text/*", "image/png"]), "message/cpim"));
    assert!(!accepts(&list(&["text/*"]), "texts/plain") && !accepts(&[], "text/plain"));
}

/// RFC 6135 §4.2.2, RFC 4145 §4.1, threats I5: what the peer offers × what we wish.
// interop: 18
#[test]
fn roles_of_the_answerer() {
    let (active, passive) = (Ok(Role::Active), Ok(Role::Passive));
    for (offered, wish_active, wish_passive) in [
        ("a=setup:actpass\r\n", active, passive),
        ("a=setup:active\r\n", passive, passive),
        ("a=setup:passive\r\n", active, Err(Refusal::BothPassive)),
        ("a=setup:holdconn\r\n", passive, passive),
        ("a=setup:nonsense\r\n", passive, passive),
        ("", passive, passive),
        ("a=connection:existing\r\na=setup:ACTPASS\r\n", active, passive),
    ] {
        for (wish, expected) in [(Setup::Active, wish_active), (Setup::Passive, wish_passive)] {
            let outcome = answer_to(&remote(offered), &media(wish));
            assert_eq!(
                outcome.as_ref().map(|(_, n)| n.role).map_err(|refusal| *refusal),
                expected,
                "{offered} {wish:?}"
            );
            if let Ok((text, negotiated)) = outcome {
                let says = if negotiated.role == Role::Active { "active" } else { "passive" };
                assert!(text.contains(&format!("\r\na=setup:{says}\r\n")), "{text}");
                // interop: 4
                assert!(!text.contains("a=connection"));
            }
        }
    }
    // Who only connects cannot wait for somebody who connects.
    let nowhere =
        MsrpMedia { port: 9, path: "msrp://192.0.2.1:9/abcdefghijklmnop;tcp".into(), ..media(Setup::Active) };
    assert_eq!(answer_to(&remote("a=setup:active\r\n"), &nowhere).unwrap_err(), Refusal::BothActive);
    assert!(answer_to(&remote("a=setup:actpass\r\n"), &nowhere).is_ok());
}

/// TS 5.2.1.1 and 5.2.1.2: the offerer acts as negotiated.
// req: 5.2.1.1-B.i
// req: 5.2.1.1-B.ii
// req: 5.2.1.2-setup-A.1
// req: 5.2.1.2-setup-A.2
#[test]
fn roles_of_the_offerer() {
    for (offered, answer, expected) in [
        (Setup::ActPass, "a=setup:active\r\n", Role::Passive),
        (Setup::ActPass, "a=setup:passive\r\n", Role::Active),
        (Setup::ActPass, "a=setup:actpass\r\n", Role::Active),
        (Setup::ActPass, "a=setup:holdconn\r\n", Role::Active),
        (Setup::ActPass, "", Role::Active),
        (Setup::Active, "a=setup:passive\r\n", Role::Active),
        (Setup::Active, "a=setup:active\r\n", Role::Active),
        (Setup::Active, "", Role::Active),
    ] {
        let role = answered(&media(offered), &remote(answer)).map(|negotiated| negotiated.role);
        assert_eq!(role, Ok(expected), "{offered:?} {answer:?}");
    }
    assert_eq!(offer(&IDS, &media(Setup::Passive)).unwrap_err(), MediaError::PassiveOffer);
    // Attributes of the session hold for the medium.
    let above = remote("").replace("t=0 0\r\n", "t=0 0\r\na=setup:active\r\na=recvonly\r\n");
    let negotiated = answered(&media(Setup::ActPass), &above).unwrap();
    assert_eq!((negotiated.role, negotiated.direction), (Role::Passive, Direction::SendOnly));
}

#[test]
fn directions_are_mirrored_and_never_grow() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    let all = [SendRecv, SendOnly, RecvOnly, Inactive];
    for theirs in all {
        for wish in all {
            let ours = MsrpMedia { direction: wish, ..media(Setup::Passive) };
            let (text, negotiated) =
                answer_to(&remote(&format!("a={}\r\n", theirs.as_str())), &ours).unwrap();
            let expected = negotiated.direction;
            assert_eq!(expected.sends(), wish.sends() && theirs.receives());
            assert_eq!(expected.receives(), wish.receives() && theirs.sends());
            assert!(text.contains(&format!("\r\na={}\r\n", expected.as_str())));
        }
    }
    assert_eq!(answered(&media(Setup::ActPass), &remote("")).unwrap().direction, SendRecv);
}

#[test]
fn the_answer_to_a_large_message() {
    let more =
        "a=sendonly\r\na=setup:actpass\r\na=msrp-cema\r\na=file-selector:size:102400 type:message/cpim\r\n";
    let offered = remote(more);
    let offer = RemoteOffer::read(&read(&offered)).unwrap();
    assert_eq!((offer.file_size(), offer.direction()), (Some(102_400), Direction::SendOnly));
    assert_eq!(offer.file().unwrap().selector.media_type.as_deref(), Some("message/cpim"));
    let (text, negotiated) = answer_to(&offered, &media(Setup::Active)).unwrap();
    for line in [
        "a=path:msrp://192.0.2.1:2855/abcdefghijklmnop;tcp",
        "a=recvonly",
        "a=accept-types:message/cpim",
        "a=setup:active",
        "a=msrp-cema",
    ] {
        assert!(text.contains(&format!("\r\n{line}\r\n")), "{line}");
    }
    assert_eq!(negotiated.remote, Remote { host: Host::Ip([198, 51, 100, 7].into()), port: 9000 });
    assert_eq!(negotiated.remote_path, ["msrp://198.51.100.7:9000/qwertzuiop;tcp"]);
    assert_eq!(
        (negotiated.remote_file.as_ref().unwrap().selector.size, negotiated.cema),
        (Some(102_400), true)
    );
    assert!(!format!("{negotiated:?} {offer:?}").contains("qwertz"), "no secret in a log");
}

#[test]
fn types_that_nobody_shares_are_refused_with_488() {
    let offered = |types: &str| remote("a=setup:actpass\r\n").replace("message/cpim", types);
    for (types, good) in [
        ("message/cpim", true),
        ("text/plain message/CPIM", true),
        ("message/*", true),
        ("*", true),
        ("text/plain", false),
        ("text/* image/png", false),
    ] {
        let outcome = answer_to(&offered(types), &media(Setup::Active));
        assert_eq!(outcome.is_ok(), good, "{types}");
        if let Err(reason) = outcome {
            assert_eq!((reason, OfferRefused { reason }.status()), (Refusal::NoCommonType, 488));
        }
        let offer = RemoteOffer::read(&read(&offered(types))).unwrap();
        assert_eq!(offer.accepts("message/cpim"), good, "{types}");
    }
    let any = MsrpMedia { accept_types: vec!["*".into()], ..media(Setup::Active) };
    assert!(answer_to(&offered("text/plain"), &any).is_ok());
    let wrapped = RemoteOffer::read(&read(&remote("a=accept-wrapped-types:text/plain image/*\r\n"))).unwrap();
    assert!(wrapped.accepts_wrapped("image/png") && wrapped.accepts_wrapped("message/cpim"));
    assert!(!wrapped.accepts("image/png") && !wrapped.accepts_wrapped("message/imdn+xml"));
}

/// RFC 6714 §4.2: the answer's msrp-cema × agreement of addresses × relay × role.
#[test]
fn anchoring_of_the_offerer() {
    let by_path = Remote { host: Host::Ip([198, 51, 100, 7].into()), port: 9000 };
    let moved = |text: String| {
        text.replace("c=IN IP4 198.51.100.7", "c=IN IP4 203.0.113.5").replace("message 9000", "message 7000")
    };
    let by_lines = Remote { host: Host::Ip([203, 0, 113, 5].into()), port: 7000 };
    let relay = |text: String| text.replace("a=path:", "a=path:msrp://relay.example.com:2000;tcp ");
    let by_relay = Remote { host: Host::Name("relay.example.com".into()), port: 2000 };
    let (active, passive) = ("a=setup:passive\r\n", "a=setup:active\r\n");
    let cema = |lines: &str| format!("{lines}a=msrp-cema\r\n");
    for (answer, expected) in [
        (remote(&cema(active)), Ok((Role::Active, by_path.clone(), true))),
        (moved(remote(&cema(active))), Ok((Role::Active, by_lines.clone(), true))),
        (moved(relay(remote(&cema(active)))), Ok((Role::Active, by_lines.clone(), true))),
        (moved(remote(&cema(passive))), Ok((Role::Passive, by_lines.clone(), true))),
        (remote(active), Ok((Role::Active, by_path.clone(), false))),
        (moved(remote(active)), Ok((Role::Active, by_lines, false))),
        (moved(remote(passive)), Err(AnswerError::FallBack)),
        (moved(relay(remote(active))), Err(AnswerError::FallBack)),
        (
            relay(remote(active)).replace("198.51.100.7:9000", "h:9"),
            Ok((Role::Active, by_relay.clone(), false)),
        ),
        (
            relay(remote(active)).replace("relay.example.com:2000", "198.51.100.7:9000"),
            Ok((Role::Active, by_path.clone(), false)),
        ),
    ] {
        let answer = if answer.contains("relay.example.com")
            && expected.as_ref().is_ok_and(|(_, r, c)| *r == by_relay && !c)
        {
            // The relay is in c= and m= too, as a name: nothing stands between.
            answer
                .replace("c=IN IP4 198.51.100.7", "c=IN IP4 relay.example.com")
                .replace("message 9000", "message 2000")
        } else {
            answer
        };
        let outcome = answered(&media(Setup::ActPass), &answer).map(|n| (n.role, n.remote, n.cema));
        assert_eq!(outcome, expected, "{answer}");
    }
    // Who does not offer it looks at the path alone (RFC 4975 §8.1).
    let plain = MsrpMedia { cema: false, ..media(Setup::ActPass) };
    let negotiated = answered(&plain, &moved(remote(&cema(active)))).unwrap();
    assert_eq!((negotiated.remote, negotiated.cema), (by_path, false));
    assert!(!text(&offer(&IDS, &plain).unwrap().0).contains("cema"));
}

/// RFC 6714 §4.3.
#[test]
fn anchoring_of_the_answerer() {
    let moved = |text: String| text.replace("c=IN IP4 198.51.100.7", "c=IN IP4 203.0.113.5");
    let cema = "a=setup:actpass\r\na=msrp-cema\r\n";
    let (text, negotiated) = answer_to(&moved(remote(cema)), &media(Setup::Active)).unwrap();
    assert!(text.contains("a=msrp-cema") && negotiated.cema);
    assert_eq!(negotiated.remote.host, Host::Ip([203, 0, 113, 5].into()));
    // A middlebox that knows nothing of it.
    let refused = answer_to(&moved(remote("a=setup:actpass\r\n")), &media(Setup::Active)).unwrap_err();
    assert_eq!(refused, Refusal::Middlebox);
    // None in the way: it is offered in the answer, and the path is where c= is.
    let (text, negotiated) = answer_to(&remote("a=setup:actpass\r\n"), &media(Setup::Active)).unwrap();
    assert!(text.contains("a=msrp-cema") && !negotiated.cema);
    // Names are not told from addresses without resolving them.
    let named =
        remote("a=setup:actpass\r\n").replace("path:msrp://198.51.100.7", "path:msrp://host.example.com");
    assert!(answer_to(&named, &media(Setup::Active)).is_ok());
    // An offerer behind a relay that connects.
    let relayed = remote("a=msrp-cema\r\na=setup:active\r\n")
        .replace("a=path:", "a=path:msrp://198.51.100.7:9000;tcp ");
    let (text, negotiated) = answer_to(&relayed, &media(Setup::Active)).unwrap();
    assert!(!text.contains("a=msrp-cema") && !negotiated.cema);
    let plain = MsrpMedia { cema: false, ..media(Setup::Active) };
    let (text, negotiated) = answer_to(&moved(remote(cema)), &plain).unwrap();
    assert!(!text.contains("a=msrp-cema"));
    assert_eq!(negotiated.remote.host, Host::Ip([198, 51, 100, 7].into()));
}

// threats: I4
#[test]
fn nobody_is_asked_to_connect_to_nowhere() {
    for (from, to) in
        [("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0"), ("c=IN IP4 198.51.100.7", "c=IN IP4 224.0.0.1")]
    {
        let bad = remote("a=msrp-cema\r\na=setup:actpass\r\n").replace(from, to);
        assert_eq!(answer_to(&bad, &media(Setup::Active)).unwrap_err(), Refusal::UnusableAddress);
        // Who listens does not mind.
        assert!(answer_to(&bad, &media(Setup::Passive)).is_ok());
        let answer = bad.replace("actpass", "passive");
        assert_eq!(answered(&media(Setup::ActPass), &answer), Err(AnswerError::UnusableAddress));
    }
    let zero = remote("a=setup:passive\r\n").replace(":9000", ":0");
    let plain = MsrpMedia { cema: false, ..media(Setup::ActPass) };
    assert_eq!(answered(&plain, &zero), Err(AnswerError::UnusableAddress));
}

// threats: I1, I2
#[test]
fn answers_that_answer_something_else() {
    let extra = "m=audio 0 RTP/AVP 0\r\n";
    let without = remote("").split("m=message").next().unwrap().to_string();
    for (answer, error) in [
        (remote(extra), AnswerError::MediaCount),
        (without, AnswerError::MediaCount),
        (remote("").replace("message 9000", "message 0"), AnswerError::Refused),
        (remote("").replace("TCP/MSRP", "TCP/TLS/MSRP"), AnswerError::OtherMedium),
        (remote("").replace("m=message", "m=audio"), AnswerError::OtherMedium),
        (remote("").replace("9000 TCP", "90000 TCP"), AnswerError::Medium(MediumFault::Port)),
        (remote("").replace("a=path", "a=bath"), AnswerError::Medium(MediumFault::Path)),
        (remote("").replace("msrp:", "msrps:"), AnswerError::Medium(MediumFault::Path)),
        (remote("").replace(":9000/", "/"), AnswerError::Medium(MediumFault::Path)),
        (remote("").replace("accept-types", "types"), AnswerError::Medium(MediumFault::AcceptTypes)),
        (remote("").replace("message/cpim", "cpim"), AnswerError::Medium(MediumFault::AcceptTypes)),
        (
            remote("a=setup:passive\r\na=msrp-cema\r\n").replace("c=IN", "c=XX"),
            AnswerError::Medium(MediumFault::Connection),
        ),
        (remote("a=file-selector:size:-1\r\n"), AnswerError::Medium(MediumFault::FileSelector)),
    ] {
        assert_eq!(answered(&media(Setup::ActPass), &answer), Err(error), "{answer}");
    }
}

#[test]
fn the_first_usable_msrp_medium_is_answered_and_the_others_get_port_0() {
    let session = remote("").split("m=message").next().unwrap().to_string();
    let good = "a=accept-types:*\r\na=path:msrp://198.51.100.7:9000/qwertzuiop;tcp\r\na=setup:actpass\r\n";
    let offered = format!(
        "{session}m=audio 49170 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\nm=message 0 TCP/MSRP *\r\n{good}\
         m=message 70000 TCP/MSRP *\r\n{good}m=message 9000 TCP/MSRP *\r\na=accept-types:*\r\n\
         m=message 9000 TCP/MSRP *\r\n{good}m=message 9000 TCP/MSRP *\r\n{good}m=x 1 y z\r\n"
    );
    let (text, _) = answer_to(&offered, &media(Setup::Active)).unwrap();
    let lines: Vec<&str> = text.split("\r\n").filter(|line| line.starts_with("m=")).collect();
    let expected = [
        "m=audio 0 RTP/AVP 0 8",
        "m=message 0 TCP/MSRP *",
        "m=message 0 TCP/MSRP *",
        "m=message 0 TCP/MSRP *",
        "m=message 2855 TCP/MSRP *",
        "m=message 0 TCP/MSRP *",
        "m=x 0 y z",
    ];
    assert_eq!(lines, expected);
    let reason = |offer: &str| RemoteOffer::read(&read(offer)).unwrap_err();
    assert_eq!(reason(&session).reason, Refusal::NoMsrp);
    assert_eq!(reason(&format!("{session}m=audio 1 RTP/AVP 0\r\n")).reason, Refusal::NoMsrp);
    // Threat I1: without any c= line.
    let nowhere = reason(&remote("").replace("c=IN IP4 198.51.100.7\r\n", ""));
    assert_eq!((nowhere.reason, nowhere.status()), (Refusal::Medium(MediumFault::Connection), 488));
    let refused = reason(&remote("").replace("a=path", "a=bath"));
    assert_eq!((refused.reason, refused.status()), (Refusal::Medium(MediumFault::Path), 488));
}

/// Readings D5, D6; TS C.1.8, C.4.
// req: C.4-abnf
// req: 5.2.1.1-p8
// req: 5.2.1.3-b4
#[test]
fn chunk_sizes() {
    let ours = |kb| MsrpMedia { max_chunk_size_kb: kb, ..media(Setup::Active) };
    for (line, own, said, octets) in [
        ("a=max-chunk-size:1024\r\n", Some(200), Some(200), Some(200 * 1024)),
        ("a=max-chunk-size: 1024\r\n", Some(2000), Some(1024), Some(1024 * 1024)),
        ("a=max-chunk-size : 150\r\n", Some(200), Some(150), Some(150 * 1024)),
        ("a=max-chunk-size:5\r\n", Some(200), Some(5), Some(5 * 1024)),
        ("a=max-chunk-size:150\r\n", None, None, Some(150 * 1024)),
        ("a=max-chunk-size:0\r\n", Some(200), None, None),
        ("a=max-chunk-size:99999999999999999999\r\n", Some(200), None, None),
        ("", Some(200), None, None),
    ] {
        let (text, negotiated) =
            answer_to(&remote(&format!("a=setup:actpass\r\n{line}")), &ours(own)).unwrap();
        let found = text.split("\r\n").find_map(|l| l.strip_prefix("a=max-chunk-size:"));
        assert_eq!(found.map(ToString::to_string), said.map(|kb: u32| kb.to_string()), "{line}");
        assert_eq!(negotiated.max_chunk_size_octets, octets, "{line}");
    }
    let offered = MsrpMedia { max_chunk_size_kb: Some(200), ..media(Setup::ActPass) };
    let chunk = |line: &str| answered(&offered, &remote(line)).unwrap().max_chunk_size_octets;
    assert_eq!(chunk("a=max-chunk-size:100\r\n"), Some(100 * 1024));
    assert_eq!(chunk("a=max-chunk-size:300\r\n"), Some(200 * 1024));
    assert_eq!(chunk(""), None, "no answer: no limit");
    assert_eq!(
        offer(&IDS, &MsrpMedia { max_chunk_size_kb: Some(99), ..offered }).unwrap_err(),
        MediaError::ChunkSize
    );
}

#[test]
fn file_selectors_are_read_with_their_quotes() {
    for (selector, size) in [
        ("name:\"a size:5 b.jpg\" type:image/jpeg size:4092 hash:sha-1:72:24", Some(4092)),
        ("SIZE:1", Some(1)),
        ("name:\"x\"", None),
        ("", None),
    ] {
        let text = remote(&format!("a=file-selector:{selector}\r\n"));
        let offer = RemoteOffer::read(&read(&text)).unwrap();
        assert_eq!((offer.file_size(), offer.file().is_some()), (size, true), "{selector}");
    }
    for selector in ["size:", "size:+5", "size:18446744073709551616", "size:1 size:1", "size:0x10"] {
        let text = remote(&format!("a=file-selector:{selector}\r\n"));
        let refused = RemoteOffer::read(&read(&text)).unwrap_err();
        assert_eq!(refused.reason, Refusal::Medium(MediumFault::FileSelector), "{selector}");
    }
}

#[test]
fn nothing_can_be_smuggled_into_what_we_write() {
    let evil = "\r\na=evil:yes";
    let base = media(Setup::ActPass);
    for (broken, error) in [
        (MsrpMedia { path: format!("{}{evil}", base.path), ..base.clone() }, MediaError::Path),
        (MsrpMedia { path: format!("msrp://192.0.2.1:2855/x{evil};tcp"), ..base.clone() }, MediaError::Path),
        (MsrpMedia { path: "msrps://192.0.2.1:2855/x;tcp".into(), ..base.clone() }, MediaError::Path),
        (MsrpMedia { path: "sip:x".into(), ..base.clone() }, MediaError::Path),
        (MsrpMedia { path: "msrp://192.0.2.1:2856/x;tcp".into(), ..base.clone() }, MediaError::PathElsewhere),
        (MsrpMedia { path: "msrp://192.0.2.2:2855/x;tcp".into(), ..base.clone() }, MediaError::PathElsewhere),
        (MsrpMedia { accept_types: vec![format!("text/plain{evil}")], ..base.clone() }, MediaError::Types),
        (MsrpMedia { accept_types: vec!["text/plain;x=y z".into()], ..base.clone() }, MediaError::Types),
        (MsrpMedia { accept_types: vec![], ..base.clone() }, MediaError::Types),
        (MsrpMedia { accept_wrapped_types: vec!["*".into(); 65], ..base.clone() }, MediaError::Types),
    ] {
        assert_eq!(offer(&IDS, &broken).map(|_| ()), Err(error), "{:?}", broken.path);
        let as_answer = MsrpMedia { setup: Setup::Passive, ..broken };
        let refused = RemoteOffer::read(&read(&remote(""))).unwrap().answer(&IDS, &as_answer).unwrap_err();
        assert_eq!((refused.reason, refused.status()), (Refusal::Ours(error), 500));
    }
    let tls = MsrpMedia {
        transport: MsrpTransport::Tls,
        path: "msrps://192.0.2.1:2855/x;tcp".into(),
        ..media(Setup::Passive)
    };
    assert_eq!(answer_to(&remote(""), &tls).unwrap_err(), Refusal::Transport);
}

#[test]
fn ipv6_all_the_way() {
    let ours = |setup| MsrpMedia {
        address: "2001:db8::1".parse().unwrap(),
        path: "msrp://[2001:db8::1]:2855/abcdefghijklmnop;tcp".into(),
        ..media(setup)
    };
    let (description, pending) = offer(&IDS, &ours(Setup::ActPass)).unwrap();
    assert!(text(&description).contains("c=IN IP6 2001:db8::1\r\n"));
    let (answer, theirs) =
        RemoteOffer::read(&description).unwrap().answer(&IDS, &ours(Setup::Active)).unwrap();
    assert_eq!(theirs.remote, Remote { host: Host::Ip("2001:db8::1".parse().unwrap()), port: 2855 });
    assert_eq!(pending.answered(&answer).unwrap().role, Role::Passive);
}

fn any_media() -> impl Strategy<Value = MsrpMedia> {
    let direction = prop_oneof![
        Just(Direction::SendRecv),
        Just(Direction::SendOnly),
        Just(Direction::RecvOnly),
        Just(Direction::Inactive)
    ];
    let types = proptest::collection::vec(prop_oneof!["[a-z]{1,8}/[a-z+]{1,8}", Just("*".to_string())], 1..4);
    let numbers = (any::<Option<u64>>(), any::<Option<u64>>(), proptest::option::of(100u32..5000));
    (1u16.., any::<bool>(), direction, types, numbers, any::<bool>()).prop_map(
        |(port, cema, direction, types, numbers, active)| MsrpMedia {
            port,
            path: format!("msrp://192.0.2.1:{port}/abcdefghijklmnop;tcp"),
            cema,
            direction,
            accept_types: types,
            file: numbers.0.map(FileDescription::of_size),
            max_size: numbers.1,
            max_chunk_size_kb: numbers.2,
            setup: if active { Setup::Active } else { Setup::Passive },
            ..media(Setup::ActPass)
        },
    )
}

proptest! {
    /// Whatever both sides are: they agree, or the answerer refuses.
    #[test]
    fn both_sides_see_the_same(ours in any_media(), theirs in any_media()) {
        let ours = MsrpMedia { setup: Setup::ActPass, ..ours };
        let (description, pending) = offer(&IDS, &ours).unwrap();
        match RemoteOffer::read(&read(&text(&description))).unwrap().answer(&IDS, &theirs) {
            Err(refused) => prop_assert_eq!(refused.reason, Refusal::NoCommonType),
            Ok((answer, b)) => {
                let a = pending.answered(&read(&text(&answer))).unwrap();
                prop_assert_ne!(a.role, b.role);
                prop_assert_eq!(a.direction, b.direction.mirrored());
                prop_assert_eq!((a.cema, a.remote.port, b.remote.port), (b.cema, theirs.port, ours.port));
                prop_assert_eq!((&a.remote_accept_types, &b.remote_accept_types), (&theirs.accept_types, &ours.accept_types));
                prop_assert_eq!(b.remote_file, ours.file);
                if let (Some(x), Some(y)) = (ours.max_chunk_size_kb, theirs.max_chunk_size_kb) {
                    let least = Some(u64::from(x.min(y)) * 1024);
                    prop_assert_eq!((a.max_chunk_size_octets, b.max_chunk_size_octets), (least, least));
                }
            }
        }
    }

    #[test]
    fn no_lines_panic_the_exchange(lines in "(a=(path|setup|accept-types|max-chunk-size|file-selector|msrp-cema):?[ -~]{0,30}\r\n){0,6}") {
        let offered = read(&remote(&lines));
        if let Ok(offer) = RemoteOffer::read(&offered) {
            let _ = offer.answer(&IDS, &media(Setup::Active));
        }
        let _ = offer(&IDS, &media(Setup::ActPass)).unwrap().1.answered(&offered);
    }
}
