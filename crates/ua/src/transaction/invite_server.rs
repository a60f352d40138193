//! INVITE server transaction: RFC 6026 §8.7, Figure 7 (which replaces RFC 3261 Figure 7).

use super::{Alarms, Effects, TimerValues};
use core::time::Duration;
use cpm_base::Instant;

/// The states of the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The INVITE was passed up; there may be a provisional response.
    Proceeding,
    /// A final response other than 2xx is out; its ACK is awaited.
    Completed,
    /// Its ACK came; more of them are absorbed.
    Confirmed,
    /// A 2xx is out; copies of the INVITE are absorbed, more 2xx go through.
    Accepted,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The same INVITE once more.
    InviteAgain,
    /// An ACK that matches this transaction.
    Ack,
    /// The transaction user sends 1xx.
    SendProvisional,
    /// The transaction user sends 2xx.
    SendSuccess,
    /// The transaction user sends 300 to 699.
    SendFailure,
    TimerG,
    TimerH,
    TimerI,
    TimerL,
}

/// The machine. A transport error is no event here: the response goes another way (RFC 3261 §18.2.2) or is lost, and
/// the INVITE comes again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InviteServer {
    state: State,
    reliable: bool,
    /// Whether a provisional response is cached: without one there is nothing to send for a copy of the INVITE.
    provisional: bool,
    interval: Duration,
    alarms: Alarms,
}

impl InviteServer {
    /// An INVITE came and is passed up.
    pub(crate) fn start(values: &TimerValues, reliable: bool) -> Self {
        InviteServer {
            state: State::Proceeding,
            reliable,
            provisional: false,
            interval: values.t1,
            alarms: Alarms::default(),
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
                State::Confirmed => Event::TimerI,
                State::Accepted => Event::TimerL,
                _ => Event::TimerH,
            });
        }
        self.alarms.again_is_due(now).then_some(Event::TimerG)
    }

    /// One step of the figure; pairs that it does not draw change nothing.
    pub(crate) fn step(&mut self, now: Instant, values: &TimerValues, event: Event) -> Effects {
        match (self.state, event) {
            (State::Proceeding, Event::InviteAgain) => {
                Effects { transmit: self.provisional, ..Effects::NONE }
            }
            (State::Proceeding, Event::SendProvisional) => {
                self.provisional = true;
                Effects::TRANSMIT
            }
            (State::Proceeding, Event::SendSuccess) => {
                self.enter(State::Accepted, Some(now.plus(values.patience())));
                Effects::TRANSMIT
            }
            (State::Proceeding, Event::SendFailure) => {
                self.enter(State::Completed, Some(now.plus(values.patience())));
                self.alarms.again = (!self.reliable).then(|| now.plus(self.interval));
                Effects::TRANSMIT
            }
            (State::Completed, Event::InviteAgain) => Effects::TRANSMIT,
            (State::Completed, Event::TimerG) => {
                self.interval = self.interval.saturating_mul(2).min(values.t2);
                self.alarms.again = Some(now.plus(self.interval));
                Effects::TRANSMIT
            }
            (State::Completed, Event::TimerH) => self.end(Effects::TIMEOUT),
            (State::Completed, Event::Ack) if self.reliable => self.end(Effects::NONE),
            (State::Completed, Event::Ack) => {
                self.enter(State::Confirmed, Some(now.plus(values.t4)));
                Effects::NONE
            }
            (State::Confirmed, Event::TimerI) => self.end(Effects::NONE),
            (State::Accepted, Event::Ack) => Effects::DELIVER,
            (State::Accepted, Event::SendSuccess) => Effects::TRANSMIT,
            (State::Accepted, Event::TimerL) => self.end(Effects::NONE),
            (_, Event::SendProvisional | Event::SendSuccess | Event::SendFailure) => Effects::REFUSED,
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
