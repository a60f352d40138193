//! MIME: parts, and multiparts inside them.

use super::partitions;
use bytes::Bytes;
use cpm_mime::{
    Base64Encoder, ContentDisposition, ContentId, ContentType, ExternalBody, Leniency, Limits, MimeHeaders,
    Multipart, MultipartWriter, Part,
};

/// Header fields, a blank line and a body, as one part of a message has them.
pub fn multipart(data: &[u8]) {
    let limits = Limits::default();
    base64(data);
    if let Ok(text) = std::str::from_utf8(data) {
        values(text);
    }
    let Ok(part) = Part::parse(Bytes::copy_from_slice(data), &limits) else { return };
    assert_eq!(part.to_bytes(), data, "octets survive");
    assert_eq!(part.wire_len(), data.len());
    one_part(&part, &limits);
    let Ok(walked) = part.walk(&limits) else { return };
    let leaves = part.leaves(&limits).expect("what can be walked has leaves");
    assert!(leaves.len() <= limits.max_parts.max(1));
    for (depth, inside) in &walked {
        assert!(*depth <= limits.max_depth);
        if *depth > 0 {
            one_part(inside, &limits);
        }
        if let Ok(Some(id)) = inside.content_id() {
            let id = ContentId::new(&id).expect("an id that was read");
            if let Ok(found) = part.find(&id, &limits) {
                assert_eq!(found.as_ref(), Some(inside), "found by its Content-ID");
            }
        }
    }
}

/// A value of a header field that was read is written so that it is read as the same.
fn values(text: &str) {
    if let Ok(value) = ContentType::parse(text) {
        assert_eq!(ContentType::parse(&value.to_string()).as_ref(), Ok(&value), "{value}");
    }
    if let Ok(value) = ContentDisposition::parse(text) {
        assert_eq!(ContentDisposition::parse(&value.to_string()).as_ref(), Ok(&value), "{value}");
    }
    for id in [ContentId::new(text), ContentId::parse(text), ContentId::from_url(text)].into_iter().flatten()
    {
        assert_eq!(ContentId::parse(&id.to_string()).as_ref(), Ok(&id));
        let url = id.to_url();
        assert!(url.bytes().all(|octet| octet.is_ascii_graphic()), "{url}");
        assert_eq!(ContentId::from_url(&url).as_ref(), Ok(&id), "{url}");
    }
    let (name, value) = text.split_once(':').unwrap_or(("X-Hostile", text));
    let mut headers = MimeHeaders::new();
    if headers.push(name, value).is_ok() {
        let mut wire = Vec::new();
        headers.write_to(&mut wire);
        wire.extend_from_slice(b"\r\nbody");
        let generous = Limits { max_header_bytes: 1 << 20, ..Limits::default() };
        let read = Part::parse(Bytes::from(wire), &generous).expect("a field that may be written");
        assert_eq!((read.headers.len(), &read.body[..]), (1, &b"body"[..]), "{text:?} stays one field");
    }
}

/// Base64 is undone to the octets it was made of, whatever pieces they came in.
fn base64(data: &[u8]) {
    let kind = ContentType::parse("application/octet-stream").expect("a type");
    let part = Part::base64(&kind, data);
    assert_eq!(part.decoded().expect("our own base64"), data);
    for pieces in partitions(data) {
        let (mut encoder, mut out) = (Base64Encoder::new(), Vec::new());
        pieces.iter().for_each(|piece| encoder.push(piece, &mut out));
        encoder.finish(&mut out);
        assert_eq!(out, part.body);
    }
}

fn one_part(part: &Part, limits: &Limits) {
    for field in part.headers.iter() {
        values(&field.value());
    }
    let _ = part.content_disposition();
    if let Ok(decoded) = part.decoded() {
        assert!(decoded.len() <= part.body.len());
    }
    external(part, limits);
    if let Ok(kind) = part.content_type()
        && let Ok((_, tolerated)) = Multipart::parse_with(
            &kind,
            part.body.clone(),
            limits,
            Leniency { missing_close_delimiter: true },
        )
    {
        assert_eq!(tolerated.is_empty(), Multipart::parse(&kind, part.body.clone(), limits).is_ok());
    }
    if let Ok(Some(multipart)) = part.multipart(limits) {
        assert_eq!(multipart.to_bytes().as_ref(), Ok(&part.body), "octets survive");
        rewritten(&multipart, limits);
        streamed(&multipart);
        composed(&multipart, limits);
    }
}

