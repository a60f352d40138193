//! What happened beside what the model says: exactly the same where nothing goes wrong, nothing false and nothing lost where
//! something does.

use super::arena::{Arena, DeviceId, Sending};
use super::fate::{Answer, Fate, Registered, notification_passes};
use super::isf::Interworked;
use super::notes;
use super::plan::{IsfPlan, MessagePlan, NOBODY, Plan, RESTARTS, SEEN, Trouble};
use super::story::{Reading, Story};
use crate::scene::uri;
use cpm_client::{ClientEvent, Disposition, Failure, HistoryEntry, ReceivedMessage};
use cpm_core::Record;
use cpm_core::outside::{Direction, Folder, ObjectKind};
use cpm_sim::KeptObject;
use std::collections::BTreeSet;

/// Everything that is not as the model says.
pub fn differences(story: &Story) -> Vec<String> {
    let mut differences = Vec::new();
    for (number, sending) in story.sendings.iter().enumerate() {
        let seen = Seen::of(story, sending);
        let mut of_message = Differences { number, found: &mut differences };
        shown(story, sending, &seen, &mut of_message);
        heard(story, sending, &seen, &mut of_message);
        notified(story, sending, &seen, &mut of_message);
        interworked(story, sending, &seen, &mut of_message);
        recorded(story, sending, &seen, &mut of_message);
        notes::recorded(story, sending, &seen, &mut of_message);
    }
    differences
}

pub(super) struct Differences<'a> {
    number: usize,
    found: &'a mut Vec<String>,
}

impl Differences<'_> {
    /// The message.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.found.push(format!("message {}: {}", self.number, what()));
        }
    }
}

