//! Sending a Large Message Mode CPM Standalone Message (TS 7.2.1.2): INVITE, MSRP, BYE.

use crate::media::{SIGNALLING, STALLED, Way, read_sdp, way};
use crate::outgoing::{self, NotNow, Outgoing};
use crate::pager::message_uid;
use crate::{Client, ClientEvent, Failure, SendRefusal, SentId};
use bytes::Bytes;
use core::net::SocketAddr;
use cpm_base::{Instant, Now};
use cpm_core::feature::CpmFeature;
use cpm_core::{Ports, Query, QueryId};
use cpm_msrp::{FailureReport, MsrpUri, SessionId, TransferId};
use cpm_sdp::{MsrpMedia, Negotiated, PendingOffer, Role};
use cpm_sip::{HeaderName, HeaderText, MessageExpires, Method, Response};
use cpm_ua::{Destination, DialogId, InviteFailure, InviteId, TransactionId};

/// A large message on its way out.
#[derive(Debug)]
pub(crate) struct LargeOut {
    id: SentId,
    cpim: Bytes,
    local: MsrpUri,
    dialog: Option<DialogId>,
    pub(crate) session: Option<SessionId>,
    stage: Stage,
    /// When it is given up if nothing happens; `None` where the endpoints watch over it.
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// The INVITE has no final response.
    Inviting(InviteId, Box<PendingOffer>),
    /// The name in the answer is being resolved.
    Resolving(QueryId, Box<Negotiated>),
    /// The MSRP connection comes up.
    Binding,
    /// Octets go out.
    Sending(TransferId),
    /// BYE is under way; then this is what the user hears.
    Closing(TransactionId, Result<(), Failure>),
}

impl Client {
    /// Whether a message may be sent as a large one.
    pub(crate) fn check_large(
        &self,
        ports: &mut Ports<'_, ClientEvent>,
        outgoing: &Outgoing,
    ) -> Result<(), SendRefusal> {
        if octets(outgoing) > self.config.limits.max_message {
            return Err(SendRefusal::TooLarge);
        }
        if self.large_messages() >= self.config.limits.max_sessions {
            return Err(SendRefusal::Busy);
        }
        self.large_offer(ports, outgoing).map(|_| ()).map_err(SendRefusal::Content)
    }

    /// Our end of the session, and what is offered for it.
    // req: 7.2.1.2-18, 7.2.1.2-18.a, 7.2.1.2-18.b, 7.2.1.2-18.c, 7.2.1.2-18.d, 7.2.1.2-18.e, 7.2.1.2-18.f
    // req: 7.2.1.2-18.g, 7.2.1.2-18.g-n1, 5.2.1.1-p6
    fn large_offer(
        &self,
        ports: &mut Ports<'_, ClientEvent>,
        outgoing: &Outgoing,
    ) -> Result<(MsrpUri, MsrpMedia), String> {
        let octets = octets(outgoing);
        let purpose = cpm_sdp::Purpose::LargeMessage { octets, content: outgoing.content.clone() };
        let (local, place) = self.media_place(ports);
        let media = self.media_rules().offered(&purpose, place).map_err(|error| error.to_string())?;
        Ok((local, media))
    }

    // req: 7.2.1.2-p1, 7.2.1.2-19
    pub(crate) fn launch_large(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        outgoing: &Outgoing,
        lifetime: Option<u32>,
    ) -> Result<(), NotNow> {
        if self.sessions() >= self.config.limits.max_sessions {
            return Err(NotNow::Later);
        }
        let unfit = |error: String| NotNow::Never(Failure::Refused(error));
        let (local, media) = self.large_offer(ports, outgoing).map_err(unfit)?;
        let (offer, pending) =
            cpm_sdp::offer(&self.session_ids(), &media).map_err(|error| unfit(error.to_string()))?;
        let mut request = self.outgoing_request(Method::Invite, outgoing);
        let headers = request.headers_mut();
        headers.push_typed(&self.contact(CpmFeature::LargeMessage, outgoing.anonymous));
        // The network's session timer is its own matter: no Session-Expires, no Min-SE.
        // req: 7.2.1.2-12, 7.2.1.2-13, 7.2.1.2-14
        headers.push(HeaderName::Supported, HeaderText::sanitized("timer"));
        // req: 7.2.1.2-8, C.1.5-p2
        if let Some(seconds) = lifetime {
            headers.push_typed(&MessageExpires(seconds));
        }
        self.set_body(&mut request, &outgoing.sent.to, "application/sdp", offer.to_bytes()).map_err(unfit)?;
        let invite = ports.sip.invite(now, request, Destination::Routed).map_err(|refused| refused.why)?;
        let stage = Stage::Inviting(invite, Box::new(pending));
        let (id, cpim) = (outgoing.sent.id, outgoing.cpim.clone());
        let (dialog, session, deadline) = (None, None, None);
        self.sending.push(LargeOut { id, cpim, local, dialog, session, stage, deadline });
        Ok(())
    }

