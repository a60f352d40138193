//! Header fields that hold addresses: `name-addr` or `addr-spec` with parameters.

use super::TypedHeader;
use crate::error::HeaderError;
use crate::grammar::{Fault, Parsed, bare_uri, complete, failure, parse_u32, quoted, spaces, syntax, token};
use crate::headers::Headers;
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::{InvalidText, check_text, split_at_octet, write_quoted};
use crate::uri::Uri;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A display name and a URI: `"Alice" <sip:alice@example.com>`. Always written with angle brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    display_name: Option<String>,
    uri: Uri,
}

impl NameAddr {
    /// A URI without a display name.
    #[must_use]
    pub const fn new(uri: Uri) -> NameAddr {
        NameAddr { display_name: None, uri }
    }

    /// The same with a display name, which may hold any text of one line.
    ///
    /// # Errors
    /// The text holds a control character.
    pub fn with_display_name(mut self, name: &str) -> Result<NameAddr, InvalidText> {
        check_text(name)?;
        self.display_name = (!name.is_empty()).then(|| name.to_owned());
        Ok(self)
    }

    /// The display name without its quotes.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Reads `"Alice" <sip:alice@example.com>` or a URI alone, within the default limits.
    ///
    /// # Errors
    /// The text is neither.
    pub fn parse(text: &str) -> Result<NameAddr, HeaderError> {
        complete("address", name_addr(text, &Limits::DEFAULT, Form::Any))
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(name) = &self.display_name {
            write_quoted(name, out);
            out.push(b' ');
        }
        out.push(b'<');
        out.extend_from_slice(self.uri.as_str().as_bytes());
        out.push(b'>');
    }
}

impl core::convert::From<Uri> for NameAddr {
    fn from(uri: Uri) -> NameAddr {
        NameAddr::new(uri)
    }
}

/// Whether a field allows a URI without angle brackets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Any,
    Bracketed,
}

fn name_addr<'a>(input: &'a str, limits: &Limits, form: Form) -> Parsed<'a, NameAddr> {
    let input = spaces(input);
    if let Some((display_name, rest)) = display_name(input)? {
        let Some((uri, rest)) = split_at_octet(rest, b'>') else { return syntax("no closing angle bracket") };
        let uri = Uri::parse_within(uri, limits).map_err(failure)?;
        return Ok((rest, NameAddr { display_name, uri }));
    }
    if form == Form::Bracketed {
        return syntax("the URI must stand in angle brackets");
    }
    let (rest, uri) = bare_uri(input)?;
    if rest.starts_with(['?', '<', '>', '"']) {
        return syntax("this URI must stand in angle brackets");
    }
    let uri = Uri::parse_within(uri, limits).map_err(failure)?;
    Ok((rest, NameAddr { display_name: None, uri }))
}

/// What a display name and its angle bracket leave; `None` when there is no angle bracket in its place.
type DisplayName<'a> = Option<(Option<String>, &'a str)>;

fn display_name(input: &str) -> Result<DisplayName<'_>, nom::Err<Fault>> {
    if input.starts_with('"') {
        let (rest, name) = quoted(input)?;
        let Some(rest) = spaces(rest).strip_prefix('<') else {
            return Err(failure(Fault::Syntax("no angle bracket after the display name")));
        };
        return Ok(Some((Some(name.into_owned()), rest)));
    }
    let mut at = input;
    loop {
        if let Some(rest) = at.strip_prefix('<') {
            let name =
                input.get(..input.len().saturating_sub(at.len())).unwrap_or("").trim_end_matches([' ', '\t']);
            return Ok(Some(((!name.is_empty()).then(|| name.to_owned()), rest)));
        }
        match token(at) {
            Ok((rest, _)) => at = spaces(rest),
            Err(_) => return Ok(None),
        }
    }
}

fn address<'a>(input: &'a str, limits: &Limits, form: Form) -> Parsed<'a, (NameAddr, Params)> {
    let (rest, address) = name_addr(input, limits, form)?;
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, (address, params)))
}

