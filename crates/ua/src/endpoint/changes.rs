//! Changing a call: re-INVITE (RFC 3261 §14), UPDATE (RFC 3311), who gives way when both sides do (491).

use super::Endpoint;
use super::calls::{Call, Phase};
use super::client::User;
use super::descriptions::has_description;
use super::outgoing::Hop;
use super::uac::Invite;
use crate::error::{InDialogRefused, Refusal, Refused};
use crate::event::{
    Body, DialogEnd, DialogId, Event, InviteFailure, InviteId, OfferOf, TransactionFailure, TransactionId,
};
use crate::flows::Departure;
use crate::session::Misplaced;
use crate::session::exchange::{Exchange, Message};
use crate::session::timer::{self, Said};
use alloc::boxed::Box;
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_sip::{HeaderName, HeaderText, Headers, Method, Request, Response, StatusCode};

/// How often a change that met one of the peer is tried (C9).
const MAX_GLARES: u8 = 3;

/// A re-INVITE or UPDATE of ours, from the command to its end.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The name of a re-INVITE.
    invite: Option<InviteId>,
    /// The name that the function knows an UPDATE by; a refresh of the endpoint has none.
    update: Option<TransactionId>,
    /// The function asked for it.
    told: bool,
    headers: Headers,
    body: Option<Body>,
    /// It makes an offer.
    offers: bool,
    /// How many offers were answered when it was last sent: another number makes its offer stale.
    exchanges: u32,
    glares: u8,
    /// The Min-SE of the 422 that it got, and how many those were.
    least: Option<u32>,
    small: u8,
    /// When it is sent again, and the 491 that it waits for.
    pub(super) again_at: Option<Instant>,
    glare: Option<Response>,
}

impl Change {
    fn new(headers: Headers, body: Option<Body>, told: bool) -> Change {
        Change {
            invite: None,
            update: None,
            told,
            offers: has_description(&headers, body.as_ref()),
            headers,
            body,
            exchanges: 0,
            glares: 0,
            least: None,
            small: 0,
            again_at: None,
            glare: None,
        }
    }

    /// Whether a 422 with this Min-SE is worth another try: the interval grows, at most four times.
    fn grows(&mut self, least: Option<u32>) -> bool {
        let Some(least) = least.filter(|least| *least <= timer::MOST) else { return false };
        if self.least.is_some_and(|before| before >= least) || self.small >= timer::MAX_TRIES {
            return false;
        }
        (self.least, self.small) = (Some(least), self.small.saturating_add(1));
        true
    }
}

impl Endpoint {
    /// Changes a call with an INVITE in its dialog; `headers` and `body` are added to what the dialog gives. Ends in exactly
    /// one [`Event::InviteAccepted`] (to be [confirmed](Endpoint::confirm)) or [`Event::InviteFailed`].
    ///
    /// When it meets a change of the peer (491) it is sent again by itself, at most three times in all; one whose offer is
    /// out of date by then fails with that 491, at the time when another one may be sent.
    ///
    /// # Errors
    /// The call is over, not yet confirmed, or ending; another INVITE is under way; an offer is pending; there is no way;
    /// too many transactions. Header fields and body come back.
    pub fn reinvite(
        &mut self,
        now: Now,
        id: DialogId,
        headers: Headers,
        body: Option<Body>,
    ) -> Result<InviteId, InDialogRefused> {
        let change = Change::new(headers, body, true);
        self.begin_reinvite(now, id, change).map_err(|refused| {
            let (why, change) = *refused;
            Refused::new(why, (id, change.headers, change.body))
        })
    }

    fn may_reinvite(&self, id: DialogId, offers: bool) -> Result<(), Refusal> {
        let call = self.call(id).ok_or(Refusal::Gone)?;
        match call.phase {
            Phase::Ended { .. } => return Err(Refusal::Gone),
            _ if call.bye.is_some() => return Err(Refusal::Gone),
            Phase::EarlyAsClient | Phase::EarlyAsServer { .. } => return Err(Refusal::Early),
            Phase::AwaitsConfirm { .. } | Phase::AwaitsAck { .. } => return Err(Refusal::Pending),
            Phase::Confirmed => {}
        }
        if call.reinvite.as_ref().is_some_and(|change| change.again_at.is_none()) || self.serves_invite(call)
        {
            return Err(Refusal::Pending);
        }
        if call.exchange != Exchange::Idle {
            return Err(Refusal::Description(Misplaced::Pending));
        }
        self.allowed(call.exchange, Message::Invite, offers)?;
        self.room_for_client().map_err(Refusal::Limit)
    }

