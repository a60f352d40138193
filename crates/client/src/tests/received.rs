//! TS 7.2.2.1, 7.2.2.3: what a message that arrived says, and how it is to be shown.

use super::harness::*;
use crate::{Client, ClientEvent, HistoryEntry, MessageKeys, Presentation, ReceivedMessage};
use bytes::Bytes;
use cpm_base::DateTime;
use cpm_core::outside::Folder;
use cpm_core::{ContributionId, ConversationId, Record};
use cpm_sip::Method;

fn shown(incoming: &Incoming) -> ReceivedMessage {
    let mut rig = Rig::new();
    rig.deliver(incoming.bytes());
    rig.next_response(200);
    rig.next_received()
}

fn hi(n: u32) -> Incoming {
    Incoming::message(n, cpim(&format!("m{n}"), "", "Hi"))
}

/// A body of several parts; `parts` are whole, with their header fields.
fn multipart(parts: &[&str]) -> Vec<u8> {
    let parts: String = parts.iter().map(|part| format!("--x\r\n{part}\r\n")).collect();
    format!("{parts}--x--\r\n").into_bytes()
}

/// RFC 5365: a list of the other recipients may stand beside the message.
#[test]
fn a_message_beside_other_parts() {
    let part = format!("Content-Type: message/cpim\r\n\r\n{}", cpim("m1", "", "Hi"));
    let list = "Content-Type: application/resource-lists+xml\r\n\r\n<resource-lists/>";
    for parts in [[part.as_str(), list], [list, part.as_str()]] {
        let incoming =
            Incoming::message(1, multipart(&parts)).with("Content-Type", "multipart/mixed;boundary=x");
        let mut rig = Rig::new();
        rig.deliver(incoming.bytes());
        rig.next_response(200);
        assert_eq!(rig.next_received().content, "Hi");
        assert_eq!(rig.stores[0].1.cpim, cpim("m1", "", "Hi"));
    }
}

#[test]
fn an_encoded_body_is_not_understood() {
    for (coding, status) in [("gzip", 415), ("identity", 200), ("identity, br", 415)] {
        let mut rig = Rig::new();
        rig.deliver(hi(1).with("Content-Encoding", coding).bytes());
        let response = rig.next_response(status);
        assert_eq!(values(response.headers(), "Accept-Encoding").len(), usize::from(status == 415));
    }
}

/// Threat G3: what is stored is what came, octet for octet, whatever it is.
#[test]
fn the_octets_are_kept_as_they_are() {
    let mut body = cpim("m1", "", "").replace("text/plain;charset=UTF-8", "application/x").into_bytes();
    body.extend((0..=255).chain([13, 10, 0, 10, 13]).map(|octet: u16| octet as u8));
    let mut rig = Rig::new();
    rig.deliver(Incoming::message(1, body.clone()).bytes());
    rig.next_response(200);
    assert_eq!(rig.stores[0].1.cpim, body);
    assert_eq!(rig.next_received().content, body[body.len() - 261..]);
    // So it is after a restart.
    let (entries, _) = history(rig);
    let HistoryEntry::Message { message, .. } = &entries[0] else { panic!() };
    assert_eq!(message.content, body[body.len() - 261..]);
}

// req: 7.2.2.3-1
#[test]
fn the_content_disposition_is_followed() {
    for (disposition, presentation) in [
        ("", Some(Presentation::Render)),
        ("render", Some(Presentation::Render)),
        ("INLINE;handling=required", Some(Presentation::Render)),
        ("attachment;filename=a.txt", Some(Presentation::Attachment)),
        ("attachment;handling=required", Some(Presentation::Attachment)),
        ("by-pigeon", Some(Presentation::Attachment)),
        ("by-pigeon;handling=optional", Some(Presentation::Attachment)),
        ("by-pigeon;handling=Required", None),
    ] {
        let line = if disposition.is_empty() {
            String::new()
        } else {
            format!("Content-Disposition: {disposition}\r\n")
        };
        let body = cpim("m1", "", "Hi").replace("Content-Type:", &format!("{line}Content-Type:"));
        let mut rig = Rig::new();
        rig.deliver(Incoming::message(1, body).bytes());
        match presentation {
            Some(expected) => {
                rig.next_response(200);
                let message = rig.next_received();
                assert_eq!(message.presentation, expected, "{disposition}");
                let as_written = Some(disposition).filter(|text| !text.is_empty());
                assert_eq!(message.content_disposition.as_deref(), as_written);
            }
            None => {
                rig.next_response(415);
                assert!(rig.stores.is_empty());
                rig.quiet();
            }
        }
    }
}

