//! Header field names: one table says how each is written long and compact, and how often it may stand.

mod lookup;

use crate::text::{InvalidText, Token};
use bytes::Bytes;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

/// How often a header field may stand in a message, and what a comma in it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// Once, with one value.
    Single,
    /// Any number of fields, each with any number of values between commas; order counts (RFC 3261 §7.3.1).
    List,
    /// Any number of fields with one value each; commas belong to the value.
    Fields,
}

macro_rules! header_names {
    ($($variant:ident = $long:literal $(/ $compact:literal)?, $occurrence:ident, $source:literal;)*) => {
        /// The name of a header field: compares without case, and a compact form equals the long one.
        #[derive(Debug, Clone)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $long, "`", $(" or `", $compact, "`",)? " (", $source, ").")] $variant,)*
            /// Any other name.
            Other(OtherName),
        }

        impl HeaderName {
            /// All names of the table.
            pub const KNOWN: &'static [HeaderName] = &[$(HeaderName::$variant,)*];

            /// The name in its long form; another name as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(HeaderName::$variant => $long,)*
                    HeaderName::Other(other) => other.as_str(),
                }
            }

            /// The long form of a known name, for errors.
            pub(crate) const fn label(&self) -> &'static str {
                match self {
                    $(HeaderName::$variant => $long,)*
                    HeaderName::Other(_) => "header field",
                }
            }

            /// The compact form, where there is one (RFC 3261 §7.3.3).
            #[must_use]
            pub const fn compact(&self) -> Option<char> {
                match self {
                    $($(HeaderName::$variant => Some($compact),)?)*
                    _ => None,
                }
            }

            /// How often the field may stand. [`Occurrence::Fields`] for names that the table does not know.
            #[must_use]
            #[inline]
            pub const fn occurrence(&self) -> Occurrence {
                match self {
                    $(HeaderName::$variant => Occurrence::$occurrence,)*
                    HeaderName::Other(_) => Occurrence::Fields,
                }
            }
        }

        /// The names of the table, as numbers.
        #[derive(Clone, Copy)]
        #[repr(u8)]
        enum Place {
            $($variant,)*
        }

        impl HeaderName {
            /// The place of a name that the table does not know.
            pub(crate) const NOT_KNOWN: u8 = u8::MAX;

            /// Where the name stands in the table: names of one place are the same, but for those that it does not know.
            #[inline]
            pub(crate) const fn place(&self) -> u8 {
                match self {
                    $(HeaderName::$variant => Place::$variant as u8,)*
                    HeaderName::Other(_) => HeaderName::NOT_KNOWN,
                }
            }
        }

        /// The long forms, in the order of [`HeaderName::KNOWN`].
        const LONG: &[&str] = &[$($long,)*];
    };
}

