//! Worlds where everything goes wrong at random: losses, delays, partitions, crashes, stores that fail, devices that
//! leave. Whatever happens, nothing false is told, nothing is shown twice, and nothing is left over.

use bytes::Bytes;
use cpm_client::{
    Client, ClientConfig, ClientEvent, Disposition, NewMessage, SentMessage, Strangers, contact_uri,
};
use cpm_core::StoreError;
use cpm_mime::ContentType;
use cpm_participating::{ParticipatingConfig, ParticipatingFunction};
use cpm_sim::{Handle, Link, NodeId};
use cpm_tests::dice::{Dice, seeds};
use cpm_tests::scene::{Scene, uri};
use std::time::Duration;

struct Told {
    sent: SentMessage,
    content: Bytes,
    from: usize,
    /// Which life of the sender.
    life: usize,
}

/// A device and how often it was started.
struct Device {
    handle: Handle<Client>,
    user: &'static str,
    name: &'static str,
    last: u8,
    /// Where in the world's events each of its lives began.
    lives: Vec<usize>,
    /// Message-IDs that its user has read.
    read: Vec<String>,
}

struct Story {
    scene: Scene,
    devices: Vec<Device>,
    told: Vec<Told>,
    dice: Dice,
    log: Vec<String>,
}

fn content(kind: u64, number: usize) -> NewMessage {
    let to = uri("sip:bob@home.test");
    match kind {
        0 => NewMessage::text(to, &format!("message {number}")),
        size => {
            let octets: Vec<u8> = (0..size as usize * 1024).map(|n| ((n * 7 + number) % 253) as u8).collect();
            NewMessage::new(to, ContentType::parse("application/octet-stream").unwrap(), Bytes::from(octets))
        }
    }
    .with_reports()
}

impl Story {
    fn begin(seed: u64) -> Story {
        let scene = Scene::registered(seed, Link::perfect());
        let device =
            |handle, user, name, last| Device { handle, user, name, last, lives: vec![0], read: vec![] };
        let devices = vec![
            device(scene.alice, "alice", "alice", 11),
            device(scene.bob[0], "bob", "bob-1", 12),
            device(scene.bob[1], "bob", "bob-2", 13),
        ];
        Story { scene, devices, told: Vec::new(), dice: Dice(seed), log: Vec::new() }
    }

    fn note(&mut self, text: String) {
        let at = self.scene.world.now().mono.as_micros();
        self.log.push(format!("{:.3} s: {text}", at as f64 / 1e6));
    }

    fn send(&mut self, from: usize, kind: u64) {
        let number = self.told.len();
        let mut message = content(kind, number);
        if from > 0 {
            message.to = uri("sip:alice@home.test").into();
        }
        let (handle, content) = (self.devices[from].handle, message.content.clone());
        let result =
            self.scene.command(handle, |client, now, ports| client.send_message(now, ports, message));
        if let Ok(sent) = result {
            self.note(format!("{} sends {} ({kind} KiB)", self.devices[from].name, sent.message_id));
            self.told.push(Told { sent, content, from, life: self.devices[from].lives.len() });
        }
    }

    fn restart(&mut self, device: usize) {
        let (name, user, last) =
            (self.devices[device].name, self.devices[device].user, self.devices[device].last);
        self.note(format!("{name} crashes and starts again"));
        let address = std::net::IpAddr::from([10, 0, 0, last]);
        let instance = format!("urn:uuid:00000000-0000-4000-8000-0000000000{last:02}");
        let address_of_record = uri(&format!("sip:{user}@home.test"));
        let contact = contact_uri(user, (address, 5060).into());
        let mut config = ClientConfig::new(address_of_record, contact, (address, 2855).into(), &instance);
        config.registrar = Some(uri("sip:home.test"));
        (config.settings.display_reports, config.settings.strangers) = (true, Strangers::Report);
        let node = Client::node(config, self.scene.world.fork_seed()).unwrap();
        let handle = self.devices[device].handle;
        let begins = self.scene.world.events().len();
        self.scene.world.restart(handle, node);
        self.devices[device].lives.push(begins);
        self.devices[device].read.clear();
        self.scene.command(handle, |client, now, ports| client.register(now, ports)).unwrap();
    }

    fn restart_participating(&mut self) {
        let (handle, name) = self.dice.pick(&[(self.scene.pf_a, "pf-a"), (self.scene.pf_b, "pf-b")]);
        self.note(format!("{name} crashes and starts again"));
        let own = uri(&format!("sip:{name}.home.test")).as_sip().unwrap().clone();
        let config = ParticipatingConfig::new(own);
        let node = ParticipatingFunction::node(config, self.scene.world.fork_seed()).unwrap();
        self.scene.world.restart(handle, node);
    }

