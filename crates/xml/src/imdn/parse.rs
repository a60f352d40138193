//! From a document to an [`Imdn`].

use super::{EXTENSIONS_NAMESPACE, Imdn, Kind, NAMESPACE, Notification, Subject};
use crate::reader::{DocumentReader, Element, Node, is_blank};
use crate::{Limits, XmlError};

/// The namespace that the schema of TS O.2 has for what the text of Appendix O calls
/// [`EXTENSIONS_NAMESPACE`].
const SCHEMA_NAMESPACE: &str = "urn:oma:xml:cpm:imdn:1.0";

/// Deviations that a reader may let pass. The default admits none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// `<status>displayed</status>`: the status as text.
    pub status_as_text: bool,
    /// No `<datetime>`.
    pub missing_datetime: bool,
    /// `<imdn>` without namespace.
    pub no_namespace: bool,
}

impl Leniency {
    /// All that is met in the field.
    #[must_use]
    pub const fn field() -> Self {
        Leniency { status_as_text: true, missing_datetime: true, no_namespace: true }
    }
}

/// A deviation that was let pass; each is named after its switch in [`Leniency`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Tolerated {
    /// See [`Leniency::status_as_text`].
    StatusAsText,
    /// See [`Leniency::missing_datetime`].
    MissingDatetime,
    /// See [`Leniency::no_namespace`].
    NoNamespace,
}

/// Reads a document as peers in the field write it: [`parse_with`] and [`Leniency::field`].
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no disposition notification.
pub fn parse(document: &[u8], limits: &Limits) -> Result<Imdn, XmlError> {
    parse_with(document, limits, Leniency::field()).map(|(imdn, _)| imdn)
}

/// Reads a document; the second value lists the deviations met.
///
/// Elements may come in any order, and what other namespaces add is passed over. `<interworking-notification>` is read
/// in both namespaces of TS Appendix O or in none, beside the other notifications or inside a `<status>`.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no disposition notification; what `leniency` does not admit.
pub fn parse_with(
    document: &[u8],
    limits: &Limits,
    leniency: Leniency,
) -> Result<(Imdn, Vec<Tolerated>), XmlError> {
    let mut reader = DocumentReader::new(document, limits)?;
    let mut collector = Collector { leniency, ..Collector::default() };
    while let Some(node) = reader.next()? {
        match node {
            Node::Start(element) => collector.open(element)?,
            Node::End => collector.close()?,
            Node::Text(text) => collector.text(&text)?,
        }
    }
    collector.finish()
}

/// The elements with plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    MessageId,
    Datetime,
    RecipientUri,
    OriginalRecipientUri,
    Subject,
}

/// Where in the document we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Field(Field),
    Notification(Kind),
    Status(Kind),
    /// An element that is itself a status.
    Value,
    /// Something of another namespace, or inside of something where nothing is looked for.
    Foreign,
}

/// One value that may come once.
type Slot = Option<String>;

#[derive(Default)]
struct Collector {
    leniency: Leniency,
    tolerated: Vec<Tolerated>,
    /// The open elements, outermost first.
    path: Vec<Place>,
    message_id: Slot,
    datetime: Slot,
    recipient_uri: Slot,
    original_recipient_uri: Slot,
    subject: Slot,
    language: Slot,
    seen: Vec<Seen>,
}

/// A notification element that was met, and what its status said so far.
struct Seen {
    kind: Kind,
    /// From an element of RFC 5438 or of TS Appendix O.
    value: Slot,
    /// From an element of another namespace.
    extension: Slot,
    text: String,
    /// Whether it holds an interworking notification and so needs no status of its own.
    holds_other: bool,
}

impl Collector {
    fn open(&mut self, element: Element) -> Result<(), XmlError> {
        let place = match self.path.last() {
            None => self.root(&element)?,
            Some(Place::Root) => self.child_of_root(&element)?,
            Some(&Place::Notification(kind)) => self.child_of_notification(kind, &element)?,
            Some(&Place::Status(kind)) => self.child_of_status(kind, &element)?,
            Some(Place::Field(_)) => return Err(XmlError::Malformed("an element inside plain text")),
            Some(Place::Value | Place::Foreign) => Place::Foreign,
        };
        self.path.push(place);
        Ok(())
    }

