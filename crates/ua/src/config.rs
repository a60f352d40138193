//! What a host configures: identity on the wire, role, timers, limits.

use crate::session::SessionTimer;
use crate::transaction::TimerValues;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use cpm_base::{Seed, Transport};
use cpm_sip::{HeaderText, Host, Method, Role, Uri};

/// How the endpoint names itself in the sent-by of its Via on one transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentBy {
    /// The transport this is for.
    pub transport: Transport,
    /// The host (a name or an address that others reach).
    pub host: Host,
    /// The port where the endpoint listens; absent when it is the transport's default.
    pub port: Option<u16>,
}

/// A fixed next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextHop {
    /// An address.
    Address(Transport, SocketAddr),
    /// A SIP URI; its host is resolved when it is a name.
    Uri(Uri),
}

/// The configuration of an [`Endpoint`](crate::Endpoint).
#[derive(Debug, Clone)]
pub struct Config {
    /// Entropy for branches, tags and Call-IDs.
    pub seed: Seed,
    /// What the endpoint refuses by itself. A user agent: unknown methods, option tags and body types, requests of unknown
    /// dialogs (481), merged requests (482). A proxy passes all of these to its function, as well as an ACK whose topmost
    /// Route is its own on to its next hop, and refuses Max-Forwards 0 (483) and unknown Proxy-Require.
    pub role: Role,
    /// What peers may cost.
    pub limits: Limits,
    /// Protocol timers.
    pub timers: TimerValues,
    /// The sent-by per transport; a transport without one uses the local address of the flow.
    pub sent_by: Vec<SentBy>,
    /// More names (and ports; absent: any) that mean this endpoint in a Route. The sent-by values and the local
    /// addresses of the flows always do.
    pub own_names: Vec<(Host, Option<u16>)>,
    /// Where requests without Route go instead of to their Request-URI (RFC 3261 §8.1.2).
    pub outbound: Option<NextHop>,
    /// Requests of more octets than this go over TCP where UDP was meant, and over UDP only when no connection can be had
    /// (RFC 3261 §18.1.1): 1,300. A request that is sent on a flow of the function's choice stays there, as does one to
    /// a loopback address, where no datagram is too large.
    pub max_udp_request: usize,
    /// Keep-alives (CRLF) on stream flows that the endpoint opened and whose peer agrees by the `keep` parameter of
    /// RFC 6223, at least every so often; and what peers that ask for it are told to send. `None` (the default): neither.
    /// At least 1 s.
    pub keep_alive: Option<Duration>,
    /// Stream flows on which nothing came and went for at least this long (at most twice) are closed; `None` (the default):
    /// none is. Longer than Timer C, so that nothing can be under way on them. Keep-alives count.
    pub flow_idle: Option<Duration>,
    /// Whether requests on TLS flows that the endpoint opened carry `alias` (RFC 5923), so that the far side may send its
    /// own on the same connection: `false`. Aliases of authenticated peers are always heeded.
    pub reuse_connections: bool,
    /// The load ([`Endpoint::set_load`](crate::Endpoint::set_load)) from which on new requests get 503: 100. `None`: never.
    pub overload_at: Option<u32>,
    /// Seconds in the Retry-After of a 503: 5.
    pub retry_after: u32,
    /// `User-Agent` of requests and `Server` of responses that do not bring their own.
    pub product: Option<HeaderText>,
    /// The same where our user is nobody, by From of a request or To of a response (RFC 3323 §4.1.1.3), so that the product
    /// does not say who it is; `None`: as everywhere.
    pub anonymous_product: Option<HeaderText>,
    /// Methods that a user agent takes (405 for the others that are known, 501 for unknown ones).
    pub allow: Vec<Method>,
    /// Option tags that a user agent supports (420 for others in `Require`).
    pub supported: Vec<String>,
    /// Event packages that a user agent serves (489 for others, with these in Allow-Events); empty: the function judges.
    pub event_packages: Vec<String>,
    /// When registrations, publications and subscriptions are refreshed and tried again.
    pub refresh: crate::RefreshPolicy,
    /// URI schemes of Request-URIs that are worked on (416 for others): `sip`, `sips`, `tel`; empty: any. A function that
    /// knows a way to other addresses asks for any.
    pub uri_schemes: Vec<String>,
    /// Body types that a user agent takes (`type/subtype`, `type/*`, `*/*`; 415 for others); empty: any.
    pub accept: Vec<String>,
    /// What it does at the border of the trust domain (RFC 3325). By default nothing: its function does.
    pub identity: crate::IdentityPolicy,
    /// Session timers (RFC 4028) for the calls of a user agent; `None`: the endpoint neither asks for them, nor keeps any.
    pub session_timer: Option<SessionTimer>,
    /// Whether commands are refused that leave an offer unanswered or, after an INVITE without one, make none. What has
    /// no place where it is, is refused in any case.
    pub require_descriptions: bool,
}

