//! Properties: replay, garbage, all interleavings, nothing left.

use super::net::*;
use super::scripts::*;
use crate::*;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_sip::{Headers, Method, Response, StatusCode};
use proptest::prelude::*;

/// A fate by number, so that a test case is a seed.
pub(super) fn fates(seed: u64, percent: u64) -> Rule {
    let mut state = seed;
    Box::new(move |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (state >> 33) % 100 {
            n if n < percent => Fate::Lost,
            n if n < 2 * percent => Fate::Twice,
            n if n < 3 * percent => Fate::Late(Duration::from_millis((state >> 40) % 3000)),
            _ => Fate::Arrives,
        }
    })
}

/// Calls and messages between two user agents through a forking proxy, on a bad network.
fn busy_world(seed: u64, percent: u64) -> Net {
    let mut net = Net::new([config(1), proxy_config(2), config(3), config(4)]);
    net.rule = fates(seed, percent);
    net.script(0, caller_that_hangs_up());
    net.script(1, move |ua, now, event| {
        if let Event::Request { id, request, .. } = event {
            if request.headers().contains(&cpm_sip::HeaderName::Route) {
                drop(ua.route_onward(now, *id));
                return;
            }
            let branch = |n| {
                let mut request = request.clone();
                request.set_uri(uri(&alloc::format!("sip:user@{}", address(n))));
                Branch { request, destination: Destination::Routed }
            };
            let options = ProxyOptions {
                record_route: Some(uri("sip:10.0.0.2:5060")),
                hold_final: seed.is_multiple_of(2),
                ..ProxyOptions::default()
            };
            drop(ua.proxy(now, *id, [branch(3), branch(4)].into(), options));
        } else if let Event::ProxyFinal { proxy, response, .. } = event {
            drop(ua.release(now, *proxy, response.clone()));
        }
    });
    net.script(2, polite());
    net.script(3, ringing());
    for n in 0..4 {
        net.with(0, |ua, now| {
            ua.send_request(now, message(1, 2), Destination::Routed).unwrap();
            let call = ua.invite(now, invite(1, 2, Transport::Udp), Destination::Routed).unwrap();
            if n == 3 {
                ua.cancel(now, call).unwrap();
            }
        });
        net.run(Duration::from_millis(70));
    }
    net.run(Duration::from_secs(900));
    net
}

/// P6: the same seed and the same inputs give the same octets at the same times.
#[test]
fn a_run_replays_exactly() {
    for seed in 0..5 {
        let (first, second) = (busy_world(seed, 10), busy_world(seed, 10));
        assert!(first.wire.len() > 30);
        assert!(first.wire == second.wire, "seed {seed}");
        for (a, b) in first.peers.iter().zip(&second.peers) {
            assert_eq!(a.events, b.events);
        }
    }
}

/// P10, and one outcome for everything that was begun: nothing reported twice, nothing forgotten.
#[test]
fn on_a_bad_network_everything_ends_once() {
    for seed in 0..60 {
        let mut net = busy_world(seed, 8);
        let count = |net: &Net, peer: usize, f: &dyn Fn(&Event) -> bool| {
            net.peers[peer].events.iter().filter(|e| f(e)).count()
        };
        let invites = count(&net, 0, &|event| {
            matches!(event, Event::InviteAccepted { .. } | Event::InviteFailed { .. })
        });
        assert_eq!(invites, 4, "seed {seed}");
        let accepted = count(&net, 0, &|event| matches!(event, Event::InviteAccepted { .. }));
        let ended = count(&net, 0, &|event| matches!(event, Event::DialogEnded { .. }));
        assert_eq!(accepted, ended, "seed {seed}");
        let answers = count(&net, 0, &|event| {
            matches!(event, Event::Response { .. } | Event::TransactionFailed { .. })
        });
        assert_eq!(answers, 4 + accepted, "seed {seed}: messages and BYEs");
        let delivered = |peer| {
            count(
                &net,
                peer,
                &|event| matches!(event, Event::Request { request, .. } if *request.method() == Method::Message),
            )
        };
        assert!(delivered(2) <= 4 && delivered(3) <= 4, "seed {seed}: handled twice");
        // What the far side still believes in (its caller's BYE was lost for good) is ended by hand.
        for peer in [2, 3] {
            for dialog in net.peers[peer].ua.dialogs.keys().copied().collect::<Vec<_>>() {
                drop(net.with(peer, |ua, now| ua.bye(now, dialog, Headers::new())));
            }
        }
        net.run_to_quiet();
    }
}

