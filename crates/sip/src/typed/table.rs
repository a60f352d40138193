//! The one table of header fields with a typed value.

use super::*;
use crate::headers::Headers;
use crate::name::Occurrence;

/// Calls a macro with every typed header field: the variant of [`HeaderName`], and the type of its values. A known name
/// that is not in here does not compile: [`check_field`] matches them all.
macro_rules! with_typed_fields {
    ($callback:ident) => {
        $callback! {
            Accept Accept
            AcceptContact AcceptContact
            AcceptEncoding AcceptEncoding
            AcceptLanguage AcceptLanguage
            AlertInfo AlertInfo
            Allow Allow
            AllowEvents AllowEvents
            AuthenticationInfo AuthenticationInfo
            Authorization Authorization
            CSeq CSeq
            CallId CallId
            CallInfo CallInfo
            Contact Contact
            ContentDisposition ContentDisposition
            ContentEncoding ContentEncoding
            ContentId ContentId
            ContentLanguage ContentLanguage
            ContentLength ContentLength
            ContentType ContentType
            ContributionId ContributionId
            ConversationId ConversationId
            Date Date
            ErrorInfo ErrorInfo
            Event Event
            Expires Expires
            FeatureCaps FeatureCaps
            FlowTimer FlowTimer
            From From
            Geolocation Geolocation
            HistoryInfo HistoryInfo
            Identity Identity
            InReplyTo InReplyTo
            InReplyToContributionId InReplyToContributionId
            InfoPackage InfoPackage
            IwNumber IwNumber
            Join Join
            MaxBreadth MaxBreadth
            MaxForwards MaxForwards
            MessageContext MessageContext
            MessageCorrelator MessageCorrelator
            MessageExpires MessageExpires
            MessageUid MessageUid
            MimeVersion MimeVersion
            MinExpires MinExpires
            MinSe MinSe
            Organization Organization
            PAccessNetworkInfo PAccessNetworkInfo
            PAssertedIdentity PAssertedIdentity
            PAssertedService PAssertedService
            PAssociatedUri PAssociatedUri
            PCalledPartyId PCalledPartyId
            PChargingFunctionAddresses PChargingFunctionAddresses
            PChargingVector PChargingVector
            PPreferredIdentity PPreferredIdentity
            PPreferredService PPreferredService
            PServedUser PServedUser
            PVisitedNetworkId PVisitedNetworkId
            Path Path
            Priority Priority
            Privacy Privacy
            ProxyAuthenticate ProxyAuthenticate
            ProxyAuthorization ProxyAuthorization
            ProxyRequire ProxyRequire
            RAck RAck
            RSeq RSeq
            Reason ReasonHeader
            RecordRoute RecordRoute
            RecvInfo RecvInfo
            ReferSub ReferSub
            ReferTo ReferTo
            ReferredBy ReferredBy
            RejectContact RejectContact
            Replaces Replaces
            ReplyTo ReplyTo
            RequestDisposition RequestDisposition
            Require Require
            ResourcePriority ResourcePriority
            RetryAfter RetryAfter
            Route Route
            SecurityClient SecurityClient
            SecurityServer SecurityServer
            SecurityVerify SecurityVerify
            Server Server
            ServiceRoute ServiceRoute
            SessionExpires SessionExpires
            SessionReplaces SessionReplaces
            SipETag SipETag
            SipIfMatch SipIfMatch
            Subject Subject
            SubscriptionState SubscriptionState
            Supported Supported
            TargetDialog TargetDialog
            Timestamp Timestamp
            To To
            Unsupported Unsupported
            UserAgent UserAgent
            Via Via
            Warning Warning
            WwwAuthenticate WwwAuthenticate
        }
    };
}
#[cfg(test)]
pub(super) use with_typed_fields;

macro_rules! functions {
    ($($field:ident $type:ident)*) => {
        /// Whether all values of this name can be read, and there are no more of them than may be. Names that have no
        /// typed value pass.
        pub(crate) fn check_field(name: &HeaderName, headers: &Headers) -> Result<(), HeaderError> {
            match name {
                $(HeaderName::$field => check_values::<$type>(headers),)*
                HeaderName::Other(_) => Ok(()),
            }
        }

        /// One value of a field as this crate writes it: quotes, spacing and escapes in their usual form. `None` for a
        /// name that the table does not know.
        ///
        /// ```
        /// use cpm_sip::{HeaderName, normal_form};
        /// let name = HeaderName::parse("f").unwrap();
        /// let text = normal_form(&name, b"Alice  <sip:a@b> ; tag = 1").unwrap().unwrap();
        /// assert_eq!(text.as_str(), "\"Alice\" <sip:a@b>;tag=1");
        /// assert!(normal_form(&name, b"<sip:a@b").unwrap().is_err());
        /// ```
        #[must_use]
        pub fn normal_form(name: &HeaderName, value: &[u8]) -> Option<Result<HeaderText, HeaderError>> {
            match name {
                $(HeaderName::$field => Some($type::parse(value).map(|value| value.to_text())),)*
                HeaderName::Other(_) => None,
            }
        }
    };
}
with_typed_fields!(functions);

fn check_values<H: TypedHeader>(headers: &Headers) -> Result<(), HeaderError> {
    if H::NAME.occurrence() == Occurrence::Single {
        headers.typed::<H>().map(|_| ())
    } else {
        headers.typed_list::<H>().map(|_| ())
    }
}
