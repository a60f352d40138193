//! The `cpm` command: a demonstration of a message's whole way, a client that listens, one that talks, a reader of SIP
//! messages.

mod args;
mod chat;
mod decode;
mod demo;
mod endpoint;
mod label;
mod ladder;
mod listen;
mod msrp;
mod record;
mod serve;
mod show;
mod terminal;

use args::{Cli, Task};
use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;

/// Messages are many small pieces that live for microseconds: an allocator that keeps them close costs less than half of the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().task {
        Task::Decode(options) => decode::decode(&options),
        Task::Chat(options) => run(chat::chat(&options)),
        Task::Demo(options) => run(demo::demo(&options)),
        Task::Listen(options) => run(listen::listen(&options)),
        Task::Serve(options) => serve::serve(&options),
        Task::Msrp(options) => run(msrp::msrp(&options)),
        Task::Endpoint(options) => run(endpoint::endpoint(&options)),
    }
}

/// Runs what needs sockets and time.
fn run(task: impl Future<Output = Result<(), String>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let result = runtime.block_on(task);
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
