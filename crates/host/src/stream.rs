//! The task of one stream connection: carries octets between its socket and the node's task, nothing else.

use crate::Limits;
use crate::driver::Wire;
use crate::tap::{Path, Tap, What};
use bytes::{BufMut, Bytes, BytesMut};
use cpm_base::{CloseReason, FlowId};
use std::io;
use std::pin::pin;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::timeout;

/// What the node's task hands to a stream's task. As many are under way at a time as the channel holds, so that it is
/// never full; when the channel is closed the stream is to be closed.
pub(crate) struct Block(pub(crate) Vec<u8>);

/// One connection.
pub(crate) struct Stream {
    pub(crate) flow: FlowId,
    pub(crate) path: Path,
    pub(crate) tap: Tap,
    pub(crate) limits: Limits,
    pub(crate) wire: mpsc::Sender<Wire>,
    /// Changes when the node's task has dealt with what was read, and its answer is on the way. False: the node does not
    /// want more at the moment.
    pub(crate) dealt_with: watch::Receiver<bool>,
    /// Held as long as the connection lives.
    pub(crate) _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// Runs until both directions have ended. `blocks` closed means: our side has nothing more to say.
    pub(crate) async fn run(self, socket: TcpStream, blocks: mpsc::Receiver<Block>) {
        let (read, write) = socket.into_split();
        let mut reader = pin!(self.read(read));
        let mut writer = pin!(self.write(write, blocks));
        tokio::select! {
            () = &mut reader => writer.await,
            () = &mut writer => {
                // What the far side still sends is read and thrown away by the node's task: closing a socket with
                // octets unread resets the connection, and a reset destroys what was sent last.
                let _ = timeout(self.limits.linger, reader).await;
            }
        }
    }

    async fn read(&self, socket: OwnedReadHalf) {
        let mut block = BytesMut::with_capacity(self.limits.read_block);
        let mut dealt_with = self.dealt_with.clone();
        let mut waits = false;
        let why = loop {
            if socket.readable().await.is_err() {
                break CloseReason::Failed;
            }
            block.reserve(self.limits.read_block);
            match socket.try_read_buf(&mut (&mut block).limit(self.limits.read_block)) {
                Ok(0) => {
                    self.tap.happened(self.path, What::PeerEnded);
                    break CloseReason::PeerClosed;
                }
                Ok(_) => {
                    let bytes = take(&mut block, self.limits.read_block);
                    self.tap.happened(self.path, What::Received(&bytes));
                    // One block ahead of the node at most: a stream may not crowd out the others, nor its own answers.
                    if waits {
                        let _ = timeout(self.limits.read_hold, dealt_with.changed()).await;
                    }
                    waits = true;
                    // The node holds the far side back; a node's task that has let go of this stream does not.
                    let _ = dealt_with.wait_for(|wanted| *wanted).await;
                    let read = Wire::Read { flow: self.flow, bytes };
                    if self.wire.send(read).await.is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break CloseReason::Failed,
            }
        };
        self.over(why).await;
    }

    async fn write(&self, mut socket: OwnedWriteHalf, mut blocks: mpsc::Receiver<Block>) {
        while let Some(Block(mut block)) = blocks.recv().await {
            if self.write_block(&socket, &block).await.is_err() {
                self.over(CloseReason::Failed).await;
                return;
            }
            block.clear();
            if self.wire.send(Wire::Written { flow: self.flow, block }).await.is_err() {
                break;
            }
        }
        self.tap.happened(self.path, What::Ended);
        let _ = timeout(self.limits.write_stall, socket.shutdown()).await;
    }

    async fn write_block(&self, socket: &OwnedWriteHalf, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            timeout(self.limits.write_stall, socket.writable()).await??;
            match self.tap.sending(self.path, rest, || socket.try_write(rest)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn over(&self, why: CloseReason) {
        // A node that is gone needs not be told.
        let _ = self.wire.send(Wire::Over { flow: self.flow, why }).await;
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
