//! Usages: what lives longer than a transaction at the wish of a function, as pure machines. A machine knows its state
//! alone and says what is to be done ([`soft_state::Effect`] and its kin); messages, timers and the records they belong to
//! are with the endpoint.

pub(crate) mod pace;
pub(crate) mod soft_state;
#[cfg(test)]
mod tests;

use crate::event::{PublicationId, RegistrationId};

/// Whom a transaction or a timer works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UsageKey {
    Registration(RegistrationId),
    Publication(PublicationId),
}
