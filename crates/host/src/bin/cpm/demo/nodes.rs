//! The nodes of the demonstration, each on loopback sockets of its own.

use crate::ladder::Ladder;
use cpm_base::{Random, Seed, Transport};
use cpm_client::{Client, ClientConfig, ClientEvent, Strangers, contact_uri};
use cpm_core::{Function, Node};
use cpm_host::{
    Clock, HostConfig, Listen, NodeHandle, OpenPolicy, Running, Sockets, Tap, TrustedPeers, seed_from_os,
    start,
};
use cpm_participating::{ParticipatingConfig, ParticipatingEvent, ParticipatingFunction};
use cpm_sim::{CoreConfig, SipIpCore, User};
use cpm_sip::{Host, SipUri, Uri};
use cpm_ua::NextHop;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::sync::mpsc;

/// Who sends.
pub(crate) const ALICE: &str = "sip:alice@example.com";
/// Who receives.
pub(crate) const BOB: &str = "sip:bob@example.com";
/// Bob's clients.
pub(crate) const DEVICES: [&str; 2] = ["bob-phone", "bob-tablet"];
/// All clients.
pub(crate) const CLIENTS: [&str; 3] = ["alice", "bob-phone", "bob-tablet"];
/// Everybody, from left to right.
pub(crate) const NAMES: [&str; 6] = ["alice", "pf-a", "core", "pf-b", "bob-phone", "bob-tablet"];

pub(super) const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a node told.
pub(crate) enum Told {
    Client(Box<ClientEvent>),
    /// A Participating Function knows this many devices of its user.
    Devices(usize),
}

