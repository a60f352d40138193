//! Publications (RFC 3903 §4): event state that a compositor keeps under an entity-tag, created, refreshed, modified and
//! removed. The state machine is that of [`soft_state`](crate::usages::soft_state).

use super::Endpoint;
use super::lease::{Lease, UsageFailure};
use crate::error::{Refusal, Refused};
use crate::event::{Body, Destination, Event, PublicationId, TransactionFailure};
use crate::usages::UsageKey;
use crate::usages::soft_state::{self, Effect, State};
use alloc::string::String;
use core::time::Duration;
use cpm_base::Now;
use cpm_sip::{Expires, From, Headers, Method, NameAddr, Request, Response, SipETag, SipIfMatch, To, Uri};

/// `sub.max_etag`: octets of an entity-tag that is kept; a longer one is no entity-tag.
const MAX_ETAG: usize = 128;

/// What is to be published, and where.
#[derive(Debug, Clone)]
pub struct NewPublication {
    /// Whose state it is: Request-URI and To.
    pub resource: Uri,
    /// Who publishes: From.
    pub from: NameAddr,
    /// The event package.
    pub package: cpm_sip::Event,
    /// The state.
    pub state: Body,
    /// The lifetime that is asked for, in seconds; at least 1.
    pub expires: u32,
    /// More header fields of each PUBLISH.
    pub headers: Headers,
    /// The way of each PUBLISH.
    pub destination: Destination,
}

/// What happened to a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicationEvent {
    /// The compositor holds the state for this many seconds from now; it is refreshed before.
    Published {
        /// Seconds.
        expires: u32,
    },
    /// A PUBLISH failed. With a time, it is tried again by itself then; without, it is over.
    Failed {
        /// Why.
        why: UsageFailure,
        /// The wait until the next try.
        retry_in: Option<Duration>,
    },
    /// Removed as wished. The handle is over.
    Ended,
}

/// A publication, kept as plain data.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    pub(super) wanted: NewPublication,
    pub(super) lease: Lease,
    /// The entity-tag of the last 2xx.
    pub(super) tag: Option<String>,
    /// The compositor has not the newest state.
    pub(super) changed: bool,
}

impl Endpoint {
    /// Publishes event state, and keeps it published. What happens comes as [`Event::Publication`].
    ///
    /// # Errors
    /// No lifetime, no way to the compositor, too many publications or transactions.
    pub fn publish(
        &mut self,
        now: Now,
        new: NewPublication,
    ) -> Result<PublicationId, Refused<NewPublication>> {
        let (held, max) = (self.usages.publications.len(), self.config.limits.max_publications);
        let refusal = match self.may_begin().and_then(|()| Endpoint::room("pub.max", held, max)) {
            Err(why) => Some(why),
            Ok(()) if new.expires == 0 => Some(Refusal::Missing("Expires")),
            Ok(()) => None,
        };
        if let Some(why) = refusal {
            return Err(Refused::new(why, new));
        }
        let id = PublicationId(self.next_id());
        let lease = Lease::new(new.expires);
        self.usages.publications.insert(id, Publication { wanted: new, lease, tag: None, changed: true });
        match self.command_publication(now, id, soft_state::Event::Put) {
            Ok(()) => Ok(id),
            Err(why) => match self.usages.publications.remove(&id) {
                Some(publication) => Err(Refused::new(why, publication.wanted)),
                // It is there: nothing in between takes it.
                None => Ok(id),
            },
        }
    }

