//! Messages to ad-hoc and pre-defined groups (TS 7.2.1.1-9, -10, 7.2.1.2-10, -11, 7.2.1.3-2).

use super::harness::*;
use crate::{ClientConfig, ClientEvent, Disposition, MAX_PAGER, NewMessage, Recipients, SendRefusal};
use bytes::Bytes;
use cpm_mime::{ContentType, Multipart, Part};
use cpm_sip::{Method, Request};

const FOCUS: &str = "sip:list@198.51.100.1";
const TEAM: &str = "sip:team@198.51.100.1;x=y";
const BOB: &str = "sip:bob@example.org";
const CAROL: &str = "tel:+15550002";

fn with_focus(config: &mut ClientConfig) {
    config.controlling_function = Some(uri(FOCUS));
}

fn to_both(text: &str) -> NewMessage {
    NewMessage::text(Recipients::AdHoc(vec![uri(BOB), uri(CAROL)]), text)
}

/// The parts of a body with a list of recipients: what is sent, and the list.
fn parts(request: &Request) -> (Part, Part) {
    let content_type = ContentType::parse(&value(request.headers(), "Content-Type")).unwrap();
    assert!(content_type.is("multipart/mixed"));
    let limits = cpm_mime::Limits::DEFAULT;
    let multipart = Multipart::parse(&content_type, request.body().clone(), &limits).unwrap();
    let [first, second] = multipart.parts() else { panic!("{:?}", multipart.parts().len()) };
    (first.clone(), second.clone())
}

fn assert_list(list: &Part) {
    assert_eq!(list.content_type().unwrap().to_string(), "application/resource-lists+xml");
    assert_eq!(list.headers.get("Content-Disposition").unwrap(), "recipient-list");
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\" \
         xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\"><list>\
         <entry uri=\"{BOB}\" cp:copyControl=\"to\"/><entry uri=\"{CAROL}\" cp:copyControl=\"to\"/>\
         </list></resource-lists>"
    );
    assert_eq!(String::from_utf8(list.decoded().unwrap().to_vec()).unwrap(), expected);
}

// req: 7.2.1.1-3, 7.2.1.1-3.b, 7.2.1.1-9.a, 7.2.1.1-9.b, 7.2.1.1-1, 7.2.1.3-2, 7.2.1.3-2.b, 7.2.1.1-15
#[test]
fn an_ad_hoc_group_goes_by_the_controlling_function() {
    let mut rig = Rig::with(with_focus);
    let sent = rig.send(to_both("Hello both"));
    assert!(!sent.large);
    let request = rig.next_request(Method::Message);
    let headers = request.headers();
    assert_eq!(request.uri().as_str(), FOCUS);
    assert_eq!(value(headers, "To"), format!("<{FOCUS}>"));
    assert_eq!(value(headers, "P-Preferred-Service"), "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg.group");
    assert_eq!(value(headers, "Accept-Contact"), format!("*;+g.3gpp.icsi-ref=\"{MSG}\""));
    assert_eq!(value(headers, "Require"), "recipient-list-message");
    assert_eq!(value(headers, "Conversation-ID"), sent.conversation.as_str());
    assert_eq!(value(headers, "Contribution-ID"), sent.contribution.as_str());
    let (message, list) = parts(&request);
    assert_list(&list);
    assert_eq!(message.content_type().unwrap().to_string(), "message/cpim");
    let cpim = parse_cpim(&message.decoded().unwrap());
    assert_eq!(cpim.to().unwrap()[0].uri, FOCUS);
    assert_eq!(cpim.from().unwrap().unwrap().uri, "sip:alice@example.com");
    assert_eq!(cpim.imdn_message_id().unwrap(), Some(sent.message_id));
    assert_eq!(cpim.content().decoded().unwrap(), Bytes::from("Hello both"));
    rig.answer(&request, "202 Accepted", "", "");
    assert_eq!(rig.next_event(), ClientEvent::Sent { id: sent.id, message_uid: None });
}

