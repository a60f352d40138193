//! Views of hot header fields: what [`typed`](crate::TypedHeader) values say, read where it stands, without a copy.
//!
//! A view holds a field to the same grammar and limits as the typed value, with one exception: the URI of an address is
//! looked at when it is asked for.

mod scan;

use crate::error::{HeaderError, UriError};
use crate::grammar::{Fault, is_word_octet, parse_u32, split_list};
use crate::headers::Headers;
use crate::limits::Limits;
use crate::method::Method;
use crate::name::{HeaderName, Occurrence};
use crate::text::split_at_octet;
use crate::typed::{CSeq, parse_ip, parse_q};
use crate::uri::{Host, Kind, Uri, parse_port};
use alloc::borrow::Cow;
use scan::Scan;
pub use scan::{ParamRef, ParamsRef};

/// A view of one value of a header field: of a list its first value, of other fields the only one.
pub trait HeaderView<'a>: Sized {
    /// The field that the value belongs to.
    const NAME: HeaderName;

    /// Reads the value where it stands, folds included.
    ///
    /// # Errors
    /// The text is not what the grammar of the field says, or holds more than the limits allow.
    fn read(text: &'a str, limits: &Limits) -> Result<Self, HeaderError>;
}

impl Headers {
    /// The view of a field: of the only one, or of a list its first value.
    ///
    /// # Errors
    /// The value is malformed, or a field that may stand once stands more often in whatever spelling.
    ///
    /// ```
    /// use cpm_sip::*;
    /// let datagram = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::1]:5062;branch=z9hG4bK7, SIP/2.0/TCP c\r\n\r\n";
    /// let message = parse_datagram(datagram.into(), &Limits::default()).unwrap();
    /// let via = message.headers().view::<ViaRef<'_>>()?.unwrap();
    /// assert_eq!((via.host(), via.port()), ("[2001:db8::1]", Some(5062)));
    /// assert_eq!(via.branch().as_deref(), Some("z9hG4bK7"));
    /// assert!(message.headers().view::<FromRef<'_>>()?.is_none());
    /// # Ok::<(), HeaderError>(())
    /// ```
    pub fn view<'a, V: HeaderView<'a>>(&'a self) -> Result<Option<V>, HeaderError> {
        let name = V::NAME;
        let header = name.label();
        let mut values = self.values_of(&name);
        let Some(value) = values.next() else { return Ok(None) };
        if name.occurrence() == Occurrence::Single && values.next().is_some() {
            return Err(HeaderError::Repeated { header });
        }
        let text = core::str::from_utf8(value.as_bytes())
            .map_err(|_| HeaderError::Malformed { header, what: "not UTF-8" })?;
        V::read(text, self.limits()).map(Some)
    }

    /// The view of one value of a list, counted from 0 over all fields of its name; those before it are not looked at.
    ///
    /// # Errors
    /// The value is malformed.
    ///
    /// ```
    /// use cpm_sip::*;
    /// let datagram = "OPTIONS sip:a@b SIP/2.0\r\nRoute: <sip:a;lr>, <sip:b;lr>\r\nRoute: <sip:c;lr>\r\n\r\n";
    /// let message = parse_datagram(datagram.into(), &Limits::default()).unwrap();
    /// let at = |index| Ok::<_, HeaderError>(message.headers().view_at::<RouteRef<'_>>(index)?.map(|r| r.uri().as_str()));
    /// assert_eq!([at(0)?, at(1)?, at(2)?, at(3)?], [Some("sip:a;lr"), Some("sip:b;lr"), Some("sip:c;lr"), None]);
    /// # Ok::<(), HeaderError>(())
    /// ```
    pub fn view_at<'a, V: HeaderView<'a>>(&'a self, index: usize) -> Result<Option<V>, HeaderError> {
        let name = V::NAME;
        let mut before = 0usize;
        for value in self.values_of(&name) {
            let text = core::str::from_utf8(value.as_bytes())
                .map_err(|_| HeaderError::Malformed { header: name.label(), what: "not UTF-8" })?;
            for (start, end) in split_list(text).filter(|_| !text.is_empty()) {
                if before == index {
                    let one = text.get(start..end).unwrap_or_default();
                    return V::read(one.trim_ascii(), self.limits()).map(Some);
                }
                before = before.saturating_add(1);
            }
        }
        Ok(None)
    }
}

