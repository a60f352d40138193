//! The server side (RFC 3261 §8.2, §9.2, §12.2.2, §13.3): requests in dialogs, CANCEL, 2xx to INVITE, ACK.

use super::Endpoint;
use super::calls::{Call, Phase};
use super::descriptions::{begun_by_peer, description_of};
use super::dialogs::Dialog;
use super::server::Owner;
use super::via::Head;
use crate::error::{Refusal, Refused, RespondRefused};
use crate::event::{DialogId, Event, Fault, OfferOf, RequestId};
use crate::session::exchange::{Message, Side};
use crate::session::timer;
use cpm_base::{FlowId, Now};
use cpm_sip::{Contact, HeaderName, Method, Request, Response, StatusCode};

impl Endpoint {
    /// A request in one of our dialogs (RFC 3261 §12.2.2).
    pub(super) fn request_in_dialog(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        head: &Head,
        dialog: DialogId,
    ) {
        let request = self.servers.get(&id).and_then(|server| server.whole_request());
        let (Some(request), Some(known)) = (request, self.dialogs.get_mut(&dialog)) else { return };
        let method = request.method();
        let of_call = matches!(method, Method::Invite | Method::Update | Method::Prack | Method::Bye);
        let missing = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        let status = match known.call_state() {
            Some((Phase::Ended { .. }, _)) if of_call || known.usages.is_empty() => Some(missing),
            // A number that was used already, in another transaction, is out of order as well.
            _ if known.remote_cseq.is_some_and(|last| head.cseq <= last) => {
                Some(StatusCode::SERVER_INTERNAL_ERROR)
            }
            None if of_call => Some(missing),
            // The BYE of both sides crossed: ours says all there is to say.
            Some((_, Some(_))) if *method == Method::Bye => Some(StatusCode::OK),
            // RFC 5407 §3.2: our BYE is on its way.
            Some((_, Some(_))) if of_call || *method == Method::Refer => Some(missing),
            _ => None,
        };
        if known.remote_cseq.is_none_or(|last| head.cseq > last) {
            known.remote_cseq = Some(head.cseq);
        }
        match status {
            Some(StatusCode::OK) => {
                self.answer_ourselves(now, id, Response::for_request(&request, StatusCode::OK))
            }
            Some(status) => self.refuse(now, flow, id, Response::for_request(&request, status)),
            None => {
                if let Some(server) = self.servers.get_mut(&id) {
                    server.in_dialog = Some(dialog);
                }
                self.take_in_dialog(now, flow, id, dialog, *request);
            }
        }
    }

    /// A request that is in order in its dialog.
    fn take_in_dialog(&mut self, now: Now, flow: FlowId, id: RequestId, dialog: DialogId, request: Request) {
        let message = match request.method() {
            Method::Prack => return self.prack_received(now, flow, id, dialog, request),
            Method::Invite => Message::Invite,
            Method::Update => Message::Update,
            _ if self.usage_request_inside(now, flow, id, dialog, &request) => return,
            _ => return self.event(Event::Request { id, flow, request, in_dialog: Some(dialog) }),
        };
        let has = description_of(request.headers(), request.body()).is_some();
        if let Some(status) = self.overlapping(dialog, &request, has) {
            let response = self.overlap_response(&request, status);
            if let Some(server) = self.servers.get_mut(&id) {
                server.in_dialog = None;
            }
            return self.refuse(now, flow, id, response);
        }
        let until = now.mono.plus(self.config.timers.patience());
        if let Some(call) = self.call_mut(dialog) {
            let served =
                if message == Message::Invite { &mut call.served_invite } else { &mut call.served_update };
            *served = Some(id);
        }
        if message == Message::Invite {
            // C7: a session that is there already need not ring.
            self.limit_server(id, until);
        }
        self.note_peer(dialog, request.headers());
        let of = OfferOf::Request(id);
        let told = self.take_description(dialog, message, of, request.headers(), request.body());
        if message == Message::Update && !has && self.config.session_timer.is_some() {
            return self.refreshed_by_peer(now, id, dialog, &request);
        }
        self.event(Event::Request { id, flow, request, in_dialog: Some(dialog) });
        if let Some(event) = told {
            self.event(event);
        }
    }

