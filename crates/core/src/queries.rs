//! What a node asks of the outside world, and what the world replies. A query never blocks: its reply comes back
//! through [`crate::Node::handle_reply`], in any order, or never.

use crate::{ContributionId, ConversationId};
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use cpm_base::Transport;
use cpm_ua::NameQuery;

/// The node's name for a query; the reply carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// A question to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// Find the addresses of a SIP next hop (RFC 3263 is the host's work). Answered by [`Reply::Resolved`].
    Resolve(NameQuery),
    /// Keep this record. The peer is told that its message was taken only after [`Reply::Stored`] with `Ok`.
    Store(Record),
}

/// What is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// Something that arrived for the user: a CPM Standalone Message or a disposition notification.
    Received(ReceivedRecord),
}

/// A CPIM message as it arrived, before anything was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRecord {
    /// Conversation-ID of the request that carried it.
    pub conversation: Option<ConversationId>,
    /// Contribution-ID of the request that carried it.
    pub contribution: Option<ContributionId>,
    /// The sender: the authenticated originator's CPM Address (TS 6.1) as text; empty for an anonymous one.
    pub sender: String,
    /// The IMDN Message-ID, by which a second copy is recognised (TS 7.2.1.1, Table 2).
    pub message_id: Option<String>,
    /// The CPIM message, octet for octet.
    pub cpim: Bytes,
}

/// The host's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// To [`Query::Resolve`]: targets in order of preference; empty when there is none.
    Resolved(Vec<(Transport, SocketAddr)>),
    /// To [`Query::Store`].
    Stored(Result<(), StoreError>),
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
