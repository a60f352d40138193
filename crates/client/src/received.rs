//! A message that arrived, as its user sees it (TS 7.2.2.3).

use crate::origin::same_address;
use crate::received_state::{Facts, Since};
use crate::{ClientConfig, Disposition, ReceivedId};
use bytes::Bytes;
use cpm_base::DateTime;
use cpm_core::{ContributionId, ConversationId, ReceivedRecord};
use cpm_cpim::{Address, CpimMessage};
use cpm_mime::{ExternalBody, Part};
use cpm_sip::Uri;

/// A CPM Standalone Message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// For [`crate::Client::mark_read`] and replies; it stays the same over restarts.
    pub id: ReceivedId,
    /// The originator (TS 6.1); `None` for one who is not to be known. In a group, the group.
    pub from: Option<Uri>,
    /// Whether the core asserts the originator; else only the From header field says so.
    pub authenticated: bool,
    /// The name that the sender goes by, to be shown (TS 6.3): the name at the asserted address, or a pseudonym.
    pub from_name: Option<String>,
    /// In a group, who of it wrote the message: what the CPIM From says, which the group's focus answers for.
    pub author: Option<Address>,
    /// Where a reply goes: Reply-To, else the originator.
    pub reply_to: Option<Uri>,
    /// Its conversation.
    pub conversation: Option<ConversationId>,
    /// Its own id in the conversation; a reply names it.
    pub contribution: Option<ContributionId>,
    /// The contribution that it replies to.
    pub in_reply_to: Option<ContributionId>,
    /// IMDN Message-ID.
    pub message_id: Option<String>,
    /// CPIM DateTime.
    pub date: Option<DateTime>,
    /// When it arrived here.
    pub arrived: DateTime,
    /// Until when it is of use; whoever shows it later says that it is out of date (RFC 3428 §7).
    pub expires: Option<DateTime>,
    /// CPIM Subject.
    pub subject: Option<String>,
    /// Media type of the content, with its parameters, as the sender wrote it.
    pub content_type: String,
    /// Content-Disposition of the content, as the sender wrote it.
    pub content_disposition: Option<String>,
    /// What that asks for, to be followed by whoever shows it (TS 7.2.2.3-1).
    pub presentation: Presentation,
    /// The content with its transfer encoding taken off.
    pub content: Bytes,
    /// Whether the content, or a part of it, is of a type that can be shown ([`ClientConfig::accept`]). Of one that cannot
    /// be shown no reading is told.
    pub renderable: bool,
    /// Content that is somewhere else, in the order of the parts (TS 7.2.2.3-2). Nothing of it is fetched before the
    /// user or the embedding program decides so.
    pub references: Vec<ExternalBody>,
    /// The sender wishes to know when it is read ([`crate::Client::mark_read`]), and can be told.
    pub display_requested: bool,
    /// UID in the user's message store (TS C.1.6).
    pub message_uid: Option<String>,
    /// It came through MSRP.
    pub large: bool,
}

impl ReceivedMessage {
    /// A message of nobody, of which nothing is known but its content: for programs and tests that make messages of their
    /// own. Fields come to be added.
    #[must_use]
    pub fn new(id: ReceivedId, arrived: DateTime, content_type: &str, content: Bytes) -> Self {
        ReceivedMessage {
            id,
            from: None,
            authenticated: false,
            from_name: None,
            author: None,
            reply_to: None,
            conversation: None,
            contribution: None,
            in_reply_to: None,
            message_id: None,
            date: None,
            arrived,
            expires: None,
            subject: None,
            content_type: content_type.to_owned(),
            content_disposition: None,
            presentation: Presentation::Render,
            content,
            renderable: true,
            references: Vec::new(),
            display_requested: false,
            message_uid: None,
            large: false,
        }
    }

    /// Whether it is of no use any more at this time.
    #[must_use]
    pub fn expired(&self, now: DateTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// How content wants to be presented (RFC 2183, RFC 3261 §20.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presentation {
    /// Shown as part of the conversation: `render`, `inline`, or nothing is said.
    Render,
    /// Offered to be opened or saved, not shown by itself: `attachment`, and whatever is not known (RFC 2183 §2.8).
    Attachment,
}

/// What is in the records of a store: the history that a user sees at the start ([`crate::Client::history`]).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryEntry {
    /// A message that arrived.
    Message {
        /// The message.
        message: Box<ReceivedMessage>,
        /// When the user read it.
        read: Option<DateTime>,
    },
    /// A disposition notification that said something new of a message of the user.
    Report {
        /// IMDN Message-ID of the message that it is about.
        about: String,
        /// What became of it.
        disposition: Disposition,
        /// Who says so; empty for somebody who is not to be known.
        from: String,
    },
}

