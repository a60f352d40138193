//! Disposition notifications (TS 8.2.4, 8.2.5, 8.3.4, 8.3.5): each thing is told once, what was told is remembered over a
//! restart, and what a user's device cannot tell is told on its behalf.
//!
//! A notification is a MESSAGE like others and goes the way of those (`originating`, `terminating`); here is what comes
//! before and after. Where the provider wants it, those for a user are held and put together (`hold`, `bundles`).
//!
//! While one is on its way, others that tell the same wait for how it ends: were they answered at once and the first one
//! lost, nothing would be told at all.
//!
//! ```text
//!   arrives ─► told before? ─yes─► 200
//!                  │ no ─► the same under way? ─yes─► waits ──► the other one: 2xx ─► 200
//!                  ▼ no                                  ▲      or failed ─► on its way
//!              on its way ── 2xx ─► stored ─► 2xx ───────┘
//! ```

pub(crate) mod behalf;
pub(crate) mod bundles;
pub(crate) mod cache;
mod hold;
mod owed;

use crate::facts::Facts;
use crate::policy::Recording;
use crate::work::{Asker, Happening, Work, WorkId};
use crate::{Content, Device, ParticipatingEvent, ParticipatingFunction, ServedRole};
use behalf::Told;
use bundles::Bundles;
use cache::{Cache, Disposition, Item, Judgement};
use cpm_base::{Instant, Now};
use cpm_core::release::Release;
use cpm_core::{Ports, Query, StateRecord};
use cpm_mime::{ContentType, Part};
use cpm_sip::{HeaderName, Request, Response, StatusCode};
use cpm_ua::{Destination, TransactionId};
use cpm_xml::imdn::{DisplayStatus, Imdn, Notification};
pub(crate) use hold::Holding;
use owed::OwedNotifications;
use std::collections::BTreeMap;
use std::time::Duration;

/// What names of records of what was told begin with.
const TOLD: &str = "pf/imdn/";
/// Octets of the name of a record.
const MAX_NAME: usize = 512;

/// A notification on its way.
#[derive(Debug)]
struct UnderWay {
    items: Vec<Item>,
    /// A device, or the far side, has it.
    taken: bool,
}

/// All that is known of disposition notifications.
#[derive(Debug, Default)]
pub(crate) struct Dispositions {
    cache: Cache,
    under_way: BTreeMap<WorkId, UnderWay>,
    /// Those that wait for how another one ends.
    #[allow(clippy::vec_box, reason = "they come and go as boxes")]
    waiting: BTreeMap<WorkId, Vec<Box<Work>>>,
    /// Those that were answered, and whether with a 2xx.
    finished: Vec<(WorkId, bool)>,
    owed: OwedNotifications,
    bundles: Bundles,
    /// Who waits for what is being written.
    writing: BTreeMap<String, Vec<WorkId>>,
}

impl Dispositions {
    /// How many MESSAGEs wait here.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.values().map(Vec::len).fold(0, usize::saturating_add)
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let alarms = [self.cache.next_timeout(), self.owed.next_timeout(), self.bundles.next_timeout()];
        alarms.into_iter().flatten().min()
    }

    /// A MESSAGE was answered, or never will be.
    pub(crate) fn is_over(&mut self, work: &Work, status: Option<StatusCode>) {
        if work.facts.content == Content::Disposition {
            self.finished.push((work.id, status.is_some_and(StatusCode::is_success)));
        }
    }
}

type PfPorts<'a> = Ports<'a, ParticipatingEvent>;

