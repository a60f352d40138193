//! A history of documents put together (RFC 3680 §5.2).

use super::{Contact, RegInfo, Registration, RegistrationState};
use cpm_base::LimitExceeded;
use std::collections::BTreeMap;

/// What a registrar can make its subscriber hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLimits {
    /// `reginfo.max_registrations`: addresses of record. Default 64.
    pub max_registrations: usize,
    /// `reginfo.max_contacts`: contacts of one address of record. Default 64.
    pub max_contacts: usize,
}

impl Default for StateLimits {
    fn default() -> Self {
        StateLimits { max_registrations: 64, max_contacts: 64 }
    }
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is part of the state now.
    Changed,
    /// It is not newer than the state.
    Ignored,
    /// It is part of the state now, but documents are missing between the two, or there was no state yet: subscribe again
    /// for a full one.
    Gap,
}

/// The registrations of a user as a subscriber knows them. What is terminated is not kept.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    limits: StateLimits,
    version: Option<u64>,
    registrations: BTreeMap<String, Registration>,
}

impl Merged {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(limits: StateLimits) -> Self {
        Merged { limits, ..Merged::default() }
    }

    /// The version of the last document that counted; `None` before the first one.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// The addresses of record with what is bound to them, by `id`.
    pub fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.registrations.values()
    }

    /// Takes a document in.
    ///
    /// # Errors
    /// The state would grow beyond the limits. It is as before.
    pub fn apply(&mut self, document: RegInfo) -> Result<Applied, LimitExceeded> {
        let old = self
            .version
            .is_some_and(|known| document.version < known || (document.version == known && document.partial));
        if old {
            return Ok(Applied::Ignored);
        }
        let follows = self.version.and_then(|known| known.checked_add(1)) == Some(document.version);
        let mut fresh = if document.partial { self.registrations.clone() } else { BTreeMap::new() };
        for registration in document.registrations {
            let known = fresh.remove(&registration.id).map(|known| known.contacts).unwrap_or_default();
            let contacts = merge_contacts(known, registration.contacts);
            LimitExceeded::check("reginfo.max_contacts", contacts.len(), self.limits.max_contacts)?;
            if registration.state != RegistrationState::Terminated {
                fresh.insert(registration.id.clone(), Registration { contacts, ..registration });
            }
            LimitExceeded::check("reginfo.max_registrations", fresh.len(), self.limits.max_registrations)?;
        }
        self.registrations = fresh;
        self.version = Some(document.version);
        Ok(if document.partial && !follows { Applied::Gap } else { Applied::Changed })
    }
}

/// A contact that came replaces the one of its id.
fn merge_contacts(known: Vec<Contact>, update: Vec<Contact>) -> Vec<Contact> {
    let mut contacts: BTreeMap<String, Contact> =
        known.into_iter().map(|contact| (contact.id.clone(), contact)).collect();
    for contact in update {
        contacts.insert(contact.id.clone(), contact);
    }
    contacts.into_values().filter(|contact| contact.active).collect()
}
