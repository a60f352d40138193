//! Attributes of files (RFC 5547 §6).

use super::rtp::{read_hex, write_hex};
use super::{TypedAttribute, Value, session::TypeList};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use crate::file_name::SafeFileName;
use crate::grammar::{decimal, is_text, is_token};

/// The hash of a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    /// `sha-1`, `sha-256`…
    pub algorithm: String,
    /// The octets.
    pub octets: Vec<u8>,
}

/// `a=file-selector`: which file. Everything in it is what the far side says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSelector {
    /// The name, percent-encoding undone: never to be used as a name on a disk, see [`safe_name`](Self::safe_name).
    pub name: Option<String>,
    /// Octets of the file.
    pub size: Option<u64>,
    /// The media type, with its parameters.
    pub media_type: Option<String>,
    /// Its hashes; `sha-1` is the one that RFC 5547 asks for.
    pub hashes: Vec<Hash>,
}

impl FileSelector {
    /// A name for the disk (RFC 5547 §10, threats H1).
    #[must_use]
    pub fn safe_name(&self) -> SafeFileName {
        SafeFileName::new(self.name.as_deref().unwrap_or_default())
    }

    /// Whether all that both say of a file is the same (RFC 5547 §8.3.2): what one does not say does not count.
    #[must_use]
    pub fn agrees_with(&self, other: &FileSelector) -> bool {
        fn same<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        let hash = |theirs: &Hash| {
            self.hashes
                .iter()
                .filter(|ours| ours.algorithm.eq_ignore_ascii_case(&theirs.algorithm))
                .all(|ours| ours.octets == theirs.octets)
        };
        let kind = |selector: &FileSelector| selector.media_type.as_ref().map(|t| t.to_ascii_lowercase());
        same(self.name.as_ref(), other.name.as_ref())
            && same(self.size.as_ref(), other.size.as_ref())
            && same(kind(self).as_ref(), kind(other).as_ref())
            && other.hashes.iter().all(hash)
    }

    /// Takes `hash:` from behind its first colon. A blank before the octets, as RFC 5547 §9.1 prints it, was cut
    /// apart by the caller's search for blanks: `next` is what stands behind it.
    fn hash<'a>(text: &str, next: &mut impl Iterator<Item = &'a str>) -> Option<Hash> {
        let (algorithm, octets) = text.split_once(':')?;
        let octets = if octets.is_empty() { next.next()? } else { octets };
        is_token(algorithm).then_some(())?;
        Some(Hash { algorithm: algorithm.to_string(), octets: read_hex(octets)? })
    }
}

impl Value for FileSelector {
    fn read(value: Option<&str>) -> Option<Self> {
        let mut selector = FileSelector::default();
        let Some(value) = value else { return Some(selector) };
        let mut quoted = false;
        let mut parts = value.split(|c: char| {
            quoted ^= c == '"';
            c == ' ' && !quoted
        });
        while let Some(part) = parts.next() {
            if part.is_empty() {
                continue;
            }
            let (name, text) = part.split_once(':')?;
            let again = match name {
                _ if name.eq_ignore_ascii_case("name") => selector.name.replace(read_name(text)?).is_some(),
                _ if name.eq_ignore_ascii_case("size") => selector.size.replace(decimal(text)?).is_some(),
                _ if name.eq_ignore_ascii_case("type") => {
                    selector.media_type.replace(read_type(text)?).is_some()
                }
                _ if name.eq_ignore_ascii_case("hash") => {
                    selector.hashes.push(FileSelector::hash(text, &mut parts)?);
                    false
                }
                // A selector that is not known says nothing to us.
                _ => false,
            };
            if again {
                return None;
            }
        }
        (!quoted).then_some(selector)
    }

