//! Usages: what lives longer than a transaction at the wish of a function, as pure machines. A machine knows its state
//! alone and says what is to be done ([`soft_state::Effect`] and its kin); messages, timers and the records they belong to
//! are with the endpoint.

pub(crate) mod notifier;
pub(crate) mod pace;
pub(crate) mod soft_state;
pub(crate) mod subscriber;
#[cfg(test)]
mod tests;
pub(crate) mod version;

use crate::event::{NotifierId, PublicationId, RegistrationId, SubscribeId, SubscriptionId};

/// Whom a transaction or a timer works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum UsageKey {
    Registration(RegistrationId),
    Publication(PublicationId),
    /// A SUBSCRIBE or REFER that may make subscriptions.
    Subscribe(SubscribeId),
    Subscription(SubscriptionId),
    Notifier(NotifierId),
}
