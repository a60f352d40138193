//! Session descriptions of calls: what comes in is named offer or answer, what goes out is held to its place.

use super::Endpoint;
use super::server::Owner;
use crate::error::{AnswerRefused, Refusal, Refused};
use crate::event::{Body, DialogId, Event, Fault, OfferOf, PendingOffer, RequestId};
use crate::session::exchange::{Carrier, Exchange, Message, Position, Side};
use crate::session::{Misplaced, session_description};
use bytes::Bytes;
use cpm_base::Now;
use cpm_sip::{HeaderName, Headers, Method, Request, Response, StatusCode};

/// The description of a message; one that cannot be found is none.
pub(super) fn description_of(headers: &Headers, body: &Bytes) -> Option<Bytes> {
    session_description(headers, body).ok().flatten()
}

/// Whether header fields and body of a command will make a message with a description.
pub(super) fn has_description(headers: &Headers, body: Option<&Body>) -> bool {
    let Some(body) = body else { return false };
    let mut headers = headers.subset(&[HeaderName::ContentDisposition]);
    headers.replace(HeaderName::ContentType, body.content_type.clone());
    description_of(&headers, &body.octets).is_some()
}

/// The exchange that a received INVITE begins.
pub(super) fn begun_by_peer(invite: &Request) -> Exchange {
    let has = description_of(invite.headers(), invite.body()).is_some();
    Exchange::Idle.step(Side::Remote, Message::Invite, has).0
}

impl Endpoint {
    /// A message of the peer came, with or without a description: what its function is told about that.
    pub(super) fn take_description(
        &mut self,
        id: DialogId,
        message: Message,
        of: OfferOf,
        headers: &Headers,
        body: &Bytes,
    ) -> Option<Event> {
        let description = description_of(headers, body);
        let strict = self.config.require_descriptions;
        let call = self.call_mut(id)?;
        let (next, position) = call.exchange.step(Side::Remote, message, description.is_some());
        call.exchange = next;
        let description = description.filter(|_| matches!(position, Position::Offer | Position::Answer));
        match (position, description) {
            (Position::Offer, Some(description)) => {
                call.offers = call.offers.saturating_add(1);
                call.offer_taken = false;
                Some(Event::Offer { of, dialog: id, description })
            }
            (Position::Answer, Some(description)) => {
                call.exchanges = call.exchanges.saturating_add(1);
                Some(Event::Answer { dialog: id, description })
            }
            (Position::Misplaced(what), _) => {
                self.fault("ua.descriptions_misplaced", Fault::Description { dialog: id, what });
                None
            }
            (Position::Missing(what), _) if strict => {
                self.fault("ua.descriptions_missing", Fault::Description { dialog: id, what });
                None
            }
            _ => None,
        }
    }

    /// Whether a message of ours may go out with, or without, a description in this exchange; gives what comes of it.
    pub(super) fn allowed(&self, before: Exchange, message: Message, has: bool) -> Result<Exchange, Refusal> {
        match before.step(Side::Local, message, has) {
            (_, Position::Misplaced(what)) => Err(Refusal::Description(what)),
            (_, Position::Missing(what)) if self.config.require_descriptions => {
                Err(Refusal::Description(what))
            }
            (next, _) => Ok(next),
        }
    }

    /// The same for a message in a call that is there.
    pub(super) fn check_description(&self, id: DialogId, message: Message, has: bool) -> Result<(), Refusal> {
        match self.call(id) {
            Some(call) => self.allowed(call.exchange, message, has).map(drop),
            None => Ok(()),
        }
    }

    /// A message of ours goes out.
    pub(super) fn note_description(
        &mut self,
        id: DialogId,
        message: Message,
        headers: &Headers,
        body: &Bytes,
    ) {
        let description = description_of(headers, body);
        let (max, keeps) = (self.config.limits.max_description, self.config.session_timer.is_some());
        let Some(call) = self.call_mut(id) else { return };
        let (next, position) = call.exchange.step(Side::Local, message, description.is_some());
        call.exchange = next;
        if position == Position::Answer {
            call.exchanges = call.exchanges.saturating_add(1);
        }
        if let (true, Position::Offer | Position::Answer, Some(octets)) = (keeps, position, description) {
            call.kept_local = (octets.len() <= max).then(|| Bytes::copy_from_slice(&octets));
        }
    }

    /// A transaction ended without its 2xx: an offer that it carried is void.
    pub(super) fn exchange_over(&mut self, id: DialogId, message: Message) {
        if let Some(call) = self.call_mut(id) {
            call.exchange = call.exchange.step(Side::Local, message, false).0;
        }
    }

    /// What a response to a request in a call is to the exchange; `None` when it is nothing.
    fn response_message(&self, id: RequestId, status: StatusCode) -> Option<(DialogId, Message)> {
        let server = self.servers.get(&id)?;
        let dialog = server.in_dialog.or(server.early)?;
        match server.method {
            Method::Update if status.is_success() => Some((dialog, Message::UpdateSuccess)),
            Method::Prack if status.is_success() => Some((dialog, Message::PrackSuccess)),
            Method::Invite if status.is_provisional() && status != StatusCode::TRYING => {
                Some((dialog, Message::Provisional))
            }
            _ => None,
        }
    }

    /// Whether the description of a response, or that it has none, is in its place.
    pub(super) fn check_response(&self, id: RequestId, response: &Response) -> Result<(), Refusal> {
        let Some((dialog, message)) = self.response_message(id, response.status()) else { return Ok(()) };
        let has = description_of(response.headers(), response.body()).is_some();
        self.check_description(dialog, message, has)
    }

