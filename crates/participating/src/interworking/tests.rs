use super::*;
use crate::tests::bench::message;
use bytes::Bytes;
use cpm_core::outside::{Direction, Folder, ObjectKind};
use cpm_cpim::Leniency;
use cpm_sip::{Message, parse_datagram};

fn read(octets: String) -> Message {
    parse_datagram(Bytes::from(octets), &cpm_sip::Limits::default()).unwrap()
}

fn isf() -> SipUri {
    let Ok(Uri::Sip(isf)) = Uri::parse("sip:isf.home.test:5090;transport=tcp") else { panic!("a SIP URI") };
    isf
}

// req: 6.5-p1
#[test]
fn the_request_is_our_own_and_goes_straight() {
    let onward = message(
        "MESSAGE mailto:bob@far.test SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1
Route: <sip:pf.home.test;lr>, <sip:192.0.2.10;lr>
Max-Forwards: 3
From: \"A\" <sip:alice@home.test>;tag=a1
To: <mailto:bob@far.test>;tag=odd
Call-ID: c1
CSeq: 7 MESSAGE
P-Asserted-Identity: <sip:alice@home.test>
P-Served-User: <sip:alice@home.test>;sescase=orig
Privacy: id
User-Agent: CPM-client/OMA2.1 phone
Conversation-ID:   f81d4fae-7dec-11d0-a765-00a0c91e6bf6
X-Unknown: stays  so
Content-Type: message/cpim
",
        "body",
    );
    let Message::Request(onward) = read(onward) else { panic!("a request") };
    let sent = for_isf(&onward, &isf());
    let expected = message(
        "MESSAGE mailto:bob@far.test SIP/2.0
From: \"A\" <sip:alice@home.test>
To: <mailto:bob@far.test>
P-Asserted-Identity: <sip:alice@home.test>
Privacy: id
Conversation-ID:   f81d4fae-7dec-11d0-a765-00a0c91e6bf6
X-Unknown: stays  so
Content-Type: message/cpim
",
        "body",
    )
    .replace("\r\n\r\n", "\r\nRoute: <sip:isf.home.test:5090;transport=tcp;lr>\r\n\r\n");
    assert_eq!(String::from_utf8(sent.to_bytes().to_vec()).unwrap(), expected);
}

fn response(status: &str, more: &str) -> Response {
    let head = format!(
        "SIP/2.0 {status}\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\nFrom: <sip:a@x>;tag=1\nTo: <sip:b@x>;tag=2\nCall-ID: 1\nCSeq: 1 MESSAGE\n{more}"
    );
    let Message::Response(response) = read(message(&head, "")) else { panic!("a response") };
    response
}

// req: 6.5.1-onMSG200-1, 6.5.1-onMSG200-1.A, 6.5.1-onMSG200-1.B, 6.5.1-p3
#[test]
fn what_an_answer_means() {
    let marks = |context: Option<&str>, correlator: Option<&str>| {
        IsfAnswer::Delivered(Marks {
            context: context.map(str::to_owned),
            correlator: correlator.map(str::to_owned),
        })
    };
    assert_eq!(read_isf_answer(&response("200 OK", "")), marks(None, None));
    let both = "Message-Context: multimedia-message\nMessage-Correlator: mms 77 <x>\n";
    let expected = marks(Some("multimedia-message"), Some("mms 77 <x>"));
    assert_eq!(read_isf_answer(&response("202 Accepted", both)), expected);
    assert_eq!(read_isf_answer(&response("480 Away", both)), IsfAnswer::Undelivered);
    for status in ["404 No", "503 Busy", "606 Never"] {
        assert_eq!(read_isf_answer(&response(status, both)), IsfAnswer::Refused);
    }
}

fn object() -> StoredObject {
    StoredObject {
        user: Uri::parse("sip:alice@home.test").unwrap(),
        folder: Folder::Peer("sip:bob@home.test".to_owned()),
        direction: Direction::Sent,
        kind: ObjectKind::StandaloneMessage,
        message_id: None,
        conversation: None,
        contribution: None,
        message_context: None,
        message_correlator: None,
        replaces: None,
        object: Bytes::new(),
    }
}

fn cpim(text: &str) -> CpimMessage {
    let octets = format!("From: <sip:a@x>\r\n\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}");
    CpimMessage::parse(Bytes::from(octets), &cpm_cpim::Limits::default(), &Leniency::default()).unwrap().0
}

// req: 6.5.1-onMSG200-2, 8.5.4-C, 8.5.4-C.1, 8.5.4-C.1.a.i, 8.5.4-C.2, 8.5.4-C.2.a.i, N-p1.1
#[test]
fn an_object_says_how_it_was_delivered() {
    let marked = |context: Option<&str>, correlator: Option<&str>, text: &str| {
        let mut object = object();
        let marks = Marks { context: context.map(str::to_owned), correlator: correlator.map(str::to_owned) };
        mark(&mut object, &marks, Some(&cpim(text)));
        (object.message_context, object.message_correlator)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(marked(None, None, "hi"), (None, None));
    let mms = "multimedia-message";
    assert_eq!(marked(Some(mms), Some("m-1"), "hi"), (some(mms), some("m-1")));
    let sms = "pager-message";
    assert_eq!(marked(Some(sms), None, "hi there"), (some(sms), some("hi there")));
    assert_eq!(marked(Some(sms), Some("x"), ""), (some(sms), some("x")));
    // Characters, not octets; and never what would end a header field.
    let long = "ä".repeat(200);
    assert_eq!(marked(Some(sms), None, &long).1, Some("ä".repeat(160)));
    assert_eq!(marked(Some(sms), None, "one\r\ntwo").1, some("one"));
}

#[test]
fn the_sender_hears_status_and_reasons() {
    let Message::Request(request) = read(message(
        "MESSAGE sip:b@x SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bKown\nFrom: <sip:a@x>;tag=own\nTo: <sip:b@x>\nCall-ID: own\nCSeq: 1 MESSAGE\nMax-Forwards: 70\n",
        "",
    )) else {
        panic!("a request")
    };
    let answer = response(
        "480 Not now",
        "Warning: 399 isf \"no\"\nRetry-After: 7\nX-Inside: secret\nMessage-Correlator: m\n",
    );
    let back = for_sender(&request, &answer);
    assert_eq!((back.status().as_u16(), back.reason()), (480, "Not now"));
    let text = String::from_utf8(back.to_bytes().to_vec()).unwrap();
    assert!(text.contains("From: <sip:a@x>;tag=own\r\n") && text.contains("Call-ID: own\r\n"));
    assert!(text.contains("Warning: 399 isf \"no\"\r\n") && text.contains("Retry-After: 7\r\n"));
    assert!(!text.contains("secret") && !text.contains("Correlator"));
}
