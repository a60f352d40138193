//! Attributes of RTP media and of secured transports.

use super::Value;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use cpm_base::Sensitive;

use crate::grammar::{Host, connection_line, decimal, is_text, is_token};

/// `a=rtpmap` (RFC 8866 §6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// 0 to 127 (threats A10).
    pub payload_type: u8,
    /// The name of the encoding.
    pub encoding: String,
    /// In Hz.
    pub clock_rate: u32,
    /// Channels, for audio.
    pub parameters: Option<String>,
}

impl Value for RtpMap {
    fn read(value: Option<&str>) -> Option<Self> {
        let (payload_type, encoding) = value?.split_once(' ')?;
        let mut parts = encoding.trim_ascii().splitn(3, '/');
        let (encoding, clock_rate) = (parts.next()?, parts.next()?);
        let parameters = parts.next();
        let good = is_token(encoding) && parameters.is_none_or(is_token);
        good.then_some(RtpMap {
            payload_type: u8::try_from(decimal(payload_type)?).ok().filter(|number| *number <= 127)?,
            encoding: encoding.to_string(),
            clock_rate: u32::try_from(decimal(clock_rate)?).ok()?,
            parameters: parameters.map(ToString::to_string),
        })
    }

    fn write(&self) -> Option<String> {
        let mut text = format!("{} {}/{}", self.payload_type, self.encoding, self.clock_rate);
        if let Some(parameters) = &self.parameters {
            let _ = write!(text, "/{parameters}");
        }
        Some(text)
    }
}

/// `a=fmtp` (RFC 8866 §6.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fmtp {
    /// The format of the `m=` line that is meant.
    pub format: String,
    /// Its parameters.
    pub parameters: String,
}

impl Value for Fmtp {
    fn read(value: Option<&str>) -> Option<Self> {
        let (format, parameters) = value?.split_once(' ')?;
        let good = is_token(format) && !parameters.is_empty() && is_text(parameters);
        good.then(|| Fmtp { format: format.to_string(), parameters: parameters.trim_ascii().to_string() })
            .filter(|fmtp| !fmtp.parameters.is_empty())
    }

    fn write(&self) -> Option<String> {
        Some(format!("{} {}", self.format, self.parameters))
    }
}

/// A number with or without decimals, kept as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// Takes digits, with decimals or without.
    #[must_use]
    pub fn new(text: &str) -> Option<Number> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let good = match text.split_once('.') {
            Some((whole, decimals)) => digits(whole) && digits(decimals),
            None => digits(text),
        };
        good.then(|| Number(text.to_string()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Number {
    fn read(value: Option<&str>) -> Option<Self> {
        Number::new(value?)
    }

    fn write(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

/// `a=rtcp` (RFC 3605).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtcp {
    /// The port.
    pub port: u16,
    /// The host, where it is not the medium's; whether `IP6` stands before it.
    pub host: Option<(bool, Host)>,
}

impl Value for Rtcp {
    fn read(value: Option<&str>) -> Option<Self> {
        let (port, host) = match value?.split_once(' ') {
            Some((port, host)) => {
                let ip6 = host.split(' ').nth(1)?.eq_ignore_ascii_case("IP6");
                (port, Some((ip6, connection_line(host).filter(|_| !host.contains('/'))?)))
            }
            None => (value?, None),
        };
        Some(Rtcp { port: u16::try_from(decimal(port)?).ok()?, host })
    }

    fn write(&self) -> Option<String> {
        Some(match &self.host {
            None => self.port.to_string(),
            Some((ip6, host)) => format!("{} IN {} {host}", self.port, if *ip6 { "IP6" } else { "IP4" }),
        })
    }
}

/// `a=crypto` (RFC 4568 §9.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Its number in the list.
    pub tag: u32,
    /// `AES_CM_128_HMAC_SHA1_80`…
    pub suite: String,
    /// `inline:` and keys.
    pub key_parameters: Sensitive<String>,
    /// What else was said.
    pub session_parameters: Vec<String>,
}

impl Value for Crypto {
    fn read(value: Option<&str>) -> Option<Self> {
        let mut words = value?.split(' ').filter(|word| !word.is_empty());
        let tag = words.next().filter(|tag| tag.len() <= 9).and_then(decimal)?;
        let suite = words.next().filter(|suite| is_token(suite))?;
        let key =
            words.next().filter(|key| key.contains(':') && key.bytes().all(|b| b.is_ascii_graphic()))?;
        let session_parameters: Vec<String> = words.map(ToString::to_string).collect();
        let good = session_parameters.iter().all(|word| word.bytes().all(|b| b.is_ascii_graphic()));
        good.then_some(Crypto {
            tag: u32::try_from(tag).ok()?,
            suite: suite.to_string(),
            key_parameters: Sensitive::new(key.to_string()),
            session_parameters,
        })
    }

    fn write(&self) -> Option<String> {
        let mut text = format!("{} {} {}", self.tag, self.suite, self.key_parameters.expose());
        for parameter in &self.session_parameters {
            let _ = write!(text, " {parameter}");
        }
        Some(text)
    }
}

/// `a=fingerprint` (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// `sha-256`…
    pub algorithm: String,
    /// The hash.
    pub octets: Vec<u8>,
}

impl Value for Fingerprint {
    fn read(value: Option<&str>) -> Option<Self> {
        let (algorithm, octets) = value?.split_once(' ')?;
        is_token(algorithm).then_some(())?;
        Some(Fingerprint { algorithm: algorithm.to_string(), octets: read_hex(octets.trim_ascii())? })
    }

    fn write(&self) -> Option<String> {
        Some(format!("{} {}", self.algorithm, write_hex(&self.octets)))
    }
}

/// Octets as two hexadecimal digits each, colons between them.
pub(super) fn read_hex(text: &str) -> Option<Vec<u8>> {
    let octet = |pair: &str| {
        let good = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
        good.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
    };
    text.split(':').map(octet).collect()
}

pub(super) fn write_hex(octets: &[u8]) -> String {
    let mut text = String::new();
    for (index, octet) in octets.iter().enumerate() {
        let _ = write!(text, "{}{octet:02X}", if index == 0 { "" } else { ":" });
    }
    text
}
