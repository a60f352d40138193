//! Reading and writing the node's streams, in turns.

use super::Driver;
use crate::Machine;
use crate::stream::{Block, Reading, read_now, write_now};
use crate::tap::Path;
use cpm_base::{CloseReason, FlowId, Instant, Now};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

/// How often a stream is read before its answers are written and others have their turn. Answers are written together:
/// each time costs the far side a wake-up. What an endpoint answers is shorter than what it was asked, so that with the
/// default limits this many blocks cannot ask for more than it lets wait.
const READS_AT_ONCE: usize = 12;
/// How many blocks are written to a stream before others have their turn.
const WRITES_AT_ONCE: usize = 4;
/// Blocks that are kept to be filled.
const SPARE: usize = 4;

pub(super) struct StreamEntry {
    pub(super) socket: Arc<TcpStream>,
    pub(super) path: Path,
    pub(super) blocks: mpsc::Sender<Block>,
    /// The socket did not take all of a block: its task writes the rest.
    pub(super) writing: bool,
    /// The node said that it has octets for it.
    pub(super) wanted: bool,
    /// The node wants it closed as soon as it has no more octets for it.
    pub(super) closing: Option<CloseReason>,
    /// The reader waits until a block was written.
    pub(super) reader_waits: bool,
    /// The node does not want to read at the moment.
    pub(super) held: bool,
    pub(super) dealt_with: watch::Sender<bool>,
    pub(super) last_used: Instant,
}

impl StreamEntry {
    /// The reader may bring more, if the node wants it.
    pub(super) fn read_on(&mut self) {
        self.reader_waits = false;
        // A reader that has ended needs not be told.
        let _ = self.dealt_with.send(!self.held);
    }
}

impl<M: Machine> Driver<M> {
    /// Brings the node what a stream has, at most a few blocks, and writes its answers.
    pub(super) fn read(&mut self, now: Now, flow: FlowId) {
        let mut may_have_more = true;
        for _ in 0..READS_AT_ONCE {
            let Some(entry) = self.streams.get_mut(&flow) else { return };
            let most = self.config.limits.read_block;
            match read_now(&self.config.tap, entry.path, &entry.socket, &mut self.block, most) {
                Reading::Octets(bytes) => {
                    entry.last_used = now.mono;
                    // What comes after the node wanted the stream closed is nobody's any more.
                    if entry.closing.is_none() {
                        self.node.handle_stream(now, flow, bytes);
                    }
                }
                Reading::Nothing => {
                    may_have_more = false;
                    break;
                }
                Reading::Ended(why) => {
                    self.obey();
                    return self.forget(now, flow, why);
                }
            }
            // Answers that cannot be written are not added to.
            let goes_on = self.streams.get(&flow).is_some_and(|entry| !entry.writing);
            if !goes_on || !self.node.wants_read(flow) {
                break;
            }
        }
        // What is to be answered is given to the stream before more of it is read.
        self.obey();
        if let Some(entry) = self.streams.get_mut(&flow) {
            entry.held = !self.node.wants_read(flow);
            if entry.held {
                self.held.insert(flow);
            }
            if entry.writing {
                entry.reader_waits = true;
            } else if may_have_more && !entry.held {
                self.unread.insert(flow);
            } else {
                entry.read_on();
            }
        }
    }

    /// Streams that may have more have their next turn of reading.
    pub(super) fn read_on(&mut self) {
        for flow in std::mem::take(&mut self.unread) {
            self.read(self.config.clock.now(), flow);
        }
    }

    /// Streams that the node wants to read again are read again.
    pub(super) fn resume(&mut self) {
        let again: Vec<FlowId> =
            self.held.iter().copied().filter(|flow| self.node.wants_read(*flow)).collect();
        for flow in again {
            self.held.remove(&flow);
            if let Some(entry) = self.streams.get_mut(&flow) {
                entry.held = false;
                // One that waits for its block to be written is told by that.
                if !entry.reader_waits {
                    entry.read_on();
                }
            }
        }
    }

    /// Streams that can take more have their next turn of writing.
    pub(super) fn write_on(&mut self) {
        for flow in std::mem::take(&mut self.unfinished) {
            self.pump(flow);
        }
    }

    /// Writes what the node has for a stream, until its socket takes no more or others have their turn.
    pub(super) fn pump(&mut self, flow: FlowId) {
        for _ in 0..WRITES_AT_ONCE {
            let can = |entry: &&mut StreamEntry| entry.wanted && !entry.writing;
            let Some(entry) = self.streams.get_mut(&flow).filter(can) else { return };
            let mut block = self.spare.pop().unwrap_or_default();
            let now = self.config.clock.now();
            if self.node.poll_transmit(now, flow, self.config.limits.write_block, &mut block) == 0 {
                entry.wanted = false;
                let closing = entry.closing;
                self.put_back(block);
                // What is under way is written before the stream's end.
                if let Some(why) = closing {
                    self.forget(now, flow, why);
                }
                return;
            }
            entry.last_used = now.mono;
            // Whoever waits for it meets the error again.
            let from = write_now(&self.config.tap, entry.path, &entry.socket, &block).unwrap_or(0);
            if from < block.len() {
                entry.writing = true;
                // There is room for it; when the task has ended, its last word is on the way.
                let _ = entry.blocks.try_send(Block { octets: block, from });
                return;
            }
            self.put_back(block);
        }
        self.unfinished.insert(flow);
    }

    /// A block that was written, to be filled again.
    pub(super) fn put_back(&mut self, mut block: Vec<u8>) {
        if self.spare.len() < SPARE {
            block.clear();
            self.spare.push(block);
        }
    }
}
