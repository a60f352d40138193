//! SIP and SIPS URIs (RFC 3261 §19.1).

use super::escape::{
    escape, is_header, is_made_of, is_param, is_password, is_unreserved, is_user, normal, push_normal,
    unescape,
};
use super::host::{Host, Kind, MAX_TEXT, Span, parse_port};
use super::{TelUri, Uri};
use crate::error::UriError;
use crate::limits::Limits;
use crate::params::Names;
use crate::text::{Class, class, is_in, split_at_octet};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use cpm_base::LimitExceeded;

/// A `sip:` or `sips:` URI. Keeps the text it was read from; an edit writes a new text.
#[derive(Debug, Clone)]
pub struct SipUri {
    text: Arc<str>,
    host: Host,
    parts: Parts,
}

/// Where the parts of a URI are.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// No `@` follows where there is no user: both are empty then.
    user: Span,
    password: Option<Span>,
    params: Span,
    headers: Span,
    port: Option<u16>,
    secure: bool,
}

/// What a text says as a SIP URI, as numbers alone.
pub(super) struct Read {
    parts: Parts,
    host: (Kind, Span),
}

/// Parameters of which one URI must not lack what the other has (RFC 3261 §19.1.4: its list, its examples for transport).
const SIGNIFICANT: [&str; 5] = ["maddr", "method", "transport", "ttl", "user"];

impl SipUri {
    /// `sip:host`.
    #[must_use]
    pub fn new(host: Host) -> SipUri {
        let text = alloc::format!("sip:{host}");
        let end = Span::new(text.len(), text.len());
        let parts = Parts { user: end, password: None, params: end, headers: end, port: None, secure: false };
        SipUri { text: Arc::from(text), host, parts }
    }

    pub(super) fn read(text: Arc<str>, limits: &Limits) -> Result<SipUri, UriError> {
        let scheme = split_at_octet(&text, b':').ok_or(UriError::Scheme)?;
        let read = SipUri::parts(&text, scheme, limits)?;
        Ok(SipUri::of_parts(read, text))
    }

    /// The URI whose parts were found in this text.
    pub(super) fn of_parts(read: Read, text: Arc<str>) -> SipUri {
        let (kind, span) = read.host;
        SipUri { host: kind.within(&text, span), text, parts: read.parts }
    }

    /// Where the parts of a URI are; also handed in as the scheme and what follows its colon.
    #[inline]
    pub(super) fn parts(
        whole: &str,
        (scheme, rest): (&str, &str),
        limits: &Limits,
    ) -> Result<Read, UriError> {
        let end = whole.len();
        LimitExceeded::check("sip.max_uri", end, MAX_TEXT)?;
        let mut at = scheme.len().saturating_add(1);
        let (mut user, mut password) = (Span::new(at, at), None);
        let mut rest = rest;
        if let Some((info, after)) = split_at_octet(rest, b'@') {
            (user, password) = user_info(info, at)?;
            at = at.saturating_add(info.len()).saturating_add(1);
            rest = after;
        }
        let host_end = rest.bytes().position(|o| matches!(o, b';' | b'?')).unwrap_or(rest.len());
        let (host_port, tail) = rest.split_at_checked(host_end).ok_or(UriError::Host)?;
        let (host_length, kind, port) = host_and_port(host_port)?;
        let host = (kind, Span::new(at, at.saturating_add(host_length)));
        let params_start = at.saturating_add(host_end);
        let params_length =
            if tail.is_empty() { 0 } else { memchr::memchr(b'?', tail.as_bytes()).unwrap_or(tail.len()) };
        let (params, headers) = tail.split_at_checked(params_length).ok_or(UriError::Parameter)?;
        check_params(params, limits)?;
        check_headers(headers, limits)?;
        let params_end = params_start.saturating_add(params_length);
        let parts = Parts {
            user,
            password,
            params: Span::new(params_start, params_end),
            headers: Span::new(params_end, end),
            port,
            secure: scheme.len() == "sips".len(),
        };
        Ok(Read { parts, host })
    }

    fn part(&self, span: Span) -> &str {
        span.of(&self.text)
    }

