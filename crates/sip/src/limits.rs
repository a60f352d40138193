//! Limits: what a peer may send of each thing.

use core::fmt;
use cpm_base::LimitExceeded;

macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident = $default:expr, $name:literal;)*) => {
        /// What a peer may send of each thing. Every field has a default; [`Limits::validate`] says whether values fit together.
        ///
        /// A value at the limit is accepted, one above it is refused before anything is allocated for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* #[doc = concat!("\n\nDefault ", stringify!($default), "; reported as `", $name, "`.")] pub $field: usize,)*
        }

        impl Limits {
            /// The defaults.
            pub const DEFAULT: Limits = Limits { $($field: $default,)* };

            fn zero(&self) -> Option<&'static str> {
                $(if self.$field == 0 { return Some($name); })*
                None
            }
        }

        /// Checks against one limit each.
        impl Limits {
            $(pub(crate) fn $field(&self, value: usize) -> Result<(), LimitExceeded> {
                LimitExceeded::check($name, value, self.$field)
            })*
        }
    };
}

limits! {
    /// Octets of a datagram.
    max_datagram = 65_535, "sip.max_datagram";
    /// Octets of a message on a stream, head and body.
    max_stream_message = 262_144, "sip.max_stream_message";
    /// Octets of a body, as Content-Length announces them.
    max_body = 262_144, "sip.max_body";
    /// Octets of a head: start-line, header fields and the blank line.
    max_header_bytes = 32_768, "sip.max_header_bytes";
    /// Octets of one header field, folds included.
    max_header_line = 8_192, "sip.max_header_line";
    /// Header fields of a message.
    max_headers = 128, "sip.max_headers";
    /// Continuation lines of one header field.
    max_folds = 16, "sip.max_folds";
    /// Octets of a URI.
    max_uri = 1_024, "sip.max_uri";
    /// Via values of a message.
    max_via = 70, "sip.max_via";
    /// Route, Record-Route, Path or Service-Route values of a message (of each).
    max_routes = 64, "sip.max_routes";
    /// Parameters of one value.
    max_params = 64, "sip.max_params";
    /// Values of any other list.
    max_list_values = 128, "sip.max_list_values";
    /// Octets of a token, of a tag, a branch or a Call-ID.
    max_token = 256, "sip.max_token";
    /// Nesting of comments.
    comment_depth = 8, "sip.comment_depth";
    /// CRLFs in a row between two messages of a stream, or before the message of a datagram.
    max_leading_crlf = 64, "sip.max_leading_crlf";
    /// Octets of a message that is written: room for what a proxy adds to the longest that it takes.
    max_out = 294_912, "sip.max_out";
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

/// Why limits do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitsError {
    /// This limit is zero: no message would ever pass.
    Zero(&'static str),
    /// The first limit is above the second, which it can never reach.
    Above(&'static str, &'static str),
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitsError::Zero(name) => write!(f, "{name} is zero"),
            LimitsError::Above(small, great) => write!(f, "{small} is above {great}"),
        }
    }
}

impl core::error::Error for LimitsError {}

impl Limits {
    /// Whether the values fit together.
    ///
    /// # Errors
    /// A limit is zero, or above one that encloses it.
    pub fn validate(&self) -> Result<(), LimitsError> {
        if let Some(name) = self.zero() {
            return Err(LimitsError::Zero(name));
        }
        for (small, great, names) in [
            (self.max_body, self.max_stream_message, ("sip.max_body", "sip.max_stream_message")),
            (
                self.max_header_bytes,
                self.max_stream_message,
                ("sip.max_header_bytes", "sip.max_stream_message"),
            ),
            (self.max_header_line, self.max_header_bytes, ("sip.max_header_line", "sip.max_header_bytes")),
            (self.max_uri, self.max_header_line, ("sip.max_uri", "sip.max_header_line")),
            (self.max_stream_message, self.max_out, ("sip.max_stream_message", "sip.max_out")),
            (self.max_datagram, self.max_out, ("sip.max_datagram", "sip.max_out")),
        ] {
            if small > great {
                return Err(LimitsError::Above(names.0, names.1));
            }
        }
        Ok(())
    }
}