header_names! {
    Via = "Via" / 'v', List, "RFC 3261 §20.42";
    From = "From" / 'f', Single, "RFC 3261 §20.20";
    To = "To" / 't', Single, "RFC 3261 §20.39";
    CallId = "Call-ID" / 'i', Single, "RFC 3261 §20.8";
    CSeq = "CSeq", Single, "RFC 3261 §20.16";
    MaxForwards = "Max-Forwards", Single, "RFC 3261 §20.22";
    Contact = "Contact" / 'm', List, "RFC 3261 §20.10";
    Route = "Route", List, "RFC 3261 §20.34";
    RecordRoute = "Record-Route", List, "RFC 3261 §20.30";
    ContentLength = "Content-Length" / 'l', Single, "RFC 3261 §20.14";
    ContentType = "Content-Type" / 'c', Single, "RFC 3261 §20.15";
    ContentDisposition = "Content-Disposition", Single, "RFC 3261 §20.11";
    ContentEncoding = "Content-Encoding" / 'e', List, "RFC 3261 §20.12";
    ContentLanguage = "Content-Language", List, "RFC 3261 §20.13";
    ContentId = "Content-ID", Single, "RFC 8262";
    Accept = "Accept", List, "RFC 3261 §20.1";
    AcceptEncoding = "Accept-Encoding", List, "RFC 3261 §20.2";
    AcceptLanguage = "Accept-Language", List, "RFC 3261 §20.3";
    AcceptContact = "Accept-Contact" / 'a', List, "RFC 3841 §9.2";
    RejectContact = "Reject-Contact" / 'j', List, "RFC 3841 §9.3";
    RequestDisposition = "Request-Disposition" / 'd', List, "RFC 3841 §9.1";
    AlertInfo = "Alert-Info", List, "RFC 3261 §20.4";
    Allow = "Allow", List, "RFC 3261 §20.5";
    AllowEvents = "Allow-Events" / 'u', List, "RFC 6665 §8.2.2";
    AuthenticationInfo = "Authentication-Info", Single, "RFC 3261 §20.6";
    Authorization = "Authorization", Fields, "RFC 3261 §20.7";
    CallInfo = "Call-Info", List, "RFC 3261 §20.9";
    ContributionId = "Contribution-ID", Single, "TS Appendix C.1.2";
    ConversationId = "Conversation-ID", Single, "TS Appendix C.1.1";
    Date = "Date", Single, "RFC 3261 §20.17";
    ErrorInfo = "Error-Info", List, "RFC 3261 §20.18";
    Event = "Event" / 'o', Single, "RFC 6665 §8.2.1";
    Expires = "Expires", Single, "RFC 3261 §20.19";
    FeatureCaps = "Feature-Caps", List, "RFC 6809 §6.2";
    FlowTimer = "Flow-Timer", Single, "RFC 5626 §11.1";
    Geolocation = "Geolocation", List, "RFC 6442 §4.1";
    HistoryInfo = "History-Info", List, "RFC 7044";
    Identity = "Identity" / 'y', List, "RFC 8224";
    InfoPackage = "Info-Package", Single, "RFC 6086 §7.2";
    InReplyTo = "In-Reply-To", List, "RFC 3261 §20.21";
    InReplyToContributionId = "InReplyTo-Contribution-ID", Single, "TS Appendix C.1.3";
    IwNumber = "IW-Number", Single, "TS Appendix C.1.12";
    Join = "Join", Single, "RFC 3911";
    MaxBreadth = "Max-Breadth", Single, "RFC 5393";
    MessageContext = "Message-Context", Single, "TS Appendix C.1.10";
    MessageCorrelator = "Message-Correlator", Single, "TS Appendix C.1.11";
    MessageExpires = "Message-Expires", Single, "TS Appendix C.1.5";
    MessageUid = "Message-UID", Single, "TS Appendix C.1.6";
    MimeVersion = "MIME-Version", Single, "RFC 3261 §20.24";
    MinExpires = "Min-Expires", Single, "RFC 3261 §20.23";
    MinSe = "Min-SE", Single, "RFC 4028 §5";
    Organization = "Organization", Single, "RFC 3261 §20.25";
    PAccessNetworkInfo = "P-Access-Network-Info", List, "RFC 7315 §4.4";
    PAssertedIdentity = "P-Asserted-Identity", List, "RFC 3325 §9.1";
    PAssertedService = "P-Asserted-Service", List, "RFC 6050 §4.1";
    PAssociatedUri = "P-Associated-URI", List, "RFC 7315 §4.1";
    PCalledPartyId = "P-Called-Party-ID", Single, "RFC 7315 §4.2";
    PChargingFunctionAddresses = "P-Charging-Function-Addresses", List, "RFC 7315 §4.5";
    PChargingVector = "P-Charging-Vector", Single, "RFC 7315 §4.6";
    PPreferredIdentity = "P-Preferred-Identity", List, "RFC 3325 §9.2";
    PPreferredService = "P-Preferred-Service", List, "RFC 6050 §4.2";
    PServedUser = "P-Served-User", Single, "RFC 5502";
    PVisitedNetworkId = "P-Visited-Network-ID", List, "RFC 7315 §4.3";
    Path = "Path", List, "RFC 3327 §4";
    Priority = "Priority", Single, "RFC 3261 §20.26";
    Privacy = "Privacy", Single, "RFC 3323 §4.2";
    ProxyAuthenticate = "Proxy-Authenticate", Fields, "RFC 3261 §20.27";
    ProxyAuthorization = "Proxy-Authorization", Fields, "RFC 3261 §20.28";
    ProxyRequire = "Proxy-Require", List, "RFC 3261 §20.29";
    RAck = "RAck", Single, "RFC 3262 §7.2";
    RSeq = "RSeq", Single, "RFC 3262 §7.1";
    Reason = "Reason", List, "RFC 3326 §2";
    RecvInfo = "Recv-Info", List, "RFC 6086 §7.3";
    ReferSub = "Refer-Sub", Single, "RFC 4488";
    ReferTo = "Refer-To" / 'r', Single, "RFC 3515 §2.1";
    ReferredBy = "Referred-By" / 'b', List, "RFC 3892 §3, TS Appendix C.3";
    Replaces = "Replaces", Single, "RFC 3891 §6.1";
    ReplyTo = "Reply-To", Single, "RFC 3261 §20.31";
    Require = "Require", List, "RFC 3261 §20.32";
    ResourcePriority = "Resource-Priority", List, "RFC 4412 §3.1";
    RetryAfter = "Retry-After", Single, "RFC 3261 §20.33";
    SecurityClient = "Security-Client", List, "RFC 3329 §2.2";
    SecurityServer = "Security-Server", List, "RFC 3329 §2.2";
    SecurityVerify = "Security-Verify", List, "RFC 3329 §2.2";
    Server = "Server", Single, "RFC 3261 §20.35";
    ServiceRoute = "Service-Route", List, "RFC 3608 §5";
    SessionExpires = "Session-Expires" / 'x', Single, "RFC 4028 §4";
    SessionReplaces = "Session-Replaces", Single, "TS Appendix C.1.4";
    SipETag = "SIP-ETag", Single, "RFC 3903 §11.3.1";
    SipIfMatch = "SIP-If-Match", Single, "RFC 3903 §11.3.2";
    Subject = "Subject" / 's', Single, "RFC 3261 §20.36";
    SubscriptionState = "Subscription-State", Single, "RFC 6665 §8.2.3";
    Supported = "Supported" / 'k', List, "RFC 3261 §20.37";
    TargetDialog = "Target-Dialog", Single, "RFC 4538 §7";
    Timestamp = "Timestamp", Single, "RFC 3261 §20.38";
    Unsupported = "Unsupported", List, "RFC 3261 §20.40";
    UserAgent = "User-Agent", Single, "RFC 3261 §20.41";
    Warning = "Warning", List, "RFC 3261 §20.43";
    WwwAuthenticate = "WWW-Authenticate", Fields, "RFC 3261 §20.44";
}

