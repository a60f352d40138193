//! The two machines of a bridge: its incoming leg, and each of its outgoing legs. What a CANCEL that meets a 2xx, a BYE that
//! meets a BYE or an answer that comes too late does to one leg is decided here, for that leg alone. The figures are ours:
//! no RFC draws them. What happens on the wire for it (RFC 3261 §9, §13, §15) is the endpoint's.

/// An outgoing leg: an INVITE that we sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::endpoint) enum Leg {
    /// No final response yet.
    Calling,
    /// A 2xx is in; its ACK is held until the function says so.
    Answered,
    /// The ACK is out.
    Up,
    /// CANCEL or BYE is under way.
    Leaving,
    /// Gone.
    Gone,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoint) enum LegInput {
    /// A provisional response came.
    Progress,
    /// The 2xx came.
    Answer,
    /// The INVITE came to nothing.
    Failure,
    /// The dialog is over.
    Over,
    /// The function acknowledges the 2xx.
    Accept,
    /// The function wants it no more.
    Drop,
}

/// What is to be done about it. At most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoint) enum LegEffect {
    /// Nothing.
    None,
    /// The function has to know.
    Tell,
    /// Send the ACK.
    Ack,
    /// Send CANCEL; a 2xx that crosses it gets ACK and BYE.
    Cancel,
    /// Send BYE; after the ACK, where that is owed.
    Bye,
    /// The function asks for what this state does not allow.
    Refuse,
}

impl Leg {
    pub(super) fn step(&mut self, input: LegInput) -> LegEffect {
        use {Leg as S, LegEffect as E, LegInput as I};
        let (next, effect) = match (*self, input) {
            (S::Calling, I::Progress) => (S::Calling, E::Tell),
            (S::Calling, I::Answer) => (S::Answered, E::Tell),
            (S::Calling | S::Leaving, I::Failure) => (S::Gone, E::Tell),
            (S::Calling, I::Drop) => (S::Leaving, E::Cancel),
            (S::Answered, I::Accept) => (S::Up, E::Ack),
            (S::Answered | S::Up, I::Drop) => (S::Leaving, E::Bye),
            (S::Answered | S::Up | S::Leaving, I::Over) => (S::Gone, E::Tell),
            (state, I::Accept | I::Drop) => (state, E::Refuse),
            (state, I::Progress | I::Answer | I::Failure | I::Over) => (state, E::None),
        };
        *self = next;
        effect
    }
}

/// The incoming leg: an INVITE that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoint) enum Upstream {
    /// No final response yet.
    Ringing,
    /// Our 2xx is out; its ACK is awaited.
    Accepted,
    /// The ACK is in.
    Up,
    /// BYE is under way.
    Leaving,
    /// Gone.
    Gone,
}

/// What can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoint) enum UpstreamInput {
    /// The sender cancelled.
    Cancelled,
    /// The function left it unanswered until its deadline, or no PRACK came for a reliable response: the endpoint has
    /// answered with a 5xx.
    Expired,
    /// The ACK for our 2xx came.
    Acknowledged,
    /// The dialog is over.
    Over,
    /// The function sends a provisional response.
    Progress,
    /// The function sends a 2xx.
    Accept,
    /// The function sends another final response.
    Refuse,
    /// The function wants it no more.
    Drop,
}

/// What is to be done about it. At most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoint) enum UpstreamEffect {
    /// Nothing.
    None,
    /// The function has to know.
    Tell,
    /// The legs are not wanted any more, and the function has to know; 487 upstream where nothing was said yet.
    EndLegs,
    /// Send the response.
    Respond,
    /// Send a final response that says that there is nobody.
    TurnAway,
    /// Send BYE.
    Bye,
    /// The function asks for what this state does not allow.
    Refuse,
}

impl Upstream {
    pub(super) fn step(&mut self, input: UpstreamInput) -> UpstreamEffect {
        use {Upstream as S, UpstreamEffect as E, UpstreamInput as I};
        let (next, effect) = match (*self, input) {
            (S::Ringing, I::Progress) => (S::Ringing, E::Respond),
            (S::Ringing, I::Accept) => (S::Accepted, E::Respond),
            (S::Ringing, I::Refuse) => (S::Gone, E::Respond),
            // A 2xx may still wait for the PRACK of a response before it.
            (S::Ringing | S::Accepted, I::Cancelled | I::Expired) => (S::Gone, E::EndLegs),
            (S::Ringing, I::Drop) => (S::Gone, E::TurnAway),
            (S::Accepted, I::Acknowledged) => (S::Up, E::Tell),
            (S::Up, I::Acknowledged) => (S::Up, E::Tell),
            (S::Accepted | S::Up, I::Drop) => (S::Leaving, E::Bye),
            (S::Accepted | S::Up | S::Leaving, I::Over) => (S::Gone, E::Tell),
            (state, I::Progress | I::Accept | I::Refuse | I::Drop) => (state, E::Refuse),
            (state, I::Cancelled | I::Expired | I::Acknowledged | I::Over) => (state, E::None),
        };
        *self = next;
        effect
    }
}

#[cfg(test)]
mod tests;
