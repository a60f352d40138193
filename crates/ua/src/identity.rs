//! Who says who somebody is: asserted identities across the border of the trust domain (RFC 3325, RFC 5876, RFC 3323).
//!
//! Whether a flow leads into the trust domain is the host's word ([`Trust`]). What comes from outside goes through
//! [`believe`], what leaves through [`reveal`]: both ask one table, [`passes`], which fields may cross the border. An
//! endpoint does both by itself when [`IdentityPolicy::enforce`] says so.

use alloc::vec::Vec;
use cpm_base::Trust;
use cpm_sip::{
    From, HeaderName, Headers, NameAddr, PAccessNetworkInfo, PAssertedIdentity, PPreferredIdentity, Privacy,
    Uri,
};

/// What an endpoint does at the border of the trust domain by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityPolicy {
    /// Requests and responses from outside are stripped of what only the core may say, before anybody sees them; what
    /// goes outside, of what only the core may know.
    pub enforce: bool,
    /// Without a Privacy field, an asserted identity does not leave the trust domain. RFC 3325 §7 leaves that to the
    /// rules of the domain.
    pub withhold_by_default: bool,
    /// More fields that may leave the trust domain: ones that the table of [`HeaderName`] does not know.
    pub also_outside: Vec<HeaderName>,
}

/// Identities that are believed: read from what the core said, or of a peer that was authenticated here. There is no other
/// way to get one.
///
/// ```compile_fail
/// let forged = cpm_ua::Asserted { identities: Vec::new() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asserted {
    identities: Vec<NameAddr>,
}

impl Asserted {
    /// One or two: one SIP or SIPS URI, one telephone number.
    #[must_use]
    pub fn identities(&self) -> &[NameAddr] {
        &self.identities
    }

    /// Whether a URI names one of them: a telephone number and the SIP URI that stands for it are the same.
    #[must_use]
    pub fn covers(&self, uri: &Uri) -> bool {
        self.identities.iter().any(|identity| same(identity.uri(), uri))
    }
}

/// Which way a message crosses the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// From outside into the trust domain.
    Inward,
    /// Out of it.
    Outward,
}

/// Whether a field of this name may cross the border at all. Inward, everything may that does not speak for the core;
/// outward, what is listed here: what is new or unknown stays inside.
#[must_use]
pub fn passes(name: &HeaderName, crossing: Crossing) -> bool {
    match crossing {
        Crossing::Inward => !speaks_for_core(name),
        Crossing::Outward => is_for_everybody(name),
    }
}

/// What is believed from the core alone (RFC 3325, 4457, 5002, 5502, 5503, 6050, 7044, 7315).
fn speaks_for_core(name: &HeaderName) -> bool {
    const OTHERS: [&str; 10] = [
        "Diversion",
        "P-Asserted-Service-Info",
        "P-DCS-Billing-Info",
        "P-DCS-LAES",
        "P-DCS-Redirect",
        "P-Private-Network-Indication",
        "P-Profile-Key",
        "P-Refused-URI-List",
        "P-User-Database",
        "Restoration-Info",
    ];
    match name {
        HeaderName::PAssertedIdentity
        | HeaderName::PAssertedService
        | HeaderName::PAssociatedUri
        | HeaderName::PCalledPartyId
        | HeaderName::PChargingFunctionAddresses
        | HeaderName::PChargingVector
        | HeaderName::PServedUser
        | HeaderName::PVisitedNetworkId
        | HeaderName::HistoryInfo => true,
        HeaderName::Other(other) => OTHERS.iter().any(|core| core.eq_ignore_ascii_case(other.as_str())),
        _ => false,
    }
}

