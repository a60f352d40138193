//! A notification that is held to go to the user with others (TS 8.3.5): from the decision to the 200.

use super::bundles::{BundleId, Held, Room};
use super::notifications_of;
use crate::decision::Outcome;
use crate::facts::Facts;
use crate::terminating::{Plan, Stage};
use crate::work::{Happening, Stage as WorkStage, Work};
use crate::{ParticipatingEvent, ParticipatingFunction, ServedRole};
use cpm_base::Now;
use cpm_core::Ports;
use cpm_sip::{Response, StatusCode};

type PfPorts<'a> = Ports<'a, ParticipatingEvent>;

/// How far a notification that is held has come.
#[derive(Debug)]
pub(crate) enum Holding {
    /// The bundle with it is being stored.
    Bundle(BundleId, Box<Plan>),
    /// What it told is being remembered, in so many writes.
    Remembering(usize),
}

impl ParticipatingFunction {
    /// Whether a MESSAGE is one that this function made of several; it was judged when they came.
    pub(crate) fn is_own_bundle(&self, facts: &Facts) -> bool {
        facts.role == ServedRole::Terminating
            && self.dispositions.bundles.len() > 0
            && facts.message_id().is_some_and(|id| self.dispositions.bundles.is_own(&id))
    }

    /// Holds a notification that would be delivered now; it comes back when it is to go by itself.
    // req: 8.3.5-p2, 8.3.5-p3, 8.2.5-p3
    pub(crate) fn hold(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        mut work: Box<Work>,
        plan: Plan,
    ) -> Option<(Box<Work>, Plan)> {
        let Some(window) = self.config.policy.aggregation else { return Some((work, plan)) };
        if plan.decision().outcome != Outcome::Deliver
            || plan.decision().interworking.is_some()
            || self.is_own_bundle(&work.facts)
        {
            return Some((work, plan));
        }
        let told = notifications_of(&work.request, &work.facts);
        let Some(held) = Held::of(&work, &told) else { return Some((work, plan)) };
        let room = Room {
            window,
            octets: self.config.policy.aggregated_octets,
            life: self.config.policy.owed_life,
            most: self.config.limits.max_bundles,
        };
        let random = &mut self.random;
        let added = self.dispositions.bundles.add(now, room, work.id, held, || random.secret_token(26));
        let Some(written) = added else {
            self.metrics.count("pf.disposition_not_held");
            return Some((work, plan));
        };
        self.state.keep(now, ports.host, &written.name, written.record.unwrap_or_default());
        self.dispositions.writing.entry(written.name).or_default().push(work.id);
        work.stage = WorkStage::Terminating(Stage::Holding(Holding::Bundle(written.bundle, Box::new(plan))));
        self.works.put(work);
        None
    }

    /// Something happened to a notification that is being stored.
    pub(crate) fn holding_goes_on(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        mut work: Box<Work>,
        holding: Holding,
        happening: Happening,
    ) {
        let holding = match (holding, happening) {
            (Holding::Bundle(bundle, _), Happening::Written { kept: true }) => {
                self.dispositions.bundles.stored(bundle, work.id);
                self.metrics.count("pf.disposition_held");
                match self.remember_told(now, ports, &work) {
                    0 => return self.held(now, ports, &work),
                    writes => Holding::Remembering(writes),
                }
            }
            // What is not held is not answered for: it goes by itself.
            (Holding::Bundle(bundle, plan), Happening::Written { kept: false }) => {
                self.metrics.count("pf.disposition_not_held");
                self.let_go_of(now, ports, bundle, &work);
                return self.prepare(now, ports, work, *plan);
            }
            // Its sender heard nothing and sends it again.
            (Holding::Bundle(bundle, _), Happening::TooLate) => {
                self.let_go_of(now, ports, bundle, &work);
                return self.tell_handled(ports, &work, None);
            }
            (Holding::Remembering(_), Happening::TooLate) => return self.tell_handled(ports, &work, None),
            (Holding::Remembering(writes), Happening::Written { .. }) => match writes.saturating_sub(1) {
                0 => return self.held(now, ports, &work),
                writes => Holding::Remembering(writes),
            },
            (holding, _) => holding,
        };
        work.stage = WorkStage::Terminating(Stage::Holding(holding));
        self.works.put(work);
    }

    fn held(&mut self, now: Now, ports: &mut PfPorts<'_>, work: &Work) {
        let ok = Response::for_request(&work.request, StatusCode::OK);
        self.answer_work(now, ports, work, ok);
    }

    fn let_go_of(&mut self, now: Now, ports: &mut PfPorts<'_>, bundle: BundleId, work: &Work) {
        let Some(written) = self.dispositions.bundles.not_stored(now, bundle, work.id) else { return };
        match written.record {
            Some(record) => self.state.keep(now, ports.host, &written.name, record),
            None => self.state.remove(now, ports.host, &written.name),
        }
    }
}