    /// The URI as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `sips:`.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.parts.secure
    }

    /// The user part as it was written, escapes included.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        (!self.parts.user.is_empty()).then(|| self.part(self.parts.user))
    }

    /// The user part with its escapes resolved, where that is UTF-8.
    #[must_use]
    pub fn user_unescaped(&self) -> Option<String> {
        String::from_utf8(unescape(self.user()?)).ok()
    }

    /// The password as it was written.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.parts.password.map(|span| self.part(span))
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, where one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.parts.port
    }

    /// The parameters in order: name, and value where there is one, as they were written.
    pub fn params(&self) -> impl Iterator<Item = (&str, Option<&str>)> + '_ {
        pairs(self.part(self.parts.params), ';', b';')
    }

    /// A parameter's value as it was written; `""` when it has none, `None` when it is not there.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.unwrap_or(""))
    }

    /// Whether the parameter is there, with a value or without.
    #[must_use]
    pub fn has_param(&self, name: &str) -> bool {
        self.param(name).is_some()
    }

    /// The `lr` parameter: a loose router (RFC 3261 §16.12).
    #[must_use]
    pub fn is_loose_router(&self) -> bool {
        self.has_param("lr")
    }

    /// The headers of the URI in order: name and value as they were written.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Option<&str>)> + '_ {
        pairs(self.part(self.parts.headers), '?', b'&')
    }

    /// Whether the URI carries headers; a Request-URI must not (RFC 3261 §19.1.1).
    #[must_use]
    pub fn has_headers(&self) -> bool {
        !self.parts.headers.is_empty()
    }

    /// The same with this user part; what must be escaped in it is escaped. A `%` is taken literally.
    #[must_use]
    pub fn with_user(self, user: &str) -> SipUri {
        let user = escape(user, is_user);
        let info = if user.is_empty() { String::new() } else { alloc::format!("{user}@") };
        self.rewritten(&info, None, None, None)
    }

    /// The same with this user part, in which escapes are left as they are and only what must be escaped is.
    pub(super) fn with_escaped_user(self, user: &str) -> SipUri {
        let info = alloc::format!("{}@", escape(user, |o| is_user(o) || o == b'%'));
        self.rewritten(&info, None, None, None)
    }

    /// The telephone number in the user part of a URI with `user=phone` (RFC 3261 §19.1.6).
    #[must_use]
    pub fn to_tel(&self) -> Option<TelUri> {
        if !self.param("user")?.eq_ignore_ascii_case("phone") {
            return None;
        }
        // What a user part must escape and a telephone number need not: `#`, and `[`, `]`, `:` in parameters.
        let mut number = String::from("tel:");
        let mut rest = self.user()?;
        while let Some((plain, escaped)) = rest.split_once('%') {
            number.push_str(plain);
            let (digits, after) = escaped.split_at_checked(2)?;
            match u8::from_str_radix(digits, 16)
                .ok()
                .filter(|o| is_param(*o) || (*o == b'#' && !number.contains(';')))
            {
                Some(octet) => number.push(char::from(octet)),
                None => {
                    number.push('%');
                    number.push_str(digits);
                }
            }
            rest = after;
        }
        number.push_str(rest);
        match Uri::parse(&number) {
            Ok(Uri::Tel(uri)) => Some(uri),
            _ => None,
        }
    }

    /// The same with this port, or without one.
    #[must_use]
    pub fn with_port(self, port: Option<u16>) -> SipUri {
        let place = match port {
            Some(port) => alloc::format!("{}:{port}", self.host),
            None => self.host.to_string(),
        };
        let info = self.user_info().to_string();
        self.rewritten(&info, Some(&place), None, None)
    }

    /// The same at another host and port.
    #[must_use]
    pub fn with_host(self, host: Host, port: Option<u16>) -> SipUri {
        let place = match port {
            Some(port) => alloc::format!("{host}:{port}"),
            None => host.to_string(),
        };
        let info = self.user_info().to_string();
        self.rewritten(&info, Some(&place), None, None)
    }

    /// The same as `sips:` or `sip:`.
    #[must_use]
    pub fn with_secure(self, secure: bool) -> SipUri {
        let scheme = if secure { "sips:" } else { "sip:" };
        let rest = self.as_str().split_once(':').map_or("", |(_, rest)| rest);
        let text = alloc::format!("{scheme}{rest}");
        self.reread(text)
    }

    /// The same with this parameter, in place of one of the same name or at the end.
    #[must_use]
    pub fn with_param(self, name: &str, value: Option<&str>) -> SipUri {
        let mut fresh = alloc::format!(";{}", escape(name, is_param));
        if let Some(value) = value {
            fresh.push('=');
            fresh.push_str(&escape(value, is_param));
        }
        let mut text = String::new();
        let mut placed = false;
        for (n, v) in self.params() {
            if !n.eq_ignore_ascii_case(name) {
                push_pair(&mut text, n, v);
            } else if !placed {
                text.push_str(&fresh);
                placed = true;
            }
        }
        if !placed {
            text.push_str(&fresh);
        }
        let info = self.user_info().to_string();
        self.rewritten(&info, None, Some(&text), None)
    }

    /// The same without this parameter.
    #[must_use]
    pub fn without_param(self, name: &str) -> SipUri {
        let mut text = String::new();
        for (n, v) in self.params().filter(|(n, _)| !n.eq_ignore_ascii_case(name)) {
            push_pair(&mut text, n, v);
        }
        let info = self.user_info().to_string();
        self.rewritten(&info, None, Some(&text), None)
    }

    /// The same without any parameter.
    #[must_use]
    pub fn without_params(self) -> SipUri {
        let info = self.user_info().to_string();
        self.rewritten(&info, None, Some(""), None)
    }

    /// The same without headers.
    #[must_use]
    pub fn without_headers(self) -> SipUri {
        let info = self.user_info().to_string();
        self.rewritten(&info, None, None, Some(""))
    }

    /// Userinfo with its `@`, or nothing.
    fn user_info(&self) -> &str {
        let rest = self.as_str().split_once(':').map_or("", |(_, rest)| rest);
        rest.find('@').and_then(|at| rest.get(..=at)).unwrap_or("")
    }

    fn rewritten(
        self,
        info: &str,
        place: Option<&str>,
        params: Option<&str>,
        headers: Option<&str>,
    ) -> SipUri {
        let scheme = if self.parts.secure { "sips:" } else { "sip:" };
        let own_place = match self.parts.port {
            Some(port) => alloc::format!("{}:{port}", self.host),
            None => self.host.to_string(),
        };
        let text = alloc::format!(
            "{scheme}{info}{}{}{}",
            place.unwrap_or(&own_place),
            params.unwrap_or(self.part(self.parts.params)),
            headers.unwrap_or(self.part(self.parts.headers)),
        );
        self.reread(text)
    }

    /// What an edit wrote always reads, since its parts are escaped; an unreadable one would leave the URI as it was.
    fn reread(self, text: String) -> SipUri {
        let limits = Limits { max_params: usize::MAX, ..Limits::DEFAULT };
        SipUri::read(Arc::from(text), &limits).unwrap_or(self)
    }

    /// Whether both name the same (RFC 3261 §19.1.4). Not transitive: parameters that only one has may be ignored.
    #[must_use]
    pub fn equivalent(&self, other: &SipUri) -> bool {
        self.parts.secure == other.parts.secure
            && self.user().map(normal) == other.user().map(normal)
            && self.password().map(normal) == other.password().map(normal)
            && self.host.equivalent(&other.host)
            && self.parts.port == other.parts.port
            && self.params_agree(other)
            && other.params_agree(self)
            && self.header_map() == other.header_map()
    }

    fn params_agree(&self, other: &SipUri) -> bool {
        self.params().all(|(name, value)| match other.param(name) {
            Some(theirs) => normal(value.unwrap_or("")).eq_ignore_ascii_case(&normal(theirs)),
            None => !SIGNIFICANT.iter().any(|s| s.eq_ignore_ascii_case(name)),
        })
    }

    fn header_map(&self) -> BTreeMap<String, Vec<String>> {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in self.headers() {
            map.entry(normal(name).to_ascii_lowercase()).or_default().push(normal(value.unwrap_or("")));
        }
        map
    }

    /// One text for all URIs that are equivalent whatever parameters may be ignored: scheme, user, host, port and the
    /// parameters that always count, in one spelling. For maps.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = self.address_key();
        for name in SIGNIFICANT {
            if let Some(value) = self.param(name) {
                push_pair(&mut key, name, Some(&normal(value).to_ascii_lowercase()));
            }
        }
        key
    }

    /// The address-of-record in one spelling: scheme, user, host and port without any parameter (RFC 3261 §10.3 step 5).
    #[must_use]
    pub fn address_key(&self) -> String {
        let mut key = String::with_capacity(self.text.len());
        key.push_str(if self.parts.secure { "sips:" } else { "sip:" });
        if let Some(user) = self.user() {
            push_normal(user, is_unreserved, &mut key);
            key.push('@');
        }
        self.host.push_key(&mut key);
        if let Some(port) = self.parts.port {
            key.push(':');
            key.push_str(&port.to_string());
        }
        key
    }
}