impl ParticipatingFunction {
    /// A MESSAGE came; one with notifications comes back when it is to go on.
    // req: 8.3.4-p1, 8.3.4-p2, 8.3.4-1, 8.3.4-2, 8.3.4-2.a, 8.3.4-2.a.i, 8.3.4-2.a.iv, 8.3.4-2.b, 8.3.4-3, 8.2.4-p1
    // req: 5.4.3-p3, 5.4.4-p3, 5.4.5-p1, 5.4.7-p2
    pub(crate) fn disposition_arrives(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        work: Box<Work>,
    ) -> Option<Box<Work>> {
        if work.facts.content != Content::Disposition || self.is_own_bundle(&work.facts) {
            return Some(work);
        }
        let told = notifications_of(&work.request, &work.facts);
        let items = items_of(&work, &told);
        match self.dispositions.cache.judge(now.mono, work.id, &items) {
            Judgement::Forward => {
                self.mark_seen(now, ports, &work.facts, &told);
                self.dispositions.under_way.insert(work.id, UnderWay { items, taken: false });
                Some(work)
            }
            // What was told is not told again; its sender has nothing left to do.
            Judgement::Told => {
                self.metrics.count("pf.disposition_told_before");
                let ok = Response::for_request(&work.request, StatusCode::OK);
                self.answer_work(now, ports, &work, ok);
                None
            }
            Judgement::Wait(leader) => {
                if self.dispositions.waiting() >= self.config.limits.max_work {
                    self.answer_work(now, ports, &work, crate::function::busy(&work.request));
                    return None;
                }
                self.dispositions.waiting.entry(leader).or_default().push(work);
                None
            }
        }
    }

    /// TS 8.2.4: a read report of the served user sets the \\Seen flag of what was read.
    // req: 8.2.4-p2
    fn mark_seen(&mut self, now: Now, ports: &mut PfPorts<'_>, facts: &Facts, told: &[Imdn]) {
        let skipped = facts.extra_strings && self.config.policy.skipped.storage;
        let keeps = self.config.policy.recording != Recording::Never && !skipped;
        if facts.role != ServedRole::Originating || !keeps {
            return;
        }
        let read = |imdn: &&Imdn| {
            imdn.notifications().any(|one| *one == Notification::Display(DisplayStatus::Displayed))
        };
        for imdn in told.iter().filter(read) {
            let message_id = imdn.message_id.clone();
            let query = Query::MarkSeen { user: facts.served.clone(), message_id };
            self.ask(now, ports, Asker::Nobody, query);
        }
    }

    /// A notification was taken by a device, or by the far side: before that is answered, it is remembered. How many writes
    /// the answer waits for.
    pub(crate) fn remember_told(&mut self, now: Now, ports: &mut PfPorts<'_>, work: &Work) -> usize {
        let Some(under_way) = self.dispositions.under_way.get_mut(&work.id) else { return 0 };
        under_way.taken = true;
        let keys: Vec<String> = under_way.items.iter().map(|item| item.key.clone()).collect();
        let life = self.config.policy.disposition_life;
        let mut writes = 0usize;
        for key in keys {
            let record = self.dispositions.cache.to_record(now, life, &key, work.id);
            let (Some(name), Some(record)) = (name_of(&key), record) else { continue };
            self.state.keep(now, ports.host, &name, record);
            let waits = self.dispositions.writing.entry(name).or_default();
            if !waits.contains(&work.id) {
                waits.push(work.id);
                writes = writes.saturating_add(1);
            }
        }
        writes
    }

    /// A write came to its end: who waits for it goes on, whether it succeeded or not.
    pub(crate) fn disposition_written(&mut self, now: Now, ports: &mut PfPorts<'_>, name: &str, kept: bool) {
        if !kept {
            self.metrics.count("pf.disposition_not_stored");
        }
        for work in self.dispositions.writing.remove(name).unwrap_or_default() {
            self.goes_on(now, ports, work, Happening::Written { kept });
        }
    }

    /// What follows from the answers that were given: what was told is remembered, who waited is answered or goes on.
    pub(crate) fn end_dispositions(&mut self, now: Now, ports: &mut PfPorts<'_>) {
        while let Some((id, told)) = self.dispositions.finished.pop() {
            if let Some(UnderWay { items, taken }) = self.dispositions.under_way.remove(&id) {
                let life = self.config.policy.disposition_life;
                self.dispositions.cache.end(now.mono, life, id, &items, told || taken);
            }
            for work in self.dispositions.waiting.remove(&id).unwrap_or_default() {
                if let Some(work) = self.disposition_arrives(now, ports, work) {
                    self.sets_out(now, ports, work);
                }
            }
        }
        let most = self.config.limits.max_dispositions;
        while let Some(key) = self.dispositions.cache.forget(now.mono, most) {
            if let Some(name) = name_of(&key) {
                self.state.remove(now, ports.host, &name);
            }
        }
    }

