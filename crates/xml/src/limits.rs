//! How much of everything a peer may send.

pub use cpm_base::LimitsError;

/// Bounds on what is read. Memory of a parse is a small multiple of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `xml.max_bytes`: octets of a document. Default 65,536.
    pub max_bytes: usize,
    /// `xml.max_depth`: elements inside one another, the root counted; 65,535 at most. Default 32.
    pub max_depth: usize,
    /// `xml.max_attrs`: attributes of one element, namespace declarations counted. Default 64.
    pub max_attrs: usize,
    /// `xml.max_ns`: namespace declarations in force at one place. Default 32.
    pub max_ns: usize,
    /// `group.max_subject`: characters of a subject that a group is asked to take. Default 256.
    pub max_subject: usize,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Limits =
        Limits { max_bytes: 65_536, max_depth: 32, max_attrs: 64, max_ns: 32, max_subject: 256 };

    /// Whether anything can be read under these limits at all.
    ///
    /// # Errors
    /// A limit is 0.
    pub const fn validate(&self) -> Result<(), LimitsError> {
        if self.max_bytes == 0 {
            return Err(LimitsError("xml.max_bytes"));
        }
        if self.max_depth == 0 {
            return Err(LimitsError("xml.max_depth"));
        }
        if self.max_attrs == 0 {
            return Err(LimitsError("xml.max_attrs"));
        }
        if self.max_ns == 0 {
            return Err(LimitsError("xml.max_ns"));
        }
        if self.max_subject == 0 {
            return Err(LimitsError("group.max_subject"));
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
