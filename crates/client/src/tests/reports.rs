//! TS 5.4, 5.4.1 to 5.4.4: disposition notifications over SIP MESSAGE, both ways.

use super::harness::*;
use crate::{ClientEvent, Disposition, NewMessage, ReceivedId, SentId};
use bytes::Bytes;
use cpm_sip::{Method, Request};
use cpm_xml::imdn::{DeliveryStatus, DisplayStatus, Notification};

/// A message arrived; the 200 is looked at, the rest not.
fn arrived(rig: &mut Rig, incoming: &Incoming) {
    rig.deliver(incoming.bytes());
    rig.next_response(200);
}

fn read(rig: &mut Rig, id: ReceivedId) -> bool {
    rig.command(|client, now, ports| client.mark_read(now, ports, id))
}

fn document(report: &Request) -> cpm_xml::imdn::Imdn {
    let cpim = parse_cpim(report.body());
    cpm_xml::imdn::parse(&cpim.content().body, &cpm_xml::Limits::default()).unwrap()
}

/// What is the same for delivery notifications and read reports.
fn check_report(report: &Request, notification: &Notification) {
    let headers = report.headers();
    assert_eq!(report.uri().as_str(), "sip:bob@example.org");
    assert_eq!(value(headers, "To"), "<sip:bob@example.org>");
    assert!(value(headers, "From").starts_with("<sip:alice@example.com>;tag="));
    assert_eq!(value(headers, "Conversation-ID"), CONVERSATION);
    assert_eq!(value(headers, "Contribution-ID"), CONTRIBUTION);
    assert_eq!(value(headers, "Accept-Contact"), format!("*;+g.3gpp.icsi-ref=\"{MSG}\""));
    assert_eq!(value(headers, "P-Preferred-Service"), "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg");
    assert_eq!(value(headers, "Content-Type"), "message/cpim");
    assert_eq!(value(headers, "User-Agent"), "CPM-client/OMA2.1 acme/1.0");
    let cpim = parse_cpim(report.body());
    assert_eq!(cpim.from().unwrap().unwrap().uri, "sip:alice@example.com");
    assert_eq!(cpim.to().unwrap()[0].uri, "sip:bob@example.org");
    assert_eq!(cpim.date_time_text().as_deref(), Some("2026-11-21T10:00:00Z"));
    assert!(cpim.is_imdn());
    assert_eq!(cpim.content().headers.get("Content-Disposition").as_deref(), Some("notification"));
    assert!(cpim.imdn_message_id().unwrap().is_some_and(|id| id != "m1"));
    assert!(cpim.disposition_notification().unwrap().is_empty());
    let document = document(report);
    assert_eq!(document.message_id, "m1");
    assert_eq!(document.datetime.as_deref(), Some("2026-11-21T09:59:58Z"));
    assert_eq!(document.recipient_uri.as_deref(), Some("sip:alice@example.com"));
    assert_eq!(document.notifications().collect::<Vec<_>>(), [notification]);
}

// req: 5.4-p6, 5.4-via-i, 5.4-p3, 5.4-p4, 5.4-p7, 5.4-gen-1.b.i, 5.4.1-p1, 5.4.1-1, 5.4.1-2, 5.4.1-2.a.i, 5.4.1-2.a.ii
// req: 5.4.1-2.a.iii, 5.4.1-2.a.iv.a, 5.4.1-2.a.v, 5.4.1-p2, 7.2.2.3-3
#[test]
fn a_delivery_notification() {
    let mut rig = Rig::new();
    arrived(&mut rig, &Incoming::message(1, cpim("m1", "positive-delivery", "Hi")));
    let report = rig.next_request(Method::Message);
    check_report(&report, &Notification::Delivery(DeliveryStatus::Delivered));
    assert!(!rig.next_received().display_requested);
    rig.answer(&report, "200 OK", "", "");
    rig.quiet();
    rig.at_rest();
}

