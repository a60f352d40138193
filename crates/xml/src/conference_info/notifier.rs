//! The other end of a subscription: documents for one subscriber, made from the states of the conference.

use super::{ConferenceInfo, State, Uris, User, Users};
use std::collections::BTreeMap;

/// What one subscriber was told last, and with which version (RFC 4575 §4.4, §5.2: versions belong to a subscription).
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    told: Option<ConferenceInfo>,
    version: u32,
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
        let mut document = match &self.told {
            None => full(now),
            Some(told) => match difference(told, now) {
                Difference::None => return None,
                Difference::Partial(document) => *document,
                Difference::Full => full(now),
            },
        };
        self.version = self.version.saturating_add(1);
        document.version = Some(self.version);
        self.told = Some(now.clone());
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

enum Difference {
    None,
    Partial(Box<ConferenceInfo>),
    Full,
}

/// A full document has at least description and participants (RFC 4575 §5.2).
fn full(now: &ConferenceInfo) -> ConferenceInfo {
    let mut document = ConferenceInfo { state: State::Full, ..now.clone() };
    document.description.get_or_insert_default();
    document.users.get_or_insert_default();
    document
}

fn difference(told: &ConferenceInfo, now: &ConferenceInfo) -> Difference {
    let gone = (told.description.is_some() && now.description.is_none())
        || (told.host.is_some() && now.host.is_none())
        || (told.conference_state.is_some() && now.conference_state.is_none());
    if gone || told.entity != now.entity {
        return Difference::Full;
    }
    let document = ConferenceInfo {
        entity: now.entity.clone(),
        state: State::Partial,
        version: None,
        description: changed(&told.description, &now.description),
        host: changed(&told.host, &now.host),
        conference_state: changed(&told.conference_state, &now.conference_state),
        users: changed_users(told.users.as_ref(), now.users.as_ref()),
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
    if nothing { Difference::None } else { Difference::Partial(Box::new(document)) }
}

fn changed<T: Clone + PartialEq>(told: &Option<T>, now: &Option<T>) -> Option<T> {
    if told == now { None } else { now.clone() }
}

/// Participants that came or changed, whole; those who went, by name.
fn changed_users(told: Option<&Users>, now: Option<&Users>) -> Option<Users> {
    let by_entity = |users: Option<&Users>| -> BTreeMap<String, User> {
        let users = users.into_iter().flat_map(|users| &users.users);
        users.map(|user| (user.entity.clone(), user.clone())).collect()
    };
    let (before, after) = (by_entity(told), by_entity(now));
    let gone = before.keys().filter(|entity| !after.contains_key(*entity)).map(|entity| User {
        entity: entity.clone(),
        state: State::Deleted,
        ..User::default()
    });
    let fresh = after.values().filter(|user| before.get(&user.entity) != Some(*user)).cloned();
    let users: Vec<User> = gone.chain(fresh).collect();
    if users.is_empty() { None } else { Some(Users { state: State::Partial, users }) }
}
