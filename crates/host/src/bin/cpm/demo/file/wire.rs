//! What lies between both: carries octets, and breaks once.

use crate::ladder::Ladder;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long answers to what was carried have to come back.
const ECHO: Duration = Duration::from_millis(100);

/// Passes connections on to `to`; the first is dropped when so many octets went there.
pub(super) async fn break_once(
    to: SocketAddr,
    octets: usize,
    ladder: Ladder,
) -> Result<(SocketAddr, JoinHandle<()>), String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| error.to_string())?;
    let at = listener.local_addr().map_err(|error| error.to_string())?;
    let carry = async move {
        let mut left = Some(octets);
        while let Ok((here, _)) = listener.accept().await {
            let Ok(there) = TcpStream::connect(to).await else { return };
            if let Ok(local) = there.local_addr() {
                ladder.name("alice", local);
            }
            match left.take() {
                Some(octets) => carry_some(here, there, octets).await,
                None => carry_all(here, there).await,
            }
        }
    };
    Ok((at, tokio::spawn(carry)))
}

/// Until one side ends it. An error ends it too, which is all that is to be known.
async fn carry_all(mut here: TcpStream, mut there: TcpStream) {
    let _ = copy_bidirectional(&mut here, &mut there).await;
}

/// Until so many octets went there: then both sides lose their connection.
async fn carry_some(mut here: TcpStream, mut there: TcpStream, octets: usize) {
    let (mut from_here, mut to_here) = here.split();
    let (mut from_there, mut to_there) = there.split();
    let forth = async {
        let mut block = [0; 8192];
        let mut left = octets;
        while left > 0 {
            let room = block.len().min(left);
            let Ok(count @ 1..) = from_here.read(block.get_mut(..room).unwrap_or_default()).await else {
                break;
            };
            if to_there.write_all(block.get(..count).unwrap_or_default()).await.is_err() {
                break;
            }
            left = left.saturating_sub(count);
        }
    };
    // What was answered until then still comes back.
    let forth = async {
        forth.await;
        sleep(ECHO).await;
    };
    tokio::select! {
        () = forth => {}
        _ = tokio::io::copy(&mut from_there, &mut to_here) => {}
    }
}