// req: 5.4.2-1, 5.4.2-2, 5.4.2-2.a.2, 5.4.2-2.a.3, 5.4.2-2.a.4, 5.4.2-2.a.5, 5.4.2-2.a.6, 5.4.2-2.a.7, 5.4.2-2.a.8
// req: 5.4.2-3, 5.4.2-3.b, 5.4.2-3.c, 5.4.2-3.d, 5.4.2-3.e, 7.2.2.3-4, 5.4-p4
#[test]
fn a_read_report_goes_out_once_and_when_read() {
    let mut rig = Rig::new();
    arrived(&mut rig, &Incoming::message(1, cpim("m1", "display", "Hi")));
    let message = rig.next_received();
    assert!(message.display_requested);
    rig.quiet();
    assert!(read(&mut rig, message.id));
    let report = rig.next_request(Method::Message);
    check_report(&report, &Notification::Display(DisplayStatus::Displayed));
    assert!(!read(&mut rig, message.id));
    rig.quiet();
    rig.answer(&report, "200 OK", "", "");
    rig.at_rest();
    rig.quiet();
}

// req: 5.4.2-1.b, 5.4.1-1, 5.4.2-1
#[test]
fn what_is_not_asked_for_is_not_reported() {
    let mut rig = Rig::new();
    for (n, wishes) in ["", "negative-delivery", "interworking", "processing"].into_iter().enumerate() {
        arrived(&mut rig, &Incoming::message(n as u32, cpim(&format!("m{n}"), wishes, "Hi")));
        let message = rig.next_received();
        assert!(!message.display_requested);
        assert!(!read(&mut rig, message.id));
        rig.quiet();
    }
    assert!(!read(&mut rig, ReceivedId(99)));
    rig.at_rest();
}

// req: 5.4.1-2, 5.4.2-2, 5.4-gen-1.b.i
#[test]
fn the_device_s_settings_decide() {
    for (delivery, display) in [(false, false), (true, false), (false, true)] {
        let mut rig = Rig::with(|config| {
            config.settings.delivery_reports = delivery;
            config.settings.display_reports = display;
        });
        arrived(&mut rig, &Incoming::message(1, cpim("m1", "positive-delivery, display", "Hi")));
        assert_eq!(rig.sent.drain(..).count(), usize::from(delivery));
        let message = rig.next_received();
        assert_eq!(read(&mut rig, message.id), display);
        assert_eq!(rig.sent.drain(..).count(), usize::from(display));
    }
}

/// E6, C1: senders that never answer do not make the client hold ever more reports; what waits goes out later.
#[test]
fn reports_that_nobody_answers_are_bounded() {
    let mut rig = Rig::with(|config| config.limits.max_reports = 2);
    let mut reports = Vec::new();
    for n in 0..4 {
        let sender = format!("<sip:bob{n}@example.org>");
        let incoming = Incoming::message(n, cpim(&format!("m{n}"), "positive-delivery", "Hi"));
        arrived(&mut rig, &incoming.with("P-Asserted-Identity", &sender));
        if n < 2 {
            reports.push(rig.next_request(Method::Message));
        }
        rig.next_received();
        rig.quiet();
    }
    for (report, waited) in reports.into_iter().zip(["m2", "m3"]) {
        rig.answer(&report, "200 OK", "", "");
        let report = rig.next_request(Method::Message);
        assert_eq!(document(&report).message_id, waited);
        rig.quiet();
        rig.answer(&report, "200 OK", "", "");
    }
    rig.at_rest();
}

/// One MESSAGE at a time to each address, whatever it carries (RFC 3428 §8).
#[test]
fn notifications_and_messages_to_one_address_take_turns() {
    let mut rig = Rig::new();
    let mine = NewMessage::text(uri("sip:bob@example.org"), "mine");
    rig.send(mine.clone());
    let first = rig.next_request(Method::Message);
    arrived(&mut rig, &Incoming::message(1, cpim("m1", "positive-delivery", "Hi")));
    arrived(&mut rig, &Incoming::message(2, cpim("m2", "positive-delivery", "Hi")));
    rig.send(mine);
    assert!(rig.sent.is_empty());
    let mut last = first;
    for about in [Some("m1"), Some("m2"), None] {
        rig.answer(&last, "200 OK", "", "");
        last = rig.next_request(Method::Message);
        assert!(rig.sent.is_empty());
        match about {
            Some(about) => assert_eq!(document(&last).message_id, about),
            None => assert!(String::from_utf8_lossy(last.body()).ends_with("mine")),
        }
    }
}

#[test]
fn without_a_message_id_nothing_can_be_reported() {
    let body = cpim("m1", "positive-delivery, display", "Hi").replace("imdn.Message-ID: m1\r\n", "");
    let mut rig = Rig::new();
    arrived(&mut rig, &Incoming::message(1, body));
    let message = rig.next_received();
    assert!(!message.display_requested && !read(&mut rig, message.id));
    rig.quiet();
}

