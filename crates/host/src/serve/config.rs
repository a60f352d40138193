//! The configuration of a server.

use super::fields::{
    self, Field, Lines, address, list, number, of_seconds, seconds, text, whole, word, word_for, yes_no,
};
use super::policy;
use super::users::{self, UserConfig};
use super::value::{self, ConfigError, Entry, Value};
use cpm_auth::Algorithm;
use cpm_participating::Policy;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// All that `cpm serve` can be told. [`Config::read`] reads a file; [`Config::print`] writes one that explains itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Where it listens.
    pub listen: ListenConfig,
    /// The SIP/IP core stand-in.
    pub core: CoreSettings,
    /// The Participating Function.
    pub policy: Policy,
    /// The store on disk.
    pub store: StoreConfig,
    /// Logs.
    pub log: LogConfig,
    /// The page with counters.
    pub metrics: MetricsConfig,
    /// Limits and times of the server itself.
    pub limits: LimitsConfig,
    /// The users.
    pub users: Vec<UserConfig>,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenConfig {
    /// SIP over UDP and TCP.
    pub sip: Vec<SocketAddr>,
    /// The address in the server's own URIs, where it listens on all.
    pub advertise: Option<IpAddr>,
}

/// The SIP/IP core stand-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreSettings {
    /// The realm of passwords.
    pub realm: String,
    /// Whether users prove who they are.
    pub authentication: bool,
    /// What they are offered for that, best first.
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce is taken.
    pub nonce_lifetime: Duration,
    /// Nonces alive at once.
    pub max_nonces: usize,
    /// The shortest registration.
    pub min_expires: Duration,
    /// The registration of those who wish for nothing.
    pub default_expires: Duration,
    /// The longest registration.
    pub max_expires: Duration,
    /// Devices of one user.
    pub max_devices: usize,
}

/// The store on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The file.
    pub path: PathBuf,
    /// The name of the message store in the URLs of what it keeps.
    pub host: String,
    /// Mebibytes from which on nothing more is taken in.
    pub max_mib: u64,
    /// Mebibytes of it in memory.
    pub cache_mib: usize,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// From which level on.
    pub level: LogLevel,
    /// How.
    pub format: LogFormat,
}

/// The levels of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What does not work.
    Error,
    /// What may not work soon.
    Warn,
    /// What the server does as a whole, and who registers.
    Info,
    /// Every request, by method, role and status.
    Debug,
    /// More.
    Trace,
}

/// The shapes of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines to read.
    Text,
    /// One JSON object in each line.
    Json,
}

/// The page with counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where; none: nowhere.
    pub listen: Option<SocketAddr>,
}

/// Limits and times of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one address.
    pub max_connections_per_address: usize,
    /// Peers over UDP that are remembered at once.
    pub max_udp_peers: usize,
    /// How long what is under way may take when the server is told to end.
    pub drain: Duration,
}

impl Default for ListenConfig {
    fn default() -> Self {
        ListenConfig { sip: vec![SocketAddr::from(([127, 0, 0, 1], 5060))], advertise: None }
    }
}

impl Default for CoreSettings {
    fn default() -> Self {
        CoreSettings {
            realm: "cpm.localhost".to_owned(),
            authentication: true,
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            nonce_lifetime: Duration::from_secs(300),
            max_nonces: 4_096,
            min_expires: Duration::from_secs(60),
            default_expires: Duration::from_secs(600),
            max_expires: Duration::from_secs(3_600),
            max_devices: 10,
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            path: PathBuf::from("cpm-store.redb"),
            host: "store.cpm.localhost".to_owned(),
            max_mib: 8_192,
            cache_mib: 16,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { level: LogLevel::Info, format: LogFormat::Text }
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        MetricsConfig { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))) }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            max_connections: 4_096,
            max_connections_per_address: 1_024,
            max_udp_peers: 65_536,
            drain: Duration::from_secs(5),
        }
    }
}

const ALGORITHMS: &[(&str, Algorithm)] =
    &[("SHA-256", Algorithm::Sha256), ("SHA-512-256", Algorithm::Sha512_256), ("MD5", Algorithm::Md5)];
