//! Many transactions over a bad network.

use super::net::*;
use crate::*;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::RefCell;
use core::time::Duration;
use cpm_sip::{CallId, Response, StatusCode};

/// What is told of each Call-ID: how often it was handled, and its outcomes.
type Told = Rc<RefCell<BTreeMap<String, (u32, u32)>>>;

/// That many MESSAGE transactions, 10 % of all datagrams lost and 5 % doubled; says what became of them, and a hash over all
/// that crossed the network.
fn many(count: u32, seed: u64) -> (Told, u64) {
    let mut net = Net::new([config(1), config(2)]);
    let mut state = seed;
    net.rule = Box::new(move |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (state >> 33) % 100 {
            0..10 => Fate::Lost,
            10..15 => Fate::Twice,
            _ => Fate::Arrives,
        }
    });
    let told: Told = Rc::default();
    let (handled, ended) = (told.clone(), told.clone());
    let call_id = |response: &cpm_sip::Headers| {
        let id = response.typed::<CallId>().unwrap().unwrap();
        String::from(id.as_str())
    };
    net.script(1, move |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            handled.borrow_mut().entry(call_id(request.headers())).or_default().0 += 1;
            ua.respond(now, *id, Response::for_request(request, StatusCode::OK)).unwrap();
        }
    });
    net.script(0, move |_, _, event| match event {
        Event::Response { response, .. } if response.status() == StatusCode::OK => {
            ended.borrow_mut().entry(call_id(response.headers())).or_default().1 += 1;
        }
        Event::Response { .. } | Event::TransactionFailed { .. } => panic!("{event:?}"),
        _ => {}
    });
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut most = 0;
    for n in 0..count {
        let id = CallId::new(&alloc::format!("load-{n}")).unwrap();
        let request = message(1, 2).with_typed(&id);
        net.with(0, |ua, now| ua.send_request(now, request, Destination::Routed)).unwrap();
        net.run(Duration::from_millis(5));
        most = most.max(net.peers[1].ua.holdings().completed);
        for packet in net.wire.drain(..) {
            for octet in packet.bytes.iter() {
                hash = (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        net.peers.iter_mut().for_each(|peer| peer.events.clear());
    }
    // What is kept is what 64*T1 of them leave, however many there are.
    assert!(most <= 6_600, "{most}");
    net.run_to_quiet();
    (told, hash)
}

/// Threats C2 and C5: 20,000 transactions in every run, 1,000,000 with `CPM_TRANSACTIONS=1000000`: none is lost, none is
/// handled twice, and nothing is left of any.
#[test]
#[allow(clippy::disallowed_methods, reason = "how long a test runs is chosen outside")]
fn no_transaction_is_lost_or_handled_twice() {
    let count = std::env::var("CPM_TRANSACTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let (told, _) = many(count, 1);
    let told = told.borrow();
    assert_eq!(told.len(), usize::try_from(count).unwrap());
    assert!(told.values().all(|ends| *ends == (1, 1)));
}

/// The same inputs make the same octets, to the last.
#[test]
fn a_replay_is_identical() {
    let (first, again, other) = (many(300, 7).1, many(300, 7).1, many(300, 8).1);
    assert_eq!(first, again);
    assert_ne!(first, other);
}
