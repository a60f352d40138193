#![allow(clippy::arithmetic_side_effects)]

extern crate std;

use super::*;
use crate::{Address, CPIM_NAMESPACE, MessageDirection};
use alloc::format;
use alloc::vec;
use cpm_base::DateTime;
use cpm_mime::MimeError;
use proptest::prelude::*;

fn read(text: &str, leniency: &Leniency) -> Result<(CpimMessage, Vec<Tolerated>), CpimError> {
    CpimMessage::parse(Bytes::from(String::from(text)), &Limits::default(), leniency)
}

fn strict(text: &str) -> Result<CpimMessage, CpimError> {
    read(text, &Leniency::default()).map(|(message, tolerated)| {
        assert!(tolerated.is_empty());
        message
    })
}

fn with(headers: &str) -> String {
    format!("From: <im:a@x>\r\n{headers}\r\nContent-Type: text/plain\r\n\r\nhi")
}

/// What peers write, in their order.
const FULL: &str = "From: <sip:alice@example.com>\r\nTo: \"Bob, B.\"<sip:bob@example.com>\r\nNS: imdn <urn:ietf:params:imdn>\r\n\
    imdn.Message-ID: Ab+/=<1>\r\nDateTime: 2026-11-21T10:00:00.250+01:00\r\n\
    imdn.Disposition-Notification: positive-delivery, display ,interworking;x=1,foo\r\nSubject: one\\ttwo\r\n\
    Subject:;lang=fr deux\r\ncc: <sip:carol@example.com>\r\nMessage-Direction: sent\r\nX-Unknown: \u{e4}\r\n\r\n\
    Content-Type: text/plain\r\n\r\nHello\n";

// req: O.1-abnf
#[test]
fn reads_all_fields_and_keeps_every_octet() {
    let message = strict(FULL).unwrap();
    assert_eq!(message.to_bytes(), FULL);
    assert_eq!(message.from().unwrap(), Some(Address::new("sip:alice@example.com")));
    assert_eq!(message.to().unwrap(), [Address::new("sip:bob@example.com").with_display_name("Bob, B.")]);
    assert_eq!(message.cc().unwrap(), [Address::new("sip:carol@example.com")]);
    assert_eq!(message.imdn_message_id().unwrap().unwrap(), "Ab+/=<1>");
    assert_eq!(message.date_time().unwrap(), Some(DateTime::parse("2026-11-21T10:00:00.25+01:00").unwrap()));
    assert_eq!(message.date_time_text().unwrap(), "2026-11-21T10:00:00.250+01:00");
    let wanted = message.disposition_notification().unwrap();
    assert!(wanted.positive_delivery && wanted.display && wanted.interworking);
    assert!(!wanted.negative_delivery && !wanted.processing);
    assert_eq!(wanted.extensions, ["foo"]);
    let subjects = message.subjects();
    assert_eq!((subjects[0].text.as_str(), subjects[0].language.as_deref()), ("one\ttwo", None));
    assert_eq!((subjects[1].text.as_str(), subjects[1].language.as_deref()), ("deux", Some("fr")));
    assert_eq!(message.subject().unwrap(), "one\ttwo");
    assert_eq!(message.message_direction(), Some(MessageDirection::Sent));
    assert_eq!(message.namespaces(), [(Some("imdn".into()), "urn:ietf:params:imdn".into())]);
    assert_eq!(message.headers().get_all(CPIM_NAMESPACE, "X-Unknown")[0].value(), "\u{e4}");
    assert_eq!(message.content().body, "Hello\n");
    assert!(!message.is_imdn() && message.require().unwrap().is_empty());
    assert!(!format!("{message:?}").contains("Hello"));
    // Written anew from its header fields and its content, it is the same.
    let mut copy = message.clone();
    copy.source = None;
    assert_eq!(copy.to_bytes(), FULL);
}

