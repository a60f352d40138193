//! Limits: every quantity a peer controls has a name and a maximum.

use core::fmt;

/// A peer sent more of something than the receiving side allows.
///
/// `limit` is the stable name of the limit (`"sip.max_headers"`), the same in documentation, errors and counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded {
    /// Stable name of the limit.
    pub limit: &'static str,
    /// What was asked for, in the unit of the limit; where counting stopped early, the first value too many.
    pub value: u64,
    /// The greatest value allowed.
    pub max: u64,
}

impl LimitExceeded {
    /// `Ok` when `value` is at most `max`.
    ///
    /// # Errors
    /// `value` is greater than `max`.
    pub fn check(limit: &'static str, value: usize, max: usize) -> Result<(), LimitExceeded> {
        if value <= max {
            return Ok(());
        }
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Err(LimitExceeded { limit, value: wide(value), max: wide(max) })
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, at most {} allowed", self.limit, self.value, self.max)
    }
}

impl core::error::Error for LimitExceeded {}

/// A value of a `Limits` struct cannot be worked with; the name of the limit (`"mime.max_parts"`). What values can is
/// said where the limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsError(pub &'static str);

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is out of range", self.0)
    }
}

impl core::error::Error for LimitsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_itself_is_allowed() {
        assert_eq!(LimitExceeded::check("x", 5, 5), Ok(()));
        assert_eq!(LimitExceeded::check("x", 6, 5), Err(LimitExceeded { limit: "x", value: 6, max: 5 }));
    }
}
