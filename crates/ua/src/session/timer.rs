//! The session timer (RFC 4028): what is asked for, what is agreed, who refreshes when, when the session is over.

use super::exchange::Side;
use core::time::Duration;
use cpm_base::Instant;
use cpm_sip::{Headers, MinSe, Refresher, SessionExpires, Supported};

/// The least session interval that anybody may ask for (RFC 4028 §5), in seconds.
pub(crate) const LEAST: u32 = 90;
/// The longest session interval that is agreed to, in seconds: a day.
pub(crate) const MOST: u32 = 86_400;
/// How often a request is tried with a greater interval after 422.
pub(crate) const MAX_TRIES: u8 = 4;

/// What a user agent wants of session timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimer {
    /// The interval that is asked for, in seconds: 1800 (RFC 4028 §4 recommends it). 90 to 86,400.
    pub expires: u32,
    /// The least interval that is agreed to, in seconds: 90. 90 to `expires`.
    pub min_se: u32,
    /// Whether the endpoint wants to be the one that refreshes where the choice is its own.
    pub refresh: bool,
}

impl Default for SessionTimer {
    fn default() -> Self {
        SessionTimer { expires: 1800, min_se: LEAST, refresh: true }
    }
}

impl SessionTimer {
    pub(crate) fn is_valid(&self) -> bool {
        (LEAST..=MOST).contains(&self.expires) && (LEAST..=self.expires).contains(&self.min_se)
    }
}

/// What a message says about session timers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) expires: Option<u32>,
    pub(crate) refresher: Option<Refresher>,
    pub(crate) min_se: Option<u32>,
    /// Its sender knows session timers.
    pub(crate) supported: bool,
}

impl Said {
    /// Fields that cannot be read say nothing.
    pub(crate) fn read(headers: &Headers) -> Said {
        let expires = headers.typed::<SessionExpires>().ok().flatten();
        let supported = headers.typed_list::<Supported>().unwrap_or_default();
        Said {
            refresher: expires.as_ref().and_then(SessionExpires::refresher),
            expires: expires.map(|value| value.seconds()),
            min_se: headers.typed::<MinSe>().ok().flatten().map(|value| value.seconds()),
            supported: supported.iter().any(|tag| tag.as_str().eq_ignore_ascii_case("timer")),
        }
    }

    /// The Min-SE of the 422 that a request deserves (RFC 4028 §9): its interval is too small. A sender that does not
    /// know session timers is never told so: somebody between has put the interval there.
    pub(crate) fn too_small(&self, own: &SessionTimer) -> Option<u32> {
        (self.supported && self.expires? < own.min_se).then_some(own.min_se)
    }

    /// What the 2xx to such a request says: interval and refresher (RFC 4028 §9, table 2).
    pub(crate) fn agree(&self, own: &SessionTimer) -> (u32, Refresher) {
        let floor = self.min_se.unwrap_or(LEAST).clamp(LEAST, MOST);
        let wished = match self.expires {
            Some(asked) => asked.min(own.expires),
            None => own.expires,
        };
        let seconds = wished.max(floor).clamp(LEAST, MOST);
        let refresher = match (self.refresher, self.supported) {
            // One who does not know session timers refreshes nothing.
            (_, false) => Refresher::Uas,
            (Some(chosen), true) => chosen,
            (None, true) if own.refresh => Refresher::Uas,
            (None, true) => Refresher::Uac,
        };
        (seconds, refresher)
    }
}

/// Which side refreshes, seen from the one that sent (`Local`) or got (`Remote`) the request.
pub(crate) fn refreshing_side(refresher: Refresher, sent_by: Side) -> Side {
    match refresher {
        Refresher::Uac => sent_by,
        Refresher::Uas => sent_by.other(),
    }
}

/// How far the session timer of a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No interval is agreed.
    Off,
    /// This side refreshes, later.
    Refresher,
    /// Our refresh is under way.
    Refreshing,
    /// The other side refreshes.
    Watcher,
    /// The session is over.
    Expired,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A 2xx to INVITE or UPDATE set this interval in seconds, to be refreshed by this side.
    Agreed(u32, Side),
    /// A 2xx to INVITE or UPDATE set none.
    NotAgreed,
    /// Half of the interval is over.
    RefreshDue,
    /// A refresh of ours failed in a way that leaves the session alone.
    RefreshFailed,
    /// Nobody refreshed.
    ExpiryDue,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// Send UPDATE or re-INVITE.
    Refresh,
    /// Send BYE.
    End,
}

/// The machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) state: State,
    pub(crate) seconds: u32,
    pub(crate) refresh_at: Instant,
    pub(crate) end_at: Instant,
}

impl Timer {
    pub(crate) const OFF: Timer =
        Timer { state: State::Off, seconds: 0, refresh_at: Instant::ZERO, end_at: Instant::ZERO };

    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        match self.state {
            State::Off | State::Expired => None,
            State::Refresher => Some(self.refresh_at.min(self.end_at)),
            State::Refreshing | State::Watcher => Some(self.end_at),
        }
    }

    /// The timer event that is due, if one is.
    pub(crate) fn due(&self, now: Instant) -> Option<Event> {
        match self.state {
            State::Off | State::Expired => None,
            _ if self.end_at <= now => Some(Event::ExpiryDue),
            State::Refresher if self.refresh_at <= now => Some(Event::RefreshDue),
            _ => None,
        }
    }

    /// One step (RFC 4028 §7.2, §9, §10): the refresher sends at half of the interval; whoever sees no refresh ends the
    /// session 32 seconds, or a third of the interval where that is less, before it runs out.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Effect {
        match (self.state, event) {
            (State::Expired, _) => Effect::Nothing,
            (_, Event::Agreed(seconds, side)) => {
                let interval = Duration::from_secs(u64::from(seconds));
                let margin = Duration::from_secs(u64::from(seconds.div_euclid(3)).min(32));
                *self = Timer {
                    state: if side == Side::Local { State::Refresher } else { State::Watcher },
                    seconds,
                    refresh_at: now.plus(half(interval)),
                    end_at: now.plus(interval.saturating_sub(margin)),
                };
                Effect::Nothing
            }
            (_, Event::NotAgreed) => {
                *self = Timer::OFF;
                Effect::Nothing
            }
            (State::Refresher, Event::RefreshDue) => {
                self.state = State::Refreshing;
                Effect::Refresh
            }
            // Once more at half of what is left.
            (State::Refreshing, Event::RefreshFailed) => {
                self.state = State::Refresher;
                self.refresh_at = now.plus(half(self.end_at.since(now)).max(Duration::from_secs(2)));
                Effect::Nothing
            }
            (State::Refresher | State::Refreshing | State::Watcher, Event::ExpiryDue) => {
                self.state = State::Expired;
                Effect::End
            }
            _ => Effect::Nothing,
        }
    }
}

fn half(time: Duration) -> Duration {
    time.checked_div(2).unwrap_or_default()
}
