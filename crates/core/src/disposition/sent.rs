//! The sender's side (TS 5.4.3, 5.4.4, 5.4.7): what became of the messages that we sent, by recipient.

use super::{asks, read_request, write_request};
use cpm_base::Metrics;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_cpim::DispositionRequest;
use cpm_xml::imdn::{DeliveryStatus, DisplayStatus, InterworkingStatus, Notification};
use std::collections::BTreeMap;

const KIND: [u8; 4] = *b"SENT";
const VERSION: u16 = 2;
/// A record of one message.
const ONE_KIND: [u8; 4] = *b"SNT1";
const ONE_VERSION: u16 = 1;

/// What is remembered of sent messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentLimits {
    /// `imdn.max_sent`: messages; with more, the oldest is forgotten. Default 4,096.
    pub max_messages: usize,
    /// `imdn.max_recipients`: recipients of one message whose state is kept; those beyond are not told apart from
    /// strangers. Default 1,000.
    pub max_recipients: usize,
    /// `imdn.max_id`: octets of a Message-ID or an address. Default 256 (RFC 5438 does not bound them).
    pub max_id: usize,
}

impl Default for SentLimits {
    fn default() -> Self {
        SentLimits { max_messages: 4_096, max_recipients: 1_000, max_id: 256 }
    }
}

/// A message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// The IMDN Message-ID.
    pub message_id: String,
    /// What was asked for.
    pub asked: DispositionRequest,
    /// The caller's own number for it, for [`Sent::number`].
    pub number: u64,
    /// The recipients, in canonical form (`Uri::address_key`). Empty: a group whose members are not known here; whoever answers is
    /// one of them.
    pub recipients: Vec<String>,
}

/// How far a message is at a recipient. It never moves back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing is known.
    Pending,
    /// An intermediary has it, and does not know more.
    Processed,
    /// It could not be delivered.
    Failed,
    /// It went to another technology: no reading will be told, and no typing (TS 5.4-rcv-3).
    Interworked,
    /// It was delivered.
    Delivered,
    /// It was shown, and so it was delivered.
    Displayed,
}

/// What a notification means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// News: the message is this far at that recipient now.
    News(Progress),
    /// Another copy, or one that says less than what is known (TS 5.4.3-p2, 5.4.4-p2).
    Repeated,
    /// No message of ours, or one forgotten.
    Unknown,
    /// From somebody whom the message did not go to.
    NotARecipient,
    /// Nobody asked for it.
    NotAsked,
    /// A status that says nothing (`forbidden`, `error` of a reading; TS 5.4-rcv-2.a.ii).
    Ignored,
}

#[derive(Debug, Clone)]
struct Known {
    asked: DispositionRequest,
    number: u64,
    /// Whether the recipients are all known from the start.
    closed: bool,
    recipients: BTreeMap<String, Progress>,
    /// Where it stands in the order of sending.
    place: u64,
}

/// What became of the messages that we sent.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    limits: SentLimits,
    messages: BTreeMap<String, Known>,
    order: BTreeMap<u64, String>,
    next_place: u64,
    metrics: Metrics,
}

impl Sent {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new(limits: SentLimits) -> Self {
        Sent { limits, ..Sent::default() }
    }

    /// Counters by name, all of them `imdn.…`: `imdn.repeated`, `imdn.unknown`, `imdn.not_a_recipient`, `imdn.not_asked`,
    /// `imdn.ignored`.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How many messages are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// A message goes out. One that asks for nothing is not remembered, and one whose Message-ID is known already keeps the
    /// state that it has: it is sent again. Returns Message-ID and number of the message that is forgotten for it, when there
    /// are as many as the limits allow.
    pub fn remember(&mut self, message: SentMessage) -> Option<(String, u64)> {
        let known = self.messages.contains_key(&message.message_id);
        if known || !asks(&message.asked) || message.message_id.len() > self.limits.max_id {
            return None;
        }
        let closed = !message.recipients.is_empty();
        let recipients = message.recipients.into_iter().take(self.limits.max_recipients);
        let recipients = recipients.map(|recipient| (recipient, Progress::Pending)).collect();
        let known = Known { asked: message.asked, number: message.number, closed, recipients, place: 0 };
        self.insert(message.message_id, known)
    }

    /// Puts a new one behind the others; returns the one that is forgotten for it.
    fn insert(&mut self, message_id: String, mut known: Known) -> Option<(String, u64)> {
        let full = self.messages.len() >= self.limits.max_messages.max(1);
        let oldest = if full { self.order.pop_first() } else { None };
        let forgotten = oldest.and_then(|(_, oldest)| {
            let number = self.messages.remove(&oldest)?.number;
            Some((oldest, number))
        });
        known.place = self.next_place;
        self.next_place = self.next_place.saturating_add(1);
        self.order.insert(known.place, message_id.clone());
        self.messages.insert(message_id, known);
        forgotten
    }

    /// A message is of no more interest.
    pub fn forget(&mut self, message_id: &str) {
        if let Some(known) = self.messages.remove(message_id) {
            self.order.remove(&known.place);
        }
    }

