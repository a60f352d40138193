//! The SIP endpoint: what a transaction costs beside the codec's part of it, how many go through in a second, and what is
//! held.
//!
//! `cargo bench -p cpm-benches --bench endpoint`. The codec's part is: write a MESSAGE, parse it, read what a transaction
//! needs, write its 200, parse that and read what is needed of it. Both messages have the header fields and the length of
//! the ones that the endpoints exchange, which is checked. The same messages through two endpoints back to back,
//! over a stream flow (where nothing is kept after the answer) and over UDP at steady state (where 32 s of completed
//! transactions are). Rounds are interleaved; ratios are minimum against minimum of the same run.

use allocation_counter::{measure, opt_out};
use bytes::Bytes;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_sip::{
    CSeq, CSeqRef, CallId, CallIdRef, ContactRef, From, FromRef, HeaderName, HeaderText, Headers, Host,
    Limits, MaxForwards, Message, Method, Request, Response, StatusCode, To, ToRef, Uri, Via, ViaRef,
    parse_datagram,
};
use cpm_ua::{Action, Body, Config, Destination, DialogId, Endpoint, Event};
use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant as Clock};

const ROUNDS: usize = 300;
const TURNS: usize = 40;
const FLOW: FlowId = FlowId(1);

/// A pager message of CPM: CPIM with two IMDN header fields and a line of text.
const BODY: &[u8] = b"From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\nDateTime: 2026-03-01T12:00:00Z\r\n\
NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: d834jied93rf\r\nimdn.Disposition-Notification: positive-delivery, display\r\n\
\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 15\r\n\r\nHello over CPM.";

fn uri(text: &str) -> Uri {
    Uri::parse(text).expect("a URI")
}

fn text(text: &str) -> HeaderText {
    HeaderText::new(text).expect("header text")
}

/// What a function gives: the rest is the endpoint's.
struct Outline {
    target: Uri,
    from: From,
    content_type: HeaderText,
    body: Bytes,
}

impl Outline {
    fn new() -> Outline {
        Outline {
            target: uri("sip:bob@192.0.2.2;transport=tcp"),
            from: From::new(uri("sip:alice@example.com")),
            content_type: text("message/cpim"),
            body: Bytes::from_static(BODY),
        }
    }

    fn request(&self) -> Request {
        Request::new(Method::Message, self.target.clone())
            .with_typed(&self.from)
            .with_header(HeaderName::ContentType, self.content_type.clone())
            .with_body(self.body.clone())
    }
}

/// Octets of the request and the response.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Lengths {
    request: usize,
    response: usize,
}

/// What a transaction needs of either message, read where it stands.
fn read(message: &Headers) -> usize {
    let via: ViaRef<'_> = message.view().expect("Via").expect("Via");
    let from: FromRef<'_> = message.view().expect("From").expect("From");
    let to: ToRef<'_> = message.view().expect("To").expect("To");
    let call_id: CallIdRef<'_> = message.view().expect("Call-ID").expect("Call-ID");
    let cseq: CSeqRef<'_> = message.view().expect("CSeq").expect("CSeq");
    via.branch().map_or(0, |b| b.len())
        + from.tag().map_or(0, |t| t.len())
        + to.tag().map_or(0, |t| t.len())
        + call_id.as_str().len()
        + cseq.method().len()
}

