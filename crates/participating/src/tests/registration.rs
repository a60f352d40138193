//! Third-party REGISTER: what the function knows of a user's devices afterwards.

use super::bench::*;
use crate::{ParticipatingEvent, ServedRole};
use cpm_base::Seed;
use cpm_sip::{HeaderName, StatusCode, Uri, Warning};
use std::time::Duration;

/// The instances of the devices that a MESSAGE to Bob is forked to, in order; `480` alone when there is none.
fn reached(bench: &mut Bench, branch: &str) -> Vec<String> {
    bench.datagram(pager(branch, "term", WISH));
    let sent = bench.take_with_flows();
    let mut reached = Vec::new();
    for (_, message) in &sent {
        match message.as_response() {
            Some(response) => reached.push(response.status().as_u16().to_string()),
            None => {
                let wishes = lines(message.headers(), &HeaderName::AcceptContact);
                let instance = wishes.iter().find_map(|wish| wish.split("urn:uuid:").nth(1));
                let last = instance.and_then(|text| text.split('>').next()).unwrap_or("no instance");
                reached.push(last.trim_start_matches("00000000-0000-4000-8000-00000000000").to_owned());
                let request = message.as_request().unwrap().clone();
                bench.datagram(answer(&request, "200 OK", "x", "", ""));
            }
        }
    }
    bench.take_with_flows();
    reached
}

// req: 8.1.1-p1, 8.1.1-1, 8.1.1-2, 8.1.1-4, 8.1.4-p2
#[test]
fn the_devices_are_those_of_the_response_part() {
    let mut bench = Bench::new();
    bench.datagram(third_party(
        1,
        "600",
        &accepted(&format!("Contact: {PHONE}, {TABLET}\nm: {PHONE_WITHOUT}\n")),
    ));
    let response = bench.response();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(header(response.headers(), &HeaderName::To).contains(";tag="));
    let user = Uri::parse("sip:bob@home.test").unwrap();
    assert_eq!(bench.events, [ParticipatingEvent::Registration { user, devices: 3 }]);
    assert_eq!(bench.node.function().users(), 1);
    assert_eq!(reached(&mut bench, "1"), ["a", "b"]);
}

#[test]
fn a_bare_response_as_body_will_do() {
    let mut bench = Bench::new();
    let body = accepted(&format!("Contact: {TABLET}\n"));
    bench.datagram(third_party_with(1, "600", "message/sip", &body));
    assert_eq!(bench.response().status(), StatusCode::OK);
    assert_eq!(reached(&mut bench, "1"), ["b"]);
}

#[test]
fn each_replaces_the_last() {
    let mut bench = Bench::new();
    bench.bob_has(&[PHONE, TABLET]);
    bench.datagram(third_party(2, "600", &accepted(&format!("Contact: {TABLET}\n"))));
    assert_eq!(bench.response().status(), StatusCode::OK);
    assert_eq!(reached(&mut bench, "1"), ["b"]);
    // Nothing left, by a list that says so.
    bench.datagram(third_party(3, "600", &accepted("")));
    assert_eq!(bench.response().status(), StatusCode::OK);
    assert_eq!((reached(&mut bench, "2"), bench.node.function().users()), (vec!["480".to_owned()], 0));
}

// req: 8.1.1-1, 8.1.1-2
#[test]
fn expires_0_takes_the_user_out_with_or_without_body() {
    for body in ["", "not looked at"] {
        let mut bench = Bench::new();
        bench.bob_has(&[PHONE]);
        bench.datagram(third_party_with(2, "0", "message/sip", body));
        assert_eq!(bench.response().status(), StatusCode::OK);
        assert_eq!(reached(&mut bench, "1"), ["480"]);
        let user = Uri::parse("sip:bob@home.test").unwrap();
        assert!(bench.events.contains(&ParticipatingEvent::Registration { user, devices: 0 }));
    }
}

#[test]
fn a_binding_that_is_over_is_none() {
    let mut bench = Bench::new();
    let over = PHONE.replace("expires=600", "expires=0");
    bench.bob_has(&[&over, TABLET]);
    let user = Uri::parse("sip:bob@home.test").unwrap();
    assert_eq!(bench.events, [ParticipatingEvent::Registration { user, devices: 1 }]);
    assert_eq!(reached(&mut bench, "1"), ["b"]);
}

