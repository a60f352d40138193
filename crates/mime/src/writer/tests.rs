#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::{Base64Encoder, Limits, Multipart, Part, TransferEncoding};
use alloc::vec;
use bytes::Bytes;
use proptest::prelude::*;

fn writer(boundary: &str) -> Result<MultipartWriter, MimeError> {
    MultipartWriter::new(&kind(boundary))
}

fn kind(boundary: &str) -> ContentType {
    ContentType::parse("multipart/mixed").unwrap().with_param("boundary", boundary).unwrap()
}

#[test]
fn the_order_is_held() {
    let none = MimeHeaders::new();
    let mut out = Vec::new();
    let mut fresh = writer("b").unwrap();
    assert_eq!(fresh.body(b"x", &mut out), Err(MimeError::WriterOrder));
    assert_eq!(fresh.end(&mut out), Err(MimeError::NoParts));
    assert_eq!(out, b"");
    fresh.part(&none, &mut out).unwrap();
    fresh.part(&none, &mut out).unwrap();
    fresh.body(b"two", &mut out).unwrap();
    fresh.end(&mut out).unwrap();
    assert_eq!(out, b"--b\r\n\r\n\r\n--b\r\n\r\ntwo\r\n--b--\r\n");
    assert_eq!(fresh.part(&none, &mut out), Err(MimeError::WriterOrder));
    assert_eq!(fresh.body(b"", &mut out), Err(MimeError::WriterOrder));
    assert_eq!(fresh.end(&mut out), Err(MimeError::WriterOrder));
    assert_eq!(writer("").err(), Some(MimeError::BoundaryInvalid));
    assert_eq!(MultipartWriter::new(&ContentType::text_plain()).err(), Some(MimeError::NotMultipart));
    let missing = ContentType::parse("multipart/mixed").unwrap();
    assert_eq!(MultipartWriter::new(&missing).err(), Some(MimeError::BoundaryMissing));
}

/// threats: A18 (a body that ends its own multipart)
#[test]
fn the_boundary_is_found_however_the_body_is_cut() {
    let body = b"123--longbound456";
    for first in 0..=body.len() {
        for second in first..=body.len() {
            let mut out = Vec::new();
            let mut writer = writer("longbound").unwrap();
            writer.part(&MimeHeaders::new(), &mut out).unwrap();
            let pieces = [&body[..first], &body[first..second], &body[second..]];
            let written = pieces.iter().try_for_each(|piece| writer.body(piece, &mut out));
            assert_eq!(written, Err(MimeError::BoundaryInPart), "{first} {second}");
            assert!(memmem::find(&out[15..], b"--longbound").is_none(), "{first} {second}");
            assert_eq!(writer.end(&mut out), Err(MimeError::WriterOrder));
        }
    }
    let mut headers = MimeHeaders::new();
    headers.push("X", "--b").unwrap();
    let mut out = Vec::new();
    assert_eq!(writer("b").unwrap().part(&headers, &mut out), Err(MimeError::BoundaryInPart));
    // A beginning of the boundary in one part and its end in the next are none.
    let mut two = writer("bb").unwrap();
    two.part(&MimeHeaders::new(), &mut out).unwrap();
    two.body(b"--b", &mut out).unwrap();
    two.part(&MimeHeaders::new(), &mut out).unwrap();
    assert_eq!(two.body(b"b", &mut out), Ok(()));
}

proptest! {
    #[test]
    fn the_same_as_at_once(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..4),
        cut in 1_usize..12,
    ) {
        let parts: Vec<Part> =
            bodies.iter().map(|body| Part::new(&ContentType::text_plain(), Bytes::from(body.clone()))).collect();
        let at_once = Multipart::new("mixed", parts.clone()).unwrap();
        let mut writer = MultipartWriter::new(&at_once.content_type()).unwrap();
        let mut out = Vec::new();
        for part in &parts {
            writer.part(&part.headers, &mut out).unwrap();
            for piece in part.body.chunks(cut) {
                writer.body(piece, &mut out).unwrap();
            }
        }
        writer.end(&mut out).unwrap();
        prop_assert_eq!(&out, &at_once.to_bytes().unwrap());
        let read = Multipart::parse(&at_once.content_type(), Bytes::from(out), &Limits::default()).unwrap();
        prop_assert_eq!(read.parts(), &parts[..]);
    }

    #[test]
    fn base64_in_pieces_is_base64_at_once(octets in proptest::collection::vec(any::<u8>(), 0..300), cut in 1_usize..130) {
        let (mut encoder, mut out) = (Base64Encoder::new(), vec![]);
        for piece in octets.chunks(cut) {
            encoder.push(piece, &mut out);
        }
        encoder.finish(&mut out);
        prop_assert!(out.split(|b| *b == b'\n').all(|line| line.len() <= 77));
        let part = Part::base64(&ContentType::text_plain(), &octets);
        prop_assert_eq!(&part.body, &out);
        prop_assert_eq!(part.decoded().unwrap(), octets);
        prop_assert_eq!(part.transfer_encoding().unwrap(), TransferEncoding::Base64);
    }
}

/// 76 characters to the line, as RFC 2045 §6.8 has it; the lengths around the border.
#[test]
fn base64_lines() {
    let encode = |n: usize| Part::base64(&ContentType::text_plain(), &vec![0; n]).body;
    assert_eq!(encode(0), "");
    assert_eq!(encode(1), "AA==");
    assert_eq!(encode(57), "A".repeat(76));
    assert_eq!(encode(58), alloc::format!("{}\r\nAA==", "A".repeat(76)));
    assert_eq!(encode(114), alloc::format!("{0}\r\n{0}", "A".repeat(76)));
}
