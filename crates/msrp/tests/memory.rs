//! Threat B7 and what is promised of memory: a session that takes a message, and one that is relayed, each stay within
//! 64 KiB however long the message is. `CPM_MESSAGE_OCTETS` makes it longer than the 4 MB of a quick run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects)]

use allocation_counter::{measure, opt_out};
use bytes::Bytes;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_msrp::{
    Action, Answering, Config, Endpoint, Event, FileEvent, FileQuery, FileSink, FileSinkOptions, HashKind,
    Leg, Limits, Matching, MsrpUri, Overlap, Role, SessionConfig, SessionId, SessionOptions, Splice,
    SpliceOptions, Status,
};
use std::collections::VecDeque;

const NOW: Now = Now { mono: Instant::ZERO, wall: DateTime::UNIX_EPOCH };
const IN: FlowId = FlowId(1);
const OUT: FlowId = FlowId(2);
/// What a host reads in one go.
const BLOCK: usize = 16 * 1024;
const ALLOWED: u64 = 64 * 1024;

#[allow(clippy::disallowed_methods, reason = "a test of its own choosing how long it runs")]
fn octets() -> u64 {
    std::env::var("CPM_MESSAGE_OCTETS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000_000)
}

fn endpoint() -> Endpoint {
    Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([5; 32]) }).unwrap()
}

fn peer() -> MsrpUri {
    MsrpUri::parse("msrp://192.0.2.9:9/peerpeerpeerpeer;tcp").unwrap()
}

fn info() -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Msrp,
        transport: Transport::Tcp,
        local: "192.0.2.1:2855".parse().unwrap(),
        peer: "192.0.2.9:2855".parse().unwrap(),
        secure_identity: None,
        trust: Trust::Outside,
    }
}

/// A passive session, bound by a peer of octets on this flow.
fn session(endpoint: &mut Endpoint, flow: FlowId) -> (SessionId, MsrpUri) {
    let local = endpoint.new_local_uri("192.0.2.1", 2855, false);
    let config = SessionConfig {
        local_path: local.clone(),
        remote_path: vec![peer()],
        role: Role::Passive,
        matching: Matching::Rfc4975,
        max_chunk: Some(100_000),
        max_message: 1 << 40,
    };
    let session = endpoint.open_session(NOW, config).unwrap();
    endpoint.handle_accepted(NOW, flow, info());
    let bind = format!(
        "MSRP bind1234 SEND\r\nTo-Path: {local}\r\nFrom-Path: {}\r\nMessage-ID: bind1234\r\n-------bind1234$\r\n",
        peer()
    );
    endpoint.handle_stream(NOW, flow, bind.into());
    let mut out = Vec::new();
    while endpoint.poll_transmit(NOW, flow, BLOCK, &mut out) > 0 {}
    while endpoint.poll_action().is_some() {}
    (session, local)
}

/// A message in chunks, as blocks of a stream.
struct Wire {
    to: MsrpUri,
    total: u64,
    chunk: u64,
    at: u64,
    left_of_chunk: u64,
    ready: VecDeque<u8>,
}

impl Wire {
    fn new(to: MsrpUri, total: u64, chunk: u64) -> Wire {
        let mut ready = VecDeque::new();
        opt_out(|| ready.reserve(8 * BLOCK));
        Wire { to, total, chunk, at: 0, left_of_chunk: 0, ready }
    }

    fn block(&mut self) -> Bytes {
        while self.ready.len() < BLOCK && (self.at < self.total || self.left_of_chunk > 0) {
            if self.left_of_chunk == 0 {
                self.left_of_chunk = self.chunk.min(self.total - self.at);
                let head = format!(
                    "MSRP chunk123 SEND\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: long1234\r\n\
                     Byte-Range: {}-*/{}\r\nFailure-Report: no\r\nContent-Type: a/b\r\n\r\n",
                    self.to,
                    peer(),
                    self.at + 1,
                    self.total
                );
                self.ready.extend(head.bytes());
            }
            let count = self.left_of_chunk.min(BLOCK as u64);
            self.ready.extend((self.at..self.at + count).map(|n| (n % 251) as u8));
            self.at += count;
            self.left_of_chunk -= count;
            if self.left_of_chunk == 0 {
                let flag = if self.at == self.total { '$' } else { '+' };
                self.ready.extend(format!("\r\n-------chunk123{flag}\r\n").bytes());
            }
        }
        self.ready.drain(..BLOCK.min(self.ready.len())).collect()
    }
}

