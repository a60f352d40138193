//! `cpm chat`: a registered client in a terminal, for pager messages.

pub(crate) mod args;
mod kept;
mod screen;
mod talk;

use crate::listen::{Signals, address_towards};
use crate::record;
use args::{Chat as Options, Told};
use cpm_auth::{Account, AnswerPolicy, Secret};
use cpm_base::Transport;
use cpm_client::{
    Client, ClientConfig, ClientEvent, HistoryEntry, NewMessage, ReceivedId, ReceivedMessage, SentId,
    Strangers, contact_uri,
};
use cpm_core::Record;
use cpm_host::{
    Clock, DiskStore, HostConfig, Listen, Running, Sockets, Tap, TrustedPeers, seed_from_os, start,
};
use cpm_sip::{Host, Uri};
use cpm_ua::{Login, NextHop};
use kept::Kept;
use screen::Screen;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::Duration;
use talk::{HELP, Line, Said, Talk};
use tokio::time::{Instant, sleep, timeout};

/// How long the registration may take.
const REGISTRATION: Duration = Duration::from_secs(40);
/// How long what is under way may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Lines of earlier chats that are shown at most.
const EARLIER: usize = 50;

/// Runs until the user, the input or a signal ends it.
pub(crate) async fn chat(options: &Options) -> Result<(), String> {
    let clock = Clock::start();
    let tap = record::tap(clock, &options.record, Vec::new())?;
    let mut signals = Signals::install()?;
    let kept =
        options.store.as_deref().map(|directory| Kept::open(directory, &options.identity)).transpose()?;
    let (mut running, before) = run(options, clock, tap.clone(), kept).await?;
    let store = before.store.clone();
    let result = match register(&mut running).await {
        Ok(early) => talk(options, clock, &mut running, &mut signals, before, early).await,
        Err(why) => Err(why),
    };
    // The node's counters are of no interest here.
    let _ = running.stop().await;
    if let Some(store) = store {
        // What it was given last is still written.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
    record::finish(&tap)?;
    result
}

/// What an earlier chat left.
#[derive(Default)]
struct Before {
    store: Option<DiskStore>,
    history: Vec<HistoryEntry>,
    said: Vec<(SentId, Said)>,
}

async fn run(
    options: &Options,
    clock: Clock,
    tap: Tap,
    kept: Option<Kept>,
) -> Result<(Running<Client>, Before), String> {
    let bind = match options.bind {
        Some(address) => address,
        None => {
            let own =
                address_towards(options.server).map_err(|error| format!("no way to the server: {error}"))?;
            SocketAddr::new(own, 0)
        }
    };
    let sockets = Sockets::bind(&[Listen::Sip(bind), Listen::Msrp(SocketAddr::new(bind.ip(), 0))])
        .map_err(|error| error.to_string())?;
    let (Some(sip), Some(msrp)) = (sockets.sip_udp().next(), sockets.msrp().next()) else {
        return Err("no sockets to listen on".to_owned());
    };
    let mut instance = instance(&options.identity, options.device.as_deref())?;
    let (mut before, mut records) = (Before::default(), Vec::new());
    if let Some(mut kept) = kept {
        if options.device.is_none() {
            instance = kept.device(instance).await?;
        }
        before = Before { store: Some(kept.store), history: Vec::new(), said: kept.said };
        records = kept.records;
    }
    let config = client_config(options, sip, msrp, &instance, &before.said)?;
    before.history = Client::history(&records, &config);
    let seed = seed_from_os().map_err(|error| error.to_string())?;
    let mut node = Client::restored(config, seed, records).map_err(|error| error.to_string())?;
    if let Some(login) = login(options)? {
        node.command(clock.now(), |_, ports| ports.sip.add_login(login))
            .map_err(|error| error.to_string())?;
    }
    let mut host = HostConfig::new(clock);
    host.tap = tap;
    // What the server asserts is believed; what others send is not.
    host.trusted = TrustedPeers { sockets: [options.server].into(), ..TrustedPeers::default() };
    host.store = match &before.store {
        Some(store) => Box::new(store.clone()),
        // What is on the screen is all that is kept.
        None => Box::new(|_: Record| Ok(())),
    };
    let running = start(node, sockets, host).map_err(|error| error.to_string())?;
    Ok((running, before))
}

fn client_config(
    options: &Options,
    sip: SocketAddr,
    msrp: SocketAddr,
    instance: &str,
    said: &[(SentId, Said)],
) -> Result<ClientConfig, String> {
    let user = user_of(&options.identity);
    let contact = contact_uri(&user, sip);
    let mut config = ClientConfig::new(options.identity.clone(), contact, msrp, instance);
    let transport = if options.tcp { Transport::Tcp } else { Transport::Udp };
    let domain =
        host_of(&options.identity).map_or_else(|| options.server.to_string(), |host| host.to_string());
    let registrar = Uri::parse(&format!("sip:{domain}")).map_err(|error| error.to_string())?;
    config.registrar = Some(registrar);
    config.outbound = Some(NextHop::Address(transport, options.server));
    config.display_name.clone_from(&options.device);
    config.settings.display_reports = !options.no_read;
    // Nobody is asked at the terminal: who uses it wants to see receipts at work.
    config.settings.strangers = match options.strangers {
        Told::Report => Strangers::Report,
        Told::Ask => Strangers::Ask,
        Told::Silent => Strangers::Silent,
    };
    let known = said.iter().filter_map(|(_, said)| Uri::parse(&said.to).ok());
    config.contacts = options.to.iter().cloned().chain(known).map(|uri| uri.address_key()).collect();
    config.product = concat!("cpm/", env!("CARGO_PKG_VERSION")).to_owned();
    Ok(config)
}

/// The device: its name, where it has one, makes it the same after a restart; RFC 9562 §5.8 leaves how to us.
fn instance(identity: &Uri, device: Option<&str>) -> Result<String, String> {
    let seed = seed_from_os().map_err(|error| error.to_string())?;
    let Some(device) = device else {
        return Ok(format!("urn:uuid:{}", cpm_base::Random::new(seed).uuid()));
    };
    let hash = Sha256::new_with_prefix(b"cpm chat\n").chain_update(identity.as_str());
    let hash = hash.chain_update(b"\n").chain_update(device).finalize();
    let hex: String = hash.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    let (a, b, c, d) = (part(0, 8), part(8, 12), part(13, 16), part(17, 20));
    Ok(format!("urn:uuid:{a}-{b}-8{c}-8{d}-{}", part(20, 32)))
}

fn user_of(identity: &Uri) -> String {
    let user = identity.as_sip().and_then(|uri| uri.user().map(|user| user.to_string()));
    user.unwrap_or_else(|| "chat".to_owned())
}

fn host_of(identity: &Uri) -> Option<&Host> {
    identity.as_sip().map(cpm_sip::SipUri::host)
}

/// The account that answers challenges; none without a password.
fn login(options: &Options) -> Result<Option<Login>, String> {
    let Some(password) = password(options)? else { return Ok(None) };
    let user = options.user.clone().unwrap_or_else(|| user_of(&options.identity));
    let realm = match (&options.realm, host_of(&options.identity)) {
        (Some(realm), _) => realm.clone(),
        (None, Some(host)) => host.to_string(),
        (None, None) => return Err("the realm of the account is not known: give --realm".to_owned()),
    };
    let account =
        Account::new(&user, &realm, Secret::password(&password)).map_err(|error| error.to_string())?;
    Ok(Some(Login {
        account,
        policy: AnswerPolicy::default(),
        address: Some(options.identity.clone()),
        hosts: host_of(&options.identity).cloned().into_iter().collect(),
        proxies: true,
    }))
}

fn password(options: &Options) -> Result<Option<String>, String> {
    if let Some(path) = &options.password_file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        return Ok(Some(text.lines().next().unwrap_or_default().to_owned()));
    }
    Ok(options.password.clone().or_else(|| std::env::var("CPM_PASSWORD").ok()))
}

