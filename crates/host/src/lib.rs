//! The reference host: drives any [`cpm_core::Node`] on real sockets, with tokio.
//!
//! Nothing here knows SIP, MSRP or CPM. The host binds sockets ([`Sockets`]), names flows, carries octets in and out with
//! backpressure, reads the clocks ([`Clock`]), looks names up, keeps records ([`Store`]), says where a node may connect
//! to ([`OpenPolicy`]) and whom it believes ([`TrustedPeers`]). One task runs the node; small tasks beside it wait on
//! sockets. A [`Tap`] sees every octet that crosses them, for a readable trace ([`TraceWriter`]) or a capture that
//! Wireshark opens ([`PcapWriter`]).
//!
//! ```
//! use cpm_base::{Instant, Now};
//! use cpm_core::{Function, Input, Node, NodeConfig, Ports};
//! use cpm_host::{Clock, HostConfig, Listen, Sockets, seed_from_os, start};
//!
//! /// Counts what its endpoints tell it.
//! struct Counter(u32);
//! impl Function for Counter {
//!     type Event = ();
//!     fn handle(&mut self, _: Now, _: Input, _: &mut Ports<'_, ()>) {
//!         self.0 += 1;
//!     }
//!     fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, ()>) {}
//!     fn next_timeout(&self) -> Option<Instant> {
//!         None
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! // Sockets come first, so that the node's configuration can name their addresses.
//! let sockets = Sockets::bind(&[Listen::Sip("127.0.0.1:0".parse()?), Listen::Msrp("127.0.0.1:0".parse()?)])?;
//! println!("SIP at {:?}", sockets.sip_udp().next());
//! let node = Node::new(Counter(0), NodeConfig::user_agent(seed_from_os()?, "example"))?;
//! let running = start(node, sockets, HostConfig::new(Clock::start()))?;
//! let count = running.handle.command(|_now, counter, _ports| counter.0).await?;
//! assert_eq!(count, 0);
//! running.stop().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # }
//! ```
//!
//! Name look-ups find A and AAAA records of a host name, with the port and transport that the query names; SRV and
//! NAPTR (RFC 3263 §4.1, §4.2) are not looked up. There is no TLS: opening such a flow fails with `Unavailable`.

mod clock;
mod disk;
mod driver;
mod host;
mod limits;
mod linked;
mod lookup;
mod machine;
mod outside;
mod pcap;
mod policy;
pub mod serve;
mod sockets;
mod store;
mod stream;
mod tap;
mod tasks;
mod trace;
mod udp;
mod udp_socket;

pub use clock::{Clock, EntropyError, seed_from_os};
pub use disk::{DiskError, DiskLimits, DiskStore};
pub use host::{Handle, HostConfig, Hosted, NodeGone, NodeHandle, Running, start};
pub use limits::{InvalidLimit, Limits};
pub use linked::{Linked, LinkedEvent};
pub use machine::Machine;
pub use outside::{Asking, Outside};
pub use pcap::PcapWriter;
pub use policy::{Denied, OpenPolicy, TrustedPeers};
pub use sockets::{BindError, Listen, Sockets};
pub use store::{MemoryStore, Store, Storing};
pub use tap::{Crossing, Once, Path, Tap, TapSink, What};
pub use trace::TraceWriter;
