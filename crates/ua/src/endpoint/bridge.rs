//! Bridging (a back-to-back user agent): one incoming INVITE and any number of outgoing ones as data. The function says what
//! crosses from one side to the other and when; what the legs do to one another on the wire is looked after here.

pub(super) mod machine;

use super::Endpoint;
use crate::error::{Refusal, Refused, RespondRefused, SendRefused};
use crate::event::{
    Body, BridgeEvent, BridgeId, Destination, DialogEnd, DialogId, Event, Fault, InviteId, LegId, RequestId,
    Side,
};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use cpm_base::Now;
use cpm_sip::{HeaderName, Headers, Request, Response, StatusCode};
use machine::{Leg, LegEffect, LegInput, Upstream, UpstreamEffect, UpstreamInput};

/// All bridges, and what belongs to them.
#[derive(Debug, Default)]
pub(super) struct Bridging {
    bridges: BTreeMap<BridgeId, Bridge>,
    legs: BTreeMap<LegId, LegData>,
    by_invite: BTreeMap<InviteId, LegId>,
    by_dialog: BTreeMap<DialogId, (BridgeId, Side)>,
    by_request: BTreeMap<RequestId, BridgeId>,
    /// What happened to legs and is not looked at yet.
    inbox: VecDeque<Event>,
    /// The inbox is being worked on: what a step adds to it waits for its turn.
    busy: bool,
}

#[derive(Debug)]
struct Bridge {
    request: RequestId,
    upstream: Upstream,
    dialog: Option<DialogId>,
    legs: BTreeSet<LegId>,
    /// The Reason of the CANCEL that came.
    reason: Headers,
    /// The function has ended it: no more legs.
    ended: bool,
}

#[derive(Debug)]
struct LegData {
    bridge: BridgeId,
    /// Known before its INVITE is sent off.
    invite: InviteId,
    state: Leg,
    /// Early dialogs, and the one that was accepted.
    dialogs: Vec<DialogId>,
    /// The one of them that was accepted.
    dialog: Option<DialogId>,
    /// Our INVITE had a body: an offer.
    offered: bool,
    /// The 2xx brought the offer: its ACK brings the answer.
    owes_answer: bool,
}

impl Bridging {
    pub(super) fn is_empty(&self) -> bool {
        self.bridges.is_empty()
            && self.legs.is_empty()
            && self.by_invite.is_empty()
            && self.by_dialog.is_empty()
            && self.by_request.is_empty()
            && self.inbox.is_empty()
    }

    /// Keeps an event that concerns a leg; gives back one that is the function's as it is.
    pub(super) fn take(&mut self, event: Event) -> Option<Event> {
        let ours = match &event {
            Event::InviteProvisional { invite, .. }
            | Event::InviteAccepted { invite, .. }
            | Event::InviteFailed { invite, .. } => self.by_invite.contains_key(invite),
            Event::DialogEnded { dialog, .. } | Event::Acknowledged { dialog, .. } => {
                self.by_dialog.contains_key(dialog)
            }
            Event::Cancelled { id } => self.by_request.contains_key(id),
            Event::Fault(Fault::Unanswered { request } | Fault::NotPracked { request }) => {
                self.by_request.contains_key(request)
            }
            _ => false,
        };
        // What follows an event that waits here, waits behind it.
        let behind = !self.busy && !self.inbox.is_empty();
        if !ours && !behind {
            return Some(event);
        }
        self.inbox.push_back(event);
        None
    }

    /// A provisional response to an incoming INVITE made an early dialog.
    pub(super) fn early_upstream(&mut self, request: RequestId, dialog: DialogId) {
        let Some(id) = self.by_request.get(&request).copied() else { return };
        if let Some(bridge) = self.bridges.get_mut(&id) {
            bridge.dialog = Some(dialog);
            self.own_dialog(dialog, id, Side::Upstream);
        }
    }

    /// The CANCEL of an INVITE says why.
    pub(super) fn cancelled_with(&mut self, request: RequestId, cancel: &Headers) {
        let bridge = self.by_request.get(&request).and_then(|id| self.bridges.get_mut(id));
        if let Some(bridge) = bridge {
            bridge.reason = cancel.subset(&[HeaderName::Reason]);
        }
    }

