//! URIs of header fields and Request-Lines.

mod escape;
mod host;
mod sip;
mod tel;
#[cfg(test)]
mod tests;

use crate::error::UriError;
use crate::limits::Limits;
use crate::text::split_at_octet;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
pub(crate) use escape::{escape, unescape};
pub use host::{Host, HostName};
pub(crate) use host::{Kind, parse_port, parse_v4, parse_v6};
pub use sip::SipUri;
pub use tel::TelUri;

/// A URI. Prints the text it was read from, unless it was edited.
///
/// `==` compares the text; [`Uri::equivalent`] compares what it names, [`Uri::key`] makes a key for maps.
///
/// ```
/// use cpm_sip::Uri;
/// let uri = Uri::parse("SIP:%61lice@Example.COM;transport=TCP").unwrap();
/// assert_eq!(uri.to_string(), "SIP:%61lice@Example.COM;transport=TCP");
/// assert!(uri.equivalent(&Uri::parse("sip:alice@example.com;transport=tcp").unwrap()));
/// assert_eq!(uri.address_key(), "sip:alice@example.com");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// `tel:`.
    Tel(TelUri),
    /// `urn:`.
    Urn(Urn),
    /// A URI of any other scheme.
    Opaque(OpaqueUri),
}

/// A `urn:` URI (RFC 8141). Keeps the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urn(Arc<str>);

/// A URI of a scheme that SIP gives no meaning to. Keeps the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaqueUri(Arc<str>);

impl Urn {
    /// The URI as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> Option<(&str, &str)> {
        let (_, rest) = self.as_str().split_once(':')?;
        rest.split_once(':')
    }

    /// The namespace identifier: `urn-7` in `urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.parts().map_or("", |(namespace, _)| namespace)
    }

    /// What follows the namespace identifier.
    #[must_use]
    pub fn specific(&self) -> &str {
        self.parts().map_or("", |(_, specific)| specific)
    }

    /// One text for all equivalent URNs: scheme and namespace in lower case (RFC 8141 §3.1). For maps.
    #[must_use]
    pub fn key(&self) -> String {
        alloc::format!("urn:{}:{}", self.namespace().to_ascii_lowercase(), escape::normal(self.specific()))
    }
}

impl OpaqueUri {
    /// The URI as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// User and host of an `im:` or `pres:` URI (RFC 3860 §3, RFC 3859 §3), as they were written; its headers left out.
    #[must_use]
    pub fn address(&self) -> Option<(&str, &str)> {
        let (scheme, rest) = self.as_str().split_once(':')?;
        if !scheme.eq_ignore_ascii_case("im") && !scheme.eq_ignore_ascii_case("pres") {
            return None;
        }
        rest.split('?').next()?.rsplit_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty())
    }

    /// One text for URIs that are the same: the scheme in lower case, for `im:` and `pres:` the host too and escapes in
    /// one spelling; all else as it was written. For maps.
    #[must_use]
    pub fn key(&self) -> String {
        let (scheme, rest) = self.as_str().split_once(':').unwrap_or((self.as_str(), ""));
        let scheme = scheme.to_ascii_lowercase();
        match self.address() {
            Some((user, host)) => {
                let headers = rest.find('?').and_then(|at| rest.get(at..)).unwrap_or("");
                alloc::format!("{scheme}:{}@{}{headers}", escape::normal(user), host.to_ascii_lowercase())
            }
            None => alloc::format!("{scheme}:{rest}"),
        }
    }
}

impl Uri {
    /// Reads a URI, at most as long as the default of `Limits::max_uri`.
    ///
    /// # Errors
    /// It is not well-formed; a scheme that SIP gives no meaning to only has to hold characters that URIs hold.
    pub fn parse(text: &str) -> Result<Uri, UriError> {
        Uri::parse_within(text, &Limits::DEFAULT)
    }

    pub(crate) fn parse_within(text: &str, limits: &Limits) -> Result<Uri, UriError> {
        limits.max_uri(text.len())?;
        let whole = text;
        let (scheme, rest) = split_at_octet(whole, b':').unwrap_or((whole, ""));
        if is_sip(scheme) {
            // Whatever its parts may hold a URI may hold: the characters are looked at again for the name of a fault only.
            return match SipUri::parts(whole, (scheme, rest), limits) {
                Ok(parts) => Ok(Uri::Sip(SipUri::of_parts(parts, Arc::from(text)))),
                Err(error) => Err(check_characters(whole).err().unwrap_or(error)),
            };
        }
        check_characters(whole)?;
        let scheme_character = |o: u8| o.is_ascii_alphanumeric() || matches!(o, b'+' | b'-' | b'.');
        if scheme.len() == whole.len()
            || !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme.bytes().all(scheme_character)
        {
            return Err(UriError::Scheme);
        }
        if scheme.eq_ignore_ascii_case("tel") {
            TelUri::read(Arc::from(text), limits).map(Uri::Tel)
        } else if scheme.eq_ignore_ascii_case("urn") {
            let whole = rest.split_once(':').is_some_and(|(namespace, specific)| {
                namespace.len() >= 2
                    && !specific.is_empty()
                    && namespace.bytes().all(|o| o.is_ascii_alphanumeric() || o == b'-')
            });
            if whole { Ok(Uri::Urn(Urn(Arc::from(text)))) } else { Err(UriError::Urn) }
        } else {
            Ok(Uri::Opaque(OpaqueUri(Arc::from(text))))
        }
    }

