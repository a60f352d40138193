//! Who takes a message when its sender has an answer already: what a device then cannot tell is told on behalf of the user
//! (TS 8.2.5-2), whoever gave that answer.

use super::host::*;
use crate::Policy;
use crate::tests::dispositions::{asking, notification, with_core};
use cpm_base::Seed;
use cpm_core::{Query, Reply};
use cpm_sip::{HeaderName, Request};
use cpm_xml::access_policy::Wish;
use cpm_xml::imdn;
use std::time::Duration;

const OLD: &str = "Server: CPM-client/OMA1.0\n";
const NEW: &str = "Server: CPM-client/OMA2.1\n";

fn beside(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::DeliverAndInterwork])
}

fn recorded_beside(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::DeliverAndInterwork, Wish::OfflineStorage])
}

/// Bob has a phone and a tablet; devices of release 1.0 tell nothing themselves.
fn bench(wishes: fn(&Query) -> Option<Reply>, change: impl FnOnce(&mut Policy)) -> Bench {
    let config = with_core(|policy| {
        policy.releases_without_imdn = vec![(1, 0)];
        isf(policy);
        change(policy);
    });
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    bench.bob_has(&[PHONE, TABLET]);
    bench.events.clear();
    bench.answer = wishes;
    bench
}

/// The requests for the devices and for the interworking function.
fn sent(bench: &mut Bench) -> (Vec<Request>, Option<Request>) {
    bench.datagram(asking("1", "positive-delivery, negative-delivery", ""));
    let for_isf = |request: &Request| lines(request.headers(), &HeaderName::Route)[0].contains("isf@");
    let (mut isf, devices): (Vec<_>, Vec<_>) = bench.requests().into_iter().partition(for_isf);
    assert_eq!(devices.len(), 2);
    (devices, isf.pop())
}

/// What was told on behalf of Bob, and the answers to the message.
fn told(bench: &mut Bench) -> (Vec<imdn::DeliveryStatus>, Vec<u16>) {
    bench.advance(Duration::ZERO);
    let (mut statuses, mut answers) = (Vec::new(), Vec::new());
    for (_, message) in bench.take_with_flows() {
        if let Some(response) = message.as_response() {
            answers.push(response.status().as_u16());
        }
        let Some(request) = message.as_request() else { continue };
        let (_, imdn) = notification(request);
        let imdn::Notification::Delivery(status) = imdn.notification else { panic!("{imdn:?}") };
        statuses.push(status);
        bench.datagram(answer(request, "200 OK", "n", "", ""));
    }
    answers.retain(|status| *status != 100);
    (statuses, answers)
}

const DELIVERED: imdn::DeliveryStatus = imdn::DeliveryStatus::Delivered;

// req: 8.2.5-2
#[test]
fn the_interworking_function_was_first() {
    for (server, statuses) in [(OLD, &[DELIVERED][..]), (NEW, &[])] {
        let mut bench = bench(beside, |_| ());
        let (devices, request) = sent(&mut bench);
        bench.datagram(answer(&request.unwrap(), "200 OK", "i", "", ""));
        // It tells itself what became of what it took.
        assert_eq!(told(&mut bench), (vec![], vec![200]));
        bench.datagram(answer(&devices[0], "486 Busy Here", "a", server, ""));
        assert_eq!(told(&mut bench), (vec![], vec![]));
        bench.datagram(answer(&devices[1], "200 OK", "b", server, ""));
        assert_eq!(told(&mut bench), (statuses.to_vec(), vec![]), "{server}");
        bench.rest();
    }
}

/// Each delivery is told once, however many devices cannot tell it.
// req: 8.2.5-2
#[test]
fn another_device_was_first() {
    for (first, second, statuses) in [
        (NEW, OLD, [&[][..], &[DELIVERED]]),
        (OLD, OLD, [&[DELIVERED], &[]]),
        (OLD, NEW, [&[DELIVERED], &[]]),
        (NEW, NEW, [&[], &[]]),
    ] {
        let mut bench = bench(no_preferences, |_| ());
        let (devices, _) = sent(&mut bench);
        bench.datagram(answer(&devices[1], "200 OK", "a", first, ""));
        assert_eq!(told(&mut bench), (statuses[0].to_vec(), vec![200]));
        bench.datagram(answer(&devices[0], "200 OK", "b", second, ""));
        assert_eq!(told(&mut bench), (statuses[1].to_vec(), vec![]), "{first} {second}");
        bench.rest();
    }
}

/// A device that was too slow for the policy: its sender heard of a failure, and hears of the delivery.
// req: 8.2.5-1, 8.2.5-2
#[test]
fn the_patience_was_over() {
    let mut bench = bench(no_preferences, |policy| policy.patience = Some(Duration::from_secs(10)));
    let (devices, _) = sent(&mut bench);
    bench.wait(Duration::from_secs(11));
    let answers = bench.labels().into_iter().filter(|label| label != "MESSAGE").collect::<Vec<_>>();
    assert_eq!((answers, bench.counted("pf.disposition_on_behalf")), (vec!["480 MESSAGE".to_owned()], 1));
    bench.datagram(answer(&devices[0], "200 OK", "a", OLD, ""));
    assert_eq!(bench.counted("pf.disposition_on_behalf"), 2);
    assert_eq!(bench.events, [handled(480)]);
    bench.rest();
}

