//! What nobody may do: strangers, unknown methods, garbage, far sides that vanish. Nothing stays of any of them.

use super::bench::*;
use crate::{ParticipatingEvent, ServedRole};
use bytes::Bytes;
use cpm_base::Seed;
use cpm_sip::{HeaderName, Method, StatusCode};
use proptest::prelude::*;
use std::time::Duration;

/// Threat E1: whoever is no part of the core asserts nothing here, and reaches nobody.
#[test]
fn strangers_get_403_and_nothing_goes_out() {
    let mut bench = Bench::new();
    bench.bob_has(&[PHONE]);
    bench.events.clear();
    let from_there = |octets: String| octets.replace("192.0.2.10:5060;branch", "203.0.113.9:5060;branch");
    for octets in [
        pager("1", "orig", WISH),
        pager("2", "term", WISH),
        invite("3", "orig", ""),
        pager("4", "orig", WISH).replace("MESSAGE", "OPTIONS"),
    ] {
        bench.datagram_on(OUTSIDE, from_there(octets));
        let sent = bench.take_with_flows();
        assert_eq!((sent.len(), sent[0].0), (1, OUTSIDE));
        assert_eq!(sent[0].1.as_response().unwrap().status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(bench.events, []);
    bench.rest();
}

#[test]
fn other_methods_get_405_with_allow() {
    for method in ["OPTIONS", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "DANCE"] {
        let mut bench = Bench::new();
        bench.datagram(pager("1", "orig", WISH).replace("MESSAGE", method));
        let response = bench.response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        let allow = lines(response.headers(), &HeaderName::Allow).join(", ");
        assert_eq!(allow, "REGISTER, MESSAGE, INVITE, ACK, CANCEL, BYE");
        bench.rest();
    }
}

#[test]
fn a_request_without_any_way_on_is_refused() {
    let mut bench = Bench::new();
    let octets = pager("1", "orig", WISH).replace("Route: <sip:192.0.2.10;lr;after=orig>\r\n", "");
    bench.datagram(octets.replace("MESSAGE sip:bob@home.test SIP", "MESSAGE tel:+15550002 SIP"));
    assert_eq!(bench.labels(), ["404 MESSAGE"]);
    assert_eq!(bench.events.len(), 1);
    bench.rest();
}

/// The next hop is a name that nobody resolves, an address to which nobody opens a flow, or one that refuses.
#[test]
fn far_sides_that_are_never_reached_leave_nothing() {
    for (method, hop) in [
        ("MESSAGE", "nowhere.test"),
        ("MESSAGE", "192.0.2.99"),
        ("INVITE", "nowhere.test"),
        ("INVITE", "192.0.2.99"),
    ] {
        let mut bench = Bench::new();
        let octets = if method == "INVITE" { invite("1", "orig", "") } else { pager("1", "orig", WISH) };
        bench.datagram(octets.replace("<sip:192.0.2.10;lr;after", &format!("<sip:{hop};lr;after")));
        assert_eq!(bench.opens.len() + bench.queries.len(), 1);
        assert_eq!(bench.node.function().pending(), 1);
        bench.rest();
        assert_eq!(bench.events.len(), 1, "{method} {hop}: {:?}", bench.events);
        assert_eq!(bench.node.metrics().get("node.never_resolved"), u64::from(hop == "nowhere.test"));
    }
    let mut bench = Bench::new();
    bench.datagram(pager("1", "orig", WISH).replace("<sip:192.0.2.10;lr;after", "<sip:192.0.2.99;lr;after"));
    bench.refuse_opens();
    assert_eq!(bench.labels(), ["503 MESSAGE"]);
    bench.rest();
}

/// The endpoint has no event for a proxied request that ends in silence: it is looked for.
#[test]
fn a_sender_that_gives_up_while_the_flow_is_opened_leaves_nothing() {
    let mut bench = Bench::new();
    bench.datagram(pager("1", "orig", WISH).replace("<sip:192.0.2.10;lr;after", "<sip:192.0.2.99;lr;after"));
    bench.advance(Duration::from_secs(20));
    // The flow comes late: the branch's own patience ends long after the sender's.
    let (open, target) = bench.opens.remove(0);
    let info = cpm_base::FlowInfo {
        protocol: target.protocol,
        transport: target.transport,
        local: "192.0.2.20:5060".parse().unwrap(),
        peer: target.remote,
        secure_identity: None,
        trust: cpm_base::Trust::Core,
    };
    bench.node.handle_opened(bench.now, open, Ok((cpm_base::FlowId(9), info)));
    bench.advance(Duration::from_millis(11_999));
    assert_eq!((bench.node.function().pending(), bench.events.len()), (1, 0));
    bench.advance(Duration::from_millis(1));
    assert_eq!(bench.node.function().pending(), 0);
    let (role, method) = (ServedRole::Originating, Method::Message);
    assert_eq!(bench.events, [ParticipatingEvent::Unanswered { role, method }]);
    bench.rest();
}

#[test]
fn an_answer_after_the_sender_gave_up_goes_nowhere() {
    let mut bench = Bench::new();
    bench.datagram(pager("1", "orig", WISH));
    let request = bench.request();
    bench.advance(Duration::from_secs(32));
    bench.take_with_flows();
    bench.datagram(answer(&request, "200 OK", "b", "", ""));
    assert_eq!(bench.labels(), [""; 0]);
    assert_eq!(bench.events.len(), 1);
    bench.rest();
}

#[test]
fn a_flow_that_breaks_while_a_request_is_under_way() {
    let upstream =
        pager("1", "orig", WISH).replace("SIP/2.0/UDP 192.0.2.10:5060", "SIP/2.0/TCP 192.0.2.10:5070");
    let mut bench = Bench::new();
    bench.stream(upstream.clone());
    let request = bench.request();
    bench.close(CORE_STREAM);
    bench.datagram(answer(&request, "200 OK", "b", "", ""));
    bench.rest();
    assert_eq!(bench.events.len(), 1);
    // Downstream: the transaction fails, and says so.
    let mut bench = Bench::new();
    bench.datagram(
        pager("1", "orig", WISH)
            .replace("<sip:192.0.2.10;lr;after", "<sip:192.0.2.10:5070;transport=tcp;lr;after"),
    );
    bench.request();
    bench.close(CORE_STREAM);
    assert_eq!(bench.labels(), ["503 MESSAGE"]);
    bench.rest();
}

/// Many requests that nobody answers: the book of them empties.
#[test]
fn nothing_piles_up() {
    let mut bench = Bench::new();
    bench.bob_has(&[PHONE, TABLET]);
    bench.events.clear();
    for i in 0..200 {
        let octets = match i % 4 {
            0 => pager(&format!("{i}"), "term", WISH),
            1 => invite(&format!("{i}"), "term", ""),
            2 => pager(&format!("{i}"), "orig", WISH),
            _ => invite(&format!("{i}"), "orig", ""),
        };
        bench.datagram(octets);
        bench.advance(Duration::from_millis(10));
    }
    assert_eq!(bench.node.function().pending(), 200);
    bench.rest();
    assert_eq!(bench.events.len(), 200);
}

fn story(seed: u8) -> (Vec<(cpm_base::FlowId, Bytes)>, Vec<ParticipatingEvent>) {
    let mut bench = Bench::with(config(), Seed::new([seed; 32]));
    bench.bob_has(&[PHONE, TABLET, PLAIN]);
    bench.datagram(pager("1", "orig", WISH));
    bench.datagram(invite("2", "term", ""));
    bench.advance(Duration::from_secs(1));
    bench.datagram(pager("3", "term", ""));
    bench.rest();
    (bench.octets, bench.events)
}

#[test]
fn the_same_seed_and_inputs_give_the_same_octets() {
    let (first, again, other) = (story(1), story(1), story(2));
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
    assert_eq!(first.1, other.1);
}

/// What is done to a good message.
#[derive(Debug, Clone)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Drop(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, octet)| Harm::Flip(at, octet)),
        at().prop_map(Harm::Cut),
        (at(), 1..40_usize).prop_map(|(at, n)| Harm::Drop(at, n)),
        (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, octets)| Harm::Insert(at, octets)),
        (at(), 1..200_usize).prop_map(|(at, n)| Harm::Repeat(at, n)),
        prop::sample::select(vec![",", ";", "\r\n", "\r\n\r\n", "\"", "<", ">", "\0", "%", "SIP/2.0 "])
            .prop_flat_map(
                |text| any::<prop::sample::Index>().prop_map(move |at| Harm::Insert(at, text.into()))
            ),
    ]
}

