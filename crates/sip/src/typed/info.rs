//! Header fields that hold URIs in angle brackets, for readers outside of the routing (RFC 3261, RFC 6442, RFC 7044).

use super::TypedHeader;
use super::shape::parameters;
use crate::error::{HeaderError, UriError};
use crate::grammar::{Parsed, complete, failure, spaces, syntax};
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::params::Params;
use crate::uri::{TelUri, Uri};
use alloc::vec::Vec;

/// `LAQUOT absoluteURI RAQUOT *( SEMI generic-param )`.
fn uri_and_params<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, (Uri, Params)> {
    let (rest, uri) = bracketed_uri(input, limits)?;
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, (uri, params)))
}

pub(super) fn bracketed_uri<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, Uri> {
    let Some(rest) = spaces(input).strip_prefix('<') else {
        return syntax("the URI must stand in angle brackets");
    };
    let Some((uri, rest)) = rest.split_once('>') else { return syntax("no closing angle bracket") };
    Ok((rest, Uri::parse_within(uri, limits).map_err(failure)?))
}

macro_rules! uri_fields {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            uri: Uri,
            params: Params,
        }

        parameters! { $name }

        impl $name {
            /// A URI without parameters.
            #[must_use]
            pub const fn new(uri: Uri) -> $name {
                $name { uri, params: Params::new() }
            }

            /// The URI. Nothing here fetches it.
            #[must_use]
            pub const fn uri(&self) -> &Uri {
                &self.uri
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let (uri, params) = complete(Self::NAME.label(), uri_and_params(text, limits))?;
                Ok($name { uri, params })
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.push(b'<');
                out.extend_from_slice(self.uri.as_str().as_bytes());
                out.push(b'>');
                self.params.write(out);
            }
        }
    )*};
}

uri_fields! {
    /// One Alert-Info value (RFC 3261 §20.4): another ring tone.
    AlertInfo;
    /// One Call-Info value (RFC 3261 §20.9): more about the one who calls or is called.
    CallInfo;
    /// One Error-Info value (RFC 3261 §20.18): more about an error.
    ErrorInfo;
    /// One Geolocation value (RFC 6442 §4.1): where a location stands.
    Geolocation;
}

impl CallInfo {
    /// The `purpose`: `icon`, `info`, `card` or another.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.params.get("purpose")
    }
}

/// IW-Number (TS Appendix C.1.12): the number that stands for a long-lived group session in SMS or MMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IwNumber(TelUri);

impl IwNumber {
    /// A number.
    #[must_use]
    pub const fn new(number: TelUri) -> IwNumber {
        IwNumber(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(&self) -> &TelUri {
        &self.0
    }
}

impl TypedHeader for IwNumber {
    const NAME: HeaderName = HeaderName::IwNumber;

    fn read(text: &str, limits: &Limits) -> Result<IwNumber, HeaderError> {
        let header = "IW-Number";
        match Uri::parse_within(text, limits) {
            Ok(Uri::Tel(number)) => Ok(IwNumber(number)),
            Err(UriError::Limit(exceeded)) => Err(HeaderError::Limit { header, exceeded }),
            _ => Err(HeaderError::Malformed { header, what: "not a tel URI" }),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_str().as_bytes());
    }
}
