//! From a message to a flow: where it goes (RFC 3261 §8.1.2, §18.1.1), resolving names, opening flows, the next target.

use super::Endpoint;
use super::via::own_via;
use crate::config::NextHop;
use crate::error::Refusal;
use crate::event::{Action, Destination, Event, Fault, NameQuery, RequestId, ResolveId, TransactionId};
use crate::flows::{Departure, Flow, Parcel};
use crate::timers::TimerKey;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::SocketAddr;
use cpm_base::{CloseReason, FlowId, LimitExceeded, Now, OpenId, Protocol, Target, Transport};
use cpm_sip::{HeaderName, Host, Request, SipUri, Uri};

/// The greatest payload of a UDP datagram.
const MAX_UDP_PAYLOAD: usize = 65_507;

/// The next hop of a request.
#[derive(Debug)]
pub(super) enum Hop {
    Flow(FlowId),
    Target(Target),
    Ask(NameQuery),
}

/// Something sent outside of transactions.
#[derive(Debug, Clone)]
pub(crate) struct Stateless {
    pub(super) what: StatelessKind,
    pub(super) targets: VecDeque<Target>,
}

#[derive(Debug, Clone)]
pub(super) enum StatelessKind {
    /// An ACK, still without our Via; the branch stays the same when it is sent again.
    Ack { request: Request, branch: String },
    /// A response, ready to be sent.
    Response { octets: Bytes, request: Option<RequestId> },
}

/// A name look-up under way.
#[derive(Debug)]
pub(super) struct Resolving {
    departure: Departure,
    secure: bool,
}

impl Endpoint {
    /// Where a request goes; a strict router there gets the request in the form that it expects. `outbound` is the
    /// configured hop, where it counts (not inside of a dialog).
    pub(super) fn hop(
        &self,
        request: &mut Request,
        destination: &Destination,
        outbound: Option<&NextHop>,
    ) -> Result<Hop, Refusal> {
        let first = super::routing::first_route(request.headers())?;
        let hop = self.hop_to(request.uri(), first.as_ref(), destination, outbound)?;
        super::routing::fit_strict_router(request, first.as_ref())?;
        Ok(hop)
    }

    pub(super) fn next_hop(
        &self,
        request: &Request,
        destination: &Destination,
        outbound: Option<&NextHop>,
    ) -> Result<Hop, Refusal> {
        let first = match destination {
            Destination::Routed => super::routing::first_route(request.headers())?,
            _ => None,
        };
        self.hop_to(request.uri(), first.as_ref(), destination, outbound)
    }

    /// Where a request to this URI goes whose first Route value is this one.
    pub(super) fn hop_to(
        &self,
        uri: &Uri,
        first: Option<&Uri>,
        destination: &Destination,
        outbound: Option<&NextHop>,
    ) -> Result<Hop, Refusal> {
        match destination {
            Destination::Flow(flow) if self.flows.get(*flow).is_none() => Err(Refusal::UnknownFlow),
            Destination::Flow(flow) => Ok(Hop::Flow(*flow)),
            Destination::To(transport, remote) => Ok(to_address(*transport, *remote)),
            Destination::Routed => match (first, outbound) {
                (Some(route), _) => to_uri(route),
                (None, Some(NextHop::Address(transport, remote))) => Ok(to_address(*transport, *remote)),
                (None, Some(NextHop::Uri(uri))) => to_uri(uri),
                (None, None) => to_uri(uri),
            },
        }
    }

    /// Starts something on its way.
    pub(super) fn send_off(&mut self, now: Now, departure: Departure, hop: Hop) {
        match hop {
            Hop::Flow(flow) => self.board(now, departure, flow),
            Hop::Target(target) => self.try_in_turn(now, departure, &[target]),
            Hop::Ask(query) => {
                let id = ResolveId(self.next_id());
                self.resolving.insert(id, Resolving { departure, secure: query.secure });
                self.timers.set(TimerKey::Resolve(id), Some(now.mono.plus(self.config.timers.patience())));
                self.actions.push_back(Action::Resolve(id, query));
            }
        }
    }

    fn targets_of<'a>(&'a mut self, departure: &'a mut Departure) -> Option<&'a mut VecDeque<Target>> {
        match departure {
            Departure::Client(id) => self.clients.get_mut(id).map(|client| &mut client.targets),
            Departure::Stateless(stateless) => Some(&mut stateless.targets),
        }
    }

    /// Sends something to the first of these targets that takes it. A large request goes to each UDP target over TCP first;
    /// over UDP when no connection can be had (RFC 3261 §18.1.1).
    fn try_in_turn(&mut self, now: Now, mut departure: Departure, targets: &[Target]) {
        // The MTU of the loopback is known, and no less than what a datagram can hold.
        let narrow = |target: &Target| !target.transport.is_stream() && !target.remote.ip().is_loopback();
        let large = targets.iter().any(narrow) && self.is_large(&departure);
        if large {
            self.metrics.count("ua.moved_to_stream");
        }
        let mut all = targets.iter().flat_map(|known| {
            let stream = (large && narrow(known)).then(|| target(Transport::Tcp, known.remote));
            stream.into_iter().chain([*known])
        });
        let first = all.next();
        match (first, self.targets_of(&mut departure)) {
            (Some(first), Some(others)) => {
                *others = all.collect();
                self.depart(now, departure, first);
            }
            _ => self.lost(now, departure),
        }
    }

