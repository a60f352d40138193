//! Contenders in one process and in interleaved rounds: every round times every contender once, so that a change of the
//! machine's speed meets all of them; ratios are minimum against minimum of the same run.

use allocation_counter::{measure, opt_out};
use std::time::Instant;

pub const ROUNDS: usize = 400;
/// A timed piece lasts about this long: much more than the clock's grain, much less than a time slice of the system.
const PIECE_NANOSECONDS: f64 = 40_000.0;

pub struct Measured {
    name: &'static str,
    minimum: f64,
    median: f64,
    allocations: u64,
    bytes: u64,
}

pub type Contender = (&'static str, Box<dyn FnMut()>);

pub fn race(contenders: Vec<Contender>, rounds: usize) -> Vec<Measured> {
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
pub fn print_table(measured: &[Measured]) {
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
