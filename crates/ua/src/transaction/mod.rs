//! The four transaction machines of RFC 3261 §17 with RFC 6026 and RFC 4320: pure, one file each.
//!
//! A machine knows its state and its timers and nothing else. It is told what happened ([`Effects`] says what is to be
//! done about it); the messages themselves stay with the endpoint, which holds one request to send again, or one
//! response to send again, per transaction.

pub(crate) mod invite_client;
pub(crate) mod invite_server;
pub(crate) mod non_invite_client;
pub(crate) mod non_invite_server;
#[cfg(test)]
mod tests;

use core::time::Duration;
use cpm_base::Instant;

/// Timer values of RFC 3261 §17.1.1.1 (table 4) and what this endpoint adds to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerValues {
    /// T1, the estimate of the round trip: 500 ms. Allowed: 1 ms to 10 s.
    pub t1: Duration,
    /// T2, the greatest interval between retransmissions of a non-INVITE request or an INVITE response: 4 s. At least T1.
    pub t2: Duration,
    /// T4, how long a message stays in the network: 5 s. At most 60 s.
    pub t4: Duration,
    /// Timer D over unreliable transports: at least 32 s, whatever T1 is (RFC 6026 §8.4), as is its default.
    pub timer_d: Duration,
    /// An INVITE without any response is answered 100 after this time (RFC 3261 §17.2.1): 200 ms.
    pub trying_after: Duration,
    /// Timer C (RFC 3261 §16.6): how long an INVITE may go without a new provisional or a final response: 181 s
    /// (it has to be more than 3 minutes). The endpoint's own INVITEs and the ones it serves are held to it as well.
    pub timer_c: Duration,
}

impl Default for TimerValues {
    fn default() -> Self {
        TimerValues {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_d: Duration::from_secs(32),
            trying_after: Duration::from_millis(200),
            timer_c: Duration::from_secs(181),
        }
    }
}

impl TimerValues {
    /// When a non-INVITE request without any response is answered 100, on every transport, and not before over unreliable
    /// ones: as soon as the peer's Timer E has reached T2 (RFC 4320 §4.1); 3.5 s with the default values.
    #[must_use]
    pub fn trying_after_non_invite(&self) -> Duration {
        let (mut elapsed, mut interval) = (self.t1, self.t1);
        loop {
            interval = interval.saturating_mul(2);
            if interval >= self.t2 || interval.is_zero() {
                return elapsed;
            }
            elapsed = elapsed.saturating_add(interval);
        }
    }

    /// 64*T1: how long a transaction is tried (timers B, F, H), and kept for late copies (timers J, L, M).
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

/// What a machine wants done after a step. At most one of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Send the request (client) or the cached response (server), again or for the first time.
    pub(crate) transmit: bool,
    /// Send the ACK for a final response other than 2xx.
    pub(crate) ack: bool,
    /// Hand what came to the transaction user.
    pub(crate) deliver: bool,
    /// The transaction user has to know that it ended without a final response (client), or without an ACK (server).
    pub(crate) failed: Option<Failure>,
    /// The transaction user asked for something that this state does not allow; nothing was done.
    pub(crate) refused: bool,
}

impl Effects {
    pub(crate) const NONE: Effects =
        Effects { transmit: false, ack: false, deliver: false, failed: None, refused: false };
    pub(crate) const TRANSMIT: Effects = Effects { transmit: true, ..Effects::NONE };
    pub(crate) const DELIVER: Effects = Effects { deliver: true, ..Effects::NONE };
    pub(crate) const ACK: Effects = Effects { ack: true, ..Effects::NONE };
    pub(crate) const ACK_AND_DELIVER: Effects = Effects { ack: true, deliver: true, ..Effects::NONE };
    pub(crate) const TIMEOUT: Effects = Effects { failed: Some(Failure::Timeout), ..Effects::NONE };
    pub(crate) const TRANSPORT: Effects = Effects { failed: Some(Failure::Transport), ..Effects::NONE };
    pub(crate) const REFUSED: Effects = Effects { refused: true, ..Effects::NONE };
}

/// How a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Timeout,
    Transport,
}

/// The timers of one transaction: one that sends again, one that ends the state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Alarms {
    /// Timer A, E or G.
    pub(crate) again: Option<Instant>,
    /// Timer B, D, F, H, I, J, K, L or M, by state.
    pub(crate) end: Option<Instant>,
}

impl Alarms {
    pub(crate) fn next(&self) -> Option<Instant> {
        match (self.again, self.end) {
            (Some(again), Some(end)) => Some(again.min(end)),
            (again, end) => again.or(end),
        }
    }

    pub(crate) fn end_is_due(&self, now: Instant) -> bool {
        self.end.is_some_and(|at| at <= now)
    }

    pub(crate) fn again_is_due(&self, now: Instant) -> bool {
        self.again.is_some_and(|at| at <= now)
    }
}
