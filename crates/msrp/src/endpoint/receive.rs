//! Receiving: requests find their session, chunks become events, answers go out when the user releases them
//! (RFC 4975 §7.2, §7.3).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, LimitExceeded, Now};

use super::transactions::TransactionKind;
use super::{Binding, Endpoint, Timer};
use crate::event::{
    AskedId, Event, FaultKind, IncomingId, LostReason, Matching, SendFailure, SessionId, TransferId,
};
use crate::head::{BadHead, Head, Method, Paths, StartLine};
use crate::parser::{Frame, FramingError};
use crate::uri::MsrpUri;
use crate::values::{ContinuationFlag, FailureReport, Status, Tid};
use crate::write;

/// What is needed to answer a request.
#[derive(Clone)]
pub(super) struct Reply {
    id: Ident,
    /// Those of the request. The answer goes back on its From-Path, to the first hop for a SEND and to the sender for
    /// anything else (RFC 4975 §7.2), and comes from the last URI of its To-Path, which is ours.
    paths: Arc<Paths>,
    first_hop: bool,
    failure_report: FailureReport,
    /// REPORTs are never answered (RFC 4975 §7.1.2).
    report: bool,
}

/// A transaction id of a peer: at most 32 octets (RFC 4975 §9).
#[derive(Clone, Copy)]
struct Ident {
    octets: [u8; 32],
    length: u8,
}

impl Ident {
    fn new(text: &[u8]) -> Option<Ident> {
        let mut octets = [0; 32];
        octets.get_mut(..text.len())?.copy_from_slice(text);
        Some(Ident { octets, length: u8::try_from(text.len()).ok()? })
    }

    fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// What is being received on a connection.
pub(super) enum Inbound {
    /// Whatever it is, it has been dealt with.
    Skip,
    Response(Option<Tid>, Status, Option<Box<Head>>),
    /// A SEND without body.
    Bodiless(SessionId, Option<String>, Reply),
    /// A SEND with a body: the position of its first octet, and how many have come.
    Chunk {
        incoming: IncomingId,
        reply: Reply,
        start: u64,
        received: u64,
    },
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Reply {
    fn to(head: &Head) -> Option<Reply> {
        Some(Reply {
            id: Ident::new(head.transaction())?,
            paths: head.paths().clone(),
            first_hop: *head.start() == StartLine::Request(Method::Send),
            failure_report: head.failure_report(),
            report: *head.start() == StartLine::Request(Method::Report),
        })
    }
}

impl Endpoint {
    /// Octets came on a flow. Octets of a flow that is not ours (any more) are dropped.
    pub fn handle_stream(&mut self, now: Now, flow: FlowId, octets: Bytes) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        self.metrics.add("msrp.octets_in", wide(octets.len()));
        connection.parser.push(octets);
        if !connection.paused.is_empty() {
            let unread = connection.parser.unread();
            if let Err(limit) = LimitExceeded::check("msrp.max_unread", unread, self.limits.max_unread) {
                self.fault(flow, FaultKind::Limit(limit));
                self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Limit(limit));
            }
            return self.read_on(now);
        }
        self.read(now, flow);
        self.read_on(now);
    }

    /// Takes in what was brought, until it is used up or the connection is paused.
    pub(super) fn read(&mut self, now: Now, flow: FlowId) {
        let next = |c: &mut Box<super::Connection>| if c.paused.is_empty() { c.parser.next() } else { None };
        while let Some(frame) = self.connections.get_mut(&flow).and_then(next) {
            match frame {
                Frame::Head(head) => self.on_head(now, flow, head),
                Frame::BadHead(bad) => self.on_bad_head(now, flow, *bad),
                Frame::Body(octets) => self.on_body(now, flow, octets),
                Frame::End(flag) => self.on_end(now, flow, flag),
                Frame::Lost(error) => self.on_framing_lost(now, flow, error),
            }
        }
        self.set_read_deadlines(now, flow);
    }

