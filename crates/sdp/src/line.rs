//! The value of every kind of line (RFC 4566 §5, RFC 8866 §5), both ways.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::description::Origin;
use crate::grammar::{self, Host, decimal, is_text, is_token};

/// One line by the grammar of its kind. Written, it is the line again, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// `v=`: always 0.
    Version,
    /// `o=`
    Origin(Origin),
    /// `s=`: may be empty or a blank.
    Name(String),
    /// `i=`
    Information(String),
    /// `u=`
    Uri(String),
    /// `e=`
    Email(String),
    /// `p=`
    Phone(String),
    /// `c=`
    Connection(Connection),
    /// `b=`
    Bandwidth(Bandwidth),
    /// `t=`
    Timing(Timing),
    /// `r=`
    Repeat(Repeat),
    /// `z=`: at this NTP time, the times of repetition move by so many seconds.
    Zones(Vec<(u64, i64)>),
    /// `k=`: obsolete (RFC 8866 §5.12): read, never made by us.
    Key(Key),
    /// `a=`: name, and what stands behind the colon.
    Attribute(String, Option<String>),
    /// `m=`
    Media(MediaLine),
}

/// `c=` (RFC 8866 §5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Whether `IP6` stands before the host (a name does not tell).
    pub ip6: bool,
    /// The host.
    pub host: Host,
    /// How far IPv4 multicast goes.
    pub ttl: Option<u8>,
    /// How many addresses in a row, 2 or more; `None` for one.
    pub count: Option<u32>,
}

/// `b=` (RFC 8866 §5.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// `CT`, `AS`, `TIAS`, `RS`, `RR`…
    pub kind: String,
    /// Kilobits per second, or what the kind counts in.
    pub value: u64,
}

/// `t=` (RFC 8866 §5.9), in seconds since 1900; 0 is without bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From when.
    pub start: u64,
    /// Until when.
    pub stop: u64,
}

/// `r=` (RFC 8866 §5.10), in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// From one time to the next; not 0.
    pub interval: u64,
    /// How long each lasts.
    pub duration: u64,
    /// From the start; at least one.
    pub offsets: Vec<u64>,
}

/// `k=` (RFC 4566 §5.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `clear`, `base64`, `uri`, `prompt`.
    pub method: String,
    /// The key or where it is; none for `prompt`.
    pub value: Option<cpm_base::Sensitive<String>>,
}

/// `m=` (RFC 8866 §5.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `message`…
    pub media: String,
    /// The port; 0 for a medium that is refused or ended.
    pub port: u16,
    /// How many ports in a row, 1 or more; `None` where that is not said.
    pub count: Option<u32>,
    /// The transport protocol.
    pub proto: String,
    /// The formats; at least one.
    pub formats: Vec<String>,
}

impl Line {
    /// Reads the value of a line of this kind; `None` where the kind is unknown or the value not by its grammar.
    #[must_use]
    pub fn read(kind: u8, value: &[u8]) -> Option<Line> {
        let text = core::str::from_utf8(value).ok()?;
        let owned = || is_text(text).then(|| text.to_string());
        let some = || owned().filter(|text| !text.is_empty());
        Some(match kind {
            b'v' => (text == "0").then_some(Line::Version)?,
            b'o' => Line::Origin(Origin::read(value)?),
            b's' => Line::Name(owned()?),
            b'i' => Line::Information(some()?),
            b'u' => Line::Uri(some().filter(|uri| uri.bytes().all(|b| b.is_ascii_graphic()))?),
            b'e' => Line::Email(some()?),
            b'p' => Line::Phone(some()?),
            b'c' => Line::Connection(Connection::read(text)?),
            b'b' => {
                let (kind, number) = text.split_once(':')?;
                let value = decimal(number)?;
                is_token(kind).then(|| Line::Bandwidth(Bandwidth { kind: kind.to_string(), value }))?
            }
            b't' => {
                let (start, stop) = text.split_once(' ')?;
                Line::Timing(Timing { start: decimal(start)?, stop: decimal(stop)? })
            }
            b'r' => Line::Repeat(Repeat::read(text)?),
            b'z' => Line::Zones(read_zones(text)?),
            b'k' => Line::Key(Key::read(text)?),
            b'a' => {
                let (name, value) = match text.split_once(':') {
                    Some((name, value)) => (name, Some(value)),
                    None => (text, None),
                };
                let good = is_token(name) && value.is_none_or(|v| !v.is_empty() && is_text(v));
                good.then(|| Line::Attribute(name.to_string(), value.map(ToString::to_string)))?
            }
            b'm' => Line::Media(MediaLine::read(text)?),
            _ => return None,
        })
    }

