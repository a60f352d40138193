//! Header fields that refer to sessions and dialogs: timers, reliable responses, replacement.

use super::TypedHeader;
use super::identifier::CallId;
use super::shape::{call_id_and_params, number_and_params, parameters, token_and_params};
use crate::error::HeaderError;
use crate::grammar::{Parsed, bounded_token, complete, number, spaces, syntax};
use crate::limits::Limits;
use crate::method::Method;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::InvalidText;
use alloc::string::String;
use alloc::vec::Vec;

/// Who refreshes a session (RFC 4028 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answers it.
    Uas,
}

/// Session-Expires (RFC 4028 §4): seconds after which a session that nobody refreshes is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionExpires {
    seconds: u32,
    params: Params,
}

/// Min-SE (RFC 4028 §5): the least session interval in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinSe {
    seconds: u32,
    params: Params,
}

/// Refer-Sub (RFC 4488): whether a REFER makes a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferSub {
    wanted: bool,
    params: Params,
}

parameters! { SessionExpires MinSe ReferSub }

impl SessionExpires {
    /// An interval in seconds, and who refreshes where that is decided.
    #[must_use]
    pub fn new(seconds: u32, refresher: Option<Refresher>) -> SessionExpires {
        let mut params = Params::new();
        if let Some(refresher) = refresher {
            let side = if refresher == Refresher::Uac { "uac" } else { "uas" };
            params.set_token("refresher", side);
        }
        SessionExpires { seconds, params }
    }

    /// The interval in seconds.
    #[must_use]
    pub const fn seconds(&self) -> u32 {
        self.seconds
    }

    /// Who refreshes, where that is decided.
    #[must_use]
    pub fn refresher(&self) -> Option<Refresher> {
        let side = self.params.get("refresher")?;
        if side.eq_ignore_ascii_case("uac") {
            Some(Refresher::Uac)
        } else {
            side.eq_ignore_ascii_case("uas").then_some(Refresher::Uas)
        }
    }
}

impl TypedHeader for SessionExpires {
    const NAME: HeaderName = HeaderName::SessionExpires;

    fn read(text: &str, limits: &Limits) -> Result<SessionExpires, HeaderError> {
        let (seconds, params) = complete("Session-Expires", number_and_params(text, limits))?;
        let value = SessionExpires { seconds, params };
        if value.params.contains("refresher") && value.refresher().is_none() {
            let what = "the refresher is neither uac nor uas";
            return Err(HeaderError::Malformed { header: "Session-Expires", what });
        }
        Ok(value)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{}", self.seconds).as_bytes());
        self.params.write(out);
    }
}

impl MinSe {
    /// An interval in seconds.
    #[must_use]
    pub const fn new(seconds: u32) -> MinSe {
        MinSe { seconds, params: Params::new() }
    }

    /// The interval in seconds.
    #[must_use]
    pub const fn seconds(&self) -> u32 {
        self.seconds
    }
}

impl TypedHeader for MinSe {
    const NAME: HeaderName = HeaderName::MinSe;

    fn read(text: &str, limits: &Limits) -> Result<MinSe, HeaderError> {
        let (seconds, params) = complete("Min-SE", number_and_params(text, limits))?;
        Ok(MinSe { seconds, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{}", self.seconds).as_bytes());
        self.params.write(out);
    }
}

impl ReferSub {
    /// Whether a subscription is wanted (in a request) or was made (in a response).
    #[must_use]
    pub const fn new(wanted: bool) -> ReferSub {
        ReferSub { wanted, params: Params::new() }
    }

    /// Whether a subscription is wanted or was made.
    #[must_use]
    pub const fn wanted(&self) -> bool {
        self.wanted
    }
}

impl TypedHeader for ReferSub {
    const NAME: HeaderName = HeaderName::ReferSub;

    fn read(text: &str, limits: &Limits) -> Result<ReferSub, HeaderError> {
        let (word, params) = complete("Refer-Sub", token_and_params(text, limits))?;
        if word.eq_ignore_ascii_case("true") {
            Ok(ReferSub { wanted: true, params })
        } else if word.eq_ignore_ascii_case("false") {
            Ok(ReferSub { wanted: false, params })
        } else {
            Err(HeaderError::Malformed { header: "Refer-Sub", what: "neither true nor false" })
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.wanted { b"true" } else { b"false" });
        self.params.write(out);
    }
}

/// RSeq (RFC 3262 §7.1): the number of a reliable provisional response, 1 to 2^32 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RSeq(pub core::num::NonZeroU32);

impl TypedHeader for RSeq {
    const NAME: HeaderName = HeaderName::RSeq;

    fn read(text: &str, _: &Limits) -> Result<RSeq, HeaderError> {
        let number = complete("RSeq", number(text))?;
        let zero = HeaderError::Malformed { header: "RSeq", what: "numbers begin with 1" };
        core::num::NonZeroU32::new(number).map(RSeq).ok_or(zero)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{}", self.0).as_bytes());
    }
}

/// RAck (RFC 3262 §7.2): the reliable response that a PRACK acknowledges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RAck {
    /// The RSeq of the response.
    pub response: RSeq,
    /// The number in its CSeq, less than 2^31.
    pub cseq: u32,
    /// The method in its CSeq.
    pub method: Method,
}

impl TypedHeader for RAck {
    const NAME: HeaderName = HeaderName::RAck;

