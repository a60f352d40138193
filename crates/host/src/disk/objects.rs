//! What is in a kept object, and the URLs by which it is named (RFC 5092).

use super::tables::Kept;
use bytes::Bytes;
use cpm_core::outside::{BodyPart, BodyStructure, FetchError, FetchedObject, ObjectUid};
use cpm_cpim::CpimMessage;
use cpm_mime::{ContentType, Limits, Multipart, Part};
use cpm_sip::{HeaderName, Message, Uri, parse_datagram};
use std::fmt::Write;

/// The name of the store in URLs, and the UIDVALIDITY of all its folders.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) validity: u32,
}

/// What a URL asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) uid: u32,
    section: Option<String>,
}

impl Place {
    /// The parts of an object, and its URL.
    pub(super) fn structure(
        &self,
        user: &Uri,
        uid: ObjectUid,
        kept: &Kept,
    ) -> Result<BodyStructure, FetchError> {
        let mut url = format!("imap://{}@{}/", escaped(user_part(user)), self.host);
        let _ = write!(url, "{};UIDVALIDITY={}/;UID={}", escaped(&kept.folder), self.validity, uid.0);
        let leaves = leaves(&kept.object).ok_or(FetchError::Failed)?;
        let parts = leaves
            .iter()
            .map(|(section, part)| BodyPart {
                section: section.clone(),
                content_type: content_type(part),
                octets: u64::try_from(part.body.len()).unwrap_or(u64::MAX),
            })
            .collect();
        Ok(BodyStructure { url, parts })
    }

    /// Reads a URL that [`structure`](Place::structure) gave, with a section or without.
    pub(super) fn read_url(&self, user: &Uri, url: &str) -> Result<Asked, FetchError> {
        let rest = url.strip_prefix("imap://").ok_or(FetchError::NotFound)?;
        let (server, path) = rest.split_once('/').ok_or(FetchError::NotFound)?;
        let (whose, host) = server.rsplit_once('@').unwrap_or(("", server));
        if !host.eq_ignore_ascii_case(&self.host) {
            return Err(FetchError::NotFound);
        }
        if whose != escaped(user_part(user)) {
            return Err(FetchError::Forbidden);
        }
        let (_, uid) = path.split_once("/;UID=").ok_or(FetchError::NotFound)?;
        let (uid, section) = match uid.split_once("/;SECTION=") {
            Some((uid, section)) => (uid, Some(section.to_owned())),
            None => (uid.trim_end_matches('/'), None),
        };
        if !path.contains(&format!(";UIDVALIDITY={}/", self.validity)) {
            return Err(FetchError::NotFound);
        }
        Ok(Asked { uid: uid.parse().map_err(|_| FetchError::NotFound)?, section })
    }
}

impl Asked {
    /// What of the object is asked for: a part without its transfer encoding, or the object itself.
    pub(super) fn of(&self, kept: &Kept) -> Result<FetchedObject, FetchError> {
        let Some(section) = &self.section else {
            return Ok(FetchedObject { content_type: "message/sip".to_owned(), octets: kept.object.clone() });
        };
        let leaves = leaves(&kept.object).ok_or(FetchError::Failed)?;
        let (_, part) = leaves.iter().find(|(name, _)| name == section).ok_or(FetchError::NotFound)?;
        let octets = part.decoded().map_err(|_| FetchError::Failed)?;
        Ok(FetchedObject { content_type: content_type(part), octets })
    }
}

fn content_type(part: &Part) -> String {
    part.content_type().map_or_else(|_| "application/octet-stream".to_owned(), |kind| kind.to_string())
}

/// The user of an address: what stands before the host, or the number.
fn user_part(user: &Uri) -> &str {
    let text = user.as_str();
    let (_, rest) = text.split_once(':').unwrap_or(("", text));
    rest.split(['@', ';']).next().unwrap_or(rest)
}

/// As it may stand in a URL.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

/// The leaves of a kept request with their sections, as IMAP numbers parts (RFC 3501 §6.4.5). The head of a CPIM message
/// counts as header fields of the object: a content that is one part is section 1.
fn leaves(object: &Bytes) -> Option<Vec<(String, Part)>> {
    let limits = cpm_sip::Limits::default();
    let message = parse_datagram(object.clone(), &limits).ok()?;
    let Message::Request(request) = message else { return None };
    let content_type = request.headers().get(&HeaderName::ContentType)?.to_text()?;
    let whole = Part::new(&ContentType::parse(&content_type).ok()?, request.body().clone());
    let limits = Limits::default();
    let mut found = Vec::new();
    let mut next = vec![(String::new(), whole, 0_usize)];
    while let Some((section, part, depth)) = next.pop() {
        let kind = part.content_type().ok()?;
        let below = |number: usize| match section.is_empty() {
            true => number.to_string(),
            false => format!("{section}.{number}"),
        };
        if found.len() > limits.max_parts || depth > limits.max_depth {
            return None;
        }
        if kind.is("message/cpim") {
            let (cpim, _) =
                CpimMessage::parse(part.body.clone(), &cpm_cpim::Limits::default(), &Default::default())
                    .ok()?;
            next.push((section, cpim.content().clone(), depth + 1));
        } else if kind.essence().starts_with("multipart/") {
            let inside = Multipart::parse(&kind, part.decoded().ok()?, &limits).ok()?;
            let parts = inside.into_parts();
            let numbered = parts.into_iter().enumerate();
            let mut numbered: Vec<_> =
                numbered.map(|(index, part)| (below(index + 1), part, depth + 1)).collect();
            numbered.reverse();
            next.extend(numbered);
        } else {
            let section = if section.is_empty() { "1".to_owned() } else { section };
            found.push((section, part));
        }
    }
    Some(found)
}
