//! What the endpoint says: actions for the host, events for the function, and the names of its objects.

use alloc::string::String;
use bytes::Bytes;
use core::fmt;
use cpm_base::{CloseReason, FlowId, FlowInfo, LimitExceeded, OpenId, Target, Transport};
use cpm_sip::{HeaderText, ParseError, Request, Response, StatusCode};

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

handle! {
    /// A client transaction. Never used twice: a stale handle is refused, it never names another transaction.
    TransactionId
}
handle! {
    /// A received request that awaits, or has got, its final response. Never used twice.
    RequestId
}
handle! {
    /// An INVITE that the function sent. Never used twice.
    InviteId
}
handle! {
    /// A dialog. Never used twice.
    DialogId
}
handle! {
    /// A request that is being proxied. Never used twice.
    ProxyId
}
handle! {
    /// One incoming INVITE and the outgoing ones that belong to it. Never used twice.
    BridgeId
}
handle! {
    /// An outgoing leg of a bridge. Never used twice.
    LegId
}
handle! {
    /// A question for addresses. Never used twice.
    ResolveId
}

handle! {
    /// An account that answers challenges. Never used twice.
    LoginId
}
handle! {
    /// A registration. Never used twice.
    RegistrationId
}
handle! {
    /// A publication. Never used twice.
    PublicationId
}

handle! {
    /// A SUBSCRIBE or REFER of ours that makes subscriptions. Never used twice.
    SubscribeId
}
handle! {
    /// A subscription of ours with one notifier. Never used twice.
    SubscriptionId
}
handle! {
    /// A subscription that the function accepted. Never used twice.
    NotifierId
}

/// What the host shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "taken apart at once, never stored in numbers")]
pub enum Action {
    /// Send one datagram on this flow.
    Datagram(FlowId, Bytes),
    /// Open a flow and report with [`Endpoint::handle_opened`](crate::Endpoint::handle_opened).
    Open(OpenId, Target),
    /// Close this flow; the endpoint has forgotten it already.
    Close(FlowId, CloseReason),
    /// Octets wait for [`Endpoint::poll_transmit`](crate::Endpoint::poll_transmit) on this flow.
    WantsWrite(FlowId),
    /// Look these addresses up and report with [`Endpoint::handle_resolved`](crate::Endpoint::handle_resolved).
    Resolve(ResolveId, NameQuery),
    /// For the function.
    Event(Event),
}

/// A question for addresses (RFC 3263 is the host's work).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameQuery {
    /// A host name.
    pub host: String,
    /// The port, when the URI gave one (no SRV look-up then).
    pub port: Option<u16>,
    /// The transport, when the URI gave one.
    pub transport: Option<Transport>,
    /// Whether only TLS will do (`sips`).
    pub secure: bool,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To the topmost Route; without one to the configured outbound hop (for requests outside of dialogs); without that
    /// to the Request-URI.
    Routed,
    /// On this flow (a registered contact behind its own connection).
    Flow(FlowId),
    /// To this address.
    To(Transport, core::net::SocketAddr),
}

/// A body with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The `Content-Type` value.
    pub content_type: HeaderText,
    /// The octets.
    pub octets: Bytes,
}

/// What carries an offer of the peer, and so decides where its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferOf {
    /// An INVITE, UPDATE or PRACK: answered in its 2xx.
    Request(RequestId),
    /// A reliable provisional response to our INVITE that made no offer: answered in its PRACK.
    Reliable(DialogId),
    /// The 2xx to our INVITE that made no offer: answered in the ACK.
    Success(DialogId),
}

/// An offer of the peer that awaits its answer. It is given out once
/// ([`take_offer`](crate::Endpoint::take_offer)) and used up by [`answer`](crate::Endpoint::answer_offer).
#[derive(Debug, PartialEq, Eq)]
pub struct PendingOffer {
    pub(crate) of: OfferOf,
    /// Which offer of the call it is: a late handle never answers another one.
    pub(crate) serial: u32,
}

impl PendingOffer {
    /// What carried it.
    #[must_use]
    pub fn of(&self) -> OfferOf {
        self.of
    }
}

