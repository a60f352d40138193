//! The keys of `[policy]`: every field of the Participating Function's policy.

use super::fields::{self, Field, list, number, of_seconds, seconds, text, whole, word, word_for, yes_no};
use super::value::{ConfigError, Entry, Value};
use cpm_core::feature::CpmFeature;
use cpm_participating::{
    Content, DeviceRule, DevicesOf, ForeignSender, Policy, PrimaryMark, Recording, RegSubscription, Remedy,
    UnknownService, WithoutDevices, WithoutPreferences,
};
use cpm_sip::{SipUri, StatusCode, Uri};

const UNKNOWN_SERVICE: &[(&str, UnknownService)] =
    &[("pass", UnknownService::Pass), ("refuse", UnknownService::Refuse)];
const RECORDING: &[(&str, Recording)] =
    &[("never", Recording::Never), ("wish", Recording::Wish), ("always", Recording::Always)];
const REG_SUBSCRIPTION: &[(&str, RegSubscription)] =
    &[("always", RegSubscription::Always), ("when-not-told", RegSubscription::WhenNotTold)];
const WITHOUT_DEVICES: &[(&str, WithoutDevices)] =
    &[("unsubscribe", WithoutDevices::Unsubscribe), ("keep", WithoutDevices::Keep)];
const FOREIGN_SENDER: &[(&str, ForeignSender)] =
    &[("rewrite", ForeignSender::Rewrite), ("refuse", ForeignSender::Refuse)];
const WITHOUT_PREFERENCES: &[(&str, WithoutPreferences)] =
    &[("deliver", WithoutPreferences::Deliver), ("refuse", WithoutPreferences::Refuse)];
const REMEDY: &[(&str, Remedy)] =
    &[("defer", Remedy::Defer), ("interwork", Remedy::Interwork), ("error", Remedy::Error)];
const CONTENT: &[(&str, Option<Content>)] =
    &[("any", None), ("message", Some(Content::Message)), ("disposition", Some(Content::Disposition))];
const FEATURES: &[(&str, CpmFeature)] = &[
    ("msg", CpmFeature::PagerMessage),
    ("largemsg", CpmFeature::LargeMessage),
    ("filetransfer", CpmFeature::FileTransfer),
    ("session", CpmFeature::Session),
    ("deferred", CpmFeature::Deferred),
    ("systemmsg", CpmFeature::SystemMessage),
];
const SKIPPED: [&str; 5] = ["interworking", "deferral", "storage", "blacklist", "preferences"];

