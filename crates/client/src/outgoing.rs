//! A message from its user's command to the answer of the network: it is kept first, then it goes out, and its record is
//! held until nothing more can be told of it.

use crate::client::Purpose;
use crate::message::Recipients;
use crate::{Client, ClientEvent, Failure, MessageKeys, SendRefusal, SentId, SentMessage};
use bytes::Bytes;
use cpm_base::{DateTime, Now};
use cpm_core::disposition::Verdict;
use cpm_core::{Ports, Written, disposition};
use cpm_cpim::DispositionRequest;
use cpm_sip::{Expires, Method, Response, Uri};
use cpm_ua::{Destination, TransactionFailure};
use std::collections::BTreeSet;

/// What the records of sent messages are called, before their IMDN Message-ID.
pub(crate) const SENT_KEY: &str = "client/sent/";

/// A message that the network has not answered for.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) sent: SentMessage,
    pub(crate) reply_to: Option<Uri>,
    pub(crate) anonymous: bool,
    pub(crate) pseudonym: Option<String>,
    /// When it was composed; its lifetime counts from there.
    pub(crate) composed: DateTime,
    /// Lifetime in seconds.
    pub(crate) expires: Option<u32>,
    /// Media types of the content, for the offer of a large message.
    pub(crate) content: Vec<String>,
    /// The CPIM message, octet for octet.
    pub(crate) cpim: Bytes,
    pub(crate) stage: Stage,
    /// It is from an earlier life, and may have gone out there.
    pub(crate) restored: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The store has not confirmed it.
    Storing,
    /// It is from an earlier life, and the client is not registered yet.
    Held,
    /// It is kept, and goes out when another to the same address is answered, or when there is room for it.
    Waiting,
    /// It is on the wire.
    UnderWay,
}

/// Why a message does not go out now.
pub(crate) enum NotNow {
    /// It may later.
    Later,
    Never(Failure),
}

impl Outgoing {
    /// What is left of its lifetime, in seconds.
    pub(crate) fn lifetime(&self, now: Now) -> Result<Option<u32>, Failure> {
        let Some(seconds) = self.expires else { return Ok(None) };
        let passed = now.wall.unix_micros().saturating_sub(self.composed.unix_micros());
        match u32::try_from((passed / 1_000_000).max(0)) {
            Ok(0) => Ok(Some(seconds)),
            Ok(passed) if passed < seconds => Ok(Some(seconds.saturating_sub(passed))),
            _ => Err(Failure::Expired),
        }
    }
}

impl Client {
    /// The messages that were sent and of which more may be told: an answer, or a disposition notification. Oldest first;
    /// after a restart, those that the records name.
    pub fn sent_messages(&self) -> impl Iterator<Item = &SentMessage> {
        self.letters.values()
    }

    /// The message of [`Client::sent_messages`] that an object of the user's message store is a copy of (TS 7.2.1.1-18), where
    /// the network has not named its UID.
    // req: 7.2.1.1-18, 7.2.1.2-onDone-4
    #[must_use]
    pub fn find_sent(&self, object: &MessageKeys) -> Option<SentId> {
        let mut letters = self.letters.values();
        letters.find(|sent| MessageKeys::of_sent(sent, None).is_copy(object)).map(|sent| sent.id)
    }

    /// Takes a message up: it goes out when the store has confirmed it.
    // req: 7.2.1.1-p1
    pub(crate) fn post(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        outgoing: Outgoing,
        asked: DispositionRequest,
    ) {
        let sent = outgoing.sent.clone();
        let forgotten = self.sent.remember(disposition::SentMessage {
            message_id: sent.message_id.clone(),
            asked,
            number: sent.id.0,
            recipients: recipient_keys(&sent.to),
        });
        let key = key_of(&sent.message_id);
        self.letters.insert(sent.id, sent);
        self.state.keep(now, ports.host, &key, self.sent_record(&outgoing.sent, Some(&outgoing)));
        self.outbox.insert(outgoing.sent.id, outgoing);
        // One that has no answer is kept for that.
        if let Some((message_id, number)) = forgotten
            && !self.is_under_way(SentId(number))
        {
            self.letters.remove(&SentId(number));
            self.state.remove(now, ports.host, &key_of(&message_id));
        }
    }

