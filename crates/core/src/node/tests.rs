//! A node around a function that tells what it gets, driven by hand.
#![allow(clippy::arithmetic_side_effects)]

mod properties;

use super::*;
use crate::{ReceivedRecord, Record, StoreError};
use core::net::SocketAddr;
use core::time::Duration;
use cpm_base::{DateTime, Transport, Trust};
use cpm_msrp::{Matching, MsrpUri, Role, SessionConfig};
use cpm_sip::{From, Request, Response, StatusCode, Uri};
use cpm_ua::{Destination, NameQuery};

/// Answers every request with 200 and tells everything that it hears.
#[derive(Debug, Default)]
struct Probe {
    due: Option<Instant>,
    /// The message that came in last.
    incoming: Option<cpm_msrp::IncomingId>,
}

impl Function for Probe {
    type Event = String;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, String>) {
        let told = match input {
            Input::Sip(cpm_ua::Event::Request { id, request, .. }) => {
                let response = Response::for_request(&request, StatusCode::OK);
                let told = format!("{} {}", request.method(), ports.sip.respond(now, id, response).is_ok());
                told
            }
            Input::Sip(cpm_ua::Event::TransactionFailed { why, .. }) => format!("failed {why:?}"),
            Input::Sip(cpm_ua::Event::Response { response, .. }) => response.status().to_string(),
            Input::Sip(cpm_ua::Event::FlowOpened { flow, .. }) => format!("opened {}", flow.0),
            Input::Sip(cpm_ua::Event::FlowClosed { flow, .. }) => format!("closed {}", flow.0),
            Input::Sip(_) => "sip".to_owned(),
            Input::Msrp(cpm_msrp::Event::BindFailed { why, .. }) => format!("bind {why:?}"),
            Input::Msrp(cpm_msrp::Event::Incoming { transfer, .. }) => {
                self.incoming = Some(transfer);
                "incoming".to_owned()
            }
            Input::Msrp(_) => "msrp".to_owned(),
            Input::Reply(id, reply) => format!("{} {reply:?}", id.0),
        };
        ports.host.event(told);
    }

    fn handle_timeout(&mut self, now: Now, ports: &mut Ports<'_, String>) {
        if self.due.is_some_and(|due| due <= now.mono) {
            self.due = None;
            ports.host.event("due".to_owned());
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.due
    }
}

fn node_of(config: NodeConfig) -> Node<Probe> {
    Node::new(Probe::default(), config).unwrap()
}

fn config() -> NodeConfig {
    NodeConfig::user_agent(Seed::new([4; 32]), "probe")
}

fn start() -> Now {
    Now::new(Instant::from_micros(7_000_000), DateTime::UNIX_EPOCH)
}

fn info(protocol: Protocol, transport: Transport, peer: u8) -> FlowInfo {
    FlowInfo {
        protocol,
        transport,
        local: SocketAddr::new([192, 0, 2, 1].into(), 5060),
        peer: SocketAddr::new([192, 0, 2, peer].into(), 5060),
        secure_identity: None,
        trust: Trust::Core,
    }
}

