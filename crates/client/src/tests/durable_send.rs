//! A message is kept before it is put on the wire, until nothing more can be told of it; the next life goes on with it.

use super::harness::*;
use crate::{ClientEvent, Disposition, Failure, MAX_PAGER, NewMessage, Recipients, SentMessage};
use cpm_core::{ContributionId, StateRecord, StoreError};
use cpm_sip::{Method, Request};

const BOB: &str = "sip:bob@198.51.100.1";

fn text(text: &str) -> NewMessage {
    NewMessage::text(uri(BOB), text)
}

fn key(sent: &SentMessage) -> String {
    format!("client/sent/{}", sent.message_id)
}

/// A rig without registrar: what waits goes out at once.
fn rig() -> Rig {
    Rig::with(|config| config.registrar = None)
}

fn restart(rig: Rig) -> Rig {
    let mut rig = rig.restart(|config| config.registrar = None);
    rig.advance(secs(0));
    rig
}

/// The names under which something stands, and how many octets.
fn standing(rig: &Rig) -> Vec<(String, usize)> {
    let records = rig.state.iter().cloned().map(cpm_core::Record::State);
    let standing = cpm_core::standing(records).into_iter().filter_map(|record| match record {
        cpm_core::Record::State(StateRecord { key, value: Some(value) }) => Some((key, value.len())),
        _ => None,
    });
    standing.filter(|(key, _)| key.starts_with("client/sent/")).collect()
}

/// A disposition notification of Bob's about a message.
fn report(n: u32, sent: &SentMessage, what: &str) -> Vec<u8> {
    Incoming::message(n, imdn_about(&sent.message_id, what))
        .with("P-Asserted-Identity", "<sip:bob@198.51.100.1>")
        .bytes()
}

fn imdn_about(message_id: &str, what: &str) -> Vec<u8> {
    let document = format!(
        "<?xml version=\"1.0\"?><imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>{message_id}</message-id>\
         <datetime>2026-11-21T10:00:00Z</datetime>{what}</imdn>"
    );
    format!(
        "From: <sip:bob@198.51.100.1>\r\nTo: <sip:alice@example.com>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: r-{message_id}-{}\r\n\r\nContent-Type: message/imdn+xml\r\n\
         Content-Disposition: notification\r\n\r\n{document}",
        what.len()
    )
    .into_bytes()
}

const DELIVERED: &str = "<delivery-notification><status><delivered/></status></delivery-notification>";
const DISPLAYED: &str = "<display-notification><status><displayed/></status></display-notification>";

/// The fields of a request that may not change when it is sent again.
fn same(request: &Request) -> Vec<String> {
    let names = [
        "Conversation-ID",
        "Contribution-ID",
        "InReplyTo-Contribution-ID",
        "Reply-To",
        "To",
        "Privacy",
        "P-Preferred-Service",
        "P-Preferred-Identity",
        "Accept-Contact",
        "Content-Type",
        "Require",
        "User-Agent",
    ];
    let mut all: Vec<String> = names.iter().map(|name| values(request.headers(), name).join(",")).collect();
    all.push(request.uri().as_str().to_owned());
    all.push(String::from_utf8(request.body().to_vec()).unwrap());
    all
}

/// Nothing goes out before the store has confirmed it; the user has his answer at once.
#[test]
fn a_message_is_kept_before_it_goes_out() {
    let mut rig = rig();
    rig.auto_state = None;
    let sent = rig.send(text("Hello"));
    rig.quiet();
    assert!(!rig.node.function().is_idle());
    // The numbers, then the message.
    assert_eq!(rig.reply_state(Ok(())).key, "client/numbers");
    rig.quiet();
    let record = rig.reply_state(Ok(()));
    assert_eq!(record.key, key(&sent));
    assert!(record.value.is_some());
    let request = rig.next_request(Method::Message);
    rig.answer(&request, "200 OK", "", "");
    // What became of it is kept before it is told.
    rig.quiet();
    assert_eq!(rig.reply_state(Ok(())).key, key(&sent));
    assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: None });
    // No notification was asked for: nothing more can be told.
    assert_eq!(rig.reply_state(Ok(())), StateRecord::remove(key(&sent)));
    assert_eq!(rig.node.function().sent_messages().count(), 0);
    rig.at_rest();
}