// req: 5.4.1-2.a.iii, 5.4.1-2.a.iv.a, 5.4.2-2.a.6, 5.4.2-2.a.7
#[test]
fn feature_and_service_are_those_of_the_message() {
    let mut rig = Rig::new();
    let group = Incoming::message(1, cpim("m1", "positive-delivery", "Hi"))
        .with("Accept-Contact", &format!("*;+g.3gpp.icsi-ref=\"{}\"", LARGE.to_uppercase()))
        .with("P-Asserted-Service", "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg.group");
    arrived(&mut rig, &group);
    let report = rig.next_request(Method::Message);
    assert_eq!(value(report.headers(), "Accept-Contact"), format!("*;+g.3gpp.icsi-ref=\"{LARGE}\""));
    assert_eq!(
        value(report.headers(), "P-Preferred-Service"),
        "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg.group"
    );
}

fn routed(wishes: &str) -> String {
    cpim("m1", wishes, "Hi").replace(
        "imdn.Message-ID: m1\r\n",
        "imdn.Message-ID: m1\r\nimdn.IMDN-Record-Route: <sip:first@198.51.100.1>\r\n\
         imdn.IMDN-Record-Route: <sip:second@example.net>\r\nimdn.IMDN-Record-Route: <sip:third@example.net>\r\n\
         imdn.Original-To: <sip:group@example.com>\r\n",
    )
}

// req: 5.4.1-2.a.i.a, 5.4.2-2.a.1, 5.4.2-2.a.3, 5.4.2-3.a
#[test]
fn reports_go_by_the_recorded_route() {
    let mut rig = Rig::new();
    arrived(&mut rig, &Incoming::message(1, routed("positive-delivery, display")));
    let delivery = rig.next_request(Method::Message);
    let id = rig.next_received().id;
    assert!(read(&mut rig, id));
    // What was read was delivered: that is told first.
    rig.quiet();
    rig.answer(&delivery, "200 OK", "", "");
    let display = rig.next_request(Method::Message);
    for report in [delivery, display] {
        // Readings G1: the topmost leads, the others follow in order, none is recorded.
        assert_eq!(report.uri().as_str(), "sip:first@198.51.100.1");
        assert_eq!(value(report.headers(), "To"), "<sip:bob@example.org>");
        let cpim = parse_cpim(report.body());
        assert_eq!(cpim.to().unwrap()[0].uri, "sip:bob@example.org");
        let routes: Vec<String> = cpim.route().unwrap().into_iter().map(|route| route.uri).collect();
        assert_eq!(routes, ["sip:second@example.net", "sip:third@example.net"]);
        assert!(cpim.record_route().unwrap().is_empty());
        let document = document(&report);
        assert_eq!(document.recipient_uri.as_deref(), Some("sip:alice@example.com"));
        assert_eq!(document.original_recipient_uri.as_deref(), Some("sip:group@example.com"));
    }
}

#[test]
fn a_report_is_tried_again_but_not_for_ever() {
    for (status, tries) in [
        (Some("503 Service Unavailable"), 5),
        (Some("408 Request Timeout"), 5),
        (Some("480 Temporarily Unavailable"), 5),
        (Some("482 Loop Detected"), 5),
        (Some("404 Not Found"), 1),
        (Some("603 Decline"), 1),
        (None, 5),
    ] {
        let mut rig = Rig::new();
        arrived(&mut rig, &Incoming::message(1, cpim("m1", "positive-delivery", "Hi")));
        let (mut bodies, mut calls): (Vec<Bytes>, Vec<String>) = Default::default();
        for _ in 0..10 {
            rig.advance(secs(1));
            let requests: Vec<Request> = rig.sent.drain(..).filter_map(|m| m.as_request().cloned()).collect();
            for request in requests {
                if calls.last() != Some(&value(request.headers(), "Call-ID")) {
                    calls.push(value(request.headers(), "Call-ID"));
                    bodies.push(request.body().clone());
                }
                if let Some(status) = status {
                    rig.answer(&request, status, "", "");
                }
            }
            rig.advance(secs(65));
        }
        assert_eq!(calls.len(), tries, "{status:?}");
        bodies.dedup();
        assert_eq!(bodies.len(), 1);
        rig.sent.clear();
        rig.events.clear();
        rig.at_rest();
        rig.quiet();
    }
}