fn message(n: u32) -> String {
    format!(
        "MESSAGE sip:b@b.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9:5060;branch=z9hG4bK{n}\r\n\
         From: <sip:a@a.test>;tag=1\r\nTo: <sip:b@b.test>\r\nCall-ID: {n}\r\nCSeq: 1 MESSAGE\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn actions(node: &mut Node<Probe>) -> Vec<Action<String>> {
    core::iter::from_fn(|| node.poll_action()).collect()
}

fn events(node: &mut Node<Probe>) -> Vec<String> {
    let event = |action| match action {
        Action::Event(event) => Some(event),
        _ => None,
    };
    actions(node).into_iter().filter_map(event).collect()
}

/// A request of the node's own.
fn send(node: &mut Node<Probe>, now: Now, uri: &str, destination: Destination) {
    let request = Request::new(cpm_sip::Method::Message, Uri::parse(uri).unwrap())
        .with_typed(&From::new(Uri::parse("sip:me@home.test").unwrap()));
    node.command(now, |_, ports| ports.sip.send_request(now, request, destination)).unwrap();
}

fn connect(node: &mut Node<Probe>, now: Now, peer: u8) {
    let remote = SocketAddr::new([192, 0, 2, peer].into(), 2855);
    node.command(now, |_, ports| {
        let config = SessionConfig {
            local_path: ports.msrp.new_local_uri("192.0.2.1", 2855, false),
            remote_path: vec![MsrpUri::parse("msrp://192.0.2.7:2855/abcdefghijklmnopqrstuvwx;tcp").unwrap()],
            role: Role::Active(remote, Transport::Tcp),
            matching: Matching::Rfc4975,
            max_chunk: None,
            max_message: 1000,
        };
        ports.msrp.open_session(now, config).unwrap()
    });
}

fn tcp(peer: u8) -> Destination {
    Destination::To(Transport::Tcp, SocketAddr::new([192, 0, 2, peer].into(), 5060))
}

fn opens(node: &mut Node<Probe>) -> Vec<(OpenId, Target)> {
    let open = |action| match action {
        Action::Open(id, target) => Some((id, target)),
        _ => None,
    };
    actions(node).into_iter().filter_map(open).collect()
}

#[test]
fn what_is_left_after_the_last_turn_is_due_at_once() {
    let now = start();
    let mut node = node_of(NodeConfig { max_turns: 2, ..config() });
    node.handle_accepted(now, FlowId(1), info(Protocol::Sip, Transport::Tcp, 9));
    assert_eq!(events(&mut node), ["opened 1"]);
    let all: String = (0..10).map(message).collect();
    node.handle_stream(now, FlowId(1), all.into());
    assert_eq!(node.next_timeout(), Some(now.mono), "due at once, and no time that has passed");
    assert!(!node.is_idle());
    assert_eq!(node.metrics().get("node.turns_exhausted"), 1);
    let mut heard = Vec::new();
    let mut turns = 0;
    while node.next_timeout() == Some(now.mono) {
        let some = actions(&mut node);
        assert!(!some.is_empty());
        heard.extend(some.into_iter().filter(|action| matches!(action, Action::Event(_))));
        node.handle_timeout(now);
        turns += 1;
    }
    heard.extend(actions(&mut node).into_iter().filter(|action| matches!(action, Action::Event(_))));
    assert_eq!((heard.len(), turns), (10, 5));
    let mut out = Vec::new();
    while node.poll_transmit(now, FlowId(1), 100, &mut out) > 0 {}
    assert_eq!(String::from_utf8(out).unwrap().matches("SIP/2.0 200 OK\r\n").count(), 10);
}

#[test]
fn at_rest_is_who_waits_for_nothing_and_has_nothing_left() {
    let mut now = start();
    let mut node = node_of(NodeConfig { max_turns: 1, ..config() });
    node.handle_accepted(now, FlowId(1), info(Protocol::Sip, Transport::Udp, 9));
    assert!(!node.is_idle(), "it cannot know yet that this was all");
    node.handle_timeout(now);
    assert!(node.is_idle());
    send(&mut node, now, "sip:b@b.test", tcp(6));
    let (open, _) = opens(&mut node)[0];
    while let Some(due) = node.next_timeout() {
        now = now.plus(due.since(now.mono));
        node.handle_timeout(now);
    }
    assert_eq!(events(&mut node), ["failed Timeout"]);
    assert!(!node.is_idle(), "the host owes an answer");
    node.handle_opened(now, open, Err(OpenError::Unreachable));
    assert!(node.is_idle());
}

#[test]
fn any_input_goes_on_with_what_was_left() {
    let now = start();
    let mut node = node_of(NodeConfig { max_turns: 1, ..config() });
    node.handle_accepted(now, FlowId(1), info(Protocol::Sip, Transport::Tcp, 9));
    node.handle_stream(now, FlowId(1), (0..3).map(message).collect::<String>().into());
    let before = events(&mut node).len();
    assert_eq!(node.poll_transmit(now, FlowId(2), 10, &mut Vec::new()), 0);
    assert_eq!(events(&mut node).len() + before, 3);
}

#[test]
fn both_endpoints_open_flows_and_each_gets_its_own() {
    let now = start();
    let mut node = node_of(config());
    send(&mut node, now, "sip:b@b.test", tcp(6));
    connect(&mut node, now, 7);
    let opened = opens(&mut node);
    let [(sip, to_sip), (msrp, to_msrp)] = opened[..] else { panic!("{opened:?}") };
    assert_ne!(sip, msrp);
    assert_eq!((to_sip.protocol, to_sip.remote.port()), (Protocol::Sip, 5060));
    assert_eq!((to_msrp.protocol, to_msrp.remote.port()), (Protocol::Msrp, 2855));
    assert!(!node.is_idle());
    // In the other order, and each on its flow.
    node.handle_opened(now, msrp, Ok((FlowId(70), info(Protocol::Msrp, Transport::Tcp, 7))));
    node.handle_opened(now, sip, Ok((FlowId(60), info(Protocol::Sip, Transport::Tcp, 6))));
    let writes: Vec<FlowId> = actions(&mut node)
        .into_iter()
        .filter_map(|action| match action {
            Action::WantsWrite(flow) => Some(flow),
            _ => None,
        })
        .collect();
    assert_eq!(writes, [FlowId(70), FlowId(60)]);
    for (flow, start) in [(70, "MSRP "), (60, "MESSAGE sip:b@b.test SIP/2.0")] {
        let mut out = b"kept".to_vec();
        assert_eq!(node.poll_transmit(now, FlowId(flow), 5, &mut out), 5);
        while node.poll_transmit(now, FlowId(flow), 5, &mut out) > 0 {}
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with(&format!("kept{start}")), "{out}");
    }
    assert_eq!(node.poll_transmit(now, FlowId(99), 5, &mut Vec::new()), 0);
}