impl Config {
    /// A user agent that takes INVITE, MESSAGE, OPTIONS and what belongs to them, with default limits and timers.
    /// `product` is what `User-Agent` and `Server` say; empty: nothing.
    #[must_use]
    pub fn user_agent(seed: Seed, product: &str) -> Self {
        Config {
            seed,
            role: Role::UserAgent,
            limits: Limits::default(),
            timers: TimerValues::default(),
            sent_by: Vec::new(),
            own_names: Vec::new(),
            outbound: None,
            max_udp_request: 1_300,
            keep_alive: None,
            flow_idle: None,
            reuse_connections: false,
            overload_at: Some(100),
            retry_after: 5,
            product: (!product.is_empty()).then(|| HeaderText::sanitized(product)),
            anonymous_product: None,
            allow: [
                Method::Invite,
                Method::Ack,
                Method::Bye,
                Method::Cancel,
                Method::Message,
                Method::Options,
            ]
            .into(),
            supported: Vec::new(),
            event_packages: Vec::new(),
            refresh: crate::RefreshPolicy::default(),
            uri_schemes: ["sip", "sips", "tel"].map(String::from).to_vec(),
            accept: Vec::new(),
            identity: crate::IdentityPolicy::default(),
            session_timer: None,
            require_descriptions: false,
        }
    }

    /// The same for a function that also passes requests on.
    #[must_use]
    pub fn proxy(seed: Seed, product: &str) -> Self {
        Config { role: Role::Proxy, ..Config::user_agent(seed, product) }
    }

    /// Whether the values can be worked with.
    ///
    /// # Errors
    /// A timer or limit is outside the range that its documentation gives.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let t = &self.timers;
        let timers = [
            (t.t1 >= Duration::from_millis(1) && t.t1 <= Duration::from_secs(10), "timers.t1"),
            (t.t2 >= t.t1 && t.t2 <= Duration::from_secs(60), "timers.t2"),
            (t.t4 > Duration::ZERO && t.t4 <= Duration::from_secs(60), "timers.t4"),
            (t.timer_d > Duration::ZERO && t.timer_d <= Duration::from_secs(600), "timers.timer_d"),
            (t.trying_after <= Duration::from_secs(1), "timers.trying_after"),
            (t.timer_c > Duration::ZERO && t.timer_c <= Duration::from_secs(3600), "timers.timer_c"),
            (self.keep_alive.is_none_or(|every| every >= Duration::from_secs(1)), "keep_alive"),
            (self.flow_idle.is_none_or(|idle| idle > t.timer_c && idle > t.patience()), "flow_idle"),
        ];
        for (fine, name) in timers {
            if !fine {
                return Err(ConfigError(name));
            }
        }
        self.refresh.validate()?;
        if self.session_timer.is_some_and(|timer| !timer.is_valid()) {
            return Err(ConfigError("session_timer"));
        }
        self.limits.validate()
    }
}

