//! The users of a server: who they are, how they prove it, what they want done with what comes for them.

use super::fields::{self, Field, Lines, list, text, word, word_for};
use super::policy::uri;
use super::value::{ConfigError, Value};
use cpm_auth::{Account, HashFunction, Secret};
use cpm_base::Sensitive;
use cpm_core::outside::Preferences;
use cpm_sip::Uri;
use cpm_xml::XmlError;
use cpm_xml::access_policy::Wish;
use cpm_xml::ruleset::{Rule, Ruleset};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserConfig {
    /// The address of record; empty until it is read.
    pub address: Option<Uri>,
    /// Further addresses, such as a telephone number.
    pub also: Vec<Uri>,
    /// The name for the password.
    pub username: String,
    /// The password. `Debug` does not show it.
    pub password: Hidden,
    /// In place of the password: its hashes with name and realm.
    pub ha1_md5: Hidden,
    /// The other of them.
    pub ha1_sha256: Hidden,
    /// Senders from whom nothing is taken.
    pub blacklist: Vec<Uri>,
    /// What is done with messages.
    pub wishes: Vec<Wish>,
    /// Where to, for [`Wish::Forward`].
    pub forward_to: Option<Uri>,
    /// A document in the place of both.
    pub access_policy: Option<PathBuf>,
    /// The active profiles of devices.
    pub profiles: Option<PathBuf>,
    /// A resource list in the place of `blacklist`.
    pub blacklist_file: Option<PathBuf>,
    /// Where it stands.
    pub(super) lines: Lines,
}

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden(String);

impl Hidden {
    /// Hides a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Hidden(text.to_owned())
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "[redacted]" })
    }
}

/// What stands behind `allow-` in the names of the wishes.
const WISHES: &[(&str, Wish)] = &[
    ("reject-invite", Wish::RejectInvite),
    ("do-not-disturb", Wish::DoNotDisturb),
    ("interwork", Wish::Interwork),
    ("deliver-and-interwork", Wish::DeliverAndInterwork),
    ("store", Wish::Store),
    ("forward", Wish::Forward),
    ("defer", Wish::Defer),
    ("offline-storage", Wish::OfflineStorage),
    ("push", Wish::Push),
    ("pull", Wish::Pull),
    ("deliver-reference-media", Wish::DeliverReferenceMedia),
];

fn optional(uri: Option<&Uri>) -> Value {
    Value::text(uri.map(Uri::to_string).unwrap_or_default())
}

fn file(value: &Value) -> Result<Option<PathBuf>, String> {
    text(value).map(|path| Some(path).filter(|path| !path.is_empty()).map(PathBuf::from))
}

fn path(path: Option<&PathBuf>) -> Value {
    Value::text(path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default())
}

/// A hash in hexadecimal of that many digits, or nothing.
fn hash(value: &Value, digits: usize) -> Result<Hidden, String> {
    let text = text(value)?.to_ascii_lowercase();
    let fits = text.is_empty() || (text.len() == digits && text.bytes().all(|d| d.is_ascii_hexdigit()));
    // What stands there is not repeated: it may be a password.
    if fits { Ok(Hidden(text)) } else { Err(format!("{digits} hexadecimal digits are wanted")) }
}

