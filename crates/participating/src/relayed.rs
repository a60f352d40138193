//! Requests that were passed on and have no final response yet.
//!
//! The endpoint says when one has its final response. It says nothing when there will be none: the sender has given up, or
//! was answered by the endpoint itself. So each is looked at again at its deadline.

use crate::ServedRole;
use cpm_base::Instant;
use cpm_sip::Method;
use cpm_ua::{ProxyId, RequestId};
use std::collections::{BTreeMap, BTreeSet};

/// One of them.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) request: RequestId,
    pub(crate) role: ServedRole,
    pub(crate) method: Method,
    /// When it is looked at again.
    pub(crate) until: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Relayed {
    pending: BTreeMap<ProxyId, Pending>,
    by_time: BTreeSet<(Instant, ProxyId)>,
}

impl Relayed {
    pub(crate) fn insert(&mut self, id: ProxyId, pending: Pending) {
        self.by_time.insert((pending.until, id));
        self.pending.insert(id, pending);
    }

    pub(crate) fn take(&mut self, id: ProxyId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        self.by_time.remove(&(pending.until, id));
        Some(pending)
    }

    /// Takes one whose deadline has passed.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(ProxyId, Pending)> {
        let (at, id) = self.by_time.first().copied()?;
        if at > now {
            return None;
        }
        self.take(id).map(|pending| (id, pending))
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }
}