    /// A response goes out: its description counts, and a 2xx to UPDATE says what session interval is agreed.
    pub(super) fn describe_response(
        &mut self,
        id: RequestId,
        response: &mut Response,
    ) -> Option<(u32, Side)> {
        let (dialog, message) = self.response_message(id, response.status())?;
        let agreed = if message == Message::UpdateSuccess {
            let request = self.servers.get(&id).and_then(|server| server.whole_request());
            if !response.headers().contains(&HeaderName::Contact)
                && let Some(contact) = self.dialogs.get(&dialog).and_then(|dialog| dialog.contact.clone())
            {
                response.headers_mut().push(HeaderName::Contact, contact);
            }
            request.and_then(|request| self.agree_in(&request, response))
        } else {
            None
        };
        self.note_description(dialog, message, response.headers(), response.body());
        agreed
    }

    /// The first exchange of a call that we made: our offer was in the INVITE.
    pub(super) fn keep_first_description(&mut self, id: DialogId, sent: Option<Bytes>) {
        let max = self.config.limits.max_description;
        if let Some(call) = self.call_mut(id)
            && call.kept_local.is_none()
        {
            call.kept_local = sent.filter(|sent| sent.len() <= max);
        }
    }

    /// The request of an offer, as long as it can be answered.
    fn offering_request(&self, id: RequestId) -> Option<&Request> {
        let server = self.servers.get(&id)?;
        let fits = matches!(server.method, Method::Invite | Method::Update | Method::Prack);
        let request = server.request.as_deref().filter(|_| fits && server.owner == Owner::Function)?;
        description_of(request.headers(), request.body())?;
        Some(request)
    }

    /// Number of the offer that is pending in this place, where one is.
    fn pending_offer(&self, of: OfferOf) -> Option<u32> {
        match of {
            OfferOf::Request(id) => {
                let request = self.offering_request(id)?;
                let carrier = match request.method() {
                    Method::Invite => Carrier::Invite,
                    Method::Update => Carrier::Update,
                    _ => Carrier::Prack,
                };
                let server = self.servers.get(&id)?;
                match server.in_dialog.or(server.early).and_then(|dialog| self.call(dialog)) {
                    Some(call) => {
                        (call.exchange == Exchange::Pending(Side::Remote, carrier)).then_some(call.offers)
                    }
                    None => Some(0),
                }
            }
            OfferOf::Reliable(id) | OfferOf::Success(id) => {
                let call = self.call(id)?;
                let carrier =
                    if matches!(of, OfferOf::Reliable(_)) { Carrier::Reliable } else { Carrier::Success };
                (call.exchange == Exchange::Pending(Side::Remote, carrier)).then_some(call.offers)
            }
        }
    }

    /// Takes the offer that is pending in this place: once. An INVITE outside of a dialog has one as well when it has a
    /// session description.
    pub fn take_offer(&mut self, of: OfferOf) -> Option<PendingOffer> {
        let serial = self.pending_offer(of)?;
        let taken = match of {
            OfferOf::Request(id) => self.servers.get_mut(&id).map(|server| &mut server.offer_taken),
            OfferOf::Reliable(id) | OfferOf::Success(id) => {
                self.call_mut(id).map(|call| &mut call.offer_taken)
            }
        }?;
        (!core::mem::replace(taken, true)).then_some(PendingOffer { of, serial })
    }

    /// Answers an offer in the message where its answer belongs: the 2xx of its request, the ACK, or a PRACK.
    ///
    /// # Errors
    /// The offer is not pending any more ([`Misplaced::Stale`]), the body is no session description, or what
    /// [`accept`](Endpoint::accept), [`respond`](Endpoint::respond) or [`confirm`](Endpoint::confirm) refuse. Everything
    /// comes back.
    pub fn answer_offer(
        &mut self,
        now: Now,
        offer: PendingOffer,
        headers: Headers,
        body: Body,
    ) -> Result<(), AnswerRefused> {
        let serial = self.pending_offer(offer.of);
        // An early dialog may have been made since an INVITE outside of one was taken.
        let stale = serial.is_none_or(|serial| serial != offer.serial && offer.serial != 0);
        let why = if stale {
            Err(Refusal::Description(Misplaced::Stale))
        } else if !has_description(&headers, Some(&body)) {
            Err(Refusal::Description(Misplaced::AnswerMissing))
        } else {
            match offer.of {
                OfferOf::Request(id) => self.answer_request(now, id, &headers, &body),
                OfferOf::Success(id) => self.confirm_with(now, id, &headers, Some(&body)),
                OfferOf::Reliable(id) => self.prack(now, id, &headers, Some(&body)),
            }
        };
        self.settle(now);
        why.map_err(|why| Refused::new(why, (offer, headers, body)))
    }

    fn answer_request(
        &mut self,
        now: Now,
        id: RequestId,
        headers: &Headers,
        body: &Body,
    ) -> Result<(), Refusal> {
        let request = self.offering_request(id).ok_or(Refusal::Gone)?;
        let invite = *request.method() == Method::Invite;
        let mut response = Response::for_request(request, StatusCode::OK);
        for (name, _) in headers.iter() {
            if !response.headers().contains(name) {
                response.headers_mut().copy_from(headers, name);
            }
        }
        response.headers_mut().replace(HeaderName::ContentType, body.content_type.clone());
        response.set_body(body.octets.clone());
        if invite {
            self.accept(now, id, response).map(drop).map_err(|refused| refused.why)
        } else {
            self.respond(now, id, response).map(drop).map_err(|refused| refused.why)
        }
    }
}