/// Writes what the sink wants written, later than it wants it.
fn receive(total: u64, chunk: u64) {
    let mut endpoint = endpoint();
    let (_, local) = session(&mut endpoint, IN);
    let mut wire = Wire::new(local, total, chunk);
    let (mut sink, mut queries, mut out) = (None::<FileSink>, VecDeque::new(), Vec::new());
    opt_out(|| out.reserve(2 * BLOCK));
    let (mut complete, mut written) = (false, 0);
    while !complete {
        if endpoint.wants_read(IN) {
            let block = wire.block();
            endpoint.handle_stream(NOW, IN, block);
        } else {
            // The disk has had time meanwhile.
            for (offset, octets) in queries.drain(..) {
                written += Bytes::len(&octets) as u64;
                drop(octets);
                sink.as_mut().unwrap().written(NOW, &mut endpoint, offset, true);
            }
        }
        if wire.at == total && wire.ready.is_empty() {
            for (offset, octets) in queries.drain(..) {
                written += Bytes::len(&octets) as u64;
                drop(octets);
                sink.as_mut().unwrap().written(NOW, &mut endpoint, offset, true);
            }
        }
        while let Some(action) = endpoint.poll_action() {
            let Action::Event(event) = action else { continue };
            if let Event::Incoming { transfer, .. } = &event {
                let (size, hash) = (Some(total), HashKind::Sha1);
                sink =
                    Some(FileSink::new(*transfer, FileSinkOptions { size, start: 0, hash, expected: None }));
            }
            sink.as_mut().unwrap().handle(NOW, &mut endpoint, &event);
        }
        let sink = sink.as_mut().unwrap();
        while let Some(FileQuery::Write { offset, octets }) = sink.poll_query() {
            queries.push_back((offset, octets));
        }
        complete = matches!(sink.poll_event(), Some(FileEvent::Complete { .. }));
        while endpoint.poll_transmit(NOW, IN, BLOCK, &mut out) > 0 {}
        out.clear();
    }
    opt_out(|| drop((out, std::mem::take(&mut wire.ready))));
    assert_eq!(written, total);
}

#[test]
fn a_session_that_takes_a_message_stays_within_64_kib() {
    let total = octets();
    // In chunks of the usual size, in one chunk, and in small ones.
    for (total, chunk) in [(total, 100_000), (total, total), (total.min(100_000), 1000)] {
        let used = measure(|| receive(total, chunk));
        eprintln!("{total} octets in chunks of {chunk}: {} octets at once", used.bytes_max);
        assert!(used.bytes_max <= ALLOWED, "chunks of {chunk}: {} octets at once", used.bytes_max);
        assert_eq!(used.bytes_current, 0);
    }
}

/// The far side of a leg: takes its octets when it is asked to, answers its chunks.
struct Far {
    endpoint: Endpoint,
    got: u64,
    whole: bool,
}

impl Far {
    fn take(&mut self, octets: &[u8]) -> Vec<u8> {
        self.endpoint.handle_stream(NOW, OUT, Bytes::copy_from_slice(octets));
        while let Some(action) = self.endpoint.poll_action() {
            match action {
                Action::Event(Event::Data { bytes, .. }) => self.got += bytes.len() as u64,
                Action::Event(Event::ChunkEnd { chunk, complete, .. }) => {
                    self.whole |= complete.is_some();
                    self.endpoint.respond(NOW, chunk, Status::OK);
                }
                _ => {}
            }
        }
        let mut answers = Vec::new();
        while self.endpoint.poll_transmit(NOW, OUT, BLOCK, &mut answers) > 0 {}
        answers
    }
}

