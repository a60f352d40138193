//! `cpm msrp`: messages over MSRP alone, without SIP: one side prints its URI, the other sends to it.

pub(crate) mod args;
pub(crate) mod inbox;
mod listen;
mod receiver;
pub(crate) mod send;

use args::{Msrp, Task};

/// Runs one of the two sides.
pub(crate) async fn msrp(options: &Msrp) -> Result<(), String> {
    match &options.task {
        Task::Listen(options) => listen::listen(options).await,
        Task::Send(options) => send::send(options).await,
    }
}

/// A hash as text.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The product token and the endpoints' configuration, with this much read ahead of what is written.
fn node_config(seed: cpm_base::Seed) -> cpm_core::NodeConfig {
    let mut config = cpm_core::NodeConfig::user_agent(seed, concat!("cpm/", env!("CARGO_PKG_VERSION")));
    config.msrp.limits.source = 256 * 1024;
    config
}
