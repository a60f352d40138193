//! For the user who receives: which devices a request goes to, how it names them, and which answer counts.

use super::bench::*;
use crate::{ParticipatingEvent, ServedRole};
use cpm_sip::{HeaderName, Method, Request, StatusCode};
use std::time::Duration;

const INSTANCE_A: &str =
    "*;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000000a>\";require;explicit";
const INSTANCE_B: &str =
    "*;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-00000000000b>\";require;explicit";
const INSISTING: &str =
    "*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\";require;explicit";

/// The value of a header line.
fn value(line: &str) -> String {
    line.trim_end().split_once(": ").unwrap().1.to_owned()
}

/// A bench with these devices and what a MESSAGE with these header lines is forked to.
fn forked(devices: &[&str], more: &str) -> (Bench, Vec<Request>) {
    let mut bench = Bench::new();
    bench.bob_has(devices);
    bench.datagram(pager("1", "term", more));
    let requests = bench.requests();
    (bench, requests)
}

fn wishes(request: &Request) -> Vec<String> {
    lines(request.headers(), &HeaderName::AcceptContact)
}

// req: 8.3.1.1-8, 8.3.1.1-8.b.i, 8.3.1.1-9, 8.3.1.1-9.i, 8.3.1.1-15, 8.1.4-p2, 6.1.2-p1, 6.1.2-p3
#[test]
fn one_request_for_each_device_with_the_feature() {
    let (mut bench, requests) = forked(&[PHONE, PHONE_WITHOUT, TABLET, PLAIN], WISH);
    let service = value(WISH);
    let dedicated = INSISTING.to_owned();
    assert_eq!(requests.len(), 3);
    assert_eq!(wishes(&requests[0]), [service.clone(), dedicated.clone(), INSTANCE_A.to_owned()]);
    assert_eq!(wishes(&requests[1]), [service.clone(), dedicated.clone(), INSTANCE_B.to_owned()]);
    assert_eq!(wishes(&requests[2]), [service, dedicated]);
    let uris: Vec<String> = requests.iter().map(|request| request.uri().to_string()).collect();
    assert_eq!(uris, ["sip:bob@home.test", "sip:bob@home.test", "sip:bob@192.0.2.33:5060"]);
    let mut branches = Vec::new();
    for request in &requests {
        assert_eq!(lines(request.headers(), &HeaderName::Route), ["<sip:192.0.2.10;lr;after=term>"]);
        assert_eq!(lines(request.headers(), &HeaderName::RecordRoute), [""; 0]);
        assert_eq!(request.body().as_ref(), b"hello");
        branches.push(lines(request.headers(), &HeaderName::Via)[0].clone());
        bench.datagram(answer(request, "200 OK", "b", "", ""));
    }
    branches.dedup();
    assert_eq!(branches.len(), 3, "each is a transaction of its own");
    bench.rest();
}

#[test]
fn the_feature_of_an_invite_counts_for_an_invite() {
    let mut bench = Bench::new();
    bench.bob_has(&[PHONE, PLAIN]);
    bench.datagram(invite("1", "term", ""));
    let sent = bench.requests();
    assert_eq!(sent.len(), 1, "one device does large messages");
    assert_eq!(wishes(&sent[0])[2], INSTANCE_A);
    let expected = ["<sip:pf.home.test;lr>", "<sip:192.0.2.10;lr>"];
    assert_eq!(lines(sent[0].headers(), &HeaderName::RecordRoute), expected);
}

// req: 8.3.1.1-10
#[test]
fn a_device_that_the_sender_named_is_dropped_and_the_rest_copied() {
    let other = "Accept-Contact: *;+sip.instance=\"<urn:uuid:dead>\";explicit;require\n";
    let odd = "a:  *;+g.3gpp.iari-ref=\"urn%3Aurn-7%3A3gpp-application.ims.iari.x\"  ;explicit\n";
    let (_, requests) = forked(&[PHONE], &format!("{other}{WISH}{odd}"));
    let all = wishes(&requests[0]).join(", ");
    assert!(!all.contains("dead"), "{all}");
    assert!(all.contains(&value(WISH)) && all.contains("iari-ref"), "{all}");
    assert!(all.contains(INSTANCE_A));
    // Without such a one they stay as they were written.
    let (bench, requests) = forked(&[PHONE], &format!("{WISH}{odd}"));
    assert_eq!(wishes(&requests[0]).len(), 4);
    let sent = String::from_utf8(bench.octets[1].1.to_vec()).unwrap();
    assert!(sent.contains(&wire(&format!("{WISH}{odd}"))), "{sent}");
}

