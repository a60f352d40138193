//! Legs and senders that do what they should not.

use super::*;
use crate::values::ByteRange;

/// Every leg is told one end, the splice is over, and the sender knows what became of its message.
fn assert_over(world: &World, legs: usize) {
    assert!(world.splice.as_ref().unwrap().is_over(), "{:?}", world.splice);
    let ends = |number: u64| {
        let leg = LegId(number);
        let end = |told: &&SpliceEvent| match told {
            SpliceEvent::LegSent(of) | SpliceEvent::LegFailed { leg: of, .. } => *of == leg,
            _ => false,
        };
        world.told.iter().filter(end).count()
    };
    assert!((1..=legs as u64).all(|leg| ends(leg) == 1), "{:?}", world.told);
}

fn report(world: &mut World, number: usize, status: Status) {
    let message_id = world.ends[number].events.iter().find_map(|event| match event {
        Event::Incoming { head, .. } => head.message_id().map(String::from),
        _ => None,
    });
    let all = ByteRange { start: 1, end: None, total: None };
    let end = &mut world.ends[number];
    end.endpoint.report(NOW, end.session, &[], &message_id.unwrap(), all, status).unwrap();
}

/// A leg that reports a failure instead of answering has failed: the sender does not wait for it.
#[test]
fn a_leg_that_reports_a_failure_without_an_answer_has_failed() {
    for (mapping, silent, expected) in [
        (Mapping::All, 1, "failed Some(413) Refused"),
        (Mapping::First, 1, "failed Some(413) Refused"),
        (Mapping::First, 2, "sent"),
        (Mapping::Each, 1, "sent"),
    ] {
        for length in [100, 10_000] {
            let mut world = World::new(silent, SpliceOptions { mapping, ..SpliceOptions::default() });
            (1..=silent).for_each(|number| world.ends[number].silent = true);
            let body = cpim(length);
            world.send(&body, true);
            world.run();
            report(&mut world, 1, Status::STOP);
            world.run();
            if silent == 2 {
                // It answers after all.
                let chunks = world.ends[2].events.iter().filter_map(|event| match event {
                    Event::ChunkEnd { chunk, .. } => Some(*chunk),
                    _ => None,
                });
                for chunk in chunks.collect::<Vec<_>>() {
                    world.ends[2].endpoint.respond(NOW, chunk, Status::OK);
                }
                world.run();
            }
            let knows = world.sender_knows();
            assert!(knows.iter().any(|told| told == expected), "{mapping:?} {length} {knows:?}");
            assert_over(&world, silent);
        }
    }
}

/// A message that is given up before its head was there: legs that wait for that are told, and none joins any more.
#[test]
fn a_message_that_is_given_up_before_its_head_ends_its_legs() {
    for head_lines in [0, 2] {
        let mut world = World::new(3, SpliceOptions { head_lines, ..SpliceOptions::default() });
        world.legs = vec![(1, None), (2, Some(5000))];
        world.step = 500;
        let transfer = world.send(&Bytes::from(vec![b'x'; 50_000]), true);
        for _ in 0..8 {
            world.step();
        }
        assert!(world.told.is_empty(), "{:?}", world.told);
        world.ends[0].endpoint.abort(NOW, transfer);
        world.run();
        assert!(world.told.contains(&SpliceEvent::Aborted(AbortReason::ByPeer)));
        assert_over(&world, 2);
        assert_eq!(world.add_leg(3, None), Err(LegError::TooLate));
        assert!(world.splice.as_ref().unwrap().is_over());
    }
}

/// Threat B10: however often a leg reports the same, its sender is told once.
#[test]
fn a_leg_that_repeats_its_reports_is_heard_once() {
    for (mapping, status, most) in [
        (Mapping::First, Status::OK, 1),
        (Mapping::All, Status::OK, 1),
        (Mapping::First, Status::STOP, 1),
        (Mapping::All, Status::STOP, 1),
        (Mapping::Each, Status::STOP, 2),
    ] {
        let mut world = World::new(2, SpliceOptions { mapping, ..SpliceOptions::default() });
        world.send(&cpim(5000), true);
        world.run();
        let reports =
            |world: &World| world.sender_knows().iter().filter(|told| told.contains("report")).count();
        let before = if status == Status::OK { 0 } else { reports(&world) };
        for _ in 0..10 {
            for number in [1, 2] {
                report(&mut world, number, status);
            }
            world.run();
        }
        assert!(reports(&world) - before <= most, "{mapping:?} {status} {:?}", world.sender_knows());
    }
}

