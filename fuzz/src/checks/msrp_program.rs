//! MSRP: programs of commands, octets and time for endpoints, and for a splice between them.

use bytes::Bytes;
use cpm_base::{CloseReason, DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_msrp::{
    Action, Answering, Body, ByteRange, ChunkId, Config, Endpoint, Event, FailureReport, IncomingId, Leg,
    LegId, Limits, Mapping, Matching, Outgoing, Overlap, Role, SessionConfig, SessionId, SessionOptions,
    Splice, SpliceEvent, SpliceOptions, Status, TransferId,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// One octet after the other; zeros behind the end.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }
}

/// The octet of a message at a position: rich in what ends look like.
fn octet(message: usize, at: u64) -> u8 {
    const WHAT: &[u8] = b"\r\n-------abcd$\r\n--x-------\r\n\r\n\0\xff";
    WHAT[(at as usize * (1 + message % 3) + message) % WHAT.len()]
}

fn body(message: usize, length: usize) -> Bytes {
    (0..length as u64).map(|at| octet(message, at)).collect()
}

/// An endpoint and what its user knows.
struct End {
    endpoint: Endpoint,
    sessions: Vec<SessionId>,
    /// What goes out: its number, its length, and how it ended.
    sent: BTreeMap<TransferId, (usize, usize, Option<bool>)>,
    wants: BTreeMap<TransferId, (u64, u64)>,
    /// What comes in: its number, and how far it is there without a gap.
    got: BTreeMap<IncomingId, (usize, Vec<Option<u8>>)>,
    whole: Vec<usize>,
    chunks: Vec<ChunkId>,
    closed: Vec<FlowId>,
    /// The Message-ID of what came last.
    heard: Option<String>,
}

fn start() -> Now {
    Now::new(Instant::ZERO, DateTime::UNIX_EPOCH)
}

impl End {
    fn new(seed: u8) -> End {
        let limits = Limits { window: 6000, source: 5000, turn: 2500, ..Limits::default() };
        let config = Config { limits, seed: Seed::new([seed; 32]) };
        End {
            endpoint: Endpoint::new(config).expect("limits"),
            sessions: Vec::new(),
            sent: BTreeMap::new(),
            wants: BTreeMap::new(),
            got: BTreeMap::new(),
            whole: Vec::new(),
            chunks: Vec::new(),
            closed: Vec::new(),
            heard: None,
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Wants { transfer, offset, max } => {
                let wanted = self.wants.entry(*transfer).or_insert((*offset, *offset));
                assert_eq!(wanted.1, *offset, "what is asked for follows what was");
                wanted.1 += max;
            }
            Event::Sent { transfer } | Event::SendFailed { transfer, .. } => {
                self.wants.remove(transfer);
                let (_, length, ended) = self.sent.get_mut(transfer).expect("a message of ours");
                let sent = matches!(event, Event::Sent { .. });
                // Where only bad answers are wanted, one may come after the message was written.
                let partial = *length % 3 == 2;
                assert!(ended.is_none() || (partial && *ended == Some(true) && !sent), "a message ends once");
                *ended = Some(sent);
            }
            Event::Incoming { transfer, head, .. } => {
                let message_id = head.message_id().expect("a Message-ID");
                let number = message_id.trim_start_matches('m').parse().expect("a number");
                self.got.insert(*transfer, (number, Vec::new()));
            }
            Event::Data { transfer, offset, bytes } => {
                let (_, there) = self.got.get_mut(transfer).expect("a message that began");
                let (from, to) = (*offset as usize, *offset as usize + bytes.len());
                there.resize(there.len().max(to), None);
                there[from..to].iter_mut().zip(bytes).for_each(|(place, octet)| *place = Some(*octet));
            }
            Event::ChunkEnd { transfer, chunk, complete, .. } => {
                self.chunks.push(*chunk);
                let Some(total) = complete else { return };
                let (number, there) = self.got.remove(transfer).expect("a message that began");
                let right = |(at, o): (usize, &Option<u8>)| *o == Some(octet(number, at as u64));
                assert!(there.len() as u64 == *total && there.iter().enumerate().all(right));
                self.whole.push(number);
            }
            Event::Aborted { transfer, .. } => {
                assert!(self.got.remove(transfer).is_some(), "what is given up had begun, and was not whole");
            }
            _ => {}
        }
    }

    fn supply(&mut self, now: Now, most: usize) {
        for (transfer, (from, to)) in std::mem::take(&mut self.wants) {
            let (number, length, _) = self.sent[&transfer];
            let until = to.min(from + most as u64).min(length as u64);
            let octets: Bytes = (from..until).map(|at| octet(number, at)).collect();
            self.endpoint.supply(now, transfer, octets, until == length as u64).expect("what was asked for");
            if until < to && until < length as u64 {
                self.wants.insert(transfer, (until, to));
            }
        }
    }

    fn respond(&mut self, now: Now, status: Status) {
        if !self.chunks.is_empty() {
            let chunk = self.chunks.remove(0);
            self.endpoint.respond(now, chunk, status);
        }
    }
}

fn info() -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Msrp,
        transport: Transport::Tcp,
        local: ([127, 0, 0, 1], 2855).into(),
        peer: ([192, 0, 2, 10], 40010).into(),
        secure_identity: None,
        trust: Trust::Outside,
    }
}

