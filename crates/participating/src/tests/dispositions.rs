//! Disposition notifications (TS 8.2.4, 8.2.5, 8.3.4, 8.3.5) on raw messages: each thing once, what was told over a restart, and
//! what is told on behalf of the user.

use super::bench::*;
use super::delivery::host::{not_fetched, wishing};
use crate::{
    ParticipatingConfig, ParticipatingEvent, ParticipatingFunction, Policy, Recording, WithoutPreferences,
};
use cpm_base::Seed;
use cpm_core::{Query, Record, Reply, StoreError, standing};
use cpm_cpim::{CpimMessage, Leniency};
use cpm_sip::{HeaderName, Method, Request};
use cpm_xml::access_policy::Wish;
use cpm_xml::imdn;
use std::time::Duration;

/// What a notification says: `delivered`, `failed`, `displayed`, `legacy-sms`.
fn status_element(status: &str) -> String {
    let element = match status {
        "delivered" | "failed" => "delivery-notification",
        "displayed" => "display-notification",
        "processed" => "processing-notification",
        _ => "interworking-notification",
    };
    format!("<{element}><status><{status}/></status></{element}>")
}

pub(super) fn document(about: &str, statuses: &[&str]) -> String {
    let told: String = statuses.iter().map(|status| status_element(status)).collect();
    format!(
        "<?xml version=\"1.0\"?><imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>{about}</message-id>\
         <datetime>2026-11-21T10:00:00Z</datetime>{told}</imdn>"
    )
}

pub(super) fn part(xml: &str) -> String {
    format!(
        "Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\nContent-Length: {}\r\n\r\n{xml}",
        xml.len()
    )
}

/// A MESSAGE with notifications, for Bob (`term`) or from Alice (`orig`).
pub(super) fn with_content(branch: &str, case: &str, sender: &str, content: &str) -> String {
    let cpim = format!(
        "From: <sip:{sender}@home.test>\r\nTo: <sip:bob@home.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: n-{branch}\r\n\r\n{content}"
    );
    let text = pager(branch, case, WISH);
    let text = match case {
        "term" => text.replace("sip:alice@home.test", &format!("sip:{sender}@home.test")),
        _ => text,
    };
    // Too long for a datagram: it leaves on a stream.
    let text = text.replace("192.0.2.10;lr;after", "192.0.2.10:5070;transport=tcp;lr;after");
    let head = text.split("Content-Type").next().unwrap();
    format!("{head}Content-Type: message/cpim\r\nContent-Length: {}\r\n\r\n{cpim}", cpim.len())
}

pub(super) fn tells(branch: &str, case: &str, sender: &str, about: &str, statuses: &[&str]) -> String {
    with_content(branch, case, sender, &part(&document(about, statuses)))
}

fn bench_with(change: impl FnOnce(&mut Policy)) -> Bench {
    let mut config = config();
    change(&mut config.policy);
    of(config)
}

fn of(config: ParticipatingConfig) -> Bench {
    let mut bench = Bench::with(config, Seed::new([7; 32]));
    bench.bob_has(&[PHONE, TABLET]);
    bench.states.clear();
    bench
}

/// Bob has no device any more.
pub(super) fn nobody(bench: &mut Bench, cseq: u32) {
    bench.datagram(third_party_with(cseq, "0", "", ""));
    assert_eq!(bench.labels(), ["200 REGISTER"]);
    bench.states.clear();
}

/// How often a MESSAGE went on, when everybody who gets it takes it; the answer to its sender.
pub(super) fn goes_to(bench: &mut Bench, octets: String) -> (usize, u16) {
    bench.datagram(octets);
    let sent = bench.take_with_flows();
    let requests: Vec<Request> =
        sent.iter().filter_map(|(_, message)| message.as_request().cloned()).collect();
    let mut answers: Vec<u16> = sent
        .iter()
        .filter_map(|(_, message)| message.as_response())
        .map(|response| response.status().as_u16())
        .collect();
    for request in &requests {
        bench.datagram(answer(request, "200 OK", "x", "", ""));
        let responses = bench.take_with_flows();
        answers.extend(responses.iter().filter_map(|(_, m)| m.as_response()).map(|r| r.status().as_u16()));
    }
    assert_eq!(answers.len(), 1, "one answer: {answers:?}");
    (requests.len(), answers[0])
}

