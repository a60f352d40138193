//! `cpm msrp send`.

use super::args::Send as Options;
use super::receiver::lost;
use super::{hex, node_config};
use crate::listen::{address_towards, say};
use crate::record;
use crate::terminal::harmless;
use bytes::Bytes;
use cpm_base::{Instant, Now, Random, Transport};
use cpm_core::{Function, Input, Node, Ports};
use cpm_host::{Clock, HostConfig, Running, Sockets, Tap, seed_from_os, start};
use cpm_msrp::{
    Body, Event, FailureReport, Host, MsrpUri, Outgoing, Role, SendFailure, SessionConfig, SessionId, Status,
    TransferId,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sha2::{Digest, Sha256};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The port of MSRP (RFC 4975 §15.4).
const MSRP_PORT: u16 = 2855;
/// The port in the URI of a side that takes no connections (RFC 4145 §4.1: discard).
const NO_PORT: u16 = 9;
/// Octets read at a time.
const READ: u64 = 64 * 1024;
/// How long a success report may take after the last response.
const REPORT: Duration = Duration::from_secs(30);

/// Sends all files, one after the other.
pub(crate) async fn send(options: &Options) -> Result<(), String> {
    let clock = Clock::start();
    let tap = record::tap(clock, &options.record, Vec::new())?;
    let sending = deliver(options, clock, tap.clone());
    let result = match options.timeout {
        None => sending.await,
        Some(limit) => match timeout(limit, sending).await {
            Ok(result) => result,
            Err(_) => Err(format!("not through after {} s", limit.as_secs_f32())),
        },
    };
    record::finish(&tap)?;
    result
}

async fn deliver(options: &Options, clock: Clock, tap: Tap) -> Result<(), String> {
    let there = resolve(&options.uri).await?;
    let mut random = Random::new(seed_from_os().map_err(|error| error.to_string())?);
    let (session, running) = run(options, there, random.fork(), clock, tap)?;
    let mut line = Line { session, running };
    let mut result = line.bound(&options.uri).await;
    for file in &options.files {
        if result.is_ok() {
            result = line.send(options, file, random.public_token(26)).await;
        }
    }
    // What has ended already needs not be ended.
    let _ = line.running.handle.command(move |now, _, ports| ports.msrp.close_session(now, session)).await;
    let _ = line.running.stop().await;
    result
}

/// The address of a URI's host.
async fn resolve(uri: &MsrpUri) -> Result<SocketAddr, String> {
    let port = uri.port().unwrap_or(MSRP_PORT);
    match uri.host() {
        Host::Ip(address) => Ok(SocketAddr::new(*address, port)),
        Host::Name(name) => {
            let found = tokio::net::lookup_host((name.as_str(), port)).await;
            let mut found = found.map_err(|error| format!("{name} is not found: {error}"))?;
            found.next().ok_or_else(|| format!("{name} has no address"))
        }
    }
}

fn run(
    options: &Options,
    there: SocketAddr,
    seed: cpm_base::Seed,
    clock: Clock,
    tap: Tap,
) -> Result<(SessionId, Running<Sender>), String> {
    let here = address_towards(there).map_err(|error| format!("there is no way to {there}: {error}"))?;
    let mut node = Node::new(Sender, node_config(seed)).map_err(|error| error.to_string())?;
    let session = node.command(clock.now(), |_, ports| {
        let config = SessionConfig {
            local_path: ports.msrp.new_local_uri(&here.to_string(), NO_PORT, false),
            remote_path: vec![options.uri.clone()],
            role: Role::Active(there, Transport::Tcp),
            matching: options.matching.into(),
            max_chunk: Some(options.chunk),
            max_message: 0,
        };
        ports.msrp.open_session(clock.now(), config).map_err(|error| error.to_string())
    })?;
    let mut host = HostConfig::new(clock);
    host.tap = tap;
    // Whoever typed the URI wants to go there.
    host.open_policy.always.insert(there);
    let running = start(node, Sockets::default(), host).map_err(|error| error.to_string())?;
    Ok((session, running))
}

/// A function that decides nothing: it tells what the endpoint tells, and what to do is commanded.
struct Sender;

impl Function for Sender {
    type Event = Event;

    fn handle(&mut self, _now: Now, input: Input, ports: &mut Ports<'_, Event>) {
        if let Input::Msrp(event) = input {
            ports.host.event(event);
        }
    }

    fn handle_timeout(&mut self, _now: Now, _ports: &mut Ports<'_, Event>) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

/// The session to the far side.
struct Line {
    session: SessionId,
    running: Running<Sender>,
}

/// A file on its way.
struct Reading {
    octets: Box<dyn AsyncRead + Unpin + Send>,
    length: Option<u64>,
    /// What was asked for and not read yet.
    due: u64,
    read: u64,
    ended: bool,
    hash: Sha256,
}

impl Line {
    async fn event(&mut self) -> Result<Event, String> {
        self.running.events.recv().await.ok_or_else(|| "the node has stopped".to_owned())
    }

    async fn bound(&mut self, uri: &MsrpUri) -> Result<(), String> {
        loop {
            match self.event().await? {
                Event::Bound { .. } => return Ok(()),
                Event::BindFailed { why, .. } => {
                    let why = lost(why).unwrap_or_else(|| "the far side closed the connection".to_owned());
                    return Err(format!("no session with {uri}: {why}"));
                }
                _ => {}
            }
        }
    }

    /// Sends one file and prints what was sent.
    async fn send(&mut self, options: &Options, file: &Path, message_id: String) -> Result<(), String> {
        let name = harmless(&file.display().to_string(), false);
        let mut reading = open(file).await.map_err(|error| format!("cannot read {name}: {error}"))?;
        let outgoing = Outgoing {
            message_id: Some(message_id.clone()),
            content_type: options.content_type.clone().into(),
            body: Body::Source { total: reading.length },
            success_report: options.success_report,
            failure_report: options.failure_report.into(),
        };
        let session = self.session;
        let sent = self.running.handle.command(move |now, _, ports| ports.msrp.send(now, session, outgoing));
        let transfer = sent.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let bar = progress_bar(&name, reading.length);
        let result = self.transfer(options, transfer, &mut reading, &bar).await;
        bar.finish_and_clear();
        result.map_err(|why| format!("{name}: {why}"))?;
        let Reading { read, hash, .. } = reading;
        let hash = hex(&hash.finalize());
        say(&format!("{message_id}\t{}\t{read}\t{hash}\t{name}\n", options.content_type))
    }

    async fn transfer(
        &mut self,
        options: &Options,
        transfer: TransferId,
        reading: &mut Reading,
        bar: &ProgressBar,
    ) -> Result<(), String> {
        let acknowledged = FailureReport::from(options.failure_report) == FailureReport::Yes;
        let mut end = End { report: !options.success_report, ..End::default() };
        let mut block = vec![0; usize::try_from(READ).unwrap_or(usize::MAX)];
        while !end.is_reached() {
            let most = usize::try_from(reading.due.min(READ)).unwrap_or(block.len());
            let room = block.get_mut(..most).unwrap_or_default();
            tokio::select! {
                event = self.running.events.recv() => {
                    let event = event.ok_or_else(|| "the node has stopped".to_owned())?;
                    match event {
                        Event::Wants { transfer: of, max, .. } if of == transfer => {
                            reading.due = reading.due.saturating_add(max);
                        }
                        Event::Progress { acknowledged, .. } => bar.set_position(acknowledged),
                        event => end.take(event, transfer)?,
                    }
                }
                count = reading.octets.read(room), if reading.due > 0 && !reading.ended => {
                    let count = count.map_err(|error| error.to_string())?;
                    self.supply(transfer, reading, block.get(..count).unwrap_or_default()).await?;
                    if !acknowledged {
                        bar.set_position(reading.read);
                    }
                }
                () = end.report_overdue() => {
                    return Err("it was taken, but no success report came".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Hands on what was read; nothing: the file has ended.
    async fn supply(&self, transfer: TransferId, reading: &mut Reading, octets: &[u8]) -> Result<(), String> {
        let count = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        reading.ended = octets.is_empty();
        if reading.ended && reading.length.is_some() {
            return Err(format!("it ended after {} octets: it was cut while it was read", reading.read));
        }
        reading.hash.update(octets);
        reading.read = reading.read.saturating_add(count);
        reading.due = reading.due.saturating_sub(count);
        let (octets, last) = (Bytes::copy_from_slice(octets), reading.ended);
        let supplied = self.running.handle.command(move |now, _, ports| {
            // One that has failed meanwhile takes none: that is told as an event.
            let _ = ports.msrp.supply(now, transfer, octets, last);
        });
        supplied.await.map_err(|error| error.to_string())
    }
}

/// What has to happen until a message counts as delivered.
#[derive(Default)]
struct End {
    sent: Option<tokio::time::Instant>,
    report: bool,
}

impl End {
    fn is_reached(&self) -> bool {
        self.sent.is_some() && self.report
    }

    async fn report_overdue(&self) {
        match self.sent {
            Some(sent) if !self.report => tokio::time::sleep_until(sent + REPORT).await,
            _ => std::future::pending().await,
        }
    }

    fn take(&mut self, event: Event, transfer: TransferId) -> Result<(), String> {
        match event {
            Event::Sent { transfer: of } if of == transfer => {
                self.sent = Some(tokio::time::Instant::now());
            }
            Event::Report { transfer: Some(of), status: Some(status), .. } if of == transfer => {
                self.report |= status.is_success();
            }
            // Why the session ended is told next.
            Event::SendFailed { why: SendFailure::SessionLost, .. } => {}
            Event::SendFailed { transfer: of, status, why } if of == transfer => {
                return Err(failed(status, why));
            }
            Event::Lost { why, .. } => {
                let why = lost(why).unwrap_or_else(|| "the far side closed it".to_owned());
                return Err(format!("the connection ended before all was taken: {why}"));
            }
            _ => {}
        }
        Ok(())
    }
}

fn failed(status: Option<Status>, why: SendFailure) -> String {
    let status =
        status.map_or_else(String::new, |status| format!(": {} {}", status.code(), status.comment()));
    match why {
        SendFailure::Refused => format!("the far side refused it{status}"),
        SendFailure::Reported => format!("the far side reported a failure{status}"),
        SendFailure::Timeout => "the far side did not answer in time".to_owned(),
        SendFailure::SessionLost => "the connection ended".to_owned(),
        SendFailure::Aborted => "it was given up".to_owned(),
        _ => format!("it was not taken{status}"),
    }
}

async fn open(file: &Path) -> io::Result<Reading> {
    let (octets, length): (Box<dyn AsyncRead + Unpin + Send>, _) = if file == Path::new("-") {
        (Box::new(tokio::io::stdin()), None)
    } else {
        let opened = tokio::fs::File::open(file).await?;
        let about = opened.metadata().await?;
        if about.is_dir() {
            return Err(io::Error::other("it is a directory"));
        }
        // Pipes and devices do not say how much they hold.
        let length = about.is_file().then_some(about.len());
        (Box::new(opened), length)
    };
    Ok(Reading { octets, length, due: 0, read: 0, ended: false, hash: Sha256::new() })
}

/// On the standard error, when that is a terminal.
pub(crate) fn progress_bar(name: &str, length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let template = match length {
        Some(_) => "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
        None => "{msg} {spinner} {bytes}, {bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(name.to_owned());
    bar
}