#[test]
fn a_report_that_came_through_is_not_sent_again() {
    let mut rig = Rig::new();
    arrived(&mut rig, &Incoming::message(1, cpim("m1", "positive-delivery", "Hi")));
    let report = rig.next_request(Method::Message);
    rig.answer(&report, "503 Service Unavailable", "", "");
    rig.advance(secs(29));
    assert!(rig.sent.is_empty());
    rig.advance(secs(1));
    let again = rig.next_request(Method::Message);
    assert_eq!(again.body(), report.body());
    assert_ne!(value(again.headers(), "Call-ID"), value(report.headers(), "Call-ID"));
    rig.answer(&again, "202 Accepted", "", "");
    rig.at_rest();
    assert!(rig.sent.is_empty());
}

// Reports that arrive

const DELIVERED: &str = "<delivery-notification><status><delivered/></status></delivery-notification>";
const DISPLAYED: &str = "<display-notification><status><displayed/></status></display-notification>";

/// A client that sent one message, and a way to tell it about that.
fn one_sent() -> (Rig, SentId, String) {
    let mut rig = Rig::new();
    let sent = rig.send(NewMessage::text(uri("sip:bob@example.org"), "Hi").with_reports());
    let request = rig.next_request(Method::Message);
    rig.answer(&request, "200 OK", "", "");
    rig.next_event();
    (rig, sent.id, sent.message_id)
}

fn told(rig: &mut Rig, n: u32, about: &str, notifications: &str) {
    rig.deliver(Incoming::message(n, cpim_imdn(&format!("i{n}"), &imdn(about, notifications))).bytes());
    rig.next_response(200);
}

fn disposition(id: SentId, disposition: Disposition) -> ClientEvent {
    ClientEvent::Disposition { id, disposition, from: "sip:bob@example.org".to_owned() }
}

// req: 5.4-p8, 5.4-rcv-1, 5.4-rcv-1.a, 5.4-rcv-1.a.i, 5.4-rcv-2, 5.4-rcv-2.a, 5.4-rcv-2.a.i, 5.4.3-p1, 5.4.3-p2
// req: 5.4.4-p1, 5.4.4-p2
#[test]
fn delivered_and_displayed_once_each() {
    let (mut rig, id, message_id) = one_sent();
    told(&mut rig, 1, &message_id, DELIVERED);
    assert_eq!(rig.next_event(), disposition(id, Disposition::Delivered));
    told(&mut rig, 2, &message_id, DELIVERED);
    rig.quiet();
    told(&mut rig, 3, &message_id, DISPLAYED);
    assert_eq!(rig.next_event(), disposition(id, Disposition::Displayed));
    told(&mut rig, 4, &message_id, DISPLAYED);
    told(&mut rig, 5, &message_id, DELIVERED);
    rig.quiet();
    rig.at_rest();
}

// req: 5.4-rcv-1.a.ii
#[test]
fn any_other_delivery_status_is_a_failure() {
    for status in ["<failed/>", "<forbidden/>", "<error/>", "<x:mailbox-full xmlns:x=\"urn:x\"/>"] {
        let (mut rig, id, message_id) = one_sent();
        let notification =
            format!("<delivery-notification><status>{status}</status></delivery-notification>");
        told(&mut rig, 1, &message_id, &notification);
        assert_eq!(rig.next_event(), disposition(id, Disposition::DeliveryFailed), "{status}");
        // Another device of the recipient got it.
        told(&mut rig, 2, &message_id, DELIVERED);
        assert_eq!(rig.next_event(), disposition(id, Disposition::Delivered));
        told(&mut rig, 3, &message_id, &notification);
        rig.quiet();
    }
}

// req: 5.4-rcv-2.a.ii, 5.4-rcv-4
#[test]
fn what_says_nothing_is_acknowledged_and_ignored() {
    let (mut rig, _, message_id) = one_sent();
    for (n, notification) in [
        "<display-notification><status><forbidden/></status></display-notification>",
        "<display-notification><status><error/></status></display-notification>",
        "<processing-notification><status><stored/></status></processing-notification>",
        "<x:other xmlns:x=\"urn:x\"/>",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        rig.deliver(Incoming::message(n as u32, cpim_imdn("i", &imdn(&message_id, notification))).bytes());
        rig.next_response(200);
        rig.quiet();
    }
}

