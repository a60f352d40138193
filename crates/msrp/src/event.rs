//! What an endpoint wants of its host and tells its user.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use cpm_base::{CloseReason, FlowId, LimitExceeded, OpenError, OpenId, Target, Transport};

use crate::head::{Head, HeadError};
use crate::parser::FramingError;
use crate::uri::MsrpUri;
use crate::values::{ByteRange, ContinuationFlag, FailureReport, Status};

/// A session of this endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A message going out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u64);

/// A message coming in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncomingId(pub u64);

/// A chunk that came in and waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub u64);

/// A request of ours that is no message: NICKNAME, AUTH, and what else a user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Relays that act for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(pub u64);

/// Why relays do not act for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayLoss {
    /// No connection, or it ended.
    Connection,
    /// They did not answer in time.
    Timeout,
    /// We have no account that answers their challenge, or they did not take it.
    Credentials,
    /// They answered no.
    Refused(Status),
    /// The answer names no path.
    Malformed,
    /// They did not prove that they know our secret.
    Unproved,
}

/// A request of the far side that our user answers: NICKNAME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskedId(pub u64);

/// Who connects for a session, and where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// We connect there, or use a connection that we have there. The host decides whether it opens it.
    Active(SocketAddr, Transport),
    /// We wait for the far side's first request.
    Passive,
}

/// How a session is found by the To-Path of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matching {
    /// The whole URI, as RFC 4975 §6.1 compares it.
    Rfc4975,
    /// Likewise: middleboxes leave paths alone (RFC 6714 §5). The connection is not shared with other sessions, since
    /// they tell sessions by connection (RFC 6714 §6.3).
    Cema,
    /// The session-id alone, to the letter (TS 5.2.1.4.1), for peers behind something that rewrites addresses.
    SessionId,
}

/// What an endpoint has to know of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Our URI: from [`Endpoint::new_local_uri`](crate::Endpoint::new_local_uri), as written into `a=path`.
    pub local_path: MsrpUri,
    /// The far side's `a=path`, in its order.
    pub remote_path: Vec<MsrpUri>,
    /// Who connects.
    pub role: Role,
    /// How requests find the session.
    pub matching: Matching,
    /// The longest chunk to send, in octets; `None`: what [`Limits::max_chunk`](crate::Limits::max_chunk) says.
    pub max_chunk: Option<u64>,
    /// The longest message to take in, in octets; more is answered 413.
    pub max_message: u64,
}

/// When a good chunk is answered, and a whole message reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Answering {
    /// When our user says so: [`Endpoint::respond`](crate::Endpoint::respond) for every chunk; the success report goes
    /// out behind the last of them.
    #[default]
    Released,
    /// At once, the report as soon as the message is whole. [`Event::ChunkEnd`] comes all the same; answering it does
    /// nothing.
    AtOnce,
    /// Chunks when our user says so; reports only by [`Endpoint::report`](crate::Endpoint::report).
    ReleasedWithoutReports,
}

/// What is told of octets that come twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Overlap {
    /// [`Event::Data`] comes for all of them: whoever puts the message together lets the last stand
    /// ([`Reassembly`](crate::Reassembly); RFC 4975 §7.3.1).
    #[default]
    LastStands,
    /// [`Event::Data`] comes once for every position: what was delivered first stands (threats B6).
    FirstStands,
}

/// How a session is run, beside what was negotiated. See
/// [`Endpoint::set_options`](crate::Endpoint::set_options).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionOptions {
    /// When chunks are answered.
    pub answering: Answering,
    /// What is told of octets that come twice.
    pub overlap: Overlap,
    /// Media types that are taken, in lower case without parameters, `*` for all of a kind or of all kinds as in
    /// `a=accept-types`; anything else is answered 415. Empty: whatever comes.
    pub accept_types: Vec<String>,
    /// Whether NICKNAME is handed on ([`Event::Asked`]) instead of answered 501 (RFC 7701 §7).
    pub nicknames: bool,
}

