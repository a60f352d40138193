//! Flows: how a host names and describes its sockets to a machine.
//!
//! A flow is a path to one peer: a TCP or TLS connection, or a pair of local and remote UDP address. The host owns
//! sockets and names flows; a machine only ever says "these bytes on that flow", "open one to this target", "close it".

use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;

/// The host's name for a flow. A host never uses a name twice in the life of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

/// A machine's name for its wish to have a flow opened; the host's answer carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpenId(pub u64);

/// How octets travel on a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams, unreliable.
    Udp,
    /// A stream.
    Tcp,
    /// A stream under TLS.
    Tls,
}

impl Transport {
    /// Whether the transport delivers in order and retransmits by itself (RFC 3261 §17: "reliable").
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        })
    }
}

/// Which protocol is spoken on a flow: the listening socket, or the machine that asked for it, decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// SIP (RFC 3261).
    Sip,
    /// MSRP (RFC 4975).
    Msrp,
}

/// Whether the far side of a flow belongs to the SIP/IP core, so that identities it asserts are believed (RFC 3325).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// A network element of the trust domain.
    Core,
    /// Anybody else.
    Outside,
}

/// What the host knows of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowInfo {
    /// The protocol spoken on it.
    pub protocol: Protocol,
    /// How octets travel.
    pub transport: Transport,
    /// Our end.
    pub local: SocketAddr,
    /// The far end.
    pub peer: SocketAddr,
    /// The identity that the transport authenticated (a certificate's name), where it did.
    pub secure_identity: Option<String>,
    /// Whether the far side belongs to the SIP/IP core.
    pub trust: Trust,
}

/// Where a machine wants a flow to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The protocol that will be spoken.
    pub protocol: Protocol,
    /// How octets shall travel.
    pub transport: Transport,
    /// The far end.
    pub remote: SocketAddr,
}

/// Why a flow could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenError {
    /// The far side refused.
    Refused,
    /// No route, no answer in time.
    Unreachable,
    /// The host's policy does not allow this target (the far side of an offer names where we connect to).
    NotAllowed,
    /// The host has no such transport or no resources.
    Unavailable,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpenError::Refused => "the far side refused the connection",
            OpenError::Unreachable => "the far side could not be reached",
            OpenError::NotAllowed => "policy does not allow to connect there",
            OpenError::Unavailable => "the host cannot open such a flow",
        })
    }
}

impl core::error::Error for OpenError {}

/// Why a flow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The far side closed it in an orderly way.
    PeerClosed,
    /// It broke: reset, timed out, unreachable.
    Failed,
    /// Our side closed it because nothing needs it any more.
    Done,
    /// Our side closed it because framing was lost or a limit was passed: nothing on it can be understood any more.
    ProtocolError,
    /// Our side closed it because nothing useful came in time.
    Idle,
}
