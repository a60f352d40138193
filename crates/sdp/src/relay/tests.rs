#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::string_slice)]

use super::*;
use crate::{Role, SessionMatching};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

/// An offer with a chat, a call and a line that nobody knows.
const OFFER: &str = "v=0\r\no=alice 77 5 IN IP4 192.0.2.1\r\ns=Talk\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nx=kept\r\na=tool:t\r\n\
m=message 2855 TCP/MSRP *\r\ni=chat\r\na=accept-types:message/cpim text/plain\r\n\
a=accept-wrapped-types:text/plain application/vnd.oma.cpm-event-imap+xml message/imdn+xml\r\na=setup:actpass\r\n\
a=x-new: 1\r\na=path:msrp://192.0.2.1:2855/alice;tcp\r\na=connection:new\r\na=max-chunk-size:700\r\n\
m=audio 49170 RTP/AVP 0 8\na=rtpmap:0 PCMU/8000\n";

fn rules() -> LegRules {
    LegRules { cema: true, legacy: false, chunks: None, rechunk: true, events: true, closed_group: false }
}

fn policy() -> MediaPolicy {
    MediaPolicy { msrp: true, others: vec!["audio".into()] }
}

fn read(text: &str) -> SessionDescription {
    SessionDescription::parse(text.as_bytes(), &Limits::default()).unwrap()
}

fn text(description: &SessionDescription) -> String {
    String::from_utf8(description.to_bytes().to_vec()).unwrap()
}

fn origin(host: u8) -> LegOrigin {
    LegOrigin::new(SessionIds { id: u64::from(host), version: 1 }, [198, 51, 100, 1].into())
}

fn ends(name: &str) -> Vec<Option<End>> {
    vec![
        Some(End {
            address: [198, 51, 100, 1].into(),
            port: 7000,
            path: format!("msrp://198.51.100.1:7000/{name};tcp"),
        }),
        None,
    ]
}

/// What a device answers: its types, and lines more.
fn answer(host: u8, types: &str, more: &str, audio: &str) -> SessionDescription {
    read(&format!(
        "v=0\r\no=- {host} 1 IN IP4 203.0.113.{host}\r\ns=-\r\nc=IN IP4 203.0.113.{host}\r\nt=0 0\r\nm=message 9000 TCP/MSRP *\r\n\
         a=accept-types:{types}\r\na=accept-wrapped-types:text/plain message/imdn+xml\r\n\
         a=path:msrp://203.0.113.{host}:9000/d{host};tcp\r\na=x-device:{host}\r\n{more}{audio}"
    ))
}

const NO_AUDIO: &str = "m=audio 0 RTP/AVP 0 8\r\n";

// req: 5.2.1.2-p1.1
// req: 5.2.1.2-p1.2
// req: 5.2.1.2-b2
// req: 5.2.1.2-b3
// req: 5.2.1.2-a.2-n1
// req: 5.2.1.2-p5
// req: 5.2.1.2-setup-A
#[test]
fn an_offer_goes_on_with_our_end_in_it_and_all_else_as_it_was() {
    let mut bridge = OfferBridge::new(&read(OFFER), &policy()).unwrap();
    assert_eq!(bridge.anchored().collect::<Vec<_>>(), [0]);
    let (leg, out) = bridge.add_leg(&mut origin(9), &rules(), &ends("leg")).unwrap();
    let expected = "v=0\r\no=- 9 1 IN IP4 198.51.100.1\r\ns=Talk\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nx=kept\r\na=tool:t\r\n\
        m=message 7000 TCP/MSRP *\r\ni=chat\r\nc=IN IP4 198.51.100.1\r\na=accept-types:message/cpim text/plain\r\n\
        a=accept-wrapped-types:text/plain application/vnd.oma.cpm-event-imap+xml message/imdn+xml\r\na=setup:actpass\r\n\
        a=x-new: 1\r\na=path:msrp://198.51.100.1:7000/leg;tcp\r\na=max-chunk-size:700\r\na=sendrecv\r\na=msrp-cema\r\n\
        m=audio 49170 RTP/AVP 0 8\na=rtpmap:0 PCMU/8000\n";
    assert_eq!((leg, text(&out).as_str()), (0, expected));
    // A leg of the legacy kind is not told of msrp-cema.
    let (_, out) = bridge
        .add_leg(&mut origin(9), &LegRules { cema: false, legacy: true, ..rules() }, &ends("l"))
        .unwrap();
    assert!(!text(&out).contains("msrp-cema"));
}