    /// The Message-IDs that are remembered, oldest first.
    pub fn message_ids(&self) -> impl Iterator<Item = &str> {
        self.order.values().map(String::as_str)
    }

    /// The caller's own number for a message.
    #[must_use]
    pub fn number(&self, message_id: &str) -> Option<u64> {
        Some(self.messages.get(message_id)?.number)
    }

    /// How far a message is at a recipient; `None` where either is not known.
    #[must_use]
    pub fn progress(&self, message_id: &str, recipient: &str) -> Option<Progress> {
        self.messages.get(message_id)?.recipients.get(recipient).copied()
    }

    /// Whether a message went to another technology at a recipient and nothing better is known since: typing need not be
    /// told to him (TS 5.4-rcv-3.b.i.2).
    #[must_use]
    pub fn is_interworked(&self, message_id: &str, recipient: &str) -> bool {
        self.progress(message_id, recipient) == Some(Progress::Interworked)
    }

    /// A notification arrived. `from` is the authenticated sender in canonical form; `None` where none is known (in a 1-1
    /// session both sides may be anonymous, TS 5.4.1-2.b.1.iii.7): then the one recipient is meant, if there is one.
    ///
    /// A document with several notifications is taken one by one, and an aggregated one document by document.
    // req: 5.4-rcv-1, 5.4-rcv-1.a, 5.4-rcv-2, 5.4-rcv-2.a, 5.4.3-p2, 5.4.4-p2
    pub fn report(&mut self, from: Option<&str>, message_id: &str, notification: &Notification) -> Verdict {
        let verdict = self.judge(from, message_id, notification);
        let counter = match verdict {
            Verdict::News(_) => return verdict,
            Verdict::Repeated => "imdn.repeated",
            Verdict::Unknown => "imdn.unknown",
            Verdict::NotARecipient => "imdn.not_a_recipient",
            Verdict::NotAsked => "imdn.not_asked",
            Verdict::Ignored => "imdn.ignored",
        };
        self.metrics.count(counter);
        verdict
    }

    /// What [`Sent::report`] would say; nothing changes. For a function that keeps a notification before it counts.
    #[must_use]
    pub fn weigh(&self, from: Option<&str>, message_id: &str, notification: &Notification) -> Verdict {
        match self.news(from, message_id, notification) {
            Ok((_, progress)) => Verdict::News(progress),
            Err(verdict) => verdict,
        }
    }

    fn judge(&mut self, from: Option<&str>, message_id: &str, notification: &Notification) -> Verdict {
        match self.news(from, message_id, notification) {
            Ok((recipient, progress)) => {
                if let Some(known) = self.messages.get_mut(message_id) {
                    known.recipients.insert(recipient, progress);
                }
                Verdict::News(progress)
            }
            Err(verdict) => verdict,
        }
    }

    /// At which recipient a message is how far by a notification, where that is news.
    fn news(
        &self,
        from: Option<&str>,
        message_id: &str,
        notification: &Notification,
    ) -> Result<(String, Progress), Verdict> {
        let known = self.messages.get(message_id).ok_or(Verdict::Unknown)?;
        if !was_asked(&known.asked, notification) {
            return Err(Verdict::NotAsked);
        }
        let progress = progress_of(notification).ok_or(Verdict::Ignored)?;
        let recipient = match from {
            Some(from) => from.to_owned(),
            None => match known.recipients.keys().next() {
                Some(only) if known.recipients.len() == 1 => only.clone(),
                _ => return Err(Verdict::NotARecipient),
            },
        };
        let Some(state) = known.recipients.get(&recipient) else {
            let full = known.recipients.len() >= self.limits.max_recipients;
            let refused = known.closed || full || recipient.len() > self.limits.max_id;
            return if refused { Err(Verdict::NotARecipient) } else { Ok((recipient, progress)) };
        };
        if *state >= progress { Err(Verdict::Repeated) } else { Ok((recipient, progress)) }
    }

    /// Whether a notification said that a message arrived at somebody, or left for another technology.
    #[must_use]
    pub fn has_arrived(&self, message_id: &str) -> bool {
        let known = self.messages.get(message_id);
        known
            .is_some_and(|known| known.recipients.values().any(|progress| *progress >= Progress::Interworked))
    }

    /// Whether nothing that was asked for can say more of a message than is known: each of its recipients is as far as
    /// notifications can tell. A group whose members are not known never is; a message that is not known is.
    #[must_use]
    pub fn is_final(&self, message_id: &str) -> bool {
        let Some(known) = self.messages.get(message_id) else { return true };
        let best = best_progress(&known.asked);
        known.closed && known.recipients.values().all(|progress| *progress >= best)
    }

    /// What is known of one message as a record of its own, for a function that writes each message when it changes;
    /// `None` when the message is not known.
    #[must_use]
    pub fn export_message(&self, message_id: &str) -> Option<Vec<u8>> {
        let mut record = RecordWriter::new(ONE_KIND, ONE_VERSION);
        write_known(&mut record, message_id, self.messages.get(message_id)?);
        Some(record.finish())
    }

