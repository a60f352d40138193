//! Content that the sender left in its message store (TS 8.2.1.1-5, 7.2.1.4): a message/external-body with
//! `access-type=URL` whose URL says `action=fetch` is taken out for what lies behind the URL.

use crate::leaves::replace_leaves;
use core::fmt;
use cpm_core::outside::{FetchError, FetchedObject};
use cpm_core::warning::Reason;
use cpm_cpim::{BuildError, CpimMessage};
use cpm_mime::{ContentType, ExternalBody, Limits, MimeError, Part};
use cpm_sip::StatusCode;

/// Why the content of a message could not be completed. The message goes no further: its recipient cannot reach the
/// sender's message store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExternalFault {
    /// The content, or a reference in it, cannot be read.
    Content(MimeError),
    /// The message cannot be written with it.
    Message(BuildError),
    /// More references than are fetched for one message.
    TooMany {
        /// How many are.
        most: usize,
    },
    /// The URL names no message store.
    Scheme,
    /// It was not given out.
    Fetch(FetchError),
    /// All of it together is larger than is taken.
    TooLarge {
        /// How many octets are.
        most: usize,
    },
    /// What was given out says no type that can be read.
    Type,
}

impl ExternalFault {
    /// The answer to the sender, and what its Warning says.
    ///
    /// | fault | answer |
    /// |---|---|
    /// | the reference or the content around it cannot be read | 400 |
    /// | too many references, no URL of a message store, not there, not for this user | 403 |
    /// | larger than is taken | 513 |
    /// | the store failed, was late or never answered, or said no type | 480 |
    pub(crate) fn answer(&self) -> (StatusCode, String) {
        let status = match self {
            ExternalFault::Content(_) | ExternalFault::Message(_) => StatusCode::BAD_REQUEST,
            ExternalFault::TooMany { .. } | ExternalFault::Scheme => StatusCode::FORBIDDEN,
            ExternalFault::Fetch(FetchError::NotFound | FetchError::Forbidden) => StatusCode::FORBIDDEN,
            ExternalFault::Fetch(FetchError::TooLarge) | ExternalFault::TooLarge { .. } => {
                StatusCode::MESSAGE_TOO_LARGE
            }
            ExternalFault::Fetch(_) | ExternalFault::Type => StatusCode::TEMPORARILY_UNAVAILABLE,
        };
        let text = match status {
            StatusCode::FORBIDDEN => Reason::NotAllowed.about(&self.to_string()),
            StatusCode::MESSAGE_TOO_LARGE => Reason::Size.about(&self.to_string()),
            _ => self.to_string(),
        };
        (status, text)
    }
}

impl fmt::Display for ExternalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternalFault::Content(error) => write!(f, "content: {error}"),
            ExternalFault::Message(error) => write!(f, "message: {error}"),
            ExternalFault::TooMany { most } => write!(f, "more than {most} references to stored data"),
            ExternalFault::Scheme => f.write_str("stored data: the URL names no message store"),
            ExternalFault::Fetch(error) => write!(f, "stored data: {error}"),
            ExternalFault::TooLarge { most } => write!(f, "stored data: more than {most} octets"),
            ExternalFault::Type => f.write_str("stored data: of no readable type"),
        }
    }
}

impl From<MimeError> for ExternalFault {
    fn from(error: MimeError) -> Self {
        ExternalFault::Content(error)
    }
}

/// What a reference says that it is (RFC 2046 §5.2.3).
const EXTERNAL_BODY: &str = "message/external-body";

/// How much is fetched for one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchLimits {
    /// References.
    pub(crate) references: usize,
    /// Octets of all that they stand for.
    pub(crate) octets: usize,
}