    /// An UPDATE that changes nothing but the session timer, and the target (RFC 4028 §9): nothing of it is the function's.
    fn refreshed_by_peer(&mut self, now: Now, id: RequestId, dialog: DialogId, request: &Request) {
        self.refresh_dialog(dialog, Some(request));
        let mut response = Response::for_request(request, StatusCode::OK);
        let agreed = self.agree_in(request, &mut response);
        if let Some(contact) = self.dialogs.get(&dialog).and_then(|dialog| dialog.contact.clone()) {
            response.headers_mut().push(HeaderName::Contact, contact);
        }
        self.answer_ourselves(now, id, response);
        self.agreed(now, dialog, agreed);
    }

    /// Our 2xx to INVITE or UPDATE set the session interval.
    pub(super) fn agreed(&mut self, now: Now, dialog: DialogId, agreed: Option<(u32, Side)>) {
        if let Some((seconds, side)) = agreed {
            self.step_timer(now, dialog, timer::Event::Agreed(seconds, side));
        }
    }

    /// The endpoint refuses a request on behalf of its function.
    pub(super) fn refuse(&mut self, now: Now, flow: FlowId, id: RequestId, response: Response) {
        let status = response.status();
        self.answer_ourselves(now, id, response);
        self.fault("ua.requests_refused", Fault::Refused { flow, status });
    }

