//! Writing a message/cpim: strict, in the order that peers write.

use crate::grammar;
use crate::header::{Header, Headers};
use crate::{Address, BuildError, CpimMessage, DispositionRequest, IMDN_NAMESPACE, Limits, MessageDirection};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use cpm_base::{DateTime, LimitExceeded};
use cpm_mime::Part;

/// Collects what a message shall say; [`build`](CpimBuilder::build) checks all of it.
///
/// Fields are written as From, To, cc, NS, imdn.Message-ID, DateTime, imdn.Disposition-Notification, imdn.Original-To,
/// imdn.IMDN-Record-Route, imdn.IMDN-Route, Subject, Message-Direction, extensions. Names and subjects may hold any
/// character: what a header field cannot hold is escaped (RFC 3862 §2.3). Everything else is refused where the grammar
/// has no place for it.
#[derive(Debug, Clone)]
pub struct CpimBuilder {
    from: Address,
    to: Vec<Address>,
    cc: Vec<Address>,
    date_time: Option<String>,
    subjects: Vec<(String, Option<String>)>,
    message_id: Option<String>,
    disposition: DispositionRequest,
    original_to: Option<Address>,
    record_route: Vec<Address>,
    route: Vec<Address>,
    direction: Option<MessageDirection>,
    extensions: Vec<Extension>,
    content: Option<Part>,
}

#[derive(Debug, Clone)]
struct Extension {
    prefix: String,
    namespace: String,
    name: String,
    value: String,
    required: bool,
}

impl CpimBuilder {
    /// A message from one to another.
    #[must_use]
    pub fn new(from: Address, to: Address) -> Self {
        CpimBuilder {
            from,
            to: alloc::vec![to],
            cc: Vec::new(),
            date_time: None,
            subjects: Vec::new(),
            message_id: None,
            disposition: DispositionRequest::default(),
            original_to: None,
            record_route: Vec::new(),
            route: Vec::new(),
            direction: None,
            extensions: Vec::new(),
            content: None,
        }
    }

    /// One more recipient.
    #[must_use]
    pub fn to(mut self, to: Address) -> Self {
        self.to.push(to);
        self
    }

    /// One more recipient of a courtesy copy.
    #[must_use]
    pub fn cc(mut self, cc: Address) -> Self {
        self.cc.push(cc);
        self
    }

    /// When it was sent.
    #[must_use]
    pub fn date_time(mut self, date_time: DateTime) -> Self {
        self.date_time = Some(date_time.to_string());
        self
    }

    /// A subject without language.
    #[must_use]
    pub fn subject(mut self, text: &str) -> Self {
        self.subjects.push((String::from(text), None));
        self
    }

    /// A subject in a language, named by its tag (`fr`, `de-AT`).
    #[must_use]
    pub fn subject_in(mut self, language: &str, text: &str) -> Self {
        self.subjects.push((String::from(text), Some(String::from(language))));
        self
    }

    /// Message-ID (RFC 5438 §6.3): a token.
    #[must_use]
    pub fn imdn_message_id(mut self, id: &str) -> Self {
        self.message_id = Some(String::from(id));
        self
    }

    /// Which notifications are wanted; none leaves the field out.
    #[must_use]
    pub fn disposition_notification(mut self, request: DispositionRequest) -> Self {
        self.disposition = request;
        self
    }

    /// Whom the message was for first (RFC 5438 §6.4).
    #[must_use]
    pub fn original_to(mut self, address: Address) -> Self {
        self.original_to = Some(address);
        self
    }

    /// One more IMDN-Record-Route, below those already there.
    #[must_use]
    pub fn imdn_record_route(mut self, address: Address) -> Self {
        self.record_route.push(address);
        self
    }

    /// One more IMDN-Route, below those already there.
    #[must_use]
    pub fn imdn_route(mut self, address: Address) -> Self {
        self.route.push(address);
        self
    }

    /// Message-Direction (TS C.1.9).
    #[must_use]
    pub fn message_direction(mut self, direction: MessageDirection) -> Self {
        self.direction = Some(direction);
        self
    }

    /// A field of another namespace; the value is escaped.
    #[must_use]
    pub fn extension(self, prefix: &str, namespace: &str, name: &str, value: &str) -> Self {
        self.push_extension(prefix, namespace, name, value, false)
    }

    /// The same, and whoever does not know the field must not show the message: Require names it (RFC 3862 §4.7).
    #[must_use]
    pub fn required_extension(self, prefix: &str, namespace: &str, name: &str, value: &str) -> Self {
        self.push_extension(prefix, namespace, name, value, true)
    }

    fn push_extension(
        mut self,
        prefix: &str,
        namespace: &str,
        name: &str,
        value: &str,
        required: bool,
    ) -> Self {
        self.extensions.push(Extension {
            prefix: String::from(prefix),
            namespace: String::from(namespace),
            name: String::from(name),
            value: String::from(value),
            required,
        });
        self
    }

    /// What the message carries.
    #[must_use]
    pub fn content(mut self, content: Part) -> Self {
        self.content = Some(content);
        self
    }

