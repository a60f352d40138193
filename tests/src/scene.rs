//! Alice has one device, Bob has two; each is served by a Participating Function of their own; one core stands between
//! them. Everything speaks UDP over links of one kind, and MSRP over streams.

use crate::model::isf::Interworked;
use cpm_base::Now;
use cpm_client::{
    Client, ClientConfig, ClientEvent, Disposition, NewMessage, ReceivedMessage, SentMessage, Strangers,
    contact_uri,
};
use cpm_core::{Node, Ports};
use cpm_participating::{ParticipatingConfig, ParticipatingEvent, ParticipatingFunction};
use cpm_sim::{
    CoreConfig, CoreEvent, Handle, Link, NodeId, Outcome, Place, SipIpCore, User, Violation, World,
};
use cpm_sip::{SipUri, Uri};
use std::net::IpAddr;
use std::time::Duration;

/// Whatever a node of the scene told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Client(ClientEvent),
    Participating(ParticipatingEvent),
    Core(CoreEvent),
    Isf(Interworked),
}

impl From<ClientEvent> for Told {
    fn from(event: ClientEvent) -> Told {
        Told::Client(event)
    }
}

impl From<ParticipatingEvent> for Told {
    fn from(event: ParticipatingEvent) -> Told {
        Told::Participating(event)
    }
}

impl From<CoreEvent> for Told {
    fn from(event: CoreEvent) -> Told {
        Told::Core(event)
    }
}

impl From<Interworked> for Told {
    fn from(event: Interworked) -> Told {
        Told::Isf(event)
    }
}

/// The scene.
pub struct Scene {
    pub world: World<Told>,
    pub core: Handle<SipIpCore>,
    pub pf_a: Handle<ParticipatingFunction>,
    pub pf_b: Handle<ParticipatingFunction>,
    pub alice: Handle<Client>,
    pub bob: [Handle<Client>; 2],
}

/// The participants in the order of their columns.
pub const COLUMNS: [&str; 6] = ["alice", "pf-a", "core", "pf-b", "bob-1", "bob-2"];

pub fn uri(text: &str) -> Uri {
    Uri::parse(text).expect("a URI")
}

fn sip(text: &str) -> SipUri {
    uri(text).as_sip().expect("a SIP URI").clone()
}

/// Which addresses the scene uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    fn address(self, last: u8) -> IpAddr {
        match self {
            Family::V4 => [10, 0, 0, last].into(),
            Family::V6 => [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)].into(),
        }
    }
}

fn client(world: &mut World<Told>, family: Family, user: &str, device: &str, last: u8) -> Handle<Client> {
    let address = family.address(last);
    let contact = contact_uri(user, (address, 5060).into());
    let instance = format!("urn:uuid:00000000-0000-4000-8000-0000000000{last:02}");
    let mut config =
        ClientConfig::new(uri(&format!("sip:{user}@home.test")), contact, (address, 2855).into(), &instance);
    config.registrar = Some(uri("sip:home.test"));
    config.display_name = Some(device.to_owned());
    // Everybody here knows everybody.
    (config.settings.display_reports, config.settings.strangers) = (true, Strangers::Report);
    let node = Client::node(config, world.fork_seed()).expect("a good configuration");
    world.add(Place::new(device, address), node)
}

fn participating(
    world: &mut World<Told>,
    family: Family,
    name: &str,
    last: u8,
) -> Handle<ParticipatingFunction> {
    let config = ParticipatingConfig::new(sip(&format!("sip:{name}.home.test")));
    let node = ParticipatingFunction::node(config, world.fork_seed()).expect("a good configuration");
    world.name(&format!("{name}.home.test"), &[family.address(last)]);
    world.add(Place::new(name, family.address(last)).core_element(), node)
}

impl Scene {
    /// Everybody in place, nobody registered.
    pub fn new(seed: u64, link: Link, family: Family) -> Scene {
        let mut world = World::new(seed);
        world.set_default_link(link);
        let user = |name: &str, pf: &str| User {
            identities: vec![uri(&format!("sip:{name}@home.test"))],
            participating: Some(sip(&format!("sip:{pf}.home.test"))),
        };
        let config =
            CoreConfig::new(sip("sip:core.home.test"), vec![user("alice", "pf-a"), user("bob", "pf-b")]);
        let node_config = config.node(world.fork_seed());
        let core = SipIpCore::new(config, world.fork_seed());
        let core = Node::new(core, node_config).expect("a good configuration");
        for name in ["home.test", "core.home.test"] {
            world.name(name, &[family.address(1)]);
        }
        let core = world.add(Place::new("core", family.address(1)).core_element(), core);
        let pf_a = participating(&mut world, family, "pf-a", 2);
        let pf_b = participating(&mut world, family, "pf-b", 3);
        let alice = client(&mut world, family, "alice", "alice", 11);
        let bob =
            [client(&mut world, family, "bob", "bob-1", 12), client(&mut world, family, "bob", "bob-2", 13)];
        Scene { world, core, pf_a, pf_b, alice, bob }
    }

