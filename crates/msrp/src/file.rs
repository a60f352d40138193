//! Files over MSRP (RFC 5547): octets come from and go to the host by ranges, whatever the size of the file.
//!
//! A [`FileSource`] feeds a message going out, a [`FileSink`] takes one coming in. Both are told the endpoint's events and
//! ask the host to read and write octets ([`FileQuery`]); neither keeps more than it asked for.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::Now;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::endpoint::Endpoint;
use crate::event::{Body, ChunkId, Event, IncomingId, TransferId};
use crate::piece::{PIECE, cost, kept};
use crate::ranges::Ranges;
use crate::values::Status;

#[cfg(test)]
mod tests;

/// Octets that are read at a time to be hashed.
const READ: u64 = 16 * 1024;
/// Octets that may wait to be written before the sender is held back: a session that takes a message stays within 64 KiB
/// with them, what comes meanwhile and what its host has read.
const UNWRITTEN: u64 = 16 * 1024;

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// What the host does with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileQuery {
    /// Read octets: the answer goes to `read`.
    Read {
        /// The position in the file, from 0.
        offset: u64,
        /// How many at most; at least one is to come, unless the file ends there.
        max: u64,
    },
    /// Write octets: the answer goes to [`FileSink::written`].
    Write {
        /// The position in the file, from 0.
        offset: u64,
        /// The octets.
        octets: Bytes,
    },
}

/// Feeds a message with octets of a file, or of a range of it (RFC 5547 §6, `file-range`). The Byte-Range of its chunks
/// counts from the beginning of the range.
#[derive(Debug)]
pub struct FileSource {
    start: u64,
    length: u64,
    transfer: Option<TransferId>,
    /// Positions in the message that have been asked of the host and not come: from, to.
    due: Option<(u64, u64)>,
    queries: VecDeque<FileQuery>,
}

impl FileSource {
    /// Octets `from..to` of a file, from 0; `None` when that is no range.
    #[must_use]
    pub fn new(from: u64, to: u64) -> Option<FileSource> {
        let length = to.checked_sub(from)?;
        Some(FileSource { start: from, length, transfer: None, due: None, queries: VecDeque::new() })
    }

    /// The body of its message.
    #[must_use]
    pub fn body(&self) -> Body {
        Body::Source { total: Some(self.length) }
    }

    /// The message that was made of it.
    pub fn attach(&mut self, transfer: TransferId) {
        self.transfer = Some(transfer);
    }

    /// What the host has to read.
    pub fn poll_query(&mut self) -> Option<FileQuery> {
        self.queries.pop_front()
    }

    /// An event of the endpoint; says whether it was for this file.
    pub fn handle(&mut self, event: &Event) -> bool {
        let Event::Wants { transfer, offset, max } = event else { return false };
        if Some(*transfer) != self.transfer {
            return false;
        }
        let (from, to) = (self.due.map_or(*offset, |(from, _)| from), offset.saturating_add(*max));
        if self.due.is_none() {
            self.ask(from, to);
        }
        self.due = Some((from, to));
        true
    }

    fn ask(&mut self, from: u64, to: u64) {
        let offset = self.start.saturating_add(from);
        self.queries.push_back(FileQuery::Read { offset, max: to.saturating_sub(from) });
    }

    /// What was read; `None` or nothing: it cannot be, and the message is given up.
    pub fn read(&mut self, now: Now, endpoint: &mut Endpoint, octets: Option<Bytes>) {
        let (Some(transfer), Some((from, to))) = (self.transfer, self.due) else { return };
        let Some(octets) = octets.filter(|octets| !octets.is_empty()) else {
            self.due = None;
            return endpoint.abort(now, transfer);
        };
        let most = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX).min(octets.len());
        let from = from.saturating_add(wide(most));
        // One that is gone was told to be.
        let _ = endpoint.supply(now, transfer, octets.slice(..most), false);
        self.due = (from < to).then_some((from, to));
        if self.due.is_some() {
            self.ask(from, to);
        }
    }
}

/// How a file is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashKind {
    /// `sha-1`, the one of RFC 5547 §6.
    Sha1,
    /// `sha-256`.
    Sha256,
}

#[derive(Debug, Clone)]
enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    fn new(kind: HashKind) -> Hasher {
        match kind {
            HashKind::Sha1 => Hasher::Sha1(Sha1::new()),
            HashKind::Sha256 => Hasher::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, octets: &[u8]) {
        match self {
            Hasher::Sha1(hasher) => hasher.update(octets),
            Hasher::Sha256(hasher) => hasher.update(octets),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Sha1(hasher) => hasher.finalize().to_vec(),
            Hasher::Sha256(hasher) => hasher.finalize().to_vec(),
        }
    }
}

