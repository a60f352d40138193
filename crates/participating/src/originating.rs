//! For the user who sends a pager-mode message, or a disposition notification (TS 8.2.1.1, 8.2.4).
//!
//! ```text
//!  received ─► checked ─► Asking ─────────► PassedOn ────────► Recording ─► 2xx with Message-UID
//!              127 132    preferences,        │ 404 488 606      │ fails: 2xx without
//!              119 E2     stored content      ▼                  ▲
//!              expired    └─ no sip, tel ─► Interworking ────────┘
//! ```
//!
//! A 2xx goes back only when the far side gave one. What fails on the way of recording changes nothing of that.

mod onward;

use crate::external::{ExternalFault, FetchLimits, to_fetch};
use crate::facts::{Content, Facts};
use crate::interworking::{self, IsfAnswer, Marks};
use crate::policy::Recording;
use crate::work::{Happening, Stage as WorkStage, Work};
use crate::{ParticipatingEvent, ParticipatingFunction, body, checks, identity, recording};
use cpm_base::{DateTime, Instant, Now};
use cpm_core::outside::{FetchError, FetchedObject, ObjectUid};
use cpm_core::warning::Reason;
use cpm_core::{Ports, Query, QueryId, Reply};
use cpm_sip::{MessageUid, Request, Response, StatusCode, Uri};
use cpm_ua::{Branch, Destination, ProxyId, RequestId};
use onward::{Onward, Refused};
use std::collections::BTreeMap;

/// How many microseconds before its sender gives up a delivered message is answered, recorded or not.
const LAST_MOMENT: u64 = 500_000;

/// How far a message has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// What has to be known before it goes on was asked for.
    Asking(Asking),
    /// It went to the core.
    PassedOn(Box<Onward>),
    /// It went to the interworking function.
    Interworking {
        onward: Box<Onward>,
        /// The core had refused it, so.
        held: Option<(ProxyId, Box<Response>)>,
    },
    /// It was delivered, with this answer, and is being recorded.
    Recording { answer: Box<Response>, held: Option<ProxyId> },
    /// It was taken, with this answer, which waits for so many writes.
    Remembering { answer: Box<Response>, held: Option<ProxyId>, writes: usize },
    /// A step is being done.
    Moving,
}

/// What was asked for, and what came of it.
#[derive(Debug)]
pub(crate) struct Asking {
    /// The user's preferences, while they are not known.
    preferences: Option<QueryId>,
    record: bool,
    /// What lies behind the references, in their order.
    fetched: Vec<Option<FetchedObject>>,
    fetches: BTreeMap<QueryId, usize>,
    /// When the message is of no use any more.
    until: Option<DateTime>,
}

impl Asking {
    fn is_over(&self) -> bool {
        self.preferences.is_none() && self.fetches.is_empty()
    }
}

impl Stage {
    /// A work at this stage.
    fn of(self) -> WorkStage {
        WorkStage::Originating(self)
    }
}

impl ParticipatingFunction {
    // req: 8.2-b1, 8.2.1.1-1, 8.2.1.1-2, 8.2.1.1-3, 8.2.1.1-4, 8.2.1.1-7.i.2
    pub(crate) fn originating(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: Request,
        facts: Facts,
    ) {
        let work = Box::new(Work { id, request, facts, stage: Stage::Moving.of() });
        let until = checks::expires_at(&work.request, &work.facts, now.wall);
        let wanted = onward::check(&self.config.policy, &work, now.wall, until)
            .and_then(|()| self.stored_content_of(&work.facts));
        match wanted {
            Ok(urls) => {
                if let Some(work) = self.disposition_arrives(now, ports, work) {
                    self.ask_for(now, ports, work, urls, until);
                }
            }
            Err(Refused { status, why }) => self.refuse_work(now, ports, &work, status, Some(&why)),
        }
    }

    /// It tells something new after all.
    pub(crate) fn originating_sets_out(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
    ) {
        let until = checks::expires_at(&work.request, &work.facts, now.wall);
        self.ask_for(now, ports, work, Vec::new(), until);
    }

