#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use crate::{Direction, FileDescription, MsrpMedia, MsrpTransport, Negotiated, Role, Setup, wrapped_types};
use alloc::format;
use alloc::vec;
use proptest::prelude::*;

fn session(host: u8) -> MediaSession {
    MediaSession::new(SessionSettings {
        ids: SessionIds { id: u64::from(host), version: 1 },
        address: [192, 0, 2, host].into(),
        limits: Limits::default(),
        leniency: OriginLeniency::default(),
    })
}

fn msrp(host: u8, name: &str, setup: Setup) -> MsrpMedia {
    MsrpMedia {
        setup,
        accept_wrapped_types: wrapped_types(&["text/plain"], true),
        ..MsrpMedia::new(
            MsrpTransport::Tcp,
            [192, 0, 2, host].into(),
            2855,
            format!("msrp://192.0.2.{host}:2855/{name};tcp"),
        )
    }
}

fn audio(formats: &[&str]) -> OtherMedia {
    OtherMedia {
        media: "audio".into(),
        port: 49170,
        proto: "RTP/AVP".into(),
        formats: formats.iter().map(ToString::to_string).collect(),
        address: None,
        direction: Direction::SendRecv,
        lines: formats.iter().map(|f| format!("a=rtpmap:{f} X{f}/8000")).collect(),
    }
}

use alloc::string::ToString;

fn text(description: &SessionDescription) -> String {
    String::from_utf8(description.to_bytes().to_vec()).unwrap()
}

fn media_lines(description: &SessionDescription) -> Vec<String> {
    text(description).split("\r\n").filter(|l| l.starts_with("m=")).map(ToString::to_string).collect()
}

fn version(description: &SessionDescription) -> u64 {
    description.origin().version.parse().unwrap()
}

/// One whole exchange: `a` offers the plan, `b` says these things.
fn exchange(
    a: &mut MediaSession,
    b: &mut MediaSession,
    plan: &Plan,
    answers: Vec<Option<LocalMedium>>,
) -> (Outcome, Outcome, SessionDescription, SessionDescription) {
    let (offer, token) = a.offer(plan).unwrap();
    let received = b.receive_offer(&offer).unwrap();
    let (answer, theirs) = b.answer(received, answers).unwrap();
    let ours = a.answered(token, &answer).unwrap();
    (ours, theirs, offer, answer)
}

fn negotiated(outcome: &Outcome, index: usize) -> &Negotiated {
    match &outcome.media[index].agreed {
        Agreed::Msrp(negotiated) => negotiated,
        other => panic!("{other:?}"),
    }
}

fn changes(outcome: &Outcome) -> Vec<Change> {
    outcome.media.iter().map(|m| m.change).collect()
}

