//! Where a message has its session description (RFC 3261 §7.4, RFC 5621 §8): by type and disposition, inside of multiparts.

use bytes::Bytes;
use cpm_mime::{ContentType, Limits, MimeError, Part};
use cpm_sip::{HeaderName, Headers};

/// The session description of a message: the body, or the first part inside of a multipart, whose type is
/// `application/sdp` and whose disposition, where one is given, is `session`. `None` where there is none.
///
/// # Errors
/// A Content field or a multipart cannot be read.
pub fn session_description(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, MimeError> {
    let text = |name| headers.get(&name).and_then(|value| value.to_text().map(|text| text.into_owned()));
    let Some(content_type) = text(HeaderName::ContentType).filter(|_| !body.is_empty()) else {
        return Ok(None);
    };
    let content_type = ContentType::parse(&content_type)?;
    if !content_type.is_multipart() && !content_type.is("application/sdp") {
        return Ok(None);
    }
    let mut part = Part::new(&content_type, body.clone());
    if let Some(disposition) = text(HeaderName::ContentDisposition) {
        part = part.with_header("Content-Disposition", &disposition)?;
    }
    if let Some(encoding) = HeaderName::parse("Content-Transfer-Encoding").ok().and_then(text) {
        part = part.with_header("Content-Transfer-Encoding", &encoding)?;
    }
    for leaf in part.leaves(&Limits::DEFAULT)? {
        let disposition = leaf.content_disposition()?;
        if leaf.content_type()?.is("application/sdp") && disposition.is_none_or(|kind| kind.is("session")) {
            return leaf.decoded().map(Some);
        }
    }
    Ok(None)
}
