use super::*;
use crate::tests::bench::{message, pager};
use bytes::Bytes;
use cpm_core::{ContributionId, ConversationId};
use cpm_sip::{Message, parse_datagram};
use std::sync::Arc;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

fn request(octets: String) -> Request {
    match parse_datagram(Bytes::from(octets), &cpm_sip::Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

const HEAD: &str = "MESSAGE sip:bob@home.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1
Max-Forwards: 68
From: \"Alice\" <sip:alice@home.test>;tag=a1
To: <sip:bob@home.test>
Call-ID: c1
CSeq: 1 MESSAGE
P-Asserted-Identity: \"Alice\" <sip:alice@home.test>
P-Served-User: <sip:WHO@home.test>;sescase=CASE;regstate=reg
Conversation-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6
Contribution-ID: abcdef00-1234-4678-90ab-cdef01234567
X-Odd:   kept  as it is
";

fn received(case: &str, more: &str, content: &str) -> Request {
    let who = if case == "orig" { "alice" } else { "bob" };
    let head = HEAD.replace("WHO", who).replace("CASE", case);
    let cpim = format!(
        "From: <sip:alice@home.test>\nTo: <sip:bob@home.test>\nNS: imdn <urn:ietf:params:imdn>\nimdn.Message-ID: m-1\n\n{content}"
    );
    let typed = if more.contains("Content-Type") { "" } else { "Content-Type: message/cpim\n" };
    request(message(&format!("{head}{more}{typed}"), &cpim.replace('\n', "\r\n")))
}

const TEXT: &str = "Content-Type: text/plain\n\nhello";
const IMDN: &str = "Content-Type: message/imdn+xml\nContent-Disposition: notification\n\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>about-me</message-id><datetime>2026-11-21T10:00:00Z</datetime><delivery-notification><status><delivered/></status></delivery-notification></imdn>";

fn stored(request: &Request, others: &[&str]) -> Option<StoredObject> {
    let others: Vec<Uri> = others.iter().map(|other| uri(other)).collect();
    stored_object(request, &Facts::read(request).unwrap(), &others)
}

// req: 8.5-1.a, 8.5-3.a
#[test]
fn the_folder_of_two_is_the_identity_of_the_other() {
    for (identities, expected) in [
        (&["sip:Alice@Home.TEST"][..], "sip:alice@home.test"),
        (&["sip:Alice@home.test;transport=tcp;x=y?Subject=z"], "sip:alice@home.test"),
        (&["sip:%41lice@home.test:5070"], "sip:alice@home.test:5070"),
        (&["sips:alice@home.test"], "sips:alice@home.test"),
        (&["sip:+1-555-0001@home.test;user=phone"], "tel:+15550001"),
        (&["sip:+15550001@home.test"], "sip:+15550001@home.test"),
        (&["sip:alice@home.test;user=phone"], "sip:alice@home.test"),
        (&["tel:+1(555)00-01;ext=7"], "tel:+15550001"),
        (&["tel:555;phone-context=home.test"], "tel:555"),
        // Both forms of one user lead to one folder.
        (&["sip:alice@home.test", "tel:+1-555-0001"], "tel:+15550001"),
        (&["tel:+15550001", "sip:alice@home.test"], "tel:+15550001"),
        (&["im:Bob@x.test"], "im:bob@x.test"),
    ] {
        let identities: Vec<Uri> = identities.iter().map(|identity| uri(identity)).collect();
        assert_eq!(Folder::of_peer(&identities), Some(Folder::Peer(expected.to_owned())), "{identities:?}");
    }
    assert_eq!(Folder::of_peer(&[]), None);
}

// req: 8.5.1-A, 8.5-1.a, 8.5-3.a
#[test]
fn the_whole_request_is_kept() {
    for (case, user, direction) in [("orig", "alice", Direction::Sent), ("term", "bob", Direction::Received)]
    {
        let request = received(case, "", TEXT);
        let object = stored(&request, &["sip:Other@home.test;x"]).unwrap();
        let expected = StoredObject {
            user: uri(&format!("sip:{user}@home.test")),
            folder: Folder::Peer("sip:other@home.test".to_owned()),
            direction,
            kind: ObjectKind::StandaloneMessage,
            message_id: Some("m-1".to_owned()),
            conversation: Some(ConversationId::parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").unwrap()),
            contribution: Some(ContributionId::parse("abcdef00-1234-4678-90ab-cdef01234567").unwrap()),
            message_context: None,
            message_correlator: None,
            replaces: None,
            object: request.to_bytes(),
        };
        assert_eq!(object, expected);
        assert!(String::from_utf8_lossy(&object.object).contains("X-Odd:   kept  as it is\r\n"));
    }
}

// req: 8.5-1.b, 8.5-3.b
#[test]
fn a_group_message_lies_with_its_conversation() {
    let list = "--b\r\nContent-Type: message/cpim\r\n\r\nFrom: <sip:alice@home.test>\r\n\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n<x/>\r\n--b--\r\n";
    let head = HEAD.replace("WHO", "alice").replace("CASE", "orig");
    let with_list = request(message(&format!("{head}Content-Type: multipart/mixed;boundary=b\n"), list));
    let group = Folder::Group(ConversationId::parse("f81d4fae-7dec-11d0-a765-00a0c91e6bf6").unwrap());
    assert_eq!(stored(&with_list, &["sip:cf@home.test"]).unwrap().folder, group);
    for service in ["P-Asserted-Service", "P-Preferred-Service"] {
        let more = format!("{service}: urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg.group\n");
        assert_eq!(stored(&received("term", &more, TEXT), &["sip:g@home.test"]).unwrap().folder, group);
        let single = more.replace(".group", "");
        let folder = stored(&received("term", &single, TEXT), &["sip:g@home.test"]).unwrap().folder;
        assert_eq!(folder, Folder::Peer("sip:g@home.test".to_owned()));
    }
}

// req: 8.5.1-B-n1, 8.2.4-p3
#[test]
fn notifications_lie_with_their_message_and_own_ones_nowhere() {
    let object = stored(&received("term", "", IMDN), &["sip:alice@home.test"]).unwrap();
    assert_eq!(
        (object.folder, object.kind),
        (Folder::OfMessage("about-me".to_owned()), ObjectKind::Disposition)
    );
    assert_eq!(stored(&received("orig", "", IMDN), &["sip:alice@home.test"]), None);
    // One that nobody can read lies with its sender.
    let unread = IMDN.replace("<imdn ", "<other ");
    let object = stored(&received("term", "", &unread), &["sip:alice@home.test"]).unwrap();
    assert_eq!(object.folder, Folder::Peer("sip:alice@home.test".to_owned()));
}

/// Threat E8: the user may read the store.
#[test]
fn of_an_anonymous_sender_nothing_is_kept_that_names_it() {
    let request = received(
        "term",
        "Privacy: id\nReply-To: <sip:canary@x>\nP-Preferred-Identity: <sip:alice@home.test>\n",
        TEXT,
    );
    let object = stored(&request, &["sip:alice@home.test"]).unwrap();
    assert_eq!(object.folder, Folder::anonymous());
    let text = String::from_utf8_lossy(&object.object).into_owned();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    for canary in ["alice", "Alice", "canary"] {
        assert!(!head.contains(canary), "{head}");
    }
    // The sender's own copy is its own.
    let own = stored(&received("orig", "Privacy: id\n", TEXT), &["sip:bob@home.test"]).unwrap();
    assert_eq!(own.folder, Folder::Peer("sip:bob@home.test".to_owned()));
    assert!(String::from_utf8_lossy(&own.object).contains("alice"));
}

fn preferences(rules: &str) -> Arc<Preferences> {
    let document = format!(
        "<cr:ruleset xmlns:cr=\"urn:ietf:params:xml:ns:common-policy\" xmlns:o=\"urn:oma:xml:xdm:common-policy\">{rules}</cr:ruleset>"
    );
    let limits = cpm_xml::Limits::default();
    Arc::new(Preferences::from_documents(document.as_bytes(), b"", b"", &limits).unwrap())
}

fn rule(enabler: &str, value: &str) -> String {
    format!(
        "<cr:rule id=\"r\"><cr:conditions><o:service-list><o:service enabler=\"{enabler}\"/></o:service-list></cr:conditions><cr:actions><o:allow-offline-storage>{value}</o:allow-offline-storage></cr:actions></cr:rule>"
    )
}

// req: 8.2.1.1-6
#[test]
fn recording_is_wanted_by_a_rule_for_cpm() {
    let request = request(pager("1", "orig", ""));
    let facts = Facts::read(&request).unwrap();
    let wanted = |rules: &str| is_wanted(&preferences(rules), &facts, DateTime::UNIX_EPOCH);
    assert!(wanted(&rule("CPM", "true")));
    assert!(wanted(&format!("{}{}", rule("CPM", "false"), rule("CPM", "true"))));
    assert!(!wanted(&rule("CPM", "false")));
    assert!(!wanted(&rule("POC", "true")));
    assert!(!wanted(&rule("CPM", "true").replace("o:service-list", "o:nothing")));
    assert!(!wanted(""));
    assert!(!is_wanted(&Preferences::default(), &facts, DateTime::UNIX_EPOCH));
}