/// Registers; what happened until then is for the screen.
async fn register(running: &mut Running<Client>) -> Result<Vec<ClientEvent>, String> {
    let asked = running.handle.command(|now, client, ports| client.register(now, ports));
    asked.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let answer = async {
        let mut early = Vec::new();
        loop {
            match running.events.recv().await {
                Some(ClientEvent::Registered { .. }) => return Ok(early),
                Some(ClientEvent::RegistrationFailed(why)) => return Err(format!("not registered: {why}")),
                Some(other) => early.push(other),
                None => return Err("the client has stopped".to_owned()),
            }
        }
    };
    timeout(REGISTRATION, answer).await.map_err(|_| "the server does not answer".to_owned())?
}

/// The chat itself.
struct Room<'a> {
    clock: Clock,
    running: &'a mut Running<Client>,
    screen: Screen,
    talk: Talk,
    to: Option<Uri>,
    last: Option<Box<ReceivedMessage>>,
    /// Whom one has written to.
    contacts: Vec<Uri>,
    /// Messages whose senders asked, and who has no answer yet.
    asking: Vec<ReceivedId>,
    /// Where what is said is kept.
    store: Option<DiskStore>,
}

async fn talk(
    options: &Options,
    clock: Clock,
    running: &mut Running<Client>,
    signals: &mut Signals,
    before: Before,
    early: Vec<ClientEvent>,
) -> Result<(), String> {
    let screen = Screen::take()?;
    let mut room = Room {
        clock,
        running,
        screen,
        talk: Talk::default(),
        to: options.to.clone(),
        last: None,
        contacts: options.to.iter().cloned().collect(),
        asking: Vec::new(),
        store: before.store,
    };
    room.screen.show(&format!("registered as {}; /help lists commands\n", options.identity))?;
    room.remember(before.said, before.history).await?;
    for event in early {
        room.happened(event).await?;
    }
    loop {
        tokio::select! {
            event = room.running.events.recv() => match event {
                Some(event) => room.happened(event).await?,
                None => return Err("the client has stopped".to_owned()),
            },
            line = room.screen.lines.recv() => match line.as_deref().map(talk::read) {
                Some(Line::Quit) | None => break,
                Some(line) => room.typed(line).await?,
            },
            () = signals.any() => break,
        }
    }
    room.leave().await
}

