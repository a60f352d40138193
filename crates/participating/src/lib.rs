//! The CPM Participating Function of OMA CPM Conversation Functions 2.1 (section 8), as logic that a
//! [`cpm_core::Node`] drives.
//!
//! It serves its users in both roles, as the SIP/IP core asks it to (P-Served-User, RFC 5502): their registration (8.1),
//! pager-mode messages and disposition notifications that they send (8.2.1.1) and are sent (8.3.1.1), with the message
//! store, user preferences and the interworking function by queries and requests of its own. Of notifications it passes each
//! thing on once, and makes those itself that no device can make (8.2.4, 8.2.5, 8.3.4). Large messages pass as through
//! a SIP proxy; their MSRP runs end to end. What the service provider decides is in [`Policy`]; what is done with a message,
//! and why, says [`decision::decide`].
//!
//! ```
//! use cpm_base::Seed;
//! use cpm_participating::{ParticipatingConfig, ParticipatingFunction};
//! use cpm_sip::{SipUri, Uri};
//!
//! let Uri::Sip(own) = Uri::parse("sip:pf.example.com")? else { unreachable!() };
//! let node = ParticipatingFunction::node(ParticipatingConfig::new(own), Seed::new([1; 32]))?;
//! assert_eq!(node.function().users(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod checks;
mod config;
mod connectivity;
pub mod decision;
mod dispositions;
mod external;
mod facts;
mod function;
mod identity;
mod interworking;
mod leaves;
mod originating;
mod policy;
mod recording;
mod references;
mod reg_event;
mod registrations;
mod relay;
mod service;
mod terminating;
#[cfg(test)]
mod tests;
mod third_party;
mod users;
mod work;

pub use config::{Limits, ParticipatingConfig};
pub use connectivity::Connectivity;
pub use facts::{AssertedService, Content};
pub use function::{ParticipatingEvent, ParticipatingFunction, ServedRole};
pub use policy::{
    DeviceRule, DevicesOf, ForeignSender, Policy, PolicyError, PrimaryMark, Recording, RegSubscription,
    Remedy, Skipped, UnknownService, WithoutDevices, WithoutPreferences,
};
pub use registrations::Device;
