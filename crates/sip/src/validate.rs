//! Whether a request that parsed may be worked on (RFC 3261 §8.2.1 to §8.2.3 for a user agent, §16.3 for a proxy).

use crate::error::HeaderError;
use crate::headers::Headers;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::name::{HeaderName, Occurrence};
use crate::status::StatusCode;
use crate::text::{HeaderText, split_at_octet};
use crate::typed::{
    Accept, CSeq, CallId, Contact, ContentDisposition, ContentType, Expires, From, MaxForwards, Path,
    ProxyRequire, RecordRoute, Require, Route, To, TypedHeader, Via,
};
use crate::uri::Uri;
use crate::view::{CSeqRef, HeaderView, ViaRef};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Who works on the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A user agent: methods, Require and body are its business.
    UserAgent,
    /// A proxy: Proxy-Require and Max-Forwards are its business.
    Proxy,
}

/// What requests are worked on.
#[derive(Debug, Clone)]
pub struct RequestPolicy {
    /// Who works on them.
    pub role: Role,
    /// Methods that are allowed. A known method that is not in here is answered 405, an unknown one 501.
    pub methods: Vec<Method>,
    /// Option tags that are supported; others in Require (for a proxy: Proxy-Require) are answered 420.
    pub option_tags: Vec<String>,
    /// URI schemes that a Request-URI may have, in lower case; others are answered 416. None at all: any scheme.
    pub uri_schemes: Vec<String>,
    /// Media types that a body may have; others are answered 415. None at all: any type.
    pub content_types: Vec<Accept>,
}

impl RequestPolicy {
    /// A user agent that allows all methods named in [`Method`], sip, sips and tel URIs, any body, and no extension.
    #[must_use]
    pub fn user_agent() -> RequestPolicy {
        RequestPolicy {
            role: Role::UserAgent,
            methods: Method::KNOWN.to_vec(),
            option_tags: Vec::new(),
            uri_schemes: ["sip", "sips", "tel"].map(String::from).to_vec(),
            content_types: Vec::new(),
        }
    }

    /// A proxy for sip, sips and tel URIs that supports no extension.
    #[must_use]
    pub fn proxy() -> RequestPolicy {
        RequestPolicy { role: Role::Proxy, ..RequestPolicy::user_agent() }
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// The sender does what it must not, or writes as it used to be written long ago; who receives it gets along with it.
    Lapse,
    /// The message is well-formed, but asks for something that this side does not do: 405, 415, 416, 420, 483, 501.
    Unsupported,
    /// The message is not what the standard says; working on it would mean guessing.
    Fault,
}

/// Where in a message something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The header field.
    pub header: HeaderName,
    /// Which of the fields of that name, from 0.
    pub index: usize,
    /// Octets from the first of the message to the value; `None` when the field is missing or the message was edited.
    pub offset: Option<usize>,
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}[{}]", self.header, self.index)?;
        match self.offset {
            Some(offset) => write!(f, " at octet {offset}"),
            None => Ok(()),
        }
    }
}

/// What is wrong with a message, where, and what the answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub weight: Weight,
    /// The header field in which it was found; `None` for the start-line and the message as a whole.
    pub place: Option<Place>,
    /// The status of the answer.
    pub status: StatusCode,
    /// Header fields of the answer: Allow, Unsupported, Accept.
    pub headers: Vec<(HeaderName, HeaderText)>,
    /// What is wrong, in words.
    pub text: String,
}

impl Finding {
    fn new(status: StatusCode, text: impl Into<String>) -> Finding {
        let weight = if status == StatusCode::BAD_REQUEST { Weight::Fault } else { Weight::Unsupported };
        Finding { weight, place: None, status, headers: Vec::new(), text: text.into() }
    }

    fn at(mut self, header: HeaderName, index: usize) -> Finding {
        self.place = Some(Place { header, index, offset: None });
        self
    }

    fn with(mut self, name: HeaderName, value: &str) -> Finding {
        self.headers.push((name, HeaderText::sanitized(value)));
        self
    }

    /// The answer; a 400 says what is wrong in its reason phrase (RFC 3261 §21.4.1). The To field has no tag added.
    /// An ACK gets no answer, whatever is found in it.
    #[must_use]
    pub fn reply(&self, request: &Request) -> Response {
        let mut response = Response::for_request(request, self.status);
        for (name, value) in &self.headers {
            response.headers_mut().push(name.clone(), value.clone());
        }
        if self.status == StatusCode::BAD_REQUEST {
            response.set_reason(&self.text);
        }
        response.set_body(bytes::Bytes::new());
        response
    }
}

impl core::fmt::Display for Finding {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.status, self.text)
    }
}

impl core::error::Error for Finding {}

impl core::convert::From<HeaderError> for Finding {
    fn from(error: HeaderError) -> Finding {
        let finding = Finding::new(StatusCode::BAD_REQUEST, error.to_string());
        match HeaderName::parse(error.header()) {
            Ok(name) => finding.at(name, usize::from(matches!(error, HeaderError::Repeated { .. }))),
            Err(_) => finding,
        }
    }
}