#[test]
fn what_is_not_kept_is_not_sent() {
    for silent in [false, true] {
        let mut rig = rig();
        rig.auto_state = None;
        let sent = rig.send(text("Hello").with_reports());
        rig.reply_state(Ok(()));
        if silent {
            rig.advance(secs(119));
            rig.quiet();
            rig.advance(secs(1));
        } else {
            rig.reply_state(Err(StoreError::Full));
        }
        if silent {
            // The store awakes: too late.
            rig.reply_state(Ok(()));
            rig.quiet();
            // It may have been kept all the same, and is not to go out in a later life.
            assert_eq!(rig.reply_state(Ok(())).key, key(&sent));
        }
        assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent.id, why: Failure::NotStored });
        rig.quiet();
        assert_eq!(rig.reply_state(Ok(())), StateRecord::remove(key(&sent)));
        rig.at_rest();
        let mut rig = restart(rig);
        rig.quiet();
        assert_eq!(rig.node.function().sent_messages().count(), 0);
    }
}

#[test]
fn a_message_that_is_not_out_yet_can_be_stopped() {
    let mut rig = rig();
    rig.auto_state = None;
    let sent = rig.send(text("Hello"));
    assert!(rig.command(|client, now, ports| client.cancel_message(now, ports, sent.id)));
    assert!(!rig.command(|client, now, ports| client.cancel_message(now, ports, sent.id)));
    rig.quiet();
    while !rig.state_queries.is_empty() {
        rig.reply_state(Ok(()));
    }
    assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent.id, why: Failure::Cancelled });
    rig.quiet();
    rig.at_rest();
    assert!(standing(&rig).is_empty());
}

/// A message that was kept but never answered for goes out again as it was; what was answered does not.
#[test]
fn the_next_life_sends_what_was_not_answered() {
    let mut group = text("to all").with_reports();
    group.to = Recipients::AdHoc(vec![uri(BOB), uri("sip:carol@198.51.100.1")]);
    group.in_reply_to = Some(ContributionId::parse(CONTRIBUTION).unwrap());
    let mut hidden = text("who am I").anonymous(Some("Zorro"));
    hidden.reply_to = Some(uri("sip:desk@example.com"));
    let change = |config: &mut crate::ClientConfig| {
        config.registrar = None;
        config.controlling_function = Some(uri("sip:list@198.51.100.1"));
    };
    let mut rig = Rig::with(change);
    let answered = rig.send(text("answered"));
    let request = rig.next_request(Method::Message);
    rig.answer(&request, "200 OK", "", "");
    rig.next_event();
    let sent = [rig.send(group), rig.send(hidden)];
    let before = [rig.next_request(Method::Message), rig.next_request(Method::Message)];
    assert_eq!(rig.state.iter().filter(|record| record.key == key(&answered)).count(), 3);

    let mut rig = rig.restart(change);
    rig.quiet();
    rig.advance(secs(0));
    let open: Vec<SentMessage> = rig.node.function().sent_messages().cloned().collect();
    assert_eq!(open, sent);
    // The longer one tries a stream first (RFC 3261 §18.1.1), and comes behind the other.
    for (sent, before) in sent.iter().zip(before).rev() {
        let again = rig.next_request(Method::Message);
        assert_eq!(same(&again), same(&before));
        assert_ne!(value(again.headers(), "Call-ID"), value(before.headers(), "Call-ID"));
        rig.answer(&again, "202 Accepted", "Message-UID: 5\r\n", "");
        let uid = Some("5".to_owned());
        assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: uid });
    }
    assert!(rig.sent.is_empty());
    // Numbers go on behind all that were given.
    assert!(rig.send(text("new")).id > sent[1].id);
    rig.sent.clear();
    let mut rig = restart(rig);
    rig.next_request(Method::Message);
    assert!(rig.sent.is_empty(), "the others were answered");
}

/// Without the controlling function of the earlier life, a group's message has nowhere to go.
#[test]
fn the_next_life_may_not_know_the_way() {
    let mut rig = Rig::with(|config| {
        config.registrar = None;
        config.controlling_function = Some(uri("sip:list@198.51.100.1"));
    });
    let to = Recipients::AdHoc(vec![uri(BOB)]);
    let sent = rig.send(NewMessage::text(to, "Hello"));
    let mut rig = restart(rig);
    let why = Failure::Refused("no controlling function is configured for ad-hoc groups".to_owned());
    assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent.id, why });
    rig.quiet();
    rig.at_rest();
    assert!(standing(&rig).is_empty());
}