// req: 8.3.4-p1, 8.3.4-p2, 8.3.4-1, 8.3.4-2, 8.3.4-2.a, 8.3.4-2.a.i, 8.3.4-2.a.iv, 8.3.4-2.b, 8.3.4-3
// req: 5.4.3-p3, 5.4.4-p3, 5.4.5-p1
#[test]
fn a_thing_is_forwarded_once_to_all_devices() {
    let mut bench = bench_with(|_| ());
    assert_eq!(goes_to(&mut bench, tells("1", "term", "alice", "m1", &["delivered"])), (2, 200));
    // Of another device of the same recipient: not forwarded, and its sender hears that all is well.
    assert_eq!(goes_to(&mut bench, tells("2", "term", "alice", "m1", &["delivered"])), (0, 200));
    // Something else of the message, the same of another, and of another recipient (readings G6).
    assert_eq!(goes_to(&mut bench, tells("3", "term", "alice", "m1", &["displayed"])), (2, 200));
    assert_eq!(goes_to(&mut bench, tells("4", "term", "alice", "m2", &["delivered"])), (2, 200));
    assert_eq!(goes_to(&mut bench, tells("5", "term", "carol", "m1", &["delivered"])), (2, 200));
    assert_eq!(goes_to(&mut bench, tells("6", "term", "carol", "m1", &["delivered"])), (0, 200));
    assert_eq!(bench.node.function().metrics().get("pf.disposition_told_before"), 2);
    bench.rest();
}

// req: 8.3.4-2.a.ii.1, 8.3.4-2.a.iii.1, 5.4.7-p2
#[test]
fn interworking_and_what_it_makes_old() {
    let mut bench = bench_with(|_| ());
    assert_eq!(goes_to(&mut bench, tells("1", "term", "alice", "m1", &["legacy-sms"])), (2, 200));
    assert_eq!(goes_to(&mut bench, tells("2", "term", "alice", "m1", &["delivered"])), (0, 200));
    assert_eq!(goes_to(&mut bench, tells("3", "term", "alice", "m1", &["displayed"])), (2, 200));
    assert_eq!(goes_to(&mut bench, tells("4", "term", "alice", "m2", &["displayed"])), (2, 200));
    assert_eq!(goes_to(&mut bench, tells("5", "term", "alice", "m2", &["legacy-sms"])), (0, 200));
    // In one document with something new it goes on.
    assert_eq!(goes_to(&mut bench, tells("6", "term", "alice", "m2", &["displayed", "delivered"])), (2, 200));
}

#[test]
fn what_failed_was_not_told() {
    let mut bench = bench_with(|_| ());
    bench.datagram(tells("1", "term", "alice", "m1", &["delivered"]));
    let first = bench.requests();
    // The same from another device, while that is on its way: it waits.
    bench.datagram(tells("2", "term", "alice", "m1", &["delivered"]));
    assert_eq!((bench.labels().len(), bench.node.function().pending()), (0, 2));
    for request in &first {
        bench.datagram(answer(request, "480 Temporarily Unavailable", "x", "", ""));
    }
    let sent = bench.labels();
    assert_eq!(sent.iter().filter(|label| *label == "MESSAGE").count(), 2, "{sent:?}");
    assert!(sent.contains(&"480 MESSAGE".to_owned()));
    bench.rest();
}