#[test]
fn several_notifications_in_one_document() {
    let (mut rig, id, message_id) = one_sent();
    told(&mut rig, 1, &message_id, &format!("{DELIVERED}{DISPLAYED}"));
    assert_eq!(rig.next_event(), disposition(id, Disposition::Delivered));
    assert_eq!(rig.next_event(), disposition(id, Disposition::Displayed));
    rig.quiet();
}

fn counted(rig: &Rig, name: &str) -> u64 {
    rig.node.function().metrics().get(name)
}

/// Threat E5: who is not its recipient says nothing about a message, and what the recipient says after that counts.
#[test]
fn a_forged_sender_is_refused() {
    let (mut rig, id, message_id) = one_sent();
    let document = imdn(&message_id, DELIVERED);
    // From and the CPIM message name Bob; the core asserts another. A namesake elsewhere is another, and so is who hides.
    let forged = |n, identity: &str| {
        Incoming::message(n, cpim_imdn("i", &document)).with("P-Asserted-Identity", identity)
    };
    let hidden = Incoming::message(3, cpim_imdn("i", &document))
        .without("P-Asserted-Identity")
        .with("From", "<sip:anonymous@anonymous.invalid>;tag=x");
    let attempts =
        [forged(1, "<sip:mallory@example.org>"), forged(2, "<sip:bob@example.net>, <tel:+15550100>"), hidden];
    for (n, attempt) in attempts.into_iter().enumerate() {
        rig.deliver(attempt.bytes());
        rig.next_response(200);
        rig.quiet();
        assert_eq!(counted(&rig, "client.report_not_from_a_recipient"), n as u64 + 1);
    }
    told(&mut rig, 9, &message_id, DELIVERED);
    assert_eq!(rig.next_event(), disposition(id, Disposition::Delivered));
}

/// The core may know the recipient by two addresses (RFC 3325 §9.1), and the message have gone to the second.
#[test]
fn any_asserted_address_of_the_recipient_will_do() {
    let mut rig = Rig::new();
    let sent = rig.send(NewMessage::text(uri("sip:bob@EXAMPLE.org;user=ip"), "Hi").with_reports());
    rig.sent.clear();
    let report = Incoming::message(1, cpim_imdn("i", &imdn(&sent.message_id, DELIVERED)))
        .with("P-Asserted-Identity", "<tel:+15550100>, <sip:bob@example.org>");
    rig.deliver(report.bytes());
    rig.next_response(200);
    let from = "tel:+15550100".to_owned();
    let told = ClientEvent::Disposition { id: sent.id, disposition: Disposition::Delivered, from };
    assert_eq!(rig.next_event(), told);
}

/// Threat E5: what nobody asked for is not told.
#[test]
fn what_was_not_asked_for_is_refused() {
    let mut rig = Rig::new();
    let mut message = NewMessage::text(uri("sip:bob@example.org"), "Hi");
    message.reports.positive_delivery = true;
    let sent = rig.send(message);
    rig.sent.clear();
    told(&mut rig, 1, &sent.message_id, DISPLAYED);
    told(&mut rig, 2, &sent.message_id, INTERWORKED);
    rig.quiet();
    assert_eq!(counted(&rig, "client.report_not_asked"), 2);
    told(&mut rig, 3, &sent.message_id, DELIVERED);
    assert_eq!(rig.next_event(), disposition(sent.id, Disposition::Delivered));
}

// req: 5.4.3-p2
#[test]
fn displayed_implies_delivered() {
    let (mut rig, id, message_id) = one_sent();
    told(&mut rig, 1, &message_id, DISPLAYED);
    assert_eq!(rig.next_event(), disposition(id, Disposition::Displayed));
    told(&mut rig, 2, &message_id, DELIVERED);
    rig.quiet();
    assert_eq!(counted(&rig, "client.report_repeated"), 1);
}

const INTERWORKED: &str =
    "<interworking-notification><status><legacy-sms/></status></interworking-notification>";

