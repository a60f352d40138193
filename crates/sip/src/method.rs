//! Methods (RFC 3261 §7.1): case-sensitive tokens.

use crate::text::{InvalidText, Token};
use bytes::Bytes;
use core::fmt;

macro_rules! methods {
    ($($variant:ident = $text:literal, $source:literal;)*) => {
        /// The method of a request. Case-sensitive.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Method {
            $(#[doc = concat!("`", $text, "` (", $source, ").")] $variant,)*
            /// Any other token.
            Other(OtherMethod),
        }

        impl Method {
            /// All methods that have a name here.
            pub const KNOWN: &'static [Method] = &[$(Method::$variant,)*];

            /// The method as it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Method::$variant => $text,)*
                    Method::Other(other) => other.as_str(),
                }
            }

            /// The method of the table that these octets are.
            #[inline]
            pub(crate) fn known(text: &[u8]) -> Option<Method> {
                $(if text == $text.as_bytes() { return Some(Method::$variant); })*
                None
            }
        }
    };
}

methods! {
    Invite = "INVITE", "RFC 3261 §13";
    Ack = "ACK", "RFC 3261 §13";
    Bye = "BYE", "RFC 3261 §15";
    Cancel = "CANCEL", "RFC 3261 §9";
    Message = "MESSAGE", "RFC 3428";
    Register = "REGISTER", "RFC 3261 §10";
    Options = "OPTIONS", "RFC 3261 §11";
    Subscribe = "SUBSCRIBE", "RFC 6665";
    Notify = "NOTIFY", "RFC 6665";
    Refer = "REFER", "RFC 3515";
    Info = "INFO", "RFC 6086";
    Prack = "PRACK", "RFC 3262";
    Update = "UPDATE", "RFC 3311";
    Publish = "PUBLISH", "RFC 3903";
}

/// A method without a name in [`Method`]; made by [`Method::parse`] alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherMethod(Token);

impl OtherMethod {
    /// The method as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Method {
    /// Reads a method.
    ///
    /// # Errors
    /// The text is no token.
    pub fn parse(text: &str) -> Result<Method, InvalidText> {
        match Method::known(text.as_bytes()) {
            Some(method) => Ok(method),
            None => Token::new(text).map(|token| Method::Other(OtherMethod(token))),
        }
    }

    /// A method that the table does not know, out of received octets without copying them.
    pub(crate) fn other(octets: Bytes) -> Option<Method> {
        Token::from_bytes(octets).map(|token| Method::Other(OtherMethod(token)))
    }

    /// Whether the method has a name here.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !matches!(self, Method::Other(_))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
