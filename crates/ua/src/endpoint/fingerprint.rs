//! What transactions are found by: 128 bits of a keyed hash instead of the texts themselves (RFC 3261 §17.1.3, §17.2.3).
//!
//! SipHash-2-4 with a result of 128 bits: who does not know the key cannot make two texts meet, and by chance they do not.

use crate::table::Table;

/// The keyed hash of some texts.
pub(super) type Fingerprint = u128;

/// The fingerprint of texts in order; where one ends and the next begins counts.
pub(super) fn fingerprint(key: u64, texts: &[&[u8]]) -> Fingerprint {
    let mut hash = Hash::new(key);
    texts.iter().for_each(|text| hash.text(text));
    hash.finish()
}

/// The same of texts that come one after the other. What is hashed is words: of each text its length, then its octets, the
/// last word filled up with zeros: no text has to be shifted behind the one before it.
pub(super) struct Hash {
    v: [u64; 4],
    words: u64,
}

impl Hash {
    pub(super) fn new(key: u64) -> Hash {
        let (k0, k1) = (key, key.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
        Hash {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            words: 0,
        }
    }

    fn rounds(&mut self, count: usize) {
        let [mut a, mut b, mut c, mut d] = self.v;
        for _ in 0..count {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.v = [a, b, c, d];
    }

    fn word(&mut self, word: u64) {
        let [_, _, _, d] = &mut self.v;
        *d ^= word;
        self.rounds(2);
        let [a, ..] = &mut self.v;
        *a ^= word;
        self.words = self.words.wrapping_add(1);
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.word(u64::try_from(text.len()).unwrap_or(u64::MAX));
        let (words, rest) = text.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0u8; 8];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.word(u64::from_le_bytes(last));
        }
    }

    pub(super) fn finish(mut self) -> Fingerprint {
        // As many octets as there were, in the uppermost octet of the last word.
        self.word(self.words.wrapping_mul(8).rotate_left(56) & 0xff00_0000_0000_0000);
        let mut halves = [0u64; 2];
        for (half, mark) in halves.iter_mut().zip([0xee, 0xdd]) {
            let at = if mark == 0xee { 2 } else { 1 };
            if let Some(word) = self.v.get_mut(at) {
                *word ^= mark;
            }
            self.rounds(4);
            *half = self.v.iter().fold(0, |sum, word| sum ^ word);
        }
        let [low, high] = halves;
        u128::from(high).rotate_left(64) | u128::from(low)
    }
}

/// What is found by a fingerprint.
pub(super) type Index<V> = Table<Fingerprint, V>;

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of every length, and every way to cut one in two, have fingerprints of their own; zeros at the end count.
    #[test]
    fn where_a_text_is_cut_counts() {
        let octets = [0u8; 40];
        let mut seen = alloc::collections::BTreeSet::new();
        for end in 0..=octets.len() {
            assert!(seen.insert(fingerprint(7, &[&octets[..end]])), "{end}");
            for cut in 0..=end {
                let parts = [&octets[..cut], &octets[cut..end]];
                assert!(seen.insert(fingerprint(7, &parts)), "{cut} {end}");
            }
        }
    }

    /// Threat A19: every octet, where a text ends, and the key decide; nothing of the texts shows.
    #[test]
    fn every_octet_order_boundary_and_key_counts() {
        let texts: [&[&[u8]]; 8] = [
            &[b"ab", b"c"],
            &[b"a", b"bc"],
            &[b"abc"],
            &[b"abc", b""],
            &[b"", b"abc"],
            &[b"abd"],
            &[b"0123456789abcdef"],
            &[b"0123456789abcdeg"],
        ];
        let mut seen: alloc::collections::BTreeSet<Fingerprint> = alloc::collections::BTreeSet::new();
        for text in texts {
            assert!(seen.insert(fingerprint(1, text)) && seen.insert(fingerprint(2, text)));
            assert_eq!(fingerprint(1, text), fingerprint(1, text));
        }
        let halves = |f: Fingerprint| (f >> 64, f & u128::from(u64::MAX));
        assert!(
            seen.iter().all(|f| halves(*f).0 != halves(*f).1 && f.count_ones() > 30 && f.count_ones() < 98)
        );
    }
}
