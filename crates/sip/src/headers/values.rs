//! Edits of one value among many: the octets of all others stay as they are.

use super::{Headers, Occurrence};
use crate::grammar::split_list;
use crate::name::HeaderName;
use crate::text::HeaderText;
use alloc::vec::Vec;

/// Where one value stands.
struct ValueAt {
    /// The field, counted among all fields.
    field: usize,
    /// From the begin of the line: where the value begins and ends, white space around it left out.
    from: usize,
    to: usize,
    /// The same with its comma: what goes when the value goes. `None` for the only value of a field.
    with_comma: Option<(usize, usize)>,
}

impl Headers {
    /// Replaces one value, counted from 0 over all fields of this name in order, lists split at their commas. Says whether
    /// there was one.
    pub fn replace_value(&mut self, name: &HeaderName, index: usize, value: &HeaderText) -> bool {
        let Some(at) = self.value_at(name, index) else { return false };
        self.splice(&at, (at.from, at.to), value.as_str().as_bytes());
        true
    }

    /// Removes one value, counted like that of [`Headers::replace_value`], and its comma; the field goes with its last
    /// value. Says whether there was one.
    pub fn remove_value(&mut self, name: &HeaderName, index: usize) -> bool {
        let Some(at) = self.value_at(name, index) else { return false };
        match at.with_comma {
            Some(span) => self.splice(&at, span, b""),
            None => self.edit().remove(at.field),
        }
        true
    }

    fn splice(&mut self, at: &ValueAt, (from, to): (usize, usize), fresh: &[u8]) {
        let Some(field) = self.0.list().get(at.field) else { return };
        let head = self.0.head_of(field);
        let old = self.0.line_of(field);
        let mut line = Vec::with_capacity(old.len().saturating_add(fresh.len()));
        for part in [old.get(..from), Some(fresh), old.get(to..)] {
            line.extend_from_slice(part.unwrap_or_default());
        }
        self.edit().rewrite(at.field, line, head);
    }

    fn value_at(&self, name: &HeaderName, index: usize) -> Option<ValueAt> {
        let mut before = 0usize;
        for (number, field) in self.0.list().iter().enumerate().filter(|(_, field)| field.has_name(name)) {
            let value = self.0.value_of(field).as_bytes();
            let start = self.0.head_of(field);
            let wanted = index.saturating_sub(before);
            // Of a value that is no text, and of a name that makes no lists, nothing is split.
            let spans: Vec<(usize, usize)> = match core::str::from_utf8(value) {
                _ if value.is_empty() => continue,
                Ok(text) if name.occurrence() == Occurrence::List => split_list(text).collect(),
                _ => alloc::vec![(0, value.len())],
            };
            before = before.saturating_add(spans.len());
            let Some((from, to)) = spans.get(wanted).copied() else { continue };
            let piece = value.get(from..to)?;
            let is_space = |octet: &&u8| matches!(octet, b' ' | b'\t' | b'\r' | b'\n');
            let lead = piece.iter().take_while(is_space).count();
            let trail = piece.iter().rev().take_while(is_space).count().min(piece.len().saturating_sub(lead));
            // The first value goes with the comma behind it, another one with the comma before it.
            let next = spans.get(wanted.saturating_add(1));
            let with_comma = match (wanted.checked_sub(1), next) {
                (None, None) => None,
                (None, Some((next, end))) => {
                    let rest = value.get(*next..*end)?;
                    let spaces = rest.iter().take_while(is_space).count().min(rest.len());
                    Some((from, next.saturating_add(spaces)))
                }
                (Some(previous), _) => {
                    let (start, end) = spans.get(previous).copied()?;
                    let blanks = value.get(start..end)?.iter().rev().take_while(is_space).count();
                    Some((end.saturating_sub(blanks.min(end.saturating_sub(start))), to))
                }
            };
            let moved = |at: usize| at.saturating_add(start);
            return Some(ValueAt {
                field: number,
                from: moved(from.saturating_add(lead)),
                to: moved(to.saturating_sub(trail)),
                with_comma: with_comma.map(|(from, to)| (moved(from), moved(to))),
            });
        }
        None
    }
}

#[cfg(test)]
mod tests;
