//! The client side (RFC 3261 §8.1, §9.1, §13.2): requests, INVITE with its forks, CANCEL, the ACK for 2xx.

use super::Endpoint;
use super::calls::{Call, Phase};
use super::client::User;
use super::descriptions::{description_of, has_description};
use super::dialogs::{Dialog, Origin};
use super::outgoing::{Stateless, StatelessKind};
use super::routing::{first_route, strict_route};
use crate::error::{Refusal, Refused, SendRefused};
use crate::event::{
    Body, Destination, DialogId, Event, InviteFailure, InviteId, LegId, OfferOf, TransactionId,
};
use crate::flows::Departure;
use crate::session::exchange::{Exchange, Message, Side};
use crate::session::timer::{self, Said};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use cpm_base::{FlowId, LimitExceeded, Now, Transport};
use cpm_sip::{
    CSeq, CSeqRef, CallId, CallIdRef, Contact, From, HeaderName, Headers, MaxForwards, Method, Request,
    Response, SipUri, StatusCode, To, ToRef, Uri,
};

/// An INVITE of ours.
#[derive(Debug)]
pub(super) struct Invite {
    pub(super) client: TransactionId,
    pub(super) origin: Origin,
    /// The dialog of a re-INVITE.
    pub(super) within: Option<DialogId>,
    /// The exchange that it begins.
    exchange: Exchange,
    /// What is sent again after 422, where session timers are in use.
    retry: Option<Box<Retry>>,
    /// By To tag: the dialogs, and the ACK of those that were accepted.
    forks: BTreeMap<String, Fork>,
    /// The function knows how it ended.
    pub(super) settled: bool,
    pub(super) cancelled: bool,
}

/// An INVITE outside of a dialog as it would be sent again with a longer session interval (RFC 4028 §7.3).
#[derive(Debug)]
struct Retry {
    request: Request,
    destination: Destination,
    least: u32,
    tries: u8,
}

impl Invite {
    fn new(request: &Request, flow: Option<FlowId>) -> Result<Invite, Refusal> {
        let has = description_of(request.headers(), request.body()).is_some();
        Ok(Invite {
            client: TransactionId(0),
            origin: Origin::of(request, flow)?,
            within: None,
            exchange: Exchange::Idle.step(Side::Local, Message::Invite, has).0,
            retry: None,
            forks: BTreeMap::new(),
            settled: false,
            cancelled: false,
        })
    }

    /// A re-INVITE; the function is told of its end when it asked for it.
    pub(super) fn within(dialog: DialogId, request: &Request, told: bool) -> Result<Invite, Refusal> {
        Ok(Invite { within: Some(dialog), settled: !told, ..Invite::new(request, None)? })
    }
}

#[derive(Debug, Default)]
struct Fork {
    dialog: Option<DialogId>,
    accepted: bool,
    /// For repeated 2xx: the ACK without our Via, and its branch.
    ack: Option<(Request, String, Destination)>,
}

/// What is to be added to a request before it is sent (RFC 3261 §8.1.1).
struct Lacks {
    /// The From field that has no tag.
    from_tag: Option<From>,
    to: bool,
    call_id: bool,
    cseq: bool,
    max_forwards: bool,
}

impl Endpoint {
    pub(super) fn room_for_client(&self) -> Result<(), LimitExceeded> {
        let count = self.client_transactions().saturating_add(1);
        LimitExceeded::check("tx.max_client", count, self.config.limits.max_client)
    }