/// A name that the table does not know; made by [`HeaderName::parse`] alone, so that a known name is never hidden in it.
#[derive(Debug, Clone)]
pub struct OtherName(Token);

impl OtherName {
    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl HeaderName {
    /// The name of the table that these octets are, long or compact, in any case: the one function that says what a
    /// name means.
    #[inline]
    pub(crate) fn known(name: &[u8]) -> Option<&'static HeaderName> {
        HeaderName::KNOWN.get(usize::from(lookup::position(name)?))
    }

    /// The same for the name that is so many of the first octets: cheaper where more follow.
    #[inline]
    pub(crate) fn place_at(octets: &[u8], length: usize) -> Option<u8> {
        lookup::position_at(octets, length)
    }

    /// Reads a name in any case, long or compact.
    ///
    /// # Errors
    /// The text is no token.
    pub fn parse(text: &str) -> Result<HeaderName, InvalidText> {
        match HeaderName::known(text.as_bytes()) {
            Some(name) => Ok(name.clone()),
            None => Token::new(text).map(|token| HeaderName::Other(OtherName(token))),
        }
    }

    /// The name that the table does not know, out of received octets without copying them.
    pub(crate) fn other(octets: Bytes) -> Option<HeaderName> {
        Token::from_bytes(octets).map(|token| HeaderName::Other(OtherName(token)))
    }

    /// Whether these octets are this name, in any spelling.
    pub(crate) fn is(&self, octets: &[u8]) -> bool {
        HeaderName::known(octets) == Some(self)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for HeaderName {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (HeaderName::Other(a), HeaderName::Other(b)) => a.as_str().eq_ignore_ascii_case(b.as_str()),
            _ => core::mem::discriminant(self) == core::mem::discriminant(other),
        }
    }
}

impl Eq for HeaderName {}

impl PartialOrd for HeaderName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HeaderName {
    fn cmp(&self, other: &Self) -> Ordering {
        crate::steps::visit(1);
        let (a, b) = (self.as_str().bytes(), other.as_str().bytes());
        a.map(|octet| octet.to_ascii_lowercase()).cmp(b.map(|octet| octet.to_ascii_lowercase()))
    }
}

impl Hash for HeaderName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for octet in self.as_str().bytes() {
            state.write_u8(octet.to_ascii_lowercase());
        }
    }
}