/// What the content of a message is.
pub(crate) struct Shape {
    pub(crate) presentation: Presentation,
    pub(crate) renderable: bool,
    pub(crate) references: Vec<ExternalBody>,
}

impl Shape {
    /// Looks at the content and its parts; what cannot be read is not shown.
    // req: 7.2.2.3-1, 7.2.2.3-2
    pub(crate) fn of(content: &Part, accept: &[String]) -> Shape {
        let presentation = match content.content_disposition() {
            Ok(None) => Presentation::Render,
            Ok(Some(disposition)) if disposition.is("render") || disposition.is("inline") => {
                Presentation::Render
            }
            _ => Presentation::Attachment,
        };
        let limits = cpm_mime::Limits::default();
        let (mut renderable, mut references) = (false, Vec::new());
        for leaf in content.leaves(&limits).unwrap_or_default() {
            match ExternalBody::read(&leaf, &limits) {
                Ok(Some(reference)) => {
                    renderable |= shown(&reference.content, accept);
                    references.push(reference);
                }
                Ok(None) => renderable |= shown(&leaf, accept),
                Err(_) => {}
            }
        }
        Shape { presentation, renderable, references }
    }
}

fn shown(part: &Part, accept: &[String]) -> bool {
    part.content_type().is_ok_and(|content_type| cpm_sdp::accepts(accept, &content_type.essence()))
}

/// A message as it is shown, of what was stored.
pub(crate) fn message(
    stored: &ReceivedRecord,
    facts: &Facts,
    since: &Since,
    cpim: &CpimMessage,
    config: &ClientConfig,
) -> ReceivedMessage {
    let origin = &facts.origin;
    let header = |name: &str| cpim.content().headers.get(name).map(|value| value.into_owned());
    let shape = Shape::of(cpim.content(), &config.accept);
    let wanted = cpim.disposition_notification().unwrap_or_default();
    let from = cpim.from().ok().flatten();
    let group = origin.authenticated && origin.service().group;
    ReceivedMessage {
        id: facts.id,
        from: origin.shown().cloned(),
        authenticated: origin.authenticated,
        from_name: origin.name.clone().or_else(|| cpim_name(facts, from.as_ref()?)),
        author: from.filter(|_| group),
        reply_to: origin.reply_to.clone().or_else(|| origin.shown().cloned()),
        conversation: stored.conversation.clone(),
        contribution: stored.contribution.clone(),
        in_reply_to: stored.in_reply_to.clone(),
        message_id: stored.message_id.clone(),
        date: cpim.date_time().ok().flatten(),
        arrived: facts.arrived,
        expires: origin.expires,
        subject: cpim.subject(),
        content_type: header("Content-Type").unwrap_or_else(|| "text/plain".to_owned()),
        // req: 7.2.2.3-1
        content_disposition: header("Content-Disposition"),
        presentation: shape.presentation,
        content: cpim.content().decoded().unwrap_or_default(),
        renderable: shape.renderable,
        references: shape.references,
        display_requested: wanted.display && shape.renderable && facts.tell,
        // req: 7.2.2.1-7
        message_uid: since.message_uid.clone().or_else(|| stored.message_uid.clone()),
        large: facts.large,
    }
}

/// The name in the CPIM From counts when it stands at an address that the SIP header fields have as well, or stands for
/// somebody who hides.
// req: 6.3-p11
fn cpim_name(facts: &Facts, from: &Address) -> Option<String> {
    let uri = Uri::parse(&from.uri).ok()?;
    let origin = &facts.origin;
    let known = origin.originator.iter().chain(&origin.aliases).any(|address| same_address(address, &uri));
    let hidden = origin.hidden && cpm_ua::is_anonymous(&uri);
    from.display_name.clone().filter(|_| (known && !origin.hidden) || hidden)
}