    /// Whether a text is a sound SIP or SIPS URI: one that [`Uri::parse_within`] reads. Of other schemes this says nothing.
    pub(crate) fn is_sound_sip(text: &str, limits: &Limits) -> bool {
        limits.max_uri(text.len()).is_ok()
            && split_at_octet(text, b':')
                .filter(|(scheme, _)| is_sip(scheme))
                .is_some_and(|parts| SipUri::parts(text, parts, limits).is_ok())
    }

    /// The URI as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Uri::Sip(uri) => uri.as_str(),
            Uri::Tel(uri) => uri.as_str(),
            Uri::Urn(uri) => uri.as_str(),
            Uri::Opaque(uri) => uri.as_str(),
        }
    }

    /// The scheme in lower case.
    #[must_use]
    pub fn scheme(&self) -> String {
        self.as_str().split(':').next().unwrap_or("").to_ascii_lowercase()
    }

    /// The SIP or SIPS URI, when it is one.
    #[must_use]
    pub const fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Uri::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// The telephone number, when it is one.
    #[must_use]
    pub const fn as_tel(&self) -> Option<&TelUri> {
        match self {
            Uri::Tel(uri) => Some(uri),
            _ => None,
        }
    }

    /// The telephone number that the URI stands for: of `tel:`, and of `sip:` or `sips:` with `user=phone`.
    ///
    /// ```
    /// use cpm_sip::Uri;
    /// let tel = Uri::parse("tel:+358-555-1234567;postd=pp22").unwrap();
    /// let sip = Uri::parse("sip:+358-555-1234567;POSTD=pp22@example.com;user=phone").unwrap();
    /// assert_eq!(sip.telephone().unwrap().key(), tel.telephone().unwrap().key());
    /// ```
    #[must_use]
    pub fn telephone(&self) -> Option<TelUri> {
        match self {
            Uri::Tel(uri) => Some(uri.clone()),
            Uri::Sip(uri) => uri.to_tel(),
            Uri::Urn(_) | Uri::Opaque(_) => None,
        }
    }

    /// Whether both name the same: by RFC 3261 §19.1.4, RFC 3966 §4, RFC 8141 §3.1; by [`OpaqueUri::key`] for other schemes.
    #[must_use]
    pub fn equivalent(&self, other: &Uri) -> bool {
        match (self, other) {
            (Uri::Sip(a), Uri::Sip(b)) => a.equivalent(b),
            (Uri::Tel(a), Uri::Tel(b)) => a.equivalent(b),
            (Uri::Urn(a), Uri::Urn(b)) => a.key() == b.key(),
            (Uri::Opaque(a), Uri::Opaque(b)) => a.key() == b.key(),
            _ => false,
        }
    }

    /// One text for equivalent URIs, for maps: URI parameters that may be ignored are left out, those that always count
    /// (transport, user, method, ttl, maddr) are in.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Uri::Sip(uri) => uri.key(),
            Uri::Tel(uri) => uri.key(),
            Uri::Urn(uri) => uri.key(),
            Uri::Opaque(uri) => uri.key(),
        }
    }

    /// The address-of-record in one spelling: for SIP without any parameter (RFC 3261 §10.3 step 5), else like [`Uri::key`].
    #[must_use]
    pub fn address_key(&self) -> String {
        match self {
            Uri::Sip(uri) => uri.address_key(),
            _ => self.key(),
        }
    }
}

impl core::str::FromStr for Uri {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Uri, UriError> {
        Uri::parse(text)
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Uri {
        Uri::Sip(uri)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_sip(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")
}

/// Whether all characters are those that a URI of any scheme may hold, and all escapes are complete.
fn check_characters(text: &str) -> Result<(), UriError> {
    if escape::is_made_of(text.as_bytes(), sip::is_uri_character) {
        return Ok(());
    }
    let characters = text.bytes().all(sip::is_uri_character);
    Err(if characters { UriError::Escape } else { UriError::Character })
}
