//! A message that arrived, by either way: it is kept, acknowledged, reported on and shown, in this order
//! (TS 7.2.2.1, 7.2.2.2, 7.2.2.3).

use crate::origin::Origin;
use crate::seen::SeenLog;
use crate::{Client, ClientEvent, ReceivedId, ReceivedMessage};
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{FlowId, Instant, Now, Trust};
use cpm_core::disposition::Happened;
use cpm_core::feature::CpmFeature;
use cpm_core::warning::refusal;
use cpm_core::{Ports, Query, QueryId, ReceivedRecord, Record, StoreError};
use cpm_cpim::CpimMessage;
use cpm_sip::{ContentType, HeaderName, HeaderText, Request, Response, StatusCode};
use cpm_ua::RequestId;
use cpm_xml::XmlError;
use cpm_xml::imdn::{self, Imdn};

/// The store's answer is awaited so long; then the message counts as not kept, so that a silent store holds nothing.
pub(crate) const STORE_PATIENCE: Duration = Duration::from_secs(120);

/// A message that waits for the store.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) origin: Origin,
    pub(crate) cpim: CpimMessage,
    /// What is in it.
    content: Content,
    /// How it is acknowledged once it is kept.
    pub(crate) answer: Answer,
    /// Key of copies; `None` without IMDN Message-ID.
    key: Option<String>,
    /// Until then the store's answer counts.
    deadline: Instant,
}

#[derive(Debug)]
enum Content {
    Message(Bytes),
    /// A disposition notification; `None` when it names no disposition that is known (TS 5.4-rcv-4).
    Notification(Option<Imdn>),
}

/// The acknowledgement that is owed for an arrival.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A final response to this MESSAGE.
    Pager(RequestId, Box<Request>),
    /// An MSRP response to this chunk, the last of a large message.
    Large(cpm_msrp::ChunkId),
}

/// Why an arrival is not taken.
#[derive(Debug)]
pub(crate) enum Unacceptable {
    /// It is not well-formed; the text says where.
    Malformed(String),
    /// No room to keep it at present.
    NoResources,
}

impl Client {
    /// A MESSAGE outside of a dialog.
    pub(crate) fn handle_message(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: RequestId,
        flow: FlowId,
        request: Request,
    ) {
        let trust = ports.sip.flow_info(flow).map_or(Trust::Outside, |info| info.trust);
        if let Err(response) = self.take_message(now, ports, id, &request, trust) {
            self.metrics.count("client.message_refused");
            self.answer(now, ports, id, *response);
        }
    }

    fn take_message(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: RequestId,
        request: &Request,
        trust: Trust,
    ) -> Result<(), Box<Response>> {
        let bad = |why: &dyn core::fmt::Display| {
            Box::new(refusal(request, StatusCode::BAD_REQUEST, Some(&why.to_string())))
        };
        let content_type = request.typed::<ContentType>().map_err(|error| bad(&error))?;
        if !content_type.is_some_and(|content_type| content_type.is("message/cpim")) {
            let response = refusal(request, StatusCode::UNSUPPORTED_MEDIA_TYPE, None);
            return Err(Box::new(
                response.with_header(HeaderName::Accept, HeaderText::sanitized("message/cpim")),
            ));
        }
        let origin = Origin::read(request, trust).map_err(|error| bad(&error))?;
        if origin.is_for_another_than(&self.config.instance) {
            return Err(Box::new(refusal(request, StatusCode::BUSY_HERE, None)));
        }
        // req: 7-b9
        let ours = origin.features.iter().any(|feature| *feature != CpmFeature::SystemMessage);
        let untagged = origin.features.is_empty() && self.config.settings.accept_untagged;
        if !ours && !untagged {
            return Err(Box::new(refusal(request, StatusCode::NOT_ACCEPTABLE_HERE, None)));
        }
        let answer = Answer::Pager(id, Box::new(request.clone()));
        match self.keep(now, ports, origin, request.body().clone(), answer) {
            Ok(()) => Ok(()),
            Err(Unacceptable::Malformed(why)) => Err(bad(&why)),
            // req: 7.2.2.1-pre-1
            Err(Unacceptable::NoResources) => {
                Err(Box::new(refusal(request, StatusCode::TEMPORARILY_UNAVAILABLE, None)))
            }
        }
    }