fn error(header: &'static str) -> impl Fn(Fault) -> HeaderError {
    move |fault| match fault {
        Fault::Syntax(what) => HeaderError::Malformed { header, what },
        Fault::Limit(exceeded) => HeaderError::Limit { header, exceeded },
    }
}

/// The topmost Via (RFC 3261 §20.42).
#[derive(Debug, Clone, Copy)]
pub struct ViaRef<'a> {
    transport: &'a str,
    host: &'a str,
    kind: Kind,
    port: Option<u16>,
    branch: Option<ParamRef<'a>>,
    params: ParamsRef<'a>,
}

impl<'a> ViaRef<'a> {
    /// The transport as it was written: `UDP`.
    #[must_use]
    pub const fn transport(&self) -> &'a str {
        self.transport
    }

    /// The host of sent-by as it was written, an IPv6 address in its brackets.
    #[must_use]
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// The host of sent-by as a value.
    #[must_use]
    pub fn to_host(&self) -> Host {
        self.kind.host(self.host)
    }

    /// The port of sent-by, where one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The branch.
    #[must_use]
    pub fn branch(&self) -> Option<Cow<'a, str>> {
        self.branch.map(|branch| branch.text()).filter(|branch| !branch.is_empty())
    }

    /// All parameters.
    #[must_use]
    pub const fn params(&self) -> ParamsRef<'a> {
        self.params
    }
}

impl<'a> HeaderView<'a> for ViaRef<'a> {
    const NAME: HeaderName = HeaderName::Via;

    fn read(text: &'a str, limits: &Limits) -> Result<ViaRef<'a>, HeaderError> {
        let mut scan = Scan::new(text);
        read_via(&mut scan, limits)
            .and_then(|via| scan.end(Occurrence::List).map(|()| via))
            .map_err(error("Via"))
    }
}

fn read_via<'a>(scan: &mut Scan<'a>, limits: &Limits) -> Result<ViaRef<'a>, Fault> {
    let protocol = scan.token(limits)?;
    scan.separator(b'/')?;
    let version = scan.token(limits)?;
    scan.separator(b'/')?;
    if !protocol.eq_ignore_ascii_case("SIP") || version != "2.0" {
        return Err(Fault::Syntax("not SIP/2.0"));
    }
    let transport = scan.token(limits)?;
    if !scan.spaces() {
        return Err(Fault::Syntax("no space before sent-by"));
    }
    let host = scan.host();
    let kind = Kind::of(host).map_err(|_| Fault::Syntax("sent-by is no host"))?;
    let mut port = None;
    if scan.separator(b':').is_ok() {
        let number = parse_u32(scan.digits().as_bytes()).and_then(|number| u16::try_from(number).ok());
        port = Some(number.ok_or(Fault::Syntax("bad port"))?);
    }
    let (mut branch, mut sound) = (None, true);
    let params = scan.params(limits, |name, value| {
        let text = || value.map_or(Cow::Borrowed(""), |value: ParamRef<'a>| value.text());
        if name.eq_ignore_ascii_case("branch") {
            branch = value;
        } else if name.eq_ignore_ascii_case("received") {
            sound &= parse_ip(&text()).is_some();
        } else if name.eq_ignore_ascii_case("rport") {
            sound &= text().is_empty() || parse_port(&text()).is_some();
        } else if name.eq_ignore_ascii_case("ttl") {
            sound &= parse_u32(text().as_bytes()).is_some_and(|ttl| u8::try_from(ttl).is_ok());
        }
    })?;
    if !sound {
        return Err(Fault::Syntax("received is no address, rport no port, or ttl no number up to 255"));
    }
    limits.max_token(branch.map_or(0, |branch: ParamRef<'a>| branch.text().len()))?;
    Ok(ViaRef { transport, host, kind, port, branch, params })
}

/// The URI of an address, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriRef<'a>(&'a str);

impl<'a> UriRef<'a> {
    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The host of a SIP or SIPS URI as it was written, an IPv6 address in its brackets; `None` for other schemes.
    ///
    /// # Errors
    /// What stands in its place is no host.
    pub fn host(self) -> Result<Option<&'a str>, UriError> {
        let (scheme, rest) = split_at_octet(self.0, b':').ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips") {
            return Ok(None);
        }
        let rest = split_at_octet(rest, b'@').map_or(rest, |(_, rest)| rest);
        let host = Scan::new(rest).host();
        let after = rest.as_bytes().get(host.len());
        let ends = after.is_none_or(|octet| matches!(octet, b':' | b';' | b'?'));
        if ends && Kind::of(host).is_ok() { Ok(Some(host)) } else { Err(UriError::Host) }
    }

    /// The URI as a value, whole and checked, at most as long as the default of `Limits::max_uri`.
    ///
    /// # Errors
    /// It is not well-formed.
    pub fn to_uri(self) -> Result<Uri, UriError> {
        Uri::parse(self.0)
    }
}

