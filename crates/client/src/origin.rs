//! What the request that carried a message says of it: who, which conversation, which feature.

use core::fmt;
use core::time::Duration;
use cpm_base::DateTime;
use cpm_base::Trust;
use cpm_core::feature::{CpmFeature, CpmService, ICSI_REF, decode_list};
use cpm_core::{ContributionId, ConversationId};
use cpm_sip::{
    AcceptContact, Date, Expires, From, HeaderError, HeaderName, MessageExpires, MessageUid, NameAddr,
    PAssertedIdentity, PAssertedService, Privacy, ReplyTo, Request, Uri,
};

/// The sender and the place of a received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The authenticated originator's CPM Address (TS 6.1), or else what From says; `None` when anonymous.
    pub(crate) originator: Option<Uri>,
    /// The core asserts who it is; From alone is no proof.
    pub(crate) authenticated: bool,
    /// The sender wants not to be known (RFC 3323): nobody here shows who it is, though the core may have said so.
    pub(crate) hidden: bool,
    /// The name that the sender goes by (TS 6.3): the one at an address that the core asserts, or a pseudonym.
    pub(crate) name: Option<String>,
    /// The other addresses that the core asserts of the originator (RFC 3325 §9.1).
    pub(crate) aliases: Vec<Uri>,
    pub(crate) reply_to: Option<Uri>,
    pub(crate) conversation: Option<ConversationId>,
    pub(crate) contribution: Option<ContributionId>,
    pub(crate) in_reply_to: Option<ContributionId>,
    /// CPM features that Accept-Contact names, in its order.
    pub(crate) features: Vec<CpmFeature>,
    /// Instance identifiers that Accept-Contact names, without angle brackets: the device that it is for (TS 6.1.2).
    pub(crate) instances: Vec<String>,
    /// P-Asserted-Service, where it is one of CPM's.
    pub(crate) service: Option<CpmService>,
    pub(crate) message_uid: Option<String>,
    /// Until when the message is of use.
    pub(crate) expires: Option<DateTime>,
}

/// A header field that this message needs cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadOrigin(pub(crate) String);

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::convert::From<HeaderError> for BadOrigin {
    fn from(error: HeaderError) -> Self {
        BadOrigin(error.to_string())
    }
}

impl Origin {
    /// Reads a request that came now, on a flow of this trust: asserted identities are believed from the core alone.
    pub(crate) fn read(request: &Request, trust: Trust, now: DateTime) -> Result<Origin, BadOrigin> {
        let asserted = match trust {
            Trust::Core => asserted(request)?,
            Trust::Outside => Vec::new(),
        };
        let from = request.typed::<From>()?;
        let from = from.as_ref().map(From::address);
        let believed = from.map(|from| from.uri().clone()).filter(|uri| !cpm_ua::is_anonymous(uri));
        let mut addresses = asserted.iter().map(|asserted| asserted.uri().clone());
        let originator = addresses.next().or(believed);
        let aliases = addresses.collect();
        let hidden = originator.is_none()
            || request.typed::<Privacy>()?.is_some_and(|wish| wish.contains("id") || wish.contains("user"));
        let name = if hidden { pseudonym(from) } else { display_name(&asserted, from) };
        let (features, instances) = wishes(request)?;
        let reply_to = request.typed::<ReplyTo>()?.map(|reply| reply.uri().clone());
        Ok(Origin {
            originator,
            authenticated: !asserted.is_empty(),
            hidden,
            name,
            aliases,
            reply_to,
            conversation: id(request, &HeaderName::ConversationId, ConversationId::parse)?,
            contribution: id(request, &HeaderName::ContributionId, ContributionId::parse)?,
            in_reply_to: id(request, &HeaderName::InReplyToContributionId, ContributionId::parse)?,
            features,
            instances,
            service: service(request, trust)?,
            message_uid: request.typed::<MessageUid>()?.map(|uid| uid.0.to_string()),
            expires: expiry(request, now),
        })
    }

    /// The feature that a notification about this message names again (TS 5.4.1-2.a.iii).
    pub(crate) fn feature(&self) -> CpmFeature {
        let named = self.features.first().copied();
        named.or(self.service.map(|service| service.feature)).unwrap_or(CpmFeature::PagerMessage)
    }

    /// The service that a notification about this message names again (TS 5.4.1-2.a.iv.a).
    pub(crate) fn service(&self) -> CpmService {
        self.service.unwrap_or(CpmService::single(self.feature()))
    }