#[test]
fn large_messages_too_as_many_as_there_is_room_for() {
    let change = |config: &mut crate::ClientConfig| {
        config.registrar = None;
        config.limits.max_sessions = 2;
    };
    let mut rig = Rig::with(change);
    let long = "x".repeat(MAX_PAGER);
    let sent = [rig.send(text(&long)), rig.send(text(&long))];
    let before = [rig.next_request(Method::Invite), rig.next_request(Method::Invite)];
    let narrow = |config: &mut crate::ClientConfig| {
        change(config);
        config.limits.max_sessions = 1;
    };
    let mut rig = rig.restart(narrow);
    rig.advance(secs(0));
    for (sent, before) in sent.iter().zip(before) {
        let again = rig.next_request(Method::Invite);
        for name in ["Conversation-ID", "Contribution-ID", "P-Preferred-Service"] {
            assert_eq!(value(again.headers(), name), value(before.headers(), name));
        }
        assert!(rig.sent.is_empty(), "one at a time");
        rig.answer(&again, "486 Busy Here", "", "");
        rig.next_request(Method::Ack);
        assert!(matches!(rig.next_event(), ClientEvent::SendFailed { id, .. } if id == sent.id));
    }
    rig.at_rest();
    assert!(standing(&rig).is_empty());
}

#[test]
fn with_a_registrar_what_waits_goes_out_once_registered() {
    let mut rig = Rig::new();
    rig.send(text("Hello"));
    let before = rig.next_request(Method::Message);
    let mut rig = rig.restart(|_| {});
    rig.advance(secs(60));
    rig.quiet();
    rig.command(|client, now, ports| client.register(now, ports)).unwrap();
    let register = rig.next_request(Method::Register);
    rig.quiet();
    let contact = value(register.headers(), "Contact");
    let extra = format!("Contact: {contact};expires=600\r\nService-Route: <sip:orig@198.51.100.1;lr>\r\n");
    rig.answer(&register, "200 OK", &extra, "");
    let again = rig.next_request(Method::Message);
    assert_eq!(same(&again), same(&before));
    assert_eq!(value(again.headers(), "Route"), "<sip:orig@198.51.100.1;lr>");
}

#[test]
fn a_lifetime_counts_from_the_command_on() {
    for (passed, left) in [(0, Some("60")), (1, Some("59")), (59, Some("1")), (60, None), (100_000, None)] {
        let mut rig = rig();
        let mut message = text("Hello").with_reports();
        message.expires = Some(60);
        let sent = rig.send(message);
        assert_eq!(value(rig.next_request(Method::Message).headers(), "Expires"), "60");
        rig.now = rig.now.plus(secs(passed));
        let mut rig = restart(rig);
        match left {
            Some(left) => {
                assert_eq!(value(rig.next_request(Method::Message).headers(), "Expires"), left);
            }
            None => {
                assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent.id, why: Failure::Expired });
                // It went out in its first life: somebody may still tell that he has it.
                assert_eq!(standing(&rig).len(), 1);
                rig.at_rest();
            }
        }
        rig.quiet();
    }
}

/// Receipts are recognised in the next life, those that were told are not told again, and the record goes with the last one.
#[test]
fn receipts_are_recognised_in_the_next_life() {
    let mut rig = rig();
    let sent = rig.send(text(&"long ".repeat(100)).with_reports());
    let request = rig.next_request(Method::Message);
    rig.answer(&request, "200 OK", "", "");
    rig.next_event();
    // Answered: the content goes, what recognises receipts stays.
    let [(name, octets)] = &standing(&rig)[..] else { panic!() };
    assert_eq!(*name, key(&sent));
    assert!(*octets < 300, "{octets}");

    let mut rig = restart(rig);
    rig.quiet();
    rig.deliver(report(1, &sent, DELIVERED));
    rig.next_response(200);
    let told = |disposition| ClientEvent::Disposition { id: sent.id, disposition, from: BOB.to_owned() };
    assert_eq!(rig.next_event(), told(Disposition::Delivered));

    let mut rig = restart(rig);
    rig.deliver(report(2, &sent, DELIVERED));
    rig.next_response(200);
    rig.quiet();
    rig.deliver(report(3, &sent, DISPLAYED));
    rig.next_response(200);
    assert_eq!(rig.next_event(), told(Disposition::Displayed));
    assert!(standing(&rig).is_empty());
    let mut rig = restart(rig);
    assert_eq!(rig.node.function().sent_messages().count(), 0);
    rig.deliver(report(4, &sent, DISPLAYED));
    rig.next_response(200);
    rig.quiet();
}

