//! Content that is somewhere else: message/external-body with a URL (RFC 4483, RFC 2017).

use crate::{ContentType, Limits, MimeError, Part};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt::Write;
use cpm_base::DateTime;

/// The type.
const ESSENCE: &str = "message/external-body";

/// Where content is, and what it will be. Nothing here fetches it; whoever does decides first whether this URL may be
/// fetched at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalBody {
    /// Where it is.
    pub url: String,
    /// Until when, as written; see [`expires`](ExternalBody::expires). RFC 4483 §5.7 wants it, not everybody sends it.
    pub expiration: Option<String>,
    /// How many octets it has.
    pub size: Option<u64>,
    /// The SHA-1 of it: 20 octets if it is whole.
    pub hash: Option<Vec<u8>>,
    /// What it is, what it is for, its Content-ID: the header fields of the content, with no body.
    pub content: Part,
}

impl ExternalBody {
    /// Content at a URL. `content` has the header fields of the content; its body is not sent.
    #[must_use]
    pub fn new(url: &str, content: Part) -> Self {
        ExternalBody { url: String::from(url), expiration: None, size: None, hash: None, content }
    }

    /// Reads a message/external-body; `None` where the part is something else.
    ///
    /// # Errors
    /// [`MimeError::ExternalBody`]: another access type than URL, no URL, a size or hash that is none; any fault of the
    /// header fields inside.
    pub fn read(part: &Part, limits: &Limits) -> Result<Option<Self>, MimeError> {
        let content_type = part.content_type()?;
        if !content_type.is(ESSENCE) {
            return Ok(None);
        }
        if !content_type.param("access-type").is_some_and(|kind| kind.eq_ignore_ascii_case("URL")) {
            return Err(MimeError::ExternalBody("access-type"));
        }
        // RFC 2017 §3.1: white space in the URL comes from folding and is no part of it.
        let url = content_type.param("URL").unwrap_or_default().replace([' ', '\t'], "");
        if url.is_empty() {
            return Err(MimeError::ExternalBody("URL"));
        }
        let size = content_type.param("size").map(|text| match text.parse() {
            Ok(size) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(size),
            _ => Err(MimeError::ExternalBody("size")),
        });
        let hash = content_type.param("hash").map(|text| hex(text).ok_or(MimeError::ExternalBody("hash")));
        Ok(Some(ExternalBody {
            url,
            expiration: content_type.param("expiration").map(String::from),
            size: size.transpose()?,
            hash: hash.transpose()?,
            content: Part::parse_body_part(part.decoded()?, limits)?,
        }))
    }

    /// The part that stands for the content.
    ///
    /// # Errors
    /// [`MimeError::ExternalBody`]: the URL is empty or holds white space; [`MimeError::NotWritable`]: a value holds a
    /// control character.
    pub fn to_part(&self) -> Result<Part, MimeError> {
        if self.url.is_empty() || self.url.contains(char::is_whitespace) {
            return Err(MimeError::ExternalBody("URL"));
        }
        let mut content_type =
            ContentType::parse(ESSENCE)?.with_param("access-type", "URL")?.with_param("URL", &self.url)?;
        if let Some(expiration) = &self.expiration {
            content_type = content_type.with_param("expiration", expiration)?;
        }
        if let Some(size) = self.size {
            content_type = content_type.with_param("size", &size.to_string())?;
        }
        if let Some(hash) = &self.hash {
            let mut text = String::new();
            for octet in hash {
                // Writing to a String cannot fail.
                let _ = write!(text, "{octet:02X}");
            }
            content_type = content_type.with_param("hash", &text)?;
        }
        let mut body = Vec::new();
        self.content.headers.write_to(&mut body);
        body.extend_from_slice(b"\r\n");
        Ok(Part::new(&content_type, Bytes::from(body)))
    }

    /// Until when the content can be had; `None` where nothing is said, or something that is no date in GMT. Full names of
    /// months are read, as RFC 4483 has them in its examples.
    #[must_use]
    pub fn expires(&self) -> Option<DateTime> {
        let text = self.expiration.as_deref()?;
        let words: Vec<&str> = text.split(' ').collect();
        let short = |(at, word): (usize, &&str)| {
            let is_month = at == 2 && MONTHS.iter().any(|month| month.eq_ignore_ascii_case(word));
            String::from(if is_month { word.get(..3).unwrap_or(word) } else { word })
        };
        let words: Vec<String> = words.iter().enumerate().map(short).collect();
        DateTime::parse_rfc1123(&words.join(" ")).ok()
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Octets in hexadecimal, up to the longest hash there is.
fn hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || text.len() > 128 {
        return None;
    }
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => {
            let digit = |b: u8| char::from(b).to_digit(16);
            u8::try_from(digit(*high)?.saturating_mul(16).saturating_add(digit(*low)?)).ok()
        }
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests;
