//! The plain head: every line ends with CRLF, nothing is folded, nothing is at fault. Nearly all heads are plain.
//!
//! Cuts such a head in two passes that go from line end to line end and from control character to control character,
//! and gives up at whatever is not plain; the tolerant reading of [`super::read`] then says what it is. Both give
//! the same for a plain head.

use super::{Span, trim_end, trim_start};
use crate::grammar::parse_u32;
use crate::headers::Headers;
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::steps;
use bytes::Bytes;
use memchr::memchr_iter;

/// A plain head, cut into pieces.
pub(crate) struct Cut {
    /// Where the start-line ends, its line end included.
    pub(crate) start_line_end: usize,
    pub(crate) headers: Headers,
    pub(crate) content_length: Option<usize>,
    /// Where the head ends, after the empty line.
    pub(crate) end: usize,
}

/// Cuts the head that begins at `start`; the start-line is not looked into.
#[inline]
pub(crate) fn cut(source: &Bytes, start: usize, limits: &Limits) -> Option<Cut> {
    let octets = source.get(start..)?;
    let mut ends = memchr_iter(b'\n', octets).map(|at| start.saturating_add(at).saturating_add(1));
    let start_line_end = ends.next()?;
    if !source.get(start..start_line_end)?.ends_with(b"\r\n") {
        return None;
    }
    let headers = Headers::received(source.clone(), *limits);
    let mut cut = Cut { start_line_end, headers, content_length: None, end: 0 };
    let mut line_start = start_line_end;
    for end in ends {
        let line = source.get(line_start..end)?;
        if line == b"\r\n" {
            let lines = cut.headers.len().saturating_add(2);
            let whole = source.get(start..end)?;
            steps::visit(whole.len());
            cut.end = end;
            let plain = whole.len() <= limits.max_header_bytes && is_tidy(whole, lines);
            return plain.then_some(cut);
        }
        field(source, line, (line_start, end), limits, &mut cut)?;
        line_start = end;
    }
    None
}

#[inline]
fn field(source: &Bytes, line: &[u8], span: Span, limits: &Limits, cut: &mut Cut) -> Option<()> {
    let colon = colon(line)?;
    steps::visit(line.len());
    if line.len() > limits.max_header_line || cut.headers.len() >= limits.max_headers {
        return None;
    }
    let (name, rest) = line.split_at_checked(colon)?;
    let before = trim_end(rest.get(1..)?.strip_suffix(b"\r\n")?);
    let value = trim_start(before);
    let value_end = span.0.saturating_add(colon).saturating_add(1).saturating_add(before.len());
    let value_span = (value_end.saturating_sub(value.len()), value_end);
    let Some(known) = HeaderName::known(name) else {
        let octets = source.slice(span.0..span.0.saturating_add(colon));
        cut.headers.push_other(HeaderName::other(octets)?, span, value_span);
        return Some(());
    };
    if matches!(known, HeaderName::ContentLength) {
        let length = parse_u32(value).and_then(|length| usize::try_from(length).ok())?;
        if cut.content_length.replace(length).is_some() {
            return None;
        }
    }
    cut.headers.push_received(known, span, value_span);
    Some(())
}

/// Where the first colon stands. Names are short: eight octets at a time take one or two looks.
#[inline]
fn colon(line: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const COLONS: u64 = u64::from_ne_bytes([b':'; 8]);
    let (words, rest) = line.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        // An octet is zero where a colon stands; the lowest high bit that is set belongs to the first of them.
        let octets = u64::from_le_bytes(*word) ^ COLONS;
        let zeros = octets.wrapping_sub(ONES) & !octets & (ONES << 7);
        if zeros != 0 {
            let within = usize::try_from(zeros.trailing_zeros() / 8).unwrap_or(0);
            return Some(i.saturating_mul(8).saturating_add(within));
        }
    }
    let within = rest.iter().position(|octet| *octet == b':')?;
    Some(words.len().saturating_mul(8).saturating_add(within))
}

/// Whether the line ends are the only control characters. Each line ends with CRLF, which is two of them.
pub(super) fn is_tidy(octets: &[u8], lines: usize) -> bool {
    let line_ends = lines.saturating_mul(2);
    // Cheaper by a third: also counts what is not ASCII, which most heads do not hold.
    let suspect = |octet: u8| octet.wrapping_add(1).cast_signed() <= 0x20;
    // Tabs are counted too: they are rare enough to be left to the tolerant reading.
    let control = |octet: u8| octet < 0x20 || octet == 0x7f;
    count(octets, suspect) == line_ends || count(octets, control) == line_ends
}

/// How many octets are such. Counted in pieces of which eight bits can keep count: the compiler makes vectors of them.
#[inline]
fn count(octets: &[u8], such: impl Fn(u8) -> bool) -> usize {
    let of =
        |piece: &[u8]| usize::from(piece.iter().fold(0u8, |sum, o| sum.wrapping_add(u8::from(such(*o)))));
    let (pieces, rest) = octets.as_chunks::<128>();
    let (small, rest) = rest.as_chunks::<16>();
    let in_pieces = pieces.iter().fold(0usize, |sum, piece| sum.saturating_add(of(piece)));
    let in_small = small.iter().fold(0usize, |sum, piece| sum.saturating_add(of(piece)));
    in_pieces.saturating_add(in_small).saturating_add(of(rest))
}
