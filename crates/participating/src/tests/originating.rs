//! For the user who sends: what is checked, what is edited, and that nothing else is.

use super::bench::*;
use crate::{ParticipatingEvent, ServedRole};
use bytes::Bytes;
use cpm_sip::{HeaderName, Method, StatusCode, Warning};

const PAGER: &str = "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg";

/// What went out, without our Via on top.
fn without_own_via(octets: &Bytes) -> String {
    let text = String::from_utf8(octets.to_vec()).unwrap();
    let (first, rest) = text.split_once("\r\n").unwrap();
    let (via, rest) = rest.split_once("\r\n").unwrap();
    assert!(via.starts_with("Via: SIP/2.0/UDP 192.0.2.20:5060;"), "{text}");
    assert!(via.contains(";branch=z9hG4bK"), "{via}");
    format!("{first}\r\n{rest}")
}

// req: 8.2-b1, 8.2.1.1-7.i, 8.2.1.1-7.i.1, 8.2.1.1-8.A.ii, 5.3-p3
#[test]
fn everything_but_the_service_and_the_route_stays_as_it_came() {
    let mut bench = Bench::new();
    let body = "From: <sip:a@x>\r\n\r\nContent-Type: text/plain\r\n\r\n\0\u{1}\r\n\n\u{fffd}";
    let received = message(
        "MESSAGE  sip:bob@home.test;user=phone;x=y SIP/2.0
v:SIP/2.0/UDP   192.0.2.10:5060 ; branch=z9hG4bKodd , SIP/2.0/TCP client;branch=z9hG4bKx
Route: <sip:pf.home.test;lr> ,  <sip:192.0.2.10;lr;after=orig;x=%41>;weird=\"A, b\"  ,\t<sip:far.test;lr>
Max-Forwards:  68
f:  \"Alice, \\\"A\\\"\"  <sip:alice@home.test> ;tag=a1
t :bob <sip:bob@home.test>
i: call@1
CSeq: 1   MESSAGE
P-Asserted-Identity: \"Alice\" <sip:alice@home.test> , <tel:+1-555-0001>
P-Served-User: <sip:alice@home.test>;sescase=orig;regstate=reg
P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg
a: *;+g.3gpp.icsi-ref=\"URN%3aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg\" ; explicit
Conversation-ID:   F81D4FAE-7dec-11d0-a765-00a0c91e6bf6
contribution-id: not-even(a)uuid
InReplyTo-Contribution-ID: abc
X-Unknown: <<< not , looked at >>>
x-UNKNOWN:
s: folded
\t  twice
 over
User-Agent: CPM-client/OMA1.0 (old)
c: message/cpim
",
        body,
    )
    .replace("MESSAGE  sip", "MESSAGE sip");
    bench.datagram(received.clone());
    let expected = received
        .replace("Route: <sip:pf.home.test;lr> ,  <", "Route: <")
        .replace("Max-Forwards:  68", "Max-Forwards: 67")
        .replace("P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg\r\n", "")
        // What is written into the message: who sent it, and when.
        .replace("From: <sip:a@x>\r\n", "From: <sip:alice@home.test>\r\nDateTime: 1970-01-01T00:00:00Z\r\n")
        .replace(
            &format!("Content-Length: {}\r\n", body.len()),
            &format!(
                "Content-Length: {}\r\nP-Asserted-Service: {PAGER}\r\nMax-Breadth: 60\r\n",
                body.len() + 44
            ),
        );
    assert_eq!(bench.octets.len(), 1, "{:?}", bench.octets);
    assert_eq!(without_own_via(&bench.octets[0].1), expected);
    let request = bench.request();
    bench.datagram(answer(&request, "200 OK", "b1", "", ""));
    assert_eq!(bench.labels(), ["200 MESSAGE"]);
    bench.rest();
}

/// What becomes of service header lines.
fn services(more: &str) -> (Vec<String>, Vec<String>) {
    let mut bench = Bench::new();
    bench.datagram(pager("1", "orig", &format!("{WISH}{more}")));
    let request = bench.request();
    let of = |name| lines(request.headers(), &name);
    (of(HeaderName::PPreferredService), of(HeaderName::PAssertedService))
}

// req: 8.2.1.1-7.i.1, H.3-p4, H.5-p1
#[test]
fn a_preferred_cpm_service_is_asserted() {
    for feature in ["msg", "largemsg", "session", "filetransfer"] {
        for form in ["", ".group"] {
            let urn = format!("urn:urn-7:3gpp-service.ims.icsi.oma.cpm.{feature}{form}");
            let (preferred, asserted) = services(&format!("P-Preferred-Service: {urn}\n"));
            assert_eq!((preferred, asserted), (vec![], vec![urn]));
        }
    }
    // Whatever the case; among others.
    let other = "P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.mmtel\n";
    let cpm = "P-Preferred-Service: URN:urn-7:3gpp-service.IMS.icsi.oma.cpm.MSG\n";
    assert_eq!(services(&format!("{other}{cpm}")), (vec![], vec![PAGER.to_owned()]));
}

