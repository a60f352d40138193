//! The driver on real loopback sockets, under a function that answers each request with its own body.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::Bytes;
use cpm_base::{CloseReason, Instant, Now, Protocol, Seed, Transport};
use cpm_core::{Function, Input, Node, NodeConfig, Ports};
use cpm_host::{Clock, Crossing, HostConfig, Limits, Listen, Running, Sockets, Tap, TapSink, What, start};
use cpm_sip::{Method, Response, StatusCode};
use cpm_ua::Event;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

/// Answers 200 with the body of the request; tells of flows and requests.
struct Echo;

#[derive(Debug, PartialEq)]
enum Seen {
    Opened(Transport, SocketAddr),
    Closed(CloseReason),
    Request(Method),
}

impl Function for Echo {
    type Event = Seen;
    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Seen>) {
        let Input::Sip(event) = input else { return };
        match event {
            Event::FlowOpened { info, .. } => ports.host.event(Seen::Opened(info.transport, info.peer)),
            Event::FlowClosed { why, .. } => ports.host.event(Seen::Closed(why)),
            Event::Request { id, request, .. } => {
                ports.host.event(Seen::Request(request.method().clone()));
                let mut response = Response::for_request(&request, StatusCode::OK);
                response.set_body(request.body().clone());
                ports.sip.respond(now, id, response).expect("an answer");
            }
            _ => {}
        }
    }
    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, Seen>) {}
    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

fn echo(listen: &[Listen], change: impl FnOnce(&mut HostConfig)) -> (Running<Echo>, SocketAddr) {
    let sockets = Sockets::bind(listen).unwrap();
    let at = sockets.sip_udp().chain(sockets.sip_tcp()).next().unwrap();
    let node = Node::new(Echo, NodeConfig::user_agent(Seed::new([7; 32]), "echo")).unwrap();
    let mut config = HostConfig::new(Clock::start());
    change(&mut config);
    (start(node, sockets, config).unwrap(), at)
}

