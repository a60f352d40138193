//! MSRP URIs and their comparison (RFC 4975 §6, §9).

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::net::IpAddr;
use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::{opt, recognize, rest, value};
use nom::sequence::{preceded, terminated};

use crate::values::whole;

/// An MSRP URI: `msrp://host:port/session-id;tcp`.
///
/// It is kept as it was written. Equality (`==`) is of the text; two URIs that mean the same are told by
/// [`same_as`](MsrpUri::same_as). `Debug` does not print the session-id: who knows it can take the session over.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsrpUri {
    text: String,
    secure: bool,
    host: Host,
    port: Option<u16>,
    /// Where the session-id stands in the text: from, to.
    session: Option<(usize, usize)>,
    /// Where the transport stands in the text.
    transport: (usize, usize),
}

/// The host of an MSRP URI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name, in lower case and without needless percent-encoding.
    Name(String),
}

/// A text that is no MSRP URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriError;

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an MSRP URI")
    }
}

impl core::error::Error for UriError {}

/// The pieces of a URI, as views.
struct Pieces<'a> {
    secure: bool,
    /// Octets before the session-id or the transport.
    before: usize,
    host: &'a str,
    port: Option<&'a str>,
    session: Option<&'a str>,
    transport: &'a str,
}

fn pieces(text: &str) -> Option<Pieces<'_>> {
    let scheme = alt((value(true, tag_no_case("msrps")), value(false, tag_no_case("msrp"))));
    let authority = take_while1(|c: char| c.is_ascii_graphic() && !matches!(c, '/' | ';' | '?' | '#'));
    let session = preceded(char('/'), take_while1(is_session_char));
    let transport = preceded(char(';'), take_while1(|c: char| c.is_ascii_alphanumeric()));
    let uri = (terminated(scheme, tag("://")), authority, opt(session), transport, rest);
    let (secure, authority, session, transport, parameters) = whole(uri, text)?;
    if !(parameters.is_empty() || parameters.starts_with(';'))
        || !parameters.bytes().all(|b| b.is_ascii_graphic())
    {
        return None;
    }
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host_port)| host_port);
    let name = take_while1(|c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,=".contains(c));
    let bracketed = recognize((char('['), take_while(|c: char| c != ']'), char(']')));
    let (host, port) = whole((alt((bracketed, name)), opt(preceded(char(':'), digit1))), host_port)?;
    let before = if secure { 8usize } else { 7 }.checked_add(authority.len())?;
    Some(Pieces { secure, before, host, port, session, transport })
}

/// unreserved, "+", "=", "/" (RFC 4975 §9), and what else a path may hold: some peers use it.
fn is_session_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+=/%:@!$&'()*,".contains(c)
}

/// Lower case, with percent-encoded unreserved characters decoded (RFC 3986 §6.2.2, RFC 4975 §6.1).
fn normal_name(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c.to_ascii_lowercase());
            continue;
        }
        let (high, low) = (rest.next()?.to_digit(16)?, rest.next()?.to_digit(16)?);
        let octet = u8::try_from((high << 4) | low).ok()?;
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet.to_ascii_lowercase()));
        } else {
            out.push_str(&format!("%{octet:02x}"));
        }
    }
    Some(out)
}

impl MsrpUri {
    /// Reads a URI of scheme `msrp` or `msrps`.
    ///
    /// # Errors
    /// The text is none: another scheme, no authority, no transport, a port over 65535, an address that is none.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        Self::read(text).ok_or(UriError)
    }

    fn read(text: &str) -> Option<Self> {
        let pieces = pieces(text)?;
        let host = match pieces.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => Host::Ip(IpAddr::V6(address.parse().ok()?)),
            None => match pieces.host.parse() {
                Ok(address) => Host::Ip(IpAddr::V4(address)),
                Err(_) => Host::Name(normal_name(pieces.host)?),
            },
        };
        let port = match pieces.port {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        let after_slash = pieces.before.checked_add(1)?;
        let session = match pieces.session {
            Some(id) => Some((after_slash, after_slash.checked_add(id.len())?)),
            None => None,
        };
        let from = session.map_or(pieces.before, |(_, to)| to).checked_add(1)?;
        let transport = (from, from.checked_add(pieces.transport.len())?);
        Some(MsrpUri { text: text.to_string(), secure: pieces.secure, host, port, session, transport })
    }

    /// A URI of ours. Characters that a host cannot hold are percent-encoded; an IPv6 address gets its brackets.
    pub(crate) fn make(host: &str, port: u16, secure: bool, session_id: &str) -> MsrpUri {
        let scheme = if secure { "msrps" } else { "msrp" };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let mut written = String::with_capacity(host.len());
        let host = match bare.parse::<IpAddr>() {
            Ok(address) => {
                written = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
                Host::Ip(address)
            }
            Err(_) => {
                for octet in host.bytes() {
                    if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
                        written.push(char::from(octet));
                    } else {
                        written.push_str(&format!("%{octet:02x}"));
                    }
                }
                Host::Name(written.to_ascii_lowercase())
            }
        };
        let text = format!("{scheme}://{written}:{port}/{session_id};tcp");
        let transport = (text.len().saturating_sub(3), text.len());
        let session_end = transport.0.saturating_sub(1);
        let session = Some((session_end.saturating_sub(session_id.len()), session_end));
        MsrpUri { text, secure, host, port: Some(port), session, transport }
    }

    /// The URI as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the scheme is `msrps`: the next hop is reached over TLS.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, where one is written. There is no default.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The session-id: empty when the URI names a device and no session.
    #[must_use]
    pub fn session_id(&self) -> &str {
        self.session.and_then(|(from, to)| self.text.get(from..to)).unwrap_or_default()
    }

    /// The transport parameter: `tcp`.
    #[must_use]
    pub fn transport(&self) -> &str {
        self.text.get(self.transport.0..self.transport.1).unwrap_or_default()
    }

    /// Whether both mean the same (RFC 4975 §6.1): scheme, host and port equivalent, session-id equal to the letter,
    /// same transport; user part and further parameters do not count. The session-ids are compared in a time that
    /// says nothing of where they differ.
    #[must_use]
    pub fn same_as(&self, other: &MsrpUri) -> bool {
        self.secure == other.secure
            && self.host == other.host
            && self.port == other.port
            && (self.same_session_id(other) || (self.session.is_none() && other.session.is_none()))
            && self.transport().eq_ignore_ascii_case(other.transport())
    }

    /// Whether the session-ids are equal to the letter, whatever the rest (TS 5.2.1.4.1); never for two without one.
    #[must_use]
    pub fn same_session_id(&self, other: &MsrpUri) -> bool {
        let (own, theirs) = (self.session_id().as_bytes(), other.session_id().as_bytes());
        let differences = own.iter().zip(theirs).fold(0u8, |seen, (a, b)| seen | (a ^ b));
        (own.len() == theirs.len()) & (differences == 0) & self.session.is_some()
    }
}

