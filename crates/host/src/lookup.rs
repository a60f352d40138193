//! Name look-ups: addresses of a host name by the system's resolver.

use crate::Limits;
use cpm_base::Transport;
use cpm_ua::NameQuery;
use std::net::SocketAddr;
use tokio::time::timeout;

/// The addresses of a next hop in the system's order of preference; none when the name is unknown or the look-up
/// takes too long. Without SRV and NAPTR the transport is the one asked for, else UDP, and TLS where only that will
/// do; the port is the one asked for, else the transport's own (RFC 3263 §4.1, §4.2, last resorts).
pub(crate) async fn look_up(name: NameQuery, limits: &Limits) -> Vec<(Transport, SocketAddr)> {
    let transport = match name.transport {
        _ if name.secure => Transport::Tls,
        Some(transport) => transport,
        None => Transport::Udp,
    };
    let port = name.port.unwrap_or(if transport == Transport::Tls { 5061 } else { 5060 });
    let found = timeout(limits.lookup_timeout, tokio::net::lookup_host((name.host.as_str(), port))).await;
    match found {
        Ok(Ok(addresses)) => {
            let mut targets: Vec<(Transport, SocketAddr)> = Vec::new();
            for address in addresses {
                let target = (transport, address);
                if targets.len() < limits.max_lookup_results && !targets.contains(&target) {
                    targets.push(target);
                }
            }
            targets
        }
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(host: &str) -> NameQuery {
        NameQuery { host: host.to_owned(), port: None, transport: None, secure: false }
    }

    #[tokio::test]
    async fn a_name_gets_the_ports_and_transports_of_last_resort() {
        let limits = Limits::default();
        let udp = look_up(query("localhost"), &limits).await;
        assert!(!udp.is_empty());
        assert!(udp.iter().all(|(transport, at)| {
            *transport == Transport::Udp && at.port() == 5060 && at.ip().is_loopback()
        }));
        let tls = look_up(NameQuery { secure: true, ..query("localhost") }, &limits).await;
        assert!(tls.iter().all(|(transport, at)| *transport == Transport::Tls && at.port() == 5061));
        let tcp = NameQuery { transport: Some(Transport::Tcp), port: Some(7), ..query("localhost") };
        let tcp = look_up(tcp, &Limits { max_lookup_results: 1, ..limits }).await;
        assert_eq!(tcp.len(), 1);
        assert_eq!((tcp[0].0, tcp[0].1.port()), (Transport::Tcp, 7));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_finds_nothing() {
        // Reserved never to exist (RFC 6761 §6.4).
        assert_eq!(look_up(query("nobody.invalid"), &Limits::default()).await, []);
    }
}
