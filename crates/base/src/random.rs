//! Randomness from a seed.

use alloc::string::String;
use alloc::vec::Vec;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// 32 octets of entropy that a host gives to a machine at construction; never printed.
#[derive(Clone)]
pub struct Seed([u8; 32]);

impl Seed {
    /// From octets that nobody else knows (a test may use a constant).
    #[must_use]
    pub const fn new(octets: [u8; 32]) -> Self {
        Seed(octets)
    }
}

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed([redacted])")
    }
}

/// A CSPRNG (ChaCha20) with two streams that never meet: one for identifiers that peers see (branch, tag, Call-ID,
/// UUID), one for secrets (MSRP session-ids, nonces). What an observer learns of the first says nothing of the second.
#[derive(Clone)]
pub struct Random {
    public: ChaCha20Rng,
    secret: ChaCha20Rng,
}

/// The 32 letters of identifiers: lower case, without letters that are easily mistaken. 5 bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

impl Random {
    /// Both streams from one seed.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        let mut public = ChaCha20Rng::from_seed(seed.0);
        let mut secret = ChaCha20Rng::from_seed(seed.0);
        public.set_stream(1);
        secret.set_stream(2);
        Random { public, secret }
    }

    /// A seed for a machine inside this one, from the secret stream: machines get independent randomness from one seed.
    pub fn fork(&mut self) -> Seed {
        let mut octets = [0; 32];
        self.secret.fill_bytes(&mut octets);
        Seed(octets)
    }

    /// 64 bits of the public stream.
    pub fn public_u64(&mut self) -> u64 {
        self.public.next_u64()
    }

    /// A public identifier of `letters` letters out of 32: 5 bits each, valid as a SIP token and in a URI.
    /// 26 letters hold 130 bits.
    pub fn public_token(&mut self, letters: usize) -> String {
        token(&mut self.public, letters)
    }

    /// A secret identifier, made like [`Random::public_token`] from the secret stream.
    pub fn secret_token(&mut self, letters: usize) -> String {
        token(&mut self.secret, letters)
    }

    /// A random (version 4) UUID in lower case (RFC 4122 §4.4), from the public stream.
    pub fn uuid(&mut self) -> String {
        let mut octets = [0u8; 16];
        self.public.fill_bytes(&mut octets);
        let mut text = String::with_capacity(36);
        for (i, octet) in octets.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let octet = match i {
                6 => (octet & 0x0f) | 0x40,
                8 => (octet & 0x3f) | 0x80,
                _ => *octet,
            };
            text.push(hex(octet >> 4));
            text.push(hex(octet & 0x0f));
        }
        text
    }
}

impl core::fmt::Debug for Random {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Random([redacted])")
    }
}

fn hex(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

fn token(rng: &mut ChaCha20Rng, letters: usize) -> String {
    /// Octets of the stream that one letter takes: it is drawn in words.
    const WORD: usize = 4;
    let mut text = Vec::with_capacity(letters);
    let mut octets = [0u8; 32 * WORD];
    while text.len() < letters {
        let left = letters.saturating_sub(text.len()).saturating_mul(WORD).min(octets.len());
        let Some(drawn) = octets.get_mut(..left) else { break };
        rng.fill_bytes(drawn);
        let letter = |octet: u8| ALPHABET.get(usize::from(octet & 31)).copied().unwrap_or(b'a');
        text.extend(drawn.as_chunks::<WORD>().0.iter().map(|[octet, ..]| letter(*octet)));
    }
    // They are ASCII.
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::format;

    #[test]
    fn streams_do_not_meet_and_replay() {
        let mut a = Random::new(Seed::new([1; 32]));
        let mut b = Random::new(Seed::new([1; 32]));
        let (public, secret) = (a.public_token(26), a.secret_token(26));
        assert_ne!(public, secret);
        // Drawing public identifiers does not move the secret stream.
        assert_eq!(b.secret_token(26), secret);
        assert_eq!(b.public_token(26), public);
        assert!(!format!("{a:?} {:?}", Seed::new([9; 32])).contains('9'));
    }

    /// A long identifier is what short ones would be, one behind the other: whatever is drawn at once.
    #[test]
    fn letters_are_drawn_one_by_one() {
        let mut whole = Random::new(Seed::new([5; 32]));
        let mut parts = whole.clone();
        let text = whole.public_token(171);
        let joined: String = [1, 32, 0, 33, 64, 41].map(|letters| parts.public_token(letters)).concat();
        assert_eq!((text.len(), &text), (171, &joined));
        assert!(text.bytes().all(|letter| ALPHABET.contains(&letter)));
        assert_eq!(whole.public_token(2_000).bytes().collect::<BTreeSet<u8>>().len(), 32);
    }

    #[test]
    fn uuids_are_version_4_and_distinct() {
        let mut random = Random::new(Seed::new([3; 32]));
        let mut seen = BTreeSet::new();
        for _ in 0..10_000 {
            let uuid = random.uuid();
            assert_eq!(uuid.len(), 36);
            assert_eq!(uuid.as_bytes()[14], b'4');
            assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
            assert!(seen.insert(uuid));
        }
    }
}
