//! Examples of the RFCs through several layers: what one crate takes out of a message, the next one reads. Each crate's
//! own `tests/vectors.rs` reads the examples of its format. The corpus lives outside the repository; where it is
//! missing, this says so and checks nothing.

use bytes::Bytes;
use cpm_cpim::{CpimMessage, Leniency, Tolerated};
use cpm_msrp::{ContinuationFlag, Frame, Head, StreamParser};
use cpm_sip::{ContentType, Message, Request, Response, StatusCode};
use cpm_xml::imdn::{DeliveryStatus, Notification};
use std::path::PathBuf;

fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/rfc-examples");
    if !folder.join("expectations.tsv").is_file() {
        println!("not run: no corpus at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// Names of the examples of this kind that the corpus calls valid.
fn valid(folder: &std::path::Path, kind: &str) -> Vec<String> {
    let table = std::fs::read_to_string(folder.join("expectations.tsv")).unwrap();
    let rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row[1] == kind && row[2] == "valid").map(|row| row[0].to_owned()).collect()
}

fn load(folder: &std::path::Path, name: &str) -> Bytes {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).into()
}

fn sip(octets: Bytes) -> Message {
    cpm_sip::parse_datagram(octets, &cpm_sip::Limits::default()).unwrap()
}

fn request(octets: Bytes) -> Request {
    let Message::Request(request) = sip(octets) else { panic!("no request") };
    request
}

fn response(octets: Bytes) -> Response {
    let Message::Response(response) = sip(octets) else { panic!("no response") };
    response
}

/// RFC 3428 §10: the answers of the example belong to its requests.
#[test]
fn rfc_3428_answers_belong_to_requests() {
    let Some(folder) = corpus() else { return };
    for (asked, answered) in
        [("rfc3428-sec10-2.sip", "rfc3428-sec10-3.sip"), ("rfc3428-sec10-2.fixed.sip", "rfc3428-sec10-3.sip")]
    {
        let request = request(load(&folder, asked));
        assert_eq!(*request.method(), cpm_sip::Method::Message);
        assert!(request.body().starts_with(b"Watson, come here."));
        let printed = response(load(&folder, answered));
        let ours = Response::for_request(&request, StatusCode::OK);
        assert_eq!(ours.typed::<cpm_sip::CallId>(), printed.typed::<cpm_sip::CallId>());
        assert_eq!(ours.typed::<cpm_sip::CSeq>(), printed.typed::<cpm_sip::CSeq>());
        assert_eq!(ours.typed::<cpm_sip::From>(), printed.typed::<cpm_sip::From>());
        let branches = |response: &Response| {
            let vias = response.typed_list::<cpm_sip::Via>();
            vias.map(|vias| vias.into_iter().map(|via| via.branch().map(str::to_owned)).collect::<Vec<_>>())
        };
        assert_eq!(branches(&ours).unwrap().len(), 2);
        // The printed one has an empty parameter (";;branch"), which no grammar has: the field is an error, the message
        // is not.
        assert!(branches(&printed).is_err());
    }
}

/// The session descriptions inside of SIP examples are read as they stand.
#[test]
fn session_descriptions_inside_of_sip() {
    let Some(folder) = corpus() else { return };
    let (mut read, mut wrong) = (0, Vec::new());
    for name in valid(&folder, "sip") {
        // Misprints are the business of cpm-sip's own test.
        let octets = load(&folder, &name);
        let Ok(message) = cpm_sip::parse_datagram(octets, &cpm_sip::Limits::default()) else { continue };
        let Ok(Some(kind)) = message.typed::<ContentType>() else { continue };
        if !kind.is("application/sdp") || message.body().is_empty() {
            continue;
        }
        match cpm_sdp::SessionDescription::parse(message.body(), &cpm_sdp::Limits::default()) {
            Ok(description) => {
                assert_eq!(description.to_bytes(), message.body(), "{name}");
                read += 1;
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    println!("{read} session descriptions read");
    // Printed without the line that RFC 4566 §5.9 demands.
    let expected = ["rfc7701-sec9.1-1.sip: there is no t= line", "rfc7701-sec9.1-2.sip: there is no t= line"];
    assert_eq!(wrong, expected);
    assert!(read >= 100);
}

/// Head, body and flag of the one chunk in an example.
fn chunk(octets: Bytes) -> (Head, Bytes, ContinuationFlag) {
    let mut parser = StreamParser::new(&cpm_msrp::Limits::default());
    parser.push(octets);
    let Some(Frame::Head(head)) = parser.next() else { panic!("no head") };
    let mut body = Vec::new();
    loop {
        match parser.next() {
            Some(Frame::Body(piece)) => body.extend_from_slice(&piece),
            Some(Frame::End(flag)) => return (head, body.into(), flag),
            other => panic!("{other:?}"),
        }
    }
}

/// RFC 4975 §11.4: a message/cpim in two chunks. It is printed without the blank line before the MIME header fields
/// (interop: 20), and its last octet counts a line end that is not printed.
#[test]
fn rfc_4975_chunks_join_to_a_cpim_message() {
    let Some(folder) = corpus() else { return };
    let (first, begin, more) = chunk(load(&folder, "rfc4975-sec11.4-1.msrp"));
    let (second, rest, end) = chunk(load(&folder, "rfc4975-sec11.4-2.msrp"));
    assert_eq!((more, end), (ContinuationFlag::More, ContinuationFlag::End));
    assert_eq!(first.message_id(), second.message_id());
    let start = |head: &Head| head.byte_range().unwrap().start - 1;
    let mut message = cpm_msrp::Reassembly::new(1000);
    message.push(start(&second), &rest).unwrap();
    message.push(start(&first), &begin).unwrap();
    let whole = message.finish(147).unwrap();

    let limits = cpm_cpim::Limits::default();
    assert!(CpimMessage::parse(whole.clone(), &limits, &Leniency::default()).is_err());
    let (cpim, tolerated) = CpimMessage::parse(whole, &limits, &Leniency::field()).unwrap();
    assert_eq!(tolerated, [Tolerated::SingleBlock]);
    assert_eq!(cpim.from().unwrap().unwrap().uri, "sip:alice@example.com");
    assert_eq!(cpim.content().body, "ABCD1234567890");
}

/// RFC 5438 §7.1.1.3 and §7.2.1.1: the notification names the message, as printed and with the errata applied.
#[test]
fn rfc_5438_notification_names_the_message() {
    let Some(folder) = corpus() else { return };
    let read = |name: &str| {
        CpimMessage::parse(load(&folder, name), &cpm_cpim::Limits::default(), &Leniency::field()).unwrap()
    };
    for (suffix, deviations) in [("cpim", &[Tolerated::SingleBlock][..]), ("fixed.cpim", &[])] {
        let (message, tolerated) = read(&format!("rfc5438-sec7.1.1.3-1.{suffix}"));
        assert_eq!(tolerated, deviations);
        let wish = message.disposition_notification().unwrap();
        assert!(wish.positive_delivery && wish.negative_delivery && !wish.display);

        let (report, tolerated) = read(&format!("rfc5438-sec7.2.1.1-1.{suffix}"));
        assert_eq!(tolerated, deviations);
        assert!(report.is_imdn());
        let document = cpm_xml::imdn::parse(&report.content().body, &cpm_xml::Limits::default()).unwrap();
        assert_eq!(Some(document.message_id), message.imdn_message_id().unwrap());
        assert_eq!(document.notification, Notification::Delivery(DeliveryStatus::Delivered));
        assert_eq!(document.recipient_uri, message.to().unwrap().pop().map(|to| to.uri));
    }
}
