//! What can be wrong with a MIME body, on the wire or in what a caller wants to write.

use alloc::string::String;
use core::fmt;
use cpm_base::LimitExceeded;

/// Why a MIME body, or one of its header fields, was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MimeError {
    /// More of something than [`Limits`](crate::Limits) allows.
    Limit(LimitExceeded),
    /// A CR without LF, or an LF without CR, inside the header fields.
    BareLineEnd,
    /// A header field holds octets that are not UTF-8.
    HeaderNotUtf8,
    /// A header field holds a control character, NUL among them.
    ControlCharacter,
    /// A line of the header block has no colon, or no legal name before it.
    BadHeaderName,
    /// A continuation line holds white space alone.
    BlankContinuation,
    /// The input ends inside a header field.
    Truncated,
    /// No blank line divides the header fields from the body.
    NoBlankLine,
    /// A header field that may stand once stands twice.
    Repeated(&'static str),
    /// Not a media type with parameters (RFC 2045 §5.1).
    ContentTypeSyntax,
    /// Not a disposition with parameters (RFC 2183 §2).
    DispositionSyntax,
    /// Not a message id in angle brackets (RFC 2045 §7).
    ContentIdSyntax,
    /// A transfer encoding that nobody here can undo.
    UnknownTransferEncoding(String),
    /// The body is not base64 (RFC 2045 §6.8).
    Base64,
    /// The body is not quoted-printable (RFC 2045 §6.7).
    QuotedPrintable,
    /// A multipart was asked for, the media type is another one.
    NotMultipart,
    /// A multipart media type without a boundary parameter.
    BoundaryMissing,
    /// A boundary outside 1 to 70 characters of RFC 2046 §5.1.1, or with a blank at its end.
    BoundaryInvalid,
    /// A multipart without parts.
    NoParts,
    /// Two delimiter lines with not even an empty part between them.
    EmptyPart,
    /// A multipart that does not end with its closing delimiter line.
    NoCloseDelimiter,
    /// The boundary occurs inside a part, so what would be written could not be read.
    BoundaryInPart,
    /// The `start` of a multipart/related names none of its parts (RFC 2387 §3.2).
    StartMissing,
    /// Two parts with the same Content-ID: two readers could pick different ones.
    ContentIdRepeated,
    /// Not a `cid` URL (RFC 2392).
    CidSyntax,
    /// A parameter of message/external-body that is missing or none (RFC 4483); the name says which.
    ExternalBody(&'static str),
    /// A multipart writer was told to begin or end something at the wrong time.
    WriterOrder,
    /// A name or value that cannot stand in a header field was to be written.
    NotWritable,
}

impl fmt::Display for MimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            MimeError::Limit(limit) => return limit.fmt(f),
            MimeError::UnknownTransferEncoding(name) => {
                return write!(f, "unknown transfer encoding {name:?}");
            }
            MimeError::Repeated(name) => return write!(f, "{name} stands more than once"),
            MimeError::BareLineEnd => "a CR or LF that is no line end in the MIME header fields",
            MimeError::HeaderNotUtf8 => "a MIME header field is not UTF-8",
            MimeError::ControlCharacter => "a control character in a MIME header field",
            MimeError::BadHeaderName => "a MIME header line without a legal name",
            MimeError::BlankContinuation => "a continuation line of white space alone",
            MimeError::Truncated => "the input ends inside the MIME header fields",
            MimeError::NoBlankLine => "no blank line after the MIME header fields",
            MimeError::ContentTypeSyntax => "not a media type",
            MimeError::DispositionSyntax => "not a content disposition",
            MimeError::ContentIdSyntax => "not a content id",
            MimeError::Base64 => "the body is not base64",
            MimeError::QuotedPrintable => "the body is not quoted-printable",
            MimeError::NotMultipart => "not a multipart media type",
            MimeError::BoundaryMissing => "a multipart without boundary parameter",
            MimeError::BoundaryInvalid => "not a legal multipart boundary",
            MimeError::NoParts => "a multipart without parts",
            MimeError::EmptyPart => "nothing between two multipart delimiter lines",
            MimeError::NoCloseDelimiter => "a multipart without closing delimiter line",
            MimeError::BoundaryInPart => "the multipart boundary occurs inside a part",
            MimeError::ExternalBody(name) => {
                return write!(f, "message/external-body without a usable {name}");
            }
            MimeError::StartMissing => "the start of a multipart/related is none of its parts",
            MimeError::ContentIdRepeated => "two parts with the same Content-ID",
            MimeError::CidSyntax => "not a cid URL",
            MimeError::WriterOrder => "a multipart writer in the wrong order",
            MimeError::NotWritable => "not writable as a MIME header field",
        };
        f.write_str(text)
    }
}

impl core::error::Error for MimeError {}

impl From<LimitExceeded> for MimeError {
    fn from(limit: LimitExceeded) -> Self {
        MimeError::Limit(limit)
    }
}