// ---- C8: all interleavings of what can happen to one INVITE on the server's side ------------------------------------

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Invite,
    Cancel,
    Ack,
    Bye,
    Ring,
    Accept,
    Reject,
    Time,
}

const STEPS: [Step; 8] =
    [Step::Invite, Step::Cancel, Step::Ack, Step::Bye, Step::Ring, Step::Accept, Step::Reject, Step::Time];

struct Called {
    ua: Endpoint,
    now: Now,
    pending: Option<(RequestId, cpm_sip::Request)>,
    tag: String,
    finals: Vec<u16>,
    log: Vec<String>,
}

impl Called {
    fn new() -> Called {
        let mut ua = Endpoint::new(Config::user_agent(Seed::new([1; 32]), "")).unwrap();
        let now = Now::new(Instant::from_micros(1), DateTime::UNIX_EPOCH);
        ua.handle_accepted(now, FlowId(1), udp());
        Called { ua, now, pending: None, tag: "none".into(), finals: Vec::new(), log: Vec::new() }
    }

    fn receive(&mut self, method: &str, branch: &str, cseq: u32) {
        let tag =
            if matches!(method, "ACK" | "BYE") { alloc::format!(";tag={}", self.tag) } else { String::new() };
        let text = alloc::format!(
            "{method} sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{branch};rport\r\n\
             From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>{tag}\r\nCall-ID: 1\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:a@10.0.0.1>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        self.ua.handle_datagram(self.now, FlowId(1), Bytes::from(text));
    }

    fn step(&mut self, step: Step) {
        let answer = |status| self.pending.as_ref().map(|(id, r)| (*id, Response::for_request(r, status)));
        match step {
            Step::Invite => self.receive("INVITE", "i", 1),
            Step::Cancel => self.receive("CANCEL", "i", 1),
            Step::Ack => {
                // For a 2xx with a branch of its own, else with that of the INVITE.
                let branch = if self.finals.contains(&200) { "a" } else { "i" };
                self.receive("ACK", branch, 1);
            }
            Step::Bye => self.receive("BYE", "b", 2),
            Step::Time => self.now = self.now.plus(Duration::from_secs(40)),
            Step::Ring => {
                if let Some((id, response)) = answer(StatusCode::RINGING) {
                    drop(self.ua.respond(self.now, id, response));
                }
            }
            Step::Accept => {
                if let Some((id, response)) = answer(StatusCode::OK) {
                    drop(self.ua.accept(self.now, id, response));
                }
            }
            Step::Reject => {
                if let Some((id, response)) = answer(StatusCode::REQUEST_TERMINATED) {
                    drop(self.ua.respond(self.now, id, response));
                }
            }
        }
        while self.ua.next_timeout().is_some_and(|at| at <= self.now.mono) {
            self.ua.handle_timeout(self.now);
        }
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(action) = self.ua.poll_action() {
            match action {
                Action::Event(Event::Request { id, request, .. }) if *request.method() == Method::Invite => {
                    assert!(self.pending.is_none() || self.now.mono > Instant::from_micros(30_000_000));
                    self.pending = Some((id, request));
                    self.log.push("invite".into());
                }
                Action::Event(Event::Request { id, request, .. }) => {
                    self.log.push(alloc::format!("{}", request.method()));
                    let response = Response::for_request(&request, StatusCode::OK);
                    self.ua.respond(self.now, id, response).unwrap();
                }
                Action::Event(Event::DialogEnded { .. }) => self.log.push("ended".into()),
                Action::Event(Event::Cancelled { .. }) => self.log.push("cancelled".into()),
                Action::Datagram(_, bytes) => self.sent(&bytes),
                _ => {}
            }
        }
    }

    fn sent(&mut self, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        if !text.contains("CSeq: 1 INVITE") {
            return;
        }
        let to = text.lines().find(|line| line.starts_with("To: ")).unwrap();
        if let Some((_, tag)) = to.split_once(";tag=") {
            self.tag = tag.into();
        }
        let status: u16 = text[8..11].parse().unwrap();
        if status >= 200 {
            self.finals.push(status);
        }
    }
}

fn udp() -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Sip,
        transport: Transport::Udp,
        local: address(2),
        peer: address(1),
        secure_identity: None,
        trust: Trust::Outside,
    }
}

