//! Shapes that many header fields share: a word with parameters, a number with parameters, parameters alone.

use super::TypedHeader;
use crate::error::HeaderError;
use crate::grammar::{Parsed, bounded_token, number, syntax};
use crate::limits::Limits;
use crate::params::Params;
use crate::text::is_token;
use alloc::borrow::ToOwned;
use alloc::string::String;

/// `token *( SEMI generic-param )`.
pub(super) fn token_and_params<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, (String, Params)> {
    let (rest, token) = bounded_token(input, limits)?;
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, (token.to_owned(), params)))
}

/// `1*DIGIT *( SEMI generic-param )`.
pub(super) fn number_and_params<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, (u32, Params)> {
    let (rest, number) = number(input)?;
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, (number, params)))
}

/// `callid *( SEMI generic-param )`.
pub(super) fn call_id_and_params<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, (String, Params)> {
    let end = input.find([';', ' ', '\t', ',']).unwrap_or(input.len());
    let Some((id, rest)) = input.split_at_checked(end) else { return syntax("no Call-ID") };
    limits.max_token(id.len()).map_err(crate::grammar::failure)?;
    if !super::identifier::is_call_id(id) {
        return syntax("not a Call-ID");
    }
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, (id.to_owned(), params)))
}

/// `token-nodot`: a token without a dot (RFC 6665 §8.4, RFC 4412 §3.1).
pub(super) fn is_token_without_dot(text: &str) -> bool {
    is_token(text) && !text.contains('.')
}

/// A parameter that holds a number of seconds, when it is there, does.
pub(super) fn check_seconds<H: TypedHeader>(params: &Params, name: &str) -> Result<(), HeaderError> {
    match params.get(name) {
        Some(text) if crate::grammar::parse_u32(text.as_bytes()).is_none() => Err(HeaderError::Malformed {
            header: H::NAME.label(),
            what: "a parameter is no number of seconds",
        }),
        _ => Ok(()),
    }
}

/// The number that a parameter holds.
pub(super) fn number_in(params: &Params, name: &str) -> Option<u32> {
    crate::grammar::parse_u32(params.get(name)?.as_bytes())
}

/// Accessors of the parameters of a value, which every value with parameters has.
macro_rules! parameters {
    ($($name:ident)*) => {$(
        impl $name {
            /// The parameters.
            #[must_use]
            pub const fn params(&self) -> &Params {
                &self.params
            }

            /// The parameters, to be edited.
            pub fn params_mut(&mut self) -> &mut Params {
                &mut self.params
            }

            /// The same with these parameters.
            #[must_use]
            pub fn with_params(mut self, params: Params) -> $name {
                self.params = params;
                self
            }
        }
    )*};
}
pub(super) use parameters;

/// A token with parameters; `$check` says what else must hold.
macro_rules! token_fields {
    ($($(#[$doc:meta])* $name:ident, $empty:literal, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            token: String,
            params: Params,
        }

        impl $name {
            /// Checks and keeps a token; no parameters.
            ///
            /// # Errors
            /// The text is no token, or none that this field allows.
            pub fn new(token: &str) -> Result<$name, InvalidText> {
                if !crate::text::is_token(token) {
                    return Err(InvalidText::NotToken);
                }
                let value = $name { token: token.to_owned(), params: Params::new() };
                match $check(&value) {
                    Ok(()) => Ok(value),
                    Err(HeaderError::Malformed { what, .. }) => Err(InvalidText::Form(what)),
                    Err(_) => Err(InvalidText::Form("not allowed in this field")),
                }
            }

            /// The token as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.token
            }
        }

        $crate::typed::shape::parameters!($name);

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;
            const EMPTY_LIST: bool = $empty;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let (token, params) = complete(Self::NAME.label(), token_and_params(text, limits))?;
                let value = $name { token, params };
                $check(&value)?;
                Ok(value)
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.token.as_bytes());
                self.params.write(out);
            }
        }
    )*};
}
pub(super) use token_fields;