/// What anybody may read: the protocol itself, what one end says to the other, what the core tells a user about itself.
fn is_for_everybody(name: &HeaderName) -> bool {
    use HeaderName as H;
    match name {
        // Only the core: who was reached how, what is charged, by whom a request is served, where somebody is.
        H::PAccessNetworkInfo
        | H::PAssertedService
        | H::PChargingFunctionAddresses
        | H::PChargingVector
        | H::PPreferredIdentity
        | H::PPreferredService
        | H::PServedUser
        | H::PVisitedNetworkId
        | H::HistoryInfo
        | H::Geolocation
        | H::Other(_) => false,
        // By Privacy.
        H::PAssertedIdentity => true,
        H::Via | H::From | H::To | H::CallId | H::CSeq | H::MaxForwards | H::MaxBreadth | H::Contact => true,
        H::Route | H::RecordRoute | H::Path | H::ServiceRoute | H::PAssociatedUri | H::PCalledPartyId => true,
        H::ContentLength | H::ContentType | H::ContentDisposition | H::ContentEncoding => true,
        H::ContentLanguage | H::ContentId | H::MimeVersion => true,
        H::Accept | H::AcceptEncoding | H::AcceptLanguage | H::AcceptContact | H::RejectContact => true,
        H::RequestDisposition | H::AlertInfo | H::Allow | H::AllowEvents | H::CallInfo | H::Date => true,
        H::Authorization | H::AuthenticationInfo | H::ProxyAuthenticate | H::ProxyAuthorization => true,
        H::WwwAuthenticate | H::Identity | H::SecurityClient | H::SecurityServer | H::SecurityVerify => true,
        H::ContributionId | H::ConversationId | H::InReplyToContributionId | H::SessionReplaces => true,
        H::MessageContext | H::MessageCorrelator | H::MessageExpires | H::MessageUid | H::IwNumber => true,
        H::ErrorInfo | H::Event | H::Expires | H::FeatureCaps | H::FlowTimer | H::InfoPackage => true,
        H::InReplyTo | H::Join | H::MinExpires | H::MinSe | H::Organization | H::Priority | H::Privacy => {
            true
        }
        H::ProxyRequire | H::RAck | H::RSeq | H::Reason | H::RecvInfo | H::ReferSub | H::ReferTo => true,
        H::ReferredBy | H::Replaces | H::ReplyTo | H::Require | H::ResourcePriority | H::RetryAfter => true,
        H::Server | H::SessionExpires | H::SipETag | H::SipIfMatch | H::Subject => true,
        H::SubscriptionState | H::Supported | H::TargetDialog | H::Timestamp | H::Unsupported => true,
        H::UserAgent | H::Warning => true,
    }
}

/// A message came: from outside, everything goes that only the core may say; from the core, its identities are believed
/// as far as RFC 5876 §4.5 lets them stand (one SIP or SIPS URI and one telephone number; nothing that cannot be read).
///
/// What an outsider would like to be called ([`PPreferredIdentity`]) stays, for [`assert_identity`].
pub fn believe(headers: &mut Headers, trust: Trust) -> Option<Asserted> {
    match trust {
        Trust::Outside => {
            strip(headers, Crossing::Inward, &[]);
            // What a device says of its access is a hint; what the network says comes from the network.
            let access = headers.typed_list::<PAccessNetworkInfo>();
            if access.is_ok_and(|all| all.iter().any(PAccessNetworkInfo::is_network_provided)) {
                headers.remove(&HeaderName::PAccessNetworkInfo);
            }
            None
        }
        Trust::Core => {
            let read = headers.typed_list::<PAssertedIdentity>().unwrap_or_default();
            believe_core(headers, &read)
        }
    }
}

/// [`believe`] of what came from the core and whose P-Asserted-Identity is read already: all values, or none where they
/// cannot be read.
pub fn believe_core(headers: &mut Headers, read: &[PAssertedIdentity]) -> Option<Asserted> {
    let kept = expected(read.iter().map(PAssertedIdentity::address));
    if kept.len() != read.len() || (read.is_empty() && headers.contains(&HeaderName::PAssertedIdentity)) {
        write_asserted(headers, &kept);
    }
    (!kept.is_empty()).then_some(Asserted { identities: kept })
}

/// The same for who only passes the message on: nearly always there is one identity, or none, and nothing to be changed.
pub(crate) fn screen(headers: &mut Headers, trust: Trust) {
    let stays = !headers.contains(&HeaderName::PAssertedIdentity) || headers.has_one_sound_identity();
    if trust == Trust::Outside || !stays {
        believe(headers, trust);
    }
}

/// A peer was authenticated: asserts an identity for it (RFC 3325 §5), the one that it prefers when that is one of
/// `identities`, else the first of them; replaces what stood there. `None`, and no identity, when the list is empty.
pub fn assert_identity(headers: &mut Headers, identities: &[NameAddr]) -> Option<Asserted> {
    let preferred = headers.typed_list::<PPreferredIdentity>().unwrap_or_default();
    let preferred =
        preferred.iter().find_map(|wish| identities.iter().find(|own| same(own.uri(), wish.uri())));
    let chosen: Vec<NameAddr> = preferred.or(identities.first()).cloned().into_iter().collect();
    headers.remove(&HeaderName::PPreferredIdentity);
    write_asserted(headers, &chosen);
    (!chosen.is_empty()).then_some(Asserted { identities: chosen })
}

/// A message leaves: outside of the trust domain nobody reads what only the core may know, nor an asserted identity whose
/// owner asked for `id` privacy (RFC 3325 §7, RFC 3323 §4.2). With `none`, it must not be withheld.
pub fn reveal(headers: &mut Headers, trust: Trust, policy: &IdentityPolicy) {
    if trust == Trust::Core {
        return;
    }
    strip(headers, Crossing::Outward, &policy.also_outside);
    if withheld(headers, policy) {
        headers.remove(&HeaderName::PAssertedIdentity);
    }
}

