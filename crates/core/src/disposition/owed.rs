//! The receiver's side (TS 5.4.1, 5.4.2, 5.4.6): which notifications we owe for the messages that we received.

use super::{asks, read_request, write_request};
use cpm_base::Metrics;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_cpim::DispositionRequest;
use cpm_xml::imdn::{DeliveryStatus, DisplayStatus, InterworkingStatus, Notification, ProcessingStatus};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const KIND: [u8; 4] = *b"OWED";
const VERSION: u16 = 1;

/// What is remembered of received messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedLimits {
    /// `imdn.max_received`: messages that asked for something; with more, the oldest is forgotten, and nothing more is told
    /// of it. Default 4,096.
    pub max_messages: usize,
    /// `imdn.max_queue`: notifications that wait; with more, the oldest is dropped. Default 1,024.
    pub max_queue: usize,
    /// `imdn.max_tries`: how often a notification is tried in all. Default 5.
    pub max_tries: u8,
    /// `imdn.max_key`: octets of sender and Message-ID together. Default 1,280.
    pub max_key: usize,
}

impl Default for OwedLimits {
    fn default() -> Self {
        OwedLimits { max_messages: 4_096, max_queue: 1_024, max_tries: 5, max_key: 1_280 }
    }
}

/// What the user lets others know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether deliveries are told (TS 5.4.1-2).
    pub delivery: bool,
    /// Whether readings are told (TS 5.4.2-2).
    pub display: bool,
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedMessage {
    /// The authenticated sender in canonical form (`Uri::key`): whom the notifications go to.
    pub sender: String,
    /// The IMDN Message-ID.
    pub message_id: String,
    /// What it asks for.
    pub asked: DispositionRequest,
    /// The session that it came in; `None` for a standalone message.
    pub session: Option<u64>,
    /// Whether it is a notification itself: nothing is told of one, whatever it asks for (TS 5.4-p4).
    pub is_notification: bool,
    /// Whether the store knows that the user saw it on another device (`\Seen`, TS 5.4.2-1.a.i).
    pub seen: bool,
}

/// A message in this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwedId(u64);

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It is held.
    Delivered,
    /// It could not be delivered.
    Failed,
    /// It was shown to the user; so it was delivered.
    Displayed,
    /// It is kept for later, its fate is open.
    Stored,
    /// It was passed on, its fate is not known.
    Processed,
    /// It went out as SMS.
    InterworkedSms,
    /// It went out as MMS.
    InterworkedMms,
}

/// A way that notifications can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// SIP MESSAGE.
    Message,
    /// MSRP, in the session that the message came in.
    Session(u64),
}

/// A notification that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DueId(u64);

/// A notification to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its name, for [`Owed::done`].
    pub id: DueId,
    /// The message that it is about.
    pub message: OwedId,
    /// Whom it goes to.
    pub to: String,
    /// The Message-ID of the message.
    pub message_id: String,
    /// What it says.
    pub notification: Notification,
    /// The way it goes.
    pub way: Way,
}

#[derive(Debug, Clone)]
struct Known {
    sender: String,
    message_id: String,
    asked: DispositionRequest,
    session: Option<u64>,
    seen: bool,
    /// What was told already, or will never be: one place per kind of notification.
    told: BTreeSet<Kind>,
    delivered: bool,
}

/// The kinds of notification; each goes out once for a message (threat E6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Delivery,
    Failure,
    Display,
    Processing,
    Interworking,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    id: DueId,
    message: OwedId,
    what: Happened,
    tries: u8,
    /// Whether it is on its way at the moment.
    under_way: bool,
}

/// The notifications that we owe.
#[derive(Debug, Clone)]
pub struct Owed {
    limits: OwedLimits,
    settings: Settings,
    last_id: u64,
    messages: BTreeMap<OwedId, Known>,
    by_key: BTreeMap<(String, String), OwedId>,
    queue: VecDeque<Waiting>,
    metrics: Metrics,
}

