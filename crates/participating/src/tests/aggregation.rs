//! Notifications that are held to reach the user together (TS 8.3.5, RFC 5438 §8.3), on raw messages.

use super::bench::*;
use super::dispositions::{document, goes_to, nobody, part, tells, with_content};
use crate::{ParticipatingConfig, ParticipatingFunction, Recording};
use cpm_base::Seed;
use cpm_core::{Query, Record, Reply, StoreError, standing};
use cpm_cpim::{CpimMessage, Leniency};
use cpm_sip::{HeaderName, Request};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(10);

fn config_with(max_octets: usize) -> ParticipatingConfig {
    let mut config = config();
    config.policy.aggregation = Some(WINDOW);
    config.policy.aggregated_octets = max_octets;
    let core = "192.0.2.10:5070".parse().unwrap();
    config.outbound = Some(cpm_ua::NextHop::Address(cpm_base::Transport::Tcp, core));
    config
}

fn of(config: ParticipatingConfig) -> Bench {
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    bench.bob_has(&[PHONE, TABLET]);
    bench.states.clear();
    bench
}

/// A notification for Bob.
pub(crate) fn tells_from(branch: &str, sender: &str, about: &str, statuses: &[&str]) -> String {
    tells(branch, "term", sender, about, statuses)
}

/// It is answered 200 and nothing goes on.
fn is_held(bench: &mut Bench, octets: String) {
    assert_eq!(goes_to(bench, octets), (0, 200));
}

fn is_bundle(name: &str) -> bool {
    name.starts_with("pf/bundle/")
}

/// The one request of the function's own that is due now.
fn bundle(bench: &mut Bench) -> Request {
    bench.advance(Duration::ZERO);
    bench.request()
}

/// The documents in a message, as they stand there, and its Message-ID.
fn documents(request: &Request) -> (Vec<String>, String) {
    let limits = cpm_cpim::Limits::default();
    let (cpim, _) = CpimMessage::parse(request.body().clone(), &limits, &Leniency::default()).unwrap();
    let leaves = cpim.content().leaves(&cpm_mime::Limits::DEFAULT).unwrap();
    let text = |part: &cpm_mime::Part| String::from_utf8(part.decoded().unwrap().to_vec()).unwrap();
    (leaves.iter().map(text).collect(), cpim.imdn_message_id().unwrap().unwrap())
}

/// What the core makes of a request of the function's own: one for the terminating user.
fn through_core(request: &Request, branch: &str) -> String {
    let text = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    let (first, rest) = text.split_once("\r\n").unwrap();
    format!(
        "{first}\r\nVia: SIP/2.0/TCP 192.0.2.10:5070;branch=z9hG4bKcore{branch}\r\nRoute: <sip:pf.home.test;lr>, \
         <sip:192.0.2.10:5070;transport=tcp;lr;after=term>\r\nP-Served-User: \
         <sip:bob@home.test>;sescase=term;regstate=reg\r\n{rest}"
    )
}

/// It comes to the devices through the core, which take it; that is what the function hears.
fn is_taken(bench: &mut Bench, request: &Request, branch: &str) -> Vec<Request> {
    bench.stream(through_core(request, branch));
    let sent = bench.requests();
    for one in &sent {
        bench.stream(answer(one, "200 OK", "x", "", ""));
    }
    let taken = bench.labels();
    assert_eq!(taken, ["200 MESSAGE"], "the devices have it");
    bench.stream(answer(request, "200 OK", "x", "", ""));
    sent
}

