//! What becomes of a received message, step by step: the user lets its sender know or not, reads it, and notifications go
//! out (TS 5.4.1, 5.4.2). Each step is kept by the store before anything follows from it, so that a client that is restarted
//! owes what it owed.

use crate::origin::Origin;
use crate::received_state::{Facts, Since, id_of_key};
use crate::reports::Receipt;
use crate::{Client, ClientEvent, MessageKeys, ReceivedId, Strangers};
use core::time::Duration;
use cpm_base::{Instant, Now};
use cpm_core::disposition::{Happened, OwedId, OwedMessage};
use cpm_core::outside::{FetchError, Folder};
use cpm_core::{Ports, Query, QueryId, Written};
use cpm_cpim::{CpimMessage, DispositionRequest};
use cpm_sip::Uri;

/// The message store's answer is awaited so long.
const SEEN_PATIENCE: Duration = Duration::from_secs(30);

/// A received message that can still be marked read, and that copies are compared with.
#[derive(Debug)]
pub(crate) struct Known {
    key: String,
    pub(crate) receipt: Option<Receipt>,
    owed: Option<OwedId>,
    /// Nothing is told before the user allows it.
    ask: bool,
    /// A delivery notification is owed.
    delivery: bool,
    /// A reading is told when it happens.
    display: bool,
    pub(crate) since: Since,
    /// What the message is known by in the user's message store.
    pub(crate) keys: MessageKeys,
}

impl Client {
    /// What is decided when a message arrives: whether its sender can be told of it and may be (threats E6, E7), whether the
    /// user is asked before, and whether a delivery notification is owed.
    // req: 5.4.1-1, 5.4.1-2, 5.4-gen-1.b.i
    pub(crate) fn decide_receipts(&self, origin: &Origin, cpim: &CpimMessage) -> (bool, bool, bool) {
        let settings = &self.config.settings;
        let asked = cpim.disposition_notification().unwrap_or_default();
        let stranger = !origin.sender_keys().any(|key| self.config.contacts.contains(&key));
        let tell = origin.shown().is_some()
            && (origin.authenticated || settings.unasserted_senders)
            && cpim.imdn_message_id().is_ok_and(|id| id.is_some())
            && self.route_is_good(cpim)
            && !(stranger && settings.strangers == Strangers::Silent);
        let delivery = tell && asked.positive_delivery && settings.delivery_reports;
        let display = tell && asked.display && settings.display_reports;
        (tell, stranger && settings.strangers == Strangers::Ask && (delivery || display), delivery)
    }

    /// Takes up a message that is kept, now or in an earlier life: it can be marked read, and what is owed for it is due.
    pub(crate) fn take_up(&mut self, facts: &Facts, cpim: &CpimMessage, since: Since, renderable: bool) {
        let asked = cpim.disposition_notification().unwrap_or_default();
        let receipt = Receipt::new(facts, cpim, &self.own_addresses()).filter(|_| facts.tell);
        let owed = receipt.as_ref().and_then(|receipt| self.owe(receipt, asked.clone()));
        let known = Known {
            key: facts.key(),
            display: owed.is_some() && asked.display && renderable,
            owed,
            ask: facts.ask,
            delivery: facts.delivery,
            keys: keys(&facts.origin, cpim, since.message_uid.as_ref()),
            since,
            receipt,
        };
        if let Some(owed) = owed {
            self.owed_for.insert(owed, facts.id);
        }
        self.received.insert(facts.id, known);
        self.settle(facts.id);
    }

    fn owe(&mut self, receipt: &Receipt, asked: DispositionRequest) -> Option<OwedId> {
        self.owed.received(OwedMessage {
            sender: receipt.originator.address_key(),
            message_id: receipt.message_id.clone(),
            asked,
            session: None,
            is_notification: false,
            seen: false,
        })
    }

