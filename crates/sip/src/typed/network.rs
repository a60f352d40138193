//! Header fields of IMS networks and of security agreements (RFC 7315, RFC 3329, RFC 6809, RFC 4412).

use super::TypedHeader;
use super::address::parse_q;
use super::media::check_q;
use super::shape::{is_token_without_dot, parameters, token_and_params, token_fields};
use crate::error::HeaderError;
use crate::grammar::{Parsed, bounded_token, complete, quoted, syntax};
use crate::limits::Limits;
use crate::name::HeaderName;
use crate::params::Params;
use crate::text::{InvalidText, check_text, write_quoted};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// One P-Visited-Network-ID value (RFC 7315 §4.3): the network that a user roams in. Always written in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PVisitedNetworkId {
    network: String,
    params: Params,
}

impl PVisitedNetworkId {
    /// Checks and keeps the name of a network.
    ///
    /// # Errors
    /// The text holds a control character.
    pub fn new(network: &str) -> Result<PVisitedNetworkId, InvalidText> {
        check_text(network)?;
        Ok(PVisitedNetworkId { network: network.to_owned(), params: Params::new() })
    }

    /// The name of the network.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }
}

impl TypedHeader for PVisitedNetworkId {
    const NAME: HeaderName = HeaderName::PVisitedNetworkId;

    fn read(text: &str, limits: &Limits) -> Result<PVisitedNetworkId, HeaderError> {
        complete("P-Visited-Network-ID", visited_network(text, limits))
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_quoted(&self.network, out);
        self.params.write(out);
    }
}

/// `( token / quoted-string ) *( SEMI generic-param )`.
fn visited_network<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, PVisitedNetworkId> {
    let (rest, network) = if input.starts_with('"') {
        let (rest, text) = quoted(input)?;
        (rest, text.into_owned())
    } else {
        let (rest, token) = bounded_token(input, limits)?;
        (rest, token.to_owned())
    };
    let (rest, params) = Params::read(rest, limits)?;
    Ok((rest, PVisitedNetworkId { network, params }))
}

token_fields! {
    /// One P-Access-Network-Info value (RFC 7315 §4.4): the access network of a user, `3GPP-E-UTRAN-FDD` and the like.
    PAccessNetworkInfo, false, |_: &PAccessNetworkInfo| Ok::<(), HeaderError>(());
    /// One Security-Client value (RFC 3329 §2.2): a mechanism that the client can do.
    SecurityClient, false, |value: &SecurityClient| check_q("Security-Client", &value.params);
    /// One Security-Server value (RFC 3329 §2.2): a mechanism that the server can do.
    SecurityServer, false, |value: &SecurityServer| check_q("Security-Server", &value.params);
    /// One Security-Verify value (RFC 3329 §2.2): what the client received as Security-Server.
    SecurityVerify, false, |value: &SecurityVerify| check_q("Security-Verify", &value.params);
}

impl PAccessNetworkInfo {
    /// Whether the network says it, not the user agent (`network-provided`).
    #[must_use]
    pub fn is_network_provided(&self) -> bool {
        self.params.contains("network-provided")
    }
}

macro_rules! security {
    ($($name:ident)*) => {$(
        impl $name {
            /// `q` in thousandths, 0 to 1000: how much the mechanism is preferred.
            #[must_use]
            pub fn q(&self) -> Option<u16> {
                parse_q(self.params.get("q")?)
            }
        }
    )*};
}
security! { SecurityClient SecurityServer SecurityVerify }

macro_rules! parameter_lists {
    ($($(#[$doc:meta])* $name:ident, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            params: Params,
        }

        parameters! { $name }

        impl TypedHeader for $name {
            const NAME: HeaderName = HeaderName::$name;

            fn read(text: &str, limits: &Limits) -> Result<$name, HeaderError> {
                let params = complete(Self::NAME.label(), Params::read_leading(text, ';', limits))?;
                $check(&params)?;
                Ok($name { params })
            }

            fn write(&self, out: &mut Vec<u8>) {
                self.params.write_leading(";", out);
            }
        }
    )*};
}