impl SessionOptions {
    /// The defaults with this way of answering.
    #[must_use]
    pub fn answering(answering: Answering) -> Self {
        SessionOptions { answering, ..SessionOptions::default() }
    }

    pub(crate) fn takes(&self, content_type: &str) -> bool {
        if self.accept_types.is_empty() {
            return true;
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim_ascii();
        let kind = essence.split_once('/').map_or(essence, |(kind, _)| kind);
        let fits = |accepted: &String| {
            accepted == "*"
                || accepted.eq_ignore_ascii_case(essence)
                || accepted.strip_suffix("/*").is_some_and(|accepted| accepted.eq_ignore_ascii_case(kind))
        };
        self.accept_types.iter().any(fits)
    }
}

/// Why a session could not be opened: the caller's mistake, or no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// Another session has this session-id, or the URI has none or one that can be guessed (under 16 characters).
    LocalPath,
    /// The remote path is empty.
    RemotePath,
    /// A chunk size of zero, or a transport that is no stream.
    Config,
    /// The address to connect to is nobody's: unspecified, or with port 0 (threats I4).
    Target,
    /// There are as many sessions as allowed.
    Limit(LimitExceeded),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::LocalPath => f.write_str("the local URI is in use or can be guessed"),
            SessionError::RemotePath => f.write_str("the remote path is empty"),
            SessionError::Config => f.write_str("a chunk size of zero or a transport that is no stream"),
            SessionError::Target => f.write_str("the address to connect to is nobody's"),
            SessionError::Limit(limit) => write!(f, "{limit}"),
        }
    }
}

impl core::error::Error for SessionError {}

/// Where the octets of a message come from.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// All of them, in memory.
    Octets(Bytes),
    /// From elsewhere: [`Event::Wants`] asks for them, [`Endpoint::supply`](crate::Endpoint::supply) brings them.
    Source {
        /// How many there will be, where that is known.
        total: Option<u64>,
    },
}

impl Body {
    /// How many there are, where that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Body::Octets(octets) => u64::try_from(octets.len()).ok(),
            Body::Source { total } => *total,
        }
    }

    /// Whether it is known that there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length() == Some(0)
    }
}

impl From<Bytes> for Body {
    fn from(octets: Bytes) -> Self {
        Body::Octets(octets)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length() {
            Some(length) => write!(f, "[{length} octets]"),
            None => f.write_str("[octets]"),
        }
    }
}

/// A message to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Message-ID: 4 to 32 letters, digits and `.-+%=`; `None`: one is made.
    pub message_id: Option<String>,
    /// Content-Type of the body.
    pub content_type: Cow<'static, str>,
    /// The body; it may be empty.
    pub body: Body,
    /// Whether a REPORT is wanted when the far side has it whole.
    pub success_report: bool,
    /// Which responses are wanted. With `No` and `Partial`, a message counts as sent when it is written.
    pub failure_report: FailureReport,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("message_id", &self.message_id)
            .field("content_type", &self.content_type)
            .field("body", &self.body)
            .field("success_report", &self.success_report)
            .field("failure_report", &self.failure_report)
            .finish()
    }
}

/// A message that was not taken, and what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// Why.
    pub why: SendRefusal,
    /// The message, given back.
    pub outgoing: Box<Outgoing>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefusal {
    /// There is no such session (any more).
    NoSession,
    /// The Message-ID does not follow its grammar, or a message of this session has it.
    MessageId,
    /// The content type is none.
    ContentType,
    /// As many messages are on their way as allowed.
    Limit(LimitExceeded),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            SendRefusal::NoSession => f.write_str("there is no such session"),
            SendRefusal::MessageId => f.write_str("the Message-ID is malformed or in use"),
            SendRefusal::ContentType => f.write_str("the content type is none"),
            SendRefusal::Limit(limit) => write!(f, "{limit}"),
        }
    }
}

impl core::error::Error for SendError {}

/// Octets that were not taken, given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupplyError {
    /// Why.
    pub why: SupplyRefusal,
    /// The octets.
    pub octets: Bytes,
}

