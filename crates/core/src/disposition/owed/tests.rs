#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

const OPEN: Settings = Settings { delivery: true, display: true };

fn all() -> DispositionRequest {
    DispositionRequest {
        positive_delivery: true,
        negative_delivery: true,
        display: true,
        processing: true,
        interworking: true,
        ..DispositionRequest::default()
    }
}

fn message(id: &str) -> OwedMessage {
    OwedMessage {
        sender: String::from("sip:a@x"),
        message_id: String::from(id),
        asked: all(),
        session: None,
        is_notification: false,
        seen: false,
    }
}

fn owed() -> Owed {
    Owed::new(OwedLimits::default(), OPEN)
}

/// Everything that can go now, as words; each goes through.
fn sent(owed: &mut Owed, open: impl Fn(Way) -> bool + Copy) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(due) = owed.next(open) {
        let way = match due.way {
            Way::Message => "",
            Way::Session(_) => " in session",
        };
        words.push(format!("{} {}{way}", due.message_id, due.notification.status()));
        owed.done(due.id, true, false);
    }
    words
}

// req: 5.4.1-1, 5.4.1-2, 5.4.2-1, 5.4.2-2
#[test]
fn what_was_asked_is_told_once() {
    let mut owed = owed();
    let id = owed.received(message("m")).unwrap();
    assert_eq!(owed.happened(id, Happened::Delivered), 1);
    assert_eq!(owed.happened(id, Happened::Delivered), 0);
    assert_eq!(sent(&mut owed, |_| true), ["m delivered"]);
    assert_eq!(owed.happened(id, Happened::Displayed), 1);
    assert_eq!(owed.happened(id, Happened::Displayed), 0);
    assert_eq!(sent(&mut owed, |_| true), ["m displayed"]);
    assert_eq!(owed.waiting(), 0);
}

#[test]
fn what_was_told_in_an_earlier_life_is_not_told_again() {
    let mut owed = owed();
    let id = owed.received(message("m")).unwrap();
    owed.told_before(id, Happened::Delivered);
    // A failure after a delivery is none, in whichever life it was delivered.
    assert_eq!(owed.happened(id, Happened::Failed), 0);
    assert_eq!(owed.happened(id, Happened::Displayed), 1);
    assert_eq!(sent(&mut owed, |_| true), ["m displayed"]);
    let other = owed.received(message("n")).unwrap();
    owed.told_before(other, Happened::Displayed);
    assert_eq!(owed.happened(other, Happened::Displayed), 1);
    assert_eq!(sent(&mut owed, |_| true), ["n delivered"]);
}

#[test]
fn one_who_may_not_be_told_more_holds_nobody_else_up() {
    let mut owed = owed();
    for (sender, id) in [("sip:a@x", "1"), ("sip:b@x", "2"), ("sip:a@x", "3")] {
        let id = owed.received(OwedMessage { sender: sender.to_owned(), ..message(id) }).unwrap();
        owed.happened(id, Happened::Delivered);
    }
    let due = owed.next_to(|peer, _| peer != "sip:a@x").unwrap();
    assert_eq!((due.to.as_str(), due.message_id.as_str()), ("sip:b@x", "2"));
    assert!(owed.next_to(|peer, _| peer != "sip:a@x").is_none());
    assert_eq!(owed.next_to(|_, _| true).unwrap().message_id, "1");
}

#[test]
fn what_was_shown_was_delivered() {
    let mut owed = owed();
    let id = owed.received(message("m")).unwrap();
    assert_eq!(owed.happened(id, Happened::Displayed), 2);
    assert_eq!(owed.happened(id, Happened::Failed), 0);
    assert_eq!(sent(&mut owed, |_| true), ["m delivered", "m displayed"]);
}

#[test]
fn a_failure_may_be_followed_by_a_delivery_and_never_the_other_way() {
    let mut owed = owed();
    let id = owed.received(message("m")).unwrap();
    assert_eq!(owed.happened(id, Happened::Stored), 1);
    assert_eq!(owed.happened(id, Happened::Failed), 1);
    assert_eq!(owed.happened(id, Happened::Delivered), 1);
    assert_eq!(owed.happened(id, Happened::Failed), 0);
    assert_eq!(sent(&mut owed, |_| true), ["m stored", "m failed", "m delivered"]);
}

