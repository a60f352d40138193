//! What server transactions cost: how many a peer may have unanswered, and how many octets those may take that are
//! answered and kept for retransmissions (threats C1, C20).

use super::{Endpoint, Machine, Server};
use crate::endpoint::done::Done;
use crate::endpoint::via::Head;
use crate::event::{Fault, RequestId};
use crate::flows::{Flow, Parcel};
use crate::transaction::invite_server;
use alloc::string::String;
use bytes::Bytes;
use core::net::IpAddr;
use cpm_base::{FlowId, LimitExceeded, Now};
use cpm_sip::{Method, Request, Response, StatusCode};

/// What one peer address has pending.
#[derive(Debug, Default)]
pub(in crate::endpoint) struct PeerLoad {
    pub(super) unanswered: usize,
    pub(super) cancelled: usize,
    /// It was told 503 since it went over its limit: silence until it is below again.
    told: bool,
}

impl Server {
    /// Octets that it costs to remember this transaction once it is answered: itself, its response, and its entries in the
    /// maps and the alarm clock (whose nodes are little more than half full when they are filled in order).
    fn cost(&self) -> usize {
        const ENTRIES: usize = 2 * (16 + 24 + 24 + 16 + 64);
        let response = self.response.as_ref().map_or(0, Parcel::len);
        let tag = self.local_tag.as_ref().map_or(0, String::len);
        response.saturating_add(tag).saturating_add(size_of::<Server>()).saturating_add(ENTRIES)
    }
}

impl Endpoint {
    /// Whether one more request of this flow can be held; says so to the peer when it cannot.
    pub(in crate::endpoint) fn admit(
        &mut self,
        now: Now,
        flow: FlowId,
        head: &Head,
        request: &Request,
    ) -> bool {
        let limits = &self.config.limits;
        let trusted = self.flows.get(flow).is_some_and(Flow::trusted);
        let peer = self.flows.get(flow).map(|f| f.info.peer.ip());
        let load = peer.and_then(|peer| self.peers.get_mut(&peer));
        let all = LimitExceeded::check(
            "tx.max_unanswered",
            self.unanswered.saturating_add(1),
            limits.max_unanswered,
        );
        let of_peer = match (&load, trusted) {
            (Some(load), false) => LimitExceeded::check(
                "tx.max_unanswered_per_peer",
                load.unanswered.saturating_add(1),
                limits.max_unanswered_per_peer,
            )
            .and_then(|()| match request.method() {
                Method::Invite => LimitExceeded::check(
                    "tx.cancelled_pending",
                    load.cancelled.saturating_add(1),
                    limits.max_cancelled_per_peer,
                ),
                _ => Ok(()),
            }),
            _ => Ok(()),
        };
        let Err(limit) = all.and(of_peer) else { return true };
        let silent = load.is_some_and(|load| core::mem::replace(&mut load.told, true));
        self.fault("ua.overload", Fault::Overload { flow, limit });
        if !silent {
            let mut response = Response::for_request(request, StatusCode::SERVICE_UNAVAILABLE);
            response.headers_mut().push_typed(&cpm_sip::RetryAfter { seconds: 5, duration: None });
            self.answer_statelessly(now, flow, head, response);
        }
        false
    }

    /// A transaction has its final response: from now on it is key and response alone.
    pub(super) fn completed(&mut self, now: Now, id: RequestId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        if server.answered() {
            return;
        }
        (server.request, server.octets, server.passing) = (None, None, None);
        let (peer, cancelled) = (server.peer, server.cancelled);
        let cost = server.cost();
        // Its 2xx is still needed, until it is acknowledged or the call over: those are bounded by the number of dialogs.
        let evictable = !matches!(
            &server.machine,
            Machine::Invite(machine) if machine.state() == invite_server::State::Accepted
        );
        let early = server.early.take();
        let invite = server.is_invite();
        if invite {
            // For the same reason.
            server.response =
                server.response.take().map(|response| Bytes::copy_from_slice(&response.into_octets()).into());
        }
        self.less_load(peer, cancelled);
        if let Some(early) = early {
            self.forget_call(early);
        }
        if !invite {
            self.reduce(now, id);
        } else if evictable {
            self.completed.insert(id, cost);
            self.completed_octets = self.completed_octets.saturating_add(cost);
        }
        self.forget_completed(now);
    }

    /// Nobody waits any more for what this transaction sends: from now on it may be forgotten before its time.
    pub(in crate::endpoint) fn may_forget(&mut self, id: RequestId) {
        let Some(server) = self.servers.get(&id).filter(|server| server.answered()) else { return };
        let cost = server.cost();
        if self.completed.insert(id, cost).is_none() {
            self.completed_octets = self.completed_octets.saturating_add(cost);
        }
    }

    /// Forgets the oldest completed transactions while they cost too much.
    fn forget_completed(&mut self, now: Now) {
        while self.completed_octets.saturating_add(self.done.octets())
            > self.config.limits.max_completed_bytes
        {
            let invite = self.completed.first_key_value().map(|(id, _)| *id);
            match (invite, self.done.oldest()) {
                (Some(invite), done) if done.is_none_or(|done| invite < done) => self.end_server(now, invite),
                (_, Some(_)) => self.forget_oldest_done(),
                _ => break,
            }
            self.metrics.count("ua.completed_forgotten");
        }
    }

    /// Nothing but key and response is left of a transaction other than INVITE.
    fn reduce(&mut self, now: Now, id: RequestId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let done = Done {
            id,
            key: server.key,
            merge: server.merge,
            // Written piece by piece, it has room to spare: not for half a minute.
            response: server.response.take().map(Parcel::into_octets).unwrap_or_default().as_ref().into(),
            reply: server.reply.clone(),
            until: now.mono.plus(self.config.timers.patience()),
        };
        self.end_server(now, id);
        self.keep_done(done);
    }

    pub(super) fn less_load(&mut self, peer: Option<IpAddr>, cancelled: bool) {
        self.unanswered = self.unanswered.saturating_sub(1);
        let Some(peer) = peer else { return };
        let Some(load) = self.peers.get_mut(&peer) else { return };
        load.unanswered = load.unanswered.saturating_sub(1);
        load.cancelled = load.cancelled.saturating_sub(usize::from(cancelled));
        let limits = &self.config.limits;
        if load.unanswered < limits.max_unanswered_per_peer && load.cancelled < limits.max_cancelled_per_peer
        {
            load.told = false;
        }
        if load.unanswered == 0 {
            self.peers.remove(&peer);
        }
    }

    /// The peer cancelled an INVITE that awaits its answer.
    pub(in crate::endpoint) fn mark_cancelled(&mut self, id: RequestId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        if core::mem::replace(&mut server.cancelled, true) {
            return;
        }
        if let Some(reliable) = &mut server.reliable {
            reliable.held = None;
        }
        if let Some(load) = server.peer.and_then(|peer| self.peers.get_mut(&peer)) {
            load.cancelled = load.cancelled.saturating_add(1);
        }
    }
}
