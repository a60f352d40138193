//! Notifications that are held for a while, to reach the user together (TS 8.3.5, RFC 5438 §8.3).
//!
//! What is held was accepted: it is in the store, with the message that it will go in, before whoever sent it hears 200. What
//! tells of the same conversation and contribution and comes from the same side shares a message, in which each stands as it
//! came. When its time is over the message goes to the user through the core, as a request of our own, and is owed until it is
//! taken.
//!
//! ```text
//!  decided: deliver ─► added to a bundle, being stored ── stored ─► 200 ─► until the bundle is due ─► owed to the user
//!                                                      └─ not ────► out of the bundle, delivered by itself
//! ```

use super::owed::OwedNotifications;
use crate::body::cpim_of;
use crate::work::{Work, WorkId};
use crate::{Content, ServedRole};
use bytes::Bytes;
use cpm_base::{Instant, Now};
use cpm_cpim::{Address, CPIM_NAMESPACE, CpimBuilder, IMDN_NAMESPACE};
use cpm_mime::{Multipart, Part};
use cpm_sip::{ContentType, From, HeaderName, Method, Request, To};
use cpm_xml::imdn::{DeliveryStatus, DisplayStatus, Imdn, Notification};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What names of records of bundles begin with; the Message-ID of the message is the rest.
pub(crate) const PREFIX: &str = "pf/bundle/";

/// The name of a bundle.
pub(crate) type BundleId = u64;

/// One notification that can be held, taken apart.
#[derive(Debug)]
pub(super) struct Held {
    /// The request that carries it and others, but for what they say.
    head: Request,
    from: Address,
    to: Address,
    /// The documents, as they came.
    parts: Vec<Part>,
}

/// A message that is to be.
#[derive(Debug)]
struct Bundle {
    /// Its IMDN Message-ID, which nobody can guess.
    message_id: String,
    held: Held,
    /// How many documents each MESSAGE brought, in order; and which, while it is being stored.
    brought: Vec<(Option<WorkId>, usize)>,
    /// The message, as it was stored last.
    message: Request,
    due: Instant,
    until: Instant,
}

/// All that is held.
#[derive(Debug, Default)]
pub(crate) struct Bundles {
    bundles: BTreeMap<BundleId, Bundle>,
    /// Those that take more, by what their messages have in common.
    open: BTreeMap<Bytes, BundleId>,
    /// When those are due of which nothing is being stored.
    due: BTreeSet<(Instant, BundleId)>,
    last: BundleId,
    /// Those that were due, until the user has them.
    pub(super) sending: OwedNotifications,
}

/// What is to be written of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) bundle: BundleId,
    pub(super) name: String,
    /// Nothing is left of it otherwise.
    pub(super) record: Option<Vec<u8>>,
}

impl Held {
    /// Takes a notification apart that may wait for others: one that says nothing but that messages were delivered and
    /// displayed, in a MESSAGE that asks for nothing else. Bad news goes on at once, and so does what would lose something.
    // req: 8.3.5-p3
    pub(super) fn of(work: &Work, told: &[Imdn]) -> Option<Held> {
        let facts = &work.facts;
        let plain = facts.role == ServedRole::Terminating
            && facts.content == Content::Disposition
            && !facts.anonymous
            && !facts.extra_strings
            && facts.expires.is_none();
        let good = |imdn: &Imdn| {
            imdn.notifications().all(|one| {
                matches!(
                    one,
                    Notification::Delivery(DeliveryStatus::Delivered)
                        | Notification::Display(DisplayStatus::Displayed)
                )
            })
        };
        let headers = work.request.headers();
        let body = work.request.typed::<ContentType>().ok().flatten()?;
        if !plain
            || !told.iter().all(good)
            || !body.is("message/cpim")
            || headers.contains(&HeaderName::Require)
        {
            return None;
        }
        let cpim = cpim_of(&work.request).ok().flatten()?;
        let known = |(namespace, header): (Option<&str>, &cpm_cpim::Header)| match namespace {
            Some(CPIM_NAMESPACE) => matches!(header.name(), "From" | "To" | "DateTime" | "NS"),
            Some(IMDN_NAMESPACE) => header.name() == "Message-ID",
            _ => false,
        };
        let to = cpim.to().ok()?;
        if !cpim.headers().resolved().into_iter().all(known) || to.len() != 1 {
            return None;
        }
        let parts = cpim.content().leaves(&cpm_mime::Limits::DEFAULT).ok()?;
        // Each of them was read, and each of them tells something.
        (parts.len() == told.len() && !parts.is_empty()).then_some(())?;
        let head = head_of(&work.request)?;
        Some(Held { head, from: cpim.from().ok().flatten()?, to: to.into_iter().next()?, parts })
    }

