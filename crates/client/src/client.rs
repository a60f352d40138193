//! [`Client`]: the state of a CPM Client and the way of every input to the procedure that handles it.

use crate::inbound::Arrival;
use crate::inbound::STORE_PATIENCE;
use crate::large_receive::LargeIn;
use crate::large_send::LargeOut;
use crate::origin::Origin;
use crate::outcome::Outcome;
use crate::outgoing::{Outgoing, SENT_KEY};
use crate::rate::ReportRate;
use crate::receipts::Known;
use crate::received_state::KEY_PREFIX;
use crate::registration::Registration;
use crate::reports::PendingReport;
use crate::restore::Numbers;
use crate::rewrite::Rewrite;
use crate::seen::{Recent, SeenLog};
use crate::{ClientConfig, ClientEvent, ConfigError, ReceivedId, SentId, SentMessage};
use cpm_base::{Instant, Metrics, Now, Random, Seed, Trust};
use cpm_core::disposition::{Owed, OwedId, OwedLimits, Sent, SentLimits, Settings as OwedSettings};
use cpm_core::release::Release;
use cpm_core::warning::refusal;
use cpm_core::{Function, Input, Node, NodeConfig, Ports, QueryId, Reply, StateWriter, Written};
use cpm_sip::{HeaderName, HeaderText, Method, Request, Response, StatusCode, Uri};
use cpm_ua::{RequestId, TransactionFailure, TransactionId};
use std::collections::{BTreeMap, VecDeque};

/// A CPM Client (TS section 7): plain logic that a [`Node`] drives.
///
/// Its commands ([`Client::register`], [`Client::send_message`], [`Client::mark_read`] ...) are called through
/// [`Node::command`]; what happens comes out as [`ClientEvent`].
#[derive(Debug)]
pub struct Client {
    pub(crate) config: ClientConfig,
    pub(crate) random: Random,
    pub(crate) registration: Registration,
    pub(crate) transactions: BTreeMap<TransactionId, Purpose>,
    pub(crate) storing: BTreeMap<QueryId, Arrival>,
    /// What became of our messages (TS 5.4.3, 5.4.4, 5.4.7).
    pub(crate) sent: Sent,
    pub(crate) seen: SeenLog,
    /// What we owe the senders of others' (TS 5.4.1, 5.4.2), and what is needed to write it.
    pub(crate) owed: Owed,
    pub(crate) owed_for: Recent<OwedId, ReceivedId>,
    pub(crate) received: Recent<ReceivedId, Known>,
    /// Messages that the user has read, while his message store is asked whether he had before.
    pub(crate) asking_seen: BTreeMap<QueryId, (ReceivedId, Instant)>,
    pub(crate) report_rate: ReportRate,
    /// Notifications wait because their peers were sent as many as may be in a minute.
    pub(crate) rate_held: bool,
    /// Notifications of an earlier life wait for the registration.
    pub(crate) reports_held: bool,
    /// Notifications of an earlier life are to go out at once.
    pub(crate) reports_due: bool,
    pub(crate) waiting_reports: VecDeque<(Instant, PendingReport)>,
    pub(crate) sending: Vec<LargeOut>,
    pub(crate) receiving: Vec<LargeIn>,
    pub(crate) numbers: Numbers,
    /// Messages that the network has not answered for.
    pub(crate) outbox: BTreeMap<SentId, Outgoing>,
    /// Messages of which more may be told.
    pub(crate) letters: BTreeMap<SentId, SentMessage>,
    /// What waits from an earlier life goes out at the next opportunity.
    pub(crate) launch_due: bool,
    /// What became of messages, where the user has not heard it.
    pub(crate) outcomes: BTreeMap<SentId, Outcome>,
    /// Names of records that the store did not keep.
    pub(crate) rewrites: BTreeMap<String, Rewrite>,
    /// What outlives this client.
    pub(crate) state: StateWriter,
    pub(crate) metrics: Metrics,
}

/// What a client transaction of ours is about.
#[derive(Debug)]
pub(crate) enum Purpose {
    Pager(SentId),
    Report(Box<PendingReport>),
    /// BYE of a large message that we send, or end.
    Bye,
}

