//! What a client keeps of itself, and how it is taken up after a restart: one function for each kind of name.
//!
//! | name | what it is |
//! |---|---|
//! | `client/numbers` | up to where [`SentId`]s and received ones have been given |
//! | `client/sent/<IMDN Message-ID>` | a sent message, while more may be told of it; with its content until it was answered, then with the answer until the user has heard it |
//! | `client/received/<number>/<token>` | what happened to a received message since it arrived |
//!
//! What arrived is read in `history.rs`.

use crate::message::Recipients;
use crate::outcome::{Outcome, read_outcome, write_outcome};
use crate::outgoing::{Outgoing, SENT_KEY, Stage};
use crate::received_state::KEY_PREFIX;
use crate::{Client, ClientConfig, ClientEvent, ConfigError, ReceivedId, SentId, SentMessage};
use bytes::Bytes;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{DateTime, Now, Seed};
use cpm_core::{ContributionId, ConversationId, Node, Ports, Record, StateRecord, Written};
use cpm_sip::Uri;

const NUMBERS_KEY: &str = "client/numbers";
const NUMBERS: ([u8; 4], u16) = (*b"CLNU", 1);
const SENT: ([u8; 4], u16) = (*b"CLSN", 2);
/// So many numbers are taken from the store at a time.
const BLOCK: u64 = 1_000;
/// What a record may have besides the content of a message: identifiers, the addresses of a group.
const RECORD_OVERHEAD: usize = 1 << 20;

/// How far messages were numbered. Numbers are taken in blocks, so that none is given twice although not every one is
/// written down.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Those that are written down, or are being written.
    kept: (u64, u64),
    /// Those that the store has confirmed.
    durable: (u64, u64),
}

/// A record of a sent message.
struct SentRecord {
    sent: SentMessage,
    /// The message itself, while nobody answered for it.
    outgoing: Option<Outgoing>,
    /// What is known of its notifications.
    known: Option<Bytes>,
    /// The network has not answered for it.
    unanswered: bool,
    /// What became of it, where the user has perhaps not heard that.
    outcome: Option<Outcome>,
}

