//! A tap: sees every octet that crosses a socket of the nodes it is given to.
//!
//! What is sent is recorded under the tap's lock *while* the operating system takes it, so that within one process a
//! record of sending always comes before the record of the far side receiving the same octets.

use crate::Clock;
use cpm_base::{Now, Protocol, Transport};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One thing that crossed, or happened to, a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing<'a> {
    /// When.
    pub at: Now,
    /// Which node's socket: the name given with [`Tap::for_node`], else empty.
    pub node: &'a str,
    /// Which socket.
    pub path: Path,
    /// What.
    pub what: What<'a>,
}

/// A socket's two ends and what is spoken on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The protocol spoken.
    pub protocol: Protocol,
    /// The transport.
    pub transport: Transport,
    /// Our end.
    pub local: SocketAddr,
    /// The far end.
    pub peer: SocketAddr,
}

/// What crossed or happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// Octets left: one whole datagram, or a piece of a stream.
    Sent(&'a [u8]),
    /// Octets came: one whole datagram, or a piece of a stream.
    Received(&'a [u8]),
    /// A stream that our side opened is there.
    Connected,
    /// A stream that the far side opened is there.
    Accepted,
    /// Our side sends no more on this stream.
    Ended,
    /// The far side sends no more on this stream.
    PeerEnded,
}

/// Something that wants to see crossings.
pub trait TapSink: Send {
    /// Takes one crossing, in order of time.
    ///
    /// # Errors
    /// It could not be written; the sink is asked no more.
    fn record(&mut self, crossing: &Crossing<'_>) -> io::Result<()>;

    /// Everything recorded so far is to be where it belongs.
    ///
    /// # Errors
    /// It could not be written.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What nodes are given: off by default and then free of cost.
#[derive(Clone, Default)]
pub struct Tap {
    inner: Option<Arc<Mutex<Inner>>>,
    node: Arc<str>,
}

struct Inner {
    clock: Clock,
    sinks: Vec<Box<dyn TapSink>>,
    failed: Option<io::Error>,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.inner.is_some() { "Tap(on)" } else { "Tap(off)" })
    }
}

impl Tap {
    /// A tap that every sink sees; off when there is no sink.
    #[must_use]
    pub fn new(clock: Clock, sinks: Vec<Box<dyn TapSink>>) -> Self {
        if sinks.is_empty() {
            return Tap::default();
        }
        Tap { inner: Some(Arc::new(Mutex::new(Inner { clock, sinks, failed: None }))), node: Arc::default() }
    }

    /// The same tap under the name of one node.
    #[must_use]
    pub fn for_node(&self, name: &str) -> Tap {
        Tap { inner: self.inner.clone(), node: name.into() }
    }

    /// Writes out what sinks hold back.
    ///
    /// # Errors
    /// The first error that any sink ever had.
    pub fn finish(&self) -> io::Result<()> {
        let Some(mut inner) = self.lock() else { return Ok(()) };
        for sink in &mut inner.sinks {
            sink.flush()?;
        }
        inner.failed.take().map_or(Ok(()), Err)
    }

    pub(crate) fn happened(&self, path: Path, what: What<'_>) {
        if let Some(mut inner) = self.lock() {
            inner.record(&self.node, path, what);
        }
    }

    /// Lets `send` hand `bytes` to the operating system and records as many as it took.
    pub(crate) fn sending(
        &self,
        path: Path,
        bytes: &[u8],
        send: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(mut inner) = self.lock() else { return send() };
        let taken = send()?;
        if let Some(taken) = bytes.get(..taken) {
            inner.record(&self.node, path, What::Sent(taken));
        }
        Ok(taken)
    }

    fn lock(&self) -> Option<MutexGuard<'_, Inner>> {
        // A sink that panicked leaves at worst a torn record behind; the nodes go on.
        self.inner.as_ref().map(|inner| inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn record(&mut self, node: &str, path: Path, what: What<'_>) {
        let crossing = Crossing { at: self.clock.now(), node, path, what };
        let failed = &mut self.failed;
        self.sinks.retain_mut(|sink| match sink.record(&crossing) {
            Ok(()) => true,
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
    }
}

/// How many finished streams [`Once`] remembers, for what is still on its way on them.
const REMEMBERED_STREAMS: usize = 4_096;

/// Passes on each octet once when both ends of a path are tapped: as sent, not again as received.
pub struct Once<S> {
    sink: S,
    /// Our own ends that ever sent a datagram: at most as many as there are sockets.
    udp: BTreeSet<SocketAddr>,
    /// Our ends of streams (local, peer).
    streams: BTreeSet<(SocketAddr, SocketAddr)>,
    oldest: VecDeque<(SocketAddr, SocketAddr)>,
}

impl<S> Once<S> {
    /// In front of `sink`.
    pub fn new(sink: S) -> Self {
        Once { sink, udp: BTreeSet::new(), streams: BTreeSet::new(), oldest: VecDeque::new() }
    }

    fn is_ours(&self, path: &Path) -> bool {
        if path.transport.is_stream() {
            self.streams.contains(&(path.peer, path.local))
        } else {
            self.udp.contains(&path.peer)
        }
    }

    fn learn(&mut self, path: &Path) {
        if !path.transport.is_stream() {
            self.udp.insert(path.local);
            return;
        }
        if self.streams.insert((path.local, path.peer)) {
            self.oldest.push_back((path.local, path.peer));
        }
        if self.oldest.len() > REMEMBERED_STREAMS
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.streams.remove(&oldest);
        }
    }
}

impl<S: TapSink> TapSink for Once<S> {
    fn record(&mut self, crossing: &Crossing<'_>) -> io::Result<()> {
        match crossing.what {
            What::Received(_) | What::PeerEnded if self.is_ours(&crossing.path) => return Ok(()),
            What::Received(_) | What::PeerEnded => {}
            What::Accepted if self.is_ours(&crossing.path) => {
                self.learn(&crossing.path);
                return Ok(());
            }
            _ => self.learn(&crossing.path),
        }
        self.sink.record(crossing)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests;