    /// Whether it is a request that is too large for UDP.
    fn is_large(&self, departure: &Departure) -> bool {
        /// What our Via will add.
        const VIA: usize = 100;
        let request = match departure {
            Departure::Client(id) => self.clients.get(id).and_then(|client| client.request()),
            Departure::Stateless(stateless) => match &stateless.what {
                StatelessKind::Ack { request, .. } => Some(request),
                StatelessKind::Response { .. } => None,
            },
        };
        let length = request.map_or(0, Request::written_length);
        length.saturating_add(VIA) > self.config.max_udp_request
    }

    /// Tries the next target of something; when there is none left, it could not be sent.
    pub(super) fn next_target(&mut self, now: Now, mut departure: Departure) {
        match self.targets_of(&mut departure).and_then(VecDeque::pop_front) {
            Some(target) => self.depart(now, departure, target),
            None => self.lost(now, departure),
        }
    }

    /// Takes a flow to this target, or asks the host to open one.
    pub(super) fn depart(&mut self, now: Now, departure: Departure, target: Target) {
        if let Some(flow) = self.flows.to(&target) {
            return self.board(now, departure, flow);
        }
        if let Some(opening) = self.flows.opening_to(&target) {
            opening.waiting.push(departure);
            return;
        }
        let id = OpenId(self.next_id());
        self.flows.begin_opening(id, target, departure);
        self.timers.set(TimerKey::Open(id), Some(now.mono.plus(self.config.timers.patience())));
        self.actions.push_back(Action::Open(id, target));
    }

    /// A flow is there for something that waited for one.
    pub(super) fn board(&mut self, now: Now, departure: Departure, flow: FlowId) {
        match departure {
            Departure::Client(id) => self.start_attempt(now, id, flow),
            Departure::Stateless(stateless) => {
                let octets = match &stateless.what {
                    StatelessKind::Response { octets, .. } => octets.clone(),
                    StatelessKind::Ack { request, branch } => {
                        let mut request = request.clone();
                        self.reveal_on(Some(flow), request.headers_mut());
                        let via = self.flows.get(flow).map(|known| own_via(&self.config, known, branch));
                        let written =
                            via.map(|via| request.headers_mut().prepend_text(HeaderName::Via, &via));
                        let Some(Ok(())) = written else {
                            return self.stranded(now, Departure::Stateless(stateless));
                        };
                        request.ensure_content_length();
                        request.to_bytes()
                    }
                };
                if !self.transmit(flow, octets) {
                    self.stranded(now, Departure::Stateless(stateless));
                }
            }
        }
    }

    /// A flow could not be had.
    pub(super) fn stranded(&mut self, now: Now, departure: Departure) {
        self.next_target(now, departure);
    }

    /// Nothing is left to be tried.
    fn lost(&mut self, now: Now, departure: Departure) {
        match departure {
            Departure::Client(id) => self.client_unsendable(now, id),
            Departure::Stateless(stateless) => match stateless.what {
                StatelessKind::Ack { .. } => self.fault("ua.ack_undeliverable", Fault::AckUndeliverable),
                StatelessKind::Response { request, .. } => {
                    self.fault("ua.undeliverable", Fault::Undeliverable { request });
                }
            },
        }
    }

    /// Gives something to a flow; `false` when it cannot take it.
    pub(super) fn transmit(&mut self, flow: FlowId, part: impl Into<Parcel>) -> bool {
        let part = part.into();
        let length = part.len();
        let max = self.config.limits.out_queue;
        let max_out = self.config.limits.sip.max_out;
        if let Err(limit) = LimitExceeded::check("sip.max_out", length, max_out) {
            self.fault("ua.too_long", Fault::Overload { flow, limit });
            return false;
        }
        let Some(known) = self.flows.by_id.get_mut(&flow) else { return false };
        let Some(stream) = known.stream.as_mut() else {
            if length > MAX_UDP_PAYLOAD {
                self.metrics.count("ua.too_large_for_datagram");
                return false;
            }
            self.actions.push_back(Action::Datagram(flow, part.into_octets()));
            return true;
        };
        stream.used = true;
        match stream.out.push(part, length, max) {
            Ok(was_empty) => {
                if was_empty {
                    self.actions.push_back(Action::WantsWrite(flow));
                }
                true
            }
            Err(limit) => {
                self.fault("ua.overload", Fault::Overload { flow, limit });
                self.doom(flow, CloseReason::Failed);
                false
            }
        }
    }

    /// Whether what leaves on a flow leaves as messages.
    pub(super) fn is_link(&self, flow: FlowId) -> bool {
        self.flows.get(flow).is_some_and(Flow::is_link)
    }

