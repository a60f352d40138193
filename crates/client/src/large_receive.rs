//! Receiving a Large Message Mode CPM Standalone Message (TS 7.2.2.2): INVITE, MSRP, BYE.

use crate::inbound::{Answer, Unacceptable, copy_ids};
use crate::media::{SIGNALLING, STALLED, Way, read_sdp, way};
use crate::origin::Origin;
use crate::{Client, ClientEvent, ReceivedId};
use core::net::SocketAddr;
use cpm_base::{FlowId, Instant, Now, Trust};
use cpm_core::feature::CpmFeature;
use cpm_core::warning::{Reason, refusal};
use cpm_core::{Ports, Query, QueryId};
use cpm_msrp::{ChunkId, IncomingId, MsrpUri, Reassembly, SessionId, Status};
use cpm_sdp::{Negotiated, RemoteOffer, Role};
use cpm_sip::{ContentType, HeaderName, HeaderText, MessageUid, Request, Response, StatusCode};
use cpm_ua::{DialogEnd, DialogId, RequestId};
use std::collections::BTreeMap;

/// A large message on its way in.
#[derive(Debug)]
pub(crate) struct LargeIn {
    origin: Origin,
    dialog: DialogId,
    local: MsrpUri,
    negotiated: Negotiated,
    session: Option<SessionId>,
    transfer: Option<IncomingId>,
    assembly: Reassembly,
    stage: Stage,
    /// The last chunk, which is answered when the message is kept.
    last: Option<ChunkId>,
    /// The message, once it was shown.
    shown: Option<ReceivedId>,
    /// Messages that this session may not carry, and the answer to their chunks.
    refused: BTreeMap<IncomingId, Status>,
    /// When it is given up if nothing happens.
    deadline: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The 200 is not acknowledged.
    Answered,
    /// The name in the offer is being resolved.
    Resolving(QueryId),
    /// Octets come in.
    Receiving,
    /// All octets are there; the store is asked before this chunk is answered.
    Storing(ChunkId),
    /// The message was taken; the far side says BYE.
    Taken,
    /// The message was refused for good; the far side says BYE.
    Refused,
}

impl Client {
    /// An INVITE outside of a dialog. It is answered at once, so that a CANCEL always comes too late and gets no more than
    /// the endpoint's 200.
    // req: 7.2.2.2-p1, 7.2.2.2-p3
    pub(crate) fn handle_invite(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: RequestId,
        flow: FlowId,
        request: &Request,
    ) {
        let trust = ports.sip.flow_info(flow).map_or(Trust::Outside, |info| info.trust);
        if let Err(response) = self.take_invite(now, ports, id, request, trust) {
            self.metrics.count("client.invite_refused");
            self.answer(now, ports, id, *response);
        }
    }