/// The codec's part.
fn codec_alone(outline: &Outline, host: &Host, peer: IpAddr) -> Lengths {
    let from = outline.from.clone().with_tag("k3m9t7w2q5x8z1c4");
    let request = Request::new(Method::Message, outline.target.clone())
        .with_typed(
            &Via::new("TCP", host.clone(), Some(5060))
                .with_branch("z9hG4bKk3m9t7w2q5x8z1c4v6b0")
                .with_rport(),
        )
        .with_typed(&from)
        .with_typed(&To::new(outline.target.clone()))
        .with_typed(&CallId::new("k3m9t7w2q5x8z1c4v6b0n2j4h6").expect("a Call-ID"))
        .with_typed(&CSeq::new(1, Method::Message))
        .with_typed(&MaxForwards(70))
        .with_header(HeaderName::UserAgent, text("bench"))
        .with_header(HeaderName::ContentType, outline.content_type.clone())
        .with_body(outline.body.clone());
    let octets = black_box(request.to_bytes());
    let mut lengths = Lengths { request: octets.len(), response: 0 };
    let Ok(Message::Request(received)) = parse_datagram(octets, &Limits::DEFAULT) else {
        panic!("no request")
    };
    let headers = received.headers();
    black_box(read(headers));
    black_box(headers.typed::<MaxForwards>().expect("Max-Forwards"));
    black_box((
        headers.contains(&HeaderName::Route),
        headers.view::<ContactRef<'_>>().expect("Contact").is_some(),
    ));
    // RFC 3261 §18.2.1, RFC 3581 §4: what the response says of the way of its request.
    let mut via = received.typed::<Via>().expect("Via").expect("Via");
    via.set_received(peer);
    via.set_rport(5060);
    let mut response = Response::for_request(&received, StatusCode::OK);
    response.headers_mut().replace_first_typed(&via);
    let to = response.typed::<To>().expect("To").expect("To").with_tag("k3m9t7w2q5x8z1c4");
    response.headers_mut().set_typed(&to);
    response.headers_mut().push(HeaderName::Server, text("bench"));
    response.ensure_content_length();
    let octets = black_box(response.to_bytes());
    lengths.response = octets.len();
    let Ok(Message::Response(received)) = parse_datagram(octets, &Limits::DEFAULT) else {
        panic!("no response")
    };
    black_box(read(received.headers()));
    lengths
}

/// Two endpoints with a flow between them, in virtual time.
struct Pair {
    now: Now,
    step: Duration,
    alice: Endpoint,
    bob: Endpoint,
    outline: Outline,
    buffer: Vec<u8>,
    answered: u64,
    lengths: Lengths,
}

fn info(transport: Transport, local: &str, peer: &str) -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Sip,
        transport,
        local: local.parse().expect("an address"),
        peer: peer.parse().expect("an address"),
        secure_identity: None,
        trust: Trust::Core,
    }
}

fn endpoint(seed: u8) -> Endpoint {
    Endpoint::new(Config::user_agent(Seed::new([seed; 32]), "bench")).expect("a configuration")
}

impl Pair {
    fn new(transport: Transport, step: Duration) -> Pair {
        let now = Now::new(Instant::from_micros(1), DateTime::UNIX_EPOCH);
        let (mut alice, mut bob) = (endpoint(1), endpoint(2));
        alice.handle_accepted(now, FLOW, info(transport, "192.0.2.1:5060", "192.0.2.2:5060"));
        bob.handle_accepted(now, FLOW, info(transport, "192.0.2.2:5060", "192.0.2.1:5060"));
        while alice.poll_action().is_some() || bob.poll_action().is_some() {}
        let outline = Outline::new();
        Pair {
            now,
            step,
            alice,
            bob,
            outline,
            buffer: Vec::with_capacity(8192),
            answered: 0,
            lengths: Lengths::default(),
        }
    }

    /// One MESSAGE there, its 200 back.
    fn message(&mut self) {
        self.now = self.now.plus(self.step);
        for endpoint in [&mut self.alice, &mut self.bob] {
            if endpoint.next_timeout().is_some_and(|at| at <= self.now.mono) {
                endpoint.handle_timeout(self.now);
            }
        }
        let request = self.outline.request();
        self.alice.send_request(self.now, request, Destination::Flow(FLOW)).expect("sent");
        let (now, buffer) = (self.now, &mut self.buffer);
        while let Some(action) = self.alice.poll_action() {
            let length = carry(now, action, &mut self.alice, &mut self.bob, buffer);
            self.lengths.request = length.unwrap_or(self.lengths.request);
        }
        while let Some(action) = self.bob.poll_action() {
            if let Action::Event(Event::Request { id, request, .. }) = action {
                self.bob.respond(now, id, Response::for_request(&request, StatusCode::OK)).expect("answered");
            } else {
                let length = carry(now, action, &mut self.bob, &mut self.alice, buffer);
                self.lengths.response = length.unwrap_or(self.lengths.response);
            }
        }
        while let Some(action) = self.alice.poll_action() {
            if let Action::Event(Event::Response { response, .. }) = action {
                self.answered += u64::from(response.status() == StatusCode::OK);
            }
        }
    }
}

