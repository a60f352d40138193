//! Which devices the served users have (TS 8.1.4), and what is known of each: from third-party REGISTERs (TS 8.1.1) and from
//! the `reg` event package (TS 8.1.2).
//!
//! An idle user costs little: a binding keeps texts and a mask of features, from which a [`Device`] is made when a
//! procedure asks, and the subscription to its registration rests as a record (`reg_event`).

mod binding;
mod record;

pub(crate) use binding::{Binding, Gruu, Interest};
pub(crate) use record::{PREFIX, key, read};

use crate::reg_event::Watch;
use core::time::Duration;
use cpm_base::Instant;
use cpm_core::feature::CpmFeature;
use cpm_core::release::Release;
use cpm_sip::Uri;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A registered device of a served user: what the registration tells of it, for the choice of suitable clients (TS 6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its contact address as registered.
    pub contact: Uri,
    /// Its public GRUU (RFC 5627), when the registrar gave it one.
    pub gruu: Option<Uri>,
    /// `+sip.instance`, without angle brackets; `None` when it registered without one.
    pub instance: Option<String>,
    /// The CPM features that it registered.
    pub features: Vec<CpmFeature>,
    /// Other capabilities (RFC 3840) that it registered, of those that [`Policy::capabilities`](crate::Policy) names: name in
    /// lower case and value without quotes, empty for a feature tag without one.
    pub capabilities: Vec<(String, String)>,
    /// What the User-Agent of its REGISTER said (TS 6.6); `None` when it named no CPM release, or was not told.
    pub release: Option<Release>,
    /// Whether it is the Primary Device of its user (TS 6.6, [`Policy::primary`](crate::Policy)).
    pub primary: bool,
    /// When its registration runs out.
    pub until: Instant,
}

impl Device {
    /// The value of a capability, by its name in any case; empty for a feature tag without a value.
    #[must_use]
    pub fn capability(&self, name: &str) -> Option<&str> {
        let found = self.capabilities.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The number of a user among those that are known; not used for another one while it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UserId(u32);

/// A user as it is known.
#[derive(Debug)]
pub(crate) struct User {
    /// The address that the core registered: the resource of the subscription.
    pub(crate) address: Arc<str>,
    /// [Address keys](Uri::address_key), that of `address` among them.
    pub(crate) identities: Box<[Arc<str>]>,
    pub(crate) bindings: Box<[Binding]>,
    /// Until when the core says that the user is registered.
    pub(crate) until: Instant,
    /// The subscription to the user's registration.
    pub(crate) watch: Watch,
    /// What counts of its numbered documents.
    pub(crate) versions: cpm_ua::VersionGate,
    /// When something is due next.
    alarm: Option<Instant>,
}

impl User {
    pub(crate) fn new(address: &Uri, until: Instant) -> Self {
        User {
            address: address.as_str().into(),
            identities: Box::default(),
            bindings: Box::default(),
            until,
            watch: Watch::None,
            versions: cpm_ua::VersionGate::new(),
            alarm: None,
        }
    }

    /// When something about the user is due: a binding or the registration runs out, or the subscription wants something.
    fn next_alarm(&self) -> Instant {
        let bindings = self.bindings.iter().map(|binding| binding.until);
        let rest = self.bindings.is_empty().then_some(self.until);
        bindings.chain(self.watch.alarm()).chain(rest).min().unwrap_or(self.until)
    }

    /// What is registered, each device once: several bindings of one instance (RFC 5626: one for each of its flows) are
    /// one device, which is there as long as the last of them.
    fn devices(&self, now: Instant) -> Vec<&Binding> {
        let mut devices: Vec<&Binding> = Vec::with_capacity(self.bindings.len());
        for binding in self.bindings.iter().filter(|binding| binding.until > now) {
            let same = devices
                .iter_mut()
                .find(|known| known.instance.is_some() && known.instance == binding.instance);
            match same {
                Some(known) if known.until >= binding.until => {}
                Some(known) => *known = binding,
                None => devices.push(binding),
            }
        }
        devices
    }

    pub(crate) fn count(&self, now: Instant) -> usize {
        self.devices(now).len()
    }
}

/// More than there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// The served users that are known.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    users: BTreeMap<UserId, Box<User>>,
    /// Any identity of a user.
    identities: BTreeMap<Arc<str>, UserId>,
    /// When the next thing is due for each user.
    alarms: BTreeSet<(Instant, UserId)>,
    last: u32,
}

impl Registrations {
    /// Who has this identity.
    pub(crate) fn find(&self, identity: &Uri) -> Option<UserId> {
        self.identities.get(identity.address_key().as_str()).copied()
    }

    pub(crate) fn get(&self, id: UserId) -> Option<&User> {
        self.users.get(&id).map(|user| &**user)
    }

