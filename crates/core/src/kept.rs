//! A [`Record`] as octets, for hosts that keep records in a file or a database.

use crate::{ContributionId, ConversationId, ReceivedRecord, Record, StateRecord};
use bytes::Bytes;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};

const KIND: [u8; 4] = *b"KEPT";
const VERSION: u16 = 1;
const RECEIVED: u8 = 0;
const STATE: u8 = 1;

impl Record {
    /// The record as octets: [`Record::from_octets`] reads them again, also in later versions of this crate.
    ///
    /// ```
    /// use cpm_core::{Record, StateRecord};
    /// let record = Record::State(StateRecord::put("client/numbers", vec![1, 2, 3]));
    /// assert_eq!(Record::from_octets(&record.to_octets(), 1_000)?, record);
    /// # Ok::<(), cpm_base::record::RecordError>(())
    /// ```
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        let mut record = RecordWriter::new(KIND, VERSION);
        match self {
            Record::Received(received) => {
                record.u8(RECEIVED);
                record.option(received.conversation.as_ref().map(ConversationId::as_str));
                record.option(received.contribution.as_ref().map(ContributionId::as_str));
                record.option(received.in_reply_to.as_ref().map(ContributionId::as_str));
                record.text(&received.sender).option(received.message_id.as_deref());
                record.option(received.message_uid.as_deref());
                record.bytes(&received.cpim).bytes(&received.state);
            }
            Record::State(state) => {
                record.u8(STATE).text(&state.key).flag(state.value.is_some());
                record.bytes(state.value.as_deref().unwrap_or_default());
            }
        }
        record.finish()
    }

    /// Reads what [`Record::to_octets`] wrote, at most `max_octets` long.
    ///
    /// # Errors
    /// It is no such record: cut, damaged, written by something newer, or longer than that.
    pub fn from_octets(octets: &[u8], max_octets: usize) -> Result<Record, RecordError> {
        let mut record = RecordReader::open(octets, KIND, VERSION, max_octets)?;
        let kept = match record.u8()? {
            RECEIVED => Record::Received(read_received(&mut record)?),
            STATE => {
                let (key, stands) = (record.text()?.to_owned(), record.flag()?);
                let value = Bytes::copy_from_slice(record.bytes()?);
                Record::State(StateRecord { key, value: stands.then_some(value) })
            }
            _ => return Err(RecordError::Value("kind of record")),
        };
        record.finish()?;
        Ok(kept)
    }
}

fn read_received(record: &mut RecordReader<'_>) -> Result<ReceivedRecord, RecordError> {
    let contribution = |text: Option<&str>| {
        let id = text.map(ContributionId::parse).transpose();
        id.map_err(|_| RecordError::Value("Contribution-ID"))
    };
    let conversation = record.option()?.map(ConversationId::parse).transpose();
    Ok(ReceivedRecord {
        conversation: conversation.map_err(|_| RecordError::Value("Conversation-ID"))?,
        contribution: contribution(record.option()?)?,
        in_reply_to: contribution(record.option()?)?,
        sender: record.text()?.to_owned(),
        message_id: record.option()?.map(str::to_owned),
        message_uid: record.option()?.map(str::to_owned),
        cpim: Bytes::copy_from_slice(record.bytes()?),
        state: Bytes::copy_from_slice(record.bytes()?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_record_comes_back_and_a_damaged_one_does_not() {
        let received = ReceivedRecord {
            conversation: Some(ConversationId::parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf7").unwrap()),
            contribution: Some(ContributionId::parse("abcdef12-7dec-11d0-a765-00a0c91e6bf8").unwrap()),
            in_reply_to: Some(ContributionId::parse("01234567-7dec-11d0-a765-00a0c91e6bf9").unwrap()),
            sender: "sip:bob@example.org".to_owned(),
            message_id: Some("m1".to_owned()),
            message_uid: Some("4712".to_owned()),
            cpim: Bytes::from_static(b"From: <sip:a@b>\r\n\r\n\x00\xff"),
            state: Bytes::from_static(b"\x01\x02"),
        };
        for record in [
            Record::Received(received),
            Record::Received(ReceivedRecord::default()),
            Record::State(StateRecord::put("client/sent/1", vec![7; 3])),
            Record::State(StateRecord::put("", Bytes::new())),
            Record::State(StateRecord::remove("x")),
        ] {
            let octets = record.to_octets();
            assert_eq!(Record::from_octets(&octets, octets.len()).unwrap(), record);
            assert!(Record::from_octets(&octets, octets.len() - 1).is_err());
            for at in 0..octets.len() {
                assert!(Record::from_octets(&octets[..at], 10_000).is_err());
                let mut damaged = octets.clone();
                damaged[at] ^= 1;
                assert!(Record::from_octets(&damaged, 10_000).is_err());
            }
        }
    }
}