impl Headers {
    /// How many values the fields of this name have, when each can be read where it stands: then
    /// [`typed_list`](Headers::typed_list) reads them too. `None` says nothing.
    pub(crate) fn sound_list(&self, name: &HeaderName) -> Option<usize> {
        self.sound_values(name, |value, before| {
            let text = core::str::from_utf8(value.as_bytes()).ok()?;
            let (mut scan, mut count) = (Scan::new(text), 0usize);
            loop {
                self.check_count(name, before.saturating_add(count)).ok()?;
                match name {
                    HeaderName::Via => drop(read_via(&mut scan, self.limits()).ok()?),
                    _ => sound_hop(&mut scan, self.limits())?,
                }
                count = count.saturating_add(1);
                if !scan.next_value() {
                    break;
                }
            }
            scan.is_done().then_some(count)
        })
    }

    /// Whether P-Asserted-Identity is one address with a SIP or SIPS URI that can be read where it stands. `false` says nothing.
    /// Each line is looked at once, on however many ways it goes through this process.
    #[must_use]
    pub fn has_one_sound_identity(&self) -> bool {
        self.is_sound_party(&HeaderName::PAssertedIdentity)
    }

    /// Whether From or To can be read where it stands, its URI included: then [`typed`](Headers::typed) reads it too.
    pub(crate) fn is_sound_party(&self, name: &HeaderName) -> bool {
        self.sound_single(name, |value| {
            let Ok(text) = core::str::from_utf8(value.as_bytes()) else { return false };
            let party = read_tagged(&mut Scan::new(text), self.limits());
            party.is_ok_and(|party| Uri::is_sound_sip(party.uri.as_str(), self.limits()))
        })
    }

    /// Whether the Call-ID can be read where it stands: then [`typed`](Headers::typed) reads it too.
    pub(crate) fn is_sound_call_id(&self) -> bool {
        self.sound_single(&HeaderName::CallId, |value| {
            let text = core::str::from_utf8(value.as_bytes());
            text.is_ok_and(|text| CallIdRef::read(text, self.limits()).is_ok())
        })
    }
}

/// `Some` for one value of Route and its like: a SIP URI in angle brackets, and parameters.
fn sound_hop(scan: &mut Scan<'_>, limits: &Limits) -> Option<()> {
    let address = read_address(scan, limits, |_, _| {}).ok()?;
    let tag = address.tag.map_or(0, |tag| tag.text().len());
    let sound = scan.was_bracketed() && limits.max_token(tag).is_ok();
    (sound && Uri::is_sound_sip(address.uri.as_str(), limits)).then_some(())
}

/// An address with its parameters, as From, To and Contact hold it.
#[derive(Debug, Clone, Copy)]
struct AddressRef<'a> {
    uri: UriRef<'a>,
    tag: Option<ParamRef<'a>>,
    params: ParamsRef<'a>,
}

fn read_address<'a>(
    scan: &mut Scan<'a>,
    limits: &Limits,
    mut each: impl FnMut(&str, Option<ParamRef<'a>>),
) -> Result<AddressRef<'a>, Fault> {
    let uri = UriRef(scan.address()?);
    let mut tag = None;
    let params = scan.params(limits, |name, value| {
        if name.eq_ignore_ascii_case("tag") {
            tag = value;
        }
        each(name, value);
    })?;
    Ok(AddressRef { uri, tag, params })
}

