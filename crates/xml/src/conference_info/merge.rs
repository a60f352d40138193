//! A history of documents put together (RFC 4575 §4.6).

use super::{
    ConferenceInfo, ConferenceState, Description, Endpoint, HostInfo, Media, State, UriEntry, Uris, User,
    Users,
};
use cpm_base::LimitExceeded;
use std::collections::BTreeMap;

/// What a focus can make its subscriber hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLimits {
    /// `conference.max_users`: participants. Default 1,000.
    pub max_users: usize,
    /// `conference.max_state_bytes`: octets of what is kept of participants and their endpoints. Default 1 MiB.
    pub max_state_bytes: usize,
}

impl Default for StateLimits {
    fn default() -> Self {
        StateLimits { max_users: 1_000, max_state_bytes: 1_048_576 }
    }
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is part of the state now.
    Changed,
    /// It is not newer than the state, or a partial document before the first full one without a version to follow.
    Ignored,
    /// Documents are missing between the state and this one, or there is no state yet: subscribe again for a full one
    /// (RFC 4575 §4.6). The state is as before.
    Gap,
    /// The conference ceased to exist. The state is empty.
    Ended,
}

/// The state of a conference as a subscriber knows it.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    limits: StateLimits,
    known: Option<Known>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    entity: String,
    version: u32,
    description: Option<Description>,
    host: Option<HostInfo>,
    conference_state: Option<ConferenceState>,
    users: BTreeMap<String, Kept>,
    sidebars_by_ref: Option<Uris>,
    /// Octets of `users`.
    weight: usize,
}

#[derive(Debug, Clone)]
struct Kept {
    user: User,
    weight: usize,
}

impl Merged {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(limits: StateLimits) -> Self {
        Merged { limits, known: None }
    }

    /// The version of the last document that counted; `None` before the first full one.
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        self.known.as_ref().map(|known| known.version)
    }

    /// The participants by `entity`.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.known.iter().flat_map(|known| known.users.values()).map(|kept| &kept.user)
    }

    /// One participant.
    #[must_use]
    pub fn user(&self, entity: &str) -> Option<&User> {
        self.known.as_ref()?.users.get(entity).map(|kept| &kept.user)
    }

    /// `<conference-description>`.
    #[must_use]
    pub fn description(&self) -> Option<&Description> {
        self.known.as_ref()?.description.as_ref()
    }

    /// The state as a full document, participants in the order of their `entity`; `None` before the first full one.
    #[must_use]
    pub fn snapshot(&self) -> Option<ConferenceInfo> {
        let known = self.known.as_ref()?;
        Some(ConferenceInfo {
            entity: known.entity.clone(),
            state: State::Full,
            version: Some(known.version),
            description: known.description.clone(),
            host: known.host.clone(),
            conference_state: known.conference_state.clone(),
            users: Some(Users { state: State::Full, users: self.users().cloned().collect() }),
            sidebars_by_ref: known.sidebars_by_ref.clone(),
        })
    }

    /// Takes a document in (RFC 4575 §4.6). A document without version follows the state, whatever that is: some focuses
    /// write none.
    ///
    /// # Errors
    /// The state would grow beyond the limits. It is as before.
    pub fn apply(&mut self, document: ConferenceInfo) -> Result<Applied, LimitExceeded> {
        let before = self.version();
        if let (Some(before), Some(version)) = (before, document.version)
            && version <= before
        {
            return Ok(Applied::Ignored);
        }
        let next = before.map_or(1, |before| before.saturating_add(1));
        let version = document.version.unwrap_or(next);
        match document.state {
            State::Deleted => {
                self.known = None;
                Ok(Applied::Ended)
            }
            State::Full => {
                self.known = Some(Known::from_full(document, version, &self.limits)?);
                Ok(Applied::Changed)
            }
            State::Partial => {
                let Some(known) = self.known.as_mut().filter(|_| version == next) else {
                    return Ok(Applied::Gap);
                };
                known.apply_partial(document, version, &self.limits)?;
                Ok(Applied::Changed)
            }
        }
    }
}

impl Known {
    fn from_full(
        document: ConferenceInfo,
        version: u32,
        limits: &StateLimits,
    ) -> Result<Self, LimitExceeded> {
        let mut known = Known {
            entity: document.entity,
            version,
            description: document.description,
            host: document.host,
            conference_state: document.conference_state,
            sidebars_by_ref: document.sidebars_by_ref.map(settled),
            ..Known::default()
        };
        let users = document.users.unwrap_or_default().users;
        known.put_users(users, limits)?;
        Ok(known)
    }

