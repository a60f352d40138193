//! [`ParticipatingFunction`]: the way of every input to the procedure that handles it.

use crate::Connectivity;
use crate::config::ParticipatingConfig;
use crate::dispositions::Dispositions;
use crate::facts::{Facts, Unreadable};
use crate::reg_event::RegEvents;
use crate::registrations::Registrations;
use crate::relay::Relayed;
use crate::users::HeldRegister;
use crate::work::{Asker, Happening, Stage, Work, WorkId, Works};
use cpm_base::{FlowId, Instant, Metrics, Now, Random, Seed, Trust};
use cpm_core::release::Release;
use cpm_core::warning::refusal;
use cpm_core::{
    Function, Input, Node, NodeConfig, NodeConfigError, Ports, Query, QueryId, Record, Reply, StateRecord,
    StateWriter, Written,
};
use cpm_sip::{Allow, Method, Request, Response, RetryAfter, StatusCode, ToRef, Uri};
use cpm_ua::{Branch, Event, Fault, ProxyId, ProxyOptions, Refusal, RequestId};
use std::collections::BTreeMap;

/// When somebody who was turned away for want of room may come again, in seconds.
const BUSY_SECONDS: u32 = 5;

/// In which role a request was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServedRole {
    /// For the user who sends (TS 8.2).
    Originating,
    /// For the user who receives (TS 8.3).
    Terminating,
}

/// What a Participating Function tells its host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParticipatingEvent {
    /// The core said which devices a user has.
    Registration {
        /// The user.
        user: Uri,
        /// How many devices there are now.
        devices: usize,
    },
    /// A request was passed on, or answered here, and has its final response.
    Handled {
        /// In which role.
        role: ServedRole,
        /// MESSAGE or INVITE.
        method: Method,
        /// The final response.
        status: StatusCode,
    },
    /// A request was passed on and nothing final came in time, or nothing that its sender could be told any more: the
    /// sender of a MESSAGE heard nothing (RFC 4320 §4.2), that of an INVITE 500.
    Unanswered {
        /// In which role.
        role: ServedRole,
        /// MESSAGE or INVITE.
        method: Method,
    },
}

/// A CPM Participating Function (TS section 8): plain logic that a [`Node`] drives.
#[derive(Debug)]
pub struct ParticipatingFunction {
    pub(crate) config: ParticipatingConfig,
    pub(crate) registrations: Registrations,
    /// What is known of devices beside their registrations.
    pub(crate) connectivity: Connectivity,
    pub(crate) reg_events: RegEvents,
    /// Third-party REGISTERs whose user is being stored.
    pub(crate) held_registers: Vec<HeldRegister>,
    /// What outlives the node, on its way to the store.
    pub(crate) state: StateWriter,
    /// What another node kept, until the time is known.
    restored: Vec<StateRecord>,
    pub(crate) dispositions: Dispositions,
    /// MESSAGEs under way.
    pub(crate) works: Works,
    /// INVITEs that were passed on and have no final response yet; each leaves with its
    /// [`ProxyEnded`](Event::ProxyEnded) at the latest.
    pub(crate) relayed: BTreeMap<ProxyId, Relayed>,
    /// For names of what it makes itself.
    pub(crate) random: Random,
    pub(crate) metrics: Metrics,
}

impl ParticipatingFunction {
    /// A function that knows nobody yet; the seed is for names of what it makes itself, and no other machine has it.
    #[must_use]
    pub fn new(config: ParticipatingConfig, seed: Seed) -> Self {
        ParticipatingFunction {
            state: StateWriter::new(config.policy.query_time),
            config,
            registrations: Registrations::default(),
            connectivity: Connectivity::default(),
            reg_events: RegEvents::default(),
            held_registers: Vec::new(),
            restored: Vec::new(),
            dispositions: Dispositions::default(),
            works: Works::default(),
            relayed: BTreeMap::new(),
            random: Random::new(seed),
            metrics: Metrics::default(),
        }
    }

