//! A deterministic world of CPM nodes: virtual time, a seeded network that loses, repeats, delays and cuts, readable
//! traces and ladders, and a small SIP/IP core to stand between them.
//!
//! A [`World`] drives any number of [`Node`](cpm_core::Node)s, whatever their functions: it carries their datagrams and
//! streams over [`Link`]s, answers their queries, wakes them when they want to be woken, and writes down what happened.
//! Time is virtual and all chance comes from one seed: the same seed and the same calls give the same [`Trace`], octet
//! for octet.
//!
//! ```
//! use cpm_base::{DateTime, Instant, Now};
//! use cpm_core::{Function, Input, Node, NodeConfig, Ports};
//! use cpm_sim::{Link, Outcome, Place, World};
//! use cpm_sip::{From, Method, Request, Response, StatusCode, To, Uri};
//! use cpm_ua::{Destination, Event};
//! use std::time::Duration;
//!
//! /// Answers every request and tells what it was.
//! struct Phone;
//! impl Function for Phone {
//!     type Event = String;
//!     fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, String>) {
//!         match input {
//!             Input::Sip(Event::Request { id, request, .. }) => {
//!                 let _ = ports.sip.respond(now, id, Response::for_request(&request, StatusCode::OK));
//!                 ports.host.event(format!("got {}", request.method()));
//!             }
//!             Input::Sip(Event::Response { response, .. }) => ports.host.event(response.status().to_string()),
//!             _ => {}
//!         }
//!     }
//!     fn handle_timeout(&mut self, _: Now, _: &mut Ports<'_, String>) {}
//!     fn next_timeout(&self) -> Option<Instant> {
//!         None
//!     }
//! }
//!
//! let mut world = World::<String>::new(7);
//! world.set_default_link(Link::rough(0.1));
//! let [alice, bob] = [("alice", 1), ("bob", 2)].map(|(name, last)| {
//!     let config = NodeConfig::user_agent(world.fork_seed(), "example");
//!     let node = Node::new(Phone, config).expect("a configuration of defaults");
//!     world.add(Place::new(name, [10, 0, 0, last].into()), node)
//! });
//! world.command(alice, |_, ports, now| {
//!     let uri = |text| Uri::parse(text).expect("a URI");
//!     let request = Request::new(Method::Message, uri("sip:bob@10.0.0.2"))
//!         .with_typed(&From::new(uri("sip:alice@10.0.0.1")))
//!         .with_typed(&To::new(uri("sip:bob@10.0.0.2")));
//!     ports.sip.send_request(now, request, Destination::Routed).expect("it can be sent");
//! });
//! assert_eq!(world.run_to_quiescence(Duration::from_secs(100)), Ok(Outcome::Quiet));
//! assert_eq!(world.events_of(bob).collect::<Vec<_>>(), ["got MESSAGE"]);
//! assert_eq!(world.events_of(alice).collect::<Vec<_>>(), ["200"]);
//! println!("{}", world.trace().ladder(&["alice", "bob"], &Default::default()));
//! ```

mod core;
pub mod ladder;
mod network;
mod node;
pub mod summary;
mod trace;
mod world;

pub use crate::core::{Authentication, CoreConfig, CoreEvent, SipIpCore, User};
pub use ladder::Kind;
pub use network::{Cuts, Link};
pub use node::SimNode;
pub use trace::{Trace, TraceEntry, What};
pub use world::{
    Handle, Happened, KeptObject, NodeId, Outcome, Place, QueryFault, QueryKind, QueryTrouble, Stored,
    Violation, World,
};
