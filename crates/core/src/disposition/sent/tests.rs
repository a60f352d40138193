#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::*;
use cpm_xml::imdn::ProcessingStatus;
use proptest::prelude::*;

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

fn message(id: &str, recipients: &[&str]) -> SentMessage {
    let recipients = recipients.iter().map(|recipient| String::from(*recipient)).collect();
    SentMessage { message_id: String::from(id), asked: all(), number: 7, recipients }
}

fn delivered() -> Notification {
    Notification::Delivery(DeliveryStatus::Delivered)
}

fn displayed() -> Notification {
    Notification::Display(DisplayStatus::Displayed)
}

// req: 5.4.3-p2, 5.4.4-p2, 5.4-rcv-1, 5.4-rcv-1.a, 5.4-rcv-2, 5.4-rcv-2.a
#[test]
fn the_first_copy_counts_for_each_recipient() {
    let mut sent = Sent::new(SentLimits::default());
    sent.remember(message("m", &["a", "b"]));
    assert_eq!(sent.report(Some("a"), "m", &delivered()), Verdict::News(Progress::Delivered));
    assert_eq!(sent.report(Some("a"), "m", &delivered()), Verdict::Repeated);
    assert_eq!(sent.report(Some("b"), "m", &delivered()), Verdict::News(Progress::Delivered));
    assert_eq!(sent.report(Some("a"), "m", &displayed()), Verdict::News(Progress::Displayed));
    assert_eq!(sent.report(Some("a"), "m", &delivered()), Verdict::Repeated);
    assert_eq!(sent.progress("m", "b"), Some(Progress::Delivered));
    assert_eq!(sent.metrics().get("imdn.repeated"), 2);
}

#[test]
fn the_state_never_moves_back() {
    let mut sent = Sent::new(SentLimits::default());
    let failed = Notification::Delivery(DeliveryStatus::Failed);
    sent.remember(message("m", &["a"]));
    assert_eq!(sent.report(Some("a"), "m", &failed), Verdict::News(Progress::Failed));
    assert_eq!(sent.report(Some("a"), "m", &displayed()), Verdict::News(Progress::Displayed));
    assert_eq!(sent.report(Some("a"), "m", &failed), Verdict::Repeated);
    assert_eq!(
        sent.report(Some("a"), "m", &Notification::Processing(ProcessingStatus::Stored)),
        Verdict::Repeated
    );
    assert_eq!(sent.progress("m", "a"), Some(Progress::Displayed));
}

/// Threat E5: what was not sent, not to him, or not asked for is dropped and counted.
#[test]
fn forged_notifications_change_nothing() {
    let mut sent = Sent::new(SentLimits::default());
    let only_delivery = DispositionRequest { positive_delivery: true, ..DispositionRequest::default() };
    sent.remember(SentMessage { asked: only_delivery, ..message("m", &["a"]) });
    let before = sent.export();
    assert_eq!(sent.report(Some("a"), "n", &delivered()), Verdict::Unknown);
    assert_eq!(sent.report(Some("mallory"), "m", &delivered()), Verdict::NotARecipient);
    assert_eq!(sent.report(Some("a"), "m", &displayed()), Verdict::NotAsked);
    let forbidden = Notification::Display(DisplayStatus::Forbidden);
    assert_eq!(sent.report(Some("a"), "m", &forbidden), Verdict::NotAsked);
    assert_eq!(sent.export(), before);
    let counted =
        ["imdn.unknown", "imdn.not_a_recipient", "imdn.not_asked"].map(|name| sent.metrics().get(name));
    assert_eq!(counted, [1, 1, 2]);
    sent.remember(message("o", &["a"]));
    assert_eq!(sent.report(Some("a"), "o", &forbidden), Verdict::Ignored);
}

#[test]
fn a_sender_who_is_not_known_is_the_one_recipient() {
    let mut sent = Sent::new(SentLimits::default());
    sent.remember(message("one", &["a"]));
    sent.remember(message("two", &["a", "b"]));
    sent.remember(message("group", &[]));
    assert_eq!(sent.report(None, "one", &delivered()), Verdict::News(Progress::Delivered));
    assert_eq!(sent.report(None, "two", &delivered()), Verdict::NotARecipient);
    assert_eq!(sent.report(None, "group", &delivered()), Verdict::NotARecipient);
    assert_eq!(sent.report(Some("anybody"), "group", &delivered()), Verdict::News(Progress::Delivered));
    assert_eq!(sent.progress("group", "anybody"), Some(Progress::Delivered));
}