fn read_tagged<'a>(scan: &mut Scan<'a>, limits: &Limits) -> Result<AddressRef<'a>, Fault> {
    let address = read_address(scan, limits, |_, _| {})?;
    scan.end(Occurrence::Single)?;
    limits.max_token(address.tag.map_or(0, |tag| tag.text().len()))?;
    Ok(address)
}

macro_rules! tagged {
    ($($(#[$doc:meta])* $view:ident, $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $view<'a>(AddressRef<'a>);

        impl<'a> $view<'a> {
            /// The URI.
            #[must_use]
            pub const fn uri(&self) -> UriRef<'a> {
                self.0.uri
            }

            /// The tag.
            #[must_use]
            pub fn tag(&self) -> Option<Cow<'a, str>> {
                self.0.tag.map(|tag| tag.text()).filter(|tag| !tag.is_empty())
            }

            /// The parameters of the field, not those of the URI.
            #[must_use]
            pub const fn params(&self) -> ParamsRef<'a> {
                self.0.params
            }
        }

        impl<'a> HeaderView<'a> for $view<'a> {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &'a str, limits: &Limits) -> Result<$view<'a>, HeaderError> {
                read_tagged(&mut Scan::new(text), limits).map($view).map_err(error(Self::NAME.label()))
            }
        }
    )*};
}

tagged! {
    /// From (RFC 3261 §20.20).
    FromRef, From;
    /// To (RFC 3261 §20.39).
    ToRef, To;
}

/// The first Route value (RFC 3261 §20.34).
#[derive(Debug, Clone, Copy)]
pub struct RouteRef<'a>(AddressRef<'a>);

impl<'a> RouteRef<'a> {
    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> UriRef<'a> {
        self.0.uri
    }
}

impl<'a> HeaderView<'a> for RouteRef<'a> {
    const NAME: HeaderName = HeaderName::Route;

    fn read(text: &'a str, limits: &Limits) -> Result<RouteRef<'a>, HeaderError> {
        read_route(text, limits).map(RouteRef).map_err(error("Route"))
    }
}

fn read_route<'a>(text: &'a str, limits: &Limits) -> Result<AddressRef<'a>, Fault> {
    let mut scan = Scan::new(text);
    let address = read_address(&mut scan, limits, |_, _| {})?;
    scan.end(Occurrence::List)?;
    limits.max_token(address.tag.map_or(0, |tag| tag.text().len()))?;
    if scan.was_bracketed() {
        Ok(address)
    } else {
        Err(Fault::Syntax("the URI must stand in angle brackets"))
    }
}

/// The first Contact value (RFC 3261 §20.10).
#[derive(Debug, Clone, Copy)]
pub struct ContactRef<'a>(Option<AddressRef<'a>>);

impl<'a> ContactRef<'a> {
    /// Whether it is `*`.
    #[must_use]
    pub const fn is_star(&self) -> bool {
        self.0.is_none()
    }

    /// The URI, unless it is `*`.
    #[must_use]
    pub fn uri(&self) -> Option<UriRef<'a>> {
        self.0.map(|address| address.uri)
    }

    /// The parameters of the field, not those of the URI; feature parameters (RFC 3840 §9) are among them.
    #[must_use]
    pub fn params(&self) -> ParamsRef<'a> {
        self.0.map_or(ParamsRef::NONE, |address| address.params)
    }
}

impl<'a> HeaderView<'a> for ContactRef<'a> {
    const NAME: HeaderName = HeaderName::Contact;

    fn read(text: &'a str, limits: &Limits) -> Result<ContactRef<'a>, HeaderError> {
        let mut scan = Scan::new(text);
        read_contact(&mut scan, limits).map_err(error("Contact"))
    }
}

