//! The header fields of a message: an ordered list that gives back what was received and changes only what is edited.

mod reading;
mod sound;
mod values;

use crate::error::HeaderError;
use crate::grammar::{split_list, unfold};
use crate::limits::Limits;
use crate::name::{HeaderName, Occurrence};
use crate::text::{HeaderText, holds_control};
use crate::typed::TypedHeader;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use sound::Sound;

/// The header fields of a message, in order.
///
/// Received fields stay the octets that they were, whatever their spelling, spacing and folding; a field that is
/// edited is written anew, its neighbours are not touched.
#[derive(Debug)]
pub struct Headers {
    source: Bytes,
    fields: Vec<Field>,
    limits: Limits,
}

/// Fields that an edit usually adds: there is room for them at once.
const ROOM: usize = 4;

impl Clone for Headers {
    fn clone(&self) -> Self {
        let mut fields = Vec::with_capacity(self.fields.len().saturating_add(ROOM));
        fields.extend_from_slice(&self.fields);
        Headers { source: self.source.clone(), fields, limits: self.limits }
    }
}

type Span = (usize, usize);

/// One field: numbers alone for nearly all received ones, so that the parser writes it from registers to its place. The
/// spans are inside the line of `own`, or else inside the octets of the message; `value` is the value without white space
/// around it.
#[derive(Debug, Clone)]
struct Field {
    /// Where the name stands in the table; beyond it when `own` has the name.
    place: u8,
    sound: Sound,
    line: Span,
    value: Span,
    own: Option<Arc<Own>>,
}

/// What a field does not take from the table and from the octets of the message. Never edited, so that copies share it.
#[derive(Debug)]
struct Own {
    /// A name that the table does not know.
    name: Option<HeaderName>,
    line: Line,
}

/// Where the line of a field is.
#[derive(Debug, Clone)]
enum Line {
    /// In the octets of the message.
    Received,
    /// In those of another message.
    Shared(Bytes),
    /// Written here.
    Made(Vec<u8>),
}

impl Field {
    fn own_name(&self) -> Option<&HeaderName> {
        self.own.as_ref().and_then(|own| own.name.as_ref())
    }

    fn name(&self) -> &HeaderName {
        let known = HeaderName::KNOWN.get(usize::from(self.place));
        known.or_else(|| self.own_name()).unwrap_or(&HeaderName::Via)
    }

    /// Whether it has this name, whose place in the table is this one.
    #[inline]
    fn has(&self, name: &HeaderName, place: u8) -> bool {
        self.place == place && (place != HeaderName::NOT_KNOWN || self.own_name() == Some(name))
    }

    #[inline]
    fn has_name(&self, name: &HeaderName) -> bool {
        self.has(name, name.place())
    }

    /// Its line is in the octets of the message that it was received with.
    fn is_received(&self) -> bool {
        self.own.as_ref().is_none_or(|own| matches!(own.line, Line::Received))
    }

    /// A line that was written here, in place of another one or as a new field.
    fn made(place: u8, name: Option<HeaderName>, line: Vec<u8>, value: Span) -> Field {
        let whole = (0, line.len());
        let own = Own { name, line: Line::Made(line) };
        Field { place, sound: Sound::default(), line: whole, value, own: Some(Arc::new(own)) }
    }
}

/// The value of one header field, as received or as it will be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderValue<'a>(&'a [u8]);

impl<'a> HeaderValue<'a> {
    /// The octets, without white space at the ends; folds are still in it.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The octets without folds.
    #[must_use]
    #[inline]
    pub fn unfolded(self) -> Cow<'a, [u8]> {
        unfold(self.0)
    }

    /// The text without folds, when it is UTF-8.
    #[must_use]
    pub fn to_text(self) -> Option<Cow<'a, str>> {
        match self.unfolded() {
            Cow::Borrowed(octets) => core::str::from_utf8(octets).ok().map(Cow::Borrowed),
            Cow::Owned(octets) => String::from_utf8(octets).ok().map(Cow::Owned),
        }
    }

    /// The text, when it is UTF-8 and not folded.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        if memchr::memchr(b'\n', self.0).is_some() { None } else { core::str::from_utf8(self.0).ok() }
    }
}

