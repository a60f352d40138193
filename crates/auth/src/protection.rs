//! Quality of protection, cnonce and nonce count: they stand together or not at all (RFC 7616 §3.4).

use crate::params::{Params, Writer};
use crate::{AuthError, Qop};
use alloc::string::String;

/// What goes with a quality of protection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// What the digest covers.
    pub qop: Qop,
    /// Made by the client.
    pub cnonce: String,
    /// How many requests the client has sent with this nonce, this one included: 1 and up.
    pub count: u32,
}

impl Protection {
    /// All of `qop`, `cnonce` and `nc`, or none.
    pub(crate) fn take(params: &mut Params) -> Result<Option<Protection>, AuthError> {
        let (qop, cnonce, count) = (params.take("qop"), params.take("cnonce"), params.take("nc"));
        let Some(qop) = qop else {
            return match (cnonce, count) {
                (None, None) => Ok(None),
                _ => Err(AuthError::Missing("qop")),
            };
        };
        Ok(Some(Protection {
            qop: Qop::parse(&qop).ok_or(AuthError::BadValue("qop"))?,
            cnonce: cnonce.ok_or(AuthError::Missing("cnonce"))?,
            count: read_count(&count.ok_or(AuthError::Missing("nc"))?)?,
        }))
    }

    pub(crate) fn write(&self, out: &mut Writer) -> Result<(), AuthError> {
        out.token("qop", self.qop.name())?;
        out.quoted("cnonce", &self.cnonce)?;
        if self.count == 0 {
            return Err(AuthError::NotWritable("nc"));
        }
        out.token("nc", &self.count_text())
    }

    /// The nonce count as it is written and hashed.
    pub(crate) fn count_text(&self) -> String {
        alloc::format!("{:08x}", self.count)
    }
}

/// A nonce count: exactly eight hexadecimal digits in lower case, as it is hashed, and not 0.
fn read_count(text: &str) -> Result<u32, AuthError> {
    let digits = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match u32::from_str_radix(text, 16) {
        Ok(count) if digits && count > 0 => Ok(count),
        _ => Err(AuthError::BadValue("nc")),
    }
}
