//! Requests and responses.

use crate::error::HeaderError;
use crate::headers::Headers;
use crate::limits::Limits;
use crate::method::Method;
use crate::name::HeaderName;
use crate::status::StatusCode;
use crate::text::{ByteStr, HeaderText};
use crate::typed::{ContentLength, TypedHeader};
use crate::uri::Uri;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use cpm_base::LimitExceeded;

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// What requests and responses share: header fields, body, and the octets they were received as.
#[derive(Clone)]
struct Content {
    headers: Headers,
    body: Bytes,
    /// The whole message as received.
    wire: Bytes,
    /// Whether nothing was edited since.
    untouched: bool,
    /// Octets of the received start-line with its line end; none when it was edited or made here.
    start_line: usize,
    /// Made here, not received: Content-Length is added when written.
    built: bool,
}

impl Content {
    fn new() -> Content {
        Content {
            headers: Headers::new(),
            body: Bytes::new(),
            wire: Bytes::new(),
            untouched: false,
            start_line: 0,
            built: true,
        }
    }

    fn headers_mut(&mut self) -> &mut Headers {
        self.untouched = false;
        &mut self.headers
    }

    fn set_body(&mut self, body: Bytes) {
        self.untouched = false;
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.headers.set_typed(&ContentLength(length));
        self.body = body;
    }

    fn ensure_content_length(&mut self) {
        if !self.headers.contains(&HeaderName::ContentLength) {
            let body = core::mem::take(&mut self.body);
            self.set_body(body);
        }
    }

    fn written_length(&self, start_line: usize) -> usize {
        if self.untouched {
            return self.wire.len();
        }
        let start_line = if self.start_line > 0 { self.start_line } else { start_line };
        let length = if self.built && !self.headers.contains(&HeaderName::ContentLength) {
            let digits = self.body.len().checked_ilog10().unwrap_or(0);
            usize::try_from(digits).unwrap_or(0).saturating_add("Content-Length: 0\r\n".len())
        } else {
            0
        };
        [start_line, self.headers.written_length(), length, 2, self.body.len()]
            .into_iter()
            .fold(0, usize::saturating_add)
    }