    fn sets_out(&mut self, now: Now, ports: &mut PfPorts<'_>, work: Box<Work>) {
        match work.facts.role {
            ServedRole::Originating => self.originating_sets_out(now, ports, work),
            ServedRole::Terminating => self.terminating_sets_out(now, ports, work),
        }
    }

    /// TS 8.2.5: tells the sender of a message on behalf of the served user what became of it, when that was asked for. How
    /// many writes the answer to the message waits for.
    // req: 8.2.5-p1, 8.2.5-1, 8.2.5-2
    pub(crate) fn tell_on_behalf(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        work: &Work,
        told: Told,
    ) -> usize {
        if !self.may_tell_on_behalf(&work.facts, told) {
            return 0;
        }
        let facts = &work.facts;
        let Some(request) = behalf::notification(now.wall, &work.request, facts, told, &facts.served) else {
            self.metrics.count("pf.disposition_not_writable");
            return 0;
        };
        let about = facts.message_id().unwrap_or_default();
        let sender = facts.originators.first().map(cpm_sip::Uri::address_key).unwrap_or_default();
        let name = format!("{}{} {sender} {about} {}", owed::PREFIX, facts.served.address_key(), told.name());
        if self.dispositions.owed.len() >= self.config.limits.max_owed {
            self.metrics.count("pf.too_many_owed");
            return 0;
        }
        // At most one for each message, recipient and disposition, however often the message is sent (threat E6).
        let disposition = match told {
            Told::Delivered => Disposition::Delivered,
            Told::Failed => Disposition::Failed,
        };
        let key = cache::key(&["b", &facts.served.address_key(), &sender, &about]);
        let items: Vec<Item> = key.map(|key| Item { key, disposition }).into_iter().collect();
        let judged = self.dispositions.cache.judge(now.mono, work.id, &items);
        if self.dispositions.owed.contains(&name) || judged != Judgement::Forward {
            self.metrics.count("pf.disposition_told_before");
            return 0;
        }
        let life = self.config.policy.disposition_life;
        self.dispositions.cache.end(now.mono, life, work.id, &items, true);
        self.metrics.count("pf.disposition_on_behalf");
        let life = self.config.policy.owed_life;
        let stored = name.len() <= MAX_NAME;
        if stored {
            let record = OwedNotifications::to_record(now, &request, Duration::ZERO, life);
            self.state.keep(now, ports.host, &name, record);
            self.dispositions.writing.entry(name.clone()).or_default().push(work.id);
        }
        self.dispositions.owed.owe(name, request, now.mono, now.mono.plus(life));
        usize::from(stored)
    }

    /// Whether something is told on behalf of the user when it comes to that.
    pub(crate) fn may_tell_on_behalf(&self, facts: &Facts, told: Told) -> bool {
        self.config.policy.tell_on_behalf && behalf::is_asked_for(facts, told)
    }

    /// Whether a device cannot tell by itself what became of a message (TS 8.2.5-2): its release is one of those.
    pub(crate) fn lacks_notifications(&self, device: &Device) -> bool {
        device.release.is_some_and(|release| self.is_without_imdn(release))
    }

    /// Whether who answered is such a device; what the answer does not say, the registrations of those that were asked do.
    pub(crate) fn answered_without_notifications(&self, response: &Response, all_lack: bool) -> bool {
        let server = response.headers().get(&HeaderName::Server).and_then(|value| value.to_text());
        match server.and_then(|server| Release::find(&server)) {
            Some(release) => self.is_without_imdn(release),
            None => all_lack,
        }
    }

    /// Whether there are such devices at all.
    pub(crate) fn tells_for_some(&self) -> bool {
        !self.config.policy.releases_without_imdn.is_empty()
    }

    fn is_without_imdn(&self, release: Release) -> bool {
        self.config.policy.releases_without_imdn.contains(&(release.major, release.minor))
    }