    /// An INVITE for a leg is about to be sent off.
    pub(super) fn calls(&mut self, leg: LegId, invite: InviteId) {
        self.by_invite.insert(invite, leg);
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.invite = invite;
        }
    }

    pub(super) fn owns_request(&self, request: RequestId) -> bool {
        self.by_request.contains_key(&request)
    }

    fn own_dialog(&mut self, dialog: DialogId, bridge: BridgeId, side: Side) {
        self.by_dialog.insert(dialog, (bridge, side));
        if let Side::Leg(leg) = side
            && let Some(leg) = self.legs.get_mut(&leg)
            && !leg.dialogs.contains(&dialog)
        {
            leg.dialogs.push(dialog);
        }
    }

    fn forget_leg(&mut self, id: LegId) {
        let Some(leg) = self.legs.remove(&id) else { return };
        self.by_invite.remove(&leg.invite);
        for dialog in &leg.dialogs {
            self.by_dialog.remove(dialog);
        }
        if let Some(bridge) = self.bridges.get_mut(&leg.bridge) {
            bridge.legs.remove(&id);
        }
    }
}

impl Endpoint {
    /// Makes an INVITE that is not answered yet the incoming leg of a bridge. From here on it is answered with
    /// [`answer_upstream`](Endpoint::answer_upstream), and what happens to it is told as [`Event::Bridged`]. A CANCEL is
    /// answered 487 by itself and drops all legs, as does the 500 of an INVITE that stays unanswered.
    ///
    /// Requests inside of the dialogs of a bridge come as [`Event::Request`] as always; [`side_of`](Endpoint::side_of)
    /// says whose they are.
    ///
    /// # Errors
    /// The request is no INVITE outside of a dialog, is over, answered, cancelled, proxied or bridged already.
    pub fn bridge(&mut self, id: RequestId) -> Result<BridgeId, Refusal> {
        let server = self.servers.get(&id).filter(|server| !server.answered()).ok_or(Refusal::Gone)?;
        match server.owner {
            super::server::Owner::Function => {}
            super::server::Owner::Proxy(_) => return Err(Refusal::Proxied),
            super::server::Owner::Endpoint => return Err(Refusal::Gone),
        }
        if !server.is_invite() || server.in_dialog.is_some() {
            return Err(Refusal::Method(server.method.clone()));
        }
        if server.cancelled {
            return Err(Refusal::Cancelled);
        }
        if self.bridging.owns_request(id) {
            return Err(Refusal::Bridged);
        }
        let (dialog, bridge) = (server.early, BridgeId(self.next_id()));
        let data = Bridge {
            request: id,
            upstream: Upstream::Ringing,
            dialog,
            legs: BTreeSet::new(),
            reason: Headers::new(),
            ended: false,
        };
        self.bridging.bridges.insert(bridge, data);
        self.bridging.by_request.insert(id, bridge);
        if let Some(dialog) = dialog {
            self.bridging.own_dialog(dialog, bridge, Side::Upstream);
        }
        Ok(bridge)
    }

    /// One more outgoing leg: sends an INVITE ([`invite`](Endpoint::invite)). It ends in exactly one
    /// [`BridgeEvent::LegFailed`] or [`BridgeEvent::LegEnded`]; before a `LegEnded` comes a [`BridgeEvent::LegAnswered`],
    /// to be acknowledged with [`accept_leg`](Endpoint::accept_leg). Any number of them may be answered at once, and they
    /// may come as late as they like.
    ///
    /// # Errors
    /// The bridge is over or ended; else like [`invite`](Endpoint::invite).
    pub fn add_leg(
        &mut self,
        now: Now,
        bridge: BridgeId,
        request: Request,
        destination: Destination,
    ) -> Result<LegId, SendRefused> {
        if self.bridging.bridges.get(&bridge).is_none_or(|bridge| bridge.ended) {
            return Err(Refused::new(Refusal::Gone, request));
        }
        let leg = LegId(self.next_id());
        let data = LegData {
            bridge,
            invite: InviteId(0),
            state: Leg::Calling,
            dialogs: Vec::new(),
            dialog: None,
            offered: !request.body().is_empty(),
            owes_answer: false,
        };
        self.bridging.legs.insert(leg, data);
        if let Some(bridge) = self.bridging.bridges.get_mut(&bridge) {
            bridge.legs.insert(leg);
        }
        match self.invite_for(now, request, destination, Some(leg)) {
            Ok(_) => Ok(leg),
            Err(refused) => {
                self.bridging.forget_leg(leg);
                Err(refused)
            }
        }
    }

