//! Heads: the start line and the fields of requests and responses (RFC 4975 §7, §9).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

mod cache;
mod reading;

use crate::uri::MsrpUri;
use crate::values::{ByteRange, FailureReport, Status};
pub(crate) use cache::HeadCache;
pub(crate) use reading::is_media_type;
use reading::{Field, Reading};

/// A request's method.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// SEND.
    Send,
    /// REPORT.
    Report,
    /// AUTH (RFC 4976).
    Auth,
    /// NICKNAME (RFC 7701).
    Nickname,
    /// Any other.
    Other(String),
}

impl Method {
    fn read(text: &str) -> Option<Method> {
        match text {
            "SEND" => Some(Method::Send),
            "REPORT" => Some(Method::Report),
            "AUTH" => Some(Method::Auth),
            "NICKNAME" => Some(Method::Nickname),
            "" => None,
            other => other.bytes().all(|b| b.is_ascii_uppercase()).then(|| Method::Other(other.to_string())),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Send => "SEND",
            Method::Report => "REPORT",
            Method::Auth => "AUTH",
            Method::Nickname => "NICKNAME",
            Method::Other(name) => name,
        })
    }
}

/// What a start line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartLine {
    /// A request.
    Request(Method),
    /// A response.
    Response(Status),
}

/// What is wrong with a head whose framing is sound: the request deserves 400, the next message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The start line names neither a method in capitals nor a status of three digits.
    StartLine,
    /// A line is no field (name, colon, value) or holds a control character.
    Line,
    /// A field that may stand once stands twice.
    Repeated(&'static str),
    /// A field that has to be there is not.
    Missing(&'static str),
    /// A field does not follow its grammar.
    Value(&'static str),
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::StartLine => f.write_str("the start line is neither of a request nor of a response"),
            HeadError::Line => f.write_str("a line of the head is no field"),
            HeadError::Repeated(name) => write!(f, "{name} stands twice"),
            HeadError::Missing(name) => write!(f, "{name} is missing"),
            HeadError::Value(name) => write!(f, "{name} does not follow its grammar"),
        }
    }
}

impl core::error::Error for HeadError {}

/// A head that cannot be understood, and what is needed to answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadHead {
    /// What is wrong.
    pub error: HeadError,
    /// The transaction.
    pub transaction_id: String,
    /// To-Path and From-Path of a 400; `None` when no answer is due: to responses, to REPORTs, where Failure-Report
    /// says `no`, and where the paths cannot be read.
    pub answer: Option<(MsrpUri, MsrpUri)>,
}

/// A head: start line and fields, octets as received.
///
/// The octets are a slice of what was read: whoever keeps a head for long keeps [`Head::detached`].
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    text: Bytes,
    /// What the text says; heads that differ in their transaction and Message-ID alone may share it.
    said: Arc<Said>,
}

/// What a head says, and where.
#[derive(PartialEq, Eq)]
struct Said {
    places: Places,
    byte_range: Option<ByteRange>,
    common: Arc<Common>,
}

/// Where in the text things stand.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Places {
    transaction_id: Span,
    /// The values of the known fields. A field that is not there stands at the very beginning.
    known: [Span; KNOWN.len()],
}

/// What many heads have in common.
#[derive(PartialEq, Eq)]
struct Common {
    start: StartLine,
    paths: Arc<Paths>,
    failure_report: FailureReport,
    success_report: bool,
    status: Option<Status>,
    has_body: bool,
}

/// To-Path and From-Path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) to: Vec<MsrpUri>,
    pub(crate) from: Vec<MsrpUri>,
    /// Those of the response to a SEND that has these, as written.
    pub(crate) back: String,
}

impl Paths {
    pub(crate) fn new(to: Vec<MsrpUri>, from: Vec<MsrpUri>) -> Paths {
        Paths { to, from, back: String::new() }
    }
}

/// From, to.
type Span = (u32, u32);

fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// URIs in a path (threats I7).
const MAX_PATH: usize = 8;

fn read_path(text: &str) -> Option<Vec<MsrpUri>> {
    let uris: Option<Vec<MsrpUri>> =
        text.split(' ').take(MAX_PATH.saturating_add(1)).map(|uri| MsrpUri::parse(uri).ok()).collect();
    let mut uris = uris.filter(|uris| uris.len() <= MAX_PATH)?;
    // They are kept as long as the connection.
    uris.shrink_to_fit();
    Some(uris)
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("transaction_id", &self.transaction_id())
            .field("start", self.start())
            .field("to_path", &self.to_path())
            .field("from_path", &self.from_path())
            .field("byte_range", &self.said.byte_range)
            .finish_non_exhaustive()
    }
}

/// The fields that may stand once, and their places in [`Head::known`].
const KNOWN: [&str; 8] = [
    "To-Path",
    "From-Path",
    "Message-ID",
    "Byte-Range",
    "Success-Report",
    "Failure-Report",
    "Status",
    "Content-Type",
];
const TO_PATH: usize = 0;
const FROM_PATH: usize = 1;
const MESSAGE_ID: usize = 2;
const BYTE_RANGE: usize = 3;
const SUCCESS_REPORT: usize = 4;
const FAILURE_REPORT: usize = 5;
const STATUS: usize = 6;
const CONTENT_TYPE: usize = 7;

impl Head {
    /// Reads a head: the start line and the field lines, each with its CRLF; without the empty line before a body.
    ///
    /// # Errors
    /// See [`BadHead`].
    pub fn parse(text: Bytes, has_body: bool) -> Result<Head, Box<BadHead>> {
        Head::parse_with(text, has_body, &mut HeadCache::default())
    }