    fn begin_reinvite(
        &mut self,
        now: Now,
        id: DialogId,
        mut change: Change,
    ) -> Result<InviteId, Box<(Refusal, Change)>> {
        let pending = self.call(id).is_some_and(|call| call.reinvite.is_some());
        if let Err(why) = self.may_reinvite(id, change.offers) {
            return Err(Box::new((why, change)));
        }
        if pending {
            return Err(Box::new((Refusal::Pending, change)));
        }
        let invite = InviteId(self.next_id());
        change.invite = Some(invite);
        let told = change.told;
        if let Some(call) = self.call_mut(id) {
            call.reinvite = Some(Box::new(change));
        }
        match self.send_reinvite(now, id, invite, told) {
            Ok(()) => {
                self.settle(now);
                Ok(invite)
            }
            Err(why) => {
                let change = self.call_mut(id).and_then(|call| call.reinvite.take());
                Err(Box::new((
                    why,
                    change.map_or_else(|| Change::new(Headers::new(), None, told), |change| *change),
                )))
            }
        }
    }

    /// Sends the re-INVITE that the call holds: the first time or again.
    fn send_reinvite(&mut self, now: Now, id: DialogId, invite: InviteId, told: bool) -> Result<(), Refusal> {
        let (request, hop) = self.build_change(id, Method::Invite)?;
        self.note_description(id, Message::Invite, &request.headers().clone(), &request.body().clone());
        let mut state = Invite::within(id, &request, told)?;
        let client = self.begin_invite_client(now, invite, request);
        state.client = client;
        self.invites.insert(invite, state);
        self.schedule_dialog(id);
        self.send_off(now, Departure::Client(client), hop);
        Ok(())
    }

    fn build_change(&mut self, id: DialogId, method: Method) -> Result<(Request, Hop), Refusal> {
        let dialog = self.dialogs.get_mut(&id).ok_or(Refusal::Gone)?;
        let contact = dialog.contact.clone();
        let call = dialog.call.as_mut().ok_or(Refusal::Gone)?;
        let exchanges = call.exchanges;
        let change = if method == Method::Invite { &mut call.reinvite } else { &mut call.update };
        let change = change.as_mut().ok_or(Refusal::Gone)?;
        (change.exchanges, change.again_at, change.glare) = (exchanges, None, None);
        let (mut headers, body, least) = (change.headers.clone(), change.body.clone(), change.least);
        if !headers.contains(&HeaderName::Contact) {
            match (contact, self.own_contact(None)) {
                (Some(contact), _) => headers.push(HeaderName::Contact, contact),
                (None, Some(own)) => headers.push_typed(&own),
                (None, None) => return Err(Refusal::Missing("Contact")),
            }
        }
        self.present(&mut headers, least);
        self.build_in_dialog(id, method, &headers, body.as_ref())
    }

    /// A response to a re-INVITE.
    pub(super) fn reinvite_response(&mut self, now: Now, invite: InviteId, id: DialogId, response: Response) {
        let status = response.status();
        if status.is_provisional() {
            if self.call(id).is_some() {
                self.provisional_in(now, invite, id, response);
            }
        } else if status.is_success() {
            self.reinvite_success(now, invite, id, response);
        } else {
            self.exchange_over(id, Message::InviteOver);
            let least = Said::read(response.headers()).min_se;
            let again = self.call_mut(id).is_some_and(|call| match &mut call.reinvite {
                Some(change) if status == StatusCode::SESSION_INTERVAL_TOO_SMALL => change.grows(least),
                _ => false,
            });
            if again && self.resend_reinvite(now, invite, id) {
                return;
            }
            if status == StatusCode::REQUEST_PENDING && self.back_off(now, id, Method::Invite, &response) {
                self.park_invite(invite);
                return;
            }
            self.reinvite_failed(now, invite, id, Some(response), InviteFailure::Rejected);
            self.response_in_dialog(now, id, status);
        }
    }

    fn resend_reinvite(&mut self, now: Now, invite: InviteId, id: DialogId) -> bool {
        let told = self.call(id).and_then(|call| call.reinvite.as_ref()).is_some_and(|change| change.told);
        let up = self.call(id).is_some_and(Call::is_up) && self.may_reinvite_again(id);
        up && self.send_reinvite(now, id, invite, told).is_ok()
    }