impl Default for Headers {
    fn default() -> Self {
        Headers { source: Bytes::new(), fields: Vec::new(), limits: Limits::DEFAULT }
    }
}

impl Headers {
    /// No header fields.
    #[must_use]
    pub fn new() -> Headers {
        Headers::default()
    }

    /// For the parser: fields inside `source`.
    pub(crate) fn received(source: Bytes, limits: Limits) -> Headers {
        // Room for the usual number of fields at once, and for edits; no more than the octets can hold.
        let room = (source.len() / 64).clamp(8, 32).saturating_add(ROOM);
        Headers { source, fields: Vec::with_capacity(room), limits }
    }

    /// For the parser: one more field. The spans are inside the source.
    #[inline]
    pub(crate) fn push_received(&mut self, place: u8, line: Span, value: Span) {
        self.fields.push(Field { place, sound: Sound::default(), line, value, own: None });
    }

    /// For the parser: one more field of a name outside of the table.
    pub(crate) fn push_other(&mut self, other: HeaderName, line: Span, value: Span) {
        self.push_received(HeaderName::NOT_KNOWN, line, value);
        if let Some(field) = self.fields.last_mut() {
            field.own = Some(Arc::new(Own { name: Some(other), line: Line::Received }));
        }
    }

    /// The limits that typed values are read within.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    #[inline]
    fn octets_of<'a>(&'a self, field: &'a Field) -> &'a [u8] {
        match field.own.as_ref().map(|own| &own.line) {
            None | Some(Line::Received) => &self.source,
            Some(Line::Shared(octets)) => octets,
            Some(Line::Made(octets)) => octets,
        }
    }

    fn line_of<'a>(&'a self, field: &'a Field) -> &'a [u8] {
        self.octets_of(field).get(field.line.0..field.line.1).unwrap_or_default()
    }

    fn value_of<'a>(&'a self, field: &'a Field) -> HeaderValue<'a> {
        HeaderValue(self.octets_of(field).get(field.value.0..field.value.1).unwrap_or_default())
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, HeaderValue<'_>)> + '_ {
        self.fields.iter().map(|field| (field.name(), self.value_of(field)))
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<HeaderValue<'_>> {
        self.values_of(name).next()
    }

    /// The values of all fields of this name, in order; a list is not split.
    pub fn get_all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = HeaderValue<'a>> + use<'a> {
        let (name, place) = (name.clone(), name.place());
        self.fields.iter().filter(move |f| f.has(&name, place)).map(|f| self.value_of(f))
    }

    /// Like [`Headers::get_all`], for a name that outlives the walk.
    pub(crate) fn values_of<'a, 'n>(
        &'a self,
        name: &'n HeaderName,
    ) -> impl Iterator<Item = HeaderValue<'a>> + use<'a, 'n> {
        let place = name.place();
        self.fields.iter().filter(move |f| f.has(name, place)).map(|f| self.value_of(f))
    }