// req: 5.4-rcv-3, 5.4-rcv-3.b, 5.4-rcv-3.b.i.1, 5.4-rcv-3.b.i.2, 5.4-rcv-3.b.ii.1, 5.4-rcv-3.b.ii.2, 5.4-rcv-3.b.iii
// req: 5.4-rcv-3.b.i.3, 5.4-rcv-3.b.ii.3, 5.4.7-p1
#[test]
fn a_message_that_left_for_another_technology() {
    for (status, expected) in [
        ("legacy-sms", Some(Disposition::InterworkedSms)),
        ("legacy-mms", Some(Disposition::InterworkedMms)),
        ("forbidden", None),
        ("error", None),
    ] {
        let mut rig = Rig::new();
        let mut message = NewMessage::text(uri("sip:bob@example.org"), "Hi").with_reports();
        message.reports.interworking = true;
        let sent = rig.send(message);
        rig.sent.clear();
        let notification = INTERWORKED.replace("legacy-sms", status);
        told(&mut rig, 1, &sent.message_id, &notification);
        told(&mut rig, 2, &sent.message_id, &notification);
        let events: Vec<ClientEvent> = rig.events.drain(..).collect();
        let expected: Vec<ClientEvent> =
            expected.map(|kind| disposition(sent.id, kind)).into_iter().collect();
        assert_eq!(events, expected, "{status}");
        // The SMS centre may know more later.
        told(&mut rig, 3, &sent.message_id, DELIVERED);
        assert_eq!(rig.next_event(), disposition(sent.id, Disposition::Delivered));
    }
}

#[test]
fn about_a_message_that_nobody_knows() {
    let (mut rig, _, _) = one_sent();
    told(&mut rig, 1, "nobody-s", DELIVERED);
    rig.quiet();
    assert_eq!(rig.node.function().metrics().get("client.report_unknown"), 1);
}

#[test]
fn what_is_no_document_is_refused() {
    let (mut rig, _, message_id) = one_sent();
    let good = imdn(&message_id, DELIVERED);
    for (n, garbage) in [
        "",
        "hello",
        &good[..good.len() - 3],
        &good.replace("<imdn ", "<!DOCTYPE x><imdn "),
        &good.replace("<message-id>", "<message-id>&xxe;"),
        &format!("{}{}", "<a>".repeat(2_000), "</a>".repeat(2_000)),
    ]
    .into_iter()
    .enumerate()
    {
        rig.deliver(Incoming::message(n as u32, cpim_imdn("i1", garbage)).bytes());
        let response = rig.next_response(400);
        assert!(value(response.headers(), "Warning").starts_with("399 cpm \""));
        rig.quiet();
    }
    // The next one counts.
    told(&mut rig, 99, &message_id, DELIVERED);
    assert_eq!(rig.events.len(), 1);
}

// req: 5.4-p4, 5.4.1-p2
#[test]
fn a_report_is_never_reported() {
    let (mut rig, _, message_id) = one_sent();
    let greedy = cpim_imdn("i1", &imdn(&message_id, DISPLAYED)).replace(
        "imdn.Message-ID: i1\r\n",
        "imdn.Message-ID: i1\r\nimdn.Disposition-Notification: positive-delivery, display\r\n",
    );
    rig.deliver(Incoming::message(1, greedy).bytes());
    rig.next_response(200);
    assert!(matches!(rig.next_event(), ClientEvent::Disposition { .. }));
    rig.quiet();
    for id in 0..5 {
        assert!(!read(&mut rig, ReceivedId(id)));
    }
    rig.at_rest();
}

/// A report is kept like a message before it is acknowledged, and told once.
#[test]
fn a_report_waits_for_the_store_as_well() {
    let (mut rig, id, message_id) = one_sent();
    rig.auto_store = None;
    rig.deliver(Incoming::message(1, cpim_imdn("i1", &imdn(&message_id, DELIVERED))).bytes());
    rig.quiet();
    rig.reply_store(Err(cpm_core::StoreError::Full));
    rig.next_response(480);
    rig.quiet();
    rig.deliver(Incoming::message(2, cpim_imdn("i1", &imdn(&message_id, DELIVERED))).bytes());
    rig.reply_store(Ok(()));
    rig.next_response(200);
    assert_eq!(rig.next_event(), disposition(id, Disposition::Delivered));
}

#[test]
fn as_many_sent_messages_are_remembered_as_configured() {
    let mut rig = Rig::with(|config| config.limits.max_sent = 2);
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(rig.send(NewMessage::text(uri("sip:bob@example.org"), "Hi").with_reports()));
    }
    rig.sent.clear();
    for (n, message) in sent.iter().enumerate() {
        told(&mut rig, n as u32, &message.message_id, DELIVERED);
    }
    let ids: Vec<ClientEvent> = rig.events.drain(..).collect();
    let expected =
        [disposition(sent[1].id, Disposition::Delivered), disposition(sent[2].id, Disposition::Delivered)];
    assert_eq!(ids, expected);
}