    /// Everybody in place and registered.
    ///
    /// # Panics
    /// Somebody did not get registered in two minutes.
    pub fn registered(seed: u64, link: Link) -> Scene {
        Scene::registered_on(seed, link, Family::V4)
    }

    /// The same with addresses of one family.
    ///
    /// # Panics
    /// Somebody did not get registered in two minutes.
    pub fn registered_on(seed: u64, link: Link, family: Family) -> Scene {
        let mut scene = Scene::new(seed, link, family);
        for device in [scene.alice, scene.bob[0], scene.bob[1]] {
            scene.command(device, |client, now, ports| client.register(now, ports)).expect("it can register");
        }
        let done = |world: &World<Told>| {
            let stands = |told: &Told| matches!(told, Told::Client(ClientEvent::Registered { .. }));
            let users =
                |pf| world.function::<ParticipatingFunction>(pf).map_or(0, ParticipatingFunction::users);
            world.events().iter().filter(|happened| stands(&happened.event)).count() == 3
                && users(scene.pf_a) == 1
                && users(scene.pf_b) == 1
        };
        let outcome = scene.world.run_until(Duration::from_secs(120), done);
        assert_eq!(outcome, Ok(Outcome::Reached), "registration, seed {seed}");
        // The last third-party registration tells of both of Bob's devices.
        scene.run();
        scene
    }

    /// A command of a client.
    pub fn command<R>(
        &mut self,
        device: Handle<Client>,
        command: impl FnOnce(&mut Client, Now, &mut Ports<'_, ClientEvent>) -> R,
    ) -> R {
        self.world.command(device, |client, ports, now| command(client, now, ports))
    }

    /// Alice sends Bob a message.
    pub fn send(&mut self, message: NewMessage) -> SentMessage {
        let alice = self.alice;
        self.command(alice, |client, now, ports| client.send_message(now, ports, message))
            .expect("it can be sent")
    }

    /// Until nothing is due for a minute; at most 10 minutes.
    ///
    /// # Panics
    /// An invariant does not hold.
    pub fn run(&mut self) -> Outcome {
        let outcome: Result<Outcome, Violation> = self.world.run_to_quiescence(Duration::from_secs(600));
        outcome.unwrap_or_else(|violation| panic!("{violation}\n{}", self.ladder()))
    }

    /// What a client told, in order.
    pub fn told(&self, device: Handle<Client>) -> Vec<ClientEvent> {
        let client = |told: &Told| match told {
            Told::Client(event) => Some(event.clone()),
            _ => None,
        };
        self.world.events_of(device).filter_map(client).collect()
    }

    /// The messages that were shown on a device.
    pub fn shown(&self, device: Handle<Client>) -> Vec<ReceivedMessage> {
        let received = |event| match event {
            ClientEvent::Received(message) => Some(*message),
            _ => None,
        };
        self.told(device).into_iter().filter_map(received).collect()
    }

    /// What Alice heard of her message: taken, refused, and its dispositions in order.
    pub fn heard(&self, sent: &SentMessage) -> Heard {
        let mut heard = Heard::default();
        for event in self.told(self.alice) {
            match event {
                ClientEvent::Sent { id, .. } if id == sent.id => heard.sent += 1,
                ClientEvent::SendFailed { id, .. } if id == sent.id => heard.failed += 1,
                ClientEvent::Disposition { id, disposition, .. } if id == sent.id => {
                    heard.dispositions.push(disposition);
                }
                _ => {}
            }
        }
        heard
    }

    /// Bob reads what was shown on one of his devices.
    pub fn read(&mut self, device: usize) -> usize {
        let device = self.bob[device];
        let shown = self.shown(device);
        let read = |message: &ReceivedMessage, scene: &mut Scene| {
            scene.command(device, |client, now, ports| client.mark_read(now, ports, message.id))
        };
        shown.iter().filter(|message| read(message, self)).count()
    }

    /// The way of everything that happened, for a failing assertion.
    pub fn ladder(&self) -> String {
        self.world.trace().ladder(&COLUMNS, &Default::default())
    }

    /// The store of a node holds this message of Alice's.
    pub fn kept(&self, node: impl Into<NodeId>, message_id: &str) -> usize {
        let is = |stored: &&cpm_sim::Stored| {
            let cpm_core::Record::Received(record) = &stored.record else { return false };
            record.message_id.as_deref() == Some(message_id)
        };
        self.world.stored(node).iter().filter(is).count()
    }
}

/// What a sender heard of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    pub sent: usize,
    pub failed: usize,
    pub dispositions: Vec<Disposition>,
}
