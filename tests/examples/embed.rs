//! A CPM client in a loop of one's own: one UDP socket, pager-mode messages, reports.
//! Usage: embed sip:listen@127.0.0.1:5060 "Hello"
use bytes::Bytes;
use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_client::{Client, ClientConfig, ClientEvent, Disposition, NewMessage, contact_uri};
use cpm_core::{Action, Query, Reply};
use cpm_sip::Uri;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (to, text) = (std::env::args().nth(1).ok_or("to whom?")?, std::env::args().nth(2).ok_or("what?")?);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let (local, started) = (socket.local_addr()?, std::time::Instant::now());
    let now = || {
        let unix = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as i64);
        let wall = DateTime::from_unix_micros(unix).unwrap_or(DateTime::UNIX_EPOCH);
        Now::new(Instant::from_micros(started.elapsed().as_micros() as u64), wall)
    };

    // A client is an identity, an address and 32 octets of entropy; it never touches a socket or a clock.
    let me = Uri::parse(&format!("sip:me@{local}"))?;
    let instance = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let mut config = ClientConfig::new(me, contact_uri("me", local), local, instance);
    // There is no core between the two that would answer for who the other is.
    config.settings.unasserted_senders = true;
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy)?;
    let mut node = Client::node(config, Seed::new(entropy))?;
    let message = NewMessage::text(Uri::parse(&to)?, &text).with_reports();
    node.command(now(), |client, ports| client.send_message(now(), ports, message))?;

    // A flow is a pair of local and remote address; this loop names them by their place in a list.
    let mut peers: Vec<SocketAddr> = Vec::new();
    let info = |peer| FlowInfo {
        protocol: Protocol::Sip,
        transport: Transport::Udp,
        local,
        peer,
        secure_identity: None,
        trust: Trust::Outside,
    };
    let mut buffer = [0; 65_535];
    loop {
        while let Some(action) = node.poll_action() {
            match action {
                Action::Open(open, target) => {
                    peers.push(target.remote);
                    let flow = FlowId(peers.len() as u64 - 1);
                    node.handle_opened(now(), open, Ok((flow, info(target.remote))));
                }
                Action::Datagram(flow, bytes) => drop(socket.send_to(&bytes, peers[flow.0 as usize])?),
                Action::Query(id, Query::Store(_)) => node.handle_reply(now(), id, Reply::Stored(Ok(()))),
                Action::Event(ClientEvent::Disposition { disposition: Disposition::Displayed, .. }) => {
                    println!("it was read");
                    return Ok(());
                }
                Action::Event(event) => println!("{event:?}"),
                _ => {}
            }
        }
        let wait = node.next_timeout().map_or(Duration::from_secs(1), |due| due.since(now().mono));
        socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match socket.recv_from(&mut buffer) {
            Ok((length, peer)) => {
                let known = peers.iter().position(|known| *known == peer);
                let flow = FlowId(known.unwrap_or(peers.len()) as u64);
                if known.is_none() {
                    peers.push(peer);
                    node.handle_accepted(now(), flow, info(peer));
                }
                node.handle_datagram(now(), flow, Bytes::copy_from_slice(&buffer[..length]));
            }
            Err(_) => node.handle_timeout(now()),
        }
    }
}
