//! Content-Type (RFC 2045 §5) and Content-Disposition (RFC 2183) as values.

use crate::params::{self, Fault, Param};
use crate::{Limits, MimeError};
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A media type with its parameters: `text/plain; charset=utf-8`.
///
/// Type, subtype and parameter names are kept as written and compared without regard to case. Equality is of the
/// written values; to ask what something is, use [`is`](ContentType::is).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    type_: String,
    subtype: String,
    params: Vec<Param>,
}

/// What a Content-Type says a body is, read where it stands; its parameters are looked at and not kept.
///
/// ```
/// use cpm_mime::MediaType;
/// let media = MediaType::parse("Message/CPIM; charset=utf-8").unwrap();
/// assert!(media.is("message/cpim") && !media.is_multipart());
/// assert!(MediaType::parse("message/cpim; charset").is_err());
/// ```
#[derive(Debug, Clone)]
pub struct MediaType<'a> {
    text: Cow<'a, str>,
    type_: Span,
    subtype: Span,
}

type Span = (usize, usize);

impl<'a> MediaType<'a> {
    /// Reads the value of a Content-Type header field, unfolded, as [`ContentType::parse`] does.
    ///
    /// # Errors
    /// As there.
    pub fn parse(text: &'a str) -> Result<Self, MimeError> {
        MediaType::of(Cow::Borrowed(text))
    }

    pub(crate) fn of(text: Cow<'a, str>) -> Result<Self, MimeError> {
        let limits = Limits::DEFAULT;
        let (type_, subtype, rest) = split(&text, &limits).map_err(content_type_error)?;
        params::check_parameters(rest, &limits).map_err(content_type_error)?;
        Ok(MediaType { text, type_, subtype })
    }

    fn part(&self, span: Span) -> &str {
        self.text.get(span.0..span.1).unwrap_or_default()
    }

    /// Whether type and subtype are these (`"message/cpim"`), whatever the case.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        is_essence((self.part(self.type_), self.part(self.subtype)), essence)
    }

    /// Whether this is any multipart.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.part(self.type_).eq_ignore_ascii_case("multipart")
    }
}

fn is_essence((type_, subtype): (&str, &str), essence: &str) -> bool {
    let length = type_.len();
    essence.len() == length.saturating_add(1).saturating_add(subtype.len())
        && essence.as_bytes().get(length) == Some(&b'/')
        && essence.get(..length).is_some_and(|start| start.eq_ignore_ascii_case(type_))
        && essence.get(length.saturating_add(1)..).is_some_and(|end| end.eq_ignore_ascii_case(subtype))
}

/// Where type and subtype stand in a Content-Type, and what follows them.
fn split<'a>(text: &'a str, limits: &Limits) -> Result<(Span, Span, &'a str), Fault> {
    let span = |from: &str, taken: &str| {
        let start = text.len().saturating_sub(from.len());
        (start, start.saturating_add(taken.len()))
    };
    let from = params::skip_blanks(text, limits)?;
    let (type_, rest) = params::token(from)?;
    let type_ = span(from, type_);
    let rest = params::skip_blanks(rest, limits)?.strip_prefix('/').ok_or(Fault::Syntax)?;
    let from = params::skip_blanks(rest, limits)?;
    let (subtype, rest) = params::token(from)?;
    Ok((type_, span(from, subtype), rest))
}

fn content_type_error(fault: Fault) -> MimeError {
    match fault {
        Fault::Syntax => MimeError::ContentTypeSyntax,
        Fault::Limit(limit) => MimeError::Limit(limit),
    }
}

impl ContentType {
    /// A media type without parameters.
    ///
    /// # Errors
    /// [`MimeError::NotWritable`]: one of the two is no token.
    pub fn new(type_: &str, subtype: &str) -> Result<Self, MimeError> {
        if !params::is_token(type_) || !params::is_token(subtype) {
            return Err(MimeError::NotWritable);
        }
        Ok(ContentType { type_: String::from(type_), subtype: String::from(subtype), params: Vec::new() })
    }

    /// Reads the value of a Content-Type header field, unfolded. Comments are skipped.
    ///
    /// # Errors
    /// [`MimeError::ContentTypeSyntax`] for anything that is no media type, for an unfinished quoted string and for a
    /// parameter that stands twice; [`MimeError::Limit`] for too many parameters or too deep comments.
    pub fn parse(text: &str) -> Result<Self, MimeError> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// [`parse`](ContentType::parse) under limits of one's own.
    ///
    /// # Errors
    /// As `parse`.
    pub fn parse_with(text: &str, limits: &Limits) -> Result<Self, MimeError> {
        let (type_, subtype, rest) = split(text, limits).map_err(content_type_error)?;
        let params = params::parameters(rest, limits).map_err(content_type_error)?;
        let part = |span: Span| String::from(text.get(span.0..span.1).unwrap_or_default());
        Ok(ContentType { type_: part(type_), subtype: part(subtype), params: params::kept(params) })
    }