    pub(super) fn answer_ourselves(&mut self, now: Now, id: RequestId, mut response: Response) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.owner = Owner::Endpoint;
        }
        response.set_body(bytes::Bytes::new());
        let _ = self.answer(now, id, response);
    }

    /// CANCEL (RFC 3261 §9.2, §16.10): 200 when its INVITE is known, with the To tag of the INVITE's responses, else 481.
    /// It needs no transaction: every copy gets the same answer.
    pub(super) fn cancel_received(&mut self, now: Now, flow: FlowId, head: &Head, request: &Request) {
        let invite = head.invite_key.and_then(|key| self.find_server(key));
        let Some((invite, server)) = invite.and_then(|id| self.servers.get(&id).map(|server| (id, server)))
        else {
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            self.fault("ua.stray_cancel", Fault::Refused { flow, status });
            return self.answer_statelessly(now, flow, head, Response::for_request(request, status));
        };
        let (owner, pending) = (server.owner, !server.answered() && !server.cancelled);
        let mut response = Response::for_request(request, StatusCode::OK);
        self.add_own_tag(invite, response.headers_mut());
        response.set_body(bytes::Bytes::new());
        self.answer_statelessly(now, flow, head, response);
        if !pending {
            return;
        }
        self.mark_cancelled(invite);
        self.bridging.cancelled_with(invite, request.headers());
        match owner {
            Owner::Function => self.event(Event::Cancelled { id: invite }),
            Owner::Proxy(proxy) => self.cancel_proxied(now, proxy, request.headers()),
            Owner::Endpoint => {}
        }
    }

    /// The peer ended the early dialog of an INVITE with BYE (RFC 3261 §15.1.2): the INVITE still awaits its answer.
    pub(super) fn cancelled_by_bye(&mut self, invite: RequestId) {
        let Some(server) = self.servers.get_mut(&invite) else { return };
        server.early = None;
        if !server.answered() && !server.cancelled {
            self.mark_cancelled(invite);
            self.event(Event::Cancelled { id: invite });
        }
    }

    /// ACK: for a final response of a transaction, for the 2xx of a dialog, on its way through, or for nothing (C10: then
    /// it leaves no trace but a counter).
    pub(super) fn ack_received(&mut self, now: Now, flow: FlowId, head: &Head, ack: Request) {
        if let Some(id) = head.invite_key.and_then(|key| self.find_server(key))
            && !self.ack_for_server(now, id)
        {
            return;
        }
        if let Some(id) = self.dialog_of(head) {
            match self.dialogs.get(&id).and_then(Dialog::call_state) {
                Some((Phase::AwaitsAck { invite, cseq, .. }, bye)) if cseq == head.cseq => {
                    self.set_phase(id, Phase::Confirmed);
                    self.may_forget(invite);
                    let of = OfferOf::Success(id);
                    let told = self.take_description(id, Message::Ack, of, ack.headers(), ack.body());
                    self.event(Event::Acknowledged { dialog: id, ack });
                    if let Some(event) = told {
                        self.event(event);
                    }
                    if let Some(bye) = bye {
                        self.release_held(now, bye);
                    }
                }
                _ => self.metrics.count("ua.retransmissions_absorbed"),
            }
            return;
        }
        let proxy = self.config.role == cpm_sip::Role::Proxy;
        if !(proxy && self.route_ack(now, flow, &ack)) {
            self.fault("ua.stray_ack", Fault::StrayAck { flow });
        }
    }

    /// Accepts an INVITE with a 2xx: the dialog is there, and the response is sent again until its ACK comes
    /// ([`Event::Acknowledged`]; without one in 64*T1, [`Event::DialogEnded`]). Record-Route, To tag and a Contact are
    /// added where they are missing. An INVITE inside of a dialog gives that dialog.
    ///
    /// # Errors
    /// The response is no 2xx, the request no INVITE, over, answered, cancelled or being proxied; the request has no
    /// usable Contact; too many dialogs.
    pub fn accept(
        &mut self,
        now: Now,
        id: RequestId,
        response: Response,
    ) -> Result<DialogId, RespondRefused> {
        let refusal = match self.servers.get(&id) {
            None => Some(Refusal::Gone),
            Some(server) if server.answered() => Some(Refusal::Gone),
            Some(_) if self.bridging.owns_request(id) => Some(Refusal::Bridged),
            Some(server) if !server.is_invite() || !response.status().is_success() => Some(Refusal::Status),
            Some(server) if server.cancelled => Some(Refusal::Cancelled),
            Some(server) if server.reliable.as_ref().is_some_and(|reliable| reliable.held.is_some()) => {
                Some(Refusal::Gone)
            }
            Some(server) if server.replacing.as_ref().is_some_and(|replacing| !replacing.allowed()) => {
                Some(Refusal::Replaces)
            }
            Some(server) => match server.owner {
                Owner::Proxy(_) => Some(Refusal::Proxied),
                Owner::Endpoint => Some(Refusal::Gone),
                Owner::Function => None,
            },
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, response));
        }
        match self.accepted(now, id, &response) {
            Ok(dialog) => {
                self.settle(now);
                Ok(dialog)
            }
            Err(why) => Err(Refused::new(why, response)),
        }
    }

    /// Sends a 2xx to INVITE, or keeps it until the PRACK that it has to wait for is in.
    pub(super) fn accepted(
        &mut self,
        now: Now,
        id: RequestId,
        response: &Response,
    ) -> Result<DialogId, Refusal> {
        let server = self.servers.get(&id).ok_or(Refusal::Gone)?;
        let request = server.whole_request().ok_or(Refusal::Gone)?;
        let (known, replacing) = (server.in_dialog.or(server.early), server.replacing);
        let known = known.filter(|dialog| self.call(*dialog).is_some());
        let mut response = response.clone();
        self.complete_dialog_response(id, &mut response);
        let cseq = request.typed::<cpm_sip::CSeq>()?.ok_or(Refusal::Missing("CSeq"))?.number;
        let t1 = self.config.timers.t1;
        let phase = Phase::AwaitsAck {
            invite: id,
            cseq,
            interval: t1,
            again: now.mono.plus(t1),
            until: now.mono.plus(self.config.timers.patience()),
        };
        let mut fresh = Dialog::as_server(&request, &response)?;
        let begun = known.and_then(|dialog| self.call(dialog)).map(|call| call.exchange);
        let begun = begun.unwrap_or_else(|| begun_by_peer(&request));
        self.allowed(begun, Message::Success, description_of(response.headers(), response.body()).is_some())?;
        if known.is_none() {
            self.room_for_dialog().map_err(Refusal::Limit)?;
        }
        // From here on nothing is refused.
        if let Some(dialog) = known
            && self.hold_success(id, &response)
        {
            return Ok(dialog);
        }
        let agreed = self.agree_in(&request, &mut response);
        if let Some(server) = self.servers.get_mut(&id) {
            server.early = None;
        }
        self.send_response(now, id, &response)?;
        let dialog = match known {
            Some(dialog) => {
                self.refresh_dialog(dialog, Some(&request));
                self.set_phase(dialog, phase);
                dialog
            }
            None => {
                fresh.call = Some(Call { served_invite: Some(id), ..Call::new(phase, false, begun) });
                self.insert_dialog(fresh)
            }
        };
        self.note_description(dialog, Message::Success, response.headers(), response.body());
        self.note_peer(dialog, request.headers());
        self.agreed(now, dialog, agreed);
        if let Some(replacing) = replacing {
            self.replace(now, replacing);
        }
        Ok(dialog)
    }

    /// What a response that makes a dialog has (RFC 3261 §12.1.1): tag, Record-Route, Contact.
    pub(super) fn complete_dialog_response(&mut self, id: RequestId, response: &mut Response) {
        let server = self.servers.get(&id).filter(|server| server.is_invite());
        let found = server.and_then(|server| Some((server.request.clone()?, server.came_on)));
        let Some((request, came_on)) = found.filter(|_| response.status() != StatusCode::TRYING) else {
            return;
        };
        self.add_own_tag(id, response.headers_mut());
        if !response.headers().contains(&HeaderName::RecordRoute) {
            response.headers_mut().copy_from(request.headers(), &HeaderName::RecordRoute);
        }
        if !response.headers().contains(&HeaderName::Contact)
            && let Some(contact) = self.own_contact(came_on)
        {
            response.headers_mut().push_typed::<Contact>(&contact);
        }
        let takes = |method| self.config.allow.contains(method);
        if (takes(&Method::Update) || takes(&Method::Prack))
            && !response.headers().contains(&HeaderName::Allow)
        {
            let allow: alloc::vec::Vec<_> = self.config.allow.iter().cloned().map(cpm_sip::Allow).collect();
            response.headers_mut().set_typed_list(&allow);
        }
        self.add_product(response.headers_mut(), HeaderName::Server);
    }

    /// The early dialog that a provisional response to an INVITE makes, when it makes one.
    pub(super) fn early_dialog_as_server(&mut self, id: RequestId, response: &Response) -> Option<DialogId> {
        let status = response.status();
        let server = self.servers.get(&id).filter(|server| server.is_invite())?;
        if !status.is_provisional()
            || status == StatusCode::TRYING
            || server.in_dialog.is_some()
            || server.early.is_some()
            || self.room_for_dialog().is_err()
        {
            return None;
        }
        let request = server.request.as_ref()?;
        let mut dialog = Dialog::as_server(request, response).ok()?;
        let call = Call::new(Phase::EarlyAsServer { invite: id }, false, begun_by_peer(request));
        dialog.call = Some(Call { served_invite: Some(id), ..call });
        let dialog = self.insert_dialog(dialog);
        self.servers.get_mut(&id)?.early = Some(dialog);
        self.bridging.early_upstream(id, dialog);
        Some(dialog)
    }

    /// The peer's target refresh took effect.
    pub(super) fn refresh_dialog(&mut self, id: DialogId, request: Option<&Request>) {
        if let (Some(dialog), Some(request)) = (self.dialogs.get_mut(&id), request) {
            dialog.refresh_target(request.headers());
        }
    }
}
