//! The CPM Participating Function of OMA CPM Conversation Functions 2.1 (section 8), as logic that a
//! [`cpm_core::Node`] drives.
//!
//! It serves its users in both roles, as the SIP/IP core asks it to (P-Served-User, RFC 5502). So far: registration (8.1),
//! and pager-mode messages with their notifications. Originating (8.2.1.1) it puts in what the sender left in its message
//! store, lets nobody write in the name of another, says when a message came, asserts the service, sends what the core
//! cannot deliver to the interworking function, and records with a Message-UID. Terminating (8.3.1.1) it forks to the
//! devices of its user that registered the feature and says 480 when there is none. The sessions of large messages it
//! passes on as a SIP proxy; MSRP runs end to end.
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
