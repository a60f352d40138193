//! A Participating Function between hands that play the core, its users' devices and the host: any program of requests
//! (well-formed, and with octets changed), answers, replies of the host in any order or never, time, and restarts from what
//! was stored. Nothing panics, what is sent is SIP, every copy of a request gets the same final answer, and a message is
//! only answered 2xx when a device took it or the host keeps it.

use bytes::Bytes;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_core::outside::{BodyPart, BodyStructure, FetchError, FetchedObject, ObjectUid, Preferences};
use cpm_core::{Action, Node, Query, QueryId, Record, Reply, StoreError, standing};
use cpm_participating::{ParticipatingConfig, ParticipatingFunction, Policy, Recording};
use cpm_sip::{
    CallId, HeaderName, HeaderText, Limits, Message, Method, Request, Response, StatusCode, Uri,
    parse_datagram,
};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const CORE: FlowId = FlowId(1);

/// The octets of a program, one after the other.
struct Tape<'a>(&'a [u8]);

impl Tape<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below `end`; 0 when nothing is left.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.next().unwrap_or(0)) % end.max(1)
    }
}

const DOCUMENT: &[u8] = br#"<cr:ruleset xmlns:cr="urn:ietf:params:xml:ns:common-policy" xmlns:ocp="urn:oma:xml:xdm:common-policy"><cr:rule id="1"><cr:conditions><ocp:service-list><ocp:service enabler="CPM"/></ocp:service-list></cr:conditions><cr:actions><WISH>true</WISH></cr:actions></cr:rule></cr:ruleset>"#;

/// One wish of a user.
fn preferences(which: usize) -> Preferences {
    let Some(wish) = cpm_xml::access_policy::Wish::ALL.get(which) else { return Preferences::default() };
    let document = String::from_utf8_lossy(DOCUMENT).replace("WISH", wish.element());
    let blacklist = if which % 5 == 4 {
        &b"<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list><entry uri=\"sip:alice@home.test\"/></list></resource-lists>"[..]
    } else {
        b""
    };
    let limits = cpm_xml::Limits::default();
    Preferences::from_documents(document.as_bytes(), b"", blacklist, &limits).unwrap_or_default()
}

struct Rig {
    node: Node<ParticipatingFunction>,
    now: Now,
    lives: u8,
    policy: Policy,
    serial: u32,
    /// Requests that went out and were not answered by the program.
    asked: Vec<Request>,
    queries: Vec<(QueryId, Query)>,
    stored: Vec<Record>,
    /// The last datagrams that went in.
    went_in: Vec<Bytes>,
    /// Call-IDs of messages that a device took or the host keeps.
    safe: BTreeSet<String>,
    /// Final answers by topmost branch and method.
    answers: BTreeMap<String, StatusCode>,
    /// Call-IDs of notifications: what was told before is answered 200 and dropped (TS 8.3.4).
    notifications: BTreeSet<String>,
}

fn call_id(headers: &cpm_sip::Headers) -> String {
    headers.typed::<CallId>().ok().flatten().map(|id| id.as_str().to_owned()).unwrap_or_default()
}

fn node(life: u8, policy: &Policy, records: Vec<Record>) -> Node<ParticipatingFunction> {
    let Ok(Uri::Sip(own)) = Uri::parse("sip:pf.home.test") else { panic!("a SIP URI") };
    let mut config = ParticipatingConfig::new(own);
    config.policy = policy.clone();
    let mut node = ParticipatingFunction::restored(config, Seed::new([life; 32]), records).expect("a policy");
    let info = FlowInfo {
        protocol: Protocol::Sip,
        transport: Transport::Udp,
        local: "192.0.2.20:5060".parse().expect("an address"),
        peer: "192.0.2.10:5060".parse().expect("an address"),
        secure_identity: None,
        trust: Trust::Core,
    };
    node.handle_accepted(Now::new(Instant::ZERO, DateTime::UNIX_EPOCH), CORE, info);
    node
}

