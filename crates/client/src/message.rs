//! What a user gives to be sent.

use crate::{ReceivedMessage, SentId};
use bytes::Bytes;
use core::fmt;
use cpm_core::{ContributionId, ConversationId};
use cpm_cpim::DispositionRequest;
use cpm_mime::ContentType;
use cpm_sip::Uri;

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients {
    /// One user, of CPM or of another service (TS 7.2.1.1-8).
    One(Uri),
    /// These users together, by way of [`crate::ClientConfig::controlling_function`] (TS 7.2.1.1-9). All of them see who
    /// gets it.
    AdHoc(Vec<Uri>),
    /// A pre-defined group, by its address (TS 7.2.1.1-10).
    Group(Uri),
}

impl Recipients {
    /// Whether it is for a group.
    #[must_use]
    pub const fn is_group(&self) -> bool {
        !matches!(self, Recipients::One(_))
    }

    /// The addresses.
    #[must_use]
    pub const fn uris(&self) -> &[Uri] {
        match self {
            Recipients::One(one) | Recipients::Group(one) => core::slice::from_ref(one),
            Recipients::AdHoc(all) => all.as_slice(),
        }
    }
}

impl From<Uri> for Recipients {
    fn from(one: Uri) -> Self {
        Recipients::One(one)
    }
}

/// Something in the user's message store that is sent without being fetched first: the network puts it in the place of the
/// reference (TS 7.2.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredData {
    /// Its IMAP URL, as the Message Storage Client gives it (RFC 5092), without a query.
    pub url: String,
    /// What it is.
    pub content_type: ContentType,
    /// How many octets it has, where that is known.
    pub size: Option<u64>,
}

/// A message. Whether it travels as a pager or a large message is decided by its size (TS 7.2.1.3-4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// For whom it is.
    pub to: Recipients,
    /// Media type of the content.
    pub content_type: ContentType,
    /// The content; beside references to stored data it may be empty, and is left out then.
    pub content: Bytes,
    /// Stored data that go with it, behind the content.
    pub stored: Vec<StoredData>,
    /// A subject for the recipient.
    pub subject: Option<String>,
    /// Which disposition notifications are wished.
    pub reports: DispositionRequest,
    /// The conversation that it belongs to; a new one when absent.
    pub conversation: Option<ConversationId>,
    /// The contribution that it replies to.
    pub in_reply_to: Option<ContributionId>,
    /// Lifetime of the message in seconds.
    pub expires: Option<u32>,
    /// Where replies shall go, when not to the user's own address.
    pub reply_to: Option<Uri>,
    /// The recipient shall not learn who sent it (RFC 3325 `id` privacy).
    pub anonymous: bool,
    /// The name that an anonymous sender gives himself (TS 6.3); without one he is "Anonymous".
    pub pseudonym: Option<String>,
}

impl NewMessage {
    /// Content of some type, that starts a conversation and asks for no report.
    #[must_use]
    pub fn new(to: impl Into<Recipients>, content_type: ContentType, content: Bytes) -> Self {
        NewMessage {
            to: to.into(),
            content_type,
            content,
            stored: Vec::new(),
            subject: None,
            reports: DispositionRequest::default(),
            conversation: None,
            in_reply_to: None,
            expires: None,
            reply_to: None,
            anonymous: false,
            pseudonym: None,
        }
    }

    /// A text in UTF-8.
    #[must_use]
    pub fn text(to: impl Into<Recipients>, text: &str) -> Self {
        let plain = ContentType::text_plain();
        let content_type = plain.clone().with_param("charset", "UTF-8").unwrap_or(plain);
        NewMessage::new(to, content_type, Bytes::copy_from_slice(text.as_bytes()))
    }

    /// A text in reply to a message that arrived: to its Reply-To or originator, in its conversation. `None` when the
    /// originator is anonymous and gave no Reply-To.
    // req: 7.2.1.1-8.b, 7.2.1.1-8.c, 7.2.1.2-9.b, 7.2.1.2-9.c
    #[must_use]
    pub fn reply(original: &ReceivedMessage, text: &str) -> Option<Self> {
        let mut reply = NewMessage::text(original.reply_to.clone()?, text);
        reply.conversation.clone_from(&original.conversation);
        reply.in_reply_to.clone_from(&original.contribution);
        Some(reply)
    }

