//! Header fields that hold numbers and short texts.

use super::TypedHeader;
use crate::error::HeaderError;
use crate::grammar::{Parsed, bounded_token, comment, complete, number, quoted, separator, spaces, syntax};
use crate::limits::Limits;
use crate::method::Method;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::{InvalidText, check_text, is_token, tokenised, write_number, write_quoted};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use nom::Parser;
use nom::bytes::complete::{take_while, take_while1};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($type:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub $type);

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, _: &Limits) -> Result<$name, HeaderError> {
                let header = Self::NAME.label();
                let value = complete(header, number(text))?;
                <$type>::try_from(value)
                    .map($name)
                    .map_err(|_| HeaderError::Malformed { header, what: "the number is too great" })
            }

            fn write(&self, out: &mut Vec<u8>) {
                write_number(u32::from(self.0), out);
            }
        }
    )*};
}

numbers! {
    /// Max-Forwards (RFC 3261 §20.22): hops left, 0 to 255.
    MaxForwards(u8);
    /// Content-Length (RFC 3261 §20.14): octets of the body.
    ContentLength(u32);
    /// Expires (RFC 3261 §20.19) in seconds.
    Expires(u32);
    /// Min-Expires (RFC 3261 §20.23) in seconds.
    MinExpires(u32);
    /// Max-Breadth (RFC 5393 §5.3.3): branches that a request may have at a time.
    MaxBreadth(u32);
    /// Flow-Timer (RFC 5626 §11.1): seconds that a server waits for a keep-alive.
    FlowTimer(u32);
    /// Message-Expires (TS Appendix C.1.5): seconds that a Large Message Mode message stays of use.
    MessageExpires(u32);
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub(super) String);

        impl $name {
            /// Checks and keeps a text.
            ///
            /// # Errors
            /// The text holds a control character.
            pub fn new(text: &str) -> Result<$name, InvalidText> {
                check_text(text)?;
                Ok($name(text.trim_matches([' ', '\t']).to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, _: &Limits) -> Result<$name, HeaderError> {
                Ok($name(text.to_owned()))
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0.as_bytes());
            }
        }
    )*};
}

texts! {
    /// User-Agent (RFC 3261 §20.41).
    UserAgent;
    /// Server (RFC 3261 §20.35).
    Server;
    /// Subject (RFC 3261 §20.36).
    Subject;
    /// Organization (RFC 3261 §20.25).
    Organization;
    /// Message-Correlator (TS Appendix C.1.11): the identifier that a message has in SMS or MMS, as it was written.
    MessageCorrelator;
}

/// MIME-Version (RFC 3261 §20.24).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MimeVersion {
    /// Before the dot.
    pub major: u32,
    /// After the dot.
    pub minor: u32,
}

impl TypedHeader for MimeVersion {
    const NAME: HeaderName = HeaderName::MimeVersion;

    fn read(text: &str, _: &Limits) -> Result<MimeVersion, HeaderError> {
        let number = |part: &str| crate::grammar::parse_u32(part.as_bytes());
        let parts = text.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        let malformed = HeaderError::Malformed { header: "MIME-Version", what: "not two numbers and a dot" };
        parts.map(|(major, minor)| MimeVersion { major, minor }).ok_or(malformed)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{}.{}", self.major, self.minor).as_bytes());
    }
}

/// CSeq (RFC 3261 §20.16): the number of a request and its method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Less than 2^31.
    pub number: u32,
    /// The method of the request.
    pub method: Method,
}

impl CSeq {
    /// The greatest number (RFC 3261 §8.1.1.5).
    pub const MAX: u32 = 0x7fff_ffff;

    /// Both.
    #[must_use]
    pub const fn new(number: u32, method: Method) -> CSeq {
        CSeq { number, method }
    }
}

impl TypedHeader for CSeq {
    const NAME: HeaderName = HeaderName::CSeq;

    fn read(text: &str, limits: &Limits) -> Result<CSeq, HeaderError> {
        complete("CSeq", cseq(text, limits))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{} {}", self.number, self.method).as_bytes());
    }
}

fn cseq<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, CSeq> {
    let (rest, number) = number(input)?;
    if number > CSeq::MAX {
        return syntax("the number is too great");
    }
    let after = spaces(rest);
    if after.len() == rest.len() {
        return syntax("no space before the method");
    }
    let (rest, method) = bounded_token(after, limits)?;
    match Method::parse(method) {
        Ok(method) => Ok((rest, CSeq { number, method })),
        Err(_) => syntax("the method is no token"),
    }
}

/// Timestamp (RFC 3261 §20.38): when the client sent the request, by its own clock, and the delay of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp(String);

impl Timestamp {
    /// The text: digits with an optional fraction, and an optional delay of the same form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TypedHeader for Timestamp {
    const NAME: HeaderName = HeaderName::Timestamp;