/// The network recorded a message, but its answer was lost: what comes back from the store is known by its keys, in this life
/// and in the next.
// req: 7.2.1.1-18
#[test]
fn what_comes_back_from_the_store_is_known() {
    let mut rig = rig();
    let sent = rig.send(text("Hello").with_reports());
    rig.advance(secs(33));
    let object = crate::MessageKeys::of_sent(&sent, Some("4392"));
    let mut other = object.clone();
    other.contribution = Some(ContributionId::parse(CONTRIBUTION).unwrap());
    for _ in 0..2 {
        assert_eq!(rig.node.function().find_sent(&object), Some(sent.id));
        assert_eq!(rig.node.function().find_sent(&other), None);
        rig = restart(rig);
    }
}

/// Of a message that a notification came for before the answer did, there is nothing to be sent again; its user hears that it
/// was sent, once.
#[test]
fn a_notification_says_that_it_arrived() {
    let mut rig = rig();
    let sent = rig.send(text("Hello").with_reports());
    rig.next_request(Method::Message);
    rig.deliver(report(1, &sent, DELIVERED));
    rig.next_response(200);
    rig.next_event();
    let mut rig = restart(rig);
    assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: None });
    rig.quiet();
    let mut rig = restart(rig);
    rig.quiet();
    rig.deliver(report(2, &sent, DISPLAYED));
    rig.next_response(200);
    assert!(matches!(rig.next_event(), ClientEvent::Disposition { disposition: Disposition::Displayed, .. }));
}

/// That it failed, or that somebody passed it on, does not say that it arrived: the next life asks again.
#[test]
fn what_is_told_to_have_failed_is_not_told_to_be_sent() {
    const FAILED: &str = "<delivery-notification><status><failed/></status></delivery-notification>";
    const PROCESSED: &str =
        "<processing-notification><status><processed/></status></processing-notification>";
    for what in [FAILED, PROCESSED] {
        let mut rig = rig();
        let mut message = text("Hello");
        (message.reports.negative_delivery, message.reports.processing) = (true, true);
        let sent = rig.send(message);
        let first = rig.next_request(Method::Message);
        rig.deliver(report(1, &sent, what));
        rig.next_response(200);
        if what == FAILED {
            let event = rig.next_event();
            let failed = Disposition::DeliveryFailed;
            assert!(matches!(event, ClientEvent::Disposition { disposition, .. } if disposition == failed));
        }
        let mut rig = restart(rig);
        let again = rig.next_request(Method::Message);
        assert_eq!(same(&again), same(&first));
        rig.answer(&again, "480 Temporarily Unavailable", "", "");
        assert!(matches!(rig.next_event(), ClientEvent::SendFailed { id, .. } if id == sent.id));
    }
}

/// What was refused did not arrive; of what had no answer, one does not know.
#[test]
fn receipts_for_what_failed() {
    for (answer, kept) in [(Some("403 Forbidden"), 0), (None, 1)] {
        let mut rig = rig();
        rig.send(text("Hello").with_reports());
        let request = rig.next_request(Method::Message);
        match answer {
            Some(answer) => rig.answer(&request, answer, "", ""),
            None => rig.advance(secs(33)),
        }
        rig.sent.clear();
        assert!(matches!(rig.next_event(), ClientEvent::SendFailed { .. }));
        assert_eq!(standing(&rig).len(), kept);
        assert_eq!(rig.node.function().sent_messages().count(), kept);
        rig.at_rest();
        let rig = restart(rig);
        assert!(rig.sent.is_empty());
    }
}

