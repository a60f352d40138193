//! Pager messages through one Participating Function in memory: request in to response out, terminating with one device
//! and originating, with and without preferences and recording.
//!
//! `cargo bench -p cpm-benches --bench pager`. One node between hands that play the core and the host: a MESSAGE goes in,
//! the host's questions are answered at once, the MESSAGE comes out, its 200 goes in, the 200 for the sender comes out.
//! Only the calls of the node are timed, in batches; what the hands do is not. Over a stream flow nothing is kept after
//! the answer; over UDP the transactions of 32 s are there. Of the rounds the best counts.

use allocation_counter::measure;
use bytes::Bytes;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_benches::ok;
use cpm_core::outside::{ObjectUid, Preferences};
use cpm_core::{Action, Node, Query, Reply};
use cpm_participating::{ParticipatingConfig, ParticipatingFunction, Recording, RegSubscription};
use cpm_sip::{Frame, Limits, Message, StreamFramer, Uri, parse_datagram};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

const ROUNDS: usize = 200;
/// Messages of a round that are under way at once.
const BATCH: usize = 32;
const FLOW: FlowId = FlowId(1);

/// A pager message of CPM: CPIM with two IMDN header fields and a line of text.
const BODY: &str = "From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\nDateTime: 2026-03-01T12:00:00Z\r\n\
NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: d834jied93rf\r\nimdn.Disposition-Notification: positive-delivery, display\r\n\
\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 15\r\n\r\nHello over CPM.";

/// The rules of a user who has some: one that records, and two that are about others.
const RULES: &str = r#"<cr:ruleset xmlns:cr="urn:ietf:params:xml:ns:common-policy" xmlns:oma="urn:oma:xml:xdm:common-policy">
<cr:rule id="a"><cr:conditions><cr:identity><cr:one id="sip:mallory@example.com"/></cr:identity><oma:service-list><oma:service enabler="CPM"/></oma:service-list><oma:media-list><oma:standalone-message/></oma:media-list></cr:conditions><cr:actions><oma:allow-reject-invite>true</oma:allow-reject-invite></cr:actions></cr:rule>
<cr:rule id="b"><cr:conditions><oma:service-list><oma:service enabler="CPM"/></oma:service-list><oma:upp-list><oma:upp-name>night</oma:upp-name></oma:upp-list></cr:conditions><cr:actions><oma:allow-reject-invite>true</oma:allow-reject-invite></cr:actions></cr:rule>
<cr:rule id="c"><cr:conditions><oma:service-list><oma:service enabler="CPM"/></oma:service-list></cr:conditions><cr:actions><oma:allow-push>true</oma:allow-push></cr:actions></cr:rule>
</cr:ruleset>"#;

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    originating: bool,
    preferences: Option<&'static str>,
    recording: bool,
    udp: bool,
}

const CASES: [Case; 8] = [
    Case { name: "terminating", originating: false, preferences: None, recording: false, udp: false },
    Case {
        name: "terminating, preferences",
        originating: false,
        preferences: Some(""),
        recording: false,
        udp: false,
    },
    Case {
        name: "terminating, three rules",
        originating: false,
        preferences: Some(RULES),
        recording: false,
        udp: false,
    },
    Case {
        name: "terminating, recorded",
        originating: false,
        preferences: None,
        recording: true,
        udp: false,
    },
    Case { name: "originating", originating: true, preferences: None, recording: false, udp: false },
    Case { name: "originating, recorded", originating: true, preferences: None, recording: true, udp: false },
    Case {
        name: "terminating, over UDP",
        originating: false,
        preferences: None,
        recording: false,
        udp: true,
    },
    Case { name: "originating, over UDP", originating: true, preferences: None, recording: false, udp: true },
];

/// The node, and the hands around it.
struct Hands {
    node: Node<ParticipatingFunction>,
    now: Now,
    case: Case,
    preferences: Arc<Preferences>,
    framer: StreamFramer,
    serial: u64,
    /// What came out and was not looked at.
    out: Vec<Bytes>,
    written: Vec<u8>,
}

