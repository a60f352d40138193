//! Fragments of messages (RFC 3420): what a NOTIFY says of a request that was referred, and bodies of type message/sipfrag.

use crate::error::{HeaderError, ParseError};
use crate::head::{self, StartLine};
use crate::headers::Headers;
use crate::limits::Limits;
use crate::message::Message;
use crate::method::Method;
use crate::name::HeaderName;
use crate::status::StatusCode;
use crate::text::{ByteStr, is_token_octet};
use crate::typed::TypedHeader;
use crate::uri::Uri;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// A part of a message: maybe its start-line, some of its header fields, maybe its body.
///
/// Written as it was read. The line end of the last line may be missing when it is read (a fragment is a body, whose end is
/// known; many NOTIFY requests end so); it is never missing when it is made here. Content-Length, where it is kept, is that of
/// the message and says nothing about the fragment.
///
/// ```
/// use cpm_sip::{Fragment, Limits, StatusCode};
/// let told = Fragment::of_status(StatusCode::RINGING);
/// assert_eq!(told.to_bytes(), "SIP/2.0 180 Ringing\r\n");
/// let read = Fragment::parse("SIP/2.0 486 Busy Here\r\nCall-ID: a\r\n".into(), &Limits::default()).unwrap();
/// assert_eq!(read.status(), StatusCode::new(486));
/// ```
#[derive(Clone)]
pub struct Fragment {
    start: Option<FragmentStart>,
    headers: Headers,
    body: Bytes,
    wire: Bytes,
}

/// The start-line of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FragmentStart {
    /// Of a request.
    Request(Method, Uri),
    /// Of a response: its status code and reason phrase.
    Response(StatusCode, ByteStr),
}

impl Fragment {
    /// The media type of such a body.
    pub const MEDIA_TYPE: &'static str = "message/sipfrag";

    /// Reads a fragment. As in a message, a fault of one value is an error of its getter alone.
    ///
    /// # Errors
    /// A start-line or a header field that is none, a control character, nothing at all, more than the limits allow.
    pub fn parse(octets: Bytes, limits: &Limits) -> Result<Fragment, ParseError> {
        if octets.is_empty() {
            return Err(ParseError::Empty);
        }
        limits.max_body(octets.len())?;
        let (head_end, body_start) = ends(&octets);
        // Header fields are read out of whole lines.
        let head = octets.slice(..head_end);
        let head = if head.is_empty() || head.ends_with(b"\r\n") {
            head
        } else {
            Bytes::from([&head, &b"\r\n"[..]].concat())
        };
        let (start, read) = if begins_with_start_line(&head) {
            let mut read = head::read(&head, 0, head.len(), limits);
            let start = match core::mem::replace(&mut read.start, Err(ParseError::NotSip))? {
                StartLine::Request(method, uri) => FragmentStart::Request(method, uri),
                StartLine::Status(status, reason) => FragmentStart::Response(status, reason),
            };
            (Some(start), read)
        } else {
            (None, head::read_fields_alone(&head, limits))
        };
        if let Some(fault) = read.fault {
            return Err(fault);
        }
        let headers = read.fields.into();
        Ok(Fragment { start, headers, body: octets.slice(body_start..), wire: octets })
    }

    /// The Status-Line alone, as the one who was referred tells how far its request is (RFC 3515 §2.4.5).
    #[must_use]
    pub fn of_status(status: StatusCode) -> Fragment {
        let line = alloc::format!("SIP/2.0 {status} {}\r\n", status.reason());
        Fragment {
            start: Some(FragmentStart::Response(status, ByteStr::from(status.reason()))),
            headers: Headers::new(),
            body: Bytes::new(),
            wire: Bytes::from(line),
        }
    }

    /// The start-line of a message and its fields of these names, octet for octet; no body.
    #[must_use]
    pub fn of(message: &Message, names: &[HeaderName]) -> Fragment {
        let headers = message.headers().subset(names);
        let (start, line) = match message {
            Message::Request(request) => {
                let (method, uri) = (request.method().clone(), request.uri().clone());
                let line = alloc::format!("{method} {uri} SIP/2.0\r\n");
                (FragmentStart::Request(method, uri), line)
            }
            Message::Response(response) => {
                let line = alloc::format!("SIP/2.0 {} {}\r\n", response.status(), response.reason());
                (FragmentStart::Response(response.status(), ByteStr::from(response.reason())), line)
            }
        };
        let mut wire = Vec::with_capacity(line.len().saturating_add(headers.written_length()));
        wire.extend_from_slice(line.as_bytes());
        headers.write(&mut wire);
        Fragment { start: Some(start), headers, body: Bytes::new(), wire: Bytes::from(wire) }
    }

    /// The start-line, where there is one.
    #[must_use]
    pub const fn start(&self) -> Option<&FragmentStart> {
        self.start.as_ref()
    }

    /// The status code of a response.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.start {
            Some(FragmentStart::Response(status, _)) => Some(status),
            _ => None,
        }
    }

    /// The header fields.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Like [`Request::typed`](crate::Request::typed).
    ///
    /// # Errors
    /// Like [`Request::typed`](crate::Request::typed).
    pub fn typed<H: TypedHeader>(&self) -> Result<Option<H>, HeaderError> {
        self.headers.typed()
    }

    /// What stands behind the empty line.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The octets.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.wire.clone()
    }
}

/// Debug prints no body: it is the user's message.
impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fragment({:?}, {} fields, {} octets)", self.start, self.headers.len(), self.body.len())
    }
}

/// Where the head ends, and where the body begins: both at the end when no empty line stands between them.
fn ends(octets: &[u8]) -> (usize, usize) {
    if octets.starts_with(b"\r\n") {
        return (0, 2);
    }
    match head::find_end(octets, 0) {
        Some(end) => (end.saturating_sub(2), end),
        None => (octets.len(), octets.len()),
    }
}

/// The name of a header field has a colon behind it, with blanks between at most; the method of a Request-Line and the
/// version of a Status-Line have not.
fn begins_with_start_line(head: &[u8]) -> bool {
    if head.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case(b"SIP/")) {
        return true;
    }
    let mut rest = head.iter().skip_while(|octet| is_token_octet(**octet)).peekable();
    let blank = rest.peek().is_some_and(|octet| **octet == b' ');
    blank && rest.find(|octet| !matches!(octet, b' ' | b'\t')) != Some(&b':')
}

#[cfg(test)]
mod tests;
