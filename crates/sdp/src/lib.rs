//! Session descriptions (RFC 4566, RFC 8866) and the exchange of offer and answer (RFC 3264) for MSRP media
//! (RFC 4975 §8), with the roles of RFC 6135, the anchoring of RFC 6714 and the chunk size of OMA CPM.
//!
//! [`SessionDescription`] keeps what it reads octet for octet. [`offer`] makes an offer and a [`PendingOffer`] that
//! one answer consumes; [`RemoteOffer`] reads an offer, lets a function decide, and answers it.
//!
//! ```
//! use cpm_sdp::*;
//!
//! let client = |port: u16, setup, direction| MsrpMedia {
//!     accept_wrapped_types: wrapped_types(&["text/plain"], true),
//!     setup,
//!     direction,
//!     ..MsrpMedia::new(
//!         MsrpTransport::Tcp,
//!         [192, 0, 2, 1].into(),
//!         port,
//!         format!("msrp://192.0.2.1:{port}/not2guess{port};tcp"),
//!     )
//! };
//! let ids = SessionIds { id: 1, version: 1 };
//!
//! // The originator of a large message offers…
//! let (description, pending) = offer(&ids, &client(7394, Setup::ActPass, Direction::SendOnly))?;
//! let octets = description.to_bytes();
//!
//! // …the recipient reads, decides and answers as the active side…
//! let received = SessionDescription::parse(&octets, &Limits::default())?;
//! let remote = RemoteOffer::read(&received)?;
//! assert!(remote.accepts("message/cpim"));
//! let (answer, theirs) = remote.answer(&ids, &client(8493, Setup::Active, Direction::RecvOnly))?;
//! assert_eq!((theirs.role, theirs.remote.port), (Role::Active, 7394));
//!
//! // …so the originator listens.
//! let ours = pending.answered(&answer)?;
//! assert_eq!((ours.role, ours.direction), (Role::Passive, Direction::SendOnly));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
extern crate alloc;

#[cfg(test)]
extern crate std;

mod attribute;
mod cpm;
mod description;
mod edit;
mod exchange;
mod file_name;
mod finding;
mod grammar;
mod limits;
mod line;
mod media;
mod negotiate;
mod relay;
mod session;
mod steps;

pub use attribute::{
    AttributeError, Chatroom, ConnectionUse, Crypto, FileDate, FileDescription, FileIcon, FileRange,
    FileSelector, Fingerprint, Fmtp, Group, Hash, Number, Path, Rtcp, RtpMap, Text, Token, Tokens, TypeList,
    TypedAttribute,
};
pub use cpm::{
    ChunkSizes, ChunkTable, CpmRules, Entity, GROUP_DATA, IS_COMPOSING, Purpose, PurposeError, is_event_type,
};
pub use description::{Attribute, LineRef, Media, Origin, SdpError, SessionDescription, TimeDescription};
pub use exchange::{OfferRefused, OfferedMsrp, PendingOffer, RemoteOffer, SessionIds, offer};
pub use file_name::SafeFileName;
pub use finding::Finding;
pub use grammar::Host;
pub use limits::Limits;
pub use line::{Bandwidth, Connection, Key, Line, MediaLine, Repeat, Timing};
pub use media::{
    Direction, MediaError, MediumFault, MsrpMedia, MsrpTransport, Setup, accepts, wrapped_types,
};
pub use negotiate::{AnswerError, Negotiated, Refusal, Remote, Role, SessionMatching};
pub use relay::{End, LegMedium, LegOrigin, LegRules, MediaPolicy, Merge, OfferBridge, RelayError};
pub use session::{
    Agreed, AnswerRejected, Capabilities, Change, FormatCapability, LocalMedium, MediaSession, MediumOutcome,
    Off, OfferError, OfferFault, OfferToken, OfferedContent, OfferedMedium, OriginFinding, OriginLeniency,
    OtherAgreed, OtherMedia, Outcome, Plan, ReceivedOffer, SessionSettings, Unanswered, WhyUnanswered,
};
