//! What lies outside of a node and is asked for by queries: preferences, objects behind URLs, the message store; and how
//! its hosts fail.

use super::{Due, NodeId, Stored, World};
use crate::node::SimNode;
use cpm_base::{Instant, Seed};
use cpm_core::outside::{
    BodyPart, BodyStructure, FetchError, FetchedObject, ObjectUid, Preferences, StoredObject,
};
use cpm_core::{Function, Node, Query, QueryId, Record, Reply, StoreError, standing};
use cpm_cpim::CpimMessage;
use cpm_mime::{ContentType, Multipart, Part};
use cpm_sip::Uri;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What a query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueryKind {
    /// [`Query::Resolve`].
    Resolve,
    /// [`Query::Store`].
    Store,
    /// [`Query::Preferences`].
    Preferences,
    /// [`Query::Fetch`].
    Fetch,
    /// [`Query::StoreObject`].
    StoreObject,
    /// [`Query::BodyStructure`].
    BodyStructure,
    /// [`Query::MarkSeen`].
    MarkSeen,
}

impl QueryKind {
    fn of(query: &Query) -> Option<Self> {
        Some(match query {
            Query::Resolve(_) => QueryKind::Resolve,
            Query::Store(_) => QueryKind::Store,
            Query::Preferences(_) => QueryKind::Preferences,
            Query::Fetch { .. } => QueryKind::Fetch,
            Query::StoreObject(_) => QueryKind::StoreObject,
            Query::BodyStructure { .. } => QueryKind::BodyStructure,
            Query::MarkSeen { .. } => QueryKind::MarkSeen,
            _ => return None,
        })
    }
}

/// How a query goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryFault {
    /// What is stored is not, and the reply says why; what is looked for fails.
    Store(StoreError),
    /// What is looked for is not given, and the reply says why; what is stored fails.
    Fetch(FetchError),
    /// Nothing is done and nothing is said.
    Lost,
    /// It is done, but the reply does not come.
    ReplyLost,
    /// It is done, and the reply comes twice.
    ReplyDoubled,
}

/// How often queries of all kinds go wrong by chance: probabilities from 0.0 to 1.0. Default: never.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QueryTrouble {
    /// It fails, and the reply says so.
    pub failed: f64,
    /// Nothing is done and nothing is said.
    pub lost: f64,
    /// It is done, but the reply does not come.
    pub reply_lost: f64,
    /// It is done, and the reply comes twice.
    pub reply_doubled: f64,
}

/// An object in the message store of a user of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptObject {
    /// Since when.
    pub at: Instant,
    /// Its name in the store of its user.
    pub uid: ObjectUid,
    /// The object.
    pub object: StoredObject,
    /// Its \Seen flag.
    pub seen: bool,
}

/// Makes a node anew out of what its store holds.
type Builder<E> = Box<dyn FnMut(Seed, Vec<Record>) -> Box<dyn SimNode<E>>>;

/// What the world knows for one node.
pub(super) struct Outside<E> {
    /// By the key of the user's address.
    preferences: BTreeMap<String, Arc<Preferences>>,
    /// By the user's address and the URL.
    behind_urls: BTreeMap<(String, String), FetchedObject>,
    objects: Vec<KeptObject>,
    /// The next ones of a kind go wrong so.
    faults: BTreeMap<QueryKind, VecDeque<QueryFault>>,
    builder: Option<Builder<E>>,
}

impl<E> Default for Outside<E> {
    fn default() -> Self {
        Outside {
            preferences: BTreeMap::new(),
            behind_urls: BTreeMap::new(),
            objects: Vec::new(),
            faults: BTreeMap::new(),
            builder: None,
        }
    }
}

/// What the reply to a query does when it is due.
pub(super) struct Answer {
    query: QueryId,
    /// What is asked; done when the reply is due. `None` once it was, for the second of two replies.
    question: Option<Query>,
    /// The reply when nothing is done.
    reply: Option<Reply>,
    fault: Option<QueryFault>,
}

