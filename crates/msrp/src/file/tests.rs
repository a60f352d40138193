#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use super::*;
use crate::Config;
use crate::event::{Action, Matching, Outgoing, Role, SendFailure, SessionConfig, SessionId};
use crate::limits::Limits;
use crate::values::FailureReport;
use alloc::vec;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Protocol, Seed, Transport, Trust};
use proptest::prelude::*;

const NOW: Now = Now { mono: Instant::ZERO, wall: DateTime::UNIX_EPOCH };
const FLOW: FlowId = FlowId(1);

/// Two endpoints with their hosts' disks.
struct Transfer {
    ends: [Endpoint; 2],
    session: SessionId,
    source: FileSource,
    sink: Option<FileSink>,
    options: FileSinkOptions,
    sent: Vec<u8>,
    disk: Vec<u8>,
    /// How many octets the disk reads at a time.
    read_most: usize,
    failure: Option<(Option<Status>, SendFailure)>,
    done: bool,
    told: Vec<FileEvent>,
    most_asked: u64,
    /// The disk does nothing.
    stuck: bool,
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    Sha256::digest(octets).to_vec()
}

fn options(file: &[u8]) -> FileSinkOptions {
    FileSinkOptions {
        size: Some(file.len() as u64),
        start: 0,
        hash: HashKind::Sha256,
        expected: Some(sha256(file)),
    }
}

impl Transfer {
    fn new(file: &[u8], from: u64, options: FileSinkOptions) -> Transfer {
        let mut ends = [1u8, 2].map(|seed| {
            Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([seed; 32]) }).unwrap()
        });
        let uris = [0, 1].map(|i: usize| ends[i].new_local_uri("192.0.2.1", 2855, false));
        let config = |own: usize, role| SessionConfig {
            local_path: uris[own].clone(),
            remote_path: vec![uris[1 - own].clone()],
            role,
            matching: Matching::Rfc4975,
            max_chunk: Some(10_000),
            max_message: 1 << 30,
        };
        let there = Role::Active("192.0.2.1:2855".parse().unwrap(), Transport::Tcp);
        let session = ends[0].open_session(NOW, config(0, there)).unwrap();
        ends[1].open_session(NOW, config(1, Role::Passive)).unwrap();
        let Some(Action::Open(open, _)) = ends[0].poll_action() else { panic!() };
        let info = FlowInfo {
            protocol: Protocol::Msrp,
            transport: Transport::Tcp,
            local: "192.0.2.1:2855".parse().unwrap(),
            peer: "192.0.2.2:2855".parse().unwrap(),
            secure_identity: None,
            trust: Trust::Outside,
        };
        ends[0].handle_opened(NOW, open, Ok((FLOW, info.clone())));
        ends[1].handle_accepted(NOW, FLOW, info);
        let mut source = FileSource::new(from, file.len() as u64).unwrap();
        let outgoing = Outgoing {
            message_id: None,
            content_type: "image/jpeg".into(),
            body: source.body(),
            success_report: false,
            failure_report: FailureReport::Yes,
        };
        source.attach(ends[0].send(NOW, session, outgoing).unwrap());
        let disk = file[..options.start as usize].to_vec();
        Transfer {
            ends,
            session,
            source,
            sink: None,
            options,
            sent: file.to_vec(),
            disk,
            read_most: usize::MAX,
            failure: None,
            done: false,
            told: Vec::new(),
            most_asked: 0,
            stuck: false,
        }
    }

    fn step(&mut self) -> bool {
        let mut busy = false;
        for from in [0, 1] {
            let mut wire = Vec::new();
            if self.ends[1 - from].wants_read(FLOW)
                && self.ends[from].poll_transmit(NOW, FLOW, 1500, &mut wire) > 0
            {
                busy = true;
                self.ends[1 - from].handle_stream(NOW, FLOW, wire.into());
            }
        }
        while let Some(action) = self.ends[0].poll_action() {
            busy = true;
            match action {
                Action::Event(Event::Sent { .. }) => self.done = true,
                Action::Event(Event::SendFailed { status, why, .. }) => self.failure = Some((status, why)),
                Action::Event(event) => {
                    self.source.handle(&event);
                }
                _ => {}
            }
        }
        while let Some(FileQuery::Read { offset, max }) = self.source.poll_query() {
            self.most_asked = self.most_asked.max(max);
            let count = (max as usize).min(self.read_most);
            let octets = self
                .sent
                .get(offset as usize..)
                .map(|rest| Bytes::copy_from_slice(&rest[..count.min(rest.len())]));
            self.source.read(NOW, &mut self.ends[0], octets);
        }
        while let Some(action) = self.ends[1].poll_action() {
            busy = true;
            let Action::Event(event) = action else { continue };
            if let Event::Incoming { transfer, .. } = &event {
                self.sink = Some(FileSink::new(*transfer, self.options.clone()));
            }
            if let Some(sink) = &mut self.sink {
                sink.handle(NOW, &mut self.ends[1], &event);
            }
        }
        self.disk_works();
        busy
    }

    fn disk_works(&mut self) {
        let Some(sink) = self.sink.as_mut().filter(|_| !self.stuck) else { return };
        while let Some(query) = sink.poll_query() {
            match query {
                FileQuery::Write { offset, octets } => {
                    let end = offset as usize + octets.len();
                    self.disk.resize(self.disk.len().max(end), 0);
                    self.disk[offset as usize..end].copy_from_slice(&octets);
                    sink.written(NOW, &mut self.ends[1], offset, true);
                }
                FileQuery::Read { offset, max } => {
                    let count = (max as usize).min(self.read_most);
                    let octets = Bytes::copy_from_slice(&self.disk[offset as usize..][..count]);
                    sink.read(NOW, &mut self.ends[1], Some(octets));
                }
            }
        }
        self.told.extend(core::iter::from_fn(|| sink.poll_event()));
    }

    fn run(&mut self) {
        while self.step() || self.step() {}
    }
}