    /// A text in reply that others get as well: an ad-hoc group of whom [`NewMessage::reply`] would answer, and these.
    /// `None` as there.
    // req: 7.2.1.1-9.c, 7.2.1.1-9.d, 7.2.1.2-10.c
    #[must_use]
    pub fn reply_with(original: &ReceivedMessage, others: &[Uri], text: &str) -> Option<Self> {
        let mut reply = NewMessage::reply(original, text)?;
        let first = original.reply_to.iter();
        reply.to = Recipients::AdHoc(first.chain(others).cloned().collect());
        Some(reply)
    }

    /// Stored data to be passed on, with nothing else (TS 7.2.1.4).
    #[must_use]
    pub fn forward(to: impl Into<Recipients>, stored: StoredData) -> Self {
        NewMessage::new(to, ContentType::text_plain(), Bytes::new()).with_stored(stored)
    }

    /// The same with stored data behind its content (TS 7.2.1.4).
    #[must_use]
    pub fn with_stored(mut self, stored: StoredData) -> Self {
        self.stored.push(stored);
        self
    }

    /// The same from somebody who is not to be known; `pseudonym` is the name that he gives himself (TS 6.3).
    #[must_use]
    pub fn anonymous(mut self, pseudonym: Option<&str>) -> Self {
        self.anonymous = true;
        self.pseudonym = pseudonym.map(str::to_owned);
        self
    }

    /// The same with delivery notification and read report wished for.
    #[must_use]
    pub fn with_reports(mut self) -> Self {
        self.reports.positive_delivery = true;
        self.reports.display = true;
        self
    }
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// The client's name for it in events; no other message of this client has it, in earlier and later lives neither.
    pub id: SentId,
    /// For whom it is.
    pub to: Recipients,
    /// Its conversation, new or given.
    pub conversation: ConversationId,
    /// Its own id in the conversation.
    pub contribution: ContributionId,
    /// The contribution that it replies to.
    pub in_reply_to: Option<ContributionId>,
    /// Its IMDN Message-ID.
    pub message_id: String,
    /// Whether it travels as a large message.
    pub large: bool,
}

/// A message that was not taken, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// Why.
    pub why: SendRefusal,
    /// The message, back.
    pub message: Box<NewMessage>,
}

/// Why a message was not taken: the caller's mistakes and the client's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefusal {
    /// A text of the message cannot be written (the subject or an address holds what CPIM has no form for).
    Content(String),
    /// It is for nobody.
    NoRecipients,
    /// It is for an ad-hoc group, and [`crate::ClientConfig::controlling_function`] is not set.
    NoControllingFunction,
    /// It is for more users than [`crate::ClientConfig::max_adhoc_group`].
    TooManyRecipients,
    /// It is anonymous, and its Reply-To is an address of the user.
    NotAnonymous,
    /// The message is longer than [`crate::Limits::max_message`].
    TooLarge,
    /// As many large messages as [`crate::Limits::max_sessions`], or messages without an answer as
    /// [`crate::Limits::max_unanswered`], are under way.
    Busy,
    /// The SIP endpoint refused; the text says why.
    Endpoint(String),
}

impl fmt::Display for SendRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendRefusal::Content(what) => write!(f, "the message cannot be written: {what}"),
            SendRefusal::NoRecipients => f.write_str("the message is for nobody"),
            SendRefusal::NoControllingFunction => {
                f.write_str("no controlling function is configured for ad-hoc groups")
            }
            SendRefusal::TooManyRecipients => f.write_str("the ad-hoc group is larger than allowed"),
            SendRefusal::NotAnonymous => {
                f.write_str("an anonymous message cannot be answered at the user's own address")
            }
            SendRefusal::TooLarge => f.write_str("the message is longer than the client's limit"),
            SendRefusal::Busy => f.write_str("too many messages are under way"),
            SendRefusal::Endpoint(why) => write!(f, "the request cannot be sent: {why}"),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl core::error::Error for SendError {}
