//! The lossless codec: lines, attributes, media descriptions (RFC 4566, RFC 8866).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::ops::Range;
use cpm_base::LimitExceeded;
use memchr::{memchr, memchr3};

use crate::attribute::{AttributeError, TypedAttribute};
use crate::grammar::{self, Host};
use crate::limits::Limits;
use crate::line::{Bandwidth, Line, Repeat, Timing};
use crate::steps;

/// Why octets are no session description.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdpError {
    /// More of something than allowed.
    Limit(LimitExceeded),
    /// A NUL or a carriage return that ends no line, in this line (counted from 1; threats A9).
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

/// The lines of one part of a description, still as text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    text: Bytes,
}

/// One line as it stands in a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRef<'a> {
    /// The letter before the equals sign.
    pub kind: u8,
    /// What stands behind it, without the end of the line.
    pub value: &'a [u8],
}

impl LineRef<'_> {
    /// The value by the grammar of its kind.
    #[must_use]
    pub fn typed(&self) -> Option<Line> {
        Line::read(self.kind, self.value)
    }
}

/// Cuts a text that was checked into its lines.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = LineRef<'a>;

    fn next(&mut self) -> Option<LineRef<'a>> {
        while !self.rest.is_empty() {
            let (line, rest) = match memchr(b'\n', self.rest) {
                Some(end) => (self.rest.get(..end)?, self.rest.get(end.saturating_add(1)..)?),
                None => (self.rest, [].as_slice()),
            };
            self.rest = rest;
            steps::visit(line.len());
            if let [kind, b'=', value @ ..] = line.strip_suffix(b"\r").unwrap_or(line) {
                return Some(LineRef { kind: *kind, value });
            }
        }
        None
    }
}