#[test]
fn a_file_goes_by_ranges_and_is_whole() {
    for (length, read_most) in [(1, 9), (2048, 1000), (100_000, 777), (3_000_000, usize::MAX)] {
        let file = content(length);
        let mut transfer = Transfer::new(&file, 0, options(&file));
        transfer.read_most = read_most;
        transfer.run();
        assert!(transfer.disk == file && transfer.done);
        assert_eq!(transfer.told, [FileEvent::Complete { size: length as u64, hash: sha256(&file) }]);
        assert!(transfer.most_asked <= Limits::default().source);
    }
}

#[test]
fn an_interrupted_file_goes_on_where_it_ended() {
    let file = content(500_000);
    let mut first = Transfer::new(&file, 0, options(&file));
    for _ in 0..150 {
        first.step();
    }
    let session = first.session;
    first.ends[0].close_session(NOW, session);
    first.run();
    first.ends[1].handle_closed(NOW, FLOW, cpm_base::CloseReason::PeerClosed);
    first.run();
    let [FileEvent::Incomplete { there }] = first.told[..] else { panic!("{:?}", first.told) };
    assert!(there > 100_000 && there < 500_000 && first.disk[..there as usize] == file[..there as usize]);

    let known = FileIdentity { size: 500_000, hash: Some(sha256(&file)), transfer_id: Some("abc".into()) };
    let start = resume_at(&known, &known, there);
    assert_eq!(start, there);
    let mut second = Transfer::new(&file, start, FileSinkOptions { start, ..options(&file) });
    second.run();
    assert_eq!(second.told, [FileEvent::Complete { size: 500_000, hash: sha256(&file) }]);
    assert!(second.disk == file);
}

/// Threat H4: it may be interrupted again and again.
#[test]
fn a_file_goes_on_however_often_it_is_interrupted() {
    let file = content(400_000);
    let known = FileIdentity { size: 400_000, hash: Some(sha256(&file)), transfer_id: None };
    let (mut disk, mut there, mut parts) = (Vec::new(), 0, 0);
    loop {
        let start = resume_at(&known, &known, there);
        assert_eq!(start, there);
        let mut part = Transfer::new(&file, start, FileSinkOptions { start, ..options(&file) });
        part.disk = core::mem::take(&mut disk);
        parts += 1;
        for _ in 0..70 {
            part.step();
        }
        if !part.done {
            let session = part.session;
            part.ends[0].close_session(NOW, session);
            part.run();
            part.ends[1].handle_closed(NOW, FLOW, cpm_base::CloseReason::PeerClosed);
        }
        part.run();
        disk = part.disk;
        match part.told[..] {
            [FileEvent::Incomplete { there: now }] if now > there => there = now,
            [FileEvent::Complete { size: 400_000, .. }] => break,
            _ => panic!("{:?}", part.told),
        }
    }
    assert!(parts > 3 && disk == file, "{parts}");
}

