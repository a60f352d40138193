//! What waits for the host, each with what it belongs to.

use crate::correlation::Correlation;
use crate::event::Action;
use alloc::collections::VecDeque;

/// Actions in order.
#[derive(Debug, Default)]
pub(super) struct Actions {
    queue: VecDeque<(Action, Option<Correlation>)>,
    /// What the endpoint is busy with: everything that is queued meanwhile belongs to it.
    about: Option<Correlation>,
}

impl Actions {
    pub(super) fn about(&mut self, correlation: Option<Correlation>) {
        self.about = correlation;
    }

    pub(super) fn push_back(&mut self, action: Action) {
        self.queue.push_back((action, self.about));
    }

    pub(super) fn pop_front(&mut self) -> Option<(Action, Option<Correlation>)> {
        self.queue.pop_front()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
