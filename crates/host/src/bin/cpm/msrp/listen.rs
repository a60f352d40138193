//! `cpm msrp listen`.

use super::args::Listen as Options;
use super::receiver::{Received, Receiver, Told};
use super::{hex, node_config};
use crate::listen::{Signals, at, reachable, say};
use crate::record;
use crate::terminal::harmless;
use cpm_core::Node;
use cpm_host::{Clock, HostConfig, Listen, Running, Sockets, Tap, seed_from_os, start};
use cpm_msrp::MsrpUri;
use tokio::time::Instant;

/// Runs until a signal, enough messages, or the end of the time.
pub(crate) async fn listen(options: &Options) -> Result<(), String> {
    if let Some(dir) = options.save.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(format!("{} is no directory", dir.display()));
    }
    let clock = Clock::start();
    let tap = record::tap(clock, &options.record, Vec::new())?;
    let mut signals = Signals::install()?;
    let (uri, mut running) = run(options, clock, tap.clone())?;
    say(&format!("{uri}\n"))?;
    let result = take_messages(options, &mut running, &mut signals).await;
    // What is answered is still sent; the node's counters are of no interest here.
    let _ = running.stop().await;
    record::finish(&tap)?;
    result
}

/// Binds the socket and waits for a peer there.
fn run(options: &Options, clock: Clock, tap: Tap) -> Result<(MsrpUri, Running<Receiver>), String> {
    let sockets = Sockets::bind(&[Listen::Msrp(options.bind)]).map_err(|error| error.to_string())?;
    let bound = sockets.msrp().next().ok_or("no socket to listen on")?;
    let here = reachable(bound, options.advertise)?;
    let seed = seed_from_os().map_err(|error| error.to_string())?;
    let max = options.max_size.unwrap_or(u64::MAX);
    let receiver = Receiver::new(options.matching.into(), max, options.save.clone());
    let mut node = Node::new(receiver, node_config(seed)).map_err(|error| error.to_string())?;
    let uri = node.command(clock.now(), |receiver, ports| receiver.open(clock.now(), ports, here))?;
    let mut host = HostConfig::new(clock);
    host.tap = tap;
    let running = start(node, sockets, host).map_err(|error| error.to_string())?;
    Ok((uri, running))
}

async fn take_messages(
    options: &Options,
    running: &mut Running<Receiver>,
    signals: &mut Signals,
) -> Result<(), String> {
    let end = options.timeout.and_then(|limit| Instant::now().checked_add(limit));
    let mut taken = 0;
    loop {
        tokio::select! {
            told = running.events.recv() => match told {
                Some(Told::Message(message)) => {
                    taken += 1;
                    say(&line(&message))?;
                    if options.count == Some(taken) {
                        return Ok(());
                    }
                }
                Some(Told::Trouble(text)) => eprintln!("cpm: {}", harmless(&text, false)),
                None => return Err("the node has stopped".to_owned()),
            },
            () = signals.any() => return Ok(()),
            () = at(end) => return match options.count {
                Some(count) => Err(format!("{taken} of {count} messages came in time")),
                None => Ok(()),
            },
        }
    }
}

/// Message-ID, content type, octets, SHA-256, and the file.
fn line(message: &Received) -> String {
    let Received { message_id, content_type, octets, hash, path } = message;
    let path = path.as_ref().map_or_else(String::new, |path| format!("\t{}", path.display()));
    let line = format!("{message_id}\t{}\t{octets}\t{}{path}", harmless(content_type, false), hex(hash));
    // A path shows what a peer called its file: no control character is in it, that was seen to.
    format!("{line}\n")
}