impl Room<'_> {
    /// What earlier chats said and showed; what they did not get to show counts as read from now on, and who had no answer
    /// asks again.
    async fn remember(
        &mut self,
        said: Vec<(SentId, Said)>,
        history: Vec<HistoryEntry>,
    ) -> Result<(), String> {
        for (id, said) in said {
            self.contacts.extend(Uri::parse(&said.to).ok().filter(|uri| !self.contacts.contains(uri)));
            self.talk.take_up(id, said);
        }
        let text = self.talk.earlier(&history, EARLIER);
        if !text.is_empty() {
            self.screen.show(&text)?;
        }
        let asking = self.running.handle.with_node(|node, _| node.function().awaiting_consent().collect());
        self.asking = asking.await.map_err(|error| error.to_string())?;
        for entry in history {
            let HistoryEntry::Message { message, read } = entry else { continue };
            if self.asking.contains(&message.id) {
                self.screen.show(&talk::asked_before(&message))?;
            }
            if read.is_none() {
                self.read(message.id).await?;
            }
            self.last = Some(message);
        }
        if let Some(last) = self.last.as_ref().filter(|_| self.to.is_none()) {
            self.to.clone_from(&last.reply_to);
        }
        Ok(())
    }

    async fn read(&self, id: ReceivedId) -> Result<(), String> {
        let read = self.running.handle.command(move |now, client, ports| client.mark_read(now, ports, id));
        read.await.map(|_| ()).map_err(|error| error.to_string())
    }

    async fn happened(&mut self, event: ClientEvent) -> Result<(), String> {
        if let Some(text) = self.talk.told(&event) {
            self.screen.show(&text)?;
        }
        let message = match event {
            ClientEvent::Received(message) => message,
            ClientEvent::ConsentWanted { id, .. } => {
                self.asking.push(id);
                return Ok(());
            }
            _ => return Ok(()),
        };
        if self.to.is_none() {
            self.to.clone_from(&message.reply_to);
        }
        let id = message.id;
        self.last = Some(message);
        self.read(id).await
    }

    async fn typed(&mut self, line: Line) -> Result<(), String> {
        let to = |room: &Self, text: &str| room.to.clone().map(|to| NewMessage::text(to, text));
        let (message, text) = match line {
            Line::Say(text) => (to(self, &text), text),
            Line::SayAnonymously(text) => {
                let message = to(self, &text).map(|message| NewMessage { anonymous: true, ..message });
                (message, text)
            }
            Line::Reply(text) => {
                let Some(original) = &self.last else { return self.screen.show("nobody has written yet\n") };
                let Some(reply) = NewMessage::reply(original, &text) else {
                    return self.screen.show("the last message does not say where an answer would go\n");
                };
                (Some(reply), text)
            }
            Line::To(uri) => {
                let now = format!("from now on to {}\n", crate::terminal::harmless(uri.as_str(), false));
                self.to = Some(*uri);
                return self.screen.show(&now);
            }
            Line::Allow => return self.allow().await,
            Line::Help => return self.screen.show(HELP),
            Line::Wrong(why) => return self.screen.show(&format!("{why}\n")),
            Line::Nothing | Line::Quit => return Ok(()),
        };
        match message {
            Some(message) => self.say(message.with_reports(), &text).await,
            None => self.screen.show("to whom? /to ADDRESS says it\n"),
        }
    }

    async fn allow(&mut self) -> Result<(), String> {
        while let Some(id) = self.asking.pop() {
            let told =
                self.running.handle.command(move |now, client, ports| client.consent(now, ports, id, true));
            // One that has its answer, or that is forgotten, asks no more: the one before it does.
            if told.await.map_err(|error| error.to_string())? {
                return Ok(());
            }
        }
        self.screen.show("nobody has asked\n")
    }

    /// Whom one writes to, one knows.
    async fn know(&mut self, who: &Uri) -> Result<(), String> {
        if self.contacts.contains(who) {
            return Ok(());
        }
        self.contacts.push(who.clone());
        let all = self.contacts.clone();
        let known = self.running.handle.command(move |_, client, _| client.set_contacts(&all));
        known.await.map_err(|error| error.to_string())
    }

    async fn say(&mut self, message: NewMessage, text: &str) -> Result<(), String> {
        let Some(to) = message.to.uris().first().cloned() else {
            return self.screen.show("to whom? /to ADDRESS says it\n");
        };
        self.know(&to).await?;
        let at = self.clock.now().wall;
        let sent = self.running.handle.command(move |now, client, ports| {
            client.send_message(now, ports, message).map_err(|error| error.why.to_string())
        });
        match sent.await.map_err(|error| error.to_string())? {
            Ok(sent) => {
                let (line, forgotten) = self.talk.said(&sent, &to, text, at);
                self.screen.show(&line)?;
                let (Some(store), Some(said)) = (&mut self.store, self.talk.known(sent.id)) else {
                    return Ok(());
                };
                // The message itself is the client's to keep; this is for later reports.
                match kept::keep_said(store, sent.id, said, forgotten).await {
                    Ok(()) => Ok(()),
                    Err(why) => self.screen.show(&format!("{why}\n")),
                }
            }
            Err(why) => self.screen.show(&format!("not sent: {why}\n")),
        }
    }

    /// What was said is waited for, but not for ever; then the registration ends.
    async fn leave(mut self) -> Result<(), String> {
        let end = Instant::now() + LAST_WORDS;
        while Instant::now() < end && (self.talk.waits() || !self.is_idle().await) {
            match timeout(Duration::from_millis(20), self.running.events.recv()).await {
                Ok(Some(event)) => self.happened(event).await?,
                Ok(None) => break,
                Err(_) => {}
            }
        }
        let gone = self.running.handle.command(|now, client, ports| client.deregister(now, ports));
        if gone.await.is_ok_and(|asked| asked.is_ok()) {
            let end = Instant::now() + LAST_WORDS;
            while Instant::now() < end {
                match timeout(Duration::from_millis(20), self.running.events.recv()).await {
                    Ok(Some(ClientEvent::Deregistered | ClientEvent::RegistrationFailed(_)) | None) => break,
                    Ok(Some(event)) => self.happened(event).await?,
                    Err(_) => sleep(Duration::from_millis(1)).await,
                }
            }
        }
        Ok(())
    }

    async fn is_idle(&self) -> bool {
        self.running.handle.with_node(|node, _| node.function().is_idle()).await != Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_device_is_the_same_again() {
        let uri = |text| Uri::parse(text).unwrap();
        let of = |who, device| instance(&uri(who), Some(device)).unwrap();
        let tablet = of("sip:bob@example.com", "tablet");
        assert_eq!(tablet, of("sip:bob@example.com", "tablet"));
        assert_ne!(tablet, of("sip:bob@example.com", "phone"));
        assert_ne!(tablet, of("sip:alice@example.com", "tablet"));
        assert_eq!(tablet.len(), "urn:uuid:".len() + 36);
        let new = || instance(&uri("sip:bob@example.com"), None).unwrap();
        assert_ne!(new(), new());
    }
}