#[test]
fn what_left_for_another_technology_needs_no_typing() {
    let mut sent = Sent::new(SentLimits::default());
    sent.remember(message("m", &["a"]));
    assert!(!sent.is_interworked("m", "a"));
    let sms = Notification::Interworking(InterworkingStatus::LegacySms);
    assert_eq!(sent.report(Some("a"), "m", &sms), Verdict::News(Progress::Interworked));
    assert!(sent.is_interworked("m", "a"));
    assert_eq!(sent.report(Some("a"), "m", &delivered()), Verdict::News(Progress::Delivered));
    assert!(!sent.is_interworked("m", "a"));
    let error = Notification::Interworking(InterworkingStatus::Error);
    assert_eq!(sent.report(Some("a"), "m", &error), Verdict::Ignored);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut sent = Sent::new(SentLimits { max_messages: 2, max_recipients: 2, max_id: 8 });
    sent.remember(SentMessage { asked: DispositionRequest::default(), ..message("quiet", &["a"]) });
    sent.remember(message("too-long-id", &["a"]));
    assert!(sent.is_empty());
    for id in ["1", "2", "2", "3"] {
        sent.remember(message(id, &["a", "b", "c"]));
    }
    assert_eq!(sent.message_ids().collect::<Vec<_>>(), ["2", "3"]);
    assert_eq!(sent.report(Some("a"), "1", &delivered()), Verdict::Unknown);
    assert_eq!(sent.report(Some("c"), "3", &delivered()), Verdict::NotARecipient);
    sent.remember(message("4", &[]));
    for (from, verdict) in [
        ("x", Verdict::News(Progress::Delivered)),
        ("far-too-long", Verdict::NotARecipient),
        ("y", Verdict::News(Progress::Delivered)),
        ("z", Verdict::NotARecipient),
    ] {
        assert_eq!(sent.report(Some(from), "4", &delivered()), verdict, "{from}");
    }
    sent.forget("4");
    assert_eq!((sent.len(), sent.order.len()), (1, 1));
}

#[test]
fn a_message_sent_again_keeps_its_state() {
    let mut sent = Sent::new(SentLimits::default());
    sent.remember(message("m", &["a"]));
    sent.report(Some("a"), "m", &delivered());
    sent.remember(message("m", &["a"]));
    assert_eq!(sent.report(Some("a"), "m", &delivered()), Verdict::Repeated);
}

#[test]
fn a_record_that_is_none_is_refused() {
    let mut sent = Sent::new(SentLimits::default());
    sent.remember(message("m", &["a", "b"]));
    let octets = sent.export();
    assert_eq!(Sent::restore(&octets, SentLimits::default(), 10_000).unwrap().number("m"), Some(7));
    let restore = |octets: &[u8], limits| Sent::restore(octets, limits, 10_000).map(|_| ());
    assert_eq!(restore(&octets, SentLimits::default()), Ok(()));
    let few = SentLimits { max_recipients: 1, ..SentLimits::default() };
    assert_eq!(restore(&octets, few), Err(RecordError::Value("number of recipients")));
    for at in 0..octets.len() {
        assert!(restore(&octets[..at], SentLimits::default()).is_err());
    }
}

#[test]
fn a_message_is_final_when_nothing_more_can_be_told() {
    let mut sent = Sent::new(SentLimits::default());
    let no = DispositionRequest::default();
    let delivery = DispositionRequest { positive_delivery: true, ..no.clone() };
    let failure = DispositionRequest { negative_delivery: true, ..no.clone() };
    sent.remember(SentMessage { asked: delivery, ..message("delivery", &["a", "b"]) });
    sent.remember(SentMessage { asked: failure, ..message("failure", &["a"]) });
    sent.remember(message("all", &["a"]));
    sent.remember(message("group", &[]));
    let failed = Notification::Delivery(DeliveryStatus::Failed);
    for (from, id, what, is_final) in [
        ("a", "delivery", delivered(), false),
        ("b", "delivery", failed.clone(), false),
        ("b", "delivery", delivered(), true),
        ("a", "failure", failed, true),
        ("a", "all", delivered(), false),
        ("a", "all", displayed(), true),
        ("a", "group", displayed(), false),
    ] {
        assert!(matches!(sent.report(Some(from), id, &what), Verdict::News(_)), "{id}");
        assert_eq!(sent.is_final(id), is_final, "{id}");
    }
    assert!(sent.is_final("unknown"));
}