/// Threat H4.
#[test]
fn only_the_same_file_is_resumed() {
    let id = |size, hash: Option<u8>, transfer: Option<&str>| FileIdentity {
        size,
        hash: hash.map(|octet| vec![octet; 20]),
        transfer_id: transfer.map(String::from),
    };
    let known = id(100, Some(1), Some("t"));
    assert_eq!(resume_at(&known, &id(100, Some(1), Some("other")), 40), 40);
    assert_eq!(resume_at(&known, &id(100, Some(2), Some("t")), 40), 0);
    assert_eq!(resume_at(&known, &id(101, Some(1), Some("t")), 40), 0);
    assert_eq!(resume_at(&known, &id(100, None, Some("t")), 40), 0);
    assert_eq!(resume_at(&known, &id(100, Some(1), Some("t")), 101), 0);
    assert_eq!(resume_at(&id(9, None, Some("t")), &id(9, None, Some("t")), 4), 4);
    assert_eq!(resume_at(&id(9, None, Some("t")), &id(9, None, Some("u")), 4), 0);
    assert_eq!(resume_at(&id(9, None, None), &id(9, None, None), 4), 0);
}

/// Threat H2.
#[test]
fn a_wrong_size_is_noticed() {
    let file = content(50_000);
    let mut longer = Transfer::new(&file, 0, FileSinkOptions { size: Some(20_000), ..options(&file) });
    longer.run();
    assert_eq!(longer.told, [FileEvent::TooLong]);
    assert_eq!(longer.failure, Some((Some(Status::STOP), SendFailure::Refused)));
    assert!(longer.disk.len() <= 20_000);
    let mut shorter = Transfer::new(&file, 0, FileSinkOptions { size: Some(60_000), ..options(&file) });
    shorter.run();
    assert_eq!(shorter.told, [FileEvent::Incomplete { there: 50_000 }]);
}

/// Threat H3.
#[test]
fn a_wrong_hash_is_no_success() {
    let file = content(50_000);
    let mut transfer =
        Transfer::new(&file, 0, FileSinkOptions { expected: Some(vec![0; 32]), ..options(&file) });
    transfer.run();
    assert_eq!(transfer.told, [FileEvent::Corrupt { hash: sha256(&file) }]);
    assert!(!transfer.done && transfer.failure.is_some());
}

/// Threat B11: a disk that is slow holds the sender back, and nothing is answered that is not written.
#[test]
fn nothing_is_answered_before_it_is_on_the_disk() {
    let file = content(200_000);
    let mut transfer = Transfer::new(&file, 0, options(&file));
    transfer.stuck = true;
    transfer.run();
    assert!(!transfer.ends[1].wants_read(FLOW));
    let sink = transfer.sink.as_ref().unwrap();
    assert!(sink.unwritten > UNWRITTEN && sink.unwritten <= 2 * UNWRITTEN, "{}", sink.unwritten);
    // Its first chunk ended long ago.
    assert!(!sink.chunks.is_empty());
    assert_eq!(transfer.ends[0].metrics().get("msrp.responses_in"), 1, "that of the first request alone");
    transfer.stuck = false;
    transfer.disk_works();
    assert!(transfer.ends[1].wants_read(FLOW));
    transfer.run();
    assert!(transfer.disk == file && transfer.done);
}

