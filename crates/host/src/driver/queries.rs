//! What a driver answers its machine, itself or by those who know.

use super::{Driver, Wire};
use crate::lookup::look_up;
use crate::{Asking, Limits, Machine};
use cpm_core::{Query, QueryId, Reply};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

impl<M: Machine> Driver<M> {
    pub(super) fn query(&mut self, query: QueryId, question: Query) {
        let wire = self.wire.clone();
        match question {
            Query::Resolve(name) => {
                let permit = Arc::clone(&self.lookup_permits).try_acquire_owned();
                let limits: Limits = self.config.limits.clone();
                self.errands.spawn(async move {
                    let found = match permit {
                        Ok(_permit) => look_up(name, &limits).await,
                        Err(_) => Vec::new(),
                    };
                    let _ = wire.send(Wire::Replied { query, reply: Reply::Resolved(found) }).await;
                });
            }
            Query::Store(record) => {
                let mut storing = self.config.store.store(record);
                self.answer(query, Box::pin(async move { Reply::Stored(storing.as_mut().await) }));
            }
            other => {
                let asking = self.config.outside.ask(other);
                self.answer(query, asking);
            }
        }
    }

    /// Hands the node the answer when it is there. What is decided at once is answered at once, so that records keep their
    /// order.
    fn answer(&mut self, query: QueryId, mut asking: Asking) {
        match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => self.node.handle_reply(self.config.clock.now(), query, reply),
            Poll::Pending => {
                let wire = self.wire.clone();
                self.errands.spawn(async move {
                    let reply = asking.await;
                    let _ = wire.send(Wire::Replied { query, reply }).await;
                });
            }
        }
    }
}
