//! `cpm demo file`: a file offered with `file-selector` (RFC 5547), the connection cut in the middle, the rest by
//! `file-range`; whole only when both hashes are equal.

mod receiver;
mod sender;
mod wire;

use crate::args::Demo as Options;
use crate::ladder::Ladder;
use crate::msrp::hex;
use crate::msrp::send::progress_bar;
use crate::record;
use bytes::Bytes;
use cpm_base::{Random, Seed};
use cpm_core::{Function, Node, NodeConfig};
use cpm_host::{Clock, HostConfig, Listen, Once, OpenPolicy, Running, Sockets, Tap, seed_from_os, start};
use cpm_msrp::MsrpUri;
use cpm_sdp::{MsrpMedia, Negotiated};
use cpm_sim::ladder::Options as Drawing;
use cpm_sip::{Contact, Uri};
use receiver::{Received, Receiver};
use sender::{Sender, Sent};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Octets of the file.
const SIZE: usize = 2_000_000;
/// The connection breaks when so many octets of it have passed.
const CUT: usize = SIZE / 2;
/// The type and the name that are offered.
const MEDIA_TYPE: &str = "application/octet-stream";
const NAME: &str = "holiday video.mpg";
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const WIDTH: usize = 100;

/// Where one of the two is reached.
struct Party {
    contact: Uri,
    /// The address in its session descriptions.
    msrp: SocketAddr,
}

impl Party {
    fn contact(&self) -> Contact {
        Contact::new(self.contact.clone())
    }

    /// What both say of the medium; `path` is an MSRP URI of ours.
    fn media(&self, path: String) -> MsrpMedia {
        let transport = cpm_sdp::MsrpTransport::Tcp;
        MsrpMedia {
            accept_types: vec![MEDIA_TYPE.to_owned()],
            max_chunk_size_kb: Some(100),
            ..MsrpMedia::new(transport, self.msrp.ip(), self.msrp.port(), path)
        }
    }
}

/// The far side's path.
fn path(negotiated: &Negotiated) -> Result<Vec<MsrpUri>, String> {
    negotiated.remote_path.iter().map(|uri| MsrpUri::parse(uri).map_err(|error| error.to_string())).collect()
}

/// Runs it, draws it and says how it ended.
pub(crate) async fn demo(options: &Options) -> Result<(), String> {
    let clock = Clock::start();
    let ladder = Ladder::default();
    let tap = record::tap(clock, &options.record, vec![Box::new(Once::new(ladder.clone()))])?;
    let end = timeout(options.timeout, play(clock, &tap, &ladder)).await;
    record::finish(&tap)?;
    let drawing = Drawing { color: options.color.wanted(), width: WIDTH, ..Drawing::default() };
    super::print(&format!("{}\n", ladder.draw(&["alice", "bob"], &drawing)))?;
    match end {
        Ok(Ok(summary)) => super::print(&summary),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("not through after {} s", options.timeout.as_secs_f32())),
    }
}

/// Both nodes, and what is between them.
struct Stage {
    alice: Running<Sender>,
    bob: Running<Receiver>,
    to_bob: Uri,
}

async fn play(clock: Clock, tap: &Tap, ladder: &Ladder) -> Result<String, String> {
    let mut random = Random::new(seed_from_os().map_err(|error| error.to_string())?);
    let file = content(&mut random);
    let (mut stage, network) = stage(clock, tap, ladder, &file, &mut random).await?;
    let result = act(&mut stage, clock, ladder, &file).await;
    // Answers to the last requests belong into the diagram.
    sleep(Duration::from_millis(50)).await;
    let _ = stage.alice.stop().await;
    let _ = stage.bob.stop().await;
    network.abort();
    result
}

fn content(random: &mut Random) -> Bytes {
    std::iter::repeat_with(|| random.public_u64().to_le_bytes()).flatten().take(SIZE).collect()
}

async fn stage(
    clock: Clock,
    tap: &Tap,
    ladder: &Ladder,
    file: &Bytes,
    random: &mut Random,
) -> Result<(Stage, tokio::task::JoinHandle<()>), String> {
    let bind = |name| -> Result<(Sockets, SocketAddr, SocketAddr), String> {
        let sockets =
            Sockets::bind(&[Listen::Sip(HERE), Listen::Msrp(HERE)]).map_err(|error| error.to_string())?;
        let sip = sockets.sip_udp().next().ok_or("no socket for SIP")?;
        let msrp = sockets.msrp().next().ok_or("no socket for MSRP")?;
        ladder.name(name, sip);
        ladder.name(name, msrp);
        Ok((sockets, sip, msrp))
    };
    let (alice_sockets, alice_sip, alice_msrp) = bind("alice")?;
    let (bob_sockets, bob_sip, bob_msrp) = bind("bob")?;
    let (between, network) = wire::break_once(bob_msrp, CUT, ladder.clone()).await?;
    ladder.name("bob", between);
    let to_bob = uri("bob", bob_sip)?;
    let alice = Party { contact: uri("alice", alice_sip)?, msrp: alice_msrp };
    let bob = Party { contact: to_bob.clone(), msrp: between };
    let alice = run(Sender::new(alice, file.clone()), "alice", alice_sockets, clock, tap, random.fork())?;
    let bob = run(Receiver::new(bob)?, "bob", bob_sockets, clock, tap, random.fork())?;
    Ok((Stage { alice, bob, to_bob }, network))
}

