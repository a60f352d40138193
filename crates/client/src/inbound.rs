//! A message that arrived, by either way: it is kept, acknowledged, reported on and shown, in this order
//! (TS 7.2.2.1, 7.2.2.2, 7.2.2.3).

use crate::origin::Origin;
use crate::received;
use crate::received_state::{Facts, Since};
use crate::seen::SeenLog;
use crate::{Client, ClientConfig, ClientEvent};
use bytes::Bytes;
use core::time::Duration;
use cpm_base::{FlowId, Instant, Now, Trust};
use cpm_core::disposition::{self, ImdnFault};
use cpm_core::feature::CpmFeature;
use cpm_core::warning::refusal;
use cpm_core::{Ports, Query, QueryId, ReceivedRecord, Record, StoreError};
use cpm_cpim::CpimMessage;
use cpm_mime::Part;
use cpm_sip::{HeaderName, HeaderText, Request, Response, StatusCode};
use cpm_ua::RequestId;
use cpm_xml::XmlError;
use cpm_xml::imdn::Imdn;

/// The store's answer is awaited so long; then the message counts as not kept, so that a silent store holds nothing.
pub(crate) const STORE_PATIENCE: Duration = Duration::from_secs(120);
/// What the body of a MESSAGE may be.
const ACCEPTED: &str = "message/cpim, multipart/mixed";

/// A message that waits for the store.
#[derive(Debug)]
pub(crate) struct Arrival {
    facts: Facts,
    record: ReceivedRecord,
    cpim: CpimMessage,
    content: Content,
    /// How it is acknowledged once it is kept, and so each of its copies that came meanwhile.
    answers: Vec<Answer>,
    /// Key of copies; `None` without IMDN Message-ID.
    key: Option<String>,
    /// The UID in the user's message store, where it came after the message.
    late_uid: Option<String>,
    /// Until then the store's answer counts.
    deadline: Instant,
}

#[derive(Debug)]
enum Content {
    Message,
    /// Disposition notifications; none when no disposition is named that is known (TS 5.4-rcv-4).
    Notifications(Vec<Imdn>),
}

/// What was read of an arrival.
struct Read {
    cpim: CpimMessage,
    message_id: Option<String>,
    content: Content,
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
    /// It insists on a presentation that is not known here.
    Unsupported,
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
        let unsupported = || {
            let response = refusal(request, StatusCode::UNSUPPORTED_MEDIA_TYPE, None)
                .with_header(HeaderName::Accept, HeaderText::sanitized(ACCEPTED));
            Box::new(response.with_header(HeaderName::AcceptEncoding, HeaderText::sanitized("identity")))
        };
        let Some(cpim) = cpim_body(request).map_err(|error| bad(&error))? else { return Err(unsupported()) };
        let origin = Origin::read(request, trust, now.wall).map_err(|error| bad(&error))?;
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
        match self.keep(now, ports, origin, cpim, answer) {
            Ok(()) => Ok(()),
            Err(Unacceptable::Malformed(why)) => Err(bad(&why)),
            Err(Unacceptable::Unsupported) => Err(unsupported()),
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
        let Read { cpim, message_id, content } = self.understand(octets.clone())?;
        // Threat G4: a copy is what has the same asserted sender, conversation and Message-ID (TS 7.2.1.1, Table 2).
        let key = message_id.as_ref().map(|id| seen_key(&origin, id));
        if key.as_ref().is_some_and(|key| self.seen.contains(key)) {
            // Of what is kept and was shown: acknowledged again, nothing else.
            self.metrics.count("client.duplicate");
            self.acknowledge(now, ports, &answer);
            return Ok(());
        }
        let waiting: usize = self.storing.values().map(|arrival| arrival.answers.len()).sum();
        if waiting >= self.config.limits.max_storing {
            return Err(Unacceptable::NoResources);
        }
        if let Some(arrival) = self.storing.values_mut().find(|it| key.is_some() && it.key == key) {
            // Of what is being kept: it is one with that, so that nothing stands twice in the store.
            arrival.answers.push(answer);
            self.metrics.count("client.duplicate");
            return Ok(());
        }
        let news = match &content {
            Content::Notifications(documents) => self.news(&origin, documents),
            Content::Message => Vec::new(),
        };
        if let (Content::Notifications(documents), true) = (&content, news.is_empty()) {
            // Nothing changes by it: it is acknowledged, and nobody's store is filled by it.
            self.report_nothing(now, ports, &origin, documents);
            self.acknowledge(now, ports, &answer);
            return Ok(());
        }
        let facts = self.facts(now, origin, &cpim, news, matches!(answer, Answer::Large(_)));
        let record = record(&facts, message_id, octets);
        let query = ports.host.query(Query::Store(Record::Received(record.clone())));
        self.keep_numbers(now, ports);
        let deadline = now.mono.plus(STORE_PATIENCE);
        let answers = vec![answer];
        let arrival = Arrival { facts, record, cpim, content, answers, key, late_uid: None, deadline };
        self.storing.insert(query, arrival);
        Ok(())
    }