impl Owed {
    /// Nothing is owed yet.
    #[must_use]
    pub fn new(limits: OwedLimits, settings: Settings) -> Self {
        Owed {
            limits,
            settings,
            last_id: 0,
            messages: BTreeMap::new(),
            by_key: BTreeMap::new(),
            queue: VecDeque::new(),
            metrics: Metrics::default(),
        }
    }

    /// What the user lets others know from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Counters by name: `imdn.dropped` (too many waited, or the message was forgotten), `imdn.lost` (tried as often as may be).
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How many notifications wait or are on their way.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    /// A message arrived. `None` when nothing will be owed for it: it is a notification, asks for nothing, or has no
    /// Message-ID. A copy of one that is known is that one: what was told of it is not told again.
    // req: 5.4-p4, 5.4.1-1, 5.4.2-1, 5.4.2-1.b
    pub fn received(&mut self, message: OwedMessage) -> Option<OwedId> {
        let length = message.sender.len().saturating_add(message.message_id.len());
        let nothing = message.is_notification || message.message_id.is_empty() || !asks(&message.asked);
        if nothing || length > self.limits.max_key {
            return None;
        }
        let key = (message.sender.clone(), message.message_id.clone());
        if let Some(id) = self.by_key.get(&key) {
            let id = *id;
            if let Some(known) = self.messages.get_mut(&id) {
                known.session = message.session.or(known.session);
                known.seen |= message.seen;
            }
            return Some(id);
        }
        while self.messages.len() >= self.limits.max_messages.max(1) {
            let Some(oldest) = self.messages.keys().next().copied() else { break };
            self.forget(oldest);
        }
        let id = OwedId(self.next_id());
        self.by_key.insert(key, id);
        self.messages.insert(
            id,
            Known {
                sender: message.sender,
                message_id: message.message_id,
                asked: message.asked,
                session: message.session,
                seen: message.seen,
                told: BTreeSet::new(),
                delivered: false,
            },
        );
        Some(id)
    }

    /// Nothing more is told of a message.
    pub fn forget(&mut self, id: OwedId) {
        if let Some(known) = self.messages.remove(&id) {
            self.by_key.remove(&(known.sender, known.message_id));
            let before = self.queue.len();
            self.queue.retain(|waiting| waiting.message != id);
            let dropped = before.saturating_sub(self.queue.len());
            self.metrics.add("imdn.dropped", u64::try_from(dropped).unwrap_or(u64::MAX));
        }
    }

    /// A session is over: what was to go in it goes by SIP MESSAGE (TS 5.4-via-i).
    pub fn session_ended(&mut self, session: u64) {
        for known in self.messages.values_mut().filter(|known| known.session == Some(session)) {
            known.session = None;
        }
    }

    /// Something became of a message. Returns how many notifications are due for that: those that were asked for, that the
    /// settings allow, and that were not told before. What was shown was delivered: a delivery that was asked for goes
    /// first. A failure after a delivery is none.
    // req: 5.4.1-2, 5.4.2-2, 5.4.2-1.a.i
    pub fn happened(&mut self, id: OwedId, what: Happened) -> usize {
        let before = self.queue.len();
        if what == Happened::Displayed {
            self.tell(id, Happened::Delivered);
        }
        self.tell(id, what);
        self.queue.len().saturating_sub(before)
    }

    /// Something was told of a message in an earlier life, or is not to be told: no notification of its kind goes out any
    /// more. For a function that takes up its messages one by one after a restart.
    pub fn told_before(&mut self, id: OwedId, what: Happened) {
        if let Some(known) = self.messages.get_mut(&id) {
            known.told.insert(kind_of(what));
            known.delivered |= what == Happened::Delivered;
        }
    }