    /// Makes due what is owed by what is known of a message: each notification once, however often this is called.
    // req: 5.4.1-2, 5.4.2-2
    fn settle(&mut self, id: ReceivedId) {
        let Some(known) = self.received.get(id) else { return };
        let (Some(owed), since) = (known.owed, &known.since) else { return };
        let allowed = !known.ask || since.consent == Some(true);
        if since.delivery_done || !known.delivery || since.consent == Some(false) {
            self.owed.told_before(owed, Happened::Delivered);
        }
        if since.display_done || (since.read.is_some() && !since.tell_reading) || since.consent == Some(false)
        {
            self.owed.told_before(owed, Happened::Displayed);
        }
        if allowed {
            self.owed.happened(owed, Happened::Delivered);
        }
        if allowed && since.read.is_some() {
            self.owed.happened(owed, Happened::Displayed);
        }
    }

    /// Something happened to a message: it is kept, and what follows from it follows when the store has it.
    pub(crate) fn change(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: ReceivedId,
        change: impl FnOnce(&mut Since),
    ) {
        let Some(known) = self.received.get_mut(id) else { return };
        change(&mut known.since);
        let (key, value) = (known.key.clone(), known.since.write());
        self.state.keep(now, ports.host, &key, value);
    }

    /// The store has kept what happened to a message, or failed: then it holds for this life at least.
    pub(crate) fn received_written(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        written: &Written,
    ) {
        // What is being written next is not kept yet.
        if let Some(id) = id_of_key(&written.key).filter(|_| !written.goes_on) {
            self.settle(id);
            self.send_reports(now, ports);
        }
    }

    /// The user has read a message: the sender is told, if it asked for that and the settings allow it. Returns whether a
    /// read report is to go out; it does once for a message. Of content that cannot be shown none does. Where the user's
    /// message store has the message, it is asked first whether the user read it on another device (TS 5.4.2-1.a.i).
    // req: 5.4.2-2, 5.4.2-1, 5.4.2-1.b, 5.4.2-1.a.i, 5.4.2-1.a.ii
    pub fn mark_read(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, id: ReceivedId) -> bool {
        let Some(known) = self.received.get(id) else { return false };
        let asked_already = self.asking_seen.values().any(|(asking, _)| *asking == id);
        if known.since.read.is_some() || asked_already {
            return false;
        }
        let tell =
            known.display && self.config.settings.display_reports && known.since.consent != Some(false);
        let in_store = known.keys.message_uid.is_some();
        match known.keys.message_id.clone().filter(|_| tell && in_store) {
            Some(message_id) => {
                let user = self.config.address.clone();
                let query = ports.host.query(Query::IsSeen { user, message_id });
                self.asking_seen.insert(query, (id, now.mono.plus(SEEN_PATIENCE)));
            }
            None => self.read(now, ports, id, tell),
        }
        tell
    }

    /// Like [`Client::mark_read`], for whoever knows a message by its IMDN Message-ID: the message of that id from this
    /// sender, or from whomever.
    pub fn mark_read_by_message_id(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        sender: Option<&Uri>,
        message_id: &str,
    ) -> bool {
        let key = sender.map(Uri::address_key);
        let found = self.received.iter().find(|(_, known)| {
            let from = known.receipt.as_ref().map(|receipt| receipt.originator.address_key());
            known.keys.message_id.as_deref() == Some(message_id) && (key.is_none() || key == from)
        });
        let Some(id) = found.map(|(id, _)| id) else { return false };
        self.mark_read(now, ports, id)
    }

    fn read(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, id: ReceivedId, tell: bool) {
        self.change(now, ports, id, |since| {
            since.read = Some(now.wall);
            since.tell_reading = tell;
        });
    }

