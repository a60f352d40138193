//! A group as it was when its session ended: application/group-state-object+xml, kept in the message store and delivered
//! with deferred messages (TS 8.3.2.9, 8.5.2, 8.7).

use crate::group_data::Icon;
use crate::tree::{ElementRef, Tree};
use crate::writer::Writer;
use crate::{Limits, XmlError};

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/group-state-object+xml";

/// A group at a point in time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupState {
    /// `timestamp`, as it is written.
    pub timestamp: String,
    /// `lastfocussessionid`: the identity of the group session.
    pub session_identity: String,
    /// `group-type`: `Open` or `Closed`.
    pub group_type: Option<String>,
    /// `iw-number`: the number under which another technology knows the group.
    pub iw_number: Option<String>,
    /// `<status>` says that the user was removed from the group.
    pub removed: bool,
    /// `<subject>`.
    pub subject: Option<String>,
    /// `<icon>`.
    pub icon: Option<Icon>,
    /// `<participant>`.
    pub participants: Vec<Participant>,
}

/// A participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// `comm-addr`: the address.
    pub address: String,
    /// `name`.
    pub name: Option<String>,
}

/// Reads a document, of whatever namespace. `removed` is read as the value of `<status>` and as an element in it.
///
/// # Errors
/// The document is not well-formed, beyond the limits, or no group state.
pub fn parse(document: &[u8], limits: &Limits) -> Result<GroupState, XmlError> {
    let tree = Tree::read(document, limits)?;
    let root = tree.root()?;
    if root.name() != "groupstate" {
        return Err(XmlError::WrongRoot);
    }
    let must = |name: &'static str| attribute(root, name).ok_or(XmlError::Missing(name));
    let participants = root.children_named("participant").map(|element| {
        let address = attribute(element, "comm-addr").ok_or(XmlError::Missing("comm-addr"))?;
        Ok(Participant { address, name: element.attribute("name").map(String::from) })
    });
    let iw_number = match attribute(root, "iw-number") {
        Some(number) => Some(number),
        None => root.child_token("iw-number")?.map(String::from),
    };
    let removed = root.child("status")?.is_some_and(|status| {
        status.token() == "removed" || status.children().any(|child| child.name() == "removed")
    });
    Ok(GroupState {
        timestamp: must("timestamp")?,
        session_identity: must("lastfocussessionid")?,
        group_type: attribute(root, "group-type"),
        iw_number,
        removed,
        subject: root.child_text("subject")?,
        icon: root.child("icon")?.map(Icon::read).transpose()?,
        participants: participants.collect::<Result<_, XmlError>>()?,
    })
}

fn attribute(element: ElementRef<'_>, name: &str) -> Option<String> {
    element.filled_attribute(name).map(String::from)
}

/// Writes the document.
#[must_use]
pub fn write(state: &GroupState) -> String {
    let mut out = Writer::new();
    out.open("groupstate")
        .attribute("timestamp", &state.timestamp)
        .attribute("lastfocussessionid", &state.session_identity)
        .attribute_if("group-type", state.group_type.as_deref())
        .attribute_if("iw-number", state.iw_number.as_deref());
    out.leaf_if("status", state.removed.then_some("removed")).leaf_if("subject", state.subject.as_deref());
    if let Some(icon) = &state.icon {
        out.open("icon");
        icon.write(&mut out, "icon-uri", "file-info");
        out.close();
    }
    for participant in &state.participants {
        out.open("participant")
            .attribute_if("name", participant.name.as_deref())
            .attribute("comm-addr", &participant.address)
            .close();
    }
    out.finish()
}

#[cfg(test)]
mod tests;
