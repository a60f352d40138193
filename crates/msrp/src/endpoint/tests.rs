#![allow(clippy::arithmetic_side_effects, clippy::string_slice, clippy::cast_possible_truncation)]

mod added;
mod guards;
mod pair;
mod raw;
mod relay;
mod two_connections;

use super::*;
use crate::event::Outgoing;
use crate::event::{Body, ChunkId};
use crate::values::Status;
use alloc::string::ToString;
use alloc::{format, vec};
use bytes::Bytes;
use cpm_base::{DateTime, Instant, Transport, Trust};

fn at(seconds: u64) -> Now {
    Now::new(Instant::from_micros(seconds * 1_000_000), DateTime::UNIX_EPOCH)
}

fn endpoint_with(seed: u8, limits: Limits) -> Endpoint {
    Endpoint::new(Config { limits, seed: Seed::new([seed; 32]) }).unwrap()
}

fn endpoint(seed: u8) -> Endpoint {
    endpoint_with(seed, Limits::default())
}

fn info() -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Msrp,
        transport: Transport::Tcp,
        local: "192.0.2.1:2855".parse().unwrap(),
        peer: "192.0.2.2:2855".parse().unwrap(),
        secure_identity: None,
        trust: Trust::Outside,
    }
}

fn config(local: &MsrpUri, remote: &MsrpUri, role: Role) -> SessionConfig {
    SessionConfig {
        local_path: local.clone(),
        remote_path: vec![remote.clone()],
        role,
        matching: Matching::Rfc4975,
        max_chunk: None,
        max_message: 10 << 20,
    }
}

fn there() -> Role {
    Role::Active("192.0.2.2:2855".parse().unwrap(), Transport::Tcp)
}

fn message(body: impl Into<Bytes>) -> Outgoing {
    Outgoing {
        message_id: None,
        content_type: "application/octet-stream".into(),
        body: Body::Octets(body.into()),
        success_report: false,
        failure_report: FailureReport::Yes,
    }
}

/// Every store of an endpoint that has nothing to do is empty.
fn assert_quiet(endpoint: &Endpoint) {
    assert_eq!(endpoint.next_timeout(), None);
    assert!(endpoint.transfers.is_empty() && endpoint.requests.is_empty() && endpoint.asked.is_empty());
    assert!(endpoint.incoming.is_empty() && endpoint.answers.is_empty() && endpoint.opening.is_empty());
    for connection in endpoint.connections.values() {
        assert!(!connection.has_output() && connection.transactions.is_empty() && connection.answers == 0);
        assert!(
            connection.crowded.is_empty() && connection.control.is_empty() && connection.paused.is_empty()
        );
    }
    for session in endpoint.sessions.values() {
        assert!(session.transfers.is_empty() && session.incoming.is_empty() && session.messages.is_empty());
    }
}

fn assert_empty(endpoint: &Endpoint) {
    assert_quiet(endpoint);
    assert!(endpoint.sessions.is_empty() && endpoint.connections.is_empty());
    assert!(endpoint.lookup.is_empty() && endpoint.routes.is_empty());
}