impl Section {
    fn lines(&self) -> Lines<'_> {
        Lines { rest: &self.text }
    }

    fn values(&self, kind: u8) -> impl Iterator<Item = &[u8]> {
        self.lines().filter(move |line| line.kind == kind).map(|line| line.value)
    }

    fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        self.values(b'a').filter_map(Attribute::read)
    }

    fn connection(&self) -> Option<Host> {
        self.values(b'c').find_map(|value| grammar::connection_line(core::str::from_utf8(value).ok()?))
    }

    fn bandwidths(&self) -> impl Iterator<Item = Bandwidth> {
        self.lines().filter(|line| line.kind == b'b').filter_map(|line| match line.typed() {
            Some(Line::Bandwidth(bandwidth)) => Some(bandwidth),
            _ => None,
        })
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
    pub(crate) fn read(line: &'a [u8]) -> Option<Attribute<'a>> {
        let (name, value) = match memchr(b':', line) {
            Some(colon) => (line.get(..colon)?, line.get(colon.checked_add(1)?..)),
            None => (line, None),
        };
        Some(Attribute { name: core::str::from_utf8(name).ok()?.trim_ascii(), value })
    }

    /// The value without blanks around it, where it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.value?).ok().map(str::trim)
    }

    /// The value as what its name stands for; `Ok(None)` where nobody here knows the name.
    ///
    /// # Errors
    /// The name is known and the value does not follow its grammar.
    pub fn typed(&self) -> Result<Option<TypedAttribute>, AttributeError> {
        TypedAttribute::read(self.name, self.value)
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

impl Origin {
    pub(crate) fn read(value: &[u8]) -> Option<Origin> {
        let (username, session_id, version, address) =
            grammar::origin_line(core::str::from_utf8(value).ok()?)?;
        Some(Origin {
            username: username.to_string(),
            session_id: session_id.to_string(),
            version: version.to_string(),
            address: address.to_string(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.username, self.session_id, self.version, self.address)
    }
}

/// A media description: its `m=` line and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    section: Section,
    media: Range<usize>,
    port: Option<u16>,
    proto: Range<usize>,
    formats: Range<usize>,
}

impl Media {
    /// A part of the `m=` line; it was found to be UTF-8 when it was read.
    fn part(&self, range: &Range<usize>) -> &str {
        self.section
            .text
            .get(range.clone())
            .and_then(|part| core::str::from_utf8(part).ok())
            .unwrap_or_default()
    }

    /// The media: `message`, `audio`…
    #[must_use]
    pub fn media(&self) -> &str {
        self.part(&self.media)
    }

    /// The port; `None` when what stands there is no number up to 65535 (such a medium can only be refused).
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The transport protocol: `TCP/MSRP`…
    #[must_use]
    pub fn proto(&self) -> &str {
        self.part(&self.proto)
    }

    /// The formats, separated by one blank each, as written.
    #[must_use]
    pub fn formats(&self) -> &str {
        self.part(&self.formats)
    }

    /// The host of the first `c=` line of this medium that can be read.
    #[must_use]
    pub fn connection(&self) -> Option<Host> {
        self.section.connection()
    }

    /// All lines, the `m=` line first, in their order.
    pub fn lines(&self) -> impl Iterator<Item = LineRef<'_>> {
        self.section.lines()
    }

    /// The octets of this medium: its lines with their ends.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.section.text.clone()
    }

    /// The `b=` lines that can be read.
    pub fn bandwidths(&self) -> impl Iterator<Item = Bandwidth> {
        self.section.bandwidths()
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

/// When a session takes place: a `t=` line and the `r=` lines behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeDescription {
    /// `t=`.
    pub timing: Timing,
    /// `r=`, each that can be read.
    pub repeats: Vec<Repeat>,
}

/// A session description, kept octet for octet: lines that nobody knows, their order and line ends included.
///
/// What is needed is checked on reading: the first line is `v=0`, there are `o=`, `s=` and `t=`, `m=` and `o=` lines
/// follow their grammar, nothing is over its [`Limits`]. The order of the other lines and their grammar is judged by
/// [`findings`](Self::findings) and kept as it is; so is a line whose letter nobody knows: an intermediary forwards
/// more than it understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    text: Bytes,
    session: Section,
    media: Vec<Media>,
    /// Where the value of `o=` stands.
    origin: Range<usize>,
}

impl SessionDescription {
    /// Reads a description. Lines end with CRLF or LF (RFC 8866 §9.1.2 of old: both are accepted).
    ///
    /// # Errors
    /// See [`SdpError`]; its [`status`](SdpError::status) is what the peer should hear.
    pub fn parse(octets: &[u8], limits: &Limits) -> Result<Self, SdpError> {
        LimitExceeded::check("sdp.max_bytes", octets.len(), limits.max_bytes)?;
        Self::parse_bytes(Bytes::copy_from_slice(octets), limits)
    }

    /// The same, of octets that the caller gives away: nothing is copied.
    ///
    /// # Errors
    /// See [`SdpError`].
    pub fn parse_bytes(text: Bytes, limits: &Limits) -> Result<Self, SdpError> {
        LimitExceeded::check("sdp.max_bytes", text.len(), limits.max_bytes)?;
        let mut reader = Reader::new(&text, limits);
        let mut start = 0usize;
        let mut number = 0usize;
        while start < text.len() {
            number = number.saturating_add(1);
            let rest = text.get(start..).unwrap_or_default();
            let (length, ended) = line_length(rest).ok_or(SdpError::ControlCharacter(number))?;
            steps::visit(length);
            reader.line(number, start, rest.get(..length).unwrap_or_default())?;
            start = start.saturating_add(length).saturating_add(ended);
        }
        reader.finish()
    }

    /// The description as it was received or made, octet for octet.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.text.clone()
    }

    /// `o=`.
    #[must_use]
    pub fn origin(&self) -> Origin {
        // It was read once already, when the description was.
        self.text.get(self.origin.clone()).and_then(Origin::read).unwrap_or(Origin {
            username: String::new(),
            session_id: String::new(),
            version: String::new(),
            address: String::new(),
        })
    }

    /// The host of the session's `c=` line.
    #[must_use]
    pub fn connection(&self) -> Option<Host> {
        self.session.connection()
    }

    /// The lines of the session part, in their order.
    pub fn lines(&self) -> impl Iterator<Item = LineRef<'_>> {
        self.session.lines()
    }

    /// The value of the first line of this kind in the session part: `s`, `i`, `u`, `e`, `p`…
    #[must_use]
    pub fn value(&self, kind: char) -> Option<&[u8]> {
        self.lines().find(|line| char::from(line.kind) == kind).map(|line| line.value)
    }

    /// The `b=` lines of the session that can be read.
    pub fn bandwidths(&self) -> impl Iterator<Item = Bandwidth> {
        self.session.bandwidths()
    }

    /// When the session takes place: each `t=` line that can be read, with its `r=` lines.
    #[must_use]
    pub fn times(&self) -> Vec<TimeDescription> {
        let mut times: Vec<TimeDescription> = Vec::new();
        for line in self.lines().filter(|line| matches!(line.kind, b't' | b'r')) {
            match (line.typed(), times.last_mut()) {
                (Some(Line::Timing(timing)), _) => {
                    times.push(TimeDescription { timing, repeats: Vec::new() })
                }
                (Some(Line::Repeat(repeat)), Some(time)) => time.repeats.push(repeat),
                _ => {}
            }
        }
        times
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

/// The length of the first line and of what ends it; `None` where a NUL or a lone carriage return stands in it.
fn line_length(rest: &[u8]) -> Option<(usize, usize)> {
    let Some(end) = memchr3(b'\n', b'\r', 0, rest) else { return Some((rest.len(), 0)) };
    match rest.get(end..)? {
        [b'\n', ..] => Some((end, 1)),
        [b'\r', b'\n', ..] => Some((end, 2)),
        _ => None,
    }
}

/// Collects lines into sections.
struct Reader<'a> {
    limits: &'a Limits,
    text: &'a Bytes,
    /// Where the part begins that is being read.
    begin: usize,
    session_end: Option<usize>,
    media: Vec<Media>,
    origin: Option<Range<usize>>,
    name: bool,
    time: bool,
    attributes: usize,
    blank: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a Bytes, limits: &'a Limits) -> Self {
        Reader {
            limits,
            text,
            begin: 0,
            session_end: None,
            media: Vec::new(),
            origin: None,
            name: false,
            time: false,
            attributes: 0,
            blank: None,
        }
    }

    fn line(&mut self, number: usize, start: usize, line: &[u8]) -> Result<(), SdpError> {
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
        self.known(number, *kind, start, value)
    }

    /// What must hold of a line of a kind that is known.
    fn known(&mut self, number: usize, kind: u8, start: usize, value: &[u8]) -> Result<(), SdpError> {
        let bad = || SdpError::BadLine(number, char::from(kind));
        let in_session = self.session_end.is_none();
        match kind {
            b'v' if number > 1 => return Err(SdpError::Repeated('v')),
            b'o' => {
                let text = core::str::from_utf8(value).map_err(|_| bad())?;
                grammar::origin_line(text).ok_or_else(bad)?;
                let begin = start.saturating_add(2);
                if self.origin.replace(begin..begin.saturating_add(value.len())).is_some() {
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
                self.end_section(start);
                self.attributes = 0;
                self.media.push(media);
            }
            _ => {}
        }
        Ok(())
    }

    /// The part before this place is complete.
    fn end_section(&mut self, at: usize) {
        match self.media.last_mut() {
            Some(media) => media.section.text = self.text.slice(self.begin..at),
            None => self.session_end = Some(at),
        }
        self.begin = at;
    }

    fn media_line(&self, text: &str) -> Result<Option<Media>, SdpError> {
        LimitExceeded::check("sdp.max_media", self.media.len().saturating_add(1), self.limits.max_media)?;
        let Some(line) = grammar::media_line(text) else { return Ok(None) };
        LimitExceeded::check("sdp.max_formats", line.format_count, self.limits.max_formats)?;
        let behind = |range: Range<usize>| range.start.saturating_add(2)..range.end.saturating_add(2);
        Ok(Some(Media {
            section: Section { text: Bytes::new() },
            media: behind(line.media),
            port: line.port,
            proto: behind(line.proto),
            formats: behind(line.formats),
        }))
    }

    /// The lists whose length a peer chooses (threats I7, I8).
    fn listed_attribute(&self, value: &[u8]) -> Result<(), SdpError> {
        // Every other attribute is passed over without a closer look.
        if !matches!(value.trim_ascii_start().first(), Some(b'p' | b'a')) {
            return Ok(());
        }
        let Some(attribute) = Attribute::read(value) else { return Ok(()) };
        let (count, each, max_count, max_each) = match attribute.name {
            "path" => ("sdp.max_path", "sdp.max_path_uri", self.limits.max_path, self.limits.max_path_uri),
            "accept-types" | "accept-wrapped-types" => {
                ("sdp.max_types", "sdp.max_type", self.limits.max_types, self.limits.max_type)
            }
            _ => return Ok(()),
        };
        let (mut entries, mut longest) = (0usize, 0usize);
        for entry in attribute.value.unwrap_or_default().split(|b| *b == b' ').filter(|e| !e.is_empty()) {
            entries = entries.saturating_add(1);
            longest = longest.max(entry.len());
        }
        LimitExceeded::check(count, entries, max_count)?;
        LimitExceeded::check(each, longest, max_each)?;
        Ok(())
    }

    fn finish(mut self) -> Result<SessionDescription, SdpError> {
        if self.text.is_empty() {
            return Err(SdpError::Version);
        }
        let origin = self.origin.take().ok_or(SdpError::Missing('o'))?;
        if !self.name {
            return Err(SdpError::Missing('s'));
        }
        if !self.time {
            return Err(SdpError::Missing('t'));
        }
        self.end_section(self.text.len());
        let session = Section { text: self.text.slice(..self.session_end.unwrap_or(self.text.len())) };
        Ok(SessionDescription { text: self.text.clone(), session, media: self.media, origin })
    }
}

#[cfg(test)]
mod tests;
