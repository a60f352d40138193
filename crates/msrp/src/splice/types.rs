//! What a splice is told and tells.

use alloc::boxed::Box;
use alloc::string::String;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::LimitExceeded;

#[cfg(doc)]
use super::Splice;
use crate::event::{AbortReason, SendError, SendFailure, SessionId};
use crate::values::{ByteRange, Status};

/// A leg of a splice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// How what becomes of the message on its legs is told to its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mapping {
    /// One leg is enough: the last chunk is answered 200 when the first has it, the first report is passed back; the
    /// message has failed when every leg has.
    First,
    /// All legs have to have it; one that fails fails the message.
    #[default]
    All,
    /// The last chunk is answered when all octets are here; every report, and every failure as a report, is passed back.
    Each,
}

/// How a message is spliced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpliceOptions {
    /// How answers, failures and reports find their way back.
    pub mapping: Mapping,
    /// How many blank lines end the head of the body that is to be rewritten: 1 for the header fields of a CPIM message,
    /// 2 with the MIME fields of what it wraps; 0: the body passes as it is.
    pub head_lines: u8,
    /// Octets of that head. 1 to 64 KiB; default 8 KiB.
    pub max_head: usize,
    /// Octets kept for legs that are waited for. 1 to 16 MiB; default 4 KiB, beside what
    /// [`Limits::source`](crate::Limits::source) lets each leg have ahead of its connection.
    pub buffer: usize,
    /// How long a leg that is waited for may hold the message back without taking half of `buffer`; then it fails alone
    /// ([`Splice::handle_timeout`]). Once all octets are here it is how long any leg may take for what is kept. 1 s to
    /// 1 h; default 30 s.
    pub stall: Duration,
    /// Octets of the beginning kept for legs that join late; a message that is longer takes no more legs once the rest is
    /// gone. Up to 16 MiB; default 0.
    pub keep: usize,
    /// Octets that came before their turn. Up to 16 MiB; default 64 KiB.
    pub reorder: usize,
    /// Whether [`SpliceEvent::Tapped`] tells of the octets, in their order, as they came.
    pub tap: bool,
}

impl Default for SpliceOptions {
    fn default() -> Self {
        SpliceOptions {
            mapping: Mapping::All,
            head_lines: 0,
            max_head: 8192,
            buffer: 4 * 1024,
            stall: Duration::from_secs(30),
            keep: 0,
            reorder: 64 * 1024,
            tap: false,
        }
    }
}

impl SpliceOptions {
    /// Checks that every limit is within the range that its field names.
    ///
    /// # Errors
    /// The first one that is not; one that is too small is reported with the least value allowed as `max`.
    pub fn validate(&self) -> Result<(), LimitExceeded> {
        let most = 1 << 24;
        LimitExceeded::check("splice.max_head", self.max_head, 64 * 1024)?;
        LimitExceeded::check("splice.buffer", self.buffer, most)?;
        LimitExceeded::check("splice.keep", self.keep, most)?;
        LimitExceeded::check("splice.reorder", self.reorder, most)?;
        let (stall, hour) = (self.stall.as_secs(), 3600);
        if stall == 0 || self.stall > Duration::from_secs(hour) {
            let max = if stall == 0 { 1 } else { hour };
            return Err(LimitExceeded { limit: "splice.stall", value: stall, max });
        }
        for (limit, value) in [("splice.buffer", self.buffer), ("splice.max_head", self.max_head)] {
            if value == 0 {
                return Err(LimitExceeded { limit, value: 0, max: 1 });
            }
        }
        Ok(())
    }
}

/// What is to be known of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The session that the message goes out on.
    pub session: SessionId,
    /// Its Message-ID there; `None`: one is made.
    pub message_id: Option<String>,
    /// The rewritten head for this leg alone; `None`: that of [`Splice::set_head`].
    pub head: Option<Bytes>,
    /// `None`: the leg is waited for. Else it fails alone when so many octets wait for it.
    pub lag: Option<usize>,
}

/// What a splice tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpliceEvent {
    /// The head of the body, its blank line(s) included: [`Splice::set_head`] says what goes out instead. Nothing goes
    /// out before that. Empty: the body has no such head within [`SpliceOptions::max_head`], and stays as it is unless
    /// octets are set to go before it.
    Head(Bytes),
    /// Octets as they came, in order: for storage.
    Tapped {
        /// The position of the first, from 0.
        offset: u64,
        /// The octets.
        octets: Bytes,
    },
    /// All octets are here; so many came.
    Whole(u64),
    /// A leg has the message.
    LegSent(LegId),
    /// A leg does not have it.
    LegFailed {
        /// Which.
        leg: LegId,
        /// What was answered or reported.
        status: Option<Status>,
        /// Why; [`SendFailure::Aborted`] where it lagged too far behind or was taken off, [`SendFailure::Timeout`] where
        /// it did not take its octets in time.
        why: SendFailure,
    },
    /// The far side of a leg reported on octets of the message, in the positions of the message as it came.
    LegReport {
        /// Which.
        leg: LegId,
        /// Which octets.
        range: Option<ByteRange>,
        /// What of them.
        status: Option<Status>,
    },
    /// The message will not become whole; its legs were told so.
    Aborted(AbortReason),
    /// What came cannot be relayed: it was refused with this status.
    Refused(Status),
}

/// Why a leg cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LegError {
    /// Octets that it would need are gone.
    TooLate,
    /// The endpoint does not take the message.
    Send(Box<SendError>),
}

impl core::fmt::Display for LegError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            LegError::TooLate => f.write_str("the beginning of the message is gone"),
            LegError::Send(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for LegError {}