pub(super) const FIELDS: &[Field<Policy>] = &[
    Field {
        key: "releases",
        about:
            "Which releases of CPM a User-Agent has to name, such as \"2.1\"; one that names none is none of
            them. Empty: any, named or not.",
        get: |policy| {
            let releases = policy.releases.iter().flatten();
            Value::texts(releases.map(release_text))
        },
        set: |policy, value| {
            let releases = list(value, release)?;
            policy.releases = Some(releases).filter(|releases| !releases.is_empty());
            Ok(())
        },
    },
    Field {
        key: "unknown_service",
        about: "What happens to a request that asserts a service which is none of pager messages: \"pass\" or
            \"refuse\" (403).",
        get: |policy| word_for(&policy.unknown_service, UNKNOWN_SERVICE),
        set: |policy, value| word(value, UNKNOWN_SERVICE).map(|word| policy.unknown_service = word),
    },
    Field {
        key: "skipped",
        about: "Which services a request of another application (with more than its CPM feature in
            Accept-Contact) does not get: any of \"interworking\", \"deferral\", \"storage\", \"blacklist\",
            \"preferences\".",
        get: |policy| {
            let skipped = &policy.skipped;
            let flags = [
                skipped.interworking,
                skipped.deferral,
                skipped.storage,
                skipped.blacklist,
                skipped.preferences,
            ];
            Value::texts(SKIPPED.into_iter().zip(flags).filter(|(_, flag)| *flag).map(|(name, _)| name))
        },
        set: |policy, value| {
            let names = list(value, |name| word(name, &SKIPPED.map(|name| (name, name))))?;
            let has = |name: &str| names.contains(&name);
            policy.skipped.interworking = has("interworking");
            policy.skipped.deferral = has("deferral");
            policy.skipped.storage = has("storage");
            policy.skipped.blacklist = has("blacklist");
            policy.skipped.preferences = has("preferences");
            Ok(())
        },
    },
    Field {
        key: "isf",
        about: "The SIP URI of the interworking selection function, with ;transport=tcp: the UDP sockets are the core's, and
            what comes from an address there is the core's to judge. Empty: there is none.",
        get: |policy| {
            Value::text(policy.isf.as_ref().map(|uri| Uri::Sip(uri.clone()).to_string()).unwrap_or_default())
        },
        set: |policy, value| {
            policy.isf = match text(value)?.as_str() {
                "" => None,
                uri => Some(isf_uri(uri)?),
            };
            Ok(())
        },
    },
    Field {
        key: "recording",
        about:
            "When messages are recorded in the message store of a user: \"never\", \"wish\" (when his access
            policy allows offline storage), \"always\".",
        get: |policy| word_for(&policy.recording, RECORDING),
        set: |policy, value| word(value, RECORDING).map(|word| policy.recording = word),
    },
    Field {
        key: "query_seconds",
        about: "How long the store may take to answer before that counts as a failure, in seconds, 1 to 9.",
        get: |policy| of_seconds(policy.query_time),
        set: |policy, value| seconds(value, 1).map(|time| policy.query_time = time),
    },
    Field {
        key: "reg_subscription",
        about:
            "When the registration of a user is subscribed to at the core: \"always\", or \"when-not-told\"
            by the third-party REGISTER itself.",
        get: |policy| word_for(&policy.reg_subscription, REG_SUBSCRIPTION),
        set: |policy, value| word(value, REG_SUBSCRIPTION).map(|word| policy.reg_subscription = word),
    },
    Field {
        key: "reg_expires",
        about: "How long such a subscription is to last, in seconds, at least 60.",
        get: |policy| whole(policy.reg_expires),
        set: |policy, value| number(value, 60).map(|seconds| policy.reg_expires = seconds),
    },
    Field {
        key: "subscribe_retry_seconds",
        about: "How long to wait before one that failed or ended is tried again, in seconds.",
        get: |policy| of_seconds(policy.subscribe_retry),
        set: |policy, value| seconds(value, 1).map(|time| policy.subscribe_retry = time),
    },
    Field {
        key: "without_devices",
        about: "What becomes of a user without any device: \"unsubscribe\" (and forget him until he registers
            again) or \"keep\".",
        get: |policy| word_for(&policy.without_devices, WITHOUT_DEVICES),
        set: |policy, value| word(value, WITHOUT_DEVICES).map(|word| policy.without_devices = word),
    },
    Field {
        key: "registration_stored_first",
        about: "Whether a third-party REGISTER is answered only when the user is on disk.",
        get: |policy| Value::YesNo(policy.registration_stored_first),
        set: |policy, value| yes_no(value).map(|yes| policy.registration_stored_first = yes),
    },
    Field {
        key: "primary",
        about:
            "What marks the primary device of a user, best mark first, at most eight: \"first\" (the oldest
            registration), \"feature:msg\" (a CPM feature), \"instance:urn:gsma:imei:\" (how its instance
            begins), else a Contact parameter, with its value (\"+sip.rendering=yes\") or any.",
        get: |policy| Value::texts(policy.primary.iter().map(mark_text)),
        set: |policy, value| list(value, mark).map(|marks| policy.primary = marks),
    },
    Field {
        key: "capabilities",
        about: "Which capabilities (Contact parameters) are kept of a device beside CPM features, at most 16.",
        get: |policy| Value::texts(policy.capabilities.clone()),
        set: |policy, value| list(value, text).map(|names| policy.capabilities = names),
    },
    Field {
        key: "disposition_seconds",
        about: "How long it is remembered what was told of a message, in seconds, at least 60.",
        get: |policy| of_seconds(policy.disposition_life),
        set: |policy, value| seconds(value, 60).map(|time| policy.disposition_life = time),
    },
    Field {
        key: "tell_on_behalf",
        about: "Whether the sender of a message is told on behalf of its recipient what became of it, when he asked
            and no device can tell.",
        get: |policy| Value::YesNo(policy.tell_on_behalf),
        set: |policy, value| yes_no(value).map(|yes| policy.tell_on_behalf = yes),
    },
    Field {
        key: "releases_without_imdn",
        about: "Releases of clients that make no delivery notifications about pager messages, such as \"1.0\".",
        get: |policy| Value::texts(policy.releases_without_imdn.iter().map(release_text)),
        set: |policy, value| list(value, release).map(|releases| policy.releases_without_imdn = releases),
    },
    Field {
        key: "owed_seconds",
        about: "How long it is tried to send a notification on behalf of a user, in seconds, at least 60.",
        get: |policy| of_seconds(policy.owed_life),
        set: |policy, value| seconds(value, 60).map(|time| policy.owed_life = time),
    },
    Field {
        key: "aggregate_seconds",
        about: "How long notifications for a user are held to reach his devices in fewer messages, in seconds, at most
            3600: those of deliveries and readings from one side about one contribution. What failed is told at once. 0:
            each goes on by itself.",
        get: |policy| of_seconds(policy.aggregation.unwrap_or_default()),
        set: |policy, value| {
            seconds(value, 0).map(|time| policy.aggregation = Some(time).filter(|time| !time.is_zero()))
        },
    },
    Field {
        key: "aggregate_octets",
        about: "How many octets such a message has at most, 1300 to 65536; more than 1300 only where no device is reached
            over UDP.",
        get: |policy| whole(policy.aggregated_octets),
        set: |policy, value| number(value, 1_300).map(|octets| policy.aggregated_octets = octets),
    },
    Field {
        key: "anonymity_originating",
        about: "Whether a user who sends may be anonymous; otherwise 403 with Warning 119.",
        get: |policy| Value::YesNo(policy.anonymity_originating),
        set: |policy, value| yes_no(value).map(|yes| policy.anonymity_originating = yes),
    },
    Field {
        key: "barred",
        about: "Addresses of those who may not send messages at all.",
        get: |policy| Value::texts(policy.barred.iter().cloned()),
        set: |policy, value| {
            policy.barred = list(value, |one| uri(one).map(|uri| uri.address_key()))?.into_iter().collect();
            Ok(())
        },
    },
    Field {
        key: "foreign_sender",
        about:
            "What happens to a From that is neither the sender's nor anonymous: \"rewrite\" it or \"refuse\"
            (403).",
        get: |policy| word_for(&policy.foreign_sender, FOREIGN_SENDER),
        set: |policy, value| word(value, FOREIGN_SENDER).map(|word| policy.foreign_sender = word),
    },
    Field {
        key: "interwork_on",
        about: "After which answers a message goes to the interworking selection function.",
        get: |policy| Value::List(policy.interwork_on.iter().map(|status| whole(status.as_u16())).collect()),
        set: |policy, value| list(value, status).map(|statuses| policy.interwork_on = statuses),
    },
    Field {
        key: "too_large",
        about: "The answer to a pager message that would have to go on as a large message.",
        get: |policy| whole(policy.too_large.as_u16()),
        set: |policy, value| status(value).map(|status| policy.too_large = status),
    },
    Field {
        key: "anonymity_terminating",
        about: "Whether users may be sent something anonymously; otherwise 403 with Warning 119.",
        get: |policy| Value::YesNo(policy.anonymity_terminating),
        set: |policy, value| yes_no(value).map(|yes| policy.anonymity_terminating = yes),
    },
    Field {
        key: "preferences",
        about: "Whether the preferences of users count at all.",
        get: |policy| Value::YesNo(policy.preferences),
        set: |policy, value| yes_no(value).map(|yes| policy.preferences = yes),
    },
    Field {
        key: "without_preferences",
        about: "What happens to a message when they cannot be had: \"deliver\" or \"refuse\" (480).",
        get: |policy| word_for(&policy.without_preferences, WITHOUT_PREFERENCES),
        set: |policy, value| word(value, WITHOUT_PREFERENCES).map(|word| policy.without_preferences = word),
    },
    Field {
        key: "blacklist",
        about: "Whether the blacklists of users count.",
        get: |policy| Value::YesNo(policy.blacklist),
        set: |policy, value| yes_no(value).map(|yes| policy.blacklist = yes),
    },
    Field {
        key: "primary_by_interworking",
        about:
            "Whether a message also goes to the interworking selection function when no primary device gets
            it.",
        get: |policy| Value::YesNo(policy.primary_by_interworking),
        set: |policy, value| yes_no(value).map(|yes| policy.primary_by_interworking = yes),
    },
    Field {
        key: "exclusions",
        about: "Devices that do not get everything, such as
            { content = \"disposition\", feature = \"msg\", devices = \"secondary\" }. content is \"any\",
            \"message\" or \"disposition\"; without feature it is any; devices are \"primary\",
            \"secondary\", \"no-release\" or the instance of one.",
        get: |policy| Value::List(policy.exclusions.iter().map(rule_value).collect()),
        set: |policy, value| list(value, rule).map(|rules| policy.exclusions = rules),
    },
    Field {
        key: "references",
        about: "Whether users who want it get references in the place of media.",
        get: |policy| Value::YesNo(policy.references),
        set: |policy, value| yes_no(value).map(|yes| policy.references = yes),
    },
    Field {
        key: "reference_seconds",
        about: "How long such references are good, in seconds.",
        get: |policy| of_seconds(policy.reference_life),
        set: |policy, value| seconds(value, 1).map(|time| policy.reference_life = time),
    },
    Field {
        key: "undelivered",
        about: "What is done about a message that could not be delivered, in this order: \"interwork\",
            \"defer\" (answered 480: deferral is not built), \"error\".",
        get: |policy| Value::List(policy.undelivered.iter().map(|remedy| word_for(remedy, REMEDY)).collect()),
        set: |policy, value| {
            list(value, |one| word(one, REMEDY)).map(|remedies| policy.undelivered = remedies)
        },
    },
    Field {
        key: "patience_seconds",
        about:
            "How long the devices have to answer before a message counts as undelivered, in seconds, at most
            31. 0: as long as its sender waits.",
        get: |policy| policy.patience.map_or(Value::Number(0), of_seconds),
        set: |policy, value| {
            policy.patience = Some(seconds(value, 0)?).filter(|time| !time.is_zero());
            Ok(())
        },
    },
];