/// What happened, for the function.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request came; it awaits its final response (see [`Endpoint::deadline`](crate::Endpoint::deadline)).
    Request {
        /// Answer, accept or proxy it under this name.
        id: RequestId,
        /// The flow it came on.
        flow: FlowId,
        /// The request, with `received` and `rport` in its topmost Via.
        request: Request,
        /// The endpoint's own dialog it belongs to.
        in_dialog: Option<DialogId>,
    },
    /// The peer cancelled this INVITE (CANCEL, or BYE in the early dialog); it still awaits its final response: 487.
    Cancelled {
        /// The INVITE.
        id: RequestId,
    },
    /// The ACK for a 2xx that the function sent came.
    Acknowledged {
        /// The dialog.
        dialog: DialogId,
        /// The ACK.
        ack: Request,
    },
    /// The PRACK for a reliable provisional response of ours came. Unless it makes an offer, it is answered.
    ProvisionalAcknowledged {
        /// The INVITE.
        request: RequestId,
        /// The early dialog, or the dialog of a re-INVITE.
        dialog: DialogId,
        /// The PRACK.
        prack: Request,
    },
    /// The message of the event before this one makes an offer. Its answer goes with the command that the message asks
    /// for anyway, or with [`answer`](crate::Endpoint::answer_offer). (An INVITE outside of a dialog has no such event.)
    Offer {
        /// Where the answer goes.
        of: OfferOf,
        /// The dialog.
        dialog: DialogId,
        /// The session description.
        description: Bytes,
    },
    /// The message of the event before this one answers our offer.
    Answer {
        /// The dialog.
        dialog: DialogId,
        /// The session description.
        description: Bytes,
    },
    /// An INVITE wants to take the place of a dialog (RFC 3891), instead of [`Event::Request`]. It can be accepted after
    /// [`allow_replacing`](crate::Endpoint::allow_replacing), which ends that dialog; or else refused.
    Replaces {
        /// The INVITE.
        id: RequestId,
        /// The flow it came on.
        flow: FlowId,
        /// The INVITE.
        request: Request,
        /// The dialog that it would replace.
        dialog: DialogId,
    },
    /// The final response to a request that the function sent.
    Response {
        /// The transaction; it is over.
        transaction: TransactionId,
        /// The response.
        response: Response,
    },
    /// A provisional response (not 100) to a request other than INVITE.
    Provisional {
        /// The transaction.
        transaction: TransactionId,
        /// The response.
        response: Response,
    },
    /// No final response will come.
    TransactionFailed {
        /// The transaction; it is over.
        transaction: TransactionId,
        /// Why.
        why: TransactionFailure,
    },
    /// A provisional response (not 100) to an INVITE.
    InviteProvisional {
        /// The INVITE.
        invite: InviteId,
        /// The early dialog; absent when the response made none (no To tag, too many of them).
        dialog: Option<DialogId>,
        /// The response.
        response: Response,
    },
    /// The first 2xx to an INVITE: to be confirmed with [`Endpoint::confirm`](crate::Endpoint::confirm). Further 2xx of
    /// other forks are acknowledged and ended with BYE by the endpoint.
    InviteAccepted {
        /// The INVITE; it is over.
        invite: InviteId,
        /// The dialog.
        dialog: DialogId,
        /// The response.
        response: Response,
    },
    /// The INVITE came to nothing; its early dialogs are gone.
    InviteFailed {
        /// The INVITE; it is over.
        invite: InviteId,
        /// The final response, where there was one. For a cancelled INVITE that was accepted all the same, the 2xx: the
        /// endpoint has sent ACK and BYE.
        response: Option<Response>,
        /// Why.
        why: InviteFailure,
    },
    /// The dialog is over.
    DialogEnded {
        /// The dialog.
        dialog: DialogId,
        /// Why.
        why: DialogEnd,
    },
    /// A final response to a proxied request is held for the function, which lets it go with
    /// [`Endpoint::release`](crate::Endpoint::release). Comes once per 2xx to INVITE, else once.
    ProxyFinal {
        /// The proxied request.
        proxy: ProxyId,
        /// The request as it was received.
        request: RequestId,
        /// The best response, without the endpoint's Via.
        response: Response,
    },
    /// What the sender of a proxied request was told. Comes exactly once for each of them, with the first 2xx to an
    /// INVITE; further ones pass in silence.
    ProxyEnded {
        /// The proxied request.
        proxy: ProxyId,
        /// The request as it was received.
        request: RequestId,
        /// The status of the final response; `None` when there was and will be none: its sender has given up, or a 408
        /// would have been all there is to say (RFC 4320 §4.2).
        answer: Option<StatusCode>,
    },
    /// A branch of a proxied request other than INVITE answered when that was answered already, or its answer was held
    /// ([`ProxyOptions::hold_final`](crate::ProxyOptions::hold_final)). Nothing goes upstream; who has to know which of the
    /// branches took the request learns it here. [`Endpoint::has_open_branches`](crate::Endpoint::has_open_branches) says
    /// whether more may come.
    ProxyLate {
        /// The proxied request.
        proxy: ProxyId,
        /// The request as it was received.
        request: RequestId,
        /// The response; `None` of a branch that will not answer.
        response: Option<Response>,
    },
    /// A response that belongs to no transaction; nothing was done with it (RFC 6026 §7.2).
    StrayResponse {
        /// The flow it came on.
        flow: FlowId,
        /// The response.
        response: Response,
    },
    /// A registration stands, failed or ended.
    Registration {
        /// The registration.
        registration: RegistrationId,
        /// What happened.
        event: crate::RegistrationEvent,
    },
    /// News of a SUBSCRIBE or REFER of ours, or of a subscription that it made.
    Subscriber {
        /// The SUBSCRIBE or REFER.
        subscribe: SubscribeId,
        /// What happened.
        event: crate::SubscriberEvent,
    },
    /// A SUBSCRIBE came to a user agent, or in a dialog. Nothing is held for it but its transaction: it is accepted with
    /// [`Endpoint::accept_subscription`](crate::Endpoint::accept_subscription), or refused with a response.
    Subscribe {
        /// The request.
        id: RequestId,
        /// The flow it came on.
        flow: FlowId,
        /// The request.
        request: Request,
        /// The event package.
        package: cpm_sip::Event,
        /// Seconds that are asked for, cut to what is allowed; 0 ends it, or fetches the state.
        expires: u32,
        /// The subscription that it refreshes or ends.
        refreshes: Option<NotifierId>,
        /// The dialog that it came in.
        in_dialog: Option<DialogId>,
    },
    /// News of a subscription that the function accepted.
    Notifier {
        /// The subscription.
        notifier: NotifierId,
        /// What happened.
        event: crate::NotifierEvent,
    },
    /// A REFER came to a user agent, or in a dialog: accepted with
    /// [`Endpoint::accept_refer`](crate::Endpoint::accept_refer), or refused with a response. Who may refer whom to what
    /// is the function's to judge.
    Refer {
        /// The request.
        id: RequestId,
        /// The flow it came on.
        flow: FlowId,
        /// The request.
        request: Request,
        /// Where the request is to go; a `cid:` URI names a list in the body (RFC 5368).
        refer_to: cpm_sip::ReferTo,
        /// Whether the sender wants the subscription.
        wants_subscription: bool,
        /// The dialog that its Target-Dialog names, when we have it (RFC 4538).
        target_dialog: Option<DialogId>,
        /// The dialog that it came in.
        in_dialog: Option<DialogId>,
    },
    /// A publication stands, failed or ended.
    Publication {
        /// The publication.
        publication: PublicationId,
        /// What happened.
        event: crate::PublicationEvent,
    },
    /// Something happened to a bridge.
    Bridged {
        /// The bridge.
        bridge: BridgeId,
        /// What.
        event: BridgeEvent,
    },
    /// A flow is there: accepted, or opened at the endpoint's wish.
    FlowOpened {
        /// The flow.
        flow: FlowId,
        /// What the host says of it.
        info: FlowInfo,
    },
    /// A flow is gone.
    FlowClosed {
        /// The flow.
        flow: FlowId,
        /// Why.
        why: CloseReason,
    },
    /// After [`Endpoint::drain`](crate::Endpoint::drain): nothing is left that had begun.
    Drained,
    /// A peer did something wrong, or something of ours came to nothing. Counted; for logs and policies alone.
    Fault(Fault),
}

