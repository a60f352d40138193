//! Heads: the start line and the fields of requests and responses (RFC 4975 §7, §9).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

use crate::uri::MsrpUri;
use crate::values::{ByteRange, FailureReport, Status, is_ident};

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

/// A head: start line and fields, octets kept as received.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    text: Bytes,
    /// Where the transaction id stands in the text: from, to.
    transaction_id: (usize, usize),
    start: StartLine,
    fields: Vec<Field>,
    known: [Option<u16>; KNOWN.len()],
    to_path: Arc<[MsrpUri]>,
    from_path: Arc<[MsrpUri]>,
    byte_range: Option<ByteRange>,
    failure_report: FailureReport,
    success_report: bool,
    status: Option<Status>,
    has_body: bool,
}

/// Where a field stands in the text: from, to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    name: (usize, usize),
    value: (usize, usize),
}

/// Paths as they were read last on a connection: most heads have the same.
#[derive(Debug, Default)]
pub(crate) struct PathCache {
    to: Option<(Box<str>, Arc<[MsrpUri]>)>,
    from: Option<(Box<str>, Arc<[MsrpUri]>)>,
}

/// URIs in a path (threats I7).
const MAX_PATH: usize = 8;

fn read_path(text: &str) -> Option<Arc<[MsrpUri]>> {
    let uris: Option<Vec<MsrpUri>> =
        text.split(' ').take(MAX_PATH.saturating_add(1)).map(|uri| MsrpUri::parse(uri).ok()).collect();
    uris.filter(|uris| uris.len() <= MAX_PATH).map(Arc::from)
}

fn cached(cache: &mut Option<(Box<str>, Arc<[MsrpUri]>)>, text: &str) -> Option<Arc<[MsrpUri]>> {
    if let Some((_, uris)) = cache.as_ref().filter(|(known, _)| &**known == text) {
        return Some(uris.clone());
    }
    let uris = read_path(text)?;
    *cache = Some((text.into(), uris.clone()));
    Some(uris)
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("transaction_id", &self.transaction_id())
            .field("start", &self.start)
            .field("to_path", &self.to_path)
            .field("from_path", &self.from_path)
            .field("byte_range", &self.byte_range)
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
        Head::parse_with(text, has_body, &mut PathCache::default())
    }

    pub(crate) fn parse_with(
        text: Bytes,
        has_body: bool,
        cache: &mut PathCache,
    ) -> Result<Head, Box<BadHead>> {
        let mut reading = Reading::new(&text);
        let error = match reading.head(&text, has_body, cache) {
            Ok(head) => return Ok(head),
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
        text_at(&self.text, self.transaction_id).unwrap_or_default()
    }

    pub(crate) fn shared_to_path(&self) -> &Arc<[MsrpUri]> {
        &self.to_path
    }

    pub(crate) fn shared_from_path(&self) -> &Arc<[MsrpUri]> {
        &self.from_path
    }

    fn known(&self, which: usize) -> Option<&str> {
        let field = self.fields.get(usize::from((*self.known.get(which)?)?))?;
        text_at(&self.text, field.value)
    }

    /// The status of a response.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self.start {
            StartLine::Response(status) => Some(status),
            StartLine::Request(_) => None,
        }
    }

    /// Use-Path of a response to AUTH (RFC 4976 §5.1), first hop first; `None` where it is missing or malformed.
    #[must_use]
    pub fn use_path(&self) -> Option<Vec<MsrpUri>> {
        self.field("Use-Path").and_then(read_path).map(|uris| uris.to_vec())
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
        &self.start
    }

    /// To-Path: at least one URI.
    #[must_use]
    pub fn to_path(&self) -> &[MsrpUri] {
        &self.to_path
    }

    /// From-Path: at least one URI.
    #[must_use]
    pub fn from_path(&self) -> &[MsrpUri] {
        &self.from_path
    }

    /// Message-ID.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.known(MESSAGE_ID)
    }

    /// Byte-Range, where it is there.
    #[must_use]
    pub fn byte_range(&self) -> Option<ByteRange> {
        self.byte_range
    }

    /// Failure-Report; `Yes` without it.
    #[must_use]
    pub fn failure_report(&self) -> FailureReport {
        self.failure_report
    }

    /// Whether Success-Report is `yes`.
    #[must_use]
    pub fn success_report(&self) -> bool {
        self.success_report
    }

    /// The code of the Status field of a REPORT, where its namespace is 000.
    #[must_use]
    pub fn report_status(&self) -> Option<Status> {
        self.status
    }

    /// Content-Type.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.known(CONTENT_TYPE)
    }

    /// Whether a body follows: an empty one is a body too.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.has_body
    }

    /// The value of the first field of this name (in any case), where it is UTF-8.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All fields in their order, unknown ones included: names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .filter_map(|field| Some((text_at(&self.text, field.name)?, text_at(&self.text, field.value)?)))
    }

    /// The octets as received, CRLF after each line.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.text.clone()
    }
}

