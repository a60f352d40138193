//! A message/cpim: its header fields read by meaning, its content.

use crate::grammar;
use crate::reader::{self, Leniency, Tolerated};
use crate::{Address, CPIM_NAMESPACE, CpimError, DispositionRequest, Headers, IMDN_NAMESPACE, Limits};
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
        if !self.content.content_type().map_err(CpimError::Content)?.is("message/cpim") {
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

    /// From: who sent it.
    ///
    /// # Errors
    /// It stands twice or is no address.
    pub fn from(&self) -> Result<Option<Address>, CpimError> {
        self.single_address(CPIM_NAMESPACE, "From")
    }

    /// To: all of them, in order.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn to(&self) -> Result<Vec<Address>, CpimError> {
        self.addresses(CPIM_NAMESPACE, "To")
    }

    /// cc: all of them, in order.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn cc(&self) -> Result<Vec<Address>, CpimError> {
        self.addresses(CPIM_NAMESPACE, "cc")
    }

    /// DateTime: when it was sent.
    ///
    /// # Errors
    /// It stands twice or is no date of RFC 3339.
    pub fn date_time(&self) -> Result<Option<DateTime>, CpimError> {
        let header = self.headers.single(CPIM_NAMESPACE, "DateTime")?;
        header.map(|h| DateTime::parse(h.value()).map_err(|_| CpimError::DateTimeSyntax)).transpose()
    }

    /// DateTime as it is written: what an IMDN gives back (RFC 5438 §11.1.2).
    #[must_use]
    pub fn date_time_text(&self) -> Option<String> {
        self.headers.get_all(CPIM_NAMESPACE, "DateTime").first().map(|h| h.text())
    }

    /// Subject: all of them, in order; several say the same in several languages.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        let all = self.headers.get_all(CPIM_NAMESPACE, "Subject");
        all.into_iter().map(|h| Subject { text: h.text(), language: h.param("lang") }).collect()
    }

    /// The first Subject.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.headers.get_all(CPIM_NAMESPACE, "Subject").first().map(|h| h.text())
    }

    /// What the NS fields declare, in order: (prefix, namespace URI); without prefix the default for what follows.
    #[must_use]
    pub fn namespaces(&self) -> Vec<(Option<String>, String)> {
        let declarations = self.headers.iter().filter(|h| h.name() == "NS");
        let declarations = declarations.filter_map(|h| grammar::namespace(h.value()));
        declarations.map(|(prefix, uri)| (prefix.map(String::from), String::from(uri))).collect()
    }

    /// Require: what the sender insists on, as (namespace URI, name). Whoever does not know one of them must not show
    /// the message (RFC 3862 §3.5).
    ///
    /// # Errors
    /// It is no list of names, or one has a prefix that nobody declared.
    pub fn require(&self) -> Result<Vec<(String, String)>, CpimError> {
        let mut required = Vec::new();
        let scope = self.headers.scope_at_end();
        for header in self.headers.get_all(CPIM_NAMESPACE, "Require") {
            for (prefix, name) in grammar::required_names(header.value()).ok_or(CpimError::RequireSyntax)? {
                let namespace = scope.namespace(prefix).ok_or_else(|| CpimError::UndeclaredPrefix {
                    prefix: String::from(prefix.unwrap_or_default()),
                })?;
                required.push((String::from(namespace), String::from(name)));
            }
        }
        Ok(required)
    }

    /// Message-ID (RFC 5438 §6.3). It is taken for what it is, an opaque mark of visible characters: peers put more into
    /// it than a token.
    ///
    /// # Errors
    /// It stands twice, is empty or holds a blank.
    pub fn imdn_message_id(&self) -> Result<Option<String>, CpimError> {
        let Some(header) = self.headers.single(IMDN_NAMESPACE, "Message-ID")? else { return Ok(None) };
        let id = header.value();
        if id.is_empty() || id.contains(char::is_whitespace) {
            return Err(CpimError::MessageIdSyntax);
        }
        Ok(Some(String::from(id)))
    }

    /// Disposition-Notification: which notifications are wanted; none where the field is absent or empty. Several fields
    /// add up.
    ///
    /// # Errors
    /// It is no list of tokens.
    pub fn disposition_notification(&self) -> Result<DispositionRequest, CpimError> {
        let mut request = DispositionRequest::default();
        for header in self.headers.get_all(IMDN_NAMESPACE, "Disposition-Notification") {
            request.add(header.value())?;
        }
        Ok(request)
    }

    /// Original-To: whom the message was for before an intermediary changed To (RFC 5438 §6.4).
    ///
    /// # Errors
    /// It stands twice or is no address.
    pub fn original_to(&self) -> Result<Option<Address>, CpimError> {
        self.single_address(IMDN_NAMESPACE, "Original-To")
    }

    /// IMDN-Record-Route: which intermediaries want to see the notification, topmost first.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn record_route(&self) -> Result<Vec<Address>, CpimError> {
        self.addresses(IMDN_NAMESPACE, "IMDN-Record-Route")
    }

    /// IMDN-Route: where the notification goes next, topmost first.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn route(&self) -> Result<Vec<Address>, CpimError> {
        self.addresses(IMDN_NAMESPACE, "IMDN-Route")
    }

    /// Message-Direction (TS C.1.9); `None` where it is absent, says something else, or stands more than once.
    // req: C.1.9-T4, C.1.9-abnf, C.1.9-p2
    #[must_use]
    pub fn message_direction(&self) -> Option<MessageDirection> {
        match self.headers.single(CPIM_NAMESPACE, "Message-Direction").ok()??.value() {
            "sent" => Some(MessageDirection::Sent),
            "received" => Some(MessageDirection::Received),
            _ => None,
        }
    }

    /// Whether this carries a disposition notification: content of type message/imdn+xml (some write application/), or a
    /// multipart announced with Content-Disposition notification (RFC 5438 §8.3). Such a message is never shown, and no
    /// notification is ever sent for it.
    #[must_use]
    pub fn is_imdn(&self) -> bool {
        let Ok(content_type) = self.content.content_type() else { return false };
        let announced = matches!(self.content.content_disposition(), Ok(Some(d)) if d.is("notification"));
        content_type.is("message/imdn+xml")
            || content_type.is("application/imdn+xml")
            || (content_type.is_multipart() && announced)
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

    fn single_address(&self, namespace: &str, name: &'static str) -> Result<Option<Address>, CpimError> {
        self.headers.single(namespace, name)?.map(|header| Address::read(name, header.value())).transpose()
    }

    fn addresses(&self, namespace: &str, name: &'static str) -> Result<Vec<Address>, CpimError> {
        self.headers
            .get_all(namespace, name)
            .into_iter()
            .map(|header| Address::read(name, header.value()))
            .collect()
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