#[test]
fn devices_run_out_by_themselves() {
    let mut bench = Bench::new();
    bench.bob_has(&[&PHONE.replace("expires=600", "expires=60"), TABLET]);
    bench.advance(Duration::from_secs(59));
    assert_eq!(reached(&mut bench, "1"), ["a", "b"]);
    bench.advance(Duration::from_secs(1));
    assert_eq!(reached(&mut bench, "2"), ["b"]);
    bench.advance(Duration::from_secs(540));
    assert_eq!((reached(&mut bench, "3"), bench.node.function().users()), (vec!["480".to_owned()], 0));
    bench.rest();
}

#[test]
fn who_says_no_time_of_its_own_has_that_of_the_request() {
    let untimed = PHONE.replace(";expires=600", "");
    let mut bench = Bench::new();
    bench.datagram(third_party(1, "30", &accepted(&format!("Contact: {untimed}\n"))));
    bench.response();
    bench.advance(Duration::from_secs(29));
    assert_eq!(reached(&mut bench, "1"), ["a"]);
    bench.advance(Duration::from_secs(1));
    assert_eq!(reached(&mut bench, "2"), ["480"]);
    // And that of RFC 3261 when nobody says one: no Expires is not Expires 0.
    bench.datagram(third_party(2, "", &accepted(&format!("Contact: {untimed}\n"))));
    bench.response();
    bench.advance(Duration::from_secs(3599));
    assert_eq!(reached(&mut bench, "3"), ["a"]);
    bench.advance(Duration::from_secs(1));
    assert_eq!(reached(&mut bench, "4"), ["480"]);
}

#[test]
fn a_body_that_cannot_be_read_is_400_and_changes_nothing() {
    let good = accepted(&format!("Contact: {TABLET}\n"));
    let bad = [
        third_party_with(2, "600", "message/sip", "SIP/2.0 two hundred\r\n\r\n"),
        third_party_with(2, "600", "multipart/mixed", &good),
        third_party_with(2, "600", "nonsense", &good),
        third_party_with(2, "soon", "message/sip", &good),
        third_party(2, "600", &good.replace("Contact: <", "Contact: <<")),
        third_party(2, "600", &good.replace("P-Associated-URI: <", "P-Associated-URI: <<")),
    ];
    for (i, octets) in bad.into_iter().enumerate() {
        let mut bench = Bench::new();
        bench.bob_has(&[PHONE]);
        bench.datagram(octets);
        let response = bench.response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{i}");
        let warning = response.typed::<Warning>().unwrap().expect("it says why");
        assert_eq!((warning.code(), warning.text().is_empty()), (399, false), "{i}");
        assert_eq!(reached(&mut bench, "1"), ["a"], "{i}");
        bench.datagram(third_party(3, "600", &good));
        assert_eq!(bench.response().status(), StatusCode::OK, "the next one works: {i}");
        assert_eq!(reached(&mut bench, "2"), ["b"], "{i}");
    }
}

#[test]
fn a_register_part_that_is_not_needed_may_be_anything() {
    let mut bench = Bench::new();
    let octets = third_party(1, "600", &accepted(&format!("Contact: {TABLET}\n")));
    bench.datagram(octets.replace("REGISTER sip:home.test SIP/2.0", "REGISTER sip:home.test SIP/9.9"));
    assert_eq!(bench.response().status(), StatusCode::OK);
    assert_eq!(reached(&mut bench, "1"), ["b"]);
}

#[test]
fn more_devices_than_allowed_are_refused_and_the_old_ones_kept() {
    let contacts = |n: u32| {
        let one = |i| PHONE.replace("00000000000a", &format!("{i:012}"));
        (0..n).map(|i| format!("Contact: {}\n", one(i))).collect::<String>()
    };
    let mut bench = Bench::new();
    bench.datagram(third_party(1, "600", &accepted(&contacts(12))));
    assert_eq!(bench.response().status(), StatusCode::OK);
    assert_eq!(reached(&mut bench, "1").len(), 12);
    bench.datagram(third_party(2, "600", &accepted(&contacts(13))));
    assert_eq!(bench.response().status(), StatusCode::BAD_REQUEST);
    assert_eq!(reached(&mut bench, "2").len(), 12);
}