    /// Changes a user; afterwards it is known when something is due for it.
    pub(crate) fn change<R>(&mut self, id: UserId, change: impl FnOnce(&mut User) -> R) -> Option<R> {
        let user = self.users.get_mut(&id)?;
        let result = change(user);
        let at = user.next_alarm();
        if user.alarm != Some(at) {
            if let Some(before) = user.alarm.replace(at) {
                self.alarms.remove(&(before, id));
            }
            self.alarms.insert((at, id));
        }
        Some(result)
    }

    /// The user of this address, who may be a new one.
    pub(crate) fn user(&mut self, address: &Uri, until: Instant, max_users: usize) -> Result<UserId, NoRoom> {
        if let Some(id) = self.find(address) {
            return Ok(id);
        }
        if self.users.len() >= max_users {
            return Err(NoRoom);
        }
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.users.contains_key(&UserId(self.last)) {
                break;
            }
        }
        let id = UserId(self.last);
        self.users.insert(id, Box::new(User::new(address, until)));
        self.name(id, Vec::new());
        self.change(id, |_| ());
        Ok(id)
    }

    /// Gives a user these identities beside its address; one that another user had is that one's no more.
    pub(crate) fn name(&mut self, id: UserId, others: Vec<String>) {
        let Some(user) = self.users.get_mut(&id) else { return };
        let own = Uri::parse(&user.address).map(|address| address.address_key()).unwrap_or_default();
        let names: BTreeSet<String> = others.into_iter().chain([own]).collect();
        let before = std::mem::take(&mut user.identities);
        for name in before.iter().filter(|name| !names.contains(&***name)) {
            if self.identities.get(name) == Some(&id) {
                self.identities.remove(name);
            }
        }
        let names: Box<[Arc<str>]> = names.into_iter().map(Arc::from).collect();
        for name in &names {
            // The key that is there already would stay: it is to be the one that the user has.
            self.identities.remove(name);
            self.identities.insert(Arc::clone(name), id);
        }
        if let Some(same) = names.iter().find(|name| **name == user.address) {
            user.address = Arc::clone(same);
        }
        user.identities = names;
    }

    /// Forgets a user.
    pub(crate) fn remove(&mut self, id: UserId) -> Option<Box<User>> {
        let user = self.users.remove(&id)?;
        if let Some(at) = user.alarm {
            self.alarms.remove(&(at, id));
        }
        for name in &user.identities {
            if self.identities.get(name) == Some(&id) {
                self.identities.remove(name);
            }
        }
        Some(user)
    }

    /// All devices of a user, by any of the user's identities, that are still registered: the Primary Device (TS 6.6) is
    /// marked.
    // req: 8.1.4-p2
    pub(crate) fn all_devices(&self, now: Instant, user: &Uri) -> Vec<Device> {
        let Some(user) = self.find(user).and_then(|id| self.get(id)) else { return Vec::new() };
        let bindings = user.devices(now);
        let mut devices = Vec::with_capacity(bindings.len());
        devices.extend(bindings.into_iter().filter_map(|binding| binding.device(&user.address)));
        devices
    }

    /// Those that registered a feature.
    // req: 8.1.4-p2
    pub(crate) fn devices(&self, now: Instant, user: &Uri, feature: CpmFeature) -> Vec<Device> {
        let Some(user) = self.find(user).and_then(|id| self.get(id)) else { return Vec::new() };
        let devices = user.devices(now).into_iter().filter(|device| device.has(feature));
        devices.filter_map(|device| device.device(&user.address)).collect()
    }

    /// How many users are known.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// How many of them have a device.
    pub(crate) fn with_devices(&self) -> usize {
        self.users.values().filter(|user| !user.bindings.is_empty()).count()
    }

    /// When something is due for anybody.
    pub(crate) fn next_alarm(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// For whom something is due.
    pub(crate) fn due(&self, now: Instant) -> Option<UserId> {
        self.alarms.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> [usize; 3] {
        [self.users.len(), self.identities.len(), self.alarms.len()]
    }
}

/// Says which device of a user is the Primary Device (TS 6.6): of the marks the first that a device has; of the devices
/// that have it the one that registered first.
// req: 6.6-p2, 6.6-p1.2, 8.1.2-p2
pub(crate) fn mark_primary(bindings: &mut [Binding]) {
    for binding in bindings.iter_mut() {
        binding.primary = false;
    }
    let of = |place: u32| bindings.iter().position(|binding| binding.bears(place));
    let Some(first) = (0..u8::BITS).find_map(of) else { return };
    let Some(instance) = bindings.get_mut(first).map(|binding| {
        binding.primary = true;
        binding.instance.clone()
    }) else {
        return;
    };
    // Its other flows are the same device.
    for binding in bindings.iter_mut().filter(|binding| instance.is_some() && binding.instance == instance) {
        binding.primary = true;
    }
}

/// The end of a registration that lasts so many seconds from now.
pub(crate) fn until(now: Instant, seconds: u64) -> Instant {
    /// `time.max_delta`: no time of a peer counts as more than this.
    const MOST: u64 = 30 * 24 * 3600;
    now.plus(Duration::from_secs(seconds.min(MOST)))
}

#[cfg(test)]
mod tests;
