//! Relays that act for us (RFC 4976 §5.1): AUTH at each of them in turn, through those before it; Use-Path; and again
//! before what they gave expires.
//!
//! ```text
//! Opening ──connected──▶ Asking hop 1 ──200──▶ Asking hop 2 ─ … ─200──▶ Ready ──before it expires──▶ Asking hop 1
//! Asking ──401──▶ Asking with credentials (each challenge once, a stale nonce twice)
//! Asking ──423 with Min-Expires or Max-Expires──▶ Asking with that time (once)
//! any ──another answer, none in 30 s, connection lost──▶ gone
//! ```

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use cpm_auth::{
    Account, Algorithm, AnswerPolicy, AuthenticationInfo, Challenge, RequestParts, Session as Digest,
};
use cpm_base::{FlowId, LimitExceeded, Now, Protocol, Target, Transport};

use super::{Endpoint, Opening, Timer};
use crate::event::{Action, Event, RelayId, RelayLoss, RequestId};
use crate::head::Head;
use crate::uri::MsrpUri;
use crate::values::Status;
use crate::write;
use cpm_base::OpenId;

/// Names and values of a head.
type Fields = Vec<(String, String)>;

/// How often one hop is asked before it is given up.
const ATTEMPTS: u8 = 4;

/// Relays of ours.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// The relays, the one next to us first; at most 4.
    pub relays: Vec<MsrpUri>,
    /// Where the first one is, and how it is reached: RFC 4976 §5.1 wants TLS there.
    pub remote: SocketAddr,
    /// Likewise.
    pub transport: Transport,
    /// Our accounts, one for each realm.
    pub accounts: Vec<Account>,
    /// The URI that we name ourselves with: from [`Endpoint::new_local_uri`].
    pub local: MsrpUri,
    /// For how long to ask, in seconds; `None`: as the relays like.
    pub expires: Option<u64>,
}

pub(super) struct Relay {
    config: RelayConfig,
    pub(super) flow: Option<FlowId>,
    opening: Option<OpenId>,
    hop: usize,
    attempts: u8,
    /// What the hops before this one gave.
    path: Vec<MsrpUri>,
    /// The shortest time that a hop gave.
    expires: Option<u64>,
    wanted_expires: Option<u64>,
    /// The digest of each hop, for the nonces that follow.
    digests: Vec<Option<Digest>>,
    credentials: Option<cpm_auth::Credentials>,
    request: Option<RequestId>,
}

impl Endpoint {
    /// Asks relays to act for us. [`Event::RelayReady`] brings the path through them; it comes again, perhaps with another
    /// path, when that was renewed before it expired. Sessions over them have `use_path` and the far side's path as
    /// their remote path, the first relay as their [`Role`](crate::Role), and write the reverse of `use_path` and our
    /// URI into `a=path`.
    ///
    /// # Errors
    /// No relay or more than 4, or no room for another connection.
    pub fn use_relays(&mut self, now: Now, config: RelayConfig) -> Result<RelayId, LimitExceeded> {
        LimitExceeded::check("msrp.relays", config.relays.len(), 4)?;
        LimitExceeded::check(
            "msrp.max_sessions",
            self.relays.len().saturating_add(1),
            self.limits.max_sessions,
        )?;
        if config.relays.is_empty() {
            return Err(LimitExceeded { limit: "msrp.relays", value: 0, max: 1 });
        }
        let id = RelayId(self.next_id());
        let target = Target { protocol: Protocol::Msrp, transport: config.transport, remote: config.remote };
        let mut relay = Relay {
            wanted_expires: config.expires,
            digests: config.relays.iter().map(|_| None).collect(),
            config,
            flow: None,
            opening: None,
            hop: 0,
            attempts: 0,
            path: Vec::new(),
            expires: None,
            credentials: None,
            request: None,
        };
        let usable = |flow: &&FlowId| self.connections.get(flow).is_some_and(|c| !c.closing);
        match self.routes.get(&target).filter(usable).copied() {
            Some(flow) => {
                self.relays.insert(id, relay);
                self.relay_connected(now, id, flow);
            }
            None => {
                let open = OpenId(self.next_id());
                relay.opening = Some(open);
                self.relays.insert(id, relay);
                let relays = BTreeSet::from([id]);
                self.opening.insert(open, Opening { target, shared: true, waiting: BTreeSet::new(), relays });
                self.actions.push_back(Action::Open(open, target));
            }
        }
        Ok(id)
    }

