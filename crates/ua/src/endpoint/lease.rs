//! What a registration and a publication have in common: something a server keeps for a time (see
//! [`soft_state`](crate::usages::soft_state)).

use super::Endpoint;
use crate::event::TransactionFailure;
use crate::usages::soft_state::{Event, State};
use alloc::boxed::Box;
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_sip::{MinExpires, Response, RetryAfter, StatusCode};

/// How often one request is tried again with the Min-Expires of a 423 (RFC 3261 §10.2.8).
const MAX_BRIEF: u8 = 2;

/// Why a registration, publication or subscription came to nothing, or stands no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageFailure {
    /// A final response says so.
    Rejected(Box<Response>),
    /// No final response, or the request could not be sent.
    NoAnswer(TransactionFailure),
    /// A 2xx without any time to live.
    GrantedNothing(Box<Response>),
    /// The next request could not be made.
    Refused(crate::Refusal),
}

/// Where soft state stands, and since when.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) state: State,
    /// Seconds that the function wants.
    pub(super) wish: u32,
    /// Seconds that the request under way asks for.
    pub(super) asked: u32,
    /// 423 answers to the request under way.
    brief: u8,
    /// Failures in a row.
    failures: u32,
    /// When it is refreshed, or tried again.
    next: Option<Instant>,
    /// When the server last granted it.
    pub(super) granted_at: Option<Instant>,
    /// When the server forgets it.
    pub(super) until: Option<Instant>,
    /// It changed while a request was under way.
    pub(super) dirty: bool,
}

impl Lease {
    pub(super) const fn new(wish: u32) -> Lease {
        Lease {
            state: State::Absent,
            wish,
            asked: wish,
            brief: 0,
            failures: 0,
            next: None,
            granted_at: None,
            until: None,
            dirty: false,
        }
    }

    /// One that was kept elsewhere.
    pub(super) fn restored(state: State, wish: u32, failures: u32, next: Instant, until: Instant) -> Lease {
        let alive = state != State::Absent;
        let stands = state == State::Standing;
        Lease {
            state,
            failures,
            next: alive.then_some(next),
            until: stands.then_some(until),
            ..Lease::new(wish)
        }
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// A request is under way.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.state, State::Creating | State::Refreshing | State::Removing)
    }

    /// What a final response means. `granted` is what a 2xx gives.
    pub(super) fn verdict(&mut self, response: &Response, granted: u32) -> Event {
        let status = response.status();
        let removing = self.state == State::Removing;
        if status.is_success() {
            return if granted == 0 && !removing { Event::GrantedNothing } else { Event::Granted };
        }
        let min = response.typed::<MinExpires>().ok().flatten().map(|min| min.0);
        match (status, min) {
            (StatusCode::INTERVAL_TOO_BRIEF, Some(min))
                if min > self.asked && self.brief < MAX_BRIEF && !removing =>
            {
                self.asked = min;
                self.brief = self.brief.saturating_add(1);
                Event::TooBrief
            }
            (StatusCode::CONDITIONAL_REQUEST_FAILED, _) => Event::Forgotten,
            _ if for_now(response) => Event::FailedForNow,
            _ => Event::Refused,
        }
    }

    /// A request goes out at the wish of the function or of the clock.
    pub(super) fn begins(&mut self, removal: bool) {
        self.asked = if removal { 0 } else { self.wish };
        self.brief = 0;
        self.next = None;
        self.dirty = false;
    }

    /// The server holds it for this time.
    pub(super) fn stands(&mut self, now: Now, expires: u32, refresh: Duration) {
        self.failures = 0;
        self.granted_at = Some(now.mono);
        self.until = Some(now.mono.plus(Duration::from_secs(u64::from(expires))));
        self.next = Some(now.mono.plus(refresh));
    }

    /// The server holds it no more, as far as we know.
    pub(super) fn is_over(&mut self) {
        *self = Lease::new(self.wish);
    }

    /// Until the next alarm; `None` while a request is under way.
    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn wait(&mut self, now: Now, wait: Duration) {
        self.next = Some(now.mono.plus(wait));
    }

    pub(super) fn fails(&mut self) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failures
    }
}

/// What the server could not do now, or says that it can do later, is asked again; what it refuses is not.
pub(super) fn for_now(response: &Response) -> bool {
    matches!(response.status().as_u16(), 408 | 500..=599) || retry_after(response).is_some()
}

/// The seconds of Retry-After.
pub(super) fn retry_after(response: &Response) -> Option<u32> {
    response.typed::<RetryAfter>().ok().flatten().map(|retry| retry.seconds)
}

impl UsageFailure {
    /// The response, where there was one.
    #[must_use]
    pub const fn response(&self) -> Option<&Response> {
        match self {
            UsageFailure::Rejected(response) | UsageFailure::GrantedNothing(response) => Some(response),
            UsageFailure::NoAnswer(_) | UsageFailure::Refused(_) => None,
        }
    }
}

impl Endpoint {
    /// The wait before something that failed is tried again.
    pub(super) fn retry_wait(&mut self, failures: u32, others_stand: bool, why: &UsageFailure) -> Duration {
        let asked = why.response().and_then(retry_after);
        self.config.refresh.retry_after(failures, others_stand, asked, &mut self.random)
    }

    pub(super) fn refresh_after(&mut self, expires: u32) -> Duration {
        self.config.refresh.refresh_after(expires, &mut self.random)
    }
}