#[test]
fn imdn_fields_are_found_by_namespace_alone() {
    let id = |headers: &str| strict(&with(headers)).unwrap().imdn_message_id().unwrap();
    assert_eq!(id("NS: i <urn:ietf:params:imdn>\r\ni.Message-ID: 1\r\n").as_deref(), Some("1"));
    assert_eq!(id("NS: imdn <urn:other>\r\nimdn.Message-ID: 1\r\n"), None);
    assert_eq!(id("NS: <urn:ietf:params:imdn>\r\nMessage-ID: 1\r\n").as_deref(), Some("1"));
    assert_eq!(id("Message-ID: 1\r\n"), None);
    assert_eq!(id("NS: i <urn:ietf:params:imdn>\r\ni.message-id: 1\r\n"), None);
    // Once the default is another one, a bare name is no CPIM name any more, and a prefix brings it back.
    let moved = "NS: <urn:x>\r\nTo: <im:b@x>\r\nNS: c <urn:ietf:params:cpim-headers:>\r\nc.To: <im:c@x>\r\n";
    assert_eq!(strict(&with(moved)).unwrap().to().unwrap(), [Address::new("im:c@x")]);
    let by_prefix =
        "NS: c <urn:ietf:params:cpim-headers:>\r\nc.NS: i <urn:ietf:params:imdn>\r\ni.Message-ID: 2\r\n";
    assert_eq!(id(by_prefix).as_deref(), Some("2"));
}

// Names and literals are case-sensitive: RFC 3862 §2.2, erratum 3625. interop: 20
#[test]
fn names_and_literals_are_case_sensitive() {
    let message = strict(&with("to: <im:b@x>\r\nTO: <im:b@x>\r\nCC: <im:b@x>\r\nDatetime: x\r\n")).unwrap();
    assert!(message.to().unwrap().is_empty() && message.cc().unwrap().is_empty());
    assert_eq!(message.date_time(), Ok(None));
    let message =
        strict(&with("NS: i <urn:ietf:params:imdn>\r\ni.Disposition-Notification: Display\r\n")).unwrap();
    let wanted = message.disposition_notification().unwrap();
    assert!(!wanted.display && wanted.extensions == ["Display"]);
    let message = strict(&with("ns: i <urn:ietf:params:imdn>\r\n")).unwrap();
    assert!(message.namespaces().is_empty());
    assert_eq!(strict(&with("Message-Direction: Sent\r\n")).unwrap().message_direction(), None);
}

// req: C.1.9-T4, C.1.9-abnf, C.1.9-p2
#[test]
fn message_direction_is_one_of_two_words_or_ignored() {
    let direction = |headers: &str| strict(&with(headers)).unwrap().message_direction();
    assert_eq!(direction("Message-Direction: sent\r\n"), Some(MessageDirection::Sent));
    assert_eq!(direction("Message-Direction: received\r\n"), Some(MessageDirection::Received));
    for ignored in
        ["", "Message-Direction: \r\n", "Message-Direction: forwarded\r\n", "Message-Direction: SENT\r\n"]
    {
        assert_eq!(direction(ignored), None, "{ignored:?}");
    }
    assert_eq!(direction("Message-Direction: sent\r\nMessage-Direction: sent\r\n"), None);
}

#[test]
fn notifications_are_recognised_by_their_content() {
    let typed =
        |headers: &str| strict(&format!("From: <im:a@x>\r\n\r\n{headers}\r\n\r\n")).unwrap().is_imdn();
    assert!(typed("Content-Type: message/imdn+xml\r\nContent-Disposition: notification"));
    assert!(typed("Content-Disposition: notification\r\nContent-type: Message/IMDN+xml"));
    assert!(typed("Content-Type: application/imdn+xml"));
    assert!(typed("Content-Type: multipart/mixed;boundary=b\r\nContent-Disposition: notification"));
    assert!(!typed("Content-Type: multipart/mixed;boundary=b"));
    assert!(!typed("Content-Type: text/plain\r\nContent-Disposition: notification"));
}

