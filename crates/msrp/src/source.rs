//! Octets of a message going out: all there from the beginning, or asked for bit by bit.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr_iter;

use crate::event::Body;
use crate::hyphens::Hyphens;
use crate::values::Tid;

/// Seven hyphens and a transaction id: what a body must not hold (RFC 4975 §7.1).
const END_LINE: usize = 7 + Tid::LENGTH;

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn narrow(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Pieces of a body in their order: mostly there is but one.
#[derive(Default)]
struct Pieces {
    front: Option<Bytes>,
    others: VecDeque<Bytes>,
}

impl Pieces {
    fn front(&self) -> Option<&Bytes> {
        self.front.as_ref()
    }

    fn front_mut(&mut self) -> Option<&mut Bytes> {
        self.front.as_mut()
    }

    fn push_back(&mut self, piece: Bytes) {
        match self.front {
            Some(_) => self.others.push_back(piece),
            None => self.front = Some(piece),
        }
    }

    fn pop_front(&mut self) {
        self.front = self.others.pop_front();
    }

    fn back_mut(&mut self) -> Option<&mut Bytes> {
        self.others.back_mut().or(self.front.as_mut())
    }

    fn len(&self) -> usize {
        usize::from(self.front.is_some()).saturating_add(self.others.len())
    }

    fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.front.iter().chain(&self.others)
    }
}

pub(crate) struct Source {
    /// What is there and not written.
    pieces: Pieces,
    /// How many octets have been written.
    taken: u64,
    /// How many octets have been there, written or not.
    supplied: u64,
    /// How many have been asked for.
    asked: u64,
    /// The length, where it is known from the beginning.
    total: Option<u64>,
    /// No more comes.
    ended: bool,
}

/// Pieces that are shorter are put together, until they are so long.
const SHORT: usize = 512;
const TOGETHER: usize = 2048;

/// A short piece that others can be put to.
fn own(octets: &[u8]) -> Bytes {
    let mut own = BytesMut::with_capacity(octets.len().saturating_mul(4));
    own.extend_from_slice(octets);
    own.freeze()
}

/// What is looked over and then copied while the processor has it near at hand.
const AT_ONCE: usize = 16 * 1024;

/// What may be written now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// So many octets. 0: more have to come before it can be told.
    Octets(usize),
    /// After so many octets there is an end-line of this transaction.
    EndLine(usize),
}

/// Why octets are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    NotAsked,
    Length,
}

impl Source {
    pub(crate) fn new(body: Body) -> Source {
        let mut source =
            Source { pieces: Pieces::default(), taken: 0, supplied: 0, asked: 0, total: None, ended: false };
        match body {
            Body::Octets(octets) => {
                let length = wide(octets.len());
                (source.supplied, source.asked, source.total) = (length, length, Some(length));
                source.ended = true;
                source.put(octets);
            }
            Body::Source { total } => {
                source.total = total;
                source.ended = total == Some(0);
            }
        }
        source
    }

    fn put(&mut self, octets: Bytes) {
        if octets.is_empty() {
            return;
        }
        if self.ended || octets.len() >= SHORT {
            return self.pieces.push_back(octets);
        }
        // Places and owners of many short pieces would cost more than their octets (threats B7).
        let last = self.pieces.back_mut().filter(|last| last.len() < TOGETHER);
        let Some(last) = last else { return self.pieces.push_back(own(&octets)) };
        match core::mem::take(last).try_into_mut() {
            Ok(mut together) => {
                together.extend_from_slice(&octets);
                *last = together.freeze();
            }
            Err(not_ours) => {
                *last = not_ours;
                self.pieces.push_back(own(&octets));
            }
        }
    }

    /// The length of the message, where it is known by now.
    pub(crate) fn length(&self) -> Option<u64> {
        self.total.or(self.ended.then_some(self.supplied))
    }

