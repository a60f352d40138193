#![allow(clippy::arithmetic_side_effects, clippy::string_slice, clippy::cast_possible_truncation)]

use super::*;
use crate::event::{AbortReason, Action, Answering, Matching, Overlap, Role, SessionConfig, SessionOptions};
use crate::limits::Limits;
use crate::reassembly::Reassembly;
use crate::{Config, Event};
use alloc::{format, vec};
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Protocol, Seed, Transport, Trust};

mod attacks;

const NOW: Now = Now { mono: Instant::ZERO, wall: DateTime::UNIX_EPOCH };

fn endpoint(seed: u8) -> Endpoint {
    Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([seed; 32]) }).unwrap()
}

/// A sender, a relay and receivers. The relay's connection to the sender is flow 0, to the n-th receiver flow n.
struct World {
    relay: Endpoint,
    /// The sender first, then the receivers.
    ends: Vec<End>,
    splice: Option<Splice>,
    options: SpliceOptions,
    /// Who gets the message from the beginning; the lag that each may have.
    legs: Vec<(usize, Option<usize>)>,
    told: Vec<SpliceEvent>,
    /// How the octets of a CPIM head are rewritten.
    rewrite: fn(&[u8]) -> Vec<u8>,
    /// What happens between the head and what goes out instead of it.
    meanwhile: fn(&mut Splice, &mut Endpoint, &[End]),
    /// Receivers who read nothing.
    deaf: Vec<usize>,
    /// Octets per turn and flow.
    step: usize,
}

struct End {
    endpoint: Endpoint,
    session: SessionId,
    relay_session: SessionId,
    got: BTreeMap<IncomingId, Reassembly>,
    messages: Vec<Bytes>,
    answer: Status,
    /// It answers nothing.
    silent: bool,
    events: Vec<Event>,
    wrote: usize,
}

fn bound(relay: &mut Endpoint, number: usize) -> End {
    let mut end = endpoint(10 + number as u8);
    let uris = [end.new_local_uri("192.0.2.9", 2855, false), relay.new_local_uri("192.0.2.1", 2855, false)];
    let config = |own: usize, role| SessionConfig {
        local_path: uris[own].clone(),
        remote_path: vec![uris[1 - own].clone()],
        role,
        matching: Matching::Cema,
        max_chunk: (own == 1).then_some(3000 + 500 * number as u64),
        max_message: 1 << 30,
    };
    let there = Role::Active("192.0.2.1:2855".parse().unwrap(), Transport::Tcp);
    let session = end.open_session(NOW, config(0, there)).unwrap();
    let relay_session = relay.open_session(NOW, config(1, Role::Passive)).unwrap();
    let Some(Action::Open(open, _)) = end.poll_action() else { panic!() };
    let info = FlowInfo {
        protocol: Protocol::Msrp,
        transport: Transport::Tcp,
        local: "192.0.2.1:2855".parse().unwrap(),
        peer: "192.0.2.2:2855".parse().unwrap(),
        secure_identity: None,
        trust: Trust::Outside,
    };
    let flow = FlowId(number as u64);
    end.handle_opened(NOW, open, Ok((flow, info.clone())));
    relay.handle_accepted(NOW, flow, info);
    let answer = Status::OK;
    let (got, messages, events) = (BTreeMap::new(), Vec::new(), Vec::new());
    End { endpoint: end, session, relay_session, got, messages, answer, silent: false, events, wrote: 0 }
}

impl World {
    fn new(receivers: usize, options: SpliceOptions) -> World {
        let mut relay = endpoint(1);
        let ends: Vec<End> = (0..=receivers).map(|number| bound(&mut relay, number)).collect();
        let mut incoming = SessionOptions::answering(Answering::ReleasedWithoutReports);
        incoming.overlap = Overlap::FirstStands;
        relay.set_options(ends[0].relay_session, incoming);
        let mut world = World {
            relay,
            ends,
            splice: None,
            options,
            legs: (1..=receivers).map(|number| (number, None)).collect(),
            told: Vec::new(),
            rewrite: <[u8]>::to_vec,
            meanwhile: |_, _, _| (),
            deaf: Vec::new(),
            step: 1500,
        };
        world.run();
        world
    }

