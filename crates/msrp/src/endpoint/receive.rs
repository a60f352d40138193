//! Receiving: requests find their session, chunks become events, answers go out when the user releases them
//! (RFC 4975 §7.2, §7.3).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::{CloseReason, FlowId, LimitExceeded, Now};

use super::connection::TransactionKind;
use super::{Binding, Endpoint, Timer};
use crate::event::{Event, FaultKind, IncomingId, LostReason, Matching, SendFailure, SessionId, TransferId};
use crate::head::{BadHead, Head, Method, StartLine};
use crate::parser::{Frame, FramingError};
use crate::uri::MsrpUri;
use crate::values::{ContinuationFlag, FailureReport, Status};
use crate::write;

/// What is needed to answer a request.
#[derive(Clone)]
pub(super) struct Reply {
    id: String,
    to: MsrpUri,
    from: MsrpUri,
    failure_report: FailureReport,
    /// REPORTs are never answered (RFC 4975 §7.1.2).
    report: bool,
}

/// What is being received on a connection.
pub(super) enum Inbound {
    /// Whatever it is, it has been dealt with.
    Skip,
    Response(String, Status),
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
            id: head.transaction_id().to_string(),
            to: head.from_path().first()?.clone(),
            from: head.to_path().last()?.clone(),
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
        while let Some(frame) = self.connections.get_mut(&flow).and_then(|c| c.parser.next()) {
            match frame {
                Frame::Head(head) => self.on_head(now, flow, head),
                Frame::BadHead(bad) => self.on_bad_head(now, flow, *bad),
                Frame::Body(octets) => self.on_body(now, flow, octets),
                Frame::End(flag) => self.on_end(now, flow, flag),
                Frame::Lost(error) => self.on_framing_lost(now, flow, error),
            }
        }
    }

    /// Threats B1, B5: nothing on this connection can be understood any more.
    fn on_framing_lost(&mut self, now: Now, flow: FlowId, error: FramingError) {
        self.fault(flow, FaultKind::Framing(error));
        self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Framing(error));
    }

    fn on_bad_head(&mut self, now: Now, flow: FlowId, bad: BadHead) {
        let reply = bad.answer.map(|(to, from)| Reply {
            id: bad.transaction_id,
            to,
            from,
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
            StartLine::Response(status) => Inbound::Response(head.transaction_id().to_string(), *status),
            StartLine::Request(method) => self.on_request(now, flow, method.clone(), head),
        };
        self.set_inbound(flow, inbound);
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
            Method::Other(name) => {
                self.refuse(now, flow, Some(&reply), Status::UNKNOWN_METHOD, FaultKind::UnknownMethod(name))
            }
        }
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
        let is_peer =
            negotiated.zip(head.from_path().last()).is_some_and(|(peer, from)| peer.same_session_id(from));
        if !is_peer {
            return Err(match session.binding {
                Binding::Bound(_) => (Status::FORBIDDEN, FaultKind::OtherPeer),
                _ => (Status::NO_SESSION, FaultKind::OtherPeer),
            });
        }
        self.bind(flow, id);
        Ok(id)
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
            let transfers: Vec<TransferId> = session.transfers.iter().copied().collect();
            self.move_transfers(before, flow, transfers);
        }
        self.metrics.count("msrp.sessions_bound");
        self.event(Event::Bound { session: id });
        self.wants_write(flow);
    }

    /// RFC 4975 §7.3.2. It is never answered.
    fn on_report(&mut self, session: SessionId, head: &Head) {
        let Some(message_id) = head.message_id() else { return };
        let sending = |transfer: &&TransferId| {
            self.transfers.get(transfer).is_some_and(|sending| sending.message_id() == message_id)
        };
        let transfer = self.sessions.get(&session).and_then(|s| s.transfers.iter().find(sending)).copied();
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
            Some(Inbound::Response(id, status)) => self.on_response(now, flow, &id, status),
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
        self.control(now, flow, write::response(&reply.id, status, &reply.to, &reply.from));
    }

    /// Queues a response or report. A peer that reads none of them is not waited for (threats B11).
    pub(super) fn control(&mut self, now: Now, flow: FlowId, octets: Vec<u8>) {
        let max = self.limits.max_output;
        let Some(connection) = self.connections.get_mut(&flow) else { return };
        connection.push_control(Bytes::from(octets));
        match LimitExceeded::check("msrp.max_output", connection.control_octets, max) {
            Ok(()) => self.wants_write(flow),
            Err(limit) => {
                self.fault(flow, FaultKind::Limit(limit));
                self.close_in_fault(now, flow, CloseReason::ProtocolError, LostReason::Limit(limit));
            }
        }
    }

    fn on_response(&mut self, now: Now, flow: FlowId, id: &str, status: Status) {
        self.metrics.count("msrp.responses_in");
        let key = self.connections.get(&flow).and_then(|c| c.transactions.get(id)).copied();
        let Some((key, kind)) = key.and_then(|key| Some((key, self.transactions.get(&key)?.kind))) else {
            return self.fault(flow, FaultKind::UnexpectedResponse);
        };
        match kind {
            TransactionKind::Chunk(..) => self.chunk_answered(now, flow, key, status),
            TransactionKind::Bind(session) => {
                self.unregister(key);
                if status.is_success() {
                    self.confirm(session, flow);
                } else if self.sessions.get(&session).is_some_and(|s| s.flow() == Some(flow)) {
                    self.lose_session(now, session, LostReason::Refused(status));
                }
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
