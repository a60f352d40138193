//! References in the place of media (TS 8.3.1.4): what the user's message store keeps is named by its IMAP URL.

use crate::leaves::replace_leaves;
use core::fmt;
use cpm_base::DateTime;
use cpm_core::outside::{BodyPart, BodyStructure};
use cpm_cpim::{BuildError, CpimMessage};
use cpm_mime::{ContentType, ExternalBody, Limits, MimeError, Part};
use cpm_sip::TypedHeader;

/// Why no reference could be put in. The message is whole without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReferenceFault {
    /// The content cannot be read, or the new one not be written.
    Content(MimeError),
    /// The message cannot be written with it.
    Message(BuildError),
    /// The kept object has no such part.
    NotKept {
        /// The type of the media object.
        content_type: String,
    },
}

impl fmt::Display for ReferenceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReferenceFault::Content(error) => write!(f, "content: {error}"),
            ReferenceFault::Message(error) => write!(f, "message: {error}"),
            ReferenceFault::NotKept { content_type } => {
                write!(f, "nothing of type {content_type} is kept there")
            }
        }
    }
}

impl From<MimeError> for ReferenceFault {
    fn from(error: MimeError) -> Self {
        ReferenceFault::Content(error)
    }
}

/// Whether a part is a Media Object, of which the specification says only that it is attached to a message: every image,
/// sound, film, document and file, and text that is announced as an attachment or is no text to be read (a visiting card).
/// Not: what the user wrote (text/plain and text/html), what the protocols read themselves (messages in messages,
/// references, notifications, recipient lists, typing), what is signed or encrypted.
pub(crate) fn is_media_object(part: &Part) -> bool {
    let Ok(content_type) = part.content_type() else { return false };
    let disposition = part.content_disposition().ok().flatten();
    let is_for = |purpose: &str| disposition.as_ref().is_some_and(|disposition| disposition.is(purpose));
    if ["notification", "recipient-list", "recipient-list-history"].into_iter().any(is_for) {
        return false;
    }
    let essence = content_type.essence();
    match essence.split('/').next().unwrap_or_default() {
        "text" => is_for("attachment") || !matches!(essence.as_str(), "text/plain" | "text/html"),
        "message" | "multipart" => false,
        "application" => {
            const OF_THE_PROTOCOL: [&str; 6] = [
                "application/imdn+xml",
                "application/im-iscomposing+xml",
                "application/pkcs7-mime",
                "application/pkcs7-signature",
                "application/resource-lists+xml",
                "application/sdp",
            ];
            !OF_THE_PROTOCOL.contains(&essence.as_str()) && !essence.starts_with("application/vnd.oma.cpm-")
        }
        _ => true,
    }
}

/// Whether a message has Media Objects attached.
pub(crate) fn has_media_objects(message: &CpimMessage, limits: &Limits) -> bool {
    let mut found = false;
    let looked = replace_leaves(message.content(), limits, |leaf| {
        found |= is_media_object(leaf);
        Ok::<_, MimeError>(None)
    });
    looked.is_ok() && found
}

/// The message with a reference in the place of each Media Object, to the part of the kept object that it is; everything
/// else in it as it was, the boundaries of multiparts too. `None`: it has no Media Object.
///
/// The parts of the kept object are taken in their order, each once, by their types; parts of it that the message does
/// not have are passed over. `until` is how long the store keeps the object (RFC 4483 §5.7 wants it said).
///
/// # Errors
/// A Media Object is not among the parts of the kept object; content that cannot be read.
// req: 8.3.1.4-p1, 8.3.1.4-found-3, 8.3.1.4-refs-1, 8.3.1.4-refs-2
pub(crate) fn with_references(
    message: &CpimMessage,
    kept: &BodyStructure,
    until: DateTime,
    limits: &Limits,
) -> Result<Option<CpimMessage>, ReferenceFault> {
    let mut ahead = kept.parts.iter();
    let content = replace_leaves(message.content(), limits, |leaf| {
        let content_type = leaf.content_type()?;
        // Parts that are not found are no loss: the search begins again where it began.
        let mut search = ahead.clone();
        let found = search.find(|part| is_of_type(part, &content_type));
        if found.is_some() {
            ahead = search;
        }
        if !is_media_object(leaf) {
            return Ok(None);
        }
        let Some(found) = found else {
            return Err(ReferenceFault::NotKept { content_type: content_type.essence() });
        };
        Ok(Some(reference(leaf, &url_of(&kept.url, &found.section), found.octets, until)?))
    })?;
    let Some(content) = content else { return Ok(None) };
    let mut message = message.clone();
    message.set_content(content).map_err(ReferenceFault::Message)?;
    Ok(Some(message))
}

fn is_of_type(part: &BodyPart, content_type: &ContentType) -> bool {
    ContentType::parse(&part.content_type).is_ok_and(|kept| kept.essence() == content_type.essence())
}

/// The URL of a part: that of its message with a section (RFC 5092 §5, §11: `isection`).
fn url_of(message: &str, section: &str) -> String {
    let mut url = format!("{}/;SECTION=", message.trim_end_matches('/'));
    for octet in section.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~!$'()*+,&=:@/".contains(&octet) {
            url.push(char::from(octet));
        } else {
            url.push_str(&format!("%{octet:02X}"));
        }
    }
    url
}

/// message/external-body (RFC 4483 §5): the URL, how long and how large; inside of it the header fields of the part, with
/// a disposition (§5.10).
fn reference(part: &Part, url: &str, octets: u64, until: DateTime) -> Result<Part, MimeError> {
    let mut content = Part::new(&part.content_type()?, bytes::Bytes::new());
    content.headers = part.headers.clone();
    if content.headers.get("Content-Disposition").is_none() {
        content.headers.push("Content-Disposition", "render")?;
    }
    let mut external = ExternalBody::new(url, content);
    external.expiration = Some(String::from(cpm_sip::Date(until).to_text().as_str()));
    external.size = Some(octets);
    external.to_part()
}

#[cfg(test)]
mod tests;