    /// Whether there is a field of this name.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.position(name).is_some()
    }

    /// How many fields of this name there are.
    #[must_use]
    pub fn count(&self, name: &HeaderName) -> usize {
        let place = name.place();
        self.fields.iter().filter(|f| f.has(name, place)).count()
    }

    /// The typed value of a field: of the only one, or of a list its first value.
    ///
    /// # Errors
    /// The value is malformed, or a field that may stand once stands more often in whatever spelling.
    pub fn typed<H: TypedHeader>(&self) -> Result<Option<H>, HeaderError> {
        let name = H::NAME;
        let mut values = self.values_of(&name);
        while let Some(value) = values.next() {
            if H::NAME.occurrence() == Occurrence::Single && values.next().is_some() {
                return Err(HeaderError::Repeated { header: H::NAME.label() });
            }
            let text = text_of::<H>(value)?;
            if text.is_empty() && H::EMPTY_LIST {
                continue;
            }
            let first = match H::NAME.occurrence() {
                Occurrence::List => split_list(&text).next().and_then(|(start, end)| text.get(start..end)),
                _ => Some(&*text),
            };
            let first = first.unwrap_or_default().trim_matches([' ', '\t']);
            return H::read(first, &self.limits).map(Some);
        }
        Ok(None)
    }

    /// All typed values of all fields of this name, in order; lists are split at their commas.
    ///
    /// # Errors
    /// A value is malformed or empty, or there are more than the limits allow.
    pub fn typed_list<H: TypedHeader>(&self) -> Result<Vec<H>, HeaderError> {
        let mut list = Vec::new();
        let name = H::NAME;
        for value in self.values_of(&name) {
            let text = text_of::<H>(value)?;
            if H::NAME.occurrence() != Occurrence::List {
                self.check_count(&name, list.len())?;
                list.push(H::read(&text, &self.limits)?);
                continue;
            }
            if text.is_empty() && H::EMPTY_LIST {
                continue;
            }
            for (start, end) in split_list(&text) {
                self.check_count(&name, list.len())?;
                let value = text.get(start..end).unwrap_or_default();
                let value = H::read(value.trim_matches([' ', '\t']), &self.limits)?;
                if list.is_empty() {
                    // Nearly all lists are of one or two values.
                    list.reserve_exact(2);
                }
                list.push(value);
            }
        }
        Ok(list)
    }

    /// Whether there may be one more value in a list.
    pub(crate) fn check_count(&self, name: &HeaderName, present: usize) -> Result<(), HeaderError> {
        let wanted = present.saturating_add(1);
        match name {
            HeaderName::Via => self.limits.max_via(wanted),
            HeaderName::Route | HeaderName::RecordRoute | HeaderName::Path | HeaderName::ServiceRoute => {
                self.limits.max_routes(wanted)
            }
            _ => self.limits.max_list_values(wanted),
        }
        .map_err(|exceeded| HeaderError::Limit { header: name.label(), exceeded })
    }

    /// Adds a field after all others.
    pub fn push(&mut self, name: HeaderName, value: HeaderText) {
        self.fields.push(Field::new(name, value.as_str()));
    }

    /// Adds a field with a typed value after all others.
    pub fn push_typed<H: TypedHeader>(&mut self, value: &H) {
        self.fields.push(Field::typed(value));
    }

    /// Adds a field above the first of its name; above all others when there is none.
    pub fn prepend(&mut self, name: HeaderName, value: HeaderText) {
        self.put_above(Field::new(name, value.as_str()));
    }

    fn put_above(&mut self, field: Field) {
        let at = self.position(field.name()).unwrap_or(0);
        self.fields.insert(at, field);
    }

    /// Adds a field with a typed value above the first of its name; above all others when there is none.
    pub fn prepend_typed<H: TypedHeader>(&mut self, value: &H) {
        self.put_above(Field::typed(value));
    }

    fn position(&self, name: &HeaderName) -> Option<usize> {
        let place = name.place();
        self.fields.iter().position(|f| f.has(name, place))
    }

    /// Replaces all fields of this name by one in place of the first; adds one at the end when there is none.
    pub fn replace(&mut self, name: HeaderName, value: HeaderText) {
        self.put_in_place(Field::new(name, value.as_str()));
    }

    fn put_in_place(&mut self, field: Field) {
        let (name, place) = (field.name().clone(), field.place);
        let Some(at) = self.position(&name) else { return self.fields.push(field) };
        if let Some(first) = self.fields.get_mut(at) {
            *first = field;
        }
        let mut number = 0usize;
        if self.fields.iter().skip(at.saturating_add(1)).any(|f| f.has(&name, place)) {
            self.fields.retain(|f| {
                let stays = number <= at || !f.has(&name, place);
                number = number.saturating_add(1);
                stays
            });
        }
    }

    /// Replaces all fields of this name by one with a typed value, in place of the first.
    pub fn set_typed<H: TypedHeader>(&mut self, value: &H) {
        self.put_in_place(Field::typed(value));
    }

    /// Replaces all fields of this name by one that lists these values; removes them all when there are none.
    pub fn set_typed_list<H: TypedHeader>(&mut self, values: &[H]) {
        let mut text = Vec::new();
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                text.extend_from_slice(b", ");
            }
            value.write(&mut text);
        }
        if values.is_empty() {
            self.remove(&H::NAME);
        } else {
            self.replace(H::NAME, HeaderText::written(&text));
        }
    }

    /// Removes all fields of this name in all spellings; says how many there were.
    pub fn remove(&mut self, name: &HeaderName) -> usize {
        let (before, place) = (self.fields.len(), name.place());
        self.fields.retain(|f| !f.has(name, place));
        before.saturating_sub(self.fields.len())
    }

    /// Removes the topmost value of a list. Octets of the values after it stay as they are; a field that is left without
    /// a value goes. Says whether there was one.
    pub fn pop_first_value(&mut self, name: &HeaderName) -> bool {
        let Some(at) = self.position(name) else { return false };
        match self.fields.get(at).and_then(|field| self.after_first_value(field).map(|ends| (field, ends))) {
            Some((field, (_, second))) => {
                let (line, head) = self.with_first_value(field, b"", second);
                self.rewrite(at, line, head);
            }
            None => drop(self.fields.remove(at)),
        }
        true
    }

    /// Replaces the topmost value of a list. Octets of the values after it stay as they are. Says whether there was one.
    pub fn replace_first_value(&mut self, name: &HeaderName, value: &HeaderText) -> bool {
        let Some(at) = self.position(name) else { return false };
        if let Some(field) = self.fields.get(at) {
            let after = self.after_first_value(field).map_or(usize::MAX, |(first, _)| first);
            let (line, head) = self.with_first_value(field, value.as_str().as_bytes(), after);
            self.rewrite(at, line, head);
        }
        true
    }

    /// Replaces the topmost value of a list by a typed one (the Via that a response will be routed by).
    pub fn replace_first_typed<H: TypedHeader>(&mut self, value: &H) -> bool {
        self.replace_first_value(&H::NAME, &value.to_text())
    }

    /// The line of a field up to its value, then `first`, then what the value holds from `after` on; and how long what
    /// stands before the value is.
    fn with_first_value(&self, field: &Field, first: &[u8], after: usize) -> (Vec<u8>, usize) {
        let old = self.line_of(field);
        let start = field.value.0.saturating_sub(field.line.0);
        let mut line = Vec::with_capacity(old.len().saturating_add(first.len()).saturating_add(2));
        if field.value.0 == field.value.1 {
            // Whatever white space and folds stand there: the value that comes stays on the line of its name.
            line.extend_from_slice(old.split(|octet| *octet == b':').next().unwrap_or_default());
            line.extend_from_slice(b": ");
        } else {
            line.extend_from_slice(old.get(..start).unwrap_or_default());
        }
        let head = line.len();
        line.extend_from_slice(first);
        line.extend_from_slice(old.get(start.saturating_add(after)..).unwrap_or(b"\r\n"));
        (line, head)
    }

    /// Of a value that is a list of several: where the first of them ends, and where the second begins. White space around
    /// the comma belongs to neither. `None` when there is one value.
    fn after_first_value(&self, field: &Field) -> Option<(usize, usize)> {
        if field.name().occurrence() != Occurrence::List {
            return None;
        }
        let value = self.value_of(field).as_bytes();
        let comma = first_comma(value)?;
        let is_space = |o: &&u8| matches!(o, b' ' | b'\t' | b'\r' | b'\n');
        let before = value.get(..comma)?.iter().rev().take_while(is_space).count();
        let after = value.get(comma..)?.iter().skip(1).take_while(is_space).count();
        Some((comma.saturating_sub(before), comma.saturating_add(1).saturating_add(after)))
    }

    /// Puts a line in the place of one that stands there; its value begins at `head`.
    fn rewrite(&mut self, at: usize, line: Vec<u8>, head: usize) {
        let end = line.trim_ascii_end().len().max(head);
        if let Some(field) = self.fields.get_mut(at) {
            *field = Field::made(field.place, field.own_name().cloned(), line, (head, end));
        }
    }

    /// A copy of the fields of these names alone, in the order they stand here; octets are shared, not copied.
    #[must_use]
    pub fn subset(&self, names: &[HeaderName]) -> Headers {
        let fields = self.fields.iter().filter(|f| names.contains(f.name())).cloned().collect();
        Headers { source: self.source.clone(), fields, limits: self.limits }
    }

    /// Adds a copy of all fields of this name of another message, octet for octet, after all others.
    pub fn copy_from(&mut self, other: &Headers, name: &HeaderName) {
        let place = name.place();
        for field in other.fields.iter().filter(|f| f.has(name, place)) {
            if field.is_received() && self.source.is_empty() {
                // Nothing of its own was received: it begins to share what the other was.
                self.source = other.source.clone();
            }
            if !field.is_received() || self.shares_source_of(other) {
                // Other limits may count there.
                self.fields.push(Field { sound: Sound::default(), ..field.clone() });
            } else if other.source.get(field.line.0..field.line.1).is_some() {
                let moved = |at: usize| at.saturating_sub(field.line.0);
                let line = Line::Shared(other.source.slice(field.line.0..field.line.1));
                self.fields.push(Field {
                    place: field.place,
                    sound: Sound::default(),
                    line: (0, moved(field.line.1)),
                    value: (moved(field.value.0), moved(field.value.1)),
                    own: Some(Arc::new(Own { name: field.own_name().cloned(), line })),
                });
            }
        }
    }

    /// Whether the octets of both are the same ones in memory.
    fn shares_source_of(&self, other: &Headers) -> bool {
        core::ptr::eq(self.source.as_ref(), other.source.as_ref())
    }

    /// Octets that [`Headers::write`] writes.
    pub(crate) fn written_length(&self) -> usize {
        self.fields.iter().fold(0usize, |sum, field| sum.saturating_add(self.line_of(field).len()))
    }

    /// Writes all lines, each with its line end.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for field in &self.fields {
            out.extend_from_slice(self.line_of(field));
        }
    }
}