macro_rules! address_fields {
    ($($(#[$doc:meta])* $name:ident, $form:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            address: NameAddr,
            params: Params,
        }

        impl $name {
            /// An address without parameters.
            #[must_use]
            pub fn new(address: impl Into<NameAddr>) -> $name {
                $name { address: address.into(), params: Params::new() }
            }

            /// Display name and URI.
            #[must_use]
            pub const fn address(&self) -> &NameAddr {
                &self.address
            }

            /// The URI.
            #[must_use]
            pub const fn uri(&self) -> &Uri {
                &self.address.uri
            }

            /// The display name without its quotes.
            #[must_use]
            pub fn display_name(&self) -> Option<&str> {
                self.address.display_name()
            }

            /// The parameters of the field, not those of the URI.
            #[must_use]
            pub const fn params(&self) -> &Params {
                &self.params
            }

            /// The parameters of the field, to be edited.
            pub fn params_mut(&mut self) -> &mut Params {
                &mut self.params
            }

            /// The same with these parameters.
            #[must_use]
            pub fn with_params(mut self, params: Params) -> $name {
                self.params = params;
                self
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let label = Self::NAME.label();
                let (address, params) = complete(label, address(text, limits, Form::$form))?;
                check_tag(label, &params, limits)?;
                check_params(label, &params)?;
                Ok($name { address, params })
            }

            fn write(&self, out: &mut Vec<u8>) {
                self.address.write(out);
                self.params.write(out);
            }
        }
    )*};
}

fn check_tag(header: &'static str, params: &Params, limits: &Limits) -> Result<(), HeaderError> {
    let tag = params.get("tag").unwrap_or("");
    limits.max_token(tag.len()).map_err(|exceeded| HeaderError::Limit { header, exceeded })
}

/// What parameters of History-Info hold, where they are there: `1*DIGIT *( "." 1*DIGIT )` (RFC 7044 §5).
fn check_params(header: &'static str, params: &Params) -> Result<(), HeaderError> {
    let index = |text: &str| text.split('.').all(|n| !n.is_empty() && n.bytes().all(|o| o.is_ascii_digit()));
    let good = |name: &&str| params.get(name).is_none_or(index);
    if header != "History-Info" || ["index", "rc", "mp", "np"].iter().all(good) {
        return Ok(());
    }
    Err(HeaderError::Malformed { header, what: "an index is not numbers with dots between them" })
}

address_fields! {
    /// From (RFC 3261 §20.20): who asks, with the tag of the asking side.
    From, Any;
    /// To (RFC 3261 §20.39): who is asked, with the tag of the answering side once there is one.
    To, Any;
    /// One Route value (RFC 3261 §20.34): a hop that the request shall pass.
    Route, Bracketed;
    /// One Record-Route value (RFC 3261 §20.30): a hop that wants to stay in the path of the dialog.
    RecordRoute, Bracketed;
    /// One Path value (RFC 3327 §4): a hop between the registrar and the one who registers.
    Path, Bracketed;
    /// One Service-Route value (RFC 3608 §5): a hop for requests of the one who registered.
    ServiceRoute, Bracketed;
    /// Reply-To (RFC 3261 §20.31).
    ReplyTo, Any;
    /// One P-Asserted-Identity value (RFC 3325 §9.1): who asks, as the network asserts it. Believed from the core only.
    PAssertedIdentity, Any;
    /// One P-Preferred-Identity value (RFC 3325 §9.2): who asks, as the user agent wishes it to be asserted.
    PPreferredIdentity, Any;
    /// One P-Associated-URI value (RFC 7315 §4.1): another identity of the one who registered.
    PAssociatedUri, Bracketed;
    /// P-Called-Party-ID (RFC 7315 §4.2): the identity that the request was sent to.
    PCalledPartyId, Bracketed;
    /// P-Served-User (RFC 5502): whom the network serves with this request, in which role.
    PServedUser, Any;
    /// Refer-To (RFC 3515 §2.1).
    ReferTo, Any;
    /// One History-Info value (RFC 7044 §5): a target that the request was sent to before.
    HistoryInfo, Bracketed;
    /// One Referred-By value (RFC 3892 §3; two of them by TS Appendix C.3).
    ReferredBy, Any;
}