    /// Puts whole participants in.
    fn put_users(&mut self, users: Vec<User>, limits: &StateLimits) -> Result<(), LimitExceeded> {
        for user in users.into_iter().filter(|user| user.state != State::Deleted) {
            self.put_user(settled_user(user));
        }
        LimitExceeded::check("conference.max_users", self.users.len(), limits.max_users)?;
        LimitExceeded::check("conference.max_state_bytes", self.weight, limits.max_state_bytes)
    }

    fn put_user(&mut self, user: User) {
        self.remove_user(&user.entity);
        let weight = weight(&user);
        self.weight = self.weight.saturating_add(weight);
        self.users.insert(user.entity.clone(), Kept { user, weight });
    }

    fn remove_user(&mut self, entity: &str) -> Option<User> {
        let Kept { user, weight } = self.users.remove(entity)?;
        self.weight = self.weight.saturating_sub(weight);
        Some(user)
    }

    fn apply_partial(
        &mut self,
        document: ConferenceInfo,
        version: u32,
        limits: &StateLimits,
    ) -> Result<(), LimitExceeded> {
        // The participants first: they alone can be too many.
        if let Some(users) = document.users {
            match users.state {
                State::Deleted => (self.users, self.weight) = (BTreeMap::new(), 0),
                State::Full => {
                    let mut fresh = Known::default();
                    fresh.put_users(users.users, limits)?;
                    (self.users, self.weight) = (fresh.users, fresh.weight);
                }
                State::Partial => self.merge_users(users.users, limits)?,
            }
        }
        // These have no state of their own: what is there replaces what was there.
        if document.description.is_some() {
            self.description = document.description;
        }
        if document.host.is_some() {
            self.host = document.host;
        }
        if document.conference_state.is_some() {
            self.conference_state = document.conference_state;
        }
        merge_uris(&mut self.sidebars_by_ref, document.sidebars_by_ref);
        self.version = version;
        Ok(())
    }

    fn merge_users(&mut self, users: Vec<User>, limits: &StateLimits) -> Result<(), LimitExceeded> {
        // What is to be undone should the document be too much.
        let mut undo: Vec<(String, Option<User>)> = Vec::new();
        for user in users {
            let entity = user.entity.clone();
            let before = self.remove_user(&entity);
            let after = match (user.state, before.clone()) {
                (State::Deleted, _) => None,
                (State::Partial, Some(known)) => Some(merge_user(known, user)),
                (State::Full | State::Partial, _) => Some(settled_user(user)),
            };
            if let Some(after) = after {
                self.put_user(after);
            }
            undo.push((entity, before));
        }
        let checked = LimitExceeded::check("conference.max_users", self.users.len(), limits.max_users)
            .and_then(|()| {
                LimitExceeded::check("conference.max_state_bytes", self.weight, limits.max_state_bytes)
            });
        if checked.is_err() {
            for (entity, before) in undo.into_iter().rev() {
                self.remove_user(&entity);
                if let Some(before) = before {
                    self.put_user(before);
                }
            }
        }
        checked
    }
}

/// As it is kept: nothing in it is partial any more.
fn settled_user(mut user: User) -> User {
    user.state = State::Full;
    user.associated_aors = user.associated_aors.map(settled);
    user.endpoints.retain(|endpoint| endpoint.state != State::Deleted);
    for endpoint in &mut user.endpoints {
        endpoint.state = State::Full;
    }
    user
}

fn settled(mut uris: Uris) -> Uris {
    uris.state = State::Full;
    uris
}

fn replace<T>(known: &mut Option<T>, fresh: Option<T>) {
    if fresh.is_some() {
        *known = fresh;
    }
}

fn merge_user(mut known: User, update: User) -> User {
    replace(&mut known.your_own, update.your_own);
    replace(&mut known.display_text, update.display_text);
    replace(&mut known.cascaded_focus, update.cascaded_focus);
    merge_uris(&mut known.associated_aors, update.associated_aors);
    if !update.roles.is_empty() {
        known.roles = update.roles;
    }
    if !update.languages.is_empty() {
        known.languages = update.languages;
    }
    // Numbers of endpoints are small, but a peer's: looked up by key, not by walking.
    let mut places: BTreeMap<String, usize> =
        known.endpoints.iter().enumerate().map(|(at, endpoint)| (endpoint.entity.clone(), at)).collect();
    for endpoint in update.endpoints {
        let at = places.get(&endpoint.entity).and_then(|at| known.endpoints.get_mut(*at));
        match at {
            Some(kept) if endpoint.state == State::Partial => merge_endpoint(kept, endpoint),
            // Deleted ones are taken out at the end.
            Some(kept) => *kept = endpoint,
            None => {
                places.insert(endpoint.entity.clone(), known.endpoints.len());
                known.endpoints.push(endpoint);
            }
        }
    }
    settled_user(known)
}