impl Client {
    /// A client at rest.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: ClientConfig, seed: Seed) -> Result<Self, ConfigError> {
        config.validate()?;
        let limits = config.limits;
        let owed = OwedLimits { max_messages: limits.max_received, ..OwedLimits::default() };
        let allowed = OwedSettings {
            delivery: config.settings.delivery_reports,
            display: config.settings.display_reports,
        };
        Ok(Client {
            config,
            random: Random::new(seed),
            registration: Registration::default(),
            transactions: BTreeMap::new(),
            storing: BTreeMap::new(),
            sent: Sent::new(SentLimits { max_messages: limits.max_sent, ..SentLimits::default() }),
            seen: SeenLog::new(limits.max_received),
            owed: Owed::new(owed, allowed),
            owed_for: Recent::new(limits.max_received),
            received: Recent::new(limits.max_received),
            asking_seen: BTreeMap::new(),
            report_rate: ReportRate::new(limits.max_reports_per_minute),
            rate_held: false,
            reports_held: false,
            reports_due: false,
            waiting_reports: VecDeque::new(),
            sending: Vec::new(),
            receiving: Vec::new(),
            numbers: Numbers::default(),
            outbox: BTreeMap::new(),
            letters: BTreeMap::new(),
            launch_due: false,
            outcomes: BTreeMap::new(),
            rewrites: BTreeMap::new(),
            state: StateWriter::new(STORE_PATIENCE),
            metrics: Metrics::default(),
        })
    }

    /// A client in a node of its own, with endpoints that fit it.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn node(config: ClientConfig, seed: Seed) -> Result<Node<Client>, ConfigError> {
        Client::restored(config, seed, Vec::new())
    }

    // req: D-p2, 7-p5, 7.1-5, 7.2.1.1-5, 7.2.1.2-6, 7.2.2.1-2, 7.2.2.2-2.a
    pub(crate) fn with_node_config(
        config: ClientConfig,
        seed: Seed,
    ) -> Result<(Client, NodeConfig), ConfigError> {
        let mut random = Random::new(seed);
        let product = Release::CLIENT_2_1.with_product(&config.product);
        let mut node = NodeConfig::user_agent(random.fork(), &product);
        node.sip.anonymous_product = Some(HeaderText::sanitized(&Release::CLIENT_2_1.to_string()));
        node.sip.refresh = config.refresh;
        node.sip.outbound = config.outbound.clone();
        // req: 7.2.1.2-12
        node.sip.supported = vec!["timer".to_owned()];
        Ok((Client::new(config, random.fork())?, node))
    }

    /// The configuration it was made with.
    pub const fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Whom the user knows from now on ([`ClientConfig::contacts`]). What was asked about messages that arrived before stays
    /// asked.
    pub fn set_contacts<'u>(&mut self, contacts: impl IntoIterator<Item = &'u Uri>) {
        self.config.contacts = contacts.into_iter().map(Uri::address_key).collect();
    }

    /// Counters of the client itself.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether nothing is under way: no transaction, no large message, no message that waits for the store, no
    /// notification that is still to go out.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.transactions.is_empty()
            && self.storing.is_empty()
            && self.outbox.is_empty()
            && self.outcomes.is_empty()
            && self.rewrites.is_empty()
            && self.state.is_idle()
            && self.owed.waiting() == 0
            && self.asking_seen.is_empty()
            && self.sending.is_empty()
            && self.receiving.is_empty()
    }

    fn handle_sip(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, event: cpm_ua::Event) {
        use cpm_ua::Event;
        match event {
            Event::Request { id, flow, request, in_dialog } => match (in_dialog, request.method()) {
                (Some(dialog), Method::Bye) => self.ended_by_peer(now, ports, id, dialog, &request),
                (None, Method::Message) => self.handle_message(now, ports, id, flow, request),
                (None, Method::Invite) => self.handle_invite(now, ports, id, flow, &request),
                (_, Method::Options) => self.handle_options(now, ports, id, &request),
                // A session for one message is never changed (TS 5.1-p1).
                (Some(_), Method::Invite) => {
                    self.refuse(now, ports, id, &request, StatusCode::NOT_ACCEPTABLE_HERE)
                }
                (None, Method::Bye) => {
                    let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
                    self.refuse(now, ports, id, &request, gone);
                }
                // Nor does anything else travel in its dialog.
                _ => self.refuse(now, ports, id, &request, StatusCode::FORBIDDEN),
            },
            Event::Response { transaction, response } => self.answered(now, ports, transaction, &response),
            Event::TransactionFailed { transaction, why } => self.lost(now, ports, transaction, why),
            Event::InviteAccepted { invite, dialog, response } => {
                self.invite_accepted(now, ports, invite, dialog, &response);
            }
            Event::InviteFailed { invite, response, why } => {
                self.invite_failed(now, ports, invite, response.as_ref(), why);
            }
            Event::Registration { event, .. } => {
                self.reports_held &= !matches!(event, cpm_ua::RegistrationEvent::Registered(_));
                self.registration_changed(now, ports, event);
                self.send_reports(now, ports);
            }
            Event::Acknowledged { dialog, .. } => self.acknowledged(now, ports, dialog),
            Event::DialogEnded { dialog, why } => self.dialog_ended(now, ports, dialog, why),
            _ => {}
        }
    }

    /// What this client can do, as an answer to OPTIONS (RFC 3261 §11.2).
    fn handle_options(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: RequestId,
        request: &Request,
    ) {
        // req: 6.1.2-p2
        if Origin::read(request, Trust::Outside, now.wall)
            .is_ok_and(|origin| origin.is_for_another_than(&self.config.instance))
        {
            return self.refuse(now, ports, id, request, StatusCode::BUSY_HERE);
        }
        let accept = HeaderText::sanitized("message/cpim, application/sdp");
        let mut response =
            Response::for_request(request, StatusCode::OK).with_header(HeaderName::Accept, accept);
        for method in &ports.sip.config().allow {
            response.headers_mut().push_typed(&cpm_sip::Allow(method.clone()));
        }
        self.answer(now, ports, id, response);
    }

    fn refuse(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        id: RequestId,
        request: &Request,
        status: StatusCode,
    ) {
        self.answer(now, ports, id, refusal(request, status, None));
    }

    fn answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        transaction: TransactionId,
        response: &Response,
    ) {
        match self.transactions.remove(&transaction) {
            Some(Purpose::Pager(id)) => self.pager_answered(now, ports, id, response),
            Some(Purpose::Report(report)) => self.report_answered(now, ports, *report, response),
            Some(Purpose::Bye) => self.bye_answered(now, ports, transaction, Some(response)),
            None => {}
        }
        // Notifications come first: they are few.
        self.send_reports(now, ports);
        self.launch_waiting(now, ports);
    }

    fn lost(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ClientEvent>,
        transaction: TransactionId,
        why: TransactionFailure,
    ) {
        match self.transactions.remove(&transaction) {
            Some(Purpose::Pager(id)) => self.pager_lost(now, ports, id, why),
            Some(Purpose::Report(report)) => self.report_failed(now, ports, *report, true),
            Some(Purpose::Bye) => self.bye_answered(now, ports, transaction, None),
            None => {}
        }
        // Notifications come first: they are few.
        self.send_reports(now, ports);
        self.launch_waiting(now, ports);
    }

    fn handle_reply(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, query: QueryId, reply: Reply) {
        match reply {
            Reply::Stored(result) => match self.state.replied(now, ports.host, query, result) {
                Some(written) => self.written(now, ports, &written),
                None => self.stored(now, ports, query, result),
            },
            Reply::Seen(seen) => self.seen_answered(now, ports, query, seen),
            Reply::Resolved(targets) => self.media_resolved(now, ports, query, &targets),
            _ => self.metrics.count("client.unexpected_reply"),
        }
    }

    /// A piece of state is kept, or not: whoever waits for it goes on.
    fn written(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>, written: &Written) {
        match written.key.strip_prefix(SENT_KEY) {
            Some(message_id) => self.sent_written(now, ports, message_id, written),
            None if written.key.starts_with(KEY_PREFIX) => self.received_written(now, ports, written),
            None => self.numbers_written(now, ports, written),
        }
        self.note_written(now, ports, written);
    }
}