/// A side of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The incoming leg.
    Upstream,
    /// An outgoing one.
    Leg(LegId),
}

/// What happened to a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BridgeEvent {
    /// A provisional response (not 100) of an outgoing leg.
    LegProgress {
        /// The leg.
        leg: LegId,
        /// The early dialog, when the response made or names one.
        dialog: Option<DialogId>,
        /// The response.
        response: Response,
    },
    /// An outgoing leg is answered with a 2xx: to be acknowledged with
    /// [`Endpoint::accept_leg`](crate::Endpoint::accept_leg).
    LegAnswered {
        /// The leg.
        leg: LegId,
        /// Its dialog.
        dialog: DialogId,
        /// The response.
        response: Response,
    },
    /// An outgoing leg came to nothing.
    LegFailed {
        /// The leg; it is over.
        leg: LegId,
        /// The final response, where there was one; like that of [`Event::InviteFailed`].
        response: Option<Response>,
        /// Why.
        why: InviteFailure,
    },
    /// An outgoing leg that was answered is over.
    LegEnded {
        /// The leg; it is over.
        leg: LegId,
        /// Why.
        why: DialogEnd,
    },
    /// The ACK for a 2xx that the function sent came: to the first INVITE on the incoming leg, to a re-INVITE on any.
    Acknowledged {
        /// From which side.
        side: Side,
        /// The ACK.
        ack: Request,
    },
    /// The incoming INVITE was cancelled and answered 487, or stayed unanswered beyond its deadline and was answered 500, or
    /// 504 for want of a PRACK; the outgoing legs are ending.
    Cancelled,
    /// The dialog of the incoming leg is over. The outgoing legs stay until they are ended.
    UpstreamEnded {
        /// Why.
        why: DialogEnd,
    },
    /// Nothing is left of the bridge.
    Over,
}