#[test]
fn another_preferred_service_is_left_alone() {
    for urn in ["urn:urn-7:3gpp-service.ims.icsi.mmtel", "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg.groups"]
    {
        let (preferred, asserted) = services(&format!("P-Preferred-Service: {urn}\n"));
        assert_eq!((preferred, asserted), (vec![urn.to_owned()], vec![]));
    }
    assert_eq!(services(""), (vec![], vec![]));
}

#[test]
fn what_the_core_asserted_stands() {
    let group = format!("{PAGER}.group");
    let more = format!("P-Asserted-Service: {group}\nP-Preferred-Service: {PAGER}\n");
    assert_eq!(services(&more), (vec![], vec![group.clone()]));
    assert_eq!(services(&format!("P-Asserted-Service: {group}\n")), (vec![], vec![group]));
}

/// Status and warning of the answer to a request that goes no further.
fn refused(octets: String) -> (u16, Option<(u16, String)>, Vec<ParticipatingEvent>) {
    let mut bench = Bench::new();
    bench.datagram(octets);
    let response = bench.response();
    let warning = response.typed::<Warning>().unwrap().map(|w| (w.code(), w.text().to_owned()));
    bench.rest();
    (response.status().as_u16(), warning, bench.events)
}

fn handled(status: StatusCode) -> Vec<ParticipatingEvent> {
    vec![ParticipatingEvent::Handled { role: ServedRole::Originating, method: Method::Message, status }]
}

// req: 6.1-p4.1, 6.1-p4.2, 6.4.1-p2
#[test]
fn without_authenticated_originator_403() {
    let identity = "P-Asserted-Identity: <sip:alice@home.test>\r\n";
    for case in ["orig", "term"] {
        let octets = pager("1", case, WISH).replace(identity, "");
        let (status, warning, events) = refused(octets);
        let (code, text) = warning.expect("it says why");
        assert_eq!((status, code, &text[..4]), (403, 399, "122 "));
        assert_eq!(events.len(), 1);
    }
    let malformed = pager("1", "orig", WISH).replace(identity, "P-Asserted-Identity: <<>\r\n");
    assert_eq!(refused(malformed).0, 403);
}

// req: 6.4.1-p2
#[test]
fn without_cpm_feature_403_127() {
    for wish in [
        "",
        "Accept-Contact: *;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\n",
        "Accept-Contact: *;audio\n",
    ] {
        let (status, warning, events) = refused(pager("1", "orig", wish));
        assert_eq!((status, warning), (403, Some((399, "127 Service not authorised".to_owned()))));
        assert_eq!(events, handled(StatusCode::FORBIDDEN));
    }
}

#[test]
fn a_feature_that_cannot_be_read_is_400() {
    let (status, warning, events) = refused(pager("1", "orig", "Accept-Contact: *;;=\"\n"));
    assert_eq!((status, warning.map(|(code, _)| code)), (400, Some(399)));
    assert_eq!(events, handled(StatusCode::BAD_REQUEST));
}

#[test]
fn without_served_user_403() {
    let served = "P-Served-User: <sip:alice@home.test>;sescase=orig;regstate=reg\r\n";
    let (status, warning, events) = refused(pager("1", "orig", WISH).replace(served, ""));
    assert_eq!((status, warning.unwrap().0, events.len()), (403, 399, 0));
    for odd in [
        "P-Served-User: <sip:alice@home.test>\r\n".to_owned(),
        "P-Served-User: <sip:alice@home.test>;sescase=both\r\n".to_owned(),
        "P-Served-User: <<\r\n".to_owned(),
        format!("{served}{served}"),
    ] {
        let (status, warning, events) = refused(pager("1", "orig", WISH).replace(served, &odd));
        assert_eq!((status, events.len()), (400, 0), "{odd}");
        // The endpoint itself refuses a field that stands twice.
        assert_eq!(warning.is_some(), !odd.starts_with(served), "{odd}");
    }
}

#[test]
fn record_route_for_invite_alone() {
    let mut bench = Bench::new();
    bench.datagram(pager("1", "orig", WISH));
    assert_eq!(lines(bench.request().headers(), &HeaderName::RecordRoute), [""; 0]);
    bench.datagram(invite("2", "orig", ""));
    let sent = bench.request();
    let expected = ["<sip:pf.home.test;lr>", "<sip:192.0.2.10;lr>"];
    assert_eq!(lines(sent.headers(), &HeaderName::RecordRoute), expected);
    assert_eq!(lines(sent.headers(), &HeaderName::Route), ["<sip:192.0.2.10;lr;after=orig>"]);
    assert_eq!(lines(sent.headers(), &HeaderName::Contact), ["<sip:alice@192.0.2.30:5060>"]);
    assert_eq!(header(sent.headers(), &HeaderName::MaxForwards), "67");
}