    fn write(&self) -> Option<String> {
        let mut parts: Vec<String> = Vec::new();
        if let Some(name) = &self.name {
            parts.push(format!("name:\"{}\"", write_name(name)));
        }
        if let Some(media_type) = &self.media_type {
            parts.push(format!("type:{media_type}"));
        }
        if let Some(size) = self.size {
            parts.push(format!("size:{size}"));
        }
        for hash in &self.hashes {
            parts.push(format!("hash:{}:{}", hash.algorithm, write_hex(&hash.octets)));
        }
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"').filter(|inner| !inner.contains('"'))
}

/// The name between its quotes, percent-encoding undone. What decodes to no UTF-8 reads as U+FFFD.
fn read_name(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = unquoted(text)?.as_bytes();
    while let [first, tail @ ..] = rest {
        if let [high, low, after @ ..] = tail
            && *first == b'%'
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            octets.push(high.wrapping_shl(4) | low);
            rest = after;
        } else {
            octets.push(*first);
            rest = tail;
        }
    }
    Some(String::from_utf8_lossy(&octets).into_owned()).filter(|name| !name.is_empty())
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What the grammar does not take in a name, and what some system could take for folders, is percent-encoded.
fn write_name(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_control() || matches!(character, '"' | '%' | '/' | '\\' | ':') {
            let mut octets = [0u8; 4];
            for octet in character.encode_utf8(&mut octets).bytes() {
                let _ = write!(text, "%{octet:02X}");
            }
        } else {
            text.push(character);
        }
    }
    text
}

/// `type/subtype` and parameters, blanks only between quotes.
fn read_type(text: &str) -> Option<String> {
    let essence = text.split(';').next()?;
    let (kind, subtype) = essence.split_once('/')?;
    (is_token(kind) && is_token(subtype) && is_text(text)).then(|| text.to_string())
}

/// `a=file-date`: RFC 5322 dates, as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileDate {
    /// When it was made.
    pub creation: Option<String>,
    /// When it was changed.
    pub modification: Option<String>,
    /// When it was read.
    pub read: Option<String>,
}

impl Value for FileDate {
    fn read(value: Option<&str>) -> Option<Self> {
        let mut date = FileDate::default();
        let mut quoted = false;
        let parts = value?.split(|c: char| {
            quoted ^= c == '"';
            c == ' ' && !quoted
        });
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, text) = part.split_once(':')?;
            let text = unquoted(text).filter(|text| !text.is_empty() && is_text(text))?.to_owned();
            let again = match name {
                "creation" => date.creation.replace(text),
                "modification" => date.modification.replace(text),
                "read" => date.read.replace(text),
                _ => return None,
            };
            if again.is_some() {
                return None;
            }
        }
        (date != FileDate::default()).then_some(date)
    }

    fn write(&self) -> Option<String> {
        let all = [("creation", &self.creation), ("modification", &self.modification), ("read", &self.read)];
        let parts: Vec<String> = all
            .into_iter()
            .filter_map(|(name, date)| date.as_ref().map(|date| format!("{name}:\"{date}\"")))
            .collect();
        Some(parts.join(" "))
    }
}

/// `a=file-icon`: the Content-ID of the body that holds it, without `cid:` and without angle brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileIcon(String);

impl FileIcon {
    /// Takes a Content-ID.
    #[must_use]
    pub fn new(content_id: &str) -> Option<FileIcon> {
        let good = !content_id.is_empty()
            && content_id.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"'));
        good.then(|| FileIcon(content_id.to_string()))
    }

    /// The Content-ID.
    #[must_use]
    pub fn content_id(&self) -> &str {
        &self.0
    }
}

impl Value for FileIcon {
    fn read(value: Option<&str>) -> Option<Self> {
        let (scheme, content_id) = value?.split_once(':')?;
        scheme.eq_ignore_ascii_case("cid").then(|| FileIcon::new(content_id)).flatten()
    }

    fn write(&self) -> Option<String> {
        Some(format!("cid:{}", self.0))
    }
}

/// `a=file-range`: octets of a file, counted from 1, both ends among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRange {
    /// The first octet; 1 or more.
    pub start: u64,
    /// The last octet; `None` (`*`) for the end of the file.
    pub stop: Option<u64>,
}

impl FileRange {
    /// The whole file.
    pub const ALL: FileRange = FileRange { start: 1, stop: None };

    /// Takes a range that is one: `start` from 1, `stop` not before it (one before it: no octet).
    #[must_use]
    pub fn new(start: u64, stop: Option<u64>) -> Option<FileRange> {
        let good = start > 0 && stop.is_none_or(|stop| stop.checked_add(1).is_some_and(|end| end >= start));
        good.then_some(FileRange { start, stop })
    }
}