    /// What is to be written yet, where that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        Some(self.length()?.saturating_sub(self.taken))
    }

    pub(crate) fn available(&self) -> u64 {
        self.supplied.saturating_sub(self.taken)
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) fn has_all(&self) -> bool {
        self.ended
    }

    /// What to ask for, so that up to `window` octets are there or on their way: position and how many at most.
    pub(crate) fn wants(&mut self, window: u64) -> Option<(u64, u64)> {
        let ahead = self.asked.saturating_sub(self.taken);
        if self.ended || ahead > window / 2 {
            return None;
        }
        let room = window.saturating_sub(ahead);
        let max = self.total.map_or(room, |total| room.min(total.saturating_sub(self.asked)));
        if max == 0 {
            return None;
        }
        let offset = self.asked;
        self.asked = self.asked.saturating_add(max);
        Some((offset, max))
    }

    /// Octets that were asked for; `last`: no more comes.
    pub(crate) fn supply(&mut self, octets: Bytes, last: bool) -> Result<(), (Misfit, Bytes)> {
        let supplied = self.supplied.saturating_add(wide(octets.len()));
        if self.ended || supplied > self.asked {
            return Err((Misfit::NotAsked, octets));
        }
        if last && self.total.is_some_and(|total| total != supplied) {
            return Err((Misfit::Length, octets));
        }
        self.supplied = supplied;
        self.ended = last || self.total == Some(supplied);
        self.put(octets);
        Ok(())
    }

    /// Whether an end-line of this transaction begins within the next `window` octets that are there.
    pub(crate) fn holds(&self, window: u64, dashes: &Hyphens, id: &Tid) -> bool {
        let Some((only, true)) = self.pieces.front().map(|front| (front, self.pieces.len() == 1)) else {
            return self.holds_in_pieces(window, dashes, id);
        };
        let left = narrow(window).saturating_add(END_LINE);
        find(only.get(..left.min(only.len())).unwrap_or_default(), dashes, id).is_some()
    }

    fn holds_in_pieces(&self, window: u64, dashes: &Hyphens, id: &Tid) -> bool {
        let mut before: Vec<u8> = Vec::new();
        let mut seen = 0u64;
        for piece in self.pieces.iter() {
            if seen >= window {
                break;
            }
            let left = narrow(window.saturating_sub(seen)).saturating_add(END_LINE);
            let part = piece.get(..left.min(piece.len())).unwrap_or_default();
            if !before.is_empty() {
                let seam = part.get(..END_LINE.min(part.len())).unwrap_or_default();
                before.extend_from_slice(seam);
                if find(&before, dashes, id).is_some() {
                    return true;
                }
            }
            if find(part, dashes, id).is_some() {
                return true;
            }
            if part.len() >= END_LINE {
                before.clear();
            }
            before.extend_from_slice(part.get(part.len().saturating_sub(END_LINE)..).unwrap_or_default());
            let surplus = before.len().saturating_sub(END_LINE);
            before.drain(..surplus);
            seen = seen.saturating_add(wide(part.len()));
        }
        false
    }

    /// How much of the next `max` octets can be written in a chunk of this transaction that takes at most `left` more.
    /// What stands at the end of what is there and may be the beginning of an end-line is held back until it can be told.
    pub(crate) fn next(&self, max: usize, left: u64, dashes: &Hyphens, id: &Tid) -> Next {
        let Some(front) = self.pieces.front() else { return Next::Octets(0) };
        let max = max.min(AT_ONCE).min(narrow(left)).min(front.len());
        let sight = max.saturating_add(END_LINE).saturating_sub(1).min(narrow(left));
        let seen = front.get(..sight.min(front.len())).unwrap_or_default();
        if let Some(at) = find(seen, dashes, id) {
            return Next::EndLine(at.min(max));
        }
        if seen.len() >= sight {
            return Next::Octets(max);
        }
        // The end of this piece, and what follows it as far as an end-line could reach.
        let from = front.len().saturating_sub(END_LINE.saturating_sub(1));
        let mut seam = Seam { room: [0; 2 * END_LINE], length: 0 };
        seam.put(front.get(from..).unwrap_or_default());
        let own = seam.length;
        let reach = sight.saturating_sub(from);
        for piece in self.pieces.iter().skip(1) {
            let want = reach.saturating_sub(seam.length);
            if want == 0 {
                break;
            }
            seam.put(piece.get(..want.min(piece.len())).unwrap_or_default());
        }
        let seam = seam.octets();
        if let Some(at) = find(seam, dashes, id).filter(|at| *at < own) {
            return Next::EndLine(from.saturating_add(at).min(max));
        }
        if self.ended || seam.len() >= reach {
            return Next::Octets(max);
        }
        let hyphens = memchr_iter(b'-', seam.get(..own).unwrap_or_default());
        let begun = hyphens.into_iter().find(|at| seam.get(*at..).is_some_and(|rest| begins(rest, id)));
        Next::Octets(begun.map_or(max, |at| from.saturating_add(at).min(max)))
    }

    /// Moves octets of the first piece to `out`, as many as [`Source::next`] allowed.
    pub(crate) fn take(&mut self, count: usize, out: &mut Vec<u8>) {
        let Some(front) = self.pieces.front_mut() else { return };
        let count = count.min(front.len());
        out.extend_from_slice(front.get(..count).unwrap_or_default());
        front.advance(count);
        self.taken = self.taken.saturating_add(wide(count));
        if front.is_empty() {
            self.pieces.pop_front();
        }
    }
}

/// The end of a piece and the beginning of the next ones: less than an end-line of each.
struct Seam {
    room: [u8; 2 * END_LINE],
    length: usize,
}

impl Seam {
    fn put(&mut self, octets: &[u8]) {
        let to = self.length.saturating_add(octets.len());
        if let Some(room) = self.room.get_mut(self.length..to) {
            room.copy_from_slice(octets);
            self.length = to;
        }
    }

    fn octets(&self) -> &[u8] {
        self.room.get(..self.length).unwrap_or_default()
    }
}