#[test]
fn a_record_that_cannot_be_read_harms_no_other() {
    let mut rig = rig();
    let sent = rig.send(text("Hello"));
    rig.next_request(Method::Message);
    let mut records: Vec<StateRecord> = rig.state.clone();
    let good = records.iter().find(|record| record.key == key(&sent)).unwrap().value.clone().unwrap();
    for at in 0..good.len() {
        records.push(StateRecord::put(format!("client/sent/{at}"), good.slice(..at)));
    }
    records.push(StateRecord::put("client/numbers", "what"));
    records.push(StateRecord::put("client/unheard-of", good.clone()));
    records.push(StateRecord::put("client/sent/", ""));
    rig.keep_also(records);
    let mut rig = restart(rig);
    rig.next_request(Method::Message);
    rig.quiet();
    let bad = good.len() as u64 + 3;
    assert_eq!(rig.node.function().metrics().get("client.record_not_restored"), bad);
}

/// As many as the limits allow are kept, the oldest go, and their records with them.
#[test]
fn records_are_as_many_as_the_limits_allow() {
    let mut rig = Rig::with(|config| {
        config.registrar = None;
        config.limits.max_sent = 3;
    });
    for n in 0..10 {
        rig.send(text(&n.to_string()).with_reports());
        let request = rig.next_request(Method::Message);
        rig.answer(&request, "200 OK", "", "");
    }
    assert_eq!(standing(&rig).len(), 3);
    let last: Vec<u64> = rig.node.function().sent_messages().map(|sent| sent.id.0).collect();
    assert_eq!(last, [8, 9, 10]);
    let rig = restart(rig);
    let after: Vec<u64> = rig.node.function().sent_messages().map(|sent| sent.id.0).collect();
    assert_eq!(after, last);
}

/// What happens to a message, step by step, in the first life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The store confirms the oldest write.
    Kept,
    /// The network answers the MESSAGE with 200.
    Answered,
    /// A notification arrives.
    Report(&'static str),
}

/// Killed behind any step: what the store confirmed goes out, once it was answered no more, always as the same message;
/// what the user was told of it, in events or in the history, is complete; in the end nothing is left.
#[test]
fn killed_at_any_step() {
    use Step::{Answered, Kept, Report};
    let orders = [
        vec![Kept, Kept, Answered, Kept, Report(DELIVERED), Kept, Report(DISPLAYED), Kept, Kept],
        // The store is slow, the network quick.
        vec![Kept, Kept, Answered, Report(DELIVERED), Report(DISPLAYED), Kept, Kept, Kept],
        // Notifications overtake the answer.
        vec![Kept, Kept, Report(DELIVERED), Kept, Report(DISPLAYED), Answered, Kept, Kept],
    ];
    for order in orders {
        for killed in 0..=order.len() {
            live_and_die(&order, killed);
        }
    }
}

fn live_and_die(order: &[Step], killed: usize) {
    let context = format!("killed behind {killed} of {order:?}");
    let mut rig = rig();
    rig.auto_state = None;
    let sent = rig.send(text("Hello").with_reports());
    let (mut message_kept, mut settled, mut answered, mut told) = (false, false, false, Vec::new());
    let mut wire = Vec::new();
    for step in &order[..killed] {
        match step {
            Step::Kept if rig.state_queries.is_empty() => {}
            Step::Kept => {
                let about_it = rig.reply_state(Ok(())).key == key(&sent);
                settled |= about_it && message_kept;
                message_kept |= about_it;
            }
            Step::Answered => {
                answered = true;
                let request: Request = wire.pop().unwrap();
                rig.answer(&request, "200 OK", "", "");
            }
            Step::Report(what) => {
                rig.deliver(report(what.len() as u32, &sent, what));
                rig.next_response(200);
                told.push(*what);
            }
        }
        if !rig.sent.is_empty() {
            wire.push(rig.next_request(Method::Message));
            assert!(message_kept, "{context}");
        }
    }
    let mut events: Vec<ClientEvent> = rig.events.drain(..).collect();

    let mut rig = restart(rig);
    let again = !rig.sent.is_empty();
    // Whoever was told that it was sent may be told so again; who was not told, and whose message was kept, is not forgotten.
    assert!(!again || (message_kept && !settled), "{context}");
    assert!(again || !message_kept || answered || !told.is_empty(), "{context}");
    if again {
        let request = rig.next_request(Method::Message);
        assert_eq!(parse_cpim(request.body()).imdn_message_id().unwrap().as_deref(), Some(&*sent.message_id));
        assert_eq!(value(request.headers(), "Conversation-ID"), sent.conversation.as_str());
        assert_eq!(value(request.headers(), "Contribution-ID"), sent.contribution.as_str());
        rig.answer(&request, "200 OK", "", "");
    }
    // What the network had delivered it delivers again where it heard nothing, or twice.
    for (n, what) in [DELIVERED, DISPLAYED, DELIVERED].into_iter().enumerate() {
        rig.deliver(report(100 + n as u32, &sent, what));
        rig.next_response(200);
    }
    rig.quiet_but_events();
    events.extend(rig.events.drain(..));
    if message_kept {
        let history = crate::Client::history(&rig.records(), rig.node.function().config());
        for disposition in [Disposition::Delivered, Disposition::Displayed] {
            let count = |events: &[ClientEvent]| {
                let is = |event: &&ClientEvent| matches!(event, ClientEvent::Disposition { disposition: d, .. } if *d == disposition);
                events.iter().filter(is).count()
            };
            assert!(count(&events) <= 1, "{context}: {events:?}");
            let kept = history.iter().any(
                |entry| matches!(entry, crate::HistoryEntry::Report { disposition: d, .. } if *d == disposition),
            );
            assert!(kept || count(&events) == 1, "{context}: {disposition:?}");
        }
    } else {
        assert_eq!(events, [], "{context}");
    }
    assert!(standing(&rig).is_empty(), "{context}: {:?}", standing(&rig));
    let rig = restart(rig);
    assert!(rig.sent.is_empty(), "{context}");
}

