//! What the service provider decides: every policy question of pager messages and their notifications as a named field.

use crate::Content;
use core::fmt;
use core::time::Duration;
use cpm_core::feature::CpmFeature;
use cpm_sip::{SipUri, StatusCode};
use std::collections::BTreeSet;

/// The longest that one question to the host may take: three of them, one after the other, fit into the 64*T1 that the
/// sender of a MESSAGE waits (RFC 3261 §17.1.2).
const MAX_QUERY_TIME: Duration = Duration::from_secs(9);

/// How long the sender of a MESSAGE waits: 64*T1.
const SENDER_PATIENCE: Duration = Duration::from_secs(32);

/// The most octets of a message in pager mode (TS 8.2.1.1-8, 7.2.1.3-4).
pub(crate) const MAX_PAGER: usize = 1_300;

/// The policy of a Participating Function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    // --- Both roles.
    /// Which OMA CPM releases, `(major, minor)`, a User-Agent has to name (TS 8.2.1.1-2, 8.3.1.1-1, 6.6); one that names
    /// none is none of them. Default `None`: any, named or not.
    pub releases: Option<Vec<(u16, u16)>>,
    /// What happens to a P-Asserted-Service that is none of pager messages (TS 8.2.1.1-7.i.2, 8.3.1.1-12.c). Default
    /// [`UnknownService::Pass`].
    pub unknown_service: UnknownService,
    /// Which services a request does not get whose Accept-Contact has more than its CPM feature in it (TS 8.2, 8.3).
    /// Default: none is skipped.
    pub skipped: Skipped,
    /// Where the interworking function (ISF) is, to which requests go directly (TS 6.5). Default `None`: there is none.
    pub isf: Option<SipUri>,
    /// When messages are recorded in the message store of the user (TS 8.2.1.1-6, 8.3.1.1-5). Default
    /// [`Recording::Wish`].
    pub recording: Recording,
    /// How long a question to the host may take before its answer counts as a failure; at most 9 s. Default 5 s.
    pub query_time: Duration,

    // --- Registration (TS 8.1).
    /// When the registration of a user is subscribed to. Default [`RegSubscription::Always`].
    pub reg_subscription: RegSubscription,
    /// The lifetime in seconds that such a subscription asks for (TS 8.1.1-sub-3), at least 60. Default 600,000, that of a
    /// registration (3GPP TS 24.229 §5.1.1.2).
    pub reg_expires: u32,
    /// How long to wait before a subscription is tried again that failed or ended, at least 1 s; a Retry-After that is longer
    /// counts. Default 60 s.
    pub subscribe_retry: Duration,
    /// What becomes of a user without any device (TS 8.1.3). Default [`WithoutDevices::Unsubscribe`].
    pub without_devices: WithoutDevices,
    /// Whether a third-party REGISTER is answered only when the user is stored; 503 when the store fails. Default no: a node
    /// that is lost in between learns of the user at the next REGISTER.
    pub registration_stored_first: bool,
    /// Which device is the Primary Device (TS 6.6): the first mark that any device bears; of several devices that bear it, the
    /// one that the registrar names first. At most eight. Default: the device that registered `+g.3gpp.smsip`, since short
    /// messages are for the one with the subscription; no device when none did.
    pub primary: Vec<PrimaryMark>,
    /// Which capabilities (RFC 3840, Contact parameters) are kept of a device, besides CPM features: at most 16. Default
    /// `methods` and `+g.3gpp.smsip`.
    pub capabilities: Vec<String>,

    // --- Notifications (TS 8.2.4, 8.2.5, 8.3.4).
    /// How long it is remembered what was told of a message (TS 8.3.4-2.b), from the last time on; at least 1 min. Default
    /// 24 h.
    pub disposition_life: Duration,
    /// Whether the sender of a message is told on behalf of its recipient what became of it, when that was asked for and no
    /// device can tell (TS 8.2.5). Default yes.
    pub tell_on_behalf: bool,
    /// Releases `(major, minor)` of clients that make no delivery notifications about pager messages (TS 8.2.5-2). Default:
    /// none.
    pub releases_without_imdn: Vec<(u16, u16)>,
    /// How long it is tried to send a notification on behalf of a user; at least 1 min. Default 24 h.
    pub owed_life: Duration,
    /// How long notifications for a user are held, 1 s to 1 h, to reach the user's devices in fewer messages (TS 8.3.5-p3,
    /// RFC 5438 §8.3): those that say of messages that they were delivered or displayed, from one side, of one
    /// Conversation-ID and Contribution-ID, to a user who has a device that would get them now; a failure is told at once.
    /// Those that leave for other networks never are (TS 8.2.5-p4). Default `None`: each goes on by itself, at once.
    pub aggregation: Option<Duration>,
    /// How many octets the CPIM message of several notifications has at most, 1,300 to 65,536. Default 1,300 (two of them,
    /// mostly); more is for who knows that no hop to the devices is UDP (RFC 3428 §8).
    pub aggregated_octets: usize,

    // --- Originating (TS 8.2).
    /// Whether a user who sends may be anonymous (TS 8.2.1.1-3). Default yes.
    pub anonymity_originating: bool,
    /// Who may not send messages at all (TS 8.2.1.1-1), by [address key](cpm_sip::Uri::address_key) of the served user or of
    /// any asserted identity; numbers as tel URIs.
    /// Default: nobody is barred.
    pub barred: BTreeSet<String>,
    /// What happens to a From, of the request or of the CPIM message, that is neither one of the asserted identities nor
    /// anonymous. Default [`ForeignSender::Rewrite`].
    pub foreign_sender: ForeignSender,
    /// After which answers of the core a message goes to the ISF (TS 8.2.1.1-8.A.iii): 4xx, 5xx or 6xx. Default 404, 488
    /// and 606; empty: after none.
    pub interwork_on: Vec<StatusCode>,
    /// The answer to a message of more than 1,300 octets, with what it refers to in it (TS 8.2.1.1-8): it would have to
    /// go on as a large message, and does not. 4xx, 5xx or 6xx; default 513, which says what is wrong.
    pub too_large: StatusCode,

    // --- Terminating (TS 8.3).
    /// Whether users may be sent something anonymously (TS 8.3.1.1-2). Default yes.
    pub anonymity_terminating: bool,
    /// Whether the preferences of the user are asked for at all (TS 8.3.1.1-3, -4, -5, -8.a, 8.2.1.1-6). Default yes.
    pub preferences: bool,
    /// What happens when they cannot be had. Default [`WithoutPreferences::Deliver`].
    pub without_preferences: WithoutPreferences,
    /// Whether the blacklist of the user counts (TS 8.3.1.1-3). Default yes.
    pub blacklist: bool,
    /// Whether a message also goes to the interworking function when no device that gets it is the Primary Device
    /// (TS 8.3.1.1-9.ii, -9.iii). Default no.
    pub primary_by_interworking: bool,
    /// Devices that do not get everything (TS 8.3.1.1-8.b.ii). Default: none.
    pub exclusions: Vec<DeviceRule>,
    /// Whether users who want it get references in the place of media (TS 8.3.1.4). Default yes.
    pub references: bool,
    /// How long references in the place of media are good (RFC 4483 §4). Default 30 days.
    pub reference_life: Duration,
    /// What is done about a message that could not be delivered, in this order; what cannot be done is passed over, and
    /// after the last the error goes back (TS 8.3.6). Default: the error alone. Deferral is not built: a message that would
    /// be deferred is answered 480, and told as failed where that was asked for.
    pub undelivered: Vec<Remedy>,
    /// How long the devices have to answer before the message counts as undelivered; a device that answers later has it
    /// all the same. Default `None`: as long as the sender waits, who then hears nothing (RFC 4320 §4.2). Otherwise less
    /// than 32 s.
    pub patience: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            releases: None,
            unknown_service: UnknownService::Pass,
            skipped: Skipped::default(),
            isf: None,
            recording: Recording::Wish,
            query_time: Duration::from_secs(5),
            reg_subscription: RegSubscription::Always,
            reg_expires: 600_000,
            subscribe_retry: Duration::from_secs(60),
            without_devices: WithoutDevices::Unsubscribe,
            registration_stored_first: false,
            primary: vec![PrimaryMark::Param { name: "+g.3gpp.smsip".to_owned(), value: None }],
            capabilities: vec!["methods".to_owned(), "+g.3gpp.smsip".to_owned()],
            disposition_life: Duration::from_secs(24 * 3_600),
            tell_on_behalf: true,
            releases_without_imdn: Vec::new(),
            owed_life: Duration::from_secs(24 * 3_600),
            aggregation: None,
            aggregated_octets: MAX_PAGER,
            anonymity_originating: true,
            barred: BTreeSet::new(),
            foreign_sender: ForeignSender::Rewrite,
            interwork_on: vec![
                StatusCode::NOT_FOUND,
                StatusCode::NOT_ACCEPTABLE_HERE,
                StatusCode::NOT_ACCEPTABLE_ANYWHERE,
            ],
            too_large: StatusCode::MESSAGE_TOO_LARGE,
            anonymity_terminating: true,
            preferences: true,
            without_preferences: WithoutPreferences::Deliver,
            blacklist: true,
            primary_by_interworking: false,
            exclusions: Vec::new(),
            references: true,
            reference_life: Duration::from_secs(30 * 24 * 3600),
            undelivered: vec![Remedy::Error],
            patience: None,
        }
    }
}

