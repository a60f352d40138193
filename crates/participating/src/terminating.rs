//! For the user who receives a pager-mode message or a notification (TS 8.3.1.1): from the request to the decision, from
//! that to what is sent out. The steps before the decision and those that need the message store are here; what is out is in
//! `delivery.rs`.

pub(crate) mod branch;
mod delivery;

use crate::decision::{self, Decision, DeliveryRequest, Outcome, Verdict, decide};
use crate::dispositions::Holding;
use crate::dispositions::behalf::{self, Told};
use crate::facts::Facts;
use crate::interworking::{self, Marks};
use crate::policy::WithoutPreferences;
use crate::work::{Asker, Happening, Work};
use crate::{Content, Device, ParticipatingEvent, ParticipatingFunction, recording, references};
use cpm_base::Now;
use cpm_core::outside::{BodyStructure, FetchError, ObjectUid, Preferences};
use cpm_core::{Ports, Query, Reply, StoreError};
use cpm_cpim::CpimMessage;
use cpm_sip::{Request, Response, StatusCode};
use cpm_ua::RequestId;

/// How far a message has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The host was asked for the preferences of the user (TS 8.4.1).
    Preferences,
    /// Its only place is the message store (8.3.1.1-4.d), which was asked to keep it.
    Storing(Box<Plan>),
    /// The message store was asked to keep it before it goes on (8.3.1.1-5, 8.3.1.4).
    Recording(Box<Plan>),
    /// The message store was asked where its parts are (8.3.1.4).
    Structure(Box<Plan>),
    /// It is a notification that waits for others (8.3.5).
    Holding(Holding),
    /// It is out.
    Delivering(Box<delivery::Delivery>),
    /// Nothing is left but the word of the message store.
    RecordedAtLast,
}

/// What is done with a message.
#[derive(Debug)]
pub(crate) struct Plan {
    decision: Decision,
    /// The devices that the decision is about.
    devices: Vec<Device>,
    /// Whether the message store was asked to keep it.
    asked_to_keep: bool,
    /// Where it is in the message store of the user.
    uid: Option<ObjectUid>,
    /// The message with references in the place of media.
    referring: Option<CpimMessage>,
    /// What the interworking function said of it.
    marks: Option<Marks>,
    /// No device that gets it makes notifications of its own (TS 8.2.5-2).
    without_imdn: bool,
    /// Its sender was told on behalf of the user what became of it.
    told: bool,
    /// The message store has it without its requests for that (TS 8.2.5).
    kept_as_told: bool,
}

impl Plan {
    fn new(decision: Decision, devices: Vec<Device>) -> Plan {
        Plan {
            decision,
            devices,
            asked_to_keep: false,
            uid: None,
            referring: None,
            marks: None,
            without_imdn: false,
            told: false,
            kept_as_told: false,
        }
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Whether the message store has it.
    fn kept(&self) -> bool {
        self.uid.is_some()
    }

    fn wants_references(&self) -> bool {
        self.decision.devices.contains(&Verdict::Selected { references: true })
    }
}

impl ParticipatingFunction {
    /// TS 8.3.1.1-1, -2: before anybody is asked anything.
    pub(crate) fn terminating(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        id: RequestId,
        request: Request,
        facts: Facts,
    ) {
        let stage = crate::work::Stage::Terminating(Stage::Preferences);
        let work = Box::new(Work { id, request, facts, stage });
        let asked = delivery_request(&work.facts, now);
        let refused = decision::refused_at_once(&asked, &self.config.policy);
        // What was accepted from others and put into one message here is past that.
        if let Some(refused) = refused.filter(|_| !self.is_own_bundle(&work.facts)) {
            return self.carry_out(now, ports, work, refused, Vec::new());
        }
        if let Some(work) = self.disposition_arrives(now, ports, work) {
            self.terminating_sets_out(now, ports, work);
        }
    }

    /// It is for the user, and tells something new: whom it goes to.
    pub(crate) fn terminating_sets_out(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
    ) {
        let skipped = self.config.policy.skipped;
        let none_counts = work.facts.extra_strings && skipped.preferences && skipped.blacklist;
        if !self.config.policy.preferences || none_counts {
            return self.decided(now, ports, work, None);
        }
        let query = Query::Preferences(work.facts.served.clone());
        self.ask(now, ports, Asker::Work(work.id), query);
        self.works.put(work);
    }

