//! The disposition notification: message/imdn+xml (RFC 5438 §11) with `<interworking-notification>` (TS Appendix O).

mod parse;

use crate::reader::is_plain_name;
use crate::words::words;
use crate::writer::{push_element, push_text};
use cpm_base::DateTime;

pub use parse::{Leniency, Tolerated, parse, parse_with};

/// The media type of the document.
pub const MEDIA_TYPE: &str = "message/imdn+xml";

/// The namespace of RFC 5438 §11.1.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:imdn";

/// The namespace of `<interworking-notification>` (TS Appendix O).
pub const EXTENSIONS_NAMESPACE: &str = "urn:oma:xml:cpm:imdn-extensions:1.0";

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imdn {
    /// `<message-id>`: the Message-ID of the message this is about.
    pub message_id: String,
    /// `<datetime>`: when that message was sent, as its DateTime said it. Mandatory in the schema; some leave it out.
    pub datetime: Option<String>,
    /// `<recipient-uri>`: the To of that message.
    pub recipient_uri: Option<String>,
    /// `<original-recipient-uri>`: the Original-To of that message. The schema has it only together with the one before.
    pub original_recipient_uri: Option<String>,
    /// `<subject>`: a Subject of that message.
    pub subject: Option<Subject>,
    /// What became of it.
    pub notification: Notification,
    /// More of that, where one document says several things; never two of one kind.
    pub further: Vec<Notification>,
}

/// A subject with its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The text.
    pub text: String,
    /// The language tag (`xml:lang`), where it is said.
    pub language: Option<String>,
}

/// One notification and its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// `<delivery-notification>`.
    Delivery(DeliveryStatus),
    /// `<display-notification>`.
    Display(DisplayStatus),
    /// `<processing-notification>`.
    Processing(ProcessingStatus),
    /// `<interworking-notification>` (TS Appendix O).
    Interworking(InterworkingStatus),
}

words! {
    /// What became of the delivery.
    DeliveryStatus {
        /// It arrived.
        Delivered = "delivered",
        /// It did not arrive.
        Failed = "failed",
        /// Telling is forbidden.
        Forbidden = "forbidden",
        /// A fault inside.
        Error = "error",
    }
}

words! {
    /// Whether it was shown.
    DisplayStatus {
        /// It was shown.
        Displayed = "displayed",
        /// Telling is forbidden.
        Forbidden = "forbidden",
        /// A fault inside.
        Error = "error",
    }
}

words! {
    /// What an intermediary did with it.
    ProcessingStatus {
        /// It was passed on; its fate is not known.
        Processed = "processed",
        /// It is kept for later.
        Stored = "stored",
        /// Telling is forbidden.
        Forbidden = "forbidden",
        /// A fault inside.
        Error = "error",
    }
}

words! {
    /// Which other technology it went to (TS Appendix O).
    InterworkingStatus {
        /// SMS.
        LegacySms = "legacy-sms",
        /// MMS.
        LegacyMms = "legacy-mms",
        /// Telling is forbidden.
        Forbidden = "forbidden",
        /// It did not get there.
        Error = "error",
    }
}

/// The kinds of notification, in the order they are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Delivery,
    Display,
    Processing,
    Interworking,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Delivery, Kind::Display, Kind::Processing, Kind::Interworking];

    pub(crate) fn element(self) -> &'static str {
        match self {
            Kind::Delivery => "delivery-notification",
            Kind::Display => "display-notification",
            Kind::Processing => "processing-notification",
            Kind::Interworking => "interworking-notification",
        }
    }

    pub(crate) fn notification(self, status: &str) -> Notification {
        match self {
            Kind::Delivery => Notification::Delivery(DeliveryStatus::from_name(status)),
            Kind::Display => Notification::Display(DisplayStatus::from_name(status)),
            Kind::Processing => Notification::Processing(ProcessingStatus::from_name(status)),
            Kind::Interworking => Notification::Interworking(InterworkingStatus::from_name(status)),
        }
    }
}