fn text_at(text: &[u8], (from, to): (usize, usize)) -> Option<&str> {
    core::str::from_utf8(text.get(from..to)?).ok()
}

/// The place of a field among the known ones: their lengths tell most of them apart.
fn known_field(name: &[u8]) -> Option<usize> {
    let candidates: &[usize] = match name.len() {
        6 => &[STATUS],
        7 => &[TO_PATH],
        9 => &[FROM_PATH],
        10 => &[MESSAGE_ID, BYTE_RANGE],
        12 => &[CONTENT_TYPE],
        14 => &[SUCCESS_REPORT, FAILURE_REPORT],
        _ => &[],
    };
    let named = |which: &&usize| KNOWN.get(**which).is_some_and(|k| k.as_bytes().eq_ignore_ascii_case(name));
    candidates.iter().find(named).copied()
}

/// A head being read: what was found before the first fault is kept, to answer with.
struct Reading {
    transaction_id: (usize, usize),
    start: Option<StartLine>,
    fields: Vec<Field>,
    /// Where the known fields are among them; where one of them stands twice.
    known: [Option<u16>; KNOWN.len()],
    repeated: Option<usize>,
    fault: Option<HeadError>,
}

impl Reading {
    fn new(text: &[u8]) -> Reading {
        let mut reading = Reading {
            transaction_id: (0, 0),
            start: None,
            fields: Vec::with_capacity(8),
            known: [None; KNOWN.len()],
            repeated: None,
            fault: None,
        };
        let mut from = 0usize;
        while from < text.len() {
            let rest = text.get(from..).unwrap_or_default();
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1));
            let line = rest.get(..length).unwrap_or_default();
            let to = from.saturating_add(length);
            match line.strip_suffix(b"\r\n") {
                Some(line) if reading.start.is_none() && from == 0 => reading.start_line(line),
                Some(line) => reading.field_line(text, from, line),
                None => reading.note(HeadError::Line),
            }
            from = to;
        }
        reading
    }

    fn note(&mut self, fault: HeadError) {
        self.fault.get_or_insert(fault);
    }

    /// `MSRP <transaction> <method>` or `MSRP <transaction> <code>[ <comment>]`
    fn start_line(&mut self, line: &[u8]) {
        let Ok(line) = core::str::from_utf8(line) else { return self.note(HeadError::StartLine) };
        let mut words = line.splitn(4, ' ');
        let (Some("MSRP"), Some(transaction), Some(word)) = (words.next(), words.next(), words.next()) else {
            return self.note(HeadError::StartLine);
        };
        self.transaction_id = (5, transaction.len().saturating_add(5));
        self.start = match (Status::read(word), Method::read(word), words.next()) {
            (Some(status), ..) => Some(StartLine::Response(status)),
            (None, Some(method), None) => Some(StartLine::Request(method)),
            _ => None,
        };
        if self.start.is_none() || !is_ident(transaction.as_bytes()) {
            self.note(HeadError::StartLine);
        }
    }

    fn field_line(&mut self, text: &[u8], from: usize, line: &[u8]) {
        let bad = line.iter().any(|b| b.is_ascii_control() && *b != b'\t');
        if bad || !(line.is_ascii() || core::str::from_utf8(line).is_ok()) {
            return self.note(HeadError::Line);
        }
        // MIME fields may be folded (RFC 2045 by way of RFC 4975 §9): the line belongs to the field before it.
        if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            let mime = |field: &Field| {
                text_at(text, field.name)
                    .and_then(|n| n.get(..8))
                    .is_some_and(|n| n.eq_ignore_ascii_case("content-"))
            };
            match self.fields.last_mut() {
                Some(field) if mime(field) => field.value.1 = from.saturating_add(line.len()),
                _ => self.note(HeadError::Line),
            }
            return;
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { return self.note(HeadError::Line) };
        let (name, value) = line.split_at(colon);
        let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(b);
        if name.is_empty() || !name.iter().all(token) {
            return self.note(HeadError::Line);
        }
        let value = value.get(1..).unwrap_or_default();
        let before = value.len().saturating_sub(value.trim_ascii_start().len());
        let value_from = from.saturating_add(colon).saturating_add(1).saturating_add(before);
        let value_to = value_from.saturating_add(value.trim_ascii().len());
        if let Some(which) = known_field(name)
            && let Some(place) = self.known.get_mut(which)
        {
            if place.is_some() {
                self.repeated = self.repeated.or(Some(which));
            } else {
                *place = u16::try_from(self.fields.len()).ok();
            }
        }
        self.fields.push(Field { name: (from, from.saturating_add(colon)), value: (value_from, value_to) });
    }

    /// The value of a known field.
    fn value<'a>(&self, text: &'a [u8], which: usize) -> Option<&'a str> {
        let field = self.fields.get(usize::from((*self.known.get(which)?)?))?;
        text_at(text, field.value)
    }

    fn head(&mut self, text: &Bytes, has_body: bool, cache: &mut PathCache) -> Result<Head, HeadError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let start = self.start.clone().ok_or(HeadError::StartLine)?;
        if let Some(name) = self.repeated.and_then(|which| KNOWN.get(which)) {
            return Err(HeadError::Repeated(name));
        }
        let success_report = match self.value(text, SUCCESS_REPORT) {
            Some(value) if value.eq_ignore_ascii_case("yes") => true,
            Some(value) if !value.eq_ignore_ascii_case("no") => {
                return Err(HeadError::Value("Success-Report"));
            }
            _ => false,
        };
        let byte_range = match self.value(text, BYTE_RANGE) {
            Some(range) => Some(ByteRange::parse(range).ok_or(HeadError::Value("Byte-Range"))?),
            None => None,
        };
        let failure_report = match self.value(text, FAILURE_REPORT) {
            Some(report) => FailureReport::read(report).ok_or(HeadError::Value("Failure-Report"))?,
            None => FailureReport::Yes,
        };
        if self.value(text, MESSAGE_ID).is_some_and(|id| id.is_empty() || id.contains(' ')) {
            return Err(HeadError::Value("Message-ID"));
        }
        let to_path = self.value(text, TO_PATH).ok_or(HeadError::Missing("To-Path"))?;
        let to_path = cached(&mut cache.to, to_path).ok_or(HeadError::Value("To-Path"))?;
        let from_path = self.value(text, FROM_PATH).ok_or(HeadError::Missing("From-Path"))?;
        let from_path = cached(&mut cache.from, from_path).ok_or(HeadError::Value("From-Path"))?;
        let head = Head {
            transaction_id: self.transaction_id,
            to_path,
            from_path,
            byte_range,
            failure_report,
            success_report,
            status: report_status(self.value(text, STATUS))?,
            has_body,
            fields: self.fields.clone(),
            known: self.known,
            text: text.clone(),
            start,
        };
        head.complete()
    }

    /// Where a 400 goes to (RFC 4975 §7.2: the first URI of From-Path), as far as the head lets itself be read.
    fn answer(&self, text: &[u8]) -> Option<(MsrpUri, MsrpUri)> {
        let silent = match &self.start {
            Some(StartLine::Request(method)) => *method == Method::Report,
            Some(StartLine::Response(_)) => true,
            None => false,
        };
        let no = self.value(text, FAILURE_REPORT).is_some_and(|v| v.eq_ignore_ascii_case("no"));
        let id = text_at(text, self.transaction_id).unwrap_or_default();
        if silent || no || !is_ident(id.as_bytes()) {
            return None;
        }
        let twice = |which| self.repeated == Some(which);
        if twice(TO_PATH) || twice(FROM_PATH) {
            return None;
        }
        let (to, from) = (read_path(self.value(text, TO_PATH)?)?, read_path(self.value(text, FROM_PATH)?)?);
        Some((from.first()?.clone(), to.last()?.clone()))
    }
}

