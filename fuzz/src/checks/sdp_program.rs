//! Offer and answer as a program: two sides, whatever they do to one another.

use cpm_sdp::{
    Agreed, Direction, FileDescription, Limits, LocalMedium, MediaSession, MsrpMedia, MsrpTransport,
    OriginLeniency, OtherMedia, Outcome, Plan, SessionDescription, SessionIds, SessionSettings, Setup,
};

/// Each pair of octets is a step. Whatever comes of it: both sides see the same, lines never go away, an exchange that
/// fails leaves both as they were, and nothing odd is found in what our own side says.
pub fn sdp_program(data: &[u8]) {
    let mut sides = [side(1), side(2)];
    let mut plan: Option<(usize, Plan)> = None;
    for (number, step) in data.chunks_exact(2).take(64).enumerate() {
        let (what, with) = (step[0], step[1]);
        let who = usize::from(what >> 7);
        let (offerer, mut changed) = plan.take().unwrap_or_else(|| (who, sides[who].plan()));
        let place = usize::from(with % 8);
        match what & 0x0f {
            0..=2 if changed.len() < 8 => {
                changed.add(medium(offerer, number, with));
            }
            3 => {
                changed.disable(place);
            }
            4 => {
                changed.hold(place);
            }
            5 => {
                changed.set_direction(place, direction(with >> 3));
            }
            6 => {
                changed.replace(place, medium(offerer, number, with));
            }
            _ => {
                exchange(&mut sides, offerer, &changed, number, what, with);
                continue;
            }
        }
        plan = Some((offerer, changed));
    }
}

fn side(host: u8) -> MediaSession {
    MediaSession::new(SessionSettings {
        ids: SessionIds { id: u64::from(host), version: 1 },
        address: [192, 0, 2, host].into(),
        limits: Limits::default(),
        leniency: OriginLeniency { changed_origin: false, odd_version: false },
    })
}

fn direction(with: u8) -> Direction {
    [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
        [usize::from(with % 4)]
}

fn medium(who: usize, number: usize, with: u8) -> LocalMedium {
    if with & 0x40 != 0 {
        let formats =
            ["0", "8", "18"].into_iter().take(1 + usize::from(with % 3)).map(String::from).collect();
        return OtherMedia {
            media: "audio".into(),
            port: 49170,
            proto: "RTP/AVP".into(),
            formats,
            address: (with & 1 != 0).then(|| [203, 0, 113, 1].into()),
            direction: direction(with >> 2),
            lines: vec!["b=AS:64".into(), "a=rtpmap:0 PCMU/8000".into()],
        }
        .into();
    }
    let host = who + 1;
    let path = format!("msrp://192.0.2.{host}:2855/m{number};tcp");
    MsrpMedia {
        cema: with & 1 != 0,
        direction: direction(with >> 1),
        setup: if with & 0x20 != 0 { Setup::Active } else { Setup::ActPass },
        file: (with & 8 != 0).then(|| FileDescription::of_size(u64::from(with))),
        max_chunk_size_kb: (with & 0x10 != 0).then_some(100 + u32::from(with)),
        accept_types: vec![if with == 7 { "text/plain".into() } else { "message/cpim".into() }],
        ..MsrpMedia::new(MsrpTransport::Tcp, [192, 0, 2, who as u8 + 1].into(), 2855, path)
    }
    .into()
}

fn state(sides: &[MediaSession; 2]) -> [Vec<Agreed>; 2] {
    [sides[0].agreed().cloned().collect(), sides[1].agreed().cloned().collect()]
}

fn exchange(sides: &mut [MediaSession; 2], offerer: usize, plan: &Plan, number: usize, what: u8, with: u8) {
    let before = state(sides);
    let answerer = 1 - offerer;
    let (offer, token) = sides[offerer].offer(plan).expect("a plan of our own");
    let offer = SessionDescription::parse(&offer.to_bytes(), &Limits::default()).expect("our offer is SDP");
    if what & 0x0f == 7 {
        // Both offer at once: nothing is agreed on.
        let (crossing, other) = sides[answerer].offer(&sides[answerer].plan()).expect("what stands");
        assert_eq!(sides[offerer].receive_offer(&crossing).expect_err("glare").status(), 491);
        sides[answerer].rollback(other).expect("taken back");
        sides[offerer].rollback(token).expect("taken back");
        assert_eq!(state(sides), before);
        // The far side never saw either: the versions of both have moved on, so they start anew.
        *sides = [side(1), side(2)];
        return;
    }
    let received = sides[answerer].receive_offer(&offer).expect("a proper offer");
    assert!(received.findings().is_empty());
    let answers: Vec<_> = (0..plan.len())
        .map(|place| {
            (with & (1 << (place % 8)) != 0).then(|| medium(answerer, number, with ^ (place as u8) ^ what))
        })
        .map(|medium| medium.map(as_answer))
        .collect();
    if what & 0x0f == 8 {
        sides[answerer].refuse(received).expect("refused");
        sides[offerer].rollback(token).expect("taken back");
        assert_eq!(state(sides), before);
        return;
    }
    let (answer, theirs) = match sides[answerer].answer(received, answers) {
        Ok(answered) => answered,
        Err(unanswered) => {
            assert_eq!(unanswered.status(), 488, "{unanswered}");
            sides[answerer].refuse(*unanswered.offer).expect("refused");
            sides[offerer].rollback(token).expect("taken back");
            assert_eq!(state(sides), before);
            return;
        }
    };
    if what & 0x0f == 9 {
        // An answer with one medium more: rejected, and the session before stands on that side.
        let mut longer = answer.to_bytes().to_vec();
        longer.extend_from_slice(b"m=audio 0 RTP/AVP 0\r\n");
        let longer = SessionDescription::parse(&longer, &Limits::default()).expect("SDP");
        assert!(sides[offerer].answered(token, &longer).is_err());
        assert_eq!(state(sides)[offerer], before[offerer]);
        *sides = [side(1), side(2)];
        return;
    }
    let answer =
        SessionDescription::parse(&answer.to_bytes(), &Limits::default()).expect("our answer is SDP");
    let ours = sides[offerer].answered(token, &answer).expect("a proper answer");
    assert!(ours.media.len() >= before[offerer].len(), "lines never go away");
    agree(&ours, &theirs);
}

/// An answer says who connects.
fn as_answer(medium: LocalMedium) -> LocalMedium {
    match medium {
        LocalMedium::Msrp(mut media) => {
            if media.setup == Setup::ActPass {
                media.setup = Setup::Passive;
            }
            LocalMedium::Msrp(media)
        }
        other => other,
    }
}

fn agree(ours: &Outcome, theirs: &Outcome) {
    assert_eq!(ours.media.len(), theirs.media.len());
    for (ours, theirs) in ours.media.iter().zip(&theirs.media) {
        match (&ours.agreed, &theirs.agreed) {
            (Agreed::Msrp(a), Agreed::Msrp(b)) => {
                assert_ne!(a.role, b.role);
                assert_eq!((a.direction, a.cema), (b.direction.mirrored(), b.cema));
                if let (Some(a), Some(b)) = (a.max_chunk_size_octets, b.max_chunk_size_octets) {
                    assert_eq!(a, b);
                }
            }
            (Agreed::Other(a), Agreed::Other(b)) => {
                assert_eq!((a.direction, &a.formats), (b.direction.mirrored(), &b.formats));
            }
            (Agreed::Off(_), Agreed::Off(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
