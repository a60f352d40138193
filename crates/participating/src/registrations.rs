//! Which devices the served users have (TS 8.1.4), from third-party registrations.

use core::time::Duration;
use cpm_base::Instant;
use cpm_core::feature::CpmFeature;
use cpm_core::release::Release;
use cpm_sip::Uri;
use std::collections::{BTreeMap, BTreeSet};

/// A registered device of a served user.
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
    /// What the User-Agent of its REGISTER said (TS 6.6).
    pub release: Option<Release>,
    /// Whether it is the Primary Device of its user (TS 6.6).
    pub primary: bool,
    /// When its registration runs out.
    pub until: Instant,
}

/// The served users that have devices.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    users: BTreeMap<String, User>,
    /// Any identity of a user to the key of `users`.
    identities: BTreeMap<String, String>,
    /// When the first device of each user runs out.
    expiries: BTreeSet<(Instant, String)>,
}

#[derive(Debug)]
struct User {
    identities: Vec<String>,
    devices: Vec<Device>,
}

impl User {
    fn next_expiry(&self) -> Option<Instant> {
        self.devices.iter().map(|device| device.until).min()
    }
}

impl Registrations {
    /// Replaces what is known of a user, named by any known identity; no device takes the user out. Returns whether
    /// there was room.
    pub(crate) fn replace(
        &mut self,
        user: &Uri,
        identities: &[Uri],
        devices: Vec<Device>,
        max_users: usize,
    ) -> bool {
        let key = user.address_key();
        let known = match self.users.contains_key(&key) {
            true => Some(key.clone()),
            false => self.identities.get(&key).cloned(),
        };
        if known.is_none() && !devices.is_empty() && self.users.len() >= max_users {
            return false;
        }
        if let Some(known) = known {
            self.remove(&known);
        }
        if devices.is_empty() {
            return true;
        }
        let mut names: Vec<String> = identities.iter().map(Uri::address_key).collect();
        if !names.contains(&key) {
            names.push(key.clone());
        }
        for name in &names {
            self.identities.insert(name.clone(), key.clone());
        }
        self.insert(key, User { identities: names, devices });
        true
    }

    fn insert(&mut self, key: String, user: User) {
        if let Some(at) = user.next_expiry() {
            self.expiries.insert((at, key.clone()));
        }
        self.users.insert(key, user);
    }

    fn remove(&mut self, key: &str) {
        let Some(user) = self.users.remove(key) else { return };
        if let Some(at) = user.next_expiry() {
            self.expiries.remove(&(at, key.to_owned()));
        }
        for name in &user.identities {
            if self.identities.get(name).is_some_and(|owner| owner == key) {
                self.identities.remove(name);
            }
        }
    }

    /// The devices of a user, by any of the user's identities, that are still registered.
    pub(crate) fn all_devices(&self, now: Instant, user: &Uri) -> Vec<Device> {
        let key = self.identities.get(&user.address_key());
        let user = key.and_then(|key| self.users.get(key));
        let all = user.map_or(&[][..], |user| &user.devices);
        all.iter().filter(|device| device.until > now).cloned().collect()
    }

    /// The devices of a user, by any of the user's identities, that registered a feature and are still registered.
    pub(crate) fn devices(&self, now: Instant, user: &Uri, feature: CpmFeature) -> Vec<Device> {
        let key = self.identities.get(&user.address_key());
        let user = key.and_then(|key| self.users.get(key));
        let all = user.map_or(&[][..], |user| &user.devices);
        all.iter()
            .filter(|device| device.until > now && device.features.contains(&feature))
            .cloned()
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// When the next device runs out.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Forgets what ran out.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.next_expiry().is_some_and(|at| at <= now) {
            let Some((_, key)) = self.expiries.pop_first() else { return };
            let Some(user) = self.users.get_mut(&key) else { continue };
            user.devices.retain(|device| device.until > now);
            match user.next_expiry() {
                Some(at) => drop(self.expiries.insert((at, key))),
                None => self.remove(&key),
            }
        }
    }
}

