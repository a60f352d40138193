//! The `reg` event package (RFC 3680, RFC 5628): whoever is trusted may watch who is registered from where.
//!
//! Each notifier counts its documents. The first one is full; a change that adds or removes is told in a partial document when
//! nothing else waits to be told, so that none can be lost behind a newer one, else in a full one.

use super::features::instance;
use super::{CorePorts, SipIpCore};
use cpm_base::Now;
use cpm_sip::{Contact, Event as Package, HeaderText, Headers, Method, Request, StatusCode, Uri};
use cpm_ua::{Acceptance, Body, NotifierId, RequestId};
use cpm_xml::reginfo::{self, ContactEvent, RegInfo, Registration, RegistrationState};
use std::collections::BTreeMap;

/// A subscription to the registration of a user.
#[derive(Debug)]
pub(super) struct Watcher {
    user: usize,
    /// The version of the next document.
    version: u64,
    /// What the last document left: contacts by their address.
    told: BTreeMap<String, reginfo::Contact>,
}

impl SipIpCore {
    /// A SUBSCRIBE to the registration of a user, from an element that is trusted. `false`: it is another request.
    pub(super) fn subscribed(
        &mut self,
        now: Now,
        id: RequestId,
        trusted: bool,
        request: &Request,
        ports: &mut CorePorts<'_>,
    ) -> bool {
        if !trusted || *request.method() != Method::Subscribe {
            return false;
        }
        let package = request.typed::<Package>().ok().flatten();
        if package.is_none_or(|package| package.package() != "reg") {
            return false;
        }
        match self.user(request.uri()) {
            Some(user) => self.accept_watcher(now, id, user, None, ports),
            None => Self::refuse(now, id, request, StatusCode::NOT_FOUND, ports),
        }
        true
    }

    /// A SUBSCRIBE in the dialog of a watcher.
    pub(super) fn watcher_refreshed(
        &mut self,
        now: Now,
        id: RequestId,
        known: Option<NotifierId>,
        request: &Request,
        ports: &mut CorePorts<'_>,
    ) {
        match known.and_then(|known| self.watchers.get(&known)).map(|watcher| watcher.user) {
            Some(user) => self.accept_watcher(now, id, user, known, ports),
            None => {
                let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
                Self::refuse(now, id, request, status, ports);
            }
        }
    }

    fn accept_watcher(
        &mut self,
        now: Now,
        id: RequestId,
        user: usize,
        known: Option<NotifierId>,
        ports: &mut CorePorts<'_>,
    ) {
        let version = known.and_then(|known| self.watchers.get(&known)).map_or(0, |watcher| watcher.version);
        let contacts = self.registered(now, user);
        let mut headers = Headers::new();
        headers.push_typed(&Contact::new(Uri::Sip(self.service_uri().clone())));
        let acceptance = Acceptance {
            authorised: true,
            headers,
            body: Some(self.document(user, version, false, contacts.values().cloned().collect())),
            ..Acceptance::default()
        };
        if let Ok(notifier) = ports.sip.accept_subscription(now, id, acceptance) {
            let watcher = Watcher { user, version: version.saturating_add(1), told: contacts };
            self.watchers.insert(notifier, watcher);
        }
    }

    /// The bindings of a user changed: whoever watches is told.
    pub(super) fn tell_watchers(&mut self, now: Now, user: usize, ports: &mut CorePorts<'_>) {
        let contacts = self.registered(now, user);
        let of_user: Vec<NotifierId> = self
            .watchers
            .iter()
            .filter(|(_, watcher)| watcher.user == user)
            .map(|(notifier, _)| *notifier)
            .collect();
        for notifier in of_user {
            let partial = !ports.sip.is_notifying(notifier);
            let Some(watcher) = self.watchers.get_mut(&notifier) else { continue };
            let version = watcher.version;
            let told = std::mem::replace(&mut watcher.told, contacts.clone());
            watcher.version = version.saturating_add(1);
            let listed = match partial {
                true => changes(told, &contacts),
                false => contacts.values().cloned().collect(),
            };
            let body = self.document(user, version, partial, listed);
            let _ = ports.sip.notify(now, notifier, Headers::new(), Some(body));
        }
    }

    /// A watcher is gone.
    pub(super) fn watcher_ended(&mut self, notifier: NotifierId) {
        self.watchers.remove(&notifier);
    }

    /// The contacts of a user by their address.
    fn registered(&self, now: Now, user: usize) -> BTreeMap<String, reginfo::Contact> {
        let Some(state) = self.users.get(user) else { return BTreeMap::new() };
        let contact = |binding: &super::registrar::Binding| {
            let uri = binding.contact.uri().to_string();
            let key = instance(binding.contact.params()).unwrap_or_else(|| uri.clone());
            let mut contact = reginfo::Contact::new(&key, &uri, ContactEvent::Registered);
            contact.expires = Some(binding.expires_at.since(now.mono).as_secs());
            let params = binding.contact.params().iter().filter(|(name, _)| *name != "pub-gruu");
            contact.params = params
                .map(|(name, value)| (name.to_owned(), value.map(quoted).unwrap_or_default()))
                .collect();
            contact.pub_gruu = binding.contact.params().get("pub-gruu").map(str::to_owned);
            (uri, contact)
        };
        state.bindings.iter().map(contact).collect()
    }

    /// A document with the same contacts under each identity of the user.
    fn document(&self, user: usize, version: u64, partial: bool, contacts: Vec<reginfo::Contact>) -> Body {
        let state = self.users.get(user);
        let there = state.is_some_and(|state| !state.bindings.is_empty());
        let identities = state.map(|state| &state.user.identities[..]).unwrap_or_default();
        let registration = |identity: &Uri| Registration {
            aor: identity.to_string(),
            id: identity.address_key(),
            state: if there { RegistrationState::Active } else { RegistrationState::Terminated },
            contacts: contacts.clone(),
        };
        let info = RegInfo { version, partial, registrations: identities.iter().map(registration).collect() };
        let content_type = HeaderText::sanitized(reginfo::MEDIA_TYPE);
        Body { content_type, octets: reginfo::write(&info).into() }
    }
}

/// What is to be told to somebody who was told this: what is there, as far as it is new, and what is not there any more.
fn changes(
    told: BTreeMap<String, reginfo::Contact>,
    contacts: &BTreeMap<String, reginfo::Contact>,
) -> Vec<reginfo::Contact> {
    let gone = told.into_iter().filter(|(uri, _)| !contacts.contains_key(uri));
    let mut listed: Vec<reginfo::Contact> = contacts.values().cloned().collect();
    listed.extend(gone.map(|(_, contact)| reginfo::Contact {
        active: false,
        event: ContactEvent::Unregistered,
        expires: Some(0),
        ..contact
    }));
    listed
}

fn quoted(value: &str) -> String {
    format!("\"{value}\"")
}
