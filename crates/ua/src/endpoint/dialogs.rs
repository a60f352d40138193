//! Dialogs (RFC 3261 §12): what they are made of, the requests in them, their end.

use super::Endpoint;
use super::client::User;
use super::outgoing::Hop;
use super::via::Head;
use crate::error::{InDialogRefused, Refusal, Refused};
use crate::event::{Body, Destination, DialogEnd, DialogId, Event, InviteId, RequestId, TransactionId};
use crate::timers::TimerKey;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::{FlowId, Instant, LimitExceeded, Now};
use cpm_sip::{
    CSeq, CallId, Contact, From, HeaderName, Headers, MaxForwards, Method, RecordRoute, Request, Response,
    Route, To, Uri,
};

/// Call-ID, local tag, remote tag (RFC 3261 §12).
pub(super) type DialogKey = (String, String, String);

/// How far a dialog is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A provisional response to our INVITE made it.
    EarlyAsClient,
    /// Our provisional response to this INVITE made it.
    EarlyAsServer { invite: RequestId },
    /// A 2xx to our INVITE came: the function owes the ACK.
    AwaitsConfirm { until: Instant },
    /// Our 2xx is sent again until its ACK comes (RFC 3261 §13.3.1.4).
    AwaitsAck { invite: RequestId, cseq: u32, interval: Duration, again: Instant, until: Instant },
    /// Both sides know.
    Confirmed,
    /// The function was told that it is over; a BYE may still follow.
    Ended { until: Instant },
}

/// A dialog.
#[derive(Debug, Clone)]
pub(super) struct Dialog {
    pub(super) key: DialogKey,
    call_id: CallId,
    local: From,
    remote: To,
    local_cseq: u32,
    pub(super) remote_cseq: Option<u32>,
    target: Uri,
    routes: Vec<Route>,
    /// The flow that the INVITE was sent on at the function's wish: the way of requests without Route.
    flow: Option<FlowId>,
    pub(super) invite: Option<InviteId>,
    pub(super) phase: Phase,
    /// Our BYE, under way or held until the ACK is in.
    pub(super) bye: Option<TransactionId>,
}

impl Dialog {
    /// The caller's side of the dialog that a response to our INVITE makes (RFC 3261 §12.1.2).
    pub(super) fn as_client(
        invite: &super::uac::Invite,
        response: &Response,
        phase: Phase,
    ) -> Result<Dialog, Refusal> {
        let remote = response.typed::<To>()?.ok_or(Refusal::Missing("To"))?;
        let local_tag = invite.from.tag().unwrap_or_default().to_string();
        let remote_tag = remote.tag().unwrap_or_default().to_string();
        let mut routes: Vec<Route> =
            response.typed_list::<RecordRoute>()?.into_iter().map(Route::from).collect();
        routes.reverse();
        let contact = response.typed::<Contact>()?;
        let target = contact.as_ref().and_then(Contact::uri).unwrap_or(&invite.uri).clone();
        Ok(Dialog {
            key: (invite.call_id.as_str().to_string(), local_tag, remote_tag),
            call_id: invite.call_id.clone(),
            local: invite.from.clone(),
            remote,
            local_cseq: invite.cseq,
            remote_cseq: None,
            target,
            routes,
            flow: invite.flow,
            invite: None,
            phase,
            bye: None,
        })
    }