    /// Reads what arrived and asks the store to keep it; it is acknowledged and shown when the store has.
    pub(crate) fn keep(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        origin: Origin,
        octets: Bytes,
        answer: Answer,
    ) -> Result<(), Unacceptable> {
        let malformed = |error: &dyn core::fmt::Display| Unacceptable::Malformed(error.to_string());
        let leniency = if self.config.settings.tolerant_cpim {
            cpm_cpim::Leniency::field()
        } else {
            cpm_cpim::Leniency::default()
        };
        let (cpim, tolerated) = CpimMessage::parse(octets.clone(), &cpm_cpim::Limits::default(), &leniency)
            .map_err(|error| malformed(&error))?;
        if !tolerated.is_empty() {
            self.metrics.count("client.cpim_tolerated");
        }
        let message_id = cpim.imdn_message_id().map_err(|error| malformed(&error))?;
        cpim.disposition_notification().map_err(|error| malformed(&error))?;
        let required = cpim.require().map_err(|error| malformed(&error))?;
        if let Some((_, name)) = required.iter().find(|(namespace, name)| !is_understood(namespace, name)) {
            return Err(malformed(&format_args!("the required {name} is not understood")));
        }
        let decoded = cpim.content().decoded().map_err(|error| malformed(&error))?;
        let content = if cpim.is_imdn() {
            Content::Notification(read_imdn(&decoded).map_err(|error| malformed(&error))?)
        } else {
            Content::Message(decoded)
        };
        if self.storing.len() >= self.config.limits.max_storing {
            return Err(Unacceptable::NoResources);
        }
        let sender = origin.sender_text();
        let conversation = origin.conversation.as_ref().map_or("", |id| id.as_str());
        let key = message_id.as_ref().map(|id| SeenLog::key(&sender, conversation, id));
        let record = ReceivedRecord {
            conversation: origin.conversation.clone(),
            contribution: origin.contribution.clone(),
            sender,
            message_id,
            cpim: octets,
            ..ReceivedRecord::default()
        };
        let deadline = now.mono.plus(STORE_PATIENCE);
        let arrival = Arrival { origin, cpim, content, answer, key, deadline };
        if arrival.key.as_ref().is_some_and(|key| self.seen.contains(key)) {
            // A copy of what is kept and was shown: acknowledged again, nothing else (TS 7.2.1.1, Table 2).
            self.metrics.count("client.duplicate");
            self.acknowledge(now, ports, &arrival);
            return Ok(());
        }
        let query = ports.host.query(Query::Store(Record::Received(record)));
        self.storing.insert(query, arrival);
        Ok(())
    }

    /// The store's answer: only now the sender hears that its message was taken.
    pub(crate) fn stored(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        query: QueryId,
        result: Result<(), StoreError>,
    ) {
        let Some(arrival) = self.storing.remove(&query) else { return };
        if result.is_err() {
            self.metrics.count("client.not_stored");
            return self.not_taken(now, ports, &arrival);
        }
        self.acknowledge(now, ports, &arrival);
        if let Some(key) = &arrival.key {
            if self.seen.contains(key) {
                // Another copy was being stored at the same time.
                return self.metrics.count("client.duplicate");
            }
            self.seen.remember(key.clone());
        }
        match arrival.content {
            Content::Notification(None) => self.metrics.count("client.report_ignored"),
            Content::Notification(Some(ref document)) => {
                self.notified(now, ports, &arrival.origin, document);
            }
            Content::Message(ref content) => self.show(now, ports, &arrival, content.clone()),
        }
    }

