//! What became of a message on its way: kept before the user hears it, so that no later life sends the message again and
//! says something else of it.

use crate::outgoing::{Outgoing, Stage};
use crate::{Client, ClientEvent, Failure, SentId};
use cpm_base::Now;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_core::{Ports, Written};
use cpm_sip::StatusCode;

/// An outcome that the user has not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// With the UID in the user's message store.
    pub(crate) result: Result<Option<String>, Failure>,
    /// An earlier life left it: it is told at the next opportunity.
    pub(crate) restored: bool,
}

impl Client {
    /// A message is over on its way. One of which the far side may have got something all the same is still recognised in
    /// notifications.
    pub(crate) fn finished(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: SentId,
        mut result: Result<Option<String>, Failure>,
    ) {
        let Some(outgoing) = self.outbox.remove(&id) else { return };
        let message_id = &outgoing.sent.message_id;
        // Who told that he has it has it, whatever a hop answers after that.
        if self.sent.has_arrived(message_id) && result.as_ref().is_err_and(|why| *why != Failure::Cancelled) {
            result = Ok(None);
        }
        if result.as_ref().is_err_and(|why| never_arrived(&outgoing, why)) {
            self.sent.forget(message_id);
        }
        self.outcomes.insert(id, Outcome { result, restored: false });
        self.write_sent(now, ports, id);
    }

    /// The store said that it did not keep a message: there is nothing that a later life could send.
    pub(crate) fn not_kept(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, id: SentId) {
        let Some(outgoing) = self.outbox.remove(&id) else { return };
        self.sent.forget(&outgoing.sent.message_id);
        self.write_sent(now, ports, id);
        ports.host.event(ClientEvent::SendFailed { id, why: Failure::NotStored });
    }

    /// The record of a message is kept: the user hears what became of it.
    pub(crate) fn outcome_written(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        message_id: &str,
        written: &Written,
    ) {
        if written.result.is_err() || written.goes_on {
            return;
        }
        let untold = self
            .outcomes
            .keys()
            .find(|id| self.letters.get(*id).is_some_and(|letter| letter.message_id == message_id));
        if let Some(id) = untold.copied() {
            self.tell_outcome(now, ports, id);
        }
    }

    /// The user hears what became of a message; then its record need not say so any more.
    pub(crate) fn tell_outcome(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, id: SentId) {
        let Some(outcome) = self.outcomes.remove(&id) else { return };
        ports.host.event(match outcome.result {
            Ok(message_uid) => ClientEvent::Sent { id, message_uid },
            Err(why) => ClientEvent::SendFailed { id, why },
        });
        self.write_sent(now, ports, id);
    }

    /// The user hears of messages of an earlier life that were over there.
    pub(crate) fn tell_restored(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        let restored = self.outcomes.iter().filter(|(_, outcome)| outcome.restored);
        let restored: Vec<SentId> = restored.map(|(id, _)| *id).collect();
        for id in restored {
            self.tell_outcome(now, ports, id);
        }
    }
}

/// Whether a refusal says nothing of what became of the request: a hop gave up, or met a copy of it (482, RFC 3261 §8.2.2.2).
pub(crate) fn proves_nothing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 480 | 482 | 500..=599)
}

/// Whether nobody can have got a message that failed so. Nothing proves it that is said of a message which went out in an
/// earlier life, perhaps.
fn never_arrived(outgoing: &Outgoing, why: &Failure) -> bool {
    match why {
        _ if outgoing.restored => false,
        Failure::Rejected { status, .. } => !proves_nothing(*status),
        Failure::NotStored | Failure::Refused(_) | Failure::Expired => true,
        Failure::Cancelled => outgoing.stage != Stage::UnderWay,
        _ => false,
    }
}

pub(crate) fn write_outcome(record: &mut RecordWriter, outcome: Option<&Outcome>) {
    match outcome.map(|outcome| &outcome.result) {
        None => drop(record.u8(0)),
        Some(Ok(uid)) => drop(record.u8(1).option(uid.as_deref())),
        Some(Err(why)) => write_failure(record, why),
    }
}

fn write_failure(record: &mut RecordWriter, why: &Failure) {
    match why {
        Failure::Rejected { status, reason, warnings } => {
            record.u8(2).u16(status.as_u16()).text(reason).count(warnings.len());
            for text in warnings {
                record.text(text);
            }
        }
        Failure::Timeout => drop(record.u8(3)),
        Failure::Transport => drop(record.u8(4)),
        Failure::BadAnswer(what) => drop(record.u8(5).text(what)),
        Failure::Media(status) => drop(record.u8(6).flag(status.is_some()).u16(status.unwrap_or_default())),
        Failure::EndedByPeer => drop(record.u8(7)),
        Failure::Cancelled => drop(record.u8(8)),
        Failure::NotStored => drop(record.u8(9)),
        Failure::Expired => drop(record.u8(10)),
        Failure::Refused(why) => drop(record.u8(11).text(why)),
    }
}

pub(crate) fn read_outcome(record: &mut RecordReader<'_>) -> Result<Option<Outcome>, RecordError> {
    let why = match record.u8()? {
        0 => return Ok(None),
        1 => {
            let uid = record.option()?.map(str::to_owned);
            return Ok(Some(Outcome { result: Ok(uid), restored: true }));
        }
        2 => {
            let status = StatusCode::new(record.u16()?).ok_or(RecordError::Value("status"))?;
            let reason = record.text()?.to_owned();
            let warnings = (0..record.count()?).map(|_| record.text().map(str::to_owned));
            Failure::Rejected { status, reason, warnings: warnings.collect::<Result<_, _>>()? }
        }
        3 => Failure::Timeout,
        4 => Failure::Transport,
        5 => Failure::BadAnswer(record.text()?.to_owned()),
        6 => {
            let (told, status) = (record.flag()?, record.u16()?);
            Failure::Media(told.then_some(status))
        }
        7 => Failure::EndedByPeer,
        8 => Failure::Cancelled,
        9 => Failure::NotStored,
        10 => Failure::Expired,
        11 => Failure::Refused(record.text()?.to_owned()),
        _ => return Err(RecordError::Value("outcome")),
    };
    Ok(Some(Outcome { result: Err(why), restored: true }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_outcome_comes_back() {
        let rejected = Failure::Rejected {
            status: StatusCode::FORBIDDEN,
            reason: "Forbidden".to_owned(),
            warnings: vec!["119 a".to_owned(), "122 b".to_owned()],
        };
        let failures = [
            rejected,
            Failure::Timeout,
            Failure::Transport,
            Failure::BadAnswer("what".to_owned()),
            Failure::Media(None),
            Failure::Media(Some(413)),
            Failure::EndedByPeer,
            Failure::Cancelled,
            Failure::NotStored,
            Failure::Expired,
            Failure::Refused("why".to_owned()),
        ];
        let results = failures.into_iter().map(Err).chain([Ok(None), Ok(Some("7".to_owned()))]);
        for result in results {
            let outcome = Outcome { result, restored: true };
            let mut record = RecordWriter::new(*b"TEST", 1);
            write_outcome(&mut record, Some(&outcome));
            let octets = record.finish();
            let mut read = RecordReader::open(&octets, *b"TEST", 1, 1_000).unwrap();
            assert_eq!(read_outcome(&mut read).unwrap(), Some(outcome));
            read.finish().unwrap();
        }
    }
}
