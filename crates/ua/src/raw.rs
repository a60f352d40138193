//! An endpoint without manners, for test tools: it cuts streams into messages and says what came, and it sends the octets
//! that it is told to send. No transaction, no 100, no ACK, no retransmission, no answer, nothing completed or corrected.

use crate::error::{Refusal, Refused};
use crate::event::Action;
use crate::flows::OutQueue;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, FlowInfo, OpenError, OpenId, Protocol, Target, Transport};
use cpm_sip::{Frame, Limits, Message, ParseFailure, StreamFramer};

/// What a [`RawEndpoint`] wants done, or has to tell.
#[derive(Debug, Clone)]
pub enum RawAction {
    /// For the host: a datagram, a flow to open or to close, octets to fetch. Never a question or an event.
    Host(Action),
    /// A message came.
    Received(FlowId, Message),
    /// Octets came that are no message. On a stream that cannot go on after them nothing more is read.
    Unreadable(FlowId, ParseFailure),
    /// A CRLF between messages came, with which keep-alives are made: the second of two (a ping), or another one.
    LineEnd(FlowId, bool),
    /// A flow is there; with the wish that it answers, if it does.
    Opened(FlowId, FlowInfo, Option<OpenId>),
    /// A flow could not be had.
    NotOpened(OpenId, OpenError),
    /// A flow is gone.
    Closed(FlowId, CloseReason),
}

#[derive(Debug)]
struct RawFlow {
    stream: Option<(StreamFramer, OutQueue)>,
}

/// See the head of the module's documentation: flows in, messages out, octets sent as they are.
///
/// ```
/// use cpm_base::*;
/// use cpm_ua::{Action, RawAction, RawEndpoint};
///
/// let mut raw = RawEndpoint::new(cpm_sip::Limits::default());
/// let info = FlowInfo {
///     protocol: Protocol::Sip,
///     transport: Transport::Udp,
///     local: "192.0.2.1:5060".parse().unwrap(),
///     peer: "192.0.2.2:5060".parse().unwrap(),
///     secure_identity: None,
///     trust: Trust::Outside,
/// };
/// raw.handle_accepted(FlowId(1), info);
/// assert!(matches!(raw.poll_action(), Some(RawAction::Opened(FlowId(1), _, None))));
/// // Whatever the tool wants is sent, and nothing else is.
/// raw.send(FlowId(1), "INVITE nonsense".into()).unwrap();
/// assert!(matches!(raw.poll_action(), Some(RawAction::Host(Action::Datagram(FlowId(1), _)))));
/// raw.handle_datagram(FlowId(1), "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n".into());
/// assert!(matches!(raw.poll_action(), Some(RawAction::Received(FlowId(1), _))));
/// assert!(raw.poll_action().is_none());
/// ```
#[derive(Debug)]
pub struct RawEndpoint {
    limits: Limits,
    flows: BTreeMap<FlowId, RawFlow>,
    actions: VecDeque<RawAction>,
    last_open: u64,
}