/// Readings C9.
// req: 6.1.2-p3
#[test]
fn a_service_that_is_insisted_on_already_is_not_repeated() {
    let insisted = format!("Accept-Contact: {INSISTING}\n");
    let (_, requests) = forked(&[PHONE], &insisted);
    assert_eq!(wishes(&requests[0]), [INSISTING, INSTANCE_A]);
    // Another service that is insisted on is none of that.
    for service in ["mmtel", "oma.cpm.session"] {
        let other = INSISTING.replace("oma.cpm.msg", service);
        let (_, requests) = forked(&[PHONE], &format!("{WISH}Accept-Contact: {other}\n"));
        assert_eq!(wishes(&requests[0]), [&value(WISH), &other, INSISTING, INSTANCE_A]);
    }
    // Nor is one that is only wished for.
    for half in ["require", "explicit"] {
        let other = INSISTING.replace(";require;explicit", &format!(";{half}"));
        let (_, requests) = forked(&[PHONE], &format!("Accept-Contact: {other}\n"));
        assert_eq!(wishes(&requests[0]), [&other, INSISTING, INSTANCE_A]);
    }
}

// req: 6.1.2-a, 8.3.1.1-13
#[test]
fn a_public_gruu_names_the_device() {
    let gruu = "sip:bob@home.test;gr=urn:uuid:00000000-0000-4000-8000-00000000000a";
    let phone = format!("{PHONE};pub-gruu=\"{gruu}\"");
    for nonsense in ["over there", "tel:+15550002", ""] {
        let nonsense = format!("{TABLET};pub-gruu=\"{nonsense}\"");
        let (_, requests) = forked(&[&phone, &nonsense], WISH);
        assert_eq!(requests[0].uri().to_string(), gruu);
        assert_eq!(wishes(&requests[0]), [value(WISH), INSISTING.to_owned()]);
        assert_eq!(requests[1].uri().to_string(), "sip:bob@home.test");
        assert_eq!(wishes(&requests[1])[2], INSTANCE_B);
    }
}

// req: 8.3.1.1-12, 8.3.1.1-12.a, 8.3.1.1-12.b
#[test]
fn a_preferred_service_that_came_through_is_asserted() {
    for form in ["", ".group"] {
        let urn = format!("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg{form}");
        let (_, requests) = forked(&[PHONE, TABLET], &format!("{WISH}P-Preferred-Service: {urn}\n"));
        for request in &requests {
            assert_eq!(lines(request.headers(), &HeaderName::PPreferredService), [""; 0]);
            assert_eq!(lines(request.headers(), &HeaderName::PAssertedService), std::slice::from_ref(&urn));
        }
    }
}

// req: 5.3-p3
#[test]
fn the_conversation_headers_reach_every_device_as_they_came() {
    let reply = "InReplyTo-Contribution-ID:  \"odd\"\n";
    let (bench, requests) = forked(&[PHONE, TABLET, PLAIN], &format!("{WISH}{reply}"));
    assert_eq!(requests.len(), 3);
    let came = wire(
        "Conversation-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6
Contribution-ID: abcdef00-1234-4678-90ab-cdef01234567
",
    );
    for (_, octets) in &bench.octets[1..] {
        let text = String::from_utf8(octets.to_vec()).unwrap();
        assert!(text.contains(&came) && text.contains(&wire(reply)), "{text}");
    }
}

fn handled(method: Method, status: u16) -> ParticipatingEvent {
    let status = StatusCode::new(status).unwrap();
    ParticipatingEvent::Handled { role: ServedRole::Terminating, method, status }
}

// req: 8.1.4-p2
#[test]
fn nobody_to_deliver_to_is_480() {
    let mut bench = Bench::new();
    bench.datagram(pager("1", "term", WISH));
    bench.datagram(invite("2", "term", ""));
    assert_eq!(bench.labels(), ["480 MESSAGE", "480 INVITE"]);
    assert_eq!(bench.events, [handled(Method::Message, 480), handled(Method::Invite, 480)]);
    // Somebody who has not what it takes is nobody; so is anybody for a request without feature.
    bench.bob_has(&[PHONE_WITHOUT]);
    bench.datagram(pager("3", "term", WISH));
    bench.datagram(pager("4", "term", ""));
    assert_eq!(bench.labels(), ["480 MESSAGE", "480 MESSAGE"]);
    bench.rest();
}

