//! Reliable provisional responses (RFC 3262): sent again until their PRACK comes, and the PRACK for those that come.

use super::Endpoint;
use super::descriptions::{begun_by_peer, description_of, has_description};
use super::server::Owner;
use crate::error::{Refusal, Refused, RespondRefused};
use crate::event::{Body, DialogId, Event, Fault, InviteId, OfferOf, RequestId};
use crate::flows::Parcel;
use crate::session::exchange::Message;
use alloc::boxed::Box;
use bytes::Bytes;
use core::num::NonZeroU32;
use core::time::Duration;
use cpm_base::{FlowId, Instant, Now};
use cpm_sip::{
    CSeq, HeaderName, Headers, Method, RAck, RSeq, Request, Require, Response, StatusCode, Supported,
};

/// The reliable provisional responses to one INVITE of the peer. The next one waits for the PRACK of the last one.
#[derive(Debug)]
pub(super) struct Reliable {
    /// RSeq of the last one.
    number: u32,
    /// CSeq of the INVITE.
    cseq: u32,
    /// The one whose PRACK is still to come.
    pending: Option<Unacknowledged>,
    /// The 2xx that waits for the PRACK.
    pub(super) held: Option<Box<Response>>,
}

#[derive(Debug)]
struct Unacknowledged {
    octets: Bytes,
    /// It has a session description: the 2xx has to wait for its PRACK (RFC 3262 §3).
    described: bool,
    interval: Duration,
    /// When it is sent again, and until when; not after a final response.
    again: Option<Instant>,
    until: Option<Instant>,
}

impl Reliable {
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        let pending = self.pending.as_ref()?;
        [pending.again, pending.until].into_iter().flatten().min()
    }

    /// Whether a 2xx has to wait.
    fn holds(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.described)
    }

    /// A final response is out: nothing is sent again, a PRACK may still come.
    pub(super) fn stop(&mut self) {
        self.held = None;
        if let Some(pending) = &mut self.pending {
            (pending.again, pending.until, pending.octets) = (None, None, Bytes::new());
        }
    }
}

/// Whether an option tag stands in Require, or in Supported too.
fn lists(headers: &Headers, tag: &str, supported: bool) -> bool {
    let required = headers.typed_list::<Require>().unwrap_or_default();
    let known = headers.typed_list::<Supported>().unwrap_or_default();
    required.iter().any(|value| value.as_str().eq_ignore_ascii_case(tag))
        || supported && known.iter().any(|value| value.as_str().eq_ignore_ascii_case(tag))
}

fn without_body(mut response: Response) -> Response {
    for name in [
        HeaderName::ContentType,
        HeaderName::ContentDisposition,
        HeaderName::ContentEncoding,
        HeaderName::ContentLanguage,
    ] {
        response.headers_mut().remove(&name);
    }
    response.set_body(Bytes::new());
    response
}

impl Endpoint {
    /// Whether provisional responses to this INVITE have to be reliable.
    pub(super) fn must_be_reliable(&self, id: RequestId, status: StatusCode) -> bool {
        let server = self.servers.get(&id).filter(|server| server.is_invite());
        let request = server.and_then(|server| server.request.as_deref());
        status.is_provisional()
            && status != StatusCode::TRYING
            && self.supports("100rel")
            && request.is_some_and(|request| lists(request.headers(), "100rel", false))
    }

    /// Answers an INVITE with a provisional response that is sent again until its PRACK comes
    /// ([`Event::ProvisionalAcknowledged`]; without one in 64*T1 the INVITE gets 504). Require, RSeq and what
    /// [`respond`](Endpoint::respond) adds are made here. Gives the early dialog that it makes, once.
    ///
    /// # Errors
    /// Those of [`respond`](Endpoint::respond); the peer takes no reliable responses; the PRACK of the one before is still
    /// to come; a session description has no place here; too many dialogs.
    pub fn respond_reliably(
        &mut self,
        now: Now,
        id: RequestId,
        response: Response,
    ) -> Result<Option<DialogId>, RespondRefused> {
        match self.prepare_reliable(id, &response) {
            Err(why) => Err(Refused::new(why, response)),
            Ok((ready, number, cseq)) => {
                let early = self.early_dialog_as_server(id, &ready);
                let of = self.servers.get(&id).and_then(|server| server.in_dialog.or(server.early));
                let Some(dialog) = of else {
                    let why =
                        self.room_for_dialog().err().map_or(Refusal::Missing("Contact"), Refusal::Limit);
                    return Err(Refused::new(why, response));
                };
                let described = description_of(ready.headers(), ready.body()).is_some();
                self.note_description(
                    dialog,
                    Message::Reliable,
                    &ready.headers().clone(),
                    &ready.body().clone(),
                );
                self.answer(now, id, ready)?;
                let (t1, patience) = (self.config.timers.t1, self.config.timers.patience());
                if let Some(server) = self.servers.get_mut(&id) {
                    let pending = Unacknowledged {
                        octets: server.response.clone().map(Parcel::into_octets).unwrap_or_default(),
                        described,
                        interval: t1,
                        again: Some(now.mono.plus(t1)),
                        until: Some(now.mono.plus(patience)),
                    };
                    server.reliable =
                        Some(Box::new(Reliable { number, cseq, pending: Some(pending), held: None }));
                }
                self.schedule_server(id);
                self.settle(now);
                Ok(early)
            }
        }
    }

