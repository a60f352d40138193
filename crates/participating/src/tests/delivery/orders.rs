//! Whatever the host and the far sides say, in whatever order, or not at all: the sender hears one thing, and that is true.

use super::host::*;
use crate::{Policy, Recording, Remedy, WithoutPreferences};
use cpm_core::{Query, Reply, StoreError};
use cpm_sip::{HeaderName, Message, Request};
use cpm_xml::access_policy::Wish;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// What the world does next.
#[derive(Debug, Clone)]
enum Turn {
    /// The host answers one of the open questions: well, badly, with nonsense; once or twice.
    Reply(usize, u8, bool),
    /// One of those that it was sent to answers with this status.
    Answer(usize, usize),
    Wait(u64),
    /// The sender sends it again.
    Again,
}

const STATUSES: [&str; 6] = [
    "200 OK",
    "202 Accepted",
    "480 Temporarily Unavailable",
    "404 Not Found",
    "603 Decline",
    "408 Request Timeout",
];

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => (0..4usize, 0..6u8, any::<bool>()).prop_map(|(which, how, twice)| Turn::Reply(which, how, twice)),
        4 => (0..4usize, 0..STATUSES.len()).prop_map(|(which, status)| Turn::Answer(which, status)),
        2 => (0..6000u64).prop_map(Turn::Wait),
        1 => Just(Turn::Again),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    wishes: Vec<Wish>,
    remedies: Vec<Remedy>,
    isf: bool,
    patience: bool,
    refuse: bool,
    primary: bool,
    recording: Recording,
    notification: bool,
    slow_records: bool,
    devices: usize,
    turns: Vec<Turn>,
}

prop_compose! {
    fn case()(
        wishes in proptest::collection::vec(proptest::sample::select(&Wish::ALL[..]), 0..3),
        remedies in proptest::collection::vec(
            proptest::sample::select(&[Remedy::Defer, Remedy::Interwork, Remedy::Error][..]), 0..3),
        [isf, patience, refuse, primary, notification, slow_records] in any::<[bool; 6]>(),
        recording in proptest::sample::select(&[Recording::Wish, Recording::Always][..]),
        devices in 0..3usize,
        turns in proptest::collection::vec(turn(), 0..16),
    ) -> Case {
        Case { wishes, remedies, isf, patience, refuse, primary, recording, notification, slow_records, devices, turns }
    }
}

/// What has happened until now.
#[derive(Default)]
struct Seen {
    finals: Vec<u16>,
    /// Requests that were sent on, by their branch: what they were, and what they were answered.
    sent: Vec<(String, Request, Option<u16>)>,
    stored: bool,
}

impl Seen {
    fn look(&mut self, bench: &mut Bench) {
        for (_, message) in bench.take_with_flows() {
            match message {
                Message::Response(response) => {
                    let status = response.status().as_u16();
                    if status >= 200 {
                        self.finals.push(status);
                    }
                }
                Message::Request(request) => {
                    let via = lines(request.headers(), &HeaderName::Via).remove(0);
                    if !self.sent.iter().any(|(known, ..)| *known == via) {
                        self.sent.push((via, request, None));
                    }
                }
            }
        }
    }
}

fn is_for_isf(request: &Request) -> bool {
    lines(request.headers(), &HeaderName::Route).iter().any(|route| route.contains("isf@"))
}

fn policy(case: &Case) -> impl FnOnce(&mut Policy) {
    let case = case.clone();
    move |policy| {
        if case.isf {
            isf(policy);
        }
        policy.undelivered = case.remedies;
        policy.patience = case.patience.then(|| Duration::from_secs(12));
        policy.primary_by_interworking = case.primary;
        policy.recording = case.recording;
        if case.refuse {
            policy.without_preferences = WithoutPreferences::Refuse;
        }
    }
}

