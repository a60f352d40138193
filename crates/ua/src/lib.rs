//! The SIP endpoint as a machine without I/O: transactions, dialogs and proxying between octets on a flow and "a request
//! came".
//!
//! * Inputs: [`Endpoint::handle_datagram`], [`handle_stream`](Endpoint::handle_stream),
//!   [`handle_accepted`](Endpoint::handle_accepted), [`handle_opened`](Endpoint::handle_opened),
//!   [`handle_closed`](Endpoint::handle_closed), [`handle_resolved`](Endpoint::handle_resolved),
//!   [`handle_timeout`](Endpoint::handle_timeout).
//! * Outputs: [`Endpoint::poll_action`] (datagrams, wishes to the host, [`Event`]s for the function on top), and
//!   [`Endpoint::poll_transmit`] for the octets of streams; [`Endpoint::next_timeout`] says when it wants to be woken.
//! * Commands, client side: [`send_request`](Endpoint::send_request), [`invite`](Endpoint::invite),
//!   [`cancel`](Endpoint::cancel), [`confirm`](Endpoint::confirm), [`send_in_dialog`](Endpoint::send_in_dialog),
//!   [`bye`](Endpoint::bye). Server side: [`respond`](Endpoint::respond), [`accept`](Endpoint::accept),
//!   [`respond_reliably`](Endpoint::respond_reliably), [`deadline`](Endpoint::deadline). Calls on either side:
//!   [`reinvite`](Endpoint::reinvite), [`update`](Endpoint::update), [`answer_offer`](Endpoint::answer_offer). Proxy:
//!   [`proxy`](Endpoint::proxy),
//!   [`proxy_in_turn`](Endpoint::proxy_in_turn), [`route_onward`](Endpoint::route_onward),
//!   [`release`](Endpoint::release); [`targets`] orders contacts by what caller and called side prefer. Back-to-back:
//!   [`bridge`](Endpoint::bridge), [`add_leg`](Endpoint::add_leg), [`answer_upstream`](Endpoint::answer_upstream),
//!   [`accept_leg`](Endpoint::accept_leg), [`drop_leg`](Endpoint::drop_leg), [`end_bridge`](Endpoint::end_bridge).
//! * The border of the trust domain: [`believe`], [`assert_identity`], [`reveal`], [`anonymize`]; an endpoint does the
//!   first and the third by itself when [`IdentityPolicy::enforce`] says so.
//! * What outlives a node: [`export_dialog`](Endpoint::export_dialog), [`restore_dialog`](Endpoint::restore_dialog),
//!   [`export_registration`](Endpoint::export_registration), [`restore_registration`](Endpoint::restore_registration).
//! * Usages that the endpoint keeps alive by itself: [`register`](Endpoint::register), [`publish`](Endpoint::publish),
//!   [`subscribe`](Endpoint::subscribe), [`refer`](Endpoint::refer); for others it holds what the function accepts with
//!   [`accept_subscription`](Endpoint::accept_subscription) and [`accept_refer`](Endpoint::accept_refer), and notifies
//!   them. Challenges to its own requests are answered with [`add_login`](Endpoint::add_login), for the account's own realm
//!   and hosts alone.
//!
//! Final responses are the function's: the endpoint answers by itself only what never reaches one (what cannot be read,
//! 405, 415, 416, 420, 481, 482, 483, 501, 503, 505), 100 to an INVITE after 200 ms of silence, 200 to CANCEL, 200 to a BYE
//! that crosses our own, and 500 to an INVITE that the function left unanswered beyond its deadline. In calls also 491 or
//! 500 to a change that meets another one, 200 to a PRACK without an offer, and, where session timers are configured, 422
//! and the answer to an UPDATE that only refreshes. Copies of requests and responses never come up.
//!
//! ```
//! use cpm_base::*;
//! use cpm_sip::{From, Method, Request, Response, StatusCode, Uri};
//! use cpm_ua::{Action, Config, Destination, Endpoint, Event};
//!
//! let now = Now::new(Instant::ZERO, DateTime::UNIX_EPOCH);
//! let info = |local: &str, peer: &str| FlowInfo {
//!     protocol: Protocol::Sip,
//!     transport: Transport::Udp,
//!     local: local.parse().unwrap(),
//!     peer: peer.parse().unwrap(),
//!     secure_identity: None,
//!     trust: Trust::Outside,
//! };
//! let mut alice = Endpoint::new(Config::user_agent(Seed::new([1; 32]), "example")).unwrap();
//! let mut bob = Endpoint::new(Config::user_agent(Seed::new([2; 32]), "example")).unwrap();
//!
//! // Alice sends a MESSAGE; her host opens the flow that it needs.
//! let request = Request::new(Method::Message, Uri::parse("sip:bob@192.0.2.2").unwrap())
//!     .with_typed(&From::new(Uri::parse("sip:alice@example.com").unwrap()));
//! let sent = alice.send_request(now, request, Destination::Routed).unwrap();
//! let Some(Action::Open(open, target)) = alice.poll_action() else { panic!() };
//! assert_eq!(target.remote.to_string(), "192.0.2.2:5060");
//! alice.handle_opened(now, open, Ok((FlowId(1), info("192.0.2.1:5060", "192.0.2.2:5060"))));
//!
//! // What she puts out, Bob's host puts in.
//! bob.handle_accepted(now, FlowId(1), info("192.0.2.2:5060", "192.0.2.1:5060"));
//! while let Some(action) = alice.poll_action() {
//!     if let Action::Datagram(_, bytes) = action {
//!         bob.handle_datagram(now, FlowId(1), bytes);
//!     }
//! }
//! // Bob's function is told, and answers.
//! while let Some(action) = bob.poll_action() {
//!     match action {
//!         Action::Event(Event::Request { id, request, .. }) => {
//!             bob.respond(now, id, Response::for_request(&request, StatusCode::OK)).unwrap();
//!         }
//!         Action::Datagram(_, bytes) => alice.handle_datagram(now, FlowId(1), bytes),
//!         _ => {}
//!     }
//! }
//! let Some(Action::Event(Event::Response { transaction, response })) = alice.poll_action() else { panic!() };
//! assert_eq!((transaction, response.status()), (sent, StatusCode::OK));
//! ```
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod config;
mod correlation;
mod endpoint;
mod error;
mod event;
mod flows;
mod identity;
mod preferences;
mod raw;
mod session;
mod table;
mod timers;
mod transaction;
mod usages;

