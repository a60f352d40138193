//! SIP messages against the peers of the registry, in one process and in interleaved rounds.
//!
//! `cargo bench -p cpm-benches --bench sip`. Every round times every contender once, so that a change of the machine's
//! speed meets all of them; ratios are minimum against minimum of the same run. The input is one INVITE of CPM
//! (`data/invite.sip`). A contender that cannot do a case is listed with the reason.

mod peers;

use allocation_counter::{measure, opt_out};
use bytes::Bytes;
use peers::Case;
use std::time::Instant;

/// What is read: the session invitation of a CPM client as the CPM Participating Function sees it.
pub const INVITE: &[u8] = include_bytes!("../../data/invite.sip");

const ROUNDS: usize = 400;
/// A timed piece lasts about this long: much more than the clock's grain, much less than a time slice of the system.
const PIECE_NANOSECONDS: f64 = 40_000.0;

struct Measured {
    name: &'static str,
    minimum: f64,
    median: f64,
    allocations: u64,
    bytes: u64,
}

fn main() {
    // `cargo test --benches` asks for a look only.
    let look = std::env::args().any(|argument| argument == "--test");
    let rounds = if look { 1 } else { ROUNDS };
    // `-- "parse: cpm-sip"` runs what has this text in its title and name alone, for a profiler.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let message = Bytes::copy_from_slice(INVITE);
    // Two owners, as when a datagram is cut out of a receive buffer.
    let message = (message.clone(), message).0;
    let head = memchr::memmem::find(INVITE, b"\r\n\r\n").map_or(INVITE.len(), |at| at + 4);
    let fields = INVITE[..head].iter().filter(|octet| **octet == b'\n').count() - 2;
    println!("INVITE: {} octets, {fields} header fields, body {}", INVITE.len(), INVITE.len() - head);
    for (title, cases) in peers::all(&message) {
        println!("\n{title}");
        let mut able = Vec::new();
        for case in cases {
            match case {
                Case::Runs(name, run) if format!("{title}: {name}").contains(&wanted) => {
                    able.push((name, run))
                }
                Case::Runs(..) => {}
                Case::Cannot(name, why) => println!("  {name:<34} cannot: {why}"),
            }
        }
        print_table(&race(able, rounds));
    }
}

type Contender = (&'static str, Box<dyn FnMut()>);

fn race(contenders: Vec<Contender>, rounds: usize) -> Vec<Measured> {
    let mut prepared: Vec<_> = contenders
        .into_iter()
        .map(|(name, mut run)| {
            let info = measure(&mut *run);
            let mut turns = 1;
            opt_out(|| turns = calibrate(&mut run));
            (name, run, turns, info, Vec::with_capacity(rounds))
        })
        .collect();
    for _ in 0..rounds {
        for (_, run, turns, _, times) in &mut prepared {
            opt_out(|| {
                let begin = Instant::now();
                for _ in 0..*turns {
                    run();
                }
                times.push(begin.elapsed().as_nanos() as f64 / *turns as f64);
            });
        }
    }
    let measured = prepared.into_iter().map(|(name, _, _, info, mut times)| {
        times.sort_by(f64::total_cmp);
        Measured {
            name,
            minimum: times[0],
            median: times[times.len() / 2],
            allocations: info.count_total,
            bytes: info.bytes_total,
        }
    });
    measured.collect()
}

/// How many turns a timed piece takes.
fn calibrate(run: &mut Box<dyn FnMut()>) -> usize {
    for _ in 0..64 {
        run();
    }
    let begin = Instant::now();
    for _ in 0..64 {
        run();
    }
    let one = begin.elapsed().as_nanos() as f64 / 64.0;
    ((PIECE_NANOSECONDS / one.max(1.0)) as usize).clamp(1, 20_000)
}

/// The first contender is ours: ratios say how many much of their time we take.
fn print_table(measured: &[Measured]) {
    let Some(ours) = measured.first().map(|m| m.minimum) else { return };
    println!(
        "  {:<34} {:>9} {:>9} {:>11} {:>7} {:>8}",
        "", "min ns", "median", "ours/theirs", "allocs", "octets"
    );
    for m in measured {
        println!(
            "  {:<34} {:>9.0} {:>9.0} {:>11.2} {:>7} {:>8}",
            m.name,
            m.minimum,
            m.median,
            ours / m.minimum,
            m.allocations,
            m.bytes
        );
    }
}
