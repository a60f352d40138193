//! The subscriber's side of one subscription (RFC 6665 §4.1.2, figure 1). The figure's `init` is a SUBSCRIBE that no notifier
//! has answered yet: that is no subscription, as a fork can make several of one.
//!
//! ```text
//!                 2xx │                    │ NOTIFY without 2xx
//!                     ▼                    │
//!               notify_wait ── pending ──► │ ──► pending ──┐
//!                     │                    │        │      │ active
//!                     ├─────── active ─────┴──────► active ◄┘
//!                     │ terminated, Timer N   │ terminated, expiry, Timer N, 481
//!                     ▼                       ▼
//!                 terminated ◄──── leaving (ours: Expires 0 was sent)
//! ```

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// A 2xx made it; no NOTIFY has come.
    NotifyWait,
    /// The notifier has no authorisation yet.
    Pending,
    /// It is authorised.
    Active,
    /// We unsubscribed: the final NOTIFY is awaited.
    Leaving,
    /// Over.
    Terminated,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The function wants it refreshed.
    Refresh,
    /// The function wants it ended.
    Leave,
    /// Time to refresh.
    Due,
    /// Its time is over.
    Expired,
    /// No NOTIFY came in 64*T1 after a SUBSCRIBE.
    TimerN,
    /// A 2xx to a SUBSCRIBE of ours.
    Accepted,
    /// 423 with a longer interval, and tries left.
    TooBrief,
    /// An answer that ends the usage (RFC 5057 §5.1, RFC 6665 §4.1.2.2).
    Gone,
    /// Another answer than that, or none: it stands until it expires.
    FailedForNow,
    /// NOTIFY with this state.
    NotifyPending,
    NotifyActive,
    NotifyTerminated,
    /// The dialog is gone with all its usages.
    DialogLost,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// The function is refused: it is being ended.
    Refused,
    /// What the NOTIFY says of the time counts.
    Tell,
    /// The NOTIFY was the last: say that it is over.
    TellAndEnd,
    /// Send a SUBSCRIBE that refreshes.
    SendRefresh,
    /// The same with the interval that the notifier wants.
    SendLonger,
    /// Send a SUBSCRIBE that ends it.
    SendLeave,
    /// The time of the 2xx counts; a NOTIFY is due.
    Extend,
    /// Try to refresh again before it expires.
    Later,
    /// Say that it is over.
    End,
}

/// The next state, and what is to be done.
pub(crate) const fn step(state: State, event: Event) -> (State, Effect) {
    use Effect as Do;
    use Event::{
        Accepted, DialogLost, Due, Expired, FailedForNow, Gone, Leave, NotifyActive, NotifyPending,
        NotifyTerminated, Refresh, TimerN, TooBrief,
    };
    use State::{Active, Leaving, NotifyWait, Pending, Terminated};
    match (state, event) {
        (Terminated, Refresh | Leave) | (Leaving, Refresh | Leave) => (state, Do::Refused),
        (Terminated, _) => (Terminated, Do::Nothing),
        (_, NotifyTerminated) => (Terminated, Do::TellAndEnd),
        (_, Expired | TimerN | Gone | DialogLost) => (Terminated, Do::End),
        (NotifyWait | Pending | Active, NotifyPending) => (Pending, Do::Tell),
        (NotifyWait | Pending | Active, NotifyActive) => (Active, Do::Tell),
        (NotifyWait | Pending | Active, Refresh) | (Pending | Active, Due) => (state, Do::SendRefresh),
        (NotifyWait | Pending | Active, Leave) => (Leaving, Do::SendLeave),
        (_, Accepted) => (state, Do::Extend),
        (NotifyWait | Pending | Active, TooBrief) => (state, Do::SendLonger),
        (NotifyWait | Pending | Active, FailedForNow) => (state, Do::Later),
        // A NOTIFY of before may still be on its way.
        (Leaving, NotifyPending | NotifyActive) => (Leaving, Do::Tell),
        (Leaving, TooBrief | FailedForNow) => (Terminated, Do::End),
        (NotifyWait | Leaving, Due) => (state, Do::Nothing),
    }
}
