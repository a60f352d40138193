//! The vocabulary of OMA CPM, and [`Node`]: the one place where a SIP endpoint, an MSRP endpoint and a CPM function
//! meet.
//!
//! A function (Client, Participating Function, Controlling Function, or one of your own) is plain logic that
//! implements [`Function`]; a [`Node`] owns it together with its two endpoints and is what a host drives: bytes and
//! events in, [`Action`]s out.
//!
//! ```
//! use cpm_base::{DateTime, Instant, Now, Seed};
//! use cpm_core::{Function, HostQueue, Input, Node, NodeConfig, Ports};
//!
//! /// A function that turns every endpoint event into a count.
//! struct Counter(u32);
//! impl Function for Counter {
//!     type Event = u32;
//!     fn handle(&mut self, _now: Now, _input: Input, ports: &mut Ports<'_, u32>) {
//!         self.0 += 1;
//!         ports.host.event(self.0);
//!     }
//!     fn handle_timeout(&mut self, _now: Now, _ports: &mut Ports<'_, u32>) {}
//!     fn next_timeout(&self) -> Option<Instant> {
//!         None
//!     }
//! }
//!
//! let mut node = Node::new(Counter(0), NodeConfig::user_agent(Seed::new([1; 32]), "example")).unwrap();
//! assert!(node.poll_action().is_none());
//! assert_eq!(node.next_timeout(), None);
//! ```

pub mod composing;
pub mod disposition;
pub mod emoticons;
pub mod feature;
mod ids;
mod kept;
mod node;
pub mod outside;
mod queries;
pub mod release;
pub mod sms;
mod state_writer;
pub mod warning;

pub use ids::{ContributionId, ConversationId, IdError};
pub use node::{
    Action, Driven, Function, HostQueue, Input, Machine, Node, NodeConfig, NodeConfigError, Ports,
};
pub use queries::{Query, QueryId, ReceivedRecord, Record, Reply, StateRecord, StoreError, standing};
pub use state_writer::{StateWriter, Written};