/// All sequences of four steps after the INVITE: one final status per INVITE, at most one Cancelled, and at the end
/// nothing is left but what the function still has to end.
#[test]
fn every_interleaving_ends_clean() {
    let mut sequences: Vec<Vec<Step>> = Vec::from([Vec::from([Step::Invite])]);
    for _ in 0..4 {
        sequences = sequences
            .iter()
            .flat_map(|begun| STEPS.iter().map(|step| begun.iter().copied().chain([*step]).collect()))
            .collect();
    }
    for sequence in sequences {
        let mut called = Called::new();
        for step in &sequence {
            called.step(*step);
        }
        if !sequence.contains(&Step::Time) {
            let first = called.finals.first();
            assert!(
                called.finals.iter().all(|status| Some(status) == first),
                "{sequence:?} {:?}",
                called.finals
            );
        }
        let cancelled = called.log.iter().filter(|word| *word == "cancelled").count();
        let invited = called.log.iter().filter(|word| *word == "invite").count();
        assert!(cancelled <= invited && invited <= 1 + sequence.iter().filter(|s| **s == Step::Time).count());
        for _ in 0..3 {
            called.step(Step::Reject);
            let dialogs: Vec<_> = called.ua.dialogs.keys().copied().collect();
            for dialog in dialogs {
                drop(called.ua.bye(called.now, dialog, Headers::new()));
            }
            while let Some(next) = called.ua.next_timeout() {
                called.now = called.now.plus(next.since(called.now.mono));
                called.ua.handle_timeout(called.now);
                called.listen();
            }
        }
        assert!(called.ua.is_idle(), "{sequence:?} {:#?}", called.ua);
    }
}

// ---- garbage --------------------------------------------------------------------------------------------------------

fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("INVITE sip:b@10.0.0.2 SIP/2.0".to_owned()),
        Just("MESSAGE sip:b@10.0.0.2 SIP/2.0".to_owned()),
        Just("ACK sip:10.0.0.2;lr SIP/2.0".to_owned()),
        Just("CANCEL sip:b@10.0.0.2 SIP/2.0".to_owned()),
        Just("SIP/2.0 200 OK".to_owned()),
        Just("Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport".to_owned()),
        Just("v: SIP/2.0/TCP [::1]:99;branch=1, SIP/2.0/UDP x".to_owned()),
        Just("From: <sip:a@x>;tag=1".to_owned()),
        Just("To: <sip:b@x>".to_owned()),
        Just("t: b <sip:b@x>;tag=2".to_owned()),
        Just("Call-ID: 1".to_owned()),
        Just("CSeq: 1 INVITE".to_owned()),
        Just("CSeq: 4294967295 MESSAGE".to_owned()),
        Just("Contact: <sip:a@10.0.0.1>".to_owned()),
        Just("Route: <sip:10.0.0.2;lr>, <sip:[::1]>".to_owned()),
        Just("Record-Route: <sip:x>".to_owned()),
        Just("Max-Forwards: 0".to_owned()),
        Just("Content-Length: 0".to_owned()),
        Just("".to_owned()),
        "[ -~]{0,20}",
    ];
    let end = prop_oneof![9 => Just("\r\n"), 1 => Just("\n"), 1 => Just("")];
    proptest::collection::vec((line, end), 0..16).prop_map(|lines| {
        lines
            .into_iter()
            .flat_map(|(line, end)| [line.into_bytes(), end.as_bytes().to_vec()].concat())
            .collect()
    })
}

