//! TS 5.4.1, 5.4.2: who is told what, when, and how often. Threats E5, E6, E7, E10.

use super::harness::*;
use crate::{ClientEvent, ReceivedId, Settings, Strangers};
use cpm_base::{Protocol, Transport, Trust};
use cpm_core::outside::FetchError;
use cpm_core::{Reply, StoreError};
use cpm_sip::{Method, Request};

const ASKING: &str = "positive-delivery, display";

fn asking(n: u32) -> Incoming {
    Incoming::message(n, cpim(&format!("m{n}"), ASKING, "Hi"))
}

fn arrived(rig: &mut Rig, incoming: &Incoming) -> ReceivedId {
    rig.deliver(incoming.bytes());
    rig.next_response(200);
    let at = rig.events.iter().position(|event| matches!(event, ClientEvent::Received(_))).unwrap();
    match rig.events.remove(at) {
        Some(ClientEvent::Received(message)) => message.id,
        other => panic!("{other:?}"),
    }
}

fn read(rig: &mut Rig, id: ReceivedId) -> bool {
    rig.command(|client, now, ports| client.mark_read(now, ports, id))
}

fn consent(rig: &mut Rig, id: ReceivedId, given: bool) -> bool {
    rig.command(|client, now, ports| client.consent(now, ports, id, given))
}

fn document(report: &Request) -> cpm_xml::imdn::Imdn {
    cpm_xml::imdn::parse(&parse_cpim(report.body()).content().body, &cpm_xml::Limits::default()).unwrap()
}

/// The notifications that went out since the last look, as `message status`, each answered with 200.
fn told(rig: &mut Rig) -> Vec<String> {
    let mut told = Vec::new();
    while !rig.sent.is_empty() {
        let report = rig.next_request(Method::Message);
        let document = document(&report);
        told.push(format!("{} {}", document.message_id, document.notification.status()));
        rig.answer(&report, "200 OK", "", "");
    }
    told
}

/// Threat E7: a stranger learns nothing before the user says so, and no reading is told by default.
#[test]
fn a_stranger_hears_nothing_before_the_user_allows_it() {
    let mut rig = Rig::with(|config| config.settings = Settings::default());
    let id = arrived(&mut rig, &asking(1));
    let from = uri("sip:bob@example.org");
    assert_eq!(rig.events.pop_front(), Some(ClientEvent::ConsentWanted { id, from }));
    assert!(!read(&mut rig, id));
    rig.advance(secs(600));
    assert!(rig.sent.is_empty());
    let waiting: Vec<ReceivedId> = rig.node.function().awaiting_consent().collect();
    assert_eq!(waiting, [id]);
    assert!(consent(&mut rig, id, true));
    assert_eq!(told(&mut rig), ["m1 delivered"]);
    assert!(
        !consent(&mut rig, id, true)
            && !consent(&mut rig, id, false)
            && !consent(&mut rig, ReceivedId(99), true)
    );
    assert_eq!(rig.node.function().awaiting_consent().count(), 0);
    rig.quiet();
    rig.at_rest();
    // Another message is another question.
    arrived(&mut rig, &asking(2));
    assert!(matches!(rig.events.pop_front(), Some(ClientEvent::ConsentWanted { .. })) && rig.sent.is_empty());
    // Whoever asks for nothing that would be told is no question.
    arrived(&mut rig, &Incoming::message(3, cpim("m3", "display", "Hi")));
    rig.quiet();
}

/// Threat E7: what is refused is never told, in later lives either.
#[test]
fn a_stranger_who_is_refused_hears_nothing() {
    let ask = |config: &mut crate::ClientConfig| config.settings.strangers = Strangers::Ask;
    let mut rig = Rig::with(ask);
    let id = arrived(&mut rig, &asking(1));
    rig.events.clear();
    assert!(consent(&mut rig, id, false));
    assert!(!read(&mut rig, id));
    rig.quiet();
    rig.at_rest();
    let mut rig = rig.restart(|config| config.registrar = None);
    rig.at_rest();
    rig.quiet();
}