proptest::proptest! {
    /// Whatever a record holds, a client begins.
    #[test]
    fn no_record_stops_a_client(
        octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        at in 0usize..400,
        octet in proptest::prelude::any::<u8>(),
    ) {
        let mut rig = rig();
        rig.send(text("Hello").with_reports());
        rig.next_request(Method::Message);
        let good = rig.state.iter().rev().find(|record| record.key.starts_with("client/sent/")).unwrap().value.clone().unwrap();
        let values = good[14..good.len() - 4].to_vec();
        let mut changed = values.clone();
        if let Some(place) = changed.get_mut(at % values.len()) {
            *place = octet;
        }
        // With checksums that are right, so that the values themselves are read.
        let sealed = |octets: &[u8], kind: [u8; 4]| {
            let mut record = cpm_base::record::RecordWriter::new(kind, 1);
            octets.iter().for_each(|octet| { record.u8(*octet); });
            record.finish()
        };
        rig.keep_also(vec![
            StateRecord::put("client/sent/random", sealed(&octets, *b"CLSN")),
            StateRecord::put("client/sent/changed", sealed(&changed, *b"CLSN")),
            StateRecord::put("client/numbers", sealed(&octets, *b"CLNU")),
        ]);
        let mut rig = restart(rig);
        rig.advance(secs(100));
        rig.sent.clear();
        rig.events.clear();
        rig.send(text("and on"));
    }
}

/// What a life has told of a message no later life contradicts: the answer is kept before it is told, and a life that ends
/// between the two tells it again instead of sending again.
#[test]
fn an_answer_outlives_the_life_that_heard_it() {
    for (status, failed) in [("202 Accepted", false), ("403 Forbidden", true)] {
        let mut rig = rig();
        let sent = rig.send(text("Hello"));
        let request = rig.next_request(Method::Message);
        rig.auto_state = None;
        let warning = if failed { "Warning: 399 home.test \"119 Anonymity not allowed\"\r\n" } else { "" };
        rig.answer(&request, status, warning, "");
        rig.quiet();
        let (_, record) = rig.state_queries.front().cloned().unwrap();
        let before = rig.records();

        // Not kept: nobody was told anything, and it goes out again.
        let mut again = Rig::bare(|config| config.registrar = None).restart_with(before.clone(), |config| {
            config.registrar = None;
        });
        again.advance(secs(0));
        again.next_request(Method::Message);
        again.quiet();

        // Kept: it is told, by this life or by the next one, and does not go out.
        let kept = before
            .into_iter()
            .filter(|it| !matches!(it, cpm_core::Record::State(it) if it.key == record.key));
        let kept = kept.chain([cpm_core::Record::State(record.clone())]).collect();
        let mut next = Rig::bare(|config| config.registrar = None).restart_with(kept, |config| {
            config.registrar = None;
        });
        next.advance(secs(0));
        match next.next_event() {
            ClientEvent::Sent { id, .. } => assert!(id == sent.id && !failed),
            ClientEvent::SendFailed { id, why: Failure::Rejected { status, warnings, .. } } => {
                assert!(id == sent.id && failed);
                assert_eq!((status.as_u16(), &*warnings[0]), (403, "119 Anonymity not allowed"));
            }
            other => panic!("{other:?}"),
        }
        next.quiet();
        next.at_rest();
        assert!(standing(&next).is_empty());
    }
}