impl<E: fmt::Debug + 'static> World<E> {
    /// What a user of a node wants done with what comes for him. Default: nothing is known.
    pub fn set_preferences(&mut self, node: impl Into<NodeId>, user: &Uri, preferences: Preferences) {
        let outside = &mut self.slot_mut(node.into()).outside;
        outside.preferences.insert(user.address_key(), Arc::new(preferences));
    }

    /// What lies behind a URL in the store of a node's user.
    pub fn set_behind_url(&mut self, node: impl Into<NodeId>, user: &Uri, url: &str, object: FetchedObject) {
        let outside = &mut self.slot_mut(node.into()).outside;
        outside.behind_urls.insert((user.address_key(), url.to_owned()), object);
    }

    /// The message store of a node's users, oldest first. It outlives crashes.
    #[must_use]
    pub fn objects(&self, node: impl Into<NodeId>) -> &[KeptObject] {
        &self.slot(node.into()).outside.objects
    }

    /// The next queries of a kind of a node go wrong in this way, one for each entry.
    pub fn fail_queries(&mut self, node: impl Into<NodeId>, kind: QueryKind, faults: &[QueryFault]) {
        self.slot_mut(node.into()).outside.faults.entry(kind).or_default().extend(faults);
    }

    /// No query goes wrong any more, neither those that were to ([`World::fail_queries`]) nor by chance.
    pub fn end_query_trouble(&mut self) {
        self.query_trouble = QueryTrouble::default();
        self.nodes.iter_mut().for_each(|slot| slot.outside.faults.clear());
    }

    /// The next store queries of a node fail in this way, one for each entry.
    pub fn fail_stores(&mut self, node: impl Into<NodeId>, faults: &[StoreError]) {
        let faults: Vec<_> = faults.iter().map(|fault| QueryFault::Store(*fault)).collect();
        self.fail_queries(node, QueryKind::Store, &faults);
    }

    /// How often queries go wrong by chance, of all nodes and kinds but [`Query::Resolve`].
    pub fn set_query_trouble(&mut self, trouble: QueryTrouble) {
        self.query_trouble = trouble;
    }

    /// How long replies to queries take. Default: 1 ms.
    pub fn set_query_delay(&mut self, delay: Range<Duration>) {
        self.query_delay = delay;
    }

    /// How long replies to queries of one kind take, instead of [`World::set_query_delay`].
    pub fn set_query_delay_of(&mut self, kind: QueryKind, delay: Range<Duration>) {
        self.query_delays.insert(kind, delay);
    }

    /// How a node is made anew after a crash, from what its store holds: see [`World::restart_from_store`].
    pub fn set_builder<F>(
        &mut self,
        node: super::Handle<F>,
        mut build: impl FnMut(Seed, Vec<Record>) -> Node<F> + 'static,
    ) where
        F: Function + 'static,
        F::Event: Into<E>,
    {
        self.set_machine_builder(node, move |seed, records| Box::new(build(seed, records)));
    }

    /// The same for a machine of the caller's own.
    pub fn set_machine_builder(
        &mut self,
        node: impl Into<NodeId>,
        build: impl FnMut(Seed, Vec<Record>) -> Box<dyn SimNode<E>> + 'static,
    ) {
        self.slot_mut(node.into()).outside.builder = Some(Box::new(build));
    }

    /// A node starts again (a running one crashes first) with the records that [stand](standing) in its store:
    /// of two under one name that whose reply was due last, whatever the order of the questions. What the former life had
    /// asked the store for and was not done yet is done before, or never.
    ///
    /// # Panics
    /// Nobody said how ([`World::set_builder`]).
    pub fn restart_from_store(&mut self, node: impl Into<NodeId>) {
        let node = node.into();
        if !self.is_down(node) {
            self.crash(node);
        }
        self.fence(node);
        let records = standing(self.slot(node).stored.iter().map(|stored| stored.record.clone()));
        let seed = self.fork_seed();
        let builder = self.slot_mut(node).outside.builder.as_mut().expect("how it is made is known");
        let machine = builder(seed, records);
        self.restart_machine(node, machine);
    }

    /// What a life asked its store for, and was not done when it ended, is done now or never: no store lets it come behind
    /// the records that the next life is given ([`Query::Store`]).
    fn fence(&mut self, of: NodeId) {
        let asks_store = |answer: &Answer| {
            matches!(answer.question.as_ref().map(QueryKind::of), Some(Some(QueryKind::Store)))
        };
        let late =
            |due: &Due| matches!(due, Due::Reply { node, answer, .. } if *node == of && asks_store(answer));
        let keys: Vec<_> = self.due.iter().filter(|(_, due)| late(due)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(Due::Reply { answer, .. }) = self.due.remove(&key) else { continue };
            if let Some(question) = answer.question.filter(|_| self.dice.happens(0.5)) {
                self.done(of, question);
            }
        }
    }

    /// Whether a node is down.
    #[must_use]
    pub fn is_down(&self, node: impl Into<NodeId>) -> bool {
        self.slot(node.into()).machine.is_none()
    }

    /// A query of a node: what will become of it is decided now, and done when its reply is due.
    pub(super) fn ask(&mut self, node: NodeId, query: QueryId, question: Query) {
        let kind = QueryKind::of(&question);
        let fault = kind.and_then(|kind| self.fault_of(node, kind));
        self.note_query(node, &question, fault);
        let delay = kind.and_then(|kind| self.query_delays.get(&kind)).unwrap_or(&self.query_delay).clone();
        let delay = self.dice.delay(delay.start, delay.end);
        let at = self.now.mono.plus(delay);
        let (reply, question) = match fault {
            Some(QueryFault::Lost) => return,
            Some(QueryFault::Store(_) | QueryFault::Fetch(_)) => {
                (fault.map(|fault| failed(&question, fault)), None)
            }
            _ => (None, Some(question)),
        };
        let life = self.slot(node).life;
        self.schedule(at, Due::Reply { node, life, answer: Answer { query, question, reply, fault } });
    }

    fn fault_of(&mut self, node: NodeId, kind: QueryKind) -> Option<QueryFault> {
        let faults = self.slot_mut(node).outside.faults.get_mut(&kind);
        if let Some(fault) = faults.and_then(VecDeque::pop_front) {
            return Some(fault);
        }
        let trouble = self.query_trouble;
        if kind == QueryKind::Resolve || trouble == QueryTrouble::default() {
            return None;
        }
        let by_chance = [
            (trouble.failed, QueryFault::Store(StoreError::Failed)),
            (trouble.lost, QueryFault::Lost),
            (trouble.reply_lost, QueryFault::ReplyLost),
            (trouble.reply_doubled, QueryFault::ReplyDoubled),
        ];
        let drawn = by_chance.map(|(probability, fault)| self.dice.happens(probability).then_some(fault));
        drawn.into_iter().flatten().next()
    }

    fn note_query(&mut self, node: NodeId, question: &Query, fault: Option<QueryFault>) {
        let mut label = match question {
            Query::Resolve(name) => format!("resolve {}", name.host),
            Query::Store(Record::State(state)) => {
                format!("{} {}", if state.value.is_some() { "store" } else { "remove" }, state.key)
            }
            Query::Store(_) => "store".to_owned(),
            Query::Preferences(user) => format!("preferences of {user}"),
            Query::Fetch { url, .. } => format!("fetch {url}"),
            Query::StoreObject(object) => format!("store object for {}", object.user),
            Query::BodyStructure { uid, .. } => format!("structure of {}", uid.0),
            Query::MarkSeen { message_id, .. } => format!("mark seen {message_id}"),
            _ => "unknown query".to_owned(),
        };
        if let Some(fault) = fault {
            label.push_str(&format!(": {}", fault.words()));
        }
        self.note(crate::What::Query, node, node, label, crate::Kind::Note);
    }

    /// What is asked is done from the moment of the reply on, also when the node that asked is gone by then.
    pub(super) fn answer(&mut self, node: NodeId, life: u64, answer: Answer) {
        let Answer { query, question, reply, fault } = answer;
        let reply = match (reply, question) {
            (Some(reply), _) => reply,
            (None, Some(question)) => self.done(node, question),
            (None, None) => return,
        };
        if fault == Some(QueryFault::ReplyLost) {
            return;
        }
        if fault == Some(QueryFault::ReplyDoubled) {
            let again = Answer { query, question: None, reply: Some(reply.clone()), fault: None };
            let at = self.now.mono.plus(self.dice.delay(self.query_delay.start, self.query_delay.end));
            self.schedule(at, Due::Reply { node, life, answer: again });
        }
        let now = self.now;
        if self.slot(node).life == life {
            self.with(node, |machine| machine.handle_reply(now, query, reply));
        }
    }

    fn done(&mut self, node: NodeId, question: Query) -> Reply {
        let at = self.now.mono;
        if let Query::Resolve(name) = &question {
            return Reply::Resolved(self.resolve(name));
        }
        let slot = self.slot_mut(node);
        if let Query::Store(record) = question {
            slot.stored.push(Stored { at, record });
            return Reply::Stored(Ok(()));
        }
        slot.outside.done(at, question)
    }
}