fn read_contact<'a>(scan: &mut Scan<'a>, limits: &Limits) -> Result<ContactRef<'a>, Fault> {
    if scan.star() {
        return Ok(ContactRef(None));
    }
    let mut sound = true;
    let address = read_address(scan, limits, |name, value| {
        let text = || value.map_or(Cow::Borrowed(""), |value| value.text());
        if name.eq_ignore_ascii_case("q") {
            sound &= parse_q(&text()).is_some();
        } else if name.eq_ignore_ascii_case("expires") {
            sound &= parse_u32(text().as_bytes()).is_some();
        }
    })?;
    scan.end(Occurrence::List)?;
    if sound { Ok(ContactRef(Some(address))) } else { Err(Fault::Syntax("q or expires is no such number")) }
}

/// Call-ID (RFC 3261 §20.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallIdRef<'a>(&'a str);

impl<'a> CallIdRef<'a> {
    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> HeaderView<'a> for CallIdRef<'a> {
    const NAME: HeaderName = HeaderName::CallId;

    fn read(text: &'a str, limits: &Limits) -> Result<CallIdRef<'a>, HeaderError> {
        let header = "Call-ID";
        limits.max_token(text.len()).map_err(|exceeded| HeaderError::Limit { header, exceeded })?;
        let (first, second) = split_at_octet(text, b'@').map_or((text, None), |(a, b)| (a, Some(b)));
        let word = |text: &str| !text.is_empty() && text.bytes().all(is_word_octet);
        if word(first) && second.is_none_or(word) {
            Ok(CallIdRef(text))
        } else {
            Err(HeaderError::Malformed { header, what: "a word, or two words with an @ between" })
        }
    }
}

/// CSeq (RFC 3261 §20.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeqRef<'a> {
    number: u32,
    method: &'a str,
}

impl<'a> CSeqRef<'a> {
    /// The number, less than 2^31.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// The method as it was written.
    #[must_use]
    pub const fn method(self) -> &'a str {
        self.method
    }

    /// Whether it is this method.
    #[must_use]
    pub fn is(self, method: &Method) -> bool {
        self.method == method.as_str()
    }
}

impl<'a> HeaderView<'a> for CSeqRef<'a> {
    const NAME: HeaderName = HeaderName::CSeq;

    fn read(text: &'a str, limits: &Limits) -> Result<CSeqRef<'a>, HeaderError> {
        let mut scan = Scan::new(text);
        read_cseq(&mut scan, limits).map_err(error("CSeq"))
    }
}

fn read_cseq<'a>(scan: &mut Scan<'a>, limits: &Limits) -> Result<CSeqRef<'a>, Fault> {
    let number = parse_u32(scan.digits().as_bytes()).filter(|number| *number <= CSeq::MAX);
    let number = number.ok_or(Fault::Syntax("no number, or one too great"))?;
    if !scan.spaces() {
        return Err(Fault::Syntax("no space before the method"));
    }
    let method = scan.token(limits)?;
    scan.end(Occurrence::Single)?;
    Ok(CSeqRef { number, method })
}

/// The first Accept-Contact value (RFC 3841 §9.2).
#[derive(Debug, Clone, Copy)]
pub struct AcceptContactRef<'a>(ParamsRef<'a>);

impl<'a> AcceptContactRef<'a> {
    /// All parameters: features, `require`, `explicit`.
    #[must_use]
    pub const fn params(&self) -> ParamsRef<'a> {
        self.0
    }

    /// `require` (RFC 3841 §7.2.4).
    #[must_use]
    pub fn require(&self) -> bool {
        self.0.contains("require")
    }

    /// `explicit` (RFC 3841 §7.2.4).
    #[must_use]
    pub fn explicit(&self) -> bool {
        self.0.contains("explicit")
    }
}

impl<'a> HeaderView<'a> for AcceptContactRef<'a> {
    const NAME: HeaderName = HeaderName::AcceptContact;

    fn read(text: &'a str, limits: &Limits) -> Result<AcceptContactRef<'a>, HeaderError> {
        let header = "Accept-Contact";
        let star = HeaderError::Malformed { header, what: "does not begin with *" };
        let rest = text.strip_prefix('*').ok_or(star)?;
        let mut scan = Scan::new(rest);
        let params = scan.params(limits, |_, _| {}).map_err(error(header))?;
        scan.end(Occurrence::List).map_err(error(header))?;
        Ok(AcceptContactRef(params))
    }
}

#[cfg(test)]
mod tests;
