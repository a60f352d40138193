//! The task of one stream connection: waits on its socket for the node's task, which reads and writes there itself as long
//! as nothing has to be waited for.

use crate::Limits;
use crate::driver::Wire;
use crate::tap::{Path, Tap, What};
use bytes::{BufMut, Bytes, BytesMut};
use cpm_base::{CloseReason, FlowId};
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::timeout;

/// Octets that the socket would not take at once: the stream's task writes them from here on and gives the block back
/// empty. There is one at a time; when the channel is closed the stream is to be closed.
pub(crate) struct Block {
    pub(crate) octets: Vec<u8>,
    pub(crate) from: usize,
}

/// One connection.
pub(crate) struct Stream {
    pub(crate) flow: FlowId,
    pub(crate) path: Path,
    pub(crate) tap: Tap,
    pub(crate) limits: Limits,
    pub(crate) wire: mpsc::Sender<Wire>,
    /// Changes when the node's task has dealt with what was to be read, and its answer is on the way. False: the node
    /// does not want more at the moment.
    pub(crate) dealt_with: watch::Receiver<bool>,
    /// Held as long as the connection lives.
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// Runs until both directions have ended. `blocks` closed means: our side has nothing more to say.
    pub(crate) async fn run(self, socket: Arc<TcpStream>, blocks: mpsc::Receiver<Block>) {
        let mut reader = pin!(self.read(&socket));
        let mut writer = pin!(self.write(&socket, blocks));
        tokio::select! {
            () = &mut reader => writer.await,
            () = &mut writer => {
                // What the far side still sends is read and thrown away: closing a socket with octets unread resets the
                // connection, and a reset destroys what was sent last.
                let _ = timeout(self.limits.linger, reader).await;
            }
        }
    }

    async fn read(&self, socket: &TcpStream) {
        let mut dealt_with = self.dealt_with.clone();
        let mut waits = false;
        loop {
            if socket.readable().await.is_err() {
                return self.over(CloseReason::Failed).await;
            }
            // One turn of the node at a time: a stream may not crowd out the others, nor its own answers.
            let gone =
                waits && matches!(timeout(self.limits.read_hold, dealt_with.changed()).await, Ok(Err(_)));
            waits = true;
            // The node holds the far side back; a node's task that has let go of this stream does not.
            if gone || dealt_with.wait_for(|wanted| *wanted).await.is_err() {
                return drain(socket).await;
            }
            if self.wire.send(Wire::Readable { flow: self.flow }).await.is_err() {
                return;
            }
        }
    }

    async fn write(&self, socket: &TcpStream, mut blocks: mpsc::Receiver<Block>) {
        while let Some(Block { mut octets, from }) = blocks.recv().await {
            let rest = octets.get(from..).unwrap_or_default();
            if self.write_block(socket, rest).await.is_err() {
                self.over(CloseReason::Failed).await;
                return;
            }
            octets.clear();
            if self.wire.send(Wire::Written { flow: self.flow, block: octets }).await.is_err() {
                break;
            }
        }
        self.tap.happened(self.path, What::Ended);
        // One that has broken has ended.
        let _ = socket2::SockRef::from(socket).shutdown(Shutdown::Write);
    }

    async fn write_block(&self, socket: &TcpStream, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            timeout(self.limits.write_stall, socket.writable()).await??;
            let count = write_now(&self.tap, self.path, socket, rest)?;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    async fn over(&self, why: CloseReason) {
        // A node that is gone needs not be told.
        let _ = self.wire.send(Wire::Over { flow: self.flow, why }).await;
    }
}

/// Writes what the socket takes at once.
pub(crate) fn write_now(tap: &Tap, path: Path, socket: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    match tap.sending(path, octets, || socket.try_write(octets)) {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// What reading a socket at once brings.
pub(crate) enum Reading {
    Octets(Bytes),
    Nothing,
    Ended(CloseReason),
}

/// Reads what is there, at most `most` octets. `block` is shared by all streams of a node.
pub(crate) fn read_now(
    tap: &Tap,
    path: Path,
    socket: &TcpStream,
    block: &mut BytesMut,
    most: usize,
) -> Reading {
    block.reserve(most);
    match socket.try_read_buf(&mut (&mut *block).limit(most)) {
        Ok(0) => {
            tap.happened(path, What::PeerEnded);
            Reading::Ended(CloseReason::PeerClosed)
        }
        Ok(_) => {
            let bytes = take(block, most);
            tap.happened(path, What::Received(&bytes));
            Reading::Octets(bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Reading::Nothing,
        Err(_) => Reading::Ended(CloseReason::Failed),
    }
}

/// Throws away what comes, to the end.
async fn drain(socket: &TcpStream) {
    let mut block = vec![0; 4_096];
    while socket.readable().await.is_ok() {
        match socket.try_read(&mut block) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}

/// What was read. A long piece keeps the memory that it was read into; a short one would hold more than itself there, and is
/// copied.
fn take(block: &mut BytesMut, capacity: usize) -> Bytes {
    if block.len() >= capacity / 2 {
        return block.split().freeze();
    }
    let bytes = Bytes::copy_from_slice(block);
    block.clear();
    bytes
}
