//! TS 7.2.2.1 and 7.2.2.3: pager mode messages on their way in.

use super::harness::*;
use crate::ClientEvent;
use cpm_base::{DateTime, Trust};
use cpm_core::StoreError;
use cpm_sip::{Message, Method};

/// Takes a message with default settings; the 200 is still to be looked at.
fn taken(incoming: &Incoming) -> Rig {
    let mut rig = Rig::new();
    rig.deliver(incoming.bytes());
    rig
}

// req: 7-b9, 7.2.2.1-1, 7.2.2.1-2, 7.2.2.1-4, 7.2.2.1-5, 7.2.2.1-6, 7.2.2.1-7, 7.2.2.3-1, 5.3-p4.2, D-p2
#[test]
fn a_message_is_kept_acknowledged_and_shown() {
    let body = cpim("m1", "", "Hi Alice")
        .replace("Content-Type:", "Content-Disposition: attachment;filename=x\r\nContent-Type:");
    let incoming = Incoming::message(1, body.clone())
        .with("InReplyTo-Contribution-ID", "01234567-7dec-11d0-a765-00a0c91e6bf9")
        .with("Message-UID", "4712");
    let mut rig = taken(&incoming);
    let (_, record) = rig.stores.pop_front().unwrap();
    assert_eq!(record.cpim, body.as_bytes());
    assert_eq!((record.sender.as_str(), record.message_id.as_deref()), ("sip:bob@example.org", Some("m1")));
    assert_eq!(record.conversation.unwrap().as_str(), CONVERSATION);
    assert_eq!(record.contribution.unwrap().as_str(), CONTRIBUTION);

    let ok = rig.next_response(200);
    assert_eq!(value(ok.headers(), "Server"), "CPM-client/OMA2.1 acme/1.0");
    assert_eq!(value(ok.headers(), "Conversation-ID"), CONVERSATION);
    assert_eq!(value(ok.headers(), "Contribution-ID"), CONTRIBUTION);
    assert_eq!(value(ok.headers(), "InReplyTo-Contribution-ID"), "01234567-7dec-11d0-a765-00a0c91e6bf9");
    assert!(values(ok.headers(), "Contact").is_empty() && ok.body().is_empty());

    let message = rig.next_received();
    assert_eq!(message.from, Some(uri("sip:bob@example.org")));
    assert_eq!(message.from_name.as_deref(), Some("Bob"));
    assert_eq!(message.reply_to, message.from);
    assert_eq!(message.conversation.unwrap().as_str(), CONVERSATION);
    assert_eq!(message.contribution.unwrap().as_str(), CONTRIBUTION);
    assert_eq!(message.in_reply_to.unwrap().as_str(), "01234567-7dec-11d0-a765-00a0c91e6bf9");
    assert_eq!(message.message_id.as_deref(), Some("m1"));
    assert_eq!(message.date, Some(DateTime::parse("2026-11-21T09:59:58Z").unwrap()));
    assert_eq!(message.subject.as_deref(), Some("Lunch"));
    assert_eq!(message.content_type, "text/plain;charset=UTF-8");
    assert_eq!(message.content_disposition.as_deref(), Some("attachment;filename=x"));
    assert_eq!(message.content, "Hi Alice");
    assert_eq!(message.message_uid.as_deref(), Some("4712"));
    assert!(!message.display_requested && !message.large);
    rig.quiet();
    rig.at_rest();
}

/// Nothing is acknowledged, reported or shown before the store has it; then in this order.
// req: 7.2.2.1-6, 7.2.2.3-3, 5.4.1-p1, 5.4.1-1, 5.4.1-2, 5.4-gen-1.b.i
#[test]
fn store_then_200_then_report_then_event() {
    let mut rig = Rig::new();
    rig.auto_store = None;
    rig.deliver(Incoming::message(1, cpim("m1", "positive-delivery", "Hi")).bytes());
    rig.advance(secs(1));
    rig.quiet();
    rig.reply_store(Ok(()));
    rig.next_response(200);
    let report = rig.next_request(Method::Message);
    assert!(String::from_utf8_lossy(report.body()).contains("<delivered"));
    assert_eq!(rig.next_received().content, "Hi");
    rig.quiet();
}

