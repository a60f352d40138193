//! Two endpoints, a host made of a few lines, and time that runs only when told to.

use super::*;
use crate::event::SendFailure;
use crate::reassembly::Reassembly;
use crate::values::ByteRange;
use proptest::prelude::*;

/// How octets get from one side to the other.
#[derive(Clone, Copy, Debug)]
struct Net {
    /// How many octets are asked for at a time.
    ask: usize,
    /// How many octets arrive at a time.
    arrive: usize,
}

const WIDE: Net = Net { ask: 1 << 20, arrive: 1 << 20 };

struct Side {
    endpoint: Endpoint,
    session: SessionId,
    events: Vec<Event>,
    assembling: BTreeMap<IncomingId, Reassembly>,
    /// Whole messages, in the order in which they became whole.
    messages: Vec<Bytes>,
    /// All octets that this side wrote, by flow.
    wrote: BTreeMap<FlowId, Vec<u8>>,
    opens: Vec<(OpenId, Target)>,
    answer: Option<Status>,
    unanswered: Vec<ChunkId>,
}

struct Pair {
    now: Now,
    net: Net,
    sides: [Side; 2],
    flows: Vec<FlowId>,
}

impl Side {
    fn take_actions(&mut self, now: Now) -> Vec<FlowId> {
        let mut closed = Vec::new();
        while let Some(action) = self.endpoint.poll_action() {
            match action {
                Action::Open(open, target) => self.opens.push((open, target)),
                Action::Close(flow, _) => closed.push(flow),
                Action::WantsWrite(_) => {}
                Action::Event(event) => self.on_event(now, event),
            }
        }
        closed
    }

    fn on_event(&mut self, now: Now, event: Event) {
        match &event {
            Event::Incoming { transfer, .. } => {
                self.assembling.insert(*transfer, Reassembly::new(100 << 20));
            }
            Event::Data { transfer, offset, bytes } => {
                assert!(!bytes.is_empty() && bytes.len() <= 16 * 1024);
                self.assembling.get_mut(transfer).unwrap().push(*offset, bytes).unwrap();
                return;
            }
            Event::ChunkEnd { transfer, chunk, complete, .. } => {
                match self.answer {
                    Some(status) => self.endpoint.respond(now, *chunk, status),
                    None => self.unanswered.push(*chunk),
                }
                if let Some(total) = complete {
                    self.messages.push(self.assembling.remove(transfer).unwrap().finish(*total).unwrap());
                }
            }
            _ => {}
        }
        self.events.push(event);
    }

    fn sent(&self) -> Vec<TransferId> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Sent { transfer } = e { Some(*transfer) } else { None })
            .collect()
    }

    fn failures(&self) -> Vec<(Option<Status>, SendFailure)> {
        let failed = |e: &Event| match e {
            Event::SendFailed { status, why, .. } => Some((*status, *why)),
            _ => None,
        };
        self.events.iter().filter_map(failed).collect()
    }
}

impl Pair {
    fn new(net: Net) -> Pair {
        Pair::with(net, Limits::default(), |_, _| {})
    }

    /// The first side is active, unless changed.
    fn with(net: Net, limits: Limits, change: impl Fn(usize, &mut SessionConfig)) -> Pair {
        let mut endpoints = [endpoint_with(1, limits), endpoint_with(2, limits)];
        let uris =
            [0, 1].map(|i: usize| endpoints[i].new_local_uri(&format!("192.0.2.{}", i + 1), 2855, false));
        let mut index = 0;
        let sides = endpoints.map(|mut endpoint| {
            let mut config =
                config(&uris[index], &uris[1 - index], if index == 0 { there() } else { Role::Passive });
            change(index, &mut config);
            index += 1;
            let session = endpoint.open_session(at(0), config).unwrap();
            Side {
                endpoint,
                session,
                events: Vec::new(),
                assembling: BTreeMap::new(),
                messages: Vec::new(),
                wrote: BTreeMap::new(),
                opens: Vec::new(),
                answer: Some(Status::OK),
                unanswered: Vec::new(),
            }
        });
        Pair { now: at(0), net, sides, flows: Vec::new() }
    }

    fn bound(net: Net) -> Pair {
        let mut pair = Pair::new(net);
        pair.run();
        pair.assert_bound();
        pair
    }

    fn assert_bound(&mut self) {
        for side in &mut self.sides {
            let bound = Event::Bound { session: side.session };
            assert_eq!(side.events, [bound]);
            side.events.clear();
        }
    }

    /// Does what the hosts and the net would do, until nothing is left to do.
    fn run(&mut self) {
        while self.step() {}
    }

    fn step(&mut self) -> bool {
        let mut busy = false;
        for i in [0, 1] {
            let closed = self.sides[i].take_actions(self.now);
            busy |= !closed.is_empty();
            self.closed(i, closed);
            for (open, _) in core::mem::take(&mut self.sides[i].opens) {
                let flow = FlowId(100 + open.0 + 50 * i as u64);
                self.flows.push(flow);
                self.sides[i].endpoint.handle_opened(self.now, open, Ok((flow, info())));
                self.sides[1 - i].endpoint.handle_accepted(self.now, flow, info());
                busy = true;
            }
            for flow in self.flows.clone() {
                busy |= self.carry(i, flow) > 0;
            }
        }
        busy
    }

