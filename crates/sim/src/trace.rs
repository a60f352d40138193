//! What happened in a world, in order, for people and for comparing runs.

use crate::ladder::{self, Kind};
use bytes::Bytes;
use cpm_base::Instant;
use std::fmt;
use std::time::Duration;

/// What an entry of a [`Trace`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// A datagram was sent.
    Datagram,
    /// A datagram was sent and is lost.
    Lost,
    /// A datagram was sent and will arrive twice.
    Duplicated,
    /// A message on a stream was written to its end.
    Stream,
    /// A flow opened, failed to open, closed or broke.
    Flow,
    /// A query was asked or answered.
    Query,
    /// A node told its user something.
    Event,
    /// Something was done to the world: a crash, a partition.
    World,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEntry {
    /// When.
    pub at: Instant,
    /// Which node did it.
    pub from: String,
    /// Which node it goes to; empty when it concerns `from` alone.
    pub to: String,
    /// What it is about.
    pub what: What,
    /// In a few words.
    pub label: String,
    /// Request, success...
    pub kind: Kind,
    /// A datagram's octets.
    pub bytes: Option<Bytes>,
}

/// Everything that happened, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    entries: Vec<TraceEntry>,
}

impl Trace {
    pub(crate) fn push(&mut self, entry: TraceEntry) {
        self.entries.push(entry);
    }

    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[TraceEntry] {
        &self.entries
    }

    /// How many messages went from one node to another with this word somewhere in their label, lost ones included.
    #[must_use]
    pub fn count(&self, from: &str, to: &str, word: &str) -> usize {
        let is_message = |what| matches!(what, What::Datagram | What::Lost | What::Duplicated | What::Stream);
        let fits = |entry: &&TraceEntry| is_message(entry.what) && entry.from == from && entry.to == to;
        self.entries.iter().filter(fits).filter(|entry| entry.label.contains(word)).count()
    }

    /// A ladder of these participants: messages and what nodes told their users.
    #[must_use]
    pub fn ladder(&self, participants: &[&str], options: &ladder::Options) -> String {
        let entries: Vec<ladder::Entry> = self
            .entries
            .iter()
            .filter(|entry| !matches!(entry.what, What::Flow | What::Query))
            .map(|entry| {
                let kind = match entry.what {
                    What::Lost => Kind::Lost,
                    What::Event | What::World => Kind::Note,
                    _ => entry.kind,
                };
                ladder::Entry::new(
                    Duration::from_micros(entry.at.as_micros()),
                    &entry.from,
                    &entry.to,
                    &entry.label,
                    kind,
                )
            })
            .collect();
        ladder::render(participants, &entries, options)
    }
}

impl fmt::Display for TraceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_micros();
        let ends =
            if self.to.is_empty() { self.from.clone() } else { format!("{} -> {}", self.from, self.to) };
        let what = match self.what {
            What::Datagram => "udp",
            What::Lost => "udp lost",
            What::Duplicated => "udp twice",
            What::Stream => "stream",
            What::Flow => "flow",
            What::Query => "query",
            What::Event => "event",
            What::World => "world",
        };
        write!(f, "{:>5}.{:06} {ends:<24} {what:<9} {}", micros / 1_000_000, micros % 1_000_000, self.label)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}