// req: 7.2.2.1-pre-1
#[test]
fn what_the_store_does_not_take_is_refused_and_not_shown() {
    for why in [StoreError::Full, StoreError::Failed] {
        let mut rig = Rig::new();
        rig.auto_store = Some(Err(why));
        let incoming = Incoming::message(1, cpim("m1", "positive-delivery, display", "Hi"));
        rig.deliver(incoming.bytes());
        rig.next_response(480);
        rig.quiet();
        // Another copy, later, is shown: nothing of it was seen.
        rig.auto_store = Some(Ok(()));
        rig.deliver(Incoming::message(2, incoming.body.clone()).bytes());
        rig.next_response(200);
        rig.next_request(Method::Message);
        assert_eq!(rig.next_received().content, "Hi");
        rig.sent.clear();
        rig.at_rest();
    }
}

#[test]
fn a_retransmission_is_the_transaction_s_matter() {
    let incoming = Incoming::message(1, cpim("m1", "", "Hi"));
    let mut rig = taken(&incoming);
    rig.deliver(incoming.bytes());
    let first = rig.next_response(200);
    assert_eq!(rig.next_response(200), first);
    rig.next_received();
    rig.quiet();
    assert_eq!(rig.stores.len(), 1);
}

#[test]
fn a_copy_of_what_was_shown_is_acknowledged_only() {
    let body = cpim("m1", "positive-delivery", "Hi");
    let mut rig = taken(&Incoming::message(1, body.clone()));
    rig.next_response(200);
    rig.next_request(Method::Message);
    rig.next_received();
    rig.deliver(Incoming::message(2, body.clone()).bytes());
    rig.next_response(200);
    rig.quiet();
    assert_eq!(rig.stores.len(), 1);
    // What differs in one of the three is another message.
    let other_conversation = Incoming::message(3, body.clone()).with("Conversation-ID", CONTRIBUTION);
    let other_sender =
        Incoming::message(4, body.clone()).with("P-Asserted-Identity", "<sip:carol@example.org>");
    let other_id = Incoming::message(5, cpim("m2", "", "Hi"));
    for incoming in [other_conversation, other_sender, other_id] {
        rig.deliver(incoming.bytes());
        rig.next_response(200);
        rig.next_received();
        rig.sent.clear();
    }
    // Spelled otherwise it is the same.
    rig.deliver(Incoming::message(6, body).with("Conversation-ID", &CONVERSATION.to_uppercase()).bytes());
    rig.next_response(200);
    rig.quiet();
}

/// Threat G4: copies that meet in the store are one there, whatever it says.
#[test]
fn a_copy_that_comes_while_the_first_waits_for_the_store() {
    for (kept, status, shown) in [(Ok(()), 200, 1), (Err(StoreError::Failed), 480, 0)] {
        let mut rig = Rig::new();
        rig.auto_store = None;
        let body = cpim("m1", "positive-delivery", "Hi");
        rig.deliver(Incoming::message(1, body.clone()).bytes());
        rig.deliver(Incoming::message(2, body.clone()).bytes());
        rig.quiet();
        assert_eq!(rig.stores.len(), 1);
        rig.reply_store(kept);
        let (mut statuses, mut reports) = (vec![], 0);
        for message in rig.sent.drain(..) {
            match message {
                Message::Response(response) => statuses.push(response.status().as_u16()),
                Message::Request(_) => reports += 1,
            }
        }
        assert_eq!(statuses, [status, status]);
        assert_eq!((rig.events.len(), reports), (shown, shown));
        rig.events.clear();
        // One that comes later is the same, or the first that is kept.
        rig.deliver(Incoming::message(3, body).bytes());
        assert_eq!(rig.stores.len(), 1 - shown);
        rig.advance(secs(600));
    }
}

#[test]
fn without_an_id_every_copy_is_a_message() {
    let body = cpim("m1", "", "Hi").replace("imdn.Message-ID: m1\r\n", "");
    let mut rig = taken(&Incoming::message(1, body.clone()));
    rig.deliver(Incoming::message(2, body).bytes());
    assert_eq!((rig.sent.len(), rig.events.len()), (2, 2));
}