// req: 7.2.2.3-2
#[test]
fn content_that_is_elsewhere_is_named_and_not_fetched() {
    let reference = "Content-Type: message/external-body;access-type=URL;URL=\"imap://store/x;uid=7?action=fetch\";\
                     size=999\r\n\r\nContent-Type: image/png\r\nContent-Disposition: render\r\n\r\n";
    let text = "Content-Type: text/plain\r\n\r\nsee below";
    let broken = "Content-Type: message/external-body;access-type=FTP\r\n\r\nContent-Type: image/png\r\n\r\n";
    let body = cpim("m1", "display", "").replace("text/plain;charset=UTF-8", "multipart/mixed;boundary=x");
    let with = |parts: &[&str]| {
        let mut octets = body.clone().into_bytes();
        octets.extend(multipart(parts));
        octets
    };
    for (parts, references, renderable) in [
        (vec![text, reference], 1, true),
        (vec![reference, reference], 2, true),
        (vec![text, broken], 0, true),
        (vec![broken], 0, false),
    ] {
        let mut rig = Rig::new();
        rig.deliver(Incoming::message(1, with(&parts)).bytes());
        rig.next_response(200);
        let message = rig.next_received();
        assert_eq!((message.references.len(), message.renderable), (references, renderable), "{parts:?}");
        for reference in &message.references {
            assert_eq!(reference.url, "imap://store/x;uid=7?action=fetch");
            assert_eq!(reference.size, Some(999));
            assert!(reference.content.content_type().unwrap().is("image/png"));
        }
        rig.quiet();
    }
    // What it will be decides whether it can be shown.
    let mut rig = Rig::with(|config| config.accept = vec!["text/plain".to_owned()]);
    rig.deliver(Incoming::message(1, with(&[reference])).bytes());
    rig.next_response(200);
    assert!(!rig.next_received().renderable);
}

// req: 6.3-p11
#[test]
fn the_name_is_the_one_at_the_asserted_address() {
    let (bob, mallory) = ("<sip:bob@example.org>", "<sip:mallory@example.net>");
    let cases: [(Option<&str>, String, &str, Option<&str>); 7] = [
        (Some("\"Asserted\" "), format!("\"From\" {bob}"), "\"Wrapped\" ", Some("Asserted")),
        (Some(""), format!("\"From\" {bob}"), "\"Wrapped\" ", Some("From")),
        (Some(""), format!("\"From\" {mallory}"), "\"Wrapped\" ", Some("Wrapped")),
        (Some(""), format!("\"From\" {mallory}"), "", None),
        (Some("\"Gr\u{fc}n\" "), bob.to_owned(), "", Some("Gr\u{fc}n")),
        (None, format!("\"From\" {bob}"), "\"Wrapped\" ", Some("From")),
        (None, bob.to_owned(), "\"Wrapped\" ", Some("Wrapped")),
    ];
    for (asserted, from, wrapped, expected) in cases {
        let body = cpim("m1", "", "Hi").replace("\"Bob B.\" ", wrapped);
        let incoming = Incoming::message(1, body).with("From", &format!("{from};tag=1"));
        let incoming = match asserted {
            Some(name) => incoming.with("P-Asserted-Identity", &format!("{name}{bob}")),
            None => incoming.without("P-Asserted-Identity"),
        };
        assert_eq!(shown(&incoming).from_name.as_deref(), expected, "{from} {wrapped}");
    }
    // A name inside at an address that nobody answers for is nobody's.
    let forged =
        cpim("m1", "", "Hi").replace("\"Bob B.\" <sip:bob@example.org>", "\"Boss\" <sip:boss@example.com>");
    let incoming = Incoming::message(1, forged).with("P-Asserted-Identity", bob);
    assert_eq!(shown(&incoming).from_name, None);
}

/// Threat E3: who of a group wrote a message is believed where the core says that a group is what sent it.
#[test]
fn in_a_group_the_author_is_named() {
    let group = hi(1)
        .with("P-Asserted-Identity", "\"Team\" <sip:team@groups.example.org>")
        .with("P-Asserted-Service", "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg.group");
    let message = shown(&group);
    assert_eq!(message.from, Some(uri("sip:team@groups.example.org")));
    assert_eq!(message.from_name.as_deref(), Some("Team"));
    let author = message.author.unwrap();
    assert_eq!(
        (author.uri.as_str(), author.display_name.as_deref()),
        ("sip:bob@example.org", Some("Bob B."))
    );
    assert_eq!(shown(&hi(1)).author, None);
    assert_eq!(shown(&group.without("P-Asserted-Identity")).author, None);
}

