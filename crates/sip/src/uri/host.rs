//! Hosts (RFC 3261 §25.1 `host`, RFC 5954 for IPv6).

use crate::error::UriError;
use crate::grammar::parse_u32;
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
    span: Span,
}

/// Where something stands in a text that is no longer than [`MAX_TEXT`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

/// Octets of which a span can say where something is.
pub(super) const MAX_TEXT: usize = u32::MAX as usize;

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Span {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { start: short(start), end: short(end) }
    }

    pub(super) fn of(self, text: &str) -> &str {
        let long = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        text.get(long(self.start)..long(self.end)).unwrap_or("")
    }

    pub(super) const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

impl HostName {
    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.span.of(&self.text)
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
pub(crate) enum Kind {
    Name,
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Kind {
    /// Looks at a host; an IPv6 address stands in brackets.
    pub(crate) fn of(text: &str) -> Result<Kind, UriError> {
        if let Some(inside) = text.strip_prefix('[') {
            let address = inside.strip_suffix(']').ok_or(UriError::Host)?;
            return parse_v6(address).map(Kind::V6).ok_or(UriError::Host);
        }
        // A name does not end with a digit, unless its last label begins with a letter.
        if text.as_bytes().last().is_some_and(u8::is_ascii_digit)
            && let Some(address) = parse_v4(text)
        {
            return Ok(Kind::V4(address));
        }
        if is_hostname(text) { Ok(Kind::Name) } else { Err(UriError::Host) }
    }

    /// The host, when this is what its text is.
    pub(crate) fn host(self, text: &str) -> Host {
        match self {
            Kind::Name => self.within(&Arc::from(text), Span::new(0, text.len())),
            Kind::V4(address) => Host::V4(address),
            Kind::V6(address) => Host::V6(address),
        }
    }

    /// The host that stands here in a text.
    pub(super) fn within(self, text: &Arc<str>, span: Span) -> Host {
        match self {
            Kind::Name => Host::Name(HostName { text: Arc::clone(text), span }),
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
        Kind::of(text).map(|kind| kind.host(text))
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
    // A label begins after a dot, as the first does.
    let (mut begin, mut last, mut top) = (0usize, b'.', false);
    for (at, octet) in name.bytes().enumerate() {
        if octet == b'.' {
            if matches!(last, b'.' | b'-') || at.saturating_sub(begin) > 63 {
                return false;
            }
            begin = at.saturating_add(1);
        } else if !is_in(&HOST_NAME, octet) {
            return false;
        } else if last == b'.' {
            if octet == b'-' {
                return false;
            }
            top = octet.is_ascii_alphabetic();
        }
        last = octet;
    }
    !matches!(last, b'.' | b'-') && name.len().saturating_sub(begin) <= 63 && top
}

static HOST_NAME: Class = class!(octet => octet.is_ascii_alphanumeric() || octet == b'-');

/// A port: one to five digits up to 65535.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    (text.len() <= 5).then(|| parse_u32(text.as_bytes()))?.and_then(|port| u16::try_from(port).ok())
}

/// An IPv4 address: four numbers up to 255, none with a zero before it.
pub(crate) fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut places = octets.iter_mut();
    let (mut number, mut digits) = (0u8, 0u8);
    for octet in text.bytes() {
        if octet == b'.' {
            *places.next().filter(|_| digits > 0)? = number;
            (number, digits) = (0, 0);
            continue;
        }
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 || (digits > 0 && number == 0) {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit)?;
        digits = 1;
    }
    *places.next().filter(|_| digits > 0)? = number;
    places.next().is_none().then(|| Ipv4Addr::from(octets))
}
