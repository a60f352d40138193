//! A connection: what is read from it, what waits to be written to it.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use cpm_base::{FlowId, Target};

use super::receive::Inbound;
use super::transactions::Transactions;
use super::transmit::ChunkWriter;
use crate::event::{SessionId, TransferId};
use crate::head::Paths;
use crate::limits::Limits;
use crate::parser::StreamParser;
use crate::values::Tid;

/// Octets that are written from the front.
#[derive(Default)]
pub(super) struct Buffer {
    octets: Vec<u8>,
    from: usize,
}

/// Up to this many octets a buffer keeps its memory when it is empty.
const KEPT: usize = 1024;

/// What a response mostly needs, and the steps in which a buffer of many grows.
const ROOM: usize = 320;
const STEP: usize = 2048;

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.octets.len().saturating_sub(self.from)
    }

    /// To append to.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// The same, with room for what is mostly written. It grows by steps: a connection that owes many answers has no twice
    /// as much room.
    pub(super) fn end_with_room(&mut self) -> &mut Vec<u8> {
        if self.octets.capacity().saturating_sub(self.octets.len()) < ROOM {
            self.octets.reserve_exact(if self.octets.is_empty() { ROOM } else { STEP });
        }
        &mut self.octets
    }

    /// Moves at most `max` octets to `out`.
    pub(super) fn put(&mut self, max: usize, out: &mut Vec<u8>) {
        let to = self.from.saturating_add(max).min(self.octets.len());
        out.extend_from_slice(self.octets.get(self.from..to).unwrap_or_default());
        self.from = to;
        if self.from == self.octets.len() {
            self.from = 0;
            if self.octets.capacity() > KEPT {
                self.octets = Vec::new();
            } else {
                self.octets.clear();
            }
        }
    }
}

pub(super) struct Connection {
    pub(super) parser: StreamParser,
    /// What is being received.
    pub(super) inbound: Option<Inbound>,
    /// Where it leads to, when we opened it.
    pub(super) target: Option<Target>,
    pub(super) sessions: BTreeSet<SessionId>,
    /// The session of the last request: the next one is mostly for it.
    pub(super) last_request: Option<(Arc<Paths>, SessionId)>,
    /// What has to be written before anything else.
    pub(super) begun: Buffer,
    /// Responses, reports and first requests that wait for the end of a chunk.
    pub(super) control: Buffer,
    /// The chunk that is being written.
    pub(super) chunk: Option<ChunkWriter>,
    /// Messages that may send their next chunk, in turn: those that fit a short chunk, and the others.
    pub(super) ready: [VecDeque<TransferId>; 2],
    /// Whose turn it was last.
    pub(super) long_was_last: bool,
    /// Messages that wait until fewer requests of ours are unanswered.
    pub(super) crowded: VecDeque<TransferId>,
    /// Our requests that wait for their responses.
    pub(super) transactions: Transactions,
    /// How many chunks of the peer wait for the answer of our user.
    pub(super) answers: usize,
    /// Messages coming in whose taker cannot take more at the moment: nothing is read.
    pub(super) paused: BTreeSet<crate::event::IncomingId>,
    /// Refused requests since the last good one.
    pub(super) faults: usize,
    /// Chunks without octets since the last one with some.
    pub(super) empty_chunks: usize,
    /// No session needs it: it is closed when all is written.
    pub(super) closing: bool,
    /// The host knows that there is something to write.
    pub(super) announced: bool,
    /// A request of our user keeps it open.
    pub(super) requests: usize,
    /// A relay registration keeps it open.
    pub(super) held: bool,
    /// A head has begun and has a deadline.
    pub(super) head_begun: bool,
}

impl Connection {
    pub(super) fn new(limits: &Limits, target: Option<Target>) -> Self {
        Connection {
            parser: StreamParser::new(limits),
            inbound: None,
            target,
            sessions: BTreeSet::new(),
            last_request: None,
            begun: Buffer::default(),
            control: Buffer::default(),
            chunk: None,
            ready: [VecDeque::new(), VecDeque::new()],
            long_was_last: true,
            crowded: VecDeque::new(),
            transactions: Transactions::default(),
            answers: 0,
            paused: BTreeSet::new(),
            faults: 0,
            empty_chunks: 0,
            closing: false,
            announced: false,
            requests: 0,
            held: false,
            head_begun: false,
        }
    }

    pub(super) fn has_output(&self) -> bool {
        let chunk_goes_on = self.chunk.as_ref().is_some_and(|chunk| !chunk.starving);
        !self.begun.is_empty() || chunk_goes_on || self.others_wait()
    }

    /// Whether something waits for the end of the chunk that is being written.
    pub(super) fn others_wait(&self) -> bool {
        !self.control.is_empty() || self.ready.iter().any(|ready| !ready.is_empty())
    }

    /// The next message whose turn it is: short ones and others alternate.
    pub(super) fn next_ready(&mut self) -> Option<TransferId> {
        let [short, long] = &mut self.ready;
        let short_first = self.long_was_last || long.is_empty();
        let next = if short_first { short.pop_front() } else { None };
        self.long_was_last = next.is_none();
        next.or_else(|| long.pop_front())
    }

    /// Whether a chunk of this message is being written.
    pub(super) fn is_writing(&self, transfer: TransferId) -> bool {
        self.chunk.as_ref().is_some_and(|chunk| chunk.transfer == transfer)
    }

    /// Whether somebody needs it.
    pub(super) fn is_needed(&self) -> bool {
        !self.sessions.is_empty() || self.requests > 0 || self.held
    }
}

/// A request, wherever it was sent.
pub(super) type RequestKey = (FlowId, Tid);