/// Whether a request may be worked on: first what is wrong with it at all, then what this side does not do.
///
/// In this order: fields that must be there, fields that stand too often, malformed fields that are needed, the method of
/// CSeq (400); method (405, 501), URI scheme (416), hops (483), extensions (420), body (415).
///
/// # Errors
/// What was found first.
pub fn validate_request(request: &Request, policy: &RequestPolicy) -> Result<(), Finding> {
    first_finding(request, policy).map_err(|mut finding| {
        inspect::locate(&mut finding, request.headers(), &request.to_bytes());
        finding
    })
}

fn first_finding(request: &Request, policy: &RequestPolicy) -> Result<(), Finding> {
    let headers = request.headers();
    check_common(headers)?;
    let (hops, content_type) = check_fields(headers, policy.role)?;
    let method_differs = match headers.view::<CSeqRef<'_>>() {
        Ok(Some(cseq)) => !cseq.is(request.method()),
        _ => needed::<CSeq>(headers)?.method != *request.method(),
    };
    if method_differs {
        return Err(Finding::new(StatusCode::BAD_REQUEST, "the method of CSeq is not that of the request")
            .at(HeaderName::CSeq, 0));
    }
    if request.uri().as_sip().is_some_and(|uri| uri.has_headers()) {
        return Err(Finding::new(StatusCode::BAD_REQUEST, "the Request-URI has headers"));
    }
    check_service(request, policy, hops, content_type.as_ref())
}

/// What this side does not do: method, URI scheme, hops, extensions, body.
fn check_service(
    request: &Request,
    policy: &RequestPolicy,
    hops: Option<MaxForwards>,
    content_type: Option<&ContentType>,
) -> Result<(), Finding> {
    let headers = request.headers();
    match policy.role {
        Role::UserAgent => {
            check_method(request.method(), policy)?;
            check_scheme(request.uri(), policy)?;
            let tags = headers.typed_list::<Require>()?;
            check_extensions(HeaderName::Require, tags.iter().map(Require::as_str), request, policy)?;
            check_body(request, policy, content_type)
        }
        Role::Proxy => {
            check_scheme(request.uri(), policy)?;
            if hops == Some(MaxForwards(0)) {
                return Err(Finding::new(StatusCode::TOO_MANY_HOPS, "Max-Forwards is 0")
                    .at(HeaderName::MaxForwards, 0));
            }
            let tags = headers.typed_list::<ProxyRequire>()?;
            check_extensions(HeaderName::ProxyRequire, tags.iter().map(ProxyRequire::as_str), request, policy)
        }
    }
}

/// Whether a response can be routed and matched: the topmost Via, Call-ID and CSeq are there and well-formed, From and To are
/// there, and nothing stands too often. Other faults are for those who need the field (RFC 3261 §18.1.2, §17.1.3).
///
/// # Errors
/// What was found first. A response with a fault is dropped.
pub fn validate_response(response: &Response) -> Result<(), HeaderError> {
    let headers = response.headers();
    check_single(headers)?;
    needed_view::<ViaRef<'_>, Via>(headers)?;
    needed_call_id(headers)?;
    needed_view::<CSeqRef<'_>, CSeq>(headers)?;
    needed_parties(headers)
}

/// What a response is matched by, its topmost Via and its CSeq, when [`validate_response`] finds nothing wrong with it: the two
/// are read once. `None` for one with a fault.
#[must_use]
pub fn read_response(response: &Response) -> Option<(ViaRef<'_>, CSeqRef<'_>)> {
    let headers = response.headers();
    let via = headers.view::<ViaRef<'_>>().ok()??;
    let cseq = headers.view::<CSeqRef<'_>>().ok()??;
    check_single(headers).ok()?;
    needed_call_id(headers).ok()?;
    needed_parties(headers).ok()?;
    Some((via, cseq))
}

fn needed_parties(headers: &Headers) -> Result<(), HeaderError> {
    for name in [HeaderName::From, HeaderName::To] {
        if !headers.contains(&name) {
            return Err(HeaderError::Missing { header: name.label() });
        }
    }
    Ok(())
}

fn check_common(headers: &Headers) -> Result<(), HeaderError> {
    check_single(headers)?;
    if sound_list::<Via>(headers)? == 0 {
        return Err(HeaderError::Missing { header: HeaderName::Via.label() });
    }
    needed_party::<From>(headers)?;
    needed_party::<To>(headers)?;
    needed_call_id(headers)
}

/// Fields that may stand once stand once, in whatever spelling: two readers would pick different ones.
fn check_single(headers: &Headers) -> Result<(), HeaderError> {
    if !headers.repeats_single() {
        return Ok(());
    }
    let mut seen = 0u128;
    for (name, _) in headers.iter() {
        if name.occurrence() != Occurrence::Single {
            continue;
        }
        let Some(bit) = 1u128.checked_shl(u32::from(name.place())) else { continue };
        if seen & bit != 0 {
            return Err(HeaderError::Repeated { header: name.label() });
        }
        seen |= bit;
    }
    Ok(())
}