    /// One side closed these.
    fn closed(&mut self, by: usize, flows: Vec<FlowId>) {
        for closed in flows {
            self.flows.retain(|flow| *flow != closed);
            self.sides[1 - by].endpoint.handle_closed(self.now, closed, CloseReason::PeerClosed);
        }
    }

    /// Once asked, once delivered.
    fn carry(&mut self, from: usize, flow: FlowId) -> usize {
        let mut octets = Vec::new();
        let count = self.sides[from].endpoint.poll_transmit(self.now, flow, self.net.ask, &mut octets);
        assert!(count == octets.len() && count <= self.net.ask);
        self.sides[from].wrote.entry(flow).or_default().extend_from_slice(&octets);
        for piece in octets.chunks(self.net.arrive) {
            self.sides[1 - from].endpoint.handle_stream(self.now, flow, Bytes::copy_from_slice(piece));
            let closed = self.sides[1 - from].take_actions(self.now);
            self.closed(1 - from, closed);
        }
        count
    }

    fn send(&mut self, from: usize, outgoing: Outgoing) -> TransferId {
        let session = self.sides[from].session;
        self.sides[from].endpoint.send(self.now, session, outgoing).unwrap()
    }

    fn wrote(&self, from: usize) -> String {
        let all: Vec<u8> = self.sides[from].wrote.values().flatten().copied().collect();
        String::from_utf8_lossy(&all).into_owned()
    }

    fn close(&mut self) {
        for side in &mut self.sides {
            side.endpoint.close_session(self.now, side.session);
        }
        self.run();
        for side in &self.sides {
            assert_empty(&side.endpoint);
        }
    }
}

/// Octets of every kind, among them what looks like ends.
fn body(length: usize) -> Bytes {
    let pattern = b"\r\n-------abcdefgh$\r\nMSRP abcd1234 SEND\r\n\0\xff\xfe--\r\r\n";
    (0..length).map(|i| pattern[i % pattern.len()] ^ if i % 97 == 0 { 0x55 } else { 0 }).collect()
}

/// Byte-Range fields and flags of the SENDs in a text, in order.
fn ranges(text: &str) -> Vec<ByteRange> {
    let fields = text.split("\r\n").filter_map(|line| line.strip_prefix("Byte-Range: "));
    fields.map(|range| ByteRange::parse(range).unwrap()).collect()
}

fn flags(text: &str) -> String {
    let ends =
        text.split("\r\n").filter(|line| line.starts_with("-------") && line.len() == 7 + Tid::LENGTH + 1);
    ends.map(|line| line.chars().last().unwrap()).collect()
}

// interop: 11, 16
#[test]
fn the_active_side_binds_at_once_with_a_request_without_body() {
    let pair = Pair::bound(WIDE);
    let text = pair.wrote(0);
    assert!(text.contains("\r\nByte-Range: 1-0/0\r\n-------"), "{text}");
    assert!(!text.contains("Content-Type"));
    assert!(flags(&text) == "$" && flags(&pair.wrote(1)) == "$");
    for side in &pair.sides {
        assert_quiet(&side.endpoint);
    }
}

#[test]
fn messages_of_all_lengths_arrive_octet_for_octet_with_one_answer_for_each_chunk() {
    let nets =
        [WIDE, Net { ask: 1500, arrive: 1460 }, Net { ask: 1, arrive: 1 }, Net { ask: 4096, arrive: 1 }];
    for net in nets {
        for length in [0, 1, 2047, 2048, 2049, 100 * 1024] {
            if net.ask == 1 && length > 4096 {
                continue;
            }
            for (from, to) in [(0, 1), (1, 0)] {
                let mut pair = Pair::bound(net);
                let transfer = pair.send(from, message(body(length)));
                pair.run();
                assert_eq!(pair.sides[to].messages, [body(length)], "{net:?} {length}");
                assert_eq!(pair.sides[from].sent(), [transfer]);
                let chunks = pair.sides[to].endpoint.metrics().get("msrp.chunks_in");
                let first = u64::from(to == 1);
                assert_eq!(pair.sides[to].endpoint.metrics().get("msrp.responses_out"), chunks + first);
                pair.close();
            }
        }
    }
}

// RFC 4975 §7.1.1; interop: 11
#[test]
fn ranges_and_flags_of_chunks() {
    for (length, max_chunk, expected, flagged) in [
        (0, None, vec!["1-0/0"], "$"),
        (2048, None, vec!["1-2048/2048"], "$"),
        (2049, None, vec!["1-*/2049"], "$"),
        (5000, Some(2048), vec!["1-2048/5000", "2049-4096/5000", "4097-5000/5000"], "++$"),
        (5000, Some(3000), vec!["1-*/5000", "3001-5000/5000"], "+$"),
        (6, Some(2), vec!["1-2/6", "3-4/6", "5-6/6"], "++$"),
    ] {
        let mut pair = Pair::with(WIDE, Limits::default(), |_, config| config.max_chunk = max_chunk);
        pair.run();
        pair.assert_bound();
        pair.send(1, message(vec![b'.'; length]));
        pair.run();
        let text = pair.wrote(1);
        let sent: Vec<String> = ranges(&text).iter().map(ToString::to_string).collect();
        assert_eq!(sent, expected);
        assert_eq!(flags(&text), format!("${flagged}"), "behind the answer to the first request");
        pair.close();
    }
}