/// What is read before the user decides is told with the delivery, in order.
#[test]
fn reading_waits_for_consent_as_well() {
    for given in [true, false] {
        let mut rig = Rig::with(|config| config.settings.strangers = Strangers::Ask);
        let id = arrived(&mut rig, &asking(1));
        rig.events.clear();
        assert!(read(&mut rig, id));
        rig.quiet();
        // A restart in between changes nothing.
        let mut rig = rig.restart(|config| {
            (config.settings.strangers, config.registrar) = (Strangers::Ask, None);
        });
        assert_eq!(rig.node.function().awaiting_consent().collect::<Vec<_>>(), [id]);
        rig.advance(secs(1));
        rig.quiet();
        consent(&mut rig, id, given);
        let expected: &[&str] = if given { &["m1 delivered", "m1 displayed"] } else { &[] };
        assert_eq!(told(&mut rig), expected);
        rig.at_rest();
    }
}

#[test]
fn contacts_are_told_without_a_question_and_silence_is_silence() {
    let contact = |config: &mut crate::ClientConfig| {
        config.settings = Settings { display_reports: true, ..Settings::default() };
        config.contacts = [uri("sip:bob@EXAMPLE.org;user=ip").address_key()].into();
    };
    let mut rig = Rig::with(contact);
    let id = arrived(&mut rig, &asking(1));
    assert_eq!(told(&mut rig), ["m1 delivered"]);
    assert!(read(&mut rig, id));
    assert_eq!(told(&mut rig), ["m1 displayed"]);
    rig.quiet();
    let carol = asking(2).with("P-Asserted-Identity", "<sip:carol@example.org>");
    arrived(&mut rig, &carol);
    assert!(matches!(rig.events.pop_front(), Some(ClientEvent::ConsentWanted { .. })));
    rig.command(|client, _, _| client.set_contacts([&uri("sip:carol@example.org")]));
    arrived(&mut rig, &asking(3).with("P-Asserted-Identity", "<sip:carol@example.org>"));
    assert_eq!(told(&mut rig), ["m3 delivered"]);

    let mut rig = Rig::with(|config| config.settings.strangers = Strangers::Silent);
    let id = arrived(&mut rig, &asking(1));
    assert!(!read(&mut rig, id));
    rig.quiet();
    rig.at_rest();
}

/// Threat E7: ten in a minute for each peer, however many messages it sends; more wait, none is lost.
#[test]
fn no_peer_learns_more_than_ten_times_a_minute() {
    let mut rig = Rig::new();
    let mut first = Vec::new();
    for n in 0..25 {
        arrived(&mut rig, &Incoming::message(n, cpim(&format!("m{n}"), "positive-delivery", "Hi")));
        first.extend(told(&mut rig));
    }
    assert_eq!(first.len(), 10);
    let carol = Incoming::message(99, cpim("c1", "positive-delivery", "Hi"))
        .with("P-Asserted-Identity", "<sip:carol@example.org>");
    arrived(&mut rig, &carol);
    assert_eq!(told(&mut rig), ["c1 delivered"]);
    rig.advance(secs(59));
    assert!(rig.sent.is_empty());
    rig.advance(secs(1));
    assert_eq!(told(&mut rig).len(), 10);
    rig.advance(secs(59));
    assert!(rig.sent.is_empty());
    rig.advance(secs(1));
    assert_eq!(
        told(&mut rig),
        ["m20 delivered", "m21 delivered", "m22 delivered", "m23 delivered", "m24 delivered"]
    );
    rig.at_rest();
}

fn with_route(hops: &[String]) -> String {
    let lines: String = hops.iter().map(|hop| format!("imdn.IMDN-Record-Route: <{hop}>\r\n")).collect();
    cpim("m1", ASKING, "Hi").replace("imdn.Message-ID: m1\r\n", &format!("imdn.Message-ID: m1\r\n{lines}"))
}

