//! What happens to the served users (TS 8.1): they are registered, told anew, run out, are forgotten, and outlive a restart.

use crate::function::busy;
use crate::policy::{RegSubscription, WithoutDevices};
use crate::reg_event::Watch;
use crate::registrations::{self, Binding, Interest, UserId, mark_primary};
use crate::third_party::{RegisteringClient, ThirdParty};
use crate::{ParticipatingEvent, ParticipatingFunction};
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_core::warning::refusal;
use cpm_core::{Ports, StateRecord, StoreError};
use cpm_sip::{Request, Response, StatusCode, To, Uri};
use cpm_ua::RequestId;
use cpm_xml::reginfo::{RegInfo, RegistrationState};

/// How long a user without devices is kept, where the policy keeps such users: then the question comes up again.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A third-party REGISTER that is answered when its user is stored.
#[derive(Debug)]
pub(crate) struct HeldRegister {
    key: String,
    id: RequestId,
    request: Request,
}

type PfPorts<'a> = Ports<'a, ParticipatingEvent>;

impl ParticipatingFunction {
    /// TS 8.1.1.
    // req: 8.1.1-p1, 8.1.1-1, 8.1.1-2
    pub(crate) fn third_party(&mut self, now: Now, ports: &mut PfPorts<'_>, id: RequestId, request: Request) {
        let address = self.address_of(&request);
        let read = ThirdParty::read(now.mono, &request, &self.config.limits, self.interest(&address));
        let ThirdParty { user, until, registered, client } = match read {
            Ok(read) => read,
            Err(why) => return self.refuse(now, ports, id, &request, StatusCode::BAD_REQUEST, Some(&why)),
        };
        let Some(until) = until else {
            let known = self.registrations.find(&user);
            self.answer(now, ports, id, Response::for_request(&request, StatusCode::OK));
            ports.host.event(ParticipatingEvent::Registration { user, devices: 0 });
            if let Some(known) = known {
                self.without_devices(now, ports, known);
            }
            return;
        };
        let bindings = registered.as_ref().map_or(&[][..], |registered| &registered.bindings);
        if let Err(why) = self.check_devices(bindings) {
            return self.refuse(now, ports, id, &request, StatusCode::BAD_REQUEST, Some(&why));
        }
        let Ok(known) = self.registrations.user(&user, until, self.config.limits.max_users) else {
            self.metrics.count("pf.too_many_users");
            return self.refuse_busy(now, ports, id, &request);
        };
        let told_all = registered.is_some();
        self.registrations.change(known, |user| user.until = until);
        if let Some(registered) = registered {
            self.registrations.name(known, registered.identities);
            self.replace(known, registered.bindings);
        }
        if let Some(client) = client {
            self.note_release(known, &client);
        }
        let devices = self.registrations.get(known).map_or(0, |user| user.count(now.mono));
        let key = self.keep_user(now, ports, known);
        match key.filter(|_| self.config.policy.registration_stored_first) {
            Some(key) => self.held_registers.push(HeldRegister { key, id, request }),
            None => {
                self.answer(now, ports, id, Response::for_request(&request, StatusCode::OK));
            }
        }
        ports.host.event(ParticipatingEvent::Registration { user, devices });
        if told_all && devices == 0 {
            return self.without_devices(now, ports, known);
        }
        if !(told_all && self.config.policy.reg_subscription == RegSubscription::WhenNotTold) {
            self.watch(now, ports, known);
        }
    }

    fn refuse_busy(&mut self, now: Now, ports: &mut PfPorts<'_>, id: RequestId, request: &Request) {
        self.metrics.count("pf.refused");
        self.answer(now, ports, id, busy(request));
    }

    /// The address under which the user of a third-party REGISTER is known; of a new one, To.
    fn address_of(&self, request: &Request) -> String {
        let Some(to) = request.typed::<To>().ok().flatten() else { return String::new() };
        let known = self.registrations.find(to.uri()).and_then(|id| self.registrations.get(id));
        known.map_or_else(|| to.uri().to_string(), |user| String::from(&*user.address))
    }

    /// What the policy wants to know of a device of the user with this address.
    fn interest<'a>(&'a self, address: &'a str) -> Interest<'a> {
        let policy = &self.config.policy;
        Interest { address, capabilities: &policy.capabilities, primary: &policy.primary }
    }

