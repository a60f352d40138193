//! Listening sockets, bound before the node is built so that its configuration can name their addresses.

use crate::udp_socket::UdpEnds;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};

/// One thing to listen on. Port 0 lets the operating system choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// SIP on UDP and on TCP, at the same port.
    Sip(SocketAddr),
    /// SIP on UDP alone.
    SipUdp(SocketAddr),
    /// SIP on TCP alone.
    SipTcp(SocketAddr),
    /// MSRP on TCP.
    Msrp(SocketAddr),
}

/// An address could not be listened on.
#[derive(Debug)]
pub struct BindError {
    /// What for: `"SIP over UDP"`.
    pub purpose: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// What the operating system says.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {} for {}: ", self.address, self.purpose)?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => f.write_str("another program uses this port"),
            io::ErrorKind::AddrNotAvailable => f.write_str("this machine has no such address"),
            io::ErrorKind::PermissionDenied => {
                f.write_str("not permitted (ports below 1024 need a privilege)")
            }
            _ => write!(f, "{}", self.source),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The listening sockets of one node.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(crate) sip_udp: Vec<(UdpEnds, SocketAddr)>,
    pub(crate) sip_tcp: Vec<(TcpListener, SocketAddr)>,
    pub(crate) msrp: Vec<(TcpListener, SocketAddr)>,
}

const SIP_UDP: &str = "SIP over UDP";
const SIP_TCP: &str = "SIP over TCP";
const MSRP: &str = "MSRP";
/// How often a pair of ports is tried when the operating system chooses.
const PAIR_ATTEMPTS: u32 = 32;

impl Sockets {
    /// Binds them all, in order. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The first address that could not be bound; those before it are released.
    pub fn bind(listen: &[Listen]) -> Result<Sockets, BindError> {
        let mut sockets = Sockets::default();
        for one in listen {
            match *one {
                Listen::Sip(address) => sockets.bind_pair(address)?,
                Listen::SipUdp(address) => sockets.sip_udp.push(bind_udp(address)?),
                Listen::SipTcp(address) => sockets.sip_tcp.push(bind_tcp(address, SIP_TCP)?),
                Listen::Msrp(address) => sockets.msrp.push(bind_tcp(address, MSRP)?),
            }
        }
        Ok(sockets)
    }

    fn bind_pair(&mut self, address: SocketAddr) -> Result<(), BindError> {
        let mut attempts = if address.port() == 0 { PAIR_ATTEMPTS } else { 1 };
        loop {
            let udp = bind_udp(address)?;
            match bind_tcp(udp.1, SIP_TCP) {
                Ok(tcp) => {
                    self.sip_udp.push(udp);
                    self.sip_tcp.push(tcp);
                    return Ok(());
                }
                Err(error) if attempts <= 1 => return Err(error),
                Err(_) => attempts -= 1,
            }
        }
    }

    /// Where SIP over UDP is listened for, in the order of binding.
    pub fn sip_udp(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.sip_udp.iter().map(|(_, address)| *address)
    }

    /// Where SIP over TCP is listened for, in the order of binding.
    pub fn sip_tcp(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.sip_tcp.iter().map(|(_, address)| *address)
    }

    /// Where MSRP is listened for, in the order of binding.
    pub fn msrp(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.msrp.iter().map(|(_, address)| *address)
    }
}

fn bind_udp(address: SocketAddr) -> Result<(UdpEnds, SocketAddr), BindError> {
    let bind = || -> io::Result<(UdpEnds, SocketAddr)> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        one_family(&socket, address)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = std::net::UdpSocket::from(socket);
        let bound = socket.local_addr()?;
        Ok((UdpEnds::new(socket)?, bound))
    };
    bind().map_err(|source| BindError { purpose: SIP_UDP, address, source })
}

fn bind_tcp(address: SocketAddr, purpose: &'static str) -> Result<(TcpListener, SocketAddr), BindError> {
    let bind = || -> io::Result<(TcpListener, SocketAddr)> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        one_family(&socket, address)?;
        socket.set_nonblocking(true)?;
        let socket = TcpSocket::from_std_stream(socket.into());
        // On Windows this option would let two programs share the port.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(1_024)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| BindError { purpose, address, source })
}

/// An IPv6 socket takes no IPv4 peers in disguise: flows name addresses as the wire has them, and `0.0.0.0` and `[::]`
/// can be bound side by side.
fn one_family(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() { socket.set_only_v6(true) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pair_has_one_port_and_a_taken_port_is_named() {
        let first = Sockets::bind(&[
            Listen::Sip("127.0.0.1:0".parse().unwrap()),
            Listen::Msrp("127.0.0.1:0".parse().unwrap()),
        ])
        .unwrap();
        let (udp, tcp) = (first.sip_udp().next().unwrap(), first.sip_tcp().next().unwrap());
        assert_eq!(udp, tcp);
        assert_ne!(udp.port(), 0);
        assert_ne!(first.msrp().next().unwrap().port(), 0);
        let error = Sockets::bind(&[Listen::SipUdp(udp)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {udp} for SIP over UDP: another program uses this port")
        );
        let error = Sockets::bind(&[Listen::SipTcp(tcp)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {tcp} for SIP over TCP: another program uses this port")
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_named() {
        let error = Sockets::bind(&[Listen::SipUdp("192.0.2.1:0".parse().unwrap())]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot listen on 192.0.2.1:0 for SIP over UDP: this machine has no such address"
        );
    }

    #[tokio::test]
    async fn both_families_share_a_port() {
        let Ok(six) = Sockets::bind(&[Listen::Sip("[::]:0".parse().unwrap())]) else {
            // A machine without IPv6 has nothing to share.
            return;
        };
        let port = six.sip_udp().next().unwrap().port();
        let four = Sockets::bind(&[Listen::Sip(SocketAddr::from(([0, 0, 0, 0], port)))]);
        assert!(four.is_ok(), "{four:?}");
    }
}
