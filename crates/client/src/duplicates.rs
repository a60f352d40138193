//! Which object of the user's message store is a message that the client has already from SIP (TS 7.2.1.1-18, Table 2):
//! whoever synchronises the store by IMAP asks this before it shows an object.

use crate::message::Recipients;
use crate::{ReceivedMessage, SentMessage};
use cpm_core::outside::Folder;
use cpm_core::{ContributionId, ConversationId};

/// What a message is known by, on either side.
///
/// ```
/// use cpm_client::MessageKeys;
/// use cpm_core::outside::Folder;
///
/// let sip = MessageKeys::new(Folder::Peer("sip:bob@example.com".to_owned())).with_message_id("34jk324j");
/// let imap = sip.clone().with_message_uid("7");
/// assert!(sip.is_copy(&imap));
/// assert!(!sip.is_copy(&imap.clone().with_message_id("other")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageKeys {
    /// The folder: of a conversation of two the identity of the other, of a group its Conversation-ID.
    pub folder: Folder,
    /// Conversation-ID.
    pub conversation: Option<ConversationId>,
    /// Contribution-ID.
    pub contribution: Option<ContributionId>,
    /// InReplyTo-Contribution-ID.
    pub in_reply_to: Option<ContributionId>,
    /// IMDN Message-ID; IMDN-Message-ID of the object.
    pub message_id: Option<String>,
    /// UID in its folder: of the object, or as Message-UID named it (TS C.1.6).
    pub message_uid: Option<String>,
}

impl MessageKeys {
    /// A message in a folder of which nothing else is known.
    #[must_use]
    pub const fn new(folder: Folder) -> Self {
        MessageKeys {
            folder,
            conversation: None,
            contribution: None,
            in_reply_to: None,
            message_id: None,
            message_uid: None,
        }
    }

    /// A message that was sent; `message_uid` is what [`crate::ClientEvent::Sent`] brought.
    // req: 7.2.1.1-18.a
    #[must_use]
    pub fn of_sent(sent: &SentMessage, message_uid: Option<&str>) -> Self {
        let folder = match &sent.to {
            Recipients::One(one) => Folder::of_peer([one]),
            Recipients::AdHoc(_) | Recipients::Group(_) => None,
        };
        MessageKeys {
            folder: folder.unwrap_or_else(|| Folder::Group(sent.conversation.clone())),
            conversation: Some(sent.conversation.clone()),
            contribution: Some(sent.contribution.clone()),
            in_reply_to: sent.in_reply_to.clone(),
            message_id: Some(sent.message_id.clone()),
            message_uid: message_uid.map(str::to_owned),
        }
    }

    /// A message that arrived; `group` says that it belongs to a group.
    // req: 7.2.1.1-18.a
    #[must_use]
    pub fn of_received(message: &ReceivedMessage, group: bool) -> Self {
        let conversation = message.conversation.clone().filter(|_| group);
        let folder = conversation.map(Folder::Group).or_else(|| Folder::of_peer(&message.from));
        MessageKeys {
            folder: folder.unwrap_or_else(Folder::anonymous),
            conversation: message.conversation.clone(),
            contribution: message.contribution.clone(),
            in_reply_to: message.in_reply_to.clone(),
            message_id: message.message_id.clone(),
            message_uid: message.message_uid.clone(),
        }
    }

    /// The same with an IMDN Message-ID.
    #[must_use]
    pub fn with_message_id(mut self, message_id: &str) -> Self {
        self.message_id = Some(message_id.to_owned());
        self
    }

    /// The same with a UID.
    #[must_use]
    pub fn with_message_uid(mut self, message_uid: &str) -> Self {
        self.message_uid = Some(message_uid.to_owned());
        self
    }

    /// Whether an object of the message store is this message: by its UID in the folder, and where one of them is not known
    /// by all of what the message has in Table 2. A message without any of that is no copy of anything.
    // req: 7.2.1.1-18, 7.2.1.1-18.a, 7.2.1.1-18.b, 7.2.1.1-T2-1, 7.2.1.1-T2-2, 7.2.1.1-T2-3, 7.2.1.1-T2-4
    // req: 7.2.1.2-onDone-4, 7.2.1.2-onDone-4.a, 7.2.1.2-onDone-4.b
    #[must_use]
    pub fn is_copy(&self, object: &MessageKeys) -> bool {
        if self.folder != object.folder {
            return false;
        }
        if let (Some(own), Some(other)) = (&self.message_uid, &object.message_uid) {
            return own == other;
        }
        let in_reply_to = self.in_reply_to.is_none() || self.in_reply_to == object.in_reply_to;
        let message_id = self.message_id.is_none() || self.message_id == object.message_id;
        let known = self.contribution.is_some() || self.message_id.is_some();
        known
            && self.conversation == object.conversation
            && self.contribution == object.contribution
            && in_reply_to
            && message_id
    }
}

#[cfg(test)]
mod tests;
