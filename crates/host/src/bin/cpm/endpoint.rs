//! `cpm endpoint`: a plain SIP user agent for trying things out: it answers what comes, and does what it is told.

pub(crate) mod phone;
pub(crate) mod steps;

use self::steps::Do;
use crate::args::Endpoint as Options;
use crate::record;
use cpm_auth::{Account, AnswerPolicy, Secret};
use cpm_base::Transport;
use cpm_core::{Node, NodeConfig};
use cpm_host::{Clock, HostConfig, Listen, OpenPolicy, Running, Sockets, Tap, seed_from_os, start};
use cpm_sip::{ContactAddr, Headers, Method, NameAddr, StatusCode, Uri};
use cpm_ua::{Destination, Login, NewRegistration, NextHop, RefreshPolicy, SessionTimer};
use phone::{Manners, Phone, Told};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// How long the last answers may take on the way out.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Does all steps; then, unless there were some, serves until a signal, enough requests, or the end of the time.
pub(crate) async fn endpoint(options: &Options) -> Result<(), String> {
    let clock = Clock::start();
    let tap = record::tap(clock, &options.record, Vec::new())?;
    let sockets = Sockets::bind(&[Listen::Sip(options.bind)]).map_err(|error| error.to_string())?;
    let sip = sockets.sip_udp().next().ok_or("no socket to listen on")?;
    let mut running = run(options, sockets, sip, clock, tap.clone())?;
    say(&format!("listening on udp {sip}, tcp {sip}"))?;
    let end = options.timeout.and_then(|limit| Instant::now().checked_add(limit));
    let result = tokio::select! {
        result = work(options, &mut running) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
        () = terminated() => Ok(()),
        () = at(end) => Err("the time is over".to_owned()),
    };
    sleep(Duration::from_millis(100)).await;
    let idle = || running.handle.with_node(|node, _| node.is_idle());
    let end = Instant::now() + LAST_WORDS;
    while Instant::now() < end && idle().await == Ok(false) {
        sleep(Duration::from_millis(20)).await;
    }
    let _ = running.stop().await;
    record::finish(&tap)?;
    result
}

async fn work(options: &Options, running: &mut Running<Phone>) -> Result<(), String> {
    let mut served = 0;
    for Do { words, step } in options.steps.clone() {
        say(&format!("> {words}"))?;
        let job = running.handle.command(move |now, phone, ports| phone.begin(now, ports, &step));
        job.await.map_err(|error| error.to_string())?;
        loop {
            match running.events.recv().await {
                Some(Told::Line(line)) => say(&line)?,
                Some(Told::Served) => served += 1,
                Some(Told::Done(result)) => break result?,
                None => return Err("the endpoint has stopped".to_owned()),
            }
        }
    }
    if !options.steps.is_empty() && options.count.is_none() {
        return Ok(());
    }
    while options.count.is_none_or(|count| served < count) {
        match running.events.recv().await {
            Some(Told::Line(line)) => say(&line)?,
            Some(Told::Served) => served += 1,
            Some(Told::Done(_)) => {}
            None => return Err("the endpoint has stopped".to_owned()),
        }
    }
    Ok(())
}

async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| error.to_string())
}

fn run(
    options: &Options,
    sockets: Sockets,
    sip: SocketAddr,
    clock: Clock,
    tap: Tap,
) -> Result<Running<Phone>, String> {
    let seed = seed_from_os().map_err(|error| error.to_string())?;
    let mut config = NodeConfig::user_agent(seed, concat!("cpm/", env!("CARGO_PKG_VERSION")));
    configure(options, &mut config.sip);
    let contact = contact(options, sip)?;
    let identity = options.identity.clone().unwrap_or_else(|| contact.clone());
    let phone = Phone::new(
        manners(options)?,
        identity.clone(),
        contact.clone(),
        sip,
        registration(options, &identity, contact),
    );
    let mut node = Node::new(phone, config).map_err(|error| error.to_string())?;
    if let Some(login) = login(options, &identity)? {
        let now = clock.now();
        node.command(now, |_, ports| ports.sip.add_login(login).map(|_| ()))
            .map_err(|error| error.to_string())?;
    }
    let mut host = HostConfig::new(clock);
    host.tap = tap;
    host.open_policy = OpenPolicy::laboratory();
    start(node, sockets, host).map_err(|error| error.to_string())
}

fn configure(options: &Options, sip: &mut cpm_ua::Config) {
    let more =
        [Method::Update, Method::Prack, Method::Subscribe, Method::Notify, Method::Refer, Method::Info];
    sip.allow.extend(more);
    sip.supported.extend(["100rel", "replaces"].map(String::from));
    if let Some(expires) = options.session_expires {
        sip.supported.push(String::from("timer"));
        sip.session_timer = Some(SessionTimer { expires, min_se: 90, refresh: true });
    }
    // Whoever tries things out does not want to wait.
    let second = Duration::from_secs(1);
    sip.refresh = RefreshPolicy { retry_base: second, retry_base_others: second, ..RefreshPolicy::default() };
    sip.outbound = options.outbound.map(|(transport, at)| NextHop::Address(transport, at));
}

fn manners(options: &Options) -> Result<Manners, String> {
    let refuse = match options.refuse {
        None => None,
        Some(code) => Some(StatusCode::new(code).ok_or("--refuse needs a status from 300 to 699")?),
    };
    Ok(Manners {
        refuse,
        busy_first: options.busy_first,
        ring: Duration::from_millis(options.ring),
        reliable: options.reliable,
    })
}

fn contact(options: &Options, sip: SocketAddr) -> Result<Uri, String> {
    let user = options.user.as_deref().unwrap_or("endpoint");
    let tcp = options.outbound.is_some_and(|(transport, _)| transport == Transport::Tcp);
    let text = format!("sip:{user}@{sip}{}", if tcp { ";transport=tcp" } else { "" });
    Uri::parse(&text).map_err(|error| format!("{text}: {error}"))
}

fn registration(options: &Options, identity: &Uri, contact: Uri) -> Option<NewRegistration> {
    Some(NewRegistration {
        registrar: options.registrar.clone()?,
        address: NameAddr::new(identity.clone()),
        contacts: vec![ContactAddr::new(NameAddr::new(contact))],
        expires: options.expires,
        headers: Headers::new(),
        routes: Vec::new(),
        destination: Destination::Routed,
    })
}

/// The account that answers challenges.
fn login(options: &Options, identity: &Uri) -> Result<Option<Login>, String> {
    let (Some(user), Some(password)) = (&options.user, &options.password) else { return Ok(None) };
    let realm = match (&options.realm, identity) {
        (Some(realm), _) => realm.clone(),
        (None, Uri::Sip(uri)) => uri.host().to_string(),
        (None, _) => return Err("the realm of the account is not known: give --realm".to_owned()),
    };
    let registrar = match &options.registrar {
        Some(Uri::Sip(uri)) => Some(uri.host().clone()),
        _ => None,
    };
    let account =
        Account::new(user, &realm, Secret::password(password)).map_err(|error| error.to_string())?;
    Ok(Some(Login {
        account,
        policy: AnswerPolicy::default(),
        address: Some(identity.clone()),
        hosts: registrar.into_iter().collect(),
        proxies: true,
    }))
}
