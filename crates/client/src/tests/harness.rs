//! Drives a client node by raw bytes over virtual time: one UDP flow to the core, MSRP streams by name.

use crate::{Client, ClientConfig, ClientEvent, NewMessage, SentMessage, Strangers, contact_uri};
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;
use cpm_base::{
    CloseReason, DateTime, FlowId, FlowInfo, Instant, Now, OpenError, OpenId, Protocol, Seed, Target,
    Transport, Trust,
};
use cpm_core::{Action, Node, Query, QueryId, ReceivedRecord, Record, Reply, StateRecord, StoreError};
use cpm_sip::{HeaderName, Message, Method, Request, Response, Uri};
use std::collections::{BTreeMap, VecDeque};

pub(super) const INSTANCE: &str = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
pub(super) const ALICE_SIP: &str = "192.0.2.1:5060";
pub(super) const ALICE_MSRP: &str = "192.0.2.1:2855";
pub(super) const CORE: &str = "198.51.100.1:5060";
pub(super) const SIP: FlowId = FlowId(1);
pub(super) const MSG: &str = "urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg";
pub(super) const LARGE: &str = "urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg";
pub(super) const CONVERSATION: &str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf7";
pub(super) const CONTRIBUTION: &str = "abcdef12-7dec-11d0-a765-00a0c91e6bf8";

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Where the client under test is, and what it has said.
pub(super) struct Rig {
    pub(super) node: Node<Client>,
    pub(super) now: Now,
    /// SIP messages that the client sent and no test has looked at.
    pub(super) sent: VecDeque<Message>,
    /// The same as octets, all of them.
    pub(super) log: Vec<Bytes>,
    pub(super) events: VecDeque<ClientEvent>,
    pub(super) stores: VecDeque<(QueryId, ReceivedRecord)>,
    pub(super) resolves: VecDeque<(QueryId, cpm_ua::NameQuery)>,
    /// Messages of which the client asks whether \Seen is set; tests reply.
    pub(super) seen_queries: VecDeque<(QueryId, String)>,
    /// MSRP connections that the client wants.
    pub(super) opens: VecDeque<(OpenId, SocketAddr)>,
    /// What the client wrote on streams and no test has looked at.
    pub(super) written: BTreeMap<FlowId, Vec<u8>>,
    pub(super) closed: Vec<(FlowId, CloseReason)>,
    /// All that the client wrote of its own state, in order.
    pub(super) state: Vec<StateRecord>,
    /// What waits for the store's word of it, when tests reply.
    pub(super) state_queries: VecDeque<(QueryId, StateRecord)>,
    /// Replies of the store to state; without it, tests reply.
    pub(super) auto_state: Option<Result<(), StoreError>>,
    /// Replies of the store; without it, tests reply.
    pub(super) auto_store: Option<Result<(), StoreError>>,
    /// How many octets a stream takes at a time.
    pub(super) write_at_most: usize,
    /// Whether streams take anything.
    pub(super) writable: bool,
    last_flow: u64,
    life: u8,
    /// What the store holds.
    state_kept: Vec<StateRecord>,
    received_records: Vec<ReceivedRecord>,
}