impl<E> Outside<E> {
    fn done(&mut self, at: Instant, question: Query) -> Reply {
        match question {
            Query::Preferences(user) => {
                let known = self.preferences.get(&user.address_key()).cloned();
                Reply::Preferences(Ok(known.unwrap_or_default()))
            }
            Query::Fetch { user, url } => {
                let known = self.behind_urls.get(&(user.address_key(), url));
                Reply::Fetched(known.cloned().ok_or(FetchError::NotFound))
            }
            Query::StoreObject(object) => Reply::ObjectStored(self.keep(at, *object)),
            Query::BodyStructure { user, uid } => {
                let key = user.address_key();
                let kept =
                    self.objects.iter().find(|kept| kept.uid == uid && kept.object.user.address_key() == key);
                Reply::BodyStructure(kept.map(structure_of).ok_or(FetchError::NotFound))
            }
            Query::MarkSeen { user, message_id } => {
                let key = user.address_key();
                let meant = |kept: &&mut KeptObject| {
                    kept.object.user.address_key() == key
                        && kept.object.message_id.as_deref() == Some(message_id.as_str())
                };
                self.objects.iter_mut().filter(meant).for_each(|kept| kept.seen = true);
                Reply::Stored(Ok(()))
            }
            other => other.unanswered(),
        }
    }

