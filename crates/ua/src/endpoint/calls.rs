//! The INVITE usage of a dialog (RFC 3261 §13, §15): from the first response to the BYE.

use super::Endpoint;
use super::changes::Change;
use super::client::User;
use super::dialogs::Dialog;
use crate::error::{InDialogRefused, Refusal, Refused};
use crate::event::{DialogEnd, DialogId, Event, InviteId, RequestId, TransactionId};
use crate::session::exchange::Exchange;
use crate::session::timer::Timer;
use alloc::boxed::Box;
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_sip::{HeaderName, HeaderText, Headers, Method};

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A provisional response to our INVITE made it.
    EarlyAsClient,
    /// Our provisional response to this INVITE made it.
    EarlyAsServer { invite: RequestId },
    /// A 2xx to our INVITE with this CSeq came: the function owes the ACK.
    AwaitsConfirm { until: Instant, cseq: u32 },
    /// Our 2xx is sent again until its ACK comes (RFC 3261 §13.3.1.4).
    AwaitsAck { invite: RequestId, cseq: u32, interval: Duration, again: Instant, until: Instant },
    /// Both sides know.
    Confirmed,
    /// The function was told that it is over; a BYE may still follow.
    Ended { until: Instant },
}

/// The INVITE usage of a dialog.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) phase: Phase,
    /// The INVITE of ours whose ACK comes next, or was the last.
    pub(super) invite: Option<InviteId>,
    /// Our BYE, under way or held until the ACK is in.
    pub(super) bye: Option<TransactionId>,
    /// We called: the Call-ID is ours (RFC 3261 §14.1 gives us the longer back-off).
    pub(super) owner: bool,
    pub(super) exchange: Exchange,
    /// How many offers were answered.
    pub(super) exchanges: u32,
    /// How many offers the peer made.
    pub(super) offers: u32,
    /// The function took the offer of a response.
    pub(super) offer_taken: bool,
    /// Our re-INVITE and our UPDATE, from the command to their end.
    pub(super) reinvite: Option<Box<Change>>,
    pub(super) update: Option<Box<Change>>,
    /// The last INVITE of the peer, and its last UPDATE.
    pub(super) served_invite: Option<RequestId>,
    pub(super) served_update: Option<RequestId>,
    /// RSeq of the peer's last reliable provisional response, and CSeq of the INVITE of ours that it answers.
    pub(super) reliable: Option<(u32, u32)>,
    /// Until when an early dialog of ours lives without another response.
    pub(super) early_until: Option<Instant>,
    pub(super) timer: Timer,
    /// The peer takes UPDATE.
    pub(super) peer_updates: bool,
    /// Our last description, kept where the session is refreshed.
    pub(super) kept_local: Option<Bytes>,
}

impl Call {
    pub(super) fn new(phase: Phase, owner: bool, exchange: Exchange) -> Call {
        Call {
            phase,
            invite: None,
            bye: None,
            owner,
            exchange,
            exchanges: 0,
            offers: 0,
            offer_taken: false,
            reinvite: None,
            update: None,
            served_invite: None,
            served_update: None,
            reliable: None,
            early_until: None,
            timer: Timer::OFF,
            peer_updates: false,
            kept_local: None,
        }
    }

    pub(super) fn next_alarm(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::AwaitsConfirm { until, .. } | Phase::Ended { until } => Some(until),
            Phase::AwaitsAck { again, until, .. } => Some(again.min(until)),
            Phase::EarlyAsClient => self.early_until,
            Phase::EarlyAsServer { .. } | Phase::Confirmed => None,
        };
        let waiting = |change: &Option<Box<Change>>| change.as_ref().and_then(|change| change.again_at);
        [phase, waiting(&self.reinvite), waiting(&self.update), self.timer.next_alarm()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether nothing stops the call from being changed or ended: it is confirmed, and no BYE is under way.
    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Confirmed && self.bye.is_none()
    }
}

impl Dialog {
    /// Phase and BYE of its call.
    pub(super) fn call_state(&self) -> Option<(Phase, Option<TransactionId>)> {
        self.call.as_ref().map(|call| (call.phase, call.bye))
    }
}

impl Endpoint {
    pub(super) fn call(&self, id: DialogId) -> Option<&Call> {
        self.dialogs.get(&id)?.call.as_ref()
    }

    pub(super) fn call_mut(&mut self, id: DialogId) -> Option<&mut Call> {
        self.dialogs.get_mut(&id)?.call.as_mut()
    }

    pub(super) fn set_phase(&mut self, id: DialogId, phase: Phase) {
        if let Some(call) = self.call_mut(id) {
            call.phase = phase;
        }
        self.schedule_dialog(id);
    }

    /// Forgets a call without a word, and its dialog when that is used for nothing else.
    pub(super) fn forget_call(&mut self, id: DialogId) -> Option<Call> {
        let call = self.dialogs.get_mut(&id)?.call.take();
        self.schedule_dialog(id);
        self.drop_unused(id);
        if let Some(call) = &call {
            if let Phase::AwaitsAck { invite, .. } = call.phase {
                self.may_forget(invite);
            }
            self.changes_lost(call);
        }
        call
    }

