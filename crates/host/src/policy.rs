//! Where a node may connect to, and whom it believes.
//!
//! The far side of an MSRP session names the address that our side connects to, in its offer or answer: a peer could
//! make a node knock at doors inside the network it lives in (RFC 4975 §14.5). What is not a public address with an
//! unprivileged port is therefore refused unless the configuration allows it.

use cpm_base::{Protocol, Target, Trust};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which targets a node may open flows to. The default allows public addresses and ports from 1024 up for MSRP, and
/// any address that can be connected to at all for SIP (whose next hops come from configuration and routing).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenPolicy {
    /// MSRP to this machine itself (127.0.0.0/8, ::1).
    pub loopback: bool,
    /// MSRP to private networks (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7).
    pub private: bool,
    /// MSRP to link-local addresses (169.254/16, fe80::/10).
    pub link_local: bool,
    /// MSRP to ports below 1024.
    pub low_ports: bool,
    /// MSRP to exactly these, whatever the rules above say: a configured relay or peer.
    pub always: BTreeSet<SocketAddr>,
}

/// Why a target is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Port 0 names nothing.
    PortZero,
    /// An unspecified, multicast, broadcast or reserved address: nobody to connect to.
    NoPeer,
    /// This machine itself.
    Loopback,
    /// A private network.
    Private,
    /// A link-local address.
    LinkLocal,
    /// A port below 1024.
    LowPort,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Denied::PortZero => "port 0",
            Denied::NoPeer => "no address of a peer",
            Denied::Loopback => "a loopback address",
            Denied::Private => "an address of a private network",
            Denied::LinkLocal => "a link-local address",
            Denied::LowPort => "a port below 1024",
        })
    }
}

impl std::error::Error for Denied {}

impl OpenPolicy {
    /// For nodes that live on one machine or in one laboratory: MSRP to loopback and private networks as well.
    #[must_use]
    pub fn laboratory() -> Self {
        OpenPolicy { loopback: true, private: true, ..OpenPolicy::default() }
    }