// req: 7.2.1.1-3.b, 7.2.1.1-10, 7.2.1.3-2.c
#[test]
fn a_pre_defined_group_has_an_address_of_its_own() {
    let mut rig = Rig::new();
    rig.send(NewMessage::text(Recipients::Group(uri(TEAM)), "Hello team"));
    let request = rig.next_request(Method::Message);
    let headers = request.headers();
    assert_eq!(request.uri().as_str(), TEAM);
    assert_eq!(value(headers, "To"), format!("<{TEAM}>"));
    assert_eq!(value(headers, "P-Preferred-Service"), "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg.group");
    assert_eq!(value(headers, "Content-Type"), "message/cpim");
    assert!(values(headers, "Require").is_empty());
    assert_eq!(parse_cpim(request.body()).to().unwrap()[0].uri, TEAM);
}

// req: 7.2.1.2-3.b, 7.2.1.2-10.a, 7.2.1.2-10.b, 7.2.1.2-11, 7.2.1.3-2.b, 7.2.1.3-4
#[test]
fn large_messages_to_groups() {
    let mut rig = Rig::with(with_focus);
    rig.send(to_both(&"x".repeat(MAX_PAGER)));
    let invite = rig.next_request(Method::Invite);
    let headers = invite.headers();
    assert_eq!(invite.uri().as_str(), FOCUS);
    assert_eq!(
        value(headers, "P-Preferred-Service"),
        "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg.group"
    );
    assert_eq!(value(headers, "Accept-Contact"), format!("*;+g.3gpp.icsi-ref=\"{LARGE}\""));
    assert_eq!(value(headers, "Require"), "recipient-list-invite");
    let (offer, list) = parts(&invite);
    assert_list(&list);
    assert_eq!(offer.content_type().unwrap().to_string(), "application/sdp");
    // The offer in the middle of it is an offer: the answer is taken, and the message goes out.
    let extra = "Contact: <sip:list@198.51.100.1:5060>\r\nContent-Type: application/sdp\r\n";
    rig.answer(&invite, "200 OK", extra, &sdp("recvonly", "passive", ""));
    rig.next_request(Method::Ack);
    let (flow, _) = rig.connect();
    let bind = rig.one_frame(flow);
    rig.stream(flow, bind.response("200 OK"));
    let octets: Vec<u8> = rig.frames(flow).into_iter().filter_map(|frame| frame.body).flatten().collect();
    assert_eq!(parse_cpim(&Bytes::from(octets)).to().unwrap()[0].uri, FOCUS);

    let mut rig = Rig::new();
    rig.send(NewMessage::text(Recipients::Group(uri(TEAM)), &"x".repeat(MAX_PAGER)));
    let invite = rig.next_request(Method::Invite);
    assert_eq!(invite.uri().as_str(), TEAM);
    assert_eq!(
        value(invite.headers(), "P-Preferred-Service"),
        "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.largemsg.group"
    );
    assert_eq!(value(invite.headers(), "Content-Type"), "application/sdp");
}

/// All that the MESSAGE would carry counts (RFC 3428 §8).
// req: 7.2.1.3-4
#[test]
fn the_list_counts_for_the_size() {
    let mut rig = Rig::with(with_focus);
    let many = |count: usize| {
        let all = (0..count).map(|n| uri(&format!("sip:user{n:03}@example.org"))).collect();
        NewMessage::text(Recipients::AdHoc(all), "x")
    };
    let sent = rig.send(many(10));
    assert!(!sent.large);
    assert!(rig.next_request(Method::Message).body().len() <= MAX_PAGER);
    assert!(rig.send(many(30)).large);
    rig.next_request(Method::Invite);
}

