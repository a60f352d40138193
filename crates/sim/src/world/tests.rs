mod outside;

use super::*;
use crate::network::Cuts;
use cpm_base::{CloseReason, FlowInfo, OpenError, OpenId, Protocol, Target, Transport};
use cpm_core::{Action, Driven, Machine, Query, QueryId, ReceivedRecord, Record, Reply, StoreError};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A machine that does what the test says and remembers what the world did.
#[derive(Default)]
struct Peer {
    actions: VecDeque<Action<String>>,
    to_write: BTreeMap<FlowId, VecDeque<u8>>,
    flows: Vec<(FlowId, FlowInfo)>,
    failed_opens: Vec<OpenError>,
    datagrams: Vec<Bytes>,
    pieces: Vec<Bytes>,
    closed: Vec<CloseReason>,
    replies: Vec<Reply>,
    wakes: u32,
    next: Option<Instant>,
    /// Leaves its timeout where it is when woken.
    stubborn: bool,
    holds: bool,
    most_room: usize,
}

impl Peer {
    fn received(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    fn write(&mut self, flow: FlowId, octets: &[u8]) {
        self.to_write.entry(flow).or_default().extend(octets);
        self.actions.push_back(Action::WantsWrite(flow));
    }
}

impl Driven for Peer {
    fn handle_datagram(&mut self, _: Now, _: FlowId, bytes: Bytes) {
        self.datagrams.push(bytes);
    }

    fn handle_stream(&mut self, _: Now, _: FlowId, bytes: Bytes) {
        self.pieces.push(bytes);
    }

    fn handle_accepted(&mut self, _: Now, flow: FlowId, info: FlowInfo) {
        self.flows.push((flow, info));
    }

    fn handle_opened(&mut self, _: Now, _: OpenId, result: Result<(FlowId, FlowInfo), OpenError>) {
        match result {
            Ok(flow) => self.flows.push(flow),
            Err(why) => self.failed_opens.push(why),
        }
    }

    fn handle_closed(&mut self, _: Now, _: FlowId, why: CloseReason) {
        self.closed.push(why);
    }

    fn handle_reply(&mut self, _: Now, _: QueryId, reply: Reply) {
        self.replies.push(reply);
    }

    fn handle_timeout(&mut self, _: Now) {
        self.wakes += 1;
        if !self.stubborn {
            self.next = None;
        }
    }

    fn poll_transmit(&mut self, _: Now, flow: FlowId, max: usize, out: &mut Vec<u8>) -> usize {
        self.most_room = self.most_room.max(max);
        let Some(queue) = self.to_write.get_mut(&flow) else { return 0 };
        let count = max.min(queue.len());
        out.extend(queue.drain(..count));
        count
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    fn wants_read(&self, _: FlowId) -> bool {
        true
    }

    fn is_resting(&self) -> bool {
        !self.holds && self.to_write.values().all(VecDeque::is_empty)
    }
}

impl Machine for Peer {
    type Event = String;

