//! The function in its node, driven by octets, judged by octets and events.
#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

pub(crate) mod aggregation;
pub(crate) mod bench;
mod delivery;
mod dialogs;
mod dispositions;
mod faults;
mod originating;
mod recorded;
mod reg_event;
mod registration;
mod sending;
mod terminating;

/// Names of requests, which an endpoint alone gives out.
pub(crate) fn request_ids(count: usize) -> Vec<cpm_ua::RequestId> {
    bench::request_ids(count)
}