#[test]
fn as_many_are_recognised_as_are_remembered() {
    let mut rig = Rig::with(|config| config.limits.max_received = 2);
    for (n, id, shown) in
        [(1, "a", true), (2, "b", true), (3, "a", false), (4, "c", true), (5, "a", true), (6, "c", false)]
    {
        rig.deliver(Incoming::message(n, cpim(id, "", "Hi")).bytes());
        rig.next_response(200);
        assert_eq!(rig.events.pop_front().is_some(), shown, "{n} {id}");
    }
}

// req: 7.2.2.1-pre-1
#[test]
fn only_so_many_wait_for_the_store() {
    let mut rig = Rig::with(|config| config.limits.max_storing = 2);
    rig.auto_store = None;
    for n in 1..=3 {
        rig.deliver(Incoming::message(n, cpim(&format!("m{n}"), "", "Hi")).bytes());
    }
    rig.next_response(480);
    assert_eq!(rig.stores.len(), 2);
    rig.reply_store(Ok(()));
    rig.next_response(200);
    rig.next_received();
    rig.deliver(Incoming::message(4, cpim("m3", "", "Hi")).bytes());
    assert_eq!(rig.stores.len(), 2);
    // Copies of one that waits count as well.
    let mut rig = Rig::with(|config| config.limits.max_storing = 2);
    rig.auto_store = None;
    for (n, id) in [(1, "m1"), (2, "m1"), (3, "m1"), (4, "m2")] {
        rig.deliver(Incoming::message(n, cpim(id, "", "Hi")).bytes());
        if n > 2 {
            rig.next_response(480);
        }
        rig.quiet();
    }
}

/// A store that never replies: the client forgets, and goes on.
#[test]
fn a_silent_store_blocks_nothing() {
    let mut rig = Rig::with(|config| config.limits.max_storing = 1);
    rig.auto_store = None;
    rig.deliver(Incoming::message(1, cpim("m1", "", "Hi")).bytes());
    rig.at_rest();
    // RFC 4320 §4.1: a 100 is all that the sender hears.
    rig.next_response(100);
    rig.quiet();
    // A reply that comes too late changes nothing; a copy is taken as new.
    rig.reply_store(Ok(()));
    rig.quiet();
    rig.auto_store = Some(Ok(()));
    rig.deliver(Incoming::message(2, cpim("m1", "", "Hi")).bytes());
    rig.next_response(200);
    rig.next_received();
}

/// The request is over when the store answers: the message is shown all the same, and a copy of it is not.
#[test]
fn a_slow_store_shows_late() {
    let mut rig = Rig::new();
    rig.auto_store = None;
    rig.deliver(Incoming::message(1, cpim("m1", "", "Hi")).bytes());
    rig.advance(secs(60));
    rig.next_response(100);
    rig.reply_store(Ok(()));
    assert_eq!(rig.next_received().content, "Hi");
    rig.quiet();
    rig.deliver(Incoming::message(2, cpim("m1", "", "Hi")).bytes());
    rig.next_response(200);
    rig.quiet();
    rig.at_rest();
}

// req: 6.1-p2
#[test]
fn who_sent_it() {
    let cases: [(&str, Option<&str>); 4] = [
        ("P-Asserted-Identity", Some("<tel:+1555>")),
        ("P-Asserted-Identity", None),
        ("From", Some("<sip:anonymous@anonymous.invalid>;tag=1")),
        ("From", Some("<sip:mallory@evil.example>;tag=1")),
    ];
    let expected = [
        Some("tel:+1555"),
        Some("sip:bob@example.org"),
        Some("sip:bob@example.org"),
        Some("sip:bob@example.org"),
    ];
    for ((name, replaced), expected) in cases.into_iter().zip(expected) {
        let incoming = Incoming::message(1, cpim("m1", "", "Hi"));
        let incoming = match replaced {
            Some(value) => incoming.with(name, value),
            None => incoming.without(name),
        };
        let mut rig = taken(&incoming);
        assert_eq!(rig.next_received().from, expected.map(uri));
    }
    // Two identities: the first, which is the SIP one by rule.
    let two = Incoming::message(1, cpim("m1", "", "Hi"))
        .with("P-Asserted-Identity", "<sip:bob@example.org>, <tel:+1555>");
    assert_eq!(taken(&two).next_received().from, Some(uri("sip:bob@example.org")));
    let nobody = Incoming::message(1, cpim("m1", "positive-delivery, display", "Hi"))
        .with("From", "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1")
        .without("P-Asserted-Identity");
    let mut rig = taken(&nobody);
    rig.next_response(200);
    let message = rig.next_received();
    assert_eq!((message.from, message.reply_to, message.display_requested), (None, None, false));
    rig.quiet();
}

