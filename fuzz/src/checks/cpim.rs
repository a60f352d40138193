//! message/cpim and message/imdn+xml.

use bytes::Bytes;

/// message/cpim: octets survive, leniency changes nothing for what is well-formed, getters give values or errors.
pub fn cpim(data: &[u8]) {
    use cpm_cpim::{CpimMessage, Leniency, Limits};
    let limits = Limits::default();
    let octets = Bytes::copy_from_slice(data);
    cpim_head(data, Leniency::default());
    cpim_head(data, Leniency::field());
    let strict = CpimMessage::parse(octets.clone(), &limits, &Leniency::default());
    let lenient = CpimMessage::parse(octets.clone(), &limits, &Leniency::field());
    if let Ok((message, tolerated)) = &strict {
        assert!(tolerated.is_empty());
        assert_eq!(message.to_bytes(), octets);
        match &lenient {
            Ok((other, tolerated)) => assert!(tolerated.is_empty() && other == message),
            // A lenient reader sees messages inside where a strict one sees content of no form.
            Err(cpm_cpim::CpimError::Limit(exceeded)) if exceeded.limit == "cpim.depth" => {}
            Err(error) => panic!("what is strict is lenient: {error}"),
        }
        cpim_edits(message);
    }
    let Ok((message, tolerated)) = lenient else { return };
    assert_eq!(tolerated.is_empty(), strict.is_ok(), "a deviation is reported, and only then");
    let wire = message.to_bytes();
    assert_eq!(wire, octets);
    cpim_getters(&message);
}

/// The head is the same however it is cut, and an edit of it leaves what it is not about.
fn cpim_head(data: &[u8], leniency: cpm_cpim::Leniency) {
    use cpm_cpim::{Address, CpimHead, HeadReader, Limits};
    let whole = CpimHead::parse(Bytes::copy_from_slice(data), &Limits::default(), &leniency).ok();
    for pieces in super::partitions(data) {
        let mut reader = HeadReader::new(Limits::default(), leniency);
        let mut taken = 0;
        let mut found = None;
        for piece in pieces {
            taken += piece.len();
            match reader.push(piece) {
                Ok(None) => {}
                done => {
                    found = Some(done.ok().flatten());
                    break;
                }
            }
        }
        let found = found.unwrap_or_else(|| reader.finish().ok());
        assert_eq!(found.as_ref().map(CpimHead::source), whole.as_ref().map(CpimHead::source));
        if let (Some(found), Some(whole)) = (found, &whole) {
            assert_eq!(found.tolerated(), whole.tolerated());
            assert_eq!(found.rest(), &data[found.source().len()..taken]);
        }
    }
    let Some(mut head) = whole else { return };
    let before = head.headers().clone();
    if head.headers_mut().push_record_route(&Address::new("sip:focus@example.com")).is_ok() {
        let added = head.headers().len() - before.len();
        assert!(added == 1 || added == 2, "the field, and a declaration where there was none");
        let grown =
            i64::try_from(head.to_bytes().len()).unwrap() - i64::try_from(head.source().len()).unwrap();
        assert_eq!(head.growth(), grown);
        let kept = before.iter().filter(|field| head.headers().iter().any(|now| now == *field)).count();
        assert_eq!(kept, before.len());
    }
}

fn cpim_getters(message: &cpm_cpim::CpimMessage) {
    for address in
        [message.to(), message.cc(), message.route(), message.record_route()].into_iter().flatten().flatten()
    {
        let again = cpm_cpim::Address::parse(&address.to_string()).expect("an address is read again");
        assert_eq!(again, address);
    }
    let _ = (message.from(), message.original_to(), message.date_time(), message.date_time_text());
    let _ = (message.subjects(), message.subject(), message.namespaces(), message.require());
    let _ = (message.imdn_message_id(), message.disposition_notification(), message.message_direction());
    let content = message.content();
    let _ = (message.is_imdn(), content.content_id(), content.content_disposition());
    let limits = cpm_mime::Limits::default();
    let _ = content.decoded();
    if let Ok(kind) = content.content_type()
        && let Ok(multipart) = cpm_mime::Multipart::parse(&kind, content.body.clone(), &limits)
        && let Ok(wire) = multipart.to_bytes()
    {
        let again = cpm_mime::Multipart::parse(&kind, wire, &limits).expect("a multipart is read again");
        assert_eq!(again.parts(), multipart.parts());
    }
}

/// What an intermediary edits can be read, and is what it wrote.
fn cpim_edits(message: &cpm_cpim::CpimMessage) {
    use cpm_cpim::{Address, CpimMessage, Leniency, Limits};
    let mut edited = message.clone();
    let hop = Address::new("sip:hop@example.com").with_display_name("A \"hop\" \\ of <ours>");
    if edited.push_record_route(&hop).is_err() || edited.set_from(&hop).is_err() {
        return;
    }
    let generous = Limits { max_headers: 1000, ..Limits::default() };
    match CpimMessage::parse(edited.to_bytes(), &generous, &Leniency::default()) {
        Ok((again, _)) => {
            assert_eq!(again.from().ok().flatten(), Some(hop));
            assert_eq!(again.content(), message.content());
        }
        Err(error) => panic!("an edited message is not read: {error} in {:?}", edited.to_bytes()),
    }
}

/// message/imdn+xml: what is read is written and read again as the same.
pub fn imdn(data: &[u8]) {
    use cpm_xml::imdn::{Leniency, parse, parse_with, write};
    let limits = cpm_xml::Limits::default();
    let lenient = parse(data, &limits);
    if let Ok((strict, tolerated)) = parse_with(data, &limits, Leniency::default()) {
        assert!(tolerated.is_empty());
        assert_eq!(lenient.as_ref().ok(), Some(&strict));
    }
    let Ok(document) = lenient else { return };
    let _ = (document.date_time(), document.notifications().count());
    let text = write(&document);
    let generous = cpm_xml::Limits { max_bytes: 1 << 22, ..limits };
    match parse(text.as_bytes(), &generous) {
        Ok(again) => assert_eq!(again, document, "written as {text}"),
        Err(error) => panic!("{document:?} is written as {text}, which is not read: {error}"),
    }
}