macro_rules! tagged {
    ($($name:ident)*) => {$(
        impl $name {
            /// The tag.
            #[must_use]
            pub fn tag(&self) -> Option<&str> {
                self.params.get("tag").filter(|tag| !tag.is_empty())
            }

            /// The same with this tag; what a token cannot hold in it becomes a dash.
            #[must_use]
            pub fn with_tag(mut self, tag: &str) -> $name {
                self.params.set_token("tag", tag);
                self
            }

            /// The same without a tag.
            #[must_use]
            pub fn without_tag(mut self) -> $name {
                self.params.remove("tag");
                self
            }
        }
    )*};
}

tagged! { From To }

impl core::convert::From<From> for To {
    /// The far side of a dialog is the other field of the same address and tag.
    fn from(from: From) -> To {
        To { address: from.address, params: from.params }
    }
}

impl core::convert::From<To> for From {
    /// The far side of a dialog is the other field of the same address and tag.
    fn from(to: To) -> From {
        From { address: to.address, params: to.params }
    }
}

impl core::convert::From<RecordRoute> for Route {
    /// A recorded route becomes one to follow (RFC 3261 §12.1).
    fn from(recorded: RecordRoute) -> Route {
        Route { address: recorded.address, params: recorded.params }
    }
}

impl core::convert::From<Path> for Route {
    /// A path becomes a route to follow (RFC 3327 §5.3).
    fn from(path: Path) -> Route {
        Route { address: path.address, params: path.params }
    }
}

impl core::convert::From<ServiceRoute> for Route {
    /// A service route becomes one to follow (RFC 3608 §6.1).
    fn from(service: ServiceRoute) -> Route {
        Route { address: service.address, params: service.params }
    }
}

/// One Contact value (RFC 3261 §20.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// `*`: all bindings, in a REGISTER that removes them (RFC 3261 §10.2.2).
    Star,
    /// An address.
    Addr(ContactAddr),
}

/// An address of a Contact field with its parameters: q, expires, features (RFC 3840).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactAddr {
    address: NameAddr,
    params: Params,
}

impl Contact {
    /// An address without parameters.
    #[must_use]
    pub fn new(address: impl Into<NameAddr>) -> Contact {
        Contact::Addr(ContactAddr::new(address))
    }

    /// The address, unless it is `*`.
    #[must_use]
    pub const fn as_addr(&self) -> Option<&ContactAddr> {
        match self {
            Contact::Star => None,
            Contact::Addr(addr) => Some(addr),
        }
    }

    /// The URI, unless it is `*`.
    #[must_use]
    pub fn uri(&self) -> Option<&Uri> {
        self.as_addr().map(ContactAddr::uri)
    }
}

impl core::convert::From<ContactAddr> for Contact {
    fn from(addr: ContactAddr) -> Contact {
        Contact::Addr(addr)
    }
}

impl ContactAddr {
    /// An address without parameters.
    #[must_use]
    pub fn new(address: impl Into<NameAddr>) -> ContactAddr {
        ContactAddr { address: address.into(), params: Params::new() }
    }

    /// Display name and URI.
    #[must_use]
    pub const fn address(&self) -> &NameAddr {
        &self.address
    }

