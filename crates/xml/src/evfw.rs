//! Events of the CPM Event Reporting Framework: `<cpm-evfw>` (TS 6.7.4, 6.7.5, Appendix M).

use crate::tree::{ElementRef, Tree};
use crate::writer::Writer;
use crate::{Limits, XmlError};

/// The namespace of the framework (TS Appendix M).
pub const NAMESPACE: &str = "urn:oma:xml:cpm:evfw";

/// The media type of IMAP events (TS 6.7.5.1).
pub const IMAP_MEDIA_TYPE: &str = "application/vnd.oma.cpm-event-imap+xml";

/// The media type of interworking events (TS 6.7.5.2).
pub const INTERWORKING_MEDIA_TYPE: &str = "application/vnd.oma.cpm-event-iw+xml";

/// The media type of activity events (TS 6.7.5.3).
pub const ACTIVITY_MEDIA_TYPE: &str = "application/vnd.oma.cpm-event-activity+xml";

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `<event-cpm-imap>`: flags of stored messages change.
    Imap(Vec<Operation>),
    /// `<cpm-event-iw>`: something became of a message that went to another technology.
    Interworking(Interworking),
    /// `<event-cpm-activity>`: when the user was last seen active.
    Activity(Activity),
    /// An event that is none of CPM: the namespace and name of its element. It is read, never written.
    Foreign {
        /// The namespace, where it has one.
        namespace: Option<String>,
        /// The name without prefix.
        name: String,
    },
}

impl Event {
    /// The media type that the event travels under; none for a foreign one.
    #[must_use]
    pub fn media_type(&self) -> Option<&'static str> {
        match self {
            Event::Imap(_) => Some(IMAP_MEDIA_TYPE),
            Event::Interworking(_) => Some(INTERWORKING_MEDIA_TYPE),
            Event::Activity(_) => Some(ACTIVITY_MEDIA_TYPE),
            Event::Foreign { .. } => None,
        }
    }
}

/// `<operation name="add">`: a flag is set on objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The flag.
    pub flag: Flag,
    /// The objects, at least one.
    pub objects: Vec<Object>,
}

/// A flag of a stored message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// `\Seen`.
    Seen,
    /// `\Deleted`.
    Deleted,
}

impl Flag {
    /// The word of IMAP for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::Seen => "\\Seen",
            Flag::Deleted => "\\Deleted",
        }
    }
}

/// `<object>`: a stored message, named by what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// `uid`: the UID in the message store.
    pub uid: Option<String>,
    /// `folder-path`: the folder in the message store.
    pub folder_path: Option<String>,
    /// `<conversation-id>`.
    pub conversation_id: Option<String>,
    /// `<contribution-id>`.
    pub contribution_id: Option<String>,
    /// `<other-party>`: the other user of a 1-to-1 conversation.
    pub other_party: Option<String>,
    /// `<message-id>`: the IMDN Message-ID. There is one wherever `uid` is not known.
    pub message_id: Option<String>,
}

/// What `<cpm-event-iw>` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interworking {
    /// `<failed-iw>`: the message was not delivered.
    Failed {
        /// `<cpm-user-address>`: the user that it was for.
        user: String,
        /// `<message-id>`.
        message_id: String,
    },
    /// `<ready-for-sms>`: the user can be reached by SMS again.
    ReadyForSms {
        /// `<cpm-user-address>`.
        user: String,
    },
    /// `<successful-iw-data>`: the message was delivered; what is said of it is not laid down, so each element with text
    /// is given as it is.
    Successful(Vec<(String, String)>),
}

/// `<event-cpm-activity>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// `id`: ties a result to its request.
    pub id: String,
    /// What it is.
    pub kind: ActivityKind,
}

/// The kinds of activity event. The number is `time`: seconds between the last activity and the sending of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityKind {
    /// The activity is asked for.
    Request,
    /// It is the answer.
    Result(u64),
    /// It is told unasked.
    Push(u64),
}

