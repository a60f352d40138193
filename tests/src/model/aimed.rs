//! What hits a place that chance seldom hits: a node that starts again while nothing happens, crashes in the moment in which
//! a node asks its store or has just shown a message, stores that fail when they are the only place of a message, and
//! senders that are away when they are to hear what became of it.

use super::arena::DeviceId;
use super::plan::{Trouble, WishPlan};
use super::story::Story;
use crate::scene::Told;
use cpm_client::{Client, ClientEvent};
use cpm_core::StoreError;
use cpm_participating::ParticipatingFunction;
use cpm_sim::{Handle, NodeId, Outcome, QueryFault, QueryKind, What, World};
use std::time::Duration;

/// How long it is waited for the moment to come.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long stores take when a crash is to come between a question and its reply, and afterwards.
const SLOW_STORE: Duration = Duration::from_secs(1);
const QUICK_STORE: Duration = Duration::from_millis(5);

/// Longer than any request is repeated: 64*T1 (RFC 3261 §17.1.2.2) and the way.
const AWAY: Duration = Duration::from_secs(40);

impl Story {
    pub(super) fn aimed(&mut self) {
        match self.arena.plan.trouble {
            Trouble::None => self.restart_in_quiet(),
            Trouble::Network => self.sender_is_away(),
            Trouble::Everything => match self.dice.below(8) {
                0 => self.store_of_function_fails(),
                1..=2 => self.crash_when_shown(),
                3..=4 => self.crash_when_stored(),
                5..=6 => self.crash_when_owed(),
                _ => self.sender_is_away(),
            },
        }
    }

    /// Nothing happens, and a node starts again: that changes nothing. What a user reads before and after is told once.
    fn restart_in_quiet(&mut self) {
        let device = self.device();
        self.arena.settle();
        if self.dice.one_in(3) {
            self.note(format!("{} starts again in quiet", self.arena.name(device)));
            self.restart(device);
            self.arena.settle();
            return;
        }
        self.read_on(device);
        self.arena.settle();
        for number in 0..self.arena.functions.len() {
            self.note(format!("pf-{number} starts again in quiet"));
            self.arena.world.restart_from_store(self.arena.functions[number]);
        }
        self.arena.settle();
        let others = self.arena.ids().into_iter().filter(|other| other.0 == device.0 && *other != device);
        for other in others.collect::<Vec<DeviceId>>() {
            self.read_on(other);
        }
        self.arena.settle();
    }

    fn user(&mut self) -> usize {
        self.dice.index(self.arena.plan.users.len())
    }

    fn function_of(&self, user: usize) -> Handle<ParticipatingFunction> {
        self.arena.functions[self.arena.plan.users[user].function]
    }

    /// A query of the function of a user to whom something is sent goes wrong; of one whose messages are stored, if any.
    fn store_of_function_fails(&mut self) {
        let stores =
            |user: &usize| self.arena.plan.users[*user].rules.iter().any(|rule| rule.wish == WishPlan::Store);
        let user = (0..self.arena.plan.users.len()).find(stores);
        let user = user.unwrap_or_else(|| self.user());
        let function = self.function_of(user);
        let kind = self.dice.pick(&[QueryKind::StoreObject, QueryKind::StoreObject, QueryKind::Store]);
        let fault = self.dice.pick(&[
            QueryFault::Store(StoreError::Failed),
            QueryFault::Store(StoreError::Full),
            QueryFault::Lost,
        ]);
        self.note(format!("{}: the next {kind:?}: {fault:?}", self.arena.world.name_of(function.into())));
        self.arena.world.fail_queries(function, kind, &[fault]);
        self.send_to(Some(user));
    }

    /// A device shows a message, and its answer is lost, and it crashes: a copy of the message comes when it is back.
    fn crash_when_shown(&mut self) {
        let device = self.device();
        let handle = self.arena.devices[&device].handle;
        let before = self.arena.world.events().len();
        if !self.send_to(Some(device.0)) {
            return;
        }
        let node: NodeId = handle.into();
        let shown = self.wait_for(|world| {
            world.events()[before..].iter().any(|happened| {
                happened.node == node && matches!(happened.event, Told::Client(ClientEvent::Received(_)))
            })
        });
        if !shown {
            return;
        }
        self.note(format!(
            "{} crashes when it has shown it, and its answer is lost",
            self.arena.name(device)
        ));
        let others: Vec<NodeId> = self.arena.nodes().into_iter().filter(|other| *other != node).collect();
        self.arena.world.partition(&[node], &others);
        self.crash_device(device, handle);
    }

