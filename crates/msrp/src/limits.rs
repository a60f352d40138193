//! How much of everything a peer may cause.

use core::time::Duration;
use cpm_base::LimitExceeded;

/// Maxima of an endpoint. All are checked before the memory that they bound is taken.
///
/// Memory of an endpoint, without the bodies that the caller hands over to be sent: per connection at most
/// `max_header` octets of unread head, `max_output` of responses and reports waiting to be written and `max_outstanding`
/// unanswered requests each way; per session at most `max_open_messages` messages coming in, each with `max_gaps` gaps,
/// and `max_queued` going out. Bodies that come in are handed on and never kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `msrp.max_connections`: connections at a time. 1 to 2^24; default 65,536.
    pub max_connections: usize,
    /// `msrp.max_sessions`: sessions at a time. 1 to 2^24; default 65,536.
    pub max_sessions: usize,
    /// `msrp.max_header`: octets of a head, start line included. 256 to 65,536; default 4 KiB.
    pub max_header: usize,
    /// `msrp.max_lines`: lines of a head, start line included. 4 to 1,024; default 32.
    pub max_lines: usize,
    /// `msrp.max_nonsend_body`: octets of the body of anything but a SEND (RFC 4975 §7.1). 0 to 65,536; default 10,240.
    pub max_nonsend_body: usize,
    /// `msrp.piece`: octets of one piece of a body as it is handed on. 64 (what an end-line may be long) to 1 MiB; default 16 KiB.
    pub piece: usize,
    /// `msrp.max_open_messages`: unfinished messages coming in, per session. 1 to 1,024; default 16.
    pub max_open_messages: usize,
    /// `msrp.max_gaps`: gaps in one message coming in. 1 to 4,096; default 64.
    pub max_gaps: usize,
    /// `msrp.max_outstanding`: requests without their answer per connection, each way. 1 to 65,536; default 256.
    pub max_outstanding: usize,
    /// `msrp.max_queued`: messages accepted for sending and not finished, per session. 1 to 65,536; default 256.
    pub max_queued: usize,
    /// `msrp.max_output`: octets of responses and reports that wait for a peer to read them, per connection; over it,
    /// the connection is closed. 4 KiB to 16 MiB; default 256 KiB.
    pub max_output: usize,
    /// `msrp.max_empty`: chunks without an octet, one after the other. 1 to 1,024; default 32.
    pub max_empty: usize,
    /// `msrp.max_faults`: refused requests, one after the other; over it, the connection is closed. 1 to 1,024; default 32.
    pub max_faults: usize,
    /// `msrp.chunk_idle`: how long an unfinished message or a head that has begun may stand still. 1 s to 1 h; default 30 s.
    pub chunk_idle: Duration,
    /// `msrp.bind_timeout`: from the opening of a session to its being bound, and from an accepted connection to the
    /// first request of a known session. 1 s to 1 h; default 30 s.
    pub bind_timeout: Duration,
    /// `msrp.response_timeout`: from the last octet of a request to its response (RFC 4975 §7.1.1). 1 s to 1 h; default 30 s.
    pub response_timeout: Duration,
    /// `msrp.close_timeout`: how long a connection that nobody needs may take to drain. 1 ms to 1 min; default 5 s.
    pub close_timeout: Duration,
    /// `msrp.max_chunk`: octets of a chunk that we send, where the session says no less. 2,048 to 2^32; default 1 MiB.
    pub max_chunk: u64,
    /// `msrp.window`: octets of one message sent and not yet answered. 2,048 to 2^32; default 2 MiB.
    pub window: u64,
    /// `msrp.source`: octets of a message that are asked of its source ahead of what is written. 4,096 to 16 MiB;
    /// default 8 KiB.
    pub source: u64,
    /// `msrp.max_unread`: octets kept of a connection while its taker cannot take more
    /// ([`Endpoint::pause`](crate::Endpoint::pause)); over it, the connection is closed: its host should not read on.
    /// 4 KiB to 16 MiB; default 256 KiB.
    pub max_unread: usize,
    /// `msrp.turn`: octets of a message after which another waiting message gets its turn on the connection (a short
    /// one, a response or a report gets it after 2,048). 2,048 to 2^32; default 16 KiB.
    pub turn: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_connections: 65_536,
            max_sessions: 65_536,
            max_header: 4096,
            max_lines: 32,
            max_nonsend_body: 10_240,
            piece: 16 * 1024,
            max_open_messages: 16,
            max_gaps: 64,
            max_outstanding: 256,
            max_queued: 256,
            max_output: 256 * 1024,
            max_empty: 32,
            max_faults: 32,
            chunk_idle: Duration::from_secs(30),
            bind_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            max_chunk: 1024 * 1024,
            window: 2 * 1024 * 1024,
            source: 8 * 1024,
            max_unread: 256 * 1024,
            turn: 16 * 1024,
        }
    }
}

impl Limits {
    /// Checks that every limit is within the range that its field names.
    ///
    /// # Errors
    /// The first limit that is not; one that is too small is reported with the least value allowed as `max`.
    pub fn validate(&self) -> Result<(), LimitExceeded> {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let hour = 3_600_000;
        for (limit, value, min, max) in [
            ("msrp.max_connections", wide(self.max_connections), 1, 1 << 24),
            ("msrp.max_sessions", wide(self.max_sessions), 1, 1 << 24),
            ("msrp.max_header", wide(self.max_header), 256, 65_536),
            ("msrp.max_lines", wide(self.max_lines), 4, 1024),
            ("msrp.max_nonsend_body", wide(self.max_nonsend_body), 0, 65_536),
            ("msrp.piece", wide(self.piece), 64, 1 << 20),
            ("msrp.max_open_messages", wide(self.max_open_messages), 1, 1024),
            ("msrp.max_gaps", wide(self.max_gaps), 1, 4096),
            ("msrp.max_outstanding", wide(self.max_outstanding), 1, 65_536),
            ("msrp.max_queued", wide(self.max_queued), 1, 65_536),
            ("msrp.max_output", wide(self.max_output), 4096, 1 << 24),
            ("msrp.max_empty", wide(self.max_empty), 1, 1024),
            ("msrp.max_faults", wide(self.max_faults), 1, 1024),
            ("msrp.chunk_idle", millis(self.chunk_idle), 1000, hour),
            ("msrp.bind_timeout", millis(self.bind_timeout), 1000, hour),
            ("msrp.response_timeout", millis(self.response_timeout), 1000, hour),
            ("msrp.close_timeout", millis(self.close_timeout), 1, 60_000),
            ("msrp.max_chunk", self.max_chunk, 2048, 1 << 32),
            ("msrp.window", self.window, 2048, 1 << 32),
            ("msrp.source", self.source, 4096, 1 << 24),
            ("msrp.max_unread", wide(self.max_unread), 4096, 1 << 24),
            ("msrp.turn", self.turn, 2048, 1 << 32),
        ] {
            if value < min {
                return Err(LimitExceeded { limit, value, max: min });
            }
            if value > max {
                return Err(LimitExceeded { limit, value, max });
            }
        }
        Ok(())
    }
}
