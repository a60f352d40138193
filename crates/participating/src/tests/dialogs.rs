//! INVITE through the function and what follows: provisional responses, several 2xx, ACK, re-INVITE, BYE, CANCEL.

use super::bench::*;
use crate::{ParticipatingEvent, ServedRole};
use cpm_sip::{HeaderName, Method, Request, StatusCode};
use std::time::Duration;

/// Bob has two devices, both of which have the INVITE.
fn invited() -> (Bench, Vec<Request>) {
    let mut bench = Bench::new();
    bench.bob_has(&[PHONE, TABLET]);
    bench.events.clear();
    bench.datagram(invite("1", "term", ""));
    let requests = bench.requests();
    assert_eq!(requests.len(), 2);
    (bench, requests)
}

/// What the sender sends in the dialog, by the route set that the Record-Route values made.
fn inside(method: &str, cseq: u32, branch: &str, tag: &str) -> String {
    let head = format!(
        "{method} sip:bob@192.0.2.31:5060 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{branch}
Max-Forwards: 68
Route:  <sip:pf.home.test;lr>,  <sip:192.0.2.10;lr> , <sip:192.0.2.40;lr>
From: <sip:alice@home.test>;tag=a1
To: <sip:bob@home.test>;tag={tag}
Call-ID: msg-1
CSeq: {cseq} {method}
Reason: SIP;cause=200;text=\"Call completed\"
Conversation-ID:  kept
"
    );
    message(&head, "")
}

fn event(status: StatusCode) -> ParticipatingEvent {
    ParticipatingEvent::Handled { role: ServedRole::Terminating, method: Method::Invite, status }
}

#[test]
fn ringing_then_accepted_then_ended() {
    let (mut bench, requests) = invited();
    bench.advance(Duration::from_millis(200));
    assert_eq!(bench.labels(), ["100 INVITE"]);
    bench.datagram(answer(&requests[0], "100 Trying", "", "", ""));
    bench.datagram(answer(&requests[1], "100 Trying", "", "", ""));
    assert_eq!(bench.labels(), [""; 0], "100 is for one hop");
    bench.datagram(answer(&requests[0], "180 Ringing", "p", "", ""));
    bench.datagram(answer(&requests[1], "183 Progress", "t", "", ""));
    assert_eq!(bench.labels(), ["180 INVITE", "183 INVITE"]);
    // The first 2xx goes up at once and ends the other branch.
    bench.datagram(answer(&requests[0], "200 OK", "p", "Contact: <sip:bob@192.0.2.31:5060>\n", "v=0"));
    let sent = bench.take_with_flows();
    let ok = sent[1].1.as_response().unwrap();
    assert_eq!((ok.status(), ok.body().as_ref()), (StatusCode::OK, &b"v=0"[..]));
    let expected = ["<sip:pf.home.test;lr>", "<sip:192.0.2.10;lr>"];
    assert_eq!(lines(ok.headers(), &HeaderName::RecordRoute), expected);
    let cancel = sent[0].1.as_request().unwrap();
    assert_eq!((cancel.method(), sent.len()), (&Method::Cancel, 2));
    assert_eq!(
        lines(cancel.headers(), &HeaderName::Via),
        lines(requests[1].headers(), &HeaderName::Via)[..1]
    );
    bench.datagram(answer(cancel, "200 OK", "t", "", ""));
    bench.datagram(answer(&requests[1], "487 Terminated", "t", "", ""));
    assert_eq!(bench.labels(), ["ACK"]);
    assert_eq!(bench.events, [event(StatusCode::OK)]);
    assert_eq!(bench.node.function().pending(), 0);

    // ACK, re-INVITE and BYE go on by their Route, our own value off and the others untouched.
    for (method, cseq, answered) in
        [("ACK", 1, false), ("INVITE", 2, true), ("ACK", 2, false), ("INFO", 3, true), ("BYE", 4, true)]
    {
        bench.datagram(inside(method, cseq, &format!("{method}{cseq}"), "p"));
        let sent = String::from_utf8(bench.octets.last().unwrap().1.to_vec()).unwrap();
        assert!(sent.starts_with(&format!("{method} sip:bob@192.0.2.31:5060 SIP/2.0\r\n")), "{sent}");
        assert!(sent.contains("\r\nRoute:  <sip:192.0.2.10;lr> , <sip:192.0.2.40;lr>\r\n"), "{sent}");
        assert!(sent.contains("\r\nMax-Forwards: 67\r\n") && sent.contains("\r\nConversation-ID:  kept\r\n"));
        assert!(!sent.contains("Record-Route"), "it is in the dialog already");
        let request = bench.request();
        if answered {
            bench.datagram(answer(&request, "200 OK", "", "X-Odd:  kept\n", ""));
            let response = bench.response();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(
                String::from_utf8(response.to_bytes().to_vec()).unwrap().contains("\r\nX-Odd:  kept\r\n")
            );
        }
    }
    bench.rest();
    assert_eq!(bench.events.len(), 1, "what happens inside of the dialog is told to nobody");
}