/// The URLs that are to be fetched for a message, in the order of its parts. A URL that stands twice is fetched twice.
///
/// # Errors
/// There are too many, one is not of a message store (`imap`, `imaps`: nobody else is asked on a sender's word), or the
/// content cannot be read.
// req: 8.2.1.1-5
pub(crate) fn to_fetch(
    message: &CpimMessage,
    limits: &Limits,
    most: FetchLimits,
) -> Result<Vec<String>, ExternalFault> {
    let mut urls = Vec::new();
    // Nearly always it is one text.
    let media = message.content().media_type()?;
    if !media.is_multipart() && !media.is(EXTERNAL_BODY) {
        return Ok(urls);
    }
    replace_leaves(message.content(), limits, |leaf| {
        if let Some(external) = fetched_reference(leaf, limits)? {
            if urls.len() >= most.references {
                return Err(ExternalFault::TooMany { most: most.references });
            }
            if !is_of_a_store(&external.url) {
                return Err(ExternalFault::Scheme);
            }
            urls.push(external.url);
        }
        Ok(None)
    })?;
    Ok(urls)
}

/// The message with what was fetched, in the order of [`to_fetch`], in the places of the references: its Content-Type, its
/// octets, and of the reference what it says of the content besides (Content-ID, Content-Disposition). Multiparts keep
/// their boundaries.
///
/// # Errors
/// All of it is too large, or cannot be put in.
// req: 8.2.1.1-5.b, 8.2.1.1-5.c
pub(crate) fn with_content(
    message: &CpimMessage,
    fetched: &[FetchedObject],
    limits: &Limits,
    most: FetchLimits,
) -> Result<CpimMessage, ExternalFault> {
    let octets = fetched.iter().fold(0_usize, |sum, object| sum.saturating_add(object.octets.len()));
    if octets > most.octets {
        return Err(ExternalFault::TooLarge { most: most.octets });
    }
    let mut ahead = fetched.iter();
    let content = replace_leaves(message.content(), limits, |leaf| {
        let Some(external) = fetched_reference(leaf, limits)? else { return Ok(None) };
        let object = ahead.next().ok_or(ExternalFault::Fetch(FetchError::Failed))?;
        put_in(&external, object).map(Some)
    })?;
    let mut message = message.clone();
    if let Some(content) = content {
        message.set_content(content).map_err(ExternalFault::Message)?;
    }
    Ok(message)
}

fn put_in(external: &ExternalBody, object: &FetchedObject) -> Result<Part, ExternalFault> {
    let content_type = ContentType::parse(&object.content_type).map_err(|_| ExternalFault::Type)?;
    let binary = !object.octets.is_ascii() && !content_type.type_().eq_ignore_ascii_case("text");
    let mut part = Part::new(&content_type, object.octets.clone());
    for header in &external.content.headers {
        let about_the_octets = ["Content-Type", "Content-Transfer-Encoding", "Content-Length"]
            .into_iter()
            .any(|name| header.is(name));
        if !about_the_octets {
            part.headers.push(header.name(), &header.value())?;
        }
    }
    if binary && !content_type.is_multipart() {
        part.headers.push("Content-Transfer-Encoding", "binary")?;
    }
    Ok(part)
}

/// The reference that a part is, when it is to be fetched here. References of other kinds, and those without the mark, go
/// on as they are.
fn fetched_reference(part: &Part, limits: &Limits) -> Result<Option<ExternalBody>, ExternalFault> {
    if !part.media_type()?.is(EXTERNAL_BODY) {
        return Ok(None);
    }
    let content_type = part.content_type()?;
    let by_url = || content_type.param("access-type").is_some_and(|kind| kind.eq_ignore_ascii_case("URL"));
    let marked = || content_type.param("URL").is_some_and(says_fetch);
    if !by_url() || !marked() {
        return Ok(None);
    }
    Ok(ExternalBody::read(part, limits)?)
}

/// `?action=fetch` (TS 7.2.1.4-2), behind other parameters too.
fn says_fetch(url: &str) -> bool {
    let Some((_, query)) = url.split_once('?') else { return false };
    query.split(['?', '&', ';']).any(|parameter| parameter.trim().eq_ignore_ascii_case("action=fetch"))
}

fn is_of_a_store(url: &str) -> bool {
    let scheme = url.split(':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("imap") || scheme.eq_ignore_ascii_case("imaps")
}

#[cfg(test)]
mod tests;
