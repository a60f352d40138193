//! Changing a description that is passed on: what is not named stays octet for octet.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

use crate::description::{Attribute, LineRef, Media};
use crate::media::Direction;

/// The part of one medium.
#[derive(Debug, Clone)]
pub(crate) struct MediaEdit {
    /// Letter, equals sign and value; the `m=` line first.
    lines: Vec<Vec<u8>>,
}

impl MediaEdit {
    pub(crate) fn of(media: &Media) -> MediaEdit {
        let line = |line: LineRef<'_>| [&[line.kind, b'='], line.value].concat();
        MediaEdit { lines: media.lines().map(line).collect() }
    }

    /// The `m=` line with another port; where several ports were named, one.
    pub(crate) fn set_port(&mut self, media: &Media, port: u16) {
        if let Some(line) = self.lines.first_mut() {
            *line = format!("m={} {port} {} {}", media.media(), media.proto(), media.formats()).into_bytes();
        }
    }

    /// One `c=` line, in its place.
    pub(crate) fn set_connection(&mut self, text: &str) {
        self.lines.retain(|line| !line.starts_with(b"c="));
        let before = |line: &&Vec<u8>| line.starts_with(b"m=") || line.starts_with(b"i=");
        let at = self.lines.iter().take_while(before).count();
        self.lines.insert(at, format!("c={text}").into_bytes());
    }

    /// One attribute of this name, where the first of them stood, else at the end.
    pub(crate) fn set_attribute(&mut self, name: &str, value: Option<&str>) {
        let line = match value {
            Some(value) => format!("a={name}:{value}"),
            None => format!("a={name}"),
        };
        let at = self.lines.iter().position(|line| is_attribute(line, name));
        self.remove_attribute(name);
        let at = at.unwrap_or(self.lines.len()).min(self.lines.len());
        self.lines.insert(at, line.into_bytes());
    }

    pub(crate) fn remove_attribute(&mut self, name: &str) {
        self.lines.retain(|line| !is_attribute(line, name));
    }

    pub(crate) fn set_direction(&mut self, direction: Direction) {
        for other in [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
            if other != direction {
                self.remove_attribute(other.as_str());
            }
        }
        self.set_attribute(direction.as_str(), None);
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for line in &self.lines {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn is_attribute(line: &[u8], name: &str) -> bool {
    line.strip_prefix(b"a=").and_then(Attribute::read).is_some_and(|attribute| attribute.name == name)
}

/// The lines of a session part but for `v=` and `o=`, as they stand.
pub(crate) fn session_lines<'a>(lines: impl Iterator<Item = LineRef<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines.filter(|line| !matches!(line.kind, b'v' | b'o')) {
        out.extend_from_slice(&[line.kind, b'=']);
        out.extend_from_slice(line.value);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The octets of a medium that nothing changes, its last line ended.
pub(crate) fn untouched(media: &Media, out: &mut Vec<u8>) {
    let octets: Bytes = media.to_bytes();
    out.extend_from_slice(&octets);
    if !octets.ends_with(b"\n") {
        out.extend_from_slice(b"\r\n");
    }
}

/// A list of media types as one attribute writes it.
pub(crate) fn list(entries: &[String]) -> String {
    entries.join(" ")
}
