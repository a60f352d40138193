//! Typed values of header fields: what machines keep and write.

mod address;
mod auth;
mod capability;
mod contact;
mod date;
mod event;
mod feature;
mod identifier;
mod info;
mod media;
mod network;
mod product;
#[cfg(test)]
mod samples;
mod scalar;
mod session;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod via;

use crate::error::HeaderError;
use crate::grammar::unfold;
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::text::HeaderText;
pub use address::{
    Contact, ContactAddr, From, HistoryInfo, NameAddr, PAssertedIdentity, PAssociatedUri, PCalledPartyId,
    PPreferredIdentity, PServedUser, Path, RecordRoute, ReferTo, ReferredBy, ReplyTo, Route, ServiceRoute,
    To,
};
use alloc::vec::Vec;
pub use auth::{
    AuthenticationInfo, Authorization, Identity, ProxyAuthenticate, ProxyAuthorization, WwwAuthenticate,
};
pub use capability::{
    AcceptContact, Allow, ContentEncoding, MessageContext, Priority, Privacy, ProxyRequire, RejectContact,
    RequestDisposition, Require, Supported, Unsupported,
};
pub use date::Date;
pub use event::{AllowEvents, Event, InfoPackage, RecvInfo, SubscriptionState};
pub use feature::{FeatureSet, Preference, caller_preference, implied_preference};
pub use identifier::{
    CallId, ContentId, ContributionId, ConversationId, InReplyTo, InReplyToContributionId, MessageUid,
    PAssertedService, PPreferredService, SessionReplaces, SipETag, SipIfMatch,
};
pub use info::{AlertInfo, CallInfo, ErrorInfo, Geolocation, IwNumber};
pub use media::{Accept, AcceptEncoding, AcceptLanguage, ContentDisposition, ContentLanguage, ContentType};
pub use network::{
    FeatureCaps, PAccessNetworkInfo, PChargingFunctionAddresses, PChargingVector, PVisitedNetworkId,
    ResourcePriority, SecurityClient, SecurityServer, SecurityVerify,
};
pub use product::{CpmProduct, CpmSide, ProductPart};
pub use scalar::{
    CSeq, ContentLength, Expires, FlowTimer, MaxBreadth, MaxForwards, MessageCorrelator, MessageExpires,
    MimeVersion, MinExpires, Organization, ReasonHeader, RetryAfter, Server, Subject, Timestamp, UserAgent,
    Warning,
};
pub use session::{Join, MinSe, RAck, RSeq, ReferSub, Refresher, Replaces, SessionExpires, TargetDialog};
pub(crate) use table::check_field;
pub use table::normal_form;
pub use via::{Rport, Via};
pub(crate) use {address::parse_q, via::parse_ip};

/// A typed value of a header field: one value of a list, the only one of other fields.
pub trait TypedHeader: Sized {
    /// The field that the value belongs to.
    const NAME: HeaderName;

    /// Whether the field may stand without any value (`Supported:`).
    const EMPTY_LIST: bool = false;

    /// Reads one value: unfolded text without white space at the ends.
    ///
    /// # Errors
    /// The text is not what the grammar of the field says, or holds more than the limits allow.
    fn read(text: &str, limits: &Limits) -> Result<Self, HeaderError>;

    /// Appends the value as it is written; what it writes is one line.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads one value out of octets within the default limits; folds and white space at the ends are taken away.
    ///
    /// # Errors
    /// Like [`TypedHeader::read`]; also when the octets are not UTF-8.
    fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let octets = unfold(value);
        let text = core::str::from_utf8(&octets)
            .map_err(|_| HeaderError::Malformed { header: Self::NAME.label(), what: "not UTF-8" })?;
        Self::read(text.trim_matches([' ', '\t']), &Limits::DEFAULT)
    }

    /// The value as it is written.
    fn to_text(&self) -> HeaderText {
        let mut text = Vec::with_capacity(64);
        self.write(&mut text);
        HeaderText::written(&text)
    }
}
