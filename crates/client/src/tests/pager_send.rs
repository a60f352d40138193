//! TS 7.2.1.1 and 7.2.1.3: pager mode messages on their way out.

use super::harness::*;
use crate::{
    ClientEvent, Failure, MAX_PAGER, NewMessage, ReceivedId, ReceivedMessage, SendRefusal, SentMessage,
};
use bytes::Bytes;
use cpm_core::{ContributionId, ConversationId};
use cpm_sip::{Method, Request};

const BOB: &str = "sip:bob@198.51.100.1";

fn text(text: &str) -> NewMessage {
    NewMessage::text(uri(BOB), text)
}

fn sent(message: NewMessage) -> (Rig, Request) {
    let mut rig = Rig::new();
    rig.send(message);
    let request = rig.next_request(Method::Message);
    (rig, request)
}

// req: 7.2.1.1-p1, 7.2.1.1-1, 7.2.1.1-3, 7.2.1.1-3.a, 7.2.1.1-5, 7.2.1.1-8, 7.2.1.1-8.a, 7.2.1.1-11, 7.2.1.1-12
// req: 7.2.1.1-14, 7.2.1.1-15, 7.2.1.1-16, 7-b1, 7-p5, C.1.1-p2.1, C.1.2-p2.1, H.2-p3, H.2-p4, 5.3-p4.1, D-p2
#[test]
fn the_request() {
    let mut rig = Rig::new();
    let sent = rig.send(text("Hello"));
    assert!(!sent.large);
    let request = rig.next_request(Method::Message);
    let headers = request.headers();
    assert_eq!(request.uri().as_str(), BOB);
    assert_eq!(value(headers, "To"), format!("<{BOB}>"));
    assert!(value(headers, "From").starts_with("<sip:alice@example.com>;tag="));
    assert_eq!(value(headers, "Accept-Contact"), format!("*;+g.3gpp.icsi-ref=\"{MSG}\""));
    assert_eq!(value(headers, "P-Preferred-Service"), "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg");
    assert_eq!(value(headers, "P-Preferred-Identity"), "<sip:alice@example.com>");
    assert_eq!(value(headers, "User-Agent"), "CPM-client/OMA2.1 acme/1.0");
    assert_eq!(value(headers, "Max-Forwards"), "70");
    assert_eq!(value(headers, "Content-Type"), "message/cpim");
    assert_eq!(value(headers, "Conversation-ID"), sent.conversation.as_str());
    assert_eq!(value(headers, "Contribution-ID"), sent.contribution.as_str());
    // RFC 4122: 36 characters in lower case; both new, and not the same.
    for id in [sent.conversation.as_str(), sent.contribution.as_str()] {
        assert!(id.len() == 36 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-')), "{id}");
    }
    assert_ne!(sent.conversation.as_str(), sent.contribution.as_str());
    for absent in
        ["Contact", "Privacy", "Expires", "Reply-To", "InReplyTo-Contribution-ID", "Route", "Message-Expires"]
    {
        assert!(values(headers, absent).is_empty(), "{absent}");
    }
}

// req: 7.2.1.3-p1, 7.2.1.3-1, 7.2.1.3-2, 7.2.1.3-2.a, 7.2.1.3-3, 5.4-p1
#[test]
fn the_cpim_message_octet_for_octet() {
    let mut rig = Rig::new();
    let mut message = text("Hello \u{e9}").with_reports();
    message.subject = Some("Sub:ject".to_owned());
    let sent = rig.send(message);
    let request = rig.next_request(Method::Message);
    let expected = format!(
        "From: <sip:alice@example.com>\r\nTo: <sip:bob@198.51.100.1>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
         imdn.Message-ID: {}\r\nDateTime: 2026-11-21T10:00:00Z\r\n\
         imdn.Disposition-Notification: positive-delivery, display\r\nSubject: Sub:ject\r\n\r\n\
         Content-Type: text/plain;charset=UTF-8\r\n\r\nHello \u{e9}",
        sent.message_id
    );
    assert_eq!(String::from_utf8(request.body().to_vec()).unwrap(), expected);
    assert_eq!(value(request.headers(), "Content-Length"), expected.len().to_string());
}

#[test]
fn what_is_not_wished_for_is_not_asked() {
    let (_, request) = sent(text("Hello"));
    let cpim = parse_cpim(request.body());
    assert!(cpim.disposition_notification().unwrap().is_empty());
    assert!(!String::from_utf8_lossy(request.body()).contains("Disposition"));
    assert!(cpim.imdn_message_id().unwrap().is_some());
}

// req: 7.2.1.1-4, 7.2.1.1-7
#[test]
fn reply_address_and_lifetime() {
    let mut message = text("x");
    message.reply_to = Some(uri("sip:office@example.com"));
    message.expires = Some(86_400);
    let (_, request) = sent(message);
    assert_eq!(value(request.headers(), "Reply-To"), "<sip:office@example.com>");
    assert_eq!(value(request.headers(), "Expires"), "86400");
    assert!(values(request.headers(), "Message-Expires").is_empty());
}

// req: 7.2.1.1-6, 6.1-p3
#[test]
fn anonymity() {
    let mut message = text("x").with_reports();
    message.anonymous = true;
    let (rig, request) = sent(message);
    let headers = request.headers();
    assert_eq!(value(headers, "Privacy"), "id");
    assert!(value(headers, "From").starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="));
    assert!(values(headers, "Contact").is_empty());
    assert_eq!(parse_cpim(request.body()).from().unwrap().unwrap().uri, "sip:anonymous@anonymous.invalid");
    // The name stands where the core takes it away, and nowhere else.
    let octets = String::from_utf8_lossy(&rig.log[0]).into_owned();
    assert_eq!(octets.matches("alice").count(), 1, "{octets}");
    assert_eq!(value(headers, "P-Preferred-Identity"), "<sip:alice@example.com>");
}

fn received() -> ReceivedMessage {
    let arrived = cpm_base::DateTime::UNIX_EPOCH;
    ReceivedMessage {
        from: Some(uri("sip:bob@198.51.100.1")),
        reply_to: Some(uri("sip:bob@198.51.100.1")),
        conversation: Some(ConversationId::parse(CONVERSATION).unwrap()),
        contribution: Some(ContributionId::parse(CONTRIBUTION).unwrap()),
        ..ReceivedMessage::new(ReceivedId(1), arrived, "text/plain", Bytes::new())
    }
}

// req: 7.2.1.1-8.b, 7.2.1.1-8.c, 7.2.1.1-11, 7.2.1.1-12, 7.2.1.1-13, C.1.3-p2, 5.3-b1
#[test]
fn a_reply_stays_in_its_conversation() {
    let original = received();
    let (_, request) = sent(NewMessage::reply(&original, "yes").unwrap());
    assert_eq!(request.uri().as_str(), BOB);
    assert_eq!(value(request.headers(), "Conversation-ID"), CONVERSATION);
    assert_eq!(value(request.headers(), "InReplyTo-Contribution-ID"), CONTRIBUTION);
    assert_ne!(value(request.headers(), "Contribution-ID"), CONTRIBUTION);

    // As they arrive: Reply-To first, else who was authenticated.
    for (reply_to, target) in
        [(Some("\"Desk\" <sip:desk@198.51.100.1>"), "sip:desk@198.51.100.1"), (None, "sip:bob@example.org")]
    {
        let mut rig = Rig::new();
        let mut incoming = Incoming::message(1, cpim("m1", "", "Hi"));
        if let Some(reply_to) = reply_to {
            incoming = incoming.with("Reply-To", reply_to);
        }
        rig.deliver(incoming.bytes());
        rig.next_response(200);
        let original = rig.next_received();
        rig.send(NewMessage::reply(&original, "yes").unwrap());
        let request = rig.next_request(Method::Message);
        assert_eq!(request.uri().as_str(), target);
        assert_eq!(value(request.headers(), "To"), format!("<{target}>"));
        assert_eq!(value(request.headers(), "Conversation-ID"), CONVERSATION);
        assert_eq!(value(request.headers(), "InReplyTo-Contribution-ID"), CONTRIBUTION);
    }
}

#[test]
fn nobody_replies_to_an_anonymous_sender() {
    let original = ReceivedMessage { from: None, reply_to: None, ..received() };
    assert_eq!(NewMessage::reply(&original, "yes"), None);
}

// req: 7.2.1.1-17
#[test]
fn accepted() {
    for (status, extra, uid) in [
        ("200 OK", "Message-UID: 4392\r\n", Some("4392")),
        ("200 OK", "", None),
        ("202 Accepted", "Message-UID: 7\r\n", Some("7")),
        ("200 OK", "Message-UID: none of these\r\n", None),
    ] {
        let mut rig = Rig::new();
        let sent = rig.send(text("x"));
        let request = rig.next_request(Method::Message);
        rig.answer(&request, status, extra, "");
        let uid = uid.map(str::to_owned);
        assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: uid });
        rig.at_rest();
        rig.quiet();
    }
}