    fn may_reinvite_again(&self, id: DialogId) -> bool {
        self.call(id).is_some_and(|call| call.exchange == Exchange::Idle && !self.serves_invite(call))
    }

    fn reinvite_success(&mut self, now: Now, invite: InviteId, id: DialogId, response: Response) {
        let until = now.mono.plus(self.config.timers.patience());
        let cseq = self.invites.get(&invite).map_or(0, |invite| invite.origin.cseq);
        self.accept_fork(invite, id);
        let dialog = self.dialogs.get_mut(&id).filter(|dialog| dialog.call.is_some());
        let Some(dialog) = dialog else {
            // The call is over, for both sides.
            return self.invite_failed(invite, Some(response), InviteFailure::Cancelled);
        };
        dialog.refresh_target(response.headers());
        let Some(call) = dialog.call.as_mut() else { return };
        let told = call.reinvite.take().is_none_or(|change| change.told);
        call.invite = Some(invite);
        let mortal = call.bye.is_some() || matches!(call.phase, Phase::Ended { .. });
        let before = call.phase;
        call.phase = Phase::AwaitsConfirm { until, cseq };
        self.schedule_dialog(id);
        self.note_peer(id, response.headers());
        let of = OfferOf::Success(id);
        let told_of = self.take_description(id, Message::Success, of, response.headers(), response.body());
        self.agreed_by_peer(now, id, response.headers());
        if mortal || !told {
            // RFC 5407 §3.2.3: the BYE is on its way; the ACK has to go all the same.
            self.send_ack(now, id, None);
            self.set_phase(id, if mortal { before } else { Phase::Confirmed });
            if mortal {
                self.invite_failed(invite, Some(response), InviteFailure::Cancelled);
            }
            return;
        }
        if let Some(state) = self.invites.get_mut(&invite) {
            state.settled = true;
        }
        self.event(Event::InviteAccepted { invite, dialog: id, response });
        if let Some(event) = told_of {
            self.event(event);
        }
    }

    /// A re-INVITE came to nothing: the session is what it was (RFC 3261 §14.1).
    fn reinvite_failed(
        &mut self,
        now: Now,
        invite: InviteId,
        id: DialogId,
        response: Option<Response>,
        why: InviteFailure,
    ) {
        if let Some(call) = self.call_mut(id) {
            call.reinvite = None;
        }
        self.invite_failed(invite, response, why);
        self.refresh_failed(now, id);
        self.schedule_dialog(id);
    }

    /// No response to a re-INVITE: RFC 3261 §12.2.1.2 and RFC 5057 §5.2 end the call with it.
    pub(super) fn reinvite_unanswered(
        &mut self,
        now: Now,
        invite: InviteId,
        id: DialogId,
        why: TransactionFailure,
    ) {
        self.exchange_over(id, Message::InviteOver);
        let failure = match why {
            TransactionFailure::Timeout => InviteFailure::Timeout,
            TransactionFailure::Transport => InviteFailure::Transport,
        };
        self.reinvite_failed(now, invite, id, None, failure);
        if why == TransactionFailure::Timeout {
            self.bye_by_itself(now, id);
            self.end_call(now, id, DialogEnd::Gone);
        }
    }

    /// Updates a call, or an early dialog, with UPDATE (RFC 3311); `headers` and `body` are added to what the dialog gives.
    /// Ends in exactly one [`Event::Response`] or [`Event::TransactionFailed`]. A 491 is dealt with as in
    /// [`reinvite`](Endpoint::reinvite).
    ///
    /// # Errors
    /// The call is over, or ending; another UPDATE is under way; with an offer: one is pending; there is no way; too many
    /// transactions. Header fields and body come back.
    pub fn update(
        &mut self,
        now: Now,
        id: DialogId,
        headers: Headers,
        body: Option<Body>,
    ) -> Result<TransactionId, InDialogRefused> {
        let change = Change::new(headers, body, true);
        match self.begin_update(now, id, change) {
            Ok(transaction) => {
                self.settle(now);
                Ok(transaction)
            }
            Err(refused) => {
                let (why, change) = *refused;
                Err(Refused::new(why, (id, change.headers, change.body)))
            }
        }
    }