impl Notification {
    fn kind(&self) -> Kind {
        match self {
            Notification::Delivery(_) => Kind::Delivery,
            Notification::Display(_) => Kind::Display,
            Notification::Processing(_) => Kind::Processing,
            Notification::Interworking(_) => Kind::Interworking,
        }
    }

    /// The name of the status element.
    #[must_use]
    pub fn status(&self) -> &str {
        match self {
            Notification::Delivery(status) => status.as_str(),
            Notification::Display(status) => status.as_str(),
            Notification::Processing(status) => status.as_str(),
            Notification::Interworking(status) => status.as_str(),
        }
    }
}

impl Imdn {
    /// What became of a message, named by its Message-ID and its DateTime as it was written.
    #[must_use]
    pub fn new(message_id: &str, datetime: &str, notification: Notification) -> Self {
        Imdn {
            message_id: String::from(message_id),
            datetime: Some(String::from(datetime)),
            recipient_uri: None,
            original_recipient_uri: None,
            subject: None,
            notification,
            further: Vec::new(),
        }
    }

    /// The same with the To of the message.
    #[must_use]
    pub fn with_recipient_uri(mut self, uri: &str) -> Self {
        self.recipient_uri = Some(String::from(uri));
        self
    }

    /// The same with the Original-To of the message.
    #[must_use]
    pub fn with_original_recipient_uri(mut self, uri: &str) -> Self {
        self.original_recipient_uri = Some(String::from(uri));
        self
    }

    /// The same with a Subject of the message.
    #[must_use]
    pub fn with_subject(mut self, text: &str, language: Option<&str>) -> Self {
        self.subject = Some(Subject { text: String::from(text), language: language.map(String::from) });
        self
    }

    /// `<datetime>` as a date, where it is one. A date without offset, as some write it, is taken for UTC.
    #[must_use]
    pub fn date_time(&self) -> Option<DateTime> {
        let text = self.datetime.as_deref()?.trim();
        DateTime::parse(text).or_else(|_| DateTime::parse(&format!("{text}Z"))).ok()
    }

    /// All notifications of the document.
    pub fn notifications(&self) -> impl Iterator<Item = &Notification> {
        std::iter::once(&self.notification).chain(&self.further)
    }
}

/// Writes the document, its elements in the order of the schema (RFC 5438 §11.1.9).
///
/// Whatever the values hold, the document is well-formed: they are escaped, and a character that XML cannot hold becomes
/// U+FFFD. A status of the `Other` kind that is no element name is written as text.
#[must_use]
pub fn write(imdn: &Imdn) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"");
    out.push_str(NAMESPACE);
    out.push_str("\">");
    push_element(&mut out, "message-id", &imdn.message_id);
    let fields = [
        ("datetime", &imdn.datetime),
        ("recipient-uri", &imdn.recipient_uri),
        ("original-recipient-uri", &imdn.original_recipient_uri),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            push_element(&mut out, name, value);
        }
    }
    if let Some(subject) = &imdn.subject {
        push_subject(&mut out, subject);
    }
    for notification in imdn.notifications() {
        push_notification(&mut out, notification);
    }
    out.push_str("</imdn>");
    out
}

fn push_subject(out: &mut String, subject: &Subject) {
    out.push_str("<subject");
    if let Some(language) = &subject.language {
        out.push_str(" xml:lang=\"");
        push_text(out, language);
        out.push('"');
    }
    out.push('>');
    push_text(out, &subject.text);
    out.push_str("</subject>");
}

// req: O-p1, O-p2, O-p3, O.2-schema
fn push_notification(out: &mut String, notification: &Notification) {
    let name = notification.kind().element();
    out.push('<');
    out.push_str(name);
    if notification.kind() == Kind::Interworking {
        out.push_str(" xmlns=\"");
        out.push_str(EXTENSIONS_NAMESPACE);
        out.push('"');
    }
    out.push_str("><status>");
    let status = notification.status();
    if is_plain_name(status) {
        out.push('<');
        out.push_str(status);
        out.push_str("/>");
    } else {
        push_text(out, status);
    }
    out.push_str("</status></");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests;
