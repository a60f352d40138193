//! What comes of an exchange.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use cpm_base::LimitExceeded;

use super::ReceivedOffer;
use super::local::LocalMedium;
use crate::description::{Media, SessionDescription};
use crate::media::{Direction, MediaError};
use crate::negotiate::{AnswerError, Negotiated, Refusal, Remote};

/// What was agreed on for one medium.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Agreed {
    /// An MSRP session.
    Msrp(Box<Negotiated>),
    /// Another medium.
    Other(Box<OtherAgreed>),
    /// Nothing.
    Off(Off),
}

/// Why a medium is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Off {
    /// It was offered with port 0.
    Disabled,
    /// The far side answered with port 0.
    RefusedByPeer,
    /// We answered with port 0.
    RefusedByUs(Refusal),
    /// The far side's answer cannot be used; it does not know that yet.
    Unusable(AnswerError),
}

/// A medium other than MSRP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherAgreed {
    /// `audio`, `video`…
    pub media: String,
    /// `RTP/AVP`…
    pub proto: String,
    /// In an offer those that are offered; agreed on, those that both have.
    pub formats: Vec<String>,
    /// Where the far side is.
    pub remote: Remote,
    /// In an offer seen from the offerer; agreed on, seen from us.
    pub direction: Direction,
}

/// What an exchange changed for a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It was off and is on.
    Added,
    /// Nothing.
    Kept,
    /// The same connection goes on, with another direction, other types…
    Modified,
    /// Another connection takes its place: another path on one side, or another medium.
    Replaced,
    /// It was on and is off.
    Removed,
    /// It was off and stays off.
    Off,
}

/// What comes of one `m=` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediumOutcome {
    /// What holds from now on.
    pub agreed: Agreed,
    /// What that changed.
    pub change: Change,
}

/// What comes of an exchange, `m=` line by `m=` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// As many as the offer has, in its order.
    pub media: Vec<MediumOutcome>,
    /// What is odd in the far side's `o=`.
    pub findings: Vec<OriginFinding>,
}

impl Outcome {
    /// Media that a middlebox without MSRP stands in the way of: they have to be offered again without `msrp-cema`
    /// (RFC 6714 §4.2).
    pub fn to_offer_without_cema(&self) -> impl Iterator<Item = usize> {
        let falls_back = |medium: &MediumOutcome| {
            matches!(medium.agreed, Agreed::Off(Off::Unusable(AnswerError::FallBack)))
        };
        self.media.iter().enumerate().filter(move |(_, m)| falls_back(m)).map(|(index, _)| index)
    }
}

/// What is odd in `o=` of a later description (RFC 3264 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OriginFinding {
    /// Another user, session id or address.
    Changed,
    /// The text changed and the version did not.
    VersionStands,
    /// The version is lower than before.
    VersionBack,
    /// The version grew by more than one.
    VersionSkips,
}

/// Why we cannot offer so: the caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfferError {
    /// An exchange is under way.
    Busy,
    /// The plan is of an earlier state: it has fewer media than the session.
    FewerMedia,
    /// More media than `sdp.max_media`.
    Limit(LimitExceeded),
    /// This medium cannot be said so.
    Medium {
        /// Its place.
        medium: usize,
        /// Why.
        error: MediaError,
    },
}

/// Why an offer of the far side cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfferFault {
    /// Both sides offered at once (RFC 3264 §4, RFC 3261 §14.2).
    Glare,
    /// An earlier offer still waits for our answer.
    Unanswered,
    /// Media went away (RFC 3264 §8; threats I1).
    FewerMedia {
        /// So many there were.
        before: usize,
        /// So many there are.
        now: usize,
    },
    /// `o=` is not that of the same session, and that is not accepted here.
    Origin(OriginFinding),
}

impl OfferFault {
    /// The SIP status code for the request that carried it: 491 for glare, 500 (with Retry-After) while another offer
    /// waits, else 488.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            OfferFault::Glare => 491,
            OfferFault::Unanswered => 500,
            OfferFault::FewerMedia { .. } | OfferFault::Origin(_) => 488,
        }
    }
}

/// Why an answer is none to the offer. The session before the offer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerRejected {
    /// The token is of another offer: the caller's mistake.
    Stale,
    /// It has more or fewer media than the offer (RFC 3264 §6; threats I2).
    MediaCount {
        /// So many were offered.
        offered: usize,
        /// So many were answered.
        answered: usize,
    },
    /// A medium of it is of another kind or transport than offered.
    OtherMedium {
        /// Its place.
        medium: usize,
    },
    /// `o=` is not that of the same session, and that is not accepted here.
    Origin(OriginFinding),
}

/// Why an offer is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyUnanswered {
    /// The offer is of another exchange: the caller's mistake.
    Stale,
    /// There is not one word for each medium of the offer: the caller's mistake.
    Count,
    /// No medium can be accepted: which and why, for the warning of a 488.
    Refused(Vec<(usize, Refusal)>),
    /// The answer would not be a session description.
    Ours,
}