impl fmt::Display for MsrpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for MsrpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "msrps" } else { "msrp" };
        match &self.host {
            Host::Ip(address) => write!(f, "{scheme}://{address}")?,
            Host::Name(name) => write!(f, "{scheme}://{name}")?,
        }
        if let Some(port) = self.port {
            write!(f, " port {port}")?;
        }
        f.write_str(" [redacted]")
    }
}

impl core::str::FromStr for MsrpUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        MsrpUri::parse(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]
    use super::*;
    use proptest::prelude::*;

    fn same(a: &str, b: &str) -> bool {
        let (a, b) = (MsrpUri::parse(a).unwrap(), MsrpUri::parse(b).unwrap());
        assert_eq!(a.same_as(&b), b.same_as(&a));
        a.same_as(&b)
    }

    // RFC 4975 §6.1
    #[test]
    fn comparison() {
        let base = "msrp://host.example.com:8493/asfd34;tcp";
        for other in [
            base,
            "MSRP://HOST.example.com:8493/asfd34;TCP",
            "msrp://user@host.example.com:8493/asfd34;tcp",
            "msrp://h%6Fst.example.com:8493/asfd34;tcp",
            "msrp://host.example.com:8493/asfd34;tcp;x=y",
        ] {
            assert!(same(base, other), "{other}");
        }
        for other in [
            "msrps://host.example.com:8493/asfd34;tcp",
            "msrp://host.example.com:8494/asfd34;tcp",
            "msrp://host.example.com/asfd34;tcp",
            "msrp://host.example.com:8493/ASFD34;tcp",
            "msrp://host.example.com:8493/asfd3;tcp",
            "msrp://host.example.com:8493;tcp",
            "msrp://host.example.com:8493/asfd34;sctp",
            "msrp://other.example.com:8493/asfd34;tcp",
        ] {
            assert!(!same(base, other), "{other}");
        }
        assert!(same("msrp://[2001:db8::1]:9/x;tcp", "msrp://[2001:DB8:0::1]:9/x;tcp"));
        assert!(same("msrp://relay.example.com:9;tcp", "msrp://relay.example.com:9;tcp"));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "msrp:",
            "msrp://",
            "msrp://;tcp",
            "http://a:1/x;tcp",
            "msrp://a:1/x",
            "msrp://a:1/x;",
            "msrp://a:65536/x;tcp",
            "msrp://a:1/;tcp",
            "msrp://a:1/x;tcp;\n",
            "msrp://[::1/x;tcp",
            "msrp://[1]:1/x;tcp",
            "msrp://a b:1/x;tcp",
            "msrp://a:1/x y;tcp",
            "msrp://a%zz:1/x;tcp",
            "msrp://a:1/x;tcp?",
            "msrp://a:-1/x;tcp",
        ] {
            assert_eq!(MsrpUri::parse(text), Err(UriError), "{text:?}");
        }
    }

    #[test]
    fn ours_are_valid_whatever_the_host() {
        for host in
            ["192.0.2.1", "2001:db8::1", "[2001:db8::1]", "host.example.com", "a b\r\nX: y", "\u{20ac};/@"]
        {
            let uri = MsrpUri::make(host, 2855, true, "abcdefghijklmnopqrst");
            let read = MsrpUri::parse(uri.as_str()).unwrap();
            assert!(read.same_as(&uri) && read == uri, "{uri}");
            assert_eq!(
                (uri.session_id(), uri.transport(), uri.port()),
                ("abcdefghijklmnopqrst", "tcp", Some(2855))
            );
            assert!(!format!("{uri:?}").contains("abcdef"), "no secret in a log");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_kept(text in "(msrps?://)?[ -~]{0,40}(;tcp)?") {
            if let Ok(uri) = MsrpUri::parse(&text) {
                prop_assert_eq!(uri.as_str(), &text);
                prop_assert!(uri.same_as(&uri));
                let part = alloc::format!(";{}", uri.transport());
                prop_assert!(text.contains(&part) && text.contains(uri.session_id()));
            }
        }
    }
}