/// What there is to see of a message.
pub(super) struct Seen<'a> {
    /// What the model says when nothing goes wrong.
    pub(super) fate: Fate,
    /// The same with every device there that ever is and with none, and with what is done when the wishes of users cannot be
    /// had: what can be at most.
    widest: Vec<Fate>,
    /// Each time that it was shown: device, place among the events, message.
    shown: Vec<(DeviceId, usize, &'a ReceivedMessage)>,
    /// The devices whose stores hold it.
    pub(super) kept: Vec<DeviceId>,
    /// Where among the events it was told as taken, with the UID that came along.
    sent: Vec<(usize, Option<&'a str>)>,
    failed: Vec<&'a Failure>,
    dispositions: Vec<(usize, Disposition, &'a str)>,
    /// The same with their places among the events.
    told: Vec<(usize, Disposition)>,
    interworked: Vec<&'a Interworked>,
    objects: Vec<(usize, &'a KeptObject)>,
    pub(super) readings: Vec<&'a Reading>,
}

impl<'a> Seen<'a> {
    fn of(story: &'a Story, sending: &Sending) -> Seen<'a> {
        let arena = &story.arena;
        let all: Registered = arena.ids().into_iter().collect();
        let id = &sending.sent.message_id;
        let mut seen = Seen {
            fate: Fate::of(&arena.plan, &sending.plan, &sending.registered),
            widest: widest(&arena.plan, &sending.plan, &all),
            shown: Vec::new(),
            kept: arena.ids().into_iter().filter(|device| keeps(arena, *device, id)).collect(),
            sent: Vec::new(),
            failed: Vec::new(),
            dispositions: Vec::new(),
            told: Vec::new(),
            interworked: Vec::new(),
            objects: Vec::new(),
            readings: story.readings.iter().filter(|reading| reading.message_id == *id).collect(),
        };
        for device in arena.ids() {
            for (place, _, event) in arena.told(device) {
                match event {
                    ClientEvent::Received(message) if message.message_id.as_ref() == Some(id) => {
                        seen.shown.push((device, place, message));
                    }
                    _ => {}
                }
            }
        }
        seen.sender(arena, sending);
        let text = format!("imdn.Message-ID: {id}\r\n");
        let of_message = |request: &&Interworked| contains(request.0.body(), text.as_bytes());
        seen.interworked = arena.interworked().into_iter().filter(of_message).collect();
        for (number, function) in arena.functions.iter().enumerate() {
            let about = |kept: &&KeptObject| {
                kept.object.kind == ObjectKind::StandaloneMessage
                    && kept.object.message_id.as_ref() == Some(id)
            };
            seen.objects
                .extend(arena.world.objects(*function).iter().filter(about).map(|kept| (number, kept)));
        }
        seen
    }

    fn may(&self, what: impl Fn(&Fate) -> bool) -> bool {
        self.widest.iter().any(what)
    }

    /// What the device that sent it told of it. Its name for it is good in the life in which it was sent, and in later ones
    /// where nothing of a life is forgotten.
    fn sender(&mut self, arena: &'a Arena, sending: &Sending) {
        // What was not kept before a crash has no name in the next life: another may get it.
        let kept = RESTARTS && arena.went_out(sending.plan.from, &sending.sent.message_id);
        for (place, life, event) in arena.told(sending.plan.from) {
            if life < sending.life || (life > sending.life && !kept) {
                continue;
            }
            match event {
                ClientEvent::Sent { id, message_uid } if *id == sending.sent.id => {
                    self.sent.push((place, message_uid.as_deref()));
                }
                ClientEvent::SendFailed { id, why } if *id == sending.sent.id => self.failed.push(why),
                ClientEvent::Disposition { id, disposition, from } if *id == sending.sent.id => {
                    self.dispositions.push((life, *disposition, from));
                    self.told.push((place, *disposition));
                }
                _ => {}
            }
        }
    }
}

fn widest(plan: &Plan, message: &MessagePlan, all: &Registered) -> Vec<Fate> {
    let plans = match plan.trouble < Trouble::Everything {
        true => vec![plan.clone()],
        false => plan.without_preferences(),
    };
    // Where a Primary Device is there, the interworking function is not asked in its place.
    let registered = [all, &Registered::new()];
    plans.iter().flat_map(|plan| registered.map(|registered| Fate::of(plan, message, registered))).collect()
}

pub fn contains(octets: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(octets, text).is_some()
}

/// Whether the store of a device holds a message.
pub fn keeps(arena: &Arena, device: DeviceId, message_id: &str) -> bool {
    arena.world.stored(arena.devices[&device].handle).iter().any(|stored| match &stored.record {
        Record::Received(record) => record.message_id.as_deref() == Some(message_id),
        _ => false,
    })
}

/// Nothing went wrong, or it was sent when everything was good again.
pub(super) fn exact(story: &Story, number: usize) -> bool {
    story.arena.plan.trouble == Trouble::None || number >= story.probes_from
}

/// Who shows it, how often, and what.
fn shown(story: &Story, sending: &Sending, seen: &Seen<'_>, found: &mut Differences<'_>) {
    let devices: BTreeSet<DeviceId> = seen.shown.iter().map(|(device, _, _)| *device).collect();
    found.check(devices.len() == seen.shown.len(), || {
        format!("shown {:?}", seen.shown.iter().map(|(device, _, _)| device).collect::<Vec<_>>())
    });
    let stray: Vec<_> =
        seen.kept.iter().filter(|device| !seen.may(|fate| fate.devices.contains(device))).collect();
    found.check(stray.is_empty(), || format!("kept by {stray:?}, who must not have it"));
    for device in &devices {
        found.check(seen.kept.contains(device), || format!("{device:?} shows it and does not keep it"));
    }
    if exact(story, found.number) {
        found.check(devices == seen.fate.devices, || {
            format!("shown on {devices:?}, should be on {:?}", seen.fate.devices)
        });
    }
    for (device, _, message) in &seen.shown {
        content(story, sending, *device, message, found);
    }
}

fn content(
    story: &Story,
    sending: &Sending,
    device: DeviceId,
    message: &ReceivedMessage,
    found: &mut Differences<'_>,
) {
    let plan = &sending.plan;
    let sender = story.arena.plan.address(plan.from.0);
    let from = (!plan.anonymous).then(|| uri(&sender));
    let replied = plan.reply_to.map(|number| &story.sendings[number].sent);
    let shows = [
        ("text", message.content == plan.text),
        ("sender", message.from == from),
        ("conversation", message.conversation.as_ref() == Some(&sending.sent.conversation)),
        ("contribution", message.contribution.as_ref() == Some(&sending.sent.contribution)),
        ("in reply to", message.in_reply_to.as_ref() == replied.map(|sent| &sent.contribution)),
        (
            "conversation of the original",
            replied.is_none_or(|original| original.conversation == sending.sent.conversation),
        ),
    ];
    for (what, same) in shows {
        found.check(same, || format!("{device:?} shows another {what}: {message:?}"));
    }
}

/// What the sender heard of it at once.
fn heard(story: &Story, sending: &Sending, seen: &Seen<'_>, found: &mut Differences<'_>) {
    let (sent, failed) = (seen.sent.len(), seen.failed.len());
    // A life that crashed before it was durable that it told leaves the telling to the next one.
    let lives = story.arena.devices[&sending.plan.from].lives.len() - sending.life;
    let once = if lives == 1 { sent + failed <= 1 } else { sent == 0 || failed == 0 };
    found.check(once && sent + failed <= lives, || format!("{sent} times sent, {:?}", seen.failed));
    // Also of one that went out in a former life; one that did not go out before the crash was not kept either.
    let same_life = story.arena.devices[&sending.plan.from].lives.len() == sending.life + 1;
    let went_out = || story.arena.went_out(sending.plan.from, &sending.sent.message_id);
    // What waits for a registration waits as long as the device is away.
    let there = story.arena.registered().contains(&sending.plan.from);
    found.check(sent + failed > 0 || !there || !(same_life || went_out()), || {
        "nothing was heard of it".to_owned()
    });
    let taken = !seen.kept.is_empty()
        || !seen.interworked.is_empty()
        || seen.objects.iter().any(|(_, kept)| kept.object.direction == Direction::Received);
    found.check(sent == 0 || taken, || "taken, and nobody has it".to_owned());
    let status = seen.failed.iter().find_map(|why| match why {
        Failure::Rejected { status, warnings, .. } => Some((status.as_u16(), warnings.first().cloned())),
        _ => None,
    });
    // The core itself forbids, without a Warning, what comes from a device whose registration is not through yet.
    let of_core = !exact(story, found.number) && story.unsteady.contains(&sending.plan.from);
    if let Some((403, warning)) = &status
        && !(of_core && warning.is_none())
    {
        let right = |fate: &Fate| match fate.answer {
            Answer::Forbidden(code) => {
                warning.as_ref().is_some_and(|text| text.starts_with(&code.to_string()))
            }
            _ => false,
        };
        found.check(seen.may(right), || format!("forbidden: {warning:?}, should be {:?}", seen.fate.answer));
    }
    let may_be_taken = |fate: &Fate| !matches!(fate.answer, Answer::Forbidden(_) | Answer::NotFound);
    found.check(sent == 0 || seen.may(may_be_taken), || format!("taken, should be {:?}", seen.fate.answer));
    if exact(story, found.number) {
        let right = match seen.fate.answer {
            Answer::Success => sent > 0,
            Answer::Forbidden(_) => status.as_ref().is_some_and(|(status, _)| *status == 403),
            Answer::Unavailable => status.as_ref().is_some_and(|(status, _)| *status == 480),
            Answer::NotFound => status.as_ref().is_some_and(|(status, _)| *status == 404),
        };
        found.check(right, || format!("heard {sent} {:?}, should be {:?}", seen.failed, seen.fate.answer));
    }
}

/// Delivery notifications and read reports.
fn notified(story: &Story, sending: &Sending, seen: &Seen<'_>, found: &mut Differences<'_>) {
    let (arena, plan) = (&story.arena, &sending.plan);
    let told = |wanted| seen.dispositions.iter().filter(|(_, disposition, _)| *disposition == wanted).count();
    let (delivered, displayed) = (told(Disposition::Delivered), told(Disposition::Displayed));
    let failed = told(Disposition::DeliveryFailed);
    found.check(delivered + displayed + failed == seen.dispositions.len(), || {
        format!("told {:?}", seen.dispositions)
    });
    let lives: BTreeSet<_> = seen.dispositions.iter().map(|(life, what, _)| (life, what)).collect();
    found.check(lives.len() == seen.dispositions.len(), || format!("told twice {:?}", seen.dispositions));
    // A function knows who it is whom no device may know.
    let on_behalf = plan.to != NOBODY && arena.plan.function_of(plan.to).on_behalf;
    let known = !plan.anonymous || on_behalf;
    found.check(delivered == 0 || (plan.delivery && known), || "delivery told unasked".to_owned());
    found.check(displayed == 0 || (plan.display && !plan.anonymous), || "reading told unasked".to_owned());
    found.check(failed == 0 || plan.failure, || "failure told unasked".to_owned());
    // What may be delivered may fail where something goes wrong.
    let may_fail = |fate: &Fate| fate.answer == Answer::Success || fate.failed.contains(&plan.to);
    found.check(failed == 0 || seen.may(may_fail), || "told as failed, was refused".to_owned());
    found.check(delivered == 0 || !seen.kept.is_empty(), || "delivery told, nobody has it".to_owned());
    found.check(displayed == 0 || !seen.readings.is_empty(), || "reading told, nobody read".to_owned());
    // Only what comes from whom it was sent to counts: not from whom it was forwarded to.
    let recipient = arena.plan.address(plan.to);
    let strangers: Vec<_> = seen.dispositions.iter().filter(|(_, _, from)| *from != recipient).collect();
    found.check(strangers.is_empty(), || format!("told by {strangers:?}"));

    let passes = notification_passes(&arena.plan, plan.to, plan.from.0) && arena.plan.device(plan.from).pager;
    let of_recipient = |device: &&DeviceId| device.0 == plan.to;
    let reporters = seen.shown.iter().map(|(device, _, _)| device).filter(of_recipient);
    let delivery_owed = plan.delivery
        && passes
        && known
        && reporters.clone().any(|device| arena.plan.device(*device).delivery_reports || on_behalf);
    let owed = |reading: &&&Reading| reading.owed && !reading.forgotten && reading.device.0 == plan.to;
    let display_owed =
        plan.display && passes && !plan.anonymous && seen.readings.iter().any(|reading| owed(&reading));
    // The core takes nothing from a device that left. Of several readings the first counts that a device of the sender got:
    // no other one is sent there (TS 8.3.4-2.a.i), also when the device that sent the message was away then.
    let gets = |reading: &Reading, device: DeviceId| {
        reading.registered.contains(&device) && arena.plan.device(device).pager
    };
    let of_sender = || arena.plan.devices().filter(|device| device.0 == plan.from.0);
    let arrives = |reading: &&&Reading| {
        reading.registered.contains(&reading.device) && of_sender().any(|device| gets(reading, device))
    };
    let first = seen.readings.iter().filter(owed).find(arrives);
    let heard = first.filter(|reading| display_owed && gets(reading, plan.from));
    let display_heard = heard.is_some();
    if exact(story, found.number) {
        // Who read it has it: a delivery that is told behind the reading says nothing new (RFC 5438 §4, states of a message).
        let overtaken = displayed > 0 && delivered == 0 && reading_came_first(story, sending);
        let wanted = usize::from(delivery_owed && !overtaken);
        found
            .check(delivered == wanted, || format!("delivery told {delivered} times, owed: {delivery_owed}"));
        let failure_owed = plan.failure && passes && seen.fate.failed.contains(&plan.to);
        // Who heard that it was refused has heard that it failed.
        let refused = failure_owed && matches!(seen.fate.answer, Answer::Forbidden(_));
        found.check(failed == usize::from(failure_owed) || refused, || {
            format!("failure told {failed} times, owed: {failure_owed}")
        });
        found.check(displayed == usize::from(display_heard), || {
            format!("reading told {displayed} times, owed: {display_owed}, heard: {display_heard}")
        });
    } else if may_expect_notifications(story, sending) && !seen.failed.iter().any(|why| stands(why)) {
        let certain = !on_behalf || is_certain_on_behalf(story, sending, seen);
        let (later_delivered, later_displayed) = told_by_history(story, sending);
        // What was so before everything had been good for a while is told by then.
        let told_by = |since: Option<usize>| match since {
            Some(since) if since < story.told_by => story.told_by,
            _ => usize::MAX,
        };
        let told_before = |by: usize, wanted: &[Disposition]| {
            seen.told.iter().any(|(place, what)| *place < by && wanted.contains(what))
        };
        let by = told_by(seen.shown.iter().map(|(_, place, _)| *place).min());
        let delivered = told_before(by, &[Disposition::Delivered, Disposition::Displayed])
            || later_delivered
            || later_displayed;
        found.check(!(delivery_owed && certain) || delivered, || "no delivery was told in time".to_owned());
        let by = told_by(heard.map(|reading| reading.events));
        let displayed = told_before(by, &[Disposition::Displayed]) || later_displayed;
        found.check(!display_heard || displayed, || "no reading was told in time".to_owned());
        // Where no node and no store fails, who says that nobody is there says so on behalf of the user too (TS 8.2.5-1).
        let unavailable =
            |why: &Failure| matches!(why, Failure::Rejected { status, .. } if status.as_u16() == 480);
        let failure_owed = plan.failure
            && passes
            && story.arena.plan.trouble == Trouble::Network
            && seen.failed.iter().any(|why| unavailable(why));
        found.check(!failure_owed || failed > 0 || delivered, || "no failure was told".to_owned());
    }
}

/// Whether a delivery and a reading stand in what the sender's device shows when it starts again: what it stored before a crash
/// never comes as an event ([`Client::history`](cpm_client::Client::history)).
fn told_by_history(story: &Story, sending: &Sending) -> (bool, bool) {
    let from = sending.plan.from;
    if story.arena.devices[&from].lives.len() == sending.life + 1 {
        return (false, false);
    }
    let told: Vec<Disposition> = story
        .arena
        .history(from)
        .into_iter()
        .filter_map(|entry| match entry {
            HistoryEntry::Report { about, disposition, .. } if about == sending.sent.message_id => {
                Some(disposition)
            }
            _ => None,
        })
        .collect();
    (told.contains(&Disposition::Delivered), told.contains(&Disposition::Displayed))
}

/// Whether the sender's device got the reading before any delivery: from another device of the recipient.
fn reading_came_first(story: &Story, sending: &Sending) -> bool {
    let about = format!("<message-id>{}</message-id>", sending.sent.message_id);
    let name = story.arena.name(sending.plan.from);
    let to = story.arena.world.trace().entries().iter().filter(|entry| entry.to == name);
    let mut octets = to.filter_map(|entry| entry.bytes.as_ref()).filter(|it| contains(it, about.as_bytes()));
    octets.next().is_some_and(|first| contains(first, b"<displayed/>"))
}

/// A notification is kept, and sent again until somebody takes it, through crashes and over ways that are cut; a second
/// device of the sender, or one that left, is how it gets lost rightly.
fn may_expect_notifications(story: &Story, sending: &Sending) -> bool {
    let from = sending.plan.from;
    if sending.plan.to == NOBODY {
        return false;
    }
    let alone = story.arena.plan.users[from.0].devices.len() == 1;
    let steady = |user: usize| !story.unsteady.iter().any(|device| device.0 == user);
    alone && steady(from.0) && steady(sending.plan.to)
}

/// A refusal after which the client forgets the message: others may be about a message that arrived all the same. (A function
/// whose store failed may let a message through that it refuses, by what the store says, when it meets it again in its next
/// life: the message is with somebody, and its sender was told that it is not.)
fn stands(why: &Failure) -> bool {
    let passing = |status: u16| matches!(status, 408 | 480 | 482 | 500..=599);
    matches!(why, Failure::Rejected { status, .. } if !passing(status.as_u16()))
}

/// A function that speaks for its users' devices owes it when it answered with 2xx, and its store took it.
fn is_certain_on_behalf(story: &Story, sending: &Sending, seen: &Seen<'_>) -> bool {
    let name = format!("{} delivered", sending.sent.message_id);
    let of_this = |label: &str| label.starts_with("store pf/owed/") && label.contains(&name);
    let failed = |label: &str| of_this(label) && !label.ends_with(" delivered");
    let interworked = !seen.interworked.is_empty();
    let entries = story.arena.world.trace().entries();
    !seen.sent.is_empty() && !interworked && !entries.iter().any(|entry| failed(&entry.label))
}

/// What the interworking function got.
fn interworked(story: &Story, _: &Sending, seen: &Seen<'_>, found: &mut Differences<'_>) {
    let count = seen.interworked.len();
    found.check(count == 0 || seen.may(|fate| fate.interworked), || "interworked, should not".to_owned());
    if exact(story, found.number) {
        let wanted = usize::from(seen.fate.interworked);
        found.check(count == wanted, || format!("interworked {count} times, should be {wanted}"));
    }
}

/// TS 8.5-3.a: the folder has the name of the other side; whoever it was forwarded to is not asked for.
fn folder(story: &Story, sending: &Sending, kept: &KeptObject, found: &mut Differences<'_>) {
    let (plan, object) = (&story.arena.plan, &kept.object);
    let other = match object.direction {
        Direction::Sent => plan.address(sending.plan.to),
        Direction::Received if sending.plan.anonymous => "sip:anonymous@anonymous.invalid".to_owned(),
        Direction::Received => plan.address(sending.plan.from.0),
    };
    found.check(object.folder == Folder::Peer(other.clone()), || {
        format!("in folder {:?}, should be {other}", object.folder)
    });
}

/// TS 8.5.1: the sender and the devices hear under which UID their own store has it, and no other.
fn uid(
    sending: &Sending,
    seen: &Seen<'_>,
    (user, sent): (usize, bool),
    kept: &KeptObject,
    found: &mut Differences<'_>,
) {
    let uid = kept.uid.0.to_string();
    let named = |named: Option<&str>| named.is_none_or(|named| named == uid);
    let right = match sent {
        true => seen.sent.iter().all(|(_, message_uid)| named(*message_uid)),
        false => {
            let mut own = seen.shown.iter().filter(|((owner, _), _, _)| *owner == user);
            own.all(|(_, _, message)| named(message.message_uid.as_deref()))
        }
    };
    found.check(right, || format!("another UID than {uid} of {:?}", sending.sent.message_id));
}

/// What is in the message stores.
fn recorded(story: &Story, sending: &Sending, seen: &Seen<'_>, found: &mut Differences<'_>) {
    let plan = &story.arena.plan;
    let mut recorded = BTreeSet::new();
    for (function, kept) in &seen.objects {
        let object = &kept.object;
        let user = (0..plan.users.len()).find(|user| uri(&plan.address(*user)) == object.user);
        let Some(user) = user else { return found.check(false, || format!("recorded for {}", object.user)) };
        found.check(plan.users[user].function == *function, || "recorded elsewhere".to_owned());
        let what = (user, object.direction == Direction::Sent);
        found.check(recorded.insert(what), || format!("recorded twice for {what:?}"));
        let same = object.conversation.as_ref() == Some(&sending.sent.conversation)
            && object.contribution.as_ref() == Some(&sending.sent.contribution);
        found.check(same, || format!("recorded with other ids: {object:?}"));
        found.check(contains(&object.object, sending.plan.text.as_bytes()), || {
            "recorded without text".to_owned()
        });
        let read = seen.readings.iter().any(|reading| reading.owed && reading.device.0 == user);
        found.check(!kept.seen || read, || "marked seen, nobody read it".to_owned());
        if SEEN && exact(story, found.number) && what == (sending.plan.to, false) {
            // The core takes nothing from a device that left.
            let told = |reading: &&Reading| {
                reading.owed && reading.device.0 == user && reading.registered.contains(&reading.device)
            };
            let told = seen.readings.iter().any(told);
            found.check(kept.seen == told, || format!("seen: {}, told: {told}", kept.seen));
        }
        let context = object.message_context.is_some();
        let taken = !seen.interworked.is_empty() && plan.isf == IsfPlan::Delivers;
        found.check(!context || taken, || "a context nobody gave".to_owned());
        folder(story, sending, kept, found);
        uid(sending, seen, what, kept, found);
    }
    let without = |user: usize, sent: bool| !recorded.contains(&(user, sent));
    let strange = seen.sent.iter().any(|(_, uid)| uid.is_some()) && without(sending.plan.from.0, true);
    let stranger = |((user, _), _, message): &(DeviceId, usize, &ReceivedMessage)| {
        message.message_uid.is_some() && without(*user, false)
    };
    found.check(!strange && !seen.shown.iter().any(stranger), || "a UID of nothing".to_owned());
    if exact(story, found.number) {
        let told = seen.sent.iter().any(|(_, uid)| uid.is_some());
        found.check(told != without(sending.plan.from.0, true), || format!("UID told: {told}"));
        found.check(recorded == seen.fate.recorded, || {
            format!("recorded for {recorded:?}, should be for {:?}", seen.fate.recorded)
        });
    } else {
        let stray: Vec<_> =
            recorded.iter().filter(|one| !seen.may(|fate| fate.recorded.contains(one))).collect();
        found.check(stray.is_empty(), || format!("recorded for {stray:?}, should not"));
    }
}
