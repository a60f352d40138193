//! What crossed the sockets of several nodes, as entries of a ladder diagram.

use crate::label::Labels;
use cpm_base::{Instant, Transport};
use cpm_host::{Crossing, TapSink, What};
use cpm_sim::ladder::{Entry, Kind, Options, render};
use cpm_sim::summary::{StreamSummary, Summary};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Collects entries; copies are the same ladder.
#[derive(Clone, Default)]
pub(crate) struct Ladder(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    first: Option<Instant>,
    entries: Vec<Entry>,
    /// When something crossed last.
    last: Option<Instant>,
    names: BTreeMap<SocketAddr, String>,
    labels: Labels,
    streams: BTreeMap<(SocketAddr, SocketAddr), StreamSummary>,
}

impl Ladder {
    /// What a node listens on is its own.
    pub(crate) fn name(&self, node: &str, address: SocketAddr) {
        self.lock().names.insert(address, node.to_owned());
    }

    /// When something crossed last.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.lock().last
    }

    /// Forgets what was drawn so far; time starts anew.
    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        inner.entries.clear();
        inner.first = None;
    }

    /// A remark at one node.
    pub(crate) fn note(&self, at: Instant, node: &str, text: &str) {
        let mut inner = self.lock();
        let at = inner.since_first(at);
        inner.entries.push(Entry::new(at, node, node, text, Kind::Note));
    }

    /// The diagram. Long runs of media between the same two are shortened.
    pub(crate) fn draw(&self, nodes: &[&str], options: &Options) -> String {
        let mut entries = self.lock().entries.clone();
        entries.sort_by_key(|entry| entry.at);
        render(nodes, &shorten_media(&entries), options)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn since_first(&mut self, at: Instant) -> Duration {
        at.since(*self.first.get_or_insert(at))
    }
}

impl TapSink for Ladder {
    fn record(&mut self, crossing: &Crossing<'_>) -> io::Result<()> {
        let mut inner = self.lock();
        let path = crossing.path;
        inner.last = Some(crossing.at.mono);
        inner.names.entry(path.local).or_insert_with(|| crossing.node.to_owned());
        let key = (path.local, path.peer);
        let summaries: Vec<Summary> = match crossing.what {
            What::Sent(bytes) if path.transport == Transport::Udp => vec![inner.labels.of(bytes)],
            What::Sent(bytes) => {
                inner.streams.entry(key).or_insert_with(|| StreamSummary::new(path.protocol)).push(bytes)
            }
            What::Connected | What::Accepted => {
                inner.streams.remove(&key);
                Vec::new()
            }
            _ => Vec::new(),
        };
        let at = inner.since_first(crossing.at.mono);
        let to = inner.names.get(&path.peer).cloned().unwrap_or_else(|| path.peer.to_string());
        for summary in summaries {
            inner.entries.push(Entry::new(at, crossing.node, &to, &summary.label, summary.kind));
        }
        Ok(())
    }
}

/// Entries of a run of MSRP that are shown at its beginning and at its end.
const SHOWN: usize = 4;

/// Leaves out the middle of long runs of MSRP between two nodes and says how much.
fn shorten_media(entries: &[Entry]) -> Vec<Entry> {
    let is_media = |entry: &Entry| entry.label.starts_with("MSRP ");
    let mut short = Vec::new();
    for run in entries.chunk_by(|a, b| is_media(a) && is_media(b)) {
        let hidden = run.len().saturating_sub(2 * SHOWN);
        match (run.get(..SHOWN), run.get(SHOWN), run.get(run.len().saturating_sub(SHOWN)..)) {
            (Some(head), Some(next), Some(tail)) if hidden > 1 => {
                short.extend_from_slice(head);
                let note = format!("... {hidden} more MSRP requests and responses");
                short.push(Entry::new(next.at, &next.from, &next.from, &note, Kind::Note));
                short.extend_from_slice(tail);
            }
            _ => short.extend_from_slice(run),
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_base::{DateTime, Now, Protocol};
    use cpm_host::Path;

    fn sent(ladder: &mut Ladder, node: &str, transport: Transport, local: u16, peer: u16, bytes: &[u8]) {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let protocol = if transport == Transport::Udp { Protocol::Sip } else { Protocol::Msrp };
        let path = Path { protocol, transport, local: at(local), peer: at(peer) };
        let at = Now::new(Instant::from_micros(5_000), DateTime::UNIX_EPOCH);
        ladder.record(&Crossing { at, node, path, what: What::Sent(bytes) }).unwrap();
    }

    #[test]
    fn nodes_are_known_by_what_they_listen_on_and_by_what_they_open() {
        let mut ladder = Ladder::default();
        ladder.name("bob", "127.0.0.1:2".parse().unwrap());
        let request = b"BYE sip:bob SIP/2.0\r\nCall-ID: abc\r\nCSeq: 1 BYE\r\n\r\n";
        sent(&mut ladder, "alice", Transport::Udp, 1, 2, request);
        sent(
            &mut ladder,
            "bob",
            Transport::Udp,
            2,
            1,
            b"SIP/2.0 200 OK\r\nCall-ID: abc\r\nCSeq: 1 MESSAGE\r\n\r\n",
        );
        ladder.note(Instant::from_micros(7_000), "bob", "shown");
        let text = ladder.draw(&["alice", "bob"], &Options::default());
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("200 OK") && text.contains("2.000 ms") && text.contains("shown"), "{text}");
    }

    #[test]
    fn long_media_is_shortened() {
        let mut ladder = Ladder::default();
        ladder.name("bob", "127.0.0.1:2".parse().unwrap());
        for n in 0..20 {
            let send = format!("MSRP t{n:03} SEND\r\nByte-Range: 1-3/3\r\n\r\nabc\r\n-------t{n:03}$\r\n");
            sent(&mut ladder, "alice", Transport::Tcp, 1, 2, send.as_bytes());
        }
        let text = ladder.draw(&["alice", "bob"], &Options::default());
        assert_eq!(text.matches("SEND").count(), 2 * SHOWN, "{text}");
        assert!(text.contains("... 12 more MSRP"), "{text}");
    }
}
