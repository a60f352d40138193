//! Two endpoints, one connection, no delay.

use bytes::Bytes;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_msrp::{
    Action, Body, Config, Endpoint, Event, FailureReport, Limits, Matching, MsrpUri, Outgoing, Role,
    SessionConfig, SessionId, Status,
};

/// How much a read takes.
pub const READ: usize = 64 * 1024;

pub struct Pair {
    pub alice: Endpoint,
    pub bob: Endpoint,
    pub session: SessionId,
    pub flow: FlowId,
}

pub fn now() -> Now {
    Now::new(Instant::ZERO, DateTime::UNIX_EPOCH)
}

pub fn endpoint(seed: u8) -> Endpoint {
    Endpoint::new(Config { limits: Limits::default(), seed: Seed::new([seed; 32]) }).expect("default limits")
}

pub fn session(local: &MsrpUri, remote: &MsrpUri, role: Role) -> SessionConfig {
    SessionConfig {
        local_path: local.clone(),
        remote_path: vec![remote.clone()],
        role,
        matching: Matching::Rfc4975,
        max_chunk: None,
        max_message: 1 << 40,
    }
}

pub fn info() -> FlowInfo {
    FlowInfo {
        protocol: Protocol::Msrp,
        transport: Transport::Tcp,
        local: ([192, 0, 2, 1], 2855).into(),
        peer: ([192, 0, 2, 2], 2855).into(),
        secure_identity: None,
        trust: Trust::Outside,
    }
}

pub fn there() -> Role {
    Role::Active(([192, 0, 2, 2], 2855).into(), Transport::Tcp)
}

impl Pair {
    pub fn bound(max_chunk: Option<u64>) -> Pair {
        let (mut alice, mut bob) = (endpoint(1), endpoint(2));
        let uris =
            [alice.new_local_uri("192.0.2.1", 2855, false), bob.new_local_uri("192.0.2.2", 2855, false)];
        let config = SessionConfig { max_chunk, ..session(&uris[0], &uris[1], there()) };
        let id = alice.open_session(now(), config).expect("a session");
        bob.open_session(now(), session(&uris[1], &uris[0], Role::Passive)).expect("a session");
        let Some(Action::Open(open, _)) = alice.poll_action() else { panic!("no connection is wanted") };
        let flow = FlowId(1);
        alice.handle_opened(now(), open, Ok((flow, info())));
        bob.handle_accepted(now(), flow, info());
        let mut pair = Pair { alice, bob, session: id, flow };
        pair.run(|_| {});
        pair
    }

    pub fn send(&mut self, body: Bytes) {
        let outgoing = Outgoing {
            message_id: None,
            content_type: "message/cpim".into(),
            body: Body::Octets(body),
            success_report: false,
            failure_report: FailureReport::Yes,
        };
        self.alice.send(now(), self.session, outgoing).expect("room for a message");
    }

    /// Until nothing is left to do; what comes in at the second endpoint is shown and answered with 200.
    pub fn run(&mut self, mut on_event: impl FnMut(&Event)) {
        loop {
            let there = carry(&mut self.alice, &mut self.bob, self.flow);
            while let Some(action) = self.bob.poll_action() {
                let Action::Event(event) = action else { continue };
                on_event(&event);
                if let Event::ChunkEnd { chunk, .. } = event {
                    self.bob.respond(now(), chunk, Status::OK);
                }
            }
            let back = carry(&mut self.bob, &mut self.alice, self.flow);
            while let Some(action) = self.alice.poll_action() {
                assert!(!matches!(action, Action::Event(Event::SendFailed { .. })), "{action:?}");
            }
            if there + back == 0 {
                break;
            }
        }
    }
}

/// One write, one read.
fn carry(from: &mut Endpoint, to: &mut Endpoint, flow: FlowId) -> usize {
    let mut wire = Vec::with_capacity(READ);
    let count = from.poll_transmit(now(), flow, READ, &mut wire);
    if count > 0 {
        to.handle_stream(now(), flow, wire.into());
    }
    count
}
