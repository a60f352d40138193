//! Values of head fields: Byte-Range, status codes, continuation flags, Failure-Report (RFC 4975 §9, §10).

use alloc::string::ToString;
use core::cmp::Ordering;
use core::fmt;
use nom::Parser;
use nom::branch::alt;
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, value};

/// The whole text by this grammar, or nothing.
pub(crate) fn whole<'a, T>(
    grammar: impl Parser<&'a str, Output = T, Error = nom::error::Error<&'a str>>,
    text: &'a str,
) -> Option<T> {
    all_consuming(grammar).parse(text).ok().map(|(_, value)| value)
}

/// Which octets of a message a chunk holds: `Byte-Range: start-end/total`. Octets count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The position of the first octet, at least 1.
    pub start: u64,
    /// The position of the last octet, at least `start - 1` (then the chunk is empty); `None` for `*`.
    pub end: Option<u64>,
    /// Octets of the whole message; `None` for `*`.
    pub total: Option<u64>,
}

/// What holds of a SEND without Byte-Range: it starts the message, nothing else is known (RFC 4975 §7.3.1).
impl Default for ByteRange {
    fn default() -> Self {
        ByteRange { start: 1, end: None, total: None }
    }
}

impl ByteRange {
    /// Reads a Byte-Range; `None` when it does not follow the grammar, does not fit 64 bits, starts before 1, ends
    /// before it starts or ends behind the total.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = || alt((digit1.map(Some), value(None, char('*'))));
        let (start, _, end, _, total) = whole((digit1, char('-'), number(), char('/'), number()), text)?;
        let optional = |digits: Option<&str>| match digits {
            Some(digits) => digits.parse().ok().map(Some),
            None => Some(None),
        };
        let range = ByteRange { start: start.parse().ok()?, end: optional(end)?, total: optional(total)? };
        range.is_sound().then_some(range)
    }

    fn is_sound(&self) -> bool {
        let Some(before) = self.start.checked_sub(1) else { return false };
        let end = self.end.unwrap_or(before);
        end >= before && self.total.is_none_or(|total| end <= total)
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = |n: Option<u64>| n.map_or_else(|| "*".to_string(), |n| n.to_string());
        write!(f, "{}-{}/{}", self.start, star(self.end), star(self.total))
    }
}

/// The last character of an end-line: what follows this chunk (RFC 4975 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContinuationFlag {
    /// `+`: more of this message.
    More,
    /// `$`: nothing, the message ends here.
    End,
    /// `#`: nothing, the sender gave the message up.
    Abort,
}

impl ContinuationFlag {
    /// As the end-line writes it.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            ContinuationFlag::More => b'+',
            ContinuationFlag::End => b'$',
            ContinuationFlag::Abort => b'#',
        }
    }

    pub(crate) const fn read(octet: u8) -> Option<Self> {
        match octet {
            b'+' => Some(ContinuationFlag::More),
            b'$' => Some(ContinuationFlag::End),
            b'#' => Some(ContinuationFlag::Abort),
            _ => None,
        }
    }
}

/// Which responses the sender of a request wants (RFC 4975 §5.3). Without the field it is `Yes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailureReport {
    /// All.
    #[default]
    Yes,
    /// None.
    No,
    /// Only those that say no.
    Partial,
}

impl FailureReport {
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "yes" => Some(FailureReport::Yes),
            "no" => Some(FailureReport::No),
            "partial" => Some(FailureReport::Partial),
            _ => None,
        }
    }

    /// Whether a response with this status may be sent (RFC 4975 §7.1.4, §7.2).
    #[must_use]
    pub const fn wants(self, status: Status) -> bool {
        match self {
            FailureReport::Yes => true,
            FailureReport::No => false,
            FailureReport::Partial => !status.is_success(),
        }
    }
}

/// A status code: three digits (RFC 4975 §10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

