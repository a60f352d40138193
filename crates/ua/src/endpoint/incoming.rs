//! From a message to where it belongs: faults, validation, matching (RFC 3261 §8.2, §16.3, §17.1.3, §17.2.3, §18.1.2).

use super::Endpoint;
use super::client::Known;
use super::server::Owner;
use super::via::Head;
use crate::config::Config;
use crate::correlation::Correlation;
use crate::event::{Event, Fault, RequestId};
use cpm_base::{FlowId, Now};
use cpm_sip::{
    Accept, Contact, HeaderName, Message, Method, ParseError, ParseFailure, Request, RequestPolicy, Response,
    Role, StatusCode, Via,
};

/// What requests the configuration lets through.
pub(super) fn policy(config: &Config) -> RequestPolicy {
    let mut policy = match config.role {
        Role::UserAgent => RequestPolicy::user_agent(),
        Role::Proxy => RequestPolicy::proxy(),
    };
    policy.methods.clone_from(&config.allow);
    policy.uri_schemes.clone_from(&config.uri_schemes);
    policy.option_tags.clone_from(&config.supported);
    if config.session_timer.is_some() {
        policy.option_tags.push("timer".into());
    }
    policy.content_types = config.accept.iter().filter_map(|range| Accept::new(range).ok()).collect();
    policy
}

impl Endpoint {
    /// A message that parsed.
    pub(super) fn receive(&mut self, now: Now, flow: FlowId, message: Message) {
        match message {
            Message::Request(request) => self.receive_request(now, flow, request),
            Message::Response(response) => self.receive_response(now, flow, response),
        }
    }

    /// Octets that are no message: answered when they are recognisably a request, never when an ACK or a response.
    pub(super) fn malformed(&mut self, now: Now, flow: FlowId, failure: &ParseFailure) {
        if failure.error == ParseError::Empty {
            return self.metrics.count("ua.keepalive_pings");
        }
        let answered = failure.reply().and_then(|response| self.answer_malformed(now, flow, response));
        self.fault("ua.malformed", Fault::Malformed { flow, error: failure.error, answered });
    }

    fn answer_malformed(&mut self, now: Now, flow: FlowId, mut response: Response) -> Option<StatusCode> {
        let info = self.flows.get(flow)?.info.clone();
        let status = response.status();
        // A Via that cannot be read still goes back to where it came from.
        let reply = super::via::stamp(response.headers_mut(), flow, &info).ok();
        let call_id = response.headers().get(&HeaderName::CallId).map(|value| value.as_bytes().to_vec());
        let call_id = alloc::string::String::from_utf8(call_id.unwrap_or_default()).unwrap_or_default();
        let tag = super::via::hash_text(self.hash_key, &[&call_id]);
        super::via::add_to_tag(response.headers_mut(), &tag);
        self.add_product(response.headers_mut(), HeaderName::Server);
        let octets = response.to_bytes();
        match reply {
            Some(reply) => self.send_stateless(now, flow, &reply, octets),
            None => {
                self.transmit(flow, octets);
            }
        }
        Some(status)
    }

    fn receive_request(&mut self, now: Now, flow: FlowId, mut request: Request) {
        let Some(info) = self.flows.get(flow).map(|known| &known.info) else { return };
        if self.config.identity.enforce {
            crate::identity::screen(request.headers_mut(), info.trust);
        }
        let head = match Head::take(self.hash_key, &mut request, flow, info) {
            Ok(head) => head,
            Err(error) => return self.unusable(now, flow, &request, error),
        };
        self.actions.about(Some(head.correlation));
        match request.method() {
            Method::Ack => return self.ack_received(now, flow, &head, request),
            Method::Cancel => return self.cancel_received(now, flow, &head, &request),
            _ => {}
        }
        if self.is_copy(now, head.server_key) {
            return;
        }
        self.flow_params_received(flow, &head.via, request.headers_mut());
        if self.turn_away(now, flow, &head, &request) {
            return;
        }
        if !self.admit(now, flow, &head, &request) {
            return;
        }
        let id = self.begin_server(now, flow, &head, &request, Owner::Function);
        if let Some(refusal) = self.refusal_of(&request) {
            return self.refuse(now, flow, id, refusal);
        }
        self.place(now, flow, id, &head, request);
    }