/// What somebody outside of the core asserts of himself counts for nothing.
#[test]
fn identities_are_believed_from_the_core_alone() {
    let mut rig = Rig::bare(|_| {});
    rig.flow(SIP, cpm_base::Protocol::Sip, cpm_base::Transport::Udp, CORE, Trust::Outside);
    let forged = Incoming::message(1, cpim("m1", "", "Hi"))
        .with("From", "<sip:mallory@evil.example>;tag=1")
        .with("P-Asserted-Identity", "<sip:boss@example.com>");
    rig.deliver(forged.bytes());
    rig.next_response(200);
    assert_eq!(rig.next_received().from, Some(uri("sip:mallory@evil.example")));
}

// req: 6.1.2-p2
#[test]
fn for_another_device() {
    let other = "*;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\";explicit;require";
    let own = format!("*;+sip.instance=\"<{}>\";explicit;require", INSTANCE.to_uppercase());
    let feature = format!("*;+g.3gpp.icsi-ref=\"{MSG}\"");
    for (wish, status) in [(format!("{feature}, {other}"), 486), (format!("{feature}, {own}"), 200)] {
        let mut rig = taken(&Incoming::message(1, cpim("m1", "", "Hi")).with("Accept-Contact", &wish));
        rig.next_response(status);
        assert_eq!(rig.events.len(), usize::from(status == 200));
    }
}

// req: 7-b9
#[test]
fn features() {
    let accept = |feature: &str| {
        Incoming::message(1, cpim("m1", "", "Hi"))
            .with("Accept-Contact", &format!("*;+g.3gpp.icsi-ref=\"{feature}\";require;explicit"))
    };
    let of = |name: &str| MSG.replace("cpm.msg", name);
    for (name, status) in [
        ("cpm.msg", 200),
        ("cpm.deferred", 200),
        ("cpm.largemsg", 200),
        ("cpm.session", 200),
        ("cpm.filetransfer", 200),
        ("CPM.MSG", 200),
        ("cpm.systemmsg", 488),
    ] {
        taken(&accept(&of(name))).next_response(status);
    }
    let untagged = Incoming::message(1, cpim("m1", "", "Hi")).without("Accept-Contact");
    taken(&untagged).next_response(200);
    let mut strict = Rig::with(|config| config.settings.accept_untagged = false);
    strict.deliver(untagged.bytes());
    strict.next_response(488);
    strict.quiet();
}

#[test]
fn a_name_in_quotes_and_an_encoded_body() {
    let body = cpim("m1", "", "SGkgQWxpY2U=")
        .replace("Content-Type:", "Content-Transfer-Encoding: base64\r\nContent-Type:");
    let mut rig = taken(&Incoming::message(1, body));
    rig.next_response(200);
    assert_eq!(rig.next_received().content, "Hi Alice");
}

#[test]
fn a_message_without_any_cpm_identifier_is_a_message() {
    let mut rig = taken(
        &Incoming::message(1, cpim("m1", "", "Hi"))
            .without("Conversation-ID")
            .without("Contribution-ID")
            .without("P-Asserted-Service"),
    );
    let ok = rig.next_response(200);
    assert!(values(ok.headers(), "Conversation-ID").is_empty());
    let ClientEvent::Received(message) = rig.next_event() else { panic!() };
    assert_eq!((message.conversation, message.contribution), (None, None));
}