fn harmed(text: &str, harms: &[Harm]) -> Vec<u8> {
    let mut octets = text.as_bytes().to_vec();
    for harm in harms {
        if octets.is_empty() {
            break;
        }
        let len = octets.len();
        match harm {
            Harm::Flip(at, octet) => octets[at.index(len)] = *octet,
            Harm::Cut(at) => octets.truncate(at.index(len)),
            Harm::Drop(at, n) => drop(octets.drain(at.index(len)..(at.index(len) + n).min(len))),
            Harm::Insert(at, more) => {
                let at = at.index(len);
                octets.splice(at..at, more.iter().copied());
            }
            Harm::Repeat(at, n) => {
                let at = at.index(len);
                let copy = octets[at..(at + n).min(len)].to_vec();
                octets.splice(at..at, copy);
            }
        }
    }
    octets
}

fn good(which: usize) -> String {
    match which {
        0 => third_party(9, "600", &accepted(&format!("Contact: {PHONE}, {TABLET}\n"))),
        1 => pager("h", "orig", WISH),
        2 => pager(
            "h",
            "term",
            &format!("{WISH}P-Preferred-Service: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg\n"),
        ),
        3 => invite("h", "orig", ""),
        4 => invite("h", "term", ""),
        _ => third_party_with(9, "600", "message/sip", &accepted(&format!("Contact: {PLAIN}\n"))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn harmed_messages_harm_nothing(
        messages in prop::collection::vec((0..6_usize, prop::collection::vec(harm(), 0..4), 0..3_u8), 1..6),
        wait in 0..40_u64,
    ) {
        let mut bench = Bench::new();
        bench.bob_has(&[PHONE, TABLET]);
        for (which, harms, flow) in messages {
            let octets = harmed(&good(which), &harms);
            match flow {
                0 => bench.datagram(octets),
                1 => bench.stream(octets),
                _ => bench.datagram_on(OUTSIDE, octets),
            }
            bench.advance(Duration::from_secs(wait));
        }
        bench.take_with_flows();
        bench.datagram(third_party(10, "600", &accepted(&format!("Contact: {PLAIN}\n"))));
        let answered = bench.take_with_flows();
        let ok = |(_, message): &(_, cpm_sip::Message)| {
            message.as_response().is_some_and(|response| response.status() == StatusCode::OK)
        };
        prop_assert!(answered.iter().any(ok), "{answered:?}");
        bench.rest();
    }

    #[test]
    fn harmed_responses_harm_nothing(harms in prop::collection::vec(harm(), 0..4), invited in any::<bool>()) {
        let mut bench = Bench::new();
        bench.bob_has(&[PHONE]);
        bench.datagram(if invited { invite("1", "term", "") } else { pager("1", "term", WISH) });
        let request = bench.request();
        bench.datagram(harmed(&answer(&request, "200 OK", "b", "Contact: <sip:b@192.0.2.31>\n", "v=0"), &harms));
        bench.rest();
    }
}