pub(super) const FIELDS: &[Field<UserConfig>] = &[
    Field {
        key: "address",
        about: "The address.",
        get: |user| optional(user.address.as_ref()),
        set: |user, value| uri(value).map(|address| user.address = Some(address)),
    },
    Field {
        key: "also",
        about: "Further addresses of the same user, such as a telephone number.",
        get: |user| Value::texts(user.also.iter().map(Uri::to_string)),
        set: |user, value| list(value, uri).map(|also| user.also = also),
    },
    Field {
        key: "username",
        about: "The name that belongs to the password. Empty: what stands before the @ of the address.",
        get: |user| Value::text(&user.username),
        set: |user, value| text(value).map(|name| user.username = name),
    },
    Field {
        key: "password",
        about: "The password...",
        get: |user| Value::text(&user.password.0),
        set: |user, value| text(value).map(|password| user.password = Hidden(password)),
    },
    Field {
        key: "ha1_md5",
        about: "... or, so that it does not stand here, the MD5 of \"username:realm:password\" in hexadecimal",
        get: |user| Value::text(&user.ha1_md5.0),
        set: |user, value| hash(value, 32).map(|hash| user.ha1_md5 = hash),
    },
    Field {
        key: "ha1_sha256",
        about: "and the SHA-256 of the same; one of them is enough for devices that know its algorithm.",
        get: |user| Value::text(&user.ha1_sha256.0),
        set: |user, value| hash(value, 64).map(|hash| user.ha1_sha256 = hash),
    },
    Field {
        key: "blacklist",
        about: "Addresses from which the user takes no messages.",
        get: |user| Value::texts(user.blacklist.iter().map(Uri::to_string)),
        set: |user, value| list(value, uri).map(|uris| user.blacklist = uris),
    },
    Field {
        key: "wishes",
        about:
            "What the user wants done with messages that come for him: \"reject-invite\", \"do-not-disturb\",
            \"interwork\", \"deliver-and-interwork\", \"store\", \"forward\", \"defer\",
            \"offline-storage\", \"push\", \"pull\", \"deliver-reference-media\". None: delivered.",
        get: |user| Value::List(user.wishes.iter().map(|wish| word_for(wish, WISHES)).collect()),
        set: |user, value| list(value, |one| word(one, WISHES)).map(|wishes| user.wishes = wishes),
    },
    Field {
        key: "forward_to",
        about: "Where to, with the wish \"forward\".",
        get: |user| optional(user.forward_to.as_ref()),
        set: |user, value| {
            user.forward_to = if text(value)?.is_empty() { None } else { Some(uri(value)?) };
            Ok(())
        },
    },
    Field {
        key: "access_policy",
        about: "A file with the user access policy (a common-policy document), in the place of wishes.",
        get: |user| path(user.access_policy.as_ref()),
        set: |user, value| file(value).map(|file| user.access_policy = file),
    },
    Field {
        key: "profiles",
        about: "A file that says which profile is active on which device.",
        get: |user| path(user.profiles.as_ref()),
        set: |user, value| file(value).map(|file| user.profiles = file),
    },
    Field {
        key: "blacklist_file",
        about: "A file with a resource list, in the place of blacklist.",
        get: |user| path(user.blacklist_file.as_ref()),
        set: |user, value| file(value).map(|file| user.blacklist_file = file),
    },
];

/// The user that explains the keys.
pub(super) fn example() -> UserConfig {
    UserConfig {
        address: Uri::parse("sip:alice@cpm.localhost").ok(),
        also: Uri::parse("tel:+15550001").into_iter().collect(),
        username: "alice".to_owned(),
        password: Hidden::new("wonderland"),
        ..UserConfig::default()
    }
}

/// Reads all `[[user]]` sections.
pub(super) fn read(line: usize, value: &Value) -> Result<Vec<UserConfig>, ConfigError> {
    let Value::List(sections) = value else {
        return Err(ConfigError::new(line, "users stand in [[user]] sections, with two brackets"));
    };
    let mut users = Vec::new();
    for section in sections {
        let Value::Table(line, entries) = section else {
            return Err(ConfigError::new(line, "users stand in [[user]] sections, with two brackets"));
        };
        let mut user = UserConfig { lines: Lines::new(*line, entries), ..UserConfig::default() };
        fields::read("user", FIELDS, &mut user, entries)?;
        if user.address.is_none() {
            return Err(ConfigError::new(*line, "user: address is missing"));
        }
        users.push(user);
    }
    Ok(users)
}

/// Nobody has another's address or name; who has to prove who he is can.
pub(super) fn validate(users: &[UserConfig], authentication: bool) -> Result<(), ConfigError> {
    let mut addresses: BTreeMap<String, usize> = BTreeMap::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let line_of = |index: usize| users.get(index).map_or(0, |user| user.lines.of("address"));
    for (index, user) in users.iter().enumerate() {
        for (address, key) in user.identities_by_key() {
            let other = addresses.insert(address.address_key(), index).filter(|other| *other != index);
            if let Some(other) = other {
                let what =
                    format!("user.{key}: {address} belongs to the user of line {}, too", line_of(other));
                return Err(ConfigError::new(user.lines.of(key), what));
            }
        }
        if let Some(other) = names.insert(user.name(), index) {
            let key = if user.username.is_empty() { "address" } else { "username" };
            let name = user.name();
            let what = format!("user.{key}: the user of line {} has the name {name:?}, too", line_of(other));
            return Err(ConfigError::new(user.lines.of(key), what));
        }
        if user.wishes.contains(&Wish::Forward) && user.forward_to.is_none() && user.access_policy.is_none() {
            let what = "user.wishes: \"forward\" needs forward_to".to_owned();
            return Err(ConfigError::new(user.lines.of("wishes"), what));
        }
        if authentication && user.secrets().is_empty() {
            let what = format!("user {}: neither password nor ha1_md5 nor ha1_sha256", user.name());
            return Err(ConfigError::new(user.lines.of("address"), what));
        }
    }
    Ok(())
}