/// A message that nobody takes is refused by the function, before or behind its end; what it says then counts no more.
#[test]
fn a_message_that_nobody_takes_can_be_refused() {
    for turns in [6, 1000] {
        let mut world = World::new(1, SpliceOptions::default());
        world.legs.clear();
        let transfer = world.send(&cpim(3000), true);
        for _ in 0..turns {
            world.step();
        }
        let mut splice = world.splice.take().unwrap();
        assert!(!splice.is_over());
        splice.refuse(NOW, &mut world.relay, Status::FORBIDDEN);
        splice.refuse(NOW, &mut world.relay, Status::STOP);
        world.splice = Some(splice);
        world.run();
        assert_eq!(world.sender_knows(), ["failed Some(403) Refused"], "{turns} {transfer:?}");
        assert_over(&world, 0);
        assert_eq!(world.add_leg(1, None), Err(LegError::TooLate));
    }
}

/// A splice that is told of octets by hand.
struct Told {
    relay: Endpoint,
    splice: Splice,
}

impl Told {
    fn new(options: SpliceOptions) -> Told {
        let text = "MSRP abcd1234 SEND\r\nTo-Path: msrp://b:1/x;tcp\r\nFrom-Path: msrp://a:1/y;tcp\r\n\
                    Message-ID: m1234\r\nContent-Type: a/b\r\n";
        let head = Head::parse(text.into(), true).unwrap();
        let splice = Splice::new(SessionId(1), IncomingId(1), &head, options).unwrap();
        Told { relay: endpoint(1), splice }
    }

    /// What is told when these octets come.
    fn data(&mut self, offset: u64, octets: &[u8]) -> Vec<SpliceEvent> {
        let bytes = Bytes::copy_from_slice(octets);
        let event = Event::Data { transfer: IncomingId(1), offset, bytes };
        assert!(self.splice.handle(NOW, &mut self.relay, &event));
        core::iter::from_fn(|| self.splice.poll_event()).collect()
    }
}

/// Threat B7: what comes before its turn is bounded by what it costs, whatever comes again and again at one place.
#[test]
fn octets_before_their_turn_are_bounded() {
    let options = SpliceOptions { reorder: 1000, tap: true, ..SpliceOptions::default() };
    let mut told = Told::new(options);
    assert_eq!(told.data(10, &[b'x'; 900]), []);
    assert_eq!(told.data(2000, b"short"), [SpliceEvent::Refused(Status::STOP)]);
    let mut told = Told::new(options);
    for length in 300..400 {
        assert_eq!(
            told.data(10, &vec![b'x'; length]),
            [],
            "what is longer takes the place of what is shorter"
        );
        assert_eq!(told.data(10, b"shorter"), []);
    }
    let told = told.data(0, &[b'y'; 10]);
    let octets =
        |told: &SpliceEvent| if let SpliceEvent::Tapped { octets, .. } = told { octets.len() } else { 0 };
    assert_eq!(told.iter().map(octets).sum::<usize>(), 409);
}

/// A head is none when it ends behind the longest allowed, wherever it is cut.
#[test]
fn heads_that_are_too_long_are_none() {
    for (before, behind, is_head) in
        [(5, "x\r\n\r\n", true), (6, "x\r\n\r\n", false), (9, "\r\n\r\nrest", false)]
    {
        let mut told = Told::new(SpliceOptions { head_lines: 1, max_head: 10, ..SpliceOptions::default() });
        assert_eq!(told.data(0, &vec![b'x'; before]), []);
        let head = if is_head { Bytes::from_static(b"xxxxxx\r\n\r\n") } else { Bytes::new() };
        assert_eq!(told.data(before as u64, behind.as_bytes()), [SpliceEvent::Head(head)], "{before}");
    }
}