/// threats: A9, A16, B3
#[test]
fn broken_messages_are_refused_with_their_line() {
    let cases = [
        ("", CpimError::HeadersNotEnded),
        ("From: <im:a@x>", CpimError::HeadersNotEnded),
        ("From: <im:a@x>\r", CpimError::HeadersNotEnded),
        ("From: <im:a@x>\r\n", CpimError::HeadersNotEnded),
        ("\r\nContent-Type: a/b\r\n\r\n", CpimError::NoHeaders),
        ("From: <im:a@x>\n\nContent-Type: a/b\n\n", CpimError::BareLineEnd { line: 1 }),
        (
            "From: <im:a@x>\r\nTo: x\nCc: y\r\n\r\nContent-Type: a/b\r\n\r\n",
            CpimError::BareLineEnd { line: 2 },
        ),
        ("From: <im:a@x>\rTo: x\r\n\r\n", CpimError::BareLineEnd { line: 1 }),
        ("From: <im:a@x>\r\nX: a\0b\r\n\r\n", CpimError::ControlCharacter { line: 2 }),
        ("From: <im:a@x>\r\nX: a\tb\r\n\r\n", CpimError::ControlCharacter { line: 2 }),
        ("From: <im:a@x>\r\n folded\r\n\r\n", CpimError::HeaderSyntax { line: 2 }),
        ("From <im:a@x>\r\n\r\n", CpimError::HeaderSyntax { line: 1 }),
        (": x\r\n\r\n", CpimError::HeaderSyntax { line: 1 }),
        ("Fr om: x\r\n\r\n", CpimError::HeaderSyntax { line: 1 }),
        ("From : x\r\n\r\n", CpimError::HeaderSyntax { line: 1 }),
        ("a.b.c: x\r\n\r\n", CpimError::HeaderSyntax { line: 1 }),
        (".b: x\r\n\r\n", CpimError::HeaderSyntax { line: 1 }),
        ("X:;lang x\r\n\r\n", CpimError::HeaderSyntax { line: 1 }),
        ("From:<im:a@x>\r\n\r\n", CpimError::Whitespace { line: 1 }),
        ("From:  <im:a@x>\r\n\r\n", CpimError::Whitespace { line: 1 }),
        ("From: <im:a@x> \r\n\r\n", CpimError::Whitespace { line: 1 }),
        ("From:\r\n\r\n", CpimError::Whitespace { line: 1 }),
        ("imdn.Message-ID: 1\r\n\r\n", CpimError::UndeclaredPrefix { prefix: "imdn".into() }),
        ("i.a: 1\r\nNS: i <urn:x>\r\n\r\n", CpimError::UndeclaredPrefix { prefix: "i".into() }),
        ("NS: i <urn:x>\r\nNS: i <urn:y>\r\n\r\n", CpimError::PrefixRedeclared { prefix: "i".into() }),
        ("A: b\r\nNS: i urn:x\r\n\r\n", CpimError::NamespaceSyntax { line: 2 }),
        ("A: b\r\n\r\n", CpimError::Content(MimeError::NoBlankLine)),
        ("A: b\r\n\r\nhello", CpimError::Content(MimeError::Truncated)),
        ("A: b\r\n\r\nhello\r\n\r\n", CpimError::Content(MimeError::BadHeaderName)),
        ("A: b\r\n\r\n\r\nhello", CpimError::NoContentType),
        ("A: b\r\n\r\nContent-ID: <a>\r\n\r\nhello", CpimError::NoContentType),
        ("A: b\r\n\r\nContent-Type: a/b\n\r\n", CpimError::Content(MimeError::BareLineEnd)),
    ];
    for (text, error) in cases {
        assert_eq!(strict(text), Err(error), "{text:?}");
    }
    let latin = Bytes::from_static(b"A: b\r\nX: \xe4\r\n\r\n");
    let refused = CpimMessage::parse(latin, &Limits::default(), &Leniency::field()).map(drop);
    assert_eq!(refused, Err(CpimError::NotUtf8 { line: 2 }));
    assert!(strict(&with("NS: i <urn:x>\r\nNS: i <urn:x>\r\nX: \r\n")).is_ok());
}

