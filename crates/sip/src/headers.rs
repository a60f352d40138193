//! The header fields of a message: an ordered list that gives back what was received and changes only what is edited.

mod fields;
mod reading;
mod sound;
mod values;

use crate::error::HeaderError;
use crate::grammar::{split_list, unfold};
use crate::limits::Limits;
use crate::name::{HeaderName, Occurrence};
use crate::text::{HeaderText, InvalidText, check_text};
use crate::typed::TypedHeader;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fields::Field;
pub(crate) use fields::Fields;

/// The header fields of a message, in order.
///
/// Received fields stay the octets that they were, whatever their spelling, spacing and folding; a field that is
/// edited is written anew, its neighbours are not touched.
///
/// A clone shares all of it; an edit copies the list of fields, not their octets, when it is shared.
#[derive(Debug, Clone, Default)]
pub struct Headers(Arc<Fields>);

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

impl Headers {
    /// No header fields.
    #[must_use]
    pub fn new() -> Headers {
        Headers::default()
    }

    /// The fields to be edited: a copy of those that are shared.
    fn edit(&mut self) -> &mut Fields {
        Arc::make_mut(&mut self.0)
    }

    /// The limits that typed values are read within.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.0.limits()
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.list().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.list().is_empty()
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, HeaderValue<'_>)> + '_ {
        self.0.list().iter().map(|field| (field.name(), self.0.value_of(field)))
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<HeaderValue<'_>> {
        self.values_of(name).next()
    }

    /// The values of all fields of this name, in order; a list is not split.
    pub fn get_all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = HeaderValue<'a>> + use<'a> {
        let (name, place) = (name.clone(), name.place());
        self.0.around(place).iter().filter(move |f| f.has(&name, place)).map(|f| self.0.value_of(f))
    }

    /// Like [`Headers::get_all`], for a name that outlives the walk.
    pub(crate) fn values_of<'a, 'n>(
        &'a self,
        name: &'n HeaderName,
    ) -> impl Iterator<Item = HeaderValue<'a>> + use<'a, 'n> {
        self.0.of(name).map(|f| self.0.value_of(f))
    }

    /// Whether there is a field of this name.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.0.position(name).is_some()
    }

    /// Whether a name of which there may be one field has more.
    pub(crate) fn repeats_single(&self) -> bool {
        self.0.repeats_single()
    }

    /// How many fields of this name there are.
    #[must_use]
    pub fn count(&self, name: &HeaderName) -> usize {
        self.0.of(name).count()
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
            return H::read(first, self.0.limits()).map(Some);
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
                list.push(H::read(&text, self.0.limits())?);
                continue;
            }
            if text.is_empty() && H::EMPTY_LIST {
                continue;
            }
            for (start, end) in split_list(&text) {
                self.check_count(&name, list.len())?;
                let value = text.get(start..end).unwrap_or_default();
                let value = H::read(value.trim_matches([' ', '\t']), self.0.limits())?;
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
            HeaderName::Via => self.0.limits().max_via(wanted),
            HeaderName::Route | HeaderName::RecordRoute | HeaderName::Path | HeaderName::ServiceRoute => {
                self.0.limits().max_routes(wanted)
            }
            _ => self.0.limits().max_list_values(wanted),
        }
        .map_err(|exceeded| HeaderError::Limit { header: name.label(), exceeded })
    }

    /// Adds a field after all others.
    pub fn push(&mut self, name: HeaderName, value: HeaderText) {
        self.edit().push(Field::new(name, value.as_str()));
    }

    /// Adds a field with a typed value after all others.
    pub fn push_typed<H: TypedHeader>(&mut self, value: &H) {
        self.edit().push(Field::typed(value));
    }

    /// Adds a field above the first of its name; above all others when there is none.
    pub fn prepend(&mut self, name: HeaderName, value: HeaderText) {
        self.edit().put_above(Field::new(name, value.as_str()));
    }

    /// Like [`Headers::prepend`] for a text that was made for this place alone.
    ///
    /// # Errors
    /// The text holds a control character.
    pub fn prepend_text(&mut self, name: HeaderName, value: &str) -> Result<(), InvalidText> {
        check_text(value)?;
        self.edit().put_above(Field::new(name, value.trim_matches([' ', '\t'])));
        Ok(())
    }

    /// Adds a field with a typed value above the first of its name; above all others when there is none.
    pub fn prepend_typed<H: TypedHeader>(&mut self, value: &H) {
        self.edit().put_above(Field::typed(value));
    }

    /// Replaces all fields of this name by one in place of the first; adds one at the end when there is none.
    pub fn replace(&mut self, name: HeaderName, value: HeaderText) {
        self.edit().put_in_place(Field::new(name, value.as_str()));
    }

    /// Replaces all fields of this name by one with a typed value, in place of the first.
    pub fn set_typed<H: TypedHeader>(&mut self, value: &H) {
        self.edit().put_in_place(Field::typed(value));
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
        if !self.contains(name) {
            return 0;
        }
        self.edit().remove_all(name)
    }

    /// Removes the topmost value of a list. Octets of the values after it stay as they are; a field that is left without
    /// a value goes. Says whether there was one.
    pub fn pop_first_value(&mut self, name: &HeaderName) -> bool {
        let Some(at) = self.0.position(name) else { return false };
        match self.0.list().get(at).and_then(|field| self.after_first_value(field).map(|ends| (field, ends)))
        {
            Some((field, (_, second))) => {
                let (line, head) = self.with_first_value(field, b"", second);
                self.edit().rewrite(at, line, head);
            }
            None => self.edit().remove(at),
        }
        true
    }

    /// Replaces the topmost value of a list. Octets of the values after it stay as they are. Says whether there was one.
    pub fn replace_first_value(&mut self, name: &HeaderName, value: &HeaderText) -> bool {
        let Some(at) = self.0.position(name) else { return false };
        if let Some(field) = self.0.list().get(at) {
            let after = self.after_first_value(field).map_or(usize::MAX, |(first, _)| first);
            let (line, head) = self.with_first_value(field, value.as_str().as_bytes(), after);
            self.edit().rewrite(at, line, head);
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
        let old = self.0.line_of(field);
        let start = self.0.head_of(field);
        let mut line = Vec::with_capacity(old.len().saturating_add(first.len()).saturating_add(2));
        if self.0.value_of(field).as_bytes().is_empty() {
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
        let value = self.0.value_of(field).as_bytes();
        let comma = first_comma(value)?;
        let is_space = |o: &&u8| matches!(o, b' ' | b'\t' | b'\r' | b'\n');
        let before = value.get(..comma)?.iter().rev().take_while(is_space).count();
        let after = value.get(comma..)?.iter().skip(1).take_while(is_space).count();
        Some((comma.saturating_sub(before), comma.saturating_add(1).saturating_add(after)))
    }

    /// A copy of the fields of these names alone, in the order they stand here; octets are shared, not copied.
    #[must_use]
    pub fn subset(&self, names: &[HeaderName]) -> Headers {
        Headers::from(self.0.subset(names))
    }

    /// Adds a copy of all fields of this name of another message, octet for octet, after all others.
    pub fn copy_from(&mut self, other: &Headers, name: &HeaderName) {
        self.edit().copy_from(&other.0, name);
    }

    /// Octets that [`Headers::write`] writes.
    pub(crate) fn written_length(&self) -> usize {
        self.0.list().iter().fold(0usize, |sum, field| sum.saturating_add(self.0.line_of(field).len()))
    }

    /// Writes all lines, each with its line end.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for field in self.0.list() {
            out.extend_from_slice(self.0.line_of(field));
        }
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