/// Carries what one side has for the other; says how many octets.
fn carry(
    now: Now,
    action: Action,
    from: &mut Endpoint,
    to: &mut Endpoint,
    buffer: &mut Vec<u8>,
) -> Option<usize> {
    match action {
        Action::Datagram(flow, octets) => {
            let length = octets.len();
            to.handle_datagram(now, flow, octets);
            Some(length)
        }
        Action::WantsWrite(flow) => {
            buffer.clear();
            while from.poll_transmit(now, flow, 65_536, buffer) > 0 {}
            to.handle_stream(now, flow, Bytes::copy_from_slice(buffer));
            Some(buffer.len())
        }
        _ => None,
    }
}

fn timed(turns: usize, run: &mut dyn FnMut()) -> f64 {
    let begin = Clock::now();
    for _ in 0..turns {
        run();
    }
    begin.elapsed().as_nanos() as f64 / turns as f64
}

fn rates(rounds: usize) {
    let outline = Outline::new();
    let host = Host::parse("192.0.2.1").expect("a host");
    let peer = IpAddr::from([192, 0, 2, 1]);
    let mut streams = Pair::new(Transport::Tcp, Duration::ZERO);
    let mut datagrams = Pair::new(Transport::Udp, Duration::from_millis(1));
    // 33 s of virtual time: as many transactions are forgotten as are made.
    for _ in 0..if rounds > 1 { 33_000 } else { 1 } {
        datagrams.message();
    }
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..rounds {
        times[0].push(timed(TURNS, &mut || {
            black_box(codec_alone(&outline, &host, peer));
        }));
        times[1].push(timed(TURNS, &mut || streams.message()));
        times[2].push(timed(TURNS, &mut || datagrams.message()));
    }
    let allocations = [
        measure(|| {
            black_box(codec_alone(&outline, &host, peer));
        })
        .count_total,
        measure(|| streams.message()).count_total,
        measure(|| datagrams.message()).count_total,
    ];
    assert!(streams.answered > 0 && datagrams.answered > 0);
    let lengths = codec_alone(&outline, &host, peer);
    assert_eq!((lengths, lengths), (streams.lengths, datagrams.lengths), "the same messages");
    let kept = datagrams.bob.holdings().completed;
    println!("{:<44} {:>9} {:>9} {:>9} {:>7} {:>9}", "", "min ns", "median", "of codec", "allocs", "per s");
    let names = [
        "codec: write, parse and read two messages".into(),
        "two endpoints, MESSAGE and 200 on a stream".into(),
        format!("the same over UDP, {kept} kept"),
    ];
    let codec = times[0].iter().copied().fold(f64::INFINITY, f64::min);
    for ((name, times), allocations) in names.iter().zip(&mut times).zip(allocations) {
        times.sort_by(f64::total_cmp);
        let (minimum, median) = (times[0], times[times.len() / 2]);
        let (ratio, rate) = (minimum / codec, 1e9 / minimum);
        println!("{name:<44} {minimum:>9.0} {median:>9.0} {ratio:>9.2} {allocations:>7} {rate:>9.0}");
    }
}

fn drained(endpoint: &mut Endpoint) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(action) = endpoint.poll_action() {
        if let Action::Event(event) = action {
            events.push(event);
        }
    }
    events
}

/// Octets that live after `run` and did not before.
fn kept(run: impl FnOnce()) -> i64 {
    measure(run).bytes_current
}

fn wire_message(n: usize) -> String {
    format!(
        "MESSAGE sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKk3m9t7w2q5x8z{n:08};rport\r\n\
         From: <sip:alice@example.com>;tag=k3m9t7w2q5x8z1c4\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: k3m9t7w2q5x8z1c4v6{n:08}\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Type: message/cpim\r\n\
         Content-Length: {}\r\n\r\n{}",
        BODY.len(),
        std::str::from_utf8(BODY).expect("text"),
    )
}

