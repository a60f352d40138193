//! Header fields that describe bodies.

use super::TypedHeader;
use super::address::parse_q;
use super::shape::{token_and_params, token_fields};
use crate::error::HeaderError;
use crate::grammar::{Parsed, bounded_token, complete, separator};
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::{InvalidText, check_text};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

fn media<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, (String, Params)> {
    let (rest, kind) = bounded_token(input, limits)?;
    let (rest, ()) = separator('/')(rest)?;
    let (rest, subtype) = bounded_token(rest, limits)?;
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, (alloc::format!("{kind}/{subtype}").to_ascii_lowercase(), params)))
}

/// Content-Type (RFC 3261 §20.15): the text as it was written, and what it says.
///
/// Bodies are the business of `cpm-mime`, which reads the same text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    text: String,
    essence: String,
    params: Params,
}

impl ContentType {
    /// Checks and keeps a text: `multipart/mixed;boundary="b"`.
    ///
    /// # Errors
    /// It is no media type.
    pub fn new(text: &str) -> Result<ContentType, InvalidText> {
        check_text(text)?;
        ContentType::read(text, &Limits::DEFAULT).map_err(|_| InvalidText::Form("not a media type"))
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `type/subtype` in lower case.
    #[must_use]
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// Whether it is this type and subtype, whatever the parameters.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }
}

impl TypedHeader for ContentType {
    const NAME: HeaderName = HeaderName::ContentType;

    fn read(text: &str, limits: &Limits) -> Result<ContentType, HeaderError> {
        let (essence, params) = complete("Content-Type", media(text, limits))?;
        Ok(ContentType { text: text.to_owned(), essence, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text.as_bytes());
    }
}

/// One Accept value (RFC 3261 §20.1): a media range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    essence: String,
    params: Params,
}

impl Accept {
    /// Checks and keeps a media range: `message/cpim`, `text/*`, `*/*`.
    ///
    /// # Errors
    /// It is none.
    pub fn new(range: &str) -> Result<Accept, InvalidText> {
        check_text(range)?;
        Accept::read(range, &Limits::DEFAULT).map_err(|_| InvalidText::Form("not a media range"))
    }

    /// `type/subtype` in lower case; either may be `*`.
    #[must_use]
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// Whether a type and subtype lies in the range.
    #[must_use]
    pub fn allows(&self, essence: &str) -> bool {
        match self.essence.strip_suffix('*') {
            Some("*/") => true,
            Some(kind) => essence.get(..kind.len()).is_some_and(|k| k.eq_ignore_ascii_case(kind)),
            None => self.essence.eq_ignore_ascii_case(essence),
        }
    }

    /// `q` in thousandths, 1000 when absent.
    #[must_use]
    pub fn q(&self) -> u16 {
        self.params.get("q").and_then(parse_q).unwrap_or(1000)
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }
}

impl TypedHeader for Accept {
    const NAME: HeaderName = HeaderName::Accept;
    const EMPTY_LIST: bool = true;

    fn read(text: &str, limits: &Limits) -> Result<Accept, HeaderError> {
        let (essence, params) = complete("Accept", media(text, limits))?;
        if params.get("q").is_some_and(|q| parse_q(q).is_none()) {
            return Err(HeaderError::Malformed { header: "Accept", what: "q is no number from 0 to 1" });
        }
        Ok(Accept { essence, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.essence.as_bytes());
        self.params.write(out);
    }
}

/// Content-Disposition (RFC 3261 §20.11): what the body is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDisposition {
    kind: String,
    params: Params,
}

impl ContentDisposition {
    /// Checks and keeps a disposition type: `session`, `render`, `attachment`.
    ///
    /// # Errors
    /// It is no token.
    pub fn new(kind: &str) -> Result<ContentDisposition, InvalidText> {
        if !crate::text::is_token(kind) {
            return Err(InvalidText::NotToken);
        }
        Ok(ContentDisposition { kind: kind.to_owned(), params: Params::new() })
    }

    /// The disposition type.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether a receiver that does not know the body may ignore it; `handling=required` is the default.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.params.get("handling").is_some_and(|h| h.eq_ignore_ascii_case("optional"))
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The parameters, to be edited.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}

impl TypedHeader for ContentDisposition {
    const NAME: HeaderName = HeaderName::ContentDisposition;

    fn read(text: &str, limits: &Limits) -> Result<ContentDisposition, HeaderError> {
        complete("Content-Disposition", disposition(text, limits))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.kind.as_bytes());
        self.params.write(out);
    }
}

fn disposition<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, ContentDisposition> {
    let (rest, kind) = bounded_token(input, limits)?;
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, ContentDisposition { kind: kind.to_owned(), params }))
}

/// `language-tag`: letters first, then letters and digits between dashes, one to eight each.
fn is_language(tag: &str) -> bool {
    let letters = |part: &str| part.bytes().all(|o| o.is_ascii_alphabetic());
    let part = |part: &str| matches!(part.len(), 1..=8) && part.bytes().all(|o| o.is_ascii_alphanumeric());
    tag.split('-').all(part) && tag.split('-').next().is_some_and(letters)
}

/// One Content-Language value (RFC 3261 §20.13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentLanguage(String);

impl ContentLanguage {
    /// Checks and keeps a language tag: `en`, `pt-BR`.
    ///
    /// # Errors
    /// It is none.
    pub fn new(tag: &str) -> Result<ContentLanguage, InvalidText> {
        if is_language(tag) {
            Ok(ContentLanguage(tag.to_owned()))
        } else {
            Err(InvalidText::Form("not a language tag"))
        }
    }

    /// The tag as it was written; tags compare without case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TypedHeader for ContentLanguage {
    const NAME: HeaderName = HeaderName::ContentLanguage;

    fn read(text: &str, _: &Limits) -> Result<ContentLanguage, HeaderError> {
        let malformed = HeaderError::Malformed { header: "Content-Language", what: "not a language tag" };
        ContentLanguage::new(text).map_err(|_| malformed)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

token_fields! {
    /// One Accept-Encoding value (RFC 3261 §20.2): a coding or `*`.
    AcceptEncoding, true, |value: &AcceptEncoding| check_q("Accept-Encoding", &value.params);
    /// One Accept-Language value (RFC 3261 §20.3): a language range or `*`.
    AcceptLanguage, true, |value: &AcceptLanguage| {
        let malformed = HeaderError::Malformed { header: "Accept-Language", what: "not a language range" };
        let range = value.token == "*" || is_language(&value.token);
        check_q("Accept-Language", &value.params).and(range.then_some(()).ok_or(malformed))
    };
}

pub(super) fn check_q(header: &'static str, params: &Params) -> Result<(), HeaderError> {
    match params.get("q") {
        Some(q) if parse_q(q).is_none() => {
            Err(HeaderError::Malformed { header, what: "q is no number from 0 to 1" })
        }
        _ => Ok(()),
    }
}

macro_rules! preferred {
    ($($name:ident)*) => {$(
        impl $name {
            /// `q` in thousandths, 1000 when absent.
            #[must_use]
            pub fn q(&self) -> u16 {
                self.params.get("q").and_then(parse_q).unwrap_or(1000)
            }
        }
    )*};
}
preferred! { AcceptEncoding AcceptLanguage }
