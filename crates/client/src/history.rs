//! What stands in a store: the history that a user is shown at the start, and what a client goes on with after a restart.

use crate::inbound::{leniency, seen_key};
use crate::received::{self, HistoryEntry, Shape};
use crate::received_state::{Facts, KEY_PREFIX, Since, notifications};
use crate::reports::disposition;
use crate::{Client, ClientConfig};
use bytes::Bytes;
use cpm_base::record::RecordError;
use cpm_core::{ReceivedRecord, Record, StateRecord, disposition as imdn};
use cpm_cpim::CpimMessage;
use std::collections::{BTreeMap, BTreeSet};

/// A received message as it was stored.
struct Stored {
    record: ReceivedRecord,
    facts: Facts,
    cpim: CpimMessage,
}

impl Stored {
    fn read(record: &ReceivedRecord, config: &ClientConfig) -> Result<Stored, RecordError> {
        let facts = Facts::read(record)?;
        let limits = cpm_cpim::Limits::default();
        let cpim = CpimMessage::parse(record.cpim.clone(), &limits, &leniency(config));
        let (cpim, _) = cpim.map_err(|_| RecordError::Value("CPIM message"))?;
        Ok(Stored { record: record.clone(), facts, cpim })
    }

    /// Key of copies.
    fn key(&self) -> Option<String> {
        self.record.message_id.as_ref().map(|id| seen_key(&self.facts.origin, id))
    }

    fn documents(&self) -> Vec<cpm_xml::imdn::Imdn> {
        let (mime, xml) = (cpm_mime::Limits::default(), cpm_xml::Limits::default());
        let read = imdn::notifications(self.cpim.content(), &mime, &xml).unwrap_or_default();
        read.into_iter().flatten().collect()
    }
}

/// The messages that a store holds, each once. A store that took a message and whose answer was lost has it twice, because
/// its sender sent it again: the one that counts is the one to which something happened since.
#[derive(Default)]
struct Standing {
    messages: Vec<Stored>,
    places: BTreeMap<String, usize>,
    /// Records that cannot be read.
    unreadable: u64,
    /// The highest number that was given.
    last_number: u64,
}

impl Standing {
    fn of(records: &[Record], since: &BTreeMap<&str, &Bytes>, config: &ClientConfig) -> Standing {
        let mut standing = Standing::default();
        for record in records {
            let Record::Received(record) = record else { continue };
            match Stored::read(record, config) {
                Ok(stored) => standing.add(stored, since),
                Err(_) => standing.unreadable = standing.unreadable.saturating_add(1),
            }
        }
        standing
    }

    fn add(&mut self, stored: Stored, since: &BTreeMap<&str, &Bytes>) {
        self.last_number = self.last_number.max(stored.facts.id.0);
        let changed = |stored: &Stored| since.contains_key(stored.facts.key().as_str());
        if let Some(key) = stored.key() {
            if let Some(former) = self.places.get(&key).and_then(|place| self.messages.get_mut(*place)) {
                if changed(&stored) && !changed(former) {
                    *former = stored;
                }
                return;
            }
            self.places.insert(key, self.messages.len());
        }
        self.messages.push(stored);
    }
}

impl Client {
    /// What arrived, in the records that a store holds ([`cpm_core::standing`]), oldest first: what a user is shown when the
    /// program starts. A message that is stored never comes as an event again, so that this and the events together show
    /// each message once, whenever the program was stopped. Records that cannot be read are left out.
    #[must_use]
    pub fn history(records: &[Record], config: &ClientConfig) -> Vec<HistoryEntry> {
        let since = changes(records);
        let mut told = BTreeSet::new();
        let mut entries = Vec::new();
        for stored in Standing::of(records, &since, config).messages {
            if !stored.cpim.is_imdn() {
                let since = since_of(&since, &stored.facts).unwrap_or_default();
                let message = received::message(&stored.record, &stored.facts, &since, &stored.cpim, config);
                entries.push(HistoryEntry::Message { message: Box::new(message), read: since.read });
                continue;
            }
            let from = stored.facts.origin.sender_text();
            let documents = stored.documents();
            let news = notifications(&documents).filter(|(place, _, _)| stored.facts.news.contains(place));
            for (_, document, notification) in news {
                let Some(disposition) = disposition(notification) else { continue };
                let about = document.message_id.clone();
                if told.insert((about.clone(), disposition, from.clone())) {
                    entries.push(HistoryEntry::Report { about, disposition, from: from.clone() });
                }
            }
        }
        entries
    }

    /// Takes up what arrived in earlier lives: copies are recognised, what is owed is owed, notifications that came for
    /// messages of ours say what they said. To be called when the sent messages are restored.
    // req: 5.4.1-p1
    pub(crate) fn restore_received(&mut self, records: &[Record]) {
        let since = changes(records);
        let max = self.config.limits.max_received;
        let standing = Standing::of(records, &since, &self.config);
        self.metrics.add("client.record_not_restored", standing.unreadable);
        self.numbers.received = self.numbers.received.max(standing.last_number);
        let forgotten = standing.messages.len().saturating_sub(max);
        for stored in standing.messages.iter().skip(forgotten) {
            self.restore_one(stored, &since);
        }
        if self.owed.waiting() > 0 {
            // Who registers is not reached before, and has no route.
            self.reports_held = self.config.registrar.is_some();
            self.reports_due = !self.reports_held;
        }
    }

    fn restore_one(&mut self, stored: &Stored, since: &BTreeMap<&str, &Bytes>) {
        let Stored { facts, cpim, .. } = stored;
        if let Some(key) = stored.key() {
            self.seen.remember(key);
        }
        if cpim.is_imdn() {
            let documents = stored.documents();
            for (place, document, notification) in notifications(&documents) {
                if facts.news.contains(&place) {
                    self.judge(&facts.origin, &document.message_id, notification);
                }
            }
            return;
        }
        let since = since_of(since, facts).unwrap_or_else(|_| {
            self.metrics.count("client.record_not_restored");
            Since::default()
        });
        let renderable = Shape::of(cpim.content(), &self.config.accept).renderable;
        self.take_up(facts, cpim, since, renderable);
    }
}

/// What happened to messages since they arrived, by name.
fn changes(records: &[Record]) -> BTreeMap<&str, &Bytes> {
    let state = records.iter().filter_map(|record| match record {
        Record::State(StateRecord { key, value: Some(value) }) => Some((key.as_str(), value)),
        _ => None,
    });
    state.filter(|(key, _)| key.starts_with(KEY_PREFIX)).collect()
}

/// What happened to a message; nothing where there is no record of it.
fn since_of(changes: &BTreeMap<&str, &Bytes>, facts: &Facts) -> Result<Since, RecordError> {
    changes.get(facts.key().as_str()).map_or(Ok(Since::default()), |octets| Since::read(octets))
}