    fn send(&mut self, body: &Bytes, total_known: bool) -> TransferId {
        let outgoing = Outgoing {
            message_id: Some("original".into()),
            content_type: "message/cpim".into(),
            body: if total_known { Body::Octets(body.clone()) } else { Body::Source { total: None } },
            success_report: true,
            failure_report: FailureReport::Yes,
        };
        let session = self.ends[0].session;
        let transfer = self.ends[0].endpoint.send(NOW, session, outgoing).unwrap();
        if !total_known {
            let mut left = body.clone();
            for _ in 0..100_000 {
                self.step();
                let events = core::mem::take(&mut self.ends[0].events);
                for event in events {
                    let Event::Wants { max, .. } = event else { continue };
                    let octets = left.split_to(left.len().min(max as usize));
                    self.ends[0].endpoint.supply(NOW, transfer, octets, left.is_empty()).unwrap();
                }
                if left.is_empty() {
                    break;
                }
            }
        }
        transfer
    }

    fn add_leg(&mut self, number: usize, lag: Option<usize>) -> Result<LegId, LegError> {
        let leg = Leg { session: self.ends[number].relay_session, message_id: None, head: None, lag };
        self.splice.as_mut().unwrap().add_leg(NOW, &mut self.relay, leg)
    }

    fn on_relay_event(&mut self, event: &Event) {
        if let Event::Incoming { session, transfer, head, .. } = event {
            self.splice = Some(Splice::new(*session, *transfer, head, self.options).unwrap());
            for (number, lag) in self.legs.clone() {
                self.add_leg(number, lag).unwrap();
            }
        }
        let Some(splice) = &mut self.splice else { return };
        splice.handle(NOW, &mut self.relay, event);
        while let Some(told) = splice.poll_event() {
            if let SpliceEvent::Head(head) = &told {
                (self.meanwhile)(splice, &mut self.relay, &self.ends);
                splice.set_head(NOW, &mut self.relay, Bytes::from((self.rewrite)(head)));
            }
            self.told.push(told);
        }
    }

    fn on_end_event(end: &mut End, event: Event) {
        match &event {
            Event::Incoming { transfer, .. } => {
                end.got.insert(*transfer, Reassembly::new(1 << 24));
            }
            Event::Data { transfer, offset, bytes } => {
                return end.got.get_mut(transfer).unwrap().push(*offset, bytes).unwrap();
            }
            Event::ChunkEnd { transfer, chunk, complete, .. } => {
                if !end.silent {
                    end.endpoint.respond(NOW, *chunk, end.answer);
                }
                if let Some(total) = complete {
                    end.messages.push(end.got.remove(transfer).unwrap().finish(*total).unwrap());
                }
            }
            _ => {}
        }
        end.events.push(event);
    }

    fn step(&mut self) -> bool {
        let mut busy = false;
        for number in 0..self.ends.len() {
            let (flow, end) = (FlowId(number as u64), &mut self.ends[number]);
            let mut wire = Vec::new();
            if self.relay.wants_read(flow) && end.endpoint.poll_transmit(NOW, flow, self.step, &mut wire) > 0
            {
                busy = true;
                end.wrote += wire.len();
                self.relay.handle_stream(NOW, flow, wire.into());
            }
            while let Some(action) = self.relay.poll_action() {
                busy = true;
                if let Action::Event(event) = action {
                    self.on_relay_event(&event);
                }
            }
            let mut wire = Vec::new();
            if !self.deaf.contains(&number) && self.relay.poll_transmit(NOW, flow, self.step, &mut wire) > 0 {
                busy = true;
                self.ends[number].endpoint.handle_stream(NOW, flow, wire.into());
            }
            let end = &mut self.ends[number];
            while let Some(action) = end.endpoint.poll_action() {
                if let Action::Event(event) = action {
                    World::on_end_event(end, event);
                }
            }
        }
        busy
    }

    fn run(&mut self) {
        // What the last write caused is told in the next step.
        while self.step() || self.step() {}
    }