/// Threat E9: whom a message says it was referred by, or signed by, is nobody here: its sender is whom the core asserts. What is
/// told of it goes there, and nothing that such a field names is fetched.
#[test]
fn nobody_vouches_for_a_sender_but_the_core() {
    let signed = "eyJhbGciOiJFUzI1NiJ9..c2lnbmVk;info=<https://203.0.113.9/cert.pem>;alg=ES256;ppt=shaken";
    for (field, value) in [
        ("Referred-By", "\"Boss\" <sip:boss@example.com>"),
        ("Identity", signed),
        ("Identity-Info", "<http://203.0.113.9/cert>;alg=rsa-sha1"),
        ("Remote-Party-ID", "\"Boss\" <sip:boss@example.com>;party=calling"),
        ("P-Preferred-Identity", "\"Boss\" <sip:boss@example.com>"),
    ] {
        let asking = Incoming::message(1, cpim("m1", "positive-delivery", "Hi")).with(field, value);
        let mut rig = Rig::new();
        rig.deliver(asking.bytes());
        rig.next_response(200);
        let report = rig.next_request(Method::Message);
        assert_eq!(report.uri().as_str(), "sip:bob@example.org", "{field}");
        let message = rig.next_received();
        assert_eq!(
            (message.from, message.authenticated),
            (Some(uri("sip:bob@example.org")), true),
            "{field}"
        );
        rig.quiet();
        // Nor in the place of the core's word.
        let mut rig = Rig::new();
        rig.deliver(asking.without("P-Asserted-Identity").bytes());
        rig.next_response(200);
        let message = rig.next_received();
        assert_eq!(
            (message.from, message.authenticated),
            (Some(uri("sip:bob@example.org")), false),
            "{field}"
        );
        rig.quiet();
    }
}

/// RFC 3428 §7: Expires counts from Date, or from the time of arrival. Threat G2: whatever they say.
#[test]
fn until_when_a_message_is_of_use() {
    let at = |text: &str| Some(DateTime::parse(text).unwrap());
    for (expires, date, expected) in [
        (None, None, None),
        (Some("60"), None, at("2026-11-21T10:01:00Z")),
        (Some("60"), Some("Sat, 21 Nov 2026 09:00:00 GMT"), at("2026-11-21T09:01:00Z")),
        (Some("60"), Some("yesterday"), at("2026-11-21T10:01:00Z")),
        (Some("0"), None, at("2026-11-21T10:00:00Z")),
        (None, Some("Sat, 21 Nov 2026 09:00:00 GMT"), None),
        (Some("4294967295"), Some("Fri, 31 Dec 9999 23:59:59 GMT"), at("9999-12-31T23:59:59Z")),
        (Some("4294967295"), Some("Thu, 01 Jan 1970 00:00:00 GMT"), at("2106-02-07T06:28:15Z")),
    ] {
        let mut incoming = hi(1);
        for (name, value) in [("Expires", expires), ("Date", date)] {
            incoming = value.into_iter().fold(incoming, |incoming, value| incoming.with(name, value));
        }
        let message = shown(&incoming);
        assert_eq!(message.expires, expected, "{expires:?} {date:?}");
        let now = DateTime::parse("2026-11-21T10:00:00Z").unwrap();
        assert_eq!(message.expired(now), expected.is_some_and(|end| end <= now));
    }
    let mut rig = Rig::new();
    rig.deliver(hi(1).with("Expires", "soon").bytes());
    rig.next_response(400);
    rig.quiet();
}

/// What stands in the store after what happened so far, and the next life.
fn history(rig: Rig) -> (Vec<HistoryEntry>, Rig) {
    let records = rig.records();
    let rig = rig.restart(|_| {});
    (Client::history(&records, rig.node.function().config()), rig)
}

