//! What can be wrong with a challenge or with credentials as they stand on the wire.

use alloc::string::String;
use core::fmt;
use cpm_base::LimitExceeded;

/// Why a value was not read or not written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthError {
    /// More of something than [`Limits`](crate::Limits) allows.
    Limit(LimitExceeded),
    /// Not a scheme with parameters; says what was expected.
    Syntax(&'static str),
    /// Another scheme than Digest. A challenge of that kind is passed over (RFC 8760 §2.4).
    OtherScheme(String),
    /// An algorithm that is not known here. A challenge with it is passed over (RFC 8760 §2.4).
    UnknownAlgorithm(String),
    /// A parameter stands twice: two readers could pick different ones.
    Repeated(String),
    /// A parameter that must be there is not.
    Missing(&'static str),
    /// The value of a parameter is none that it may have.
    BadValue(&'static str),
    /// A value holds what cannot be written: a control character, or something that is no token where one must stand.
    NotWritable(&'static str),
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::Limit(limit) => limit.fmt(f),
            AuthError::Syntax(expected) => write!(f, "{expected} expected"),
            AuthError::OtherScheme(scheme) => write!(f, "scheme {scheme:?} is not Digest"),
            AuthError::UnknownAlgorithm(name) => write!(f, "unknown algorithm {name:?}"),
            AuthError::Repeated(name) => write!(f, "{name} stands more than once"),
            AuthError::Missing(name) => write!(f, "{name} is missing"),
            AuthError::BadValue(name) => write!(f, "bad value of {name}"),
            AuthError::NotWritable(name) => write!(f, "{name} holds what cannot be written"),
        }
    }
}

impl core::error::Error for AuthError {}

impl From<LimitExceeded> for AuthError {
    fn from(limit: LimitExceeded) -> Self {
        AuthError::Limit(limit)
    }
}
