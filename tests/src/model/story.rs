//! What happens in a world: messages, readings, devices that leave and come, and everything that can go wrong; by chance.

use super::arena::{Arena, DeviceId, Sending};
use super::plan::{FUNCTION_RESTARTS, MessagePlan, NOBODY, Plan, RESTARTS, Trouble};
use crate::dice::Dice;
use cpm_client::{ClientEvent, ReceivedId, ReceivedMessage};
use cpm_core::StoreError;
use cpm_sim::{Link, QueryFault, QueryKind, QueryTrouble, TraceEntry};
use std::collections::BTreeSet;
use std::time::Duration;

/// A message that was read on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub device: DeviceId,
    pub message_id: String,
    /// The client said that a read report goes out.
    pub owed: bool,
    /// Whether the device of the sender was registered.
    pub registered: super::fate::Registered,
    /// The device crashed before its store knew: for its next life nobody has read it.
    pub forgotten: bool,
    /// How many events there had been.
    pub events: usize,
}

pub struct Story {
    pub arena: Arena,
    pub sendings: Vec<Sending>,
    pub readings: Vec<Reading>,
    /// From here on the messages were sent when everything was good again.
    pub probes_from: usize,
    /// How many events there had been then: what is to be told of what was before is told by now.
    pub told_by: usize,
    /// Devices that left the network, for a while or for good.
    pub unsteady: BTreeSet<DeviceId>,
    pub(super) dice: Dice,
    /// Draws what wide worlds have besides, so that all else in them stays as it was.
    besides: Dice,
    log: Vec<String>,
}

/// Begins the drawing of which worlds are wide.
const WIDE: u64 = 8;
/// Begins the drawing of what wide worlds have besides.
const BESIDES: u64 = 9;

/// One world in two is wide; which ones, is drawn apart.
fn is_wide(seed: u64) -> bool {
    Dice(seed.wrapping_mul(0xd134_2543).wrapping_add(WIDE)).one_in(2)
}

