//! `cpm serve`: the SIP/IP core stand-in and a Participating Function behind it, in one process.
//!
//! ```text
//!   users ══ UDP, TCP ══ SIP/IP core ── link inside of the process ── Participating Function
//!                             └────────────── store on disk ──────────────┘
//! ```
//!
//! The core has the sockets, knows the users and their passwords, and asks the function for every CPM request, in both
//! roles. Registrations, the function's state and the message stores of the users are in one file; after a restart, in
//! good order or not, the server goes on as if nothing had been.
//!
//! ```
//! use cpm_host::serve::Config;
//!
//! let config = Config::read("[core]\nrealm = \"example.com\"\n")?;
//! assert_eq!(config.core.realm, "example.com");
//! assert_eq!(Config::read(&Config::default().print())?, Config::default());
//! let error = Config::read("[core]\nreelm = \"example.com\"\n").unwrap_err();
//! assert!(error.to_string().starts_with("line 2: core has no key \"reelm\"; it has realm, "));
//! # Ok::<(), cpm_host::serve::ConfigError>(())
//! ```

mod config;
mod fields;
mod log;
mod page;
mod policy;
mod server;
#[cfg(test)]
mod tests;
mod users;
mod value;

pub use config::{
    Config, CoreSettings, LimitsConfig, ListenConfig, LogConfig, LogFormat, LogLevel, MetricsConfig,
    StoreConfig,
};
pub use log::start_logs;
pub use server::{ServeError, Server};
pub use users::{Hidden, UserConfig};
pub use value::ConfigError;
