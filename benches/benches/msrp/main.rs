//! MSRP in memory: two endpoints and a host of a few lines, beside a bare pipeline of the same octets in the same run.
//!
//! `cargo bench -p cpm-benches --bench msrp`. The pipeline copies a message into a wire buffer, looks for its end-line
//! and copies it out: what nobody who moves MSRP can leave out. Rounds take turns, the best of each stands.
//! An endpoint does that too, and looks for the end-line a second time: the sender has to know that the body does
//! not hold it (RFC 4975 §7.1).

mod memory;
mod pair;
mod splice;

use bytes::Bytes;
use cpm_msrp::Event;
use memchr::memmem;
use pair::{Pair, READ};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: usize = 7;

fn main() {
    // `cargo test --benches` asks for a look only.
    let look = std::env::args().any(|argument| argument == "--test");
    let (rounds, octets, messages) = if look { (1, 1_000_000, 1000) } else { (ROUNDS, 100_000_000, 200_000) };
    // `-- small`, `-- large` and `-- splice` run one of them alone, for a profiler.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wants = |part: &str| wanted.as_ref().is_none_or(|wanted| wanted == part);
    if wants("large") {
        println!("{octets} octets, send and receive in memory, reads of {READ} octets, {rounds} rounds");
        for chunk in [100_000, 10_000] {
            large(octets, chunk, rounds);
        }
    }
    if wants("small") {
        small(messages, rounds);
    }
    if wants("splice") {
        for legs in [10, 100] {
            splice::report(if look { 100_000 } else { 10_000_000 }, legs, rounds.min(3));
        }
    }
    if wants("memory") {
        memory::report(if look { 10 } else { 1000 });
    }
}

/// Octets of which no two neighbours of a page are equal.
pub fn body(length: usize) -> Bytes {
    let mut state = 0x2545_f491_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Seconds of processor time where the system tells them (this program has one thread, and others may run beside it), else
/// of the clock.
pub fn seconds(run: impl FnOnce()) -> f64 {
    let processor = || {
        // What ran since the last tick is counted when the scheduler looks.
        std::thread::yield_now();
        let times = std::fs::read_to_string("/proc/self/schedstat").ok()?;
        times.split(' ').next()?.parse::<f64>().ok()
    };
    let (begin, before) = (Instant::now(), processor());
    run();
    match before.zip(processor()) {
        Some((before, after)) => (after - before) / 1e9,
        None => begin.elapsed().as_secs_f64(),
    }
}

/// One message in chunks of this size.
fn large(octets: usize, chunk: usize, rounds: usize) {
    let body = body(octets);
    let (mut ours, mut bare) = (f64::MAX, f64::MAX);
    let mut sink = Vec::with_capacity(octets);
    for _ in 0..rounds {
        sink.clear();
        let mut pair = Pair::bound(Some(chunk as u64));
        ours = ours.min(seconds(|| {
            pair.send(body.clone());
            pair.run(|event| {
                if let Event::Data { bytes, .. } = event {
                    sink.extend_from_slice(bytes);
                }
            });
        }));
        assert!(sink == body, "what was sent came in");
        sink.clear();
        bare = bare.min(seconds(|| pipeline(&body, &mut sink)));
    }
    let rate = |time: f64| octets as f64 / time / 1e6;
    println!(
        "  chunks of {chunk:>6}: {:>6.0} MB/s, pipeline {:>6.0} MB/s, {:.2} of it",
        rate(ours),
        rate(bare),
        bare / ours
    );
}

/// Copy in, look for the end-line, copy out.
fn pipeline(body: &[u8], sink: &mut Vec<u8>) {
    let end_line = memmem::Finder::new(b"\r\n-------abcdefghijklmnopq");
    let mut wire = Vec::with_capacity(READ);
    for part in body.chunks(READ) {
        wire.clear();
        wire.extend_from_slice(part);
        let end = black_box(end_line.find(black_box(&wire))).unwrap_or(wire.len());
        sink.extend_from_slice(&wire[..end]);
    }
}

/// Messages of 500 octets, each with its response.
fn small(messages: usize, rounds: usize) {
    let body = body(500);
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let mut pair = Pair::bound(None);
        let mut came = 0;
        best = best.min(seconds(|| {
            for _ in 0..messages / 100 {
                for _ in 0..100 {
                    pair.send(body.clone());
                }
                pair.run(|event| {
                    came += usize::from(matches!(event, Event::ChunkEnd { complete: Some(500), .. }))
                });
            }
        }));
        assert_eq!(came, messages);
    }
    println!("  messages of 500 octets with their responses: {:.0}/s", messages as f64 / best);
}