/// All nodes, running.
pub(crate) struct Nodes {
    clients: Vec<(&'static str, NodeHandle<Client>)>,
    others: Others,
    told: mpsc::Receiver<(&'static str, Told)>,
    tell: mpsc::Sender<(&'static str, Told)>,
}

/// Tasks that wait for a node's end.
#[derive(Default)]
struct Others {
    core: Option<NodeHandle<SipIpCore>>,
    functions: Vec<NodeHandle<ParticipatingFunction>>,
    pumps: tokio::task::JoinSet<()>,
}

/// What all nodes share.
pub(super) struct Shared<'a> {
    pub(super) clock: Clock,
    pub(super) tap: &'a Tap,
    pub(super) ladder: &'a Ladder,
    pub(super) random: Random,
}

impl Nodes {
    /// Binds all sockets, then builds and starts all nodes.
    pub(crate) fn start(clock: Clock, tap: &Tap, ladder: &Ladder) -> Result<Nodes, String> {
        let random = Random::new(seed_from_os().map_err(|error| error.to_string())?);
        let mut shared = Shared { clock, tap, ladder, random };
        let (tell, told) = mpsc::channel(64);
        let mut nodes = Nodes { clients: Vec::new(), others: Others::default(), told, tell };

        let (core, core_at) = shared.bind("core", &[Listen::Sip(HERE)])?;
        let (pf_a, pf_a_at) = shared.bind("pf-a", &[Listen::Sip(HERE)])?;
        let (pf_b, pf_b_at) = shared.bind("pf-b", &[Listen::Sip(HERE)])?;

        nodes.start_core(&mut shared, core, core_at, [pf_a_at, pf_b_at])?;
        nodes.start_participating(&mut shared, "pf-a", pf_a, pf_a_at, core_at)?;
        nodes.start_participating(&mut shared, "pf-b", pf_b, pf_b_at, core_at)?;
        for (name, address) in CLIENTS.into_iter().zip([ALICE, BOB, BOB]) {
            nodes.start_client(&mut shared, name, address, core_at)?;
        }
        Ok(nodes)
    }

    fn start_core(
        &mut self,
        shared: &mut Shared<'_>,
        sockets: Sockets,
        at: SocketAddr,
        functions: [SocketAddr; 2],
    ) -> Result<(), String> {
        let mut users = Vec::new();
        for (identity, function) in [ALICE, BOB].into_iter().zip(functions) {
            users.push(User { identities: vec![uri(identity)?], participating: Some(sip_uri(function)) });
        }
        let config = CoreConfig::new(sip_uri(at), users);
        let node_config = config.node(shared.seed());
        let node = Node::new(SipIpCore::new(config, shared.seed()), node_config)
            .map_err(|error| error.to_string())?;
        let running = shared.run("core", node, sockets, functions.into())?;
        self.others.core = Some(running.handle.clone());
        self.pump("core", running, |_| None);
        Ok(())
    }

    fn start_participating(
        &mut self,
        shared: &mut Shared<'_>,
        name: &'static str,
        sockets: Sockets,
        at: SocketAddr,
        core: SocketAddr,
    ) -> Result<(), String> {
        let mut config = ParticipatingConfig::new(sip_uri(at));
        config.outbound = Some(NextHop::Address(Transport::Udp, core));
        let node = ParticipatingFunction::node(config, shared.seed()).map_err(|error| error.to_string())?;
        let running = shared.run(name, node, sockets, vec![core])?;
        self.others.functions.push(running.handle.clone());
        self.pump(name, running, |event| match event {
            ParticipatingEvent::Registration { devices, .. } => Some(Told::Devices(devices)),
            _ => None,
        });
        Ok(())
    }

    fn start_client(
        &mut self,
        shared: &mut Shared<'_>,
        name: &'static str,
        address: &str,
        core: SocketAddr,
    ) -> Result<(), String> {
        let (sockets, at) = shared.bind(name, &[Listen::Sip(HERE), Listen::Msrp(HERE)])?;
        let msrp = sockets.msrp().next().ok_or("no socket for MSRP")?;
        let instance = format!("urn:uuid:{}", shared.random.uuid());
        let mut config = ClientConfig::new(uri(address)?, contact_uri(name, at), msrp, &instance);
        config.registrar = Some(Uri::Sip(sip_uri(core)));
        (config.settings.display_reports, config.settings.strangers) = (true, Strangers::Report);
        config.product = concat!("cpm/", env!("CARGO_PKG_VERSION")).to_owned();
        let node = Client::node(config, shared.seed()).map_err(|error| error.to_string())?;
        let running = shared.run(name, node, sockets, vec![core])?;
        self.clients.push((name, running.handle.clone()));
        self.pump(name, running, |event| Some(Told::Client(Box::new(event))));
        Ok(())
    }

    /// Brings what a node tells to where it is waited for, until the node ends.
    fn pump<F>(&mut self, name: &'static str, mut running: Running<F>, read: fn(F::Event) -> Option<Told>)
    where
        F: Function + Send + 'static,
        F::Event: Send + 'static,
    {
        let tell = self.tell.clone();
        self.others.pumps.spawn(async move {
            while let Some(event) = running.events.recv().await {
                if let Some(told) = read(event)
                    && tell.send((name, told)).await.is_err()
                {
                    break;
                }
            }
            // It has ended already or does now; its counters are of no interest here.
            let _ = running.stop().await;
        });
    }

    /// The next thing that a node tells.
    pub(crate) async fn told(&mut self) -> Result<(&'static str, Told), String> {
        self.told.recv().await.ok_or_else(|| "all nodes have stopped".to_owned())
    }

    /// The way to one of the clients.
    pub(crate) fn client(&self, name: &str) -> Result<&NodeHandle<Client>, String> {
        let found = self.clients.iter().find(|(client, _)| *client == name);
        found.map(|(_, handle)| handle).ok_or_else(|| format!("there is no client {name}"))
    }

    /// Ends all nodes at once and waits for them.
    pub(crate) async fn stop(mut self) {
        for (_, client) in &self.clients {
            // One that has stopped needs not be told.
            let _ = client.stop().await;
        }
        for function in &self.others.functions {
            let _ = function.stop().await;
        }
        if let Some(core) = &self.others.core {
            let _ = core.stop().await;
        }
        drop(self.told);
        while self.others.pumps.join_next().await.is_some() {}
    }
}

impl Shared<'_> {
    pub(super) fn seed(&mut self) -> Seed {
        self.random.fork()
    }

    /// Binds a node's sockets and tells the diagram whose they are. Returns where it takes SIP.
    pub(super) fn bind(
        &self,
        name: &'static str,
        listen: &[Listen],
    ) -> Result<(Sockets, SocketAddr), String> {
        let sockets = Sockets::bind(listen).map_err(|error| error.to_string())?;
        for address in sockets.sip_udp().chain(sockets.msrp()) {
            self.ladder.name(name, address);
        }
        let at = sockets.sip_udp().next().ok_or("no socket for SIP")?;
        Ok((sockets, at))
    }

    /// Starts a node that believes what `trusted` assert. All its peers are on this machine.
    pub(super) fn run<F>(
        &self,
        name: &str,
        node: Node<F>,
        sockets: Sockets,
        trusted: Vec<SocketAddr>,
    ) -> Result<Running<F>, String>
    where
        F: Function + Send + 'static,
        F::Event: Send + 'static,
    {
        let mut config = HostConfig::new(self.clock);
        config.tap = self.tap.for_node(name);
        config.open_policy = OpenPolicy { loopback: true, ..OpenPolicy::default() };
        config.trusted = TrustedPeers { sockets: trusted.into_iter().collect(), ..TrustedPeers::default() };
        start(node, sockets, config).map_err(|error| error.to_string())
    }
}

pub(super) fn uri(text: &str) -> Result<Uri, String> {
    Uri::parse(text).map_err(|error| format!("{text}: {error}"))
}

pub(super) fn sip_uri(at: SocketAddr) -> SipUri {
    let host = match at.ip() {
        IpAddr::V4(address) => Host::V4(address),
        IpAddr::V6(address) => Host::V6(address),
    };
    SipUri::new(host).with_port(Some(at.port()))
}