    /// The called side of the dialog that our response to an INVITE makes (RFC 3261 §12.1.1).
    pub(super) fn as_server(request: &Request, response: &Response, phase: Phase) -> Result<Dialog, Refusal> {
        let remote = request.typed::<From>()?.ok_or(Refusal::Missing("From"))?;
        let local = response.typed::<To>()?.ok_or(Refusal::Missing("To"))?;
        let call_id = request.typed::<CallId>()?.ok_or(Refusal::Missing("Call-ID"))?;
        let cseq = request.typed::<CSeq>()?.ok_or(Refusal::Missing("CSeq"))?;
        let contact = request.typed::<Contact>()?;
        let target = contact.as_ref().and_then(Contact::uri).ok_or(Refusal::Missing("Contact"))?.clone();
        let routes = request.typed_list::<RecordRoute>()?.into_iter().map(Route::from).collect();
        let local_tag = local.tag().unwrap_or_default().to_string();
        let remote_tag = remote.tag().unwrap_or_default().to_string();
        Ok(Dialog {
            key: (call_id.as_str().to_string(), local_tag, remote_tag),
            call_id,
            local: From::from(local),
            remote: To::from(remote),
            local_cseq: 0,
            remote_cseq: Some(cseq.number),
            target,
            routes,
            flow: None,
            invite: None,
            phase,
            bye: None,
        })
    }

    /// Route set, target and tags as the 2xx says (RFC 3261 §13.2.2.4): they may differ from those of a provisional one.
    pub(super) fn confirm_from(&mut self, other: Dialog) {
        self.remote = other.remote;
        self.routes = other.routes;
        self.target = other.target;
        self.phase = other.phase;
    }

    /// The target as a target refresh says (RFC 3261 §12.2.1.2, §12.2.2).
    pub(super) fn refresh_target(&mut self, headers: &Headers) {
        if let Ok(Some(contact)) = headers.typed::<Contact>()
            && let Some(uri) = contact.uri()
        {
            self.target = uri.clone();
        }
    }

    /// A request in the dialog (RFC 3261 §12.2.1.1) with the next CSeq; an ACK with that of its INVITE.
    pub(super) fn request(&mut self, method: Method) -> Request {
        let mut request = Request::new(method.clone(), self.target.clone());
        if method != Method::Ack {
            self.local_cseq = self.local_cseq.saturating_add(1).min(CSeq::MAX);
        }
        let headers = request.headers_mut();
        headers.push_typed(&MaxForwards(70));
        headers.set_typed_list(&self.routes);
        headers.push_typed(&self.local);
        headers.push_typed(&self.remote);
        headers.push_typed(&self.call_id);
        headers.push_typed(&CSeq::new(self.local_cseq, method));
        request
    }

    /// The way of its requests.
    pub(super) fn destination(&self) -> Destination {
        match self.flow {
            Some(flow) if self.routes.is_empty() => Destination::Flow(flow),
            _ => Destination::Routed,
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        match self.phase {
            Phase::AwaitsConfirm { until } | Phase::Ended { until } => Some(until),
            Phase::AwaitsAck { again, until, .. } => Some(again.min(until)),
            Phase::EarlyAsClient | Phase::EarlyAsServer { .. } | Phase::Confirmed => None,
        }
    }
}

impl Endpoint {
    /// Whether one more dialog can be held.
    pub(super) fn room_for_dialog(&self) -> Result<(), LimitExceeded> {
        let count = self.dialogs.len().saturating_add(1);
        LimitExceeded::check("dialog.max", count, self.config.limits.max_dialogs)
    }

    pub(super) fn insert_dialog(&mut self, dialog: Dialog) -> DialogId {
        let id = DialogId(self.next_id());
        self.dialog_keys.insert(dialog.key.clone(), id);
        self.dialogs.insert(id, dialog);
        self.schedule_dialog(id);
        id
    }

    pub(super) fn set_phase(&mut self, id: DialogId, phase: Phase) {
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            dialog.phase = phase;
        }
        self.schedule_dialog(id);
    }

    fn schedule_dialog(&mut self, id: DialogId) {
        let at = self.dialogs.get(&id).and_then(Dialog::next_alarm);
        self.timers.set(TimerKey::Dialog(id), at);
    }

    /// The dialog that a received request is in.
    pub(super) fn dialog_of(&self, head: &Head) -> Option<DialogId> {
        let to_tag = head.to_tag.clone()?;
        self.dialog_keys.get(&(head.call_id.clone(), to_tag, head.from_tag.clone())).copied()
    }

