//! The lossless codec: lines, attributes, media descriptions (RFC 4566, RFC 8866).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use cpm_base::LimitExceeded;

use crate::grammar::{self, Host};
use crate::limits::Limits;

/// Why octets are no session description.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdpError {
    /// More of something than allowed.
    Limit(LimitExceeded),
    /// A NUL or a carriage return that ends no line, in this line (counted from 1).
    ControlCharacter(usize),
    /// This line (counted from 1) is not `<letter>=<value>`.
    NotALine(usize),
    /// This line (counted from 1), of this kind, does not follow its grammar.
    BadLine(usize, char),
    /// The first line is not `v=0`.
    Version,
    /// A line that every description has is missing.
    Missing(char),
    /// A line that may stand once stands twice.
    Repeated(char),
}

impl SdpError {
    /// The SIP status code that the message with this body deserves: 413 when it is too much, else 400.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            SdpError::Limit(_) => 413,
            _ => 400,
        }
    }
}

impl From<LimitExceeded> for SdpError {
    fn from(limit: LimitExceeded) -> Self {
        SdpError::Limit(limit)
    }
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SdpError::Limit(limit) => write!(f, "{limit}"),
            SdpError::ControlCharacter(line) => write!(f, "line {line} holds a control character"),
            SdpError::NotALine(line) => write!(f, "line {line} is not a letter, an equals sign and a value"),
            SdpError::BadLine(line, kind) => write!(f, "line {line}, {kind}=, does not follow its grammar"),
            SdpError::Version => f.write_str("the first line is not v=0"),
            SdpError::Missing(kind) => write!(f, "there is no {kind}= line"),
            SdpError::Repeated(kind) => write!(f, "there is a second {kind}= line"),
        }
    }
}

impl core::error::Error for SdpError {}

/// One line: its letter and where its value stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    kind: u8,
    start: usize,
    end: usize,
}

/// Text and the lines of one part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    text: Bytes,
    lines: Vec<Line>,
}

impl Section {
    fn values(&self, kind: u8) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter(move |line| line.kind == kind).map(|line| self.value(line))
    }

    fn value(&self, line: &Line) -> &[u8] {
        self.text.get(line.start..line.end).unwrap_or_default()
    }

    fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        self.values(b'a').filter_map(Attribute::read)
    }

    fn connection(&self) -> Option<Host> {
        self.values(b'c').find_map(|value| grammar::connection_line(core::str::from_utf8(value).ok()?))
    }
}

/// One `a=` line, as a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What stands before the colon, without blanks.
    pub name: &'a str,
    /// What stands after the first colon, as received; `None` for a property attribute.
    pub value: Option<&'a [u8]>,
}

impl<'a> Attribute<'a> {
    fn read(line: &'a [u8]) -> Option<Attribute<'a>> {
        let (name, value) = match line.iter().position(|b| *b == b':') {
            Some(colon) => (line.get(..colon)?, line.get(colon.checked_add(1)?..)),
            None => (line, None),
        };
        Some(Attribute { name: core::str::from_utf8(name).ok()?.trim(), value })
    }

    /// The value without blanks around it, where it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.value?).ok().map(str::trim)
    }
}

/// `o=`: who made the session (RFC 8866 §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The user name; `-` for none.
    pub username: String,
    /// The session id: digits, as written.
    pub session_id: String,
    /// The version: digits, as written.
    pub version: String,
    /// Network type, address type and address, as written.
    pub address: String,
}

/// A media description: its `m=` line and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    section: Section,
    media: String,
    port: Option<u16>,
    proto: String,
    formats: String,
}

impl Media {
    /// The media: `message`, `audio`…
    #[must_use]
    pub fn media(&self) -> &str {
        &self.media
    }

    /// The port; `None` when what stands there is no number up to 65535 (such a medium can only be refused).
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The transport protocol: `TCP/MSRP`…
    #[must_use]
    pub fn proto(&self) -> &str {
        &self.proto
    }