#[test]
fn broken_fields_do_not_break_the_message() {
    let imdn = |field: &str| strict(&with(&format!("NS: imdn <urn:ietf:params:imdn>\r\n{field}"))).unwrap();
    assert_eq!(imdn("From: <im:b@x>\r\n").from(), Err(CpimError::Repeated("From")));
    assert_eq!(imdn("To: im:b@x\r\n").to(), Err(CpimError::AddressSyntax("To")));
    assert_eq!(imdn("cc: \r\n").cc(), Err(CpimError::AddressSyntax("cc")));
    assert_eq!(imdn("DateTime: today\r\n").date_time(), Err(CpimError::DateTimeSyntax));
    assert_eq!(imdn("DateTime: a\r\nDateTime: a\r\n").date_time(), Err(CpimError::Repeated("DateTime")));
    assert_eq!(imdn("imdn.Message-ID: \r\n").imdn_message_id(), Err(CpimError::MessageIdSyntax));
    assert_eq!(imdn("imdn.Message-ID: a b\r\n").imdn_message_id(), Err(CpimError::MessageIdSyntax));
    let twice = imdn("imdn.Message-ID: a\r\nimdn.Message-ID: b\r\n");
    assert_eq!(twice.imdn_message_id(), Err(CpimError::Repeated("Message-ID")));
    let wrong = imdn("imdn.Disposition-Notification: a b\r\n");
    assert_eq!(wrong.disposition_notification(), Err(CpimError::DispositionSyntax));
    assert!(imdn("imdn.Disposition-Notification: \r\n").disposition_notification().unwrap().is_empty());
    let both =
        imdn("imdn.Disposition-Notification: display\r\nimdn.Disposition-Notification: processing\r\n");
    let both = both.disposition_notification().unwrap();
    assert!(both.display && both.processing);
    let to = "imdn.Original-To: <im:a@x>\r\n";
    assert_eq!(imdn(&to.repeat(2)).original_to(), Err(CpimError::Repeated("Original-To")));
    assert_eq!(imdn(to).original_to().unwrap(), Some(Address::new("im:a@x")));
    assert_eq!(imdn("Require: A B\r\n").require(), Err(CpimError::RequireSyntax));
    assert_eq!(imdn("Require: x.A\r\n").require(), Err(CpimError::UndeclaredPrefix { prefix: "x".into() }));
    let known =
        [("urn:ietf:params:imdn".into(), "Message-ID".into()), (CPIM_NAMESPACE.into(), "Subject".into())];
    assert_eq!(imdn("Require: imdn.Message-ID,Subject\r\n").require().unwrap(), known);
    let routes = imdn(
        "imdn.IMDN-Route: <im:1@x>\r\nimdn.IMDN-Record-Route: <im:2@x>\r\nimdn.IMDN-Route: <im:3@x>\r\n",
    );
    assert_eq!(routes.route().unwrap(), [Address::new("im:1@x"), Address::new("im:3@x")]);
    assert_eq!(routes.record_route().unwrap(), [Address::new("im:2@x")]);
}

const CONTENT: &str = "Content-Type: text/plain\r\n\r\nhi";

