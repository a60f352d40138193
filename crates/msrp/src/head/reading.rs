//! Reading a head line by line, to the end or to its first fault.

use super::*;
use crate::values::is_ident;

/// The characters of a token.
const TOKEN: [bool; 128] = {
    let mut token = [false; 128];
    let letters = b"!#$%&'*+-.^_`{|}~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut at = 0;
    while at < letters.len() {
        #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // while it is compiled
        {
            token[letters[at] as usize] = true;
            at += 1;
        }
    }
    token
};

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| TOKEN.get(usize::from(*b)).copied().unwrap_or(false))
}

/// Where a field stands in the text.
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

impl Field {
    /// The line begins at `from`.
    pub(super) fn read(line: &[u8], from: usize) -> Option<Field> {
        let colon = line.iter().position(|b| *b == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        if !is_token(name) {
            return None;
        }
        let value = value.get(1..).unwrap_or_default();
        let before = value.len().saturating_sub(value.trim_ascii_start().len());
        let value_from = from.saturating_add(colon).saturating_add(1).saturating_add(before);
        let value_to = value_from.saturating_add(value.trim_ascii().len());
        Some(Field {
            name: (narrow(from), narrow(from.saturating_add(colon))),
            value: (narrow(value_from), narrow(value_to)),
        })
    }
}

impl Field {
    fn name_length(&self) -> usize {
        usize::try_from(self.name.1.saturating_sub(self.name.0)).unwrap_or(usize::MAX)
    }
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
pub(super) struct Reading {
    pub(super) transaction_id: Span,
    start: Option<StartLine>,
    /// Where the values of the known fields stand.
    known: [Option<Span>; KNOWN.len()],
    /// What the line before was.
    before: Before,
    /// A known field that stands twice.
    repeated: Option<usize>,
    fault: Option<HeadError>,
}

/// What a folded line would belong to.
#[derive(Clone, Copy)]
enum Before {
    /// A field of MIME, and which of the known ones it is.
    Mime(Option<usize>),
    /// Nothing that may be folded.
    Other,
}

impl Reading {
    pub(super) fn new(text: &[u8], cache: &HeadCache) -> Reading {
        let mut reading = Reading {
            transaction_id: (0, 0),
            start: None,
            known: [None; KNOWN.len()],
            before: Before::Other,
            repeated: None,
            fault: None,
        };
        let mut from = 0usize;
        while from < text.len() {
            let rest = text.get(from..).unwrap_or_default();
            let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1));
            let line = rest.get(..length).unwrap_or_default();
            match line.strip_suffix(b"\r\n") {
                Some(line) if reading.start.is_none() && from == 0 => reading.start_line(line),
                Some(line) => match cache.path_line(line) {
                    Some((which, value)) => {
                        reading.before = Before::Other;
                        let value = (from.saturating_add(value), from.saturating_add(line.len()));
                        reading.found(which, (narrow(value.0), narrow(value.1)));
                    }
                    None => reading.field_line(from, line),
                },
                None => reading.note(HeadError::Line),
            }
            from = from.saturating_add(length);
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
        self.transaction_id = (5, narrow(transaction.len().saturating_add(5)));
        self.start = match (Status::read(word), Method::read(word), words.next()) {
            (Some(status), ..) => Some(StartLine::Response(status)),
            (None, Some(method), None) => Some(StartLine::Request(method)),
            _ => None,
        };
        if self.start.is_none() || !is_ident(transaction.as_bytes()) {
            self.note(HeadError::StartLine);
        }
    }