    fn read(text: &str, limits: &Limits) -> Result<Timestamp, HeaderError> {
        let malformed = |what| HeaderError::Malformed { header: "Timestamp", what };
        let decimal = |part: &str| {
            let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
            let digits = |t: &str| t.bytes().all(|o| o.is_ascii_digit());
            digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        };
        limits
            .max_token(text.len())
            .map_err(|exceeded| HeaderError::Limit { header: "Timestamp", exceeded })?;
        let mut parts = text.split([' ', '\t']).filter(|part| !part.is_empty());
        let (time, delay, more) = (parts.next(), parts.next(), parts.next());
        let time = time.ok_or(malformed("no time"))?;
        // The time begins with a digit, the delay need not (RFC 3261 §25.1).
        if more.is_some() || time.starts_with('.') || !decimal(time) || !delay.is_none_or(decimal) {
            return Err(malformed("not a time and a delay"));
        }
        Ok(Timestamp(text.to_owned()))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

/// One Warning value (RFC 3261 §20.43).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    code: u16,
    agent: String,
    text: String,
}

impl Warning {
    /// A warning of `agent` (a host with an optional port, or a pseudonym).
    ///
    /// # Errors
    /// The code is not of three digits, the agent is neither, or the text holds a control character.
    pub fn new(code: u16, agent: &str, text: &str) -> Result<Warning, InvalidText> {
        if !(100..=999).contains(&code) {
            return Err(InvalidText::Form("a warning code has three digits"));
        }
        check_text(text)?;
        if agent.is_empty() || !agent.chars().all(is_agent_character) {
            return Err(InvalidText::Form("a warning agent is a host or a token"));
        }
        Ok(Warning { code, agent: agent.to_owned(), text: text.to_owned() })
    }

    /// 100 to 999.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// Who warns.
    #[must_use]
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The text for people.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn is_agent_character(c: char) -> bool {
    u8::try_from(c).is_ok_and(crate::grammar::is_plain_octet)
}

impl TypedHeader for Warning {
    const NAME: HeaderName = HeaderName::Warning;

    fn read(text: &str, _: &Limits) -> Result<Warning, HeaderError> {
        complete("Warning", warning(text))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{:03} {} ", self.code, self.agent).as_bytes());
        write_quoted(&self.text, out);
    }
}

fn warning(input: &str) -> Parsed<'_, Warning> {
    let (rest, digits) = take_while1(|c: char| c.is_ascii_digit()).parse(input)?;
    let Some(code) = (digits.len() == 3).then(|| digits.parse().ok()).flatten() else {
        return syntax("the code has not three digits");
    };
    let (rest, agent) = take_while(is_agent_character).parse(spaces(rest))?;
    if agent.is_empty() {
        return syntax("no agent");
    }
    let (rest, text) = quoted(spaces(rest))?;
    Ok((rest, Warning { code, agent: agent.to_owned(), text: text.into_owned() }))
}

/// Retry-After (RFC 3261 §20.33).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds to wait.
    pub seconds: u32,
    /// Seconds that the called side will be reachable then.
    pub duration: Option<u32>,
}

impl TypedHeader for RetryAfter {
    const NAME: HeaderName = HeaderName::RetryAfter;

    fn read(text: &str, limits: &Limits) -> Result<RetryAfter, HeaderError> {
        let (seconds, params) = complete("Retry-After", retry_after(text, limits))?;
        let duration = match params.get("duration") {
            None => None,
            Some(text) => Some(crate::grammar::parse_u32(text.as_bytes()).ok_or(HeaderError::Malformed {
                header: "Retry-After",
                what: "duration is no number of seconds",
            })?),
        };
        Ok(RetryAfter { seconds, duration })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{}", self.seconds).as_bytes());
        if let Some(duration) = self.duration {
            out.extend_from_slice(alloc::format!(";duration={duration}").as_bytes());
        }
    }
}

fn retry_after<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, (u32, Params)> {
    let (rest, seconds) = number(input)?;
    let mut rest = spaces(rest);
    if rest.starts_with('(') {
        (rest, _) = comment(rest, limits)?;
    }
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, (seconds, params)))
}

/// One Reason value (RFC 3326 §2): why a request was sent or a response was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonHeader {
    protocol: String,
    params: Params,
}

impl ReasonHeader {
    /// `protocol;cause=…;text="…"`. What a token cannot hold in the protocol becomes a dash.
    ///
    /// # Errors
    /// The text holds a control character.
    pub fn new(protocol: &str, cause: u16, text: Option<&str>) -> Result<ReasonHeader, InvalidText> {
        let mut params = Params::new();
        params.set_plain("cause", Some(alloc::format!("{cause}")));
        if let Some(text) = text {
            params.set_quoted("text", text)?;
        }
        let protocol = if is_token(protocol) { protocol.to_owned() } else { tokenised(protocol) };
        Ok(ReasonHeader { protocol, params })
    }

    /// `SIP`, `Q.850` or another protocol.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// The status or cause code.
    #[must_use]
    pub fn cause(&self) -> Option<u16> {
        self.params.get("cause")?.parse().ok()
    }

    /// The text for people.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.params.get("text")
    }

    /// All parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }
}

impl TypedHeader for ReasonHeader {
    const NAME: HeaderName = HeaderName::Reason;

    fn read(text: &str, limits: &Limits) -> Result<ReasonHeader, HeaderError> {
        complete("Reason", reason(text, limits))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.protocol.as_bytes());
        self.params.write(out);
    }
}

fn reason<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, ReasonHeader> {
    let (rest, protocol) = bounded_token(input, limits)?;
    if let Ok((_, ())) = separator('/')(rest) {
        return syntax("a protocol has no slash");
    }
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, ReasonHeader { protocol: protocol.to_owned(), params }))
}
