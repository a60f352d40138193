//! A receiver that is slower than its sender: in the simulator and over loopback, under the same two functions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use bytes::Bytes;
use cpm_base::{Instant, Now, Seed, Transport};
use cpm_core::{Function, Input, Node, NodeConfig, Ports};
use cpm_host::{Clock, HostConfig, Listen, OpenPolicy, Sockets, start};
use cpm_msrp::{
    Body, Event, FailureReport, IncomingId, Matching, MsrpUri, Outgoing, Role, SessionConfig, Status,
};
use cpm_sim::{Link, Outcome, Place, World};
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Sent,
    Failed,
    /// A message is whole: its length, and whether it is what was sent.
    Whole(u64, bool),
}

/// Sends octets that are made when they are asked for.
#[derive(Default)]
struct Sender {
    /// What is asked for next.
    offset: u64,
}

/// One octet of the message.
fn octet(position: u64) -> u8 {
    u8::try_from(position / 7 % 251).unwrap()
}

fn config(local: MsrpUri, remote: Vec<MsrpUri>, role: Role) -> SessionConfig {
    let (matching, max_message) = (Matching::Rfc4975, 1 << 40);
    SessionConfig { local_path: local, remote_path: remote, role, matching, max_chunk: None, max_message }
}

impl Sender {
    fn send(&mut self, now: Now, ports: &mut Ports<'_, Told>, to: &MsrpUri, at: SocketAddr, length: u64) {
        let local = ports.msrp.new_local_uri("127.0.0.1", 9, false);
        let role = Role::Active(at, Transport::Tcp);
        let session = ports.msrp.open_session(now, config(local, vec![to.clone()], role)).unwrap();
        let outgoing = Outgoing {
            message_id: None,
            content_type: "application/octet-stream".into(),
            body: Body::Source { total: Some(length) },
            success_report: false,
            failure_report: FailureReport::Yes,
        };
        ports.msrp.send(now, session, outgoing).unwrap();
    }
}

impl Function for Sender {
    type Event = Told;
    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Told>) {
        let Input::Msrp(event) = input else { return };
        match event {
            Event::Wants { transfer, offset, max } => {
                assert_eq!(offset, self.offset);
                self.offset += max;
                let octets: Bytes = (offset..offset + max).map(octet).collect();
                ports.msrp.supply(now, transfer, octets, false).unwrap();
            }
            Event::Sent { .. } => ports.host.event(Told::Sent),
            Event::SendFailed { .. } => ports.host.event(Told::Failed),
            _ => {}
        }
    }
    fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, Told>) {}
    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

/// Takes `burst` octets, then nothing for `rest`.
struct Slow {
    burst: u64,
    rest: Duration,
    taken: u64,
    since_rest: u64,
    sound: bool,
    paused: Option<(IncomingId, Instant)>,
}

impl Slow {
    fn new(burst: u64, rest: Duration) -> Slow {
        Slow { burst, rest, taken: 0, since_rest: 0, sound: true, paused: None }
    }

    fn listen(&mut self, now: Now, ports: &mut Ports<'_, Told>, at: SocketAddr) -> MsrpUri {
        let local = ports.msrp.new_local_uri(&at.ip().to_string(), at.port(), false);
        ports.msrp.await_session(now, config(local.clone(), Vec::new(), Role::Passive)).unwrap();
        local
    }
}

impl Function for Slow {
    type Event = Told;
    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, Told>) {
        let Input::Msrp(event) = input else { return };
        match event {
            Event::Data { transfer, offset, bytes } => {
                let last = bytes.last().map(|last| *last == octet(offset + bytes.len() as u64 - 1));
                self.sound &=
                    offset == self.taken && bytes.first() == Some(&octet(offset)) && last == Some(true);
                self.taken += bytes.len() as u64;
                self.since_rest += bytes.len() as u64;
                // What was read together with the octets that were one too many still comes.
                assert!(
                    self.paused.is_none() || self.since_rest <= 32 * 1024,
                    "what is not wanted is not read"
                );
                if self.since_rest >= self.burst {
                    self.since_rest = 0;
                    self.paused = Some((transfer, now.mono.plus(self.rest)));
                    ports.msrp.pause(now, transfer);
                }
            }
            Event::ChunkEnd { chunk, complete, .. } => {
                ports.msrp.respond(now, chunk, Status::OK);
                if let Some(length) = complete {
                    ports.host.event(Told::Whole(length, self.sound && length == self.taken));
                }
            }
            Event::Aborted { .. } | Event::Lost { .. } => ports.host.event(Told::Failed),
            _ => {}
        }
    }
    fn handle_timeout(&mut self, now: Now, ports: &mut Ports<'_, Told>) {
        if let Some((message, _)) = self.paused.take_if(|(_, until)| *until <= now.mono) {
            ports.msrp.resume(now, message);
        }
    }
    fn next_timeout(&self) -> Option<Instant> {
        self.paused.map(|(_, until)| until)
    }
}

