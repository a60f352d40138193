//! How a Participating Function is set up.

use crate::Policy;
use cpm_sip::SipUri;
use cpm_ua::NextHop;

/// Who a Participating Function is.
#[derive(Debug, Clone)]
pub struct ParticipatingConfig {
    /// Its own SIP URI: how the core routes to it, and what it puts into Record-Route.
    pub address: SipUri,
    /// Where requests of its own go that have no Route (a proxy of the SIP/IP core, RFC 3261 §8.1.2): SUBSCRIBEs,
    /// notifications on behalf of users. Default `None`: to their Request-URI.
    pub outbound: Option<NextHop>,
    /// What the service provider decides.
    pub policy: Policy,
    /// Limits.
    pub limits: Limits,
    /// Its own product token behind `CPM-serv/OMA2.1`; may be empty.
    pub product: String,
}

impl ParticipatingConfig {
    /// Default policy and limits, no next hop, no product.
    #[must_use]
    pub fn new(address: SipUri) -> Self {
        ParticipatingConfig {
            address,
            outbound: None,
            policy: Policy::default(),
            limits: Limits::default(),
            product: String::new(),
        }
    }
}

/// What peers can make a Participating Function hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Users with devices. Default 100,000; a third-party REGISTER of one more is answered 503.
    pub max_users: usize,
    /// Devices of one user. Default 12, the branches that a request forks to.
    pub max_devices: usize,
    /// Identities of one user. Default 16; more are left out.
    pub max_identities: usize,
    /// MESSAGEs under way. Default 65,536, as many as the endpoint keeps unanswered; one more is answered 503 with
    /// Retry-After. Each holds its request.
    pub max_work: usize,
    /// References to stored data that are fetched for one message, all at once (TS 8.2.1.1-5). Default 8; one with more is
    /// answered 403.
    pub max_references: usize,
    /// Octets of all that is fetched for one message. Default 64 KiB; more is answered 513.
    pub max_fetched_bytes: usize,
    /// Messages of which is remembered what was told of them (TS 8.3.4). Default 65,536; with more, those that would be
    /// forgotten first are.
    pub max_dispositions: usize,
    /// Notifications on behalf of users that are owed. Default 16,384; one more is not made.
    pub max_owed: usize,
    /// Messages in which notifications are held for users, or under way to them ([`crate::Policy::aggregation`]). Default
    /// 4,096; when there are as many, notifications are passed on one by one.
    pub max_bundles: usize,
    /// SUBSCRIBEs to the registration of users in a second. Default 100, at least 1; more wait for the next second.
    pub max_subscribes_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_users: 100_000,
            max_devices: 12,
            max_identities: 16,
            max_work: 65_536,
            max_references: 8,
            max_fetched_bytes: 65_536,
            max_dispositions: 65_536,
            max_owed: 16_384,
            max_bundles: 4_096,
            max_subscribes_per_second: 100,
        }
    }
}
