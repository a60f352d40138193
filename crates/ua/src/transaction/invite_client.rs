//! INVITE client transaction: RFC 6026 §8.4, Figure 5 (which replaces RFC 3261 Figure 5).

use super::{Alarms, Effects, TimerValues};
use core::time::Duration;
use cpm_base::Instant;

/// The states of the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The INVITE is out; nothing came back.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A final response other than 2xx came; copies of it are acknowledged again.
    Completed,
    /// A 2xx came; more of them (copies, other forks) are passed up.
    Accepted,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Provisional,
    Success,
    Failure,
    TimerA,
    TimerB,
    TimerD,
    TimerM,
    TransportError,
}

/// The machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InviteClient {
    state: State,
    reliable: bool,
    interval: Duration,
    alarms: Alarms,
}

impl InviteClient {
    /// The INVITE has just been sent: Timer A (unreliable transports) and Timer B run.
    pub(crate) fn start(now: Instant, values: &TimerValues, reliable: bool) -> Self {
        InviteClient {
            state: State::Calling,
            reliable,
            interval: values.t1,
            alarms: Alarms {
                again: (!reliable).then(|| now.plus(values.t1)),
                end: Some(now.plus(values.patience())),
            },
        }
    }

    /// The machine in any state, for the matrix.
    #[cfg(test)]
    pub(super) fn in_state(mut self, state: State) -> Self {
        self.state = state;
        self.alarms = Alarms::default();
        self
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn alarms(&self) -> Alarms {
        self.alarms
    }

    /// The timer event that is due, if one is.
    pub(crate) fn due(&self, now: Instant) -> Option<Event> {
        if self.alarms.end_is_due(now) {
            return Some(match self.state {
                State::Completed => Event::TimerD,
                State::Accepted => Event::TimerM,
                _ => Event::TimerB,
            });
        }
        self.alarms.again_is_due(now).then_some(Event::TimerA)
    }

    /// One step of the figure; pairs that it does not draw change nothing.
    pub(crate) fn step(&mut self, now: Instant, values: &TimerValues, event: Event) -> Effects {
        match (self.state, event) {
            (State::Calling, Event::TimerA) => {
                self.interval = self.interval.saturating_mul(2);
                self.alarms.again = Some(now.plus(self.interval));
                Effects::TRANSMIT
            }
            (State::Calling, Event::TimerB) => self.end(Effects::TIMEOUT),
            (State::Calling | State::Proceeding, Event::TransportError) => self.end(Effects::TRANSPORT),
            (State::Calling | State::Proceeding, Event::Provisional) => {
                self.enter(State::Proceeding, None);
                Effects::DELIVER
            }
            (State::Calling | State::Proceeding, Event::Success) => {
                self.enter(State::Accepted, Some(now.plus(values.patience())));
                Effects::DELIVER
            }
            (State::Calling | State::Proceeding, Event::Failure) => {
                if self.reliable {
                    return self.end(Effects::ACK_AND_DELIVER);
                }
                self.enter(State::Completed, Some(now.plus(values.timer_d)));
                Effects::ACK_AND_DELIVER
            }
            (State::Completed, Event::Failure) => Effects::ACK,
            (State::Completed, Event::TimerD | Event::TransportError) => self.end(Effects::NONE),
            (State::Accepted, Event::Success) => Effects::DELIVER,
            (State::Accepted, Event::TimerM) => self.end(Effects::NONE),
            _ => Effects::NONE,
        }
    }

    fn enter(&mut self, state: State, end: Option<Instant>) {
        self.state = state;
        self.alarms = Alarms { again: None, end };
    }

    fn end(&mut self, effects: Effects) -> Effects {
        self.enter(State::Terminated, None);
        effects
    }
}
