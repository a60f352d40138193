//! What can be wrong with a message, and the answer that it deserves.

use crate::headers::Headers;
use crate::message::Response;
use crate::method::Method;
use crate::name::HeaderName;
use crate::status::StatusCode;
use alloc::boxed::Box;
use alloc::string::ToString;
use core::fmt;
use cpm_base::LimitExceeded;

/// Why octets are no SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Nothing but CRLFs: a keep-alive (RFC 5626 §3.5.1), not a message.
    Empty,
    /// The first line is neither a Request-Line nor a Status-Line of SIP.
    NotSip,
    /// The Request-Line is not method, one space, URI, one space, version.
    RequestLine(&'static str),
    /// The Request-URI has a known scheme but is not well-formed.
    RequestUri(UriError),
    /// The Status-Line is not version, one space, three digits, one space, phrase.
    StatusLine(&'static str),
    /// A version of SIP other than 2.0.
    Version,
    /// A header field is not name, colon, value.
    HeaderLine(&'static str),
    /// A CR without LF, an LF without CR, a NUL or another control character in the head: readers would differ on what it means.
    Control,
    /// The head does not end with an empty line.
    Truncated,
    /// There are fewer octets after the head than Content-Length says (RFC 3261 §18.3).
    BodyShort {
        /// What Content-Length says.
        announced: usize,
        /// What there is.
        present: usize,
    },
    /// Content-Length is not a number of at most ten digits that fits 32 bits.
    ContentLength,
    /// There is more than one Content-Length.
    ContentLengthRepeated,
    /// There is no Content-Length on a stream (RFC 3261 §18.3).
    ContentLengthMissing,
    /// More of something than allowed.
    Limit(LimitExceeded),
}

impl ParseError {
    /// The status that a request with this fault deserves: one total function. `None` where silence is the answer.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            ParseError::Empty | ParseError::NotSip | ParseError::StatusLine(_) => None,
            ParseError::Version => Some(StatusCode::VERSION_NOT_SUPPORTED),
            ParseError::Limit(exceeded) => Some(match exceeded.limit {
                "sip.max_uri" => StatusCode::REQUEST_URI_TOO_LONG,
                "sip.max_body" => StatusCode::REQUEST_ENTITY_TOO_LARGE,
                "sip.max_datagram" | "sip.max_stream_message" | "sip.max_header_bytes" => {
                    StatusCode::MESSAGE_TOO_LARGE
                }
                _ => StatusCode::BAD_REQUEST,
            }),
            ParseError::RequestLine(_)
            | ParseError::RequestUri(_)
            | ParseError::HeaderLine(_)
            | ParseError::Control
            | ParseError::Truncated
            | ParseError::BodyShort { .. }
            | ParseError::ContentLength
            | ParseError::ContentLengthRepeated
            | ParseError::ContentLengthMissing => Some(StatusCode::BAD_REQUEST),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Empty => f.write_str("nothing but line ends"),
            ParseError::NotSip => f.write_str("the first line is not SIP"),
            ParseError::RequestLine(what) => write!(f, "Request-Line: {what}"),
            ParseError::RequestUri(error) => write!(f, "Request-URI: {error}"),
            ParseError::StatusLine(what) => write!(f, "Status-Line: {what}"),
            ParseError::Version => f.write_str("not version 2.0 of SIP"),
            ParseError::HeaderLine(what) => write!(f, "header field: {what}"),
            ParseError::Control => f.write_str("control character or lone line end in the head"),
            ParseError::Truncated => f.write_str("the head has no end"),
            ParseError::BodyShort { announced, present } => {
                write!(f, "Content-Length is {announced}, the body has {present} octets")
            }
            ParseError::ContentLength => f.write_str("Content-Length is not a number"),
            ParseError::ContentLengthRepeated => f.write_str("more than one Content-Length"),
            ParseError::ContentLengthMissing => f.write_str("no Content-Length on a stream"),
            ParseError::Limit(exceeded) => exceeded.fmt(f),
        }
    }
}

impl core::error::Error for ParseError {}

impl From<LimitExceeded> for ParseError {
    fn from(exceeded: LimitExceeded) -> Self {
        ParseError::Limit(exceeded)
    }
}

