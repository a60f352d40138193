#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::{CPIM_NAMESPACE, Leniency, Subject};
use alloc::format;
use alloc::vec;
use bytes::Bytes;
use cpm_mime::ContentType;
use proptest::prelude::*;

fn text(body: &str) -> Part {
    Part::new(&ContentType::parse("text/plain").unwrap(), Bytes::from(String::from(body)))
}

fn from_to() -> CpimBuilder {
    CpimBuilder::new(Address::new("sip:a@x"), Address::new("sip:b@x")).content(text("hi"))
}

fn read(message: &CpimMessage) -> CpimMessage {
    let (read, tolerated) = CpimMessage::parse(message.to_bytes(), &Limits::default(), &Leniency::default())
        .expect("what is built is strict");
    assert!(tolerated.is_empty());
    read
}

fn all() -> DispositionRequest {
    DispositionRequest {
        positive_delivery: true,
        negative_delivery: true,
        processing: true,
        display: true,
        interworking: true,
        extensions: vec!["x-more".into()],
    }
}

#[test]
fn the_written_form_is_pinned() {
    let message = from_to()
        .to(Address::new("sip:c@x").with_display_name("C c"))
        .cc(Address::new("sip:d@x").with_display_name("D, \"d\""))
        .date_time(DateTime::parse("2026-11-21T10:00:00Z").unwrap())
        .imdn_message_id("1-a")
        .disposition_notification(all())
        .original_to(Address::new("sip:o@x"))
        .imdn_record_route(Address::new("sip:r1@x"))
        .imdn_record_route(Address::new("sip:r2@x"))
        .imdn_route(Address::new("sip:r3@x"))
        .subject("one\r\nEvil: yes")
        .subject_in("de-AT", " zwei ")
        .message_direction(MessageDirection::Received)
        .extension("m", "urn:m", "Field", "v\n")
        .extension("m", "urn:m", "Field", "w")
        .build()
        .unwrap();
    assert_eq!(
        message.to_bytes(),
        "From: <sip:a@x>\r\nTo: <sip:b@x>\r\nTo: C c <sip:c@x>\r\ncc: \"D, \\\"d\\\"\"<sip:d@x>\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 1-a\r\nDateTime: 2026-11-21T10:00:00Z\r\n\
         imdn.Disposition-Notification: positive-delivery, negative-delivery, processing, display, interworking, x-more\r\n\
         imdn.Original-To: <sip:o@x>\r\nimdn.IMDN-Record-Route: <sip:r1@x>\r\nimdn.IMDN-Record-Route: <sip:r2@x>\r\n\
         imdn.IMDN-Route: <sip:r3@x>\r\nSubject: one\\r\\nEvil: yes\r\nSubject:;lang=de-AT zwei\r\n\
         Message-Direction: received\r\nNS: m <urn:m>\r\nm.Field: v\\n\r\nm.Field: w\r\n\r\nContent-Type: text/plain\r\n\r\nhi"
    );
    assert_eq!(read(&message), message);
    assert_eq!(
        from_to().build().unwrap().to_bytes(),
        "From: <sip:a@x>\r\nTo: <sip:b@x>\r\n\r\nContent-Type: text/plain\r\n\r\nhi"
    );
    assert_eq!(
        read(&from_to().disposition_notification(all()).build().unwrap()).disposition_notification(),
        Ok(all())
    );
}

