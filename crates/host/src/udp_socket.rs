//! A UDP socket of a node: written to directly, and waited for only to be read.
//!
//! A socket that is waited for to be written as well wakes its task each time that the system has room again, which it has
//! after every datagram that was sent.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::task::Context;
#[cfg(unix)]
use tokio::io::{Interest, unix::AsyncFd};

/// Both ends of it.
#[derive(Debug)]
pub(crate) struct UdpEnds {
    /// To send: never waits.
    pub(crate) socket: Arc<UdpSocket>,
    /// To receive.
    pub(crate) reader: UdpReader,
}

/// What waits for datagrams.
#[derive(Debug)]
pub(crate) struct UdpReader {
    #[cfg(unix)]
    socket: AsyncFd<Arc<UdpSocket>>,
    #[cfg(not(unix))]
    socket: tokio::net::UdpSocket,
}

impl UdpEnds {
    /// Of a socket that does not block. Must be called inside a tokio runtime.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let socket = Arc::new(socket);
        #[cfg(unix)]
        #[expect(
            deprecated,
            reason = "what takes its place is unsafe; a socket of std is always the same descriptor"
        )]
        let reader = AsyncFd::with_interest(Arc::clone(&socket), Interest::READABLE)?;
        #[cfg(not(unix))]
        let reader = tokio::net::UdpSocket::from_std(socket.try_clone()?)?;
        Ok(UdpEnds { socket, reader: UdpReader { socket: reader } })
    }
}

impl UdpReader {
    /// Whether a datagram may be waiting; if not, the task is woken when one comes.
    pub(crate) fn is_ready(&self, context: &mut Context<'_>) -> bool {
        #[cfg(unix)]
        return self.socket.poll_read_ready(context).is_ready();
        #[cfg(not(unix))]
        return self.socket.poll_recv_ready(context).is_ready();
    }

    /// The next datagram, how many octets it has, and where it is from. `WouldBlock` when there is none.
    pub(crate) fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        #[cfg(unix)]
        return self.socket.try_io(Interest::READABLE, |socket| socket.recv_from(buffer));
        #[cfg(not(unix))]
        return self.socket.try_recv_from(buffer);
    }
}

/// Sends what the system did not take at once, as soon as it does.
pub(crate) async fn send_waiting(
    socket: &UdpSocket,
    mut send: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match send() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
        // Rare: it is waited for under another name, and only for so long.
        tokio::net::UdpSocket::from_std(socket.try_clone()?)?.writable().await?;
    }
}