#[test]
fn refused_or_unanswered() {
    let mut rig = Rig::new();
    let sent = rig.send(text("x"));
    let request = rig.next_request(Method::Message);
    rig.answer(&request, "403 Nope", "Warning: 399 pf.example.com \"127 Service not authorised\"\r\n", "");
    match rig.next_event() {
        ClientEvent::SendFailed { id, why: Failure::Rejected { status, reason, warnings } } => {
            assert_eq!((id, status.as_u16(), reason.as_str()), (sent.id, 403, "Nope"));
            assert_eq!(warnings, ["127 Service not authorised"]);
        }
        other => panic!("{other:?}"),
    }
    let sent = rig.send(text("x"));
    rig.advance(secs(33));
    assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent.id, why: Failure::Timeout });
    rig.sent.clear();
    rig.at_rest();
    rig.quiet();

    let mut rig = Rig::bare(|_| {});
    let sent = rig.send(text("x"));
    assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent.id, why: Failure::Transport });
    rig.at_rest();
}

// req: 7.2.1.3-4, 7.2.1.1-p1, 7.2.1.2-p1, 7-b2
#[test]
fn up_to_1300_octets_it_is_a_pager_message() {
    let (_, request) = sent(text(""));
    let wrapper = request.body().len();
    let (_, request) = sent(text(&"x".repeat(MAX_PAGER - wrapper)));
    assert_eq!(request.body().len(), 1300);
    let mut rig = Rig::new();
    let sent = rig.send(text(&"x".repeat(MAX_PAGER - wrapper + 1)));
    assert!(sent.large);
    rig.next_request(Method::Invite);
}