impl PartialEq for SipUri {
    /// The same text. See [`SipUri::equivalent`] for the same meaning.
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SipUri {}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn push_pair(text: &mut String, name: &str, value: Option<&str>) {
    text.push(';');
    text.push_str(name);
    if let Some(value) = value {
        text.push('=');
        text.push_str(value);
    }
}

fn user_info(info: &str, at: usize) -> Result<(Span, Option<Span>), UriError> {
    let octets = info.as_bytes();
    let length = octets.iter().position(|octet| *octet == b':').unwrap_or(octets.len());
    let (user, rest) = octets.split_at_checked(length).ok_or(UriError::User)?;
    let password = rest.get(1..);
    let sound = is_made_of(user, is_user) && is_made_of(password.unwrap_or_default(), is_password);
    if user.is_empty() || !sound {
        return Err(UriError::User);
    }
    let end = at.saturating_add(length);
    let whole = at.saturating_add(info.len());
    Ok((Span::new(at, end), password.map(|_| Span::new(end.saturating_add(1), whole))))
}

/// How many octets the host has, what it is, and the port.
fn host_and_port(text: &str) -> Result<(usize, Kind, Option<u16>), UriError> {
    // The colons of an IPv6 address end with its bracket.
    let from = if text.starts_with('[') { text.find(']').ok_or(UriError::Host)? } else { 0 };
    let colon = text.bytes().skip(from).position(|octet| octet == b':').map(|at| from.saturating_add(at));
    match colon.and_then(|c| text.split_at_checked(c)) {
        Some((host, port)) => {
            let port = port.strip_prefix(':').and_then(parse_port).ok_or(UriError::Port)?;
            Ok((host.len(), Kind::of(host)?, Some(port)))
        }
        None => Ok((text.len(), Kind::of(text)?, None)),
    }
}

fn pairs(text: &str, lead: char, between: u8) -> impl Iterator<Item = (&str, Option<&str>)> + '_ {
    let mut rest = Some(text.strip_prefix(lead).unwrap_or(text));
    let pieces = core::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) =
            split_at_octet(text, between).map_or((text, None), |(piece, after)| (piece, Some(after)));
        rest = after;
        Some(piece)
    });
    pieces.filter(|pair| !pair.is_empty()).map(|pair| match split_at_octet(pair, b'=') {
        Some((name, value)) => (name, Some(value)),
        None => (pair, None),
    })
}