    /// Whether a flow to `target` may be opened.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn check(&self, target: &Target) -> Result<(), Denied> {
        let address = target.remote.ip().to_canonical();
        if target.remote.port() == 0 {
            return Err(Denied::PortZero);
        }
        let kind = Kind::of(address);
        if kind == Kind::NoPeer {
            return Err(Denied::NoPeer);
        }
        if target.protocol == Protocol::Sip
            || self.always.contains(&SocketAddr::new(address, target.remote.port()))
        {
            return Ok(());
        }
        match kind {
            Kind::Loopback if !self.loopback => Err(Denied::Loopback),
            Kind::Private if !self.private => Err(Denied::Private),
            Kind::LinkLocal if !self.link_local => Err(Denied::LinkLocal),
            _ if target.remote.port() < 1024 && !self.low_ports => Err(Denied::LowPort),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    Loopback,
    Private,
    LinkLocal,
    NoPeer,
}

impl Kind {
    /// `address` is canonical: no IPv4-mapped IPv6 address.
    fn of(address: IpAddr) -> Kind {
        match address {
            IpAddr::V4(v4) => Kind::of_v4(v4),
            IpAddr::V6(v6) => Kind::of_v6(v6),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Kind {
        match address.octets() {
            [0, ..] | [224..=255, ..] => Kind::NoPeer,
            [127, ..] => Kind::Loopback,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [192, 0, 0, _] => {
                Kind::Private
            }
            [169, 254, ..] => Kind::LinkLocal,
            _ => Kind::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Kind {
        let embedded = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Kind::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
            // ::/96 without ::1: unspecified and the withdrawn IPv4-compatible addresses.
            [0, 0, 0, 0, 0, 0, ..] | [0xff00..=0xffff, ..] => Kind::NoPeer,
            [0xfc00..=0xfdff, ..] => Kind::Private,
            [0xfe80..=0xfeff, ..] => Kind::LinkLocal,
            // What a translator makes of it counts: NAT64 (RFC 6052) and 6to4 (RFC 3056).
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
            _ => Kind::Public,
        }
    }
}

/// Whose flows belong to the SIP/IP core, so that the identities they assert are believed (RFC 3325). Empty by
/// default: nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedPeers {
    /// Any port of these addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Exactly these.
    pub sockets: BTreeSet<SocketAddr>,
    /// Whoever reaches these addresses of our own: sockets that only the core's network can reach.
    pub listeners: BTreeSet<SocketAddr>,
}

impl TrustedPeers {
    /// Whether a flow between our `local` and `peer` belongs to the core.
    #[must_use]
    pub fn trust(&self, local: SocketAddr, peer: SocketAddr) -> Trust {
        let believed = self.addresses.contains(&peer.ip().to_canonical())
            || self.sockets.contains(&peer)
            || self.listeners.contains(&local);
        if believed { Trust::Core } else { Trust::Outside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_base::Transport;

    fn msrp(remote: &str) -> Target {
        Target { protocol: Protocol::Msrp, transport: Transport::Tcp, remote: remote.parse().unwrap() }
    }

    #[test]
    fn a_peers_offer_does_not_open_inner_doors() {
        let denied = |remote| OpenPolicy::default().check(&msrp(remote)).err();
        for (remote, why) in [
            ("198.51.100.7:0", Denied::PortZero),
            ("198.51.100.7:1023", Denied::LowPort),
            ("127.0.0.1:2855", Denied::Loopback),
            ("127.9.9.9:2855", Denied::Loopback),
            ("[::1]:2855", Denied::Loopback),
            ("[::ffff:127.0.0.1]:2855", Denied::Loopback),
            ("[64:ff9b::7f00:1]:2855", Denied::Loopback),
            ("10.1.2.3:2855", Denied::Private),
            ("172.31.255.255:2855", Denied::Private),
            ("192.168.0.1:2855", Denied::Private),
            ("100.64.0.1:2855", Denied::Private),
            ("[fd00::1]:2855", Denied::Private),
            ("[2002:0a00:0001::1]:2855", Denied::Private),
            ("[::ffff:192.168.0.1]:2855", Denied::Private),
            ("169.254.169.254:2855", Denied::LinkLocal),
            ("[fe80::1]:2855", Denied::LinkLocal),
            ("0.0.0.0:2855", Denied::NoPeer),
            ("[::]:2855", Denied::NoPeer),
            ("[::7f00:1]:2855", Denied::NoPeer),
            ("224.0.0.1:2855", Denied::NoPeer),
            ("255.255.255.255:2855", Denied::NoPeer),
            ("[ff02::1]:2855", Denied::NoPeer),
        ] {
            assert_eq!(denied(remote), Some(why), "{remote}");
        }
        for remote in ["198.51.100.7:1024", "[2001:db8::7]:2855", "172.32.0.1:2855", "100.128.0.1:2855"] {
            assert_eq!(denied(remote), None, "{remote}");
        }
    }

    #[test]
    fn configuration_opens_what_it_names() {
        let mut policy = OpenPolicy { loopback: true, ..OpenPolicy::default() };
        assert_eq!(policy.check(&msrp("127.0.0.1:2855")), Ok(()));
        assert_eq!(policy.check(&msrp("127.0.0.1:22")), Err(Denied::LowPort));
        assert_eq!(policy.check(&msrp("10.0.0.1:2855")), Err(Denied::Private));
        policy.always.insert("10.0.0.1:80".parse().unwrap());
        assert_eq!(policy.check(&msrp("10.0.0.1:80")), Ok(()));
        assert_eq!(policy.check(&msrp("[::ffff:10.0.0.1]:80")), Ok(()));
        assert_eq!(policy.check(&msrp("10.0.0.1:81")), Err(Denied::Private));
        assert_eq!(OpenPolicy::laboratory().check(&msrp("192.168.1.1:2855")), Ok(()));
    }

    #[test]
    fn sip_goes_where_routing_says() {
        let sip = |remote: &str| Target { protocol: Protocol::Sip, ..msrp(remote) };
        assert_eq!(OpenPolicy::default().check(&sip("127.0.0.1:80")), Ok(()));
        assert_eq!(OpenPolicy::default().check(&sip("127.0.0.1:0")), Err(Denied::PortZero));
        assert_eq!(OpenPolicy::default().check(&sip("0.0.0.0:5060")), Err(Denied::NoPeer));
    }

    #[test]
    fn trust_is_given_by_name_only() {
        let (local, peer) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap());
        assert_eq!(TrustedPeers::default().trust(local, peer), Trust::Outside);
        let by_socket = TrustedPeers { sockets: [peer].into(), ..TrustedPeers::default() };
        assert_eq!(by_socket.trust(local, peer), Trust::Core);
        assert_eq!(by_socket.trust(local, "192.0.2.9:5062".parse().unwrap()), Trust::Outside);
        let by_address = TrustedPeers { addresses: [peer.ip()].into(), ..TrustedPeers::default() };
        assert_eq!(by_address.trust(local, "[::ffff:192.0.2.9]:7".parse().unwrap()), Trust::Core);
        let by_listener = TrustedPeers { listeners: [local].into(), ..TrustedPeers::default() };
        assert_eq!(by_listener.trust(local, peer), Trust::Core);
        assert_eq!(by_listener.trust(peer, local), Trust::Outside);
    }
}