// interop: 2, 20
#[test]
fn each_deviation_has_its_switch_and_is_reported() {
    let none = Leniency::default();
    let cases = [
        (
            format!("From: <im:a@x>\r\n{CONTENT}"),
            Leniency { single_block: true, ..none },
            Tolerated::SingleBlock,
        ),
        (
            format!("From: <im:a@x>\r\n\r\nTo: <im:b@x>\r\n\r\nNS: i <urn:x>\r\n\r\ni.y: z\r\n\r\n{CONTENT}"),
            Leniency { blank_line_between_headers: true, ..none },
            Tolerated::BlankLineBetweenHeaders,
        ),
        (
            format!(
                "content-type: Message/CPIM; x=y\r\nContent-Length: 9\r\n\r\nFrom: <im:a@x>\r\n\r\n{CONTENT}"
            ),
            Leniency { repeated_mime_block: true, ..none },
            Tolerated::RepeatedMimeBlock,
        ),
        (
            format!("From:<im:a@x>\r\nTo:  <im:b@x> \r\nX:\r\n\r\n{CONTENT}"),
            Leniency { loose_whitespace: true, ..none },
            Tolerated::LooseWhitespace,
        ),
        (
            format!("From: <im:a@x>\r\nimdn.Message-ID: 1\r\n\r\n{CONTENT}"),
            Leniency { undeclared_prefix: true, ..none },
            Tolerated::UndeclaredPrefix,
        ),
    ];
    for (text, leniency, tolerated) in &cases {
        assert!(strict(text).is_err(), "{text:?}");
        for allowed in [leniency, &Leniency::field()] {
            let (message, met) = read(text, allowed).unwrap();
            assert_eq!(met, [*tolerated], "{text:?}");
            assert_eq!(message.from().unwrap(), Some(Address::new("im:a@x")), "{text:?}");
            assert_eq!((message.content().body.as_ref(), message.imdn_message_id()), (&b"hi"[..], Ok(None)));
            assert_eq!(message.to_bytes(), *text);
        }
        // No other switch lets it pass.
        for (_, other, named) in &cases {
            assert_eq!(read(text, other).is_ok(), named == tolerated, "{text:?} {named:?}");
        }
    }
    let all = "Content-Type: message/cpim\r\n\r\nFrom:<im:a@x>\r\n\r\nTo: <im:b@x>\r\nq.r: s\r\nContent-type: a/b\r\n\r\n";
    let (message, met) = read(all, &Leniency::field()).unwrap();
    assert_eq!(met.len(), 5);
    assert_eq!(message.to().unwrap().len(), 1);
    // An edit writes the strict form.
    let mut message = message;
    message.set_to(&Address::new("im:c@x")).unwrap();
    assert_eq!(
        message.to_bytes(),
        "From:<im:a@x>\r\nTo: <im:c@x>\r\nq.r: s\r\n\r\nContent-type: a/b\r\n\r\n"
    );
}

#[test]
fn a_well_formed_message_never_depends_on_leniency() {
    // Read strictly, the first Content-Type is a message header field that nobody knows.
    let text = "From: <im:a@x>\r\nContent-Type: text/html\r\n\r\nContent-Type: text/plain\r\n\r\nhi";
    let (message, met) = read(text, &Leniency::field()).unwrap();
    assert_eq!((message.content().content_type().unwrap().essence(), met), ("text/plain".into(), vec![]));
    // But a block that announces message/cpim is never taken for a message, though to the letter it could be one.
    let repeated = "Content-Type: message/cpim\r\n\r\nFrom: <im:a@x>\r\nContent-Type: text/plain\r\n\r\nhi";
    assert_eq!(strict(repeated), Err(CpimError::RepeatedMimeBlock));
    let (message, met) = read(repeated, &Leniency::field()).unwrap();
    assert_eq!(met, [Tolerated::SingleBlock, Tolerated::RepeatedMimeBlock]);
    assert!(message.from().unwrap().is_some());
    // What leniency cannot mend is refused with the strict reason; a bare LF is never a line end.
    let bare = "From: <im:a@x>\nTo: <im:b@x>\n\nContent-Type: text/plain\n\nhi";
    assert_eq!(read(bare, &Leniency::field()).map(drop), Err(CpimError::BareLineEnd { line: 1 }));
    let prose = "NS: imdn <urn:ietf:params:imdn>.\r\n\r\nOf course\r\n";
    assert_eq!(read(prose, &Leniency::field()).map(drop), Err(CpimError::NamespaceSyntax { line: 1 }));
}