    fn sender_knows(&self) -> Vec<String> {
        let told = self.ends[0].events.iter().filter_map(|event| match event {
            Event::Sent { .. } => Some("sent".into()),
            Event::SendFailed { status, why, .. } => {
                Some(format!("failed {:?} {why:?}", status.map(Status::code)))
            }
            Event::Report { message_id, range, status, .. } => {
                let range = range.map(|range| format!("{range}")).unwrap_or_default();
                Some(format!("report {message_id} {range} {:?}", status.map(Status::code)))
            }
            _ => None,
        });
        told.collect()
    }
}

fn cpim(length: usize) -> Bytes {
    let head =
        "From: <sip:a@example.com>\r\nDateTime: 2020-01-01T00:00:00Z\r\n\r\nContent-Type: text/plain\r\n\r\n";
    let body = (0..length).map(|i| b"-------\r\nabc"[i * 7 % 12]);
    head.bytes().chain(body).collect()
}

#[test]
fn every_leg_gets_every_octet_and_the_sender_hears_once() {
    for total_known in [true, false] {
        for length in [0, 1, 2048, 5000, 200_000] {
            for step in [1, 1500, 100_000] {
                if step == 1 && length > 5000 {
                    continue;
                }
                let mut world = World::new(3, SpliceOptions { tap: true, ..SpliceOptions::default() });
                world.step = step;
                let body = cpim(length);
                world.send(&body, total_known);
                world.run();
                let mut tapped = Vec::new();
                for told in &world.told {
                    if let SpliceEvent::Tapped { offset, octets } = told {
                        assert_eq!(*offset, tapped.len() as u64);
                        tapped.extend_from_slice(octets);
                    }
                }
                assert_eq!(tapped, body);
                for end in &world.ends[1..] {
                    assert!(
                        end.messages.len() == 1 && end.messages[0] == body,
                        "{length} {step} {total_known}"
                    );
                }
                let total = body.len();
                assert_eq!(
                    world.sender_knows(),
                    ["sent".into(), format!("report original 1-{total}/{total} Some(200)")]
                );
                assert!(world.splice.as_ref().unwrap().is_over());
            }
        }
    }
}

#[test]
fn the_head_is_rewritten_in_passing_and_ranges_shift_with_it() {
    for head_lines in [1, 2] {
        for grow in [true, false] {
            for (total_known, step) in [(true, 1500), (false, 1500), (true, 1), (true, 10_000)] {
                let mut world = World::new(2, SpliceOptions { head_lines, ..SpliceOptions::default() });
                world.step = step;
                world.rewrite = if grow {
                    |head| [b"Original-To: <sip:b@example.com>\r\n", head].concat()
                } else {
                    |head| head.strip_prefix(b"From: <sip:a@example.com>\r\n").unwrap().to_vec()
                };
                let body = cpim(9000);
                world.send(&body, total_known);
                world.run();
                let expected = match grow {
                    true => [b"Original-To: <sip:b@example.com>\r\n", &body[..]].concat(),
                    false => body[27..].to_vec(),
                };
                for end in &world.ends[1..] {
                    assert_eq!(end.messages, [&expected[..]]);
                    let total = end.events.iter().find_map(|event| match event {
                        Event::Incoming { total, .. } => Some(*total),
                        _ => None,
                    });
                    if total_known {
                        assert_eq!(total, Some(Some(expected.len() as u64)));
                    }
                }
                // Reports speak of the message as its sender knows it.
                let total = body.len();
                assert_eq!(
                    world.sender_knows().last(),
                    Some(&format!("report original 1-{total}/{total} Some(200)"))
                );
            }
        }
    }
}

/// What was told of a leg that it has not got the message.
fn failures_of(world: &World, leg: LegId) -> usize {
    let failed = |told: &&SpliceEvent| matches!(told, SpliceEvent::LegFailed { leg: id, .. } if *id == leg);
    world.told.iter().filter(failed).count()
}

/// Nothing of a message began to come.
fn got_nothing(end: &End) -> bool {
    !end.events.iter().any(|event| matches!(event, Event::Incoming { .. }))
}