/// An offer that is given back: it still waits for an answer, or for being refused.
#[derive(Debug)]
pub struct Unanswered {
    /// The offer.
    pub offer: Box<ReceivedOffer>,
    /// Why.
    pub why: WhyUnanswered,
}

impl Unanswered {
    pub(super) fn new(offer: ReceivedOffer, why: WhyUnanswered) -> Unanswered {
        Unanswered { offer: Box::new(offer), why }
    }

    /// The SIP status code that refuses the offer: 488 where nothing can be accepted, 500 where the mistake is ours.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.why {
            WhyUnanswered::Refused(_) => 488,
            _ => 500,
        }
    }
}

macro_rules! shown {
    ($($name:ty: |$f:ident, $value:ident| $body:expr;)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self;
                $body
            }
        }

        impl core::error::Error for $name {}
    )*};
}

shown! {
    OfferError: |f, error| match error {
        OfferError::Busy => f.write_str("an offer waits for its answer"),
        OfferError::FewerMedia => f.write_str("the plan has fewer media than the session"),
        OfferError::Limit(limit) => write!(f, "{limit}"),
        OfferError::Medium { medium, error } => write!(f, "medium {medium}: {error}"),
    };
    OfferFault: |f, fault| match fault {
        OfferFault::Glare => f.write_str("both sides offered at once"),
        OfferFault::Unanswered => f.write_str("an earlier offer waits for its answer"),
        OfferFault::FewerMedia { before, now } => write!(f, "{now} media are offered where there were {before}"),
        OfferFault::Origin(finding) => write!(f, "{finding}"),
    };
    AnswerRejected: |f, rejected| match rejected {
        AnswerRejected::Stale => f.write_str("no offer waits for this answer"),
        AnswerRejected::MediaCount { offered, answered } => {
            write!(f, "{answered} media are answered where {offered} were offered")
        }
        AnswerRejected::OtherMedium { medium } => {
            write!(f, "medium {medium} of the answer is another one than was offered")
        }
        AnswerRejected::Origin(finding) => write!(f, "{finding}"),
    };
    Unanswered: |f, unanswered| match &unanswered.why {
        WhyUnanswered::Stale => f.write_str("the offer is of another exchange"),
        WhyUnanswered::Count => f.write_str("the answer has to say something to each medium"),
        WhyUnanswered::Refused(refusals) => {
            f.write_str("no medium can be accepted")?;
            refusals.iter().try_for_each(|(medium, refusal)| write!(f, "; medium {medium}: {refusal}"))
        }
        WhyUnanswered::Ours => f.write_str("the answer is no session description"),
    };
}

impl fmt::Display for OriginFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OriginFinding::Changed => "o= is of another session",
            OriginFinding::VersionStands => "the version of o= stands though the text changed",
            OriginFinding::VersionBack => "the version of o= goes back",
            OriginFinding::VersionSkips => "the version of o= grew by more than one",
        })
    }
}

/// Reads a medium that is not MSRP, seen from the side that says it; `None` without an address.
pub(super) fn other_agreed(session: &SessionDescription, media: &Media, port: u16) -> Option<OtherAgreed> {
    let host = media.connection().or_else(|| session.connection())?;
    Some(OtherAgreed {
        media: media.media().to_string(),
        proto: media.proto().to_string(),
        formats: media.formats().split(' ').map(ToString::to_string).collect(),
        remote: Remote { host, port },
        direction: Direction::of(session, media),
    })
}

type Side<'a> = (&'a Agreed, Option<&'a LocalMedium>);

pub(super) fn compare_agreed(before: Option<Side<'_>>, now: Side<'_>) -> Change {
    let off = |side: &Side<'_>| matches!(side.0, Agreed::Off(_));
    match before.filter(|side| !off(side)) {
        None if off(&now) => Change::Off,
        None => Change::Added,
        Some(_) if off(&now) => Change::Removed,
        Some(before) if !same_connection(&before, &now) => Change::Replaced,
        Some(before) if before.0 == now.0 && wish(&before) == wish(&now) => Change::Kept,
        Some(_) => Change::Modified,
    }
}

/// What we want, whoever offered it last.
fn wish(side: &Side<'_>) -> Option<LocalMedium> {
    side.1.cloned().map(LocalMedium::for_offer)
}

fn same_connection(before: &Side<'_>, now: &Side<'_>) -> bool {
    match (before, now) {
        (
            (Agreed::Msrp(a), Some(LocalMedium::Msrp(ours_before))),
            (Agreed::Msrp(b), Some(LocalMedium::Msrp(ours))),
        ) => {
            (&a.remote_path, a.transport, &a.remote) == (&b.remote_path, b.transport, &b.remote)
                && ours_before.path == ours.path
        }
        (
            (Agreed::Other(a), Some(LocalMedium::Other(_))),
            (Agreed::Other(b), Some(LocalMedium::Other(_))),
        ) => (&a.media, &a.proto) == (&b.media, &b.proto),
        _ => false,
    }
}
