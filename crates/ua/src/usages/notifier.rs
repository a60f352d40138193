//! The notifier's side of one subscription (RFC 6665 §4.2.2, figure 3). The figure's `resp_wait` is a SUBSCRIBE that the
//! function has not answered yet.
//!
//! ```text
//!   resp_wait ── accepted, undecided ──► pending ──┐ authorised
//!       │                                   │      ▼
//!       └────────── accepted ─────────────► │ ──► active
//!                                           │        │ expiry, unsubscribed, ended by the function
//!                                           ▼        ▼
//!   terminated ◄── final NOTIFY answered ── ending ◄─┘        terminated ◄── NOTIFY refused, unanswered (any state)
//! ```

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nobody has authorised the subscriber: it gets no state.
    Pending,
    /// Authorised.
    Active,
    /// The final NOTIFY is to be sent, or under way.
    Ending,
    /// Over.
    Terminated,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The function authorises the subscriber.
    Authorise,
    /// The function has new state.
    Notify,
    /// The function ends it.
    Terminate,
    /// A SUBSCRIBE that refreshes was accepted.
    Refreshed,
    /// A SUBSCRIBE with `Expires: 0` was accepted.
    Unsubscribed,
    /// Its time is over.
    Expired,
    /// A NOTIFY was answered, other than the final one: taken, or not.
    Delivered,
    /// A NOTIFY was refused for a reason that ends the usage, or not answered.
    Gone,
    /// The final NOTIFY got its answer.
    FinalAnswered,
    /// The dialog is gone with all its usages.
    DialogLost,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// The function is refused.
    Refused,
    /// The function is refused if it gives state: nobody authorised the subscriber.
    QueueBare,
    /// This NOTIFY is the next.
    Queue,
    /// This NOTIFY is the last.
    QueueFinal,
    /// The way is free for the next NOTIFY.
    Flush,
    /// Say that it is over.
    End,
}

/// The next state, and what is to be done.
pub(crate) const fn step(state: State, event: Event) -> (State, Effect) {
    use Effect as Do;
    use Event::{
        Authorise, Delivered, DialogLost, Expired, FinalAnswered, Gone, Notify, Refreshed, Terminate,
        Unsubscribed,
    };
    use State::{Active, Ending, Pending, Terminated};
    match (state, event) {
        (Ending | Terminated, Authorise | Notify | Terminate | Refreshed | Unsubscribed) => {
            (state, Do::Refused)
        }
        (Terminated, _) => (Terminated, Do::Nothing),
        (_, Gone | DialogLost) | (Ending, FinalAnswered) => (Terminated, Do::End),
        (Pending | Active, Authorise) => (Active, Do::Queue),
        (Pending, Notify | Refreshed) => (Pending, Do::QueueBare),
        (Active, Notify | Refreshed) => (Active, Do::Queue),
        (Pending | Active, Terminate | Unsubscribed | Expired) => (Ending, Do::QueueFinal),
        (_, Delivered) => (state, Do::Flush),
        (Ending, Expired) | (Pending | Active, FinalAnswered) => (state, Do::Nothing),
    }
}
