//! The `cpm` command: a demonstration of a message's whole way, and a client that listens.

mod args;
mod terminal;

use args::{Cli, Task};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let result = match cli.task {
        Task::Demo(_demo) => Ok(()),
        Task::Listen(_listen) => Ok::<(), String>(()),
    };
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
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
