//! What `cpm chat` takes.

use crate::args::{Record, listening, uri};
use clap::{Args, ValueEnum};
use cpm_sip::Uri;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(
    after_help = "A line is a message to whom you talk with; it gets a number, and under this number comes what became of
it: ✓ delivered, ✓✓ read. What arrives is shown while you type, and counts as read. Lines that begin
with a slash are commands; /help lists them. Without a terminal, lines come from the standard input
and its end is the end of the chat, after what is under way is settled.

The password is read from the variable CPM_PASSWORD where neither option gives one. The exit status
is 0 at the end of the chat, 1 when the registration is refused or the server cannot be reached.

Examples:
  cpm chat --as sip:alice@example.com --server 127.0.0.1:5060 --to sip:bob@example.com
  cpm chat --as sip:bob@example.com --server 127.0.0.1:5060 --device tablet --password-file bob.txt
  cpm chat --as sip:bob@example.com --server 127.0.0.1:5060 --store ~/.cpm
  echo 'I am late' | cpm chat --as sip:alice@example.com --server 192.0.2.1 --to tel:+15550100"
)]
pub(crate) struct Chat {
    /// Who you are: the address that is registered
    #[arg(long = "as", value_name = "ADDRESS", value_parser = uri)]
    pub(crate) identity: Uri,
    /// Where the SIP/IP core is; port 5060 where none is given
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = server)]
    pub(crate) server: SocketAddr,
    /// Whom you talk with at first; else the first who writes
    #[arg(long, value_name = "ADDRESS", value_parser = uri)]
    pub(crate) to: Option<Uri>,
    /// The name of this device: the same name is the same device after a restart. By default a new one each time,
    /// or the one of the store
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// A directory (made when it is not there) to keep in what arrives, what was said, and what others are owed: the next
    /// chat of this user with it shows what came before and sends what did not go out. Without it nothing is kept
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Speak TCP to the server, not UDP
    #[arg(long)]
    pub(crate) tcp: bool,
    /// The name of the account; by default the user part of the address
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// The password of the account. Others on this machine can see it: better in a file
    #[arg(long, value_name = "WORD", conflicts_with = "password_file")]
    pub(crate) password: Option<String>,
    /// A file with the password in its first line
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The realm of the account; by default the host of the address
    #[arg(long, value_name = "NAME")]
    pub(crate) realm: Option<String>,
    /// Where SIP is taken; by default any port of the address from which the server is reached
    #[arg(long, value_name = "ADDR:PORT", value_parser = listening)]
    pub(crate) bind: Option<SocketAddr>,
    /// What those learn of their messages to whom you have not written: that they arrived and are read, the same after
    /// you said /allow, or nothing
    #[arg(long, value_name = "WHAT", value_enum, default_value = "report")]
    pub(crate) strangers: Told,
    /// Send no read reports
    #[arg(long)]
    pub(crate) no_read: bool,
    #[command(flatten)]
    pub(crate) record: Record,
}

/// What somebody is told whom one does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Told {
    Report,
    Ask,
    Silent,
}

/// An address with or without its port.
fn server(text: &str) -> Result<SocketAddr, String> {
    let bare = || text.trim_matches(['[', ']']).parse().map(|address| SocketAddr::new(address, 5060));
    let server: SocketAddr = text.parse().or_else(|_| bare()).map_err(|_| "not an address".to_owned())?;
    match server.ip().is_unspecified() || server.ip().is_multicast() || server.port() == 0 {
        true => Err("not the address of one machine".to_owned()),
        false => Ok(server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_one_machine() {
        let port = |text| server(text).map(|server| server.port());
        assert_eq!(port("192.0.2.1"), Ok(5060));
        assert_eq!(port("192.0.2.1:5070"), Ok(5070));
        assert_eq!(port("::1"), Ok(5060));
        assert_eq!(port("[::1]"), Ok(5060));
        assert_eq!(port("[::1]:5070"), Ok(5070));
        for bad in ["", "host", "0.0.0.0:5060", "224.0.0.1", "192.0.2.1:0", "192.0.2.1:70000"] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }
}