    /// A flow is no more: what was sent on it and is not answered goes another way or has failed.
    pub(super) fn flow_gone(&mut self, now: Now, flow: FlowId, why: CloseReason) {
        self.timers.set(TimerKey::Flow(flow), None);
        let Some(gone) = self.flows.remove(flow) else { return };
        if let Some(stream) = gone.stream {
            self.flows.keep_queue(flow, stream.out);
        }
        self.event(Event::FlowClosed { flow, why });
        // Datagrams need no flow to be received: unless it broke, answers may still come on another.
        if !gone.info.transport.is_stream() && why != CloseReason::Failed {
            return;
        }
        self.registrations_lost_flow(now, flow);
        let affected = self.clients.iter().filter(|(_, client)| client.is_on(flow)).map(|(id, _)| *id);
        let mut affected: Vec<TransactionId> = affected.collect();
        affected.sort_unstable();
        for id in affected {
            self.client_flow_gone(now, id);
        }
    }

    pub(super) fn resolved(&mut self, now: Now, id: ResolveId, found: &[(Transport, SocketAddr)]) {
        self.timers.set(TimerKey::Resolve(id), None);
        let Some(Resolving { departure, secure }) = self.resolving.remove(&id) else { return };
        let fitting = found.iter().filter(|(transport, _)| !secure || *transport == Transport::Tls);
        let fitting = fitting.take(self.config.limits.max_targets);
        let targets: Vec<Target> = fitting.map(|(transport, remote)| target(*transport, *remote)).collect();
        self.try_in_turn(now, departure, &targets);
    }

    pub(super) fn resolve_timeout(&mut self, now: Now, id: ResolveId) {
        self.metrics.count("ua.resolve_timeout");
        self.resolved(now, id, &[]);
    }

    pub(super) fn open_timeout(&mut self, now: Now, id: OpenId) {
        self.metrics.count("ua.open_timeout");
        let waiting = self.flows.end_opening(id).map(|opening| opening.waiting).unwrap_or_default();
        for departure in waiting {
            self.stranded(now, departure);
        }
    }

    /// Sends a response that has no transaction, on the flow that its request came on.
    pub(super) fn send_stateless(
        &mut self,
        now: Now,
        flow: FlowId,
        reply: &super::via::ReplyTo,
        octets: Bytes,
    ) {
        let departure = response_departure(octets, None);
        if reply.flow == Some(flow) {
            self.board(now, departure, flow);
        } else {
            self.depart(now, departure, reply.target);
        }
    }

    /// Sends a response another way than on the flow of its request.
    pub(super) fn send_elsewhere(&mut self, now: Now, request: RequestId, target: Target, octets: Bytes) {
        self.depart(now, response_departure(octets, Some(request)), target);
    }
}

fn response_departure(octets: Bytes, request: Option<RequestId>) -> Departure {
    let what = StatelessKind::Response { octets, request };
    Departure::Stateless(Box::new(Stateless { what, targets: VecDeque::new() }))
}

fn target(transport: Transport, remote: SocketAddr) -> Target {
    Target { protocol: Protocol::Sip, transport, remote }
}

fn to_address(transport: Transport, remote: SocketAddr) -> Hop {
    Hop::Target(target(transport, remote))
}

/// The default port of a transport (RFC 3261 §18.1.1, §19.1.2).
pub(super) const fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

fn to_uri(uri: &Uri) -> Result<Hop, Refusal> {
    let Uri::Sip(uri) = uri else { return Err(Refusal::NoRoute) };
    let transport = transport_of(uri)?;
    let host = match uri.param("maddr") {
        Some(maddr) => Host::parse(maddr).map_err(|_| Refusal::NoRoute)?,
        None => uri.host().clone(),
    };
    match host.ip() {
        Some(ip) => {
            let transport = transport.unwrap_or(Transport::Udp);
            let port = uri.port().unwrap_or(default_port(transport));
            Ok(to_address(transport, SocketAddr::new(ip, port)))
        }
        None => Ok(Hop::Ask(NameQuery {
            host: host.to_string(),
            port: uri.port(),
            transport,
            secure: uri.is_secure(),
        })),
    }
}

/// The transport that a URI asks for; `None` when it leaves that open.
fn transport_of(uri: &SipUri) -> Result<Option<Transport>, Refusal> {
    let asked = match uri.param("transport") {
        None => None,
        Some(name) if name.eq_ignore_ascii_case("udp") => Some(Transport::Udp),
        Some(name) if name.eq_ignore_ascii_case("tcp") => Some(Transport::Tcp),
        Some(name) if name.eq_ignore_ascii_case("tls") => Some(Transport::Tls),
        Some(_) => return Err(Refusal::NoRoute),
    };
    match (uri.is_secure(), asked) {
        // RFC 3261 §26.2.2: with sips, transport=tcp means TLS over TCP; nothing secures UDP.
        (true, Some(Transport::Udp)) => Err(Refusal::NoRoute),
        (true, _) => Ok(Some(Transport::Tls)),
        (false, asked) => Ok(asked),
    }
}