/// The leg's session is that of an active far side, whose endpoint is not counted.
fn relay(total: u64, chunk: u64) {
    let mut relay = endpoint();
    let (incoming, local) = session(&mut relay, IN);
    let mut options = SessionOptions::answering(Answering::ReleasedWithoutReports);
    options.overlap = Overlap::FirstStands;
    relay.set_options(incoming, options);
    let mut far = None;
    let own = relay.new_local_uri("192.0.2.1", 2855, false);
    let mut first = Vec::new();
    let theirs = MsrpUri::parse("msrp://192.0.2.7:9/farfarfarfarfarfar;tcp").unwrap();
    let config = |local: &MsrpUri, remote: &MsrpUri, role| SessionConfig {
        local_path: local.clone(),
        remote_path: vec![remote.clone()],
        role,
        matching: Matching::Rfc4975,
        max_chunk: Some(100_000),
        max_message: 1 << 40,
    };
    let outgoing = relay.open_session(NOW, config(&own, &theirs, Role::Passive)).unwrap();
    opt_out(|| {
        let mut endpoint =
            Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([6; 32]) }).unwrap();
        let there = Role::Active("192.0.2.1:2855".parse().unwrap(), Transport::Tcp);
        endpoint.open_session(NOW, config(&theirs, &own, there)).unwrap();
        let Some(Action::Open(open, _)) = endpoint.poll_action() else { panic!() };
        endpoint.handle_opened(NOW, open, Ok((OUT, info())));
        endpoint.poll_transmit(NOW, OUT, BLOCK, &mut first);
        far = Some(Far { endpoint, got: 0, whole: false });
    });
    relay.handle_accepted(NOW, OUT, info());
    relay.handle_stream(NOW, OUT, Bytes::copy_from_slice(&first));
    let mut wire = Wire::new(local, total, chunk);
    let (mut splice, mut out, mut turn) = (None::<Splice>, Vec::new(), 0u64);
    // What the host writes with is the host's.
    let mut answers = Vec::new();
    opt_out(|| {
        out.reserve(2 * BLOCK);
        answers.reserve(2 * BLOCK);
    });
    let mut idle = 0;
    while !far.as_ref().unwrap().whole && idle < 100_000 {
        (turn, idle) = (turn + 1, idle + 1);
        if relay.wants_read(IN) {
            let block = wire.block();
            idle = 0;
            relay.handle_stream(NOW, IN, block);
        }
        // The far side is slower than the near one.
        if turn % 3 == 0 && relay.poll_transmit(NOW, OUT, BLOCK, &mut out) > 0 {
            let mut from_far = Vec::new();
            opt_out(|| from_far = far.as_mut().unwrap().take(&out));
            let counted = Bytes::copy_from_slice(&from_far);
            opt_out(|| drop(std::mem::take(&mut from_far)));
            out.clear();
            relay.handle_stream(NOW, OUT, counted);
        }
        while relay.poll_transmit(NOW, IN, BLOCK, &mut answers) > 0 {}
        answers.clear();
        while let Some(action) = relay.poll_action() {
            let Action::Event(event) = action else { continue };
            if let Event::Incoming { session, transfer, head, .. } = &event {
                let mut new = Splice::new(*session, *transfer, head, SpliceOptions::default()).unwrap();
                let leg = Leg { session: outgoing, message_id: None, head: None, lag: None };
                new.add_leg(NOW, &mut relay, leg).unwrap();
                splice = Some(new);
            }
            if let Some(splice) = &mut splice {
                splice.handle(NOW, &mut relay, &event);
                while splice.poll_event().is_some() {}
            }
        }
    }
    let far_got = far.as_ref().map_or(0, |far| far.got);
    opt_out(|| drop((far.take(), std::mem::take(&mut first), out, answers, std::mem::take(&mut wire.ready))));
    assert_eq!(far_got, total);
}

#[test]
fn a_session_that_is_relayed_stays_within_64_kib() {
    let total = octets();
    for (total, chunk) in [(total, 100_000), (total, total), (total.min(100_000), 1000), (100_000, 10)] {
        let used = measure(|| relay(total, chunk));
        eprintln!("{total} octets in chunks of {chunk}, relayed: {} octets at once", used.bytes_max);
        assert!(used.bytes_max <= ALLOWED, "chunks of {chunk}: {} octets at once", used.bytes_max);
    }
}