#[test]
fn max_forwards() {
    let with = |value: &str| pager("1", "orig", WISH).replace("Max-Forwards: 68\r\n", value);
    assert_eq!(refused(with("Max-Forwards: 0\r\n")).0, 483);
    for (there, expected) in [("Max-Forwards: 1\r\n", "0"), ("", "70")] {
        let mut bench = Bench::new();
        bench.datagram(with(there));
        let sent = bench.request();
        assert_eq!(header(sent.headers(), &HeaderName::MaxForwards), expected);
    }
}

/// Our own answer to what came back to us.
#[test]
fn a_loop_is_482() {
    let mut bench = Bench::new();
    bench.datagram(pager("1", "orig", WISH));
    let sent = String::from_utf8(bench.octets[0].1.to_vec()).unwrap();
    bench.take_with_flows();
    // The core sends it round: its Via on top, our Route back on.
    let via = "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKround\r\n";
    let again = sent
        .replacen("\r\n", &format!("\r\n{via}"), 1)
        .replace("Route: <sip:192", "Route: <sip:pf.home.test;lr>\r\nRoute: <sip:192");
    bench.datagram(again.clone());
    let sent = bench.take_with_flows();
    assert_eq!(sent[0].1.as_response().map(|response| response.status().as_u16()), Some(482));
    // As another user's it is a spiral, and goes on.
    bench.bob_has(&[PHONE]);
    let served = "P-Served-User: <sip:alice@home.test>;sescase=orig;regstate=reg";
    bench.datagram(
        again
            .replace("z9hG4bKround", "z9hG4bKspiral")
            .replace(served, "P-Served-User: <sip:bob@home.test>;sescase=term"),
    );
    assert_eq!(bench.labels(), ["MESSAGE"]);
}

// req: 8.2.1.1-8.A.iv, 8.2.1.1-9.ii
#[test]
fn the_final_response_is_the_far_sides() {
    let more = "Message-UID: 4711\nServer: CPM-serv/OMA1.0 other\nX-Odd:  kept \nDate: nonsense\n";
    for status in ["200 OK", "202 Accepted", "486 Busy", "503 Elsewhere", "603 Nothing, \"really\""] {
        let mut bench = Bench::new();
        bench.datagram(pager("1", "orig", WISH));
        let request = bench.request();
        let octets = answer(&request, status, "b1", more, "body");
        bench.datagram(octets.clone());
        let own = header_line(&octets, "Via: SIP/2.0/UDP 192.0.2.20");
        // The UID of an object in a store of the far side's is none of the sender's.
        let expected = octets.replace(&own, "").replace("Message-UID: 4711\r\n", "");
        let sent = String::from_utf8(bench.octets[1].1.to_vec()).unwrap();
        assert_eq!(sent, expected);
        let status = bench.response().status();
        assert_eq!(bench.events, handled(status));
        bench.rest();
    }
}

fn header_line(octets: &str, start: &str) -> String {
    let line = octets.split_inclusive("\r\n").find(|line| line.starts_with(start));
    line.expect("it is there").to_owned()
}

// req: D.3-p1
#[test]
fn who_answers_says_its_release() {
    let mut named = config();
    "acme-pf/1.2".clone_into(&mut named.product);
    for (config, expected) in [(config(), "CPM-serv/OMA2.1"), (named, "CPM-serv/OMA2.1 acme-pf/1.2")] {
        let mut bench = Bench::with(config, cpm_base::Seed::new([3; 32]));
        bench.datagram(third_party(1, "600", &accepted(&format!("Contact: {PHONE}\n"))));
        bench.datagram(pager("1", "orig", ""));
        for response in bench.responses() {
            assert_eq!(header(response.headers(), &HeaderName::Server), expected);
        }
        bench.datagram(pager("2", "orig", &format!("{WISH}User-Agent: acme\n")));
        assert_eq!(header(bench.request().headers(), &HeaderName::UserAgent), "acme");
    }
}

#[test]
fn over_a_stream_to_a_stream() {
    let mut bench = Bench::new();
    let octets = pager("1", "orig", WISH)
        .replace("SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/TCP 192.0.2.10:5070")
        .replace("<sip:192.0.2.10;lr;after", "<sip:192.0.2.10:5070;transport=tcp;lr;after");
    let (front, back) = octets.split_at(100);
    bench.stream(front.to_owned());
    bench.stream(format!("{back}\r\n\r\n"));
    let mut sent = bench.take_with_flows();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let (flow, request) = sent.remove(0);
    assert_eq!(flow, CORE_STREAM);
    let request = request.as_request().unwrap().clone();
    bench.stream(answer(&request, "200 OK", "b1", "", ""));
    let sent = bench.take_with_flows();
    assert_eq!((sent.len(), sent[0].0), (1, CORE_STREAM));
    bench.rest();
}
