//! Proxying (RFC 3261 §16.7 to §16.10): what the branches answer, and what of it goes upstream.

use super::Endpoint;
use super::proxy::Proxy;
use crate::error::{Refusal, Refused, RespondRefused};
use crate::event::{Event, ProxyId, RequestId, TransactionFailure, TransactionId};
use crate::timers::TimerKey;
use alloc::boxed::Box;
use alloc::vec::Vec;
use cpm_base::Now;
use cpm_sip::{HeaderName, Headers, ReasonHeader, Response, StatusCode};

impl Endpoint {
    /// A branch answered.
    pub(super) fn branch_response(&mut self, now: Now, id: ProxyId, index: usize, mut response: Response) {
        response.headers_mut().pop_first_value(&HeaderName::Via);
        if !response.headers().contains(&HeaderName::Via) {
            // RFC 3261 §16.7 step 3: it was for this element alone, which sent no such request.
            self.metrics.count("ua.responses_without_via");
            return;
        }
        let status = response.status();
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        if status.is_provisional() {
            let onward = status != StatusCode::TRYING && proxy.invite && !proxy.decided;
            let request = proxy.request;
            if onward {
                // Refused when the request is answered: then nobody wants it any more.
                let _ = self.send_response(now, request, &response);
            }
            return;
        }
        if let Some(branch) = proxy.branches.get_mut(index) {
            branch.done = true;
        }
        if proxy.is_answered_and_tells() {
            let request = proxy.request;
            return self.event(Event::ProxyLate { proxy: id, request, response: Some(response) });
        }
        if status.is_success() {
            return self.branch_success(now, id, response);
        }
        if let Some(branch) = proxy.branches.get_mut(index) {
            branch.response = Some(Box::new(response));
        }
        if status.class() == 6 {
            // RFC 3261 §16.7 step 5: nobody else shall be tried, or go on ringing.
            self.end_branches(now, id, &reason(status, None));
        }
        self.decide(now, id);
    }

