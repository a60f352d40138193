//! The XML documents of CPM: what is read is written, and read again as the same.

use cpm_xml::{Document, Limits, XmlError, conference_info, reginfo};
use std::fmt::Debug;

/// Long enough for what is written of a document that was read: a character may become a reference.
fn generous() -> Limits {
    Limits { max_bytes: 1 << 22, ..Limits::default() }
}

/// Reads, writes and reads again; the value, where there was one.
fn both_ways<T: Debug + PartialEq>(
    data: &[u8],
    parse: fn(&[u8], &Limits) -> Result<T, XmlError>,
    write: fn(&T) -> String,
) -> Option<T> {
    let value = parse(data, &Limits::default()).ok()?;
    let text = write(&value);
    match parse(text.as_bytes(), &generous()) {
        Ok(again) => assert_eq!(again, value, "written as {text}"),
        Err(error) => panic!("{value:?} is written as {text}, which is not read: {error}"),
    }
    Some(value)
}

pub fn is_composing(data: &[u8]) {
    use cpm_xml::is_composing::{parse, write};
    if let Some(typing) = both_ways(data, parse, write) {
        let _ = typing.last_active_time();
    }
}

pub fn resource_lists(data: &[u8]) {
    use cpm_xml::resource_lists::{parse, write};
    let Some(lists) = both_ways(data, parse, write) else { return };
    for entry in lists.entries() {
        assert!(lists.contains(entry.bare_uri()));
        let _ = (entry.action(), entry.bare_uri(), entry.method(), entry.uri_header("body"));
    }
}

pub fn msginfo(data: &[u8]) {
    use cpm_xml::msginfo::{parse, write};
    both_ways(data, parse, write);
}

pub fn evfw(data: &[u8]) {
    use cpm_xml::evfw::{Event, parse, write};
    let Ok(event) = parse(data, &Limits::default()) else { return };
    let Some(event) = event else { return };
    let Some(text) = write(&event) else {
        assert!(matches!(event, Event::Foreign { .. }), "{event:?} is not written");
        return;
    };
    match parse(text.as_bytes(), &generous()) {
        Ok(again) => assert_eq!(again.as_ref(), Some(&event), "written as {text}"),
        Err(error) => panic!("{event:?} is written as {text}, which is not read: {error}"),
    }
}

pub fn group_data(data: &[u8]) {
    use cpm_xml::group_data::{parse, write};
    both_ways(data, parse, write);
}

/// Access policies, profile directories, group documents and group states; and whatever else a root element names.
pub fn policies(data: &[u8]) {
    use cpm_xml::{access_policy, group_document, group_state, profiles};
    both_ways(data, profiles::parse, profiles::write);
    both_ways(data, group_state::parse, group_state::write);
    // Writing leaves out what is not known; what is written is all of it that counts, and does not change again.
    if let Ok(policy) = access_policy::parse(data, &Limits::default()) {
        let text = access_policy::write(&policy);
        let again = access_policy::parse(text.as_bytes(), &generous()).expect("a written policy is read");
        assert_eq!(access_policy::write(&again), text);
        for rule in &again.rules {
            let mut before = policy.rules.iter();
            assert!(before.any(|before| before.id == rule.id && before.conditions == rule.conditions));
        }
    }
    if let Ok(group) = group_document::parse(data, &Limits::default()) {
        let text = group_document::write(&group);
        let again = group_document::parse(text.as_bytes(), &generous()).expect("a written group is read");
        assert_eq!(group_document::write(&again), text);
        assert_eq!((&again.uri, &again.members), (&group.uri, &group.members));
    }
    let _ = Document::parse(data, &Limits::default());
}

/// Documents one behind the other, a NUL between them, as the NOTIFY requests of a subscription bring them. The state that
/// they merge to is told to a subscriber after each; what he puts together is that state.
pub fn conference_info(data: &[u8]) {
    use conference_info::{ConferenceInfo, Merged, Notifier, StateLimits, parse, write};
    let limits = StateLimits { max_users: 50, max_state_bytes: 20_000 };
    let mut state = Merged::new(limits);
    let mut notifier = Notifier::new();
    let mut subscriber = Merged::new(limits);
    for piece in data.split(|octet| *octet == 0).take(64) {
        let Some(document) = both_ways(piece, parse, write) else { continue };
        let before = state.snapshot();
        let applied = state.apply(document);
        match applied {
            Err(_) | Ok(conference_info::Applied::Ignored | conference_info::Applied::Gap) => {
                assert_eq!(state.snapshot(), before, "what does not count changes nothing");
            }
            Ok(conference_info::Applied::Changed | conference_info::Applied::Ended) => {}
        }
        assert!(state.users().count() <= limits.max_users);
        let told = match state.snapshot() {
            Some(now) => notifier.notify(&now),
            None => subscriber.version().is_some().then(|| notifier.deleted("sip:group@example.com")),
        };
        let Some(told) = told else { continue };
        let wire = write(&told);
        let read = parse(wire.as_bytes(), &generous()).expect("what the notifier makes is read");
        subscriber.apply(read).expect("within the limits of the one that it was");
        let content = |merged: &Merged| {
            merged.snapshot().map(|snapshot| ConferenceInfo {
                version: None,
                // A full document has one, if an empty one (RFC 4575 §5.2).
                description: Some(snapshot.description.clone().unwrap_or_default()),
                ..snapshot
            })
        };
        assert_eq!(content(&subscriber), content(&state));
    }
}

/// The same for registrations, without the way back: nobody here makes partial ones.
pub fn reginfo(data: &[u8]) {
    use reginfo::{Applied, Merged, StateLimits, parse, write};
    let mut state = Merged::new(StateLimits::default());
    for piece in data.split(|octet| *octet == 0).take(64) {
        let Some(document) = both_ways(piece, parse, write) else { continue };
        for contact in document.registrations.iter().flat_map(|registration| &registration.contacts) {
            let _ = (contact.instance(), contact.param("x"));
        }
        let before: Vec<_> = state.registrations().cloned().collect();
        let (version, newer) =
            (document.version, state.version().is_none_or(|known| document.version >= known));
        match state.apply(document) {
            Ok(Applied::Ignored) | Err(_) => {
                assert_eq!(state.registrations().cloned().collect::<Vec<_>>(), before);
            }
            _ => assert!(newer, "version {version} is none of news"),
        }
    }
}