/// What happens to a P-Asserted-Service value that is not expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnknownService {
    /// The request goes on with it.
    Pass,
    /// 403.
    Refuse,
}

/// What happens to a From of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForeignSender {
    /// The asserted identity takes its place; the anonymous one, where the sender wants to be anonymous.
    Rewrite,
    /// 403.
    Refuse,
}

/// When messages are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recording {
    /// Never.
    Never,
    /// When the user's access policy says `<allow-offline-storage>`.
    Wish,
    /// Always.
    Always,
}

/// Services that a request of another application does not get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Skipped {
    /// Interworking.
    pub interworking: bool,
    /// Deferral.
    pub deferral: bool,
    /// The message store.
    pub storage: bool,
    /// The blacklist.
    pub blacklist: bool,
    /// User preferences.
    pub preferences: bool,
}

/// What happens when the preferences of a user cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WithoutPreferences {
    /// The message is delivered as if there were none.
    Deliver,
    /// 480, and the failure is told where that was asked for (TS 8.2.5-1).
    Refuse,
}

/// What is done about a message that could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// It is deferred (TS 8.3.6-1).
    Defer,
    /// It goes to the interworking function (TS 8.3.6-2).
    Interwork,
    /// The error goes back to its sender (TS 8.3.6-3).
    Error,
}