/// A store that fails is asked again, later and later; what became of a message is told when it is kept, or in the end.
#[test]
fn what_the_store_did_not_keep_is_written_again() {
    for recovers in [true, false] {
        let mut rig = rig();
        let sent = rig.send(text("Hello"));
        let request = rig.next_request(Method::Message);
        rig.auto_state = None;
        rig.answer(&request, "480 Temporarily Unavailable", "", "");
        let mut waited = 0;
        for pause in [1, 2, 4, 8, 16, 32, 64, 64, 64, 64] {
            assert_eq!(rig.reply_state(Err(StoreError::Full)).key, key(&sent));
            rig.quiet();
            assert!(rig.state_queries.is_empty() && !rig.node.function().is_idle());
            rig.advance(secs(pause));
            waited += pause;
            if recovers && waited > 60 {
                break;
            }
        }
        rig.reply_state(if recovers { Ok(()) } else { Err(StoreError::Full) });
        assert!(matches!(rig.next_event(), ClientEvent::SendFailed { id, .. } if id == sent.id));
        rig.auto_state = Some(Ok(()));
        while !rig.state_queries.is_empty() {
            rig.reply_state(Ok(()));
        }
        rig.at_rest();
    }
}

/// A hop that gave up, or that met another copy (482), does not know whether the message arrived: who has it may tell so.
#[test]
fn a_message_that_failed_may_have_arrived() {
    for (status, counts) in [
        ("408 Request Timeout", true),
        ("480 Temporarily Unavailable", true),
        ("482 Loop Detected", true),
        ("500 Server Internal Error", true),
        ("403 Forbidden", false),
    ] {
        let mut rig = rig();
        let sent = rig.send(text("Hello").with_reports());
        let request = rig.next_request(Method::Message);
        rig.answer(&request, status, "", "");
        assert!(matches!(rig.next_event(), ClientEvent::SendFailed { id, .. } if id == sent.id));
        rig.deliver(report(1, &sent, DELIVERED));
        rig.next_response(200);
        if counts {
            let disposition = Disposition::Delivered;
            let told = ClientEvent::Disposition { id: sent.id, disposition, from: BOB.to_owned() };
            assert_eq!(rig.next_event(), told);
        }
        rig.quiet();
    }
}

/// Of a message that may have gone out in an earlier life, no answer to its copy proves that it did not arrive.
#[test]
fn a_copy_that_is_refused_says_nothing_of_the_first() {
    let mut rig = rig();
    let sent = rig.send(text("Hello").with_reports());
    rig.next_request(Method::Message);
    let mut rig = restart(rig);
    let again = rig.next_request(Method::Message);
    rig.answer(&again, "403 Forbidden", "", "");
    assert!(matches!(rig.next_event(), ClientEvent::SendFailed { id, .. } if id == sent.id));
    rig.deliver(report(1, &sent, DELIVERED));
    rig.next_response(200);
    assert!(matches!(rig.next_event(), ClientEvent::Disposition { id, .. } if id == sent.id));
    rig.quiet();
}

/// Who said that he has a message has it, whatever a hop answers later.
#[test]
fn a_message_that_arrived_does_not_fail() {
    let mut rig = rig();
    let sent = rig.send(text("Hello").with_reports());
    let request = rig.next_request(Method::Message);
    rig.deliver(report(1, &sent, DELIVERED));
    rig.next_response(200);
    assert!(matches!(rig.next_event(), ClientEvent::Disposition { id, .. } if id == sent.id));
    rig.answer(&request, "482 Loop Detected", "", "");
    assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: None });
    rig.quiet();
}
