//! A network of endpoints in virtual time: every datagram's fate is decided by a rule, streams are cut as wished.

use crate::*;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use cpm_base::{
    CloseReason, DateTime, FlowId, FlowInfo, Instant, Now, OpenError, Protocol, Seed, Target, Transport,
    Trust,
};
use cpm_sip::{From, HeaderName, HeaderText, Method, Request, Uri};

pub(super) const LATENCY: Duration = Duration::from_millis(10);

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives,
    Lost,
    Twice,
    /// After this time instead of the usual latency.
    Late(Duration),
}

pub(super) type Script = Box<dyn FnMut(&mut Endpoint, Now, &Event)>;
pub(super) type Rule = Box<dyn FnMut(usize, &Packet) -> Fate>;

/// What crossed the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) at: Instant,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Bytes,
}

impl Packet {
    /// `MESSAGE` or `200 MESSAGE`.
    pub(super) fn label(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let first = text.lines().next().unwrap_or("").split(' ').collect::<Vec<_>>();
        let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap_or("? ?");
        let method = cseq.split(' ').nth(1).unwrap_or("?");
        if first.first() == Some(&"SIP/2.0") {
            alloc::format!("{} {method}", first.get(1).unwrap_or(&"?"))
        } else {
            first.first().copied().unwrap_or("").into()
        }
    }
}

#[derive(Debug)]
enum Arrival {
    Datagram { to: usize, packet: Packet },
    Stream { to: usize, flow: FlowId, bytes: Bytes },
    Closed { to: usize, flow: FlowId, why: CloseReason },
}

pub(super) struct Peer {
    pub(super) ua: Endpoint,
    pub(super) address: SocketAddr,
    /// Where its datagrams seem to come from, when it is behind a NAT.
    pub(super) seen_as: SocketAddr,
    pub(super) events: Vec<Event>,
    script: Option<Script>,
    datagram_flows: BTreeMap<SocketAddr, FlowId>,
    /// Flow to (remote address, other end of a stream).
    flows: BTreeMap<FlowId, (SocketAddr, Option<(usize, FlowId)>)>,
    trust: Trust,
}

pub(super) struct Net {
    pub(super) now: Now,
    pub(super) peers: Vec<Peer>,
    arrivals: BTreeMap<(Instant, u64), Arrival>,
    count: u64,
    sent: usize,
    pub(super) rule: Rule,
    pub(super) wire: Vec<Packet>,
    /// By name, or by peer and name: `0 edge.example`.
    pub(super) names: BTreeMap<String, Vec<(Transport, SocketAddr)>>,
    /// Streams arrive in pieces of at most this size.
    pub(super) piece: usize,
    /// Addresses that refuse connections.
    pub(super) refusing: Vec<SocketAddr>,
    /// Addresses that everybody knows as part of the core.
    pub(super) core: Vec<SocketAddr>,
}

pub(super) fn address(n: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 5060)
}

pub(super) fn config(n: u8) -> Config {
    let mut config = Config::user_agent(Seed::new([n; 32]), "test");
    let (host, port) = (address(n).ip().into(), Some(5060));
    for transport in [Transport::Udp, Transport::Tcp] {
        config.sent_by.push(SentBy { transport, host: cpm_sip::Host::clone(&host), port });
    }
    config
}

pub(super) fn proxy_config(n: u8) -> Config {
    Config { role: Role::Proxy, ..config(n) }
}

impl Net {
    pub(super) fn new(configs: impl IntoIterator<Item = Config>) -> Net {
        let peers = configs.into_iter().zip(1u8..).map(|(config, n)| Peer {
            ua: Endpoint::new(config).unwrap(),
            address: address(n),
            seen_as: address(n),
            events: Vec::new(),
            script: None,
            datagram_flows: BTreeMap::new(),
            flows: BTreeMap::new(),
            trust: Trust::Outside,
        });
        Net {
            now: Now::new(Instant::from_micros(1_000_000), DateTime::UNIX_EPOCH),
            peers: peers.collect(),
            arrivals: BTreeMap::new(),
            count: 0,
            sent: 0,
            rule: Box::new(|_, _| Fate::Arrives),
            wire: Vec::new(),
            names: BTreeMap::new(),
            piece: usize::MAX,
            refusing: Vec::new(),
            core: Vec::new(),
        }
    }

    pub(super) fn script(&mut self, peer: usize, script: impl FnMut(&mut Endpoint, Now, &Event) + 'static) {
        self.peers[peer].script = Some(Box::new(script));
    }

    fn flow_id(&mut self) -> FlowId {
        self.count += 1;
        FlowId(self.count)
    }

    fn later(&mut self, after: Duration, arrival: Arrival) {
        self.count += 1;
        self.arrivals.insert((self.now.mono.plus(after), self.count), arrival);
    }

    fn info(&self, peer: usize, transport: Transport, remote: SocketAddr) -> FlowInfo {
        FlowInfo {
            protocol: Protocol::Sip,
            transport,
            local: self.peers[peer].address,
            peer: remote,
            secure_identity: None,
            trust: if self.core.contains(&remote) { Trust::Core } else { self.peers[peer].trust },
        }
    }

