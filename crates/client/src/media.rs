//! What sending and receiving a large message share: our side of the session description, the way to the far side, the
//! dialog's end.

use crate::client::Purpose;
use crate::{Client, ClientEvent};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use cpm_base::{Now, Transport};
use cpm_core::Ports;
use cpm_msrp::{Matching, MsrpUri, Role, SessionConfig, SessionId};
use cpm_sdp::{
    CpmRules, Entity, Limits, MsrpMedia, MsrpTransport, Negotiated, SessionDescription, SessionIds,
};
use cpm_sip::{Headers, ReasonHeader};
use cpm_ua::{DialogId, NameQuery, TransactionId};

/// As long as SIP keeps trying (64*T1), and a little more.
pub(crate) const SIGNALLING: Duration = Duration::from_secs(40);
/// Without a new octet for so long, a message is given up.
pub(crate) const STALLED: Duration = Duration::from_secs(120);

/// Where the active side connects to.
pub(crate) enum Way {
    To(SocketAddr),
    /// The far side gave a name.
    Ask(NameQuery),
}

/// The way to the far side of a negotiated medium.
pub(crate) fn way(negotiated: &Negotiated) -> Way {
    let (host, port) = (negotiated.remote.host.to_string(), negotiated.remote.port);
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(ip) => Way::To(SocketAddr::new(ip, port)),
        Err(_) => Way::Ask(NameQuery {
            host,
            port: Some(port),
            transport: Some(Transport::Tcp),
            secure: negotiated.transport == MsrpTransport::Tls,
        }),
    }
}

/// The session description in a body.
pub(crate) fn read_sdp(octets: &[u8]) -> Result<SessionDescription, String> {
    SessionDescription::parse(octets, &Limits::default()).map_err(|error| error.to_string())
}

impl Client {
    /// A new MSRP URI of ours, and where our end of the medium is.
    pub(crate) fn media_place(&self, ports: &mut Ports<'_, ClientEvent>) -> (MsrpUri, MsrpMedia) {
        let at = self.config.msrp;
        let uri = ports.msrp.new_local_uri(&host_text(at.ip()), at.port(), false);
        let place = MsrpMedia::new(MsrpTransport::Tcp, at.ip(), at.port(), uri.to_string());
        (uri, place)
    }

    /// What this client takes, and how it sets its sessions up. Notifications about a large message go by SIP MESSAGE, so
    /// that none is asked for in its session.
    pub(crate) fn media_rules(&self) -> CpmRules {
        CpmRules {
            entity: Entity::Client,
            consumed: self.config.accept.clone(),
            notifications: false,
            composing: false,
            events: Vec::new(),
            group_data: false,
            chunks: None,
            legacy: false,
            legacy_ahead: false,
        }
    }

    /// Numbers for `o=` (RFC 4566 §5.2): random, below 2^62 so that every reader can hold them.
    pub(crate) fn session_ids(&mut self) -> SessionIds {
        SessionIds { id: self.random.public_u64() >> 2, version: 1 }
    }

    /// Opens the MSRP session of a negotiated medium; `to` is where an active side connects.
    pub(crate) fn open_session(
        &self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        local: &MsrpUri,
        negotiated: &Negotiated,
        to: Option<SocketAddr>,
    ) -> Result<SessionId, String> {
        let remote_path: Result<Vec<MsrpUri>, _> =
            negotiated.remote_path.iter().map(|uri| MsrpUri::parse(uri)).collect();
        let config = SessionConfig {
            local_path: local.clone(),
            remote_path: remote_path.map_err(|error| error.to_string())?,
            role: to.map_or(Role::Passive, |at| Role::Active(at, Transport::Tcp)),
            matching: if negotiated.cema { Matching::Cema } else { Matching::Rfc4975 },
            max_chunk: negotiated.max_chunk_size_octets,
            max_message: self.config.limits.max_message,
        };
        ports.msrp.open_session(now, config).map_err(|error| error.to_string())
    }

    /// Ends a dialog with a reason (RFC 3326).
    pub(crate) fn bye(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        dialog: DialogId,
        cause: u16,
        text: &str,
    ) -> Option<TransactionId> {
        let mut headers = Headers::new();
        if let Ok(reason) = ReasonHeader::new("SIP", cause, Some(text)) {
            headers.push_typed(&reason);
        }
        let transaction = ports.sip.bye(now, dialog, headers).ok()?;
        self.transactions.insert(transaction, Purpose::Bye);
        Some(transaction)
    }
}

fn host_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
