//! Hosts (RFC 3261 §25.1 `host`, RFC 5954 for IPv6).

use crate::error::UriError;
use crate::text::{Class, class, is_in, write_number};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};
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

/// A domain name: labels of letters, digits and dashes; read by [`Host::parse`] or with a URI, whose text it shares. Reads
/// as a `&str`.
#[derive(Clone)]
pub struct HostName {
    text: Arc<str>,
    start: usize,
    end: usize,
}

impl HostName {
    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(self.start..self.end).unwrap_or("")
    }
}

impl Deref for HostName {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for HostName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for HostName {}

impl PartialOrd for HostName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HostName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for HostName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// What a text is as a host.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Name,
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Kind {
    /// Looks at a host; an IPv6 address stands in brackets.
    pub(super) fn of(text: &str) -> Result<Kind, UriError> {
        if let Some(inside) = text.strip_prefix('[') {
            let address = inside.strip_suffix(']').ok_or(UriError::Host)?;
            return parse_v6(address).map(Kind::V6).ok_or(UriError::Host);
        }
        // A name does not end with a digit, unless its last label begins with a letter.
        if text.as_bytes().last().is_some_and(u8::is_ascii_digit)
            && let Ok(address) = text.parse::<Ipv4Addr>()
        {
            return Ok(Kind::V4(address));
        }
        if is_hostname(text) { Ok(Kind::Name) } else { Err(UriError::Host) }
    }

    /// The host that stands here in a text.
    pub(super) fn within(self, text: &Arc<str>, (start, end): (usize, usize)) -> Host {
        match self {
            Kind::Name => Host::Name(HostName { text: Arc::clone(text), start, end }),
            Kind::V4(address) => Host::V4(address),
            Kind::V6(address) => Host::V6(address),
        }
    }
}

impl Host {
    /// Reads a host; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Host, UriError> {
        match Kind::of(text)? {
            Kind::V4(address) => Ok(Host::V4(address)),
            Kind::V6(address) => Ok(Host::V6(address)),
            Kind::Name => Ok(Kind::Name.within(&Arc::from(text), (0, text.len()))),
        }
    }

    /// Appends what `Display` shows.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Host::Name(name) => out.extend_from_slice(name.as_bytes()),
            Host::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        out.push(b'.');
                    }
                    write_number(u32::from(octet), out);
                }
            }
            Host::V6(_) => out.extend_from_slice(alloc::format!("{self}").as_bytes()),
        }
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
        let mut key = String::new();
        self.push_key(&mut key);
        key
    }

    /// Appends that spelling.
    pub(super) fn push_key(&self, out: &mut String) {
        match self {
            Host::Name(name) => {
                out.extend(name.trim_end_matches('.').chars().map(|c| c.to_ascii_lowercase()))
            }
            _ => {
                let _ = write!(out, "{self}");
            }
        }
    }

    /// Whether this is a name, in whatever case and with or without a dot at its end.
    #[must_use]
    pub fn is_name(&self, name: &str) -> bool {
        matches!(self, Host::Name(own) if own.trim_end_matches('.').eq_ignore_ascii_case(name))
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
    Kind::of(text).is_ok()
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
    let (mut label, mut last, mut top) = (0usize, b'.', false);
    for octet in name.bytes() {
        if octet == b'.' {
            if label == 0 || last == b'-' {
                return false;
            }
            label = 0;
        } else {
            if label == 0 {
                top = octet.is_ascii_alphabetic();
            }
            label = label.saturating_add(1);
            if !is_in(&HOST_NAME, octet) || label > 63 || (label == 1 && octet == b'-') {
                return false;
            }
        }
        last = octet;
    }
    label > 0 && last != b'-' && top
}

static HOST_NAME: Class = class!(octet => octet.is_ascii_alphanumeric() || octet == b'-');

/// A port: one to five digits up to 65535.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    (matches!(text.len(), 1..=5) && text.bytes().all(|o| o.is_ascii_digit())).then(|| text.parse().ok())?
}