    /// Whether the request is for another device than the one with this instance identifier (TS 6.1.2-p2).
    // req: 6.1.2-p2
    pub(crate) fn is_for_another_than(&self, instance: &str) -> bool {
        !self.instances.is_empty() && !self.instances.iter().any(|named| named.eq_ignore_ascii_case(instance))
    }

    /// All that is known of who sent this, in canonical form.
    pub(crate) fn sender_keys(&self) -> impl Iterator<Item = String> {
        self.originator.iter().chain(&self.aliases).map(Uri::address_key)
    }

    /// The sender, as far as he may be shown.
    pub(crate) fn shown(&self) -> Option<&Uri> {
        self.originator.as_ref().filter(|_| !self.hidden)
    }

    /// The sender as text, as far as he may be shown.
    pub(crate) fn sender_text(&self) -> String {
        self.shown().map(|uri| uri.as_str().to_owned()).unwrap_or_default()
    }
}

/// Until when a message is of use: Expires of a MESSAGE (RFC 3428 §7), Message-Expires of a large one (TS C.1.5), counted
/// from Date, or from now. One that cannot be read says nothing.
// req: C.1.5-p1
fn expiry(request: &Request, now: DateTime) -> Option<DateTime> {
    let expires = || request.typed::<Expires>().ok().flatten().map(|expires| expires.0);
    let message_expires = || request.typed::<MessageExpires>().ok().flatten().map(|expires| expires.0);
    let invite = *request.method() == cpm_sip::Method::Invite;
    let seconds = if invite { message_expires() } else { expires() }?;
    let from = request.typed::<Date>().ok().flatten().map_or(now, |date| date.0);
    Some(from.plus(Duration::from_secs(u64::from(seconds))))
}

/// The name of somebody who is not to be known: the one that stands at an anonymous address.
// req: 6.3-p11
fn pseudonym(from: Option<&NameAddr>) -> Option<String> {
    from.filter(|from| cpm_ua::is_anonymous(from.uri())).and_then(NameAddr::display_name).map(str::to_owned)
}

/// TS 6.3: the name at the asserted address. Where that has none, the one that From gives to the same address.
// req: 6.3-p11
fn display_name(asserted: &[NameAddr], from: Option<&NameAddr>) -> Option<String> {
    let named = asserted.iter().find_map(NameAddr::display_name);
    let same = |from: &&NameAddr| {
        asserted.is_empty() || asserted.iter().any(|asserted| same_address(asserted.uri(), from.uri()))
    };
    let name = named.or_else(|| from.filter(same).and_then(NameAddr::display_name));
    name.map(str::to_owned)
}

/// Whether two URIs are the same address, whatever their parameters.
pub(crate) fn same_address(one: &Uri, other: &Uri) -> bool {
    one.address_key() == other.address_key()
}

/// P-Asserted-Identity (RFC 3325 §9.1: one or two, SIP and tel).
fn asserted(request: &Request) -> Result<Vec<NameAddr>, HeaderError> {
    let identities = request.typed_list::<PAssertedIdentity>()?;
    Ok(identities.iter().map(|identity| identity.address().clone()).collect())
}

/// What Accept-Contact asks for: CPM features and devices.
fn wishes(request: &Request) -> Result<(Vec<CpmFeature>, Vec<String>), HeaderError> {
    let (mut features, mut instances) = (Vec::new(), Vec::new());
    for wish in request.typed_list::<AcceptContact>()? {
        if let Some(value) = wish.params().get(ICSI_REF) {
            features.extend(decode_list(value));
        }
        if let Some(value) = wish.params().get("+sip.instance") {
            instances.push(value.trim_start_matches('<').trim_end_matches('>').to_owned());
        }
    }
    Ok((features, instances))
}

fn service(request: &Request, trust: Trust) -> Result<Option<CpmService>, HeaderError> {
    if trust != Trust::Core {
        return Ok(None);
    }
    let services = request.typed_list::<PAssertedService>()?;
    Ok(services.iter().find_map(|service| CpmService::from_icsi(service.as_str())))
}

fn id<T, E: fmt::Display>(
    request: &Request,
    name: &HeaderName,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, BadOrigin> {
    if request.headers().count(name) > 1 {
        return Err(BadOrigin(format!("{name} stands more than once")));
    }
    let Some(value) = request.headers().get(name) else { return Ok(None) };
    let text = value.to_text().ok_or_else(|| BadOrigin(format!("{name} is not UTF-8")))?;
    parse(text.trim()).map(Some).map_err(|error| BadOrigin(format!("{name}: {error}")))
}