// interop: 13, 15: the split-point test
#[test]
fn any_cut_of_an_exchange_gives_the_same() {
    let mut pair = Pair::new(WIDE);
    for length in [0, 5, 3000] {
        pair.send(0, message(body(length)));
    }
    pair.run();
    let wire = pair.sides[0].wrote.values().next().unwrap().clone();
    let answers = pair.sides[1].wrote.values().next().unwrap().clone();
    for cut in 1..wire.len() {
        let (a, b) = wire.split_at(cut);
        assert_eq!(replay(&[a, b]), (pair.sides[1].messages.clone(), answers.clone()), "{cut}");
    }
    let octets: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(replay(&octets), (pair.sides[1].messages.clone(), answers.clone()));
    assert_eq!(replay(&[&wire]), (pair.sides[1].messages.clone(), answers));
}

/// The second side alone, fed with what the first one wrote.
fn replay(pieces: &[&[u8]]) -> (Vec<Bytes>, Vec<u8>) {
    let mut pair = Pair::new(WIDE);
    let (now, flow) = (pair.now, FlowId(1));
    let [_, side] = &mut pair.sides;
    side.endpoint.handle_accepted(now, flow, info());
    let mut answers = Vec::new();
    for piece in pieces {
        side.endpoint.handle_stream(now, flow, Bytes::copy_from_slice(piece));
        side.take_actions(now);
    }
    while side.endpoint.poll_transmit(now, flow, 1000, &mut answers) > 0 {}
    (core::mem::take(&mut side.messages), answers)
}

/// Threat B4: the sender sees to it that no body holds its own end-line.
#[test]
fn a_body_that_holds_its_own_end_line_is_sent_under_another_transaction() {
    // The same seed gives the same transaction ids: a first run tells which one a body has to hold.
    let ids = |pair: &Pair| -> Vec<String> {
        let text = pair.wrote(0);
        let starts = text.split("\r\n").filter_map(|l| l.strip_prefix("MSRP ")?.strip_suffix(" SEND"));
        starts.map(ToString::to_string).collect()
    };
    for length in [100, 2048, 5000, 50_000] {
        let mut first = Pair::bound(WIDE);
        first.send(0, message(vec![b'x'; length]));
        first.run();
        let guessed = ids(&first)[1].clone();
        for at in [0, 50, length / 2, length - 40] {
            let mut evil = vec![b'x'; length];
            let end_line = format!("\r\n-------{guessed}$\r\n");
            evil[at..at + end_line.len()].copy_from_slice(end_line.as_bytes());
            for net in [WIDE, Net { ask: 7, arrive: 5 }] {
                let mut pair = Pair::bound(net);
                pair.send(0, message(evil.clone()));
                pair.run();
                assert_eq!(pair.sides[1].messages, [Bytes::from(evil.clone())], "{length} {at}");
                assert_eq!(pair.sides[0].sent().len(), 1);
                let avoided = pair.sides[0].endpoint.metrics().get("msrp.end_lines_avoided");
                let chunks = pair.sides[0].endpoint.metrics().get("msrp.chunks_out");
                // A short chunk says in its head where it ends: it is not cut.
                assert!(length > 2048 || (avoided, chunks) == (1, 1), "{length} {at} {avoided} {chunks}");
                assert!(avoided == 1 || chunks == 2, "it was noticed: {length} {at} {avoided} {chunks}");
            }
        }
    }
}

// RFC 4975 §7.1.1
#[test]
fn long_chunks_are_interrupted_for_short_messages_and_answers() {
    let mut pair = Pair::bound(Net { ask: 1000, arrive: 1000 });
    let flow = pair.flows[0];
    let long = pair.send(0, message(body(500_000)));
    for _ in 0..5 {
        pair.carry(0, flow);
    }
    let short = pair.send(0, message("short"));
    pair.send(1, message("answer me"));
    for _ in 0..6 {
        pair.carry(0, flow);
        pair.carry(1, flow);
    }
    assert_eq!(pair.sides[1].messages, ["short"], "it did not wait for the long one");
    assert!(pair.wrote(0).contains(" 200 OK"), "nor did the answer");
    assert!(flags(&pair.wrote(0)).starts_with("$+"));
    pair.run();
    assert_eq!(pair.sides[0].sent(), [short, long]);
    assert_eq!(pair.sides[1].messages[1], body(500_000));
    // No chunk but the last of a message is shorter than 2048 octets.
    let starts: Vec<u64> =
        ranges(&pair.wrote(0)).iter().filter(|r| r.total == Some(500_000)).map(|r| r.start).collect();
    assert!(starts.len() >= 2 && starts.windows(2).all(|pair| pair[1] - pair[0] >= 2048), "{starts:?}");
    pair.close();
}