fn stream() -> FlowInfo {
    FlowInfo { transport: Transport::Tcp, ..udp() }
}

/// P1, C16: whatever comes, in whatever pieces, at whatever times: no panic, and never more answers than requests.
fn survives(role: Role, inputs: &[Vec<u8>], gaps: &[u16]) {
    let mut ua = Endpoint::new(Config { role, ..Config::user_agent(Seed::new([3; 32]), "x") }).unwrap();
    let mut now = Now::new(Instant::ZERO, DateTime::UNIX_EPOCH);
    let mut datagrams = 0usize;
    for (n, input) in (1u64..).zip(inputs) {
        let (datagram, streamed) = (FlowId(n), FlowId(1000 + n));
        ua.handle_accepted(now, datagram, udp());
        ua.handle_datagram(now, datagram, Bytes::copy_from_slice(input));
        ua.handle_accepted(now, streamed, stream());
        for piece in input.chunks(usize::from(gaps[0] % 7) + 1) {
            ua.handle_stream(now, streamed, Bytes::copy_from_slice(piece));
        }
        let mut out = Vec::new();
        ua.poll_transmit(now, streamed, 5, &mut out);
        for action in core::iter::from_fn(|| ua.poll_action()).collect::<Vec<_>>() {
            match action {
                Action::Datagram(_, _) => datagrams += 1,
                Action::Event(Event::Request { id, request, .. }) => {
                    if role == Role::Proxy {
                        drop(ua.route_onward(now, id));
                    }
                    let ok = Response::for_request(&request, StatusCode::OK);
                    drop(ua.accept(now, id, ok.clone()));
                    drop(ua.respond(now, id, ok));
                }
                Action::Open(id, _) => ua.handle_opened(now, id, Err(cpm_base::OpenError::Refused)),
                _ => {}
            }
        }
        now = now.plus(Duration::from_millis(u64::from(gaps[usize::try_from(n).unwrap() % gaps.len()])));
        ua.handle_timeout(now);
    }
    // Half of the inputs come by datagram; each may at most be answered and passed on, and its 2xx repeated.
    assert!(datagrams <= inputs.len() * 14, "{datagrams}");
    for dialog in ua.dialogs.keys().copied().collect::<Vec<_>>() {
        drop(ua.bye(now, dialog, Headers::new()));
    }
    let mut turns = 0;
    while let Some(next) = ua.next_timeout() {
        ua.handle_timeout(Now::new(next.max(now.mono), DateTime::UNIX_EPOCH));
        for action in core::iter::from_fn(|| ua.poll_action()).collect::<Vec<_>>() {
            if let Action::Open(id, _) = action {
                ua.handle_opened(now, id, Err(cpm_base::OpenError::Refused));
            }
        }
        turns += 1;
        assert!(turns < 5000, "time stands still");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn garbage_never_panics(
        inputs in proptest::collection::vec(lines(), 1..12),
        gaps in proptest::collection::vec(0u16..40_000, 1..6),
        proxy in any::<bool>(),
    ) {
        survives(if proxy { Role::Proxy } else { Role::UserAgent }, &inputs, &gaps);
    }

    #[test]
    fn octets_never_panic(inputs in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..6)) {
        survives(Role::UserAgent, &inputs, &[1]);
    }

    /// Calling handle_timeout early, late or twice changes nothing about what is sent.
    #[test]
    fn spurious_timeouts_are_harmless(extra in proptest::collection::vec(0u64..33_000, 0..30)) {
        let run = |extra: &[u64]| {
            let mut net = Net::new([config(1)]);
            net.with(0, |ua, now| ua.send_request(now, message(1, 2), Destination::Routed)).unwrap();
            let mut extra: Vec<u64> = extra.to_vec();
            extra.sort_unstable();
            let start = net.now.mono;
            for millis in extra {
                let until = start.plus(Duration::from_millis(millis));
                net.run(until.since(net.now.mono));
                net.with(0, Endpoint::handle_timeout);
                net.with(0, Endpoint::handle_timeout);
            }
            net.run_to_quiet();
            net.wire
        };
        prop_assert_eq!(run(&extra), run(&[]));
    }
}
