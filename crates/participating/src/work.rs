//! MESSAGEs under way: what is known of each, what it waits for, and until when.
//!
//! A procedure takes its [`Work`] out, does a step, and puts it back when it waits for something again; what it does not
//! put back is over. Nothing waits without a limit of time: a question to the host has [`crate::Policy::query_time`],
//! after which its answer counts as a failure, and a request that was passed on ends with its transactions.

use crate::facts::Facts;
use crate::{originating, terminating};
use cpm_base::Instant;
use cpm_core::outside::FetchError;
use cpm_core::{Query, QueryId, Reply, StoreError};
use cpm_sip::{Request, Response};
use cpm_ua::{ProxyId, RequestId, TransactionFailure, TransactionId};
use std::collections::{BTreeMap, BTreeSet};

/// A MESSAGE under way is named like its request, also after that was answered.
pub(crate) type WorkId = RequestId;

/// A MESSAGE under way.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) id: WorkId,
    /// As it was received.
    pub(crate) request: Request,
    pub(crate) facts: Facts,
    pub(crate) stage: Stage,
}

/// How far it has come, in its procedure.
#[derive(Debug)]
pub(crate) enum Stage {
    /// TS 8.2.1.1.
    Originating(originating::Stage),
    /// TS 8.3.1.1.
    Terminating(terminating::Stage),
}

/// What happened to a MESSAGE under way.
#[derive(Debug)]
pub(crate) enum Happening {
    /// The host replied, or did not in time: then this is a failure.
    Reply(QueryId, Reply),
    /// The best response of those that it was passed on to. It is held: [`cpm_ua::Endpoint::release`] lets it, or another,
    /// go upstream.
    Answered(ProxyId, Response),
    /// One of those that it was passed on to answered after the answer was given: its response, or none.
    Late(ProxyId, Option<Response>),
    /// The final response to a request that was sent for it, or none.
    Response(Result<Response, TransactionFailure>),
    /// Something that it waits for was written, or could not be.
    Written { kept: bool },
    /// Its timer rang.
    Timer,
    /// Nobody waits for its answer any more; nothing was sent.
    TooLate,
}

/// Who asked the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A MESSAGE under way.
    Work(WorkId),
    /// Nobody: the reply changes nothing.
    Nobody,
}

/// A question that the host has not answered.
#[derive(Debug)]
struct Asked {
    asker: Asker,
    until: Instant,
    /// What counts as the reply when none comes.
    failure: Reply,
}

/// All that is under way.
#[derive(Debug, Default)]
pub(crate) struct Works {
    works: BTreeMap<WorkId, Box<Work>>,
    proxies: BTreeMap<ProxyId, WorkId>,
    watched: BTreeMap<ProxyId, WorkId>,
    transactions: BTreeMap<TransactionId, WorkId>,
    asked: BTreeMap<QueryId, Asked>,
    asked_until: BTreeSet<(Instant, QueryId)>,
    timers: BTreeMap<WorkId, Instant>,
    timers_at: BTreeSet<(Instant, WorkId)>,
}

impl Works {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.works.len()
    }

    /// Keeps a work that waits for something.
    pub(crate) fn put(&mut self, work: Box<Work>) {
        self.works.insert(work.id, work);
    }

    /// Takes one out; its procedure puts it back, or it is over.
    pub(crate) fn take(&mut self, id: WorkId) -> Option<Box<Work>> {
        self.works.remove(&id)
    }

    /// A request was passed on for a work.
    pub(crate) fn passed_on(&mut self, proxy: ProxyId, id: WorkId) {
        self.proxies.insert(proxy, id);
    }

    /// Whose request was passed on.
    pub(crate) fn of_proxy(&self, proxy: ProxyId) -> Option<WorkId> {
        self.proxies.get(&proxy).copied()
    }

    /// What was passed on is over.
    pub(crate) fn proxy_over(&mut self, proxy: ProxyId) -> Option<WorkId> {
        self.proxies.remove(&proxy)
    }

    /// A work wants to know who takes what was passed on, though it has its answer; or not any more.
    pub(crate) fn watch_proxy(&mut self, proxy: ProxyId, id: Option<WorkId>) {
        match id {
            Some(id) => self.watched.insert(proxy, id),
            None => self.watched.remove(&proxy),
        };
    }

    /// Who wants to know that.
    pub(crate) fn watcher(&self, proxy: ProxyId) -> Option<WorkId> {
        self.watched.get(&proxy).copied()
    }

    /// A request was sent for a work.
    pub(crate) fn sent(&mut self, transaction: TransactionId, id: WorkId) {
        self.transactions.insert(transaction, id);
    }

    /// A transaction is over: whose it was.
    pub(crate) fn transaction_over(&mut self, transaction: TransactionId) -> Option<WorkId> {
        self.transactions.remove(&transaction)
    }

    /// The host was asked.
    pub(crate) fn asked(&mut self, id: QueryId, asker: Asker, failure: Reply, until: Instant) {
        self.asked_until.insert((until, id));
        self.asked.insert(id, Asked { asker, until, failure });
    }

    /// The host replied: who had asked, and the reply; a reply of another kind than was asked for is a failure. `None`: to
    /// no question, or to one that was answered or given up.
    pub(crate) fn replied(&mut self, id: QueryId, reply: Reply) -> Option<(Asker, Reply)> {
        let Asked { asker, until, failure } = self.asked.remove(&id)?;
        self.asked_until.remove(&(until, id));
        let same = core::mem::discriminant(&reply) == core::mem::discriminant(&failure);
        Some((asker, if same { reply } else { failure }))
    }

    /// A question that the host did not answer in time, with the failure in the place of its reply.
    pub(crate) fn unanswered(&mut self, now: Instant) -> Option<(QueryId, Asker, Reply)> {
        let (_, id) = *self.asked_until.first().filter(|(until, _)| *until <= now)?;
        let Asked { asker, until, failure } = self.asked.remove(&id)?;
        self.asked_until.remove(&(until, id));
        Some((id, asker, failure))
    }

    /// Sets the one timer of a work; `None` stops it.
    pub(crate) fn set_timer(&mut self, id: WorkId, at: Option<Instant>) {
        if let Some(before) = self.timers.remove(&id) {
            self.timers_at.remove(&(before, id));
        }
        if let Some(at) = at {
            self.timers.insert(id, at);
            self.timers_at.insert((at, id));
        }
    }

    /// A work whose timer rang.
    pub(crate) fn rang(&mut self, now: Instant) -> Option<WorkId> {
        let (_, id) = *self.timers_at.first().filter(|(at, _)| *at <= now)?;
        self.set_timer(id, None);
        Some(id)
    }

    /// When something runs out.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let first = |set: Option<Instant>| set.into_iter();
        first(self.asked_until.first().map(|(at, _)| *at))
            .chain(first(self.timers_at.first().map(|(at, _)| *at)))
            .min()
    }
}

/// What counts as the reply to a question when none comes.
pub(crate) fn failure_of(query: &Query) -> Reply {
    match query {
        Query::Preferences(_) => Reply::Preferences(Err(FetchError::Failed)),
        Query::Fetch { .. } => Reply::Fetched(Err(FetchError::Failed)),
        Query::BodyStructure { .. } => Reply::BodyStructure(Err(FetchError::Failed)),
        Query::StoreObject(_) => Reply::ObjectStored(Err(StoreError::Failed)),
        Query::Store(_) | Query::MarkSeen { .. } => Reply::Stored(Err(StoreError::Failed)),
        other => other.unanswered(),
    }
}
