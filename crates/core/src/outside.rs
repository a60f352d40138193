//! What lies outside of a node and is asked for by queries: user preferences, and the objects of a message store.

use crate::{ContributionId, ConversationId};
use bytes::Bytes;
use core::fmt;
use core::num::NonZeroU32;
use cpm_sip::Uri;
use cpm_xml::XmlError;
use cpm_xml::profiles::Directory;
use cpm_xml::ruleset::Ruleset;
use std::collections::BTreeSet;

/// What a user wants done with what comes for him (TS 8.4.1), read once by the host and shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    /// The User Access Policy; absent: the user has none.
    pub access_policy: Option<Ruleset>,
    /// Which profile is active on which device; absent: none is.
    pub profiles: Option<Directory>,
    /// [Address keys](Uri::address_key) of those from whom no standalone messages are taken (TS 8.3.1.1-3).
    pub blacklist: BTreeSet<String>,
}

impl Preferences {
    /// Reads the documents of a user; the blacklist is a resource-lists document. An empty document is none.
    ///
    /// # Errors
    /// A document cannot be read.
    pub fn from_documents(
        access_policy: &[u8],
        profiles: &[u8],
        blacklist: &[u8],
        limits: &cpm_xml::Limits,
    ) -> Result<Self, XmlError> {
        let some = |document: &[u8]| !document.iter().all(u8::is_ascii_whitespace);
        let mut preferences = Preferences::default();
        if some(access_policy) {
            preferences.access_policy = Some(cpm_xml::access_policy::parse(access_policy, limits)?);
        }
        if some(profiles) {
            preferences.profiles = Some(cpm_xml::profiles::parse(profiles, limits)?);
        }
        if some(blacklist) {
            let lists = cpm_xml::resource_lists::parse(blacklist, limits)?;
            let uris = lists.entries().filter_map(|entry| Uri::parse(&entry.uri).ok());
            preferences.blacklist = uris.map(|uri| uri.address_key()).collect();
        }
        Ok(preferences)
    }
}

/// Why something that was asked for did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchError {
    /// It is not there.
    NotFound,
    /// The user may not have it.
    Forbidden,
    /// It is larger than is taken.
    TooLarge,
    /// Whoever has it failed, or does not answer.
    Failed,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FetchError::NotFound => "it is not there",
            FetchError::Forbidden => "it is not for this user",
            FetchError::TooLarge => "it is too large",
            FetchError::Failed => "it could not be fetched",
        })
    }
}

impl core::error::Error for FetchError {}

/// The UID of an object in a message store (RFC 3501 §2.3.1.1), as Message-UID has it (TS C.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectUid(pub NonZeroU32);

/// In which folder of a message store an object lies (TS 8.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// A conversation of two: the identity of the other, as TS 8.5-3.a writes it.
    Peer(String),
    /// A group's conversation.
    Group(ConversationId),
    /// That of the message with this IMDN Message-ID, which the user sent (TS 8.3.5).
    OfMessage(String),
}

impl Folder {
    /// The folder of a conversation of two, named by the identities that the other is known by: a telephone number, where
    /// there is one, as tel URI; else the first of them, a SIP URI in lower case; never with parameters, and in one spelling.
    /// `None`: there is no identity.
    // req: 8.5-1.a, 8.5-3.a
    #[must_use]
    pub fn of_peer<'a>(identities: impl IntoIterator<Item = &'a Uri> + Clone) -> Option<Folder> {
        let number = identities.clone().into_iter().find_map(Uri::telephone);
        if let Some(number) = number {
            return Some(Folder::Peer(format!("tel:{}", number.digits()).to_lowercase()));
        }
        let uri = identities.into_iter().next()?;
        Some(Folder::Peer(uri.address_key().to_lowercase()))
    }

    /// The folder of what came from those who do not say who they are (RFC 3323 §4.1.1.3).
    #[must_use]
    pub fn anonymous() -> Folder {
        Folder::Peer("sip:anonymous@anonymous.invalid".to_owned())
    }
}

/// Which way an object went, from the user's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The user sent it.
    Sent,
    /// The user was sent it.
    Received,
}

/// What kind of object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ObjectKind {
    /// A CPM Standalone Message.
    StandaloneMessage,
    /// A disposition notification.
    Disposition,
}

/// An object for the message store of a user (TS 8.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Whose store.
    pub user: Uri,
    /// Where in it; the host makes the folder when it is not there (TS 8.5-3).
    pub folder: Folder,
    /// Which way it went.
    pub direction: Direction,
    /// What it is.
    pub kind: ObjectKind,
    /// Its IMDN Message-ID, by which the user's devices know it.
    pub message_id: Option<String>,
    /// Conversation-ID of the request.
    pub conversation: Option<ConversationId>,
    /// Contribution-ID of the request.
    pub contribution: Option<ContributionId>,
    /// Message-Context that an interworking function gave (TS 6.5.1-1.A).
    pub message_context: Option<String>,
    /// Message-Correlator that an interworking function gave (TS 6.5.1-1.B).
    pub message_correlator: Option<String>,
    /// The request with all its header fields and its body, octet for octet (TS 8.5.1-A).
    pub object: Bytes,
    /// The object of this user in whose place it comes, under the same UID: more is known of the message by now. `None`: a
    /// message as it came, which never takes the place of another.
    pub replaces: Option<ObjectUid>,
}

/// What lay behind a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedObject {
    /// Its Content-Type.
    pub content_type: String,
    /// Its octets.
    pub octets: Bytes,
}

/// Where the parts of a kept object are (RFC 3501 §6.4.5, RFC 5092 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyStructure {
    /// IMAP URL of the object itself, without a section: `imap://alice@store.example/folder;UIDVALIDITY=1/;UID=7`.
    pub url: String,
    /// Its leaves, in their order.
    pub parts: Vec<BodyPart>,
}

/// A leaf of a kept object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyPart {
    /// Its section: `1.2`.
    pub section: String,
    /// Its Content-Type.
    pub content_type: String,
    /// Its octets.
    pub octets: u64,
}