    /// The message.
    ///
    /// # Errors
    /// Something in it cannot be written; see [`BuildError`]. What is built is within the default
    /// [`Limits`](crate::Limits).
    pub fn build(self) -> Result<CpimMessage, BuildError> {
        let mut list = Vec::new();
        push_addresses(&mut list, None, "From", core::slice::from_ref(&self.from))?;
        push_addresses(&mut list, None, "To", &self.to)?;
        push_addresses(&mut list, None, "cc", &self.cc)?;
        self.push_imdn(&mut list)?;
        for (text, language) in &self.subjects {
            list.push(subject_header(text, language.as_deref())?);
        }
        if let Some(direction) = self.direction {
            let value = match direction {
                MessageDirection::Sent => "sent",
                MessageDirection::Received => "received",
            };
            list.push(Header::written(None, "Message-Direction", "", value)?);
        }
        self.push_extensions(&mut list)?;
        let content = self.content.ok_or(BuildError::NoContentType)?;
        content.content_type().map_err(|_| BuildError::NoContentType)?;
        if content.headers.get("Content-Type").is_none() {
            return Err(BuildError::NoContentType);
        }
        let message = CpimMessage { headers: Headers::from_list(list), content, depth: 0, source: None };
        check_limits(message.headers())?;
        Ok(message)
    }

    /// NS and the fields under it, with DateTime where peers write it.
    fn push_imdn(&self, list: &mut Vec<Header>) -> Result<(), BuildError> {
        let prefix = Some("imdn");
        let needed = self.message_id.is_some()
            || !self.disposition.is_empty()
            || self.original_to.is_some()
            || !self.record_route.is_empty()
            || !self.route.is_empty();
        if needed {
            list.push(namespace_header("imdn", IMDN_NAMESPACE)?);
        }
        if let Some(id) = &self.message_id {
            if !grammar::is_token(id) {
                return Err(BuildError::MessageId);
            }
            list.push(Header::written(prefix, "Message-ID", "", id)?);
        }
        if let Some(date_time) = &self.date_time {
            list.push(Header::written(None, "DateTime", "", date_time)?);
        }
        if !self.disposition.is_empty() {
            list.push(Header::written(prefix, "Disposition-Notification", "", &self.disposition.to_text()?)?);
        }
        push_addresses(list, prefix, "Original-To", self.original_to.as_slice())?;
        push_addresses(list, prefix, "IMDN-Record-Route", &self.record_route)?;
        push_addresses(list, prefix, "IMDN-Route", &self.route)
    }

    /// Fields of other namespaces, each namespace declared once.
    fn push_extensions(&self, list: &mut Vec<Header>) -> Result<(), BuildError> {
        let mut declared = alloc::vec![("imdn", IMDN_NAMESPACE)];
        if !list.iter().any(|header| header.name() == "NS") {
            declared.clear();
        }
        for Extension { prefix, namespace, name, value, required } in &self.extensions {
            match declared.iter().find(|(known, _)| *known == prefix.as_str()) {
                Some((_, uri)) if *uri != namespace.as_str() => return Err(BuildError::PrefixRedeclared),
                Some(_) => {}
                None => {
                    list.push(namespace_header(prefix, namespace)?);
                    declared.push((prefix, namespace));
                }
            }
            let field = Header::written(Some(prefix), name, "", &grammar::escape(value, false))?;
            if *required {
                list.push(Header::written(None, "Require", "", field.full_name())?);
            }
            list.push(field);
        }
        Ok(())
    }
}

/// `NS: prefix <uri>`.
pub(crate) fn namespace_header(prefix: &str, uri: &str) -> Result<Header, BuildError> {
    if !grammar::is_name(prefix) {
        return Err(BuildError::Name);
    }
    if !grammar::is_uri(uri) {
        return Err(BuildError::Uri { header: "NS" });
    }
    Header::written(None, "NS", "", &alloc::format!("{prefix} <{uri}>"))
}

/// One field per address.
fn push_addresses(
    list: &mut Vec<Header>,
    prefix: Option<&str>,
    name: &'static str,
    addresses: &[Address],
) -> Result<(), BuildError> {
    for address in addresses {
        list.push(Header::written(prefix, name, "", &address.to_text(name)?)?);
    }
    Ok(())
}

/// A subject; blanks at its ends, which no header field may have, are left out.
fn subject_header(text: &str, language: Option<&str>) -> Result<Header, BuildError> {
    let params = match language {
        None => String::new(),
        Some(tag) if !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            alloc::format!(";lang={tag}")
        }
        Some(_) => return Err(BuildError::Language),
    };
    Header::written(None, "Subject", &params, &grammar::escape(text.trim_matches(' '), false))
}

/// What is written must be readable under the default limits.
pub(crate) fn check_limits(headers: &Headers) -> Result<(), BuildError> {
    let limits = Limits::DEFAULT;
    LimitExceeded::check("cpim.max_headers", headers.len(), limits.max_headers)?;
    LimitExceeded::check(
        "cpim.max_header_bytes",
        headers.wire_len().saturating_add(2),
        limits.max_header_bytes,
    )?;
    Ok(headers.check_routes(limits.max_route)?)
}

#[cfg(test)]
mod tests;