    fn read(&mut self, device: usize) {
        let begins = *self.devices[device].lives.last().unwrap();
        let handle = self.devices[device].handle;
        let shown: Vec<_> = self
            .events(device, begins)
            .into_iter()
            .filter_map(|event| match event {
                ClientEvent::Received(message) => Some((message.id, message.message_id)),
                _ => None,
            })
            .collect();
        for (id, message_id) in shown {
            self.scene.command(handle, |client, now, ports| client.mark_read(now, ports, id));
            self.devices[device].read.extend(message_id);
        }
    }

    fn events(&self, device: usize, begins: usize) -> Vec<ClientEvent> {
        let node: NodeId = self.devices[device].handle.into();
        let of = |happened: &cpm_sim::Happened<cpm_tests::scene::Told>| match &happened.event {
            cpm_tests::scene::Told::Client(event) if happened.node == node => Some(event.clone()),
            _ => None,
        };
        self.scene.world.events()[begins..].iter().filter_map(of).collect()
    }

    fn all(&self) -> [NodeId; 6] {
        let scene = &self.scene;
        [
            scene.alice.into(),
            scene.pf_a.into(),
            scene.core.into(),
            scene.pf_b.into(),
            scene.bob[0].into(),
            scene.bob[1].into(),
        ]
    }

    fn something_happens(&mut self, crashes: bool) {
        let all = self.all();
        match self.dice.below(if crashes { 22 } else { 19 }) {
            0..=4 => {
                let from = self.dice.below(3) as usize;
                self.send(from, 0);
            }
            5..=7 => {
                let (from, size) = (self.dice.below(3) as usize, self.dice.pick(&[2, 8, 60]));
                self.send(from, size);
            }
            8 => {
                // Both at once.
                self.send(0, 0);
                self.send(1, 8);
                self.send(0, 8);
                self.send(2, 0);
            }
            9..=10 => {
                let probability = self.dice.below(40) as f64 / 100.0;
                self.note(format!("links lose {probability}"));
                self.scene.world.set_default_link(Link::rough(probability));
            }
            11 => {
                let slow = Link {
                    min_delay: Duration::from_secs(2),
                    max_delay: Duration::from_secs(40),
                    ..Link::perfect()
                };
                let (a, b) = (self.dice.pick(&all), self.dice.pick(&all));
                self.note(format!(
                    "delays between {} and {}",
                    self.scene.world.name_of(a),
                    self.scene.world.name_of(b)
                ));
                self.scene.world.set_link(a, b, slow);
            }
            12 => {
                let (a, b) = (self.dice.pick(&all), self.dice.pick(&all));
                self.note(format!(
                    "no way between {} and {}",
                    self.scene.world.name_of(a),
                    self.scene.world.name_of(b)
                ));
                self.scene.world.partition(&[a], &[b]);
            }
            13 => {
                self.note("ways healed".to_owned());
                self.scene.world.heal();
            }
            14 => {
                let (a, b) = (self.dice.pick(&all), self.dice.pick(&all));
                self.note(format!(
                    "streams reset between {} and {}",
                    self.scene.world.name_of(a),
                    self.scene.world.name_of(b)
                ));
                self.scene.world.reset_streams(a, b);
            }
            15 => {
                let device = self.dice.below(3) as usize;
                self.note(format!("{}'s store fails", self.devices[device].name));
                let fault = self.dice.pick(&[StoreError::Failed, StoreError::Full]);
                self.scene.world.fail_stores(self.devices[device].handle, &[fault]);
            }
            16 => {
                for device in 0..3 {
                    self.read(device);
                }
            }
            17 => {
                let device = 1 + self.dice.below(2) as usize;
                let handle = self.devices[device].handle;
                if self.dice.below(2) == 0 {
                    self.note(format!("{} leaves", self.devices[device].name));
                    let _ = self.scene.command(handle, |client, now, ports| client.deregister(now, ports));
                } else {
                    let _ = self.scene.command(handle, |client, now, ports| client.register(now, ports));
                }
            }
            18 => {
                let slowest = Duration::from_millis(self.dice.pick(&[1, 50, 2_000, 30_000]));
                self.note(format!("stores and look-ups take up to {slowest:?}"));
                self.scene.world.set_query_delay(Duration::from_millis(1)..slowest);
            }
            19..=20 => {
                let device = self.dice.below(3) as usize;
                self.restart(device);
            }
            _ => self.restart_participating(),
        }
    }

    fn end(&mut self) {
        self.note("everything is good again".to_owned());
        self.scene.world.heal();
        self.scene.world.set_default_link(Link::perfect());
        self.scene.world.set_query_delay(Duration::from_millis(1)..Duration::from_millis(1));
        let all = self.all();
        for a in all {
            for b in all {
                self.scene.world.set_link(a, b, Link::perfect());
            }
        }
        // Longer than anything waits: Timer C is more than three minutes.
        self.scene.world.run_for(Duration::from_secs(900)).unwrap();
        for device in 0..3 {
            self.read(device);
        }
        self.scene.world.run_for(Duration::from_secs(300)).unwrap();
    }

