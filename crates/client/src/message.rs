//! What a user gives to be sent.

use crate::{ReceivedMessage, SentId};
use bytes::Bytes;
use core::fmt;
use cpm_core::{ContributionId, ConversationId};
use cpm_cpim::DispositionRequest;
use cpm_mime::ContentType;
use cpm_sip::Uri;

/// A message for one recipient. Whether it travels as a pager or a large message is decided by its size (TS 7.2.1.3-4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The recipient.
    pub to: Uri,
    /// Media type of the content.
    pub content_type: ContentType,
    /// The content.
    pub content: Bytes,
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
}

impl NewMessage {
    /// Content of some type, that starts a conversation and asks for no report.
    #[must_use]
    pub fn new(to: Uri, content_type: ContentType, content: Bytes) -> Self {
        NewMessage {
            to,
            content_type,
            content,
            subject: None,
            reports: DispositionRequest::default(),
            conversation: None,
            in_reply_to: None,
            expires: None,
            reply_to: None,
            anonymous: false,
        }
    }

    /// A text in UTF-8.
    #[must_use]
    pub fn text(to: Uri, text: &str) -> Self {
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
    /// The client's name for it in events.
    pub id: SentId,
    /// Its conversation, new or given.
    pub conversation: ConversationId,
    /// Its own id in the conversation.
    pub contribution: ContributionId,
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
    /// The message is longer than [`crate::Limits::max_message`].
    TooLarge,
    /// As many large messages as [`crate::Limits::max_sessions`] are under way.
    Busy,
    /// The SIP endpoint refused; the text says why.
    Endpoint(String),
}

impl fmt::Display for SendRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendRefusal::Content(what) => write!(f, "the message cannot be written: {what}"),
            SendRefusal::TooLarge => f.write_str("the message is longer than the client's limit"),
            SendRefusal::Busy => f.write_str("too many large messages are under way"),
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