    /// The function in a node of its own.
    ///
    /// # Errors
    /// The policy cannot be used; `max_devices` is zero: the endpoint takes as many branches of a request.
    // req: D.3-p1
    pub fn node(
        config: ParticipatingConfig,
        seed: Seed,
    ) -> Result<Node<ParticipatingFunction>, NodeConfigError> {
        ParticipatingFunction::restored(config, seed, Vec::new())
    }

    /// The function in a node that goes on where another one stopped: `records` are those that stand
    /// ([`cpm_core::standing`]). One that cannot be read is counted (`pf.record_unreadable`) and left out.
    ///
    /// The seed has to be one that no earlier node had, fresh from the system's randomness: branches, tags and Call-IDs are
    /// made from it, and those of an earlier node would be taken for copies.
    ///
    /// # Errors
    /// As [`node`](ParticipatingFunction::node).
    pub fn restored(
        config: ParticipatingConfig,
        seed: Seed,
        records: Vec<Record>,
    ) -> Result<Node<ParticipatingFunction>, NodeConfigError> {
        let states = records.into_iter().filter_map(|record| match record {
            Record::State(state) => Some(state),
            _ => None,
        });
        let restored = states.collect();
        config.policy.validate().map_err(|error| NodeConfigError::Function(error.to_string()))?;
        let product = Release::SERVER_2_1.with_product(&config.product);
        // The endpoints take the first two.
        let mut seeds = Random::new(seed.clone());
        let [_, _, own] = core::array::from_fn(|_| seeds.fork());
        let mut node = NodeConfig::proxy(seed, &product);
        node.sip.own_names = vec![(config.address.host().clone(), config.address.port())];
        // What is neither a SIP nor a tel URI goes to the interworking function (TS 8.2.1.1-8.A.i).
        node.sip.uri_schemes = Vec::new();
        node.sip.limits.max_branches = config.limits.max_devices;
        node.sip.outbound.clone_from(&config.outbound);
        // A subscription for each user, though most of them rest.
        node.sip.limits.max_subscriptions = config.limits.max_users.max(1);
        node.sip.limits.max_dialogs = node.sip.limits.max_dialogs.max(config.limits.max_users);
        let mut function = ParticipatingFunction::new(config, own);
        function.restored = restored;
        Node::new(function, node)
    }

    /// How many users have a device.
    #[must_use]
    pub fn users(&self) -> usize {
        self.registrations.with_devices()
    }

    /// How many users are known, those whose devices the registrar has not told yet among them.
    #[must_use]
    pub fn known_users(&self) -> usize {
        self.registrations.len()
    }

    /// Says of a device, by its `+sip.instance` without angle brackets, or by its contact where it has none, whether it can
    /// be reached (TS 8.3.1.1-8.b). What nobody says anything of is reached as it registered.
    pub fn set_reachable(&mut self, device: &str, reachable: bool) {
        self.connectivity.set(device, reachable);
    }

    /// The devices of a user (TS 8.1.4), by any of the user's identities.
    #[must_use]
    pub fn devices_of(&self, now: Now, user: &Uri) -> Vec<crate::Device> {
        self.registrations.all_devices(now.mono, user)
    }