/// A multipart with a boundary of ours holds the same parts.
fn rewritten(multipart: &Multipart, limits: &Limits) {
    let mut again = multipart.clone();
    again.choose_boundary();
    let wire = again.to_bytes().expect("the boundary is in no part");
    let read = Multipart::parse(&announced(&again), wire, limits).expect("what is written is read");
    assert_eq!(read.parts(), multipart.parts());
    assert_eq!(read.root().ok(), multipart.root().ok());
    // With the old boundary it is the same, unless that stands in a part.
    let mut edited = multipart.clone();
    edited.parts_mut();
    if let Ok(wire) = edited.to_bytes() {
        let read = Multipart::parse(&announced(&edited), wire, limits).expect("what is written is read");
        assert_eq!(read.parts(), multipart.parts());
    }
}

/// The Content-Type as a peer reads it.
fn announced(multipart: &Multipart) -> ContentType {
    ContentType::parse(&multipart.content_type().to_string()).expect("a Content-Type that is written")
}

/// The writer that takes pieces writes what the whole is written as.
fn streamed(multipart: &Multipart) {
    let fresh = multipart.parts().iter().map(|part| {
        let mut fresh = Part::new(&ContentType::text_plain(), part.body.clone());
        fresh.headers = part.headers.clone();
        fresh
    });
    let whole = Multipart::new("mixed", fresh.collect()).expect("one part at least");
    let wire = whole.to_bytes().expect("the boundary is in no part");
    for way in 0..3 {
        let mut writer = MultipartWriter::new(&whole.content_type()).expect("our boundary");
        let mut out = Vec::new();
        for part in whole.parts() {
            writer.part(&part.headers, &mut out).expect("the next part");
            for piece in &partitions(&part.body)[way] {
                writer.body(piece, &mut out).expect("the boundary is in no part");
            }
        }
        writer.end(&mut out).expect("the end");
        assert!(out == wire, "{:?} is not {wire:?}", Bytes::from(out));
    }
    // A boundary that stands in a body is noticed wherever the pieces are cut.
    let body = multipart.parts().first().map(|part| part.body.clone()).unwrap_or_default();
    let spoilt = [&body[..], b"--cut-off", &body[..]].concat();
    let kind = ContentType::parse("multipart/mixed;boundary=cut-off").expect("a type");
    for pieces in partitions(&spoilt) {
        let mut writer = MultipartWriter::new(&kind).expect("a boundary");
        let mut out = Vec::new();
        writer.part(&MimeHeaders::new(), &mut out).expect("a part");
        assert!(pieces.iter().any(|piece| writer.body(piece, &mut out).is_err()), "the boundary went out");
    }
}

/// The parts as a related and as an alternative multipart.
fn composed(multipart: &Multipart, limits: &Limits) {
    let mut parts = multipart.parts().to_vec();
    let alternative = Multipart::alternative(parts.clone()).expect("one part at least");
    if let Ok(preferred) = alternative.preferred(|_| true) {
        assert_eq!(preferred, parts.last());
    }
    let root = parts.remove(0);
    let Ok(related) = Multipart::related(root.clone(), parts) else { return };
    let wire = related.to_bytes().expect("the boundary is in no part");
    let read = Multipart::parse(&announced(&related), wire, limits).expect("what is written is read");
    assert_eq!(read.root(), Ok(&root), "the root is the first");
    assert_eq!(read.parts(), related.parts());
}

fn external(part: &Part, limits: &Limits) {
    let Ok(Some(external)) = ExternalBody::read(part, limits) else { return };
    let _ = external.expires();
    let Ok(written) = external.to_part() else { return };
    let generous = Limits { max_header_bytes: 1 << 20, ..*limits };
    let read = Part::parse(written.to_bytes(), &generous).expect("a part that is written");
    let read =
        ExternalBody::read(&read, &generous).expect("what is written is read").expect("an external body");
    assert_eq!((&read.url, &read.expiration), (&external.url, &external.expiration));
    assert_eq!((read.size, &read.hash), (external.size, &external.hash));
    assert_eq!(read.content.headers, external.content.headers);
}