    fn fetch_limits(&self) -> FetchLimits {
        let limits = &self.config.limits;
        FetchLimits { references: limits.max_references, octets: limits.max_fetched_bytes }
    }

    /// TS 8.2.1.1-5: what the message refers to.
    fn stored_content_of(&self, facts: &Facts) -> Result<Vec<String>, Refused> {
        let Some(cpim) = facts.cpim() else { return Ok(Vec::new()) };
        to_fetch(cpim, &cpm_mime::Limits::DEFAULT, self.fetch_limits()).map_err(|fault| Refused::from(&fault))
    }

    /// Asks for all that has to be known, at once.
    // req: 8.2.1.1-5.a
    fn ask_for(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        urls: Vec<String>,
        until: Option<DateTime>,
    ) {
        let user = work.facts.served.clone();
        let asker = crate::work::Asker::Work(work.id);
        let record = self.recording_of(&work.facts);
        let preferences = (record == Recording::Wish)
            .then(|| self.ask(now, ports, asker, Query::Preferences(user.clone())));
        let fetched = vec![None; urls.len()];
        let mut fetches = BTreeMap::new();
        for (place, url) in urls.into_iter().enumerate() {
            let query = Query::Fetch { user: user.clone(), url };
            fetches.insert(self.ask(now, ports, asker, query), place);
        }
        let record = record == Recording::Always;
        let asking = Asking { preferences, record, fetched, fetches, until };
        if asking.is_over() {
            return self.send(now, ports, work, asking);
        }
        work.stage = Stage::Asking(asking).of();
        self.works.put(work);
    }

    /// Whether a message is recorded, as far as it is known without its sender's preferences. Notifications that the user
    /// sends never are.
    // req: 8.2.4-p3
    fn recording_of(&self, facts: &Facts) -> Recording {
        let policy = &self.config.policy;
        let skips = |service: bool| facts.extra_strings && service;
        match policy.recording {
            _ if facts.content == Content::Disposition || skips(policy.skipped.storage) => Recording::Never,
            Recording::Wish if !policy.preferences || skips(policy.skipped.preferences) => Recording::Never,
            recording => recording,
        }
    }