    fn read(text: &str, limits: &Limits) -> Result<RAck, HeaderError> {
        complete("RAck", rack(text, limits))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{} {} {}", self.response.0, self.cseq, self.method).as_bytes());
    }
}

/// `response-num LWS CSeq-num LWS Method`.
fn rack<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, RAck> {
    let (rest, response) = number(input)?;
    let Some(response) = core::num::NonZeroU32::new(response) else { return syntax("RSeq begins with 1") };
    let after = spaces(rest);
    if after.len() == rest.len() {
        return syntax("no space before the CSeq number");
    }
    let (rest, cseq) = number(after)?;
    let after = spaces(rest);
    if cseq > super::CSeq::MAX || after.len() == rest.len() {
        return syntax("the CSeq number is too great, or no space follows it");
    }
    let (rest, method) = bounded_token(after, limits)?;
    match Method::parse(method) {
        Ok(method) => Ok((rest, RAck { response: RSeq(response), cseq, method })),
        Err(_) => syntax("the method is no token"),
    }
}

macro_rules! dialogs {
    ($($(#[$doc:meta])* $name:ident, $first:literal $first_name:ident, $second:literal $second_name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            call_id: String,
            params: Params,
        }

        parameters! { $name }

        impl $name {
            #[doc = concat!("A dialog by its Call-ID, `", $first, "` and `", $second, "`.")]
            ///
            /// # Errors
            /// A tag is no token.
            pub fn new(call_id: &CallId, $first_name: &str, $second_name: &str) -> Result<$name, InvalidText> {
                let mut params = Params::new();
                for (name, tag) in [($first, $first_name), ($second, $second_name)] {
                    if !crate::text::is_token(tag) {
                        return Err(InvalidText::NotToken);
                    }
                    params.set_token(name, tag);
                }
                Ok($name { call_id: call_id.as_str().into(), params })
            }

            /// The Call-ID of the dialog.
            #[must_use]
            pub fn call_id(&self) -> &str {
                &self.call_id
            }

            #[doc = concat!("`", $first, "`.")]
            #[must_use]
            pub fn $first_name(&self) -> &str {
                self.params.get($first).unwrap_or("")
            }

            #[doc = concat!("`", $second, "`.")]
            #[must_use]
            pub fn $second_name(&self) -> &str {
                self.params.get($second).unwrap_or("")
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let header = Self::NAME.label();
                let (call_id, params) = complete(header, call_id_and_params(text, limits))?;
                // Both tags, each once: a dialog is matched by all three (RFC 3891 §6.1, RFC 3911 §7.1, RFC 4538 §7).
                for tag in [$first, $second] {
                    let tag = params.get(tag).unwrap_or("");
                    if !crate::text::is_token(tag) {
                        return Err(HeaderError::Malformed { header, what: "a tag is missing or no token" });
                    }
                    limits.max_token(tag.len()).map_err(|exceeded| HeaderError::Limit { header, exceeded })?;
                }
                Ok($name { call_id, params })
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.call_id.as_bytes());
                self.params.write(out);
            }
        }
    )*};
}

dialogs! {
    /// Replaces (RFC 3891 §6.1): the dialog whose place this INVITE takes, as its receiver sees it.
    Replaces, "to-tag" to_tag, "from-tag" from_tag;
    /// Join (RFC 3911 §7.1): the dialog that this INVITE joins, as its receiver sees it.
    Join, "to-tag" to_tag, "from-tag" from_tag;
    /// Target-Dialog (RFC 4538 §7): a dialog that the sender knows of, as its receiver sees it.
    TargetDialog, "local-tag" local_tag, "remote-tag" remote_tag;
}

impl Replaces {
    /// `early-only`: only a dialog that nobody has answered yet may be replaced.
    #[must_use]
    pub fn early_only(&self) -> bool {
        self.params.contains("early-only")
    }
}