impl Head {
    /// What each kind of message has to hold.
    fn complete(self) -> Result<Head, HeadError> {
        match &self.start {
            StartLine::Request(Method::Send) if self.has_body => {
                if self.message_id().is_none() {
                    return Err(HeadError::Missing("Message-ID"));
                }
                let content_type = self.content_type().ok_or(HeadError::Missing("Content-Type"))?;
                if !is_media_type(content_type) {
                    return Err(HeadError::Value("Content-Type"));
                }
            }
            StartLine::Request(Method::Report) => {
                if self.message_id().is_none() {
                    return Err(HeadError::Missing("Message-ID"));
                }
                if self.known(STATUS).is_none() {
                    return Err(HeadError::Missing("Status"));
                }
            }
            _ => {}
        }
        Ok(self)
    }
}

/// `namespace SP status-code [SP comment]`; a code of another namespace than 000 means nothing to us.
fn report_status(value: Option<&str>) -> Result<Option<Status>, HeadError> {
    let Some(value) = value else { return Ok(None) };
    let mut words = value.splitn(3, ' ');
    let namespace = words.next().filter(|n| n.len() == 3 && n.bytes().all(|b| b.is_ascii_digit()));
    let (Some(namespace), Some(code)) = (namespace, words.next().and_then(Status::read)) else {
        return Err(HeadError::Value("Status"));
    };
    Ok((namespace == "000").then_some(code))
}

/// Whether a text is `type/subtype` with parameters or without.
pub(crate) fn is_media_type(text: &str) -> bool {
    let token = |s: &str| {
        !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or_default().trim_ascii();
    let clean = text.chars().all(|c| !c.is_control() || c == '\t' || c == '\r' || c == '\n');
    clean && essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}
