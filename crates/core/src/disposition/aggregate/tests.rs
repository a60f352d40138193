#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::*;
use cpm_cpim::{Address, CpimBuilder, CpimMessage};
use cpm_xml::imdn::{DeliveryStatus, DisplayStatus, Notification};
use proptest::prelude::*;

fn imdn(number: usize) -> Imdn {
    let what = if number.is_multiple_of(2) {
        Notification::Delivery(DeliveryStatus::Delivered)
    } else {
        Notification::Display(DisplayStatus::Displayed)
    };
    Imdn::new(&format!("id{number}"), "2008-04-04T12:16:49-05:00", what)
        .with_recipient_uri(&format!("im:canary{number}@example.com"))
        .with_original_recipient_uri(&format!("im:canary{number}@example.com"))
}

fn read(content: &Part) -> Vec<Imdn> {
    let read = notifications(content, &cpm_mime::Limits::default(), &cpm_xml::Limits::default()).unwrap();
    read.into_iter().map(Result::unwrap).collect()
}

#[test]
fn what_is_aggregated_is_read_back_in_order() {
    for count in [1, 2, 3, 32, 33, 100] {
        let all: Vec<Imdn> = (0..count).map(imdn).collect();
        let contents = aggregate(&all, Disclosure::Recipients, &cpm_mime::Limits::default()).unwrap();
        assert_eq!(contents.len(), count.div_ceil(32));
        let mut again = Vec::new();
        for content in contents {
            // As the message goes: in CPIM, and recognised as what it is.
            let message =
                CpimBuilder::new(Address::new("im:bob@example.com"), Address::new("im:alice@example.com"))
                    .imdn_message_id("d834jied93rf")
                    .content(content)
                    .build()
                    .unwrap();
            let wire = message.to_bytes();
            let (message, _) = CpimMessage::parse(wire, &Default::default(), &Default::default()).unwrap();
            assert!(message.is_imdn());
            again.extend(read(message.content()));
        }
        assert_eq!(again, all);
    }
    assert_eq!(aggregate(&[], Disclosure::Recipients, &cpm_mime::Limits::default()), Ok(Vec::new()));
}

/// The example of RFC 5438 §8.3 with the errata applied (a blank line, a closing delimiter), and parts of other kinds, and
/// one that is broken.
#[test]
fn one_broken_notification_does_not_hide_the_others() {
    let body = "--imdn-boundary\r\nContent-type: message/imdn+xml\r\n\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
        <imdn xmlns=\"urn:ietf:params:xml:ns:imdn\"><message-id>34jk324j</message-id>\
        <datetime>2008-04-04T12:16:49-05:00</datetime><delivery-notification><status><delivered/></status>\
        </delivery-notification></imdn>\r\n--imdn-boundary\r\nContent-type: message/imdn+xml\r\n\r\n<imdn\r\n\
        --imdn-boundary\r\n\r\nHello\r\n--imdn-boundary\r\nContent-Type: message/imdn+xml\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n====\r\n--imdn-boundary--\r\n";
    let kind = ContentType::parse("multipart/mixed; boundary=\"imdn-boundary\"").unwrap();
    let content = Part::new(&kind, Bytes::from(body));
    let read = notifications(&content, &cpm_mime::Limits::default(), &cpm_xml::Limits::default()).unwrap();
    assert_eq!(read.len(), 3);
    assert_eq!(read[0].as_ref().unwrap().message_id, "34jk324j");
    assert!(matches!(read[1], Err(ImdnFault::Xml(_))) && matches!(read[2], Err(ImdnFault::Mime(_))));
    let text = Part::new(&ContentType::parse("text/plain").unwrap(), Bytes::new());
    assert_eq!(notifications(&text, &Default::default(), &Default::default()), Ok(Vec::new()));
}

/// Threat E10: nothing of a hidden recipient is in what the sender gets.
#[test]
fn hidden_recipients_stay_hidden() {
    let all: Vec<Imdn> = (0..5).map(imdn).collect();
    let limits = cpm_mime::Limits::default();
    let wire = |disclosure| {
        let contents = aggregate(&all, disclosure, &limits).unwrap();
        contents.iter().map(|part| String::from_utf8(part.to_bytes().to_vec()).unwrap()).collect::<String>()
    };
    assert!(!wire(Disclosure::Nobody).contains("canary"));
    assert_eq!(wire(Disclosure::Recipients).matches("canary").count(), 10);
    assert_eq!(wire(Disclosure::Nobody).matches("<message-id>").count(), 5);
}

/// Threat A15: no more parts than the limit, and as many as that.
#[test]
fn more_parts_than_the_limit_are_refused() {
    let generous = cpm_mime::Limits { max_parts: 40, ..Default::default() };
    let all: Vec<Imdn> = (0..33).map(imdn).collect();
    let content = aggregate(&all, Disclosure::Nobody, &generous).unwrap().remove(0);
    assert_eq!(notifications(&content, &generous, &Default::default()).unwrap().len(), 33);
    assert!(matches!(
        notifications(&content, &Default::default(), &Default::default()),
        Err(MimeError::Limit(_))
    ));
}

proptest! {
    /// Octets of any kind give notifications or faults.
    #[test]
    fn no_octets_panic(body in any::<Vec<u8>>(), near in "(--b(--)?|\r\n|<imdn|[a-z: ]){0,30}") {
        let kind = ContentType::parse("multipart/mixed;boundary=b").unwrap();
        for body in [Bytes::from(body), Bytes::from(near)] {
            let _ = notifications(&Part::new(&kind, body), &Default::default(), &Default::default());
        }
    }
}
