//! `cpm listen`: a client without registration that takes messages from anybody.

use crate::args::Listen as Options;
use crate::{record, show};
use cpm_client::{Client, ClientConfig, ClientEvent, ReceivedMessage, Strangers, contact_uri};
use cpm_core::Record;
use cpm_host::{Clock, HostConfig, Listen, OpenPolicy, Running, Sockets, Tap, seed_from_os, start};
use cpm_sip::Uri;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// The port of MSRP (RFC 4975 §15.4).
const MSRP_PORT: u16 = 2855;
/// How long reports may take on the way out.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs until a signal, enough messages, or the end of the time.
pub(crate) async fn listen(options: &Options) -> Result<(), String> {
    let clock = Clock::start();
    let tap = record::tap(clock, &options.record, Vec::new())?;
    let sockets = bind(options)?;
    let ready = ready_line(&sockets);
    let mut signals = Signals::install()?;
    let mut running = run(options, sockets, clock, tap.clone())?;
    say(&ready)?;
    let result = take_messages(options, &mut running, &mut signals).await;
    if result.is_ok() {
        last_words(&running).await;
    }
    // The node's counters are of no interest here.
    let _ = running.stop().await;
    record::finish(&tap)?;
    result
}

/// MSRP is taken at its own port by default; where another program has it, at any.
fn bind(options: &Options) -> Result<Sockets, String> {
    let sip = Listen::Sip(options.bind);
    let msrp = |port| Listen::Msrp(SocketAddr::new(options.bind.ip(), port));
    let sockets = match options.msrp {
        Some(address) => Sockets::bind(&[sip, Listen::Msrp(address)]),
        None if options.bind.port() == 0 => Sockets::bind(&[sip, msrp(0)]),
        None => Sockets::bind(&[sip, msrp(MSRP_PORT)]).or_else(|_| Sockets::bind(&[sip, msrp(0)])),
    };
    sockets.map_err(|error| error.to_string())
}

/// The one line that scripts wait for.
fn ready_line(sockets: &Sockets) -> String {
    let udp = sockets.sip_udp().map(|at| format!("udp {at}"));
    let tcp = sockets.sip_tcp().map(|at| format!("tcp {at}"));
    let msrp = sockets.msrp().map(|at| format!("msrp {at}"));
    let all: Vec<String> = udp.chain(tcp).chain(msrp).collect();
    format!("listening on {}\n", all.join(", "))
}

fn run(options: &Options, sockets: Sockets, clock: Clock, tap: Tap) -> Result<Running<Client>, String> {
    let (Some(sip), Some(msrp)) = (sockets.sip_udp().next(), sockets.msrp().next()) else {
        return Err("no sockets to listen on".to_owned());
    };
    let config = client_config(options, sip, msrp)?;
    let seed = seed_from_os().map_err(|error| error.to_string())?;
    let node = Client::node(config, seed).map_err(|error| error.to_string())?;
    let mut host = HostConfig::new(clock);
    host.tap = tap;
    host.open_policy = open_policy(options);
    // What is printed is all that is kept.
    host.store = Box::new(|_: Record| Ok(()));
    start(node, sockets, host).map_err(|error| error.to_string())
}

/// Who listens on this machine alone, has peers on this machine alone.
fn open_policy(options: &Options) -> OpenPolicy {
    let laboratory = options.allow_private;
    let loopback = laboratory || options.bind.ip().is_loopback();
    OpenPolicy { loopback, private: laboratory, link_local: laboratory, ..OpenPolicy::default() }
}

fn client_config(options: &Options, sip: SocketAddr, msrp: SocketAddr) -> Result<ClientConfig, String> {
    let sip = reachable(sip, options.advertise)?;
    let msrp = reachable(msrp, options.advertise)?;
    let contact = contact_uri("listen", sip);
    let identity = options.identity.as_deref().unwrap_or(contact.as_str());
    let address = Uri::parse(identity).map_err(|error| format!("--identity {identity}: {error}"))?;
    // It never registers, so that nobody has to know this instance again.
    let instance = "urn:uuid:00000000-0000-4000-8000-000000000000";
    let mut config = ClientConfig::new(address, contact, msrp, instance);
    config.settings.delivery_reports = !options.no_delivery;
    config.settings.display_reports = !options.no_read;
    // Whoever sends to it wants to see it answer, and often no core stands in between.
    config.settings.strangers = Strangers::Report;
    config.settings.unasserted_senders = true;
    config.product = concat!("cpm/", env!("CARGO_PKG_VERSION")).to_owned();
    Ok(config)
}

/// An address that peers can use: the advertised one; else, when it stands for all, that of the default route.
pub(crate) fn reachable(bound: SocketAddr, advertise: Option<IpAddr>) -> Result<SocketAddr, String> {
    if let Some(address) = advertise {
        return Ok(SocketAddr::new(address, bound.port()));
    }
    if !bound.ip().is_unspecified() {
        return Ok(bound);
    }
    // The targets are for documentation: nobody is there.
    let far = match bound {
        SocketAddr::V4(_) => SocketAddr::from(([192, 0, 2, 1], 9)),
        SocketAddr::V6(_) => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9)),
    };
    match address_towards(far) {
        Ok(address) => Ok(SocketAddr::new(address, bound.port())),
        Err(_) => Err("no address to tell peers is found: give one with --advertise".to_owned()),
    }
}

/// Our address on the way there. Nothing is sent: the system only says from which address it would.
pub(crate) fn address_towards(far: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match far {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(far)?;
    Ok(socket.local_addr()?.ip())
}

async fn take_messages(
    options: &Options,
    running: &mut Running<Client>,
    signals: &mut Signals,
) -> Result<(), String> {
    let end = options.timeout.and_then(|limit| Instant::now().checked_add(limit));
    let mut taken = 0;
    loop {
        tokio::select! {
            event = running.events.recv() => match event {
                Some(ClientEvent::Received(message)) => {
                    taken += 1;
                    take(running, taken, &message).await?;
                    if options.count == Some(taken) {
                        return Ok(());
                    }
                }
                Some(_) => {}
                None => return Err("the client has stopped".to_owned()),
            },
            () = signals.any() => return Ok(()),
            () = at(end) => return match options.count {
                Some(count) => Err(format!("{taken} of {count} messages came in time")),
                None => Ok(()),
            },
        }
    }
}

/// Prints a message, which then counts as read.
async fn take(running: &Running<Client>, number: u64, message: &ReceivedMessage) -> Result<(), String> {
    say(&show::message(number, message))?;
    let id = message.id;
    let read = running.handle.command(move |now, client, ports| client.mark_read(now, ports, id));
    if read.await.map_err(|error| error.to_string())? {
        say("    (read report sent)\n")?;
    }
    Ok(())
}

/// Waits until reports are answered and sessions ended, but not for ever.
async fn last_words(running: &Running<Client>) {
    let idle = || running.handle.with_node(|node, _| node.function().is_idle());
    let end = Instant::now() + LAST_WORDS;
    while Instant::now() < end && idle().await == Ok(false) {
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn say(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot print: {error}"))
}

pub(crate) async fn at(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// The signals that end the command; from the moment this exists they do it in good order.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn install() -> Result<Signals, String> {
        use tokio::signal::unix::{SignalKind, signal};
        let install = |kind| signal(kind).map_err(|error| format!("cannot wait for signals: {error}"));
        Ok(Signals {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    pub(crate) fn install() -> Result<Signals, String> {
        Ok(Signals {})
    }

    /// Ctrl-C, or SIGTERM where there is such a thing.
    pub(crate) async fn any(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
