//! Digest authentication for SIP and MSRP (RFC 7616, RFC 8760, RFC 2617, RFC 2069, RFC 3310) as pure functions.
//!
//! [`Challenge`], [`Credentials`] and [`AuthenticationInfo`] are the values of the header fields, read and written. A client
//! picks the challenge that it answers with [`choose`] and answers with [`answer`], or with a [`Session`] for many requests;
//! [`Attempts`] ends the loop with a server that is never content. A server holds credentials against its challenge with a
//! [`Verifier`] and asks [`Nonces`] whether they are a replay. Random values (nonces, cnonces) and time are handed in.
//!
//! An [`Account`] is bound to its realm: a challenge for another realm is refused, not answered. `Debug` shows neither
//! passwords nor digests. What is read is bounded by [`Limits`]; reading takes one pass.
//!
//! ```
//! use cpm_auth::*;
//! use cpm_base::Instant;
//!
//! // The server challenges.
//! let mut nonces = Nonces::new(NonceLimits::default())?;
//! nonces.issue(Instant::ZERO, "fe53ad83f20c98b1");
//! let mut challenge = Challenge::new("example.com", "fe53ad83f20c98b1", Algorithm::Sha256);
//! let wire = challenge.to_text()?;
//! assert_eq!(wire, r#"Digest realm="example.com", nonce="fe53ad83f20c98b1", algorithm=SHA-256, qop="auth""#);
//!
//! // The client answers.
//! let alice = Account::new("alice", "example.com", Secret::password("wonderland"))?;
//! let policy = AnswerPolicy::default();
//! let offered = [Challenge::parse(&wire)?];
//! let chosen = choose(&offered, &alice, &policy)?;
//! let request = RequestParts { method: "REGISTER", uri: "sip:example.com", body: b"" };
//! let wire = answer(chosen, &alice, &policy, request, "0a4f113b")?.to_text()?;
//! assert!(wire.starts_with(r#"Digest username="alice", realm="example.com", nonce="fe53ad83f20c98b1""#));
//!
//! // The server, which stores a hash in place of the password, looks at the answer.
//! let stored = Secret::hashed(HashFunction::Sha256, "alice", "example.com", "wonderland");
//! let account = Account::new("alice", "example.com", stored)?;
//! let credentials = Credentials::parse(&wire)?;
//! let verifier =
//!     Verifier { challenge: &challenge, account: &account, start: None, leniency: Leniency::default() };
//! assert_eq!(verifier.verify(&credentials, request), Ok(()));
//! assert_eq!(nonces.accept(Instant::ZERO, &credentials), Ok(()));
//! assert_eq!(nonces.accept(Instant::ZERO, &credentials), Err(NonceFault::Replayed));
//!
//! // A challenge of somebody else gets no digest.
//! let foreign = Challenge::new("evil.example", "1", Algorithm::Md5);
//! assert_eq!(choose([&foreign], &alice, &policy), Err(AnswerError::ForeignRealm("evil.example".into())));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
extern crate alloc;

mod account;
mod aka;
mod algorithm;
mod challenge;
mod client;
mod compute;
mod credentials;
mod error;
mod extended;
mod info;
mod limits;
mod nonces;
mod params;
mod protection;
mod server;
#[cfg(test)]
mod tests;

pub use account::{Account, Secret};
pub use aka::{AUTN_LEN, AUTS_LEN, AkaNonce, RAND_LEN};
pub use algorithm::{Algorithm, HashFunction, Qop};
pub use challenge::Challenge;
pub use client::{AnswerError, AnswerPolicy, Attempts, Order, RequestParts, Session, answer, choose};
pub use compute::SessionStart;
pub use credentials::{Credentials, Username};
pub use error::AuthError;
pub use info::AuthenticationInfo;
pub use limits::{Limits, LimitsError};
pub use nonces::{CountPolicy, NonceCounter, NonceFault, NonceLimits, Nonces};
pub use params::Extension;
pub use protection::Protection;
pub use server::{Leniency, Refusal, Verifier, find_credentials};