    /// How many requests are under way.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.relayed.len().saturating_add(self.works.len()).saturating_add(self.dispositions.waiting())
    }

    /// Counters of the function itself.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A request that no dialog of ours owns.
    fn request(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        flow: FlowId,
        request: Request,
    ) {
        // Only the core speaks to a Participating Function: everything it acts on is asserted.
        let trusted = ports.sip.flow_info(flow).is_some_and(|info| info.trust == Trust::Core);
        if !trusted {
            return self.refuse(now, ports, id, &request, StatusCode::FORBIDDEN, None);
        }
        let to = request.headers().view::<ToRef<'_>>().ok().flatten();
        let in_dialog = to.is_some_and(|to| to.tag().is_some());
        match request.method() {
            Method::Notify if in_dialog && self.notify_for_a_sleeper(now, ports, id, &request) => {}
            _ if in_dialog => self.onward(now, ports, id, &request),
            Method::Register => self.third_party(now, ports, id, request),
            Method::Message | Method::Invite => self.initial(now, ports, id, request),
            _ => self.method_not_allowed(now, ports, id, &request),
        }
    }

    /// RFC 3261 §21.4.6.
    fn method_not_allowed(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
    ) {
        let mut response = Response::for_request(request, StatusCode::METHOD_NOT_ALLOWED);
        let methods =
            [Method::Register, Method::Message, Method::Invite, Method::Ack, Method::Cancel, Method::Bye];
        response.headers_mut().set_typed_list(&methods.map(Allow));
        self.metrics.count("pf.refused");
        self.answer(now, ports, id, response);
    }

    /// An initial MESSAGE or INVITE: the core says for whom, in which role (RFC 5502 §4.3), and who sent it.
    // req: 6.1-p4.1, 6.1-p4.2
    fn initial(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: Request,
    ) {
        let facts = match Facts::read(&request) {
            Ok(facts) => facts,
            Err(Unreadable { role, status, why }) => {
                self.refuse(now, ports, id, &request, status, Some(&why));
                if let Some(role) = role {
                    let method = request.method().clone();
                    ports.host.event(ParticipatingEvent::Handled { role, method, status });
                }
                return;
            }
        };
        if *request.method() == Method::Invite {
            return self.relay(now, ports, id, &request, &facts);
        }
        if self.works.len() >= self.config.limits.max_work {
            self.metrics.count("pf.too_much_work");
            self.answer(now, ports, id, busy(&request));
            let (role, status) = (facts.role, StatusCode::SERVICE_UNAVAILABLE);
            return ports.host.event(ParticipatingEvent::Handled { role, method: Method::Message, status });
        }
        match facts.role {
            ServedRole::Originating => self.originating(now, ports, id, request, facts),
            ServedRole::Terminating => self.terminating(now, ports, id, request, facts),
        }
    }

    /// Something happened to a MESSAGE under way.
    pub(crate) fn goes_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: WorkId,
        happening: Happening,
    ) {
        let Some(work) = self.works.take(id) else { return };
        match work.stage {
            Stage::Originating(_) => self.originating_goes_on(now, ports, work, happening),
            Stage::Terminating(_) => self.terminating_goes_on(now, ports, work, happening),
        }
    }

    /// The host replied to a question, or did not in time.
    fn replied(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: QueryId,
        asker: Asker,
        reply: Reply,
    ) {
        match asker {
            Asker::Work(work) => self.goes_on(now, ports, work, Happening::Reply(id, reply)),
            Asker::Nobody => {}
        }
    }

    /// Asks the host, for at most [`crate::Policy::query_time`].
    pub(crate) fn ask(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        asker: Asker,
        query: Query,
    ) -> QueryId {
        let until = now.mono.plus(self.config.policy.query_time);
        let failure = crate::work::failure_of(&query);
        let id = ports.host.query(query);
        self.works.asked(id, asker, failure, until);
        id
    }

    /// Within a dialog that runs through here: on to the next Route.
    fn onward(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
    ) {
        if let Err(refused) = ports.sip.route_onward(now, id) {
            self.refuse(now, ports, id, request, status_of(&refused.why), None);
        }
    }

    /// Passes a MESSAGE on; its final response comes as [`Happening::Answered`]. What is not edited stays as it came, octet
    /// for octet, the conversation headers (TS 5.3) among it. When it cannot be passed on, the response that says so.
    // req: 5.3-p3
    pub(crate) fn pass_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: WorkId,
        branches: Vec<Branch>,
    ) -> Result<ProxyId, StatusCode> {
        let options = ProxyOptions { hold_final: true, ..ProxyOptions::default() };
        match ports.sip.proxy(now, id, branches, options) {
            Ok(proxy) => {
                self.works.passed_on(proxy, id);
                Ok(proxy)
            }
            Err(refused) => Err(status_of(&refused.why)),
        }
    }

    /// A held final response. Of a MESSAGE it is the procedure's, of an INVITE it goes upstream as it is.
    fn far_side_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        proxy: ProxyId,
        response: Response,
    ) {
        match self.works.of_proxy(proxy) {
            Some(work) => self.goes_on(now, ports, work, Happening::Answered(proxy, response)),
            None => self.relay_answered(now, ports, proxy, response),
        }
    }

    /// What was passed on is over; when no answer was let go before, its sender had none.
    fn ended(&mut self, now: Now, ports: &mut Ports<'_, ParticipatingEvent>, proxy: ProxyId) {
        match self.works.proxy_over(proxy) {
            Some(work) => self.goes_on(now, ports, work, Happening::TooLate),
            None => self.relay_ended(ports, proxy),
        }
    }

    /// Lets the held response to a MESSAGE that was passed on go, or another in its place, and tells the host.
    pub(crate) fn release(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        proxy: ProxyId,
        response: Response,
    ) {
        let status = response.status();
        // Before it is let go: what is over then is over for the sender, and is told here.
        self.works.proxy_over(proxy);
        let released = ports.sip.release(now, proxy, response).is_ok();
        if !released {
            self.metrics.count("pf.response_too_late");
        }
        let silent = !released || status == StatusCode::REQUEST_TIMEOUT;
        self.tell_handled(ports, work, (!silent).then_some(status));
    }

    /// Answers a MESSAGE that was not passed on, and tells the host.
    pub(crate) fn answer_work(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        response: Response,
    ) {
        let status = response.status();
        if !status.is_success() {
            self.metrics.count("pf.refused");
        }
        let sent = self.answer(now, ports, work.id, response);
        self.tell_handled(ports, work, sent.then_some(status));
    }

    /// Refuses a MESSAGE that was not passed on; the reason goes into a Warning (TS 6.4.1).
    // req: 6.4.1-p2
    pub(crate) fn refuse_work(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        status: StatusCode,
        why: Option<&str>,
    ) {
        let response = refusal(&work.request, status, why);
        self.answer_work(now, ports, work, response);
    }

    /// Tells the host what the sender of a MESSAGE heard; `None`: nothing.
    pub(crate) fn tell_handled(
        &mut self,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        status: Option<StatusCode>,
    ) {
        self.dispositions.is_over(work, status);
        let (role, method) = (work.facts.role, Method::Message);
        ports.host.event(match status {
            Some(status) => ParticipatingEvent::Handled { role, method, status },
            None => ParticipatingEvent::Unanswered { role, method },
        });
    }

    /// Refuses a request; the reason goes into a Warning (TS 6.4.1).
    // req: 6.4.1-p2
    pub(crate) fn refuse(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: &Request,
        status: StatusCode,
        why: Option<&str>,
    ) {
        self.metrics.count("pf.refused");
        self.answer(now, ports, id, refusal(request, status, why));
    }

    /// Answers a request; whether it was still waited for.
    pub(crate) fn answer(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        response: Response,
    ) -> bool {
        let sent = ports.sip.respond(now, id, response).is_ok();
        if !sent {
            self.metrics.count("pf.response_too_late");
        }
        sent
    }
}