/// Threat E6: none for a notification, none that nobody asked for, one per message, sender and kind.
// req: 5.4-p4, 5.4.2-1.b
#[test]
fn nothing_is_owed_to_whom_nothing_is_due() {
    let mut owed = owed();
    assert_eq!(owed.received(OwedMessage { is_notification: true, ..message("m") }), None);
    assert_eq!(owed.received(OwedMessage { asked: DispositionRequest::default(), ..message("m") }), None);
    assert_eq!(owed.received(message("")), None);
    assert_eq!(owed.received(message(&"m".repeat(2_000))), None);
    let only_display = DispositionRequest { display: true, ..DispositionRequest::default() };
    let id = owed.received(OwedMessage { asked: only_display, ..message("m") }).unwrap();
    let quiet = [Happened::Delivered, Happened::Failed, Happened::Stored, Happened::InterworkedSms];
    assert_eq!(quiet.map(|what| owed.happened(id, what)), [0; 4]);
    assert_eq!(owed.happened(id, Happened::Displayed), 1);
    // A copy from another device or another way is the same message.
    assert_eq!(owed.received(message("m")), Some(id));
    assert_eq!(owed.happened(id, Happened::Displayed), 0);
    // The same id from somebody else is another message.
    let other = owed.received(OwedMessage { sender: String::from("sip:b@x"), ..message("m") }).unwrap();
    assert_ne!(other, id);
}

/// Threat E7: the user's settings keep deliveries and readings to himself.
// req: 5.4.2-1.a.i
#[test]
fn settings_and_what_was_seen_elsewhere_keep_back() {
    let mut owed = Owed::new(OwedLimits::default(), Settings { delivery: false, display: false });
    let id = owed.received(message("m")).unwrap();
    assert_eq!(owed.happened(id, Happened::Displayed), 0);
    owed.set_settings(OPEN);
    assert_eq!(owed.happened(id, Happened::Displayed), 0);
    let id = owed.received(OwedMessage { seen: true, ..message("n") }).unwrap();
    assert_eq!(owed.happened(id, Happened::Displayed), 1);
    assert_eq!(sent(&mut owed, |_| true), ["n delivered"]);
}

// req: 5.4-via-i
#[test]
fn the_session_is_the_way_while_it_is_open() {
    let mut owed = owed();
    let id = owed.received(OwedMessage { session: Some(7), ..message("m") }).unwrap();
    owed.happened(id, Happened::Delivered);
    assert_eq!(owed.next(|_| false), None);
    assert_eq!(sent(&mut owed, |way| way == Way::Session(7)), ["m delivered in session"]);
    owed.happened(id, Happened::Displayed);
    owed.session_ended(7);
    assert_eq!(owed.next(|way| way == Way::Session(7)), None);
    assert_eq!(sent(&mut owed, |way| way == Way::Message), ["m displayed"]);
}

#[test]
fn what_fails_is_tried_again_in_its_order_and_not_for_ever() {
    let mut owed = Owed::new(OwedLimits { max_tries: 2, ..OwedLimits::default() }, OPEN);
    let id = owed.received(message("m")).unwrap();
    let other = owed.received(message("n")).unwrap();
    owed.happened(id, Happened::Displayed);
    owed.happened(other, Happened::Delivered);
    let first = owed.next(|_| true).unwrap();
    assert_eq!(first.notification.status(), "delivered");
    // The reading waits for the delivery; another message does not.
    assert_eq!(owed.next(|_| true).unwrap().message, other);
    assert_eq!(owed.next(|_| true), None);
    owed.done(first.id, false, true);
    let again = owed.next(|_| true).unwrap();
    assert_eq!(again.id, first.id);
    owed.done(again.id, false, true);
    assert_eq!(owed.metrics().get("imdn.lost"), 1);
    let last = owed.next(|_| true).unwrap();
    assert_eq!(last.notification.status(), "displayed");
    owed.done(last.id, false, false);
    assert_eq!((owed.waiting(), owed.metrics().get("imdn.lost")), (1, 2));
    owed.done(last.id, true, false);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut owed = Owed::new(OwedLimits { max_messages: 2, max_queue: 2, ..OwedLimits::default() }, OPEN);
    let ids: Vec<_> = ["1", "2", "3"].map(|id| owed.received(message(id)).unwrap()).into();
    assert_eq!(owed.happened(ids[0], Happened::Delivered), 0);
    owed.happened(ids[1], Happened::Displayed);
    owed.happened(ids[2], Happened::Delivered);
    assert_eq!(sent(&mut owed, |_| true), ["2 displayed", "3 delivered"]);
    assert_eq!(owed.metrics().get("imdn.dropped"), 1);
    assert_eq!((owed.messages.len(), owed.by_key.len()), (2, 2));
}

