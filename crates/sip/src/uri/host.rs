//! Hosts (RFC 3261 §25.1 `host`, RFC 5954 for IPv6).

use crate::error::UriError;
use crate::text::{Class, class, is_in};
use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Deref;

/// A host: a name, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A domain name, as it was written.
    Name(HostName),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; written in brackets.
    V6(Ipv6Addr),
}

/// A domain name: labels of letters, digits and dashes; made by [`Host::parse`] alone. Reads as a `&str`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for HostName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Host {
    /// Reads a host; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Host, UriError> {
        if let Some(inside) = text.strip_prefix('[') {
            let address = inside.strip_suffix(']').ok_or(UriError::Host)?;
            return parse_v6(address).map(Host::V6).ok_or(UriError::Host);
        }
        // A name does not end with a digit, unless its last label begins with a letter.
        if text.ends_with(|c: char| c.is_ascii_digit())
            && let Ok(address) = text.parse::<Ipv4Addr>()
        {
            return Ok(Host::V4(address));
        }
        if is_hostname(text) { Ok(Host::Name(HostName(text.to_owned()))) } else { Err(UriError::Host) }
    }

    /// The address, unless it is a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The same host: names without case, addresses by value.
    #[must_use]
    pub fn equivalent(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Name(a), Host::Name(b)) => {
                a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
            }
            _ => self == other,
        }
    }

    /// The host in the one spelling that all equivalent hosts share.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Host::Name(name) => name.trim_end_matches('.').to_ascii_lowercase(),
            _ => alloc::format!("{self}"),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => address.fmt(f),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// Whether [`Host::parse`] reads a host, without making one.
pub(crate) fn is_host(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']').and_then(parse_v6).is_some(),
        None => {
            is_hostname(text)
                || text.ends_with(|c: char| c.is_ascii_digit()) && text.parse::<Ipv4Addr>().is_ok()
        }
    }
}

/// An IPv6 address without brackets. Three colons in a row, which the grammar of RFC 3261 allowed by mistake,
/// are read as two (RFC 5118 §4.10); they are never written.
pub(crate) fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    if text.len() > 64 {
        return None;
    }
    text.parse().ok().or_else(|| text.contains(":::").then(|| text.replacen(":::", "::", 1).parse().ok())?)
}

/// `*( domainlabel "." ) toplabel [ "." ]`: the last label begins with a letter.
fn is_hostname(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > 255 {
        return false;
    }
    let is_label = |label: &[u8]| {
        let (Some(first), Some(last)) = (label.first(), label.last()) else { return false };
        label.len() <= 63 && *first != b'-' && *last != b'-'
    };
    let octets = name.as_bytes();
    let top = octets.rsplit(|octet| *octet == b'.').next().unwrap_or_default();
    top.first().is_some_and(u8::is_ascii_alphabetic)
        && octets.iter().all(|octet| is_in(&HOST_NAME, *octet))
        && octets.split(|octet| *octet == b'.').all(is_label)
}

static HOST_NAME: Class = class!(octet => octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.'));

/// A port: one to five digits up to 65535.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    (matches!(text.len(), 1..=5) && text.bytes().all(|o| o.is_ascii_digit())).then(|| text.parse().ok())?
}
