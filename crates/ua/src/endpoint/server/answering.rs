//! Answers of the function and of the endpoint itself: which are let through, and what they bring about.

use super::Owner;
use crate::endpoint::Endpoint;
use crate::error::{Refusal, Refused, RespondRefused};
use crate::event::{DialogEnd, DialogId, RequestId};
use cpm_base::{FlowId, Instant, Now};
use cpm_sip::{HeaderName, Method, Response, StatusCode};

impl Endpoint {
    /// Completes a response of our own making and sends it.
    pub(in crate::endpoint) fn answer(
        &mut self,
        now: Now,
        id: RequestId,
        mut response: Response,
    ) -> Result<(), Refused<Response>> {
        if !self.servers.contains_key(&id) {
            return Err(Refused::new(Refusal::Gone, response));
        }
        if response.status() != StatusCode::TRYING {
            self.add_own_tag(id, response.headers_mut());
        }
        self.add_product(response.headers_mut(), HeaderName::Server);
        response.ensure_content_length();
        match self.send_response(now, id, &response) {
            Ok(()) => Ok(()),
            Err(why) => Err(Refused::new(why, response)),
        }
    }

    /// Answers a request with anything but a 2xx to INVITE (that is [`accept`](Endpoint::accept)). The To field gets the
    /// transaction's tag when it has none.
    ///
    /// A provisional response (other than 100) to an INVITE outside of a dialog makes an early dialog, returned once.
    ///
    /// # Errors
    /// The request is answered already or over ([`Refusal::Gone`]), is being proxied, or the response is none for it: a
    /// 2xx to INVITE; to anything else a 408 or a provisional one other than 100, or over UDP a 100 before the peer's
    /// Timer E has reached T2 (RFC 4320 §4).
    pub fn respond(
        &mut self,
        now: Now,
        id: RequestId,
        response: Response,
    ) -> Result<Option<DialogId>, RespondRefused> {
        let refusal = match self.servers.get(&id) {
            None => Some(Refusal::Gone),
            Some(server) if server.answered() => Some(Refusal::Gone),
            Some(server) if server.reliable.as_ref().is_some_and(|reliable| reliable.held.is_some()) => {
                Some(Refusal::Gone)
            }
            Some(_) if self.bridging.owns_request(id) => Some(Refusal::Bridged),
            Some(server) => match server.owner {
                Owner::Proxy(_) => Some(Refusal::Proxied),
                Owner::Endpoint => Some(Refusal::Gone),
                // What makes a dialog, or a subscription, has a command of its own.
                Owner::Function
                    if response.status().is_success()
                        && (server.is_invite()
                            || matches!(server.method, Method::Subscribe | Method::Refer)) =>
                {
                    Some(Refusal::Status)
                }
                Owner::Function if server.is_invite() => None,
                Owner::Function => server.refuses(now, response.status()),
            },
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, response));
        }
        let status = response.status();
        if self.must_be_reliable(id, status) {
            return self.respond_reliably(now, id, response);
        }
        if let Err(why) = self.check_response(id, &response) {
            return Err(Refused::new(why, response));
        }
        let of = self.servers.get(&id).map(|server| (server.method.clone(), server.in_dialog));
        let refresh = self.servers.get(&id).filter(|server| server.method == Method::Update);
        let refresh = refresh.and_then(|server| server.request.clone());
        let mut response = response;
        if status.is_provisional() {
            self.complete_dialog_response(id, &mut response);
        }
        let early = self.early_dialog_as_server(id, &response);
        let agreed = self.describe_response(id, &mut response);
        self.answer(now, id, response)?;
        if let Some((method, Some(dialog))) = of
            && status.is_final()
        {
            match method {
                Method::Bye => self.end_call(now, dialog, DialogEnd::RemoteBye),
                Method::Notify => self.notify_replied(now, id, status.is_success()),
                Method::Update if status.is_success() => {
                    self.refresh_dialog(dialog, refresh.as_deref());
                    self.agreed(now, dialog, agreed);
                }
                _ => {}
            }
        }
        self.settle(now);
        Ok(early)
    }

    /// Until when a request has to be answered: after that its peer has given up. For an INVITE the time moves on with
    /// every provisional response other than 100.
    #[must_use]
    pub fn deadline(&self, id: RequestId) -> Option<Instant> {
        self.servers.get(&id).filter(|server| !server.answered()).and_then(|server| server.give_up_at)
    }

    /// The flow that a request came on, while it is unanswered.
    #[must_use]
    pub fn request_flow(&self, id: RequestId) -> Option<FlowId> {
        self.servers.get(&id).filter(|server| !server.answered()).and_then(|server| server.came_on)
    }
}