    /// The call is over; the function is told once.
    pub(super) fn end_call(&mut self, now: Now, id: DialogId, why: DialogEnd) {
        let Some(call) = self.forget_call(id) else { return };
        if matches!(call.phase, Phase::Ended { .. }) {
            return;
        }
        self.event(Event::DialogEnded { dialog: id, why });
        if let Some(bye) = call.bye {
            self.release_held(now, bye);
        }
        if let Phase::EarlyAsServer { invite } = call.phase {
            self.cancelled_by_bye(invite);
        }
    }

    pub(super) fn dialog_timeout(&mut self, now: Now, id: DialogId) {
        self.phase_timeout(now, id);
        self.changes_timeout(now, id);
        if let Some(event) = self.call(id).and_then(|call| call.timer.due(now.mono)) {
            self.step_timer(now, id, event);
        }
        self.schedule_dialog(id);
    }

    fn phase_timeout(&mut self, now: Now, id: DialogId) {
        let t2 = self.config.timers.t2;
        let patience = self.config.timers.patience();
        let Some(call) = self.call_mut(id) else { return };
        match &mut call.phase {
            Phase::AwaitsAck { invite, interval, again, until, .. } if *until > now.mono => {
                if *again > now.mono {
                    return;
                }
                // RFC 3261 §13.3.1.4: from T1, doubling up to T2, whatever the transport.
                let invite = *invite;
                *interval = interval.saturating_mul(2).min(t2);
                *again = now.mono.plus(*interval);
                self.metrics.count("ua.retransmissions_sent");
                self.transmit_response(now, invite);
            }
            Phase::AwaitsAck { .. } => self.not_acknowledged(now, id),
            Phase::AwaitsConfirm { until, .. } if *until <= now.mono => {
                self.metrics.count("ua.not_confirmed");
                self.send_ack(now, id, None);
                self.bye_by_itself(now, id);
                self.end_call(now, id, DialogEnd::NotConfirmed);
            }
            Phase::EarlyAsClient if call.early_until.is_some_and(|until| until <= now.mono) => {
                call.early_until = None;
                let invite = call.invite;
                // Where it is the only one, Timer C ends the INVITE with it.
                if self.forks_of(invite) > 1 {
                    self.metrics.count("ua.early_dialogs_expired");
                    self.end_call(now, id, DialogEnd::EarlyExpired);
                }
            }
            Phase::Ended { until } if *until <= now.mono => {
                if call.bye.is_none() {
                    self.forget_call(id);
                } else {
                    call.phase = Phase::Ended { until: now.mono.plus(patience) };
                }
            }
            _ => {}
        }
    }

    /// The ACK for our 2xx never came: the function may end the session with BYE.
    fn not_acknowledged(&mut self, now: Now, id: DialogId) {
        self.metrics.count("ua.not_acknowledged");
        if let Some(Phase::AwaitsAck { invite, .. }) = self.call(id).map(|call| call.phase) {
            self.may_forget(invite);
        }
        let until = now.mono.plus(self.config.timers.patience());
        self.set_phase(id, Phase::Ended { until });
        self.event(Event::DialogEnded { dialog: id, why: DialogEnd::NotAcknowledged });
        if let Some(bye) = self.call(id).and_then(|call| call.bye) {
            self.release_held(now, bye);
        }
    }

    /// A BYE that nobody but the endpoint knows of.
    pub(super) fn bye_by_itself(&mut self, now: Now, id: DialogId) {
        self.send_bye(now, id, &Headers::new());
    }

    /// The same with a Reason (RFC 3326).
    pub(super) fn bye_with(&mut self, now: Now, id: DialogId, reason: &str) {
        let mut headers = Headers::new();
        if let Ok(reason) = HeaderText::new(reason) {
            headers.push(HeaderName::Reason, reason);
        }
        self.send_bye(now, id, &headers);
    }

    fn send_bye(&mut self, now: Now, id: DialogId, headers: &Headers) {
        if self.call(id).is_none_or(|call| call.bye.is_some()) {
            return;
        }
        if let Ok((request, hop)) = self.build_in_dialog(id, Method::Bye, headers, None) {
            self.begin_client(now, User::Nobody, request, hop);
        }
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
        let refusal = match self.dialogs.get(&id).and_then(Dialog::call_state) {
            None | Some((_, Some(_))) => Some(Refusal::Gone),
            Some((Phase::EarlyAsClient | Phase::EarlyAsServer { .. }, _)) => Some(Refusal::Early),
            Some(_) => self.room_for_client().err().map(Refusal::Limit),
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, (id, headers, None)));
        }
        let phase = self.call(id).map(|call| call.phase);
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
                if let Some(call) = self.call_mut(id) {
                    call.bye = Some(transaction);
                }
                self.settle(now);
                Ok(transaction)
            }
        }
    }
}
