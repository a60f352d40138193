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
//!     transport: MsrpTransport::Tcp,
//!     address: [192, 0, 2, 1].into(),
//!     port,
//!     path: format!("msrp://192.0.2.1:{port}/not2guess{port};tcp"),
//!     accept_types: vec!["message/cpim".into()],
//!     accept_wrapped_types: wrapped_types(&["text/plain"], true),
//!     setup,
//!     cema: true,
//!     direction,
//!     file_selector_size: None,
//!     max_size: None,
//!     max_chunk_size_kb: None,
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

mod description;
mod exchange;
mod grammar;
mod limits;
mod media;

pub use description::{Attribute, Media, Origin, SdpError, SessionDescription};
pub use exchange::{
    AnswerError, Negotiated, OfferRefused, PendingOffer, Refusal, Remote, RemoteOffer, Role, SessionIds,
    offer,
};
pub use grammar::Host;
pub use limits::Limits;
pub use media::{
    Direction, MediaError, MediumFault, MsrpMedia, MsrpTransport, Setup, accepts, wrapped_types,
};
