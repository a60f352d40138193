use super::*;
use crate::stream::{Block, Reading, read_now};
use crate::{Clock, HostConfig, Limits, Listen, NodeGone, OpenPolicy, Tap, start};
use cpm_base::Instant;
use cpm_base::Seed;
use cpm_core::{Function, Node};
use cpm_core::{Input, NodeConfig, Ports, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// A function that does nothing: the tests here look at the driver alone.
struct Quiet;

impl Function for Quiet {
    type Event = u32;
    fn handle(&mut self, _: Now, _: Input, _: &mut Ports<'_, u32>) {}
    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, u32>) {}
    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

fn node() -> Node<Quiet> {
    Node::new(Quiet, NodeConfig::user_agent(Seed::new([7; 32]), "test")).unwrap()
}

fn config() -> HostConfig {
    HostConfig::new(Clock::start())
}

fn here() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let closed = TcpListener::bind(here()).await.unwrap().local_addr().unwrap();
    let mut driver = Driver::new(node(), Sockets::default(), config());
    let target = Target { protocol: Protocol::Sip, transport: Transport::Tcp, remote: closed };
    driver.open(OpenId(7), target);
    let Some(Wire::Connected { open, result, .. }) = within(driver.wire_queue.recv()).await else {
        panic!("an answer to the attempt");
    };
    assert_eq!(open, OpenId(7));
    assert_eq!(result.err(), Some(OpenError::Refused));
}

#[tokio::test]
async fn media_goes_where_policy_allows_and_nowhere_else() {
    let listener = TcpListener::bind(here()).await.unwrap();
    let remote = listener.local_addr().unwrap();
    let target = Target { protocol: Protocol::Msrp, transport: Transport::Tcp, remote };
    let mut denying = Driver::new(node(), Sockets::default(), config());
    denying.open(OpenId(1), target);
    assert_eq!(denying.metrics.get("host.opens_denied"), 1);
    assert!(denying.errands.is_empty());
    assert!(timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "nobody knocks");

    let laboratory = HostConfig { open_policy: OpenPolicy::laboratory(), ..config() };
    let mut allowing = Driver::new(node(), Sockets::default(), laboratory);
    allowing.open(OpenId(1), target);
    let Some(Wire::Connected { result: Ok(_), .. }) = within(allowing.wire_queue.recv()).await else {
        panic!("a connection");
    };
}

#[tokio::test]
async fn a_driver_that_is_full_opens_nothing_more() {
    let listener = TcpListener::bind(here()).await.unwrap();
    let remote = listener.local_addr().unwrap();
    let limits = Limits { max_streams: 1, ..Limits::default() };
    let mut driver = Driver::new(node(), Sockets::default(), HostConfig { limits, ..config() });
    let target = Target { protocol: Protocol::Sip, transport: Transport::Tcp, remote };
    driver.open(OpenId(1), target);
    driver.open(OpenId(2), target);
    assert_eq!(driver.metrics.get("host.opens_refused"), 1);
    // The place is free again when the attempt came to nothing.
    driver.errands.shutdown().await;
    driver.open(OpenId(3), target);
    assert_eq!(driver.metrics.get("host.opens_refused"), 1);
}

#[tokio::test]
async fn the_table_of_udp_flows_is_bounded() {
    let sockets = Sockets::bind(&[Listen::SipUdp(here())]).unwrap();
    let limits = Limits { max_udp_flows: 1, ..Limits::default() };
    let mut driver = Driver::new(node(), sockets, HostConfig { limits, ..config() });
    let now = driver.config.clock.now();
    let mut datagram = |port| {
        driver.datagram(now, 0, SocketAddr::from(([192, 0, 2, 1], port)), Bytes::from_static(b"\r\n\r\n"));
        driver.metrics.get("host.datagrams_without_flow")
    };
    assert_eq!([datagram(1), datagram(1), datagram(2)], [0, 0, 1]);
    assert_eq!(driver.last_flow, 1);
}

/// All sockets are read, and none is read to its end before the next has its turn; while events wait for the embedding
/// program, none is.
#[tokio::test]
async fn every_socket_has_its_turn() {
    const EACH: usize = 40;
    let sockets = Sockets::bind(&[Listen::SipUdp(here()), Listen::SipUdp(here())]).unwrap();
    let mut driver = Driver::new(node(), sockets, config());
    let peer = std::net::UdpSocket::bind(here()).unwrap();
    for port in &driver.udp_ports {
        for _ in 0..EACH {
            peer.send_to(b"\r\n\r\n", port.address).unwrap();
        }
    }
    within(datagrams::waits(&driver.udp_ports)).await;
    let most = std::mem::take(&mut driver.config.limits.event_backlog);
    driver.read_datagrams();
    assert_eq!(driver.last_flow, 0);
    driver.config.limits.event_backlog = most;
    driver.read_datagrams();
    assert_eq!((driver.last_flow, driver.metrics().get("ua.keepalive_pings")), (2, 32));
    while driver.metrics().get("ua.keepalive_pings") < 2 * EACH as u64 {
        within(datagrams::waits(&driver.udp_ports)).await;
        driver.read_datagrams();
    }
    assert_eq!(driver.udp_rests, None);
}

/// A socket that cannot be read takes nothing from the others.
#[tokio::test]
async fn a_socket_that_cannot_be_read_holds_up_no_other() {
    let sockets = Sockets::bind(&[Listen::SipUdp(here()), Listen::SipUdp(here())]).unwrap();
    let mut driver = Driver::new(node(), sockets, config());
    // Its peer is gone after one datagram: the system says so with the next reading.
    let gone = std::net::UdpSocket::bind(here()).unwrap();
    let [broken, sound] = driver.udp_ports.as_slice() else { panic!("two sockets") };
    broken.socket.connect(gone.local_addr().unwrap()).unwrap();
    gone.send_to(b"x", broken.address).unwrap();
    drop(gone);
    broken.socket.send(b"x").unwrap();
    let peer = std::net::UdpSocket::bind(here()).unwrap();
    peer.send_to(b"\r\n\r\n", sound.address).unwrap();
    within(datagrams::waits(&driver.udp_ports)).await;
    sleep(Duration::from_millis(20)).await;
    driver.read_datagrams();
    let counts = ["host.datagrams_unreadable", "ua.keepalive_pings"].map(|name| driver.metrics().get(name));
    assert_eq!(counts, [1, 1]);
    assert!(driver.udp_rests.is_some());
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    one_is_too_many(Limits { max_streams: 1, ..Limits::default() }).await;
}

/// One machine does not take every place: others still get in.
#[tokio::test]
async fn one_address_too_often_is_closed_at_once() {
    one_is_too_many(Limits { max_streams_per_address: Some(1), ..Limits::default() }).await;
}

async fn one_is_too_many(limits: Limits) {
    let sockets = Sockets::bind(&[Listen::SipTcp(here())]).unwrap();
    let at = sockets.sip_tcp().next().unwrap();
    let only_the_address = limits.max_streams_per_address.is_some();
    let running = start(node(), sockets, HostConfig { limits, ..config() }).unwrap();
    let mut first = TcpStream::connect(at).await.unwrap();
    // The first one is known to be in when it is served.
    within(running.handle.with_node(|_, _| ())).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let mut second = TcpStream::connect(at).await.unwrap();
    let mut octets = [0; 1];
    assert_eq!(within(second.read(&mut octets)).await.unwrap_or(0), 0);
    assert!(
        timeout(Duration::from_millis(50), first.read(&mut octets)).await.is_err(),
        "the first one stays"
    );
    if only_the_address {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut other = socket.connect(at).await.unwrap();
        assert!(
            timeout(Duration::from_millis(50), other.read(&mut octets)).await.is_err(),
            "another stays too"
        );
    }
    assert_eq!(within(running.stop()).await.unwrap().get("host.streams_refused"), 1);
}

#[tokio::test]
async fn idle_streams_are_closed() {
    let sockets = Sockets::bind(&[Listen::Msrp(here())]).unwrap();
    let at = sockets.msrp().next().unwrap();
    let limits = Limits { stream_idle: Duration::from_millis(50), ..Limits::default() };
    let running = start(node(), sockets, HostConfig { limits, ..config() }).unwrap();
    let mut stream = TcpStream::connect(at).await.unwrap();
    assert_eq!(within(stream.read(&mut [0; 1])).await.unwrap(), 0);
    drop(stream);
    assert_eq!(within(running.stop()).await.unwrap().get("host.flows_idle"), 1);
}

#[tokio::test]
async fn stopping_ends_streams_and_tells_whoever_asks_later() {
    let sockets = Sockets::bind(&[Listen::Sip(here())]).unwrap();
    let at = sockets.sip_tcp().next().unwrap();
    let running = start(node(), sockets, config()).unwrap();
    let handle = running.handle.clone();
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let client = async {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        drop(stream);
    };
    let ((), stopped) = within(async { tokio::join!(client, running.stop()) }).await;
    assert_eq!(stopped.unwrap().get("host.stop_timeouts"), 0);
    assert_eq!(handle.with_node(|_, _| ()).await, Err(NodeGone));
    // The port is free again.
    Sockets::bind(&[Listen::Sip(at)]).unwrap();
}

#[tokio::test]
async fn a_slow_embedder_loses_nothing_and_may_still_order() {
    let limits = Limits { event_backlog: 2, ..Limits::default() };
    let mut running = start(node(), Sockets::default(), HostConfig { limits, ..config() }).unwrap();
    // Commands are obeyed although nobody takes events.
    for round in 0..10 {
        let told = running.handle.command(move |_, _, ports| ports.host.event(round));
        within(told).await.unwrap();
    }
    for round in 0..10 {
        assert_eq!(within(running.events.recv()).await, Some(round));
    }
}

#[tokio::test]
async fn invalid_limits_start_nothing() {
    let limits = Limits { event_backlog: 0, ..Limits::default() };
    let refused = start(node(), Sockets::default(), HostConfig { limits, ..config() }).err().unwrap();
    assert_eq!(refused.to_string(), "host.event_backlog may not be zero");
}

/// A stream's task over a real connection.
struct OneStream {
    far: TcpStream,
    near: Arc<TcpStream>,
    blocks: mpsc::Sender<Block>,
    wire: mpsc::Receiver<Wire>,
    dealt_with: watch::Sender<bool>,
}

async fn stream(limits: Limits) -> OneStream {
    let listener = TcpListener::bind(here()).await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, peer) = listener.accept().await.unwrap();
    let (wire, wire_queue) = mpsc::channel(4);
    let (blocks, block_queue) = mpsc::channel(1);
    let path =
        Path { protocol: Protocol::Msrp, transport: Transport::Tcp, local: near.local_addr().unwrap(), peer };
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let (told, dealt_with) = watch::channel(true);
    let stream =
        Stream { flow: FlowId(1), path, tap: Tap::default(), limits, wire, dealt_with, _permit: permit };
    let near = Arc::new(near);
    tokio::spawn(stream.run(Arc::clone(&near), block_queue));
    OneStream { far, near, blocks, wire: wire_queue, dealt_with: told }
}