/// Whether the identities of a message must not be told outside. A Privacy field that cannot be read hides them.
fn withheld(headers: &Headers, policy: &IdentityPolicy) -> bool {
    match headers.typed::<Privacy>() {
        Ok(Some(privacy)) if privacy.contains("none") => false,
        Ok(Some(privacy)) => privacy.contains("id") || policy.withhold_by_default,
        Ok(None) => policy.withhold_by_default,
        Err(_) => true,
    }
}

/// Takes the traces of the sender out of a request that a back-to-back user agent makes of another's, when its sender asks
/// for privacy (RFC 3323 §4.1, §5.3): From is the anonymous one with its tag, and everything that names the sender and
/// that the protocol can do without goes. A proxy must not: From and Contact are not its own.
///
/// Says whether it did: `false` without a Privacy field, or with `none`.
pub fn anonymize(headers: &mut Headers) -> bool {
    let wanted = match headers.typed::<Privacy>() {
        Ok(Some(privacy)) => ["id", "user", "header"].iter().any(|value| privacy.contains(value)),
        Ok(None) => false,
        Err(_) => true,
    };
    if !wanted {
        return false;
    }
    let tag =
        headers.typed::<From>().ok().flatten().and_then(|from| from.tag().map(alloc::string::String::from));
    let anonymous =
        Uri::parse(ANONYMOUS).ok().and_then(|uri| NameAddr::new(uri).with_display_name("Anonymous").ok());
    if let Some(address) = anonymous {
        let from = From::new(address);
        headers.set_typed(&tag.map_or(from.clone(), |tag| from.with_tag(&tag)));
    }
    for name in [
        HeaderName::PAssertedIdentity,
        HeaderName::PPreferredIdentity,
        HeaderName::Contact,
        HeaderName::CallInfo,
        HeaderName::InReplyTo,
        HeaderName::Organization,
        HeaderName::ReferredBy,
        HeaderName::ReplyTo,
        HeaderName::Server,
        HeaderName::Subject,
        HeaderName::UserAgent,
        HeaderName::Warning,
    ] {
        headers.remove(&name);
    }
    true
}

/// The address of those who are nobody (RFC 3323 §4.1.1.3).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// Whether a URI names nobody: anything at `anonymous.invalid` (RFC 3323 §4.1.1.3).
#[must_use]
pub fn is_anonymous(uri: &Uri) -> bool {
    matches!(uri, Uri::Sip(uri) if uri.host().is_name(NOBODYS_HOST))
}

/// The same of the host of a SIP or SIPS URI.
#[must_use]
pub fn is_anonymous_host(host: &str) -> bool {
    host.trim_end_matches('.').eq_ignore_ascii_case(NOBODYS_HOST)
}

const NOBODYS_HOST: &str = "anonymous.invalid";

/// Takes away what may not cross.
fn strip(headers: &mut Headers, crossing: Crossing, also: &[HeaderName]) {
    let foreign = |name: &HeaderName| !passes(name, crossing) && !also.contains(name);
    let names: Vec<HeaderName> =
        headers.iter().map(|(name, _)| name).filter(|name| foreign(name)).cloned().collect();
    for name in names {
        headers.remove(&name);
    }
}

/// RFC 5876 §4.5: what of a list of identities counts.
fn expected<'a>(identities: impl Iterator<Item = &'a NameAddr>) -> Vec<NameAddr> {
    let mut kept: Vec<NameAddr> = Vec::new();
    for identity in identities {
        let counts = match identity.uri() {
            Uri::Sip(_) => kept.iter().all(|other| other.uri().as_sip().is_none()),
            Uri::Tel(_) => kept.iter().all(|other| other.uri().as_tel().is_none()),
            Uri::Urn(_) | Uri::Opaque(_) => false,
        };
        if counts {
            kept.push(identity.clone());
        }
    }
    kept
}

fn write_asserted(headers: &mut Headers, identities: &[NameAddr]) {
    let values: Vec<PAssertedIdentity> = identities.iter().cloned().map(PAssertedIdentity::new).collect();
    if values.is_empty() {
        headers.remove(&HeaderName::PAssertedIdentity);
    } else {
        headers.set_typed_list(&values);
    }
}

/// Whether two URIs name the same user: as addresses, or as telephone numbers.
fn same(a: &Uri, b: &Uri) -> bool {
    a.as_str() == b.as_str()
        || a.address_key() == b.address_key()
        || matches!((a.telephone(), b.telephone()), (Some(a), Some(b)) if a.key() == b.key())
}

#[cfg(test)]
mod tests;
