//! SIP messages (RFC 3261): octets to messages and back, without a loss.
//!
//! A datagram is read by [`parse_datagram`], a stream is cut by a [`StreamFramer`]. A [`Request`] or [`Response`] holds the
//! octets it was read from: lines that nobody edits are written as they came, whatever their spelling, spacing and folding.
//! Values are read when they are asked for, as typed values ([`Via`], [`Contact`], [`CSeq`]…), so that a fault in one field
//! harms nobody who does not need it; [`validate_request`] says whether a request may be worked on, [`inspect_request`] all
//! that is wrong with it and where. Each field of the table of [`HeaderName`] has a typed value. What cannot be read comes
//! back as a [`ParseFailure`] that knows the answer it deserves. What is written into a header field was checked for control
//! characters when it was made: a value never begins another field.
//!
//! Everything that a peer controls is bounded by [`Limits`].
//!
//! ```
//! use cpm_sip::*;
//!
//! let datagram = "MESSAGE sip:bob@example.com SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP phone.example.org;branch=z9hG4bK776;rport\r\n\
//!     Max-Forwards: 70\r\n\
//!     f: Alice <sip:alice@example.com>;tag=q7r2\r\n\
//!     t: <sip:bob@example.com>\r\n\
//!     Call-ID: k3m9t7w2q5\r\n\
//!     CSeq: 1 MESSAGE\r\n\
//!     Content-Type: text/plain\r\n\
//!     Content-Length: 6\r\n\r\nHello!";
//!
//! let Ok(Message::Request(mut request)) = parse_datagram(datagram.into(), &Limits::default()) else { panic!() };
//! assert!(validate_request(&request, &RequestPolicy::user_agent()).is_ok());
//! assert_eq!(request.typed::<From>().unwrap().unwrap().display_name(), Some("Alice"));
//! assert_eq!(request.to_bytes(), datagram);
//!
//! // A proxy puts its Via on top and counts down; the rest stays octet for octet.
//! let host = Host::parse("proxy.example.com").unwrap();
//! request.headers_mut().prepend_typed(&Via::new("UDP", host, None).with_branch("z9hG4bK1").with_rport());
//! request.headers_mut().set_typed(&MaxForwards(69));
//! let forwarded = request.to_bytes();
//! assert!(forwarded.starts_with(b"MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP proxy.example.com;branch="));
//! assert!(forwarded.ends_with(b"\r\nHello!"));
//!
//! // The answer carries what a response must carry.
//! let mut response = Response::for_request(&request, StatusCode::OK);
//! let to = response.typed::<To>().unwrap().unwrap().with_tag("ab8asdasd9");
//! response.headers_mut().set_typed(&to);
//! assert_eq!(response.typed_list::<Via>().unwrap().len(), 2);
//!
//! // What cannot be read says why, and what to answer.
//! let broken = datagram.replace("Content-Length: 6", "Content-Length: 60");
//! let failure = parse_datagram(broken.into(), &Limits::default()).unwrap_err();
//! assert_eq!(failure.error, ParseError::BodyShort { announced: 60, present: 6 });
//! assert_eq!(failure.reply().unwrap().status(), StatusCode::BAD_REQUEST);
//! ```
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod error;
mod fragment;
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
mod steps;
mod text;
mod typed;
mod uri;
mod validate;
mod view;

pub use error::{HeaderError, ParseError, ParseFailure, ReplyContext, UriError};
pub use fragment::{Fragment, FragmentStart};
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
    Accept, AcceptContact, AcceptEncoding, AcceptLanguage, AlertInfo, Allow, AllowEvents, AuthenticationInfo,
    Authorization, CSeq, CallId, CallInfo, Contact, ContactAddr, ContentDisposition, ContentEncoding,
    ContentId, ContentLanguage, ContentLength, ContentType, ContributionId, ConversationId, CpmProduct,
    CpmSide, Date, ErrorInfo, Event, Expires, FeatureCaps, FeatureSet, FlowTimer, From, Geolocation,
    HistoryInfo, Identity, InReplyTo, InReplyToContributionId, InfoPackage, IwNumber, Join, MaxBreadth,
    MaxForwards, MessageContext, MessageCorrelator, MessageExpires, MessageUid, MimeVersion, MinExpires,
    MinSe, NameAddr, Organization, PAccessNetworkInfo, PAssertedIdentity, PAssertedService, PAssociatedUri,
    PCalledPartyId, PChargingFunctionAddresses, PChargingVector, PPreferredIdentity, PPreferredService,
    PServedUser, PVisitedNetworkId, Path, Preference, Priority, Privacy, ProductPart, ProxyAuthenticate,
    ProxyAuthorization, ProxyRequire, RAck, RSeq, ReasonHeader, RecordRoute, RecvInfo, ReferSub, ReferTo,
    ReferredBy, Refresher, RejectContact, Replaces, ReplyTo, RequestDisposition, Require, ResourcePriority,
    RetryAfter, Route, Rport, SecurityClient, SecurityServer, SecurityVerify, Server, ServiceRoute,
    SessionExpires, SessionReplaces, SipETag, SipIfMatch, Subject, SubscriptionState, Supported,
    TargetDialog, Timestamp, To, TypedHeader, Unsupported, UserAgent, Via, Warning, WwwAuthenticate,
    caller_preference, implied_preference, normal_form,
};
pub use uri::{Host, HostName, OpaqueUri, SipUri, TelUri, Uri, Urn};
pub use validate::{
    Finding, Place, RequestPolicy, Role, Weight, inspect_request, inspect_response, read_response,
    validate_request, validate_response,
};
pub use view::{
    AcceptContactRef, CSeqRef, CallIdRef, ContactRef, FromRef, HeaderView, ParamRef, ParamsRef, RouteRef,
    ToRef, UriRef, ViaRef,
};
