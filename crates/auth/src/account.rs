//! Who answers challenges, in which realm, and with what secret.

use crate::{Algorithm, AuthError, HashFunction, aka};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use cpm_base::Sensitive;

/// What proves who one is. Nothing of it is shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A password, as octets.
    Password(Sensitive<Vec<u8>>),
    /// The hash of user name, realm and password in hexadecimal: what a server stores in place of passwords. Good for the
    /// algorithms with that hash.
    Hashed {
        /// What hashed.
        hash: HashFunction,
        /// 32 or 64 hexadecimal digits in lower case.
        digest: Sensitive<String>,
    },
    /// The result of AKA for the nonce that is answered (RES; the expected one at a server). Good for AKA alone, as AKA
    /// is answered by nothing else.
    AkaResult(Sensitive<Vec<u8>>),
    /// The SIM found the sequence number of the challenge out of order: the answer has an empty password and carries this
    /// token (RFC 3310 §3.4).
    AkaSynchronisation([u8; aka::AUTS_LEN]),
}

impl Secret {
    /// A password.
    #[must_use]
    pub fn password(text: &str) -> Self {
        Secret::Password(Sensitive::new(Vec::from(text.as_bytes())))
    }

    /// The result of AKA.
    #[must_use]
    pub fn aka_result(octets: &[u8]) -> Self {
        Secret::AkaResult(Sensitive::new(Vec::from(octets)))
    }

    /// The hash of user name, realm and password, to be stored by a server.
    #[must_use]
    pub fn hashed(hash: HashFunction, username: &str, realm: &str, password: &str) -> Self {
        let digest = hash.of(&[username.as_bytes(), realm.as_bytes(), password.as_bytes()]);
        Secret::Hashed { hash, digest: Sensitive::new(digest) }
    }

    /// Whether it can answer a challenge with that algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Secret::Password(_) => algorithm != Algorithm::AkaV1Md5,
            Secret::Hashed { hash, .. } => algorithm != Algorithm::AkaV1Md5 && algorithm.hash() == *hash,
            Secret::AkaResult(_) | Secret::AkaSynchronisation(_) => algorithm == Algorithm::AkaV1Md5,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Password(_) => "Password([redacted])",
            Secret::Hashed { .. } => "Hashed([redacted])",
            Secret::AkaResult(_) => "AkaResult([redacted])",
            Secret::AkaSynchronisation(_) => "AkaSynchronisation([redacted])",
        })
    }
}

/// A user in one realm. Challenges of other realms are not answered with it: whoever can send a challenge would get a
/// digest to guess the password from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    username: String,
    realm: String,
    secret: Secret,
}

impl Account {
    /// An account.
    ///
    /// # Errors
    /// [`AuthError::NotWritable`]: user name or realm hold a control character, or the user name a colon, which divides
    /// user name and realm where they are hashed (RFC 7616 §4).
    pub fn new(username: &str, realm: &str, secret: Secret) -> Result<Self, AuthError> {
        if username.contains(|c: char| c == ':' || c.is_control()) {
            return Err(AuthError::NotWritable("username"));
        }
        if realm.contains(char::is_control) {
            return Err(AuthError::NotWritable("realm"));
        }
        Ok(Account { username: String::from(username), realm: String::from(realm), secret })
    }

    /// The user name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The realm that the secret is for.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The same user with another secret: every AKA challenge has a result of its own.
    #[must_use]
    pub fn with_secret(self, secret: Secret) -> Self {
        Account { secret, ..self }
    }
}
