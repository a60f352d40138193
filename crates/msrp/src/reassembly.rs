//! A message put together in memory from chunks in any order (RFC 4975 §7.3.1).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use cpm_base::LimitExceeded;

/// Why a message cannot be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReassemblyError {
    /// Octets are missing; the first of them is at this position (from 0).
    Missing(u64),
    /// There are octets behind the end of the message.
    BeyondEnd,
}

impl fmt::Display for ReassemblyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReassemblyError::Missing(at) => write!(f, "octet {at} is missing"),
            ReassemblyError::BeyondEnd => f.write_str("there are octets behind the end of the message"),
        }
    }
}

impl core::error::Error for ReassemblyError {}

/// Puts a message together. Where chunks overlap, the last that came in stands (RFC 4975 §7.3.1).
///
/// Memory is what was received, at most `limit` octets, at most doubled, and 65 pieces: a chunk far behind the others
/// takes no memory for the gap before it.
///
/// ```
/// use cpm_msrp::Reassembly;
///
/// let mut message = Reassembly::new(1000);
/// message.push(3, b"EFGH")?;
/// message.push(0, b"abcd")?; // octet 3 comes twice: the last stands
/// assert_eq!(message.finish(7)?, &b"abcdFGH"[..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reassembly {
    limit: u64,
    /// Pieces by the position of their first octet; they do not overlap.
    pieces: BTreeMap<u64, VecDeque<u8>>,
}

/// Pieces that do not join; see `msrp.max_gaps`.
const MAX_GAPS: usize = 64;

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn narrow(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl Reassembly {
    /// An empty message of at most `limit` octets.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Reassembly { limit, pieces: BTreeMap::new() }
    }

    /// Adds octets at a position (from 0).
    ///
    /// # Errors
    /// The message would be longer than its limit (`msrp.max_message`), or have more than 64 gaps (`msrp.max_gaps`);
    /// then nothing is added.
    pub fn push(&mut self, offset: u64, octets: &[u8]) -> Result<(), LimitExceeded> {
        let end = offset.saturating_add(wide(octets.len()));
        if end > self.limit {
            return Err(LimitExceeded { limit: "msrp.max_message", value: end, max: self.limit });
        }
        if octets.is_empty() {
            return Ok(());
        }
        let before = self.pieces.range(..=offset).next_back();
        let joined = before.filter(|(from, piece)| from.saturating_add(wide(piece.len())) >= offset);
        match joined.map(|(from, _)| *from) {
            Some(from) => self.write_into(from, offset, octets),
            None => {
                let joins_next = self.pieces.range(offset..=end).next().is_some();
                let pieces = self.pieces.len().saturating_add(usize::from(!joins_next));
                LimitExceeded::check("msrp.max_gaps", pieces.saturating_sub(1), MAX_GAPS)?;
                self.pieces.insert(offset, octets.iter().copied().collect());
                self.join_after(offset);
            }
        }
        Ok(())
    }

    /// Octets that overlap the piece at `from` or follow it at once.
    fn write_into(&mut self, from: u64, offset: u64, octets: &[u8]) {
        let Some(piece) = self.pieces.get_mut(&from) else { return };
        let at = narrow(offset.saturating_sub(from));
        let overlap = piece.len().saturating_sub(at).min(octets.len());
        let (over, rest) = octets.split_at(overlap);
        for (old, new) in piece.iter_mut().skip(at).zip(over) {
            *old = *new;
        }
        if !rest.is_empty() {
            piece.extend(rest);
            self.join_after(from);
        }
    }

    /// The piece at `from` has the newest octets: what it covers of those behind it goes, the rest joins it. Always
    /// the shorter side moves, so that the work of all joins stays within the octets times their logarithm.
    fn join_after(&mut self, from: u64) {
        loop {
            let Some(piece) = self.pieces.get(&from) else { return };
            let end = from.saturating_add(wide(piece.len()));
            let Some(next) = self.pieces.range(from.saturating_add(1)..=end).next().map(|(next, _)| *next)
            else {
                return;
            };
            let (Some(mut front), Some(mut back)) = (self.pieces.remove(&from), self.pieces.remove(&next))
            else {
                return;
            };
            let covered = narrow(end.saturating_sub(next)).min(back.len());
            if back.len().saturating_sub(covered) <= front.len() {
                front.extend(back.iter().skip(covered));
                self.pieces.insert(from, front);
            } else {
                back.drain(..covered);
                while let Some(octet) = front.pop_back() {
                    back.push_front(octet);
                }
                self.pieces.insert(from, back);
            }
        }
    }

    /// How many octets are there.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.pieces.values().fold(0, |sum, piece| sum.saturating_add(wide(piece.len())))
    }

    /// The message of `total` octets.
    ///
    /// # Errors
    /// Octets are missing, or there are more.
    pub fn finish(mut self, total: u64) -> Result<Bytes, ReassemblyError> {
        let first = self.pieces.remove(&0).unwrap_or_default();
        let whole = wide(first.len());
        if whole < total {
            return Err(ReassemblyError::Missing(whole));
        }
        if whole > total || !self.pieces.is_empty() {
            return Err(ReassemblyError::BeyondEnd);
        }
        Ok(Bytes::from(Vec::from(first)))
    }
}