    /// What tells it from those that it cannot share a message with.
    fn key(&self) -> Bytes {
        let mut key = self.head.to_bytes().to_vec();
        key.extend_from_slice(format!("{:?}\n{:?}", self.from, self.to).as_bytes());
        key.into()
    }

    /// The message with its documents; one that is alone stands there as it came.
    // req: 8.3.5-p2
    fn message(&self, message_id: &str, now: Now) -> Option<Request> {
        let content = match &self.parts[..] {
            [alone] => alone.clone(),
            parts => {
                let multipart = Multipart::new("mixed", parts.to_vec()).ok()?;
                Part::new(&multipart.content_type(), multipart.to_bytes().ok()?)
                    .with_header("Content-Disposition", "notification")
                    .ok()?
            }
        };
        let cpim = CpimBuilder::new(self.from.clone(), self.to.clone())
            .imdn_message_id(message_id)
            .date_time(now.wall)
            .content(content)
            .build()
            .ok()?;
        let mut request = self.head.clone();
        request.set_body(cpim.to_bytes());
        Some(request)
    }
}

/// A request of our own with what the other one says of its sender, its receiver, and what it belongs to.
// req: 5.3-p3
fn head_of(request: &Request) -> Option<Request> {
    let from = request.typed::<From>().ok().flatten()?.without_tag();
    let to = request.typed::<To>().ok().flatten()?.without_tag();
    let mut head = Request::new(Method::Message, request.uri().clone()).with_typed(&from).with_typed(&to);
    for name in [
        HeaderName::PAssertedIdentity,
        HeaderName::ConversationId,
        HeaderName::ContributionId,
        HeaderName::InReplyToContributionId,
        HeaderName::AcceptContact,
        HeaderName::PPreferredService,
        HeaderName::PAssertedService,
        HeaderName::ContentType,
    ] {
        head.headers_mut().copy_from(request.headers(), &name);
    }
    Some(head)
}

impl Bundle {
    fn name(&self) -> String {
        format!("{PREFIX}{}", self.message_id)
    }

    fn is_being_stored(&self) -> bool {
        self.brought.iter().any(|(work, _)| work.is_some())
    }

    /// Takes out what a work brought.
    fn take_out(&mut self, work: WorkId) {
        let mut first = 0usize;
        let mut left = Vec::with_capacity(self.brought.len());
        for (of, count) in std::mem::take(&mut self.brought) {
            if of == Some(work) {
                let end = first.saturating_add(count).min(self.held.parts.len());
                self.held.parts.drain(first.min(end)..end);
            } else {
                left.push((of, count));
                first = first.saturating_add(count);
            }
        }
        self.brought = left;
    }

    /// Writes the message anew, at most so long; `false`: there is nothing to write, or it would be longer.
    fn write(&mut self, now: Now, most: usize) -> bool {
        if self.held.parts.is_empty() || self.held.parts.len() > cpm_mime::Limits::DEFAULT.max_parts {
            return false;
        }
        let message = self.held.message(&self.message_id, now).filter(|message| message.body().len() <= most);
        message.map(|message| self.message = message).is_some()
    }

    fn record(&self, now: Now) -> Vec<u8> {
        let (at, until) = (self.due.since(now.mono), self.until.since(now.mono));
        OwedNotifications::to_record(now, &self.message, at, until)
    }
}

/// How long notifications are held, and what of them at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) window: Duration,
    /// Octets of a CPIM message at most.
    pub(super) octets: usize,
    /// How long it is tried to send what was held.
    pub(super) life: Duration,
    /// Bundles at most.
    pub(super) most: usize,
}

impl Bundles {
    /// How many there are, those that the user does not have yet among them.
    pub(crate) fn len(&self) -> usize {
        self.bundles.len().saturating_add(self.sending.len())
    }

    /// Whether this is the Message-ID of a bundle that is on its way to the user.
    pub(crate) fn is_own(&self, message_id: &str) -> bool {
        self.sending.contains(&format!("{PREFIX}{message_id}"))
    }