/// Threat E4.
#[test]
fn nothing_gets_in_that_breaks_a_field() {
    let refused = |builder: CpimBuilder| builder.build().expect_err("refused");
    for uri in [
        "",
        "b",
        "sip:",
        ":b",
        "sip:b\r\nEvil: x",
        "sip:b>",
        "<sip:b",
        "sip:b c",
        "sip:\u{e4}",
        "sip:b\0",
        "sip:\"b",
    ] {
        let bad = || Address::new(uri);
        let plain = || Address::new("sip:x");
        assert_eq!(refused(CpimBuilder::new(bad(), plain())), BuildError::Uri { header: "From" }, "{uri:?}");
        assert_eq!(refused(from_to().to(bad())), BuildError::Uri { header: "To" }, "{uri:?}");
        assert_eq!(refused(from_to().cc(bad())), BuildError::Uri { header: "cc" }, "{uri:?}");
        assert_eq!(
            refused(from_to().original_to(bad())),
            BuildError::Uri { header: "Original-To" },
            "{uri:?}"
        );
        assert_eq!(refused(from_to().imdn_route(bad())), BuildError::Uri { header: "IMDN-Route" }, "{uri:?}");
        assert_eq!(
            refused(from_to().imdn_record_route(bad())),
            BuildError::Uri { header: "IMDN-Record-Route" },
            "{uri:?}"
        );
        assert_eq!(
            refused(from_to().extension("p", uri, "n", "v")),
            BuildError::Uri { header: "NS" },
            "{uri:?}"
        );
    }
    for id in ["", "a b", "a\r\n", "a/b", "<a>"] {
        assert_eq!(refused(from_to().imdn_message_id(id)), BuildError::MessageId, "{id:?}");
    }
    for wish in ["", "a,b", "a\r\nb"] {
        let request = DispositionRequest { extensions: vec![wish.into()], ..Default::default() };
        assert_eq!(refused(from_to().disposition_notification(request)), BuildError::Disposition, "{wish:?}");
    }
    for tag in ["", "a b", "a\r\n", "a;b"] {
        assert_eq!(refused(from_to().subject_in(tag, "x")), BuildError::Language, "{tag:?}");
    }
    for (prefix, name) in [
        ("", "n"),
        ("p", ""),
        ("p.q", "n"),
        ("p", "n.o"),
        ("p", "n\r\nE"),
        ("p\n", "n"),
        ("p", "n:"),
        ("p", "n:;x=y"),
    ] {
        assert_eq!(
            refused(from_to().extension(prefix, "urn:x", name, "v")),
            BuildError::Name,
            "{prefix:?} {name:?}"
        );
    }
    assert_eq!(refused(from_to().extension("p", "urn:x", "n", "v ")), BuildError::Value);
    let two = from_to().extension("p", "urn:x", "n", "v").extension("p", "urn:y", "n", "v");
    assert_eq!(refused(two), BuildError::PrefixRedeclared);
    let taken = from_to().imdn_message_id("1").extension("imdn", "urn:y", "n", "v");
    assert_eq!(refused(taken), BuildError::PrefixRedeclared);
}

/// Threats A5, A18: what is written is within what others read.
#[test]
fn content_and_limits_are_checked() {
    let none = CpimBuilder::new(Address::new("sip:a"), Address::new("sip:b"));
    assert_eq!(none.clone().build(), Err(BuildError::NoContentType));
    let mut untyped = text("x");
    untyped.headers.remove("Content-Type");
    assert_eq!(none.clone().content(untyped).build(), Err(BuildError::NoContentType));
    let twice = text("x").with_header("content-type", "a/b").unwrap();
    assert_eq!(none.content(twice).build(), Err(BuildError::NoContentType));
    let over = |limit, value, max| Err(BuildError::Limit(LimitExceeded { limit, value, max }));
    let routes = (0..9).fold(from_to(), |b, _| b.imdn_route(Address::new("sip:r")));
    assert_eq!(routes.build(), over("imdn.max_route", 9, 8));
    let many = (0..63).fold(from_to(), |b, _| b.to(Address::new("sip:r")));
    assert_eq!(many.build(), over("cpim.max_headers", 65, 64));
    let frame = from_to().subject("").build().unwrap().headers().wire_len() + 2;
    assert!(from_to().subject(&"x".repeat(8192 - frame)).build().is_ok());
    assert_eq!(
        from_to().subject(&"x".repeat(8193 - frame)).build(),
        over("cpim.max_header_bytes", 8193, 8192)
    );
}

