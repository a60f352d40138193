//! A message/cpim: its header fields read by meaning, its content.

use crate::reader::{self, Leniency, Tolerated};
use crate::{Address, CpimError, DispositionRequest, Headers, Limits};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use cpm_base::{DateTime, LimitExceeded};
use cpm_mime::Part;

/// A message/cpim (RFC 3862) with the header fields of RFC 5438.
///
/// `Debug` shows the header fields and no octet of the content. Two messages are equal when header fields and content
/// are, octet for octet.
#[derive(Clone)]
pub struct CpimMessage {
    pub(crate) headers: Headers,
    pub(crate) content: Part,
    /// How many messages this one is inside of.
    pub(crate) depth: usize,
    /// What was read, as long as nothing was edited.
    pub(crate) source: Option<Bytes>,
}

/// A Subject in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The text as it is meant (unescaped).
    pub text: String,
    /// The language tag (RFC 3066), where it is said.
    pub language: Option<String>,
}

/// Whether a copy of a message was sent or received by the user it is shown to (TS C.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageDirection {
    /// `sent`: another client of the same user sent it.
    Sent,
    /// `received`.
    Received,
}

impl CpimMessage {
    /// Reads a message/cpim body, to the end of input.
    ///
    /// The strict form is tried first; only what it refuses is read again with the deviations that `leniency` admits, so
    /// a well-formed message never depends on them. The second value lists the deviations met.
    ///
    /// # Errors
    /// The first fault of the strict reading.
    pub fn parse(
        bytes: Bytes,
        limits: &Limits,
        leniency: &Leniency,
    ) -> Result<(Self, Vec<Tolerated>), CpimError> {
        let read = reader::read(bytes, limits, leniency, 0)?;
        check_depth(&read.0, limits, leniency)?;
        Ok(read)
    }

    /// The message/cpim that is the content of this one; `None` where the content is something else.
    ///
    /// # Errors
    /// [`CpimError::Limit`] beyond `cpim.depth`; otherwise as [`parse`](CpimMessage::parse).
    pub fn nested(
        &self,
        limits: &Limits,
        leniency: &Leniency,
    ) -> Result<Option<(Self, Vec<Tolerated>)>, CpimError> {
        if !self.content.media_type().map_err(CpimError::Content)?.is("message/cpim") {
            return Ok(None);
        }
        let depth = self.depth.saturating_add(1);
        LimitExceeded::check("cpim.depth", depth, limits.max_depth)?;
        let body = self.content.decoded().map_err(CpimError::Content)?;
        reader::read(body, limits, leniency, depth).map(Some)
    }

    /// The message header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The content, with its MIME header fields.
    #[must_use]
    pub fn content(&self) -> &Part {
        &self.content
    }

    /// See [`Headers::from`].
    ///
    /// # Errors
    /// As there.
    pub fn from(&self) -> Result<Option<Address>, CpimError> {
        self.headers.from()
    }

    /// See [`Headers::to`].
    ///
    /// # Errors
    /// As there.
    pub fn to(&self) -> Result<Vec<Address>, CpimError> {
        self.headers.to()
    }

    /// See [`Headers::cc`].
    ///
    /// # Errors
    /// As there.
    pub fn cc(&self) -> Result<Vec<Address>, CpimError> {
        self.headers.cc()
    }

    /// See [`Headers::date_time`].
    ///
    /// # Errors
    /// As there.
    pub fn date_time(&self) -> Result<Option<DateTime>, CpimError> {
        self.headers.date_time()
    }

    /// See [`Headers::date_time_text`].
    #[must_use]
    pub fn date_time_text(&self) -> Option<String> {
        self.headers.date_time_text()
    }