#[test]
fn who_waits_is_answered_when_it_is_told() {
    let mut bench = bench_with(|_| ());
    bench.datagram(tells("1", "term", "alice", "m1", &["delivered"]));
    let first = bench.requests();
    bench.datagram(tells("2", "term", "alice", "m1", &["delivered"]));
    bench.datagram(answer(&first[0], "200 OK", "x", "", ""));
    assert_eq!(bench.labels(), ["200 MESSAGE", "200 MESSAGE"]);
    assert_eq!(bench.node.function().pending(), 0);
}

/// Nothing is answered that is not remembered; what cannot be is answered all the same.
#[test]
fn what_was_told_is_stored_before_it_is_answered() {
    for kept in [Ok(()), Err(StoreError::Failed)] {
        let mut bench = bench_with(|_| ());
        bench.store = None;
        bench.datagram(tells("1", "term", "alice", "m1", &["delivered"]));
        let first = bench.requests();
        bench.datagram(answer(&first[0], "200 OK", "x", "", ""));
        assert!(bench.labels().is_empty());
        let [(id, Query::Store(Record::State(state)))] = &bench.queries[..] else {
            panic!("{:?}", bench.queries)
        };
        assert!(state.key.starts_with("pf/imdn/t "), "{}", state.key);
        bench.node.handle_reply(bench.now, *id, cpm_core::Reply::Stored(kept));
        bench.drain();
        assert_eq!(bench.labels(), ["200 MESSAGE"]);
    }
    // A store that says nothing does not keep its sender waiting for ever.
    let mut bench = bench_with(|_| ());
    bench.store = None;
    bench.datagram(tells("1", "term", "alice", "m1", &["delivered"]));
    let first = bench.requests();
    bench.datagram(answer(&first[0], "200 OK", "x", "", ""));
    bench.wait(Duration::from_secs(5));
    assert_eq!(bench.labels(), ["200 MESSAGE"]);
}

pub(super) fn restarted(before: &Bench, config: ParticipatingConfig) -> Bench {
    let records = standing(before.states.iter().cloned().map(Record::State));
    let mut bench =
        Bench::of(ParticipatingFunction::restored(config, Seed::new([8; 32]), records).unwrap(), before.now);
    bench.bob_has(&[PHONE, TABLET]);
    bench
}

#[test]
fn a_node_that_comes_after_forwards_nothing_twice() {
    let mut before = bench_with(|_| ());
    goes_to(&mut before, tells("1", "term", "alice", "m1", &["delivered"]));
    let mut bench = restarted(&before, config());
    assert_eq!(goes_to(&mut bench, tells("2", "term", "alice", "m1", &["delivered"])), (0, 200));
    assert_eq!(goes_to(&mut bench, tells("3", "term", "alice", "m1", &["displayed"])), (2, 200));
    // And in its time it is forgotten, with its record.
    bench.advance(Duration::from_secs(24 * 3600 + 1));
    assert!(bench.states.iter().any(|state| state.key.starts_with("pf/imdn/") && state.value.is_none()));
    let mut bench = restarted(&bench, config());
    assert_eq!(goes_to(&mut bench, tells("4", "term", "alice", "m1", &["delivered"])), (2, 200));
}

#[test]
fn what_is_remembered_has_a_limit() {
    let mut config = config();
    config.limits.max_dispositions = 2;
    let mut bench = of(config);
    for n in 1..4 {
        assert_eq!(
            goes_to(&mut bench, tells(&n.to_string(), "term", "alice", &format!("m{n}"), &["delivered"])).0,
            2
        );
    }
    assert_eq!(goes_to(&mut bench, tells("5", "term", "alice", "m3", &["delivered"])).0, 0);
    assert_eq!(
        goes_to(&mut bench, tells("6", "term", "alice", "m1", &["delivered"])).0,
        2,
        "the oldest went"
    );
}

#[test]
fn nobody_there_is_480() {
    let mut bench = Bench::new();
    bench.datagram(tells("1", "term", "alice", "m1", &["delivered"]));
    assert_eq!(bench.labels(), ["480 MESSAGE"]);
    // It was not told, and is when somebody is there.
    bench.bob_has(&[PHONE]);
    assert_eq!(goes_to(&mut bench, tells("2", "term", "alice", "m1", &["delivered"])), (1, 200));
}