// req: 8.3.5-p2, 8.3.5-p3, 8.2.5-p3, 5.4.5-p2, 5.3-p3
#[test]
fn what_comes_within_the_window_reaches_the_user_together() {
    let mut bench = of(config_with(1_300));
    is_held(&mut bench, tells_from("1", "alice", "m1", &["delivered"]));
    bench.wait(Duration::from_secs(4));
    is_held(&mut bench, tells_from("2", "alice", "m1", &["displayed"]));
    // Told is told (8.3.4): neither passed on nor added again.
    is_held(&mut bench, tells_from("3", "alice", "m1", &["delivered"]));
    bench.wait(Duration::from_millis(5_999));
    assert!(bench.labels().is_empty());
    bench.wait(Duration::from_millis(1));
    let request = bundle(&mut bench);
    let text = |name: HeaderName| header(request.headers(), &name);
    assert_eq!(request.uri().as_str(), "sip:bob@home.test");
    assert_eq!(text(HeaderName::PAssertedIdentity), "<sip:alice@home.test>");
    assert_eq!(text(HeaderName::ConversationId), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    assert_eq!(text(HeaderName::ContributionId), "abcdef00-1234-4678-90ab-cdef01234567");
    assert!(text(HeaderName::AcceptContact).contains("oma.cpm.msg"));
    assert_ne!(text(HeaderName::CallId), "msg-1");
    assert!(!request.headers().contains(&HeaderName::PServedUser));
    assert!(request.body().len() <= 1_300);
    let (told, _) = documents(&request);
    assert_eq!(told, [document("m1", &["delivered"]), document("m1", &["displayed"])]);
    let sent = is_taken(&mut bench, &request, "1");
    assert_eq!(sent.len(), 2, "both devices");
    assert!(sent.iter().all(|one| documents(one) == documents(&request)));
    let last = bench.states.last().unwrap();
    assert!(is_bundle(&last.key) && last.value.is_none(), "{last:?}");
    bench.rest();
}

#[test]
fn what_is_alone_goes_as_it_came() {
    let mut bench = of(config_with(1_300));
    is_held(&mut bench, tells_from("1", "alice", "m1", &["delivered"]));
    bench.wait(WINDOW);
    let request = bundle(&mut bench);
    let body = String::from_utf8(request.body().to_vec()).unwrap();
    assert!(body.ends_with(&part(&document("m1", &["delivered"]))), "{body}");
    is_taken(&mut bench, &request, "1");
    bench.rest();
}

#[test]
fn what_belongs_to_something_else_has_a_message_of_its_own() {
    let other = |branch: &str, from: &str, to: &str| {
        tells_from(branch, "alice", &format!("m{branch}"), &["delivered"]).replace(from, to)
    };
    let mut bench = of(config_with(65_536));
    is_held(&mut bench, tells_from("1", "alice", "m1", &["delivered"]));
    is_held(&mut bench, tells_from("2", "carol", "m1", &["delivered"]));
    is_held(&mut bench, other("3", "abcdef00-", "abcdef01-"));
    is_held(&mut bench, other("4", "f81d4fae-", "f81d4faf-"));
    is_held(&mut bench, other("5", "From: <sip:alice@home.test>\r\nTo", "From: <sip:alias@home.test>\r\nTo"));
    is_held(&mut bench, tells_from("6", "alice", "m6", &["delivered"]));
    bench.wait(WINDOW);
    let requests = bench.requests();
    let counts: Vec<usize> = requests.iter().map(|request| documents(request).0.len()).collect();
    assert_eq!((counts.len(), counts.iter().sum::<usize>()), (5, 6), "{counts:?}");
}

// req: 8.2.5-p4
#[test]
fn what_is_not_held_goes_on_at_once() {
    let mut bench = of(config_with(65_536));
    let hold = |branch: &str, more: &str| {
        tells_from(branch, "alice", &format!("m{branch}"), &["delivered"]).replace("P-Served", more)
    };
    let at_once = [
        // Bad news, and what says more than that it was delivered and displayed.
        tells_from("1", "alice", "m1", &["failed"]),
        tells_from("2", "alice", "m2", &["delivered", "failed"]),
        tells_from("3", "alice", "m3", &["processed"]),
        tells_from("4", "alice", "m4", &["legacy-sms"]),
        with_content("5", "term", "alice", &part("<imdn")),
        // What is of no use later, what nobody may put together with others, what asks for more.
        hold("6", "Expires: 60\r\nP-Served"),
        hold("7", "Privacy: id\r\nP-Served"),
        hold("8", "Accept-Contact: *;+g.3gpp.iari-ref=\"x\"\r\nP-Served"),
        // CPIM fields that a message of several has no place for.
        tells_from("9", "alice", "m9", &["delivered"])
            .replace("NS: imdn", "Subject: x\r\nNS: imdn")
            .replace("Content-Length: ", "X: "),
    ];
    for octets in at_once {
        let octets = fix_length(&octets);
        assert_eq!(goes_to(&mut bench, octets.clone()).0, 2, "{octets}");
    }
    // What a user sends to another network goes one by one.
    for (branch, about) in [("a", "m1"), ("b", "m2")] {
        assert_eq!(goes_to(&mut bench, tells(branch, "orig", "alice", about, &["delivered"])), (1, 200));
    }
    assert_eq!(bench.node.function().metrics().get("pf.disposition_held"), 0);
    // Who is not there: his sender hears so, as ever, and tries again.
    nobody(&mut bench, 2);
    bench.datagram(tells_from("c", "alice", "mc", &["delivered"]));
    assert_eq!(bench.labels(), ["480 MESSAGE"]);
    bench.rest();
}

/// Writes the length of the body of a request anew.
fn fix_length(octets: &str) -> String {
    let (head, body) = octets.split_once("\r\n\r\n").unwrap();
    let lines: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with("Content-Length") && !line.starts_with("X: "))
        .collect();
    format!("{}\r\nContent-Length: {}\r\n\r\n{body}", lines.join("\r\n"), body.len())
}