/// Why octets of a message were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupplyRefusal {
    /// There is no such message (any more): [`Event::SendFailed`] said so.
    NoTransfer,
    /// More than was asked for, or the message has ended.
    NotAsked,
    /// The message would end elsewhere than its declared length.
    Length,
}

impl fmt::Display for SupplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.why {
            SupplyRefusal::NoTransfer => "there is no such message",
            SupplyRefusal::NotAsked => "more octets than were asked for",
            SupplyRefusal::Length => "the message ends elsewhere than its length says",
        })
    }
}

impl core::error::Error for SupplyError {}

/// Why a request or a report was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no such session (any more), or it has no connection yet.
    NotBound,
    /// The method is not of capitals, or a field holds a character that no line takes.
    Syntax,
    /// As many requests wait for their responses as allowed.
    Limit(LimitExceeded),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::NotBound => f.write_str("the session has no connection"),
            RequestError::Syntax => f.write_str("the method or a field is malformed"),
            RequestError::Limit(limit) => write!(f, "{limit}"),
        }
    }
}

impl core::error::Error for RequestError {}

/// What the host has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a flow, if policy allows this target (a peer named it), and say how it went.
    Open(OpenId, Target),
    /// Close a flow. Nothing more is said about it.
    Close(FlowId, CloseReason),
    /// There is something to write: ask `poll_transmit` as the flow can take it, until it gives 0.
    WantsWrite(FlowId),
    /// Something for the user of the endpoint.
    Event(Event),
}

/// What an endpoint tells its user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The session has its connection, and the far side took it.
    Bound {
        /// Which.
        session: SessionId,
    },
    /// The session never came to be; it is gone.
    BindFailed {
        /// Which.
        session: SessionId,
        /// Why.
        why: LostReason,
    },
    /// The session is gone. What it was sending and getting was told before.
    Lost {
        /// Which.
        session: SessionId,
        /// Why.
        why: LostReason,
    },
    /// A message begins to come in.
    Incoming {
        /// On which session.
        session: SessionId,
        /// The message from now on.
        transfer: IncomingId,
        /// Its length, where the sender said it.
        total: Option<u64>,
        /// The head of its first chunk: its [Message-ID](Head::message_id), unique only within the session, and its
        /// [Content-Type](Head::content_type) are there. It is a slice of what was read; [`Head::detached`] is to keep.
        head: Head,
    },
    /// Octets of it, as they come: a position may come twice, unless [`Overlap::FirstStands`] was set. After
    /// [`Endpoint::pause`](crate::Endpoint::pause) those still come that were read before it.
    Data {
        /// Which message.
        transfer: IncomingId,
        /// The position of the first octet, from 0.
        offset: u64,
        /// The octets, at most [`Limits::piece`](crate::Limits::piece).
        bytes: Bytes,
    },
    /// A chunk of it is in. Its answer is sent by [`Endpoint::respond`](crate::Endpoint::respond).
    ChunkEnd {
        /// Which message.
        transfer: IncomingId,
        /// What to answer.
        chunk: ChunkId,
        /// The octets of this chunk: first and one behind the last, from 0.
        range: (u64, u64),
        /// What the end-line said.
        last: ContinuationFlag,
        /// The length of the message when it is whole now: all its octets have come.
        complete: Option<u64>,
    },
    /// The message will not become whole; octets of it are worth nothing.
    Aborted {
        /// Which message.
        transfer: IncomingId,
        /// Why.
        why: AbortReason,
    },
    /// Octets of a message from a source are due: [`Endpoint::supply`](crate::Endpoint::supply) them, at once or later.
    /// They follow all that was asked for before.
    Wants {
        /// Which message.
        transfer: TransferId,
        /// The position of the first, from 0.
        offset: u64,
        /// How many at most.
        max: u64,
    },
    /// A request of ours was answered, or was not in time.
    Answered {
        /// Which.
        request: RequestId,
        /// The status; `None`: no answer came.
        status: Option<Status>,
        /// The response.
        head: Option<Box<Head>>,
    },
    /// The far side asks for a nickname (RFC 7701 §7): [`Endpoint::reply`](crate::Endpoint::reply) to it.
    Asked {
        /// On which session.
        session: SessionId,
        /// What to answer.
        asked: AskedId,
        /// The request; [`Head::use_nickname`](crate::Head::use_nickname) reads it.
        head: Box<Head>,
    },
    /// Relays act for us; again when that was renewed.
    RelayReady {
        /// Which.
        relay: RelayId,
        /// The path through them, from us outwards: first in the remote path of sessions.
        use_path: Vec<MsrpUri>,
        /// For how long that holds; it is renewed before.
        expires: Option<core::time::Duration>,
    },
    /// Relays do not act for us (any more): sessions over them get no messages.
    RelayLost {
        /// Which.
        relay: RelayId,
        /// Why.
        why: RelayLoss,
    },
    /// The far side has taken more of a message.
    Progress {
        /// Which message.
        transfer: TransferId,
        /// Octets answered with 200 so far.
        acknowledged: u64,
    },
    /// The far side has taken a message: every chunk was answered with 200 (or written, where no answers were wanted).
    Sent {
        /// Which message.
        transfer: TransferId,
    },
    /// A message was not taken, at least not that we know of.
    SendFailed {
        /// Which message.
        transfer: TransferId,
        /// The code that the far side answered or reported, where it did.
        status: Option<Status>,
        /// Why.
        why: SendFailure,
    },
    /// A REPORT came.
    Report {
        /// On which session.
        session: SessionId,
        /// The message that it is about, while that is being sent; after that too, when a success report was asked for.
        transfer: Option<TransferId>,
        /// Its Message-ID.
        message_id: String,
        /// The octets that it is about.
        range: Option<ByteRange>,
        /// Its code, where its namespace is 000.
        status: Option<Status>,
    },
    /// A peer did something wrong. It has been dealt with; this is for the log.
    Fault(Fault),
}