fn check_params(params: &str, limits: &Limits) -> Result<(), UriError> {
    let Some(list) = params.strip_prefix(';') else { return Ok(()) };
    let list = list.as_bytes();
    let count = memchr::memchr_iter(b';', list).count().saturating_add(1);
    limits.max_params(count)?;
    if count == 1 {
        return check_param(list).map(drop);
    }
    // A name stands once (§19.1.1): readers would pick different ones.
    let mut names = Names::default();
    for param in list.split(|octet| *octet == b';') {
        if !names.add(check_param(param)?) {
            return Err(UriError::Parameter);
        }
    }
    if names.differ() { Ok(()) } else { Err(UriError::Parameter) }
}

/// The name of a parameter that is sound.
fn check_param(param: &[u8]) -> Result<&[u8], UriError> {
    let length = param.iter().position(|octet| *octet == b'=').unwrap_or(param.len());
    let (name, value) = param.split_at_checked(length).ok_or(UriError::Parameter)?;
    // With its equals sign, or nothing at all.
    let value = value.get(1..);
    let sound = is_made_of(name, is_param) && is_made_of(value.unwrap_or_default(), is_param);
    if name.is_empty() || value.is_some_and(<[u8]>::is_empty) || !sound {
        return Err(UriError::Parameter);
    }
    Ok(name)
}

fn check_headers(headers: &str, limits: &Limits) -> Result<(), UriError> {
    let Some(list) = headers.strip_prefix('?') else { return Ok(()) };
    limits.max_params(list.split('&').count())?;
    for header in list.split('&') {
        let (name, value) = header.split_once('=').ok_or(UriError::Header)?;
        let sound = is_made_of(name.as_bytes(), is_header) && is_made_of(value.as_bytes(), is_header);
        if name.is_empty() || !sound {
            return Err(UriError::Header);
        }
    }
    Ok(())
}

/// Characters that a URI of any scheme may hold.
#[inline]
pub(super) const fn is_uri_character(octet: u8) -> bool {
    is_in(&URI, octet)
}

static URI: Class = class!(octet => is_unreserved(octet)
|| matches!(
    octet,
    b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',' | b'[' | b']' | b'#' | b'%'
));