    /// Adds a notification, to a bundle that has room for it or to a new one with this Message-ID; it counts as held when
    /// that is [stored](Self::stored). `None`: nothing was added, it has to go by itself.
    pub(super) fn add(
        &mut self,
        now: Now,
        room: Room,
        work: WorkId,
        held: Held,
        message_id: impl FnOnce() -> String,
    ) -> Option<Written> {
        let key = held.key();
        if let Some(id) = self.open.get(&key).copied() {
            if let Some(written) = self.add_to(now, room, id, work, &held) {
                return Some(written);
            }
            // It is full, or late: it goes as it is.
            self.open.remove(&key);
            if let Some(bundle) = self.bundles.get_mut(&id) {
                self.due.remove(&(bundle.due, id));
                bundle.due = bundle.due.min(now.mono);
            }
            self.arrange(id);
        }
        if self.len() >= room.most {
            return None;
        }
        let due = now.mono.plus(room.window);
        let mut bundle = Bundle {
            message_id: message_id(),
            message: held.head.clone(),
            brought: vec![(Some(work), held.parts.len())],
            held,
            due,
            until: due.plus(room.life),
        };
        if !bundle.write(now, room.octets) {
            return None;
        }
        self.last = self.last.wrapping_add(1);
        let id = self.last;
        let written = Written { bundle: id, name: bundle.name(), record: Some(bundle.record(now)) };
        self.bundles.insert(id, bundle);
        self.open.insert(key, id);
        Some(written)
    }

    fn add_to(&mut self, now: Now, room: Room, id: BundleId, work: WorkId, held: &Held) -> Option<Written> {
        let bundle = self.bundles.get_mut(&id).filter(|bundle| bundle.due > now.mono)?;
        let before = bundle.held.parts.len();
        bundle.held.parts.extend(held.parts.iter().cloned());
        if !bundle.write(now, room.octets) {
            bundle.held.parts.truncate(before);
            return None;
        }
        bundle.brought.push((Some(work), held.parts.len()));
        let written = Written { bundle: id, name: bundle.name(), record: Some(bundle.record(now)) };
        self.arrange(id);
        Some(written)
    }

    /// Notes when a bundle is due, while nothing of it is being stored.
    fn arrange(&mut self, id: BundleId) {
        let Some(bundle) = self.bundles.get(&id) else { return };
        let due = (bundle.due, id);
        if bundle.is_being_stored() {
            self.due.remove(&due);
        } else {
            self.due.insert(due);
        }
    }

    /// What a work brought is in the store.
    pub(super) fn stored(&mut self, id: BundleId, work: WorkId) {
        let Some(bundle) = self.bundles.get_mut(&id) else { return };
        for (of, _) in bundle.brought.iter_mut().filter(|(of, _)| *of == Some(work)) {
            *of = None;
        }
        self.arrange(id);
    }

    /// What a work brought is taken out again; what is to be written then.
    pub(super) fn not_stored(&mut self, now: Now, id: BundleId, work: WorkId) -> Option<Written> {
        let bundle = self.bundles.get_mut(&id)?;
        bundle.take_out(work);
        let name = bundle.name();
        if bundle.write(now, usize::MAX) {
            let record = Some(bundle.record(now));
            self.arrange(id);
            return Some(Written { bundle: id, name, record });
        }
        self.due.remove(&(bundle.due, id));
        self.close(id);
        Some(Written { bundle: id, name, record: None })
    }

    fn close(&mut self, id: BundleId) -> Option<Bundle> {
        let bundle = self.bundles.remove(&id)?;
        let key = bundle.held.key();
        if self.open.get(&key) == Some(&id) {
            self.open.remove(&key);
        }
        Some(bundle)
    }

    /// Bundles whose time is over become owed to the user.
    pub(super) fn release(&mut self, now: Now) {
        while let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= now.mono) {
            self.due.remove(&(due, id));
            if let Some(bundle) = self.close(id) {
                self.sending.owe(bundle.name(), bundle.message, now.mono, bundle.until);
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let due = self.due.first().map(|(due, _)| *due);
        [due, self.sending.next_timeout()].into_iter().flatten().min()
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 4] {
        [self.bundles.len(), self.open.len(), self.due.len(), self.sending.len()]
    }
}

#[cfg(test)]
mod tests;