impl RawEndpoint {
    /// Without flows. The limits are those of the parser and the framer.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        RawEndpoint { limits, flows: BTreeMap::new(), actions: VecDeque::new(), last_open: 0 }
    }

    /// The next thing to do or to know.
    pub fn poll_action(&mut self) -> Option<RawAction> {
        self.actions.pop_front()
    }

    /// Asks the host for a flow.
    pub fn open(&mut self, transport: Transport, remote: core::net::SocketAddr) -> OpenId {
        self.last_open = self.last_open.wrapping_add(1);
        let id = OpenId(self.last_open);
        let target = Target { protocol: Protocol::Sip, transport, remote };
        self.actions.push_back(RawAction::Host(Action::Open(id, target)));
        id
    }

    /// Sends these octets, whatever they are: as one datagram, or after what waits on a stream.
    ///
    /// # Errors
    /// The flow is not open; the octets come back.
    pub fn send(&mut self, flow: FlowId, octets: Bytes) -> Result<(), Refused<Bytes>> {
        let Some(known) = self.flows.get_mut(&flow) else {
            return Err(Refused::new(Refusal::UnknownFlow, octets));
        };
        match &mut known.stream {
            None => self.actions.push_back(RawAction::Host(Action::Datagram(flow, octets))),
            Some((_, out)) => {
                // What the tool sends is its own to bound.
                let length = octets.len();
                if out.push(octets.into(), length, usize::MAX) == Ok(true) {
                    self.actions.push_back(RawAction::Host(Action::WantsWrite(flow)));
                }
            }
        }
        Ok(())
    }

    /// Closes a flow; octets that wait on it are not sent.
    ///
    /// # Errors
    /// It is not open.
    pub fn close(&mut self, flow: FlowId) -> Result<(), Refusal> {
        self.flows.remove(&flow).ok_or(Refusal::UnknownFlow)?;
        self.actions.push_back(RawAction::Host(Action::Close(flow, CloseReason::Done)));
        Ok(())
    }

    /// A peer connected, or its first datagram came.
    pub fn handle_accepted(&mut self, flow: FlowId, info: FlowInfo) {
        self.opened(flow, info, None);
    }

    /// The answer to [`Action::Open`].
    pub fn handle_opened(&mut self, open: OpenId, result: Result<(FlowId, FlowInfo), OpenError>) {
        match result {
            Ok((flow, info)) => self.opened(flow, info, Some(open)),
            Err(why) => self.actions.push_back(RawAction::NotOpened(open, why)),
        }
    }

    fn opened(&mut self, flow: FlowId, info: FlowInfo, open: Option<OpenId>) {
        let fresh = || (StreamFramer::new(self.limits), OutQueue::default());
        let stream = info.transport.is_stream().then(fresh);
        self.flows.entry(flow).or_insert(RawFlow { stream });
        self.actions.push_back(RawAction::Opened(flow, info, open));
    }

    /// A flow ended.
    pub fn handle_closed(&mut self, flow: FlowId, why: CloseReason) {
        if self.flows.remove(&flow).is_some() {
            self.actions.push_back(RawAction::Closed(flow, why));
        }
    }

    /// A datagram came.
    pub fn handle_datagram(&mut self, flow: FlowId, octets: Bytes) {
        let action = match cpm_sip::parse_datagram(octets, &self.limits) {
            Ok(message) => RawAction::Received(flow, message),
            Err(failure) => RawAction::Unreadable(flow, failure),
        };
        self.actions.push_back(action);
    }

    /// Octets of a stream came.
    pub fn handle_stream(&mut self, flow: FlowId, octets: Bytes) {
        let Some((framer, _)) = self.flows.get_mut(&flow).and_then(|known| known.stream.as_mut()) else {
            return;
        };
        framer.push(octets);
        while let Some(frame) = framer.next() {
            self.actions.push_back(match frame {
                Frame::Message(message) => RawAction::Received(flow, *message),
                Frame::KeepAlivePing => RawAction::LineEnd(flow, true),
                Frame::Pong => RawAction::LineEnd(flow, false),
                Frame::Broken(failure) | Frame::Lost(failure) => RawAction::Unreadable(flow, failure),
            });
        }
    }

    /// Appends at most `max` octets that are due on a stream flow to `out`; returns how many.
    pub fn poll_transmit(&mut self, flow: FlowId, max: usize, out: &mut Vec<u8>) -> usize {
        let stream = self.flows.get_mut(&flow).and_then(|known| known.stream.as_mut());
        stream.map_or(0, |(_, queue)| queue.pull(max, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_base::Trust;

    fn info(transport: Transport) -> FlowInfo {
        FlowInfo {
            protocol: Protocol::Sip,
            transport,
            local: "192.0.2.1:5060".parse().unwrap(),
            peer: "192.0.2.2:5060".parse().unwrap(),
            secure_identity: None,
            trust: Trust::Outside,
        }
    }

    fn told(raw: &mut RawEndpoint) -> Vec<RawAction> {
        core::iter::from_fn(|| raw.poll_action()).collect()
    }

    const INVITE: &[u8] =
        b"INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n";

    /// Nothing is said on the tool's behalf, whatever comes: no 100, no 400, no pong, no ACK, no second copy.
    #[test]
    fn it_never_speaks_by_itself() {
        let mut raw = RawEndpoint::new(Limits::default());
        for (flow, transport) in [(FlowId(1), Transport::Udp), (FlowId(2), Transport::Tcp)] {
            raw.handle_accepted(flow, info(transport));
        }
        let busy = b"SIP/2.0 486 Busy\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
        for octets in [INVITE, INVITE, b"\r\n\r\n", busy, busy] {
            raw.handle_datagram(FlowId(1), Bytes::from_static(octets));
            for octet in octets.chunks(1) {
                raw.handle_stream(FlowId(2), Bytes::copy_from_slice(octet));
            }
        }
        let told = told(&mut raw);
        assert!(told.iter().all(|action| !matches!(action, RawAction::Host(_))));
        let received = told.iter().filter(|action| matches!(action, RawAction::Received(..))).count();
        let line_ends = told.iter().filter(|action| matches!(action, RawAction::LineEnd(..))).count();
        assert_eq!((received, line_ends), (8, 2));
    }

    #[test]
    fn octets_are_sent_as_they_are() {
        let mut raw = RawEndpoint::new(Limits::default());
        let open = raw.open(Transport::Tcp, "192.0.2.2:5060".parse().unwrap());
        assert!(matches!(told(&mut raw)[..], [RawAction::Host(Action::Open(id, _))] if id == open));
        raw.handle_opened(open, Ok((FlowId(7), info(Transport::Tcp))));
        raw.send(FlowId(7), Bytes::from_static(b"half a mess")).unwrap();
        raw.send(FlowId(7), Bytes::from_static(b"age\0\xff")).unwrap();
        let mut out = Vec::new();
        while raw.poll_transmit(FlowId(7), 3, &mut out) > 0 {}
        assert_eq!(out, b"half a message\0\xff");
        let refused = raw.send(FlowId(9), Bytes::from_static(b"x")).unwrap_err();
        assert_eq!((refused.why, &refused.given[..]), (Refusal::UnknownFlow, &b"x"[..]));
        raw.close(FlowId(7)).unwrap();
        assert_eq!(raw.close(FlowId(7)), Err(Refusal::UnknownFlow));
        raw.handle_closed(FlowId(7), CloseReason::Done);
        let told = told(&mut raw);
        let [
            RawAction::Opened(FlowId(7), _, Some(id)),
            RawAction::Host(Action::WantsWrite(_)),
            RawAction::Host(Action::Close(..)),
        ] = &told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!(*id, open);
    }
}
