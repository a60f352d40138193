//! Header fields that hold identifiers.

use super::TypedHeader;
use crate::error::{HeaderError, UriError};
use crate::grammar::{complete, is_word_character, number};
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::text::{InvalidText, is_token};
use crate::uri::Uri;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU32;

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word_character)
}

pub(super) fn is_call_id(text: &str) -> bool {
    match text.split_once('@') {
        Some((local, host)) => is_word(local) && is_word(host),
        None => is_word(text),
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident, $check:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks and keeps a text.
            ///
            /// # Errors
            #[doc = concat!("The text is not ", $what, ".")]
            pub fn new(text: &str) -> Result<$name, InvalidText> {
                if $check(text) { Ok($name(text.to_owned())) } else { Err(InvalidText::Form(concat!("not ", $what))) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let header = Self::NAME.label();
                limits.max_token(text.len()).map_err(|exceeded| HeaderError::Limit { header, exceeded })?;
                $name::new(text).map_err(|_| HeaderError::Malformed { header, what: concat!("not ", $what) })
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0.as_bytes());
            }
        }
    )*};
}

words! {
    /// Call-ID (RFC 3261 §20.8). Compared octet for octet.
    CallId, is_call_id, "a word, or two words with an @ between";
    /// Conversation-ID (TS Appendix C.1.1) as it was written; UUIDs compare without case, which is left to the reader.
    ConversationId, is_word, "a word";
    /// Contribution-ID (TS Appendix C.1.2) as it was written; UUIDs compare without case, which is left to the reader.
    ContributionId, is_word, "a word";
    /// InReplyTo-Contribution-ID (TS Appendix C.1.3) as it was written.
    InReplyToContributionId, is_word, "a word";
    /// One In-Reply-To value (RFC 3261 §20.21): the Call-ID of a call that this one answers.
    InReplyTo, is_call_id, "a word, or two words with an @ between";
    /// SIP-ETag (RFC 3903 §11.3.1): the tag of published state.
    SipETag, is_token, "a token";
    /// SIP-If-Match (RFC 3903 §11.3.2): the tag of the published state that is refreshed, changed or removed.
    SipIfMatch, is_token, "a token";
    /// Session-Replaces (TS Appendix C.1.4): the Contribution-ID of the 1-1 session that a group session follows.
    SessionReplaces, is_word, "a word";
}

/// Message-UID (TS Appendix C.1.6): the unique identifier of the stored object (RFC 3501 §9 `uniqueid`), never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageUid(pub NonZeroU32);

impl TypedHeader for MessageUid {
    const NAME: HeaderName = HeaderName::MessageUid;

    fn read(text: &str, _: &Limits) -> Result<MessageUid, HeaderError> {
        let header = "Message-UID";
        let value = complete(header, number(text))?;
        let malformed = HeaderError::Malformed { header, what: "zero is no identifier" };
        NonZeroU32::new(value).map(MessageUid).ok_or(malformed)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{}", self.0).as_bytes());
    }
}

/// Content-ID (RFC 8262 §3): the identifier of the body, unique in the world.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(String);

impl ContentId {
    /// Checks and keeps an identifier without its angle brackets: `left@right`.
    ///
    /// # Errors
    /// The text is not that.
    pub fn new(id: &str) -> Result<ContentId, InvalidText> {
        if is_message_id(id) {
            Ok(ContentId(id.to_owned()))
        } else {
            Err(InvalidText::Form("not left@right"))
        }
    }

    /// The identifier without its angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `id-left "@" id-right` (RFC 5322 §3.6.4): dot-atoms, or a literal in square brackets on the right.
fn is_message_id(text: &str) -> bool {
    let atom = |o: u8| o.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&o);
    let dot_atom = |t: &str| t.split('.').all(|a| !a.is_empty() && a.bytes().all(atom));
    let literal = |t: &str| {
        t.strip_prefix('[').and_then(|t| t.strip_suffix(']')).is_some_and(|t| {
            t.bytes().all(|o| o.is_ascii_graphic() && !matches!(o, b'[' | b']' | b'\\' | b'<' | b'>'))
        })
    };
    text.split_once('@').is_some_and(|(left, right)| dot_atom(left) && (dot_atom(right) || literal(right)))
}

impl TypedHeader for ContentId {
    const NAME: HeaderName = HeaderName::ContentId;

    fn read(text: &str, limits: &Limits) -> Result<ContentId, HeaderError> {
        let header = "Content-ID";
        limits.max_token(text.len()).map_err(|exceeded| HeaderError::Limit { header, exceeded })?;
        let id = text.strip_prefix('<').and_then(|t| t.strip_suffix('>'));
        let malformed = HeaderError::Malformed { header, what: "not <left@right>" };
        id.and_then(|id| ContentId::new(id).ok()).ok_or(malformed)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("<{}>", self.0).as_bytes());
    }
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(Uri);

        impl $name {
            /// Checks and keeps a service identifier: `urn:urn-7:3gpp-service.ims.icsi…`.
            ///
            /// # Errors
            /// The text is no URN.
            pub fn new(urn: &str) -> Result<$name, UriError> {
                match Uri::parse(urn)? {
                    Uri::Urn(urn) => Ok($name(Uri::Urn(urn))),
                    _ => Err(UriError::Urn),
                }
            }

            /// The URN as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The URN.
            #[must_use]
            pub const fn uri(&self) -> &Uri {
                &self.0
            }

            /// Whether this is that service; namespace and case of escapes do not matter (RFC 8141 §3.1).
            #[must_use]
            pub fn is(&self, urn: &str) -> bool {
                Uri::parse(urn).is_ok_and(|uri| uri.equivalent(&self.0))
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let header = Self::NAME.label();
                match Uri::parse_within(text, limits) {
                    Ok(Uri::Urn(urn)) => Ok($name(Uri::Urn(urn))),
                    Err(UriError::Limit(exceeded)) => Err(HeaderError::Limit { header, exceeded }),
                    _ => Err(HeaderError::Malformed { header, what: "not a URN" }),
                }
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0.as_str().as_bytes());
            }
        }
    )*};
}

services! {
    /// One P-Asserted-Service value (RFC 6050 §4.1): the service as the network asserts it. Believed from the core only.
    PAssertedService;
    /// One P-Preferred-Service value (RFC 6050 §4.2): the service that the user agent wishes to be asserted.
    PPreferredService;
}
