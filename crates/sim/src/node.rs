//! What the world drives: any [`cpm_core::Node`], or a machine of a test's own, as one object-safe trait.

use cpm_core::{Action, Driven, Machine};
use std::any::Any;

/// A [`Machine`] whose events become `E`, and that can be had back as what it is.
pub trait SimNode<E>: Driven + Any {
    /// See [`cpm_core::Node::poll_action`].
    fn poll(&mut self) -> Option<Action<E>>;
}

impl<E, M> SimNode<E> for M
where
    M: Machine + Any,
    M::Event: Into<E>,
{
    fn poll(&mut self) -> Option<Action<E>> {
        Some(self.poll_action()?.map(Into::into))
    }
}