    /// Appends the octets, when they are no more than so many; else nothing at all. Their number is known before the first
    /// of them is written.
    fn write(
        &self,
        out: &mut Vec<u8>,
        limits: Option<&Limits>,
        start_line: impl FnOnce() -> String,
    ) -> Result<(), LimitExceeded> {
        let check = |length| limits.map_or(Ok(()), |limits| limits.max_out(length));
        if self.untouched {
            check(self.wire.len())?;
            out.extend_from_slice(&self.wire);
            return Ok(());
        }
        let received = self.wire.get(..self.start_line).filter(|line| !line.is_empty());
        let made = if received.is_none() { start_line() } else { String::new() };
        let line = received.unwrap_or(made.as_bytes());
        let added = if self.built && !self.headers.contains(&HeaderName::ContentLength) {
            alloc::format!("Content-Length: {}\r\n", self.body.len())
        } else {
            String::new()
        };
        let head = line.len().saturating_add(self.headers.written_length()).saturating_add(added.len());
        let length = head.saturating_add(2).saturating_add(self.body.len());
        check(length)?;
        out.reserve(length);
        out.extend_from_slice(line);
        self.headers.write(out);
        out.extend_from_slice(added.as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        Ok(())
    }
}

/// What the parser found of a message apart from its start-line.
pub(crate) struct Received {
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
    pub(crate) wire: Bytes,
    /// Octets of the start-line, which begins the wire.
    pub(crate) start_line: usize,
}

impl From<Received> for Content {
    fn from(received: Received) -> Content {
        Content {
            headers: received.headers,
            body: received.body,
            wire: received.wire,
            untouched: true,
            start_line: received.start_line,
            built: false,
        }
    }
}

/// A request.
///
/// ```
/// use cpm_sip::{CallId, HeaderText, HeaderName, Method, Request, Uri};
/// let mut request = Request::new(Method::Message, Uri::parse("sip:bob@example.com").unwrap())
///     .with_typed(&CallId::new("a84b4c76e66710").unwrap())
///     .with_header(HeaderName::Subject, HeaderText::new("Hello").unwrap());
/// request.set_body("Hi".into());
/// assert_eq!(
///     &request.to_bytes()[..],
///     b"MESSAGE sip:bob@example.com SIP/2.0\r\nCall-ID: a84b4c76e66710\r\nSubject: Hello\r\nContent-Length: 2\r\n\r\nHi"
/// );
/// ```
#[derive(Clone)]
pub struct Request {
    method: Method,
    uri: Uri,
    content: Content,
}

/// A response.
#[derive(Clone)]
pub struct Response {
    status: StatusCode,
    reason: ByteStr,
    content: Content,
}

macro_rules! shared {
    ($type:ident) => {
        impl $type {
            /// The header fields.
            #[must_use]
            pub fn headers(&self) -> &Headers {
                &self.content.headers
            }

            /// The header fields, to be edited.
            pub fn headers_mut(&mut self) -> &mut Headers {
                self.content.headers_mut()
            }

            /// The body.
            #[must_use]
            pub fn body(&self) -> &Bytes {
                &self.content.body
            }

            /// Sets the body and the Content-Length.
            pub fn set_body(&mut self, body: Bytes) {
                self.content.set_body(body);
            }

            /// Adds the Content-Length that a stream needs, when there is none (a datagram may do without).
            pub fn ensure_content_length(&mut self) {
                self.content.ensure_content_length();
            }

            /// The typed value of a field: of the only one, or of a list its first value.
            ///
            /// # Errors
            /// The value is malformed, or a field that may stand once stands more often in whatever spelling.
            pub fn typed<H: TypedHeader>(&self) -> Result<Option<H>, HeaderError> {
                self.content.headers.typed()
            }

            /// All typed values of all fields of this name, in order; lists are split at their commas.
            ///
            /// # Errors
            /// A value is malformed, or there are more than the limits allow.
            pub fn typed_list<H: TypedHeader>(&self) -> Result<Vec<H>, HeaderError> {
                self.content.headers.typed_list()
            }

            /// The same with one more header field.
            #[must_use]
            pub fn with_header(mut self, name: HeaderName, value: HeaderText) -> $type {
                self.headers_mut().push(name, value);
                self
            }

            /// The same with one more header field.
            #[must_use]
            pub fn with_typed<H: TypedHeader>(mut self, value: &H) -> $type {
                self.headers_mut().push_typed(value);
                self
            }

            /// The same with this body and its Content-Length.
            #[must_use]
            pub fn with_body(mut self, body: Bytes) -> $type {
                self.set_body(body);
                self
            }

            /// How many octets [`to_bytes`](Self::to_bytes) gives, without writing them.
            #[must_use]
            pub fn written_length(&self) -> usize {
                self.content.written_length(self.start_line_length())
            }

            /// The octets: those received while nothing was edited; else received lines as they were and edited ones anew.
            /// A message that was built, not received, gets a Content-Length when it has none.
            #[must_use]
            pub fn to_bytes(&self) -> Bytes {
                if self.content.untouched {
                    return self.content.wire.clone();
                }
                let mut out = Vec::new();
                self.write_to(&mut out);
                Bytes::from(out)
            }

            /// Appends the octets of [`to_bytes`](Self::to_bytes).
            pub fn write_to(&self, out: &mut Vec<u8>) {
                // Without limits nothing is refused.
                let _ = self.content.write(out, None, || self.start_line());
            }

            /// Appends the octets of [`to_bytes`](Self::to_bytes), if they are no more than `Limits::max_out`.
            ///
            /// # Errors
            /// They are more: nothing was appended.
            pub fn write_within(&self, limits: &Limits, out: &mut Vec<u8>) -> Result<(), LimitExceeded> {
                self.content.write(out, Some(limits), || self.start_line())
            }
        }

        impl PartialEq for $type {
            /// The same octets.
            fn eq(&self, other: &Self) -> bool {
                self.to_bytes() == other.to_bytes()
            }
        }

        impl Eq for $type {}
    };
}

shared!(Request);
shared!(Response);

impl Request {
    /// An empty request to build on.
    #[must_use]
    pub fn new(method: Method, uri: Uri) -> Request {
        Request { method, uri, content: Content::new() }
    }

    pub(crate) fn received(method: Method, uri: Uri, received: Received) -> Request {
        Request { method, uri, content: received.into() }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The Request-URI.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Sets the Request-URI.
    pub fn set_uri(&mut self, uri: Uri) {
        self.content.untouched = false;
        self.content.start_line = 0;
        self.uri = uri;
    }

    pub(crate) fn start_line_length(&self) -> usize {
        let method_and_uri = self.method.as_str().len().saturating_add(self.uri.as_str().len());
        method_and_uri.saturating_add("  SIP/2.0\r\n".len())
    }

    fn start_line(&self) -> String {
        alloc::format!("{} {} SIP/2.0\r\n", self.method, self.uri)
    }
}

impl Response {
    /// An empty response to build on.
    #[must_use]
    pub fn new(status: StatusCode) -> Response {
        Response { status, reason: ByteStr::from(status.reason()), content: Content::new() }
    }