    /// The letter of the line.
    #[must_use]
    pub const fn kind(&self) -> char {
        match self {
            Line::Version => 'v',
            Line::Origin(_) => 'o',
            Line::Name(_) => 's',
            Line::Information(_) => 'i',
            Line::Uri(_) => 'u',
            Line::Email(_) => 'e',
            Line::Phone(_) => 'p',
            Line::Connection(_) => 'c',
            Line::Bandwidth(_) => 'b',
            Line::Timing(_) => 't',
            Line::Repeat(_) => 'r',
            Line::Zones(_) => 'z',
            Line::Key(_) => 'k',
            Line::Attribute(..) => 'a',
            Line::Media(_) => 'm',
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char(self.kind())?;
        f.write_char('=')?;
        match self {
            Line::Version => f.write_str("0"),
            Line::Origin(origin) => write!(f, "{origin}"),
            Line::Name(text)
            | Line::Information(text)
            | Line::Uri(text)
            | Line::Email(text)
            | Line::Phone(text)
            | Line::Attribute(text, None) => f.write_str(text),
            Line::Connection(connection) => write!(f, "{connection}"),
            Line::Bandwidth(bandwidth) => write!(f, "{}:{}", bandwidth.kind, bandwidth.value),
            Line::Timing(timing) => write!(f, "{} {}", timing.start, timing.stop),
            Line::Repeat(repeat) => {
                write!(f, "{} {}", repeat.interval, repeat.duration)?;
                repeat.offsets.iter().try_for_each(|offset| write!(f, " {offset}"))
            }
            Line::Zones(zones) => zones.iter().enumerate().try_for_each(|(index, (at, offset))| {
                write!(f, "{}{at} {offset}", if index == 0 { "" } else { " " })
            }),
            Line::Key(Key { method, value: None }) => f.write_str(method),
            Line::Key(Key { method, value: Some(value) }) => write!(f, "{method}:{}", value.expose()),
            Line::Attribute(name, Some(value)) => write!(f, "{name}:{value}"),
            Line::Media(media) => write!(f, "{media}"),
        }
    }
}

impl Connection {
    fn read(text: &str) -> Option<Connection> {
        let host = grammar::connection_line(text)?;
        let mut words = text.split(' ').skip(1);
        let ip6 = words.next()?.eq_ignore_ascii_case("IP6");
        let mut numbers = words.next()?.split('/').skip(1);
        let (first, second) = (numbers.next(), numbers.next());
        let one = |text: &str| decimal(text).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        let is_ip4 = matches!(host, Host::Ip(core::net::IpAddr::V4(_)));
        // IPv6 and names have no TTL: the number is the count (RFC 8866 §5.7).
        let (ttl, count) = match (first, second) {
            (None, _) => (None, None),
            (Some(ttl), None) if is_ip4 => (Some(ttl.parse().ok()?), None),
            (Some(ttl), Some(count)) if is_ip4 => (Some(ttl.parse().ok()?), Some(one(count)?)),
            (Some(count), None) => (None, Some(one(count)?)),
            (Some(_), Some(_)) => return None,
        };
        (numbers.next().is_none()).then_some(Connection { ip6, host, ttl, count })
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IN {} {}", if self.ip6 { "IP6" } else { "IP4" }, self.host)?;
        self.ttl.map_or(Ok(()), |ttl| write!(f, "/{ttl}"))?;
        self.count.map_or(Ok(()), |count| write!(f, "/{count}"))
    }
}

impl Repeat {
    fn read(text: &str) -> Option<Repeat> {
        let mut times = text.split(' ').map(typed_time);
        let interval = times.next()?.filter(|seconds| *seconds > 0)?;
        let duration = times.next()??;
        let offsets: Vec<u64> = times.collect::<Option<_>>()?;
        (!offsets.is_empty()).then_some(Repeat { interval, duration, offsets })
    }
}

/// Seconds, or days, hours, minutes, seconds with their letter (RFC 8866 §5.10).
fn typed_time(text: &str) -> Option<u64> {
    let (number, unit) = match text.as_bytes().last()? {
        b'd' => (text.strip_suffix('d')?, 86_400),
        b'h' => (text.strip_suffix('h')?, 3_600),
        b'm' => (text.strip_suffix('m')?, 60),
        b's' => (text.strip_suffix('s')?, 1),
        _ => (text, 1),
    };
    decimal(number)?.checked_mul(unit)
}

fn read_zones(text: &str) -> Option<Vec<(u64, i64)>> {
    let mut words = text.split(' ');
    let mut zones = Vec::new();
    while let Some(at) = words.next() {
        let offset = words.next()?;
        let (negative, size) = match offset.strip_prefix('-') {
            Some(size) => (true, size),
            None => (false, offset),
        };
        let seconds = i64::try_from(typed_time(size)?).ok()?;
        zones.push((decimal(at)?, if negative { seconds.checked_neg()? } else { seconds }));
    }
    Some(zones)
}

impl Key {
    fn read(text: &str) -> Option<Key> {
        let (method, value) = match text.split_once(':') {
            Some((method, value)) => (method, Some(value)),
            None => (text, None),
        };
        let good = is_token(method) && value.is_none_or(|v| !v.is_empty() && is_text(v));
        let value = value.map(|value| cpm_base::Sensitive::new(value.to_string()));
        good.then(|| Key { method: method.to_string(), value })
    }
}

impl MediaLine {
    fn read(text: &str) -> Option<MediaLine> {
        let line = grammar::media_line(text)?;
        let mut words = text.split(' ');
        let (media, port, proto) = (words.next()?, words.next()?, words.next()?);
        let count = match port.split_once('/') {
            Some((_, count)) => Some(u32::try_from(decimal(count)?).ok().filter(|count| *count > 0)?),
            None => None,
        };
        let good = is_token(media) && proto.split('/').all(is_token);
        good.then_some(())?;
        Some(MediaLine {
            media: media.to_string(),
            port: line.port?,
            count,
            proto: proto.to_string(),
            formats: words.map(ToString::to_string).collect(),
        })
    }
}

impl fmt::Display for MediaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.media, self.port)?;
        self.count.map_or(Ok(()), |count| write!(f, "/{count}"))?;
        write!(f, " {}", self.proto)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))
    }
}

#[cfg(test)]
mod tests;