/// Threat E6: a route that is too long, comes by twice, or leads to the user himself is none: nothing is told.
// req: 5.4.1-2.a.i.a
#[test]
fn a_route_that_loops_is_not_taken() {
    let hops = |count: usize| (0..count).map(|n| format!("sip:hop{n}@example.net")).collect::<Vec<String>>();
    let with = |more: &str| [hops(3), vec![more.to_owned()]].concat();
    for (route, good) in [
        (hops(0), true),
        (hops(8), true),
        (with("sip:hop1@example.net"), false),
        (with("sip:hop1@EXAMPLE.net;lr"), false),
        (with("sip:alice@example.com"), false),
        (with("sip:other@example.net"), true),
    ] {
        let mut rig = Rig::new();
        let id = arrived(&mut rig, &Incoming::message(1, with_route(&route)));
        assert_eq!(rig.sent.len(), usize::from(good), "{route:?}");
        assert_eq!(read(&mut rig, id), good, "{route:?}");
    }
    // More hops than `imdn.max_route` are no message.
    let mut rig = Rig::new();
    rig.deliver(Incoming::message(1, with_route(&hops(9))).bytes());
    rig.next_response(400);
    rig.quiet();
}

/// Threat E6: a notification goes to whom the core answers for. A From that nobody answers for is an address that
/// anybody may have written.
#[test]
fn only_an_authenticated_sender_is_told() {
    for (trust, asserted, allowed, expected) in [
        (Trust::Core, true, false, Some("sip:bob@example.org")),
        (Trust::Core, false, false, None),
        (Trust::Core, false, true, Some("sip:victim@example.net")),
        (Trust::Outside, true, false, None),
        (Trust::Outside, true, true, Some("sip:victim@example.net")),
    ] {
        let mut rig = Rig::bare(|config| config.settings.unasserted_senders = allowed);
        rig.flow(SIP, Protocol::Sip, Transport::Udp, CORE, trust);
        let incoming = asking(1).with("From", "<sip:victim@example.net>;tag=1");
        let incoming = if asserted { incoming } else { incoming.without("P-Asserted-Identity") };
        rig.deliver(incoming.bytes());
        rig.next_response(200);
        let message = rig.next_received();
        assert_eq!(message.authenticated, trust == Trust::Core && asserted);
        assert_eq!(message.display_requested, expected.is_some());
        let told = rig.sent.pop_front().map(|report| report.as_request().unwrap().uri().as_str().to_owned());
        assert_eq!(told.as_deref(), expected);
        assert_eq!(read(&mut rig, message.id), expected.is_some());
    }
}

/// Threat E10: a notification names its own user; who else got the message is nobody's business.
#[test]
fn other_recipients_are_not_named() {
    let body = cpim("m1", ASKING, "Hi").replace(
        "To: <sip:alice@example.com>\r\n",
        "To: <sip:canary1@example.com>\r\nTo: <sip:alice@example.com>\r\ncc: <sip:canary2@example.com>\r\n",
    );
    let list = "--x\r\nContent-Type: message/cpim\r\n\r\n".to_owned()
        + &body
        + "\r\n--x\r\nContent-Type: application/resource-lists+xml\r\n\
           Content-Disposition: recipient-list-history\r\n\r\n<resource-lists>canary3</resource-lists>\r\n--x--\r\n";
    let incoming = Incoming::message(1, list).with("Content-Type", "multipart/mixed;boundary=x");
    let mut rig = Rig::new();
    let id = arrived(&mut rig, &incoming);
    read(&mut rig, id);
    let (delivery, _) = (rig.next_request(Method::Message), ());
    rig.answer(&delivery, "200 OK", "", "");
    let display = rig.next_request(Method::Message);
    rig.answer(&display, "200 OK", "", "");
    for report in [delivery, display] {
        assert_eq!(document(&report).recipient_uri.as_deref(), Some("sip:alice@example.com"));
        let octets = String::from_utf8_lossy(report.body()).into_owned();
        assert!(!octets.contains("canary"), "{octets}");
    }
    // None of them ours, and a single one: what the sender wrote is what the sender knows.
    let other = cpim("m2", "positive-delivery", "Hi").replace("alice@example.com", "alias@example.com");
    arrived(&mut rig, &Incoming::message(2, other));
    let second = rig.next_request(Method::Message);
    rig.answer(&second, "200 OK", "", "");
    let none = body.replace("m1", "m3").replace("sip:alice@", "sip:canary4@");
    arrived(&mut rig, &Incoming::message(3, none));
    let report = rig.next_request(Method::Message);
    assert_eq!(document(&report).recipient_uri, None);
}