impl Function for Client {
    type Event = ClientEvent;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, ClientEvent>) {
        match input {
            Input::Sip(event) => self.handle_sip(now, ports, event),
            Input::Msrp(event) => self.handle_msrp(now, ports, event),
            Input::Reply(query, reply) => self.handle_reply(now, ports, query, reply),
        }
    }

    fn handle_timeout(&mut self, now: Now, ports: &mut Ports<'_, ClientEvent>) {
        self.reports_timeout(now, ports);
        self.storing_timeout(now, ports);
        self.seen_timeout(now, ports);
        while let Some(written) = self.state.given_up(now, ports.host) {
            self.written(now, ports, &written);
        }
        self.rewrite_timeout(now, ports);
        self.tell_restored(now, ports);
        if core::mem::take(&mut self.launch_due) {
            self.release_held(now, ports);
        }
        self.sending_timeout(now, ports);
        self.receiving_timeout(now, ports);
    }

    fn next_timeout(&self) -> Option<Instant> {
        let timers = [
            self.reports_next_timeout(),
            self.storing_next_timeout(),
            self.seen_next_timeout(),
            self.state.next_timeout(),
            self.rewrite_next_timeout(),
            (self.launch_due || self.outcomes.values().any(|it| it.restored)).then_some(Instant::ZERO),
            self.sending_next_timeout(),
            self.receiving_next_timeout(),
        ];
        timers.into_iter().flatten().min()
    }

    fn metrics(&self) -> Option<&Metrics> {
        Some(&self.metrics)
    }
}
