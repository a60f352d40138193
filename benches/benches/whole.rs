//! Pager messages through all that `cpm serve` is, in memory: the core, the originating side of the function, the core,
//! its terminating side, the core, linked as there; request in from the sender's socket to 200 out to it, over UDP.
//!
//! `cargo bench -p cpm-benches --bench whole [-- messages]`. Nobody has to prove who he is; the host's questions are
//! answered at once. Only the calls of the machine are timed, a message at a time; of the rounds the best counts. With a
//! number, so many messages go through and nothing is told: to be run under a profiler.

use allocation_counter::measure;
use bytes::Bytes;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_benches::ok;
use cpm_core::{Action, Driven, Machine, Node, Query, Reply};
use cpm_host::Linked;
use cpm_participating::{ParticipatingConfig, ParticipatingFunction};
use cpm_sim::{CoreConfig, SipIpCore, User};
use cpm_sip::{Limits, Message, SipUri, Uri, parse_datagram};
use cpm_ua::NextHop;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

const ROUNDS: usize = 200;
const BATCH: usize = 32;
const ALICE: FlowId = FlowId(1);
const BOB: FlowId = FlowId(2);
const CORE: &str = "192.0.2.1:5060";
const CORE_INSIDE: &str = "192.0.0.8:5060";
const FUNCTION_INSIDE: &str = "192.0.0.8:5062";

const BODY: &str = "From: <sip:alice@home.test>\r\nTo: <sip:bob@home.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
imdn.Message-ID: d834jied93rf\r\nDateTime: 2026-03-01T12:30:45Z\r\n\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
one of many pager messages";

struct Hands {
    all: Linked<SipIpCore, ParticipatingFunction>,
    now: Now,
    serial: u64,
    out: Vec<(FlowId, Bytes)>,
}

fn uri(text: &str) -> SipUri {
    match Uri::parse(text) {
        Ok(Uri::Sip(uri)) => uri,
        _ => panic!("a SIP URI"),
    }
}

impl Hands {
    fn new() -> Hands {
        let function_uri = uri(&format!("sip:{FUNCTION_INSIDE};transport=tcp"));
        let users = ["alice", "bob"].map(|name| User {
            identities: vec![Uri::Sip(uri(&format!("sip:{name}@home.test")))],
            participating: Some(function_uri.clone()),
        });
        let mut core = CoreConfig::new(uri(&format!("sip:{CORE}")), users.to_vec());
        core.service_uri = Some(uri(&format!("sip:{CORE_INSIDE};transport=tcp")));
        core.default_expires = Duration::from_secs(3600);
        let node = core.node(Seed::new([1; 32]));
        let core = Node::new(SipIpCore::new(core, Seed::new([2; 32])), node).expect("a configuration");
        let mut function = ParticipatingConfig::new(function_uri);
        function.outbound = Some(NextHop::Address(Transport::Tcp, CORE_INSIDE.parse().expect("an address")));
        let function = ParticipatingFunction::node(function, Seed::new([3; 32])).expect("a configuration");
        let at = |text: &str| text.parse().expect("an address");
        let mut hands = Hands {
            all: Linked::new(core, [at(CORE_INSIDE), at(CORE)], function, [at(FUNCTION_INSIDE)]),
            now: Now::new(Instant::from_micros(5_000_000), DateTime::UNIX_EPOCH),
            serial: 0,
            out: Vec::new(),
        };
        for (flow, name, peer) in [(ALICE, "alice", "192.0.2.31:5060"), (BOB, "bob", "192.0.2.32:5060")] {
            let info = FlowInfo {
                protocol: Protocol::Sip,
                transport: Transport::Udp,
                local: at(CORE),
                peer: at(peer),
                secure_identity: None,
                trust: Trust::Outside,
            };
            hands.all.handle_accepted(hands.now, flow, info);
            hands.goes_in(flow, Bytes::from(registration(name, peer)));
            let answers = hands.came_out(flow);
            assert!(matches!(&answers[..], [Message::Response(response)] if response.status().is_success()));
        }
        hands
    }