#[test]
fn a_record_that_is_none_is_refused() {
    let mut owed = owed();
    let id = owed.received(message("m")).unwrap();
    owed.happened(id, Happened::Displayed);
    let octets = owed.export();
    let restore = |octets: &[u8], limits| Owed::restore(octets, limits, 10_000).map(|_| ());
    assert_eq!(restore(&octets, OwedLimits::default()), Ok(()));
    let few = OwedLimits { max_queue: 1, ..OwedLimits::default() };
    assert_eq!(restore(&octets, few), Err(RecordError::Value("number of messages")));
    for at in 0..octets.len() {
        assert!(restore(&octets[..at], OwedLimits::default()).is_err());
    }
}

#[derive(Debug, Clone)]
enum Step {
    Received(&'static str, Option<u64>, bool),
    Happened(usize, Happened),
    Next(bool, bool),
    Done(bool, bool),
    SessionEnded,
    MoveOver,
}

fn steps() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        Just(Happened::Delivered),
        Just(Happened::Failed),
        Just(Happened::Displayed),
        Just(Happened::Stored),
        Just(Happened::InterworkedMms),
    ];
    prop_oneof![
        (prop_oneof![Just("m"), Just("n"), Just("o")], proptest::option::of(Just(7)), any::<bool>())
            .prop_map(|(id, session, seen)| Step::Received(id, session, seen)),
        (0usize..4, what).prop_map(|(at, what)| Step::Happened(at, what)),
        (any::<bool>(), any::<bool>()).prop_map(|(message, session)| Step::Next(message, session)),
        (any::<bool>(), any::<bool>()).prop_map(|(through, again)| Step::Done(through, again)),
        Just(Step::SessionEnded),
        Just(Step::MoveOver),
    ]
}

proptest! {
    /// A run that is exported and restored in between is the run that is not, as long as nothing was on its way; and no
    /// kind of notification goes through twice for one message.
    #[test]
    fn a_restored_machine_goes_on_as_if_nothing_had_happened(steps in proptest::collection::vec(steps(), 0..60)) {
        let limits = OwedLimits { max_messages: 8, max_tries: 3, ..OwedLimits::default() };
        let (mut stays, mut moves) = (Owed::new(limits, OPEN), Owed::new(limits, OPEN));
        let (mut ids, mut under_way): (Vec<OwedId>, VecDeque<Due>) = (Vec::new(), VecDeque::new());
        let mut through: BTreeSet<(String, String)> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Received(id, session, seen) => {
                    let arrived = OwedMessage { session, seen, ..message(id) };
                    let id = stays.received(arrived.clone());
                    prop_assert_eq!(id, moves.received(arrived));
                    ids.extend(id);
                }
                Step::Happened(at, what) => {
                    let Some(id) = ids.get(at) else { continue };
                    prop_assert_eq!(stays.happened(*id, what), moves.happened(*id, what));
                }
                Step::Next(message, session) => {
                    let open = |way| if way == Way::Message { message } else { session };
                    let due = stays.next(open);
                    prop_assert_eq!(&due, &moves.next(open));
                    under_way.extend(due);
                }
                Step::Done(went, again) => {
                    let Some(due) = under_way.pop_front() else { continue };
                    if went {
                        let key = (due.message_id.clone(), String::from(due.notification.status()));
                        prop_assert!(through.insert(key));
                    }
                    stays.done(due.id, went, again);
                    moves.done(due.id, went, again);
                }
                Step::SessionEnded => {
                    stays.session_ended(7);
                    moves.session_ended(7);
                }
                Step::MoveOver if under_way.is_empty() => {
                    moves = Owed::restore(&moves.export(), limits, 10_000).unwrap();
                }
                Step::MoveOver => {}
            }
            prop_assert_eq!(stays.export(), moves.export());
        }
    }
}
