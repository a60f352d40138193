//! The fields themselves: spans of the octets that were received, and lines that were written here.

use super::sound::Sound;
use super::{HeaderValue, Headers};
use crate::limits::Limits;
use crate::name::{HeaderName, Occurrence};
use crate::text::{HeaderText, holds_control};
use crate::typed::TypedHeader;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

/// What [`Headers`] share.
#[derive(Debug)]
pub(crate) struct Fields {
    source: Bytes,
    list: Vec<Field>,
    limits: Limits,
    names: NameSet,
}

/// Which names of the table stand there: nearly all that are asked for do not, or do once.
#[derive(Debug, Clone, Copy, Default)]
struct NameSet {
    once: u128,
    again: u128,
}

const _: () = assert!(HeaderName::KNOWN.len() <= 128);

impl NameSet {
    fn bit(place: u8) -> u128 {
        1u128.checked_shl(u32::from(place)).unwrap_or(0)
    }

    #[inline]
    fn add(&mut self, place: u8) {
        let bit = NameSet::bit(place);
        self.again |= self.once & bit;
        self.once |= bit;
    }

    /// No field of this name is left, or `one`.
    fn leave(&mut self, place: u8, one: bool) {
        let bit = NameSet::bit(place);
        self.again &= !bit;
        if !one {
            self.once &= !bit;
        }
    }
}

/// The names of the table that may stand once.
const SINGLE: u128 = {
    let (mut names, mut set) = (HeaderName::KNOWN, 0u128);
    while let [name, rest @ ..] = names {
        if matches!(name.occurrence(), Occurrence::Single) {
            set |= 1 << name.place();
        }
        names = rest;
    }
    set
};

/// Fields that an edit usually adds: there is room for them at once.
const ROOM: usize = 4;

impl Clone for Fields {
    /// Who needs a copy of its own is about to edit it.
    fn clone(&self) -> Self {
        let mut list = Vec::with_capacity(self.list.len().saturating_add(ROOM));
        list.extend_from_slice(&self.list);
        Fields { source: self.source.clone(), list, limits: self.limits, names: self.names }
    }
}

impl Default for Fields {
    fn default() -> Self {
        Fields { source: Bytes::new(), list: Vec::new(), limits: Limits::DEFAULT, names: NameSet::default() }
    }
}

impl From<Fields> for Headers {
    fn from(fields: Fields) -> Headers {
        Headers(Arc::new(fields))
    }
}

/// Where something begins and ends in the octets that were received. No head that reaches beyond is read
/// ([`Fields::MAX_SOURCE`]).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new((start, end): (usize, usize)) -> Span {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span { start: short(start), end: short(end) }
    }

    fn of(self, octets: &[u8]) -> &[u8] {
        let long = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        octets.get(long(self.start)..long(self.end)).unwrap_or_default()
    }
}

/// One field: numbers alone for nearly all received ones, so that the parser writes it from registers to its place.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// Where the name stands in the table; beyond it when `own` has the name.
    pub(super) place: u8,
    pub(super) sound: Sound,
    /// Inside the octets of the message; nothing when `own` has the line. `value` is the value without white space around
    /// it.
    line: Span,
    value: Span,
    own: Option<Arc<Own>>,
}

/// What a field does not take from the table and from the octets of the message. Never edited, so that copies share it.
#[derive(Debug)]
struct Own {
    /// A name that the table does not know.
    name: Option<HeaderName>,
    line: Option<Line>,
}

/// A line outside of the octets of the message.
#[derive(Debug)]
struct Line {
    octets: Octets,
    /// The value in it, without white space around it where it was received.
    value: (usize, usize),
}

#[derive(Debug)]
enum Octets {
    /// Of another message.
    Shared(Bytes),
    /// Written here.
    Made(Vec<u8>),
}

impl Octets {
    fn as_slice(&self) -> &[u8] {
        match self {
            Octets::Shared(octets) => octets,
            Octets::Made(octets) => octets,
        }
    }
}

impl Field {
    fn own_line(&self) -> Option<&Line> {
        self.own.as_ref().and_then(|own| own.line.as_ref())
    }

    pub(super) fn own_name(&self) -> Option<&HeaderName> {
        self.own.as_ref().and_then(|own| own.name.as_ref())
    }