#[test]
fn a_flow_that_cannot_be_opened_is_told_to_who_asked() {
    let now = start();
    let mut node = node_of(config());
    send(&mut node, now, "sip:b@b.test", tcp(6));
    connect(&mut node, now, 7);
    let opened = opens(&mut node);
    node.handle_opened(now, opened[0].0, Err(OpenError::Refused));
    assert_eq!(events(&mut node), ["failed Transport"]);
    node.handle_opened(now, opened[1].0, Err(OpenError::Refused));
    let told = events(&mut node);
    assert!(told.len() == 1 && told[0].starts_with("bind "), "{told:?}");
    assert!(node.is_idle());
}

#[test]
fn a_flow_that_nobody_asked_for_is_closed() {
    let now = start();
    let mut node = node_of(config());
    let flow = info(Protocol::Sip, Transport::Tcp, 6);
    node.handle_opened(now, OpenId(77), Ok((FlowId(5), flow.clone())));
    let all = actions(&mut node);
    assert!(matches!(all[..], [Action::Close(FlowId(5), CloseReason::Done)]), "{all:?}");
    node.handle_opened(now, OpenId(78), Err(OpenError::Refused));
    assert!(actions(&mut node).is_empty());
    assert_eq!(node.metrics().get("node.unknown_open"), 2);
    // The second answer to one wish: the flow that is in use stays.
    send(&mut node, now, "sip:b@b.test", tcp(6));
    let (open, _) = opens(&mut node)[0];
    node.handle_opened(now, open, Ok((FlowId(6), flow.clone())));
    actions(&mut node);
    node.handle_opened(now, open, Ok((FlowId(6), flow)));
    assert!(actions(&mut node).is_empty());
}