    /// Publishes this state in place of the one before. While a PUBLISH is under way the newest state waits for its answer
    /// (RFC 3903 §4): states in between are not sent.
    ///
    /// # Errors
    /// The publication is over or being removed; no way to the compositor, too many transactions.
    pub fn modify_publication(
        &mut self,
        now: Now,
        id: PublicationId,
        state: Body,
    ) -> Result<(), Refused<Body>> {
        let Some(publication) = self.usages.publications.get_mut(&id) else {
            return Err(Refused::new(Refusal::Gone, state));
        };
        if publication.lease.state == State::Removing {
            return Err(Refused::new(Refusal::Busy, state));
        }
        let before = core::mem::replace(&mut publication.wanted.state, state);
        let was_changed = core::mem::replace(&mut publication.changed, true);
        if publication.lease.is_busy() {
            publication.lease.dirty = true;
            return Ok(());
        }
        self.command_publication(now, id, soft_state::Event::Put).map_err(|why| {
            let held = self.usages.publications.get_mut(&id);
            let given = held.map(|held| {
                held.changed = was_changed;
                core::mem::replace(&mut held.wanted.state, before.clone())
            });
            Refused::new(why, given.unwrap_or(before))
        })
    }

    /// Removes the state from the compositor (RFC 3903 §4.5). What was never published is over at once.
    ///
    /// # Errors
    /// The publication is over; [`Refusal::Busy`]: a PUBLISH is under way; no way, too many transactions.
    pub fn unpublish(&mut self, now: Now, id: PublicationId) -> Result<(), Refusal> {
        let Some(publication) = self.usages.publications.get(&id) else { return Err(Refusal::Gone) };
        if publication.tag.is_none() && !publication.lease.is_busy() {
            self.publication_ends(id, PublicationEvent::Ended);
            return Ok(());
        }
        self.command_publication(now, id, soft_state::Event::Remove)
    }

    fn command_publication(
        &mut self,
        now: Now,
        id: PublicationId,
        event: soft_state::Event,
    ) -> Result<(), Refusal> {
        let Some(publication) = self.usages.publications.get_mut(&id) else { return Err(Refusal::Gone) };
        let before = publication.lease.clone();
        let (state, effect) = soft_state::step(before.state, event);
        if effect == Effect::Busy {
            return Err(Refusal::Busy);
        }
        publication.lease.state = state;
        let result = self.send_publish(now, id, effect);
        if result.is_err()
            && let Some(publication) = self.usages.publications.get_mut(&id)
        {
            publication.lease = before;
        }
        self.schedule_publication(id);
        self.settle(now);
        result
    }

    fn send_publish(&mut self, now: Now, id: PublicationId, effect: Effect) -> Result<(), Refusal> {
        let Some(publication) = self.usages.publications.get_mut(&id) else { return Ok(()) };
        if effect != Effect::SendLonger {
            publication.lease.begins(effect == Effect::SendRemoval);
        }
        if effect == Effect::SendAnew {
            // RFC 3903 §4.3: the tag is worth nothing, the next PUBLISH is an initial one.
            publication.tag = None;
        }
        let request = publication.request();
        let destination = publication.wanted.destination.clone();
        self.schedule_publication(id);
        self.send_for_usage(now, UsageKey::Publication(id), request, &destination)
    }

    pub(super) fn publication_answered(&mut self, now: Now, id: PublicationId, response: Response) {
        let Some(publication) = self.usages.publications.get_mut(&id) else { return };
        let granted = response.typed::<Expires>().ok().flatten();
        let granted = granted.map_or(publication.lease.asked, |field| field.0);
        let mut event = publication.lease.verdict(&response, granted);
        if event == soft_state::Event::Granted {
            let tag = response.typed::<SipETag>().ok().flatten();
            publication.tag = tag.map(|tag| String::from(tag.as_str())).filter(|tag| tag.len() <= MAX_ETAG);
            if publication.tag.is_none() && publication.lease.state != State::Removing {
                // Without a tag it can be neither refreshed nor removed (RFC 3903 §11.3.1).
                event = soft_state::Event::FailedForNow;
            } else if !publication.lease.dirty {
                publication.changed = false;
            }
        }
        let why = match event {
            soft_state::Event::GrantedNothing => UsageFailure::GrantedNothing(response.into()),
            _ => UsageFailure::Rejected(response.into()),
        };
        self.publication_moves(now, id, event, Some(why), granted);
    }

    pub(super) fn publication_unanswered(&mut self, now: Now, id: PublicationId, why: TransactionFailure) {
        let why = UsageFailure::NoAnswer(why);
        self.publication_moves(now, id, soft_state::Event::FailedForNow, Some(why), 0);
    }