const LEVELS: &[(&str, LogLevel)] = &[
    ("off", LogLevel::Off),
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

const LISTEN: &[Field<ListenConfig>] = &[
    Field {
        key: "sip",
        about: "Where SIP is taken, over UDP and TCP: addresses with ports. The first one is the server's own.",
        get: |listen| Value::texts(listen.sip.iter().map(ToString::to_string)),
        set: |listen, value| {
            listen.sip = list(value, address)?;
            if listen.sip.is_empty() { Err("at least one is wanted".to_owned()) } else { Ok(()) }
        },
    },
    Field {
        key: "advertise",
        about: "The address that users are told to use, when the first one above is 0.0.0.0 or [::]. Empty: that one
            itself.",
        get: |listen| Value::text(listen.advertise.map(|address| address.to_string()).unwrap_or_default()),
        set: |listen, value| {
            listen.advertise = match text(value)?.as_str() {
                "" => None,
                address => Some(address.parse().map_err(|_| format!("{address:?} is no address"))?),
            };
            Ok(())
        },
    },
];

const CORE: &[Field<CoreSettings>] = &[
    Field {
        key: "realm",
        about: "The realm that passwords are for.",
        get: |core| Value::text(&core.realm),
        set: |core, value| text(value).map(|realm| core.realm = realm),
    },
    Field {
        key: "authentication",
        about: "Whether users have to prove who they are, by digest. false believes everybody: for tests alone.",
        get: |core| Value::YesNo(core.authentication),
        set: |core, value| yes_no(value).map(|yes| core.authentication = yes),
    },
    Field {
        key: "algorithms",
        about: "The algorithms they are offered, best first: \"SHA-256\", \"SHA-512-256\", \"MD5\".",
        get: |core| Value::List(core.algorithms.iter().map(|one| word_for(one, ALGORITHMS)).collect()),
        set: |core, value| {
            core.algorithms = list(value, |one| word(one, ALGORITHMS))?;
            if core.algorithms.is_empty() { Err("at least one is wanted".to_owned()) } else { Ok(()) }
        },
    },
    Field {
        key: "nonce_seconds",
        about: "How long one challenge may be answered, in seconds.",
        get: |core| of_seconds(core.nonce_lifetime),
        set: |core, value| seconds(value, 1).map(|time| core.nonce_lifetime = time),
    },
    Field {
        key: "max_nonces",
        about: "Challenges that are remembered at once; the oldest makes room.",
        get: |core| whole(core.max_nonces),
        set: |core, value| number(value, 1).map(|count| core.max_nonces = count),
    },
    Field {
        key: "min_expires",
        about: "The shortest registration, in seconds; briefer wishes are answered 423.",
        get: |core| of_seconds(core.min_expires),
        set: |core, value| seconds(value, 1).map(|time| core.min_expires = time),
    },
    Field {
        key: "default_expires",
        about: "The registration of those who do not say how long, in seconds.",
        get: |core| of_seconds(core.default_expires),
        set: |core, value| seconds(value, 1).map(|time| core.default_expires = time),
    },
    Field {
        key: "max_expires",
        about: "The longest registration, in seconds; longer wishes are cut.",
        get: |core| of_seconds(core.max_expires),
        set: |core, value| seconds(value, 1).map(|time| core.max_expires = time),
    },
    Field {
        key: "max_devices",
        about: "Devices of one user at most; one more is answered 403.",
        get: |core| whole(core.max_devices),
        set: |core, value| number(value, 1).map(|count| core.max_devices = count),
    },
];

const STORE: &[Field<StoreConfig>] = &[
    Field {
        key: "path",
        about: "The file with registrations, the state of the functions and the message stores of the users. It is
            made when it is not there.",
        get: |store| Value::text(store.path.to_string_lossy()),
        set: |store, value| text(value).map(|path| store.path = PathBuf::from(path)),
    },
    Field {
        key: "host",
        about: "The name of the message store in the URLs of what it keeps.",
        get: |store| Value::text(&store.host),
        set: |store, value| text(value).map(|host| store.host = host),
    },
    Field {
        key: "max_mib",
        about: "Mebibytes of the file from which on nothing more is taken in.",
        get: |store| whole(store.max_mib),
        set: |store, value| number(value, 1).map(|count| store.max_mib = count),
    },
    Field {
        key: "cache_mib",
        about: "Mebibytes of the file that are kept in memory.",
        get: |store| whole(store.cache_mib),
        set: |store, value| number(value, 1).map(|count| store.cache_mib = count),
    },
];

const LOG: &[Field<LogConfig>] = &[
    Field {
        key: "level",
        about: "What is logged, to standard error: \"off\", \"error\", \"warn\", \"info\" (who registers, what the
            server does as a whole), \"debug\" (every request, by method, role and status), \"trace\". Neither
            passwords nor what messages say is ever logged.",
        get: |log| word_for(&log.level, LEVELS),
        set: |log, value| word(value, LEVELS).map(|level| log.level = level),
    },
    Field {
        key: "format",
        about: "\"text\", or \"json\": one object in each line.",
        get: |log| word_for(&log.format, FORMATS),
        set: |log, value| word(value, FORMATS).map(|format| log.format = format),
    },
];

const METRICS: &[Field<MetricsConfig>] = &[Field {
    key: "listen",
    about: "Where counters can be read over HTTP: /metrics in the Prometheus text format, and /healthz. Whoever can
        reach the address can read them. Empty: nowhere.",
    get: |metrics| Value::text(metrics.listen.map(|at| at.to_string()).unwrap_or_default()),
    set: |metrics, value| {
        metrics.listen = match text(value)?.as_str() {
            "" => None,
            _ => Some(address(value)?),
        };
        Ok(())
    },
}];