fn message(number: u32, transport: &str, from: SocketAddr, body: &str) -> String {
    format!(
        "MESSAGE sip:echo@{from} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {from};branch=z9hG4bK{number};rport\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:echo@example.com>\r\n\
         Call-ID: call-{number}\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

async fn echo_over_udp(any: &str) {
    let (mut running, at) = echo(&[Listen::Sip(any.parse().unwrap())], |_| ());
    let socket = UdpSocket::bind(any).await.unwrap();
    let from = socket.local_addr().unwrap();
    for number in 0..3 {
        socket.send_to(message(number, "UDP", from, "hello").as_bytes(), at).await.unwrap();
        let mut answer = vec![0; 65_536];
        let (count, sender) = within(socket.recv_from(&mut answer)).await.unwrap();
        assert_eq!(sender, at);
        let answer = String::from_utf8(answer[..count].to_vec()).unwrap();
        assert!(answer.starts_with("SIP/2.0 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("Call-ID: call-{number}\r\n")), "{answer}");
        assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    }
    // Three datagrams of one peer are one flow.
    assert_eq!(within(running.events.recv()).await, Some(Seen::Opened(Transport::Udp, from)));
    for _ in 0..3 {
        assert_eq!(within(running.events.recv()).await, Some(Seen::Request(Method::Message)));
    }
    within(running.stop()).await.unwrap();
}

#[tokio::test]
async fn datagrams_over_ipv4() {
    echo_over_udp("127.0.0.1:0").await;
}

#[tokio::test]
async fn datagrams_over_ipv6() {
    if UdpSocket::bind("[::1]:0").await.is_err() {
        eprintln!("not run: this machine has no IPv6");
        return;
    }
    echo_over_udp("[::1]:0").await;
}

/// A response's body from a stream, by its Content-Length.
async fn response(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

#[tokio::test]
async fn streams_cut_anywhere_and_glued() {
    let (running, at) = echo(&[Listen::Sip("127.0.0.1:0".parse().unwrap())], |_| ());
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let from = stream.local_addr().unwrap();
    for octet in message(1, "TCP", from, "one").as_bytes().chunks(50) {
        stream.write_all(octet).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    let glued = [message(2, "TCP", from, "two"), message(3, "TCP", from, "three")].concat();
    stream.write_all(glued.as_bytes()).await.unwrap();
    for body in ["one", "two", "three"] {
        let (head, got) = within(response(&mut stream)).await;
        assert!(head.starts_with("SIP/2.0 200 OK\r\n"), "{head}");
        assert_eq!(got, body.as_bytes());
    }
    drop(stream);
    within(running.stop()).await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_many_long_answers() {
    let (running, at) = echo(&[Listen::Sip("127.0.0.1:0".parse().unwrap())], |_| ());
    let mut stream = TcpStream::connect(at).await.unwrap();
    let from = stream.local_addr().unwrap();
    let body = |number: u32| number.to_string().repeat(60_000);
    for number in 0..3 {
        stream.write_all(message(number, "TCP", from, &body(number)).as_bytes()).await.unwrap();
    }
    sleep(Duration::from_millis(300)).await;
    for number in 0..3 {
        let (_, got) = within(response(&mut stream)).await;
        assert!(got == body(number).as_bytes(), "answer {number} is not what was sent");
    }
    drop(stream);
    within(running.stop()).await.unwrap();
}

#[tokio::test]
async fn what_is_due_is_sent_before_a_stream_is_closed() {
    // The answer takes many blocks.
    let limits = Limits { write_block: 32, ..Limits::default() };
    let (mut running, at) =
        echo(&[Listen::Sip("127.0.0.1:0".parse().unwrap())], |config| config.limits = limits);
    let mut stream = TcpStream::connect(at).await.unwrap();
    let from = stream.local_addr().unwrap();
    // A body of unknown length on a stream: the framing is lost, the peer is told, the connection ends.
    let lost = message(1, "TCP", from, "x").replace("Content-Length: 1", "Content-Length: many");
    stream.write_all(lost.as_bytes()).await.unwrap();
    let mut all = String::new();
    within(stream.read_to_string(&mut all)).await.unwrap();
    assert!(all.starts_with("SIP/2.0 400 ") && all.ends_with("\r\n\r\n"), "{all}");
    let expected = [Seen::Opened(Transport::Tcp, from), Seen::Closed(CloseReason::ProtocolError)];
    for seen in expected {
        assert_eq!(within(running.events.recv()).await, Some(seen));
    }
    within(running.stop()).await.unwrap();
}

#[tokio::test]
async fn an_embedder_that_does_not_listen_slows_peers_down() {
    let limits = Limits { event_backlog: 4, input_queue: 1, ..Limits::default() };
    let (mut running, at) =
        echo(&[Listen::Sip("127.0.0.1:0".parse().unwrap())], |config| config.limits = limits);
    let mut stream = TcpStream::connect(at).await.unwrap();
    let from = stream.local_addr().unwrap();
    for number in 0..50 {
        stream.write_all(message(number, "TCP", from, "x").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        sleep(Duration::from_millis(2)).await;
    }
    // Four events in the channel, four in the driver, what came with the octets read last, and no more.
    sleep(Duration::from_millis(100)).await;
    let mut early = 0;
    while timeout(Duration::from_millis(20), stream.read_u8()).await.is_ok() {
        early += 1;
    }
    assert!(early > 0, "some are answered");
    let mut requests = 0;
    while requests < 50 {
        if let Some(Seen::Request(_)) = within(running.events.recv()).await {
            requests += 1;
        }
    }
    let mut late = 0;
    while timeout(Duration::from_millis(50), stream.read_u8()).await.is_ok() {
        late += 1;
    }
    assert!(
        late > early,
        "most are answered only when events are taken: {early} octets before, {late} after"
    );
    drop(stream);
    within(running.stop()).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_refused_fails_the_request() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    /// Tells why its request failed.
    struct Caller;
    impl Function for Caller {
        type Event = cpm_ua::TransactionFailure;
        fn handle(&mut self, _: Now, input: Input, ports: &mut Ports<'_, Self::Event>) {
            if let Input::Sip(Event::TransactionFailed { why, .. }) = input {
                ports.host.event(why);
            }
        }
        fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, Self::Event>) {}
        fn next_timeout(&self) -> Option<Instant> {
            None
        }
    }
    let node = Node::new(Caller, NodeConfig::user_agent(Seed::new([7; 32]), "caller")).unwrap();
    let mut running = start(node, Sockets::default(), HostConfig::new(Clock::start())).unwrap();
    let text = message(1, "TCP", closed, "x");
    let asked = running.handle.command(move |now, _, ports| {
        let message = cpm_sip::parse_datagram(Bytes::from(text), &cpm_sip::Limits::default()).unwrap();
        let cpm_sip::Message::Request(request) = message else { panic!("a request") };
        let to = cpm_ua::Destination::To(Transport::Tcp, closed);
        ports.sip.send_request(now, request, to).map(|_| ()).map_err(|_| "refused at once")
    });
    within(asked).await.unwrap().unwrap();
    assert_eq!(within(running.events.recv()).await, Some(cpm_ua::TransactionFailure::Transport));
    within(running.stop()).await.unwrap();
}

/// Adds up what crosses.
#[derive(Clone, Default)]
struct Sum(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl TapSink for Sum {
    fn record(&mut self, crossing: &Crossing<'_>) -> std::io::Result<()> {
        assert_eq!(crossing.path.protocol, Protocol::Sip);
        let mut sum = self.0.lock().unwrap();
        match crossing.what {
            What::Received(bytes) => sum.0.extend_from_slice(bytes),
            What::Sent(bytes) => sum.1.extend_from_slice(bytes),
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_tap_sees_every_octet() {
    let sum = Sum::default();
    let clock = Clock::start();
    let (running, at) = echo(&[Listen::Sip("127.0.0.1:0".parse().unwrap())], |config| {
        config.tap = Tap::new(clock, vec![Box::new(sum.clone())]);
    });
    let mut stream = TcpStream::connect(at).await.unwrap();
    let sent = message(1, "TCP", stream.local_addr().unwrap(), &"long ".repeat(10_000));
    stream.write_all(sent.as_bytes()).await.unwrap();
    let (head, body) = within(response(&mut stream)).await;
    drop(stream);
    within(running.stop()).await.unwrap();
    let sum = sum.0.lock().unwrap();
    assert!(sum.0 == sent.as_bytes(), "what was received");
    assert!(sum.1 == [head.as_bytes(), &body].concat(), "what was sent");
}

/// Whoever writes many requests at once and reads the answers gets them all: the answers of a busy stream keep up with
/// its requests, instead of piling up until the node takes the peer for one that does not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_requests_is_answered_to_the_last() {
    const BURST: u32 = 6_000;
    let (mut running, at) = echo(&[Listen::SipTcp("127.0.0.1:0".parse().unwrap())], |_| ());
    let stream = TcpStream::connect(at).await.unwrap();
    let from = stream.local_addr().unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        let all: String = (0..BURST).map(|number| message(number, "TCP", from, "x")).collect();
        writer.write_all(all.as_bytes()).await.unwrap();
        writer
    });
    let events = tokio::spawn(async move {
        while running.events.recv().await.is_some() {}
        running
    });
    let (mut answers, mut text) = (0, Vec::new());
    let mut block = vec![0; 65_536];
    while answers < BURST {
        let count = within(reader.read(&mut block)).await.unwrap();
        assert_ne!(count, 0, "closed after {answers} answers");
        text.extend_from_slice(&block[..count]);
        let whole = text.windows(5).rposition(|end| end == b"\r\n\r\nx").map_or(0, |at| at + 5);
        let taken: Vec<u8> = text.drain(..whole).collect();
        answers += u32::try_from(taken.windows(12).filter(|line| line == b"SIP/2.0 200 ").count()).unwrap();
    }
    drop(within(writing).await.unwrap());
    events.abort();
}

/// A peer that never reads is read on all the same, a little slower: two peers that wait for each other to read would
/// wait for ever. It is the node that has enough of it then, before the host finds that nothing can be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_is_held_back_only_for_a_while() {
    let (mut running, at) = echo(&[Listen::SipTcp("127.0.0.1:0".parse().unwrap())], |config| {
        config.limits.read_hold = Duration::from_millis(1);
        config.limits.write_stall = Duration::from_secs(60);
    });
    let mut stream = TcpStream::connect(at).await.unwrap();
    let from = stream.local_addr().unwrap();
    let writing = tokio::spawn(async move {
        let body = "x".repeat(8_192);
        for number in 0.. {
            if stream.write_all(message(number, "TCP", from, &body).as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let closed = async {
        loop {
            if let Some(Seen::Closed(_)) = running.events.recv().await {
                return;
            }
        }
    };
    within(closed).await;
    writing.abort();
}
