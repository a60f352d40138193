use super::*;
use cpm_sip::{Message, parse_datagram};

fn request(content_type: &str, body: &str) -> Request {
    let body = body.replace('\n', "\r\n");
    let head = format!(
        "MESSAGE sip:bob@home.test SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\nFrom: <sip:a@x>;tag=1\nTo: <sip:b@x>\nCall-ID: 1\nCSeq: 1 MESSAGE\nMax-Forwards: 70\nContent-Type: {content_type}\nX-Odd:   kept\nContent-Length: {}\n\n",
        body.len()
    );
    let octets = head.replace('\n', "\r\n") + &body;
    match parse_datagram(bytes::Bytes::from(octets), &cpm_sip::Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

const CPIM: &str = "From: <sip:a@x>\nTo: <sip:b@x>\n\nContent-Type: text/plain\n\nhi";

fn with_list(cpim: &str) -> String {
    format!(
        "--b\nContent-Type: message/cpim\nContent-ID: <1@x>\n\n{cpim}\n--b\nContent-Type: application/resource-lists+xml\nContent-Disposition: recipient-list\n\n<x/>\n--b--\n"
    )
}

#[test]
fn alone_or_beside_a_list() {
    let mixed = with_list(CPIM);
    for (content_type, body) in [("message/cpim", CPIM), ("Multipart/mixed; boundary=\"b\"", &mixed)] {
        let mut request = request(content_type, body);
        let before = request.to_bytes();
        let mut cpim = cpim_of(&request).unwrap().unwrap();
        assert_eq!(message_length(&request, Some(&cpim)), CPIM.replace('\n', "\r\n").len());
        set_cpim(&mut request, &cpim).unwrap();
        assert_eq!(request.to_bytes(), before);
        cpim.set_from(&cpm_cpim::Address::new("sip:other@x")).unwrap();
        set_cpim(&mut request, &cpim).unwrap();
        request.ensure_content_length();
        let old = String::from_utf8(before.to_vec()).unwrap();
        let expected = old.replace(
            "\r\nFrom: <sip:a@x>\r\nTo: <sip:b@x>\r\n\r\nC",
            "\r\nFrom: <sip:other@x>\r\nTo: <sip:b@x>\r\n\r\nC",
        );
        let written = String::from_utf8(request.to_bytes().to_vec()).unwrap();
        let length = |text: &str| {
            text.split("Content-Length: ")
                .nth(1)
                .unwrap()
                .split('\r')
                .next()
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        assert_eq!(length(&written), length(&old) + 4);
        assert_eq!(written.replace(&length(&written).to_string(), &length(&old).to_string()), expected);
    }
}

/// What came encoded goes on as it is meant.
#[test]
fn an_encoding_is_undone() {
    let encoded = "RnJvbTogPHNpcDphQHg+DQoNCkNvbnRlbnQtVHlwZTogdGV4dC9wbGFpbg0KDQpoaQ==";
    let body = format!(
        "--b\nContent-Type: message/cpim\nContent-Transfer-Encoding: base64\nX: y\n\n{encoded}\n--b--\n"
    );
    let mut request = request("multipart/mixed; boundary=b", &body);
    let cpim = cpim_of(&request).unwrap().unwrap();
    assert_eq!(cpim.from().unwrap().unwrap().uri, "sip:a@x");
    set_cpim(&mut request, &cpim).unwrap();
    let expected =
        "--b\nContent-Type: message/cpim\nX: y\n\nFrom: <sip:a@x>\n\nContent-Type: text/plain\n\nhi\n--b--\n";
    assert_eq!(request.body(), &expected.replace('\n', "\r\n"));
}

#[test]
fn what_is_no_single_readable_message() {
    assert_eq!(cpim_of(&request("text/plain", "hi")), Ok(None));
    assert_eq!(message_length(&request("text/plain", "hi"), None), 2);
    let two = format!("--b\nContent-Type: message/cpim\n\n{CPIM}\n{}", with_list(CPIM));
    assert_eq!(cpim_of(&request("multipart/mixed; boundary=b", &two)), Err(BodyFault::Several));
    assert!(matches!(cpim_of(&request("message/cpim", "nonsense")), Err(BodyFault::Cpim(_))));
    assert!(matches!(cpim_of(&request("multipart/mixed", "x")), Err(BodyFault::Mime(_))));
    assert!(matches!(cpim_of(&request("nonsense", "x")), Err(BodyFault::Mime(_))));
}