    /// Forgets a dialog without a word.
    pub(super) fn remove_dialog(&mut self, id: DialogId) -> Option<Dialog> {
        self.timers.set(TimerKey::Dialog(id), None);
        let dialog = self.dialogs.remove(&id)?;
        if self.dialog_keys.get(&dialog.key) == Some(&id) {
            self.dialog_keys.remove(&dialog.key);
        }
        Some(dialog)
    }

    /// The dialog is over; the function is told once.
    pub(super) fn end_dialog(&mut self, now: Now, id: DialogId, why: DialogEnd) {
        let Some(dialog) = self.remove_dialog(id) else { return };
        if matches!(dialog.phase, Phase::Ended { .. }) {
            return;
        }
        self.event(Event::DialogEnded { dialog: id, why });
        if let Some(bye) = dialog.bye {
            self.release_held(now, bye);
        }
        if let Phase::EarlyAsServer { invite } = dialog.phase {
            self.cancelled_by_bye(invite);
        }
    }

    pub(super) fn dialog_timeout(&mut self, now: Now, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        match &mut dialog.phase {
            Phase::AwaitsAck { invite, interval, again, until, .. } if *until > now.mono => {
                // RFC 3261 §13.3.1.4: from T1, doubling up to T2, whatever the transport.
                let invite = *invite;
                *interval = interval.saturating_mul(2).min(self.config.timers.t2);
                *again = now.mono.plus(*interval);
                self.schedule_dialog(id);
                self.metrics.count("ua.retransmissions_sent");
                self.transmit_response(now, invite);
            }
            Phase::AwaitsAck { .. } => self.not_acknowledged(now, id),
            Phase::AwaitsConfirm { until } if *until <= now.mono => {
                self.metrics.count("ua.not_confirmed");
                self.send_ack(now, id, None);
                self.bye_by_itself(now, id);
                self.end_dialog(now, id, DialogEnd::NotConfirmed);
            }
            Phase::Ended { until } if *until <= now.mono => {
                if dialog.bye.is_none() {
                    self.remove_dialog(id);
                } else {
                    dialog.phase = Phase::Ended { until: now.mono.plus(self.config.timers.patience()) };
                    self.schedule_dialog(id);
                }
            }
            _ => self.schedule_dialog(id),
        }
    }

    /// The ACK for our 2xx never came: the function may end the session with BYE.
    fn not_acknowledged(&mut self, now: Now, id: DialogId) {
        self.metrics.count("ua.not_acknowledged");
        let until = now.mono.plus(self.config.timers.patience());
        self.set_phase(id, Phase::Ended { until });
        self.event(Event::DialogEnded { dialog: id, why: DialogEnd::NotAcknowledged });
        if let Some(bye) = self.dialogs.get(&id).and_then(|dialog| dialog.bye) {
            self.release_held(now, bye);
        }
    }

    /// A BYE that nobody but the endpoint knows of.
    pub(super) fn bye_by_itself(&mut self, now: Now, id: DialogId) {
        let Some(dialog) = self.dialogs.get_mut(&id) else { return };
        if dialog.bye.is_some() {
            return;
        }
        let destination = dialog.destination();
        let mut request = dialog.request(Method::Bye);
        self.add_user_agent(&mut request);
        if let Ok(hop) = self.hop(&mut request, &destination, None) {
            self.begin_client(now, User::Nobody, request, hop);
        }
    }