    /// The URI.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.address.uri
    }

    /// The parameters of the field, not those of the URI; feature parameters (RFC 3840 §9) are among them.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The parameters of the field, to be edited.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The same with these parameters.
    #[must_use]
    pub fn with_params(mut self, params: Params) -> ContactAddr {
        self.params = params;
        self
    }

    /// `q` in thousandths, 0 to 1000.
    #[must_use]
    pub fn q(&self) -> Option<u16> {
        parse_q(self.params.get("q")?)
    }

    /// `expires` in seconds.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        parse_u32(self.params.get("expires")?.as_bytes())
    }

    /// The same with `expires` in seconds.
    #[must_use]
    pub fn with_expires(mut self, seconds: u32) -> ContactAddr {
        self.params.set_plain("expires", Some(alloc::format!("{seconds}")));
        self
    }
}

impl ReferredBy {
    /// The same with a second address of the one who refers (TS Appendix C.3, reading C12): a tel URI beside a SIP URI, or
    /// the other way round.
    #[must_use]
    pub fn with_add_refs(mut self, uri: &Uri) -> ReferredBy {
        // A URI holds no quote, no backslash and no control character.
        let _ = self.params.set_quoted("add-refs", uri.as_str());
        self
    }

    /// The second address (`add-refs`), a URI alone or in angle brackets; `None` when there is none or it is malformed.
    #[must_use]
    pub fn add_refs(&self) -> Option<NameAddr> {
        NameAddr::parse(self.params.get("add-refs")?).ok()
    }

    /// All addresses of those who refer, in order, however they are told: by several values, by several fields, by
    /// `add-refs` (TS Appendix C.3, reading C12).
    ///
    /// # Errors
    /// A value is malformed, or there are more than the limits allow.
    pub fn all(headers: &Headers) -> Result<Vec<NameAddr>, HeaderError> {
        let mut addresses = Vec::new();
        for value in headers.typed_list::<ReferredBy>()? {
            let second = value.add_refs();
            addresses.push(value.address);
            addresses.extend(second);
        }
        Ok(addresses)
    }

    /// The body part that proves it (`cid`, RFC 3892 §3.1), without angle brackets.
    #[must_use]
    pub fn cid(&self) -> Option<&str> {
        self.params.get("cid")
    }
}

impl HistoryInfo {
    /// `index`: numbers with dots between them, as they were written.
    #[must_use]
    pub fn index(&self) -> Option<&str> {
        self.params.get("index")
    }

    /// The way to this target and the index of the entry it came from: `rc`, `mp` or `np` (RFC 7044 §10.4).
    #[must_use]
    pub fn target(&self) -> Option<(&'static str, &str)> {
        ["rc", "mp", "np"].into_iter().find_map(|name| Some((name, self.params.get(name)?)))
    }
}

impl TypedHeader for Contact {
    const NAME: HeaderName = HeaderName::Contact;

    fn read(text: &str, limits: &Limits) -> Result<Contact, HeaderError> {
        if text == "*" {
            return Ok(Contact::Star);
        }
        let (address, params) = complete("Contact", address(text, limits, Form::Any))?;
        let malformed = |what| Err(HeaderError::Malformed { header: "Contact", what });
        let addr = ContactAddr { address, params };
        if addr.params.contains("q") && addr.q().is_none() {
            return malformed("q is no number from 0 to 1");
        }
        if addr.params.contains("expires") && addr.expires().is_none() {
            return malformed("expires is no number of seconds");
        }
        Ok(Contact::Addr(addr))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Contact::Star => out.push(b'*'),
            Contact::Addr(addr) => {
                addr.address.write(out);
                addr.params.write(out);
            }
        }
    }
}

/// `qvalue` in thousandths: 0 to 1 with up to three decimals.
pub(crate) fn parse_q(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !decimals.bytes().all(|o| o.is_ascii_digit()) {
        return None;
    }
    let mut thousandths = if whole == "1" { 1000u16 } else { 0 };
    for (digit, weight) in decimals.bytes().zip([100u16, 10, 1]) {
        thousandths = thousandths.checked_add(u16::from(digit.checked_sub(b'0')?).checked_mul(weight)?)?;
    }
    (thousandths <= 1000).then_some(thousandths)
}
