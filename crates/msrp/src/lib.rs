//! MSRP (RFC 4975): the codec, and an endpoint without sockets and clocks that carries messages of any length over
//! sessions, with the roles of RFC 6135 and the anchoring of RFC 6714.
//!
//! An [`Endpoint`] is told what happens (`handle_*`) and what to do (`open_session`, `send`, `respond`…), and says what
//! it wants ([`Endpoint::poll_action`]): a connection opened or closed, octets written, an event noticed. Octets to write are
//! asked of it ([`Endpoint::poll_transmit`]) when a connection can take them; it cuts chunks at that moment.
//!
//! ```
//! use cpm_base::*;
//! use cpm_msrp::*;
//!
//! let now = Now::new(Instant::ZERO, DateTime::UNIX_EPOCH);
//! let endpoint = |seed| Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([seed; 32]) });
//! let (mut alice, mut bob) = (endpoint(1)?, endpoint(2)?);
//! let uri_a = alice.new_local_uri("192.0.2.1", 2855, false); // travel as a=path
//! let uri_b = bob.new_local_uri("192.0.2.2", 2855, false);
//! let session = |local: &MsrpUri, remote: &MsrpUri, role| SessionConfig {
//!     local_path: local.clone(),
//!     remote_path: vec![remote.clone()],
//!     role,
//!     matching: Matching::Rfc4975,
//!     max_chunk: None,
//!     max_message: 1 << 20,
//! };
//! let there = "192.0.2.2:2855".parse()?;
//! let a = alice.open_session(now, session(&uri_a, &uri_b, Role::Active(there, Transport::Tcp)))?;
//! bob.open_session(now, session(&uri_b, &uri_a, Role::Passive))?;
//! alice.send(now, a, Outgoing {
//!     message_id: None,
//!     content_type: "text/plain".into(),
//!     body: Body::Octets("Hey Bob, are you there?".into()),
//!     success_report: false,
//!     failure_report: FailureReport::Yes,
//! })?;
//!
//! // A host: here one flow between both, without delay.
//! let Some(Action::Open(open, target)) = alice.poll_action() else { panic!() };
//! let info = FlowInfo {
//!     protocol: Protocol::Msrp,
//!     transport: target.transport,
//!     local: "192.0.2.1:40000".parse()?,
//!     peer: target.remote,
//!     secure_identity: None,
//!     trust: Trust::Outside,
//! };
//! alice.handle_opened(now, open, Ok((FlowId(1), info.clone())));
//! bob.handle_accepted(now, FlowId(1), info);
//! let (mut events_a, mut got) = (Vec::new(), Vec::new());
//! loop {
//!     let (mut to_bob, mut to_alice) = (Vec::new(), Vec::new());
//!     alice.poll_transmit(now, FlowId(1), 1500, &mut to_bob);
//!     bob.handle_stream(now, FlowId(1), to_bob.into());
//!     while let Some(action) = bob.poll_action() {
//!         match action {
//!             Action::Event(Event::Data { bytes, .. }) => got.extend_from_slice(&bytes),
//!             Action::Event(Event::ChunkEnd { chunk, .. }) => bob.respond(now, chunk, Status::OK),
//!             _ => {}
//!         }
//!     }
//!     if bob.poll_transmit(now, FlowId(1), 1500, &mut to_alice) == 0 { break }
//!     alice.handle_stream(now, FlowId(1), to_alice.into());
//! }
//! while let Some(action) = alice.poll_action() {
//!     if let Action::Event(event) = action { events_a.push(event) }
//! }
//! assert_eq!(got, b"Hey Bob, are you there?");
//! assert!(matches!(events_a.last(), Some(Event::Sent { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What does not fit memory comes from elsewhere ([`Body::Source`], [`FileSource`]) and goes elsewhere ([`FileSink`]); a
//! [`Splice`] passes a message on to many sessions as it comes. Relays are asked by [`Endpoint::use_relays`].
//!
//! Nothing is answered on the user's behalf: [`Event::ChunkEnd`] says that a chunk is in, [`Endpoint::respond`] releases
//! its response (and, behind the last, the success report). Malformed requests, unknown sessions and methods, and what is
//! over a [limit](Limits) are answered by the endpoint; a REPORT is never answered. Where framing is lost, nothing more
//! is read and the connection is closed.
#![no_std]
extern crate alloc;

mod by_age;
mod endpoint;
mod event;
mod file;
mod head;
mod hyphens;
mod limits;
mod parser;
mod piece;
mod ranges;
mod reassembly;
mod source;
mod splice;
mod timers;
mod uri;
mod values;
mod write;

pub use endpoint::{Config, Endpoint, RelayConfig};
pub use event::{
    AbortReason, Action, Answering, AskedId, Body, ChunkId, Event, Fault, FaultKind, IncomingId, LostReason,
    Matching, Outgoing, Overlap, RelayId, RelayLoss, RequestError, RequestId, Role, SendError, SendFailure,
    SendRefusal, SessionConfig, SessionError, SessionId, SessionOptions, SupplyError, SupplyRefusal,
    TransferId,
};
pub use file::{
    FileEvent, FileIdentity, FileQuery, FileSink, FileSinkOptions, FileSource, HashKind, resume_at,
};
pub use head::{BadHead, Head, HeadError, Method, StartLine};
pub use limits::Limits;
pub use parser::{Frame, FramingError, StreamParser};
pub use reassembly::{Reassembly, ReassemblyError};
pub use splice::{Leg, LegError, LegId, Mapping, Splice, SpliceEvent, SpliceOptions};
pub use uri::{Host, MsrpUri, UriError};
pub use values::{ByteRange, ContinuationFlag, FailureReport, Status};
