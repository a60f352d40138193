//! Whatever the host and the peers do, in whatever order.

use super::*;
use proptest::prelude::*;

/// One of the flows so far, closed ones among them, or one that never was.
type At = prop::sample::Index;

/// One thing that happens to a node.
#[derive(Debug, Clone)]
enum Op {
    Accept(bool, bool),
    Octets(At, bool, Vec<u8>),
    Message(At, bool, u32),
    Closed(At),
    /// The answer to one of the openings so far, maybe the second: a new flow, or none.
    Opened(prop::sample::Index, bool),
    Reply(prop::sample::Index, bool),
    Send(u8),
    Connect(u8),
    Write(At, usize),
    Wait(u64),
    /// To the deadline and no further.
    Deadline,
    Early,
    Alarm(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let flow = any::<At>;
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        prop::sample::select(vec![
            "MSRP abcd SEND\r\nTo-Path: ",
            "-------abcd$\r\n",
            "MESSAGE sip:b@b.test SIP/2.0\r\n",
            "SIP/2.0 200 OK\r\nVia: ",
            "Content-Length: 5\r\n\r\n",
            "\r\n\r\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(sip, stream)| Op::Accept(sip, stream)),
        (flow(), any::<bool>(), piece).prop_map(|(flow, stream, octets)| Op::Octets(flow, stream, octets)),
        (flow(), any::<bool>(), 0..5_u32).prop_map(|(flow, stream, n)| Op::Message(flow, stream, n)),
        flow().prop_map(Op::Closed),
        (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(at, opened)| Op::Opened(at, opened)),
        (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(at, right)| Op::Reply(at, right)),
        (0..4_u8).prop_map(Op::Send),
        (6..9_u8).prop_map(Op::Connect),
        (flow(), 0..50_usize).prop_map(|(flow, max)| Op::Write(flow, max)),
        (0..40_000_u64).prop_map(Op::Wait),
        Just(Op::Deadline),
        Just(Op::Early),
        (0..40_000_u64).prop_map(Op::Alarm),
    ]
}

struct Run {
    node: Node<Probe>,
    now: Now,
    /// The first is of nobody.
    flows: Vec<FlowId>,
    opens: Vec<(OpenId, Target)>,
    queries: Vec<QueryId>,
    log: Vec<String>,
}

impl Run {
    fn new(max_turns: usize) -> Run {
        let node = node_of(NodeConfig { max_turns, ..config() });
        Run {
            node,
            now: start(),
            flows: vec![FlowId(0)],
            opens: Vec::new(),
            queries: Vec::new(),
            log: Vec::new(),
        }
    }

    fn new_flow(&mut self) -> FlowId {
        let flow = FlowId(u64::try_from(self.flows.len()).unwrap());
        self.flows.push(flow);
        flow
    }

    fn drain(&mut self) {
        while let Some(action) = self.node.poll_action() {
            self.log.push(format!("{action:?}"));
            match action {
                Action::Open(id, target) => self.opens.push((id, target)),
                Action::Query(id, _) => self.queries.push(id),
                _ => {}
            }
        }
    }

    /// The contract of a machine: after its deadline something is to be done, or the deadline is another.
    fn deadline(&mut self) {
        let Some(due) = self.node.next_timeout() else { return };
        self.now = self.now.plus(due.since(self.now.mono));
        self.node.handle_timeout(self.now);
        let before = self.log.len();
        self.drain();
        assert!(self.log.len() > before || self.node.next_timeout() != Some(due));
    }

    fn apply(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Accept(sip, stream) => {
                let protocol = if *sip { Protocol::Sip } else { Protocol::Msrp };
                let transport = if *stream || !sip { Transport::Tcp } else { Transport::Udp };
                let flow = self.new_flow();
                self.node.handle_accepted(now, flow, info(protocol, transport, 9));
            }
            Op::Octets(at, stream, octets) => self.octets(*at, *stream, octets.clone().into()),
            Op::Message(at, stream, n) => self.octets(*at, *stream, message(*n).into()),
            Op::Closed(at) => self.node.handle_closed(now, *at.get(&self.flows), CloseReason::PeerClosed),
            Op::Opened(at, opened) if !self.opens.is_empty() => {
                let (id, target) = *at.get(&self.opens);
                let flow = FlowInfo { peer: target.remote, ..info(target.protocol, target.transport, 9) };
                let result = if *opened { Ok((self.new_flow(), flow)) } else { Err(OpenError::Refused) };
                self.node.handle_opened(now, id, result);
            }
            Op::Reply(at, right) if !self.queries.is_empty() => {
                let address = SocketAddr::new([192, 0, 2, 9].into(), 5060);
                let reply = match right {
                    true => Reply::Resolved(vec![(Transport::Udp, address), (Transport::Tcp, address)]),
                    false => Reply::Stored(Ok(())),
                };
                self.node.handle_reply(now, *at.get(&self.queries), reply);
            }
            Op::Opened(..) | Op::Reply(..) => {}
            Op::Send(0) => send(&mut self.node, now, "sip:b@b.test", Destination::Routed),
            Op::Send(n) => send(&mut self.node, now, "sip:b@b.test", tcp(*n)),
            Op::Connect(peer) => connect(&mut self.node, now, *peer),
            Op::Write(at, max) => {
                let mut out = Vec::new();
                let n = self.node.poll_transmit(now, *at.get(&self.flows), *max, &mut out);
                assert!(n == out.len() && n <= *max);
                self.log.push(format!("{out:?}"));
            }
            Op::Wait(millis) => {
                self.now = now.plus(Duration::from_millis(*millis));
                self.node.handle_timeout(self.now);
            }
            Op::Deadline => self.deadline(),
            Op::Early => self.node.handle_timeout(now),
            Op::Alarm(millis) => {
                let at = now.plus(Duration::from_millis(*millis)).mono;
                self.node.command(now, |probe, _| probe.due = Some(at));
            }
        }
        self.drain();
    }

    fn octets(&mut self, at: At, stream: bool, octets: Bytes) {
        let flow = *at.get(&self.flows);
        match stream {
            true => self.node.handle_stream(self.now, flow, octets),
            false => self.node.handle_datagram(self.now, flow, octets),
        }
    }

    /// The host gives up everything: nothing stays.
    fn rest(&mut self) {
        self.give_up();
        while self.node.next_timeout().is_some() || !self.opens.is_empty() {
            self.deadline();
            self.give_up();
        }
        assert!(self.node.is_idle(), "{:?}", self.node);
    }

    fn give_up(&mut self) {
        for (open, _) in core::mem::take(&mut self.opens) {
            self.node.handle_opened(self.now, open, Err(OpenError::Unavailable));
        }
        for flow in self.flows.clone() {
            self.node.handle_closed(self.now, flow, CloseReason::Failed);
        }
        self.drain();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_panics_deadlines_move_and_nothing_stays(
        ops in prop::collection::vec(op(), 0..60),
        max_turns in prop::sample::select(vec![1, 2, 10_000]),
    ) {
        let mut run = Run::new(max_turns);
        for op in &ops {
            run.apply(op);
        }
        run.rest();
    }

    #[test]
    fn the_same_inputs_give_the_same_outputs(ops in prop::collection::vec(op(), 0..40)) {
        let (mut first, mut again) = (Run::new(10_000), Run::new(10_000));
        for op in &ops {
            first.apply(op);
            again.apply(op);
        }
        prop_assert_eq!(first.log, again.log);
        prop_assert_eq!(first.node.metrics(), again.node.metrics());
    }
}
