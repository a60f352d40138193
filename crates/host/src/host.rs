//! Starting a node on its sockets and talking to it while it runs.

use crate::Machine;
use crate::driver::{Driver, Order};
use crate::{
    Clock, InvalidLimit, Limits, MemoryStore, OpenPolicy, Outside, Sockets, Store, Tap, TrustedPeers,
};
use cpm_base::{Metrics, Now};
use cpm_core::{Function, Node, Ports, Query};
use std::fmt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How a node is hosted.
pub struct HostConfig {
    /// The clocks; nodes that share a tap should share them.
    pub clock: Clock,
    /// What peers may cost.
    pub limits: Limits,
    /// Where the node may connect to.
    pub open_policy: OpenPolicy,
    /// Whose asserted identities are believed.
    pub trusted: TrustedPeers,
    /// Where records go.
    pub store: Box<dyn Store>,
    /// Who answers what else the node asks of the world.
    pub outside: Box<dyn Outside>,
    /// Who sees what crosses the sockets.
    pub tap: Tap,
}

impl HostConfig {
    /// Default limits and policy, nobody trusted, a store in memory, nothing else in the world, no tap.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        HostConfig {
            clock,
            limits: Limits::default(),
            open_policy: OpenPolicy::default(),
            trusted: TrustedPeers::default(),
            store: Box::new(MemoryStore::default()),
            outside: Box::new(|query: Query| query.unanswered()),
            tap: Tap::default(),
        }
    }
}

/// The node runs no more: it was stopped, or its task was ended with the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeGone;

impl fmt::Display for NodeGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node runs no more")
    }
}

impl std::error::Error for NodeGone {}

/// The way to a running machine. Copies reach the same one, which stops when the last of them is dropped.
pub struct Handle<M> {
    orders: mpsc::Sender<Order<M>>,
}

/// The way to a running node.
pub type NodeHandle<F> = Handle<Node<F>>;

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Handle { orders: self.orders.clone() }
    }
}

impl<M> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeHandle")
    }
}

impl<M: 'static> Handle<M> {
    /// Runs `job` in the machine's task, between two inputs, and brings back what it returns. What it made the machine
    /// want is done afterwards.
    ///
    /// # Errors
    /// It runs no more; `job` was not run, or what it returned is lost.
    pub async fn with_node<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut M, Now) -> R + Send + 'static,
    ) -> Result<R, NodeGone> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(move |node: &mut M, now: Now| {
            // Whoever asked may have gone; the job counts all the same.
            let _ = answer.send(job(node, now));
        });
        self.orders.send(Order::Run(job)).await.map_err(|_| NodeGone)?;
        result.await.map_err(|_| NodeGone)
    }

    /// All counters: those of the machine, and of the host (names `host.*`).
    ///
    /// # Errors
    /// It runs no more.
    pub async fn metrics(&self) -> Result<Metrics, NodeGone> {
        let (answer, result) = oneshot::channel();
        self.orders.send(Order::Count(answer)).await.map_err(|_| NodeGone)?;
        result.await.map_err(|_| NodeGone)
    }

    /// Tells the machine to stop; see [`Hosted::stop`].
    ///
    /// # Errors
    /// It runs no more already.
    pub async fn stop(&self) -> Result<(), NodeGone> {
        self.orders.send(Order::Stop).await.map_err(|_| NodeGone)
    }
}

impl<F: Function + 'static> Handle<Node<F>> {
    /// Calls a command of the function: [`Node::command`] from afar.
    ///
    /// # Errors
    /// As [`NodeHandle::with_node`].
    pub async fn command<R: Send + 'static>(
        &self,
        command: impl FnOnce(Now, &mut F, &mut Ports<'_, F::Event>) -> R + Send + 'static,
    ) -> Result<R, NodeGone> {
        self.with_node(move |node, now| node.command(now, |function, ports| command(now, function, ports)))
            .await
    }
}

/// A node that runs.
pub type Running<F> = Hosted<Node<F>>;

/// A machine that runs.
pub struct Hosted<M: Machine> {
    /// The way to it.
    pub handle: Handle<M>,
    /// What it tells its user. While [`Limits::event_backlog`] events wait here nothing more is read from sockets; an
    /// embedding program that is not interested drops the receiver.
    pub events: mpsc::Receiver<M::Event>,
    task: JoinHandle<Metrics>,
}

impl<M: Machine> Hosted<M> {
    /// Stops the node: no new connections, what is due is still sent and streams are ended, for at most
    /// [`Limits::stop_timeout`]. Returns the counters of node and host (names `host.*`).
    ///
    /// # Errors
    /// The node's task was ended before, with the runtime.
    pub async fn stop(self) -> Result<Metrics, NodeGone> {
        // When the node stops already, its counters come all the same.
        let _ = self.handle.stop().await;
        drop(self.events);
        self.task.await.map_err(|_| NodeGone)
    }
}

/// Starts a machine on its sockets, in a task of its own. Must be called inside a tokio runtime.
///
/// # Errors
/// A limit of the configuration is invalid.
pub fn start<M: Machine>(
    machine: M,
    sockets: Sockets,
    config: HostConfig,
) -> Result<Hosted<M>, InvalidLimit> {
    config.limits.validate()?;
    let (orders, order_queue) = mpsc::channel(config.limits.input_queue);
    let (event_sender, events) = mpsc::channel(config.limits.event_backlog);
    let driver = Driver::new(machine, sockets, config);
    let task = tokio::spawn(driver.run(order_queue, event_sender));
    Ok(Hosted { handle: Handle { orders }, events, task })
}