// req: 7.2.2.1-7, 7.2.2.3-5
#[test]
fn all_of_a_message_stands_in_the_store() {
    let incoming = Incoming::message(1, cpim("m1", "positive-delivery, display", "Hi"))
        .with("InReplyTo-Contribution-ID", "01234567-7dec-11d0-a765-00a0c91e6bf9")
        .with("Message-UID", "4712")
        .with("Expires", "3600")
        .with("Reply-To", "<sip:replies@example.org>")
        .with("P-Asserted-Identity", "\"Bob\" <sip:bob@example.org>, <tel:+15550100>");
    let mut rig = Rig::new();
    rig.deliver(incoming.bytes());
    rig.next_response(200);
    let record = &rig.stores[0].1;
    assert_eq!(record.message_uid.as_deref(), Some("4712"));
    assert_eq!(record.in_reply_to.as_ref().unwrap().as_str(), "01234567-7dec-11d0-a765-00a0c91e6bf9");
    rig.next_request(Method::Message);
    let message = rig.next_received();
    let (entries, mut rig) = history(rig);
    assert_eq!(entries, [HistoryEntry::Message { message: Box::new(message.clone()), read: None }]);
    // The copy of an earlier life is acknowledged and nothing else.
    rig.deliver(Incoming { branch: "z9hG4bKnew".to_owned(), call_id: "new".to_owned(), ..incoming }.bytes());
    rig.next_response(200);
    rig.quiet();
    assert!(rig.stores.is_empty());
    rig.now = rig.now.plus(secs(60));
    let at = rig.now.wall;
    rig.command(|client, now, ports| client.mark_read(now, ports, message.id));
    let (query, _) = rig.seen_queries.pop_front().unwrap();
    rig.node.handle_reply(rig.now, query, cpm_core::Reply::Seen(Ok(false)));
    rig.pump();
    // The earlier life's record stands beside what this one wrote.
    let (entries, _) = history(rig);
    let [HistoryEntry::Message { read, .. }] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(*read, Some(at));
}

/// Records that cannot be read are counted and left out; the others count.
#[test]
fn damaged_records_are_left_out() {
    let mut rig = Rig::new();
    for n in 1..=3 {
        rig.deliver(hi(n).bytes());
    }
    let mut records = rig.records();
    let received: Vec<usize> = records
        .iter()
        .enumerate()
        .filter(|(_, r)| matches!(r, Record::Received(_)))
        .map(|(at, _)| at)
        .collect();
    let damage = |record: &mut Record, state: bool| {
        let Record::Received(received) = record else { panic!() };
        if state {
            received.state = received.state.slice(1..);
        } else {
            received.cpim = Bytes::from_static(b"From: nobody");
        }
    };
    damage(&mut records[received[0]], true);
    damage(&mut records[received[1]], false);
    let mut rig = rig.restart_with(records.clone(), |_| {});
    assert_eq!(rig.node.function().metrics().get("client.record_not_restored"), 2);
    assert_eq!(Client::history(&records, rig.node.function().config()).len(), 1);
    for (n, is_new) in [(1, true), (2, true), (3, false)] {
        rig.deliver(hi(n).bytes());
        rig.next_response(200);
        assert_eq!(rig.events.pop_front().is_some(), is_new, "{n}");
    }
}

