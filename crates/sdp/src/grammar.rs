//! The small grammars inside lines (RFC 8866 §9, RFC 4975 §9, RFC 5547 §6).

use alloc::string::{String, ToString};
use core::net::IpAddr;
use core::ops::Range;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_till, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, opt, recognize, rest, value};
use nom::sequence::{preceded, terminated};

type Fault<'a> = nom::error::Error<&'a str>;

/// The whole text by this grammar, or nothing.
fn whole<'a, T>(grammar: impl Parser<&'a str, Output = T, Error = Fault<'a>>, text: &'a str) -> Option<T> {
    all_consuming(grammar).parse(text).ok().map(|(_, value)| value)
}

/// A host as SDP and MSRP URIs write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name that has to be resolved.
    Name(String),
}

impl Host {
    pub(crate) fn read(text: &str) -> Host {
        text.parse().map_or_else(|_| Host::Name(text.to_string()), Host::Ip)
    }

    /// Whether both are the same host as far as that can be told without resolving names; `None` when it cannot.
    pub(crate) fn same(&self, other: &Host) -> Option<bool> {
        match (self, other) {
            (Host::Ip(a), Host::Ip(b)) => Some(a == b),
            (Host::Name(a), Host::Name(b)) if a.eq_ignore_ascii_case(b) => Some(true),
            _ => None,
        }
    }
}

impl core::fmt::Display for Host {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Host::Ip(address) => write!(f, "{address}"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// `m=<media> <port>[/<count>] <proto> <fmt> …`, as places in the value.
pub(crate) struct MediaLine {
    pub(crate) media: Range<usize>,
    /// `None` when what stands there is no port number (RFC 8866 §5.14: 0 to 65535).
    pub(crate) port: Option<u16>,
    pub(crate) proto: Range<usize>,
    pub(crate) formats: Range<usize>,
    pub(crate) format_count: usize,
}

fn field(input: &str) -> nom::IResult<&str, &str> {
    take_while1(|c: char| !c.is_whitespace() && !c.is_control()).parse(input)
}

pub(crate) fn media_line(text: &str) -> Option<MediaLine> {
    let blank = || char(' ');
    let line = (terminated(field, blank()), terminated(field, blank()), terminated(field, blank()), rest);
    let (media, port_text, proto, formats) = whole(line, text)?;
    let mut format_count = 0usize;
    for format in formats.split(' ') {
        whole(field, format)?;
        format_count = format_count.saturating_add(1);
    }
    let proto_at = media.len().checked_add(port_text.len())?.checked_add(2)?;
    let formats_at = text.len().checked_sub(formats.len())?;
    Some(MediaLine {
        media: 0..media.len(),
        port: port_number(port_text),
        proto: proto_at..proto_at.checked_add(proto.len())?,
        formats: formats_at..text.len(),
        format_count,
    })
}

fn port_number(text: &str) -> Option<u16> {
    whole(terminated(digit1, opt((char('/'), digit1))), text)?.parse().ok()
}

/// `<nettype> <addrtype> <address>[/<ttl>[/<count>]]`: the host of a `c=` line.
pub(crate) fn connection_line(text: &str) -> Option<Host> {
    let address =
        terminated(take_while1(|c: char| c.is_ascii_graphic() && c != '/'), opt((char('/'), field)));
    let kind = terminated(alt((tag_no_case("IP4"), tag_no_case("IP6"))), char(' '));
    let (kind, address) = whole(preceded((tag_no_case("IN"), char(' ')), (kind, address)), text)?;
    match (Host::read(address), kind.ends_with('4')) {
        (Host::Ip(IpAddr::V6(_)), true) | (Host::Ip(IpAddr::V4(_)), false) => None,
        (host, _) => Some(host),
    }
}

/// `<username> <id> <version> <nettype> <addrtype> <address>`
pub(crate) fn origin_line(text: &str) -> Option<(&str, &str, &str, &str)> {
    let number = || terminated(digit1, char(' '));
    let address = recognize((field, char(' '), field, char(' '), field));
    whole((terminated(field, char(' ')), number(), number(), address), text)
}

/// Where an MSRP URI points to: scheme, host and port of `msrp[s]://[user@]host:port[/session];transport…`.
pub(crate) struct Authority {
    pub(crate) secure: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

pub(crate) fn msrp_authority(uri: &str) -> Option<Authority> {
    if !uri.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let scheme = alt((value(true, tag_no_case("msrps")), value(false, tag_no_case("msrp"))));
    let authority = take_till(|c| matches!(c, '/' | ';' | '?' | '#'));
    let (secure, authority, after) = whole((terminated(scheme, tag("://")), authority, rest), uri)?;
    if !after.contains(';') {
        return None;
    }
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host_port)| host_port);
    let name = take_while1(|c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,=".contains(c));
    let bracketed = recognize((char('['), take_while1(|c| c != ']'), char(']')));
    let (host, port) = whole((alt((bracketed, name)), preceded(char(':'), digit1)), host_port)?;
    let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => Host::Ip(IpAddr::V6(address.parse().ok()?)),
        None => Host::read(host),
    };
    Some(Authority { secure, host, port: port.parse().ok()? })
}

/// Digits only, within 64 bits.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// An entry of `a=accept-types`: `*`, `type/*` or `type/subtype`, with parameters or without (RFC 4975 §8.6).
pub(crate) fn is_type_entry(text: &str) -> bool {
    let (essence, parameters) = text.split_once(';').map_or((text, None), |(e, p)| (e, Some(p)));
    let parameters_ok = parameters.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_graphic()));
    let essence_ok = essence == "*"
        || essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    essence_ok && parameters_ok
}

/// `token` of RFC 8866 §9.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&b))
}

/// `byte-string` of RFC 8866 §9, as text: no NUL, no line end.
pub(crate) fn is_text(text: &str) -> bool {
    !text.bytes().any(|b| matches!(b, 0 | b'\r' | b'\n'))
}