    fn tell(&mut self, id: OwedId, what: Happened) {
        let Some(known) = self.messages.get_mut(&id) else { return };
        let kind = kind_of(what);
        let (asked, allowed) = match kind {
            Kind::Delivery => (known.asked.positive_delivery, self.settings.delivery),
            Kind::Failure => (known.asked.negative_delivery && !known.delivered, true),
            Kind::Display => (known.asked.display && !known.seen, self.settings.display),
            Kind::Processing => (known.asked.processing, true),
            Kind::Interworking => (known.asked.interworking, true),
        };
        known.delivered |= what == Happened::Delivered;
        // Once per kind: a reading that the settings kept back is not told when they change.
        if !known.told.insert(kind) || !asked || !allowed {
            return;
        }
        if self.queue.len() >= self.limits.max_queue.max(1) {
            self.queue.pop_front();
            self.metrics.count("imdn.dropped");
        }
        let due = DueId(self.next_id());
        self.queue.push_back(Waiting { id: due, message: id, what, tries: 0, under_way: false });
    }

    /// The next notification that can go: by MSRP in its session where that is open, else by SIP MESSAGE, as `open` says.
    /// What can go neither way waits. Notifications about one message go in their order.
    pub fn next(&mut self, open: impl Fn(Way) -> bool) -> Option<Due> {
        self.next_to(|_, way| open(way))
    }

    /// Like [`Owed::next`], where it also matters whom a notification goes to (its sender, as [`OwedMessage::sender`] has
    /// him): one who may not be told more at present holds nobody else up.
    pub fn next_to(&mut self, open: impl Fn(&str, Way) -> bool) -> Option<Due> {
        let mut held: BTreeSet<OwedId> = BTreeSet::new();
        for waiting in &mut self.queue {
            let Some(known) = self.messages.get(&waiting.message) else { continue };
            if waiting.under_way || held.contains(&waiting.message) {
                held.insert(waiting.message);
                continue;
            }
            let is_open = |way: &Way| open(&known.sender, *way);
            let in_session = known.session.map(Way::Session).filter(is_open);
            let Some(way) = in_session.or_else(|| Some(Way::Message).filter(is_open)) else {
                held.insert(waiting.message);
                continue;
            };
            waiting.under_way = true;
            waiting.tries = waiting.tries.saturating_add(1);
            return Some(Due {
                id: waiting.id,
                message: waiting.message,
                to: known.sender.clone(),
                message_id: known.message_id.clone(),
                notification: notification(waiting.what),
                way,
            });
        }
        None
    }

    /// A notification went through, or did not: then it waits for another try, unless `again` says that there is no point,
    /// or it was tried as often as may be.
    pub fn done(&mut self, id: DueId, went_through: bool, again: bool) {
        let Some(at) = self.queue.iter().position(|waiting| waiting.id == id) else { return };
        let Some(waiting) = self.queue.get_mut(at) else { return };
        waiting.under_way = false;
        if went_through || !again || waiting.tries >= self.limits.max_tries {
            if !went_through {
                self.metrics.count("imdn.lost");
            }
            self.queue.remove(at);
        }
    }

    /// A notification did not go through, and whoever sends it will send it once more, later: until then it counts as on
    /// its way. `false` when it was tried as often as may be, or is not wanted any more: then it is forgotten.
    pub fn try_again(&mut self, id: DueId) -> bool {
        let Some(waiting) = self.queue.iter_mut().find(|waiting| waiting.id == id) else { return false };
        if waiting.tries >= self.limits.max_tries {
            self.done(id, false, false);
            return false;
        }
        waiting.tries = waiting.tries.saturating_add(1);
        true
    }