    /// Stops a message that is not on the wire yet, or a large message that has no final response yet (TS 7.2.1.2-p2).
    /// Returns whether there was one to stop; [`ClientEvent::SendFailed`] follows.
    // req: 7.2.1.2-p2
    pub fn cancel_message(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, id: SentId) -> bool {
        if self.outbox.get(&id).is_some_and(|outgoing| outgoing.stage != outgoing::Stage::UnderWay) {
            self.finished(now, ports, id, Err(Failure::Cancelled));
            self.launch_waiting(now, ports);
            return true;
        }
        let invite = self.sending.iter().find_map(|large| match large.stage {
            Stage::Inviting(invite, _) if large.id == id => Some(invite),
            _ => None,
        });
        invite.is_some_and(|invite| ports.sip.cancel(now, invite).is_ok())
    }

    /// Large messages under way, both ways, and those of ours that are to be.
    pub(crate) fn large_messages(&self) -> usize {
        let to_be = self.outbox.values();
        let to_be = to_be.filter(|out| out.sent.large && out.stage != outgoing::Stage::UnderWay);
        self.sessions().saturating_add(to_be.count())
    }

    fn sessions(&self) -> usize {
        self.sending.len().saturating_add(self.receiving.len())
    }

    fn take_sending(&mut self, is: impl Fn(&LargeOut) -> bool) -> Option<LargeOut> {
        let at = self.sending.iter().position(is)?;
        Some(self.sending.swap_remove(at))
    }

    /// The 2xx: ACK, then the media connection.
    // req: 7.2.1.2-on200-B
    pub(crate) fn invite_accepted(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        invite: InviteId,
        dialog: DialogId,
        response: &Response,
    ) {
        let confirmed = ports.sip.confirm(now, dialog, None);
        let Some(mut large) =
            self.take_sending(|large| matches!(large.stage, Stage::Inviting(id, _) if id == invite))
        else {
            return;
        };
        large.dialog = Some(dialog);
        if confirmed.is_err() {
            return self.close(now, ports, large, Err(Failure::Transport));
        }
        let Stage::Inviting(_, offer) = large.stage else { return };
        large.stage = Stage::Binding;
        match agree(*offer, response) {
            Ok(negotiated) => self.connect(now, ports, large, negotiated),
            Err(what) => self.close(now, ports, large, Err(Failure::BadAnswer(what))),
        }
    }

    /// Active or passive as negotiated (readings H1).
    // req: 5.2.1.1-B.i, 5.2.1.1-B.ii, 7.2.1.2-on200-C, 7.2.1.2-on200-D, 7.2.1.2-on200-E, 7.2.1.2-on200-F
    fn connect(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        mut large: LargeOut,
        negotiated: Negotiated,
    ) {
        match (negotiated.role, way(&negotiated)) {
            (Role::Passive, _) => self.bind(now, ports, large, &negotiated, None),
            (Role::Active, Way::To(at)) => self.bind(now, ports, large, &negotiated, Some(at)),
            (Role::Active, Way::Ask(name)) => {
                let query = ports.host.query(Query::Resolve(name));
                large.deadline = Some(now.mono.plus(SIGNALLING));
                large.stage = Stage::Resolving(query, Box::new(negotiated));
                self.sending.push(large);
            }
        }
    }

