//! The `cpm` command: a demonstration of a message's whole way, and a client that listens.

mod args;
mod demo;
mod label;
mod ladder;
mod listen;
mod record;
mod show;
mod terminal;

use args::{Cli, Task};
use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let result = match cli.task {
        Task::Demo(options) => runtime.block_on(demo::demo(&options)),
        Task::Listen(options) => runtime.block_on(listen::listen(&options)),
    };
    // Look-ups by the system's resolver cannot be ended; they are not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

/// One sentence about what went wrong, and exit status 1.
fn fail(message: &str) -> ExitCode {
    eprintln!("cpm: {message}");
    ExitCode::FAILURE
}