/// Why a session ended without our closing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostReason {
    /// No connection could be opened.
    Open(OpenError),
    /// The connection ended.
    Closed(CloseReason),
    /// The far side sent nothing that MSRP is: its connection was closed.
    Framing(FramingError),
    /// A limit was passed: the connection was closed.
    Limit(LimitExceeded),
    /// The far side does not know the session, has it elsewhere or refused the first request.
    Refused(Status),
    /// Nothing came in time.
    Timeout,
}

/// Why a message coming in will not become whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbortReason {
    /// The sender gave it up.
    ByPeer,
    /// It stood still for too long.
    Idle,
    /// It is longer than the session takes, or has too many gaps; it was answered 413.
    Limit(LimitExceeded),
    /// Its chunks contradict one another about its length; it was answered 400.
    Contradiction,
    /// The session or its connection ended.
    SessionLost,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendFailure {
    /// The far side answered no.
    Refused,
    /// The far side reported a failure.
    Reported,
    /// The far side did not answer in time; it may have it.
    Timeout,
    /// The session ended; the far side may have it.
    SessionLost,
    /// We gave it up.
    Aborted,
}

/// A peer's fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// On which flow.
    pub flow: FlowId,
    /// What it was.
    pub kind: FaultKind,
}

/// What a peer did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Framing was lost; the connection is closed.
    Framing(FramingError),
    /// A head could not be understood; it was answered 400 where that was due.
    Head(HeadError),
    /// A media type that the session does not take; answered 415.
    MediaType,
    /// A request for a session that is not there; answered 481.
    UnknownSession,
    /// A request for a session that is bound to another connection; answered 506.
    SessionInUse,
    /// A request from somebody else than the session was negotiated with: its From-Path has another session-id; answered
    /// 481 before the session is bound, 403 after that.
    OtherPeer,
    /// A method that is unknown; answered 501.
    UnknownMethod(String),
    /// More of something than allowed.
    Limit(LimitExceeded),
    /// A message whose chunks contradict one another; answered 400.
    Contradiction,
    /// A response to nothing that waits for one.
    UnexpectedResponse,
    /// An accepted connection without a request for a known session in time; it is closed.
    NeverBound,
}