    /// A branch will not answer: as if it had said 408 or 503 (RFC 3261 §16.8, §16.9); 487 when it was cancelled.
    pub(super) fn branch_failure(&mut self, now: Now, id: ProxyId, index: usize, why: TransactionFailure) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        let status = match why {
            _ if proxy.cancelled => StatusCode::REQUEST_TERMINATED,
            TransactionFailure::Timeout => StatusCode::REQUEST_TIMEOUT,
            TransactionFailure::Transport => StatusCode::SERVICE_UNAVAILABLE,
        };
        let request = self.servers.get(&proxy.request).and_then(|server| server.whole_request());
        let response = request.map(|request| Response::for_request(&request, status));
        if let Some(branch) = proxy.branches.get_mut(index) {
            branch.done = true;
            branch.response = response.map(Box::new);
        }
        if proxy.is_answered_and_tells() {
            let request = proxy.request;
            return self.event(Event::ProxyLate { proxy: id, request, response: None });
        }
        self.decide(now, id);
    }

    /// A 2xx: to INVITE every one goes upstream at once and ends the other branches; else the first one counts.
    fn branch_success(&mut self, now: Now, id: ProxyId, response: Response) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        if !proxy.invite {
            if !proxy.decided {
                self.final_response(now, id, response);
            }
            return;
        }
        if proxy.decided && !proxy.success {
            return self.metrics.count("ua.late_2xx");
        }
        proxy.decided = true;
        proxy.success = true;
        let request = proxy.request;
        if !proxy.hold {
            self.tell_ended(id, Some(response.status()));
            let _ = self.send_response(now, request, &response);
            return self.call_completed(now, id);
        }
        let tag = super::via::to_tag(response.headers()).unwrap_or_default();
        match proxy.released.get(&tag).cloned() {
            Some(Some(released)) => drop(self.send_response(now, request, &released)),
            Some(None) => {}
            None if proxy.released.len() >= self.config.limits.max_forks_per_invite => {
                self.metrics.count("ua.forks_refused");
            }
            None => {
                proxy.released.insert(tag, None);
                proxy.held = proxy.held.saturating_add(1);
                self.event(Event::ProxyFinal { proxy: id, request, response });
                self.call_completed(now, id);
            }
        }
    }

    /// A branch accepted: the others are not wanted any more, and are told why (RFC 3326 §3.1).
    fn call_completed(&mut self, now: Now, id: ProxyId) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        proxy.waiting.clear();
        if !proxy.keep_losers {
            self.end_branches(now, id, &reason(StatusCode::OK, Some("Call completed elsewhere")));
        }
    }

    /// All branches have answered: the best response is the answer (RFC 3261 §16.7 step 6).
    fn decide(&mut self, now: Now, id: ProxyId) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        if proxy.decided || !proxy.branches.iter().all(|branch| branch.done) {
            return;
        }
        if self.next_group(now, id) {
            return;
        }
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        let (invite, hold, request) = (proxy.invite, proxy.hold, proxy.request);
        let Some(best) = take_best(proxy) else {
            return self.let_go(now, id, request);
        };
        // A 503 says something about the next element, not about this one.
        let mut best = best;
        if !hold && best.status() == StatusCode::SERVICE_UNAVAILABLE {
            best.set_status(StatusCode::SERVER_INTERNAL_ERROR);
            best.headers_mut().remove(&HeaderName::RetryAfter);
        }
        if !hold && !invite && best.status() == StatusCode::REQUEST_TIMEOUT {
            return self.let_go(now, id, request);
        }
        self.final_response(now, id, best);
    }

    fn final_response(&mut self, now: Now, id: ProxyId, response: Response) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        proxy.decided = true;
        let request = proxy.request;
        if proxy.hold {
            proxy.held = 1;
            self.event(Event::ProxyFinal { proxy: id, request, response });
            return;
        }
        self.send_own_or_passed(now, id, request, response);
        self.proxy_over(id);
    }

    /// A response that was passed on has a tag already; one that was made here gets the transaction's.
    fn send_own_or_passed(&mut self, now: Now, id: ProxyId, request: RequestId, mut response: Response) {
        if self.servers.get(&request).is_some_and(|server| !server.answered()) {
            self.add_own_tag(request, response.headers_mut());
            self.tell_ended(id, Some(response.status()));
        }
        let _ = self.send_response(now, request, &response);
    }

    /// No final response goes upstream: a 408 to anything but INVITE is worse than none (RFC 4320 §4.2).
    fn let_go(&mut self, now: Now, id: ProxyId, request: RequestId) {
        if let Some(proxy) = self.proxies.get_mut(&id) {
            proxy.decided = true;
        }
        self.metrics.count("ua.timeouts_not_passed_on");
        self.tell_ended(id, None);
        self.forget_server(now, request);
        self.proxy_over(id);
    }

    /// Lets a held final response go upstream, as it was or edited.
    ///
    /// A 408 to anything but an INVITE is not sent (RFC 4320 §4.2): the request ends in silence.
    ///
    /// # Errors
    /// Nothing is held; the request is over; the held response is a 2xx to INVITE and this one is none (the far side
    /// has accepted: it cannot be undone here).
    pub fn release(&mut self, now: Now, id: ProxyId, response: Response) -> Result<(), RespondRefused> {
        let refusal = match self.proxies.get(&id) {
            None => Some(Refusal::Gone),
            Some(proxy) if proxy.held == 0 => Some(Refusal::NothingHeld),
            Some(proxy) if proxy.success != (proxy.invite && response.status().is_success()) => {
                Some(Refusal::Status)
            }
            Some(_) if !response.status().is_final() => Some(Refusal::Status),
            Some(_) => None,
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, response));
        }
        let Some(proxy) = self.proxies.get_mut(&id) else {
            return Err(Refused::new(Refusal::Gone, response));
        };
        proxy.held = proxy.held.saturating_sub(1);
        let request = proxy.request;
        if proxy.success {
            let tag = super::via::to_tag(response.headers()).unwrap_or_default();
            proxy.released.insert(tag, Some(response.clone()));
        }
        if !proxy.invite && response.status() == StatusCode::REQUEST_TIMEOUT {
            self.let_go(now, id, request);
        } else {
            self.send_own_or_passed(now, id, request, response);
            self.proxy_over(id);
        }
        self.settle(now);
        Ok(())
    }

    /// Answers a proxied request other than INVITE before its branches have. Those go on; what they say is not passed on any
    /// more, and comes as [`Event::ProxyLate`](crate::Event::ProxyLate) where final responses are held.
    ///
    /// # Errors
    /// The request is over or answered; a response of the branches is held ([`release`](Endpoint::release) lets it, or
    /// another one, go); it is an INVITE, or the response a 408 or none that is final.
    pub fn answer_proxied(
        &mut self,
        now: Now,
        id: ProxyId,
        response: Response,
    ) -> Result<(), RespondRefused> {
        let refusal = match self.proxies.get(&id) {
            None => Some(Refusal::Gone),
            Some(proxy) if proxy.invite => Some(Refusal::Proxied),
            Some(proxy) if proxy.decided => Some(Refusal::Gone),
            Some(_) if !response.status().is_final() || response.status() == StatusCode::REQUEST_TIMEOUT => {
                Some(Refusal::Status)
            }
            Some(_) => None,
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, response));
        }
        let Some(proxy) = self.proxies.get_mut(&id) else {
            return Err(Refused::new(Refusal::Gone, response));
        };
        proxy.decided = true;
        proxy.waiting.clear();
        let request = proxy.request;
        self.send_own_or_passed(now, id, request, response);
        self.proxy_over(id);
        self.settle(now);
        Ok(())
    }

    /// Whether a branch of a proxied request has not answered yet.
    #[must_use]
    pub fn has_open_branches(&self, id: ProxyId) -> bool {
        let open = |branch: &super::proxy::BranchState| !branch.done && branch.transaction.is_some();
        self.proxies.get(&id).is_some_and(|proxy| proxy.branches.iter().any(open))
    }

    /// CANCEL to every branch that still waits (RFC 3261 §16.10), with these header fields (Reason); no further group has
    /// its turn.
    fn end_branches(&mut self, now: Now, id: ProxyId, headers: &Headers) {
        if let Some(proxy) = self.proxies.get_mut(&id) {
            proxy.waiting.clear();
        }
        self.cancel_branches(now, id, headers);
    }

    fn cancel_branches(&mut self, now: Now, id: ProxyId, headers: &Headers) {
        let Some(proxy) = self.proxies.get(&id).filter(|proxy| proxy.invite) else { return };
        let waiting = proxy.branches.iter().filter(|branch| !branch.done);
        let transactions: Vec<TransactionId> = waiting.filter_map(|branch| branch.transaction).collect();
        for transaction in transactions {
            self.cancel_client_with(now, transaction, headers);
        }
    }

    /// The upstream side cancelled the request; why it did goes with the CANCEL to the branches (RFC 3326 §2).
    pub(super) fn cancel_proxied(&mut self, now: Now, id: ProxyId, cancel: &Headers) {
        if let Some(proxy) = self.proxies.get_mut(&id) {
            proxy.cancelled = true;
        }
        self.end_branches(now, id, &cancel.subset(&[HeaderName::Reason]));
    }

    /// A group has rung long enough: the next one has its turn as soon as this one is done.
    pub(super) fn proxy_timeout(&mut self, now: Now, id: ProxyId) {
        if self.proxies.get(&id).is_some_and(|proxy| !proxy.decided) {
            self.metrics.count("ua.rang_in_vain");
            self.cancel_branches(now, id, &Headers::new());
        }
    }

    /// Says once what became of a proxied request.
    fn tell_ended(&mut self, id: ProxyId, answer: Option<StatusCode>) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        let request = proxy.request;
        if !core::mem::replace(&mut proxy.told, true) {
            self.event(Event::ProxyEnded { proxy: id, request, answer });
        }
    }

    /// A branch's transaction is over.
    pub(super) fn proxy_branch_over(&mut self, id: ProxyId) {
        self.proxy_over(id);
    }

    /// The server transaction is over; unanswered, nobody waits for the branches any more.
    pub(super) fn proxy_server_ended(&mut self, now: Now, id: ProxyId) {
        self.proxy_given_up(now, id, None);
    }

    /// Nobody waits for the branches any more: the sender was told this, or nothing.
    pub(super) fn proxy_given_up(&mut self, now: Now, id: ProxyId, answer: Option<StatusCode>) {
        self.tell_ended(id, answer);
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        proxy.held = 0;
        if !core::mem::replace(&mut proxy.decided, true) {
            self.end_branches(now, id, &Headers::new());
        }
        self.proxy_over(id);
    }

    /// Forgets a proxied request when it is answered and no branch can bring anything more.
    fn proxy_over(&mut self, id: ProxyId) {
        let Some(proxy) = self.proxies.get(&id) else { return };
        let live = |branch: &super::proxy::BranchState| {
            branch.transaction.is_some_and(|transaction| self.clients.contains_key(&transaction))
        };
        if proxy.decided && proxy.held == 0 && !proxy.branches.iter().any(live) {
            let request = proxy.request;
            if proxy.ring_for.is_some() {
                self.timers.set(TimerKey::Proxy(id), None);
            }
            self.proxies.remove(&id);
            self.may_forget(request);
        }
    }
}