    fn begin_update(
        &mut self,
        now: Now,
        id: DialogId,
        change: Change,
    ) -> Result<TransactionId, Box<(Refusal, Change)>> {
        if let Err(why) = self.may_update(id, change.offers) {
            return Err(Box::new((why, change)));
        }
        let told = change.told;
        if let Some(call) = self.call_mut(id) {
            call.update = Some(Box::new(change));
        }
        self.send_update(now, id).map_err(|why| {
            let change = self.call_mut(id).and_then(|call| call.update.take());
            Box::new((why, change.map_or_else(|| Change::new(Headers::new(), None, told), |change| *change)))
        })
    }

    fn may_update(&self, id: DialogId, offers: bool) -> Result<(), Refusal> {
        let call = self.call(id).ok_or(Refusal::Gone)?;
        if call.bye.is_some() || matches!(call.phase, Phase::Ended { .. }) {
            return Err(Refusal::Gone);
        }
        if call.update.is_some() {
            return Err(Refusal::Pending);
        }
        self.allowed(call.exchange, Message::Update, offers)?;
        self.room_for_client().map_err(Refusal::Limit)
    }

    fn send_update(&mut self, now: Now, id: DialogId) -> Result<TransactionId, Refusal> {
        let (request, hop) = self.build_change(id, Method::Update)?;
        self.note_description(id, Message::Update, &request.headers().clone(), &request.body().clone());
        let transaction = self.begin_held(now, User::Update(id), request, hop);
        let change = self.call_mut(id).and_then(|call| call.update.as_mut());
        let name = change.map_or(transaction, |change| *change.update.get_or_insert(transaction));
        self.schedule_dialog(id);
        self.release_held(now, transaction);
        Ok(name)
    }

    /// The final response to an UPDATE.
    pub(super) fn update_response(
        &mut self,
        now: Now,
        id: DialogId,
        transaction: TransactionId,
        response: Response,
    ) {
        let status = response.status();
        if status.is_success() {
            if let Some(dialog) = self.dialogs.get_mut(&id) {
                dialog.refresh_target(response.headers());
            }
            self.note_peer(id, response.headers());
            let of = OfferOf::Success(id);
            let told =
                self.take_description(id, Message::UpdateSuccess, of, response.headers(), response.body());
            self.agreed_by_peer(now, id, response.headers());
            self.update_over(id, transaction, |transaction| Event::Response { transaction, response });
            if let Some(event) = told {
                self.event(event);
            }
            return;
        }
        self.exchange_over(id, Message::UpdateOver);
        let least = Said::read(response.headers()).min_se;
        let again = self.call_mut(id).is_some_and(|call| match &mut call.update {
            Some(change) if status == StatusCode::SESSION_INTERVAL_TOO_SMALL => change.grows(least),
            _ => false,
        });
        if again && self.send_update(now, id).is_ok() {
            return;
        }
        if status == StatusCode::REQUEST_PENDING && self.back_off(now, id, Method::Update, &response) {
            return;
        }
        if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
            && let Some(call) = self.call_mut(id)
        {
            call.peer_updates = false;
        }
        self.update_over(id, transaction, |transaction| Event::Response { transaction, response });
        self.refresh_failed(now, id);
        self.response_in_dialog(now, id, status);
    }

    /// No response to an UPDATE.
    pub(super) fn update_unanswered(
        &mut self,
        now: Now,
        id: DialogId,
        transaction: TransactionId,
        why: TransactionFailure,
    ) {
        self.exchange_over(id, Message::UpdateOver);
        self.update_over(id, transaction, |transaction| Event::TransactionFailed { transaction, why });
        self.refresh_failed(now, id);
        if why == TransactionFailure::Timeout {
            self.bye_by_itself(now, id);
            self.end_call(now, id, DialogEnd::Gone);
        }
    }

    /// The UPDATE is over; its function is told under the name that it knows.
    fn update_over(
        &mut self,
        id: DialogId,
        transaction: TransactionId,
        event: impl FnOnce(TransactionId) -> Event,
    ) {
        let change = self.call_mut(id).and_then(|call| call.update.take());
        self.schedule_dialog(id);
        match change {
            Some(change) if change.told => self.event(event(change.update.unwrap_or(transaction))),
            Some(_) => {}
            // The call ended before: its function was told of the UPDATE then.
            None => self.metrics.count("ua.responses_after_the_end"),
        }
    }

