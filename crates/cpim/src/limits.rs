//! How much of everything a peer may send.

pub use cpm_base::LimitsError;

/// Bounds on what is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `cpim.max_headers`: message header fields. Default 64.
    pub max_headers: usize,
    /// `cpim.max_header_bytes`: octets of the message header block, line ends included. Default 8192.
    pub max_header_bytes: usize,
    /// `cpim.depth`: how many times a message/cpim may be the content of another. Default 1.
    pub max_depth: usize,
    /// `imdn.max_route`: IMDN-Record-Route fields, and likewise IMDN-Route fields. Default 8.
    pub max_route: usize,
    /// For the content.
    pub mime: cpm_mime::Limits,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Limits = Limits {
        max_headers: 64,
        max_header_bytes: 8192,
        max_depth: 1,
        max_route: 8,
        mime: cpm_mime::Limits::DEFAULT,
    };

    /// Whether anything can be read under these limits at all.
    ///
    /// # Errors
    /// A limit is 0 that must be at least 1 (depth and routes may be 0).
    pub const fn validate(&self) -> Result<(), LimitsError> {
        if self.max_headers == 0 {
            return Err(LimitsError("cpim.max_headers"));
        }
        if self.max_header_bytes == 0 {
            return Err(LimitsError("cpim.max_header_bytes"));
        }
        match self.mime.validate() {
            Ok(()) => Ok(()),
            Err(error) => Err(LimitsError(error.0)),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