#[test]
fn a_short_message_waits_for_2048_octets_at_most() {
    let mut pair = Pair::bound(Net { ask: 1000, arrive: 1000 });
    let flow = pair.flows[0];
    pair.send(0, message(body(500_000)));
    pair.carry(0, flow);
    pair.send(0, message("short"));
    for _ in 0..3 {
        pair.carry(0, flow);
    }
    assert_eq!(pair.sides[1].messages, ["short"]);
}

#[test]
fn long_messages_take_turns_and_an_alone_one_is_not_cut() {
    let mut pair = Pair::bound(Net { ask: 5000, arrive: 5000 });
    let transfers = [pair.send(0, message(body(300_000))), pair.send(0, message(body(300_000)))];
    pair.run();
    let text = pair.wrote(0);
    let turns = ranges(&text).len();
    assert!((30..60).contains(&turns), "a turn is 16 KiB: {turns}");
    assert_eq!(pair.sides[0].sent().len(), transfers.len());
    assert_eq!(pair.sides[1].messages, [body(300_000), body(300_000)]);
    let mut alone = Pair::bound(Net { ask: 5000, arrive: 5000 });
    alone.send(0, message(body(300_000)));
    alone.run();
    assert_eq!(ranges(&alone.wrote(0)).len(), 2, "the first request and one chunk");
}

#[test]
fn octets_in_flight_are_bounded() {
    let limits = Limits { window: 10_000, max_chunk: 4000, ..Limits::default() };
    let mut pair = Pair::with(WIDE, limits, |_, _| {});
    pair.run();
    pair.assert_bound();
    pair.sides[1].answer = None;
    let transfer = pair.send(0, message(body(100_000)));
    pair.run();
    let written = pair.sides[0].endpoint.metrics().get("msrp.octets_out");
    assert!((8_000..11_500).contains(&written), "{written}");
    let mut rounds = 0;
    while pair.sides[0].sent().is_empty() {
        for chunk in core::mem::take(&mut pair.sides[1].unanswered) {
            pair.sides[1].endpoint.respond(pair.now, chunk, Status::OK);
        }
        pair.run();
        rounds += 1;
        assert!(rounds < 100);
    }
    assert_eq!(pair.sides[0].sent(), [transfer]);
    assert_eq!(pair.sides[1].messages, [body(100_000)]);
    let progress = pair.sides[0].events.iter().filter(|e| matches!(e, Event::Progress { .. })).count();
    assert!(progress >= 25);
    pair.close();
}

#[test]
fn a_refusal_stops_the_message_in_the_middle_of_a_chunk() {
    for status in [Status::STOP, Status::UNSUPPORTED_MEDIA, Status::TIMEOUT] {
        let mut pair =
            Pair::with(Net { ask: 3000, arrive: 3000 }, Limits::default(), |_, c| c.max_chunk = Some(10_000));
        pair.run();
        pair.assert_bound();
        pair.sides[1].answer = Some(status);
        pair.send(0, message(body(100_000)));
        let other = pair.send(0, message("fine"));
        let _ = other;
        pair.run();
        let why = if status == Status::TIMEOUT { SendFailure::Timeout } else { SendFailure::Refused };
        assert!(pair.sides[0].failures().contains(&(Some(status), why)));
        assert!(flags(&pair.wrote(0)).contains('#'), "{}", flags(&pair.wrote(0)));
        let written = pair.sides[0].endpoint.metrics().get("msrp.octets_out");
        assert!(written < 40_000, "{written}");
        pair.close();
    }
}

#[test]
fn a_message_over_the_limit_is_stopped_while_it_comes() {
    let limit = |index: usize, config: &mut SessionConfig| {
        if index == 1 {
            config.max_message = 5000;
        }
    };
    let mut pair = Pair::with(Net { ask: 3000, arrive: 700 }, Limits::default(), limit);
    pair.run();
    pair.assert_bound();
    pair.send(0, message(body(100_000)));
    let fine = pair.send(0, message("fine"));
    pair.run();
    assert_eq!(pair.sides[0].failures(), [(Some(Status::STOP), SendFailure::Refused)]);
    assert_eq!((pair.sides[0].sent(), &pair.sides[1].messages[..]), (vec![fine], &["fine".into()][..]));
    pair.close();
}

#[test]
fn giving_up_is_told_to_the_peer() {
    // In the middle of a chunk, and between two.
    for (max_chunk, answers) in [(None, true), (Some(4000), false)] {
        let limits = Limits { window: 4000, max_chunk: 1 << 20, ..Limits::default() };
        let limits = if answers { Limits::default() } else { limits };
        let mut pair = Pair::with(Net { ask: 3000, arrive: 3000 }, limits, |_, c| c.max_chunk = max_chunk);
        pair.run();
        pair.assert_bound();
        pair.sides[1].answer = answers.then_some(Status::OK);
        let transfer = pair.send(0, message(body(100_000)));
        for _ in 0..6 {
            pair.step();
        }
        pair.sides[0].endpoint.abort(pair.now, transfer);
        pair.sides[0].endpoint.abort(pair.now, transfer);
        pair.run();
        assert_eq!(pair.sides[0].failures(), [(None, SendFailure::Aborted)]);
        assert!(flags(&pair.wrote(0)).ends_with('#'));
        let aborted = |e: &Event| matches!(e, Event::Aborted { why: AbortReason::ByPeer, .. });
        assert!(pair.sides[1].events.iter().any(aborted), "{answers}");
        pair.close();
    }
}