    fn poll_action(&mut self) -> Option<Action<String>> {
        self.actions.pop_front()
    }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn pair(seed: u64, link: Link) -> (World<String>, NodeId, NodeId) {
    let mut world = World::new(seed);
    let a = world.add_machine(Place::new("a", v4(1)), Box::new(Peer::default()));
    let b = world.add_machine(Place::new("b", v4(2)).core_element(), Box::new(Peer::default()));
    world.set_default_link(link);
    (world, a, b)
}

fn act(world: &mut World<String>, node: NodeId, action: Action<String>) {
    world.drive(node, |peer: &mut Peer, _| peer.actions.push_back(action));
}

fn peer(world: &World<String>, node: NodeId) -> &Peer {
    world.machine(node).unwrap()
}

fn target(protocol: Protocol, transport: Transport, port: u16) -> Target {
    Target { protocol, transport, remote: SocketAddr::new(v4(2), port) }
}

/// Opens a flow from a to b and gives a's name of it.
fn open(world: &mut World<String>, a: NodeId, target: Target) -> FlowId {
    act(world, a, Action::Open(OpenId(1), target));
    world.run_for(Duration::from_secs(2)).unwrap();
    peer(world, a).flows.last().unwrap().0
}

fn record(n: u8) -> Record {
    let cpim = Bytes::from(vec![n]);
    Record::Received(ReceivedRecord { cpim, ..Default::default() })
}

#[test]
fn datagrams_are_lost_repeated_and_overtake_each_other() {
    let (mut world, a, b) = pair(7, Link::rough(0.1));
    let flow = open(&mut world, a, target(Protocol::Sip, Transport::Udp, 5060));
    for n in 0..1000u32 {
        act(&mut world, a, Action::Datagram(flow, Bytes::copy_from_slice(&n.to_be_bytes())));
        world.run_for(Duration::from_millis(1)).unwrap();
    }
    world.run_to_quiescence(Duration::from_secs(10)).unwrap();
    let got: Vec<u32> = peer(&world, b)
        .datagrams
        .iter()
        .map(|d| u32::from_be_bytes(d.as_ref().try_into().unwrap()))
        .collect();
    let different: BTreeSet<u32> = got.iter().copied().collect();
    assert!((850..950).contains(&different.len()), "{} of 1000 arrived", different.len());
    assert!((50..150).contains(&(got.len() - different.len())), "{} came twice", got.len() - different.len());
    assert!(got.windows(2).filter(|two| two[0] > two[1]).count() > 100, "few overtook others");
    assert!(different.iter().all(|n| *n < 1000));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let (mut world, a, b) = pair(seed, Link::rough(0.2));
        let udp = open(&mut world, a, target(Protocol::Sip, Transport::Udp, 5060));
        for _ in 0..50 {
            act(&mut world, a, Action::Datagram(udp, Bytes::from_static(b"x")));
        }
        let tcp = open(&mut world, a, target(Protocol::Msrp, Transport::Tcp, 2855));
        world.drive(a, |peer: &mut Peer, _| peer.write(tcp, &[b'y'; 20_000]));
        world.run_to_quiescence(Duration::from_secs(100)).unwrap();
        let peer = peer(&world, b);
        (world.trace().to_string(), peer.datagrams.clone(), peer.pieces.clone(), world.now())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_stream_keeps_its_octets_in_order_whatever_the_cuts() {
    let link = Link { cuts: Cuts { max: 900, single: 0.3 }, window: 5_000, ..Link::rough(0.2) };
    let (mut world, a, b) = pair(3, link);
    let flow = open(&mut world, a, target(Protocol::Msrp, Transport::Tcp, 2855));
    let sent: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    world.drive(a, |peer: &mut Peer, _| peer.write(flow, &sent));
    world.run_to_quiescence(Duration::from_secs(600)).unwrap();
    assert_eq!(peer(&world, b).received(), sent);
    let pieces = &peer(&world, b).pieces;
    assert!(pieces.iter().filter(|piece| piece.len() == 1).count() > 50);
    assert!(pieces.iter().all(|piece| piece.len() <= 900));
    assert_eq!(peer(&world, a).most_room, 5_000, "no more than the window is ever taken");
    act(&mut world, a, Action::Close(flow, CloseReason::Done));
    world.run_to_quiescence(Duration::from_secs(10)).unwrap();
    assert_eq!(
        (&peer(&world, a).closed[..], &peer(&world, b).closed[..]),
        (&[CloseReason::Done][..], &[CloseReason::PeerClosed][..])
    );
    assert!(world.connections.is_empty());
}

#[test]
fn a_reset_at_any_step_leaves_a_prefix_and_both_sides_know() {
    for steps in 0..40 {
        let (mut world, a, b) = pair(9, Link::rough(0.1));
        let flow = open(&mut world, a, target(Protocol::Sip, Transport::Tcp, 5060));
        let sent: Vec<u8> = (0..9_000u32).map(|n| n.to_le_bytes()[0]).collect();
        world.drive(a, |peer: &mut Peer, _| peer.write(flow, &sent));
        let mut left = steps;
        world
            .run_until(Duration::from_secs(60), |_| {
                left -= 1;
                left < 0
            })
            .unwrap();
        world.reset_streams(b, a);
        world.run_to_quiescence(Duration::from_secs(60)).unwrap();
        assert!(sent.starts_with(&peer(&world, b).received()));
        assert_eq!(peer(&world, a).closed, [CloseReason::Failed]);
        assert_eq!(peer(&world, b).closed, [CloseReason::Failed]);
        assert!(world.connections.is_empty());
    }
}

#[test]
fn a_partition_loses_datagrams_and_holds_streams_up_to_their_patience() {
    for (cut, arrives) in [(5, true), (60, false)] {
        let (mut world, a, b) = pair(1, Link::perfect());
        let udp = open(&mut world, a, target(Protocol::Sip, Transport::Udp, 5060));
        let tcp = open(&mut world, a, target(Protocol::Sip, Transport::Tcp, 5060));
        world.partition(&[a], &[b]);
        act(&mut world, a, Action::Datagram(udp, Bytes::from_static(b"lost")));
        world.drive(a, |peer: &mut Peer, _| peer.write(tcp, b"held"));
        world.run_for(Duration::from_secs(cut)).unwrap();
        assert!(peer(&world, b).datagrams.is_empty() && peer(&world, b).pieces.is_empty());
        world.heal();
        act(&mut world, a, Action::Datagram(udp, Bytes::from_static(b"after")));
        world.run_for(Duration::from_secs(5)).unwrap();
        assert_eq!(peer(&world, b).datagrams, [Bytes::from_static(b"after")]);
        assert_eq!(peer(&world, b).received(), if arrives { &b"held"[..] } else { b"" });
        assert_eq!(peer(&world, a).closed.len(), usize::from(!arrives));
        assert_eq!(peer(&world, b).closed.len(), usize::from(!arrives));
    }
}

#[test]
fn a_crash_breaks_streams_and_ends_what_the_node_waited_for() {
    let (mut world, a, b) = pair(1, Link::perfect());
    let flow = open(&mut world, a, target(Protocol::Sip, Transport::Tcp, 5060));
    world.drive(a, |peer: &mut Peer, _| peer.write(flow, b"on its way"));
    act(&mut world, b, Action::Query(QueryId(1), Query::Store(record(1))));
    world.crash(b);
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(peer(&world, a).closed, [CloseReason::Failed]);
    assert!(world.machine::<Peer>(b).is_none());
    // What the disk was told it keeps; nobody is there for the reply.
    assert_eq!(world.stored(b).len(), 1);
    act(&mut world, a, Action::Open(OpenId(2), target(Protocol::Sip, Transport::Tcp, 5060)));
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(peer(&world, a).failed_opens, [OpenError::Refused]);
    // A reply to the former life is not for the next one.
    world.restart_machine(b, Box::new(Peer::default()));
    act(&mut world, b, Action::Query(QueryId(1), Query::Store(record(2))));
    world.restart_machine(b, Box::new(Peer::default()));
    world.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!((peer(&world, b).replies.len(), world.stored(b).len()), (0, 2));
}

#[test]
fn what_follows_on_a_stream_waits_for_what_was_before() {
    let slow = Duration::from_millis(100);
    let (mut world, a, b) = pair(1, Link { min_delay: slow, max_delay: slow, ..Link::perfect() });
    let flow = open(&mut world, a, target(Protocol::Sip, Transport::Tcp, 5060));
    world.drive(a, |peer: &mut Peer, _| peer.write(flow, b"first"));
    world.set_default_link(Link::perfect());
    world.drive(a, |peer: &mut Peer, _| peer.write(flow, b"second"));
    world.run_for(Duration::from_millis(99)).unwrap();
    assert!(peer(&world, b).received().is_empty());
    world.run_for(Duration::from_millis(2)).unwrap();
    assert_eq!(peer(&world, b).received(), b"firstsecond");
}

#[test]
fn flows_open_only_where_somebody_listens() {
    let (mut world, a, _) = pair(1, Link::perfect());
    let nobody = SocketAddr::new(v4(99), 5060);
    let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 5060);
    let tcp = |remote| Target { protocol: Protocol::Sip, transport: Transport::Tcp, remote };
    for target in [
        tcp(nobody),
        tcp(v6),
        target(Protocol::Msrp, Transport::Tcp, 5060),
        target(Protocol::Sip, Transport::Tls, 5061),
    ] {
        act(&mut world, a, Action::Open(OpenId(1), target));
    }
    world.run_for(Duration::from_secs(1)).unwrap();
    let expected =
        [OpenError::Unreachable, OpenError::Unavailable, OpenError::Unavailable, OpenError::Refused];
    assert_eq!(peer(&world, a).failed_opens, expected);
}

#[test]
fn core_elements_are_trusted_unless_said_otherwise() {
    let (mut world, a, b) = pair(1, Link::perfect());
    open(&mut world, a, target(Protocol::Sip, Transport::Tcp, 5060));
    assert_eq!(peer(&world, a).flows[0].1.trust, Trust::Core);
    assert_eq!(peer(&world, b).flows[0].1.trust, Trust::Outside);
    world.set_trust(b, a, Trust::Core);
    open(&mut world, a, target(Protocol::Msrp, Transport::Tcp, 2855));
    assert_eq!(peer(&world, b).flows[1].1.trust, Trust::Core);
    assert_eq!(peer(&world, b).flows[1].1.protocol, Protocol::Msrp);
}

#[test]
fn queries_are_answered_after_their_delay() {
    let (mut world, a, b) = pair(1, Link::perfect());
    world.name("B.home.test", &[v4(2)]);
    world.set_query_delay(Duration::from_millis(30)..Duration::from_millis(30));
    world.fail_stores(a, &[StoreError::Full]);
    let name = |host: &str, transport, secure| {
        let host = host.to_owned();
        Query::Resolve(cpm_ua::NameQuery { host, port: None, transport, secure })
    };
    for (n, query) in [
        name("b.home.test", None, false),
        name("10.0.0.2", Some(Transport::Tcp), false),
        name("b.home.test", None, true),
        name("nowhere.test", None, false),
        Query::Store(record(1)),
        Query::Store(record(2)),
    ]
    .into_iter()
    .enumerate()
    {
        act(&mut world, a, Action::Query(QueryId(n as u64), query));
    }
    world.run_for(Duration::from_millis(29)).unwrap();
    assert!(peer(&world, a).replies.is_empty() && world.stored(a).is_empty());
    world.run_for(Duration::from_millis(2)).unwrap();
    let address = SocketAddr::new(v4(2), 5060);
    let expected = [
        Reply::Resolved(vec![(Transport::Udp, address), (Transport::Tcp, address)]),
        Reply::Resolved(vec![(Transport::Tcp, address)]),
        Reply::Resolved(vec![]),
        Reply::Resolved(vec![]),
        Reply::Stored(Err(StoreError::Full)),
        Reply::Stored(Ok(())),
    ];
    assert_eq!(peer(&world, a).replies, expected);
    assert_eq!(world.stored(a).iter().map(|stored| &stored.record).collect::<Vec<_>>(), [&record(2)]);
    assert!(world.stored(b).is_empty());
}

#[test]
fn invariants_stop_the_run_at_the_step_that_breaks_them() {
    let (mut world, a, b) = pair(1, Link::perfect());
    world.add_invariant("no datagrams", move |world| match world.machine::<Peer>(b) {
        Some(peer) if !peer.datagrams.is_empty() => Err(format!("{} came", peer.datagrams.len())),
        _ => Ok(()),
    });
    let flow = open(&mut world, a, target(Protocol::Sip, Transport::Udp, 5060));
    let before = world.now().mono;
    act(&mut world, a, Action::Datagram(flow, Bytes::from_static(b"x")));
    let violation = world.run_for(Duration::from_secs(1)).unwrap_err();
    assert_eq!(violation.invariant, "no datagrams");
    assert_eq!(violation.at, before.plus(Duration::from_millis(1)));
    assert_eq!(violation.text, "1 came");
}

#[test]
fn events_are_kept_and_written_as_wished() {
    let (mut world, a, b) = pair(1, Link::perfect());
    act(&mut world, a, Action::Event("plain".to_owned()));
    world.set_event_label(|event| event.to_uppercase());
    act(&mut world, b, Action::Event("loud".to_owned()));
    assert_eq!(world.events_of(b).collect::<Vec<_>>(), ["loud"]);
    let trace = world.trace();
    let labels: Vec<&str> = trace.entries().iter().map(|entry| entry.label.as_str()).collect();
    assert_eq!(labels, ["\"plain\"", "LOUD"]);
    assert!(trace.to_string().lines().nth(1).unwrap().starts_with("    0.000000 b "));
    let ladder = trace.ladder(&["a", "b"], &Default::default());
    assert!(ladder.contains("LOUD") && !ladder.contains('▶'), "{ladder}");
}

#[test]
fn timeouts_wake_nodes_and_a_loop_without_time_is_found() {
    let (mut world, a, _) = pair(1, Link::perfect());
    world.drive(a, |peer: &mut Peer, now| peer.next = Some(now.mono.plus(Duration::from_secs(3))));
    assert_eq!(world.run_to_quiescence(Duration::from_secs(10)), Ok(Outcome::Quiet));
    assert_eq!(world.now().mono, Instant::from_micros(3_000_000));
    assert_eq!(peer(&world, a).wakes, 1);
    // What is due in an hour does not keep a world from being quiet.
    world.drive(a, |peer: &mut Peer, now| peer.next = Some(now.mono.plus(Duration::from_secs(3600))));
    assert_eq!(world.run_to_quiescence(Duration::from_secs(10_000)), Ok(Outcome::Quiet));
    assert_eq!(peer(&world, a).wakes, 1);
    assert_eq!(world.run_until(Duration::from_secs(10), |_| false), Ok(Outcome::TimeOver));
    assert_eq!(world.now().mono, Instant::from_micros(13_000_000));
    world.drive(a, |peer: &mut Peer, now| {
        peer.stubborn = true;
        peer.next = Some(now.mono);
    });
    assert_eq!(world.run_for(Duration::from_secs(1)).unwrap_err().invariant, "progress");
}

/// A machine that holds something and waits for nothing is found.
#[test]
fn what_waits_for_nothing_is_stuck() {
    let (mut world, a, b) = pair(1, Link::perfect());
    assert!(world.stuck().is_empty());
    for node in [a, b] {
        world.drive(node, |peer: &mut Peer, _| peer.holds = true);
    }
    assert_eq!(world.stuck(), ["a", "b"]);
    act(&mut world, a, Action::Query(QueryId(1), Query::Store(record(1))));
    assert_eq!(world.stuck(), ["b"], "a reply is to come");
    world.drive(b, |peer: &mut Peer, now| peer.next = Some(now.mono.plus(Duration::from_secs(1))));
    assert!(world.stuck().is_empty());
    world.run_for(Duration::from_secs(2)).unwrap();
    assert_eq!(world.stuck(), ["a", "b"]);
}