    /// Sends a request outside of a dialog: any method but INVITE ([`invite`](Endpoint::invite)), ACK, CANCEL and BYE.
    ///
    /// From and To (or a Request-URI to make it of) are the function's; the endpoint adds what is missing of From tag, To,
    /// Call-ID, CSeq, Max-Forwards and User-Agent, and its Via. Ends in exactly one [`Event::Response`] or
    /// [`Event::TransactionFailed`], which may be queued when this returns.
    ///
    /// # Errors
    /// Nothing was sent and the request comes back: From is missing or a needed field malformed, the method has its own
    /// command, there is no way to the destination, too many transactions.
    pub fn send_request(
        &mut self,
        now: Now,
        request: Request,
        destination: Destination,
    ) -> Result<TransactionId, SendRefused> {
        if matches!(request.method(), Method::Invite | Method::Ack | Method::Cancel | Method::Bye) {
            let why = Refusal::Method(request.method().clone());
            return Err(Refused::new(why, request));
        }
        if let Err(why) = self.may_begin() {
            return Err(Refused::new(why, request));
        }
        // What may refuse it comes first: it goes back as it came.
        let ready = self.lacks(&request).and_then(|lacks| {
            let hop = self.next_hop(&request, &destination, self.config.outbound.as_ref())?;
            Ok((lacks, hop, strict_route(&request, first_route(request.headers())?.as_ref())?))
        });
        match ready {
            Err(why) => Err(Refused::new(why, request)),
            Ok((lacks, hop, strict)) => {
                let mut request = request;
                self.complete(&mut request, lacks);
                if let Some(routes) = strict {
                    super::routing::lead_strictly(&mut request, routes);
                }
                let id = self.begin_client(now, User::Function, request, hop);
                self.settle(now);
                Ok(id)
            }
        }
    }

    /// Whether [`send_request`](Endpoint::send_request), or [`invite`](Endpoint::invite), would take a request now; for a
    /// function that has something to do before it sends.
    ///
    /// # Errors
    /// What the command would refuse it with.
    pub fn check_request(&self, request: &Request, destination: &Destination) -> Result<(), Refusal> {
        self.may_begin()?;
        self.lacks(request)?;
        self.next_hop(request, destination, self.config.outbound.as_ref())?;
        strict_route(request, first_route(request.headers())?.as_ref())?;
        Ok(())
    }

    /// RFC 3261 §8.1.1: what every request has.
    pub(super) fn complete_request(&mut self, request: &mut Request) -> Result<(), Refusal> {
        let lacks = self.lacks(request)?;
        self.complete(request, lacks);
        Ok(())
    }

    /// What a request lacks of that; nothing is changed yet.
    fn lacks(&self, request: &Request) -> Result<Lacks, Refusal> {
        self.room_for_client().map_err(Refusal::Limit)?;
        let from = request.typed::<From>()?.ok_or(Refusal::Missing("From"))?;
        let headers = request.headers();
        Ok(Lacks {
            from_tag: from.tag().is_none().then_some(from),
            to: headers.view::<ToRef<'_>>()?.is_none(),
            call_id: headers.view::<CallIdRef<'_>>()?.is_none(),
            cseq: !headers.view::<CSeqRef<'_>>()?.is_some_and(|cseq| cseq.is(request.method())),
            max_forwards: request.typed::<MaxForwards>()?.is_none(),
        })
    }

    fn complete(&mut self, request: &mut Request, lacks: Lacks) {
        request.headers_mut().remove(&HeaderName::Via);
        if let Some(from) = lacks.from_tag {
            let tag = self.random.public_token(16);
            request.headers_mut().set_typed(&from.with_tag(&tag));
        }
        if lacks.to {
            let to = To::new(request.uri().clone());
            request.headers_mut().push_typed(&to);
        }
        if lacks.call_id
            && let Ok(id) = CallId::new(&self.random.public_token(26))
        {
            request.headers_mut().push_typed(&id);
        }
        if lacks.cseq {
            let cseq = CSeq::new(1, request.method().clone());
            request.headers_mut().set_typed(&cseq);
        }
        if lacks.max_forwards {
            request.headers_mut().push_typed(&MaxForwards(70));
        }
        self.add_user_agent(request);
        request.ensure_content_length();
    }

    /// Sends an INVITE that makes a dialog. Like [`send_request`](Endpoint::send_request); a missing Contact is made of
    /// the first configured sent-by. Ends in exactly one [`Event::InviteAccepted`] or [`Event::InviteFailed`].
    ///
    /// # Errors
    /// Like [`send_request`](Endpoint::send_request); too many dialogs.
    pub fn invite(
        &mut self,
        now: Now,
        request: Request,
        destination: Destination,
    ) -> Result<InviteId, SendRefused> {
        self.invite_for(now, request, destination, None)
    }

