//! Moving time: the next thing due, who is to be told, and when to stop.

use super::{Due, NodeId, World};
use crate::node::SimNode;
use cpm_base::Instant;
use std::fmt;
use std::time::Duration;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What was waited for is so.
    Reached,
    /// Nothing is due for a minute of virtual time (registrations may still have to be refreshed later).
    Quiet,
    /// The time given is over.
    TimeOver,
}

/// What must never happen, happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Instant,
    /// The invariant, or `progress` when time stood still.
    pub invariant: String,
    /// What it says.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} us: {}: {}", self.at.as_micros(), self.invariant, self.text)
    }
}

impl std::error::Error for Violation {}

/// A world with nothing due for so long is quiet.
const QUIET: Duration = Duration::from_secs(60);

/// So many steps at one point of time are a loop.
const MAX_STEPS_AT_ONE_TIME: u32 = 200_000;

impl<E: fmt::Debug + 'static> World<E> {
    /// Lets this much time pass.
    ///
    /// # Errors
    /// An invariant does not hold.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        self.run(time, None, |_| false).map(|_| ())
    }

    /// Goes on until `reached` says so ([`Outcome::Reached`]), or this much time has passed, or nothing is due any more.
    ///
    /// # Errors
    /// An invariant does not hold.
    pub fn run_until(
        &mut self,
        limit: Duration,
        reached: impl FnMut(&Self) -> bool,
    ) -> Result<Outcome, Violation> {
        self.run(limit, None, reached)
    }

    /// Goes on until nothing is due for a minute, or this much time has passed.
    ///
    /// # Errors
    /// An invariant does not hold.
    pub fn run_to_quiescence(&mut self, limit: Duration) -> Result<Outcome, Violation> {
        self.run(limit, Some(QUIET), |_| false)
    }

    fn run(
        &mut self,
        limit: Duration,
        quiet: Option<Duration>,
        mut reached: impl FnMut(&Self) -> bool,
    ) -> Result<Outcome, Violation> {
        let end = self.now.mono.plus(limit);
        let mut steps = 0;
        loop {
            if reached(self) {
                return Ok(Outcome::Reached);
            }
            let next = self.next_due();
            if let Some(quiet) = quiet
                && next.is_none_or(|next| next > self.now.mono.plus(quiet))
            {
                return Ok(Outcome::Quiet);
            }
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = self.now.plus(end.since(self.now.mono));
                return Ok(Outcome::TimeOver);
            };
            steps = if next > self.now.mono { 0 } else { steps + 1 };
            if steps > MAX_STEPS_AT_ONE_TIME {
                let text = format!("{steps} steps and no time passed");
                return Err(Violation { at: self.now.mono, invariant: "progress".to_owned(), text });
            }
            self.now = self.now.plus(next.since(self.now.mono));
            self.step();
            self.check()?;
        }
    }

    /// The nodes that hold something and wait for nothing: no timer, no reply to a query, nothing on its way to them on a
    /// stream. What they hold they hold for ever, unless a peer happens to speak to them.
    #[must_use]
    pub fn stuck(&self) -> Vec<&str> {
        let waits = |id: NodeId| {
            let reply = |due: &Due| matches!(due, Due::Reply { node, .. } if *node == id);
            self.due.values().any(reply) || self.slot(id).flows.values().any(super::flows::FlowEnd::is_stream)
        };
        let ids = (0..self.nodes.len()).map(NodeId);
        let holds = |id: &NodeId| {
            let slot = self.slot(*id);
            slot.timeout.is_none() && slot.machine.as_ref().is_some_and(|machine| !machine.is_resting())
        };
        ids.filter(holds).filter(|id| !waits(*id)).map(|id| self.slot(id).place.name.as_str()).collect()
    }

    fn next_due(&self) -> Option<Instant> {
        let due = self.due.keys().next().map(|(at, _)| *at);
        let timeout = self.timeouts.first().map(|(at, _)| *at);
        [due, timeout].into_iter().flatten().min()
    }

    /// One thing that is due now: what the network brings first, then a node's timeout.
    fn step(&mut self) {
        let now = self.now.mono;
        if self.due.keys().next().is_some_and(|(at, _)| *at <= now) {
            match self.due.pop_first() {
                Some((_, Due::Datagram { from, to, bytes })) => self.arrive(from, to, bytes),
                Some((_, Due::Segment { connection, to })) => self.deliver(connection, to),
                Some((_, Due::Reply { node, life, answer })) => self.answer(node, life, answer),
                None => {}
            }
        } else if let Some((_, node)) = self.timeouts.first().copied() {
            let now = self.now;
            self.with(node, |machine| machine.handle_timeout(now));
        }
    }

    fn check(&mut self) -> Result<(), Violation> {
        let mut invariants = std::mem::take(&mut self.invariants);
        let mut result = Ok(());
        for (name, check) in &mut invariants {
            if let Err(text) = check(self) {
                result = Err(Violation { at: self.now.mono, invariant: name.clone(), text });
                break;
            }
        }
        self.invariants = invariants;
        result
    }

    /// Gives an input to a node that is up and does what it then wants.
    pub(super) fn with(&mut self, node: NodeId, input: impl FnOnce(&mut dyn SimNode<E>)) {
        if let Some(machine) = self.slot_mut(node).machine.as_mut() {
            input(machine.as_mut());
            self.follow(node);
        }
    }
}
