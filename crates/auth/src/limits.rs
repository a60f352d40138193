//! How much of everything a peer may send.

pub use cpm_base::LimitsError;

/// Bounds on what is read. A parse keeps at most the octets of its input, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `auth.max_bytes`: octets of one header field value. Default 8192.
    pub max_bytes: usize,
    /// `auth.max_params`: parameters of one header field value. Default 32.
    pub max_params: usize,
    /// `auth.max_value_bytes`: octets of one parameter's value, without quotes. Default 2048.
    pub max_value_bytes: usize,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Limits = Limits { max_bytes: 8192, max_params: 32, max_value_bytes: 2048 };

    /// Whether anything can be read under these limits at all.
    ///
    /// # Errors
    /// A limit is 0; the name says which.
    pub const fn validate(&self) -> Result<(), LimitsError> {
        if self.max_bytes == 0 {
            return Err(LimitsError("auth.max_bytes"));
        }
        if self.max_params == 0 {
            return Err(LimitsError("auth.max_params"));
        }
        if self.max_value_bytes == 0 {
            return Err(LimitsError("auth.max_value_bytes"));
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