/// What is told of writing: that a socket can be read may be told for nothing.
async fn written(wire: &mut mpsc::Receiver<Wire>) -> Option<Wire> {
    loop {
        match wire.recv().await {
            Some(Wire::Readable { .. }) => {}
            other => return other,
        }
    }
}

fn block(octets: Vec<u8>) -> Block {
    Block { octets, from: 0 }
}

#[tokio::test]
async fn a_slow_reader_holds_the_writer_back_and_gets_everything() {
    let OneStream { mut far, blocks, mut wire, dealt_with: _told, .. } = stream(Limits::default()).await;
    let octet = |n: usize| (n % 251) as u8;
    let size = 65_536;
    let mut sent = 0;
    // More than kernel buffers take.
    loop {
        assert!(sent < 256 << 20, "nothing holds the writer back");
        blocks.try_send(block((sent..sent + size).map(octet).collect())).ok().unwrap();
        sent += size;
        match timeout(Duration::from_millis(300), written(&mut wire)).await {
            Ok(Some(Wire::Written { block, .. })) => assert!(block.is_empty()),
            Ok(_) => panic!("the stream broke"),
            Err(_) => break,
        }
    }
    drop(blocks);
    let mut received = Vec::new();
    within(far.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received.len(), sent);
    assert!(received.iter().enumerate().all(|(at, got)| *got == octet(at)));
}

