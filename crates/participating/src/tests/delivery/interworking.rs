//! Steps 4.c, 9.ii, 9.iii: the interworking function instead of the devices, beside them, or after them.

use super::host::*;
use crate::Policy;
use cpm_core::{Query, Reply};
use cpm_sip::{HeaderName, Request};
use cpm_xml::access_policy::Wish;
use std::time::Duration;

fn instead(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::Interwork])
}

fn beside(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::DeliverAndInterwork])
}

fn recorded_instead(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::Interwork, Wish::OfflineStorage])
}

fn recorded_beside(query: &Query) -> Option<Reply> {
    wishing(query, &[Wish::DeliverAndInterwork, Wish::OfflineStorage])
}

fn is_for_isf(request: &Request) -> bool {
    lines(request.headers(), &HeaderName::Route).iter().any(|route| route.contains("isf@"))
}

/// The requests for devices, and that for the interworking function.
fn split(bench: &mut Bench) -> (Vec<Request>, Option<Request>) {
    let (mut isf, devices): (Vec<_>, Vec<_>) = bench.requests().into_iter().partition(is_for_isf);
    assert!(isf.len() < 2);
    (devices, isf.pop())
}

fn sent(devices: &[&str], policy: impl FnOnce(&mut Policy), host: fn(&Query) -> Option<Reply>) -> Bench {
    let mut bench = bob_with(devices, |p| {
        isf(p);
        policy(p);
    });
    bench.answer = host;
    bench.datagram(pager("1", "term", &format!("{WISH}User-Agent: CPM-client/OMA2.1 theirs\n")));
    bench
}

// req: 8.3.1.1-4.c, 8.3.6-2.b, 8.3.6-2.d, 8.3.6-2.f, 6.5-p1
#[test]
fn instead_of_devices_it_goes_straight_to_the_interworking_function() {
    let mut bench = sent(&[PHONE], |_| (), instead);
    let (devices, request) = split(&mut bench);
    let request = request.unwrap();
    assert_eq!(devices.len(), 0);
    let headers = request.headers();
    assert_eq!(lines(headers, &HeaderName::Route), ["<sip:isf@192.0.2.10:5060;lr>"]);
    assert_eq!(lines(headers, &HeaderName::Via).len(), 1, "a request of our own");
    assert_ne!(header(headers, &HeaderName::CallId), "msg-1");
    assert_eq!(header(headers, &HeaderName::UserAgent), "CPM-serv/OMA2.1");
    assert!(WISH.contains(&lines(headers, &HeaderName::AcceptContact)[0]));
    assert_eq!(request.body().as_ref(), b"hello");
    bench.datagram(answer(&request, "200 OK", "i", "", ""));
    let response = bench.response();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(header(response.headers(), &HeaderName::CallId), "msg-1");
    assert_eq!(bench.events, [handled(200)]);
    bench.rest();
}

// req: 8.3.6-3, 6.5.1-p3
#[test]
fn its_error_goes_back() {
    for (status, expected) in
        [("480 Temporarily Unavailable", 480), ("404 Not Found", 404), ("408 Request Timeout", 480)]
    {
        let mut bench = sent(&[PHONE], |_| (), instead);
        let (_, request) = split(&mut bench);
        bench.datagram(answer(&request.unwrap(), status, "i", "", ""));
        assert_eq!(bench.said(), (expected, None));
        assert_eq!(bench.events, [handled(expected)]);
        bench.rest();
    }
}

/// Timer F of our request and the patience of its sender end together: nothing can be said any more.
#[test]
fn it_never_answers() {
    let mut bench = sent(&[PHONE], |_| (), instead);
    let _ = split(&mut bench);
    bench.wait(Duration::from_secs(33));
    assert_eq!(bench.events.len(), 1);
    bench.rest();
}