// RFC 4975 §7.1.1, §10.4
#[test]
fn no_answer_within_30_seconds_fails_the_message() {
    let mut pair = Pair::bound(WIDE);
    pair.sides[1].answer = None;
    pair.send(0, message("hello?"));
    pair.run();
    pair.now = at(29);
    pair.sides[0].endpoint.handle_timeout(pair.now);
    pair.run();
    assert!(pair.sides[0].failures().is_empty());
    assert_eq!(pair.sides[0].endpoint.next_timeout(), Some(at(30).mono));
    pair.now = at(30);
    pair.sides[0].endpoint.handle_timeout(pair.now);
    pair.run();
    assert_eq!(pair.sides[0].failures(), [(None, SendFailure::Timeout)]);
    assert_quiet(&pair.sides[0].endpoint);
    // A late answer is noticed and does nothing.
    let chunk = pair.sides[1].unanswered.pop().unwrap();
    pair.sides[1].endpoint.respond(pair.now, chunk, Status::OK);
    pair.run();
    assert!(
        matches!(pair.sides[0].events.last(), Some(Event::Fault(f)) if f.kind == FaultKind::UnexpectedResponse)
    );
    pair.close();
}

#[test]
fn without_answers_written_is_sent() {
    for report in [FailureReport::No, FailureReport::Partial] {
        let mut pair = Pair::bound(WIDE);
        pair.send(0, Outgoing { failure_report: report, ..message(body(5000)) });
        pair.run();
        assert_eq!((pair.sides[0].sent().len(), pair.sides[1].messages.len()), (1, 1));
        assert_eq!(pair.wrote(1).matches(" 200 OK").count(), 1, "to the first request alone");
        if report == FailureReport::Partial {
            pair.now = at(31);
            pair.sides[0].endpoint.handle_timeout(pair.now);
            pair.run();
            assert!(pair.sides[0].failures().is_empty(), "silence is good news");
            // A bad answer is told even behind Sent.
            pair.sides[1].answer = Some(Status::STOP);
            pair.send(0, Outgoing { failure_report: report, ..message("no") });
            pair.run();
            assert_eq!(pair.sides[0].failures(), [(Some(Status::STOP), SendFailure::Refused)]);
        }
        assert_quiet(&pair.sides[0].endpoint);
        pair.close();
    }
}

#[test]
fn success_reports_come_back() {
    let mut pair = Pair::bound(WIDE);
    pair.send(
        0,
        Outgoing { success_report: true, message_id: Some("mine1234".into()), ..message(body(5000)) },
    );
    pair.run();
    let range = Some(ByteRange { start: 1, end: Some(5000), total: Some(5000) });
    let reported = |e: &Event| match e {
        Event::Report { message_id, range: r, status, .. } => {
            message_id == "mine1234" && *r == range && *status == Some(Status::OK)
        }
        _ => false,
    };
    assert_eq!(pair.sides[0].events.iter().filter(|e| reported(e)).count(), 1);
    assert_eq!(pair.wrote(0).matches("Success-Report: yes\r\n").count(), 1);
    // interop: 1
    assert_eq!(pair.sides[0].endpoint.metrics().get("msrp.responses_out"), 0);
    pair.close();
}

#[test]
fn a_lost_connection_ends_what_was_under_way() {
    let mut pair = Pair::bound(Net { ask: 3000, arrive: 3000 });
    let flow = pair.flows.pop().unwrap();
    pair.send(0, message(body(100_000)));
    pair.send(1, message("never answered"));
    pair.flows = vec![flow];
    pair.sides[0].answer = None;
    for _ in 0..5 {
        pair.step();
    }
    pair.flows.clear();
    for side in &mut pair.sides {
        side.endpoint.handle_closed(pair.now, flow, CloseReason::Failed);
        side.take_actions(pair.now);
        assert_eq!(side.failures(), [(None, SendFailure::SessionLost)]);
        let why = LostReason::Closed(CloseReason::Failed);
        assert_eq!(side.events.last(), Some(&Event::Lost { session: side.session, why }));
        assert_empty(&side.endpoint);
    }
    let aborted = Event::Aborted { transfer: IncomingId(3), why: AbortReason::SessionLost };
    assert!(
        pair.sides[1]
            .events
            .iter()
            .any(|e| matches!(e, Event::Aborted { why: AbortReason::SessionLost, .. })),
        "{aborted:?}"
    );
    // An answer that comes too late finds nobody.
    for chunk in core::mem::take(&mut pair.sides[0].unanswered) {
        pair.sides[0].endpoint.respond(pair.now, chunk, Status::OK);
    }
    assert_empty(&pair.sides[0].endpoint);
}

