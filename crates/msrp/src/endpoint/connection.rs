//! A connection: what is read from it, what waits to be written to it.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use bytes::Bytes;
use cpm_base::{FlowId, Target};

use super::TransactionKey;
use super::receive::Inbound;
use super::transmit::Writing;
use crate::event::{ChunkId, SessionId, TransferId};
use crate::limits::Limits;
use crate::parser::StreamParser;

/// A request of ours that waits for its response.
pub(super) struct Transaction {
    pub(super) flow: FlowId,
    pub(super) id: String,
    pub(super) kind: TransactionKind,
    /// Answered with 200 before it was written to its end.
    pub(super) answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionKind {
    /// The first request of an active side.
    Bind(SessionId),
    /// A chunk of so many octets.
    Chunk(TransferId, u64),
}

pub(super) struct Connection {
    pub(super) parser: StreamParser,
    /// What is being received.
    pub(super) inbound: Option<Inbound>,
    /// Where it leads to, when we opened it.
    pub(super) target: Option<Target>,
    pub(super) sessions: BTreeSet<SessionId>,
    /// Responses, reports and first requests to be written.
    pub(super) control: VecDeque<Bytes>,
    /// How many octets these are.
    pub(super) control_octets: usize,
    /// What has been begun and has to be written to its end before anything else.
    pub(super) writing: Option<Writing>,
    /// Messages that may send their next chunk, in turn.
    pub(super) ready: VecDeque<TransferId>,
    /// Messages that wait for answers before they may send more.
    pub(super) blocked: BTreeSet<TransferId>,
    /// Our requests by transaction id.
    pub(super) transactions: BTreeMap<String, TransactionKey>,
    /// Chunks of the peer that wait for the answer of our user.
    pub(super) answers: BTreeSet<ChunkId>,
    /// Refused requests since the last good one.
    pub(super) faults: usize,
    /// Chunks without octets since the last one with some.
    pub(super) empty_chunks: usize,
    /// No session needs it: it is closed when all is written.
    pub(super) closing: bool,
    /// The host knows that there is something to write.
    pub(super) announced: bool,
}

impl Connection {
    pub(super) fn new(limits: &Limits, target: Option<Target>) -> Self {
        Connection {
            parser: StreamParser::new(limits),
            inbound: None,
            target,
            sessions: BTreeSet::new(),
            control: VecDeque::new(),
            control_octets: 0,
            writing: None,
            ready: VecDeque::new(),
            blocked: BTreeSet::new(),
            transactions: BTreeMap::new(),
            answers: BTreeSet::new(),
            faults: 0,
            empty_chunks: 0,
            closing: false,
            announced: false,
        }
    }

    pub(super) fn has_output(&self) -> bool {
        self.writing.is_some() || !self.control.is_empty() || !self.ready.is_empty()
    }

    pub(super) fn push_control(&mut self, message: Bytes) {
        self.control_octets = self.control_octets.saturating_add(message.len());
        self.control.push_back(message);
    }

    pub(super) fn pop_control(&mut self) -> Option<Bytes> {
        let message = self.control.pop_front()?;
        self.control_octets = self.control_octets.saturating_sub(message.len());
        Some(message)
    }

    /// Whether a chunk of this message is being written.
    pub(super) fn is_writing(&self, transfer: TransferId) -> bool {
        matches!(&self.writing, Some(Writing::Chunk(chunk)) if chunk.transfer() == transfer)
    }

    /// Whether this request is being written.
    pub(super) fn is_writing_request(&self, key: TransactionKey) -> bool {
        matches!(&self.writing, Some(Writing::Chunk(chunk)) if chunk.key() == key)
    }
}