/// What is known of a file that comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSinkOptions {
    /// Its declared size; more is refused, less is [`FileEvent::Incomplete`] (threats H2).
    pub size: Option<u64>,
    /// Where in the file the message begins: what is before that is there already (`file-range`).
    pub start: u64,
    /// How it is hashed, and the declared hash: compared before the file counts as complete (threats H3).
    pub hash: HashKind,
    /// The declared hash.
    pub expected: Option<Vec<u8>>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileEvent {
    /// All of it is written, and its hash is the declared one where there is one. Its last chunk was answered.
    Complete {
        /// Its size.
        size: u64,
        /// Its hash.
        hash: Vec<u8>,
    },
    /// Its hash is another than declared: the last chunk was refused.
    Corrupt {
        /// Its hash.
        hash: Vec<u8>,
    },
    /// It ended before its declared size, or its message was given up; so much of it is there from the beginning.
    Incomplete {
        /// Octets from the beginning without a gap: what a resumed transfer need not bring again.
        there: u64,
    },
    /// It is longer than declared.
    TooLong,
    /// The host could not write or read.
    Failed,
}

/// Takes a message that is a file, or the rest of one.
#[derive(Debug)]
pub struct FileSink {
    options: FileSinkOptions,
    incoming: IncomingId,
    hasher: Hasher,
    /// How far the file is hashed.
    hashed: u64,
    /// What has come, in positions of the file: what is hashed stands, whatever comes at its place later (threats H3).
    taken: Ranges,
    /// What is written.
    written: Ranges,
    /// Octets on their way to the host, by position.
    writing: BTreeMap<u64, u64>,
    unwritten: u64,
    paused: bool,
    reading: bool,
    /// Chunks that are answered when all before them is written: behind which octet of the file.
    chunks: VecDeque<ChunkId>,
    last: Option<ChunkId>,
    /// The size, once the message is whole.
    end: Option<u64>,
    over: bool,
    queries: VecDeque<FileQuery>,
    events: VecDeque<FileEvent>,
}

