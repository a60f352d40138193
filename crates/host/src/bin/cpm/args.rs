//! What the command takes.

use crate::endpoint::steps::Do;
use clap::{Args, Parser, Subcommand, ValueEnum};
use cpm_base::Transport;
use cpm_sip::Uri;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// OMA CPM (Converged IP Messaging, the standard under RCS) on real sockets.
#[derive(Debug, Parser)]
#[command(name = "cpm", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Examples:
  cpm demo                          a pager-mode message, its delivery and read report, as a ladder diagram
  cpm demo large --pcap large.pcap  a large message over MSRP, with a capture for Wireshark
  cpm listen --bind 0.0.0.0:5060    take messages from anybody and print them
  cpm decode message.sip            what a SIP message says, and whether it is valid")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Send one message through a SIP/IP core and two Participating Functions, all on loopback sockets
    Demo(Demo),
    /// Take pager-mode and large messages from anybody, print them and send the reports asked for
    Listen(Listen),
    /// Talk with somebody: a registered client in a terminal, for pager messages
    Chat(Box<crate::chat::args::Chat>),
    /// Serve users: registrar, routing and a Participating Function, with a store on disk
    Serve(Serve),
    /// Send files over MSRP alone, and receive them
    Msrp(crate::msrp::args::Msrp),
    /// A plain SIP user agent: answers what comes and does what it is told, step by step
    Endpoint(Box<Endpoint>),
    /// Print SIP messages, MSRP streams and bodies with all that is in them, and say whether they are valid
    Decode(Decode),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The exit status is 0 when all messages are well-formed and valid, 1 when one is not, 2 on wrong usage
or when a file cannot be read. What a user agent or a proxy would refuse for other reasons (an unknown
method, URI scheme, extension or type of body) is printed and does not change it.

