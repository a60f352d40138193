//! From octets to a message: strictly (RFC 3862 §2, §3), or with the deviations that are met in the field.

use crate::grammar;
use crate::header::{Header, Headers, LineRules, Scope, ScopeFault};
use crate::{CpimError, CpimMessage, Limits};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::LimitExceeded;
use cpm_mime::{ContentType, Part};

/// Deviations that a reader may let pass. The default admits none; a bare LF is never a line end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// No blank line between message header fields and MIME header fields, as all examples of RFC 5438 are printed
    /// (erratum 3013).
    pub single_block: bool,
    /// Blank lines between message header fields.
    pub blank_line_between_headers: bool,
    /// The MIME header fields of the enclosing body (`Content-Type: message/cpim`) once more before the message.
    pub repeated_mime_block: bool,
    /// No space or several behind the colon of a message header field, or spaces at its end.
    pub loose_whitespace: bool,
    /// A message header field whose prefix no NS declares above it: kept, and known to nobody.
    pub undeclared_prefix: bool,
}

impl Leniency {
    /// All that is met in the field.
    #[must_use]
    pub const fn field() -> Self {
        Leniency {
            single_block: true,
            blank_line_between_headers: true,
            repeated_mime_block: true,
            loose_whitespace: true,
            undeclared_prefix: true,
        }
    }
}

/// A deviation that was let pass; each is named after its switch in [`Leniency`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Tolerated {
    /// See [`Leniency::single_block`].
    SingleBlock,
    /// See [`Leniency::blank_line_between_headers`].
    BlankLineBetweenHeaders,
    /// See [`Leniency::repeated_mime_block`].
    RepeatedMimeBlock,
    /// See [`Leniency::loose_whitespace`].
    LooseWhitespace,
    /// See [`Leniency::undeclared_prefix`].
    UndeclaredPrefix,
}

/// Reads a message that stands inside `depth` others.
pub(crate) fn read(
    bytes: Bytes,
    limits: &Limits,
    leniency: &Leniency,
    depth: usize,
) -> Result<(CpimMessage, Vec<Tolerated>), CpimError> {
    let strict = Leniency::default();
    let fault = match read_once(&bytes, limits, &strict, depth) {
        Ok(read) => return Ok(read),
        Err(fault) => fault,
    };
    if *leniency == strict {
        return Err(fault);
    }
    read_once(&bytes, limits, leniency, depth).map_err(|_| fault)
}

fn read_once(
    bytes: &Bytes,
    limits: &Limits,
    leniency: &Leniency,
    depth: usize,
) -> Result<(CpimMessage, Vec<Tolerated>), CpimError> {
    let ReadHead { headers, end, tolerated } = read_head(bytes, limits, leniency)?;
    let content = Part::parse(bytes.slice(end..), &limits.mime).map_err(CpimError::Content)?;
    if content.headers.get("Content-Type").is_none() {
        return Err(CpimError::NoContentType);
    }
    let source = Some(bytes.clone());
    Ok((CpimMessage { headers, content, depth, source }, tolerated))
}

/// What stands before the content.
pub(crate) struct ReadHead {
    pub(crate) headers: Headers,
    /// Where the content starts.
    pub(crate) end: usize,
    pub(crate) tolerated: Vec<Tolerated>,
}

/// Reads all up to the content.
pub(crate) fn read_head(bytes: &Bytes, limits: &Limits, leniency: &Leniency) -> Result<ReadHead, CpimError> {
    let mut tolerated = Vec::new();
    // To the letter this is a message with one header field that nobody knows, and its own header fields are read as
    // those of its content. Nobody means that.
    let start = repeated_block(bytes, limits);
    if start > 0 {
        if !leniency.repeated_mime_block {
            return Err(CpimError::RepeatedMimeBlock);
        }
        tolerated.push(Tolerated::RepeatedMimeBlock);
    }
    let (headers, end) = read_headers(bytes, start, limits, leniency, &mut tolerated)?;
    check_scope(&headers, leniency, &mut tolerated)?;
    headers.check_routes(limits.max_route)?;
    tolerated.sort_unstable();
    tolerated.dedup();
    Ok(ReadHead { headers, end, tolerated })
}

/// The lines of a header block.
struct Lines<'a> {
    bytes: &'a Bytes,
    /// Where the next line starts.
    at: usize,
    /// Where the block must have ended.
    max_end: usize,
    limits: &'a Limits,
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a Bytes, start: usize, limits: &'a Limits) -> Self {
        Lines { bytes, at: start, max_end: start.saturating_add(limits.max_header_bytes), limits, number: 0 }
    }

    /// The next line without its CRLF.
    fn next(&mut self) -> Result<Bytes, CpimError> {
        let line = self.peek()?;
        self.at = self.at.saturating_add(line.len()).saturating_add(2);
        self.number = self.number.saturating_add(1);
        Ok(line)
    }

    fn peek(&self) -> Result<Bytes, CpimError> {
        let window_end = self.max_end.min(self.bytes.len());
        let window = self.bytes.get(self.at..window_end).unwrap_or_default();
        let Some(length) = memchr::memchr2(b'\r', b'\n', window) else {
            return Err(if window_end < self.bytes.len() {
                self.too_long()
            } else {
                CpimError::HeadersNotEnded
            });
        };
        let end = self.at.saturating_add(length);
        let after = end.saturating_add(2);
        match self.bytes.get(end..after) {
            Some(b"\r\n") if after > self.max_end => Err(self.too_long()),
            Some(b"\r\n") => Ok(self.bytes.slice(self.at..end)),
            None if self.bytes.get(end) == Some(&b'\r') => Err(CpimError::HeadersNotEnded),
            _ => Err(CpimError::BareLineEnd { line: self.number.saturating_add(1) }),
        }
    }

    fn too_long(&self) -> CpimError {
        let max = u64::try_from(self.limits.max_header_bytes).unwrap_or(u64::MAX);
        CpimError::Limit(LimitExceeded { limit: "cpim.max_header_bytes", value: max.saturating_add(1), max })
    }
}