    /// The same for a leg of a bridge.
    pub(super) fn invite_for(
        &mut self,
        now: Now,
        request: Request,
        destination: Destination,
        leg: Option<LegId>,
    ) -> Result<InviteId, SendRefused> {
        match self.prepare_invite(&request, &destination) {
            Err(why) => Err(Refused::new(why, request)),
            Ok((ready, mut invite, hop)) => {
                let id = InviteId(self.next_id());
                // The transaction may fail at once: it has to find its INVITE.
                let client = self.begin_invite_client(now, id, ready);
                invite.client = client;
                self.invites.insert(id, invite);
                if let Some(leg) = leg {
                    self.bridging.calls(leg, id);
                }
                self.send_off(now, Departure::Client(client), hop);
                self.settle(now);
                Ok(id)
            }
        }
    }

    fn prepare_invite(
        &mut self,
        request: &Request,
        destination: &Destination,
    ) -> Result<(Request, Invite, super::outgoing::Hop), Refusal> {
        if *request.method() != Method::Invite {
            return Err(Refusal::Method(request.method().clone()));
        }
        self.may_begin()?;
        self.room_for_dialog().map_err(Refusal::Limit)?;
        let mut ready = request.clone();
        self.complete_request(&mut ready)?;
        if ready.typed::<Contact>()?.is_none() {
            let contact = self.own_contact(None).ok_or(Refusal::Missing("Contact"))?;
            ready.headers_mut().push_typed(&contact);
        }
        self.present(ready.headers_mut(), None);
        let flow = if let Destination::Flow(flow) = destination { Some(*flow) } else { None };
        let mut invite = Invite::new(&ready, flow)?;
        let as_given = self.config.session_timer.map(|_| ready.clone());
        let hop = self.hop(&mut ready, destination, self.config.outbound.as_ref())?;
        invite.retry = as_given
            .map(|request| Box::new(Retry { request, destination: destination.clone(), least: 0, tries: 0 }));
        Ok((ready, invite, hop))
    }

    /// Cancels an INVITE (RFC 3261 §9.1): at once when a provisional response is in, else as soon as one comes. It ends in
    /// [`Event::InviteFailed`] all the same; when it was accepted meanwhile, the endpoint sends ACK and BYE.
    ///
    /// # Errors
    /// The INVITE is over: a dialog that it made is ended with [`bye`](Endpoint::bye).
    pub fn cancel(&mut self, now: Now, id: InviteId) -> Result<(), Refusal> {
        self.cancel_with(now, id, &cpm_sip::Headers::new())
    }

    /// [`cancel`](Endpoint::cancel) with header fields for the CANCEL: a Reason (RFC 3326).
    ///
    /// # Errors
    /// Like [`cancel`](Endpoint::cancel).
    pub fn cancel_with(&mut self, now: Now, id: InviteId, headers: &cpm_sip::Headers) -> Result<(), Refusal> {
        let Some(invite) = self.invites.get_mut(&id).filter(|invite| !invite.settled) else {
            return Err(Refusal::Gone);
        };
        invite.cancelled = true;
        let client = invite.client;
        self.cancel_client_with(now, client, headers);
        self.settle(now);
        Ok(())
    }

    /// Confirms the 2xx of [`Event::InviteAccepted`] with the ACK; repeated 2xx get the same again.
    ///
    /// # Errors
    /// The dialog does not wait for it; the body comes back.
    pub fn confirm(
        &mut self,
        now: Now,
        dialog: DialogId,
        body: Option<Body>,
    ) -> Result<(), Refused<Option<Body>>> {
        let done = self.confirm_with(now, dialog, &Headers::new(), body.as_ref());
        self.settle(now);
        done.map_err(|why| Refused::new(why, body))
    }