// req: 7.2.1.1-9.c, 7.2.1.1-9.d, 7.2.1.1-13, 7.2.1.2-10.c
#[test]
fn a_reply_to_more_than_the_sender() {
    for (reply_to, first) in [(Some("<sip:desk@example.org>"), "sip:desk@example.org"), (None, BOB)] {
        let mut rig = Rig::with(with_focus);
        let mut incoming = Incoming::message(1, cpim("m1", "", "Hi"));
        if let Some(reply_to) = reply_to {
            incoming = incoming.with("Reply-To", reply_to);
        }
        rig.deliver(incoming.bytes());
        rig.next_response(200);
        let original = rig.next_received();
        rig.send(NewMessage::reply_with(&original, &[uri(CAROL)], "yes").unwrap());
        let request = rig.next_request(Method::Message);
        assert_eq!(request.uri().as_str(), FOCUS);
        let list = String::from_utf8(parts(&request).1.decoded().unwrap().to_vec()).unwrap();
        let uris: Vec<&str> =
            list.split("uri=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(uris, [first, CAROL]);
        assert_eq!(value(request.headers(), "Conversation-ID"), CONVERSATION);
        assert_eq!(value(request.headers(), "InReplyTo-Contribution-ID"), CONTRIBUTION);
    }
}

#[test]
fn groups_that_cannot_be() {
    let refused = |change: &dyn Fn(&mut ClientConfig), to: Recipients| {
        let mut rig = Rig::with(|config| change(config));
        let message = NewMessage::text(to, "x");
        let refused = rig.command(|client, now, ports| client.send_message(now, ports, message.clone()));
        let refused = refused.unwrap_err();
        assert_eq!(*refused.message, message);
        rig.quiet();
        rig.at_rest();
        refused.why
    };
    let two = || Recipients::AdHoc(vec![uri(BOB), uri(CAROL)]);
    assert_eq!(refused(&|_| {}, two()), SendRefusal::NoControllingFunction);
    assert_eq!(refused(&with_focus, Recipients::AdHoc(Vec::new())), SendRefusal::NoRecipients);
    let one = |config: &mut ClientConfig| {
        with_focus(config);
        config.max_adhoc_group = 1;
    };
    assert_eq!(refused(&one, two()), SendRefusal::TooManyRecipients);
    // Threat E4: an address brings no header field of its own (RFC 3261 §19.1.5, RFC 5365 §6).
    for to in ["sip:bob@example.org?Privacy=none", "sip:bob@example.org?body=x"] {
        let fields = SendRefusal::Content("the address of a recipient has header fields".to_owned());
        assert_eq!(refused(&with_focus, Recipients::AdHoc(vec![uri(CAROL), uri(to)])), fields);
        assert_eq!(refused(&with_focus, Recipients::One(uri(to))), fields);
    }
}

/// Of an ad-hoc group, its members report; of a pre-defined one, whose members are not known here, anybody once.
#[test]
fn the_members_report() {
    let delivered = "<delivery-notification><status><delivered/></status></delivery-notification>";
    let mut rig = Rig::with(with_focus);
    let sent = rig.send(to_both("Hello").with_reports());
    rig.next_request(Method::Message);
    let mut n = 0;
    let mut report = |rig: &mut Rig, about: &str, from: &str| {
        n += 1;
        let body = cpim_imdn(&format!("r{n}"), &imdn(about, delivered));
        let from = format!("<{from}>");
        rig.deliver(Incoming::message(n, body).with("P-Asserted-Identity", &from).bytes());
        rig.next_response(200);
        rig.events.pop_front().map(|event| match event {
            ClientEvent::Disposition { disposition: Disposition::Delivered, from, .. } => from,
            other => panic!("{other:?}"),
        })
    };
    for (from, told) in [(BOB, true), (BOB, false), ("sip:mallory@example.org", false), (CAROL, true)] {
        assert_eq!(report(&mut rig, &sent.message_id, from), told.then(|| from.to_owned()));
    }
    let team = rig.send(NewMessage::text(Recipients::Group(uri(TEAM)), "Hello").with_reports());
    rig.next_request(Method::Message);
    for (from, told) in [(BOB, true), (BOB, false), ("sip:dave@example.org", true)] {
        assert_eq!(report(&mut rig, &team.message_id, from), told.then(|| from.to_owned()));
    }
}