    /// Something happened to a message.
    pub(crate) fn terminating_goes_on(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        happening: Happening,
    ) {
        let over = crate::work::Stage::Terminating(Stage::RecordedAtLast);
        let stage = match core::mem::replace(&mut work.stage, over) {
            crate::work::Stage::Terminating(stage) => stage,
            crate::work::Stage::Originating(_) => return,
        };
        match (stage, happening) {
            (Stage::Delivering(delivery), happening) => {
                self.delivery_goes_on(now, ports, work, delivery, happening);
            }
            (Stage::Holding(holding), happening) => {
                self.holding_goes_on(now, ports, work, holding, happening);
            }
            (Stage::RecordedAtLast, Happening::Reply(_, Reply::ObjectStored(kept))) => {
                self.count_kept(kept.is_ok());
            }
            // Nobody waits for it any more: it was not delivered, and nothing was said.
            (_, Happening::TooLate) => self.tell_handled(ports, &work, None),
            (Stage::Preferences, Happening::Reply(_, Reply::Preferences(reply))) => {
                self.preferences_came(now, ports, work, reply);
            }
            (Stage::Storing(plan), Happening::Reply(_, Reply::ObjectStored(kept))) => {
                self.stored(now, ports, work, *plan, kept);
            }
            (Stage::Recording(plan), Happening::Reply(_, Reply::ObjectStored(kept))) => {
                self.recorded(now, ports, work, *plan, kept);
            }
            (Stage::Structure(plan), Happening::Reply(_, Reply::BodyStructure(structure))) => {
                self.structure_came(now, ports, work, *plan, structure);
            }
            (stage, _) => {
                work.stage = crate::work::Stage::Terminating(stage);
                self.works.put(work);
            }
        }
    }

    // req: 8.4.1-1
    fn preferences_came(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        reply: Result<std::sync::Arc<Preferences>, FetchError>,
    ) {
        match reply {
            Ok(preferences) => self.decided(now, ports, work, Some(&preferences)),
            // A user who has none.
            Err(FetchError::NotFound) => self.decided(now, ports, work, None),
            Err(_) => {
                self.metrics.count("pf.no_preferences");
                match self.config.policy.without_preferences {
                    WithoutPreferences::Deliver => self.decided(now, ports, work, None),
                    WithoutPreferences::Refuse => {
                        let plan = Plan::new(Decision::without_preferences(), Vec::new());
                        self.not_attempted(now, ports, work, plan);
                    }
                }
            }
        }
    }

    fn decided(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        preferences: Option<&Preferences>,
    ) {
        let request = delivery_request(&work.facts, now);
        let devices = self.registrations.all_devices(now.mono, &work.facts.served);
        let decision = decide(&request, preferences, &self.config.policy, &devices, &self.connectivity);
        self.carry_out(now, ports, work, decision, devices);
    }

    /// Does what was decided.
    // req: 8.3.1.1-1, 8.3.1.1-2, 8.3.1.1-3, 8.3.1.1-4.a, 8.3.1.1-4.d.i, 6.4.2-p1
    fn carry_out(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        decision: Decision,
        devices: Vec<Device>,
    ) {
        self.metrics.count(decision.why.counter());
        let outcome = decision.outcome.clone();
        let plan = Plan::new(decision, devices);
        match outcome {
            Outcome::Refuse(reason) => {
                let why = reason.map(|reason| reason.text());
                self.refuse_work(now, ports, &work, StatusCode::FORBIDDEN, why);
            }
            // Deferral is not built: its sender is told that it was not delivered.
            Outcome::Defer(_) => {
                self.metrics.count("pf.deferral_wanted");
                self.not_attempted(now, ports, work, plan);
            }
            Outcome::Store => match store_query(&work, &plan) {
                Some(query) => {
                    self.ask(now, ports, Asker::Work(work.id), query);
                    work.stage = crate::work::Stage::Terminating(Stage::Storing(Box::new(plan)));
                    self.works.put(work);
                }
                None => self.stored(now, ports, work, plan, Err(StoreError::Failed)),
            },
            Outcome::Forward(_) | Outcome::Deliver => {
                if let Some((work, plan)) = self.hold(now, ports, work, plan) {
                    self.prepare(now, ports, work, plan);
                }
            }
            Outcome::Undelivered => {
                self.undelivered(now, ports, work, delivery::Delivery::new(plan));
            }
        }
    }

    /// What comes before a message goes out: recording, and references in the place of media. Where either fails, the message
    /// goes out without.
    // req: 8.3.1.1-5, 8.3.1.1-11, 8.3.1.4-found-1, 8.3.1.4-found-2
    pub(crate) fn prepare(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        mut work: Box<Work>,
        mut plan: Plan,
    ) {
        let refers = plan.wants_references() && plan.referring.is_none() && has_media(&work.facts);
        // TS 8.3.5: of notifications, those that were delivered.
        let is_message = work.facts.content == Content::Message;
        let after = delivery::is_recorded_after(plan.decision.interworking);
        let records = plan.decision.record && is_message && !after;
        plan.without_imdn = self.no_device_tells(&plan);
        plan.told = plan.without_imdn && self.may_tell_on_behalf(&work.facts, Told::Delivered);
        if !plan.asked_to_keep
            && (records || refers)
            && let Some(query) = store_query(&work, &plan)
        {
            (plan.asked_to_keep, plan.kept_as_told) = (true, plan.told);
            self.ask(now, ports, Asker::Work(work.id), query);
            work.stage = crate::work::Stage::Terminating(Stage::Recording(Box::new(plan)));
            return self.works.put(work);
        }
        match plan.uid.filter(|_| refers) {
            Some(uid) => {
                let query = Query::BodyStructure { user: work.facts.served.clone(), uid };
                self.ask(now, ports, Asker::Work(work.id), query);
                work.stage = crate::work::Stage::Terminating(Stage::Structure(Box::new(plan)));
                self.works.put(work);
            }
            None => self.send_out(now, ports, work, plan),
        }
    }

