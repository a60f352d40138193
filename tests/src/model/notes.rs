//! The notifications in the message stores (TS 8.3.5): those that a device of the sender got, in the folder of the message
//! that they are about, each once; none that the user sent.

use super::arena::{DeviceId, Sending};
use super::compare::{Differences, Seen, exact};
use super::fate::{notification_passes, records};
use super::plan::NOBODY;
use super::story::{Reading, Story};
use crate::scene::uri;
use cpm_core::outside::{Direction, Folder, ObjectKind};
use cpm_sim::KeptObject;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Delivered,
    Failed,
    Displayed,
}

/// Who says it, and what.
type Note = (usize, What);

pub(super) fn recorded(story: &Story, sending: &Sending, seen: &Seen<'_>, found: &mut Differences<'_>) {
    let plan = &story.arena.plan;
    let mut notes: BTreeMap<Note, usize> = BTreeMap::new();
    for (number, function) in story.arena.functions.iter().enumerate() {
        let kept = story.arena.world.objects(*function).iter();
        for kept in kept.filter(|kept| kept.object.kind == ObjectKind::Disposition) {
            let told = told_in(story, kept, &sending.sent.message_id);
            let user = uri(&plan.address(sending.plan.from.0));
            let right = kept.object.user == user
                && kept.object.direction == Direction::Received
                && plan.users[sending.plan.from.0].function == number;
            found.check(told.is_empty() || right, || format!("a notification kept for {}", kept.object.user));
            let first = first_about(kept).map(Folder::OfMessage);
            found.check(told.is_empty() || Some(&kept.object.folder) == first.as_ref(), || {
                format!("a notification in folder {:?}", kept.object.folder)
            });
            for note in told {
                *notes.entry(note).or_default() += 1;
            }
        }
    }
    for note in notes.keys() {
        found.check(may_be_kept(story, sending, seen, *note), || format!("keeps {note:?}, should not"));
    }
    if !exact(story, found.number()) || sending.plan.to == NOBODY {
        return;
    }
    for user in 0..plan.users.len() {
        for what in [What::Delivered, What::Failed, What::Displayed] {
            let times = notes.get(&(user, what)).copied().unwrap_or_default();
            let wanted = is_kept(story, sending, seen, (user, what));
            found.check(wanted.is_none_or(|wanted| usize::from(wanted) == times), || {
                format!("keeps {:?} {times} times, should: {wanted:?}", (user, what))
            });
        }
    }
}

/// What an object tells of a message.
fn told_in(story: &Story, kept: &KeptObject, about: &str) -> Vec<Note> {
    let text = String::from_utf8_lossy(&kept.object.object);
    let from = text.lines().find_map(|line| line.strip_prefix("From: ")).unwrap_or_default();
    let plan = &story.arena.plan;
    let from = (0..plan.users.len()).find(|user| from.contains(&plan.address(*user)));
    let Some(from) = from else { return Vec::new() };
    let documents = text.split("<message-id>").skip(1).filter_map(|rest| rest.split_once("</message-id>"));
    let of_this = documents.filter(|(id, _)| *id == about);
    let whats =
        [("<delivered/>", What::Delivered), ("<failed/>", What::Failed), ("<displayed/>", What::Displayed)];
    let said =
        |text: &str| whats.into_iter().filter(|(element, _)| text.contains(element)).collect::<Vec<_>>();
    of_this.flat_map(|(_, rest)| said(rest)).map(|(_, what)| (from, what)).collect()
}

/// The message that an object is about, or the first of them.
fn first_about(kept: &KeptObject) -> Option<String> {
    let text = String::from_utf8_lossy(&kept.object.object);
    Some(text.split_once("<message-id>")?.1.split_once("</message-id>")?.0.to_owned())
}

/// Nothing is kept that was not asked for, that did not happen, or that the user does not want kept.
fn may_be_kept(story: &Story, sending: &Sending, seen: &Seen<'_>, (user, what): Note) -> bool {
    let (plan, message) = (&story.arena.plan, &sending.plan);
    let sender = message.from.0;
    let happened = match what {
        What::Delivered => message.delivery && seen.kept.iter().any(|device| device.0 == user),
        What::Failed => message.failure,
        What::Displayed => message.display && seen.readings.iter().any(|reading| reading.device.0 == user),
    };
    happened && records(plan.function_of(sender).recording, &plan.users[sender], Some(user))
}

/// Whether a notification of a user is kept; `None`: it may be.
fn is_kept(story: &Story, sending: &Sending, seen: &Seen<'_>, (user, what): Note) -> Option<bool> {
    let (plan, message) = (&story.arena.plan, &sending.plan);
    let sender = message.from.0;
    if user == sender || !may_be_kept(story, sending, seen, (user, what)) {
        return Some(false).filter(|_| user != sender);
    }
    let on_behalf = plan.function_of(user).on_behalf;
    let own = |device: &&DeviceId| device.0 == user;
    let gets = |registered: &super::fate::Registered| {
        plan.devices()
            .any(|device| device.0 == sender && plan.device(device).pager && registered.contains(&device))
    };
    let said = match what {
        What::Delivered => {
            let tells = |device: &DeviceId| plan.device(*device).delivery_reports && !message.anonymous;
            (on_behalf && seen.fate.devices.iter().any(|device| device.0 == user))
                || seen.fate.devices.iter().filter(own).any(tells)
        }
        What::Failed => seen.fate.failed.contains(&user),
        What::Displayed => {
            let told = |reading: &&&Reading| {
                reading.device.0 == user && reading.owed && reading.registered.contains(&reading.device)
            };
            seen.readings.iter().filter(told).any(|reading| gets(&reading.registered))
        }
    };
    // What a function owes it tries for a day: somebody may come who gets it.
    let waits = what == What::Failed || (what == What::Delivered && on_behalf);
    let there = what == What::Displayed || gets(&sending.registered);
    if said && notification_passes(plan, user, sender) && !there && waits {
        return None;
    }
    Some(said && there && notification_passes(plan, user, sender))
}
