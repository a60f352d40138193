//! The clocks and the entropy of the operating system.

use cpm_base::{DateTime, Instant, Now, Seed};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The monotonic clock, counted from when this value was made, and the wall clock in UTC.
///
/// Nodes that shall share a time line (one trace, one capture) are started with copies of the same clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// A clock whose monotonic side starts now.
    #[must_use]
    pub fn start() -> Self {
        Clock { origin: tokio::time::Instant::now() }
    }

    /// Both clocks. A wall clock that is set outside the years 1970 to 9999 reads as 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono = Instant::ZERO.plus(self.origin.elapsed());
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since_epoch.as_micros()).unwrap_or_default();
        Now::new(mono, DateTime::from_unix_micros(micros).unwrap_or(DateTime::UNIX_EPOCH))
    }

    /// The runtime's name for a point on the monotonic side; `None` when it is too far away to be waited for.
    #[must_use]
    pub fn runtime_instant(&self, at: Instant) -> Option<tokio::time::Instant> {
        self.origin.checked_add(Duration::from_micros(at.as_micros()))
    }
}

/// 32 octets from the operating system's generator.
///
/// # Errors
/// The operating system gives none.
pub fn seed_from_os() -> Result<Seed, EntropyError> {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).map_err(|_| EntropyError)?;
    Ok(Seed::new(octets))
}

/// The operating system gave no random octets; nothing that needs unguessable identifiers can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntropyError;

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gave no random octets")
    }
}

impl std::error::Error for EntropyError {}