/// A configured value is out of range; the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigError(pub &'static str);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is out of range", self.0)
    }
}

impl core::error::Error for ConfigError {}

/// What a peer may make the endpoint hold. Each is at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Limits of the message parser and the stream framer.
    pub sip: cpm_sip::Limits,
    /// `tx.max_unanswered`: server transactions without a final response: 65,536. One more gets 503, statelessly.
    pub max_unanswered: usize,
    /// `tx.max_unanswered_per_peer`: the same per peer address: 1,024. Does not bind flows of the core.
    pub max_unanswered_per_peer: usize,
    /// `tx.cancelled_pending`: INVITEs of one peer address that it cancelled and that the function has not answered yet:
    /// 20. With more of them, its next INVITE gets 503. Does not bind flows of the core.
    pub max_cancelled_per_peer: usize,
    /// `tx.max_completed_bytes`: octets that server transactions with a final response cost, until their retransmissions
    /// are over (that is about 300 octets each, and its response): 128 MiB. With more, the oldest are forgotten.
    pub max_completed_bytes: usize,
    /// `tx.max_client`: client transactions at once: 65,536. Binds commands of the function alone.
    pub max_client: usize,
    /// `dialog.max`: dialogs at once: 65,536.
    pub max_dialogs: usize,
    /// `dialog.early_per_invite`: early dialogs of one forked INVITE: 16. Provisional responses of more make none.
    pub max_early_per_invite: usize,
    /// `dialog.forks_per_invite`: called sides that accept one INVITE, each with a dialog of its own: 64. A 2xx of one more
    /// is ignored; its sender, without an ACK, ends the call by itself.
    pub max_forks_per_invite: usize,
    /// `route.max_targets`: addresses of one name that are tried one after the other: 8. Further ones are not.
    pub max_targets: usize,
    /// `dialog.early_max`: how long an early dialog of an INVITE of ours lives without another response: 180 s.
    pub early_max: Duration,
    /// `dialog.max_description`: octets of a session description that is kept for refreshing the session: 8 KiB. Greater
    /// ones are not kept: such a session is refreshed by UPDATE alone.
    pub max_description: usize,
    /// `fork.max_branches`: branches of one proxied request: 12.
    pub max_branches: usize,
    /// `max_breadth`: branches of a proxied request that may be open at once, here and further on (RFC 5393 §5): 60.
    /// A request that allows itself more is brought down to it, one that says nothing gets it.
    pub max_breadth: usize,
    /// `auth.max_logins`: logins at once: 1,024. Binds commands of the function alone.
    pub max_logins: usize,
    /// `reg.max`: registrations at once: 1,024. Binds commands of the function alone.
    pub max_registrations: usize,
    /// `sub.max`: subscriptions at once, of others here (503 for more) and of ours elsewhere, each: 1,024.
    pub max_subscriptions: usize,
    /// `sub.max_per_identity`: subscriptions of one subscriber here: 64. One more gets 403.
    pub max_subscriptions_per_identity: usize,
    /// `sub.queue`: NOTIFYs of one subscription that the function has not answered: 32. One more gets 503.
    pub max_unanswered_notifies: usize,
    /// `notify.max_body`: octets of the body of a NOTIFY that is handed up: 64 KiB. A greater one gets 413.
    pub max_notify_body: usize,
    /// `sub.min_expires`: the least lifetime of a subscription of others, in seconds: 60. Less (but not 0) gets 423.
    pub min_subscription: u32,
    /// `sub.max_expires`: the greatest, in seconds: 86,400. More is cut to it.
    pub max_subscription: u32,
    /// `pub.max`: publications at once: 1,024. Binds commands of the function alone.
    pub max_publications: usize,
    /// `snapshot.max`: octets of a record of a dialog or a registration, written or read: 256 KiB.
    pub max_record: usize,
    /// `conn.max_flows`: flows at once: 65,536. One more is closed.
    pub max_flows: usize,
    /// `conn.out_queue`: octets that wait to be written on a stream flow: 256 KiB. With more, the flow is closed.
    pub out_queue: usize,
    /// `conn.error_budget`: faults of a stream flow in its life: 1,024. With more, the flow is closed.
    pub error_budget: usize,
    /// `conn.consecutive_errors`: faults of a stream flow without one good message between them: 32.
    pub consecutive_errors: usize,
    /// `conn.first_message`: how long an accepted stream flow may stay without a message: 32 s. Then it is closed.
    pub first_message: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            sip: cpm_sip::Limits::default(),
            max_unanswered: 65_536,
            max_unanswered_per_peer: 1_024,
            max_cancelled_per_peer: 20,
            max_completed_bytes: 128 * 1024 * 1024,
            max_client: 65_536,
            max_dialogs: 65_536,
            max_early_per_invite: 16,
            max_forks_per_invite: 64,
            max_targets: 8,
            early_max: Duration::from_secs(180),
            max_description: 8 * 1024,
            max_branches: 12,
            max_breadth: 60,
            max_logins: 1_024,
            max_registrations: 1_024,
            max_publications: 1_024,
            max_record: 256 * 1024,
            max_subscriptions: 1_024,
            max_subscriptions_per_identity: 64,
            max_unanswered_notifies: 32,
            max_notify_body: 64 * 1024,
            min_subscription: 60,
            max_subscription: 86_400,
            max_flows: 65_536,
            out_queue: 256 * 1024,
            error_budget: 1_024,
            consecutive_errors: 32,
            first_message: Duration::from_secs(32),
        }
    }
}

