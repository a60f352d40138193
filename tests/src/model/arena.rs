//! A world of nodes made from a [`Plan`], and what is done in it.

use super::documents;
use super::isf::{Interworked, Isf};
use super::plan::{MessagePlan, Plan, RecordPlan};
use crate::scene::{Told, uri};
use cpm_base::Instant;
use cpm_client::{
    Client, ClientConfig, ClientEvent, HistoryEntry, NewMessage, ReceivedMessage, SentMessage, Strangers,
    contact_uri,
};
use cpm_core::outside::Preferences;
use cpm_core::{Node, NodeConfig, Ports, standing};
use cpm_participating::{
    ParticipatingConfig, ParticipatingFunction, PrimaryMark, Recording, WithoutPreferences,
};
use cpm_sim::{
    CoreConfig, Handle, Happened, Link, NodeId, Outcome, Place, SipIpCore, User, Violation, World,
};
use cpm_sip::SipUri;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// A device: its user and its number.
pub type DeviceId = (usize, usize);

pub struct DeviceState {
    pub handle: Handle<Client>,
    pub name: String,
    /// Where in the world's events each of its lives began.
    pub lives: Vec<usize>,
    pub registered: bool,
    /// How many events there had been when it left, where it did.
    pub left: Option<usize>,
    /// It crashed on its way out: the REGISTER by which it left may come behind that of its next life.
    pub may_be_put_out: bool,
}

/// A message that was sent.
#[derive(Debug, Clone)]
pub struct Sending {
    pub plan: MessagePlan,
    pub sent: SentMessage,
    /// Which life of the device.
    pub life: usize,
    pub at: Instant,
    /// How many events there had been.
    pub events: usize,
    /// The devices that were registered.
    pub registered: super::fate::Registered,
}

pub struct Arena {
    pub plan: Plan,
    pub world: World<Told>,
    pub core: Handle<SipIpCore>,
    pub functions: Vec<Handle<ParticipatingFunction>>,
    pub isf: Handle<Isf>,
    pub devices: BTreeMap<DeviceId, DeviceState>,
}

const CORE: u8 = 1;
const ISF: u8 = 5;

