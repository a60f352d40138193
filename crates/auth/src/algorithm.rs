//! The hash algorithms of digest (RFC 7616 §3.3, RFC 3310 §3.1) and the qualities of protection.

use crate::AuthError;
use alloc::string::String;
use core::fmt::{self, Write};
use md5::Digest as _;

/// What hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// 128 bits; kept for peers that know nothing else.
    Md5,
    /// 256 bits; what every implementation has.
    Sha256,
    /// SHA-512/256 of FIPS 180-4: 256 bits with initial values of its own, which is not SHA-512 cut off.
    Sha512_256,
}

impl HashFunction {
    /// The hash of the pieces with a colon between every two, in lower-case hexadecimal.
    pub(crate) fn of(self, pieces: &[&[u8]]) -> String {
        match self {
            HashFunction::Md5 => hex(&absorb(md5::Md5::new(), pieces).finalize()),
            HashFunction::Sha256 => hex(&absorb(sha2::Sha256::new(), pieces).finalize()),
            HashFunction::Sha512_256 => hex(&absorb(sha2::Sha512_256::new(), pieces).finalize()),
        }
    }

    /// Hexadecimal digits of a hash: 32 or 64.
    #[must_use]
    pub const fn hex_len(self) -> usize {
        match self {
            HashFunction::Md5 => 32,
            HashFunction::Sha256 | HashFunction::Sha512_256 => 64,
        }
    }
}

fn absorb<D: md5::Digest>(mut state: D, pieces: &[&[u8]]) -> D {
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            state.update(b":");
        }
        state.update(piece);
    }
    state
}

fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().saturating_mul(2));
    for octet in octets {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// The `algorithm` of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `MD5`; also what a challenge means that does not say.
    Md5,
    /// `MD5-sess`.
    Md5Session,
    /// `AKAv1-MD5`: the password is the result of AKA (RFC 3310).
    AkaV1Md5,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Session,
    /// `SHA-512-256`.
    Sha512_256,
    /// `SHA-512-256-sess`.
    Sha512_256Session,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 7] = [
        Algorithm::Md5,
        Algorithm::Md5Session,
        Algorithm::AkaV1Md5,
        Algorithm::Sha256,
        Algorithm::Sha256Session,
        Algorithm::Sha512_256,
        Algorithm::Sha512_256Session,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Session => "MD5-sess",
            Algorithm::AkaV1Md5 => "AKAv1-MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Session => "SHA-256-sess",
            Algorithm::Sha512_256 => "SHA-512-256",
            Algorithm::Sha512_256Session => "SHA-512-256-sess",
        }
    }

    /// Reads a name, whatever its case.
    ///
    /// # Errors
    /// [`AuthError::UnknownAlgorithm`].
    pub fn parse(name: &str) -> Result<Self, AuthError> {
        let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| AuthError::UnknownAlgorithm(String::from(name)))
    }

    /// What hashes.
    #[must_use]
    pub const fn hash(self) -> HashFunction {
        match self {
            Algorithm::Md5 | Algorithm::Md5Session | Algorithm::AkaV1Md5 => HashFunction::Md5,
            Algorithm::Sha256 | Algorithm::Sha256Session => HashFunction::Sha256,
            Algorithm::Sha512_256 | Algorithm::Sha512_256Session => HashFunction::Sha512_256,
        }
    }

    /// Whether the key is one of a session: made of the first nonce and cnonce as well.
    #[must_use]
    pub const fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Session | Algorithm::Sha256Session | Algorithm::Sha512_256Session)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Quality of protection: what the digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qop {
    /// `auth`: method and URI.
    Auth,
    /// `auth-int`: the body as well.
    AuthInt,
}

impl Qop {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }

    /// Reads a name, whatever its case; `None` for one that is not known.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| qop.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Qop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
