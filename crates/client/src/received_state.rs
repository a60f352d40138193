//! What a client knows of a received message besides the message itself: [`Facts`] are stored with it and never change,
//! [`Since`] is what happened to it since, under a name of its own.

use crate::ReceivedId;
use crate::origin::Origin;
use cpm_base::DateTime;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_core::ReceivedRecord;
use cpm_core::feature::{CpmFeature, CpmService};
use cpm_sip::Uri;
use cpm_xml::imdn::{Imdn, Notification};

const FACTS: [u8; 4] = *b"RCVF";
const SINCE: [u8; 4] = *b"RCVS";
const VERSION: u16 = 1;
/// Octets of either record: header fields of one request, which the endpoint bounds.
const MAX_RECORD: usize = 64 * 1024;
/// All names of what happened since begin so.
pub(crate) const KEY_PREFIX: &str = "client/received/";

/// What is known of a message when it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The client's name for it.
    pub(crate) id: ReceivedId,
    /// A random name that no other message ever has: the name of what happened since, and the Message-IDs of its
    /// notifications, are made of it, so that a notification that is sent again after a restart is the same one.
    pub(crate) token: String,
    pub(crate) arrived: DateTime,
    /// It came through MSRP.
    pub(crate) large: bool,
    /// Whoever sent it can be told of it, and may be, unless [`Facts::ask`] says more.
    pub(crate) tell: bool,
    /// The user is to be asked before (threat E7).
    pub(crate) ask: bool,
    /// A delivery notification is owed.
    pub(crate) delivery: bool,
    /// Of a message with notifications: the places of those that said something new of a message of ours, in the order of
    /// its documents. The others are nothing (threat E5).
    pub(crate) news: Vec<u32>,
    pub(crate) origin: Origin,
}

/// What happened to a message since it arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Since {
    /// Whether the user lets the sender know.
    pub(crate) consent: Option<bool>,
    /// When the user read it.
    pub(crate) read: Option<DateTime>,
    /// The reading is to be told.
    pub(crate) tell_reading: bool,
    /// The delivery notification is done with: answered, or given up.
    pub(crate) delivery_done: bool,
    /// So is the read report.
    pub(crate) display_done: bool,
    /// UID in the user's message store, where it came later than the message.
    pub(crate) message_uid: Option<String>,
    /// UID of the read report in the user's message store (TS 5.4.2-2.a.9).
    pub(crate) report_uid: Option<String>,
}

impl Facts {
    pub(crate) fn write(&self) -> Vec<u8> {
        let origin = &self.origin;
        let mut record = RecordWriter::new(FACTS, VERSION);
        record.u64(self.id.0).text(&self.token);
        write_time(&mut record, Some(self.arrived));
        write_time(&mut record, origin.expires);
        record.flag(self.large).flag(self.tell).flag(self.ask).flag(self.delivery);
        record.option(origin.originator.as_ref().map(Uri::as_str)).count(origin.aliases.len());
        for alias in &origin.aliases {
            record.text(alias.as_str());
        }
        record.flag(origin.authenticated).flag(origin.hidden).option(origin.name.as_deref());
        record.option(origin.reply_to.as_ref().map(Uri::as_str));
        record.text(&origin.feature().icsi());
        record.option(origin.service.map(CpmService::urn).as_deref());
        record.count(self.news.len());
        for place in &self.news {
            record.u32(*place);
        }
        record.finish()
    }

    /// What stands in a record that was stored; its identifiers come from beside it.
    pub(crate) fn read(stored: &ReceivedRecord) -> Result<Facts, RecordError> {
        let mut record = RecordReader::open(&stored.state, FACTS, VERSION, MAX_RECORD)?;
        let (id, token) = (ReceivedId(record.u64()?), record.text()?.to_owned());
        let arrived = read_time(&mut record)?.ok_or(RecordError::Value("time of arrival"))?;
        let expires = read_time(&mut record)?;
        let (large, tell, ask, delivery) = (record.flag()?, record.flag()?, record.flag()?, record.flag()?);
        let originator = read_uri(record.option()?)?;
        let aliases = (0..record.count()?).map(|_| record.text().and_then(parse_uri));
        let aliases = aliases.collect::<Result<Vec<Uri>, RecordError>>()?;
        let (authenticated, hidden) = (record.flag()?, record.flag()?);
        let name = record.option()?.map(str::to_owned);
        let reply_to = read_uri(record.option()?)?;
        let feature = CpmFeature::from_icsi(record.text()?).ok_or(RecordError::Value("feature"))?;
        let service = record.option()?.map(CpmService::from_icsi);
        let news = (0..record.count()?).map(|_| record.u32()).collect::<Result<Vec<u32>, RecordError>>()?;
        record.finish()?;
        let origin = Origin {
            originator,
            authenticated,
            hidden,
            name,
            aliases,
            reply_to,
            conversation: stored.conversation.clone(),
            contribution: stored.contribution.clone(),
            in_reply_to: stored.in_reply_to.clone(),
            features: vec![feature],
            instances: Vec::new(),
            service: service.flatten(),
            message_uid: stored.message_uid.clone(),
            expires,
        };
        Ok(Facts { id, token, arrived, large, tell, ask, delivery, news, origin })
    }

