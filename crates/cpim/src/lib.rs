//! message/cpim (RFC 3862) with the header fields of instant message disposition notifications (RFC 5438 §6, TS
//! Appendix O) and of CPM (TS C.1.9).
//!
//! A message that was read and not edited is written back octet for octet; an edit changes the header fields it is about
//! and no other. Header fields are found by the URI of their namespace, whatever prefix a peer chose, and names are
//! case-sensitive (RFC 3862 §2.2, erratum 3625). Reading is strict by default: what peers do wrong in the field has named
//! switches in [`Leniency`], and each deviation met is reported as [`Tolerated`].
//!
//! ```
//! use bytes::Bytes;
//! use cpm_base::DateTime;
//! use cpm_cpim::{Address, CpimBuilder, CpimMessage, DispositionRequest, Leniency, Limits};
//! use cpm_mime::{ContentType, Part};
//!
//! let text = Part::new(&ContentType::parse("text/plain; charset=utf-8")?, Bytes::from_static(b"Hello Bob"));
//! let message = CpimBuilder::new(Address::new("sip:alice@example.com"), Address::new("sip:bob@example.com"))
//!     .imdn_message_id("34jk324j")
//!     .date_time(DateTime::parse("2026-11-21T10:00:00Z")?)
//!     .disposition_notification(DispositionRequest { positive_delivery: true, display: true, ..Default::default() })
//!     .content(text)
//!     .build()?;
//!
//! let wire = message.to_bytes();
//! assert!(wire.starts_with(b"From: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"));
//!
//! let (read, tolerated) = CpimMessage::parse(wire, &Limits::default(), &Leniency::default())?;
//! assert!(tolerated.is_empty());
//! assert_eq!(read.from()?.unwrap().uri, "sip:alice@example.com");
//! assert_eq!(read.imdn_message_id()?.as_deref(), Some("34jk324j"));
//! assert!(read.disposition_notification()?.display);
//! assert_eq!(read.content().body, "Hello Bob");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
extern crate alloc;

mod address;
mod builder;
mod disposition;
mod edit;
mod error;
mod fields;
mod grammar;
mod head;
mod header;
mod limits;
mod message;
mod reader;

pub use address::Address;
pub use builder::CpimBuilder;
pub use disposition::DispositionRequest;
pub use error::{BuildError, CpimError};
pub use head::{CpimHead, HeadReader};
pub use header::{Header, Headers};
pub use limits::{Limits, LimitsError};
pub use message::{CpimMessage, MessageDirection, Subject};
pub use reader::{Leniency, Tolerated};

/// The namespace of `From`, `To`, `DateTime` … and of names without a prefix (RFC 3862 §4, §6).
pub const CPIM_NAMESPACE: &str = "urn:ietf:params:cpim-headers:";

/// The namespace of `Message-ID`, `Disposition-Notification` … (RFC 5438 §6.1).
pub const IMDN_NAMESPACE: &str = "urn:ietf:params:imdn";
