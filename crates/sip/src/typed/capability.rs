//! Header fields that hold capabilities, wishes and option tags.

use super::TypedHeader;
use crate::error::HeaderError;
use crate::grammar::{bounded_token, complete};
use crate::limits::Limits;
use crate::method::Method;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::{InvalidText, Token};
use alloc::vec::Vec;

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident, $empty:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(Token);

        impl $name {
            /// Checks and keeps a token.
            ///
            /// # Errors
            /// The text is no token.
            pub fn new(token: &str) -> Result<$name, InvalidText> {
                Token::new(token).map($name)
            }

            /// The token.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;
            const EMPTY_LIST: bool = $empty;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let header = Self::NAME.label();
                let token = complete(header, bounded_token(text, limits))?;
                $name::new(token).map_err(|_| HeaderError::Malformed { header, what: "not a token" })
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0.as_str().as_bytes());
            }
        }
    )*};
}

tokens! {
    /// One option tag of Supported (RFC 3261 §20.37).
    Supported, true;
    /// One option tag of Require (RFC 3261 §20.32).
    Require, false;
    /// One option tag of Proxy-Require (RFC 3261 §20.29).
    ProxyRequire, false;
    /// One option tag of Unsupported (RFC 3261 §20.40).
    Unsupported, true;
    /// One coding of Content-Encoding (RFC 3261 §20.12), in the order in which they were applied.
    ContentEncoding, false;
    /// Priority (RFC 3261 §20.26): `emergency`, `urgent`, `normal`, `non-urgent` or another.
    Priority, false;
    /// Message-Context (TS Appendix C.1.10): `pager-message` or `multimedia-message`, the way of delivery outside of CPM.
    MessageContext, false;
    /// One directive of Request-Disposition (RFC 3841 §9.1): `no-fork`, `parallel` and so on.
    RequestDisposition, false;
}

/// One method of Allow (RFC 3261 §20.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow(pub Method);

impl TypedHeader for Allow {
    const NAME: HeaderName = HeaderName::Allow;
    const EMPTY_LIST: bool = true;

    fn read(text: &str, limits: &Limits) -> Result<Allow, HeaderError> {
        let method = complete("Allow", bounded_token(text, limits))?;
        Method::parse(method)
            .map(Allow)
            .map_err(|_| HeaderError::Malformed { header: "Allow", what: "not a method" })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_str().as_bytes());
    }
}

/// Privacy (RFC 3323 §4.2): what the sender asks the network to hide. One field with all values, between semicolons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privacy(Vec<Token>);

impl Privacy {
    /// Checks and keeps the values: `id`, `header`, `session`, `user`, `critical`, `none`.
    ///
    /// # Errors
    /// There is none, or one is no token.
    pub fn new(values: &[&str]) -> Result<Privacy, InvalidText> {
        if values.is_empty() {
            return Err(InvalidText::Form("no privacy value"));
        }
        values.iter().map(|value| Token::new(value)).collect::<Result<_, _>>().map(Privacy)
    }

    /// Whether a value is there.
    #[must_use]
    pub fn contains(&self, value: &str) -> bool {
        self.iter().any(|v| v.eq_ignore_ascii_case(value))
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + '_ {
        self.0.iter().map(Token::as_str)
    }
}

impl TypedHeader for Privacy {
    const NAME: HeaderName = HeaderName::Privacy;

    fn read(text: &str, limits: &Limits) -> Result<Privacy, HeaderError> {
        let header = "Privacy";
        let mut values = Vec::new();
        for value in text.split(';') {
            limits
                .max_params(values.len().saturating_add(1))
                .map_err(|exceeded| HeaderError::Limit { header, exceeded })?;
            let token = Token::new(value.trim_matches([' ', '\t']));
            values.push(token.map_err(|_| HeaderError::Malformed { header, what: "not a token" })?);
        }
        Ok(Privacy(values))
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (i, value) in self.iter().enumerate() {
            if i > 0 {
                out.push(b';');
            }
            out.extend_from_slice(value.as_bytes());
        }
    }
}

macro_rules! preferences {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name {
            params: Params,
        }

        impl $name {
            /// `*` with these feature parameters.
            #[must_use]
            pub const fn new(params: Params) -> $name {
                $name { params }
            }

            /// All parameters: features, `require`, `explicit`.
            #[must_use]
            pub const fn params(&self) -> &Params {
                &self.params
            }

            /// All parameters, to be edited.
            pub fn params_mut(&mut self) -> &mut Params {
                &mut self.params
            }

            /// The feature parameters alone, in order: name, and value where there is one.
            pub fn features(&self) -> impl Iterator<Item = (&str, Option<&str>)> + '_ {
                let control = |n: &str| n.eq_ignore_ascii_case("require") || n.eq_ignore_ascii_case("explicit");
                self.params.iter().filter(move |(name, _)| !control(name))
            }

            /// `require` (RFC 3841 §7.2.4).
            #[must_use]
            pub fn require(&self) -> bool {
                self.params.contains("require")
            }

            /// `explicit` (RFC 3841 §7.2.4).
            #[must_use]
            pub fn explicit(&self) -> bool {
                self.params.contains("explicit")
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let header = Self::NAME.label();
                let star = HeaderError::Malformed { header, what: "does not begin with *" };
                let params = text.strip_prefix('*').ok_or(star)?;
                complete(header, Params::read(params, limits)).map($name::new)
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.push(b'*');
                self.params.write(out);
            }
        }
    )*};
}

preferences! {
    /// One Accept-Contact value (RFC 3841 §9.2): what the contact that is reached should be able to do.
    AcceptContact;
    /// One Reject-Contact value (RFC 3841 §9.3): what the contact that is reached should not do.
    RejectContact;
}