fn place(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn sip(text: &str) -> SipUri {
    uri(text).as_sip().expect("a SIP URI").clone()
}

fn last_of((user, device): DeviceId) -> u8 {
    (11 + 10 * user + device) as u8
}

/// The instance identifier of a device.
pub fn instance((user, device): DeviceId) -> String {
    format!("urn:uuid:00000000-0000-4000-8000-0000000000{:02}", last_of((user, device)))
}

fn client_config(plan: &Plan, id: DeviceId) -> ClientConfig {
    let user = &plan.users[id.0];
    let device = &user.devices[id.1];
    let here = place(last_of(id));
    let contact = contact_uri(user.name, (here, 5060).into());
    let mut config = ClientConfig::new(uri(&plan.address(id.0)), contact, (here, 2855).into(), &instance(id));
    config.registrar = Some(uri("sip:home.test"));
    config.settings.delivery_reports = device.delivery_reports;
    config.settings.display_reports = device.display_reports;
    config.settings.strangers = Strangers::Report;
    config.user_name = plan.wide.then(|| format!("{} of the house", user.name));
    // How few a minute they may be is not what is asked here.
    config.limits.max_reports_per_minute = 1_000;
    if !device.pager {
        config.features.retain(|feature| *feature != cpm_core::feature::CpmFeature::PagerMessage);
    }
    config
}

fn function_config(plan: &Plan, number: usize, seed: u64) -> ParticipatingConfig {
    let planned = &plan.functions[number];
    let mut config = ParticipatingConfig::new(sip(&format!("sip:pf-{number}.home.test")));
    let policy = &mut config.policy;
    policy.anonymity_originating = planned.anonymity_originating;
    policy.anonymity_terminating = planned.anonymity_terminating;
    policy.recording = match planned.recording {
        RecordPlan::Never => Recording::Never,
        RecordPlan::Wish => Recording::Wish,
        RecordPlan::Always => Recording::Always,
    };
    policy.without_preferences = match planned.without_preferences {
        true => WithoutPreferences::Deliver,
        false => WithoutPreferences::Refuse,
    };
    // What the user is told of messages may come together (TS 8.3.5), and a little later: the same is told.
    policy.aggregation = seed.is_multiple_of(6).then_some(Duration::from_secs(5));
    policy.isf = planned.isf.then(|| sip("sip:isf.home.test"));
    policy.primary_by_interworking = planned.to_primary;
    let users = plan.users.iter().enumerate();
    let primary = users.filter_map(|(user, planned)| Some(instance((user, planned.primary?))));
    policy.primary = primary.map(PrimaryMark::Instance).collect();
    if planned.on_behalf {
        policy.releases_without_imdn = vec![(2, 1)];
    }
    config
}

impl Arena {
    /// Everybody in place and registered.
    ///
    /// # Panics
    /// Somebody did not get registered.
    pub fn new(plan: Plan, seed: u64) -> Arena {
        let mut world = World::new(seed);
        for name in ["home.test", "core.home.test"] {
            world.name(name, &[place(CORE)]);
        }
        let user = |(number, user): (usize, &super::plan::UserPlan)| User {
            identities: vec![uri(&plan.address(number))],
            participating: Some(sip(&format!("sip:pf-{}.home.test", user.function))),
        };
        let config =
            CoreConfig::new(sip("sip:core.home.test"), plan.users.iter().enumerate().map(user).collect());
        let node_config = config.node(world.fork_seed());
        let core = SipIpCore::new(config, world.fork_seed());
        let core = Node::new(core, node_config).expect("a good configuration");
        let core = world.add(Place::new("core", place(CORE)).core_element(), core);
        let isf = NodeConfig::user_agent(world.fork_seed(), "isf");
        let isf = Node::new(Isf::new(plan.isf), isf).expect("a good configuration");
        world.name("isf.home.test", &[place(ISF)]);
        let isf = world.add(Place::new("isf", place(ISF)).core_element(), isf);
        let functions =
            (0..plan.functions.len()).map(|number| function(&mut world, &plan, number, seed)).collect();
        let devices = plan.devices().map(|id| (id, device(&mut world, &plan, id))).collect();
        // What is not over has a timer or waits for the host: checked after each step.
        world.add_invariant("nothing is stuck", |world: &World<Told>| match world.stuck() {
            stuck if stuck.is_empty() => Ok(()),
            stuck => Err(format!("{stuck:?}")),
        });
        let mut arena = Arena { plan, world, core, functions, isf, devices };
        arena.set_documents();
        for id in arena.ids() {
            arena.register(id);
        }
        arena.settle();
        for id in arena.ids() {
            let stands = |event: &ClientEvent| matches!(event, ClientEvent::Registered { .. });
            assert!(arena.told(id).iter().any(|(_, _, event)| stands(event)), "registration of {id:?}");
        }
        arena
    }

    fn set_documents(&mut self) {
        for (number, user) in self.plan.users.iter().enumerate() {
            let policy = documents::access_policy(&self.plan, user);
            let profiles = documents::profiles(user, |device| instance((number, device)));
            let blacklist = documents::blacklist(&self.plan, user);
            let read = Preferences::from_documents(
                policy.as_bytes(),
                profiles.as_bytes(),
                blacklist.as_bytes(),
                &cpm_xml::Limits::default(),
            );
            let preferences = read.unwrap_or_else(|error| panic!("{error:?}: {policy}{profiles}{blacklist}"));
            self.world.set_preferences(
                self.functions[user.function],
                &uri(&self.plan.address(number)),
                preferences,
            );
        }
    }

    pub fn ids(&self) -> Vec<DeviceId> {
        self.devices.keys().copied().collect()
    }

    pub fn name(&self, id: DeviceId) -> &str {
        &self.devices[&id].name
    }

    pub fn command<R>(
        &mut self,
        id: DeviceId,
        command: impl FnOnce(&mut Client, cpm_base::Now, &mut Ports<'_, ClientEvent>) -> R,
    ) -> R {
        let handle = self.devices[&id].handle;
        self.world.command(handle, |client, ports, now| command(client, now, ports))
    }

    pub fn register(&mut self, id: DeviceId) {
        let taken = self.command(id, |client, now, ports| client.register(now, ports)).is_ok();
        self.devices.get_mut(&id).expect("a device").registered |= taken;
    }

    pub fn leave(&mut self, id: DeviceId) {
        let events = self.world.events().len();
        let taken = self.command(id, |client, now, ports| client.deregister(now, ports)).is_ok();
        let device = self.devices.get_mut(&id).expect("a device");
        device.registered &= !taken;
        device.left = Some(events);
    }

    /// A device that crashed on its way out never said that it left: its binding stands (RFC 3261 §10.2.2), and who starts
    /// it again finds it registered.
    fn never_left(&self, id: DeviceId) -> bool {
        let device = &self.devices[&id];
        let left = |from: usize| {
            let mut later = self.told(id).into_iter().filter(|(place, _, _)| *place >= from);
            later.any(|(_, _, event)| matches!(event, ClientEvent::Deregistered))
        };
        !device.registered && device.left.is_some_and(|from| !left(from))
    }

    /// Sends a message; `None` when the client refuses it.
    pub fn send(&mut self, plan: &MessagePlan, original: Option<&ReceivedMessage>) -> Option<Sending> {
        let mut message = match original {
            Some(original) => NewMessage::reply(original, &plan.text)?,
            None => NewMessage::text(uri(&self.plan.address(plan.to)), &plan.text),
        };
        message.reports.positive_delivery = plan.delivery;
        message.reports.display = plan.display;
        message.reports.negative_delivery = plan.failure;
        message.anonymous = plan.anonymous;
        message.expires = plan.expires;
        let sent =
            self.command(plan.from, |client, now, ports| client.send_message(now, ports, message)).ok()?;
        let device = &self.devices[&plan.from];
        Some(Sending {
            plan: plan.clone(),
            sent,
            life: device.lives.len() - 1,
            at: self.world.now().mono,
            events: self.world.events().len(),
            registered: self.registered(),
        })
    }

    pub fn registered(&self) -> super::fate::Registered {
        self.devices.iter().filter(|(_, device)| device.registered).map(|(id, _)| *id).collect()
    }

    /// A device crashes and starts again from its store.
    pub fn restart(&mut self, id: DeviceId) {
        let handle = self.devices[&id].handle;
        let begins = self.world.events().len();
        let never_left = self.never_left(id);
        self.world.restart_from_store(handle);
        let device = self.devices.get_mut(&id).expect("a device");
        device.lives.push(begins);
        device.registered |= never_left;
        device.may_be_put_out |= never_left;
        if self.devices[&id].registered {
            self.register(id);
        }
    }

    /// What a device shows its user when it starts.
    pub fn history(&self, id: DeviceId) -> Vec<HistoryEntry> {
        let stored = self.world.stored(self.devices[&id].handle).iter().map(|stored| stored.record.clone());
        Client::history(&standing(stored), &client_config(&self.plan, id))
    }

    /// The messages that a device shows as read when it starts: what its store knows.
    pub fn read_in_history(&self, id: DeviceId) -> BTreeSet<String> {
        let read = |entry: HistoryEntry| match entry {
            HistoryEntry::Message { message, read: Some(_) } => message.message_id,
            _ => None,
        };
        self.history(id).into_iter().filter_map(read).collect()
    }

    /// What a device told, with its place among all events and its life.
    pub fn told(&self, id: DeviceId) -> Vec<(usize, usize, &ClientEvent)> {
        let device = &self.devices[&id];
        let node: NodeId = device.handle.into();
        let of = |(place, happened): (usize, &'_ Happened<Told>)| match &happened.event {
            Told::Client(_) if happened.node == node => Some(place),
            _ => None,
        };
        let places: Vec<usize> = self.world.events().iter().enumerate().filter_map(of).collect();
        let life = |place: usize| device.lives.iter().filter(|begins| **begins <= place).count() - 1;
        places
            .into_iter()
            .filter_map(|place| match &self.world.events()[place].event {
                Told::Client(event) => Some((place, life(place), event)),
                _ => None,
            })
            .collect()
    }

    /// Whether a device ever sent a message of this Message-ID out.
    pub fn went_out(&self, id: DeviceId, message_id: &str) -> bool {
        let name = self.name(id);
        let mut own = self.world.trace().entries().iter().filter(|entry| entry.from == name);
        own.any(|entry| {
            entry.bytes.as_ref().is_some_and(|octets| super::compare::contains(octets, message_id.as_bytes()))
        })
    }

    /// The requests that the interworking function took.
    pub fn interworked(&self) -> Vec<&Interworked> {
        let mut requests = Vec::new();
        for told in self.world.events_of(self.isf) {
            if let Told::Isf(request) = told {
                requests.push(request);
            }
        }
        requests
    }

    pub fn nodes(&self) -> Vec<NodeId> {
        let devices = self.devices.values().map(|device| device.handle.id());
        let functions = self.functions.iter().map(|function| function.id());
        [self.core.id(), self.isf.id()].into_iter().chain(functions).chain(devices).collect()
    }

    /// Until nothing is due for a minute; at most 20 minutes.
    ///
    /// # Panics
    /// An invariant does not hold.
    pub fn settle(&mut self) -> Outcome {
        let outcome: Result<Outcome, Violation> = self.world.run_to_quiescence(Duration::from_secs(1200));
        outcome.unwrap_or_else(|violation| panic!("{violation}\n{}", self.ladder()))
    }

    /// All faults end.
    pub fn heal(&mut self) {
        self.world.heal();
        self.world.set_default_link(Link::perfect());
        self.world.set_query_delay(Duration::from_millis(1)..Duration::from_millis(1));
        self.world.end_query_trouble();
        for a in self.nodes() {
            for b in self.nodes() {
                self.world.set_link(a, b, Link::perfect());
            }
        }
    }

    pub fn ladder(&self) -> String {
        let mut columns: Vec<String> = self.nodes().iter().map(|node| self.world.name_of(*node)).collect();
        columns.sort();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        self.world.trace().ladder(&columns, &Default::default())
    }
}

fn function(world: &mut World<Told>, plan: &Plan, number: usize, seed: u64) -> Handle<ParticipatingFunction> {
    let config = function_config(plan, number, seed);
    let node = ParticipatingFunction::node(config.clone(), world.fork_seed()).expect("a good configuration");
    let here = place(2 + number as u8);
    world.name(&format!("pf-{number}.home.test"), &[here]);
    let handle = world.add(Place::new(&format!("pf-{number}"), here).core_element(), node);
    world.set_builder(handle, move |seed, records| {
        ParticipatingFunction::restored(config.clone(), seed, records).expect("a good configuration")
    });
    handle
}

fn device(world: &mut World<Told>, plan: &Plan, id: DeviceId) -> DeviceState {
    let config = client_config(plan, id);
    let name = format!("{}-{}", plan.users[id.0].name, id.1 + 1);
    let node = Client::node(config.clone(), world.fork_seed()).expect("a good configuration");
    let handle = world.add(Place::new(&name, place(last_of(id))), node);
    world.set_builder(handle, move |seed, records| {
        Client::restored(config.clone(), seed, records).expect("a good configuration")
    });
    DeviceState { handle, name, lives: vec![0], registered: false, left: None, may_be_put_out: false }
}
