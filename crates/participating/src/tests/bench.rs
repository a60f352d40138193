//! A Participating Function between hands that play the core: octets in, octets out, time as it is told.

use crate::RegSubscription;
use crate::{ParticipatingConfig, ParticipatingEvent, ParticipatingFunction};
use bytes::Bytes;
use cpm_base::{
    CloseReason, DateTime, FlowId, FlowInfo, Instant, Now, OpenError, OpenId, Protocol, Seed, Target,
    Transport, Trust,
};
use cpm_core::{Action, Node, Query, QueryId, Record, Reply, StateRecord, StoreError};
use cpm_sip::{Frame, HeaderName, Limits, Message, Request, Response, StreamFramer, Uri, parse_datagram};
use std::collections::BTreeMap;
use std::time::Duration;

/// The core's datagram flow, its stream flow, and a datagram flow of anybody else.
pub(super) const CORE: FlowId = FlowId(1);
pub(super) const CORE_STREAM: FlowId = FlowId(2);
pub(super) const OUTSIDE: FlowId = FlowId(3);

pub(super) struct Bench {
    pub(super) node: Node<ParticipatingFunction>,
    pub(super) now: Now,
    sent: Vec<(FlowId, Message)>,
    pub(super) octets: Vec<(FlowId, Bytes)>,
    pub(super) events: Vec<ParticipatingEvent>,
    pub(super) opens: Vec<(OpenId, Target)>,
    /// Queries that `answer` said nothing to.
    pub(super) queries: Vec<(QueryId, Query)>,
    /// What the host replies at once. Users have no preferences, unless a test says something else.
    pub(super) answer: fn(&Query) -> Option<Reply>,
    /// Queries that were answered so.
    pub(super) answered: Vec<Query>,
    /// Writes of state, which are answered at once while `store` says how.
    pub(super) states: Vec<StateRecord>,
    pub(super) store: Option<Result<(), StoreError>>,
    pub(super) closes: Vec<(FlowId, CloseReason)>,
    framers: BTreeMap<FlowId, StreamFramer>,
}

pub(super) fn config() -> ParticipatingConfig {
    let Ok(Uri::Sip(own)) = Uri::parse("sip:pf.home.test") else { panic!("a SIP URI") };
    let mut config = ParticipatingConfig::new(own);
    // What a core tells that includes everything in its third-party REGISTERs is enough.
    config.policy.reg_subscription = RegSubscription::WhenNotTold;
    config
}

/// Nobody wishes anything.
pub(super) fn no_preferences(query: &Query) -> Option<Reply> {
    matches!(query, Query::Preferences(_)).then(|| query.unanswered())
}

