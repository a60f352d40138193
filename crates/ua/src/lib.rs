//! The SIP endpoint as a sans-IO machine.
#![no_std]
extern crate alloc;

mod config;
mod endpoint;
mod error;
mod event;
mod flows;
mod timers;
mod transaction;

pub use config::{Config, ConfigError, Limits, NextHop, SentBy};
pub use cpm_sip::Role;
pub use endpoint::{Branch, Endpoint, ProxyOptions};
pub use error::{InDialogRefused, ProxyRefused, Refusal, Refused, RespondRefused, SendRefused};
pub use event::{
    Action, Body, Destination, DialogEnd, DialogId, Event, Fault, InviteFailure, InviteId, NameQuery,
    ProxyId, RequestId, ResolveId, TransactionFailure, TransactionId,
};
pub use transaction::TimerValues;