fn run<F>(
    function: F,
    name: &str,
    sockets: Sockets,
    clock: Clock,
    tap: &Tap,
    seed: Seed,
) -> Result<Running<F>, String>
where
    F: Function + Send + 'static,
    F::Event: Send + 'static,
{
    let config = NodeConfig::user_agent(seed, concat!("cpm/", env!("CARGO_PKG_VERSION")));
    let node = Node::new(function, config).map_err(|error| error.to_string())?;
    let mut host = HostConfig::new(clock);
    host.tap = tap.for_node(name);
    host.open_policy = OpenPolicy { loopback: true, ..OpenPolicy::default() };
    start(node, sockets, host).map_err(|error| error.to_string())
}

fn uri(user: &str, at: SocketAddr) -> Result<Uri, String> {
    Uri::parse(&format!("sip:{user}@{at}")).map_err(|error| error.to_string())
}

/// Sends, is cut off, resumes.
async fn act(stage: &mut Stage, clock: Clock, ladder: &Ladder, file: &Bytes) -> Result<String, String> {
    let bar = progress_bar(NAME, u64::try_from(SIZE).ok());
    offer(stage, 0).await?;
    let (mut taken, mut there) = (None, None);
    let (taken, there) = loop {
        match next(stage).await? {
            Told::Alice(Sent::Progress(octets)) => bar.set_position(octets),
            Told::Alice(Sent::Broken(octets)) => taken = Some(octets),
            Told::Bob(Received::Incomplete(octets)) => there = Some(octets),
            Told::Alice(Sent::Whole) | Told::Bob(Received::Complete(_)) => {
                return Err("the file was through before the connection broke".to_owned());
            }
            Told::Alice(Sent::Failed(why)) | Told::Bob(Received::Failed(why)) => return Err(why),
        }
        if let (Some(taken), Some(there)) = (taken, there) {
            break (taken, there);
        }
    };
    ladder.note(clock.now().mono, "bob", &format!("{there} octets are there"));
    ladder.note(clock.now().mono, "alice", &format!("resumes behind {taken}"));
    offer(stage, taken).await?;
    let (mut whole, mut hash) = (false, None);
    let hash = loop {
        match next(stage).await? {
            Told::Alice(Sent::Progress(octets)) => bar.set_position(octets),
            Told::Alice(Sent::Whole) => whole = true,
            Told::Bob(Received::Complete(octets)) => hash = Some(octets),
            Told::Alice(Sent::Broken(_)) | Told::Bob(Received::Incomplete(_)) => {
                return Err("the connection broke again".to_owned());
            }
            Told::Alice(Sent::Failed(why)) | Told::Bob(Received::Failed(why)) => return Err(why),
        }
        if let (true, Some(hash)) = (whole, &hash) {
            break hash.clone();
        }
    };
    bar.finish_and_clear();
    ladder.note(clock.now().mono, "bob", "the hash is right");
    judge(stage, file, taken, &hash).await
}

async fn offer(stage: &Stage, from: u64) -> Result<(), String> {
    let to = stage.to_bob.clone();
    let offered = stage.alice.handle.command(move |now, alice, ports| alice.offer(now, ports, to, from));
    offered.await.map_err(|error| error.to_string())?
}

enum Told {
    Alice(Sent),
    Bob(Received),
}

async fn next(stage: &mut Stage) -> Result<Told, String> {
    let told = tokio::select! {
        told = stage.alice.events.recv() => told.map(Told::Alice),
        told = stage.bob.events.recv() => told.map(Told::Bob),
    };
    told.ok_or_else(|| "a node has stopped".to_owned())
}

/// Compares what was sent with what lies on Bob's side, beside what the sink says.
async fn judge(stage: &Stage, file: &Bytes, resumed: u64, told: &[u8]) -> Result<String, String> {
    let read = stage.bob.handle.command(|_, bob, _| bob.read_all());
    let there = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let (sent, received) = (Sha256::digest(file), Sha256::digest(&there));
    if sent != received || received.as_slice() != told {
        return Err(format!("SHA-256 {} was sent, {} is there", hex(&sent), hex(&received)));
    }
    let size = there.len();
    Ok(format!(
        "{NAME:?}, {size} octets: cut, resumed behind octet {resumed}, whole; SHA-256 {}\n",
        hex(&sent)
    ))
}