impl Hands {
    fn new(case: Case) -> Hands {
        let Ok(Uri::Sip(own)) = Uri::parse("sip:pf.example.com") else { panic!("a SIP URI") };
        let mut config = ParticipatingConfig::new(own);
        config.policy.preferences = case.preferences.is_some();
        config.policy.recording = if case.recording { Recording::Always } else { Recording::Never };
        config.policy.reg_subscription = RegSubscription::WhenNotTold;
        let node = ParticipatingFunction::node(config, Seed::new([7; 32])).expect("a configuration");
        let rules = case.preferences.unwrap_or_default().as_bytes();
        let preferences = Preferences::from_documents(rules, b"", b"", &cpm_xml::Limits::default());
        let mut hands = Hands {
            node,
            now: Now::new(Instant::from_micros(5_000_000), DateTime::UNIX_EPOCH),
            case,
            preferences: Arc::new(preferences.expect("rules")),
            framer: StreamFramer::new(Limits::default()),
            serial: 0,
            out: Vec::new(),
            written: Vec::new(),
        };
        let info = FlowInfo {
            protocol: Protocol::Sip,
            transport: if case.udp { Transport::Udp } else { Transport::Tcp },
            local: "192.0.2.20:5060".parse().expect("an address"),
            peer: "192.0.2.10:5060".parse().expect("an address"),
            secure_identity: None,
            trust: Trust::Core,
        };
        hands.node.handle_accepted(hands.now, FLOW, info);
        hands.goes_in(vec![Bytes::from(registration(case.udp))]);
        let answers = hands.came_out();
        assert!(matches!(&answers[..], [Message::Response(response)] if response.status().is_success()));
        hands
    }

    /// Octets go in, everything that they cause happens; how long the node took.
    fn goes_in(&mut self, all: Vec<Bytes>) -> Duration {
        let begin = Clock::now();
        for octets in all {
            match self.case.udp {
                true => self.node.handle_datagram(self.now, FLOW, octets),
                false => self.node.handle_stream(self.now, FLOW, octets),
            }
            self.drain();
        }
        begin.elapsed()
    }

    fn drain(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Datagram(_, octets) => self.out.push(octets),
                Action::WantsWrite(flow) => {
                    while self.node.poll_transmit(self.now, flow, 65_536, &mut self.written) > 0 {}
                }
                Action::Query(id, query) => {
                    let reply = match query {
                        Query::Preferences(_) => Reply::Preferences(Ok(Arc::clone(&self.preferences))),
                        Query::StoreObject(_) => Reply::ObjectStored(Ok(ObjectUid(NonZeroU32::MIN))),
                        Query::Store(_) => Reply::Stored(Ok(())),
                        other => other.unanswered(),
                    };
                    self.node.handle_reply(self.now, id, reply);
                }
                Action::Event(_) | Action::Open(..) | Action::Close(..) => {}
            }
        }
    }

    /// The messages that came out since the last look.
    fn came_out(&mut self) -> Vec<Message> {
        let datagrams = std::mem::take(&mut self.out).into_iter();
        let mut messages: Vec<Message> = datagrams
            .map(|octets| parse_datagram(octets, &Limits::default()).expect("what is sent is SIP"))
            .collect();
        self.framer.push(Bytes::from(std::mem::take(&mut self.written)));
        while let Some(frame) = self.framer.next() {
            if let Frame::Message(message) = frame {
                messages.push(*message);
            }
        }
        messages
    }

    /// Messages from one end to the other, and their answers back; how long the node took for all of them.
    fn round(&mut self, messages: usize) -> Duration {
        let mut requests = Vec::with_capacity(messages);
        for _ in 0..messages {
            self.serial += 1;
            requests.push(Bytes::from(message(self.serial, self.case)));
        }
        let mut took = self.goes_in(requests);
        let answers: Vec<Bytes> = self.came_out().iter().filter_map(Message::as_request).map(ok).collect();
        assert_eq!(answers.len(), messages, "{}", self.case.name);
        took += self.goes_in(answers);
        let finals = self.came_out();
        let good = finals.iter().filter_map(Message::as_response).filter(|r| r.status().is_success());
        assert_eq!(good.count(), messages, "{}", self.case.name);
        // 1,000 messages a second: over UDP 32,000 of them are kept.
        self.now = self.now.plus(Duration::from_millis(messages as u64));
        let begin = Clock::now();
        while self.node.next_timeout().is_some_and(|at| at <= self.now.mono) {
            self.node.handle_timeout(self.now);
            self.drain();
        }
        took + begin.elapsed()
    }
}