    pub(crate) fn storing_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        while let Some(query) = self.storing.iter().find(|(_, a)| a.deadline <= now.mono).map(|(id, _)| *id) {
            self.metrics.count("client.store_silent");
            self.stored(now, ports, query, Err(StoreError::Failed));
        }
    }

    pub(crate) fn storing_next_timeout(&self) -> Option<Instant> {
        self.storing.values().map(|arrival| arrival.deadline).min()
    }

    /// Report, then show (TS 7.2.2.3-3, -4).
    // req: 7.2.2.1-6, 7.2.2.2-p8, 7.2.2.3-3, 7.2.2.3-4, 5.4.1-1, 5.4-gen-1.b.i
    fn show(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, arrival: &Arrival, content: Bytes) {
        let wanted = arrival.cpim.disposition_notification().unwrap_or_default();
        let display = wanted.display;
        let owed = self.owe(&arrival.origin, &arrival.cpim, wanted);
        if let Some(owed) = owed {
            self.owed.happened(owed, Happened::Delivered);
            self.send_reports(now, ports);
        }
        let id = ReceivedId(self.number_received(now, ports));
        self.remember_shown(&arrival.answer, id);
        let message = self.received_message(id, arrival, content, display && owed.is_some());
        if let (true, Some(owed)) = (display, owed) {
            self.unread.insert(id, owed);
        }
        ports.host.event(ClientEvent::Received(Box::new(message)));
    }

    fn received_message(
        &self,
        id: ReceivedId,
        arrival: &Arrival,
        content: Bytes,
        display_requested: bool,
    ) -> ReceivedMessage {
        let (origin, cpim) = (&arrival.origin, &arrival.cpim);
        let header = |name: &str| cpim.content().headers.get(name).map(|value| value.into_owned());
        ReceivedMessage {
            id,
            from: origin.originator.clone(),
            from_name: cpim.from().ok().flatten().and_then(|from| from.display_name),
            reply_to: origin.reply_to.clone().or_else(|| origin.originator.clone()),
            conversation: origin.conversation.clone(),
            contribution: origin.contribution.clone(),
            in_reply_to: origin.in_reply_to.clone(),
            message_id: cpim.imdn_message_id().ok().flatten(),
            date: cpim.date_time().ok().flatten(),
            subject: cpim.subject(),
            content_type: header("Content-Type").unwrap_or_else(|| "text/plain".to_owned()),
            // req: 7.2.2.3-1
            content_disposition: header("Content-Disposition"),
            content,
            display_requested,
            // req: 7.2.2.1-7
            message_uid: origin.message_uid.clone(),
            large: matches!(arrival.answer, Answer::Large(_)),
        }
    }

    /// The UID in the user's message store came while the message of this chunk waits for our own store.
    pub(crate) fn name_stored(&mut self, chunk: cpm_msrp::ChunkId, uid: &str) {
        let ours = |arrival: &&mut Arrival| matches!(arrival.answer, Answer::Large(last) if last == chunk);
        if let Some(arrival) = self.storing.values_mut().find(ours) {
            arrival.origin.message_uid = Some(uid.to_owned());
        }
    }

    // req: 7.2.2.1-1, 7.2.2.1-5
    fn acknowledge(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, arrival: &Arrival) {
        match &arrival.answer {
            Answer::Pager(id, request) => {
                let mut response = Response::for_request(request, StatusCode::OK);
                copy_ids(request, &mut response);
                self.answer(now, ports, *id, response);
            }
            Answer::Large(chunk) => self.large_kept(now, ports, *chunk, true),
        }
    }

    fn not_taken(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, arrival: &Arrival) {
        match &arrival.answer {
            Answer::Pager(id, request) => {
                let response = refusal(request, StatusCode::TEMPORARILY_UNAVAILABLE, None);
                self.answer(now, ports, *id, response);
            }
            Answer::Large(chunk) => self.large_kept(now, ports, *chunk, false),
        }
    }

    /// Sends a final response; one whose request is over already has nobody to go to.
    pub(crate) fn answer(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: RequestId,
        response: Response,
    ) {
        if ports.sip.respond(now, id, response).is_err() {
            self.metrics.count("client.response_too_late");
        }
    }
}

/// Whether a sender may insist on a header field of message/cpim (RFC 3862 §3.5): this client knows what it means.
fn is_understood(namespace: &str, name: &str) -> bool {
    const OF_CPIM: &[&str] =
        &["From", "To", "cc", "DateTime", "Subject", "NS", "Require", "Message-Direction"];
    const OF_IMDN: &[&str] =
        &["Message-ID", "Disposition-Notification", "Original-To", "IMDN-Record-Route", "IMDN-Route"];
    let known = match namespace {
        cpm_cpim::CPIM_NAMESPACE => OF_CPIM,
        cpm_cpim::IMDN_NAMESPACE => OF_IMDN,
        _ => return false,
    };
    known.contains(&name)
}

/// A well-formed document without any of the notifications is no fault: it is taken and says nothing.
// req: 5.4-rcv-4
fn read_imdn(document: &[u8]) -> Result<Option<Imdn>, XmlError> {
    match imdn::parse(document, &cpm_xml::Limits::default()) {
        Err(XmlError::Missing("delivery-notification")) => Ok(None),
        read => read.map(Some),
    }
}

/// The three identifiers go back as they came (TS 7.2.2.1-4, 7.2.2.2-2.d).
// req: 7.2.2.1-4, 7.2.2.2-2.d
pub(crate) fn copy_ids(request: &Request, response: &mut Response) {
    for name in [HeaderName::ConversationId, HeaderName::ContributionId, HeaderName::InReplyToContributionId]
    {
        response.headers_mut().copy_from(request.headers(), &name);
    }
}