    /// All of it as a record. What is on its way is tried again by whoever takes the record up.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let mut record = RecordWriter::new(KIND, VERSION);
        record.flag(self.settings.delivery).flag(self.settings.display).u64(self.last_id);
        record.count(self.messages.len());
        for (id, known) in &self.messages {
            record.u64(id.0).text(&known.sender).text(&known.message_id);
            write_request(&mut record, &known.asked);
            record.flag(known.session.is_some()).u64(known.session.unwrap_or_default());
            record.flag(known.seen).flag(known.delivered).count(known.told.len());
            for kind in &known.told {
                record.u8(*kind as u8);
            }
        }
        record.count(self.queue.len());
        for waiting in &self.queue {
            record.u64(waiting.id.0).u64(waiting.message.0).u8(waiting.what as u8).u8(waiting.tries);
        }
        record.finish()
    }

    /// Takes a record up, at most `max_octets` long.
    ///
    /// # Errors
    /// It is no such record, or holds more than the limits allow.
    pub fn restore(octets: &[u8], limits: OwedLimits, max_octets: usize) -> Result<Self, RecordError> {
        let mut record = RecordReader::open(octets, KIND, VERSION, max_octets)?;
        let settings = Settings { delivery: record.flag()?, display: record.flag()? };
        let mut owed = Owed::new(limits, settings);
        owed.last_id = record.u64()?;
        for _ in 0..record.count()? {
            owed.restore_message(&mut record)?;
        }
        let count = record.count()?;
        if owed.messages.len() > limits.max_messages || count > limits.max_queue {
            return Err(RecordError::Value("number of messages"));
        }
        for _ in 0..count {
            let (id, message) = (DueId(record.u64()?), OwedId(record.u64()?));
            let what = happened_from(record.u8()?)?;
            let tries = record.u8()?;
            if !owed.messages.contains_key(&message) {
                return Err(RecordError::Value("notification"));
            }
            owed.last_id = owed.last_id.max(id.0);
            owed.queue.push_back(Waiting { id, message, what, tries, under_way: false });
        }
        record.finish()?;
        Ok(owed)
    }

    fn restore_message(&mut self, record: &mut RecordReader<'_>) -> Result<(), RecordError> {
        let id = OwedId(record.u64()?);
        let (sender, message_id) = (record.text()?.to_owned(), record.text()?.to_owned());
        let asked = read_request(record)?;
        let (in_session, session) = (record.flag()?, record.u64()?);
        let (seen, delivered) = (record.flag()?, record.flag()?);
        let mut told = BTreeSet::new();
        for _ in 0..record.count()? {
            told.insert(kind_from(record.u8()?)?);
        }
        self.last_id = self.last_id.max(id.0);
        let twice = self.by_key.insert((sender.clone(), message_id.clone()), id).is_some();
        let session = in_session.then_some(session);
        let known = Known { sender, message_id, asked, session, seen, told, delivered };
        if twice || self.messages.insert(id, known).is_some() {
            return Err(RecordError::Value("Message-ID"));
        }
        Ok(())
    }
}

const fn kind_of(what: Happened) -> Kind {
    match what {
        Happened::Delivered => Kind::Delivery,
        Happened::Failed => Kind::Failure,
        Happened::Displayed => Kind::Display,
        Happened::Stored | Happened::Processed => Kind::Processing,
        Happened::InterworkedSms | Happened::InterworkedMms => Kind::Interworking,
    }
}

fn happened_from(octet: u8) -> Result<Happened, RecordError> {
    let known = [
        Happened::Delivered,
        Happened::Failed,
        Happened::Displayed,
        Happened::Stored,
        Happened::Processed,
        Happened::InterworkedSms,
        Happened::InterworkedMms,
    ];
    known.into_iter().find(|what| *what as u8 == octet).ok_or(RecordError::Value("disposition"))
}

fn kind_from(octet: u8) -> Result<Kind, RecordError> {
    let known = [Kind::Delivery, Kind::Failure, Kind::Display, Kind::Processing, Kind::Interworking];
    known.into_iter().find(|kind| *kind as u8 == octet).ok_or(RecordError::Value("kind of notification"))
}

fn notification(what: Happened) -> Notification {
    match what {
        Happened::Delivered => Notification::Delivery(DeliveryStatus::Delivered),
        Happened::Failed => Notification::Delivery(DeliveryStatus::Failed),
        Happened::Displayed => Notification::Display(DisplayStatus::Displayed),
        Happened::Stored => Notification::Processing(ProcessingStatus::Stored),
        Happened::Processed => Notification::Processing(ProcessingStatus::Processed),
        Happened::InterworkedSms => Notification::Interworking(InterworkingStatus::LegacySms),
        Happened::InterworkedMms => Notification::Interworking(InterworkingStatus::LegacyMms),
    }
}

#[cfg(test)]
mod tests;