    /// The name of what happened since.
    pub(crate) fn key(&self) -> String {
        format!("{KEY_PREFIX}{}/{}", self.id.0, self.token)
    }
}

/// Each notification in documents, with its place among all of them.
pub(crate) fn notifications(documents: &[Imdn]) -> impl Iterator<Item = (u32, &Imdn, &Notification)> {
    let all =
        documents.iter().flat_map(|imdn| imdn.notifications().map(move |notification| (imdn, notification)));
    (0u32..).zip(all).map(|(place, (imdn, notification))| (place, imdn, notification))
}

/// The message that a name is about.
pub(crate) fn id_of_key(key: &str) -> Option<ReceivedId> {
    let (number, _) = key.strip_prefix(KEY_PREFIX)?.split_once('/')?;
    number.parse().ok().map(ReceivedId)
}

impl Since {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut record = RecordWriter::new(SINCE, VERSION);
        record.u8(self.consent.map_or(0, |given| if given { 1 } else { 2 }));
        write_time(&mut record, self.read);
        record.flag(self.tell_reading).flag(self.delivery_done).flag(self.display_done);
        record.option(self.message_uid.as_deref()).option(self.report_uid.as_deref());
        record.finish()
    }

    pub(crate) fn read(octets: &[u8]) -> Result<Since, RecordError> {
        let mut record = RecordReader::open(octets, SINCE, VERSION, MAX_RECORD)?;
        let consent = match record.u8()? {
            0 => None,
            1 => Some(true),
            2 => Some(false),
            _ => return Err(RecordError::Value("consent")),
        };
        let read = read_time(&mut record)?;
        let (tell_reading, delivery_done, display_done) = (record.flag()?, record.flag()?, record.flag()?);
        let message_uid = record.option()?.map(str::to_owned);
        let report_uid = record.option()?.map(str::to_owned);
        record.finish()?;
        Ok(Since { consent, read, tell_reading, delivery_done, display_done, message_uid, report_uid })
    }
}

fn parse_uri(text: &str) -> Result<Uri, RecordError> {
    Uri::parse(text).map_err(|_| RecordError::Value("URI"))
}

fn read_uri(text: Option<&str>) -> Result<Option<Uri>, RecordError> {
    text.map(parse_uri).transpose()
}

fn write_time(record: &mut RecordWriter, time: Option<DateTime>) {
    record.option(time.map(|time| time.to_string()).as_deref());
}

fn read_time(record: &mut RecordReader<'_>) -> Result<Option<DateTime>, RecordError> {
    let time = record.option()?.map(DateTime::parse).transpose();
    time.map_err(|_| RecordError::Value("date"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]
    use super::*;

    fn facts() -> Facts {
        let uri = |text: &str| Uri::parse(text).unwrap();
        Facts {
            id: ReceivedId(7),
            token: "abc".to_owned(),
            arrived: DateTime::parse("2026-11-21T10:00:00.25Z").unwrap(),
            large: true,
            tell: true,
            ask: false,
            delivery: true,
            news: vec![0, 7],
            origin: Origin {
                originator: Some(uri("sip:bob@example.org")),
                authenticated: true,
                hidden: true,
                name: Some("Bob \u{e9}".to_owned()),
                aliases: vec![uri("tel:+1555"), uri("sip:b@x")],
                reply_to: Some(uri("sip:r@x")),
                conversation: None,
                contribution: None,
                in_reply_to: None,
                features: vec![CpmFeature::LargeMessage],
                instances: Vec::new(),
                service: Some(CpmService { feature: CpmFeature::LargeMessage, group: true }),
                message_uid: Some("9".to_owned()),
                expires: Some(DateTime::parse("2026-11-21T11:00:00Z").unwrap()),
            },
        }
    }

    #[test]
    fn facts_come_back_and_damaged_ones_do_not() {
        let facts = facts();
        let record = |state: &[u8]| ReceivedRecord {
            message_uid: Some("9".to_owned()),
            state: bytes::Bytes::copy_from_slice(state),
            ..ReceivedRecord::default()
        };
        let octets = facts.write();
        assert_eq!(Facts::read(&record(&octets)).unwrap(), facts);
        for at in 0..octets.len() {
            assert!(Facts::read(&record(&octets[..at])).is_err());
        }
        assert_eq!(id_of_key(&facts.key()), Some(ReceivedId(7)));
        assert_eq!(facts.key(), "client/received/7/abc");
        for key in ["client/received/7", "client/received/x/abc", "client/sent/7/abc"] {
            assert_eq!(id_of_key(key), None);
        }
    }

    #[test]
    fn what_happened_since_comes_back() {
        let read = Some(DateTime::parse("2026-11-21T10:00:00Z").unwrap());
        for consent in [None, Some(true), Some(false)] {
            let since =
                Since { consent, read, tell_reading: true, report_uid: Some("1".into()), ..Since::default() };
            assert_eq!(Since::read(&since.write()).unwrap(), since);
        }
        assert_eq!(Since::read(&Since::default().write()).unwrap(), Since::default());
        assert!(Since::read(b"").is_err());
    }
}
