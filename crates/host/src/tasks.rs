//! The small tasks that wait on sockets beside the node's task, apart from streams (see `stream.rs`).

use crate::driver::Wire;
use crate::tap::{Path, Tap};
use crate::udp_socket::send_waiting;
use bytes::Bytes;
use cpm_base::{OpenError, OpenId, Protocol, Target};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{sleep, timeout};

/// Our address on the way to `peer`: where a socket is bound to all addresses, the one that the system would choose.
pub(crate) fn local_towards(bound: SocketAddr, peer: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let ask = || -> io::Result<SocketAddr> {
        let socket = std::net::UdpSocket::bind(SocketAddr::new(bound.ip(), 0))?;
        socket.connect(peer)?;
        socket.local_addr()
    };
    SocketAddr::new(ask().map_or(bound.ip(), |local| local.ip()), bound.port())
}

/// Sends what is queued for a UDP socket, until the queue is closed and empty.
pub(crate) async fn write_datagrams(
    index: usize,
    socket: Arc<UdpSocket>,
    mut datagrams: mpsc::Receiver<(Path, Bytes)>,
    tap: Tap,
    wire: mpsc::Sender<Wire>,
) {
    while let Some((path, bytes)) = datagrams.recv().await {
        let send = || tap.sending(path, &bytes, || socket.send_to(&bytes, path.peer));
        let sent = send_waiting(&socket, send).await;
        if sent.is_err() {
            // Not waited for: the node's task may wait for room in this very queue while it stops.
            let _ = wire.try_send(Wire::Undeliverable { socket: index, peer: path.peer });
        }
    }
}

/// Accepts connections, no faster than the node's task takes them.
pub(crate) async fn accept(protocol: Protocol, listener: TcpListener, wire: mpsc::Sender<Wire>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if wire.send(Wire::Accepted { protocol, stream }).await.is_err() {
                    return;
                }
            }
            // Out of descriptors, or the peer was gone at once: later ones may fare better.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Connects, or says why not.
pub(crate) async fn connect_to(
    open: OpenId,
    target: Target,
    stream_permit: OwnedSemaphorePermit,
    _connect_permit: OwnedSemaphorePermit,
    limit: Duration,
    wire: mpsc::Sender<Wire>,
) {
    let result = match timeout(limit, TcpStream::connect(target.remote)).await {
        Ok(Ok(stream)) => Ok((stream, stream_permit)),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(OpenError::Refused),
        Ok(Err(_)) | Err(_) => Err(OpenError::Unreachable),
    };
    let _ = wire.send(Wire::Connected { open, target, result }).await;
}