#[test]
fn both_devices_accept() {
    let (mut bench, requests) = invited();
    for (request, tag) in requests.iter().zip(["p", "t"]) {
        bench.datagram(answer(request, "200 OK", tag, "Contact: <sip:bob@192.0.2.31>\n", ""));
        assert_eq!(bench.labels()[0], "200 INVITE");
    }
    for (branch, tag) in [("a", "p"), ("b", "t")] {
        bench.datagram(inside("ACK", 1, branch, tag));
        assert_eq!(bench.labels(), ["ACK"]);
    }
    // The copy of a 2xx is passed on again: its ACK got lost somewhere.
    bench.datagram(answer(&requests[1], "200 OK", "t", "Contact: <sip:bob@192.0.2.31>\n", ""));
    assert_eq!(bench.labels(), ["200 INVITE"]);
    bench.rest();
    assert_eq!(bench.events, [event(StatusCode::OK)]);
}

#[test]
fn the_sender_cancels() {
    let (mut bench, requests) = invited();
    bench.datagram(answer(&requests[0], "180 Ringing", "p", "", ""));
    bench.datagram(answer(&requests[1], "180 Ringing", "t", "", ""));
    assert_eq!(bench.labels(), ["180 INVITE", "180 INVITE"]);
    let invite = invite("1", "term", "");
    let lines = |line: &&str| ["Via", "Max", "From", "To:", "Call"].iter().any(|name| line.starts_with(name));
    let kept: String = invite.split_inclusive("\r\n").filter(lines).collect();
    let cancel =
        format!("CANCEL sip:bob@home.test SIP/2.0\r\n{kept}CSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n");
    bench.datagram(cancel);
    assert_eq!(bench.labels(), ["200 CANCEL", "CANCEL", "CANCEL"]);
    bench.datagram(answer(&requests[0], "487 Request Terminated", "p", "", ""));
    bench.datagram(answer(&requests[1], "487 Request Terminated", "t", "", ""));
    assert_eq!(bench.labels(), ["ACK", "ACK", "487 INVITE"]);
    assert_eq!(bench.events, [event(StatusCode::REQUEST_TERMINATED)]);
    bench.rest();
}

#[test]
fn cancelled_devices_that_say_nothing_more_are_not_waited_for() {
    let (mut bench, requests) = invited();
    bench.datagram(answer(&requests[0], "180 Ringing", "p", "", ""));
    bench.take_with_flows();
    let cancel = invite("1", "term", "").replace("INVITE", "CANCEL");
    bench.datagram(cancel);
    bench.rest();
    let ended = bench.labels().into_iter().filter(|label| label == "487 INVITE").count();
    assert!(ended >= 1, "sent, and again until it is acknowledged");
    assert_eq!(bench.events, [event(StatusCode::REQUEST_TERMINATED)]);
}

#[test]
fn devices_that_ring_for_ever_are_cancelled() {
    let (mut bench, requests) = invited();
    for request in &requests {
        bench.datagram(answer(request, "180 Ringing", "p", "", ""));
    }
    bench.take_with_flows();
    bench.advance(Duration::from_secs(170));
    assert_eq!(bench.labels(), [""; 0]);
    assert_eq!(bench.node.function().pending(), 1, "timers move on with a provisional response");
    bench.rest();
    let labels = bench.labels();
    assert_eq!(labels[..2], ["CANCEL", "CANCEL"]);
    assert!(labels.iter().any(|label| label == "408 INVITE" || label == "487 INVITE"), "{labels:?}");
    assert_eq!(bench.events.len(), 1);
}

#[test]
fn who_rings_once_more_has_more_time() {
    let (mut bench, requests) = invited();
    for request in &requests {
        bench.datagram(answer(request, "180 Ringing", "p", "", ""));
    }
    bench.advance(Duration::from_secs(170));
    bench.datagram(answer(&requests[0], "180 Ringing", "p", "", ""));
    bench.advance(Duration::from_secs(160));
    assert_eq!((bench.node.function().pending(), bench.events.len()), (1, 0));
    bench.take_with_flows();
    bench.datagram(answer(&requests[0], "200 OK", "p", "Contact: <sip:bob@192.0.2.31>\n", ""));
    assert_eq!(bench.labels(), ["200 INVITE"]);
    assert_eq!(bench.events, [event(StatusCode::OK)]);
    bench.rest();
}

#[test]
fn a_request_inside_of_a_dialog_from_outside_is_refused() {
    let mut bench = Bench::new();
    bench.datagram_on(OUTSIDE, inside("BYE", 2, "x", "p").replace("192.0.2.10:5060", "203.0.113.9"));
    assert_eq!(bench.labels(), ["403 BYE"]);
}

#[test]
fn inside_of_a_dialog_hops_and_loops_count_too() {
    let mut bench = Bench::new();
    bench.datagram(inside("BYE", 2, "x", "p").replace("Max-Forwards: 68", "Max-Forwards: 0"));
    assert_eq!(bench.labels(), ["483 BYE"]);
    bench.datagram(inside("BYE", 2, "y", "p"));
    let sent = String::from_utf8(bench.octets.last().unwrap().1.to_vec()).unwrap();
    bench.take_with_flows();
    let via = "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKround\r\n";
    let again = sent
        .replacen("\r\n", &format!("\r\n{via}"), 1)
        .replace("Route:  <sip:192", "Route: <sip:pf.home.test;lr>,  <sip:192");
    bench.datagram(again.replace("Route: <sip:pf", "Route:  <sip:pf"));
    assert_eq!(bench.labels(), ["482 BYE"]);
}
