//! What of a message a reader of its octets would see otherwise.

use super::Headers;
use super::fields::Field;
use crate::grammar::parse_u32;
use crate::limits::Limits;
use crate::message::{Message, Request};
use crate::name::HeaderName;

impl Message {
    /// Whether whoever reads the octets of this message from a stream, within these limits, gets just this message: then it can
    /// be handed over as it is. `true` is sure; what is not sure (a Content-Length that is not that of the body, a line that is
    /// too long, a value with white space around it, other limits) is `false`.
    ///
    /// ```
    /// use cpm_sip::{Limits, Message, Method, Request, Uri};
    /// let mut request = Request::new(Method::Options, Uri::parse("sip:bob@example.com").unwrap());
    /// assert!(!Message::from(request.clone()).reads_back(&Limits::default()));
    /// request.ensure_content_length();
    /// assert!(Message::from(request).reads_back(&Limits::default()));
    /// ```
    #[must_use]
    pub fn reads_back(&self, limits: &Limits) -> bool {
        let (start_line, fits) = match self {
            Message::Request(request) => (request.start_line_length(), request.start_line_fits(limits)),
            Message::Response(response) => (response.start_line_length(), true),
        };
        fits && self.headers().reads_back(limits, start_line, self.body().len())
    }
}

impl Request {
    /// Whether a reader within these limits takes method and Request-URI. Each parameter of a URI has a separator before it,
    /// so that there are no more of them.
    fn start_line_fits(&self, limits: &Limits) -> bool {
        let (method, uri) = (self.method().as_str(), self.uri().as_str().as_bytes());
        let separators = memchr::memchr3_iter(b';', b'?', b'&', uri).count();
        method.len() <= limits.max_token && uri.len() <= limits.max_uri && separators <= limits.max_params
    }
}

impl Headers {
    fn reads_back(&self, limits: &Limits, start_line: usize, body: usize) -> bool {
        if self.limits() != limits || self.0.list().len() > limits.max_headers || body > limits.max_body {
            return false;
        }
        // The empty line.
        let mut head = start_line.saturating_add(2);
        let mut length = None;
        for field in self.0.list() {
            let line = self.0.line_of(field).len();
            if line > limits.max_header_line || !self.is_trimmed(field) {
                return false;
            }
            head = head.saturating_add(line);
            if field.place == HeaderName::ContentLength.place() {
                let announced = parse_u32(self.0.value_of(field).as_bytes());
                let announced = announced.and_then(|length| usize::try_from(length).ok());
                if length.is_some() || announced != Some(body) {
                    return false;
                }
                length = announced;
            }
        }
        let whole = head.saturating_add(body);
        length.is_some() && head <= limits.max_header_bytes && whole <= limits.max_stream_message
    }

    /// Whether a reader sees this value where we see it: received ones were read, made ones may have white space around them.
    fn is_trimmed(&self, field: &Field) -> bool {
        let space = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t' | b'\r' | b'\n'));
        let value = self.0.value_of(field).as_bytes();
        !field.is_made() || !(space(value.first()) || space(value.last()))
    }
}