// req: 5.2.1.2-b1
#[test]
fn what_may_not_pass_is_off_on_every_leg_and_in_the_answer() {
    let policy = MediaPolicy { msrp: true, others: vec![] };
    let mut bridge = OfferBridge::new(&read(OFFER), &policy).unwrap();
    assert_eq!(bridge.refusals(), [(1, Refusal::Declined)]);
    let (leg, out) = bridge.add_leg(&mut origin(9), &rules(), &ends("leg")).unwrap();
    assert!(text(&out).ends_with("m=audio 0 RTP/AVP 0 8\r\n") && !text(&out).contains("rtpmap"));
    // A device that takes it nevertheless does not get it.
    let device = answer(1, "message/cpim", "a=setup:active\r\na=msrp-cema\r\n", "m=audio 5 RTP/AVP 0\r\n");
    assert_eq!(bridge.answered(leg, &device).unwrap()[1], LegMedium::Off);
    let (back, _) = bridge.answer(Merge::Leg(leg), &mut origin(8), &rules(), &ends("in")).unwrap();
    assert!(text(&back).ends_with("m=audio 0 RTP/AVP 0 8\r\n"));
    let refused = OfferBridge::new(&read(OFFER), &MediaPolicy { msrp: false, others: vec![] }).unwrap_err();
    assert_eq!(refused.status(), 488);
    assert_eq!(refused, RelayError::Refused(vec![(0, Refusal::Declined), (1, Refusal::Declined)]));
    let broken = OFFER.replace("a=path", "a=bath");
    let bridge =
        OfferBridge::new(&read(&broken), &super::MediaPolicy { msrp: true, others: vec!["AUDIO".into()] })
            .unwrap();
    assert_eq!(bridge.refusals(), [(0, Refusal::Medium(crate::MediumFault::Path))]);
}

/// TS 5.2.1.2-b4: events stay between a user's own.
// req: 5.2.1.2-b4
#[test]
fn events_are_not_for_another_user() {
    let mut bridge = OfferBridge::new(&read(OFFER), &policy()).unwrap();
    let (_, out) =
        bridge.add_leg(&mut origin(9), &LegRules { events: false, ..rules() }, &ends("leg")).unwrap();
    assert!(text(&out).contains("a=accept-wrapped-types:text/plain message/imdn+xml\r\n"));
}

/// TS 5.2.1.2-a to -c.
// req: 5.2.1.2-a
// req: 5.2.1.2-b.i.1
// req: 5.2.1.2-b.ii.1
// req: 5.2.1.2-c
// req: 5.2.1.2-b5
#[test]
fn chunk_sizes_pass_or_give_way() {
    let sizes = |list: &[u32], between| ChunkSizes::new(list.to_vec(), between);
    for (chunks, rechunk, said) in [
        (None, true, Some(700)),
        (sizes(&[1024], true), true, Some(700)),
        (sizes(&[700, 300], false), false, Some(700)),
        (sizes(&[300, 500], false), true, Some(500)),
        (sizes(&[2000, 500], false), true, Some(2000)),
        (sizes(&[2000, 500, 300], false), false, Some(500)),
        (sizes(&[2000], false), false, Some(700)),
    ] {
        let mut bridge = OfferBridge::new(&read(OFFER), &policy()).unwrap();
        let rules = LegRules { chunks: chunks.clone(), rechunk, ..rules() };
        let (_, out) = bridge.add_leg(&mut origin(9), &rules, &ends("leg")).unwrap();
        let found = text(&out)
            .split("\r\n")
            .find_map(|l| l.strip_prefix("a=max-chunk-size:").map(|n| n.parse().unwrap()));
        assert_eq!(found, said, "{chunks:?} {rechunk}");
    }
    let none = OFFER.replace("a=max-chunk-size:700\r\n", "");
    let mut bridge = OfferBridge::new(&read(&none), &policy()).unwrap();
    let with = LegRules { chunks: sizes(&[500], true), ..rules() };
    assert!(
        !text(&bridge.add_leg(&mut origin(9), &with, &ends("leg")).unwrap().1).contains("max-chunk-size")
    );
}

