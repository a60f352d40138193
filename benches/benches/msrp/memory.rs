//! What a session holds, by a counting allocator.

use crate::pair::{Pair, endpoint, info, now, session, there};
use allocation_counter::measure;
use cpm_base::FlowId;
use cpm_msrp::{Action, Role};

pub fn report(sessions: usize) {
    let mut keep = Vec::with_capacity(sessions);
    let idle = measure(|| keep.extend((0..sessions).map(|_| Pair::bound(None)))).bytes_current;
    let endpoints = std::mem::size_of::<Pair>() as i64;
    println!(
        "  idle session on a connection of its own, both ends with their endpoints: {} octets, and {endpoints} of the endpoints themselves",
        idle / sessions as i64
    );
    drop(keep);
    let shared = many_on_one_endpoint(sessions);
    println!("  idle session on a connection of its own, many in an endpoint: {shared} octets an end");
}

/// Two endpoints with many sessions, each on its connection: octets per session and end.
fn many_on_one_endpoint(sessions: usize) -> i64 {
    let (mut alice, mut bob) = (endpoint(1), endpoint(2));
    let used = measure(|| {
        for number in 0..sessions {
            let uris =
                [alice.new_local_uri("192.0.2.1", 2855, false), bob.new_local_uri("192.0.2.2", 2855, false)];
            let config = cpm_msrp::SessionConfig {
                matching: cpm_msrp::Matching::Cema,
                ..session(&uris[0], &uris[1], there())
            };
            alice.open_session(now(), config).expect("a session");
            bob.open_session(now(), session(&uris[1], &uris[0], Role::Passive)).expect("a session");
            let Some(Action::Open(open, _)) = alice.poll_action() else { panic!("no connection is wanted") };
            let flow = FlowId(number as u64 + 1);
            alice.handle_opened(now(), open, Ok((flow, info())));
            bob.handle_accepted(now(), flow, info());
            for _ in 0..2 {
                let mut wire = Vec::new();
                alice.poll_transmit(now(), flow, 1 << 16, &mut wire);
                bob.handle_stream(now(), flow, wire.into());
                let mut wire = Vec::new();
                bob.poll_transmit(now(), flow, 1 << 16, &mut wire);
                alice.handle_stream(now(), flow, wire.into());
            }
            while alice.poll_action().is_some() {}
            while bob.poll_action().is_some() {}
        }
    });
    used.bytes_current / sessions as i64 / 2
}
