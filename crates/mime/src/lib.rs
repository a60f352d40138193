//! MIME bodies as SIP, MSRP and CPIM carry them: `Content-*` header fields, multipart, transfer encodings
//! (RFC 2045, RFC 2046, RFC 2183).
//!
//! Bytes are the truth: a [`Part`] or [`Multipart`] that was read and not edited is written back byte for byte.
//! Reading is strict (CRLF line ends, UTF-8 header fields without control characters), iterative and bounded by
//! [`Limits`]; what a peer can get wrong comes back as a [`MimeError`].
//!
//! ```
//! use bytes::Bytes;
//! use cpm_mime::{ContentType, Limits, Multipart, Part};
//!
//! let limits = Limits::default();
//! let hello = Part::new(&ContentType::parse("text/plain; charset=utf-8")?, Bytes::from_static(b"Hello"));
//! let list = Part::new(&ContentType::parse("application/resource-lists+xml")?, Bytes::from_static(b"<x/>"))
//!     .with_header("Content-Disposition", "recipient-list")?;
//! let both = Multipart::new("mixed", vec![hello, list])?;
//!
//! // What goes into the header of the enclosing message, and its body.
//! let content_type = both.content_type().to_string();
//! let body = both.to_bytes()?;
//!
//! let read = Multipart::parse(&ContentType::parse(&content_type)?, body, &limits)?;
//! let first = &read.parts()[0];
//! assert!(first.content_type()?.is("text/plain"));
//! assert_eq!(first.decoded()?, "Hello");
//! assert!(read.parts()[1].content_disposition()?.unwrap().is("recipient-list"));
//! # Ok::<(), cpm_mime::MimeError>(())
//! ```
#![no_std]
extern crate alloc;

mod cid;
mod error;
mod external;
mod fields;
mod headers;
mod limits;
mod multipart;
mod params;
mod part;
mod related;
mod transfer;
mod writer;

pub use cid::ContentId;
pub use error::MimeError;
pub use external::ExternalBody;
pub use fields::{ContentDisposition, ContentType, MediaType};
pub use headers::{MimeHeader, MimeHeaders};
pub use limits::{Limits, LimitsError};
pub use multipart::{Leniency, Multipart, Tolerated};
pub use part::Part;
pub use transfer::{Base64Encoder, TransferEncoding};
pub use writer::MultipartWriter;
