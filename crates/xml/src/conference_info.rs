//! Who takes part in a group: application/conference-info+xml (RFC 4575) with CPM's `<icon>`, `<subject-ext>`, keywords,
//! roles and `yourown` (TS Appendix P.2, Q).
//!
//! A document is [`full`](State::Full), [`partial`](State::Partial) or [`deleted`](State::Deleted). [`Merged`] puts a
//! history of them together (RFC 4575 §4.6), [`Notifier`] makes one. Sidebars by value are passed over: CPM has none.

mod merge;
mod notifier;
mod parse;
mod write;

use crate::words::words;

pub use crate::group_data::Icon;
pub use merge::{Applied, Merged, StateLimits};
pub use notifier::Notifier;
pub use parse::parse;
pub use write::write;

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/conference-info+xml";

/// The namespace of RFC 4575 §6.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";

/// The namespace of `<icon>` and `<subject-ext>` (TS Appendix P.2).
// req: P.2-ns
pub const EXTENSIONS_NAMESPACE: &str = "urn:oma:xml:cpm:conference-info:1.0";

/// The role that may remove others (TS Appendix Q.1.2).
pub const ADMINISTRATOR: &str = "Administrator";

/// How much an element says of what it describes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// All of it.
    #[default]
    Full,
    /// What has changed.
    Partial,
    /// That it is gone.
    Deleted,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Full => "full",
            State::Partial => "partial",
            State::Deleted => "deleted",
        }
    }
}

/// A document, or what several of them amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConferenceInfo {
    /// `entity`: the URI of the conference.
    pub entity: String,
    /// `state`.
    pub state: State,
    /// `version`.
    pub version: Option<u32>,
    /// `<conference-description>`.
    pub description: Option<Description>,
    /// `<host-info>`.
    pub host: Option<HostInfo>,
    /// `<conference-state>`.
    pub conference_state: Option<ConferenceState>,
    /// `<users>`.
    pub users: Option<Users>,
    /// `<sidebars-by-ref>`.
    pub sidebars_by_ref: Option<Uris>,
}

/// `<conference-description>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// `<display-text>`.
    pub display_text: Option<String>,
    /// `<subject>`.
    pub subject: Option<String>,
    /// `<free-text>`.
    pub free_text: Option<String>,
    /// `<keywords>`.
    pub keywords: Vec<String>,
    /// `<conf-uris>`.
    pub conf_uris: Option<Uris>,
    /// `<service-uris>`.
    pub service_uris: Option<Uris>,
    /// `<maximum-user-count>`.
    pub maximum_user_count: Option<u32>,
    /// `<available-media>`.
    pub available_media: Vec<AvailableMedia>,
    /// `<subject-ext>`: who set the subject, and when.
    pub subject_ext: Option<SubjectExt>,
    /// `<icon>`.
    pub icon: Option<GroupIcon>,
}

/// Who may remove participants (TS Appendix Q.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RemovalPolicy {
    /// `rem-all`: everybody. What is meant where nothing is said.
    #[default]
    All,
    /// `rem-administrator`: those with the role [`ADMINISTRATOR`].
    Administrator,
    /// `rem-nobody`: nobody.
    Nobody,
}

impl RemovalPolicy {
    const ALL: [RemovalPolicy; 3] = [RemovalPolicy::All, RemovalPolicy::Administrator, RemovalPolicy::Nobody];

    /// The keyword for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RemovalPolicy::All => "rem-all",
            RemovalPolicy::Administrator => "rem-administrator",
            RemovalPolicy::Nobody => "rem-nobody",
        }
    }
}

impl Description {
    /// Who may remove participants: the first keyword that says so; keywords that mean nothing here are passed over.
    // req: Q.1-p2, Q.1.1-1, Q.1.1-p5
    #[must_use]
    pub fn removal_policy(&self) -> RemovalPolicy {
        let mut said = self
            .keywords
            .iter()
            .filter_map(|keyword| RemovalPolicy::ALL.into_iter().find(|policy| policy.as_str() == keyword));
        said.next().unwrap_or_default()
    }

    /// The same with this policy as the only one that the keywords name.
    // req: Q.1.1-p3, Q.1.1-p4, Q.1.1-abnf
    #[must_use]
    pub fn with_removal_policy(mut self, policy: RemovalPolicy) -> Self {
        self.keywords.retain(|keyword| RemovalPolicy::ALL.iter().all(|known| known.as_str() != keyword));
        self.keywords.push(String::from(policy.as_str()));
        self
    }
}

/// `<subject-ext>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectExt {
    /// `<participant>`: who set it.
    pub participant: String,
    /// `<timestamp>`: when, as it is written.
    pub timestamp: String,
}

/// `<icon>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupIcon {
    /// `<source>`: where it is.
    pub source: Icon,
    /// `<participant>`: who set it.
    pub participant: String,
    /// `<timestamp>`: when, as it is written.
    pub timestamp: String,
}

