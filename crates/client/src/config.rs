//! What a client is made with.

use core::fmt;
use core::net::SocketAddr;
use cpm_core::feature::CpmFeature;
use cpm_sip::{SipUri, Uri};
use std::collections::BTreeSet;

/// Identity, place and settings of a client.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The user's CPM Address: From of requests, To of REGISTER.
    pub address: Uri,
    /// The user's name for this client: display-name of the registered Contact (TS 7.1-6).
    pub display_name: Option<String>,
    /// The user's own name, sent with his address (TS 6.3); anonymous messages do not have it.
    pub user_name: Option<String>,
    /// Languages that the user reads, the one that he likes best first (RFC 5646 tags): what the network has to say comes in
    /// one of them (TS 6.4.1). At most 9 are sent.
    pub languages: Vec<String>,
    /// The CPM Controlling Function for ad-hoc groups (TS Appendix F); `None`: there are none.
    pub controlling_function: Option<Uri>,
    /// The greatest number of recipients in an ad-hoc group (TS Appendix F). Default 100.
    pub max_adhoc_group: usize,
    /// Where to register (Request-URI of REGISTER); `None` for a client that never registers.
    pub registrar: Option<Uri>,
    /// Where requests go that have no Route (a proxy of the SIP/IP core, RFC 3261 §8.1.2); `None`: to their Request-URI.
    pub outbound: Option<cpm_ua::NextHop>,
    /// Where SIP requests reach this client.
    pub contact: SipUri,
    /// Instance identifier of this client, a URN (RFC 5626 §4.1): `urn:uuid:…`.
    pub instance: String,
    /// What it can do; registered as feature tags (TS 7.1-2).
    pub features: Vec<CpmFeature>,
    /// Lifetime asked for when registering, in seconds.
    pub expires: u32,
    /// A registrar that gives no GRUU (RFC 5627) refuses the registration.
    pub require_gruu: bool,
    /// When the registration is refreshed, and tried again after a failure.
    pub refresh: cpm_ua::RefreshPolicy,
    /// Where MSRP connections reach this client.
    pub msrp: SocketAddr,
    /// Media types that can be shown to the user: `type/subtype`, `type/*` or `*`.
    pub accept: Vec<String>,
    /// [Address keys](Uri::address_key) of those whom the user knows: they are told of deliveries and readings without a
    /// question ([`Settings::strangers`]). Changed later by [`crate::Client::set_contacts`].
    pub contacts: BTreeSet<String>,
    /// The device's settings.
    pub settings: Settings,
    /// Limits.
    pub limits: Limits,
    /// The client's own product token behind `CPM-client/OMA2.1`; may be empty.
    pub product: String,
}

/// Settings of the device (TS 5.4.1-2, 5.4.2-2: "allowed by local device's settings").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Delivery notifications are sent when asked for. Default: yes.
    pub delivery_reports: bool,
    /// Read reports are sent when asked for and the user has read. Default: no (threat E7: who reads when is told to
    /// nobody before the user wants it).
    pub display_reports: bool,
    /// What senders are told who are none of [`ClientConfig::contacts`]. Default: nothing before the user allows it.
    pub strangers: Strangers,
    /// Leniency: notifications go to senders, and are taken from senders, whom only the From header field names. For a
    /// core that asserts no identities, or none between two clients: whoever can write a From can have notifications sent
    /// to others, and invent those about messages of this user (threats E5, E6). Default: no.
    pub unasserted_senders: bool,
    /// Leniency: a message/cpim body is taken as a CPM message although no Accept-Contact names a CPM feature.
    pub accept_untagged: bool,
    /// Leniency: CPIM messages are read with the deviations that are seen in the field ([`cpm_cpim::Leniency::field`]).
    pub tolerant_cpim: bool,
}

/// What somebody is told whom the user does not know (threat E7: notifications tell strangers when a device is awake).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strangers {
    /// What contacts are told.
    Report,
    /// Nothing, until the user allows it for a message ([`crate::ClientEvent::ConsentWanted`]).
    Ask,
    /// Nothing.
    Silent,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            delivery_reports: true,
            display_reports: false,
            strangers: Strangers::Ask,
            unasserted_senders: false,
            accept_untagged: true,
            tolerant_cpim: true,
        }
    }
}