    fn tale(&self) -> String {
        self.log.join("\n")
    }

    /// What must hold whatever happened.
    fn nothing_false(&self, seed: u64) {
        for told in &self.told {
            let id = &told.sent.message_id;
            let recipients: &[usize] = if told.from == 0 { &[1, 2] } else { &[0] };
            let kept: usize =
                recipients.iter().map(|device| self.scene.kept(self.devices[*device].handle, id)).sum();
            let why = || format!("seed {seed}, {id}\n{}", self.tale());
            for device in recipients {
                let mut shown_ever = 0;
                for (life, begins) in self.devices[*device].lives.iter().enumerate() {
                    let ends = self.devices[*device].lives.get(life + 1).copied().unwrap_or(usize::MAX);
                    let before = self.events(*device, *begins);
                    let after = if ends == usize::MAX { 0 } else { self.events(*device, ends).len() };
                    let shown: Vec<_> = before[..before.len() - after]
                        .iter()
                        .filter_map(|event| match event {
                            ClientEvent::Received(message) if message.message_id.as_ref() == Some(id) => {
                                Some(message)
                            }
                            _ => None,
                        })
                        .collect();
                    assert!(shown.len() <= 1, "shown twice: {}", why());
                    assert!(shown.iter().all(|shown| shown.content == told.content), "changed: {}", why());
                    shown_ever += shown.len();
                }
                let kept_here = self.scene.kept(self.devices[*device].handle, id);
                assert!(shown_ever <= kept_here, "shown, not kept: {}", why());
            }
            // What the sender heard, in the life in which it was sent.
            let sender = &self.devices[told.from];
            let (mut sent, mut failed, mut dispositions) = (0, 0, Vec::new());
            let begins = sender.lives[told.life - 1];
            let rest = sender.lives.get(told.life).map_or(0, |ends| self.events(told.from, *ends).len());
            let heard = self.events(told.from, begins);
            for event in &heard[..heard.len() - rest] {
                match event {
                    ClientEvent::Sent { id, .. } if *id == told.sent.id => sent += 1,
                    ClientEvent::SendFailed { id, .. } if *id == told.sent.id => failed += 1,
                    ClientEvent::Disposition { id, disposition, .. } if *id == told.sent.id => {
                        dispositions.push(*disposition)
                    }
                    _ => {}
                }
            }
            assert!(sent + failed <= 1, "told {sent} times sent, {failed} times failed: {}", why());
            if told.life == sender.lives.len() {
                assert_eq!(sent + failed, 1, "no end: {}", why());
            }
            assert!(sent == 0 || kept > 0, "success without delivery: {}", why());
            for kind in [Disposition::Delivered, Disposition::Displayed, Disposition::DeliveryFailed] {
                assert!(
                    dispositions.iter().filter(|told| **told == kind).count() <= 1,
                    "told twice: {}",
                    why()
                );
            }
            assert!(
                !dispositions.contains(&Disposition::Delivered) || kept > 0,
                "delivered, not kept: {}",
                why()
            );
            assert!(!dispositions.contains(&Disposition::DeliveryFailed), "{}", why());
        }
        assert!(
            self.scene.world.busy().is_empty(),
            "seed {seed}: busy {:?}\n{}",
            self.scene.world.busy(),
            self.tale()
        );
    }
}

fn story(seed: u64, crashes: bool) {
    let mut story = Story::begin(seed);
    for _ in 0..30 {
        story.something_happens(crashes);
        let pause = story.dice.pick(&[1, 20, 100, 700, 3_000, 9_000]);
        if let Err(violation) = story.scene.world.run_for(Duration::from_millis(pause)) {
            panic!("seed {seed}: {violation}\n{}", story.tale());
        }
    }
    story.end();
    story.nothing_false(seed);
}

#[test]
fn a_hostile_world_without_crashes() {
    for seed in seeds(12) {
        story(seed, false);
    }
}

#[test]
fn a_hostile_world_with_crashes() {
    for seed in seeds(12) {
        story(seed, true);
    }
}

#[test]
fn more_large_messages_at_once_than_a_device_takes() {
    let mut story = Story::begin(1);
    for _ in 0..12 {
        for device in 0..3 {
            story.send(device, 8);
        }
    }
    // A device holds sixteen: what comes on top is refused to whoever commands it, or told as failed.
    assert!(story.told.len() > 30);
    for _ in 0..12 {
        story.send(0, 8);
    }
    assert!(story.told.len() < 48);
    story.end();
    story.nothing_false(1);
    // Nothing is left over: one more goes through.
    story.send(0, 60);
    story.end();
    story.nothing_false(1);
    let last = story.told.last().unwrap().sent.message_id.clone();
    let kept: usize =
        [1, 2].map(|device: usize| story.scene.kept(story.devices[device].handle, &last)).iter().sum();
    assert_eq!(kept, 1);
}
