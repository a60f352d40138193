//! Typing indications (RFC 3994, TS 5.5): [`Composer`] says when to send one, [`Watcher`] who types at the moment.

use core::time::Duration;
use cpm_base::Instant;
use cpm_xml::is_composing::{IsComposing, State};
use std::collections::BTreeMap;

/// How a composer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// `refresh`: how often `active` is said while the user goes on composing, in whole seconds; at least 60 s is asked for
    /// (RFC 3994 §3.2). `None`: once. Default 60 s.
    pub refresh: Option<Duration>,
    /// The idle timeout: how long without input until the user is taken to have stopped. Default 15 s.
    pub idle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { refresh: Some(Duration::from_secs(60)), idle: Duration::from_secs(15) }
    }
}

/// The composer's side, for one peer or group (RFC 3994 §3.2, Figure 1).
///
/// | state | event | new state | said |
/// |---|---|---|---|
/// | idle | input | active | `active`, unless one was said within the refresh interval: then when it is over |
/// | active | input | active | nothing |
/// | active | refresh interval over, input since the idle timeout | active | `active` |
/// | active | idle timeout, or the text is gone | idle | `idle`, when `active` was said |
/// | active | content message sent | idle | nothing: the message says it |
#[derive(Debug, Clone)]
pub struct Composer {
    pace: Pace,
    off: bool,
    /// The last input, while active.
    input: Option<Instant>,
    /// The last `active` that was said.
    said_at: Option<Instant>,
    /// What the peer was told last.
    told_active: bool,
}

impl Composer {
    /// Nobody composes.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Composer { pace, off: false, input: None, said_at: None, told_active: false }
    }

    /// Nothing is said to this peer any more: it answered 415, or the messages go to another technology there
    /// (TS 5.5-p5).
    pub fn switch_off(&mut self) {
        *self = Composer { off: true, ..Composer::new(self.pace) };
    }

    /// Whether nothing is said any more.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// The user composes. What is returned is to be sent now.
    pub fn input(&mut self, now: Instant) -> Option<IsComposing> {
        if self.off {
            return None;
        }
        self.input = Some(now);
        self.due(now)
    }

    /// The user threw away what he composed.
    pub fn cleared(&mut self) -> Option<IsComposing> {
        self.input = None;
        core::mem::take(&mut self.told_active).then(IsComposing::idle)
    }

    /// A content message went out.
    pub fn content_sent(&mut self) {
        (self.input, self.told_active) = (None, false);
        // The next message may be told of at once: it is another one.
        self.said_at = None;
    }

    /// The deadline may have passed. What is returned is to be sent now.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<IsComposing> {
        let input = self.input?;
        if input.plus(self.pace.idle) <= now { self.cleared() } else { self.due(now) }
    }

    /// When [`handle_timeout`](Composer::handle_timeout) wants to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let idle = self.input?.plus(self.pace.idle);
        let again = self.next_active();
        Some(again.map_or(idle, |again| again.min(idle)))
    }

    /// When `active` may be said again; `None` when it need not be.
    fn next_active(&self) -> Option<Instant> {
        match (self.said_at, self.pace.refresh) {
            (Some(said), Some(refresh)) => Some(said.plus(refresh)),
            (Some(said), None) if !self.told_active => Some(said.plus(Watcher::DEFAULT_REFRESH)),
            _ => None,
        }
    }

    fn due(&mut self, now: Instant) -> Option<IsComposing> {
        let may = self.said_at.is_none() || self.next_active().is_some_and(|at| at <= now);
        if !may {
            return None;
        }
        (self.said_at, self.told_active) = (Some(now), true);
        let seconds = self.pace.refresh.map(|refresh| u32::try_from(refresh.as_secs()).unwrap_or(u32::MAX));
        Some(IsComposing::active(None, seconds))
    }
}

/// The receiver's side (RFC 3994 §3.3, Figure 2): who composes a message for us.
#[derive(Debug, Clone)]
pub struct Watcher {
    max_peers: usize,
    /// Until when each peer counts as active.
    active: BTreeMap<String, Instant>,
}

impl Watcher {
    /// How long `active` holds without `<refresh>` (RFC 3994 §3.3).
    pub const DEFAULT_REFRESH: Duration = Duration::from_secs(120);
    /// The longest that `active` holds, whatever `<refresh>` says: an hour.
    pub const MAX_REFRESH: Duration = Duration::from_secs(3_600);

    /// Nobody composes. At most `max_peers` are watched at once (`composing.max_peers`, 1,000 in a group); more are not
    /// shown.
    #[must_use]
    pub fn new(max_peers: usize) -> Self {
        Watcher { max_peers, active: BTreeMap::new() }
    }

    /// An indication came from a peer. Returns whether the peer changed: began or stopped composing.
    pub fn heard(&mut self, now: Instant, peer: &str, indication: &IsComposing) -> bool {
        match indication.state {
            State::Idle => self.active.remove(peer).is_some(),
            State::Active => {
                let seconds = indication.refresh.map(|seconds| Duration::from_secs(u64::from(seconds)));
                let holds = seconds.unwrap_or(Self::DEFAULT_REFRESH).min(Self::MAX_REFRESH);
                if !self.active.contains_key(peer) && self.active.len() >= self.max_peers {
                    return false;
                }
                self.active.insert(peer.to_owned(), now.plus(holds)).is_none()
            }
        }
    }

    /// A content message came from a peer, or the peer left. Returns whether it was composing.
    pub fn content_received(&mut self, peer: &str) -> bool {
        self.active.remove(peer).is_some()
    }

    /// Whether a peer composes.
    #[must_use]
    pub fn is_active(&self, peer: &str) -> bool {
        self.active.contains_key(peer)
    }

    /// The deadline may have passed: the peers that stopped composing without a word.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<String> {
        let over: Vec<String> =
            self.active.iter().filter(|(_, until)| **until <= now).map(|(peer, _)| peer.clone()).collect();
        for peer in &over {
            self.active.remove(peer);
        }
        over
    }

    /// When [`handle_timeout`](Watcher::handle_timeout) wants to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.active.values().min().copied()
    }
}

#[cfg(test)]
mod tests;
