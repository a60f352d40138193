//! `cpm demo fork` and `cpm demo bridge`: one call to a user with two devices, by a proxy and back to back.

mod middle;

use super::nodes::{HERE, Shared, sip_uri, uri};
use crate::args::Mode;
use crate::endpoint::phone::{Manners, Phone, Told};
use crate::endpoint::steps::Step;
use crate::ladder::Ladder;
use cpm_base::{Random, Seed};
use cpm_core::{Function, Node, NodeConfig};
use cpm_host::{Clock, Listen, NodeHandle, Running, Sockets, Tap, seed_from_os};
use cpm_sip::{Method, Uri};
use middle::{Middle, Way};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// Everybody, from left to right.
pub(super) const NAMES: [&str; 4] = ["alice", "server", "bob-phone", "bob-tablet"];

/// What has to be told by whom until the call is through.
fn expected(way: Way) -> BTreeSet<(&'static str, &'static str)> {
    let both = [
        ("alice", "the call is answered"),
        ("alice", "the call is over"),
        ("bob-phone", "the call is confirmed"),
        ("bob-phone", "the call is over"),
    ];
    let tablet = match way {
        Way::Fork => &[("bob-tablet", "answered 487")][..],
        Way::Bridge => &[
            ("bob-tablet", "the call is confirmed"),
            ("bob-tablet", "the call is over"),
            ("server", "nothing is left of the bridge"),
        ],
    };
    both.into_iter().chain(tablet.iter().copied()).collect()
}

/// Runs one call and says in a sentence how it went.
pub(super) async fn call(mode: Mode, clock: Clock, tap: &Tap, ladder: &Ladder) -> Result<String, String> {
    let way = if mode == Mode::Fork { Way::Fork } else { Way::Bridge };
    let mut calls = Calls::start(way, clock, tap, ladder)?;
    let result = calls.play(way).await;
    calls.stop().await;
    result.map(|()| match way {
        Way::Fork => "The phone has taken the call; the tablet was cancelled. Then Alice hung up.".to_owned(),
        Way::Bridge => {
            "Phone and tablet have taken the call, each in a dialog of its own. Then Alice hung up."
                .to_owned()
        }
    })
}