impl UserConfig {
    /// All addresses, that of record first.
    pub(super) fn identities(&self) -> impl Iterator<Item = &Uri> {
        self.address.iter().chain(&self.also)
    }

    /// The same, with the keys that they stand under.
    fn identities_by_key(&self) -> impl Iterator<Item = (&Uri, &'static str)> {
        let address = self.address.iter().map(|address| (address, "address"));
        address.chain(self.also.iter().map(|address| (address, "also")))
    }

    /// The name for the password.
    pub(super) fn name(&self) -> &str {
        if !self.username.is_empty() {
            return &self.username;
        }
        let text = self.address.as_ref().map_or("", |address| address.as_str());
        let (_, rest) = text.split_once(':').unwrap_or(("", text));
        rest.split(['@', ';']).next().unwrap_or(rest)
    }

    fn secrets(&self) -> Vec<Secret> {
        let hashed =
            |hash, digest: &Hidden| Secret::Hashed { hash, digest: Sensitive::new(digest.0.clone()) };
        let mut secrets = Vec::new();
        if !self.password.0.is_empty() {
            secrets.push(Secret::password(&self.password.0));
        }
        for (hash, digest) in [(HashFunction::Sha256, &self.ha1_sha256), (HashFunction::Md5, &self.ha1_md5)] {
            if !digest.0.is_empty() {
                secrets.push(hashed(hash, digest));
            }
        }
        secrets
    }

    /// What proves who the user is.
    ///
    /// # Errors
    /// Name or realm cannot be written into a header field.
    pub(super) fn accounts(&self, realm: &str) -> Result<Vec<(Uri, Account)>, ConfigError> {
        let Some(address) = &self.address else { return Ok(Vec::new()) };
        let account =
            |secret| Account::new(self.name(), realm, secret).map(|account| (address.clone(), account));
        self.secrets()
            .into_iter()
            .map(|secret| {
                account(secret).map_err(|error| {
                    let line = self.lines.last_of(&["address", "username"]);
                    ConfigError::new(line, format!("user {address}: {error}"))
                })
            })
            .collect()
    }

    /// What the user wants done with what comes.
    ///
    /// # Errors
    /// A file cannot be read, or is no such document.
    pub(super) fn preferences(&self) -> Result<Preferences, ConfigError> {
        type Read<'a> = &'a dyn Fn(&[u8]) -> Result<Preferences, XmlError>;
        let document = |key: &str, file: &Option<PathBuf>, read: Read<'_>| {
            let Some(path) = file else { return Ok(Preferences::default()) };
            let wrong = |why: &dyn std::fmt::Display| {
                ConfigError::new(self.lines.of(key), format!("user.{key}: {}: {why}", path.display()))
            };
            let octets = std::fs::read(path).map_err(|error| wrong(&error))?;
            read(&octets).map_err(|error| wrong(&error))
        };
        let limits = cpm_xml::Limits::default();
        let from = |policy: &[u8], profiles: &[u8], blacklist: &[u8]| {
            Preferences::from_documents(policy, profiles, blacklist, &limits)
        };
        let mut preferences = document("access_policy", &self.access_policy, &|read| from(read, &[], &[]))?;
        preferences.profiles = document("profiles", &self.profiles, &|read| from(&[], read, &[]))?.profiles;
        let listed = document("blacklist_file", &self.blacklist_file, &|read| from(&[], &[], read))?;
        preferences.blacklist = listed.blacklist;
        if preferences.access_policy.is_none() && !self.wishes.is_empty() {
            preferences.access_policy = Some(self.rules());
        }
        preferences.blacklist.extend(self.blacklist.iter().map(Uri::address_key));
        Ok(preferences)
    }

    /// The wishes as a document has them.
    fn rules(&self) -> Ruleset {
        let mut rule = Rule { id: "wishes".to_owned(), ..Rule::default() };
        rule.conditions.services = Some(vec![cpm_xml::access_policy::ENABLER.to_owned()]);
        rule.conditions.media = Some(vec!["standalone-message".to_owned()]);
        rule = self.wishes.iter().fold(rule, |rule, wish| rule.with_wish(*wish));
        if let Some(address) = &self.forward_to {
            rule = rule.with_action("forward-to", address.as_str());
        }
        Ruleset { rules: vec![rule] }
    }
}