#[test]
fn a_record_of_one_message() {
    let mut sent = Sent::new(SentLimits { max_messages: 2, ..SentLimits::default() });
    assert_eq!(sent.remember(message("m", &["a", "b"])), None);
    sent.report(Some("a"), "m", &delivered());
    assert_eq!(sent.export_message("n"), None);
    let octets = sent.export_message("m").unwrap();
    let mut other = Sent::new(SentLimits { max_messages: 2, ..SentLimits::default() });
    other.remember(message("m", &["a"]));
    assert_eq!(other.restore_message(&octets, 1_000).as_deref(), Ok("m"));
    assert_eq!(other.export(), sent.export());
    for at in 0..octets.len() {
        assert!(other.restore_message(&octets[..at], 1_000).is_err());
    }
    assert!(matches!(other.restore_message(&octets, 10), Err(RecordError::TooLong { .. })));
    let mut narrow = Sent::new(SentLimits { max_recipients: 1, ..SentLimits::default() });
    assert_eq!(narrow.restore_message(&octets, 1_000), Err(RecordError::Value("number of recipients")));
    // The oldest goes, and is named so that its record can go as well.
    assert_eq!(other.remember(message("n", &["a"])), None);
    assert_eq!(other.remember(message("o", &["a"])), Some((String::from("m"), 7)));
}

#[derive(Debug, Clone)]
enum Step {
    Remember(&'static str, Vec<&'static str>),
    Report(Option<&'static str>, &'static str, Notification),
    Forget(&'static str),
    MoveOver,
    MoveOneByOne,
}

fn steps() -> impl Strategy<Value = Step> {
    let id = || prop_oneof![Just("m"), Just("n"), Just("o")];
    let who = || prop_oneof![Just("a"), Just("b"), Just("c")];
    let notification = prop_oneof![
        Just(delivered()),
        Just(displayed()),
        Just(Notification::Delivery(DeliveryStatus::Error)),
        Just(Notification::Interworking(InterworkingStatus::LegacyMms)),
        Just(Notification::Processing(ProcessingStatus::Processed)),
    ];
    prop_oneof![
        2 => (id(), proptest::collection::vec(who(), 0..3)).prop_map(|(id, to)| Step::Remember(id, to)),
        6 => (proptest::option::of(who()), id(), notification).prop_map(|(from, id, what)| Step::Report(from, id, what)),
        1 => id().prop_map(Step::Forget),
        1 => Just(Step::MoveOver),
        1 => Just(Step::MoveOneByOne),
    ]
}

proptest! {
    /// A run that is exported and restored in between is the run that is not; no state moves back.
    #[test]
    fn a_restored_machine_goes_on_as_if_nothing_had_happened(steps in proptest::collection::vec(steps(), 0..40)) {
        let limits = SentLimits { max_messages: 2, ..SentLimits::default() };
        let (mut stays, mut moves) = (Sent::new(limits), Sent::new(limits));
        for step in steps {
            match step {
                Step::Remember(id, to) => {
                    stays.remember(message(id, &to));
                    moves.remember(message(id, &to));
                }
                Step::Report(from, id, what) => {
                    let before = from.and_then(|from| stays.progress(id, from));
                    let weighed = stays.weigh(from, id, &what);
                    let verdict = stays.report(from, id, &what);
                    prop_assert_eq!(weighed, verdict);
                    prop_assert_eq!(verdict, moves.report(from, id, &what));
                    let after = from.and_then(|from| stays.progress(id, from));
                    prop_assert!(before <= after);
                    prop_assert_eq!(matches!(verdict, Verdict::News(_)), before < after || from.is_none() && matches!(verdict, Verdict::News(_)));
                }
                Step::Forget(id) => {
                    stays.forget(id);
                    moves.forget(id);
                }
                Step::MoveOneByOne => {
                    let mut new = Sent::new(limits);
                    for id in moves.message_ids() {
                        new.restore_message(&moves.export_message(id).unwrap(), 10_000).unwrap();
                    }
                    moves = new;
                }
                Step::MoveOver => moves = Sent::restore(&moves.export(), limits, 10_000).unwrap(),
            }
            prop_assert_eq!(stays.export(), moves.export());
        }
    }
}