    fn take_invite(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: RequestId,
        request: &Request,
        trust: Trust,
    ) -> Result<(), Box<Response>> {
        let refuse = |status, why: Option<&str>| Box::new(refusal(request, status, why));
        let origin = Origin::read(request, trust, now.wall)
            .map_err(|error| refuse(StatusCode::BAD_REQUEST, Some(&error.to_string())))?;
        if origin.is_for_another_than(&self.config.instance) {
            return Err(refuse(StatusCode::BUSY_HERE, None));
        }
        if !is_large_message(&origin) {
            return Err(refuse(StatusCode::NOT_ACCEPTABLE_HERE, None));
        }
        if self.large_messages() >= self.config.limits.max_sessions {
            return Err(refuse(StatusCode::TEMPORARILY_UNAVAILABLE, None));
        }
        let offer = self.read_offer(request)?;
        if offer.file_size().is_some_and(|size| size > self.config.limits.max_message) {
            return Err(refuse(StatusCode::FORBIDDEN, Some(Reason::Size.text())));
        }
        // req: 7.2.2.2-2.c, 7.2.2.2-2.c.i, 7.2.2.2-2.c.ii, 7.2.2.2-2.c.iii, 7.2.2.2-2.c.iv, 7.2.2.2-2.c.v
        // req: 7.2.2.2-2.c.vi, 7.2.2.2-2.c.vii, 5.2.1.4-p7, 5.2.1.4-b4
        let (local, place) = self.media_place(ports);
        let media = self.media_rules().answered(&offer, None, place).map_err(cpm_sdp::OfferRefused::from);
        let ids = self.session_ids();
        let answer = media.and_then(|media| offer.answer(&ids, &media));
        let (answer, negotiated) = answer.map_err(|error| {
            let status = StatusCode::new(error.status()).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE);
            refuse(status, Some(&error.to_string()))
        })?;
        // req: 7.2.2.2-2, 7.2.2.2-3
        let mut response = Response::for_request(request, StatusCode::OK)
            .with_typed(&self.contact(CpmFeature::LargeMessage, false))
            .with_header(HeaderName::ContentType, HeaderText::sanitized("application/sdp"));
        copy_ids(request, &mut response);
        response.set_body(answer.to_bytes());
        let Ok(dialog) = ports.sip.accept(now, id, response) else {
            self.metrics.count("client.response_too_late");
            return Ok(());
        };
        let large = LargeIn {
            origin,
            dialog,
            local,
            negotiated,
            session: None,
            transfer: None,
            assembly: Reassembly::new(self.config.limits.max_message),
            stage: Stage::Answered,
            last: None,
            shown: None,
            refused: BTreeMap::new(),
            deadline: now.mono.plus(SIGNALLING),
        };
        // An offerer that connects does so on our 200: its first request may overtake the ACK, and finds the session.
        match large.negotiated.role {
            Role::Passive => self.receive_from(now, ports, large, None),
            Role::Active => self.receiving.push(large),
        }
        Ok(())
    }

    /// The offer, if this client can take what it announces.
    // req: 7.2.2.2-1
    fn read_offer(&self, request: &Request) -> Result<RemoteOffer, Box<Response>> {
        let refuse = |status, why: &str| Box::new(refusal(request, status, Some(why)));
        let content_type = request.typed::<ContentType>().ok().flatten();
        if !content_type.is_some_and(|content_type| content_type.is("application/sdp")) {
            return Err(refuse(StatusCode::NOT_ACCEPTABLE_HERE, "no session description"));
        }
        let description =
            read_sdp(request.body()).map_err(|error| refuse(StatusCode::BAD_REQUEST, &error))?;
        let offer = RemoteOffer::read(&description)
            .map_err(|error| refuse(StatusCode::NOT_ACCEPTABLE_HERE, &error.to_string()))?;
        let wrapped = offer.accept_wrapped_types();
        let shown = |offered: &String| offered == "*" || cpm_sdp::accepts(&self.config.accept, offered);
        if !wrapped.is_empty() && !wrapped.iter().any(shown) {
            return Err(refuse(StatusCode::NOT_ACCEPTABLE_HERE, "none of the content types can be shown"));
        }
        if !offer.direction().sends() {
            return Err(refuse(StatusCode::NOT_ACCEPTABLE_HERE, "the offer sends nothing"));
        }
        Ok(offer)
    }

    fn receiving_at(&mut self, is: impl Fn(&LargeIn) -> bool) -> Option<&mut LargeIn> {
        self.receiving.iter_mut().find(|large| is(large))
    }

    fn take_receiving(&mut self, is: impl Fn(&LargeIn) -> bool) -> Option<LargeIn> {
        let at = self.receiving.iter().position(is)?;
        Some(self.receiving.swap_remove(at))
    }

    /// The ACK: now the media connection is made.
    // req: 7.2.2.2-onACK-1, 7.2.2.2-onACK-2, 7.2.2.2-onACK-3, 7.2.2.2-onACK-4, 7.2.2.2-onACK-5
    pub(crate) fn acknowledged(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, dialog: DialogId) {
        let ours = |large: &LargeIn| large.dialog == dialog && large.stage == Stage::Answered;
        let Some(large) = self.take_receiving(ours) else { return };
        match way(&large.negotiated) {
            Way::To(at) => self.receive_from(now, ports, large, Some(at)),
            Way::Ask(name) => {
                let query = ports.host.query(Query::Resolve(name));
                self.receiving.push(LargeIn { stage: Stage::Resolving(query), ..large });
            }
        }
    }

    fn receive_from(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        mut large: LargeIn,
        to: Option<SocketAddr>,
    ) {
        match self.open_session(now, ports, &large.local, &large.negotiated, to) {
            Ok(session) => {
                large.session = Some(session);
                large.stage = Stage::Receiving;
                large.deadline = now.mono.plus(STALLED);
                self.receiving.push(large);
            }
            Err(_) => self.give_up(now, ports, &large),
        }
    }

    /// The name in an offer was resolved.
    pub(crate) fn media_resolved(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        query: QueryId,
        targets: &[(cpm_base::Transport, SocketAddr)],
    ) {
        let to = targets.first().map(|(_, at)| *at);
        if self.sending_resolved(now, ports, query, to) {
            return;
        }
        let Some(large) = self.take_receiving(|large| large.stage == Stage::Resolving(query)) else { return };
        match to {
            Some(at) => self.receive_from(now, ports, large, Some(at)),
            None => self.give_up(now, ports, &large),
        }
    }

    /// Everything that the MSRP endpoint says.
    pub(crate) fn handle_msrp(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        event: cpm_msrp::Event,
    ) {
        use cpm_msrp::Event;
        match event {
            Event::Bound { session } => {
                self.sending_bound(now, ports, session);
            }
            Event::BindFailed { session, .. } | Event::Lost { session, .. } => {
                self.media_lost(now, ports, session)
            }
            Event::Incoming { session, transfer, total, head } => {
                self.incoming(now, session, transfer, head.content_type().unwrap_or_default(), total);
            }
            Event::Data { transfer, offset, bytes } => self.data(now, transfer, offset, &bytes),
            Event::ChunkEnd { transfer, chunk, complete, .. } => {
                self.chunk_end(now, ports, transfer, chunk, complete)
            }
            Event::Aborted { transfer, .. } => self.aborted(now, ports, transfer),
            Event::Progress { transfer, .. } => self.transfer_progress(now, transfer),
            Event::Sent { transfer } => self.transfer_sent(now, ports, transfer),
            Event::SendFailed { transfer, status, .. } => {
                self.transfer_failed(now, ports, transfer, status.map(|status| status.code()));
            }
            _ => {}
        }
    }

    /// A message begins. One session carries one message (TS 5.1-p1), and that is a CPIM message.
    fn incoming(
        &mut self,
        now: Now,
        session: SessionId,
        transfer: IncomingId,
        content_type: &str,
        total: Option<u64>,
    ) {
        let max = self.config.limits.max_message;
        let Some(large) = self.receiving_at(|large| large.session == Some(session)) else { return };
        let cpim = cpm_mime::ContentType::parse(content_type).is_ok_and(|it| it.is("message/cpim"));
        let status = match large.stage {
            Stage::Receiving if large.transfer.is_some() => Status::FORBIDDEN,
            Stage::Receiving if !cpim => Status::UNSUPPORTED_MEDIA,
            Stage::Receiving if total.is_some_and(|total| total > max) => Status::STOP,
            Stage::Receiving => {
                large.transfer = Some(transfer);
                large.deadline = now.mono.plus(STALLED);
                return;
            }
            _ => Status::FORBIDDEN,
        };
        large.refused.insert(transfer, status);
    }

    fn data(&mut self, now: Now, transfer: IncomingId, offset: u64, octets: &[u8]) {
        let Some(large) = self.receiving_at(|large| large.transfer == Some(transfer)) else { return };
        large.deadline = now.mono.plus(STALLED);
        if large.stage == Stage::Receiving && large.assembly.push(offset, octets).is_err() {
            large.stage = Stage::Refused;
        }
    }

    /// A chunk is in: all but the last are answered at once, the last when the store has the message.
    // req: 7.2.2.2-p5.1, 7.2.2.2-p5.2
    fn chunk_end(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        transfer: IncomingId,
        chunk: ChunkId,
        complete: Option<u64>,
    ) {
        let ours = |large: &LargeIn| large.transfer == Some(transfer);
        let Some(mut large) = self.take_receiving(ours) else {
            return self.refuse_chunk(now, ports, transfer, chunk);
        };
        let status = match (large.stage, complete) {
            (Stage::Receiving, Some(total)) => {
                let assembly = core::mem::replace(&mut large.assembly, Reassembly::new(0));
                large.stage = Stage::Storing(chunk);
                large.last = Some(chunk);
                large.deadline = now.mono.plus(SIGNALLING);
                let origin = large.origin.clone();
                self.receiving.push(large);
                return self.complete(now, ports, origin, chunk, assembly, total);
            }
            (Stage::Receiving, None) => Status::OK,
            _ => Status::STOP,
        };
        ports.msrp.respond(now, chunk, status);
        self.receiving.push(large);
    }

    /// A chunk of a message that its session may not carry. The endpoint answers further ones likewise.
    fn refuse_chunk(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        transfer: IncomingId,
        chunk: ChunkId,
    ) {
        let status = self.receiving.iter_mut().find_map(|large| large.refused.remove(&transfer));
        ports.msrp.respond(now, chunk, status.unwrap_or(Status::FORBIDDEN));
    }

    fn complete(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        origin: Origin,
        chunk: ChunkId,
        assembly: Reassembly,
        total: u64,
    ) {
        let refused = match assembly.finish(total) {
            Ok(octets) => match self.keep(now, ports, origin, octets, Answer::Large(chunk)) {
                Ok(()) => return,
                Err(Unacceptable::Malformed(_)) => Status::BAD_REQUEST,
                Err(Unacceptable::Unsupported) => Status::UNSUPPORTED_MEDIA,
                Err(Unacceptable::NoResources) => Status::STOP,
            },
            Err(_) => Status::BAD_REQUEST,
        };
        self.metrics.count("client.large_refused");
        ports.msrp.respond(now, chunk, refused);
        self.stored_stage(now, chunk, Stage::Refused);
    }

    /// The store has the message, or not: the last chunk gets its answer.
    pub(crate) fn large_kept(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        chunk: ChunkId,
        kept: bool,
    ) {
        let (status, stage) = if kept { (Status::OK, Stage::Taken) } else { (Status::STOP, Stage::Refused) };
        ports.msrp.respond(now, chunk, status);
        self.stored_stage(now, chunk, stage);
    }

    fn stored_stage(&mut self, now: Now, chunk: ChunkId, stage: Stage) {
        if let Some(large) = self.receiving_at(|large| large.stage == Stage::Storing(chunk)) {
            large.stage = stage;
            large.deadline = now.mono.plus(SIGNALLING);
        }
    }

    /// A message is shown: the BYE of its session may say more about it.
    pub(crate) fn remember_shown(&mut self, answer: &Answer, id: ReceivedId) {
        let Answer::Large(chunk) = answer else { return };
        if let Some(large) = self.receiving_at(|large| large.last == Some(*chunk)) {
            large.shown = Some(id);
        }
    }

    /// The sender gave the message up, or it broke the protocol.
    fn aborted(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, transfer: IncomingId) {
        for large in &mut self.receiving {
            large.refused.remove(&transfer);
        }
        let ours = |large: &LargeIn| large.transfer == Some(transfer) && large.stage == Stage::Receiving;
        if let Some(large) = self.take_receiving(ours) {
            self.give_up(now, ports, &large);
        }
    }

    fn media_lost(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, session: SessionId) {
        if self.sending_lost(now, ports, session) {
            return;
        }
        let Some(mut large) = self.take_receiving(|large| large.session == Some(session)) else { return };
        large.session = None;
        match large.stage {
            Stage::Storing(_) | Stage::Taken | Stage::Refused => self.receiving.push(large),
            _ => self.give_up(now, ports, &large),
        }
    }

    /// Ends what came to nothing: BYE, media released.
    fn give_up(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, large: &LargeIn) {
        self.metrics.count("client.large_given_up");
        self.release(now, ports, large);
        self.bye(now, ports, large.dialog, 480, "Transmission Failed");
    }

    fn release(&self, now: Now, ports: &mut Ports<'_, ClientEvent>, large: &LargeIn) {
        if let Some(session) = large.session {
            ports.msrp.close_session(now, session);
        }
    }

    /// BYE of the far side, of a message that we get or of one that we send.
    // req: 7.2.2.2-p6.1
    pub(crate) fn ended_by_peer(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: RequestId,
        dialog: DialogId,
        request: &Request,
    ) {
        self.answer(now, ports, id, Response::for_request(request, StatusCode::OK));
        if let Some(uid) = request.typed::<MessageUid>().ok().flatten() {
            self.stored_by_network(now, ports, dialog, &uid.0.to_string());
        }
        self.over(now, ports, dialog);
    }

    /// The BYE names the UID of the message in the user's message store (TS 7.2.2.2-p6.2).
    // req: 7.2.2.2-p6.2
    fn stored_by_network(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        dialog: DialogId,
        uid: &str,
    ) {
        let Some(large) = self.receiving_at(|large| large.dialog == dialog) else { return };
        let (shown, last) = (large.shown, large.last);
        if let Some(id) = shown {
            self.name_message(now, ports, id, uid);
            ports.host.event(ClientEvent::StoredByNetwork { id, message_uid: uid.to_owned() });
        } else if let Some(chunk) = last {
            self.name_stored(chunk, uid);
        }
    }

    /// The dialog is gone by itself.
    pub(crate) fn dialog_ended(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        dialog: DialogId,
        why: DialogEnd,
    ) {
        match why {
            // Told already: by the answer to our BYE, or by the BYE itself.
            DialogEnd::LocalBye | DialogEnd::RemoteBye => {}
            DialogEnd::NotAcknowledged => {
                self.bye(now, ports, dialog, 480, "Transmission Failed");
                self.over(now, ports, dialog);
            }
            _ => self.over(now, ports, dialog),
        }
    }

    fn over(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, dialog: DialogId) {
        if self.sending_ended(now, ports, dialog) {
            return;
        }
        // A message that is with the store already is shown when it is kept.
        if let Some(large) = self.take_receiving(|large| large.dialog == dialog) {
            self.release(now, ports, &large);
        }
    }

    pub(crate) fn receiving_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        while let Some(large) = self.take_receiving(|large| large.deadline <= now.mono) {
            if large.stage == Stage::Taken {
                // All is through; the far side forgot its BYE.
                self.release(now, ports, &large);
                self.bye(now, ports, large.dialog, 200, "Call completed");
            } else {
                self.give_up(now, ports, &large);
            }
        }
    }

    pub(crate) fn receiving_next_timeout(&self) -> Option<Instant> {
        self.receiving.iter().map(|large| large.deadline).min()
    }
}

/// Whether an INVITE is about a large message: one that says so, or a deferred one (TS 7.2.2.2-p1). Deferred chat goes
/// by the same feature, but under the service of a session.
// req: 7-b11
fn is_large_message(origin: &Origin) -> bool {
    let of_session = matches!(
        origin.service.map(|service| service.feature),
        Some(CpmFeature::Session | CpmFeature::FileTransfer)
    );
    origin.features.contains(&CpmFeature::LargeMessage)
        || (origin.features.contains(&CpmFeature::Deferred) && !of_session)
}