impl Status {
    /// The request did its work.
    pub const OK: Status = Status(200);
    /// The request was unintelligible.
    pub const BAD_REQUEST: Status = Status(400);
    /// The action is not allowed.
    pub const FORBIDDEN: Status = Status(403);
    /// A transaction farther on did not end in time.
    pub const TIMEOUT: Status = Status(408);
    /// The receiver wants no more of this message.
    pub const STOP: Status = Status(413);
    /// The receiver does not understand this media type.
    pub const UNSUPPORTED_MEDIA: Status = Status(415);
    /// A parameter is out of bounds.
    pub const OUT_OF_BOUNDS: Status = Status(423);
    /// The relay wants to know who asks (RFC 4976 §5.1).
    pub const UNAUTHORIZED: Status = Status(401);
    /// The nickname is malformed (RFC 7701 §7.2).
    pub const BAD_NICKNAME: Status = Status(424);
    /// The nickname is taken (RFC 7701 §7.2).
    pub const NICKNAME_RESERVED: Status = Status(425);
    /// The chat room carries no private messages (RFC 7701 §6.2).
    pub const NO_PRIVATE_MESSAGES: Status = Status(428);
    /// What the request is for is not there (RFC 7701 §6.2).
    pub const NOT_FOUND: Status = Status(404);
    /// There is no such session.
    pub const NO_SESSION: Status = Status(481);
    /// The method is unknown.
    pub const UNKNOWN_METHOD: Status = Status(501);
    /// The session is bound to another connection.
    pub const SESSION_IN_USE: Status = Status(506);

    /// A code of three digits, 100 to 999.
    #[must_use]
    pub const fn new(code: u16) -> Option<Status> {
        if code >= 100 && code <= 999 { Some(Status(code)) } else { None }
    }

    pub(crate) fn read(text: &str) -> Option<Status> {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse().ok().and_then(Status::new) } else { None }
    }

    /// The code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// 200 to 299.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >= 200 && self.0 <= 299
    }

    /// The comment that we write behind the code.
    #[must_use]
    pub const fn comment(self) -> &'static str {
        match self.0 {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            408 => "Timeout",
            413 => "Stop Sending",
            415 => "Unsupported Media Type",
            423 => "Out of Bounds",
            424 => "Malformed Nickname",
            425 => "Nickname Reserved",
            428 => "Private Messages Not Supported",
            481 => "No Such Session",
            501 => "Unknown Method",
            506 => "Session In Use",
            _ => "",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.comment() {
            "" => write!(f, "{:03}", self.0),
            comment => write!(f, "{:03} {comment}", self.0),
        }
    }
}

/// The transaction id of a request of ours: 16 letters out of 32, 80 random bits (RFC 4975 §7.1 asks for 64).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tid([u8; Tid::LENGTH]);

/// That of the letters, as one number.
impl Ord for Tid {
    fn cmp(&self, other: &Tid) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Tid {
    fn partial_cmp(&self, other: &Tid) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Tid {
    pub(crate) const LENGTH: usize = 16;

    pub(crate) fn new(high: u64, low: u64) -> Tid {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let bits = (u128::from(high) << 64) | u128::from(low);
        let mut id = [b'a'; Tid::LENGTH];
        for (place, shift) in id.iter_mut().zip((0u32..80).step_by(5)) {
            let index = usize::try_from((bits >> shift) & 31).unwrap_or(0);
            *place = LETTERS.get(index).copied().unwrap_or(b'a');
        }
        Tid(id)
    }

    /// That of a response, when it can be one of ours.
    pub(crate) fn read(text: &str) -> Option<Tid> {
        text.as_bytes().try_into().ok().map(Tid)
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Whether a text is an `ident`: 4 to 32 letters, digits and `.-+%=`, the first a letter or digit (RFC 4975 §9).
pub(crate) fn is_ident(text: &[u8]) -> bool {
    // Without a branch for each octet: this is asked of every start line.
    let within = |b: u8, from: u8, count: u8| b.wrapping_sub(from) < count;
    let letter = |b: u8| within(b | 0x20, b'a', 26);
    let digit_or_sign =
        |b: u8| within(b, b'0', 10) | (b == b'.') | (b == b'-') | (b == b'+') | (b == b'%') | (b == b'=');
    let rest_ok = text.iter().fold(true, |ok, b| ok & (letter(*b) | digit_or_sign(*b)));
    (4..=32).contains(&text.len()) && rest_ok && text.first().is_some_and(u8::is_ascii_alphanumeric)
}