#[test]
fn a_leg_that_is_taken_off_before_the_head_is_set_stays_off() {
    let options = SpliceOptions { mapping: Mapping::First, head_lines: 1, ..SpliceOptions::default() };
    let mut world = World::new(2, options);
    world.meanwhile = |splice, relay, _| splice.remove_leg(NOW, relay, LegId(1));
    let body = cpim(9000);
    world.send(&body, true);
    world.run();
    assert!(got_nothing(&world.ends[1]));
    assert!(world.ends[2].messages == [body]);
    assert_eq!((failures_of(&world, LegId(1)), failures_of(&world, LegId(2))), (1, 0));
    assert!(world.told.contains(&SpliceEvent::LegSent(LegId(2))));
    assert_eq!(world.sender_knows()[0], "sent");
    assert!(world.splice.as_ref().unwrap().is_over());
}

/// All have to have it: one whose session is gone when the head is set ends the message, and nobody gets the beginning of it.
#[test]
fn a_leg_that_cannot_be_opened_opens_no_others() {
    let mut world = World::new(3, SpliceOptions { head_lines: 1, ..SpliceOptions::default() });
    world.meanwhile = |_, relay, ends| relay.close_session(NOW, ends[1].relay_session);
    world.send(&cpim(9000), true);
    world.run();
    for (number, end) in world.ends.iter().enumerate().skip(1) {
        assert!(got_nothing(end), "{number}");
        assert_eq!(failures_of(&world, LegId(number as u64)), 1, "{number}");
    }
    assert_eq!(world.told.iter().filter(|told| matches!(told, SpliceEvent::Refused(_))).count(), 1);
    assert!(world.sender_knows()[0].starts_with("failed Some(408)"), "{:?}", world.sender_knows());
    assert!(world.splice.as_ref().unwrap().is_over());
}

#[test]
fn a_body_without_such_a_head_passes_as_it_is() {
    for length in [100, 20_000] {
        let options = SpliceOptions { head_lines: 1, max_head: 500, ..SpliceOptions::default() };
        let mut world = World::new(1, options);
        let body = Bytes::from(vec![b'x'; length]);
        world.send(&body, true);
        world.run();
        assert_eq!(world.ends[1].messages, [body]);
        assert!(world.told.contains(&SpliceEvent::Head(Bytes::new())));
    }
}

/// Threat B11: memory is what the slowest leg lags behind, and that is bounded.
#[test]
fn the_slowest_leg_slows_the_sender() {
    let mut world = World::new(2, SpliceOptions::default());
    world.deaf.push(2);
    let body = cpim(1_000_000);
    world.send(&body, true);
    for _ in 0..2000 {
        world.step();
    }
    assert!(world.ends[0].wrote < 100_000, "{} octets were read", world.ends[0].wrote);
    assert!(world.ends[1].messages.is_empty());
    world.deaf.clear();
    world.run();
    assert!(world.ends[1].messages == [body.clone()] && world.ends[2].messages == [body]);
}

#[test]
fn a_leg_that_is_not_waited_for_fails_alone() {
    let mut world = World::new(2, SpliceOptions { mapping: Mapping::First, ..SpliceOptions::default() });
    world.legs = vec![(1, None), (2, Some(50_000))];
    let body = cpim(1_000_000);
    world.send(&body, true);
    for _ in 0..10 {
        world.step();
    }
    world.deaf.push(2);
    world.run();
    assert!(world.ends[1].messages == [body]);
    let failed = SpliceEvent::LegFailed { leg: LegId(2), status: None, why: SendFailure::Aborted };
    assert!(world.told.contains(&failed));
    assert_eq!(world.sender_knows()[0], "sent");
    world.deaf.clear();
    world.run();
    let aborted = |event: &Event| matches!(event, Event::Aborted { why: AbortReason::ByPeer, .. });
    assert!(world.ends[2].events.iter().any(aborted), "and it is told");
}

