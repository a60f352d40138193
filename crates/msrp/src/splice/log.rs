//! Octets between the slowest leg and what has come.

use alloc::collections::VecDeque;
use bytes::Bytes;

use crate::piece::PIECE;

/// A run of octets that loses its front.
#[derive(Default)]
pub(super) struct Log {
    pieces: VecDeque<Bytes>,
    /// How many pieces and octets are gone from the front.
    gone: u64,
    base: u64,
    end: u64,
}

/// Where a reader stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    /// The position of its next octet.
    pub(super) at: u64,
    /// The number of the piece that holds it, and its place there.
    piece: u64,
    within: usize,
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Log {
    pub(super) fn push(&mut self, octets: Bytes) {
        if !octets.is_empty() {
            self.end = self.end.saturating_add(wide(octets.len()));
            self.pieces.push_back(octets);
        }
    }

    /// What it costs to keep what a reader has not had.
    pub(super) fn waiting(&self, cursor: &Cursor) -> u64 {
        let pieces = self.gone.saturating_add(wide(self.pieces.len())).saturating_sub(cursor.piece);
        self.end.saturating_sub(cursor.at).saturating_add(pieces.saturating_mul(PIECE))
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether all that ever came is still there.
    pub(super) fn is_complete(&self) -> bool {
        self.gone == 0
    }

    pub(super) fn start(&self) -> Cursor {
        Cursor { at: self.base, piece: self.gone, within: 0 }
    }

    /// The next octets, at most `max` and at most a piece.
    pub(super) fn next(&self, cursor: &mut Cursor, max: usize) -> Bytes {
        let index = usize::try_from(cursor.piece.saturating_sub(self.gone)).unwrap_or(usize::MAX);
        let Some(piece) = self.pieces.get(index) else { return Bytes::new() };
        let to = cursor.within.saturating_add(max).min(piece.len());
        let octets = piece.slice(cursor.within.min(to)..to);
        cursor.at = cursor.at.saturating_add(wide(octets.len()));
        cursor.within = to;
        if to == piece.len() {
            cursor.piece = cursor.piece.saturating_add(1);
            cursor.within = 0;
        }
        octets
    }

    /// Nobody needs what stands before this position: pieces that end there go.
    pub(super) fn drop_before(&mut self, position: u64) {
        while let Some(front) = self.pieces.front() {
            let end = self.base.saturating_add(wide(front.len()));
            if end > position {
                return;
            }
            self.base = end;
            self.gone = self.gone.saturating_add(1);
            self.pieces.pop_front();
        }
    }
}
