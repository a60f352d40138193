//! What a host drives: a node, or several that are linked inside of the process.

/// A [`cpm_core::Machine`] that can go to a task.
pub trait Machine: cpm_core::Machine<Event: Send + 'static> + Send + 'static {}

impl<M: cpm_core::Machine<Event: Send + 'static> + Send + 'static> Machine for M {}