    /// See [`Headers::subjects`].
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        self.headers.subjects()
    }

    /// See [`Headers::subject`].
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.headers.subject()
    }

    /// See [`Headers::namespaces`].
    #[must_use]
    pub fn namespaces(&self) -> Vec<(Option<String>, String)> {
        self.headers.namespaces()
    }

    /// See [`Headers::require`].
    ///
    /// # Errors
    /// As there.
    pub fn require(&self) -> Result<Vec<(String, String)>, CpimError> {
        self.headers.require()
    }

    /// See [`Headers::imdn_message_id`].
    ///
    /// # Errors
    /// As there.
    pub fn imdn_message_id(&self) -> Result<Option<String>, CpimError> {
        self.headers.imdn_message_id()
    }

    /// See [`Headers::disposition_notification`].
    ///
    /// # Errors
    /// As there.
    pub fn disposition_notification(&self) -> Result<DispositionRequest, CpimError> {
        self.headers.disposition_notification()
    }

    /// See [`Headers::original_to`].
    ///
    /// # Errors
    /// As there.
    pub fn original_to(&self) -> Result<Option<Address>, CpimError> {
        self.headers.original_to()
    }

    /// See [`Headers::record_route`].
    ///
    /// # Errors
    /// As there.
    pub fn record_route(&self) -> Result<Vec<Address>, CpimError> {
        self.headers.record_route()
    }

    /// See [`Headers::route`].
    ///
    /// # Errors
    /// As there.
    pub fn route(&self) -> Result<Vec<Address>, CpimError> {
        self.headers.route()
    }

    /// See [`Headers::message_direction`].
    #[must_use]
    pub fn message_direction(&self) -> Option<MessageDirection> {
        self.headers.message_direction()
    }

    /// Whether this carries a disposition notification: content of type message/imdn+xml (some write application/), or a
    /// multipart announced with Content-Disposition notification (RFC 5438 §8.3). Such a message is never shown, and no
    /// notification is ever sent for it.
    #[must_use]
    pub fn is_imdn(&self) -> bool {
        let Ok(media) = self.content.media_type() else { return false };
        let announced = || matches!(self.content.content_disposition(), Ok(Some(d)) if d.is("notification"));
        media.is("message/imdn+xml")
            || media.is("application/imdn+xml")
            || (media.is_multipart() && announced())
    }

    /// Whether octets could be those of a message that [is](CpimMessage::is_imdn) a notification: one that is names the type,
    /// or has the announcement, in one piece. Takes a small part of the time that reading takes.
    ///
    /// ```
    /// # use cpm_cpim::CpimMessage;
    /// assert!(CpimMessage::may_be_imdn(b"From: <im:a@b>\r\n\r\nContent-Type: Message/IMDN+xml\r\n\r\n<imdn/>"));
    /// assert!(!CpimMessage::may_be_imdn(b"From: <im:a@b>\r\n\r\nContent-Type: text/plain\r\n\r\nimdn, xml"));
    /// ```
    #[must_use]
    pub fn may_be_imdn(octets: &[u8]) -> bool {
        let stands = |text: &str, mark: u8, before: usize| {
            memchr::memchr_iter(mark, octets).any(|at| {
                let from = at.checked_sub(before).and_then(|start| octets.get(start..));
                let found = from.and_then(|from| from.get(..text.len()));
                found.is_some_and(|found| found.eq_ignore_ascii_case(text.as_bytes()))
            })
        };
        stands("imdn+xml", b'+', "imdn".len()) || stands("Content-Disposition", b'-', "Content".len())
    }

    /// The octets of the message. One that was read and not edited gives the octets back that were read.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if let Some(source) = &self.source {
            return source.clone();
        }
        let length = self.headers.wire_len().saturating_add(2).saturating_add(self.content.wire_len());
        let mut out = Vec::with_capacity(length);
        self.headers.write_to(&mut out);
        out.extend_from_slice(b"\r\n");
        self.content.write_to(&mut out);
        Bytes::from(out)
    }
}

/// Looks into messages inside the message until they end or there are too many. What cannot be read inside is content
/// like any other.
fn check_depth(message: &CpimMessage, limits: &Limits, leniency: &Leniency) -> Result<(), CpimError> {
    let mut innermost = message.nested(limits, leniency);
    loop {
        match innermost {
            Ok(Some((inner, _))) => innermost = inner.nested(limits, leniency),
            Err(CpimError::Limit(limit)) if limit.limit == "cpim.depth" => {
                return Err(CpimError::Limit(limit));
            }
            _ => return Ok(()),
        }
    }
}

impl PartialEq for CpimMessage {
    fn eq(&self, other: &Self) -> bool {
        self.headers == other.headers && self.content == other.content
    }
}

impl Eq for CpimMessage {}

impl fmt::Debug for CpimMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpimMessage")
            .field("headers", &self.headers)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}