#[test]
fn a_message_that_is_full_goes_at_once() {
    let mut bench = of(config_with(1_300));
    let mut told = Vec::new();
    for n in 1..6 {
        is_held(&mut bench, tells_from(&n.to_string(), "alice", &format!("m{n}"), &["delivered"]));
        bench.advance(Duration::ZERO);
        for request in bench.requests() {
            assert!(request.body().len() <= 1_300);
            assert!(documents(&request).0.len() > 1, "only a full one");
            told.extend(documents(&request).0);
        }
    }
    assert!(!told.is_empty());
    bench.wait(WINDOW);
    told.extend(bench.requests().iter().flat_map(|request| documents(request).0));
    let all: Vec<String> = (1..6).map(|n| document(&format!("m{n}"), &["delivered"])).collect();
    assert_eq!(told, all);
    // One that is longer than that by itself.
    let long = "m".repeat(1_200);
    assert_eq!(goes_to(&mut bench, tells_from("9", "alice", &long, &["delivered"])).0, 2);
}

#[test]
fn there_is_a_limit_to_what_is_held() {
    let mut config = config_with(1_300);
    config.limits.max_bundles = 1;
    let mut bench = of(config);
    is_held(&mut bench, tells_from("1", "alice", "m1", &["delivered"]));
    assert_eq!(goes_to(&mut bench, tells_from("2", "carol", "m1", &["delivered"])), (2, 200));
    bench.wait(WINDOW);
    let request = bundle(&mut bench);
    // Under way it counts as well.
    assert_eq!(goes_to(&mut bench, tells_from("3", "carol", "m2", &["delivered"])), (2, 200));
    is_taken(&mut bench, &request, "1");
    is_held(&mut bench, tells_from("4", "carol", "m3", &["delivered"]));
}

/// Nothing is answered that is not held: what the store does not take goes on by itself, at once.
#[test]
fn what_is_not_stored_is_not_held() {
    for silent in [false, true] {
        let mut bench = of(config_with(1_300));
        bench.store = None;
        bench.datagram(tells_from("1", "alice", "m1", &["delivered"]));
        assert!(bench.labels().is_empty(), "not answered before it is stored");
        let [(id, Query::Store(Record::State(state)))] = &bench.queries[..] else {
            panic!("{:?}", bench.queries)
        };
        assert!(is_bundle(&state.key));
        let id = *id;
        bench.store = Some(Ok(()));
        bench.queries.clear();
        match silent {
            false => bench.reply(id, Reply::Stored(Err(StoreError::Failed))),
            true => bench.wait(Duration::from_secs(5)),
        }
        let sent = bench.requests();
        assert_eq!(sent.len(), 2, "to both devices");
        bench.stream(answer(&sent[0], "200 OK", "x", "", ""));
        assert_eq!(bench.labels(), ["200 MESSAGE"]);
        let last = bench.states.iter().rev().find(|state| is_bundle(&state.key)).unwrap();
        assert!(last.value.is_none(), "whatever the store did with it is undone");
        bench.wait(Duration::from_secs(30));
        assert!(bench.labels().is_empty(), "nothing was held");
    }
}

fn restarted(before: &Bench, records: usize) -> Bench {
    let states = before.states.iter().take(records).cloned().map(Record::State);
    let node = ParticipatingFunction::restored(config_with(1_300), Seed::new([8; 32]), standing(states));
    let mut bench = Bench::of(node.unwrap(), before.now);
    bench.bob_has(&[PHONE, TABLET]);
    bench
}