/// Reads a document: `<cpm-evfw>` with at most one event in it, or the event alone, in the namespace of the framework or
/// in none. `None` is a framework document without an event.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or says something that TS 6.7.5 does not allow.
// req: 6.7.4.1-p1, 6.7.4.1-1, 6.7.4.1-1.a.i, 6.7.4.1-1.a.ii.1, 6.7.4.1-1.a.ii.2
pub fn parse(document: &[u8], limits: &Limits) -> Result<Option<Event>, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root()?;
    if !is_ours(root) {
        return Err(XmlError::WrongRoot);
    }
    if root.name() != "cpm-evfw" {
        // A bare event.
        return match read_event(root)? {
            Event::Foreign { .. } => Err(XmlError::WrongRoot),
            event => Ok(Some(event)),
        };
    }
    let mut children = root.children();
    let Some(event) = children.next() else { return Ok(None) };
    if children.next().is_some() {
        return Err(XmlError::Repeated("event"));
    }
    read_event(event).map(Some)
}

fn is_ours(element: ElementRef<'_>) -> bool {
    matches!(element.namespace(), None | Some(NAMESPACE))
}

fn read_event(element: ElementRef<'_>) -> Result<Event, XmlError> {
    match element.name() {
        "event-cpm-imap" if is_ours(element) => read_imap(element),
        "cpm-event-iw" if is_ours(element) => read_interworking(element).map(Event::Interworking),
        "event-cpm-activity" if is_ours(element) => read_activity(element).map(Event::Activity),
        name => {
            Ok(Event::Foreign { namespace: element.namespace().map(String::from), name: String::from(name) })
        }
    }
}

// req: 6.7.5.1-b1, 6.7.5.1-p3, 6.7.5.1-b2, 6.7.5.1-b3, 6.7.5.1-p5, 6.7.5.1-b4, 6.7.5.1-b5
fn read_imap(element: ElementRef<'_>) -> Result<Event, XmlError> {
    if attribute(element, "type") != Some("flags") {
        return Err(XmlError::Value("type"));
    }
    let operations: Vec<_> =
        element.children_named("operation").map(read_operation).collect::<Result<_, _>>()?;
    if operations.is_empty() { Err(XmlError::Missing("operation")) } else { Ok(Event::Imap(operations)) }
}

fn read_operation(element: ElementRef<'_>) -> Result<Operation, XmlError> {
    if attribute(element, "name") != Some("add") {
        return Err(XmlError::Value("name"));
    }
    // The text says `flags`, its examples say `flag`.
    let flag = attribute(element, "flag").or_else(|| attribute(element, "flags"));
    let flag = [Flag::Seen, Flag::Deleted].into_iter().find(|known| Some(known.as_str()) == flag);
    let objects: Vec<_> = element.children_named("object").map(read_object).collect::<Result<_, _>>()?;
    if objects.is_empty() {
        return Err(XmlError::Missing("object"));
    }
    Ok(Operation { flag: flag.ok_or(XmlError::Value("flag"))?, objects })
}

fn read_object(element: ElementRef<'_>) -> Result<Object, XmlError> {
    let object = Object {
        uid: attribute(element, "uid").map(String::from),
        folder_path: attribute(element, "folder-path").map(String::from),
        conversation_id: filled(element, "conversation-id")?,
        contribution_id: filled(element, "contribution-id")?,
        other_party: filled(element, "other-party")?,
        message_id: filled(element, "message-id")?,
    };
    let named = object.uid.is_some() || object.message_id.is_some();
    if named { Ok(object) } else { Err(XmlError::Missing("message-id")) }
}

// req: 6.7.5.2.1-p1, 6.7.5.2.1-1, 6.7.5.2.1-1.a, 6.7.5.2.1-1.b, 6.7.5.2.1-2, 6.7.5.2.1-2.a
fn read_interworking(element: ElementRef<'_>) -> Result<Interworking, XmlError> {
    let known = ["failed-iw", "ready-for-sms", "successful-iw-data"];
    let mut events = element
        .children()
        .filter(|child| child.namespace() == element.namespace() && known.contains(&child.name()));
    let event = events.next().ok_or(XmlError::Missing("failed-iw"))?;
    if events.next().is_some() {
        return Err(XmlError::Repeated("event"));
    }
    let must = |name: &'static str| filled(event, name)?.ok_or(XmlError::Missing(name));
    match event.name() {
        "failed-iw" => {
            Ok(Interworking::Failed { user: must("cpm-user-address")?, message_id: must("message-id")? })
        }
        "ready-for-sms" => Ok(Interworking::ReadyForSms { user: must("cpm-user-address")? }),
        _ => {
            let fields =
                event.children().map(|field| (String::from(field.name()), String::from(field.token())));
            Ok(Interworking::Successful(fields.collect()))
        }
    }
}