/// Devices that do not get some of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRule {
    /// Which of them: those that carry this; `None`: all.
    pub content: Option<Content>,
    /// And ask for this feature; `None`: any.
    pub feature: Option<CpmFeature>,
    /// Which devices.
    pub devices: DevicesOf,
}

/// Some of the devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DevicesOf {
    /// That with this instance, without angle brackets.
    Instance(String),
    /// The Primary Devices.
    Primary,
    /// All others.
    Secondary,
    /// Those that named no release of CPM.
    NoRelease,
}

/// When the registration of a user is subscribed to (TS 8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegSubscription {
    /// For every registered user.
    Always,
    /// When a third-party REGISTER does not include the response to the client's REGISTER, which tells all devices. A core
    /// that includes it each time need not be subscribed to.
    WhenNotTold,
}

/// What becomes of a user without any device (TS 8.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WithoutDevices {
    /// The subscription is ended and the user forgotten, until the core registers the user again.
    Unsubscribe,
    /// Both are kept, as long as the notifier keeps the subscription.
    Keep,
}

/// What tells a Primary Device from the others (TS 6.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PrimaryMark {
    /// It registered a Contact parameter: this value of it, or any.
    Param {
        /// The name, in any case.
        name: String,
        /// The value without quotes.
        value: Option<String>,
    },
    /// Its `+sip.instance` begins so, in any case: `urn:gsma:imei:`.
    Instance(String),
    /// It registered a CPM feature.
    Feature(CpmFeature),
    /// None is needed: the device that the registrar names first.
    First,
}

/// A policy that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy: {}: {}", self.field, self.why)
    }
}

impl core::error::Error for PolicyError {}