/// TS 7.2.1.1, Table 2: what comes by IMAP is found among what came by SIP.
// req: 7.2.2.1-7, 7.2.2.1-7.a, 7.2.2.1-7.b
#[test]
fn an_object_of_the_message_store_finds_its_message() {
    let mut rig = Rig::new();
    let plain = hi(1).with("InReplyTo-Contribution-ID", "01234567-7dec-11d0-a765-00a0c91e6bf9");
    let with_uid = hi(2).with("Message-UID", "7");
    let number = hi(3).with("P-Asserted-Identity", "<sip:bob@example.org>, <tel:+15550100>");
    let group = hi(4).with("P-Asserted-Service", "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg.group");
    let hidden = hi(5).with("Privacy", "id");
    let mut ids = Vec::new();
    for incoming in [plain, with_uid, number, group, hidden] {
        rig.deliver(incoming.bytes());
        rig.next_response(200);
        ids.push(rig.next_received().id);
    }
    let conversation = ConversationId::parse(CONVERSATION).unwrap();
    let keys = |folder: Folder, n: usize| MessageKeys {
        conversation: Some(conversation.clone()),
        contribution: Some(ContributionId::parse(CONTRIBUTION).unwrap()),
        message_id: Some(format!("m{n}")),
        ..MessageKeys::new(folder)
    };
    let peer = |name: &str| Folder::Peer(name.to_owned());
    let reply = MessageKeys {
        in_reply_to: Some(ContributionId::parse("01234567-7dec-11d0-a765-00a0c91e6bf9").unwrap()),
        ..keys(peer("sip:bob@example.org"), 1)
    };
    let uid =
        MessageKeys { message_uid: Some("7".to_owned()), ..MessageKeys::new(peer("sip:bob@example.org")) };
    let cases = [
        (reply.clone(), Some(ids[0])),
        (MessageKeys { message_id: Some("m9".to_owned()), ..reply.clone() }, None),
        (MessageKeys { in_reply_to: None, ..reply }, None),
        (uid.clone(), Some(ids[1])),
        (MessageKeys { message_uid: Some("8".to_owned()), ..uid }, None),
        (keys(peer("tel:+15550100"), 3), Some(ids[2])),
        (keys(peer("sip:bob@example.org"), 3), None),
        (keys(Folder::Group(conversation.clone()), 4), Some(ids[3])),
        (keys(peer("sip:bob@example.org"), 4), None),
        (keys(Folder::anonymous(), 5), Some(ids[4])),
    ];
    let mut lives = vec![rig];
    for _ in 0..2 {
        let rig = lives.pop().unwrap();
        for (object, expected) in &cases {
            assert_eq!(rig.node.function().match_received(object), *expected, "{object:?}");
        }
        // In the next life as well.
        lives.push(rig.restart(|_| {}));
    }
}

/// Threat E5: what changes nothing is not kept, so that the history says nothing that was not judged, and nobody fills the
/// store with it.
#[test]
fn the_history_has_no_forged_reports() {
    let delivered = "<delivery-notification><status><delivered/></status></delivery-notification>";
    let displayed = "<display-notification><status><displayed/></status></display-notification>";
    let mut rig = Rig::new();
    let sent = rig.send(crate::NewMessage::text(uri("sip:bob@example.org"), "Hi").with_reports());
    rig.sent.clear();
    rig.events.clear();
    let told = |n: u32, notifications: &str| {
        Incoming::message(n, cpim_imdn(&format!("i{n}"), &imdn(&sent.message_id, notifications)))
    };
    let forged = told(1, delivered).with("P-Asserted-Identity", "<sip:mallory@example.net>");
    let part = |document: &str| format!("--x\r\nContent-Type: message/imdn+xml\r\n\r\n{document}\r\n");
    // One that counts among those that do not.
    let documents =
        [part(&imdn("other", displayed)), part(&imdn(&sent.message_id, delivered))].concat() + "--x--\r\n";
    let mixed = cpim_imdn("i2", &documents).replace(
        "message/imdn+xml\r\nContent-Disposition",
        "multipart/mixed;boundary=x\r\nContent-Disposition",
    );
    for (incoming, kept) in
        [(forged, 0), (Incoming::message(2, mixed), 1), (told(3, delivered), 1), (told(4, displayed), 2)]
    {
        rig.deliver(incoming.bytes());
        rig.next_response(200);
        assert_eq!(rig.stores.len(), kept);
    }
    let expected = [crate::Disposition::Delivered, crate::Disposition::Displayed].map(|disposition| {
        HistoryEntry::Report {
            about: sent.message_id.clone(),
            disposition,
            from: "sip:bob@example.org".to_owned(),
        }
    });
    assert_eq!(history(rig).0, expected);
}

// req: 7.2.2.1-3
#[test]
fn the_200_says_by_which_address_the_user_is_known() {
    let mut rig = Rig::new();
    rig.deliver(hi(1).bytes());
    let before = rig.next_response(200);
    assert!(values(before.headers(), "P-Preferred-Identity").is_empty());
    rig.next_received();
    rig.command(|client, now, ports| client.register(now, ports)).unwrap();
    let register = rig.next_request(Method::Register);
    let contact = value(register.headers(), "Contact");
    let extra = format!(
        "Contact: {contact};expires=3600\r\nP-Associated-URI: <sip:alice.public@example.com>, <tel:+15550199>\r\n"
    );
    rig.answer(&register, "200 OK", &extra, "");
    rig.events.clear();
    rig.deliver(hi(2).bytes());
    let after = rig.next_response(200);
    assert_eq!(value(after.headers(), "P-Preferred-Identity"), "<sip:alice.public@example.com>");
    assert!(matches!(rig.next_event(), ClientEvent::Received(_)));
}