    /// A session refresh by UPDATE without a description.
    pub(super) fn refresh_by_update(&mut self, now: Now, id: DialogId) -> bool {
        self.begin_update(now, id, Change::new(Headers::new(), None, false)).is_ok()
    }

    /// A session refresh by re-INVITE with our last description.
    pub(super) fn refresh_by_invite(&mut self, now: Now, id: DialogId, kept: Option<bytes::Bytes>) -> bool {
        let Ok(content_type) = HeaderText::new("application/sdp") else { return false };
        let body = kept.map(|octets| Body { content_type, octets });
        self.begin_reinvite(now, id, Change::new(Headers::new(), body, false)).is_ok()
    }

    /// RFC 3261 §14.1: our change met one of the peer; it is sent again later, unless it was often enough.
    fn back_off(&mut self, now: Now, id: DialogId, method: Method, response: &Response) -> bool {
        let random = self.random.public_u64();
        let Some(call) = self.call_mut(id).filter(|call| call.bye.is_none()) else { return false };
        // In steps of 10 ms: 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other side.
        let steps = if call.owner {
            random.checked_rem(191).unwrap_or(0).saturating_add(210)
        } else {
            random.checked_rem(201).unwrap_or(0)
        };
        let change = if method == Method::Invite { &mut call.reinvite } else { &mut call.update };
        let Some(change) = change else { return false };
        change.glares = change.glares.saturating_add(1);
        if change.glares >= MAX_GLARES {
            return false;
        }
        change.again_at = Some(now.mono.plus(Duration::from_millis(steps.saturating_mul(10))));
        change.glare = Some(response.clone());
        self.metrics.count("ua.glares");
        self.schedule_dialog(id);
        true
    }

    /// Changes whose back-off is over.
    pub(super) fn changes_timeout(&mut self, now: Now, id: DialogId) {
        let due = |change: &Option<Box<Change>>| {
            change.as_ref().is_some_and(|change| change.again_at.is_some_and(|at| at <= now.mono))
        };
        let Some(call) = self.call(id) else { return };
        let (invite, update) = (due(&call.reinvite), due(&call.update));
        if invite {
            self.reinvite_again(now, id);
        }
        if update {
            self.update_again(now, id);
        }
    }

    fn reinvite_again(&mut self, now: Now, id: DialogId) {
        let Some(call) = self.call_mut(id) else { return };
        let exchanges = call.exchanges;
        let Some(change) = call.reinvite.as_mut() else { return };
        change.again_at = None;
        let (stale, glare) = (change.offers && change.exchanges != exchanges, change.glare.clone());
        let Some(invite) = change.invite else { return };
        if stale || !self.resend_reinvite(now, invite, id) {
            self.reinvite_failed(now, invite, id, glare, InviteFailure::Rejected);
            self.invites.remove(&invite);
        }
    }

    fn update_again(&mut self, now: Now, id: DialogId) {
        let Some(call) = self.call_mut(id) else { return };
        let (exchanges, idle) = (call.exchanges, call.exchange == Exchange::Idle);
        let Some(change) = call.update.as_mut() else { return };
        change.again_at = None;
        let stale = change.offers && (change.exchanges != exchanges || !idle);
        let glare = change.glare.clone();
        if stale || self.send_update(now, id).is_err() {
            let name =
                self.call(id).and_then(|call| call.update.as_ref()?.update).unwrap_or(TransactionId(0));
            if let Some(response) = glare {
                self.update_over(id, name, |transaction| Event::Response { transaction, response });
            }
            self.refresh_failed(now, id);
        }
    }

    /// The call is gone: changes that wait for another try will have none.
    pub(super) fn changes_lost(&mut self, call: &Call) {
        if let Some(change) = call.reinvite.as_ref().filter(|change| change.glare.is_some())
            && let Some(invite) = change.invite
        {
            self.invite_failed(invite, change.glare.clone(), InviteFailure::Rejected);
            self.invites.remove(&invite);
        }
        if let Some(change) = call.update.as_ref().filter(|change| change.told)
            && let Some(transaction) = change.update
        {
            match &change.glare {
                Some(response) => self.event(Event::Response { transaction, response: response.clone() }),
                None => {
                    let why = TransactionFailure::Transport;
                    self.event(Event::TransactionFailed { transaction, why });
                }
            }
        }
    }
}