impl Story {
    /// The world of a seed, and all that happens in it, to its end.
    pub fn of(seed: u64) -> Story {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9).wrapping_add(77));
        let mut besides = Dice(seed.wrapping_mul(0xd134_2543).wrapping_add(BESIDES));
        let mut plan = Plan::random(&mut dice, is_wide(seed));
        if plan.wide {
            plan.draw_besides(&mut besides);
        }
        let arena = Arena::new(plan, seed);
        let mut story = Story {
            arena,
            sendings: Vec::new(),
            readings: Vec::new(),
            probes_from: usize::MAX,
            told_by: usize::MAX,
            unsteady: BTreeSet::new(),
            dice,
            besides,
            log: Vec::new(),
        };
        story.note(format!("{:#?}", story.arena.plan));
        if story.arena.plan.trouble >= Trouble::Network {
            story.rough();
        } else if story.dice.one_in(2) {
            story
                .arena
                .world
                .set_default_link(Link { max_delay: Duration::from_millis(40), ..Link::perfect() });
        }
        for _ in 0..6 + story.dice.below(6) {
            story.something();
            let pause = story.dice.pick(&[0, 3, 20, 400, 3_000, 9_000]);
            story.pass(Duration::from_millis(pause));
        }
        story.end();
        story
    }

    pub(super) fn note(&mut self, text: String) {
        let at = self.arena.world.now().mono.as_micros();
        self.log.push(format!("{:.3} s: {text}", at as f64 / 1e6));
    }

    pub(super) fn pass(&mut self, time: Duration) {
        if let Err(violation) = self.arena.world.run_for(time) {
            panic!("{violation}\n{}", self.tale());
        }
    }

    fn something(&mut self) {
        let trouble = self.arena.plan.trouble;
        if self.arena.plan.wide && self.dice.one_in(4) {
            return self.aimed();
        }
        match self.dice.below(if trouble == Trouble::Everything { 19 } else { 10 }) {
            0..=5 => self.send(),
            6 => {
                self.send();
                self.send();
            }
            7..=8 => self.read(),
            9 => self.come_or_leave(),
            10 => self.rough(),
            11..=12 => self.cut(),
            13 => self.failing_store(),
            14 => self.trouble_queries(),
            15 if FUNCTION_RESTARTS => self.crash_function(),
            _ if RESTARTS => self.crash(),
            _ => self.send(),
        }
    }

    pub(super) fn device(&mut self) -> DeviceId {
        let ids = self.arena.ids();
        self.dice.pick(&ids)
    }

    fn send(&mut self) {
        self.send_to(None);
    }

    /// Somebody sends something, to this user or to anybody; `false`: there is nobody who could.
    pub(super) fn send_to(&mut self, to: Option<usize>) -> bool {
        let mut registered: Vec<DeviceId> = self.arena.registered().into_iter().collect();
        registered.retain(|device| to != Some(device.0));
        if registered.is_empty() {
            return false;
        }
        let from = self.dice.pick(&registered);
        let mut plan = self.message(from, to);
        let original = if to.is_none() && self.dice.one_in(3) { self.answerable(from) } else { None };
        if let Some((number, _)) = &original {
            plan.reply_to = Some(*number);
            plan.to = self.sendings[*number].plan.from.0;
        }
        self.send_message(&plan, original.map(|(_, received)| received).as_ref())
    }

    /// Somebody sends this user something and wants to hear that it was delivered, and whether it is read; somebody with one
    /// device, if there is: that hears all that is told. `false`: there is nobody who could.
    pub(super) fn send_asking(&mut self, to: usize, display: bool) -> bool {
        let mut from: Vec<DeviceId> = self.arena.registered().into_iter().collect();
        // Who does not take pager messages is told nothing.
        from.retain(|device| device.0 != to && self.arena.plan.device(*device).pager);
        let alone = |device: &DeviceId| self.arena.plan.users[device.0].devices.len() == 1;
        if from.iter().any(alone) {
            from.retain(alone);
        }
        if from.is_empty() {
            return false;
        }
        let from = self.dice.pick(&from);
        let mut plan = self.message(from, Some(to));
        (plan.delivery, plan.display) = (true, display);
        self.send_message(&plan, None)
    }

    /// A message by chance.
    fn message(&mut self, from: DeviceId, to: Option<usize>) -> MessagePlan {
        let users: Vec<usize> = (0..self.arena.plan.users.len()).filter(|user| *user != from.0).collect();
        let mut plan = MessagePlan {
            from,
            to: match to {
                Some(to) => to,
                None if self.dice.one_in(8) => NOBODY,
                None => self.dice.pick(&users),
            },
            text: format!("message {} \u{fc}\u{1f600}", self.sendings.len()),
            delivery: !self.dice.one_in(4),
            display: !self.dice.one_in(4),
            failure: self.arena.plan.wide && self.besides.one_in(2),
            anonymous: self.dice.one_in(6),
            expires: self.dice.one_in(4).then_some(7200),
            reply_to: None,
        };
        if self.arena.plan.wide && plan.expires.is_some() && self.dice.one_in(2) {
            plan.expires = Some(2);
        }
        plan
    }

    /// `false`: the client refuses it.
    fn send_message(&mut self, plan: &MessagePlan, original: Option<&ReceivedMessage>) -> bool {
        let Some(sending) = self.arena.send(plan, original) else {
            self.note(format!("refused by the client: {plan:?}"));
            return false;
        };
        let (number, name) = (self.sendings.len(), self.arena.name(plan.from).to_owned());
        self.note(format!("{name} sends {number} as {}: {plan:?}", sending.sent.message_id));
        self.sendings.push(sending);
        true
    }

    /// A message that was shown on a device and whose sender is known.
    fn answerable(&mut self, id: DeviceId) -> Option<(usize, ReceivedMessage)> {
        let shown = self.shown(id);
        let known: Vec<_> = shown.into_iter().filter(|message| message.from.is_some()).collect();
        if known.is_empty() {
            return None;
        }
        let message = known[self.dice.index(known.len())].clone();
        let number = self
            .sendings
            .iter()
            .position(|sending| Some(&sending.sent.message_id) == message.message_id.as_ref())?;
        Some((number, message))
    }

    /// What was shown on a device, ever.
    pub fn shown(&self, id: DeviceId) -> Vec<ReceivedMessage> {
        let received = |(_, _, event): (usize, usize, &ClientEvent)| match event {
            ClientEvent::Received(message) => Some((**message).clone()),
            _ => None,
        };
        self.arena.told(id).into_iter().filter_map(received).collect()
    }

    fn read(&mut self) {
        let device = self.device();
        self.read_on(device);
    }

    /// The user of a device reads what it shows.
    pub(super) fn read_on(&mut self, device: DeviceId) {
        if self.arena.world.is_down(self.arena.devices[&device].handle) {
            return;
        }
        let known = |message_id: &str, story: &Story| {
            let same = |reading: &&Reading| reading.device == device && reading.message_id == message_id;
            story.readings.iter().filter(same).any(|reading| !reading.forgotten)
        };
        let shown: Vec<(ReceivedId, String)> = self
            .shown(device)
            .into_iter()
            .filter_map(|message| Some((message.id, message.message_id?)))
            .filter(|(_, message_id)| !known(message_id, self))
            .collect();
        for (id, message_id) in shown {
            let owed = self.arena.command(device, |client, now, ports| client.mark_read(now, ports, id));
            self.note(format!("{} reads {message_id}, report: {owed}", self.arena.name(device)));
            let (registered, events) = (self.arena.registered(), self.arena.world.events().len());
            self.readings.push(Reading { device, message_id, owed, registered, forgotten: false, events });
        }
    }

    /// A device leaves the network or comes back; when nothing goes wrong, while nothing else happens.
    fn come_or_leave(&mut self) {
        let device = self.device();
        if self.arena.plan.trouble == Trouble::None {
            self.arena.settle();
        }
        self.unsteady.insert(device);
        let name = self.arena.name(device).to_owned();
        if self.arena.devices[&device].registered {
            self.note(format!("{name} leaves"));
            self.arena.leave(device);
        } else {
            self.note(format!("{name} comes back"));
            self.arena.register(device);
        }
        if self.arena.plan.trouble == Trouble::None {
            self.arena.settle();
        }
    }

    fn rough(&mut self) {
        let probability = self.dice.below(25) as f64 / 100.0;
        self.note(format!("links lose, double and reorder {probability}"));
        self.arena.world.set_default_link(Link::rough(probability));
        let slowest = Duration::from_millis(self.dice.pick(&[1, 30, 700]));
        self.arena.world.set_query_delay(Duration::from_millis(1)..slowest);
    }

    /// No way between two nodes, for a while.
    fn cut(&mut self) {
        let nodes = self.arena.nodes();
        let (a, b) = (self.dice.pick(&nodes), self.dice.pick(&nodes));
        let seconds = self.dice.pick(&[1, 5, 20]);
        self.note(format!(
            "for {seconds} s no way between {} and {}",
            self.arena.world.name_of(a),
            self.arena.world.name_of(b)
        ));
        self.arena.world.partition(&[a], &[b]);
        if self.dice.one_in(2) {
            self.send();
        }
        self.pass(Duration::from_secs(seconds));
        self.arena.world.heal();
    }

    fn failing_store(&mut self) {
        let nodes = self.arena.nodes();
        let node = self.dice.pick(&nodes);
        let kinds = [QueryKind::Store, QueryKind::StoreObject, QueryKind::Preferences, QueryKind::MarkSeen];
        let kind = self.dice.pick(&kinds);
        let faults = [
            QueryFault::Store(StoreError::Failed),
            QueryFault::Store(StoreError::Full),
            QueryFault::Lost,
            QueryFault::ReplyLost,
            QueryFault::ReplyDoubled,
        ];
        let fault = self.dice.pick(&faults);
        self.note(format!("{}: the next {kind:?}: {fault:?}", self.arena.world.name_of(node)));
        self.arena.world.fail_queries(node, kind, &[fault]);
    }

    fn trouble_queries(&mut self) {
        let rate = self.dice.below(20) as f64 / 100.0;
        self.note(format!("queries go wrong {rate}"));
        let trouble =
            QueryTrouble { failed: rate, lost: rate / 2.0, reply_lost: rate / 2.0, reply_doubled: rate };
        self.arena.world.set_query_trouble(trouble);
    }

    fn crash_function(&mut self) {
        let number = self.dice.index(self.arena.functions.len());
        self.note(format!("pf-{number} crashes and starts again"));
        let function = self.arena.functions[number];
        self.arena.world.crash(function);
        let down = self.dice.pick(&[0, 10, 2_000, 20_000]);
        self.pass(Duration::from_millis(down));
        self.arena.world.restart_from_store(function);
    }

    fn crash(&mut self) {
        let device = self.device();
        self.note(format!("{} crashes and starts again", self.arena.name(device)));
        let handle = self.arena.devices[&device].handle;
        self.arena.world.crash(handle);
        let down = self.dice.pick(&[0, 10, 2_000, 20_000]);
        self.pass(Duration::from_millis(down));
        self.restart(device);
    }

    /// A device starts again. What its user read and its store does not know of is not read in its next life.
    pub(super) fn restart(&mut self, device: DeviceId) {
        self.arena.restart(device);
        let read = self.arena.read_in_history(device);
        for reading in self.readings.iter_mut().filter(|reading| reading.device == device) {
            reading.forgotten |= !read.contains(&reading.message_id);
        }
    }

    /// The faults end; everything settles, everything is read.
    fn end(&mut self) {
        self.note("everything is good again".to_owned());
        self.arena.heal();
        self.settle();
        self.told_by = self.arena.world.events().len();
        self.renew_registrations();
        self.probes_from = self.sendings.len();
        for _ in 0..2 {
            self.send();
        }
        self.settle();
        if self.dice.one_in(2) {
            for device in self.arena.ids() {
                self.read_on(device);
            }
        }
        self.settle();
        self.note("the end".to_owned());
    }

    /// What a device sent on its way out, before it crashed, may come behind the REGISTER of its next life, and counts all
    /// the same: its Call-ID is another (RFC 3261 §10.3-7). The device stands again when it renews its registration.
    fn renew_registrations(&mut self) {
        for id in self.arena.ids() {
            let device = &self.arena.devices[&id];
            if device.registered && device.may_be_put_out {
                self.note(format!("{} renews its registration", device.name));
                self.arena.register(id);
                self.settle();
            }
        }
    }

    fn settle(&mut self) {
        if self.arena.plan.trouble > Trouble::None {
            // Longer than anything waits: five tries of a notification, 64*T1 and 30 s each.
            self.pass(Duration::from_secs(600));
        }
        self.arena.settle();
    }

    /// What happened, for people: with `CPM_LINES` set a line for each thing, queries among them, instead of a ladder.
    pub fn tale(&self) -> String {
        let trace = match std::env::var_os("CPM_LINES") {
            Some(_) => self.arena.world.trace().entries().iter().map(line).collect::<Vec<_>>().join("\n"),
            None => self.arena.ladder(),
        };
        format!("{}\n{trace}", self.log.join("\n"))
    }
}

/// An entry, and which message is in it: `+` delivered, `++` displayed.
fn line(entry: &TraceEntry) -> String {
    let text = String::from_utf8_lossy(entry.bytes.as_deref().unwrap_or_default());
    let between = |from: &str, to: &str| Some(text.split_once(from)?.1.split_once(to)?.0);
    let about = between("<message-id>", "</message-id>").map(|id| match text.contains("<displayed/>") {
        true => format!(" ++{id}"),
        false => format!(" +{id}"),
    });
    let about = about.or_else(|| Some(format!(" {}", between("imdn.Message-ID: ", "\r\n")?)));
    format!("{entry}{}", about.unwrap_or_default())
}
