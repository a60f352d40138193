//! Digest with AKA (RFC 3310): the nonce carries a challenge to a SIM, the password is what the SIM makes of it. The
//! arithmetic of AKA is the SIM's; its result is handed in.

use crate::AuthError;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Octets of RAND.
pub const RAND_LEN: usize = 16;
/// Octets of AUTN.
pub const AUTN_LEN: usize = 16;
/// Octets of AUTS.
pub const AUTS_LEN: usize = 14;

/// What the nonce of an AKA challenge holds (RFC 3310 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AkaNonce {
    /// The random challenge.
    pub rand: [u8; RAND_LEN],
    /// The network's token, by which the SIM knows its home network and a fresh challenge.
    pub autn: [u8; AUTN_LEN],
    /// What else the server put in.
    pub server_data: Vec<u8>,
}

impl AkaNonce {
    /// Reads a nonce: base64 of RAND, AUTN and what the server added.
    ///
    /// # Errors
    /// [`AuthError::BadValue`]: it is not base64, or shorter than 32 octets.
    pub fn parse(nonce: &str) -> Result<Self, AuthError> {
        const BAD: AuthError = AuthError::BadValue("nonce");
        let octets = STANDARD.decode(nonce).map_err(|_| BAD)?;
        let (rand, rest) = octets.split_first_chunk::<RAND_LEN>().ok_or(BAD)?;
        let (autn, rest) = rest.split_first_chunk::<AUTN_LEN>().ok_or(BAD)?;
        Ok(AkaNonce { rand: *rand, autn: *autn, server_data: Vec::from(rest) })
    }

    /// The nonce for a challenge.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut octets = Vec::with_capacity(self.server_data.len().saturating_add(RAND_LEN + AUTN_LEN));
        octets.extend_from_slice(&self.rand);
        octets.extend_from_slice(&self.autn);
        octets.extend_from_slice(&self.server_data);
        STANDARD.encode(octets)
    }
}

/// Reads the synchronisation token of credentials.
pub(crate) fn read_auts(text: &str) -> Result<[u8; AUTS_LEN], AuthError> {
    let octets = STANDARD.decode(text).map_err(|_| AuthError::BadValue("auts"))?;
    <[u8; AUTS_LEN]>::try_from(octets).map_err(|_| AuthError::BadValue("auts"))
}

/// How the synchronisation token is written.
pub(crate) fn write_auts(auts: &[u8; AUTS_LEN]) -> String {
    STANDARD.encode(auts)
}