/// Threat C1: what was answered leaves room for what was not.
#[test]
fn messages_that_have_their_answer_leave_room_for_others() {
    let mut config = with_core(|policy| policy.releases_without_imdn = vec![(1, 0)]);
    config.limits.max_work = 2;
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    bench.bob_has(&[PHONE, TABLET]);
    let mut late = Vec::new();
    for branch in ["1", "2"] {
        bench.datagram(asking(branch, "positive-delivery", ""));
        let requests = bench.requests();
        bench.datagram(answer(&requests[0], "200 OK", "a", NEW, ""));
        assert_eq!(bench.labels(), ["200 MESSAGE"]);
        late.push(requests[1].clone());
    }
    assert_eq!((bench.node.function().pending(), bench.counted("pf.devices_not_watched")), (1, 1));
    for (request, statuses) in late.iter().zip([&[DELIVERED][..], &[]]) {
        bench.datagram(answer(request, "200 OK", "b", OLD, ""));
        assert_eq!(told(&mut bench), (statuses.to_vec(), vec![]));
    }
    bench.rest();
}

/// While the sender waits for the word of the store that the first delivery is remembered, too.
// req: 8.2.5-2
#[test]
fn the_answer_is_held_yet() {
    let mut bench = bench(no_preferences, |_| ());
    let (devices, _) = sent(&mut bench);
    bench.store = None;
    bench.datagram(answer(&devices[1], "200 OK", "a", OLD, ""));
    bench.datagram(answer(&devices[0], "200 OK", "b", OLD, ""));
    assert_eq!(bench.counted("pf.disposition_on_behalf"), 1);
    let (id, _) = bench.queries.remove(0);
    bench.store = Some(Ok(()));
    bench.reply(id, Reply::Stored(Ok(())));
    assert_eq!(told(&mut bench), (vec![DELIVERED], vec![200]));
    bench.rest();
}

/// What is stored does not ask for what was told (TS 8.2.5), also when that was told late; nothing waits for a device that
/// stays silent longer than its transaction.
// req: 8.2.5-b2, 8.2.5-b2.o1
#[test]
fn what_was_told_late_is_not_asked_for_in_the_store() {
    for answers in [true, false] {
        let mut bench = bench(recorded_beside, |_| ());
        bench.datagram(asking("1", "positive-delivery, display", ""));
        let (id, query) = bench.queries.remove(0);
        assert!(matches!(query, Query::StoreObject(_)));
        bench.reply(id, kept(7));
        let for_isf = |request: &Request| lines(request.headers(), &HeaderName::Route)[0].contains("isf@");
        let (isf, devices): (Vec<_>, Vec<_>) = bench.requests().into_iter().partition(for_isf);
        bench.datagram(answer(&isf[0], "200 OK", "i", "Message-Context: pager-message\n", ""));
        assert_eq!(told(&mut bench), (vec![], vec![200]));
        assert!(bench.queries.is_empty(), "the store is asked when all is known");
        bench.datagram(answer(&devices[0], "486 Busy Here", "a", "", ""));
        if answers {
            bench.datagram(answer(&devices[1], "200 OK", "b", OLD, ""));
            assert_eq!(told(&mut bench), (vec![DELIVERED], vec![]));
        } else {
            bench.wait(Duration::from_secs(33));
        }
        let (id, query) = bench.queries.remove(0);
        let Query::StoreObject(object) = query else { panic!("{query:?}") };
        let text = String::from_utf8_lossy(&object.object).into_owned();
        assert_eq!(text.contains("positive-delivery"), !answers);
        assert!(text.contains("display"));
        assert_eq!(object.message_context.as_deref(), Some("pager-message"));
        bench.reply(id, kept(7));
        bench.take_with_flows();
        bench.rest();
    }
}

/// The host took long to say what the user wants, and the time of the sender's request is over before that of the devices'.
// req: 8.2.5-2
#[test]
fn the_sender_waits_no_more() {
    for (server, statuses) in [(OLD, &[DELIVERED][..]), (NEW, &[])] {
        let mut bench = bench(no_answer, |_| ());
        bench.datagram(asking("1", "positive-delivery", ""));
        let (id, _) = bench.queries.remove(0);
        bench.wait(Duration::from_secs(4));
        bench.reply(id, not_fetched());
        let devices = bench.requests();
        for device in &devices {
            bench.datagram(answer(device, "100 Trying", "", "", ""));
        }
        bench.wait(Duration::from_secs(29));
        assert_eq!(bench.events, [unanswered()]);
        bench.labels();
        bench.datagram(answer(&devices[0], "200 OK", "a", server, ""));
        assert_eq!(told(&mut bench), (statuses.to_vec(), vec![]), "{server}");
        bench.wait(Duration::from_secs(4));
        bench.labels();
        bench.rest();
    }
}