    /// Takes up the record of one message, at most `max_octets` long, in place of what is known of it; with as many
    /// messages as the limits allow, the oldest is forgotten. Returns its Message-ID.
    ///
    /// # Errors
    /// It is no such record, or has more recipients than the limits allow.
    pub fn restore_message(&mut self, octets: &[u8], max_octets: usize) -> Result<String, RecordError> {
        let mut record = RecordReader::open(octets, ONE_KIND, ONE_VERSION, max_octets)?;
        let (message_id, known) = read_known(&mut record, &self.limits)?;
        record.finish()?;
        self.forget(&message_id);
        self.insert(message_id.clone(), known);
        Ok(message_id)
    }

    /// All of it as a record.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let mut record = RecordWriter::new(KIND, VERSION);
        record.count(self.order.len());
        for message_id in self.order.values() {
            let Some(known) = self.messages.get(message_id) else { continue };
            write_known(&mut record, message_id, known);
        }
        record.finish()
    }

    /// Takes a record up, at most `max_octets` long.
    ///
    /// # Errors
    /// It is no such record, or holds more than the limits allow.
    pub fn restore(octets: &[u8], limits: SentLimits, max_octets: usize) -> Result<Self, RecordError> {
        let mut record = RecordReader::open(octets, KIND, VERSION, max_octets)?;
        let mut sent = Sent::new(limits);
        for _ in 0..record.count()? {
            let (message_id, known) = read_known(&mut record, &limits)?;
            if sent.messages.len() >= limits.max_messages {
                return Err(RecordError::Value("number of messages"));
            }
            if sent.messages.contains_key(&message_id) {
                return Err(RecordError::Value("Message-ID"));
            }
            sent.insert(message_id, known);
        }
        record.finish()?;
        Ok(sent)
    }
}

fn write_known(record: &mut RecordWriter, message_id: &str, known: &Known) {
    record.text(message_id);
    write_request(record, &known.asked);
    record.u64(known.number).flag(known.closed).count(known.recipients.len());
    for (recipient, progress) in &known.recipients {
        record.text(recipient).u8(*progress as u8);
    }
}

fn read_known(record: &mut RecordReader<'_>, limits: &SentLimits) -> Result<(String, Known), RecordError> {
    let message_id = record.text()?.to_owned();
    let asked = read_request(record)?;
    let number = record.u64()?;
    let closed = record.flag()?;
    let count = record.count()?;
    if count > limits.max_recipients {
        return Err(RecordError::Value("number of recipients"));
    }
    let mut recipients = BTreeMap::new();
    for _ in 0..count {
        let recipient = record.text()?.to_owned();
        recipients.insert(recipient, progress_from(record.u8()?)?);
    }
    Ok((message_id, Known { asked, number, closed, recipients, place: 0 }))
}

fn progress_from(octet: u8) -> Result<Progress, RecordError> {
    let known = [
        Progress::Pending,
        Progress::Processed,
        Progress::Failed,
        Progress::Interworked,
        Progress::Delivered,
        Progress::Displayed,
    ];
    known.into_iter().find(|progress| *progress as u8 == octet).ok_or(RecordError::Value("progress"))
}

/// RFC 5438 §14: what nobody asked for is dropped. A failure is told to whoever asked about the delivery at all: some
/// receivers do not tell the two requests apart.
fn was_asked(asked: &DispositionRequest, notification: &Notification) -> bool {
    match notification {
        Notification::Delivery(DeliveryStatus::Delivered) => asked.positive_delivery,
        Notification::Delivery(_) => asked.positive_delivery || asked.negative_delivery,
        Notification::Display(_) => asked.display,
        Notification::Processing(_) => asked.processing,
        Notification::Interworking(_) => asked.interworking,
    }
}

/// The most that the notifications which were asked for can tell.
const fn best_progress(asked: &DispositionRequest) -> Progress {
    if asked.display {
        Progress::Displayed
    } else if asked.positive_delivery {
        Progress::Delivered
    } else if asked.interworking {
        Progress::Interworked
    } else if asked.negative_delivery {
        Progress::Failed
    } else if asked.processing {
        Progress::Processed
    } else {
        Progress::Pending
    }
}

/// How far a notification says that a message is; `None` where it says nothing.
fn progress_of(notification: &Notification) -> Option<Progress> {
    match notification {
        Notification::Delivery(DeliveryStatus::Delivered) => Some(Progress::Delivered),
        // TS 5.4-rcv-1.a.ii: any other status means that it failed.
        Notification::Delivery(_) => Some(Progress::Failed),
        Notification::Display(DisplayStatus::Displayed) => Some(Progress::Displayed),
        Notification::Interworking(InterworkingStatus::LegacySms | InterworkingStatus::LegacyMms) => {
            Some(Progress::Interworked)
        }
        Notification::Processing(_) => Some(Progress::Processed),
        Notification::Display(_) | Notification::Interworking(_) => None,
    }
}

#[cfg(test)]
mod tests;
