//! Challenges and credentials as scheme and parameters (RFC 3261 §20.7, RFC 7616); what they mean is the business of
//! `cpm-auth`. Identity tokens (RFC 8224).

use super::TypedHeader;
use super::info::bracketed_uri;
use super::shape::parameters;
use crate::error::HeaderError;
use crate::grammar::{Parsed, bounded_token, complete, separator, spaces, syntax};
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::InvalidText;
use crate::uri::Uri;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use nom::Parser;
use nom::bytes::complete::take_while1;

const fn is_base64(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'-' | b'.' | b'_' | b'~')
}

/// `b64token`: letters, digits, `+/-._~` and equals signs at the end (RFC 6750 §2.1). The whole of what is left.
fn bearer(input: &str) -> Option<&str> {
    let text = input.trim_end_matches([' ', '\t']);
    let body = text.trim_end_matches('=');
    (!body.is_empty() && body.bytes().all(is_base64)).then_some(text)
}

macro_rules! schemes {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            scheme: String,
            token: Option<String>,
            params: Params,
        }

        parameters! { $name }

        impl $name {
            /// A scheme (`Digest`) without parameters yet; at least one belongs there before it is written.
            ///
            /// # Errors
            /// The scheme is no token.
            pub fn new(scheme: &str) -> Result<$name, InvalidText> {
                if !crate::text::is_token(scheme) {
                    return Err(InvalidText::NotToken);
                }
                Ok($name { scheme: scheme.to_owned(), token: None, params: Params::new() })
            }

            /// The scheme as it was written.
            #[must_use]
            pub fn scheme(&self) -> &str {
                &self.scheme
            }

            /// Whether it is this scheme; case does not count.
            #[must_use]
            pub fn is(&self, scheme: &str) -> bool {
                self.scheme.eq_ignore_ascii_case(scheme)
            }

            /// The token of a scheme that has one in place of parameters (`Bearer`).
            #[must_use]
            pub fn token(&self) -> Option<&str> {
                self.token.as_deref()
            }
        }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let (scheme, token, params) = complete(Self::NAME.label(), scheme(text, limits))?;
                Ok($name { scheme, token, params })
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.scheme.as_bytes());
                out.push(b' ');
                match &self.token {
                    Some(token) => out.extend_from_slice(token.as_bytes()),
                    None => self.params.write_leading(", ", out),
                }
            }
        }
    )*};
}

type Scheme = (String, Option<String>, Params);

/// `auth-scheme LWS ( auth-param *( COMMA auth-param ) / b64token )`.
fn scheme<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, Scheme> {
    let (rest, scheme) = bounded_token(input, limits)?;
    let after = spaces(rest);
    if after.len() == rest.len() || after.is_empty() {
        return syntax("nothing after the scheme");
    }
    let scheme = scheme.to_owned();
    // Digest always has parameters; a parameter without a value would read as a token.
    if let Some(token) = bearer(after).filter(|_| !scheme.eq_ignore_ascii_case("Digest")) {
        return Ok(("", (scheme, Some(token.to_owned()), Params::new())));
    }
    let (rest, params) = auth_params(after, limits)?;
    Ok((rest, (scheme, None, params)))
}

/// `auth-param *( COMMA auth-param )`; each has a value.
fn auth_params<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, Params> {
    let (rest, params) = Params::read_leading(input, ',', limits)?;
    let valued = params.has_values();
    if valued { Ok((rest, params)) } else { syntax("a parameter has no value") }
}

schemes! {
    /// WWW-Authenticate (RFC 3261 §20.44): the challenge of a user agent server. One in each field.
    WwwAuthenticate;
    /// Proxy-Authenticate (RFC 3261 §20.27): the challenge of a proxy. One in each field.
    ProxyAuthenticate;
    /// Authorization (RFC 3261 §20.7): credentials for a user agent server. One in each field.
    Authorization;
    /// Proxy-Authorization (RFC 3261 §20.28): credentials for a proxy. One in each field.
    ProxyAuthorization;
}

/// Authentication-Info (RFC 3261 §20.6): the server's proof, and the nonce to use next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthenticationInfo {
    params: Params,
}

parameters! { AuthenticationInfo }

impl AuthenticationInfo {
    /// These parameters: `nextnonce`, `qop`, `rspauth`, `cnonce`, `nc`.
    #[must_use]
    pub const fn new(params: Params) -> AuthenticationInfo {
        AuthenticationInfo { params }
    }
}

impl TypedHeader for AuthenticationInfo {
    const NAME: HeaderName = HeaderName::AuthenticationInfo;

    fn read(text: &str, limits: &Limits) -> Result<AuthenticationInfo, HeaderError> {
        complete("Authentication-Info", auth_params(text, limits)).map(AuthenticationInfo::new)
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.params.write_leading(", ", out);
    }
}

/// One Identity value (RFC 8224 §4): a signed token, and where the certificate stands. RFC 4474 wrote the signature alone,
/// in quotes. Nothing here fetches or believes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    token: String,
    quoted: bool,
    info: Option<Uri>,
    params: Params,
}

parameters! { Identity }

impl Identity {
    /// Checks and keeps a token and the URI of its certificate.
    ///
    /// # Errors
    /// The token holds something else than base64 and dots.
    pub fn new(token: &str, info: Uri) -> Result<Identity, InvalidText> {
        if !is_signature(token) {
            return Err(InvalidText::Form("not base64 and dots"));
        }
        Ok(Identity { token: token.to_owned(), quoted: false, info: Some(info), params: Params::new() })
    }

    /// The token: three parts of base64 between dots, of which some may be empty.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where the certificate stands (`info`).
    #[must_use]
    pub const fn info(&self) -> Option<&Uri> {
        self.info.as_ref()
    }
}

fn is_signature(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|o| is_base64(o) || o == b'=')
}

impl TypedHeader for Identity {
    const NAME: HeaderName = HeaderName::Identity;

    fn read(text: &str, limits: &Limits) -> Result<Identity, HeaderError> {
        complete("Identity", identity(text, limits))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let quote: &[u8] = if self.quoted { b"\"" } else { b"" };
        out.extend_from_slice(quote);
        out.extend_from_slice(self.token.as_bytes());
        out.extend_from_slice(quote);
        if let Some(info) = &self.info {
            out.extend_from_slice(alloc::format!(";info=<{info}>").as_bytes());
        }
        self.params.write(out);
    }
}

/// `signed-identity-digest [ SEMI "info" EQUAL LAQUOT absoluteURI RAQUOT ] *( SEMI generic-param )`.
fn identity<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, Identity> {
    let quoted = input.starts_with('"');
    let start = input.strip_prefix('"').unwrap_or(input);
    let signature = |c: char| u8::try_from(c).is_ok_and(|o| is_base64(o) || o == b'=');
    let (mut rest, token) = take_while1(signature).parse(start)?;
    if quoted {
        let Some(after) = rest.strip_prefix('"') else { return syntax("the quoted signature has no end") };
        rest = after;
    }
    let mut info = None;
    if let Ok((after, ())) = separator(';')(rest)
        && let Some(("info", uri)) = after
            .split_at_checked(4)
            .map(|(n, u)| (if n.eq_ignore_ascii_case("info") { "info" } else { "" }, u))
        && let Ok((uri, ())) = separator('=')(uri)
        && uri.starts_with('<')
    {
        let (after, uri) = bracketed_uri(uri, limits)?;
        (rest, info) = (after, Some(uri));
    }
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, Identity { token: token.to_owned(), quoted, info, params }))
}
