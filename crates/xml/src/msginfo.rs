//! What the network keeps for a user: application/msginfo+xml, the list of deferred messages (TS Appendix J.1) and the
//! notice that one expired (Appendix K). Both travel under one media type; the root tells them apart.

use crate::tree::{ElementRef, Tree};
use crate::writer::Writer;
use crate::{Limits, XmlError};

/// The media type of both documents.
pub const MEDIA_TYPE: &str = "application/msginfo+xml";

/// The namespace of TS Appendix J.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:msginfo";

/// Either document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageInfo {
    /// `<message-list>`.
    List(MessageList),
    /// `<message-expired>`.
    Expired(MessageExpired),
}

/// The deferred messages of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageList {
    /// `number`: how many there are.
    pub number: Option<u32>,
    /// What is told of them; need not be all.
    pub messages: Vec<DeferredMessage>,
}

/// A deferred message. Everything may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeferredMessage {
    /// `date-time`: when it was stored, as it is written.
    pub date_time: Option<String>,
    /// `message-reference`: the path that names it.
    pub reference: Option<String>,
    /// `<size>`: octets.
    pub size: Option<u64>,
    /// `<expiry>`: when it expires, as it is written.
    pub expiry: Option<String>,
    /// `<subject>`.
    pub subject: Option<String>,
    /// `<UPP-ID-list>`: identifiers of user preference profiles, separated by blanks.
    pub profiles: Option<String>,
    /// `<info>`.
    pub info: Option<Info>,
}

/// Who sent a message to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// `<from>`: the From header field.
    pub from: String,
    /// Whom it was sent to.
    pub recipients: Option<Recipients>,
    /// `<auth-id>`: the authenticated address of the sender.
    pub authenticated: Option<String>,
}

/// Whom a message was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients {
    /// `<to>`: one user: the To header field.
    One(String),
    /// `<recipient-list>`: several.
    List {
        /// `group-uri`: the pre-defined group that they are.
        group: Option<String>,
        /// `group-display-name`.
        group_display_name: Option<String>,
        /// `<entry>`.
        entries: Vec<Recipient>,
    },
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// `uri`.
    pub uri: String,
    /// `<display-name>`.
    pub display_name: Option<String>,
}

/// A deferred message expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageExpired {
    /// `message-reference`: the path that names it.
    pub reference: String,
    /// `UID`: its UID in the message store, where it went when it expired.
    pub uid: Option<String>,
}

/// Reads either document, in the namespace of Appendix J or in none.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or neither of the two.
pub fn parse(document: &[u8], limits: &Limits) -> Result<MessageInfo, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root()?;
    if !matches!(root.namespace(), None | Some(NAMESPACE)) {
        return Err(XmlError::WrongRoot);
    }
    match root.name() {
        "message-list" => read_list(root).map(MessageInfo::List),
        "message-expired" => {
            let reference = owned_attribute(root, "message-reference");
            let reference = reference.ok_or(XmlError::Missing("message-reference"))?;
            Ok(MessageInfo::Expired(MessageExpired { reference, uid: owned_attribute(root, "UID") }))
        }
        _ => Err(XmlError::WrongRoot),
    }
}

// req: J-6, J.1.1-root, J.1.1-message-list-1, J.1.1-message-list-2, J.1.1-message-1, J.1.1-message-2, J.1.1-message-3
// req: J.1.1-message-4, J.1.1-message-5, J.1.1-message-6, J.1.1-message-7, J.1.1-message-7.a, J.1.1-message-7.b.i
// req: J.1.1-message-7.b.ii, J.1.1-message-7.c, J.1.1-p4, J.1.1-recipient-list-1, J.1.1-recipient-list-2
fn read_list(root: ElementRef<'_>) -> Result<MessageList, XmlError> {
    let number = match root.attribute("number") {
        None => None,
        Some(text) => Some(text.trim().parse().map_err(|_| XmlError::Value("number"))?),
    };
    let messages = root.children_named("message").map(read_message).collect::<Result<_, _>>()?;
    Ok(MessageList { number, messages })
}