    /// The same object again has the UID that it has.
    fn keep(&mut self, at: Instant, object: StoredObject) -> Result<ObjectUid, StoreError> {
        let key = object.user.address_key();
        let of_user = |kept: &&KeptObject| kept.object.user.address_key() == key;
        let same = |kept: &&KeptObject| {
            object.message_id.is_some()
                && (kept.object.direction, &kept.object.message_id) == (object.direction, &object.message_id)
        };
        let replaced = |kept: &&mut KeptObject| {
            Some(kept.uid) == object.replaces && kept.object.user.address_key() == key
        };
        if let Some(kept) = self.objects.iter_mut().find(replaced) {
            kept.object = object;
            return Ok(kept.uid);
        }
        if let Some(kept) = self.objects.iter().filter(of_user).find(same) {
            return Ok(kept.uid);
        }
        let last = self.objects.iter().filter(of_user).map(|kept| kept.uid.0.get()).max().unwrap_or(0);
        let uid = last.checked_add(1).and_then(NonZeroU32::new).map(ObjectUid).ok_or(StoreError::Full)?;
        self.objects.push(KeptObject { at, uid, object, seen: false });
        Ok(uid)
    }
}

impl QueryFault {
    fn words(self) -> String {
        match self {
            QueryFault::Store(why) => why.to_string(),
            QueryFault::Fetch(why) => why.to_string(),
            QueryFault::Lost => "lost".to_owned(),
            QueryFault::ReplyLost => "the reply is lost".to_owned(),
            QueryFault::ReplyDoubled => "the reply comes twice".to_owned(),
        }
    }
}

fn failed(question: &Query, fault: QueryFault) -> Reply {
    let (store, fetch) = match fault {
        QueryFault::Store(why) => (why, FetchError::Failed),
        QueryFault::Fetch(why) => (StoreError::Failed, why),
        _ => (StoreError::Failed, FetchError::Failed),
    };
    match question {
        Query::Resolve(_) => Reply::Resolved(Vec::new()),
        Query::Store(_) | Query::MarkSeen { .. } => Reply::Stored(Err(store)),
        Query::Preferences(_) => Reply::Preferences(Err(fetch)),
        Query::Fetch { .. } => Reply::Fetched(Err(fetch)),
        Query::StoreObject(_) => Reply::ObjectStored(Err(store)),
        Query::BodyStructure { .. } => Reply::BodyStructure(Err(fetch)),
        other => other.unanswered(),
    }
}

/// The leaves of the CPIM message in a kept request: its content, or the parts of that.
fn structure_of(kept: &KeptObject) -> BodyStructure {
    let user = kept.object.user.to_string();
    let user = user.split_once(':').map_or(user.as_str(), |(_, address)| address);
    let name = user.split('@').next().unwrap_or(user);
    let url = format!("imap://{name}@store.test/messages;UIDVALIDITY=1/;UID={}", kept.uid.0);
    BodyStructure { url, parts: parts_of(kept).unwrap_or_default() }
}

fn parts_of(kept: &KeptObject) -> Option<Vec<BodyPart>> {
    let message = cpm_sip::parse_datagram(kept.object.object.clone(), &cpm_sip::Limits::default()).ok()?;
    let (cpim, _) = CpimMessage::parse(
        message.body().clone(),
        &cpm_cpim::Limits::default(),
        &cpm_cpim::Leniency::default(),
    )
    .ok()?;
    let type_of = |part: &Part| part.headers.get("Content-Type").map(|value| value.into_owned());
    let leaf = |section: String, part: &Part| BodyPart {
        section,
        content_type: type_of(part).unwrap_or_else(|| "text/plain".to_owned()),
        octets: u64::try_from(part.body.len()).unwrap_or(u64::MAX),
    };
    let content = cpim.content();
    let content_type = type_of(content).and_then(|text| ContentType::parse(&text).ok());
    let multipart =
        content_type.filter(|known| known.to_string().to_ascii_lowercase().starts_with("multipart/"));
    let Some(multipart) = multipart else { return Some(vec![leaf("1".to_owned(), content)]) };
    let parts = Multipart::parse(&multipart, content.body.clone(), &cpm_mime::Limits::default()).ok()?;
    Some(parts.parts().iter().enumerate().map(|(n, part)| leaf(format!("1.{}", n + 1), part)).collect())
}