fn release(value: &Value) -> Result<(u16, u16), String> {
    let text = text(value)?;
    let read = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    read.ok_or_else(|| format!("{text:?} is no release such as \"2.1\""))
}

fn release_text((major, minor): &(u16, u16)) -> String {
    format!("{major}.{minor}")
}

pub(super) fn uri(value: &Value) -> Result<Uri, String> {
    let text = text(value)?;
    Uri::parse(&text).map_err(|error| format!("{text:?}: {error}"))
}

/// Reads the entries of the section; the line of the first that cannot be used is named.
pub(super) fn read(policy: &mut Policy, entries: &[Entry]) -> Result<(), ConfigError> {
    for entry in entries {
        fields::read("policy", FIELDS, policy, std::slice::from_ref(entry))?;
        // None of what it looks at depends on another key.
        policy
            .validate()
            .map_err(|error| ConfigError::new(entry.line, format!("policy.{}: {}", entry.key, error.why)))?;
    }
    Ok(())
}

/// The function behind the core has connections alone (`crate::Linked`).
fn isf_uri(text: &str) -> Result<SipUri, String> {
    let uri = sip_uri(text)?;
    let tcp = uri.param("transport").is_some_and(|transport| transport.eq_ignore_ascii_case("tcp"));
    if tcp { Ok(uri) } else { Err(format!("{text:?} is not reached over TCP: it needs ;transport=tcp")) }
}