    fn prepare_reliable(
        &mut self,
        id: RequestId,
        response: &Response,
    ) -> Result<(Response, u32, u32), Refusal> {
        let first = self.random.public_u64();
        let server = self.servers.get(&id).ok_or(Refusal::Gone)?;
        let status = response.status();
        if !server.is_invite() || !status.is_provisional() || status == StatusCode::TRYING {
            return Err(Refusal::Status);
        }
        match server.owner {
            Owner::Proxy(_) => return Err(Refusal::Proxied),
            Owner::Endpoint => return Err(Refusal::Gone),
            Owner::Function => {}
        }
        let request = server.request.as_deref().ok_or(Refusal::Gone)?;
        if server.cancelled {
            return Err(Refusal::Cancelled);
        }
        if !lists(request.headers(), "100rel", true) {
            return Err(Refusal::NotReliable);
        }
        let number = match &server.reliable {
            Some(reliable) if reliable.held.is_some() => return Err(Refusal::Gone),
            Some(reliable) if reliable.pending.is_some() => return Err(Refusal::AwaitsPrack),
            Some(reliable) => reliable.number.saturating_add(1),
            // RFC 3262 §3: the first number is less than 2^31.
            None => u32::try_from(first.checked_rem(0x7fff_ffff).unwrap_or(0)).unwrap_or(0).saturating_add(1),
        };
        let cseq = request.typed::<CSeq>()?.ok_or(Refusal::Missing("CSeq"))?.number;
        let has = description_of(response.headers(), response.body()).is_some();
        let call = server.in_dialog.or(server.early).and_then(|dialog| self.call(dialog));
        let before = call.map_or_else(|| begun_by_peer(request), |call| call.exchange);
        self.allowed(before, Message::Reliable, has)?;
        let mut ready = response.clone();
        self.complete_dialog_response(id, &mut ready);
        super::refresh::require(ready.headers_mut(), "100rel");
        if let Some(number) = NonZeroU32::new(number) {
            ready.headers_mut().set_typed(&RSeq(number));
        }
        Ok((ready, number, cseq))
    }

    /// A reliable response is due again, or its time is over.
    pub(super) fn reliable_timeout(&mut self, now: Now, id: RequestId) {
        let pending = self.servers.get_mut(&id).and_then(|server| server.reliable.as_mut());
        let Some(pending) = pending.and_then(|reliable| reliable.pending.as_mut()) else { return };
        if pending.until.is_some_and(|until| until <= now.mono) {
            return self.not_pracked(now, id);
        }
        if pending.again.is_some_and(|again| again <= now.mono) {
            pending.interval = pending.interval.saturating_mul(2);
            pending.again = Some(now.mono.plus(pending.interval));
            let octets = pending.octets.clone();
            self.metrics.count("ua.retransmissions_sent");
            self.transmit_to_peer(now, id, octets.into());
        }
    }

    /// RFC 3262 §3: nobody acknowledges; the INVITE is refused.
    fn not_pracked(&mut self, now: Now, id: RequestId) {
        self.fault("ua.not_pracked", Fault::NotPracked { request: id });
        let request = self.servers.get(&id).and_then(|server| server.whole_request());
        if let Some(request) = request {
            let _ = self.answer(now, id, Response::for_request(&request, StatusCode::SERVER_TIMEOUT));
        }
    }

    /// Holds a 2xx back until the PRACK for a response with a session description is in. `false` when none is awaited.
    pub(super) fn hold_success(&mut self, id: RequestId, response: &Response) -> bool {
        let reliable = self.servers.get_mut(&id).and_then(|server| server.reliable.as_mut());
        let Some(reliable) = reliable.filter(|reliable| reliable.holds()) else { return false };
        reliable.held = Some(Box::new(response.clone()));
        true
    }