    /// A request without the fields that an answer needs: what can be said is said, once per copy, without a transaction.
    fn unusable(&mut self, now: Now, flow: FlowId, request: &Request, error: cpm_sip::HeaderError) {
        self.actions.about(Correlation::of_message(request.headers()));
        self.count_against(flow);
        self.metrics.count("ua.unusable_requests");
        let status = StatusCode::BAD_REQUEST;
        if *request.method() == Method::Ack {
            return self.event(Event::Fault(Fault::StrayAck { flow }));
        }
        if request.headers().contains(&HeaderName::Via) {
            let mut response = Response::for_request(request, status);
            response.set_reason(&alloc::format!("{error}"));
            response.set_body(bytes::Bytes::new());
            self.answer_malformed(now, flow, response);
        }
        self.event(Event::Fault(Fault::Refused { flow, status }));
    }

    /// What the endpoint answers before the function is asked.
    fn refusal_of(&self, request: &Request) -> Option<Response> {
        if let Err(finding) = cpm_sip::validate_request(request, &self.policy) {
            return Some(finding.reply(request));
        }
        if self.config.role == Role::UserAgent
            && let Some(response) = self.too_small(request)
        {
            return Some(response);
        }
        let invite = *request.method() == Method::Invite && self.config.role == Role::UserAgent;
        if invite && !matches!(request.typed::<Contact>(), Ok(Some(Contact::Addr(_)))) {
            let mut response = Response::for_request(request, StatusCode::BAD_REQUEST);
            response.set_reason("Contact is missing");
            return Some(response);
        }
        None
    }

    /// A new, sound request: merged, in a dialog, or for the function.
    fn place(&mut self, now: Now, flow: FlowId, id: RequestId, head: &Head, request: Request) {
        if let Some(dialog) = self.dialog_of(head) {
            return self.request_in_dialog(now, flow, id, head, dialog);
        }
        let user_agent = self.config.role == Role::UserAgent;
        if head.dialog.is_some() && self.usage_request_outside(now, flow, id, head, &request) {
            return;
        }
        if user_agent && head.dialog.is_some() {
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            return self.refuse(now, flow, id, Response::for_request(&request, status));
        }
        if user_agent {
            let merge = super::via::merge_key(self.hash_key, &request);
            if !self.is_first_way(id, merge) {
                let response = Response::for_request(&request, StatusCode::LOOP_DETECTED);
                return self.refuse(now, flow, id, response);
            }
            if self.usage_request_outside(now, flow, id, head, &request) {
                return;
            }
        }
        let invite = user_agent && *request.method() == Method::Invite;
        if invite && self.replaces(now, flow, id, &request) {
            return;
        }
        self.event(Event::Request { id, flow, request, in_dialog: None });
    }

    fn receive_response(&mut self, now: Now, flow: FlowId, mut response: Response) {
        if self.config.identity.enforce {
            crate::identity::screen(response.headers_mut(), self.trust_of(Some(flow)));
        }
        let known = cpm_sip::read_response(&response)
            .and_then(|(via, cseq)| self.find_client(via.branch()?.as_ref(), cseq));
        match known {
            Some(Known::Absorbing) => self.metrics.count("ua.retransmissions_absorbed"),
            Some(Known::Live(id)) => {
                let of_request = self.clients.get(&id).and_then(|client| client.correlation);
                self.actions.about(of_request.or_else(|| Correlation::of_message(response.headers())));
                if self.config.keep_alive.is_some()
                    && let Ok(Some(via)) = response.typed::<Via>()
                {
                    self.keep_as_agreed(now, flow, &via);
                }
                self.client_response(now, id, response)
            }
            // RFC 6026 §7.2: a stray response is passed on to nobody; the function may look at it.
            None => {
                self.actions.about(Correlation::of_message(response.headers()));
                self.fault("ua.stray_responses", Fault::StrayResponse { flow });
                self.event(Event::StrayResponse { flow, response });
            }
        }
    }
}