    /// The formats, separated by one blank each, as written.
    #[must_use]
    pub fn formats(&self) -> &str {
        &self.formats
    }

    /// The host of the first `c=` line of this medium that can be read.
    #[must_use]
    pub fn connection(&self) -> Option<Host> {
        self.section.connection()
    }

    /// The attributes in their order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        self.section.attributes()
    }

    /// The first attribute of this name (names are case-sensitive, RFC 8866 §9).
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        self.attributes().find(|attribute| attribute.name == name)
    }
}

/// A session description, kept octet for octet: lines that nobody knows, their order and line ends included.
///
/// What is known is checked on reading: the first line is `v=0`, there are `o=`, `s=` and `t=`, `m=` and `o=` lines
/// follow their grammar, nothing is over its [`Limits`]. The order of the other lines is kept and not judged, and a
/// line whose letter nobody knows is kept like any other, so that an intermediary forwards more than it understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    session: Section,
    media: Vec<Media>,
    origin: Origin,
}

impl SessionDescription {
    /// Reads a description. Lines end with CRLF or LF (RFC 8866 §9.1.2 of old: both are accepted).
    ///
    /// # Errors
    /// See [`SdpError`]; its [`status`](SdpError::status) is what the peer should hear.
    pub fn parse(octets: &[u8], limits: &Limits) -> Result<Self, SdpError> {
        LimitExceeded::check("sdp.max_bytes", octets.len(), limits.max_bytes)?;
        let text = Bytes::copy_from_slice(octets);
        let mut reader = Reader::new(text.clone(), limits);
        let mut start = 0usize;
        let mut number = 0usize;
        while start < text.len() {
            number = number.saturating_add(1);
            let rest = text.get(start..).unwrap_or_default();
            let ended = rest.iter().position(|b| *b == b'\n');
            let length = ended.unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            let line = if ended.is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
            reader.line(number, start, line)?;
            start = start.saturating_add(length).saturating_add(1);
        }
        reader.finish()
    }

    /// The description as it was received or made, octet for octet.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.session.text.clone()
    }

    /// `o=`.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The host of the session's `c=` line.
    #[must_use]
    pub fn connection(&self) -> Option<Host> {
        self.session.connection()
    }

    /// The attributes of the session, in their order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        self.session.attributes()
    }

    /// The first attribute of the session of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        self.attributes().find(|attribute| attribute.name == name)
    }

    /// The media descriptions in their order.
    #[must_use]
    pub fn media(&self) -> &[Media] {
        &self.media
    }
}