    /// Who sent a message is cut off when it is shown, or was taken and is being read: what is told of it meanwhile does not
    /// arrive, and is told again.
    fn sender_is_away(&mut self) {
        let to = self.user();
        let before = self.arena.world.events().len();
        if !self.send_asking(to, true) {
            return;
        }
        let Some(sender) = self.sendings.last().map(|sending| sending.plan.from) else { return };
        let node: NodeId = self.arena.devices[&sender].handle.into();
        let reads = self.dice.one_in(2);
        let reached = self.wait_for(|world| {
            world.events()[before..].iter().any(|happened| match &happened.event {
                Told::Client(ClientEvent::Received(_)) => !reads && happened.node != node,
                Told::Client(ClientEvent::Sent { .. }) => reads && happened.node == node,
                _ => false,
            })
        });
        if !reached {
            return;
        }
        self.note(format!("for {} s no way to {}", AWAY.as_secs(), self.arena.name(sender)));
        let others: Vec<NodeId> = self.arena.nodes().into_iter().filter(|other| *other != node).collect();
        self.arena.world.partition(&[node], &others);
        if reads {
            let devices = self.arena.ids().into_iter().filter(|device| device.0 == to);
            devices.collect::<Vec<DeviceId>>().into_iter().for_each(|device| self.read_on(device));
        }
        self.pass(AWAY);
        self.arena.world.heal();
    }

    fn crash_device(&mut self, device: DeviceId, handle: Handle<Client>) {
        self.arena.world.crash(handle);
        let down = self.dice.pick(&[0, 10, 2_000]);
        self.pass(Duration::from_millis(down));
        self.arena.world.heal();
        self.restart(device);
    }

    /// A node asks its store to keep something, and crashes before it has an answer.
    fn crash_when_stored(&mut self) {
        let user = self.user();
        let device = self.device();
        let of_function = self.arena.plan.function_of(user).on_behalf || self.dice.one_in(3);
        let to = if of_function { user } else { device.0 };
        if !self.send_to(Some(to)) {
            return;
        }
        let node = match of_function {
            true => self.function_of(user).id(),
            false => self.arena.devices[&device].handle.id(),
        };
        for _ in 0..1 + self.dice.below(2) {
            if !self.asks_store(node, "store", "") {
                return;
            }
        }
        self.note(format!("{} crashes when it has asked its store", self.arena.world.name_of(node)));
        match of_function {
            true => self.crash_function_of(user),
            false => self.crash_device(device, self.arena.devices[&device].handle),
        }
    }

    /// A function that speaks for the devices of a user asks its store to keep what it owes, and crashes before it has an
    /// answer; stores take their time, so that one who hears of the message before that has heard it by then.
    fn crash_when_owed(&mut self) {
        let mut users: Vec<usize> = (0..self.arena.plan.users.len()).collect();
        users.retain(|user| self.arena.plan.function_of(*user).on_behalf);
        if users.is_empty() {
            return self.crash_when_stored();
        }
        let user = self.dice.pick(&users);
        let function = self.function_of(user);
        self.arena.world.set_query_delay_of(QueryKind::Store, SLOW_STORE..SLOW_STORE);
        // That it was read would tell that it was delivered.
        let sent = self.send_asking(user, false);
        let about = self.sendings.last().map(|sending| sending.sent.message_id.clone()).unwrap_or_default();
        if sent && self.asks_store(function.id(), "store pf/owed/", &about) {
            let after = self.dice.pick(&[0, 600, 600]);
            self.pass(Duration::from_millis(after));
            let name = self.arena.world.name_of(function.id());
            self.note(format!("{name} crashes before its store has what it owes"));
            self.crash_function_of(user);
        }
        self.arena.world.set_query_delay_of(QueryKind::Store, QUICK_STORE..QUICK_STORE);
    }

    fn crash_function_of(&mut self, user: usize) {
        let function = self.function_of(user);
        self.arena.world.crash(function);
        let down = self.dice.pick(&[0, 0, 2_000]);
        self.pass(Duration::from_millis(down));
        self.arena.world.restart_from_store(function);
    }

    /// Waits for the next query of a node that begins so and says so; `false`: there was none.
    fn asks_store(&mut self, node: NodeId, what: &str, about: &str) -> bool {
        let name = self.arena.world.name_of(node);
        let before = self.arena.world.trace().entries().len();
        self.wait_for(|world| {
            world.trace().entries()[before..].iter().any(|entry| {
                let asked = entry.what == What::Query && entry.from == name;
                asked && entry.label.starts_with(what) && entry.label.contains(about)
            })
        })
    }

    /// Goes on until something is so; `false`: it did not come to that.
    fn wait_for(&mut self, is_so: impl FnMut(&World<Told>) -> bool) -> bool {
        match self.arena.world.run_until(PATIENCE, is_so) {
            Ok(outcome) => outcome == Outcome::Reached,
            Err(violation) => panic!("{violation}\n{}", self.tale()),
        }
    }
}