    /// PRACK (RFC 3262 §3): it has to name the response that it acknowledges.
    pub(super) fn prack_received(
        &mut self,
        now: Now,
        flow: FlowId,
        id: RequestId,
        dialog: DialogId,
        request: Request,
    ) {
        let Ok(Some(rack)) = request.typed::<RAck>() else {
            return self.refuse(now, flow, id, Response::for_request(&request, StatusCode::BAD_REQUEST));
        };
        let invite = self.call(dialog).and_then(|call| call.served_invite);
        let reliable = invite
            .and_then(|invite| self.servers.get_mut(&invite))
            .and_then(|server| server.reliable.as_mut())
            .filter(|reliable| {
                let named = (rack.response.0.get(), rack.cseq) == (reliable.number, reliable.cseq);
                named && rack.method == Method::Invite && reliable.pending.is_some()
            });
        let (Some(invite), Some(reliable)) = (invite, reliable) else {
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            return self.refuse(now, flow, id, Response::for_request(&request, status));
        };
        reliable.pending = None;
        let held = reliable.held.take();
        self.schedule_server(invite);
        let of = OfferOf::Request(id);
        let told = self.take_description(dialog, Message::Prack, of, request.headers(), request.body());
        self.event(Event::ProvisionalAcknowledged { request: invite, dialog, prack: request.clone() });
        if matches!(told, Some(Event::Offer { .. })) {
            self.event(Event::Request { id, flow, request, in_dialog: Some(dialog) });
        } else {
            self.answer_ourselves(now, id, Response::for_request(&request, StatusCode::OK));
        }
        if let Some(event) = told {
            self.event(event);
        }
        if let Some(held) = held
            && self.accepted(now, invite, &held).is_err()
        {
            // What it says is said already, and the PRACK made a new offer meanwhile: it goes without.
            let bare = without_body(*held);
            if self.accepted(now, invite, &bare).is_err() {
                self.metrics.count("ua.held_2xx_dropped");
            }
        }
    }

    // ---- what comes from the peer ---------------------------------------------------------------------------------------

    /// A provisional response to an INVITE of ours that belongs to a dialog: reliable ones are taken in order, once, and
    /// acknowledged; an offer is for the function to answer.
    pub(super) fn provisional_in(&mut self, now: Now, invite: InviteId, id: DialogId, response: Response) {
        self.note_peer(id, response.headers());
        let number =
            response.typed::<RSeq>().ok().flatten().filter(|_| lists(response.headers(), "100rel", false));
        let Some(RSeq(number)) = number else {
            let of = OfferOf::Reliable(id);
            self.take_description(id, Message::Provisional, of, response.headers(), response.body());
            return self.told_provisional(invite, Some(id), response);
        };
        let cseq = self.invites.get(&invite).map_or(0, |invite| invite.origin.cseq);
        let Some(call) = self.call_mut(id) else { return };
        // RFC 3262 §4: copies, and what comes before its turn, are dropped.
        let next = match call.reliable {
            Some((last, of)) if of == cseq => last.checked_add(1) == Some(number.get()),
            _ => true,
        };
        if !next {
            return self.metrics.count("ua.retransmissions_absorbed");
        }
        call.reliable = Some((number.get(), cseq));
        let of = OfferOf::Reliable(id);
        let told = self.take_description(id, Message::Reliable, of, response.headers(), response.body());
        let listening = self.invites.get(&invite).is_some_and(|invite| !invite.settled);
        self.told_provisional(invite, Some(id), response);
        let offered = matches!(told, Some(Event::Offer { .. })) && listening;
        if let Some(event) = told {
            self.event(event);
        }
        if !offered && self.prack(now, id, &Headers::new(), None).is_err() {
            self.metrics.count("ua.pracks_unsendable");
        }
    }

    /// Sends the PRACK for the last reliable response of a dialog.
    pub(super) fn prack(
        &mut self,
        now: Now,
        id: DialogId,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Refusal> {
        let (number, cseq) = self.call(id).and_then(|call| call.reliable).ok_or(Refusal::Gone)?;
        let number = NonZeroU32::new(number).ok_or(Refusal::Gone)?;
        self.check_description(id, Message::Prack, has_description(headers, body))?;
        self.room_for_client().map_err(Refusal::Limit)?;
        let mut headers = headers.clone();
        headers.set_typed(&RAck { response: RSeq(number), cseq, method: Method::Invite });
        let (request, hop) = self.build_in_dialog(id, Method::Prack, &headers, body)?;
        self.note_description(id, Message::Prack, &request.headers().clone(), &request.body().clone());
        self.begin_client(now, super::client::User::Prack(id), request, hop);
        Ok(())
    }

    /// The response to a PRACK of ours.
    pub(super) fn prack_response(&mut self, id: DialogId, response: &Response) {
        if response.status().is_success() {
            let of = OfferOf::Success(id);
            let told =
                self.take_description(id, Message::PrackSuccess, of, response.headers(), response.body());
            if let Some(event) = told {
                self.event(event);
            }
        } else {
            self.metrics.count("ua.pracks_refused");
            self.exchange_over(id, Message::PrackOver);
        }
    }
}
