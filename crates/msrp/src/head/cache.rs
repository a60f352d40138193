//! What was read last on a connection: most heads are like the one before, but for their transaction, Message-ID and
//! Byte-Range.

use super::*;
use crate::values::{ContinuationFlag, is_ident};

#[derive(Default)]
pub(crate) struct HeadCache {
    /// To-Path and From-Path as they were written.
    paths: Option<(Box<str>, Box<str>, Arc<Paths>)>,
    response: Option<Box<Pattern>>,
    /// Of a SEND with a body.
    request: Option<Box<Pattern>>,
}

/// A head in which everything was sound, and the places in it that differ from head to head.
struct Pattern {
    text: Box<[u8]>,
    /// In the order in which they stand; those that are not there are empty, at the end.
    holes: [(Hole, Span); 3],
    said: Arc<Said>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hole {
    Transaction,
    MessageId,
    Range,
    None,
}

impl HeadCache {
    /// `answered`: they are those of a request.
    pub(super) fn paths(&mut self, to: &str, from: &str, answered: bool) -> Result<Arc<Paths>, HeadError> {
        if let Some((known_to, known_from, paths)) = &self.paths
            && **known_to == *to
            && **known_from == *from
        {
            return Ok(paths.clone());
        }
        let mut paths = Paths::new(
            read_path(to).ok_or(HeadError::Value("To-Path"))?,
            read_path(from).ok_or(HeadError::Value("From-Path"))?,
        );
        if let (true, Some(back), Some(own)) = (answered, paths.from.first(), paths.to.last()) {
            paths.back = crate::write::paths(core::iter::once(back), core::iter::once(own));
            paths.back.shrink_to_fit();
        }
        let paths = Arc::new(paths);
        self.paths = Some((to.into(), from.into(), paths.clone()));
        Ok(paths)
    }

    /// The value of a line that is the path line read last: nothing is wrong with it.
    pub(super) fn path_line(&self, line: &[u8]) -> Option<(usize, usize)> {
        let (to, from, _) = self.paths.as_ref()?;
        let is = |name: &str, value: &str| {
            line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b": "))
                == Some(value.as_bytes())
        };
        if is("To-Path", to) {
            Some((TO_PATH, 9))
        } else if is("From-Path", from) {
            Some((FROM_PATH, 11))
        } else {
            None
        }
    }

    /// A sound head: the next one may be like it.
    pub(super) fn remember(&mut self, head: &Head) {
        let place = match (&head.said.common.start, head.said.common.has_body) {
            (StartLine::Response(_), false) => &mut self.response,
            (StartLine::Request(Method::Send), true) => &mut self.request,
            _ => return,
        };
        let known = |which: usize| head.said.places.known.get(which).copied().unwrap_or_default();
        let mut holes = [
            (Hole::Transaction, head.said.places.transaction_id),
            (Hole::MessageId, known(MESSAGE_ID)),
            (Hole::Range, known(BYTE_RANGE)),
        ];
        let end = narrow(head.text.len());
        for (hole, place) in &mut holes {
            if place.1 == 0 {
                (*hole, *place) = (Hole::None, (end, end));
            }
        }
        holes.sort_unstable_by_key(|(_, place)| *place);
        *place = Some(Box::new(Pattern { text: (*head.text).into(), holes, said: head.said.clone() }));
    }

    /// When these octets begin with the response read last but for its transaction, and end likewise: its head, its
    /// end-line's flag and the length of both. What was sound then is sound now.
    pub(crate) fn same_response(&self, octets: &Bytes) -> Option<(Head, ContinuationFlag, usize)> {
        let (head, length) = self.response.as_ref()?.read(octets)?;
        let transaction = head.transaction();
        let rest = octets.get(length..)?.strip_prefix(b"-------")?.strip_prefix(transaction)?;
        let [flag, b'\r', b'\n', ..] = rest else { return None };
        let whole = length.saturating_add(10).saturating_add(transaction.len());
        let flag = ContinuationFlag::read(*flag)?;
        Some((head, flag, whole))
    }

    /// When these octets begin with the SEND read last but for its transaction, Message-ID and Byte-Range: its head, and
    /// how long that is with the empty line behind it.
    pub(crate) fn same_request(&self, octets: &Bytes) -> Option<(Head, usize)> {
        let (head, length) = self.request.as_ref()?.read(octets)?;
        octets.get(length..)?.starts_with(b"\r\n").then(|| (head, length.saturating_add(2)))
    }
}

impl Pattern {
    /// The head that these octets begin with, and how long it is; `None` when it is another, or not as plain.
    fn read(&self, octets: &Bytes) -> Option<(Head, usize)> {
        let Said { mut places, mut byte_range, .. } = *self.said;
        let (mut at, mut known, mut moved) = (0u32, 0u32, 0u32);
        for (hole, place) in &self.holes {
            let fixed = octets_at(&self.text, (known, place.0))?;
            let from = at.checked_add(place.0.checked_sub(known)?)?;
            if octets_at(octets, (at, from))? != fixed {
                return None;
            }
            let rest = octets.get(usize::try_from(from).ok()?..)?;
            let usual = usize::try_from(place.1.checked_sub(place.0)?).ok()?;
            let length = match hole {
                Hole::None => 0,
                Hole::Transaction => word(rest, usual, b' ')?,
                Hole::MessageId => word(rest, usual, b'\r')?,
                Hole::Range => {
                    let (range, length) = ByteRange::read(rest)?;
                    byte_range = Some(range);
                    length
                }
            };
            let to = from.checked_add(u32::try_from(length).ok()?)?;
            moved |= from ^ place.0 | to ^ place.1;
            (at, known) = (to, place.1);
            if moved != 0 {
                places.hole(*hole, (from, to));
                places.move_behind(place, &self.said.places, to.wrapping_sub(place.1));
            }
        }
        let fixed = octets_at(&self.text, (known, narrow(self.text.len())))?;
        let end = usize::try_from(at).ok()?.checked_add(fixed.len())?;
        if octets.get(usize::try_from(at).ok()?..end)? != fixed {
            return None;
        }
        let said = match moved == 0 && byte_range == self.said.byte_range {
            true => self.said.clone(),
            false => Arc::new(Said { places, byte_range, common: self.said.common.clone() }),
        };
        let head = Head { text: octets.slice(..end), said };
        Some((head, end))
    }
}

/// The length of the `ident` that ends before `end`; `usual`: how long it mostly is.
fn word(octets: &[u8], usual: usize, end: u8) -> Option<usize> {
    let length = match octets.get(usual) {
        Some(behind) if *behind == end => usual,
        _ => octets.iter().take(33).position(|b| *b == end)?,
    };
    is_ident(octets.get(..length)?).then_some(length)
}

impl Places {
    fn hole(&mut self, hole: Hole, place: Span) {
        let known = match hole {
            Hole::Transaction => Some(&mut self.transaction_id),
            Hole::MessageId => self.known.get_mut(MESSAGE_ID),
            Hole::Range => self.known.get_mut(BYTE_RANGE),
            Hole::None => None,
        };
        if let Some(known) = known {
            *known = place;
        }
    }

    /// What stood behind this place stands so much farther on.
    fn move_behind(&mut self, place: &Span, before: &Places, by: u32) {
        for (known, before) in self.known.iter_mut().zip(&before.known) {
            if before.0 >= place.1 && before.1 > 0 {
                *known = (before.0.wrapping_add(by), before.1.wrapping_add(by));
            }
        }
    }
}
