//! Which nonces are alive, and which of their counts were seen: against replay (RFC 7616 §3.4, `nc`).

use crate::{Credentials, LimitsError};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use cpm_base::Instant;

/// Which nonce counts are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountPolicy {
    /// Only greater ones than all before. Requests that overtake one another are challenged again.
    Increasing,
    /// Every one once, also out of order, as long as it is less than this many below the greatest; 1 to 64.
    Window(u32),
}

/// The counts of one nonce that were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NonceCounter {
    greatest: u32,
    /// Bit n: `greatest` minus n was seen.
    seen: u64,
}

impl NonceCounter {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        NonceCounter { greatest: 0, seen: 0 }
    }

    /// Whether this count is new, which from then on it is not.
    pub fn accept(&mut self, count: u32, policy: CountPolicy) -> bool {
        if count > self.greatest {
            let up = count.saturating_sub(self.greatest);
            self.seen = self.seen.checked_shl(up).unwrap_or(0) | 1;
            self.greatest = count;
            return true;
        }
        let CountPolicy::Window(width) = policy else { return false };
        let below = self.greatest.saturating_sub(count);
        let Some(bit) = 1_u64.checked_shl(below) else { return false };
        let new = count > 0 && below < width && self.seen & bit == 0;
        if new {
            self.seen |= bit;
        }
        new
    }
}

/// Why a nonce does not do. All of these are answered by a new challenge that says `stale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceFault {
    /// Not issued here, expired, or dropped to make room.
    Unknown,
    /// The count was seen before, or is too far below the greatest: the request may be a replay.
    Replayed,
}

impl fmt::Display for NonceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NonceFault::Unknown => "the nonce is not alive",
            NonceFault::Replayed => "the nonce count was seen before",
        })
    }
}

impl core::error::Error for NonceFault {}

/// Bounds of a [`Nonces`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonceLimits {
    /// `auth.max_nonces`: nonces alive at once; the oldest makes room. Default 4096.
    pub max_nonces: usize,
    /// `auth.nonce_lifetime`: how long a nonce is taken. Default 5 minutes.
    pub lifetime: Duration,
    /// Which counts are taken. Default: a window of 64.
    pub counts: CountPolicy,
}

impl Default for NonceLimits {
    fn default() -> Self {
        NonceLimits { max_nonces: 4096, lifetime: Duration::from_secs(300), counts: CountPolicy::Window(64) }
    }
}

/// The nonces that a server has issued: each takes its own octets and 64 more, about.
#[derive(Debug, Clone)]
pub struct Nonces {
    limits: NonceLimits,
    alive: BTreeMap<String, Entry>,
    /// In the order of issue, which is that of expiry.
    order: VecDeque<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    expires: Instant,
    counter: NonceCounter,
}

impl Nonces {
    /// None yet.
    ///
    /// # Errors
    /// No nonce may be alive, the lifetime is 0, or the window is not 1 to 64 wide.
    pub fn new(limits: NonceLimits) -> Result<Self, LimitsError> {
        if limits.max_nonces == 0 {
            return Err(LimitsError("auth.max_nonces"));
        }
        if limits.lifetime.is_zero() {
            return Err(LimitsError("auth.nonce_lifetime"));
        }
        if let CountPolicy::Window(0 | 65..) = limits.counts {
            return Err(LimitsError("the window of nonce counts"));
        }
        Ok(Nonces { limits, alive: BTreeMap::new(), order: VecDeque::new() })
    }

    /// Nonces alive, expired ones that were not looked at yet included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.alive.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    /// A nonce goes out in a challenge (or as the next one). It should hold 128 random bits; one that is alive already is
    /// not issued again.
    pub fn issue(&mut self, now: Instant, nonce: &str) {
        self.expire(now);
        if self.alive.contains_key(nonce) {
            return;
        }
        if self.alive.len() >= self.limits.max_nonces {
            self.drop_oldest();
        }
        let expires = now.plus(self.limits.lifetime);
        self.alive.insert(String::from(nonce), Entry { expires, counter: NonceCounter::new() });
        self.order.push_back(String::from(nonce));
    }

    /// Whether the nonce of credentials is alive and their count new; counts it. To be asked after the digest was found
    /// right. Credentials without quality of protection have no count: they are taken once per nonce.
    ///
    /// # Errors
    /// [`NonceFault`].
    pub fn accept(&mut self, now: Instant, credentials: &Credentials) -> Result<(), NonceFault> {
        self.expire(now);
        let entry = self.alive.get_mut(&credentials.nonce).ok_or(NonceFault::Unknown)?;
        let count = credentials.protection.as_ref().map_or(1, |protection| protection.count);
        if entry.counter.accept(count, self.limits.counts) { Ok(()) } else { Err(NonceFault::Replayed) }
    }

    /// Drops what has expired.
    pub fn expire(&mut self, now: Instant) {
        while let Some(oldest) = self.order.front() {
            if self.alive.get(oldest).is_some_and(|entry| entry.expires > now) {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.alive.remove(&oldest);
        }
    }
}