/// Threat A5: one more than each limit is refused, the limit itself is not.
#[test]
fn every_limit_holds_to_the_one() {
    let limit = |limit, value, max| Some(CpimError::Limit(LimitExceeded { limit, value, max }));
    let headers = |n: usize| format!("{}\r\n{CONTENT}", "A: b\r\n".repeat(n));
    assert!(strict(&headers(64)).is_ok());
    assert_eq!(strict(&headers(65)).err(), limit("cpim.max_headers", 65, 64));
    // The blank line counts.
    let sized = |n: usize| format!("A: {}\r\n\r\n{CONTENT}", "b".repeat(n - 7));
    assert!(strict(&sized(8192)).is_ok());
    assert_eq!(strict(&sized(8193)).err(), limit("cpim.max_header_bytes", 8193, 8192));
    assert_eq!(strict(&sized(8195)).err(), limit("cpim.max_header_bytes", 8193, 8192));
    assert_eq!(strict(&sized(80_000)).err(), limit("cpim.max_header_bytes", 8193, 8192));
    for name in ["IMDN-Route", "IMDN-Record-Route"] {
        let routes = |n: usize| {
            with(&format!("NS: i <urn:ietf:params:imdn>\r\n{}", format!("i.{name}: <im:a@x>\r\n").repeat(n)))
        };
        assert!(strict(&routes(8)).is_ok());
        assert_eq!(strict(&routes(9)).err(), limit("imdn.max_route", 9, 8));
    }
    assert!(Limits::default().validate().is_ok());
    let mime = cpm_mime::Limits { max_parts: 0, ..cpm_mime::Limits::DEFAULT };
    for (broken, name) in [
        (Limits { max_headers: 0, ..Limits::DEFAULT }, "cpim.max_headers"),
        (Limits { max_header_bytes: 0, ..Limits::DEFAULT }, "cpim.max_header_bytes"),
        (Limits { mime, ..Limits::DEFAULT }, "mime.max_parts"),
    ] {
        assert_eq!(broken.validate().unwrap_err().0, name);
    }
}

fn nested(depth: usize) -> String {
    let mut text = with("");
    for _ in 0..depth {
        text = format!("From: <im:a@x>\r\n\r\nContent-Type: message/cpim\r\n\r\n{text}");
    }
    text
}

#[test]
fn a_message_inside_a_message_and_no_further() {
    let (limits, none) = (Limits::default(), Leniency::default());
    let plain = strict(&nested(0)).unwrap();
    assert_eq!(plain.nested(&limits, &none), Ok(None));
    let outer = strict(&nested(1)).unwrap();
    let (inner, _) = outer.nested(&limits, &none).unwrap().unwrap();
    assert_eq!(inner.to_bytes(), nested(0));
    let too_deep = Some(CpimError::Limit(LimitExceeded { limit: "cpim.depth", value: 2, max: 1 }));
    assert_eq!(strict(&nested(2)).err(), too_deep);
    assert_eq!(strict(&nested(50)).err(), too_deep);
    let flat = Limits { max_depth: 0, ..Limits::DEFAULT };
    assert!(CpimMessage::parse(Bytes::from(nested(0)), &flat, &none).is_ok());
    assert!(CpimMessage::parse(Bytes::from(nested(1)), &flat, &none).is_err());
    // What cannot be read inside is content like any other.
    let broken = "From: <im:a@x>\r\n\r\nContent-Type: message/cpim\r\n\r\nnothing";
    assert_eq!(strict(broken).unwrap().nested(&limits, &none).map(drop), Err(CpimError::HeadersNotEnded));
}

