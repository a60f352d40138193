//! Session timers of calls (RFC 4028): what our messages say of them, what is agreed, refreshing, the end.

use super::Endpoint;
use super::calls::Phase;
use crate::event::{DialogEnd, DialogId};
use crate::session::exchange::{Exchange, Side};
use crate::session::timer::{self, Said, State};
use cpm_base::Now;
use cpm_sip::{
    Allow, HeaderName, HeaderText, Headers, Method, MinSe, Refresher, Request, Require, Response,
    SessionExpires, StatusCode, Supported,
};

/// Adds an option tag to a list header field unless it is there.
fn add_tag(headers: &mut Headers, tag: &str, require: bool) {
    let known: alloc::vec::Vec<alloc::string::String> = if require {
        let tags = headers.typed_list::<Require>().unwrap_or_default();
        tags.iter().map(|tag| tag.as_str().into()).collect()
    } else {
        let tags = headers.typed_list::<Supported>().unwrap_or_default();
        tags.iter().map(|tag| tag.as_str().into()).collect()
    };
    if known.iter().any(|known| known.eq_ignore_ascii_case(tag)) {
        return;
    }
    let name = if require { HeaderName::Require } else { HeaderName::Supported };
    if let Ok(text) = HeaderText::new(tag) {
        headers.push(name, text);
    }
}

pub(super) fn require(headers: &mut Headers, tag: &str) {
    add_tag(headers, tag, true);
}

pub(super) fn support(headers: &mut Headers, tag: &str) {
    add_tag(headers, tag, false);
}

/// Whether the methods that the sender takes are said, and this one is among them.
fn allows(headers: &Headers, method: &Method) -> Option<bool> {
    headers
        .contains(&HeaderName::Allow)
        .then(|| headers.typed_list::<Allow>().unwrap_or_default().iter().any(|allowed| allowed.0 == *method))
}

impl Endpoint {
    /// What a request that begins or changes a call says about us: methods, option tags, and the session interval, with
    /// `at_least` seconds where that is known.
    pub(super) fn present(&self, headers: &mut Headers, at_least: Option<u32>) {
        let takes = |method| self.config.allow.contains(method);
        if (takes(&Method::Update) || takes(&Method::Prack)) && !headers.contains(&HeaderName::Allow) {
            headers.set_typed_list(
                &self.config.allow.iter().cloned().map(Allow).collect::<alloc::vec::Vec<_>>(),
            );
        }
        if self.supports("100rel") {
            support(headers, "100rel");
        }
        let Some(own) = self.config.session_timer else { return };
        support(headers, "timer");
        if headers.contains(&HeaderName::SessionExpires) && at_least.is_none() {
            return;
        }
        let seconds = own.expires.max(at_least.unwrap_or(0)).min(timer::MOST);
        headers.set_typed(&SessionExpires::new(seconds, None));
        let least = own.min_se.max(at_least.unwrap_or(0)).min(timer::MOST);
        if least > timer::LEAST {
            headers.set_typed(&MinSe::new(least));
        }
    }

    /// Whether the function declared an option tag as supported.
    pub(super) fn supports(&self, tag: &str) -> bool {
        self.config.supported.iter().any(|known| known.eq_ignore_ascii_case(tag))
    }

    /// The 422 that a request deserves, before anything is made for it.
    pub(super) fn too_small(&self, request: &Request) -> Option<Response> {
        let own = self.config.session_timer.as_ref()?;
        if !matches!(request.method(), Method::Invite | Method::Update) {
            return None;
        }
        let least = Said::read(request.headers()).too_small(own)?;
        let mut response = Response::for_request(request, StatusCode::SESSION_INTERVAL_TOO_SMALL);
        response.headers_mut().push_typed(&MinSe::new(least));
        Some(response)
    }

    /// What our 2xx to INVITE or UPDATE says of the session interval; gives what is agreed by it.
    pub(super) fn agree_in(&self, request: &Request, response: &mut Response) -> Option<(u32, Side)> {
        let own = self.config.session_timer.as_ref()?;
        let asked = Said::read(request.headers());
        let told = Said::read(response.headers());
        let (seconds, refresher) = match told.expires {
            Some(seconds) => (
                seconds.clamp(timer::LEAST, timer::MOST),
                told.refresher.unwrap_or(if asked.supported { Refresher::Uac } else { Refresher::Uas }),
            ),
            None => asked.agree(own),
        };
        response.headers_mut().set_typed(&SessionExpires::new(seconds, Some(refresher)));
        if refresher == Refresher::Uac {
            require(response.headers_mut(), "timer");
        }
        support(response.headers_mut(), "timer");
        Some((seconds, timer::refreshing_side(refresher, Side::Remote)))
    }

    /// What the peer's 2xx to our INVITE or UPDATE says of the session interval. One that is shorter than allowed is
    /// taken for the shortest allowed (C14).
    pub(super) fn agreed_by_peer(&mut self, now: Now, id: DialogId, headers: &Headers) {
        if self.config.session_timer.is_none() {
            return;
        }
        let told = Said::read(headers);
        let event = match told.expires {
            Some(seconds) => {
                let refresher = told.refresher.unwrap_or(Refresher::Uac);
                let side = timer::refreshing_side(refresher, Side::Local);
                timer::Event::Agreed(seconds.clamp(timer::LEAST, timer::MOST), side)
            }
            None => timer::Event::NotAgreed,
        };
        self.step_timer(now, id, event);
    }

    /// What the peer says about the methods that it takes.
    pub(super) fn note_peer(&mut self, id: DialogId, headers: &Headers) {
        if let Some(updates) = allows(headers, &Method::Update)
            && let Some(call) = self.call_mut(id)
        {
            call.peer_updates = updates;
        }
    }

    pub(super) fn step_timer(&mut self, now: Now, id: DialogId, event: timer::Event) {
        let Some(call) = self.call_mut(id) else { return };
        let effect = call.timer.step(now.mono, event);
        self.schedule_dialog(id);
        match effect {
            timer::Effect::Nothing => {}
            timer::Effect::Refresh => self.refresh_session(now, id),
            timer::Effect::End => self.session_expired(now, id),
        }
    }

    /// RFC 4028 §7.4: UPDATE without a description where the peer takes it, else a re-INVITE with the last one.
    fn refresh_session(&mut self, now: Now, id: DialogId) {
        let Some(call) = self.call(id) else { return };
        let (updates, kept) = (call.peer_updates, call.kept_local.clone());
        let quiet = matches!(call.phase, Phase::Confirmed) && call.exchange == Exchange::Idle;
        self.metrics.count("ua.session_refreshes");
        let begun = if updates || kept.is_none() {
            self.refresh_by_update(now, id)
        } else {
            quiet && self.refresh_by_invite(now, id, kept)
        };
        if !begun {
            self.step_timer(now, id, timer::Event::RefreshFailed);
        }
    }

    /// A refresh of ours is over without a 2xx.
    pub(super) fn refresh_failed(&mut self, now: Now, id: DialogId) {
        if self.call(id).is_some_and(|call| call.timer.state == State::Refreshing) {
            self.step_timer(now, id, timer::Event::RefreshFailed);
        }
    }

    /// RFC 4028 §10: nobody refreshed in time.
    fn session_expired(&mut self, now: Now, id: DialogId) {
        self.metrics.count("ua.sessions_expired");
        self.bye_with(now, id, "SIP;cause=408;text=\"Session expired\"");
        self.end_call(now, id, DialogEnd::SessionExpired);
    }
}
