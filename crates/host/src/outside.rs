//! Who answers what a node asks of the world beside names and records: preferences of users, their message stores.

use cpm_core::{Query, Reply};
use std::future::Future;
use std::pin::Pin;

/// The answer to a query, when it is there.
pub type Asking = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The embedding program's part of the outside world. Queries come in order; a future that is not ready at once runs side
/// by side with others.
///
/// A closure that knows the answer at once is one as well:
///
/// ```
/// use cpm_core::{Query, Reply};
/// let world = |query: Query| match query {
///     Query::Preferences(_) => Reply::Preferences(Ok(Default::default())),
///     other => other.unanswered(),
/// };
/// let _outside: Box<dyn cpm_host::Outside> = Box::new(world);
/// ```
pub trait Outside: Send + 'static {
    /// Answers a query that is neither [`Query::Resolve`] nor [`Query::Store`]. What is not known is
    /// [`Query::unanswered`].
    fn ask(&mut self, query: Query) -> Asking;
}

impl<F> Outside for F
where
    F: FnMut(Query) -> Reply + Send + 'static,
{
    fn ask(&mut self, query: Query) -> Asking {
        Box::pin(std::future::ready(self(query)))
    }
}