/// `<entry>` of `<available-media>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvailableMedia {
    /// `label`: its key.
    pub label: String,
    /// `<display-text>`.
    pub display_text: Option<String>,
    /// `<type>`: `audio`, `message`…
    pub kind: String,
    /// `<status>`: a direction.
    pub status: Option<String>,
}

/// A list of URIs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uris {
    /// `state`.
    pub state: State,
    /// `<entry>`.
    pub entries: Vec<UriEntry>,
}

/// A URI of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriEntry {
    /// `<uri>`: its key.
    pub uri: String,
    /// `<display-text>`.
    pub display_text: Option<String>,
    /// `<purpose>`.
    pub purpose: Option<String>,
    /// `<modified>`.
    pub modified: Option<Execution>,
}

/// Who did something, when and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Execution {
    /// `<when>`, as it is written.
    pub when: Option<String>,
    /// `<reason>`.
    pub reason: Option<String>,
    /// `<by>`.
    pub by: Option<String>,
}

/// `<host-info>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// `<display-text>`.
    pub display_text: Option<String>,
    /// `<web-page>`.
    pub web_page: Option<String>,
    /// `<uris>`.
    pub uris: Option<Uris>,
}

/// `<conference-state>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConferenceState {
    /// `<user-count>`.
    pub user_count: Option<u32>,
    /// `<active>`.
    pub active: Option<bool>,
    /// `<locked>`.
    pub locked: Option<bool>,
}

/// `<users>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// `state`.
    pub state: State,
    /// `<user>`.
    pub users: Vec<User>,
}

/// `<user>`: a participant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// `entity`: its key.
    pub entity: String,
    /// `state`.
    pub state: State,
    /// `yourown`: whether this is the one who reads the document.
    pub your_own: Option<bool>,
    /// `<display-text>`.
    pub display_text: Option<String>,
    /// `<associated-aors>`.
    pub associated_aors: Option<Uris>,
    /// `<roles>`.
    pub roles: Vec<String>,
    /// `<languages>`.
    pub languages: Vec<String>,
    /// `<cascaded-focus>`.
    pub cascaded_focus: Option<String>,
    /// `<endpoint>`.
    pub endpoints: Vec<Endpoint>,
}

impl User {
    /// Whether the participant may remove others where that takes an administrator.
    // req: Q.1.2-p3, Q.1.2-admin-a
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        self.roles.iter().any(|role| role == ADMINISTRATOR)
    }
}

/// `<endpoint>`: a device or session of a participant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// `entity`: its key; empty where none is written.
    pub entity: String,
    /// `state`.
    pub state: State,
    /// `<display-text>`.
    pub display_text: Option<String>,
    /// `<referred>`: who brought it in.
    pub referred: Option<Execution>,
    /// `<status>`.
    pub status: Option<EndpointStatus>,
    /// `<joining-method>`.
    pub joining_method: Option<JoiningMethod>,
    /// `<joining-info>`.
    pub joining_info: Option<Execution>,
    /// `<disconnection-method>`.
    pub disconnection_method: Option<DisconnectionMethod>,
    /// `<disconnection-info>`.
    pub disconnection_info: Option<Execution>,
    /// `<media>`.
    pub media: Vec<Media>,
    /// `<call-info>`: the SIP dialog.
    pub call_info: Option<SipDialog>,
}

words! {
    /// How far an endpoint is.
    EndpointStatus {
        /// Not there yet, for reasons of policy.
        Pending = "pending",
        /// The focus calls it.
        DialingOut = "dialing-out",
        /// It calls the focus.
        DialingIn = "dialing-in",
        /// It rings.
        Alerting = "alerting",
        /// On hold.
        OnHold = "on-hold",
        /// In.
        Connected = "connected",
        /// Muted by the focus.
        MutedViaFocus = "muted-via-focus",
        /// On its way out.
        Disconnecting = "disconnecting",
        /// Out.
        Disconnected = "disconnected",
    }
}

words! {
    /// How an endpoint came in.
    JoiningMethod {
        /// It called.
        DialedIn = "dialed-in",
        /// It was called.
        DialedOut = "dialed-out",
        /// It is the focus.
        FocusOwner = "focus-owner",
    }
}

words! {
    /// How an endpoint went out.
    DisconnectionMethod {
        /// It left.
        Departed = "departed",
        /// It was thrown out.
        Booted = "booted",
        /// It failed.
        Failed = "failed",
        /// It was busy.
        Busy = "busy",
    }
}

/// `<media>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// `id`: its key.
    pub id: String,
    /// `<display-text>`.
    pub display_text: Option<String>,
    /// `<type>`.
    pub kind: Option<String>,
    /// `<label>`.
    pub label: Option<String>,
    /// `<src-id>`.
    pub src_id: Option<String>,
    /// `<status>`: a direction.
    pub status: Option<String>,
}

/// `<sip>` of `<call-info>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipDialog {
    /// `<display-text>`.
    pub display_text: Option<String>,
    /// `<call-id>`.
    pub call_id: String,
    /// `<from-tag>`.
    pub from_tag: String,
    /// `<to-tag>`.
    pub to_tag: String,
}

#[cfg(test)]
mod tests;
