//! Bodies without a message around them.

use super::report::{Decoded, FileReport, Finding, FindingKind, Kind, Verdict};
use super::{bodies, msrp};
use bytes::Bytes;
use cpm_cpim::{CpimMessage, Leniency, Limits};

/// What a file without a message around it is, where that can be told: an XML document, a session description, a
/// message/cpim.
pub(super) fn sniff(octets: &Bytes) -> Option<&'static str> {
    let text = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets).trim_ascii_start();
    if text.starts_with(b"<") {
        return Some("application/xml");
    }
    if octets.starts_with(b"v=0") {
        return Some("application/sdp");
    }
    let read = CpimMessage::parse(octets.clone(), &Limits::default(), &Leniency::field());
    // A SIP message has no line of that form at its top.
    read.is_ok().then_some("message/cpim")
}

/// A file that is a body of that type.
pub(super) fn body(file: String, content_type: &str, octets: Bytes) -> FileReport {
    let length = octets.len();
    let mut decoded = Decoded::new(0, length, Kind::Body);
    let fault = |place: &str, text: String, optional: bool| Finding {
        kind: if optional { FindingKind::Lapse } else { FindingKind::Fault },
        place: place.to_owned(),
        octet: None,
        text,
        answer: None,
    };
    match msrp::part(content_type, octets.clone()) {
        Some(part) => {
            let (all, faults) = bodies::of_part(part);
            decoded.bodies = all;
            let findings = faults.into_iter().map(|found| fault(&found.place, found.text, found.optional));
            decoded.verdict = Verdict::new(findings.collect());
        }
        None => {
            decoded.bodies.push(bodies::opaque("body", "unknown type", &octets));
            decoded.verdict = Verdict::new(vec![fault("--body", "no media type".to_owned(), false)]);
        }
    }
    FileReport::new(file, length, vec![decoded])
}