#[test]
fn a_connection_that_cannot_be_opened_fails_the_session_and_its_messages() {
    let mut pair = Pair::new(WIDE);
    pair.send(0, message("waiting"));
    let side = &mut pair.sides[0];
    side.take_actions(pair.now);
    let (open, target) = side.opens.pop().unwrap();
    assert_eq!(target.remote, "192.0.2.2:2855".parse().unwrap());
    side.endpoint.handle_opened(pair.now, open, Err(OpenError::NotAllowed));
    side.take_actions(pair.now);
    assert_eq!(side.failures(), [(None, SendFailure::SessionLost)]);
    let why = LostReason::Open(OpenError::NotAllowed);
    assert_eq!(side.events.last(), Some(&Event::BindFailed { session: side.session, why }));
    assert_empty(&side.endpoint);
    // An opening that outlives its session is closed.
    let mut pair = Pair::new(WIDE);
    let side = &mut pair.sides[0];
    side.take_actions(pair.now);
    side.endpoint.close_session(pair.now, side.session);
    let (open, _) = side.opens.pop().unwrap();
    side.endpoint.handle_opened(pair.now, open, Ok((FlowId(5), info())));
    assert_eq!(side.endpoint.poll_action(), Some(Action::Close(FlowId(5), CloseReason::Done)));
    assert_empty(&side.endpoint);
}

#[test]
fn an_unknown_session_fails_to_bind_and_a_vanished_one_is_lost() {
    let mut pair = Pair::new(WIDE);
    pair.sides[1].endpoint.close_session(pair.now, pair.sides[1].session);
    pair.send(0, message("early"));
    pair.run();
    let why = LostReason::Refused(Status::NO_SESSION);
    assert!(pair.sides[0].events.contains(&Event::BindFailed { session: pair.sides[0].session, why }));
    assert_eq!(pair.sides[0].failures().len(), 1);
    assert_empty(&pair.sides[0].endpoint);

    let mut pair = Pair::bound(WIDE);
    // A second session keeps the connection.
    let local = pair.sides[1].endpoint.new_local_uri("192.0.2.2", 2855, false);
    let remote = pair.sides[0].endpoint.new_local_uri("192.0.2.1", 2855, false);
    pair.sides[1].endpoint.open_session(pair.now, config(&local, &remote, Role::Passive)).unwrap();
    pair.sides[0].endpoint.open_session(pair.now, config(&remote, &local, there())).unwrap();
    pair.run();
    assert_eq!(pair.flows.len(), 1, "the connection is used again");
    pair.sides[1].endpoint.close_session(pair.now, pair.sides[1].session);
    pair.run();
    pair.send(0, message("anybody?"));
    pair.run();
    assert!(pair.sides[0].events.contains(&Event::Lost { session: pair.sides[0].session, why }));
    assert_eq!(pair.sides[0].endpoint.sessions.len(), 1, "the other session goes on");
}

#[test]
fn sessions_share_a_connection_where_they_may() {
    for (matching, flows) in [(Matching::Rfc4975, 1), (Matching::SessionId, 1), (Matching::Cema, 2)] {
        let mut pair = Pair::with(WIDE, Limits::default(), |_, config| config.matching = matching);
        let mut second = [SessionId(0); 2];
        let uris = [0, 1]
            .map(|i: usize| pair.sides[i].endpoint.new_local_uri(&format!("192.0.2.{}", i + 1), 2855, false));
        for i in [0, 1] {
            let mut config = config(&uris[i], &uris[1 - i], if i == 0 { there() } else { Role::Passive });
            config.matching = matching;
            second[i] = pair.sides[i].endpoint.open_session(pair.now, config).unwrap();
        }
        pair.run();
        assert_eq!(pair.flows.len(), flows, "{matching:?}");
        pair.send(0, message("one"));
        pair.sides[0].endpoint.send(pair.now, second[0], message("two")).unwrap();
        pair.run();
        assert_eq!(pair.sides[1].messages.len(), 2);
        for i in [0, 1] {
            pair.sides[i].endpoint.close_session(pair.now, second[i]);
            assert_eq!(pair.sides[i].endpoint.connections.len(), 1, "{matching:?}");
        }
        pair.close();
    }
}

#[test]
fn a_session_that_ends_before_its_first_answer_leaves_nothing_on_a_shared_connection() {
    let mut pair = Pair::bound(WIDE);
    let side = &mut pair.sides[0];
    let local = side.endpoint.new_local_uri("192.0.2.1", 2855, false);
    let remote = MsrpUri::parse("msrp://192.0.2.2:2855/nobodynobodynobody;tcp").unwrap();
    let short_lived = side.endpoint.open_session(pair.now, config(&local, &remote, there())).unwrap();
    side.endpoint.send(pair.now, short_lived, message("never")).unwrap();
    side.endpoint.close_session(pair.now, short_lived);
    side.take_actions(pair.now);
    assert!(side.endpoint.transfers.is_empty());
    pair.run();
    assert_quiet(&pair.sides[0].endpoint);
    pair.send(0, message("still here"));
    pair.run();
    assert_eq!(pair.sides[1].messages, ["still here"]);
}

