//! Telephone numbers (RFC 3966).

use super::escape::{is_made_of, is_param, normal_where};
use super::{Host, SipUri};
use crate::error::UriError;
use crate::limits::Limits;
use crate::params::Names;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// A `tel:` URI. Keeps the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelUri(Arc<str>);

const fn is_separator(octet: u8) -> bool {
    matches!(octet, b'-' | b'.' | b'(' | b')')
}

impl TelUri {
    pub(super) fn read(text: Arc<str>, limits: &Limits) -> Result<TelUri, UriError> {
        let uri = TelUri(text);
        let number = uri.number();
        let well_formed = match number.strip_prefix('+') {
            Some(global) => {
                global.bytes().all(|o| o.is_ascii_digit() || is_separator(o))
                    && global.bytes().any(|o| o.is_ascii_digit())
            }
            None => {
                let digit = |o: u8| o.is_ascii_hexdigit() || matches!(o, b'*' | b'#');
                number.bytes().all(|o| digit(o) || is_separator(o))
                    && number.bytes().any(digit)
                    && uri.phone_context().is_some_and(|context| !context.is_empty())
            }
        };
        if !well_formed {
            return Err(UriError::Number);
        }
        limits.max_params(uri.params().count())?;
        let good = |(name, value): (&str, Option<&str>)| {
            !name.is_empty()
                && name.bytes().all(|o| o.is_ascii_alphanumeric() || o == b'-')
                && value.is_none_or(|v| !v.is_empty() && is_made_of(v.as_bytes(), is_param))
        };
        // A name stands once (RFC 3966 §3): readers would pick different ones.
        let mut names = Names::default();
        let once = uri.params().all(|(name, _)| names.add(name.as_bytes())) && names.differ();
        if uri.params().all(good) && once { Ok(uri) } else { Err(UriError::Parameter) }
    }

    /// The URI as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn rest(&self) -> &str {
        self.as_str().split_once(':').map_or("", |(_, rest)| rest)
    }

    /// The number as it was written, with its visual separators.
    #[must_use]
    pub fn number(&self) -> &str {
        self.rest().split(';').next().unwrap_or("")
    }

    /// The number without visual separators: `+15145550001`.
    #[must_use]
    pub fn digits(&self) -> String {
        self.number()
            .bytes()
            .filter(|o| !is_separator(*o))
            .map(|o| char::from(o.to_ascii_uppercase()))
            .collect()
    }

    /// A global number, one with `+`.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.number().starts_with('+')
    }

    /// The parameters in order: name, and value where there is one, as they were written.
    pub fn params(&self) -> impl Iterator<Item = (&str, Option<&str>)> + '_ {
        self.rest().split(';').skip(1).map(|p| p.split_once('=').map_or((p, None), |(n, v)| (n, Some(v))))
    }

    /// A parameter's value as it was written; `""` when it has none, `None` when it is not there.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.unwrap_or(""))
    }

    /// The `phone-context` of a local number.
    #[must_use]
    pub fn phone_context(&self) -> Option<&str> {
        self.param("phone-context")
    }

    /// The number as a SIP URI at this host: number and parameters become the user part, and `user=phone` says so
    /// (RFC 3261 §19.1.6). Equivalent numbers give equivalent URIs but for visual separators: letters are lower case,
    /// `isub` and `postd` stand first, then the other parameters by name.
    #[must_use]
    pub fn to_sip(&self, host: Host) -> SipUri {
        let rank = |name: &str| match name {
            "isub" => 0,
            "postd" => 1,
            _ => 2,
        };
        let mut params: Vec<(String, Option<String>)> =
            self.params().map(|(name, value)| (name.to_ascii_lowercase(), value.map(spelled))).collect();
        params.sort_by(|(a, _), (b, _)| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
        let mut user = self.number().to_ascii_lowercase();
        for (name, value) in params {
            user.push(';');
            user.push_str(&name);
            if let Some(value) = value {
                user.push('=');
                user.push_str(&value);
            }
        }
        SipUri::new(host).with_escaped_user(&user).with_param("user", Some("phone"))
    }

    /// Whether both name the same (RFC 3966 §4): digits, and all parameters whatever their order.
    #[must_use]
    pub fn equivalent(&self, other: &TelUri) -> bool {
        self.key() == other.key()
    }

    /// One text for all equivalent URIs. For maps.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = alloc::format!("tel:{}", self.digits());
        let mut params: Vec<String> = self
            .params()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.map(spelled)))
            .map(|(name, value)| match value {
                // A global number as context may have separators of its own.
                Some(value) if name == "phone-context" && value.starts_with('+') => {
                    let digits: String =
                        value.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect();
                    alloc::format!("phone-context={digits}")
                }
                Some(value) => alloc::format!("{name}={value}"),
                None => name,
            })
            .collect();
        params.sort();
        for param in params {
            key.push(';');
            key.push_str(&param);
        }
        key
    }
}

/// The one spelling of a parameter's value: no character that may stand in it is reserved (RFC 3966 §3), so each is equal
/// to its escape, and case does not matter (§4).
fn spelled(value: &str) -> String {
    normal_where(value, is_param).to_ascii_lowercase()
}

impl fmt::Display for TelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