fn merge_endpoint(known: &mut Endpoint, update: Endpoint) {
    replace(&mut known.display_text, update.display_text);
    replace(&mut known.referred, update.referred);
    replace(&mut known.status, update.status);
    replace(&mut known.joining_method, update.joining_method);
    replace(&mut known.joining_info, update.joining_info);
    replace(&mut known.disconnection_method, update.disconnection_method);
    replace(&mut known.disconnection_info, update.disconnection_info);
    replace(&mut known.call_info, update.call_info);
    let mut places: BTreeMap<String, usize> =
        known.media.iter().enumerate().map(|(at, media)| (media.id.clone(), at)).collect();
    for media in update.media {
        match places.get(&media.id).and_then(|at| known.media.get_mut(*at)) {
            Some(kept) => merge_media(kept, media),
            None => {
                places.insert(media.id.clone(), known.media.len());
                known.media.push(media);
            }
        }
    }
}

/// RFC 4575 §4.6 step 3.1.2: a row that is there takes over the elements that came.
fn merge_media(known: &mut Media, update: Media) {
    replace(&mut known.display_text, update.display_text);
    replace(&mut known.kind, update.kind);
    replace(&mut known.label, update.label);
    replace(&mut known.src_id, update.src_id);
    replace(&mut known.status, update.status);
}

fn merge_uris(known: &mut Option<Uris>, update: Option<Uris>) {
    let Some(update) = update else { return };
    match (update.state, known.as_mut()) {
        (State::Deleted, _) => *known = None,
        (State::Partial, Some(kept)) => {
            let mut places: BTreeMap<String, usize> =
                kept.entries.iter().enumerate().map(|(at, entry)| (entry.uri.clone(), at)).collect();
            for entry in update.entries {
                match places.get(&entry.uri).and_then(|at| kept.entries.get_mut(*at)) {
                    Some(kept) => merge_uri(kept, entry),
                    None => {
                        places.insert(entry.uri.clone(), kept.entries.len());
                        kept.entries.push(entry);
                    }
                }
            }
        }
        (State::Full | State::Partial, _) => *known = Some(settled(update)),
    }
}

fn merge_uri(known: &mut UriEntry, update: UriEntry) {
    replace(&mut known.display_text, update.display_text);
    replace(&mut known.purpose, update.purpose);
    replace(&mut known.modified, update.modified);
}

/// The octets of a participant, near enough to be a bound: each value, and 64 for the place of each element.
fn weight(user: &User) -> usize {
    let mut octets = Weight(0);
    octets
        .text(&user.entity)
        .option(&user.display_text)
        .option(&user.cascaded_focus)
        .uris(&user.associated_aors);
    for word in user.roles.iter().chain(&user.languages) {
        octets.text(word);
    }
    for endpoint in &user.endpoints {
        octets.text(&endpoint.entity).option(&endpoint.display_text);
        for execution in [&endpoint.referred, &endpoint.joining_info, &endpoint.disconnection_info] {
            octets.execution(execution);
        }
        if let Some(call) = &endpoint.call_info {
            octets.option(&call.display_text).text(&call.call_id).text(&call.from_tag).text(&call.to_tag);
        }
        for media in &endpoint.media {
            octets.text(&media.id).option(&media.display_text).option(&media.kind);
            octets.option(&media.label).option(&media.src_id).option(&media.status);
        }
        let words = [
            endpoint.status.as_ref().map(|word| word.as_str()),
            endpoint.joining_method.as_ref().map(|word| word.as_str()),
            endpoint.disconnection_method.as_ref().map(|word| word.as_str()),
        ];
        for word in words.into_iter().flatten() {
            octets.text(word);
        }
    }
    octets.0
}

struct Weight(usize);

impl Weight {
    fn text(&mut self, text: &str) -> &mut Self {
        self.0 = self.0.saturating_add(text.len()).saturating_add(64);
        self
    }

    fn option(&mut self, text: &Option<String>) -> &mut Self {
        if let Some(text) = text {
            self.text(text);
        }
        self
    }

    fn execution(&mut self, execution: &Option<super::Execution>) -> &mut Self {
        if let Some(execution) = execution {
            self.option(&execution.when).option(&execution.reason).option(&execution.by);
        }
        self
    }

    fn uris(&mut self, uris: &Option<Uris>) -> &mut Self {
        for entry in uris.iter().flat_map(|uris| &uris.entries) {
            self.text(&entry.uri)
                .option(&entry.display_text)
                .option(&entry.purpose)
                .execution(&entry.modified);
        }
        self
    }
}
