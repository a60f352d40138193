//! Session descriptions (RFC 4566, RFC 8866) and the exchange of offer and answer (RFC 3264) for MSRP media
//! (RFC 4975 §8), with the roles of RFC 6135, the anchoring of RFC 6714 and the chunk size of OMA CPM.
//!
//! * [`SessionDescription`] keeps what it reads octet for octet; [`Line`] and [`TypedAttribute`] are what its lines mean,
//!   both ways, and [`Finding`]s what is odd in it.
//! * [`MediaSession`] is the state of a dialog's description: offer, [`OfferToken`], answer, [`Outcome`], with several
//!   media, later offers, roll-back, refusal as data.
//! * [`CpmRules`] says what CPM wants of an offer and of an answer, by who speaks and what for.
//! * [`OfferBridge`] is a node in the middle: one offer becomes N, N answers become one.
//! * [`offer`], [`PendingOffer`] and [`RemoteOffer`] are one exchange about one MSRP medium, without a state to keep: what
//!   a large message needs.
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
//!
//! A session with more media, that changes:
//!
//! ```
//! use cpm_sdp::*;
//!
//! let side = |host: u8| MediaSession::new(SessionSettings {
//!     ids: SessionIds { id: 1, version: 1 },
//!     address: [192, 0, 2, host].into(),
//!     limits: Limits::default(),
//!     leniency: OriginLeniency::default(),
//! });
//! let end = |host: u8| {
//!     let path = format!("msrp://192.0.2.{host}:2855/not2guess;tcp");
//!     MsrpMedia::new(MsrpTransport::Tcp, [192, 0, 2, host].into(), 2855, path)
//! };
//! let (mut alice, mut bob) = (side(1), side(2));
//! let mut plan = alice.plan();
//! let chat = plan.add(end(1));
//! let (offer, token) = alice.offer(&plan)?;
//!
//! let received = bob.receive_offer(&offer)?;
//! let answers = vec![Some(MsrpMedia { setup: Setup::Active, ..end(2) }.into())];
//! let (answer, _) = bob.answer(received, answers)?;
//!
//! let outcome = alice.answered(token, &answer)?;
//! assert!(matches!(&outcome.media[chat].agreed, Agreed::Msrp(with) if with.role == Role::Passive));
//! // Alice puts the chat on hold, and Bob's network says no: what stood stands.
//! let mut plan = alice.plan();
//! plan.hold(chat);
//! let (_, token) = alice.offer(&plan)?;
//! alice.rollback(token)?;
//! assert!(alice.is_stable());
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