#[test]
fn a_late_leg_gets_what_is_kept_or_is_refused() {
    for (keep, length, taken) in [(20_000, 9000, true), (20_000, 100_000, false), (0, 9000, false)] {
        let mut world = World::new(2, SpliceOptions { keep, ..SpliceOptions::default() });
        world.legs = vec![(1, None)];
        let body = cpim(length);
        world.send(&body, true);
        // Until the first leg has the beginning.
        while world.ends[1].wrote == 0 || !world.told.contains(&SpliceEvent::Whole(body.len() as u64)) {
            assert!(world.step());
        }
        assert_eq!(world.add_leg(2, None).is_ok(), taken, "{keep} {length}");
        world.run();
        assert_eq!(world.ends[2].messages, if taken { vec![body] } else { vec![] });
    }
}

#[test]
fn what_becomes_of_the_message_is_told_as_the_mapping_says() {
    let stop = Status::STOP;
    for (mapping, answers, expected) in [
        (Mapping::All, [Status::OK, stop], "failed Some(413) Refused"),
        (Mapping::First, [Status::OK, stop], "sent"),
        (Mapping::First, [stop, stop], "failed Some(413) Refused"),
        (Mapping::Each, [stop, stop], "sent"),
    ] {
        let mut world = World::new(2, SpliceOptions { mapping, ..SpliceOptions::default() });
        (world.ends[1].answer, world.ends[2].answer) = (answers[0], answers[1]);
        let body = cpim(100);
        world.send(&body, true);
        world.run();
        let knows = world.sender_knows();
        assert!(knows.iter().any(|told| told == expected), "{mapping:?} {knows:?}");
        let reports = knows.iter().filter(|told| told.starts_with("report")).count();
        let expected = match (mapping, answers[0]) {
            (Mapping::First, Status::OK) => 1,
            (Mapping::Each, _) => 2,
            _ => 0,
        };
        assert_eq!(reports, expected, "{mapping:?} {knows:?}");
    }
}

#[test]
fn what_the_sender_gives_up_its_legs_give_up() {
    let mut world = World::new(1, SpliceOptions::default());
    let body = cpim(300_000);
    let transfer = world.send(&body, true);
    for _ in 0..20 {
        world.step();
    }
    world.ends[0].endpoint.abort(NOW, transfer);
    world.run();
    assert!(world.told.contains(&SpliceEvent::Aborted(AbortReason::ByPeer)));
    let aborted = |event: &Event| matches!(event, Event::Aborted { why: AbortReason::ByPeer, .. });
    assert!(world.ends[1].events.iter().any(aborted));
    assert!(world.splice.as_ref().unwrap().is_over());
}

#[test]
fn options_are_checked() {
    assert_eq!(SpliceOptions::default().validate(), Ok(()));
    for options in [
        SpliceOptions { buffer: 0, ..SpliceOptions::default() },
        SpliceOptions { max_head: 65_537, ..SpliceOptions::default() },
        SpliceOptions { keep: (1 << 24) + 1, ..SpliceOptions::default() },
    ] {
        options.validate().unwrap_err();
    }
}

/// Threat B11: a leg that never drains fails alone when its time is up, and the others go on; not before.
#[test]
fn a_leg_that_never_drains_fails_alone() {
    let seconds = |seconds: u64| Now { mono: Instant::from_micros(seconds * 1_000_000), ..NOW };
    for length in [1_000_000, 12_000] {
        let mut world = World::new(2, SpliceOptions { mapping: Mapping::First, ..SpliceOptions::default() });
        world.deaf.push(2);
        let body = cpim(length);
        world.send(&body, true);
        world.run();
        let held = world.splice.as_ref().unwrap().next_timeout();
        assert_eq!(held, Some(seconds(30).mono), "{length}");
        world.splice.as_mut().unwrap().handle_timeout(seconds(29), &mut world.relay);
        world.run();
        let failed = SpliceEvent::LegFailed { leg: LegId(2), status: None, why: SendFailure::Timeout };
        assert!(!world.told.contains(&failed));
        world.splice.as_mut().unwrap().handle_timeout(seconds(30), &mut world.relay);
        while let Some(told) = world.splice.as_mut().unwrap().poll_event() {
            world.told.push(told);
        }
        world.run();
        assert!(world.told.contains(&failed), "{length}");
        assert!(world.ends[1].messages == [body], "{length}");
        assert_eq!(world.sender_knows()[0], "sent");
        assert_eq!(world.splice.as_ref().unwrap().next_timeout(), None);
    }
}