    pub(super) fn confirm_with(
        &mut self,
        now: Now,
        id: DialogId,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(), Refusal> {
        if !self.call(id).is_some_and(|call| matches!(call.phase, Phase::AwaitsConfirm { .. })) {
            return Err(Refusal::Gone);
        }
        self.check_description(id, Message::Ack, has_description(headers, body))?;
        self.send_ack_with(now, id, headers, body);
        self.set_phase(id, Phase::Confirmed);
        Ok(())
    }

    /// Makes and sends the ACK of a dialog (RFC 3261 §13.2.2.4) and keeps it for repeated 2xx.
    pub(super) fn send_ack(&mut self, now: Now, id: DialogId, body: Option<&Body>) {
        self.send_ack_with(now, id, &Headers::new(), body);
    }

    fn send_ack_with(&mut self, now: Now, id: DialogId, headers: &Headers, body: Option<&Body>) {
        let Some(dialog) = self.dialogs.get(&id) else { return };
        let Some(call) = &dialog.call else { return };
        let Phase::AwaitsConfirm { cseq, .. } = call.phase else { return };
        let (tag, invite) = (dialog.key.2.clone(), call.invite);
        let destination = dialog.destination();
        let mut request = dialog.request_numbered(Method::Ack, cseq);
        super::dialogs::add_fields(&mut request, headers, body);
        let (said, octets) = (request.headers().clone(), request.body().clone());
        self.note_description(id, Message::Ack, &said, &octets);
        let branch = alloc::format!("{}{}", super::via::MAGIC_COOKIE, self.random.public_token(20));
        if let Some(fork) = invite
            .and_then(|invite| self.invites.get_mut(&invite))
            .and_then(|invite| invite.forks.get_mut(&tag))
        {
            fork.ack = Some((request.clone(), branch.clone(), destination.clone()));
        }
        self.transmit_ack(now, request, branch, &destination);
    }

    fn transmit_ack(&mut self, now: Now, mut request: Request, branch: String, destination: &Destination) {
        let hop = match self.hop(&mut request, destination, None) {
            Ok(hop) => hop,
            // The flow of the INVITE is gone: the way of the dialog is left.
            Err(_) => match self.hop(&mut request, &Destination::Routed, None) {
                Ok(hop) => hop,
                Err(_) => return self.fault("ua.ack_undeliverable", crate::event::Fault::AckUndeliverable),
            },
        };
        let what = StatelessKind::Ack { request, branch };
        let stateless = Stateless { what, targets: VecDeque::new() };
        self.metrics.count("ua.acks_sent");
        self.send_off(now, Departure::Stateless(Box::new(stateless)), hop);
    }

    /// A response to an INVITE of the function.
    pub(super) fn invite_response(&mut self, now: Now, id: InviteId, response: Response) {
        let status = response.status();
        if status == StatusCode::TRYING {
            return;
        }
        let within = self.invites.get(&id).and_then(|invite| invite.within);
        if let Some(dialog) = within.filter(|_| !(status.is_success() && self.is_repeated(id, &response))) {
            return self.reinvite_response(now, id, dialog, response);
        }
        if status.is_provisional() {
            match self.early_dialog_as_client(now, id, &response) {
                Some(dialog) => self.provisional_in(now, id, dialog, response),
                None => self.told_provisional(id, None, response),
            }
        } else if status.is_success() {
            self.invite_success(now, id, response);
        } else {
            let cancelled = self.invites.get(&id).is_some_and(|invite| invite.cancelled);
            if status == StatusCode::SESSION_INTERVAL_TOO_SMALL && self.invite_again(now, id, &response) {
                return;
            }
            let why = if cancelled { InviteFailure::Cancelled } else { InviteFailure::Rejected };
            // RFC 3261 §12.3: its early dialogs end with it.
            let forks = self.invites.get_mut(&id).map(|invite| core::mem::take(&mut invite.forks));
            self.forget_early(forks.unwrap_or_default());
            self.invite_failed(id, Some(response), why);
        }
    }

    pub(super) fn told_provisional(&mut self, id: InviteId, dialog: Option<DialogId>, response: Response) {
        if self.invites.get(&id).is_some_and(|invite| !invite.settled && !invite.cancelled) {
            self.event(Event::InviteProvisional { invite: id, dialog, response });
        }
    }

    /// Whether this 2xx came before.
    fn is_repeated(&self, id: InviteId, response: &Response) -> bool {
        let tag = super::via::to_tag(response.headers()).unwrap_or_default();
        let fork = self.invites.get(&id).and_then(|invite| invite.forks.get(&tag));
        fork.is_some_and(|fork| fork.accepted)
    }

    /// A 2xx of this dialog is dealt with.
    pub(super) fn accept_fork(&mut self, id: InviteId, dialog: DialogId) {
        let Some(tag) = self.dialogs.get(&dialog).map(|dialog| dialog.key.2.clone()) else { return };
        let Some(invite) = self.invites.get_mut(&id) else { return };
        invite.forks.insert(tag, Fork { dialog: Some(dialog), accepted: true, ack: None });
    }

    /// How many forks of an INVITE answered.
    pub(super) fn forks_of(&self, id: Option<InviteId>) -> usize {
        id.and_then(|id| self.invites.get(&id)).map_or(0, |invite| invite.forks.len())
    }

    /// The INVITE waits for another try: what becomes of its last transaction does not matter any more.
    pub(super) fn park_invite(&mut self, id: InviteId) {
        if let Some(invite) = self.invites.get_mut(&id) {
            invite.client = TransactionId(0);
        }
    }

    /// RFC 4028 §7.3: the session interval was too small for somebody; once more with the one that was asked for, as long
    /// as it grows.
    fn invite_again(&mut self, now: Now, id: InviteId, response: &Response) -> bool {
        let Some(least) = Said::read(response.headers()).min_se else { return false };
        let Some(invite) = self.invites.get_mut(&id).filter(|invite| !invite.settled && !invite.cancelled)
        else {
            return false;
        };
        let Some(mut retry) = invite.retry.take() else { return false };
        if least <= retry.least || least > timer::MOST || retry.tries >= timer::MAX_TRIES {
            return false;
        }
        (retry.least, retry.tries) = (least, retry.tries.saturating_add(1));
        let cseq = invite.origin.cseq.saturating_add(1).min(CSeq::MAX);
        let mut again = retry.request.clone();
        again.headers_mut().set_typed(&CSeq::new(cseq, Method::Invite));
        self.present(again.headers_mut(), Some(least));
        let Ok(hop) = self.hop(&mut again, &retry.destination, self.config.outbound.as_ref()) else {
            return false;
        };
        let forks = self.invites.get_mut(&id).map(|invite| {
            (invite.origin.cseq, invite.retry) = (cseq, Some(retry));
            core::mem::take(&mut invite.forks)
        });
        self.forget_early(forks.unwrap_or_default());
        self.metrics.count("ua.longer_intervals");
        let client = self.begin_invite_client(now, id, again);
        if let Some(invite) = self.invites.get_mut(&id) {
            invite.client = client;
        }
        self.send_off(now, Departure::Client(client), hop);
        true
    }

    fn forget_early(&mut self, forks: BTreeMap<String, Fork>) {
        for fork in forks.into_values() {
            if let Some(dialog) = fork.dialog.filter(|_| !fork.accepted) {
                self.forget_call(dialog);
            }
        }
    }

    /// The early dialog that a provisional response belongs to; a new one unless there are too many.
    fn early_dialog_as_client(&mut self, now: Now, id: InviteId, response: &Response) -> Option<DialogId> {
        let until = Some(now.mono.plus(self.config.limits.early_max));
        let tag = super::via::to_tag(response.headers())?;
        let most = self.config.limits.max_early_per_invite;
        let invite = self.invites.get(&id)?;
        if let Some(fork) = invite.forks.get(&tag) {
            let dialog = fork.dialog;
            let early = dialog.filter(|dialog| self.call(*dialog).is_some());
            if let Some(call) = early.and_then(|dialog| self.call_mut(dialog)) {
                call.early_until = until;
            }
            return early;
        }
        if invite.forks.len() >= most || self.room_for_dialog().is_err() {
            self.metrics.count("ua.early_dialogs_refused");
            return None;
        }
        let mut dialog = Dialog::as_client(&invite.origin, response).ok()?;
        let call = Call::new(Phase::EarlyAsClient, true, invite.exchange);
        dialog.call = Some(Call { invite: Some(id), early_until: until, ..call });
        let dialog = self.insert_dialog(dialog);
        let fork = Fork { dialog: Some(dialog), ..Fork::default() };
        self.invites.get_mut(&id)?.forks.insert(tag, fork);
        Some(dialog)
    }

    /// A 2xx: the first makes the dialog of the function, a copy gets its ACK again, one of another fork (or of an INVITE
    /// that was cancelled) gets ACK and BYE.
    fn invite_success(&mut self, now: Now, id: InviteId, response: Response) {
        let tag = super::via::to_tag(response.headers()).unwrap_or_default();
        let until = now.mono.plus(self.config.timers.patience());
        let Some(invite) = self.invites.get_mut(&id) else { return };
        if let Some(fork) = invite.forks.get(&tag).filter(|fork| fork.accepted) {
            self.metrics.count("ua.retransmissions_absorbed");
            if let Some((request, branch, destination)) = fork.ack.clone() {
                self.transmit_ack(now, request, branch, &destination);
            }
            return;
        }
        let accepted = invite.forks.values().filter(|fork| fork.accepted).count();
        if accepted >= self.config.limits.max_forks_per_invite {
            return self.metrics.count("ua.forks_refused");
        }
        let mut dialog = match Dialog::as_client(&invite.origin, &response) {
            Ok(dialog) => dialog,
            Err(_) => {
                // Neither ACK nor BYE can be addressed: the far side ends it by itself.
                self.metrics.count("ua.unusable_2xx");
                return self.invite_failed(id, Some(response), InviteFailure::Rejected);
            }
        };
        let phase = Phase::AwaitsConfirm { until, cseq: invite.origin.cseq };
        dialog.call = Some(Call { invite: Some(id), ..Call::new(phase, true, invite.exchange) });
        let unwanted = invite.settled || invite.cancelled;
        let sent = invite
            .retry
            .as_ref()
            .and_then(|retry| description_of(retry.request.headers(), retry.request.body()));
        let fork = invite.forks.entry(tag).or_default();
        fork.accepted = true;
        let early = fork.dialog;
        let dialog = match early {
            Some(early) if self.dialogs.contains_key(&early) => {
                if let Some(known) = self.dialogs.get_mut(&early) {
                    known.confirm_from(dialog);
                }
                self.set_phase(early, phase);
                early
            }
            _ => self.insert_dialog(dialog),
        };
        if !unwanted {
            if let Some(invite) = self.invites.get_mut(&id) {
                (invite.settled, invite.retry) = (true, None);
            }
            self.note_peer(dialog, response.headers());
            let of = OfferOf::Success(dialog);
            let told =
                self.take_description(dialog, Message::Success, of, response.headers(), response.body());
            self.keep_first_description(dialog, sent);
            self.agreed_by_peer(now, dialog, response.headers());
            self.event(Event::InviteAccepted { invite: id, dialog, response });
            if let Some(event) = told {
                self.event(event);
            }
            return;
        }
        self.metrics.count("ua.unwanted_2xx");
        self.send_ack(now, dialog, None);
        self.bye_by_itself(now, dialog);
        self.forget_call(dialog);
        self.invite_failed(id, Some(response), InviteFailure::Cancelled);
    }

    /// The INVITE came to nothing; said once.
    pub(super) fn invite_failed(&mut self, id: InviteId, response: Option<Response>, why: InviteFailure) {
        let Some(invite) = self.invites.get_mut(&id) else { return };
        if !core::mem::replace(&mut invite.settled, true) {
            self.event(Event::InviteFailed { invite: id, response, why });
        }
    }

    /// The transaction of an INVITE is over: no fork can come any more.
    pub(super) fn invite_over(&mut self, id: InviteId, client: TransactionId) {
        if self.invites.get(&id).is_none_or(|invite| invite.client != client) {
            return;
        }
        let Some(invite) = self.invites.remove(&id) else { return };
        if invite.within.is_none() {
            self.forget_early(invite.forks);
        }
    }

    /// The Contact of a function that gave none: our sent-by, on the flow where it is known.
    pub(super) fn own_contact(&self, flow: Option<FlowId>) -> Option<Contact> {
        let info = flow.and_then(|flow| self.flows.get(flow)).map(|flow| &flow.info);
        let (host, port, transport) = match (info, self.config.sent_by.first()) {
            (Some(info), _) => {
                let (host, port) = super::via::sent_by(&self.config, info);
                (host, port, info.transport)
            }
            (None, Some(own)) => (own.host.clone(), own.port, own.transport),
            (None, None) => return None,
        };
        let uri = SipUri::new(host).with_port(port);
        let uri = match transport {
            Transport::Udp => uri,
            Transport::Tcp => uri.with_param("transport", Some("tcp")),
            Transport::Tls => uri.with_param("transport", Some("tls")),
        };
        Some(Contact::new(Uri::Sip(uri)))
    }
}
