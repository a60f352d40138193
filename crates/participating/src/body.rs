//! The CPIM message in the body of a request: alone, or a part beside a list of recipients (TS 7.2.1.1-9).

use crate::leaves::replace_leaves;
use bytes::Bytes;
use cpm_cpim::{CpimError, CpimMessage, Leniency, Limits};
use cpm_mime::{ContentType, MediaType, MimeError, Part};
use cpm_sip::{HeaderName, HeaderText, Request};

/// Why the body of a request is no message that anybody could answer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// The multipart, or a type in it.
    Mime(MimeError),
    /// The CPIM message.
    Cpim(CpimError),
    /// There are several: one reader may take the one, another reader the other.
    Several,
}

impl core::fmt::Display for BodyFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            BodyFault::Mime(error) => write!(f, "body: {error}"),
            BodyFault::Cpim(error) => write!(f, "CPIM message: {error}"),
            BodyFault::Several => f.write_str("more than one CPIM message"),
        }
    }
}

impl From<MimeError> for BodyFault {
    fn from(error: MimeError) -> Self {
        BodyFault::Mime(error)
    }
}

/// The CPIM message that a request carries; `None`: it carries none.
///
/// # Errors
/// There is one that cannot be read, or there are several.
pub(crate) fn cpim_of(request: &Request) -> Result<Option<CpimMessage>, BodyFault> {
    // Nearly always it is alone.
    if is_cpim(request)? {
        return read_cpim(request.body().clone()).map(Some);
    }
    let Some(body) = body_of(request)? else { return Ok(None) };
    let mut found = Vec::new();
    replace_leaves(&body, &cpm_mime::Limits::DEFAULT, |leaf| {
        if leaf.content_type()?.is("message/cpim") {
            found.push(leaf.decoded()?);
        }
        Ok::<_, MimeError>(None)
    })?;
    let (Some(octets), 0..=1) = (found.first(), found.len()) else {
        return if found.is_empty() { Ok(None) } else { Err(BodyFault::Several) };
    };
    read_cpim(octets.clone()).map(Some)
}

/// Whether the body is a CPIM message and nothing else.
fn is_cpim(request: &Request) -> Result<bool, MimeError> {
    let value = request.headers().get(&HeaderName::ContentType).and_then(|value| value.to_text());
    value.map_or(Ok(false), |text| Ok(MediaType::parse(&text)?.is("message/cpim")))
}

/// The CPIM message that a body is.
pub(crate) fn read_cpim(octets: Bytes) -> Result<CpimMessage, BodyFault> {
    let read = CpimMessage::parse(octets, &Limits::default(), &Leniency::field());
    read.map(|(message, _)| message).map_err(BodyFault::Cpim)
}

/// Puts a CPIM message in the place of the one that a request carries; everything around it stays as it is.
///
/// # Errors
/// The body cannot be read or written.
pub(crate) fn set_cpim(request: &mut Request, message: &CpimMessage) -> Result<(), BodyFault> {
    if is_cpim(request)? {
        request.set_body(message.to_bytes());
        return Ok(());
    }
    let Some(body) = body_of(request)? else { return Ok(()) };
    let written = replace_leaves(&body, &cpm_mime::Limits::DEFAULT, |leaf| {
        if !leaf.content_type()?.is("message/cpim") {
            return Ok::<_, MimeError>(None);
        }
        let mut new = leaf.clone();
        // It is written as it is: the encoding that it came in is undone.
        new.headers.remove("Content-Transfer-Encoding");
        new.body = message.to_bytes();
        Ok(Some(new))
    })?;
    let Some(written) = written else { return Ok(()) };
    if written.headers.get("Content-Type") != body.headers.get("Content-Type")
        && let Some(value) = written.headers.get("Content-Type").and_then(|text| HeaderText::new(&text).ok())
    {
        request.headers_mut().replace(HeaderName::ContentType, value);
    }
    request.set_body(written.body);
    Ok(())
}

/// How many octets the message of a request has, its CPIM wrapper included (what the choice between pager and large mode
/// is about); without one, the whole body.
pub(crate) fn message_length(request: &Request, cpim: Option<&CpimMessage>) -> usize {
    cpim.map_or(request.body().len(), |cpim| cpim.to_bytes().len())
}

/// Whether a request brings the list of its recipients along (RFC 5365 §4).
pub(crate) fn has_recipient_list(request: &Request) -> bool {
    let Ok(Some(body)) = body_of(request) else { return false };
    let mut found = false;
    let read = replace_leaves(&body, &cpm_mime::Limits::DEFAULT, |leaf| {
        let disposition = leaf.content_disposition()?;
        found |= leaf.content_type()?.is("application/resource-lists+xml")
            && disposition.is_some_and(|disposition| disposition.is("recipient-list"));
        Ok::<_, MimeError>(None)
    });
    read.is_ok() && found
}

/// The body as a part; `None` without a type.
fn body_of(request: &Request) -> Result<Option<Part>, MimeError> {
    let value = request.headers().get(&HeaderName::ContentType).and_then(|value| value.to_text());
    let Some(text) = value else { return Ok(None) };
    let content_type = ContentType::parse(&text)?;
    Ok(Some(Part::new(&content_type, request.body().clone())))
}

#[cfg(test)]
mod tests;
