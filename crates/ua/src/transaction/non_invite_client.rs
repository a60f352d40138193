//! Non-INVITE client transaction: RFC 3261 §17.1.2, Figure 6.

use super::{Alarms, Effects, TimerValues};
use core::time::Duration;
use cpm_base::Instant;

/// The states of the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The request is out; nothing came back.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came; copies of it are absorbed.
    Completed,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Provisional,
    Final,
    TimerE,
    TimerF,
    TimerK,
    TransportError,
}

/// The machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NonInviteClient {
    state: State,
    reliable: bool,
    interval: Duration,
    alarms: Alarms,
}

impl NonInviteClient {
    /// The request has just been sent: Timer E (unreliable transports) and Timer F run.
    pub(crate) fn start(now: Instant, values: &TimerValues, reliable: bool) -> Self {
        NonInviteClient {
            state: State::Trying,
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
            return Some(if self.state == State::Completed { Event::TimerK } else { Event::TimerF });
        }
        self.alarms.again_is_due(now).then_some(Event::TimerE)
    }

    /// One step of the figure; pairs that it does not draw change nothing.
    pub(crate) fn step(&mut self, now: Instant, values: &TimerValues, event: Event) -> Effects {
        match (self.state, event) {
            (State::Trying, Event::TimerE) => {
                self.interval = self.interval.saturating_mul(2).min(values.t2);
                self.alarms.again = Some(now.plus(self.interval));
                Effects::TRANSMIT
            }
            (State::Proceeding, Event::TimerE) => {
                self.alarms.again = Some(now.plus(values.t2));
                Effects::TRANSMIT
            }
            (State::Trying | State::Proceeding, Event::TimerF) => self.end(Effects::TIMEOUT),
            (State::Trying | State::Proceeding, Event::TransportError) => self.end(Effects::TRANSPORT),
            (State::Trying | State::Proceeding, Event::Provisional) => {
                self.state = State::Proceeding;
                Effects::DELIVER
            }
            (State::Trying | State::Proceeding, Event::Final) => {
                if self.reliable {
                    return self.end(Effects::DELIVER);
                }
                self.state = State::Completed;
                self.alarms = Alarms { again: None, end: Some(now.plus(values.t4)) };
                Effects::DELIVER
            }
            (State::Completed, Event::TimerK | Event::TransportError) => self.end(Effects::NONE),
            _ => Effects::NONE,
        }
    }

    fn end(&mut self, effects: Effects) -> Effects {
        self.state = State::Terminated;
        self.alarms = Alarms::default();
        effects
    }
}