fn reply_to(query: &Query, how: u8, wishes: &[Wish]) -> Reply {
    match (query, how) {
        (Query::Preferences(_), 0..=3) => {
            prefers(rule(wishes).with_action("forward-to", "sip:carol@away.test"))
        }
        (Query::Preferences(_), 4) => not_fetched(),
        (Query::StoreObject(_), 0..=3) => kept(7),
        (Query::StoreObject(_), 4) => Reply::ObjectStored(Err(StoreError::Full)),
        (Query::BodyStructure { .. }, _) => query.unanswered(),
        (Query::Store(_), 4) => Reply::Stored(Err(StoreError::Full)),
        (Query::Store(_), 5) => kept(7),
        // An answer to another question.
        _ => Reply::Stored(Ok(())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Threat G6, C7: no message is answered 2xx that nobody has; nothing is left of any.
    // req: 8.3.1.1-4.d.ii, 8.3.1.1-p3
    #[test]
    fn the_sender_hears_one_thing_that_is_true(case in case()) {
        let devices = [PHONE, TABLET];
        let mut bench = bob_with(&devices[..case.devices], policy(&case));
        bench.answer = no_answer;
        if case.slow_records {
            bench.store = None;
        }
        let octets = match case.notification {
            true => notification("1"),
            false => cpim("1", "", "Content-Type: text/plain\r\n\r\nhello"),
        };
        let mut seen = Seen::default();
        bench.datagram(octets.clone());
        for turn in &case.turns {
            seen.look(&mut bench);
            match turn {
                Turn::Reply(which, how, twice) if *which < bench.queries.len() => {
                    let (id, query) = bench.queries.remove(*which);
                    let reply = reply_to(&query, *how, &case.wishes);
                    let before = bench.counted("pf.unknown_reply");
                    bench.reply(id, reply.clone());
                    let taken = bench.counted("pf.unknown_reply") == before;
                    seen.stored |= taken && matches!(reply, Reply::ObjectStored(Ok(_)));
                    if *twice {
                        bench.reply(id, reply);
                    }
                }
                Turn::Answer(which, status) if *which < seen.sent.len() => {
                    let (_, request, answered) = &mut seen.sent[*which];
                    if answered.is_none() {
                        let octets = answer(request, STATUSES[*status], "b", "", "");
                        *answered = STATUSES[*status][..3].parse().ok();
                        bench.datagram(octets);
                    }
                }
                Turn::Wait(milliseconds) => bench.advance(Duration::from_millis(*milliseconds)),
                // What ended in silence, because a device said 408 (RFC 4320 §4.2), would begin anew.
                Turn::Again if !seen.sent.iter().any(|(_, _, answer)| *answer == Some(408)) => {
                    bench.datagram(octets.clone());
                }
                Turn::Reply(..) | Turn::Answer(..) | Turn::Again => {}
            }
        }
        bench.advance(Duration::from_secs(80));
        bench.store = Some(Ok(()));
        for (id, query) in std::mem::take(&mut bench.queries) {
            if matches!(query, Query::Store(_)) {
                bench.reply(id, Reply::Stored(Ok(())));
            }
        }
        seen.look(&mut bench);
        bench.rest();
        seen.look(&mut bench);

        let told: BTreeSet<u16> = seen.finals.iter().copied().collect();
        prop_assert!(told.len() <= 1, "{:?}", seen.finals);
        prop_assert_eq!(bench.events.len(), 1, "{:?}", bench.events);
        let expected = told.first().map_or(unanswered(), |status| handled(*status));
        prop_assert_eq!(&bench.events[0], &expected);
        if told.first().is_some_and(|status| *status < 300) {
            let somebody = seen.sent.iter().any(|(_, _, answer)| answer.is_some_and(|status| status < 300));
            let in_store = seen.stored && case.wishes.contains(&Wish::Store) && !case.notification;
            prop_assert!(somebody || in_store, "nobody has it");
        }
        let for_isf = seen.sent.iter().filter(|(_, request, _)| is_for_isf(request)).count();
        prop_assert!(for_isf <= usize::from(case.isf && !case.notification));
        prop_assert!(seen.sent.len() - for_isf <= case.devices.max(1), "once for each device");
        if case.notification {
            let others = seen.sent.iter().filter(|(_, request, _)| request.uri().to_string() != "sip:bob@home.test");
            prop_assert_eq!(others.count(), 0);
        }
    }
}