/// What a request gets for which there is no room.
pub(crate) fn busy(request: &Request) -> Response {
    let mut response = refusal(request, StatusCode::SERVICE_UNAVAILABLE, None);
    response.headers_mut().push_typed(&RetryAfter { seconds: BUSY_SECONDS, duration: None });
    response
}

/// What a request that cannot be passed on deserves.
pub(crate) fn status_of(why: &Refusal) -> StatusCode {
    match why {
        Refusal::Loop => StatusCode::LOOP_DETECTED,
        Refusal::TooManyHops => StatusCode::TOO_MANY_HOPS,
        Refusal::Header(_) | Refusal::Missing(_) => StatusCode::BAD_REQUEST,
        Refusal::Cancelled => StatusCode::REQUEST_TERMINATED,
        Refusal::NoRoute => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Function for ParticipatingFunction {
    type Event = ParticipatingEvent;

    fn handle(&mut self, now: Now, input: Input, ports: &mut Ports<'_, ParticipatingEvent>) {
        self.take_up(now, ports);
        match input {
            Input::Sip(event) => self.sip_event(now, event, ports),
            Input::Reply(id, Reply::Stored(result)) => {
                match self.state.replied(now, ports.host, id, result) {
                    Some(written) => self.written(now, ports, &written),
                    None => self.question_answered(now, ports, id, Reply::Stored(result)),
                }
            }
            Input::Reply(id, reply) => self.question_answered(now, ports, id, reply),
            Input::Msrp(_) => {}
        }
        self.end_dispositions(now, ports);
    }

    fn handle_timeout(&mut self, now: Now, ports: &mut Ports<'_, ParticipatingEvent>) {
        self.take_up(now, ports);
        self.users_due(now, ports);
        while let Some(written) = self.state.given_up(now, ports.host) {
            self.written(now, ports, &written);
        }
        while let Some((id, asker, failure)) = self.works.unanswered(now.mono) {
            self.metrics.count("pf.query_unanswered");
            self.replied(now, ports, id, asker, failure);
        }
        while let Some(id) = self.works.rang(now.mono) {
            self.goes_on(now, ports, id, Happening::Timer);
        }
        self.send_owed(now, ports);
        self.end_dispositions(now, ports);
    }

    fn next_timeout(&self) -> Option<Instant> {
        if !self.restored.is_empty() {
            return Some(Instant::ZERO);
        }
        [
            self.next_user_alarm(),
            self.state.next_timeout(),
            self.works.next_timeout(),
            self.dispositions.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn metrics(&self) -> Option<&Metrics> {
        Some(&self.metrics)
    }
}

impl ParticipatingFunction {
    /// Takes up what another node kept.
    fn take_up(&mut self, now: Now, ports: &mut Ports<'_, ParticipatingEvent>) {
        for record in std::mem::take(&mut self.restored) {
            if record.key.starts_with(crate::registrations::PREFIX) {
                self.take_up_user(now, ports, &record);
            } else if !self.take_up_disposition(now, ports, &record) {
                self.metrics.count("pf.record_unreadable");
            }
        }
    }

    /// A write of state came to its end.
    fn written(&mut self, now: Now, ports: &mut Ports<'_, ParticipatingEvent>, written: &Written) {
        if written.key.starts_with(crate::registrations::PREFIX) && !written.goes_on {
            self.user_stored(now, ports, &written.key, written.result);
        } else if Self::is_disposition_record(&written.key) && !written.goes_on {
            self.disposition_written(now, ports, &written.key, written.result.is_ok());
        }
    }

    fn question_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: QueryId,
        reply: Reply,
    ) {
        match self.works.replied(id, reply) {
            Some((asker, reply)) => self.replied(now, ports, id, asker, reply),
            None => self.metrics.count("pf.unknown_reply"),
        }
    }

    fn sip_event(&mut self, now: Now, event: Event, ports: &mut Ports<'_, ParticipatingEvent>) {
        match event {
            Event::Request { id, flow, request, .. } => self.request(now, ports, id, flow, request),
            Event::Subscriber { subscribe, event } => self.subscriber_event(now, ports, subscribe, event),
            Event::ProxyFinal { proxy, response, .. } => self.far_side_answered(now, ports, proxy, response),
            Event::ProxyEnded { proxy, .. } => self.ended(now, ports, proxy),
            Event::ProxyLate { proxy, response, .. } => {
                if let Some(work) = self.works.watcher(proxy) {
                    self.goes_on(now, ports, work, Happening::Late(proxy, response));
                }
            }
            Event::Response { transaction, response } => {
                let status = Some(response.status());
                if self.owed_answered(now, ports, transaction, status) {
                    return;
                }
                if let Some(work) = self.works.transaction_over(transaction) {
                    self.goes_on(now, ports, work, Happening::Response(Ok(response)));
                }
            }
            Event::TransactionFailed { transaction, why } => {
                if self.owed_answered(now, ports, transaction, None) {
                    return;
                }
                if let Some(work) = self.works.transaction_over(transaction) {
                    self.goes_on(now, ports, work, Happening::Response(Err(why)));
                }
            }
            Event::Fault(Fault::Unanswered { request }) => {
                self.goes_on(now, ports, request, Happening::TooLate);
            }
            _ => {}
        }
    }
}