parameter_lists! {
    /// P-Charging-Vector (RFC 7315 §4.6): what charging records of one session are matched by.
    PChargingVector, check_icid;
    /// One P-Charging-Function-Addresses value (RFC 7315 §4.5): where charging records go.
    PChargingFunctionAddresses, |_: &Params| Ok::<(), HeaderError>(());
}

impl PChargingVector {
    /// A vector with this IMS charging identity.
    ///
    /// # Errors
    /// The text holds a control character.
    pub fn new(icid: &str) -> Result<PChargingVector, InvalidText> {
        let mut params = Params::new();
        params.set("icid-value", Some(icid))?;
        Ok(PChargingVector { params })
    }

    /// The IMS charging identity.
    #[must_use]
    pub fn icid(&self) -> &str {
        self.params.get("icid-value").unwrap_or("")
    }
}

fn check_icid(params: &Params) -> Result<(), HeaderError> {
    let missing = HeaderError::Malformed { header: "P-Charging-Vector", what: "no icid-value" };
    params.get("icid-value").filter(|icid| !icid.is_empty()).map(|_| ()).ok_or(missing)
}

impl PChargingFunctionAddresses {
    /// One address: `ccf`, `ecf`, `ccf-2` or `ecf-2` and where that is.
    ///
    /// # Errors
    /// The name is no token, or the address holds a control character.
    pub fn new(function: &str, address: &str) -> Result<PChargingFunctionAddresses, InvalidText> {
        let mut params = Params::new();
        params.set(function, Some(address))?;
        Ok(PChargingFunctionAddresses { params })
    }
}

/// One Feature-Caps value (RFC 6809 §6.2): what functions on the path can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeatureCaps {
    params: Params,
}

parameters! { FeatureCaps }

impl FeatureCaps {
    /// `*` with these indicators.
    #[must_use]
    pub const fn new(params: Params) -> FeatureCaps {
        FeatureCaps { params }
    }
}

impl TypedHeader for FeatureCaps {
    const NAME: HeaderName = HeaderName::FeatureCaps;

    fn read(text: &str, limits: &Limits) -> Result<FeatureCaps, HeaderError> {
        let header = "Feature-Caps";
        let star = HeaderError::Malformed { header, what: "does not begin with *" };
        let params = complete(header, Params::read(text.strip_prefix('*').ok_or(star)?, limits))?;
        if params.iter().any(|(name, _)| !name.starts_with('+')) {
            return Err(HeaderError::Malformed { header, what: "an indicator does not begin with +" });
        }
        Ok(FeatureCaps { params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'*');
        self.params.write(out);
    }
}

/// One Resource-Priority value (RFC 4412 §3.1): `namespace.priority`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePriority {
    namespace: String,
    priority: String,
}

impl ResourcePriority {
    /// Checks and keeps a value.
    ///
    /// # Errors
    /// Either is no token without a dot.
    pub fn new(namespace: &str, priority: &str) -> Result<ResourcePriority, InvalidText> {
        if !is_token_without_dot(namespace) || !is_token_without_dot(priority) {
            return Err(InvalidText::NotToken);
        }
        Ok(ResourcePriority { namespace: namespace.to_owned(), priority: priority.to_owned() })
    }

    /// The namespace: `dsn`, `wps` and so on.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The priority in that namespace.
    #[must_use]
    pub fn priority(&self) -> &str {
        &self.priority
    }
}

impl TypedHeader for ResourcePriority {
    const NAME: HeaderName = HeaderName::ResourcePriority;

    fn read(text: &str, limits: &Limits) -> Result<ResourcePriority, HeaderError> {
        complete("Resource-Priority", resource_priority(text, limits))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("{}.{}", self.namespace, self.priority).as_bytes());
    }
}

fn resource_priority<'a>(input: &'a str, limits: &Limits) -> Parsed<'a, ResourcePriority> {
    let (rest, token) = bounded_token(input, limits)?;
    let value = token.split_once('.').and_then(|(n, p)| ResourcePriority::new(n, p).ok());
    match value {
        Some(value) => Ok((rest, value)),
        None => syntax("not namespace.priority"),
    }
}