    fn root(&mut self, element: &Element) -> Result<Place, XmlError> {
        match element.namespace.as_deref() {
            Some(NAMESPACE) => {}
            None if self.leniency.no_namespace => self.tolerated.push(Tolerated::NoNamespace),
            _ => return Err(XmlError::WrongRoot),
        }
        if &*element.name == "imdn" { Ok(Place::Root) } else { Err(XmlError::WrongRoot) }
    }

    fn child_of_root(&mut self, element: &Element) -> Result<Place, XmlError> {
        if let Some(kind) = self.kind(element) {
            return self.notification(kind);
        }
        if !self.is_ours(element) {
            return Ok(Place::Foreign);
        }
        let (field, slot, name) = match &*element.name {
            "message-id" => (Field::MessageId, &mut self.message_id, "message-id"),
            "datetime" => (Field::Datetime, &mut self.datetime, "datetime"),
            "recipient-uri" => (Field::RecipientUri, &mut self.recipient_uri, "recipient-uri"),
            "original-recipient-uri" => {
                (Field::OriginalRecipientUri, &mut self.original_recipient_uri, "original-recipient-uri")
            }
            "subject" => (Field::Subject, &mut self.subject, "subject"),
            _ => return Ok(Place::Foreign),
        };
        if slot.replace(String::new()).is_some() {
            return Err(XmlError::Repeated(name));
        }
        if field == Field::Subject {
            let xml = Some("http://www.w3.org/XML/1998/namespace");
            let language =
                element.attributes.iter().find(|a| a.namespace.as_deref() == xml && &*a.name == "lang");
            self.language = language.map(|a| a.value.clone());
        }
        Ok(Place::Field(field))
    }

    fn child_of_notification(&mut self, kind: Kind, element: &Element) -> Result<Place, XmlError> {
        if &*element.name == "status" && (self.is_ours(element) || is_extension(element)) {
            return Ok(Place::Status(kind));
        }
        // Where <interworking-notification> stands under a <status>, it may have none of its own.
        let bare = kind == Kind::Interworking && (self.is_ours(element) || is_extension(element));
        if bare { self.value(kind, element) } else { Ok(Place::Foreign) }
    }

    fn child_of_status(&mut self, kind: Kind, element: &Element) -> Result<Place, XmlError> {
        if kind != Kind::Interworking && self.kind(element) == Some(Kind::Interworking) {
            if let Some(seen) = self.seen(kind) {
                seen.holds_other = true;
            }
            return self.notification(Kind::Interworking);
        }
        self.value(kind, element)
    }

    fn notification(&mut self, kind: Kind) -> Result<Place, XmlError> {
        if self.seen(kind).is_some() {
            return Err(XmlError::Repeated(kind.element()));
        }
        let (value, extension, text) = (None, None, String::new());
        self.seen.push(Seen { kind, value, extension, text, holds_other: false });
        Ok(Place::Notification(kind))
    }

    /// An element that is a status: one of ours, or one that stands in where ours has none.
    fn value(&mut self, kind: Kind, element: &Element) -> Result<Place, XmlError> {
        let ours = self.is_ours(element) || (kind == Kind::Interworking && is_extension(element));
        let Some(seen) = self.seen(kind) else { return Ok(Place::Foreign) };
        if !ours {
            seen.extension.get_or_insert_with(|| String::from(&*element.name));
        } else if seen.value.replace(String::from(&*element.name)).is_some() {
            return Err(XmlError::Repeated("status"));
        }
        Ok(Place::Value)
    }

    fn seen(&mut self, kind: Kind) -> Option<&mut Seen> {
        self.seen.iter_mut().find(|seen| seen.kind == kind)
    }