/// The end of a registration that lasts so many seconds from now.
pub(crate) fn until(now: Instant, seconds: u32) -> Instant {
    now.plus(Duration::from_secs(u64::from(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap()
    }

    fn device(name: &str, seconds: u32) -> Device {
        Device {
            contact: uri(&format!("sip:{name}@192.0.2.1")),
            gruu: None,
            instance: None,
            features: vec![CpmFeature::PagerMessage],
            release: None,
            primary: false,
            until: until(Instant::ZERO, seconds),
        }
    }

    #[test]
    fn a_user_is_found_by_every_identity() {
        let mut known = Registrations::default();
        let (sip, tel) = (uri("sip:bob@home.test"), uri("tel:+15550002"));
        assert!(known.replace(
            &sip,
            &[sip.clone(), tel.clone()],
            vec![device("b1", 60), device("b2", 30)],
            10
        ));
        assert_eq!(known.devices(Instant::ZERO, &tel, CpmFeature::PagerMessage).len(), 2);
        assert_eq!(
            known.devices(Instant::ZERO, &uri("sip:BOB@home.test"), CpmFeature::PagerMessage).len(),
            0
        );
        assert_eq!(known.devices(Instant::ZERO, &sip, CpmFeature::LargeMessage).len(), 0);
        assert!(known.replace(&sip, &[], vec![], 10));
        assert_eq!((known.len(), known.identities.len(), known.expiries.len()), (0, 0, 0));
    }

    #[test]
    fn another_identity_names_the_same_user() {
        let mut known = Registrations::default();
        let (sip, tel) = (uri("sip:bob@home.test"), uri("tel:+15550002"));
        assert!(known.replace(&sip, &[sip.clone(), tel.clone()], vec![device("b1", 60)], 1));
        assert!(known.replace(&tel, &[sip.clone(), tel.clone()], vec![device("b2", 60)], 1));
        let found = known.devices(Instant::ZERO, &sip, CpmFeature::PagerMessage);
        assert_eq!(found, vec![device("b2", 60)]);
        assert!(known.replace(&sip, &[], vec![], 1));
        assert_eq!((known.len(), known.identities.len(), known.expiries.len()), (0, 0, 0));
    }

    #[test]
    fn an_identity_of_two_users_belongs_to_the_last() {
        let mut known = Registrations::default();
        let (a, b, both) = (uri("sip:a@x.test"), uri("sip:b@x.test"), uri("sip:desk@x.test"));
        known.replace(&a, &[a.clone(), both.clone()], vec![device("a", 60)], 2);
        known.replace(&b, &[b.clone(), both.clone()], vec![device("b", 60)], 2);
        let of = |known: &Registrations, user| known.devices(Instant::ZERO, user, CpmFeature::PagerMessage);
        assert_eq!(of(&known, &both), vec![device("b", 60)]);
        known.replace(&a, &[], vec![], 2);
        assert_eq!((of(&known, &a), of(&known, &both)), (vec![], vec![device("b", 60)]));
    }

    #[test]
    fn what_ran_out_is_gone() {
        let mut known = Registrations::default();
        let sip = uri("sip:bob@home.test");
        known.replace(&sip, &[], vec![device("b1", 60), device("b2", 30)], 10);
        let later = until(Instant::ZERO, 30);
        assert_eq!(known.next_expiry(), Some(later));
        assert_eq!(known.devices(later, &sip, CpmFeature::PagerMessage).len(), 1);
        known.expire(until(Instant::ZERO, 60));
        assert_eq!((known.len(), known.next_expiry()), (0, None));
    }

    #[test]
    fn users_are_limited() {
        let mut known = Registrations::default();
        assert!(known.replace(&uri("sip:a@x.test"), &[], vec![device("a", 60)], 1));
        assert!(!known.replace(&uri("sip:b@x.test"), &[], vec![device("b", 60)], 1));
        assert!(known.replace(&uri("sip:a@x.test"), &[], vec![device("a", 90)], 1));
    }
}