/// Add, keep, reuse, turn off, hold, replace: TS 7.4.1-2.b, RFC 3264 §8, RFC 5547 §8.2.1.
// req: 7.4.1-2.b.ii
// req: 5.2.1.1-p2
#[test]
fn a_session_changes_and_its_lines_stay() {
    let (mut a, mut b) = (session(1), session(2));
    let mut plan = a.plan();
    assert_eq!((plan.add(msrp(1, "chat", Setup::ActPass)), plan.add(audio(&["0", "8"]))), (0, 1));
    let answers = vec![Some(msrp(2, "chat", Setup::Active).into()), None];
    let (ours, theirs, offer, answer) = exchange(&mut a, &mut b, &plan, answers);
    assert_eq!(negotiated(&ours, 0).role, Role::Passive);
    assert_eq!(negotiated(&theirs, 0).role, Role::Active);
    assert_eq!(ours.media[1].agreed, Agreed::Off(Off::RefusedByPeer));
    assert_eq!(theirs.media[1].agreed, Agreed::Off(Off::RefusedByUs(Refusal::Declined)));
    assert_eq!(media_lines(&answer), ["m=message 2855 TCP/MSRP *", "m=audio 0 RTP/AVP 0 8"]);
    assert_eq!((changes(&ours), version(&offer), version(&answer)), (vec![Change::Added, Change::Off], 1, 1));

    // Nothing changes: but for the line that was refused, the text is the same.
    let plan = a.plan();
    let standing = vec![Some(msrp(2, "chat", Setup::Active).into()), None];
    let (again, _, refresh, answer) = exchange(&mut a, &mut b, &plan, standing);
    assert_eq!(
        (changes(&again), version(&refresh), version(&answer)),
        (vec![Change::Kept, Change::Off], 2, 1)
    );

    // The other side adds a file in the place that is free, and holds the chat.
    let mut plan = b.plan();
    let file = MsrpMedia {
        file: Some(FileDescription { transfer_id: crate::Token::new("t1"), ..FileDescription::of_size(5) }),
        direction: Direction::SendOnly,
        ..msrp(2, "file", Setup::ActPass)
    };
    assert_eq!(plan.add(file), 1);
    assert!(plan.hold(0));
    let (offer, token) = b.offer(&plan).unwrap();
    assert_eq!(version(&offer), 2);
    let received = a.receive_offer(&offer).unwrap();
    assert!(!received.is_refresh());
    let mut answers = a.standing(&received);
    assert_eq!(answers.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    answers[1] = Some(msrp(1, "file", Setup::Active).into());
    let (answer, ours) = a.answer(received, answers).unwrap();
    assert_eq!(changes(&ours), [Change::Modified, Change::Added]);
    assert_eq!(
        (negotiated(&ours, 0).direction, negotiated(&ours, 1).direction),
        (Direction::RecvOnly, Direction::RecvOnly)
    );
    let theirs = b.answered(token, &answer).unwrap();
    assert_eq!(negotiated(&theirs, 0).direction, Direction::SendOnly);
    assert_eq!(version(&answer), 3);
    // Whoever offers, the connection that stands keeps its roles.
    assert_eq!((negotiated(&ours, 0).role, negotiated(&theirs, 0).role), (Role::Passive, Role::Active));

    // The next file in the line of the one that is through; the chat is on again.
    let mut plan = b.plan();
    assert!(plan.replace(1, msrp(2, "file2", Setup::ActPass)) && plan.set_direction(0, Direction::SendRecv));
    let answers =
        vec![Some(msrp(1, "chat", Setup::ActPass).into()), Some(msrp(1, "file2", Setup::Active).into())];
    let (theirs, ours, ..) = exchange(&mut b, &mut a, &plan, answers);
    assert_eq!(changes(&ours), [Change::Modified, Change::Replaced]);
    assert_eq!(changes(&theirs), [Change::Modified, Change::Replaced]);

    // Turned off: the line stays.
    let mut plan = a.plan();
    assert!(plan.disable(1) && !plan.disable(1) && !plan.disable(7) && !plan.hold(1));
    let answers = vec![Some(msrp(2, "chat", Setup::Active).into()), None];
    let (ours, theirs, offer, answer) = exchange(&mut a, &mut b, &plan, answers);
    assert_eq!(
        (changes(&ours), changes(&theirs)),
        (vec![Change::Kept, Change::Removed], vec![Change::Kept, Change::Removed])
    );
    assert_eq!(media_lines(&offer)[1], "m=message 0 TCP/MSRP *");
    assert_eq!(
        (media_lines(&answer), theirs.media[1].agreed.clone()),
        (media_lines(&offer), Agreed::Off(Off::Disabled))
    );
}

/// Threat I3: every state × input; what is not in its place is an error and changes nothing.
#[test]
fn states_and_inputs() {
    let mut plan = Plan::default();
    plan.add(msrp(1, "chat", Setup::ActPass));
    let (offer, _) = session(9).offer(&plan).unwrap();
    let answer = || vec![Some(LocalMedium::from(msrp(2, "chat", Setup::Active)))];
    let stable = || session(1);
    let local = || {
        let mut s = session(1);
        let (_, token) = s.offer(&plan).unwrap();
        (s, token)
    };
    let remote = || {
        let mut s = session(1);
        let received = s.receive_offer(&offer).unwrap();
        (s, received)
    };
    assert!(stable().is_stable() && !local().0.is_stable() && !remote().0.is_stable());
    // Offer.
    assert!(stable().offer(&plan).is_ok());
    assert_eq!(local().0.offer(&plan).unwrap_err(), OfferError::Busy);
    assert_eq!(remote().0.offer(&plan).unwrap_err(), OfferError::Busy);
    // An offer comes in.
    assert!(stable().receive_offer(&offer).is_ok());
    let glare = local().0.receive_offer(&offer).unwrap_err();
    assert_eq!((glare, glare.status()), (OfferFault::Glare, 491));
    let early = remote().0.receive_offer(&offer).unwrap_err();
    assert_eq!((early, early.status()), (OfferFault::Unanswered, 500));
    // An answer comes in.
    let (mut s, token) = local();
    let (mut other, received) = remote();
    let (description, _) = other.answer(received, answer()).unwrap();
    assert_eq!(stable().answered(local().1, &description), Err(AnswerRejected::Stale));
    assert_eq!(remote().0.answered(local().1, &description), Err(AnswerRejected::Stale));
    assert!(s.answered(token, &description).is_ok() && s.is_stable());
    // An offer is taken back.
    let (mut s, token) = local();
    assert_eq!(stable().rollback(local().1), Err(AnswerRejected::Stale));
    assert_eq!(remote().0.rollback(local().1), Err(AnswerRejected::Stale));
    assert!(s.rollback(token).is_ok() && s.is_stable() && s.agreed().count() == 0);
    // We answer, or do not.
    for state in [stable(), local().0] {
        let mut s = state.clone();
        let given_back = s.answer(remote().1, answer()).unwrap_err();
        assert_eq!((given_back.why.clone(), given_back.status()), (WhyUnanswered::Stale, 500));
        assert!(s.answer_nothing(remote().1).is_err() && s.refuse(remote().1).is_err());
        assert_eq!(s.is_stable(), state.is_stable());
    }
    let (mut s, received) = remote();
    assert!(s.refuse(received).is_ok() && s.is_stable() && s.agreed().count() == 0);
    let (mut s, received) = remote();
    assert_eq!(media_lines(&s.answer_nothing(received).unwrap()), ["m=message 0 TCP/MSRP *"]);
    // A token is of one offer alone.
    let (mut s, token) = local();
    s.rollback(token).unwrap();
    let (_, second) = s.offer(&plan).unwrap();
    let first = OfferToken { serial: 1, media: vec![] };
    assert_eq!(s.rollback(first), Err(AnswerRejected::Stale));
    assert!(s.rollback(second).is_ok());
}

/// Threat I2: the answer has as many media as the offer, or the session before stands.
#[test]
fn answers_of_another_length_or_kind_leave_the_session_as_it_was() {
    for offered in 0..6usize {
        for answered in 0..6usize {
            let mut a = session(1);
            let mut before = a.plan();
            before.add(msrp(1, "first", Setup::ActPass));
            let answers = vec![Some(msrp(2, "first", Setup::Active).into())];
            exchange(&mut a, &mut session(2), &before, answers);
            let agreed: Vec<Agreed> = a.agreed().cloned().collect();
            let mut plan = a.plan();
            (1..offered).for_each(|n| {
                plan.add(msrp(1, &format!("n{n}"), Setup::ActPass));
            });
            let answer = format!(
                "v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n{}",
                "m=message 0 TCP/MSRP *\r\n".repeat(answered)
            );
            let answer = SessionDescription::parse(answer.as_bytes(), &Limits::default()).unwrap();
            let (_, token) = a.offer(&plan).unwrap();
            let outcome = a.answered(token, &answer);
            if answered == plan.len() {
                assert!(outcome.unwrap().media.iter().all(|m| m.agreed == Agreed::Off(Off::RefusedByPeer)));
            } else {
                assert_eq!(outcome, Err(AnswerRejected::MediaCount { offered: plan.len(), answered }));
                assert_eq!(a.agreed().cloned().collect::<Vec<_>>(), agreed);
            }
            assert!(a.is_stable());
        }
    }
    let mut a = session(1);
    let mut plan = a.plan();
    plan.add(msrp(1, "x", Setup::ActPass));
    let (_, token) = a.offer(&plan).unwrap();
    let other = "v=0\r\no=- 2 2 IN IP4 a\r\ns=-\r\nt=0 0\r\nm=message 1 TCP/TLS/MSRP *\r\n";
    let other = SessionDescription::parse(other.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(a.answered(token, &other), Err(AnswerRejected::OtherMedium { medium: 0 }));
}

/// Threats I1 and RFC 3264 §8: later offers of the far side.
#[test]
fn media_that_go_away_and_odd_origins() {
    let offer = |origin: &str, media: usize| {
        let text = format!(
            "v=0\r\no={origin}\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=5 9\r\n{}",
            "m=audio 5000 RTP/AVP 0\r\n".repeat(media)
        );
        SessionDescription::parse(text.as_bytes(), &Limits::default()).unwrap()
    };
    let start = |leniency| {
        let mut s = MediaSession::new(SessionSettings { leniency, ..session(1).settings });
        let received = s.receive_offer(&offer("- 1 5 IN IP4 a", 2)).unwrap();
        let answers = vec![Some(audio(&["0"]).into()), Some(audio(&["0"]).into())];
        let (answer, _) = s.answer(received, answers).unwrap();
        assert!(text(&answer).contains("\r\nt=5 9\r\n"), "RFC 3264 §6: the same times");
        s
    };
    let fewer = start(OriginLeniency::default()).receive_offer(&offer("- 1 6 IN IP4 a", 1)).unwrap_err();
    assert_eq!((fewer, fewer.status()), (OfferFault::FewerMedia { before: 2, now: 1 }, 488));
    for (origin, media, finding) in [
        ("- 1 5 IN IP4 a", 2, None),
        ("- 1 6 IN IP4 a", 3, None),
        ("- 01 5 IN IP4 a", 2, Some(OriginFinding::Changed)),
        ("- 1 5 IN IP4 a", 3, Some(OriginFinding::VersionStands)),
        ("- 1 4 IN IP4 a", 2, Some(OriginFinding::VersionBack)),
        ("- 1 7 IN IP4 a", 2, Some(OriginFinding::VersionSkips)),
        ("x 1 6 IN IP4 a", 2, Some(OriginFinding::Changed)),
    ] {
        let received = start(OriginLeniency::default()).receive_offer(&offer(origin, media)).unwrap();
        assert_eq!(received.findings(), finding.as_slice(), "{origin}");
        assert_eq!(received.is_refresh(), origin == "- 1 5 IN IP4 a" && media == 2);
        let mut strict = start(OriginLeniency { changed_origin: false, odd_version: false });
        let outcome = strict.receive_offer(&offer(origin, media)).map(|_| ());
        assert_eq!(outcome, finding.map_or(Ok(()), |finding| Err(OfferFault::Origin(finding))));
    }
    // Without any address there is nowhere to send to.
    let nowhere = text(&offer("- 1 1 IN IP4 a", 1)).replace("c=IN IP4 192.0.2.2\r\n", "");
    let nowhere = SessionDescription::parse(nowhere.as_bytes(), &Limits::default()).unwrap();
    let mut s = session(1);
    let received = s.receive_offer(&nowhere).unwrap();
    let refused = s.answer(received, vec![Some(audio(&["0"]).into())]).unwrap_err();
    let reason = Refusal::Medium(crate::MediumFault::Connection);
    assert_eq!((refused.status(), refused.why.clone()), (488, WhyUnanswered::Refused(vec![(0, reason)])));
    assert_eq!(
        refused.to_string(),
        "no medium can be accepted; medium 0: the offered medium cannot be used: it has no usable c= line"
    );
    // It still waits: for another answer or for being refused.
    assert!(!s.is_stable() && s.refuse(*refused.offer).is_ok() && s.is_stable());
}

#[test]
fn an_offer_that_is_taken_back_leaves_the_session_and_counts_the_version() {
    let (mut a, mut b) = (session(1), session(2));
    let mut plan = a.plan();
    plan.add(msrp(1, "chat", Setup::ActPass));
    let answers = || vec![Some(msrp(2, "chat", Setup::Active).into())];
    exchange(&mut a, &mut b, &plan, answers());
    let before: Vec<Agreed> = a.agreed().cloned().collect();
    let mut plan = a.plan();
    plan.hold(0);
    let (held, token) = a.offer(&plan).unwrap();
    a.rollback(token).unwrap();
    assert_eq!(a.agreed().cloned().collect::<Vec<_>>(), before);
    assert_eq!(a.plan().local(0).unwrap().direction(), Direction::SendRecv);
    let (offer, token) = a.offer(&a.plan()).unwrap();
    assert_eq!((version(&held), version(&offer)), (2, 3));
    a.rollback(token).unwrap();
    let (same, _token) = a.offer(&a.plan()).unwrap();
    assert_eq!(same, offer, "the same text has the same version");
}

/// A request without an offer (RFC 3261 §13.2.1): who is called offers, who called answers in the ACK. And of a
/// request that forks, each branch answers for itself.
#[test]
fn late_offers_and_forks() {
    let (mut caller, mut called) = (session(1), session(2));
    let mut plan = called.plan();
    plan.add(msrp(2, "late", Setup::ActPass));
    let (ours, ..) =
        exchange(&mut called, &mut caller, &plan, vec![Some(msrp(1, "late", Setup::Active).into())]);
    assert_eq!(negotiated(&ours, 0).role, Role::Passive);

    let mut a = session(1);
    let mut plan = a.plan();
    plan.add(msrp(1, "fork", Setup::ActPass));
    let (offer, token) = a.offer(&plan).unwrap();
    let (mut early, early_token) = a.fork(&token);
    for (branch, token, host) in [(&mut a, token, 2u8), (&mut early, early_token, 3)] {
        let mut b = session(host);
        let received = b.receive_offer(&offer).unwrap();
        let (answer, _) = b.answer(received, vec![Some(msrp(host, "fork", Setup::Passive).into())]).unwrap();
        let outcome = branch.answered(token, &answer).unwrap();
        assert_eq!(negotiated(&outcome, 0).remote_path, [format!("msrp://192.0.2.{host}:2855/fork;tcp")]);
    }
    assert!(a.agreed().ne(early.agreed()));
}

/// RFC 3264 §10.1 and §6.1: RTP beside MSRP.
#[test]
fn other_media_share_formats_or_are_refused() {
    let (mut a, mut b) = (session(1), session(2));
    let mut plan = a.plan();
    plan.add(OtherMedia {
        lines: vec!["b=AS:64".into(), "a=rtpmap:4 G723/8000".into(), "a=rtpmap:0 PCMU/8000".into()],
        ..audio(&["0", "4", "18"])
    });
    plan.add(OtherMedia { media: "video".into(), ..audio(&["31"]) });
    plan.add(msrp(1, "chat", Setup::ActPass));
    let answers = vec![
        Some(OtherMedia { direction: Direction::RecvOnly, ..audio(&["18", "8", "0"]) }.into()),
        Some(OtherMedia { media: "video".into(), ..audio(&["32"]) }.into()),
        Some(audio(&["0"]).into()),
    ];
    let (ours, theirs, _, answer) = exchange(&mut a, &mut b, &plan, answers);
    assert_eq!(
        media_lines(&answer),
        ["m=audio 49170 RTP/AVP 0 18", "m=video 0 RTP/AVP 31", "m=message 0 TCP/MSRP *"]
    );
    assert!(text(&answer).contains("a=rtpmap:18 X18/8000\r\na=rtpmap:0 X0/8000\r\na=recvonly\r\n"));
    let Agreed::Other(audio_agreed) = &ours.media[0].agreed else { panic!() };
    assert_eq!(
        (audio_agreed.direction, audio_agreed.formats.clone()),
        (Direction::SendOnly, vec!["0".to_string(), "18".into()])
    );
    assert_eq!(theirs.media[1].agreed, Agreed::Off(Off::RefusedByUs(Refusal::NoCommonFormat)));
    assert_eq!(theirs.media[2].agreed, Agreed::Off(Off::RefusedByUs(Refusal::OtherMedium)));
    for broken in [
        OtherMedia { port: 0, ..audio(&["0"]) },
        audio(&[]),
        OtherMedia { lines: vec!["a=x\r\na=evil".into()], ..audio(&["0"]) },
        OtherMedia { lines: vec!["m=audio 1 RTP/AVP 0".into()], ..audio(&["0"]) },
        OtherMedia { lines: vec!["a=sendonly".into()], ..audio(&["0"]) },
        OtherMedia { media: "au dio".into(), ..audio(&["0"]) },
    ] {
        let mut plan = Plan::default();
        plan.add(broken);
        let error = OfferError::Medium { medium: 0, error: crate::MediaError::Lines };
        assert_eq!(session(1).offer(&plan).unwrap_err(), error);
    }
    let mut many = Plan::default();
    (0..17).for_each(|_| {
        many.add(audio(&["0"]));
    });
    assert!(matches!(session(1).offer(&many), Err(OfferError::Limit(_))));
}

#[test]
fn capabilities_judge_offers_and_are_told() {
    let capabilities = Capabilities {
        msrp: vec![MsrpTransport::Tcp],
        accept_types: vec!["message/cpim".into()],
        accept_wrapped_types: vec!["text/plain".into()],
        files: false,
        max_size: Some(100),
        others: vec![FormatCapability {
            media: "audio".into(),
            proto: "RTP/AVP".into(),
            formats: vec!["0".into()],
        }],
    };
    let mut plan = Plan::default();
    let hint = |size| Some(FileDescription::of_size(size));
    plan.add(msrp(1, "ok", Setup::ActPass));
    plan.add(MsrpMedia { file: hint(101), ..msrp(1, "long", Setup::ActPass) });
    plan.add(MsrpMedia {
        file: hint(101),
        direction: Direction::RecvOnly,
        ..msrp(1, "pull", Setup::ActPass)
    });
    let file = FileDescription { transfer_id: crate::Token::new("t"), ..FileDescription::of_size(1) };
    plan.add(MsrpMedia { file: Some(file), ..msrp(1, "file", Setup::ActPass) });
    plan.add(MsrpMedia { accept_types: vec!["text/plain".into()], ..msrp(1, "text", Setup::ActPass) });
    plan.add(audio(&["8", "0"]));
    plan.add(audio(&["8"]));
    plan.add(OtherMedia { media: "video".into(), ..audio(&["0"]) });
    plan.add(audio(&["0"]));
    plan.disable(8);
    let (offer, _token) = session(1).offer(&plan).unwrap();
    let received = session(2).receive_offer(&offer).unwrap();
    assert_eq!(
        received.assess(&capabilities),
        [
            Ok(()),
            Err(Refusal::TooLarge),
            Ok(()),
            Err(Refusal::NoFiles),
            Err(Refusal::NoCommonType),
            Ok(()),
            Err(Refusal::NoCommonFormat),
            Err(Refusal::OtherMedium),
            Err(Refusal::Declined),
        ]
    );
    let none = Capabilities::default();
    assert_eq!(received.assess(&none)[0], Err(Refusal::Transport));
    let told = capabilities.describe(&SessionIds { id: 1, version: 1 }, [192, 0, 2, 1].into()).unwrap();
    assert_eq!(media_lines(&told), ["m=message 0 TCP/MSRP *", "m=audio 0 RTP/AVP 0"]);
    assert!(
        text(&told).contains(
            "a=accept-types:message/cpim\r\na=accept-wrapped-types:text/plain\r\na=max-size:100\r\n"
        )
    );
}

/// RFC 6714 §4.2: the medium is off until it is offered without `msrp-cema`.
#[test]
fn a_medium_that_falls_back_says_so() {
    let mut a = session(1);
    let mut plan = a.plan();
    plan.add(msrp(1, "x", Setup::ActPass));
    let (_, token) = a.offer(&plan).unwrap();
    let answer = "v=0\r\no=- 2 2 IN IP4 a\r\ns=-\r\nc=IN IP4 203.0.113.9\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n\
        a=accept-types:*\r\na=setup:active\r\na=path:msrp://192.0.2.2:2855/y;tcp\r\n";
    let answer = SessionDescription::parse(answer.as_bytes(), &Limits::default()).unwrap();
    let outcome = a.answered(token, &answer).unwrap();
    assert_eq!(outcome.to_offer_without_cema().collect::<Vec<_>>(), [0]);
    let mut plan = a.plan();
    assert!(plan.local(0).is_none());
    assert_eq!(plan.add(MsrpMedia { cema: false, ..msrp(1, "x", Setup::ActPass) }), 0);
    assert!(!text(&a.offer(&plan).unwrap().0).contains("msrp-cema"));
}

/// Every pair of what we are and what the peer says: our part × `a=setup` × `msrp-cema` on both sides × directions ×
/// types (RFC 6135 §4.2.2, RFC 6714 §4.2 and §4.3, RFC 3264 §6.1, RFC 4975 §8.6; threats I5).
// req: 5.2.1.2-setup-A.1
// req: 5.2.1.2-setup-A.2
#[test]
fn every_pair_of_what_both_sides_say() {
    let directions = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
    let types = [("message/cpim", true), ("message/*", true), ("*", true), ("text/plain", false)];
    // Who connects: as offerer (actpass, active), as answerer (that wants to be active, passive).
    const A: Option<Role> = Some(Role::Active);
    const P: Option<Role> = Some(Role::Passive);
    let setups: [(&str, [Option<Role>; 4]); 6] = [
        ("a=setup:active\r\n", [P, A, P, P]),
        ("a=setup:passive\r\n", [A, A, A, None]),
        ("a=setup:actpass\r\n", [A, A, A, P]),
        ("a=setup:holdconn\r\n", [A, A, P, P]),
        ("a=setup:both\r\n", [A, A, P, P]),
        ("", [A, A, P, P]),
    ];
    let parts =
        [(true, Setup::ActPass), (true, Setup::Active), (false, Setup::Active), (false, Setup::Passive)];
    let mut pairs = 0;
    for ((line, roles), our_cema, their_cema) in
        setups.iter().flat_map(|s| [(s, false, false), (s, false, true), (s, true, false), (s, true, true)])
    {
        for ((offers, setup), role) in parts.iter().zip(roles) {
            for (their, wish, (entry, shared)) in directions
                .iter()
                .flat_map(|t| directions.iter().flat_map(move |w| types.map(|ty| (*t, *w, ty))))
            {
                let peer = format!(
                    "v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=message 9000 TCP/MSRP *\r\n\
                     a=accept-types:{entry}\r\na={}\r\na=path:msrp://192.0.2.2:9000/y;tcp\r\n{line}{}",
                    their.as_str(),
                    if their_cema { "a=msrp-cema\r\n" } else { "" },
                );
                let peer = SessionDescription::parse(peer.as_bytes(), &Limits::default()).unwrap();
                let ours = MsrpMedia { cema: our_cema, direction: wish, ..msrp(1, "x", *setup) };
                let mut s = session(1);
                let outcome = if *offers {
                    let mut plan = s.plan();
                    plan.add(ours);
                    let (_, token) = s.offer(&plan).unwrap();
                    s.answered(token, &peer).unwrap()
                } else {
                    let received = s.receive_offer(&peer).unwrap();
                    match s.answer(received, vec![Some(ours.into())]) {
                        Ok((answer, outcome)) => {
                            // RFC 6714 §4.3: said in the answer whatever the offer says, where we want it.
                            assert_eq!(text(&answer).contains("a=msrp-cema"), our_cema);
                            outcome
                        }
                        Err(refused) => {
                            let reason =
                                if role.is_none() { Refusal::BothPassive } else { Refusal::NoCommonType };
                            assert_eq!(
                                refused.why,
                                WhyUnanswered::Refused(vec![(0, reason)]),
                                "{line} {setup:?} {entry}"
                            );
                            assert!(role.is_none() || !shared);
                            continue;
                        }
                    }
                };
                // An answerer that shares no type has refused already; an offerer lives with what it is told.
                assert!(role.is_some() && (shared || *offers));
                let agreed = negotiated(&outcome, 0);
                assert_eq!(Some(agreed.role), *role, "{line:?} {offers} {setup:?}");
                assert_eq!(agreed.cema, our_cema && their_cema);
                assert_eq!(agreed.direction.sends(), wish.sends() && their.receives());
                assert_eq!(agreed.direction.receives(), wish.receives() && their.sends());
                assert_eq!(agreed.accepts("message/cpim"), shared);
                pairs += 1;
            }
        }
    }
    // Of 4 parts × 6 setups × 4 × 64: an answerer refuses a quarter for its types, and one pair of parts.
    assert_eq!(pairs, 4 * (2 * 6 * 64 + 11 * 48));
}

proptest! {
    /// Offer, answer, offer again: both sides see the same, whoever offers.
    #[test]
    fn both_sides_see_the_same_again_and_again(steps in proptest::collection::vec((any::<bool>(), 0u8..6, 0usize..4, any::<u8>()), 1..12)) {
        let mut sides = [session(1), session(2)];
        for (number, (who, what, place, mask)) in steps.into_iter().enumerate() {
            let (first, second) = sides.split_at_mut(1);
            let (a, b) = if who { (&mut first[0], &mut second[0]) } else { (&mut second[0], &mut first[0]) };
            let (host, other) = if who { (1, 2) } else { (2, 1) };
            let mut plan = a.plan();
            match what {
                0 | 1 if plan.len() < 6 => { plan.add(msrp(host, &format!("p{number}"), Setup::ActPass)); }
                2 => { plan.disable(place); }
                3 => { plan.hold(place); }
                4 => { plan.set_direction(place, Direction::SendRecv); }
                _ => { plan.replace(place, msrp(host, &format!("r{number}"), Setup::ActPass)); }
            }
            let before: Vec<Vec<Agreed>> = [&*a, &*b].iter().map(|s| s.agreed().cloned().collect()).collect();
            let (offer, token) = a.offer(&plan).unwrap();
            let received = b.receive_offer(&offer).unwrap();
            prop_assert!(received.findings().is_empty(), "{:?}", received.findings());
            let answers: Vec<Option<LocalMedium>> = (0..received.media().len())
                .map(|n| (mask & (1 << n) != 0).then(|| msrp(other, &format!("a{n}"), Setup::Active).into()))
                .collect();
            match b.answer(received, answers) {
                Err(refused) => {
                    b.refuse(*refused.offer).unwrap();
                    a.rollback(token).unwrap();
                    let after: Vec<Vec<Agreed>> = [&*a, &*b].iter().map(|s| s.agreed().cloned().collect()).collect();
                    prop_assert_eq!(before, after);
                }
                Ok((answer, theirs)) => {
                    let ours = a.answered(token, &answer).unwrap();
                    prop_assert!(ours.findings.is_empty(), "{:?}", ours.findings);
                    prop_assert_eq!(ours.media.len(), theirs.media.len());
                    prop_assert!(ours.media.len() >= before[0].len(), "lines never go away");
                    for (x, y) in ours.media.iter().zip(&theirs.media) {
                        match (&x.agreed, &y.agreed) {
                            (Agreed::Msrp(x), Agreed::Msrp(y)) => {
                                prop_assert_ne!(x.role, y.role);
                                prop_assert_eq!((x.direction, x.cema), (y.direction.mirrored(), y.cema));
                            }
                            (Agreed::Off(_), Agreed::Off(_)) => {}
                            other => prop_assert!(false, "{:?}", other),
                        }
                    }
                }
            }
        }
    }
}

/// Whoever offers again, and however often: a connection that stands keeps its roles (RFC 6135 §4.2).
#[test]
fn roles_stay_with_the_connection() {
    let (mut a, mut b) = (session(1), session(2));
    let mut plan = a.plan();
    plan.add(msrp(1, "chat", Setup::ActPass));
    exchange(&mut a, &mut b, &plan, vec![Some(msrp(2, "chat", Setup::Active).into())]);
    for turn in 0..4 {
        let (offerer, answerer) = if turn % 2 == 0 { (&mut b, &mut a) } else { (&mut a, &mut b) };
        let (offer, token) = offerer.offer(&offerer.plan()).unwrap();
        let received = answerer.receive_offer(&offer).unwrap();
        let standing = answerer.standing(&received);
        let (answer, theirs) = answerer.answer(received, standing).unwrap();
        let ours = offerer.answered(token, &answer).unwrap();
        assert_eq!((changes(&ours), changes(&theirs)), (vec![Change::Kept], vec![Change::Kept]), "{turn}");
    }
}