fn parsed(headers: &str) -> CpimMessage {
    let text = format!("{headers}\r\nContent-Type: a/b\r\n\r\nbody");
    CpimMessage::parse(Bytes::from(text), &Limits::default(), &Leniency::default()).unwrap().0
}

#[test]
fn an_edit_changes_what_it_is_about_and_nothing_else() {
    let headers = "X-First: \\u0041\r\nTo: <im:1@x>\r\nNS: i <urn:ietf:params:imdn>\r\nTo: <im:2@x>\r\nFrom: <im:a@x>\r\n\
                   i.IMDN-Record-Route: <im:r1@x>\r\ni.Disposition-Notification: display\r\n";
    let mut message = parsed(headers);
    message.set_to(&Address::new("im:3@x")).unwrap();
    message.set_from(&Address::new("im:b@x").with_display_name("B")).unwrap();
    message.push_record_route(&Address::new("im:r2@x")).unwrap();
    message.set_date_time(DateTime::parse("2026-11-21T10:00:00Z").unwrap()).unwrap();
    message.set_original_to(&Address::new("im:1@x")).unwrap();
    message
        .set_disposition_notification(&DispositionRequest { processing: true, ..Default::default() })
        .unwrap();
    message.set_content(text("new")).unwrap();
    assert_eq!(
        message.to_bytes(),
        "X-First: \\u0041\r\nTo: <im:3@x>\r\nNS: i <urn:ietf:params:imdn>\r\nFrom: B <im:b@x>\r\n\
         i.IMDN-Record-Route: <im:r2@x>\r\ni.IMDN-Record-Route: <im:r1@x>\r\ni.Disposition-Notification: processing\r\n\
         DateTime: 2026-11-21T10:00:00Z\r\ni.Original-To: <im:1@x>\r\n\r\nContent-Type: text/plain\r\n\r\nnew"
    );
    assert_eq!(read(&message), message);
    message.set_disposition_notification(&DispositionRequest::default()).unwrap();
    assert_eq!(message.disposition_notification().unwrap(), DispositionRequest::default());
    assert_eq!(message.remove(IMDN_NAMESPACE, "IMDN-Record-Route"), 2);
    assert_eq!(message.remove(CPIM_NAMESPACE, "to"), 0);
    assert_eq!(message.headers().len(), 6);
}

#[test]
fn a_prefix_is_declared_where_none_is() {
    let mut message = parsed("From: <im:a@x>\r\n");
    message.push_record_route(&Address::new("im:r@x")).unwrap();
    assert!(message.to_bytes().starts_with(
        b"From: <im:a@x>\r\nNS: imdn <urn:ietf:params:imdn>\r\nimdn.IMDN-Record-Route: <im:r@x>\r\n\r\n"
    ));
    let mut message = parsed("NS: imdn <urn:x>\r\nNS: imdn1 <urn:y>\r\nNS: <urn:z>\r\n");
    message.set_original_to(&Address::new("im:o@x")).unwrap();
    message.set_from(&Address::new("im:f@x")).unwrap();
    let again = read(&message);
    assert_eq!(again.original_to().unwrap(), Some(Address::new("im:o@x")));
    assert_eq!(again.from().unwrap(), Some(Address::new("im:f@x")));
    assert!(message.to_bytes().windows(12).any(|w| w == b"imdn2.Origin"));
}

#[test]
fn routes_are_taken_off_from_the_top() {
    let mut message =
        parsed("NS: i <urn:ietf:params:imdn>\r\ni.IMDN-Route: <im:1@x>\r\ni.IMDN-Route: <im:2@x>\r\n");
    assert!(message.pop_route());
    assert_eq!(message.route().unwrap(), [Address::new("im:2@x")]);
    assert!(message.pop_route() && !message.pop_route());
    assert_eq!(message.to_bytes(), "NS: i <urn:ietf:params:imdn>\r\n\r\nContent-Type: a/b\r\n\r\nbody");
}