// req: 6.7.5.3-elem-A, 6.7.5.3-elem-A.i, 6.7.5.3-elem-A.ii, 6.7.5.3-elem-A.iii, 6.7.5.3-elem-C, 6.7.5.3-elem-C.i
fn read_activity(element: ElementRef<'_>) -> Result<Activity, XmlError> {
    let id = attribute(element, "id").filter(|id| !id.is_empty()).ok_or(XmlError::Missing("id"))?;
    let global = element.required("global")?;
    let time = || {
        let text = attribute(global, "time").ok_or(XmlError::Missing("time"))?;
        text.parse().map_err(|_| XmlError::Value("time"))
    };
    let kind = match attribute(element, "type") {
        Some("request") => ActivityKind::Request,
        Some("result") => ActivityKind::Result(time()?),
        Some("push") => ActivityKind::Push(time()?),
        _ => return Err(XmlError::Value("type")),
    };
    Ok(Activity { id: String::from(id), kind })
}

/// The examples of Appendix M have blanks in attributes.
fn attribute<'t>(element: ElementRef<'t>, name: &str) -> Option<&'t str> {
    element.attribute(name).map(str::trim)
}

fn filled(element: ElementRef<'_>, name: &'static str) -> Result<Option<String>, XmlError> {
    Ok(element.child_token(name)?.filter(|text| !text.is_empty()).map(String::from))
}

/// Writes the document; `None` for a foreign event, and for fields of [`Interworking::Successful`] that are no element
/// names.
#[must_use]
pub fn write(event: &Event) -> Option<String> {
    let mut out = Writer::new();
    out.open("cpm-evfw").attribute("xmlns", NAMESPACE);
    match event {
        Event::Imap(operations) => write_imap(&mut out, operations),
        Event::Interworking(Interworking::Successful(fields))
            if !fields.iter().all(|(name, _)| crate::reader::is_plain_name(name)) =>
        {
            return None;
        }
        Event::Interworking(event) => write_interworking(&mut out, event),
        Event::Activity(activity) => write_activity(&mut out, activity),
        Event::Foreign { .. } => return None,
    }
    Some(out.finish())
}

fn write_imap(out: &mut Writer<'_>, operations: &[Operation]) {
    out.open("event-cpm-imap").attribute("type", "flags");
    for operation in operations {
        out.open("operation").attribute("name", "add").attribute("flag", operation.flag.as_str());
        for object in &operation.objects {
            out.open("object")
                .attribute_if("uid", object.uid.as_deref())
                .attribute_if("folder-path", object.folder_path.as_deref())
                .leaf_if("conversation-id", object.conversation_id.as_deref())
                .leaf_if("contribution-id", object.contribution_id.as_deref())
                .leaf_if("other-party", object.other_party.as_deref())
                .leaf_if("message-id", object.message_id.as_deref())
                .close();
        }
        out.close();
    }
    out.close();
}

fn write_interworking<'v>(out: &mut Writer<'v>, event: &'v Interworking) {
    out.open("cpm-event-iw");
    match event {
        Interworking::Failed { user, message_id } => {
            out.open("failed-iw").leaf("cpm-user-address", user).leaf("message-id", message_id).close();
        }
        Interworking::ReadyForSms { user } => {
            out.open("ready-for-sms").leaf("cpm-user-address", user).close();
        }
        Interworking::Successful(fields) => {
            out.open("successful-iw-data");
            for (name, text) in fields {
                out.leaf(name, text);
            }
            out.close();
        }
    }
    out.close();
}

fn write_activity(out: &mut Writer<'_>, activity: &Activity) {
    let (kind, time) = match activity.kind {
        ActivityKind::Request => ("request", None),
        ActivityKind::Result(time) => ("result", Some(time)),
        ActivityKind::Push(time) => ("push", Some(time)),
    };
    out.open("event-cpm-activity").attribute("type", kind).attribute("id", &activity.id);
    out.open("global").attribute_if("time", time.map(|time| time.to_string()).as_deref()).close();
    out.close();
}

#[cfg(test)]
mod tests;