/// The first 2xx counts, whoever says it; what the other says later changes nothing.
// req: 8.3.1.1-4.c, 8.3.1.1-7, 8.3.1.1-p3
#[test]
fn beside_the_devices_the_first_2xx_counts() {
    for isf_first in [true, false] {
        for second in ["200 OK", "486 Busy Here", ""] {
            let mut bench = sent(&[PHONE, TABLET], |_| (), beside);
            let (devices, request) = split(&mut bench);
            let request = request.unwrap();
            assert_eq!(devices.len(), 2);
            let (first, late) = if isf_first { (&request, &devices[0]) } else { (&devices[0], &request) };
            bench.datagram(answer(first, "200 OK", "x", "", ""));
            assert_eq!(bench.said(), (200, None));
            if !second.is_empty() {
                bench.datagram(answer(late, second, "y", "", ""));
            }
            bench.nothing_sent();
            bench.datagram(answer(&devices[1], "200 OK", "z", "", ""));
            bench.rest();
            assert_eq!(bench.events, [handled(200)]);
        }
    }
}

// req: 8.3.1.1-p3, 8.3.6-3
#[test]
fn an_error_of_one_waits_for_the_other() {
    for isf_first in [true, false] {
        for (second, expected) in [("200 OK", 200), ("404 Not Found", if isf_first { 480 } else { 404 })] {
            let mut bench = sent(&[PHONE], |_| (), beside);
            let (devices, request) = split(&mut bench);
            let request = request.unwrap();
            let (first, late) = if isf_first { (&request, &devices[0]) } else { (&devices[0], &request) };
            bench.datagram(answer(first, "480 Gone", "x", "", ""));
            bench.nothing_sent();
            bench.datagram(answer(late, second, "y", "", ""));
            assert_eq!(bench.said(), (expected, None), "isf first: {isf_first}");
            assert_eq!(bench.events, [handled(expected)]);
            bench.rest();
        }
    }
}

/// Without an interworking function beside the devices there are the devices; instead of them there is nobody.
#[test]
fn without_an_interworking_function() {
    for (host, label) in [(beside as fn(&Query) -> _, "MESSAGE"), (instead, "480 MESSAGE")] {
        let mut bench = bob_with(&[PHONE], |_| ());
        bench.answer = host;
        bench.datagram(pager("1", "term", WISH));
        assert_eq!(bench.labels(), [label]);
    }
}

// req: 8.3.1.1-9.ii, 8.3.1.1-9.iii
#[test]
fn for_the_primary_device_when_it_is_not_there() {
    let at_once = |policy: &mut Policy| policy.primary_by_interworking = true;
    let mut bench = sent(&[PHONE], at_once, no_preferences);
    let (devices, request) = split(&mut bench);
    assert_eq!((devices.len(), request.is_some()), (1, true));
    let mut bench = sent(&[PHONE], |_| (), no_preferences);
    let (devices, request) = split(&mut bench);
    assert_eq!((devices.len(), request.is_some()), (1, false));
    // Once, whatever the reasons.
    let mut bench = sent(&[PHONE], at_once, beside);
    let (devices, request) = split(&mut bench);
    assert_eq!((devices.len(), request.is_some()), (1, true));
}

/// What went instead of the devices is recorded with what the interworking function said of it.
// req: 6.5.1-onMSG200-1, 6.5.1-onMSG200-1.A, 6.5.1-onMSG200-1.B, 6.5.1-onMSG200-2, 8.3.1.1-5
#[test]
fn what_it_says_of_the_message_is_recorded() {
    let mut bench = sent(&[PHONE], |_| (), recorded_instead);
    let (_, request) = split(&mut bench);
    assert!(bench.queries.is_empty());
    let marks = "Message-Context: multimedia-message\nMessage-Correlator: abc\n";
    bench.datagram(answer(&request.unwrap(), "200 OK", "i", marks, ""));
    assert_eq!(bench.said(), (200, None));
    let (id, query) = bench.asked();
    let Query::StoreObject(object) = query else { panic!("{query:?}") };
    assert_eq!(object.message_context.as_deref(), Some("multimedia-message"));
    assert_eq!(object.message_correlator.as_deref(), Some("abc"));
    bench.reply(id, kept(7));
    assert_eq!(bench.node.function().pending(), 0);
    bench.rest();
}

fn uid_of(uid: u32) -> Option<cpm_core::outside::ObjectUid> {
    uid.try_into().ok().map(cpm_core::outside::ObjectUid)
}