/// Why no final response will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionFailure {
    /// Nothing final in 64*T1 (RFC 3261 §17.1).
    Timeout,
    /// The request could not be sent: no address, no flow, or the flow broke.
    Transport,
}

/// Why an INVITE came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteFailure {
    /// A final response other than 2xx.
    Rejected,
    /// The function cancelled it.
    Cancelled,
    /// Nothing came in 64*T1, or nothing final although it was waited for (Timer C).
    Timeout,
    /// It could not be sent: no address, no flow, or the flow broke.
    Transport,
}

/// Why a dialog is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogEnd {
    /// The function's BYE got its final response, or none.
    LocalBye,
    /// The peer's BYE was answered.
    RemoteBye,
    /// The ACK for our 2xx never came (RFC 3261 §13.3.1.4). The handle still takes a
    /// [`bye`](crate::Endpoint::bye) for 64*T1.
    NotAcknowledged,
    /// The function did not confirm the 2xx in 64*T1; the endpoint sent ACK and BYE.
    NotConfirmed,
    /// The peer does not know the dialog, or answers no more (481, 408: RFC 3261 §12.2.1.2; RFC 5057 §5).
    Gone,
    /// No response came for an early dialog in 180 s.
    EarlyExpired,
    /// Nobody refreshed the session (RFC 4028 §10); the endpoint sent BYE.
    SessionExpired,
    /// Another one took its place (RFC 3891); the endpoint sent BYE.
    Replaced,
}

/// Something went wrong that a log wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A message could not be read.
    Malformed {
        /// The flow it came on.
        flow: FlowId,
        /// What is wrong with it.
        error: ParseError,
        /// The answer that went back.
        answered: Option<StatusCode>,
    },
    /// A request was refused before it reached the function.
    Refused {
        /// The flow it came on.
        flow: FlowId,
        /// The answer that went back.
        status: StatusCode,
    },
    /// A response that belongs to nothing; [`Event::StrayResponse`] has it.
    StrayResponse {
        /// The flow it came on.
        flow: FlowId,
    },
    /// An ACK that belongs to nothing.
    StrayAck {
        /// The flow it came on.
        flow: FlowId,
    },
    /// A request was turned away (503 once, or silence), a flow closed, or a message not sent, because a limit is reached.
    Overload {
        /// The flow that it came on, or was to go out on.
        flow: FlowId,
        /// The limit.
        limit: LimitExceeded,
    },
    /// A datagram or octets for a flow that the host never announced, or that is closed.
    UnknownFlow {
        /// The flow.
        flow: FlowId,
    },
    /// The function did not answer a request until its deadline: an INVITE got 500, another request nothing (RFC 4320).
    Unanswered {
        /// The request; it is over.
        request: RequestId,
    },
    /// The ACK for a final response other than 2xx never came.
    Unacknowledged {
        /// The INVITE.
        request: RequestId,
    },
    /// The PRACK for a reliable provisional response never came: the INVITE got 504 (RFC 3262 §3).
    NotPracked {
        /// The INVITE; it is over.
        request: RequestId,
    },
    /// A session description came where none may be, or none where one had to be.
    Description {
        /// The dialog.
        dialog: DialogId,
        /// What is wrong.
        what: crate::Misplaced,
    },
    /// A response could not be sent: the flow is gone and none can be opened.
    Undeliverable {
        /// The request it answers, where that reached the function.
        request: Option<RequestId>,
    },
    /// An ACK, or a passed-on ACK, could not be sent.
    AckUndeliverable,
}