#[test]
fn what_cannot_be_read_goes_on_as_it_is() {
    let mut bench = bench_with(|_| ());
    for branch in ["1", "2"] {
        let octets = with_content(branch, "term", "alice", &part("<imdn"));
        assert_eq!(goes_to(&mut bench, octets), (2, 200));
    }
    // A Message-ID that is too long to be remembered.
    let long = "m".repeat(3_000);
    for branch in ["3", "4"] {
        let octets = tells(branch, "term", "alice", &long, &["delivered"]);
        assert_eq!(goes_to(&mut bench, octets), (2, 200));
    }
}

// req: 8.2.4-p1, 8.2.4-p2, 8.2.4-p3
#[test]
fn what_the_user_sends_goes_to_the_sender_once_and_is_never_stored() {
    let mut bench = bench_with(|policy| policy.recording = Recording::Always);
    assert_eq!(goes_to(&mut bench, tells("1", "orig", "alice", "m1", &["delivered"])), (1, 200));
    assert!(bench.queries.is_empty(), "{:?}", bench.queries);
    // The other device of the user.
    assert_eq!(goes_to(&mut bench, tells("2", "orig", "alice", "m1", &["delivered"])), (0, 200));
    // A read report sets the flag, once.
    assert_eq!(goes_to(&mut bench, tells("3", "orig", "alice", "m1", &["displayed"])), (1, 200));
    let [(id, Query::MarkSeen { user, message_id })] = &bench.queries[..] else {
        panic!("{:?}", bench.queries)
    };
    assert_eq!((user.as_str(), message_id.as_str()), ("sip:alice@home.test", "m1"));
    bench.node.handle_reply(bench.now, *id, cpm_core::Reply::Stored(Err(StoreError::Failed)));
    bench.queries.clear();
    assert_eq!(goes_to(&mut bench, tells("4", "orig", "alice", "m1", &["displayed"])), (0, 200));
    assert!(bench.queries.is_empty());
    // It survives a restart.
    let mut after = restarted(&bench, config());
    assert_eq!(goes_to(&mut after, tells("5", "orig", "alice", "m1", &["displayed"])), (0, 200));
}

#[test]
fn the_flag_is_left_alone_where_nothing_is_recorded() {
    let mut bench = bench_with(|policy| policy.recording = Recording::Never);
    assert_eq!(goes_to(&mut bench, tells("3", "orig", "alice", "m1", &["displayed"])), (1, 200));
    assert!(bench.queries.is_empty());
}

/// A message for Bob that asks for these notifications.
pub(super) fn asking(branch: &str, wishes: &str, more_cpim: &str) -> String {
    let cpim = format!(
        "From: <sip:alice@home.test>\r\nTo: <sip:bob@home.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: m-{branch}\r\nDateTime: 2026-11-21T10:00:00Z\r\n{more_cpim}\
         imdn.Disposition-Notification: {wishes}\r\n\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
    );
    let service = "P-Asserted-Service: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg\n";
    let text = pager(branch, "term", &format!("{WISH}{service}"));
    let head = text.split("Content-Type").next().unwrap();
    format!("{head}Content-Type: message/cpim\r\nContent-Length: {}\r\n\r\n{cpim}", cpim.len())
}

/// The next hop of what the function sends itself.
pub(super) fn with_core(change: impl FnOnce(&mut Policy)) -> ParticipatingConfig {
    let mut config = config();
    change(&mut config.policy);
    let core = "192.0.2.10:5060".parse().unwrap();
    config.outbound = Some(cpm_ua::NextHop::Address(cpm_base::Transport::Udp, core));
    config
}