    pub(crate) fn originating_goes_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        happening: Happening,
    ) {
        if matches!(happening, Happening::TooLate) {
            self.works.set_timer(work.id, None);
            return self.tell_handled(ports, &work, None);
        }
        let WorkStage::Originating(stage) = core::mem::replace(&mut work.stage, Stage::Moving.of()) else {
            return;
        };
        match (stage, happening) {
            (Stage::Asking(asking), Happening::Reply(query, reply)) => {
                self.learnt(now, ports, work, asking, query, reply);
            }
            (Stage::PassedOn(onward), Happening::Answered(proxy, response)) => {
                self.core_answered(now, ports, work, onward, proxy, response);
            }
            (Stage::Interworking { onward, held }, Happening::Response(answer)) => {
                self.isf_answered(now, ports, work, onward, held, answer.ok());
            }
            (Stage::Recording { answer, held }, Happening::Reply(_, reply)) => {
                let uid = if let Reply::ObjectStored(Ok(uid)) = reply { Some(uid) } else { None };
                self.answer_sender(now, ports, &work, held, *answer, uid);
            }
            (Stage::Remembering { answer, held, writes }, Happening::Written { .. }) => {
                if writes > 1 {
                    work.stage = Stage::Remembering { answer, held, writes: writes.saturating_sub(1) }.of();
                    return self.works.put(work);
                }
                self.answer_sender(now, ports, &work, held, *answer, None);
            }
            (Stage::Recording { answer, held }, Happening::Timer) => {
                self.answer_sender(now, ports, &work, held, *answer, None);
            }
            (stage, _) => {
                work.stage = stage.of();
                self.works.put(work);
            }
        }
    }

    /// A reply to what was asked. Preferences that nobody knows are as none; content that does not come ends the message.
    // req: 8.2.1.1-5.a, 8.2.1.1-6
    fn learnt(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        mut asking: Asking,
        query: QueryId,
        reply: Reply,
    ) {
        if asking.preferences == Some(query) {
            asking.preferences = None;
            if let Reply::Preferences(Ok(preferences)) = &reply {
                asking.record |= recording::is_wanted(preferences, &work.facts, now.wall);
            }
        } else if let Some(place) = asking.fetches.remove(&query) {
            let object = match reply {
                Reply::Fetched(object) => object,
                _ => Err(FetchError::Failed),
            };
            match (object, asking.fetched.get_mut(place)) {
                (Ok(object), Some(place)) => *place = Some(object),
                (Err(error), _) => {
                    let Refused { status, why } = Refused::from(&ExternalFault::Fetch(error));
                    return self.refuse_work(now, ports, &work, status, Some(&why));
                }
                (Ok(_), None) => {}
            }
        }
        if asking.is_over() {
            return self.send(now, ports, work, asking);
        }
        work.stage = Stage::Asking(asking).of();
        self.works.put(work);
    }

    /// All is known: the message goes on.
    // req: 8.2.1.1-8, 8.2.1.1-8.A.i.1, 8.2.1.1-8.A.ii
    fn send(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        asking: Asking,
    ) {
        let Asking { record, fetched, until, .. } = asking;
        let fetched: Vec<FetchedObject> = fetched.into_iter().flatten().collect();
        let most = self.fetch_limits();
        let ready = onward::check_time(until, now.wall)
            .and_then(|()| onward::prepare(&self.config.policy, &work, &fetched, most, record, now.wall));
        let mut onward = match ready {
            Ok(onward) => Box::new(onward),
            Err(Refused { status, why }) => return self.refuse_work(now, ports, &work, status, Some(&why)),
        };
        if is_for_isf(&work) {
            return self.interwork(now, ports, work, onward, None);
        }
        let needed_again = onward.record || self.may_interwork(&work.facts);
        let branch = onward.set_out(needed_again);
        let branch = branch.map(|request| Branch { request, destination: Destination::Routed });
        match self.pass_on(now, ports, work.id, branch.into_iter().collect()) {
            Ok(_) => {
                work.stage = Stage::PassedOn(onward).of();
                self.works.put(work);
            }
            Err(status) => self.refuse_work(now, ports, &work, status, None),
        }
    }

    /// The far side's final response is this function's, unless it is one after which the message is interworked.
    // req: 8.2.1.1-8.A.iii.1, 8.2.1.1-8.A.iii.2, 8.2.1.1-8.A.iv
    fn core_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        onward: Box<Onward>,
        proxy: ProxyId,
        response: Response,
    ) {
        if response.status().is_success() {
            return self.delivered(now, ports, work, onward, Some(proxy), response, None);
        }
        let listed = self.config.policy.interwork_on.contains(&response.status());
        if listed && self.may_interwork(&work.facts) {
            return self.interwork(now, ports, work, onward, Some((proxy, Box::new(response))));
        }
        let response = onward.back(&work.request, response);
        self.release(now, ports, &work, proxy, response);
    }

    fn may_interwork(&self, facts: &Facts) -> bool {
        let policy = &self.config.policy;
        policy.isf.is_some() && !(facts.extra_strings && policy.skipped.interworking)
    }

    /// Sends the message to the interworking function. Without one it goes back: with what the core said, or 404.
    // req: 6.5-p1, 8.2.1.1-8.A.i.1, 8.2.1.1-8.A.iii.2
    fn interwork(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        onward: Box<Onward>,
        held: Option<(ProxyId, Box<Response>)>,
    ) {
        let isf = self.config.policy.isf.clone().filter(|_| self.may_interwork(&work.facts));
        let sent = isf.zip(onward.request.as_ref()).map(|(isf, request)| {
            let request = interworking::for_isf(request, &isf);
            ports.sip.send_request(now, request, Destination::Routed)
        });
        match sent {
            Some(Ok(transaction)) => {
                self.metrics.count("pf.interworked");
                self.works.sent(transaction, work.id);
                work.stage = Stage::Interworking { onward, held }.of();
                self.works.put(work);
            }
            None if held.is_none() => {
                let why = Some(Reason::NoDestinations.text());
                self.refuse_work(now, ports, &work, StatusCode::NOT_FOUND, why);
            }
            Some(Err(_)) | None => self.isf_answered(now, ports, work, onward, held, None),
        }
    }

    /// The interworking function answered, or nothing came of it: then what the core had said stands, or 480.
    // req: 6.5.1-onMSG200-1, 6.5.1-p3, 8.2.1.1-8.A.iv
    fn isf_answered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        onward: Box<Onward>,
        held: Option<(ProxyId, Box<Response>)>,
        answer: Option<Response>,
    ) {
        let (proxy, refused) = held.unzip();
        let response = match &answer {
            // Who sends is told that it was not delivered; what is deferred is deferred where it is received (TS 8.3.6).
            Some(answer) => interworking::for_sender(&work.request, answer),
            None => match refused {
                Some(refused) => onward.back(&work.request, *refused),
                None => Response::for_request(&work.request, StatusCode::TEMPORARILY_UNAVAILABLE),
            },
        };
        match answer.as_ref().map(interworking::read_isf_answer) {
            Some(IsfAnswer::Delivered(marks)) => {
                self.delivered(now, ports, work, onward, proxy, response, Some(marks));
            }
            _ => self.let_go(now, ports, &work, proxy, response),
        }
    }

    /// A 2xx came: what is to be recorded is, and the 2xx waits for that.
    // req: 8.2.1.1-9.i.a, 6.5.1-onMSG200-2
    #[expect(clippy::too_many_arguments, reason = "a message, its answer, and how it was delivered")]
    fn delivered(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        onward: Box<Onward>,
        held: Option<ProxyId>,
        response: Response,
        marks: Option<Marks>,
    ) {
        let answer = onward.back(&work.request, response);
        let recorded = onward.request.as_ref().filter(|_| onward.record);
        let object = recorded.and_then(|request| {
            let mut others = identity::asserted_in(answer.headers());
            if others.is_empty() {
                others.push(work.request.uri().clone());
            }
            recording::stored_object(request, &work.facts, &others)
        });
        let Some(mut object) = object else {
            let writes = self.remember_told(now, ports, &work);
            if writes > 0 {
                work.stage = Stage::Remembering { answer: Box::new(answer), held, writes }.of();
                return self.works.put(work);
            }
            return self.answer_sender(now, ports, &work, held, answer, None);
        };
        if let Some(marks) = marks {
            let cpim = recorded.and_then(|request| body::cpim_of(request).ok().flatten());
            interworking::mark(&mut object, &marks, cpim.as_ref());
        }
        let asker = crate::work::Asker::Work(work.id);
        self.ask(now, ports, asker, Query::StoreObject(Box::new(object)));
        // What was delivered is answered in time.
        let last = ports.sip.deadline(work.id).map(|at| at.as_micros().saturating_sub(LAST_MOMENT));
        self.works.set_timer(work.id, last.map(Instant::from_micros));
        work.stage = Stage::Recording { answer: Box::new(answer), held }.of();
        self.works.put(work);
    }

    /// The 2xx goes back: with the UID of what was recorded, and with no other, whatever the far side said.
    // req: 8.2.1.1-9.i.b, 8.2.1.1-9.ii, 8.5.1-B, 8.5.1-p4, 8.5.1-uid-1.b
    fn answer_sender(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        held: Option<ProxyId>,
        mut answer: Response,
        uid: Option<ObjectUid>,
    ) {
        self.works.set_timer(work.id, None);
        if let Some(ObjectUid(uid)) = uid {
            answer.headers_mut().set_typed(&MessageUid(uid));
        }
        self.let_go(now, ports, work, held, answer);
    }

    fn let_go(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: &Work,
        held: Option<ProxyId>,
        response: Response,
    ) {
        match held {
            Some(proxy) => self.release(now, ports, work, proxy, response),
            None => self.answer_work(now, ports, work, response),
        }
    }
}

/// A destination that is neither a SIP nor a tel URI, of a message without a list of recipients (TS 8.2.1.1-8.A.i).
fn is_for_isf(work: &Work) -> bool {
    !matches!(work.request.uri(), Uri::Sip(_) | Uri::Tel(_)) && !body::has_recipient_list(&work.request)
}