/// Where seven hyphens and the transaction id stand.
fn find(text: &[u8], dashes: &Hyphens, id: &Tid) -> Option<usize> {
    let mut from = 0usize;
    while let Some(at) = dashes.find(text.get(from..)?) {
        let behind = from.saturating_add(at).saturating_add(7);
        // Our transactions begin with a letter: of more than seven hyphens the last ones count.
        let more = text.get(behind..)?.iter().take_while(|octet| **octet == b'-').count();
        let behind = behind.saturating_add(more);
        if text.get(behind..)?.starts_with(id.as_bytes()) {
            return Some(behind.saturating_sub(7));
        }
        from = behind;
    }
    None
}

/// Whether an end-line may begin like this.
fn begins(text: &[u8], id: &Tid) -> bool {
    let (dashes, rest) = text.split_at(text.len().min(7));
    dashes.iter().all(|b| *b == b'-') && id.as_bytes().starts_with(rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn id() -> Tid {
        Tid::read(b"abcdefghijklmnopq").unwrap()
    }

    fn asked(total: Option<u64>) -> Source {
        let mut source = Source::new(Body::Source { total });
        assert_eq!(source.wants(1000), Some((0, total.map_or(1000, |t| t.min(1000)))));
        source
    }

    /// Refused octets are given back.
    fn refusal(source: &mut Source, octets: &'static [u8], last: bool) -> Option<Misfit> {
        let (why, back) = source.supply(Bytes::from_static(octets), last).err()?;
        assert_eq!(back, octets);
        Some(why)
    }

    #[test]
    fn what_was_not_asked_for_and_wrong_lengths_are_refused() {
        let mut source = Source::new(Body::Source { total: Some(5) });
        assert_eq!(refusal(&mut source, b"a", false), Some(Misfit::NotAsked));
        let mut source = asked(Some(5));
        assert_eq!(refusal(&mut source, b"abcdef", false), Some(Misfit::NotAsked));
        assert_eq!(refusal(&mut source, b"abc", true), Some(Misfit::Length));
        source.supply(Bytes::from_static(b"abc"), false).unwrap();
        source.supply(Bytes::from_static(b"de"), false).unwrap();
        assert!(source.has_all() && source.wants(1000).is_none());
        assert_eq!(refusal(&mut source, b"", true), Some(Misfit::NotAsked));
    }

    #[test]
    fn as_much_is_asked_for_as_fits_the_window() {
        let mut source = asked(None);
        assert_eq!(source.wants(1000), None);
        source.supply(Bytes::from(vec![0; 700]), false).unwrap();
        assert_eq!(source.wants(1000), None, "all that was asked for may still come");
        source.take(499, &mut Vec::new());
        assert_eq!(source.wants(1000), None);
        source.take(1, &mut Vec::new());
        assert_eq!(source.wants(1000), Some((1000, 500)));
    }

    proptest! {
        /// Threat B4: however a body is cut into pieces and whatever it holds of the end-line, what is written in one
        /// chunk never holds it, and nothing is lost.
        #[test]
        fn no_chunk_holds_its_end_line(
            cuts in proptest::collection::vec(1usize..9, 1..60),
            what in proptest::collection::vec(0usize..5, 1..12),
            max in 1usize..40,
            late in any::<bool>(),
        ) {
            let parts: [&[u8]; 5] = [b"-------abcdefghijklmnopq$\r\n", b"-------abcdefgh", b"-", b"x", b"-----"];
            let body: Vec<u8> = what.iter().flat_map(|i| parts[*i]).copied().collect();
            let dashes = Hyphens::new(b"-------");
            let (mut source, mut left) = (asked(None), &body[..]);
            let mut cuts = cuts.iter().cycle();
            let (mut chunk, mut chunks): (Vec<u8>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
            loop {
                match source.next(max, 1000 - chunk.len() as u64, &dashes, &id()) {
                    Next::Octets(count) if count > 0 => source.take(count, &mut chunk),
                    Next::EndLine(at) if at > 0 => source.take(at, &mut chunk),
                    Next::EndLine(_) => {
                        // The next chunk has another transaction: here a place to begin anew.
                        chunks.push(core::mem::take(&mut chunk));
                        source.take(1, &mut chunk);
                    }
                    Next::Octets(_) if source.has_all() => break,
                    Next::Octets(_) => {
                        let count = if late { *cuts.next().unwrap() } else { left.len() };
                        let (now, rest) = left.split_at(count.min(left.len()));
                        left = rest;
                        source.supply(Bytes::copy_from_slice(now), rest.is_empty()).unwrap();
                    }
                }
            }
            chunks.push(chunk);
            let mut whole = Vec::new();
            for (number, chunk) in chunks.iter().enumerate() {
                let inside = chunk.get(usize::from(number > 0)..).unwrap_or_default();
                prop_assert!(find(inside, &dashes, &id()).is_none());
                whole.extend_from_slice(chunk);
            }
            prop_assert_eq!(whole, body);
        }
    }
}
