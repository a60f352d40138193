#![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

use super::*;
use cpm_xml::imdn::{DisplayStatus, InterworkingStatus, ProcessingStatus};
use proptest::prelude::*;

const LIFE: Duration = Duration::from_secs(60);

fn ids(count: usize) -> Vec<WorkId> {
    // Names of requests come from an endpoint alone.
    crate::tests::request_ids(count)
}

fn item(key: &str, disposition: Disposition) -> Item {
    Item { key: key.to_owned(), disposition }
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

/// Tells one thing at a time, each to its end; what went on.
fn story(told: &[(&str, Disposition)]) -> Vec<bool> {
    let ids = ids(told.len());
    let mut cache = Cache::default();
    let told = told.iter().zip(ids).map(|((key, disposition), id)| {
        let items = [item(key, *disposition)];
        let judged = cache.judge(at(0), id, &items);
        cache.end(at(0), LIFE, id, &items, true);
        judged == Judgement::Forward
    });
    told.collect()
}

// req: 8.3.4-2.a.i, 8.3.4-2.a.ii.1, 8.3.4-2.a.iii.1, 8.3.4-2.a.iv, 8.3.4-2.b, 8.3.4-3
#[test]
fn the_rules() {
    use Disposition::{Delivered, Display, Failed, Interworking, Processing};
    for one in [Delivered, Failed, Display, Processing, Interworking] {
        assert_eq!(story(&[("m", one), ("m", one)]), [true, false], "{one:?} twice");
        assert_eq!(story(&[("m", one), ("n", one)]), [true, true], "{one:?} of another message");
    }
    assert_eq!(story(&[("m", Interworking), ("m", Delivered)]), [true, false]);
    assert_eq!(story(&[("m", Interworking), ("m", Failed)]), [true, false]);
    assert_eq!(story(&[("m", Display), ("m", Interworking)]), [true, false]);
    for (first, second) in [
        (Delivered, Interworking),
        (Interworking, Display),
        (Delivered, Display),
        (Display, Delivered),
        (Failed, Delivered),
        (Delivered, Failed),
        (Processing, Delivered),
    ] {
        assert_eq!(story(&[("m", first), ("m", second)]), [true, true], "{first:?}, {second:?}");
    }
}

#[test]
fn what_notifications_tell() {
    use Disposition::{Delivered, Display, Failed, Interworking, Processing};
    for (notification, expected) in [
        (Notification::Delivery(DeliveryStatus::Delivered), Delivered),
        (Notification::Delivery(DeliveryStatus::Failed), Failed),
        (Notification::Delivery(DeliveryStatus::Error), Failed),
        (Notification::Display(DisplayStatus::Displayed), Display),
        (Notification::Processing(ProcessingStatus::Stored), Processing),
        (Notification::Interworking(InterworkingStatus::LegacySms), Interworking),
    ] {
        assert_eq!(Disposition::of(&notification), expected);
    }
}

#[test]
fn what_is_being_told_is_waited_for() {
    let [a, b, c] = ids(3)[..] else { panic!() };
    let mut cache = Cache::default();
    let one = [item("m", Disposition::Delivered)];
    assert_eq!(cache.judge(at(0), a, &one), Judgement::Forward);
    assert_eq!(cache.judge(at(0), b, &one), Judgement::Wait(a));
    // Something else of the same message does not.
    let other = [item("m", Disposition::Display)];
    assert_eq!(cache.judge(at(0), c, &other), Judgement::Forward);
    // It failed: nothing was told.
    assert!(cache.end(at(0), LIFE, a, &one, false).is_empty());
    assert_eq!(cache.judge(at(0), b, &one), Judgement::Forward);
    assert_eq!(cache.end(at(0), LIFE, b, &one, true), ["m"]);
    assert_eq!(cache.judge(at(0), a, &one), Judgement::Told);
    // A second end of the same changes nothing.
    assert!(cache.end(at(0), LIFE, b, &one, true).is_empty());
    assert!(cache.end(at(0), LIFE, c, &other, false).is_empty());
    assert_eq!(cache.sizes(), [1, 1]);
}

/// Several in one MESSAGE: it goes on as long as it tells anything new.
#[test]
fn one_message_may_tell_several_things() {
    let [a, b, c] = ids(3)[..] else { panic!() };
    let mut cache = Cache::default();
    let first = [item("m", Disposition::Delivered), item("n", Disposition::Delivered)];
    assert_eq!(cache.judge(at(0), a, &first), Judgement::Forward);
    assert_eq!(cache.end(at(0), LIFE, a, &first, true), ["m", "n"]);
    let more = [item("n", Disposition::Delivered), item("o", Disposition::Delivered)];
    assert_eq!(cache.judge(at(0), b, &more), Judgement::Forward);
    cache.end(at(0), LIFE, b, &more, true);
    assert_eq!(cache.judge(at(0), c, &more), Judgement::Told);
    // One that tells nothing that can be read goes on; what it is, its receiver judges.
    assert_eq!(cache.judge(at(0), c, &[]), Judgement::Forward);
}

#[test]
fn it_is_forgotten_in_its_time_and_when_there_is_too_much() {
    let ids = ids(5);
    let mut cache = Cache::default();
    for (n, id) in (0u64..).zip(&ids) {
        let items = [item(&format!("m{n}"), Disposition::Delivered)];
        cache.judge(at(n), *id, &items);
        cache.end(at(n), LIFE, *id, &items, true);
    }
    assert_eq!((cache.next_timeout(), cache.forget(at(59), 5)), (Some(at(60)), None));
    assert_eq!(cache.forget(at(60), 5), Some("m0".to_owned()));
    assert_eq!(cache.forget(at(60), 3), Some("m1".to_owned()));
    assert_eq!((cache.forget(at(60), 3), cache.sizes()), (None, [3, 3]));
    // What is over, though it was not swept away, counts no more.
    assert_eq!(cache.judge(at(62), ids[0], &[item("m2", Disposition::Delivered)]), Judgement::Forward);
    assert_eq!(cache.sizes(), [3, 2], "what is under way is not forgotten");
}

#[test]
fn another_node_remembers_the_same() {
    let [a, b] = ids(2)[..] else { panic!() };
    let mut cache = Cache::default();
    let now = Now::new(at(5), DateTime::UNIX_EPOCH);
    let items = [item("o\nbob\nalice\nm", Disposition::Delivered)];
    cache.judge(now.mono, a, &items);
    let record = cache.to_record(now, LIFE, &items[0].key, a).unwrap();
    let later = |seconds: u64| Now::new(at(1), DateTime::UNIX_EPOCH.plus(Duration::from_secs(seconds)));
    let judged = |now: Now| {
        let mut other = Cache::default();
        other.restore(now, LIFE, &record).unwrap();
        other.judge(now.mono, b, &items)
    };
    assert_eq!(judged(later(59)), Judgement::Told);
    assert_eq!(judged(later(61)), Judgement::Forward);
    for n in 0..record.len() {
        assert!(Cache::default().restore(now, LIFE, &record[..n]).is_err());
    }
}

#[test]
fn keys_have_a_limit() {
    assert_eq!(key(&["a", "b"]).as_deref(), Some("a\nb"));
    assert!(key(&[&"x".repeat(MAX_KEY)]).is_some() && key(&[&"x".repeat(MAX_KEY + 1)]).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever comes in whatever order, and however each ends: nothing is told twice, and nothing that was not told is taken
    /// for told.
    #[test]
    fn each_thing_is_told_once(
        steps in proptest::collection::vec((0u8..3, 0usize..5, any::<bool>()), 1..60),
    ) {
        let kinds = [
            Disposition::Delivered,
            Disposition::Failed,
            Disposition::Display,
            Disposition::Processing,
            Disposition::Interworking,
        ];
        let ids = ids(steps.len());
        let mut cache = Cache::default();
        let mut open: Vec<(WorkId, Item)> = Vec::new();
        let mut told: Vec<Item> = Vec::new();
        for ((message, kind, ends_well), id) in steps.into_iter().zip(ids) {
            let one = item(&format!("m{message}"), kinds[kind]);
            match cache.judge(at(0), id, std::slice::from_ref(&one)) {
                Judgement::Forward => {
                    prop_assert!(!told.contains(&one));
                    prop_assert!(!open.iter().any(|(_, other)| *other == one));
                    open.push((id, one));
                }
                Judgement::Told => {
                    let covers = |other: &Item| other.disposition.bit() & one.disposition.covered_by() != 0;
                    let covered = told.iter().any(|other| other.key == one.key && covers(other));
                    prop_assert!(covered);
                }
                Judgement::Wait(leader) => {
                    let known = open.iter().any(|(id, _)| *id == leader);
                    prop_assert!(known);
                }
            }
            if open.len() > 2 {
                let (id, one) = open.remove(0);
                cache.end(at(0), LIFE, id, std::slice::from_ref(&one), ends_well);
                if ends_well {
                    told.push(one);
                }
            }
        }
    }
}

/// Threat G2: a wall clock that jumps between two lives makes nothing be remembered for longer than its life, and what is over
/// is over.
#[test]
fn a_clock_that_jumps_makes_nothing_last() {
    let [a] = ids(1)[..] else { panic!() };
    let mut cache = Cache::default();
    let years = |count: u64| Duration::from_secs(count * 31_557_600);
    let written = Now::new(at(5), DateTime::UNIX_EPOCH.plus(years(50)));
    let items = [item("m", Disposition::Delivered)];
    cache.judge(written.mono, a, &items);
    let record = cache.to_record(written, LIFE, "m", a).unwrap();
    for jump in [0, 1, 10] {
        let mut other = Cache::default();
        let now = Now::new(at(100), DateTime::UNIX_EPOCH.plus(years(50 - jump)));
        assert_eq!(other.restore(now, LIFE, &record), Ok(true));
        assert_eq!(other.judge(now.mono, a, &items), Judgement::Told);
        assert_eq!(other.next_timeout(), Some(now.mono.plus(LIFE)), "{jump}");
    }
    let mut other = Cache::default();
    let now = Now::new(at(100), DateTime::UNIX_EPOCH.plus(years(60)));
    assert_eq!(other.restore(now, LIFE, &record), Ok(false));
    assert_eq!(other.sizes(), [0, 0]);
}
