//! Looks at many octets at once: vectors of 16 octets, with one bit of a mask for each.

use wide::i8x16;

/// Octets that one mask covers.
const BLOCK: usize = 64;

/// Walks over the line ends of a head. Ends early at a control character that is not part of a CRLF; whoever walks knows
/// from the empty line whether the head was whole.
pub(super) struct LineEnds<'a> {
    octets: &'a [u8],
    /// Where the octets of the mask begin.
    at: usize,
    /// A bit for each suspect octet that was not looked at yet.
    suspects: u64,
    /// After the last line end.
    end: usize,
}

impl<'a> LineEnds<'a> {
    #[inline]
    pub(super) fn new(octets: &'a [u8], start: usize) -> LineEnds<'a> {
        LineEnds { octets, at: start, suspects: suspects_at(octets, start), end: start }
    }

    /// Where the next line ends, its CRLF included.
    #[inline]
    pub(super) fn next(&mut self) -> Option<usize> {
        loop {
            while self.suspects == 0 {
                self.at = self.at.wrapping_add(BLOCK);
                if self.at >= self.octets.len() {
                    return None;
                }
                self.suspects = suspects_at(self.octets, self.at);
                if self.at < self.end {
                    // The LF of the last line end begins this block.
                    self.suspects &= self.suspects.wrapping_sub(1);
                }
            }
            let at = self.at.wrapping_add(bit(self.suspects));
            self.suspects &= self.suspects.wrapping_sub(1);
            match self.octets.get(at..)? {
                [b'\r', b'\n', ..] => {
                    self.suspects &= self.suspects.wrapping_sub(1);
                    self.end = at.wrapping_add(2);
                    return Some(self.end);
                }
                // Suspected only because that is cheaper.
                [0x80..=0xff, ..] => {}
                _ => return None,
            }
        }
    }
}

/// Where the first colon stands. Names are short: the first look nearly always finds it.
#[inline]
pub(super) fn colon(line: &[u8]) -> Option<usize> {
    let (pieces, rest) = line.as_chunks::<16>();
    let mut before = 0usize;
    for piece in pieces {
        let colons = vector(piece).simd_eq(i8x16::splat(b':'.cast_signed())).to_bitmask();
        if colons != 0 {
            return Some(before.wrapping_add(bit(u64::from(colons))));
        }
        before = before.wrapping_add(16);
    }
    Some(before.wrapping_add(rest.iter().position(|octet| *octet == b':')?))
}

/// A bit for each octet from `at` on that is a control character, or not ASCII.
#[inline]
fn suspects_at(octets: &[u8], at: usize) -> u64 {
    let rest = octets.get(at..).unwrap_or_default();
    match rest.first_chunk::<BLOCK>() {
        Some(block) => suspects(block),
        None => suspects_of_few(rest),
    }
}

#[inline]
#[expect(clippy::arithmetic_side_effects, reason = "vectors add without overflow")]
fn suspects(block: &[u8; BLOCK]) -> u64 {
    let (pieces, _) = block.as_chunks::<16>();
    pieces.iter().rev().fold(0u64, |mask, piece| {
        // One comparison instead of two: DEL becomes the lowest of numbers. What is not ASCII comes along.
        let next = vector(piece) + i8x16::splat(1);
        mask << 16 | u64::from(next.simd_lt(i8x16::splat(0x21)).to_bitmask())
    })
}

/// The same for less than a block.
#[cold]
fn suspects_of_few(octets: &[u8]) -> u64 {
    let mut block = [b' '; BLOCK];
    for (to, from) in block.iter_mut().zip(octets) {
        *to = *from;
    }
    suspects(&block)
}

#[inline]
fn vector(octets: &[u8; 16]) -> i8x16 {
    i8x16::new(octets.map(u8::cast_signed))
}

/// The place of the lowest bit.
#[inline]
fn bit(mask: u64) -> usize {
    usize::try_from(mask.trailing_zeros()).unwrap_or(BLOCK)
}
