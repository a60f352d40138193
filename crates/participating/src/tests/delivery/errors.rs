//! TS 8.3.1.3 and 8.3.6: nobody took it.

use super::host::*;
use crate::{Policy, Remedy};
use cpm_sip::{HeaderName, Request};
use std::time::Duration;

fn remedies(all: &'static [Remedy]) -> impl FnOnce(&mut Policy) {
    move |policy| {
        isf(policy);
        policy.undelivered = all.to_vec();
    }
}

fn to_isf(request: &Request) -> bool {
    lines(request.headers(), &HeaderName::Route).iter().any(|route| route.contains("isf@"))
}

// req: 8.3.1.1-p2, 8.3.6-p1, 8.3.6-2.a, 8.3.6-3
#[test]
fn the_order_is_the_policys() {
    use Remedy::*;
    for (order, expected) in [
        (&[Error][..], "480 MESSAGE"),
        (&[Defer, Interwork], "480 MESSAGE"),
        (&[], "480 MESSAGE"),
        (&[Interwork, Defer], "MESSAGE"),
    ] {
        let mut bench = with_policy(remedies(order));
        bench.datagram(pager("1", "term", WISH));
        assert_eq!(bench.labels(), [expected], "nobody is suitable: {order:?}");
        assert_eq!(bench.counted("pf.deferral_wanted"), u64::from(order.first() == Some(&Defer)));
        bench.rest();
    }
}

// req: 8.3.6-2.a, 8.3.6-3, 6.5.1-p3
#[test]
fn after_the_devices_it_is_interworked() {
    use Remedy::*;
    for (order, isf_says, expected, deferred) in [
        (&[Interwork][..], "200 OK", 200, 0),
        (&[Interwork], "404 Not Found", 404, 0),
        (&[Interwork, Error], "480 Gone", 480, 0),
        (&[Interwork, Defer], "404 Not Found", 480, 1),
        (&[Interwork, Defer], "480 Gone", 480, 1),
    ] {
        let mut bench = bob_with(&[PHONE, TABLET], remedies(order));
        bench.datagram(pager("1", "term", WISH));
        for request in bench.requests() {
            bench.datagram(answer(&request, "486 Busy Here", "b", "", ""));
        }
        let request = bench.request();
        assert!(to_isf(&request));
        bench.datagram(answer(&request, isf_says, "i", "", ""));
        assert_eq!(bench.said(), (expected, None), "{order:?} {isf_says}");
        assert_eq!(bench.counted("pf.deferral_wanted"), deferred);
        assert_eq!(bench.events, [handled(expected)]);
        bench.rest();
    }
}

// req: 8.3.6-3
#[test]
fn the_error_of_the_devices_goes_back_or_is_deferred() {
    for (order, expected) in [(&[Remedy::Error][..], 486), (&[Remedy::Defer], 480)] {
        let mut bench = bob_with(&[PHONE], remedies(order));
        bench.datagram(pager("1", "term", WISH));
        let request = bench.request();
        bench.datagram(answer(&request, "486 Busy Here", "b", "", ""));
        assert_eq!(bench.said(), (expected, None));
        bench.rest();
    }
}

/// Threat C: silent devices cost their user's message no more than the patience that the policy has.
// req: 8.3.6-p1
#[test]
fn silent_devices_are_waited_for_as_long_as_the_policy_says() {
    let patience = Some(Duration::from_secs(10));
    let impatient = |undelivered: Vec<Remedy>| {
        move |policy: &mut Policy| {
            isf(policy);
            policy.patience = patience;
            policy.undelivered = undelivered;
        }
    };
    let finals = |bench: &mut Bench| {
        let mut labels = bench.labels();
        labels.retain(|label| label != "MESSAGE");
        labels
    };
    let mut bench = bob_with(&[PHONE, TABLET], impatient(vec![Remedy::Error]));
    bench.datagram(pager("1", "term", WISH));
    let requests = bench.requests();
    bench.datagram(answer(&requests[1], "486 Busy Here", "b", "", ""));
    bench.wait(Duration::from_millis(9900));
    assert_eq!(finals(&mut bench), [""; 0]);
    bench.wait(Duration::from_millis(200));
    assert_eq!(finals(&mut bench), ["480 MESSAGE"]);
    // Who answers later has it all the same; its sender is not told again.
    bench.datagram(answer(&requests[0], "200 OK", "a", "", ""));
    assert_eq!(finals(&mut bench), [""; 0]);
    assert_eq!(bench.events, [handled(480)]);
    bench.rest();

    let mut bench = bob_with(&[PHONE], impatient(vec![Remedy::Interwork]));
    bench.datagram(pager("1", "term", WISH));
    let device = bench.request();
    bench.wait(Duration::from_secs(11));
    let isf = bench.requests_of_method("MESSAGE").into_iter().find(to_isf).unwrap();
    // A device that answers now is still heard.
    bench.datagram(answer(&device, "200 OK", "a", "", ""));
    assert_eq!(finals(&mut bench), ["200 MESSAGE"]);
    bench.datagram(answer(&isf, "480 Gone", "i", "", ""));
    bench.rest();
    assert_eq!(bench.events, [handled(200)]);
}

/// The transactions towards silent devices and the patience of the sender end together.
#[test]
fn without_patience_the_sender_of_a_message_to_silent_devices_hears_nothing() {
    let mut bench = bob_with(&[PHONE], remedies(&[Remedy::Interwork]));
    bench.datagram(pager("1", "term", WISH));
    bench.wait(Duration::from_secs(33));
    assert_eq!(bench.events, [unanswered()]);
    bench.rest();
}

/// A message that comes round again is refused, whatever the policy would do about one that was not delivered.
#[test]
fn a_loop_is_refused() {
    let mut bench = bob_with(&[PHONE], remedies(&[Remedy::Interwork]));
    bench.datagram(pager("1", "term", WISH).replace("Max-Forwards: 68", "Max-Forwards: 0"));
    assert_eq!(bench.said(), (483, None));
    bench.rest();
}