#[test]
fn a_refused_edit_changes_nothing() {
    let mut message = parsed("From: <im:a@x>\r\n");
    let before = message.to_bytes();
    assert_eq!(message.set_to(&Address::new("im:a\r\nX: y")), Err(BuildError::Uri { header: "To" }));
    assert!(message.push_record_route(&Address::new("b")).is_err());
    let mut untyped = text("x");
    untyped.headers.remove("Content-Type");
    assert_eq!(message.set_content(untyped), Err(BuildError::NoContentType));
    for _ in 0..8 {
        message.push_record_route(&Address::new("im:r@x")).unwrap();
    }
    let full = message.to_bytes();
    assert!(
        matches!(message.push_record_route(&Address::new("im:r@x")), Err(BuildError::Limit(l)) if l.limit == "imdn.max_route")
    );
    assert_eq!(message.to_bytes(), full);
    assert_eq!(message.remove(IMDN_NAMESPACE, "IMDN-Record-Route"), 8);
    assert_eq!(message.remove(CPIM_NAMESPACE, "NS"), 1);
    assert_eq!(message.to_bytes(), before);
}

#[test]
fn what_is_required_is_named_before_it_stands_there() {
    let message = from_to()
        .required_extension("v", "mid:features@x", "Vital", "a\r\nb")
        .extension("v", "mid:features@x", "Other", "c")
        .content(text(""))
        .build()
        .unwrap();
    let read = read(&message);
    assert_eq!(read.require().unwrap(), [("mid:features@x".into(), "Vital".into())]);
    let names: Vec<&str> = read.headers().iter().map(crate::Header::full_name).collect();
    assert_eq!(names, ["From", "To", "NS", "Require", "v.Vital", "v.Other"]);
    assert_eq!(read.headers().get_all("mid:features@x", "Vital")[0].text(), "a\r\nb");
}

/// What Unicode calls white space belongs to a name; only spaces stand around it.
#[test]
fn a_name_keeps_its_odd_spaces() {
    for name in ["\u{85}", "a\u{a0}", "\u{3000}b"] {
        let from = Address::new("sip:a@x.test").with_display_name(name);
        let text = ContentType::parse("text/plain").unwrap();
        let built = CpimBuilder::new(from.clone(), Address::new("sip:b@x.test"))
            .content(Part::new(&text, Bytes::new()))
            .build()
            .unwrap();
        let (read, _) =
            CpimMessage::parse(built.to_bytes(), &Limits::default(), &Leniency::default()).unwrap();
        assert_eq!(read.from().unwrap(), Some(from));
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read(
        name in proptest::option::of("[^\\s]{0,5}|any( |[a-z\\\\\"<>,]){0,9}|.{0,20}"),
        subject in any::<String>(),
        uri in "sip:[!#-;=?-\\[\\]-~]{1,20}",
        id in "[A-Za-z0-9!#$%&'*+^_`|~.-]{1,20}",
        value in any::<String>(),
        body in any::<Vec<u8>>(),
    ) {
        let from = Address { display_name: name.filter(|name| !name.is_empty()), uri };
        let value = value.trim_matches(' ');
        prop_assume!(subject.len() < 900 && value.len() < 200);
        let message = CpimBuilder::new(from.clone(), Address::new("sip:b@x"))
            .subject_in("en", &subject)
            .imdn_message_id(&id)
            .extension("p", "urn:p", "Field", value)
            .content(Part::new(&ContentType::parse("a/b").unwrap(), Bytes::from(body.clone())))
            .build();
        let message = message.unwrap();
        let read = read(&message);
        prop_assert_eq!(read.from().unwrap(), Some(from));
        prop_assert_eq!(read.imdn_message_id().unwrap(), Some(id));
        let text = String::from(subject.trim_matches(' '));
        prop_assert_eq!(read.subjects(), [Subject { text, language: Some("en".into()) }]);
        prop_assert_eq!(read.headers().get_all("urn:p", "Field")[0].text(), value);
        prop_assert_eq!(read.content().body.as_ref(), &body[..]);
        prop_assert_eq!(&read.to_bytes(), &message.to_bytes());
    }
}