    /// The store has kept a record of a sent message, or not.
    pub(crate) fn sent_written(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        message_id: &str,
        written: &Written,
    ) {
        let storing =
            |outgoing: &&Outgoing| outgoing.stage == Stage::Storing && outgoing.sent.message_id == message_id;
        let waits = self.outbox.values().find(storing).map(|outgoing| outgoing.sent.id);
        match (waits, written.result) {
            (Some(id), Ok(())) => self.set_stage(id, Stage::Waiting),
            // What was perhaps kept all the same may not go out in a later life: the user hears that it failed.
            (Some(id), Err(_)) if written.silent => self.finished(now, ports, id, Err(Failure::NotStored)),
            (Some(id), Err(_)) => self.not_kept(now, ports, id),
            (None, _) => return self.outcome_written(now, ports, message_id, written),
        }
        self.launch_waiting(now, ports);
    }

    fn set_stage(&mut self, id: SentId, stage: Stage) {
        if let Some(outgoing) = self.outbox.get_mut(&id) {
            outgoing.stage = stage;
        }
    }

    /// What an earlier life left may go out.
    pub(crate) fn release_held(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        for outgoing in self.outbox.values_mut().filter(|outgoing| outgoing.stage == Stage::Held) {
            outgoing.stage = Stage::Waiting;
        }
        self.launch_waiting(now, ports);
    }

    /// Sends what waits and may go out.
    pub(crate) fn launch_waiting(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        loop {
            let mut over = false;
            for id in self.launchable() {
                over |= self.launch(now, ports, id);
            }
            // Behind one that is over, another may go.
            if !over {
                return;
            }
        }
    }

    /// What may go out: of MESSAGE requests one at a time to each address (RFC 3428 §8), in the order of their commands.
    fn launchable(&self) -> Vec<SentId> {
        if !self.outbox.values().any(|outgoing| outgoing.stage == Stage::Waiting) {
            return Vec::new();
        }
        let target = |outgoing: &Outgoing| self.target(&outgoing.sent.to).map(Uri::key);
        let mut taken = self.message_targets(Uri::key);
        let mut launchable = Vec::new();
        for (id, outgoing) in &self.outbox {
            let free = outgoing.sent.large || target(outgoing).is_none_or(|target| taken.insert(target));
            if free && outgoing.stage == Stage::Waiting {
                launchable.push(*id);
            }
        }
        launchable
    }

    /// Where MESSAGE requests are under way to.
    pub(crate) fn message_targets(&self, key: impl Fn(&Uri) -> String) -> BTreeSet<String> {
        let under_way = self.transactions.values().filter_map(|purpose| match purpose {
            Purpose::Pager(id) => self.outbox.get(id).and_then(|outgoing| self.target(&outgoing.sent.to)),
            Purpose::Report(report) => Some(report.target()),
            Purpose::Bye => None,
        });
        under_way.map(key).collect()
    }

    /// Sends a message. Returns whether it is over because it cannot be.
    fn launch(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, id: SentId) -> bool {
        let Some(mut outgoing) = self.outbox.remove(&id) else { return false };
        let launched = match outgoing.lifetime(now) {
            Err(expired) => Err(NotNow::Never(expired)),
            // It was configured when the message was taken, in an earlier life.
            Ok(_) if self.target(&outgoing.sent.to).is_none() => {
                let why = SendRefusal::NoControllingFunction.to_string();
                Err(NotNow::Never(Failure::Refused(why)))
            }
            Ok(lifetime) if outgoing.sent.large => self.launch_large(now, ports, &outgoing, lifetime),
            Ok(lifetime) => self.launch_pager(now, ports, &outgoing, lifetime),
        };
        if launched.is_ok() {
            outgoing.stage = Stage::UnderWay;
        }
        self.outbox.insert(id, outgoing);
        let Err(NotNow::Never(why)) = launched else { return false };
        self.finished(now, ports, id, Err(why));
        true
    }