/// Several documents in one message: each counts for itself, and one that cannot be read hides no other.
// req: 5.4.5-p2, 5.4-rcv-1, 5.4-rcv-2, 5.4-p8
#[test]
fn aggregated_notifications() {
    let mut rig = Rig::new();
    let mut sent = Vec::new();
    for _ in 0..2 {
        sent.push(rig.send(NewMessage::text(uri("sip:bob@example.org"), "Hi").with_reports()));
    }
    rig.sent.clear();
    rig.events.clear();
    let part = |document: &str| format!("--x\r\nContent-Type: message/imdn+xml\r\n\r\n{document}\r\n");
    let documents = [
        part(&imdn(&sent[0].message_id, DELIVERED)),
        part("<imdn"),
        part(&imdn(&sent[0].message_id, DISPLAYED)),
        "--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n".to_owned(),
        part(&imdn(&sent[1].message_id, DISPLAYED)),
        part(&imdn("nobody-s", DELIVERED)),
    ];
    let body = cpim_imdn("i1", &format!("{}--x--\r\n", documents.concat())).replace(
        "message/imdn+xml\r\nContent-Disposition",
        "multipart/mixed;boundary=x\r\nContent-Disposition",
    );
    rig.deliver(Incoming::message(1, body).bytes());
    rig.next_response(200);
    let events: Vec<ClientEvent> = rig.events.drain(..).collect();
    let expected = [
        disposition(sent[0].id, Disposition::Delivered),
        disposition(sent[0].id, Disposition::Displayed),
        disposition(sent[1].id, Disposition::Displayed),
    ];
    assert_eq!(events, expected);
    let counted = |name| rig.node.function().metrics().get(name);
    assert_eq!((counted("client.report_unreadable"), counted("client.report_unknown")), (1, 1));
}

/// Threat E5: what nobody but a From vouches for says nothing, though it names the recipient.
#[test]
fn a_report_that_the_core_does_not_vouch_for_is_refused() {
    for (allowed, trust, asserted, counts) in [
        (false, cpm_base::Trust::Core, true, true),
        (false, cpm_base::Trust::Core, false, false),
        (false, cpm_base::Trust::Outside, true, false),
        (true, cpm_base::Trust::Core, false, true),
    ] {
        let mut rig = Rig::bare(|config| config.settings.unasserted_senders = allowed);
        rig.flow(SIP, cpm_base::Protocol::Sip, cpm_base::Transport::Udp, CORE, trust);
        let sent = rig.send(NewMessage::text(uri("sip:bob@example.org"), "Hi").with_reports());
        rig.sent.clear();
        let incoming = Incoming::message(1, cpim_imdn("i1", &imdn(&sent.message_id, DELIVERED)));
        let incoming = if asserted { incoming } else { incoming.without("P-Asserted-Identity") };
        rig.deliver(incoming.bytes());
        rig.next_response(200);
        let told = rig.events.iter().any(|event| matches!(event, ClientEvent::Disposition { .. }));
        assert_eq!(told, counts, "{allowed} {trust:?} {asserted}");
        assert_eq!(counted(&rig, "client.report_not_from_a_recipient"), u64::from(!counts));
    }
}

/// What a notification said is known in the next life, by its record alone: it is told once.
// req: 5.4.3-p2
#[test]
fn what_was_told_stays_told_after_a_restart() {
    let (mut rig, id, message_id) = one_sent();
    // The store has the notification, and never hears that it changed what is known of the message.
    rig.auto_state = Some(Err(cpm_core::StoreError::Full));
    told(&mut rig, 1, &message_id, DELIVERED);
    assert_eq!(rig.next_event(), disposition(id, Disposition::Delivered));
    let mut rig = rig.restart(|_| {});
    told(&mut rig, 2, &message_id, DELIVERED);
    rig.quiet();
    assert_eq!(counted(&rig, "client.report_repeated"), 1);
    told(&mut rig, 3, &message_id, DISPLAYED);
    assert_eq!(rig.next_event(), disposition(id, Disposition::Displayed));
}