    fn bind(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        mut large: LargeOut,
        negotiated: &Negotiated,
        to: Option<SocketAddr>,
    ) {
        match self.open_session(now, ports, &large.local, negotiated, to) {
            Ok(session) => {
                large.session = Some(session);
                large.stage = Stage::Binding;
                large.deadline = None;
                self.sending.push(large);
            }
            Err(what) => self.close(now, ports, large, Err(Failure::BadAnswer(what))),
        }
    }

    /// The name in an answer was resolved. Returns whether the query was ours.
    pub(crate) fn sending_resolved(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        query: QueryId,
        to: Option<SocketAddr>,
    ) -> bool {
        let ours = |large: &LargeOut| matches!(&large.stage, Stage::Resolving(id, _) if *id == query);
        let Some(mut large) = self.take_sending(ours) else { return false };
        let Stage::Resolving(_, negotiated) = core::mem::replace(&mut large.stage, Stage::Binding) else {
            return false;
        };
        match to {
            Some(at) => self.bind(now, ports, large, &negotiated, Some(at)),
            None => self.close(now, ports, large, Err(Failure::Media(None))),
        }
        true
    }

    // req: 7.2.1.2-p4
    pub(crate) fn invite_failed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        invite: InviteId,
        response: Option<&Response>,
        why: InviteFailure,
    ) {
        let ours = |large: &LargeOut| matches!(large.stage, Stage::Inviting(id, _) if id == invite);
        let Some(large) = self.take_sending(ours) else { return };
        let failure = match (why, response) {
            (InviteFailure::Cancelled, _) => Failure::Cancelled,
            (_, Some(response)) if response.status().is_success() => {
                Failure::BadAnswer("no dialog can be made of it".to_owned())
            }
            (_, Some(response)) => Failure::rejected(response),
            (InviteFailure::Timeout, None) => Failure::Timeout,
            (_, None) => Failure::Transport,
        };
        self.finished(now, ports, large.id, Err(failure));
        self.launch_waiting(now, ports);
    }

    /// The session is bound: the message goes out. Returns whether the session was ours.
    // req: 7.2.1.2-on200-G, 7.2.1.2-on200-H, 7.2.1.2-on200-H.1, 7.2.1.2-on200-H.2, 7.2.1.2-on200-H.3, 7.2.1.2-on200-I
    pub(crate) fn sending_bound(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        session: SessionId,
    ) -> bool {
        let Some(mut large) = self.take_sending(|large| large.session == Some(session)) else { return false };
        if !matches!(large.stage, Stage::Binding) {
            self.sending.push(large);
            return true;
        }
        let outgoing = cpm_msrp::Outgoing {
            message_id: None,
            content_type: "message/cpim".into(),
            body: large.cpim.clone().into(),
            success_report: false,
            failure_report: FailureReport::Yes,
        };
        match ports.msrp.send(now, session, outgoing) {
            Ok(transfer) => {
                large.stage = Stage::Sending(transfer);
                large.deadline = Some(now.mono.plus(STALLED));
                self.sending.push(large);
            }
            Err(_) => self.close(now, ports, large, Err(Failure::Media(None))),
        }
        true
    }

    /// The far side has taken more of it.
    pub(crate) fn transfer_progress(&mut self, now: Now, transfer: TransferId) {
        let ours = |large: &&mut LargeOut| matches!(large.stage, Stage::Sending(id) if id == transfer);
        if let Some(large) = self.sending.iter_mut().find(ours) {
            large.deadline = Some(now.mono.plus(STALLED));
        }
    }

    /// Every chunk was answered with 200.
    pub(crate) fn transfer_sent(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        transfer: TransferId,
    ) {
        let ours = |large: &LargeOut| matches!(large.stage, Stage::Sending(id) if id == transfer);
        if let Some(large) = self.take_sending(ours) {
            self.close(now, ports, large, Ok(()));
        }
    }

    /// A chunk was answered with something else, or not at all.
    // req: 7.2.1.2-onNon200-1
    pub(crate) fn transfer_failed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        transfer: TransferId,
        status: Option<u16>,
    ) {
        let ours = |large: &LargeOut| matches!(large.stage, Stage::Sending(id) if id == transfer);
        if let Some(large) = self.take_sending(ours) {
            self.close(now, ports, large, Err(Failure::Media(status)));
        }
    }

    /// The MSRP session is gone. Returns whether it was ours.
    pub(crate) fn sending_lost(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        session: SessionId,
    ) -> bool {
        let Some(mut large) = self.take_sending(|large| large.session == Some(session)) else { return false };
        large.session = None;
        match large.stage {
            Stage::Closing(..) => self.sending.push(large),
            _ => self.close(now, ports, large, Err(Failure::Media(None))),
        }
        true
    }

    /// BYE with the reason that fits (TS 7.2.1.2-onDone, -onNon200).
    // req: 7.2.1.2-onDone-1, 7.2.1.2-onDone-2, 7.2.1.2-onNon200-2, 7.2.1.2-onNon200-3
    fn close(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        mut large: LargeOut,
        outcome: Result<(), Failure>,
    ) {
        let (cause, text) = match &outcome {
            Ok(()) => (200, "Call completed"),
            Err(Failure::BadAnswer(_)) => (488, "Not Acceptable Here"),
            Err(_) => (480, "Transmission Failed"),
        };
        let bye = large.dialog.and_then(|dialog| self.bye(now, ports, dialog, cause, text));
        match bye {
            Some(bye) => {
                large.deadline = None;
                large.stage = Stage::Closing(bye, outcome);
                self.sending.push(large);
            }
            None => self.finish(now, ports, &large, outcome, None),
        }
    }

    /// The BYE has its final response, or will have none: the media is released and the user hears what became of it.
    // req: 7.2.1.2-onDone-2, 7.2.1.2-onDone-3
    pub(crate) fn bye_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        bye: TransactionId,
        response: Option<&Response>,
    ) {
        let ours = |large: &LargeOut| matches!(large.stage, Stage::Closing(id, _) if id == bye);
        let Some(mut large) = self.take_sending(ours) else { return };
        if let Stage::Closing(_, outcome) = core::mem::replace(&mut large.stage, Stage::Binding) {
            self.finish(now, ports, &large, outcome, response.and_then(message_uid));
        }
    }

    // req: 7.2.1.2-onNon200-4
    fn finish(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        large: &LargeOut,
        outcome: Result<(), Failure>,
        message_uid: Option<String>,
    ) {
        if let Some(session) = large.session {
            ports.msrp.close_session(now, session);
        }
        self.finished(now, ports, large.id, outcome.map(|()| message_uid));
        // There is room for one that waits.
        self.launch_waiting(now, ports);
    }

    /// What stands still, because the host does not resolve a name or the far side does not read, is given up.
    pub(crate) fn sending_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        let due = |large: &LargeOut| large.deadline.is_some_and(|deadline| deadline <= now.mono);
        while let Some(large) = self.take_sending(due) {
            if let Stage::Sending(transfer) = large.stage {
                ports.msrp.abort(now, transfer);
            }
            self.close(now, ports, large, Err(Failure::Timeout));
        }
    }

    pub(crate) fn sending_next_timeout(&self) -> Option<Instant> {
        self.sending.iter().filter_map(|large| large.deadline).min()
    }

    /// The far side ended the dialog. Returns whether it was ours.
    pub(crate) fn sending_ended(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        dialog: DialogId,
    ) -> bool {
        let Some(mut large) = self.take_sending(|large| large.dialog == Some(dialog)) else { return false };
        match core::mem::replace(&mut large.stage, Stage::Binding) {
            // Both sides said BYE: what was acknowledged stays acknowledged. Ours still gets its answer.
            Stage::Closing(bye, outcome) => {
                large.stage = Stage::Closing(bye, outcome);
                self.sending.push(large);
            }
            _ => self.finish(now, ports, &large, Err(Failure::EndedByPeer), None),
        }
        true
    }
}

fn octets(outgoing: &Outgoing) -> u64 {
    u64::try_from(outgoing.cpim.len()).unwrap_or(u64::MAX)
}

/// What offer and answer come to, if the message can go that way.
fn agree(offer: PendingOffer, response: &Response) -> Result<Negotiated, String> {
    let answer = read_sdp(response.body())?;
    let negotiated = offer.answered(&answer).map_err(|error| error.to_string())?;
    if !negotiated.direction.sends() {
        return Err("the far side does not receive".to_owned());
    }
    if !negotiated.accepts("message/cpim") {
        return Err("the far side does not take message/cpim".to_owned());
    }
    Ok(negotiated)
}
