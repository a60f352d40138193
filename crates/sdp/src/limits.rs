//! How much of everything a description may hold.

use cpm_base::LimitExceeded;

/// Maxima for one session description, checked while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `sdp.max_bytes`: octets of the whole description. 1 to 1 MiB; default 16 KiB.
    pub max_bytes: usize,
    /// `sdp.max_media`: media descriptions. 1 to 256; default 16.
    pub max_media: usize,
    /// `sdp.max_attrs`: attributes of one media description, and of the session part. 1 to 1,024; default 64.
    pub max_attrs: usize,
    /// `sdp.max_formats`: formats of one `m=` line. 1 to 256; default 32.
    pub max_formats: usize,
    /// `sdp.max_path`: URIs in one `a=path`. 1 to 64; default 8.
    pub max_path: usize,
    /// `sdp.max_path_uri`: octets of one URI in `a=path`. 1 to 8,192; default 1,024.
    pub max_path_uri: usize,
    /// `sdp.max_types`: entries of `a=accept-types` and of `a=accept-wrapped-types`. 1 to 1,024; default 64.
    pub max_types: usize,
    /// `sdp.max_type`: octets of one such entry. 1 to 1,024; default 128.
    pub max_type: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_bytes: 16 * 1024,
            max_media: 16,
            max_attrs: 64,
            max_formats: 32,
            max_path: 8,
            max_path_uri: 1024,
            max_types: 64,
            max_type: 128,
        }
    }
}

impl Limits {
    /// Checks that every limit is within the range that its field names.
    ///
    /// # Errors
    /// The first limit that is not; zero is reported with `max` 0.
    pub fn validate(&self) -> Result<(), LimitExceeded> {
        for (limit, value, max) in [
            ("sdp.max_bytes", self.max_bytes, 1024 * 1024),
            ("sdp.max_media", self.max_media, 256),
            ("sdp.max_attrs", self.max_attrs, 1024),
            ("sdp.max_formats", self.max_formats, 256),
            ("sdp.max_path", self.max_path, 64),
            ("sdp.max_path_uri", self.max_path_uri, 8192),
            ("sdp.max_types", self.max_types, 1024),
            ("sdp.max_type", self.max_type, 1024),
        ] {
            if value == 0 {
                return Err(LimitExceeded { limit, value: 0, max: 0 });
            }
            LimitExceeded::check(limit, value, max)?;
        }
        Ok(())
    }
}