/// Octets that did not parse, with what is needed to answer them where they were a request.
#[derive(Debug, Clone)]
pub struct ParseFailure {
    /// What is wrong.
    pub error: ParseError,
    /// What could be read of a request in spite of it.
    pub context: Option<ReplyContext>,
}

/// What could be read of a broken request: enough to answer it.
#[derive(Debug, Clone)]
pub struct ReplyContext(Box<(Method, Headers)>);

impl ReplyContext {
    pub(crate) fn new(method: Method, headers: Headers) -> ReplyContext {
        ReplyContext(Box::new((method, headers)))
    }

    /// The method of the request.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.0.0
    }

    /// The header fields that could be read.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.0.1
    }
}

impl ParseFailure {
    /// The answer: its status is [`ParseError::status`], its reason phrase names the fault. The To field has no tag added.
    ///
    /// `None` for a response, an ACK, something that is no SIP, and a request without a Via to answer to.
    #[must_use]
    pub fn reply(&self) -> Option<Response> {
        let context = self.context.as_ref()?;
        let status = self.error.status()?;
        if *context.method() == Method::Ack || !context.headers().contains(&HeaderName::Via) {
            return None;
        }
        let mut response = Response::answering(context.headers(), status);
        response.set_body(bytes::Bytes::new());
        if status == StatusCode::BAD_REQUEST {
            response.set_reason(&self.error.to_string());
        }
        Some(response)
    }
}

impl fmt::Display for ParseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for ParseFailure {}

/// Why the value of one header field cannot be used. The rest of the message is not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// A field that must be there is not.
    Missing {
        /// The name of the field.
        header: &'static str,
    },
    /// A field that may stand once stands more often, whatever its spelling.
    Repeated {
        /// The name of the field.
        header: &'static str,
    },
    /// The value is not what the grammar of the field says.
    Malformed {
        /// The name of the field.
        header: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// More of something than allowed.
    Limit {
        /// The name of the field.
        header: &'static str,
        /// Which limit.
        exceeded: LimitExceeded,
    },
}

impl HeaderError {
    /// The name of the field.
    #[must_use]
    pub const fn header(&self) -> &'static str {
        match self {
            HeaderError::Missing { header }
            | HeaderError::Repeated { header }
            | HeaderError::Malformed { header, .. }
            | HeaderError::Limit { header, .. } => header,
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Missing { header } => write!(f, "{header} is missing"),
            HeaderError::Repeated { header } => write!(f, "{header} stands more than once"),
            HeaderError::Malformed { header, what } => write!(f, "{header}: {what}"),
            HeaderError::Limit { header, exceeded } => write!(f, "{header}: {exceeded}"),
        }
    }
}

impl core::error::Error for HeaderError {}

/// Why a text is no URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// There is no scheme.
    Scheme,
    /// A character that no URI holds: a space, a control character, a quote, an angle bracket, anything outside of ASCII.
    Character,
    /// A percent sign without two hexadecimal digits.
    Escape,
    /// The user part holds a character that must be escaped, or is empty.
    User,
    /// The host is no name, no IPv4 address and no IPv6 address in brackets.
    Host,
    /// The port is no number up to 65535.
    Port,
    /// A parameter is empty or holds a character that must be escaped.
    Parameter,
    /// A header of the URI is not name and value.
    Header,
    /// The number of a tel URI is not one, or a local one lacks its phone-context.
    Number,
    /// The URN has no namespace or nothing in it.
    Urn,
    /// Too long, or too many parameters.
    Limit(LimitExceeded),
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UriError::Limit(exceeded) => return exceeded.fmt(f),
            UriError::Scheme => "no scheme",
            UriError::Character => "a character that no URI holds",
            UriError::Escape => "bad percent-escape",
            UriError::User => "bad user part",
            UriError::Host => "bad host",
            UriError::Port => "bad port",
            UriError::Parameter => "bad parameter",
            UriError::Header => "bad header in the URI",
            UriError::Number => "bad telephone number",
            UriError::Urn => "bad URN",
        })
    }
}

impl core::error::Error for UriError {}

impl From<LimitExceeded> for UriError {
    fn from(exceeded: LimitExceeded) -> Self {
        UriError::Limit(exceeded)
    }
}