#[test]
fn what_comes_on_unknown_flows_is_counted_and_no_more() {
    let now = start();
    let mut node = node_of(config());
    node.handle_datagram(now, FlowId(1), message(1).into());
    node.handle_stream(now, FlowId(1), message(1).into());
    node.handle_closed(now, FlowId(1), CloseReason::Failed);
    assert_eq!(node.metrics().get("node.unknown_flow"), 3);
    node.handle_accepted(now, FlowId(2), info(Protocol::Msrp, Transport::Tcp, 9));
    node.handle_datagram(now, FlowId(2), message(1).into());
    assert_eq!(node.metrics().get("node.datagram_on_msrp"), 1);
    node.handle_closed(now, FlowId(2), CloseReason::PeerClosed);
    node.handle_closed(now, FlowId(2), CloseReason::PeerClosed);
    assert_eq!(node.metrics().get("node.unknown_flow"), 4);
    assert_eq!(events(&mut node), [""; 0]);
    assert!(node.is_idle());
}

#[test]
fn octets_go_to_the_endpoint_of_their_flow() {
    let now = start();
    let mut node = node_of(config());
    node.handle_accepted(now, FlowId(1), info(Protocol::Sip, Transport::Udp, 9));
    node.handle_accepted(now, FlowId(2), info(Protocol::Sip, Transport::Tcp, 9));
    node.handle_accepted(now, FlowId(3), info(Protocol::Msrp, Transport::Tcp, 9));
    events(&mut node);
    node.handle_datagram(now, FlowId(1), message(1).replace("TCP", "UDP").into());
    let all = actions(&mut node);
    assert!(
        matches!(&all[..], [Action::Event(told), Action::Datagram(FlowId(1), _)] if told == "MESSAGE true")
    );
    node.handle_stream(now, FlowId(2), message(2).into());
    let all = actions(&mut node);
    assert!(
        matches!(&all[..], [Action::Event(told), Action::WantsWrite(FlowId(2))] if told == "MESSAGE true")
    );
    let request = "MSRP a786hjs2 SEND\r\nTo-Path: msrp://192.0.2.1:2855/none;tcp\r\n\
                   From-Path: msrp://192.0.2.9:2855/x;tcp\r\nMessage-ID: 1234\r\n-------a786hjs2$\r\n";
    node.handle_stream(now, FlowId(3), request.into());
    let mut out = Vec::new();
    while node.poll_transmit(now, FlowId(3), 1000, &mut out) > 0 {}
    assert!(String::from_utf8(out).unwrap().starts_with("MSRP a786hjs2 481 "));
    node.handle_closed(now, FlowId(2), CloseReason::PeerClosed);
    assert!(events(&mut node).contains(&"closed 2".to_owned()));
}

fn queries(node: &mut Node<Probe>) -> Vec<(QueryId, Query)> {
    let query = |action| match action {
        Action::Query(id, query) => Some((id, query)),
        _ => None,
    };
    actions(node).into_iter().filter_map(query).collect()
}

fn record() -> Query {
    let sender = "sip:a@a.test".to_owned();
    let cpim = Bytes::from_static(b"x");
    Query::Store(Record::Received(ReceivedRecord { sender, cpim, ..ReceivedRecord::default() }))
}

#[test]
fn replies_find_who_asked() {
    let now = start();
    let mut node = node_of(config());
    let stored = node.command(now, |_, ports| ports.host.query(record()));
    send(&mut node, now, "sip:b@b.test:5070", Destination::Routed);
    let asked = queries(&mut node);
    assert_eq!(asked[0], (stored, record()));
    let name = NameQuery { host: "b.test".to_owned(), port: Some(5070), transport: None, secure: false };
    assert_eq!(asked[1].1, Query::Resolve(name));
    assert_ne!(asked[0].0, asked[1].0);
    node.handle_reply(now, stored, Reply::Stored(Err(StoreError::Full)));
    assert_eq!(events(&mut node), [format!("{} Stored(Err(Full))", stored.0)]);
    let at = SocketAddr::new([192, 0, 2, 8].into(), 5070);
    node.handle_reply(now, asked[1].0, Reply::Resolved(vec![(Transport::Tcp, at)]));
    let opened = opens(&mut node);
    assert_eq!((opened.len(), opened[0].1.remote), (1, at));
    // The second reply to a question is none of the endpoint's.
    node.handle_reply(now, asked[1].0, Reply::Resolved(Vec::new()));
    assert_eq!(events(&mut node), [format!("{} Resolved([])", asked[1].0.0)]);
}