impl fmt::Debug for Reassembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reassembly").field("limit", &self.limit).field("pieces", &self.pieces.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn limits_hold_and_gaps_take_no_memory() {
        let mut message = Reassembly::new(10 << 20);
        message.push((10 << 20) - 1, b"x").unwrap();
        assert_eq!(message.received(), 1);
        assert!(message.pieces.values().all(|piece| piece.capacity() < 64), "threats: B7");
        assert_eq!(message.push(10 << 20, b"x").unwrap_err().limit, "msrp.max_message");
        assert_eq!(message.push(u64::MAX, b"xy").unwrap_err().limit, "msrp.max_message");
        for i in 0..64 {
            message.push(i * 2, b"a").unwrap();
        }
        assert_eq!(message.push(1000, b"a").unwrap_err().limit, "msrp.max_gaps");
        // What joins others is no gap more.
        message.push(1, b"b").unwrap();
        assert_eq!(message.finish(10 << 20), Err(ReassemblyError::Missing(3)));
    }

    #[test]
    fn octets_behind_the_end_are_told() {
        let mut message = Reassembly::new(100);
        message.push(0, b"abc").unwrap();
        message.push(10, b"z").unwrap();
        assert_eq!(message.finish(3), Err(ReassemblyError::BeyondEnd));
        assert_eq!(Reassembly::new(0).finish(0), Ok(Bytes::new()));
    }

    // interop: 14
    #[test]
    fn the_first_chunk_may_come_last() {
        let mut message = Reassembly::new(100);
        message.push(4, b"EFGH").unwrap();
        message.push(0, b"abcd").unwrap();
        assert_eq!(message.finish(8).unwrap(), &b"abcdEFGH"[..]);
    }

    proptest! {
        /// Threat B6: the model is an array that is written to.
        #[test]
        fn the_last_chunk_stands(chunks in proptest::collection::vec((0usize..200, 0usize..40), 1..40)) {
            let (mut message, mut model) = (Reassembly::new(1000), vec![None; 300]);
            for (i, (offset, length)) in chunks.iter().enumerate() {
                let octets = vec![i as u8; *length];
                message.push(*offset as u64, &octets).unwrap();
                model[*offset..offset + length].fill(Some(i as u8));
            }
            prop_assert_eq!(message.received(), model.iter().flatten().count() as u64);
            let whole: Vec<u8> = model.iter().map_while(|octet| *octet).collect();
            let more = model.iter().skip(whole.len()).any(Option::is_some);
            match message.finish(whole.len() as u64) {
                Ok(octets) => prop_assert!(!more && octets == whole),
                Err(error) => prop_assert!(more && error == ReassemblyError::BeyondEnd),
            }
        }
    }
}