    fn goes_in(&mut self, flow: FlowId, octets: Bytes) {
        self.all.handle_datagram(self.now, flow, octets);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.all.poll_action() {
            match action {
                Action::Datagram(flow, octets) => self.out.push((flow, octets)),
                Action::Query(id, query) => {
                    let reply = match query {
                        Query::Preferences(_) => Reply::Preferences(Ok(Arc::default())),
                        Query::Store(_) => Reply::Stored(Ok(())),
                        other => other.unanswered(),
                    };
                    self.all.handle_reply(self.now, id, reply);
                }
                _ => {}
            }
        }
    }

    /// What came out to somebody since the last look.
    fn came_out(&mut self, to: FlowId) -> Vec<Message> {
        let out = std::mem::take(&mut self.out).into_iter();
        out.filter(|(flow, _)| *flow == to)
            .map(|(_, octets)| parse_datagram(octets, &Limits::default()).expect("what is sent is SIP"))
            .collect()
    }

    /// One message there, its answer back; how long the machine took.
    fn message(&mut self) -> Duration {
        self.serial += 1;
        let request = Bytes::from(message(self.serial));
        let begin = Clock::now();
        self.goes_in(ALICE, request);
        let mut took = begin.elapsed();
        let answer = self.came_out(BOB).first().and_then(Message::as_request).map(ok).expect("a MESSAGE");
        let begin = Clock::now();
        self.goes_in(BOB, answer);
        took += begin.elapsed();
        let finals = self.came_out(ALICE);
        assert!(matches!(&finals[..], [Message::Response(response)] if response.status().is_success()));
        // 1,000 messages a second: 32,000 of them are kept.
        self.now = self.now.plus(Duration::from_millis(1));
        let begin = Clock::now();
        while self.all.next_timeout().is_some_and(|at| at <= self.now.mono) {
            self.all.handle_timeout(self.now);
            self.drain();
        }
        took + begin.elapsed()
    }
}

/// A MESSAGE as a device sends it.
fn message(serial: u64) -> String {
    let head = format!(
        "MESSAGE sip:bob@home.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.31:5060;branch=z9hG4bK-bench-{serial};rport
Max-Forwards: 70
From: <sip:alice@home.test>;tag=a{serial}
To: <sip:bob@home.test>
Call-ID: {serial}-3218@192.0.2.31
CSeq: 1 MESSAGE
Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"
P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg
User-Agent: CPM-client/OMA2.1
Conversation-ID: 0b6c1f6e-6d1e-4a0e-9d4e-5f2a1c3b7d10
Contribution-ID: 4d2f8a3c-11b7-4f0a-8c55-e0a9b6c7d821
Content-Type: message/cpim
Content-Length: {}

",
        BODY.len()
    );
    head.replace('\n', "\r\n") + BODY
}

fn registration(name: &str, at: &str) -> String {
    let head = format!(
        "REGISTER sip:home.test SIP/2.0
Via: SIP/2.0/UDP {at};branch=z9hG4bK-reg-{name};rport
Max-Forwards: 70
From: <sip:{name}@home.test>;tag=r{name}
To: <sip:{name}@home.test>
Call-ID: reg-{name}
CSeq: 1 REGISTER
Contact: <sip:{name}@{at}>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000000a>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"
Expires: 3600
Content-Length: 0

"
    );
    head.replace('\n', "\r\n")
}

fn main() {
    let mut hands = Hands::new();
    let messages = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok());
    if let Some(messages) = messages {
        for _ in 0..messages {
            hands.message();
        }
        return;
    }
    for _ in 0..33_000 {
        hands.message();
    }
    let best = (0..ROUNDS).map(|_| (0..BATCH).map(|_| hands.message()).sum::<Duration>()).min();
    let each = best.unwrap_or_default().as_secs_f64() / BATCH as f64;
    let allocated = measure(|| {
        for _ in 0..BATCH {
            hands.message();
        }
    });
    let device = measure(|| {
        for serial in 0..BATCH as u64 {
            drop(message(serial));
        }
    });
    println!(
        "core, function, core, function, core: {:.1} µs each, {:.0} a second; {} allocations, {} octets (with those of both devices)",
        each * 1e6,
        1.0 / each,
        (allocated.count_total - device.count_total) / BATCH as u64,
        (allocated.bytes_total - device.bytes_total) / BATCH as u64,
    );
}