impl Value for FileRange {
    fn read(value: Option<&str>) -> Option<Self> {
        let (start, stop) = value?.split_once('-')?;
        let stop = if stop == "*" { None } else { Some(decimal(stop)?) };
        FileRange::new(decimal(start)?, stop)
    }

    fn write(&self) -> Option<String> {
        Some(match self.stop {
            Some(stop) => format!("{}-{stop}", self.start),
            None => format!("{}-*", self.start),
        })
    }
}

/// What can be said of the file of one medium (RFC 5547): one medium, one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileDescription {
    /// Which file. Without a `transfer_id` this is a hint at the size of a message (TS 7.2.1.2-18.e, readings H7).
    pub selector: FileSelector,
    /// Which transfer: random, and kept when the same transfer is described again.
    pub transfer_id: Option<super::Token>,
    /// What shall be done with it.
    pub disposition: Option<super::Token>,
    /// Its dates.
    pub date: Option<FileDate>,
    /// Its small picture.
    pub icon: Option<FileIcon>,
    /// Which octets of it; `None`: all.
    pub range: Option<FileRange>,
}

impl FileDescription {
    /// The size of a message to come, and nothing else (TS 7.2.1.2-18.e).
    #[must_use]
    pub fn of_size(octets: u64) -> FileDescription {
        FileDescription {
            selector: FileSelector { size: Some(octets), ..FileSelector::default() },
            ..FileDescription::default()
        }
    }

    /// Whether a transfer of a file is meant.
    #[must_use]
    pub fn is_transfer(&self) -> bool {
        self.transfer_id.is_some()
    }

    /// As attributes.
    pub(crate) fn attributes(&self) -> Vec<TypedAttribute> {
        let selector = (self.selector != FileSelector::default()).then(|| self.selector.clone());
        [
            selector.map(TypedAttribute::FileSelector),
            self.transfer_id.clone().map(TypedAttribute::FileTransferId),
            self.disposition.clone().map(TypedAttribute::FileDisposition),
            self.date.clone().map(TypedAttribute::FileDate),
            self.icon.clone().map(TypedAttribute::FileIcon),
            self.range.map(TypedAttribute::FileRange),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Takes one of its attributes; the first of each name counts.
    pub(crate) fn take(&mut self, attribute: TypedAttribute) {
        fn first<T>(place: &mut Option<T>, value: T) {
            if place.is_none() {
                *place = Some(value);
            }
        }
        match attribute {
            TypedAttribute::FileSelector(selector) if self.selector == FileSelector::default() => {
                self.selector = selector;
            }
            TypedAttribute::FileTransferId(id) => first(&mut self.transfer_id, id),
            TypedAttribute::FileDisposition(disposition) => first(&mut self.disposition, disposition),
            TypedAttribute::FileDate(date) => first(&mut self.date, date),
            TypedAttribute::FileIcon(icon) => first(&mut self.icon, icon),
            TypedAttribute::FileRange(range) => first(&mut self.range, range),
            _ => {}
        }
    }

    /// Whether all texts in it can be written.
    pub(crate) fn is_writable(&self) -> bool {
        let texts = |date: &FileDate| {
            [&date.creation, &date.modification, &date.read]
                .into_iter()
                .flatten()
                .all(|text| !text.is_empty() && is_text(text) && !text.contains('"'))
        };
        let selector = &self.selector;
        selector.name.as_ref().is_none_or(|name| !name.is_empty() && name.len() <= MAX_NAME)
            && selector.media_type.as_deref().is_none_or(|text| {
                read_type(text).is_some()
                    && text.split('"').step_by(2).all(|outside| !outside.contains(' '))
                    && text.split('"').count().checked_rem(2) == Some(1)
                    && TypeList::new(Vec::from([text.split(';').next().unwrap_or_default().to_owned()]))
                        .is_some()
            })
            && selector.hashes.iter().all(|hash| is_token(&hash.algorithm) && !hash.octets.is_empty())
            && self.date.as_ref().is_none_or(|date| *date != FileDate::default() && texts(date))
            && self.range.is_none_or(|range| FileRange::new(range.start, range.stop).is_some())
    }
}

/// Octets of a name that we offer: what a name on most disks may have.
const MAX_NAME: usize = 255;