/// N legs, each with its own path, chunk size and anchoring; their answers become one.
// req: 5.2.1.2-setup-A
// req: 5.2.1.2-setup-A.1
// req: 5.2.1.2-setup-A.2
// req: 5.2.1.2-setup-B
#[test]
fn many_legs_and_one_answer() {
    let mut bridge = OfferBridge::new(&read(OFFER), &policy()).unwrap();
    let chunks = |kb| LegRules { chunks: ChunkSizes::new(vec![kb], true), legacy: true, ..rules() };
    let mut legs = Vec::new();
    for (n, rules) in [chunks(1024), chunks(400), chunks(100), rules()].iter().enumerate() {
        let (leg, out) = bridge.add_leg(&mut origin(10 + n as u8), rules, &ends(&format!("leg{n}"))).unwrap();
        assert!(text(&out).contains(&format!("/leg{n};tcp")));
        legs.push(leg);
    }
    let outcome = |bridge: &mut OfferBridge, leg: usize, answer: &SessionDescription| -> Negotiated {
        match &bridge.answered(leg, answer).unwrap()[0] {
            LegMedium::Msrp(negotiated) => (**negotiated).clone(),
            other => panic!("{other:?}"),
        }
    };
    let audio = "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
    let one = answer(
        1,
        "message/cpim text/plain",
        "a=setup:active\r\na=msrp-cema\r\na=max-chunk-size:600\r\na=recvonly\r\n",
        NO_AUDIO,
    );
    let two = answer(2, "message/* text/html", "a=setup:passive\r\na=max-chunk-size:400\r\n", audio);
    let first = outcome(&mut bridge, legs[0], &one);
    assert_eq!(
        (first.role, first.matching(), first.max_chunk_size_octets),
        (Role::Passive, SessionMatching::Cema, Some(600 * 1024))
    );
    assert_eq!(first.direction, Direction::SendOnly);
    let second = outcome(&mut bridge, legs[1], &two);
    assert_eq!(
        (second.role, second.matching(), second.max_chunk_size_octets),
        (Role::Active, SessionMatching::Legacy, Some(400 * 1024))
    );
    assert_eq!(bridge.answered(legs[1], &two).unwrap()[1], LegMedium::Passed);

    // A leg that answers something else, or cannot be reached, does not harm the others.
    let short = read(&text(&one).replace(NO_AUDIO, ""));
    assert_eq!(bridge.answered(legs[2], &short), Err(AnswerRejected::MediaCount { offered: 2, answered: 1 }));
    let twisted = read(&text(&one).replace("m=audio", "m=video"));
    assert_eq!(bridge.answered(legs[2], &twisted), Err(AnswerRejected::OtherMedium { medium: 1 }));
    let moved = read(
        &text(&one).replace("a=msrp-cema\r\n", "").replace("c=IN IP4 203.0.113.1", "c=IN IP4 203.0.113.77"),
    );
    assert_eq!(bridge.answered(legs[3], &moved).unwrap()[0], LegMedium::Unusable(AnswerError::FallBack));
    assert_eq!(bridge.answered(99, &one), Err(AnswerRejected::Stale));

    let mut incoming = origin(8);
    let (all, sides) = bridge.answer(Merge::All, &mut incoming, &rules(), &ends("in")).unwrap();
    let expected = "v=0\r\no=- 8 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\nm=message 7000 TCP/MSRP *\r\n\
        c=IN IP4 198.51.100.1\r\na=accept-types:message/cpim\r\na=accept-wrapped-types:text/plain message/imdn+xml\r\n\
        a=path:msrp://198.51.100.1:7000/in;tcp\r\na=x-device:1\r\na=setup:passive\r\na=max-chunk-size:400\r\na=sendrecv\r\n\
        m=audio 6000 RTP/AVP 0\r\nc=IN IP4 203.0.113.2\r\na=rtpmap:0 PCMU/8000\r\n";
    assert_eq!(text(&all), expected);
    let LegMedium::Msrp(side) = &sides[0] else { panic!() };
    assert_eq!((side.role, side.max_chunk_size_octets), (Role::Passive, Some(400 * 1024)));
    // The one that took the call: its types and direction, and the version grows with the text.
    let (one_alone, _) = bridge.answer(Merge::Leg(legs[0]), &mut incoming, &rules(), &ends("in")).unwrap();
    assert!(text(&one_alone).contains("o=- 8 2 IN") && text(&one_alone).contains("a=recvonly\r\n"));
    assert!(
        text(&one_alone).contains("a=accept-types:message/cpim text/plain\r\n")
            && text(&one_alone).ends_with(NO_AUDIO)
    );
    let (same, _) = bridge.answer(Merge::Leg(legs[0]), &mut incoming, &rules(), &ends("in")).unwrap();
    assert_eq!(same, one_alone);
    // Nobody has answered, or an end is wrong: the caller's mistake.
    assert_eq!(
        bridge.answer(Merge::Leg(legs[2]), &mut incoming, &rules(), &ends("in")).unwrap_err(),
        RelayError::Leg
    );
    let wrong = |path: &str| {
        vec![Some(End { address: [198, 51, 100, 1].into(), port: 7000, path: path.into() }), None]
    };
    for ends in [
        vec![],
        wrong("msrp://198.51.100.1:7001/x;tcp"),
        wrong("msrps://198.51.100.1:7000/x;tcp"),
        wrong("msrp://198.51.100.1:7000/x;tcp\r\na=evil"),
    ] {
        assert_eq!(bridge.add_leg(&mut origin(9), &rules(), &ends).unwrap_err(), RelayError::End(0));
        assert_eq!(bridge.answer(Merge::All, &mut incoming, &rules(), &ends).unwrap_err().status(), 500);
    }
}