    /// Answers the incoming INVITE: 1xx as often as wanted, then one final response. A 2xx gives the dialog, whose ACK
    /// comes as [`BridgeEvent::Acknowledged`]; a provisional one its early dialog, once. A reliable 1xx is sent with
    /// [`respond_reliably`](Endpoint::respond_reliably).
    ///
    /// # Errors
    /// The bridge or its incoming leg is over, or answered already; else like [`respond`](Endpoint::respond) and
    /// [`accept`](Endpoint::accept). The response comes back.
    pub fn answer_upstream(
        &mut self,
        now: Now,
        id: BridgeId,
        response: Response,
    ) -> Result<Option<DialogId>, RespondRefused> {
        let status = response.status();
        let input = match status.class() {
            1 => UpstreamInput::Progress,
            2 => UpstreamInput::Accept,
            _ => UpstreamInput::Refuse,
        };
        let Some(bridge) = self.bridging.bridges.get(&id) else {
            return Err(Refused::new(Refusal::Gone, response));
        };
        let (request, mut upstream) = (bridge.request, bridge.upstream);
        if upstream.step(input) == UpstreamEffect::Refuse {
            return Err(Refused::new(Refusal::Gone, response));
        }
        self.bridging.by_request.remove(&request);
        let answered = if status.is_success() {
            self.accept(now, request, response).map(Some)
        } else {
            self.respond(now, request, response)
        };
        self.bridging.by_request.insert(request, id);
        let dialog = answered?;
        if let Some(bridge) = self.bridging.bridges.get_mut(&id) {
            bridge.upstream = upstream;
            bridge.dialog = dialog.or(bridge.dialog);
        }
        if let Some(dialog) = dialog {
            self.bridging.own_dialog(dialog, id, Side::Upstream);
        }
        if status.is_final() && !status.is_success() {
            // An early dialog ended with it, without a word.
            self.forget_upstream_dialog(id);
        }
        self.reap(id);
        Ok(dialog)
    }

    /// Sends the ACK of an answered leg. Where our INVITE had no offer and the 2xx has one, the ACK brings the answer: it
    /// is held until the function has that, from the ACK of the other side for instance. Within 64*T1: then the endpoint
    /// ends the leg by itself.
    ///
    /// # Errors
    /// The leg is over or does not wait for it; the answer that it owes is missing. The body comes back.
    pub fn accept_leg(
        &mut self,
        now: Now,
        id: LegId,
        body: Option<Body>,
    ) -> Result<DialogId, Refused<Option<Body>>> {
        let Some(leg) = self.bridging.legs.get_mut(&id) else {
            return Err(Refused::new(Refusal::Gone, body));
        };
        let mut state = leg.state;
        let (LegEffect::Ack, Some(dialog)) = (state.step(LegInput::Accept), leg.dialog) else {
            return Err(Refused::new(Refusal::Gone, body));
        };
        if leg.owes_answer && body.is_none() {
            return Err(Refused::new(Refusal::Missing("the answer to a late offer"), body));
        }
        self.confirm(now, dialog, body)?;
        if let Some(leg) = self.bridging.legs.get_mut(&id) {
            leg.state = state;
        }
        Ok(dialog)
    }

    /// Ends one outgoing leg, whatever its state: with CANCEL, or ACK and BYE, or BYE. `headers` are added (Reason). What
    /// crosses with it on the wire is looked after; it ends in [`BridgeEvent::LegFailed`] or [`BridgeEvent::LegEnded`].
    ///
    /// # Errors
    /// The leg is over or ending; the BYE cannot be sent (no way, too many transactions).
    pub fn drop_leg(&mut self, now: Now, id: LegId, headers: &Headers) -> Result<(), Refusal> {
        let leg = self.bridging.legs.get(&id).ok_or(Refusal::Gone)?;
        let (mut state, invite, dialog) = (leg.state, leg.invite, leg.dialog);
        let effect = state.step(LegInput::Drop);
        let before = self.bridging.legs.get_mut(&id).map(|leg| core::mem::replace(&mut leg.state, state));
        let done = match (effect, dialog) {
            (LegEffect::Cancel, _) => self.cancel_with(now, invite, headers),
            (LegEffect::Bye, Some(dialog)) => {
                self.bye(now, dialog, headers.clone()).map(drop).map_err(|refused| refused.why)
            }
            _ => Err(Refusal::Gone),
        };
        if let (Err(_), Some(before), Some(leg)) = (&done, before, self.bridging.legs.get_mut(&id)) {
            leg.state = before;
        }
        done
    }

