//! What `cpm msrp` takes.

use crate::args::{Record, listening, reachable, seconds};
use clap::{Args, Subcommand, ValueEnum};
use cpm_msrp::{FailureReport, Matching, MsrpUri};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Msrp {
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Take messages over MSRP from whoever knows the URI, and print their size and hash
    Listen(Listen),
    /// Send files over MSRP to a URI
    Send(Send),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The first line printed is its URI; then one for each message that came whole: Message-ID, content
type, octets, SHA-256 (and the file, with --save), with tabs between. What went wrong goes to the
standard error. One peer at a time; the next one uses the same URI. Messages may be of any size:
they are hashed (and written) as they come.

The exit status is 0 after Ctrl-C, SIGTERM, the wished number of messages or, without --count, the
end of the time; 1 when it cannot listen or the time is over before enough messages came; 2 on
wrong usage.

Examples:
  cpm msrp listen
  cpm msrp listen --bind 192.0.2.10:2855 --save inbox
  cpm msrp listen --bind 127.0.0.1:0 --count 1 --timeout 30"
)]
pub(crate) struct Listen {
    /// Where MSRP is taken; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2855", value_parser = listening)]
    pub(crate) bind: SocketAddr,
    /// The address in the URI, when listening on all addresses (0.0.0.0 or ::)
    #[arg(long, value_name = "ADDR", value_parser = reachable)]
    pub(crate) advertise: Option<IpAddr>,
    /// Keep messages as files in this directory; they are named by the peer's filename or by the Message-ID, no file is
    /// overwritten
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,
    /// The longest message that is taken, in octets; by default any
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_size: Option<u64>,
    /// How requests find the session
    #[arg(long, value_enum, default_value_t = By::Uri)]
    pub(crate) matching: By,
    /// End after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) record: Record,
}

#[derive(Debug, Args)]
#[command(
    after_help = "For each file one line is printed when the far side has taken it: Message-ID, content type, octets,
SHA-256, file, with tabs between. A progress bar is shown when the standard error is a terminal.

The exit status is 0 when everything was taken (and reported, with --success-report); 1 when the far
side cannot be reached, refuses something or does not answer, or when a file cannot be read; 2 on
wrong usage.

Examples:
  cpm msrp send 'msrp://192.0.2.10:2855/kjhd37s2s20w2a;tcp' holiday.mpg
  cpm msrp send --chunk 2048 --success-report \"$uri\" one.bin two.bin
  tar c src | cpm msrp send --type application/x-tar \"$uri\" -"
)]
pub(crate) struct Send {
    /// Where to: the far side's URI, as `cpm msrp listen` prints it
    #[arg(value_name = "URI", value_parser = uri)]
    pub(crate) uri: MsrpUri,
    /// Files to send, each a message; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The longest chunk, in octets
    #[arg(long, value_name = "OCTETS", default_value_t = 1_048_576, value_parser = clap::value_parser!(u64).range(1..=4_294_967_296))]
    pub(crate) chunk: u64,
    /// The content type of the messages
    #[arg(long = "type", value_name = "TYPE", default_value = "application/octet-stream")]
    pub(crate) content_type: String,
    /// Ask for a report when the message is there whole, and wait for it
    #[arg(long)]
    pub(crate) success_report: bool,
    /// Which responses are asked for; with no and partial, what is written counts as taken
    #[arg(long, value_enum, default_value_t = Responses::Yes, value_name = "WHICH")]
    pub(crate) failure_report: Responses,
    /// How requests of the far side find the session
    #[arg(long, value_enum, default_value_t = By::Uri)]
    pub(crate) matching: By,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) record: Record,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// The whole URI (RFC 4975 §6.1)
    Uri,
    /// The whole URI, on a connection of its own (RFC 6714)
    Cema,
    /// The session-id alone, for paths that something on the way has rewritten
    SessionId,
}

impl From<By> for Matching {
    fn from(by: By) -> Matching {
        match by {
            By::Uri => Matching::Rfc4975,
            By::Cema => Matching::Cema,
            By::SessionId => Matching::SessionId,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Responses {
    /// All
    Yes,
    /// None
    No,
    /// Only those that say no
    Partial,
}

impl From<Responses> for FailureReport {
    fn from(responses: Responses) -> FailureReport {
        match responses {
            Responses::Yes => FailureReport::Yes,
            Responses::No => FailureReport::No,
            Responses::Partial => FailureReport::Partial,
        }
    }
}

fn uri(text: &str) -> Result<MsrpUri, String> {
    let uri = MsrpUri::parse(text).map_err(|error| error.to_string())?;
    if uri.secure() {
        return Err("msrps needs TLS, which is not built in".to_owned());
    }
    if uri.session_id().is_empty() {
        return Err("it names no session".to_owned());
    }
    Ok(uri)
}