#[test]
fn legs_that_share_nothing_take_nothing() {
    let mut bridge = OfferBridge::new(&read(OFFER), &policy()).unwrap();
    for (host, types) in [(1, "message/cpim"), (2, "text/plain")] {
        let (leg, _) = bridge.add_leg(&mut origin(host), &rules(), &ends("leg")).unwrap();
        bridge.answered(leg, &answer(host, types, "a=setup:active\r\na=msrp-cema\r\n", NO_AUDIO)).unwrap();
    }
    let refused = bridge.answer(Merge::All, &mut origin(8), &rules(), &ends("in")).unwrap_err();
    assert_eq!((refused.status(), refused), (488, RelayError::Refused(vec![(0, Refusal::NoCommonType)])));
    assert!(bridge.answer(Merge::Leg(1), &mut origin(8), &rules(), &ends("in")).is_ok());
}

/// TS 9.2.1: the operator's groups are closed, whatever was asked for.
#[test]
fn a_group_is_closed_by_policy() {
    let said = |offer: &str| {
        let mut bridge = OfferBridge::new(&read(offer), &policy()).unwrap();
        let (_, out) = bridge
            .add_leg(&mut origin(9), &LegRules { closed_group: true, ..rules() }, &ends("leg"))
            .unwrap();
        text(&out).split("\r\n").find(|l| l.starts_with("a=chatroom")).map(ToString::to_string)
    };
    let closed = Some("a=chatroom:org.openmobilealliance.groupchat.closed".to_string());
    assert_eq!(said(OFFER), closed);
    assert_eq!(said(&OFFER.replace("a=x-new: 1", &closed.clone().unwrap())), closed);
    let open = OFFER.replace("a=x-new: 1", "a=chatroom:nickname");
    assert_eq!(said(&open), Some("a=chatroom:nickname org.openmobilealliance.groupchat.closed".into()));
}