    /// Reads a CPIM message as far as it has to be understood.
    fn understand(&mut self, octets: Bytes) -> Result<Read, Unacceptable> {
        let malformed = |error: &dyn core::fmt::Display| Unacceptable::Malformed(error.to_string());
        let limits = cpm_cpim::Limits::default();
        let (cpim, tolerated) = CpimMessage::parse(octets, &limits, &leniency(&self.config))
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
        cpim.content().decoded().map_err(|error| malformed(&error))?;
        if insists_on_unknown(cpim.content()) {
            return Err(Unacceptable::Unsupported);
        }
        let content = if cpim.is_imdn() {
            Content::Notifications(self.read_imdn(cpim.content()).map_err(|error| malformed(&error))?)
        } else {
            Content::Message
        };
        Ok(Read { cpim, message_id, content })
    }

    /// Notifications that say nothing new.
    fn report_nothing(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        origin: &Origin,
        documents: &[Imdn],
    ) {
        if documents.is_empty() {
            self.metrics.count("client.report_ignored");
        }
        self.notified(now, ports, origin, documents);
    }

    /// What is to be known of a message that arrives now.
    fn facts(&mut self, now: Now, origin: Origin, cpim: &CpimMessage, news: Vec<u32>, large: bool) -> Facts {
        let (tell, ask, delivery) = self.decide_receipts(&origin, cpim);
        Facts {
            id: self.number_received(),
            token: self.random.public_token(26),
            arrived: now.wall,
            large,
            tell,
            ask,
            delivery,
            news,
            origin,
        }
    }