#[test]
fn a_look_up_answered_with_something_else_has_failed() {
    let now = start();
    let mut node = node_of(config());
    send(&mut node, now, "sip:b@b.test", Destination::Routed);
    let (id, _) = queries(&mut node)[0].clone();
    node.handle_reply(now, id, Reply::Stored(Ok(())));
    assert_eq!(events(&mut node), ["failed Transport"]);
    assert_eq!(node.metrics().get("node.wrong_reply"), 1);
    assert!(node.is_idle());
}

#[test]
fn a_look_up_that_is_never_answered_is_forgotten() {
    let mut now = start();
    let mut node = node_of(config());
    for _ in 0..3 {
        send(&mut node, now, "sip:b@b.test", Destination::Routed);
        now = now.plus(Duration::from_secs(1));
    }
    let asked = queries(&mut node);
    assert_eq!(asked.len(), 3);
    let mut waited = 0;
    while let Some(due) = node.next_timeout() {
        assert!(!node.is_idle());
        now = now.plus(due.since(now.mono));
        node.handle_timeout(now);
        waited += 1;
        assert_eq!(node.metrics().get("node.never_resolved"), waited);
    }
    assert_eq!(now.mono, start().mono.plus(Duration::from_secs(2 + 32)));
    assert_eq!(events(&mut node).len(), 3);
    assert!(node.is_idle());
    node.handle_reply(now, asked[0].0, Reply::Resolved(Vec::new()));
    assert_eq!(events(&mut node).len(), 1, "late: the function may want to know");
}

#[test]
fn timeouts_early_late_and_spurious() {
    let now = start();
    let due = now.plus(Duration::from_secs(1));
    let mut node = node_of(config());
    node.handle_timeout(now);
    assert!(actions(&mut node).is_empty());
    node.command(now, |probe, _| probe.due = Some(due.mono));
    assert_eq!(node.next_timeout(), Some(due.mono));
    node.handle_timeout(now.plus(Duration::from_millis(999)));
    assert_eq!((events(&mut node), node.next_timeout()), (vec![], Some(due.mono)));
    node.handle_timeout(due);
    assert_eq!((events(&mut node), node.next_timeout()), (vec!["due".to_owned()], None));
    node.handle_timeout(due);
    node.command(now, |probe, _| probe.due = Some(due.mono));
    node.handle_timeout(due.plus(Duration::from_secs(3600)));
    assert_eq!(events(&mut node), ["due"]);
}

#[test]
fn what_the_endpoints_have_to_say_comes_before_the_functions_deadline() {
    let now = start();
    let mut node = node_of(config());
    send(&mut node, now, "sip:b@b.test", tcp(6));
    connect(&mut node, now, 7);
    actions(&mut node);
    let late = now.plus(Duration::from_secs(100));
    node.command(now, |probe, _| probe.due = Some(late.mono));
    assert!(node.next_timeout().unwrap() < late.mono);
    node.handle_timeout(late);
    let told = events(&mut node);
    assert_eq!((told.len(), told[2].as_str()), (3, "due"), "{told:?}");
}

#[test]
fn the_earliest_deadline_counts() {
    let now = start();
    let mut node = node_of(config());
    connect(&mut node, now, 7);
    let msrp = node.next_timeout().unwrap();
    assert!(msrp > now.mono);
    let earlier = now.plus(Duration::from_micros(1)).mono;
    node.command(now, |probe, _| probe.due = Some(earlier));
    assert_eq!(node.next_timeout(), Some(earlier));
    node.command(now, |probe, _| probe.due = Some(msrp.plus(Duration::from_secs(1))));
    assert_eq!(node.next_timeout(), Some(msrp));
}

