//! MSRP over loopback TCP: two nodes on the tokio host, beside a plain copy loop with the same buffer in the same run.
//!
//! `cargo bench -p cpm-benches --bench loopback`. The copy loop writes the octets in blocks of the host's write buffer and
//! reads them into one of its read buffer. Rounds take turns, the best of each stands.

use bytes::Bytes;
use cpm_base::{Instant, Now, Seed, Transport};
use cpm_core::{Function, Input, Node, NodeConfig, Ports};
use cpm_host::{Clock, HostConfig, Limits, Listen, OpenPolicy, Running, Sockets, start};
use cpm_msrp::{
    Answering, Body, Event, FailureReport, Matching, MsrpUri, Outgoing, Role, SessionConfig, SessionOptions,
};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OCTETS: usize = 100_000_000;
const ROUNDS: usize = 21;
const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn main() {
    // `cargo test --benches` asks for a look only.
    let look = std::env::args().any(|argument| argument == "--test");
    let (octets, rounds) = if look { (1_000_000, 1) } else { (OCTETS, ROUNDS) };
    // `-- ours` and `-- copy` run one of them alone, for a profiler.
    let named = |name: &str| std::env::args().any(|argument| argument == name);
    let body = Bytes::from((0..octets).map(|n| (n * 31 % 251) as u8).collect::<Vec<u8>>());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let limits = Limits::default();
    println!(
        "{octets} octets over loopback, written by {} and read by {} at most, {rounds} rounds",
        limits.write_block, limits.read_block
    );
    for chunk in [1 << 20, 100_000, 10_000] {
        let (mut ours, mut bare) = (Best::new(), Best::new());
        for _ in 0..rounds {
            if !named("copy") {
                ours.round(|| runtime.block_on(hosted(body.clone(), chunk)));
            }
            if !named("ours") {
                bare.round(|| runtime.block_on(copied(body.clone())));
            }
        }
        let rate = |time: f64| octets as f64 / time / 1e6;
        println!(
            "  chunks of {chunk:>7}: {:>6.0} MB/s, copy loop {:>6.0} MB/s, {:.2} of it; by processor time {:.2}",
            rate(ours.time),
            rate(bare.time),
            bare.time / ours.time,
            bare.processor / ours.processor
        );
    }
}

/// The best of some rounds: seconds of the clock, and of the processors (all threads), which others who run on this
/// machine distort less.
struct Best {
    time: f64,
    processor: f64,
}

impl Best {
    fn new() -> Best {
        Best { time: f64::MAX, processor: f64::MAX }
    }

    fn round(&mut self, run: impl FnOnce() -> f64) {
        let before = processor_time();
        self.time = self.time.min(run());
        self.processor = self.processor.min(processor_time() - before);
    }
}

/// Seconds of all threads; not a number where the system does not tell.
fn processor_time() -> f64 {
    let of = |task: std::fs::DirEntry| {
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        times.split(' ').next()?.parse::<f64>().ok()
    };
    // What ran since the last tick is counted when the scheduler looks.
    std::thread::yield_now();
    match std::fs::read_dir("/proc/self/task") {
        Ok(tasks) => tasks.filter_map(|task| of(task.ok()?)).sum::<f64>() / 1e9,
        Err(_) => f64::NAN,
    }
}

/// Octets in blocks from one socket to another.
async fn copied(body: Bytes) -> f64 {
    let listener = TcpListener::bind(HERE).await.unwrap();
    let to = listener.local_addr().unwrap();
    let limits = Limits::default();
    let length = body.len();
    let began = std::time::Instant::now();
    let sender = tokio::spawn(async move {
        let mut socket = TcpStream::connect(to).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut block = Vec::with_capacity(limits.write_block);
        for part in body.chunks(limits.write_block) {
            block.clear();
            block.extend_from_slice(part);
            socket.write_all(&block).await.unwrap();
        }
    });
    let receiver = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (mut block, mut sum) = (vec![0; limits.read_block], 0);
        loop {
            match socket.read(&mut block).await.unwrap() {
                0 => return sum,
                count => sum += count,
            }
        }
    });
    sender.await.unwrap();
    assert_eq!(receiver.await.unwrap(), length);
    began.elapsed().as_secs_f64()
}

/// Tells when a message is through, in or out, and how long it was.
#[derive(Default)]
struct Counter {
    sum: u64,
}

impl Function for Counter {
    type Event = u64;

    fn handle(&mut self, _now: Now, input: Input, ports: &mut Ports<'_, u64>) {
        match input {
            Input::Msrp(Event::Data { bytes, .. }) => self.sum += bytes.len() as u64,
            Input::Msrp(Event::ChunkEnd { complete: Some(length), .. }) => {
                assert_eq!(self.sum, length);
                ports.host.event(length);
            }
            Input::Msrp(Event::Sent { .. }) => ports.host.event(0),
            _ => {}
        }
    }

    fn handle_timeout(&mut self, _now: Now, _ports: &mut Ports<'_, u64>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

fn run(seed: u8, sockets: Sockets) -> Running<Counter> {
    let config = NodeConfig::user_agent(Seed::new([seed; 32]), "bench");
    let mut host = HostConfig::new(Clock::start());
    host.open_policy = OpenPolicy::laboratory();
    start(Node::new(Counter::default(), config).unwrap(), sockets, host).unwrap()
}

async fn uri(running: &Running<Counter>, port: u16) -> MsrpUri {
    running
        .handle
        .command(move |_, _, ports| ports.msrp.new_local_uri("127.0.0.1", port, false))
        .await
        .unwrap()
}

/// One message between two nodes, to the last response.
async fn hosted(body: Bytes, chunk: u64) -> f64 {
    let sockets = Sockets::bind(&[Listen::Msrp(HERE)]).unwrap();
    let there = sockets.msrp().next().unwrap();
    let (mut bob, mut alice) = (run(1, sockets), run(2, Sockets::default()));
    let (uri_a, uri_b) = (uri(&alice, 9).await, uri(&bob, there.port()).await);
    let session = |local: &MsrpUri, remote: &MsrpUri, role| SessionConfig {
        local_path: local.clone(),
        remote_path: vec![remote.clone()],
        role,
        matching: Matching::Rfc4975,
        max_chunk: Some(chunk),
        max_message: 1 << 40,
    };
    let passive = session(&uri_b, &uri_a, Role::Passive);
    bob.handle
        .command(move |now, _, ports| {
            let session = ports.msrp.open_session(now, passive).unwrap();
            ports.msrp.set_options(session, SessionOptions::answering(Answering::AtOnce));
        })
        .await
        .unwrap();
    let length = body.len() as u64;
    let active = session(&uri_a, &uri_b, Role::Active(there, Transport::Tcp));
    let began = std::time::Instant::now();
    alice
        .handle
        .command(move |now, _, ports| {
            let session = ports.msrp.open_session(now, active).unwrap();
            let outgoing = Outgoing {
                message_id: None,
                content_type: "application/octet-stream".into(),
                body: Body::Octets(body),
                success_report: false,
                failure_report: FailureReport::Yes,
            };
            ports.msrp.send(now, session, outgoing).unwrap();
        })
        .await
        .unwrap();
    assert_eq!(bob.events.recv().await, Some(length));
    assert_eq!(alice.events.recv().await, Some(0));
    let time = began.elapsed().as_secs_f64();
    alice.stop().await.unwrap();
    bob.stop().await.unwrap();
    time
}