Examples:
  cpm decode invite.sip
  cpm decode --json *.sip
  cpm decode --stream - < connection.bin
  cpm decode imdn.xml cpim.bin msrp.bin
  cpm decode --body 'multipart/mixed;boundary=b' parts.bin"
)]
pub(crate) struct Decode {
    /// Print JSON: a list with one object for each file
    #[arg(long)]
    pub(crate) json: bool,
    /// Each file is a stream, as a TCP connection has it, with any number of messages
    #[arg(long)]
    pub(crate) stream: bool,
    /// Each file is a body of this media type, without a message around it
    #[arg(long, value_name = "MEDIA-TYPE", conflicts_with = "stream")]
    pub(crate) body: Option<String>,
    /// Files with one SIP message each, as a datagram has it, with MSRP as a connection has it, or with one XML
    /// document, message/cpim or session description; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Everything runs in this one process, each node on sockets of its own. The exit status is 0 when the
message was delivered and every report came back, 1 otherwise.

Examples:
  cpm demo
  cpm demo large
  cpm demo file
  cpm demo pager --trace pager.txt --pcap pager.pcap
  cpm demo --color never | less"
)]
pub(crate) struct Demo {
    /// Which way of sending is shown
    #[arg(value_enum, default_value_t = Mode::Pager)]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) record: Record,
    /// Whether the diagram is coloured
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "When it is ready it prints one line, for scripts to wait for:
  serving on udp 127.0.0.1:5060, tcp 127.0.0.1:5060, http://127.0.0.1:9464/metrics

SIGTERM and SIGINT end it in good order: new requests are answered 503, what is under way may end.
The exit status is 0 then, and 1 when it cannot start.

Examples:
  cpm serve --print-config > serve.toml
  cpm serve --config serve.toml")]
pub(crate) struct Serve {
    /// The configuration; without one, the defaults hold, with which nobody can register
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration with all its keys, explained, and end
    #[arg(long)]
    pub(crate) print_config: bool,
    #[command(flatten)]
    pub(crate) record: Record,
}

#[derive(Debug, Args)]
#[command(after_help = "When it is ready it prints one line, for scripts to wait for:
  listening on udp 127.0.0.1:5060, tcp 127.0.0.1:5060, msrp 127.0.0.1:2855

The exit status is 0 after Ctrl-C, SIGTERM, the wished number of messages or, without --count, the
end of the time; 1 when it cannot listen or the time is over before enough messages came.

Examples:
  cpm listen
  cpm listen --bind 192.0.2.10:5060 --msrp 192.0.2.10:2855
  cpm listen --bind '[::1]:0' --count 1 --timeout 30")]
pub(crate) struct Listen {
    /// Where SIP is taken, on UDP and TCP; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5060", value_parser = listening)]
    pub(crate) bind: SocketAddr,
    /// Where MSRP is taken; by default at the same address, port 2855 if it is free
    #[arg(long, value_name = "ADDR:PORT", value_parser = listening)]
    pub(crate) msrp: Option<SocketAddr>,
    /// The address that peers are told to use, when listening on all addresses (0.0.0.0 or ::)
    #[arg(long, value_name = "ADDR", value_parser = reachable)]
    pub(crate) advertise: Option<IpAddr>,
    /// The address of record that messages are for; by default sip:listen@ADDR
    #[arg(long, value_name = "URI")]
    pub(crate) identity: Option<String>,
    /// Do not send delivery notifications, even when asked for
    #[arg(long)]
    pub(crate) no_delivery: bool,
    /// Do not send read reports, even when asked for (otherwise what was printed counts as read)
    #[arg(long)]
    pub(crate) no_read: bool,
    /// Also connect to media addresses in private networks and on this machine when a peer names them
    #[arg(long)]
    pub(crate) allow_private: bool,
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
#[command(after_help = "It prints one line when it is ready, and one for everything that happens:
  listening on udp 127.0.0.1:5060, tcp 127.0.0.1:5060

Steps (--do, any number of them, in their order):
  register, deregister                    at the --registrar
  message URI TEXT, options URI           wait for the answer
  invite URI, reinvite, update, bye       one call at a time
  subscribe URI PACKAGE [SECONDS]         until the first NOTIFY; 0 seconds fetches
  unsubscribe, refer URI                  in the call
  await-call, await-bye, await-message    for a peer
  wait MILLISECONDS

The exit status is 0 when all steps worked, or after Ctrl-C, SIGTERM or the wished number of
requests; 1 when a step failed or the time is over.

Examples:
  cpm endpoint --bind 127.0.0.1:5060 --ring 500
  cpm endpoint --bind 127.0.0.1:0 --do 'invite sip:bob@127.0.0.1:5060' --do reinvite --do bye
  cpm endpoint --bind 127.0.0.1:0 --identity sip:alice@example.com --user alice --password pw \\
    --registrar sip:example.com --outbound tcp:127.0.0.1:5070 --do register --do await-message")]
pub(crate) struct Endpoint {
    /// Where SIP is taken, on UDP and TCP; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5060", value_parser = listening)]
    pub(crate) bind: SocketAddr,
    /// The address of record; by default its contact
    #[arg(long, value_name = "URI", value_parser = uri)]
    pub(crate) identity: Option<Uri>,
    /// Where requests go that have no Route of their own
    #[arg(long, value_name = "udp:ADDR:PORT", value_parser = hop)]
    pub(crate) outbound: Option<(Transport, SocketAddr)>,
    /// The registrar
    #[arg(long, value_name = "URI", value_parser = uri)]
    pub(crate) registrar: Option<Uri>,
    /// How long a registration is to hold, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    pub(crate) expires: u32,
    /// The name of the account, and the user part of the contact
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// The password of the account
    #[arg(long, value_name = "WORD", requires = "user")]
    pub(crate) password: Option<String>,
    /// The realm of the account; by default the host of the identity
    #[arg(long, value_name = "NAME")]
    pub(crate) realm: Option<String>,
    /// Refuse calls and messages with this status
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(300..=699))]
    pub(crate) refuse: Option<u16>,
    /// Answer so many calls and messages 503 before taking one
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) busy_first: u32,
    /// How long to ring before a call is taken, in milliseconds
    #[arg(long, value_name = "MS", default_value = "0")]
    pub(crate) ring: u64,
    /// Ring reliably (100rel) where the caller can take it
    #[arg(long)]
    pub(crate) reliable: bool,
    /// Use session timers (RFC 4028) with this interval, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(90..=86_400))]
    pub(crate) session_expires: Option<u32>,
    /// A step to do
    #[arg(long = "do", value_name = "STEP", value_parser = Do::parse)]
    pub(crate) steps: Vec<Do>,
    /// End after this many requests were served (and all steps done)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) record: Record,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// Write every octet that crosses a socket to FILE, as text to read
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write a capture that Wireshark opens to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A short message in one SIP request
    Pager,
    /// A large message through an MSRP session
    Large,
    /// A file through an MSRP session that breaks and is resumed
    File,
    /// A call that a proxy sends to two devices; one takes it, the other is cancelled
    Fork,
    /// A call that is passed on back to back to two devices; both take it
    Bridge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal that has not asked for none (NO_COLOR)
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    pub(crate) fn wanted(self) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// An address that one program listens on: its own or all. (Systems also bind group and broadcast addresses, where nobody
/// could answer from.)
pub(crate) fn listening(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if names_many(address.ip()) {
        return Err("a multicast or broadcast address is nobody's own".to_owned());
    }
    Ok(address)
}