/// The node is lost after each write: what was answered 200 by then reaches the user, once as far as Message-IDs tell, when
/// its time has come and not before.
#[test]
fn what_is_held_outlives_the_node() {
    let mut bench = of(config_with(1_300));
    let mut answered = Vec::new();
    for (branch, status) in [("1", "delivered"), ("2", "displayed")] {
        is_held(&mut bench, tells_from(branch, "alice", "m1", &[status]));
        answered.push((bench.states.len(), document("m1", &[status])));
        bench.wait(Duration::from_secs(3));
    }
    for records in 0..=bench.states.len() {
        let due: Vec<&String> =
            answered.iter().filter(|(stored, _)| *stored <= records).map(|(_, told)| told).collect();
        let mut after = restarted(&bench, records);
        after.advance(Duration::from_millis(3_999));
        assert!(after.labels().is_empty(), "after {records} writes");
        after.advance(Duration::from_millis(1));
        let told: Vec<String> = after.requests().iter().flat_map(|request| documents(request).0).collect();
        assert!(due.iter().all(|one| told.contains(one)), "after {records} writes: {told:?}");
        // What was not answered may be there as well: its sender sends it again.
        assert!(told.len() <= 2);
    }
    // It is the same one, when it was sent already.
    bench.wait(Duration::from_secs(4));
    let request = bundle(&mut bench);
    let mut after = restarted(&bench, bench.states.len());
    let again = bundle(&mut after);
    assert_eq!(documents(&again), documents(&request));
    // And what was told is told, though the node that told it is gone.
    is_taken(&mut after, &again, "1");
    assert_eq!(goes_to(&mut after, tells_from("9", "alice", "m1", &["displayed"])), (0, 200));
}

#[test]
fn it_is_sent_until_it_is_taken() {
    let mut bench = of(config_with(1_300));
    is_held(&mut bench, tells_from("1", "alice", "m1", &["delivered"]));
    bench.wait(WINDOW);
    let request = bundle(&mut bench);
    nobody(&mut bench, 2);
    bench.stream(through_core(&request, "1"));
    assert_eq!(bench.labels(), ["480 MESSAGE"]);
    bench.stream(answer(&request, "480 Temporarily Unavailable", "x", "", ""));
    bench.datagram(third_party(3, "600", &accepted(&format!("Contact: {PHONE}\n"))));
    bench.labels();
    bench.advance(Duration::from_secs(59));
    assert!(bench.labels().is_empty());
    bench.advance(Duration::from_secs(1));
    let again = bench.request();
    assert_eq!(documents(&again), documents(&request));
    assert_eq!(is_taken(&mut bench, &again, "2").len(), 1);
    bench.rest();
}

/// Its Message-ID is what lets it past the cache: whoever does not know it is judged as anybody.
#[test]
fn nobody_else_passes_for_it() {
    let mut bench = of(config_with(1_300));
    is_held(&mut bench, tells_from("1", "alice", "m1", &["delivered"]));
    bench.wait(WINDOW);
    let request = bundle(&mut bench);
    assert_eq!(documents(&request).1.len(), 26);
    is_held(&mut bench, tells_from("2", "alice", "m1", &["delivered"]));
    is_taken(&mut bench, &request, "1");
    // Once it is taken, its own name says nothing any more.
    bench.stream(through_core(&request, "2"));
    assert_eq!(bench.labels(), ["200 MESSAGE"]);
}

// req: 8.3.5-p4.2, 8.3.5-p5
#[test]
fn it_is_recorded_when_it_is_delivered() {
    let mut config = config_with(1_300);
    config.policy.recording = Recording::Always;
    let mut bench = of(config);
    is_held(&mut bench, tells_from("1", "alice", "m1", &["delivered"]));
    is_held(&mut bench, tells_from("2", "alice", "m1", &["displayed"]));
    bench.wait(WINDOW);
    assert!(bench.queries.is_empty(), "not before");
    let request = bundle(&mut bench);
    is_taken(&mut bench, &request, "1");
    let [(_, Query::StoreObject(object))] = &bench.queries[..] else { panic!("{:?}", bench.queries) };
    assert_eq!(object.folder, cpm_core::outside::Folder::OfMessage("m1".to_owned()));
}
