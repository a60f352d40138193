//! Threats G4, G6: a client is killed after each single thing that it does or hears, and started again from what its store
//! has. Nothing that it answered is lost, nothing is shown twice, and the senders hear what they asked for.

use super::harness::*;
use crate::received_state::{KEY_PREFIX, Since};
use crate::{Client, ClientConfig, ClientEvent, HistoryEntry, NewMessage, Strangers, contact_uri};
use bytes::Bytes;
use cpm_base::{DateTime, Instant, Now, Protocol, Seed, Transport, Trust};
use cpm_core::{Action, Node, Query, QueryId, Record, Reply, StateRecord, standing};
use cpm_sip::{Message, Request};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What one run is about.
#[derive(Clone, Copy)]
struct Scenario {
    /// IMDN Message-ID and wishes of each message that the far side sends until it is answered with 2xx.
    messages: &'static [(&'static str, &'static str)],
    /// Each is sent twice at once, as by two ways.
    copies: bool,
    /// The user reads what is shown.
    reads: bool,
    /// The client sends a message itself, and is told that it was delivered and read.
    sends: bool,
    /// The far side never answers the first try of a notification.
    deaf_once: bool,
}

/// What a notification says: the message that it is about, and whether it was read.
type Told = (String, bool);

enum Heard {
    Datagram(Vec<u8>),
    Stored(QueryId),
    Due,
}

struct World {
    scenario: Scenario,
    node: Node<Client>,
    now: Now,
    life: u8,
    kept: Vec<Record>,
    /// What the client is about to hear.
    coming: VecDeque<Heard>,
    /// Steps until each of the kills.
    kills: VecDeque<usize>,
    steps: usize,
    transactions: u32,
    /// Call-IDs of what the far side has under way in this life.
    under_way: BTreeMap<String, String>,
    answered: BTreeSet<String>,
    /// Messages on the screen: those of the store at the start of this life, then what was told since.
    screen: Vec<String>,
    read: BTreeSet<String>,
    /// Octets of each notification that went out.
    told: BTreeMap<Told, Vec<Bytes>>,
    /// Those that the client knew as done when it was last started.
    done: BTreeSet<Told>,
    own_message: Option<String>,
    dispositions: Vec<String>,
}

fn config() -> ClientConfig {
    let contact = contact_uri("alice", addr(ALICE_SIP));
    let mut config = ClientConfig::new(uri("sip:alice@example.com"), contact, addr(ALICE_MSRP), INSTANCE);
    (config.settings.display_reports, config.settings.strangers) = (true, Strangers::Report);
    config
}

fn start(life: u8, kept: &[Record]) -> Node<Client> {
    Client::restored(config(), Seed::new([life; 32]), standing(kept.to_vec())).unwrap()
}

impl World {
    /// A message comes and is stored, and the store's answer never comes.
    fn is_kept_without_an_answer(&mut self, message: &Incoming) {
        self.node.handle_datagram(self.now, SIP, message.bytes().into());
        while let Some(action) = self.node.poll_action() {
            if let Action::Query(_, Query::Store(record)) = action {
                self.kept.push(record);
            }
        }
        self.now = self.now.plus(secs(200));
        self.node.handle_timeout(self.now);
    }

