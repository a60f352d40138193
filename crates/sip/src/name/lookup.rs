//! Which known name some octets are: a hash table that the compiler fills from the table of names.

use super::{HeaderName, LONG};

/// At least four times as many slots as names: nearly every name is found, or found missing, at the first look.
const SLOTS: usize = (LONG.len() * 4).next_power_of_two();
const FREE: u8 = u8::MAX;
const TABLE: [u8; SLOTS] = fill();
/// Where the name of a compact form stands in the table of names.
const LETTERS: [u8; 26] = letters();

/// The place of a name in the table of names, whatever its spelling.
#[inline]
pub(super) fn position(name: &[u8]) -> Option<usize> {
    let (first, last) = (name.first()?, name.last()?);
    let middle = name.get(name.len() / 2)?;
    if name.len() == 1 {
        let letter = usize::from(first.to_ascii_lowercase().checked_sub(b'a')?);
        return LETTERS.get(letter).copied().filter(|at| *at != FREE).map(usize::from);
    }
    let mut slot = hash(name.len(), *first, *middle, *last);
    loop {
        let at = usize::from(*TABLE.get(slot)?);
        let long = LONG.get(at)?.as_bytes();
        if long == name || long.eq_ignore_ascii_case(name) {
            return Some(at);
        }
        slot = next(slot);
    }
}

/// Length and three octets tell the names apart; their case does not count.
const fn hash(length: usize, first: u8, middle: u8, last: u8) -> usize {
    let octets = u32::from_le_bytes([first | 0x20, middle | 0x20, last | 0x20, length.to_le_bytes()[0]]);
    // The multiplier of Fibonacci hashing; the upper bits are the mixed ones.
    (octets.wrapping_mul(0x9e37_79b1) >> 16) as usize & (SLOTS - 1)
}

const fn next(slot: usize) -> usize {
    slot.wrapping_add(1) & (SLOTS - 1)
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
const fn fill() -> [u8; SLOTS] {
    assert!(LONG.len() < FREE as usize && SLOTS <= 1 << 16);
    let mut table = [FREE; SLOTS];
    let mut at = 0;
    while at < LONG.len() {
        let name = LONG[at].as_bytes();
        let mut slot = hash(name.len(), name[0], name[name.len() / 2], name[name.len() - 1]);
        while table[slot] != FREE {
            slot = next(slot);
        }
        table[slot] = at as u8;
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
