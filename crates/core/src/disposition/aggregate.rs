//! Several notifications in one message (RFC 5438 §8.3): multipart/mixed of message/imdn+xml.

use bytes::Bytes;
use cpm_mime::{ContentType, MimeError, Multipart, Part};
use cpm_xml::XmlError;
use cpm_xml::imdn::{self, Imdn};
use std::fmt;

/// Whether the sender of the message may learn who its recipients are (RFC 5438 §8.3, §14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclosure {
    /// The sender knows them.
    Recipients,
    /// The list is hidden: the notifications do not say whose they are.
    Nobody,
}

/// Why one notification was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImdnFault {
    /// Its transfer encoding.
    Mime(MimeError),
    /// The document.
    Xml(XmlError),
}

impl fmt::Display for ImdnFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImdnFault::Mime(error) => error.fmt(f),
            ImdnFault::Xml(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ImdnFault {}

/// The contents of as few messages as the notifications fit into, `mime.max_parts` parts each at the most; a notification
/// that is alone in its message stands there without a multipart around it. None for none.
///
/// # Errors
/// The limits do not let a multipart be written.
pub fn aggregate(
    notifications: &[Imdn],
    disclosure: Disclosure,
    limits: &cpm_mime::Limits,
) -> Result<Vec<Part>, MimeError> {
    // A reader with the same limits reads what is written.
    let contents = notifications.chunks(limits.max_parts.max(1)).map(|chunk| content(chunk, disclosure));
    contents.collect()
}

fn content(notifications: &[Imdn], disclosure: Disclosure) -> Result<Part, MimeError> {
    let content_type = ContentType::parse(imdn::MEDIA_TYPE)?;
    let document = |notification: &Imdn| match disclosure {
        Disclosure::Recipients => imdn::write(notification),
        Disclosure::Nobody => {
            imdn::write(&Imdn { recipient_uri: None, original_recipient_uri: None, ..notification.clone() })
        }
    };
    let mut parts: Vec<Part> = Vec::with_capacity(notifications.len());
    for notification in notifications {
        parts.push(Part::new(&content_type, Bytes::from(document(notification))));
    }
    let part = match <[Part; 1]>::try_from(parts) {
        Ok([alone]) => alone,
        Err(parts) => {
            let multipart = Multipart::new("mixed", parts)?;
            Part::new(&multipart.content_type(), multipart.to_bytes()?)
        }
    };
    part.with_header("Content-Disposition", "notification")
}

/// The notifications in the content of a message, alone or aggregated. One that cannot be read does not hide the others;
/// what else stands in a multipart is passed over.
///
/// # Errors
/// The content itself, or the multiparts in it, cannot be read.
pub fn notifications(
    content: &Part,
    mime: &cpm_mime::Limits,
    xml: &cpm_xml::Limits,
) -> Result<Vec<Result<Imdn, ImdnFault>>, MimeError> {
    let mut read = Vec::new();
    for leaf in content.leaves(mime)? {
        let Ok(content_type) = leaf.content_type() else { continue };
        if !content_type.is(imdn::MEDIA_TYPE) && !content_type.is("application/imdn+xml") {
            continue;
        }
        read.push(match leaf.decoded() {
            Ok(octets) => imdn::parse(&octets, xml).map_err(ImdnFault::Xml),
            Err(error) => Err(ImdnFault::Mime(error)),
        });
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
