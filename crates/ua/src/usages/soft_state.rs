//! State that a server keeps for a time and a client renews: a registration (RFC 3261 §10.2), a publication
//! (RFC 3903 §4). Neither text draws a figure; this is the table that both follow.
//!
//! ```text
//!             put            granted           due, put
//!   Absent ─────────► Creating ─────► Standing ────────► Refreshing
//!      ▲                 │ ▲             │ ▲ granted          │
//!      │ refused         │ │ due, put    │ └──────────────────┤ forgotten: Creating
//!      ├─────────────────┤ │             │                    │ refused: Absent
//!      │    failed for now ▼             │ remove             │
//!      │               Waiting ◄─────────│────────────────────┘ failed for now
//!      │ any answer                      ▼
//!      └───────────────────────────── Removing ◄── remove (Absent, Waiting)
//! ```

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The server holds nothing that we know of, and nothing is under way.
    Absent,
    /// The first request is under way.
    Creating,
    /// The server holds it.
    Standing,
    /// The server holds it, and a request about it is under way.
    Refreshing,
    /// It failed for now: tried again later.
    Waiting,
    /// The request that removes it is under way.
    Removing,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The function wants it created, renewed or changed.
    Put,
    /// The function wants it gone.
    Remove,
    /// A 2xx with time to live.
    Granted,
    /// A 2xx without time to live: asked again at once it would be a loop at the speed of the net.
    GrantedNothing,
    /// 423 with a longer interval than was asked for, and tries left.
    TooBrief,
    /// 412: the server forgot it (PUBLISH alone).
    Forgotten,
    /// A final response that will not change.
    Refused,
    /// No answer, or one that may be another next time.
    FailedForNow,
    /// The time to refresh, or to try again.
    Due,
    /// The flow that it stands on is gone, and stood for a while.
    FlowLost,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// The function is refused: a request is under way.
    Busy,
    /// Send the request that creates or renews.
    Send,
    /// The same with the interval that the server wants.
    SendLonger,
    /// The same without what the server gave for the last one.
    SendAnew,
    /// Send the request that removes.
    SendRemoval,
    /// Tell the function that it stands; refresh in time.
    Stands,
    /// Tell the function that it failed; try again later.
    FailsForNow,
    /// Tell the function that it failed.
    FailsForGood,
    /// Tell the function that it is gone as wished.
    Over,
}

/// The next state, and what is to be done.
pub(crate) const fn step(state: State, event: Event) -> (State, Effect) {
    use Effect as Do;
    use Event::{
        Due, FailedForNow, FlowLost, Forgotten, Granted, GrantedNothing, Put, Refused, Remove, TooBrief,
    };
    use State::{Absent, Creating, Refreshing, Removing, Standing, Waiting};
    match (state, event) {
        (Absent, Put) | (Waiting, Put | Due) => (Creating, Do::Send),
        (Standing, Put | Due | FlowLost) => (Refreshing, Do::Send),
        (Absent | Standing | Waiting, Remove) => (Removing, Do::SendRemoval),
        (Creating | Refreshing | Removing, Put | Remove) => (state, Do::Busy),
        (Creating | Refreshing, Granted) => (Standing, Do::Stands),
        (Creating | Refreshing, GrantedNothing | FailedForNow) => (Waiting, Do::FailsForNow),
        (Creating | Refreshing, TooBrief) => (state, Do::SendLonger),
        (Refreshing, Forgotten) => (Creating, Do::SendAnew),
        (Creating, Forgotten) | (Creating | Refreshing, Refused) => (Absent, Do::FailsForGood),
        // What the server forgot is gone.
        (Removing, Granted | GrantedNothing | Forgotten) => (Absent, Do::Over),
        (Removing, TooBrief | Refused | FailedForNow) => (Absent, Do::FailsForGood),
        (
            Absent | Standing | Waiting,
            Granted | GrantedNothing | TooBrief | Forgotten | Refused | FailedForNow,
        )
        | (Absent | Creating | Refreshing | Removing, Due)
        | (Absent | Creating | Refreshing | Removing | Waiting, FlowLost) => (state, Do::Nothing),
    }
}
