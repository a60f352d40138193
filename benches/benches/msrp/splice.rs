//! One message spliced to many legs, beside copying it as often: the same blocks, to as many buffers of the same size.

use crate::pair::{info, now, session};
use bytes::Bytes;
use cpm_base::{FlowId, Seed};
use cpm_msrp::{
    Answering, Config, Endpoint, Event, Leg, Limits, Mapping, MsrpUri, Overlap, Role, SessionConfig,
    SessionId, SessionOptions, Splice, SpliceOptions,
};
use std::hint::black_box;

/// What is read at once, and what is written to a leg at once.
const READ: usize = 16 * 1024;
const WRITE: usize = 2 * READ;

/// Where the octets of each leg go.
fn destinations(legs: usize) -> Vec<Vec<u8>> {
    // Written once, so that no page is met for the first time later.
    (0..legs).map(|_| vec![1; WRITE]).collect()
}

pub fn report(octets: usize, legs: usize, rounds: usize) {
    let body = crate::body(octets);
    let (mut ours, mut bare) = (f64::MAX, f64::MAX);
    for _ in 0..rounds {
        ours = ours.min(spliced(&body, legs));
        bare = bare.min(copied(&body, legs));
    }
    let rate = |time: f64| (octets * legs) as f64 / time / 1e6;
    println!(
        "  spliced to {legs:>3} legs: {:.0} MB/s out, copies alone {:.0} MB/s, {:.2} of it",
        rate(ours),
        rate(bare),
        bare / ours
    );
}

/// Seconds of copying: each block as it was read to every leg's buffer.
fn copied(body: &[u8], legs: usize) -> f64 {
    let mut out = destinations(legs);
    crate::seconds(|| {
        for part in body.chunks(READ) {
            for out in &mut out {
                out.clear();
                out.extend_from_slice(black_box(part));
                black_box(&*out);
            }
        }
    })
}

/// A passive session that has had its first request; its paths as a peer writes them.
fn bound(relay: &mut Endpoint, number: u64) -> (SessionId, String) {
    let local = relay.new_local_uri("192.0.2.1", 2855, false);
    let remote = MsrpUri::parse(&format!("msrp://192.0.2.2:9/peerpeerpeer{number:08};tcp")).expect("a URI");
    let config = SessionConfig { max_chunk: None, ..session(&local, &remote, Role::Passive) };
    let id = relay.open_session(now(), config).expect("a session");
    let paths = format!("To-Path: {local}\r\nFrom-Path: {remote}\r\n");
    relay.handle_accepted(now(), FlowId(number), info());
    let first = format!(
        "MSRP bind1234 SEND\r\n{paths}Message-ID: first\r\nByte-Range: 1-0/0\r\n-------bind1234$\r\n"
    );
    relay.handle_stream(now(), FlowId(number), first.into());
    relay.poll_transmit(now(), FlowId(number), READ, &mut Vec::new());
    while relay.poll_action().is_some() {}
    (id, paths)
}

/// Seconds from the first octet in to the last out; the legs answer nothing.
fn spliced(body: &Bytes, legs: usize) -> f64 {
    let limits = Limits { window: 1 << 32, ..Limits::default() };
    let mut relay = Endpoint::new(Config { limits, seed: Seed::new([1; 32]) }).expect("limits");
    let (incoming, paths) = bound(&mut relay, 0);
    let outgoing: Vec<SessionId> = (1..=legs).map(|number| bound(&mut relay, number as u64).0).collect();
    let mut options = SessionOptions::answering(Answering::ReleasedWithoutReports);
    options.overlap = Overlap::FirstStands;
    relay.set_options(incoming, options);
    let head = format!(
        "MSRP abcd1234 SEND\r\n{paths}Message-ID: message\r\nByte-Range: 1-*/{}\r\nContent-Type: message/cpim\r\n\r\n",
        body.len()
    );
    let wire = [head.as_bytes(), body, b"\r\n-------abcd1234$\r\n"].concat();
    let mut splice: Option<Splice> = None;
    let (mut written, mut out) = (0, destinations(legs + 1));
    let time = crate::seconds(|| {
        for part in wire.chunks(READ) {
            relay.handle_stream(now(), FlowId(0), Bytes::copy_from_slice(part));
            loop {
                let mut busy = false;
                while let Some(action) = relay.poll_action() {
                    busy = true;
                    let cpm_msrp::Action::Event(event) = action else { continue };
                    if let Event::Incoming { session, transfer, head, .. } = &event {
                        let options = SpliceOptions { mapping: Mapping::Each, ..SpliceOptions::default() };
                        let mut new = Splice::new(*session, *transfer, head, options).expect("options");
                        for session in &outgoing {
                            let leg = Leg { session: *session, message_id: None, head: None, lag: None };
                            new.add_leg(now(), &mut relay, leg).expect("a leg");
                        }
                        splice = Some(new);
                    } else if let Some(splice) = &mut splice {
                        splice.handle(now(), &mut relay, &event);
                        while splice.poll_event().is_some() {}
                    }
                }
                for (number, out) in out.iter_mut().enumerate() {
                    out.clear();
                    let count = relay.poll_transmit(now(), FlowId(number as u64), WRITE, out);
                    busy |= count > 0;
                    written += if number > 0 { count } else { 0 };
                }
                if !busy {
                    break;
                }
            }
        }
    });
    let sent = written >= legs * body.len().min(2_000_000);
    assert!(sent, "{written} octets went out");
    time
}