    /// Sends a request in a dialog: any method but INVITE, ACK, CANCEL and BYE, which have commands of their own. The
    /// header fields that a dialog gives (Request-URI, Route, From, To, Call-ID, CSeq, Max-Forwards) are made here; the
    /// given ones are added. Its response comes as [`Event::Response`].
    ///
    /// # Errors
    /// The dialog is over or early, the method is none for this command, there is no way, too many transactions.
    pub fn send_in_dialog(
        &mut self,
        now: Now,
        id: DialogId,
        method: Method,
        headers: Headers,
        body: Option<Body>,
    ) -> Result<TransactionId, InDialogRefused> {
        let refusal = match self.dialogs.get(&id).map(|dialog| (dialog.phase, dialog.bye)) {
            _ if matches!(method, Method::Invite | Method::Ack | Method::Cancel | Method::Bye) => {
                Some(Refusal::Method(method.clone()))
            }
            None | Some((Phase::Ended { .. }, _) | (_, Some(_))) => Some(Refusal::Gone),
            Some((Phase::AwaitsConfirm { .. }, _)) => Some(Refusal::Early),
            Some(_) => self.room_for_client().err().map(Refusal::Limit),
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, (id, headers, body)));
        }
        match self.build_in_dialog(id, method, &headers, body.as_ref()) {
            Err(why) => Err(Refused::new(why, (id, headers, body))),
            Ok((request, hop)) => {
                let transaction = self.begin_client(now, User::Dialog(id), request, hop);
                self.settle(now);
                Ok(transaction)
            }
        }
    }

    fn build_in_dialog(
        &mut self,
        id: DialogId,
        method: Method,
        headers: &Headers,
        body: Option<&Body>,
    ) -> Result<(Request, Hop), Refusal> {
        let dialog = self.dialogs.get_mut(&id).ok_or(Refusal::Gone)?;
        let destination = dialog.destination();
        let mut request = dialog.request(method);
        add_fields(&mut request, headers, body);
        self.add_user_agent(&mut request);
        let hop = self.hop(&mut request, &destination, None)?;
        Ok((request, hop))
    }

    /// Ends a dialog with BYE; `headers` are added to it (Reason). Its response comes as [`Event::Response`], then
    /// [`Event::DialogEnded`].
    ///
    /// While the ACK for our 2xx is still awaited the BYE waits for it (RFC 3261 §15). A dialog that still has to be
    /// confirmed gets its ACK first. A BYE of the peer that crosses ours is answered 200 here.
    ///
    /// # Errors
    /// The dialog is over, or early (cancel the INVITE, or answer it); there is no way; too many transactions.
    pub fn bye(
        &mut self,
        now: Now,
        id: DialogId,
        headers: Headers,
    ) -> Result<TransactionId, InDialogRefused> {
        let refusal = match self.dialogs.get(&id).map(|dialog| (dialog.phase, dialog.bye)) {
            None | Some((_, Some(_))) => Some(Refusal::Gone),
            Some((Phase::EarlyAsClient | Phase::EarlyAsServer { .. }, _)) => Some(Refusal::Early),
            Some(_) => self.room_for_client().err().map(Refusal::Limit),
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, (id, headers, None)));
        }
        let phase = self.dialogs.get(&id).map(|dialog| dialog.phase);
        if matches!(phase, Some(Phase::AwaitsConfirm { .. })) {
            self.send_ack(now, id, None);
            self.set_phase(id, Phase::Confirmed);
        }
        match self.build_in_dialog(id, Method::Bye, &headers, None) {
            Err(why) => Err(Refused::new(why, (id, headers, None))),
            Ok((request, hop)) => {
                let held = matches!(phase, Some(Phase::AwaitsAck { .. }));
                let transaction = if held {
                    self.begin_held(now, User::Bye(id), request, hop)
                } else {
                    self.begin_client(now, User::Bye(id), request, hop)
                };
                // The transaction may have failed at once: then the dialog is gone already.
                if let Some(dialog) = self.dialogs.get_mut(&id) {
                    dialog.bye = Some(transaction);
                }
                self.settle(now);
                Ok(transaction)
            }
        }
    }
}

/// Adds header fields and a body to a request.
pub(super) fn add_fields(request: &mut Request, headers: &Headers, body: Option<&Body>) {
    for (name, _) in headers.iter() {
        if !request.headers().contains(name) {
            request.headers_mut().copy_from(headers, name);
        }
    }
    match body {
        Some(body) => {
            request.headers_mut().replace(HeaderName::ContentType, body.content_type.clone());
            request.set_body(body.octets.clone());
        }
        None => request.set_body(bytes::Bytes::new()),
    }
}