/// Collects lines into sections.
struct Reader<'a> {
    limits: &'a Limits,
    session: Section,
    media: Vec<Media>,
    origin: Option<Origin>,
    name: bool,
    time: bool,
    attributes: usize,
    blank: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(text: Bytes, limits: &'a Limits) -> Self {
        Reader {
            limits,
            session: Section { text, lines: Vec::new() },
            media: Vec::new(),
            origin: None,
            name: false,
            time: false,
            attributes: 0,
            blank: None,
        }
    }

    fn line(&mut self, number: usize, start: usize, line: &[u8]) -> Result<(), SdpError> {
        if line.iter().any(|b| matches!(b, 0 | b'\r')) {
            return Err(SdpError::ControlCharacter(number));
        }
        // Empty lines are read at the end alone.
        if line.is_empty() && number > 1 {
            self.blank = self.blank.or(Some(number));
            return Ok(());
        }
        if let Some(blank) = self.blank {
            return Err(SdpError::NotALine(blank));
        }
        let [kind, b'=', value @ ..] = line else { return Err(SdpError::NotALine(number)) };
        if !kind.is_ascii_alphabetic() {
            return Err(SdpError::NotALine(number));
        }
        if number == 1 && (*kind, value) != (b'v', b"0") {
            return Err(SdpError::Version);
        }
        self.known(number, *kind, value)?;
        let start = start.saturating_add(2);
        let line = Line { kind: *kind, start, end: start.saturating_add(value.len()) };
        match self.media.last_mut() {
            Some(media) => media.section.lines.push(line),
            None => self.session.lines.push(line),
        }
        Ok(())
    }

    /// What must hold of a line of a kind that is known.
    fn known(&mut self, number: usize, kind: u8, value: &[u8]) -> Result<(), SdpError> {
        let bad = || SdpError::BadLine(number, char::from(kind));
        let in_session = self.media.is_empty();
        match kind {
            b'v' if number > 1 => return Err(SdpError::Repeated('v')),
            b'o' => {
                let text = core::str::from_utf8(value).map_err(|_| bad())?;
                let (username, session_id, version, address) = grammar::origin_line(text).ok_or_else(bad)?;
                let origin = Origin {
                    username: username.to_string(),
                    session_id: session_id.to_string(),
                    version: version.to_string(),
                    address: address.to_string(),
                };
                if self.origin.replace(origin).is_some() {
                    return Err(SdpError::Repeated('o'));
                }
            }
            b's' if in_session && core::mem::replace(&mut self.name, true) => {
                return Err(SdpError::Repeated('s'));
            }
            b't' if in_session => self.time = true,
            b'a' => {
                self.attributes = self.attributes.saturating_add(1);
                LimitExceeded::check("sdp.max_attrs", self.attributes, self.limits.max_attrs)?;
                self.listed_attribute(value)?;
            }
            b'm' => {
                let text = core::str::from_utf8(value).map_err(|_| bad())?;
                let media = self.media_line(text)?.ok_or_else(bad)?;
                self.attributes = 0;
                self.media.push(media);
            }
            _ => {}
        }
        Ok(())
    }

    fn media_line(&self, text: &str) -> Result<Option<Media>, SdpError> {
        LimitExceeded::check("sdp.max_media", self.media.len().saturating_add(1), self.limits.max_media)?;
        let Some(line) = grammar::media_line(text) else { return Ok(None) };
        LimitExceeded::check("sdp.max_formats", line.formats.split(' ').count(), self.limits.max_formats)?;
        Ok(Some(Media {
            section: Section { text: self.session.text.clone(), lines: Vec::new() },
            media: line.media.to_string(),
            port: line.port,
            proto: line.proto.to_string(),
            formats: line.formats.to_string(),
        }))
    }

    /// The lists whose length a peer chooses (threats I7, I8).
    fn listed_attribute(&self, value: &[u8]) -> Result<(), SdpError> {
        let Some(attribute) = Attribute::read(value) else { return Ok(()) };
        let (count, each, max_count, max_each) = match attribute.name {
            "path" => ("sdp.max_path", "sdp.max_path_uri", self.limits.max_path, self.limits.max_path_uri),
            "accept-types" | "accept-wrapped-types" => {
                ("sdp.max_types", "sdp.max_type", self.limits.max_types, self.limits.max_type)
            }
            _ => return Ok(()),
        };
        let entries = || attribute.value.unwrap_or_default().split(|b| *b == b' ').filter(|e| !e.is_empty());
        LimitExceeded::check(count, entries().count(), max_count)?;
        LimitExceeded::check(each, entries().map(<[u8]>::len).max().unwrap_or(0), max_each)?;
        Ok(())
    }

    fn finish(self) -> Result<SessionDescription, SdpError> {
        if self.session.lines.is_empty() {
            return Err(SdpError::Version);
        }
        let origin = self.origin.ok_or(SdpError::Missing('o'))?;
        if !self.name {
            return Err(SdpError::Missing('s'));
        }
        if !self.time {
            return Err(SdpError::Missing('t'));
        }
        Ok(SessionDescription { session: self.session, media: self.media, origin })
    }
}

#[cfg(test)]
mod tests;