impl Client {
    /// A client that goes on where an earlier one ended: messages that were kept but never answered for go out again under
    /// the same identifiers (once the client is registered, or at once when it has no registrar), notifications are
    /// recognised. `records` is what the store holds, as [`cpm_core::standing`] puts it together; a record that cannot be
    /// read is counted (`client.record_not_restored`) and left out.
    ///
    /// The seed has to be one that no earlier life had, fresh from the system's randomness: branches, Call-IDs, tags and
    /// Message-IDs are made from it. With an old one this life repeats those of the earlier one: the network answers its
    /// requests as copies of the old ones, and its messages are taken for copies and never shown. It is not among the
    /// records for this reason; the reference host takes it from `seed_from_os`.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn restored(
        config: ClientConfig,
        seed: Seed,
        records: Vec<Record>,
    ) -> Result<Node<Client>, ConfigError> {
        let (mut client, node) = Client::with_node_config(config, seed)?;
        let mut sent = Vec::new();
        for record in records.iter().cloned() {
            if client.restore(record, &mut sent).is_err() {
                client.metrics.count("client.record_not_restored");
            }
        }
        client.restore_sent(sent);
        client.restore_received(&records);
        Node::new(client, node).map_err(ConfigError::Node)
    }

    fn restore(&mut self, record: Record, sent: &mut Vec<SentRecord>) -> Result<(), RecordError> {
        let Record::State(StateRecord { key, value: Some(value) }) = record else { return Ok(()) };
        match key.as_str() {
            NUMBERS_KEY => self.restore_numbers(&value),
            key if key.starts_with(SENT_KEY) => {
                let max = usize::try_from(self.config.limits.max_message).unwrap_or(usize::MAX);
                sent.push(SentRecord::read(&value, max.saturating_add(RECORD_OVERHEAD))?);
                Ok(())
            }
            // Read beside the message that it is about.
            key if key.starts_with(KEY_PREFIX) => Ok(()),
            _ => Err(RecordError::NotARecord),
        }
    }

    // Numbers

    /// A number for a message that is sent.
    pub(crate) fn number_sent(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) -> SentId {
        self.numbers.sent = self.numbers.sent.saturating_add(1);
        self.keep_numbers(now, ports);
        SentId(self.numbers.sent)
    }

    /// A number for a message that arrived. Its record has it as well; [`Client::keep_numbers`] is for those whose records
    /// are taken out of the store.
    pub(crate) fn number_received(&mut self) -> ReceivedId {
        self.numbers.received = self.numbers.received.saturating_add(1);
        ReceivedId(self.numbers.received)
    }

    /// Takes another block of numbers where one is used up.
    pub(crate) fn keep_numbers(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        let numbers = &mut self.numbers;
        if numbers.sent <= numbers.kept.0 && numbers.received <= numbers.kept.1 {
            return;
        }
        numbers.kept = (numbers.sent.saturating_add(BLOCK), numbers.received.saturating_add(BLOCK));
        let mut record = RecordWriter::new(NUMBERS.0, NUMBERS.1);
        record.u64(numbers.kept.0).u64(numbers.kept.1);
        self.state.keep(now, ports.host, NUMBERS_KEY, record.finish());
    }

    /// The store has kept the numbers, or not: then the next message has them written again.
    pub(crate) fn numbers_written(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        written: &Written,
    ) {
        if written.result.is_err() {
            self.numbers.kept = self.numbers.durable;
        } else if !written.goes_on {
            self.numbers.durable = self.numbers.kept;
            self.remove_finished(now, ports);
        }
    }

    /// Whether no later life gives this number again, whatever becomes of the record of the message.
    pub(crate) fn is_durable(&self, id: SentId) -> bool {
        id.0 <= self.numbers.durable.0
    }

    fn restore_numbers(&mut self, value: &[u8]) -> Result<(), RecordError> {
        let mut record = RecordReader::open(value, NUMBERS.0, NUMBERS.1, RECORD_OVERHEAD)?;
        let kept = (record.u64()?, record.u64()?);
        record.finish()?;
        (self.numbers.kept, self.numbers.durable) = (kept, kept);
        self.numbers.sent = self.numbers.sent.max(kept.0);
        self.numbers.received = self.numbers.received.max(kept.1);
        Ok(())
    }

    // Sent messages

    /// The record of a sent message, with the message itself where it is to be sent again.
    pub(crate) fn sent_record(&self, sent: &SentMessage, outgoing: Option<&Outgoing>) -> Vec<u8> {
        let mut record = RecordWriter::new(SENT.0, SENT.1);
        write_head(&mut record, sent);
        record.flag(outgoing.is_some());
        if let Some(outgoing) = outgoing {
            write_outgoing(&mut record, outgoing);
        }
        let known = self.sent.export_message(&sent.message_id);
        record.flag(known.is_some());
        if let Some(known) = known {
            record.bytes(&known);
        }
        record.flag(outgoing.is_some() || self.outbox.contains_key(&sent.id));
        write_outcome(&mut record, self.outcomes.get(&sent.id));
        record.finish()
    }

    /// Takes up what was sent, in the order of sending.
    fn restore_sent(&mut self, mut records: Vec<SentRecord>) {
        records.sort_by_key(|record| record.sent.id);
        for SentRecord { sent, outgoing, known, unanswered, outcome } in records {
            self.numbers.sent = self.numbers.sent.max(sent.id.0);
            let known = known.map(|known| self.sent.restore_message(&known, RECORD_OVERHEAD));
            if matches!(known, Some(Err(_))) {
                self.metrics.count("client.record_not_restored");
            }
            if let Some(outgoing) = outgoing {
                self.launch_due |= self.config.registrar.is_none();
                self.outbox.insert(sent.id, outgoing);
            } else if let Some(outcome) = outcome {
                self.outcomes.insert(sent.id, outcome);
            } else if unanswered {
                // It arrived, as a notification says.
                self.outcomes.insert(sent.id, Outcome { result: Ok(None), restored: true });
            }
            self.letters.insert(sent.id, sent);
        }
        let (outbox, outcomes, dispositions) = (&self.outbox, &self.outcomes, &self.sent);
        let told = |id: &SentId, letter: &mut SentMessage| {
            outbox.contains_key(id)
                || outcomes.contains_key(id)
                || dispositions.number(&letter.message_id).is_some()
        };
        self.letters.retain(told);
    }
}