    /// The relays are not needed any more. Unknown ones are no error.
    pub fn leave_relays(&mut self, now: Now, id: RelayId) {
        self.forget_relay(now, id);
    }

    fn forget_relay(&mut self, now: Now, id: RelayId) -> Option<Relay> {
        let relay = self.relays.remove(&id)?;
        self.timers.cancel(Timer::Relay(id));
        if let Some(opening) = relay.opening.and_then(|open| self.opening.get_mut(&open)) {
            opening.relays.remove(&id);
        }
        if let Some(flow) = relay.flow {
            let others = self.relays.values().any(|other| other.flow == Some(flow));
            if let Some(connection) = self.connections.get_mut(&flow) {
                connection.held = others;
            }
            self.release(now, flow);
        }
        Some(relay)
    }

    pub(super) fn relay_lost(&mut self, now: Now, id: RelayId, why: RelayLoss) {
        if self.forget_relay(now, id).is_some() {
            self.event(Event::RelayLost { relay: id, why });
        }
    }

    pub(super) fn relay_connected(&mut self, now: Now, id: RelayId, flow: FlowId) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        relay.flow = Some(flow);
        relay.opening = None;
        if let Some(connection) = self.connections.get_mut(&flow) {
            connection.held = true;
            connection.closing = false;
        }
        self.timers.cancel(Timer::Drain(flow));
        self.ask_relay(now, id);
    }

    /// Asks from the first hop on: what was given is about to expire.
    pub(super) fn renew_relay(&mut self, now: Now, id: RelayId) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        (relay.hop, relay.attempts, relay.expires) = (0, 0, None);
        relay.path.clear();
        self.ask_relay(now, id);
    }

    fn ask_relay(&mut self, now: Now, id: RelayId) {
        let Some((flow, paths, fields)) = self.relay_request(id) else {
            return self.relay_lost(now, id, RelayLoss::Credentials);
        };
        match self.request_on(now, flow, "AUTH", &paths, &fields) {
            Ok(request) => {
                if let Some(relay) = self.relays.get_mut(&id) {
                    relay.request = Some(request);
                }
                self.relay_requests.insert(request, id);
            }
            Err(_) => self.relay_lost(now, id, RelayLoss::Connection),
        }
    }

    fn relay_request(&mut self, id: RelayId) -> Option<(FlowId, String, Fields)> {
        let relay = self.relays.get_mut(&id)?;
        relay.attempts = relay.attempts.saturating_add(1);
        let hop = relay.config.relays.get(relay.hop)?;
        let paths = write::paths(relay.path.iter().chain([hop]), core::iter::once(&relay.config.local));
        let mut fields = Vec::new();
        relay.credentials = None;
        if let Some(digest) = relay.digests.get_mut(relay.hop).and_then(Option::as_mut) {
            let realm = &digest.challenge().realm;
            let account = relay.config.accounts.iter().find(|account| account.realm() == realm)?;
            let request = RequestParts { method: "AUTH", uri: hop.as_str(), body: b"" };
            let credentials = digest.credentials(account, request).ok()?;
            fields.push(("Authorization".to_string(), credentials.to_text().ok()?));
            relay.credentials = Some(credentials);
        }
        if let Some(expires) = relay.wanted_expires {
            fields.push(("Expires".to_string(), format!("{expires}")));
        }
        Some((relay.flow?, paths, fields))
    }

    /// The answer of a relay, or none.
    pub(super) fn relay_answered(&mut self, now: Now, id: RelayId, head: Option<Box<Head>>) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        relay.request = None;
        let Some(head) = head else { return self.relay_lost(now, id, RelayLoss::Timeout) };
        let status = head.status().unwrap_or(Status::BAD_REQUEST);
        if relay.attempts >= ATTEMPTS && !status.is_success() {
            return self.relay_lost(now, id, RelayLoss::Refused(status));
        }
        match status {
            Status::UNAUTHORIZED => self.relay_challenged(now, id, &head),
            Status::OUT_OF_BOUNDS => {
                let bound = head.seconds("Min-Expires").or_else(|| head.seconds("Max-Expires"));
                match bound.filter(|bound| relay.wanted_expires != Some(*bound)) {
                    Some(bound) => {
                        relay.wanted_expires = Some(bound);
                        self.ask_relay(now, id);
                    }
                    None => self.relay_lost(now, id, RelayLoss::Refused(status)),
                }
            }
            status if status.is_success() => self.relay_accepted(now, id, &head),
            status => self.relay_lost(now, id, RelayLoss::Refused(status)),
        }
    }

    /// RFC 4976 §9.1: never MD5-sess, always with quality of protection `auth`.
    fn relay_challenged(&mut self, now: Now, id: RelayId, head: &Head) {
        let cnonce = self.random.public_token(26);
        let Some(relay) = self.relays.get_mut(&id) else { return };
        let policy = AnswerPolicy {
            algorithms: Algorithm::ALL
                .iter()
                .copied()
                .filter(|algorithm| !algorithm.name().ends_with("-sess"))
                .collect(),
            ..AnswerPolicy::default()
        };
        let challenge = head.field("WWW-Authenticate").and_then(|text| Challenge::parse(text).ok());
        let challenge =
            challenge.filter(|c| c.qop.as_ref().is_some_and(|q| q.contains(&cpm_auth::Qop::Auth)));
        // Credentials that were refused are not sent again, but for a nonce that has become stale.
        let fresh = relay.credentials.is_none();
        let digest = challenge.filter(|c| fresh || c.stale).and_then(|challenge| {
            let account = relay.config.accounts.iter().find(|a| a.realm() == challenge.realm)?;
            Digest::new(challenge, account, &policy, &cnonce).ok()
        });
        match (digest, relay.digests.get_mut(relay.hop)) {
            (Some(digest), Some(place)) => {
                *place = Some(digest);
                self.ask_relay(now, id);
            }
            _ => self.relay_lost(now, id, RelayLoss::Credentials),
        }
    }

    fn relay_accepted(&mut self, now: Now, id: RelayId, head: &Head) {
        let Some(relay) = self.relays.get_mut(&id) else { return };
        let Some(path) = head.use_path() else {
            return self.relay_lost(now, id, RelayLoss::Malformed);
        };
        let info = head.field("Authentication-Info").and_then(|text| AuthenticationInfo::parse(text).ok());
        if let (Some(info), Some(Some(digest)), Some(credentials)) =
            (info, relay.digests.get_mut(relay.hop), &relay.credentials)
        {
            let account = relay.config.accounts.iter().find(|a| a.realm() == credentials.realm);
            let proved = account.is_some_and(|account| digest.is_proved(account, credentials, &info, b""));
            if info.rspauth.is_some() && !proved {
                return self.relay_lost(now, id, RelayLoss::Unproved);
            }
            digest.take_next_nonce(&info);
        }
        relay.path = path;
        relay.expires = [relay.expires, head.seconds("Expires")].into_iter().flatten().min();
        relay.hop = relay.hop.saturating_add(1);
        relay.attempts = 0;
        if relay.hop < relay.config.relays.len() {
            return self.ask_relay(now, id);
        }
        let expires = relay.expires.map(Duration::from_secs);
        let use_path = relay.path.clone();
        if let Some(expires) = expires {
            // In time for all hops to be asked again; never at once for ever.
            let renew =
                Duration::from_millis(expires.as_secs().saturating_mul(800).clamp(1000, 31_536_000_000));
            self.timers.set(Timer::Relay(id), now.mono.plus(renew));
        }
        self.event(Event::RelayReady { relay: id, use_path, expires });
    }
}