/// What a peer can make a client hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a large message, either way. Default 10 MiB.
    pub max_message: u64,
    /// Large messages under way at once, both ways. Default 16.
    pub max_sessions: usize,
    /// Sent messages whose reports are still recognised; the oldest is forgotten first. Default 4,096.
    pub max_sent: usize,
    /// Messages that were sent and have no answer yet, those included that wait for the store. Default 256.
    pub max_unanswered: usize,
    /// Received messages that can still be marked read, and whose copies are recognised. Default 4,096.
    pub max_received: usize,
    /// Received messages that wait for the store. Default 256.
    pub max_storing: usize,
    /// Disposition notifications that one peer is sent in a minute; more wait (threat E7). Default 10.
    pub max_reports_per_minute: usize,
    /// Requests of this client that wait for their answer before one more disposition notification goes out; at most
    /// 1,024 notifications wait or are on their way ([`cpm_core::disposition::OwedLimits`]). Default 4,096.
    pub max_reports: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_message: 10 * 1024 * 1024,
            max_sessions: 16,
            max_sent: 4096,
            max_unanswered: 256,
            max_received: 4096,
            max_storing: 256,
            max_reports_per_minute: 10,
            max_reports: 4096,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The instance identifier is no URN.
    Instance,
    /// A value holds characters that cannot stand in a header field; the text names it.
    NotAHeaderValue(&'static str),
    /// A limit is zero; the text names it.
    ZeroLimit(&'static str),
    /// The endpoints refuse their part.
    Node(cpm_core::NodeConfigError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Instance => f.write_str("the instance identifier is no URN"),
            ConfigError::NotAHeaderValue(name) => {
                write!(f, "{name} holds a character that no header field allows")
            }
            ConfigError::ZeroLimit(name) => write!(f, "the limit {name} is zero"),
            ConfigError::Node(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ConfigError {}

impl ClientConfig {
    /// A client of `address` at `contact`, that can do pager and large messages, with default settings and limits.
    #[must_use]
    pub fn new(address: Uri, contact: SipUri, msrp: SocketAddr, instance: &str) -> Self {
        ClientConfig {
            address,
            display_name: None,
            user_name: None,
            languages: Vec::new(),
            controlling_function: None,
            max_adhoc_group: 100,
            registrar: None,
            outbound: None,
            contact,
            instance: instance.to_owned(),
            features: vec![CpmFeature::PagerMessage, CpmFeature::LargeMessage],
            expires: 3600,
            require_gruu: false,
            refresh: cpm_ua::RefreshPolicy::default(),
            msrp,
            accept: vec!["*".to_owned()],
            contacts: BTreeSet::new(),
            settings: Settings::default(),
            limits: Limits::default(),
            product: String::new(),
        }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The instance identifier is no URN, a text cannot stand in a header field, or a limit is zero.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let urn = self.instance.len() <= 256
            && self.instance.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"))
            && self.instance.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"\\".contains(&b));
        if !urn {
            return Err(ConfigError::Instance);
        }
        if self.product.bytes().any(|b| b.is_ascii_control()) {
            return Err(ConfigError::NotAHeaderValue("product"));
        }
        if self.display_name.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(ConfigError::NotAHeaderValue("display_name"));
        }
        if self.user_name.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(ConfigError::NotAHeaderValue("user_name"));
        }
        if !self.languages.iter().all(|tag| is_language(tag)) {
            return Err(ConfigError::NotAHeaderValue("languages"));
        }
        let limits = [
            ("max_message", self.limits.max_message == 0),
            ("max_sessions", self.limits.max_sessions == 0),
            ("max_sent", self.limits.max_sent == 0),
            ("max_unanswered", self.limits.max_unanswered == 0),
            ("max_adhoc_group", self.max_adhoc_group == 0),
            ("max_received", self.limits.max_received == 0),
            ("max_storing", self.limits.max_storing == 0),
            ("max_reports", self.limits.max_reports == 0),
            ("max_reports_per_minute", self.limits.max_reports_per_minute == 0),
        ];
        match limits.into_iter().find(|(_, zero)| *zero) {
            Some((name, _)) => Err(ConfigError::ZeroLimit(name)),
            None => Ok(()),
        }
    }
}

/// RFC 3261 §25.1, language-tag: subtags of one to eight letters, behind the first one digits too.
fn is_language(tag: &str) -> bool {
    let fits =
        |subtag: &str| matches!(subtag.len(), 1..=8) && subtag.bytes().all(|b| b.is_ascii_alphanumeric());
    let first = tag.split('-').next().unwrap_or_default();
    tag.split('-').all(fits) && first.bytes().all(|b| b.is_ascii_alphabetic())
}
