//! `cpm serve` as its users see it: two clients on real sockets, with passwords, receipts, a crash in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use cpm_auth::{Account, AnswerPolicy, Secret};
use cpm_base::Transport;
use cpm_client::{
    Client, ClientConfig, ClientEvent, Disposition, Failure, NewMessage, Strangers, contact_uri,
};
use cpm_host::{Clock, HostConfig, Listen, OpenPolicy, Running, Sockets, TrustedPeers, seed_from_os, start};
use cpm_sip::Uri;
use cpm_ua::{Login, NextHop};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server in a process of its own, with its files.
struct Server {
    files: PathBuf,
    child: Child,
    sip: SocketAddr,
    page: SocketAddr,
}

impl Server {
    fn start(name: &str, more: &str) -> Server {
        let files = std::env::temp_dir().join(format!("cpm-serve-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&files);
        std::fs::create_dir_all(&files).unwrap();
        let (child, sip, page) = Self::run(&files, "127.0.0.1:0", more);
        Server { files, child, sip, page }
    }

    fn run(files: &std::path::Path, sip: &str, more: &str) -> (Child, SocketAddr, SocketAddr) {
        let config = files.join("serve.toml");
        let store = files.join("store.redb");
        let text = format!(
            "[listen]\nsip = [{sip:?}]\n[core]\nrealm = \"home.test\"\n[store]\npath = {store:?}\n\
             [metrics]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n{more}\n\
             [[user]]\naddress = \"sip:alice@home.test\"\npassword = \"wonderland\"\n\
             [[user]]\naddress = \"sip:bob@home.test\"\nalso = [\"tel:+15550002\"]\npassword = \"builder\"\n"
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(files.join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_cpm"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let after =
            |word: &str| line.split(word).nth(1).unwrap().split([',', '/', '\n']).next().unwrap().trim();
        assert!(line.starts_with("serving on udp "), "{line}{}", log_of(files));
        let (sip, page) = (after("tcp ").parse().unwrap(), after("http://").parse().unwrap());
        (child, sip, page)
    }

    /// Kills it and starts it again at the same place.
    fn crash(&mut self, more: &str) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (child, sip, page) = Self::run(&self.files, &self.sip.to_string(), more);
        assert_eq!(sip, self.sip);
        (self.child, self.page) = (child, page);
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.page).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// SIGTERM; how long it took to end well.
    fn end(mut self) -> (Duration, String) {
        let began = Instant::now();
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", log_of(&self.files));
        (began.elapsed(), log_of(&self.files))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.files);
    }
}

fn log_of(files: &std::path::Path) -> String {
    std::fs::read_to_string(files.join("log")).unwrap_or_default()
}

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

/// A client that is to prove who it is.
struct Phone(Running<Client>);

impl Phone {
    async fn new(name: &str, password: &str, server: SocketAddr, transport: Transport) -> Phone {
        let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let sockets = Sockets::bind(&[Listen::Sip(here), Listen::Msrp(here)]).unwrap();
        let (sip, msrp) = (sockets.sip_udp().next().unwrap(), sockets.msrp().next().unwrap());
        let mut contact = contact_uri(name, sip);
        if transport == Transport::Tcp {
            contact = contact.with_param("transport", Some("tcp"));
        }
        let instance = format!("urn:uuid:{}", cpm_base::Random::new(seed_from_os().unwrap()).uuid());
        let mut config = ClientConfig::new(uri(&format!("sip:{name}@home.test")), contact, msrp, &instance);
        config.registrar = Some(uri("sip:home.test"));
        config.outbound = Some(NextHop::Address(transport, server));
        (config.settings.display_reports, config.settings.strangers) = (true, Strangers::Report);
        let node = Client::node(config, seed_from_os().unwrap()).unwrap();
        let mut host = HostConfig::new(Clock::start());
        host.open_policy = OpenPolicy { loopback: true, ..OpenPolicy::default() };
        // A server that calls a device does so from any port.
        host.trusted = TrustedPeers { addresses: [server.ip()].into(), ..TrustedPeers::default() };
        let phone = Phone(start(node, sockets, host).unwrap());
        let login = Login {
            account: Account::new(name, "home.test", Secret::password(password)).unwrap(),
            policy: AnswerPolicy::default(),
            address: None,
            hosts: vec![uri("sip:home.test").as_sip().unwrap().host().clone()],
            proxies: true,
        };
        phone
            .0
            .handle
            .command(move |_, _, ports| ports.sip.add_login(login).map(drop))
            .await
            .unwrap()
            .unwrap();
        phone
    }

    async fn register(&mut self) -> ClientEvent {
        let asked = self.0.handle.command(|now, client, ports| client.register(now, ports));
        asked.await.unwrap().unwrap();
        self.next(|event| {
            matches!(event, ClientEvent::Registered { .. } | ClientEvent::RegistrationFailed(_))
        })
        .await
    }

    async fn registered(name: &str, password: &str, server: &Server, transport: Transport) -> Phone {
        let mut phone = Phone::new(name, password, server.sip, transport).await;
        let event = phone.register().await;
        assert!(matches!(event, ClientEvent::Registered { .. }), "{event:?}\n{}", log_of(&server.files));
        phone
    }

    /// The next event that fits; others are passed over.
    async fn next(&mut self, fits: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        let mut seen = Vec::new();
        let found = timeout(PATIENCE, async {
            loop {
                let event = self.0.events.recv().await.unwrap();
                if fits(&event) {
                    return event;
                }
                seen.push(event);
            }
        });
        match found.await {
            Ok(event) => event,
            Err(_) => panic!("nothing fits among {seen:#?}"),
        }
    }

    async fn send(&mut self, to: &str, text: &str) -> ClientEvent {
        self.send_message(NewMessage::text(uri(to), text).with_reports()).await
    }

    async fn send_message(&mut self, message: NewMessage) -> ClientEvent {
        let asked = self.0.handle.command(move |now, client, ports| {
            client.send_message(now, ports, message).map(drop).map_err(|error| error.why.to_string())
        });
        asked.await.unwrap().unwrap();
        self.next(|event| matches!(event, ClientEvent::Sent { .. } | ClientEvent::SendFailed { .. })).await
    }

    /// Takes a message with this text and reads it.
    async fn take(&mut self, text: &str) {
        let event = self.next(|event| matches!(event, ClientEvent::Received(_))).await;
        let ClientEvent::Received(message) = event else { panic!("{event:?}") };
        assert_eq!(message.content, text.as_bytes());
        let id = message.id;
        let read = self.0.handle.command(move |now, client, ports| client.mark_read(now, ports, id));
        assert!(read.await.unwrap());
    }

    async fn told(&mut self, wanted: Disposition) {
        self.next(
            |event| matches!(event, ClientEvent::Disposition { disposition, .. } if *disposition == wanted),
        )
        .await;
    }
}

async fn exchange(from: &mut Phone, to: &mut Phone, address: &str, text: &str, server: &Server) {
    let event = from.send(address, text).await;
    assert!(matches!(event, ClientEvent::Sent { .. }), "{event:?}\n{}", log_of(&server.files));
    to.take(text).await;
    // A reading says that it was delivered, too, and may come first.
    from.told(Disposition::Displayed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_receipts_before_and_after_a_crash() {
    let mut server = Server::start("crash", "");
    let mut alice = Phone::registered("alice", "wonderland", &server, Transport::Udp).await;
    let mut bob = Phone::registered("bob", "builder", &server, Transport::Udp).await;
    exchange(&mut alice, &mut bob, "sip:bob@home.test", "one", &server).await;
    // By the other address, too; receipts come from the first one.
    let event = alice.send_message(NewMessage::text(uri("tel:+15550002"), "two")).await;
    assert!(matches!(event, ClientEvent::Sent { .. }), "{event:?}");
    bob.next(|event| matches!(event, ClientEvent::Received(_))).await;
    server.crash("");
    // Nobody registers anew: the server knows them all the same.
    exchange(&mut alice, &mut bob, "sip:bob@home.test", "three", &server).await;
    exchange(&mut bob, &mut alice, "sip:alice@home.test", "four", &server).await;
    let event = alice.send("sip:bob@home.test", "five").await;
    assert!(matches!(event, ClientEvent::Sent { .. }), "{event:?}");
    alice.told(Disposition::Delivered).await;

    assert!(server.get("/healthz").ends_with("ok\n"));
    let counters = server.get("/metrics");
    assert!(counters.contains("\ncpm_uptime_seconds "), "{counters}");
    assert!(counters.contains("\ncpm_store_commits_total "), "{counters}");
    let (took, log) = server.end();
    assert!(took < Duration::from_secs(2), "{took:?}\n{log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(log.contains("\"registered\"") && log.contains("\"ended\""), "{log}");
    for secret in ["wonderland", "builder", "three", "Digest"] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_survived_over_tcp() {
    let mut server = Server::start("tcp", "");
    let mut alice = Phone::registered("alice", "wonderland", &server, Transport::Tcp).await;
    let mut bob = Phone::registered("bob", "builder", &server, Transport::Tcp).await;
    exchange(&mut alice, &mut bob, "sip:bob@home.test", "one", &server).await;
    server.crash("");
    // Until the devices have noticed.
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Connections are new, and proved anew; devices that listen are called where they said.
    exchange(&mut alice, &mut bob, "sip:bob@home.test", "two", &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_and_strangers_get_nothing() {
    let server = Server::start("wrong", "");
    let mut mallory = Phone::new("alice", "wrong", server.sip, Transport::Udp).await;
    let event = mallory.register().await;
    let ClientEvent::RegistrationFailed(Failure::Rejected { status, .. }) = event else {
        panic!("{event:?}")
    };
    assert_eq!(status.as_u16(), 401);
    let event = mallory.send("sip:bob@home.test", "hello").await;
    let ClientEvent::SendFailed { why: Failure::Rejected { status, .. }, .. } = event else {
        panic!("{event:?}")
    };
    assert_eq!(status.as_u16(), 407);
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymity_is_refused_where_the_policy_says_so() {
    let server = Server::start("anonymous", "[policy]\nanonymity_originating = false");
    let mut alice = Phone::registered("alice", "wonderland", &server, Transport::Udp).await;
    let mut bob = Phone::registered("bob", "builder", &server, Transport::Udp).await;
    let mut message = NewMessage::text(uri("sip:bob@home.test"), "who am I");
    message.anonymous = true;
    let event = alice.send_message(message).await;
    let ClientEvent::SendFailed { why, .. } = event else { panic!("{event:?}") };
    let Failure::Rejected { status, warnings, .. } = &why else { panic!("{why:?}") };
    assert_eq!(status.as_u16(), 403);
    assert!(warnings.iter().any(|text| text.starts_with("119 ")), "{warnings:?}");
    exchange(&mut alice, &mut bob, "sip:bob@home.test", "alice", &server).await;
}

/// The object is kept before the sender hears that it was: then it is there after a crash.
#[tokio::test(flavor = "multi_thread")]
async fn recorded_messages_are_in_the_store() {
    let more = "[policy]\nrecording = \"always\"";
    let mut server = Server::start("recorded", more);
    let mut alice = Phone::registered("alice", "wonderland", &server, Transport::Udp).await;
    let mut bob = Phone::registered("bob", "builder", &server, Transport::Udp).await;
    for index in 0..3 {
        exchange(&mut alice, &mut bob, "sip:bob@home.test", &format!("text {index}"), &server).await;
    }
    server.crash(more);
    exchange(&mut alice, &mut bob, "sip:bob@home.test", "after", &server).await;
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let path = server.files.join("store.redb");
    let store = cpm_host::DiskStore::open(&path, "store.test", cpm_host::DiskLimits::default()).unwrap();
    for user in ["sip:alice@home.test", "sip:bob@home.test"] {
        assert!(store.objects(&uri(user)).unwrap() >= 4, "{user}");
    }
    store.close();
}

#[test]
fn a_configuration_with_a_mistake_ends_at_once() {
    let path = std::env::temp_dir().join(format!("cpm-serve-bad-{}.toml", std::process::id()));
    std::fs::write(&path, "[core]\nrealm = \"x\"\nrelam = \"y\"\n").unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_cpm")).args(["serve", "--config"]).arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("line 3: core has no key \"relam\""), "{error}");
}