    fn datagram_flow(&mut self, peer: usize, remote: SocketAddr, announce: bool) -> FlowId {
        if let Some(flow) = self.peers[peer].datagram_flows.get(&remote) {
            return *flow;
        }
        let flow = self.flow_id();
        self.peers[peer].datagram_flows.insert(remote, flow);
        self.peers[peer].flows.insert(flow, (remote, None));
        if announce {
            let info = self.info(peer, Transport::Udp, remote);
            self.peers[peer].ua.handle_accepted(self.now, flow, info);
        }
        flow
    }

    /// Another endpoint takes the place of a peer; it knows none of its flows.
    pub(super) fn replace(&mut self, peer: usize, ua: Endpoint) {
        self.peers[peer].ua = ua;
        self.peers[peer].datagram_flows.clear();
        self.peers[peer].flows.clear();
    }

    /// A datagram from nowhere in particular.
    pub(super) fn inject(&mut self, to: usize, from: SocketAddr, bytes: impl Into<Bytes>) {
        let packet = Packet { at: self.now.mono, from, to: self.peers[to].address, bytes: bytes.into() };
        self.later(Duration::ZERO, Arrival::Datagram { to, packet });
        self.drain();
    }

    fn open(&mut self, peer: usize, target: Target) -> Result<(FlowId, FlowInfo), OpenError> {
        let info = self.info(peer, target.transport, target.remote);
        if target.transport == Transport::Udp {
            return Ok((self.datagram_flow(peer, target.remote, false), info));
        }
        let listener = self.peers.iter().position(|other| other.address == target.remote);
        let Some(listener) = listener.filter(|_| !self.refusing.contains(&target.remote)) else {
            return Err(OpenError::Refused);
        };
        let (here, there) = (self.flow_id(), self.flow_id());
        let ephemeral =
            SocketAddr::new(self.peers[peer].address.ip(), 40_000 + u16::try_from(here.0).unwrap());
        self.peers[peer].flows.insert(here, (target.remote, Some((listener, there))));
        self.peers[listener].flows.insert(there, (ephemeral, Some((peer, here))));
        let accepted = self.info(listener, target.transport, ephemeral);
        self.peers[listener].ua.handle_accepted(self.now, there, accepted);
        Ok((here, FlowInfo { local: ephemeral, ..info }))
    }

    /// Breaks all streams, for both sides.
    pub(super) fn break_streams(&mut self) {
        for peer in 0..self.peers.len() {
            let streams: Vec<FlowId> =
                self.peers[peer].flows.iter().filter(|(_, f)| f.1.is_some()).map(|(id, _)| *id).collect();
            for flow in streams {
                self.peers[peer].flows.remove(&flow);
                self.peers[peer].ua.handle_closed(self.now, flow, CloseReason::Failed);
            }
        }
        self.drain();
    }

