//! The plain head: every line ends with CRLF, nothing is folded, nothing is at fault. Nearly all heads are plain.
//!
//! Cuts such a head in one pass that goes from control character to control character, and gives up at whatever is not
//! plain; the tolerant reading of [`super::read`] then says what it is. Both give the same for a plain head.

use super::{Span, sweep, trim_end, trim_start};
use crate::grammar::parse_u32;
use crate::headers::Fields;
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::steps;
use bytes::Bytes;

/// Where a plain head was cut.
pub(crate) struct Cut {
    /// Where the start-line ends, its line end included.
    pub(crate) start_line_end: usize,
    pub(crate) content_length: Option<usize>,
    /// Where the head ends, after the empty line.
    pub(crate) end: usize,
}

/// Cuts the head that begins at `start`, and puts its fields into `fields`; the start-line is not looked into.
#[inline]
pub(crate) fn cut(source: &Bytes, start: usize, limits: &Limits, fields: &mut Fields) -> Option<Cut> {
    let octets: &[u8] = source;
    let mut ends = sweep::LineEnds::new(octets, start);
    let start_line_end = ends.next()?;
    let (mut line_start, mut content_length) = (start_line_end, None);
    loop {
        let end = ends.next()?;
        let line = octets.get(line_start..end)?;
        if line.len() == 2 {
            // An empty line: its CRLF is all of it.
            let whole = end.wrapping_sub(start);
            steps::visit(whole);
            return (whole <= limits.max_header_bytes).then_some(Cut { start_line_end, content_length, end });
        }
        let length = field(source, line, (line_start, end), limits, fields)?;
        if length.is_some() && content_length.is_some() {
            return None;
        }
        content_length = content_length.or(length);
        line_start = end;
    }
}

/// A line that ends with CRLF and holds no other control character. Gives the number of a Content-Length.
#[inline]
fn field(
    source: &Bytes,
    line: &[u8],
    span: Span,
    limits: &Limits,
    fields: &mut Fields,
) -> Option<Option<usize>> {
    let colon = sweep::colon(line)?;
    steps::visit(line.len());
    if line.len() > limits.max_header_line || fields.len() >= limits.max_headers {
        return None;
    }
    let mut value_start = span.0.wrapping_add(colon).wrapping_add(1);
    let mut value_end = span.1.wrapping_sub(2);
    // White space is spaces here: tabs are control characters.
    if source.get(value_start) == Some(&b' ') {
        value_start = value_start.wrapping_add(1);
    }
    let mut value = source.get(value_start..value_end)?;
    if matches!(value, [b' ', ..] | [.., b' ']) {
        (value_start, value_end) = trimmed(value, value_start);
        value = source.get(value_start..value_end)?;
    }
    if value.is_empty() {
        return None; // Rare, and where nothing begins is a matter of its own.
    }
    let value_span = (value_start, value_end);
    let Some(place) = HeaderName::place_at(source.get(span.0..)?, colon) else {
        let octets = source.slice(span.0..span.0.saturating_add(colon));
        fields.push_other(HeaderName::other(octets)?, span, value_span);
        return Some(None);
    };
    fields.push_received(place, span, value_span);
    if place == HeaderName::ContentLength.place() {
        let length = parse_u32(value).and_then(|length| usize::try_from(length).ok())?;
        return Some(Some(length));
    }
    Some(None)
}

/// Where a value begins and ends without the spaces around it.
#[cold]
fn trimmed(value: &[u8], start: usize) -> Span {
    let before = trim_end(value);
    let end = start.saturating_add(before.len());
    (end.saturating_sub(trim_start(before).len()), end)
}

#[cfg(test)]
mod tests;