/// Threat E7: of what cannot be shown no reading is told.
#[test]
fn what_cannot_be_shown_is_not_read() {
    for (content_type, shown) in
        [("text/plain", true), ("application/x-unknown", false), ("TEXT/plain; a=b", true)]
    {
        let mut rig = Rig::with(|config| config.accept = vec!["text/*".to_owned(), "image/png".to_owned()]);
        let body = cpim("m1", ASKING, "Hi").replace("text/plain;charset=UTF-8", content_type);
        rig.deliver(Incoming::message(1, body).bytes());
        rig.next_response(200);
        assert_eq!(told(&mut rig), ["m1 delivered"]);
        let message = rig.next_received();
        assert_eq!((message.renderable, message.display_requested), (shown, shown), "{content_type}");
        assert_eq!(read(&mut rig, message.id), shown);
        assert_eq!(rig.sent.len(), usize::from(shown));
    }
}

/// Who wants to be unknown is not shown, though the core says who it is, and not told of anything.
// req: 6.3-p11
#[test]
fn an_anonymous_sender_stays_unknown() {
    let canary = asking(1)
        .with("P-Asserted-Identity", "\"Canary\" <sip:canary@example.org>")
        .with("Privacy", "id")
        .with("From", "\"Zorro\" <sip:anonymous@anonymous.invalid>;tag=1");
    let body = String::from_utf8(canary.body.clone()).unwrap();
    let hidden =
        body.replace("\"Bob B.\" <sip:bob@example.org>", "\"Masked\" <sip:anonymous@anonymous.invalid>");
    let canary = Incoming { body: hidden.into_bytes(), ..canary };
    let mut rig = Rig::new();
    rig.deliver(canary.bytes());
    rig.next_response(200);
    let message = rig.next_received();
    assert_eq!((&message.from, &message.reply_to, message.display_requested), (&None, &None, false));
    assert_eq!(message.from_name.as_deref(), Some("Zorro"));
    assert!(!format!("{message:?}").to_lowercase().contains("canary"));
    assert_eq!(rig.stores[0].1.sender, "");
    assert!(!read(&mut rig, message.id));
    rig.quiet();
    // Copies are still copies: the core knows of whom.
    rig.deliver(
        Incoming { branch: "z9hG4bKother".to_owned(), call_id: "other".to_owned(), ..canary }.bytes(),
    );
    rig.next_response(200);
    rig.quiet();
}

/// The user's store may know that the message was read on another device.
// req: 5.4.2-1.a.i, 5.4.2-1.a.ii
#[test]
fn a_message_in_the_user_s_store_is_looked_up_before_a_reading_is_told() {
    let stored = Incoming::message(1, cpim("m1", "display", "Hi")).with("Message-UID", "4712");
    let replies = [
        (Some(Ok(true)), false),
        (Some(Ok(false)), true),
        (Some(Err(FetchError::NotFound)), true),
        (None, true),
    ];
    for (reply, expected) in replies {
        let mut rig = Rig::new();
        let id = arrived(&mut rig, &stored);
        assert!(read(&mut rig, id));
        assert!(!read(&mut rig, id));
        rig.quiet();
        let (query, message_id) = rig.seen_queries.pop_front().unwrap();
        assert!(rig.seen_queries.is_empty() && message_id == "m1");
        match reply {
            Some(reply) => rig.node.handle_reply(rig.now, query, Reply::Seen(reply)),
            None => rig.advance(secs(30)),
        }
        rig.pump();
        assert_eq!(told(&mut rig).len(), usize::from(expected), "{reply:?}");
        assert!(!read(&mut rig, id));
        rig.at_rest();
        let mut rig = rig.restart(|config| config.registrar = None);
        assert!(!read(&mut rig, id));
        rig.at_rest();
        rig.quiet();
    }
    // Of what nobody asks about the store is not asked.
    let mut rig = Rig::new();
    let id = arrived(&mut rig, &Incoming::message(2, cpim("m2", "", "Hi")).with("Message-UID", "4713"));
    assert!(!read(&mut rig, id));
    assert!(rig.seen_queries.is_empty());
}

