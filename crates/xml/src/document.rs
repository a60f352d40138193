//! A document of whatever kind, known by its root element.

use crate::access_policy;
use crate::conference_info::{self, ConferenceInfo};
use crate::evfw::{self, Event};
use crate::group_data::{self, GroupManagement};
use crate::group_document::{self, GroupDocument};
use crate::group_state::{self, GroupState};
use crate::imdn::{self, Imdn};
use crate::is_composing::{self, IsComposing};
use crate::msginfo::{self, MessageInfo};
use crate::profiles::{self, Directory};
use crate::reader::{DocumentReader, Node};
use crate::reginfo::{self, RegInfo};
use crate::resource_lists::{self, ResourceLists};
use crate::ruleset::Ruleset;
use crate::{Limits, XmlError};

/// One of the documents of CPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// See [`imdn`].
    Imdn(Imdn),
    /// See [`is_composing`].
    IsComposing(IsComposing),
    /// See [`resource_lists`].
    ResourceLists(ResourceLists),
    /// See [`conference_info`].
    ConferenceInfo(Box<ConferenceInfo>),
    /// See [`reginfo`].
    RegInfo(RegInfo),
    /// See [`msginfo`].
    MessageInfo(MessageInfo),
    /// See [`evfw`]; a framework document may be without an event.
    Event(Option<Event>),
    /// See [`group_data`].
    GroupManagement(GroupManagement),
    /// See [`group_state`].
    GroupState(GroupState),
    /// See [`access_policy`].
    AccessPolicy(Ruleset),
    /// See [`profiles`].
    Profiles(Directory),
    /// See [`group_document`].
    Group(GroupDocument),
}

impl Document {
    /// Reads a document of the kind that its root element says; `None` where it is none of these.
    ///
    /// # Errors
    /// The document is not well-formed, beyond the limits, or not what its schema says.
    pub fn parse(document: &[u8], limits: &Limits) -> Result<Option<Document>, XmlError> {
        let name = root_name(document, limits)?;
        let read = match &*name {
            "imdn" => imdn::parse(document, limits).map(Document::Imdn),
            "isComposing" => is_composing::parse(document, limits).map(Document::IsComposing),
            "resource-lists" => resource_lists::parse(document, limits).map(Document::ResourceLists),
            "conference-info" => {
                conference_info::parse(document, limits).map(Box::new).map(Document::ConferenceInfo)
            }
            "reginfo" => reginfo::parse(document, limits).map(Document::RegInfo),
            "message-list" | "message-expired" => msginfo::parse(document, limits).map(Document::MessageInfo),
            "cpm-evfw" | "event-cpm-imap" | "cpm-event-iw" | "event-cpm-activity" => {
                evfw::parse(document, limits).map(Document::Event)
            }
            "cpm-group-management" | "cpm-event-group-management" => {
                group_data::parse(document, limits).map(Document::GroupManagement)
            }
            "groupstate" => group_state::parse(document, limits).map(Document::GroupState),
            "ruleset" => access_policy::parse(document, limits).map(Document::AccessPolicy),
            "upp-directory" => profiles::parse(document, limits).map(Document::Profiles),
            "group" => group_document::parse(document, limits).map(Document::Group),
            _ => Err(XmlError::WrongRoot),
        };
        match read {
            // The name, of another namespace.
            Err(XmlError::WrongRoot) => well_formed(document, limits).map(|()| None),
            read => read.map(Some),
        }
    }
}

/// The name of the root element, without prefix.
fn root_name(document: &[u8], limits: &Limits) -> Result<String, XmlError> {
    // Nothing but comments and blanks comes before it.
    match DocumentReader::new(document, limits)?.next()? {
        Some(Node::Start(root)) => Ok(String::from(&*root.name)),
        _ => Err(XmlError::Unfinished),
    }
}

fn well_formed(document: &[u8], limits: &Limits) -> Result<(), XmlError> {
    let mut reader = DocumentReader::new(document, limits)?;
    while reader.next()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests;