    /// Ends a bridge: all of its outgoing legs, and the incoming one with BYE, or with 480 when it is not answered yet. No
    /// leg can be added any more. Ends in [`BridgeEvent::Over`].
    ///
    /// # Errors
    /// The bridge is over or ended already.
    pub fn end_bridge(&mut self, now: Now, id: BridgeId, headers: &Headers) -> Result<(), Refusal> {
        let bridge =
            self.bridging.bridges.get_mut(&id).filter(|bridge| !bridge.ended).ok_or(Refusal::Gone)?;
        bridge.ended = true;
        let effect = bridge.upstream.step(UpstreamInput::Drop);
        let (request, dialog) = (bridge.request, bridge.dialog);
        match (effect, dialog) {
            (UpstreamEffect::TurnAway, _) => {
                self.turn_upstream_away(now, id, request, StatusCode::TEMPORARILY_UNAVAILABLE)
            }
            (UpstreamEffect::Bye, Some(dialog)) => self.bye_or_forget(now, dialog, headers),
            _ => {}
        }
        self.drop_legs(now, id, headers);
        self.reap(id);
        self.settle(now);
        Ok(())
    }

    /// Whose dialog it is, when it belongs to a bridge.
    #[must_use]
    pub fn side_of(&self, dialog: DialogId) -> Option<(BridgeId, Side)> {
        self.bridging.by_dialog.get(&dialog).copied()
    }