/// The network may keep the read report in the user's store.
// req: 5.4.2-2.a.9
#[test]
fn the_uid_of_a_read_report_is_kept() {
    let mut rig = Rig::new();
    let id = arrived(&mut rig, &Incoming::message(1, cpim("m1", "display", "Hi")));
    assert!(read(&mut rig, id));
    assert_eq!(rig.node.function().report_uid(id), None);
    let report = rig.next_request(Method::Message);
    rig.answer(&report, "200 OK", "Message-UID: 815\r\n", "");
    assert_eq!(rig.node.function().report_uid(id), Some("815"));
    let rig = rig.restart(|_| {});
    assert_eq!(rig.node.function().report_uid(id), Some("815"));
}

/// A reading is kept before it is told: a client that is killed in between does not tell it twice. A store that fails does
/// not hold it up for ever.
// req: 5.4.2-2
#[test]
fn a_reading_is_kept_before_it_is_told() {
    for result in [Ok(()), Err(StoreError::Full)] {
        let mut rig = Rig::new();
        let id = arrived(&mut rig, &Incoming::message(1, cpim("m1", "display", "Hi")));
        rig.auto_state = None;
        assert!(read(&mut rig, id));
        rig.quiet();
        rig.reply_state(result);
        assert_eq!(told(&mut rig), ["m1 displayed"]);
    }
    let mut rig = Rig::new();
    let id = arrived(&mut rig, &Incoming::message(1, cpim("m1", "display", "Hi")));
    rig.auto_state = None;
    assert!(read(&mut rig, id));
    rig.advance(secs(120));
    assert_eq!(told(&mut rig), ["m1 displayed"]);
}

/// What an earlier life owed goes out when the client is registered: before, it has no route, and nobody expects it.
#[test]
fn what_was_owed_waits_for_the_registration() {
    let mut rig = Rig::new();
    arrived(&mut rig, &asking(1));
    let before = rig.next_request(Method::Message);
    rig.now = rig.now.plus(secs(3_600));
    let mut rig = rig.restart(|_| {});
    rig.advance(secs(10));
    rig.quiet();
    rig.command(|client, now, ports| client.register(now, ports)).unwrap();
    let register = rig.next_request(Method::Register);
    let contact = value(register.headers(), "Contact");
    rig.answer(&register, "200 OK", &format!("Contact: {contact};expires=3600\r\n"), "");
    let after = rig.next_request(Method::Message);
    // It is the same notification, whenever it is sent.
    assert_eq!(after.body(), before.body());
    rig.answer(&after, "200 OK", "", "");
    rig.events.clear();
    let mut rig = rig.restart(|config| config.registrar = None);
    rig.at_rest();
    rig.quiet();
}

/// A message of an earlier life is marked read by its number or by its Message-ID.
#[test]
fn what_arrived_before_is_marked_read_after() {
    let bob = uri("sip:bob@example.org;transport=tcp");
    for by_number in [true, false] {
        let mut rig = Rig::new();
        let id = arrived(&mut rig, &Incoming::message(1, cpim("m1", "display", "Hi")));
        let mut rig = rig.restart(|config| config.registrar = None);
        let done = rig.command(|client, now, ports| {
            let carol = uri("sip:carol@example.org");
            assert!(!client.mark_read_by_message_id(now, ports, Some(&carol), "m1"));
            assert!(!client.mark_read_by_message_id(now, ports, None, "m2"));
            match by_number {
                true => client.mark_read(now, ports, id),
                false => client.mark_read_by_message_id(now, ports, Some(&bob), "m1"),
            }
        });
        assert!(done);
        assert_eq!(told(&mut rig), ["m1 displayed"]);
        // Numbers go on behind those of before.
        assert!(arrived(&mut rig, &asking(2)) > id);
    }
}