fn flow(transport: Transport, peer: &str, trust: Trust) -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Sip,
        transport,
        local: "192.0.2.20:5060".parse().unwrap(),
        peer: peer.parse().unwrap(),
        secure_identity: None,
        trust,
    }
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with(config(), Seed::new([7; 32]))
    }

    pub(super) fn with(config: ParticipatingConfig, seed: Seed) -> Bench {
        let now = Now::new(Instant::from_micros(5_000_000), DateTime::UNIX_EPOCH);
        Bench::of(ParticipatingFunction::node(config, seed).unwrap(), now)
    }

    pub(super) fn of(node: Node<ParticipatingFunction>, now: Now) -> Bench {
        let mut bench = Bench {
            node,
            now,
            sent: Vec::new(),
            octets: Vec::new(),
            events: Vec::new(),
            opens: Vec::new(),
            queries: Vec::new(),
            answer: no_preferences,
            answered: Vec::new(),
            states: Vec::new(),
            store: Some(Ok(())),
            closes: Vec::new(),
            framers: BTreeMap::new(),
        };
        let flows = [
            (CORE, flow(Transport::Udp, "192.0.2.10:5060", Trust::Core)),
            (CORE_STREAM, flow(Transport::Tcp, "192.0.2.10:5070", Trust::Core)),
            (OUTSIDE, flow(Transport::Udp, "203.0.113.9:5060", Trust::Outside)),
        ];
        for (id, info) in flows {
            bench.node.handle_accepted(bench.now, id, info);
        }
        bench.drain();
        bench
    }

    pub(super) fn drain(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Datagram(flow, octets) => {
                    self.octets.push((flow, octets.clone()));
                    let message = parse_datagram(octets, &Limits::default()).expect("what is sent is SIP");
                    self.sent.push((flow, message));
                }
                Action::WantsWrite(flow) => self.write(flow),
                Action::Open(id, target) => self.opens.push((id, target)),
                Action::Query(id, Query::Store(Record::State(state))) if self.store.is_some() => {
                    self.states.push(state);
                    let result = self.store.unwrap_or(Ok(()));
                    self.node.handle_reply(self.now, id, Reply::Stored(result));
                }
                Action::Query(id, query) => match (self.answer)(&query) {
                    Some(reply) => {
                        self.answered.push(query);
                        self.node.handle_reply(self.now, id, reply);
                    }
                    None => self.queries.push((id, query)),
                },
                Action::Close(flow, why) => self.closes.push((flow, why)),
                Action::Event(event) => self.events.push(event),
            }
        }
    }

    /// Takes stream octets in pieces of 7.
    fn write(&mut self, flow: FlowId) {
        let mut all = Vec::new();
        while self.node.poll_transmit(self.now, flow, 7, &mut all) > 0 {}
        let octets = Bytes::from(all);
        self.octets.push((flow, octets.clone()));
        let framer = self.framers.entry(flow).or_insert_with(|| StreamFramer::new(Limits::default()));
        framer.push(octets);
        while let Some(frame) = framer.next() {
            match frame {
                Frame::Message(message) => self.sent.push((flow, *message)),
                // An answer to blank lines.
                Frame::KeepAlivePing | Frame::Pong => {}
                other => panic!("what is sent is framed: {other:?}"),
            }
        }
    }

    pub(super) fn datagram_on(&mut self, flow: FlowId, octets: impl Into<Bytes>) {
        self.node.handle_datagram(self.now, flow, octets.into());
        self.drain();
    }

    pub(super) fn datagram(&mut self, octets: impl Into<Bytes>) {
        self.datagram_on(CORE, octets);
    }

    pub(super) fn stream(&mut self, octets: impl Into<Bytes>) {
        self.node.handle_stream(self.now, CORE_STREAM, octets.into());
        self.drain();
    }

    /// The host replies.
    pub(super) fn reply(&mut self, id: QueryId, reply: Reply) {
        self.node.handle_reply(self.now, id, reply);
        self.drain();
    }

    pub(super) fn close(&mut self, flow: FlowId) {
        self.node.handle_closed(self.now, flow, CloseReason::Failed);
        self.drain();
    }

    pub(super) fn refuse_opens(&mut self) {
        for (id, _) in std::mem::take(&mut self.opens) {
            self.node.handle_opened(self.now, id, Err(OpenError::Refused));
        }
        self.drain();
    }

    /// What was sent since the last look, with the flow it went out on.
    pub(super) fn take_with_flows(&mut self) -> Vec<(FlowId, Message)> {
        std::mem::take(&mut self.sent)
    }

    pub(super) fn requests(&mut self) -> Vec<Request> {
        let sent = self.take_with_flows().into_iter();
        sent.map(|(_, message)| message.as_request().expect("requests alone").clone()).collect()
    }

    /// The requests of one method among what was sent.
    pub(super) fn requests_of_method(&mut self, method: &str) -> Vec<Request> {
        let sent = self.take_with_flows().into_iter();
        let requests = sent.filter_map(|(_, message)| message.as_request().cloned());
        requests.filter(|request| request.method().as_str() == method).collect()
    }

    pub(super) fn responses(&mut self) -> Vec<Response> {
        let sent = self.take_with_flows().into_iter();
        sent.map(|(_, message)| message.as_response().expect("responses alone").clone()).collect()
    }

    pub(super) fn request(&mut self) -> Request {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    pub(super) fn response(&mut self) -> Response {
        let mut all = self.responses();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// First lines of what was sent, with the method that a response is for.
    pub(super) fn labels(&mut self) -> Vec<String> {
        self.take_with_flows().iter().map(|(_, message)| label(message)).collect()
    }

    /// Lets time pass, deadline by deadline.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now.mono.plus(by);
        while let Some(at) = self.node.next_timeout().filter(|at| *at <= end) {
            let before = (self.octets.len(), self.events.len(), self.opens.len());
            self.now = self.now.plus(at.since(self.now.mono));
            self.node.handle_timeout(self.now);
            self.drain();
            let moved = self.node.next_timeout() != Some(at);
            assert!(moved || before != (self.octets.len(), self.events.len(), self.opens.len()));
        }
        self.now = self.now.plus(end.since(self.now.mono));
    }

    /// The same, where a 100 to an unanswered MESSAGE (RFC 4320 §4.1) is of no interest.
    pub(super) fn wait(&mut self, by: Duration) {
        self.advance(by);
        let trying = |message: &Message| message.as_response().is_some_and(|r| r.status().as_u16() == 100);
        self.sent.retain(|(_, message)| !trying(message));
    }

    /// Lets time pass until something is sent, at most so long.
    pub(super) fn advance_to_sent(&mut self, at_most: Duration) {
        let end = self.now.mono.plus(at_most);
        while self.sent.is_empty() && self.now.mono < end {
            let next = self.node.next_timeout().map_or(end, |at| at.min(end));
            self.advance(next.since(self.now.mono));
        }
    }

    /// Long enough for every transaction to end; then nothing is left of any.
    pub(super) fn rest(&mut self) {
        self.advance(Duration::from_secs(700));
        assert_eq!(self.node.function().pending(), 0);
        self.refuse_opens();
        self.advance(Duration::from_secs(700));
        assert!(self.node.is_idle(), "{:?}", self.node);
    }

    /// Bob's devices, in a third-party REGISTER with both parts.
    pub(super) fn bob_has(&mut self, contacts: &[&str]) {
        let contacts = contacts.iter().map(|contact| format!("Contact: {contact}\n")).collect::<String>();
        self.datagram(third_party(1, "600", &accepted(&contacts)));
        assert_eq!(self.response().status().as_u16(), 200);
    }
}