/// The notification that was sent, beside the answer with this status.
fn told(bench: &mut Bench, status: u16) -> Request {
    bench.advance(Duration::ZERO);
    let sent = bench.take_with_flows();
    let requests: Vec<&Request> = sent.iter().filter_map(|(_, message)| message.as_request()).collect();
    let answers: Vec<u16> = sent
        .iter()
        .filter_map(|(_, message)| message.as_response())
        .map(|response| response.status().as_u16())
        .collect();
    assert_eq!((requests.len(), answers), (1, vec![status]));
    requests[0].clone()
}

pub(super) fn notification(request: &Request) -> (CpimMessage, imdn::Imdn) {
    let limits = cpm_cpim::Limits::default();
    let (cpim, _) = CpimMessage::parse(request.body().clone(), &limits, &Leniency::default()).unwrap();
    let content_type = cpim.content().content_type().unwrap();
    assert!(content_type.is("message/imdn+xml"));
    let document = cpim.content().decoded().unwrap();
    let imdn = imdn::parse(&document, &cpm_xml::Limits::default()).unwrap();
    (cpim, imdn)
}

// req: 8.2.5-p1, 8.2.5-1, 8.2.5-p2, 8.2.5-b1, 5.4.1-1, 5.4.1-2, 5.4.1-2.a.i, 5.4.1-2.a.ii, 5.4.1-2.a.iii, 5.4.1-2.a.iv.b
#[test]
fn a_failure_is_told_on_behalf_of_the_user() {
    let mut bench = of(with_core(|_| ()));
    nobody(&mut bench, 2);
    bench.datagram(asking("1", "positive-delivery, negative-delivery", ""));
    let request = told(&mut bench, 480);
    let text = |name: HeaderName| header(request.headers(), &name);
    assert_eq!((request.method(), request.uri().as_str()), (&Method::Message, "sip:alice@home.test"));
    assert_eq!(text(HeaderName::To), "<sip:alice@home.test>");
    assert!(text(HeaderName::From).starts_with("<sip:bob@home.test>;tag="));
    assert_eq!(text(HeaderName::PAssertedIdentity), "<sip:bob@home.test>");
    assert_eq!(text(HeaderName::ConversationId), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    assert_eq!(text(HeaderName::ContributionId), "abcdef00-1234-4678-90ab-cdef01234567");
    assert_eq!(text(HeaderName::PAssertedService), "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg");
    assert!(text(HeaderName::AcceptContact).contains("urn%3Aurn-7%3A3gpp-service.ims.icsi.oma.cpm.msg"));
    assert!(!request.headers().contains(&HeaderName::PServedUser));
    let (cpim, imdn) = notification(&request);
    assert_eq!(cpim.from().unwrap().unwrap().uri, "sip:bob@home.test");
    assert_eq!(cpim.to().unwrap()[0].uri, "sip:alice@home.test");
    // Threat E6: it asks for nothing itself.
    assert!(cpim.disposition_notification().unwrap().is_empty());
    assert_eq!(imdn.message_id, "m-1");
    assert_eq!(imdn.notification, imdn::Notification::Delivery(imdn::DeliveryStatus::Failed));
    assert_eq!(imdn.datetime.as_deref(), Some("2026-11-21T10:00:00Z"));
    assert_eq!(imdn.recipient_uri.as_deref(), Some("sip:bob@home.test"));
    bench.datagram(answer(&request, "200 OK", "x", "", ""));
    let last = bench.states.last().unwrap();
    assert!(last.key.starts_with("pf/owed/") && last.value.is_none(), "nothing is owed any more");
}

/// What would be deferred, and what nobody knows the wishes of the user about, is delivered as little; what is refused is
/// answered with its reason, and that is all.
// req: 8.2.5-1
#[test]
fn a_failure_is_told_where_nothing_was_tried() {
    type Answers = fn(&Query) -> Option<Reply>;
    let fails: [(Answers, WithoutPreferences); 3] = [
        (|query| wishing(query, &[Wish::Defer]), WithoutPreferences::Deliver),
        (|query| wishing(query, &[Wish::DoNotDisturb]), WithoutPreferences::Deliver),
        (|query| matches!(query, Query::Preferences(_)).then(not_fetched), WithoutPreferences::Refuse),
    ];
    for (answers, without_preferences) in fails {
        let mut bench = of(with_core(|policy| policy.without_preferences = without_preferences));
        bench.bob_has(&[PHONE]);
        bench.answer = answers;
        bench.datagram(asking("1", "negative-delivery", ""));
        let (_, imdn) = notification(&told(&mut bench, 480));
        assert_eq!(imdn.notification, imdn::Notification::Delivery(imdn::DeliveryStatus::Failed));
    }
    let mut bench = of(with_core(|_| ()));
    bench.bob_has(&[PHONE]);
    bench.answer = |query| wishing(query, &[Wish::RejectInvite]);
    bench.datagram(asking("1", "negative-delivery", ""));
    bench.advance(Duration::ZERO);
    assert_eq!(bench.labels(), ["403 MESSAGE"]);
}

/// Threats E5, E6.
#[test]
fn nothing_is_told_that_was_not_asked_for() {
    let silent = |octets: String, change: fn(&mut Policy)| {
        let mut bench = of(with_core(change));
        nobody(&mut bench, 2);
        bench.datagram(octets);
        bench.advance(Duration::ZERO);
        assert_eq!(bench.labels(), ["480 MESSAGE"]);
        // What is too long for a datagram would wait for a connection.
        assert_eq!(
            (bench.opens.len(), bench.node.function().metrics().get("pf.disposition_on_behalf")),
            (0, 0)
        );
    };
    silent(asking("1", "positive-delivery, display", ""), |_| ());
    silent(asking("1", "negative-delivery", ""), |policy| policy.tell_on_behalf = false);
    // Not about a notification, whatever it asks for.
    let asks = tells("1", "term", "alice", "m1", &["delivered"])
        .replace("imdn.Message-ID: n-1", "imdn.Disposition-Notification: negative-delivery");
    silent(asks, |_| ());
    // A way back that leads in circles, or over too many.
    let route = |host: &str| format!("imdn.IMDN-Record-Route: <sip:{host}.test>\r\n");
    silent(asking("1", "negative-delivery", &(route("a") + &route("b") + &route("a"))), |_| ());
    let many: String = (0..9).map(|n| route(&format!("h{n}"))).collect();
    silent(asking("1", "negative-delivery", &many), |_| ());
}

/// Threat E6: however often a message is sent, it is told of once.
#[test]
fn a_message_that_comes_again_is_not_told_of_again() {
    let mut bench = of(with_core(|_| ()));
    nobody(&mut bench, 2);
    bench.datagram(asking("1", "negative-delivery", ""));
    let request = told(&mut bench, 480);
    // Again while it is owed, and when it is taken.
    for branch in ["2", "3"] {
        let again = asking(branch, "negative-delivery", "").replace(&format!("m-{branch}"), "m-1");
        bench.datagram(again);
        bench.advance(Duration::ZERO);
        assert_eq!(bench.labels(), ["480 MESSAGE"]);
        bench.datagram(answer(&request, "200 OK", "x", "", ""));
        bench.take_with_flows();
    }
}

// req: 8.2.5-p4
#[test]
fn each_message_is_told_of_by_itself() {
    let mut bench = of(with_core(|_| ()));
    nobody(&mut bench, 2);
    for branch in ["1", "2"] {
        bench.datagram(asking(branch, "negative-delivery", ""));
        let (_, imdn) = notification(&told(&mut bench, 480));
        assert_eq!(imdn.message_id, format!("m-{branch}"));
    }
}

// req: 5.4.1-2.a.i.a
#[test]
fn a_notification_goes_back_the_way_that_the_message_names() {
    let mut bench = of(with_core(|_| ()));
    nobody(&mut bench, 2);
    let route = |host: &str| format!("imdn.IMDN-Record-Route: <sip:{host}.test>\r\n");
    bench.datagram(asking("1", "negative-delivery", &(route("cf2") + &route("cf1"))));
    let request = told(&mut bench, 480);
    assert_eq!(request.uri().as_str(), "sip:cf2.test");
    let (cpim, _) = notification(&request);
    let left: Vec<String> = cpim.route().unwrap().into_iter().map(|route| route.uri).collect();
    assert_eq!((left, cpim.record_route().unwrap().len()), (vec!["sip:cf1.test".to_owned()], 0));
    assert_eq!(header(request.headers(), &HeaderName::To), "<sip:alice@home.test>");
}

// req: 8.2.5-2, 8.2.5-b1
#[test]
fn what_an_old_client_cannot_tell_is_told_for_it() {
    let old = |policy: &mut Policy| policy.releases_without_imdn = vec![(1, 0)];
    for (server, told_by) in
        [("CPM-client/OMA1.0", "function"), ("CPM-client/OMA2.1", "client"), ("x/1", "client")]
    {
        let mut bench = of(with_core(old));
        bench.datagram(asking("1", "positive-delivery, negative-delivery", ""));
        let requests = bench.requests();
        let more = format!("Server: {server}\n");
        bench.datagram(answer(&requests[0], "200 OK", "x", &more, ""));
        if told_by == "client" {
            bench.advance(Duration::ZERO);
            assert_eq!(bench.labels(), ["200 MESSAGE"], "{server}");
            continue;
        }
        let (_, imdn) = notification(&told(&mut bench, 200));
        assert_eq!(imdn.notification, imdn::Notification::Delivery(imdn::DeliveryStatus::Delivered));
    }
}

/// The answer waits for the word of the store that the notification is owed; a lost node's successor owes it too, until it is
/// taken or refused for good.
#[test]
fn what_is_owed_outlives_the_node() {
    let mut bench = of(with_core(|_| ()));
    nobody(&mut bench, 2);
    bench.store = None;
    bench.datagram(asking("1", "negative-delivery", ""));
    assert!(!bench.labels().contains(&"480 MESSAGE".to_owned()), "not answered before it is owed");
    let (id, query) = bench.queries.remove(0);
    let Query::Store(Record::State(state)) = query else { panic!() };
    bench.states.push(state);
    bench.node.handle_reply(bench.now, id, cpm_core::Reply::Stored(Ok(())));
    bench.drain();
    assert!(bench.labels().contains(&"480 MESSAGE".to_owned()));

    let records = standing(bench.states.iter().cloned().map(Record::State));
    let node = ParticipatingFunction::restored(with_core(|_| ()), Seed::new([8; 32]), records).unwrap();
    let mut after = Bench::of(node, bench.now);
    after.advance(Duration::ZERO);
    let mut request = after.request();
    for (status, wait) in [
        ("503 Service Unavailable", 60),
        ("480 Temporarily Unavailable", 120),
        ("408 Request Timeout", 240),
        ("482 Loop Detected", 480),
    ] {
        after.datagram(answer(&request, status, "x", "", ""));
        after.advance(Duration::from_secs(wait - 1));
        assert!(after.labels().is_empty(), "{status}");
        after.advance(Duration::from_secs(1));
        request = after.request();
        assert_eq!(notification(&request).1.message_id, "m-1");
    }
    after.datagram(answer(&request, "404 Not Found", "x", "", ""));
    after.advance(Duration::from_secs(24 * 3600));
    assert!(after.labels().is_empty());
    let last = after.states.last().unwrap();
    assert!(last.key.starts_with("pf/owed/") && last.value.is_none());
}

#[test]
fn what_is_owed_has_its_limits() {
    let mut config = with_core(|_| ());
    config.limits.max_owed = 1;
    let mut bench = of(config);
    nobody(&mut bench, 2);
    bench.datagram(asking("1", "negative-delivery", ""));
    told(&mut bench, 480);
    bench.datagram(asking("2", "negative-delivery", ""));
    assert_eq!(bench.labels(), ["480 MESSAGE"]);
    assert_eq!(bench.node.function().metrics().get("pf.too_many_owed"), 1);
    // Nobody ever answers: after a day it is given up.
    bench.advance(Duration::from_secs(25 * 3600));
    bench.take_with_flows();
    bench.advance(Duration::from_secs(24 * 3600));
    assert!(bench.labels().is_empty());
}

fn object_of(bench: &mut Bench) -> cpm_core::outside::StoredObject {
    let at = bench.queries.iter().position(|(_, query)| matches!(query, Query::StoreObject(_)));
    let (_, Query::StoreObject(object)) = bench.queries.remove(at.expect("an object")) else { panic!() };
    *object
}

// req: 8.2.5-b2, 8.2.5-b2.o1
#[test]
fn what_was_told_is_not_asked_for_in_the_stored_copy() {
    for (wishes, left) in
        [("negative-delivery, positive-delivery", None), ("negative-delivery, display", Some("display"))]
    {
        let mut bench = of(with_core(|policy| policy.recording = Recording::Always));
        nobody(&mut bench, 2);
        bench.datagram(asking("1", wishes, ""));
        let object = object_of(&mut bench);
        let text = String::from_utf8(object.object.to_vec()).unwrap();
        assert!(text.contains("imdn.Message-ID: m-1"));
        match left {
            None => assert!(!text.contains("Disposition-Notification"), "{text}"),
            Some(left) => {
                assert!(text.contains(&format!("imdn.Disposition-Notification: {left}\r\n")), "{text}")
            }
        }
    }
}

/// It was recorded before it was known to fail, or by whom it was taken: then the copy is put right, under its UID.
// req: 8.2.5-b2, 8.2.5-b2.o1
#[test]
fn a_copy_that_was_stored_first_is_put_right() {
    let old = |policy: &mut Policy| {
        policy.recording = Recording::Always;
        policy.releases_without_imdn = vec![(1, 0)];
    };
    let cases = [
        ("negative-delivery", "480 Gone", "", 1),
        ("negative-delivery, display", "480 Gone", "", 1),
        ("positive-delivery", "200 OK", "Server: CPM-client/OMA1.0\n", 1),
        // Nothing was told on behalf of the user: the copy is as it came, and stays so.
        ("positive-delivery", "480 Gone", "", 0),
        ("negative-delivery", "200 OK", "Server: CPM-client/OMA1.0\n", 0),
    ];
    for (wishes, status, server, again) in cases {
        let mut bench = of(with_core(old));
        bench.datagram(asking("1", wishes, ""));
        let id = bench.queries[0].0;
        let first = object_of(&mut bench);
        assert!(first.replaces.is_none());
        assert!(String::from_utf8_lossy(&first.object).contains(wishes));
        let uid = cpm_core::outside::ObjectUid(7.try_into().unwrap());
        bench.reply(id, cpm_core::Reply::ObjectStored(Ok(uid)));
        for request in bench.requests() {
            bench.datagram(answer(&request, status, "x", server, ""));
        }
        assert_eq!(bench.queries.len(), again, "{wishes} {status}");
        if again == 0 {
            continue;
        }
        let second = object_of(&mut bench);
        assert_eq!((second.replaces, &second.message_id), (Some(uid), &first.message_id));
        let text = String::from_utf8_lossy(&second.object).into_owned();
        assert!(!text.contains("-delivery"), "{text}");
        assert_eq!(text.contains("Disposition-Notification: display"), wishes.contains("display"));
    }
}

#[test]
fn a_host_hears_of_those_that_are_not_forwarded_too() {
    let mut bench = bench_with(|_| ());
    goes_to(&mut bench, tells("1", "term", "alice", "m1", &["delivered"]));
    bench.events.clear();
    goes_to(&mut bench, tells("2", "term", "alice", "m1", &["delivered"]));
    assert!(matches!(&bench.events[..], [ParticipatingEvent::Handled { status, .. }] if status.is_success()));
}