fn read_message(element: ElementRef<'_>) -> Result<DeferredMessage, XmlError> {
    let size = match element.child_token("size")? {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| XmlError::Value("size"))?),
    };
    Ok(DeferredMessage {
        date_time: owned_attribute(element, "date-time"),
        reference: owned_attribute(element, "message-reference"),
        size,
        expiry: element.child_token("expiry")?.map(String::from),
        subject: element.child_text("subject")?,
        profiles: element.child_token("UPP-ID-list")?.map(String::from),
        info: element.child("info")?.map(read_info).transpose()?,
    })
}

fn read_info(info: ElementRef<'_>) -> Result<Info, XmlError> {
    let recipients = match (info.child("to")?, info.child("recipient-list")?) {
        (Some(_), Some(_)) => return Err(XmlError::Repeated("to")),
        (Some(to), None) => Some(Recipients::One(String::from(to.token()))),
        (None, Some(list)) => Some(read_recipients(list)?),
        (None, None) => None,
    };
    Ok(Info {
        from: String::from(info.required("from")?.token()),
        recipients,
        authenticated: info.child_token("auth-id")?.map(String::from),
    })
}

fn read_recipients(list: ElementRef<'_>) -> Result<Recipients, XmlError> {
    let entry = |entry: ElementRef<'_>| {
        let uri = owned_attribute(entry, "uri").ok_or(XmlError::Missing("uri"))?;
        Ok(Recipient { uri, display_name: entry.child_text("display-name")? })
    };
    let entries: Vec<_> = list.children_named("entry").map(entry).collect::<Result<_, XmlError>>()?;
    let group = owned_attribute(list, "group-uri");
    if entries.is_empty() && group.is_none() {
        return Err(XmlError::Missing("entry"));
    }
    Ok(Recipients::List { group, group_display_name: owned_attribute(list, "group-display-name"), entries })
}

fn owned_attribute(element: ElementRef<'_>, name: &str) -> Option<String> {
    element.filled_attribute(name).map(String::from)
}

/// Writes the document.
// req: K-root, K-1, K-2
#[must_use]
pub fn write(info: &MessageInfo) -> String {
    let mut out = Writer::new();
    match info {
        MessageInfo::Expired(expired) => {
            out.open("message-expired")
                .attribute("message-reference", &expired.reference)
                .attribute_if("UID", expired.uid.as_deref());
        }
        MessageInfo::List(list) => {
            out.open("message-list").attribute("xmlns", NAMESPACE);
            out.attribute_if("number", list.number.map(|number| number.to_string()).as_deref());
            for message in &list.messages {
                write_message(&mut out, message);
            }
        }
    }
    out.finish()
}

fn write_message(out: &mut Writer<'_>, message: &DeferredMessage) {
    out.open("message")
        .attribute_if("date-time", message.date_time.as_deref())
        .attribute_if("message-reference", message.reference.as_deref())
        .leaf_if("size", message.size.map(|size| size.to_string()).as_deref())
        .leaf_if("expiry", message.expiry.as_deref())
        .leaf_if("subject", message.subject.as_deref())
        .leaf_if("UPP-ID-list", message.profiles.as_deref());
    if let Some(info) = &message.info {
        out.open("info").leaf("from", &info.from);
        write_recipients(out, info.recipients.as_ref());
        out.leaf_if("auth-id", info.authenticated.as_deref()).close();
    }
    out.close();
}

fn write_recipients(out: &mut Writer<'_>, recipients: Option<&Recipients>) {
    match recipients {
        None => {}
        Some(Recipients::One(to)) => {
            out.leaf("to", to);
        }
        Some(Recipients::List { group, group_display_name, entries }) => {
            out.open("recipient-list")
                .attribute_if("group-uri", group.as_deref())
                .attribute_if("group-display-name", group_display_name.as_deref());
            for entry in entries {
                out.open("entry").attribute("uri", &entry.uri);
                out.leaf_if("display-name", entry.display_name.as_deref()).close();
            }
            out.close();
        }
    }
}

#[cfg(test)]
mod tests;