fn label(message: &Message) -> String {
    match message {
        Message::Request(request) => request.method().as_str().to_owned(),
        Message::Response(response) => {
            let cseq = response.typed::<cpm_sip::CSeq>().unwrap().unwrap();
            format!("{} {}", response.status().as_u16(), cseq.method)
        }
    }
}

/// Text with CRLF for every line end.
pub(super) fn wire(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// A message: header lines with plain line ends, and a body as it is. Content-Length is added.
pub(crate) fn message(head: &str, body: &str) -> String {
    format!("{}Content-Length: {}\r\n\r\n{body}", wire(head), body.len())
}

/// Bob's devices by their instance.
pub(super) const PHONE: &str = "<sip:bob@192.0.2.31:5060>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000000a>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg,urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg\";expires=600";
pub(super) const TABLET: &str = "<sip:bob@192.0.2.32:5060>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000000b>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg,urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg\";expires=600";
/// It registered no instance.
pub(super) const PLAIN: &str = "<sip:bob@192.0.2.33:5060>;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\";expires=600";
/// It does not do messages at all.
pub(super) const PHONE_WITHOUT: &str = "<sip:bob@192.0.2.34:5060>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000000d>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";expires=600";

pub(super) const WISH: &str =
    "Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\"\n";

/// The 200 to a client's REGISTER.
pub(super) fn accepted(contacts: &str) -> String {
    let head = format!(
        "SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.31:5060;branch=z9hG4bKreg
From: <sip:bob@home.test>;tag=d1
To: <sip:bob@home.test>;tag=r1
Call-ID: reg-1
CSeq: 3 REGISTER
{contacts}P-Associated-URI: <sip:bob@home.test>, <tel:+15550002>
"
    );
    message(&head, "")
}

/// A third-party REGISTER about Bob with the client's REGISTER and this response to it.
pub(super) fn third_party(cseq: u32, expires: &str, answer: &str) -> String {
    let register = message(
        "REGISTER sip:home.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.31:5060;branch=z9hG4bKreg
From: <sip:bob@home.test>;tag=d1
To: <sip:bob@home.test>
Call-ID: reg-1
CSeq: 3 REGISTER
Max-Forwards: 70
User-Agent: CPM-client/OMA2.1
",
        "",
    );
    let part = |octets: &str| format!("--b1\r\nContent-Type: message/sip\r\n\r\n{octets}\r\n");
    let body = format!("{}{}--b1--\r\n", part(&register), part(answer));
    third_party_with(cseq, expires, "multipart/mixed;boundary=b1", &body)
}

/// A third-party REGISTER about Bob with any body.
pub(super) fn third_party_with(cseq: u32, expires: &str, content_type: &str, body: &str) -> String {
    let expires = if expires.is_empty() { String::new() } else { format!("Expires: {expires}\n") };
    let typed = if body.is_empty() { String::new() } else { format!("Content-Type: {content_type}\n") };
    let head = format!(
        "REGISTER sip:pf.home.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKtp{cseq}
Max-Forwards: 70
From: <sip:core.home.test>;tag=c1
To: <sip:bob@home.test>
Call-ID: third-party-1
CSeq: {cseq} REGISTER
Contact: <sip:core.home.test>
{expires}{typed}"
    );
    message(&head, body)
}

/// A MESSAGE from the core, with more header lines.
pub(crate) fn pager(branch: &str, case: &str, more: &str) -> String {
    let served = if case == "orig" { "alice" } else { "bob" };
    let head = format!(
        "MESSAGE sip:bob@home.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{branch}
Max-Forwards: 68
Route: <sip:pf.home.test;lr>
Route: <sip:192.0.2.10;lr;after={case}>
From: <sip:alice@home.test>;tag=a1
To: <sip:bob@home.test>
Call-ID: msg-{branch}
CSeq: 1 MESSAGE
P-Asserted-Identity: <sip:alice@home.test>
P-Served-User: <sip:{served}@home.test>;sescase={case};regstate=reg
Conversation-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6
Contribution-ID: abcdef00-1234-4678-90ab-cdef01234567
{more}Content-Type: text/plain
"
    );
    message(&head, "hello")
}

/// An INVITE from the core, with more header lines.
pub(super) fn invite(branch: &str, case: &str, more: &str) -> String {
    let wish =
        "Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.largemsg\"\n";
    let contact = "Contact: <sip:alice@192.0.2.30:5060>\n";
    let record = "Record-Route: <sip:192.0.2.10;lr>\n";
    let text = pager(branch, case, &format!("{wish}{contact}{record}{more}"));
    text.replace("MESSAGE", "INVITE").replace("text/plain", "application/sdp")
}

/// What the far side says to a request.
pub(super) fn answer(request: &Request, status: &str, tag: &str, more: &str, body: &str) -> String {
    let mut head = format!("SIP/2.0 {status}\n");
    let headers = request.headers();
    for name in [HeaderName::Via, HeaderName::RecordRoute] {
        for value in headers.get_all(&name) {
            head += &format!("{name}: {}\n", value.to_text().unwrap());
        }
    }
    let text = |name: HeaderName| headers.get(&name).unwrap().to_text().unwrap().into_owned();
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    head += &format!(
        "From: {}\nTo: {}{tag}\nCall-ID: {}\nCSeq: {}\n{more}",
        text(HeaderName::From),
        text(HeaderName::To),
        text(HeaderName::CallId),
        text(HeaderName::CSeq)
    );
    message(&head, body)
}

/// The text of a header field, once it is there once.
pub(super) fn header(headers: &cpm_sip::Headers, name: &HeaderName) -> String {
    assert_eq!(headers.count(name), 1, "{name}");
    headers.get(name).unwrap().to_text().unwrap().into_owned()
}

/// All values of a header field, one for each line.
pub(super) fn lines(headers: &cpm_sip::Headers, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).map(|value| value.to_text().unwrap().into_owned()).collect()
}

/// Names of requests that an endpoint gave out.
pub(super) fn request_ids(count: usize) -> Vec<cpm_ua::RequestId> {
    let mut endpoint = cpm_ua::Endpoint::new(cpm_ua::Config::proxy(Seed::new([3; 32]), "")).unwrap();
    let now = Now::new(Instant::ZERO, DateTime::UNIX_EPOCH);
    endpoint.handle_accepted(now, CORE, flow(Transport::Udp, "192.0.2.10:5060", Trust::Core));
    for n in 0..count {
        endpoint.handle_datagram(now, CORE, pager(&format!("id{n}"), "term", "").into());
    }
    let mut ids = Vec::new();
    while let Some(action) = endpoint.poll_action() {
        if let cpm_ua::Action::Event(cpm_ua::Event::Request { id, .. }) = action {
            ids.push(id);
        }
    }
    assert_eq!(ids.len(), count);
    ids
}
