//! The digests of RFC 7616 §3.4.1 to §3.4.3 and §3.5.

use crate::{Account, Algorithm, HashFunction, Protection, Qop, Secret};
use alloc::string::String;

/// Where the session of a `-sess` algorithm began: its key is made of the nonce of the challenge and the cnonce of the
/// first answer to it, whatever nonces follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStart {
    /// The nonce of the challenge.
    pub nonce: String,
    /// The cnonce of the first answer.
    pub cnonce: String,
}

/// What a digest is made over.
pub(crate) struct Material<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) account: &'a Account,
    pub(crate) nonce: &'a str,
    pub(crate) protection: Option<&'a Protection>,
    pub(crate) start: Option<&'a SessionStart>,
    /// The method; empty for what a server proves.
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) body: &'a [u8],
}

impl Material<'_> {
    /// The digest in hexadecimal; `None` where the secret is not for this algorithm, or a session algorithm comes without
    /// a cnonce.
    pub(crate) fn digest(&self) -> Option<String> {
        let hash = self.algorithm.hash();
        let key = self.key(hash)?;
        let covered = self.covered(hash);
        let (key, nonce) = (key.as_bytes(), self.nonce.as_bytes());
        Some(match self.protection {
            None => hash.of(&[key, nonce, covered.as_bytes()]),
            Some(protection) => hash.of(&[
                key,
                nonce,
                protection.count_text().as_bytes(),
                protection.cnonce.as_bytes(),
                protection.qop.name().as_bytes(),
                covered.as_bytes(),
            ]),
        })
    }

    /// H(A1), §3.4.2.
    fn key(&self, hash: HashFunction) -> Option<String> {
        if !self.account.secret().fits(self.algorithm) {
            return None;
        }
        let of = |password: &[u8]| {
            hash.of(&[self.account.username().as_bytes(), self.account.realm().as_bytes(), password])
        };
        let key = match self.account.secret() {
            Secret::Password(octets) | Secret::AkaResult(octets) => of(octets.expose()),
            Secret::AkaSynchronisation(_) => of(b""),
            Secret::Hashed { digest, .. } => digest.expose().clone(),
        };
        if !self.algorithm.is_session() {
            return Some(key);
        }
        let (nonce, cnonce) = match (self.start, self.protection) {
            (Some(start), _) => (&*start.nonce, &*start.cnonce),
            (None, Some(protection)) => (self.nonce, &*protection.cnonce),
            (None, None) => return None,
        };
        Some(hash.of(&[key.as_bytes(), nonce.as_bytes(), cnonce.as_bytes()]))
    }

    /// H(A2), §3.4.3.
    fn covered(&self, hash: HashFunction) -> String {
        let (method, uri) = (self.method.as_bytes(), self.uri.as_bytes());
        match self.protection.map(|protection| protection.qop) {
            Some(Qop::AuthInt) => hash.of(&[method, uri, hash.of(&[self.body]).as_bytes()]),
            Some(Qop::Auth) | None => hash.of(&[method, uri]),
        }
    }
}

/// Whether two digests are equal, in a time that does not say where they differ.
pub(crate) fn equal(a: &str, b: &str) -> bool {
    let differs =
        a.bytes().zip(b.bytes()).fold(0_u8, |differs, (a, b)| core::hint::black_box(differs | (a ^ b)));
    a.len() == b.len() && differs == 0
}
