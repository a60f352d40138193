//! Where registered devices are found without looking at everybody: by contact address, by flow, by the time they run out.

use super::SipIpCore;
use super::registrar::Binding;
use cpm_base::{FlowId, Instant};
use cpm_sip::Uri;
use std::collections::{BTreeMap, BTreeSet};

/// What is written of one user.
#[derive(Debug, Default)]
struct Written {
    contacts: Vec<String>,
    flows: Vec<FlowId>,
    expires: Option<Instant>,
}

/// Users by what their devices registered.
#[derive(Debug, Default)]
pub(super) struct Places {
    written: BTreeMap<usize, Written>,
    /// By the contact address without parameters; equivalent addresses are the same there.
    contacts: BTreeMap<String, BTreeSet<usize>>,
    flows: BTreeMap<FlowId, BTreeSet<usize>>,
    expiries: BTreeSet<(Instant, usize)>,
}

impl Places {
    /// The bindings of a user are these now.
    fn write(&mut self, user: usize, bindings: &[Binding]) {
        let old = self.written.remove(&user).unwrap_or_default();
        for contact in old.contacts {
            remove(&mut self.contacts, &contact, user);
        }
        for flow in old.flows {
            remove(&mut self.flows, &flow, user);
        }
        if let Some(expires) = old.expires {
            self.expiries.remove(&(expires, user));
        }
        if bindings.is_empty() {
            return;
        }
        let new = Written {
            contacts: bindings.iter().map(|binding| binding.contact.uri().address_key()).collect(),
            flows: bindings.iter().filter_map(|binding| binding.flow).collect(),
            expires: bindings.iter().map(|binding| binding.expires_at).min(),
        };
        for contact in &new.contacts {
            self.contacts.entry(contact.clone()).or_default().insert(user);
        }
        for flow in &new.flows {
            self.flows.entry(*flow).or_default().insert(user);
        }
        self.expiries.extend(new.expires.map(|expires| (expires, user)));
        self.written.insert(user, new);
    }

    /// When the next binding runs out.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Users with a binding that has run out.
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
        self.expiries.iter().take_while(|(at, _)| *at <= now).map(|(_, user)| *user).collect()
    }

    /// Who registered on a flow.
    pub(super) fn on_flow(&self, flow: FlowId) -> Vec<usize> {
        self.flows.get(&flow).into_iter().flatten().copied().collect()
    }
}

fn remove<K: Ord>(map: &mut BTreeMap<K, BTreeSet<usize>>, key: &K, user: usize) {
    if let Some(users) = map.get_mut(key) {
        users.remove(&user);
        if users.is_empty() {
            map.remove(key);
        }
    }
}

impl SipIpCore {
    /// To be called when the bindings of a user are others than before, or on other flows.
    pub(super) fn replaced(&mut self, user: usize) {
        if let Some(state) = self.users.get(user) {
            self.places.write(user, &state.bindings);
        }
    }

    /// The device with this contact address, which has this key.
    pub(super) fn device_at(&self, key: &str, contact: &Uri) -> Option<&Binding> {
        let users = self.places.contacts.get(key)?;
        let mut bindings =
            users.iter().filter_map(|user| self.users.get(*user)).flat_map(|user| &user.bindings);
        bindings.find(|binding| binding.contact.uri().equivalent(contact))
    }

    /// Whether what is written agrees with the bindings.
    #[cfg(test)]
    pub(super) fn places_agree(&self) -> bool {
        let mut fresh = Places::default();
        for (user, state) in self.users.iter().enumerate() {
            fresh.write(user, &state.bindings);
        }
        (&fresh.contacts, &fresh.flows, &fresh.expiries)
            == (&self.places.contacts, &self.places.flows, &self.places.expiries)
    }
}
