//! SIP messages (RFC 3261): octets to messages and back, without a loss.
#![no_std]
extern crate alloc;

mod error;
mod framer;
mod grammar;
mod head;
mod headers;
mod limits;
mod message;
mod method;
mod name;
mod params;
mod parse;
mod status;
mod text;
mod typed;
mod uri;
mod validate;

pub use error::{HeaderError, ParseError, ParseFailure, ReplyContext, UriError};
pub use framer::{Frame, StreamFramer};
pub use headers::{HeaderValue, Headers};
pub use limits::{Limits, LimitsError};
pub use message::{Message, Request, Response};
pub use method::{Method, OtherMethod};
pub use name::{HeaderName, Occurrence, OtherName};
pub use params::Params;
pub use parse::parse_datagram;
pub use status::StatusCode;
pub use text::{ByteStr, HeaderText, InvalidText, Token};
pub use typed::{
    Accept, AcceptContact, Allow, CSeq, CallId, Contact, ContactAddr, ContentDisposition, ContentLength,
    ContentType, ContributionId, ConversationId, Date, Expires, From, InReplyToContributionId, MaxForwards,
    MessageExpires, MessageUid, MinExpires, NameAddr, Organization, PAssertedIdentity, PAssertedService,
    PAssociatedUri, PCalledPartyId, PPreferredIdentity, PPreferredService, PServedUser, Path, Privacy,
    ProxyRequire, ReasonHeader, RecordRoute, ReferTo, ReferredBy, RejectContact, ReplyTo, RequestDisposition,
    Require, RetryAfter, Route, Rport, Server, ServiceRoute, SessionReplaces, Subject, Supported, Timestamp,
    To, TypedHeader, Unsupported, UserAgent, Via, Warning,
};
pub use uri::{Host, HostName, OpaqueUri, SipUri, TelUri, Uri, Urn};
pub use validate::{Finding, RequestPolicy, Role, validate_request, validate_response};
