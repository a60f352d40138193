//! `cpm serve`: the SIP/IP core stand-in with a Participating Function.

use crate::args::Serve;
use crate::listen::Signals;
use crate::{fail, record};
use cpm_host::Clock;
use cpm_host::serve::{Config, Server, start_logs};
use std::io::{self, Write};
use std::process::ExitCode;

/// Serves until a signal ends it.
pub(crate) fn serve(options: &Serve) -> ExitCode {
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn run(options: &Serve) -> Result<(), String> {
    let config = match &options.config {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            Config::read(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => Config::default(),
    };
    if options.print_config {
        return io::stdout().write_all(config.print().as_bytes()).map_err(|error| error.to_string());
    }
    let name = || options.config.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
    config.check().map_err(|error| format!("{}{error}", name()))?;
    start_logs(&config.log);
    // One thread for sockets and nodes: they hand everything on to one another, and threads would wait for each other.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        let mut signals = Signals::install()?;
        let tap = record::tap(Clock::start(), &options.record, Vec::new())?;
        let mut server = Server::start(&config, tap.clone()).await.map_err(|error| error.to_string())?;
        say(&server)?;
        let result = tokio::select! {
            () = signals.any() => {
                server.stop().await;
                Ok(())
            }
            () = server.ended() => Err("the server ended by itself".to_owned()),
        };
        record::finish(&tap)?;
        result
    })
}

/// The one line that scripts wait for.
fn say(server: &Server) -> Result<(), String> {
    let mut all: Vec<String> = server.sip().iter().map(|at| format!("udp {at}, tcp {at}")).collect();
    all.extend(server.page().map(|at| format!("http://{at}/metrics")));
    let mut out = io::stdout().lock();
    writeln!(out, "serving on {}", all.join(", "))
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot print: {error}"))
}