    /// TS 8.3.1.1-4.d: 200 when the message store has it, and not before.
    // req: 8.3.1.1-4.d.ii
    fn stored(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        mut plan: Plan,
        kept: Result<ObjectUid, StoreError>,
    ) {
        self.count_kept(kept.is_ok());
        match kept {
            Ok(uid) => {
                plan.uid = Some(uid);
                let ok = Response::for_request(&work.request, StatusCode::OK);
                self.answer_work(now, ports, &work, ok);
                self.interwork_stored(now, ports, work, plan);
            }
            // It is with nobody, unless the interworking function takes it.
            Err(_) => self.send_out(now, ports, work, plan),
        }
    }

    /// TS 8.3.1.1-5: a message that could not be recorded is delivered all the same.
    fn recorded(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        mut plan: Plan,
        kept: Result<ObjectUid, StoreError>,
    ) {
        self.count_kept(kept.is_ok());
        plan.uid = kept.ok();
        self.prepare(now, ports, work, plan);
    }

    // req: 8.3.1.4-found-2, 8.3.1.4-found-3, 8.3.1.4-refs-1, 8.3.1.4-refs-2
    fn structure_came(
        &mut self,
        now: Now,
        ports: &mut Ports<'_, ParticipatingEvent>,
        work: Box<Work>,
        mut plan: Plan,
        structure: Result<BodyStructure, FetchError>,
    ) {
        let until = now.wall.plus(self.config.policy.reference_life);
        let cpim = work.facts.cpim();
        plan.referring = structure.ok().zip(cpim).and_then(|(structure, cpim)| {
            references::with_references(cpim, &structure, until, &cpm_mime::Limits::DEFAULT).ok().flatten()
        });
        if plan.referring.is_none() {
            self.metrics.count("pf.no_references");
        }
        self.send_out(now, ports, work, plan);
    }

    /// Whether none of the devices that get it makes notifications of its own.
    fn no_device_tells(&self, plan: &Plan) -> bool {
        let devices = plan.devices.iter().zip(&plan.decision.devices);
        let mut chosen = devices
            .filter(|(_, verdict)| matches!(verdict, Verdict::Selected { .. }))
            .map(|(device, _)| device)
            .peekable();
        plan.decision.outcome == Outcome::Deliver
            && chosen.peek().is_some()
            && chosen.all(|device| self.lacks_notifications(device))
    }

    fn count_kept(&mut self, kept: bool) {
        self.metrics.count(if kept { "pf.recorded" } else { "pf.not_recorded" });
    }
}

/// What of a message its delivery depends on.
fn delivery_request(facts: &Facts, now: Now) -> DeliveryRequest {
    DeliveryRequest {
        served: facts.served.clone(),
        originators: facts.originators.clone(),
        anonymous: facts.anonymous,
        release: facts.release,
        content: facts.content,
        feature: facts.feature,
        service: facts.service,
        extra_strings: facts.extra_strings,
        at: now.wall,
    }
}

/// TS 8.5.1: the message for the message store, with what the interworking function said of it and without what was told
/// already; in the place of the copy that the store has.
// req: 8.3.1.1-5, 8.5.1-A, 8.5.1-B
// req: 8.2.5-b2
fn store_query(work: &Work, plan: &Plan) -> Option<Query> {
    let answered = plan.told.then(|| behalf::without_delivery_requests(&work.request, &work.facts)).flatten();
    let request = answered.as_ref().unwrap_or(&work.request);
    let mut object = recording::stored_object(request, &work.facts, &work.facts.originators)?;
    object.replaces = plan.uid;
    if let Some(marks) = &plan.marks {
        interworking::mark(&mut object, marks, work.facts.cpim());
    }
    Some(Query::StoreObject(Box::new(object)))
}

/// Whether there is media that a reference could take the place of.
fn has_media(facts: &Facts) -> bool {
    let cpim = facts.cpim().filter(|_| facts.content == Content::Message);
    cpim.is_some_and(|cpim| references::has_media_objects(cpim, &cpm_mime::Limits::DEFAULT))
}