#[test]
fn the_limits_are_those_of_the_configuration() {
    let mut limited = config();
    limited.limits.max_devices = 13;
    limited.limits.max_users = 1;
    limited.limits.max_identities = 1;
    let mut bench = Bench::with(limited.clone(), Seed::new([1; 32]));
    let one = |i: u32| format!("Contact: {}\n", PHONE.replace("00000000000a", &format!("{i:012}")));
    let contacts: String = (0..13).map(one).collect();
    bench.datagram(third_party(1, "600", &accepted(&contacts)));
    assert_eq!(bench.response().status(), StatusCode::OK);
    assert_eq!(reached(&mut bench, "1").len(), 13, "as many branches as devices");
    // The second identity was left out.
    bench
        .datagram(pager("2", "term", WISH).replace("<sip:bob@home.test>;sescase", "<tel:+15550002>;sescase"));
    assert_eq!(bench.labels(), ["480 MESSAGE"]);
    // There is room for one user.
    let eve = third_party(2, "600", &accepted(&one(1))).replace("sip:bob@home.test", "sip:eve@home.test");
    bench.datagram(eve);
    assert_eq!(bench.response().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.node.function().users(), 1);
    limited.limits.max_devices = 0;
    assert!(crate::ParticipatingFunction::node(limited, Seed::new([1; 32])).is_err());
}

#[test]
fn every_identity_of_the_user_leads_to_the_devices() {
    let mut bench = Bench::new();
    bench.bob_has(&[PHONE]);
    for (i, identity) in
        ["sip:bob@home.test", "tel:+15550002", "tel:+1-555-0002", "sip:bob@HOME.test"].iter().enumerate()
    {
        let to = pager(&format!("{i}"), "term", WISH)
            .replace("<sip:bob@home.test>;sescase", &format!("<{identity}>;sescase"));
        bench.datagram(to);
        let request = bench.request();
        bench.datagram(answer(&request, "200 OK", "x", "", ""));
        assert_eq!(bench.labels(), ["200 MESSAGE"], "{identity}");
    }
    bench
        .datagram(pager("z", "term", WISH).replace("<sip:bob@home.test>;sescase", "<tel:+15550003>;sescase"));
    assert_eq!(bench.labels(), ["480 MESSAGE"]);
}

#[test]
fn two_flows_of_one_instance_are_one_device() {
    let second = PHONE.replace("192.0.2.31", "192.0.2.39").replace("expires=600", "expires=900");
    for contacts in [[PHONE, &second, TABLET], [&second, PHONE, TABLET]] {
        let mut bench = Bench::new();
        bench.bob_has(&contacts);
        assert_eq!(reached(&mut bench, "1"), ["a", "b"]);
        bench.advance(Duration::from_secs(600));
        assert_eq!(reached(&mut bench, "2"), ["a"], "it is there as long as the last of its flows");
    }
}

#[test]
fn from_outside_nobody_is_registered() {
    let mut bench = Bench::new();
    bench.datagram_on(OUTSIDE, third_party(1, "600", &accepted(&format!("Contact: {PHONE}\n"))));
    assert_eq!(bench.response().status(), StatusCode::FORBIDDEN);
    assert_eq!((bench.node.function().users(), bench.events.len()), (0, 0));
}

#[test]
fn the_copy_of_a_register_gets_the_same_answer() {
    let mut bench = Bench::new();
    let octets = third_party(1, "600", &accepted(&format!("Contact: {PHONE}\n")));
    bench.datagram(octets.clone());
    bench.datagram(octets);
    assert_eq!(bench.octets[0], bench.octets[1]);
    assert_eq!(bench.events.len(), 1);
}

#[test]
fn over_a_stream_octet_by_octet() {
    let mut bench = Bench::new();
    let octets = third_party(1, "600", &accepted(&format!("Contact: {PHONE}\n"))).replace("/UDP", "/TCP");
    for octet in octets.bytes() {
        assert!(bench.take_with_flows().is_empty());
        bench.stream(vec![octet]);
    }
    let sent = bench.take_with_flows();
    assert_eq!((sent.len(), sent[0].0), (1, CORE_STREAM));
    assert_eq!(sent[0].1.as_response().unwrap().status(), StatusCode::OK);
    assert_eq!(reached(&mut bench, "1"), ["a"]);
    let status = StatusCode::OK;
    let method = cpm_sip::Method::Message;
    let handled = ParticipatingEvent::Handled { role: ServedRole::Terminating, method, status };
    assert_eq!(bench.events.last(), Some(&handled));
}
