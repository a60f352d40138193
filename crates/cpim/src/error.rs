//! What can be wrong with a message/cpim, on the wire or in what a caller wants to write.

use alloc::string::String;
use core::fmt;
use cpm_base::LimitExceeded;
use cpm_mime::MimeError;

/// Why a message/cpim, or one of its header fields, was refused. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CpimError {
    /// More of something than [`Limits`](crate::Limits) allows.
    Limit(LimitExceeded),
    /// A CR without LF or an LF without CR in the message header fields (RFC 3862 §2.2).
    BareLineEnd {
        /// The line it stands in.
        line: usize,
    },
    /// A message header field is not UTF-8 (RFC 3862 §2.2).
    NotUtf8 {
        /// The line it stands in.
        line: usize,
    },
    /// A control character that is not escaped in a message header field (RFC 3862 §2.2).
    ControlCharacter {
        /// The line it stands in.
        line: usize,
    },
    /// A line that is no message header field (RFC 3862 §3.6).
    HeaderSyntax {
        /// The line it stands in.
        line: usize,
    },
    /// Not exactly one space behind the colon, or white space at the end of the line (RFC 3862 §2.2).
    Whitespace {
        /// The line it stands in.
        line: usize,
    },
    /// The message begins with MIME header fields that announce message/cpim: those of the enclosing body once more.
    RepeatedMimeBlock,
    /// The input ends before the blank line that ends the message header fields.
    HeadersNotEnded,
    /// A message without any message header field.
    NoHeaders,
    /// A name with a prefix that no NS field above it declares (RFC 3862 §3.4).
    UndeclaredPrefix {
        /// The prefix.
        prefix: String,
    },
    /// A prefix that two NS fields bind to different namespaces.
    PrefixRedeclared {
        /// The prefix.
        prefix: String,
    },
    /// An NS field that is no declaration (RFC 3862 §4.6).
    NamespaceSyntax {
        /// The line it stands in.
        line: usize,
    },
    /// A field that may stand once stands twice.
    Repeated(&'static str),
    /// The field is no `[name] <uri>` (RFC 3862 §4.1).
    AddressSyntax(&'static str),
    /// DateTime is no date of RFC 3339.
    DateTimeSyntax,
    /// Disposition-Notification is no list of tokens (RFC 5438 §10, TS O.1).
    DispositionSyntax,
    /// Message-ID is empty or holds blanks.
    MessageIdSyntax,
    /// Require is no list of names (RFC 3862 §4.7).
    RequireSyntax,
    /// The header fields of the content are broken.
    Content(MimeError),
    /// The content has no Content-Type (RFC 3862 §2.4).
    NoContentType,
}

impl fmt::Display for CpimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CpimError::Limit(limit) => limit.fmt(f),
            CpimError::BareLineEnd { line } => write!(f, "line {line}: a CR or LF that is no line end"),
            CpimError::NotUtf8 { line } => write!(f, "line {line}: not UTF-8"),
            CpimError::ControlCharacter { line } => write!(f, "line {line}: an unescaped control character"),
            CpimError::HeaderSyntax { line } => write!(f, "line {line}: no CPIM header field"),
            CpimError::Whitespace { line } => {
                write!(f, "line {line}: white space other than one space after the colon")
            }
            CpimError::RepeatedMimeBlock => {
                f.write_str("the MIME header fields of the enclosing body once more")
            }
            CpimError::HeadersNotEnded => f.write_str("no blank line ends the CPIM header fields"),
            CpimError::NoHeaders => f.write_str("no CPIM header fields"),
            CpimError::UndeclaredPrefix { prefix } => {
                write!(f, "prefix {prefix:?} is used before any NS declares it")
            }
            CpimError::PrefixRedeclared { prefix } => {
                write!(f, "prefix {prefix:?} is declared for two namespaces")
            }
            CpimError::NamespaceSyntax { line } => write!(f, "line {line}: no namespace declaration"),
            CpimError::Repeated(name) => write!(f, "{name} stands more than once"),
            CpimError::AddressSyntax(name) => write!(f, "{name} is no address"),
            CpimError::DateTimeSyntax => f.write_str("DateTime is no date of RFC 3339"),
            CpimError::DispositionSyntax => {
                f.write_str("Disposition-Notification is no list of dispositions")
            }
            CpimError::MessageIdSyntax => f.write_str("Message-ID is no identifier"),
            CpimError::RequireSyntax => f.write_str("Require is no list of names"),
            CpimError::Content(error) => write!(f, "content: {error}"),
            CpimError::NoContentType => f.write_str("the content has no Content-Type"),
        }
    }
}

impl core::error::Error for CpimError {}

impl From<LimitExceeded> for CpimError {
    fn from(limit: LimitExceeded) -> Self {
        CpimError::Limit(limit)
    }
}

/// Why a message/cpim cannot be written as wished. Nothing is ever repaired silently.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A URI that is empty, relative, or holds a character that no URI holds.
    Uri {
        /// The header field it was for.
        header: &'static str,
    },
    /// A Message-ID that is no token of RFC 3862 §3.6.
    MessageId,
    /// A disposition that is no token.
    Disposition,
    /// A language that is no tag of RFC 3066.
    Language,
    /// A header field name or prefix that RFC 3862 §3.1 does not allow.
    Name,
    /// A value with blanks at an end, where no header field has any.
    Value,
    /// One prefix for two namespaces.
    PrefixRedeclared,
    /// No content, or content without one readable Content-Type.
    NoContentType,
    /// What would be written is more than the default limits let anybody read.
    Limit(LimitExceeded),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Uri { header } => write!(f, "not a URI for {header}"),
            BuildError::MessageId => f.write_str("a Message-ID must be a token"),
            BuildError::Disposition => f.write_str("a disposition must be a token"),
            BuildError::Language => f.write_str("not a language tag"),
            BuildError::Name => f.write_str("not a CPIM header field name"),
            BuildError::Value => f.write_str("blanks at an end of a CPIM header field value"),
            BuildError::PrefixRedeclared => f.write_str("one prefix for two namespaces"),
            BuildError::NoContentType => f.write_str("content without a Content-Type"),
            BuildError::Limit(limit) => limit.fmt(f),
        }
    }
}

impl core::error::Error for BuildError {}

impl From<LimitExceeded> for BuildError {
    fn from(limit: LimitExceeded) -> Self {
        BuildError::Limit(limit)
    }
}
