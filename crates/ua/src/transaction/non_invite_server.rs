//! Non-INVITE server transaction: RFC 3261 §17.2.2, Figure 8, with RFC 4320 (a final response that comes too late is
//! not sent; no 408).

use super::{Alarms, Effects, TimerValues};
use cpm_base::Instant;

/// The states of the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The request was passed up; nothing was sent.
    Trying,
    /// A provisional response is out.
    Proceeding,
    /// The final response is out; it is sent again for every copy of the request.
    Completed,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The same request once more.
    RequestAgain,
    /// The transaction user sends 1xx.
    SendProvisional,
    /// The transaction user sends a final response.
    SendFinal,
    TimerJ,
}

/// The machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NonInviteServer {
    state: State,
    reliable: bool,
    alarms: Alarms,
}

impl NonInviteServer {
    /// A request came and is passed up.
    pub(crate) fn start(reliable: bool) -> Self {
        NonInviteServer { state: State::Trying, reliable, alarms: Alarms::default() }
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
        self.alarms.end_is_due(now).then_some(Event::TimerJ)
    }

    /// One step of the figure; pairs that it does not draw change nothing.
    pub(crate) fn step(&mut self, now: Instant, values: &TimerValues, event: Event) -> Effects {
        match (self.state, event) {
            (State::Trying | State::Proceeding, Event::SendProvisional) => {
                self.state = State::Proceeding;
                Effects::TRANSMIT
            }
            (State::Trying | State::Proceeding, Event::SendFinal) if self.reliable => {
                self.end(Effects::TRANSMIT)
            }
            (State::Trying | State::Proceeding, Event::SendFinal) => {
                self.state = State::Completed;
                self.alarms.end = Some(now.plus(values.patience()));
                Effects::TRANSMIT
            }
            (State::Proceeding | State::Completed, Event::RequestAgain) => Effects::TRANSMIT,
            (State::Completed, Event::TimerJ) => self.end(Effects::NONE),
            (_, Event::SendProvisional | Event::SendFinal) => Effects::REFUSED,
            _ => Effects::NONE,
        }
    }

    fn end(&mut self, effects: Effects) -> Effects {
        self.state = State::Terminated;
        self.alarms = Alarms::default();
        effects
    }
}
