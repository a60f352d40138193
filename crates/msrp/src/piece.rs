//! Pieces of messages that are kept for a while, and what they cost.

use bytes::Bytes;

/// What a piece costs beside its octets: its place in a queue or map, and the count of its owners.
pub(crate) const PIECE: u64 = 64;

/// A piece that is shorter is copied: it would keep all that was read together with it (threats B7).
const SHORT: usize = 4096;

/// A piece to keep.
pub(crate) fn kept(octets: &Bytes) -> Bytes {
    if octets.len() < SHORT { Bytes::copy_from_slice(octets) } else { octets.clone() }
}

/// Octets to keep for readers that take them at their own pace: copied in parts, so that each goes when it is read.
pub(crate) fn parts(octets: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    octets.chunks(SHORT).map(Bytes::copy_from_slice)
}

/// What it costs to keep it.
pub(crate) fn cost(octets: &Bytes) -> u64 {
    u64::try_from(octets.len()).unwrap_or(u64::MAX).saturating_add(PIECE)
}
