//! The header fields of a message: an ordered list that gives back what was received and changes only what is edited.

mod values;

use crate::error::HeaderError;
use crate::grammar::{split_list, unfold};
use crate::limits::Limits;
use crate::name::{HeaderName, Occurrence};
use crate::text::HeaderText;
use crate::typed::TypedHeader;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::mem::discriminant;

/// The header fields of a message, in order.
///
/// Received fields stay the octets that they were, whatever their spelling, spacing and folding; a field that is
/// edited is written anew, its neighbours are not touched.
#[derive(Debug, Clone)]
pub struct Headers {
    source: Bytes,
    fields: Vec<Field>,
    limits: Limits,
}

type Span = (usize, usize);

/// One field: numbers alone for nearly all received ones, so that the parser writes it from registers to its place. The
/// spans are inside the line of `own`, or else inside the octets of the message; `value` is the value without white space
/// around it.
#[derive(Debug, Clone)]
struct Field {
    /// The name, unless `own` has one.
    known: &'static HeaderName,
    line: Span,
    value: Span,
    own: Option<Box<Own>>,
}

/// What a field does not share.
#[derive(Debug, Clone)]
struct Own {
    /// A name that the table does not know.
    name: Option<HeaderName>,
    /// The line of a field that was not received with this message, or that was edited.
    line: Option<Bytes>,
}

impl Field {
    fn name(&self) -> &HeaderName {
        self.own.as_ref().and_then(|own| own.name.as_ref()).unwrap_or(self.known)
    }

    fn has_name(&self, name: &HeaderName) -> bool {
        match self.own.as_ref().and_then(|own| own.name.as_ref()) {
            Some(own) => own == name,
            // One of the table: its kind says all.
            None => discriminant(self.known) == discriminant(name),
        }
    }

    fn own_line(&self) -> Option<&Bytes> {
        self.own.as_ref().and_then(|own| own.line.as_ref())
    }

    fn own_name(&self) -> Option<HeaderName> {
        self.own.as_ref().and_then(|own| own.name.clone())
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
        if self.0.contains(&b'\n') { None } else { core::str::from_utf8(self.0).ok() }
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
        Headers { source, fields: Vec::new(), limits }
    }

    /// For the parser: one more field. The spans are inside the source.
    #[inline]
    pub(crate) fn push_received(&mut self, known: &'static HeaderName, line: Span, value: Span) {
        if self.fields.is_empty() {
            // Room for the usual number of fields at once; no more than the octets can hold.
            self.fields.reserve((self.source.len() / 64).clamp(8, 32));
        }
        self.fields.push(Field { known, line, value, own: None });
    }

