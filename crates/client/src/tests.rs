//! The client against the statements of the specification, by bytes on the wire and events.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod anonymity;
mod bad_input;
mod crash;
mod durable_send;
mod groups;
mod harness;
mod large_receive;
mod large_send;
mod pager_receive;
mod pager_send;
mod receipts;
mod received;
mod registration;
mod reports;
mod stored_data;