impl Field {
    fn new(name: HeaderName, value: &str) -> Field {
        let long = name.as_str();
        let start = long.len().saturating_add(2);
        let end = start.saturating_add(value.len());
        let mut line = Vec::with_capacity(end.saturating_add(2));
        for part in [long, ": ", value, "\r\n"] {
            line.extend_from_slice(part.as_bytes());
        }
        let place = name.place();
        Field::made(place, (place == HeaderName::NOT_KNOWN).then_some(name), line, (start, end))
    }

    fn typed<H: TypedHeader>(value: &H) -> Field {
        let mut line = Vec::with_capacity(128);
        line.extend_from_slice(H::NAME.as_str().as_bytes());
        line.extend_from_slice(b": ");
        let start = line.len();
        value.write(&mut line);
        let end = line.len();
        let written = line.get(start..).unwrap_or_default();
        let plain = written.is_ascii() && !holds_control(written);
        if !plain || matches!(written, [b' ' | b'\t', ..] | [.., b' ' | b'\t']) {
            return Field::new(H::NAME, HeaderText::written(written).as_str());
        }
        line.extend_from_slice(b"\r\n");
        Field::made(H::NAME.place(), None, line, (start, end))
    }
}

fn text_of<H: TypedHeader>(value: HeaderValue<'_>) -> Result<Cow<'_, str>, HeaderError> {
    value.to_text().ok_or(HeaderError::Malformed { header: H::NAME.label(), what: "not UTF-8" })
}

/// Where the comma stands that ends the first value. Works on octets, so that values that are not UTF-8 stay in one piece.
fn first_comma(value: &[u8]) -> Option<usize> {
    // Nearly always there is none at all.
    memchr::memchr(b',', value)?;
    let text = core::str::from_utf8(value).ok()?;
    let (_, end) = split_list(text).next()?;
    (end < value.len()).then_some(end)
}

#[cfg(test)]
mod tests;