    /// For the parser: one more field of a name outside of the table.
    pub(crate) fn push_other(&mut self, other: HeaderName, line: Span, value: Span) {
        self.push_received(&HeaderName::Via, line, value);
        if let Some(field) = self.fields.last_mut() {
            field.own = Some(Box::new(Own { name: Some(other), line: None }));
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

    fn octets_of<'a>(&'a self, field: &'a Field) -> &'a Bytes {
        field.own_line().unwrap_or(&self.source)
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
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in order; a list is not split.
    pub fn get_all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = HeaderValue<'a>> + use<'a> {
        let name = name.clone();
        self.fields.iter().filter(move |f| f.has_name(&name)).map(|f| self.value_of(f))
    }

    /// Like [`Headers::get_all`], for a name that outlives the walk.
    pub(crate) fn values_of<'a, 'n>(
        &'a self,
        name: &'n HeaderName,
    ) -> impl Iterator<Item = HeaderValue<'a>> + use<'a, 'n> {
        self.fields.iter().filter(move |f| f.has_name(name)).map(|f| self.value_of(f))
    }

    /// Whether there is a field of this name.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.fields.iter().any(|f| f.has_name(name))
    }

    /// Whether a list is one field, and no comma stands in it.
    pub(crate) fn has_one_value(&self, name: &HeaderName) -> bool {
        let mut values = self.values_of(name);
        let first = values.next().is_some_and(|value| memchr::memchr(b',', value.as_bytes()).is_none());
        first && values.next().is_none()
    }

    /// How many fields of this name there are.
    #[must_use]
    pub fn count(&self, name: &HeaderName) -> usize {
        self.fields.iter().filter(|f| f.has_name(name)).count()
    }

    /// The typed value of a field: of the only one, or of a list its first value.
    ///
    /// # Errors
    /// The value is malformed, or a field that may stand once stands more often in whatever spelling.
    pub fn typed<H: TypedHeader>(&self) -> Result<Option<H>, HeaderError> {
        if H::NAME.occurrence() == Occurrence::Single && self.count(&H::NAME) > 1 {
            return Err(HeaderError::Repeated { header: H::NAME.label() });
        }
        for value in self.get_all(&H::NAME) {
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
        for value in self.get_all(&H::NAME) {
            let text = text_of::<H>(value)?;
            if H::NAME.occurrence() != Occurrence::List {
                self.check_count::<H>(list.len())?;
                list.push(H::read(&text, &self.limits)?);
                continue;
            }
            if text.is_empty() && H::EMPTY_LIST {
                continue;
            }
            for (start, end) in split_list(&text) {
                self.check_count::<H>(list.len())?;
                let value = text.get(start..end).unwrap_or_default();
                list.push(H::read(value.trim_matches([' ', '\t']), &self.limits)?);
            }
        }
        Ok(list)
    }

    fn check_count<H: TypedHeader>(&self, present: usize) -> Result<(), HeaderError> {
        let wanted = present.saturating_add(1);
        match H::NAME {
            HeaderName::Via => self.limits.max_via(wanted),
            HeaderName::Route | HeaderName::RecordRoute | HeaderName::Path | HeaderName::ServiceRoute => {
                self.limits.max_routes(wanted)
            }
            _ => self.limits.max_list_values(wanted),
        }
        .map_err(|exceeded| HeaderError::Limit { header: H::NAME.label(), exceeded })
    }

    /// Adds a field after all others.
    pub fn push(&mut self, name: HeaderName, value: HeaderText) {
        let field = Field::new(name, value.as_str());
        self.fields.push(field);
    }

    /// Adds a field with a typed value after all others.
    pub fn push_typed<H: TypedHeader>(&mut self, value: &H) {
        self.push(H::NAME, value.to_text());
    }

    /// Adds a field above the first of its name; above all others when there is none.
    pub fn prepend(&mut self, name: HeaderName, value: HeaderText) {
        let at = self.position(&name).unwrap_or(0);
        self.fields.insert(at, Field::new(name, value.as_str()));
    }

    /// Adds a field with a typed value above the first of its name; above all others when there is none.
    pub fn prepend_typed<H: TypedHeader>(&mut self, value: &H) {
        self.prepend(H::NAME, value.to_text());
    }

    fn position(&self, name: &HeaderName) -> Option<usize> {
        self.fields.iter().position(|f| f.has_name(name))
    }

    /// Replaces all fields of this name by one in place of the first; adds one at the end when there is none.
    pub fn replace(&mut self, name: HeaderName, value: HeaderText) {
        let at = self.position(&name).unwrap_or(self.fields.len());
        self.remove(&name);
        self.fields.insert(at.min(self.fields.len()), Field::new(name, value.as_str()));
    }

    /// Replaces all fields of this name by one with a typed value, in place of the first.
    pub fn set_typed<H: TypedHeader>(&mut self, value: &H) {
        self.replace(H::NAME, value.to_text());
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
        let before = self.fields.len();
        self.fields.retain(|f| !f.has_name(name));
        before.saturating_sub(self.fields.len())
    }

    /// Removes the topmost value of a list. Octets of the values after it stay as they are; a field that is left without
    /// a value goes. Says whether there was one.
    pub fn pop_first_value(&mut self, name: &HeaderName) -> bool {
        let Some(at) = self.position(name) else { return false };
        match self.after_first_value(at) {
            Some((head, _, tail)) => self.rewrite(at, &head, b"", &tail),
            None => drop(self.fields.remove(at)),
        }
        true
    }

    /// Replaces the topmost value of a list. Octets of the values after it stay as they are. Says whether there was one.
    pub fn replace_first_value(&mut self, name: &HeaderName, value: &HeaderText) -> bool {
        let Some(at) = self.position(name) else { return false };
        match self.after_first_value(at) {
            Some((head, comma, tail)) => {
                let mut first = value.as_str().as_bytes().to_vec();
                first.extend_from_slice(&comma);
                self.rewrite(at, &head, &first, &tail);
            }
            None => {
                let head = self.fields.get(at).map(|f| self.up_to_value(f)).unwrap_or_default();
                self.rewrite(at, &head, value.as_str().as_bytes(), b"\r\n");
            }
        }
        true
    }

    /// Replaces the topmost value of a list by a typed one (the Via that a response will be routed by).
    pub fn replace_first_typed<H: TypedHeader>(&mut self, value: &H) -> bool {
        self.replace_first_value(&H::NAME, &value.to_text())
    }

    fn up_to_value(&self, field: &Field) -> Vec<u8> {
        if self.value_of(field).as_bytes().is_empty() {
            // Whatever white space and folds stand there: the value that comes stays on the line of its name.
            let name = self.line_of(field).split(|octet| *octet == b':').next().unwrap_or_default();
            return [name, b": "].concat();
        }
        let length = field.value.0.saturating_sub(field.line.0);
        self.line_of(field).get(..length).unwrap_or_default().to_vec()
    }

    /// A field of more than one value, cut in three: up to the first value, the comma with white space around it, and
    /// from the second value to the end of the line. `None` when there is one value.
    fn after_first_value(&self, at: usize) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        let field = self.fields.get(at)?;
        if field.name().occurrence() != Occurrence::List {
            return None;
        }
        let value = self.value_of(field).as_bytes();
        let comma = first_comma(value)?;
        let is_space = |o: &u8| matches!(o, b' ' | b'\t' | b'\r' | b'\n');
        let before = value.get(..comma)?.iter().rev().take_while(|o| is_space(o)).count();
        let after = value.get(comma..)?.iter().skip(1).take_while(|o| is_space(o)).count();
        let second = comma.saturating_add(1).saturating_add(after);
        let head = self.up_to_value(field);
        let tail = self.line_of(field).get(head.len().saturating_add(second)..)?.to_vec();
        let between = value.get(comma.saturating_sub(before)..second)?.to_vec();
        Some((head, between, tail))
    }

    fn rewrite(&mut self, at: usize, head: &[u8], first: &[u8], tail: &[u8]) {
        let mut line = Vec::with_capacity(head.len().saturating_add(first.len()).saturating_add(tail.len()));
        line.extend_from_slice(head);
        line.extend_from_slice(first);
        line.extend_from_slice(tail);
        let end = line.trim_ascii_end().len().max(head.len());
        if let Some(field) = self.fields.get_mut(at) {
            (field.line, field.value) = ((0, line.len()), (head.len(), end));
            field.own = Some(Box::new(Own { name: field.own_name(), line: Some(Bytes::from(line)) }));
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
        for field in other.fields.iter().filter(|f| f.has_name(name)) {
            let octets = other.octets_of(field);
            if octets.get(field.line.0..field.line.1).is_some() {
                let moved = |at: usize| at.saturating_sub(field.line.0);
                self.fields.push(Field {
                    known: field.known,
                    line: (0, moved(field.line.1)),
                    value: (moved(field.value.0), moved(field.value.1)),
                    own: Some(Box::new(Own {
                        name: field.own_name(),
                        line: Some(octets.slice(field.line.0..field.line.1)),
                    })),
                });
            }
        }
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
        let line = alloc::format!("{name}: {value}\r\n");
        let start = name.as_str().len().saturating_add(2);
        let end = start.saturating_add(value.len());
        let known = HeaderName::known(name.as_str().as_bytes());
        let own = Own { name: known.is_none().then_some(name), line: Some(Bytes::from(line.into_bytes())) };
        Field {
            known: known.unwrap_or(&HeaderName::Via),
            line: (0, end.saturating_add(2)),
            value: (start, end),
            own: Some(Box::new(own)),
        }
    }
}

fn text_of<H: TypedHeader>(value: HeaderValue<'_>) -> Result<Cow<'_, str>, HeaderError> {
    value.to_text().ok_or(HeaderError::Malformed { header: H::NAME.label(), what: "not UTF-8" })
}

/// Where the comma stands that ends the first value. Works on octets, so that values that are not UTF-8 stay in one piece.
fn first_comma(value: &[u8]) -> Option<usize> {
    let text = core::str::from_utf8(value).ok()?;
    let (_, end) = split_list(text).next()?;
    (end < value.len()).then_some(end)
}

#[cfg(test)]
mod tests;