    /// The user's message store said whether \Seen is set. What it does not know is not seen.
    // req: 5.4.2-1.a.i
    pub(crate) fn seen_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        query: QueryId,
        seen: Result<bool, FetchError>,
    ) {
        let Some((id, _)) = self.asking_seen.remove(&query) else { return };
        self.read(now, ports, id, !seen.unwrap_or(false));
    }

    pub(crate) fn seen_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        while let Some(query) =
            self.asking_seen.iter().find(|(_, (_, until))| *until <= now.mono).map(|(query, _)| *query)
        {
            self.seen_answered(now, ports, query, Err(FetchError::Failed));
        }
    }

    pub(crate) fn seen_next_timeout(&self) -> Option<Instant> {
        self.asking_seen.values().map(|(_, until)| *until).min()
    }

    /// The user's word on [`ClientEvent::ConsentWanted`]: whether the sender of a message learns that it arrived, and that
    /// it was read. Returns whether there was such a question; it is answered once.
    pub fn consent(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: ReceivedId,
        given: bool,
    ) -> bool {
        if !self.received.get(id).is_some_and(Known::awaits_consent) {
            return false;
        }
        self.change(now, ports, id, |since| since.consent = Some(given));
        true
    }

    /// The messages whose senders learn nothing before [`Client::consent`], oldest first; after a restart as well.
    pub fn awaiting_consent(&self) -> impl Iterator<Item = ReceivedId> {
        self.received.iter().filter(|(_, known)| known.awaits_consent()).map(|(id, _)| id)
    }

    /// A notification about a message is done with: it was answered with 2xx, or there is no point in trying again.
    // req: 5.4.2-2.a.9
    pub(crate) fn report_done(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: ReceivedId,
        display: bool,
        uid: Option<String>,
    ) {
        self.change(now, ports, id, |since| {
            if display {
                since.display_done = true;
                since.report_uid = uid;
            } else {
                since.delivery_done = true;
            }
        });
    }

    /// UID of the read report about a message in the user's message store, where the network kept it there
    /// (TS 5.4.2-2.a.9).
    #[must_use]
    pub fn report_uid(&self, id: ReceivedId) -> Option<&str> {
        self.received.get(id)?.since.report_uid.as_deref()
    }

    /// The UID of a message in the user's message store became known after the message.
    pub(crate) fn name_message(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: ReceivedId,
        uid: &str,
    ) {
        if let Some(known) = self.received.get_mut(id) {
            known.keys.message_uid = Some(uid.to_owned());
        }
        self.change(now, ports, id, |since| since.message_uid = Some(uid.to_owned()));
    }

    /// The received message that an object of the user's message store is, if it is one ([`MessageKeys::is_copy`]).
    // req: 7.2.2.1-7, 7.2.2.1-7.a, 7.2.2.1-7.b, 7.2.2.2-noUID-a, 7.2.2.2-noUID-b
    #[must_use]
    pub fn match_received(&self, object: &MessageKeys) -> Option<ReceivedId> {
        self.received.iter().find(|(_, known)| known.keys.is_copy(object)).map(|(id, _)| id)
    }
}

impl Known {
    fn awaits_consent(&self) -> bool {
        self.ask && self.since.consent.is_none()
    }
}

/// What a message is known by in the user's message store (TS 7.2.2.1-7.a): of somebody whom the core knows by several
/// addresses the folder has one.
// req: 7.2.2.1-7.a, 7.2.2.2-noUID-a
fn keys(origin: &Origin, cpim: &CpimMessage, late_uid: Option<&String>) -> MessageKeys {
    let group = origin.conversation.clone().filter(|_| origin.service().group).map(Folder::Group);
    let peer =
        || origin.shown().and_then(|shown| Folder::of_peer([shown].into_iter().chain(&origin.aliases)));
    MessageKeys {
        conversation: origin.conversation.clone(),
        contribution: origin.contribution.clone(),
        in_reply_to: origin.in_reply_to.clone(),
        message_id: cpim.imdn_message_id().ok().flatten(),
        message_uid: late_uid.or(origin.message_uid.as_ref()).cloned(),
        ..MessageKeys::new(group.or_else(peer).unwrap_or_else(Folder::anonymous))
    }
}