/// The same where its value is of no interest: a view that can be read says so; what is wrong with one that cannot, the typed
/// value says.
fn needed_view<'a, V: HeaderView<'a>, H: TypedHeader>(headers: &'a Headers) -> Result<(), HeaderError> {
    match headers.view::<V>() {
        Ok(Some(_)) => Ok(()),
        _ => needed::<H>(headers).map(drop),
    }
}

fn needed_call_id(headers: &Headers) -> Result<(), HeaderError> {
    if headers.is_sound_call_id() { Ok(()) } else { needed::<CallId>(headers).map(drop) }
}

/// The same for From and To, where views do not look at the URI.
fn needed_party<H: TypedHeader>(headers: &Headers) -> Result<(), HeaderError> {
    if headers.is_sound_party(&H::NAME) { Ok(()) } else { needed::<H>(headers).map(drop) }
}

/// How many values a list of hops has, all of which can be read. What is wrong with one that cannot, the typed value says.
fn sound_list<H: TypedHeader>(headers: &Headers) -> Result<usize, HeaderError> {
    match headers.sound_list(&H::NAME) {
        Some(count) => Ok(count),
        None => headers.typed_list::<H>().map(|list| list.len()),
    }
}

fn needed<H: TypedHeader>(headers: &Headers) -> Result<H, HeaderError> {
    headers.typed::<H>()?.ok_or(HeaderError::Missing { header: H::NAME.label() })
}

/// Fields that this side acts on must be well-formed; others are passed over (RFC 3261 §8.2, §16.3).
fn check_fields(
    headers: &Headers,
    role: Role,
) -> Result<(Option<MaxForwards>, Option<ContentType>), HeaderError> {
    let hops = headers.typed::<MaxForwards>()?;
    sound_list::<Route>(headers)?;
    sound_list::<RecordRoute>(headers)?;
    sound_list::<Path>(headers)?;
    if role == Role::UserAgent {
        headers.typed_list::<Contact>()?;
        headers.typed::<Expires>()?;
        return Ok((hops, headers.typed::<ContentType>()?));
    }
    Ok((hops, None))
}

fn check_method(method: &Method, policy: &RequestPolicy) -> Result<(), Finding> {
    if policy.methods.contains(method) {
        return Ok(());
    }
    let allowed: Vec<&str> = policy.methods.iter().map(Method::as_str).collect();
    Err(if method.is_known() {
        Finding::new(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here")
            .with(HeaderName::Allow, &allowed.join(", "))
    } else {
        Finding::new(StatusCode::NOT_IMPLEMENTED, "the method is not known")
    })
}

fn check_scheme(uri: &Uri, policy: &RequestPolicy) -> Result<(), Finding> {
    let scheme = split_at_octet(uri.as_str(), b':').map_or(uri.as_str(), |(scheme, _)| scheme);
    let any = policy.uri_schemes.is_empty();
    if any || policy.uri_schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Ok(());
    }
    Err(Finding::new(StatusCode::UNSUPPORTED_URI_SCHEME, "the URI scheme is not supported"))
}

fn check_extensions<'a>(
    field: HeaderName,
    tags: impl Iterator<Item = &'a str>,
    request: &Request,
    policy: &RequestPolicy,
) -> Result<(), Finding> {
    // ACK and CANCEL are never refused for an extension (RFC 3261 §8.2.2.3).
    if matches!(request.method(), Method::Ack | Method::Cancel) {
        return Ok(());
    }
    let unsupported: Vec<&str> =
        tags.filter(|tag| !policy.option_tags.iter().any(|known| known.eq_ignore_ascii_case(tag))).collect();
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(Finding::new(StatusCode::BAD_EXTENSION, "an extension is required that is not supported")
        .at(field, 0)
        .with(HeaderName::Unsupported, &unsupported.join(", ")))
}

fn check_body(
    request: &Request,
    policy: &RequestPolicy,
    content_type: Option<&ContentType>,
) -> Result<(), Finding> {
    let headers = request.headers();
    if request.body().is_empty() {
        return Ok(());
    }
    let kind = content_type.ok_or(HeaderError::Missing { header: HeaderName::ContentType.label() })?;
    let disposition = headers.typed::<ContentDisposition>()?;
    if disposition.is_some_and(|disposition| disposition.is_optional()) {
        return Ok(());
    }
    let identity = |value: &str| value.split(',').all(|v| v.trim().eq_ignore_ascii_case("identity"));
    let encodings = headers.get_all(&HeaderName::ContentEncoding);
    if !encodings.map(|v| v.to_text()).all(|v| v.is_some_and(|v| identity(&v))) {
        return Err(Finding::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the encoding of the body is not supported",
        )
        .at(HeaderName::ContentEncoding, 0)
        .with(HeaderName::AcceptEncoding, "identity"));
    }
    let types = &policy.content_types;
    if types.is_empty() || types.iter().any(|range| range.allows(kind.essence())) {
        return Ok(());
    }
    let ranges: Vec<&str> = types.iter().map(Accept::essence).collect();
    Err(Finding::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the type of the body is not supported")
        .at(HeaderName::ContentType, 0)
        .with(HeaderName::Accept, &ranges.join(", ")))
}

mod inspect;
#[cfg(test)]
mod tests;

pub use inspect::{inspect_request, inspect_response};
