//! How much of everything a peer may send.

pub use cpm_base::LimitsError;

/// Bounds on what is read. Memory of a parse is its input plus, per header field and part, a fixed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `mime.max_headers`: header fields of one part. Default 64.
    pub max_headers: usize,
    /// `mime.max_header_bytes`: octets of the header block of one part, line ends included. Default 8192.
    pub max_header_bytes: usize,
    /// `mime.max_params`: parameters of one header field. Default 64.
    pub max_params: usize,
    /// `mime.comment_depth`: nesting of comments in one header field. Default 8.
    pub max_comment_depth: usize,
    /// `mime.max_parts`: parts of a multipart, nested ones counted in [`Part::leaves`](crate::Part::leaves). Default 32.
    pub max_parts: usize,
    /// `mime.max_depth`: multiparts inside one another. Default 4.
    pub max_depth: usize,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Limits = Limits {
        max_headers: 64,
        max_header_bytes: 8192,
        max_params: 64,
        max_comment_depth: 8,
        max_parts: 32,
        max_depth: 4,
    };

    /// Whether anything can be read under these limits at all.
    ///
    /// # Errors
    /// A limit is 0 that must be at least 1 (comment depth may be 0).
    pub const fn validate(&self) -> Result<(), LimitsError> {
        if self.max_headers == 0 {
            return Err(LimitsError("mime.max_headers"));
        }
        if self.max_header_bytes == 0 {
            return Err(LimitsError("mime.max_header_bytes"));
        }
        if self.max_params == 0 {
            return Err(LimitsError("mime.max_params"));
        }
        if self.max_parts == 0 {
            return Err(LimitsError("mime.max_parts"));
        }
        if self.max_depth == 0 {
            return Err(LimitsError("mime.max_depth"));
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
