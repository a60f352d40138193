//! The server: builds the nodes, starts them, ends them in good order.

use super::config::Config;
use super::{log, page};
use crate::{
    Clock, DiskLimits, DiskStore, Handle, HostConfig, Hosted, Limits, Linked, Listen, Outside, Sockets, Tap,
    seed_from_os, start,
};
use cpm_base::{Metrics, Now, Random, Transport};
use cpm_core::outside::Preferences;
use cpm_core::{Node, Query, Record, Reply};
use cpm_participating::{ParticipatingConfig, ParticipatingFunction};
use cpm_sim::{Authentication, CoreConfig, SipIpCore, User};
use cpm_sip::{Host, SipUri};
use cpm_ua::NextHop;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// Where the core and the function are for one another: an address that no packet is ever sent to (RFC 7600). They stand in
/// every message inside, often; one of IPv6 takes several times as long to read.
const CORE_INSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8)), 5060);
const FUNCTION_INSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 0, 8)), 5062);
/// How often a server that drains looks whether anything is left.
const DRAIN_STEP: Duration = Duration::from_millis(10);

type Nodes = Linked<SipIpCore, ParticipatingFunction>;

/// Why a server does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeError(String);

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServeError {}

fn failed(error: impl fmt::Display) -> ServeError {
    ServeError(error.to_string())
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    handle: Handle<Nodes>,
    /// Logs what the nodes tell, and ends with them.
    told: JoinHandle<Option<Metrics>>,
    page: Option<(SocketAddr, JoinHandle<()>)>,
    store: DiskStore,
    sip: Vec<SocketAddr>,
    drain: Duration,
}

impl Server {
    /// Opens the store, listens, takes up what was registered before. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What does not work, as a sentence.
    pub async fn start(config: &Config, tap: Tap) -> Result<Server, ServeError> {
        let clock = Clock::start();
        let limits = DiskLimits {
            max_file: config.store.max_mib.saturating_mul(1 << 20),
            cache: config.store.cache_mib.saturating_mul(1 << 20),
            ..DiskLimits::default()
        };
        let store = DiskStore::open(&config.store.path, &config.store.host, limits).map_err(failed)?;
        let records = store.records().map_err(failed)?;
        let listen: Vec<Listen> = config.listen.sip.iter().copied().map(Listen::Sip).collect();
        let sockets = Sockets::bind(&listen).map_err(failed)?;
        let sip: Vec<SocketAddr> = sockets.sip_udp().collect();
        let page = page_listener(config).await?;

        let nodes = nodes(config, &sip, clock.now(), records)?;
        let mut host = HostConfig::new(clock);
        host.tap = tap;
        host.store = Box::new(store.clone());
        host.outside = Box::new(outside(config, store.clone())?);
        host.limits = Limits {
            max_streams: config.limits.max_connections,
            max_streams_per_address: Some(config.limits.max_connections_per_address),
            max_udp_flows: config.limits.max_udp_peers,
            ..Limits::default()
        };
        let hosted = start(nodes, sockets, host).map_err(failed)?;
        let handle = hosted.handle.clone();
        let page = page.map(|(at, listener)| {
            let serving = page::serve(listener, Arc::new(handle.clone()), extra(store.clone()));
            (at, tokio::spawn(serving))
        });
        info!(?sip, metrics = ?page.as_ref().map(|(at, _)| at), store = %config.store.path.display(), "serving");
        let told = tokio::spawn(tell(hosted));
        Ok(Server { handle, told, page, store, sip, drain: config.limits.drain })
    }

    /// Where SIP is taken, over UDP and TCP.
    #[must_use]
    pub fn sip(&self) -> &[SocketAddr] {
        &self.sip
    }

    /// Where the counters can be read.
    #[must_use]
    pub fn page(&self) -> Option<SocketAddr> {
        self.page.as_ref().map(|(at, _)| *at)
    }

    /// Waits until the server has ended by itself, which it does not unless something is badly wrong.
    pub async fn ended(&mut self) {
        // However it ended.
        let _ = (&mut self.told).await;
    }

    /// Ends in good order: what begins something is answered 503, what is under way may end, for as long as the
    /// configuration says; then the store is closed. Returns the counters.
    pub async fn stop(self) -> Metrics {
        info!("ending");
        let until = Instant::now() + self.drain;
        let drain = |nodes: &mut Nodes, now: Now| {
            nodes.first(now, |node| node.command(now, |core, _| core.drain()));
        };
        // A node that has ended has nothing left.
        let mut left = match self.handle.with_node(drain).await {
            Ok(()) => usize::MAX,
            Err(_) => 0,
        };
        while left > 0 && Instant::now() < until {
            left = self.handle.with_node(under_way).await.unwrap_or(0);
            if left > 0 {
                tokio::time::sleep(DRAIN_STEP).await;
            }
        }
        if left > 0 {
            warn!(left, "ended before everything that was under way");
        }
        let _ = self.handle.stop().await;
        let metrics = self.told.await.ok().flatten().unwrap_or_default();
        if let Some((_, page)) = self.page {
            page.abort();
        }
        let store = self.store;
        // What it was given last is still written.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
        info!("ended");
        metrics
    }
}

/// Requests without an answer: all that come from outside are the core's; what the function sends of its own is over with
/// its answer, since links are streams.
fn under_way(nodes: &mut Nodes, now: Now) -> usize {
    let core = nodes.first(now, |node| node.command(now, |_, ports| ports.sip.holdings().unanswered));
    let function = nodes.second(now, |node| {
        node.command(now, |function, ports| {
            let holdings = ports.sip.holdings();
            let open = holdings.unanswered.saturating_add(holdings.client_transactions);
            open.saturating_add(function.pending())
        })
    });
    core.saturating_add(function)
}