impl Limits {
    /// Whether every limit allows at least one.
    ///
    /// # Errors
    /// Names the field that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fields = [
            (self.max_unanswered, "limits.max_unanswered"),
            (self.max_unanswered_per_peer, "limits.max_unanswered_per_peer"),
            (self.max_cancelled_per_peer, "limits.max_cancelled_per_peer"),
            (self.max_completed_bytes, "limits.max_completed_bytes"),
            (self.max_client, "limits.max_client"),
            (self.max_dialogs, "limits.max_dialogs"),
            (self.max_early_per_invite, "limits.max_early_per_invite"),
            (self.max_forks_per_invite, "limits.max_forks_per_invite"),
            (self.max_targets, "limits.max_targets"),
            (self.max_description, "limits.max_description"),
            (self.max_branches, "limits.max_branches"),
            (self.max_breadth, "limits.max_breadth"),
            (self.max_logins, "limits.max_logins"),
            (self.max_registrations, "limits.max_registrations"),
            (self.max_publications, "limits.max_publications"),
            (self.max_record, "limits.max_record"),
            (self.max_subscriptions, "limits.max_subscriptions"),
            (self.max_subscriptions_per_identity, "limits.max_subscriptions_per_identity"),
            (self.max_unanswered_notifies, "limits.max_unanswered_notifies"),
            (self.max_notify_body, "limits.max_notify_body"),
            (self.max_flows, "limits.max_flows"),
            (self.out_queue, "limits.out_queue"),
            (self.error_budget, "limits.error_budget"),
            (self.consecutive_errors, "limits.consecutive_errors"),
        ];
        for (value, name) in fields {
            if value == 0 {
                return Err(ConfigError(name));
            }
        }
        if self.early_max.is_zero() {
            return Err(ConfigError("limits.early_max"));
        }
        if self.min_subscription == 0 || self.min_subscription > 3600 {
            // RFC 6665 §4.2.1.1: an hour or more is never too brief.
            return Err(ConfigError("limits.min_subscription"));
        }
        if self.max_subscription < self.min_subscription {
            return Err(ConfigError("limits.max_subscription"));
        }
        if self.first_message.is_zero() {
            return Err(ConfigError("limits.first_message"));
        }
        self.sip.validate().map_err(|_| ConfigError("limits.sip"))
    }
}
