//! Heads: the start line and the fields of requests and responses (RFC 4975 §7, §9).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
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
    /// Any other.
    Other(String),
}

impl Method {
    fn read(text: &str) -> Option<Method> {
        match text {
            "SEND" => Some(Method::Send),
            "REPORT" => Some(Method::Report),
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
    transaction_id: String,
    start: StartLine,
    fields: Vec<Field>,
    to_path: Vec<MsrpUri>,
    from_path: Vec<MsrpUri>,
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

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("transaction_id", &self.transaction_id)
            .field("start", &self.start)
            .field("to_path", &self.to_path)
            .field("from_path", &self.from_path)
            .field("byte_range", &self.byte_range)
            .finish_non_exhaustive()
    }
}

/// The fields that may stand once.
const SINGLE: [&str; 8] = [
    "To-Path",
    "From-Path",
    "Message-ID",
    "Byte-Range",
    "Success-Report",
    "Failure-Report",
    "Status",
    "Content-Type",
];

impl Head {
    /// Reads a head: the start line and the field lines, each with its CRLF; without the empty line before a body.
    ///
    /// # Errors
    /// See [`BadHead`].
    pub fn parse(text: Bytes, has_body: bool) -> Result<Head, Box<BadHead>> {
        let reading = Reading::new(&text);
        let error = match reading.head(&text, has_body) {
            Ok(head) => return Ok(head),
            Err(error) => error,
        };
        Err(Box::new(BadHead {
            error,
            transaction_id: reading.transaction_id.clone(),
            answer: reading.answer(&text),
        }))
    }

    /// The transaction.
    #[must_use]
    pub fn transaction_id(&self) -> &str {
        &self.transaction_id
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
        self.field("Message-ID")
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
        self.field("Content-Type")
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

/// A head being read: what was found before the first fault is kept, to answer with.
struct Reading {
    transaction_id: String,
    start: Option<StartLine>,
    fields: Vec<Field>,
    fault: Option<HeadError>,
}

impl Reading {
    fn new(text: &[u8]) -> Reading {
        let mut reading =
            Reading { transaction_id: String::new(), start: None, fields: Vec::new(), fault: None };
        let mut from = 0usize;
        for line in text.split_inclusive(|b| *b == b'\n') {
            let to = from.saturating_add(line.len());
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
        self.transaction_id = transaction.to_string();
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
        let bad = line.iter().any(|b| (b.is_ascii_control() && *b != b'\t') || *b == 0x7f);
        if bad || core::str::from_utf8(line).is_err() {
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
        self.fields.push(Field { name: (from, from.saturating_add(colon)), value: (value_from, value_to) });
    }

    /// The value of a field that may stand once.
    fn single<'a>(&self, text: &'a [u8], name: &'static str) -> Result<Option<&'a str>, HeadError> {
        let named = |field: &&Field| text_at(text, field.name).is_some_and(|n| n.eq_ignore_ascii_case(name));
        let mut values = self.fields.iter().filter(named).map(|field| text_at(text, field.value));
        let first = values.next().flatten();
        if values.next().is_some() { Err(HeadError::Repeated(name)) } else { Ok(first) }
    }

    fn path(&self, text: &[u8], name: &'static str) -> Result<Vec<MsrpUri>, HeadError> {
        let value = self.single(text, name)?.ok_or(HeadError::Missing(name))?;
        let uris: Result<Vec<MsrpUri>, _> = value.split(' ').map(MsrpUri::parse).collect();
        uris.map_err(|_| HeadError::Value(name))
    }

    fn head(&self, text: &Bytes, has_body: bool) -> Result<Head, HeadError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let start = self.start.clone().ok_or(HeadError::StartLine)?;
        for name in SINGLE {
            self.single(text, name)?;
        }
        let value = |name| self.single(text, name);
        let yes_or_no = |name| match value(name)?.map(str::to_ascii_lowercase).as_deref() {
            Some("yes") => Ok(true),
            Some("no") | None => Ok(false),
            Some(_) => Err(HeadError::Value(name)),
        };
        let byte_range = match value("Byte-Range")? {
            Some(range) => Some(ByteRange::parse(range).ok_or(HeadError::Value("Byte-Range"))?),
            None => None,
        };
        let failure_report = match value("Failure-Report")? {
            Some(report) => FailureReport::read(report).ok_or(HeadError::Value("Failure-Report"))?,
            None => FailureReport::Yes,
        };
        if value("Message-ID")?.is_some_and(|id| id.is_empty() || id.contains(' ')) {
            return Err(HeadError::Value("Message-ID"));
        }
        let head = Head {
            transaction_id: self.transaction_id.clone(),
            to_path: self.path(text, "To-Path")?,
            from_path: self.path(text, "From-Path")?,
            byte_range,
            failure_report,
            success_report: yes_or_no("Success-Report")?,
            status: report_status(value("Status")?)?,
            has_body,
            fields: self.fields.clone(),
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
        let no =
            self.single(text, "Failure-Report").ok().flatten().is_some_and(|v| v.eq_ignore_ascii_case("no"));
        if silent || no || !is_ident(self.transaction_id.as_bytes()) {
            return None;
        }
        Some((
            self.path(text, "From-Path").ok()?.first()?.clone(),
            self.path(text, "To-Path").ok()?.last()?.clone(),
        ))
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
                if self.field("Status").is_none() {
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
