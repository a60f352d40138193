//! What a peer may cost this host.

use std::fmt;
use std::time::Duration;

/// A limit that no node can be run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidLimit {
    /// Its name, `"host.max_streams"`.
    pub limit: &'static str,
    /// Whether it is too great; otherwise it is zero.
    pub too_great: bool,
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.limit, if self.too_great { "is too great" } else { "may not be zero" })
    }
}

impl std::error::Error for InvalidLimit {}

/// Limits of one node's sockets. All are per node; none may be zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// UDP flows, that is pairs of own and remote address, remembered at once. When all are taken, the one that was
    /// quiet longest makes room if it was quiet for [`Limits::udp_evict_after`]; otherwise the datagram is dropped.
    /// Default 65,536.
    pub max_udp_flows: usize,
    /// A UDP flow that was quiet this long is forgotten. Longer than any SIP transaction waits (Timer C: more than
    /// three minutes, RFC 3261 §16.6). Default 10 minutes.
    pub udp_idle: Duration,
    /// How long a UDP flow is safe from making room for another. Default 32 s (64·T1, RFC 3261 §17).
    pub udp_evict_after: Duration,
    /// Datagrams waiting to be sent on one socket; what comes on top is dropped, as a network would. Default 1,024.
    pub datagram_queue: usize,
    /// Stream connections at once, accepted and opened. Default 4,096.
    pub max_streams: usize,
    /// Connections at once that one address opened; more are closed as they come. Default `None`: as many as there may be at
    /// all, so that one machine can take every place.
    pub max_streams_per_address: Option<usize>,
    /// A stream on which nothing went either way this long is closed. Default 30 minutes.
    pub stream_idle: Duration,
    /// Octets read from a stream in one go, into a block that the streams of a node share. Default 16,384.
    pub read_block: usize,
    /// Octets of a stream that are asked of the node in one go, and the most that waits outside the node while a peer does
    /// not read. Default 65,536: as much as is read of a stream before its answers are written.
    pub write_block: usize,
    /// How long a stream is not read on while what the node has for it was not written yet, so that answers keep up with
    /// requests. Read on it is then all the same: two peers that wait for each other to read would wait for ever.
    /// Default 100 ms.
    pub read_hold: Duration,
    /// A peer that takes no octet of a stream this long is given up. Default 30 s.
    pub write_stall: Duration,
    /// How long a closed stream waits for the far side's end, so that what was sent last is not lost to a reset.
    /// Default 2 s.
    pub linger: Duration,
    /// Connections being opened at once; further ones fail with `Unavailable`. Default 256.
    pub max_connects: usize,
    /// How long opening a connection may take. Default 10 s.
    pub connect_timeout: Duration,
    /// Name look-ups at once; further ones find nothing. Default 64.
    pub max_lookups: usize,
    /// How long a look-up may take. Default 5 s.
    pub lookup_timeout: Duration,
    /// Addresses of one name handed to the node. Default 16.
    pub max_lookup_results: usize,
    /// What sockets read that waits for the node; while it is full nothing more is read. Default 64.
    pub input_queue: usize,
    /// Events that wait for the embedding program; while there are this many nothing more is read from any socket.
    /// Default 1,024.
    pub event_backlog: usize,
    /// How long a node that is told to stop may take to send what it has. Default 3 s.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_udp_flows: 65_536,
            udp_idle: Duration::from_secs(600),
            udp_evict_after: Duration::from_secs(32),
            datagram_queue: 1_024,
            max_streams: 4_096,
            max_streams_per_address: None,
            stream_idle: Duration::from_secs(1_800),
            read_block: 16_384,
            write_block: 65_536,
            read_hold: Duration::from_millis(100),
            write_stall: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            max_connects: 256,
            connect_timeout: Duration::from_secs(10),
            max_lookups: 64,
            lookup_timeout: Duration::from_secs(5),
            max_lookup_results: 16,
            input_queue: 64,
            event_backlog: 1_024,
            stop_timeout: Duration::from_secs(3),
        }
    }
}

impl Limits {
    /// The greatest count or size: semaphores and channels of the runtime take no more.
    const MAX: usize = u32::MAX as usize >> 3;

    /// Whether a node can be run with these.
    ///
    /// # Errors
    /// The first limit that is zero, or greater than the runtime can count.
    pub fn validate(&self) -> Result<(), InvalidLimit> {
        let counts = [
            ("host.max_udp_flows", self.max_udp_flows),
            ("host.datagram_queue", self.datagram_queue),
            ("host.max_streams", self.max_streams),
            ("host.max_streams_per_address", self.max_streams_per_address.unwrap_or(1)),
            ("host.read_block", self.read_block),
            ("host.write_block", self.write_block),
            ("host.max_connects", self.max_connects),
            ("host.max_lookups", self.max_lookups),
            ("host.max_lookup_results", self.max_lookup_results),
            ("host.input_queue", self.input_queue),
            ("host.event_backlog", self.event_backlog),
        ];
        let times = [
            ("host.udp_idle", self.udp_idle),
            ("host.udp_evict_after", self.udp_evict_after),
            ("host.stream_idle", self.stream_idle),
            ("host.read_hold", self.read_hold),
            ("host.write_stall", self.write_stall),
            ("host.linger", self.linger),
            ("host.connect_timeout", self.connect_timeout),
            ("host.lookup_timeout", self.lookup_timeout),
            ("host.stop_timeout", self.stop_timeout),
        ];
        for (limit, count) in counts {
            if count == 0 || count > Self::MAX {
                return Err(InvalidLimit { limit, too_great: count > 0 });
            }
        }
        match times.iter().find(|(_, time)| time.is_zero()) {
            Some((limit, _)) => Err(InvalidLimit { limit, too_great: false }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(Limits::default().validate(), Ok(()));
        let none = Limits { max_streams: 0, ..Limits::default() };
        assert_eq!(none.validate().unwrap_err().limit, "host.max_streams");
        let never = Limits { write_stall: Duration::ZERO, ..Limits::default() };
        assert_eq!(never.validate().unwrap_err().limit, "host.write_stall");
        let huge = Limits { input_queue: usize::MAX, ..Limits::default() };
        assert_eq!(huge.validate().unwrap_err().to_string(), "host.input_queue is too great");
    }
}