pub(super) fn sip_uri(text: &str) -> Result<SipUri, String> {
    match Uri::parse(text) {
        Ok(Uri::Sip(uri)) => Ok(uri),
        Ok(_) => Err(format!("{text:?} is no SIP URI")),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

fn status(value: &Value) -> Result<StatusCode, String> {
    let code = number::<u16>(value, 100)?;
    StatusCode::new(code).ok_or_else(|| format!("{code} is no status"))
}

fn feature(text: &str) -> Result<CpmFeature, String> {
    word(&Value::text(text), FEATURES)
}

fn mark(value: &Value) -> Result<PrimaryMark, String> {
    let text = text(value)?;
    Ok(match text.split_once(':') {
        Some(("feature", name)) => PrimaryMark::Feature(feature(name)?),
        Some(("instance", start)) => PrimaryMark::Instance(start.to_owned()),
        _ if text == "first" => PrimaryMark::First,
        _ => match text.split_once('=') {
            Some((name, value)) => {
                PrimaryMark::Param { name: name.to_owned(), value: Some(value.to_owned()) }
            }
            None => PrimaryMark::Param { name: text, value: None },
        },
    })
}

fn mark_text(mark: &PrimaryMark) -> String {
    match mark {
        PrimaryMark::First => "first".to_owned(),
        PrimaryMark::Instance(start) => format!("instance:{start}"),
        PrimaryMark::Feature(feature) => match word_for(feature, FEATURES) {
            Value::Text(name) => format!("feature:{name}"),
            _ => String::new(),
        },
        PrimaryMark::Param { name, value: None } => name.clone(),
        PrimaryMark::Param { name, value: Some(value) } => format!("{name}={value}"),
    }
}

fn rule(value: &Value) -> Result<DeviceRule, String> {
    let Value::Table(_, entries) = value else { return Err("a table in braces is wanted".to_owned()) };
    let mut rule = DeviceRule { content: None, feature: None, devices: DevicesOf::Secondary };
    let mut named = false;
    for Entry { key, value, .. } in entries {
        match key.as_str() {
            "content" => rule.content = word(value, CONTENT)?,
            "feature" => rule.feature = Some(word(value, FEATURES)?),
            "devices" => {
                named = true;
                rule.devices = match text(value)?.as_str() {
                    "primary" => DevicesOf::Primary,
                    "secondary" => DevicesOf::Secondary,
                    "no-release" => DevicesOf::NoRelease,
                    instance => DevicesOf::Instance(instance.to_owned()),
                };
            }
            other => return Err(format!("{other:?} is none of content, feature, devices")),
        }
    }
    if named { Ok(rule) } else { Err("devices says which they are, and is missing".to_owned()) }
}

fn rule_value(rule: &DeviceRule) -> Value {
    let entry = |key: &str, value| Entry { key: key.to_owned(), line: 0, value };
    let mut entries = vec![entry("content", word_for(&rule.content, CONTENT))];
    if let Some(feature) = &rule.feature {
        entries.push(entry("feature", word_for(feature, FEATURES)));
    }
    let devices = match &rule.devices {
        DevicesOf::Primary => "primary",
        DevicesOf::Secondary => "secondary",
        DevicesOf::NoRelease => "no-release",
        DevicesOf::Instance(instance) => instance,
    };
    entries.push(entry("devices", Value::text(devices)));
    Value::Table(0, entries)
}