/// Threat H3: what was hashed cannot be written over, before it is on the disk or later, and what comes twice holds
/// nothing up.
#[test]
fn octets_that_come_twice_change_nothing() {
    let file = content(300);
    let mut endpoint = Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([1; 32]) }).unwrap();
    for late in [false, true] {
        let mut sink = FileSink::new(IncomingId(1), options(&file));
        let mut disk = vec![0; 300];
        let mut works = |sink: &mut FileSink, endpoint: &mut Endpoint| {
            while let Some(query) = sink.poll_query() {
                let FileQuery::Write { offset, octets } = query else { panic!("it came in order") };
                disk[offset as usize..][..octets.len()].copy_from_slice(&octets);
                sink.written(NOW, endpoint, offset, true);
            }
        };
        for (offset, octets) in
            [(0usize, &file[..100]), (0, &[b'!'; 100]), (50, &[b'?'; 30]), (100, &file[100..])]
        {
            let bytes = Bytes::copy_from_slice(octets);
            let data = Event::Data { transfer: IncomingId(1), offset: offset as u64, bytes };
            sink.handle(NOW, &mut endpoint, &data);
            if late {
                works(&mut sink, &mut endpoint);
            }
        }
        works(&mut sink, &mut endpoint);
        assert_eq!((sink.unwritten, sink.paused), (0, false));
        let (chunk, last) = (ChunkId(1), crate::ContinuationFlag::End);
        let end =
            Event::ChunkEnd { transfer: IncomingId(1), chunk, range: (0, 300), last, complete: Some(300) };
        sink.handle(NOW, &mut endpoint, &end);
        assert_eq!(sink.poll_event(), Some(FileEvent::Complete { size: 300, hash: sha256(&file) }));
        assert!(disk == file);
    }
}

#[test]
fn a_disk_that_fails_ends_the_transfer() {
    let file = content(50_000);
    let mut transfer = Transfer::new(&file, 0, options(&file));
    transfer.sent.truncate(40_000);
    transfer.run();
    assert_eq!(transfer.failure, Some((None, SendFailure::Aborted)));
    let [FileEvent::Incomplete { there }] = transfer.told[..] else { panic!("{:?}", transfer.told) };
    assert!(there <= 40_000 && transfer.disk[..] == file[..there as usize]);
    let mut endpoint = Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([1; 32]) }).unwrap();
    let mut sink = FileSink::new(IncomingId(1), options(&file));
    let data = Event::Data { transfer: IncomingId(1), offset: 0, bytes: Bytes::from_static(b"abc") };
    assert!(sink.handle(NOW, &mut endpoint, &data));
    sink.written(NOW, &mut endpoint, 0, false);
    assert_eq!(sink.poll_event(), Some(FileEvent::Failed));
}

proptest! {
    /// Whatever the order in which octets come, and however the disk reads: the hash is that of the file.
    #[test]
    fn the_hash_does_not_depend_on_the_order(
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..20),
        start in 0usize..100,
        read_most in 1usize..50,
        sha1 in any::<bool>(),
    ) {
        let file = content(400);
        let mut endpoint = Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([1; 32]) }).unwrap();
        let kind = if sha1 { HashKind::Sha1 } else { HashKind::Sha256 };
        let expected = if sha1 { Sha1::digest(&file).to_vec() } else { sha256(&file) };
        let mut sink = FileSink::new(IncomingId(1), FileSinkOptions {
            size: Some(400), start: start as u64, hash: kind, expected: Some(expected.clone()),
        });
        let mut pieces: Vec<usize> = (0..(400 - start).div_ceil(37)).collect();
        for index in order {
            let (a, b) = (index.index(pieces.len()), 0);
            pieces.swap(a, b);
        }
        for piece in pieces {
            let from = start + piece * 37;
            let bytes = Bytes::copy_from_slice(&file[from..(from + 37).min(400)]);
            let data = Event::Data { transfer: IncomingId(1), offset: (from - start) as u64, bytes };
            sink.handle(NOW, &mut endpoint, &data);
        }
        let end = Event::ChunkEnd {
            transfer: IncomingId(1),
            chunk: ChunkId(1),
            range: (0, (400 - start) as u64),
            last: crate::ContinuationFlag::End,
            complete: Some((400 - start) as u64),
        };
        sink.handle(NOW, &mut endpoint, &end);
        while let Some(query) = sink.poll_query() {
            match query {
                FileQuery::Write { offset, .. } => sink.written(NOW, &mut endpoint, offset, true),
                FileQuery::Read { offset, max } => {
                    let count = (max as usize).min(read_most);
                    let octets = Bytes::copy_from_slice(&file[offset as usize..][..count]);
                    sink.read(NOW, &mut endpoint, Some(octets));
                }
            }
        }
        prop_assert_eq!(sink.poll_event(), Some(FileEvent::Complete { size: 400, hash: expected }));
    }
}