    /// Whether there are not more devices, and bindings of them, than there may be.
    fn check_devices(&self, bindings: &[Binding]) -> Result<(), String> {
        /// Flows of one device that are counted as one.
        const FLOWS: usize = 4;
        let most = self.config.limits.max_devices;
        let first = |(place, binding): (usize, &Binding)| {
            let before = bindings.get(..place).unwrap_or_default();
            binding.instance.is_none() || !before.iter().any(|known| known.instance == binding.instance)
        };
        let devices = bindings.iter().enumerate().filter(|device| first(*device)).count();
        if devices > most || bindings.len() > most.saturating_mul(FLOWS) {
            return Err(format!("more than {most} devices"));
        }
        Ok(())
    }

    /// Replaces what is known of a user's devices. The release of a device that was known stays known: the registration
    /// does not tell it.
    fn replace(&mut self, id: UserId, mut bindings: Vec<Binding>) {
        self.registrations.change(id, |user| {
            for binding in &mut bindings {
                let known = user
                    .bindings
                    .iter()
                    .find(|known| known.is_same_device(binding.instance.as_deref(), &binding.contact));
                binding.release = binding.release.or(known.and_then(|known| known.release));
            }
            mark_primary(&mut bindings);
            user.bindings = bindings.into_boxed_slice();
        });
    }

    /// The release that the client's REGISTER names is that of the device that it registered (TS 6.6).
    // req: 8.1.1-3
    fn note_release(&mut self, id: UserId, client: &RegisteringClient) {
        self.registrations.change(id, |user| {
            for binding in &mut user.bindings {
                let registered = |(instance, contact): &(Option<String>, String)| {
                    binding.is_same_device(instance.as_deref(), contact)
                };
                if client.contacts.iter().any(registered) {
                    binding.release = client.release;
                }
            }
        });
    }

    /// The registration information of a NOTIFY that counts takes the place of what is known (TS 8.1.2); partial
    /// information, of what it names.
    // req: 8.1.2-3
    pub(crate) fn registration_information(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        id: UserId,
        information: RegInfo,
    ) {
        let Some(user) = self.registrations.get(id) else { return };
        let rest = user.until.max(now.mono);
        let keep: &[Binding] = if information.partial { &user.bindings } else { &[] };
        let mut bindings: Vec<Binding> = keep.to_vec();
        let mut names: Vec<String> = match information.partial {
            true => user.identities.iter().map(|name| String::from(&**name)).collect(),
            false => Vec::new(),
        };
        let contacts = || information.registrations.iter().flat_map(|registration| &registration.contacts);
        for contact in contacts() {
            // In the implicit set of identities each names the same contacts: one that is bound to any is there.
            bindings.retain(|known| *known.contact != *contact.uri.trim());
        }
        for contact in contacts().filter(|contact| contact.active) {
            let Some(binding) = Binding::of_reginfo(now.mono, contact, rest, self.interest(&user.address))
            else {
                self.metrics.count("pf.contact_unusable");
                continue;
            };
            if binding.until > now.mono && !bindings.iter().any(|known| known.contact == binding.contact) {
                bindings.push(binding);
            }
        }
        for registration in &information.registrations {
            let Ok(name) = Uri::parse(registration.aor.trim()).map(|aor| aor.address_key()) else { continue };
            names.retain(|known| *known != name);
            if registration.state != RegistrationState::Terminated {
                names.push(name);
            }
        }
        if self.check_devices(&bindings).is_err() {
            self.metrics.count("pf.too_many_devices");
            bindings.truncate(self.config.limits.max_devices);
        }
        names.truncate(self.config.limits.max_identities);
        let until = bindings.iter().map(|binding| binding.until).max();
        self.registrations.name(id, names);
        self.replace(id, bindings);
        self.registrations.change(id, |user| user.until = until.unwrap_or(now.mono));
        let Some(user) = self.registrations.get(id) else { return };
        let (address, devices) = (Uri::parse(&user.address).ok(), user.count(now.mono));
        if let Some(user) = address {
            ports.host.event(ParticipatingEvent::Registration { user, devices });
        }
        match until {
            Some(_) => drop(self.keep_user(now, ports, id)),
            None => self.without_devices(now, ports, id),
        }
    }

    /// Writes a user, for the node that comes after this one. The name that it is written under.
    fn keep_user(&mut self, now: Now, ports: &mut PfPorts<'_>, id: UserId) -> Option<String> {
        let user = self.registrations.get(id)?;
        let key = registrations::key(&user.address)?;
        let record = user.to_record(now);
        self.state.keep(now, ports.host, &key, record);
        Some(key)
    }