#[test]
fn no_text_makes_a_header_field() {
    let mut message = text("x");
    message.subject = Some("a\r\nimdn.Message-ID: forged\r\n\r\nb".to_owned());
    let (_, request) = sent(message.clone());
    let cpim = parse_cpim(request.body());
    assert_eq!(cpim.subject(), message.subject);
    assert_eq!(cpim.headers().iter().filter(|header| header.name() == "Message-ID").count(), 1);
}

#[test]
fn what_cannot_be_sent_comes_back() {
    // Nobody knows the way to a telephone number without a route.
    let mut rig = Rig::new();
    let to_phone = NewMessage::text(uri("tel:+15551234"), "x");
    let refused =
        rig.command(|client, now, ports| client.send_message(now, ports, to_phone.clone())).unwrap_err();
    assert!(matches!(refused.why, SendRefusal::Endpoint(_)));
    assert_eq!(*refused.message, to_phone);
    rig.quiet();
    rig.at_rest();
}

// req: C.1.1-p2.2, C.1.2-p2.2
#[test]
fn no_two_messages_share_an_id() {
    let mut rig = Rig::new();
    let (mut ids, mut conversations, mut contributions) = (vec![], vec![], vec![]);
    for _ in 0..50 {
        let sent = rig.send(text("x"));
        ids.push(sent.message_id);
        conversations.push(sent.conversation.to_string());
        contributions.push(sent.contribution.to_string());
    }
    for mut list in [ids, conversations, contributions] {
        list.sort();
        list.dedup();
        assert_eq!(list.len(), 50);
    }
}

/// One MESSAGE at a time to each address (RFC 3428 §8), and in the order of the commands: also when the store confirms them
/// in another, and when one of them comes to nothing.
// req: 7.2.1.1-p1
#[test]
fn messages_to_one_address_go_one_after_another() {
    let mut rig = Rig::new();
    rig.auto_state = None;
    let sent: Vec<SentMessage> = (0..4).map(|n| rig.send(text(&n.to_string()))).collect();
    let other = rig.send(NewMessage::text(uri("sip:carol@198.51.100.1"), "hi"));
    rig.state_queries.make_contiguous().reverse();
    let id_of = |request: &Request| parse_cpim(request.body()).imdn_message_id().unwrap().unwrap();
    rig.reply_state(Ok(()));
    // Carol's does not wait for Bob's.
    let hers = rig.next_request(Method::Message);
    assert_eq!(id_of(&hers), other.message_id);
    for _ in 0..3 {
        rig.reply_state(Ok(()));
        rig.quiet();
    }
    // The first of all is not kept: it fails, and the others follow.
    rig.reply_state(Err(cpm_core::StoreError::Failed));
    assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent[0].id, why: Failure::NotStored });
    for (n, expected) in sent.iter().enumerate().skip(1) {
        let request = rig.next_request(Method::Message);
        assert_eq!(id_of(&request), expected.message_id);
        assert!(rig.sent.is_empty(), "the next one waits");
        match n {
            1 => rig.answer(&request, "200 OK", "", ""),
            2 => rig.answer(&request, "486 Busy Here", "", ""),
            _ => rig.advance(secs(33)),
        }
        rig.sent
            .retain(|message| message.as_request().is_some_and(|again| id_of(again) != expected.message_id));
    }
    rig.auto_state = Some(Ok(()));
    while !rig.state_queries.is_empty() {
        rig.reply_state(Ok(()));
    }
    // Three that went out and Carol's, whose answer never came.
    assert_eq!(rig.events.len(), 3 + 1, "{:?}", rig.events);
    rig.events.clear();
    rig.at_rest();
}

/// One that waits can be stopped, and holds nobody up.
#[test]
fn one_that_waits_behind_another_can_be_stopped() {
    let mut rig = Rig::new();
    let sent: Vec<SentMessage> = (0..3).map(|n| rig.send(text(&n.to_string()))).collect();
    let first = rig.next_request(Method::Message);
    rig.quiet();
    assert!(!rig.command(|client, now, ports| client.cancel_message(now, ports, sent[0].id)));
    assert!(rig.command(|client, now, ports| client.cancel_message(now, ports, sent[1].id)));
    assert_eq!(rig.next_event(), ClientEvent::SendFailed { id: sent[1].id, why: Failure::Cancelled });
    rig.quiet();
    rig.answer(&first, "200 OK", "", "");
    let third = rig.next_request(Method::Message);
    assert_eq!(parse_cpim(third.body()).imdn_message_id().unwrap().as_deref(), Some(&*sent[2].message_id));
}
