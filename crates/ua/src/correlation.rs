//! An id that follows a call or a message through logs.

use core::fmt;
use cpm_sip::{CallIdRef, Headers};

/// What everything that belongs to one Call-ID shares, at every node that it passes: 64 bits of its hash. For logs and
/// traces; two Call-IDs may share one, and who wants to can make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Correlation(u64);

impl Correlation {
    /// That of a Call-ID.
    #[must_use]
    pub fn of(call_id: &str) -> Self {
        // FNV-1a: the same everywhere, nothing secret, nothing that has to be rare.
        let mix = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
        Correlation(call_id.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
    }

    /// That of a message; `None` when it has no Call-ID that can be read.
    #[must_use]
    pub fn of_message(headers: &Headers) -> Option<Self> {
        headers.view::<CallIdRef<'_>>().ok().flatten().map(|id| Correlation::of(id.as_str()))
    }

    /// As a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