/// Header fields of nearly every message.
const USUAL_HEADERS: usize = 8;

/// Reads message header fields from `start`; says where the content starts.
fn read_headers(
    bytes: &Bytes,
    start: usize,
    limits: &Limits,
    leniency: &Leniency,
    tolerated: &mut Vec<Tolerated>,
) -> Result<(Headers, usize), CpimError> {
    let rules = LineRules { loose_whitespace: leniency.loose_whitespace };
    let mut lines = Lines::new(bytes, start, limits);
    let mut list: Vec<Header> = Vec::with_capacity(USUAL_HEADERS.min(limits.max_headers));
    let content_start = loop {
        let line_start = lines.at;
        let line = lines.next()?;
        if line.is_empty() {
            let goes_on = leniency.blank_line_between_headers && !list.is_empty();
            let declares = |prefix: &str| list.iter().any(|above| declared_prefix(above) == Some(prefix));
            if goes_on && lines.peek().is_ok_and(|next| is_known(&next, declares)) {
                tolerated.push(Tolerated::BlankLineBetweenHeaders);
                continue;
            }
            break lines.at;
        }
        if leniency.single_block && !list.is_empty() && is_mime_field(&line) {
            tolerated.push(Tolerated::SingleBlock);
            break line_start;
        }
        LimitExceeded::check("cpim.max_headers", list.len().saturating_add(1), limits.max_headers)?;
        let (header, loose) = Header::read(line, lines.number, &rules)?;
        if loose {
            tolerated.push(Tolerated::LooseWhitespace);
        }
        list.push(header);
    };
    if list.is_empty() {
        return Err(CpimError::NoHeaders);
    }
    Ok((Headers::from_list(list), content_start))
}

/// Every prefix is declared above its use, and for one namespace only (RFC 3862 §3.4).
fn check_scope(
    headers: &Headers,
    leniency: &Leniency,
    tolerated: &mut Vec<Tolerated>,
) -> Result<(), CpimError> {
    let mut scope = Scope::default();
    for (index, header) in headers.iter().enumerate() {
        if scope.namespace(header.prefix()).is_none() {
            if !leniency.undeclared_prefix {
                let prefix = String::from(header.prefix().unwrap_or_default());
                return Err(CpimError::UndeclaredPrefix { prefix });
            }
            tolerated.push(Tolerated::UndeclaredPrefix);
        }
        scope.enter(header).map_err(|fault| match fault {
            ScopeFault::Syntax => CpimError::NamespaceSyntax { line: index.saturating_add(1) },
            ScopeFault::Redeclared(prefix) => CpimError::PrefixRedeclared { prefix: String::from(prefix) },
        })?;
    }
    Ok(())
}

/// The name before the colon of a line, where there is one.
fn name_of(line: &[u8]) -> &str {
    let colon = memchr::memchr(b':', line).unwrap_or(0);
    line.get(..colon).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
}

/// Whether a line is a MIME header field: RFC 2045 §9 gives `Content-` to them.
pub(crate) fn is_mime_field(line: &[u8]) -> bool {
    let name = name_of(line);
    name.eq_ignore_ascii_case("MIME-Version")
        || name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("Content-"))
}

/// Whether a line behind a blank one can only be one more message header field; `declares` says whether a prefix is
/// declared above it.
pub(crate) fn is_known(line: &[u8], declares: impl Fn(&str) -> bool) -> bool {
    let name = name_of(line);
    match name.split_once('.') {
        Some((prefix, _)) => declares(prefix),
        None => matches!(
            name,
            "From" | "To" | "cc" | "DateTime" | "Subject" | "NS" | "Require" | "Message-Direction"
        ),
    }
}

/// The prefix that a line declares, if it is an NS field, whatever that is in its place.
pub(crate) fn declared_prefix(header: &Header) -> Option<&str> {
    if header.name() == "NS" { grammar::namespace(header.value())?.0 } else { None }
}

/// Where the message starts behind a block of MIME header fields that announces message/cpim; 0 where there is none.
fn repeated_block(bytes: &Bytes, limits: &Limits) -> usize {
    let mut lines = Lines::new(bytes, 0, limits);
    let mut announced = false;
    while let Ok(line) = lines.next() {
        if line.is_empty() {
            return if announced { lines.at } else { 0 };
        }
        if !is_mime_field(&line) {
            return 0;
        }
        let value = core::str::from_utf8(&line).ok().and_then(|line| line.split_once(':'));
        announced |= value.is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("Content-Type")
                && ContentType::parse(value.trim()).is_ok_and(|content_type| content_type.is("message/cpim"))
        });
    }
    0
}

#[cfg(test)]
mod tests;