/// A session between two ends on a flow; the first is active.
fn join(active: &mut End, passive: &mut End, flow: FlowId, max_chunk: u64) {
    let uris = [
        active.endpoint.new_local_uri("192.0.2.1", 2855, false),
        passive.endpoint.new_local_uri("192.0.2.2", 2855, false),
    ];
    let config = |own: usize, role| SessionConfig {
        local_path: uris[own].clone(),
        remote_path: vec![uris[1 - own].clone()],
        role,
        matching: Matching::Cema,
        max_chunk: Some(max_chunk),
        max_message: 100_000,
    };
    let there = Role::Active(([192, 0, 2, 2], 2855).into(), Transport::Tcp);
    active.sessions.push(active.endpoint.open_session(start(), config(0, there)).expect("a session"));
    passive
        .sessions
        .push(passive.endpoint.open_session(start(), config(1, Role::Passive)).expect("a session"));
    let Some(Action::Open(open, _)) = active.endpoint.poll_action() else {
        panic!("an active side connects")
    };
    active.endpoint.handle_opened(start(), open, Ok((flow, info())));
    passive.endpoint.handle_accepted(start(), flow, info());
}

fn actions(end: &mut End) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(action) = end.endpoint.poll_action() {
        match action {
            Action::Event(event) => {
                end.event(&event);
                events.push(event);
            }
            Action::Close(flow, _) => end.closed.push(flow),
            _ => {}
        }
    }
    events
}

/// At most so many octets from one end to the other.
fn carry(now: Now, from: &mut End, to: &mut End, flow: FlowId, most: usize) -> usize {
    if !to.endpoint.wants_read(flow) {
        return 0;
    }
    let mut wire = Vec::new();
    let count = from.endpoint.poll_transmit(now, flow, most, &mut wire);
    assert!(count == wire.len() && count <= most);
    to.endpoint.handle_stream(now, flow, wire.into());
    count
}