// interop: 16; threats: I5
#[test]
fn both_sides_may_be_active() {
    for slow in [None, Some(0), Some(1)] {
        let active = |_: usize, config: &mut SessionConfig| config.role = there();
        let mut pair = Pair::with(WIDE, Limits::default(), active);
        for side in &mut pair.sides {
            side.take_actions(pair.now);
        }
        // Both connections open before either side's first request arrives, or one of them late.
        let held = slow.map(|i: usize| core::mem::take(&mut pair.sides[i].opens));
        for i in [0, 1] {
            for (open, _) in core::mem::take(&mut pair.sides[i].opens) {
                let flow = FlowId(10 + i as u64);
                pair.flows.push(flow);
                pair.sides[i].endpoint.handle_opened(pair.now, open, Ok((flow, info())));
                pair.sides[1 - i].endpoint.handle_accepted(pair.now, flow, info());
            }
        }
        pair.send(0, message("from a"));
        pair.send(1, message("from b"));
        let mut crossing = Vec::new();
        for i in [0, 1] {
            for flow in pair.flows.clone() {
                let mut octets = Vec::new();
                pair.sides[i].endpoint.poll_transmit(pair.now, flow, 300, &mut octets);
                crossing.push((1 - i, flow, octets));
            }
        }
        for (to, flow, octets) in crossing {
            pair.sides[to].endpoint.handle_stream(pair.now, flow, Bytes::from(octets));
        }
        pair.run();
        if let (Some(held), Some(i)) = (held, slow) {
            pair.sides[i].endpoint.handle_opened(pair.now, held[0].0, Ok((FlowId(20), info())));
            pair.run();
        }
        for (i, text) in [(0, "from b"), (1, "from a")] {
            assert_eq!(pair.sides[i].messages, [text], "{slow:?}");
            assert_eq!(pair.sides[i].sent().len(), 1, "{slow:?}");
            let bound = Event::Bound { session: pair.sides[i].session };
            assert_eq!(pair.sides[i].events.iter().filter(|e| **e == bound).count(), 1, "{slow:?}");
        }
        // Each side may send on the connection that the other one opened.
        pair.send(0, message("more from a"));
        pair.send(1, message("more from b"));
        pair.run();
        for (i, text) in [(0, "more from b"), (1, "more from a")] {
            assert_eq!(pair.sides[i].messages[1..], [text], "{slow:?}");
            assert!(!pair.sides[i].events.iter().any(|e| matches!(e, Event::Fault(_))), "{slow:?}");
        }
        pair.close();
    }
}

#[test]
fn what_was_released_is_written_before_a_connection_closes() {
    let mut pair = Pair::bound(WIDE);
    pair.sides[1].answer = None;
    let transfer = pair.send(0, message("last words"));
    pair.run();
    let chunk = pair.sides[1].unanswered.pop().unwrap();
    pair.sides[1].endpoint.respond(pair.now, chunk, Status::OK);
    pair.sides[1].endpoint.close_session(pair.now, pair.sides[1].session);
    pair.run();
    assert_eq!(pair.sides[0].sent(), [transfer]);
    assert!(matches!(pair.sides[0].events.last(), Some(Event::Lost { .. })));
    assert!(pair.flows.is_empty());
    // Where the peer does not read, it is closed all the same.
    let mut pair = Pair::bound(WIDE);
    pair.send(0, message("unread"));
    pair.sides[0].take_actions(pair.now);
    pair.sides[0].endpoint.poll_transmit(pair.now, pair.flows[0], 3, &mut Vec::new());
    pair.sides[0].endpoint.close_session(pair.now, pair.sides[0].session);
    assert_eq!(pair.sides[0].endpoint.next_timeout(), Some(at(5).mono));
    pair.sides[0].endpoint.handle_timeout(at(5));
    assert_eq!(pair.sides[0].take_actions(at(5)), pair.flows);
    assert_empty(&pair.sides[0].endpoint);
}