/// Threat B7: small pieces count for more than their octets, in the log and before their turn.
#[test]
fn many_small_pieces_are_bounded() {
    let mut log = Log::default();
    let start = log.start();
    (0..100).for_each(|_| log.push(Bytes::from_static(b"x")));
    assert_eq!(log.waiting(&start), 100 * 65);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Legs come, are taken off, lose their session or refuse, at any moment: each that stays gets every octet once, no
    /// other hears more than its failure, the message is over in the end, and nothing is left of it.
    #[test]
    fn legs_may_come_and_go(
        length in 0usize..20_000,
        step in 50usize..3000,
        moves in proptest::collection::vec((0u8..6, 1usize..7, 0usize..12), 0..24),
    ) {
        let options =
            SpliceOptions { mapping: Mapping::First, keep: 1 << 20, buffer: 2048, ..SpliceOptions::default() };
        let mut world = World::new(6, options);
        world.legs = vec![(1, None)];
        world.step = step;
        let body = cpim(length);
        world.send(&body, true);
        for _ in 0..2 {
            world.step();
        }
        // The legs that were there, by receiver: those that have to get it all.
        let (mut legs, mut stays) = (BTreeMap::from([(LegId(1), 1usize)]), alloc::collections::BTreeSet::from([1usize]));
        let mut used = stays.clone();
        for (what, number, turns) in moves {
            let of = |legs: &BTreeMap<LegId, usize>| legs.iter().find(|(_, n)| **n == number).map(|(id, _)| *id);
            let splice = world.splice.is_some();
            match what {
                0 | 1 if splice && !used.contains(&number) => {
                    if let Ok(leg) = world.add_leg(number, None) {
                        legs.insert(leg, number);
                        used.insert(number);
                        if world.ends[number].answer == Status::OK {
                            stays.insert(number);
                        }
                    }
                }
                2 if splice => {
                    if let Some(leg) = of(&legs) {
                        let mut splice = world.splice.take().unwrap();
                        splice.remove_leg(NOW, &mut world.relay, leg);
                        splice.remove_leg(NOW, &mut world.relay, leg);
                        world.splice = Some(splice);
                        stays.remove(&number);
                    }
                }
                3 if splice => {
                    let session = world.ends[number].relay_session;
                    world.relay.handle_closed(NOW, FlowId(number as u64), cpm_base::CloseReason::Failed);
                    world.relay.close_session(NOW, session);
                    used.insert(number);
                    stays.remove(&number);
                }
                4 => {
                    world.ends[number].answer = Status::STOP;
                    stays.remove(&number);
                }
                _ => {}
            }
            for _ in 0..turns {
                world.step();
            }
        }
        world.run();
        for number in &stays {
            proptest::prop_assert!(world.ends[*number].messages == [body.clone()], "leg {}", number);
        }
        for number in 1..=6 {
            proptest::prop_assert!(world.ends[number].messages.len() <= 1);
        }
        proptest::prop_assert!(world.splice.as_ref().unwrap().is_over());
        let knows = world.sender_knows();
        let ends = knows.iter().filter(|told| *told == "sent" || told.starts_with("failed")).count();
        proptest::prop_assert!(ends == 1 && (stays.is_empty() || knows.contains(&"sent".into())), "{:?}", knows);
        proptest::prop_assert!(world.relay.wants_read(FlowId(0)));
        // What each leg heard: one end.
        let mut ends: BTreeMap<LegId, usize> = BTreeMap::new();
        for told in &world.told {
            if let SpliceEvent::LegSent(leg) | SpliceEvent::LegFailed { leg, .. } = told {
                *ends.entry(*leg).or_default() += 1;
            }
        }
        proptest::prop_assert!(legs.keys().all(|leg| ends.get(leg) == Some(&1)), "{:?} {:?}", legs, ends);
    }
}
