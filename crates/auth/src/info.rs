//! What a server says about itself and the next nonce: Authentication-Info (RFC 7616 §3.5).

use crate::params::{Params, Writer, is_digest};
use crate::{AuthError, Extension, Limits, Protection};
use alloc::string::String;
use alloc::vec::Vec;
use cpm_base::Sensitive;

/// The value of Authentication-Info or Proxy-Authentication-Info.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthenticationInfo {
    /// The nonce for the next request.
    pub nextnonce: Option<String>,
    /// The server's proof that it knows the secret too.
    pub rspauth: Option<Sensitive<String>>,
    /// Quality of protection, cnonce and nonce count of the request that is answered.
    pub protection: Option<Protection>,
    /// Other parameters, as they came.
    pub extensions: Vec<Extension>,
}

impl AuthenticationInfo {
    /// Reads the value of the header field, unfolded.
    ///
    /// # Errors
    /// The text is none; `qop` without `cnonce` and `nc`, or the other way round.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// [`parse`](AuthenticationInfo::parse) under limits of one's own.
    ///
    /// # Errors
    /// As `parse`.
    pub fn parse_with(text: &str, limits: &Limits) -> Result<Self, AuthError> {
        let mut params = Params::list(text, limits)?;
        let rspauth = params.take("rspauth");
        if rspauth.as_ref().is_some_and(|digest| !is_digest(digest)) {
            return Err(AuthError::BadValue("rspauth"));
        }
        Ok(AuthenticationInfo {
            nextnonce: params.take("nextnonce"),
            rspauth: rspauth.map(Sensitive::new),
            protection: Protection::take(&mut params)?,
            extensions: params.rest(),
        })
    }

    /// The value of the header field.
    ///
    /// # Errors
    /// [`AuthError::NotWritable`]: a value holds a control character, the digest is none, or there is nothing to write.
    pub fn to_text(&self) -> Result<String, AuthError> {
        let mut out = Writer::new("");
        if let Some(nonce) = &self.nextnonce {
            out.quoted("nextnonce", nonce)?;
        }
        if let Some(digest) = &self.rspauth {
            if !is_digest(digest.expose()) {
                return Err(AuthError::NotWritable("rspauth"));
            }
            out.quoted("rspauth", digest.expose())?;
        }
        if let Some(protection) = &self.protection {
            protection.write(&mut out)?;
        }
        out.extensions(&self.extensions)?;
        let text = out.finish();
        if text.is_empty() { Err(AuthError::NotWritable("nothing")) } else { Ok(text) }
    }
}