fn node<F: Function>(function: F, seed: u8) -> Node<F> {
    Node::new(function, NodeConfig::user_agent(Seed::new([seed; 32]), "test")).unwrap()
}

/// Threat B11: the sender of a message of 20 MB has no more on its way than a link takes, and loses nothing.
#[test]
fn a_slow_receiver_slows_its_sender_in_the_simulator() {
    let length = 20_000_000;
    let mut world = World::<Told>::new(1);
    let link = Link { cuts: cpm_sim::Cuts { max: 16_384, single: 0.0 }, ..Link::perfect() };
    world.set_default_link(link);
    let addresses: [SocketAddr; 2] = ["192.0.2.1:2855".parse().unwrap(), "192.0.2.2:2855".parse().unwrap()];
    let alice = world.add(Place::new("alice", addresses[0].ip()), node(Sender::default(), 1));
    let slow = Slow::new(200_000, Duration::from_millis(100));
    let bob = world.add(Place::new("bob", addresses[1].ip()), node(slow, 2));
    let uri = world.command(bob, |bob, ports, now| bob.listen(now, ports, addresses[1]));
    world.command(alice, |alice, ports, now| alice.send(now, ports, &uri, addresses[1], length));
    world.add_invariant("what is on its way is bounded", move |world| {
        let (Some(alice), Some(bob)) = (world.function(alice), world.function(bob)) else { return Ok(()) };
        let under_way = alice.offset - bob.taken;
        if under_way < 150_000 { Ok(()) } else { Err(format!("{under_way} octets")) }
    });
    let whole = Told::Whole(length, true);
    let outcome = world.run_until(Duration::from_secs(60), |world| world.events_of(alice).count() > 0);
    assert_eq!(outcome, Ok(Outcome::Reached));
    assert_eq!(world.events_of(alice).collect::<Vec<_>>(), [&Told::Sent]);
    assert_eq!(world.events_of(bob).collect::<Vec<_>>(), [&whole]);
    assert!(world.now().mono.since(Instant::ZERO) >= Duration::from_millis(9_900), "a hundred rests");
}

/// Threat B11: 100 MB over loopback to a receiver that takes a megabyte at a time; all of both sides, sockets' buffers of
/// the operating system apart, stays within a megabyte, and nothing is lost.
#[test]
fn a_slow_receiver_slows_its_sender_over_loopback() {
    let length = 100_000_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = async move {
        let sockets = Sockets::bind(&[Listen::Msrp("127.0.0.1:0".parse().unwrap())]).unwrap();
        let at = sockets.msrp().next().unwrap();
        let slow = Slow::new(1_000_000, Duration::from_millis(20));
        let mut bob = start(node(slow, 2), sockets, HostConfig::new(Clock::start())).unwrap();
        let uri = bob.handle.command(move |now, bob, ports| bob.listen(now, ports, at)).await.unwrap();
        let mut host = HostConfig::new(Clock::start());
        host.open_policy = OpenPolicy::laboratory();
        let mut alice = start(node(Sender::default(), 1), Sockets::bind(&[]).unwrap(), host).unwrap();
        let sending = move |now, alice: &mut Sender, ports: &mut Ports<'_, Told>| {
            alice.send(now, ports, &uri, at, length);
        };
        alice.handle.command(sending).await.unwrap();
        assert_eq!(bob.events.recv().await, Some(Told::Whole(length, true)));
        assert_eq!(alice.events.recv().await, Some(Told::Sent));
        alice.stop().await.unwrap();
        bob.stop().await.unwrap();
    };
    let begun = std::time::Instant::now();
    let used = measure(|| runtime.block_on(run));
    assert!(begun.elapsed() >= Duration::from_millis(1_900), "a hundred rests: {:?}", begun.elapsed());
    assert!(used.bytes_max < 1 << 20, "{} octets at once", used.bytes_max);
}