    /// A write came to its end: who waits for it is answered.
    pub(crate) fn user_stored(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        key: &str,
        result: Result<(), StoreError>,
    ) {
        if result.is_err() {
            self.metrics.count("pf.user_not_stored");
        }
        let held = std::mem::take(&mut self.held_registers);
        for register in held {
            if register.key != key {
                self.held_registers.push(register);
                continue;
            }
            let HeldRegister { id, request, .. } = register;
            let response = match result {
                Ok(()) => Response::for_request(&request, StatusCode::OK),
                Err(_) => refusal(&request, StatusCode::SERVICE_UNAVAILABLE, None),
            };
            self.answer(now, ports, id, response);
        }
    }

    /// A user is not registered any more, or has no device.
    fn without_devices(&mut self, now: Now, ports: &mut PfPorts<'_>, id: UserId) {
        self.registrations.change(id, |user| {
            user.bindings = Box::default();
            user.until = now.mono;
        });
        self.look_after(now, ports, id);
    }

    /// Whatever is due for a user.
    pub(crate) fn look_after(&mut self, now: Now, ports: &mut PfPorts<'_>, id: UserId) {
        let keeps = self.config.policy.without_devices == WithoutDevices::Keep;
        let Some(user) = self.registrations.get(id) else { return };
        if user.bindings.iter().any(|binding| binding.until <= now.mono) {
            self.registrations.change(id, |user| {
                let live = user.bindings.iter().filter(|binding| binding.until > now.mono);
                let mut live: Vec<Binding> = live.cloned().collect();
                mark_primary(&mut live);
                user.bindings = live.into_boxed_slice();
            });
        }
        let Some(user) = self.registrations.get(id) else { return };
        let gone = user.bindings.is_empty() && user.until <= now.mono;
        let watched = !matches!(user.watch, Watch::None | Watch::Refused);
        let due = user.watch.alarm().is_some_and(|at| at <= now.mono);
        if gone && !(keeps && watched) {
            return self.forget_user(now, ports, id);
        }
        if gone {
            self.registrations.change(id, |user| user.until = now.mono.plus(KEPT));
            self.keep_user(now, ports, id);
        }
        match self.registrations.get(id).map(|user| &user.watch) {
            Some(Watch::Again(_)) if due => self.watch(now, ports, id),
            Some(Watch::Awake(..)) if due => self.let_rest(now, ports, id),
            Some(Watch::Asleep(..)) if due => drop(self.wake_up(now, ports, id)),
            _ => {}
        }
    }

    fn forget_user(&mut self, now: Now, ports: &mut PfPorts<'_>, id: UserId) {
        let Some(user) = self.registrations.remove(id) else { return };
        if let Some(key) = registrations::key(&user.address) {
            self.state.remove(now, ports.host, &key);
        }
        self.end_watch(now, ports, &user.watch);
    }

    /// What is due for users.
    pub(crate) fn users_due(&mut self, now: Now, ports: &mut PfPorts<'_>) {
        while let Some(id) = self.registrations.due(now.mono) {
            self.look_after(now, ports, id);
        }
        self.subscribe_queued(now, ports);
    }

    pub(crate) fn next_user_alarm(&self) -> Option<Instant> {
        let paced = self.reg_events.next_timeout(self.config.limits.max_subscribes_per_second);
        [self.registrations.next_alarm(), paced].into_iter().flatten().min()
    }

    /// Takes up a user that another node kept. One that cannot be read, or that has run out, is counted and left out.
    pub(crate) fn take_up_user(&mut self, now: Now, ports: &mut PfPorts<'_>, record: &StateRecord) {
        let read = record.value.as_ref().map(|value| registrations::read(now, value));
        let Some(Ok(kept)) = read else { return self.metrics.count("pf.record_unreadable") };
        let max_users = self.config.limits.max_users;
        let Ok(id) = self.registrations.user(&kept.address, kept.until, max_users) else {
            return self.metrics.count("pf.too_many_users");
        };
        self.registrations.name(id, kept.identities);
        self.replace(id, kept.bindings);
        self.registrations.change(id, |user| user.until = kept.until);
        self.look_after(now, ports, id);
        if self.registrations.get(id).is_some()
            && self.config.policy.reg_subscription == RegSubscription::Always
        {
            self.watch(now, ports, id);
        }
    }
}