/// Two endpoints do what a program says, and then come to rest: every message ends once, what comes in is what was sent.
pub fn msrp_program(data: &[u8]) {
    let mut program = Program(data);
    let (mut ends, mut now, flow) = ([End::new(1), End::new(2)], start(), FlowId(1));
    {
        let [a, b] = &mut ends;
        join(a, b, flow, 2100 + program.next() as u64 * 16);
    }
    let mut numbers = 0;
    for _ in 0..400 {
        if program.0.is_empty() {
            break;
        }
        let op = program.next();
        let side = op & 1;
        let [a, b] = &mut ends;
        let (end, other) = if side == 0 { (a, b) } else { (b, a) };
        match (op >> 1) % 12 {
            0 | 1 => {
                let length = program.next() * 97;
                let source = (op >> 1) % 12 == 1;
                let total = (length % 2 == 0).then_some(length as u64);
                numbers += 1;
                let outgoing = Outgoing {
                    message_id: Some(format!("m{numbers:07}")),
                    content_type: "text/plain".into(),
                    body: if source { Body::Source { total } } else { body(numbers, length).into() },
                    success_report: length % 3 == 0,
                    failure_report: [FailureReport::Yes, FailureReport::No, FailureReport::Partial]
                        [length % 3],
                };
                if let Ok(transfer) = end.endpoint.send(now, end.sessions[0], outgoing) {
                    end.sent.insert(transfer, (numbers, length, None));
                }
            }
            2 => end.supply(now, 1 + program.next() * 31),
            3 | 4 => {
                carry(now, end, other, flow, 1 + program.next() * 17);
            }
            5 => end.respond(now, Status::OK),
            6 => end.respond(now, Status::STOP),
            7 => {
                if let Some(transfer) = end.sent.keys().nth(program.next() % (end.sent.len() + 1)).copied() {
                    end.endpoint.abort(now, transfer);
                }
            }
            8 => end.got.keys().for_each(|incoming| end.endpoint.pause(now, *incoming)),
            9 => end.got.keys().for_each(|incoming| end.endpoint.resume(now, *incoming)),
            10 => {
                now = now.plus(Duration::from_secs(program.next() as u64 % 20));
                end.endpoint.handle_timeout(now);
            }
            _ => {
                let mut options = SessionOptions::default();
                options.overlap = [Overlap::LastStands, Overlap::FirstStands][program.next() & 1];
                options.answering = [Answering::Released, Answering::AtOnce][program.next() & 1];
                end.endpoint.set_options(end.sessions[0], options);
            }
        }
        for end in &mut ends {
            actions(end);
        }
    }
    settle(&mut ends, &mut now, flow);
}

/// Everything that can go on does, then the sessions are closed, then nothing is left.
fn settle(ends: &mut [End; 2], now: &mut Now, flow: FlowId) {
    for _ in 0..10_000 {
        let [a, b] = &mut *ends;
        let mut busy = carry(*now, a, b, flow, 3000) + carry(*now, b, a, flow, 3000);
        for end in &mut *ends {
            let all: Vec<IncomingId> = end.got.keys().copied().collect();
            all.iter().for_each(|incoming| end.endpoint.resume(*now, *incoming));
            busy += actions(end).len() + end.wants.len() + end.chunks.len();
            end.supply(*now, 5000);
            end.respond(*now, Status::OK);
        }
        if busy == 0 {
            break;
        }
    }
    for (number, end) in ends.iter_mut().enumerate() {
        for session in end.sessions.clone() {
            end.endpoint.close_session(*now, session);
        }
        end.endpoint.handle_closed(*now, flow, CloseReason::PeerClosed);
        actions(end);
        for _ in 0..100 {
            let Some(next) = end.endpoint.next_timeout() else { break };
            now.mono = now.mono.max(next);
            end.endpoint.handle_timeout(*now);
            actions(end);
        }
        assert!(end.endpoint.is_idle(), "something is left at end {number}: {:?}", end.endpoint);
    }
    for (from, to) in [(0, 1), (1, 0)] {
        for (number, _, ended) in ends[from].sent.values() {
            assert!(ended.is_some(), "message {number} never ended");
        }
        let mut whole = ends[to].whole.clone();
        whole.dedup();
        assert_eq!(whole.len(), ends[to].whole.len(), "a message comes once");
    }
}

