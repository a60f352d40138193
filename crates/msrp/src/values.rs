//! Values of head fields: Byte-Range, status codes, continuation flags, Failure-Report (RFC 4975 §9, §10).

use alloc::string::ToString;
use alloc::sync::Arc;
use core::fmt;
use nom::Parser;
use nom::combinator::all_consuming;

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
        let (range, length) = Self::read(text.as_bytes())?;
        (length == text.len()).then_some(range)
    }

    /// The range that these octets begin with, and how long its text is.
    pub(crate) fn read(octets: &[u8]) -> Option<(Self, usize)> {
        let (start, rest) = number(octets)?;
        let (end, rest) = optional_number(rest.strip_prefix(b"-")?)?;
        let (total, rest) = optional_number(rest.strip_prefix(b"/")?)?;
        let range = ByteRange { start, end, total };
        range.is_sound().then(|| (range, octets.len().saturating_sub(rest.len())))
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

/// The digits that these octets begin with, at least one, and what stands behind them; `None` when they do not fit.
fn number(octets: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = octets;
    let mut n = 0u64;
    while let Some((digit, behind)) = rest.split_first().filter(|(b, _)| b.is_ascii_digit()) {
        n = n.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))?;
        rest = behind;
    }
    (rest.len() < octets.len()).then_some((n, rest))
}

/// Likewise, or `*`.
fn optional_number(octets: &[u8]) -> Option<(Option<u64>, &[u8])> {
    match octets.strip_prefix(b"*") {
        Some(rest) => Some((None, rest)),
        None => number(octets).map(|(n, rest)| (Some(n), rest)),
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

/// The transaction id of a request of ours: 4 letters say where it is kept, and 13 letters hold 64 random bits, as many
/// as RFC 4975 §7.1 asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tid([u8; Tid::LENGTH]);

/// 32 letters: 5 bits each.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn letter(bits: u64) -> u8 {
    usize::try_from(bits & 31).ok().and_then(|at| LETTERS.get(at)).copied().unwrap_or(b'a')
}

impl Tid {
    const RANDOM: usize = 13;
    pub(crate) const LENGTH: usize = Tid::RANDOM + 4;
    /// Of those that are kept nowhere.
    pub(crate) const NOWHERE: u32 = (1 << 20) - 1;

    pub(crate) fn new(random: u64, place: u32) -> Tid {
        let mut id = [b'a'; Tid::LENGTH];
        let (random_part, place_part) = id.split_at_mut(Tid::RANDOM);
        let mut bits = random;
        for octet in random_part {
            *octet = letter(bits);
            bits >>= 5;
        }
        let mut bits = u64::from(place);
        for octet in place_part {
            *octet = letter(bits);
            bits >>= 5;
        }
        Tid(id)
    }

    /// That of a response, when it can be one of ours.
    pub(crate) fn read(text: &[u8]) -> Option<Tid> {
        text.try_into().ok().map(Tid)
    }

    /// Where it is kept, if it is one of ours.
    pub(crate) fn place(&self) -> Option<usize> {
        let value = |b: &u8| match b {
            b'a'..=b'z' => Some(b.wrapping_sub(b'a')),
            b'2'..=b'7' => Some(b.wrapping_sub(b'2').wrapping_add(26)),
            _ => None,
        };
        let letters = self.0.get(Tid::RANDOM..).unwrap_or_default();
        letters.iter().rev().try_fold(0usize, |place, b| Some((place << 5) | usize::from(value(b)?)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A Message-ID: mostly one that fits where it stands.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Word {
    Short(u8, [u8; 32]),
    Long(Arc<str>),
}

impl Word {
    pub(crate) fn new(text: &str) -> Word {
        let mut octets = [0; 32];
        match (octets.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Word::Short(length, octets)
            }
            _ => Word::Long(text.into()),
        }
    }

    /// 32 letters: 160 random bits, 60 of each number and the last 40 of the third.
    pub(crate) fn random(random: [u64; 3]) -> Word {
        let mut octets = [b'a'; 32];
        for (part, random) in octets.chunks_mut(12).zip(random) {
            let mut bits = random;
            for octet in part {
                *octet = letter(bits);
                bits >>= 5;
            }
        }
        Word::Short(32, octets)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Word::Short(length, octets) => octets.get(..usize::from(*length)).unwrap_or_default(),
            Word::Long(text) => text.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
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