async fn tell(mut hosted: Hosted<Nodes>) -> Option<Metrics> {
    while let Some(event) = hosted.events.recv().await {
        log::event(&event);
    }
    hosted.stop().await.ok()
}

async fn page_listener(config: &Config) -> Result<Option<(SocketAddr, TcpListener)>, ServeError> {
    let Some(at) = config.metrics.listen else { return Ok(None) };
    let listener = TcpListener::bind(at)
        .await
        .map_err(|error| ServeError(format!("cannot listen on {at} for counters: {error}")))?;
    let at = listener.local_addr().map_err(failed)?;
    Ok(Some((at, listener)))
}

/// What the page shows beside the counters of the nodes.
fn extra(store: DiskStore) -> page::Extra {
    let began = Instant::now();
    let counters = store.clone();
    page::Extra {
        lines: Arc::new(move || {
            let mut lines: Vec<(String, u64)> = counters
                .counters()
                .into_iter()
                .map(|(name, count)| (format!("{name}_total"), count))
                .collect();
            lines.push(("uptime_seconds".to_owned(), began.elapsed().as_secs()));
            lines
        }),
        fault: Arc::new(move || match (store.is_broken(), store.is_failing()) {
            (true, _) => Some("the store is damaged: nothing is kept"),
            (_, true) => Some("the store fails: nothing is kept"),
            _ => None,
        }),
    }
}

fn sip_uri(at: SocketAddr) -> SipUri {
    let host = match at.ip() {
        IpAddr::V4(address) => Host::V4(address),
        IpAddr::V6(address) => Host::V6(address),
    };
    SipUri::new(host).with_port(Some(at.port()))
}

fn inside(at: SocketAddr) -> SipUri {
    sip_uri(at).with_param("transport", Some("tcp"))
}

fn nodes(config: &Config, sip: &[SocketAddr], now: Now, records: Vec<Record>) -> Result<Nodes, ServeError> {
    let first = sip.first().copied().ok_or_else(|| failed("nothing to listen on"))?;
    let own = SocketAddr::new(config.listen.advertise.unwrap_or(first.ip()), first.port());
    let mut random = Random::new(seed_from_os().map_err(failed)?);

    let core_config = core(config, own)?;
    let mut node_config = core_config.node(random.fork());
    for at in sip {
        let uri = sip_uri(*at);
        node_config.sip.own_names.push((uri.host().clone(), uri.port()));
    }
    let (core, left_out) =
        SipIpCore::new(core_config, random.fork()).guarded().map_err(failed)?.restored(now, &records);
    if left_out > 0 {
        warn!(left_out, "registrations of the store that cannot be read, or of users that are no more");
    }
    let core = Node::new(core, node_config).map_err(failed)?;

    let mut function = ParticipatingConfig::new(inside(FUNCTION_INSIDE));
    function.policy = config.policy.clone();
    function.outbound = Some(NextHop::Address(Transport::Tcp, CORE_INSIDE));
    function.product = concat!("cpm-rs/", env!("CARGO_PKG_VERSION")).to_owned();
    let function = ParticipatingFunction::restored(function, random.fork(), records).map_err(failed)?;
    let core_at = [CORE_INSIDE, own].into_iter().chain(sip.iter().copied());
    Ok(Linked::new(core, core_at, function, [FUNCTION_INSIDE]))
}

fn core(config: &Config, own: SocketAddr) -> Result<CoreConfig, ServeError> {
    let participating = Some(inside(FUNCTION_INSIDE));
    let users = config.users.iter().map(|user| User {
        identities: user.identities().cloned().collect(),
        participating: participating.clone(),
    });
    let mut core = CoreConfig::new(sip_uri(own), users.collect());
    let settings = &config.core;
    core.service_uri = Some(inside(CORE_INSIDE));
    core.keep_bindings = true;
    core.min_expires = settings.min_expires;
    core.default_expires = settings.default_expires;
    core.max_expires = settings.max_expires;
    core.max_bindings = settings.max_devices;
    if settings.authentication {
        let mut accounts = Vec::new();
        for user in &config.users {
            accounts.extend(user.accounts(&settings.realm).map_err(failed)?);
        }
        let mut authentication = Authentication::new(&settings.realm, accounts);
        authentication.algorithms.clone_from(&settings.algorithms);
        authentication.nonces.lifetime = settings.nonce_lifetime;
        authentication.nonces.max_nonces = settings.max_nonces;
        core.authentication = Some(authentication);
    }
    Ok(core)
}

/// The world outside: preferences from the configuration, everything else in the store.
fn outside(config: &Config, mut store: DiskStore) -> Result<impl Outside, ServeError> {
    let mut known: BTreeMap<String, Arc<Preferences>> = BTreeMap::new();
    for user in &config.users {
        let preferences = Arc::new(user.preferences().map_err(failed)?);
        known.extend(user.identities().map(|address| (address.address_key(), Arc::clone(&preferences))));
    }
    Ok(World(move |query: Query| match query {
        Query::Preferences(user) => {
            let preferences = known.get(&user.address_key()).cloned().unwrap_or_default();
            Box::pin(std::future::ready(Reply::Preferences(Ok(preferences))))
        }
        other => store.ask(other),
    }))
}

/// A closure that need not know the answer at once.
struct World<F>(F);

impl<F> Outside for World<F>
where
    F: FnMut(Query) -> crate::Asking + Send + 'static,
{
    fn ask(&mut self, query: Query) -> crate::Asking {
        (self.0)(query)
    }
}
