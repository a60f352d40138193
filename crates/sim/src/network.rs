//! The network between nodes: what a link does to what crosses it, and who is cut off from whom.

use crate::world::NodeId;
use cpm_base::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a link does. Probabilities are from 0.0 (never) to 1.0 (always).
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// A datagram is lost; a piece of a stream comes late by [`Link::RETRANSMISSION`].
    pub loss: f64,
    /// A datagram arrives a second time.
    pub duplication: f64,
    /// A datagram is held back by up to three times `max_delay` more, so that others overtake it.
    pub reordering: f64,
    /// The least time to the other side.
    pub min_delay: Duration,
    /// The most time to the other side, unless lost or reordered. Each datagram and piece draws its own.
    pub max_delay: Duration,
    /// How a write on a stream is cut on its way.
    pub cuts: Cuts,
    /// Octets of a stream under way at most, each direction: a writer has to wait with more. At least 1.
    pub window: usize,
}

/// How a stream is cut: into pieces of random size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cuts {
    /// The longest piece, in octets. At least 1.
    pub max: usize,
    /// The probability that a piece is a single octet.
    pub single: f64,
}

impl Link {
    /// How much later a piece of a stream comes when it was lost once.
    pub const RETRANSMISSION: Duration = Duration::from_millis(200);

    /// Nothing is lost, everything takes 1 ms.
    #[must_use]
    pub const fn perfect() -> Self {
        Link {
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            min_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(1),
            cuts: Cuts { max: 1460, single: 0.0 },
            window: 65_536,
        }
    }

    /// Loss, duplication and reordering each with this probability, 5 to 60 ms, streams cut at random.
    #[must_use]
    pub const fn rough(probability: f64) -> Self {
        Link {
            loss: probability,
            duplication: probability,
            reordering: probability,
            min_delay: Duration::from_millis(5),
            max_delay: Duration::from_millis(60),
            cuts: Cuts { max: 1460, single: 0.1 },
            window: 16_384,
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Link::perfect()
    }
}

/// The links and the partitions.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) default: Link,
    pub(crate) links: BTreeMap<(NodeId, NodeId), Link>,
    pub(crate) blocked: BTreeSet<(NodeId, NodeId)>,
}

impl Network {
    pub(crate) fn link(&self, from: NodeId, to: NodeId) -> &Link {
        self.links.get(&(from, to)).unwrap_or(&self.default)
    }

    pub(crate) fn is_blocked(&self, from: NodeId, to: NodeId) -> bool {
        self.blocked.contains(&(from, to))
    }
}

/// Draws from the world's randomness.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) Random);

impl Dice {
    /// Whether something with this probability happens. Draws in any case, so that what follows does not shift.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        // 53 bits: what an f64 holds exactly.
        let drawn = (self.0.public_u64() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < probability
    }

    /// A number of `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1).max(1);
        low + self.0.public_u64() % span
    }

    pub(crate) fn delay(&mut self, low: Duration, high: Duration) -> Duration {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.between(micros(low), micros(high)))
    }
}