    pub(super) fn publication_due(&mut self, now: Now, id: PublicationId) {
        self.publication_moves(now, id, soft_state::Event::Due, None, 0);
    }

    fn publication_moves(
        &mut self,
        now: Now,
        id: PublicationId,
        event: soft_state::Event,
        why: Option<UsageFailure>,
        granted: u32,
    ) {
        let Some(publication) = self.usages.publications.get_mut(&id) else { return };
        let (state, effect) = soft_state::step(publication.lease.state, event);
        publication.lease.state = state;
        match effect {
            Effect::Send | Effect::SendLonger | Effect::SendAnew | Effect::SendRemoval => {
                if let Err(why) = self.send_publish(now, id, effect) {
                    let why = Some(UsageFailure::Refused(why));
                    self.publication_moves(now, id, soft_state::Event::FailedForNow, why, 0);
                }
            }
            Effect::Stands => {
                let refresh = self.refresh_after(granted);
                let Some(publication) = self.usages.publications.get_mut(&id) else { return };
                publication.lease.stands(now, granted, refresh);
                let dirty = publication.lease.dirty;
                let event = PublicationEvent::Published { expires: granted };
                self.event(Event::Publication { publication: id, event });
                if dirty {
                    self.publication_moves(now, id, soft_state::Event::Put, None, 0);
                }
            }
            Effect::FailsForNow | Effect::FailsForGood => {
                let why = why.unwrap_or(UsageFailure::NoAnswer(TransactionFailure::Transport));
                self.publication_fails(now, id, why, effect == Effect::FailsForNow);
            }
            Effect::Over => return self.publication_ends(id, PublicationEvent::Ended),
            Effect::Nothing | Effect::Busy => {}
        }
        self.schedule_publication(id);
    }

    fn publication_fails(&mut self, now: Now, id: PublicationId, why: UsageFailure, again: bool) {
        let Some(publication) = self.usages.publications.get_mut(&id) else { return };
        if !again {
            return self.publication_ends(id, PublicationEvent::Failed { why, retry_in: None });
        }
        // What the compositor has is not known: all of it is sent with the next try.
        publication.changed = true;
        let failures = publication.lease.fails();
        let wait = self.retry_wait(failures, false, &why);
        if let Some(publication) = self.usages.publications.get_mut(&id) {
            publication.lease.wait(now, wait);
        }
        let event = PublicationEvent::Failed { why, retry_in: Some(wait) };
        self.event(Event::Publication { publication: id, event });
    }

    fn publication_ends(&mut self, id: PublicationId, event: PublicationEvent) {
        self.usages.publications.remove(&id);
        self.set_usage_alarm(UsageKey::Publication(id), None);
        self.event(Event::Publication { publication: id, event });
    }

    fn schedule_publication(&mut self, id: PublicationId) {
        let at = self.usages.publications.get(&id).and_then(|publication| publication.lease.next());
        self.set_usage_alarm(UsageKey::Publication(id), at);
    }
}

impl Publication {
    /// Initial with the state; refresh with the tag alone; modify with both; remove with the tag and no time to live
    /// (RFC 3903 §4.1, table 1).
    fn request(&self) -> Request {
        let wanted = &self.wanted;
        let mut request = Request::new(Method::Publish, wanted.resource.clone());
        let headers = request.headers_mut();
        headers.push_typed(&From::new(wanted.from.clone()));
        headers.push_typed(&To::new(wanted.resource.clone()));
        headers.push_typed(&wanted.package);
        headers.push_typed(&Expires(self.lease.asked));
        if let Some(tag) = self.tag.as_deref().and_then(|tag| SipIfMatch::new(tag).ok()) {
            headers.push_typed(&tag);
        }
        let removing = self.lease.state == State::Removing;
        let body = ((self.tag.is_none() || self.changed) && !removing).then_some(&wanted.state);
        super::dialogs::add_fields(&mut request, &wanted.headers, body);
        request
    }
}