    /// Sends what is owed and due.
    pub(crate) fn send_owed(&mut self, now: Now, ports: &mut PfPorts<'_>) {
        self.dispositions.bundles.release(now);
        let Dispositions { owed, bundles, .. } = &mut self.dispositions;
        for owed in [owed, &mut bundles.sending] {
            while let Some((name, request)) = owed.due(now.mono) {
                match ports.sip.send_request(now, request, Destination::Routed) {
                    Ok(transaction) => owed.sent(transaction, name),
                    Err(_) => {
                        if owed.tried(now.mono, &name, None) {
                            self.state.remove(now, ports.host, &name);
                        }
                    }
                }
            }
        }
    }

    /// The answer to something that was owed, or that there is none. `false`: it is to something else.
    pub(crate) fn owed_answered(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        transaction: TransactionId,
        status: Option<StatusCode>,
    ) -> bool {
        let Dispositions { owed, bundles, .. } = &mut self.dispositions;
        let answered = owed
            .answered(now.mono, transaction, status)
            .or_else(|| bundles.sending.answered(now.mono, transaction, status));
        let Some((name, over)) = answered else { return false };
        if over {
            self.state.remove(now, ports.host, &name);
        }
        true
    }

    /// Takes up what another node remembered, or owed; `false`: it is a record of something else.
    pub(crate) fn take_up_disposition(
        &mut self,
        now: Now,
        ports: &mut PfPorts<'_>,
        record: &StateRecord,
    ) -> bool {
        let Some(value) = &record.value else { return false };
        let policy = &self.config.policy;
        let read = if record.key.starts_with(TOLD) {
            self.dispositions.cache.restore(now, policy.disposition_life, value)
        } else if record.key.starts_with(owed::PREFIX) {
            self.dispositions.owed.restore(now, policy.owed_life, &record.key, value)
        } else if record.key.starts_with(bundles::PREFIX) {
            let life = policy.owed_life.saturating_add(policy.aggregation.unwrap_or_default());
            self.dispositions.bundles.sending.restore(now, life, &record.key, value)
        } else {
            return false;
        };
        match read {
            Ok(true) => {}
            Ok(false) => self.state.remove(now, ports.host, &record.key),
            Err(_) => self.metrics.count("pf.record_unreadable"),
        }
        true
    }

    /// Whether a write was of something here.
    pub(crate) fn is_disposition_record(name: &str) -> bool {
        [TOLD, owed::PREFIX, bundles::PREFIX].iter().any(|prefix| name.starts_with(prefix))
    }
}

/// The name of the record of a key; `None` for one that is too long for a name.
fn name_of(key: &str) -> Option<String> {
    let name = format!("{TOLD}{}", key.replace('\n', " "));
    (name.len() <= MAX_NAME).then_some(name)
}

/// All notifications of a MESSAGE that can be read.
fn notifications_of(request: &Request, facts: &Facts) -> Vec<Imdn> {
    let (mime, xml) = (cpm_mime::Limits::DEFAULT, cpm_xml::Limits::default());
    let bare = || {
        let value = request.headers().get(&HeaderName::ContentType)?.to_text()?;
        Some(Part::new(&ContentType::parse(&value).ok()?, request.body().clone()))
    };
    let content = match facts.cpim() {
        Some(cpim) => Some(cpim.content().clone()),
        None => bare(),
    };
    let read = content.and_then(|content| cpm_core::disposition::notifications(&content, &mime, &xml).ok());
    read.into_iter().flatten().flatten().collect()
}

/// What a MESSAGE tells, each thing under its key: for whom and from whom, as the core asserts, and about which message.
// req: 8.3.4-1
fn items_of(work: &Work, told: &[Imdn]) -> Vec<Item> {
    let facts = &work.facts;
    let served = facts.served.address_key();
    let (role, other) = match facts.role {
        // Whom it is for: the original sender.
        ServedRole::Originating => ("o", Some(work.request.uri().address_key())),
        // Whom it is from.
        ServedRole::Terminating => ("t", facts.originators.first().map(cpm_sip::Uri::address_key)),
    };
    let other = other.unwrap_or_default();
    let mut items = Vec::new();
    for imdn in told {
        let Some(key) = cache::key(&[role, &served, &other, &imdn.message_id]) else { continue };
        for notification in imdn.notifications() {
            let item = Item { key: key.clone(), disposition: Disposition::of(notification) };
            if !items.contains(&item) {
                items.push(item);
            }
        }
    }
    items
}