impl Policy {
    /// Whether the policy can be used.
    ///
    /// # Errors
    /// The first field that cannot.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let wrong = |field, why| Err(PolicyError { field, why });
        if self.query_time.is_zero() || self.query_time > MAX_QUERY_TIME {
            return wrong("query_time", "neither zero nor more than 9 s");
        }
        if self.releases.as_ref().is_some_and(Vec::is_empty) {
            return wrong("releases", "an empty list would refuse everybody");
        }
        if self.patience.is_some_and(|patience| patience.is_zero() || patience >= SENDER_PATIENCE) {
            return wrong("patience", "neither zero nor as long as the sender waits");
        }
        if !self.interwork_on.iter().copied().all(refuses) {
            return wrong("interwork_on", "only 4xx, 5xx and 6xx are errors");
        }
        if !refuses(self.too_large) {
            return wrong("too_large", "only 4xx, 5xx and 6xx refuse");
        }
        let minute = Duration::from_secs(60);
        if self.disposition_life < minute {
            return wrong("disposition_life", "less than 1 min");
        }
        if self.owed_life < minute {
            return wrong("owed_life", "less than 1 min");
        }
        let hour = Duration::from_secs(3_600);
        if self.aggregation.is_some_and(|window| window < Duration::from_secs(1) || window > hour) {
            return wrong("aggregation", "neither less than 1 s nor more than 1 h");
        }
        if !(MAX_PAGER..=65_536).contains(&self.aggregated_octets) {
            return wrong("aggregated_octets", "neither less than 1,300 nor more than 65,536");
        }
        if self.reg_expires < 60 {
            return wrong("reg_expires", "less than 60 s");
        }
        if self.subscribe_retry < Duration::from_secs(1) {
            return wrong("subscribe_retry", "less than 1 s");
        }
        if self.primary.len() > 8 {
            return wrong("primary", "more than eight marks");
        }
        if self.capabilities.len() > 16 {
            return wrong("capabilities", "more than 16");
        }
        Ok(())
    }
}

/// A status that refuses. 408 says nothing to the sender of a MESSAGE (RFC 4320 §4.2).
fn refuses(status: StatusCode) -> bool {
    status.class() >= 4 && status != StatusCode::REQUEST_TIMEOUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_named() {
        assert_eq!(Policy::default().validate(), Ok(()));
        let field = |policy: Policy| policy.validate().unwrap_err().field;
        let of = Policy::default;
        assert_eq!(field(Policy { query_time: Duration::ZERO, ..of() }), "query_time");
        assert_eq!(field(Policy { reg_expires: 59, ..of() }), "reg_expires");
        assert_eq!(field(Policy { subscribe_retry: Duration::from_millis(999), ..of() }), "subscribe_retry");
        assert_eq!(field(Policy { primary: vec![PrimaryMark::First; 9], ..of() }), "primary");
        assert_eq!(field(Policy { capabilities: vec![String::new(); 17], ..of() }), "capabilities");
        let almost = Duration::from_secs(59);
        assert_eq!(field(Policy { disposition_life: almost, ..of() }), "disposition_life");
        assert_eq!(field(Policy { owed_life: almost, ..of() }), "owed_life");
        let held = |window| Policy { aggregation: Some(Duration::from_millis(window)), ..of() };
        assert_eq!(held(1_000).validate().and(held(3_600_000).validate()), Ok(()));
        assert_eq!((field(held(999)), field(held(3_600_001))), ("aggregation", "aggregation"));
        for aggregated_octets in [1_299, 65_537] {
            assert_eq!(field(Policy { aggregated_octets, ..of() }), "aggregated_octets");
        }
        assert_eq!(field(Policy { query_time: Duration::from_secs(10), ..of() }), "query_time");
        let patience = |seconds| Policy { patience: Some(Duration::from_secs(seconds)), ..of() };
        assert_eq!(field(patience(0)), "patience");
        assert_eq!(field(patience(32)), "patience");
        assert_eq!(patience(31).validate(), Ok(()));
        assert_eq!(field(Policy { releases: Some(Vec::new()), ..of() }), "releases");
        for status in [StatusCode::OK, StatusCode::TRYING, StatusCode::REQUEST_TIMEOUT] {
            assert_eq!(field(Policy { interwork_on: vec![status], ..of() }), "interwork_on");
            assert_eq!(field(Policy { too_large: status, ..of() }), "too_large");
        }
    }
}