/// Octets per transaction that awaits its answer, and per one that has it, the message apart.
fn transactions(count: usize) -> (f64, f64) {
    let now = Now::new(Instant::from_micros(1), DateTime::UNIX_EPOCH);
    let limits = cpm_ua::Limits { max_unanswered: count, ..cpm_ua::Limits::default() };
    let config = Config { limits, ..Config::user_agent(Seed::new([3; 32]), "bench") };
    let mut bob = Endpoint::new(config).expect("a configuration");
    bob.handle_accepted(now, FLOW, info(Transport::Udp, "192.0.2.2:5060", "192.0.2.1:5060"));
    drained(&mut bob);
    let (mut message, mut response) = (0, 0);
    let mut waiting = Vec::with_capacity(count);
    let unanswered = kept(|| {
        for n in 0..count {
            let octets = Bytes::from(wire_message(n).into_bytes());
            message = octets.len();
            bob.handle_datagram(now, FLOW, octets);
            for event in drained(&mut bob) {
                let Event::Request { id, .. } = event else { continue };
                opt_out(|| waiting.push(id));
            }
        }
    });
    assert_eq!(bob.holdings().unanswered, count);
    let answered = kept(|| {
        for (n, id) in waiting.iter().enumerate() {
            let Ok(Message::Request(request)) = parse_datagram(wire_message(n).into(), &Limits::DEFAULT)
            else {
                panic!()
            };
            bob.respond(now, *id, Response::for_request(&request, StatusCode::OK)).expect("answered");
            while let Some(action) = bob.poll_action() {
                if let Action::Datagram(_, octets) = action {
                    response = octets.len();
                }
            }
        }
    });
    assert_eq!(bob.holdings().completed, count);
    let each = |octets: i64, message: usize| octets as f64 / count as f64 - message as f64;
    (each(unanswered, message), each(unanswered + answered, response))
}

/// Octets per dialog that is at rest, at both ends together and halved.
fn dialogs(count: usize) -> f64 {
    let mut pair = Pair::new(Transport::Tcp, Duration::ZERO);
    let contact = |user: &str| text(&format!("<sip:{user}@192.0.2.1;transport=tcp>"));
    let mut made: Vec<DialogId> = Vec::with_capacity(count * 2);
    let octets = kept(|| {
        for _ in 0..count {
            let request = Request::new(Method::Invite, pair.outline.target.clone())
                .with_typed(&pair.outline.from)
                .with_header(HeaderName::Contact, contact("alice"))
                .with_header(HeaderName::ContentType, text("application/sdp"))
                .with_body(Bytes::from_static(b"v=0\r\n"));
            pair.alice.invite(pair.now, request, Destination::Flow(FLOW)).expect("sent");
            for _ in 0..6 {
                while let Some(action) = pair.alice.poll_action() {
                    if let Action::Event(Event::InviteAccepted { dialog, .. }) = &action {
                        opt_out(|| made.push(*dialog));
                        pair.alice.confirm(pair.now, *dialog, None::<Body>).expect("confirmed");
                    }
                    carry(pair.now, action, &mut pair.alice, &mut pair.bob, &mut pair.buffer);
                }
                while let Some(action) = pair.bob.poll_action() {
                    if let Action::Event(Event::Request { id, request, .. }) = &action {
                        let response = Response::for_request(request, StatusCode::OK)
                            .with_header(HeaderName::Contact, contact("bob"));
                        let dialog = pair.bob.accept(pair.now, *id, response).expect("accepted");
                        opt_out(|| made.push(dialog));
                    }
                    carry(pair.now, action, &mut pair.bob, &mut pair.alice, &mut pair.buffer);
                }
            }
        }
        // All transactions of the calls are over after that.
        pair.now = pair.now.plus(Duration::from_secs(200));
        for endpoint in [&mut pair.alice, &mut pair.bob] {
            endpoint.handle_timeout(pair.now);
            drained(endpoint);
        }
    });
    assert_eq!(made.len(), count * 2);
    assert_eq!((pair.alice.holdings().dialogs, pair.bob.holdings().dialogs), (count, count));
    assert_eq!(pair.alice.holdings().client_transactions, 0);
    octets as f64 / (count as f64 * 2.0)
}

fn main() {
    // `cargo test --benches` asks for a look only.
    let look = std::env::args().any(|argument| argument == "--test");
    let count = if look { 100 } else { 20_000 };
    rates(if look { 1 } else { ROUNDS });
    let (unanswered, completed) = transactions(count);
    println!("\n{:<44} {:>9} {:>9}", "octets held", "each", "at most");
    println!("{:<44} {unanswered:>9.0} {:>9}", "unanswered transaction, message apart", 1024);
    println!("{:<44} {completed:>9.0} {:>9}", "completed transaction, response apart", 512);
    println!("{:<44} {:>9.0} {:>9}", "idle dialog", dialogs(count / 10), 4096);
}