    // req: 7.2.1.1-7, 7.2.1.1-14, 7.2.1.1-15, 7.2.1.1-16
    fn launch_pager(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        outgoing: &Outgoing,
        lifetime: Option<u32>,
    ) -> Result<(), NotNow> {
        let mut request = self.outgoing_request(Method::Message, outgoing);
        if let Some(seconds) = lifetime {
            request.headers_mut().push_typed(&Expires(seconds));
        }
        self.set_body(&mut request, &outgoing.sent.to, "message/cpim", outgoing.cpim.clone())
            .map_err(|why| NotNow::Never(Failure::Refused(why)))?;
        let transaction =
            ports.sip.send_request(now, request, Destination::Routed).map_err(|refused| refused.why)?;
        self.transactions.insert(transaction, Purpose::Pager(outgoing.sent.id));
        Ok(())
    }

    /// The MESSAGE has its final response. Any 2xx is success (readings F10).
    pub(crate) fn pager_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: SentId,
        response: &Response,
    ) {
        let outcome = if response.status().is_success() {
            // req: 7.2.1.1-17
            Ok(crate::pager::message_uid(response))
        } else {
            Err(Failure::rejected(response))
        };
        self.finished(now, ports, id, outcome);
    }

    pub(crate) fn pager_lost(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: SentId,
        why: TransactionFailure,
    ) {
        self.finished(now, ports, id, Err(why.into()));
    }

    /// A notification said something new of a message: its record says so too.
    pub(crate) fn told(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        message_id: &str,
        verdict: Verdict,
    ) {
        if let (Verdict::News(_), Some(number)) = (verdict, self.sent.number(message_id)) {
            self.write_sent(now, ports, SentId(number));
        }
    }

    /// Writes what is to be known of a sent message after a restart. A message that arrived, as a notification says, is not
    /// sent again, so that its content goes; one that is said to have failed, or to be under way, still waits for its answer.
    /// When nothing more can be told, all of it goes; but for its number, as long as nothing else keeps that.
    pub(crate) fn write_sent(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, id: SentId) {
        let Some(letter) = self.letters.get(&id) else { return };
        let key = key_of(&letter.message_id);
        let over = !self.is_under_way(id) && self.sent.is_final(&letter.message_id);
        if over && self.is_durable(id) {
            self.letters.remove(&id);
            return self.state.remove(now, ports.host, &key);
        }
        let unanswered = self.outbox.get(&id).filter(|_| !self.sent.has_arrived(&letter.message_id));
        let record = self.sent_record(letter, unanswered);
        self.state.keep(now, ports.host, &key, record);
        if over {
            self.keep_numbers(now, ports);
        }
    }

    /// Whether a message is not answered, or its user has not heard of that.
    fn is_under_way(&self, id: SentId) -> bool {
        self.outbox.contains_key(&id) || self.outcomes.contains_key(&id)
    }

    /// Takes the records out that were kept for their numbers alone.
    pub(crate) fn remove_finished(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        let over = |(id, letter): (&SentId, &SentMessage)| {
            let over = !self.is_under_way(*id) && self.sent.is_final(&letter.message_id);
            (over && self.is_durable(*id)).then_some(*id)
        };
        let over: Vec<SentId> = self.letters.iter().filter_map(over).collect();
        for id in over {
            self.write_sent(now, ports, id);
        }
    }
}

impl From<cpm_ua::Refusal> for NotNow {
    /// An endpoint that drains sends nothing more; the message goes out in the next life.
    fn from(why: cpm_ua::Refusal) -> Self {
        match why {
            cpm_ua::Refusal::Draining => NotNow::Later,
            other => NotNow::Never(Failure::Refused(other.to_string())),
        }
    }
}

fn key_of(message_id: &str) -> String {
    format!("{SENT_KEY}{message_id}")
}

/// Who may report on a message. The members of a pre-defined group are not known here.
fn recipient_keys(to: &Recipients) -> Vec<String> {
    match to {
        Recipients::One(one) => vec![one.address_key()],
        Recipients::AdHoc(all) => all.iter().map(Uri::address_key).collect(),
        Recipients::Group(_) => Vec::new(),
    }
}

impl From<cpm_ua::Refusal> for SendRefusal {
    fn from(why: cpm_ua::Refusal) -> Self {
        SendRefusal::Endpoint(why.to_string())
    }
}