impl Rig {
    fn follow(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Datagram(_, octets) => {
                    let sent = parse_datagram(octets, &Limits::default()).expect("what is sent is SIP");
                    match sent {
                        Message::Request(request) => self.asked.push(request),
                        Message::Response(response) => self.answered(&response),
                    }
                }
                Action::Query(id, query) => self.queries.push((id, query)),
                Action::Open(open, _) => {
                    let refused = cpm_base::OpenError::Refused;
                    self.node.handle_opened(self.now, open, Err(refused));
                }
                _ => {}
            }
        }
    }

    fn answered(&mut self, response: &Response) {
        let status = response.status();
        if status.is_provisional() {
            return;
        }
        let text = |name: HeaderName| {
            response.headers().get(&name).and_then(|value| value.to_text()).map(|text| text.into_owned())
        };
        let cseq = text(HeaderName::CSeq).unwrap_or_default();
        let via = text(HeaderName::Via).unwrap_or_default();
        let call = call_id(response.headers());
        let first = *self.answers.entry(format!("{}\n{via}\n{cseq}\n{call}", self.lives)).or_insert(status);
        assert_eq!(first, status, "two final answers to one request");
        if cseq.ends_with("MESSAGE") && status.is_success() && !self.notifications.contains(&call) {
            assert!(self.safe.contains(&call), "{status} to a message that nobody has: {call}");
        }
    }

    fn datagram(&mut self, octets: Bytes) {
        if let Ok(Message::Request(request)) = parse_datagram(octets.clone(), &Limits::default())
            && request.body().windows(4).any(|window| window == b"imdn")
        {
            self.notifications.insert(call_id(request.headers()));
        }
        self.went_in.push(octets.clone());
        self.node.handle_datagram(self.now, CORE, octets);
        self.follow();
    }

    fn message(&mut self, tape: &mut Tape<'_>) -> Vec<u8> {
        self.serial += 1;
        let (n, kind) = (self.serial, tape.below(12));
        let case = if kind % 2 == 0 { "orig" } else { "term" };
        let served = if kind % 2 == 0 { "alice" } else { "bob" };
        let uri = if kind == 10 { "mailto:bob@home.test" } else { "sip:bob@home.test" };
        let extra = match tape.below(8) {
            1 => "Privacy: id\r\n",
            2 => "Expires: 0\r\n",
            3 => "P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel\r\n",
            4 => "User-Agent: CPM-client/OMA1.0\r\n",
            _ => "P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg\r\n",
        };
        let id = tape.below(3);
        let body = match kind / 2 {
            0 | 5 => format!("From: <sip:alice@home.test>\r\nTo: <sip:bob@home.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: m{id}\r\nDateTime: 2026-01-01T00:00:00Z\r\nimdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\r\nContent-Type: text/plain\r\n\r\nhello"),
            1 | 2 => format!("From: <sip:alice@home.test>\r\nTo: <sip:bob@home.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: n{n}\r\nDateTime: 2026-01-01T00:00:00Z\r\n\r\nContent-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>m{id}</message-id><datetime>2026-01-01T00:00:00Z</datetime><{kind}-notification><status><{kind2}/></status></{kind}-notification></imdn>",
                kind = if kind / 2 == 1 { "delivery" } else { "display" }, kind2 = if kind / 2 == 1 { "delivered" } else { "displayed" }),
            3 => "From: <sip:alice@home.test>\r\nTo: <sip:bob@home.test>\r\n\r\nContent-Type: message/external-body; access-type=URL; URL=\"imap://alice@store.test/f;UID=1?action=fetch\"\r\n\r\nContent-Type: text/plain\r\n\r\n".to_owned(),
            _ => "plain".to_owned(),
        };
        let content_type = if body == "plain" { "text/plain" } else { "message/cpim" };
        let head = format!(
            "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKm{n}\r\nMax-Forwards: 68\r\nRoute: <sip:pf.home.test;lr>\r\nRoute: <sip:192.0.2.10;lr;after={case}>\r\nFrom: <sip:alice@home.test>;tag=a1\r\nTo: <sip:bob@home.test>\r\nCall-ID: msg-{n}\r\nCSeq: 1 MESSAGE\r\nP-Asserted-Identity: <sip:alice@home.test>\r\nP-Served-User: <sip:{served}@home.test>;sescase={case};regstate=reg\r\nAccept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"\r\nConversation-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6\r\nContribution-ID: abcdef00-1234-4678-90ab-cdef01234567\r\n{extra}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        (head + &body).into_bytes()
    }

    fn third_party(&mut self, tape: &mut Tape<'_>) -> Vec<u8> {
        self.serial += 1;
        let n = self.serial;
        let devices = tape.below(3);
        let contact = |device: usize| {
            format!(
                "Contact: <sip:bob@192.0.2.3{device}:5060>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000000{device}>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\";expires=600\r\n"
            )
        };
        let contacts: String = (0..devices).map(contact).collect();
        let answer = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.31:5060;branch=z9hG4bKreg\r\nFrom: <sip:bob@home.test>;tag=d1\r\nTo: <sip:bob@home.test>;tag=r1\r\nCall-ID: reg-1\r\nCSeq: 3 REGISTER\r\n{contacts}P-Associated-URI: <sip:bob@home.test>, <tel:+15550002>\r\nContent-Length: 0\r\n\r\n"
        );
        let body = format!("--b1\r\nContent-Type: message/sip\r\n\r\n{answer}\r\n--b1--\r\n");
        let expires = if devices == 0 { 0 } else { 600 };
        format!("REGISTER sip:pf.home.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKr{n}\r\nMax-Forwards: 70\r\nFrom: <sip:core.home.test>;tag=c1\r\nTo: <sip:bob@home.test>\r\nCall-ID: tp\r\nCSeq: {n} REGISTER\r\nContact: <sip:core.home.test>\r\nExpires: {expires}\r\nContent-Type: multipart/mixed;boundary=b1\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// An answer to one of the requests that went out.
    fn answer(&mut self, tape: &mut Tape<'_>) {
        if self.asked.is_empty() {
            return;
        }
        let at = tape.below(self.asked.len());
        let request = self.asked[at].clone();
        let status = [200, 200, 202, 404, 408, 480, 486, 488, 503, 606, 100][tape.below(11)];
        let status = StatusCode::new(status).expect("a status");
        if status.is_success() && *request.method() == Method::Message {
            self.safe.insert(call_id(request.headers()));
        }
        let mut response = Response::for_request(&request, status);
        if status == StatusCode::ACCEPTED {
            // Of a device that makes no notifications of its own.
            response.headers_mut().replace(HeaderName::Server, HeaderText::sanitized("CPM-client/OMA1.0"));
        }
        if tape.below(4) != 0 {
            self.asked.swap_remove(at);
        }
        self.datagram(response.to_bytes());
    }

    /// A reply of the host to one of its questions.
    fn reply(&mut self, tape: &mut Tape<'_>) {
        if self.queries.is_empty() {
            return;
        }
        let at = tape.below(self.queries.len());
        let (id, query) = self.queries[at].clone();
        if tape.below(6) != 0 {
            self.queries.swap_remove(at);
        }
        let mood = tape.below(5);
        let reply = match (&query, mood) {
            (_, 0) => query.unanswered(),
            (_, 1) => Reply::Stored(Err(StoreError::Full)),
            (Query::Store(record), _) => {
                self.stored.push(record.clone());
                Reply::Stored(Ok(()))
            }
            (Query::MarkSeen { .. }, _) => Reply::Stored(Ok(())),
            (Query::Preferences(_), _) => {
                let which = tape.below(16);
                Reply::Preferences(Ok(Arc::new(preferences(which))))
            }
            (Query::Fetch { .. }, 2) => Reply::Fetched(Err(FetchError::TooLarge)),
            (Query::Fetch { .. }, _) => {
                let octets = Bytes::from(vec![b'x'; tape.below(200) * 12]);
                Reply::Fetched(Ok(FetchedObject { content_type: "text/plain".to_owned(), octets }))
            }
            (Query::StoreObject(_), _) => Reply::ObjectStored(Ok(ObjectUid(NonZeroU32::MIN))),
            (Query::BodyStructure { .. }, _) => {
                let part = |section: &str| BodyPart {
                    section: section.to_owned(),
                    content_type: "text/plain".to_owned(),
                    octets: 5,
                };
                let url = "imap://bob@store.test/f;UIDVALIDITY=1/;UID=7".to_owned();
                let parts = vec![part("1"), part("2")];
                Reply::BodyStructure(Ok(BodyStructure { url, parts }))
            }
            (other, _) => other.unanswered(),
        };
        if let (Query::StoreObject(object), Reply::ObjectStored(Ok(_))) = (&query, &reply)
            && let Ok(Message::Request(request)) = parse_datagram(object.object.clone(), &Limits::default())
        {
            self.safe.insert(call_id(request.headers()));
        }
        self.node.handle_reply(self.now, id, reply);
        self.follow();
    }

    fn advance(&mut self, micros: u64) {
        let end = self.now.mono.plus(Duration::from_micros(micros));
        for _ in 0..200 {
            let Some(at) = self.node.next_timeout().filter(|at| *at <= end) else { break };
            self.now = self.now.plus(at.since(self.now.mono));
            self.node.handle_timeout(self.now);
            if micros > 30_000_000 {
                self.answers.clear();
            }
            self.follow();
        }
        self.now = self.now.plus(end.since(self.now.mono));
        // A copy that comes later than this is a request of its own.
        if micros > 30_000_000 {
            self.answers.clear();
        }
    }

    /// The node dies; another takes its place with what was stored.
    fn restart(&mut self) {
        self.lives += 1;
        let records = standing(self.stored.iter().cloned());
        self.node = node(self.lives, &self.policy, records);
        self.queries.clear();
        self.asked.clear();
        self.follow();
    }
}

/// Runs a program.
pub fn pf_program(data: &[u8]) {
    let mut tape = Tape(data);
    let shape = tape.next().unwrap_or(0);
    let policy = Policy {
        isf: (shape & 1 != 0).then(|| match Uri::parse("sip:isf.home.test") {
            Ok(Uri::Sip(uri)) => uri,
            _ => panic!("a SIP URI"),
        }),
        recording: if shape & 2 != 0 { Recording::Always } else { Recording::Wish },
        anonymity_originating: shape & 4 == 0,
        anonymity_terminating: shape & 8 == 0,
        releases_without_imdn: if shape & 16 != 0 { vec![(1, 0)] } else { Vec::new() },
        patience: (shape & 32 != 0).then(|| Duration::from_secs(10)),
        ..Policy::default()
    };
    let mut rig = Rig {
        node: node(0, &policy, Vec::new()),
        now: Now::new(Instant::from_micros(1_000_000), DateTime::UNIX_EPOCH),
        lives: 0,
        policy,
        serial: 0,
        asked: Vec::new(),
        queries: Vec::new(),
        stored: Vec::new(),
        went_in: Vec::new(),
        safe: BTreeSet::new(),
        answers: BTreeMap::new(),
        notifications: BTreeSet::new(),
    };
    rig.follow();
    while let Some(step) = tape.next() {
        match step % 16 {
            0..=3 => {
                let octets = rig.message(&mut tape);
                rig.datagram(octets.into());
            }
            4 => {
                let mut octets = rig.message(&mut tape);
                for _ in 0..=tape.below(3) {
                    let at = (tape.below(256) * 256 + tape.below(256)) % octets.len();
                    octets[at] = tape.next().unwrap_or(b'\n');
                }
                rig.datagram(octets.into());
            }
            5 => {
                let octets = rig.third_party(&mut tape);
                rig.datagram(octets.into());
            }
            6..=8 => rig.answer(&mut tape),
            9..=12 => rig.reply(&mut tape),
            13 => rig.advance([1_000, 500_000, 6_000_000, 33_000_000, 700_000_000][tape.below(5)]),
            14 => {
                let again = tape.below(rig.went_in.len());
                if let Some(octets) = rig.went_in.get(again).cloned() {
                    rig.datagram(octets);
                }
            }
            _ => rig.restart(),
        }
    }
    // In the end nobody waits for anything.
    rig.queries.clear();
    rig.advance(700_000_000);
    rig.advance(700_000_000);
    assert_eq!(rig.node.function().pending(), 0, "a message is under way for ever");
}