pub use config::{Config, ConfigError, Limits, NextHop, SentBy};
pub use correlation::Correlation;
pub use cpm_sip::Role;
pub use endpoint::{
    Acceptance, Binding, Bindings, Branch, Endpoint, Holdings, Login, NewPublication, NewRefer,
    NewRegistration, NewSubscription, NotifierEnd, NotifierEvent, ProxyOptions, PublicationEvent,
    ReferAcceptance, Reference, RegistrationEvent, RestoreError, Restored, Resubscribe, SubscriberEvent,
    SubscriptionEnd, Termination, UsageFailure,
};
pub use error::{
    AnswerRefused, InDialogRefused, ProxyRefused, Refusal, Refused, RespondRefused, SendRefused,
};
pub use event::{
    Action, Body, BridgeEvent, BridgeId, Destination, DialogEnd, DialogId, Event, Fault, InviteFailure,
    InviteId, LegId, LoginId, NameQuery, NotifierId, OfferOf, PendingOffer, ProxyId, PublicationId,
    RegistrationId, RequestId, ResolveId, Side, SubscribeId, SubscriptionId, TransactionFailure,
    TransactionId,
};
pub use identity::{
    Asserted, Crossing, IdentityPolicy, anonymize, assert_identity, believe, believe_core, is_anonymous,
    is_anonymous_host, passes, reveal,
};
pub use preferences::{Disposition, Targets, targets};
pub use raw::{RawAction, RawEndpoint};
pub use session::{Misplaced, SessionTimer, session_description};
pub use transaction::TimerValues;
pub use usages::pace::RefreshPolicy;
pub use usages::version::{VersionGate, Versioned};
