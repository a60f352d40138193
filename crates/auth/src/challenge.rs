//! What a server asks: WWW-Authenticate, Proxy-Authenticate (RFC 7616 §3.3).

use crate::params::{Params, Writer};
use crate::{Algorithm, AuthError, Extension, Limits, Qop};
use alloc::string::String;
use alloc::vec::Vec;

/// A digest challenge. What is written holds no control characters, so that it never begins another header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Whose passwords are asked for.
    pub realm: String,
    /// The URIs that the credentials are good for; none: all of this server.
    pub domain: Vec<String>,
    /// Made by the server, to be given back.
    pub nonce: String,
    /// Made by the server, to be given back.
    pub opaque: Option<String>,
    /// Whether only the nonce was wrong: the same password may be tried again.
    pub stale: bool,
    /// Which algorithm; MD5 where nothing is said. See [`algorithm`](Challenge::algorithm).
    pub algorithm: Option<Algorithm>,
    /// The qualities of protection offered. `None`: a server of RFC 2069, nothing was said. An empty list: none of those
    /// offered is known here.
    pub qop: Option<Vec<Qop>>,
    /// Whether user name and password are to be taken as UTF-8 in normalisation form C (`charset=UTF-8`). The
    /// normalisation is up to whoever takes the password from a user.
    pub utf8: bool,
    /// Whether the server reads hashed user names.
    pub userhash: bool,
    /// Other parameters, as they came.
    pub extensions: Vec<Extension>,
}

impl Challenge {
    /// A challenge as RFC 8760 §2.6 wants it sent: with a quality of protection, `auth`.
    #[must_use]
    pub fn new(realm: &str, nonce: &str, algorithm: Algorithm) -> Self {
        Challenge {
            realm: String::from(realm),
            domain: Vec::new(),
            nonce: String::from(nonce),
            opaque: None,
            stale: false,
            algorithm: Some(algorithm),
            qop: Some(alloc::vec![Qop::Auth]),
            utf8: false,
            userhash: false,
            extensions: Vec::new(),
        }
    }

    /// Reads the value of WWW-Authenticate or Proxy-Authenticate, unfolded. SIP and MSRP put one challenge into each header
    /// field.
    ///
    /// # Errors
    /// [`AuthError::OtherScheme`] and [`AuthError::UnknownAlgorithm`] for challenges to be passed over; others for values
    /// that are none.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// [`parse`](Challenge::parse) under limits of one's own.
    ///
    /// # Errors
    /// As `parse`.
    pub fn parse_with(text: &str, limits: &Limits) -> Result<Self, AuthError> {
        let mut params = Params::with_scheme(text, limits)?;
        let words =
            |text: String| text.split([' ', '\t']).filter(|w| !w.is_empty()).map(String::from).collect();
        Ok(Challenge {
            algorithm: params.take("algorithm").map(|name| Algorithm::parse(&name)).transpose()?,
            realm: params.need("realm")?,
            domain: params.take("domain").map_or_else(Vec::new, words),
            nonce: params.need("nonce")?,
            opaque: params.take("opaque"),
            // Anything but "true" means false (RFC 7616 §3.3).
            stale: params.take("stale").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            qop: params.take("qop").map(|text| {
                let mut known: Vec<Qop> =
                    text.split(',').filter_map(|name| Qop::parse(name.trim())).collect();
                known.dedup();
                known
            }),
            utf8: match params.take("charset") {
                None => false,
                Some(name) if name.eq_ignore_ascii_case("UTF-8") => true,
                Some(_) => return Err(AuthError::BadValue("charset")),
            },
            userhash: flag("userhash", params.take("userhash"))?,
            extensions: params.rest(),
        })
    }

    /// The value of the header field.
    ///
    /// # Errors
    /// [`AuthError::NotWritable`]: a value holds a control character, an entry of `domain` a blank, `qop` nothing.
    pub fn to_text(&self) -> Result<String, AuthError> {
        let mut out = Writer::new("Digest ");
        out.quoted("realm", &self.realm)?;
        if !self.domain.is_empty() {
            if self.domain.iter().any(|uri| uri.is_empty() || uri.contains([' ', '\t'])) {
                return Err(AuthError::NotWritable("domain"));
            }
            out.quoted("domain", &self.domain.join(" "))?;
        }
        out.quoted("nonce", &self.nonce)?;
        if let Some(opaque) = &self.opaque {
            out.quoted("opaque", opaque)?;
        }
        if self.stale {
            out.token("stale", "true")?;
        }
        if let Some(algorithm) = self.algorithm {
            out.token("algorithm", algorithm.name())?;
        }
        if let Some(qop) = &self.qop {
            if qop.is_empty() {
                return Err(AuthError::NotWritable("qop"));
            }
            let names: Vec<&str> = qop.iter().map(|qop| qop.name()).collect();
            out.quoted("qop", &names.join(","))?;
        }
        if self.utf8 {
            out.token("charset", "UTF-8")?;
        }
        if self.userhash {
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

/// `true` or `false`, whatever the case; false where nothing is said.
pub(crate) fn flag(name: &'static str, text: Option<String>) -> Result<bool, AuthError> {
    match text {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(AuthError::BadValue(name)),
    }
}