/// What goes upstream when the devices answer this, in this order; and the event.
fn best_of(method: &str, answers: &[&str]) -> (Vec<String>, Vec<ParticipatingEvent>) {
    let mut bench = Bench::new();
    bench.bob_has(&[PHONE, TABLET]);
    bench.events.clear();
    let octets = if method == "INVITE" { invite("1", "term", "") } else { pager("1", "term", WISH) };
    bench.datagram(octets);
    let requests = bench.requests();
    for (i, (request, status)) in requests.iter().zip(answers).enumerate() {
        if !status.is_empty() {
            bench.datagram(answer(request, status, &format!("b{i}"), "", ""));
        }
    }
    let mut upstream = bench.labels();
    let patience = Duration::from_secs(if method == "INVITE" { 40 } else { 31 });
    bench.advance(patience);
    upstream.extend(bench.labels());
    upstream.retain(|label| label.starts_with(|c: char| c.is_ascii_digit()) && !label.starts_with("100"));
    upstream.dedup();
    bench.rest();
    (upstream, bench.events)
}

// req: 8.3.1.1-p3
#[test]
fn the_first_2xx_to_a_message_counts_else_the_best() {
    for (answers, expected) in [
        (["200 OK", "486 Busy Here"], 200),
        (["486 Busy Here", "200 OK"], 200),
        (["200 OK", "202 Accepted"], 200),
        (["202 Accepted", "200 OK"], 202),
        (["200 OK", ""], 200),
        (["486 Busy Here", "480 Gone"], 486),
        (["500 Oops", "480 Gone"], 480),
        (["603 Decline", "480 Gone"], 603),
        (["404 Not Found", "302 Elsewhere"], 302),
    ] {
        let (upstream, events) = best_of("MESSAGE", &answers);
        assert_eq!(upstream, [format!("{expected} MESSAGE")], "{answers:?}");
        assert_eq!(events, [handled(Method::Message, expected)], "{answers:?}");
    }
}

#[test]
fn when_one_answers_and_the_other_never_the_answer_may_come_too_late_but_nothing_stays() {
    let (upstream, events) = best_of("MESSAGE", &["486 Busy Here", ""]);
    assert_eq!((upstream.len(), events.len()), (0, 1), "{events:?}");
    let (upstream, events) = best_of("INVITE", &["486 Busy Here", ""]);
    // The timeout counts as 408, the lower of the class is the first that came (RFC 3261 §16.7).
    assert_eq!((upstream, events), (vec!["486 INVITE".to_owned()], vec![handled(Method::Invite, 486)]));
}

#[test]
fn nobody_answers() {
    let (upstream, events) = best_of("MESSAGE", &["", ""]);
    let unanswered = |method| ParticipatingEvent::Unanswered { role: ServedRole::Terminating, method };
    assert_eq!((upstream, events), (vec![], vec![unanswered(Method::Message)]), "RFC 4320 §4.2");
    let (upstream, events) = best_of("INVITE", &["", ""]);
    assert_eq!((upstream, events), (vec!["408 INVITE".to_owned()], vec![handled(Method::Invite, 408)]));
}

/// RFC 4320 §4.2.
#[test]
fn a_device_that_says_408_to_a_message_said_nothing() {
    let (upstream, events) = best_of("MESSAGE", &["408 Request Timeout", "408 Request Timeout"]);
    let (role, method) = (ServedRole::Terminating, Method::Message);
    assert_eq!((upstream, events), (vec![], vec![ParticipatingEvent::Unanswered { role, method }]));
    let (upstream, events) = best_of("INVITE", &["408 Request Timeout", "408 Request Timeout"]);
    assert_eq!((upstream, events), (vec!["408 INVITE".to_owned()], vec![handled(Method::Invite, 408)]));
}

#[test]
fn the_response_of_a_device_is_not_touched() {
    let mut bench = Bench::new();
    bench.bob_has(&[PHONE]);
    bench.datagram(pager("1", "term", WISH));
    let request = bench.request();
    let more = "Message-UID: 1\nl: 3\nX-Odd:  kept \n";
    let octets = answer(&request, "200 Fine", "b1", more, "abc").replace("Content-Length: 3\r\n", "");
    bench.datagram(octets.clone());
    let own = octets.split_inclusive("\r\n").find(|line| line.contains("192.0.2.20")).unwrap();
    let sent = String::from_utf8(bench.octets[2].1.to_vec()).unwrap();
    assert_eq!(sent, octets.replace(own, ""));
    bench.rest();
}
