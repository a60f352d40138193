//! Subscriptions of both sides as parts of the record of their dialog.

use super::super::Endpoint;
use super::super::notifiers::Notifier;
use super::super::subscribers::Subscription;
use super::super::usages::Usage;
use super::{
    Age, Restored, read_headers, read_instant_option, read_value, write_headers, write_instant,
    write_instant_option, write_value,
};
use crate::error::Refusal;
use crate::event::{DialogId, NotifierId, RequestId, SubscribeId, SubscriptionId};
use crate::usages::{notifier, subscriber};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_base::{Instant, LimitExceeded, Now};
use cpm_sip::{Event as Package, Headers};

/// What is read of a subscription of ours.
pub(in crate::endpoint) struct ReadSubscription {
    pub(in crate::endpoint) package: Package,
    pub(in crate::endpoint) refer: Option<u32>,
    pub(in crate::endpoint) headers: Headers,
    pub(in crate::endpoint) state: subscriber::State,
    pub(in crate::endpoint) wish: u32,
    pub(in crate::endpoint) asked: u32,
    pub(in crate::endpoint) expires_at: Option<Instant>,
    pub(in crate::endpoint) refresh_at: Option<Instant>,
    pub(in crate::endpoint) timer_n: Option<Instant>,
}

/// What is read of a subscription that the function accepted.
pub(in crate::endpoint) struct ReadNotifier {
    pub(in crate::endpoint) package: Package,
    pub(in crate::endpoint) subscriber: String,
    pub(in crate::endpoint) state: notifier::State,
    pub(in crate::endpoint) expires_at: Instant,
    pub(in crate::endpoint) min_interval: Duration,
    pub(in crate::endpoint) headers: Headers,
    pub(in crate::endpoint) not_before: Option<Instant>,
}

/// The usages of a dialog besides its call.
#[derive(Default)]
pub(super) struct ReadUsages {
    subscriptions: Vec<ReadSubscription>,
    notifiers: Vec<ReadNotifier>,
}

impl ReadUsages {
    pub(super) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty() && self.notifiers.is_empty()
    }
}

impl Endpoint {
    /// Writes the subscriptions of a dialog, oldest first.
    pub(super) fn write_usages(
        &self,
        record: &mut RecordWriter,
        usages: impl ExactSizeIterator<Item = Usage>,
        now: Now,
    ) -> Result<(), Refusal> {
        let open = |id: &RequestId| self.servers.get(id).is_some_and(|server| !server.answered());
        record.count(usages.len());
        for Usage::Subscription(number) in usages {
            let ours = self.usages.subscriptions.get(&SubscriptionId(number));
            let theirs = self.usages.notifiers.get(&NotifierId(number));
            match (ours, theirs) {
                (Some(ours), _) if ours.is_resting(open) => write_subscription(record.u8(0), ours, now),
                (_, Some(theirs)) if theirs.is_resting() => write_notifier(record.u8(1), theirs, now),
                _ => return Err(Refusal::Busy),
            }
        }
        Ok(())
    }

    /// Whether there is room for what was read.
    pub(super) fn room_for_usages(&self, usages: &ReadUsages) -> Result<(), LimitExceeded> {
        let max = self.config.limits.max_subscriptions;
        let room = |held: usize, more: usize| match more {
            0 => Ok(()),
            more => LimitExceeded::check("sub.max", held.saturating_add(more), max),
        };
        room(self.usages.subscriptions.len(), usages.subscriptions.len())?;
        room(self.usages.notifiers.len(), usages.notifiers.len())
    }

    pub(super) fn take_up_usages(&mut self, dialog: DialogId, usages: ReadUsages) -> Restored {
        let mut restored = Restored { dialog, subscriptions: Vec::new(), notifiers: Vec::new() };
        for read in usages.subscriptions {
            let (id, subscribe) = (SubscriptionId(self.next_id()), SubscribeId(self.next_id()));
            self.take_up_subscription(id, Subscription::restored(subscribe, dialog, read));
            restored.subscriptions.push(id);
        }
        for read in usages.notifiers {
            let id = NotifierId(self.next_id());
            self.take_up_notifier(id, Notifier::restored(dialog, read));
            restored.notifiers.push(id);
        }
        restored
    }
}

fn write_subscription(record: &mut RecordWriter, known: &Subscription, now: Now) {
    write_value(record, &known.package);
    record.flag(known.refer.is_some()).u32(known.refer.unwrap_or(0));
    write_headers(record, &known.headers);
    record.u8(match known.state {
        subscriber::State::NotifyWait => 0,
        subscriber::State::Pending => 1,
        _ => 2,
    });
    record.u32(known.wish).u32(known.asked);
    for at in [known.expires_at, known.refresh_at, known.timer_n] {
        write_instant_option(record, at, now);
    }
}

fn write_notifier(record: &mut RecordWriter, known: &Notifier, now: Now) {
    write_value(record, &known.package);
    record.text(&known.subscriber).flag(known.state == notifier::State::Active);
    write_instant(record, known.expires_at, now);
    record.u64(u64::try_from(known.min_interval.as_micros()).unwrap_or(u64::MAX));
    write_headers(record, &known.headers);
    write_instant_option(record, known.not_before(), now);
}

pub(super) fn read_usages(
    record: &mut RecordReader<'_>,
    age: &Age,
    now: Now,
    most: Duration,
) -> Result<ReadUsages, RecordError> {
    let mut usages = ReadUsages::default();
    for _ in 0..record.count()? {
        match record.u8()? {
            0 => usages.subscriptions.push(read_subscription(record, age, now, most)?),
            1 => usages.notifiers.push(read_notifier(record, age, now, most)?),
            _ => return Err(RecordError::Value("usage")),
        }
    }
    Ok(usages)
}

fn read_subscription(
    record: &mut RecordReader<'_>,
    age: &Age,
    now: Now,
    most: Duration,
) -> Result<ReadSubscription, RecordError> {
    let package = read_value(record, "Event")?;
    let (is_refer, number) = (record.flag()?, record.u32()?);
    let headers = read_headers(record)?;
    let state = match record.u8()? {
        0 => subscriber::State::NotifyWait,
        1 => subscriber::State::Pending,
        2 => subscriber::State::Active,
        _ => return Err(RecordError::Value("state")),
    };
    let (wish, asked) = (record.u32()?, record.u32()?);
    let refer = is_refer.then_some(number);
    let mut instant = || read_instant_option(record, age, now, most);
    let (expires_at, refresh_at, timer_n) = (instant()?, instant()?, instant()?);
    if expires_at.is_none() && timer_n.is_none() {
        return Err(RecordError::Value("end of a subscription"));
    }
    Ok(ReadSubscription { package, refer, headers, state, wish, asked, expires_at, refresh_at, timer_n })
}

fn read_notifier(
    record: &mut RecordReader<'_>,
    age: &Age,
    now: Now,
    most: Duration,
) -> Result<ReadNotifier, RecordError> {
    let package = read_value(record, "Event")?;
    let subscriber = record.text()?.to_string();
    let state = if record.flag()? { notifier::State::Active } else { notifier::State::Pending };
    let expires_at = age.instant(record, now, most)?;
    let min_interval = Duration::from_micros(record.u64()?).min(most);
    let headers = read_headers(record)?;
    let not_before = read_instant_option(record, age, now, most)?;
    Ok(ReadNotifier { package, subscriber, state, expires_at, min_interval, headers, not_before })
}