    /// Threats B1, B5: nothing on this connection can be understood any more.
    fn on_framing_lost(&mut self, now: Now, flow: FlowId, error: FramingError) {
        self.fault(flow, FaultKind::Framing(error));
        self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Framing(error));
    }

    fn on_bad_head(&mut self, now: Now, flow: FlowId, bad: BadHead) {
        let id = Ident::new(bad.transaction_id.as_bytes());
        let reply = id.zip(bad.answer).map(|(id, (back_to, own))| Reply {
            id,
            paths: Arc::new(Paths::new(vec![own], vec![back_to])),
            first_hop: true,
            failure_report: FailureReport::Yes,
            report: false,
        });
        let inbound = self.refuse(now, flow, reply.as_ref(), Status::BAD_REQUEST, FaultKind::Head(bad.error));
        self.set_inbound(flow, inbound);
    }

    fn set_inbound(&mut self, flow: FlowId, inbound: Inbound) {
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.inbound = Some(inbound);
        }
    }

    fn on_head(&mut self, now: Now, flow: FlowId, head: Head) {
        let inbound = match head.start() {
            StartLine::Response(status) => self.on_response_head(flow, *status, head),
            StartLine::Request(method) => self.on_request(now, flow, method.clone(), head),
        };
        self.set_inbound(flow, inbound);
    }

    /// The head of a response is kept for those who asked for it.
    fn on_response_head(&self, flow: FlowId, status: Status, head: Head) -> Inbound {
        let tid = Tid::read(head.transaction());
        // Mostly nobody has: what goes out are messages.
        let connection = self.connections.get(&flow).filter(|connection| connection.requests > 0);
        let known = connection.zip(tid).and_then(|(c, tid)| c.transactions.get(&tid));
        let wanted = known.is_some_and(|t| matches!(t.kind, TransactionKind::Request(_)));
        Inbound::Response(tid, status, wanted.then(|| Box::new(head.detached())))
    }

    /// RFC 4975 §7.3: first the session, then the method.
    fn on_request(&mut self, now: Now, flow: FlowId, method: Method, head: Head) -> Inbound {
        self.metrics.count("msrp.requests_in");
        let Some(reply) = Reply::to(&head) else { return Inbound::Skip };
        let session = match self.session_for(flow, &head) {
            Ok(session) => session,
            Err((status, fault)) => return self.refuse(now, flow, Some(&reply), status, fault),
        };
        match method {
            Method::Send if head.has_body() => self.on_chunk(now, flow, session, head, reply),
            Method::Send => Inbound::Bodiless(session, head.message_id().map(ToString::to_string), reply),
            Method::Report => {
                self.on_report(session, &head);
                Inbound::Skip
            }
            Method::Nickname if self.takes_nicknames(session) => {
                self.on_nickname(now, flow, session, head, reply)
            }
            method => {
                let fault = FaultKind::UnknownMethod(method.to_string());
                self.refuse(now, flow, Some(&reply), Status::UNKNOWN_METHOD, fault)
            }
        }
    }

    fn takes_nicknames(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.options.nicknames)
    }

    /// RFC 7701 §7.2. What cannot be read is malformed: 424.
    fn on_nickname(
        &mut self,
        now: Now,
        flow: FlowId,
        session: SessionId,
        head: Head,
        reply: Reply,
    ) -> Inbound {
        if head.use_nickname().is_none() {
            self.answer(now, flow, &reply, Status::BAD_NICKNAME);
            return Inbound::Skip;
        }
        let (count, max) =
            (self.asked.values().filter(|(on, _)| *on == flow).count(), self.limits.max_outstanding);
        if let Err(limit) = LimitExceeded::check("msrp.max_outstanding", count.saturating_add(1), max) {
            return self.refuse(now, flow, Some(&reply), Status::FORBIDDEN, FaultKind::Limit(limit));
        }
        let asked = AskedId(self.next_id());
        self.asked.insert(asked, (flow, reply));
        self.event(Event::Asked { session, asked, head: Box::new(head) });
        Inbound::Skip
    }

    /// Answers no, and closes the connection when that happens too often without a good request in between.
    fn refuse(
        &mut self,
        now: Now,
        flow: FlowId,
        reply: Option<&Reply>,
        status: Status,
        fault: FaultKind,
    ) -> Inbound {
        self.fault(flow, fault);
        if let Some(reply) = reply {
            self.answer(now, flow, reply, status);
        }
        let max = self.limits.max_faults;
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.faults = connection.faults.saturating_add(1);
            if let Err(limit) = LimitExceeded::check("msrp.max_faults", connection.faults, max) {
                self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Limit(limit));
            }
        }
        Inbound::Skip
    }

    /// Which session a request is for; binds it to the connection when it is the first (RFC 4975 §5.4, §7.3).
    // req: 5.2.1.4.1-p2.1
    // req: 5.2.1.4.1-p3.1
    // req: 5.2.1.4.1-p3.2
    // req: 5.2.1.4.1-p3.3
    fn session_for(&mut self, flow: FlowId, head: &Head) -> Result<SessionId, (Status, FaultKind)> {
        if let Some(connection) = self.connections.get_mut(&flow)
            && let Some((paths, id)) = &connection.last_request
            && Arc::ptr_eq(paths, head.paths())
        {
            connection.faults = 0;
            return Ok(*id);
        }
        let unknown = || (Status::NO_SESSION, FaultKind::UnknownSession);
        let [to] = head.to_path() else { return Err(unknown()) };
        let (id, session) = self.session_by_id(to).ok_or_else(unknown)?;
        let matches = match session.config.matching {
            Matching::Rfc4975 | Matching::Cema => session.config.local_path.same_as(to),
            Matching::SessionId => true,
        };
        if !matches {
            return Err(unknown());
        }
        let bound_elsewhere = matches!(session.binding, Binding::Bound(_)) && !session.uses(flow);
        if bound_elsewhere {
            return Err((Status::SESSION_IN_USE, FaultKind::SessionInUse));
        }
        // An offer that was forked reaches several who know our URI; only the one whose answer was taken may bind. Its
        // session-id says who it is, whatever form of address it writes.
        let negotiated = session.config.remote_path.last();
        let is_peer = match negotiated {
            Some(peer) => head.from_path().last().is_some_and(|from| peer.same_session_id(from)),
            // Nothing was negotiated: whoever binds is the peer.
            None => true,
        };
        if !is_peer {
            return Err(match session.binding {
                Binding::Bound(_) => (Status::FORBIDDEN, FaultKind::OtherPeer),
                _ => (Status::NO_SESSION, FaultKind::OtherPeer),
            });
        }
        self.learn_peer(id, head.from_path());
        self.bind(flow, id);
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.last_request = Some((head.paths().clone(), id));
        }
        Ok(id)
    }

    /// The path of whoever binds a session that was opened without one.
    fn learn_peer(&mut self, id: SessionId, from: &[MsrpUri]) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|s| s.config.remote_path.is_empty()) {
            session.config.remote_path = from.to_vec();
            session.paths = write::paths(from.iter(), core::iter::once(&session.config.local_path));
        }
    }

    /// A good request for this session came on this connection.
    fn bind(&mut self, flow: FlowId, id: SessionId) {
        self.timers.cancel(Timer::FirstRequest(flow));
        self.timers.cancel(Timer::Drain(flow));
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.faults = 0;
            connection.closing = false;
            connection.sessions.insert(id);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if matches!(session.binding, Binding::Bound(_)) {
            return;
        }
        match session.binding {
            // Both sides connect (threats I5): the first that is bound stays; ours stays open beside it.
            Binding::Connected(own) if own != flow => session.own = Some(own),
            Binding::Opening(open) => {
                if let Some(opening) = self.opening.get_mut(&open) {
                    opening.waiting.remove(&id);
                }
            }
            _ => {}
        }
        self.bound(flow, id);
    }

    /// The session has its connection: messages that waited, or were on another, go on here.
    pub(super) fn bound(&mut self, flow: FlowId, id: SessionId) {
        self.timers.cancel(Timer::Bind(id));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.flow();
        session.binding = Binding::Bound(flow);
        if before != Some(flow) {
            let transfers: Vec<TransferId> = session.transfers.iter().collect();
            self.move_transfers(before, transfers);
        }
        self.metrics.count("msrp.sessions_bound");
        self.event(Event::Bound { session: id });
        self.wants_write(flow);
    }

    /// RFC 4975 §7.3.2. It is never answered.
    fn on_report(&mut self, session: SessionId, head: &Head) {
        let Some(message_id) = head.message_id() else { return };
        let sending = |transfer: &TransferId| {
            self.transfers.get(transfer.0).is_some_and(|sending| sending.message_id() == message_id)
        };
        let on_its_way = self.sessions.get(&session).and_then(|s| s.transfers.iter().find(sending));
        let sent = |s: &super::Session| {
            s.unreported.iter().find(|(id, _)| id.as_str() == message_id).map(|(_, transfer)| *transfer)
        };
        let transfer = on_its_way.or_else(|| self.sessions.get(&session).and_then(|s| sent(s)));
        let status = head.report_status();
        let (message_id, range) = (message_id.to_string(), head.byte_range());
        self.event(Event::Report { session, transfer, message_id, range, status });
        if let (Some(transfer), Some(status)) = (transfer, status.filter(|status| !status.is_success())) {
            self.fail_transfer(transfer, Some(status), SendFailure::Reported);
        }
    }

    fn on_end(&mut self, now: Now, flow: FlowId, flag: ContinuationFlag) {
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        match connection.inbound.take() {
            None | Some(Inbound::Skip) => {}
            Some(Inbound::Response(tid, status, head)) => self.on_response(now, flow, tid, status, head),
            Some(Inbound::Bodiless(session, message_id, reply)) => {
                if flag == ContinuationFlag::Abort {
                    self.aborted_by_peer(session, message_id.as_deref());
                }
                self.answer(now, flow, &reply, Status::OK);
            }
            Some(Inbound::Chunk { incoming, reply, start, received }) => {
                let range = (start, start.saturating_add(received));
                self.on_chunk_end(now, flow, incoming, reply, range, flag);
            }
        }
    }

    /// Sends a response, where one is wanted (RFC 4975 §7.1.4, §7.2).
    pub(super) fn answer(&mut self, now: Now, flow: FlowId, reply: &Reply, status: Status) {
        if reply.report || !reply.failure_report.wants(status) {
            return;
        }
        self.metrics.count("msrp.responses_out");
        let Paths { to: own, from: back, back: written } = &*reply.paths;
        if reply.first_hop && !written.is_empty() {
            return self
                .control(now, flow, |out| write::short_response(out, reply.id.as_bytes(), status, written));
        }
        let to = if reply.first_hop { back.get(..1).unwrap_or_default() } else { back };
        let Some(from) = own.last() else { return };
        self.control(now, flow, |out| write::response(out, reply.id.as_bytes(), status, to, from));
    }

    /// Writes a response, request or report behind those that wait. A peer that reads none of them is not waited for
    /// (threats B11).
    pub(super) fn control(&mut self, now: Now, flow: FlowId, write: impl FnOnce(&mut Vec<u8>)) {
        let max = self.limits.max_output;
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        write(connection.control.end_with_room());
        match LimitExceeded::check("msrp.max_output", connection.control.len(), max) {
            Ok(()) => self.wants_write(flow),
            Err(limit) => {
                self.fault(flow, FaultKind::Limit(limit));
                self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Limit(limit));
            }
        }
    }

    fn on_response(
        &mut self,
        now: Now,
        flow: FlowId,
        tid: Option<Tid>,
        status: Status,
        head: Option<Box<Head>>,
    ) {
        self.metrics.count("msrp.responses_in");
        let connection = self.connections.get(&flow).zip(tid);
        let known = connection.and_then(|(c, tid)| Some((tid, c.transactions.get(&tid)?.kind)));
        let Some((tid, kind)) = known else { return self.fault(flow, FaultKind::UnexpectedResponse) };
        match kind {
            TransactionKind::Chunk(..) => self.chunk_answered(now, flow, tid, status),
            TransactionKind::Bind(session) => {
                self.unregister(flow, &tid);
                if status.is_success() {
                    self.confirm(session, flow);
                } else if self.sessions.get(&session).is_some_and(|s| s.flow() == Some(flow)) {
                    self.lose_session(now, session, LostReason::Refused(status));
                }
            }
            TransactionKind::Request(request) => {
                self.unregister(flow, &tid);
                self.request_answered(now, request, head);
                self.release(now, flow);
            }
        }
    }

    /// The far side took a request of ours: an active session is bound.
    pub(super) fn confirm(&mut self, session: SessionId, flow: FlowId) {
        if self.sessions.get(&session).is_some_and(|s| s.binding == Binding::Connected(flow)) {
            self.bound(flow, session);
        }
    }
}