impl SentRecord {
    fn read(octets: &Bytes, max: usize) -> Result<SentRecord, RecordError> {
        let mut record = RecordReader::open(octets, SENT.0, SENT.1, max)?;
        let sent = read_head(&mut record)?;
        let outgoing = if record.flag()? { Some(read_outgoing(&mut record, &sent)?) } else { None };
        let known = if record.flag()? { Some(Bytes::copy_from_slice(record.bytes()?)) } else { None };
        let unanswered = record.flag()?;
        let outcome = read_outcome(&mut record)?;
        record.finish()?;
        Ok(SentRecord { sent, outgoing, known, unanswered, outcome })
    }
}

fn write_head(record: &mut RecordWriter, sent: &SentMessage) {
    record.u64(sent.id.0).text(&sent.message_id).text(sent.conversation.as_str());
    record.text(sent.contribution.as_str());
    record.option(sent.in_reply_to.as_ref().map(ContributionId::as_str)).flag(sent.large);
    let kind = match &sent.to {
        Recipients::One(_) => 0,
        Recipients::AdHoc(_) => 1,
        Recipients::Group(_) => 2,
    };
    let all = sent.to.uris();
    record.u8(kind).count(all.len());
    for uri in all {
        record.text(uri.as_str());
    }
}

fn read_head(record: &mut RecordReader<'_>) -> Result<SentMessage, RecordError> {
    let id = SentId(record.u64()?);
    let message_id = record.text()?.to_owned();
    let conversation =
        ConversationId::parse(record.text()?).map_err(|_| RecordError::Value("Conversation-ID"))?;
    let contribution = contribution_id(record.text()?)?;
    let in_reply_to = record.option()?.map(contribution_id).transpose()?;
    let large = record.flag()?;
    let kind = record.u8()?;
    let mut all = Vec::new();
    for _ in 0..record.count()? {
        all.push(uri(record.text()?)?);
    }
    let to = match (kind, all.first()) {
        (0, Some(one)) => Recipients::One(one.clone()),
        (1, Some(_)) => Recipients::AdHoc(all),
        (2, Some(group)) => Recipients::Group(group.clone()),
        _ => return Err(RecordError::Value("recipients")),
    };
    Ok(SentMessage { id, to, conversation, contribution, in_reply_to, message_id, large })
}

fn write_outgoing(record: &mut RecordWriter, outgoing: &Outgoing) {
    record.option(outgoing.reply_to.as_ref().map(Uri::as_str)).flag(outgoing.anonymous);
    record.option(outgoing.pseudonym.as_deref()).text(&outgoing.composed.to_string());
    record.flag(outgoing.expires.is_some()).u32(outgoing.expires.unwrap_or_default());
    record.count(outgoing.content.len());
    for media_type in &outgoing.content {
        record.text(media_type);
    }
    record.bytes(&outgoing.cpim);
}

fn read_outgoing(record: &mut RecordReader<'_>, sent: &SentMessage) -> Result<Outgoing, RecordError> {
    let reply_to = record.option()?.map(uri).transpose()?;
    let anonymous = record.flag()?;
    let pseudonym = record.option()?.map(str::to_owned);
    let composed = DateTime::parse(record.text()?).map_err(|_| RecordError::Value("date"))?;
    let (lives, seconds) = (record.flag()?, record.u32()?);
    let mut content = Vec::new();
    for _ in 0..record.count()? {
        content.push(record.text()?.to_owned());
    }
    Ok(Outgoing {
        sent: sent.clone(),
        reply_to,
        anonymous,
        pseudonym,
        composed,
        expires: lives.then_some(seconds),
        content,
        cpim: Bytes::copy_from_slice(record.bytes()?),
        stage: Stage::Held,
        restored: true,
    })
}

fn contribution_id(text: &str) -> Result<ContributionId, RecordError> {
    ContributionId::parse(text).map_err(|_| RecordError::Value("Contribution-ID"))
}

fn uri(text: &str) -> Result<Uri, RecordError> {
    Uri::parse(text).map_err(|_| RecordError::Value("address"))
}