#[test]
fn writing_is_announced_once() {
    let mut pair = Pair::bound(WIDE);
    let announced = |side: &mut Side| {
        let actions = core::iter::from_fn(|| side.endpoint.poll_action());
        actions.filter(|action| matches!(action, Action::WantsWrite(_))).count()
    };
    pair.send(0, message("a"));
    pair.send(0, message("b"));
    assert_eq!(announced(&mut pair.sides[0]), 1);
    let flow = pair.flows[0];
    pair.carry(0, flow);
    assert_eq!(pair.carry(0, flow), 0);
    pair.send(0, message("c"));
    assert_eq!(announced(&mut pair.sides[0]), 1);
    assert_eq!(pair.sides[0].endpoint.poll_transmit(pair.now, FlowId(999), 100, &mut Vec::new()), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is sent, however the net cuts it: the same messages, each answered once; then nothing is left.
    #[test]
    fn all_messages_arrive_and_nothing_is_left(
        sizes in proptest::collection::vec((0usize..2, prop_oneof![0usize..40, 2000usize..2100, 3000usize..40_000]), 1..8),
        ask in prop_oneof![1usize..50, 1000usize..20_000], arrive in 1usize..5000,
        max_chunk in proptest::option::of(1500u64..10_000), window in 2048u64..20_000,
    ) {
        let limits = Limits { window, turn: 2048 + window / 4, ..Limits::default() };
        let mut pair = Pair::with(Net { ask, arrive }, limits, |_, config| config.max_chunk = max_chunk);
        for (from, size) in &sizes {
            pair.send(*from, message(body(*size)));
        }
        pair.run();
        for i in [0, 1] {
            let mut expected: Vec<Bytes> = sizes.iter().filter(|(from, _)| *from != i).map(|(_, s)| body(*s)).collect();
            let mut got = pair.sides[i].messages.clone();
            expected.sort();
            got.sort();
            prop_assert_eq!(got, expected);
            prop_assert_eq!(pair.sides[i].sent().len(), sizes.iter().filter(|(from, _)| *from == i).count());
            assert_quiet(&pair.sides[i].endpoint);
        }
        pair.close();
    }

    /// Octets that mean nothing, mixed with some that do: no panic, every deadline moves on, the end is empty.
    #[test]
    fn nothing_a_peer_sends_breaks_it(
        inputs in proptest::collection::vec((0u8..14, 0u64..4, "[ -~]{0,30}"), 0..40),
    ) {
        let mut endpoint = endpoint_with(3, Limits { max_open_messages: 2, max_gaps: 2, max_outstanding: 3, ..Limits::default() });
        let local = endpoint.new_local_uri("192.0.2.1", 2855, false);
        let remote = MsrpUri::parse("msrp://192.0.2.2:9/peerpeerpeerpeer;tcp").unwrap();
        let session = endpoint.open_session(at(0), SessionConfig { max_message: 60, ..config(&local, &remote, Role::Passive) }).unwrap();
        let mut now = at(0);
        endpoint.handle_accepted(now, FlowId(0), info());
        endpoint.handle_accepted(now, FlowId(1), info());
        let paths = format!("To-Path: {local}\r\nFrom-Path: {remote}\r\n");
        let mut chunks = Vec::new();
        for (what, number, text) in inputs {
            let flow = FlowId(number % 2);
            let mid = format!("Message-ID: mid{number}\r\n");
            let octets = match what {
                0 => text.clone().into_bytes(),
                1 => format!("MSRP abcd1234 SEND\r\n{paths}{mid}{text}\r\n-------abcd1234$\r\n").into_bytes(),
                2 | 3 => format!("MSRP abcd1234 SEND\r\n{paths}{mid}Byte-Range: {}-*/*\r\nContent-Type: a/b\r\n\r\n{text}\r\n-------abcd1234+\r\n", number * 7 + 1).into_bytes(),
                4 => format!("MSRP abcd1234 SEND\r\n{paths}{mid}Byte-Range: {}-*/50\r\nContent-Type: a/b\r\n\r\n{text}\r\n-------abcd1234$\r\n", number * 9 + 1).into_bytes(),
                5 => format!("MSRP abcd1234 SEND\r\n{paths}{mid}Content-Type: a/b\r\n\r\n{text}\r\n-------abcd1234#\r\n").into_bytes(),
                6 => format!("MSRP abcd1234 {number}00 {text}\r\n{paths}-------abcd1234$\r\n").into_bytes(),
                7 => format!("MSRP abcd1234 REPORT\r\n{paths}{mid}Status: 000 {number}13\r\n-------abcd1234$\r\n").into_bytes(),
                8 => { let _ = endpoint.send(now, session, message(text.clone())); continue; }
                9 => { now = now.plus(core::time::Duration::from_secs(number * 8)); endpoint.handle_timeout(now); continue; }
                10 => { if let Some(chunk) = chunks.pop() { endpoint.respond(now, chunk, Status::new(200 + 100 * (number as u16 % 3)).unwrap()); } continue; }
                11 => { endpoint.poll_transmit(now, flow, number as usize * 50, &mut Vec::new()); continue; }
                12 if number == 3 => { endpoint.close_session(now, session); continue; }
                13 if number == 3 => { endpoint.handle_closed(now, flow, CloseReason::Failed); continue; }
                _ => continue,
            };
            endpoint.handle_stream(now, flow, Bytes::from(octets));
            while let Some(action) = endpoint.poll_action() {
                if let Action::Event(Event::ChunkEnd { chunk, .. }) = action { chunks.push(chunk); }
            }
            prop_assert!(endpoint.incoming.len() <= 2 + 6 && endpoint.answers.len() <= 6);
        }
        endpoint.close_session(now, session);
        for _ in 0..100 {
            let Some(due) = endpoint.next_timeout() else { break };
            now.mono = now.mono.max(due);
            endpoint.handle_timeout(now);
            let moved = endpoint.next_timeout() != Some(due) || endpoint.poll_action().is_some();
            prop_assert!(moved, "a deadline that stands still");
            for flow in [FlowId(0), FlowId(1)] {
                while endpoint.poll_transmit(now, flow, 1000, &mut Vec::new()) > 0 {}
            }
        }
        assert_empty(&endpoint);
    }
}
