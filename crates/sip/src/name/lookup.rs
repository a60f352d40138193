//! Which known name some octets are: a hash table that the compiler fills from the table of names.

use super::{HeaderName, LONG};

/// At least four times as many slots as names: nearly every name is found, or found missing, at the first look.
const SLOTS: usize = (LONG.len() * 4).next_power_of_two();
static TABLE: [Entry; SLOTS] = fill();
/// Where the name of a compact form stands in the table of names.
static LETTERS: [u8; 26] = letters();
const FREE: u8 = u8::MAX;

/// A name in words: its first, its middle and its last octets, and how many there are.
#[derive(Clone, Copy)]
struct Entry {
    words: Words,
    length: usize,
    at: u8,
}

type Words = (u64, u64, u64);

/// The place of a name in the table of names, whatever its spelling.
#[inline]
pub(super) fn position(name: &[u8]) -> Option<usize> {
    if let [letter] = name {
        let letter = usize::from(letter.to_ascii_lowercase().checked_sub(b'a')?);
        return LETTERS.get(letter).copied().filter(|at| *at != FREE).map(usize::from);
    }
    let words = words(name);
    let mut slot = hash(words, name.len());
    loop {
        let entry = TABLE.get(slot)?;
        // Most names are spelled as the table has them.
        if entry.length == name.len()
            && (is_equal(entry.words, words) || is_equal_in_lower_case(entry.words, words))
        {
            let at = usize::from(entry.at);
            let covered = name.len() <= 24;
            return (covered || LONG.get(at)?.as_bytes().eq_ignore_ascii_case(name)).then_some(at);
        }
        if entry.at == FREE {
            return None;
        }
        slot = next(slot);
    }
}

/// The first, the middle and the last octets of a name; they overlap where it is short.
#[inline]
const fn words(name: &[u8]) -> Words {
    if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        let middle = match name.split_at_checked(8) {
            Some((_, rest)) if rest.len() > 8 => rest.first_chunk::<8>(),
            _ => None,
        };
        let middle = match middle {
            Some(middle) => u64::from_le_bytes(*middle),
            None => 0,
        };
        return (u64::from_le_bytes(*first), middle, u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64);
        return (first | (last << 32), 0, 0);
    }
    match name {
        [a, b, c] => (u32::from_le_bytes([*a, *b, *c, 0]) as u64, 0, 0),
        [a, b] => (u16::from_le_bytes([*a, *b]) as u64, 0, 0),
        _ => (0, 0, 0),
    }
}

#[inline]
const fn is_equal(a: Words, b: Words) -> bool {
    ((a.0 ^ b.0) | (a.1 ^ b.1) | (a.2 ^ b.2)) == 0
}

/// Whether both are the same but for their case. Apart, so that its work is not done for the usual spellings too.
#[cold]
#[inline(never)]
const fn is_equal_in_lower_case(a: Words, b: Words) -> bool {
    let differs = (lower(a.0) ^ lower(b.0)) | (lower(a.1) ^ lower(b.1)) | (lower(a.2) ^ lower(b.2));
    differs == 0
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

const fn hash((first, _, last): Words, length: usize) -> usize {
    // Letters of either case have one hash. Multipliers of Fibonacci hashing; the upper bits are the mixed ones.
    let (first, last) = (first | u64::from_le_bytes([0x20; 8]), last | u64::from_le_bytes([0x20; 8]));
    let mixed = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ last.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let upper = (mixed >> 48) as usize;
    (upper ^ length) & (SLOTS - 1)
}

const fn next(slot: usize) -> usize {
    slot.wrapping_add(1) & (SLOTS - 1)
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
const fn fill() -> [Entry; SLOTS] {
    assert!(LONG.len() < FREE as usize && SLOTS <= 1 << 16);
    let mut table = [Entry { words: (0, 0, 0), length: 0, at: FREE }; SLOTS];
    let mut at = 0;
    while at < LONG.len() {
        let name = LONG[at].as_bytes();
        let words = words(name);
        let mut slot = hash(words, name.len());
        while table[slot].at != FREE {
            slot = next(slot);
        }
        table[slot] = Entry { words, length: name.len(), at: at as u8 };
        at += 1;
    }
    table
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
