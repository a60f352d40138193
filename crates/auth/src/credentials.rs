//! What a client answers: Authorization, Proxy-Authorization (RFC 7616 §3.4).

use crate::challenge::flag;
use crate::params::{Params, Writer, is_digest};
use crate::{Algorithm, AuthError, Extension, HashFunction, Limits, Protection, aka, extended};
use alloc::string::String;
use alloc::vec::Vec;
use cpm_base::Sensitive;

/// How credentials name the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Username {
    /// As it is.
    Plain(String),
    /// `username*`: percent-encoded UTF-8, for names that HTTP's quoted strings cannot hold.
    Extended(String),
    /// The hash of user name and realm, in hexadecimal (RFC 7616 §3.4.4).
    Hashed(String),
}

impl Username {
    /// The hashed form of a name.
    #[must_use]
    pub fn hashed(name: &str, realm: &str, hash: HashFunction) -> Self {
        Username::Hashed(hash.of(&[name.as_bytes(), realm.as_bytes()]))
    }

    /// Whether this names that user in that realm.
    #[must_use]
    pub fn is(&self, name: &str, realm: &str, hash: HashFunction) -> bool {
        match self {
            Username::Plain(text) | Username::Extended(text) => text == name,
            Username::Hashed(_) => *self == Username::hashed(name, realm, hash),
        }
    }
}

/// Digest credentials. `Debug` does not show the digest: a password can be guessed from it at leisure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who.
    pub username: Username,
    /// The realm of the challenge.
    pub realm: String,
    /// The nonce of the challenge; empty before the first one.
    pub nonce: String,
    /// The Request-URI that the client saw.
    pub uri: String,
    /// The digest; empty before the first challenge.
    pub response: Sensitive<String>,
    /// The algorithm of the challenge, where that named one.
    pub algorithm: Option<Algorithm>,
    /// From the challenge.
    pub opaque: Option<String>,
    /// Quality of protection, cnonce and nonce count; `None` towards a server of RFC 2069.
    pub protection: Option<Protection>,
    /// The token by which a client asks to synchronise AKA sequence numbers (RFC 3310 §3.4).
    pub auts: Option<[u8; aka::AUTS_LEN]>,
    /// Other parameters, as they came.
    pub extensions: Vec<Extension>,
}

impl Credentials {
    /// What a client sends before any challenge to say who it is: nonce and digest are empty (RFC 8760 §2.7).
    #[must_use]
    pub fn unanswered(username: &str, realm: &str, uri: &str) -> Self {
        Credentials {
            username: Username::Plain(String::from(username)),
            realm: String::from(realm),
            nonce: String::new(),
            uri: String::from(uri),
            response: Sensitive::new(String::new()),
            algorithm: None,
            opaque: None,
            protection: None,
            auts: None,
            extensions: Vec::new(),
        }
    }

    /// Reads the value of Authorization or Proxy-Authorization, unfolded.
    ///
    /// # Errors
    /// [`AuthError::OtherScheme`] for other credentials than digest; others for values that are none. Both user name
    /// spellings at once, or only some of `qop`, `cnonce` and `nc`, are refused.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// [`parse`](Credentials::parse) under limits of one's own.
    ///
    /// # Errors
    /// As `parse`.
    pub fn parse_with(text: &str, limits: &Limits) -> Result<Self, AuthError> {
        let mut params = Params::with_scheme(text, limits)?;
        let username = username(&mut params)?;
        let response = params.need("response")?;
        if !is_digest(&response) {
            return Err(AuthError::BadValue("response"));
        }
        Ok(Credentials {
            username,
            realm: params.need("realm")?,
            nonce: params.need("nonce")?,
            uri: params.need("uri")?,
            response: Sensitive::new(response),
            algorithm: params.take("algorithm").map(|name| Algorithm::parse(&name)).transpose()?,
            opaque: params.take("opaque"),
            protection: Protection::take(&mut params)?,
            auts: params.take("auts").map(|text| aka::read_auts(&text)).transpose()?,
            extensions: params.rest(),
        })
    }

    /// The value of the header field, digest included.
    ///
    /// # Errors
    /// [`AuthError::NotWritable`]: a value holds a control character, or the digest is none.
    pub fn to_text(&self) -> Result<String, AuthError> {
        let mut out = Writer::new("Digest ");
        match &self.username {
            Username::Plain(name) | Username::Hashed(name) => out.quoted("username", name)?,
            Username::Extended(name) => out.token("username*", &extended::encode(name))?,
        }
        out.quoted("realm", &self.realm)?;
        out.quoted("nonce", &self.nonce)?;
        out.quoted("uri", &self.uri)?;
        if !is_digest(self.response.expose()) {
            return Err(AuthError::NotWritable("response"));
        }
        out.quoted("response", self.response.expose())?;
        if let Some(algorithm) = self.algorithm {
            out.token("algorithm", algorithm.name())?;
        }
        if let Some(opaque) = &self.opaque {
            out.quoted("opaque", opaque)?;
        }
        if let Some(protection) = &self.protection {
            protection.write(&mut out)?;
        }
        if let Some(auts) = &self.auts {
            out.quoted("auts", &aka::write_auts(auts))?;
        }
        if matches!(self.username, Username::Hashed(_)) {
            out.token("userhash", "true")?;
        }
        out.extensions(&self.extensions)?;
        Ok(out.finish())
    }

    /// The algorithm; MD5 where nothing is said.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Md5)
    }
}

/// One of the two spellings, not both (RFC 7616 §3.4).
fn username(params: &mut Params) -> Result<Username, AuthError> {
    let hashed = flag("userhash", params.take("userhash"))?;
    match (params.take("username"), params.take("username*")) {
        (Some(_), Some(_)) => Err(AuthError::Repeated(String::from("username"))),
        (Some(hash), None) if hashed && is_digest(&hash) => Ok(Username::Hashed(hash)),
        (Some(name), None) if !hashed => Ok(Username::Plain(name)),
        (None, Some(text)) if !hashed => extended::decode(&text).map(Username::Extended),
        (None, None) => Err(AuthError::Missing("username")),
        _ => Err(AuthError::BadValue("username")),
    }
}
