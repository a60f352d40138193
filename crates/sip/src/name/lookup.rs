//! Which known name some octets are: a hash table that the compiler fills from the table of names.

use super::{HeaderName, LONG};

/// At least four times as many slots as names: nearly every name is found, or found missing, at the first look.
const SLOTS: usize = (LONG.len() * 4).next_power_of_two();
static TABLE: [Entry; SLOTS] = fill();
/// Where the name of a compact form stands in the table of names.
static LETTERS: [u8; 26] = letters();
/// Keeps so many of the first octets of two words.
static KEEP: [Half; 16] = keep();
const FREE: u8 = u8::MAX;

/// A name in words, and how many octets it has.
#[derive(Clone, Copy)]
struct Entry {
    words: Words,
    length: usize,
    at: u8,
}

/// The first and the last 16 octets of a name, which overlap where it is shorter than 32. Of a name that is shorter
/// than 16 the first ones and zeros, and no last ones. No name of the table is longer than 32.
type Words = (Half, Half);
type Half = (u64, u64);

const LONGEST: usize = 32;

/// The place of a name in the table of names, whatever its spelling.
pub(super) fn position(name: &[u8]) -> Option<u8> {
    position_at(name, name.len())
}

/// The same for the name that is so many of the first octets. What follows it makes the look cheaper.
#[inline]
pub(super) fn position_at(octets: &[u8], length: usize) -> Option<u8> {
    if length == 1 {
        let letter = usize::from(octets.first()?.to_ascii_lowercase().checked_sub(b'a')?);
        return LETTERS.get(letter).copied().filter(|at| *at != FREE);
    }
    let words = words(octets, length)?;
    let slot = hash(words, length);
    let entry = TABLE.get(slot)?;
    // Most names are spelled as the table has them, and stand where they are looked for first.
    if entry.length == length && is_equal(&entry.words, &words) {
        return Some(entry.at);
    }
    position_from(slot, &words, length)
}

/// Looks for a name in whatever case. Apart, so that its work is not done for the usual spellings too.
#[cold]
#[inline(never)]
fn position_from(mut slot: usize, words: &Words, length: usize) -> Option<u8> {
    loop {
        let entry = TABLE.get(slot)?;
        if entry.length == length && is_equal(&lower_case(&entry.words), &lower_case(words)) {
            return Some(entry.at);
        }
        if entry.at == FREE {
            return None;
        }
        slot = next(slot);
    }
}

#[inline]
fn words(octets: &[u8], length: usize) -> Option<Words> {
    if let Some(keep) = KEEP.get(length) {
        let first = match octets.first_chunk::<16>() {
            Some(first) => half(first),
            None => half_of_few(octets),
        };
        return Some(((first.0 & keep.0, first.1 & keep.1), (0, 0)));
    }
    let name = octets.get(..length).filter(|name| name.len() <= LONGEST)?;
    Some((half(name.first_chunk()?), half(name.last_chunk()?)))
}

#[cold]
#[inline(never)]
fn half_of_few(octets: &[u8]) -> Half {
    half(&padded(octets))
}

#[inline]
const fn half(octets: &[u8; 16]) -> Half {
    let octets = u128::from_le_bytes(*octets);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    (octets as u64, (octets >> 64) as u64)
}

const fn padded(octets: &[u8]) -> [u8; 16] {
    let mut padded = [0; 16];
    let (mut to, mut from) = (padded.as_mut_slice(), octets);
    while let ([first, to_rest @ ..], [octet, from_rest @ ..]) = (to, from) {
        *first = *octet;
        (to, from) = (to_rest, from_rest);
    }
    padded
}

#[inline]
const fn is_equal(a: &Words, b: &Words) -> bool {
    let first = (a.0.0 ^ b.0.0) | (a.0.1 ^ b.0.1);
    let last = (a.1.0 ^ b.1.0) | (a.1.1 ^ b.1.1);
    (first | last) == 0
}

const fn lower_case(words: &Words) -> Words {
    let (first, last) = *words;
    ((lower(first.0), lower(first.1)), (lower(last.0), lower(last.1)))
}

/// Eight octets at once in lower case. In each the high bit is set to say whether it is a capital letter.
const fn lower(octets: u64) -> u64 {
    const fn each(octet: u8) -> u64 {
        u64::from_le_bytes([octet; 8])
    }
    let low = octets & each(0x7f);
    let from_a = low.wrapping_add(each(0x80 - b'A'));
    let beyond_z = low.wrapping_add(each(0x7f - b'Z'));
    let capital = (from_a ^ beyond_z) & !octets & each(0x80);
    octets | (capital >> 2)
}

#[inline]
const fn hash(((first, second), _): Words, length: usize) -> usize {
    // Letters of either case have one hash. Multipliers of Fibonacci hashing; the upper bits are the mixed ones.
    const LOWER: u64 = u64::from_le_bytes([0x20; 8]);
    let mixed = (first | LOWER).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (second | LOWER).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let upper = (mixed >> 48) as usize;
    (upper ^ length) & (SLOTS - 1)
}

const fn next(slot: usize) -> usize {
    slot.wrapping_add(1) & (SLOTS - 1)
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
const fn fill() -> [Entry; SLOTS] {
    assert!(LONG.len() < FREE as usize && SLOTS <= 1 << 16);
    let mut table = [Entry { words: ((0, 0), (0, 0)), length: usize::MAX, at: FREE }; SLOTS];
    let mut at = 0;
    while at < LONG.len() {
        let name = LONG[at].as_bytes();
        assert!(name.len() > 1 && name.len() <= LONGEST);
        let words = match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => (half(first), half(last)),
            _ => (half(&padded(name)), (0, 0)),
        };
        let mut slot = hash(words, name.len());
        while table[slot].at != FREE {
            slot = next(slot);
        }
        table[slot] = Entry { words, length: name.len(), at: at as u8 };
        at += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn keep() -> [Half; 16] {
    let mut keep = [(0, 0); 16];
    let mut length = 0;
    while length < keep.len() {
        keep[length] =
            if length < 8 { ((1 << (8 * length)) - 1, 0) } else { (u64::MAX, (1 << (8 * (length - 8))) - 1) };
        length += 1;
    }
    keep
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
const fn letters() -> [u8; 26] {
    let mut letters = [FREE; 26];
    let mut at = 0;
    while at < HeaderName::KNOWN.len() {
        if let Some(letter) = HeaderName::KNOWN[at].compact() {
            letters[letter as usize - 'a' as usize] = at as u8;
        }
        at += 1;
    }
    letters
}

#[cfg(test)]
mod tests;
