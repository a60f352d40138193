//! What the peer changes about a call while something else is under way (RFC 3261 §14.2, RFC 3311 §5.2, RFC 5407 §3).

use super::Endpoint;
use super::calls::{Call, Phase};
use crate::event::{DialogId, RequestId};
use crate::session::exchange::{Exchange, Message, Side};
use cpm_sip::{Method, Request, Response, RetryAfter, StatusCode};

impl Endpoint {
    /// Whether an INVITE of the peer still awaits its final response.
    pub(super) fn serves_invite(&self, call: &Call) -> bool {
        call.served_invite.and_then(|id| self.servers.get(&id)).is_some_and(|server| !server.answered())
    }

    /// Whether an INVITE or UPDATE of the peer comes at the wrong time (RFC 3261 §14.2, RFC 3311 §5.2): the answer then.
    pub(super) fn overlapping(&self, id: DialogId, request: &Request, has: bool) -> Option<StatusCode> {
        let call = self.call(id)?;
        let (later, pending) = (StatusCode::SERVER_INTERNAL_ERROR, StatusCode::REQUEST_PENDING);
        match request.method() {
            Method::Invite
                if self.serves_invite(call) || matches!(call.phase, Phase::EarlyAsServer { .. }) =>
            {
                Some(later)
            }
            // RFC 5407 §3.1.4, §3.1.5: without the ACK for our 2xx its offer may be pending still.
            Method::Invite if call.phase != Phase::Confirmed => Some(pending),
            Method::Invite if call.reinvite.as_ref().is_some_and(|change| change.again_at.is_none()) => {
                Some(pending)
            }
            Method::Update
                if call
                    .served_update
                    .and_then(|id| self.servers.get(&id))
                    .is_some_and(|server| !server.answered()) =>
            {
                Some(later)
            }
            Method::Update if !has => None,
            Method::Invite | Method::Update => match call.exchange {
                Exchange::Idle => None,
                Exchange::Pending(Side::Local, _) | Exchange::Bare(Side::Local) => Some(pending),
                Exchange::Pending(Side::Remote, _) | Exchange::Bare(Side::Remote) => Some(later),
            },
            _ => None,
        }
    }

    /// The 500 that asks for another try within ten seconds, or the 491.
    pub(super) fn overlap_response(&mut self, request: &Request, status: StatusCode) -> Response {
        let mut response = Response::for_request(request, status);
        if status == StatusCode::SERVER_INTERNAL_ERROR {
            let seconds = u32::try_from(self.random.public_u64().checked_rem(11).unwrap_or(0)).unwrap_or(0);
            response.headers_mut().push_typed(&RetryAfter { seconds, duration: None });
        }
        response
    }

    /// A final response of ours to a request in a call went out, or none will.
    pub(super) fn served(&mut self, id: DialogId, request: RequestId, method: &Method, success: bool) {
        let message = match (method, success) {
            (Method::Invite, false) => Message::InviteOver,
            (Method::Update, false) => Message::UpdateOver,
            (Method::Prack, false) => Message::PrackOver,
            _ => return,
        };
        let current = self.call(id).is_some_and(|call| match method {
            Method::Invite => call.served_invite == Some(request),
            Method::Update => call.served_update == Some(request),
            _ => true,
        });
        if current {
            self.exchange_over(id, message);
        }
    }
}