/// A message from one end through a splice to three: whoever has it whole has it right, and all comes to rest.
pub fn msrp_splice(data: &[u8]) {
    let mut program = Program(data);
    let mut now = start();
    let mut relay = End::new(1);
    let mut ends: Vec<End> = (0..4).map(|number| End::new(10 + number)).collect();
    for (number, end) in ends.iter_mut().enumerate() {
        join(end, &mut relay, FlowId(number as u64), 2100 + 500 * number as u64);
        while carry(now, end, &mut relay, FlowId(number as u64), 3000)
            + carry(now, &mut relay, end, FlowId(number as u64), 3000)
            > 0
        {
            actions(end);
            actions(&mut relay);
        }
    }
    let mut incoming = SessionOptions::answering(Answering::ReleasedWithoutReports);
    incoming.overlap = Overlap::FirstStands;
    relay.endpoint.set_options(relay.sessions[0], incoming);
    let options = SpliceOptions {
        mapping: [Mapping::First, Mapping::All, Mapping::Each][program.next() % 3],
        head_lines: (program.next() % 3) as u8,
        max_head: 1 + program.next() * 4,
        buffer: 1 + program.next() * 50,
        keep: program.next() * 50,
        ..SpliceOptions::default()
    };
    let (length, known, new_head) = (program.next() * 67, program.next() & 1 == 0, program.next());
    let outgoing = Outgoing {
        message_id: Some("m0000000".into()),
        content_type: "message/cpim".into(),
        body: Body::Source { total: known.then_some(length as u64) },
        success_report: true,
        failure_report: FailureReport::Yes,
    };
    let session = ends[0].sessions[0];
    let transfer = ends[0].endpoint.send(now, session, outgoing).expect("a message");
    ends[0].sent.insert(transfer, (0, length, None));
    let told = BTreeMap::new();
    let mut run = Run { splice: None, options, new_head, expected: None, length, legs: 0, told };
    for turn in 0..20_000 {
        let steered = turn < 400 && !program.0.is_empty();
        let (op, amount) = if steered { (program.next(), program.next()) } else { (turn, 200) };
        let number = op % 4;
        let (end, flow) = (&mut ends[number], FlowId(number as u64));
        let mut busy = 0;
        match (op / 4) % 8 {
            0..=1 => busy += carry(now, end, &mut relay, flow, 1 + amount * 20),
            2..=4 => busy += carry(now, &mut relay, end, flow, 1 + amount * 20),
            5 => end.supply(now, 1 + amount * 30),
            6 if steered && amount % 16 == 0 => end.respond(now, Status::STOP),
            6 if steered && amount % 16 == 1 => report(now, end, Status::STOP),
            6 if steered && amount % 16 == 2 => report(now, end, Status::OK),
            6 if steered && amount % 16 == 3 && number == 0 => end.endpoint.abort(now, transfer),
            6 if steered && amount % 16 == 3 => {
                relay.endpoint.handle_closed(now, flow, CloseReason::Failed);
                end.endpoint.handle_closed(now, flow, CloseReason::Failed);
            }
            6 if steered && amount % 16 == 4 => {
                now = now.plus(Duration::from_secs(amount as u64 / 16));
                run.time(now, &mut relay);
            }
            6 => end.respond(now, Status::OK),
            _ if steered => run.steer(now, &mut relay, number, amount),
            _ => {}
        }
        ends.iter_mut().for_each(|end| busy += receiver(end, &run));
        busy += run.events(now, &mut relay);
        if !steered && busy == 0 && turn % 1000 == 999 && ends.iter().all(|end| end.chunks.is_empty()) {
            break;
        }
    }
    // The connection that the message came on ends, then the others: the splice is told all of it.
    for flow in 0..4 {
        relay.endpoint.handle_closed(now, FlowId(flow), CloseReason::PeerClosed);
        run.events(now, &mut relay);
    }
    run.check(now, &mut relay);
    for (number, end) in ends.iter_mut().chain([&mut relay]).enumerate() {
        for session in end.sessions.clone() {
            end.endpoint.close_session(now, session);
        }
        for flow in 0..4 {
            end.endpoint.handle_closed(now, FlowId(flow), CloseReason::PeerClosed);
        }
        while end.endpoint.poll_action().is_some() {}
        for _ in 0..100 {
            let Some(next) = end.endpoint.next_timeout() else { break };
            now.mono = now.mono.max(next);
            end.endpoint.handle_timeout(now);
        }
        while end.endpoint.poll_action().is_some() {}
        assert!(end.endpoint.is_idle(), "something is left at end {number}");
    }
}

/// The function that relays.
struct Run {
    splice: Option<Splice>,
    options: SpliceOptions,
    /// How long the head is that goes out.
    new_head: usize,
    /// What goes out, once the head is known.
    expected: Option<Vec<u8>>,
    length: usize,
    legs: usize,
    /// How often each leg was told its end.
    told: BTreeMap<LegId, usize>,
}