#[test]
fn counters_of_all_parts_are_in_one() {
    let now = start();
    let mut node = node_of(config());
    node.handle_accepted(now, FlowId(1), info(Protocol::Sip, Transport::Tcp, 9));
    node.handle_accepted(now, FlowId(3), info(Protocol::Msrp, Transport::Tcp, 9));
    node.handle_stream(now, FlowId(1), message(1).into());
    node.handle_stream(now, FlowId(3), "nonsense\r\n\r\n".into());
    node.handle_stream(now, FlowId(9), "x".into());
    let metrics = node.metrics();
    assert_eq!((metrics.get("ua.requests_received"), metrics.get("node.unknown_flow")), (1, 1));
    assert!(metrics.iter().any(|(name, n)| name.starts_with("msrp.") && n > 0), "{metrics:?}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |config| Node::new(Probe::default(), config).err().unwrap();
    assert_eq!(refused(NodeConfig { max_turns: 0, ..config() }), NodeConfigError::MaxTurns);
    let mut sip = config();
    sip.sip.limits.max_flows = 0;
    assert!(matches!(refused(sip), NodeConfigError::Sip(_)));
    let mut msrp = config();
    msrp.msrp.limits.max_sessions = 0;
    let error = refused(msrp);
    assert!(matches!(error, NodeConfigError::Msrp(_)));
    assert!(error.to_string().starts_with("MSRP: "), "{error}");
}

#[test]
fn the_endpoints_do_not_share_their_randomness() {
    let config = config();
    let mut sip = Random::new(config.sip.seed);
    let mut msrp = Random::new(config.msrp.seed);
    assert_ne!(sip.public_u64(), msrp.public_u64());
}

/// A function that cannot take more of a message holds its connection back, and no other.
#[test]
fn a_connection_whose_message_is_paused_is_not_to_be_read() {
    let now = start();
    let mut node = node_of(config());
    let local = node.command(now, |_, ports| {
        let local = ports.msrp.new_local_uri("192.0.2.1", 2855, false);
        let config = SessionConfig {
            local_path: local.clone(),
            remote_path: Vec::new(),
            role: Role::Passive,
            matching: Matching::Rfc4975,
            max_chunk: None,
            max_message: 1000,
        };
        ports.msrp.await_session(now, config).unwrap();
        local
    });
    for flow in [3, 4] {
        node.handle_accepted(now, FlowId(flow), info(Protocol::Msrp, Transport::Tcp, 9));
    }
    node.handle_accepted(now, FlowId(5), info(Protocol::Sip, Transport::Tcp, 9));
    let begun = format!(
        "MSRP a786hjs2 SEND\r\nTo-Path: {local}\r\nFrom-Path: msrp://192.0.2.9:2855/x;tcp\r\nMessage-ID: 1234\r\n\
         Byte-Range: 1-*/8\r\nContent-Type: text/plain\r\n\r\nabcd"
    );
    node.handle_stream(now, FlowId(3), begun.into());
    assert!(node.wants_read(FlowId(3)));
    let message = node.function.incoming.unwrap();
    node.command(now, |_, ports| ports.msrp.pause(now, message));
    assert!(!node.wants_read(FlowId(3)));
    assert!(node.wants_read(FlowId(4)) && node.wants_read(FlowId(5)) && node.wants_read(FlowId(99)));
    node.command(now, |_, ports| ports.msrp.resume(now, message));
    assert!(node.wants_read(FlowId(3)));
    node.command(now, |_, ports| ports.msrp.pause(now, message));
    node.handle_closed(now, FlowId(3), CloseReason::Failed);
    assert!(node.wants_read(FlowId(3)), "what is gone holds nothing back");
}