    /// Which notification an element is.
    fn kind(&self, element: &Element) -> Option<Kind> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.element() == &*element.name)?;
        let fits = self.is_ours(element) || (kind == Kind::Interworking && is_extension(element));
        fits.then_some(kind)
    }

    /// Whether an element is in the namespace of RFC 5438, or in none where the root is in none too.
    fn is_ours(&self, element: &Element) -> bool {
        match element.namespace.as_deref() {
            Some(namespace) => namespace == NAMESPACE,
            None => self.tolerated.contains(&Tolerated::NoNamespace),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        let slot = match self.path.last() {
            Some(Place::Field(Field::MessageId)) => &mut self.message_id,
            Some(Place::Field(Field::Datetime)) => &mut self.datetime,
            Some(Place::Field(Field::RecipientUri)) => &mut self.recipient_uri,
            Some(Place::Field(Field::OriginalRecipientUri)) => &mut self.original_recipient_uri,
            Some(Place::Field(Field::Subject)) => &mut self.subject,
            Some(&Place::Status(kind)) => {
                if let Some(seen) = self.seen(kind) {
                    seen.text.push_str(text);
                }
                return Ok(());
            }
            Some(Place::Root | Place::Notification(_)) if !text.chars().all(is_blank) => {
                return Err(XmlError::UnexpectedText);
            }
            _ => return Ok(()),
        };
        slot.get_or_insert_default().push_str(text);
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlError> {
        let closed = self.path.pop();
        let Some(Place::Notification(kind)) = closed else { return Ok(()) };
        let admits_text = self.leniency.status_as_text;
        let Some(seen) = self.seen(kind) else { return Ok(()) };
        let text = seen.text.trim_matches(is_blank);
        if !text.is_empty() && seen.value.is_some() {
            return Err(XmlError::UnexpectedText);
        }
        if seen.value.is_some() || seen.extension.is_some() || seen.holds_other {
            return Ok(());
        }
        if text.is_empty() {
            return Err(XmlError::Missing("status"));
        }
        if !admits_text {
            return Err(XmlError::UnexpectedText);
        }
        seen.value = Some(String::from(text));
        self.tolerated.push(Tolerated::StatusAsText);
        Ok(())
    }

    fn finish(mut self) -> Result<(Imdn, Vec<Tolerated>), XmlError> {
        // <message-id> is a token of XML Schema: blanks around it do not count.
        let message_id = self.message_id.as_deref().unwrap_or_default().trim_matches(is_blank);
        if message_id.is_empty() {
            return Err(XmlError::Missing("message-id"));
        }
        let datetime = trimmed(self.datetime).filter(|text| !text.is_empty());
        if datetime.is_none() {
            if !self.leniency.missing_datetime {
                return Err(XmlError::Missing("datetime"));
            }
            self.tolerated.push(Tolerated::MissingDatetime);
        }
        let said = self.seen.iter().filter_map(|seen| {
            let status = seen.value.as_deref().or(seen.extension.as_deref())?;
            Some(seen.kind.notification(status))
        });
        let mut said: std::collections::VecDeque<Notification> = said.collect();
        let language = self.language;
        let imdn = Imdn {
            message_id: String::from(message_id),
            datetime,
            recipient_uri: trimmed(self.recipient_uri),
            original_recipient_uri: trimmed(self.original_recipient_uri),
            subject: self.subject.map(|text| Subject { text, language }),
            notification: said.pop_front().ok_or(XmlError::Missing("delivery-notification"))?,
            further: said.into(),
        };
        self.tolerated.sort_unstable();
        self.tolerated.dedup();
        Ok((imdn, self.tolerated))
    }
}

/// In a namespace of TS Appendix O, or in none.
fn is_extension(element: &Element) -> bool {
    matches!(
        element.namespace.as_deref().map(|ns| ns.trim_matches(is_blank)),
        None | Some(EXTENSIONS_NAMESPACE | SCHEMA_NAMESPACE)
    )
}

fn trimmed(slot: Slot) -> Slot {
    slot.map(|text| String::from(text.trim_matches(is_blank)))
}
