//! Offer and answer in an INVITE usage: which description is what, by the message that it is in (RFC 3261 §13.2.1,
//! RFC 3262 §5, RFC 3311 §5, RFC 6337 §2 with its tables 1 and 2).

use core::fmt;

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Local,
    Remote,
}

impl Side {
    /// The side that answers.
    pub(crate) const fn other(self) -> Side {
        match self {
            Side::Local => Side::Remote,
            Side::Remote => Side::Local,
        }
    }
}

/// What an offer was in: its answer belongs into one message alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Carrier {
    /// INVITE: answered in a reliable provisional response or the 2xx.
    Invite,
    /// A reliable provisional response: answered in its PRACK.
    Reliable,
    /// The 2xx to an INVITE: answered in its ACK.
    Success,
    /// PRACK: answered in its 2xx.
    Prack,
    /// UPDATE: answered in its 2xx.
    Update,
}

/// How far offer and answer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exchange {
    /// Nothing is pending.
    Idle,
    /// An INVITE without an offer is under way, sent by this side: the other one has to make the offer.
    Bare(Side),
    /// This side made an offer.
    Pending(Side, Carrier),
}

/// A message that can carry a description, or the end of a transaction that will carry none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Invite,
    /// A provisional response that nobody acknowledges.
    Provisional,
    /// A reliable provisional response.
    Reliable,
    /// A 2xx to INVITE.
    Success,
    Ack,
    Prack,
    PrackSuccess,
    Update,
    UpdateSuccess,
    /// The INVITE got another final response than 2xx, or none.
    InviteOver,
    PrackOver,
    UpdateOver,
}

/// What a description is, or what is wrong about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// There is none, and none has to be there.
    Nothing,
    Offer,
    Answer,
    /// What the answer will be (RFC 3261 §13.2.1: the same will come reliably).
    Preview,
    /// The answer came before: this one says nothing new.
    Repeated,
    /// There is none although one has to be there. Where that is tolerated, nothing is pending any more.
    Missing(Misplaced),
    /// It may not be there. Nothing changes.
    Misplaced(Misplaced),
}

/// What is wrong about where a session description is, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misplaced {
    /// Another offer, or an INVITE that one has to come for, is still pending.
    Pending,
    /// There is no offer that this message could answer, nor may it make one.
    NoOffer,
    /// The message has to make an offer: the INVITE made none.
    OfferMissing,
    /// The message has to answer an offer.
    AnswerMissing,
    /// The offer is not this one any more: it was answered, or its transaction is over.
    Stale,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Misplaced::Pending => "another offer is pending",
            Misplaced::NoOffer => "there is no offer to be answered here",
            Misplaced::OfferMissing => "an offer has to be made here",
            Misplaced::AnswerMissing => "the offer has to be answered here",
            Misplaced::Stale => "the offer is not pending any more",
        })
    }
}

impl Exchange {
    /// One message of one side, with or without a description. Total: what the tables of RFC 6337 do not know is
    /// [`Position::Misplaced`] and changes nothing.
    pub(crate) fn step(self, by: Side, message: Message, has: bool) -> (Exchange, Position) {
        match message {
            Message::Invite | Message::Update | Message::Prack => self.request(by, message, has),
            Message::Provisional | Message::Reliable | Message::Success => {
                self.invite_response(by, message, has)
            }
            Message::Ack => self.answered_in(by, Carrier::Success, has),
            Message::PrackSuccess => self.answered_in(by, Carrier::Prack, has),
            Message::UpdateSuccess => self.answered_in(by, Carrier::Update, has),
            Message::InviteOver | Message::PrackOver | Message::UpdateOver => {
                (self.over(message), Position::Nothing)
            }
        }
    }

    fn request(self, by: Side, message: Message, has: bool) -> (Exchange, Position) {
        let carrier = match message {
            Message::Invite => Carrier::Invite,
            Message::Prack => Carrier::Prack,
            _ => Carrier::Update,
        };
        match (self, has) {
            (Exchange::Pending(side, Carrier::Reliable), _) if side != by && carrier == Carrier::Prack => {
                self.answered_in(by, Carrier::Reliable, has)
            }
            (Exchange::Idle, true) => (Exchange::Pending(by, carrier), Position::Offer),
            (Exchange::Idle, false) if carrier == Carrier::Invite => (Exchange::Bare(by), Position::Nothing),
            (_, false) if carrier != Carrier::Invite => (self, Position::Nothing),
            _ => (self, Position::Misplaced(Misplaced::Pending)),
        }
    }

    fn invite_response(self, by: Side, message: Message, has: bool) -> (Exchange, Position) {
        match (self, message, has) {
            // Answers to the offer of the INVITE.
            (Exchange::Pending(side, Carrier::Invite), Message::Provisional, true) if side != by => {
                (self, Position::Preview)
            }
            (Exchange::Pending(side, Carrier::Invite), Message::Reliable, false) if side != by => {
                (self, Position::Nothing)
            }
            (Exchange::Pending(side, Carrier::Invite), Message::Reliable | Message::Success, _)
                if side != by =>
            {
                self.answered_in(by, Carrier::Invite, has)
            }
            // The offer that the INVITE did not make.
            (Exchange::Bare(side), Message::Reliable, true) if side != by => {
                (Exchange::Pending(by, Carrier::Reliable), Position::Offer)
            }
            (Exchange::Bare(side), Message::Success, true) if side != by => {
                (Exchange::Pending(by, Carrier::Success), Position::Offer)
            }
            (Exchange::Bare(side), Message::Reliable | Message::Success, false) if side != by => {
                let next = if message == Message::Success { Exchange::Idle } else { self };
                (next, Position::Missing(Misplaced::OfferMissing))
            }
            // All is said already.
            (Exchange::Idle, _, true) => (self, Position::Repeated),
            (_, _, false) => (self, Position::Nothing),
            _ => (self, Position::Misplaced(Misplaced::Pending)),
        }
    }

    /// The one message that answers an offer made in this carrier.
    fn answered_in(self, by: Side, carrier: Carrier, has: bool) -> (Exchange, Position) {
        match (self == Exchange::Pending(by.other(), carrier), has) {
            (true, true) => (Exchange::Idle, Position::Answer),
            (true, false) => (Exchange::Idle, Position::Missing(Misplaced::AnswerMissing)),
            (false, true) => (self, Position::Misplaced(Misplaced::NoOffer)),
            (false, false) => (self, Position::Nothing),
        }
    }

    /// A transaction that came to nothing takes its offer with it.
    fn over(self, message: Message) -> Exchange {
        match (self, message) {
            (Exchange::Bare(_), Message::InviteOver)
            | (
                Exchange::Pending(_, Carrier::Invite | Carrier::Reliable | Carrier::Success),
                Message::InviteOver,
            )
            | (Exchange::Pending(_, Carrier::Prack), Message::PrackOver)
            | (Exchange::Pending(_, Carrier::Update), Message::UpdateOver) => Exchange::Idle,
            _ => self,
        }
    }
}