/// A Reason field alone (RFC 3326 §2).
fn reason(status: StatusCode, text: Option<&str>) -> Headers {
    let mut headers = Headers::new();
    if let Ok(reason) = ReasonHeader::new("SIP", status.as_u16(), text.or(Some(status.reason()))) {
        headers.push_typed(&reason);
    }
    headers
}

/// The best of the final responses: 6xx before all, else the lowest class, in it first those that say how to do better
/// (RFC 3261 §16.7 step 6).
fn take_best(proxy: &mut Proxy) -> Option<Response> {
    let rank = |response: &Response| {
        let status = response.status();
        let class = if status.class() == 6 { 0 } else { status.class() };
        let vague = match status.as_u16() {
            401 | 407 | 415 | 420 | 484 => 0u8,
            // RFC 4320 §4.2: to anything but INVITE, a 408 is no answer.
            408 if !proxy.invite => 2,
            _ => 1,
        };
        (vague == 2, class, vague)
    };
    let responses = proxy.branches.iter().enumerate();
    let best = responses.filter_map(|(i, branch)| branch.response.as_ref().map(|r| (rank(r), i))).min();
    let (_, index) = best?;
    let mut best = *proxy.branches.get_mut(index)?.response.take()?;
    if matches!(best.status(), StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
        add_challenges(proxy, &mut best);
    }
    Some(best)
}

/// RFC 3261 §16.7 step 7: the sender has to satisfy everyone who asked for credentials.
fn add_challenges(proxy: &Proxy, best: &mut Response) {
    for other in proxy.branches.iter().filter_map(|branch| branch.response.as_ref()) {
        if matches!(other.status(), StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
                best.headers_mut().copy_from(other.headers(), &name);
            }
        }
    }
}
