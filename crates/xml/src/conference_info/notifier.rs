//! The other end of a subscription: documents for one subscriber, made from the states of the conference.

use super::{ConferenceInfo, State, Uris, User, Users};
use std::collections::BTreeMap;

/// What one subscriber was told last, and with which version (RFC 4575 §4.4, §5.2: versions belong to a subscription).
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    told: Option<Told>,
    version: u32,
}

/// A state as it was told. Of what has not changed since, nothing is copied again.
#[derive(Debug, Clone)]
struct Told {
    /// All but the participants.
    conference: ConferenceInfo,
    users: BTreeMap<String, User>,
}

impl Notifier {
    /// Nothing is told yet: the first document is a full one with version 1.
    #[must_use]
    pub fn new() -> Self {
        Notifier::default()
    }

    /// The version of the last document.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The next document is a full one: the subscriber asked again.
    pub fn start_over(&mut self) {
        self.told = None;
    }

    /// The document that brings the subscriber from what it was told to `now`, which is a full state; `None` when there is
    /// nothing to tell. What a partial document cannot say (that a description, host or state of the conference is gone)
    /// makes it a full one.
    pub fn notify(&mut self, now: &ConferenceInfo) -> Option<ConferenceInfo> {
        let partial = self.told.as_ref().filter(|told| told.can_become(now)).map(|told| told.difference(now));
        let mut document = match (&mut self.told, partial) {
            (Some(told), Some(document)) => {
                let document = document?;
                told.take(&document, now);
                document
            }
            _ => {
                self.told = Some(Told::new(now));
                full(now)
            }
        };
        self.version = self.version.saturating_add(1);
        document.version = Some(self.version);
        Some(document)
    }

    /// The last document of a conference that ceased to exist.
    pub fn deleted(&mut self, entity: &str) -> ConferenceInfo {
        self.version = self.version.saturating_add(1);
        self.told = None;
        ConferenceInfo {
            entity: String::from(entity),
            state: State::Deleted,
            version: Some(self.version),
            ..ConferenceInfo::default()
        }
    }
}

/// A full document has at least description and participants (RFC 4575 §5.2).
fn full(now: &ConferenceInfo) -> ConferenceInfo {
    let mut document = ConferenceInfo { state: State::Full, ..now.clone() };
    document.description.get_or_insert_default();
    document.users.get_or_insert_default();
    document
}

impl Told {
    fn new(now: &ConferenceInfo) -> Self {
        Told {
            conference: without_users(now),
            users: present(now.users.as_ref()).map(|user| (user.entity.clone(), user.clone())).collect(),
        }
    }

    /// Whether a partial document can say what has changed.
    fn can_become(&self, now: &ConferenceInfo) -> bool {
        let told = &self.conference;
        let gone = (told.description.is_some() && now.description.is_none())
            || (told.host.is_some() && now.host.is_none())
            || (told.conference_state.is_some() && now.conference_state.is_none());
        !gone && told.entity == now.entity
    }

    /// What has changed; `None` where nothing has.
    fn difference(&self, now: &ConferenceInfo) -> Option<ConferenceInfo> {
        let told = &self.conference;
        let document = ConferenceInfo {
            entity: now.entity.clone(),
            state: State::Partial,
            version: None,
            description: changed(&told.description, &now.description),
            host: changed(&told.host, &now.host),
            conference_state: changed(&told.conference_state, &now.conference_state),
            users: self.changed_users(now.users.as_ref()),
            sidebars_by_ref: match (&told.sidebars_by_ref, &now.sidebars_by_ref) {
                (Some(_), None) => Some(Uris { state: State::Deleted, entries: Vec::new() }),
                (told, now) => changed(told, now),
            },
        };
        let nothing = document.description.is_none()
            && document.host.is_none()
            && document.conference_state.is_none()
            && document.users.is_none()
            && document.sidebars_by_ref.is_none();
        if nothing { None } else { Some(document) }
    }

    /// Participants that came or changed, whole; those who went, by name.
    fn changed_users(&self, now: Option<&Users>) -> Option<Users> {
        let after: BTreeMap<&str, &User> = present(now).map(|user| (user.entity.as_str(), user)).collect();
        let gone = self.users.keys().filter(|entity| !after.contains_key(entity.as_str()));
        let gone =
            gone.map(|entity| User { entity: entity.clone(), state: State::Deleted, ..User::default() });
        let fresh = after.values().filter(|user| self.users.get(&user.entity) != Some(**user));
        let users: Vec<User> = gone.chain(fresh.map(|user| (*user).clone())).collect();
        if users.is_empty() { None } else { Some(Users { state: State::Partial, users }) }
    }

    /// Takes over what a partial document says.
    fn take(&mut self, document: &ConferenceInfo, now: &ConferenceInfo) {
        self.conference = without_users(now);
        for user in document.users.iter().flat_map(|users| &users.users) {
            if user.state == State::Deleted {
                self.users.remove(&user.entity);
            } else {
                self.users.insert(user.entity.clone(), user.clone());
            }
        }
    }
}

fn present(users: Option<&Users>) -> impl Iterator<Item = &User> {
    users.into_iter().flat_map(|users| &users.users).filter(|user| user.state != State::Deleted)
}

fn without_users(now: &ConferenceInfo) -> ConferenceInfo {
    ConferenceInfo {
        entity: now.entity.clone(),
        state: now.state,
        version: None,
        description: now.description.clone(),
        host: now.host.clone(),
        conference_state: now.conference_state.clone(),
        users: None,
        sidebars_by_ref: now.sidebars_by_ref.clone(),
    }
}

fn changed<T: Clone + PartialEq>(told: &Option<T>, now: &Option<T>) -> Option<T> {
    if told == now { None } else { now.clone() }
}