    fn new(scenario: Scenario, kills: &[usize]) -> World {
        let mut world = World {
            scenario,
            node: start(1, &[]),
            now: Now::new(Instant::ZERO, DateTime::parse("2026-11-21T10:00:00Z").unwrap()),
            life: 1,
            kept: Vec::new(),
            coming: VecDeque::new(),
            kills: kills.iter().copied().collect(),
            steps: 0,
            transactions: 0,
            under_way: BTreeMap::new(),
            answered: BTreeSet::new(),
            screen: Vec::new(),
            read: BTreeSet::new(),
            told: BTreeMap::new(),
            done: BTreeSet::new(),
            own_message: None,
            dispositions: Vec::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let info = info(Protocol::Sip, Transport::Udp, addr(CORE), Trust::Core);
        self.node.handle_accepted(self.now, SIP, info);
    }

    /// One thing happened; `true` when it was the last of this life.
    fn step(&mut self) -> bool {
        self.steps += 1;
        match self.kills.front_mut() {
            Some(0) => {
                self.kills.pop_front();
                self.restart();
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn restart(&mut self) {
        self.life += 1;
        self.now = self.now.plus(secs(1));
        self.node = start(self.life, &self.kept);
        assert_eq!(self.node.function().metrics().get("client.record_not_restored"), 0);
        self.coming.clear();
        self.under_way.clear();
        self.open();
        let (mut screen, mut read, mut dispositions) = (Vec::new(), BTreeSet::new(), Vec::new());
        for entry in Client::history(&standing(self.kept.clone()), &config()) {
            match entry {
                HistoryEntry::Message { message, read: when } => {
                    let id = message.message_id.unwrap();
                    read.extend(when.map(|_| id.clone()));
                    screen.push(id);
                }
                HistoryEntry::Report { about, disposition, from } => {
                    assert_eq!(from, "sip:bob@example.org");
                    dispositions.push(format!("{about} {disposition:?}"));
                }
            }
        }
        (self.screen, self.read, self.dispositions) = (screen, read, dispositions);
        self.done = self.known_as_done();
    }

    fn known_as_done(&self) -> BTreeSet<Told> {
        let mut done = BTreeSet::new();
        for record in standing(self.kept.clone()) {
            let Record::State(StateRecord { key, value: Some(value) }) = record else { continue };
            let Some((number, _)) = key.strip_prefix(KEY_PREFIX).and_then(|rest| rest.split_once('/')) else {
                continue;
            };
            let since = Since::read(&value).unwrap();
            let about = self.message_of(number.parse().unwrap());
            done.extend(since.delivery_done.then(|| (about.clone(), false)));
            done.extend(since.display_done.then_some((about, true)));
        }
        done
    }

    fn message_of(&self, number: u64) -> String {
        let found = Client::history(&self.kept, &config()).into_iter().find_map(|entry| match entry {
            HistoryEntry::Message { message, .. } if message.id.0 == number => message.message_id,
            _ => None,
        });
        found.unwrap()
    }

    /// Everything until nothing happens any more.
    fn run(&mut self) {
        for _ in 0..2_000 {
            if self.act() || self.hear() || self.far_side() || self.user() {
                continue;
            }
            return;
        }
        panic!("it never rests");
    }

    /// Does one thing that the client wants done.
    fn act(&mut self) -> bool {
        let Some(action) = self.node.poll_action() else { return false };
        match action {
            Action::Datagram(_, octets) => self.sent(octets),
            Action::Query(id, Query::Store(record)) => {
                self.kept.push(record);
                self.coming.push_back(Heard::Stored(id));
            }
            Action::Query(id, Query::Resolve(_)) => {
                let found = vec![(Transport::Udp, addr(CORE))];
                self.node.handle_reply(self.now, id, Reply::Resolved(found));
            }
            Action::Event(event) => self.shown(event),
            other => panic!("{other:?}"),
        }
        self.step();
        true
    }

    fn sent(&mut self, octets: Bytes) {
        match cpm_sip::parse_datagram(octets, &cpm_sip::Limits::default()).unwrap() {
            Message::Response(response) => {
                let call = value(response.headers(), "Call-ID");
                let message = self.under_way.remove(&call).unwrap();
                assert_eq!(response.status().as_u16(), 200);
                self.answered.insert(message);
            }
            Message::Request(request) => self.sent_request(&request),
        }
    }

    fn sent_request(&mut self, request: &Request) {
        let cpim = parse_cpim(request.body());
        let mut deaf = false;
        if cpim.is_imdn() {
            let document = cpm_xml::imdn::parse(&cpim.content().body, &cpm_xml::Limits::default()).unwrap();
            let read = document.notification.status() == "displayed";
            let told = (document.message_id, read);
            assert!(!self.done.contains(&told), "{told:?} was done with");
            assert!(self.screen.contains(&told.0) || self.kept_has(&told.0), "of what is not held");
            let copies = self.told.entry(told).or_default();
            copies.push(request.body().clone());
            deaf = self.scenario.deaf_once && copies.len() == 1;
        } else {
            self.own_message = cpim.imdn_message_id().unwrap();
        }
        if !deaf {
            self.coming.push_back(Heard::Datagram(response_to(request, "200 OK", "", "")));
        }
    }

    fn kept_has(&self, message_id: &str) -> bool {
        self.kept.iter().any(|record| match record {
            Record::Received(received) => received.message_id.as_deref() == Some(message_id),
            _ => false,
        })
    }

    fn shown(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Received(message) => {
                let id = message.message_id.unwrap();
                assert!(!self.screen.contains(&id), "{id} is shown twice");
                self.screen.push(id);
            }
            ClientEvent::Disposition { disposition, .. } => {
                let line = format!("{} {disposition:?}", self.own_message.clone().unwrap());
                assert!(!self.dispositions.contains(&line), "{line} is told twice");
                self.dispositions.push(line);
            }
            ClientEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn hear(&mut self) -> bool {
        if self.coming.is_empty() && self.node.next_timeout().is_some_and(|due| due <= self.now.mono) {
            self.coming.push_back(Heard::Due);
        }
        match self.coming.pop_front() {
            None => return false,
            Some(Heard::Datagram(octets)) => self.node.handle_datagram(self.now, SIP, octets.into()),
            Some(Heard::Stored(id)) => self.node.handle_reply(self.now, id, Reply::Stored(Ok(()))),
            Some(Heard::Due) => self.node.handle_timeout(self.now),
        }
        self.step();
        true
    }

    /// The far side sends again what was not answered.
    fn far_side(&mut self) -> bool {
        let mut wanted: Vec<(String, String)> = Vec::new();
        for (id, wishes) in self.scenario.messages {
            wanted.push(((*id).to_owned(), cpim(id, wishes, "Hi")));
        }
        if let (Some(own), true) = (&self.own_message, self.scenario.sends) {
            for (id, status) in [("delivery", DELIVERED), ("display", DISPLAYED)] {
                wanted.push((id.to_owned(), cpim_imdn(id, &imdn(own, status))));
            }
        }
        let under_way = self.under_way.values().cloned().collect::<BTreeSet<String>>();
        let missing = |id: &String| !self.answered.contains(id) && !under_way.contains(id);
        let Some((id, body)) = wanted.into_iter().find(|(id, _)| missing(id)) else { return false };
        for _ in 0..if self.scenario.copies { 2 } else { 1 } {
            self.transactions += 1;
            let message = Incoming::message(self.transactions, body.clone());
            self.under_way.insert(message.call_id.clone(), id.clone());
            self.coming.push_back(Heard::Datagram(message.bytes()));
        }
        true
    }

    /// The user sends his message once, and reads what he sees.
    fn user(&mut self) -> bool {
        let now = self.now;
        if self.scenario.sends && self.own_message.is_none() && self.kept.is_empty() {
            let message = NewMessage::text(uri("sip:bob@example.org"), "Hi").with_reports();
            self.node.command(now, |client, ports| client.send_message(now, ports, message)).unwrap();
            self.step();
            return true;
        }
        let unread = self.screen.iter().find(|id| self.scenario.reads && !self.read.contains(*id)).cloned();
        let Some(id) = unread else { return false };
        self.read.insert(id.clone());
        let bob = uri("sip:bob@example.org");
        self.node.command(now, |client, ports| client.mark_read_by_message_id(now, ports, Some(&bob), &id));
        self.step();
        true
    }

    fn check(&mut self) {
        let what = format!("kills {:?} of {} steps", self.kills, self.steps);
        let sent: Vec<&str> = self.scenario.messages.iter().map(|(id, _)| *id).collect();
        let mut screen: Vec<&str> = self.screen.iter().map(String::as_str).collect();
        screen.sort_unstable();
        assert_eq!(screen, sent, "{what}");
        let mut expected = BTreeSet::new();
        for (id, wishes) in self.scenario.messages {
            expected.extend(wishes.contains("positive-delivery").then(|| ((*id).to_owned(), false)));
            expected.extend(
                (wishes.contains("display") && self.scenario.reads).then(|| ((*id).to_owned(), true)),
            );
        }
        assert_eq!(self.told.keys().cloned().collect::<BTreeSet<_>>(), expected, "{what}");
        for (told, copies) in &self.told {
            assert!(
                copies.len() <= usize::from(self.life) + usize::from(self.scenario.deaf_once),
                "{told:?} {what}"
            );
            assert!(copies.iter().all(|copy| copy == &copies[0]), "{told:?} differ, {what}");
        }
        assert_eq!(self.known_as_done(), expected, "{what}");
        if let Some(own) = &self.own_message {
            assert_eq!(self.dispositions, [format!("{own} Delivered"), format!("{own} Displayed")], "{what}");
        }
        // What was told is known for good: another copy says nothing.
        let events = self.dispositions.len();
        if let (Some(own), true) = (self.own_message.clone(), self.scenario.sends) {
            self.transactions += 1;
            let again = Incoming::message(self.transactions, cpim_imdn("again", &imdn(&own, DELIVERED)));
            self.under_way.insert(again.call_id.clone(), "again".to_owned());
            self.coming.push_back(Heard::Datagram(again.bytes()));
            self.run();
            assert_eq!(self.dispositions.len(), events, "{what} {:?}", self.dispositions);
        }
        let function = self.node.function();
        assert!(function.is_idle(), "{:?} {what}", function.metrics());
    }
}

const DELIVERED: &str = "<delivery-notification><status><delivered/></status></delivery-notification>";
const DISPLAYED: &str = "<display-notification><status><displayed/></status></display-notification>";

fn run(scenario: Scenario, kills: &[usize]) -> usize {
    let mut world = World::new(scenario, kills);
    world.run();
    let steps = world.steps;
    if scenario.deaf_once {
        // Until the notifications are tried again.
        for _ in 0..200 {
            let Some(due) = world.node.next_timeout() else { break };
            world.now = world.now.plus(due.since(world.now.mono));
            world.node.handle_timeout(world.now);
            world.run();
        }
    }
    world.check();
    steps
}

/// Killed after each single step, and after each two of them.
fn exhaust(scenario: Scenario) {
    let steps = run(scenario, &[]);
    assert!(steps > 8, "{steps}");
    for first in 0..steps {
        run(scenario, &[first]);
        for second in (0..steps).step_by(3) {
            run(scenario, &[first, second]);
        }
    }
}

const PLAIN: Scenario =
    Scenario { messages: &[], copies: false, reads: false, sends: false, deaf_once: false };

#[test]
fn messages_with_reports() {
    exhaust(Scenario {
        messages: &[("a", "positive-delivery, display"), ("b", ""), ("c", "positive-delivery")],
        ..PLAIN
    });
}

#[test]
fn two_copies_at_once() {
    exhaust(Scenario { messages: &[("a", "positive-delivery"), ("b", "display")], copies: true, ..PLAIN });
}

#[test]
fn readings() {
    exhaust(Scenario {
        messages: &[("a", "positive-delivery, display"), ("b", "display")],
        reads: true,
        ..PLAIN
    });
}

#[test]
fn notifications_whose_answers_are_lost() {
    exhaust(Scenario {
        messages: &[("a", "positive-delivery, display")],
        reads: true,
        deaf_once: true,
        ..PLAIN
    });
}

#[test]
fn notifications_that_arrive() {
    exhaust(Scenario { sends: true, ..PLAIN });
}

#[test]
fn all_at_once() {
    let scenario = Scenario {
        messages: &[("a", "positive-delivery, display"), ("b", "positive-delivery")],
        copies: true,
        reads: true,
        sends: true,
        deaf_once: false,
    };
    let steps = run(scenario, &[]);
    for first in 0..steps {
        run(scenario, &[first]);
    }
}

/// What was stored although the answer of the store never came is in the store twice: it is shown and told once.
#[test]
fn a_store_that_forgets_to_answer() {
    let mut world = World::new(Scenario { messages: &[("a", "positive-delivery")], ..PLAIN }, &[]);
    let message = Incoming::message(1, cpim("a", "positive-delivery", "Hi"));
    world.is_kept_without_an_answer(&message);
    world.restart();
    let arrived = world.kept.iter().find(|record| matches!(record, Record::Received(_))).unwrap().clone();
    world.kept.push(arrived);
    world.restart();
    assert_eq!(world.screen, ["a"]);
    world.run();
    world.check();
    assert_eq!(world.told.values().map(Vec::len).sum::<usize>(), 1);
}

/// As before, with a sender that sends again while the client lives: the copy that was answered and told of is the one that
/// counts in the next life.
#[test]
fn the_copy_that_was_told_of_counts() {
    let mut world =
        World::new(Scenario { messages: &[("a", "positive-delivery, display")], reads: true, ..PLAIN }, &[]);
    let message = Incoming::message(99, cpim("a", "positive-delivery, display", "Hi"));
    world.is_kept_without_an_answer(&message);
    while world.node.poll_action().is_some() {}
    world.run();
    assert_eq!((world.screen.len(), world.told.len(), world.known_as_done().len()), (1, 2, 2));
    let received = world.kept.iter().filter(|record| matches!(record, Record::Received(_))).count();
    assert_eq!(received, 2);
    world.restart();
    assert_eq!((world.screen.as_slice(), world.read.len()), (&["a".to_owned()][..], 1));
    world.run();
    world.check();
    assert!(world.told.values().all(|copies| copies.len() == 1));
}
