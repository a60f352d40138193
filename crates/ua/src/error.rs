//! Why a command is refused: the caller's mistakes, never the peer's.

use crate::event::{Body, DialogId, PendingOffer};
use crate::session::Misplaced;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use cpm_base::LimitExceeded;
use cpm_sip::{HeaderError, Headers, Method, Request, Response};

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// What the handle names is over, or was never there.
    Gone,
    /// The destination names a flow that is not open.
    UnknownFlow,
    /// Neither Route, nor outbound hop, nor Request-URI say an address that can be reached (no SIP URI, or a transport
    /// that is not known here).
    NoRoute,
    /// This method has a command of its own, or does not belong here.
    Method(Method),
    /// A 2xx to INVITE is sent with `accept`, everything else with `respond`; requests other than INVITE get neither 408
    /// nor provisional responses other than 100.
    Status,
    /// A 100 to a request other than INVITE, before its peer sends it every T2 only (RFC 4320 §4.1).
    TooSoon,
    /// The request is being proxied: its responses come from the branches, or through `release`.
    Proxied,
    /// The request is the incoming leg of a bridge: it is answered with `answer_upstream`.
    Bridged,
    /// The peer cancelled the request: the answer is 487.
    Cancelled,
    /// No response is held for release.
    NothingHeld,
    /// There is no branch.
    NoBranch,
    /// A header field that the command needs is missing or not well-formed.
    Header(HeaderError),
    /// A mandatory header field is missing.
    Missing(&'static str),
    /// The dialog is an early one: `cancel` ends it.
    Early,
    /// The request was here before (RFC 3261 §16.3 step 4): the answer is 482.
    Loop,
    /// Max-Forwards is used up: the answer is 483.
    TooManyHops,
    /// Max-Breadth does not allow so many branches at once (RFC 5393 §5.3.3): the answer is 440.
    MaxBreadth,
    /// A request about it is under way: its outcome comes first.
    Busy,
    /// The endpoint takes no new work ([`drain`](crate::Endpoint::drain)).
    Draining,
    /// Another INVITE or UPDATE is under way in the dialog.
    Pending,
    /// A session description is where it may not be, or missing where it has to be.
    Description(Misplaced),
    /// The PRACK for a reliable provisional response is still to come (RFC 3262 §3).
    AwaitsPrack,
    /// The peer does not take reliable provisional responses.
    NotReliable,
    /// The INVITE would replace a dialog: that has to be allowed first (RFC 3891 §3).
    Replaces,
    /// State for a subscriber that nobody has authorised.
    Unauthorised,
    /// The sender of the REFER wants the subscription.
    SubscriptionDue,
    /// The request cannot be accepted: it deserves this answer.
    NotAcceptable(cpm_sip::StatusCode),
    /// A limit is reached.
    Limit(LimitExceeded),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Gone => f.write_str("it is over already"),
            Refusal::UnknownFlow => f.write_str("the flow is not open"),
            Refusal::NoRoute => f.write_str("there is no way to that destination"),
            Refusal::Method(method) => write!(f, "{method} is not for this command"),
            Refusal::Status => f.write_str("no response for this request and command"),
            Refusal::TooSoon => f.write_str("a 100 to this request must not be sent yet"),
            Refusal::Proxied => f.write_str("the request is being proxied"),
            Refusal::Bridged => f.write_str("the request is the incoming leg of a bridge"),
            Refusal::Cancelled => f.write_str("the request was cancelled"),
            Refusal::NothingHeld => f.write_str("no response is held"),
            Refusal::NoBranch => f.write_str("there is no branch"),
            Refusal::Header(error) => error.fmt(f),
            Refusal::Missing(name) => write!(f, "{name} is missing"),
            Refusal::Early => f.write_str("the dialog is an early one"),
            Refusal::Loop => f.write_str("the request was here before"),
            Refusal::TooManyHops => f.write_str("Max-Forwards is used up"),
            Refusal::MaxBreadth => f.write_str("Max-Breadth does not allow so many branches"),
            Refusal::Unauthorised => f.write_str("nobody authorised the subscriber"),
            Refusal::SubscriptionDue => f.write_str("the sender of the REFER wants its subscription"),
            Refusal::NotAcceptable(status) => write!(f, "the request deserves {}", status.as_u16()),
            Refusal::Busy => f.write_str("a request about it is under way"),
            Refusal::Draining => f.write_str("no new work is taken"),
            Refusal::Pending => f.write_str("another INVITE or UPDATE is under way in the dialog"),
            Refusal::Description(misplaced) => misplaced.fmt(f),
            Refusal::AwaitsPrack => f.write_str("a provisional response is not acknowledged yet"),
            Refusal::NotReliable => f.write_str("the peer takes no reliable provisional responses"),
            Refusal::Replaces => f.write_str("replacing a dialog has to be allowed first"),
            Refusal::Limit(exceeded) => exceeded.fmt(f),
        }
    }
}

impl core::error::Error for Refusal {}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Refusal::Header(error)
    }
}

/// A refused command with what it was given.
#[derive(Debug, Clone)]
pub struct Refused<T> {
    /// Why.
    pub why: Refusal,
    /// What the command was given.
    pub given: Box<T>,
}

impl<T> Refused<T> {
    pub(crate) fn new(why: Refusal, given: T) -> Self {
        Refused { why, given: Box::new(given) }
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<T: fmt::Debug> core::error::Error for Refused<T> {}

/// A request that is not sent; it comes back.
pub type SendRefused = Refused<Request>;
/// A response that is not sent; it comes back.
pub type RespondRefused = Refused<Response>;
/// Branches that are not taken; they come back.
pub type ProxyRefused = Refused<Vec<crate::Branch>>;
/// A request in a dialog that is not sent; header fields and body come back.
pub type InDialogRefused = Refused<(DialogId, Headers, Option<Body>)>;
/// An answer that is not sent; the offer, header fields and body come back.
pub type AnswerRefused = Refused<(PendingOffer, Headers, Body)>;