impl FileSink {
    /// A sink for this message.
    #[must_use]
    pub fn new(incoming: IncomingId, options: FileSinkOptions) -> FileSink {
        let hasher = Hasher::new(options.hash);
        let mut written = Ranges::default();
        // One range is no gap.
        let _ = written.insert(0, options.start, usize::MAX);
        FileSink {
            options,
            incoming,
            hasher,
            hashed: 0,
            taken: written.clone(),
            written,
            writing: BTreeMap::new(),
            unwritten: 0,
            paused: false,
            reading: false,
            chunks: VecDeque::new(),
            last: None,
            end: None,
            over: false,
            queries: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What the host has to do.
    pub fn poll_query(&mut self) -> Option<FileQuery> {
        self.queries.pop_front()
    }

    /// What became of the file.
    pub fn poll_event(&mut self) -> Option<FileEvent> {
        self.events.pop_front()
    }

    /// An event of the endpoint; says whether it was for this file.
    pub fn handle(&mut self, now: Now, endpoint: &mut Endpoint, event: &Event) -> bool {
        match event {
            Event::Data { transfer, offset, bytes } if *transfer == self.incoming => {
                self.data(now, endpoint, self.options.start.saturating_add(*offset), bytes);
            }
            Event::ChunkEnd { transfer, chunk, complete, .. } if *transfer == self.incoming => {
                if self.over {
                    endpoint.respond(now, *chunk, Status::STOP);
                } else if let Some(length) = complete {
                    self.last = Some(*chunk);
                    self.end = Some(self.options.start.saturating_add(*length));
                    self.go_on(now, endpoint);
                } else {
                    self.chunks.push_back(*chunk);
                    self.go_on(now, endpoint);
                }
            }
            Event::Aborted { transfer, .. } if *transfer == self.incoming => {
                let there = self.there();
                self.finish(now, endpoint, FileEvent::Incomplete { there }, None);
            }
            _ => return false,
        }
        true
    }

    fn there(&self) -> u64 {
        self.written.missing(0, u64::MAX).first().map_or(u64::MAX, |(from, _)| *from)
    }

    fn data(&mut self, now: Now, endpoint: &mut Endpoint, offset: u64, octets: &Bytes) {
        let end = offset.saturating_add(wide(octets.len()));
        if self.over || octets.is_empty() {
            return;
        }
        if self.options.size.is_some_and(|size| end > size) {
            return self.finish(now, endpoint, FileEvent::TooLong, Some(Status::STOP));
        }
        for (from, to) in self.taken.missing(offset, end) {
            let at = |position: u64| usize::try_from(position.saturating_sub(offset)).unwrap_or(usize::MAX);
            self.take(from, &octets.slice(at(from).min(octets.len())..at(to).min(octets.len())));
        }
        // The endpoint has limited the gaps.
        let _ = self.taken.insert(offset, end, usize::MAX);
        if self.unwritten > UNWRITTEN && !self.paused {
            self.paused = true;
            endpoint.pause(now, self.incoming);
        }
    }

    /// Octets that have not come before.
    fn take(&mut self, offset: u64, octets: &Bytes) {
        let end = offset.saturating_add(wide(octets.len()));
        if offset == self.hashed && !self.reading {
            self.hasher.update(octets);
            self.hashed = end;
        }
        self.unwritten = self.unwritten.saturating_add(cost(octets));
        self.writing.insert(offset, end);
        self.queries.push_back(FileQuery::Write { offset, octets: kept(octets) });
    }

    /// The host has written the octets of a query, or could not.
    pub fn written(&mut self, now: Now, endpoint: &mut Endpoint, offset: u64, done: bool) {
        let Some(end) = self.writing.remove(&offset).filter(|_| !self.over) else { return };
        self.unwritten = self.unwritten.saturating_sub(end.saturating_sub(offset).saturating_add(PIECE));
        // The endpoint has limited the gaps.
        if !done || self.written.insert(offset, end, usize::MAX).is_err() {
            return self.finish(now, endpoint, FileEvent::Failed, Some(Status::STOP));
        }
        if self.unwritten <= UNWRITTEN / 2 && core::mem::take(&mut self.paused) {
            endpoint.resume(now, self.incoming);
        }
        self.go_on(now, endpoint);
    }

    /// What the host has read for the hash; `None`: it could not.
    pub fn read(&mut self, now: Now, endpoint: &mut Endpoint, octets: Option<Bytes>) {
        if !core::mem::take(&mut self.reading) || self.over {
            return;
        }
        let Some(octets) = octets.filter(|octets| !octets.is_empty()) else {
            return self.finish(now, endpoint, FileEvent::Failed, Some(Status::STOP));
        };
        self.hasher.update(&octets);
        self.hashed = self.hashed.saturating_add(wide(octets.len()));
        self.go_on(now, endpoint);
    }

    /// Answers what is written, hashes what came out of its order, and ends.
    fn go_on(&mut self, now: Now, endpoint: &mut Endpoint) {
        if self.writing.is_empty() {
            for chunk in core::mem::take(&mut self.chunks) {
                endpoint.respond(now, chunk, Status::OK);
            }
        }
        let Some(end) = self.end.filter(|_| self.writing.is_empty() && !self.over) else { return };
        if self.options.size.is_some_and(|size| size != end) {
            let there = self.there();
            return self.finish(now, endpoint, FileEvent::Incomplete { there }, Some(Status::OK));
        }
        if self.hashed < end {
            if !self.reading {
                self.reading = true;
                let max = READ.min(end.saturating_sub(self.hashed));
                self.queries.push_back(FileQuery::Read { offset: self.hashed, max });
            }
            return;
        }
        let hash = core::mem::replace(&mut self.hasher, Hasher::new(self.options.hash)).finish();
        if self.options.expected.as_ref().is_some_and(|expected| *expected != hash) {
            return self.finish(now, endpoint, FileEvent::Corrupt { hash }, Some(Status::BAD_REQUEST));
        }
        self.finish(now, endpoint, FileEvent::Complete { size: end, hash }, Some(Status::OK));
    }

    /// The end; `answer` goes to the chunks that wait.
    fn finish(&mut self, now: Now, endpoint: &mut Endpoint, event: FileEvent, answer: Option<Status>) {
        if self.over {
            return;
        }
        self.over = true;
        self.events.push_back(event);
        let waiting = core::mem::take(&mut self.chunks).into_iter().chain(self.last.take());
        for chunk in waiting {
            endpoint.respond(now, chunk, answer.unwrap_or(Status::STOP));
        }
        if core::mem::take(&mut self.paused) {
            endpoint.resume(now, self.incoming);
        }
    }
}

/// What tells a file from another (RFC 5547 §6: `file-selector`, `file-transfer-id`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileIdentity {
    /// Its size.
    pub size: u64,
    /// Its hash.
    pub hash: Option<Vec<u8>>,
    /// The transfer that it was offered in.
    pub transfer_id: Option<String>,
}

/// Where a file that is offered again goes on: behind the octets that are `there`. 0, the beginning, unless it is surely
/// the same file (threats H4): same size, and the same hash, or without hashes the same transfer.
#[must_use]
pub fn resume_at(known: &FileIdentity, offered: &FileIdentity, there: u64) -> u64 {
    let same = known.size == offered.size
        && match (&known.hash, &offered.hash) {
            (Some(known), Some(offered)) => known == offered,
            (None, None) => known.transfer_id.is_some() && known.transfer_id == offered.transfer_id,
            _ => false,
        };
    if same && there <= known.size { there } else { 0 }
}