impl Rig {
    pub(super) fn new() -> Rig {
        Rig::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut ClientConfig)) -> Rig {
        let mut rig = Rig::bare(change);
        rig.flow(SIP, Protocol::Sip, Transport::Udp, CORE, Trust::Core);
        rig
    }

    /// Without the flow to the core.
    pub(super) fn bare(change: impl FnOnce(&mut ClientConfig)) -> Rig {
        Rig::restored_bare(change, 7, Vec::new())
    }

    /// What the store holds.
    pub(super) fn records(&self) -> Vec<Record> {
        let received = self.received_records.iter().cloned().map(Record::Received);
        let state = self.state_kept.iter().cloned().map(Record::State);
        cpm_core::standing(received.chain(state))
    }

    /// The next life of this client, from what its store holds; nothing is remembered but the time.
    pub(super) fn restart(self, change: impl FnOnce(&mut ClientConfig)) -> Rig {
        let records = self.records();
        self.restart_with(records, change)
    }

    /// The next life, when the store holds this.
    pub(super) fn restart_with(self, records: Vec<Record>, change: impl FnOnce(&mut ClientConfig)) -> Rig {
        let mut rig = Rig::restored_bare(change, self.life + 1, records.clone());
        for record in records {
            match record {
                Record::Received(received) => rig.received_records.push(received),
                Record::State(state) => rig.state_kept.push(state),
                other => panic!("{other:?}"),
            }
        }
        rig.now = self.now;
        rig.flow(SIP, Protocol::Sip, Transport::Udp, CORE, Trust::Core);
        rig
    }

    fn restored_bare(change: impl FnOnce(&mut ClientConfig), life: u8, records: Vec<Record>) -> Rig {
        let contact = contact_uri("alice", addr(ALICE_SIP));
        let mut config = ClientConfig::new(uri("sip:alice@example.com"), contact, addr(ALICE_MSRP), INSTANCE);
        config.registrar = Some(uri("sip:198.51.100.1"));
        config.product = "acme/1.0".to_owned();
        (config.refresh.jitter_percent, config.refresh.retry_jitter_percent) = (0, 0);
        // What a user lets everybody know; tests of the defaults say so.
        (config.settings.display_reports, config.settings.strangers) = (true, Strangers::Report);
        change(&mut config);
        Rig {
            node: Client::restored(config, Seed::new([life; 32]), records).unwrap(),
            life,
            now: Now::new(Instant::ZERO, DateTime::parse("2026-11-21T10:00:00Z").unwrap()),
            sent: VecDeque::new(),
            log: Vec::new(),
            events: VecDeque::new(),
            stores: VecDeque::new(),
            resolves: VecDeque::new(),
            seen_queries: VecDeque::new(),
            opens: VecDeque::new(),
            written: BTreeMap::new(),
            closed: Vec::new(),
            state: Vec::new(),
            state_queries: VecDeque::new(),
            auto_state: Some(Ok(())),
            auto_store: Some(Ok(())),
            write_at_most: usize::MAX,
            writable: true,
            last_flow: 100,
            state_kept: Vec::new(),
            received_records: Vec::new(),
        }
    }

    pub(super) fn flow(
        &mut self,
        flow: FlowId,
        protocol: Protocol,
        transport: Transport,
        peer: &str,
        trust: Trust,
    ) {
        let info = info(protocol, transport, addr(peer), trust);
        self.node.handle_accepted(self.now, flow, info);
        self.pump();
    }

    /// Takes all that the node wants done.
    pub(super) fn pump(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Datagram(flow, octets) => {
                    assert_eq!(flow, SIP);
                    let message = cpm_sip::parse_datagram(octets.clone(), &cpm_sip::Limits::default());
                    self.sent.push_back(message.unwrap());
                    self.log.push(octets);
                }
                Action::Open(open, Target { protocol: Protocol::Msrp, remote, transport }) => {
                    assert_eq!(transport, Transport::Tcp);
                    self.opens.push_back((open, remote));
                }
                Action::Open(open, Target { .. }) => {
                    self.node.handle_opened(self.now, open, Err(OpenError::Unreachable));
                }
                Action::Close(flow, why) => {
                    self.closed.push((flow, why));
                    self.node.handle_closed(self.now, flow, why);
                }
                Action::WantsWrite(flow) => self.write(flow),
                Action::Query(id, Query::Store(Record::Received(record))) => match self.auto_store {
                    Some(reply) => {
                        self.received_records.extend(reply.is_ok().then(|| record.clone()));
                        self.stores.push_back((id, record));
                        self.node.handle_reply(self.now, id, Reply::Stored(reply));
                    }
                    None => self.stores.push_back((id, record)),
                },
                Action::Query(id, Query::Store(Record::State(record))) => {
                    self.state.push(record.clone());
                    match self.auto_state {
                        Some(reply) => {
                            self.state_kept.extend(reply.is_ok().then_some(record));
                            self.node.handle_reply(self.now, id, Reply::Stored(reply));
                        }
                        None => self.state_queries.push_back((id, record)),
                    }
                }
                Action::Query(id, Query::Resolve(query)) => {
                    // The core resolves SIP names; those of media are the test's matter.
                    if query.transport == Some(Transport::Tcp) {
                        self.resolves.push_back((id, query));
                    } else {
                        let found = vec![(Transport::Udp, addr(CORE))];
                        self.node.handle_reply(self.now, id, Reply::Resolved(found));
                    }
                }
                Action::Query(id, Query::IsSeen { user, message_id }) => {
                    assert_eq!(user.as_str(), "sip:alice@example.com");
                    self.seen_queries.push_back((id, message_id));
                }
                Action::Query(_, other) => panic!("unexpected query {other:?}"),
                Action::Event(event) => self.events.push_back(event),
            }
        }
    }

    /// Lets a stream take what it can.
    pub(super) fn write(&mut self, flow: FlowId) {
        if !self.writable {
            return;
        }
        let mut out = Vec::new();
        while self.node.poll_transmit(self.now, flow, self.write_at_most, &mut out) > 0 {}
        self.written.entry(flow).or_default().extend(out);
    }

    /// Lets time pass, from deadline to deadline.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now.mono.plus(by);
        for _ in 0..100_000 {
            match self.node.next_timeout().filter(|due| *due <= end) {
                Some(due) => {
                    self.now = self.now.plus(due.since(self.now.mono));
                    self.node.handle_timeout(self.now);
                    self.pump();
                }
                None => {
                    self.now = self.now.plus(end.since(self.now.mono));
                    return;
                }
            }
        }
        panic!("timers never rest");
    }

    pub(super) fn command<R>(
        &mut self,
        command: impl FnOnce(&mut Client, Now, &mut cpm_core::Ports<'_, ClientEvent>) -> R,
    ) -> R {
        let now = self.now;
        let result = self.node.command(now, |client, ports| command(client, now, ports));
        self.pump();
        result
    }

    pub(super) fn send(&mut self, message: NewMessage) -> SentMessage {
        self.command(|client, now, ports| client.send_message(now, ports, message)).unwrap()
    }

    /// A SIP datagram of the core.
    pub(super) fn deliver(&mut self, octets: impl Into<Bytes>) {
        self.deliver_on(SIP, octets);
    }

    pub(super) fn deliver_on(&mut self, flow: FlowId, octets: impl Into<Bytes>) {
        self.node.handle_datagram(self.now, flow, octets.into());
        self.pump();
    }

    /// Answers a request of the client; `extra` are whole header lines, each with its CRLF.
    pub(super) fn answer(&mut self, request: &Request, status: &str, extra: &str, body: &str) {
        self.deliver(response_to(request, status, extra, body));
    }

    pub(super) fn next_request(&mut self, method: Method) -> Request {
        match self.sent.pop_front() {
            Some(Message::Request(request)) => {
                assert_eq!(*request.method(), method);
                request
            }
            other => panic!("no {method:?} but {other:?}"),
        }
    }

    pub(super) fn next_response(&mut self, status: u16) -> Response {
        match self.sent.pop_front() {
            Some(Message::Response(response)) => {
                assert_eq!(response.status().as_u16(), status, "{response:?}");
                response
            }
            other => panic!("no {status} but {other:?}"),
        }
    }

    pub(super) fn next_event(&mut self) -> ClientEvent {
        self.events.pop_front().expect("an event")
    }

    /// A message that was received, as event.
    pub(super) fn next_received(&mut self) -> crate::ReceivedMessage {
        match self.next_event() {
            ClientEvent::Received(message) => *message,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn reply_store(&mut self, result: Result<(), StoreError>) {
        let (id, record) = self.stores.pop_front().expect("a store query");
        self.received_records.extend(result.is_ok().then_some(record));
        self.node.handle_reply(self.now, id, Reply::Stored(result));
        self.pump();
    }

    /// More that the store holds.
    pub(super) fn keep_also(&mut self, records: Vec<StateRecord>) {
        self.state_kept.extend(records);
    }

    /// The store's word of the oldest state that waits for it.
    pub(super) fn reply_state(&mut self, result: Result<(), StoreError>) -> StateRecord {
        let (id, record) = self.state_queries.pop_front().expect("state to be kept");
        self.state_kept.extend(result.is_ok().then(|| record.clone()));
        self.node.handle_reply(self.now, id, Reply::Stored(result));
        self.pump();
        record
    }

    /// Nothing was sent since the last look.
    #[track_caller]
    pub(super) fn quiet_but_events(&mut self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
    }

    /// Nothing was said since the last look.
    #[track_caller]
    pub(super) fn quiet(&mut self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
        assert!(self.events.is_empty(), "{:?}", self.events);
        assert!(self.opens.is_empty(), "{:?}", self.opens);
    }

    /// After all timers: nothing is left of anything.
    #[track_caller]
    pub(super) fn at_rest(&mut self) {
        self.advance(secs(600));
        assert!(self.node.function().is_idle(), "{:?}", self.node.function().metrics());
        assert!(self.node.is_idle(), "{:?} {:?}", self.node.next_timeout(), self.node.metrics());
        assert_eq!(self.node.next_timeout(), None, "{:?}", self.node.metrics());
    }

    // MSRP

    /// Opens the connection that the client wants; returns its flow and where it leads.
    pub(super) fn connect(&mut self) -> (FlowId, SocketAddr) {
        let (open, remote) = self.opens.pop_front().expect("the client connects");
        self.last_flow += 1;
        let flow = FlowId(self.last_flow);
        let info = info(Protocol::Msrp, Transport::Tcp, remote, Trust::Outside);
        self.node.handle_opened(self.now, open, Ok((flow, info)));
        self.pump();
        (flow, remote)
    }

    /// A peer connects to the client.
    pub(super) fn accept(&mut self) -> FlowId {
        self.last_flow += 1;
        let flow = FlowId(self.last_flow);
        self.flow(flow, Protocol::Msrp, Transport::Tcp, "203.0.113.9:40000", Trust::Outside);
        flow
    }

    pub(super) fn stream(&mut self, flow: FlowId, octets: impl Into<Bytes>) {
        self.node.handle_stream(self.now, flow, octets.into());
        self.pump();
    }

    /// The MSRP frames that the client wrote on a flow since the last look.
    pub(super) fn frames(&mut self, flow: FlowId) -> Vec<Frame> {
        parse_frames(&self.written.remove(&flow).unwrap_or_default())
    }

    pub(super) fn one_frame(&mut self, flow: FlowId) -> Frame {
        let mut frames = self.frames(flow);
        assert_eq!(frames.len(), 1, "{frames:?}");
        frames.remove(0)
    }
}

pub(super) fn info(protocol: Protocol, transport: Transport, peer: SocketAddr, trust: Trust) -> FlowInfo {
    let local = addr(if protocol == Protocol::Sip { ALICE_SIP } else { ALICE_MSRP });
    FlowInfo { protocol, transport, local, peer, secure_identity: None, trust }
}

/// A response with the five fields that RFC 3261 §8.2.6 asks for, a To tag, and more.
pub(super) fn response_to(request: &Request, status: &str, extra: &str, body: &str) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
        for value in request.headers().get_all(&name) {
            let tag = if name == HeaderName::To && !value.to_text().unwrap().contains(";tag=") {
                ";tag=far"
            } else {
                ""
            };
            text.push_str(&format!("{name}: {}{tag}\r\n", value.to_text().unwrap()));
        }
    }
    text.push_str(extra);
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// All values of a field, one per line.
pub(super) fn values(headers: &cpm_sip::Headers, name: &str) -> Vec<String> {
    let all = headers.iter().filter(|(n, _)| n.to_string().eq_ignore_ascii_case(name));
    all.map(|(_, value)| value.to_text().unwrap().into_owned()).collect()
}

/// The only value of a field.
#[track_caller]
pub(super) fn value(headers: &cpm_sip::Headers, name: &str) -> String {
    let mut all = values(headers, name);
    assert_eq!(all.len(), 1, "{name}: {all:?}");
    all.remove(0)
}

/// A request from the core, built as text.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) method: &'static str,
    pub(super) branch: String,
    pub(super) call_id: String,
    pub(super) lines: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Incoming {
    /// A MESSAGE with a CPIM body, as a terminating network sends it.
    pub(super) fn message(n: u32, body: impl Into<Vec<u8>>) -> Incoming {
        Incoming::new("MESSAGE", n, MSG, "message/cpim", body.into())
    }

    pub(super) fn invite(n: u32, sdp: &str) -> Incoming {
        let invite = Incoming::new("INVITE", n, LARGE, "application/sdp", sdp.into());
        invite.with("Contact", "<sip:198.51.100.1:5060>")
    }

    pub(super) fn new(
        method: &'static str,
        n: u32,
        feature: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Incoming {
        let service = feature.replace("%3A", ":");
        let lines = [
            ("From", "<sip:bob@example.org>;tag=b0b"),
            ("To", "<sip:alice@example.com>"),
            ("Max-Forwards", "60"),
            ("P-Asserted-Identity", "\"Bob\" <sip:bob@example.org>"),
            ("P-Asserted-Service", &service),
            ("Accept-Contact", &format!("*;+g.3gpp.icsi-ref=\"{feature}\";require;explicit")),
            ("Conversation-ID", CONVERSATION),
            ("Contribution-ID", CONTRIBUTION),
            ("Content-Type", content_type),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Incoming {
            method,
            branch: format!("z9hG4bKcore{n}"),
            call_id: format!("call{n}@core"),
            lines: lines.into(),
            body,
        }
    }

    /// Replaces a field, or adds it.
    pub(super) fn with(mut self, name: &str, value: &str) -> Incoming {
        self.lines.retain(|(n, _)| n != name);
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Incoming {
        self.lines.retain(|(n, _)| n != name);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "{} sip:alice@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch={}\r\nCall-ID: {}\r\nCSeq: 1 {}\r\n",
            self.method, self.branch, self.call_id, self.method
        );
        for (name, value) in &self.lines {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut octets = text.into_bytes();
        octets.extend(&self.body);
        octets
    }

    /// The ACK of a refused INVITE.
    pub(super) fn follow_up_of_refusal(&self, refusal: &Response) -> Vec<u8> {
        format!(
            "ACK sip:alice@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch={}\r\nMax-Forwards: 60\r\n\
             From: <sip:bob@example.org>;tag=b0b\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
            self.branch,
            value(refusal.headers(), "To"),
            self.call_id
        )
        .into_bytes()
    }

    /// A request of the same dialog, after the client's 2xx.
    pub(super) fn follow_up(&self, method: &str, cseq: u32, ok: &Response, extra: &str) -> Vec<u8> {
        let contact = value(ok.headers(), "Contact");
        let target = contact.split(['<', '>']).nth(1).unwrap();
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch={}{method}{cseq}\r\nMax-Forwards: 60\r\n\
             From: <sip:bob@example.org>;tag=b0b\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{extra}\
             Content-Length: 0\r\n\r\n",
            self.branch,
            value(ok.headers(), "To"),
            self.call_id
        )
        .into_bytes()
    }
}

/// A CPIM message to Alice, as Bob's client writes it.
pub(super) fn cpim(message_id: &str, wishes: &str, text: &str) -> String {
    let wishes = if wishes.is_empty() {
        String::new()
    } else {
        format!("imdn.Disposition-Notification: {wishes}\r\n")
    };
    format!(
        "From: \"Bob B.\" <sip:bob@example.org>\r\nTo: <sip:alice@example.com>\r\n\
         DateTime: 2026-11-21T09:59:58Z\r\nSubject: Lunch\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: {message_id}\r\n{wishes}\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\n{text}"
    )
}

/// A CPIM message around an IMDN document.
pub(super) fn cpim_imdn(message_id: &str, document: &str) -> String {
    format!(
        "From: <sip:bob@example.org>\r\nTo: <sip:alice@example.com>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: {message_id}\r\nDateTime: 2026-11-21T10:00:01Z\r\n\r\n\
         Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n{document}"
    )
}

/// An IMDN document about a message.
pub(super) fn imdn(about: &str, notifications: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\
         <message-id>{about}</message-id><datetime>2026-11-21T10:00:00Z</datetime>\
         <recipient-uri>sip:bob@example.org</recipient-uri>{notifications}</imdn>"
    )
}

pub(super) fn parse_cpim(octets: &Bytes) -> cpm_cpim::CpimMessage {
    let (message, tolerated) = cpm_cpim::CpimMessage::parse(
        octets.clone(),
        &cpm_cpim::Limits::default(),
        &cpm_cpim::Leniency::default(),
    )
    .unwrap();
    assert!(tolerated.is_empty());
    message
}

/// An MSRP message as it stood on the stream, read by nothing of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) id: String,
    /// `SEND`, `REPORT`, or the status line's rest.
    pub(super) start: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) flag: char,
}

