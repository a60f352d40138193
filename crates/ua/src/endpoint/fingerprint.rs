//! What transactions are found by: 128 bits of a keyed hash instead of the texts themselves (RFC 3261 §17.1.3, §17.2.3).
//!
//! SipHash-2-4 with a result of 128 bits: who does not know the key cannot make two texts meet, and by chance they do not.

/// The keyed hash of some texts.
pub(super) type Fingerprint = u128;

struct State {
    v: [u64; 4],
    /// Octets that do not fill a word yet.
    tail: u64,
    length: u64,
}

impl State {
    fn new(key: u64) -> State {
        let (k0, k1) = (key, key.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
        State {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            length: 0,
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
    }

    fn octet(&mut self, octet: u8) {
        self.tail |=
            u64::from(octet).rotate_left(u32::try_from(self.length & 7).unwrap_or(0).wrapping_mul(8));
        self.length = self.length.wrapping_add(1);
        if self.length & 7 == 0 {
            let word = core::mem::take(&mut self.tail);
            self.word(word);
        }
    }

    fn finish(mut self) -> Fingerprint {
        let last = self.tail | self.length.rotate_left(56) & 0xff00_0000_0000_0000;
        self.word(last);
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

/// The fingerprint of texts in order; where one ends and the next begins counts.
pub(super) fn fingerprint(key: u64, texts: &[&[u8]]) -> Fingerprint {
    let mut state = State::new(key);
    for text in texts {
        for octet in *text {
            state.octet(*octet);
        }
        for octet in u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes() {
            state.octet(octet);
        }
    }
    state.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

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