    /// The notifications in a message. One of several that cannot be read does not hide the others.
    // req: 5.4-rcv-4, 5.4.5-p2
    fn read_imdn(&mut self, content: &Part) -> Result<Vec<Imdn>, ImdnFault> {
        let (mime, xml) = (cpm_mime::Limits::default(), cpm_xml::Limits::default());
        let documents = disposition::notifications(content, &mime, &xml).map_err(ImdnFault::Mime)?;
        let alone = documents.len() == 1;
        let mut read = Vec::new();
        for document in documents {
            match document {
                Ok(document) => read.push(document),
                // A well-formed document without any of the notifications is no fault: it is taken and says nothing.
                Err(ImdnFault::Xml(XmlError::Missing("delivery-notification"))) => {}
                Err(fault) if alone => return Err(fault),
                Err(_) => self.metrics.count("client.report_unreadable"),
            }
        }
        Ok(read)
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
            return arrival.answers.iter().for_each(|answer| self.not_taken(now, ports, answer));
        }
        arrival.answers.iter().for_each(|answer| self.acknowledge(now, ports, answer));
        if let Some(key) = &arrival.key {
            self.seen.remember(key.clone());
        }
        match &arrival.content {
            Content::Notifications(documents) => self.notified(now, ports, &arrival.facts.origin, documents),
            Content::Message => self.show(now, ports, &arrival),
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
    fn show(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, arrival: &Arrival) {
        let Arrival { facts, record, cpim, .. } = arrival;
        let since = Since { message_uid: arrival.late_uid.clone(), ..Since::default() };
        let message = received::message(record, facts, &since, cpim, &self.config);
        self.take_up(facts, cpim, since, message.renderable);
        if let Some(uid) = &arrival.late_uid {
            self.name_message(now, ports, facts.id, uid);
        }
        self.send_reports(now, ports);
        arrival.answers.iter().for_each(|answer| self.remember_shown(answer, facts.id));
        ports.host.event(ClientEvent::Received(Box::new(message)));
        if let (true, Some(from)) = (facts.ask, facts.origin.shown()) {
            ports.host.event(ClientEvent::ConsentWanted { id: facts.id, from: from.clone() });
        }
    }

    /// The UID in the user's message store came while the message of this chunk waits for our own store.
    pub(crate) fn name_stored(&mut self, chunk: cpm_msrp::ChunkId, uid: &str) {
        let ours = |answer: &Answer| matches!(answer, Answer::Large(last) if *last == chunk);
        if let Some(arrival) = self.storing.values_mut().find(|arrival| arrival.answers.iter().any(ours)) {
            arrival.late_uid = Some(uid.to_owned());
        }
    }

    // req: 7.2.2.1-1, 7.2.2.1-3, 7.2.2.1-5
    fn acknowledge(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, answer: &Answer) {
        match answer {
            Answer::Pager(id, request) => {
                let mut response = Response::for_request(request, StatusCode::OK);
                copy_ids(request, &mut response);
                if !self.registration.associated().is_empty() {
                    let identity = format!("<{}>", self.identity().as_str());
                    response
                        .headers_mut()
                        .push(HeaderName::PPreferredIdentity, HeaderText::sanitized(&identity));
                }
                self.answer(now, ports, *id, response);
            }
            Answer::Large(chunk) => self.large_kept(now, ports, *chunk, true),
        }
    }

    fn not_taken(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, answer: &Answer) {
        match answer {
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

/// How CPIM messages are read.
pub(crate) fn leniency(config: &ClientConfig) -> cpm_cpim::Leniency {
    if config.settings.tolerant_cpim { cpm_cpim::Leniency::field() } else { cpm_cpim::Leniency::default() }
}

/// The CPIM message in a request: its body, or the first such part of it (a list of the other recipients may stand beside it,
/// RFC 5365). `None` when there is none, or it is encoded.
fn cpim_body(request: &Request) -> Result<Option<Bytes>, String> {
    let encoded = request
        .headers()
        .get_all(&HeaderName::ContentEncoding)
        .any(|value| value.to_text().is_none_or(|coding| !coding.trim().eq_ignore_ascii_case("identity")));
    let Some(content_type) = request.headers().get(&HeaderName::ContentType).filter(|_| !encoded) else {
        return Ok(None);
    };
    let text = content_type.to_text().ok_or("Content-Type is not UTF-8")?;
    let content_type = cpm_mime::ContentType::parse(&text).map_err(|error| error.to_string())?;
    if content_type.is("message/cpim") {
        return Ok(Some(request.body().clone()));
    }
    if !content_type.is_multipart() {
        return Ok(None);
    }
    let body = Part::new(&content_type, request.body().clone());
    let leaves = body.leaves(&cpm_mime::Limits::default()).map_err(|error| error.to_string())?;
    let cpim = leaves.iter().find(|leaf| leaf.content_type().is_ok_and(|it| it.is("message/cpim")));
    cpim.map(|leaf| leaf.decoded().map_err(|error| error.to_string())).transpose()
}

/// What has to be kept of a message.
// req: 7.2.2.3-5
fn record(facts: &Facts, message_id: Option<String>, cpim: Bytes) -> ReceivedRecord {
    let origin = &facts.origin;
    ReceivedRecord {
        conversation: origin.conversation.clone(),
        contribution: origin.contribution.clone(),
        in_reply_to: origin.in_reply_to.clone(),
        sender: origin.sender_text(),
        message_id,
        message_uid: origin.message_uid.clone(),
        cpim,
        state: Bytes::from(facts.write()),
    }
}

/// What copies have in common.
pub(crate) fn seen_key(origin: &Origin, message_id: &str) -> String {
    let sender = origin.originator.as_ref().map(cpm_sip::Uri::address_key).unwrap_or_default();
    SeenLog::key(&sender, origin.conversation.as_ref().map_or("", |id| id.as_str()), message_id)
}

/// Whether content wants to be handled in a way that is not known here, or not at all (RFC 3261 §20.11).
// req: 7.2.2.3-1
fn insists_on_unknown(content: &Part) -> bool {
    let Ok(Some(disposition)) = content.content_disposition() else { return false };
    let known = ["render", "inline", "attachment", "notification"];
    disposition.param("handling").is_some_and(|handling| handling.eq_ignore_ascii_case("required"))
        && !known.iter().any(|known| disposition.is(known))
}

/// The three identifiers go back as they came (TS 7.2.2.1-4, 7.2.2.2-2.d).
// req: 7.2.2.1-4, 7.2.2.2-2.d
pub(crate) fn copy_ids(request: &Request, response: &mut Response) {
    for name in [HeaderName::ConversationId, HeaderName::ContributionId, HeaderName::InReplyToContributionId]
    {
        response.headers_mut().copy_from(request.headers(), &name);
    }
}