/// An address that others can send to.
pub(crate) fn reachable(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.is_unspecified() || names_many(address) {
        return Err("not the address of one machine".to_owned());
    }
    Ok(address)
}

pub(crate) fn uri(text: &str) -> Result<Uri, String> {
    Uri::parse(text).map_err(|error| error.to_string())
}

/// A transport and an address.
fn hop(text: &str) -> Result<(Transport, SocketAddr), String> {
    let (transport, at) = text.split_once(':').ok_or("udp: or tcp: and an address")?;
    let transport = match transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        _ => return Err("udp: or tcp: and an address".to_owned()),
    };
    Ok((transport, at.parse().map_err(|error| format!("{error}"))?))
}

fn names_many(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if time > Duration::ZERO && seconds <= 1e9 => Ok(time),
        _ => Err("must be more than 0 and at most 1000000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["cpm", "demo", "large", "--color", "never"]).unwrap();
        assert!(matches!(cli.task, Task::Demo(Demo { mode: Mode::Large, color: Color::Never, .. })));
        let all = ["cpm", "listen", "--bind", "0.0.0.0:5060", "--msrp", "[::]:0", "--advertise", "192.0.2.1"];
        assert!(Cli::try_parse_from(all).is_ok());
        let cli = Cli::try_parse_from(["cpm", "listen", "--bind", "[::1]:0", "--timeout", "0.5"]).unwrap();
        assert!(
            matches!(cli.task, Task::Listen(listen) if listen.timeout == Some(Duration::from_millis(500)))
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            &["cpm"][..],
            &["cpm", "demo", "fax"],
            &["cpm", "listen", "--bind", "5060"],
            &["cpm", "listen", "--bind", "224.0.0.1:5060"],
            &["cpm", "listen", "--bind", "255.255.255.255:5060"],
            &["cpm", "listen", "--msrp", "[ff02::1]:2855"],
            &["cpm", "listen", "--advertise", "0.0.0.0"],
            &["cpm", "listen", "--advertise", "224.0.0.1"],
            &["cpm", "listen", "--count", "0"],
            &["cpm", "listen", "--timeout", "0"],
            &["cpm", "listen", "--timeout", "-1"],
            &["cpm", "listen", "--timeout", "inf"],
            &["cpm", "decode"],
            &["cpm", "decode", "--json"],
            &["cpm", "decode", "--xml", "file"],
        ] {
            assert!(Cli::try_parse_from(bad).is_err(), "{bad:?}");
        }
    }
}