struct Calls {
    alice: NodeHandle<Phone>,
    bob: Uri,
    others: Vec<Stop>,
    told: mpsc::Receiver<(&'static str, Told)>,
    tell: mpsc::Sender<(&'static str, Told)>,
    pumps: tokio::task::JoinSet<()>,
}

/// Ends a node.
type Stop = Box<dyn FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Calls {
    fn start(way: Way, clock: Clock, tap: &Tap, ladder: &Ladder) -> Result<Calls, String> {
        let random = Random::new(seed_from_os().map_err(|error| error.to_string())?);
        let mut shared = Shared { clock, tap, ladder, random };
        let (alice_sockets, alice_at) = shared.bind("alice", &[Listen::Sip(HERE)])?;
        let (server_sockets, server_at) = shared.bind("server", &[Listen::Sip(HERE)])?;
        let mut devices = Vec::new();
        for name in ["bob-phone", "bob-tablet"] {
            let (sockets, at) = shared.bind(name, &[Listen::Sip(HERE)])?;
            devices.push((name, sockets, at));
        }
        let (tell, told) = mpsc::channel(64);
        // The phone is the quicker one; on the way of the fork the tablet never gets to it.
        let rings = match way {
            Way::Fork => [Duration::from_millis(150), Duration::from_secs(30)],
            Way::Bridge => [Duration::from_millis(150), Duration::from_millis(200)],
        };
        let uris: Vec<Uri> = devices.iter().map(|(_, _, at)| Uri::Sip(sip_uri(*at))).collect();
        let alice = phone(&mut shared, "alice", alice_sockets, alice_at, Duration::ZERO)?;
        let mut calls = Calls {
            alice: alice.handle.clone(),
            bob: Uri::Sip(sip_uri(server_at)),
            others: Vec::new(),
            told,
            tell,
            pumps: tokio::task::JoinSet::new(),
        };
        calls.pump("alice", alice);
        for ((name, sockets, at), ring) in devices.into_iter().zip(rings) {
            let device = phone(&mut shared, name, sockets, at, ring)?;
            calls.pump(name, device);
        }
        let seed = shared.seed();
        let middle = Middle::new(way, Uri::Sip(sip_uri(server_at)), uris);
        let node = Node::new(middle, config(way, seed)).map_err(|error| error.to_string())?;
        let server = shared.run("server", node, server_sockets, Vec::new())?;
        calls.pump("server", server);
        Ok(calls)
    }

    /// Brings what a node tells to where it is waited for, until the node ends.
    fn pump<F>(&mut self, name: &'static str, mut running: Running<F>)
    where
        F: Function<Event = Told> + Send + 'static,
    {
        let handle = running.handle.clone();
        self.others.push(Box::new(move || {
            Box::pin(async move {
                // One that has stopped needs not be told.
                let _ = handle.stop().await;
            })
        }));
        let tell = self.tell.clone();
        self.pumps.spawn(async move {
            while let Some(event) = running.events.recv().await {
                if tell.send((name, event)).await.is_err() {
                    break;
                }
            }
            // It has ended already or does now; its counters are of no interest here.
            let _ = running.stop().await;
        });
    }

    /// Alice calls, talks a little and hangs up; all that is expected is heard.
    async fn play(&mut self, way: Way) -> Result<(), String> {
        let mut missing = expected(way);
        for step in [Step::Invite(self.bob.clone()), Step::Wait(Duration::from_millis(200)), Step::Bye] {
            let job = self.alice.command(move |now, phone, ports| phone.begin(now, ports, &step));
            job.await.map_err(|error| error.to_string())?;
            while !self.hear(&mut missing).await? {}
        }
        while !missing.is_empty() {
            self.hear(&mut missing).await?;
        }
        Ok(())
    }

    /// Takes one thing that is told; returns whether Alice's step is done.
    async fn hear(&mut self, missing: &mut BTreeSet<(&'static str, &'static str)>) -> Result<bool, String> {
        match self.told.recv().await.ok_or("all nodes have stopped")? {
            (name, Told::Line(line)) => {
                missing.retain(|(who, what)| (*who, *what) != (name, line.as_str()));
                Ok(false)
            }
            ("alice", Told::Done(result)) => result.map(|()| true),
            (name, Told::Done(Err(why))) => Err(format!("{name}: {why}")),
            (_, Told::Done(Ok(())) | Told::Served) => Ok(false),
        }
    }

    async fn stop(mut self) {
        for stop in self.others {
            stop().await;
        }
        drop(self.told);
        while self.pumps.join_next().await.is_some() {}
    }
}

fn config(way: Way, seed: Seed) -> NodeConfig {
    let product = concat!("cpm/", env!("CARGO_PKG_VERSION"));
    match way {
        Way::Fork => NodeConfig::proxy(seed, product),
        Way::Bridge => NodeConfig::user_agent(seed, product),
    }
}

fn phone(
    shared: &mut Shared<'_>,
    name: &'static str,
    sockets: Sockets,
    at: SocketAddr,
    ring: Duration,
) -> Result<Running<Phone>, String> {
    let contact = Uri::Sip(sip_uri(at));
    let identity = uri(&format!("sip:{name}@example.com"))?;
    let manners = Manners { refuse: None, busy_first: 0, ring, reliable: false };
    let phone = Phone::new(manners, identity, contact, at, None);
    let mut config = NodeConfig::user_agent(shared.seed(), concat!("cpm/", env!("CARGO_PKG_VERSION")));
    config.sip.allow.push(Method::Update);
    let node = Node::new(phone, config).map_err(|error| error.to_string())?;
    shared.run(name, node, sockets, Vec::new())
}