    /// The legs of a bridge that are not over, oldest first.
    pub fn legs_of(&self, bridge: BridgeId) -> impl Iterator<Item = LegId> + '_ {
        self.bridging.bridges.get(&bridge).into_iter().flat_map(|bridge| bridge.legs.iter().copied())
    }

    /// Works on what happened to legs, until nothing is left.
    pub(super) fn settle_bridges(&mut self, now: Now) {
        if core::mem::replace(&mut self.bridging.busy, true) {
            return;
        }
        while let Some(event) = self.bridging.inbox.pop_front() {
            self.bridged(now, event);
        }
        self.bridging.busy = false;
    }

    fn bridged(&mut self, now: Now, event: Event) {
        match event {
            Event::InviteProvisional { invite, dialog, response } => {
                self.leg_event(invite, LegInput::Progress, dialog, |leg| BridgeEvent::LegProgress {
                    leg,
                    dialog,
                    response,
                });
            }
            Event::InviteAccepted { invite, dialog, response } => {
                let id = self.bridging.by_invite.get(&invite).copied();
                if let Some(leg) = id.and_then(|id| self.bridging.legs.get_mut(&id)) {
                    leg.dialog = Some(dialog);
                    leg.owes_answer = !leg.offered && !response.body().is_empty();
                }
                self.leg_event(invite, LegInput::Answer, Some(dialog), |leg| BridgeEvent::LegAnswered {
                    leg,
                    dialog,
                    response,
                });
            }
            Event::InviteFailed { invite, response, why } => {
                self.leg_event(invite, LegInput::Failure, None, |leg| BridgeEvent::LegFailed {
                    leg,
                    response,
                    why,
                });
            }
            Event::DialogEnded { dialog, why } => self.bridged_dialog_ended(dialog, why),
            Event::Acknowledged { dialog, ack } => self.bridged_ack(dialog, ack),
            Event::Cancelled { id } => self.upstream_gone(now, id, UpstreamInput::Cancelled),
            Event::Fault(fault) => {
                if let Fault::Unanswered { request } | Fault::NotPracked { request } = fault {
                    self.upstream_gone(now, request, UpstreamInput::Expired);
                }
                // For the logs, as always.
                self.event(Event::Fault(fault));
            }
            other => self.event(other),
        }
    }

    /// Something happened to the INVITE of a leg.
    fn leg_event(
        &mut self,
        invite: InviteId,
        input: LegInput,
        dialog: Option<DialogId>,
        event: impl FnOnce(LegId) -> BridgeEvent,
    ) {
        let Some(id) = self.bridging.by_invite.get(&invite).copied() else { return };
        let Some(leg) = self.bridging.legs.get_mut(&id) else { return };
        let bridge = leg.bridge;
        let effect = leg.state.step(input);
        if let Some(dialog) = dialog {
            self.bridging.own_dialog(dialog, bridge, Side::Leg(id));
        }
        self.told(bridge, effect == LegEffect::Tell, event(id));
        self.reap_leg(id);
    }

    fn bridged_dialog_ended(&mut self, dialog: DialogId, why: DialogEnd) {
        match self.bridging.by_dialog.get(&dialog).copied() {
            Some((bridge, Side::Leg(id))) => {
                let Some(leg) = self.bridging.legs.get_mut(&id) else { return };
                // An early dialog that ends is not the end of its INVITE.
                if leg.dialog == Some(dialog) {
                    let effect = leg.state.step(LegInput::Over);
                    self.told(bridge, effect == LegEffect::Tell, BridgeEvent::LegEnded { leg: id, why });
                    self.reap_leg(id);
                }
            }
            Some((id, Side::Upstream)) => {
                let Some(bridge) = self.bridging.bridges.get_mut(&id) else { return };
                let effect = bridge.upstream.step(UpstreamInput::Over);
                if bridge.upstream == Upstream::Gone {
                    self.forget_upstream_dialog(id);
                }
                self.told(id, effect == UpstreamEffect::Tell, BridgeEvent::UpstreamEnded { why });
                self.reap(id);
            }
            None => {}
        }
    }

    fn bridged_ack(&mut self, dialog: DialogId, ack: Request) {
        let Some((id, side)) = self.bridging.by_dialog.get(&dialog).copied() else { return };
        let tell = match side {
            // The ACK for a 2xx of ours to a re-INVITE.
            Side::Leg(_) => true,
            Side::Upstream => self
                .bridging
                .bridges
                .get_mut(&id)
                .is_some_and(|b| b.upstream.step(UpstreamInput::Acknowledged) == UpstreamEffect::Tell),
        };
        self.told(id, tell, BridgeEvent::Acknowledged { side, ack });
    }

    /// The incoming INVITE is over before it was answered.
    fn upstream_gone(&mut self, now: Now, request: RequestId, input: UpstreamInput) {
        let Some(id) = self.bridging.by_request.get(&request).copied() else { return };
        let Some(bridge) = self.bridging.bridges.get_mut(&id) else { return };
        if bridge.upstream.step(input) != UpstreamEffect::EndLegs {
            return;
        }
        bridge.ended = true;
        let reason = core::mem::take(&mut bridge.reason);
        self.turn_upstream_away(now, id, request, StatusCode::REQUEST_TERMINATED);
        self.drop_legs(now, id, &reason);
        self.told(id, true, BridgeEvent::Cancelled);
        self.reap(id);
    }

    /// A final response to the incoming INVITE by the bridge itself; one that has been answered stays so.
    fn turn_upstream_away(&mut self, now: Now, id: BridgeId, request: RequestId, status: StatusCode) {
        self.bridging.by_request.remove(&request);
        self.forget_upstream_dialog(id);
        if let Some(invite) = self.servers.get(&request).and_then(|server| server.whole_request()) {
            // Refused when the endpoint has said 500 already.
            let _ = self.respond(now, request, Response::for_request(&invite, status));
        }
    }

    fn drop_legs(&mut self, now: Now, id: BridgeId, headers: &Headers) {
        let legs: Vec<LegId> = self.legs_of(id).collect();
        for leg in legs {
            // One that is leaving goes on leaving.
            let dialog =
                self.bridging.legs.get(&leg).filter(|leg| leg.state != Leg::Leaving).and_then(|l| l.dialog);
            if self.drop_leg(now, leg, headers).is_err()
                && let Some(dialog) = dialog
            {
                self.end_call(now, dialog, DialogEnd::LocalBye);
            }
        }
    }

    /// BYE; where none can be sent, the dialog ends without.
    fn bye_or_forget(&mut self, now: Now, dialog: DialogId, headers: &Headers) {
        if self.bye(now, dialog, headers.clone()).is_err() {
            self.end_call(now, dialog, DialogEnd::LocalBye);
        }
    }

    fn told(&mut self, bridge: BridgeId, tell: bool, event: BridgeEvent) {
        if tell {
            self.event(Event::Bridged { bridge, event });
        }
    }

    fn forget_upstream_dialog(&mut self, id: BridgeId) {
        if let Some(dialog) = self.bridging.bridges.get_mut(&id).and_then(|bridge| bridge.dialog.take()) {
            self.bridging.by_dialog.remove(&dialog);
        }
    }

    /// Forgets a leg that is over.
    fn reap_leg(&mut self, id: LegId) {
        let Some(leg) = self.bridging.legs.get(&id).filter(|leg| leg.state == Leg::Gone) else { return };
        let bridge = leg.bridge;
        self.bridging.forget_leg(id);
        self.reap(bridge);
    }

    /// Forgets a bridge of which nothing is left.
    fn reap(&mut self, id: BridgeId) {
        let over = |bridge: &&Bridge| bridge.upstream == Upstream::Gone && bridge.legs.is_empty();
        let Some(bridge) = self.bridging.bridges.get(&id).filter(over) else { return };
        let request = bridge.request;
        self.forget_upstream_dialog(id);
        self.bridging.by_request.remove(&request);
        self.bridging.bridges.remove(&id);
        self.event(Event::Bridged { bridge: id, event: BridgeEvent::Over });
    }
}
