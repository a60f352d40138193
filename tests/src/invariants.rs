//! What holds in every world, whatever goes wrong: the promises of a core to its host, as far as a run can show them.

use crate::model::arena::Sending;
use crate::model::compare::{contains, keeps};
use crate::model::plan::Trouble;
use crate::model::story::Story;
use cpm_client::ClientEvent;
use cpm_core::outside::Direction;
use cpm_sim::{TraceEntry, What};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An invariant: its name, and what is against it.
pub type Invariant = (&'static str, fn(&Story) -> Result<(), String>);

/// All of them, each checked at the end of a run; [`nothing_is_stuck`](cpm_sim::World::stuck) is checked after each step.
pub const ALL: [Invariant; 11] = [
    ("nothing accepted is lost", nothing_accepted_is_lost),
    ("shown at most once", shown_at_most_once),
    ("told is what happened", told_is_what_happened),
    ("order is kept", order_is_kept),
    ("nothing is left over", nothing_is_left_over),
    ("each notification is sent once", notifications_are_few),
    ("no message holds parts of another", no_message_holds_parts_of_another),
    ("nobody learns who is anonymous", nobody_learns_who_is_anonymous),
    ("only what was asked is told", only_what_was_asked_is_told),
    ("each thing is told once", each_thing_is_told_once),
    ("nothing goes out too late", nothing_goes_out_too_late),
];

fn hold(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Nothing-lost 1, P9, P11, threat G6: what was answered 2xx is with a device of somebody, in a message store, or at the
/// interworking function.
pub fn nothing_accepted_is_lost(story: &Story) -> Result<(), String> {
    for sending in &story.sendings {
        let id = &sending.sent.message_id;
        let accepted = story.arena.told(sending.plan.from).iter().any(|(_, life, event)| {
            *life == sending.life && matches!(event, ClientEvent::Sent { id, .. } if *id == sending.sent.id)
        });
        let on_device = story.arena.ids().into_iter().any(|device| keeps(&story.arena, device, id));
        let in_store = story.arena.functions.iter().any(|function| {
            story
                .arena
                .world
                .objects(*function)
                .iter()
                .any(|kept| kept.object.message_id.as_ref() == Some(id))
        });
        let interworked =
            story.arena.interworked().iter().any(|request| contains(request.0.body(), id.as_bytes()));
        hold(!accepted || on_device || in_store || interworked, || format!("{id} is lost"))?;
    }
    Ok(())
}

/// Nothing-lost 2, G4: a device shows a message once, over all its lives.
pub fn shown_at_most_once(story: &Story) -> Result<(), String> {
    for device in story.arena.ids() {
        let mut shown = BTreeSet::new();
        for message in story.shown(device) {
            let id = message.message_id.clone();
            hold(shown.insert(id.clone()), || format!("{device:?} shows {id:?} again"))?;
        }
    }
    Ok(())
}

/// Nothing-lost 3, E5: a notification was sent by a device that holds the message.
pub fn told_is_what_happened(story: &Story) -> Result<(), String> {
    for device in story.arena.ids() {
        let name = story.arena.name(device);
        let own = story.arena.world.trace().entries().iter().filter(|entry| entry.from == name);
        for octets in own.filter_map(|entry| entry.bytes.as_ref()) {
            let Some(about) = notified_message(octets) else { continue };
            hold(keeps(&story.arena, device, &about), || {
                format!("{name} tells of {about}, which it has not")
            })?;
        }
    }
    Ok(())
}

/// The message that a notification in these octets is about.
fn notified_message(octets: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(octets).ok()?;
    let (_, rest) = text.split_once("<message-id>")?;
    Some(rest.split_once("</message-id>")?.0.to_owned())
}

/// Nothing-lost 4: where nothing goes wrong, a device shows what one device sent in its order, when the sender had waited.
pub fn order_is_kept(story: &Story) -> Result<(), String> {
    if story.arena.plan.trouble > Trouble::None {
        return Ok(());
    }
    let mut before: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for sending in &story.sendings {
        let accepted =
            story.arena.told(sending.plan.from).into_iter().find(
                |(_, _, event)| matches!(event, ClientEvent::Sent { id, .. } if *id == sending.sent.id),
            );
        let Some((accepted, _, _)) = accepted else { continue };
        let waited = story
            .sendings
            .iter()
            .filter(|later| later.plan.from == sending.plan.from && later.events > accepted);
        for later in waited {
            before.entry(sending.sent.message_id.as_str()).or_default().push(&later.sent.message_id);
        }
    }
    for device in story.arena.ids() {
        let shown: Vec<_> =
            story.shown(device).into_iter().filter_map(|message| message.message_id).collect();
        for (place, id) in shown.iter().enumerate() {
            let after = before.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
            let early = shown[..place].iter().find(|earlier| after.contains(&earlier.as_str()));
            hold(early.is_none(), || format!("{device:?} shows {early:?} before {id}"))?;
        }
    }
    Ok(())
}

/// P10, P11, threat G5: after the longest timer no transaction, no query and no work stands.
pub fn nothing_is_left_over(story: &Story) -> Result<(), String> {
    let busy = story.arena.world.busy();
    hold(busy.is_empty(), || format!("still busy: {busy:?}"))
}

/// P4, E6: one notification for each message, device and disposition; each sent again at most as often as the client tries;
/// none about a notification.
pub fn notifications_are_few(story: &Story) -> Result<(), String> {
    let messages: BTreeSet<&str> =
        story.sendings.iter().map(|sending| sending.sent.message_id.as_str()).collect();
    let exact = story.arena.plan.trouble == Trouble::None;
    // A sender that cannot be told, or is away, is tried again.
    let reachable = story.arena.plan.devices().all(|device| story.arena.plan.device(device).pager);
    for device in story.arena.ids() {
        let mut sent: BTreeMap<(String, bool), BTreeSet<String>> = BTreeMap::new();
        let name = story.arena.name(device);
        let own = story.arena.world.trace().entries().iter().filter(|entry| entry.from == name);
        for octets in own.filter_map(|entry| entry.bytes.as_ref()) {
            let Some(about) = notified_message(octets) else { continue };
            hold(messages.contains(about.as_str()), || {
                format!("{name} tells of {about}, which is no message")
            })?;
            let display = contains(octets, b"<display-notification>");
            sent.entry((about, display)).or_default().insert(call_id(octets));
        }
        let most = match exact && reachable && story.unsteady.is_empty() {
            true => 1,
            false => 5 * story.arena.devices[&device].lives.len(),
        };
        let many = sent.iter().find(|(_, requests)| requests.len() > most);
        hold(many.is_none(), || format!("{name} sends {many:?}"))?;
    }
    Ok(())
}

fn call_id(octets: &[u8]) -> String {
    line(octets, "Call-ID: ")
}

/// What stands behind the first of these at the begin of a line.
fn line(octets: &[u8], begin: &str) -> String {
    let text = String::from_utf8_lossy(octets);
    let line = text.lines().find_map(|line| line.strip_prefix(begin));
    line.unwrap_or_default().to_owned()
}

/// E6, E7: a device tells nobody what he did not ask for, whether he would listen or not.
pub fn only_what_was_asked_is_told(story: &Story) -> Result<(), String> {
    let of = |sending: &'_ Sending| (sending.plan.delivery, sending.plan.failure, sending.plan.display);
    let sendings = story.sendings.iter();
    let asked: BTreeMap<&str, (bool, bool, bool)> =
        sendings.map(|sending| (sending.sent.message_id.as_str(), of(sending))).collect();
    for entry in requests(story) {
        let Some(octets) = &entry.bytes else { continue };
        let Some(about) = notified_message(octets) else { continue };
        let (delivery, failure, display) = asked.get(about.as_str()).copied().unwrap_or_default();
        let told = [("<delivered/>", delivery), ("<failed/>", failure), ("<displayed/>", display)];
        let all_asked = told.iter().all(|(what, asked)| *asked || !contains(octets, what.as_bytes()));
        hold(all_asked, || format!("nobody asked for {entry}"))?;
    }
    Ok(())
}

/// TS 8.2.4, 8.3.4: where nothing goes wrong, a device hears from each user once that a message was delivered, and once that
/// it was read, though several devices of that user say so, and though functions start again in between.
pub fn each_thing_is_told_once(story: &Story) -> Result<(), String> {
    if story.arena.plan.trouble > Trouble::None {
        return Ok(());
    }
    for device in story.arena.devices.values() {
        let mut told: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for octets in
            requests(story).filter(|entry| entry.to == device.name).filter_map(|entry| entry.bytes.as_ref())
        {
            let Some(about) = notified_message(octets) else { continue };
            let what = (about, contains(octets, b"<display-notification>"), line(octets, "From: "));
            let what = (what.0, what.1, what.2.split(";tag=").next().unwrap_or_default().to_owned());
            told.entry(what).or_default().insert(line(octets, "imdn.Message-ID: "));
        }
        let many = told.iter().find(|(_, notifications)| notifications.len() > 1);
        hold(many.is_none(), || format!("{} hears {many:?}", device.name))?;
    }
    Ok(())
}

/// TS 7.2.1.1-16, G2: a message that waited for longer than it is of use does not go out any more. A second is left for
/// finding the way.
pub fn nothing_goes_out_too_late(story: &Story) -> Result<(), String> {
    for sending in &story.sendings {
        let Some(seconds) = sending.plan.expires else { continue };
        let last = sending.at.plus(Duration::from_secs(u64::from(seconds) + 1));
        let (name, id) = (story.arena.name(sending.plan.from), sending.sent.message_id.as_bytes());
        let mut begun = BTreeSet::new();
        for entry in requests(story).filter(|entry| entry.from == name) {
            let Some(octets) = entry.bytes.as_ref().filter(|octets| contains(octets, id)) else { continue };
            // What was begun in time is repeated later; what is about it has no end.
            if notified_message(octets).is_none() && begun.insert(call_id(octets)) {
                hold(entry.at <= last, || format!("expired, and goes out: {entry}"))?;
            }
        }
    }
    Ok(())
}

/// Nothing-lost 9: a request holds the text of the message that it names, and of no other.
pub fn no_message_holds_parts_of_another(story: &Story) -> Result<(), String> {
    let tags: Vec<(&str, &str)> = story
        .sendings
        .iter()
        .map(|sending| (sending.plan.text.as_str(), sending.sent.message_id.as_str()))
        .collect();
    for entry in requests(story) {
        let Some(octets) = &entry.bytes else { continue };
        for (text, id) in &tags {
            let holds = contains(octets, text.as_bytes());
            hold(!holds || contains(octets, id.as_bytes()), || {
                format!("{text} under another name: {entry}")
            })?;
        }
    }
    Ok(())
}

fn requests(story: &Story) -> impl Iterator<Item = &TraceEntry> {
    let sent = |what| matches!(what, What::Datagram | What::Lost | What::Duplicated);
    let entries = story.arena.world.trace().entries().iter();
    entries.filter(move |entry| sent(entry.what) && entry.label.contains("MESSAGE"))
}

/// P12, E8: what goes to a device of the far side, and what is in the message store there, names the user and the device of
/// an anonymous sender nowhere.
pub fn nobody_learns_who_is_anonymous(story: &Story) -> Result<(), String> {
    for sending in story.sendings.iter().filter(|sending| sending.plan.anonymous) {
        // To the user's own devices it may come back, forwarded.
        let others = story.arena.devices.iter().filter(|((user, _), _)| *user != sending.plan.from.0);
        let outside: BTreeSet<&str> = others.map(|(_, device)| device.name.as_str()).collect();
        let sender = story.arena.plan.users[sending.plan.from.0].name;
        let canaries = [sender.to_owned(), crate::model::arena::instance(sending.plan.from)];
        let id = sending.sent.message_id.as_bytes();
        for entry in requests(story).filter(|entry| outside.contains(entry.to.as_str())) {
            let Some(octets) = entry.bytes.as_ref().filter(|octets| contains(octets, id)) else { continue };
            nothing_tells(&canaries, octets)?;
        }
        let stores = story.arena.functions.iter().flat_map(|function| story.arena.world.objects(*function));
        let theirs = stores.filter(|kept| {
            let own = story.arena.plan.address(sending.plan.from.0) == kept.object.user.to_string();
            kept.object.direction == Direction::Received && !own && contains(&kept.object.object, id)
        });
        for kept in theirs {
            nothing_tells(&canaries, &kept.object.object)?;
        }
    }
    Ok(())
}

fn nothing_tells(canaries: &[String], octets: &[u8]) -> Result<(), String> {
    let told = canaries.iter().find(|canary| contains(octets, canary.as_bytes()));
    hold(told.is_none(), || format!("{told:?} in {}", String::from_utf8_lossy(octets)))
}