    pub(crate) fn parse_with(
        text: Bytes,
        has_body: bool,
        cache: &mut HeadCache,
    ) -> Result<Head, Box<BadHead>> {
        let reading = Reading::new(&text, cache);
        let error = match reading.parsed(&text, has_body, cache) {
            Ok((places, byte_range, common)) => {
                let head =
                    Head { text, said: Arc::new(Said { places, byte_range, common: Arc::new(common) }) };
                cache.remember(&head);
                return Ok(head);
            }
            Err(error) => error,
        };
        Err(Box::new(BadHead {
            error,
            transaction_id: text_at(&text, reading.transaction_id).unwrap_or_default().to_string(),
            answer: reading.answer(&text),
        }))
    }

    /// The transaction.
    #[must_use]
    pub fn transaction_id(&self) -> &str {
        text_at(&self.text, self.said.places.transaction_id).unwrap_or_default()
    }

    /// The same, with octets of its own: it keeps no more of what was read.
    #[must_use]
    pub fn detached(self) -> Head {
        Head { text: Bytes::copy_from_slice(&self.text), ..self }
    }

    /// The transaction as octets.
    pub(crate) fn transaction(&self) -> &[u8] {
        octets_at(&self.text, self.said.places.transaction_id).unwrap_or_default()
    }

    /// Message-ID as octets.
    pub(crate) fn message_id_octets(&self) -> Option<&[u8]> {
        let place = self.said.places.known.get(MESSAGE_ID).filter(|(_, to)| *to > 0)?;
        octets_at(&self.text, *place)
    }

    pub(crate) fn paths(&self) -> &Arc<Paths> {
        &self.said.common.paths
    }

    fn known(&self, which: usize) -> Option<&str> {
        let place = self.said.places.known.get(which).filter(|(_, to)| *to > 0)?;
        text_at(&self.text, *place)
    }

    /// The status of a response.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self.said.common.start {
            StartLine::Response(status) => Some(status),
            StartLine::Request(_) => None,
        }
    }

    /// Use-Path of a response to AUTH (RFC 4976 §5.1), first hop first; `None` where it is missing or malformed.
    #[must_use]
    pub fn use_path(&self) -> Option<Vec<MsrpUri>> {
        self.field("Use-Path").and_then(read_path)
    }

    /// Expires, Min-Expires or Max-Expires (RFC 4976 §8): whole seconds.
    #[must_use]
    pub fn seconds(&self, name: &str) -> Option<u64> {
        let digits = self.field(name)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    }

    /// Use-Nickname, without its quotes (RFC 7701 §7.1); `None` where it is missing or no quoted text of one line.
    #[must_use]
    pub fn use_nickname(&self) -> Option<String> {
        let quoted = self.field("Use-Nickname")?.strip_prefix('"')?.strip_suffix('"')?;
        let (mut name, mut escaped) = (String::with_capacity(quoted.len()), false);
        for c in quoted.chars() {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => return None,
                c => {
                    name.push(c);
                    escaped = false;
                }
            }
        }
        (!escaped).then_some(name)
    }

    /// What the start line says.
    #[must_use]
    pub fn start(&self) -> &StartLine {
        &self.said.common.start
    }

    /// To-Path: at least one URI.
    #[must_use]
    pub fn to_path(&self) -> &[MsrpUri] {
        &self.said.common.paths.to
    }

    /// From-Path: at least one URI.
    #[must_use]
    pub fn from_path(&self) -> &[MsrpUri] {
        &self.said.common.paths.from
    }

    /// Message-ID.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.known(MESSAGE_ID)
    }

    /// Byte-Range, where it is there.
    #[must_use]
    pub fn byte_range(&self) -> Option<ByteRange> {
        self.said.byte_range
    }

    /// Failure-Report; `Yes` without it.
    #[must_use]
    pub fn failure_report(&self) -> FailureReport {
        self.said.common.failure_report
    }

    /// Whether Success-Report is `yes`.
    #[must_use]
    pub fn success_report(&self) -> bool {
        self.said.common.success_report
    }

    /// The code of the Status field of a REPORT, where its namespace is 000.
    #[must_use]
    pub fn report_status(&self) -> Option<Status> {
        self.said.common.status
    }

    /// Content-Type.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.known(CONTENT_TYPE)
    }

    /// Whether a body follows: an empty one is a body too.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.said.common.has_body
    }

    /// The value of the first field of this name (in any case), where it is UTF-8.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All fields in their order, unknown ones included: names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let text: &[u8] = &self.text;
        let mut from = line_at(text, 0).map_or(text.len(), |(_, next)| next);
        core::iter::from_fn(move || {
            let (line, mut next) = line_at(text, from)?;
            let mut field = Field::read(line, from)?;
            // Lines that belong to the one before.
            while let Some((more, behind)) = line_at(text, next).filter(|(more, _)| is_folded(more)) {
                field.value.1 = narrow(next.saturating_add(more.len()));
                next = behind;
            }
            from = next;
            Some((text_at(text, field.name)?, text_at(text, field.value)?))
        })
    }

    /// The octets as received, CRLF after each line.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.text.clone()
    }
}

fn text_at(text: &[u8], (from, to): Span) -> Option<&str> {
    core::str::from_utf8(octets_at(text, (from, to))?).ok()
}

fn octets_at(text: &[u8], (from, to): Span) -> Option<&[u8]> {
    text.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
}

/// The line that begins at `from`, without its CRLF, and where the next one begins; `None` where there is none.
fn line_at(text: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(from..)?;
    let length = memchr::memchr(b'\n', rest)?;
    let line = rest.get(..length)?.strip_suffix(b"\r")?;
    Some((line, from.saturating_add(length).saturating_add(1)))
}

/// Whether a line belongs to the field before it.
fn is_folded(line: &[u8]) -> bool {
    line.first().is_some_and(|b| matches!(b, b' ' | b'\t'))
}
