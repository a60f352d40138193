//! What a client tells its user.

use crate::ReceivedMessage;
use cpm_core::warning::Reason;
use cpm_sip::{Response, StatusCode, Uri, Warning};
use cpm_ua::TransactionFailure;

/// The client's name for a message that its user sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SentId(pub u64);

/// The client's name for a message that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceivedId(pub u64);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The registration stands for this many seconds from now (it is refreshed before).
    Registered {
        /// Granted lifetime in seconds.
        expires: u32,
        /// The addresses that the core knows the user by (P-Associated-URI).
        associated: Vec<Uri>,
        /// The CPM service is part of it ([`crate::Client::end_service`]).
        service: bool,
    },
    /// The registration, or its refresh, did not work.
    RegistrationFailed(Failure),
    /// The registration is gone, because the user wished it.
    Deregistered,
    /// A message was taken by the network (2xx to the MESSAGE; every octet acknowledged for a large one), or its recipient
    /// said that it is there. Like [`ClientEvent::SendFailed`] it is told when the store has kept it: a later life may tell
    /// it again, and never says the contrary.
    Sent {
        /// Which.
        id: SentId,
        /// UID in the user's message store, where the network kept it there (TS C.1.6).
        message_uid: Option<String>,
    },
    /// A message was not taken. One that a hop gave up (408, 480, 482, 5xx, no answer) may have arrived all the same: then
    /// notifications of it still come.
    SendFailed {
        /// Which.
        id: SentId,
        /// Why.
        why: Failure,
    },
    /// A disposition notification came for a message that the user sent: it asked for it, the sender of the notification
    /// is its recipient, and nothing that says as much came before.
    Disposition {
        /// Which.
        id: SentId,
        /// What became of it.
        disposition: Disposition,
        /// Who says so: the authenticated sender of the notification, as text.
        from: String,
    },
    /// A message arrived and is kept.
    Received(Box<ReceivedMessage>),
    /// A message arrived from somebody who is none of [`crate::ClientConfig::contacts`] and wants to know that it arrived, or
    /// that it is read: he hears nothing before the user allows it ([`crate::Client::consent`]; threat E7).
    ConsentWanted {
        /// Which.
        id: ReceivedId,
        /// Who wants to know.
        from: Uri,
    },
    /// The network keeps a large message that arrived in the user's message store; it says so at the end of the session
    /// (TS 7.2.2.2-p6.2).
    StoredByNetwork {
        /// Which.
        id: ReceivedId,
        /// Its UID in the user's message store (TS C.1.6).
        message_uid: String,
    },
}

/// What became of a sent message at one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// It was delivered (TS 5.4-rcv-1.a.i).
    Delivered,
    /// It could not be delivered (TS 5.4-rcv-1.a.ii).
    DeliveryFailed,
    /// It was read, and so it was delivered, whether that is told before or not at all (TS 5.4-rcv-2.a.i).
    Displayed,
    /// It left as SMS: the user should know that neither a reading nor typing will be told (TS 5.4-rcv-3.b.i).
    InterworkedSms,
    /// It left as MMS: the user should know that no typing will be told (TS 5.4-rcv-3.b.ii).
    InterworkedMms,
}

/// Why something did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The far side answered so.
    Rejected {
        /// Status code.
        status: StatusCode,
        /// Reason phrase as it came.
        reason: String,
        /// Texts of the Warning header fields, to be shown to the user (TS 6.4).
        warnings: Vec<String>,
    },
    /// No answer in time.
    Timeout,
    /// No way to the next hop.
    Transport,
    /// The answer could not be understood or broke the protocol; the text names what was wrong.
    BadAnswer(String),
    /// The media connection could not be set up, broke, or the far side refused the content. Carries the MSRP status
    /// where there was one.
    Media(Option<u16>),
    /// The far side ended the session before everything was through.
    EndedByPeer,
    /// The user cancelled it.
    Cancelled,
    /// The store did not keep it, so that nothing was sent.
    NotStored,
    /// Its lifetime ended before it could be sent.
    Expired,
    /// The SIP endpoint, or the media negotiation, refused it when it was to go out; the text says why.
    Refused(String),
}

impl Failure {
    /// A final response that is none of success.
    pub(crate) fn rejected(response: &Response) -> Failure {
        let warnings = response.typed_list::<Warning>().unwrap_or_default();
        Failure::Rejected {
            status: response.status(),
            reason: response.reason().to_owned(),
            warnings: warnings.iter().map(|warning| warning.text().to_owned()).collect(),
        }
    }

    /// The reason of TS 6.4.2 that the far side gives, in whatever language.
    #[must_use]
    pub fn cpm_reason(&self) -> Option<Reason> {
        let Failure::Rejected { warnings, .. } = self else { return None };
        warnings.iter().find_map(|text| Reason::of(text))
    }
}

impl From<TransactionFailure> for Failure {
    fn from(why: TransactionFailure) -> Self {
        match why {
            TransactionFailure::Timeout => Failure::Timeout,
            TransactionFailure::Transport => Failure::Transport,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Rejected { status, reason, warnings } => {
                write!(f, "rejected with {} {reason}", status.as_u16())?;
                warnings.iter().try_for_each(|text| write!(f, " ({text})"))
            }
            Failure::Timeout => f.write_str("no answer in time"),
            Failure::Transport => f.write_str("the next hop could not be reached"),
            Failure::BadAnswer(what) => write!(f, "the answer was not usable: {what}"),
            Failure::Media(None) => f.write_str("the media connection failed"),
            Failure::Media(Some(status)) => write!(f, "the media was refused with {status}"),
            Failure::EndedByPeer => f.write_str("the far side ended the session"),
            Failure::Cancelled => f.write_str("cancelled"),
            Failure::NotStored => f.write_str("it could not be kept"),
            Failure::Expired => f.write_str("its lifetime is over"),
            Failure::Refused(why) => write!(f, "it cannot be sent: {why}"),
        }
    }
}