    fn field_line(&mut self, from: usize, line: &[u8]) {
        let control = |b: &u8| ((*b < b' ') & (*b != b'\t')) | (*b == 0x7f);
        let bad = line.iter().fold(false, |bad, b| bad | control(b));
        if bad || !(line.is_ascii() || core::str::from_utf8(line).is_ok()) {
            return self.note(HeadError::Line);
        }
        // MIME fields may be folded (RFC 2045 by way of RFC 4975 §9): the line belongs to the field before it.
        if is_folded(line) {
            let Before::Mime(which) = self.before else { return self.note(HeadError::Line) };
            if let Some(Some(value)) = which.and_then(|which| self.known.get_mut(which)) {
                value.1 = narrow(from.saturating_add(line.len()));
            }
            return;
        }
        let Some(field) = Field::read(line, from) else { return self.note(HeadError::Line) };
        let name = line.get(..field.name_length()).unwrap_or_default();
        let which = known_field(name);
        let mime = name.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"content-"));
        // Where a known field stands twice, nothing more is read of it.
        let first = which.filter(|which| self.known.get(*which).is_some_and(Option::is_none));
        self.before = if mime { Before::Mime(first) } else { Before::Other };
        if let Some(which) = which {
            self.found(which, field.value);
        }
    }

    /// A known field.
    fn found(&mut self, which: usize, value: Span) {
        match self.known.get_mut(which) {
            Some(Some(_)) => self.repeated = self.repeated.or(Some(which)),
            Some(place) => *place = Some(value),
            None => {}
        }
    }

    /// The value of a known field.
    pub(super) fn value<'a>(&self, text: &'a [u8], which: usize) -> Option<&'a str> {
        text_at(text, (*self.known.get(which)?)?)
    }

    pub(super) fn parsed(
        &self,
        text: &[u8],
        has_body: bool,
        cache: &mut HeadCache,
    ) -> Result<(Places, Option<ByteRange>, Common), HeadError> {
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
        let from_path = self.value(text, FROM_PATH).ok_or(HeadError::Missing("From-Path"))?;
        let common = Common {
            paths: cache.paths(to_path, from_path, matches!(start, StartLine::Request(_)))?,
            failure_report,
            success_report,
            status: report_status(self.value(text, STATUS))?,
            has_body,
            start,
        };
        self.complete(text, &common)?;
        let places = Places {
            transaction_id: self.transaction_id,
            known: self.known.map(|place| place.unwrap_or((0, 0))),
        };
        Ok((places, byte_range, common))
    }

    /// Where a 400 goes to (RFC 4975 §7.2: the first URI of From-Path), as far as the head lets itself be read.
    pub(super) fn answer(&self, text: &[u8]) -> Option<(MsrpUri, MsrpUri)> {
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

    /// What each kind of message has to hold.
    fn complete(&self, text: &[u8], parsed: &Common) -> Result<(), HeadError> {
        let missing = |which: usize, name| match self.known.get(which) {
            Some(Some(_)) => Ok(()),
            _ => Err(HeadError::Missing(name)),
        };
        match &parsed.start {
            StartLine::Request(Method::Send) if parsed.has_body => {
                missing(MESSAGE_ID, "Message-ID")?;
                let content_type =
                    self.value(text, CONTENT_TYPE).ok_or(HeadError::Missing("Content-Type"))?;
                if !is_media_type(content_type) {
                    return Err(HeadError::Value("Content-Type"));
                }
            }
            StartLine::Request(Method::Report) => {
                missing(MESSAGE_ID, "Message-ID")?;
                missing(STATUS, "Status")?;
            }
            _ => {}
        }
        Ok(())
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
    let end = memchr::memchr(b';', text.as_bytes()).unwrap_or(text.len());
    let essence = text.as_bytes().get(..end).unwrap_or_default().trim_ascii();
    let clean = if text.is_ascii() {
        !text.bytes().any(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\r' | b'\n'))
    } else {
        text.chars().all(|c| !c.is_control() || c == '\t' || c == '\r' || c == '\n')
    };
    let slash = memchr::memchr(b'/', essence);
    let kinds = slash.and_then(|at| Some((essence.get(..at)?, essence.get(at.saturating_add(1)..)?)));
    clean && kinds.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}