#[tokio::test]
async fn a_closed_stream_lets_the_far_side_finish() {
    let OneStream { mut far, blocks, mut wire, dealt_with, .. } = stream(Limits::default()).await;
    far.write_all(&vec![b'x'; 1 << 18]).await.unwrap();
    blocks.try_send(block(b"goodbye".to_vec())).ok().unwrap();
    drop((blocks, dealt_with));
    let discard = tokio::spawn(async move { while wire.recv().await.is_some() {} });
    let mut received = Vec::new();
    within(far.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, b"goodbye");
    // A reset would answer this, and could have overtaken what was sent last.
    for _ in 0..5 {
        far.write_all(b"still talking").await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    drop(far);
    within(discard).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_stalls_is_given_up() {
    let limits = Limits { write_stall: Duration::from_millis(200), ..Limits::default() };
    let OneStream { far: _far, blocks, mut wire, dealt_with: _told, .. } = stream(limits).await;
    loop {
        blocks.try_send(block(vec![0; 1 << 20])).ok().unwrap();
        match within(written(&mut wire)).await {
            Some(Wire::Written { .. }) => {}
            Some(Wire::Over { why, .. }) => break assert_eq!(why, CloseReason::Failed),
            _ => panic!("an end"),
        }
    }
}

#[tokio::test]
async fn reading_waits_for_the_node() {
    let OneStream { mut far, near, blocks, mut wire, dealt_with } = stream(Limits::default()).await;
    let (path, total) =
        (Path { protocol: Protocol::Msrp, transport: Transport::Tcp, local: here(), peer: here() }, 64 << 20);
    let writer = tokio::spawn(async move {
        far.write_all(&vec![b'x'; total]).await.unwrap();
        far
    });
    sleep(Duration::from_millis(200)).await;
    assert!(!writer.is_finished(), "octets pile up somewhere");
    let (mut got, mut shared) = (0, BytesMut::new());
    let mut writer = Some(writer);
    loop {
        let Some(Wire::Readable { .. }) = within(wire.recv()).await else { panic!("octets") };
        match read_now(&Tap::default(), path, &near, &mut shared, 16_384) {
            Reading::Octets(bytes) => {
                assert!(bytes.len() <= 16_384);
                got += bytes.len();
            }
            Reading::Nothing => {}
            Reading::Ended(why) => break assert_eq!((why, got), (CloseReason::PeerClosed, total)),
        }
        if got == total
            && let Some(writer) = writer.take()
        {
            // Nothing more is there to be read: the end comes next.
            drop(writer.await.unwrap());
        }
        dealt_with.send(true).unwrap();
    }
    drop((blocks, dealt_with));
    assert!(within(wire.recv()).await.is_none(), "the task ends");
}

/// A stream that has more than one turn takes is read on at once: nothing waits for `read_hold`.
#[tokio::test]
async fn a_stream_is_read_to_its_end() {
    let limits = Limits { read_hold: Duration::from_secs(3_600), ..Limits::default() };
    let sockets = Sockets::bind(&[Listen::Msrp(here())]).unwrap();
    let there = sockets.msrp().next().unwrap();
    let running = start(node(), sockets, HostConfig { limits, ..config() }).unwrap();
    let mut far = TcpStream::connect(there).await.unwrap();
    // Nobody knows this session: the body is passed over, and the answer comes at its end.
    let head = "MSRP abcd1234 SEND\r\nTo-Path: msrp://127.0.0.1:1/nobodynobodynobody;tcp\r\n\
                From-Path: msrp://127.0.0.1:9/peerpeerpeerpeer;tcp\r\nMessage-ID: message\r\n\
                Byte-Range: 1-*/*\r\nContent-Type: text/plain\r\n\r\n";
    let body = vec![b'x'; 16 << 20];
    let end: &[u8] = b"\r\n-------abcd1234$\r\n";
    let answered = async {
        for octets in [head.as_bytes(), &body, end] {
            far.write_all(octets).await.unwrap();
        }
        let mut answer = [0; 17];
        far.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"MSRP abcd1234 481");
    };
    within(answered).await;
    running.stop().await.unwrap();
}

/// A stream that the node has let go of costs its task nothing until the far side ends it.
#[tokio::test]
async fn a_stream_that_is_let_go_is_read_and_told_no_more() {
    let OneStream { mut far, mut wire, blocks, dealt_with, .. } = stream(Limits::default()).await;
    drop(dealt_with);
    let talking = async {
        for _ in 0..50 {
            far.write_all(&[b'x'; 10_000]).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    };
    within(talking).await;
    let mut told = 0;
    while wire.try_recv().is_ok() {
        told += 1;
    }
    assert!(told <= 1, "{told} times");
    drop((far, blocks));
    assert!(within(wire.recv()).await.is_none(), "the task ends");
}

/// Stores what it is told to and says which replies came, in order.
struct Storing(Vec<cpm_core::QueryId>);

impl Function for Storing {
    type Event = usize;
    fn handle(&mut self, _: Now, input: Input, ports: &mut Ports<'_, usize>) {
        let Input::Reply(id, Reply::Stored(Ok(()))) = input else { panic!("a record is kept") };
        let place = self.0.iter().position(|asked| *asked == id).expect("a query of ours");
        ports.host.event(place);
    }
    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, usize>) {}
    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_decides_at_once_keeps_the_order_and_a_slow_one_is_waited_for() {
    struct Slow;
    impl crate::Store for Slow {
        fn store(&mut self, _: cpm_core::Record) -> crate::Storing {
            Box::pin(async {
                sleep(Duration::from_millis(10)).await;
                Ok(())
            })
        }
    }
    let stores: [Box<dyn crate::Store>; 2] = [Box::new(crate::MemoryStore::default()), Box::new(Slow)];
    for (store, ordered) in stores.into_iter().zip([true, false]) {
        let node =
            Node::new(Storing(Vec::new()), NodeConfig::user_agent(Seed::new([7; 32]), "test")).unwrap();
        let mut running = start(node, Sockets::default(), HostConfig { store, ..config() }).unwrap();
        let asked = running.handle.command(|_, function, ports| {
            for _ in 0..100 {
                let record = cpm_core::Record::Received(cpm_core::ReceivedRecord {
                    cpim: Bytes::new(),
                    ..Default::default()
                });
                function.0.push(ports.host.query(Query::Store(record)));
            }
        });
        within(asked).await.unwrap();
        let mut places = Vec::new();
        while places.len() < 100 {
            places.push(within(running.events.recv()).await.unwrap());
        }
        if !ordered {
            places.sort_unstable();
        }
        assert_eq!(places, (0..100).collect::<Vec<_>>());
    }
}