/// Beside the devices it is recorded at once, for their Message-UID, and marked later.
// req: 6.5.1-onMSG200-2, 8.3.1.1-5, 8.3.1.1-14
#[test]
fn what_went_to_devices_as_well_is_marked_afterwards() {
    for marks in ["Message-Context: pager-message\n", ""] {
        let mut bench = sent(&[PHONE], |_| (), recorded_beside);
        let (id, query) = bench.asked();
        assert!(matches!(&query, Query::StoreObject(object) if object.message_context.is_none()));
        bench.reply(id, kept(7));
        let (devices, request) = split(&mut bench);
        let request = request.unwrap();
        assert_eq!((uid(&devices[0]), uid(&request)), (vec!["7".to_owned()], vec![]));
        bench.datagram(answer(&devices[0], "200 OK", "b", "", ""));
        assert_eq!(bench.said(), (200, None));
        bench.datagram(answer(&request, "200 OK", "i", marks, ""));
        bench.nothing_sent();
        if marks.is_empty() {
            assert!(bench.queries.is_empty());
        } else {
            let (_, query) = bench.asked();
            let Query::StoreObject(object) = query else { panic!("{query:?}") };
            assert_eq!(object.message_context.as_deref(), Some("pager-message"));
            assert_eq!(object.replaces, uid_of(7), "in the place of the copy without it");
        }
        bench.rest();
    }
}

/// Into the store, and to the interworking function besides: the store's word counts.
// req: 8.3.1.1-4.c, 8.3.1.1-4.d.ii
#[test]
fn beside_the_store() {
    let both: fn(&Query) -> _ = |query| wishing(query, &[Wish::Interwork, Wish::Store]);
    let mut bench = sent(&[PHONE], |_| (), both);
    let (id, _) = bench.asked();
    bench.nothing_sent();
    bench.reply(id, kept(7));
    assert_eq!(bench.labels(), ["200 MESSAGE", "MESSAGE"]);
    bench.rest();
    // The store fails: then it is up to the interworking function.
    for (status, expected) in [("200 OK", 200), ("480 Gone", 480)] {
        let mut bench = sent(&[PHONE], |_| (), both);
        let (id, _) = bench.asked();
        bench.reply(id, Reply::ObjectStored(Err(cpm_core::StoreError::Failed)));
        let (devices, request) = split(&mut bench);
        assert_eq!(devices.len(), 0);
        bench.datagram(answer(&request.unwrap(), status, "i", "", ""));
        assert_eq!(bench.said(), (expected, None));
        bench.rest();
    }
}

/// The answer of a device waits for the record of what is owed on behalf of the user; what the interworking function says
/// meanwhile does not answer in its place, nor twice.
// req: 8.3.1.1-p3
#[test]
fn a_device_that_took_it_first_answers_though_its_record_comes_late() {
    for isf_says in ["200 OK", "480 Gone"] {
        let mut bench = bob_with(&[PHONE], |policy| {
            isf(policy);
            policy.releases_without_imdn = vec![(1, 0)];
        });
        bench.answer = beside;
        let body = "From: <sip:alice@home.test>\r\nTo: <sip:bob@home.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
                    imdn.Message-ID: id-1\r\nDateTime: 2026-11-21T10:00:00Z\r\n\
                    imdn.Disposition-Notification: positive-delivery\r\n\r\nContent-Type: text/plain\r\n\r\nhello";
        bench.datagram(carrying("1", "", "message/cpim", body));
        let (devices, request) = split(&mut bench);
        bench.store = None;
        bench.datagram(answer(&devices[0], "200 OK", "b", "Server: CPM-client/OMA1.0\n", ""));
        bench.nothing_sent();
        let (id, query) = bench.asked();
        assert!(matches!(&query, Query::Store(_)), "{query:?}");
        bench.datagram(answer(&request.unwrap(), isf_says, "i", "", ""));
        bench.nothing_sent();
        assert!(bench.events.is_empty(), "{:?}", bench.events);
        bench.store = Some(Ok(()));
        bench.reply(id, Reply::Stored(Ok(())));
        let responses = bench.take_with_flows();
        let finals: Vec<_> = responses.iter().filter_map(|(_, message)| message.as_response()).collect();
        assert_eq!(finals.len(), 1);
        assert_eq!(finals[0].status().as_u16(), 200);
        assert_eq!(bench.events, [handled(200)]);
    }
}
