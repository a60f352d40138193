//! What every machine of the workspace shares: time as an argument, randomness from a seed, limits, flows.
//!
//! Nothing in here (or in any crate that stands on it) reads a clock, asks the system for entropy or opens a
//! socket. A host passes the time in as [`Now`], a 32-byte [`Seed`] at construction, and names its sockets
//! with a [`FlowId`].
//!
//! ```
//! use core::time::Duration;
//! use cpm_base::{DateTime, Instant, Now, Random, Seed};
//!
//! let wall = DateTime::parse("2026-11-21T10:00:00.250+01:00").unwrap();
//! let now = Now::new(Instant::from_micros(5_000_000), wall);
//! let later = now.plus(Duration::from_secs(2));
//! assert_eq!(later.wall.to_string(), "2026-11-21T10:00:02.250+01:00");
//!
//! // The same seed gives the same identifiers: a run replays exactly.
//! let mut a = Random::new(Seed::new([7; 32]));
//! let mut b = Random::new(Seed::new([7; 32]));
//! assert_eq!(a.uuid(), b.uuid());
//! ```
#![no_std]
extern crate alloc;

mod flow;
mod limit;
mod metrics;
mod random;
pub mod record;
mod sensitive;
mod time;

pub use flow::{CloseReason, FlowId, FlowInfo, OpenError, OpenId, Protocol, Target, Transport, Trust};
pub use limit::{LimitExceeded, LimitsError};
pub use metrics::Metrics;
pub use random::{Random, Seed};
pub use sensitive::Sensitive;
pub use time::{DateTime, DateTimeError, Instant, Now};
