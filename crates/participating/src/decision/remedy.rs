//! What becomes of a message that could not be delivered (TS 8.3.1.3, 8.3.6).

use super::DeliveryRequest;
use crate::{Content, Policy, Remedy};

/// What was tried for a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tried {
    /// How many remedies of [`Policy::undelivered`] had their turn.
    pub remedies: usize,
    /// It went to the interworking function.
    pub interworking: bool,
}

/// The next remedy of the policy that can be had: after the last one, the error goes back.
// req: 8.3.6-p1, 8.3.6-2.a, 8.3.6-3
#[must_use]
pub fn remedy(request: &DeliveryRequest, policy: &Policy, tried: Tried) -> (Remedy, Tried) {
    let skips = |skipped: bool| request.extra_strings && skipped;
    let mut tried = tried;
    for remedy in policy.undelivered.iter().skip(tried.remedies) {
        tried.remedies = tried.remedies.saturating_add(1);
        let can = match remedy {
            Remedy::Defer => !skips(policy.skipped.deferral),
            // Notifications are no messages; what was interworked is not interworked again.
            Remedy::Interwork => {
                policy.isf.is_some()
                    && !tried.interworking
                    && !skips(policy.skipped.interworking)
                    && request.content == Content::Message
            }
            Remedy::Error => true,
        };
        if can {
            return (*remedy, tried);
        }
    }
    (Remedy::Error, tried)
}