impl Run {
    fn steer(&mut self, now: Now, relay: &mut End, number: usize, amount: usize) {
        let Some(splice) = &mut self.splice else { return };
        if amount % 8 == 7 {
            splice.remove_leg(now, &mut relay.endpoint, LegId(1 + number as u64));
        } else if number > 0 && self.legs < 6 {
            let lag = (amount % 2 == 1).then_some(amount * 40);
            let leg = Leg { session: relay.sessions[number], message_id: None, head: None, lag };
            if let Ok(leg) = splice.add_leg(now, &mut relay.endpoint, leg) {
                self.legs += 1;
                self.told.insert(leg, 0);
            }
        }
    }

    fn events(&mut self, now: Now, relay: &mut End) -> usize {
        let mut count = 0;
        while let Some(action) = relay.endpoint.poll_action() {
            count += 1;
            let Action::Event(event) = action else { continue };
            if let Event::Incoming { session, transfer, head, .. } = &event {
                self.splice = Splice::new(*session, *transfer, head, self.options).ok();
                if self.options.head_lines == 0 {
                    self.expected = Some(body(0, self.length).to_vec());
                }
                self.steer(now, relay, 1, 0);
            }
            let Some(splice) = &mut self.splice else { continue };
            splice.handle(now, &mut relay.endpoint, &event);
            self.told(now, relay);
        }
        self.told(now, relay);
        count
    }

    fn told(&mut self, now: Now, relay: &mut End) {
        let Some(splice) = &mut self.splice else { return };
        while let Some(told) = splice.poll_event() {
            match told {
                SpliceEvent::Head(old) => {
                    assert!(body(0, self.length).starts_with(&old), "the head is the beginning of the body");
                    let head = vec![b'h'; self.new_head];
                    self.expected = Some([&head, &body(0, self.length)[old.len()..]].concat());
                    splice.set_head(now, &mut relay.endpoint, head.into());
                }
                SpliceEvent::LegSent(leg) | SpliceEvent::LegFailed { leg, .. } => {
                    *self.told.get_mut(&leg).expect("a leg of ours") += 1;
                }
                _ => {}
            }
        }
    }

    /// Time passes for the node in the middle.
    fn time(&mut self, now: Now, relay: &mut End) {
        relay.endpoint.handle_timeout(now);
        self.events(now, relay);
        if let Some(splice) = &mut self.splice {
            splice.handle_timeout(now, &mut relay.endpoint);
        }
        self.events(now, relay);
    }

    /// Nothing can come any more: the splice is over and every leg was told one end.
    fn check(&mut self, now: Now, relay: &mut End) {
        let Some(splice) = &mut self.splice else { return };
        if self.told.is_empty() {
            // Nobody could take it: that is for the function to say.
            splice.refuse(now, &mut relay.endpoint, Status::FORBIDDEN);
        }
        assert!(splice.is_over(), "{splice:?}");
        assert!(self.told.values().all(|ends| *ends == 1), "{:?}", self.told);
    }
}

/// A receiver says what it likes of the message.
fn report(now: Now, end: &mut End, status: Status) {
    let Some(message_id) = &end.heard else { return };
    let range = ByteRange { start: 1, end: None, total: None };
    let _ = end.endpoint.report(now, end.sessions[0], &[], message_id, range, status);
}

/// What a receiver has, is what went out.
fn receiver(end: &mut End, run: &Run) -> usize {
    let mut count = 0;
    while let Some(action) = end.endpoint.poll_action() {
        count += 1;
        let Action::Event(event) = action else { continue };
        match event {
            Event::Incoming { transfer, head, .. } => {
                end.got.insert(transfer, (0, Vec::new()));
                end.heard = head.message_id().map(ToString::to_string);
            }
            Event::ChunkEnd { transfer, chunk, complete, .. } => {
                end.chunks.push(chunk);
                let Some(total) = complete else { continue };
                let (_, there) = end.got.remove(&transfer).expect("a message that began");
                let octets: Vec<u8> = there.into_iter().map(|octet| octet.expect("no gap")).collect();
                assert_eq!(octets.len() as u64, total);
                assert_eq!(Some(&octets), run.expected.as_ref(), "what went out");
            }
            other => end.event(&other),
        }
    }
    count
}