impl Frame {
    #[track_caller]
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        &found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1
    }

    /// The 200 (or else) to it.
    pub(super) fn response(&self, status: &str) -> String {
        let (to, from) = (self.header("From-Path"), self.header("To-Path"));
        format!("MSRP {} {status}\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n-------{}$\r\n", self.id, self.id)
    }
}

fn find(octets: &[u8], what: &[u8]) -> Option<usize> {
    octets.windows(what.len()).position(|window| window == what)
}

pub(super) fn parse_frames(mut octets: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !octets.is_empty() {
        let line_end = find(octets, b"\r\n").expect("a start line");
        let line = core::str::from_utf8(&octets[..line_end]).unwrap();
        let (id, start) = line.strip_prefix("MSRP ").unwrap().split_once(' ').unwrap();
        let end_line = format!("-------{id}");
        let end = find(octets, format!("\r\n{end_line}").as_bytes()).expect("an end line");
        let after = end + 2 + end_line.len();
        let flag = char::from(octets[after]);
        assert_eq!(&octets[after + 1..after + 3], b"\r\n");
        let inner = &octets[line_end..end];
        let (head, body) = match find(inner, b"\r\n\r\n") {
            Some(at) => (&inner[..at], Some(inner[at + 4..].to_vec())),
            None => (inner, None),
        };
        let headers = core::str::from_utf8(head)
            .unwrap()
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        frames.push(Frame { id: id.to_owned(), start: start.to_owned(), headers, body, flag });
        octets = &octets[after + 3..];
    }
    frames
}

pub(super) const PEER_MSRP: &str = "203.0.113.5:7654";
pub(super) const PEER_PATH: &str = "msrp://203.0.113.5:7654/jshA7weztas8sdkj;tcp";

/// An offer of a large message to the client, or an answer: its `setup`, and more attribute lines.
pub(super) fn sdp(direction: &str, setup: &str, extra: &str) -> String {
    let setup = if setup.is_empty() { String::new() } else { format!("a=setup:{setup}\r\n") };
    format!(
        "v=0\r\no=- 1 1 IN IP4 203.0.113.5\r\ns=-\r\nc=IN IP4 203.0.113.5\r\nt=0 0\r\n\
         m=message 7654 TCP/MSRP *\r\na=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\n\
         a=path:{PEER_PATH}\r\na={direction}\r\n{setup}{extra}"
    )
}

pub(super) fn offer(setup: &str, extra: &str) -> String {
    sdp("sendonly", setup, extra)
}