    pub(crate) fn received(status: StatusCode, reason: ByteStr, received: Received) -> Response {
        Response { status, reason, content: received.into() }
    }

    /// A response to a request (RFC 3261 §8.2.6): all Via, From, To, Call-ID, CSeq and Timestamp as they are.
    /// The To field gets no tag here.
    #[must_use]
    pub fn for_request(request: &Request, status: StatusCode) -> Response {
        Response::answering(request.headers(), status)
    }

    pub(crate) fn answering(headers: &Headers, status: StatusCode) -> Response {
        let mut response = Response::new(status);
        let fields = response.headers_mut();
        for name in COPIED {
            fields.copy_from(headers, name);
        }
        response
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason phrase.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.reason.as_str()
    }

    /// Sets the reason phrase; control characters in it become spaces.
    pub fn set_reason(&mut self, reason: &str) {
        self.content.untouched = false;
        self.content.start_line = 0;
        self.reason = ByteStr::from(HeaderText::sanitized(reason).as_str());
    }

    /// Sets the status code with its usual reason phrase.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
        self.set_reason(status.reason());
    }

    pub(crate) fn start_line_length(&self) -> usize {
        self.reason.as_str().len().saturating_add("SIP/2.0 200 \r\n".len())
    }

    fn start_line(&self) -> String {
        alloc::format!("SIP/2.0 {} {}\r\n", self.status, self.reason)
    }
}

/// What a response copies from its request.
pub(crate) const COPIED: &[HeaderName] = &[
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::Timestamp,
];

impl Message {
    /// The request, when it is one.
    #[must_use]
    pub const fn as_request(&self) -> Option<&Request> {
        match self {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        }
    }

    /// The response, when it is one.
    #[must_use]
    pub const fn as_response(&self) -> Option<&Response> {
        match self {
            Message::Response(response) => Some(response),
            Message::Request(_) => None,
        }
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => request.headers(),
            Message::Response(response) => response.headers(),
        }
    }

    /// The header fields, to be edited.
    pub fn headers_mut(&mut self) -> &mut Headers {
        match self {
            Message::Request(request) => request.headers_mut(),
            Message::Response(response) => response.headers_mut(),
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        match self {
            Message::Request(request) => request.body(),
            Message::Response(response) => response.body(),
        }
    }

    /// Sets the body and the Content-Length.
    pub fn set_body(&mut self, body: Bytes) {
        match self {
            Message::Request(request) => request.set_body(body),
            Message::Response(response) => response.set_body(body),
        }
    }

    /// Like [`Request::typed`].
    ///
    /// # Errors
    /// Like [`Request::typed`].
    pub fn typed<H: TypedHeader>(&self) -> Result<Option<H>, HeaderError> {
        self.headers().typed()
    }

    /// Like [`Request::typed_list`].
    ///
    /// # Errors
    /// Like [`Request::typed_list`].
    pub fn typed_list<H: TypedHeader>(&self) -> Result<Vec<H>, HeaderError> {
        self.headers().typed_list()
    }

    /// Like [`Request::to_bytes`].
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        }
    }

    /// Like [`Request::written_length`].
    #[must_use]
    pub fn written_length(&self) -> usize {
        match self {
            Message::Request(request) => request.written_length(),
            Message::Response(response) => response.written_length(),
        }
    }

    /// Like [`Request::write_to`].
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Message::Request(request) => request.write_to(out),
            Message::Response(response) => response.write_to(out),
        }
    }

    /// Like [`Request::write_within`].
    ///
    /// # Errors
    /// Like [`Request::write_within`].
    pub fn write_within(&self, limits: &Limits, out: &mut Vec<u8>) -> Result<(), LimitExceeded> {
        match self {
            Message::Request(request) => request.write_within(limits, out),
            Message::Response(response) => response.write_within(limits, out),
        }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Message {
        Message::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Message {
        Message::Response(response)
    }
}

/// Debug prints no body: it is the user's message.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, {} fields, ", self.method, self.uri, self.headers().len())?;
        write!(f, "{} octets)", self.body().len())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({} {}, {} fields, ", self.status, self.reason, self.headers().len())?;
        write!(f, "{} octets)", self.body().len())
    }
}
