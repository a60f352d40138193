//! The CPM Client of OMA CPM Conversation Functions 2.1 (section 7), as logic that a [`cpm_core::Node`] drives.
//!
//! So far: registration (7.1), CPM Standalone Messages in pager and large mode, to one recipient, an ad-hoc or a pre-defined
//! group, with stored data by reference, and from others (7.2.1.1 to 7.2.1.4, 7.2.2.1 to 7.2.2.3), delivery notifications
//! and read reports over SIP MESSAGE (5.4.1 to 5.4.4). What is sent is kept first; a client that was restored from its records
//! goes on with it ([`Client::restored`]).
//!
//! ```
//! use cpm_base::{DateTime, Instant, Now, Seed};
//! use cpm_client::{Client, ClientConfig, NewMessage, contact_uri};
//! use cpm_core::{Action, Query, Reply};
//! use cpm_sip::Uri;
//!
//! let (sip, msrp) = ("192.0.2.1:5060".parse()?, "192.0.2.1:2855".parse()?);
//! let alice = Uri::parse("sip:alice@example.com")?;
//! let instance = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
//! let config = ClientConfig::new(alice, contact_uri("alice", sip), msrp, instance);
//! let mut node = Client::node(config, Seed::new([1; 32]))?;
//!
//! let now = Now::new(Instant::ZERO, DateTime::parse("2026-11-21T10:00:00Z")?);
//! let message = NewMessage::text(Uri::parse("sip:bob@192.0.2.2")?, "Hello Bob").with_reports();
//! let sent = node.command(now, |client, ports| client.send_message(now, ports, message))?;
//! assert!(!sent.large);
//!
//! // The host keeps what it is asked to; then the node wants a flow to Bob's address, for the MESSAGE.
//! let mut wanted = Vec::new();
//! while let Some(action) = node.poll_action() {
//!     match action {
//!         Action::Query(id, Query::Store(_)) => node.handle_reply(now, id, Reply::Stored(Ok(()))),
//!         Action::Open(_, target) => wanted.push(target.remote.port()),
//!         _ => {}
//!     }
//! }
//! assert_eq!(wanted, [5060]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod compose;
mod config;
mod duplicates;
mod event;
mod history;
mod inbound;
mod large_receive;
mod large_send;
mod media;
mod message;
mod origin;
mod outcome;
mod outgoing;
mod pager;
mod rate;
mod receipts;
mod received;
mod received_state;
mod registration;
mod reports;
mod restore;
mod rewrite;
mod seen;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use compose::contact_uri;
pub use config::{ClientConfig, ConfigError, Limits, Settings, Strangers};
pub use duplicates::MessageKeys;
pub use event::{ClientEvent, Disposition, Failure, ReceivedId, SentId};
pub use message::{NewMessage, Recipients, SendError, SendRefusal, SentMessage, StoredData};
pub use pager::MAX_PAGER;
pub use received::{HistoryEntry, Presentation, ReceivedMessage};
pub use registration::RegisterError;