const LIMITS: &[Field<LimitsConfig>] = &[
    Field {
        key: "max_connections",
        about: "TCP connections at once; more are closed.",
        get: |limits| whole(limits.max_connections),
        set: |limits, value| number(value, 1).map(|count| limits.max_connections = count),
    },
    Field {
        key: "max_connections_per_address",
        about: "TCP connections at once from one address, so that no single machine takes every place; more are closed.",
        get: |limits| whole(limits.max_connections_per_address),
        set: |limits, value| number(value, 1).map(|count| limits.max_connections_per_address = count),
    },
    Field {
        key: "max_udp_peers",
        about: "Peers over UDP that are remembered at once; the quietest makes room.",
        get: |limits| whole(limits.max_udp_peers),
        set: |limits, value| number(value, 1).map(|count| limits.max_udp_peers = count),
    },
    Field {
        key: "drain_seconds",
        about:
            "How long what is under way may take when the server is told to end (SIGTERM, SIGINT), in seconds.
            New requests are answered 503 meanwhile.",
        get: |limits| of_seconds(limits.drain),
        set: |limits, value| seconds(value, 0).map(|time| limits.drain = time),
    },
];

impl Config {
    /// Reads a file. What it does not say has its default.
    ///
    /// # Errors
    /// The first line that makes no sense, or a value that does not go with others.
    pub fn read(text: &str) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        let (mut listen, mut core) = (Lines::default(), Lines::default());
        for Entry { key, line, value } in value::read(text)? {
            if key == "user" {
                config.users = users::read(line, &value)?;
                continue;
            }
            let Value::Table(_, entries) = &value else {
                return Err(ConfigError::new(line, format!("{key:?} is no section such as [core]")));
            };
            match key.as_str() {
                "listen" => {
                    listen = Lines::new(line, entries);
                    fields::read("listen", LISTEN, &mut config.listen, entries)?;
                }
                "core" => {
                    core = Lines::new(line, entries);
                    fields::read("core", CORE, &mut config.core, entries)?;
                }
                "policy" => policy::read(&mut config.policy, entries)?,
                "store" => fields::read("store", STORE, &mut config.store, entries)?,
                "log" => fields::read("log", LOG, &mut config.log, entries)?,
                "metrics" => fields::read("metrics", METRICS, &mut config.metrics, entries)?,
                "limits" => fields::read("limits", LIMITS, &mut config.limits, entries)?,
                _ => {
                    let known = "listen, core, policy, store, log, metrics, limits and [[user]]";
                    return Err(ConfigError::new(
                        line,
                        format!("there is no section {key:?}; there are {known}"),
                    ));
                }
            }
        }
        config.validate(&listen, &core)?;
        Ok(config)
    }

    /// What does not go together.
    fn validate(&self, in_listen: &Lines, in_core: &Lines) -> Result<(), ConfigError> {
        let core = &self.core;
        if core.min_expires > core.default_expires || core.default_expires > core.max_expires {
            let keys = ["min_expires", "default_expires", "max_expires"];
            let what = "core: min_expires, default_expires and max_expires are not in this order";
            return Err(ConfigError::new(in_core.last_of(&keys), what));
        }
        let own = self.listen.advertise.or(self.listen.sip.first().map(SocketAddr::ip));
        if own.is_some_and(|address| address.is_unspecified()) {
            let what = "listen: advertise has to say which address users are to use";
            return Err(ConfigError::new(in_listen.last_of(&["sip", "advertise"]), what));
        }
        users::validate(&self.users, core.authentication)
    }

    /// Reads what the file names beside itself, and tries what a server makes of it: documents of preferences, names and
    /// realm for passwords.
    ///
    /// # Errors
    /// The first that cannot be read or used, with the line that names it.
    pub fn check(&self) -> Result<(), ConfigError> {
        for user in &self.users {
            user.preferences()?;
            user.accounts(&self.core.realm)?;
        }
        Ok(())
    }

    /// The file that says all of it, with an explanation above every key.
    #[must_use]
    pub fn print(&self) -> String {
        let mut out = String::from(
            "# The configuration of `cpm serve`. What stands here is what holds without it; leave out what is to\n\
             # stay so. Every user needs a [[user]] section: see the end.\n",
        );
        section("listen", LISTEN, &self.listen, &mut out);
        section("core", CORE, &self.core, &mut out);
        section("policy", policy::FIELDS, &self.policy, &mut out);
        section("store", STORE, &self.store, &mut out);
        section("log", LOG, &self.log, &mut out);
        section("metrics", METRICS, &self.metrics, &mut out);
        section("limits", LIMITS, &self.limits, &mut out);
        for user in &self.users {
            out.push_str("\n[[user]]\n");
            fields::write(users::FIELDS, user, "", &mut out);
        }
        if self.users.is_empty() {
            out.push_str("\n# A user; as many such sections as there are users.\n# [[user]]\n");
            fields::write(users::FIELDS, &users::example(), "# ", &mut out);
        }
        out
    }
}

fn section<S>(name: &str, fields: &[Field<S>], of: &S, out: &mut String) {
    out.push_str(&format!("\n[{name}]\n"));
    fields::write(fields, of, "", out);
}
