//! The XML documents of OMA CPM, one module each, both ways: `parse` and `write`.
//!
//! * [`access_policy`], [`profiles`]: what a user wants done with what comes for him (TS 8.4.1); a blacklist is a
//!   [`resource_lists`] document
//! * [`conference_info`]: who takes part in a group (RFC 4575, TS Appendices P.2 and Q), with what merges partial documents
//!   and what makes them
//! * [`evfw`]: events of the CPM Event Reporting Framework (TS 6.7.4, 6.7.5)
//! * [`group_data`]: changes of a group's subject or icon (TS 6.8.1)
//! * [`group_document`]: a pre-defined group and what its members may do (TS 9.2)
//! * [`group_state`]: a group as it was when its session ended (TS 8.5.2)
//! * [`imdn`]: disposition notifications (RFC 5438) with the extension of TS Appendix O
//! * [`is_composing`]: typing indications (RFC 3994)
//! * [`msginfo`]: deferred messages, and the notice that one expired (TS Appendices J and K)
//! * [`reginfo`]: who is registered from where (RFC 3680, 5628), with what merges partial documents
//! * [`resource_lists`]: lists of addresses (RFC 4826, 5364)
//! * [`ruleset`]: rules of common policy (RFC 4745), which policies and groups consist of
//!
//! [`Document`] is any of them, known by its root element.
//!
//! A document is read without recursion and within [`Limits`]. Whatever lets a small document grow or mean two things is
//! refused: document type declarations, processing instructions, entities beyond the five of XML itself, prefixes bound
//! to nothing, attributes that stand twice, a second root. Nothing is ever fetched.
//!
//! ```
//! use cpm_xml::imdn::{self, DeliveryStatus, Imdn, Notification};
//! use cpm_xml::Limits;
//!
//! let delivered = Imdn::new("34jk324j", "2026-11-21T10:00:00Z", Notification::Delivery(DeliveryStatus::Delivered))
//!     .with_recipient_uri("sip:bob@example.com")
//!     .with_original_recipient_uri("sip:bob@example.com");
//! let document = imdn::write(&delivered);
//! assert!(document.contains("<delivery-notification><status><delivered/></status></delivery-notification>"));
//!
//! let read = imdn::parse(document.as_bytes(), &Limits::default())?;
//! assert_eq!(read, delivered);
//! # Ok::<(), cpm_xml::XmlError>(())
//! ```

pub mod access_policy;
pub mod conference_info;
mod document;
mod error;
pub mod evfw;
pub mod group_data;
pub mod group_document;
pub mod group_state;
pub mod imdn;
pub mod is_composing;
mod limits;
pub mod msginfo;
pub mod profiles;
mod reader;
pub mod reginfo;
pub mod resource_lists;
pub mod ruleset;
mod tree;
mod words;
mod writer;

pub use document::Document;
pub use error::XmlError;
pub use limits::{Limits, LimitsError};
