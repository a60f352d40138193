//! A deterministic world of CPM nodes: virtual time, a seeded network that loses, repeats, delays and cuts, readable
//! traces and ladders, and a small SIP/IP core to stand between them.

mod core;
pub mod ladder;
mod network;
mod node;
pub mod summary;
mod trace;
mod world;

pub use crate::core::{CoreConfig, CoreEvent, SipIpCore, User};
pub use ladder::Kind;
pub use network::{Cuts, Link};
pub use node::SimNode;
pub use trace::{Trace, TraceEntry, What};
pub use world::{Handle, Happened, NodeId, Outcome, Place, Stored, Violation, World};