    pub(super) fn name(&self) -> &HeaderName {
        let known = HeaderName::KNOWN.get(usize::from(self.place));
        known.or_else(|| self.own_name()).unwrap_or(&HeaderName::Via)
    }

    /// Whether it has this name, whose place in the table is this one.
    #[inline]
    pub(super) fn has(&self, name: &HeaderName, place: u8) -> bool {
        self.place == place && (place != HeaderName::NOT_KNOWN || self.own_name() == Some(name))
    }

    #[inline]
    pub(super) fn has_name(&self, name: &HeaderName) -> bool {
        self.has(name, name.place())
    }

    /// Its line is in the octets of the message that it was received with.
    pub(super) fn is_received(&self) -> bool {
        self.own_line().is_none()
    }

    /// Its line was written here.
    pub(super) fn is_made(&self) -> bool {
        self.own_line().is_some_and(|line| matches!(line.octets, Octets::Made(_)))
    }

    pub(super) fn new(name: HeaderName, value: &str) -> Field {
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

    pub(super) fn typed<H: TypedHeader>(value: &H) -> Field {
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

    /// A line that was written here, in place of another one or as a new field.
    pub(super) fn made(place: u8, name: Option<HeaderName>, line: Vec<u8>, value: (usize, usize)) -> Field {
        Field::with_line(place, name, Line { octets: Octets::Made(line), value })
    }

    fn with_line(place: u8, name: Option<HeaderName>, line: Line) -> Field {
        let own = Arc::new(Own { name, line: Some(line) });
        Field {
            place,
            sound: Sound::default(),
            line: Span::default(),
            value: Span::default(),
            own: Some(own),
        }
    }
}

impl Fields {
    /// Octets of which a span can say where something is.
    pub(crate) const MAX_SOURCE: usize = u32::MAX as usize;

    /// For the parser: fields inside `source`.
    pub(crate) fn received(source: Bytes, limits: Limits) -> Fields {
        // Room for the usual number of fields at once, and for edits; no more than the octets can hold.
        let room = (source.len() / 64).clamp(8, 32).saturating_add(ROOM);
        Fields { source, list: Vec::with_capacity(room), limits, names: NameSet::default() }
    }

    /// The fields of these names alone.
    pub(super) fn subset(&self, names: &[HeaderName]) -> Fields {
        let list = self.list.iter().filter(|f| names.iter().any(|name| f.has_name(name))).cloned().collect();
        let mut fields = Fields { list, source: self.source.clone(), ..*self };
        fields.count_names();
        fields
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn list(&self) -> &[Field] {
        &self.list
    }

    fn count_names(&mut self) {
        self.names = NameSet::default();
        for field in &self.list {
            self.names.add(field.place);
        }
    }

    /// Whether a name stands more often than it may.
    pub(super) fn repeats_single(&self) -> bool {
        self.names.again & SINGLE != 0
    }

    /// Fields among which are all of a name: nothing else when it stands once, none when it is not there. The name is not of
    /// the table: all.
    #[inline]
    pub(super) fn around(&self, place: u8) -> &[Field] {
        let bit = NameSet::bit(place);
        if bit == 0 {
            return &self.list;
        }
        if self.names.once & bit == 0 {
            return &[];
        }
        let at = self.list.iter().position(|field| field.place == place).unwrap_or(0);
        let end = if self.names.again & bit == 0 { at.saturating_add(1) } else { self.list.len() };
        self.list.get(at..end).unwrap_or_default()
    }

    /// All fields of a name, in order.
    #[inline]
    pub(super) fn of<'a, 'n>(
        &'a self,
        name: &'n HeaderName,
    ) -> impl Iterator<Item = &'a Field> + use<'a, 'n> {
        let place = name.place();
        self.around(place).iter().filter(move |field| field.has(name, place))
    }

    pub(super) fn push(&mut self, field: Field) {
        self.names.add(field.place);
        self.list.push(field);
    }

    /// Puts a field above the first of its name; above all others when there is none.
    pub(super) fn put_above(&mut self, field: Field) {
        let at = self.position(field.name()).unwrap_or(0);
        self.names.add(field.place);
        self.list.insert(at, field);
    }

    /// Replaces all fields of the name of this one by it, in place of the first; adds it when there is none.
    pub(super) fn put_in_place(&mut self, field: Field) {
        let (name, place) = (field.name().clone(), field.place);
        let Some(at) = self.position(&name) else { return self.push(field) };
        if let Some(first) = self.list.get_mut(at) {
            *first = field;
        }
        let mut number = 0usize;
        if self.list.iter().skip(at.saturating_add(1)).any(|f| f.has(&name, place)) {
            self.list.retain(|f| {
                let stays = number <= at || !f.has(&name, place);
                number = number.saturating_add(1);
                stays
            });
            self.names.leave(place, true);
        }
    }

    pub(super) fn remove(&mut self, at: usize) {
        let Some(place) = self.list.get(at).map(|field| field.place) else { return };
        self.list.remove(at);
        if self.names.again & NameSet::bit(place) == 0 {
            self.names.leave(place, false);
        } else {
            self.count_names();
        }
    }

    /// Removes all fields of a name; says how many there were.
    pub(super) fn remove_all(&mut self, name: &HeaderName) -> usize {
        let (before, place) = (self.list.len(), name.place());
        self.list.retain(|f| !f.has(name, place));
        self.names.leave(place, false);
        before.saturating_sub(self.list.len())
    }

    /// For the parser: one more field. The spans are inside the source, and not beyond [`Fields::MAX_SOURCE`].
    #[inline]
    pub(crate) fn push_received(&mut self, place: u8, line: (usize, usize), value: (usize, usize)) {
        let (line, value) = (Span::new(line), Span::new(value));
        self.push(Field { place, sound: Sound::default(), line, value, own: None });
    }

    /// For the parser: one more field of a name outside of the table.
    pub(crate) fn push_other(&mut self, other: HeaderName, line: (usize, usize), value: (usize, usize)) {
        self.push_received(HeaderName::NOT_KNOWN, line, value);
        if let Some(field) = self.list.last_mut() {
            field.own = Some(Arc::new(Own { name: Some(other), line: None }));
        }
    }

    /// How many fields there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn line_of<'a>(&'a self, field: &'a Field) -> &'a [u8] {
        match field.own_line() {
            None => field.line.of(&self.source),
            Some(line) => line.octets.as_slice(),
        }
    }

    #[inline]
    pub(super) fn value_of<'a>(&'a self, field: &'a Field) -> HeaderValue<'a> {
        HeaderValue(match field.own_line() {
            None => field.value.of(&self.source),
            Some(line) => line.octets.as_slice().get(line.value.0..line.value.1).unwrap_or_default(),
        })
    }

    /// How many octets of a line stand before its value.
    pub(super) fn head_of(&self, field: &Field) -> usize {
        match field.own_line() {
            None => usize::try_from(field.value.start.saturating_sub(field.line.start)).unwrap_or(usize::MAX),
            Some(line) => line.value.0,
        }
    }

    pub(super) fn position(&self, name: &HeaderName) -> Option<usize> {
        let place = name.place();
        match NameSet::bit(place) {
            0 => self.list.iter().position(|f| f.has(name, place)),
            bit if self.names.once & bit == 0 => None,
            _ => self.list.iter().position(|f| f.place == place),
        }
    }

    /// Puts a line in the place of one that stands there; its value begins at `head`.
    pub(super) fn rewrite(&mut self, at: usize, line: Vec<u8>, head: usize) {
        let end = line.trim_ascii_end().len().max(head);
        if let Some(field) = self.list.get_mut(at) {
            *field = Field::made(field.place, field.own_name().cloned(), line, (head, end));
        }
    }

    /// Adds a copy of all fields of this name of another message, octet for octet, after all others.
    pub(super) fn copy_from(&mut self, other: &Fields, name: &HeaderName) {
        for field in other.of(name) {
            if field.is_received() && self.source.is_empty() {
                // Nothing of its own was received: it begins to share what the other was.
                self.source = other.source.clone();
            }
            if !field.is_received() || self.shares_source_of(other) {
                // Other limits may count there.
                self.push(Field { sound: Sound::default(), ..field.clone() });
            } else {
                let octets = Octets::Shared(other.source.slice_ref(other.line_of(field)));
                let head = other.head_of(field);
                let end = head.saturating_add(other.value_of(field).as_bytes().len());
                let name = field.own_name().cloned();
                self.push(Field::with_line(field.place, name, Line { octets, value: (head, end) }));
            }
        }
    }

    /// Whether the octets of both are the same ones in memory.
    fn shares_source_of(&self, other: &Fields) -> bool {
        core::ptr::eq(self.source.as_ref(), other.source.as_ref())
    }
}