    /// What a part is that does not say: `text/plain; charset=us-ascii` (RFC 2045 §5.2).
    #[must_use]
    pub fn text_plain() -> Self {
        ContentType {
            type_: String::from("text"),
            subtype: String::from("plain"),
            params: alloc::vec![Param { name: String::from("charset"), value: String::from("us-ascii") }],
        }
    }

    /// The type, as written.
    #[must_use]
    pub fn type_(&self) -> &str {
        &self.type_
    }

    /// The subtype, as written.
    #[must_use]
    pub fn subtype(&self) -> &str {
        &self.subtype
    }

    /// Type and subtype in lower case: `message/cpim`.
    #[must_use]
    pub fn essence(&self) -> String {
        let mut essence = alloc::format!("{}/{}", self.type_, self.subtype);
        essence.make_ascii_lowercase();
        essence
    }

    /// Whether type and subtype are these (`"message/cpim"`), whatever the case.
    #[must_use]
    pub fn is(&self, essence: &str) -> bool {
        is_essence((&self.type_, &self.subtype), essence)
    }

    /// Whether this is any multipart.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.type_.eq_ignore_ascii_case("multipart")
    }

    /// The value of a parameter, without quotes; names are compared without regard to case.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        params::get(&self.params, name)
    }

    /// All parameters in order, as (name, value).
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|p| (p.name.as_str(), p.value.as_str()))
    }

    /// The same with a parameter set.
    ///
    /// # Errors
    /// [`MimeError::NotWritable`]: the name is no token, or the value holds a control character.
    pub fn with_param(mut self, name: &str, value: &str) -> Result<Self, MimeError> {
        if !params::is_writable(name, value) {
            return Err(MimeError::NotWritable);
        }
        params::set(&mut self.params, name, value);
        Ok(self)
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.type_, self.subtype)?;
        params::write(&self.params, f)
    }
}

impl core::str::FromStr for ContentType {
    type Err = MimeError;

    fn from_str(text: &str) -> Result<Self, MimeError> {
        ContentType::parse(text)
    }
}

/// A content disposition with its parameters: `attachment; filename="a b.txt"`, `notification`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDisposition {
    disposition: String,
    params: Vec<Param>,
}

impl ContentDisposition {
    /// A disposition without parameters.
    ///
    /// # Errors
    /// [`MimeError::NotWritable`]: it is no token.
    pub fn new(disposition: &str) -> Result<Self, MimeError> {
        if !params::is_token(disposition) {
            return Err(MimeError::NotWritable);
        }
        Ok(ContentDisposition { disposition: String::from(disposition), params: Vec::new() })
    }

    /// Reads the value of a Content-Disposition header field, unfolded.
    ///
    /// # Errors
    /// [`MimeError::DispositionSyntax`], or [`MimeError::Limit`] for too many parameters or too deep comments.
    pub fn parse(text: &str) -> Result<Self, MimeError> {
        Self::read(text, &Limits::DEFAULT).map_err(|fault| match fault {
            Fault::Syntax => MimeError::DispositionSyntax,
            Fault::Limit(limit) => MimeError::Limit(limit),
        })
    }

    fn read(text: &str, limits: &Limits) -> Result<Self, Fault> {
        let (disposition, rest) = params::token(params::skip_blanks(text, limits)?)?;
        let params = params::kept(params::parameters(rest, limits)?);
        Ok(ContentDisposition { disposition: String::from(disposition), params })
    }

    /// The disposition, as written.
    #[must_use]
    pub fn disposition(&self) -> &str {
        &self.disposition
    }

    /// Whether the disposition is this one, whatever the case.
    #[must_use]
    pub fn is(&self, disposition: &str) -> bool {
        self.disposition.eq_ignore_ascii_case(disposition)
    }

    /// The value of a parameter, without quotes.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        params::get(&self.params, name)
    }

    /// The same with a parameter set.
    ///
    /// # Errors
    /// [`MimeError::NotWritable`]: the name is no token, or the value holds a control character.
    pub fn with_param(mut self, name: &str, value: &str) -> Result<Self, MimeError> {
        if !params::is_writable(name, value) {
            return Err(MimeError::NotWritable);
        }
        params::set(&mut self.params, name, value);
        Ok(self)
    }
}

impl fmt::Display for ContentDisposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.disposition)?;
        params::write(&self.params, f)
    }
}

#[cfg(test)]
mod tests;