fn with_body(head: &str, body: &str) -> String {
    format!("{}Content-Length: {}\r\n\r\n{body}", head.replace('\n', "\r\n"), body.len())
}

/// A MESSAGE as the core sends it.
fn message(serial: u64, case: Case) -> String {
    let (user, session, over) = match (case.originating, case.udp) {
        (true, udp) => ("alice", "orig", if udp { "UDP" } else { "TCP" }),
        (false, udp) => ("bob", "term", if udp { "UDP" } else { "TCP" }),
    };
    let transport = if case.udp { "" } else { ";transport=tcp" };
    // What goes on over UDP stays below 1,300 octets (RFC 3261 §18.1.1).
    let before =
        format!("Via: SIP/2.0/TCP 192.0.2.31:5060;branch=z9hG4bK-client-{serial};received=192.0.2.31\n");
    let before = if case.udp { "" } else { &before };
    let head = format!(
        "MESSAGE sip:bob@example.com SIP/2.0
Via: SIP/2.0/{over} 192.0.2.10:5060;branch=z9hG4bK-bench-{serial}
{before}Max-Forwards: 68
Route: <sip:pf.example.com;lr>
Route: <sip:192.0.2.10:5060{transport};lr;odi={serial}>
From: <sip:alice@example.com>;tag=a{serial}
To: <sip:bob@example.com>
Call-ID: k3m9t7w2q5x8z1c4v6b0n2j4{serial}
CSeq: 1 MESSAGE
P-Asserted-Identity: <sip:alice@example.com>
P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg
P-Served-User: <sip:{user}@example.com>;sescase={session};regstate=reg
Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\";require;explicit
User-Agent: CPM-client/OMA2.1
Conversation-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6
Contribution-ID: abcdef00-1234-4678-90ab-cdef01234567
Content-Type: message/cpim
"
    );
    with_body(&head, BODY)
}

/// A third-party REGISTER that gives Bob a device for a day.
fn registration(udp: bool) -> String {
    let over = if udp { "UDP" } else { "TCP" };
    let accepted = with_body(
        "SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.31:5060;branch=z9hG4bKreg
From: <sip:bob@example.com>;tag=d1
To: <sip:bob@example.com>;tag=r1
Call-ID: reg-1
CSeq: 3 REGISTER
Contact: <sip:bob@192.0.2.31:5060>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000000a>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\";expires=86400
P-Associated-URI: <sip:bob@example.com>
",
        "",
    );
    let head = format!(
        "REGISTER sip:pf.example.com SIP/2.0
Via: SIP/2.0/{over} 192.0.2.10:5060;branch=z9hG4bKtp1
Max-Forwards: 70
From: <sip:core.example.com>;tag=c1
To: <sip:bob@example.com>
Call-ID: third-party-1
CSeq: 1 REGISTER
Contact: <sip:core.example.com>
Expires: 86400
Content-Type: message/sip
"
    );
    with_body(&head, &accepted)
}

fn main() {
    let messages = |took: Duration| BATCH as f64 / took.as_secs_f64();
    println!("{:<28} {:>12} {:>14} {:>12} {:>12}", "", "µs each", "a second", "allocations", "octets");
    for case in CASES {
        let mut hands = Hands::new(case);
        // The transactions that are kept are there before anything is timed.
        let warm = if case.udp { 33_000 / BATCH } else { 20 };
        for _ in 0..warm {
            hands.round(BATCH);
        }
        let best = (0..ROUNDS).map(|_| hands.round(BATCH)).min().unwrap_or_default();
        let (mut first, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..BATCH {
            hands.serial += 1;
            first.push(Bytes::from(message(hands.serial, case)));
        }
        let mut allocated = measure(|| {
            hands.goes_in(std::mem::take(&mut first));
        });
        answers.extend(hands.came_out().iter().filter_map(Message::as_request).map(ok));
        allocated += measure(|| {
            hands.goes_in(answers);
        });
        println!(
            "{:<28} {:>12.2} {:>14.0} {:>12.0} {:>12.0}",
            case.name,
            best.as_secs_f64() * 1e6 / BATCH as f64,
            messages(best),
            allocated.count_total as f64 / BATCH as f64,
            allocated.bytes_total as f64 / BATCH as f64,
        );
    }
}
