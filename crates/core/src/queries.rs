//! What a node asks of the outside world, and what the world replies. A query never blocks: its reply comes back
//! through [`crate::Node::handle_reply`], in any order, or never.

use crate::outside::{BodyStructure, FetchError, FetchedObject, ObjectUid, Preferences, StoredObject};
use crate::{ContributionId, ConversationId};
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use cpm_base::Transport;
use cpm_sip::Uri;
use cpm_ua::NameQuery;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The node's name for a query; the reply carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// A question to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// Find the addresses of a SIP next hop (RFC 3263 is the host's work). Answered by [`Reply::Resolved`].
    Resolve(NameQuery),
    /// Keep this record. The peer is told that its message was taken only after [`Reply::Stored`] with `Ok`; after `Err` it
    /// must not be kept. What a node that is gone still had asked for is kept before its records are read for the next
    /// life, or never: coming later, it would take the place of something newer.
    Store(Record),
    /// What a user of ours wants done with what comes for him (TS 8.4.1). Answered by [`Reply::Preferences`].
    Preferences(Uri),
    /// What lies behind an IMAP URL that a user of ours sent in the place of a media object (TS 8.2.1.1-5). Answered by
    /// [`Reply::Fetched`].
    Fetch {
        /// Whose Message Storage Server it is.
        user: Uri,
        /// The URL, as it was sent.
        url: String,
    },
    /// Keep an object in the message store of a user (TS 8.5). Answered by [`Reply::ObjectStored`]. An object of the same
    /// user, direction and Message-ID is the same object: asked again, the host gives the UID that it has, and keeps what
    /// it has, unless the object says that it [replaces](StoredObject::replaces) that one.
    StoreObject(Box<StoredObject>),
    /// Tell where the parts of a kept object are (TS 8.3.1.4). Answered by [`Reply::BodyStructure`].
    BodyStructure {
        /// Whose Message Storage Server it is.
        user: Uri,
        /// The object.
        uid: ObjectUid,
    },
    /// Whether the \Seen flag of a kept object is set (TS 5.4.2-1.a.i). Answered by [`Reply::Seen`].
    IsSeen {
        /// Whose Message Storage Server it is.
        user: Uri,
        /// The IMDN Message-ID of the message.
        message_id: String,
    },
    /// Set the \Seen flag of a kept object (TS 8.2.4). Answered by [`Reply::Stored`]; one that is not kept is no failure.
    MarkSeen {
        /// Whose Message Storage Server it is.
        user: Uri,
        /// The IMDN Message-ID of the message.
        message_id: String,
    },
}

/// What is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// Something that arrived for the user: a CPM Standalone Message or a disposition notification.
    Received(ReceivedRecord),
    /// A piece of the node's own state that must outlive it.
    State(StateRecord),
}

/// A piece of a node's own state under a name of its own. One that is stored later takes the place of the former of that
/// name; no value takes it out. After a restart the node is given those that stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// The name: what it is, and whose, at most 512 octets. The node alone reads it.
    pub key: String,
    /// A [record](cpm_base::record); `None` takes the name out.
    pub value: Option<Bytes>,
}

impl StateRecord {
    /// A piece of state.
    #[must_use]
    pub fn put(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        StateRecord { key: key.into(), value: Some(value.into()) }
    }

    /// The end of one.
    #[must_use]
    pub fn remove(key: impl Into<String>) -> Self {
        StateRecord { key: key.into(), value: None }
    }
}

/// What stands after records that were stored one after another: received messages in their order, and the last value of
/// each name by name. A host that keeps records in a row gives a node this after a restart.
pub fn standing(records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let mut state = BTreeMap::new();
    let mut all = Vec::new();
    for record in records {
        match record {
            Record::State(StateRecord { key, value: Some(value) }) => drop(state.insert(key, value)),
            Record::State(StateRecord { key, value: None }) => drop(state.remove(&key)),
            received @ Record::Received(_) => all.push(received),
        }
    }
    let state = state.into_iter().map(|(key, value)| Record::State(StateRecord { key, value: Some(value) }));
    all.extend(state);
    all
}

/// A CPIM message as it arrived, before anything was acknowledged. After a restart the node is given those that the host
/// still has, in their order: by them it knows copies, what it owes their senders, and how to mark them read.
///
/// To be written with `..ReceivedRecord::default()`: fields come to be added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceivedRecord {
    /// Conversation-ID of the request that carried it.
    pub conversation: Option<ConversationId>,
    /// Contribution-ID of the request that carried it.
    pub contribution: Option<ContributionId>,
    /// InReplyTo-Contribution-ID of the request that carried it.
    pub in_reply_to: Option<ContributionId>,
    /// The sender: the authenticated originator's CPM Address (TS 6.1) as text; empty for an anonymous one.
    pub sender: String,
    /// The IMDN Message-ID, by which a second copy is recognised (TS 7.2.1.1, Table 2).
    pub message_id: Option<String>,
    /// UID in the user's message store, where the request that carried it names one (TS 7.2.2.3-5).
    pub message_uid: Option<String>,
    /// The CPIM message, octet for octet.
    pub cpim: Bytes,
    /// What the node itself has to know of it after a restart: a [record](cpm_base::record) that the node alone reads.
    pub state: Bytes,
}

/// The host's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// To [`Query::Resolve`]: targets in order of preference; empty when there is none.
    Resolved(Vec<(Transport, SocketAddr)>),
    /// To [`Query::Store`].
    Stored(Result<(), StoreError>),
    /// To [`Query::Preferences`]; a user of whom nothing is known has [`Preferences::default`].
    Preferences(Result<Arc<Preferences>, FetchError>),
    /// To [`Query::Fetch`].
    Fetched(Result<FetchedObject, FetchError>),
    /// To [`Query::StoreObject`].
    ObjectStored(Result<ObjectUid, StoreError>),
    /// To [`Query::IsSeen`].
    Seen(Result<bool, FetchError>),
    /// To [`Query::BodyStructure`].
    BodyStructure(Result<BodyStructure, FetchError>),
}

impl Query {
    /// The reply of a host that has nothing of the kind: no addresses, a store that failed, documents that are not there.
    #[must_use]
    pub fn unanswered(&self) -> Reply {
        match self {
            Query::Resolve(_) => Reply::Resolved(Vec::new()),
            Query::Store(_) | Query::MarkSeen { .. } => Reply::Stored(Err(StoreError::Failed)),
            Query::IsSeen { .. } => Reply::Seen(Err(FetchError::NotFound)),
            Query::Preferences(_) => Reply::Preferences(Ok(Arc::default())),
            Query::Fetch { .. } => Reply::Fetched(Err(FetchError::NotFound)),
            Query::StoreObject(_) => Reply::ObjectStored(Err(StoreError::Failed)),
            Query::BodyStructure { .. } => Reply::BodyStructure(Err(FetchError::NotFound)),
        }
    }
}

/// Why a record was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreError {
    /// No room for it.
    Full,
    /// The store failed.
    Failed,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreError::Full => "the store is full",
            StoreError::Failed => "the store failed",
        })
    }
}

impl core::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_stands() {
        let put = |key: &str, value: &'static [u8]| Record::State(StateRecord::put(key, value));
        let received = Record::Received(ReceivedRecord::default());
        let all = [
            put("b", b"1"),
            received.clone(),
            put("a", b"2"),
            put("b", b"3"),
            put("c", b"4"),
            Record::State(StateRecord::remove("c")),
            Record::State(StateRecord::remove("d")),
        ];
        assert_eq!(standing(all), [received, put("a", b"2"), put("b", b"3")]);
    }
}