/// threats: A11, P1
#[test]
#[allow(clippy::disallowed_methods)]
fn a_small_stack_is_enough_for_deep_messages() {
    let work = || {
        let open = Limits { max_depth: usize::MAX, ..Limits::DEFAULT };
        // 1 MiB of messages inside one another, with and without an end.
        let head = "F: a\r\n\r\nContent-Type: message/cpim\r\n\r\n".repeat(27_000);
        for end in ["", &nested(0)] {
            let text = Bytes::from(format!("{head}{end}"));
            assert!(CpimMessage::parse(text.clone(), &open, &Leniency::field()).is_ok());
            assert!(CpimMessage::parse(text, &Limits::default(), &Leniency::field()).is_err());
        }
    };
    std::thread::Builder::new().stack_size(64 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn every_cut_is_an_error_or_a_shorter_body() {
    let body = FULL.len() - "Hello\n".len();
    for end in 0..FULL.len() {
        let cut = Bytes::copy_from_slice(FULL.as_bytes().get(..end).unwrap());
        let read = CpimMessage::parse(cut.clone(), &Limits::default(), &Leniency::default());
        assert_eq!(read.is_ok(), end >= body, "{end}");
        let _ = CpimMessage::parse(cut, &Limits::default(), &Leniency::field());
    }
}

proptest! {
    #[test]
    fn no_octets_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        near in "(From: |NS: |i|<urn:x>|<im:a@x>|i\\.a: b|\\r\\n|\\r\\n|\\n| |:|;lang=a|Content-Type: |message/cpim|a/b|\\\\|\"){0,30}",
    ) {
        for input in [Bytes::from(bytes), Bytes::from(near)] {
            for leniency in [Leniency::default(), Leniency::field()] {
                if let Ok((message, _)) = CpimMessage::parse(input.clone(), &Limits::default(), &leniency) {
                    prop_assert_eq!(message.to_bytes(), input.clone());
                    let _ = (message.from(), message.to(), message.date_time(), message.require(), message.is_imdn());
                    let _ = (message.imdn_message_id(), message.disposition_notification(), message.subjects());
                    if leniency == Leniency::default() {
                        let mut anew = message;
                        anew.source = None;
                        prop_assert_eq!(anew.to_bytes(), input.clone());
                    }
                }
            }
        }
    }

    /// Who asks by octets whether a message could be a notification misses none, whatever the spelling, the folds and the
    /// comments, and whether one announcement or none stands there.
    #[test]
    fn no_notification_is_missed_by_its_octets(
        head in "(From: <im:a@x>\\r\\n){0,2}",
        media in "(message/imdn|application/IMDN|MESSAGE/imdn|multipart/mixed|multipart)(\\+xml|\\+XML)?",
        disposition in proptest::option::of("(C|c)ontent-(D|d)isposition:( |\\r\\n )notification"),
        (at, fold) in (0..24usize, "| |\\(c\\)|\\r\\n |;a=b"),
    ) {
        let mut media = media;
        media.insert_str(at.min(media.len()), &fold);
        let disposition = disposition.map_or(String::new(), |line| format!("{line}\r\n"));
        let octets = Bytes::from(format!("{head}\r\ncontent-Type: {media}\r\n{disposition}\r\n<imdn/>"));
        for leniency in [Leniency::default(), Leniency::field()] {
            if let Ok((message, _)) = CpimMessage::parse(octets.clone(), &Limits::default(), &leniency) {
                prop_assert!(!message.is_imdn() || CpimMessage::may_be_imdn(&octets), "{octets:?}");
            }
        }
    }

    #[test]
    fn no_edit_of_a_message_panics(at in 0..FULL.len(), with in any::<u8>(), insert in any::<bool>()) {
        let mut bytes = FULL.as_bytes().to_vec();
        if insert { bytes.insert(at, with) } else { bytes[at] = with }
        let _ = CpimMessage::parse(Bytes::from(bytes), &Limits::default(), &Leniency::field());
    }
}