    /// Carries out all that the endpoints want, until they want nothing at this time.
    pub(super) fn drain(&mut self) {
        loop {
            let mut quiet = true;
            for peer in 0..self.peers.len() {
                while let Some(action) = self.peers[peer].ua.poll_action() {
                    quiet = false;
                    self.carry_out(peer, action);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn carry_out(&mut self, peer: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Datagram(flow, bytes) => self.datagram(peer, flow, bytes),
            Action::Open(open, target) => {
                let result = self.open(peer, target);
                self.peers[peer].ua.handle_opened(now, open, result);
            }
            Action::Close(flow, why) => {
                let other = self.peers[peer].flows.remove(&flow).and_then(|flow| flow.1);
                if let Some((to, flow)) = other {
                    let why = CloseReason::PeerClosed;
                    self.later(LATENCY, Arrival::Closed { to, flow, why });
                }
                self.peers[peer].ua.handle_closed(now, flow, why);
            }
            Action::WantsWrite(flow) => {
                let mut out = Vec::new();
                while self.peers[peer].ua.poll_transmit(now, flow, 1000, &mut out) > 0 {}
                let Some((remote, Some((to, there)))) = self.peers[peer].flows.get(&flow).copied() else {
                    return;
                };
                let from = self.peers[peer].address;
                let bytes = Bytes::from(out);
                self.wire.push(Packet { at: now.mono, from, to: remote, bytes: bytes.clone() });
                for piece in bytes.chunks(self.piece.min(bytes.len().max(1))) {
                    let bytes = Bytes::copy_from_slice(piece);
                    self.later(LATENCY, Arrival::Stream { to, flow: there, bytes });
                }
            }
            Action::Resolve(id, query) => {
                let own = self.names.get(&alloc::format!("{peer} {}", query.host));
                let found = own.or(self.names.get(&query.host)).cloned().unwrap_or_default();
                self.peers[peer].ua.handle_resolved(now, id, found);
            }
            Action::Event(event) => {
                if let Some(mut script) = self.peers[peer].script.take() {
                    script(&mut self.peers[peer].ua, now, &event);
                    self.peers[peer].script = Some(script);
                }
                self.peers[peer].events.push(event);
            }
        }
    }

    fn datagram(&mut self, peer: usize, flow: FlowId, bytes: Bytes) {
        let Some((remote, _)) = self.peers[peer].flows.get(&flow).copied() else { return };
        let packet = Packet { at: self.now.mono, from: self.peers[peer].seen_as, to: remote, bytes };
        self.wire.push(packet.clone());
        let fate = (self.rule)(self.sent, &packet);
        self.sent += 1;
        let Some(to) = self.peers.iter().position(|p| p.seen_as == remote) else { return };
        let copies: &[Duration] = match fate {
            Fate::Arrives => &[LATENCY],
            Fate::Lost => &[],
            Fate::Twice => &[LATENCY, Duration::from_millis(25)],
            Fate::Late(after) => &[after],
        };
        for after in copies {
            self.later(*after, Arrival::Datagram { to, packet: packet.clone() });
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        let now = self.now;
        match arrival {
            Arrival::Datagram { to, packet } => {
                let flow = self.datagram_flow(to, packet.from, true);
                self.peers[to].ua.handle_datagram(now, flow, packet.bytes);
            }
            Arrival::Stream { to, flow, bytes } => {
                if self.peers[to].flows.contains_key(&flow) {
                    self.peers[to].ua.handle_stream(now, flow, bytes);
                }
            }
            Arrival::Closed { to, flow, why } => {
                if self.peers[to].flows.remove(&flow).is_some() {
                    self.peers[to].ua.handle_closed(now, flow, why);
                }
            }
        }
    }

    /// Runs for a time.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now.mono.plus(time);
        self.drain();
        loop {
            let arrival = self.arrivals.first_key_value().map(|((at, _), _)| *at);
            let timer = self.peers.iter().filter_map(|peer| peer.ua.next_timeout()).min();
            let Some(next) = arrival.into_iter().chain(timer).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.plus(next.since(self.now.mono));
            while let Some(entry) = self.arrivals.first_entry().filter(|entry| entry.key().0 <= next) {
                let arrival = entry.remove();
                self.arrive(arrival);
                self.drain();
            }
            for peer in 0..self.peers.len() {
                let before = self.peers[peer].ua.next_timeout();
                if before.is_some_and(|at| at <= self.now.mono) {
                    self.peers[peer].ua.handle_timeout(self.now);
                    let ua = &self.peers[peer].ua;
                    // The contract of a machine: time never stands still.
                    assert!(
                        !ua.actions.is_empty() || ua.next_timeout() != before,
                        "nothing moved at {before:?}"
                    );
                }
            }
            self.drain();
        }
        self.now = self.now.plus(end.since(self.now.mono));
    }

    /// Runs until no timer of any transaction can be left, and checks that nothing of any is.
    pub(super) fn run_to_quiet(&mut self) {
        self.run(Duration::from_secs(600));
        for (n, peer) in self.peers.iter().enumerate() {
            assert!(peer.ua.is_idle(), "peer {n} still holds something: {:#?}", peer.ua);
        }
    }

    /// What crossed the network, as labels, in order of sending.
    pub(super) fn labels(&self) -> Vec<String> {
        self.wire.iter().map(Packet::label).collect()
    }

    /// A command on one peer.
    pub(super) fn with<R>(&mut self, peer: usize, f: impl FnOnce(&mut Endpoint, Now) -> R) -> R {
        let result = f(&mut self.peers[peer].ua, self.now);
        self.drain();
        result
    }

    pub(super) fn faults(&self, peer: usize) -> Vec<&Fault> {
        let fault = |event: &'_ Event| matches!(event, Event::Fault(_));
        let faults = self.peers[peer].events.iter().filter(|event| fault(event));
        faults.filter_map(|event| if let Event::Fault(fault) = event { Some(fault) } else { None }).collect()
    }
}

pub(super) fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

/// A request from peer `from` to peer `to` by address, over UDP or TCP.
pub(super) fn request(method: Method, from: u8, to: u8, transport: Transport) -> Request {
    let suffix = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
    let target = uri(&alloc::format!("sip:user{to}@{}{suffix}", address(to)));
    Request::new(method, target)
        .with_typed(&From::new(uri(&alloc::format!("sip:user{from}@example.com"))))
        .with_header(HeaderName::To, HeaderText::new(&alloc::format!("<sip:user{to}@example.com>")).unwrap())
}

pub(super) fn message(from: u8, to: u8) -> Request {
    request(Method::Message, from, to, Transport::Udp)
        .with_header(HeaderName::ContentType, HeaderText::new("text/plain").unwrap())
        .with_body(Bytes::from_static(b"Hello"))
}

pub(super) fn invite(from: u8, to: u8, transport: Transport) -> Request {
    let suffix = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
    let contact = alloc::format!("<sip:user{from}@{}{suffix}>", address(from));
    request(Method::Invite, from, to, transport)
        .with_header(HeaderName::Contact, HeaderText::new(&contact).unwrap())
        .with_header(HeaderName::ContentType, HeaderText::new("application/sdp").unwrap())
        .with_body(Bytes::from_static(b"v=0\r\n"))
}
